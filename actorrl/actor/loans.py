"""What this process holds of the shares: it tells the nursery, which frees what nobody holds.

    share() ── hold ──┐        a message leaves ── lend ──┐   before the message does
    arrival ── took ──┼──► the line to the nursery ◄──────┘
    the last view is gone ── drop, by a thread of its own: an object may die in the middle of anything

A driver without a nursery has the only references and frees by itself; the next nursery hears
what is held by then.
"""

from __future__ import annotations

import mmap
import queue
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from .arena import Arena
from .holdings import Key
from .pool import FREE

__all__ = ["Loans", "ShareLease"]


class Loans:
    """See the module. Safe from any thread."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self._held: Counter[Key] = Counter()
        self._lock = threading.RLock()
        self._send: Callable[..., None] | None = None
        self._dropped: queue.SimpleQueue[Key] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def connect(self, send: Callable[..., None]) -> None:
        """There is a nursery now, reached by `send`."""
        with self._lock:
            self._send = send
            for key, count in self._held.items():
                send("share", "hold", key, count)

    def disconnect(self, coming: bool) -> None:
        """In the driver: the nursery and everybody else is gone; `coming` as in `Arena.alone`."""
        with self._lock:
            self._send = None
            self.arena.alone(set(self._held), coming)

    def hold(self, key: Key, offset: int, length: int) -> ShareLease:
        """Something was shared here."""
        self._have("hold", key)
        return ShareLease(self, key, offset, length)

    def took(self, key: Key, offset: int, length: int, sender: int) -> ShareLease:
        """A share has arrived."""
        self._have("took", key, sender)
        return ShareLease(self, key, offset, length)

    def lend(self, key: Key, receiver: int) -> None:
        """A share is about to leave in a message."""
        with self._lock:
            if self._send is not None:
                self._send("share", "lend", key, receiver)

    def mourned(self, process: int) -> None:
        """Nothing more comes from a dead process."""
        with self._lock:
            if self._send is not None:
                self._send("share", "mourned", process)

    def drop(self, key: Key) -> None:
        """A lease is over. Called from wherever an object may die."""
        self._dropped.put(key)

    def _have(self, what: str, key: Key, *args: Any) -> None:
        with self._lock:
            self._held[key] += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._drop_all, name="actorrl-shares", daemon=True)
                self._thread.start()
            if self._send is not None:
                self._send("share", what, key, *args)

    def _drop_all(self) -> None:
        while True:
            slot, block = key = self._dropped.get()
            with self._lock:
                self._held[key] -= 1
                last = not self._held[key]
                if last:
                    del self._held[key]
                if self._send is not None:
                    self._send("share", "drop", key)
                elif last:
                    region = self.arena.pool.region(slot)
                    if slot == self.arena.slot:
                        region.words[block] = FREE
                    else:
                        region.free(block)


class ShareLease:
    """One share, held until this is gone: `length` bytes at `offset` of its slot's region."""

    __slots__ = ("_forks", "key", "length", "loans", "offset")

    def __init__(self, loans: Loans, key: Key, offset: int, length: int) -> None:
        self.loans, self.key, self.offset, self.length = loans, key, offset, length
        self._forks = loans.arena.forks

    def private(self) -> mmap.mmap | None:
        """Its bytes copied on write; None where there is no room in the address space."""
        pool, (slot, _) = self.loans.arena.pool, self.key
        prot = mmap.PROT_READ | mmap.PROT_WRITE
        try:
            at = pool.start(slot) + self.offset
            return mmap.mmap(pool.fd, self.length, flags=mmap.MAP_PRIVATE, prot=prot, offset=at)
        except (OSError, ValueError):
            return None

    def __del__(self) -> None:
        if self.loans.arena.forks == self._forks:
            self.loans.drop(self.key)
