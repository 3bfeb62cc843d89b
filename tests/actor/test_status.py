"""The status page: what an actor writes is what the nursery reads, also when the page is full."""

from __future__ import annotations

import mmap
import time
from collections.abc import Iterator

import pytest

from actorrl.actor import status
from actorrl.actor.mailbox import Envelope
from actorrl.actor.status import SIZE, Page, read, read_started


@pytest.fixture
def memory() -> Iterator[mmap.mmap]:
    yield mmap.mmap(-1, SIZE)


def envelope(sender: int = 1, call_id: int = 1, method: str = "add") -> Envelope:
    return Envelope(sender, call_id, method, False, None)


def test_an_empty_page_says_nothing(memory: mmap.mmap):
    assert read(memory, 1) is None
    assert read_started(memory, 1) == {}


def test_states_queues_and_counts_are_read_back(memory: mmap.mmap):
    cell = Page(memory).cell(7)
    assert read(memory, 7)[:4] == ("starting", 0, 0, 0.0)
    cell.state(2, 5)
    assert read(memory, 7)[:3] == ("idle", 5, 0)
    cell.begin(envelope(), 4, time.monotonic_ns())
    reading = read(memory, 7)
    assert (reading.state, reading.queue, reading.running) == ("running", 4, "add")
    cell.end(1, 4)
    reading = read(memory, 7)
    assert (reading.state, reading.handled, reading.running) == ("idle", 1, None)
    assert 0 < reading.busy <= 1
    cell.state(4, 0)
    assert read(memory, 7).state == "stopping"


def test_the_cells_of_a_place_are_apart(memory: mmap.mmap):
    page = Page(memory)
    first, second = page.cell(3), page.cell(4)
    first.begin(envelope(method="one"), 1, time.monotonic_ns())
    second.begin(envelope(method="two"), 2, time.monotonic_ns())

    assert [(read(memory, actor).running, read(memory, actor).queue) for actor in (3, 4)] == [("one", 1), ("two", 2)]
    assert read(memory, 5) is None


@pytest.mark.parametrize("name", ["a", "x" * 87, "x" * 500, "ü" * 60, "方法" * 40], ids=len)
def test_a_long_name_is_cut_and_harms_nobody(memory: mmap.mmap, name: str):
    page = Page(memory)
    first, second = page.cell(1), page.cell(2)
    second.state(2, 9)
    first.begin(envelope(method=name), 0, time.monotonic_ns())

    assert name.startswith(read(memory, 1).running.rstrip("\N{REPLACEMENT CHARACTER}"))
    assert len(read(memory, 1).running) >= min(len(name), 26)
    assert read(memory, 2).queue == 9


def test_the_last_call_that_began_is_kept_per_caller(memory: mmap.mmap):
    page = Page(memory)
    first, second = page.cell(1), page.cell(2)
    for one in (envelope(10, 1), envelope(10, 2), envelope(11, 5)):
        first.begin(one, 0, time.monotonic_ns())
    first.begin(envelope(10, 9), 0, time.monotonic_ns())
    second.begin(envelope(10, 3), 0, time.monotonic_ns())

    assert read_started(memory, 1) == {10: 9, 11: 5}
    assert read_started(memory, 2) == {10: 3}
    assert read_started(memory, 3) == {}


def test_tells_leave_no_trace_among_the_callers(memory: mmap.mmap):
    Page(memory).cell(1).begin(envelope(10, 0), 0, time.monotonic_ns())

    assert read_started(memory, 1) == {}
    assert read(memory, 1).running == "add"


def test_numbers_beyond_32_bits_are_kept(memory: mmap.mmap):
    Page(memory).cell(2**32 - 1).begin(envelope(2**32 - 1, 2**64 - 1), 0, time.monotonic_ns())

    assert read_started(memory, 2**32 - 1) == {2**32 - 1: 2**64 - 1}


def test_more_actors_than_cells_are_counted_not_written(memory: mmap.mmap):
    page = Page(memory)
    cells = [page.cell(actor) for actor in range(1, status.CELLS + 3)]
    for cell in cells:
        cell.begin(envelope(1, 4), 1, time.monotonic_ns())
        cell.end(1, 0)

    assert read(memory, status.CELLS).handled == 1
    assert read(memory, status.CELLS + 1) is None
    assert read_started(memory, status.CELLS + 1) == {1: 4}, "its callers still have room"


def test_more_callers_than_entries_are_not_known(memory: mmap.mmap):
    cell = Page(memory).cell(1)
    for caller in range(1, status.CALLERS):
        cell.begin(envelope(caller, 1), 0, time.monotonic_ns())
    assert len(read_started(memory, 1)) == status.CALLERS - 1
    for caller in range(status.CALLERS, status.CALLERS + 3):
        cell.begin(envelope(caller, 1), 0, time.monotonic_ns())

    assert read_started(memory, 1) is None
