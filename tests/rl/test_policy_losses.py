"""Policy losses against their formulas and each other."""

from __future__ import annotations

import pytest
import torch

from actorrl.rl.policy_losses import (
    approximate_kl,
    clipped_part,
    clipped_surrogate,
    normalised,
    policy_gradient,
    value_loss,
)


def test_where_nothing_has_changed_yet_the_surrogates_gradient_is_the_policy_gradient():
    advantage = torch.tensor([1.0, -2.0, 0.5])
    old = torch.tensor([-0.1, -1.0, -3.0])
    gradients = []
    for loss in (lambda lp: clipped_surrogate(lp, old, advantage, 0.2), lambda lp: policy_gradient(lp, advantage)):
        log_prob = old.clone().requires_grad_()
        loss(log_prob).backward()
        gradients.append(log_prob.grad)

    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected", "flows"),
    [
        (1.5, 1.0, 1.2, False),  # enough: no more reason to make it likelier
        (0.5, 1.0, 0.5, True),
        (0.5, -1.0, -0.8, False),
        (1.5, -1.0, -1.5, True),
        (1.1, 1.0, 1.1, True),
    ],
)
def test_the_surrogate_ends_where_the_ratio_has_gone_far_enough(ratio, advantage, expected, flows):
    log_prob = torch.tensor([ratio]).log().requires_grad_()
    loss = clipped_surrogate(log_prob, torch.zeros(1), torch.tensor([advantage]), 0.2)
    loss.backward()

    assert loss.item() == pytest.approx(-expected)
    assert (log_prob.grad.abs() > 0).item() == flows


def test_the_divergence_is_never_negative_and_near_the_true_one():
    logits, others = torch.tensor([0.1, 0.7, 0.2]).log(), torch.tensor([0.2, 0.5, 0.3]).log()
    drawn = torch.multinomial(logits.exp(), 100_000, replacement=True, generator=torch.Generator().manual_seed(0))

    found = approximate_kl(others[drawn], logits[drawn]).item()

    assert found == pytest.approx((logits.exp() * (logits - others)).sum().item(), rel=0.05)
    assert approximate_kl(torch.randn(50), torch.randn(50)) >= 0
    assert approximate_kl(logits, logits) == 0


def test_the_rest_by_hand():
    assert value_loss(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0])).item() == 1.0
    log_prob = torch.tensor([1.0, 1.19, 1.21, 0.79]).log()
    assert clipped_part(log_prob, torch.zeros(4), 0.2).item() == 0.5
    some = normalised(torch.tensor([1.0, 2.0, 6.0]))
    assert some.mean().item() == pytest.approx(0, abs=1e-6) and some.std().item() == pytest.approx(1)
    assert normalised(torch.tensor([5.0])).item() == 5.0, "of one there is no deviation"
