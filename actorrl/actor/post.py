"""The messages of one process: what it sends. What it does with what arrives is in arrivals.py.

`calls.py` sends calls through it and `life.py` answers. It owns the sockets and the ledger of open calls.

    call ──► ledger.enter ──► frame ──► transport        transport ──► dispatch (arrivals.py)
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .arrays import private
from .arrivals import Arrivals
from .codec import Encoded, encode
from .engine import Call
from .faults import encode_error, error_text
from .frames import ASK, BUFFERS, CALL, DEFINES, ERROR, FAILURE, FUNCTION, GONE, GROUP, REPLY, flags_of, pack
from .future import Future
from .lean import Lean
from .mailbox import Envelope
from .packing import unpack_value
from .peer import Peer
from .receiver import Receiver
from .ref import ActorRef
from .routes import Route
from .transport import Transport

if TYPE_CHECKING:
    from .residents import Birth

__all__ = ["Post"]


class Post(Arrivals):
    """See the module.

    Args:
        transport: carries them.
        token: names the system.
        news: sends a message to the nursery.
    """

    def __init__(self, transport: Transport, token: str, news: Callable[..., None]) -> None:
        super().__init__(transport.number, news)
        self.token, self.pid = token, os.getpid()
        self._numbers = self.ledger.numbers
        self.transport = transport
        self.lean = Lean(self)
        self.receiver = Receiver(self.transport, self.dispatch, lambda: self.ledger.open)
        self._local = Peer(self.number, None)  # for the actors that live here, whom no socket leads to

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
            try:
                if peer is not self._local:
                    self.transport.push_call(peer, (route.actor, number, method, *rest))
                else:
                    self._take_plain([self.number, (route.actor, number, method, *rest)])
            except BaseException:  # an interrupt: nobody gets the future, so nobody is to hear of its end
                self._open.pop(number, None)
                raise
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

    def ask(self, route: Route) -> None:
        """Let an actor tell of each message that it takes, up to the last one sent."""
        self.post(route.process, pack(ASK, route.actor, route.sent, self.number))

    def post(self, process: int, frame: bytes, buffers: Sequence[Any] = (), hold: bool = False) -> None:
        """Send a frame to a process, this one included."""
        if process != self.number:
            self.transport.send(process, frame, buffers, hold)
        else:  # within a place: no socket, but copied all the same
            self.dispatch(frame, private(buffers))

    def known(self, process: int) -> set[str]:
        """The definitions that a process has."""
        return self.transport.known(process) if process != self.number else set()

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
