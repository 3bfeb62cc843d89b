"""The large buffers of messages: what goes through the pool, what through the socket.

    transport.send ──► load ──► places, and the buffers that need frames of their own
    transport.receive ──► unload ──► the buffers again, as they were

Every process has one Freight at most, joined to one pool: the driver makes it when the first share
or system needs it and keeps it from system to system; a process of actors is told at its start.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from .arena import PLACE, Arena
from .frames import sender_of
from .loans import Loans, ShareLease
from .pool import Pool

__all__ = ["Freight", "here", "join", "share_of", "use"]

_COUNT = struct.Struct("<I")
SHARED, FRAME = 1 << 31, 0xFFFFFFFF
"""In the place of a slot: of a share; none, the buffer follows as a frame of its own."""
_FRAME = PLACE.pack(FRAME, 0, 0, 0)


class Freight:
    """See the module. Without an arena every buffer is a frame of its own."""

    def __init__(self, arena: Arena | None) -> None:
        self.arena = arena
        self.loans = Loans(arena) if arena is not None else None
        self.mourning: dict[int, Any] = arena.mourning if arena is not None else {}
        """Dead processes whose last messages may still arrive."""

    def load(self, receiver: int, buffers: Sequence[Any]) -> tuple[bytes, list[Any]]:
        """Put the buffers of a message on their way: what its frame says of them, and those that go as frames."""
        arena = self.arena
        places, frames = [], []
        for buffer in buffers:
            share = share_of(buffer)
            if share is not None:
                places.append(_lend(share, receiver))
                continue
            place = arena.put(receiver, memoryview(buffer).cast("B")) if arena is not None else None
            if place is None:
                frames.append(buffer)
            places.append(PLACE.pack(*place) if place is not None else _FRAME)
        places.append(_COUNT.pack(len(buffers)))
        return b"".join(places), frames

    def unload(self, raw: bytes | memoryview, frame: Callable[[], Any]) -> list[Any]:
        """The buffers of a message that has arrived; `frame` gives the next that came as one."""
        (count,) = _COUNT.unpack_from(raw, len(raw) - _COUNT.size)
        buffers: list[Any] = []
        for index in range(count):
            place = PLACE.unpack_from(raw, len(raw) - _COUNT.size - PLACE.size * (count - index))
            if place[0] == FRAME:
                buffers.append(frame())
            elif place[0] & SHARED:
                buffers.append(self._take_share(place, sender_of(raw)))
            else:
                buffers.append(self.arena.take(*place))  # type: ignore[union-attr]
        return buffers

    def _take_share(self, place: tuple[int, int, int, int], sender: int) -> Any:
        slot, block, offset, length = place
        assert self.loans is not None
        return _open(self.loans.took((slot & ~SHARED, block), offset, length, sender))

    # -- shares ------------------------------------------------------------------------------------

    def share(self, parts: Sequence[tuple[int, memoryview]], size: int) -> Any:
        """A share of these bytes, as a `Held`. None if there is no room."""
        if self.arena is None or self.loans is None or self.arena.slot is None:
            return None
        made = self.arena.put_shared(parts, size)
        return None if made is None else _open(self.loans.hold((self.arena.slot, made[0]), made[1], size))

    # -- deaths ------------------------------------------------------------------------------------

    def died(self, process: int) -> None:
        """A process has ended."""
        if self.arena is not None:
            self.arena.died(process)

    def patience(self) -> float:
        """Seconds until the socket, if it stays empty, has nothing more from the first of the dead."""
        return max(0.0, min((end for end, _ in list(self.mourning.values())), default=0.0) - time.monotonic())

    def bury(self) -> None:
        """Nothing waits in the socket: settle what is left of those dead for long enough."""
        if self.arena is not None and self.loans is not None:
            for process in self.arena.bury():
                self.loans.mourned(process)


def _lend(share: ShareLease, receiver: int) -> bytes:
    share.loans.lend(share.key, receiver)
    slot, block = share.key
    return PLACE.pack(slot | SHARED, block, share.offset, share.length)


def _open(lease: ShareLease) -> Any:
    """The bytes of a share, not writable."""
    from .held import hold

    pool, slot = lease.loans.arena.pool, lease.key[0]
    try:
        return hold(pool.readable(slot), lease.offset, lease.length, lease)
    except (OSError, ValueError):  # no room in the address space
        return hold(bytes(pool.read(slot, lease.offset, lease.length)), 0, lease.length, lease)


def share_of(buffer: Any) -> ShareLease | None:
    """The share that a buffer is; None for any other."""
    lease = getattr(memoryview(buffer).obj, "lease", None)
    return lease if isinstance(lease, ShareLease) else None


def use(freight: Freight | None) -> None:
    """Let this process have another Freight, as a system on Ray does; None for one of its own again."""
    global _here, _pid
    _here, _pid = freight, os.getpid() if freight is not None else None


_here: Freight | None = None
_pid: int | None = None
_making = threading.Lock()


def here() -> Freight:
    """The Freight of this process; without an arena where the system has no memory to share."""
    global _here, _pid
    if _pid != os.getpid():
        with _making:
            if _pid != os.getpid():
                try:
                    _here = Freight(Arena(Pool.make(), 0, 0))  # the slot and the number of a driver
                except (OSError, AttributeError, ValueError):
                    _here = Freight(None)
                _pid = os.getpid()
    assert _here is not None
    return _here


def join(fd: int, slot: int, process: int) -> None:
    """In a process of actors, at its start: its Freight belongs to the driver's pool, if there is one."""
    global _here, _pid
    _here, _pid = Freight(None), os.getpid()
    if fd >= 0:
        try:
            _here = Freight(Arena(Pool(fd), slot if slot >= 0 else None, process))
        except (OSError, ValueError):
            return
