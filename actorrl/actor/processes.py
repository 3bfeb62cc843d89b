"""The engine "processes": actors in processes of their own, messages through ZeroMQ.

One ProcessEngine per process, in the driver and in every worker alike: each can spawn, call and
wait. It joins three things that know nothing of each other:

    transport.py + receiver.py    frames to and from the other processes
    control.py                    the line to the nursery: spawns, names, ends
    host.py                       the actors that live here (none in the driver)

A call: `call` enters a Future in `_pending`, then sends. Whoever leads the receiver gets the REPLY
in `_dispatch` and settles the Future. If the actor ends first, the nursery says so on the line and
`_on_ended` settles it: a call is entered before it is sent and before the end is looked up, so one
of the two always finds it.
"""

from __future__ import annotations

import itertools
import logging
import os
import pickle
import queue
import secrets
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import RemoteError
from .arguments import encode_call, encode_spawn
from .births import Births, make_directory
from .cell import Cell
from .codec import decode, encode
from .context import here
from .control import Client
from .deaths import End, died
from .engine import ActorInfo, Call, Spawn, install
from .failures import Failures
from .faults import decode_error, encode_error, error_text
from .frames import CALL, CANCEL, CREATE, DEFINES, ERROR, FAILURE, FUNCTION, GONE, REPLY, STOP, Frame, pack, unpack
from .future import DONE, Future
from .host import Birth, Host
from .mailbox import Envelope
from .receiver import Receiver, Waiter
from .ref import ActorRef
from .registry import DRIVER
from .status import Page
from .transport import Transport

__all__ = ["ProcessEngine"]

log = logging.getLogger("actorrl")


