"""Training on Ray: the arrangements as they are, short. `make ray` runs it, where Ray is installed."""

from __future__ import annotations

import os
from typing import Any

import gymnasium
import numpy as np
import pytest

from actorrl import Central, Dataflow, DQNConfig, PPOConfig, SharedReplay, train

pytestmark = [
    pytest.mark.skipif("ray" not in os.environ.get("ACTORRL_ENGINES", ""), reason="make ray runs it"),
    pytest.mark.slow,
]
DQN = DQNConfig(learning_starts=50, batch_size=16, buffer_size=1000)
PPO = PPOConfig(n_steps=16, n_envs=4, batch_size=32, n_epochs=2)


def short() -> gymnasium.Env:
    return gymnasium.make("CartPole-v1", max_episode_steps=20)


@pytest.mark.parametrize(
    ("config", "arrangement"),
    [(DQN, Central(2)), (DQN, SharedReplay(agents=2, environments=2)), (PPO, Dataflow(2, 2, mode="async"))],
    ids=["Central", "SharedReplay", "Dataflow"],
)
def test_an_arrangement_trains_there_unchanged(config: Any, arrangement: Any):
    run = train(config, short, steps=320, arrangement=arrangement, engine="ray")

    assert run.metrics["steps"][-1] >= 320
    assert run.metrics["updates"][-1] > 0
    assert run.act(np.zeros(4, np.float32)) in (0, 1)


def test_in_step_the_numbers_are_those_of_one_process():
    runs = [train(PPO, short, steps=320, arrangement=Dataflow(2, 3), engine=engine) for engine in ("inline", "ray")]

    one, other = (run.agent.state_dict() for run in runs)
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)
