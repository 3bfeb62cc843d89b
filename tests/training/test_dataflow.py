"""Dataflow: the same numbers wherever its roles live, and a run that survives its explorers."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from small_agents import first_at
from torch import nn

from actorrl import A2CConfig, Dataflow, DQNConfig, ImpalaConfig, PPOConfig, ReinforceConfig, actors, errors, train
from actorrl.training import flow as flow_module

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


@pytest.mark.parametrize("engine", ["inline", "processes"])
def test_one_explorer_in_step_is_the_plain_loop(engine: str):
    alone = train(PPO, short, steps=500, seed=3)  # seven updates, and steps too few for the next
    flow = train(PPO, short, steps=500, seed=3, arrangement=Dataflow(1, 4), engine=engine)

    assert flow.metrics["updates"][-1] == alone.metrics["updates"][-1] == 28
    assert flow.metrics["steps"][-1] == alone.metrics["steps"][-1] == 500
    assert flow.metrics["episodes"][-1] == alone.metrics["episodes"][-1]
    assert_same(flow, alone)
    assert np.nanmax(flow.metrics["staleness"]) == np.nanmax(flow.metrics["queue_depth"]) == 0


class Moody(gymnasium.Wrapper):
    """Rewards are drawn from the global generators, as careless simulators draw."""

    def step(self, action: Any) -> Any:
        observation, _, *ends = self.env.step(action)
        return observation, random.random() + np.random.random(), *ends


def test_explorers_draw_from_global_generators_of_their_own_on_every_engine():
    random.seed(1), np.random.seed(1)
    expected = random.random(), np.random.random()
    random.seed(1), np.random.seed(1)
    flow = Dataflow(2, 3)
    runs = [train(PPO, lambda: Moody(short()), steps=640, arrangement=flow, engine=e) for e in ("inline", "processes")]

    assert (random.random(), np.random.random()) == expected, "the caller's are left alone"
    assert_same(*runs)
    np.testing.assert_array_equal(runs[0].metrics["episode_return"], runs[1].metrics["episode_return"])


def test_explorers_in_step_are_the_same_in_one_process_and_in_many():
    runs = [train(PPO, short, steps=640, arrangement=Dataflow(2, 3), engine=e) for e in ("inline", "processes")]

    assert_same(*runs)
    np.testing.assert_array_equal(runs[0].metrics["episode_return"], runs[1].metrics["episode_return"])
    learner = {name.removeprefix("learner."): value for name, value in learned(runs[0]).items()}
    assert learner["observation.count"] == learner["returns.count"] == 640 // 96 * 96, "each step that was learned from"


@pytest.mark.parametrize("config", [A2CConfig(n_steps=16), ImpalaConfig(n_steps=16), ReinforceConfig(n_steps=16), PPO])
def test_without_waiting_it_overshoots_by_less_than_a_fragment_of_each(config: Any):
    run = train(config, short, steps=1000, arrangement=Dataflow(2, 3, mode="async"))

    assert 1000 <= run.metrics["steps"][-1] < 1000 + 2 * 16 * 3
    updates, rounds = run.metrics["updates"][-1], 1000 // (2 * 16 * 3)
    assert updates >= 5
    if not isinstance(config, ReinforceConfig):  # its episodes begin in one round and end in another
        assert 0 < np.nanmax(run.metrics["staleness"]) <= updates / rounds, "a round of updates and no more"


@pytest.mark.parametrize("steps", [640, 1000])  # the last of 1000 are too few for a round
def test_two_trainers_learn_what_one_does(steps: int):
    config = dataclasses.replace(PPO, n_envs=6, n_epochs=1, batch_size=96)  # a round is one batch: nothing to shuffle
    one, two = (train(config, short, steps=steps, arrangement=Dataflow(2, 3, trainers=t)) for t in (1, 2))

    assert two.metrics["updates"][-1] == one.metrics["updates"][-1] == steps // 96
    assert two.metrics["episodes"][-1] == one.metrics["episodes"][-1]
    np.testing.assert_array_equal(one.metrics["steps"], two.metrics["steps"])
    mine, theirs = learned(one), learned(two)
    assert theirs["learner.observation.count"] == steps // 96 * 96
    for name, value in mine.items():
        if ".running." not in name:  # each trainer knows the running returns of its own explorers
            np.testing.assert_allclose(value, theirs[name], rtol=2e-3, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("prioritized", [False, True])
def test_rows_go_to_a_table_that_the_trainer_samples_from(prioritized: bool):
    config = DQNConfig(prioritized=prioritized, learning_starts=100, hidden_sizes=(16,))
    runs = [train(config, short, steps=384, arrangement=Dataflow(1, 4), engine=e) for e in ("inline", "processes")]

    assert_same(*runs)
    assert runs[0].metrics["updates"][-1] == 2 * (384 // 4 - 99 // 4)


def test_every_explorer_has_a_rung_of_the_ladder_for_good():
    config = DQNConfig(learning_starts=100, hidden_sizes=(16,), prioritized=True)
    run = train(config, short, steps=384, arrangement=Dataflow(2, 2, mode="async", epsilon_ladder=True))

    np.testing.assert_allclose(run.metrics["epsilon"], (0.4 + 0.4**8) / 2, rtol=1e-4)
    assert run.metrics["updates"][-1] > 0 and np.nanmax(run.metrics["staleness"]) > 0


class Priorities:
    """Notes the nice values of explorers and trainer."""

    def __init__(self) -> None:
        self.seen: dict[str, set[int]] = {}

    def on_fragment(self, event: Any) -> None:
        for row in actors():
            self.seen.setdefault(row.cls, set()).add(os.getpriority(os.PRIO_PROCESS, row.pid))


@pytest.mark.parametrize("mode, behind", [("async", 5), ("sync", 0)])
def test_explorers_that_are_ahead_give_way_to_the_trainer(mode: str, behind: int):
    priorities, own = Priorities(), os.getpriority(os.PRIO_PROCESS, 0)
    config = PPOConfig(n_steps=8, n_envs=2, batch_size=16)
    train(config, "CartPole-v1", arrangement=Dataflow(2, 1, mode=mode), steps=160, callbacks=[priorities])

    assert priorities.seen["TrainerRole"] == {own}
    assert priorities.seen["ExplorerRole"] == {max(own, behind)}
    assert os.getpriority(os.PRIO_PROCESS, 0) == own


def test_a_trainer_of_several_that_dies_ends_the_run():
    config = dataclasses.replace(PPO, network=lambda space, outputs: Deadly(space.shape[0], outputs))
    with pytest.raises(errors.ActorDied, match="TrainerRole"):
        train(config, short, steps=1000, arrangement=Dataflow(2, 2, trainers=2))


class Mortal(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Does something fatal in step `at` of the first process that gets there; of every one where `once` is None."""

    def __init__(self, how: Any, once: Path | None, at: int = 100) -> None:
        super().__init__(short())
        self.how, self.once, self.at, self.made = how, once, at, 0

    def step(self, action: Any) -> Any:
        self.made += 1
        if self.made == self.at and first_at(self.once):
            self.how()
        return super().step(action)


