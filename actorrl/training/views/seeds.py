"""Statistics over runs that differ by their seed. Pure functions; `overlay` and `report` call them.

The interquartile mean and its bootstrap interval are those that Agarwal et al. 2021, "Deep reinforcement learning at
the edge of the statistical precipice", recommend for few runs: robust against one lucky seed, and honest about spread.
"""

from __future__ import annotations

import itertools

import numpy as np

Array = np.ndarray
RESAMPLES = 2_000
"""Bootstrap samples, where there are too many runs to go through all of them."""
EXACT = 5
"""Up to so many runs every sample with replacement is looked at: 5 ** 5 of them."""


def interquartile_mean(values: Array) -> Array:
    """The mean of the middle half along axis 0; [n, ...] to [...].

    Where n is no multiple of four, the two values at the quartiles count by the part of them that lies inside: of three
    values the outer two count a quarter each.
    """
    n = len(values)
    ranks = np.arange(n)
    inside = np.clip(np.minimum(ranks + 1, 0.75 * n) - np.maximum(ranks, 0.25 * n), 0.0, 1.0)
    return np.tensordot(inside / inside.sum(), np.sort(values, 0), 1)


def resamples(n: int, rng: np.random.Generator, most: int = RESAMPLES) -> Array:
    """Which runs are in each bootstrap sample: int64 [samples, n]. All n ** n of them for up to EXACT runs."""
    if n <= EXACT:
        return np.array(list(itertools.product(range(n), repeat=n)), np.int64).reshape(-1, n)
    return rng.integers(n, size=(most, n))


def bootstrap_interval(values: Array, level: float = 0.95, seed: int = 0) -> tuple[Array, Array]:
    """The interval in which the interquartile mean of resampled runs lies; [n, ...] to two of [...].

    Percentiles of the bootstrap distribution, so that `level` of it is between them. For few runs they are exact, else
    drawn from `seed`, so that a picture is the same each time it is drawn.
    """
    samples = resamples(len(values), np.random.default_rng(seed))
    means = interquartile_mean(np.moveaxis(values[samples], 1, 0))
    outside = 50.0 * (1.0 - level)
    low, high = np.percentile(means, [outside, 100.0 - outside], axis=0)
    return low, high


def on_grid(grid: Array, steps: Array, values: Array) -> Array:
    """A curve's values at the step counts of `grid`, in straight lines between its own; NaN outside of them."""
    return np.interp(grid, steps, values, left=np.nan, right=np.nan)


def together(curves: list[tuple[Array, Array]], points: int = 200) -> tuple[Array, Array]:
    """Curves (steps, values) of several runs at common step counts, where all of them have values.

    Returns:
        steps float64 [points] and values float64 [runs, points]; [0] and [runs, 0] where they have nothing in common.
    """
    first = max(steps[0] for steps, _ in curves)
    last = min(steps[-1] for steps, _ in curves)
    if last < first:
        return np.empty(0), np.empty((len(curves), 0))
    grid = np.linspace(first, last, points) if last > first else np.array([float(first)])
    return grid, np.stack([on_grid(grid, *curve) for curve in curves])
