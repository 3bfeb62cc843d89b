"""The nursery: the process that starts the actors' processes, watches them, and cleans up after all.

One thread, no sockets of zmq, no user code: it is always there to answer. It has imported what is
heavy, so an actor starts as a fork of it in milliseconds; it watches the driver, so nothing outlives it.

    driver ══ Popen ══► nursery ══ fork ══► actor's process ══► whatever that starts
       └──── line ─────────┘ └────── line ──────┘                (killed with its group)

The nursery keeps one `Ward` per process. Who hears of what, and the bookkeeping of actors, is supervisor.py's.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import shutil
import signal
import socket
import sys
import time
from typing import Any

from .control import Line
from .door import files_of, unlink
from .launch import fork_worker, needs_fresh_start, start_worker
from .preloading import ALWAYS, preload
from .reaping import adopt_orphans, empty, ended_children, kill_descendants, kill_group, kill_strays
from .registry import DRIVER
from .relay import Relay, standard_streams
from .slots import Slots
from .supervisor import NEVER, Supervisor
from .ward import Ward
from .worker import Settings, forked

__all__ = ["Nursery", "main"]

SWEEP = 0.1
"""Seconds after the end of a process when what it left behind is looked for."""


class Nursery(Supervisor):
    """See the module."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings["first"], Line(socket.socket(fileno=settings["line"])))
        self.directory: str = settings["directory"]
        self.token: str = settings["token"]
        self.driver_pid: int = settings["driver"]
        self.slots = Slots(settings.get("pool", -1))
        self._on_share = self.slots.told
        self.sweep_at = NEVER
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.driver, selectors.EVENT_READ, DRIVER)
        self.relay = Relay(self.selector, socket.socket(fileno=settings["output"]))
        preload([*ALWAYS, *settings["preload"]])

    # -- the loop --------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until the driver hangs up or dies, then end everything."""
        self._watch_driver()
        self._watch_children()
        try:
            while self._driver_lives():
                for key, _ in self.selector.select(self._pause()):
                    if callable(key.data):
                        key.data()  # something to print, see relay.py
                    elif key.data == "children":
                        empty(key.fd)
                        self._reap()
                    elif key.data == "driver died" or not self._listen(key.data):
                        return
                self._conclude()
        finally:
            self._end_everything()

    def _pause(self) -> float:
        due = min(self.sweep_at, self._next_due())
        if due < NEVER:
            return max(0.0, due - time.monotonic())
        return 0.5 if self._poll_driver or any(line._outbound for line in self._lines()) else 3600.0

    def _listen(self, number: int) -> bool:
        """Take the messages of one process. False if the driver hung up."""
        if number != DRIVER and number not in self.workers:
            return True  # buried a moment ago, by an event of the same round
        line = self.driver if number == DRIVER else self.workers[number].line
        messages, alive = line.receive()
        for message in messages:
            if message[0] == "bye":
                return False
            getattr(self, f"_on_{message[0]}")(number, *message[1:])
        if not alive:
            if number == DRIVER:
                return False
            self.selector.unregister(line)
        return True

    def _conclude(self) -> None:
        if self.sweep_at <= time.monotonic():
            found = kill_strays(self.token, self.workers, {worker.pid for worker in self.workers.values()})
            self.sweep_at = time.monotonic() + SWEEP if found else NEVER  # what those had started is ours by then
        super()._conclude()

    # -- processes -------------------------------------------------------------------------------

    def _make(self, number: int, wish: dict[str, Any]) -> Ward:
        worker = Ward(number, wish["place"], wish["options"], self.relay.open(number))
        preload(wish["preload"])
        self._start(worker, wish)
        worker.hand_over()
        self.selector.register(worker.line, selectors.EVENT_READ, worker.number)
        return worker

    def _start(self, worker: Ward, wish: dict[str, Any]) -> None:
        environment = {**wish["environment"], **(worker.options.get("env") or {})}
        out, err = worker.voice.theirs
        settings = Settings(
            self.directory, self.token, worker.number, worker.place, worker.theirs.fileno(), worker.life_read,
            worker.page_fd, environment, wish["cwd"], wish["path"], worker.options.get("threads"),
            worker.options.get("cpus"), self.driver_pid, out, err, self.slots.fd, self.slots.take(worker.number),
        )  # fmt: skip
        if needs_fresh_start(worker.options.get("env")) or not hasattr(os, "fork"):
            worker.child = start_worker(*settings.for_fresh_start(), settings.out, settings.err)
        else:
            gc.freeze()  # what is imported stays shared: the collector of the child leaves it alone
            worker.child = fork_worker(self._in_child, settings, worker)

    def _in_child(self, settings: Settings, worker: Ward) -> None:
        self.selector.close()
        self.driver.close()
        self.relay.close()
        for other in [*self.workers.values(), worker]:
            other.close_in_child()
        signal.set_wakeup_fd(-1)
        for fd in self._own_fds:
            os.close(fd)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        forked(settings)

    def _kill(self, process: int, reason: str | None) -> None:
        worker = self.workers.get(process)
        if worker is not None and worker.child is not None:
            worker.killed = worker.killed or reason
            kill_group(worker.child.pid)

    def _reap(self) -> None:
        by_pid = {worker.child.pid: worker for worker in self.workers.values() if worker.child is not None}
        for pid in ended_children(list(by_pid)):
            worker = by_pid.get(pid)
            if worker is None:
                os.waitpid(pid, os.WNOHANG)  # an orphan of an actor: we adopted it
                continue
            kill_group(pid)  # before its pid is free again: what it started ends with it
            assert worker.child is not None
            code = worker.child.reap()
            self.sweep_at = time.monotonic() + SWEEP
            if code is not None:
                self._bury(worker, code)

    def _bury(self, worker: Ward, code: int) -> None:
        self._forget(worker)
        messages, _ = worker.line.receive()
        for message in messages:
            if message[0] == "ended":
                worker.ends[message[1].actor] = message[1]
            elif message[0] in ("failure", "log", "had", "end_owner", "share", "checkpoint"):
                getattr(self, f"_on_{message[0]}")(worker.number, *message[1:])
        self.slots.gone(worker.number)
        self._gone(worker, code, self.relay.bury(worker.voice))
        try:
            self.selector.unregister(worker.line)
        except (KeyError, ValueError):
            pass
        worker.close()
        unlink(*files_of(self.directory, worker.number))

    # -- life and death --------------------------------------------------------------------------

    def _watch_driver(self) -> None:
        self._own_fds: list[int] = []
        self._poll_driver = True
        if hasattr(os, "pidfd_open"):
            try:
                fd = os.pidfd_open(self.driver_pid)
            except OSError:
                return
            self._own_fds.append(fd)
            self.selector.register(fd, selectors.EVENT_READ, "driver died")
            self._poll_driver = False

    def _driver_lives(self) -> bool:
        return os.getppid() == self.driver_pid

    def _watch_children(self) -> None:
        read_end, write_end = os.pipe()
        os.set_blocking(read_end, False)
        os.set_blocking(write_end, False)
        self._own_fds += [read_end, write_end]
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        self.selector.register(read_end, selectors.EVENT_READ, "children")

    def _end_everything(self) -> None:
        for worker in self.workers.values():
            if worker.child is not None:
                kill_group(worker.child.pid)
        kill_descendants(1.5)
        shutil.rmtree(self.directory, ignore_errors=True)
        self.relay.finish(wanted=self._driver_lives)


def main() -> None:
    """The nursery's process from start to end. Called by the code that `launch.start_nursery` runs."""
    settings = json.loads(sys.argv[2])
    sys.argv[:] = [""]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    standard_streams()
    adopt_orphans()
    try:
        Nursery(settings).run()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(0)
