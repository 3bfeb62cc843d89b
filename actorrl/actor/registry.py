"""What the nursery knows: every actor, its owner, its name, its end. Events in, orders out; no I/O.

The nursery calls a method for each thing that happens and carries out the orders it returns:

    Tell(process, message)     send a message to one process (None: to all)
    Kill(process)              kill a process
    Revive(actor, delay)       start an actor again in so many seconds, and say where with `revived`

A ref names an actor by one number for life. Every incarnation has an address of its own besides, so
that nothing that is still on its way from an earlier one can be taken for the new one's. An actor
that died and will start again has the entry that it had, with its name, and is `waiting`.

    add ──► lives ──end──► waiting ──revived──► lives ──end──► ended: told, its children leave
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .deaths import End, died
from .restarts import NEVER, Record, Terms

__all__ = ["DRIVER", "Entry", "Kill", "Order", "Registry", "Revive", "Tell"]

DRIVER = 0
"""The number of the driver's process, and of the program as an owner."""
REMEMBERED = 10_000
"""So many ends are kept for processes that meet a ref late."""


class Tell(NamedTuple):
    """Send `message` to `process`, or to all where it is None."""

    process: int | None
    message: tuple[Any, ...]


class Kill(NamedTuple):
    """Kill `process`."""

    process: int


class Revive(NamedTuple):
    """Start `actor` again in `delay` seconds."""

    actor: int
    delay: float


Order = Tell | Kill | Revive


@dataclass
class Entry:
    """One actor that lives, or will live again."""

    actor: int
    process: int
    """Where it lives, or last lived."""
    place: int | None
    name: str | None
    cls: str
    owner: int
    owner_process: int
    on_failure: str
    mailbox: tuple[int, str] = (1024, "block")
    """How many messages of one process may wait, and what a sender to a full mailbox does."""
    record: Record = field(default_factory=lambda: Record(NEVER))
    address: int = 0
    """The number of the present incarnation, or of the last one."""
    waiting: bool = False
    """Whether it has died and starts again in a while."""
    final: bool = False
    """Whether somebody asked for its end: whatever it dies of now, it stays dead."""
    restarts: int = 0
    wish: dict[str, Any] = field(default_factory=dict)
    """What the nursery was told to make its process of, where it may have to make another."""


@dataclass
class _Inquiry:
    """Who had calls open when an actor died: a death that somebody received is no failure."""

    end: End
    entry: Entry
    waiting: set[int] = field(default_factory=set)
    received: int = 0


