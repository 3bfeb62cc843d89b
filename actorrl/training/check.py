"""The check of a user's agent before anything starts: by its signatures, then by five steps of a copy.

`train` calls `check_agent`. What does not fit is refused with a sentence that names the method, the parameter or the
action; nothing has been started by then, and the user's own object has not been touched.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from actorrl.rl.adapters import optional_arguments
from actorrl.rl.spaces import as_action
from actorrl.training.arrays_file import pack
from actorrl.training.copies import copy_of, randomness_untouched

REHEARSAL_STEPS = 5
PATIENCE = 60.0
"""Seconds that one method may take in the rehearsal."""

FIVE = ("observation", "action", "reward", "observation_next", "terminated")
BY_NAME = ("truncated", "environment")
METHODS: dict[str, tuple[str, ...]] = {
    "get_action": ("observation", "step"),
    "update": FIVE,
    "get_actions": ("observations", "step"),
    "greedy_action": ("observation",),
    "state_dict": (),
    "load_state_dict": ("state",),
}
REQUIRED = ("get_action", "update")


def check_agent(agent: Any, make: Callable[[], gymnasium.Env], *, close: bool = True) -> None:
    """Refuse an agent that cannot be trained in the environments that `make` makes; each is closed if `close`.

    Raises:
        TypeError: a method is missing or takes other parameters; an agent that cannot be copied.
        ValueError: an action outside the space; a method that fails or does not return.
    """
    check_signatures(agent)
    try:
        copy = copy_of(agent)
    except Exception as error:
        raise TypeError(
            f"{_name(agent)} cannot be copied by pickling, and a copy is what is trained: {error}. Keep what cannot "
            f"be pickled out of the agent, or give it __getstate__ and __setstate__"
        ) from error
    rehearse(copy, make, close=close)


def check_signatures(agent: Any) -> None:
    """Refuse (TypeError) missing methods and parameters that nobody would pass."""
    if isinstance(agent, type):
        raise TypeError(f"expected an agent, found the class {agent.__name__}: pass an instance, {agent.__name__}(...)")
    for method, arguments in METHODS.items():
        function = getattr(agent, method, None)
        if function is None and method not in REQUIRED:
            continue
        if not callable(function):
            found = "has no such method" if function is None else f"has {function!r} there"
            raise TypeError(f"an agent needs {method}({', '.join(arguments)}); {_name(agent)} {found}")
        _check_signature(f"{_name(agent)}.{method}", function, arguments)
    if hasattr(agent, "state_dict") != hasattr(agent, "load_state_dict"):
        has, lacks = ("state_dict", "load_state_dict")
        if hasattr(agent, lacks):
            has, lacks = lacks, has
        raise TypeError(f"{_name(agent)} has {has} but no {lacks}: a checkpoint needs both, or neither")


def _check_signature(label: str, function: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise TypeError(f"{label} must be an ordinary method that returns; it is a coroutine or a generator")
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # built in: the rehearsal will tell
        return
    by_name = BY_NAME if label.endswith(".update") else ()
    given = f"{label} is called as {label.rpartition('.')[2]}({', '.join(arguments)})"
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    named_early = [p.name for p in positional[: len(arguments)] if p.name in by_name]
    if named_early:
        raise TypeError(f"{given}, by position: its parameter {named_early[0]!r} must come after these five")
    many = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if len(positional) < len(arguments) and not many:
        missing = arguments[len(positional)]
        raise TypeError(f"{given}, by position; it takes only {len(positional)} and none is left for {missing!r}")
    taken = {p.name for p in positional[: len(arguments)]}
    for p in parameters:
        if p.name in taken or p.name in by_name or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            continue
        if p.default is p.empty:
            raise TypeError(f"{given}; nobody passes its parameter {p.name!r}: give it a default")


def rehearse(agent: Any, make: Callable[[], gymnasium.Env], *, close: bool = True) -> None:
    """Let `agent`, a copy that is thrown away, play five steps; ValueError where something does not fit."""
    rehearsal = _Rehearsal(agent, make, close)
    thread = threading.Thread(target=rehearsal.run, name="rehearsal", daemon=True)
    with randomness_untouched():
        thread.start()
        while thread.is_alive():
            known = rehearsal.calls
            thread.join(PATIENCE)
            if thread.is_alive() and rehearsal.calls == known:
                break
    if thread.is_alive():
        raise ValueError(f"{rehearsal.doing} did not return within {PATIENCE:.0f} s in the rehearsal of the agent")
    if rehearsal.error is not None:
        raise rehearsal.error


class _Rehearsal:
    """Five steps of an agent in a throw-away environment, watched from another thread."""

    def __init__(self, agent: Any, make: Callable[[], gymnasium.Env], close: bool) -> None:
        self._agent, self._make, self._close = agent, make, close
        self.error: BaseException | None = None
        self.doing = ""
        self.calls = 0

    def run(self) -> None:
        try:
            self._play()
        except BaseException as error:
            self.error = error

    def _call(self, doing: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.doing = doing
        self.calls += 1
        try:
            return function(*args, **kwargs)
        except Exception as error:
            raise ValueError(f"{doing} failed in the rehearsal: {type(error).__name__}: {error}") from error

    def _play(self) -> None:
        agent, name = self._agent, _name(self._agent)
        environment = self._call("making the environment", self._make)
        space = environment.action_space
        optional = optional_arguments(agent.update)
        observation, _ = self._call("the environment's reset", environment.reset, seed=0)
        self._try_the_optional(observation, space)
        for step in range(REHEARSAL_STEPS):
            action = self._call(f"{name}.get_action", agent.get_action, observation, step)
            action = checked_action(action, space, f"{name}.get_action")
            observation_next, reward, terminated, truncated, _ = self._call(
                "the environment's step", environment.step, action
            )
            extra = {"truncated": bool(truncated and not terminated), "environment": 0}
            extra = {key: value for key, value in extra.items() if key in optional}
            five = (observation, action, float(reward), observation_next, bool(terminated))
            self._call(f"{name}.update", agent.update, *five, **extra)
            observation = observation_next
            if terminated or truncated:
                observation, _ = self._call("the environment's reset", environment.reset)
        if self._close:
            self._call("the environment's close", environment.close)
        if hasattr(agent, "state_dict"):
            state = self._call(f"{name}.state_dict", agent.state_dict)
            self._call(f"{name}.state_dict", pack, state)
            self._call(f"{name}.load_state_dict", agent.load_state_dict, state)

    def _try_the_optional(self, observation: Any, space: gymnasium.Space) -> None:
        agent, name = self._agent, _name(self._agent)
        if hasattr(agent, "greedy_action"):
            action = self._call(f"{name}.greedy_action", agent.greedy_action, observation)
            checked_action(action, space, f"{name}.greedy_action")
        if hasattr(agent, "get_actions"):
            actions = self._call(f"{name}.get_actions", agent.get_actions, [observation, observation], 0)
            if not hasattr(actions, "__len__") or len(actions) != 2:
                raise ValueError(f"{name}.get_actions must return one action per observation: 2, found {actions!r}")
            for action in actions:
                checked_action(action, space, f"{name}.get_actions")


def checked_action(action: Any, space: gymnasium.Space, method: str) -> Any:
    """The action as environments get it; ValueError where it does not lie in the space."""
    converted = action
    if not isinstance(space, gymnasium.spaces.Discrete):
        try:
            converted = as_action(space, action)
        except (TypeError, ValueError):
            pass
    if not space.contains(converted):
        shape = f" of shape {np.shape(action)}" if isinstance(action, np.ndarray) else f" ({type(action).__name__})"
        raise ValueError(f"{method} returned {action!r}{shape}, which does not lie in the action space {space}")
    return as_action(space, converted)


def _name(agent: Any) -> str:
    return type(agent).__name__
