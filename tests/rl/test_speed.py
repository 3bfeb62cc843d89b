"""What our parts cost beside the loop one would write by hand, both in the same run."""

from __future__ import annotations

import time
from statistics import median

import gymnasium
import plain_dqn
import pytest

from actorrl.rl import seeding
from actorrl.rl.dqn import DQNConfig
from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.lanes import InlineLanes
from actorrl.rl.practice import Practice

STEPS = 1000


def ours(config: DQNConfig, seed: int) -> float:
    environments = LocalEnvironments([lambda: gymnasium.make("CartPole-v1")])
    parts = config.build(*environments.spaces(), seed)
    lanes = InlineLanes([environments], seeding.environment_seeds(seed, 1))
    practice = Practice.of_parts(parts, lanes, seed=seed, limit=STEPS)
    begin = time.process_time()
    while not practice.done:
        practice.advance(STEPS)
    return time.process_time() - begin


def by_hand(config: DQNConfig, seed: int) -> float:
    env = gymnasium.make("CartPole-v1")
    begin = time.process_time()
    plain_dqn.train(env, config, STEPS, seed)
    return time.process_time() - begin


@pytest.mark.slow
def test_our_loop_is_at_least_nine_tenths_as_fast_as_one_written_by_hand():
    config = DQNConfig(learning_starts=100, total_steps=STEPS)
    ours(config, 0), by_hand(config, 0)

    ratios = [by_hand(config, seed) / ours(config, seed) for seed in range(3)]

    assert median(ratios) >= 0.9, f"hand-written time over ours: {[round(ratio, 2) for ratio in ratios]}"
