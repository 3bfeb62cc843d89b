"""What our parts cost beside the loop one would write by hand, both in the same run."""

from __future__ import annotations

import time
from statistics import median

import gymnasium
import numpy as np
import plain_dqn
import pytest

from actorrl.rl import seeding
from actorrl.rl.dqn import DQNConfig
from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.lanes import InlineLanes
from actorrl.rl.practice import Practice
from actorrl.rl.samplers import Prioritized
from actorrl.rl.tables import ReplayTable

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


LAYOUT = np.dtype(
    [(name, np.float32, shape) for name, shape in zip("oarnd", [(8,), (), (), (8,), ()], strict=True)], align=True
)


def seconds(call, times: int) -> float:
    begin = time.process_time()
    for _ in range(times):
        call()
    return time.process_time() - begin


@pytest.mark.slow
def test_a_table_samples_almost_as_fast_as_a_bare_ring_and_priorities_cost_little():
    """Ratios inside one run, with room for a busy machine; `benchmarks/replay.py` measures with care."""
    bare, rng = np.zeros(100_000, LAYOUT), np.random.default_rng(0)
    table = ReplayTable(100_000, np.random.default_rng(0))
    prioritised = ReplayTable(100_000, np.random.default_rng(0), sampler=Prioritized())
    for each in (table, prioritised):
        each.add(bare)
    ids, td = prioritised.sample(256).ids, rng.random(256)

    def ratios() -> list[float]:
        floor = seconds(lambda: bare.take(rng.integers(0, 100_000, 256)), 2000)
        return [
            seconds(lambda: table.sample(256), 2000) / floor,
            10 * seconds(lambda: prioritised.sample(256), 200) / floor,
            10 * seconds(lambda: prioritised.update_priorities(ids, td), 200) / floor,
        ]

    uniform, by_priority, update = np.median([ratios() for _ in range(5)], 0)

    assert uniform < 1.5, f"{uniform:.2f} times a bare ring, 1.2 where the machine is quiet"
    assert by_priority < 20, f"{by_priority:.1f} times, 10 where the machine is quiet"
    assert update < 8, f"{update:.1f} times, 3 where the machine is quiet"
