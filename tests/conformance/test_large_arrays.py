"""Large arrays go through shared memory: private all the same, freed whoever dies, never in the way of a message."""

from __future__ import annotations

import gc
import itertools
import os
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import psutil
import pytest
from gates import Gate
from pools import MB, in_use, nothing_in_use, small_pool
from scripts import running
from strays import eventually, processes

from actorrl import ActorRef, System, errors, fetch, kill, startat, stop, wait, watch
from actorrl.actor import freight
from actorrl.actor.arena import Arena
from actorrl.actor.pool import Pool


class Store:
    """Keeps arrays, makes arrays, hands them on."""

    def __init__(self, gate: Gate | None = None) -> None:
        self.kept: list[np.ndarray] = []
        self.gate = gate

    def keep(self, array: np.ndarray) -> int:
        self.kept.append(array)
        return len(self.kept)

    def clear(self) -> None:
        self.kept.clear()

    def all(self) -> list[np.ndarray]:
        return self.kept

    def sums(self) -> list[float]:
        return [float(array.sum(dtype="f8")) for array in self.kept]

    def make(self, size: int, value: float) -> np.ndarray:
        return np.full(size, value, "f4")

    def echo(self, item: Any) -> Any:
        return item

    def through(self, item: Any) -> None:
        assert self.gate is not None
        self.gate.through()

    def pass_to(self, other: ActorRef[Store], item: Any) -> Any:
        return fetch(other.echo(item))

    def fork(self) -> float:
        """The sum of what it keeps, taken by a child it forks, after dropping it itself and getting more."""
        read, write = os.pipe()
        ready, go = os.pipe()
        array = self.kept.pop()
        if os.fork() == 0:
            os.read(ready, 1)
            os.write(write, repr(float(array.sum(dtype="f8"))).encode())
            os._exit(0)
        del array
        os.write(go, b".")
        return float(os.read(read, 100))

    def pid(self) -> int:
        return os.getpid()


