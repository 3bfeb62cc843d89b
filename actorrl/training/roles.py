"""The agent's role: exploring and learning in slices, with rows and snapshots at fixed step counts.

    Runner ── advance() ──► AgentRole ── Practice ──► lanes ──► environments
           ◄── Report ────

In `arrangement=None` the Runner holds it through an `InlineRef`; in `Central` it is an actor. Rows and snapshots are
cut here, by steps and not by time, so that they are the same wherever the role lives and however it is sliced.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium

from actorrl.rl.adapters import StepAgent
from actorrl.rl.explorer import SLICE_SECONDS
from actorrl.rl.finite import require_state
from actorrl.rl.nouns import Array, Parts
from actorrl.rl.practice import Practice
from actorrl.rl.seeding import EXPLORER, sequence
from actorrl.rl.spaces import Encoder
from actorrl.rl.stopwatch import Stopwatch, Times
from actorrl.rl.tracks import Episode
from actorrl.training.copies import OwnRandomness, copy_of

LEAST_SECONDS, MOST_SECONDS = 1.0, 9.0
"""Between two checkpoints of a role: at least so many, and where environments are not reset so soon, at most, the time
that it takes to make and to write one included."""
SHARE = 20.0
"""Nor is one made sooner than after so many times what the one before took, up to these."""


class Row(NamedTuple):
    """What happened since the row before."""

    steps: int
    """Of this agent, since the start."""
    episodes: list[Episode]
    figures: dict[str, float]
    """loss, q, epsilon, ...: what the algorithm says of itself."""
    agent: int = 0
    """Which of several agents."""


class Snapshot(NamedTuple):
    """The agent as it was after so many steps; a copy."""

    steps: int
    policy: Any
    """What acts: the algorithm's policy, or the bare agent."""
    state: Any
    """Its state_dict; None for a bare agent without one."""
    agent: int = 0
    """Which of several agents."""


class Saved(NamedTuple):
    """All that one role needs to go on from here, in another process on another day; its part of a checkpoint."""

    snapshot: Snapshot
    """What has been learned."""
    training: dict[str, Any]
    """Everything else: plain values and arrays, as a file without code can hold them."""
    exact: bool
    """Whether the role went on from here in just this state, with environments that were reset."""
    done: bool = False
    """Whether there is nothing more to do."""

    @property
    def table(self) -> dict[str, Any] | None:
        """The state of the replay table; None where it was not kept."""
        return (self.training["practice"]["updates"] or {}).get("table")

    def with_table(self, table: dict[str, Any] | None) -> Saved:
        """The same with another state of the table; None for none."""
        practice = self.training["practice"]
        practice = {**practice, "updates": {**practice["updates"], "table": table}}
        return self._replace(training={**self.training, "practice": practice})


class Brought(NamedTuple):
    """That steps came in: a round of an explorer, or what an agent did in a slice."""

    role: str
    """Whose: "explorer 2"; "agent", or of several "agent 1"."""
    steps: int
    """How many of its environments."""


class Report(NamedTuple):
    """The answer to one `advance`."""

    steps: int
    rows: list[Row]
    snapshots: list[Snapshot]
    done: bool
    dropped: int = 0
    """Episodes that were broken off so far, because their environments crashed."""
    incidents: tuple[str, ...] = ()
    """What happened to environments, in words."""
    times: tuple[Times, ...] = ()
    """Where the time went, of this role and of those that it speaks for."""
    saved: Saved | None = None
    """Where it was time to."""
    brought: tuple[Brought, ...] = ()
    """What the new `steps` are made of, in their order."""


@dataclass(frozen=True)
class Marks:
    """At which step counts rows and snapshots are cut; both also at the end."""

    total: int
    row: int
    snapshot: int
    reset: int = 0
    """Steps from one reset of all environments to the next, where a checkpoint can be exact; 0 for none."""
    table: bool = True
    """Whether checkpoints hold the replay table."""


