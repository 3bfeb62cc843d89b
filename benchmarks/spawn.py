"""What an actor costs to start, to keep and to lose.

    cold start     from the first spawn of a program, which has imported the library, to the first answer; beside the
                   imports that this needs at least: of numpy, cloudpickle and zmq, and of torch where the driver has it
    8 more         from asking for 8 more actors until each has answered
    memory         what an actor has of its own, shared with no other process: idle, and after a first step of torch's
                   Adam on a small network. There are two, so that what they share counts for neither
    death          from SIGKILL to the error of the call that was running

Raw pyzmq starts Python processes that import zmq and echo; multiprocessing starts its own by "spawn".
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import _peers
from _contest import Row, contender, run

IMPORTS = "the imports"
ROWS = [
    Row("cold", "cold start to first answer", "s", (IMPORTS, "cold"), "difference", must="imports + 0.3 s"),
    Row("torch", "cold start, torch in the driver", "s", (IMPORTS, "torch"), "difference", must="imports + 0.6 s"),
    Row("one", "1 more actor", "ms", ("raw pyzmq", "one")),
    Row("eight", "8 more actors", "ms", ("raw pyzmq", "eight"), must="≤ 0.25 s", aim="≤ 0.1 s"),
    Row("eight torch", "8 more actors, torch in the driver", "ms", must="≤ 0.25 s", aim="≤ 0.1 s"),
    Row("idle", "private memory, idle", "MB"),
    Row("optimiser", "private memory after an optimiser step", "MB", must="≤ 30 MB", aim="≤ 12 MB"),
    Row("death", "death seen", "ms", must="≤ 1 s", aim="≤ 50 ms"),
]


class Subject:
    """What is started."""

    def echo(self, value: Any) -> Any:
        return value

    def pid(self) -> int:
        return os.getpid()

    def sleep(self) -> None:
        time.sleep(60)

    def learn(self) -> float:
        import torch

        self.network = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4))
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=1e-3)
        loss = self.network(torch.randn(32, 8)).square().mean()
        loss.backward()
        self.optimiser.step()
        return float(loss.item())


def private_memory(pid: int) -> float:
    """Megabytes that a process shares with no other; NaN where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return float("nan")
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


@contender(IMPORTS)
def imports(quick: bool) -> dict[str, float]:
    return {"cold": _importing("numpy, cloudpickle, zmq"), "torch": _importing("numpy, cloudpickle, zmq, torch")}


def _importing(modules: str) -> float:
    code = f"import time; start = time.perf_counter(); import {modules}; print(time.perf_counter() - start)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


@contender("actorrl")
def actorrl(quick: bool) -> dict[str, float]:
    found = _actorrl()
    return {**found, **_actorrl_death()}


def _actorrl() -> dict[str, float]:
    from actorrl import fetch, startat, stop

    def born(count: int) -> float:
        start = time.perf_counter()
        actors = [startat(None, Subject) for _ in range(count)]
        fetch([actor.echo(1) for actor in actors])
        took = time.perf_counter() - start
        for actor in actors:
            stop(actor)
        return took

    return {"cold": born(1), "one": born(1) * 1e3, "eight": born(8) * 1e3}


def _actorrl_death() -> dict[str, float]:
    from actorrl import ActorRef, fetch, shutdown, startat
    from actorrl.errors import ActorDied

    actor: ActorRef[Any] = startat(None, on_failure="ignore")(Subject)()
    pid = fetch(actor.pid())
    running = actor.sleep()
    time.sleep(0.2)
    start = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    try:
        fetch(running)
    except ActorDied:
        took = time.perf_counter() - start
    shutdown()
    return {"death": took * 1e3}


@contender("actorrl")
def actorrl_with_torch(quick: bool) -> dict[str, float]:
    import torch  # noqa: F401  (what the driver has imported is what is measured)

    from actorrl import fetch, shutdown, startat

    born = _actorrl()
    first, second = startat(None, Subject), startat(None, Subject)
    pid = fetch(second.pid())
    idle = private_memory(pid)
    fetch([first.learn(), second.learn()])
    learnt = private_memory(pid)
    shutdown()
    return {"torch": born["cold"], "eight torch": born["eight"], "idle": idle, "optimiser": learnt}


@contender("raw pyzmq")
def raw(quick: bool) -> dict[str, float]:
    def born(count: int) -> float:
        start = time.perf_counter()
        started = [_peers.RawPyzmq(wait=False) for _ in range(count)]
        for one in started:
            one.call(1)
        took = time.perf_counter() - start
        for one in started:
            one.close()
        return took

    return {"cold": born(1), "one": born(1) * 1e3, "eight": born(8) * 1e3}


@contender("multiprocessing.Pipe")
def pipe(quick: bool) -> dict[str, float]:
    def born(count: int) -> tuple[float, list[Any]]:
        start = time.perf_counter()
        pipes = [_peers.Pipe() for _ in range(count)]
        for one in pipes:
            one.call(1)
        return time.perf_counter() - start, pipes

    cold, one, eight = born(1), born(1), born(8)
    idle = private_memory(one[1][0].process.pid)
    for _, pipes in (cold, one, eight):
        for each in pipes:
            each.close()
    return {"cold": cold[0], "one": one[0] * 1e3, "eight": eight[0] * 1e3, "idle": idle}


@contender("Ray", needs=("ray",), slow=True)
def ray(quick: bool) -> dict[str, float]:
    start = time.perf_counter()
    with _peers.ray_running() as running:
        actor = running.remote(num_cpus=0)(Subject)

        def born(count: int) -> tuple[float, list[Any]]:
            start = time.perf_counter()
            actors = [actor.remote() for _ in range(count)]
            running.get([one.echo.remote(1) for one in actors])
            return time.perf_counter() - start, actors

        born(1)
        cold = time.perf_counter() - start
        one, _ = born(1)
        eight, actors = born(8)
        pids = running.get([actors[0].pid.remote(), actors[1].pid.remote()])
        idle = private_memory(pids[0])
        running.get([actors[0].learn.remote(), actors[1].learn.remote()])
        learnt = private_memory(pids[0])
        left = actors[0].sleep.remote()
        time.sleep(0.2)
        killed = time.perf_counter()
        os.kill(pids[0], signal.SIGKILL)
        try:
            running.get(left)
        except running.exceptions.RayActorError:
            death = (time.perf_counter() - killed) * 1e3
    times = {"cold": cold, "one": one * 1e3, "eight": eight * 1e3, "death": death}
    return {**times, "idle": idle, "optimiser": learnt}


@contender("xoscar", needs=("xoscar",), slow=True)
def xoscar(quick: bool) -> dict[str, float]:
    async def measure() -> dict[str, float]:
        start = time.perf_counter()
        pool, actor = await _peers.xoscar_actors(Subject)
        await actor.echo(1)
        cold = time.perf_counter() - start
        pid = await actor.pid()
        idle = private_memory(pid)
        await actor.learn()
        found = {"cold": cold, "idle": idle, "optimiser": private_memory(pid)}
        await pool.stop()
        return found

    return asyncio.run(measure())


if __name__ == "__main__":
    run(__doc__, ROWS)
