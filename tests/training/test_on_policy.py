"""PPO through `train`: alone, with environments as actors, and where it is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from actorrl import Central, Dataflow, PPOConfig, SharedReplay, load, train


def short() -> gymnasium.Env:
    return gymnasium.make("CartPole-v1", max_episode_steps=20)


SMALL = PPOConfig(n_steps=32, n_envs=4, batch_size=64, n_epochs=2)


def test_several_environments_are_stepped_side_by_side(tmp_path: Path):
    run = train(dataclasses.replace(SMALL, normalize_observation=True), short, steps=1280, run_dir=tmp_path)

    assert run.metrics["steps"][-1] == 1280 and run.metrics["updates"][-1] == 40
    assert {"loss", "entropy", "approx_kl", "clip_fraction"} <= set(run.metrics)
    assert 0 < run.metrics["entropy"][-1] < 0.7
    observations = np.zeros((3, 4), np.float32)
    again = load(tmp_path)
    np.testing.assert_array_equal(run.act(observations), again.act(observations))
    assert again.agent.parts.policy.standardiser.std[0] != 1.0, "the scale of observations is saved"


@pytest.mark.parametrize("arrangement", [None, Dataflow(2, 2)])
def test_steps_at_the_end_that_are_too_few_for_an_update_are_not_learned_from(arrangement):
    config = PPOConfig(n_steps=16, n_envs=4, batch_size=32, n_epochs=1)
    plan = {"episodes": 1, "confirm": 1, "final": 1}
    for steps, updates in ((64, 2), (120, 2), (128, 4)):
        run = train(config, short, arrangement=arrangement, engine="inline", steps=steps, evaluation=plan)
        assert (run.metrics["steps"][-1], run.metrics["updates"][-1]) == (steps, updates)


def test_the_same_seed_gives_the_same_run(tmp_path: Path):
    runs = [train(SMALL, short, steps=512, seed=3, run_dir=tmp_path / name) for name in ("one", "two")]

    for name in ("episode_return", "loss", "entropy"):
        np.testing.assert_array_equal(runs[0].metrics[name], runs[1].metrics[name])


@pytest.mark.parametrize("engine", ["inline", "processes"])
def test_each_environment_may_be_an_actor(engine: str):
    run = train(SMALL, short, arrangement=Central(environments=4), steps=640, engine=engine)

    assert run.metrics["steps"][-1] == 640 and run.metrics["updates"][-1] >= 16


def test_it_has_no_replay_buffer_to_share():
    with pytest.raises(TypeError, match="agent 0 is a PPOConfig, which does not learn from a replay buffer"):
        train(SMALL, "CartPole-v1", arrangement=SharedReplay(agents=2, environments=2), steps=100)
