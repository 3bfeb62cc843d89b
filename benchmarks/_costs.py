"""Owns what scaling_model.py is fed with: what every part of a step costs here, and the rates it must predict."""

from __future__ import annotations

import contextlib
import functools
import io
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _explorers import Waiting, in_process_rate, recipe_of

T, EPOCHS, WAIT = 32, 4, 0.005
"""Steps per fragment, epochs of PPO, seconds that an environment sleeps."""
CHUNK = 32
"""Rows per message to a replay table."""
NOTHING = functools.partial(Waiting, 0.0)
SLEEPING = functools.partial(Waiting, WAIT)


class Echo:
    """Gives back what it gets."""

    def back(self, value: Any) -> Any:
        return value


def mean_seconds(call: Callable[[], Any], times: int) -> float:
    for _ in range(times // 5 + 1):
        call()
    began = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - began) / times


def measure_costs(quick: bool) -> dict[str, float]:
    """Seconds of everything the simulation asks for. A system runs already."""
    from actorrl import fetch, startat, stop
    from actorrl.rl.tables import ReplayTable

    n, make = (20, 0.05) if quick else (400, 0.3)
    c = {"step": 1 / in_process_rate(NOTHING, 1, T, make)}
    c["wait"] = mean_seconds(lambda: time.sleep(WAIT), 10 if quick else 60)
    parts = recipe_of(NOTHING, 1, T).build()
    rng, one, many = np.random.default_rng(0), np.zeros((1, 4), np.float32), np.zeros((64, 4), np.float32)
    acts = [mean_seconds(lambda x=x: parts.policy.act(x, (), 0, explore=True, rng=rng), n) for x in (one, many)]
    c["act"] = max(0.0, (acts[1] - acts[0]) / 63)
    c["act_call"] = acts[0] - c["act"]
    c["learn"] = learning_cost(8, n // 20 + 1)
    table = ReplayTable(10_000, rng)
    rows = {name: np.zeros((CHUNK, 4), np.float32) for name in ("observation", "observation_next")}
    rows |= {name: np.zeros(CHUNK, np.float32) for name in ("reward", "discount", "action")}
    c["row"] = mean_seconds(lambda: table.add(rows), n) / CHUNK
    echo = startat(None, Echo)
    fragment = {"observation": np.zeros((T + 1, 1, 4), np.float32), "reward": np.zeros((T, 1), np.float32)}
    c["request"] = mean_seconds(lambda: fetch([echo.back(one) for _ in range(64)]), n // 10 + 1) / 64
    c["message"] = mean_seconds(lambda: fetch([echo.back(fragment) for _ in range(64)]), n // 10 + 1) / 64
    c["batch"] = mean_seconds(lambda: table.sample(64), n) + c["message"]
    c["row"] += c["message"] / CHUNK
    stop(echo)
    return c


def learning_cost(explorers: int, times: int) -> float:
    """Seconds that PPO learns for, per step of a round."""
    import torch

    from actorrl import PPOConfig
    from actorrl.rl.cadence import Updates
    from actorrl.rl.environments import LocalEnvironments
    from actorrl.rl.explorer import Explorer

    torch.set_num_threads(1)
    recipe = recipe_of(NOTHING, explorers, T)
    config = PPOConfig(n_envs=explorers, n_steps=T, batch_size=explorers * T, n_epochs=EPOCHS)
    parts = config.build(recipe.observation_space, recipe.action_space, 0)
    updates, taken, seconds = Updates(parts), 0, 0.0
    environments = LocalEnvironments([NOTHING] * explorers)
    explorer = Explorer(environments, parts.policy, parts.table, seed=0)
    for turn in range(times + 1):
        explorer.advance(explorers * T)
        began = time.perf_counter()
        while updates.outstanding:
            updates.one()
        if turn:
            taken, seconds = taken + explorers * T, seconds + time.perf_counter() - began
    return seconds / taken


def measure_training(explorers: int, rounds: int) -> float:
    """Steps per second of `Dataflow`, asynchronous, with environments that sleep."""
    from training import experiment, slope

    from actorrl import Dataflow, PPOConfig
    from actorrl.training.entry import prepare

    flow = Dataflow(explorers=explorers, environments_per_explorer=1, mode="async")
    told = experiment(SLEEPING, flow, rounds * T * explorers, 0)
    told.agent = PPOConfig(n_envs=explorers, n_steps=T, batch_size=T * explorers, n_epochs=EPOCHS)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        metrics = prepare(told, f"{folder}/run").run().metrics
    return slope(metrics["steps"], metrics["seconds"])
