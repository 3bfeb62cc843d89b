"""What the nursery knows: every actor, its owner, its name, its end. Events in, orders out; no I/O.

The nursery calls a method for each thing that happens and carries out the orders it returns:

    Tell(process, message)     send a message to one process (None: to all)
    Kill(process)              kill a process
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .deaths import End

__all__ = ["DRIVER", "Entry", "Kill", "Order", "Registry", "Tell"]

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


Order = Tell | Kill


@dataclass
class Entry:
    """One living actor."""

    actor: int
    process: int
    place: int | None
    name: str | None
    cls: str
    owner: int
    owner_process: int
    on_failure: str
    mailbox: tuple[int, str] = (1024, "block")
    """How many messages of one process may wait, and what a sender to a full mailbox does."""


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
    ) -> Entry:
        """Enter a new actor."""
        entry = Entry(self._next, process, place, name, cls, owner, owner_process, on_failure, mailbox)
        self._next += 1
        self.entries[entry.actor] = entry
        if name is not None:
            self._names[name] = entry.actor
        return entry

    def find(self, name: str) -> Entry:
        """The living actor of that name. LookupError if none."""
        if name not in self._names:
            raise LookupError(f"no actor is named {name!r}; named are: {', '.join(self._names) or 'none'}")
        return self.entries[self._names[name]]

    def inhabitants(self, process: int) -> list[Entry]:
        """The actors that live in a process."""
        return [entry for entry in self.entries.values() if entry.process == process]

    def end(self, end: End, alive: set[int]) -> list[Order]:
        """An actor has ended. `alive` are the processes that could have calls open to it."""
        entry = self.entries.pop(end.actor, None)
        if entry is None:
            return []
        if entry.name is not None:
            self._names.pop(entry.name, None)
        end = end._replace(cls=entry.cls, name=entry.name)
        self.ends[end.actor] = end
        while len(self.ends) > REMEMBERED:
            self.ends.popitem(last=False)
        ask = not end.orderly
        if ask:
            self._inquiries[end.actor] = _Inquiry(end, entry, set(alive))
        orders: list[Order] = [Tell(None, ("ended", end, ask))]
        for child in [child for child in self.entries.values() if child.owner == end.actor]:
            orders += self.leave(child)
        return orders

    def leave(self, entry: Entry) -> list[Order]:
        """An actor's owner has ended, so it ends too: with its process, or alone where the place is shared."""
        if entry.place is None:
            return [Kill(entry.process)]
        return [Tell(entry.process, ("leave", entry.actor))]

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
        """A process has ended: it answers no inquiry."""
        orders: list[Order] = []
        for actor in list(self._inquiries):
            if process in self._inquiries[actor].waiting:
                orders += self.had(actor, process, 0)
        return orders
