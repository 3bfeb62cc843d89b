"""The arena: what is put arrives, blocks are used again, nothing is used twice at once, the limit holds."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actorrl.actor.arena import SMALL, Arena
from actorrl.actor.pool import EMPTY, FREE, UNIT, Pool, capacity, held, in_flight

MB = 1 << 20


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool.make(64 * MB)
    yield pool
    gc.collect()
    os.close(pool.fd)


def process(pool: Pool, number: int) -> Arena:
    """The arena of one more process, which sees the memory through mappings of its own."""
    mine = Pool(pool.fd)
    mine.own(number, number)
    return Arena(mine, number, number)


def data(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size, np.uint8)


def put(sender: Arena, receiver: int, array: np.ndarray) -> Any:
    return sender.put(receiver, memoryview(array))


def put_shared(arena: Arena, array: np.ndarray) -> int:
    made = arena.put_shared([(0, memoryview(array))], array.size)
    assert made
    return made[0]


def send(sender: Arena, receiver: Arena, array: np.ndarray) -> Any:
    place = put(sender, receiver.number, array)
    return None if place is None else receiver.take(*place)


def states(arena: Arena) -> list[int]:
    return [state for _, state in arena.pool.region(arena.slot or 0).blocks()]


def test_what_is_put_arrives_private_writable_and_aligned(pool: Pool):
    sender, receiver = process(pool, 0), process(pool, 1)
    array = data(300_000)

    arrived = send(sender, receiver, array)
    sent = array.copy()
    array[:] = 0

    assert np.array_equal(arrived, sent)
    assert arrived.flags.writeable and arrived.__array_interface__["data"][0] % 64 == 0
    arrived[:] = 7
    assert not array.any()


def test_a_block_is_free_when_the_last_view_of_it_is_gone(pool: Pool):
    sender, receiver = process(pool, 0), process(pool, 1)
    arrived = send(sender, receiver, data(UNIT))
    assert states(sender) == [held(1)]
    view = np.frombuffer(arrived, "f4")[5:].reshape(-1, 1)
    del arrived
    assert states(sender) == [held(1)]

    del view

    assert states(sender) == [FREE]


def test_a_free_block_is_used_again(pool: Pool):
    sender, receiver = process(pool, 0), process(pool, 1)
    for seed in range(50):
        assert np.array_equal(send(sender, receiver, data(200_000, seed)), data(200_000, seed))

    assert len(states(sender)) == 1
    assert pool.measure() < MB


def test_of_many_on_loan_those_that_came_back_are_found(pool: Pool):
    sender, receiver = process(pool, 0), process(pool, 1)
    kept = [send(sender, receiver, data(UNIT, seed)) for seed in range(100)]
    del kept[::2]

    more = [send(sender, receiver, data(UNIT, seed)) for seed in range(100, 150)]

    assert len(states(sender)) <= 115, "a few may be overlooked, not all"
    assert all(np.array_equal(array, data(UNIT, seed)) for seed, array in zip(range(1, 100, 2), kept, strict=True))
    assert all(np.array_equal(array, data(UNIT, seed)) for seed, array in enumerate(more, 100))


def test_small_buffers_are_not_for_the_arena(pool: Pool):
    assert put(process(pool, 0), 1, data(SMALL - 1)) is None


def test_a_full_arena_says_so_and_has_room_again_later(pool: Pool):
    sender, receiver = process(pool, 0), process(pool, 1)
    places = [put(sender, 1, data(10 * MB)) for _ in range(8)]

    assert sum(place is not None for place in places) == 6
    assert pool.measure() <= 64 * MB

    for place in filter(None, places):
        receiver.take(*place)
    assert put(sender, 1, data(10 * MB)) is not None


def test_one_larger_than_the_limit_is_refused_without_taking_memory(pool: Pool):
    sender = process(pool, 0)

    assert put(sender, 1, np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (65 * MB,), (0,)).copy()) is None
    assert pool.measure() < MB


def test_past_half_of_the_limit_what_arrives_is_copied_out_and_its_block_free_at_once(pool: Pool):
    sender, receiver = process(pool, 0), process(pool, 1)
    kept = [send(sender, receiver, data(9 * MB, seed)) for seed in range(6)]

    assert states(sender).count(held(1)) <= 4
    assert pool.measure() <= 32 * MB + 9 * MB
    for seed, array in enumerate(kept):
        assert np.array_equal(array, data(9 * MB, seed))
        assert array.flags.writeable and array.__array_interface__["data"][0] % 64 == 0


def test_past_half_of_the_limit_memory_goes_back_when_arrays_die(pool: Pool):
    sender, receiver = process(pool, 0), process(pool, 1)
    kept = [put(sender, 1, data(9 * MB)) for _ in range(6)]
    arrived = [receiver.take(*place) for place in kept if place]
    assert pool.measure() > 32 * MB
    del arrived

    put(sender, 1, data(20 * MB))

    assert pool.measure() <= 32 * MB


def test_what_another_class_has_free_pays_for_growth(pool: Pool):
    sender, receiver = process(pool, 0), process(pool, 1)
    kept = [send(sender, receiver, data(7 * MB)) for _ in range(4)]
    del kept
    assert pool.measure() > 27 * MB

    assert send(sender, receiver, data(20 * MB)) is not None

    assert pool.measure() < 22 * MB


def test_blocks_of_a_dead_receiver_are_free(pool: Pool):
    sender, first, second = (process(pool, number) for number in range(3))
    arrays = send(sender, first, data(UNIT)), put(sender, 1, data(UNIT)), send(sender, second, data(UNIT))

    sender.died(1)

    assert states(sender) == [FREE, FREE, held(2)]
    assert put(sender, 1, data(UNIT)) is None, "nobody would ever free it"
    assert states(sender).count(FREE) >= 2
    assert arrays[2] is not None


def test_what_a_dead_sender_sent_can_still_arrive_and_what_never_does_is_freed(pool: Pool, monkeypatch: Any):
    monkeypatch.setattr("actorrl.actor.arena.QUIET", 0.0)
    sender, receiver = process(pool, 0), process(pool, 1)
    late, lost = put(sender, 1, data(UNIT, 1)), put(sender, 1, data(UNIT, 2))
    assert late and lost
    receiver.died(0)
    assert list(receiver.mourning) == [0]

    arrived = receiver.take(*late)
    assert receiver.bury() == [0]

    assert states(sender) == [held(1), EMPTY]
    assert np.array_equal(arrived, data(UNIT, 1))
    del arrived
    assert states(sender) == [EMPTY, EMPTY], "nobody will use it again: its memory goes back"
    assert not receiver.mourning


def test_once_something_was_shared_every_death_is_mourned(pool: Pool):
    sender, receiver = process(pool, 0), process(pool, 1)
    receiver.died(2)
    assert not receiver.mourning, "nothing of it can be on its way"
    put_shared(sender, data(UNIT))

    receiver.died(0)

    assert list(receiver.mourning) == [0]


def test_when_all_others_are_gone_only_what_we_hold_remains(pool: Pool):
    mine, other = process(pool, 0), process(pool, 1)
    kept, coming = send(other, mine, data(UNIT)), put(other, 0, data(UNIT))
    put(mine, 1, data(UNIT))
    shared = put_shared(other, data(UNIT))
    assert coming

    mine.alone({(1, shared)}, coming=False)

    assert states(mine) == [EMPTY]
    assert states(other) == [held(0), EMPTY, 3]
    del kept
    assert states(other)[0] == EMPTY


def test_in_a_forked_child_nothing_is_given_back(pool: Pool):
    sender, receiver = process(pool, 0), process(pool, 1)
    arrived = send(sender, receiver, data(UNIT))
    child = os.fork()
    if child == 0:
        del arrived
        gc.collect()
        os._exit(0)
    os.waitpid(child, 0)
    assert states(sender) == [held(1)]

    del arrived

    assert states(sender) == [held(1)], "the child might still look at it"
    later = send(sender, receiver, data(UNIT))
    del later
    assert states(sender) == [held(1), FREE]


def test_where_no_region_can_be_mapped_the_bytes_are_read(pool: Pool, monkeypatch: pytest.MonkeyPatch):
    sender, receiver = process(pool, 0), process(pool, 1)
    place = put(sender, 1, data(UNIT))
    assert place

    def refuse(slot: int) -> Any:
        raise OSError(12, "no room in the address space")

    monkeypatch.setattr(receiver.pool, "region", refuse)
    arrived = receiver.take(*place)

    assert bytes(arrived) == data(UNIT).tobytes()
    assert states(sender) == [FREE]


def test_threads_that_send_at_once_never_get_the_same_block(pool: Pool):
    sender, receiver = process(pool, 0), process(pool, 1)
    wrong: list[int] = []

    def work(seed: int) -> None:
        for turn in range(50):
            array = data(70_000 + 100 * seed, seed * 1000 + turn)
            arrived = send(sender, receiver, array)
            if arrived is None or not np.array_equal(arrived, array):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not wrong
    assert len(states(sender)) <= 8


@pytest.mark.parametrize("length", [1, UNIT, UNIT + 1, 5 * UNIT, 100_000, 10**6, 10**7, 10**9, 3 * 2**30])
def test_a_block_is_little_larger_than_what_it_holds(length: int):
    assert length <= capacity(length) <= max(UNIT, 1.25 * length + UNIT)
    assert capacity(capacity(length)) == capacity(length)
    assert capacity(length) % UNIT == 0


class Traffic(RuleBasedStateMachine):
    """Three processes send to each other, keep, drop and die; every array stays what it was."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = Pool.make(8 * MB)
        self.numbers = iter(range(3, 1000))
        self.arenas = [process(self.pool, number) for number in range(3)]
        self.kept: list[tuple[Arena, Any, int, int]] = []
        self.coming: list[tuple[Arena, Any, int, int]] = []

    @rule(who=st.permutations([0, 1, 2]), size=st.integers(UNIT, 20 * UNIT), seed=st.integers(0, 9))
    def send(self, who: list[int], size: int, seed: int) -> None:
        sender, receiver = self.arenas[who[0]], self.arenas[who[1]]
        place = put(sender, receiver.number, data(size, seed))
        if place is not None:
            self.coming.append((receiver, place, size, seed))

    @precondition(lambda self: self.coming)
    @rule(index=st.integers(0))
    def arrive(self, index: int) -> None:
        receiver, place, size, seed = self.coming.pop(index % len(self.coming))
        self.kept.append((receiver, receiver.take(*place), size, seed))

    @precondition(lambda self: self.kept)
    @rule(index=st.integers(0))
    def drop(self, index: int) -> None:
        self.kept.pop(index % len(self.kept))

    @rule(index=st.integers(0, 2))
    def die(self, index: int) -> None:
        dead = self.arenas[index]
        dead.forks += 1  # its arrays do nothing any more
        self.kept = [row for row in self.kept if row[0] is not dead]
        self.coming = [row for row in self.coming if row[0] is not dead]
        number = next(self.numbers)
        self.arenas[index] = process(self.pool, number)
        for arena in self.arenas:
            arena.died(dead.number)

    @invariant()
    def all_is_what_it_was(self) -> None:
        for _, array, size, seed in self.kept:
            assert np.array_equal(array, data(size, seed))
        assert self.pool.measure() <= 8 * MB + UNIT * len(self.arenas) * 3

    def teardown(self) -> None:
        self.coming = [row for row in self.coming if row[0] in self.arenas]
        for receiver, place, size, seed in self.coming:
            assert np.array_equal(receiver.take(*place), data(size, seed))
        self.coming.clear()
        self.kept.clear()
        for arena in self.arenas:
            assert all(state <= EMPTY for state in states(arena)), "everything was dropped"
            arena.trim()
        os.close(self.pool.fd)


TestTraffic = Traffic.TestCase
TestTraffic.settings = settings(max_examples=25, stateful_step_count=30)


def test_the_state_says_with_whom_a_block_is():
    assert len({in_flight(0), held(0), in_flight(1), held(1), FREE, EMPTY}) == 6
