"""The policy of value-based agents: the best action, with probability ε a random one. DQN and Q-learning build it."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from actorrl.rl.nouns import Acted, Array
from actorrl.rl.schedules import Linear


class QFunction(Protocol):
    """Values of actions, with weights that can be replaced."""

    def __call__(self, observations: Array) -> Array:
        """Q-values [B, n] of observations [B, *o]."""
        ...

    def set_weights(self, weights: dict[str, Array]) -> None:
        """Take its own weights, by their names, from among these."""
        ...


class EpsilonGreedy:
    """Acts on Q-values; implements `Policy`, picklable.

    Args:
        q: Q-values [B, n] of observations [B, *o].
        epsilon: the probability of a random action as a function of the agent's own environment steps.
        first: the number of the first action, where a Discrete space does not start at 0.
        average: acts in place of `q` where not exploring: its slow average, whose weights come under "average.".
            One update can turn the greedy action of states whose actions are worth nearly the same; averages stay.
    """

    def __init__(self, q: QFunction, epsilon: Linear, first: int = 0, average: QFunction | None = None) -> None:
        self.q, self.epsilon, self.first, self.average = q, epsilon, first, average
        self.version = 0

    def initial_state(self, B: int) -> tuple[()]:
        return ()

    def act(
        self,
        observations: Array,
        state: Any,
        step: int,
        *,
        explore: bool,
        rng: np.random.Generator,
        action_mask: Array | None = None,
    ) -> Acted:
        """Actions int64 [B]; extras q float32 [B, n], −inf where `action_mask` forbids."""
        q = self.q(observations) if explore or self.average is None else self.average(observations)
        if action_mask is not None:
            q = np.where(action_mask, q, -np.inf)
        action = q.argmax(-1)
        if explore:
            epsilon = self.epsilon(step)
            for i in range(len(action)):
                if rng.random() < epsilon:
                    action[i] = self._random(q[i], rng, action_mask is not None)
        return Acted(action + self.first if self.first else action, state, {"q": q})

    @staticmethod
    def _random(q: Array, rng: np.random.Generator, masked: bool) -> int:
        if not masked:
            return int(rng.integers(len(q)))
        legal = np.flatnonzero(q > -np.inf)
        return int(rng.choice(legal if len(legal) else len(q)))

    def set_weights(self, weights: dict[str, Array], version: int) -> None:
        self.q.set_weights(weights)
        if self.average is not None:
            self.average.set_weights({name[8:]: w for name, w in weights.items() if name.startswith("average.")})
        self.version = version

    def metrics(self, step: int) -> dict[str, float]:
        """ε at a step count."""
        return {"epsilon": self.epsilon(step)}
