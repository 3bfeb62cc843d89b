"""Accepted settings never deadlock and keep the ratio; refused ones would; nobody waits for those who are gone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from actorrl.rl.rate_limiter import OtherSideGone, RateLimiter
from actorrl.rl.tables import ReplayTable

ratios = st.floats(0.01, 100)
sizes = st.integers(1, 200)
settings_of_limiters = st.fixed_dictionaries({"insert_size": sizes, "sample_size": sizes})


def least(ratio: float, insert_size: int, sample_size: int) -> float:
    return (ratio * insert_size + sample_size) / 2


@settings(max_examples=300)
@given(ratios, st.integers(1, 300), settings_of_limiters, st.floats(1, 3), st.lists(st.tuples(st.booleans(), sizes)))
def test_accepted_settings_never_deadlock_and_keep_the_ratio(ratio, min_size, sizes, room, plan):
    """Whatever is asked for in whatever order: the largest insert or the largest sample is always allowed."""
    limiter = RateLimiter(min_size, ratio, room * least(ratio, **sizes), **sizes)
    for inserting, rows in plan:
        assert limiter.may_insert(limiter.insert_size) or limiter.may_sample(limiter.sample_size)
        if inserting and limiter.may_insert(min(rows, limiter.insert_size)):
            limiter.book_insert(min(rows, limiter.insert_size))
        elif not inserting and limiter.may_sample(min(rows, limiter.sample_size)):
            assert limiter.inserted >= min_size
            limiter.book_sample(min(rows, limiter.sample_size))
        assert abs(limiter.balance) <= limiter.tolerance + 1e-5
    if limiter.inserted >= min_size:
        since = limiter.inserted - limiter._before
        assert abs(since * ratio - limiter.sampled) <= limiter.tolerance + 1e-5


@given(ratios, settings_of_limiters, st.floats(0, 0.999))
def test_refused_settings_would_deadlock(ratio, sizes, part):
    """Below the least tolerance there are balances at which neither the largest insert nor sample may go on."""
    tolerance = part * least(ratio, **sizes)
    assume(least(ratio, **sizes) - tolerance > 1e-3)

    with pytest.raises(ValueError, match="wait for each other for ever"):
        RateLimiter(1, ratio, tolerance, **sizes)

    stuck = (-tolerance + sizes["sample_size"] + tolerance - ratio * sizes["insert_size"]) / 2
    assert stuck + ratio * sizes["insert_size"] > tolerance
    assert stuck - sizes["sample_size"] < -tolerance


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"samples_per_insert": 8, "tolerance": 30, "insert_size": 2, "sample_size": 64},
            "with samples_per_insert 8, inserts of 2 and samples of 64 rows, tolerance must be at least 40, found 30",
        ),
        ({"samples_per_insert": 0}, "samples_per_insert must be a number above 0, found 0"),
        ({"samples_per_insert": float("nan")}, "samples_per_insert must be a number above 0, found nan"),
        ({"samples_per_insert": 1, "tolerance": float("nan")}, "tolerance must be at least 1, found nan"),
        ({"min_size": 0}, "of at least 1 row, found 0, 1 and 1"),
    ],
)
def test_what_cannot_work_is_refused_with_its_numbers(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        RateLimiter(**settings)


def test_a_table_too_small_for_its_limiter_is_refused():
    with pytest.raises(ValueError, match="min_size 100 is more than the capacity of 50 rows"):
        ReplayTable(50, np.random.default_rng(0), limiter=RateLimiter(100))


def test_the_least_tolerance_is_the_default():
    assert RateLimiter(1, 8.0, insert_size=2, sample_size=64).tolerance == 40


def test_more_rows_at_once_than_was_said_are_refused():
    limiter = RateLimiter(1, 1.0, insert_size=2, sample_size=3)

    with pytest.raises(ValueError, match=r"inserts of at most 2 rows \(insert_size\), found 3"):
        limiter.may_insert(3)
    with pytest.raises(ValueError, match=r"samples of at most 3 rows \(sample_size\), found 4"):
        limiter.may_sample(4)


def test_whoever_is_ahead_waits():
    limiter = RateLimiter(4, 2.0, 3, sample_size=4)
    for _ in range(4):
        assert limiter.may_insert(1) and not limiter.may_sample(1)
        limiter.book_insert(1)

    assert limiter.may_sample(3) and not limiter.may_sample(4)
    limiter.book_sample(3)
    assert not limiter.may_sample(1), "three rows ahead"
    limiter.book_insert(1)
    assert limiter.may_sample(2) and not limiter.may_sample(3)
    limiter.book_insert(1)
    limiter.book_insert(1)
    assert not limiter.may_insert(1), "2 · 3 − 3 = 3 rows behind"
    assert limiter.may_sample(4)


def test_who_waits_for_inserts_learns_that_nobody_inserts_any_more():
    limiter = RateLimiter(2, 1.0, 2, sample_size=2)
    limiter.gone("inserts", "agent 3 died")

    with pytest.raises(OtherSideGone, match=r"from 2 rows on, of which 0 have come\), but nobody .*: agent 3 died"):
        limiter.may_sample(1)
    limiter.back("inserts")
    assert not limiter.may_sample(1)
    limiter.book_insert(2)
    limiter.gone("inserts", "agent 3 died")
    assert limiter.may_sample(2), "what is there may still be sampled"
    limiter.book_sample(2)
    with pytest.raises(OtherSideGone, match="ahead by 2 rows of at most 2"):
        limiter.may_sample(1)


def test_who_waits_for_samples_learns_that_nobody_samples_any_more():
    limiter = RateLimiter(1, 1.0, 1)
    limiter.gone("samples", "the learner died")
    for _ in range(2):
        assert limiter.may_insert(1)
        limiter.book_insert(1)

    with pytest.raises(OtherSideGone, match="1 rows behind of at most 1, but nobody is left to sample: the learner"):
        limiter.may_insert(1)


def test_a_table_obeys_its_limiter():
    def rows(n: int) -> dict[str, np.ndarray]:
        return {"number": np.zeros(n)}

    table = ReplayTable(10, np.random.default_rng(0), limiter=RateLimiter(2, 1.0, 2, insert_size=2, sample_size=2))
    table.add(rows(1))
    assert table.sample(1) is None
    table.add(rows(2))
    table.add(rows(2))
    assert not table.may_add(1)
    with pytest.raises(RuntimeError, match="1 rows may not be added yet, samples are 2 rows behind; ask may_add first"):
        table.add(rows(1))
    assert len(table) == 5

    assert table.sample(2) is not None and table.sample(2) is not None
    assert table.sample(1) is None
    assert table.may_add(2)


@pytest.mark.parametrize("agents", [1, 2, 9])
def test_the_replay_ratio_does_not_depend_on_the_number_of_agents(agents):
    """m agents that insert a row per step and sample whenever they may: the rows sampled per row are the limiter's."""
    limiter = RateLimiter(64, 8.0, 128, sample_size=64)
    table = ReplayTable(1000, np.random.default_rng(0), limiter=limiter)
    rng, sampled, steps = np.random.default_rng(1), 0, 0
    while steps < 5000:
        rng.integers(agents)  # whichever comes next
        if rng.random() < 0.5 and table.may_add(1):
            table.add({"number": np.zeros(1)})
            steps += 1
        elif table.sample(64) is not None:
            sampled += 64

    assert sampled / (steps - 64) == pytest.approx(8.0, abs=128 / (steps - 64))
