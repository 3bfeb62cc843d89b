"""Whether an actor that died is started again, and when. No I/O, no clock: time comes in.

Both engines keep one `Record` per actor that may be restarted; the registry of the nursery and the
inline engine ask it at every death.

    death ──► died(now, end) ──► seconds until the restart:  backoff, 2 × backoff, 4 × backoff, ...
                             └─► None: the deaths of the last `window` seconds are too many, it is over
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from .deaths import End

__all__ = ["NEVER", "Record", "Terms"]

LONGEST = 3600.0
"""Seconds of a pause at most, however often it has doubled."""


class Terms(NamedTuple):
    """How often an actor may be started again. Plain values: they travel to the nursery."""

    restarts: int = 0
    """So many within `window` seconds."""
    window: float = 60.0
    backoff: float = 0.1
    """Seconds before the first of them; doubles with each."""


NEVER = Terms()


class Record:
    """The deaths of one actor that still count."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self._recent: deque[tuple[float, End]] = deque()

    def died(self, now: float, end: End) -> float | None:
        """The actor has died: in how many seconds it starts again, or None where it does not any more."""
        restarts, window, backoff = self.terms
        while self._recent and now - self._recent[0][0] >= window:
            self._recent.popleft()
        before = len(self._recent)
        if before >= restarts:
            return None
        self._recent.append((now, end))
        return min(LONGEST, backoff * 2.0 ** min(before, 60))

    def verdict(self, last: End) -> End:
        """What to tell of an actor that is not started again: a loop of deaths ends with the first of them.

        Which calls had begun, and which process is gone, the last one knows.
        """
        if not self._recent:
            return last
        first = self._recent[0][1]
        return first._replace(started=last.started, gone=last.gone, deaths=len(self._recent) + 1)
