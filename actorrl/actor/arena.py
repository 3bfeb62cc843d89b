"""Where one process puts the large buffers that it sends, and how it takes those it receives.

    sender                                     receiver
    put: copy into a block of my region  ──►   take: an array over that block, private and writable
         state: in flight to you                    state: held by you
    use it again when its state is free  ◄──   the array is gone. State: free. No message

`transport.py` asks `put` for each large buffer of a message and sends its place instead; where it
gets None the buffer travels as a frame of its own. Blocks come in classes of size and are used
again, the latest first: the page faults of fresh ones cost ten times what the copy does.

Where a user's code forks (a multiprocessing pool in an actor), parent and child see the same blocks.
What the parent held at that moment is therefore not used again while it lives.
"""

from __future__ import annotations

import os
import struct
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Any

from .pool import EMPTY, ENTRY, FREE, NOBODY, SHARED, USED, Pool, Region, capacity, held, in_flight

__all__ = ["PLACE", "SMALL", "Arena"]

PLACE = struct.Struct("<IIQQ")
"""Slot, block, offset in the region, length: where a buffer of a message lies."""
QUIET = 1.0
"""Once the socket is empty so many seconds after the death of a process, nothing more comes from it."""
SMALL = 16 * 1024
"""Fewer bytes travel faster in the message itself."""
LATEST, LOOKS = 4, 4
"""So many of the latest blocks are looked at first, and then so many of the others in turn."""
PAGE = 16 * 1024
"""Memory is taken in multiples of this, so that arrays of almost one size fit into each other's blocks."""


