"""Bad input is refused by name, before hours are spent: numbers that are none, broken environments, full disks."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import yaml
from small_agents import Recorder, Saved
from tensorboard.summary.writer.record_writer import RecordWriter

from actorrl import (
    Central,
    Dataflow,
    DQNConfig,
    PPOConfig,
    QLearningConfig,
    SACConfig,
    SharedReplay,
    load,
    resume,
    train,
)
from actorrl.cli.main import main
from actorrl.rl.finite import NotFinite, require_figures, require_state
from actorrl.training import checkpoints, curve, entry, saving
from actorrl.training.entry import prepare
from actorrl.training.experiment import Experiment
from actorrl.training.resuming import prepare_resume
from actorrl.training.run_directory import Metrics
from actorrl.training.runner import Runner
from actorrl.training.views.timeline import Timeline

SMALL = DQNConfig(learning_starts=32, hidden_sizes=(8,), batch_size=8)


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    monkeypatch.setattr(curve, "save", lambda figure, path: None)
    monkeypatch.setattr(curve, "draw", lambda *arguments: None)
    monkeypatch.setattr(entry, "STEPS_BETWEEN_RESETS", (40, 40))


class Spoiling(gymnasium.Env):
    """Gives something bad in its 90th step."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, what: str = "", value: float = float("nan")) -> None:
        self.what, self.value, self.total = what, value, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.normal(size=3).astype(np.float32), {}

    def step(self, action):
        self.total += 1
        observation, reward = self.np_random.normal(size=3).astype(np.float32), 1.0
        bad = self.total == 90
        if bad and self.what in ("observation", "last"):
            observation[1] = self.value
        if bad and self.what == "reward":
            reward = self.value
        return observation, reward, bad and self.what == "last", self.total % 20 == 0, {}


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("observation", r"the observation of environment 0 is nan at index 1, after \d+ steps"),
        ("reward", r"the reward of environment 0 is nan, after \d+ steps|the reward of environment 0 is nan"),
        ("last", r"the last observation of environment 0 is nan at index 1"),
    ],
)
def test_a_nan_stops_the_run_naming_the_tensor_and_the_last_good_checkpoint(what, said):
    with pytest.raises(
        NotFinite, match=f"(?s){said}.*last good checkpoint is out/checkpoints/latest, after (40|80) steps"
    ):
        train(SMALL, lambda: Spoiling(what), steps=200, run_dir="out")


@pytest.mark.parametrize(
    ("agent", "arrangement"),
    [
        (SMALL, Central(2)),
        (SMALL, SharedReplay(2, 2)),
        (PPOConfig(n_steps=8, n_envs=2, batch_size=16), Dataflow(1, 2)),
        (PPOConfig(n_steps=8, n_envs=2, batch_size=16), None),
        (Recorder(Spoiling.action_space), None),
    ],
)
def test_it_does_so_in_every_arrangement_and_for_every_agent(agent, arrangement):
    with pytest.raises(NotFinite, match=r"the reward of environment [01] is (nan|inf)"):
        train(agent, lambda: Spoiling("reward", float("inf")), steps=400, arrangement=arrangement, engine="inline")


def test_infinite_observations_are_a_bare_agents_own_business():
    train(Recorder(Spoiling.action_space), lambda: Spoiling("observation", float("inf")), steps=120)


def test_a_learner_that_diverges_is_stopped_by_name():
    wild = SACConfig(learning_starts=10, learning_rate=1e30, learning_rate_final=1e30, ent_coef=0.1)

    with pytest.raises(NotFinite, match=r"the policy chose an action that is nan or infinite .* has diverged"):
        train(wild, "Pendulum-v1", steps=300)
    with pytest.raises(NotFinite, match=r"the learner's loss is nan after 7 updates: it has diverged"):
        require_figures({"loss": float("nan")}, 7)
    with pytest.raises(NotFinite, match=r"the weights online.head are not finite any more"):
        require_state({"online.body": np.ones(2), "online.head": np.array([1.0, np.inf])})


def test_the_command_line_says_so_in_one_line(capfd, monkeypatch):
    monkeypatch.setattr(
        "small_agents.Counting.step", lambda self, action: (self._seen(), float("nan"), False, False, {})
    )
    Path("mine.yaml").write_text("env: small_agents:Counting\nagent: dqn\nsteps: 90\n")

    assert main(["train", "mine.yaml", "--run-dir", "out"]) == 1

    err = capfd.readouterr().err
    assert "actorrl: the run failed: the reward of environment 0 is nan" in err and "Traceback" not in err


