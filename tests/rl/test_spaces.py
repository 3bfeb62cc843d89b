"""Every observation space the contract names becomes one array; what does not fit is refused by name."""

from __future__ import annotations

import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiBinary, MultiDiscrete, Text, Tuple

from actorrl.rl.dqn import DQNConfig
from actorrl.rl.ppo import PPOConfig
from actorrl.rl.qlearning import QLearningConfig
from actorrl.rl.spaces import Encoder, as_action

SPACES = [
    Box(-1, 1, (3,)),
    Box(-1, 1, (2, 3), np.float64),
    Box(0, 10, (2,), np.int64),
    Box(0, 255, (12, 12, 3), np.uint8),
    Discrete(4),
    Discrete(4, start=3),
    MultiBinary(3),
    MultiDiscrete([2, 3]),
    Tuple((Discrete(32), Discrete(11), Discrete(2))),
    Dict(position=Box(-1, 1, (2,)), inside=Dict(flags=MultiBinary(2), kind=Discrete(3))),
]
each_space = pytest.mark.parametrize("space", SPACES, ids=str)


@each_space
def test_an_observation_becomes_one_array_of_the_encoded_space(space):
    encoder = pickle.loads(pickle.dumps(Encoder(space)))
    space.seed(0)

    encoded = [encoder(space.sample()) for _ in range(5)]

    assert all(encoder.encoded_space.contains(e) for e in encoded)
    assert encoded[0].dtype == (np.uint8 if space.dtype == np.uint8 else np.float32)


@each_space
def test_it_holds_the_numbers_of_gymnasiums_own_flattening(space):
    observation = space.sample()

    np.testing.assert_allclose(Encoder(space)(observation).reshape(-1), gymnasium.spaces.flatten(space, observation))


@each_space
def test_one_observation_is_told_from_a_batch(space):
    encoder = Encoder(space)
    observation = space.sample()

    assert encoder.is_one(observation)
    assert not encoder.is_one([observation, observation])
    assert len(encoder.batch([observation, observation])) == 2


@each_space
def test_one_observation_is_known_by_its_shape_whatever_holds_its_numbers(space):
    def as_json(value):
        if isinstance(value, dict):
            return {key: as_json(inner) for key, inner in value.items()}
        return [as_json(inner) for inner in value] if isinstance(value, tuple) else value.tolist()

    encoder, one = Encoder(space), as_json(space.sample())

    assert encoder.is_one(one) and not encoder.is_one([one, one])
    assert encoder(one).shape == encoder.encoded_space.shape


def test_one_observation_of_several_parts_may_lie_out_of_bounds_and_be_of_other_types():
    keys = Encoder(Dict(position=Box(-1, 1, (2,)), pair=Tuple((Discrete(3), Box(0, 1, (1,))))))
    one = {"position": np.array([1.001, 0.0]), "pair": [1, np.array([-1e-9])]}

    assert keys.is_one(one) and keys(one).shape == (6,)
    assert not keys.is_one({"position": one["position"]}), "a key is missing"
    assert not keys.is_one({**one, "position": [0.0]}) and not keys.is_one({**one, "pair": [1]})
    assert not keys.is_one({**one, "position": [[0.0], [0.0, 1.0]]}), "ragged"


def test_pictures_keep_their_shape():
    assert Encoder(Box(0, 255, (12, 12, 3), np.uint8)).encoded_space.shape == (12, 12, 3)


def test_a_discrete_observation_can_stay_a_number_counted_from_nought():
    encoder = Encoder(Discrete(4, start=3), keep_discrete=True)

    assert encoder(5) == 2
    assert encoder.encoded_space == Discrete(4)


def test_actions_take_the_form_of_the_contract():
    assert type(as_action(Discrete(3), np.int64(2))) is int
    assert as_action(Box(-1, 1, (2,), np.float64), [0, 1]).dtype == np.float32
    assert as_action(MultiDiscrete([2, 2]), (0, 1)).dtype == np.int64


def test_an_observation_nobody_flattens_is_refused_by_name():
    with pytest.raises(ValueError, match=r"DQNConfig cannot observe .*Text"):
        DQNConfig().build(Dict(word=Text(5)), Discrete(2), 0)
    with pytest.raises(ValueError, match="Graph"):
        DQNConfig().build(Graph(Discrete(2), None), Discrete(2), 0)


@pytest.mark.parametrize("config", [DQNConfig(), QLearningConfig()], ids=lambda c: type(c).__name__)
def test_continuous_actions_are_refused_naming_the_space_and_what_fits(config):
    with pytest.raises(ValueError, match=r"acts in Discrete spaces, this environment has Box\(.*fit: SACConfig, TD3"):
        config.build(Discrete(3), Box(-1, 1, (2,)), 0)


def test_tabular_learning_refuses_what_it_cannot_number():
    with pytest.raises(ValueError, match=r"this environment has Tuple.*algorithms that fit: DQNConfig"):
        QLearningConfig().build(Tuple((Discrete(2), Discrete(2))), Discrete(2), 0)


@each_space
def test_a_batch_is_every_observation_encoded(space):
    encode, observations = Encoder(space), [space.sample() for _ in range(3)]
    batch = encode.batch(observations)
    assert batch.dtype == encode(observations[0]).dtype
    assert np.array_equal(batch, [encode(observation) for observation in observations])


class Extended(PPOConfig):
    """A user's variant of an algorithm."""


def test_a_class_that_extends_a_config_acts_in_the_spaces_of_that_config():
    space = Box(-1, 1, (3,))
    assert Extended().build(space, Discrete(2), 0).policy is not None
    with pytest.raises(ValueError, match="PPOConfig acts in"):
        Extended().build(space, MultiBinary(2), 0)
