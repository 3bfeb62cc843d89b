"""What whoever supervises the actors' processes does, whatever they are: the nursery's forks, or actors of Ray.

It carries out the orders of registry.py, answers what processes ask, and passes on their news. How a process is
made, killed and found dead is for those who inherit: nursery.py, and ray_nursery.py.

    a process ── line ──► Supervisor._on_... ──► Registry ──► orders: Tell, Kill, Revive ──► lines, processes
"""

from __future__ import annotations

import time
from typing import Any

from .answers import Answers
from .control import Line
from .deadlock import Deadlocks
from .deaths import End
from .faults import encode_error
from .registry import DRIVER, Kill, Order, Registry, Revive, Tell
from .restarts import Terms
from .status import read_started
from .ward import Ward

__all__ = ["NEVER", "Supervisor"]

NEVER = 1e18
INQUIRY = 0.25
"""Seconds that the processes get to say who had calls open to a dead actor."""


class Supervisor(Answers):
    """See the module. Used by one thread.

    Args:
        first: the number of the first actor, and of the first process.
        driver: the line to the driver.
    """

    def __init__(self, first: int, driver: Line) -> None:
        super().__init__()
        self.registry = Registry(first)
        self._next = first
        self.driver = driver
        self.workers: dict[int, Ward] = {}
        self.places: dict[int, int] = {}
        self.deadlocks = Deadlocks()
        self.deadlines: dict[int, float] = {}  # actor -> when its inquiry ends
        self.due: dict[int, float] = {}  # actor -> when it starts again
        self.unsettled: list[tuple[int, int]] = []  # who asked to hear when all inquiries are over

    def _make(self, number: int, wish: dict[str, Any]) -> Ward:
        """Start a process."""
        raise NotImplementedError

    # -- what is due -----------------------------------------------------------------------------

    def _next_due(self) -> float:
        """When `_conclude` has something to do next, as `time.monotonic` has it."""
        return min(self.deadlocks.recheck or NEVER, *self.deadlines.values(), *self.due.values(), NEVER)

    def _conclude(self) -> None:
        now = time.monotonic()
        self._carry_out(self.deadlocks.tick())
        for actor in [actor for actor, deadline in self.deadlines.items() if deadline <= now]:
            del self.deadlines[actor]
            self._carry_out(self.registry.conclude(actor))
        for actor in [actor for actor, when in self.due.items() if when <= now]:
            del self.due[actor]
            self._revive(actor)
        if not self.deadlines:
            for number, request in self.unsettled:
                if number == DRIVER or number in self.workers:
                    self._answer(number, request, None)
            self.unsettled.clear()
        for line in self._lines():
            line.flush()

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

    # -- news from the processes -----------------------------------------------------------------

    def _on_ended(self, number: int, end: End) -> None:
        """An actor has ended in its process. Where the process ends with it, the news waits for that."""
        worker = self.workers[number]
        if worker.shared:
            self._publish(end._replace(started=read_started(worker.page, end.actor)))
        else:
            worker.ends[end.actor] = end

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
        worker = self._make(self._next, wish)
        self._next += 1
        self.workers[worker.number] = worker
        if worker.shared:
            self.places[place] = worker.number
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

    def _gone(self, worker: Ward, code: int | None, last_words: str) -> None:
        """A process has ended, with it all who lived there. Its exit code, negative for a signal; None if unknown."""
        for entry in (inhabitants := self.registry.inhabitants(worker.number)):
            entry.wish["options"] = worker.options
            self._publish(worker.end_of(entry, code, last_words))
        silent = [] if inhabitants else [Tell(None, ("gone", worker.number))]  # no actor's end tells of the process's
        self._carry_out([*self.registry.gone(worker.number), *silent])

    def _forget(self, worker: Ward) -> None:
        """It is not among the processes any more, and its place is free."""
        del self.workers[worker.number]
        if worker.shared:
            self.places.pop(worker.place, None)  # type: ignore[arg-type]

    def _publish(self, end: End) -> None:
        now, dead = time.monotonic(), self.registry.at(end.actor)
        self._carry_out(self.registry.end(end, {DRIVER, *self.workers}, now))
        for actor in self.registry._inquiries:
            self.deadlines.setdefault(actor, now + INQUIRY)
        if dead is not None:
            self._carry_out(self.deadlocks.forget(dead.actor))
