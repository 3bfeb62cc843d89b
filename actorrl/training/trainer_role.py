"""The trainer of a `Dataflow`: learns from rounds of explorers, and tells them with which weights to go on.

    explorers ── add(number, Round) ──► a queue each ──► the next round of every one ──► Updates ──► take(...) to all
                                                                learn() to itself, between two slices ┘

It learns from a round once every explorer's is there, in the explorers' order: with the same seed the same numbers,
wherever they live. An explorer may be `lag` rounds ahead of what has been learned from: with 0 they take turns, with
1 the next round is explored while this one is learned from. That is all the difference between sync and async.

Several trainers have explorers of their own each, and take every step together (gloo.py). The first of them counts,
and cuts rows and snapshots; the others tell it what their explorers did.
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
from actorrl.rl.replicas import all_of
from actorrl.rl.stopwatch import Stopwatch, Times
from actorrl.rl.tracks import Episode
from actorrl.training.copies import copy_of
from actorrl.training.gloo import GlooReplicas
from actorrl.training.roles import Brought, Marks, Recipe, Report, Row, Saved, Snapshot, Timing, after
from actorrl.training.rounds import Learned, Leave, Parameters, Round, as_parameters

__all__ = ["TrainerRole"]


class TrainerRole:
    """Learns, cuts rows and snapshots where a round has been learned from, and hands out the weights.

    Args:
        recipe: of the agent.
        marks: where to cut rows and snapshots.
        explorers: the numbers of its explorers.
        lag: by how many rounds they may be ahead.
        table: the replay table that the explorers' rows are in; the agent's own, of fragments, where None.
        crew: the file by which several trainers find each other, which of them this is, and how many there are.
        first: the first of several trainers, for the others.
        device: where it computes.
    """

    def __init__(
        self,
        recipe: Recipe,
        marks: Marks,
        explorers: Sequence[int],
        lag: int,
        table: Any = None,
        crew: tuple[str, int, int] | None = None,
        first: Any = None,
        device: str = "cpu",
    ) -> None:
        self._marks = marks
        self._lag, self._first = lag, first
        self._number = 0 if crew is None else crew[1]
        self._explorers: dict[int, Any] = {}
        self._queues: dict[int, deque[Round]] = {explorer: deque() for explorer in explorers}
        self._received = dict.fromkeys(explorers, 0)
        self._arrived = dict.fromkeys(explorers, 0)  # steps in these
        self._left = set(explorers)  # those that have more to do
        self._told: dict[str, Any] = {}  # explorer -> its steps that were learned from, its state at the last reset
        self._others: dict[int, deque[Round]] = {}  # what other trainers have begun to learn from
        if crew is not None and first is None:
            self._others = {other: deque() for other in range(1, crew[2])}
        self._episodes: list[Episode] = []
        self._steps = self._rounds = self._allowed = self._until = 0
        self._learning = self._worth = self._called = self._over = self._ending = False
        self._states: dict[int, Any] = {}  # of explorers that are to go on from a checkpoint
        self._reset = False  # whether all environments are reset after this round
        self._failure: Exception | None = None
        self._staleness = 0.0
        self._parameters: Parameters | None = None
        self._rows: list[Row] = []
        self._snapshots: list[Snapshot] = []
        self._times: list[Times] = []  # of its explorers
        self._brought: list[Brought] = []
        self._equip(recipe, table, crew, device)
        self._timing, self._saved = Timing(), None if recipe.saved else self.saved(exact=True)
        if recipe.saved is not None:
            self._load(recipe.saved)
        self._next_row, self._next_snapshot = (after(self._steps, every) for every in (marks.row, marks.snapshot))

    def _equip(self, recipe: Recipe, table: Any, crew: tuple[str, int, int] | None, device: str) -> None:
        parts = recipe.build()
        if device != "cpu":
            parts.learner.to(device)  # type: ignore[attr-defined]
        self._parts = parts if table is None else parts._replace(table=table)
        self._updates = Updates(self._parts)
        self._updates.clock = self._clock = Stopwatch("trainer" if crew is None else f"trainer {crew[1]}")
        self._replicas = None if crew is None else GlooReplicas(*crew)
        if self._replicas is not None:
            self._parts.learner.replicas = self._replicas  # type: ignore[attr-defined]

    # -- what it is told ---------------------------------------------------------------------------

    def connect(self, explorers: dict[int, Any]) -> None:
        """Its explorers, by their numbers."""
        self._explorers = explorers

    def advance(self, allowed: int) -> Learned:
        """Learn from so many rounds in all, and no more; what has come of it until now. Raises what it failed of."""
        if self._failure is not None:
            raise self._failure
        self._allowed = max(self._allowed, allowed)
        self._hand_out()
        rows, snapshots, self._rows, self._snapshots = self._rows, self._snapshots, [], []
        times = self._told_times() if self._first is None else ()
        saved, self._saved = self._saved, None
        more: dict[str, Any] = {"times": times, "saved": saved, "brought": self._told_brought()}
        return Learned(Report(self._steps, rows, snapshots, self._over, **more), self._rounds)

    def _told_brought(self) -> tuple[Brought, ...]:
        """The rounds of explorers since it was last told; of another trainer's the first one hears with them."""
        brought, self._brought = tuple(self._brought), []
        return brought

    def _told_times(self) -> tuple[Times, ...]:
        """Where the time went of its explorers and of itself, since it was last told."""
        mine = self._clock.take()
        times, self._times = (*self._times, *([mine] if mine is not None else [])), []
        return times

    def add(self, explorer: int, whole: Round) -> None:
        """Take the next round of an explorer."""
        if whole.number != self._received[explorer]:
            return  # one that its explorer sent before it died, and has come since from the one that followed
        self._received[explorer] += 1
        self._arrived[explorer] += whole.steps
        self._queues[explorer].append(whole)
        self._times += whole.times
        if not self._called:
            self._go_on()

    def also(self, trainer: int, whole: Round) -> None:
        """What another trainer begins to learn from, without its fragments."""
        self._others[trainer].append(whole)
        self._times += whole.times
        if not self._called:
            self._go_on()

    def learn(self) -> None:
        """The next slice; its own message to itself."""
        self._called = False
        self._go_on()

    def end(self) -> None:
        """Be done with the round that is learned from, or the next one, though explorers have more to do."""
        self._ending = True

    def rejoin(self, explorer: int) -> Leave:
        """What an explorer must know that begins, or begins again."""
        state = self._states.pop(explorer, None)  # good once: in a crash it may have had a part
        return Leave(self._received[explorer], self._arrived[explorer], self._parameters, self._until, state)

    def saved(self, exact: bool = False) -> Saved:
        """What it takes to go on from here; what explorers have begun is lost where it is not exact."""
        self._updates.push()
        state = {"steps": self._steps, **self._updates.state_dict()}
        training = {
            "practice": {"updates": self._updates.training_state(self._marks.table)},
            "rounds": self._rounds + self._learning,
            "episodes": [list(episode) for episode in self._episodes],
            "explorers": dict(self._told),
        }
        return Saved(Snapshot(self._steps, copy_of(self._parts.policy), state), training, exact, self._over)

    def kept(self, rows: int | None, seconds: float) -> None:
        """A checkpoint is on the disk, with the table as it was after so many rows; it took so long to write."""
        self._timing.written = seconds
        self._updates.saved(rows)

    def _load(self, saved: Saved) -> None:
        training, self._steps = saved.training, saved.snapshot.steps
        updates = dict(training["practice"]["updates"])
        if self._first is not None:
            updates["table"] = None  # the first trainer's
        self._updates.load_state_dict(saved.snapshot.state)
        self._updates.load_training_state(updates, self._steps)
        self._episodes = [] if self._first is not None else [Episode(*values) for values in training["episodes"]]
        self._rounds = self._until = int(training["rounds"])
        self._told = dict(training["explorers"])
        for explorer in self._received:
            told = self._told[str(explorer)]
            self._received[explorer], self._arrived[explorer] = self._rounds, int(told["steps"])
            if told["state"] is not None:
                self._states[explorer] = told["state"]
        self._parameters = as_parameters(self._parts.learner.get_weights(), self._updates.count)

    def on_stop(self) -> None:
        """Leave the other trainers when the actor ends."""
        if self._replicas is not None:
            self._replicas.close()

    # -- what it does ------------------------------------------------------------------------------

    def _go_on(self) -> None:
        with self._kept():
            self._clock.begin()
            self._slice()
            self._clock.end()
        if self._failure is None and not self._over and (self._learning or self._complete()):
            self._called = True
            myself: Any = current()
            myself.learn.tell()

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
        while self._worth and self._updates.outstanding:
            self._updates.one()
            if time.perf_counter() > deadline:
                return
        self._learning = False
        self._rounds += 1
        self._over = self._ending or not self._left
        self._parameters = as_parameters(self._parts.learner.get_weights(), self._updates.count)
        self._hand_out()  # before anything else: the explorers wait for it
        self._clock.mark("sending")
        self._cut()
        if self._first is None:
            self._save()

    def _save(self) -> None:
        """Make a checkpoint where it is worth it; where environments were reset, what follows is the same without."""
        exact = self._reset and self._lag == 0 and self._replicas is None
        if exact and hasattr(self._parts.table, "forget"):
            self._parts.table.forget()
        if self._over or (exact and self._timing.due) or self._timing.overdue:
            with self._timing:
                self._saved = self.saved(exact)
            self._clock.mark("rows, snapshots")

    def _complete(self) -> bool:
        """Whether the next round of every explorer that has one to come is there."""
        return bool(self._left) and all(self._queues[e] for e in self._left) and all(self._others.values())

    def _begin(self) -> bool:
        if not self._complete():
            return False
        began, before, self._reset = len(self._episodes), self._steps, True
        for explorer in sorted(self._left):
            whole = self._queues[explorer].popleft()
            self._remember(explorer, whole)
            if whole.fragments:
                self._parts.table.add(whole.fragments)
            versions = [int(fragment["version"]) for fragment in whole.fragments] or [whole.version]
            self._staleness = float(self._updates.count - min(versions))
            self._book(whole)
            self._brought.append(Brought(f"explorer {explorer}", whole.steps))
            if whole.last:
                self._left.discard(explorer)
        if self._first is not None:
            did = self._episodes[began:], self._steps - before, not self._left
            more: dict[str, Any] = {"times": self._told_times(), "brought": self._told_brought()}
            told = Round(self._rounds, [], *did, state=dict(self._told), **more)
            self._first.also.tell(self._number, told)
        for others in self._others.values():
            self._book(whole := others.popleft())
            self._brought += whole.brought
            self._told |= whole.state or {}
        self._updates.steps_taken(self._steps)
        # The last round may be too short for one trainer to learn from; then none does.
        self._learning = True
        self._clock.mark("recording")
        self._worth = all_of(self._replicas, self._updates.outstanding)
        self._clock.mark("waiting")
        return True

    def _remember(self, explorer: int, whole: Round) -> None:
        """What it takes for this explorer to go on from the end of this round."""
        before = self._told.get(str(explorer), {"steps": 0, "state": None})
        state = before["state"] if whole.state is None else whole.state
        self._told[str(explorer)] = {"steps": before["steps"] + whole.steps, "state": state}
        self._reset = self._reset and whole.state is not None

    def _book(self, whole: Round) -> None:
        self._episodes += whole.episodes
        self._steps += whole.steps

    def _hand_out(self) -> None:
        """Let the explorers go on, as far as they may."""
        until = min(self._rounds + 1 + self._lag, self._allowed)
        if until <= self._until:
            return
        self._until = until
        for explorer in self._left:
            self._explorers[explorer].take.tell(self._parameters, until)

    def _cut(self) -> None:
        if self._first is not None:
            self._episodes = []
            return
        steps, marks, over = self._steps, self._marks, self._over
        if steps >= self._next_row or over:
            flow = {"staleness": self._staleness, "queue_depth": float(sum(map(len, self._queues.values())))}
            figures = {"dropped_episodes": 0.0, **flow, **self._updates.metrics(steps)}
            self._rows.append(Row(steps, self._episodes, figures))
            self._episodes = []
            self._next_row = after(steps, marks.row)
        if steps >= self._next_snapshot or over:
            self._updates.push()
            state = {"steps": steps, **self._updates.state_dict()}
            self._snapshots.append(Snapshot(steps, copy_of(self._parts.policy), state))
            self._next_snapshot = after(steps, marks.snapshot)
        self._clock.mark("rows, snapshots")
