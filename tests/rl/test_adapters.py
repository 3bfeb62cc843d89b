"""A bare agent under an explorer, and an algorithm in a loop of the user's own."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from playing import play
from rl_toys import Script, Shuffled

from actorrl.rl.adapters import PerStep, StepAgent
from actorrl.rl.dqn import DQNConfig
from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.explorer import Explorer
from actorrl.rl.lanes import InlineLanes
from actorrl.rl.nouns import Agent
from actorrl.rl.practice import Practice
from actorrl.rl.qlearning import QLearningConfig

EPISODES = [([1.0, 2.1], True, True), ([3.3], False, True)]


class Plain:
    """Five arguments by position, and no more."""

    def __init__(self):
        self.log = []

    def get_action(self, observation, step):
        self.log.append(("act", observation.tolist(), step))
        return np.int64(1)

    def update(self, o, a, r, o2, done):
        self.log.append(("learn", o.tolist(), a, r, o2.tolist(), done))


class Full(Plain):
    def update(self, o, a, r, o2, done, truncated=False, environment=0):
        self.log.append((r, done, truncated, environment))


def raw(count: int = 1) -> list[LocalEnvironments]:
    return [LocalEnvironments([lambda i=i: Script(EPISODES, i)], raw=True) for i in range(count)]


def test_a_bare_agent_sees_what_a_plain_loop_would_show_it():
    agent, by_hand = Plain(), Plain()
    Practice.of_agent(agent, InlineLanes(raw()), Discrete(2), seed=0, limit=7).advance(100)

    env = Script(EPISODES)
    observation, _ = env.reset()
    for step in range(7):
        action = int(by_hand.get_action(observation, step))
        following, reward, terminated, truncated, _ = env.step(action)
        by_hand.update(observation, action, reward, following, terminated)
        observation = env.reset()[0] if terminated or truncated else following

    assert agent.log == by_hand.log
    assert isinstance(agent, Agent)


def test_optional_arguments_are_passed_to_those_who_name_them_and_terminated_wins():
    agent = Full()
    Practice.of_agent(agent, InlineLanes(raw(2)), Discrete(2), seed=0, limit=6).advance(100)

    assert [entry for entry in agent.log if entry[0] != "act" and entry[3] == 1] == [
        (1.0, False, False, 1),
        (2.1, True, False, 1),
        (3.3, False, True, 1),
    ]


def test_keyword_arguments_of_any_name_take_both():
    class Any(Plain):
        def update(self, o, a, r, o2, done, **more):
            self.log.append(sorted(more))

    agent = Any()
    Practice.of_agent(agent, InlineLanes(raw()), seed=0, limit=1).advance(1)

    assert agent.log[-1] == ["environment", "truncated"]


@pytest.mark.parametrize("count", [1, 3])
def test_every_action_is_asked_for_with_the_number_of_steps_taken_before(count):
    agent = Plain()
    lanes = Shuffled(raw(count), np.random.default_rng(0))
    Practice.of_agent(agent, lanes, Discrete(2), seed=0, limit=20).advance(20)

    assert [entry[2] for entry in agent.log if entry[0] == "act"] == list(range(20))


def test_an_agent_that_answers_for_many_is_asked_once():
    class Many(Plain):
        def get_actions(self, observations, step):
            self.log.append((len(observations), step))
            return [0] * len(observations)

    agent = Many()
    Practice.of_agent(agent, InlineLanes(raw(3)), Discrete(2), seed=0, limit=6).advance(6)

    assert [entry for entry in agent.log if entry[0] != "learn"] == [(3, 0), (3, 3)]


def test_greedy_actions_are_used_where_the_agent_has_them():
    class Greedy(Plain):
        def greedy_action(self, observation):
            return 0

    environments = LocalEnvironments([lambda: Script(EPISODES)], raw=True)
    agent = Greedy()

    play(environments, PerStep(agent, Discrete(2), greedy=True), 2)

    assert agent.log == [], "neither explored nor learned"
    assert set(environments._environments[0].actions) == {0}


def test_box_actions_become_float32():
    env = gymnasium.make("Pendulum-v1")
    adapter = PerStep(
        type("A", (), {"get_action": lambda s, o, t: [0.5], "update": lambda s, *a: None})(), env.action_space
    )

    action = adapter.act([np.zeros(3)], (), 0, explore=True, rng=np.random.default_rng(0)).action[0]

    assert action.dtype == np.float32 and action.shape == (1,)


def hand_loop(agent, env, steps, seed):
    observation, _ = env.reset(seed=seed)
    for step in range(steps):
        action = agent.get_action(observation, step)
        assert type(action) is int
        following, reward, terminated, truncated, _ = env.step(action)
        agent.update(observation, action, reward, following, terminated, truncated=truncated)
        observation = env.reset()[0] if terminated or truncated else following


def test_an_algorithm_learns_in_a_loop_of_the_users_own():
    env = gymnasium.make("CartPole-v1")
    config = DQNConfig(learning_starts=100, total_steps=400, hidden_sizes=(16,))
    agent = StepAgent(config.build(env.observation_space, env.action_space, seed=0), seed=0)

    hand_loop(agent, env, 400, seed=0)

    assert agent.metrics()["updates"] == 2 * (400 // 4 - 99 // 4)
    assert agent.greedy_action(np.zeros(4)) in (0, 1)


def test_its_state_comes_back():
    env = gymnasium.make("CartPole-v1")
    config = DQNConfig(learning_starts=50, total_steps=200, hidden_sizes=(16,))
    one, other = (StepAgent(config.build(env.observation_space, env.action_space, seed=s), seed=s) for s in (0, 1))
    hand_loop(one, env, 200, seed=0)

    other.load_state_dict(one.state_dict())

    o = np.random.default_rng(0).normal(size=(20, 4))
    assert [one.greedy_action(x) for x in o] == [other.greedy_action(x) for x in o]
    assert other.metrics()["updates"] == one.metrics()["updates"]


def test_a_step_agent_is_an_agent_like_any_other():
    config = QLearningConfig(total_steps=300)
    env = gymnasium.make("FrozenLake-v1")
    agent = StepAgent(config.build(env.observation_space, env.action_space, seed=0), seed=0)
    environments = LocalEnvironments([lambda: gymnasium.make("FrozenLake-v1")], raw=True)

    practice = Practice.of_agent(agent, environments, env.action_space, seed=0, limit=300)
    while not practice.done:
        practice.advance(300)

    assert agent.steps == 300
    assert practice.state_dict()["steps"] == 300


def test_the_explorer_takes_a_per_step_adapter_as_policy_and_sink():
    agent = Plain()
    adapter = PerStep(agent, Discrete(2))

    Explorer(raw()[0], adapter, adapter, limit=3).advance(3)

    assert [entry[0] for entry in agent.log] == ["act", "learn"] * 3
    with pytest.raises(TypeError, match="keeps its own weights"):
        adapter.set_weights({}, 0)


def test_a_box_space_of_integers_keeps_integers():
    adapter = PerStep(Plain(), Box(0, 5, (1,), np.int32))

    assert adapter.act([np.zeros(1)], (), 0, explore=False, rng=None).action[0].dtype == np.int32
