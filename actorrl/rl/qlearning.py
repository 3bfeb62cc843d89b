"""Tabular Q-learning: the config, the discretiser for Box observations, and the learner.

Watkins and Dayan 1992, "Q-learning": Q(s, a) += α (r + γ max_a' Q(s', a') − Q(s, a)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from actorrl.rl import seeding
from actorrl.rl.exploration import EpsilonGreedy
from actorrl.rl.nouns import Array, Cadence, Parts, Updated
from actorrl.rl.ranges import require
from actorrl.rl.schedules import Linear
from actorrl.rl.spaces import Encoder, require_actions
from actorrl.rl.tables import StreamTable
from actorrl.rl.value_policy import ValuePolicy

DEFAULT_TOTAL_STEPS = 100_000
MOST_STATES = 10_000_000
INITIAL_NOISE = 1e-3  # breaks ties between actions nobody has tried


@dataclass(frozen=True)
class QLearningConfig:
    """Tabular Q-learning for Discrete actions; Discrete observations as they are, Box observations cut into cells."""

    learning_rate: float = 0.1
    """α at the start."""
    learning_rate_final: float = 0.1
    """α when `total_steps` are over; it falls in a straight line."""
    gamma: float = 0.99
    """Discount per environment step."""
    bins: int | tuple[int, ...] = 10
    """Cells per dimension of a Box observation, or one number for each dimension."""
    low: tuple[float, ...] | None = None
    """Where the cells of each dimension begin; the space's own bound where None."""
    high: tuple[float, ...] | None = None
    """Where the cells of each dimension end; the space's own bound where None."""
    initial_value: float = 0.0
    """What every action is thought to be worth before it has been tried."""
    exploration_initial_eps: float = 1.0
    """The probability of a random action at the start."""
    exploration_final_eps: float = 0.05
    """The probability of a random action once exploration has been annealed."""
    exploration_fraction: float = 0.5
    """The part of `total_steps` over which it is annealed, counted in the agent's own environment steps."""
    total_steps: int | None = None
    """The steps that schedules stretch over; None for those `train` is given (100,000 in a loop of your own)."""

    on_policy: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require(self, "positive", "learning_rate")
        require(self, "not negative", "learning_rate_final")
        require(self, "between 0 and 1", "gamma", "exploration_fraction", "learning_rate")
        require(self, "between 0 and 1", "exploration_initial_eps", "exploration_final_eps")

    def encoder(self, observation_space: gymnasium.Space) -> Encoder | Discretiser:
        """What numbers an observation for this algorithm; ValueError where the space does not fit."""
        if isinstance(observation_space, Discrete):
            return Encoder(observation_space, keep_discrete=True)
        if isinstance(observation_space, Box):
            return Discretiser.of(observation_space, self.bins, self.low, self.high)
        raise ValueError(
            f"QLearningConfig observes Discrete and Box spaces, this environment has {observation_space}; "
            f"algorithms that fit: DQNConfig, PPOConfig, A2CConfig, ReinforceConfig, ImpalaConfig"
        )

    def build(self, observation_space: gymnasium.Space, action_space: gymnasium.Space, seed: int | None) -> Parts:
        """Policy, learner and table; ValueError where a space does not fit."""
        encoder = self.encoder(observation_space)
        require_actions(action_space, "QLearningConfig")
        n, first = int(action_space.n), int(action_space.start)  # type: ignore[attr-defined]
        states = int(encoder.encoded_space.n)  # type: ignore[union-attr]
        if states * n > MOST_STATES:
            raise ValueError(
                f"a table of {states} states × {n} actions is too large ({MOST_STATES} entries at most): choose fewer "
                f"bins, or an algorithm that generalises: DQNConfig"
            )
        rng = seeding.generator(seed, seeding.LEARNER)
        values = self.initial_value + INITIAL_NOISE * rng.random((states, n))
        total = self.total_steps or DEFAULT_TOTAL_STEPS
        epsilon = Linear(self.exploration_initial_eps, self.exploration_final_eps, self.exploration_fraction * total)
        return Parts(
            ValuePolicy(TableQ(values), EpsilonGreedy(epsilon), first),
            QLearner(values, Linear(self.learning_rate, self.learning_rate_final, total), first),
            StreamTable(),
            Cadence(),
            1,
            self.gamma,
            encoder,
        )


