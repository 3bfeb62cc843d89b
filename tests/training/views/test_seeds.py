"""Statistics over seeds, against the slowest way to compute them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from actorrl.training.views.seeds import bootstrap_interval, interquartile_mean, on_grid, resamples, together


def by_hand(values: np.ndarray) -> float:
    """Each value four times, so that a quarter of them is a whole number; without that quarter at both ends."""
    four_times = sorted(np.repeat(values, 4).tolist())
    return float(np.mean(four_times[len(values) : -len(values)]))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 10, 13])
def test_the_interquartile_mean_is_that_of_the_middle_half(n):
    values = np.random.default_rng(n).standard_normal(n)

    assert interquartile_mean(values) == pytest.approx(by_hand(values))


def test_the_interquartile_mean_goes_along_the_first_axis():
    values = np.random.default_rng(0).standard_normal((6, 3, 2))

    means = interquartile_mean(values)

    assert means.shape == (3, 2)
    for i, j in itertools.product(range(3), range(2)):
        assert means[i, j] == pytest.approx(by_hand(values[:, i, j]))


def test_one_run_that_went_wild_does_not_move_the_interquartile_mean():
    calm = np.arange(8.0)
    wild = np.where(calm == 7, 1e9, calm)

    assert interquartile_mean(wild) == interquartile_mean(calm)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_the_interval_of_few_runs_is_that_of_every_sample_there_is(n):
    values = np.random.default_rng(n).standard_normal((n, 5))

    low, high = bootstrap_interval(values, 0.9)

    for point in range(5):
        means = [by_hand(np.array(chosen)) for chosen in itertools.product(values[:, point], repeat=n)]
        assert low[point] == pytest.approx(np.percentile(means, 5))
        assert high[point] == pytest.approx(np.percentile(means, 95))


def test_the_interval_of_many_runs_is_drawn_and_is_near_that_of_a_loop():
    values = np.random.default_rng(0).standard_normal((12, 1))
    rng = np.random.default_rng(99)
    means = [by_hand(rng.choice(values[:, 0], 12)) for _ in range(4_000)]

    low, high = bootstrap_interval(values)

    assert low[0] == pytest.approx(np.percentile(means, 2.5), abs=0.08)
    assert high[0] == pytest.approx(np.percentile(means, 97.5), abs=0.08)
    assert bootstrap_interval(values)[0] == low  # the same each time


def test_one_run_has_an_interval_without_width():
    low, high = bootstrap_interval(np.array([[3.0, 4.0]]))

    assert low.tolist() == high.tolist() == [3.0, 4.0]


def test_all_samples_of_two_runs_are_four():
    assert resamples(2, np.random.default_rng(0)).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_curves_meet_only_where_all_of_them_are():
    slow = (np.array([0, 10, 20]), np.array([0.0, 1.0, 2.0]))
    fast = (np.array([5, 40]), np.array([5.0, 40.0]))

    grid, values = together([slow, fast], points=4)

    np.testing.assert_allclose(grid, [5, 10, 15, 20])
    np.testing.assert_allclose(values, [[0.5, 1.0, 1.5, 2.0], [5, 10, 15, 20]])


def test_curves_that_never_meet_have_no_points():
    grid, values = together([(np.array([0, 1]), np.zeros(2)), (np.array([2, 3]), np.zeros(2))])

    assert (len(grid), values.shape) == (0, (2, 0))


def test_a_curve_says_nothing_of_where_it_has_not_been():
    assert np.isnan(on_grid(np.array([0.0, 9.0]), np.array([1, 2]), np.array([1.0, 2.0]))).all()
