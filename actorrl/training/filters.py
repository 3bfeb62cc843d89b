"""Wrappers by their names: short ones for what is used most, `module:Class` for any other; and returns without them.

    wrappers: [gray, {name: resize, shape: [84, 84]}, frame_stack]       in a file, innermost first
    --wrappers gray,resize,frame_stack                                    on the command line

They are gymnasium's wherever gymnasium has one. An evaluation is played through them, but its returns are the
environment's own: a pair of wrappers around all of them takes the rewards in before they are clipped or skipped.

    Unfiltered ( frame_stack ( reward_clip ( Earnings ( environment ))))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium
from gymnasium.wrappers import (
    AtariPreprocessing,
    ClipReward,
    FlattenObservation,
    FrameStackObservation,
    GrayscaleObservation,
    MaxAndSkipObservation,
    RescaleAction,
    ResizeObservation,
    TimeLimit,
)

from actorrl.training.keywords import parameters_of, require_values, takes_any
from actorrl.training.names import did_you_mean, is_unnamed, or_yours, resolve, written

__all__ = ["FILTERS", "Earnings", "Named", "Unfiltered", "named", "wrapped", "wrappers_of"]

FILTERS: dict[str, tuple[type, dict[str, Any]]] = {
    "atari": (AtariPreprocessing, {"noop_max": 30, "frame_skip": 4, "screen_size": 84, "grayscale_obs": True}),
    "flatten": (FlattenObservation, {}),
    "frame_stack": (FrameStackObservation, {"stack_size": 4}),
    "gray": (GrayscaleObservation, {}),
    "max_and_skip": (MaxAndSkipObservation, {"skip": 4}),
    "rescale_action": (RescaleAction, {"min_action": -1.0, "max_action": 1.0}),
    "resize": (ResizeObservation, {"shape": (84, 84)}),
    "reward_clip": (ClipReward, {"min_reward": -1.0, "max_reward": 1.0}),
    "time_limit": (TimeLimit, {"max_episode_steps": 1_000}),
}
"""Short names: the wrapper, and the keywords it has where none are given."""


@dataclass(frozen=True)
class Named:
    """A wrapper with keywords, which knows how a file names it."""

    wrap: Any
    keywords: dict[str, Any] = field(default_factory=dict)
    short: str | None = None

    def __call__(self, environment: gymnasium.Env) -> gymnasium.Env:
        """The environment in it. ValueError, naming it, where it does not fit."""
        try:
            return self.wrap(environment, **self.keywords)
        except gymnasium.error.DependencyNotInstalled as error:
            raise ValueError(f"the wrapper {self._name} needs what 'actorrl[atari]' installs: {error}") from error
        except (AssertionError, TypeError, ValueError, gymnasium.error.Error) as error:
            said = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"the wrapper {self._name} does not fit {environment}: {said}") from error

    @property
    def _name(self) -> str:
        return self.short or written(self.wrap)

    def to_tree(self) -> dict[str, Any]:
        """As YAML holds it."""
        plain = {key: list(value) if isinstance(value, tuple) else value for key, value in self.keywords.items()}
        return {"name": self._name, **plain}


def wrappers_of(items: Any) -> tuple[Any, ...]:
    """Wrappers of what a file, a command line or a user says.

    Args:
        items: one or a list of: a short name (hyphen = underscore), `module:Class`, {name, keywords for it}, or a
            callable. A text may name several, with commas between.

    Raises:
        ValueError: no list, or a name that is neither, with the nearest.
    """
    if isinstance(items, str):
        items = [part.strip() for part in items.split(",") if part.strip()]
    elif isinstance(items, Mapping) or callable(items):
        items = [items]
    elif items is not None and not isinstance(items, Iterable):
        raise ValueError(f"wrappers must be a list of names (frame_stack, module:Class), found {items!r}")
    return tuple(item if callable(item) else _of_name(item) for item in items or ())


def _of_name(item: Any) -> Any:
    keywords = dict(item) if isinstance(item, Mapping) else {"name": item}
    name = str(keywords.pop("name", ""))
    keywords = {key.replace("-", "_"): tuple(v) if isinstance(v, list) else v for key, v in keywords.items()}
    short = name.replace("-", "_")
    if short in FILTERS:
        wrap, defaults = FILTERS[short]
        _check_keywords(wrap, keywords, short)
        return Named(wrap, {**defaults, **keywords}, short)
    if ":" not in name and not is_unnamed(name):
        raise ValueError(f"the wrapper {name!r} is not known{or_yours(short, FILTERS)}")
    wrap = resolve(name, "the wrapper")
    _check_keywords(wrap, keywords, name)
    return Named(wrap, keywords) if keywords else wrap


def _check_keywords(wrap: Any, keywords: Mapping[str, Any], name: str) -> None:
    """Refuse (ValueError) keywords that the wrapper does not take, with the nearest, and values that it cannot mean."""
    parameters = parameters_of(wrap)
    if not parameters:  # it does not say, or takes nothing: it will be tried
        return
    taken = list(parameters)[1:]  # the first is the environment
    for key in keywords:
        if key not in taken and not takes_any(parameters):
            raise ValueError(f"the wrapper {name} takes no {key!r}{did_you_mean(key, taken)}")
    require_values(f"the wrapper {name}: ", keywords, parameters)


def named(wrap: Any) -> Any:
    """How a file names a wrapper; one that has no name as `written` does."""
    return wrap.to_tree() if isinstance(wrap, Named) else written(wrap)


class Earnings(gymnasium.Wrapper):
    """Adds up what the environment itself has given since somebody last took it."""

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self.earned = 0.0

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """A step of the environment."""
        answer = self.env.step(action)
        self.earned += float(answer[1])
        return answer


class Unfiltered(gymnasium.Wrapper):
    """Gives the environment's own rewards in place of what the wrappers between have made of them."""

    def __init__(self, env: gymnasium.Env, earnings: Earnings) -> None:
        super().__init__(env)
        self._earnings = earnings

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """A step of the wrapped environment, which may be several of the one inside."""
        self._earnings.earned = 0.0
        observation, _, terminated, truncated, info = self.env.step(action)
        return observation, self._earnings.earned, terminated, truncated, info


def wrapped(environment: Any, wrappers: Sequence[Any], *, raw: bool = False) -> Any:
    """The environment in its wrappers, the first the innermost; `raw` keeps its own rewards."""
    if not (raw and wrappers and isinstance(environment, gymnasium.Env)):
        for wrap in wrappers:
            environment = wrap(environment)
        return environment
    inside = Earnings(environment)
    environment = wrapped(inside, wrappers)
    return Unfiltered(environment, inside) if isinstance(environment, gymnasium.Env) else environment
