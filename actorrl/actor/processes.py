"""The engine "processes": actors in processes of their own, messages through ZeroMQ.

One ProcessEngine per process, in the driver and in every worker alike: each can spawn, call and
wait. It joins four things that know little of each other:

    calls.py     what is sent to actors, once there is room for it
    post.py      messages to and from the other processes
    births.py    the line to the nursery: spawns, names, ends
    host.py      the actors that live here (none in the driver)

What it does about the nursery's news is in news.py.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from . import freight
from .arguments import encode_spawn
from .births import Births, make_directory
from .callbacks import Callbacks
from .calls import Calls
from .cell import Cell
from .context import here
from .cradle import Cradles
from .deaths import End, died
from .engine import ActorInfo, Spawn, install
from .frames import CANCEL, STOP, pack
from .future import Future, in_order
from .host import Host
from .keeping import check_keeps
from .moves import Moves
from .news import News
from .options import check_local
from .post import Post
from .receiver import Waiter
from .ref import ActorRef
from .registry import DRIVER
from .residents import Birth
from .stacks import late, of_actor
from .status import Page
from .transport import Transport
from .waits import Waits

__all__ = ["ProcessEngine"]

COUNTING = 0.005  # seconds that a busy process gets to count
EXAMPLES = 3
"""A shutdown that has to kill shows the stacks of so many actors."""
log = logging.getLogger("actorrl")


class ProcessEngine(News):
    """See the module. Made by `start` in the driver and by `join` in a worker."""

    def __init__(self, directory: str, token: str, number: int, line: socket.socket | None, seed: int) -> None:
        self.token, self.number = token, number
        self._directory = directory
        self._lock_fd: int | None = None
        transport = self._open_transport()
        self._root = Cell(ActorRef(token, number, 0, "the program"), "raise", seed, ())
        self._spawning = threading.Lock()
        self._callbacks = Callbacks()
        self._closing = False
        self.post = Post(transport, token, lambda *news: self.births.send(*news))
        self.ledger, self.receiver = self.post.ledger, self.post.receiver
        self.failures = self.ledger.failures
        self.births = self._open_births(line)
        self.waits = Waits(number, self.receiver, lambda *news: self.births.send(*news), lambda: self.post.host)
        self._moves = Moves(self.post)
        self._cradles = Cradles(self.post, self._moves)
        calls = Calls(self, self.post, self.births, self._moves, self.waits)
        self.call, self.tell, self.call_group = calls.call, calls.tell, calls.call_group
        self._meet = calls.meet

    def _open_transport(self) -> Transport:
        return Transport(self._directory, self.number, freight.here())

    def _open_births(self, line: socket.socket | None) -> Births:
        return Births(self._directory, self.token, self._on_news, self._on_lost, line)

    @classmethod
    def start(cls, seed: int | None) -> ProcessEngine:
        """The engine of the program itself."""
        directory, lock = make_directory()
        token = os.path.basename(directory) + secrets.token_hex(4)
        engine = cls(directory, token, DRIVER, None, secrets.randbits(63) if seed is None else seed)
        engine._lock_fd = lock
        return engine

    @classmethod
    def join(cls, directory: str, token: str, number: int, place: int | None, line: socket.socket, page: Page) -> None:
        """Be a process of actors, until the last of them has ended."""
        engine = cls(directory, token, number, line, 0)
        loans = engine.post.transport.freight.loans
        if loans is not None:
            loans.connect(engine.births.send)
        engine.serve(place, page)

    def serve(self, place: int | None, page: Page) -> None:
        """Let actors live here, until the last of them has ended."""
        host = self.post.host = Host(self.post, self.stop_children, place, page)
        self.births.listen()
        install(self)
        host.serve()
        self.receiver.close()
        self.post.transport.close(1.0)

    # -- spawning --------------------------------------------------------------------------------

    def spawn(self, spawn: Spawn) -> ActorRef[Any]:
        self._check(spawn)
        body = encode_spawn(spawn)  # what cannot be sent is refused before a process is made
        check_keeps(spawn)
        owner, number = self._owner(), self.number
        cls = getattr(spawn.factory, "__qualname__", type(spawn.factory).__qualname__)
        options = spawn.options
        wish = {"place": spawn.place, "name": options.name, "cls": cls, "options": options.place,
                "owner": owner.ref._actor, "on_failure": options.on_failure,
                "mailbox": (options.mailbox, options.on_full), "terms": tuple(options.terms)}  # fmt: skip
        with self._spawning:
            actor, process, pid = self.births.spawn(wish)
            path = (*owner.path, owner.spawned)
            owner.spawned += 1
        kind = spawn.factory if isinstance(spawn.factory, type) else None
        ref: ActorRef[Any] = ActorRef(self.token, process, actor, cls, options.name, kind)
        self._moves.meet(ref, actor, process, (options.mailbox, options.on_full), pid)
        self.ledger.policies[actor] = options.on_failure
        owner.children[:] = [child for child in owner.children if child._actor not in self.ledger.ends]
        owner.children.append(ref)
        named = actor, cls, options.name, options.on_failure, owner.ref._actor, number, path, owner.seed
        birth = Birth(*named, options.mailbox, options.checkpoint, False)
        self._cradles.bear(birth, process, body, options.max_restarts > 0)
        return ref

    def _check(self, spawn: Spawn) -> None:
        check_local(spawn.place, spawn.options, "processes")

    def _owner(self) -> Cell:
        """Who spawns here: the actor whose handler runs, the only one that a thread can belong to, or the program."""
        if here.cell is not None:
            return here.cell
        residents = list(self.post.host.residents.values()) if self.post.host is not None else []
        return residents[0].cell if len(residents) == 1 else self._root

    def stop_children(self, cell: Cell) -> None:
        """Stop what an actor has spawned, in order."""
        for child in cell.children:
            if child._actor not in self.ledger.ends:
                try:
                    self.stop(child, 10.0)
                except TimeoutError as error:
                    log.error("%s", error)

    # -- waiting ---------------------------------------------------------------------------------

    def block(self, future: Future[Any], deadline: float | None) -> None:
        cell = here.cell
        if cell is None:
            receiver = self.receiver
            led = receiver.lead_for(future) if deadline is None else receiver.lead(future.done, deadline)
            if not led:
                self.block_any([future], 1, deadline)
            return
        cell.born()
        if deadline is not None:
            self._block_any([future], 1, deadline, None)
        elif not (led := self.receiver.lead_a_moment(future.done)) or not future.done():
            self._block_any([future], 1, None, time.monotonic() if led else None)

    def block_each(self, futures: Sequence[Any]) -> None:
        """Lead until all are done, or the next in order is not one that this thread can wait for like this."""
        settled = in_order(futures)
        if not settled():
            self.receiver.lead(settled, None)

    def block_any(self, futures: Sequence[Future[Any]], count: int, deadline: float | None) -> None:
        moment = self.waits.briefly(futures, count, deadline)
        if moment is not None:
            self._block_any(futures, count, deadline, moment)

    def _block_any(
        self, futures: Sequence[Future[Any]], count: int, deadline: float | None, moment: float | None
    ) -> None:
        waiter = Waiter(count)
        listed: list[Future[Any]] = []
        for future in futures:
            if future.list_waiter(waiter):
                listed.append(future)
            else:
                waiter.done()
        try:
            if here.cell is None:
                self.receiver.until(waiter, deadline)
            else:
                awaited = here.awaited or futures
                need = len(awaited) if here.awaited else count
                self.waits.until(here.cell, waiter, deadline, need, awaited, moment=moment)
        finally:
            for future in listed:
                future.unlist_waiter(waiter)

    def hurry(self, future: Future[Any]) -> None:
        self.receiver.hurry()

    def later(self, work: Callable[[], None]) -> None:
        self._callbacks.put(work)

    def withdraw(self, future: Future[Any]) -> None:
        if self.ledger.close(future._call_id) is not None:
            route = future._route
            self.post.post(route.process, pack(CANCEL, route.actor, future._call_id, self.number))
        self.receiver.nudge()

    def raise_failures(self) -> None:
        if self.ledger.failures.any:
            error = self.ledger.failures.take(here.cell.ref._actor if here.cell is not None else 0)
            if error is not None:
                raise error

    # -- ending ----------------------------------------------------------------------------------

    def _end_of(self, ref: ActorRef[Any]) -> End | None:
        """How the actor ended; None while it lives."""
        found = self._meet(ref)
        return found if isinstance(found, End) else None

    def stop(self, ref: ActorRef[Any], timeout: float) -> None:
        if self._end_of(ref) is not None:
            return
        ended = self._ending(ref)
        self._ask_to_stop([ref])
        if here.cell is not None and here.cell.ref == ref:
            return  # inside itself: it ends when this handler has returned
        self.block(ended, time.monotonic() + timeout)
        if not ended.done():
            where = self._where(ref)
            self._kill(ref, ended)
            raise late(ref, timeout, "its process was killed", *where)
        self.births.ask("settled")  # if it died instead, somebody is to hear of it

    def _where(self, ref: ActorRef[Any]) -> tuple[str | None, str]:
        """What an actor runs, and its stack."""
        return of_actor(lambda: self.births.ask("stack", ref._actor))

    def _ask_to_stop(self, refs: list[ActorRef[Any]]) -> None:
        """Close their mailboxes. The nursery says where each lives now, and starts none of them again."""
        for where in self.births.ask("stopping", [ref._actor for ref in refs]):
            if where is not None:
                address, process = where
                self.post.post(process, pack(STOP, address, 0, self.number))

    def kill(self, ref: ActorRef[Any]) -> None:
        if self._end_of(ref) is None:
            self._kill(ref, self._ending(ref))

    def _kill(self, ref: ActorRef[Any], ended: Future[Any]) -> None:
        self.births.ask("kill", ref._actor)
        self.block(ended, time.monotonic() + 2.0)

    def watch(self, ref: ActorRef[Any]) -> Future[Any]:
        return self._watched(ref, Future(self, f"watch({ref!r})"))

    def _ending(self, ref: ActorRef[Any]) -> Future[Any]:
        """What the runtime itself waits on: the news is not received by that."""
        future: Future[Any] = Future(self, f"the end of {ref!r}")
        future.receives = False
        return self._watched(ref, future)

    def _watched(self, ref: ActorRef[Any], future: Future[Any]) -> Future[Any]:
        end = self._end_of(ref)
        if end is not None:
            future._settle(died(end, None, None))
        else:
            self.ledger.watch(ref, future)
        return future

    def find(self, name: str) -> ActorRef[Any]:
        process, actor, cls, name = self.births.ask("find", name)
        return ActorRef(self.token, process, actor, cls, name)

    def actors(self) -> list[ActorInfo]:
        rows = [ActorInfo(*row) for row in self.births.ask("actors")]
        if any(row.state == "running" for row in rows):
            time.sleep(COUNTING)  # the question has made the busy ones count what waits in their sockets
            rows = [ActorInfo(*row) for row in self.births.ask("actors")]
        return rows

    def shutdown(self, timeout: float, quiet: bool = False) -> None:
        deadline = time.monotonic() + timeout
        try:
            if self.births.started:
                self._stop_all(deadline, quiet)
        finally:
            self._close()
        self.raise_failures()

    def _stop_all(self, deadline: float, quiet: bool) -> None:
        left = [child for child in self._root.children if child._actor not in self.ledger.ends]
        ended = [self._ending(child) for child in left]
        self._ask_to_stop(left)
        if ended:
            self.block_any(ended, len(ended), deadline)
        busy = [child for child, future in zip(left, ended, strict=True) if not future.done()]
        if busy and not quiet:
            wheres = [f"\n{self._where(child)[1]}" for child in busy[:EXAMPLES]]
            log.warning("killed at shutdown, still busy: %s%s", ", ".join(map(repr, busy)), "".join(wheres).rstrip())
        self.births.ask("settled")

    def _close(self) -> None:
        self._closing = True
        self.births.close()
        self.ledger.abandon()
        self._moves.abandon()
        self.receiver.close()
        self.post.transport.close(0.0)
        self._callbacks.close()
        shutil.rmtree(self._directory, ignore_errors=True)
        if self._lock_fd is not None:
            os.close(self._lock_fd)
