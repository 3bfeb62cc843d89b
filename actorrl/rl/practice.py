"""Explorer, table and learner of one agent in one process. `arrangement=None` runs it inline, `Central` in an actor.

    advance(n):   explorer ─ steps ─► table ─ batches ─► learner ─ weights ─► policy (the explorer's)

With a bare agent there is only the explorer: `PerStep` is its policy and its sink.
"""

from __future__ import annotations

import time
from typing import Any

import gymnasium

from actorrl.rl import explorer as explorer_module
from actorrl.rl.adapters import PerStep
from actorrl.rl.cadence import Updates
from actorrl.rl.explorer import Explorer, Progress
from actorrl.rl.lanes import Lanes
from actorrl.rl.nouns import Environments, Parts
from actorrl.rl.seeding import EXPLORER, generator
from actorrl.rl.stopwatch import SILENT, Stopwatch
from actorrl.rl.tracks import Episode
from actorrl.rl.windows import NStepWindow


class Practice:
    """One agent that explores and learns, in bounded slices.

    Args:
        explorer: steps the environments; built over `parts.policy` and `parts.table`, or over a `PerStep`.
        parts: of the algorithm; None for a bare agent.
    """

    def __init__(self, explorer: Explorer, parts: Parts | None = None) -> None:
        self.explorer, self.parts = explorer, parts
        self.steps = 0  # environment steps, those of before a resume included
        self._updates = Updates(parts) if parts else None
        self.clock = SILENT

    def timed_by(self, clock: Stopwatch) -> None:
        """Let a stopwatch time exploring and learning; whoever calls `advance` begins and ends its slices."""
        self.clock = self.explorer.clock = clock
        if self._updates is not None:
            self._updates.clock = clock

    @classmethod
    def of_parts(
        cls, parts: Parts, environments: Lanes | Environments, *, seed: int | None, limit: int | None = None, i: int = 0
    ) -> Practice:
        """An algorithm over lanes (or one `Environments`); `limit` is the total of steps, `i` the agent's number."""
        explorer = Explorer(
            environments,
            parts.policy,
            parts.table,
            seed=generator(seed, EXPLORER, i),
            window=getattr(parts.table, "window", None) or NStepWindow(parts.n_steps, parts.gamma),
            limit=limit,
        )
        return cls(explorer, parts)

    @classmethod
    def of_agent(
        cls,
        agent: Any,
        environments: Lanes | Environments,
        action_space: gymnasium.Space | None = None,
        *,
        seed: int | None,
        limit: int | None = None,
    ) -> Practice:
        """A bare agent over lanes (or one `Environments`) that give raw observations."""
        adapter = PerStep(agent, action_space)
        return cls(Explorer(environments, adapter, adapter, seed=generator(seed, EXPLORER), limit=limit))

    def advance(self, steps: int) -> Progress:
        """Do up to `steps` environment steps and the updates they bring, for at most about 100 ms."""
        if self._updates is None:
            progress = self.explorer.advance(steps)
            self.steps = self.explorer.steps
            return progress
        updates, explorer = self._updates, self.explorer
        before, episodes = explorer.steps, list[Episode]()
        deadline = time.perf_counter() + explorer_module.SLICE_SECONDS
        while time.perf_counter() < deadline:
            if (updates.owed or updates.paced) and updates.one():
                continue
            wanted = before + steps - explorer.steps
            if wanted <= 0:
                break
            if updates.paced and self.parts.table.blocked():  # type: ignore[union-attr]
                continue  # too few have been sampled for more to be added: somebody else's turn
            updates.push()
            progress = explorer.advance(min(wanted, updates.steps_until_due(explorer.steps)))
            if not progress.steps:
                break
            episodes += progress.episodes
            updates.steps_taken(explorer.steps)
        updates.push()
        self.steps = explorer.steps
        return Progress(explorer.steps - before, episodes)

    @property
    def settled(self) -> bool:
        """Whether every update owed for the steps taken has been done; a slice may end before."""
        return not (self._updates and self._updates.outstanding)

    @property
    def done(self) -> bool:
        """Whether the limit is reached and every update owed has been done."""
        limit = self.explorer.limit
        return limit is not None and self.steps >= limit and self.settled

    def metrics(self) -> dict[str, float]:
        """The latest figures: loss, q, td, epsilon, learning_rate, updates; {} for a bare agent."""
        return self._updates.metrics(self.steps) if self._updates else {}

    def state_dict(self) -> dict[str, Any]:
        """Everything learned, as numpy arrays and numbers under flat names; not the table, not the environments."""
        if self._updates is None:
            return dict(self.explorer.policy.agent.state_dict())  # type: ignore[attr-defined]
        return {"steps": self.steps, **self._updates.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        if self._updates is None:
            self.explorer.policy.agent.load_state_dict(state)  # type: ignore[attr-defined]
            return
        self.steps = self.explorer.steps = self.explorer.chosen = int(state["steps"])
        self._updates.load_state_dict(state)

    def training_state(self, table: bool = True) -> dict[str, Any]:
        """What it takes beside `state_dict` to go on as if nothing had happened: counts, generators, the table.

        Bit for bit where nothing is owed and the explorer has just begun again; else what was in flight is lost.
        """
        updates = self._updates.training_state(table) if self._updates else None
        return {"explorer": self.explorer.state_dict(), "updates": updates}

    def saved(self, rows: int | None) -> None:
        """A checkpoint is on the disk; with the table as it was when so many rows had been added."""
        if self._updates is not None:
            self._updates.saved(rows)

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Take back what `training_state` gave; what was learned has been loaded before."""
        self.explorer.load_state_dict(state["explorer"])
        self.steps = self.explorer.steps
        if self._updates is not None:
            self._updates.load_training_state(state["updates"], self.steps)
