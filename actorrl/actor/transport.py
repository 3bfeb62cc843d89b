"""The sockets of one process. The only file that imports zmq.

Each process binds one PULL socket, its inbox, and connects one PUSH socket to every process it
talks to. Frames of one sender arrive in the order they were sent.

    this process  PUSH ──ipc──► PULL  that process
                  PULL ◄──ipc── PUSH
                   ▲ inproc: wake() interrupts whoever blocks in receive()

A lone message leaves at once. In a burst (an actor with more to answer, a caller that calls on and
on) messages to one process are held and leave together: after 128, when their sender waits for
something, or after half a millisecond, whichever comes first.

Every message ends with the key of the system (keys.py); what arrives without it is not looked at.
"""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import zmq
import zmq.backend

from .frames import BUFFERS, WAKE, pack, pack_batch
from .freight import Freight
from .keys import KEY, read_key
from .plain import FIRST, pack_plain

__all__ = ["Peer", "Transport"]

_get = zmq.backend.Socket.get  # past pyzmq's enums, which cost more than the call
_send = zmq.backend.Socket.send  # past what its own send checks for other kinds of sockets
_dumps = pickle.dumps
_EVENTS = int(zmq.EVENTS)

AT_ONCE, LARGE = 128, 64 * 1024
"""So many messages, or bytes, are held at most."""
SOON = 0.0005
"""Seconds a held message may wait."""
MOMENT = 100
"""Milliseconds of `receive_soon`."""
HURRY = 0.0001
"""A call that follows the one before within so many seconds belongs to a burst."""


class Peer:
    """The way to one other process, which definitions it has, and what is held for it.

    Whoever sends holds the lock. It is reentrant: a collection inside may run somebody's `__del__`, which may send.
    """

    __slots__ = ("burst", "frames", "gone", "held", "key", "known", "last", "lock", "process", "size", "socket", "turn")

    def __init__(self, process: int, socket: zmq.Socket[bytes] | None, key: bytes = b"") -> None:
        self.process, self.key = process, key
        self.socket: Any = socket
        self.lock = threading.RLock()
        self.known: set[str] = set()
        self.held: list[Any] = []  # frames (bytes) and plain entries (tuples)
        self.frames = 0  # how many of them are frames
        self.size = 0
        self.last = 0.0  # when the last call was sent
        self.burst = 0  # calls since their sender last waited
        self.turn = 0
        self.gone = socket is None  # closed: whoever found it before that sends nothing

    def hurried(self, turn: int) -> bool:
        """Whether the call that goes now follows others so closely that more will come. The caller has the lock."""
        if self.turn != turn:  # its sender has waited since
            self.turn, self.burst = turn, 1
            return False
        now, last = time.perf_counter(), self.last
        self.burst += 1
        self.last = now
        return self.burst > 2 and now - last < HURRY

    def flush(self, sender: int) -> None:
        """Send what is held. The caller has the lock."""
        held, frames = self.held, self.frames
        if held:
            self.held, self.frames, self.size = [], 0, 0
            if not frames:
                held.insert(0, sender)
                _send(self.socket, pack_plain(held) + self.key)
            else:
                _send(self.socket, (held[0] if len(held) == 1 else pack_batch(_runs(held, sender), sender)) + self.key)


def _runs(held: list[Any], sender: int) -> list[bytes]:
    """The frames among `held`, and the plain entries between them as one frame each."""
    frames: list[bytes] = []
    run: list[Any] = [sender]
    for item in held:
        if type(item) is tuple:
            run.append(item)
            continue
        if len(run) > 1:
            frames.append(pack_plain(run))
            run = [sender]
        frames.append(item)
    return [*frames, pack_plain(run)] if len(run) > 1 else frames


