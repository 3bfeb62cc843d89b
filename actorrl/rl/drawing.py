"""What a stochastic policy draws from its network's outputs: one choice, several choices, or numbers in a Box.

numpy only, so that an explorer can act without torch; `likelihoods.py` is the learner's half of the same
distributions. Outputs are [B, outputs], action masks bool [B, n].
"""

from __future__ import annotations

import functools
from bisect import bisect_left, bisect_right
from itertools import accumulate
from math import exp, log
from typing import Any, Protocol

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete

from actorrl.rl.nouns import Array

FORBIDDEN = -1e9
"""The logit of an action that a mask forbids: its probability is 0 in float32, its logarithm finite."""
FEW, FEW_LOGITS = 16, 64
"""Up to so many choices, of so many logits in all, are drawn in plain Python."""
TINY, HUGE = 1e-100, 1e100
"""A sum of exponentials that lies between has lost no digit to what a float can hold."""


class Head(Protocol):
    """From outputs to actions."""

    outputs: int
    """How many numbers the network gives per observation."""

    def draw(self, outputs: Array, rng: np.random.Generator, mask: Array | None) -> tuple[Array, dict[str, Array]]:
        """Actions as the environment takes them [B, *a], and what a learner needs: log_prob f32 [B], drawn."""
        ...

    def greedy(self, outputs: Array, mask: Array | None) -> Array:
        """The most likely actions [B, *a]."""
        ...

    def explain(self, outputs: Array, mask: Array | None) -> dict[str, Array]:
        """What is drawn from: probabilities [B, outputs], or mean and std [B, *a] as the environment sees actions."""
        ...

    def set_weights(self, weights: dict[str, Array]) -> None:
        """Take the weights that belong to the head and not to the network."""
        ...


class Choices:
    """One categorical choice (Discrete) or several independent ones (MultiDiscrete), from logits side by side.

    What is drawn is counted from 0: int64 [B], or [B, d].
    """

    def __init__(self, space: Discrete | MultiDiscrete) -> None:
        self.single = isinstance(space, Discrete)
        sizes = [space.n] if isinstance(space, Discrete) else space.nvec.tolist()
        self.sizes = [int(size) for size in sizes]
        self._first = np.atleast_1d(np.asarray(space.start, np.int64))
        self._shifted = bool(self._first.any())
        self.outputs = sum(self.sizes)
        self._splits = np.cumsum(self.sizes)[:-1]

    def draw(self, outputs: Array, rng: np.random.Generator, mask: Array | None) -> tuple[Array, dict[str, Array]]:
        log_prob: Any = None
        drawn = []
        for logits in self._parts(outputs, mask):
            draw_each = draw_few if len(logits) <= FEW and logits.size <= FEW_LOGITS else draw_many
            choice, likely = draw_each(logits, rng.random(len(logits)))
            log_prob = likely if log_prob is None else log_prob + likely
            drawn.append(choice)
        choices = drawn[0] if self.single else np.stack(drawn, 1)
        return self._out(choices), {"log_prob": log_prob.astype(np.float32, copy=False), "drawn": choices}

    def greedy(self, outputs: Array, mask: Array | None) -> Array:
        best = [logits.argmax(-1) for logits in self._parts(outputs, mask)]
        return self._out(best[0] if self.single else np.stack(best, 1))

    def explain(self, outputs: Array, mask: Array | None) -> dict[str, Array]:
        likely = [np.exp(logits - logits.max(-1, keepdims=True)) for logits in self._parts(outputs, mask)]
        return {"probabilities": np.concatenate([part / part.sum(-1, keepdims=True) for part in likely], -1)}

    def set_weights(self, weights: dict[str, Array]) -> None:
        """There are none."""

    def _parts(self, outputs: Array, mask: Array | None) -> list[Array]:
        """The logits of each choice."""
        if mask is not None:
            outputs = np.where(mask, outputs, np.float32(FORBIDDEN))
        return [outputs] if self.single else np.split(outputs, self._splits, -1)

    def _out(self, choices: Array) -> Array:
        if not self._shifted:
            return choices
        return choices + (self._first[0] if self.single else self._first)


