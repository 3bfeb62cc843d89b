"""A process of actors that Ray has started, from its start to its end: what worker.py is to the nursery's forks.

The class below is the actor of Ray. Its methods run on threads of Ray's and only hand over; our actors have threads
of their own, as at any shared place.

    take ──► RayTransport ──► host ──► an actor's thread          line ──► what the supervisor tells
    out  ◄── one queue ◄── messages for the driver, news for the supervisor
"""

from __future__ import annotations

import faulthandler
import mmap
import os
import queue
import select
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

from . import dynamo, freight, speech, stacks, threads
from .ray_wire import StoreFreight
from .reaping import MARK, kill_all_marked
from .stacks import ROOM, Dump
from .status import SIZE, Page, read
from .turns import Turns

__all__ = ["LINE", "MESSAGE", "RayProcess", "machine"]

MESSAGE, LINE = 0, 1
"""What leaves for the driver: a message of an actor's, or bytes for the supervisor."""
MOST = 256
"""So many messages leave together."""
FATAL = (signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)


def machine() -> str:
    """Names this machine, as far as processes see each other's pids and files."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip() + os.readlink("/proc/self/ns/pid")
    except OSError:
        return socket.gethostname()


class RayProcess:
    """See the module.

    Args:
        told: `token`, `number`, `place`, `label`, `machine` and pid (`driver`) of the driver, `environment`, `cwd`,
            `path`, `threads`, `cpus`, `env`.
    """

    def __init__(self, told: dict[str, Any]) -> None:
        self._told = told
        self._out: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._near = machine() == told["machine"]
        self._lines = Turns()
        self._ours, self._theirs = socket.socketpair()
        self._page_file = os.memfd_create("actorrl", os.MFD_CLOEXEC)
        os.ftruncate(self._page_file, SIZE + ROOM)
        self._page = mmap.mmap(self._page_file, SIZE + ROOM)
        self._settle_in()
        store = StoreFreight()
        freight.use(store)
        from .ray_engine import RayEngine

        self._engine = RayEngine.of_actors(told, _Line(self._theirs, self._out.put), store, self._leave)
        self._deliver = self._engine.deliver
        threading.Thread(target=self._live, name="actorrl-host", daemon=True).start()
        if self._near and hasattr(os, "pidfd_open"):
            threading.Thread(target=self._outlive_no_driver, name="actorrl-driver", daemon=True).start()

    def __repr__(self) -> str:
        return str(self._told["label"])  # what Ray puts before what is printed here

    def _settle_in(self) -> None:
        """On the main thread, the last time that it does anything of ours. The process leads a group of its own."""
        told = self._told
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, as Ray has it, what is started here ends with code 0
        faulthandler.disable()
        for number in FATAL:  # Ray has handlers of its own, which let the actor go on, or tell of Ray's stack
            signal.signal(number, signal.SIG_DFL)
        faulthandler.enable(file=2, all_threads=False)
        if self._near:
            os.environ.update(told["environment"])
            try:
                os.chdir(told["cwd"])
            except OSError:
                pass
        sys.path += [entry for entry in told["path"] if entry not in sys.path and (entry or self._near)]
        one = threads.unasked(told["env"]) if told["threads"] is None else {}
        many = dict.fromkeys(threads.ONE_THREAD, str(told["threads"])) if told["threads"] is not None else {}
        os.environ.update({**one, **(told["env"] or {}), **many, MARK: f"{told['token']}:{told['number']}"})
        if told["cpus"] and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, told["cpus"])
        threads.allow(told["threads"] or 1)
        dynamo.install()
        stacks.write_on_demand(self._page_file, SIZE)

    def _live(self) -> None:
        engine = self._engine
        engine.births.send("hello", os.getpid(), machine(), self._page_file, _stderr())
        try:
            engine.serve(self._told["place"], Page(self._page))
        finally:
            speech.finish()
            self._out.put(None)

    # -- what arrives, on threads of Ray's ---------------------------------------------------------

    def take(self, sender: int, number: int, raw: bytes, buffers: Any) -> None:
        """A message of another process."""
        self._deliver(sender, number, raw, buffers)

    def line(self, number: int, data: bytes) -> None:
        """News from the supervisor, in order."""
        self._lines.admit(0, number, data)
        while self._lines.due:
            self._ours.sendall(self._lines.due.popleft())

    def stack(self, actor: int) -> tuple[Any, ...]:
        """What an actor runs, where its supervisor is on another machine: see stacks.py."""
        with tempfile.TemporaryFile("w+") as file:
            faulthandler.dump_traceback(file, all_threads=True)
            file.seek(0)
            text = file.read()
        reading = read(self._page, actor)
        return tuple(Dump(reading.running, reading.thread, text) if reading is not None else Dump(None, 0, text))

    # -- what leaves ---------------------------------------------------------------------------------

    def out(self) -> Iterator[list[Any]]:
        """What is for the driver, as it comes, until the process ends."""
        while True:
            items = [self._out.get()]
            while items[-1] is not None and len(items) < MOST and not self._out.empty():
                items.append(self._out.get())
            if items[-1] is None:
                yield items[:-1]
                return
            yield items

    def _leave(self, *message: Any) -> None:
        """A message for the driver."""
        self._out.put((MESSAGE, *message))

    def _outlive_no_driver(self) -> None:
        """A thread: on the driver's machine, end with it, and take along what the actors have started."""
        try:
            driver = os.pidfd_open(self._told["driver"])
            select.select([driver], [], [])
        except ProcessLookupError:
            pass  # it has ended already
        kill_all_marked(self._told["token"])
        os.killpg(0, signal.SIGKILL)


class _Line:
    """The line to the supervisor: what it says comes by a socket, what this process tells leaves with the messages.

    In one order with those: where an answer has arrived, so has the state that was saved before it.
    """

    def __init__(self, sock: socket.socket, put: Callable[[Any], None]) -> None:
        self._socket, self._put = sock, put

    def sendall(self, data: bytes) -> None:
        self._put((LINE, data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


def _stderr() -> str | None:
    """The file that stderr goes to, Ray's log of this process."""
    try:
        path = os.readlink("/proc/self/fd/2")
    except OSError:
        return None
    return path if os.path.isfile(path) else None
