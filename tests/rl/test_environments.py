"""Environments as the framework sees them: resets, the two ways to end, masks, conversions."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from rl_toys import Masked, Script

from actorrl.rl.environments import LocalEnvironments


def test_an_environment_that_ends_is_reset_in_the_same_step_and_its_last_observation_kept():
    environments = LocalEnvironments(
        [lambda: Script([([1.0], True, False)]), lambda: Script([([1.0] * 9, True, False)])]
    )
    environments.reset([1, 2])

    stepped = environments.step([0, 0])

    assert stepped.observation[:, :2].tolist() == [[1, 0], [0, 1]]
    assert stepped.terminated.tolist() == [True, False]
    assert list(stepped.final_observation) == [0]
    assert stepped.final_observation[0][:2].tolist() == [0, 1]


def test_where_both_flags_are_set_terminated_wins():
    environments = LocalEnvironments([lambda: Script([([1.0], True, True)])])
    environments.reset(None)

    stepped = environments.step([0])

    assert stepped.terminated.tolist() == [True]
    assert stepped.truncated.tolist() == [False]


def test_a_truncated_episode_is_not_terminated():
    environments = LocalEnvironments([lambda: Script([([1.0], False, True)])])
    environments.reset(None)

    stepped = environments.step([0])

    assert (stepped.terminated.tolist(), stepped.truncated.tolist()) == ([False], [True])
    assert 0 in stepped.final_observation


def test_answers_have_the_types_of_the_contract():
    environments = LocalEnvironments([lambda: gymnasium.make("CartPole-v1")] * 2)
    first = environments.reset([0, 1])

    stepped = environments.step(np.array([0, 1]))

    assert first.shape == stepped.observation.shape == (2, 4)
    assert first.dtype == stepped.observation.dtype == stepped.reward.dtype == np.float32
    assert stepped.terminated.dtype == stepped.truncated.dtype == np.bool_


class Picky(gymnasium.Env):
    """Remembers the actions it gets, and gives back one and the same array each time."""

    observation_space = Box(-1, 1, (2,), np.float64)

    def __init__(self, action_space):
        self.action_space, self.actions, self.observation = action_space, [], np.zeros(2)

    def reset(self, *, seed=None, options=None):
        self.observation[:] = 0
        return self.observation, {}

    def step(self, action):
        self.actions.append(action)
        self.observation += 1
        return self.observation, 1, False, False, {}


def test_discrete_actions_arrive_as_python_ints_and_box_actions_as_float32():
    discrete, box = Picky(Discrete(3)), Picky(Box(-1, 1, (2,), np.float64))
    one, two = LocalEnvironments([lambda: discrete]), LocalEnvironments([lambda: box])
    one.reset(None), two.reset(None)

    one.step(np.array([2]))
    two.step([[0.5, 1]])

    assert type(discrete.actions[0]) is int
    assert box.actions[0].dtype == np.float32


def test_an_environment_that_reuses_its_array_does_not_change_what_was_handed_out():
    environments = LocalEnvironments([lambda: Picky(Discrete(2))])
    first = environments.reset(None)

    second = environments.step([0]).observation

    assert (first.tolist(), second.tolist()) == ([[0, 0]], [[1, 1]])


def test_raw_observations_are_given_as_they_are():
    environments = LocalEnvironments([lambda: gymnasium.make("Blackjack-v1")] * 2, raw=True)

    observations = environments.reset([0, 1])

    assert isinstance(observations, list) and isinstance(observations[0], tuple)
    for _ in range(5):  # where an episode ends and where none does
        stepped = environments.step([0, 1])
        assert isinstance(stepped.observation, list) and isinstance(stepped.observation[0], tuple)
    assert environments.action_mask() is None


def test_masks_belong_to_the_observation_beside_them():
    environments = LocalEnvironments([Masked])
    observation = environments.reset([0])

    for _ in range(25):
        forbidden = int(observation[0].argmax())
        assert environments.action_mask()[0].tolist() == [i != forbidden for i in range(3)]
        stepped = environments.step([(forbidden + 1) % 3])
        observation = stepped.observation
        for i, last in stepped.final_observation.items():
            assert not stepped.final_action_mask[i][int(last.argmax())]
        assert (stepped.action_mask == environments.action_mask()).all()


def test_only_the_first_reset_is_seeded():
    def episodes(seed):
        environments = LocalEnvironments([lambda: gymnasium.make("CartPole-v1")])
        observations = [environments.reset([seed])]
        for _ in range(100):
            stepped = environments.step([0])
            if stepped.final_observation:
                observations.append(stepped.observation)
        return np.concatenate(observations)

    assert (episodes(1) == episodes(1)).all()
    assert len(np.unique(episodes(1), axis=0)) == len(episodes(1)), "no episode begins as another did"


def test_seeds_must_be_one_per_environment():
    environments = LocalEnvironments([lambda: gymnasium.make("CartPole-v1")] * 2)
    with pytest.raises(ValueError, match="expected 2 seeds, one per environment, found 3"):
        environments.reset([1, 2, 3])
