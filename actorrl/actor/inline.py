"""The inline engine: every actor lives in the caller's process and a message is a call.

For debugging and for results that repeat bit for bit. A message to an idle actor runs at the call;
one to a busy actor waits until that handler returns. Messages still pass through the pickler, so
what works here can be sent, and the global random generators are kept apart per actor.

    caller ──encode──► mailbox of the cell ──(idle? run it here)──► Outcome ──encode──► Future
"""

from __future__ import annotations

import itertools
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import DeadlockError
from . import seeds, stacks
from .arguments import encode_call, encode_spawn
from .cell import Cell, Outcome
from .codec import decode, encode
from .context import here, inside
from .deaths import End, died, exit_code
from .engine import ActorInfo, Call, Spawn
from .failures import Failures
from .faults import decode_error, encode_error, error_text
from .future import DONE, Future
from .guests import Guest
from .keeping import check_keeps
from .mailbox import Envelope
from .options import check_local
from .ref import ActorRef
from .routes import refusal

__all__ = ["InlineEngine"]

log = logging.getLogger("actorrl")


class InlineEngine:
    """See the module. Safe to use from several threads: an actor runs on one at a time."""

    def __init__(self, seed: int | None = None) -> None:
        self.token = secrets.token_hex(8)
        self.seed = secrets.randbits(63) if seed is None else seed
        self._residents: dict[int, Guest] = {}
        self._names: dict[str, ActorRef[Any]] = {}
        self._numbers = itertools.count(1)
        self._calls = itertools.count(1)
        self._lock = threading.RLock()
        self._moved = threading.Condition(self._lock)
        self._generators = seeds.Streams()  # as on processes: one per int place, one per actor without
        self.failures = Failures()
        self._root = Cell(ActorRef(self.token, 0, 0, "the program"), "raise", self.seed, ())

    # -- spawning and ending ---------------------------------------------------------------------

    def spawn(self, spawn: Spawn) -> ActorRef[Any]:
        check_local(spawn.place, spawn.options, "inline")
        body = encode_spawn(spawn).sealed()
        check_keeps(spawn)
        owner = self._owner()
        kind = spawn.factory if isinstance(spawn.factory, type) else None
        name, cls = spawn.options.name, getattr(spawn.factory, "__qualname__", type(spawn.factory).__qualname__)
        with self._lock:
            if name in self._names:
                raise ValueError(f"the name {name!r} is taken by {self._names[name]!r}")
            ref: ActorRef[Any] = ActorRef(self.token, 0, next(self._numbers), cls, name, kind)
            resident = Guest(ref, owner, spawn, body, self._fail)
            owner.spawned += 1
            owner.children.append(ref)
            self._residents[ref._actor] = resident
            if name is not None:
                self._names[name] = ref
        self._occupy(resident)
        return ref

    def _construct(self, resident: Guest) -> None:
        seeds.reseed(self.seed, resident.cell.path)
        try:
            resident.cell.construct(*resident.made_of())
        except BaseException as error:
            exitcode = exit_code(error) if isinstance(error, SystemExit) else 1
            self._end(resident, "constructor failed", exitcode=exitcode, error=encode_error(error)[0])

    def stop(self, ref: ActorRef[Any], timeout: float) -> None:
        resident = self._resident(ref)
        if resident is None or resident.end is not None:
            return
        resident.final = True
        resident.cell.mailbox.close()
        if resident.thread is None:
            self._occupy(resident)
            return
        if resident.thread == threading.get_ident():
            if here.cell is resident.cell:
                return  # inside itself: it ends when this handler returns
            raise DeadlockError(f"stop({ref!r}) waits for a handler of it that runs below this call")
        deadline = time.monotonic() + timeout
        with self._moved:
            while resident.end is None:
                if not self._moved.wait(max(0.0, deadline - time.monotonic())) and time.monotonic() >= deadline:
                    break
        if resident.end is None:
            where = stacks.of_thread(resident.thread)
            self._end(resident, "killed")
            raise stacks.late(ref, timeout, "was given up", None, where)

    def kill(self, ref: ActorRef[Any]) -> None:
        resident = self._resident(ref)
        if resident is not None and resident.end is None:
            self._end(resident, "killed")

    def _end(self, resident: Guest, reason: str, **how: Any) -> None:
        cell = resident.cell
        with self._moved:
            if resident.end is not None:
                return
            ref = cell.ref
            end = End(ref._actor, reason, ref._cls, ref._name, os.getpid(), **how)
            over = resident.dies(end) is None
            if over:
                end = resident.end = end if end.orderly else resident.record.verdict(end)
                self._names.pop(ref._name or "", None)
            else:
                log.warning("%s; it starts again", died(end))
                resident.again()
            queued = {envelope.call_id for envelope in cell.mailbox.drain()}
            pending = list(resident.futures.items())
            resident.futures.clear()
            self._moved.notify_all()
        for call_id, future in pending:
            future._settle(None, died(end, future._method, call_id not in queued))
        for child in list(cell.children):
            self._leave(child)
        if not over:
            self._occupy(resident)
            return
        for watcher in resident.watchers:
            watcher._settle(died(end, None, None))
        if not end.orderly and not pending:
            self._fail(resident, died(end, None, None), death=True)

    def _leave(self, child: ActorRef[Any]) -> None:
        resident = self._resident(child)
        if resident is not None and resident.end is None:
            self._end(resident, "owner ended")

    # -- messages --------------------------------------------------------------------------------

    def call(
        self, ref: ActorRef[Any], method: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Future[Any]:
        future: Future[Any] = Future(self, ref._cls, method, ref._actor)
        future._call_id = next(self._calls)
        self._post(Call(ref, method, function, args, kwargs), future)
        return future

    def tell(
        self, ref: ActorRef[Any], method: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self._post(Call(ref, method, function, args, kwargs), None)

    def call_group(
        self, refs: Sequence[ActorRef[Any]], method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[Future[Any]]:
        return [self.call(ref, method, None, args, kwargs) for ref in refs]

    def _post(self, call: Call, future: Future[Any] | None) -> None:
        body = encode_call(call).sealed()
        resident, alive = self._resident(call.ref), False
        call_id = future._call_id if future is not None else 0
        with self._lock:
            if resident is not None and resident.end is None:
                self._check_room(resident, call.method)
                envelope = Envelope(0, call_id, call.method, call.function is not None, body)
                alive = resident.cell.mailbox.put(envelope)
                if alive and future is not None:
                    resident.futures[call_id] = future
        if not alive:
            self._refuse(call, resident, future)
            return
        assert resident is not None
        self._occupy(resident)

    def _check_room(self, resident: Guest, method: str) -> None:
        """MailboxFull where the sender asked for it, or sends to itself. Nobody can wait here: others queue."""
        itself = here.cell is resident.cell
        limit, on_full = resident.bounds
        if (itself or on_full == "raise") and len(resident.cell.mailbox) >= limit:
            raise refusal(resident.cell.ref, len(resident.cell.mailbox), limit, method, itself)

    def _refuse(self, call: Call, resident: Guest | None, future: Future[Any] | None) -> None:
        ref = call.ref
        end = resident.end if resident is not None else None
        if end is None:
            reason = "stopped" if resident is not None else "system shut down"
            end = End(ref._actor, reason, ref._cls, ref._name, None)
        if resident is not None:  # whoever reads this future receives the failure
            self.failures.claim(ref._actor)
        error = died(end, call.method, False)
        if future is None:
            log.error("the message %s was not delivered: %s", call.method, error)
        else:
            future._settle(None, error)

    def _occupy(self, resident: Guest) -> None:
        """Let the actor be constructed, if it is not, and run all that is queued, unless it is busy already."""
        with self._lock:
            if resident.thread is not None or resident.end is not None:
                return
            resident.thread = threading.get_ident()
        place = resident.place
        outer = self._generators.switch(("place", place) if place is not None else resident.cell.ref._actor)
        try:
            while resident.end is None and self._next(resident):
                pass
        finally:
            self._generators.switch(outer)
            with self._moved:
                resident.thread = None
                self._moved.notify_all()
        if resident.end is None and (resident.unborn or len(resident.cell.mailbox)):
            self._occupy(resident)

    def _next(self, resident: Guest) -> bool:
        if resident.unborn:
            self._construct(resident)
            return True
        cell = resident.cell
        with self._lock:
            run = cell.mailbox.take(cell.batched)
        if not run:
            if cell.mailbox.closed:
                self._finish(resident)
            return False
        began = time.perf_counter()
        try:
            outcomes = self._handle(resident, run)
        except SystemExit as exit_:
            self._end(resident, "exited", exitcode=exit_code(exit_), running=run[0].method)
            return True
        resident.busy += time.perf_counter() - began
        resident.handled += len(run)
        for outcome in outcomes:
            self._answer(resident, *outcome)
        return True

    def _handle(self, resident: Guest, run: list[Envelope]) -> list[Outcome]:
        cell, first = resident.cell, run[0]
        with inside(cell, lambda: all(self._asked(resident, envelope) for envelope in run)):
            if first.method in cell.batched and not first.function:
                return cell.handle_batch(run, _decode)
            return [Outcome(first, *cell.handle(first, _decode))]

    def _answer(self, resident: Guest, envelope: Envelope, value: Any, error: BaseException | None) -> None:
        if error is None and envelope.call_id:
            try:
                body = encode(value).sealed()
                value = decode(body.data, body.buffers, set())
            except Exception as failure:
                label = f"{resident.cell.ref._cls}.{envelope.method}"
                error = TypeError(f"the result of {label} cannot be sent: {failure}")
                error.__cause__ = failure
        if error is not None:
            error = decode_error(encode_error(error)[0])
        if envelope.call_id:
            future = resident.futures.pop(envelope.call_id, None)
            if future is not None:
                future._settle(value, error)
        elif error is not None:
            self._fail(resident, error)

    def _asked(self, resident: Guest, envelope: Envelope) -> bool:
        """Whether whoever sent the envelope has given it up."""
        future = resident.futures.get(envelope.call_id)
        return future is not None and future.cancelled()

    def _finish(self, resident: Guest) -> None:
        cell = resident.cell
        try:
            cell.stopped()
        except BaseException as error:
            self._fail(resident, decode_error(encode_error(error)[0]))
        for child in list(cell.children):
            self.stop(child, 10.0)
        self._end(resident, "stopped")

    def _fail(self, resident: Guest, error: BaseException, death: bool = False) -> None:
        log.error("%r failed and nobody waits for the answer:\n%s", resident.cell.ref, error_text(error))
        if resident.cell.on_failure == "raise":
            actor = resident.cell.ref._actor
            self.failures.add(resident.owner.ref._actor, -actor if death else actor, None, lambda: error)
        elif resident.cell.on_failure == "stop":
            if resident.owner is self._root:
                raise SystemExit(1)
            owner = self._residents[resident.owner.ref._actor]
            self._end(owner, "exited", exitcode=1)

    # -- waiting ---------------------------------------------------------------------------------

    def block(self, future: Future[Any], deadline: float | None) -> None:
        self.block_any([future], 1, deadline)

    def block_each(self, futures: Sequence[Any]) -> None: ...

    def block_any(self, futures: Sequence[Future[Any]], count: int, deadline: float | None) -> None:
        me = threading.get_ident()
        with self._moved:
            while sum(future._state in DONE for future in futures) < count:
                pending = [future for future in futures if future._state not in DONE]
                stuck = [future for future in pending if self._runs_on(future, me)]
                if len(futures) - len(stuck) < count:
                    for future in stuck:
                        future.cancel()
                    labels = ", ".join(future._label for future in stuck)
                    raise DeadlockError(
                        f"{here.cell.ref if here.cell else 'the program'} waits for {labels}, which can only run "
                        "after the handler that waits here: do not fetch it inside, or return first"
                    )
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return
                self._moved.wait(left)

    def _runs_on(self, future: Future[Any], thread: int) -> bool:
        if future._parts:
            return any(part._state not in DONE and self._runs_on(part, thread) for part in future._parts)
        resident = self._residents.get(future._actor)
        return resident is not None and resident.thread == thread

    def hurry(self, future: Future[Any]) -> None:
        """Nothing to hurry: what can run has run."""

    def later(self, work: Callable[[], None]) -> None:
        work()

    def withdraw(self, future: Future[Any]) -> None:
        resident = self._residents.get(future._actor)
        if resident is not None:
            with self._moved:
                if resident.cell.mailbox.cancel(0, future._call_id):
                    resident.futures.pop(future._call_id, None)
                self._moved.notify_all()

    def raise_failures(self) -> None:
        error = self.failures.take(self._owner().ref._actor)
        if error is not None:
            raise error

    # -- the rest --------------------------------------------------------------------------------

    def watch(self, ref: ActorRef[Any]) -> Future[Any]:
        future: Future[Any] = Future(self, f"watch({ref!r})")
        resident = self._resident(ref)
        if resident is None:
            future._settle(died(End(ref._actor, "system shut down", ref._cls, ref._name, None), None, None))
        elif resident.end is not None:
            future._settle(died(resident.end, None, None))
        else:
            resident.watchers.append(future)
        return future

    def find(self, name: str) -> ActorRef[Any]:
        try:
            return self._names[name]
        except KeyError:
            raise LookupError(f"no actor is named {name!r}; named are: {', '.join(self._names) or 'none'}") from None

    def actors(self) -> list[ActorInfo]:
        rows = []
        for resident in list(self._residents.values()):
            if resident.end is None:
                ref, age = resident.cell.ref, time.monotonic() - resident.began
                state = "running" if resident.thread is not None else "idle"
                share = min(1.0, resident.busy / age) if age else 0.0
                queue = len(resident.cell.mailbox)
                row = ref._name, ref._cls, os.getpid(), resident.place, state, queue, resident.handled, share
                rows.append(ActorInfo(*row, resident.restarts))
        return rows

    def shutdown(self, timeout: float, quiet: bool = False) -> None:
        for child in list(self._root.children):
            self.stop(child, timeout)
        self.raise_failures()

    def _owner(self) -> Cell:
        return here.cell if here.cell is not None else self._root

    def _resident(self, ref: ActorRef[Any]) -> Guest | None:
        return self._residents.get(ref._actor) if ref._token == self.token else None


def _decode(envelope: Envelope) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    body = decode(envelope.body.data, envelope.body.buffers, set())
    return body if envelope.function else (None, *body)
