"""The way to one other process: what is held for it, and which of two ways each message takes.

push (transport.py) ──► held? ──► put ──► its number and the key ──► the door, else the socket
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from .door import WIDE, Way
from .frames import pack_batch
from .keys import KEY
from .plain import pack_plain
from .turns import TAIL

__all__ = ["Peer"]

HURRY = 0.0001
"""A call that follows the one before within so many seconds belongs to a burst."""
SHORT = WIDE - TAIL.size - KEY
"""Bytes of the longest message that goes through the door, without what stands at its end."""
_tail = TAIL.pack


class Peer:
    """See the module; and which definitions the process has.

    Whoever sends holds the lock. It is reentrant: a collection inside may run somebody's `__del__`, which may send.

    Args:
        process: where it leads.
        socket: the ZeroMQ socket that leads there; None for nowhere.
        send: sends a message by it.
        find: finds the way through the door there. OSError while there is none.
        sender: this process, and `key` that of the system: what each message ends with.
    """

    __slots__ = (
        *("burst", "frames", "gone", "held", "known", "last", "lock"),
        *("number", "process", "sender", "size", "socket", "through", "turn", "way", "_find", "_key", "_send"),
    )

    def __init__(
        self,
        process: int,
        socket: Any = None,
        send: Any = None,
        find: Any = None,
        sender: int = 0,
        key: bytes = b"",
    ) -> None:
        self.process, self.sender = process, sender
        self.socket, self._send, self._find, self._key = socket, send, find, key
        self.number = 0  # how many messages have gone
        self.way: Way | None = None
        self.through: Any = self._find_door  # sends through the door
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

    def put(self, message: bytes) -> None:
        """Send a message: through the door if it goes. The caller has the lock.

        A message that has a number must arrive, or all that follow wait for it: one that an interrupt (or a lack of
        memory) cut short is sent again, and its receiver takes the first of the two.
        """
        try:
            self.number = number = self.number + 1
            if len(message) <= SHORT:
                self.through(message + _tail(self.sender, number) + self._key)
            else:
                self._send(message + _tail(self.sender, number) + self._key)
        except BaseException as error:
            self._send(message + _tail(self.sender, self.number) + self._key)
            if not isinstance(error, OSError) or error.errno is None:  # else the door was full, or not there yet
                raise

    def put_parts(self, message: bytes, parts: Sequence[Any], send: Callable[..., Any]) -> None:
        """Send a message that further frames follow, with `send(frame, more)`. The caller has the lock."""
        self.number += 1
        left = len(parts)
        try:
            send(message + _tail(self.sender, self.number) + self._key, True)
            for part in parts:
                left -= 1
                send(part, left > 0)
        except BaseException:
            for rest in range(left, 0, -1):
                send(b"", rest > 1)  # spoiled, but it ends
            raise

    def _find_door(self, message: bytes) -> None:
        self.way = self._find()
        self.through = self.way.send
        self.through(message)

    def close(self, linger: float) -> None:
        """Send nothing more. The caller has the lock."""
        self.gone = True
        if self.socket is not None:
            self.socket.close(int(linger * 1000))
        if self.way is not None:
            self.way.close()

    def flush(self) -> None:
        """Send what is held. The caller has the lock."""
        held, frames, sender = self.held, self.frames, self.sender
        if held:
            if not frames:
                message = pack_plain([sender, *held])
            else:
                message = held[0] if len(held) == 1 else pack_batch(_runs(held, sender), sender)
            before = self.number
            try:
                self.held, self.frames, self.size = [], 0, 0
                self.put(message)
            except BaseException:
                if self.number == before:  # it has not left
                    self.held, self.frames = held + self.held, frames + self.frames
                raise


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
