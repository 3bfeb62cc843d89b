"""What one process does about actors that die and start again: it keeps what is sent meanwhile.

The nursery tells every process, on one line and so in order, that an incarnation is gone and where
the next one lives. Between the two, messages are kept here, encoded, within the bound of the mailbox.

    "restarting" ──► its route is barred, its open calls fail      call ──► park ──► kept, in order
    "moved"      ──► a new route; what was kept goes first, then whoever calls
    "ended"      ──► what was kept fails as not started

Locks: first a peer's, then ours.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from .arguments import encode_call
from .codec import Encoded
from .deaths import End, died
from .engine import Call
from .frames import CANCEL, pack
from .future import Future
from .receiver import Waiter
from .ref import ActorRef
from .routes import Route, refusal

if TYPE_CHECKING:
    from .post import Post

__all__ = ["Moves"]

log = logging.getLogger("actorrl")


class _Kept:
    """What waits for one actor: counted as if it lay in its mailbox."""

    def __init__(self, barred: Route, limit: int) -> None:
        self.messages: list[tuple[Call, Encoded, Future[Any] | None]] = []
        self.bound = Route(barred.ref, None, None, limit, barred.on_full)


class Moves:
    """See the module. Safe from any thread.

    Args:
        post: sends the messages, and owns the ledger with the routes.
    """

    def __init__(self, post: Post) -> None:
        self._post, self._ledger = post, post.ledger
        self._lock = threading.RLock()  # a collection inside may run somebody's `__del__`, which may send
        self._news: dict[int, tuple[int, int | None, int]] = {}
        """Of actors that have died before: address, process (None while none is there), restarts."""
        self._kept: dict[int, _Kept] = {}

    def meet(
        self,
        ref: ActorRef[Any],
        address: int,
        process: int | None,
        bounds: tuple[int, str],
        pid: int | None = None,
    ) -> Route:
        """A route to an actor that the nursery has just told of; news of it may have come since."""
        with self._lock:
            found = self._ledger.routes.get(ref._actor)
            if found is not None:
                return found
            newer = self._news.get(ref._actor)
            if newer is not None and newer[0] >= address:
                (address, process, _), pid = newer, None
            where = process if process is not None else self._post.number
            route = Route(ref, self._post.peer(where), pid, *bounds, (address, where))
            if process is None:
                self._bar(route)
            self._enter(route)
            return route

    def newest(self, actor: int, process: int) -> tuple[int, int | None, int]:
        """Address, process and restarts of an actor that was just spawned in a process: it may have died since."""
        with self._lock:
            return self._news.get(actor, (actor, process, 0))

    def _enter(self, route: Route) -> None:
        self._ledger.routes[route.ref._actor] = route
        if route.actor != route.ref._actor:
            self._ledger.again[route.actor] = route

    def _bar(self, route: Route) -> None:
        limit = route.limit
        route.bar()
        self._kept[route.ref._actor] = _Kept(route, limit)

    # -- news, on the control thread ---------------------------------------------------------------

    def restarting(self, actor: int, address: int) -> None:
        """An incarnation is gone: nothing is sent to it any more."""
        with self._lock:
            self._news[actor] = address, None, 0
            route = self._ledger.routes.get(actor)
        if route is not None:
            with route.peer.lock, self._lock:
                if not route.barred:
                    self._bar(route)
                self._ledger.again.pop(route.actor, None)

    def moved(self, actor: int, address: int, process: int, pid: int, restarts: int) -> None:
        """Another incarnation starts: send it what was kept, then let the others."""
        with self._lock:
            self._news[actor] = address, process, restarts
            old, kept = self._ledger.routes.get(actor), self._kept.get(actor)
        if old is None or kept is None:
            return
        peer = self._post.peer(process)
        bounds = kept.bound.limit, kept.bound.on_full
        with peer.lock, self._lock:
            new = Route(old.ref, peer, pid, *bounds, (address, process))
            self._enter(new)  # for its credits; nobody else finds it before we let go of the peer
            for call, body, future in kept.messages:
                self._send(new, call, body, future)
            del self._kept[actor]
        for waiter in list(old.blocked):
            waiter.done()

    def _send(self, route: Route, call: Call, body: Encoded, future: Future[Any] | None) -> None:
        if future is None or not future.done():  # else it was cancelled
            self._post.send_call(route, call, body, future)
            if future is not None and future.cancelled():
                self._post.post(route.process, pack(CANCEL, route.actor, future._call_id, self._post.number))

    def ended(self, end: End) -> int:
        """It will not start again. How many calls that were kept have received that."""
        with self._lock:
            self._news.pop(end.actor, None)
            kept = self._kept.pop(end.actor, None)
        received = 0
        for call, _, future in kept.messages if kept is not None else ():
            received += future is not None
            self._lost(call, future, end)
        return received

    def abandon(self) -> None:
        """The system is over."""
        for actor, kept in list(self._kept.items()):
            ref = kept.bound.ref
            self.ended(End(actor, "system shut down", ref._cls, ref._name, None))

    # -- whoever sends -------------------------------------------------------------------------------

    def park(self, route: Route, call: Call, future: Future[Any] | None) -> Route | None:
        """Keep a message until its actor lives again.

        Returns:
            None, or the new route where there is one by now.

        Raises:
            MailboxFull: where as many are kept as the mailbox holds and `on_full` is "raise"; else we wait.
        """
        actor, body = route.ref._actor, encode_call(call).sealed()
        while True:
            with self._lock:
                now = self._ledger.routes.get(actor)
                end = self._ledger.ends.get(actor) if now is None else None
                if now is not None and not now.barred:
                    return now
                kept = self._kept.get(actor)
                if kept is not None and not kept.bound.full(body.size):
                    kept.bound.enter(body.size)
                    kept.messages.append((call, body, future))
                    return None
            if now is None:
                self._lost(call, future, end or End(actor, "system shut down", route.ref._cls, route.ref._name, None))
                return None
            if kept is not None and route.on_full == "raise":
                raise refusal(route.ref, kept.bound.sent, kept.bound.limit, call.method, False)
            self._await(now)

    def _await(self, route: Route) -> None:
        """Return when the actor has a route again, or has ended."""
        actor, waiter = route.ref._actor, Waiter()
        route.blocked.append(waiter)
        try:
            if self._ledger.routes.get(actor) is route:
                self._post.receiver.until(waiter)
        finally:
            route.blocked.remove(waiter)

    def _lost(self, call: Call, future: Future[Any] | None, end: End) -> None:
        if future is not None:
            self._ledger.answer_dead(future, end)
        else:
            log.error("the message %s was not delivered: %s", call.method, died(end, call.method, False))
