"""What a process tells without being asked: a page of shared memory, written before and after each message.

The actor's process writes, the nursery reads: for `actors()`, and after a death, when nobody else
could say what ran and which calls had begun.

    head: `CELLS` cells of 128 bytes, one per actor    actor, state, queue | handled, busy, born (ns), thread | running
    body: `CALLERS` entries of 16 bytes                 actor, calling process | the last call that began
"""

from __future__ import annotations

import itertools
import mmap
import struct
import sys
import time
from typing import NamedTuple

from .mailbox import Envelope

__all__ = ["SIZE", "CellStatus", "Page", "Reading", "read", "read_started"]

CELLS, CALLERS = 256, 2048
_CELL, _CALLER = 128, 16
_TAIL = CELLS * _CELL
SIZE = _TAIL + CALLERS * _CALLER
STATES = ("", "starting", "idle", "running", "stopping")
_HEAD = struct.Struct("=III4xQQQQ")
_NAME_AT, _NAME = _HEAD.size, _CELL - _HEAD.size - 1
_NOWHERE = -1
_PAIR = struct.Struct("=II")
_ENTRY = struct.Struct("=IIQ")


class Page:
    """The page of this process, and how much of it is taken."""

    def __init__(self, memory: mmap.mmap) -> None:
        self.memory = memory
        self.words = memoryview(memory).cast("Q")  # a word is written at once, and ten times faster than packed
        self.cells = 0
        self.callers = itertools.count()  # of the actors of a place, each on its thread

    def cell(self, actor: int) -> CellStatus:
        """Room for one more actor."""
        self.cells += 1
        return CellStatus(self, actor, self.cells - 1)


class Reading(NamedTuple):
    """One cell as the nursery reads it."""

    state: str
    queue: int
    handled: int
    busy: float
    running: str | None
    thread: int
    """The one that runs its handlers; 0 before it does."""


class CellStatus:
    """The writing side, one per actor. Writes nothing where the page is full."""

    def __init__(self, page: Page, actor: int, slot: int) -> None:
        self._taken = page
        self._page, self._words = page.memory, page.words
        self._actor = actor
        self._at = slot * _CELL if slot < CELLS else _NOWHERE
        self._word = self._at // 8
        # The first word of the cell, for each state: (actor, state) as two halves.
        self._states = [int.from_bytes(_PAIR.pack(actor, state), sys.byteorder) for state in range(len(STATES))]
        self._idle_now, self._busy_now = self._states[2:4]
        self._callers: dict[int, int | None] = {}
        self._handled = self._busy = 0
        self._began = 0
        self._queue = 0  # as the page has it
        self._running = ""
        if self._at != _NOWHERE:
            _HEAD.pack_into(self._page, self._at, actor, 1, 0, 0, 0, time.monotonic_ns(), 0)

    def thread(self, ident: int) -> None:
        """Note the thread that runs the handlers."""
        if self._at != _NOWHERE:
            self._words[self._word + 5] = ident

    def state(self, state: int, queue: int) -> None:
        """Note the state (an index of STATES) and the length of the queue."""
        if self._at != _NOWHERE:
            words, at = self._words, self._word
            words[at] = self._states[state]
            words[at + 1] = self._queue = queue

    def waits(self, queue: int) -> None:
        """Note the length of the queue, on any thread."""
        if self._at != _NOWHERE:
            self._words[self._word + 1] = self._queue = queue

    def begin(self, envelope: Envelope, queue: int, now: int) -> None:
        """This envelope, and a batch that it leads, begins at `now` (time.monotonic_ns)."""
        words = self._words
        if envelope.call_id:
            at = self._callers.get(envelope.sender)
            if at:
                words[at] = envelope.call_id
            else:
                self.started(envelope)
        self._began = now
        at = self._word
        if at >= 0:
            if envelope.method != self._running:
                self._name(envelope.method)
            words[at] = self._busy_now
            if queue != self._queue:
                words[at + 1] = self._queue = queue

    def _name(self, method: str) -> None:
        self._running = method
        name = method.encode()[:_NAME]
        start = self._at + _NAME_AT
        self._page[start : start + 1 + len(name)] = bytes((len(name),)) + name

    def started(self, envelope: Envelope) -> None:
        """Note that a call has begun."""
        at = self._callers.get(envelope.sender, -1)
        if at == -1:
            at = self._caller(envelope.sender)
        if at is not None:
            self._words[at] = envelope.call_id

    def end(self, count: int, queue: int) -> int:
        """They are done. The time (time.monotonic_ns)."""
        now = time.monotonic_ns()
        self._busy += now - self._began
        self._handled += count
        at = self._word
        if at >= 0:
            words = self._words
            words[at] = self._idle_now
            if queue != self._queue:
                words[at + 1] = self._queue = queue
            words[at + 2] = self._handled
            words[at + 3] = self._busy
        return now

    def _caller(self, process: int) -> int | None:
        """The word that holds the last call of a process."""
        free = next(self._taken.callers)
        word = None
        if free < CALLERS:
            at = _TAIL + free * _CALLER
            _ENTRY.pack_into(self._page, at, self._actor, process, 0)
            word = at // 8 + 1
        self._callers[process] = word
        return word


def read(page: mmap.mmap, actor: int) -> Reading | None:
    """What the page says of an actor; None if nothing."""
    for slot in range(CELLS):
        number, state, queue, handled, busy, born, thread = _HEAD.unpack_from(page, slot * _CELL)
        if number == actor:
            start = slot * _CELL + _NAME_AT
            name = page[start + 1 : start + 1 + page[start]].decode(errors="replace") if state == 3 else None
            age = max(1, time.monotonic_ns() - born)
            return Reading(STATES[state], queue, handled, min(1.0, busy / age), name, thread)
        if not number:
            break
    return None


def read_started(page: mmap.mmap, actor: int) -> dict[int, int] | None:
    """Per calling process the last call that began; None where the page could not hold them all."""
    started: dict[int, int] = {}
    for index in range(CALLERS):
        number, process, call_id = _ENTRY.unpack_from(page, _TAIL + index * _CALLER)
        if not number:
            return started
        if number == actor:
            started[process] = call_id
    return None
