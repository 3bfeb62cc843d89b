"""The roles of `Dataflow`: explorers that step vectors of environments, a trainer that learns from their fragments.

    ExplorerRole 0 ── add(fragments) ──► TrainerRole ── parameters ──► Runner (flow.py) ──► every explorer
    ExplorerRole 1 ──        ...     ──►

A round of an explorer is `n_steps` steps of each of its environments, with one version of the weights. The trainer
learns from a round once every explorer's is there, in the explorers' order: with the same seed the same numbers,
wherever they live.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from actorrl.actor import ActorRef, kill, share, startat, stop
from actorrl.rl.cadence import Updates
from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.explorer import SLICE_SECONDS, Explorer
from actorrl.rl.fragments import Fragment
from actorrl.rl.lanes import InlineLanes
from actorrl.rl.nouns import Array
from actorrl.rl.seeding import EXPLORER, environment_seeds, generator, seed_after, sequence
from actorrl.rl.tracks import Episode
from actorrl.training.arrangements import Dataflow
from actorrl.training.copies import OwnRandomness, copy_of
from actorrl.training.environment_source import EnvironmentSource
from actorrl.training.remote_lanes import RESTARTED, close_environment
from actorrl.training.roles import Marks, Recipe, Report, Row, Snapshot

__all__ = [
    *("Explored", "ExplorerRole", "Learned", "Parameters", "Round", "TrainerRole"),
    *("check_streamed", "wired_dataflow"),
]


class Parameters(NamedTuple):
    """Weights as they travel: shared memory, not copies."""

    weights: dict[str, Array]
    version: int


class Round(NamedTuple):
    """What one explorer did with one version of the weights."""

    fragments: list[Fragment]
    episodes: list[Episode]
    steps: int
    last: bool
    """Whether the explorer has nothing more to do; then the steps may be too few for a fragment."""


class Explored(NamedTuple):
    """An explorer's answer to `advance`."""

    rounds: int
    """Sent to the trainer so far, by this incarnation."""
    over: bool
    """Whether its limit is reached."""
    pid: int
    """Of its process."""


class Learned(NamedTuple):
    """The trainer's answer to `advance`."""

    report: Report
    rounds: int
    """Learned from so far."""
    received: int
    """Rounds of single explorers that have come so far."""
    pending: bool
    """Whether there is more to learn from what has come."""
    parameters: Parameters | None
    """The weights, where they are newer than those of the answer before."""


class ExplorerRole:
    """Steps k environments with a copy of the policy, and sends what happened to the trainer.

    Args:
        recipe: of the agent.
        makers: of the k environments, with `seeds` for their first reset.
        number: which explorer this is.
        trainer: gets `add(number, Round)`.
        limit: environment steps in all.
    """

    def __init__(
        self,
        recipe: Recipe,
        makers: Sequence[Callable[[], gymnasium.Env]],
        seeds: Sequence[int],
        number: int,
        trainer: Any,
        limit: int,
    ) -> None:
        self._randomness = OwnRandomness(sequence(recipe.seed, EXPLORER, number))
        self._recipe, self._number, self._trainer, self._limit = recipe, number, trainer, limit
        self._fragments: list[Fragment] = []
        self._episodes: list[Episode] = []
        self._rounds = self._done = 0  # steps of the round so far
        self._over = False
        self._newest: Parameters | None = None
        self._round = recipe.agent.n_steps * len(makers)
        self._seeds = list(seeds)
        with self._randomness:
            self._environments = LocalEnvironments(makers, encode=recipe.encoder())
            self._explorer = self._made(self._seeds, generator(recipe.seed, EXPLORER, number), limit)

    def process(self) -> int:
        """Its process's id. That it answers says that its environments are made."""
        return os.getpid()

    def _made(self, seeds: Sequence[int], rng: np.random.Generator, limit: int) -> Explorer:
        parts = self._recipe.build()
        window = parts.table.window  # type: ignore[attr-defined]
        lanes = InlineLanes([self._environments], seeds)
        return Explorer(lanes, parts.policy, self, self, seed=rng, window=window, limit=limit)

    def begin_again(self, crashes: int, rounds: int, parameters: Parameters | None) -> Explored:
        """In a new process: go on after so many rounds, with other seeds than those that led to the crash."""
        seeds = [seed_after(seed, crashes) for seed in self._seeds]
        rng = generator(seed_after(self._recipe.seed, crashes), EXPLORER, self._number)
        with self._randomness:
            self._explorer = self._made(seeds, rng, max(1, self._limit - rounds * self._round))
        return self.advance(parameters)

    def add(self, fragments: list[Fragment]) -> None:
        """The Explorer's sink: keep fragments until the round is over."""
        self._fragments += fragments

    def newer_than(self, version: int) -> tuple[dict[str, Array], int] | None:
        """The Explorer's parameters: another version only where a round begins."""
        newest = self._newest
        return newest if newest is not None and not self._done and newest.version > version else None

    def advance(self, parameters: Parameters | None = None) -> Explored:
        """Explore for about 100 ms, or to the end of a round, which goes to the trainer."""
        self._newest = parameters or self._newest
        deadline = time.perf_counter() + SLICE_SECONDS
        with self._randomness:
            while not self._over and time.perf_counter() < deadline:
                progress = self._explorer.advance(self._round - self._done)
                self._done += progress.steps
                self._episodes += progress.episodes
                self._over = self._explorer.steps >= (self._explorer.limit or 0)
                if self._done >= self._round or self._over:
                    self._send()
                    break
        return Explored(self._rounds, self._over, os.getpid())

    def _send(self) -> None:
        whole = Round(self._fragments, self._episodes, self._done, self._over)
        self._trainer.add.tell(self._number, whole)
        self._fragments, self._episodes, self._done = [], [], 0
        self._rounds += 1

    def on_stop(self) -> None:
        """Close the environments when the actor ends."""
        self._environments.close()


