"""The trainer of a `Dataflow`: learns from rounds of explorers, and tells them with which weights to go on.

    explorers ── add(number, Round) ──► a queue each ──► the next round of every one ──► Updates ──► take(...) to all
                                                                learn() to itself, between two slices ┘

It learns from a round once every explorer's is there, in the explorers' order: with the same seed the same numbers,
wherever they live. An explorer may be `lag` rounds ahead of what has been learned from: with 0 they take turns, with
1 the next round is explored while this one is learned from. That is all the difference between sync and async.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from actorrl.actor import current
from actorrl.rl.cadence import Updates
from actorrl.rl.explorer import SLICE_SECONDS
from actorrl.rl.tracks import Episode
from actorrl.training.copies import copy_of
from actorrl.training.roles import Marks, Recipe, Report, Row, Snapshot
from actorrl.training.rounds import Learned, Leave, Parameters, Round, as_parameters

__all__ = ["TrainerRole"]


class TrainerRole:
    """Learns, cuts rows and snapshots where a round has been learned from, and hands out the weights.

    Args:
        recipe: of the agent.
        marks: where to cut rows and snapshots.
        explorers: how many there are.
        lag: by how many rounds they may be ahead.
        table: the replay table that the explorers' rows are in; the agent's own, of fragments, where None.
    """

    def __init__(self, recipe: Recipe, marks: Marks, explorers: int, lag: int, table: Any = None) -> None:
        self._marks, self._next_row, self._next_snapshot = marks, marks.row, marks.snapshot
        self._lag = lag
        self._explorers: Sequence[Any] = ()
        self._queues: list[deque[Round]] = [deque() for _ in range(explorers)]
        self._received = [0] * explorers
        self._left = set(range(explorers))  # those that have more to do
        self._episodes: list[Episode] = []
        self._steps = self._rounds = self._allowed = self._until = 0
        self._learning = self._called = self._over = False
        self._failure: Exception | None = None
        self._staleness = 0.0
        self._parameters: Parameters | None = None
        self._rows: list[Row] = []
        self._snapshots: list[Snapshot] = []
        parts = recipe.build()
        self._parts = parts if table is None else parts._replace(table=table)
        self._updates = Updates(self._parts)

    # -- what it is told ---------------------------------------------------------------------------

    def connect(self, explorers: Sequence[Any]) -> None:
        """The explorers, by their numbers."""
        self._explorers = explorers

    def advance(self, allowed: int) -> Learned:
        """Learn from so many rounds in all, and no more; what has come of it until now. Raises what it failed of."""
        if self._failure is not None:
            raise self._failure
        self._allowed = max(self._allowed, allowed)
        self._hand_out()
        rows, snapshots, self._rows, self._snapshots = self._rows, self._snapshots, [], []
        return Learned(Report(self._steps, rows, snapshots, self._over), self._rounds)

    def add(self, explorer: int, whole: Round) -> None:
        """Take the next round of an explorer."""
        if whole.index != self._received[explorer]:
            return  # one that its explorer sent before it died, and has come since from the one that followed
        self._received[explorer] += 1
        self._queues[explorer].append(whole)
        if not self._called:
            self._go_on()

    def learn(self) -> None:
        """The next slice; its own message to itself."""
        self._called = False
        self._go_on()

    def rejoin(self, explorer: int) -> Leave:
        """What an explorer must know that starts again."""
        return Leave(self._received[explorer], self._parameters, self._until)

    # -- what it does ------------------------------------------------------------------------------

    def _go_on(self) -> None:
        with self._kept():
            self._slice()
        if self._failure is None and not self._over and (self._learning or self._complete()):
            self._called = True
            current().learn.tell()

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Keep an error for the Runner, which asks how it is going: nobody waits for the answer to a tell."""
        try:
            yield
        except Exception as error:
            self._failure = error

    def _slice(self) -> None:
        """Learn for about 100 ms, or to the end of a round."""
        deadline = time.perf_counter() + SLICE_SECONDS
        if not self._learning and not self._begin():
            return
        while self._updates.outstanding:
            self._updates.one()
            if time.perf_counter() > deadline:
                return
        self._learning = False
        self._rounds += 1
        self._over = not self._left
        self._parameters = as_parameters(self._parts.learner.get_weights(), self._updates.count)
        self._hand_out()  # before anything else: the explorers wait for it
        self._cut()

    def _complete(self) -> bool:
        """Whether the next round of every explorer that has one to come is there."""
        return bool(self._left) and all(self._queues[explorer] for explorer in self._left)

    def _begin(self) -> bool:
        if not self._complete():
            return False
        for explorer in sorted(self._left):
            whole = self._queues[explorer].popleft()
            if whole.fragments:
                self._parts.table.add(whole.fragments)
            versions = [int(fragment["version"]) for fragment in whole.fragments] or [whole.version]
            self._staleness = float(self._updates.count - min(versions))
            self._episodes += whole.episodes
            self._steps += whole.steps
            if whole.last:
                self._left.discard(explorer)
        self._updates.steps_taken(self._steps)
        self._learning = True
        return True

    def _hand_out(self) -> None:
        """Let the explorers go on, as far as they may."""
        until = min(self._rounds + 1 + self._lag, self._allowed)
        if until <= self._until:
            return
        self._until = until
        for explorer in self._left:
            self._explorers[explorer].take.tell(self._parameters, until)

    def _cut(self) -> None:
        steps, marks, over = self._steps, self._marks, self._over
        if steps >= self._next_row or over:
            flow = {"staleness": self._staleness, "queue_depth": float(sum(map(len, self._queues)))}
            figures = {"dropped_episodes": 0.0, **flow, **self._updates.metrics(steps)}
            self._rows.append(Row(steps, self._episodes, figures))
            self._episodes = []
            self._next_row = steps - steps % marks.row + marks.row
        if steps >= self._next_snapshot or over:
            self._updates.push()
            state = {"steps": steps, **self._updates.state_dict()}
            self._snapshots.append(Snapshot(steps, copy_of(self._parts.policy), state))
            self._next_snapshot = steps - steps % marks.snapshot + marks.snapshot
