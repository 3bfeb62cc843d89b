"""Lanes to environments that live in their agent's process: plain calls, and a watch that ends a process that hangs.

    Explorer ── send ──► environment.step(...)      in the agent's thread
    Watch    ── how long has that been? ──► too long: the process ends with the code LATE

Wired by `shared_replay.py` where `together=True`. A call is a plain one, where an actor's in the same process is
two changes of thread. What cannot be had is a restart: an environment that crashes or hangs ends its agent.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gymnasium

from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.lanes import Arrival, InlineLanes
from actorrl.rl.nouns import Array
from actorrl.rl.proof import NotGymnasium
from actorrl.training.remote_lanes import CONSTRUCTION

__all__ = ["LATE", "NearLanes"]

LATE = 124
"""What a process exits with whose environment took too long; as timeout(1) does."""


class NearLanes:
    """One lane per environment, in this process; implements `Lanes`.

    Args:
        makers: one callable per environment.
        seeds: one per environment, for the first reset.
        step_timeout: seconds after which a step or reset that has not ended ends the process; None to wait for ever.
        encode: makes an array of an observation.

    Raises (from `send`):
        NotGymnasium: an answer is not what gymnasium's environments give.
        RuntimeError: an environment failed; both name which.
    """

    def __init__(
        self,
        makers: Sequence[Callable[[], gymnasium.Env]],
        seeds: Sequence[int],
        step_timeout: float | None,
        encode: Callable[[Any], Array] | None,
    ) -> None:
        self._watch = Watch(step_timeout)
        with self._watch.on(CONSTRUCTION):
            self._environments = [LocalEnvironments([make], encode=encode) for make in makers]
        self._lanes = InlineLanes(self._environments, seeds)

    @property
    def sizes(self) -> Sequence[int]:
        return self._lanes.sizes

    def reset(self, again: int = 0) -> None:
        """Reset every environment; with other seeds where that is done `again`."""
        with self._watch.on():
            self._lanes.reset(again)

    def send(self, lane: int, actions: Any) -> None:
        """Step one environment; it has answered when this returns."""
        watch = self._watch
        watch.calls += 1
        watch.busy = True
        try:
            self._lanes.send(lane, actions)
            watch.busy = False
        except Exception as error:
            watch.busy = False
            which = f"environment {lane} of {len(self._environments)}"
            if isinstance(error, NotGymnasium):
                raise NotGymnasium(f"{which}: {error}") from error
            raise RuntimeError(f"{which} failed in step: {type(error).__name__}: {error}") from error

    def receive(self) -> list[Arrival]:
        """The answers since the last call, in order."""
        return self._lanes.receive()

    def close(self) -> None:
        """Close every environment."""
        self._watch.over.set()
        for environment in self._environments:
            environment.close()


class Watch:
    """Ends this process when one call has lasted too long. It counts its own looks and not the clock, so that a process
    that is suspended and goes on has lost no time.
    """

    LOOKS = 10

    def __init__(self, limit: float | None) -> None:
        self.busy, self.calls, self.over = False, 0, threading.Event()
        self._usual = self._limit = limit
        if limit is not None:
            threading.Thread(target=self._look, args=(limit / self.LOOKS,), daemon=True, name="step_timeout").start()

    @contextmanager
    def on(self, least: float = 0.0) -> Iterator[None]:
        """Watch a block; it may take as long as a step, and at least so many seconds."""
        if self._usual is not None:
            self._limit = max(least, self._usual)
        self.calls += 1
        self.busy = True
        try:
            yield
        finally:
            self.busy, self._limit = False, self._usual

    def _look(self, pause: float) -> None:
        last, waited = -1, 0.0
        while not self.over.wait(pause):
            waited = waited + pause if self.busy and self.calls == last else 0.0
            last = self.calls
            if self._limit is not None and waited >= self._limit:
                os._exit(LATE)
