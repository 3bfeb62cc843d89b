"""Pure losses and targets of value-based learning, in torch, with time in the names. Learners call them.

Shapes: B batch, n actions. `discount_t` already holds γ^j (1 − terminated), so a terminal state is worth nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def q_learning_target(
    r_t: Tensor, discount_t: Tensor, q_t: Tensor, selector_t: Tensor | None = None, mask_t: Tensor | None = None
) -> Tensor:
    """y = r_t + discount_t · q_t[argmax_a selector_t].

    With `selector_t` from the online network and `q_t` from the target network it is the double Q-learning target
    (van Hasselt et al. 2016, "Deep reinforcement learning with double Q-learning"); without, that of Mnih et al. 2015.

    Args:
        r_t: sums of rewards, float [B].
        discount_t: float [B].
        q_t: values of the next observations, float [B, n].
        selector_t: what chooses the next action, float [B, n]; `q_t` where None.
        mask_t: bool [B, n], the actions that are legal in the next observations; all where None.
    """
    selector_t = q_t if selector_t is None else selector_t
    if mask_t is not None:
        selector_t = selector_t.masked_fill(~mask_t, -torch.inf)
    best = selector_t.argmax(1, keepdim=True)
    return torch.addcmul(r_t, discount_t, q_t.gather(1, best).squeeze(1))


def td_slope(chosen: Tensor, target: Tensor, loss: str = "td", weight: Tensor | None = None) -> Tensor:
    """The derivative of `td_loss` by `chosen`, in its shape."""
    error = chosen - target
    slope = error.mul_(2.0 / len(error)) if loss == "mse" else error.clamp_(-1.0, 1.0).div_(len(error))
    return slope if weight is None else slope.mul_(weight)


def td_loss(chosen: Tensor, target: Tensor, loss: str = "td", weight: Tensor | None = None) -> Tensor:
    """The mean error of the chosen actions' values [B] against targets [B], each multiplied by its `weight` [B].

    Squared where `loss` is "mse", else Huber's, which is half the square up to 1 and grows linearly beyond.
    """
    error = functional.mse_loss if loss == "mse" else functional.smooth_l1_loss
    if weight is None:
        return error(chosen, target)
    return (weight * error(chosen, target, reduction="none")).mean()


def quantile_target(
    r_t: Tensor, discount_t: Tensor, z_t: Tensor, selector_t: Tensor | None = None, mask_t: Tensor | None = None
) -> Tensor:
    """y_j = r_t + discount_t · z_t[argmax_a mean_j selector_t[a, j], j]: the target's quantiles, [B, N].

    Args:
        r_t: sums of rewards, float [B].
        discount_t: float [B].
        z_t: quantiles of the next observations' returns, float [B, n, N].
        selector_t: what chooses the next action, float [B, n, N]; `z_t` where None.
        mask_t: bool [B, n], the actions that are legal in the next observations; all where None.
    """
    q_t = (z_t if selector_t is None else selector_t).mean(2)
    if mask_t is not None:
        q_t = q_t.masked_fill(~mask_t, -torch.inf)
    best = z_t[torch.arange(len(z_t)), q_t.argmax(1)]
    return r_t[:, None] + discount_t[:, None] * best


def quantile_loss(z_tm1: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """The mean over rows of Σ_i E_j |τ_i − 1{u_ij < 0}| · Huber(u_ij), u_ij = target_j − z_i, τ_i = (i + ½) / N.

    Dabney et al. 2018, "Distributional reinforcement learning with quantile regression", with κ = 1.

    Args:
        z_tm1: quantiles of the chosen actions' returns, float [B, N].
        target: samples or quantiles of what they should be, float [B, M].
        weight: multiplies each row's loss, float [B].
    """
    N = z_tm1.shape[1]
    middle = (torch.arange(N, dtype=z_tm1.dtype) + 0.5) / N
    z, y = z_tm1[:, :, None], target[:, None, :]
    z, y = torch.broadcast_tensors(z, y)
    huber = functional.smooth_l1_loss(z, y, reduction="none")
    per_row = ((middle[:, None] - (y < z).to(z.dtype)).abs() * huber).mean(2).sum(1)
    return per_row.mean() if weight is None else (weight * per_row).mean()
