"""The Runner's side of a `Dataflow`: how far the trainer is, and whether its explorers are alive.

    Runner ── reports() ──► Flow ── advance(allowed) ──► trainer       asked again every 50 ms, between its slices
                                 ── process() ─────────► explorers     one that died begins again; one that hangs dies

Explorers and trainer do not wait for it: they tell each other what there is to do. Inline they run when they are asked,
and the leave to go on is given round by round.
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
from actorrl.training.remote_lanes import HANGS
from actorrl.training.roles import Report
from actorrl.training.rounds import Learned

__all__ = ["Flow"]

CRASHES = 20
"""So often may the explorers of a run crash."""
PULSE = 0.05
"""Seconds from one question to the next."""
FOREVER = 1 << 62


class _Exploring:
    """What is known of one explorer."""

    def __init__(self, ref: Any) -> None:
        self.ref = ref
        self.question: Future[Any] | None = None
        self.asked = 0.0  # when
        self.pid: int | None = None  # None until its environments are made
        self.crashes = self.hangs = 0  # the latter in a row
        self.killed = False  # because it hung


class Flow:
    """Looks after the explorers and the trainer of a run.

    Args:
        trainers: refs to `TrainerRole`s; the first reports. Explorer e belongs to trainer e mod their number.
        explorers: refs to `ExplorerRole`s, which start again when they die.
        arrangement: says how far explorers may be ahead, and how long a step may take.
        inline: whether they all live in this process.

    Raises (from `reports`):
        RuntimeError: an explorer crashed or hung again and again; and whatever explorers and trainer raise.
    """

    number = 0

    def __init__(
        self, trainers: Sequence[Any], explorers: Sequence[Any], arrangement: Dataflow, *, inline: bool
    ) -> None:
        self._trainers, self._explorers = list(trainers), [_Exploring(ref) for ref in explorers]
        self._k, self._inline = arrangement.environments_per_explorer, inline
        self._patience = arrangement.step_timeout * self._k
        self._ahead = 1 + arrangement.lag if inline else FOREVER
        self._rounds = 0
        self._questions: list[Future[Learned]] = []  # to the trainers
        self._asked = 0.0
        self._incidents: list[str] = []
        self.over = False
        for t, trainer in enumerate(trainers):
            trainer.connect.tell({e: ref for e, ref in enumerate(explorers) if e % len(trainers) == t})

    @property
    def role(self) -> Any:
        """Who knows what it takes to go on: the first trainer."""
        return self._trainers[0]

    def fill(self) -> None:
        """Ask how it is going, where nothing is asked and it is time to."""
        now = time.monotonic()
        if now - self._asked < PULSE and not self._inline:
            return
        self._asked = now
        if not self._questions:
            self._questions = [trainer.advance(self._rounds + self._ahead) for trainer in self._trainers]
        for one in self._explorers:
            if one.question is None:
                one.question, one.asked = one.ref.process(), now

    def end(self) -> None:
        """Let the trainer end with the round that it learns from."""
        for trainer in self._trainers[:1]:
            trainer.end.tell()

    def kept(self, rows: int | None, seconds: float) -> None:
        """Tell the trainer of a checkpoint that was written."""
        self.role.kept.tell(rows, seconds)

    def waiting(self) -> list[Future[Any]]:
        """What the Runner may wait for."""
        return [*self._questions, *(one.question for one in self._explorers if one.question is not None)]

    def reports(self) -> list[Report]:
        """What the trainer has learned since it was last asked; notices explorers that died, hang or failed."""
        now = time.monotonic()
        for e, one in enumerate(self._explorers):
            if one.question is None:
                continue
            if one.question.done():
                self._answered(e, one, one.question)
            elif one.pid is not None and not one.killed and now - one.asked > self._patience:
                self._give_up(e, one, one.pid)
        failed = [question for question in self._questions if question.done() and question.exception()]
        if failed:
            fetch(failed)
        if not self._questions or not all(question.done() for question in self._questions):
            return []
        learned = fetch(self._questions)[0]
        self._questions, self._rounds, self.over = [], learned.rounds, learned.report.done
        incidents, self._incidents = tuple(self._incidents), []
        dropped = self._k * sum(one.crashes for one in self._explorers)
        for row in learned.report.rows:
            row.figures["dropped_episodes"] = float(dropped)
        return [learned.report._replace(incidents=incidents, dropped=dropped)]

    def _answered(self, e: int, one: _Exploring, question: Future[Any]) -> None:
        one.question = None
        try:
            pid = fetch(question)
        except ActorDied as error:
            if one.pid is not None:
                self._died(e, one, f": {error}")
            return
        if one.pid is None:  # its environments are made
            one.pid = pid
            one.ref.begin.tell(one.crashes, fetch(self._trainers[e % len(self._trainers)].rejoin(e)))
        elif pid != one.pid:  # it died between two questions
            self._died(e, one, "")
        elif time.monotonic() - one.asked < self._patience:
            one.hangs = 0

    def _died(self, e: int, one: _Exploring, how: str) -> None:
        one.crashes += 1
        one.pid, one.killed = None, False
        if sum(each.crashes for each in self._explorers) > CRASHES:
            raise RuntimeError(f"explorers died {CRASHES + 1} times; the last was {e}{how or ', the log says of what'}")
        self._incidents.append(f"explorer {e} of {len(self._explorers)} died and starts again{how}")

    def _give_up(self, e: int, one: _Exploring, pid: int) -> None:
        one.hangs += 1
        text = (
            f"explorer {e} of {len(self._explorers)} did not answer for {self._patience:g} s, step_timeout for each of "
            f"its {self._k} environments, which counts as a crash"
        )
        if pid == os.getpid() or one.hangs >= HANGS:
            kill(one.ref)  # the next would be no better
            raise RuntimeError(f"{text}; slower environments need a larger one: step_timeout=...")
        one.killed = True
        self._incidents.append(f"{text}: its process was killed")
        with contextlib.suppress(ProcessLookupError):  # dead by itself
            os.kill(pid, signal.SIGKILL)  # its death is told by the call, and it is started again
