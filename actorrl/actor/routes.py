"""The way to one actor, as one process sees it: how much of what it sent has not been started yet.

The bound of a mailbox is kept by its senders. Every message to an actor has a mark, counted from 1;
the actor's process tells which mark it has taken (beside its answers, and by credits where there are
none), so whoever sends knows how many wait there without asking, until it has to wait because of a
few large ones: then it asks to be told of each. No I/O here.

    sent     1 2 3 4 5 6 7 8        marks in the order of sending
    started  1 2 3                  told by the actor's process: 4 to 8 wait, five of `limit`

A route leads to one incarnation. Where the actor is started again, its route is barred for good and
moves.py makes another, with counts of its own: whoever still holds the old one finds no room there.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from ..errors import MailboxFull

if TYPE_CHECKING:
    from .receiver import Waiter
    from .ref import ActorRef

__all__ = ["HEAVY", "PAYLOAD", "Route", "quantum", "refusal"]

PAYLOAD = 256 * 1024 * 1024
"""Bytes that may wait at an actor, of one sending process; a single larger message goes alone."""
HEAVY = 2048
"""From this many bytes a message's size is counted."""


def quantum(limit: int) -> int:
    """After how many messages an actor tells a sender that awaits no answer how far it is."""
    return max(1, limit // 8) if limit > 64 else 1


def refusal(ref: ActorRef[Any], waiting: int, limit: int, method: str, itself: bool) -> MailboxFull:
    """The error of a message that was not sent, because the mailbox is full and its sender will not wait."""
    why = "it sends to itself, and would wait for itself" if itself else "its option on_full is 'raise'"
    return MailboxFull(
        f"the mailbox of {ref!r} is full: {waiting} messages of this process wait there, {limit} may; "
        f"{method} was not sent ({why})"
    )


class Route:
    """The way to one actor. Its counts are changed under the lock of the process it leads to."""

    __slots__ = (
        *("actor", "blocked", "heavy", "limit", "on_full", "peer"),
        *("pid", "process", "ref", "refused", "sent", "started", "weight"),
    )

    def __init__(
        self,
        ref: ActorRef[Any],
        peer: Any,
        pid: int | None,
        limit: int,
        on_full: str,
        address: tuple[int, int] | None = None,
    ) -> None:
        self.ref = ref
        self.actor, self.process = address or (ref._actor, ref._process)  # of the incarnation
        self.peer = peer
        self.pid = pid
        self.limit = limit
        self.on_full = on_full
        self.sent = 0
        self.started = 0
        self.refused = -1  # what was sent and started, in sum, when a sender was last refused
        self.heavy: deque[tuple[int, int]] = deque()  # mark and bytes of the messages that have many
        self.weight = 0
        self.blocked: list[Waiter] = []  # threads that wait for room

    def full(self, size: int = 0) -> bool:
        """Whether a message of `size` bytes has to wait."""
        return self.sent - self.started >= self.limit or self.overweight(size)

    def overweight(self, size: int) -> bool:
        """Whether that is so because of the bytes, however few messages they are of."""
        return size >= HEAVY and self.weight > 0 and self.weight + size > PAYLOAD

    def stuck(self, size: int = 0) -> bool:
        """Whether it has to wait for room: not where nothing will ever go this way again."""
        return self.limit > 0 and self.full(size)

    @property
    def barred(self) -> bool:
        """Whether the incarnation is gone and the actor starts again: there is, or will be, another route."""
        return not self.limit

    def bar(self) -> None:
        """Let nobody send here any more. The caller has the lock of the process."""
        self.limit = 0
        for waiter in list(self.blocked):
            waiter.done()

    def enter(self, size: int = 0) -> int:
        """A message goes; its mark."""
        self.sent += 1
        if size >= HEAVY:
            self.heavy.append((self.sent, size))
            self.weight += size
        return self.sent

    def take(self, mark: int) -> None:
        """The actor has taken every message up to `mark`. Older news than what is known changes nothing."""
        if mark > self.started:
            self.started = mark
            while self.heavy and self.heavy[0][0] <= mark:
                self.weight -= self.heavy.popleft()[1]
            if self.blocked:
                for waiter in list(self.blocked):
                    waiter.done()

    def close(self) -> None:
        """The actor has ended: nobody waits for room any more, and learns the end."""
        self.limit = 1 << 62
        self.heavy.clear()
        self.weight = 0
        for waiter in list(self.blocked):
            waiter.done()
