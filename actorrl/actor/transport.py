"""The sockets of one process. The only file that imports zmq.

Each process binds one PULL socket, its inbox, and connects one PUSH socket to every process it
talks to. Frames of one sender arrive in the order they were sent.

    this process  PUSH ──ipc──► PULL  that process
                  PULL ◄──ipc── PUSH
                   ▲ inproc: wake() interrupts whoever blocks in receive()
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any

import zmq

from .frames import WAKE, pack

__all__ = ["Transport"]


class _Peer:
    """The way to one other process, and which definitions it already has."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket
        self.lock = threading.Lock()
        self.known: set[str] = set()


class Transport:
    """`send` from any thread; `receive` from one thread at a time (see receiver.py)."""

    def __init__(self, directory: str, number: int) -> None:
        self.number = number
        self._directory = directory
        self._context = zmq.Context()
        self._inbox: zmq.Socket[bytes] = self._context.socket(zmq.PULL)
        self._inbox.setsockopt(zmq.RCVHWM, 0)
        self._inbox.setsockopt(zmq.LINGER, 0)
        self._inbox.bind("inproc://wake")
        self._path = self._address(number)
        self._inbox.bind(f"ipc://{self._path}")
        self._peers: dict[int, _Peer] = {}
        self._lock = threading.Lock()
        self._alarm = self._connect("inproc://wake")
        self._alarm_lock = threading.Lock()
        self._closed = False

    def known(self, process: int) -> set[str]:
        """The keys of the definitions that `process` has."""
        return self._peer(process).known

    def send(self, process: int, frame: bytes, buffers: Sequence[Any] = ()) -> None:
        """Hand a message to the socket of `process`; does not wait for it to arrive."""
        peer = self._peers.get(process) or self._peer(process)
        with peer.lock:
            if self._closed:
                return
            if not buffers:
                peer.socket.send(frame)
                return
            # Copied by zmq: the sender may change its array as soon as this returns.
            peer.socket.send(frame, zmq.SNDMORE)
            for buffer in buffers[:-1]:
                peer.socket.send(buffer, zmq.SNDMORE)
            peer.socket.send(buffers[-1])

    def receive(self, timeout: float | None = None) -> tuple[bytes, list[Any]] | None:
        """The next message and its buffers; None once `timeout` seconds have passed."""
        inbox = self._inbox
        if timeout is not None and not inbox.poll(max(0, int(timeout * 1000 + 0.999))):
            return None
        raw = inbox.recv()
        buffers: list[Any] = []
        while inbox.rcvmore:
            buffers.append(inbox.recv(copy=False).buffer)
        return raw, buffers

    def pending(self) -> bool:
        """Whether a message has arrived that nobody has received."""
        return bool(int(self._inbox.getsockopt(zmq.EVENTS)) & zmq.POLLIN)

    def wake(self) -> None:
        """Let a blocked `receive` return with a WAKE frame."""
        with self._alarm_lock:
            if not self._closed:
                self._alarm.send(pack(WAKE, 0, 0, self.number))

    def forget(self, process: int) -> None:
        """Drop the socket to a process that has ended, and what was still on its way."""
        with self._lock:
            peer = self._peers.pop(process, None)
        if peer is not None:
            with peer.lock:
                peer.socket.close(0)

    def close(self, linger: float) -> None:
        """Send what is queued, for at most `linger` seconds, and close every socket."""
        with self._lock:
            self._closed = True
            peers = list(self._peers.values())
        for peer in peers:
            with peer.lock:
                peer.socket.close(int(linger * 1000))
        with self._alarm_lock:
            self._alarm.close(0)
        self._inbox.close(0)
        self._context.term()

    def unlink(self) -> None:
        """Remove the socket file."""
        try:
            os.unlink(self._path)
        except OSError:
            pass

    def _peer(self, process: int) -> _Peer:
        with self._lock:
            peer = self._peers.get(process)
            if peer is None:
                peer = self._peers[process] = _Peer(self._connect(f"ipc://{self._address(process)}"))
            return peer

    def _connect(self, address: str) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(zmq.PUSH)
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.LINGER, 0)
        # A new process binds a moment after we connect; the default of 100 ms would show at every spawn.
        socket.setsockopt(zmq.RECONNECT_IVL, 1)
        socket.connect(address)
        return socket

    def _address(self, process: int) -> str:
        return os.path.join(self._directory, f"{process}.sock")
