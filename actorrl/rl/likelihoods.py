"""Log-probabilities and entropies of what was drawn, in torch: the learner's half of drawing.py.

Made of torch.distributions, without its checks of arguments, which cost a small network more than its layers.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Categorical, Normal

from actorrl.rl.drawing import FORBIDDEN, Choices, Gaussian


class Likelihood(NamedTuple):
    """Of a batch of actions, under the policy as it is now."""

    log_prob: Tensor
    """float [B]."""
    entropy: Tensor
    """In nats, float [B]."""


def likelihood(
    head: Choices | Gaussian, outputs: Tensor, log_std: Tensor | None, drawn: Tensor, mask: Tensor | None
) -> Likelihood:
    """How likely `drawn` is.

    Args:
        head: what it was drawn by.
        outputs: the network's [B, outputs].
        log_std: of a Gaussian head [a].
        drawn: int64 [B] or [B, d], counted from 0; float [B, a], normalised and not clipped.
        mask: bool [B, n], what was legal.
    """
    if isinstance(head, Gaussian):
        assert log_std is not None
        normal = Normal(outputs, log_std.exp().expand_as(outputs), validate_args=False)
        return Likelihood(normal.log_prob(drawn).sum(-1), normal.entropy().sum(-1))
    if mask is not None:
        outputs = torch.where(mask, outputs, FORBIDDEN)
    if head.single:
        return _choice(outputs, drawn)
    parts = zip(outputs.split(head.sizes, -1), drawn.unbind(-1), strict=True)
    log_prob, entropy = zip(*(_choice(logits, choice) for logits, choice in parts), strict=True)
    return Likelihood(torch.stack(log_prob).sum(0), torch.stack(entropy).sum(0))


def _choice(logits: Tensor, choice: Tensor) -> Likelihood:
    categorical = Categorical(logits=logits, validate_args=False)
    return Likelihood(categorical.log_prob(choice), categorical.entropy())