class _Class:
    """The blocks of one size: the latest on top, and the others, which are looked at in turn.

    Who wants a block takes it out, as no two threads can at once, and puts it back when its state says what it is
    used for. So there is nothing to lock, and a collection in the middle may run a `__del__` that sends.
    """

    __slots__ = ("latest", "others", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.latest: deque[int] = deque()
        self.others: deque[int] = deque()

    def take_out(self, words: memoryview, looks: int = LOOKS) -> int | None:
        """A free block; None if none of those looked at is."""
        for blocks, count, back in (
            (self.latest, len(self.latest), self.others),
            (self.others, min(looks, len(self.others)), self.others),
        ):
            for _ in range(count):
                try:
                    block = blocks.popleft()
                except IndexError:
                    break
                if words[block] <= EMPTY:
                    return block
                back.append(block)
        return None

    def put_back(self, block: int) -> None:
        self.latest.append(block)
        if len(self.latest) > LATEST:
            try:
                self.others.append(self.latest.popleft())
            except IndexError:
                return


class Arena:
    """See the module. Safe from any thread.

    Args:
        pool: the memory.
        slot: whose region this process allocates in; None where none was left: then it only receives.
        number: this process.
    """

    def __init__(self, pool: Pool, slot: int | None, number: int) -> None:
        self.pool, self.slot, self.number = pool, slot, number
        self.words, self.half = pool.words, pool.half
        self.forks = 0
        """How often user code has forked this process."""
        self.mourning: dict[int, tuple[float, int | None]] = {}
        """Dead processes whose last messages may still arrive: until when, and their slots."""
        self._held = held(number)
        self._lock = threading.RLock()
        self._gone = {NOBODY}
        self._regions: dict[int, Region] = {}  # of others
        self._region: Any = pool.region(slot) if slot is not None else None
        self._classes: dict[int, _Class] = {}
        self._by_length: dict[int, _Class] = {}  # some of them again
        self._places: dict[int, int] = {}  # block -> its offset
        self._filled: dict[int, int] = {}  # block -> bytes of it that have memory
        self._end = pool.table  # where the next new block begins
        _arenas.add(self)

    # -- sending -----------------------------------------------------------------------------------

    def put(self, receiver: int, view: memoryview) -> tuple[int, int, int, int] | None:
        """Copy flat bytes to where `receiver` can take them: a place. None if they are few, or there is no room."""
        length, region = len(view), self._region
        if length < SMALL or region is None:
            return None
        kind = self._by_length.get(length) or self._class_of(length)
        words, latest = region.words, kind.latest
        try:
            block = latest.pop()
        except IndexError:
            block = None
        if block is None or words[block]:
            block = self._find(kind, block)
            if block is None:
                return None
        start = self._places[block]
        if self._filled[block] >= length:
            region.bytes[start : start + length] = view
        elif self._grow(block, length):
            _write_all(self.pool.fd, view, region.start + start)
        else:
            kind.put_back(block)
            return None
        words[block] = state = 4 + 2 * receiver
        latest.append(block)
        if receiver in self._gone and words[block] == state:  # nobody will ever take it
            words[block] = FREE
            return None
        return self.slot, block, start, length  # type: ignore[return-value]

    def take_back(self, place: tuple[int, int, int, int]) -> None:
        """What was put is not sent after all."""
        self._region.words[place[1]] = FREE

    def put_shared(self, parts: Sequence[tuple[int, memoryview]], size: int) -> tuple[int, int] | None:
        """A block for a share (loans.py will free it), with each part at its place in it, and its offset."""
        region = self._region
        kind = self._class_of(size) if region is not None else None
        block = self._find(kind, None) if kind is not None else None
        if kind is None or block is None:
            return None
        start, fresh = self._places[block], self._filled[block] < size
        if fresh and not self._grow(block, size):
            kind.put_back(block)
            return None
        for at, part in parts:
            if fresh:
                _write_all(self.pool.fd, part, region.start + start + at)
            else:
                region.bytes[start + at : start + at + len(part)] = part
        self.pool.note_share()
        region.words[block] = SHARED
        kind.put_back(block)
        return block, start

    def _find(self, kind: _Class, tried: int | None) -> int | None:
        """Take out a free block; `tried` is the latest, which was taken out already."""
        words = self._region.words
        block = tried
        if tried is None or words[tried] > EMPTY:
            block = kind.take_out(words)
            if tried is not None:
                kind.put_back(tried)
        if block is None:
            block = self._new_block(kind.size)
        if block is None:
            block = kind.take_out(words, len(kind.others))
        elif words[block] == EMPTY:
            self._filled[block] = 0
        return block

    def _new_block(self, size: int) -> int | None:
        with self._lock:
            start = self._end
            if start + size > self.pool.region_size:
                return None
            self._end = start + size
            block = ENTRY * (len(self._places) + 1)
            self._places[block], self._filled[block] = start, 0
            self._region.add(block, start, size)
        return block

    def _class_of(self, length: int) -> _Class:
        size = capacity(length)
        if len(self._by_length) > 1000:
            self._by_length.clear()
        kind = self._by_length[length] = self._classes.setdefault(size, _Class(size))
        return kind

    def _grow(self, block: int, size: int) -> bool:
        """Have memory for a block. Past half of the limit what we have free pays for it first."""
        size = -(-size // PAGE) * PAGE
        if self.pool.used + size > self.pool.half:
            self.trim()
        if not self.pool.grow(self._region.start + self._places[block], size):
            self._region.free(block)
            self._filled[block] = 0
            return False
        self._filled[block] = size
        return True

    def trim(self) -> None:
        """Give the memory of our free blocks back to the system."""
        for kind in list(self._classes.values()):
            for blocks in (kind.latest, kind.others):
                for _ in range(len(blocks)):
                    try:
                        block = blocks.popleft()
                    except IndexError:
                        break
                    if self._filled[block] and self._region.words[block] <= EMPTY:
                        self._filled[block] = 0
                        self._region.free(block)
                    blocks.append(block)

    # -- receiving ---------------------------------------------------------------------------------

    def take(self, slot: int, block: int, offset: int, length: int) -> Any:
        """The buffer at a place, private and writable; its block is free when the last array over it is gone."""
        region = self._regions.get(slot) or self._map(slot)
        if region is None:
            data = self.pool.read(slot, offset, length)
            self.pool.free_unmapped(slot, block)
            return data
        if region.left:  # or is it another's now?
            region.left = self.pool.owners[slot] in self._gone
        region.words[block] = self._held
        data = _Block((length,), _byte, region.memory, offset)
        data.claim = self, region, block, self.forks
        if self.words[USED] > self.half:  # who keeps it long keeps it in memory of its own
            return _copied_out(data)
        return data

    def _map(self, slot: int) -> Region | None:
        """The region of another process; None where there is no room in the address space."""
        global _Block, _byte
        try:
            region = self._regions[slot] = self.pool.region(slot)
        except (OSError, ValueError):
            return None
        if _Block is None:
            from . import held

            _Block, _byte = held.Block, held.BYTE
        region.left = self.pool.owners[slot] in self._gone
        return region

    # -- deaths ------------------------------------------------------------------------------------

    def died(self, process: int) -> None:
        """A process has ended: what it held of ours is free, and what it sent arrives now or never."""
        self._gone.add(process)
        if self._region is not None:
            for block, state in self._region.blocks():
                if state in (in_flight(process), held(process)):
                    self._region.words[block] = FREE
        slot = self.pool.slot_of(process)
        if slot in self._regions:
            self._regions[slot].left = True
        coming = slot is not None and any(state == self._held - 1 for _, state in self._blocks(slot))
        if coming or self.pool.has_shares:
            self.mourning[process] = time.monotonic() + QUIET, slot

    def bury(self) -> list[int]:
        """The socket is empty: free what never came from those who are dead for long enough, and name them."""
        now = time.monotonic()
        over = [process for process, (end, _) in list(self.mourning.items()) if end <= now]
        for process in over:
            _, slot = self.mourning.pop(process)
            if slot is not None:
                for block, state in self._blocks(slot):
                    if state == self._held - 1:
                        self.pool.region(slot).free(block)
        return over

    def _blocks(self, slot: int) -> list[tuple[int, int]]:
        try:
            return self.pool.region(slot).blocks()
        except (OSError, ValueError):  # no room in the address space
            return []

    def alone(self, shared: set[tuple[int, int]], coming: bool) -> None:
        """Every other process is gone: only what we hold is in use, and the shares in `shared`.

        Their numbers may come again. With `coming`, messages of theirs may still be in the socket.
        """
        self._gone = {NOBODY}
        keep = {FREE, EMPTY, self._held} | ({self._held - 1} if coming else set())
        for slot in range(self.pool.slots):
            for block, state in self._blocks(slot):
                if (slot, block) not in shared if state == SHARED else state not in keep:
                    self.pool.region(slot).free(block)
            if slot != self.slot:
                if coming:
                    self.mourning[-slot] = time.monotonic() + QUIET, slot
                self.pool.own(slot, NOBODY)
                if slot in self._regions:
                    self._regions[slot].left = True


def _copied_out(data: Any) -> Any:
    from .held import aligned_copy

    try:
        copy = aligned_copy(data)
    except MemoryError:
        return data
    _, region, block, _ = data.claim
    del data.claim  # its memory stays: the sender is to use the block again at once
    region.words[block] = FREE
    return copy


def _write_all(fd: int, data: memoryview, at: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(fd, data[done:] if done else data, at + done)


_Block: Any = None  # of held.py, which imports numpy, when the first buffer arrives
_byte: Any = None
_arenas: weakref.WeakSet[Arena] = weakref.WeakSet()


def _forked() -> None:
    for arena in list(_arenas):
        arena.forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_forked)
