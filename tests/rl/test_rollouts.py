"""Rollouts: first in, first out, every row as often as asked, and no more once the learner is satisfied."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from actorrl.rl.fragments import FragmentWindow
from actorrl.rl.rollouts import Rollouts


class Learner:
    satisfied = False

    def __init__(self) -> None:
        self.prepared: list[list[int]] = []

    def prepare(self, fragments: list[Any]) -> dict[str, np.ndarray]:
        values = np.concatenate([fragment["reward"].ravel() for fragment in fragments])
        self.prepared.append(values.tolist())
        return {"advantage": values, "twice": 2 * values}


def rollouts(learner: Learner, rows: int, n_epochs: int) -> Rollouts:
    return Rollouts(learner, FragmentWindow(2), rows=rows, n_epochs=n_epochs, rng=np.random.default_rng(0))


def fragment(first: int, k: int = 1) -> dict[str, np.ndarray]:
    return {"reward": np.arange(first, first + 2 * k, dtype=np.float32).reshape(2, k)}


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 5), st.integers(0, 7))
def test_each_row_is_dealt_once_an_epoch_in_the_order_of_updates(fragments_per_update, n_epochs, n, count):
    learner = Learner()
    table = rollouts(learner, 2 * fragments_per_update, n_epochs)
    table.add([fragment(2 * i) for i in range(count)])
    assert table.pending == (count >= fragments_per_update)
    dealt: list[float] = []
    while (sample := table.sample(n)) is not None:
        assert len(sample.batch["advantage"]) <= n
        np.testing.assert_array_equal(sample.batch["twice"], 2 * sample.batch["advantage"])
        dealt += sample.batch["advantage"].tolist()

    updates = count // fragments_per_update
    size = 2 * fragments_per_update
    assert learner.prepared == [list(range(u * size, (u + 1) * size)) for u in range(updates)]
    for u in range(updates):
        part = dealt[u * size * n_epochs : (u + 1) * size * n_epochs]
        assert Counter(part) == {float(row): n_epochs for row in range(u * size, (u + 1) * size)}
    assert not table.pending and len(table) == 2 * count - updates * size


def test_a_satisfied_learner_gets_no_more_of_these_rows():
    learner = Learner()
    table = rollouts(learner, 2, 10)
    table.add([fragment(0), fragment(2)])
    assert table.sample(1) is not None
    learner.satisfied = True

    following = table.sample(1)

    assert following is not None and following.batch["advantage"][0] >= 2
    assert not learner.satisfied and len(learner.prepared) == 2


def test_fragments_of_many_lanes_make_an_update_together():
    learner = Learner()
    table = rollouts(learner, 8, 1)
    table.add([fragment(0, k=2)])
    assert table.sample(8) is None and len(table) == 4
    table.add([fragment(4, k=3)])

    sample = table.sample(100)
    assert sample is not None and sorted(sample.batch["advantage"]) == list(range(10))
    assert not table.blocked() and table.sample(8) is None