class Gaussian:
    """Numbers in a Box: normal around the network's outputs, each with a standard deviation of its own.

    What is drawn, float32 [B, a], is normalised: −1 and 1 are the bounds of a bounded dimension; what lies outside is
    clipped for the environment only. An unbounded dimension is taken as it is.
    """

    def __init__(self, space: Box) -> None:
        self.shape = space.shape
        low, high = (bound.astype(np.float32).reshape(-1) for bound in (space.low, space.high))
        bounded = np.isfinite(low) & np.isfinite(high)
        with np.errstate(invalid="ignore"):
            self._middle = np.where(bounded, 0.5 * (low + high), 0).astype(np.float32)
            self._half = np.where(bounded, 0.5 * (high - low), 1).astype(np.float32)
        self._low, self._high = low, high
        self.outputs = len(low)
        self.log_std = np.zeros(self.outputs, np.float32)

    def draw(self, outputs: Array, rng: np.random.Generator, mask: Array | None) -> tuple[Array, dict[str, Array]]:
        noise = rng.standard_normal(outputs.shape, np.float32)
        drawn = outputs + np.exp(self.log_std) * noise
        log_prob = (-0.5 * noise**2 - self.log_std - np.float32(0.5 * np.log(2 * np.pi))).sum(-1)
        return self._out(drawn), {"log_prob": log_prob.astype(np.float32), "drawn": drawn}

    def greedy(self, outputs: Array, mask: Array | None) -> Array:
        return self._out(outputs)

    def explain(self, outputs: Array, mask: Array | None) -> dict[str, Array]:
        mean = (self._middle + self._half * outputs).reshape(-1, *self.shape)
        std = np.broadcast_to(self._half * np.exp(self.log_std), outputs.shape)
        return {"mean": mean, "std": std.reshape(mean.shape)}

    def set_weights(self, weights: dict[str, Array]) -> None:
        self.log_std = np.array(weights["log_std"])

    def _out(self, drawn: Array) -> Array:
        return np.clip(self._middle + self._half * drawn, self._low, self._high).reshape(-1, *self.shape)


def head_for(space: gymnasium.Space, algorithm: str) -> Choices | Gaussian:
    """The head for an action space that the algorithm acts in; ValueError for a Box of whole numbers."""
    if isinstance(space, (Discrete, MultiDiscrete)):
        return Choices(space)
    assert isinstance(space, Box)
    if not np.issubdtype(space.dtype, np.floating):
        raise ValueError(f"{algorithm} acts in Box spaces of floats, this environment has {space}: wrap its actions")
    return Gaussian(space)


def draw_many(logits: Array, uniforms: Array) -> tuple[Array, Array]:
    """For each of logits [B, n] and numbers f64 [B] in [0, 1): a choice int64 [B], and its log-probability [B]."""
    rows = logits.T  # [n, B], as networks in numpy give them: sums over a first axis take half the time
    rows = rows - np.maximum.reduce(rows, 0)
    summed = np.add.accumulate(np.exp(rows), 0)
    below = summed.astype(np.float64)  # as exact as the random numbers; a mixed product takes twice as long
    choice = (below > uniforms * below[-1]).argmax(0)
    return choice, rows[choice, _places(len(choice))] - np.log(summed[-1])


def draw_few(logits: Array, uniforms: Array) -> tuple[Array, Array]:
    """`draw_many` row by row in plain Python, which costs less than numpy's ten calls where rows are few: most of all
    between the steps of environments, which need the caches. There plain loops beat `map` and `accumulate` too.
    """
    choices, likely = [], []
    for row, uniform in zip(logits.tolist(), uniforms.tolist(), strict=True):
        summed, total = [], 0.0
        try:
            for logit in row:
                total += exp(logit)
                summed.append(total)
        except OverflowError:
            total = 0.0
        if not TINY < total < HUGE:  # then they are weighed by what they are less than the largest
            top = max(row)
            row = [logit - top for logit in row]
            summed = list(accumulate(map(exp, row)))
            total = summed[-1]
        choice = bisect_right(summed, uniform * total)
        if choice == len(row):  # the product was rounded up, or something here is no number
            choice = bisect_left(summed, total)
        choices.append(choice)
        likely.append(row[choice] - log(total))
    return np.array(choices, np.int64), np.array(likely, np.float32)


@functools.lru_cache(maxsize=16)
def _places(count: int) -> Array:
    """0 .. count - 1, to pick one of each column with."""
    places = np.arange(count)
    places.flags.writeable = False
    return places
