"""What a message costs: calls and tells of a tiny method, beside the raw socket and other runtimes.

    sync call       one call, its answer fetched before the next; the median of many. "One core": both processes,
                    and what they start, share one, so that the scheduler decides nothing; "free": it decides
    actor → actor   the same between two actors
    pipelined       calls sent one after the other, then all answers fetched
    tells           one-way messages, until the last has been handled
    a burst         calls of 8 actors at once to one `@batched` method: how often its handler ran

Raw pyzmq is a PUSH/PULL pair per direction over ipc and a pickle of what a call has to say: the floor of every
runtime here. Its pipelined calls are one-way as well, as the answers of a runtime travel together.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any

import _peers
from _contest import Row, contender, run

RAW = "raw pyzmq"
ROWS = [
    Row("sync pinned", "sync call, one core", "µs", (RAW, "sync pinned"), must="≤ 1.5 ×", aim="≤ 1.3 ×"),
    Row("sync", "sync call, free", "µs", (RAW, "sync")),
    Row("actor pinned", "actor → actor, one core", "µs", ("actorrl", "sync pinned"), must="≤ 1.2 ×", aim="≤ 1.1 ×"),
    Row("pipelined", "pipelined calls", "/s", (RAW, "pipelined"), must="≥ 0.3 ×", aim="≥ 1 ×"),
    Row("tells", "tells", "/s", (RAW, "tells"), must="≥ 0.75 ×", aim="≥ 1.5 ×"),
    Row("batches", "64 calls of 8 actors at once: handler runs", "", must="a few, not 64"),
]


class Adder:
    def __init__(self) -> None:
        self.value = 0

    def add(self, n: int) -> int:
        self.value += n
        return self.value

    def get(self) -> int:
        return self.value


def median_us(call: Callable[[], Any], n: int) -> float:
    """The median of n calls, after some to warm up."""
    for _ in range(n // 10):
        call()
    times = []
    clock = time.perf_counter
    for _ in range(n):
        start = clock()
        call()
        times.append(clock() - start)
    return statistics.median(times) * 1e6


def rate(n: int, work: Callable[[], Any]) -> float:
    """How many a second when `work` does n, after a warming one."""
    work()
    start = time.perf_counter()
    work()
    return n / (time.perf_counter() - start)


def sizes(quick: bool) -> tuple[int, int]:
    """(sync calls, calls in a burst)"""
    return (500, 2_000) if quick else (5_000, 10_000)


@contender(RAW, pinned=True)
def raw_pinned(quick: bool) -> dict[str, float]:
    raw = _peers.RawPyzmq()
    found = {"sync pinned": median_us(lambda: raw.call(("add", 1)), sizes(quick)[0])}
    raw.close()
    return found


@contender("actorrl", pinned=True)
def actorrl_pinned(quick: bool) -> dict[str, float]:
    from actorrl import fetch, shutdown, startat

    class Caller:
        def __init__(self, other: Any) -> None:
            self.other = other

        def median(self, n: int) -> float:
            return median_us(lambda: fetch(self.other.add(1)), n)

    n, _ = sizes(quick)
    adder = startat(None, Adder)
    caller = startat(None, Caller, adder)
    found = {"sync pinned": median_us(lambda: fetch(adder.add(1)), n), "actor pinned": fetch(caller.median(n))}
    shutdown()
    return found


@contender("multiprocessing.Pipe", pinned=True)
def pipe_pinned(quick: bool) -> dict[str, float]:
    pipe = _peers.Pipe()
    found = {"sync pinned": median_us(lambda: pipe.call(("add", 1)), sizes(quick)[0])}
    pipe.close()
    return found


@contender(RAW)
def raw_free(quick: bool) -> dict[str, float]:
    n, many = sizes(quick)
    raw = _peers.RawPyzmq()

    def tells() -> None:
        for _ in range(many):
            raw.tell(("add", 1))
        raw.told()

    found = {"sync": median_us(lambda: raw.call(("add", 1)), n), "tells": rate(many, tells)}
    raw.close()
    return {**found, "pipelined": found["tells"]}


@contender("actorrl")
def actorrl_free(quick: bool) -> dict[str, float]:
    from actorrl import fetch, shutdown, startat

    n, many = sizes(quick)
    adder = startat(None, Adder)

    def tells() -> None:
        tell = adder.add.tell
        for _ in range(many):
            tell(1)
        fetch(adder.get())

    found = {
        "sync": median_us(lambda: fetch(adder.add(1)), n),
        "pipelined": rate(many, lambda: fetch([adder.add(1) for _ in range(many)])),
        "tells": rate(many, tells),
    }
    shutdown()
    return found


@contender("actorrl")
def actorrl_batched(quick: bool) -> dict[str, float]:
    from actorrl import batched, fetch, shutdown, startat

    class Server:
        runs = 0

        @batched(max_size=64)
        def double(self, numbers: list[int]) -> list[int]:
            self.runs += 1
            return [2 * number for number in numbers]

        def count(self) -> int:
            return self.runs

    class Client:
        def __init__(self, server: Any) -> None:
            self.server = server

        def burst(self, n: int) -> int:
            return sum(fetch([self.server.double(i) for i in range(n)]))

    server = startat(None, Server)
    clients = [startat(None, Client, server) for _ in range(8)]
    fetch([client.burst(1) for client in clients])
    before = fetch(server.count())
    fetch([client.burst(8) for client in clients])
    found = {"batches": float(fetch(server.count()) - before)}
    shutdown()
    return found


@contender("multiprocessing.Pipe")
def pipe_free(quick: bool) -> dict[str, float]:
    n, _ = sizes(quick)
    pipe = _peers.Pipe()
    found = {"sync": median_us(lambda: pipe.call(("add", 1)), n)}
    pipe.close()
    return found


@contender("Ray", needs=("ray",), slow=True)
def ray_free(quick: bool) -> dict[str, float]:
    n, many = 500, 2_000
    with _peers.ray_running() as ray:
        adder = ray.remote(num_cpus=0)(Adder).remote()
        ray.get(adder.add.remote(1))

        def tells() -> None:
            for _ in range(many):
                adder.add.remote(1)
            ray.get(adder.get.remote())

        return {
            "sync": median_us(lambda: ray.get(adder.add.remote(1)), n),
            "pipelined": rate(many, lambda: ray.get([adder.add.remote(1) for _ in range(many)])),
            "tells": rate(many, tells),
        }


@contender("xoscar", needs=("xoscar",), slow=True)
def xoscar_free(quick: bool) -> dict[str, float]:
    async def measure() -> dict[str, float]:
        pool, adder = await _peers.xoscar_actors(Adder)
        times = []
        for _ in range(1_000):
            start = time.perf_counter()
            await adder.add(1)
            times.append(time.perf_counter() - start)
        many = 2_000
        start = time.perf_counter()
        await asyncio.gather(*[adder.add(1) for _ in range(many)])
        took = time.perf_counter() - start
        await pool.stop()
        return {"sync": statistics.median(times) * 1e6, "pipelined": many / took}

    return asyncio.run(measure())


if __name__ == "__main__":
    run(__doc__, ROWS)
