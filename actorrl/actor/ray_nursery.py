"""Who supervises the actors' processes on Ray: a thread of the driver, where the engine "processes" has its nursery.

What it decides is supervisor.py's. Ray starts the processes, on whichever node, and says when one has died.

    driver's engine ── a line ──► RayNursery ── Cluster.start ──► process (an actor of Ray)
                                     ▲  └────── line ────────────►  │
                                     └── one thread per process, ◄──┘ its stream: messages for the driver, and news
"""

from __future__ import annotations

import mmap
import os
import pickle
import queue
import re
import selectors
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from .births import Births
from .control import Client, Line
from .deaths import End
from .exits import Watch
from .launch import needs_fresh_start
from .ray_cluster import Cluster, Seat
from .ray_process import LINE, RayProcess, machine
from .registry import DRIVER, Entry
from .relay import KEPT, Voice
from .restarts import Terms
from .stacks import ROOM, Dump
from .status import SIZE
from .supervisor import NEVER, Supervisor
from .ward import Ward

__all__ = ["RayBirths", "RayNursery", "name_of"]

_LENGTH = struct.Struct("<I")
PATIENCE = 5.0
"""Seconds that the thread gets to end."""
SOON = 0.03
"""Seconds in which the last messages of a dead process arrive."""
GRACE = 1.0
"""Seconds that Ray gets to end a process. One that ends otherwise Ray reports to the user as out of memory."""
_OF_RAY = re.compile(rb"^:(?:job_id|actor_name|task_name):.*\n", re.MULTILINE)
"""What Ray writes into its logs."""
PRIVATE = ("RAY_", "CUDA_VISIBLE_DEVICES")
"""Variables that Ray sets for each of its processes."""


def name_of(token: str, number: int) -> str:
    """How Ray knows a process of a system."""
    return f"{token}:{number}"


class RayLine(Line):
    """The supervisor's end of the line to a process: its messages go as calls of Ray's."""

    def __init__(self, carry: Callable[..., Any]) -> None:
        self._carry, self._number = carry, 0
        self._inbound, self._outbound = bytearray(), bytearray()

    def send(self, *message: Any) -> None:
        data = pickle.dumps(message, 5)
        self._number += 1
        self._carry(self._number, _LENGTH.pack(len(data)) + data)

    def flush(self) -> bool:
        return True

    def fed(self, data: bytes) -> list[tuple[Any, ...]]:
        """The messages that are whole with these bytes."""
        self._inbound += data
        return self._whole()

    def close(self) -> None:
        pass


class RayWard(Ward):
    """One process of actors on Ray. What is on its page is known here where it lives on this machine."""

    def __init__(self, number: int, place: Any, options: dict[str, Any], seat: Seat) -> None:
        self.number, self.place, self.options, self.seat = number, place, options, seat
        self.voice = Voice(number)
        self.page = mmap.mmap(-1, SIZE + ROOM)
        self.line = RayLine(seat.line)
        self.killed: str | None = None
        self.asked: set[int] = set()
        self.demanded = False
        self.ends: dict[int, End] = {}
        self.near = False
        self._pid: int | None = None
        self._stderr: str | None = None
        self._stack: Any = None
        self.watch: Watch | None = None

    @property
    def pid(self) -> int:
        return self._pid  # type: ignore[return-value]

    def hello(self, pid: int, where: str, page: int, stderr: str | None) -> None:
        """It is there: on this machine its page can be read, also after its death."""
        self._pid, self.near = pid, where == machine()
        if self.near:
            self._stderr = stderr
            try:
                self.watch = Watch(pid)
                file = os.open(f"/proc/{pid}/fd/{page}", os.O_RDWR)
            except OSError:
                self.near = False
                return
            try:
                self.page = mmap.mmap(file, SIZE + ROOM)
            finally:
                os.close(file)

    def stack(self, actor: int) -> tuple[Any, ...]:
        if self.near:
            return super().stack(actor)
        if self._stack is None:
            self._stack = self.seat.stack(actor)
        return tuple(self._stack() or Dump(None, 0, ""))

    def end_of(self, entry: Entry, code: int | None, last_words: str) -> End:
        end = super().end_of(entry, code, last_words)
        return end if self.near else end._replace(started=None)

    def last_words(self) -> str:
        """What it wrote to stderr last."""
        if self._stderr is None:
            return ""
        try:
            with open(self._stderr, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - KEPT))
                self.voice.last = _OF_RAY.sub(b"", file.read())
        except OSError:
            return ""
        return self.voice.last_words()

    def kill(self) -> None:
        """End it at once, and on this machine what it has started too."""
        self.seat.kill()
        self.kill_group()

    def kill_group(self) -> None:
        """End what it has started."""
        if self.near and self._pid is not None:
            try:
                os.killpg(self._pid, signal.SIGKILL)
            except OSError:
                pass

    def code(self) -> int | None:
        """Its exit code, negative for a signal, where this machine can tell."""
        return self.watch.code() if self.watch is not None else None

    def close(self) -> None:
        self.page.close()
        if self.watch is not None:
            self.watch.close()


