"""Where environments come from: ids, factories, instances; and what cannot be had more than once."""

from __future__ import annotations

import pickle
import sys
import types

import gymnasium
import numpy as np
import pytest
from small_agents import TAXI, Corridor, Counting, Recorder, Tabular, Unpicklable

from actorrl import Central, DQNConfig, load, train
from actorrl.training.environment_source import EnvironmentSource, NotMade


def test_an_id_is_made_and_named():
    source = EnvironmentSource("CartPole-v1")

    assert source.maker()().spec.id == "CartPole-v1"
    assert source.plain == source.name == "CartPole-v1"


def test_an_id_with_a_module_imports_the_module_first(monkeypatch):
    module = types.ModuleType("house_of_corridors")
    monkeypatch.setitem(sys.modules, "house_of_corridors", module)
    gymnasium.register("Corridor-v0", Corridor, max_episode_steps=20)
    try:
        environment = EnvironmentSource("house_of_corridors:Corridor-v0").maker()()
        assert environment.spec.max_episode_steps == 20
    finally:
        gymnasium.registry.pop("Corridor-v0")


def test_a_spec_travels_so_that_an_id_registered_here_means_something_there():
    gymnasium.register("Corridor-v1", Corridor, max_episode_steps=20)
    maker = EnvironmentSource("Corridor-v1").maker()
    gymnasium.registry.pop("Corridor-v1")

    assert isinstance(maker().unwrapped, Corridor)


def test_keywords_of_an_id_are_kept():
    source = EnvironmentSource({"name": "FrozenLake-v1", "is_slippery": False})

    assert source.maker()().spec.kwargs["is_slippery"] is False
    assert source.plain == {"name": "FrozenLake-v1", "is_slippery": False}


def levels(level: int | str = 0) -> gymnasium.Env:
    return Corridor()


def test_a_text_is_refused_where_the_constructor_has_a_truth_or_a_number_and_takes_no_texts():
    with pytest.raises(ValueError, match=r"env.sutton_barto_reward is true or false, found the text 'ture'; did you"):
        EnvironmentSource({"name": "CartPole-v1", "sutton_barto_reward": "ture"})
    with pytest.raises(ValueError, match=r"env.g is a number, 10 by default, found the text '1e-5'; write 0.00001"):
        EnvironmentSource({"name": "Pendulum-v1", "g": "1e-5"})  # as YAML reads it

    assert EnvironmentSource({"name": f"{__name__}:levels", "level": "hard"}).spaces()


def test_a_limit_of_steps_is_a_keyword_too_and_stays_with_the_environment():
    source = EnvironmentSource({"name": "CartPole-v1", "max_episode_steps": 7})
    assert source.maker()().spec.max_episode_steps == 7

    given = EnvironmentSource(gymnasium.make("CartPole-v1", max_episode_steps=9))
    assert given.plain == {"name": "CartPole-v1", "max_episode_steps": 9}
    assert EnvironmentSource(given.plain).maker()().spec.max_episode_steps == 9


def test_a_factory_and_a_class_are_called():
    assert EnvironmentSource(lambda: Counting(5)).maker()().limit == 5
    source = EnvironmentSource(Corridor)
    assert isinstance(source.maker()(), Corridor)
    assert source.plain == "small_agents:Corridor"
    assert isinstance(EnvironmentSource("small_agents:Corridor").maker()(), Corridor)


def test_an_instance_is_made_again_from_its_spec():
    given = gymnasium.make("FrozenLake-v1", is_slippery=False)

    source = EnvironmentSource(given)

    assert source.maker()() is not given
    assert source.maker()().spec.kwargs["is_slippery"] is False
    assert source.plain == {"name": "FrozenLake-v1", "is_slippery": False}


def test_an_instance_without_a_spec_is_copied():
    given = Counting(9)

    made = [make() for make in EnvironmentSource(given).makers(2)]

    assert [environment.limit for environment in made] == [9, 9]
    assert given not in made and made[0] is not made[1]


def test_an_instance_that_can_be_neither_is_used_where_one_is_enough_and_else_refused():
    given = Unpicklable(4)

    run = train(Recorder(given.action_space), given, steps=8)
    assert len(run.agent.updates) == 8
    assert float(run.evaluate(3)) == 4.0

    with pytest.raises(TypeError, match=r"2 environments are needed.*Unpicklable.*factory"):
        train(Recorder(given.action_space), given, steps=8, arrangement=Central(2))


def test_makers_are_picklable():
    for make in (EnvironmentSource("CartPole-v1").maker(), EnvironmentSource(Corridor).maker(limit=10)):
        assert pickle.loads(pickle.dumps(make))().reset(seed=0)


def test_wrappers_are_applied_inside_out():
    wrappers = (gymnasium.wrappers.FlattenObservation, lambda e: gymnasium.wrappers.TimeLimit(e, 7))

    environment = EnvironmentSource("FrozenLake-v1", wrappers).maker()()

    assert isinstance(environment, gymnasium.wrappers.TimeLimit)
    assert isinstance(environment.env, gymnasium.wrappers.FlattenObservation)


