"""What a user's own agent sees: every step once, true final observations, Python ints, and a copy of itself."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from small_agents import TAXI, Corridor, Counting, Recorder, Saved, Tabular

from actorrl import Central, SharedReplay, train

each_wiring = pytest.mark.parametrize(
    "wiring", [{}, {"arrangement": Central(1), "engine": "inline"}], ids=["none", "inline"]
)


@each_wiring
def test_each_step_is_given_to_update_once_and_in_order(wiring):
    run = train(Recorder(Discrete(2)), Counting, steps=7, **wiring)

    seen = [(float(o[0]) % 100, float(n[0]) % 100, r, t) for o, _, r, n, t in run.agent.updates]
    assert seen == [(0, 1, 1, False), (1, 2, 1, False), (2, 3, 1, False)] * 2 + [(0, 1, 1, False)]


@each_wiring
def test_on_truncation_update_gets_the_true_last_observation_and_get_action_the_reset_one(wiring):
    run = train(Recorder(Discrete(2)), lambda: Counting(limit=3), steps=6, **wiring)

    observation, _, _, observation_next, terminated = run.agent.updates[2]
    assert terminated is False
    assert observation_next == observation + 1
    assert run.agent.asked[3][0] == observation + 98, "the first observation of the next episode"
    assert run.agent.asked[3][0] == run.agent.updates[3][0]


def test_where_both_flags_are_set_terminated_wins():
    class Attentive(Recorder):
        def update(self, *five, truncated=False, environment=0):
            self.updates.append((*five, truncated, environment))

    run = train(Attentive(Discrete(2)), lambda: Counting(limit=3, both=True), steps=3)

    assert run.agent.updates[2][4:] == (True, False, 0)


def test_truncated_and_environment_are_given_by_name_to_those_who_take_them():
    class Attentive(Recorder):
        def update(self, observation, action, reward, observation_next, terminated, *, environment, truncated=False):
            self.updates.append((environment, truncated))

    run = train(Attentive(Discrete(2)), Counting, steps=6, arrangement=Central(2), engine="inline")

    assert sorted(run.agent.updates) == [(0, False), (0, False), (0, True), (1, False), (1, False), (1, True)]


def test_discrete_actions_are_python_ints_and_box_actions_float32():
    class Numpy(Recorder):
        def get_action(self, observation, step):
            return np.int64(1)

    class Listed(Recorder):
        def get_action(self, observation, step):
            return [0.5]

    run = train(Numpy(Discrete(2)), "CartPole-v1", steps=3)
    assert [type(update[1]) for update in run.agent.updates] == [int, int, int]

    run = train(Listed(Box(-2, 2, (1,))), "Pendulum-v1", steps=3)
    assert all(update[1].dtype == np.float32 and update[1].shape == (1,) for update in run.agent.updates)
    assert isinstance(run.agent.updates[0][2], float)


def test_step_is_the_number_of_environment_steps_taken_before():
    run = train(Recorder(Discrete(2)), Counting, steps=5)

    assert [step for _, step in run.agent.asked] == [0, 1, 2, 3, 4]


@each_wiring
def test_the_callers_agent_is_not_changed_and_the_copy_keeps_its_class(wiring):
    agent = Tabular(2)

    run = train(agent, Corridor, steps=50, **wiring)

    assert agent.q == {}
    assert run.agent.q and type(run.agent) is Tabular


def test_get_actions_chooses_for_the_environments_that_have_answered():
    class Together(Recorder):
        def get_actions(self, observations, step):
            self.asked.append((len(observations), step))
            return [self.space.sample() for _ in observations]

    run = train(Together(Discrete(2)), Counting, steps=8, arrangement=Central(4), engine="inline")

    assert [asked for asked in run.agent.asked if isinstance(asked[0], int)] == [(4, 0), (4, 4)]


@pytest.mark.parametrize("env", [TAXI, "FrozenLake-v1", "Blackjack-v1"])
def test_observations_come_as_the_environment_gives_them(env):
    run = train(Tabular(gymnasium.make(env).action_space.n), env, steps=60)

    space = gymnasium.make(env).observation_space
    assert all(space.contains(observation) for observation in run.agent.q)


def test_an_agent_that_draws_from_the_global_generators_draws_the_same_everywhere():
    runs = [
        train(Saved(4), "FrozenLake-v1", steps=300, seed=3, **wiring)
        for wiring in ({}, {"arrangement": Central(1), "engine": "inline"}, {"arrangement": Central(1)})
    ]

    assert runs[0].agent.q == runs[1].agent.q == runs[2].agent.q


def test_training_leaves_the_callers_global_generators_alone():
    import random

    random.seed(1), np.random.seed(1)
    expected = random.random(), np.random.random()
    random.seed(1), np.random.seed(1)

    train(Tabular(4), "FrozenLake-v1", steps=100)

    assert (random.random(), np.random.random()) == expected


def test_an_arrangement_that_takes_agents_apart_refuses_a_bare_one():
    with pytest.raises(TypeError, match=r"Policy.*Learner"):
        train(Tabular(2), "CartPole-v1", steps=10, arrangement=SharedReplay(agents=2, environments=2))


def test_an_agent_without_greedy_action_is_evaluated_with_exploration(capfd):
    run = train(Recorder(Discrete(2)), Counting, steps=10)

    assert str(run.evaluate(5)) == "mean return 3.0 ± 0.0 over 5 episodes with exploration"
    assert "with exploration" in capfd.readouterr().err
