"""What the Runner keeps busy of a `Dataflow`: its explorers and its trainer, and how far one may be ahead of the other.

    explorer e may begin a round while   rounds it has sent − rounds learned from ≤ lag

With a lag of 0 they take turns (sync): every round is of the newest weights. With 1 the next round is explored while
this one is learned from (async): nothing waits, and what is learned from is one round old at most. That is all the
difference.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from typing import Any

from actorrl.actor import Future, fetch, kill
from actorrl.errors import ActorDied
from actorrl.training.arrangements import Dataflow
from actorrl.training.dataflow import Explored, Learned, Parameters
from actorrl.training.remote_lanes import HANGS
from actorrl.training.roles import Report

__all__ = ["Flow"]

CRASHES = 20
"""So often may the explorers of a run crash."""


class _Exploring:
    """What is known of one explorer."""

    def __init__(self, ref: Any) -> None:
        self.ref = ref
        self.slice: Future[Any] | None = None
        self.asked = 0.0  # when
        self.pid: int | None = None  # None until its environments are made
        self.sent = self.before = 0  # rounds: in all, and those of incarnations that have died
        self.crashes = self.hangs = 0  # the latter in a row
        self.finished = False


class Flow:
    """Keeps a slice in flight of each explorer that may explore, and of the trainer where there is something to learn.

    Args:
        trainer: ref to a `TrainerRole`.
        explorers: refs to `ExplorerRole`s, which start again when they die.
        arrangement: says how far explorers may be ahead, and how long a step may take.

    Raises (from `reports`):
        RuntimeError: an explorer crashed or hung again and again; and whatever explorers and trainer raise.
    """

    number = 0

    def __init__(self, trainer: Any, explorers: Sequence[Any], arrangement: Dataflow) -> None:
        self._trainer, self._explorers = trainer, [_Exploring(ref) for ref in explorers]
        self._lag, self._k = arrangement.lag, arrangement.environments_per_explorer
        self._patience = arrangement.step_timeout * self._k
        self._learning: Future[Learned] | None = None
        self._learned = self._received = 0
        self._pending = False
        self._parameters: Parameters | None = None
        self._incidents: list[str] = []
        self.over = False

    def fill(self) -> None:
        """Ask for the next slice of whoever is idle and may work."""
        for one in self._explorers:
            if one.slice is None and not one.finished and one.sent - self._learned <= self._lag:
                self._ask(one, one.ref.process() if one.pid is None else one.ref.advance(self._parameters))
        something = self._pending or sum(one.sent for one in self._explorers) > self._received
        if self._learning is None and (something or all(one.slice is None for one in self._explorers)):
            self._learning = self._trainer.advance()

    def waiting(self) -> list[Future[Any]]:
        """The slices in flight."""
        slices = [one.slice for one in self._explorers if one.slice is not None]
        return slices if self._learning is None else [*slices, self._learning]

    def reports(self) -> list[Report]:
        """Take the slices that are done; the trainer's reports."""
        for e, one in enumerate(self._explorers):
            if one.slice is not None and one.slice.done():
                self._explored(e, one, one.slice)
            elif one.slice is not None and one.pid is not None and time.monotonic() - one.asked > self._patience:
                self._give_up(e, one, one.pid)
        if self._learning is None or not self._learning.done():
            return []
        learned = fetch(self._learning)
        self._learning = None
        self._learned, self._received, self._pending = learned.rounds, learned.received, learned.pending
        self._parameters = learned.parameters or self._parameters
        self.over = learned.report.done
        incidents, self._incidents = tuple(self._incidents), []
        dropped = self._k * sum(one.crashes for one in self._explorers)
        for row in learned.report.rows:
            row.figures["dropped_episodes"] = float(dropped)
        return [learned.report._replace(incidents=incidents, dropped=dropped)]

    def _ask(self, one: _Exploring, future: Future[Any]) -> None:
        one.slice, one.asked = future, time.monotonic()

    def _explored(self, e: int, one: _Exploring, future: Future[Any]) -> None:
        one.slice = None
        try:
            answer = fetch(future)
        except ActorDied as error:
            self._died(e, one, error)
            return
        if isinstance(answer, Explored):
            one.sent, one.finished, one.pid, one.hangs = one.before + answer.rounds, answer.over, answer.pid, 0
            return
        one.pid = answer  # its environments are made
        if one.crashes:
            self._ask(one, one.ref.begin_again(one.crashes, one.sent, self._parameters))

    def _died(self, e: int, one: _Exploring, error: ActorDied) -> None:
        one.crashes += 1
        one.pid, one.before = None, one.sent
        if sum(each.crashes for each in self._explorers) > CRASHES:
            raise RuntimeError(f"explorers died {CRASHES + 1} times; the last was {e}: {error}") from error
        self._incidents.append(f"explorer {e} of {len(self._explorers)} died and starts again: {error}")

    def _give_up(self, e: int, one: _Exploring, pid: int) -> None:
        one.hangs += 1
        text = (
            f"explorer {e} of {len(self._explorers)} did not answer for {self._patience:g} s, step_timeout for each of "
            f"its {self._k} environments, which counts as a crash"
        )
        if pid == os.getpid() or one.hangs >= HANGS:
            kill(one.ref)  # the next would be no better
            raise RuntimeError(f"{text}; slower environments need a larger one: step_timeout=...")
        one.asked = time.monotonic()
        self._incidents.append(f"{text}: its process was killed")
        with contextlib.suppress(ProcessLookupError):  # dead by itself
            os.kill(pid, signal.SIGKILL)  # its death is told by the call, and it is started again
