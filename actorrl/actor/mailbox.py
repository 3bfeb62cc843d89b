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
    """What the engine decodes into the arguments."""


class Mailbox:
    """A bounded-by-its-senders FIFO of envelopes with cancellation and batches."""

    def __init__(self) -> None:
        self._queue: deque[Envelope] = deque()
        self._cancelled: set[tuple[int, int]] = set()
        self._waiting: set[tuple[int, int]] = set()
        self.closed = False

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, envelope: Envelope) -> bool:
        """Queue an envelope. False if the mailbox is closed: it will never run."""
        if self.closed:
            return False
        self._queue.append(envelope)
        if envelope.call_id:
            self._waiting.add((envelope.sender, envelope.call_id))
        return True

    def cancel(self, sender: int, call_id: int) -> bool:
        """Withdraw a queued call. False if it is not queued (running, done or unknown)."""
        key = sender, call_id
        if key not in self._waiting:
            return False
        self._waiting.discard(key)
        self._cancelled.add(key)
        return True

    def take(self, batched: dict[str, int] | None = None) -> list[Envelope]:
        """The next envelope, or the next run of them where its method is in `batched` ({name: max size}).

        Returns:
            A list of one or more envelopes; empty if nothing is queued.
        """
        run: list[Envelope] = []
        limit = 1
        while self._queue and len(run) < limit:
            head = self._queue[0]
            if self._was_cancelled(head):
                self._queue.popleft()
                continue
            if not run:
                limit = (batched or {}).get(head.method, 1) if not head.function else 1
            elif head.function or head.method != run[0].method:
                break
            run.append(self._queue.popleft())
            self._waiting.discard((head.sender, head.call_id))
        return run

    def joinable(self, method: str) -> bool | None:
        """Whether the next envelope would join a batch of `method`; None if nothing is queued."""
        while self._queue and self._was_cancelled(self._queue[0]):
            self._queue.popleft()
        if not self._queue:
            return None
        return self._queue[0].method == method and not self._queue[0].function

    def close(self) -> None:
        """Refuse everything that is put from now on; what is queued still runs."""
        self.closed = True

    def drain(self) -> list[Envelope]:
        """Everything still queued and not cancelled, in order; the mailbox is empty and closed afterwards."""
        self.closed = True
        left = [envelope for envelope in self._queue if not self._was_cancelled(envelope)]
        self._queue.clear()
        self._waiting.clear()
        return left

    def _was_cancelled(self, envelope: Envelope) -> bool:
        if not self._cancelled or (envelope.sender, envelope.call_id) not in self._cancelled:
            return False
        self._cancelled.discard((envelope.sender, envelope.call_id))
        return True
