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


def td_slope(chosen: Tensor, target: Tensor, loss: str = "huber") -> Tensor:
    """The derivative of `td_loss` by `chosen`, [B]."""
    error = chosen - target
    return error.clamp_(-1.0, 1.0).div_(len(error)) if loss == "huber" else error.mul_(2.0 / len(error))


def td_loss(chosen: Tensor, target: Tensor, loss: str = "huber") -> Tensor:
    """The mean Huber (quadratic up to 1) or squared error of the chosen actions' values [B] against targets [B]."""
    return functional.smooth_l1_loss(chosen, target) if loss == "huber" else functional.mse_loss(chosen, target)
