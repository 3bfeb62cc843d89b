"""Losses of policies and value functions, as pure functions of torch. Learners of PPO, A2C and IMPALA call them.

B batch; advantages are constants, gradients flow through log-probabilities and values.
"""

from __future__ import annotations

from torch import Tensor


def clipped_surrogate(log_prob: Tensor, log_prob_old: Tensor, advantage: Tensor, clip_range: float) -> Tensor:
    """−mean min(r Â, clip(r, 1 ± clip_range) Â) with r = π/π_old. Schulman et al. 2017, "Proximal policy optimization".

    Args:
        log_prob: of the actions under the policy that learns, float [B].
        log_prob_old: under the one that acted [B].
        advantage: Â [B].
        clip_range: how far the ratio counts beyond 1.
    """
    ratio = (log_prob - log_prob_old).exp()
    clipped = ratio.clamp(1.0 - clip_range, 1.0 + clip_range)
    return -(ratio * advantage).minimum(clipped * advantage).mean()


def policy_gradient(log_prob: Tensor, advantage: Tensor) -> Tensor:
    """−mean log π · Â. Williams 1992, "Simple statistical gradient-following algorithms"."""
    return -(log_prob * advantage).mean()


def value_loss(value: Tensor, target: Tensor) -> Tensor:
    """Half the mean squared error of values [B]."""
    return 0.5 * (value - target).square().mean()


def approximate_kl(log_prob: Tensor, log_prob_old: Tensor) -> Tensor:
    """KL(π_old ‖ π) from samples of π_old: mean (r − 1) − log r, never negative. Schulman 2020, "Approximating KL"."""
    log_ratio = log_prob - log_prob_old
    return (log_ratio.exp() - 1.0 - log_ratio).mean()


def clipped_part(log_prob: Tensor, log_prob_old: Tensor, clip_range: float) -> Tensor:
    """The part of the ratios that lie outside 1 ± clip_range."""
    return (((log_prob - log_prob_old).exp() - 1.0).abs() > clip_range).float().mean()


def normalised(advantage: Tensor) -> Tensor:
    """Of mean 0 and standard deviation 1; unchanged where there are fewer than two."""
    if len(advantage) < 2:
        return advantage
    return (advantage - advantage.mean()) / (advantage.std() + 1e-8)
