"""The order of what one process sends another on two ways, of which either may be faster. No I/O here.

Every message ends with its sender and its number there, counted from 1. What comes before its turn
is kept until the messages before it have come by the other way.

    2 ──door──────►  kept
    1 ──ZeroMQ────►  handed on, and 2 after it
"""

from __future__ import annotations

import struct
from collections import deque
from typing import Any

__all__ = ["TAIL", "Turns"]

TAIL = struct.Struct("<IQ")
"""Of a message: its sender and its number; 0 for one that stands outside the order."""
REMEMBERED = 1000
"""So many dead senders are remembered, for what of theirs is still to arrive."""


class Turns:
    """What has come from each sender; used by one thread at a time, but for `ended`."""

    def __init__(self) -> None:
        self.turn: dict[int, int] = {}
        """By sender, the number of the message whose turn it is; 1 where none has come."""
        self.early: dict[int, dict[int, Any]] = {}
        self.due: deque[Any] = deque()
        """Messages whose turn has come, in order."""
        self._ended: deque[int] = deque()

    def admit(self, sender: int, number: int, message: Any) -> None:
        """A message has come: it is due, or early and kept, or dropped where it has come before."""
        turn = self.turn.get(sender, 1)
        if number > turn:
            self.early.setdefault(sender, {})[number] = message
        elif number == turn:
            self.due.append(message)
            self.turn[sender] = turn + 1
            if sender in self.early:
                self._release(sender)
        elif not number:
            self.due.append(message)

    def _release(self, sender: int) -> None:
        early, turn = self.early[sender], self.turn[sender]
        while turn in early:
            self.due.append(early.pop(turn))
            turn += 1
        self.turn[sender] = turn
        if not early:
            del self.early[sender]

    def ended(self, sender: int) -> None:
        """A sender is dead: in a while nothing of it will come, and it is forgotten with what waits in vain."""
        self._ended.append(sender)
        while len(self._ended) > REMEMBERED:
            gone = self._ended.popleft()
            self.turn.pop(gone, None)
            self.early.pop(gone, None)
