"""Callbacks: a user's objects that are told what happens in a run, by the Runner and in its process.

    on_start          before the first step                          on_end           when the last evaluation is over
    on_episode_end    .episode: return_, length, environment         on_evaluation    .evaluation, .best, .confirmed
    on_fragment       .made: environment steps, .role: whose         on_checkpoint    .path of what was written
    on_update         .updates: how many, .figures: loss, q, ...

A callback has some of these methods; each gets an `Event`. What it logs becomes columns of metrics.csv and tags in
TensorBoard.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actorrl.rl.tracks import Episode
from actorrl.training.evaluation import Evaluation
from actorrl.training.names import did_you_mean, is_unnamed, written

__all__ = ["EVENTS", "Callbacks", "Event", "made", "written_callback"]

EVENTS = (
    *("on_start", "on_episode_end", "on_fragment", "on_update"),
    *("on_evaluation", "on_checkpoint", "on_end"),
)


@dataclass
class Event:
    """What has happened; fields that an event does not have are None."""

    name: str
    """One of EVENTS."""
    steps: int
    """Environment steps of all agents so far."""
    directory: Path
    """Of the run."""
    config: Mapping[str, Any]
    """What config.yaml holds."""
    episode: Episode | None = None
    made: int | None = None
    """Environment steps in this fragment: a round of an explorer, or a slice of an agent's work, of up to 100 ms."""
    role: str | None = None
    """Who made them: "explorer 2", "agent", or of several "agent 1"."""
    updates: int | None = None
    """How many updates there were since the event before."""
    figures: Mapping[str, float] | None = None
    """What the learner says of the last of these: the columns of metrics.csv."""
    evaluation: Evaluation | None = None
    """Over the first episodes of a snapshot; `steps` is the snapshot's."""
    confirmed: Evaluation | None = None
    """Over the extra episodes of one that might be the best."""
    best: bool | None = None
    path: Path | None = None
    logged: dict[str, float] = field(default_factory=dict)
    """What callbacks have logged."""
    stopping: str | None = None
    """Why a callback wants the run to end."""

    def log(self, **values: float) -> None:
        """Custom metrics, in the row of metrics.csv at `steps`. TypeError for what is no number."""
        for name, value in values.items():
            if isinstance(value, bool) or not hasattr(value, "__float__"):
                raise TypeError(f"log({name}=...) takes numbers, found {value!r}")
            self.logged[name] = float(value)

    def stop(self, why: str) -> None:
        """End the run as if its steps were made: with final checkpoint and evaluation."""
        self.stopping = why


class Callbacks:
    """All callbacks of a run.

    Args:
        callbacks: objects with some of the methods named in EVENTS.
        directory: of the run.
        config: what config.yaml holds.
        booked: gets (steps, values) of what was logged.
    """

    def __init__(
        self,
        callbacks: Sequence[Any],
        directory: Path,
        config: Mapping[str, Any],
        booked: Callable[[int, dict[str, float]], None],
    ) -> None:
        self._callbacks, self._directory, self.config, self._booked = callbacks, directory, config, booked
        self._wanted = {name for name in EVENTS if any(hasattr(one, name) for one in callbacks)}
        self.stopping: str | None = None
        """Why a callback wants the run to end."""

    def wants(self, name: str) -> bool:
        """Whether anybody is told of such events."""
        return name in self._wanted

    def tell(self, name: str, steps: int, **values: Any) -> None:
        """Call everybody who wants to know. RuntimeError, naming it, where one fails."""
        if name not in self._wanted:
            return
        event = Event(name, steps, self._directory, self.config, **values)
        for one in self._callbacks:
            method = getattr(one, name, None)
            if method is None:
                continue
            try:
                method(event)
            except Exception as error:
                what = f"the callback {type(one).__name__}.{name} failed at step {steps:,}"
                raise RuntimeError(f"{what}: {type(error).__name__}: {error}") from error
        if event.logged:
            self._booked(steps, event.logged)
        self.stopping = self.stopping or event.stopping

    def state_dict(self) -> list[Any]:
        """Of those that have one; None for the others."""
        return [one.state_dict() if hasattr(one, "state_dict") else None for one in self._callbacks]

    def load_state_dict(self, state: Sequence[Any]) -> None:
        """Take back what `state_dict` gave, where there are as many callbacks as then."""
        for one, values in zip(self._callbacks, state, strict=False):
            if values is not None and hasattr(one, "load_state_dict"):
                one.load_state_dict(values)


def made(callback: Any) -> Any:
    """A callback as an object: a class is called without arguments.

    Raises:
        TypeError: it has none of the methods, or one whose name begins like theirs and is none of them.
    """
    name = callback.__name__ if isinstance(callback, type) else type(callback).__name__
    methods = [method for method in dir(callback) if method.startswith("on_") and callable(getattr(callback, method))]
    for method in methods:
        if method not in EVENTS:
            meant = did_you_mean(method, EVENTS)
            raise TypeError(f"the callback {name} has a method {method}, which nobody calls{meant}")
    if not methods:
        raise TypeError(f"a callback has some of the methods {', '.join(EVENTS)}; found {callback!r} with none of them")
    if not isinstance(callback, type):
        return callback
    try:
        return callback()
    except TypeError as error:
        raise TypeError(f"the callback {name} cannot be made without arguments: pass an instance ({error})") from error


def written_callback(callback: Any) -> str:
    """How a file names a callback that came from Python: a class, or an instance of one that takes no arguments, by its
    name; any other instance as what is unnamed, since nobody knows what it was made of.
    """
    name = written(callback if isinstance(callback, type) else type(callback))
    return name if isinstance(callback, type) or is_unnamed(name) or _takes_nothing(type(callback)) else f"<{name}>"


def _takes_nothing(kind: type) -> bool:
    try:
        return not inspect.signature(kind).parameters
    except (TypeError, ValueError):  # it does not say
        return False
