"""Where the time of one role goes: environment steps, inference, updates, waiting. Explorer and Practice call it.

    clock │ 0.0 s            0.8 s            1.6 s
    role  │ ▓▓ slices slices ▓▓ slices slices ▓▓ ...        ▓▓ phases are timed; otherwise only how long a slice takes

Asking the time costs as much as choosing an action in a table, so phases are timed in slices that begin in the first
eighth of every 0.8 s only, and in one that comes after 0.8 s without any. These windows are the same for every process,
so that what roles did in one can be laid beside each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

PERIOD, WINDOW = 0.8, 0.1
"""Seconds: how often phases are timed, and for how long."""
SPANS = 400
"""So many spans of a window are kept, from its beginning."""


class Span(NamedTuple):
    """One thing that was done, in seconds of this machine's monotonic clock."""

    phase: str
    start: float
    end: float


class Times(NamedTuple):
    """What a role did since it was last asked. It is busy between its slices' beginnings and ends, else idle."""

    role: str
    start: float
    end: float
    """Of the first slice's beginning and the last one's end, in seconds of this machine's monotonic clock."""
    busy: float
    """Seconds in slices."""
    timed: float
    """Seconds of these whose phases were timed."""
    phases: dict[str, float]
    """Seconds of the timed ones by phase."""
    spans: list[Span]
    """The beginning of the last window; [] where there was none."""


class Stopwatch:
    """Times one role. In a slice: `begin`, then `mark` after each thing that was done, then `end`.

    Args:
        role: its name.
        clock: seconds, the same for every process of a machine; for tests.
    """

    def __init__(self, role: str = "agent", clock: Callable[[], float] = time.perf_counter) -> None:
        self.role, self._clock = role, clock
        self.on = False
        """Whether to call `mark`."""
        self._window = -1  # the number of the last one
        self._latest = float("-inf")  # when a timed slice ended in which something was done
        self._marked = False
        self._start: float | None = None
        self._began = self._last = self._end = 0.0
        self._running = False
        self._reset()

    def _reset(self) -> None:
        self._busy = self._timed = 0.0
        self._phases: dict[str, float] = {}
        self._spans: list[Span] = []

    def begin(self) -> None:
        """A slice begins."""
        now = self._clock()
        window, at = divmod(now, PERIOD)
        self.on = at < WINDOW or now - self._latest >= PERIOD  # a role of long slices begins few of them in a window
        if self.on and window != self._window:
            self._window, self._spans = int(window), []
        if self._start is None:
            self._start = now
        self._began = self._last = now
        self._running, self._marked = True, False

    def mark(self, phase: str) -> None:
        """What was done since the last mark, or since the beginning, was this. Where time counts ask first if `on`."""
        if not self.on:
            return
        now = self._clock()
        last, self._last = self._last, now
        self._marked = True
        phases = self._phases
        phases[phase] = phases.get(phase, 0.0) + now - last
        if len(self._spans) < SPANS:
            self._spans.append(Span(phase, last, now))

    def end(self) -> None:
        """The slice is over. Nothing happens where none has begun."""
        if self._running:
            self._book()
            self._running = self.on = False

    def _book(self) -> None:
        now = self._clock()
        if self.on:
            self._timed += now - self._began
            if self._marked:  # a run that is over in half a second has its phases timed too
                self._latest = now
        self._busy += now - self._began
        self._end = self._began = now

    def take(self) -> Times | None:
        """What was done since the last time; None where nothing was. In the midst of a slice, up to now."""
        if self._start is None:
            return None
        if self._running:
            self._book()
        times = Times(self.role, self._start, self._end, self._busy, self._timed, self._phases, self._spans)
        self._reset()
        self._start = self._end if self._running else None
        return times


SILENT = Stopwatch("nobody")
"""For whoever is not timed: no slice of it ever begins."""
