"""Exploration: how often, what, and never what is forbidden."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorrl.rl.exploration import Boltzmann, EpsilonGreedy, GaussianNoise, epsilon_ladder
from actorrl.rl.schedules import Linear

Q = np.array([[1.0, 2.0, 0.0, -np.inf]], np.float32)


def constant(value: float) -> Linear:
    return Linear(value, value, 1)


def shares(exploration, q=Q, n: int = 20_000) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.bincount(exploration.choose(np.repeat(q, n, 0), 0, rng), minlength=q.shape[1]) / n


def test_epsilon_greedy_spreads_epsilon_over_the_legal_actions():
    np.testing.assert_allclose(shares(EpsilonGreedy(constant(0.3))), [0.1, 0.8, 0.1, 0.0], atol=0.01)


def test_boltzmann_draws_from_the_softmax_of_the_legal_actions():
    expected = np.exp(Q[0] / 0.5) / np.exp(Q[0] / 0.5).sum()

    np.testing.assert_allclose(shares(Boltzmann(constant(0.5))), expected, atol=0.01)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_boltzmann_neither_overflows_nor_underflows(scale):
    q = np.array([[1e30, -1e30, 0.0]])
    with np.errstate(all="raise"):
        assert Boltzmann(constant(scale)).choose(q, 0, np.random.default_rng(0)) in (0, 1, 2)


def test_without_temperature_or_epsilon_the_best_action_is_taken():
    for exploration in (Boltzmann(constant(0.0)), EpsilonGreedy(constant(0.0))):
        assert shares(exploration, n=100)[1] == 1.0


def test_where_everything_is_forbidden_some_action_is_still_given():
    q = np.full((5, 3), -np.inf)
    for exploration in (Boltzmann(constant(1.0)), EpsilonGreedy(constant(1.0))):
        assert set(exploration.choose(q, 0, np.random.default_rng(0)).tolist()) <= {0, 1, 2}


def test_schedules_are_asked_with_the_agents_own_steps():
    falling = Linear(1.0, 0.0, 100)

    assert EpsilonGreedy(falling).metrics(25) == {"epsilon": 0.75}
    assert Boltzmann(falling).metrics(25) == {"temperature": 0.75}
    assert (EpsilonGreedy(falling).choose(np.repeat(Q, 50, 0), 100, np.random.default_rng(0)) == 1).all()


def test_noise_has_its_scale_and_stays_in_the_normalised_range():
    rng = np.random.default_rng(0)

    middle = GaussianNoise(0.1).disturb(np.zeros((50_000, 2), np.float32), rng)
    edge = GaussianNoise(0.1).disturb(np.full((50_000, 2), 0.95, np.float32), rng)

    assert middle.dtype == np.float32
    np.testing.assert_allclose([middle.mean(), middle.std()], [0.0, 0.1], atol=2e-3)
    assert edge.max() == 1.0 and 0.2 < (edge == 1.0).mean() < 0.4


def test_the_ladder_is_that_of_ape_x():
    ladder = [epsilon_ladder(i, 8) for i in range(8)]

    np.testing.assert_allclose(ladder, [0.4 ** (1 + i) for i in range(8)])
    assert epsilon_ladder(0, 1) == 0.4
    with pytest.raises(ValueError, match="agent between 0 and 7, found 8"):
        epsilon_ladder(8, 8)


@given(st.integers(2, 500))
def test_a_ladder_falls_from_first_to_last(agents):
    ladder = [epsilon_ladder(i, agents) for i in range(agents)]

    assert ladder[0] == 0.4 and ladder[-1] == pytest.approx(0.4**8)
    assert ladder == sorted(ladder, reverse=True)
