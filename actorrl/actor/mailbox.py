"""The mailbox of one actor, without any input or output: envelopes in, batches out.

The engines put what arrives and take what to run next; nothing here blocks, sends or knows of
sockets, so property tests drive it directly. Order is arrival order, always: a batch is a run of
consecutive calls of one batched method, and nothing overtakes.

    put ──► [ e1 e2 e3 ... ] ──► take ──► handler
    cancel(e2) marks it; take skips it        close() refuses what comes later
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

__all__ = ["Envelope", "Mailbox"]


class Envelope(NamedTuple):
    """One message for an actor."""

    sender: int
    """The process that sent it."""
    call_id: int
    """The sender's number for the call; 0 for a tell."""
    method: str
    """The method's or function's name."""
    function: bool
    """Whether the body brings the function along."""
    body: Any
    """What the engine decodes into the arguments; for a message of plain values the arguments themselves."""
    plain: bool | None = False
    """Whether the body is a tuple of positional arguments that need no decoding; None for positional and named."""
    tally: Any = None
    """What counts the answers of a group call, where this message is part of one."""


class Mailbox:
    """A bounded-by-its-senders FIFO of envelopes with cancellation and batches."""

    def __init__(self) -> None:
        self.queue: deque[Envelope] = deque()
        """Open to the host, where `put` and `len(mailbox)` would be too dear."""
        self._cancelled: set[tuple[int, int]] = set()
        self._taken: dict[int, int] = {}
        self.skipped: set[int] = set()
        """Senders of cancelled calls that have left the queue; whoever tells them empties it."""
        self.closed = False

    def __len__(self) -> int:
        return len(self.queue)

    def wakes(self) -> bool:
        """Whether there is something to do: a message, or the end."""
        return bool(self.queue) or self.closed

    def put(self, envelope: Envelope) -> bool:
        """Queue an envelope. False if the mailbox is closed: it will never run."""
        if self.closed:
            return False
        self.queue.append(envelope)
        return True

    def cancel(self, sender: int, call_id: int) -> bool:
        """Withdraw a queued call. False if it is not queued (running, done or unknown)."""
        key = sender, call_id
        if not call_id or key in self._cancelled or not any(one[:2] == key for one in list(self.queue)):
            return False
        self._cancelled.add(key)
        return True

    def take_one(self) -> Envelope | None:
        """The next envelope; None if nothing is queued but what was cancelled."""
        if self._cancelled:
            return next(iter(self.take()), None)
        head = self.queue.popleft()
        self._taken[head[0]] = self._taken.get(head[0], 0) + 1
        return head

    def take(self, batched: dict[str, int] | None = None) -> list[Envelope]:
        """The next envelope, or the next run of them where its method is in `batched` ({name: max size}).

        Returns:
            A list of one or more envelopes; empty if nothing is queued.
        """
        queue = self.queue
        while queue:
            head = queue[0]
            if self._cancelled and self._was_cancelled(head):
                self.skipped.add(self._pop())
            elif batched and not head.function and head.method in batched:
                return self._take_run(head.method, batched[head.method])
            else:
                self._pop()
                return [head]
        self._cancelled.clear()  # of calls that were taken while they were being cancelled
        return []

    def _take_run(self, method: str, limit: int) -> list[Envelope]:
        run: list[Envelope] = []
        while self.queue and len(run) < limit:
            head = self.queue[0]
            cancelled = self._was_cancelled(head)
            if not cancelled and (head.function or head.method != method):
                break
            sender = self._pop()
            if cancelled:
                self.skipped.add(sender)
            else:
                run.append(head)
        return run

    def _pop(self) -> int:
        """Take the head off the queue; its sender."""
        sender = self.queue.popleft()[0]
        self._taken[sender] = self._taken.get(sender, 0) + 1
        return sender

    def taken(self, sender: int) -> int:
        """How many messages of a process have left the queue: taken, or skipped because they were cancelled."""
        return self._taken.get(sender, 0)

    def senders(self) -> list[int]:
        """The processes that have sent something that was taken."""
        return list(self._taken)

    def joinable(self, method: str) -> bool | None:
        """Whether the next envelope would join a batch of `method`; None if nothing is queued."""
        while self.queue and self._was_cancelled(self.queue[0]):
            self.skipped.add(self._pop())
        if not self.queue:
            return None
        return self.queue[0].method == method and not self.queue[0].function

    def close(self) -> None:
        """Refuse everything that is put from now on; what is queued still runs."""
        self.closed = True

    def drain(self) -> list[Envelope]:
        """Everything still queued and not cancelled, in order; the mailbox is empty and closed afterwards."""
        self.closed = True
        left = [envelope for envelope in self.queue if not self._was_cancelled(envelope)]
        while self.queue:
            self._pop()
        return left

    def _was_cancelled(self, envelope: Envelope) -> bool:
        if not self._cancelled or (envelope.sender, envelope.call_id) not in self._cancelled:
            return False
        self._cancelled.discard((envelope.sender, envelope.call_id))
        return True
