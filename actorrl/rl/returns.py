"""Pure arithmetic of rewards, with time in the names. The n-step windows and the tests call it.

`r_t` are the rewards that follow the actions at t, t+1, ...; a discount already holds (1 − terminated).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

Array = np.ndarray


def discounted_sum(r_t: Iterable[float], gamma: float) -> float:
    """Σ_i γ^i r_{t+i}, by Horner's rule from a sequence of j rewards, oldest first."""
    total = 0.0
    for r in reversed(r_t if isinstance(r_t, Sequence) else list(r_t)):
        total = r + gamma * total
    return total


def discounted_returns(r_t: Array, discount_t: Array, v_T: float | Array = 0.0) -> Array:
    """G_t = r_t + discount_t G_{t+1} with G_T = v_T, for every t of a trajectory.

    Args:
        r_t: rewards [T, ...].
        discount_t: γ (1 − terminated) after each action [T, ...].
        v_T: the value bootstrapped from behind the last reward, [...] or a number.

    Returns:
        float64 [T, ...].
    """
    returns = np.empty(np.shape(r_t), np.float64)
    total = np.asarray(v_T, np.float64)
    for t in range(len(r_t) - 1, -1, -1):
        total = r_t[t] + discount_t[t] * total
        returns[t] = total
    return returns
