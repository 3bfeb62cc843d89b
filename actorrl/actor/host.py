"""The actors that live in this process, each with its thread, and how they take their messages.

`post.py` puts arriving frames in; a cell's thread takes them out one at a time and answers.
An actor with a process of its own runs on the main thread; at a shared place the main thread reads
the socket and every actor has a thread of its own.
"""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from . import seeds
from .cell import Cell
from .codec import decode
from .context import here
from .deaths import End, exit_code
from .faults import encode_error
from .frames import CALL, DEFINES, FUNCTION, GROUP, Frame
from .mailbox import Envelope
from .plain import is_plain
from .receiver import Waiter
from .ref import ActorRef
from .remote import function_at
from .residents import Arrived, Birth, Resident, Tally

if TYPE_CHECKING:
    from .post import Post
    from .status import Page

__all__ = ["Host"]

LOOK = 0.0002
"""Seconds between looks at the socket while messages are queued here: to look costs as much as to handle one."""


class Host:
    """The residents of one process, and the loop that each of them runs."""

    def __init__(self, post: Post, stop_children: Callable[[Cell], None], place: int | None, page: Page) -> None:
        self._post = post
        self._stop_children = stop_children
        self._place = place
        self._page = page
        self.residents: dict[int, Resident] = {}
        self.ended: set[int] = set()
        self._early: dict[int, list[tuple[Any, Any]]] = {}  # what came before its actor
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
            if isinstance(early, Frame):
                self.put(early, more)
            else:
                self.put_plain(early, (more,))
        if self._place is None:
            self._born.done()
        else:
            threading.Thread(target=self.live, args=(resident,), name=f"actor-{birth.cls}", daemon=True).start()

    def put(self, frame: Frame, buffers: list[Any], tally: Tally | None = None) -> None:
        """A call or tell for an actor here."""
        resident = self.residents.get(frame.actor)
        if resident is None:
            if frame.actor in self.ended:  # the news of its end answers the call
                self._post.lost_tell(frame.actor, frame.name.decode(), frame.call_id)
            else:
                self._early.setdefault(frame.actor, []).append((frame, buffers))
            return
        body = self._body(frame, buffers)
        name, function = frame.name.decode(), bool(frame.flags & FUNCTION)
        self._put(resident, Envelope(frame.sender, frame.call_id, name, function, body, False, tally))

    def put_plain(self, sender: int, entries: Sequence[tuple[Any, ...]]) -> None:
        """Calls and tells of plain values as they arrived: see plain.py."""
        me, touched = threading.get_ident(), None
        for entry in entries:
            actor = entry[0]
            if type(actor) is tuple:
                self._put_group(sender, *entry)
                continue
            resident = self.residents.get(actor)
            if resident is None:
                self._put_stray(sender, entry)
                continue
            envelope = _envelope(sender, entry)
            if not resident.mailbox.put(envelope):
                self._post.refuse(actor, envelope)
            elif resident is not touched and resident.thread != me:
                if touched is not None:
                    self._wake(touched)
                touched = resident  # woken when the last message of the run is there
        if touched is not None:
            self._wake(touched)

    def _put_stray(self, sender: int, entry: tuple[Any, ...]) -> None:
        """A message for an actor that is not here any more, or not yet."""
        if entry[0] in self.ended:
            self._post.lost_tell(entry[0], entry[2], entry[1])
        else:
            self._early.setdefault(entry[0], []).append((sender, entry))

    def _put_group(self, sender: int, actors: Any, numbers: Any, method: str, args: tuple[Any, ...]) -> None:
        """A call for several actors: their numbers, the calls' numbers, method, args."""
        tally = Tally(len(actors))
        for actor, number in zip(actors, numbers, strict=True):
            resident = self.residents.get(actor)
            if resident is None:
                self._put_stray(sender, (actor, number, method, args))
            else:
                self._put(resident, Envelope(sender, number, method, False, args, True, tally))

    def put_group_frame(self, frame: Frame, buffers: list[Any]) -> None:
        """The same with a body that each decodes for itself, so that nothing is shared."""
        method, actors, numbers = pickle.loads(frame.name)
        flags = frame.flags & ~(GROUP | DEFINES)
        if frame.flags & DEFINES:
            Arrived(frame, buffers, self._post.transport.known(frame.sender))  # each finds the definitions then
        tally = Tally(len(actors))
        for actor, number in zip(actors, numbers, strict=True):
            own = [bytearray(buffer) for buffer in buffers]
            self.put(Frame(CALL, flags, actor, number, frame.sender, method.encode(), frame.data), own, tally)

    def _put(self, resident: Resident, envelope: Envelope) -> None:
        if not resident.mailbox.put(envelope):
            self._post.refuse(resident.cell.ref._actor, envelope)
        elif resident.thread != threading.get_ident():  # else it has put it there itself, and will look
            self._wake(resident)

    def _wake(self, resident: Resident) -> None:
        resident.waiter.done()
        if self._place is None:
            self._post.receiver.nudge()

    def stop(self, actor: int) -> None:
        """Close the mailbox of an actor; it ends when what is queued has run."""
        resident = self.residents.get(actor)
        if resident is not None:
            resident.mailbox.close()
            resident.waiter.done()

    def leave(self, actor: int) -> None:
        """End an actor without running what is queued: its owner is gone."""
        resident = self.residents.get(actor)
        if resident is not None:
            resident.left = True
            resident.mailbox.drain()
            resident.waiter.done()
        elif actor not in self.ended:  # its owner died before it could send the constructor's arguments
            self.ended.add(actor)
            self._early.pop(actor, None)
            self._post.send_end(End(actor, "owner ended", "an actor", None, self._post.pid))

    def cancel(self, actor: int, sender: int, call_id: int) -> None:
        """A caller has given a call up."""
        resident = self.residents.get(actor)
        if resident is None or resident.mailbox.cancel(sender, call_id):
            return
        if any(envelope[:2] == (sender, call_id) for envelope in resident.run):
            resident.cancelled.add((sender, call_id))

    def _body(self, frame: Frame, buffers: list[Any]) -> Any:
        if frame.flags & DEFINES:
            return Arrived(frame, buffers, self._post.transport.known(frame.sender))
        return frame.data, buffers

    def _arguments(self, envelope: Envelope) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        """The function (None for a method), the positional and the named arguments of a message."""
        if not envelope.plain:
            body = _decoded(envelope.body)
            return body if envelope.function else (None, *body)
        if envelope.function:
            key, args = envelope.body
            return function_at(key), args, {}
        return None, envelope.body, {}

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
        resident.thread = threading.get_ident()
        here.cell, here.asked = resident.cell, partial(self._asked, resident)
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
            end, exit_ = {"reason": "exited", "exitcode": exit_code(error)}, error
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
            exitcode = exit_code(error) if isinstance(error, SystemExit) else 1
            return {"reason": "constructor failed", "exitcode": exitcode, "error": encode_error(error)[0]}
        resident.status.state(2, len(resident.mailbox))
        return None

    def _next(self, resident: Resident) -> bool:
        """Handle the next message or batch. False when the mailbox is closed and empty."""
        mailbox, cell = resident.mailbox, resident.cell
        now = time.perf_counter()
        if now - resident.looked > LOOK:
            resident.looked = now
            self._post.receiver.drain()  # what has arrived may cancel what is queued
        if not mailbox.queue:
            if mailbox.closed:
                self._post.transport.flush()
                return False
            self._await(resident)
        run = mailbox.take(cell.batched)
        if mailbox.skipped:
            self._credit_skipped(resident)
        if not run:
            return True
        first = run[0]
        if cell.waits and first.method in cell.waits:
            self._gather_more(resident, run)
        resident.run = run
        resident.status.begin(first, len(mailbox.queue))
        if cell.batched and first.method in cell.batched:
            self._run_batch(resident, run)
        else:
            if not first.call_id or resident.eager:
                self._credit(resident, first.sender)
            value, error = cell.handle(first, self._arguments)
            if self._post.transport.holding and not mailbox.queue:
                self._post.transport.flush()  # what the handler sent leaves before the answer
            self._answer(resident, first, value, error, bool(mailbox.queue))
        resident.run = ()
        resident.status.end(len(run), len(mailbox.queue))
        return True

    def _await(self, resident: Resident) -> None:
        """Return when something has come, or the mailbox was closed."""
        mailbox = resident.mailbox
        if self._place is None and self._post.receiver.lead(mailbox.wakes, None):
            resident.looked = time.perf_counter()
            return
        self._post.transport.flush()
        resident.waiter.again()
        if not mailbox.wakes():
            self._post.receiver.until(resident.waiter)

    def _run_batch(self, resident: Resident, run: list[Envelope]) -> None:
        for envelope in run:
            if envelope.call_id:
                resident.status.started(envelope)
            if not envelope.call_id or resident.eager:
                self._credit(resident, envelope.sender)
        outcomes = resident.cell.handle_batch(run, self._arguments)
        last = len(outcomes) - 1
        for index, (envelope, value, error) in enumerate(outcomes):
            self._answer(resident, envelope, value, error, index < last or bool(resident.mailbox.queue))

    def _credit(self, resident: Resident, sender: int) -> None:
        """Tell a sender, now and then, how many of its messages have been taken. An answer says it by itself."""
        taken = resident.mailbox.taken(sender)
        if taken - resident.owed.get(sender, 0) >= resident.quantum:
            resident.owed[sender] = taken
            self._post.credit(sender, resident.cell.ref._actor, taken)

    def _credit_skipped(self, resident: Resident) -> None:
        """Cancelled calls have left the queue, and no answer will say so."""
        mailbox = resident.mailbox
        while mailbox.skipped:
            sender = mailbox.skipped.pop()
            self._post.credit(sender, resident.cell.ref._actor, mailbox.taken(sender))

    def _gather_more(self, resident: Resident, run: list[Envelope]) -> None:
        """Give a batch `max_wait` seconds to grow."""
        cell, name = resident.cell, run[0].method
        deadline = time.monotonic() + cell.waits[name]
        while len(run) < cell.batched[name] and not resident.mailbox.closed:
            joins = resident.mailbox.joinable(name)
            if joins:
                run += resident.mailbox.take({name: cell.batched[name] - len(run)})
                continue
            if joins is False or time.monotonic() >= deadline:
                return
            resident.waiter.again()
            if not len(resident.mailbox):
                self._post.receiver.until(resident.waiter, deadline)

    def _asked(self, resident: Resident) -> bool:
        """Whether everybody who waits for what runs has given it up."""
        self._post.receiver.drain()
        return all(envelope[:2] in resident.cancelled for envelope in resident.run)

    def _answer(
        self, resident: Resident, envelope: Envelope, value: Any, error: BaseException | None, more: bool
    ) -> None:
        if envelope.tally is not None:
            more = envelope.tally.answered() or more
        if envelope.call_id:
            if resident.cancelled:
                resident.cancelled.discard(envelope[:2])
            if error is None and is_plain(value):
                self._post.reply_plain(envelope, value, more)
            else:
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
        for envelope in resident.mailbox.drain():
            self._post.lost_tell(cell.ref._actor, envelope.method, envelope.call_id)
        self.residents.pop(cell.ref._actor, None)
        end = End(
            cell.ref._actor,
            cls=cell.ref._cls,
            name=cell.ref._name,
            pid=self._post.pid,
            running=resident.run[0].method if exit_ is not None and resident.run else None,
            **how,
        )
        self._post.send_end(end)


_new = tuple.__new__  # half the price of calling the class


def _envelope(sender: int, entry: tuple[Any, ...]) -> Envelope:
    if len(entry) == 4:
        return _new(Envelope, (sender, entry[1], entry[2], False, entry[3], True, None))
    return _new(Envelope, (sender, entry[1], entry[2], True, (entry[4], entry[3]), True, None))


def _decoded(body: Any) -> Any:
    if isinstance(body, Arrived):
        if body.error is not None:
            raise body.error
        return body.value
    data, buffers = body
    return decode(data, buffers)
