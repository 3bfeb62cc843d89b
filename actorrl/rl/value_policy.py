"""The policy of value-based agents: the best action, or what its exploration makes of the values. DQN and Q-learning
build it.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from actorrl.rl.exploration import Exploration
from actorrl.rl.nouns import Acted, Array


class QFunction(Protocol):
    """Values of actions, with weights that can be replaced."""

    def __call__(self, observations: Array) -> Array:
        """Q-values [B, n] of observations [B, *o]."""
        ...

    def set_weights(self, weights: dict[str, Array]) -> None:
        """Take its own weights, by their names, from among these."""
        ...


class ValuePolicy:
    """Acts on Q-values; implements `Policy`, picklable.

    Args:
        q: Q-values [B, n] of observations [B, *o].
        exploration: chooses where exploring.
        first: the number of the first action, where a Discrete space does not start at 0.
        average: acts in place of `q` where not exploring: its slow average, whose weights come under "average.".
            One update can turn the greedy action of states whose actions are worth nearly the same; averages stay.
    """

    def __init__(
        self, q: QFunction, exploration: Exploration, first: int = 0, average: QFunction | None = None
    ) -> None:
        self.q, self.exploration, self.first, self.average = q, exploration, first, average
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
        action = self.exploration.choose(q, step, rng) if explore else q.argmax(-1)
        return Acted(action + self.first if self.first else action, state, {"q": q})

    def explain(self, observations: Array, action_mask: Array | None = None) -> dict[str, Array]:
        """What greedy acting compares: q float32 [B, n], −inf where `action_mask` forbids."""
        q = self.q(observations) if self.average is None else self.average(observations)
        return {"q": q if action_mask is None else np.where(action_mask, q, -np.inf)}

    def set_weights(self, weights: dict[str, Array], version: int) -> None:
        self.q.set_weights(weights)
        if self.average is not None:
            self.average.set_weights({name[8:]: w for name, w in weights.items() if name.startswith("average.")})
        self.version = version

    def metrics(self, step: int) -> dict[str, float]:
        """ε, or the temperature, at a step count."""
        return self.exploration.metrics(step)
