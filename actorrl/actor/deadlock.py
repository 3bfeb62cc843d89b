"""Who waits for whom, and whether anybody ever will be answered. Events in, orders out; no I/O.

The nursery owns one. A process tells of every handler that has waited for more than a moment; when
no actor of a set can go on unless another of the set does, all of them are asked again, because an
answer may be on its way; if the set still stands, one of its waits is broken.

    waits.py ──begin, end──► Deadlocks ──probe──► waits.py ──probed──► Deadlocks ──deadlock──► one waiter

A wait needs so many of its calls: all of them for `fetch`, some for `wait`. So an actor is stuck when
too few of those it waits for are not (a knot, of which a cycle is the simplest).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .registry import Order, Tell

__all__ = ["Deadlocks", "Edge"]

AGAIN = 0.1
"""Seconds until a set that was not confirmed is looked at again."""


class Edge(NamedTuple):
    """One thing that is waited for: the answer of a call, or room in a mailbox."""

    target: int
    """The actor that has to do it."""
    process: int
    call: int
    """The call, by the calling process and its number there; 0 for room."""
    method: str


@dataclass
class _Wait:
    process: int
    number: int
    label: str
    """The actor and the method that waits."""
    need: int
    edges: list[Edge]
    held: set[tuple[int, int]] | None = None
    """Calls that wait at this actor, as it said when it was probed."""


@dataclass
class Deadlocks:
    """The waits of all actors, in the order in which they began."""

    waits: dict[int, _Wait] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    recheck: float | None = None
    """When `tick` is due."""
    _round: int = 0
    _asked: set[int] = field(default_factory=set)

    def begin(self, process: int, actor: int, number: int, label: str, need: int, edges: Iterable[Any]) -> list[Order]:
        """A handler of `actor` waits for `need` of `edges`."""
        self.waits.pop(actor, None)
        self.waits[actor] = _Wait(process, number, label, need, [Edge(*edge) for edge in edges])
        return self._probe()

    def end(self, process: int, actor: int, number: int) -> list[Order]:
        """It waits no longer."""
        wait = self.waits.get(actor)
        return self.forget(actor) if wait is not None and wait.number == number else []

    def forget(self, actor: int) -> list[Order]:
        """The actor has ended, or waits no longer."""
        self.waits.pop(actor, None)
        if actor in self._asked:
            self._asked.discard(actor)
            if not self._asked:
                return self._conclude()
        return []

    def probed(
        self, process: int, round_: int, actor: int, number: int, fresh: Any, held: Iterable[Any]
    ) -> list[Order]:
        """What an actor said: what it waits for now (None: nothing any more), and which calls wait at it."""
        wait = self.waits.get(actor)
        if round_ != self._round or actor not in self._asked or wait is None or wait.number != number:
            return []
        if fresh is None:
            return self.forget(actor)
        wait.need, wait.edges = fresh[0], [Edge(*edge) for edge in fresh[1]]
        wait.held = {(caller, call) for caller, call in held}
        self._asked.discard(actor)
        return self._conclude() if not self._asked else []

    def tick(self) -> list[Order]:
        """Look again at a set that was not confirmed before."""
        if self.recheck is None or self.clock() < self.recheck:
            return []
        self.recheck = None
        return self._probe()

    def stuck(self, confirmed: bool = False) -> set[int]:
        """The actors that wait for each other in vain; with `confirmed`, by edges that were confirmed."""
        left = set(self.waits)
        while True:
            free = {actor for actor in left if self._may_go_on(self.waits[actor], left, confirmed)}
            if not free:
                return left
            left -= free

    def _may_go_on(self, wait: _Wait, left: set[int], confirmed: bool) -> bool:
        hopeful = sum(edge.target not in left or (confirmed and not self._stands(edge)) for edge in wait.edges)
        return hopeful >= wait.need

    def _stands(self, edge: Edge) -> bool:
        """Whether the target said that it has the call and has not answered it."""
        held = self.waits[edge.target].held
        return held is not None and (not edge.call or (edge.process, edge.call) in held)

    def _probe(self) -> list[Order]:
        stuck = self.stuck()
        if not stuck or self._asked:
            return []
        self._round += 1
        self._asked = set(stuck)
        orders: list[Order] = []
        for actor in stuck:
            wait = self.waits[actor]
            wait.held = None
            calls = [
                (edge.process, edge.call)
                for other in stuck
                for edge in self.waits[other].edges
                if edge.target == actor and edge.call
            ]
            orders.append(Tell(wait.process, ("probe", self._round, actor, wait.number, calls)))
        return orders

    def _conclude(self) -> list[Order]:
        """All have answered: break one wait, or look again later."""
        stuck = self.stuck(confirmed=True)
        if not stuck:
            self.recheck = self.clock() + AGAIN if self.stuck() else None
            return []
        cycle = self._cycle(stuck)
        order = list(self.waits)
        victim = max(cycle, key=order.index)
        at = cycle.index(victim)
        text = self._described(cycle[at:] + cycle[:at], stuck)
        wait = self.waits.pop(victim)
        return [Tell(wait.process, ("deadlock", victim, wait.number, text)), *self._probe()]

    def _cycle(self, stuck: set[int]) -> list[int]:
        """Follow the edges until an actor comes again."""
        path = [max(stuck)]
        while True:
            following = self._edge(path[-1], stuck).target
            if following in path:
                return path[path.index(following) :]
            path.append(following)

    def _edge(self, actor: int, stuck: set[int]) -> Edge:
        return next(edge for edge in self.waits[actor].edges if edge.target in stuck and self._stands(edge))

    def _described(self, cycle: list[int], stuck: set[int]) -> str:
        steps = []
        for actor in cycle:
            edge = self._edge(actor, stuck)
            what = f"{edge.method}()" if edge.call else f"room in the mailbox, to send {edge.method}()"
            target = self.waits[edge.target].label.partition(" in ")[0]
            steps.append(f"{self.waits[actor].label} waits for {what} of {target}")
        return "; ".join(steps)