@dataclass(frozen=True)
class Recipe:
    """What an agent is made of, before it lives anywhere; travels to where it will."""

    agent: Any
    """A config, or the user's own object."""
    bare: bool
    """Whether it is the user's own object."""
    observation_space: gymnasium.Space
    action_space: gymnasium.Space
    seed: int
    saved: Saved | None = None
    """Where its role goes on from; None to begin."""
    weights: dict[str, Any] | None = None
    """Of the learner's state_dict, what it begins with in place of its own; None for nothing."""

    def build(self) -> Parts:
        """Policy, learner and table of the config; observations become arrays in our way where it has none."""
        parts = self.agent.build(self.observation_space, self.action_space, self.seed)
        if self.weights is not None:
            parts.learner.load_state_dict({**parts.learner.state_dict(), **self.weights})
            parts.policy.set_weights(parts.learner.get_weights(), 0)
        return parts if parts.encode is not None else parts._replace(encode=Encoder(self.observation_space))

    def encoder(self) -> Callable[[Any], Array] | None:
        """What makes an array of an observation; None for a bare agent, which sees it raw."""
        if self.bare:
            return None
        own = getattr(self.agent, "encoder", None)
        return own(self.observation_space) if own is not None else self.build().encode

    def restored(self, state: Any) -> Any:
        """What a `Snapshot` has as its policy, from its state."""
        if self.bare:
            agent = copy_of(self.agent)
            agent.load_state_dict(state)
            return agent
        agent = StepAgent(self.build(), self.seed)
        agent.load_state_dict(state)
        return agent.parts.policy

    def practice(self, lanes: Any, total: int, table: Any = None) -> Practice:
        """The agent over lanes, with a table of its own unless one is given. A bare agent is trained as it is: pass
        a copy.
        """
        if self.bare:
            return Practice.of_agent(self.agent, lanes, self.action_space, seed=self.seed, limit=total)
        parts = self.build() if table is None else self.build()._replace(table=table)
        return Practice.of_parts(parts, lanes, seed=self.seed, limit=total)


def timed(advance: Callable[[Any], Report]) -> Callable[[Any], Report]:
    """A role's `advance` as a slice of its clock, with what that says in the report."""

    @functools.wraps(advance)
    def slice_of(role: Any) -> Report:
        role.clock.begin()
        report = advance(role)
        role.clock.end()
        times = role.clock.take()
        return report if times is None else report._replace(times=(*report.times, times))

    return slice_of


