"""Owns explorers that nobody learns from: what sampling.py, env_cost.py and scaling_model.py measure.

    ExplorerRole 0..E-1 ── add(number, Round) ──► Sink     rounds without end, all with the first weights

The explorers are those of `Dataflow`, processes with k environments and a copy of the policy; a sink that only counts
stands where the trainer would.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np

from actorrl import PPOConfig, fetch, kill, startat, stop

FOREVER = 1 << 60
Maker = Callable[[], Any]


class Sink:
    """Takes rounds, and counts their steps."""

    def __init__(self) -> None:
        self.steps, self.when = 0, 0.0

    def add(self, explorer: int, whole: Any) -> None:
        self.steps += whole.steps
        self.when = time.monotonic()

    def told(self) -> tuple[int, float]:
        """Steps so far, and the moment when the last of them came."""
        return self.steps, self.when


class Waiting(gymnasium.Env[Any, Any]):
    """An environment whose step waits, or computes, for so many seconds. Four numbers, two actions, 64 steps."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (4,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, seconds: float, computing: bool = False) -> None:
        self.seconds, self.computing = seconds, computing
        self._observation = np.zeros(4, np.float32)
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        return self._observation, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self.computing:
            end = time.thread_time() + self.seconds
            while time.thread_time() < end:
                pass
        elif self.seconds:
            time.sleep(self.seconds)
        self._steps += 1
        return self._observation, 1.0, False, self._steps % 64 == 0, {}


def recipe_of(make: Maker, k: int, length: int) -> Any:
    """PPO with 2 × 64 units over environments like these."""
    from actorrl.training.roles import Recipe

    one = make()
    config = PPOConfig(n_envs=k, n_steps=length, batch_size=k * length)
    found = Recipe(config, False, one.observation_space, one.action_space, 0)
    one.close()
    return found


@contextmanager
def exploring(make: Maker, explorers: int, k: int, length: int) -> Iterator[Any]:
    """The sink of so many explorers that explore while the block runs. A system runs already."""
    from actorrl.training.explorer_role import ExplorerRole
    from actorrl.training.rounds import Leave

    recipe, sink = recipe_of(make, k, length), startat(None, Sink)
    spawned = [
        startat(None, ExplorerRole, recipe, [make] * k, range(e * k, (e + 1) * k), e, sink, length, FOREVER)
        for e in range(explorers)
    ]
    fetch([one.process() for one in spawned])
    for one in spawned:
        one.begin.tell(0, Leave(rounds=0, steps=0, parameters=None, until=FOREVER))
    try:
        yield sink
    finally:
        for one in spawned:
            kill(one)
        stop(sink)


def explorers_rate(make: Maker, explorers: int, k: int, length: int, seconds: float) -> float:
    """Environment steps per second of all explorers, after a third of the time to warm up."""
    few = 2 * explorers * k * length
    with exploring(make, explorers, k, length) as sink:
        before, began = _after(sink, seconds / 3, few)
        after, ended = _after(sink, seconds, before + few)
    return float((after - before) / (ended - began))


def _after(sink: Any, seconds: float, steps: int) -> tuple[int, float]:
    """What a sink says after so many seconds, and so many steps."""
    time.sleep(seconds)
    while (told := fetch(sink.told()))[0] < steps:
        time.sleep(seconds / 4)
    return told


def in_process_rate(make: Maker, k: int, length: int, seconds: float) -> float:
    """The same loop in this process: an Explorer over k environments, its fragments dropped."""
    from actorrl.rl.environments import LocalEnvironments
    from actorrl.rl.explorer import Explorer
    from actorrl.rl.lanes import InlineLanes

    recipe = recipe_of(make, k, length)
    parts = recipe.build()
    environments = LocalEnvironments([make] * k, encode=recipe.encoder())

    class Dropped:
        window = parts.table.window

        def add(self, fragments: Any) -> None:
            pass

    explorer = Explorer(InlineLanes([environments], list(range(k))), parts.policy, Dropped(), seed=0)

    def explore(until: float) -> None:
        while time.perf_counter() < until:
            explorer.advance(k * length)

    explore(time.perf_counter() + seconds / 3)
    before, began = explorer.steps, time.perf_counter()
    explore(began + seconds)
    return (explorer.steps - before) / (time.perf_counter() - began)


def raw_rate(make: Maker, seconds: float) -> float:
    """Steps per second of one environment and a list of actions: what a core can do at best."""
    environment = make()
    rng = np.random.default_rng(0)
    actions = rng.integers(0, int(environment.action_space.n), 1024).tolist()
    environment.reset(seed=0)
    steps, began = 0, time.perf_counter()
    while time.perf_counter() < began + seconds:
        for action in actions[:256]:
            _, _, terminated, truncated, _ = environment.step(action)
            if terminated or truncated:
                environment.reset()
        steps += 256
    return steps / (time.perf_counter() - began)


def raw_pair_rate(make: Maker, seconds: float) -> float:
    """Steps per second of two such loops at once, in two processes: what two cores can do at best."""
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(raw_rate, [make] * 2, [0.1] * 2))
        return sum(pool.map(raw_rate, [make] * 2, [seconds] * 2))


def bare_loop_rate(make: Maker, k: int, seconds: float) -> float:
    """Steps per second of k environments in a loop with our policy and nothing else: no fragment, no checks."""
    act, environments = policy_of(make, k), [make() for _ in range(k)]
    observations = [environment.reset(seed=i)[0] for i, environment in enumerate(environments)]
    steps, began = 0, 0.0
    for warm in (True, False):
        began, steps = time.perf_counter(), 0
        while time.perf_counter() < began + (seconds / 3 if warm else seconds):
            for i, action in enumerate(act(np.array(observations)).tolist()):
                observations[i], _, terminated, truncated, _ = environments[i].step(action)
                if terminated or truncated:
                    observations[i], _ = environments[i].reset()
            steps += k
    return steps / (time.perf_counter() - began)


def vector_rate(environments: Any, act: Callable[[Any], Any], seconds: float) -> float:
    """Steps per second of a gymnasium vector environment with a policy that acts on all observations at once."""
    observations, _ = environments.reset(seed=0)
    steps, began = 0, 0.0
    for warm in (True, False):
        began, steps = time.perf_counter(), 0
        while time.perf_counter() < began + (seconds / 3 if warm else seconds):
            observations, *_ = environments.step(act(observations))
            steps += environments.num_envs
    rate = steps / (time.perf_counter() - began)
    environments.close()
    return rate


def policy_of(make: Maker, k: int) -> Callable[[Any], Any]:
    """Our policy as a function of observations [k, n]: the same network for a peer's loop."""
    policy = recipe_of(make, k, 8).build().policy
    rng = np.random.default_rng(0)
    return lambda observations: policy.act(observations, (), 0, explore=True, rng=rng).action