# -- environments that break the interface ---------------------------------------------------------------


class Broken(gymnasium.Env):
    """Answers what it is told to."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, reset=None, step=None):
        self.answers = reset, step

    def reset(self, *, seed=None, options=None):
        return self.answers[0] or (np.zeros(2, np.float32), {})

    def step(self, action):
        return self.answers[1] or (np.zeros(2, np.float32), 0.0, False, False, {})


GOOD = np.zeros(2, np.float32)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"reset": "x"}, r"Broken.reset must return \(observation, info\), found a str.*gym's interface before 0.26"),
        ({"reset": (np.zeros(3, np.float32), {})}, r"Broken.reset gave an observation of shape \(3,\), .* says \(2,\)"),
        ({"step": (GOOD, 0.0, False, {})}, r"Broken.step must return .*, found a tuple of 4; four were gym's"),
        ({"step": (GOOD, None, False, False, {})}, r"Broken.step must return a number as reward, found a NoneType"),
        ({"step": (GOOD, 0.0, 0, False, {})}, r"Broken.step must return True or False as terminated, found a int, 0"),
        ({"step": (GOOD, 0.0, False, False, None)}, r"Broken.step must return a dict as info"),
        ({"step": (np.zeros((2, 1)), 0.0, False, False, {})}, r"Broken.step gave an observation of shape \(2, 1\)"),
    ],
)
@pytest.mark.parametrize("arrangement", [None, Central(1)])
def test_an_environment_that_breaks_the_interface_is_told_in_its_first_step(answers, said, arrangement):
    with pytest.raises((TypeError, ValueError, RuntimeError), match=said):
        train(SMALL, lambda: Broken(**answers), steps=10**6, arrangement=arrangement, engine="inline")


@pytest.mark.parametrize("arrangement", ["none", "central"])
def test_the_command_line_says_that_in_one_line_too(arrangement, capfd, monkeypatch):
    monkeypatch.setattr("small_agents.Counting.step", lambda self, action: (GOOD, 0.0, False, {}))
    Path("mine.yaml").write_text(f"env: small_agents:Counting\nagent: dqn\nsteps: 90\narrangement: {arrangement}\n")

    assert main(["train", "mine.yaml", "--engine", "inline", "--run-dir", "out"]) == 1

    err = capfd.readouterr().err
    assert "Counting.step must return" in err and "found a tuple of 4" in err and "Traceback" not in err
    assert ("environment 0 of" in err) == (arrangement == "central")


class Seedless(Broken):
    def reset(self):
        return GOOD, {}


def test_an_environment_that_takes_no_seed_is_refused_before_anything_starts():
    with pytest.raises(TypeError, match=r"Seedless.reset is called with a seed by name"):
        train(SMALL, Seedless, steps=10, run_dir="out")
    assert not Path("out").exists()


# -- a full disk -------------------------------------------------------------------------------------------


def test_a_full_disk_is_said_and_the_checkpoint_before_stays_whole(monkeypatch, capfd):
    save, writes = saving.arrays_file.save, []

    def filling(path, state):
        writes.append(path)
        if len(writes) > 8:
            path.write_bytes(b"the beginning of")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        save(path, state)

    monkeypatch.setattr("actorrl.training.roles.LEAST_SECONDS", 0.0)
    monkeypatch.setattr("actorrl.training.roles.SHARE", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(saving.arrays_file, "save", filling)
        with pytest.raises(
            OSError, match=r"the disk is full.*last good checkpoint is out/checkpoints/latest, after"
        ) as e:
            train(SMALL, "CartPole-v1", steps=1_500, run_dir="out")
    assert e.value.errno == errno.ENOSPC
    assert not Path("out/checkpoints/.latest.new").exists()

    assert resume("out").metrics["steps"][-1] == 1_500


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_else_cannot_be_written_to_a_full_disk_does_not_hide_that(monkeypatch):
    put, runners, run = Metrics.put, [], Runner.run

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def filling(self, steps, values):
        if steps < 90:
            return put(self, steps, values)
        for thing, writes in ((RecordWriter, "write"), (Timeline, "write"), (Metrics, "write")):
            monkeypatch.setattr(thing, writes, full)  # of TensorBoard's worker the error comes again with each flush
        runners[0]._board._writer.add_scalar("more", 1.0)
        return full()

    monkeypatch.setattr(Metrics, "put", filling)
    monkeypatch.setattr(Runner, "run", lambda self, roles: runners.append(self) or run(self, roles))
    with pytest.raises(OSError, match=r"the disk is full: the last good checkpoint is out/checkpoints/latest, after"):
        train(SMALL, lambda: Spoiling(), steps=200, run_dir="out")


def test_a_disk_that_is_full_at_the_very_end_is_said_too(monkeypatch):
    save = checkpoints.write_agent

    def filling(directory, *arguments):
        if directory.name == ".final.new":
            (directory / "agent.npz").write_bytes(b"the beginning of")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(directory))
        save(directory, *arguments)

    monkeypatch.setattr(checkpoints, "write_agent", filling)
    with pytest.raises(OSError, match=r"the disk is full .*the last good checkpoint is out/checkpoints/latest"):
        train(SMALL, lambda: Spoiling(), steps=60, run_dir="out")
    assert not Path("out/checkpoints/.final.new").exists()


def test_a_full_disk_leaves_the_config_of_a_run_that_is_to_go_on_whole(monkeypatch):
    train(SMALL, "CartPole-v1", steps=60, run_dir="out")
    before, write = Path("out/config.yaml").read_text(), Path.write_text

    def filling(path, text, *arguments, **how):
        write(path, text[:20])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "write_text", filling)
    with pytest.raises(OSError, match="No space left"):
        resume("out", steps=90)
    assert Path("out/config.yaml").read_text() == before
    assert not Path("out/config.new").exists()


def test_a_config_that_says_all_there_is_to_say_is_not_written_again(monkeypatch):
    prepare(Experiment.of(SMALL, env="CartPole-v1", steps=60), "out")
    Path("out/config.yaml").write_text("# mine\n" + Path("out/config.yaml").read_text())

    prepare_resume("out")

    assert Path("out/config.yaml").read_text().startswith("# mine\n")


# -- what another version wrote ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tree: tree.pop("steps"), r"config.yaml lacks steps: it was written by actorrl 0.0.7, and this is"),
        (
            lambda tree: tree.update(learner={}),
            r"config.yaml has learner, which this one does not know: it was written",
        ),
        (lambda tree: tree["agent"].update(lr=1), r"written by actorrl 0.0.7, and this is .*: agent.lr is not known"),
        (
            lambda tree: tree.update(arrangement={"name": "central", "actors": 2}),
            r"written by actorrl 0.0.7, and this is .*: arrangement.actors is not known",
        ),
        (lambda tree: tree.update(wrappers=["grey"]), r"written by actorrl 0.0.7, and this is .*'grey' is not known"),
    ],
)
def test_a_config_of_an_older_version_is_named_before_anything_starts(change, said, capfd):
    train(QLearningConfig(), "FrozenLake-v1", steps=30, run_dir="out")
    versions = yaml.safe_load(Path("out/versions.yaml").read_text())
    Path("out/versions.yaml").write_text(yaml.safe_dump({**versions, "actorrl": "0.0.7"}))
    tree = yaml.safe_load(Path("out/config.yaml").read_text())
    change(tree)
    Path("out/config.yaml").write_text(yaml.safe_dump(tree))

    for read in (load, lambda path: resume(path, steps=60)):
        with pytest.raises(ValueError, match=said) as error:
            read("out")
        assert "instance" not in str(error.value)
    for command in (["evaluate", "out"], ["sweep", "out", "--env.is-slippery", "true"]):
        assert main(command) == 2 and re.search(said, capfd.readouterr().err)
    main(["report", "out"])
    assert re.search(said, capfd.readouterr().err)


def test_who_spoils_the_config_of_one_of_our_algorithms_is_not_told_to_pass_an_instance():
    train(QLearningConfig(), "FrozenLake-v1", steps=30, run_dir="out")
    Path("out/config.yaml").write_text(Path("out/config.yaml").read_text().replace("gamma:", "gama:"))

    said = "^qlearning cannot be made of what config.yaml says of this run's agent: agent.gama is not known"
    with pytest.raises(ValueError, match=said):
        load("out")


def test_a_config_without_the_newer_keys_is_read(capfd):
    train(Saved(4), "FrozenLake-v1", steps=30, run_dir="out")
    tree = yaml.safe_load(Path("out/config.yaml").read_text())
    del tree["stop"], tree["callbacks"], tree["evaluation"]
    Path("out/config.yaml").write_text(yaml.safe_dump(tree))

    assert load("out", agent=Saved(4)).metrics["steps"][-1] == 30
    assert resume("out", steps=60, agent=Saved(4)).metrics["steps"][-1] == 60
