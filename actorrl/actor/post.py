"""The messages of one process: what it sends, and what it does with what arrives.

`processes.py` sends calls through it, `host.py` answers through it, and whoever leads the receiver
hands it each frame. It owns the sockets and the ledger of open calls.

    call ──► ledger.enter ──► frame ──► transport        transport ──► dispatch ──► host (a call)
                                                                            └─────► ledger.close ──► Future
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import RemoteError
from .codec import Encoded, decode, encode
from .deaths import End, died
from .engine import Call
from .faults import decode_error, encode_error, error_text
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
    REPLY,
    STOP,
    WAKE,
    Frame,
    pack,
    split_batch,
    unpack,
)
from .future import Future
from .ledger import Ledger, method_of
from .mailbox import Envelope
from .receiver import Receiver
from .ref import ActorRef
from .transport import Transport

if TYPE_CHECKING:
    from .host import Birth, Host

__all__ = ["Post", "flags_of"]


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
        self.transport = Transport(directory, number)
        self.receiver = Receiver(self.transport, self.dispatch, lambda: self.ledger.open)
        self.dropped = 0
        """How many messages could not be read."""
        self._news = news
        self._order = threading.Lock()  # calls are numbered in the order in which they are sent

    def send_call(self, call: Call, body: Any, future: Future[Any] | None) -> None:
        """Send a message to an actor; with a future, open the call and number it in the order of sending."""
        ref = call.ref
        flags = (FUNCTION if call.function is not None else 0) | flags_of(body)
        name = call.method.encode()
        with self._order:
            number = self.ledger.enter(future) if future is not None else 0
            frame = pack(CALL, ref._actor, number, self.number, name, body.data, flags)
            if ref._process != self.number:
                self.transport.send_call(ref._process, frame, body.buffers)
            else:
                self.post(ref._process, frame, body.buffers)
        if body.defines:
            self.known(ref._process).update(body.defines)

    def post(self, process: int, frame: bytes, buffers: Sequence[Any] = (), hold: bool = False) -> None:
        """Send a frame to a process, this one included."""
        if process != self.number:
            self.transport.send(process, frame, buffers, hold)
        else:  # within a place: no socket, but copied all the same
            self.dispatch(frame, [bytearray(buffer) for buffer in buffers])

    def known(self, process: int) -> set[str]:
        """The definitions that a process has."""
        return self.transport.known(process) if process != self.number else set()

    # -- what arrives, on the thread that leads ----------------------------------------------------

    def dispatch(self, raw: bytes, buffers: list[Any]) -> None:
        """Take one message, or a batch of them, as it arrived."""
        try:
            frame = unpack(memoryview(raw))
            if frame.kind != BATCH:
                self._take(frame, buffers)
                return
            for part in split_batch(frame.data):
                self._take(unpack(part), [])
        except ValueError as error:
            self._drop(error)

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
            self._news("log", f"process {self.number} dropped a message it could not read: {why}")

    def _on_gone(self, frame: Frame) -> None:
        future = self.ledger.close(frame.call_id)
        if future is not None:
            cls = future._label.rpartition(".")[0]
            end = self.ledger.ends.get(frame.actor) or End(frame.actor, "stopped", cls, None, None)
            future._settle(None, died(end, method_of(future), False))

    def _on_reply(self, frame: Frame, buffers: list[Any]) -> None:
        future = self.ledger.close(frame.call_id)
        known = self.known(frame.sender) if frame.flags & DEFINES else None
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
                label = future._label if future is not None else "a call"
                error = RemoteError(f"the result of {label} arrived but could not be unpickled here: {failure!r}")
                error.__cause__ = failure
        if future is not None:
            future._settle(value, error)

    # -- answers, on the thread of the actor -------------------------------------------------------

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

    def refuse(self, actor: int, envelope: Envelope) -> None:
        """The mailbox is closed: the call fails as not started."""
        if envelope.call_id:
            self.post(envelope.sender, pack(GONE, actor, envelope.call_id, self.number))
        else:
            self.lost_tell(actor, envelope.method, 0)

    def lost_tell(self, actor: int, method: str, call_id: int) -> None:
        """A message came too late. A call is answered by the news of the end; a tell can only be logged."""
        if not call_id:
            self._news("log", f"the message {method} was not delivered: actor #{actor} has ended")

    def report(self, ref: ActorRef[Any], sequence: int, error: BaseException, birth: Birth) -> None:
        """A failure nobody can receive: log it in the driver, then do as `on_failure` says."""
        self._news("log", f"{ref!r} failed and nobody waits for the answer:\n{error_text(error)}")
        if birth.on_failure == "raise":
            key = ref._actor, sequence
            blob, _ = encode_error(error)
            self._news("failure", birth.owner_process, birth.owner, key, blob)
            name = pickle.dumps((birth.owner, key))
            self.post(birth.owner_process, pack(FAILURE, ref._actor, 0, self.number, name, blob))
        elif birth.on_failure == "stop":
            self._news("end_owner", birth.owner)

    def send_end(self, end: End) -> None:
        """An actor of this process has ended."""
        self._news("ended", end)

    def on_failure(self, owner: int, key: Any, blob: bytes) -> None:
        """Keep a failure for the owner it was left to."""
        self.ledger.failures.add(owner, key[0], key, lambda: decode_error(blob))


def flags_of(body: Encoded) -> int:
    """What a frame has to say of its body."""
    return (DEFINES if body.defines else 0) | (BUFFERS if body.buffers else 0)
