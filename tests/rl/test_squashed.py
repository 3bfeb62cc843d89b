"""The squashed Gaussian and the targets of actor-critics, against numbers, numerics and torch's own distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actorrl.rl.box_policy import LOG_STD_RANGE
from actorrl.rl.squashed import (
    clipped_target,
    critics_loss,
    smoothed,
    soft_target,
    split_gaussian,
    squashed_log_prob,
    squashed_sample,
    temperature_slope,
)


def tensor(*numbers) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


@given(st.floats(-3, 3), st.floats(-2, 1), st.floats(-3, 3))
def test_log_probabilities_are_those_of_the_change_of_variables(mean, log_std, u):
    """P(tanh u ≤ a) = Φ((atanh a − mean) / std), differentiated numerically."""
    h, a = 1e-6, math.tanh(u)

    def chance(a: float) -> float:
        return 0.5 * (1 + math.erf((math.atanh(a) - mean) / math.exp(log_std) / math.sqrt(2)))

    density = (chance(a + h * (1 - a * a)) - chance(a - h * (1 - a * a))) / (2 * h * (1 - a * a))
    found = squashed_log_prob(tensor([u]), tensor([mean]), tensor([log_std])).exp().item()

    assert found == pytest.approx(density, rel=1e-3, abs=1e-4)


def test_log_probabilities_are_torchs_and_sum_over_dimensions():
    generator = torch.Generator().manual_seed(0)
    mean, log_std, noise = (torch.randn((50, 3), generator=generator, dtype=torch.float64) / 2 for _ in range(3))
    theirs = torch.distributions.TransformedDistribution(
        torch.distributions.Normal(mean, log_std.exp()), torch.distributions.TanhTransform(cache_size=1)
    )

    action, log_prob = squashed_sample(mean, log_std, noise)

    torch.testing.assert_close(log_prob, theirs.log_prob(action).sum(1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("u", [20.0, -20.0, 200.0, -1e4])
def test_log_probabilities_and_their_slopes_are_finite_where_tanh_has_saturated(u):
    u = torch.tensor([[u]], requires_grad=True)

    log_prob = squashed_log_prob(u, u.detach(), torch.zeros(1, 1))
    log_prob.sum().backward()

    expected = -0.5 * math.log(2 * math.pi) - 2 * (math.log(2) - abs(u.item()))
    assert log_prob.item() == pytest.approx(expected, rel=1e-5)
    assert u.grad.isfinite().all()


def test_the_spread_of_an_actor_is_kept_within_bounds():
    mean, log_std = split_gaussian(tensor([1, 2, -100, 100]))

    assert mean.tolist() == [[1, 2]]
    assert log_std.tolist() == [list(LOG_STD_RANGE)]


def test_a_soft_target_is_the_smaller_critic_and_the_entropy():
    q_t = tensor([5, 1, 7], [3, 2, 9])

    y = soft_target(tensor(1, 1, 1), tensor(0.5, 0.5, 0), q_t, tensor(-2, 2, -2), 0.1)

    assert y.tolist() == pytest.approx([1 + 0.5 * 3.2, 1 + 0.5 * 0.8, 1])
    assert clipped_target(tensor(1, 1, 1), tensor(0.5, 0.5, 0), q_t).tolist() == [2.5, 1.5, 1]


def test_both_critics_are_moved_and_rows_are_weighted():
    q, target = tensor([1, 2], [3, 5]), tensor(1, 1)

    assert critics_loss(q, target).item() == (0 + 1) / 2 + (4 + 16) / 2
    assert critics_loss(q, target, tensor(1, 0.5)).item() == (0 + 0.5) / 2 + (4 + 8) / 2


def test_noise_on_target_actions_is_clipped_before_and_after():
    action, noise = tensor([0.0], [0.0], [0.9], [-0.9]), tensor([1.0], [9.0], [1.0], [-9.0])

    assert smoothed(action, noise, 0.2, 0.5)[:, 0].tolist() == [0.2, 0.5, 1.0, -1.0]


def test_the_temperature_falls_while_there_is_more_entropy_than_asked_for():
    assert temperature_slope(tensor(-3, -1), -1.0).item() == 3.0, "entropy 2 against −1: the slope is up, α goes down"
    assert temperature_slope(tensor(3, 5), -1.0).item() == -3.0


def test_actions_of_a_uniform_actor_have_the_entropy_of_the_range():
    """The normalised range has the volume 2^a, so no entropy is above a · log 2, and a target of −a is below it."""
    rng = np.random.default_rng(0)
    noise = torch.tensor(rng.normal(size=(20_000, 2)))
    spreads = [squashed_sample(torch.zeros(20_000, 2), torch.full((20_000, 2), s), noise)[1] for s in (-2, -0.13, 2)]

    entropies = [-log_prob.mean().item() for log_prob in spreads]

    assert max(entropies) < 2 * math.log(2)
    assert entropies[1] == max(entropies) and entropies[1] > 1.3
    assert entropies[0] < -1
