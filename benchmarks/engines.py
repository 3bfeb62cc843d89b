"""The engines beside each other: "processes" and, where Ray is installed, "ray"; calls, arrays and training.

Ray is started once per round, and its start is not measured. Light actors are 8 that a group calls together: in 8
processes, and in one process that an int place makes the host of all (on Ray: 8 actors of Ray, or one). Their start is
from the first spawn to the answers of all, and is measured on a Ray that has started processes before.
"""

from __future__ import annotations

import tempfile
import time
from typing import Any

import gymnasium
import numpy as np
from _contest import Row, contender, run

PROCESSES, RAY = "actorrl", "actorrl on Ray"
LIGHT = 8
ROWS = [
    Row("call", "add(1), one after the other", "µs", (RAY, "call")),
    Row("pipelined", "add(1), pipelined", "/s", (RAY, "pipelined")),
    Row("array_100k", "echo of 100 kB of float32", "µs", (RAY, "array_100k")),
    Row("array_10m", "echo of 10 MB of float32", "µs", (RAY, "array_10m")),
    Row("apart_start", f"start of {LIGHT} light actors, a process each", "ms", (RAY, "apart_start")),
    Row("together_start", f"start of {LIGHT} light actors, one host", "ms", (RAY, "together_start")),
    Row("apart", f"a round of {LIGHT} light actors, a process each", "µs", (RAY, "apart")),
    Row("together", f"a round of {LIGHT} light actors, one host", "µs", (RAY, "together")),
    Row("ppo", "steps of PPO, Dataflow(2, 8)", "/s", (RAY, "ppo")),
    Row("dqn", "steps of DQN, Central(2)", "/s", (RAY, "dqn")),
]


class Light:
    """Counts, and gives back what it gets."""

    def __init__(self) -> None:
        self.value = 0

    def add(self, n: int) -> int:
        self.value += n
        return self.value

    def echo(self, array: Any) -> Any:
        return array


def cartpole() -> gymnasium.Env:
    return gymnasium.make("CartPole-v1")


def each(work: Any, n: int) -> float:
    """Microseconds of one of `n` calls of `work`."""
    work()
    start = time.perf_counter()
    for _ in range(n):
        work()
    return (time.perf_counter() - start) / n * 1e6


def steps_per_second(agent: Any, arrangement: Any, engine: str, steps: int) -> float:
    """Environment steps a second of a training, from its first row of metrics to its last: without the start.

    Raises:
        RuntimeError: all rows came at once, so nothing can be said of the time between them.
    """
    from actorrl import train

    with tempfile.TemporaryDirectory() as directory:
        run = train(agent, cartpole, arrangement=arrangement, engine=engine, steps=steps, run_dir=f"{directory}/run")
    made, taken = run.metrics["steps"], run.metrics["seconds"]
    if not taken[-1] > taken[0]:
        raise RuntimeError(f"the {steps:,} steps were over by the first row of metrics: too few to time")
    return float((made[-1] - made[0]) / (taken[-1] - taken[0]))


def measured(engine: str, quick: bool) -> dict[str, float]:
    from actorrl import Central, Dataflow, DQNConfig, PPOConfig, System, fetch, group, startat

    n = 20 if quick else 1000
    with System(engine=engine):
        one = startat(None, Light)
        fetch(one.add(1))
        small, large = np.zeros(25_000, np.float32), np.zeros(2_500_000, np.float32)
        many = 10 * n
        fetch([one.add(1) for _ in range(n)])
        start = time.perf_counter()
        fetch([one.add(1) for _ in range(many)])
        found = {"pipelined": many / (time.perf_counter() - start)}
        found["call"] = each(lambda: fetch(one.add(1)), n)
        found["array_100k"] = each(lambda: fetch(one.echo(small)), n // 2)
        found["array_10m"] = each(lambda: fetch(one.echo(large)), max(2, n // 50))
        for name, place in (("together", 1), ("apart", None)):
            start = time.perf_counter()
            light = group([startat(place, Light) for _ in range(2 if quick else LIGHT)])
            fetch(light.add(1))
            found[f"{name}_start"] = (time.perf_counter() - start) * 1e3
            found[name] = each(lambda light=light: fetch(light.add(1)), n // 4)  # type: ignore[misc]
    ppo = PPOConfig(n_steps=32, n_envs=8, batch_size=128, n_epochs=2)
    dqn = DQNConfig(learning_starts=100, batch_size=32)
    found["ppo"] = steps_per_second(ppo, Dataflow(2, 8, mode="async"), engine, 4_000 if quick else 40_000)
    found["dqn"] = steps_per_second(dqn, Central(2), engine, 2_000 if quick else 10_000)
    return found


@contender(PROCESSES)
def processes(quick: bool) -> dict[str, float]:
    return measured("processes", quick)


@contender(RAY, needs=("ray",), slow=True)
def on_ray(quick: bool) -> dict[str, float]:
    return measured("ray", quick)


if __name__ == "__main__":
    run(__doc__, ROWS)