class ProcessEngine:
    """See the module. Made by `start` in the driver and by `join` in a worker."""

    def __init__(self, directory: str, token: str, number: int, line: socket.socket | None, seed: int) -> None:
        self.token, self.number, self.pid = token, number, os.getpid()
        self._directory = directory
        self._lock_fd: int | None = None
        self._root = Cell(ActorRef(token, number, 0, "the program"), "raise", seed, ())
        self._pending: dict[int, Future[Any]] = {}
        self._watchers: dict[int, list[Future[Any]]] = {}
        self._ends: dict[int, End] = {}
        self._linked: dict[int, tuple[ActorRef[Any], int | None]] = {}  # living, with the pid where we know it
        self._numbers = itertools.count(1)
        self._order = threading.Lock()  # calls are numbered in the order in which they are sent
        self._spawning = threading.Lock()
        self._failures = Failures()
        self._callbacks: queue.SimpleQueue[Callable[[], None] | None] | None = None
        self._closing = False
        self.host: Host | None = None
        self.transport = Transport(directory, number)
        self.receiver = Receiver(self.transport, self._dispatch, lambda: self._pending)
        self.births = Births(directory, token, self._on_news, self._on_lost, line)

    @classmethod
    def start(cls, seed: int | None) -> ProcessEngine:
        """The engine of the program itself."""
        directory, lock = make_directory()
        token = os.path.basename(directory) + secrets.token_hex(4)
        engine = cls(directory, token, DRIVER, None, secrets.randbits(63) if seed is None else seed)
        engine._lock_fd = lock
        return engine

    @classmethod
    def join(
        cls, directory: str, token: str, number: int, place: int | None, line: socket.socket, page: Page
    ) -> None:
        """Be a process of actors, until the last of them has ended."""
        engine = cls(directory, token, number, line, 0)
        engine.host = Host(engine, place, page)
        install(engine)
        engine.host.serve()
        engine.receiver.close()
        engine.transport.close(1.0)

    # -- spawning --------------------------------------------------------------------------------

    def spawn(self, spawn: Spawn) -> ActorRef[Any]:
        body = encode_spawn(spawn)  # what cannot be sent is refused before a process is made
        owner = here.cell if here.cell is not None else self._root
        cls = getattr(spawn.factory, "__qualname__", type(spawn.factory).__qualname__)
        options = spawn.options
        wish = {"place": spawn.place, "name": options.name, "cls": cls, "options": options.place,
                "owner": owner.ref._actor, "on_failure": options.on_failure}  # fmt: skip
        with self._spawning:
            actor, process, pid = self.births.spawn(wish)
            path = (*owner.path, owner.spawned)
            owner.spawned += 1
        kind = spawn.factory if isinstance(spawn.factory, type) else None
        ref: ActorRef[Any] = ActorRef(self.token, process, actor, cls, options.name, kind)
        self._linked[actor] = ref, pid
        owner.children.append(ref)
        birth = pickle.dumps(
            (cls, options.name, options.on_failure, owner.ref._actor, self.number, path, self._root.seed)
        )
        frame = pack(CREATE, actor, 0, self.number, birth, body.data, DEFINES if body.defines else 0)
        self._post(process, frame, body.buffers)
        self._known(process).update(body.defines)
        return ref

    def stop_children(self, cell: Cell) -> None:
        """Stop what an actor has spawned, in order."""
        for child in cell.children:
            if child._actor not in self._ends:
                try:
                    self.stop(child, 10.0)
                except TimeoutError as error:
                    log.error("%s", error)

    # -- calls -----------------------------------------------------------------------------------

    def call(self, call: Call) -> Future[Any]:
        ref = call.ref
        body = encode_call(call, self._known(ref._process))
        future: Future[Any] = Future(self, f"{ref._cls}.{call.method}", 0, ref._actor)
        end = self._end_of(ref)
        if end is not None:
            self._failures.claim(ref._actor)
            future._settle(None, died(end, call.method, False))
            return future
        self._send(CALL, ref, call, body, future)
        if not self.receiver.armed:
            self.receiver.arm()
        if ref._actor in self._ends and self._pending.pop(future._call_id, None) is not None:
            self._failures.claim(ref._actor)
            future._settle(None, died(self._ends[ref._actor], call.method, False))
        return future

    def tell(self, call: Call) -> None:
        body = encode_call(call, self._known(call.ref._process))
        end = self._end_of(call.ref)
        if end is not None:
            log.error("the message %s was not delivered: %s", call.method, died(end, call.method, False))
            return
        self._send(CALL, call.ref, call, body, None)

    def _send(self, kind: int, ref: ActorRef[Any], call: Call, body: Any, future: Future[Any] | None) -> None:
        flags = (FUNCTION if call.function is not None else 0) | (DEFINES if body.defines else 0)
        name = call.method.encode()
        with self._order:
            number = 0
            if future is not None:
                number = future._call_id = next(self._numbers)
                self._pending[number] = future
            frame = pack(kind, ref._actor, number, self.number, name, body.data, flags)
            self._post(ref._process, frame, body.buffers)
        if body.defines:
            self._known(ref._process).update(body.defines)

    def _post(self, process: int, frame: bytes, buffers: Sequence[Any] = ()) -> None:
        if process != self.number:
            self.transport.send(process, frame, buffers)
        else:  # within a place: no socket, but copied all the same
            self._dispatch(frame, [bytearray(buffer) for buffer in buffers])

    def _known(self, process: int) -> set[str]:
        return self.transport.known(process) if process != self.number else set()

    def _end_of(self, ref: ActorRef[Any]) -> End | None:
        """How the actor ended; None while it lives. The first time a ref is met, the nursery is asked."""
        if ref._token != self.token:
            return End(ref._actor, "system shut down", ref._cls, ref._name, None)
        if ref._actor in self._ends:
            return self._ends[ref._actor]
        if ref._actor not in self._linked:
            end = self.births.ask("alive", ref._actor)
            if end is not None:
                self._ends[ref._actor] = end
                return end  # type: ignore[no-any-return]
            self._linked[ref._actor] = ref, None
        return None

    # -- what arrives, on the thread that leads ----------------------------------------------------

    def _dispatch(self, raw: bytes, buffers: list[Any]) -> None:
        frame = unpack(raw)
        kind = frame.kind
        if kind == REPLY or kind == ERROR:
            self._on_reply(frame, buffers)
        elif kind == CALL:
            assert self.host is not None
            self.host.put(frame, buffers)
        elif kind == CREATE:
            assert self.host is not None
            self.host.create(frame, buffers, Birth(*pickle.loads(frame.name)))
        elif kind == CANCEL:
            assert self.host is not None
            self.host.cancel(frame.actor, frame.sender, frame.call_id)
        elif kind == STOP:
            assert self.host is not None
            self.host.stop(frame.actor)
        elif kind == GONE:
            future = self._pending.pop(frame.call_id, None)
            if future is not None:
                ref = self._linked[frame.actor][0]
                end = self._ends.get(frame.actor) or End(frame.actor, "stopped", ref._cls, ref._name, None)
                future._settle(None, died(end, _method(future), False))
        elif kind == FAILURE:
            owner, key = pickle.loads(frame.name)
            self._on_failure(owner, key, bytes(frame.data))

    def _on_reply(self, frame: Frame, buffers: list[Any]) -> None:
        future = self._pending.pop(frame.call_id, None)
        known = self._known(frame.sender) if frame.flags & DEFINES else None
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

    def reply(self, ref: ActorRef[Any], envelope: Envelope, value: Any, error: BaseException | None) -> None:
        """Answer a call with its value or its error."""
        known = self._known(envelope.sender)
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
        frame = pack(kind, ref._actor, envelope.call_id, self.number, b"", data, DEFINES if defines else 0)
        self._post(envelope.sender, frame, buffers)
        known.update(defines)

    def refuse(self, actor: int, envelope: Envelope) -> None:
        """The mailbox is closed: the call fails as not started."""
        if envelope.call_id:
            self._post(envelope.sender, pack(GONE, actor, envelope.call_id, self.number))
        else:
            self.lost_tell(actor, envelope.method, 0)

    def lost_tell(self, actor: int, method: str, call_id: int) -> None:
        """A message came too late. A call is answered by the news of the end; a tell can only be logged."""
        if not call_id:
            self.births.send("log", f"the message {method} was not delivered: actor #{actor} has ended")

    def report(self, ref: ActorRef[Any], sequence: int, error: BaseException, birth: Birth) -> None:
        """A failure nobody can receive: log it in the driver, then do as `on_failure` says."""
        self.births.send("log", f"{ref!r} failed and nobody waits for the answer:\n{error_text(error)}")
        if birth.on_failure == "raise":
            key = ref._actor, sequence
            blob, _ = encode_error(error)
            self.births.send("failure", birth.owner_process, birth.owner, key, blob)
            name = pickle.dumps((birth.owner, key))
            self._post(birth.owner_process, pack(FAILURE, ref._actor, 0, self.number, name, blob))
        elif birth.on_failure == "stop":
            self.births.send("end_owner", birth.owner)

    def send_end(self, end: End) -> None:
        """An actor of this process has ended."""
        self.births.send("ended", end)

    # -- news from the nursery, on the control thread ----------------------------------------------

    def _on_news(self, kind: str, *news: Any) -> None:
        if kind == "ended":
            self._on_ended(*news)
        elif kind == "log":
            log.error("%s", news[0])
        elif kind == "failure":
            self._on_failure(*news)
            self.receiver.nudge()
        elif kind == "unreceived":
            self._on_unreceived(*news)
        elif kind == "leave" and self.host is not None:
            self.host.leave(news[0])
        elif kind == "abort":
            log.error("the program ends: an actor with on_failure='stop' failed")
            os.kill(self.pid, signal.SIGTERM)

    def _on_ended(self, end: End, ask: bool) -> None:
        if any(future._actor == end.actor for future in list(self._pending.values())):
            self.receiver.settle()  # its last replies may still be on their way
        self._ends[end.actor] = end
        received = 0
        for number, future in list(self._pending.items()):
            if future._actor == end.actor and self._pending.pop(number, None) is not None:
                started = None if end.started is None else number <= end.started.get(self.number, 0)
                future._settle(None, died(end, _method(future), started))
                received += 1
        for watcher in self._watchers.pop(end.actor, ()):
            watcher._settle(died(end, None, None))
            received += 1
        ref, _ = self._linked.pop(end.actor, (None, None))
        if ask:
            self.births.send("had", end.actor, received)
        if ref is not None and not any(other._process == ref._process for other, _ in self._linked.values()):
            self.transport.forget(ref._process)
        self.receiver.nudge()

    def _on_unreceived(self, end: End, owner: int, on_failure: str) -> None:
        if self._failures.claimed(end.actor):
            return
        error = died(end, None, None)
        text = f"nobody had a call open to it:\n{error_text(error)}"
        if self.number == DRIVER:
            log.error("%s", text)
        else:
            self.births.send("log", text)
        if on_failure == "raise":
            self._failures.add(owner, -end.actor, None, lambda: error)
            self.receiver.nudge()
        elif on_failure == "stop":
            self.births.send("end_owner", owner)

    def _on_failure(self, owner: int, key: Any, blob: bytes) -> None:
        self._failures.add(owner, key[0], key, lambda: decode_error(blob))

    def _on_lost(self) -> None:
        if self._closing:
            return
        if self.number != DRIVER:
            os.killpg(0, signal.SIGKILL)
        self.births.forget()
        for ref, pid in list(self._linked.values()):
            if pid is not None:
                _kill_group(pid)
            end = End(ref._actor, "lost", ref._cls, ref._name, pid)
            pending = any(future._actor == ref._actor for future in list(self._pending.values()))
            self._on_ended(end, False)
            if not pending:
                self._on_unreceived(end, 0, "raise")

    # -- waiting ---------------------------------------------------------------------------------

    def block(self, future: Future[Any], deadline: float | None) -> None:
        if not self.receiver.until_done(future, DONE, deadline):
            self.block_any([future], 1, deadline)

    def block_any(self, futures: Sequence[Future[Any]], count: int, deadline: float | None) -> None:
        waiter = Waiter(count)
        listed: list[Future[Any]] = []
        for future in futures:
            with future._condition:
                if future._state not in DONE:
                    future._waiters.append(waiter)  # type: ignore[attr-defined]
                    listed.append(future)
                    continue
            waiter.done()
        try:
            self.receiver.until(waiter, deadline)
        finally:
            for future in listed:
                with future._condition:
                    if waiter in future._waiters:  # type: ignore[attr-defined]
                        future._waiters.remove(waiter)  # type: ignore[attr-defined]

    def hurry(self, future: Future[Any]) -> None:
        self.receiver.hurry()

    def later(self, work: Callable[[], None]) -> None:
        if self._callbacks is None:
            with self._order:
                if self._callbacks is None:
                    self._callbacks = queue.SimpleQueue()
                    threading.Thread(target=self._run_callbacks, name="actorrl-callbacks", daemon=True).start()
        self._callbacks.put(work)

    def _run_callbacks(self) -> None:
        assert self._callbacks is not None
        for work in iter(self._callbacks.get, None):
            work()

    def withdraw(self, future: Future[Any]) -> None:
        if self._pending.pop(future._call_id, None) is not None:
            linked = self._linked.get(future._actor)
            if linked is not None:
                self._post(linked[0]._process, pack(CANCEL, future._actor, future._call_id, self.number))
        self.receiver.nudge()

    def raise_failures(self) -> None:
        if self._failures.any:
            error = self._failures.take(here.cell.ref._actor if here.cell is not None else 0)
            if error is not None:
                raise error

    # -- ending ----------------------------------------------------------------------------------

    def stop(self, ref: ActorRef[Any], timeout: float) -> None:
        if self._end_of(ref) is not None:
            return
        ended = self.watch(ref)
        self._post(ref._process, pack(STOP, ref._actor, 0, self.number))
        if here.cell is not None and here.cell.ref == ref:
            return  # inside itself: it ends when this handler has returned
        self.block(ended, time.monotonic() + timeout)
        if not ended.done():
            self._kill(ref, ended)
            raise TimeoutError(f"{ref!r} did not stop within {timeout} s: its process was killed")

    def kill(self, ref: ActorRef[Any]) -> None:
        if self._end_of(ref) is None:
            self._kill(ref, self.watch(ref))

    def _kill(self, ref: ActorRef[Any], ended: Future[Any]) -> None:
        self.births.ask("kill", ref._actor)
        self.block(ended, time.monotonic() + 2.0)

    def watch(self, ref: ActorRef[Any]) -> Future[Any]:
        future: Future[Any] = Future(self, f"watch({ref!r})")
        end = self._end_of(ref)
        if end is None:
            self._watchers.setdefault(ref._actor, []).append(future)
            end = self._ends.get(ref._actor)
        if end is not None:
            future._settle(died(end, None, None))
        return future

    def find(self, name: str) -> ActorRef[Any]:
        process, actor, cls, name = self.births.ask("find", name)
        return ActorRef(self.token, process, actor, cls, name)

    def actors(self) -> list[ActorInfo]:
        return [ActorInfo(*row) for row in self.births.ask("actors")]

    def shutdown(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        try:
            if self.births.nursery_pid is not None:
                self._stop_all(deadline)
        finally:
            self._close()
        self.raise_failures()

    def _stop_all(self, deadline: float) -> None:
        left = [child for child in self._root.children if child._actor not in self._ends]
        ended = [self.watch(child) for child in left]
        for child in left:
            self._post(child._process, pack(STOP, child._actor, 0, self.number))
        if ended:
            self.block_any(ended, len(ended), deadline)
        late = [child for child, future in zip(left, ended, strict=True) if not future.done()]
        if late:
            log.warning("killed at shutdown, still busy: %s", ", ".join(map(repr, late)))

    def _close(self) -> None:
        self._closing = True
        self.births.close()
        for future in list(self._pending.values()):
            end = End(future._actor, "system shut down", future._label.rpartition(".")[0], None, None)
            future._settle(None, died(end, _method(future), None))
        self._pending.clear()
        self.receiver.close()
        self.transport.close(0.0)
        if self._callbacks is not None:
            self._callbacks.put(None)
        shutil.rmtree(self._directory, ignore_errors=True)
        if self._lock_fd is not None:
            os.close(self._lock_fd)


def _method(future: Future[Any]) -> str:
    return future._label.rpartition(".")[2]


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass
