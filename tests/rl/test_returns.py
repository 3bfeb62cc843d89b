"""Sums of rewards against the sums written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorrl.rl.returns import discounted_returns, discounted_sum

rewards = st.lists(st.floats(-10, 10), max_size=12)
gammas = st.floats(0, 1)


def test_three_rewards_by_hand():
    assert discounted_sum([1.0, 2.0, 4.0], 0.5) == 1 + 0.5 * 2 + 0.25 * 4


@given(rewards, gammas)
def test_a_discounted_sum_is_the_sum_of_powers(r_t, gamma):
    expected = sum(gamma**i * r for i, r in enumerate(r_t))

    assert discounted_sum(r_t, gamma) == pytest.approx(expected, abs=1e-9)
    assert discounted_sum(iter(r_t), gamma) == discounted_sum(r_t, gamma)


@given(rewards, gammas, st.floats(-10, 10))
def test_the_return_of_each_time_is_its_discounted_sum_and_the_bootstrapped_value(r_t, gamma, v_T):
    T = len(r_t)

    returns = discounted_returns(np.array(r_t), np.full(T, gamma), v_T)

    expected = [discounted_sum(r_t[t:], gamma) + gamma ** (T - t) * v_T for t in range(T)]
    np.testing.assert_allclose(returns, expected, atol=1e-9)


def test_nothing_behind_a_terminal_reward_counts():
    returns = discounted_returns(np.array([1.0, 1.0, 1.0]), np.array([0.9, 0.0, 0.9]), 100.0)

    np.testing.assert_allclose(returns, [1.9, 1.0, 91.0])


def test_returns_keep_the_axes_behind_time():
    r_t = np.arange(6.0).reshape(3, 2)

    both = discounted_returns(r_t, np.full((3, 2), 0.5), np.array([1.0, 2.0]))

    np.testing.assert_allclose(both[:, 1], discounted_returns(r_t[:, 1], np.full(3, 0.5), 2.0))
