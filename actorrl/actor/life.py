"""How an actor lives: it is constructed, takes its messages one at a time, answers, and ends in good order.

Runs on the actor's own thread. `host.py` puts what arrives into the mailbox.

    mailbox ──take──► Cell.handle ──► answer (post.py), or its failure to the owner
       ▲ empty: read the socket, or sleep at a shared place
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from . import seeds, speech
from .cell import Cell
from .codec import decode
from .context import here
from .deaths import End, exit_code
from .faults import encode_error
from .mailbox import Envelope
from .packing import UNFIT, pack_value
from .plain import ATOMS, PLAIN, is_plain
from .remote import function_at
from .residents import Arrived, Resident

if TYPE_CHECKING:
    from .post import Post

__all__ = ["Lives"]

CONTAINERS = frozenset({tuple, list, dict})
LOOK = 200_000
"""Nanoseconds between looks at the socket while messages are queued here: to look costs as much as to handle one."""


class Lives:
    """The lives of the actors of one process.

    Args:
        post: sends the answers.
        stop_children: ends what an actor has spawned.
        place: an int where several actors share the process.
        bury: told of each that has ended.
    """

    def __init__(
        self,
        post: Post,
        stop_children: Callable[[Cell], None],
        place: int | None,
        bury: Callable[[Resident, End], None],
    ) -> None:
        self._post = post
        self._stop_children = stop_children
        self._place = place
        self._bury = bury
        self._birth = threading.Lock()  # the actors of a place share its random generators: one constructor at a time

    def live(self, resident: Resident) -> None:
        """Construct the object, handle messages until the mailbox closes, then end in good order."""
        resident.thread = threading.get_ident()
        resident.status.thread(resident.thread)
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
        speech.finish()
        self._bury(resident, self._end(resident, end, exit_))

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
        """Handle what is queued, or wait for something. False when the mailbox is closed and empty."""
        mailbox = resident.mailbox
        if time.monotonic_ns() - resident.looked > LOOK:
            self._look(resident)
        if not mailbox.queue:
            if mailbox.closed:
                self._post.transport.flush()
                return False
            self._await(resident)
            if resident.cell.batched:
                self._look(resident)  # what has come since joins the batch
        if resident.cell.batched:
            self._handle_run(resident)
        else:
            self._handle_each(resident)
        return True

    def _look(self, resident: Resident) -> None:
        """Take what has arrived: it may cancel what is queued."""
        self._post.receiver.drain()
        resident.looked = time.monotonic_ns()

    def _handle_each(self, resident: Resident) -> None:
        """Handle what is queued, one by one, until it is time to look at the socket again."""
        mailbox, status, post, transport = resident.mailbox, resident.status, self._post, self._post.transport
        queue, handle = mailbox.queue, resident.cell.handle
        now = time.monotonic_ns()
        while queue and now - resident.looked <= LOOK:
            envelope = mailbox.take_one()
            if mailbox.skipped:
                self._credit_skipped(resident)
            if envelope is None:
                break
            resident.run = (envelope,)
            status.begin(envelope, len(queue), now)
            called = envelope.call_id
            if not called or resident.eager:
                self._credit(resident, envelope.sender)
            value, error = handle(envelope, _arguments)
            if transport.holding and not queue:
                transport.flush()  # what the handler sent leaves before the answer
            if called and error is None and type(value) in ATOMS and not resident.cancelled and envelope.tally is None:
                post.reply_plain(envelope, value, bool(queue))
            elif called or error is not None:
                self._answer(resident, envelope, value, error, bool(queue))
            now = status.end(1, len(queue))
        resident.run = ()

    def _handle_run(self, resident: Resident) -> None:
        """The same where some methods are batched: one message, or one batch."""
        mailbox, cell = resident.mailbox, resident.cell
        run = mailbox.take(cell.batched)
        if mailbox.skipped:
            self._credit_skipped(resident)
        if not run:
            return
        first = run[0]
        if cell.waits and first.method in cell.waits:
            self._gather_more(resident, run)
        resident.run = run
        resident.status.begin(first, len(mailbox.queue), time.monotonic_ns())
        if first.method in cell.batched and not first.function:
            self._run_batch(resident, run)
        else:
            self._credit(resident, first.sender)
            self._answer(resident, first, *cell.handle(first, _arguments), bool(mailbox.queue))
        resident.run = ()
        resident.status.end(len(run), len(mailbox.queue))

    def _await(self, resident: Resident) -> None:
        """Return when something has come, or the mailbox was closed."""
        mailbox = resident.mailbox
        if self._place is None and self._post.receiver.lead(mailbox.wakes, None):
            resident.looked = time.monotonic_ns()
            return
        self._post.transport.flush()
        self._park(resident, None)

    def _park(self, resident: Resident, deadline: float | None) -> None:
        """Return when something was put into the mailbox since the last look, by this thread too where it leads."""
        resident.parked = True
        try:
            resident.waiter.again()
            if not resident.mailbox.wakes():
                self._post.receiver.until(resident.waiter, deadline)
        finally:
            resident.parked = False

    def _run_batch(self, resident: Resident, run: list[Envelope]) -> None:
        for envelope in run:
            if envelope.call_id:
                resident.status.started(envelope)
            self._credit(resident, envelope.sender)
        outcomes = resident.cell.handle_batch(run, _arguments)
        transport = self._post.transport
        transport.holding = True  # nobody has to see to what is held: it leaves below
        try:
            for envelope, value, error in outcomes:
                self._answer(resident, envelope, value, error, True)
        finally:
            transport.flush()  # those who asked wait, and the next batch may take a while

    def _credit(self, resident: Resident, sender: int) -> None:
        """Tell a sender, now and then, how many of its messages have been taken. An answer says it by itself."""
        taken = resident.mailbox.taken(sender)
        often = resident.asked and taken <= resident.asked.get(sender, 0)
        if often or taken - resident.owed.get(sender, 0) >= resident.quantum:
            resident.owed[sender] = taken
            self._post.credit(sender, resident.actor, taken)

    def _credit_skipped(self, resident: Resident) -> None:
        """Cancelled calls have left the queue, and no answer will say so."""
        mailbox = resident.mailbox
        while mailbox.skipped:
            sender = mailbox.skipped.pop()
            self._post.credit(sender, resident.actor, mailbox.taken(sender))

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
            self._park(resident, deadline)

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
            if error is None:
                kind = type(value)
                if kind in PLAIN and is_plain(value):
                    self._post.reply_plain(envelope, value, more)
                    return
                if kind not in CONTAINERS and self._post.lean.reply(envelope, value, more):
                    return
                packed = pack_value(value)
                if packed is not UNFIT:
                    self._post.reply_packed(envelope, packed, more)
                    return
            self._post.reply(resident.cell.ref, envelope, value, error, more)
        elif error is not None:
            self.fail(resident, error)

    def fail(self, resident: Resident, error: BaseException) -> None:
        """A failure that nobody can receive: it goes to the actor's owner."""
        resident.failures += 1
        key = resident.actor, resident.failures
        self._post.report(resident.cell.ref, key, error, resident.birth)

    def _finish(self, resident: Resident) -> None:
        resident.status.state(4, 0)
        try:
            resident.cell.stopped()
        except SystemExit:
            raise
        except BaseException as error:
            self.fail(resident, error)
        self._stop_children(resident.cell)

    def _end(self, resident: Resident, how: dict[str, Any], exit_: SystemExit | None) -> End:
        ref = resident.cell.ref
        running = resident.run[0].method if exit_ is not None and resident.run else None
        return End(resident.actor, cls=ref._cls, name=ref._name, pid=self._post.pid, running=running, **how)


def _arguments(envelope: Envelope) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """The function (None for a method), the positional and the named arguments of a message."""
    if envelope.plain is None:
        return None, *envelope.body
    if not envelope.plain:
        body = _decoded(envelope.body)
        return body if envelope.function else (None, *body)
    if envelope.function:
        key, args = envelope.body
        return function_at(key), args, {}
    return None, envelope.body, {}


def _decoded(body: Any) -> Any:
    if isinstance(body, Arrived):
        if body.error is not None:
            raise body.error
        return body.value
    data, buffers = body
    return decode(data, buffers)
