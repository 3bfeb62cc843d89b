"""Wrappers by short names, and what evaluation makes of them; normalisers; Atari where it is installed."""

from __future__ import annotations

import functools
import importlib.util
import sys
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from small_agents import Counting

from actorrl import A2CConfig, DQNConfig, PPOConfig, load, resume, train
from actorrl.cli.main import main
from actorrl.rl.environments import LocalEnvironments
from actorrl.training.entry import prepare
from actorrl.training.environment_source import EnvironmentSource
from actorrl.training.experiment import Experiment
from actorrl.training.filters import FILTERS, named, wrappers_of

PLAIN = {"env": "CartPole-v1", "agent": "dqn", "steps": 10}


class Screen(gymnasium.Env):
    """Pictures in colour, rewards of 3 and 0.25 by turns, six steps."""

    observation_space = Box(0, 255, (12, 10, 3), np.uint8)
    action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return np.full((12, 10, 3), 7, np.uint8), {}

    def step(self, action):
        self.count += 1
        reward = 3.0 if self.count % 2 else 0.25
        return np.full((12, 10, 3), self.count, np.uint8), reward, self.count == 6, False, {}


def test_short_names_are_gymnasiums_wrappers_innermost_first():
    source = EnvironmentSource(Screen, wrappers_of(["gray", {"name": "frame-stack", "stack_size": 3}, "reward_clip"]))

    environment = source.maker()()

    assert environment.observation_space.shape == (3, 12, 10)
    assert isinstance(environment, gymnasium.wrappers.ClipReward)
    environment.reset()
    assert [environment.step(0)[1] for _ in range(2)] == [1.0, 0.25]


@pytest.mark.parametrize(
    "said",
    [
        "gray,frame_stack",
        ["gray", "frame-stack"],
        [{"name": "gray"}, {"name": "frame_stack", "stack-size": 4}],
        ["gray", {"name": "gymnasium.wrappers:FrameStackObservation", "stack_size": 4}],
    ],
)
def test_a_list_a_text_and_keywords_say_the_same_and_files_keep_it(said):
    experiment = Experiment.from_tree({**PLAIN, "env": Screen, "wrappers": said}, "x")

    tree = experiment.to_tree("Screen")["wrappers"]

    assert tree[0] == {"name": "gray"} and tree[1]["stack_size"] == 4
    assert wrappers_of(tree)[1].keywords == {"stack_size": 4}
    assert EnvironmentSource(Screen, wrappers_of(tree)).spaces()[0].shape == (4, 12, 10)


@pytest.mark.parametrize("short", FILTERS)
def test_every_short_name_survives_the_file(short):
    (wrap,) = wrappers_of(short)

    assert wrappers_of([named(wrap)]) == (wrap,)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (["grey"], "the wrapper 'grey' is not known; did you mean 'gray'"),
        (["gymnasium.wrappers:GrayscaleObservatio"], "did you mean 'GrayscaleObservation'"),
    ],
)
def test_an_unknown_wrapper_is_refused_with_the_nearest(said, sentence):
    with pytest.raises(ValueError, match=sentence):
        wrappers_of(said)


def test_a_text_is_refused_where_a_wrapper_has_a_truth_or_a_number():
    with pytest.raises(ValueError, match="atari: grayscale_obs is true or false, found the text 'ture'; did"):
        wrappers_of([{"name": "atari", "grayscale-obs": "ture"}])
    with pytest.raises(ValueError, match="atari: frame_skip is a number, 4 by default, found the text 'four'"):
        wrappers_of([{"name": "atari", "frame-skip": "four"}])


def test_a_wrapper_that_does_not_fit_is_named_before_anything_starts():
    for said, name in (("gray", "gray"), ({"name": "resize", "shape": 3}, "resize")):
        with pytest.raises(ValueError, match=f"the wrapper {name} does not fit"):
            train(DQNConfig(), "CartPole-v1", steps=50, wrappers=said, run_dir="never")


def test_names_may_be_given_to_train_and_on_the_command_line(tmp_path, capfd):
    config = DQNConfig(learning_starts=20, hidden_sizes=(8,))
    run = train(config, "CartPole-v1", steps=30, wrappers=["frame_stack", "flatten"])
    assert run.act(np.zeros(16, np.float32)) in (0, 1)
    assert load(run.directory).act(np.zeros(16, np.float32)) in (0, 1)

    options = ["--wrappers", "frame_stack,flatten", "--agent.learning-starts", "20", "--arrangement", "none"]
    assert main(["train", "cartpole", "--steps", "30", "--run-dir", "out", *options]) == 0
    assert load("out").config["wrappers"] == [{"name": "frame_stack", "stack_size": 4}, {"name": "flatten"}]


class OfAScript(gymnasium.Wrapper):
    """As `__main__` has one."""


OfAScript.__module__ = "__main__"


@pytest.mark.parametrize(
    "wrap",
    [
        lambda environment: gymnasium.wrappers.TimeLimit(environment, 20),
        functools.partial(gymnasium.wrappers.TimeLimit, max_episode_steps=20),
        type("Local", (gymnasium.Wrapper,), {"__qualname__": "test.<locals>.Local"}),
        OfAScript,
    ],
    ids=["lambda", "partial", "local", "script"],
)
def test_a_wrapper_without_a_name_is_passed_again(wrap, capfd, monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "OfAScript", OfAScript, raising=False)
    run = train(DQNConfig(hidden_sizes=(8,)), "CartPole-v1", steps=30, wrappers=[wrap, "flatten"], run_dir="out")
    monkeypatch.delattr(sys.modules["__main__"], "OfAScript")

    with pytest.raises(ValueError, match=r"pass all of it again: load\(run_dir, wrappers=\[\.\.\.\]\) \(the wrapper"):
        load("out")
    with pytest.raises(ValueError, match=r"pass all of it again: resume\(run_dir, wrappers=\[\.\.\.\]\) \(the wrapper"):
        resume("out", steps=40)
    assert main(["evaluate", "out"]) == 2 and "load(run_dir, wrappers=[...])" in capfd.readouterr().err

    again = load("out", wrappers=[wrap, "flatten"])
    assert again.evaluate(5).returns.tolist() == run.evaluate(5).returns.tolist()
    assert resume("out", wrappers=[wrap, "flatten"]).metrics["steps"][-1] == 30, "of a finished run"
    assert resume("out", steps=40, wrappers=[wrap, "flatten"]).metrics["steps"][-1] == 40


