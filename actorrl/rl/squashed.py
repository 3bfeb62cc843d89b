"""Pure maths of actor-critics with actions in (−1, 1): the squashed Gaussian, soft targets, smoothed targets.

SAC and TD3 learners call it. Shapes: B batch, a numbers in an action. `discount_t` holds γ^j (1 − terminated).
"""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional

from actorrl.rl.box_policy import LOG_STD_RANGE


def split_gaussian(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log standard deviation, each [B, a], of an actor's outputs [B, 2a]; the latter kept within bounds."""
    mean, log_std = outputs.chunk(2, -1)
    return mean, log_std.clamp(*LOG_STD_RANGE)


def squashed_sample(mean: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """tanh(u) [B, a] and its log-probability [B], where u = mean + std · noise and noise is standard normal [B, a]."""
    u = mean + log_std.exp() * noise
    return u.tanh(), squashed_log_prob(u, mean, log_std)


def squashed_log_prob(u: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """log π(tanh u) = Σ log N(u; mean, std) − Σ log(1 − tanh² u), [B], from u [B, a] before it was squashed.

    log(1 − tanh² u) = 2 (log 2 − u − softplus(−2u)) is finite for every u; atanh of an action is not. Haarnoja et al.
    2018, "Soft actor-critic", appendix C. That actions are scaled to a Box afterwards is a constant and left out.
    """
    z = (u - mean) * (-log_std).exp()
    gaussian = -0.5 * z.square() - log_std - 0.5 * math.log(2.0 * math.pi)
    volume = 2.0 * (math.log(2.0) - u - functional.softplus(-2.0 * u))
    return (gaussian - volume).sum(-1)


def soft_target(r_t: Tensor, discount_t: Tensor, q_t: Tensor, log_prob_t: Tensor, ent_coef: float) -> Tensor:
    """y = r_t + discount_t · (min_i q_t[i] − ent_coef · log_prob_t), [B].

    Args:
        r_t: sums of rewards, float [B].
        discount_t: float [B].
        q_t: what each critic's target says of an action drawn in the next observations, float [critics, B].
        log_prob_t: that action's log-probability, float [B].
        ent_coef: what a nat of entropy is worth.
    """
    return r_t + discount_t * (q_t.min(0).values - ent_coef * log_prob_t)


def clipped_target(r_t: Tensor, discount_t: Tensor, q_t: Tensor) -> Tensor:
    """y = r_t + discount_t · min_i q_t[i], [B], of q_t [critics, B]; Fujimoto et al. 2018, "TD3"."""
    return r_t + discount_t * q_t.min(0).values


def smoothed(action: Tensor, noise: Tensor, scale: float, most: float) -> Tensor:
    """Actions [B, a] in [−1, 1] with noise · scale added, which is clipped to ±most; the sum is clipped to [−1, 1].

    All of it in the normalised range, whatever the Box: target policy smoothing of Fujimoto et al. 2018, "TD3".
    """
    return (action + (noise * scale).clamp(-most, most)).clamp(-1.0, 1.0)


def critics_loss(q_tm1: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Σ_i mean of weight · (q_tm1[i] − target)², for q_tm1 [critics, B], target [B], weight [B]."""
    error = (q_tm1 - target).square()
    return (error if weight is None else weight * error).mean(1).sum()


def temperature_slope(log_prob: Tensor, target_entropy: float) -> Tensor:
    """The derivative by log α of −log α · mean(log_prob + target_entropy): α falls while entropy exceeds its target."""
    return -(log_prob.mean() + target_entropy)
