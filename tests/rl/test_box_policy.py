"""Actions of a Box: scaling there and back, bounds, noise, and what is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from hypothesis import given
from hypothesis import strategies as st

from actorrl.rl.box_policy import BoxPolicy, BoxScale
from actorrl.rl.exploration import GaussianNoise
from actorrl.rl.sac import SACConfig
from actorrl.rl.td3 import TD3Config

UNEVEN = Box(np.float32([-2, 0, 5]), np.float32([2, 10, 5.5]))
each_config = pytest.mark.parametrize("config", [SACConfig, TD3Config])


class Says:
    """An actor that says the same of everything."""

    def __init__(self, *numbers: float) -> None:
        self.numbers = np.float32(numbers)

    def __call__(self, observations):
        return np.repeat(self.numbers[None], len(observations), 0)

    def set_weights(self, weights):
        raise AssertionError


def act(policy: BoxPolicy, n: int = 1, *, explore: bool, step: int = 10**6) -> np.ndarray:
    return policy.act(np.zeros((n, 4), np.float32), (), step, explore=explore, rng=np.random.default_rng(0)).action


@given(st.lists(st.tuples(st.floats(-100, 100), st.floats(0.01, 100), st.floats(-1, 1)), min_size=1, max_size=5))
def test_scaling_there_and_back_changes_nothing_and_never_leaves_the_box(dimensions):
    low, room, normalised = np.float32(dimensions).T
    space = Box(low, low + room)
    scale = BoxScale(space)

    actions = scale.out(normalised[None])

    assert space.contains(actions[0])
    np.testing.assert_allclose(actions[0], low + (normalised + 1) / 2 * room, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(scale.into(actions)[0], normalised, atol=1e-3 * (1 + np.abs(low / room).max()))


def test_the_ends_of_each_dimension_are_its_own():
    scale = BoxScale(UNEVEN)

    np.testing.assert_array_equal(
        scale.out(np.float32([[-1] * 3, [0] * 3, [1] * 3])), [[-2, 0, 5], [0, 5, 5.25], [2, 10, 5.5]]
    )
    assert scale.into(np.float32([[2, 0, 5.25]])).tolist() == [[1, -1, 0]]


def test_a_dimension_without_room_is_no_trouble():
    scale = BoxScale(Box(np.float32([1, 0]), np.float32([1, 2])))

    assert scale.out(np.float32([[0.5, 0.5]])).tolist() == [[1, 1.5]]
    assert scale.into(np.float32([[1, 1.5]])).tolist() == [[0, 0.5]]


def test_actions_have_the_shape_of_the_box():
    scale = BoxScale(Box(-2, 2, (2, 3)))

    actions = scale.out(np.arange(12, dtype=np.float32).reshape(2, 6) / 12)

    assert actions.shape == (2, 2, 3) and actions.dtype == np.float32
    np.testing.assert_allclose(scale.into(actions), np.arange(12).reshape(2, 6) / 12, atol=1e-6)


def test_without_exploration_the_action_is_the_squashed_mean():
    policy = BoxPolicy(Says(0.5, 0, -9, 1, 1, 1), BoxScale(UNEVEN), gaussian=True, random_steps=10)

    np.testing.assert_allclose(act(policy, explore=False, step=0)[0], [2 * np.tanh(0.5), 5, 5], atol=1e-5)


def test_a_gaussian_actor_explores_with_its_own_spread():
    policy = BoxPolicy(Says(0.5, -0.2, 0, -1, -2, 9), BoxScale(Box(-1, 1, (3,))), gaussian=True)

    u = np.arctanh(act(policy, 50_000, explore=True)[:, :2].astype(np.float64))

    np.testing.assert_allclose(u.mean(0), [0.5, -0.2], atol=0.01)
    np.testing.assert_allclose(u.std(0), np.exp([-1, -2]), rtol=0.02)


def test_an_actor_that_wants_to_explore_without_bounds_is_bounded():
    policy = BoxPolicy(Says(0, 100), BoxScale(Box(-1, 1, (1,))), gaussian=True)

    actions = np.abs(act(policy, 10_000, explore=True))

    # A spread of e²: half of the draws lie within two thirds of it, of which tanh is still below 1.
    assert (actions < np.tanh(0.6745 * np.exp(2))).mean() == pytest.approx(0.5, abs=0.03)


def test_noise_is_added_in_the_normalised_range():
    policy = BoxPolicy(Says(0, 0, 0), BoxScale(UNEVEN), noise=GaussianNoise(0.1))

    actions = act(policy, 50_000, explore=True)

    np.testing.assert_allclose(actions.std(0), [0.2, 0.5, 0.025], rtol=0.03)
    assert (act(policy, 2, explore=False) == np.float32([0, 5, 5.25])).all()


def test_the_first_steps_cover_the_whole_box_evenly():
    policy = BoxPolicy(Says(9, 9, 9), BoxScale(UNEVEN), random_steps=100)

    actions = act(policy, 50_000, explore=True, step=99)

    counts = np.stack([np.histogram(actions[:, i], 5, (UNEVEN.low[i], UNEVEN.high[i]))[0] for i in range(3)])
    np.testing.assert_allclose(counts, 10_000, rtol=0.05)
    np.testing.assert_allclose(act(policy, explore=True, step=100)[0], UNEVEN.high, rtol=1e-6)


@each_config
@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        (Discrete(3), r"acts in Box spaces, this environment has Discrete\(3\); algorithms that fit: .*DQNConfig"),
        (Box(-np.inf, np.inf, (2,)), "acts within bounds, this environment has Box.*RescaleAction"),
        (Box(0, 9, (2,), np.int64), "acts in Box spaces of floats"),
    ],
    ids=["discrete", "unbounded", "whole"],
)
def test_action_spaces_that_do_not_fit_are_refused(config, space, sentence):
    with pytest.raises(ValueError, match=f"{config.__name__} {sentence}"):
        config().build(Box(-1, 1, (4,)), space, 0)


@each_config
def test_numpy_acts_as_torch_would(config):
    import torch

    parts = config(hidden_sizes=(16, 8)).build(Box(-1, 1, (4,)), UNEVEN, 0)
    o = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    policy = pickle.loads(pickle.dumps(parts.policy))

    with torch.no_grad():
        outputs = parts.learner._actor.module(torch.from_numpy(o))[:, :3].tanh().numpy()

    actions = policy.act(o, (), 0, explore=False, rng=np.random.default_rng(0)).action
    np.testing.assert_allclose(actions, BoxScale(UNEVEN).out(outputs), rtol=1e-5, atol=1e-5)
