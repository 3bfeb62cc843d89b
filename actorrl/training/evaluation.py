"""Evaluation: how good an agent is, in environments and with random numbers of evaluation's own.

The Runner submits snapshots to a `Selection` and lets it play in slices beside training; `Run.evaluate` plays one
`Audition` to its end. Nothing here learns, and nothing draws from training's generators.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from actorrl.rl.adapters import PerStep
from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.explorer import Explorer
from actorrl.rl.lanes import InlineLanes
from actorrl.rl.nouns import Array, Policy
from actorrl.rl.ranges import require
from actorrl.rl.seeding import EVALUATION, EVALUATION_POLICY, environment_seeds, generator, sequence
from actorrl.rl.tracks import Episode
from actorrl.training.copies import OwnRandomness
from actorrl.training.environment_source import UNLIMITED, EnvironmentSource

VECTOR = 5  # environments that are played at once, so that one act serves them all
CLOSING = 1_000_000  # the first seed number of evaluations after training; those before it are for selection


@dataclass(frozen=True)
class EvaluationPlan:
    """The `evaluation` of a run: when to play, and how much."""

    every: int | None = None
    """Training steps from one evaluation to the next, of all agents together; where None a twentieth of all steps, and
    at least 1,000 of each agent's own."""
    episodes: int = 10
    """Episodes per evaluation."""
    confirm: int = 50
    """Extra fresh episodes before a candidate becomes `best`."""
    final: int = 100
    """Fresh episodes of `best` and of `final` when training is over."""

    checkpoint_buffer: bool = True
    """Whether checkpoints hold the replay buffer; without it a run that goes on fills it anew before it learns."""

    def __post_init__(self) -> None:
        require(self, "positive", "episodes", "confirm", "final", *([] if self.every is None else ["every"]))

    def interval(self, steps: int, agents: int = 1) -> int:
        """An agent's own steps from one evaluation to the next, in a run of so many steps of all."""
        return max(1, self.every // agents) if self.every else max(steps // agents // 20, 1_000)


class Evaluation(float):
    """The result of an evaluation: the mean return as a number, and what it is the mean of.

    Attributes:
        returns: float64 [episodes], raw.
        lengths: int64 [episodes], steps.
        greedy: False where the agent has no `greedy_action` and explored.
    """

    returns: Array
    lengths: Array
    greedy: bool

    @classmethod
    def of(cls, episodes: Sequence[Episode], greedy: bool) -> Evaluation:
        """Of the episodes played."""
        returns = np.array([episode.return_ for episode in episodes], np.float64)
        result = cls(returns.mean() if len(returns) else float("nan"))
        result.returns, result.greedy = returns, greedy
        result.lengths = np.array([episode.length for episode in episodes], np.int64)
        return result

    @classmethod
    def joined(cls, parts: Sequence[Evaluation]) -> Evaluation:
        """Several as one."""
        returns = np.concatenate([part.returns for part in parts])
        result = cls(returns.mean())
        result.returns, result.greedy = returns, all(part.greedy for part in parts)
        result.lengths = np.concatenate([part.lengths for part in parts])
        return result

    @property
    def mean(self) -> float:
        """The mean return."""
        return float(self)

    @property
    def std(self) -> float:
        """The standard deviation over episodes."""
        return float(self.returns.std()) if len(self.returns) else float("nan")

    def __str__(self) -> str:
        explored = "" if self.greedy else " with exploration"
        return f"mean return {self.mean:.1f} ± {self.std:.1f} over {len(self.returns)} episodes{explored}"

    __repr__ = __str__


class Player(NamedTuple):
    """Who acts in an evaluation."""

    policy: Policy
    encode: Callable[[Any], Array] | None
    """Makes an array of an observation; None for a bare agent, which sees it raw."""
    greedy: bool

    @classmethod
    def of_agent(cls, agent: Any, action_space: gymnasium.Space) -> Player:
        """A bare agent: `greedy_action` if it has one, else `get_action`."""
        return cls(PerStep(agent, action_space, greedy=True), None, hasattr(agent, "greedy_action"))  # type: ignore[arg-type]


class Audition:
    """Episodes of one player, played in slices of about 100 ms.

    Each environment has its own share: taking the first episodes to finish would prefer short ones.

    Args:
        patience: seconds after which an audition ends early, as soon as every environment has finished one episode.
    """

    def __init__(
        self,
        player: Player,
        environments: LocalEnvironments,
        episodes: int,
        seeds: Sequence[int],
        rng: np.random.Generator,
        randomness: OwnRandomness,
        patience: float = float("inf"),
    ) -> None:
        self._explorer = Explorer(InlineLanes([environments], seeds), player.policy, seed=rng, explore=False)
        k = len(environments)
        self._shares = [episodes // k + (i < episodes % k) for i in range(k)]
        self._played: list[list[Episode]] = [[] for _ in range(k)]
        self._greedy, self._randomness, self._patience = player.greedy, randomness, patience
        self.seconds = 0.0
        self.result: Evaluation | None = None

    def advance(self) -> bool:
        """Play on for about 100 ms; whether it is over, and `result` is there."""
        began = time.perf_counter()
        with self._randomness:
            while time.perf_counter() - began < 0.1 and self.result is None:
                for episode in self._explorer.advance(200).episodes:
                    self._played[episode.environment].append(episode)
                self._finish_if_done(self.seconds + time.perf_counter() - began)
        self.seconds += time.perf_counter() - began
        return self.result is not None

    def _finish_if_done(self, seconds: float) -> None:
        enough = [1 if seconds > self._patience else share for share in self._shares]
        if all(len(played) >= share for played, share in zip(self._played, enough, strict=True)):
            episodes = [e for played, share in zip(self._played, self._shares, strict=True) for e in played[:share]]
            self.result = Evaluation.of(episodes, self._greedy)

    def finish(self) -> Evaluation:
        """Play to the end."""
        while not self.advance():
            continue
        assert self.result is not None
        return self.result


class Evaluator:
    """Evaluation's own environments, made at first use, and its own seeds.

    Args:
        source: where environments come from.
        encode: of the algorithm; None for a bare agent.
        seed: the run's; environments and generators of evaluation have roles of their own.
    """

    def __init__(
        self,
        source: EnvironmentSource,
        encode: Callable[[Any], Array] | None,
        seed: int,
        *,
        first: int = 0,
        render: bool | str = False,
    ) -> None:
        self._source, self._encode, self._seed, self._next, self._render = source, encode, seed, first, render
        self._randomness = OwnRandomness(sequence(seed, EVALUATION_POLICY, first))
        self._environments: dict[int, LocalEnvironments] = {}

    def shown(self, player: Player, episodes: int) -> Evaluation:
        """What `audition` would play at once, one environment after the other, on the screen."""
        count, first = min(VECTOR, episodes) if self._source.copies else 1, self._next
        parts = []
        for i in range(count):
            self._next = first + i
            parts.append(self.audition(player, episodes // count + (i < episodes % count)).finish())
        return Evaluation.joined(parts)

    def audition(self, player: Player, episodes: int, patience: float = float("inf")) -> Audition:
        """So many fresh episodes of `player`, still to be played."""
        count = 1 if self._render or not self._source.copies else min(VECTOR, episodes)
        if count not in self._environments:
            makers = [self._source.maker(limit=UNLIMITED, render=self._render, raw=True) for _ in range(count)]
            with self._randomness:
                self._environments[count] = LocalEnvironments(makers, raw=self._encode is None, encode=self._encode)
        first, self._next = self._next, self._next + count
        seeds = environment_seeds(self._seed, count, role=EVALUATION, first=first)
        rng = generator(self._seed, EVALUATION_POLICY, first)
        # How many steps the one before took too many depends on the clock: what was drawn there must not matter.
        own = OwnRandomness(sequence(self._seed, EVALUATION_POLICY, first))
        return Audition(player, self._environments[count], episodes, seeds, rng, own, patience)

    def state_dict(self) -> dict[str, Any]:
        """Which seeds come next."""
        return {"next": self._next}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._next = int(state["next"])

    def close(self) -> None:
        """Close the environments."""
        if self._source.copies:
            for environments in self._environments.values():
                environments.close()
        self._environments.clear()
