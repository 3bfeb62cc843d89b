"""The command line: what it prints where, how it ends, and what it says to misuse."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from actorrl import load
from actorrl.cli.main import main

QUICK = ["--engine", "inline", "--agent.learning-starts", "50", "--agent.hidden_sizes", "[8]"]


@pytest.fixture(autouse=True)
def in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    where = str(tmp_path_factory.mktemp("run") / "one")
    assert main(["train", "cartpole", "--steps", "120", "--run-dir", where, "--seed", "3", *QUICK]) == 0
    return where


def test_train_makes_a_run_of_a_preset_with_the_options_given(run_dir):
    config = load(run_dir).config

    assert (config["steps"], config["seed"], config["engine"]) == (120, 3, "inline")
    assert config["agent"]["learning_starts"] == 50
    assert config["agent"]["hidden_sizes"] == [8]


def test_evaluate_prints_one_line_on_stdout(run_dir, capfd):
    assert main(["evaluate", run_dir, "--episodes", "5", "--which", "final"]) == 0

    out, err = capfd.readouterr()
    assert re.fullmatch(r"mean return -?\d+\.\d ± \d+\.\d over 5 episodes\n", out)
    assert "after 120 steps" in err


def test_a_file_of_ones_own_is_trained_with_classes_of_this_directory(in_a_directory_of_its_own, capfd, monkeypatch):
    Path("corridor_house.py").write_text(MODULE)
    Path("mine.yaml").write_text(
        "env: corridor_house:Corridor\nagent: {name: corridor_house:Walker, action: 1}\nsteps: 30\n"
    )
    monkeypatch.syspath_prepend(str(in_a_directory_of_its_own))

    assert main(["train", "mine.yaml", "--run_dir=out", "--arrangement", "none"]) == 0
    assert main(["evaluate", "out"]) == 2
    assert "--trust" in capfd.readouterr().err
    assert main(["evaluate", "out", "--trust", "--episodes", "4"]) == 0
    assert capfd.readouterr().out == "mean return 3.0 ± 0.0 over 4 episodes with exploration\n"


def test_a_pickled_agent_says_that_its_module_must_be_importable(in_a_directory_of_its_own, capfd, monkeypatch):
    Path("walking_house.py").write_text(MODULE)
    Path("mine.yaml").write_text(
        "env: FrozenLake-v1\nagent: {name: walking_house:Walker, action: 1}\nsteps: 30\nevaluation: {final: 2}\n"
    )
    with monkeypatch.context() as here:
        here.syspath_prepend(str(in_a_directory_of_its_own))
        assert main(["train", "mine.yaml", "--run-dir", "out"]) == 0
    monkeypatch.delitem(sys.modules, "walking_house")
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(in_a_directory_of_its_own))])
    capfd.readouterr()

    assert main(["evaluate", "../out", "--trust"]) == 2

    said = capfd.readouterr().err
    assert "an agent whose module must be importable, and is not (No module named 'walking_house')" in said
    assert "PYTHONPATH" in said and "Traceback" not in said


MODULE = """
import gymnasium

class Corridor(gymnasium.Env):
    observation_space = gymnasium.spaces.Discrete(4)
    action_space = gymnasium.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position = 0
        return 0, {}
    def step(self, action):
        self.position += 1
        return self.position, 1.0, self.position == 3, False, {}

class Walker:
    def __init__(self, action):
        self.action = action
    def get_action(self, observation, step):
        return self.action
    def update(self, observation, action, reward, observation_next, terminated):
        pass
