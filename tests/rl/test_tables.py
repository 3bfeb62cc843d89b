"""Tables against a list that does the same slowly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorrl.rl.tables import ReplayTable, StreamTable
from actorrl.rl.windows import NStepWindow, Step

LAYOUT = np.dtype([("number", np.int64), ("double", np.float32, (2,))], align=True)


def rows(first: int, count: int) -> np.ndarray:
    numbers = np.arange(first, first + count)
    made = np.empty(count, LAYOUT)
    made["number"], made["double"] = numbers, np.stack([numbers, 2 * numbers], 1)
    return made


def table(capacity: int, seed: int = 0) -> ReplayTable:
    return ReplayTable(capacity, np.random.default_rng(seed))


@given(st.integers(1, 9), st.lists(st.integers(1, 25), min_size=1, max_size=12))
def test_a_replay_table_holds_the_newest_rows_and_only_those(capacity, sizes):
    replay, added = table(capacity), 0
    for size in sizes:
        replay.add(rows(added, size))
        added += size

        batch = replay.sample(200).batch

        kept = range(max(0, added - capacity), added)
        assert len(replay) == len(kept)
        assert set(batch["number"]) <= set(kept)
        assert (batch["double"][:, 1] == 2 * batch["number"]).all()
    assert set(replay.sample(2000).batch["number"]) == set(kept)


def test_every_row_has_the_same_chance():
    replay = table(20)
    replay.add(rows(0, 20))

    counts = np.bincount(replay.sample(20_000).batch["number"], minlength=20)

    chi_square = ((counts - 1000) ** 2 / 1000).sum()
    assert chi_square < 43.8, "19 degrees of freedom: passed by chance less than once in a thousand"


def test_an_empty_table_has_no_sample():
    assert table(3).sample(2) is None
    assert StreamTable().sample(2) is None


def test_sampling_draws_from_the_tables_own_generator():
    def drawn():
        replay = table(50, seed=7)
        replay.add(rows(0, 50))
        np.random.rand(3)
        return replay.sample(10).batch["number"].tolist()

    assert drawn() == drawn()


def test_rows_may_come_as_a_dict_of_arrays():
    replay = table(5)
    replay.add({"number": np.array([1, 2]), "double": np.array([[1, 2], [2, 4]], np.float32)})
    replay.add(rows(3, 1))

    assert len(replay) == 3


def test_rows_of_another_shape_are_refused():
    replay = table(5)
    replay.add(rows(0, 1))

    with pytest.raises(ValueError, match=r"expected rows with the fields \['double', 'number'\], found \['number'\]"):
        replay.add({"number": np.array([1])})
    with pytest.raises(ValueError, match=r"expected double of shape \(2,\), found \(3,\)"):
        replay.add({"number": np.array([1]), "double": np.zeros((1, 3))})


def test_a_sampled_batch_is_a_copy():
    replay = table(4)
    replay.add(rows(1, 1))

    replay.sample(1).batch["number"][:] = 99

    assert replay.sample(1).batch["number"] == 1


@given(st.lists(st.one_of(st.integers(1, 9).map(lambda n: ("add", n)), st.integers(1, 9).map(lambda n: ("take", n)))))
def test_a_stream_hands_out_each_row_once_and_in_order(plan):
    stream, added, expected = StreamTable(), 0, 0
    for verb, n in plan:
        if verb == "add":
            stream.add(rows(added, n))
            added += n
            continue
        sample = stream.sample(n)
        numbers = [] if sample is None else sample.batch["number"].tolist()
        assert numbers == list(range(expected, min(added, expected + n)))
        expected += len(numbers)
        assert len(stream) == added - expected


def test_no_capacity_is_refused():
    with pytest.raises(ValueError, match="capacity must be at least 1 row, found 0"):
        table(0)


def test_one_row_may_come_as_a_tuple():
    replay = table(3)
    with pytest.raises(TypeError, match="one row as a tuple has no names"):
        replay.add((0, [0, 0]))
    for number in range(5):
        replay.add(rows(number, 1)) if number == 0 else replay.add((number, [number, 2 * number]))

    batch = replay.sample(100).batch
    assert set(batch["number"]) == {2, 3, 4}
    assert (batch["double"][:, 1] == 2 * batch["number"]).all()
    with pytest.raises(ValueError, match="tuple"):
        replay.add((1,))


def test_rows_of_another_byte_layout_are_fitted():
    packed = np.array([(3, [3, 6])], [("double", np.float64, (2,)), ("number", np.int32)][::-1])
    replay = table(4)
    replay.add(rows(1, 1))
    replay.add(packed)
    replay.add(np.concatenate([rows(5, 2), rows(9, 2)])[::2])  # not contiguous

    assert set(replay.sample(200).batch["number"]) == {1, 3, 5, 9}


@pytest.mark.parametrize("capacity", [5, 8, 64])
@pytest.mark.parametrize("n_steps", [1, 3, 5])
def test_no_row_reaches_across_an_episode_an_environment_or_the_write_head(n_steps, capacity):
    """Random episodes in three environments, through the window into a ring that wraps, against brute force."""
    rng, gamma = np.random.default_rng(n_steps), 0.9
    window, replay = NStepWindow(n_steps, gamma), table(capacity)
    steps: dict[tuple[int, int, int], tuple[float, bool, bool]] = {}  # (environment, episode, time): how it went
    now = [[environment, 0, 0] for environment in range(3)]
    for _ in range(300):
        environment = int(rng.integers(3))
        where = now[environment]
        reward, terminated = float(rng.integers(-9, 10)), bool(rng.random() < 0.1)
        truncated = not terminated and bool(rng.random() < 0.1)
        steps[tuple(where)] = reward, terminated, truncated
        after = [where[0], where[1], where[2] + 1]
        window.add(Step(environment, np.float32(where), 0, {}, reward, np.float32(after), terminated, truncated))
        now[environment] = [where[0], where[1] + 1, 0] if terminated or truncated else after
        if (made := window.take()) is not None:
            replay.add(made)
        if (sample := replay.sample(20)) is None:
            continue
        for row in zip(*sample.batch.values(), strict=True):
            observation, _, reward_sum, observation_next, discount = row
            environment, episode, time = map(int, observation)
            expected, j = 0.0, 0
            while j < n_steps:
                reward, terminated, truncated = steps[environment, episode, time + j]
                expected += gamma**j * reward
                j += 1
                if terminated or truncated:
                    break
            assert observation_next.tolist() == [environment, episode, time + j]
            assert reward_sum == pytest.approx(expected, rel=1e-5, abs=1e-5)
            assert discount == pytest.approx(0.0 if terminated else gamma**j)
