"""What a file or a command line may say, and what is answered to what it may not."""

from __future__ import annotations

import gymnasium
import pytest
from small_agents import Tabular

from actorrl import Central, DQNConfig, QLearningConfig, SACConfig, TD3Config
from actorrl.training import presets
from actorrl.training.experiment import Experiment, agent_of, arrangement_of, read_overrides


def test_every_preset_can_be_read_and_written_back_whole():
    for name in presets.names():
        tree, _ = presets.find(name)
        experiment = Experiment.from_tree(tree, name).checked()
        whole = experiment.to_tree(tree["env"])
        again = Experiment.from_tree(whole, name)
        assert again.agent == experiment.agent
        assert again.arrangement == experiment.arrangement
        assert again.to_tree(tree["env"]) == whole


def test_the_main_job_is_dqn_on_cartpole_with_four_environment_actors():
    experiment = Experiment.of("cartpole")

    assert isinstance(experiment.agent, DQNConfig)
    assert (experiment.env, experiment.arrangement, experiment.steps) == ("CartPole-v1", Central(4), 100_000)


def test_values_are_made_what_the_field_says():
    config = agent_of({"name": "dqn", "learning-rate": "1e-3", "buffer_size": 5e4, "hidden_sizes": [64, 32]})

    assert config == DQNConfig(learning_rate=1e-3, buffer_size=50_000, hidden_sizes=(64, 32))
    assert type(config.buffer_size) is int
    assert agent_of({"name": "dqn", "double": "false", "total_steps": "none"}).double is False
    assert agent_of({"name": "DQNConfig"}) == DQNConfig()
    assert agent_of({"name": "sac", "learning_rate": 1e-4}) == SACConfig(learning_rate=1e-4)
    assert agent_of({"name": "td3"}) == TD3Config()
    assert agent_of({"name": "qlearning", "bins": [3, 4]}) == QLearningConfig(bins=(3, 4))
    assert agent_of({"name": "qlearning", "bins": 3, "low": "1, 2"}).low == (1.0, 2.0)


@pytest.mark.parametrize(
    ("tree", "match"),
    [
        ({"agent": {"name": "dqn", "learning_rat": 1}}, r"agent\.learning_rat is not known; did you mean 'agent\.lear"),
        ({"agent": {"name": "dqn", "gamma": "high"}}, r"agent\.gamma must be a number, found 'high'"),
        ({"agent": {"name": "dqn", "batch_size": 1.5}}, r"agent\.batch_size must be an integer, found 1\.5"),
        ({"agent": {"name": "dqm"}}, "did you mean 'dqn'"),
        ({"agent": "dqn", "stepz": 4}, "stepz is not known; did you mean 'steps'"),
        ({"agent": "dqn", "arrangement": {"name": "centrl"}}, "did you mean 'central'"),
        ({"agent": "dqn", "arrangement": {"environment": 3}}, "did you mean 'arrangement.environments'"),
        ({"agent": "dqn", "evaluation": {"evry": 3}}, "did you mean 'evaluation.every'"),
        ({"agent": {"name": "no_module:Thing"}}, "no_module"),
        ({"agent": {"name": "small_agents:Tabula"}}, "did you mean 'Tabular'"),
        ({"agent": {"name": "os:abort"}}, "neither a config"),
        ({"env": "CartPole-v1"}, "agent is missing"),
        ({"agent": "dqn", "stop": 60}, r"stop must hold keys and values \(stop.steps, ...\), found 60"),
        ({"agent": "dqn", "stop": 0}, r"stop must hold keys and values \(stop.steps, ...\), found 0"),
        ({"agent": "dqn", "stop": {"return": "nan"}}, r"stop.return must be a finite number, found nan"),
        ({"agent": "dqn", "evaluation": True}, r"evaluation must hold keys .*\(evaluation.every, ...\), found True"),
        ({"agent": "dqn", "wrappers": 5}, r"wrappers must be a list of names .*, found 5"),
        ({"agent": "dqn", "callbacks": 5}, r"callbacks must be a list of names .*, found 5"),
    ],
)
def test_what_is_misspelt_or_does_not_fit_is_refused_with_the_nearest_name(tree, match):
    with pytest.raises(ValueError, match=match):
        Experiment.from_tree(tree, "test")


def test_an_agent_of_ones_own_is_named_by_its_module_and_class():
    agent = agent_of({"name": "small_agents:Tabular", "actions": 3})

    assert isinstance(agent, Tabular) and agent.actions == 3


def test_wrappers_are_named_and_may_have_keywords():
    tree = {
        "agent": "dqn",
        "wrappers": [
            "gymnasium.wrappers:FlattenObservation",
            {"name": "gymnasium.wrappers:TimeLimit", "max_episode_steps": 9},
        ],
    }
    experiment = Experiment.from_tree(tree, "test")

    environment = gymnasium.make("CartPole-v1")
    for wrap in experiment.wrappers:
        environment = wrap(environment)

    assert environment._max_episode_steps == 9
    whole = experiment.to_tree("CartPole-v1")
    assert whole["wrappers"][1]["max_episode_steps"] == 9
    assert Experiment.from_tree(whole, "again").wrappers == experiment.wrappers


@pytest.mark.parametrize("said", ["1e5", 1e5, "100_000", 100_000])
def test_steps_may_be_written_like_any_other_number(said):
    experiment = Experiment.from_tree({"agent": "dqn", "env": "CartPole-v1", "steps": said}, "test").checked()

    assert experiment.steps == 100_000 and type(experiment.steps) is int


def test_overrides_go_where_their_dots_say():
    tree = {"agent": {"name": "dqn", "gamma": 0.9}, "env": "CartPole-v1", "arrangement": None}

    changed = read_overrides(
        tree,
        {"agent.learning-rate": 0.1, "env.sutton_barto_reward": True, "arrangement.environments": 2, "steps": 7},
    )

    assert changed["agent"] == {"name": "dqn", "gamma": 0.9, "learning_rate": 0.1}
    assert changed["env"] == {"name": "CartPole-v1", "sutton_barto_reward": True}
    assert arrangement_of(changed["arrangement"]) == Central(2)
    assert changed["steps"] == 7 and tree["agent"] == {"name": "dqn", "gamma": 0.9}


def test_files_are_read_by_their_paths(tmp_path):
    (tmp_path / "mine.yaml").write_text("agent: dqn\nenv: CartPole-v1\nsteps: 12\n")
    (tmp_path / "odd.yaml").write_text("- a\n- b\n")
    (tmp_path / "bad.yaml").write_text("a: [\n")

    assert Experiment.of(str(tmp_path / "mine.yaml")).name == "mine"
    with pytest.raises(ValueError, match="keys and values"):
        presets.find(tmp_path / "odd.yaml")
    with pytest.raises(ValueError, match="not YAML"):
        presets.find(tmp_path / "bad.yaml")
    with pytest.raises(FileNotFoundError):
        presets.find(tmp_path / "none.yaml")
    with pytest.raises(ValueError, match="did you mean 'cartpole'"):
        presets.find("cartpol")
