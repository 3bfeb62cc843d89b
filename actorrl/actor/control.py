"""The line between a process and the nursery: small messages over a socketpair, in order.

Spawns, names, ends and failures travel here, beside the sockets of the actors, so that they arrive
while a handler runs. The nursery keeps one `Line` per process; a process keeps one `Client`.
"""

from __future__ import annotations

import itertools
import pickle
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

from ..errors import ActorError

__all__ = ["Client", "Line"]

_LENGTH = struct.Struct("<I")


class Line:
    """The nursery's end. Never blocks: what a stopped process does not take waits here."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.socket = sock
        self._inbound = bytearray()
        self._outbound = bytearray()

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, *message: Any) -> None:
        """Queue a message and send what the socket takes."""
        data = pickle.dumps(message, 5)
        self._outbound += _LENGTH.pack(len(data)) + data
        self.flush()

    @property
    def waiting(self) -> int:
        """How many bytes the socket has not taken yet."""
        return len(self._outbound)

    def flush(self) -> bool:
        """Send what waits. True if nothing is left."""
        try:
            while self._outbound:
                del self._outbound[: self.socket.send(self._outbound)]
        except BlockingIOError:
            return False
        except OSError:
            self._outbound.clear()
        return True

    def receive(self) -> tuple[list[tuple[Any, ...]], bool]:
        """The messages that have arrived, and whether the other end is still there."""
        alive = True
        try:
            while True:
                data = self.socket.recv(65536)
                if not data:
                    alive = False
                    break
                self._inbound += data
        except BlockingIOError:
            pass
        except OSError:
            alive = False
        return self._whole(), alive

    def _whole(self) -> list[tuple[Any, ...]]:
        """The messages of which every byte has come."""
        messages = []
        while len(self._inbound) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._inbound)
            end = _LENGTH.size + length
            if len(self._inbound) < end:
                break
            messages.append(pickle.loads(self._inbound[_LENGTH.size : end]))
            del self._inbound[:end]
        return messages

    def close(self) -> None:
        self.socket.close()


class Client:
    """A process's end: requests with answers from any thread, and a thread that takes the news.

    Args:
        sock: this process's end of the socketpair.
        news: called with every message that is no answer, on the client's thread.
        lost: called once, when the nursery is gone.
    """

    def __init__(self, sock: socket.socket, news: Callable[..., None], lost: Callable[[], None]) -> None:
        sock.setblocking(True)
        self._socket = sock
        self._news = news
        self._lost = lost
        self._sending = threading.Lock()
        self._numbers = itertools.count(1)
        self._answers: dict[int, list[Any]] = {}
        self._alive = True
        self._thread = threading.Thread(target=self._listen, name="actorrl-control", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def send(self, *message: Any) -> None:
        """Send one way. Nothing happens where the nursery is gone."""
        data = pickle.dumps(message, 5)
        try:
            with self._sending:
                self._socket.sendall(_LENGTH.pack(len(data)) + data)
        except OSError:
            pass

    def ask(self, kind: str, *args: Any) -> Any:
        """Send a request and wait for its answer.

        Raises:
            ValueError, LookupError: what the nursery answered.
            ActorError: if the nursery dies meanwhile.
        """
        number = next(self._numbers)
        done = threading.Event()
        box: list[Any] = [done]
        self._answers[number] = box
        if self._alive:
            self.send(kind, number, *args)
        else:
            self._abandon()
        done.wait()
        self._answers.pop(number, None)
        error, value = box[1:]
        if error is not None:
            raise error
        return value

    def close(self) -> None:
        """Hang up."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(1.0)
        self._socket.close()

    def _listen(self) -> None:
        reader = self._socket.makefile("rb")
        while True:
            try:
                head = reader.read(_LENGTH.size)
                length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
                data = reader.read(length)
            except (OSError, ValueError):
                break
            if not data or len(data) < length:  # the other end is gone, perhaps in the middle of a message
                break
            message = pickle.loads(data)
            if message[0] == "answer":
                box = self._answers.get(message[1])
                if box is not None:
                    box += message[2:]
                    box[0].set()
            else:
                self._news(*message)
        self._alive = False
        self._abandon()
        self._lost()

    def _abandon(self) -> None:
        for box in list(self._answers.values()):
            if len(box) == 1:
                box += [ActorError("the process that starts and watches the actors has died"), None]
                box[0].set()