class Transport:
    """`send` from any thread; `receive` from one thread at a time (see receiver.py)."""

    def __init__(self, directory: str, number: int, freight: Freight | None = None) -> None:
        self.number = number
        self.freight = freight or Freight(None)
        self._directory, self._key = directory, read_key(directory)
        self._context = zmq.Context()
        self._inbox: zmq.Socket[bytes] = self._context.socket(zmq.PULL)
        self._inbox.setsockopt(zmq.RCVHWM, 0)
        self._inbox.setsockopt(zmq.LINGER, 0)
        self._inbox.bind("inproc://wake")
        self._path = self._address(number)
        self._inbox.bind(f"ipc://{self._path}")
        self._patience = -1
        self._recv = partial(zmq.backend.Socket.recv, self._inbox)
        self.peers: dict[int, Peer] = {}
        self._lock = threading.Lock()
        self._alarm = self._connect("inproc://wake")
        self._alarm_lock = threading.Lock()
        self._closed = False
        self.turn = 0
        self.holding = False
        self._held_something = threading.Event()
        self._flusher: threading.Thread | None = None

    def known(self, process: int) -> set[str]:
        """The keys of the definitions that `process` has."""
        return self.peer(process).known

    def send(self, process: int, frame: bytes, buffers: Sequence[Any] = (), hold: bool = False) -> None:
        """Hand a message to the socket of `process`; does not wait for it to arrive.

        With `hold` the sender says that more will follow: the message may leave with those.
        """
        peer = self.peers.get(process) or self.peer(process)
        with peer.lock:
            self.push(peer, frame, buffers, hold)

    def push(self, peer: Peer, frame: bytes, buffers: Sequence[Any] = (), hold: bool = False) -> None:
        """`send` by one who has the peer's lock."""
        if peer.gone:
            return
        if buffers:
            self._send_large(peer, frame, buffers)
        elif hold or peer.held:
            peer.held.append(frame)
            peer.frames += 1
            peer.size += len(frame)
            if not hold or len(peer.held) >= AT_ONCE or peer.size >= LARGE:
                peer.flush(self.number)
            elif not self.holding:
                self._hold()
        else:
            _send(peer.socket, frame + self._key)

    def push_call(self, peer: Peer, entry: tuple[Any, ...]) -> None:
        """The same for a call of plain values (see plain.py); held where calls follow each other closely."""
        if peer.held or peer.hurried(self.turn):
            self.push_plain(peer, entry, True)  # what follows messages that are held is held as well
        elif not peer.gone:
            _send(peer.socket, _dumps([self.number, entry], 5) + self._key)

    def push_plain(self, peer: Peer, entry: tuple[Any, ...], hold: bool) -> None:
        """The same for any message of plain values."""
        if peer.gone:
            return
        held = peer.held
        if held or hold:
            held.append(entry)
            if not hold or len(held) >= AT_ONCE:
                peer.flush(self.number)
            elif not self.holding:
                self._hold()
        else:
            _send(peer.socket, _dumps([self.number, entry], 5) + self._key)

    def send_plain(self, process: int, entry: tuple[Any, ...], hold: bool = False) -> None:
        """`push_plain` by one who has not the peer's lock."""
        peer = self.peers.get(process) or self.peer(process)
        with peer.lock:
            self.push_plain(peer, entry, hold)

    def flush(self) -> None:
        """Send all that is held: whoever sent it is about to wait."""
        self.turn += 1
        if self.holding:
            self._flush_all()

    def _flush_all(self) -> None:
        self.holding = False
        for peer in list(self.peers.values()):
            if peer.held:
                with peer.lock:
                    if not peer.gone:
                        peer.flush(self.number)

    def _hold(self) -> None:
        self.holding = True
        if self._flusher is None:
            self._flusher = threading.Thread(target=self._flush_soon, name="actorrl-flusher", daemon=True)
            self._flusher.start()
        self._held_something.set()

    def _flush_soon(self) -> None:
        """A thread: whatever is held leaves half a millisecond later at the latest."""
        while not self._closed:
            self._held_something.wait()
            self._held_something.clear()
            while self.holding and not self._closed:
                time.sleep(SOON)
                self._flush_all()

    def _send_large(self, peer: Peer, frame: bytes, buffers: Sequence[Any]) -> None:
        peer.flush(self.number)
        places, parts = self.freight.load(peer.process, buffers)
        _send(peer.socket, frame + places + self._key, zmq.SNDMORE if parts else 0)
        # Copied by zmq: the sender may change its array as soon as this returns.
        for index, part in enumerate(parts, 1):
            peer.socket.send(part, zmq.SNDMORE if index < len(parts) else 0)

    def receive(self) -> tuple[bytes | memoryview, list[Any]]:
        """The next message and its buffers; an empty one in place of what came from a stranger."""
        if self.freight.mourning:
            self._mourn()
        try:
            raw = self._recv()
        except zmq.Again:  # a wait that was short of patience is over
            self._set_patience(-1)
            raw = self._recv()
        if raw.endswith(self._key) and raw[0] == FIRST:
            return raw, []
        return self._whole(raw)

    def _whole(self, raw: bytes) -> tuple[bytes | memoryview, list[Any]]:
        """A message with the buffers that follow its first frame."""
        if raw.endswith(self._key):
            if raw[0] == FIRST:
                return raw, []  # a pickle ends before the key
            frame = memoryview(raw)[:-KEY]
            if len(frame) < 2 or not frame[1] & BUFFERS:
                return frame, []
            try:
                return frame, self.freight.unload(frame, self._part)
            except Exception:
                pass  # spoiled: what is left of it is not to be taken for the next message
        while self._inbox.getsockopt(zmq.RCVMORE):
            self._inbox.recv()
        return b"", []

    def _part(self) -> Any:
        """The next frame of a message."""
        if not self._inbox.getsockopt(zmq.RCVMORE):
            raise ValueError("a message has fewer parts than it says")
        return self._inbox.recv(copy=False).buffer

    def _mourn(self) -> None:
        """Processes have died: once nothing has come for a while, nothing of theirs will."""
        if not self._inbox.poll(int(1 + 1000 * self.freight.patience())):
            self.freight.bury()

    def receive_soon(self) -> tuple[bytes | memoryview, list[Any]] | None:
        """The same; None after a moment without any. Cheaper than `receive_within`: the socket keeps the time."""
        if self._patience < 0:
            self._set_patience(MOMENT)
        try:
            raw = self._recv()
        except zmq.Again:
            return None
        return self._whole(raw)

    def _set_patience(self, milliseconds: int) -> None:
        self._patience = milliseconds
        self._inbox.setsockopt(zmq.RCVTIMEO, milliseconds)

    def receive_within(self, timeout: float) -> tuple[bytes | memoryview, list[Any]] | None:
        """The same; None once `timeout` seconds have passed."""
        return self.receive() if self._inbox.poll(max(0, int(timeout * 1000 + 0.999))) else None

    def pending(self) -> bool:
        """Whether a message has arrived that nobody has received."""
        return bool(int(_get(self._inbox, _EVENTS)) & 1)  # POLLIN

    def wake(self) -> None:
        """Let a blocked `receive` return with a WAKE frame."""
        with self._alarm_lock:
            if not self._closed:
                self._alarm.send(pack(WAKE, 0, 0, self.number) + self._key)

    def forget(self, process: int) -> None:
        """Drop the socket to a process that has ended, and what was still on its way."""
        self.freight.died(process)
        with self._lock:
            peer = self.peers.pop(process, None)
        if peer is not None:
            with peer.lock:
                peer.gone = True
                if peer.socket is not None:
                    peer.socket.close(0)

    def close(self, linger: float) -> None:
        """Send what is queued, for at most `linger` seconds, and close every socket."""
        self.flush()
        with self._lock:
            self._closed = True
            self._held_something.set()
            peers = list(self.peers.values())
        for peer in peers:
            with peer.lock:
                peer.gone = True
                if peer.socket is not None:
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

    def peer(self, process: int) -> Peer:
        """The way to a process."""
        with self._lock:
            peer = self.peers.get(process)
            if peer is None and self._closed:
                peer = Peer(process, None)
            elif peer is None:
                peer = self.peers[process] = Peer(process, self._connect(f"ipc://{self._address(process)}"), self._key)
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
