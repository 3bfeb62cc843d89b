"""How fast a run is: steps or updates per second, of rows that come in bursts. The Runner and the board ask it."""

from __future__ import annotations

from collections import deque

__all__ = ["WINDOW", "Pace"]

WINDOW = 1.0
"""Seconds that a rate is taken over at least: slices bring several rows within a millisecond."""


class Pace:
    """A count per second over the last `WINDOW`, or since the row before where that is longer ago."""

    def __init__(self, count: float = 0, seconds: float = 0.0) -> None:
        self._marks = deque([(count, seconds)])

    @property
    def last(self) -> tuple[float, float]:
        """(count, seconds) of what came last."""
        return self._marks[-1]

    def came(self, count: float, seconds: float) -> float | None:
        """The rate when it has come to so many after so many seconds; None where no time has gone by."""
        while len(self._marks) > 1 and seconds - self._marks[1][1] >= WINDOW:
            self._marks.popleft()
        before, then = self._marks[0]
        self._marks.append((count, seconds))
        return (count - before) / (seconds - then) if seconds > then else None