"""


def test_list_names_the_presets(capfd):
    assert main(["list"]) == 0

    out = capfd.readouterr().out
    assert re.search(r"^cartpole +DQN +CartPole-v1 +Central\(4\) +\S+ +100,000 +\S+", out, re.M)
    assert re.search(r"^cartpole-ppo +PPO +CartPole-v1 +none +500 +100,000 +0\.\d", out, re.M)
    assert "cartpole-qlearning" in out and "…" not in out, "nothing is cut short"


def test_show_prints_a_preset_that_train_takes_with_every_value(capfd):
    assert main(["show", "cartpole"]) == 0
    shown = capfd.readouterr().out
    assert "target_update_interval:" in shown and "step_timeout: 60.0" in shown

    Path("mine.yaml").write_text(shown)
    assert main(["train", "mine.yaml", "--steps", "60", "--run-dir", "out", *QUICK]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "cartpol"], "did you mean 'cartpole'"),
        (["train", "cartpole", "--agent.learning-rat", "1"], "did you mean 'agent.learning_rate'"),
        (["train", "cartpole", "--stepz", "5"], "stepz is not known; did you mean 'steps'"),
        (["train", "cartpole", "--agent.gamma"], "--agent.gamma needs a value"),
        (["train", "cartpole", "--agent.gamma", "2"], "gamma"),
        (["train", "cartpole", "--steps", "0"], "steps must be an integer of at least 1, found 0"),
        (["train", "cartpole", "--steps", "-4"], "steps must be an integer of at least 1, found -4\n"),
        (["train", "cartpole", "--steps", "many"], "argument --steps: invalid number value: 'many'"),
        (["train", "cartpole", "--seed", "-4"], "seed must be an integer of at least 0"),
        (["train", "cartpole", "--env", "CartPoule-v1"], "CartPoule-v1"),
        (["train", "lunarlander-ppo", "--env.gravity", "-20"], "env: LunarLander-v3 could not be made: AssertionError"),
        (["train", "cartpole", "--stop", "60"], "stop must hold keys and values (stop.steps, ...), found 60"),
        (["train", "cartpole", "--evaluation", "5"], "evaluation must hold keys and values (evaluation.every, ...)"),
        (["train"], "PRESET"),
        (["train", "nothing.yaml"], "there is no file nothing.yaml"),
        (["train", "cartpole", "--from", "nowhere"], "nowhere is not a run directory"),
        (["train", "cartpole-qlearning", "--arrangement", "dataflow"], "a ReplayTable, found StreamTable"),
        (["evaluate", "nowhere"], "nowhere is not a run directory"),
        (["evaluate", "nowhere", "--episode", "3"], "did you mean '--episodes'"),
        (["evaluate", "nowhere", "--which", "worst"], "worst"),
        (["resume", "nowhere"], "nowhere is not a run directory"),
        (["resume", "nowhere", "--step", "3"], "did you mean '--steps'"),
        (["plot", "nowhere"], "nowhere is not a run directory"),
        (["trian", "cartpole"], "did you mean 'train'"),
        (["show", "cartpol"], "did you mean 'cartpole'"),
    ],
)
def test_misuse_is_one_clear_line_and_exit_code_2(arguments, said, capfd):
    assert main(arguments) == 2

    out, err = capfd.readouterr()
    assert out == ""
    assert said in err and err.startswith("actorrl: ") and err.count("\n") == 1
    assert not Path("runs").exists()


def test_a_run_directory_that_is_taken_is_misuse(run_dir, capfd):
    assert main(["train", "cartpole", "--steps", "10", "--run-dir", run_dir]) == 2
    assert "not empty" in capfd.readouterr().err


def test_help_is_help(capfd):
    assert main(["--help"]) == 0
    said = capfd.readouterr().out
    assert "actorrl train PRESET|FILE.yaml" in said
    for command in ("resume", "evaluate", "report", "sweep"):
        line = next(line for line in said.splitlines() if line.strip().startswith(f"actorrl {command} "))
        assert line.endswith("[--trust]")
    assert main([]) == 2


def test_ctrl_c_ends_a_run_with_one_line_and_no_traceback(in_a_directory_of_its_own):
    command = [sys.executable, "-m", "actorrl", "train", "cartpole", "--run-dir", "out", "--evaluation.every", "500"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "evaluation" in line:
            break

    os.killpg(process.pid, signal.SIGINT)
    rest = process.stderr.read()

    assert process.wait(30) == 130
    assert "interrupted; what there is lies in out" in rest
    assert "Traceback" not in rest
    assert load("out").metrics["steps"][-1] >= 500
    made = re.search(r"go on from step ([\d,]+) with: actorrl resume out\n$", rest)
    assert made is not None

    total = int(made[1].replace(",", "")) + 300
    assert main(["resume", "out", "--steps", str(total)]) == 0
    assert load("out").metrics["steps"][-1] == total == load("out").config["steps"]
    assert main(["resume", "out"]) == 0
