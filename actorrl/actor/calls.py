"""What a process sends to actors: calls, tells and group calls, each once there is room for it.

`processes.py` offers these to the program and to the handlers of its actors.

    call ──► meet: which way? ──► room in its mailbox? ──► post.py
                  │ ended                 │ full: wait and receive meanwhile, or MailboxFull
                  ▼                       │ it starts again: moves.py keeps the message
             ActorDied, through the future
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from .arguments import encode_call
from .births import Births
from .codec import Encoded
from .context import here
from .deaths import End, died
from .engine import Call
from .future import Future, Patience
from .lean import lean
from .moves import Moves
from .packing import UNFIT, pack_value
from .plain import ATOMS, PLAIN, is_plain
from .post import Post
from .receiver import Waiter
from .ref import ActorRef
from .routes import Route, refusal
from .waits import Waits

__all__ = ["Calls"]

ON_ITS_WAY = 0.01
"""Seconds that a message between two processes may take on a busy machine."""
log = logging.getLogger("actorrl")


class Calls:
    """See the module.

    Args:
        patience: what the futures of the calls ask.
        post: sends the messages.
        births: knows the actors that this process has not met.
        moves: knows those that have died and start again.
        waits: where a handler waits for room.
    """

    def __init__(self, patience: Patience, post: Post, births: Births, moves: Moves, waits: Waits) -> None:
        self._patience, self._post, self._births = patience, post, births
        self._moves, self._waits = moves, waits
        self._token, self._ledger, self._receiver = post.token, post.ledger, post.receiver

    def call(
        self, ref: ActorRef[Any], method: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Future[Any]:
        route: Any = self._ledger.routes.get(ref._actor)
        if route is None or ref._token != self._token:
            route = self.meet(ref)
            if isinstance(route, End):
                return self._too_late(Call(ref, method, function, args, kwargs), route)
        future: Future[Any] = Future(self._patience, ref._cls, method, ref._actor)
        # One number is looked at here: most calls have no more, and to ask elsewhere costs as much as the rest.
        kind = type(args[0]) if len(args) == 1 else tuple
        if function is None and not kwargs and (kind in ATOMS or (kind in PLAIN and is_plain(args))):
            if not self._post.send_small(route, future, method, args):
                self._send(route, Call(ref, method, function, args, kwargs), future)
        elif function is not None or kwargs or not self._send_lean(route, method, args, None, future):
            self._send(route, Call(ref, method, function, args, kwargs), future)
        if not self._receiver.armed:
            self._receiver.arm()
        if ref._actor in self._ledger.ends:
            self._ended_meanwhile(future)
        return future

    def _too_late(self, call: Call, end: End) -> Future[Any]:
        encode_call(call)  # what could not be sent is refused all the same
        future: Future[Any] = Future(self._patience, call.ref._cls, call.method, call.ref._actor)
        self._ledger.answer_dead(future, end)
        return future

    def _ended_meanwhile(self, future: Future[Any]) -> None:
        """The actor's end may have been noted before the call was open: then nobody else answers it."""
        end = self._ledger.ends.get(future._actor)
        if end is not None and self._ledger.close(future._call_id) is not None:
            self._ledger.answer_dead(future, end)

    def tell(
        self, ref: ActorRef[Any], method: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        route: Any = self._ledger.routes.get(ref._actor)
        if route is None or ref._token != self._token:
            route = self.meet(ref)
            if isinstance(route, End):
                encode_call(Call(ref, method, function, args, kwargs))
                log.error("the message %s was not delivered: %s", method, died(route, method, False))
                return
        if function is None and not kwargs and is_plain(args):
            if not self._post.send_small(route, None, method, args):
                self._send(route, Call(ref, method, function, args, kwargs), None)
        elif function is not None or kwargs or not self._send_lean(route, method, args, None, None):
            self._send(route, Call(ref, method, function, args, kwargs), None)

    def call_group(
        self, refs: Sequence[ActorRef[Any]], method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[Future[Any]]:
        futures: list[Future[Any]] = []
        ways: dict[int, list[tuple[Route, Future[Any]]]] = {}
        for ref in refs:
            route = self.meet(ref)
            future: Future[Any] = Future(self._patience, ref._cls, method, ref._actor)
            futures.append(future)
            if isinstance(route, End):
                self._ledger.answer_dead(future, route)
            else:
                ways.setdefault(route.process, []).append((route, future))
        for members in ways.values():
            self._send_group(members, Call(members[0][0].ref, method, None, args, kwargs))
        self._receiver.arm()
        for future in futures:
            self._ended_meanwhile(future)
        return futures

    def _send_group(self, members: list[tuple[Route, Future[Any]]], call: Call) -> None:
        """Send a call to actors of one process once all of them have room; one by one where any starts again."""
        routes = [route for route, _ in members]
        body: Any = call.args
        if call.kwargs or not is_plain(call.args):
            body = encode_call(call, self._post.known(routes[0].process))
        while not self._post.send_group(routes, call.method, body, [future for _, future in members]):
            if any(route.barred for route in routes):
                for route, future in members:
                    self._send(route, call._replace(ref=route.ref), future)
                return
            for route in routes:
                self._make_room(route, body.size if isinstance(body, Encoded) else 0, call.method)

    def _send(self, way: Route, call: Call, future: Future[Any] | None) -> None:
        """Send a message once there is room for it, or have it kept until its actor lives again."""
        route: Route | None = way
        while route is not None:
            if route.barred:
                route = self._moves.park(route, call, future)
            else:
                size = self._try(route, call, future)
                if size is None:
                    return
                self._make_room(route, size, call.method)

    def _try(self, route: Route, call: Call, future: Future[Any] | None) -> int | None:
        """Send a message; its size where there was no room for it."""
        post, function, key = self._post, call.function, None
        if not call.kwargs and is_plain(call.args):
            if function is not None:
                key = function.address(route.peer.known)
            rest = (call.args,) if function is None else (call.args, key)
            if function is None or key is not None:
                return None if post.send_small(route, future, call.method, *rest) else 0
        elif function is not None and not call.kwargs:
            key = function.address(route.peer.known)
            if key is not None and self._send_lean(route, call.method, call.args, key, future):
                return None
        packed = pack_value(call.args), pack_value(call.kwargs)
        if UNFIT not in packed and function is None:
            return None if post.send_small(route, future, call.method, *packed, None) else 0
        body = encode_call(call, post.known(route.process))
        return None if post.send_call(route, call, body, future) else body.size

    def _send_lean(
        self, route: Route, method: str, args: tuple[Any, ...], key: str | None, future: Future[Any] | None
    ) -> bool:
        """Send plain values and arrays without the pickler. False, and nothing sent, where that cannot be."""
        made = lean(args)
        if made is None:
            return False
        while not (sent := self._post.lean.send(route, method, made, key, future)):
            if sent is None or route.barred:
                return False
            self._make_room(route, made[1], method)
        return True

    def _make_room(self, route: Route, size: int, method: str) -> None:
        """Return when the actor can take so many bytes, has ended or starts again; or raise MailboxFull."""
        me = here.cell
        itself = me is not None and me.ref == route.ref
        if not itself and route.on_full == "block":
            self._await_room(route, size, method, None)
            return
        self._post.transport.flush()
        self._receiver.drain()
        if route.stuck(size) and not itself and route.refused != route.sent + route.started:
            # The news that one was taken may be on its way; once for each state of the mailbox we wait for it.
            self._await_room(route, size, method, time.monotonic() + ON_ITS_WAY)
            route.refused = route.sent + route.started
        if route.stuck(size):
            raise refusal(route.ref, route.sent - route.started, route.limit, method, itself)

    def _await_room(self, route: Route, size: int, method: str, deadline: float | None) -> None:
        me, waiter = here.cell, Waiter()
        route.blocked.append(waiter)  # before it asks: whatever is told from now on wakes it, and it asks again
        try:
            sent = route.sent
            if route.overweight(size):  # full of few large ones: it says too seldom what it has taken
                self._post.ask(route)

            def over() -> bool:  # or another thread has sent large ones meanwhile: to ask of these too
                return not route.stuck(size) or (route.sent != sent and route.overweight(size))

            if me is None and self._receiver.lead(over, deadline):
                return
            if route.stuck(size) and me is None:
                self._receiver.until(waiter, deadline)
            elif route.stuck(size) and me is not None:
                self._waits.until(me, waiter, deadline, route=route, method=method)
        finally:
            route.blocked.remove(waiter)

    def meet(self, ref: ActorRef[Any]) -> Route | End:
        """The way to an actor, or its end. The first time a ref is met, the nursery is asked."""
        if ref._token != self._token:
            return End(ref._actor, "system shut down", ref._cls, ref._name, None)
        route = self._ledger.routes.get(ref._actor)
        if route is not None:
            return route
        end = self._ledger.ends.get(ref._actor)
        if end is None:
            end, where = self._births.ask("alive", ref._actor)
            if end is None:
                return self._moves.meet(ref, *where)
            self._ledger.ends[ref._actor] = end
        return end
