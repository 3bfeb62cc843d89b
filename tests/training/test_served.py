"""Dataflow with policy servers: the numbers of the plain loop, groups in step, and runs that survive their servers."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from small_agents import first_at
from torch import nn

from actorrl import A2CConfig, Dataflow, DQNConfig, ImpalaConfig, PPOConfig, ReinforceConfig, train
from actorrl.training.explorer_role import dealt

PPO = PPOConfig(n_steps=16, n_envs=4, batch_size=32, n_epochs=2, normalize_observation=True, normalize_reward=True)


def short() -> gymnasium.Env:
    return gymnasium.make("CartPole-v1", max_episode_steps=20)


def learned(run: Any) -> dict[str, Any]:
    return dict(run.agent.state_dict())


def assert_same(one: Any, other: Any) -> None:
    mine, theirs = learned(one), learned(other)
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


@pytest.mark.parametrize("engine", ["inline", pytest.param("processes", marks=pytest.mark.slow)])
def test_one_explorer_with_one_group_is_the_plain_loop(engine: str):
    served = Dataflow(1, 4, inference="served", groups=1)
    alone = train(PPO, short, steps=500, seed=3)  # seven updates, and steps too few for the next

    run = train(PPO, short, steps=500, seed=3, arrangement=served, engine=engine)

    assert run.metrics["episodes"][-1] == alone.metrics["episodes"][-1]
    assert_same(run, alone)


@pytest.mark.parametrize("config", [PPO, A2CConfig(n_steps=16), ImpalaConfig(n_steps=16), ReinforceConfig(n_steps=16)])
def test_inline_a_seed_gives_the_same_numbers_every_time(config: Any):
    served = Dataflow(2, 3, inference="served", policies=2)
    runs = [train(config, short, steps=400, seed=s, arrangement=served, engine="inline") for s in (1, 1, 2)]

    assert_same(runs[0], runs[1])
    assert runs[0].metrics["steps"][-1] == 400 and runs[0].metrics["updates"][-1] >= 2
    assert not all(np.array_equal(value, learned(runs[2])[name]) for name, value in learned(runs[0]).items())


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_in_step_every_fragment_is_of_the_newest_weights_and_else_one_round_old_at_most(mode: str):
    served = Dataflow(2, 3, inference="served", mode=mode)
    run = train(PPO, short, steps=960, arrangement=served)

    staleness, updates = np.nanmax(run.metrics["staleness"]), run.metrics["updates"][-1]
    assert run.metrics["steps"][-1] == 960 and updates == 10 * 2 * 3
    assert staleness == 0 if mode == "sync" else 0 < staleness <= 6


class Deadly(nn.Linear):
    """Kills the process that acts with it, the first time somewhere else than in the driver's it has acted so often."""

    def __init__(self, observations: int, outputs: int, once: Path, driver: int) -> None:
        super().__init__(observations, outputs)
        self.once, self.driver, self.acted = once, driver, 0

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        if self.out_features == 2 and not torch.is_grad_enabled() and os.getpid() != self.driver:
            self.acted += 1
            if self.acted == 30 and first_at(self.once):
                os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(observation)


@pytest.mark.slow
def test_a_policy_server_that_is_killed_starts_again_and_the_run_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    once, driver = tmp_path / "once", os.getpid()
    config = dataclasses.replace(PPO, network=lambda space, outputs: Deadly(space.shape[0], outputs, once, driver))

    run = train(config, short, steps=960, arrangement=Dataflow(2, 3, inference="served"))

    assert once.exists(), "it died"
    assert run.metrics["steps"][-1] == 960 and run.metrics["updates"][-1] == 60
    assert run.metrics["dropped_episodes"][-1] == 0 and np.nanmax(run.metrics["staleness"]) == 0
    assert "PolicyServer" in caplog.text and "it starts again" in caplog.text
    assert "policy server 0 died and was started again" in capfd.readouterr().err


class Broken(nn.Linear):
    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        if self.out_features == 2 and len(observation) > 1:
            raise ArithmeticError("no such network")
        return super().forward(observation)


def test_a_mistake_in_what_acts_ends_the_run_with_it():
    config = dataclasses.replace(PPO, network=lambda space, outputs: Broken(space.shape[0], outputs))
    with pytest.raises(ArithmeticError, match="no such network"):
        train(config, short, steps=500, arrangement=Dataflow(1, 4, inference="served"), engine="inline")


def test_agents_that_learn_from_rows_are_served_too():
    config = DQNConfig(learning_starts=64, buffer_size=1000, batch_size=16, train_freq=8)
    served = Dataflow(2, 2, inference="served")
    run = train(config, short, steps=400, arrangement=served, engine="inline")

    assert run.metrics["steps"][-1] == 400 and run.metrics["updates"][-1] > 30


@pytest.mark.parametrize(("count", "groups", "sizes"), [(4, 2, [2, 2]), (5, 2, [2, 3]), (1, 1, [1]), (7, 3, [2, 2, 3])])
def test_environments_are_dealt_in_order_and_evenly(count: int, groups: int, sizes: list[int]):
    parts = dealt(range(count), groups)

    assert [len(part) for part in parts] == sizes and [i for part in parts for i in part] == list(range(count))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inference": "far"}, 'expected "inline" or "served", found \'far\''),
        ({"policies": 2}, "policy servers act where inference=\"served\".*found 2 with inference='inline'"),
        ({"inference": "served", "policies": 3}, "each for at least one of the 2 explorers; found 3"),
        ({"inference": "served", "policies": 0}, r"Dataflow\(policies=n\): n must be at least 1, found 0"),
        ({"inference": "served", "groups": 0}, r"Dataflow\(groups=n\): n must be at least 1, found 0"),
        ({"inference": "served", "epsilon_ladder": True}, "has one policy for all"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        Dataflow(explorers=2, **options)
