"""What a step of 8 environments in lock step costs: `step` sent to all, all answers collected.

Everybody steps the same environment, which does nothing: four floats of observation, no dynamics. What is left is
what it takes to reach 8 environments and to come back. "8 processes" has one environment per process, as
gymnasium's AsyncVectorEnv has; "2 places" has 8 actors in two processes, reached by `group` with a message each.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import _peers
import gymnasium
import numpy as np
from _contest import Row, contender, run

GYMNASIUM = "gymnasium AsyncVectorEnv"
ENVIRONMENTS = 8
ROWS = [
    Row("step", "one vector step, 8 processes", "µs", (GYMNASIUM, "step"), must="< 1 ×"),
    Row("group", "one vector step, 2 places by group", "µs", (GYMNASIUM, "step"), aim="≤ 0.5 ×"),
]


class Nothing(gymnasium.Env[Any, Any]):
    """The least an environment can do."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (4,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self) -> None:
        self._observation = np.zeros(4, np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        return self._observation, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self._observation, 1.0, False, False, {}


def us_per_step(step: Callable[[], Any], quick: bool) -> float:
    """The mean over many steps, after some to warm up."""
    n = 200 if quick else 3_000
    for _ in range(n // 10):
        step()
    start = time.perf_counter()
    for _ in range(n):
        step()
    return (time.perf_counter() - start) / n * 1e6


@contender(GYMNASIUM)
def asynchronous(quick: bool) -> dict[str, float]:
    actions = np.zeros(ENVIRONMENTS, np.int64)
    environments = gymnasium.vector.AsyncVectorEnv([Nothing] * ENVIRONMENTS)
    environments.reset()
    found = {"step": us_per_step(lambda: environments.step(actions), quick)}
    environments.close()
    return found


@contender("actorrl")
def processes(quick: bool) -> dict[str, float]:
    from actorrl import fetch, shutdown, startat

    environments = [startat(None, Nothing) for _ in range(ENVIRONMENTS)]
    fetch([environment.reset() for environment in environments])
    found = {"step": us_per_step(lambda: fetch([environment.step(0) for environment in environments]), quick)}
    shutdown()
    return found


@contender("actorrl")
def places(quick: bool) -> dict[str, float]:
    from actorrl import fetch, group, shutdown, startat

    environments = [startat(number % 2, Nothing) for number in range(ENVIRONMENTS)]
    fetch([environment.reset() for environment in environments])
    try:
        together = group(environments)
        found = {"group": us_per_step(lambda: fetch(together.step(0)), quick)}
    except NotImplementedError:
        found = {}
    shutdown()
    return found


@contender("gymnasium SyncVectorEnv")
def synchronous(quick: bool) -> dict[str, float]:
    actions = np.zeros(ENVIRONMENTS, np.int64)
    environments = gymnasium.vector.SyncVectorEnv([Nothing] * ENVIRONMENTS)
    environments.reset()
    return {"step": us_per_step(lambda: environments.step(actions), quick)}


@contender("Ray", needs=("ray",), slow=True)
def ray(quick: bool) -> dict[str, float]:
    with _peers.ray_running() as running:
        environments = [running.remote(num_cpus=0)(Nothing).remote() for _ in range(ENVIRONMENTS)]
        running.get([environment.reset.remote() for environment in environments])
        step = lambda: running.get([environment.step.remote(0) for environment in environments])  # noqa: E731
        return {"step": us_per_step(step, True)}


@contender("xoscar", needs=("xoscar",), slow=True)
def xoscar(quick: bool) -> dict[str, float]:
    loop = asyncio.new_event_loop()
    pool, *environments = loop.run_until_complete(_peers.xoscar_actors(Nothing, ENVIRONMENTS))

    async def step() -> None:
        await asyncio.gather(*[environment.step(0) for environment in environments])

    found = {"step": us_per_step(lambda: loop.run_until_complete(step()), True)}
    loop.run_until_complete(pool.stop())
    return found


if __name__ == "__main__":
    run(__doc__, ROWS)