class RayNursery(Supervisor):
    """See the module.

    Args:
        cluster: where processes are started.
        token: names the system.
        sock: the driver's line.
        deliver: takes a message for the driver.
    """

    def __init__(self, cluster: Cluster, token: str, sock: socket.socket, deliver: Callable[..., None]) -> None:
        super().__init__(1, Line(sock))
        self._cluster, self._token, self._deliver = cluster, token, deliver
        self._arrived: queue.SimpleQueue[tuple[int, bytes | None]] = queue.SimpleQueue()
        self._bell, self._rung = socket.socketpair()
        self._bell.setblocking(False)
        self._rung.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.driver, selectors.EVENT_READ)
        self._selector.register(self._rung, selectors.EVENT_READ, self._take)
        self._followers: list[threading.Thread] = []
        self._finished: set[int] = set()
        self._dying: dict[int, float] = {}  # process on this machine -> when it is buried

    def run(self) -> None:
        """The thread: serve until the driver hangs up, then end everything."""
        try:
            while True:
                pause = self._next_due() - time.monotonic()
                wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.driver.waiting else 0)
                self._selector.modify(self.driver, wanted)
                for key, events in self._selector.select(None if pause > NEVER / 2 else max(0.0, pause)):
                    if key.data is not None:
                        key.data()
                    elif events & selectors.EVENT_READ and not self._listen():
                        return
                self._conclude()  # and sends the driver what it had no room for
        finally:
            self._end_everything()

    def _listen(self) -> bool:
        messages, alive = self.driver.receive()
        for message in messages:
            if message[0] == "bye":
                return False
            self._take_one(DRIVER, message)
        return alive

    def _take_one(self, number: int, message: tuple[Any, ...]) -> None:
        getattr(self, f"_on_{message[0]}")(number, *message[1:])

    def _take(self) -> None:
        try:
            while self._rung.recv(4096):
                pass
        except BlockingIOError:
            pass
        while not self._arrived.empty():
            number, data = self._arrived.get()
            worker = self.workers.get(number)
            if worker is None:
                continue
            assert isinstance(worker, RayWard)
            if data is None:
                self._take_leave(worker)
                continue
            for message in worker.line.fed(data):  # type: ignore[attr-defined]
                self._take_one(number, message)

    def _on_hello(self, number: int, *words: Any) -> None:
        worker = self.workers[number]
        assert isinstance(worker, RayWard)
        worker.hello(*words)
        if worker.watch is not None:
            self._selector.register(worker.watch, selectors.EVENT_READ, partial(self._died, worker))

    def _take_leave(self, worker: RayWard) -> None:
        """Nothing more comes from it: its process is dead, or ended in good order and Ray is to end it."""
        if worker.number in self._finished and worker.watch is not None:
            worker.seat.kill()
            self._dying.setdefault(worker.number, time.monotonic() + GRACE)  # or as soon as it is seen to be gone
        else:
            self._bury(worker)

    def _died(self, worker: RayWard) -> None:
        """Its process is gone: a moment later nothing of it will come. Ray says so too, but takes seconds."""
        if worker.number not in self.workers:
            return  # buried a moment ago, by an event of the same round
        self._selector.unregister(worker.watch)  # type: ignore[arg-type]
        worker.kill_group()
        self._dying[worker.number] = time.monotonic() + (0.0 if worker.number in self._finished else SOON)

    def _next_due(self) -> float:
        return min(super()._next_due(), *self._dying.values(), NEVER)

    def _conclude(self) -> None:
        now = time.monotonic()
        for number in [number for number, when in self._dying.items() if when <= now]:
            worker = self.workers.get(number)
            if isinstance(worker, RayWard):
                self._bury(worker)
            self._dying.pop(number, None)
        super()._conclude()

    # -- processes -------------------------------------------------------------------------------

    def _make(self, number: int, wish: dict[str, Any]) -> Ward:
        options, place = wish["options"], wish["place"]
        env, threads = options.get("env"), options.get("threads")
        told = {
            "token": self._token,
            "number": number,
            "place": place if isinstance(place, int) else None,
            "label": f"place {place}" if isinstance(place, int) else wish["name"] or wish["cls"],
            "machine": machine(),
            "driver": os.getpid(),
            "environment": {k: v for k, v in wish["environment"].items() if not k.startswith(PRIVATE)},
            "cwd": wish["cwd"],
            "path": wish["path"],
            "threads": threads,
            "cpus": options.get("cpus"),
            "env": env,
        }
        variables = env if needs_fresh_start(env) else None
        needs = {**options, "variables": variables, "stays": not Terms(*wish["terms"]).restarts}
        seat = self._cluster.start(RayProcess, name_of(self._token, number), place, needs, told)
        worker = RayWard(number, place, options, seat)
        follower = threading.Thread(target=self._follow, args=(worker,), name=f"actorrl-ray-{number}", daemon=True)
        self._followers.append(follower)
        follower.start()
        return worker

    def _follow(self, worker: RayWard) -> None:
        """A thread: what one process has for the driver, until it ends."""
        try:
            for items in worker.seat.news():
                for kind, *rest in items:
                    if kind == LINE:
                        self._tell_me(worker.number, rest[0])
                    else:
                        self._deliver(*rest)
            self._finished.add(worker.number)  # in good order: it only waits to be told to go
        except EOFError:
            pass
        finally:
            self._tell_me(worker.number, None)

    def _tell_me(self, number: int, data: bytes | None) -> None:
        self._arrived.put((number, data))
        try:
            self._bell.send(b"!")
        except OSError:
            pass  # it is full of rings, or the system has ended

    def _kill(self, process: int, reason: str | None) -> None:
        worker = self.workers.get(process)
        if isinstance(worker, RayWard):
            worker.killed = worker.killed or reason
            worker.kill()

    def _bury(self, worker: RayWard) -> None:
        self._forget(worker)
        if worker.watch is not None and worker.watch.fileno() in self._selector.get_map():
            self._selector.unregister(worker.watch)
        code = worker.code() if worker.number not in self._finished else 0
        worker.kill()
        self._gone(worker, code, worker.last_words())
        worker.close()

    def _end_everything(self) -> None:
        left = [worker for worker in self.workers.values() if isinstance(worker, RayWard)]
        for worker in left:
            worker.seat.kill()
        gone = time.monotonic() + GRACE
        for worker in left:
            if worker.watch is not None:
                worker.watch.wait(max(0.0, gone - time.monotonic()))
            worker.kill_group()
        deadline = time.monotonic() + PATIENCE
        for follower in self._followers:
            follower.join(max(0.0, deadline - time.monotonic()))
        self._selector.close()
        for end in (self._bell, self._rung, self.driver):
            end.close()


class RayBirths(Births):
    """How the driver gets new actors on Ray: like births.py, with the thread in place of a process."""

    def __init__(
        self,
        cluster: Cluster,
        token: str,
        news: Callable[..., None],
        lost: Callable[[], None],
        deliver: Callable[..., None],
    ) -> None:
        super().__init__("", token, news, lost, None)
        self._cluster, self._deliver = cluster, deliver
        self._thread: threading.Thread | None = None

    @property
    def started(self) -> bool:
        return self._thread is not None

    def _ready(self) -> Client:
        with self._lock:
            if self._client is None:
                ours, theirs = socket.socketpair()
                nursery = RayNursery(self._cluster, self._token, theirs, self._deliver)
                self._thread = threading.Thread(target=nursery.run, name="actorrl-nursery", daemon=True)
                self._thread.start()
                self._client = Client(ours, self._news, self._lost)
                self._client.start()
            return self._client

    def forget(self) -> None:
        pass

    def close(self) -> None:
        """End every process of actors; returns when they are gone."""
        client, self._client = self._client, None
        if client is not None:
            client.send("bye")
        if self._thread is not None:
            self._thread.join(PATIENCE)
        if client is not None:
            client.close()
