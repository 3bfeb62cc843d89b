"""Advantages and value targets of fragments: GAE and V-trace. Learners that learn from fragments call it.

Arrays are time-major, [T, ...]: step t leads from s_t by a_t and r_t to the next observation. Where an episode ends
inside a fragment the next observation is its *true last* one, not the first of the episode that follows; so is
`v_next_t`, and nothing flows back over the end. A terminated step is worth nothing afterwards, a truncated one what
the value function says of its last observation. All sums run in float64.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Array = np.ndarray


class VTrace(NamedTuple):
    """What V-trace makes of a fragment; float64 [T, ...] each."""

    value: Array
    """vs_t, what V(s_t) is moved towards."""
    advantage: Array
    """ρ_t (r_t + discount_t · vs_{t+1} − V(s_t)), what the policy's gradient is weighted with."""


def gae(
    r_t: Array, v_t: Array, v_next_t: Array, terminated: Array, truncated: Array, gamma: float, gae_lambda: float
) -> Array:
    """Generalised advantage estimates, Â_t = Σ_i (γλ)^i δ_{t+i} with δ_t = r_t + γ (1 − terminated) v_next_t − v_t.

    λ = 0 gives δ_t, λ = 1 the discounted return minus v_t. Schulman et al. 2016, "High-dimensional continuous control
    using generalized advantage estimation".

    Args:
        r_t: rewards [T, ...].
        v_t: V(s_t) [T, ...].
        v_next_t: V of each step's true next observation [T, ...].
        terminated, truncated: bool [T, ...], never both.
        gamma: discount per step.
        gae_lambda: λ, from 0 to 1.

    Returns:
        float64 [T, ...].
    """
    delta = r_t + gamma * ~terminated * np.asarray(v_next_t, np.float64) - v_t
    carry = gamma * gae_lambda * ~(terminated | truncated)
    advantage = np.empty(np.shape(r_t), np.float64)
    total = np.zeros(np.shape(r_t)[1:])
    for t in range(len(r_t) - 1, -1, -1):
        total = delta[t] + carry[t] * total
        advantage[t] = total
    return advantage


def vtrace(
    r_t: Array,
    v_t: Array,
    v_next_t: Array,
    terminated: Array,
    truncated: Array,
    log_rho_t: Array,
    gamma: float,
    *,
    rho_clip: float = 1.0,
    c_clip: float = 1.0,
    gae_lambda: float = 1.0,
) -> VTrace:
    """Off-policy corrected values and advantages. Espeholt et al. 2018, "IMPALA".

    vs_t = v_t + δ_t + γ c_t (vs_{t+1} − v_{t+1}) with δ_t = ρ_t (r_t + γ (1 − terminated) v_next_t − v_t); behind an
    end and behind the fragment's last step nothing is added. On policy, with clips of at least 1, that is the n-step
    return to the end of the episode or of the fragment.

    Args:
        r_t, v_t, v_next_t, terminated, truncated, gamma: as for `gae`.
        log_rho_t: log π(a_t|s_t) − log μ(a_t|s_t), of the policy that learns and the one that acted [T, ...].
        rho_clip: ρ̄, the most that ρ_t = π/μ counts for in δ_t and in the advantage.
        c_clip: c̄, the most that it counts for in c_t; at most ρ̄.
        gae_lambda: a factor of c_t.

    Raises:
        ValueError: c̄ > ρ̄, for which the paper proves nothing.
    """
    if c_clip > rho_clip:
        raise ValueError(f"c_clip must be at most rho_clip, found {c_clip} and {rho_clip}")
    ratio = np.exp(np.asarray(log_rho_t, np.float64))
    rho, c = np.minimum(ratio, rho_clip), gae_lambda * np.minimum(ratio, c_clip)
    live, goes_on = ~terminated, ~(terminated | truncated)
    v_t, v_next_t = np.asarray(v_t, np.float64), np.asarray(v_next_t, np.float64)
    delta = rho * (r_t + gamma * live * v_next_t - v_t)
    correction = np.empty(np.shape(r_t), np.float64)
    total = np.zeros(np.shape(r_t)[1:])
    for t in range(len(r_t) - 1, -1, -1):
        total = delta[t] + gamma * c[t] * goes_on[t] * total
        correction[t] = total
    value = v_t + correction
    vs_next = v_next_t.copy()
    vs_next[:-1] = np.where(goes_on[:-1], value[1:], v_next_t[:-1])
    return VTrace(value, rho * (r_t + gamma * live * vs_next - v_t))
