"""The engine "processes": actors in processes of their own, messages through ZeroMQ.

One ProcessEngine per process, in the driver and in every worker alike: each can spawn, call and
wait. It joins four things that know little of each other:

    calls.py     what is sent to actors, once there is room for it
    post.py      messages to and from the other processes
    births.py    the line to the nursery: spawns, names, ends
    host.py      the actors that live here (none in the driver)
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from .arguments import encode_spawn
from .births import Births, make_directory
from .callbacks import Callbacks
from .calls import Calls
from .cell import Cell
from .context import here
from .cradle import Cradles
from .deaths import End, died
from .engine import ActorInfo, Spawn, install
from .faults import error_text
from .frames import CANCEL, STOP, pack
from .future import Future, in_order
from .host import Host
from .keeping import check_keeps
from .moves import Moves
from .post import Post
from .reaping import kill_all_marked, kill_group
from .receiver import Waiter
from .ref import ActorRef
from .registry import DRIVER
from .residents import Birth
from .stacks import late, of_actor
from .status import Page
from .waits import Waits

__all__ = ["ProcessEngine"]

COUNTING = 0.005  # seconds that a busy process gets to count
EXAMPLES = 3
"""A shutdown that has to kill shows the stacks of so many actors."""
log = logging.getLogger("actorrl")


class ProcessEngine:
    """See the module. Made by `start` in the driver and by `join` in a worker."""

    def __init__(self, directory: str, token: str, number: int, line: socket.socket | None, seed: int) -> None:
        self.token, self.number = token, number
        self._directory = directory
        self._lock_fd: int | None = None
        self._root = Cell(ActorRef(token, number, 0, "the program"), "raise", seed, ())
        self._spawning = threading.Lock()
        self._callbacks = Callbacks()
        self._closing = False
        self.post = Post(directory, token, number, lambda *news: self.births.send(*news))
        self.ledger, self.receiver = self.post.ledger, self.post.receiver
        self.failures = self.ledger.failures
        self.births = Births(directory, token, self._on_news, self._on_lost, line)
        self.waits = Waits(number, self.receiver, lambda *news: self.births.send(*news), lambda: self.post.host)
        self._moves = Moves(self.post)
        self._cradles = Cradles(self.post, self._moves)
        calls = Calls(self, self.post, self.births, self._moves, self.waits)
        self.call, self.tell, self.call_group = calls.call, calls.tell, calls.call_group
        self._meet = calls.meet

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
        host = engine.post.host = Host(engine.post, engine.stop_children, place, page)
        engine.births.listen()
        install(engine)
        host.serve()
        engine.receiver.close()
        engine.post.transport.close(1.0)

    # -- spawning --------------------------------------------------------------------------------

    def spawn(self, spawn: Spawn) -> ActorRef[Any]:
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

    # -- news from the nursery, on the control thread ----------------------------------------------

    def _on_news(self, kind: str, *news: Any) -> None:
        if kind == "ended":
            self._on_ended(*news)
        elif kind == "restarting":
            self._on_restarting(*news)
        elif kind == "moved":
            self._on_moved(*news)
        elif kind == "checkpoint":
            self._cradles.keep(*news)
        elif kind in ("log", "restart"):
            log.log(logging.ERROR if kind == "log" else logging.WARNING, "%s", news[0])
        elif kind == "gone":
            self.post.transport.forget(news[0])
            self.receiver.nudge()
        elif kind == "failure":
            self.post.on_failure(*news)
            self.receiver.nudge()
        elif kind == "unreceived":
            self._on_unreceived(*news)
        elif kind == "leave" and self.post.host is not None:
            self.post.host.leave(news[0])
        elif kind == "count" and self.post.host is not None:
            self.post.host.count()
        elif kind == "probe":
            self.waits.probe(*news)
        elif kind == "deadlock":
            self.waits.broken(*news)
        elif kind == "abort":
            log.error("the program ends: an actor with on_failure='stop' failed")
            os.kill(os.getpid(), signal.SIGTERM)

    def _on_restarting(self, end: End, address: int) -> None:
        self._moves.restarting(end.actor, address)
        if self.ledger.has_open(end.actor) and not self._closing:
            self.receiver.settle()  # its last replies may still be on their way
        self.ledger.lose(end, self.number)
        if end.gone is not None:
            self.post.transport.forget(end.gone)
        self.receiver.nudge()

    def _on_moved(self, actor: int, address: int, process: int, pid: int, restarts: int) -> None:
        self._cradles.bear_again(actor, address, process, restarts)
        self._moves.moved(actor, address, process, pid, restarts)
        self.receiver.nudge()

    def _on_ended(self, end: End, ask: bool) -> int:
        if self.ledger.has_open(end.actor) and not self._closing:
            self.receiver.settle()  # its last replies may still be on their way
        self._cradles.ended(end.actor)
        received = self.ledger.end(end, self.number) + self._moves.ended(end)
        if ask:
            self.births.send("had", end.actor, received)
        if end.gone is not None:
            self.post.transport.forget(end.gone)
        self.receiver.nudge()
        return received

    def _on_unreceived(self, end: End, owner: int, on_failure: str) -> None:
        if self.ledger.failures.claimed(end.actor):
            return
        error = died(end, None, None)
        text = f"nobody had a call open to it:\n{error_text(error)}"
        if self.number == DRIVER:
            log.error("%s", text)
        else:
            self.births.send("log", text)
        if on_failure == "raise":
            self.ledger.failures.add(owner, -end.actor, None, lambda: error)
            self.receiver.nudge()
        elif on_failure == "stop":
            self.births.send("end_owner", owner)

    def _on_lost(self) -> None:
        if self._closing:
            return
        if self.number != DRIVER:
            os.killpg(0, signal.SIGKILL)
        kill_all_marked(self.token)
        self.births.forget()
        for route in list(self.ledger.routes.values()):
            ref, pid = route.ref, route.pid
            if pid is not None:
                kill_group(pid)
            end = End(ref._actor, "lost", ref._cls, ref._name, pid)
            policy = self.ledger.policies.get(ref._actor, "ignore")  # what another owner spawned ended with that one
            if not self._on_ended(end, False):
                self._on_unreceived(end, 0, policy)

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
            if self.births.nursery_pid is not None:
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
