"""How an agent does something else than what seems best: ε-greedy, Boltzmann, Gaussian noise. Policies ask.

Each counts in the agent's own environment steps, and draws from the generator it is given.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from actorrl.rl.nouns import Array
from actorrl.rl.schedules import Linear


class Exploration(Protocol):
    """Chooses among actions by their values."""

    def choose(self, q: Array, step: int, rng: np.random.Generator) -> Array:
        """Actions int64 [B] for Q-values [B, n], −inf where an action is forbidden."""
        ...

    def metrics(self, step: int) -> dict[str, float]:
        """What to report after so many of the agent's own steps."""
        ...


class EpsilonGreedy:
    """The best action, with probability ε any other that is legal or itself, all with the same chance."""

    def __init__(self, epsilon: Linear) -> None:
        self.epsilon = epsilon

    def choose(self, q: Array, step: int, rng: np.random.Generator) -> Array:
        action, epsilon = q.argmax(-1), self.epsilon(step)
        for i in range(len(action)):
            if rng.random() < epsilon:
                legal = np.flatnonzero(q[i] > -np.inf)
                every = len(legal) in (0, q.shape[1])
                action[i] = rng.integers(q.shape[1]) if every else rng.choice(legal)
        return action

    def metrics(self, step: int) -> dict[str, float]:
        return {"epsilon": self.epsilon(step)}


class Boltzmann:
    """Action a with a chance in proportion to exp(Q(s, a) / temperature): what seems better is tried more often.

    The temperature is in units of Q; at 0 the best action is taken.
    """

    def __init__(self, temperature: Linear) -> None:
        self.temperature = temperature

    def choose(self, q: Array, step: int, rng: np.random.Generator) -> Array:
        # The largest of Q + T · Gumbel noise is distributed as softmax(Q / T), and nothing can overflow.
        return (q + self.temperature(step) * rng.gumbel(size=q.shape)).argmax(-1)

    def metrics(self, step: int) -> dict[str, float]:
        return {"temperature": self.temperature(step)}


class GaussianNoise:
    """Adds N(0, scale²) to actions in [−1, 1] and clips them to that range again."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def disturb(self, action: Array, rng: np.random.Generator) -> Array:
        """Actions float32 [B, a] of actions [B, a]."""
        noise = rng.standard_normal(action.shape, np.float32)
        return np.clip(action + np.float32(self.scale) * noise, -1.0, 1.0)


def epsilon_ladder(agent: int, agents: int, base: float = 0.4, steepness: float = 7.0) -> float:
    """The constant ε of one agent among several, from `base` for the first to base^(1 + steepness) for the last.

    ε_i = base^(1 + steepness · i / (agents − 1)), Horgan et al. 2018, "Distributed prioritized experience replay".
    """
    if not 0 <= agent < agents:
        raise ValueError(f"expected agent between 0 and {agents - 1}, found {agent}")
    return base ** (1.0 + steepness * agent / max(agents - 1, 1))
