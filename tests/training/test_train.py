"""`train`: the same numbers wherever the roles live, everything refused before it starts, and nothing left running."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest
from small_agents import Counting, Failing, Recorder, Saved

from actorrl import Central, DQNConfig, QLearningConfig, SharedReplay, System, init, load, remote, train
from actorrl.actor.engine import active

SMALL = DQNConfig(learning_starts=64, hidden_sizes=(16,), batch_size=16)
CLOCK = {"seconds", "steps_per_second"}


def same(one, other):
    assert set(one.metrics) == set(other.metrics)
    for column in set(one.metrics) - CLOCK:
        np.testing.assert_array_equal(one.metrics[column], other.metrics[column], err_msg=column)
    assert all(np.array_equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


def weights(run):
    return [value for _, value in sorted(run.agent.parts.learner.get_weights().items())]


@pytest.mark.parametrize("engine", ["inline", "processes"])
def test_with_one_environment_the_numbers_are_those_of_the_plain_loop(engine):
    plain = train(SMALL, "CartPole-v1", steps=400, seed=5)

    actors = train(SMALL, "CartPole-v1", steps=400, seed=5, arrangement=Central(1), engine=engine)

    same(plain, actors)


def test_the_same_seed_gives_the_same_numbers_inline_and_another_seed_others():
    one, other, third = (
        train(SMALL, "CartPole-v1", steps=300, seed=seed, arrangement=Central(3), engine="inline") for seed in (1, 1, 2)
    )

    same(one, other)
    assert not np.array_equal(weights(one)[0], weights(third)[0])


def test_steps_are_counted_over_all_environments_and_met_exactly():
    run = train(SMALL, "CartPole-v1", steps=130, arrangement=Central(4), engine="inline")

    assert run.metrics["steps"][-1] == 130 == run.agent.steps


def test_slicing_the_work_by_the_clock_changes_nothing(monkeypatch):
    from actorrl.rl import explorer
    from actorrl.training import roles

    plain = train(SMALL, "CartPole-v1", steps=300, seed=5)
    monkeypatch.setattr(explorer, "SLICE_SECONDS", 0.001)
    monkeypatch.setattr(roles, "SLICE_SECONDS", 0.001)

    same(plain, train(SMALL, "CartPole-v1", steps=300, seed=5))


def test_a_preset_supplies_env_arrangement_and_steps_and_arguments_override():
    run = train("cartpole-qlearning", steps=200, seed=4)
    assert run.config["env"] == "CartPole-v1"
    assert run.config["agent"]["name"] == "qlearning"
    assert (run.config["steps"], run.config["seed"]) == (200, 4)

    run = train("cartpole", steps=60, arrangement=Central(2), engine="inline")
    assert run.config["arrangement"]["environments"] == 2
    assert train("cartpole", steps=60, arrangement="none").config["arrangement"] is None


def test_evaluation_and_stop_are_given_as_a_file_has_them():
    plan = {"every": 50, "episodes": 2, "confirm": 3, "final": 2}
    run = train(QLearningConfig(), "FrozenLake-v1", steps=10_000, evaluation=plan, stop={"steps": 150, "return": 99})

    assert (run.config["steps"], run.metrics["steps"][-1]) == (10_000, 150)
    assert np.isfinite(run.metrics["evaluation_return"]).sum() == 3
    assert run.config["evaluation"] == {**plan, "checkpoint_buffer": True}
    assert (run.config["stop"]["steps"], run.config["stop"]["return"]) == (150, 99.0)


def test_what_evaluation_and_stop_leave_out_stays_as_a_file_has_it():
    text = "env: FrozenLake-v1\nagent: qlearning\nsteps: 90\nevaluation: {episodes: 2, confirm: 2, final: 3}\n"
    Path("mine.yaml").write_text(text + "stop: {minutes: 5}\n")

    run = train("mine.yaml", evaluation={"final": 2}, stop={"return": 99})

    assert [run.config["evaluation"][key] for key in ("episodes", "confirm", "final")] == [2, 2, 2]
    assert (run.config["stop"]["minutes"], run.config["stop"]["return"]) == (5.0, 99.0)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"env": None}, TypeError, "env is missing"),
        ({"steps": None}, TypeError, "steps is missing"),
        ({"steps": 0}, ValueError, "steps must be an integer of at least 1"),
        ({"seed": -1}, ValueError, "seed must be an integer of at least 0"),
        ({"engine": "proceses"}, ValueError, "did you mean 'processes'"),
        ({"arrangement": 4}, TypeError, "arrangement must be"),
        ({"callbacks": [print]}, TypeError, "a callback has some of the methods"),
        ({"env": "Pendulum-v1"}, ValueError, "SAC"),
        ({"stop": 475}, ValueError, r"stop must hold keys and values \(stop.steps, ...\), found 475"),
        ({"stop": {"retrun": 475}}, ValueError, "stop.retrun is not known; did you mean 'stop.return'"),
        ({"evaluation": {"episodes": 0}}, ValueError, "episodes must be a positive integer, found 0"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_starts(arguments, error, match):
    with pytest.raises(error, match=match):
        train(SMALL, **{"env": "CartPole-v1", "steps": 10, **arguments})

    assert not Path("runs").exists()


def test_agents_that_are_none_are_refused():
    with pytest.raises(TypeError, match=r"class DQNConfig: pass an instance"):
        train(DQNConfig, "CartPole-v1", steps=10)
    with pytest.raises(TypeError, match="agent is missing"):
        train(None, "CartPole-v1", steps=10)
    with pytest.raises(TypeError, match=r"an agent needs get_action\(observation, step\); int has no such method"):
        train(3, "CartPole-v1", steps=10)
    with pytest.raises(TypeError, match="agent is missing"):
        train(None, "CartPole-v1", steps=10, arrangement=SharedReplay(agents=2))


def test_numbers_may_be_numpys():
    run = train(QLearningConfig(), "FrozenLake-v1", steps=np.float64(50), seed=np.int64(3))

    assert (run.config["steps"], run.config["seed"]) == (50, 3)


def test_a_run_directory_that_is_not_empty_is_refused():
    Path("mine").mkdir()
    run = train(QLearningConfig(), "FrozenLake-v1", steps=50, run_dir="mine")
    assert run.directory == Path("mine")

    with pytest.raises(FileExistsError, match=r"mine.*delete it"):
        train(QLearningConfig(), "FrozenLake-v1", steps=50, run_dir="mine")


def test_runs_are_named_after_what_was_trained_and_the_time(capfd):
    runs = [train(QLearningConfig(), "FrozenLake-v1", steps=20) for _ in range(2)]

    assert all(run.directory.parent == Path("runs") and run.directory.name.startswith("qlearning-") for run in runs)
    assert runs[0].directory != runs[1].directory
    assert f"run directory {runs[0].directory}" in capfd.readouterr().err


def test_one_of_something_is_not_said_to_be_several(capfd):
    train(SMALL, "CartPole-v1", steps=1, arrangement=SharedReplay(1, 1), engine="inline", run_dir="one")
    assert " · SharedReplay, 1 agent, 1 environment, engine inline · 1 step · seed 0" in capfd.readouterr().err
    train(SMALL, "CartPole-v1", steps=2, arrangement=SharedReplay(2, 4), engine="inline", run_dir="several")
    assert " · SharedReplay, 2 agents, 4 environments, engine inline · 2 steps · seed 0" in capfd.readouterr().err


def test_ray_without_an_arrangement_is_said_to_place_nothing(capfd):
    train(QLearningConfig(), "FrozenLake-v1", engine="ray", steps=20)

    assert "one process (engine ray has no actors to place" in "".join(capfd.readouterr())


def test_an_error_of_the_environment_ends_the_run_and_names_it():
    with pytest.raises(KeyError, match="locked"):
        train(Recorder(Failing.action_space), Failing, steps=100)

    with pytest.raises(RuntimeError, match=r"environment \d of 2 failed in step: KeyError: 'the door is locked'"):
        train(Recorder(Failing.action_space), Failing, steps=100, arrangement=Central(2))
    assert active.engine is None


def test_an_error_in_update_arrives_as_itself():
    class Fragile(Recorder):
        def update(self, *five):
            super().update(*five)
            if len(self.updates) == 50:
                raise ZeroDivisionError("the fiftieth")

    for wiring in ({}, {"arrangement": Central(1), "engine": "inline"}, {"arrangement": Central(2)}):
        with pytest.raises(ZeroDivisionError, match="the fiftieth"):
            train(Fragile(Counting.action_space), Counting, steps=100, **wiring)


def test_a_running_system_is_used_and_left_running():
    with System("inline"):
        running = active.engine
        train(SMALL, "CartPole-v1", steps=20, arrangement=Central(2), engine="inline")
        assert active.engine is running
        assert running.actors() == []
        with pytest.raises(RuntimeError, match=r"'processes'.*'inline' is running"):
            train(SMALL, "CartPole-v1", steps=20, arrangement=Central(2))


def test_a_system_of_its_own_is_shut_down_and_a_later_spawn_starts_another():
    train(SMALL, "CartPole-v1", steps=20, arrangement=Central(2))
    assert active.engine is None
    assert [child for child in psutil.Process().children(recursive=True) if child.status() != "zombie"] == []

    @remote
    class Counter:
        def one(self):
            return 1

    try:
        init("inline")
        assert Counter.remote().one().result() == 1
    finally:
        from actorrl import shutdown

        shutdown()


def test_evaluation_does_not_disturb_training():
    from actorrl.training.entry import prepare
    from actorrl.training.evaluation import EvaluationPlan
    from actorrl.training.experiment import Experiment

    runs = []
    for every in (50, 400):
        plan = EvaluationPlan(every=every, episodes=3, confirm=5, final=5)
        experiment = Experiment.of(Saved(4), env="FrozenLake-v1", steps=400, evaluation=plan)
        runs.append(prepare(experiment).run())

    assert runs[0].agent.q == runs[1].agent.q
    assert np.isfinite(runs[0].metrics["evaluation_return"]).sum() == 8
    assert np.isfinite(runs[1].metrics["evaluation_return"]).sum() == 1


def test_the_run_directory_holds_what_the_contract_says():
    run = train(SMALL, "CartPole-v1", steps=100)

    there = {path.name for path in run.directory.iterdir()}
    assert there >= {"config.yaml", "metrics.csv", "curve.png", "tensorboard", "checkpoints"}
    assert {path.name for path in (run.directory / "checkpoints").iterdir()} == {"best", "final", "latest"}
    assert list((run.directory / "tensorboard").iterdir())
    assert (run.directory / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert load(run.directory).metrics["steps"].tolist() == run.metrics["steps"].tolist()


def test_classes_of_a_script_are_trained_in_processes(tmp_path):
    import subprocess
    import sys

    script = tmp_path / "script.py"
    script.write_text(SCRIPT)

    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert done.stdout == "True 40\n"


SCRIPT = """
import gymnasium
from actorrl import Central, train

class Corridor(gymnasium.Env):
    observation_space = gymnasium.spaces.Discrete(4)
    action_space = gymnasium.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position = 0
        return 0, {}
    def step(self, action):
        self.position = min(3, self.position + 1)
        return self.position, 1.0, self.position == 3, False, {}

class Walker:
    def __init__(self):
        self.count = 0
    def get_action(self, observation, step):
        return 1
    def update(self, observation, action, reward, observation_next, terminated):
        self.count += 1

run = train(Walker(), Corridor, steps=40, arrangement=Central(2))
print(type(run.agent) is Walker, run.agent.count)
"""