class Registry:
    """All actors of one system."""

    def __init__(self, first: int = 1) -> None:
        self.entries: dict[int, Entry] = {}
        self.ends: OrderedDict[int, End] = OrderedDict()
        self._names: dict[str, int] = {}
        self._addresses: dict[int, int] = {}
        self._inquiries: dict[int, _Inquiry] = {}
        self._next = first

    def check_name(self, name: str | None) -> None:
        """ValueError if the name is taken."""
        if name is not None and name in self._names:
            entry = self.entries[self._names[name]]
            raise ValueError(f"the name {name!r} is taken by actor #{entry.actor}, a {entry.cls}")

    def add(
        self,
        process: int,
        place: int | None,
        name: str | None,
        cls: str,
        owner: int,
        owner_process: int,
        on_failure: str,
        mailbox: tuple[int, str] = (1024, "block"),
        terms: Terms = NEVER,
    ) -> Entry:
        """Enter a new actor."""
        number = self._next
        record = Record(terms)
        entry = Entry(number, process, place, name, cls, owner, owner_process, on_failure, mailbox, record, number)
        self._next += 1
        self.entries[number] = entry
        self._addresses[number] = number
        if name is not None:
            self._names[name] = entry.actor
        return entry

    def find(self, name: str) -> Entry:
        """The living actor of that name. LookupError if none."""
        if name not in self._names:
            raise LookupError(f"no actor is named {name!r}; named are: {', '.join(self._names) or 'none'}")
        return self.entries[self._names[name]]

    def at(self, address: int) -> Entry | None:
        """The actor whose present incarnation has this address."""
        return self.entries.get(self._addresses.get(address, 0))

    def inhabitants(self, process: int) -> list[Entry]:
        """The actors that live in a process."""
        return [entry for entry in self.entries.values() if entry.process == process and not entry.waiting]

    def end(self, end: End, alive: set[int], now: float = 0.0) -> list[Order]:
        """The actor with the address `end.actor` has ended: it is over, or starts again.

        Args:
            end: how it ended.
            alive: the processes that could have calls open to it.
            now: in seconds, of any clock.
        """
        entry = self.at(end.actor)
        if entry is None:
            return []
        end = end._replace(actor=entry.actor, cls=entry.cls, name=entry.name)
        if end.orderly or entry.final or entry.owner_process not in alive:
            return self._over(entry, end, alive)
        delay = entry.record.died(now, end)
        if delay is None:
            return self._over(entry, entry.record.verdict(end), alive)
        entry.waiting = True
        news = f"{died(end)}; it starts again in {delay:g} s"
        return [
            Tell(DRIVER, ("restart", news)),
            Tell(None, ("restarting", end, entry.address)),
            *self._orphan(entry.actor),
            Revive(entry.actor, delay),
        ]

    def revived(self, actor: int, process: int, pid: int) -> list[Order]:
        """A waiting actor starts again in a process; whoever owns it sends the constructor's message there."""
        entry = self.entries[actor]
        self._addresses.pop(entry.address, None)
        entry.address, entry.process, entry.waiting = self._next, process, False
        self._next += 1
        self._addresses[entry.address] = actor
        entry.restarts += 1
        return [Tell(None, ("moved", actor, entry.address, process, pid, entry.restarts))]

    def finish(self, actor: int, reason: str) -> list[Order]:
        """Somebody wants an actor to end: it does not start again, and if it waits for that it ends here and now."""
        entry = self.entries.get(actor)
        if entry is None:
            return []
        entry.final = True
        if not entry.waiting:
            return []
        return self._over(entry, End(actor, reason, entry.cls, entry.name, None, started={}), set())

    def _over(self, entry: Entry, end: End, alive: set[int]) -> list[Order]:
        """An actor has ended for good."""
        del self.entries[entry.actor]
        self._addresses.pop(entry.address, None)
        if entry.name is not None:
            self._names.pop(entry.name, None)
        self.ends[end.actor] = end
        while len(self.ends) > REMEMBERED:
            self.ends.popitem(last=False)
        ask = not end.orderly
        if ask:
            self._inquiries[end.actor] = _Inquiry(end, entry, set(alive))
        return [Tell(None, ("ended", end, ask)), *self._orphan(end.actor)]

    def _orphan(self, owner: int) -> list[Order]:
        """What a dead actor had spawned ends with it; also where it starts again, for it starts without children."""
        orders: list[Order] = []
        for child in [child for child in self.entries.values() if child.owner == owner]:
            orders += self.leave(child)
        return orders

    def leave(self, entry: Entry) -> list[Order]:
        """An actor's owner has ended, so it ends too: with its process, or alone where the place is shared."""
        if entry.waiting:
            return self.finish(entry.actor, "owner ended")
        entry.final = True
        if entry.place is None:
            return [Kill(entry.process)]
        return [Tell(entry.process, ("leave", entry.address))]

    def had(self, actor: int, process: int, count: int) -> list[Order]:
        """`process` had so many calls open to a dead actor (0 where it cannot answer any more)."""
        inquiry = self._inquiries.get(actor)
        if inquiry is None:
            return []
        inquiry.waiting.discard(process)
        inquiry.received += count
        return [] if inquiry.waiting else self.conclude(actor)

    def conclude(self, actor: int) -> list[Order]:
        """All have answered, or time is up: if nobody received the death, its owner gets it."""
        inquiry = self._inquiries.pop(actor, None)
        if inquiry is None or inquiry.received:
            return []
        entry = inquiry.entry
        return [Tell(entry.owner_process, ("unreceived", inquiry.end, entry.owner, entry.on_failure))]

    def gone(self, process: int) -> list[Order]:
        """A process has ended: it answers no inquiry, and what its own threads had spawned ends too."""
        orders: list[Order] = []
        for entry in list(self.entries.values()):
            if entry.owner_process == process and entry.actor in self.entries:
                orders += self.leave(entry)
        for actor in list(self._inquiries):
            if process in self._inquiries[actor].waiting:
                orders += self.had(actor, process, 0)
        return orders