class TrainerRole:
    """Learns from rounds, cuts rows and snapshots where one has been learned from, and hands out the weights.

    Args:
        recipe: of the agent.
        marks: where to cut rows and snapshots.
        explorers: how many there are.
    """

    def __init__(self, recipe: Recipe, marks: Marks, explorers: int) -> None:
        self._marks, self._next_row, self._next_snapshot = marks, marks.row, marks.snapshot
        self._queues: list[deque[Round]] = [deque() for _ in range(explorers)]
        self._left = set(range(explorers))  # those that have more to do
        self._episodes: list[Episode] = []
        self._steps = self._rounds = self._received = 0
        self._learning = self._over = False
        self._handed_out = 0
        self._staleness = 0.0
        self._parts = recipe.build()
        self._updates = Updates(self._parts)

    def add(self, explorer: int, whole: Round) -> None:
        """Take the next round of an explorer."""
        self._queues[explorer].append(whole)
        self._received += 1

    def advance(self) -> Learned:
        """Learn for about 100 ms, or until nothing is left to learn from."""
        deadline = time.perf_counter() + SLICE_SECONDS
        rows: list[Row] = []
        snapshots: list[Snapshot] = []
        while time.perf_counter() < deadline and not self._over:
            if self._updates.outstanding:
                self._updates.one()
            elif self._learning:
                self._learning = False
                self._rounds += 1
                self._cut(rows, snapshots)
            elif not self._begin():
                break
        report = Report(self._steps, rows, snapshots, self._over)
        pending = self._learning or self._complete()
        return Learned(report, self._rounds, self._received, pending and not self._over, self._parameters())

    def _complete(self) -> bool:
        """Whether the next round of every explorer that has one to come is there."""
        return bool(self._left) and all(self._queues[explorer] for explorer in self._left)

    def _begin(self) -> bool:
        if not self._complete():
            return False
        for explorer in sorted(self._left):
            whole = self._queues[explorer].popleft()
            self._parts.table.add(whole.fragments)
            self._staleness = max(
                (float(self._updates.count - fragment["version"]) for fragment in whole.fragments), default=0.0
            )
            self._episodes += whole.episodes
            self._steps += whole.steps
            if whole.last:
                self._left.discard(explorer)
        self._learning = True
        return True

    def _cut(self, rows: list[Row], snapshots: list[Snapshot]) -> None:
        steps, marks = self._steps, self._marks
        self._over = over = not self._left
        if steps >= self._next_row or over:
            flow = {"staleness": self._staleness, "queue_depth": float(sum(map(len, self._queues)))}
            rows.append(Row(steps, self._episodes, {"dropped_episodes": 0.0, **flow, **self._updates.metrics(steps)}))
            self._episodes = []
            self._next_row = steps - steps % marks.row + marks.row
        if steps >= self._next_snapshot or over:
            self._updates.push()
            state = {"steps": steps, **self._updates.state_dict()}
            snapshots.append(Snapshot(steps, copy_of(self._parts.policy), state))
            self._next_snapshot = steps - steps % marks.snapshot + marks.snapshot

    def _parameters(self) -> Parameters | None:
        if self._rounds == self._handed_out:
            return None
        self._handed_out = self._rounds
        return Parameters(share(self._parts.learner.get_weights()), self._updates.count)


def check_streamed(config: Any) -> None:
    """Refuse (TypeError) an agent that does not learn from fragments."""
    if not getattr(config, "on_policy", False):
        raise TypeError(
            f"Dataflow streams fragments to a trainer, and {type(config).__name__} learns from a replay buffer: use "
            f"PPOConfig, A2CConfig, ReinforceConfig or ImpalaConfig, or the arrangements Central and SharedReplay"
        )


@contextmanager
def wired_dataflow(
    arrangement: Dataflow, recipe: Recipe, source: EnvironmentSource, marks: Marks
) -> Iterator[tuple[ActorRef[TrainerRole], list[ActorRef[ExplorerRole]]]]:
    """The trainer and the explorers, in a system that runs. They are stopped when the block ends."""
    n, k = arrangement.explorers, arrangement.environments_per_explorer
    seeds, makers = environment_seeds(recipe.seed, n * k), source.makers(n * k)
    trainer = startat(None, TrainerRole, recipe, marks, n)
    explorers: list[ActorRef[ExplorerRole]] = []
    try:
        for e in range(n):
            mine = slice(e * k, (e + 1) * k)
            limit = marks.total // (n * k) * k + k * (e < marks.total // k % n)
            if e == n - 1:
                limit += marks.total % k
            spawn = startat(None, **RESTARTED)(ExplorerRole)
            explorers.append(spawn(recipe, makers[mine], seeds[mine], e, trainer, limit))
        yield trainer, explorers
    except BaseException:
        for explorer in explorers:
            kill(explorer)  # a step may never end, and nobody wants its result
        kill(trainer)
        raise
    for explorer in explorers:
        close_environment(explorer)
    stop(trainer)
