"""Run and load: acting, evaluating and drawing need no actor, and no file is ever executed."""

from __future__ import annotations

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from small_agents import Keys, Saved, Tabular

from actorrl import DQNConfig, QLearningConfig, Run, SACConfig, load, train
from actorrl.actor.engine import active
from actorrl.training import checkpoints
from actorrl.training.entry import prepare
from actorrl.training.experiment import Experiment
from actorrl.training.roles import Snapshot

SMALL = DQNConfig(learning_starts=64, hidden_sizes=(16,), batch_size=16)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    where = tmp_path_factory.mktemp("runs") / "dqn"
    return prepare(Experiment.of(SMALL, env="CartPole-v1", steps=1200), where).run()


def test_a_run_has_the_attributes_of_the_contract(run):
    assert run.directory.name == "dqn"
    assert run.config["agent"]["learning_starts"] == 64
    assert set(run.checkpoints) == {"best", "final"}
    assert all(path.is_dir() for path in run.checkpoints.values())
    assert all(column.shape == run.metrics["steps"].shape for column in run.metrics.values())
    assert run.name == "DQN" and repr(run) == f"<Run {run.directory}: DQN, 1,200 steps>"
    assert {"steps", "episodes", "episode_return", "loss", "epsilon", "evaluation_return"} <= set(run.metrics)


def test_act_takes_one_observation_or_a_batch(run):
    observations = np.array([[0, 0, 0.1, 0], [0, 0, -0.1, 0], [0, 1, 0, 1]], np.float32)

    one = [run.act(observation) for observation in observations]

    assert all(type(action) is int for action in one)
    assert run.act(observations).tolist() == one == run.act(list(observations)).tolist()
    assert run.act(observations[:1]).shape == (1,)


@pytest.mark.parametrize("wrong", [np.zeros(5), np.zeros((2, 5)), np.zeros((0, 4)), "left", 3, []])
def test_act_refuses_what_is_no_observation_rather_than_answer_for_each_number_of_it(run, wrong):
    with pytest.raises(ValueError, match=r"act takes one observation of Box.*\(4,\).*, or a batch of them; found"):
        run.act(wrong)


def test_act_explores_if_asked(run):
    observation = np.zeros(4, np.float32)

    assert len({run.act(observation) for _ in range(200)}) == 1
    assert len({run.act(observation, explore=True) for _ in range(200)}) == 2


def test_act_takes_a_mask_of_the_actions_that_are_legal(run):
    observations = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    only = np.array([[True, False], [False, True]] * 3)

    assert run.act(observations, action_mask=only).tolist() == [0, 1] * 3
    each = zip(observations, only.astype(int).tolist(), strict=True)
    assert [run.act(observation, action_mask=mask) for observation, mask in each] == [0, 1] * 3
    assert run.act(observations, action_mask=[0, 1]).tolist() == [1] * 6, "one for all of them"
    assert {run.act(observations[0], True, only[1]) for _ in range(50)} == {1}
    assert [run.agent.greedy_action(observations[0], mask) for mask in only[:2]] == [0, 1]


def test_act_is_of_the_agent_at_the_end_or_of_the_one_that_is_asked_for():
    agent = Saved(4)
    agent.q = {0: [0.0, 1.0, 0.0, 0.0]}
    trained = train(agent, "FrozenLake-v1", steps=20, run_dir="kinds")
    checkpoints.save(trained.checkpoints["best"], Snapshot(7, None, {"q": {0: [0.0, 0.0, 0.0, 9.0]}}))
    checkpoints.save(trained.checkpoints["final"], Snapshot(20, None, {"q": {0: [0.0, 9.0, 0.0, 0.0]}}))

    again = load("kinds", agent=Saved(4))

    assert again.act(0) == again.agent.greedy_action(0) == again.act(0, which="final") == 1
    assert again.act(0, which="best") == again.explain(0, "best")["action"] == 3
    assert again.act([0, 0], which="best") == [3, 3]
    with pytest.raises(ValueError, match="which must be one of best, final, latest, found 'bset'"):
        again.act(0, which="bset")


def test_each_checkpoint_of_an_algorithm_acts_by_its_own_weights(run):
    observations = np.random.default_rng(1).normal(size=(20, 4)).astype(np.float32)
    for which in ("best", "final"):
        expected = [run.explain(one, which)["action"] for one in observations]
        assert run.act(observations, which=which).tolist() == expected


@pytest.mark.parametrize("wrong", [[True], [[1, 0]] * 3, True])
def test_a_mask_that_does_not_fit_is_refused(run, wrong):
    with pytest.raises(ValueError, match=r"the shape \(2,\) of the actions, or \(2, 2\) of each observation; found"):
        run.act(np.zeros((2, 4)), action_mask=wrong)


def test_who_takes_no_mask_refuses_it():
    bare = train(Saved(4), "FrozenLake-v1", steps=20, run_dir="bare")
    boxed = train(SACConfig(hidden_sizes=(8,)), "Pendulum-v1", steps=20, run_dir="boxed")

    with pytest.raises(ValueError, match="found an agent of your own"):
        bare.act(0, action_mask=[1, 1, 0, 0])
    with pytest.raises(ValueError, match="found actions Box"):
        boxed.act(np.zeros(3), action_mask=[1])


