"""Replicas of a learner: each with a part of the batch, all with the step of the whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from torch import Tensor

from actorrl import PPOConfig
from actorrl.rl.moments import Moments
from actorrl.rl.policy_losses import normalised
from actorrl.rl.replicas import all_of, mean_over, normalised_over, update_over

BOX, DISCRETE = gymnasium.spaces.Box(-1, 1, (3,), np.float32), gymnasium.spaces.Discrete(4)


class Pair:
    """Two replicas in two threads of one process."""

    count = 2

    def __init__(self) -> None:
        self._barrier, self._told = Barrier(2, timeout=20), list[Any]([None, None])

    def seen_by(self, number: int) -> Any:
        pair = self

        class Seen:
            count = 2

            def gather(self, values: Any) -> list[Any]:
                pair._told[number] = values.copy()
                pair._barrier.wait()
                told = list(pair._told)
                pair._barrier.wait()
                return told

            def average(self, values: Tensor) -> None:
                one, other = self.gather(values.numpy())
                values.copy_(torch.from_numpy((one + other) / 2))

        return Seen()


def both(work: Any) -> list[Any]:
    """What both replicas return of work(number, replicas)."""
    pair = Pair()
    with ThreadPoolExecutor(2) as pool:
        return [f.result() for f in [pool.submit(work, number, pair.seen_by(number)) for number in range(2)]]


def test_advantages_are_normalised_as_those_of_the_joined_batch():
    halves = torch.randn(2, 32, generator=torch.Generator().manual_seed(0)) * 3 + 1

    parts = both(lambda number, replicas: normalised_over(replicas, halves[number]))

    torch.testing.assert_close(torch.cat(parts), normalised(halves.reshape(-1)))


@pytest.mark.parametrize("shape", [(), (3,)])
def test_moments_are_those_of_all_parts_for_everyone(shape: tuple[int, ...]):
    parts = np.random.default_rng(0).normal(2, 5, (2, 40, *shape))
    whole = Moments(shape)
    whole.update(parts.reshape(80, *shape))

    def work(number: int, replicas: Any) -> Moments:
        moments = Moments(shape)
        update_over(replicas, moments, lambda into: into.update(parts[number]))
        return moments

    one, other = both(work)
    np.testing.assert_array_equal(one.mean, other.mean)
    np.testing.assert_allclose(one.mean, whole.mean)
    np.testing.assert_allclose(one.var, whole.var)
    assert one.count == other.count == 80


def test_a_number_and_a_flag_are_of_all():
    assert both(lambda number, replicas: mean_over(replicas, torch.tensor(float(number)))) == [0.5, 0.5]
    assert both(lambda number, replicas: all_of(replicas, number == 0)) == [False, False]
    assert mean_over(None, torch.tensor(3.0)) == 3.0 and all_of(None, True)


@pytest.mark.parametrize("target_kl", [None, 1e-6])
def test_two_learners_take_the_steps_of_one_with_the_joined_batch(target_kl: float | None):
    def learner(n_envs: int) -> Any:
        config = PPOConfig(n_steps=16, n_envs=n_envs, batch_size=16 * n_envs, target_kl=target_kl)
        return config.build(BOX, DISCRETE, 0).learner

    rng = np.random.default_rng(1)
    batch = {
        "observation": rng.normal(size=(64, 3)).astype(np.float32),
        "drawn": rng.integers(0, 4, 64),
        "log_prob": np.log(rng.uniform(0.2, 0.3, 64)).astype(np.float32),
        "advantage": rng.normal(3, 5, 64).astype(np.float32),
        "target": rng.normal(size=64).astype(np.float32),
    }

    def learned(one: Any, rows: dict[str, Any]) -> Any:
        for _ in range(3):
            one.update(rows)
        return one.state_dict(), one.satisfied

    pair = learner(2), learner(2)  # made one after the other: weights are drawn from torch's one generator

    def work(number: int, replicas: Any) -> Any:
        pair[number].replicas = replicas
        return learned(pair[number], {name: values[number * 32 : number * 32 + 32] for name, values in batch.items()})

    (state, satisfied), other = both(work)
    whole, whole_satisfied = learned(learner(4), batch)
    assert satisfied == other[1] == whole_satisfied == (target_kl is not None)
    for name, value in state.items():
        np.testing.assert_array_equal(value, other[0][name], err_msg=name)
        np.testing.assert_allclose(value, whole[name], rtol=1e-3, atol=1e-5, err_msg=name)
