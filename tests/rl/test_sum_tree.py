"""The sum tree against a linear scan. Values are whole numbers, so that both are exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorrl.rl.sum_tree import SumTree


def scan(values: np.ndarray, target: float) -> int:
    """The first slot where the running sum exceeds the target."""
    total = 0.0
    for slot, value in enumerate(values):
        total += value
        if total > target:
            return slot
    raise AssertionError(f"{target} is not below {total}")


@given(st.data(), st.sampled_from([1, 2, 15, 16, 17, 255, 256, 257, 4097]))
def test_a_tree_finds_what_a_linear_scan_finds(data, capacity):
    tree, values = SumTree(capacity), np.zeros(capacity)
    for _ in range(data.draw(st.integers(1, 6))):
        slots = data.draw(st.lists(st.integers(0, capacity - 1), min_size=1, max_size=20))
        numbers = data.draw(st.lists(st.integers(0, 1000), min_size=len(slots), max_size=len(slots)))
        tree.set(np.array(slots), np.array(numbers, float))
        for slot, number in zip(slots, numbers, strict=True):
            values[slot] = number

        assert tree.total == values.sum()
        np.testing.assert_array_equal(tree.get(np.arange(capacity)), values)
        if tree.total:
            targets = data.draw(st.lists(st.floats(0, tree.total, exclude_max=True), min_size=1, max_size=20))
            assert tree.find(np.array(targets)).tolist() == [scan(values, target) for target in targets]


@pytest.mark.slow
def test_sums_do_not_drift_over_a_hundred_thousand_changes():
    rng, capacity = np.random.default_rng(0), 3000
    tree, values = SumTree(capacity), np.zeros(capacity)
    for _ in range(1000):
        slots, numbers = rng.integers(0, capacity, 100), 10.0 ** rng.uniform(-9, 9, 100)
        tree.set(slots, numbers)
        values[slots] = numbers

    np.testing.assert_allclose(tree.total, values.sum(), rtol=1e-13)


def test_slots_are_drawn_in_proportion_to_their_values():
    values = np.arange(40) ** 2.0
    tree = SumTree(40)
    tree.set(np.arange(40), values)
    rng = np.random.default_rng(0)

    counts = sum(np.bincount(tree.draw(1, rng), minlength=40) for _ in range(6_000))

    expected = 6_000 * values[1:] / values.sum()
    assert counts[0] == 0
    # Cells that are expected too rarely for the test go together.
    rare = expected < 10
    observed = np.append(counts[1:][~rare], counts[1:][rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    chi_square = ((observed - expected) ** 2 / expected).sum()
    assert chi_square < 70, f"{len(expected) - 1} degrees of freedom: passed by chance less than once in a thousand"


def test_each_part_of_a_batch_draws_from_its_part_of_the_total():
    tree = SumTree(8)
    tree.set(np.arange(8), 1.0)

    for seed in range(50):
        assert tree.draw(8, np.random.default_rng(seed)).tolist() == list(range(8))


@given(st.integers(0, 2**32), st.integers(1, 300))
def test_an_empty_slot_is_never_drawn_whatever_the_rounding(seed, capacity):
    rng = np.random.default_rng(seed)
    tree = SumTree(capacity)
    filled = rng.random(capacity) < 0.3
    filled[rng.integers(capacity)] = True
    tree.set(np.flatnonzero(filled), 10.0 ** rng.uniform(-12, 12, filled.sum()))

    assert filled[tree.draw(64, rng)].all()
