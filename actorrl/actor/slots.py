"""The nursery's part in the pool: who gets which slot, and what becomes of the memory of the dead.

    nursery ──► Slots.take at a spawn, gone at a death, told when a process says something of a share
                  │
                  └──► holdings.py decides which shares are free; here their blocks are

A slot is given away again when nobody alive has anything in it.
"""

from __future__ import annotations

from typing import Any

from .holdings import Holdings, Key
from .pool import EMPTY, FREE, NOBODY, SHARED, SLOTS, Pool, Region, holder
from .registry import DRIVER

__all__ = ["Slots"]


class Slots:
    """See the module.

    Args:
        fd: the descriptor of the pool; -1 where there is none.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._pool: Pool | None = None
        self._holdings = Holdings(DRIVER)
        self._of: dict[int, int] = {}
        self._unused: list[int] = []
        self._left: set[int] = set()
        """Slots whose process has ended and in which somebody may still have something."""
        if fd >= 0:
            try:
                self._pool = Pool(fd)
                self._left |= set(range(1, self._pool.slots))  # of processes that an earlier nursery had
            except (OSError, ValueError):
                self.fd = -1

    def take(self, process: int) -> int:
        """A slot for a new process; -1 if there is none: it sends its arrays through the socket."""
        self._holdings.join(process)
        if self._pool is None:
            return -1
        self._sweep()
        if self._unused:
            slot = self._unused.pop()
        elif self._pool.slots < SLOTS:
            slot = self._pool.slots
        else:
            return -1
        self._of[process] = slot
        self._pool.own(slot, process)
        return slot

    def gone(self, process: int) -> None:
        """A process has ended."""
        freed = self._holdings.gone(process)
        slot = self._of.pop(process, None)
        if slot is not None:
            self._left.add(slot)
        self._free(freed)
        self._sweep()

    def told(self, process: int, what: str, *args: Any) -> None:
        """A process says something of a share: a method of `Holdings` with its arguments."""
        self._free(getattr(self._holdings, what)(process, *args))

    def _free(self, keys: list[Key]) -> None:
        if self._pool is None:
            return
        for slot, block in keys:
            region = Region(self._pool, slot)  # not kept: our children would inherit a descriptor for each
            if region.words[block] != SHARED:
                continue
            if slot in self._left:
                region.free(block)
            else:
                region.words[block] = FREE  # its owner will use it again

    def _sweep(self) -> None:
        """Free what the dead have left to the dead, and give away the slots where nothing else is."""
        if self._pool is None:
            return
        for slot in list(self._left):
            region = Region(self._pool, slot)
            left = [(block, state) for block, state in region.blocks() if state != EMPTY]
            used = [block for block, state in left if self._in_use((slot, block), state)]
            if not used:
                region.clear()
                self._left.discard(slot)
                self._unused.append(slot)
                self._pool.own(slot, NOBODY)
                continue
            for block, _ in left:
                if block not in used:
                    region.free(block)

    def _in_use(self, key: Key, state: int) -> bool:
        if state == SHARED:
            return key in self._holdings
        return state > SHARED and holder(state) in self._holdings.alive
