"""A role as the Runner keeps it busy: one slice running, one queued, so that questions get in between."""

from __future__ import annotations

from collections import deque
from typing import Any

from actorrl.actor import Future, fetch
from actorrl.training.roles import Report

__all__ = ["Slices"]

IN_FLIGHT = 2


class Slices:
    """A role with its slices in flight."""

    def __init__(self, role: Any, number: int) -> None:
        self.role, self.number = role, number
        self.flying: deque[Future[Report]] = deque()
        self.asides: list[Future[None]] = []
        self.done = False

    def fill(self) -> None:
        """Ask for the next slices."""
        while not self.done and len(self.flying) < IN_FLIGHT:
            self.flying.append(self.role.advance())

    def waiting(self) -> list[Future[Report]]:
        """The slices that are under way."""
        return list(self.flying)

    def reports(self) -> list[Report]:
        """What the role has said since. Raises what it raised."""
        over = [aside for aside in self.asides if aside.done()]
        self.asides = [aside for aside in self.asides if aside not in over]
        fetch(over)
        reports = []
        while self.flying and self.flying[0].done():
            reports.append(fetch(self.flying[0]))
            self.flying.popleft()
            self.done = self.done or reports[-1].done
        return reports

    @property
    def over(self) -> bool:
        """Whether the role is done, and all it said has been heard."""
        return self.done and not self.flying

    def end(self) -> None:
        """Ask the role to be done soon, with a last snapshot, though it has steps left."""
        self.asides.append(self.role.end())

    def kept(self, rows: int | None, seconds: float) -> None:
        """Tell the role of a checkpoint that was written."""
        if not self.done:
            self.asides.append(self.role.kept(rows, seconds))
