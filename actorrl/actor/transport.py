"""The sockets of one process. The only file that imports zmq.

Each process binds one PULL socket, its inbox, and connects one PUSH socket to every process it
talks to. Beside the inbox it has a door, where a short message is faster (door.py). Messages of one
sender arrive in the order they were sent (turns.py).

    this process  PUSH ──ipc──► PULL  that process
                  door ───────► door
                  PULL ◄──ipc── PUSH
                   ▲ inproc: wake() interrupts whoever blocks in receive()

Which messages leave together is the business of outbox.py.

Every message ends with its place in the order and the key of the system (keys.py); what arrives
without the key is not looked at.
"""

from __future__ import annotations

import select
import threading
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any, overload

import zmq
import zmq.backend

from .door import WIDE, Door, files_of, unlink
from .frames import BUFFERS, WAKE, pack
from .freight import Freight
from .keys import KEY, read_key
from .outbox import Outbox
from .peer import Peer
from .plain import FIRST
from .turns import TAIL, Turns

__all__ = ["Transport"]

_send = zmq.backend.Socket.send  # past what its own send checks for other kinds of sockets
_tail, _tail_of = TAIL.pack, TAIL.unpack_from
_NOW, _WIDE = (int(zmq.NOBLOCK),), (WIDE,)
_NOTHING: list[Any] = []
_FIRST = bytes((FIRST,))
END = TAIL.size + KEY
"""Bytes at the end of every message."""

MOMENT = 100
"""Milliseconds that a handler waits before somebody looks what for."""


