"""What the nursery answers to those who ask about actors: where one lives, who has a name, who is there.

`Nursery` inherits it, so that its own file is about processes. Everything here is bookkeeping of
registry.py and a reading of the status pages; a kill or a restart is an order that the nursery carries out.

    a process ── ("alive", request, actor) ──► Answers ── ("answer", request, error, value) ──► the process
"""

from __future__ import annotations

from typing import Any

from .control import Line
from .deaths import End
from .registry import DRIVER, Order, Registry, Tell
from .status import read
from .ward import Ward

__all__ = ["Answers"]

BEHIND = 1 << 20
"""Bytes that wait for an owner before the states of its actors wait too, the newest of each alone."""


class Answers:
    """See the module."""

    registry: Registry
    driver: Line
    workers: dict[int, Ward]

    def __init__(self) -> None:
        self._late: dict[int, tuple[int, bytes]] = {}  # actor -> its owner's process and the state to keep

    def _answer(self, number: int, request: int, error: Exception | None, value: Any = None) -> None:
        self._line(number).send("answer", request, error, value)

    def _line(self, number: int) -> Line:
        return self.driver if number == DRIVER else self.workers[number].line

    def _on_find(self, number: int, request: int, name: str) -> None:
        try:
            entry = self.registry.find(name)
        except LookupError as error:
            self._answer(number, request, error)
        else:
            self._answer(number, request, None, (entry.process, entry.actor, entry.cls, entry.name))

    def _on_alive(self, number: int, request: int, actor: int) -> None:
        """How the actor ended, or where it lives: address, process (None while it waits for one), its mailbox."""
        entry = self.registry.entries.get(actor)
        if entry is not None:
            where = entry.address, None if entry.waiting else entry.process, entry.mailbox
            self._answer(number, request, None, (None, where))
        else:
            end = self.registry.ends.get(actor) or End(actor, "stopped", "an actor", None, None)
            self._answer(number, request, None, (end, None))

    def _on_actors(self, number: int, request: int) -> None:
        rows: list[tuple[Any, ...]] = []
        for entry in self.registry.entries.values():
            if entry.waiting:
                rows.append((entry.name, entry.cls, None, entry.place, "restarting", 0, 0, 0.0, entry.restarts))
                continue
            worker = self.workers[entry.process]
            reading = read(worker.page, entry.address)
            if reading is not None and reading.state == "running":
                worker.line.send("count")  # whoever asks again finds it on the page
            fields = reading[:4] if reading else ("starting", 0, 0, 0.0)
            rows.append((entry.name, entry.cls, worker.pid, entry.place, *fields, entry.restarts))
        self._answer(number, request, None, rows)

    def _on_stopping(self, number: int, request: int, actors: list[int]) -> None:
        """Somebody is about to stop these: where each lives. One that waits to start again ends here and now."""
        places = []
        for actor in actors:
            self._carry_out(self.registry.finish(actor, "stopped"))
            entry = self.registry.entries.get(actor)
            places.append((entry.address, entry.process) if entry is not None else None)
        self._answer(number, request, None, places)

    def _on_kill(self, number: int, request: int, actor: int) -> None:
        self._carry_out(self.registry.finish(actor, "killed"))
        entry = self.registry.entries.get(actor)
        if entry is not None:
            self.workers[entry.process].asked.add(actor)
            self._kill(entry.process, "killed")
        self._answer(number, request, None)

    def _on_checkpoint(self, number: int, address: int, state: bytes) -> None:
        """An actor's owner keeps its state. One that reads slowly gets the newest only."""
        entry = self.registry.at(address)
        if entry is not None:
            owner = entry.owner_process
            if (owner == DRIVER or owner in self.workers) and self._line(owner).waiting > BEHIND:
                self._late[entry.actor] = owner, state
            else:
                self._late.pop(entry.actor, None)
                self._tell(Tell(owner, ("checkpoint", entry.actor, state)))

    def _hand_over(self, actor: int) -> None:
        """Before the actor starts again its owner has the newest state."""
        owner_process, state = self._late.pop(actor, (None, b""))
        if owner_process is not None:
            self._tell(Tell(owner_process, ("checkpoint", actor, state)))

    def _on_stack(self, number: int, request: int, actor: int) -> None:
        """What an actor runs and its stack, as far as that is written: asked for again until it is whole."""
        entry = self.registry.entries.get(actor)
        dump = None
        if entry is not None and not entry.waiting:
            dump = self.workers[entry.process].stack(entry.address)
        self._answer(number, request, None, dump)

    def _carry_out(self, orders: list[Order]) -> None:
        raise NotImplementedError

    def _tell(self, order: Tell) -> None:
        raise NotImplementedError

    def _kill(self, process: int, reason: str | None) -> None:
        raise NotImplementedError