@dataclass(frozen=True)
class Discretiser:
    """Numbers the cells of a grid over a Box; what lies outside belongs to the outermost cells. An encoder; picklable.

    Attributes:
        space: the Box.
        grid: for each dimension where the grid begins, cells per unit, the last cell, and what one cell further is
            worth in the number of a state.
    """

    space: Box
    grid: tuple[tuple[float, float, int, int], ...]

    @classmethod
    def of(
        cls,
        space: Box,
        bins: int | tuple[int, ...],
        low: tuple[float, ...] | None = None,
        high: tuple[float, ...] | None = None,
    ) -> Discretiser:
        """A grid over a Box; ValueError where a bound is infinite or the numbers do not match its dimensions."""
        d = int(np.prod(space.shape))
        counts = np.full(d, bins) if isinstance(bins, int) else np.asarray(bins, np.int64)
        lows = np.asarray(space.low.reshape(-1) if low is None else low, np.float64)
        highs = np.asarray(space.high.reshape(-1) if high is None else high, np.float64)
        for name, values in (("bins", counts), ("low", lows), ("high", highs)):
            if values.shape != (d,):
                raise ValueError(f"{name} must have {d} numbers, one per dimension of {space}, found {len(values)}")
        if counts.min() < 1:
            raise ValueError(f"bins must be at least 1, found {bins}")
        # A bound of 3.4e38 is gymnasium's way to say that there is none.
        if not (np.abs(lows) < 1e30).all() or not (np.abs(highs) < 1e30).all():
            raise ValueError(f"{space} has no bounds to cut into cells: give QLearningConfig low= and high=")
        if not (lows < highs).all():
            raise ValueError(f"low must be below high in every dimension, found {lows} and {highs}")
        sizes = counts.tolist()
        strides = [math.prod(sizes[i + 1 :]) for i in range(d)]
        scales = (counts / (highs - lows)).tolist()
        return cls(space, tuple(zip(lows.tolist(), scales, (counts - 1).tolist(), strides, strict=True)))

    @property
    def encoded_space(self) -> Discrete:
        """The numbers of the cells."""
        return Discrete(math.prod(most + 1 for _, _, most, _ in self.grid))

    def __call__(self, observation: Any) -> Array:
        """The number int64 [] of the cell of one observation."""
        state = 0
        values = np.asarray(observation).reshape(-1).tolist()
        for x, (low, scale, most, stride) in zip(values, self.grid, strict=True):
            cell = (x - low) * scale
            if cell >= most:
                state += most * stride
            elif cell > 0:
                state += int(cell) * stride
        return np.int64(state)  # type: ignore[return-value]

    def is_one(self, observation: Any) -> bool:
        """Whether this is one observation rather than a batch of them."""
        return np.shape(observation) == self.space.shape

    def batch(self, observations: Any) -> Array:
        """int64 [B] of a sequence of observations."""
        return np.array([self(observation) for observation in observations])


class TableQ:
    """Q-values read from a table [states, n]; in one process it is the learner's own table."""

    def __init__(self, values: Array) -> None:
        self._values = values

    def __call__(self, observations: Array) -> Array:
        return self._values[observations]

    def set_weights(self, weights: dict[str, Array]) -> None:
        self._values = weights["values"]


class QLearner:
    """Moves single entries of the table, row after row; one-step rows.

    Args:
        values: the table, float64 [states, n], changed in place.
        rate: α as a function of the rows learned from.
        first: the number of the first action.
    """

    def __init__(self, values: Array, rate: Linear, first: int = 0) -> None:
        self._values, self._rate, self._first = values, rate, first
        self._rows = 0

    def update(self, batch: dict[str, Array]) -> Updated:
        """Learn from rows [B] in their order. `td` is float64 [B]."""
        values = self._values
        rate = self._rate(self._rows)
        td = np.empty(len(batch["reward"]))
        rows = zip(
            *(batch[name].tolist() for name in ("observation", "action", "reward", "observation_next", "discount")),
            strict=True,
        )
        for i, (state, action, reward, state_next, discount) in enumerate(rows):
            own = values[state]
            td[i] = reward + discount * values[state_next].max() - own[action - self._first]
            own[action - self._first] += rate * td[i]
        self._rows += len(td)
        return Updated({"td": abs(float(td[-1])), "learning_rate": rate}, td)

    def get_weights(self) -> dict[str, Array]:
        """The table itself: copy it to keep it."""
        return {"values": self._values}

    def state_dict(self) -> dict[str, Any]:
        """A copy of the table, and the count of rows learned from."""
        return {"values": self._values.copy(), "rows": self._rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._values[...] = state["values"]
        self._rows = int(state["rows"])