class AgentRole:
    """Explores and learns, a slice at a time.

    Every `marks.reset` steps it resets its environments, so that what follows depends on nothing but what a
    checkpoint holds; whether one is made there depends on the clock, and changes nothing.

    Args:
        recipe: of the agent.
        lanes: to the environments.
        marks: where to cut rows and snapshots, and when to end.
        table: shared with other agents; one of its own where not given.
        number: which of several agents this is.
    """

    def __init__(self, recipe: Recipe, lanes: Any, marks: Marks, *, table: Any = None, number: int = 0) -> None:
        # Bare agents draw from the global generators: the same numbers, wherever this role lives.
        self._randomness = OwnRandomness(sequence(recipe.seed, EXPLORER))
        self._marks = marks
        self._bare = recipe.agent if recipe.bare else None
        self._episodes: list[Episode] = []
        self._over = self._failed = False
        self._number, self._table = number, table
        with self._randomness:
            self._practice = recipe.practice(lanes, marks.total, table)
        self.clock = Stopwatch("agent" if table is None else f"agent {number}")
        self._practice.timed_by(self.clock)
        self._incidents: list[str] = getattr(lanes, "incidents", [])
        self._timing = Timing()
        self._fresh = recipe.saved is None
        if recipe.saved is not None:
            self._load(recipe.saved)
        steps, parts = self._practice.steps, self._practice.parts
        whole = parts.cadence.train_freq if parts is not None and getattr(parts.table, "paced", False) else 1
        self._every = -(-marks.reset // whole) * whole or marks.total  # not in the midst of a rollout
        self._next_row, self._next_snapshot = (after(steps, every) for every in (marks.row, marks.snapshot))
        self._next_reset = after(steps, self._every)

    @timed
    def advance(self) -> Report:
        """Work for about 100 ms, or to the end; after an error there is nothing left to do."""
        if self._failed:
            return Report(self._practice.steps, [], [], True)
        if self._fresh:  # whatever happens, there is this to go on from
            self._fresh = False
            return Report(0, [], [], False, saved=self.saved(exact=True))
        self._failed, exact = True, False
        deadline = time.perf_counter() + SLICE_SECONDS
        rows: list[Row] = []
        snapshots: list[Snapshot] = []
        practice = self._practice
        with self._randomness:
            while not self._over and time.perf_counter() < deadline and not (exact and self._timing.due):
                target = min(self._next_row, self._next_snapshot, self._next_reset, self._marks.total)
                practice.explorer.limit = min(self._next_reset, self._marks.total)
                self._episodes += practice.advance(max(target - practice.steps, 0)).episodes
                exact = False
                if practice.steps >= target and practice.settled:
                    self._cut(rows, snapshots)
                    exact = self._begin_again()
        if self._over and self._table is not None:
            self._table.finish()
        self._failed = False
        incidents = tuple(self._incidents)
        self._incidents.clear()
        saved = None
        if self._over or (exact and self._timing.due) or self._timing.overdue:
            with self._timing:
                saved = self.saved(exact)
            self.clock.mark("checkpoint")
        return Report(practice.steps, rows, snapshots, self._over, practice.explorer.dropped, incidents, saved=saved)

    def _cut(self, rows: list[Row], snapshots: list[Snapshot]) -> None:
        steps, marks = self._practice.steps, self._marks
        self._over = over = steps >= marks.total
        if steps >= self._next_row or over:
            dropped = {"dropped_episodes": float(self._practice.explorer.dropped)}
            rows.append(Row(steps, self._episodes, {**dropped, **self._practice.metrics()}, self._number))
            self._episodes = []
            self._next_row = after(steps, marks.row)
        if steps >= self._next_snapshot or over:
            snapshots.append(self._snapshot())
            self._next_snapshot = after(steps, marks.snapshot)
        self.clock.mark("rows, snapshots")

    def _begin_again(self) -> bool:
        """Reset the environments where it is time to; whether it was, and not merely the end."""
        steps, explorer = self._practice.steps, self._practice.explorer
        exact = steps >= self._next_reset
        if not exact and not self._over:
            return False
        while not explorer.idle:  # a lane of several environments may be asked for more steps than were left
            self._episodes += explorer.advance(explorer.chosen - explorer.steps).episodes
        explorer.begin_again()
        if self._table is not None and not self._table.paced:  # a limiter has counted them already
            self._table.forget()  # whoever goes on from a checkpoint has no batches on their way either
        self._next_reset = after(steps, self._every)
        return exact

    def _snapshot(self) -> Snapshot:
        if self._bare is not None:
            state = self._bare.state_dict() if hasattr(self._bare, "state_dict") else None
            return Snapshot(self._practice.steps, copy_of(self._bare), copy_of(state), self._number)
        parts = self._practice.parts
        assert parts is not None
        # The explorer takes new weights when it next acts; a snapshot is of what has been learned by now.
        parts.policy.set_weights(parts.learner.get_weights(), int(self._practice.metrics()["updates"]))
        return Snapshot(self._practice.steps, copy_of(parts.policy), self._practice.state_dict(), self._number)

    def end(self) -> None:
        """Be done when what is under way is answered, though there are steps left."""
        most = max(self._practice.explorer.chosen, 1)
        self._marks = dataclasses.replace(self._marks, total=min(self._marks.total, most))

    def saved(self, exact: bool = False) -> Saved:
        """What it takes to go on from here; inexact in the midst of episodes, whose steps so far are kept."""
        training = {
            "practice": self._practice.training_state(self._marks.table),
            "episodes": [list(episode) for episode in self._episodes],
            "randomness": self._randomness.state_dict(),
        }
        with self._randomness:
            snapshot = self._snapshot()
        if self._bare is None:
            require_state(snapshot.state)
        return Saved(snapshot, training, exact, self._over)

    def kept(self, rows: int | None, seconds: float) -> None:
        """A checkpoint is on the disk, with the table as it was after so many rows; it took so long to write."""
        self._timing.written = seconds
        self._practice.saved(rows)

    def _load(self, saved: Saved) -> None:
        practice, training = self._practice, saved.training
        with self._randomness:
            if saved.snapshot.state is not None:
                practice.load_state_dict(saved.snapshot.state)
            practice.load_training_state(training["practice"])
        self._episodes = [Episode(*values) for values in training["episodes"]]
        self._randomness.load_state_dict(training["randomness"])


class Timing:
    """When a checkpoint is worth what it costs: `with timing:` around making one."""

    def __init__(self) -> None:
        self._last, self._made = time.monotonic() - LEAST_SECONDS, 0.0  # the first reset is good at once
        self.written = 0.0
        """Seconds that the last one took to write."""

    @property
    def due(self) -> bool:
        """Whether the next reset of the environments is a good moment."""
        return time.monotonic() - self._last >= max(LEAST_SECONDS, min(SHARE * self._cost, MOST_SECONDS), self._cost)

    @property
    def overdue(self) -> bool:
        """Whether to wait for that no longer."""
        return time.monotonic() - self._last >= max(MOST_SECONDS - self._cost, self._cost)

    @property
    def _cost(self) -> float:
        return self._made + self.written

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._last = time.monotonic()
        self._made = self._last - self._began


def after(steps: int, every: int) -> int:
    """The first multiple of `every` that is more than `steps`."""
    return steps - steps % every + every


class InlineRef:
    """A role in this process with the interface of an ActorRef: calls run at once, and return completed Futures."""

    def __init__(self, role: Any) -> None:
        self._role = role

    def __getattr__(self, name: str) -> Callable[..., Future[Any]]:
        method = getattr(self._role, name)

        def call(*args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            try:
                future.set_result(method(*args, **kwargs))
            except Exception as error:
                future.set_exception(error)
            return future

        return call
