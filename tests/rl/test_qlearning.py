"""Tabular Q-learning: cells, entries, and a small lake whose values are known."""

from __future__ import annotations

import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from hypothesis import given
from hypothesis import strategies as st
from playing import play
from rl_toys import Chain

from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.practice import Practice
from actorrl.rl.qlearning import Discretiser, QLearningConfig

SQUARE = Box(np.array([0.0, 0.0]), np.array([10.0, 10.0]), dtype=np.float64)


def practise(config: QLearningConfig, make, steps: int, seed: int = 0) -> Practice:
    parts = config.build(make().observation_space, make().action_space, seed)
    environments = LocalEnvironments([make], encode=parts.encode)
    practice = Practice.of_parts(parts, environments, seed=seed, limit=steps)
    while not practice.done:
        practice.advance(steps)
    return practice


@given(st.floats(-5, 15), st.floats(-5, 15))
def test_cells_are_those_of_a_grid_and_the_outside_belongs_to_the_edge(x, y):
    cells = Discretiser.of(SQUARE, (5, 2))
    row, column = min(max(int(x // 2), 0), 4), min(max(int(y // 5), 0), 1)

    assert cells(np.array([x, y])) == row * 2 + column
    assert cells.encoded_space == Discrete(10)
    assert cells.is_one([x, y]) and not cells.is_one([[x, y]])
    assert cells.batch([[x, y], [0, 0]]).tolist() == [row * 2 + column, 0]


def test_an_unbounded_box_needs_bounds():
    space = gymnasium.make("CartPole-v1").observation_space

    with pytest.raises(ValueError, match="has no bounds to cut into cells: give QLearningConfig low= and high="):
        QLearningConfig().build(space, Discrete(2), 0)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (QLearningConfig(bins=(3,)), "bins must have 2 numbers, one per dimension of Box.*found 1"),
        (QLearningConfig(low=(1.0, 1.0), high=(0.0, 2.0)), "low must be below high"),
        (QLearningConfig(bins=0), "bins must be at least 1"),
        (QLearningConfig(bins=10_000), "too large .*choose fewer bins, or an algorithm that generalises: DQNConfig"),
    ],
)
def test_cells_that_make_no_sense_are_refused(config, sentence):
    with pytest.raises(ValueError, match=sentence):
        config.build(SQUARE, Discrete(2), 0)


def test_one_row_moves_one_entry_by_the_rule():
    parts = QLearningConfig(learning_rate=0.5, gamma=0.9).build(Discrete(3), Discrete(2), 0)
    before = parts.learner.state_dict()["values"]
    row = {
        "observation": np.array([1]),
        "action": np.array([0]),
        "reward": np.array([2.0]),
        "observation_next": np.array([2]),
        "discount": np.array([0.9]),
    }

    td = parts.learner.update(row).td

    after = parts.learner.state_dict()["values"]
    assert td[0] == pytest.approx(2.0 + 0.9 * before[2].max() - before[1, 0])
    assert after[1, 0] == pytest.approx(before[1, 0] + 0.5 * td[0])
    assert np.count_nonzero(after != before) == 1


def test_the_end_of_the_chain_is_worth_nothing():
    config = QLearningConfig(gamma=0.9, learning_rate=0.2, total_steps=600)

    values = practise(config, Chain, 600).parts.learner.get_weights()["values"]

    np.testing.assert_allclose(values[:, 0], [1.9, 1.0], atol=0.01)


def test_a_frozen_lake_without_ice_is_walked_in_six_steps():
    make = lambda: gymnasium.make("FrozenLake-v1", is_slippery=False)  # noqa: E731
    config = QLearningConfig(
        gamma=0.9, learning_rate=0.5, learning_rate_final=0.5, exploration_final_eps=0.3, total_steps=8000
    )

    practice = practise(config, make, 8000)

    (episode,) = play(LocalEnvironments([make], encode=practice.parts.encode), practice.parts.policy, 1)
    assert (episode.return_, episode.length) == (1.0, 6)
    values = practice.parts.learner.get_weights()["values"]
    assert values[0].max() == pytest.approx(0.9**5, abs=1e-3)


def test_the_policy_reads_the_table_that_the_learner_writes_and_a_copy_reads_its_own():
    parts = QLearningConfig().build(Discrete(2), Discrete(2), 0)
    copy = pickle.loads(pickle.dumps(parts.policy))
    parts.learner._values[0, 0] = 50.0

    state = np.array([0])
    assert parts.policy.q(state)[0, 0] == 50.0
    assert copy.q(state)[0, 0] < 1.0


def test_actions_are_numbered_as_the_space_numbers_them():
    parts = QLearningConfig().build(Discrete(2), Discrete(2, start=3), 0)

    acted = parts.policy.act(np.zeros(50, int), (), 0, explore=True, rng=np.random.default_rng(0))

    assert set(acted.action.tolist()) == {3, 4}
