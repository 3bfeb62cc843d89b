"""What an array costs: a float32 array there and back, and one shared by eight actors.

    there and back   an actor gets an array and answers with it; bytes both ways divided by the time. 100 kB with all
                     processes on one core, so that the scheduler decides nothing
    share            `share` of 100 MB, and then until 8 actors have each read its first element

A memcpy does the least that can be done: the array copied twice in one process. "zmq in band" is pickle over a raw
PUSH/PULL pair, "zmq out of band" sends the array as a frame of its own without copying it into the pickle.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any

import _peers
import numpy as np
from _contest import Row, contender, run

MEMCPY = "memcpy"
SIZES = {"1 kB": 1_000, "100 kB": 100_000, "10 MB": 10_000_000, "100 MB": 100_000_000}
ROWS = [
    Row("1 kB", "there and back, 1 kB", "µs", ("zmq in band", "1 kB")),
    Row("100 kB", "there and back, 100 kB, one core", "GB/s", (MEMCPY, "100 kB"), must="≥ 2.5 GB/s", aim="≥ 3.5 GB/s"),
    Row("10 MB", "there and back, 10 MB", "GB/s", (MEMCPY, "10 MB"), must="≥ 5 GB/s", aim="≥ 15 GB/s"),
    Row("100 MB", "there and back, 100 MB", "GB/s", (MEMCPY, "100 MB"), must="≥ 4 GB/s", aim="≥ 10 GB/s"),
    Row("share", "share 100 MB", "ms", must="≤ 60 ms"),
    Row("read", "then its first element read at 8 actors", "ms", must="≤ 50 ms"),
]
ONE_CORE = ["100 kB"]
FREE = ["1 kB", "10 MB", "100 MB"]


class Echo:
    def echo(self, array: Any) -> Any:
        return array


class Reader:
    def first(self, array: Any) -> float:
        return float(array[0])


def there_and_back(echo: Callable[[Any], Any], sizes: list[str], quick: bool) -> dict[str, float]:
    """{size: GB/s, or µs of a small one}, by the median of several echoes; what comes back is read."""
    found = {}
    for size in sizes:
        array = np.arange(SIZES[size] // 4, dtype=np.float32)
        times = []
        for number in range(_repeats(size, quick)):
            start = time.perf_counter()
            back = echo(array)
            if number:  # the first one makes what the others use
                times.append(time.perf_counter() - start)
            assert back[-1] == array[-1]
            del back
        took = statistics.median(times)
        found[size] = took * 1e6 if size == "1 kB" else 2 * array.nbytes / took / 1e9
    return found


def _repeats(size: str, quick: bool) -> int:
    count = {"1 kB": 2_000, "100 kB": 1_000, "10 MB": 60, "100 MB": 12}[size]
    return max(3, count // 20) if quick else count


@contender(MEMCPY, pinned=True)
def memcpy_pinned(quick: bool) -> dict[str, float]:
    return there_and_back(_copied_twice(), ONE_CORE, quick)


@contender("actorrl", pinned=True)
def actorrl_pinned(quick: bool) -> dict[str, float]:
    return _actorrl(ONE_CORE, quick)


@contender("zmq in band", pinned=True)
def in_band_pinned(quick: bool) -> dict[str, float]:
    return _raw("call", ONE_CORE, quick)


@contender("zmq out of band", pinned=True)
def out_of_band_pinned(quick: bool) -> dict[str, float]:
    return _raw("out_of_band", ONE_CORE, quick)


@contender("multiprocessing.Pipe", pinned=True)
def pipe_pinned(quick: bool) -> dict[str, float]:
    return _pipe(ONE_CORE, quick)


@contender(MEMCPY)
def memcpy_free(quick: bool) -> dict[str, float]:
    return there_and_back(_copied_twice(), FREE, quick)


@contender("actorrl")
def actorrl_free(quick: bool) -> dict[str, float]:
    return _actorrl(FREE, quick)


@contender("actorrl")
def actorrl_share(quick: bool) -> dict[str, float]:
    from actorrl import fetch, share, shutdown, startat

    readers = [startat(None, Reader) for _ in range(8)]
    fetch([reader.first(np.ones(1)) for reader in readers])
    array = np.arange(25_000_000, dtype=np.float32)
    start = time.perf_counter()
    try:
        shared = share(array)
    except NotImplementedError:
        shutdown()
        return {}
    made = time.perf_counter()
    assert fetch([reader.first(shared) for reader in readers]) == [0.0] * 8
    read = time.perf_counter()
    del shared
    shutdown()
    return {"share": (made - start) * 1e3, "read": (read - made) * 1e3}


@contender("zmq in band")
def in_band_free(quick: bool) -> dict[str, float]:
    return _raw("call", FREE, quick)


@contender("zmq out of band")
def out_of_band_free(quick: bool) -> dict[str, float]:
    return _raw("out_of_band", FREE, quick)


@contender("multiprocessing.Pipe")
def pipe_free(quick: bool) -> dict[str, float]:
    return _pipe(FREE, quick)


@contender("Ray", needs=("ray",), slow=True)
def ray_free(quick: bool) -> dict[str, float]:
    with _peers.ray_running() as ray:
        actor = ray.remote(num_cpus=0)(Echo).remote()
        ray.get(actor.echo.remote(1))
        found = there_and_back(lambda array: ray.get(actor.echo.remote(array)), FREE, True)
        readers = [ray.remote(num_cpus=0)(Reader).remote() for _ in range(8)]
        ray.get([reader.first.remote(np.ones(1)) for reader in readers])
        array = np.arange(25_000_000, dtype=np.float32)
        start = time.perf_counter()
        shared = ray.put(array)
        made = time.perf_counter()
        ray.get([reader.first.remote(shared) for reader in readers])
        return {**found, "share": (made - start) * 1e3, "read": (time.perf_counter() - made) * 1e3}


@contender("xoscar", needs=("xoscar",), slow=True)
def xoscar_free(quick: bool) -> dict[str, float]:
    loop = asyncio.new_event_loop()
    pool, actor = loop.run_until_complete(_peers.xoscar_actors(Echo))
    found = there_and_back(lambda array: loop.run_until_complete(actor.echo(array)), FREE, True)
    loop.run_until_complete(pool.stop())
    return found


def _copied_twice() -> Callable[[Any], Any]:
    buffers: dict[int, Any] = {}

    def copy(array: Any) -> Any:
        first, second = buffers.setdefault(array.nbytes, (np.empty_like(array), np.empty_like(array)))
        np.copyto(first, array)
        np.copyto(second, first)
        return second

    return copy


def _actorrl(sizes: list[str], quick: bool) -> dict[str, float]:
    from actorrl import fetch, shutdown, startat

    actor = startat(None, Echo)
    found = there_and_back(lambda array: fetch(actor.echo(array)), sizes, quick)
    shutdown()
    return found


def _raw(method: str, sizes: list[str], quick: bool) -> dict[str, float]:
    raw = _peers.RawPyzmq()
    found = there_and_back(getattr(raw, method), sizes, quick)
    raw.close()
    return found


def _pipe(sizes: list[str], quick: bool) -> dict[str, float]:
    pipe = _peers.Pipe()
    found = there_and_back(pipe.call, sizes, quick)
    pipe.close()
    return found


if __name__ == "__main__":
    run(__doc__, ROWS)
