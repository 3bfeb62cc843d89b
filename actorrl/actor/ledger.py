"""What one process knows of calls and ends: which are open, who lives, who has ended and how. No I/O.

The engine enters a call before it sends it and looks the end up afterwards; the control thread
notes an end before it looks for open calls. So whichever comes first, one of the two finds the other
and no future is left behind.
"""

from __future__ import annotations

import itertools
from typing import Any

from .deaths import End, died
from .failures import Failures
from .future import Future
from .ref import ActorRef
from .routes import Route

__all__ = ["Ledger"]

REMEMBERED = 10_000


class Ledger:
    """The open calls, watchers, known actors and ends of this process. Safe from any thread."""

    def __init__(self) -> None:
        self.open: dict[int, Future[Any]] = {}
        self.ends: dict[int, End] = {}
        self.routes: dict[int, Route] = {}
        """The ways to the actors that this process has met and not seen end."""
        self.again: dict[int, Route] = {}
        """Of those that were started again, by the address of the incarnation."""
        self.policies: dict[int, str] = {}
        """`on_failure` of the actors that were spawned here."""
        self.failures = Failures()
        self._watchers: dict[int, list[Future[Any]]] = {}
        self.numbers = itertools.count(1)

    def enter(self, future: Future[Any]) -> int:
        """Open a call; its number, from 1 upward."""
        number = future._call_id = next(self.numbers)
        self.open[number] = future
        return number

    def close(self, number: int) -> Future[Any] | None:
        """Close a call; None if it is not open (answered, cancelled or failed)."""
        return self.open.pop(number, None)

    def answer_dead(self, future: Future[Any], end: End) -> None:
        """Settle a call to an actor that had ended before; whoever fetches it has received the end."""
        if end is self.ends.get(future._actor):  # not of an earlier system, whose numbers mean others
            self.failures.claim(future._actor)
        future._settle(None, died(end, future._method, False))

    def watch(self, ref: ActorRef[Any], future: Future[Any]) -> None:
        """Settle `future` with the reason when the actor ends, or at once if it has."""
        self._watchers.setdefault(ref._actor, []).append(future)
        end = self.ends.get(ref._actor)
        if end is not None:
            self._tell_watchers(end)
            future._settle(died(end, None, None))  # whoever noted the end may have taken the list before we joined it

    def has_open(self, actor: int) -> bool:
        """Whether a call to the actor is open."""
        return any(future._actor == actor for future in list(self.open.values()))

    def end(self, end: End, me: int) -> int:
        """An actor has ended: fail its open calls, tell who watches. How many received it.

        Args:
            end: how it ended, with the last call it had begun for each calling process.
            me: the number of this process.
        """
        self.ends[end.actor] = end
        route = self.routes.pop(end.actor, None)
        if route is not None:
            self.again.pop(route.actor, None)
            route.close()
        self.policies.pop(end.actor, None)
        if len(self.ends) > REMEMBERED:  # of older ones the nursery may still know
            del self.ends[next(iter(self.ends))]
        return self.lose(end, me) + self._tell_watchers(end)

    def lose(self, end: End, me: int) -> int:
        """What an actor has begun or not will not be answered: its open calls fail. How many that were."""
        received = 0
        for number, future in list(self.open.items()):
            if future._actor == end.actor and self.close(number) is not None:
                started = None if end.started is None else number <= end.started.get(me, 0)
                future._settle(None, died(end, future._method, started))
                received += 1
        return received

    def abandon(self) -> None:
        """The system is over: whatever is open fails."""
        for number, future in list(self.open.items()):
            if self.close(number) is not None:
                end = End(future._actor, "system shut down", future._cls, None, None)
                future._seen = True  # who ends the system knows that it ends
                future._settle(None, died(end, future._method, None))

    def _tell_watchers(self, end: End) -> int:
        watchers = self._watchers.pop(end.actor, [])
        for watcher in watchers:
            watcher._settle(died(end, None, None))
        return sum(watcher.receives for watcher in watchers)

