"""The explorer of a `Dataflow`: steps a vector of environments, and sends what happened to its trainer round by round.

    take(parameters, until) ──► slices of about 100 ms ──► trainer.add(number, Round) ── until as many have been sent
                                     └─ explore() to itself, between two slices of a round

It waits for nobody: what it may do, the trainer's `take` says, and between two slices whatever was sent to it is
heard. dataflow.py wires it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gymnasium

from actorrl.actor import current, seeds
from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.explorer import SLICE_SECONDS, Explorer
from actorrl.rl.lanes import InlineLanes
from actorrl.rl.nouns import Array
from actorrl.rl.seeding import EXPLORER, generator, seed_after, sequence
from actorrl.rl.stopwatch import Stopwatch
from actorrl.rl.tracks import Episode
from actorrl.rl.windows import NStepWindow
from actorrl.training.copies import seed_globals
from actorrl.training.policy_server import ServedPolicy
from actorrl.training.roles import Recipe, after
from actorrl.training.rounds import Leave, Parameters, Round

__all__ = ["ExplorerRole"]

BEHIND = 5
"""The nice value of an explorer that is ahead of its trainer. What it makes is needed only when the trainer is done
with what it has: of two explorers and a trainer on two cores, the trainer should have one to itself."""


class ExplorerRole:
    """Steps k environments with a copy of the policy, or with actions that a policy server chooses.

    Args:
        recipe: of the agent.
        makers: of the k environments, with `seeds` for their first reset.
        number: which explorer this is.
        trainer: gets `add(number, Round)`.
        length: steps of each environment per round.
        limit: environment steps in all.
        reset: rounds from one reset of all environments to the next, where a checkpoint can be exact; 0 for none.
        table: where rows go, for agents that learn from a replay buffer; what they learn from goes to the trainer
            where None.
        server: ref to the policy server that acts for it; it acts itself where None.
        groups: into how many its environments are dealt, so that one is stepped while another waits for actions.
        gives_way: whether its process goes behind the others where there are more of them than cores.
    """

    def __init__(
        self,
        recipe: Recipe,
        makers: Sequence[Callable[[], gymnasium.Env]],
        seeds: Sequence[int],
        number: int,
        trainer: Any,
        length: int,
        limit: int,
        reset: int = 0,
        table: Any = None,
        server: Any = None,
        groups: int = 1,
        gives_way: bool = False,
    ) -> None:
        if gives_way and hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, 0, max(BEHIND, os.getpriority(os.PRIO_PROCESS, 0)))
        seed_globals(sequence(recipe.seed, EXPLORER, number))  # which an actor at no place has to itself
        self._recipe, self._number, self._trainer, self._limit = recipe, number, trainer, limit
        self._seeds, self._table, self._server = list(seeds), table, server
        self._length, self._round = length, length * len(makers)
        self._every = reset * self._round or limit  # steps from one reset to the next
        self._fragments: list[Any] = []
        self._episodes: list[Episode] = []
        self._sent = self._until = self._done = 0  # rounds, rounds, and steps of the round so far
        self._version = self._next_reset = 0
        self._over = self._called = False
        self._failure: Exception | None = None
        self._newest: Parameters | None = None
        self._explorer: Explorer | None = None  # until it is told to begin
        self._clock = Stopwatch(f"explorer {number}")
        self._environments = [
            LocalEnvironments(mine, encode=recipe.encoder()) for mine in dealt(makers, min(groups, len(makers)))
        ]

    # -- what it is told ---------------------------------------------------------------------------

    def process(self) -> int:
        """Its process's id. That it answers says that its environments are made. Raises what it has failed of."""
        if self._failure is not None:
            raise self._failure
        return os.getpid()

    def begin(self, crashes: int, leave: Leave) -> None:
        """Start; after so many crashes with other seeds than those that led to the last one."""
        first, seed = self._seeds, self._recipe.seed
        if crashes:
            first, seed = [seed_after(one, crashes) for one in first], seed_after(seed, crashes)
        self._sent = leave.rounds
        with self._kept():
            parts = self._recipe.build()
            streamed = self._table is None
            window = parts.table.window if streamed else NStepWindow(parts.n_steps, parts.gamma)  # type: ignore[attr-defined]
            lanes = InlineLanes(self._environments, first)
            served = None if self._server is None else ServedPolicy(self._server, parts.policy)
            explorer = Explorer(
                lanes,
                served or parts.policy,
                self if streamed else self._table,
                self,
                seed=generator(seed, EXPLORER, self._number),
                window=window,
                pace=None if served is None else self._length,
            )
            explorer.clock, self._explorer = self._clock, explorer
            if leave.steps:
                state = explorer.state_dict() if leave.state is None else leave.state["explorer"]
                explorer.load_state_dict({**state, "steps": leave.steps})
            self._next_reset = after(leave.steps, self._every)
        if leave.state is not None:
            seeds.load(leave.state["randomness"])
        self.take(leave.parameters, leave.until)

    def take(self, parameters: Parameters | None, until: int) -> None:
        """Weights for the rounds that begin from now on, and how many rounds may be sent in all."""
        self._newest = parameters or self._newest
        self._until = max(self._until, until)
        if not self._called:
            self._go_on()

    def explore(self) -> None:
        """The next slice; its own message to itself."""
        self._called = False
        self._go_on()

    def on_stop(self) -> None:
        """Close the environments when the actor ends."""
        for environments in self._environments:
            environments.close()

    # -- what the Explorer asks of it --------------------------------------------------------------

    def add(self, fragments: list[Any]) -> None:
        """The Explorer's sink: keep fragments until the round is over."""
        self._fragments += fragments

    def newer_than(self, version: int) -> tuple[dict[str, Array], int] | None:
        """The Explorer's parameters: another version only where a round begins."""
        newest = self._newest
        return newest if newest is not None and not self._done and newest.version > version else None

    # -- what it does ------------------------------------------------------------------------------

    def _go_on(self) -> None:
        if not self._may():
            return
        with self._kept():
            self._clock.begin()
            self._slice()
            self._clock.end()
        if self._may():
            self._called = True
            myself: Any = current()
            myself.explore.tell()

    def _may(self) -> bool:
        ready = self._explorer is not None and self._failure is None and not self._over
        return ready and (self._done > 0 or self._sent < self._until)

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Keep an error for whoever asks how it is going: nobody waits for the answer to a tell."""
        try:
            yield
        except Exception as error:
            self._failure = error

    def _slice(self) -> None:
        """Explore for about 100 ms, or to the end of a round."""
        explorer = self._explorer
        assert explorer is not None
        deadline = time.perf_counter() + SLICE_SECONDS
        if not self._done and self._newest is not None:
            self._version = self._newest.version
        explorer.limit = min(self._next_reset, self._limit)  # no step is begun that a reset would break off
        while time.perf_counter() < deadline:
            progress = explorer.advance(self._round - self._done)
            self._done += progress.steps
            self._episodes += progress.episodes
            self._over = explorer.steps >= self._limit
            if self._done >= self._round or self._over:
                self._send(explorer)
                return

    def _send(self, explorer: Explorer) -> None:
        state = self._begun_again(explorer) if self._over or explorer.steps >= self._next_reset else None
        if self._table is not None:
            self._table.flush()
        times = self._clock.take()
        done = self._done, self._over, self._version, () if times is None else (times,)
        whole = Round(self._sent, self._fragments, self._episodes, *done, state)
        self._fragments, self._episodes, self._done = [], [], 0
        self._sent += 1
        self._trainer.add.tell(self._number, whole)
        self._clock.mark("sending")

    def _begun_again(self, explorer: Explorer) -> dict[str, Any]:
        """End every episode here, so that what follows depends on nothing but what this returns, and the weights."""
        explorer.begin_again()
        self._next_reset = after(explorer.steps, self._every)
        return {"explorer": explorer.state_dict(), "randomness": seeds.save()}


def dealt(items: Sequence[Any], groups: int) -> list[Sequence[Any]]:
    """The items in order, in so many groups of nearly one size."""
    ends = [len(items) * (group + 1) // groups for group in range(groups)]
    return [items[start:end] for start, end in zip([0, *ends], ends, strict=False)]
