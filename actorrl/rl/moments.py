"""Running mean and variance of streams of arrays, per dimension; observations and rewards are normalised by them.

Two streams' moments merge into those of both, whichever order they came in. Chan et al. 1979, "Updating formulae and a
pairwise algorithm for computing sample variances".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from actorrl.rl.nouns import Array

EPSILON = 1e-8
CLIP = 10.0


class Moments:
    """Mean and variance of everything seen, float64 [*shape], and how many there were."""

    def __init__(self, shape: tuple[int, ...] = ()) -> None:
        self.mean, self.var, self.count = np.zeros(shape), np.ones(shape), 0

    def update(self, values: Array) -> None:
        """Take in values [n, *shape]."""
        values = np.asarray(values, np.float64)
        if len(values):
            self.merge(values.mean(0), values.var(0), len(values))

    def merge(self, mean: Array, var: Array, count: int) -> None:
        """Take in what another stream amounts to."""
        total = self.count + count
        delta = mean - self.mean
        square = self.var * self.count + var * count + delta**2 * (self.count * count / total)
        self.mean, self.var, self.count = self.mean + delta * (count / total), square / total, total

    @property
    def std(self) -> Array:
        """The standard deviation, 1 before anything was seen and never quite 0."""
        return np.sqrt(self.var + EPSILON)

    def state_dict(self) -> dict[str, Any]:
        """As copies."""
        return {"mean": self.mean.copy(), "var": self.var.copy(), "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.mean, self.var = np.array(state["mean"]), np.array(state["var"])
        self.count = int(state["count"])


class Standardiser:
    """(x − mean) / std, clipped to ±10, float32: what a policy and its learner do to observations, with one version
    of the same moments.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.mean, self.std = np.zeros(shape, np.float32), np.ones(shape, np.float32)

    def __call__(self, observation: Array) -> Array:
        """Normalised observations [..., *shape]."""
        normalised = (observation - self.mean) / self.std
        return np.clip(normalised, -CLIP, CLIP, out=normalised)

    def follow(self, moments: Moments) -> None:
        """Take the moments as they are now."""
        self.mean, self.std = moments.mean.astype(np.float32), moments.std.astype(np.float32)


class DiscountedReturns:
    """The scale of rewards: the standard deviation of each environment's discounted return so far.

    Rewards are divided by it and not shifted, as a constant shift changes what a longer episode is worth. Engstrom et
    al. 2020, "Implementation matters in deep policy gradients".
    """

    def __init__(self, gamma: float) -> None:
        self.gamma, self.moments = gamma, Moments()
        self._running: dict[int, Array] = {}

    def update(self, reward: Array, ended: Array, source: int = 0, into: Moments | None = None) -> None:
        """Take in rewards [T, k] of one explorer; `ended` bool [T, k] where an episode ends.

        `into` other moments, where these are merged with somebody else's first.
        """
        running = self._running.get(source)
        if running is None or len(running) != reward.shape[1]:
            running = np.zeros(reward.shape[1])
        seen = np.empty(reward.shape)
        for t in range(len(reward)):
            running = running * self.gamma + reward[t]
            seen[t] = running
            running = running * ~ended[t]
        self._running[source] = running
        (self.moments if into is None else into).update(seen.reshape(-1))

    def state_dict(self) -> dict[str, Any]:
        """The moments, and each explorer's returns so far, as copies."""
        running = {f"running.{source}": values.copy() for source, values in self._running.items()}
        return {**self.moments.state_dict(), **running}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.moments.load_state_dict(state)
        self._running = {int(name[8:]): np.array(v) for name, v in state.items() if name.startswith("running.")}

    @property
    def scale(self) -> float:
        """What rewards are divided by."""
        return float(self.moments.std)
