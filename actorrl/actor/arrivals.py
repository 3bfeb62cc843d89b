"""What one process does with the messages that arrive, on the thread that leads.

An answer is settled first and closed then: where an interrupt comes between, it is dispatched again, and finds the
future done.

    raw ──► dispatch ──► host (a call, something for an actor here)
                └──────► ledger.close ──► Future (an answer)

The usual ones, a single call or answer of plain values, are taken first and in as few steps as can be.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .codec import decode
from .deaths import End, died
from .faults import decode_error, unreadable
from .frames import (
    ASK,
    BATCH,
    CALL,
    CANCEL,
    CREATE,
    DEFINES,
    ERROR,
    FAILURE,
    GONE,
    GROUP,
    REPLY,
    STOP,
    WAKE,
    Frame,
    split_batch,
    unpack,
)
from .ledger import Ledger
from .packing import unpack_value
from .plain import FIRST, unpack_plain

if TYPE_CHECKING:
    from .host import Host
    from .lean import Lean
    from .receiver import Receiver

__all__ = ["Arrivals"]

_loads = pickle.loads


class Arrivals:
    """The receiving half of a `Post`.

    Args:
        number: this process.
        news: sends a message to the nursery.
    """

    lean: Lean
    receiver: Receiver

    def __init__(self, number: int, news: Callable[..., None]) -> None:
        self.number, self.news = number, news
        self.host: Host | None = None
        self.ledger = Ledger()
        self._open = self.ledger.open  # the hot path enters and closes calls by itself
        self.dropped = 0
        """How many messages could not be read."""

    def known(self, process: int) -> set[str]:
        """The definitions that a process has."""
        raise NotImplementedError

    def dispatch(self, raw: bytes | memoryview, buffers: list[Any]) -> None:
        """Take one message, or many in one, as it arrived."""
        try:
            if raw[0] == FIRST:
                entries = _loads(raw)
                if len(entries) != 2 or not self._take_one(entries):
                    self._take_plain(entries)
                return
            frame = unpack(memoryview(raw))
            if frame.kind != BATCH:
                self._take(frame, buffers)
                return
            for part in split_batch(frame.data):
                if part[0] == FIRST:
                    self._take_plain(unpack_plain(part))
                else:
                    self._take(unpack(part), [])
        except Exception as error:  # whoever leads goes on, whatever arrives
            self._drop(error)

    def _take_one(self, entries: list[Any]) -> bool:
        """What most messages are, one answer or one call, without the steps that many need. False for another."""
        entry = entries[1]
        length = len(entry)
        if length == 2:
            number = entry[0]
            if number > 0:
                future = self._open.get(number)
                if future is not None:
                    future._route.take(future._mark)
                    future._settle(entry[1])
                    self._open.pop(number, None)
            else:
                self._take_packed(-number, entry[1])
            return True
        if length == 3:
            if entry[2] is True:
                self.lean.answer(entry[0], entry[1])
            else:
                self._on_credit(entry[0], entry[1])
            return True
        if length == 7:
            entry = entries[1] = self.lean.call(entry)
        return len(entry) == 4 and self.host is not None and self.host.put_one(entries[0], entry)

    def _take_plain(self, entries: list[Any]) -> None:
        """Plain values: answers and credits one by one, calls for the actors here together."""
        calls: list[Any] = []
        route, mark = None, 0
        sender = entries.pop(0)
        for entry in entries:
            length = len(entry)
            if length == 2:
                future = self._open.get(entry[0])
                if future is not None:
                    if future._route is not route:
                        if route is not None:
                            route.take(mark)
                        route = future._route
                    mark = future._mark
                    future._settle(entry[1])
                    self._open.pop(entry[0], None)
                elif entry[0] < 0:
                    self._take_packed(-entry[0], entry[1])
            elif length == 3:
                self._take_three(entry)
            elif length == 7:
                calls.append(self.lean.call(entry))
            else:
                calls.append(entry)
        if route is not None:
            route.take(mark)
        if calls:
            if self.host is not None:
                self.host.put_plain(sender, calls)
            else:
                self._drop("a call for an actor, and none lives here")

    def _take_three(self, entry: tuple[Any, ...]) -> None:
        """A credit, or an answer with an array."""
        if entry[2] is None:
            self._on_credit(entry[0], entry[1])
        else:
            self.lean.answer(entry[0], entry[1])

    def _take_packed(self, number: int, packed: Any) -> None:
        """An answer of small arrays and the like."""
        future = self._open.get(number)
        if future is not None:
            future._route.take(future._mark)
            try:
                future._settle(unpack_value(packed))
            except Exception as failure:
                future._settle(None, unreadable(future._label, failure))
            self._open.pop(number, None)

    def _on_credit(self, actor: int, mark: int) -> None:
        """An actor has taken our messages up to `mark`."""
        route = self.ledger.routes.get(actor)
        if route is None or route.actor != actor:  # of an incarnation after the first, or before the present one
            route = self.ledger.again.get(actor)
        if route is not None:
            route.take(mark)
            self.receiver.nudge()

    def _take(self, frame: Frame, buffers: list[Any]) -> None:
        kind, host = frame.kind, self.host
        if kind in (REPLY, ERROR):
            self._on_reply(frame, buffers)
        elif kind == GONE:
            self._on_gone(frame)
        elif kind == FAILURE:
            owner, key = pickle.loads(frame.name)
            self.on_failure(owner, key, bytes(frame.data))
        elif kind == WAKE:
            return
        elif host is None:
            self._drop(f"a message of kind {kind} for an actor, and none lives here")
        elif kind == CALL:
            if frame.flags & GROUP:
                host.put_group_frame(frame, buffers)
            else:
                host.put(frame, buffers)
        elif kind == CREATE:
            host.create(frame, buffers, pickle.loads(frame.name))
        elif kind == ASK:
            host.ask(frame)
        elif kind == CANCEL:
            host.cancel(frame.actor, frame.sender, frame.call_id)
        elif kind == STOP:
            host.stop(frame.actor)

    def _drop(self, why: object) -> None:
        """A message that makes no sense is counted and forgotten; the process lives on."""
        self.dropped += 1
        if self.dropped == 1:
            self.news("log", f"process {self.number} dropped a message it could not read: {why}")

    def _on_gone(self, frame: Frame) -> None:
        future = self._open.get(frame.call_id)
        if future is not None:
            end = self.ledger.ends.get(future._actor) or End(future._actor, "stopped", future._cls, None, None)
            future._settle(None, died(end, future._method, False))
            self._open.pop(frame.call_id, None)

    def _on_reply(self, frame: Frame, buffers: list[Any]) -> None:
        future = self._open.get(frame.call_id)
        known = self.known(frame.sender) if frame.flags & DEFINES else None
        if future is not None and future._route is not None:
            future._route.take(future._mark)
        if future is None and known is None:
            return  # cancelled meanwhile
        value: Any = None
        error: BaseException | None = None
        if frame.kind == ERROR:
            error = decode_error(bytes(frame.data), known)
        else:
            try:
                value = decode(frame.data, buffers, known)
            except Exception as failure:
                error = unreadable(future._label if future is not None else "a call", failure)
        if future is not None:
            future._settle(value, error)
            self._open.pop(frame.call_id, None)

    def on_failure(self, owner: int, key: Any, blob: bytes) -> None:
        """Keep a failure for the owner it was left to."""
        self.ledger.failures.add(owner, key[0], key, lambda: decode_error(blob))
