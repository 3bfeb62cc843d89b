"""The messages of one process: what it sends, and what it does with what arrives.

`processes.py` sends calls through it, `host.py` answers through it, and whoever leads the receiver
hands it each frame. It owns the sockets and the ledger of open calls.

    call ──► ledger.enter ──► frame ──► transport        transport ──► dispatch ──► host (a call)
                                                                            └─────► ledger.close ──► Future
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .arrays import private
from .codec import Encoded, decode, encode
from .deaths import End, died
from .engine import Call
from .faults import decode_error, encode_error, error_text, unreadable
from .frames import (
    BATCH,
    BUFFERS,
    CALL,
    CANCEL,
    CREATE,
    DEFINES,
    ERROR,
    FAILURE,
    FUNCTION,
    GONE,
    GROUP,
    REPLY,
    STOP,
    WAKE,
    Frame,
    flags_of,
    pack,
    split_batch,
    unpack,
)
from .freight import here
from .future import Future
from .lean import Lean
from .ledger import Ledger
from .mailbox import Envelope
from .packing import unpack_value
from .plain import FIRST, unpack_plain
from .receiver import Receiver
from .ref import ActorRef
from .routes import Route
from .transport import Peer, Transport

if TYPE_CHECKING:
    from .host import Host
    from .residents import Birth

__all__ = ["Post"]


class Post:
    """See the module.

    Args:
        directory: where the sockets of the system are.
        token: names the system.
        number: this process.
        news: sends a message to the nursery.
    """

    def __init__(self, directory: str, token: str, number: int, news: Callable[..., None]) -> None:
        self.token, self.number, self.pid = token, number, os.getpid()
        self.host: Host | None = None
        self.ledger = Ledger()
        self._open, self._numbers = self.ledger.open, self.ledger.numbers  # the hot path enters calls by itself
        self.transport = Transport(directory, number, here())
        self.lean = Lean(self)
        self.receiver = Receiver(self.transport, self.dispatch, lambda: self.ledger.open)
        self.dropped = 0
        """How many messages could not be read."""
        self.news = news
        self._local = Peer(number, None)  # for the actors that live here, whom no socket leads to

    # -- what leaves -------------------------------------------------------------------------------

    def peer(self, process: int) -> Peer:
        """The way to a process."""
        return self._local if process == self.number else self.transport.peer(process)

    def send_small(self, route: Route, future: Future[Any] | None, method: str, *rest: Any) -> bool:
        """Send plain values; with a future, open the call. False, and nothing sent, where there is no room.

        Calls are numbered in the order of sending, under the lock of the way that they go. `rest` is as in plain.py:
        the arguments, and a function's key, or packed arguments of both kinds and None.
        """
        peer = route.peer
        with peer.lock:
            if route.sent - route.started >= route.limit:
                return False
            route.sent = mark = route.sent + 1  # as _enter does for what has to be weighed
            number = 0
            if future is not None:
                future._route, future._mark = route, mark
                number = future._call_id = next(self._numbers)
                self._open[number] = future
            if peer is not self._local:
                self.transport.push_call(peer, (route.actor, number, method, *rest))
            else:
                self._take_plain([self.number, (route.actor, number, method, *rest)])
        return True

    def send_call(self, route: Route, call: Call, body: Encoded, future: Future[Any] | None) -> bool:
        """The same for any other message."""
        size = body.size
        peer = route.peer
        with peer.lock:
            if route.full(size):
                return False
            number = self._enter(route, future, size)
            flags = (FUNCTION if call.function is not None else 0) | flags_of(body)
            frame = pack(CALL, route.actor, number, self.number, call.method.encode(), body.data, flags)
            if peer is not self._local:
                self.transport.push(peer, frame, body.buffers, peer.hurried(self.transport.turn))
            else:
                self.post(self.number, frame, body.buffers)
        peer.known.update(body.defines)
        return True

    def send_group(
        self, routes: list[Route], method: str, body: tuple[Any, ...] | Encoded, futures: list[Future[Any]]
    ) -> bool:
        """One message for several actors of one process, each with its future; `body` is a tuple of plain values,
        or encoded. False, and nothing sent, where one of them has no room.
        """
        peer = routes[0].peer
        size = body.size if isinstance(body, Encoded) else 0
        with peer.lock:
            if any(route.full(size) for route in routes):
                return False
            numbers = tuple(self._enter(route, future, size) for route, future in zip(routes, futures, strict=True))
            actors = tuple(route.actor for route in routes)
            if isinstance(body, Encoded):
                name = pickle.dumps((method, actors, numbers))
                frame = pack(CALL, actors[0], 0, self.number, name, body.data, GROUP | flags_of(body))
                self.post(peer.process, frame, body.buffers)
                peer.known.update(body.defines)
            elif peer is not self._local:
                self.transport.push_plain(peer, (actors, numbers, method, body), False)
            else:
                self._take_plain([self.number, (actors, numbers, method, body)])
        return True

    def _enter(self, route: Route, future: Future[Any] | None, size: int) -> int:
        mark = route.enter(size)
        if future is None:
            return 0
        future._route, future._mark = route, mark
        return self.ledger.enter(future)

    def credit(self, sender: int, actor: int, taken: int) -> None:
        """Tell a process how many of its messages an actor here has taken."""
        if sender == self.number:
            self._on_credit(actor, taken)
        else:
            self.transport.send_plain(sender, (actor, taken, None))

    def post(self, process: int, frame: bytes, buffers: Sequence[Any] = (), hold: bool = False) -> None:
        """Send a frame to a process, this one included."""
        if process != self.number:
            self.transport.send(process, frame, buffers, hold)
        else:  # within a place: no socket, but copied all the same
            self.dispatch(frame, private(buffers))

    def known(self, process: int) -> set[str]:
        """The definitions that a process has."""
        return self.transport.known(process) if process != self.number else set()

    # -- what arrives, on the thread that leads ----------------------------------------------------

    def dispatch(self, raw: bytes | memoryview, buffers: list[Any]) -> None:
        """Take one message, or many in one, as it arrived."""
        try:
            if raw[0] == FIRST:
                self._take_one_or_many(unpack_plain(raw))
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

    def _take_one_or_many(self, entries: list[Any]) -> None:
        """What most messages are, one answer or one call, without the steps that many need."""
        if len(entries) == 2:
            entry = entries[1]
            length = len(entry)
            if length == 2:
                future = self._open.pop(entry[0], None)
                if future is not None:
                    future._route.take(future._mark)
                    future._settle(entry[1])
                    return
            elif length == 4 and self.host is not None and self.host.put_one(entries[0], entry):
                return
        self._take_plain(entries)

    def _take_plain(self, entries: list[Any]) -> None:
        """Plain values: answers and credits one by one, calls for the actors here together."""
        calls: list[Any] = []
        close, route, mark = self._open.pop, None, 0
        sender = entries.pop(0)
        for entry in entries:
            length = len(entry)
            if length == 2:
                future = close(entry[0], None)
                if future is not None:
                    if future._route is not route:
                        if route is not None:
                            route.take(mark)
                        route = future._route
                    mark = future._mark
                    future._settle(entry[1])
                elif entry[0] < 0:
                    self._take_packed(-entry[0], entry[1])
            elif length == 3:
                if entry[2] is None:
                    self._on_credit(entry[0], entry[1])
                else:
                    self.lean.answer(entry[0], entry[1])
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

    def _take_packed(self, number: int, packed: Any) -> None:
        """An answer of small arrays and the like."""
        future = self._open.pop(number, None)
        if future is not None:
            future._route.take(future._mark)
            try:
                future._settle(unpack_value(packed))
            except Exception as failure:
                future._settle(None, unreadable(future._label, failure))

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
        future = self.ledger.close(frame.call_id)
        if future is not None:
            end = self.ledger.ends.get(future._actor) or End(future._actor, "stopped", future._cls, None, None)
            future._settle(None, died(end, future._method, False))

    def _on_reply(self, frame: Frame, buffers: list[Any]) -> None:
        future = self.ledger.close(frame.call_id)
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

    # -- answers, on the thread of the actor -------------------------------------------------------

    def reply_plain(self, envelope: Envelope, value: Any, hold: bool) -> None:
        """Answer a call with a plain value; `hold` if another answer will follow."""
        if envelope.sender == self.number:
            self._settle_here(envelope.call_id, value)
            return
        peer = self.transport.peers.get(envelope.sender) or self.transport.peer(envelope.sender)
        with peer.lock:
            self.transport.push_plain(peer, (envelope.call_id, value), hold)

    def reply_packed(self, envelope: Envelope, packed: Any, hold: bool) -> None:
        """The same for a packed value (see packing.py)."""
        if envelope.sender == self.number:
            self._settle_here(envelope.call_id, unpack_value(packed))
        else:
            self.transport.send_plain(envelope.sender, (-envelope.call_id, packed), hold)

    def reply(
        self, ref: ActorRef[Any], envelope: Envelope, value: Any, error: BaseException | None, hold: bool = False
    ) -> None:
        """Answer a call with its value or its error; `hold` if another answer will follow."""
        known = self.known(envelope.sender)
        buffers: Sequence[Any] = ()
        if error is None:
            try:
                body = encode(value, known)
                kind, data, defines, buffers = REPLY, body.data, tuple(body.defines), body.buffers
            except Exception as failure:
                error = TypeError(f"the result of {ref._cls}.{envelope.method} cannot be sent: {failure}")
                error.__cause__ = failure
        if error is not None:
            kind = ERROR
            data, defines = encode_error(error, known)
        flags = (DEFINES if defines else 0) | (BUFFERS if buffers else 0)
        frame = pack(kind, ref._actor, envelope.call_id, self.number, b"", data, flags)
        self.post(envelope.sender, frame, buffers, hold)
        if defines:
            known.update(defines)

    def _settle_here(self, number: int, value: Any) -> None:
        """Answer a call that came from this process."""
        future = self.ledger.close(number)
        if future is not None:
            future._route.take(future._mark)
            future._settle(value)
            self.receiver.nudge()

    def refuse(self, actor: int, envelope: Envelope) -> None:
        """The mailbox is closed: the call fails as not started."""
        if envelope.call_id:
            self.post(envelope.sender, pack(GONE, actor, envelope.call_id, self.number))
        else:
            self.lost_tell(actor, envelope.method, 0)

    def lost_tell(self, actor: int, method: str, call_id: int) -> None:
        """A message came too late. A call is answered by the news of the end; a tell can only be logged."""
        if not call_id:
            self.news("log", f"the message {method} was not delivered: actor #{actor} has ended")

    def report(self, ref: ActorRef[Any], key: tuple[int, int], error: BaseException, birth: Birth) -> None:
        """A failure nobody can receive: log it in the driver, then do as `on_failure` says. The key is its own."""
        self.news("log", f"{ref!r} failed and nobody waits for the answer:\n{error_text(error)}")
        if birth.on_failure == "raise":
            blob, _ = encode_error(error)
            self.news("failure", birth.owner_process, birth.owner, key, blob)
            name = pickle.dumps((birth.owner, key))
            self.post(birth.owner_process, pack(FAILURE, ref._actor, 0, self.number, name, blob))
        elif birth.on_failure == "stop":
            self.news("end_owner", birth.owner)

    def on_failure(self, owner: int, key: Any, blob: bytes) -> None:
        """Keep a failure for the owner it was left to."""
        self.ledger.failures.add(owner, key[0], key, lambda: decode_error(blob))