def kill_me() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("how", [kill_me, signal.pause])
def test_an_explorer_that_dies_or_hangs_is_started_again(how: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    flow = Dataflow(2, 2, step_timeout=0.5)
    run = train(PPO, lambda: Mortal(how, tmp_path / "once"), steps=1000, arrangement=flow)

    assert run.metrics["steps"][-1] == 1000 and run.metrics["dropped_episodes"][-1] == 2
    error = capfd.readouterr().err
    assert "of 2 died and starts again" in error and "2 episodes were dropped" in error


def test_explorers_that_die_again_and_again_end_the_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(flow_module, "CRASHES", 2)
    with pytest.raises(RuntimeError, match=r"explorers died 3 times; the last was 0"):
        train(PPO, lambda: Mortal(kill_me, None, at=20), steps=2000, arrangement=Dataflow(1, 2))
    assert "was killed by SIGKILL" in caplog.text


def test_a_mistake_in_an_environment_ends_the_run_with_it():
    def broken() -> None:
        raise KeyError("velocity")

    with pytest.raises(KeyError, match="velocity"):
        train(PPO, lambda: Mortal(broken, None, at=30), steps=1000, arrangement=Dataflow(2, 2))


def test_a_mistake_in_what_is_learned_from_ends_the_run_with_it():
    class Clumsy(nn.Linear):
        def forward(self, observation: torch.Tensor) -> torch.Tensor:
            if torch.is_grad_enabled():
                raise ArithmeticError("no gradient for you")
            return super().forward(observation)

    config = dataclasses.replace(PPO, network=lambda space, outputs: Clumsy(space.shape[0], outputs))
    with pytest.raises(ArithmeticError, match="no gradient for you"):
        train(config, short, steps=1000, arrangement=Dataflow(2, 2))


class Deadly(nn.Linear):
    """Ends whoever learns with it."""

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():
            kill_me()
        return super().forward(observation)


def test_a_trainer_that_dies_ends_the_run():
    config = dataclasses.replace(PPO, network=lambda space, outputs: Deadly(space.shape[0], outputs))
    with pytest.raises(errors.ActorDied, match="TrainerRole"):
        train(config, short, steps=1000, arrangement=Dataflow(1, 4))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: train(PPO, short, steps=9, arrangement=Dataflow(epsilon_ladder=True)),
            ValueError,
            "PPOConfig has no ε",
        ),
        (lambda: Dataflow(explorers=0), ValueError, r"Dataflow\(explorers=n\): n must be at least 1, found 0"),
        (lambda: Dataflow(mode="fast"), ValueError, 'expected "sync" or "async", found \'fast\''),
        (lambda: Dataflow(step_timeout=0), ValueError, "s must be more than 0 s, found 0"),
        (
            lambda: train(DQNConfig(), short, steps=9, arrangement=Dataflow(device="cuda")),
            TypeError,
            "the learner of DQNConfig computes on the CPU only",
        ),
        (lambda: Dataflow(3, trainers=2), ValueError, "expected a number that divides 3, the explorers, found 2"),
        (
            lambda: train(DQNConfig(), short, steps=9, arrangement=Dataflow(trainers=2)),
            TypeError,
            "the learner of DQNConfig cannot be one of several",
        ),
        (
            lambda: train(PPOConfig(n_steps=10, batch_size=25), short, steps=9, arrangement=Dataflow(trainers=2)),
            ValueError,
            "expected a batch_size that 2 divides, found 25",
        ),
    ],
)
def test_what_cannot_be_is_refused(make: Any, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        make()


def test_the_batch_is_of_all_environments():
    with pytest.raises(ValueError, match=r"batch_size must be at most n_steps \* n_envs = 32"):
        train(dataclasses.replace(PPO, batch_size=64), short, steps=100, arrangement=Dataflow(1, 2))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused_before_anything_starts():
    with pytest.raises(ValueError, match=r"device='cuda': torch .* finds no GPU on this machine; leave it out"):
        train(PPO, short, steps=9, arrangement=Dataflow(device="cuda"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("config", [PPO, ImpalaConfig(n_steps=16)])
def test_a_trainer_may_compute_on_a_gpu(config: Any):
    runs = [train(config, short, steps=384, arrangement=Dataflow(2, 3, device=d)) for d in ("cpu", "cuda")]

    assert runs[0].metrics["updates"][-1] == runs[1].metrics["updates"][-1]
    mine, theirs = learned(runs[0]), learned(runs[1])
    for name, value in mine.items():
        np.testing.assert_allclose(value, theirs[name], rtol=5e-2, atol=5e-3, err_msg=name)
