"""Transition rows against brute force: on random episodes, of several environments whose answers come in any order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rl_toys import Collected, Constant, Script, Shuffled

from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.explorer import Explorer
from actorrl.rl.windows import NStepWindow, Step, StepWindow

endings = st.sampled_from([(True, False), (False, True), (True, True)])
written = st.tuples(st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=7), endings).map(
    lambda e: (e[0], e[1][0], e[1][1])
)


def brute_force(episode: int, number: int, script, n: int, gamma: float):
    """The rows of one whole episode, by the definition."""
    rewards, terminated, _ = script
    T = len(rewards)
    for t in range(T):
        j = min(n, T - t)
        reward = sum(gamma**i * rewards[t + i] for i in range(j))
        ends_here = t + j == T
        discount = gamma**j * (not (terminated and ends_here))
        yield (episode, t, number), reward, (episode, t + j, number), discount


@settings(max_examples=60)
@given(
    st.lists(st.lists(written, min_size=1, max_size=4), min_size=1, max_size=3),
    st.integers(1, 5),
    st.sampled_from([0.0, 0.5, 0.99, 1.0]),
    st.integers(0, 10**6),
)
def test_rows_are_those_of_the_definition_whatever_the_order_of_answers(scripts, n, gamma, seed):
    environments = [LocalEnvironments([lambda s=s, i=i: Script(s, i)]) for i, s in enumerate(scripts)]
    sink = Collected()
    lanes = Shuffled(environments, np.random.default_rng(seed))
    explorer = Explorer(lanes, Constant(), sink, window=NStepWindow(n, gamma))

    ended: dict[int, int] = dict.fromkeys(range(len(scripts)), 0)
    while any(ended[i] < len(s) for i, s in enumerate(scripts)):
        for episode in explorer.advance(1).episodes:
            ended[episode.environment] += 1

    found = {}
    for row in sink.rows:
        key = tuple(row["observation"].tolist())
        assert key not in found, "one row per step"
        found[key] = row
    for number, script in enumerate(scripts):
        for e, written_episode in enumerate(script):
            for first, reward, following, discount in brute_force(e, number, written_episode, n, gamma):
                row = found[tuple(map(float, first))]
                assert row["reward"] == pytest.approx(reward, rel=1e-5, abs=1e-5)
                assert row["discount"] == pytest.approx(discount, rel=1e-6)
                assert tuple(row["observation_next"].tolist()) == tuple(map(float, following))


def step(t: int, *, terminated: bool = False, truncated: bool = False, environment: int = 0) -> Step:
    o = np.array([t], np.float32)
    return Step(environment, o, np.int64(7), {}, 1.0, o + 1, terminated, truncated)


def test_a_row_waits_for_its_n_rewards():
    window = NStepWindow(3, 0.5)
    window.add(step(0))
    window.add(step(1))
    assert window.take() is None

    window.add(step(2))
    (row,) = window.take()

    assert row["reward"] == 1.75
    assert row["discount"] == 0.125
    assert row["action"] == 7
    assert window.take() is None


def test_a_truncated_episode_bootstraps_with_the_power_of_what_was_summed():
    window = NStepWindow(3, 0.5)
    window.add(step(0))
    window.add(step(1, truncated=True))

    first, second = window.take()

    assert (first["reward"], first["discount"], first["observation_next"][0]) == (1.5, 0.25, 2.0)
    assert (second["reward"], second["discount"], second["observation_next"][0]) == (1.0, 0.5, 2.0)


def test_a_terminated_episode_bootstraps_from_nothing():
    window = NStepWindow(3, 0.5)
    window.add(step(0))
    window.add(step(1, terminated=True))

    assert window.take()["discount"].tolist() == [0.0, 0.0]


def test_windows_of_two_environments_never_mix():
    window = NStepWindow(2, 1.0)
    window.add(step(0, environment=0))
    window.add(step(100, environment=1))
    window.add(step(1, environment=0))

    (row,) = window.take()

    assert (row["observation"][0], row["observation_next"][0]) == (0.0, 2.0)


def test_an_environment_that_is_lost_leaves_the_rows_it_had_earned():
    window = NStepWindow(3, 0.5)
    window.add(step(0))
    window.add(step(1))
    window.cut(0)
    window.add(step(50))

    rows = window.take()

    assert rows["reward"].tolist() == [1.5, 1.0]
    assert rows["discount"].tolist() == [0.25, 0.5]
    assert rows["observation_next"][:, 0].tolist() == [2.0, 2.0]


def test_rows_are_contiguous_records_of_the_observations_own_type():
    window = NStepWindow()
    pixel = np.zeros((4, 4), np.uint8)
    window.add(Step(0, pixel, np.int64(1), {}, 0.5, pixel, False, False, np.array([True, False])))

    rows = window.take()

    assert rows.flags.c_contiguous
    assert rows["observation"].dtype == np.uint8 and rows["observation"].shape == (1, 4, 4)
    assert rows["action_mask_next"].tolist() == [[True, False]]


def test_fewer_than_one_step_is_refused():
    with pytest.raises(ValueError, match="n_steps must be at least 1, found 0"):
        NStepWindow(0)


def test_a_step_window_hands_out_steps_as_they_are():
    window = StepWindow()
    one = step(0)
    window.add(one)

    assert window.take() == [one]
    assert window.take() is None
