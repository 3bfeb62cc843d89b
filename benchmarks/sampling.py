"""Exploring alone: environment steps per second with a policy of 2 × 64 units, nobody learning.

The floor is the environment itself: one process that steps it with a list of actions, times two, because there are two
cores. Explorers are those of Dataflow, with a sink in the trainer's place; "in process" is the same loop without
actors. Everybody has k environments per process, and the peers' policies are as large.

    AsyncVectorEnv          gymnasium's, k environments, our policy acting on all of them at once
    Stable-Baselines3       PPO.collect_rollouts over a DummyVecEnv of k environments
    RLlib, 2 runners        sample() of two runners with k environments each
"""

from __future__ import annotations

import functools
import time
from typing import Any

import gymnasium
from _contest import Row, contender, run
from _explorers import bare_loop_rate, explorers_rate, in_process_rate, policy_of, raw_pair_rate, raw_rate, vector_rate

RAW, PAIR, INSIDE, BARE = "raw environment × 2", "two raw loops", "in process", "bare loop × 2"
ASYNC, SB3 = "AsyncVectorEnv", "Stable-Baselines3"
ENVIRONMENTS = {"cart": "CartPole-v1", "moon": "LunarLander-v3"}
MUST = {("cart", 8): 0.5, ("cart", 32): 0.65, ("moon", 8): 0.8, ("moon", 32): 0.8}
LENGTH = 128
SECONDS, QUICK_SECONDS = 0.8, 0.15
ROWS = [
    row
    for (key, k), part in MUST.items()
    for row in (
        Row(
            f"{key} {k} two",
            f"{ENVIRONMENTS[key]}, k = {k}, 2 explorers",
            "/s",
            (RAW, f"{key} {k} two"),
            must=f"≥ {part} ×",
        ),
        Row(f"{key} {k} pair", "… beside two raw loops at once", "/s", (PAIR, f"{key} {k} pair"), picture=False),
        Row(f"{key} {k} bare", "… beside a bare loop with this policy", "/s", (BARE, f"{key} {k} bare"), picture=False),
        Row(
            f"{key} {k} beside one",
            "… beside 1 explorer",
            "/s",
            ("actorrl", f"{key} {k} one"),
            must="≥ 1.7 ×",
            picture=False,
        ),
        Row(
            f"{key} {k} one",
            f"{ENVIRONMENTS[key]}, k = {k}, 1 explorer",
            "/s",
            (INSIDE, f"{key} {k} one"),
            must="≥ 0.9 ×",
        ),
    )
]


def maker(key: str) -> Any:
    """Environments as `train` makes them: without gymnasium's checker."""
    return functools.partial(gymnasium.make, ENVIRONMENTS[key], disable_env_checker=True)


def seconds(quick: bool) -> float:
    return QUICK_SECONDS if quick else SECONDS


def each(quick: bool) -> list[tuple[str, int]]:
    """The pairs of environment and k that are measured."""
    return [("cart", 8)] if quick else list(MUST)


@contender(RAW)
def raw(quick: bool) -> dict[str, float]:
    rates = {key: 2 * raw_rate(maker(key), seconds(quick)) for key in ENVIRONMENTS}
    return {f"{key} {k} two": rates[key] for key, k in MUST}


@contender(PAIR)
def pair(quick: bool) -> dict[str, float]:
    rates = {key: raw_pair_rate(maker(key), seconds(quick)) for key in ENVIRONMENTS}
    return {f"{key} {k} pair": rates[key] for key, k in MUST}


@contender("actorrl")
def explorers(quick: bool) -> dict[str, float]:
    from actorrl import System

    found = {}
    with System():
        for key, k in each(quick):
            one, two = (explorers_rate(maker(key), e, k, LENGTH, seconds(quick)) for e in (1, 2))
            found |= {
                f"{key} {k} one": one,
                f"{key} {k} two": two,
                f"{key} {k} beside one": two,
                f"{key} {k} pair": two,
                f"{key} {k} bare": two,
            }
    return found


@contender(BARE)
def bare(quick: bool) -> dict[str, float]:
    return {f"{key} {k} bare": 2 * bare_loop_rate(maker(key), k, seconds(quick)) for key, k in each(quick)}


@contender(INSIDE)
def inside(quick: bool) -> dict[str, float]:
    return {f"{key} {k} one": in_process_rate(maker(key), k, LENGTH, seconds(quick)) for key, k in each(quick)}


@contender(ASYNC)
def asynchronous(quick: bool) -> dict[str, float]:
    found: dict[str, float] = {}
    for key, k in each(quick):
        environments = gymnasium.vector.AsyncVectorEnv([maker(key)] * k)
        found[f"{key} {k} two"] = vector_rate(environments, policy_of(maker(key), k), seconds(quick))
    return found


@contender(SB3, needs=("stable_baselines3",))
def sb3(quick: bool) -> dict[str, float]:
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import CallbackList
    from stable_baselines3.common.vec_env import DummyVecEnv

    torch.set_num_threads(1)
    found = {}
    for key, k in each(quick):
        model = PPO("MlpPolicy", DummyVecEnv([maker(key)] * k), n_steps=LENGTH, batch_size=256, device="cpu")
        _, callback = model._setup_learn(1 << 40, CallbackList([]))
        steps, began = 0, time.perf_counter()
        while time.perf_counter() < began + seconds(quick):
            model.collect_rollouts(model.get_env(), callback, model.rollout_buffer, LENGTH)
            steps += k * LENGTH
        found[f"{key} {k} two"] = steps / (time.perf_counter() - began)
    return found


@contender("RLlib, 2 runners", needs=("ray", "tree", "pydantic"), slow=True)
def rllib(quick: bool) -> dict[str, float]:
    import _peers

    found = {}
    with _peers.ray_running():
        for key, k in each(quick):
            settings = {"n_envs": 2 * k, "n_steps": LENGTH, "batch_size": 256, "n_epochs": 1, "learning_rate": 1e-3}
            algorithm = _peers.rllib_ppo(ENVIRONMENTS[key], settings, runners=2)
            found[f"{key} {k} two"] = _peers.rllib_sampling(algorithm, seconds(quick))
            algorithm.stop()
    return found


if __name__ == "__main__":
    run(__doc__, ROWS)
