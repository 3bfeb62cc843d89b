"""Messages over Ray: what transport.py does with sockets, here with calls of Ray's.

    driver  ── Seat.take ──►  process      ── Seat.take ──►  process
    driver  ◄── a stream ───  process

One call of Ray's brings one message, which may hold many of ours (outbox.py). It does nothing but put it here:
whoever waits takes it, as from a socket, so that order, batches and cancelled calls are ours and not Ray's. The
driver is no actor of Ray and cannot be called: each process has a stream of its own to it.

Large arrays go beside the message, through Ray's object store where they are large enough for it. What arrives from
there is not writeable and everybody's, so it is copied; a share is not, it travels as its reference.
"""

from __future__ import annotations

import pickle
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from . import ray_cluster
from .frames import BUFFERS, WAKE, pack
from .freight import Freight, share_of
from .held import aligned_copy, hold
from .loans import ShareLease
from .outbox import Outbox
from .peer import Peer
from .registry import DRIVER
from .turns import Turns

__all__ = ["RayTransport", "StoreFreight"]

Message = tuple[int, int, bytes, Any]
"""Its sender, its number there, the frame, its large buffers."""
_BLOCK = (True,)


class StoreLease(ShareLease):
    """One share: Ray keeps its bytes as long as this is there."""

    __slots__ = ("reference",)

    def __init__(self, reference: Any, length: int) -> None:
        self.reference, self.length = reference, length

    def private(self) -> None:
        """Ray has no memory that is copied on write."""

    def __del__(self) -> None:
        pass  # Ray counts the references


class StoreFreight(Freight):
    """Shares in Ray's object store."""

    def __init__(self) -> None:
        super().__init__(None)

    def share(self, parts: Sequence[tuple[int, memoryview]], size: int) -> Any:
        import numpy as np

        flat = np.zeros(size, np.uint8)
        for offset, part in parts:
            flat[offset : offset + part.nbytes] = np.frombuffer(part, np.uint8)
        return _opened(ray_cluster.store(flat))


def _opened(reference: Any) -> Any:
    array = ray_cluster.taken(reference)
    memory = pickle.PickleBuffer(array)  # no array: numpy would pass over the Held and make that the base of its views
    return hold(memory, 0, array.nbytes, StoreLease(reference, array.nbytes))


def _packed(buffers: Sequence[Any], copy: bool) -> list[Any]:
    """The buffers of a message as Ray carries them: references of shares, and arrays of bytes."""
    import numpy as np

    packed: list[Any] = []
    for buffer in buffers:
        share = share_of(buffer)
        if isinstance(share, StoreLease):
            packed.append(share.reference)
        else:
            flat = np.frombuffer(buffer, np.uint8)
            packed.append(flat.copy() if copy else flat)
    return packed


def _unpacked(packed: Sequence[Any]) -> list[Any]:
    return [_opened(one) if ray_cluster.is_stored(one) else aligned_copy(one) for one in packed]


class RayPeer(Peer):
    """The way to one other process.

    Args:
        carry: takes a message; None for nowhere.
        later: whether it leaves later than `carry` returns, so that buffers must be copied.
    """

    __slots__ = ("_carry", "_later")

    def __init__(self, process: int, sender: int, carry: Callable[..., Any] | None, later: bool) -> None:
        super().__init__(process, None, sender=sender)
        self._carry, self._later = carry, later
        self.gone = carry is None

    def put(self, message: bytes) -> None:
        self.put_all(message, ())

    def put_all(self, message: bytes, buffers: Sequence[Any]) -> None:
        """Send a message with its buffers. The caller has the lock."""
        assert self._carry is not None
        packed = _packed(buffers, self._later) if buffers else ()
        self.number = number = self.number + 1
        try:
            self._carry(self.sender, number, message, packed)
        except BaseException:  # whose number must arrive, see peer.py; the receiver takes the first of the two
            self._carry(self.sender, number, message, packed)
            raise


class RayTransport(Outbox):
    """What transport.py's Transport is to the sockets. `receive` from one thread at a time, the rest from any.

    Args:
        number: this process.
        find: the way to carry a message to a process, or None; and whether it leaves later.
    """

    def __init__(
        self, number: int, find: Callable[[int], tuple[Callable[..., Any] | None, bool]], freight: StoreFreight
    ) -> None:
        super().__init__(number)
        self.freight = freight
        self._find = find
        self._turns = Turns()
        self._due = self._turns.due
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._got: deque[Message] = deque()
        self._wake: Message = (number, 0, pack(WAKE, 0, 0, number), ())
        self._lock = threading.Lock()
        self._forgotten: set[int] = set()
        self.again = True
        self.current: Any = None

    def deliver(self, sender: int, number: int, raw: bytes, buffers: Any) -> None:
        """A message has come."""
        self._inbox.put((sender, number, raw, buffers))

    def wake(self) -> None:
        """Let a blocked `receive` return with a WAKE frame."""
        self._inbox.put(self._wake)

    def receive(self, timeout: int | None = None) -> tuple[bytes, list[Any]] | None:
        """The next message and its buffers. None once `timeout` milliseconds have passed."""
        if self.current is not None:
            return self.current  # type: ignore[no-any-return]
        wait = (None if timeout is None else timeout / 1000,)
        while not self._due:
            if not self._got:
                try:
                    self._got.extend(map(self._inbox.get, _BLOCK, wait))  # one step: an interrupt finds it taken or not
                except queue.Empty:
                    return None
            sender, number, raw, packed = self._got[0]
            self._turns.admit(sender, number, (raw, packed))
            self._got.clear()
        raw, packed = self._due[0]
        message = raw, self._buffers(raw, packed)
        if self.again:
            self.current = message
        self._due.popleft()
        return message

    def _buffers(self, raw: bytes, packed: Any) -> list[Any]:
        if not packed or not raw[1] & BUFFERS:
            return []
        try:
            return _unpacked(packed)
        except Exception as error:  # its owner is dead: whoever decodes the message finds this, and says so
            return [error] * len(packed)

    def peer(self, process: int) -> Peer:
        with self._lock:
            peer = self.peers.get(process)
            if peer is None and (self._closed or process in self._forgotten):
                peer = Peer(process, None)
            elif peer is None:
                peer = self.peers[process] = RayPeer(process, self.number, *self._find(process))
            return peer

    def _send_large(self, peer: Peer, frame: bytes, buffers: Sequence[Any]) -> None:
        assert isinstance(peer, RayPeer)
        peer.flush()
        peer.put_all(frame, buffers)

    def forget(self, process: int) -> None:
        """Drop the way to a process that has ended."""
        self._turns.ended(process)
        with self._lock:
            self._forgotten.add(process)
            peer = self.peers.pop(process, None)
        if peer is not None:
            with peer.lock:
                peer.gone = True

    def close(self, linger: float) -> None:
        """Send what is held, and nothing after it."""
        self.flush()
        with self._lock:
            self._closed = True
            self._held_something.set()
            peers = list(self.peers.values())
        for peer in peers:
            if peer.process != DRIVER:
                with peer.lock:
                    peer.gone = True