class Transport(Outbox):
    """`send` from any thread; `receive` from one thread at a time (see receiver.py)."""

    def __init__(self, directory: str, number: int, freight: Freight | None = None) -> None:
        super().__init__(number)
        self.freight = freight or Freight(None)
        self._mourning = self.freight.mourning
        self._directory, self.key = directory, read_key(directory)
        self._wake = pack(WAKE, 0, 0, number) + _tail(number, 0) + self.key
        self._context = zmq.Context()
        self._inbox: zmq.Socket[bytes] = self._context.socket(zmq.PULL)
        self._inbox.setsockopt(zmq.RCVHWM, 0)
        self._inbox.setsockopt(zmq.LINGER, 0)
        self._inbox.bind("inproc://wake")
        self._files = files_of(directory, number)
        self.door = Door(self._files[1])
        self._inbox.bind(f"ipc://{self._files[0]}")
        self._turns = Turns()
        self._due, self._turn, self._early = self._turns.due, self._turns.turn, self._turns.early
        self._take = self.door.take
        self._recv = partial(zmq.backend.Socket.recv, self._inbox)
        self._got: deque[bytes] = deque()  # what was taken and not looked at: one message at most
        self.again = True
        """Whether a message is handed out again until `current` is None: where an interrupt may come at any moment, and
        to dispatch a message twice does no harm. So it is in a process without actors."""
        self.current: Any = None
        """The message that was received last, until whoever received it is done with it."""
        self._full = True  # the inbox may hold something
        self._by_door = False  # the last message came so
        self._at_door = [(self.door.fd, select.POLLIN)]
        self._poll = self._poller().poll
        self._forgotten: set[int] = set()  # dead processes, whose numbers do not come again
        self._lock = threading.Lock()
        self._alarm = self._connect("inproc://wake")
        self._alarm_lock = threading.Lock()

    def _send_large(self, peer: Peer, frame: bytes, buffers: Sequence[Any]) -> None:
        peer.flush()
        places, parts = self.freight.load(peer.process, buffers)
        if not parts:
            peer.put(frame + places)
            return
        # Copied by zmq: the sender may change its array as soon as this returns.
        peer.put_parts(frame + places, parts, lambda part, more: peer.socket.send(part, zmq.SNDMORE if more else 0))

    @overload
    def receive(self) -> tuple[bytes | memoryview, list[Any]]: ...
    @overload
    def receive(self, timeout: int | None) -> tuple[bytes | memoryview, list[Any]] | None: ...
    def receive(self, timeout: int | None = None) -> tuple[bytes | memoryview, list[Any]] | None:
        """The next message and its buffers, an empty one in place of what came from a stranger.

        None once `timeout` milliseconds have passed.
        """
        if self.current is not None:  # an interrupt came before it was done with
            return self.current  # type: ignore[no-any-return]
        got, end = self._got, time.monotonic() + timeout / 1000 if timeout else None
        while not self._due:
            if not got:
                if self._mourning and not self._full:
                    self._mourn(timeout)
                ready = self._poll(0 if self._full else timeout)
                if ready == self._at_door and not self._full:  # as nearly always
                    self._by_door = True
                    if self.again:
                        got.extend(map(self._take, _WIDE))  # one step: an interrupt finds it taken or still there
                        raw = got[0]
                    else:
                        raw = self._take(WIDE)
                    if raw[:1] == _FIRST and raw.endswith(self.key) and len(raw) > END and not self._early:
                        sender, number = _tail_of(raw, len(raw) - END)
                        if self._turn.get(sender) == number:
                            message: Any = raw, _NOTHING
                            if self.again:
                                self.current = message
                            self._turn[sender] = number + 1
                            got.clear()
                            return message  # type: ignore[no-any-return]
                    if not got:
                        got.append(raw)
                elif ready or self._full:
                    self._look(ready)
                    if end is not None:
                        timeout = max(0, int(1000 * (end - time.monotonic()) + 0.999))
                    continue
                else:
                    return None
            self._sort()
        message = self._whole(*self._due[0])
        self._due.popleft()
        return message  # type: ignore[no-any-return]

    def _sort(self) -> None:
        """Put what was taken among what is due, at once or when its turn comes."""
        raw = self._got[0]
        parts = () if self._by_door else self._parts()
        if not raw.endswith(self.key) or len(raw) <= END:
            self._due.append((b"", ()))  # a stranger's
        else:
            sender, number = _tail_of(raw, len(raw) - END)
            self._turns.admit(sender, number, (raw, parts))
        self._got.clear()

    def _look(self, ready: list[tuple[int, int]]) -> None:
        """Take what has come to the door or to the inbox, in turn where both have something."""
        at_door = False
        for fd, _ in ready:
            if fd == self.door.fd:
                at_door = True
            else:
                self._full = True
        self._by_door = at_door and not (self._full and self._by_door)
        if self._by_door:
            self._got.extend(map(self._take, _WIDE))
            return
        try:
            self._got.extend(map(self._recv, _NOW))
        except zmq.Again:
            self._full = False  # the poll tells when it changes

    def _parts(self) -> Sequence[Any]:
        """The frames that follow the first of a message in the inbox."""
        parts = []
        while self._inbox.getsockopt(zmq.RCVMORE):
            parts.append(self._inbox.recv(copy=False).buffer)
        return parts

    def _whole(self, raw: bytes, parts: Sequence[Any]) -> tuple[bytes | memoryview, list[Any]]:
        """A message with its buffers."""
        message: tuple[bytes | memoryview, list[Any]]
        if raw[:1] == _FIRST:
            message = raw, []
        else:
            frame = memoryview(raw)[:-END]
            message = frame, []
            if len(frame) >= 2 and frame[1] & BUFFERS:
                try:
                    message = frame, self.freight.unload(frame, iter(parts).__next__)
                except Exception:
                    message = b"", []  # spoiled
        if self.again:
            self.current = message
        return message

    def _mourn(self, timeout: int | None) -> None:
        """Processes have died: a while later, once there is nothing to receive, nothing of theirs will come."""
        left = self.freight.patience()
        patience = int(1 + 1000 * left) if left else 0
        if not self._poll(patience if timeout is None else min(timeout, patience)):
            self.freight.bury()

    def _poller(self) -> select.poll:
        poller = select.poll()
        poller.register(int(self._inbox.getsockopt(zmq.FD)), select.POLLIN)
        if self.door.fd >= 0:
            poller.register(self.door.fd, select.POLLIN)
        return poller

    def wake(self) -> None:
        """Let a blocked `receive` return with a WAKE frame."""
        with self._alarm_lock:
            if not self._closed:
                self._alarm.send(self._wake)

    def forget(self, process: int) -> None:
        """Drop the socket to a process that has ended, and what was still on its way."""
        self.freight.died(process)
        self._turns.ended(process)
        with self._lock:
            self._forgotten.add(process)
            peer = self.peers.pop(process, None)
        if peer is not None:
            with peer.lock:
                peer.close(0.0)

    def close(self, linger: float) -> None:
        """Send what is queued, for at most `linger` seconds, and close every socket."""
        self.flush()
        with self._lock:
            self._closed = True
            self._held_something.set()
            peers = list(self.peers.values())
        for peer in peers:
            with peer.lock:
                peer.close(linger)
        with self._alarm_lock:
            self._alarm.close(0)
        self._inbox.close(0)
        self.door.close()
        self._context.term()

    def unlink(self) -> None:
        """Remove the files of the sockets."""
        unlink(*self._files)

    def peer(self, process: int) -> Peer:
        """The way to a process."""
        with self._lock:
            peer = self.peers.get(process)
            if peer is None and (self._closed or process in self._forgotten):
                peer = Peer(process, None)
            elif peer is None:
                inbox, door = files_of(self._directory, process)
                socket = self._connect(f"ipc://{inbox}")
                peer = self.peers[process] = Peer(
                    process, socket, partial(_send, socket), partial(self.door.way, door), self.number, self.key
                )
            return peer

    def _connect(self, address: str) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(zmq.PUSH)
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.LINGER, 0)
        # A new process binds a moment after we connect; the default of 100 ms would show at every spawn.
        socket.setsockopt(zmq.RECONNECT_IVL, 1)
        socket.connect(address)
        return socket
