"""Running moments against numpy over everything at once."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from actorrl.rl.moments import CLIP, DiscountedReturns, Moments, Standardiser


@settings(max_examples=50)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=6), st.integers(0, 100), st.floats(-1e4, 1e4))
def test_however_the_stream_is_cut_the_moments_are_those_of_all(sizes, seed, shift):
    rng = np.random.default_rng(seed)
    parts = [shift + rng.normal(size=(size, 3)) * [1, 10, 100] for size in sizes]
    moments, halves = Moments((3,)), (Moments((3,)), Moments((3,)))
    for i, part in enumerate(parts):
        moments.update(part)
        halves[i % 2].update(part)
    merged = Moments((3,))
    for half in halves:
        if half.count:
            merged.merge(half.mean, half.var, half.count)

    whole = np.concatenate(parts)
    for found in (moments, merged):
        assert found.count == len(whole)
        if len(whole):
            np.testing.assert_allclose(found.mean, whole.mean(0), rtol=1e-9, atol=1e-6)
            np.testing.assert_allclose(found.var, whole.var(0), rtol=1e-6, atol=1e-6)


def test_each_dimension_has_a_scale_of_its_own():
    moments, standardiser = Moments((2,)), Standardiser((2,))
    values = np.random.default_rng(0).normal([5, -3], [0.1, 100], (1000, 2)).astype(np.float32)
    moments.update(values)
    np.testing.assert_array_equal(standardiser(values[:1]), np.clip(values[:1], -CLIP, CLIP))

    standardiser.follow(moments)

    seen = standardiser(values)
    np.testing.assert_allclose(seen.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(seen.std(0), 1, rtol=1e-3)
    assert seen.dtype == np.float32 and np.abs(standardiser(values * 1e6)).max() == CLIP


def test_what_was_saved_comes_back():
    moments, other = Moments((2,)), Moments((2,))
    moments.update(np.ones((3, 2)))
    other.load_state_dict(moments.state_dict())
    moments.update(np.zeros((5, 2)))

    assert other.count == 3 and other.mean.tolist() == [1.0, 1.0] and other.var.tolist() == [0.0, 0.0]


@settings(max_examples=30)
@given(st.integers(0, 100), st.integers(1, 12), st.integers(1, 3), st.integers(1, 4))
def test_the_scale_of_rewards_is_that_of_the_discounted_returns_so_far(seed, T, k, cuts):
    rng = np.random.default_rng(seed)
    reward, ended = rng.normal(size=(T, k)), rng.random((T, k)) < 0.3
    returns = DiscountedReturns(0.9)
    for part in np.array_split(np.arange(T), cuts):
        if len(part):
            returns.update(reward[part], ended[part])

    seen = []
    for i in range(k):
        running = 0.0
        for t in range(T):
            running = 0.9 * running + reward[t, i]
            seen.append(running)
            running = 0.0 if ended[t, i] else running
    np.testing.assert_allclose(returns.moments.mean, np.mean(seen), atol=1e-9)
    np.testing.assert_allclose(returns.scale, np.sqrt(np.var(seen) + 1e-8), rtol=1e-9)
