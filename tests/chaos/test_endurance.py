"""A million calls, a flood for a minute, many actors: nothing grows."""

from __future__ import annotations

import os
import time
from typing import Any

import psutil
import pytest
from strays import eventually

from actorrl import System, actors, current, fetch, startat, stop, wait

MEGABYTE = 1 << 20


def resources() -> tuple[int, int, int]:
    """Of this process: bytes resident, open files, threads. Without the parts of the pool, mapped when first used."""
    links = [os.path.join("/proc/self/fd", fd) for fd in os.listdir("/proc/self/fd")]
    files = sum("actorrl-pool" not in os.readlink(link) for link in links if os.path.islink(link))
    me = psutil.Process()
    return me.memory_info().rss, files, me.num_threads()


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def add(self, n: int) -> int:
        self.count += n
        return self.count

    def slow(self, data: bytes) -> None:
        time.sleep(0.005)
        self.count += 1

    def flood(self, other: Any, data: bytes, seconds: float) -> int:
        """Tell as fast as can be."""
        sent, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            other.slow.tell(data)
            sent += 1
        return sent

    def of_process(self) -> tuple[int, int, int]:
        return resources()

    def meet(self, ring: list[Any]) -> None:
        """Get to know the next actor of a ring."""
        self.following = ring[0]

    def pass_on(self, left: int) -> int:
        """Tell the next one; the last says so."""
        if left:
            self.following.pass_on.tell(left - 1)
        self.count += 1
        return self.count

    def busy(self) -> bool:
        return current() is not None


def of_processes(refs: list[Any]) -> list[tuple[int, int, int]]:
    fetch([ref.add(0) for ref in refs])  # the first short message to a process that is up opens a way to its door
    return [resources(), *fetch([ref.of_process() for ref in refs])]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_million_calls_leave_memory_files_and_threads_as_they_were():
    with System():
        refs = [startat(None, Counter), startat(1, Counter)]
        done = 0

        def calls(count: int) -> None:
            nonlocal done
            for _ in range(count // 1000):
                values = fetch([refs[i % 2].add(1) for i in range(1000)])
                done += 1000
                assert values[-1] == values[-2] == done // 2

        calls(100_000)
        before = of_processes(refs)
        calls(900_000)
        after = of_processes(refs)

        for (memory, files, threads), (memory_now, files_now, threads_now) in zip(before, after, strict=True):
            assert memory_now - memory < 8 * MEGABYTE, (before, after)
            assert (files, threads) == (files_now, threads_now)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("size", [10, 100_000])
def test_a_producer_faster_than_its_consumer_is_slowed_and_nothing_grows(seconds: float, size: int):
    with System():
        producer, consumer = startat(None, Counter), startat(None, Counter)
        fetch([producer.add(0), consumer.add(0)])
        data = os.urandom(size)
        fetch(producer.flood(consumer, data, 5.0))  # until the mailbox is full
        before = of_processes([producer])
        flood = producer.flood(consumer, data, min(60.0, seconds))
        processes = [psutil.Process(), *(psutil.Process(row.pid) for row in actors())]
        samples = []
        while not flood.done():
            wait([flood], timeout=1.0)
            samples.append([process.memory_info().rss for process in processes])
        after = of_processes([producer])

        for first, *later in zip(*samples, strict=True):
            assert max([first, *later]) - first < 8 * MEGABYTE, samples
        for (memory, files, threads), (memory_now, files_now, threads_now) in zip(before, after, strict=True):
            assert memory_now - memory < 8 * MEGABYTE, (before, after)
            assert (files, threads) == (files_now, threads_now)
        stop(consumer, timeout=60)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_64_actors_on_two_processors():
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(allowed)[:2]))
    try:
        with System():
            refs = [startat(None, Counter) for _ in range(64)]
            assert fetch([ref.add(1) for ref in refs]) == [1] * 64
            fetch([ref.meet([refs[(i + 1) % 64]]) for i, ref in enumerate(refs)])
            for _ in range(5):
                fetch(refs[0].pass_on(64 * 10 - 1))
            eventually(lambda: fetch([ref.add(0) for ref in refs]) == [51] * 64, 60.0)
    finally:
        os.sched_setaffinity(0, allowed)