class Watcher:
    """Keeps the rewards it was shown."""

    def __init__(self):
        self.rewards: list[float] = []

    def get_action(self, observation, step):
        return 0

    def update(self, observation, action, reward, observation_next, terminated):
        self.rewards.append(reward)


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        (["reward_clip"], [1.0, 0.25] * 3),
        ([{"name": "max_and_skip", "skip": 2}, "reward_clip"], [1.0] * 3),
        (["frame_stack"], [3.0, 0.25] * 3),
    ],
)
def test_evaluation_counts_the_rewards_of_the_environment_and_training_those_of_the_filters(said, seen):
    run = train(Watcher(), Screen, steps=len(seen), wrappers=said)

    assert run.agent.rewards == seen
    assert set(run.evaluate(4).returns) == {3 * 3.25}


class Sloped(gymnasium.Env):
    """Observations far from 0; four steps."""

    observation_space = Box(-np.inf, np.inf, (2,), np.float32)
    action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self._observed(), {}

    def _observed(self):
        return np.array([1000.0 + 10 * self.np_random.standard_normal(), self.count], np.float32)

    def step(self, action):
        self.count += 1
        return self._observed(), float(action) * 100, self.count == 4, False, {}


@pytest.mark.parametrize("config", [PPOConfig(n_steps=32, n_envs=2, batch_size=32, n_epochs=1), A2CConfig(n_envs=2)])
def test_what_was_normalised_by_is_in_the_checkpoint_and_stays_as_it_is_in_evaluation(config):
    config = replace(config, normalize_observation=True, normalize_reward=True)
    run = train(config, Sloped, steps=512)
    before = run.agent.parts.policy.standardiser.mean.copy()
    again = load(run.directory, env=Sloped)
    learned = again.agent.parts.learner.state_dict()

    assert learned["observation.mean"][0] == pytest.approx(1000, abs=5)
    returns = set(run.evaluate(20).returns)
    assert returns <= {0.0, 100.0, 200.0, 300.0, 400.0}, "raw, not divided by what rewards are scaled by"
    after = again.agent.parts.learner.state_dict()
    scales = [key for key in learned if key.startswith(("observation.", "returns."))]
    assert len(scales) == 6 and all(np.array_equal(learned[key], after[key]) for key in scales)
    assert np.array_equal(before, run.agent.parts.policy.standardiser.mean)
    assert np.array_equal(before, again.agent.parts.policy.standardiser.mean)
    batch = np.array([[1000.0, 0.0], [990.0, 2.0], [1015.0, 3.0]], np.float32)
    assert again.act(batch).tolist() == run.act(batch).tolist()


def test_a_stack_of_frames_is_filled_again_at_a_reset_and_the_last_one_of_an_episode_is_kept():
    source = EnvironmentSource(Counting, wrappers_of("frame_stack"))  # it observes 100 times the episode and the steps
    environments = LocalEnvironments(source.makers(1))

    def stack(observation):
        return np.ravel(observation).tolist()

    first = environments.reset([0])
    assert stack(first) == [100] * 4
    assert stack(environments.step([0]).observation) == [100, 100, 100, 101]
    assert not environments.step([0]).final_observation

    ended = environments.step([0])
    assert ended.truncated.tolist() == [True]
    assert stack(ended.final_observation[0]) == [100, 101, 102, 103], "what the last step led to"
    assert stack(ended.observation) == [200] * 4, "nothing of the episode before"
    assert stack(environments.step([0]).observation) == [200, 200, 200, 201]
    assert stack(environments.reset()) == [300] * 4, "in the midst of an episode too"
    assert stack(first) == [100] * 4 and stack(ended.observation) == [200] * 4, "what was handed out stays as it was"


@pytest.mark.skipif(importlib.util.find_spec("cv2") is None, reason="OpenCV is not installed (the extra `atari`)")
def test_pictures_are_made_smaller():
    source = EnvironmentSource(Screen, wrappers_of(["gray", {"name": "resize", "shape": [8, 9]}, "frame_stack"]))

    assert source.spaces()[0].shape == (4, 8, 9)


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("ale_py") is None or importlib.util.find_spec("cv2") is None,
    reason="ale-py and OpenCV are not installed (the extra `atari`)",
)
def test_atari_trains_from_its_screen():
    tree = {
        "env": {"name": "ale_py:ALE/Pong-v5", "frameskip": 1},  # the wrapper `atari` skips frames
        "agent": {"name": "dqn", "learning_starts": 64, "buffer_size": 500, "hidden_sizes": [32], "batch_size": 8},
        "wrappers": ["atari", "frame_stack", "reward_clip", {"name": "time_limit", "max_episode_steps": 30}],
        "evaluation": {"episodes": 1, "confirm": 1, "final": 1},
        "steps": 80,
    }

    run = prepare(Experiment.from_tree(tree, "pong").checked(), "pong").run()

    assert run.config["wrappers"][1] == {"name": "frame_stack", "stack_size": 4}
    assert load("pong").act(np.zeros((4, 84, 84), np.uint8)) in range(6)
