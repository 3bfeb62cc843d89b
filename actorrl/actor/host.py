"""The actors that live in this process, each with its thread, and how they take their messages.

`post.py` puts arriving frames in; a cell's thread takes them out one at a time and answers.
An actor with a process of its own runs on the main thread; at a shared place the main thread reads
the socket and every actor has a thread of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import seeds
from .cell import Cell, Outcome
from .codec import decode
from .deaths import End
from .faults import encode_error
from .frames import DEFINES, FUNCTION, Frame
from .mailbox import Envelope
from .receiver import Waiter
from .ref import ActorRef

if TYPE_CHECKING:
    from .post import Post
    from .status import CellStatus, Page

__all__ = ["Birth", "Host", "Resident"]

LOOK = 0.0002
"""Seconds between looks at the socket while messages are queued here: to look costs as much as to handle one."""


class Birth:
    """What a CREATE message says of the new actor; its fields travel as a plain tuple."""

    __slots__ = ("cls", "name", "on_failure", "owner", "owner_process", "path", "seed")

    def __init__(self, *fields: Any) -> None:
        for key, value in zip(self.__slots__, fields, strict=True):
            setattr(self, key, value)

    cls: str
    name: str | None
    on_failure: str
    owner: int
    owner_process: int
    path: tuple[int, ...]
    seed: int


class _Arrived:
    """A body that was decoded when it arrived, because it brought definitions others may need."""

    def __init__(self, frame: Frame, buffers: list[Any], known: set[str]) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        try:
            self.value = decode(frame.data, buffers, known)
        except BaseException as error:
            self.error = error


class Resident:
    """One actor of this process."""

    def __init__(self, cell: Cell, birth: Birth, body: Any, status: CellStatus) -> None:
        self.cell, self.birth, self.body, self.status = cell, birth, body, status
        self.waiter = Waiter()
        self.running: tuple[tuple[int, int], ...] = ()
        self.method: str | None = None  # what runs
        self.cancelled: set[tuple[int, int]] = set()
        self.failures = 0
        self.looked = 0.0  # when the socket was last looked at between two messages
        self.left = False  # its owner has ended


class Host:
    """The residents of one process, and the loop that each of them runs."""

    def __init__(self, post: Post, stop_children: Callable[[Cell], None], place: int | None, page: Page) -> None:
        self._post = post
        self._stop_children = stop_children
        self._place = place
        self._page = page
        self.residents: dict[int, Resident] = {}
        self.ended: set[int] = set()
        self._early: dict[int, list[tuple[Frame, list[Any]]]] = {}
        self._born = Waiter()
        self._birth = threading.Lock()  # the actors of a place share its random generators: one constructor at a time

    # -- arriving frames, on the thread that leads ------------------------------------------------

    def create(self, frame: Frame, buffers: list[Any], fields: tuple[Any, ...]) -> None:
        """A new actor: start its thread, or wake the main thread that will be it."""
        if frame.actor in self.ended:
            return
        birth = Birth(*fields)
        ref: ActorRef[Any] = ActorRef(self._post.token, self._post.number, frame.actor, birth.cls, birth.name)
        cell = Cell(ref, birth.on_failure, birth.seed, birth.path)
        body = self._body(frame, buffers)
        resident = Resident(cell, birth, body, self._page.cell(frame.actor))
        self.residents[frame.actor] = resident
        for early, more in self._early.pop(frame.actor, ()):
            self.put(early, more)
        if self._place is None:
            self._born.done()
        else:
            threading.Thread(target=self.live, args=(resident,), name=f"actor-{birth.cls}", daemon=True).start()

    def put(self, frame: Frame, buffers: list[Any]) -> None:
        """A call or tell for an actor here."""
        resident = self.residents.get(frame.actor)
        if resident is None:
            if frame.actor in self.ended:  # the news of its end answers the call
                self._post.lost_tell(frame.actor, frame.name.decode(), frame.call_id)
            else:
                self._early.setdefault(frame.actor, []).append((frame, buffers))
            return
        name = frame.name.decode()
        body = self._body(frame, buffers)
        envelope = Envelope(frame.sender, frame.call_id, name, bool(frame.flags & FUNCTION), body)
        if not resident.cell.mailbox.put(envelope):
            self._post.refuse(frame.actor, envelope)
            return
        resident.waiter.done()

    def stop(self, actor: int) -> None:
        """Close the mailbox of an actor; it ends when what is queued has run."""
        resident = self.residents.get(actor)
        if resident is not None:
            resident.cell.mailbox.close()
            resident.waiter.done()

    def leave(self, actor: int) -> None:
        """End an actor without running what is queued: its owner is gone."""
        resident = self.residents.get(actor)
        if resident is not None:
            resident.left = True
            resident.cell.mailbox.drain()
            resident.waiter.done()
        elif actor not in self.ended:  # its owner died before it could send the constructor's arguments
            self.ended.add(actor)
            self._early.pop(actor, None)
            self._post.send_end(End(actor, "owner ended", "an actor", None, self._post.pid))

    def cancel(self, actor: int, sender: int, call_id: int) -> None:
        """A caller has given a call up."""
        resident = self.residents.get(actor)
        if resident is None or resident.cell.mailbox.cancel(sender, call_id):
            return
        if (sender, call_id) in resident.running:
            resident.cancelled.add((sender, call_id))

    def _body(self, frame: Frame, buffers: list[Any]) -> Any:
        if frame.flags & DEFINES:
            return _Arrived(frame, buffers, self._post.transport.known(frame.sender))
        return frame.data, buffers

    # -- the life of an actor, on its own thread ----------------------------------------------------

    def serve(self) -> None:
        """The main thread of the process: be the one actor, or read the socket for all of them."""
        if self._place is not None:
            self._post.receiver.until(Waiter(1 << 60))
            return
        self._post.receiver.until(self._born)
        self.live(next(iter(self.residents.values())))

    def live(self, resident: Resident) -> None:
        """Construct the object, handle messages until the mailbox closes, then end in good order."""
        end: dict[str, Any] = {"reason": "stopped"}
        exit_: SystemExit | None = None
        try:
            failed = self._construct(resident)
            if failed is not None:
                end = failed
            else:
                while self._next(resident):
                    pass
                if resident.left:
                    end = {"reason": "owner ended"}
                else:
                    self._finish(resident)
        except SystemExit as error:
            end, exit_ = {"reason": "exited", "exitcode": _exit_code(error)}, error
        self._bury(resident, end, exit_)

    def _construct(self, resident: Resident) -> dict[str, Any] | None:
        cell = resident.cell
        try:
            factory, args, kwargs = _decoded(resident.body)
            resident.body = None
            self._birth.acquire()
            cell.birth = self._birth
            try:
                seeds.reseed(cell.seed, cell.path)
                cell.construct(factory, args, kwargs)
            finally:
                cell.born()
        except BaseException as error:
            exitcode = _exit_code(error) if isinstance(error, SystemExit) else 1
            return {"reason": "constructor failed", "exitcode": exitcode, "error": encode_error(error)[0]}
        resident.status.state(2, len(cell.mailbox))
        return None

    def _next(self, resident: Resident) -> bool:
        """Handle the next message or batch. False when the mailbox is closed and empty."""
        post, cell, mailbox = self._post, resident.cell, resident.cell.mailbox
        now = time.perf_counter()
        if now - resident.looked > LOOK:
            resident.looked = now
            post.receiver.drain()  # what has arrived may cancel what is queued
        run = mailbox.take(cell.batched)
        if not run:
            post.transport.flush()
            if mailbox.closed:
                return False
            resident.waiter.again()
            if not len(mailbox) and not mailbox.closed:
                post.receiver.until(resident.waiter)
            return True
        if cell.waits and run[0].method in cell.waits:
            self._gather_more(resident, run)
        resident.running = tuple((envelope.sender, envelope.call_id) for envelope in run)
        resident.method = run[0].method
        resident.status.begin(run, len(mailbox))
        outcomes = cell.handle(run, _arguments, self._asked(resident))
        more = len(mailbox) > 0 or len(outcomes) > 1
        for outcome in outcomes:
            self._answer(resident, outcome, more)
        resident.running = ()
        resident.cancelled.clear()
        resident.status.end(len(run), len(mailbox))
        return True

    def _gather_more(self, resident: Resident, run: list[Envelope]) -> None:
        """Give a batch `max_wait` seconds to grow."""
        cell, name = resident.cell, run[0].method
        deadline = time.monotonic() + cell.waits[name]
        while len(run) < cell.batched[name] and not cell.mailbox.closed:
            joins = cell.mailbox.joinable(name)
            if joins:
                run += cell.mailbox.take({name: cell.batched[name] - len(run)})
                continue
            if joins is False or time.monotonic() >= deadline:
                return
            resident.waiter.again()
            if not len(cell.mailbox):
                self._post.receiver.until(resident.waiter, deadline)

    def _asked(self, resident: Resident) -> Callable[[Envelope], bool]:
        def asked(envelope: Envelope) -> bool:
            self._post.receiver.drain()
            return (envelope.sender, envelope.call_id) in resident.cancelled

        return asked

    def _answer(self, resident: Resident, outcome: Outcome, more: bool) -> None:
        envelope, value, error = outcome
        if envelope.call_id:
            self._post.reply(resident.cell.ref, envelope, value, error, more)
        elif error is not None:
            self.fail(resident, error)

    def fail(self, resident: Resident, error: BaseException) -> None:
        """A failure that nobody can receive: it goes to the actor's owner."""
        resident.failures += 1
        birth = resident.birth
        self._post.report(resident.cell.ref, resident.failures, error, birth)

    def _finish(self, resident: Resident) -> None:
        resident.status.state(4, 0)
        try:
            resident.cell.stopped()
        except SystemExit:
            raise
        except BaseException as error:
            self.fail(resident, error)
        self._stop_children(resident.cell)

    def _bury(self, resident: Resident, how: dict[str, Any], exit_: SystemExit | None) -> None:
        cell = resident.cell
        self.ended.add(cell.ref._actor)
        for envelope in cell.mailbox.drain():
            self._post.lost_tell(cell.ref._actor, envelope.method, envelope.call_id)
        self.residents.pop(cell.ref._actor, None)
        end = End(
            cell.ref._actor,
            cls=cell.ref._cls,
            name=cell.ref._name,
            pid=self._post.pid,
            running=resident.method if exit_ is not None else None,
            **how,
        )
        self._post.send_end(end)


def _decoded(body: Any) -> Any:
    if isinstance(body, _Arrived):
        if body.error is not None:
            raise body.error
        return body.value
    data, buffers = body
    return decode(data, buffers)


def _arguments(envelope: Envelope) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    body = _decoded(envelope.body)
    return body if envelope.function else (None, *body)


def _exit_code(error: SystemExit) -> int:
    if error.code is None:
        return 0
    return error.code if isinstance(error.code, int) else 1
