"""Search spaces: ranges and lists from YAML, found where they lie, and refused before a trial starts."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import yaml

from actorrl.training import presets
from actorrl.training.experiment import ALGORITHMS, Experiment, read_overrides
from actorrl.training.search_space import Axis, check_space, find_space, own_values, space_of

CARTPOLE = {"env": "CartPole-v1", "agent": {"name": "ppo"}, "steps": 1000}


class Middle:
    """An Optuna trial that always takes what is in the middle, and keeps what it was asked."""

    def __init__(self):
        self.asked: dict[str, tuple] = {}

    def suggest_float(self, name, low, high, *, step=None, log=False):
        self.asked[name] = (low, high, step, log)
        return (low + high) / 2

    suggest_int = suggest_float

    def suggest_categorical(self, name, choices):
        self.asked[name] = tuple(choices)
        return choices[len(choices) // 2]


def test_ranges_and_lists_are_what_optuna_is_asked_for():
    said = yaml.safe_load(
        """
        agent.learning-rate: {low: 1e-4, high: 0.01, log: true}
        agent.n_steps: {low: 16, high: 64, step: 16}
        agent.gamma: [0.9, 0.99]
        agent.hidden_sizes: {choices: [[8], [64, 64]]}
        """
    )
    trial = Middle()

    values = {axis.key: axis.suggest(trial) for axis in space_of(said)}

    assert trial.asked == {
        "agent.learning_rate": (0.0001, 0.01, None, True),
        "agent.n_steps": (16, 64, 16, False),
        "agent.gamma": (0.9, 0.99),
        "agent.hidden_sizes": ("[8]", "[64, 64]"),
    }
    assert values["agent.n_steps"] == 40 and values["agent.hidden_sizes"] == [64, 64]
    assert [axis.whole for axis in space_of(said)] == [False, True, True, True]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("wide", "search: agent.gamma must be a list, or low and high, found 'wide'"),
        ({"low": 0.5, "hi": 1}, "gamma.hi is not known; did you mean 'high'"),
        ({"low": 0.5}, "gamma.high must be a number, found None"),
        ({"low": 1, "high": 0.5}, "low must be less than high"),
        ({"low": 0, "high": 1, "log": True}, "a logarithm needs low above 0"),
        ({"low": 0, "high": 1, "step": -1}, "step must be above 0"),
        ({"choices": []}, "choices must be a list of values"),
        ([], "choices must be a list of values"),
    ],
)
def test_what_is_no_range_is_refused_with_its_key(said, sentence):
    with pytest.raises(ValueError, match=sentence):
        Axis.of("agent.gamma", said)


@pytest.mark.parametrize(
    ("search", "sentence"),
    [
        ({"agent.learning_rat": [0.1]}, "search: agent.learning_rat: .*did you mean 'agent.learning_rate'"),
        ({"agnet.gamma": [0.1]}, "search: agnet.gamma: .*did you mean 'agent'"),
        ({"agent.gamma": {"low": 0.5, "high": 1.5}}, "search: agent.gamma: .*between 0 and 1"),
        ({"agent.n_steps": {"low": 1.5, "high": 3.2}}, "must be an integer"),
        ({"seed": [1, 2]}, "seed is no setting"),
    ],
)
def test_keys_and_ends_that_do_not_fit_are_refused_before_a_trial(search, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_space(space_of(search), dict(CARTPOLE), "x")


def test_a_value_that_needs_another_beside_it_is_let_through():
    few = {"agent.n_steps": [8, 128], "agent.batch_size": [32, 256]}  # 8 steps of 8 environments are no batch of 256

    check_space(space_of(few), dict(CARTPOLE), "x")

    with pytest.raises(ValueError, match="batch_size must be at most"):
        check_space(space_of({**few, "agent.n_steps": [4, 8]}), dict(CARTPOLE), "x")


def test_a_space_is_found_in_the_file_beside_the_preset_or_of_the_algorithm(tmp_path: Path):
    own = {"agent.gamma": [0.9, 0.99]}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(own))

    assert find_space({**CARTPOLE, "search": {"agent.n_steps": [8]}}, "x") == {"agent.n_steps": [8]}
    assert find_space({**CARTPOLE, "search": {"agent.n_steps": [8]}}, "x", tmp_path / "mine.yaml") == own
    assert "agent.n_epochs" in find_space(*presets.find("cartpole-ppo"))
    assert "agent.clip_range" in find_space(CARTPOLE, "x")
    with pytest.raises(FileNotFoundError, match="nothing"):
        find_space(CARTPOLE, "x", "nothing.yaml")
    with pytest.raises(ValueError, match="no search space for x"):
        find_space({"agent": {"name": "my:Agent"}}, "x")


def test_search_in_a_file_is_no_obstacle_to_training_it():
    assert Experiment.from_tree({**CARTPOLE, "search": {"agent.n_steps": [8]}}, "x").steps == 1000


@pytest.mark.parametrize("preset", presets.names())
def test_every_preset_has_a_search_space_that_fits(preset):
    tree, name = presets.find(preset)
    if not tree.get("agent"):
        pytest.skip("its agents are the arrangement's")
    space = space_of(find_space(tree, name))

    check_space(space, tree, name)

    rng, fitting = random.Random(0), 0
    for _ in range(40):
        try:
            Experiment.from_tree(read_overrides(tree, {axis.key: axis.draw(rng) for axis in space}), name).checked()
            fitting += 1
        except ValueError:
            pass
    assert fitting >= 20, "few draws are thrown away"


@pytest.mark.parametrize("preset", presets.names())
def test_what_a_preset_has_itself_is_in_its_search_space(preset):
    tree, name = presets.find(preset)
    space, plan = space_of(find_space(tree, name)), Experiment.from_tree(tree, name).checked()

    assert [axis.key for axis in space if axis.key not in own_values(space, plan)] == []
    ladder = getattr(plan.arrangement, "epsilon_ladder", False)
    assert not ladder or not [axis.key for axis in space if "exploration" in axis.key], "the ladder's, and no setting"


def test_of_an_experiments_own_values_those_are_taken_that_the_space_holds():
    said = {
        "agent.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "agent.n_steps": {"low": 16, "high": 128, "step": 16},
        "agent.n_envs": {"low": 3, "high": 9, "step": 2},  # 3, 5, 7, 9
        "agent.gamma": [0.9, 0.95],
        "agent.hidden_sizes": [[8], [64, 64]],
        "agent.normalize_reward": [0, 1],
        "arrangement.environments": [1, 2],
        "agent.clip_range": {"low": 0, "high": 1},
    }
    tree = {**CARTPOLE, "agent": {"name": "ppo", "learning_rate": "1e-3"}}

    own = own_values(space_of(said), Experiment.from_tree(tree, "x").checked())

    assert own == {"agent.learning_rate": 1e-3, "agent.n_steps": 128, "agent.hidden_sizes": "[64, 64]"}


@pytest.mark.parametrize("text", ["", "# agent.gamma: [0.9]\n", "[agent.gamma]\n", "{}\n", "agent.gamma\n"])
def test_a_file_without_a_space_is_refused_by_its_name_and_ours_is_not_taken_instead(text: str, tmp_path: Path):
    (tmp_path / "empty.yaml").write_text(text)

    with pytest.raises(ValueError, match=r"empty.yaml: a search space holds keys and their ranges .*, found"):
        find_space(CARTPOLE, "x", tmp_path / "empty.yaml")
    with pytest.raises(ValueError, match=r"search: a search space holds keys and their ranges .*, found"):
        find_space({**CARTPOLE, "search": yaml.safe_load(text)}, "x")


def test_every_algorithm_has_one_and_none_is_a_preset():
    for algorithm in ALGORITHMS:
        assert (presets.FOLDER / f"{algorithm}.search.yaml").is_file()
    assert not [name for name in presets.names() if "search" in name]
