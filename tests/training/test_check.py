"""The check of a user's agent: what does not fit is named, before anything starts."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from gymnasium.spaces import Discrete
from small_agents import Recorder, Saved

from actorrl import train
from actorrl.training import check


class Plain:
    def get_action(self, observation, step):
        return 0

    def update(self, observation, action, reward, observation_next, terminated):
        pass


def refused(agent, error, match, env="CartPole-v1"):
    with pytest.raises(error, match=match):
        train(agent, env, steps=100)
    assert not Path("runs").exists(), "nothing was started"


def test_an_agent_that_fits_passes():
    check.check_agent(Plain(), lambda: __import__("gymnasium").make("CartPole-v1"))


def test_a_missing_method_is_named():
    class NoUpdate:
        get_action = Plain.get_action

    class NoAction:
        update = Plain.update

    refused(NoUpdate(), TypeError, r"update\(.*NoUpdate has no such method")
    refused(NoAction(), TypeError, r"get_action\(.*NoAction has no such method")
    refused(Plain, TypeError, "pass an instance")


def test_a_parameter_that_nobody_passes_is_named():
    class Greedy(Plain):
        def update(self, observation, action, reward, observation_next, terminated, info):
            pass

    class Keyword(Plain):
        def get_action(self, observation, step, *, temperature):
            return 0

    refused(Greedy(), TypeError, r"Greedy\.update.*'info'.*default")
    refused(Keyword(), TypeError, r"Keyword\.get_action.*'temperature'")


def test_too_few_parameters_are_named():
    class Short(Plain):
        def update(self, observation, action, reward, observation_next):
            pass

    class Stepless(Plain):
        def get_action(self, observation):
            return 0

    refused(Short(), TypeError, r"Short\.update.*'terminated'")
    refused(Stepless(), TypeError, r"Stepless\.get_action.*'step'")


def test_a_named_parameter_among_the_five_is_refused():
    class Mixed(Plain):
        def update(self, observation, action, reward, truncated, observation_next, terminated=False):
            pass

    refused(Mixed(), TypeError, r"Mixed\.update.*'truncated' must come after")


def test_defaults_star_arguments_and_names_of_ones_own_are_fine():
    class Free(Plain):
        def get_action(self, *args):
            return 1

        def update(self, s, a, r, s2, done, bonus=1.0, truncated=False, **more):
            assert isinstance(done, bool)

    train(Free(), "CartPole-v1", steps=10)


@pytest.mark.parametrize("action", [2, -1, 1.0, "left", None, np.array([1])])
def test_an_action_outside_the_space_is_named(action):
    class Wild(Plain):
        def get_action(self, observation, step):
            return action

    refused(Wild(), ValueError, r"Wild\.get_action returned .* does not lie in the action space Discrete\(2\)")


def test_a_box_action_of_the_wrong_shape_or_size_is_named():
    class Flat(Plain):
        def get_action(self, observation, step):
            return np.zeros(3)

    class Strong(Plain):
        def get_action(self, observation, step):
            return [5.0]

    refused(Flat(), ValueError, r"shape \(3,\)", "Pendulum-v1")
    refused(Strong(), ValueError, r"\[5.0\]", "Pendulum-v1")


def test_the_optional_methods_are_rehearsed_too():
    class Greedy(Plain):
        def greedy_action(self, observation):
            return 7

    class Many(Plain):
        def get_actions(self, observations, step):
            return [0]

    class Half(Plain):
        def state_dict(self):
            return {}

    class Odd(Saved):
        def state_dict(self):
            return {"q": object()}

    refused(Greedy(), ValueError, r"Greedy\.greedy_action returned 7")
    refused(Many(), ValueError, r"Many\.get_actions must return one action per observation")
    refused(Half(), TypeError, "no load_state_dict")
    refused(Odd(), ValueError, r"Odd\.state_dict.*state\['q'\] is a object", "FrozenLake-v1")


def test_a_method_that_fails_is_named_with_its_error():
    class Broken(Plain):
        def update(self, observation, action, reward, observation_next, terminated):
            raise KeyError("table")

    refused(Broken(), ValueError, r"Broken\.update failed in the rehearsal: KeyError: 'table'")


def test_a_method_that_does_not_return_is_named(monkeypatch):
    import threading

    monkeypatch.setattr(check, "PATIENCE", 0.1)
    leave = threading.Event()

    class Endless(Plain):
        def __reduce__(self):
            return (Endless, ())

        def update(self, observation, action, reward, observation_next, terminated):
            leave.wait(30)

    monkeypatch.setattr(check, "copy_of", lambda agent: agent)
    refused(Endless(), ValueError, r"Endless\.update did not return")
    leave.set()


def test_coroutines_and_agents_that_cannot_be_copied_are_refused():
    class Later(Plain):
        async def update(self, observation, action, reward, observation_next, terminated):
            pass

    class Stuck(Plain):
        def __init__(self):
            self.lock = __import__("threading").Lock()

    refused(Later(), TypeError, r"Later\.update must be an ordinary method")
    refused(Stuck(), TypeError, r"Stuck cannot be copied.*lock")


def test_the_check_leaves_the_agent_and_the_global_generators_as_they_were():
    agent = Recorder(Discrete(2))
    random.seed(5)
    expected = random.random()
    random.seed(5)

    train(agent, "CartPole-v1", steps=10)

    assert agent.asked == agent.updates == []
    assert random.random() == expected