def ones(size: int = MB // 4, value: float = 1.0) -> np.ndarray:
    return np.full(size, value, "f4")


def own_arena() -> Arena:
    arena = freight.here().arena
    assert arena is not None
    return arena


@pytest.fixture
def pool() -> Iterator[Pool]:
    with small_pool(32 * MB) as memory:
        yield memory
        gc.collect()


def test_they_travel_through_shared_memory_and_it_is_free_afterwards(pool: Pool):
    store = startat(None, Store)

    back = fetch(store.echo(ones()))

    assert np.array_equal(back, ones())
    assert in_use(pool) >= 1
    assert pool.measure() >= 2 * MB
    del back
    nothing_in_use(pool)


def test_the_same_few_blocks_serve_any_number_of_messages(pool: Pool):
    store = startat(None, Store)
    for value in range(100):
        assert fetch(store.echo(ones(value=value)))[-1] == value

    assert pool.measure() < 12 * MB


def test_a_full_arena_is_in_nobodys_way(pool: Pool):
    store = startat(None, Store)
    counts = fetch([store.keep(ones(value=value)) for value in range(100)])

    assert counts[-1] == 100
    assert pool.measure() <= 32 * MB
    assert fetch(store.sums()) == [MB / 4 * value for value in range(100)]


def test_in_both_directions_at_once_while_it_is_full(pool: Pool):
    stores = [startat(None, Store) for _ in range(2)]
    futures = [store.echo(ones(MB, value)) for value in range(20) for store in stores]

    results = fetch(futures)

    assert [float(array[0]) for array in results] == [value for value in range(20) for _ in stores]
    assert pool.measure() <= 32 * MB
    del results, futures
    nothing_in_use(pool)


def test_one_larger_than_all_there_is(pool: Pool):
    store = startat(None, Store)

    back = fetch(store.echo(ones(10 * MB)))

    assert back.nbytes == 40 * MB
    assert back.flags.writeable
    assert float(back.sum(dtype="f8")) == 10 * MB


def test_what_an_actor_keeps_for_long_leaves_room_for_others(pool: Pool):
    hoarder, store = startat(None, Store), startat(None, Store)
    fetch([hoarder.keep(ones(MB)) for _ in range(20)])
    eventually(lambda: in_use(pool) <= 4, what="more than half of the memory is kept")

    back = fetch(store.echo(ones(2 * MB)))

    assert in_use(pool) <= 5
    assert fetch(hoarder.sums()) == [MB] * 20
    assert back.size == 2 * MB


@pytest.mark.slow
def test_many_actors_that_store_many_arrays_for_long(pool: Pool):
    stores = [startat(None, Store) for _ in range(4)]
    for turn in range(12):
        fetch([store.keep(ones(value=turn)) for store in stores])
        fetch([store.pass_to(other, ones(value=turn)) for store, other in itertools.pairwise(stores)])
        assert pool.measure() <= 32 * MB

    assert all(sums == [MB / 4 * turn for turn in range(12)] for sums in fetch([store.sums() for store in stores]))
    fetch([store.clear() for store in stores])
    nothing_in_use(pool)


def test_the_sender_may_change_its_array_at_once(pool: Pool):
    store = startat(None, Store)
    array = ones()
    for value in range(50):
        array[:] = value
        store.keep.tell(array)
    array[:] = -1

    assert fetch(store.sums()) == [MB / 4 * value for value in range(50)]


def test_what_arrives_belongs_to_whoever_got_it(pool: Pool):
    store = startat(None, Store)
    fetch(store.keep(ones()))
    first = fetch(store.all())[0]
    first[:] = 5
    second = fetch(store.all())[0]

    assert first[0] == 5
    assert second[0] == 1


def test_two_views_of_one_array_arrive_as_two(pool: Pool):
    store, array = startat(None, Store), ones()

    first, second = fetch(store.echo((array[10:], array[:-10])))
    first[:] = 2

    assert second.min() == second.max() == 1


@pytest.mark.parametrize(
    "kind", ["read-only", "Fortran order", "big-endian", "dates", "structured", "in a dict", "view"]
)
def test_every_kind_of_array_is_private_and_writable(pool: Pool, kind: str):
    array: Any = ones()
    if kind == "read-only":
        array.flags.writeable = False
    elif kind == "Fortran order":
        array = np.asfortranarray(array.reshape(512, -1))
    elif kind == "big-endian":
        array = array.astype(">f8")
    elif kind == "dates":
        array = array.astype("i8").view("M8[s]")
    elif kind == "structured":
        array = array.view([("a", "f4"), ("b", "i4")])
    elif kind == "view":
        array = array.reshape(512, -1)[::2, 3:]
    store = startat(None, Store)

    back = fetch(store.echo({"array": array} if kind == "in a dict" else array))
    back = back["array"] if kind == "in a dict" else back

    assert back.dtype == array.dtype
    assert np.array_equal(back, array)
    assert back.flags.writeable and back.flags.aligned
    assert back.flags.f_contiguous == array.flags.f_contiguous
    assert in_use(pool) >= 1, "it is where it arrived, not copied once more"


def test_tensors_too(pool: Pool):
    torch = pytest.importorskip("torch")
    store = startat(None, Store)

    back = fetch(store.echo(torch.ones(512, 512, dtype=torch.bfloat16).t()))

    assert back.dtype == torch.bfloat16
    assert bool((back == 1).all())
    assert in_use(pool) >= 1
    back.add_(1)
    del back
    nothing_in_use(pool)


def test_what_a_dead_actor_held_is_free(pool: Pool):
    store = startat(None, on_failure="ignore")(Store)()
    fetch([store.keep(ones()) for _ in range(5)])
    assert in_use(pool) == 5

    os.kill(fetch(store.pid()), signal.SIGKILL)

    nothing_in_use(pool)


def test_what_was_on_its_way_to_a_dead_actor_is_free(pool: Pool, gate: Gate):
    store = startat(None, Store, gate)
    calls = [store.through(ones()) for _ in range(5)]
    gate.entered()

    kill(store)

    assert all(isinstance(future.exception(10), errors.ActorDied) for future in calls)
    nothing_in_use(pool)


def test_what_a_dead_actor_has_sent_stays_as_long_as_it_is_looked_at(pool: Pool):
    store, other = startat(None, Store), startat(None, Store)
    arrays = [fetch(store.make(MB // 4, value)) for value in range(5)]
    before = pool.measure()
    kill(store)
    more = [fetch(other.make(MB // 4, 9.0)) for _ in range(5)]

    assert [float(array.mean()) for array in arrays] == list(range(5))
    assert before >= 5 * MB
    del more
    stop(other)
    del arrays
    nothing_in_use(pool)
    eventually(lambda: pool.measure() < MB, what="the memory of dead actors is kept")


@pytest.mark.slow
def test_actors_that_are_killed_while_they_send_and_receive_leave_nothing(pool: Pool):
    cut_short = 0
    for _ in range(10):
        store = startat(None, on_failure="ignore")(Store)()  # it may have answered everything by then
        pid = fetch(store.pid())
        futures = [store.echo(ones()) for _ in range(30)]
        wait(futures, num_returns=3)
        os.kill(pid, signal.SIGKILL)
        cut_short += any(isinstance(future.exception(10), errors.ActorDied) for future in futures)
        del futures
    assert cut_short
    store = startat(None, Store)
    eventually(lambda: fetch(store.pid()) and in_use(pool) == 0, what="a block of a dead actor is kept")
    stop(store)
    own_arena().trim()
    eventually(lambda: pool.measure() < MB, what="the memory of dead actors is kept")


def test_results_outlive_their_actor_and_the_system():
    kept = []
    with small_pool(32 * MB, lambda: kept.clear()):
        store = startat(None, Store)
        kept.append(fetch(store.make(MB // 4, 3.0)))
        stop(store)
        assert float(kept[0].mean()) == 3


def test_arrays_of_an_earlier_system_stay_what_they_are():
    with System(engine="processes"):
        old = fetch(startat(None, Store).make(MB, 3.0))
        place = fetch(startat(1, Store).make(MB, 4.0))
    with System(engine="processes"):
        new = [fetch(startat(None, Store).make(MB, 5.0)) for _ in range(3)]
        assert float(old.min()) == float(old.max()) == 3
        assert float(place.min()) == float(place.max()) == 4
        assert float(new[0].min()) == 5
        old[:] = 6
    assert float(old.min()) == 6


def test_actors_send_each_other_arrays(pool: Pool):
    first, second, third = startat(None, Store), startat(1, Store), startat(1, Store)

    for one, other in [(first, second), (second, first), (second, third)]:
        assert np.array_equal(fetch(one.pass_to(other, ones(value=7))), ones(value=7))
    nothing_in_use(pool)


def test_a_process_that_starts_fresh_takes_part(pool: Pool):
    store = startat(None, env={"PYTHONHASHSEED": "1"})(Store)()

    back = fetch(store.echo(ones()))

    assert np.array_equal(back, ones())
    assert type(back.base).__name__ == "Block"


def test_a_child_that_an_actor_forks_sees_what_the_actor_had(pool: Pool):
    store = startat(None, Store)
    fetch(store.keep(ones()))

    assert fetch(store.fork()) == MB / 4


def test_the_nursery_is_killed_and_arrays_stay_what_they_are(pool: Pool):
    store = startat(None, on_failure="ignore")(Store)()
    array = fetch(store.make(MB // 4, 3.0))
    end = watch(store)
    os.kill(psutil.Process(fetch(store.pid())).ppid(), signal.SIGKILL)
    assert isinstance(fetch(end), errors.ActorDied)
    again = startat(None, Store)
    more = [fetch(again.make(MB // 4, 4.0)) for _ in range(5)]

    assert float(array.min()) == float(array.max()) == 3
    assert float(more[0].mean()) == 4


MAPPED = """
import numpy as np
from actorrl import fetch, share, startat
class Store:
    def keep(self, *arrays):
        self.arrays = arrays
    def busy(self):
        while True: pass
stores = [startat(None, Store) for _ in range(2)]
shared = share(np.ones(1_000_000))
fetch([store.keep(np.ones(1_000_000), shared) for store in stores])
stores[0].busy()
print("ready", flush=True)
import time; time.sleep(60)
"""


def mapped(mark: str) -> set[int]:
    """The processes with a mark that have a pool of the runtime mapped."""
    found = set()
    for pid in processes(mark):
        try:
            with open(f"/proc/{pid}/maps") as file:
                if "actorrl-pool" in file.read():
                    found.add(pid)
        except OSError:
            continue
    return found


def test_of_a_driver_that_is_killed_no_memory_is_left():
    with running(MAPPED) as script:
        script.says("ready")
        assert len(mapped(script.mark)) >= 3, "the driver and two actors"
        script.process.kill()
        eventually(lambda: not mapped(script.mark), within=2.0, what="somebody maps the pool of a killed driver")


@pytest.mark.slow
def test_more_than_two_gigabytes():
    if os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < 12e9:
        pytest.skip("needs 8 GB")
    with System(engine="processes"):
        store = startat(None, Store)
        array = np.zeros(2**31 + 2**20, np.uint8)
        array[-1] = 7

        assert fetch(store.keep(array)) == 1
        assert fetch(store.sums()) == [7]
        assert own_arena().pool.measure() > 2**31
        stop(store)
        own_arena().trim()
        assert own_arena().pool.measure() < 2**31


KEPT: list[np.ndarray] = []


class Leaves:
    def leave(self, array: np.ndarray) -> int:
        KEPT.append(array)
        return os.getpid()


def test_what_a_process_without_actors_held_is_free_when_it_dies(pool: Pool):
    leaves = startat(1, Leaves)
    pid = fetch(leaves.leave(ones()))
    stop(leaves)
    assert in_use(pool) == 1

    os.kill(pid, signal.SIGKILL)

    nothing_in_use(pool)
