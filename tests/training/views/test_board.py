"""What TensorBoard finds in a run's directory."""

from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from small_agents import Tabular

from actorrl import DQNConfig, PPOConfig, QLearningConfig, SACConfig, TD3Config, train
from actorrl.training.roles import Recipe, Snapshot
from actorrl.training.run_directory import RunDirectory
from actorrl.training.views.board import Board, network_of, tag, trained


def seen(directory: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(directory / "tensorboard"), size_guidance={"scalars": 0, "histograms": 0})
    events.Reload()
    return events


def recipe(config, env: str = "CartPole-v1") -> Recipe:
    environment = gymnasium.make(env)
    return Recipe(config, False, environment.observation_space, environment.action_space, 0)


@pytest.mark.parametrize(
    ("column", "where"),
    [
        ("episode_return", "returns/training"),
        ("evaluation_length", "lengths/evaluation"),
        ("loss", "losses/loss"),
        ("value_loss", "losses/value_loss"),
        ("actor_grad_norm", "gradients/actor_grad_norm"),
        ("epsilon", "schedules/epsilon"),
        ("staleness", "staleness/staleness"),
        ("queue_depth", "queues/rounds"),
        ("agent2.updates", "agent2/updates"),
        ("my_own_figure", "other/my_own_figure"),
        ("queues/trainer", "queues/trainer"),
    ],
)
def test_every_column_has_its_group(column, where):
    assert tag(column) == where


@pytest.mark.parametrize(
    "config", [SACConfig(), TD3Config(), PPOConfig(normalize_observation=True)], ids=lambda c: type(c).__name__
)
def test_histograms_are_of_what_is_trained_and_not_of_adam_or_slow_copies(config):
    learner = recipe(config, "Pendulum-v1").build().learner

    names = [name for name, _ in trained({f"learner.{k}": v for k, v in learner.state_dict().items()})]

    networks = sum(parameter.numel() > 1 for network in learner.networks.values() for parameter in network.parameters())
    assert len(names) == networks + (isinstance(config, PPOConfig) and 2)  # the observation's mean and square
    assert not [name for name in names if "adam" in name or "target" in name]


def test_an_agent_without_a_state_has_no_histograms():
    assert list(trained(None)) == []


def test_weights_that_are_not_numbers_do_not_end_a_run(tmp_path):
    board = Board(RunDirectory(tmp_path))

    board.weights(Snapshot(3, None, {"w": np.array([np.nan, 1.0, 2.0]), "gone": np.full(4, np.inf), "text": "x"}), 1)
    board.close()

    assert seen(tmp_path).Tags()["histograms"] == ["agent1/weights/w"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "env", "outputs"),
    [(DQNConfig(dueling=True), "CartPole-v1", 1), (PPOConfig(), "CartPole-v1", 2), (SACConfig(), "Pendulum-v1", 2)],
    ids=lambda value: type(value).__name__,
)
def test_the_graph_is_of_all_networks(config, env, outputs, tmp_path):
    made = recipe(config, env)

    module, inputs = network_of(made)
    board = Board(RunDirectory(tmp_path), made)
    board.graph()
    board.close()

    assert len(module(*inputs)) == outputs
    assert len(seen(tmp_path).Graph().node) > 10


def test_a_network_that_cannot_be_traced_costs_its_graph_only(tmp_path, caplog):
    class Strange(torch.nn.Linear):
        def forward(self, x):
            raise RuntimeError("not today")

    board = Board(RunDirectory(tmp_path), recipe(DQNConfig(network=lambda space, n: Strange(4, n))))

    board.graph()
    board.close()

    assert "no graph of the network" in caplog.text and "not today" in caplog.text


@pytest.mark.slow
def test_a_run_leaves_curves_histograms_and_a_graph(tmp_path):
    config = DQNConfig(learning_starts=50, hidden_sizes=(8,))

    run = train(config, "CartPole-v1", steps=400, seed=0, run_dir=tmp_path / "run")

    events = seen(run.directory)
    scalars = set(events.Tags()["scalars"])
    assert {"returns/training", "lengths/training", "returns/evaluation", "losses/loss"} <= scalars
    assert {"throughput/steps_per_second", "throughput/updates_per_second", "gradients/grad_norm"} <= scalars
    assert events.Tags()["graph"] and "weights/online.head.weight" in events.Tags()["histograms"]
    assert len(events.Histograms("weights/online.head.weight")) == 1


@pytest.mark.slow
def test_tables_of_values_are_shown_too_and_bare_agents_have_no_graph(tmp_path):
    tabular = train(QLearningConfig(), "FrozenLake-v1", steps=200, run_dir=tmp_path / "tabular")
    bare = train(Tabular(), "FrozenLake-v1", steps=200, run_dir=tmp_path / "bare")

    assert seen(tabular.directory).Tags()["histograms"] == ["weights/values"]
    assert seen(bare.directory).Tags()["histograms"] == [] and not seen(bare.directory).Tags()["graph"]
