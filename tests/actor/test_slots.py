"""The nursery's part in the pool: slots come back when nobody has anything in them, with their memory."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest

from actorrl.actor.arena import Arena
from actorrl.actor.pool import EMPTY, FREE, SHARED, SLOTS, UNIT, Pool, held
from actorrl.actor.slots import Slots

MB = 1 << 20


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool.make(64 * MB)
    yield pool
    os.close(pool.fd)


def born(slots: Slots, number: int) -> Arena:
    return Arena(Pool(slots.fd), slots.take(number), number)


def shared(arena: Arena) -> int:
    made = arena.put_shared([(0, memoryview(array()))], MB)
    assert made
    return made[0]


def states(arena: Arena) -> list[int]:
    return [state for _, state in arena.pool.region(arena.slot or 0).blocks()]


def array(size: int = MB) -> np.ndarray:
    return np.ones(size, np.uint8)


def test_each_process_gets_a_slot_of_its_own(pool: Pool):
    slots = Slots(pool.fd)

    assert [slots.take(number) for number in (1, 2, 3)] == [1, 2, 3]
    assert [pool.slot_of(number) for number in (0, 1, 2, 3)] == [0, 1, 2, 3]


def test_a_slot_is_used_again_with_nothing_left_in_it(pool: Pool):
    slots = Slots(pool.fd)
    first = born(slots, 1)
    first.put(1, memoryview(array()))
    slots.gone(1)

    assert pool.measure() < MB
    assert slots.take(2) == 1
    assert states(first) == []


def test_not_while_somebody_holds_something_of_it(pool: Pool):
    slots = Slots(pool.fd)
    sender, receiver = born(slots, 1), born(slots, 2)
    place = sender.put(2, memoryview(array()))
    assert place
    arrived = receiver.take(*place)
    sender.put(1, memoryview(array()))
    slots.gone(1)
    receiver.died(1)

    assert slots.take(3) == 3
    assert states(sender) == [held(2), EMPTY]
    assert arrived.sum() == MB

    del arrived
    assert pool.measure() < MB
    assert slots.take(4) == 1


def test_what_the_dead_left_to_the_dead_is_free(pool: Pool):
    slots = Slots(pool.fd)
    sender, receiver = born(slots, 1), born(slots, 2)
    sender.put(2, memoryview(array()))
    slots.gone(1)
    assert pool.measure() > MB

    slots.gone(2)

    assert pool.measure() < MB
    assert receiver.number == 2
    assert {slots.take(3), slots.take(4)} == {1, 2}


def test_a_share_outlives_its_maker_as_long_as_somebody_holds_it(pool: Pool):
    slots = Slots(pool.fd)
    maker = born(slots, 1)
    block = shared(maker)
    slots.told(1, "hold", (1, block), 1)
    slots.told(1, "lend", (1, block), 0)
    slots.gone(1)
    slots.told(0, "took", (1, block), 1)
    assert states(maker) == [SHARED]
    assert slots.take(2) == 2

    slots.told(0, "drop", (1, block))

    assert pool.measure() < MB
    assert slots.take(3) == 1


def test_a_share_that_its_maker_could_not_tell_of_is_freed_with_it(pool: Pool):
    slots = Slots(pool.fd)
    maker = born(slots, 1)
    shared(maker)

    slots.gone(1)

    assert pool.measure() < MB


def test_the_block_of_a_share_is_the_makers_again(pool: Pool):
    slots = Slots(pool.fd)
    maker = born(slots, 1)
    block = shared(maker)
    slots.told(1, "hold", (1, block), 1)
    slots.told(1, "drop", (1, block))

    assert states(maker) == [FREE]
    assert maker.put(2, memoryview(array()))
    assert len(states(maker)) == 1


def test_another_nursery_goes_on_with_what_is_left(pool: Pool):
    slots = Slots(pool.fd)
    sender, driver = born(slots, 1), Arena(pool, 0, 0)
    place = sender.put(0, memoryview(array()))
    assert place
    arrived = driver.take(*place)
    driver.alone(set(), coming=False)

    again = Slots(pool.fd)

    assert again.take(1) == 2
    del arrived
    assert again.take(2) == 1


def test_when_there_are_no_slots_left_a_process_does_without(pool: Pool):
    slots = Slots(pool.fd)
    pool.own(SLOTS - 1, 5)

    assert [slots.take(number) for number in (1, 2)] == [-1, -1]


def test_without_a_pool_there_are_none():
    slots = Slots(-1)
    assert slots.take(1) == -1
    slots.gone(1)
    slots.told(0, "drop", (0, 4))


@pytest.mark.parametrize("size", [UNIT, 100 * UNIT])
def test_the_memory_of_a_dead_process_goes_back_at_once(pool: Pool, size: int):
    slots = Slots(pool.fd)
    sender = born(slots, 1)
    for _ in range(3):
        sender.put(0, memoryview(array(size)))
    kept = pool.measure()
    slots.gone(1)

    assert pool.measure() == kept, "they are on their way to the driver"
    Arena(pool, 0, 0).alone(set(), coming=False)
    assert pool.measure() < MB