def test_act_takes_an_observation_of_several_parts_as_json_holds_it():
    run = train(DQNConfig(hidden_sizes=(8,)), Keys, steps=20)
    one = {"where": [0.25, 1.5], "room": 1, "switches": [0, 1], "dials": [1, 2]}
    exact = {key: np.array(value, np.float32 if key == "where" else np.int64) for key, value in one.items()}

    assert run.act(one) == run.act(exact) in (0, 1)
    assert run.act([one, exact]).tolist() == [run.act(one)] * 2
    with pytest.raises(ValueError, match="act takes one observation of Dict"):
        run.act([one, {**one, "where": [0.25]}])


def test_an_evaluation_is_its_mean_and_prints_as_the_command_line_does(run):
    result = run.evaluate(7)

    assert float(result) == result.mean == result.returns.mean()
    assert result.std == result.returns.std()
    assert (result.returns == result.lengths).all(), "CartPole gives 1 per step"
    assert str(result) == f"mean return {result.mean:.1f} ± {result.std:.1f} over 7 episodes"


def test_an_evaluation_is_the_same_each_time_and_after_loading(run):
    again = load(run.directory)

    for which in ("best", "final"):
        assert run.evaluate(6, which).returns.tolist() == again.evaluate(6, which).returns.tolist()
    assert active.engine is None


def test_a_loaded_run_acts_as_the_trained_one(run):
    observations = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)

    again = load(run.directory)

    assert again.act(observations).tolist() == run.act(observations).tolist()
    assert again.config == run.config
    for column, values in run.metrics.items():
        np.testing.assert_array_equal(values, again.metrics[column])


def test_the_agent_of_an_algorithm_goes_on_learning_in_a_loop_of_ones_own(run):
    agent = load(run.directory).agent
    environment = gymnasium.make("CartPole-v1")
    observation, _ = environment.reset(seed=0)

    for step in range(20):
        action = agent.get_action(observation, step)
        observation_next, reward, terminated, truncated, _ = environment.step(action)
        agent.update(observation, action, reward, observation_next, terminated)
        observation = environment.reset()[0] if terminated or truncated else observation_next

    assert agent.steps == run.metrics["steps"][-1] + 20


def test_the_curve_is_drawn_again_by_plot(run):
    (run.directory / "curve.png").unlink()

    assert run.plot() == run.directory / "curve.png"
    assert (run.directory / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_wrong_checkpoint_or_count_is_refused(run, tmp_path):
    with pytest.raises(ValueError, match="which must be"):
        run.evaluate(1, "bets")
    with pytest.raises(ValueError, match="at least 1"):
        run.evaluate(0)
    with pytest.raises(FileNotFoundError, match="not a run directory"):
        load(tmp_path)


def test_an_agent_without_state_dict_is_a_pickle_and_opened_only_with_trust():
    run = train(Tabular(4), "FrozenLake-v1", steps=200)
    assert (run.checkpoints["final"] / "agent.pkl").exists()
    assert not (run.checkpoints["final"] / "agent.npz").exists()

    shy = load(run.directory)
    assert len(shy.metrics["steps"])
    with pytest.raises(PermissionError, match="trust=True"):
        shy.act(0)
    trusted = load(run.directory, trust=True)
    assert trusted.agent.q == run.agent.q
    assert trusted.name == shy.name == "Tabular" and ": Tabular, 200 steps>" in repr(trusted), "whose class nobody made"


def test_an_agent_with_state_dict_is_saved_as_data():
    run = train(Saved(4), "FrozenLake-v1", steps=200)
    assert [path.name for path in run.checkpoints["final"].iterdir() if path.suffix == ".pkl"] == []

    again = load(run.directory)

    assert type(again.agent) is Saved
    assert again.agent.q == run.agent.q and again.agent is not run.agent
    assert again.act(0) == run.agent.greedy_action(0)


def test_an_agent_that_needs_arguments_is_filled_by_load():
    class Needy(Saved):
        def __init__(self, actions):
            super().__init__(actions)

    run = train(Needy(4), "FrozenLake-v1", steps=100)

    with pytest.raises(ValueError, match=r"load\(run_dir, agent=Needy"):
        load(run.directory)
    mine = Needy(4)
    assert load(run.directory, agent=mine).agent.q == run.agent.q
    assert mine.q == {}


def test_a_tabular_run_is_loaded_too():
    run = train(QLearningConfig(), "FrozenLake-v1", steps=300)

    again = load(run.directory)

    assert again.act(np.arange(16)).tolist() == run.act(list(range(16))).tolist()


@pytest.mark.slow
def test_a_loaded_run_acts_in_three_lines_and_no_actor_is_started(run):
    script = f"""
from actorrl import load
run = load({str(run.directory)!r})
action, actions = run.act([0.0, 0.0, 0.1, 0.0]), run.act([[0.0, 0.0, 0.1, 0.0], [0.0, 0.0, -0.1, 0.0]])

import multiprocessing, sys, threading
from actorrl.actor.engine import active
assert type(action) is int and actions.shape == (2,) and action == actions[0]
print("zmq" in sys.modules, active.engine, multiprocessing.active_children(), threading.active_count())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert done.stdout == "False None [] 1\n", done.stderr
