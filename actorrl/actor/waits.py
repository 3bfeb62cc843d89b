"""The waits of the handlers of this process: told to the nursery when they last, broken when it says so.

A handler that waits for the answer of a call, or for room in a mailbox, holds its actor: if those it
waits for wait for it, nobody ever goes on. See deadlock.py for how that is found out.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import DeadlockError
from .context import here
from .future import DONE, Future
from .receiver import Receiver, Waiter
from .transport import MOMENT

if TYPE_CHECKING:
    from .cell import Cell
    from .host import Host
    from .routes import Route

__all__ = ["PROBED_AFTER", "Wait", "Waits"]

PROBED_AFTER = 0.1
"""Seconds after which a wait is told."""
FEW = 16
"""So many futures may be looked at after every message."""


class Wait:
    """One handler that waits: for `need` of the calls, or for room on a route."""

    def __init__(self, number: int, cell: Cell, waiter: Waiter, need: int, awaited: Sequence[Future[Any]]) -> None:
        self.number, self.cell, self.waiter = number, cell, waiter
        self._need, self._awaited = need, awaited
        self.route: Route | None = None
        self.method = ""
        self.error: DeadlockError | None = None

    def now(self, process: int) -> tuple[int, list[tuple[int, int, int, str]]]:
        """How many are still needed, of which (see deadlock.Edge)."""
        if self.route is not None:
            return 1, [(self.route.ref._actor, process, 0, self.method)]
        done, edges = 0, []
        for future in self._awaited:
            parts = [part for part in future._parts or (future,) if part._state not in DONE]
            if future._state in DONE or not parts:
                done += 1
            else:
                edges.append((parts[0]._actor, process, parts[0]._call_id, parts[0]._method))
        return max(0, self._need - done), edges

    def cancel(self) -> None:
        """Give up the calls that were waited for."""
        for future in self._awaited:
            future.cancel()


class Waits:
    """The waits of this process that have lasted.

    Args:
        process: this process.
        receiver: where threads wait.
        news: sends a message to the nursery.
        host: where the actors of this process live.
    """

    def __init__(
        self, process: int, receiver: Receiver, news: Callable[..., None], host: Callable[[], Host | None]
    ) -> None:
        self._process, self._receiver, self._news, self._host = process, receiver, news, host
        self._waits: dict[int, Wait] = {}
        self._numbers = itertools.count(1)

    def until(
        self,
        cell: Cell,
        waiter: Waiter,
        deadline: float | None,
        need: int = 1,
        awaited: Sequence[Future[Any]] = (),
        route: Route | None = None,
        method: str = "",
        moment: float | None = None,
    ) -> None:
        """Let a handler of `cell` wait, like `Receiver.until`, for `need` of the calls or for room on a route.

        Args:
            cell: whose handler it is.
            waiter: told when it is over.
            deadline: time.monotonic() at which it gives up.
            need: how many of the calls have to end.
            awaited: the calls.
            route: or the way on which there is to be room, for `method`.
            method: what is to be sent.
            moment: time.monotonic() at which the wait counts as one that lasts.

        Raises:
            DeadlockError: where the wait would never end.
        """
        cell.born()
        moment = time.monotonic() + PROBED_AFTER if moment is None else moment
        self._receiver.until(waiter, moment if deadline is None else min(moment, deadline))
        if waiter.ready() or (deadline is not None and time.monotonic() >= deadline):
            return
        wait = self._begin(cell, waiter, need, awaited, route, method)
        try:
            self._receiver.until(waiter, deadline)
        finally:
            self._end(wait)
        if wait.error is not None:
            wait.cancel()
            raise wait.error

    def briefly(self, futures: Sequence[Future[Any]], count: int, deadline: float | None) -> float | None:
        """The usual wait of a handler, for any of a few calls that are answered soon, without what longer ones need.

        None where it is over; else the time.monotonic() at which it counts as one that lasts.
        """
        now = time.monotonic()
        if here.cell is None or here.awaited is not None or count != 1 or len(futures) > FEW:
            return now + PROBED_AFTER
        here.cell.born()
        left = MOMENT if deadline is None else min(MOMENT, int(1000 * (deadline - now) + 0.999))
        if left <= 0 or not self._receiver.lead_a_moment(partial(_any_done, futures), left):
            return now + PROBED_AFTER
        now = time.monotonic()
        over = _any_done(futures) or (deadline is not None and now >= deadline)
        return None if over else now

    def _begin(
        self,
        cell: Cell,
        waiter: Waiter,
        need: int,
        awaited: Sequence[Future[Any]],
        route: Route | None,
        method: str,
    ) -> Wait:
        wait = Wait(next(self._numbers), cell, waiter, need, awaited)
        wait.route, wait.method = route, method
        actor = cell.ref._actor
        self._waits[actor] = wait
        host = self._host()
        if host is not None:
            host.tell_all_credits(actor)  # nobody is to wait for room that there is
        doing = host.doing(actor) if host is not None else None
        label = f"{cell.ref!r}" + (f" in {doing}()" if doing else "")
        self._news("waits", "begin", actor, wait.number, label, *wait.now(self._process))
        return wait

    def _end(self, wait: Wait) -> None:
        actor = wait.cell.ref._actor
        if self._waits.get(actor) is wait:
            del self._waits[actor]
        self._news("waits", "end", actor, wait.number)

    def probe(self, round_: int, actor: int, number: int, calls: list[tuple[int, int]]) -> None:
        """Answer the nursery: what the actor waits for now, and which of the calls wait at it."""
        wait, host = self._waits.get(actor), self._host()
        fresh = wait.now(self._process) if wait is not None and wait.number == number else None
        held = host.held(actor, calls) if host is not None else []
        self._news("waits", "probed", round_, actor, number, fresh, held)

    def broken(self, actor: int, number: int, text: str) -> None:
        """The nursery has found that the wait would never end."""
        wait = self._waits.get(actor)
        if wait is not None and wait.number == number:
            wait.error = DeadlockError(f"a deadlock: {text}. Call without waiting, or let one of them return first")
            wait.waiter.broken()


def _any_done(futures: Sequence[Future[Any]]) -> bool:
    return any(future._state in DONE for future in futures)
