"""The nursery: the process that starts the actors' processes, watches them, and cleans up after all.

One thread, no sockets of zmq, no user code: it is always there to answer. It has imported what is
heavy, so an actor starts as a fork of it in milliseconds; it watches the driver, so nothing outlives it.

    driver ══ Popen ══► nursery ══ fork ══► actor's process ══► whatever that starts
       └──── line ─────────┘ └────── line ──────┘                (killed with its group)

Every process hears from here who has ended. The nursery keeps one `Ward` per process and leaves
the bookkeeping of actors to registry.py.
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

from .answers import Answers
from .control import Line
from .deadlock import Deadlocks
from .deaths import End
from .door import files_of, unlink
from .faults import encode_error
from .launch import fork_worker, needs_fresh_start, start_worker
from .preloading import ALWAYS, preload
from .reaping import adopt_orphans, empty, ended_children, kill_descendants, kill_group, kill_strays
from .registry import DRIVER, Kill, Order, Registry, Revive, Tell
from .relay import Relay, standard_streams
from .restarts import Terms
from .slots import Slots
from .status import read_started
from .ward import Ward
from .worker import Settings, forked

__all__ = ["Nursery", "main"]

SWEEP = 0.1
"""Seconds after the end of a process when what it left behind is looked for."""
NEVER = 1e18
INQUIRY = 0.25
"""Seconds that the processes get to say who had calls open to a dead actor."""


class Nursery(Answers):
    """See the module."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__()
        self.directory: str = settings["directory"]
        self.token: str = settings["token"]
        self.driver_pid: int = settings["driver"]
        self.registry = Registry(settings["first"])
        self._next = settings["first"]
        self.driver = Line(socket.socket(fileno=settings["line"]))
        self.workers: dict[int, Ward] = {}
        self.places: dict[int, int] = {}
        self.deadlocks = Deadlocks()
        self.slots = Slots(settings.get("pool", -1))
        self._on_share = self.slots.told
        self.deadlines: dict[int, float] = {}  # actor -> when its inquiry ends
        self.sweep_at = NEVER
        self.due: dict[int, float] = {}  # actor -> when it starts again
        self.unsettled: list[tuple[int, int]] = []  # who asked to hear when all inquiries are over
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
        due = min(self.deadlocks.recheck or NEVER, self.sweep_at, *self.deadlines.values(), *self.due.values())
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
        now = time.monotonic()
        self._carry_out(self.deadlocks.tick())
        for actor in [actor for actor, deadline in self.deadlines.items() if deadline <= now]:
            del self.deadlines[actor]
            self._carry_out(self.registry.conclude(actor))
        if self.sweep_at <= now:
            found = kill_strays(self.token, self.workers, {worker.pid for worker in self.workers.values()})
            self.sweep_at = now + SWEEP if found else NEVER  # what those had started is ours by then
        for actor in [actor for actor, when in self.due.items() if when <= now]:
            del self.due[actor]
            self._revive(actor)
        if not self.deadlines:
            for number, request in self.unsettled:
                if number == DRIVER or number in self.workers:
                    self._answer(number, request, None)
            self.unsettled.clear()
        for worker in self.workers.values():
            worker.line.flush()
        self.driver.flush()

    def _carry_out(self, orders: list[Order]) -> None:
        for order in orders:
            if isinstance(order, Kill):
                self._kill(order.process, "owner ended")
            elif isinstance(order, Revive):
                self.due[order.actor] = time.monotonic() + order.delay
            elif order.process is None:
                for line in self._lines():
                    line.send(*order.message)
            else:
                self._tell(order)

    def _tell(self, order: Tell) -> None:
        assert order.process is not None
        if order.message[0] == "unreceived":
            self.deadlines.pop(order.message[1].actor, None)
        if order.process == DRIVER:
            self.driver.send(*order.message)
        elif order.process in self.workers:
            self.workers[order.process].line.send(*order.message)
        elif order.message[0] == "unreceived":  # its owner's process is gone as well: the driver logs it
            self.driver.send("log", f"{order.message[1]} and its owner had ended before")

    def _lines(self) -> list[Line]:
        return [self.driver, *(worker.line for worker in self.workers.values())]

    # -- requests --------------------------------------------------------------------------------

    def _on_spawn(self, number: int, request: int, wish: dict[str, Any]) -> None:
        try:
            self.registry.check_name(wish["name"])
            worker = self._worker_for(wish)
        except Exception as error:
            self._answer(number, request, error if isinstance(error, ValueError) else OSError(str(error)))
            return
        entry = self.registry.add(
            worker.number, wish["place"], wish["name"], wish["cls"], wish["owner"], number, wish["on_failure"],
            wish["mailbox"],
            Terms(*wish["terms"]),
        )  # fmt: skip
        if entry.record.terms.restarts:
            entry.wish = wish
        worker.voice.belongs_to(entry.name, entry.cls, entry.place, worker.pid)
        self._answer(number, request, None, (entry.actor, worker.number, worker.pid))

    def _on_settled(self, number: int, request: int) -> None:
        """Answered once it is known of every death so far whether somebody received it."""
        self.unsettled.append((number, request))

    # -- news from the workers -------------------------------------------------------------------

    def _on_ended(self, number: int, end: End) -> None:
        """An actor has ended in its process. Where the process ends with it, the news waits for that."""
        worker = self.workers[number]
        if worker.place is None:
            worker.ends[end.actor] = end
        else:
            self._publish(end._replace(started=read_started(worker.page, end.actor)))

    def _on_had(self, number: int, actor: int, count: int) -> None:
        self._carry_out(self.registry.had(actor, number, count))
        if actor not in self.registry._inquiries:
            self.deadlines.pop(actor, None)

    def _on_waits(self, number: int, event: str, *details: Any) -> None:
        """A handler has waited for long, waits no longer, or was asked (see deadlock.py)."""
        self._carry_out(getattr(self.deadlocks, event)(number, *details))

    def _on_log(self, number: int, text: str) -> None:
        self.driver.send("log", text)

    def _on_failure(self, number: int, owner_process: int, *failure: Any) -> None:
        self._tell(Tell(owner_process, ("failure", *failure)))

    def _on_end_owner(self, number: int, owner: int) -> None:
        """A failure whose `on_failure` is "stop": the owner ends too."""
        entry = self.registry.entries.get(owner)
        if entry is None:
            self.driver.send("abort")
        else:
            self._kill(entry.process, None)

    # -- processes -------------------------------------------------------------------------------

    def _worker_for(self, wish: dict[str, Any]) -> Ward:
        place, options = wish["place"], wish["options"]
        if place in self.places:
            worker = self.workers[self.places[place]]
            for key, value in options.items():
                have = worker.options.get(key, 1 if key == "threads" else None)
                if value != have:
                    raise ValueError(f"place {place} was made with {key}={have!r}; it cannot have {key}={value!r} too")
            return worker
        worker = Ward(self._next, place, options, self.relay.open(self._next))
        self._next += 1
        preload(wish["preload"])
        self._start(worker, wish)
        self.workers[worker.number] = worker
        if place is not None:
            self.places[place] = worker.number
        worker.hand_over()
        self.selector.register(worker.line, selectors.EVENT_READ, worker.number)
        return worker

    def _revive(self, actor: int) -> None:
        """Start an actor again, at its place if it has one: the first of those that died there makes it anew."""
        self._hand_over(actor)
        entry = self.registry.entries.get(actor)
        if entry is None:
            return  # it was stopped, or killed, while it waited
        try:
            worker = self._worker_for({**entry.wish, "options": {}} if entry.place in self.places else entry.wish)
        except Exception as error:
            why = encode_error(error)[0]
            self._publish(End(entry.address, "not started", entry.cls, entry.name, None, error=why, started={}))
            return
        worker.voice.belongs_to(entry.name, entry.cls, entry.place, worker.pid)
        self._carry_out(self.registry.revived(actor, worker.number, worker.pid))

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
        del self.workers[worker.number]
        if worker.place is not None:
            self.places.pop(worker.place, None)
        messages, _ = worker.line.receive()
        for message in messages:
            if message[0] == "ended":
                worker.ends[message[1].actor] = message[1]
            elif message[0] in ("failure", "log", "had", "end_owner", "share", "checkpoint"):
                getattr(self, f"_on_{message[0]}")(worker.number, *message[1:])
        self.slots.gone(worker.number)
        last_words = self.relay.bury(worker.voice)
        for entry in (inhabitants := self.registry.inhabitants(worker.number)):
            entry.wish["options"] = worker.options
            self._publish(worker.end_of(entry, code, last_words))
        silent = [] if inhabitants else [Tell(None, ("gone", worker.number))]  # no actor's end tells of the process's
        self._carry_out([*self.registry.gone(worker.number), *silent])
        try:
            self.selector.unregister(worker.line)
        except (KeyError, ValueError):
            pass
        worker.close()
        unlink(*files_of(self.directory, worker.number))

    def _publish(self, end: End) -> None:
        now, dead = time.monotonic(), self.registry.at(end.actor)
        self._carry_out(self.registry.end(end, {DRIVER, *self.workers}, now))
        for actor in self.registry._inquiries:
            self.deadlines.setdefault(actor, now + INQUIRY)
        if dead is not None:
            self._carry_out(self.deadlocks.forget(dead.actor))

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