def test_a_wrapped_environment_is_trained_in():
    def double(environment):
        return gymnasium.wrappers.TransformReward(environment, lambda reward: 2 * reward)

    run = train(Recorder(gymnasium.spaces.Discrete(2)), Counting, steps=3, wrappers=[double])

    assert [update[2] for update in run.agent.updates] == [2.0, 2.0, 2.0]


def test_what_is_no_environment_is_refused():
    with pytest.raises(ValueError, match="CartPoule-v1"):
        EnvironmentSource("CartPoule-v1")
    with pytest.raises(ValueError, match="no_such_module"):
        EnvironmentSource("no_such_module:Thing-v0")
    with pytest.raises(TypeError, match="env must be"):
        EnvironmentSource(3)
    with pytest.raises(TypeError, match=r"expected a gymnasium\.Env.*a dict has no observation_space"):
        EnvironmentSource(dict).spaces()
    with pytest.raises(TypeError, match="wrapper"):
        EnvironmentSource("CartPole-v1", ["loud"])


class Unready(gymnasium.Env):
    def __init__(self, error: type[Exception] = AssertionError, said: str = "the wind\nis too strong"):
        raise error(said)


@pytest.mark.parametrize("error", [AssertionError, RuntimeError, gymnasium.error.DependencyNotInstalled])
def test_an_environment_whose_constructor_fails_is_named_with_what_it_raised(error):
    with pytest.raises(NotMade, match=rf"^env: Unready could not be made: {error.__name__}: the wind is too strong$"):
        EnvironmentSource({"name": "test_environment_source:Unready", "error": error}).spaces()
    with pytest.raises(TypeError, match=r"^the wind\nis too strong$"):
        EnvironmentSource(lambda: Unready(TypeError)).spaces()


def test_a_module_that_cannot_be_imported_is_told_of_where_an_environment_is_made():
    gymnasium.register("Nowhere-v0", entry_point="no_such_module:Env")
    try:
        source = EnvironmentSource({"name": "Nowhere-v0", "size": 3})
        with pytest.raises(NotMade, match=r"env: Nowhere-v0 could not be made: ModuleNotFoundError: .*no_such_module"):
            source.spaces()
    finally:
        gymnasium.registry.pop("Nowhere-v0")


def test_a_vector_of_environments_whose_resets_would_be_taken_for_steps_is_refused():
    for vector in (gymnasium.make_vec("CartPole-v1", 2), lambda: gymnasium.make_vec("CartPole-v1", 2)):
        with pytest.raises(TypeError, match="several environments that reset themselves; expected a single one"):
            EnvironmentSource(vector).spaces()


def test_evaluation_cuts_episodes_that_nothing_else_ends():
    class Endless(Corridor):
        def step(self, action):
            return 0, 0.0, False, False, {}

    environment = EnvironmentSource(Endless).maker(limit=10)()

    environment.reset(seed=0)
    assert [environment.step(0)[3] for _ in range(10)] == [False] * 9 + [True]


def test_the_environments_of_a_run_are_seeded_apart():
    class Watching(Recorder):
        def update(self, observation, *rest, environment=0):
            self.updates.append((environment, tuple(observation)))

    run = train(Watching(gymnasium.spaces.Discrete(2)), "CartPole-v1", steps=8, arrangement=Central(4), engine="inline")

    first = dict(reversed(run.agent.updates))
    assert len(set(first.values())) == 4


@pytest.mark.parametrize("env", [TAXI, "FrozenLake-v1", "Blackjack-v1", "small_agents:Keys"])
def test_an_algorithm_gets_every_observation_flattened(env):
    run = train(DQNConfig(learning_starts=32, hidden_sizes=(8,)), env, steps=80)

    observation, _ = EnvironmentSource(env).maker()().reset(seed=1)
    action = run.act(observation)
    assert isinstance(action, int)
    assert load(run.directory).act(observation) == action


def test_a_lambda_has_no_name_in_the_file_and_is_given_again_to_load():
    run = train(Tabular(2), lambda: gymnasium.wrappers.TimeLimit(Corridor(), 30), steps=50)
    assert np.isfinite(run.evaluate(2))

    with pytest.raises(ValueError, match="env="):
        load(run.directory, trust=True)
    again = load(run.directory, trust=True, env=lambda: gymnasium.wrappers.TimeLimit(Corridor(), 30))
    assert again.evaluate(2) == run.evaluate(2)


def test_an_environment_that_cannot_be_shown_is_refused_with_the_reason():
    for env in (Corridor, Corridor(), lambda: gymnasium.make("CartPole-v1")):
        with pytest.raises(ValueError, match=r"cannot be shown on the screen.*render_mode"):
            EnvironmentSource(env).maker(render=True)()
