"""What a person sees while training runs: one line that moves on a terminal, a line now and then elsewhere; on stderr.

The Runner calls it. `None` instead of it is silence.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

REFRESH = 0.25  # seconds between two pictures of the line
WINDOW = 10.0  # seconds that steps/s is taken over
PLAIN_EVERY = 15.0  # seconds between two lines where stderr is no terminal


class ProgressLine:
    """steps, steps/s, episodes, mean return of the last 100, ε, time left.

    Args:
        total: environment steps of the whole run.
        clock: seconds; for tests.
    """

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._moving = sys.stderr.isatty()
        self._total, self._clock = total, clock
        self._began = clock()
        self._shown = self._began
        self._steps, self._rate = 0, 0.0
        self._left: float | None = None
        self._recent: list[tuple[float, int]] = [(self._began, 0)]
        self._live: Live | None = None

    def __enter__(self) -> ProgressLine:
        self._began = self._shown = self._clock()
        self._recent = [(self._began, 0)]
        if self._moving:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the moving line away; what is said afterwards stays below what was said before."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, text: str, style: str = "") -> None:
        """A line that stays."""
        self._console.print(Text(text, style=style), soft_wrap=True)

    def update(self, steps: int, values: dict[str, Any], left: float | None = None) -> None:
        """The state of the run: `values` are those of the newest row. Shown if it is time to.

        `left` are the seconds after which it ends though its steps are not made; None where it goes on until they are.
        """
        now, self._left = self._clock(), left
        if not self._steps:  # the time before the first step says nothing about the others
            self._recent = []
        while len(self._recent) > 1 and now - self._recent[1][0] >= WINDOW:
            self._recent.pop(0)
        self._recent.append((now, steps))
        then, before = self._recent[0]
        if now > then:
            self._rate = (steps - before) / (now - then)
        self._steps = steps
        if now - self._shown < (REFRESH if self._live else PLAIN_EVERY):
            return
        self._shown = now
        if self._live:
            self._live.update(self._line(values), refresh=True)
        else:
            self.say("  " + " · ".join(self._words(values)))

    def _words(self, values: dict[str, Any]) -> list[str]:
        words = [f"{self._steps:,}/{self._total:,} steps", f"{self._rate:,.0f} steps/s"]
        words.append(f"{int(values.get('episodes', 0)):,} episodes")
        if values.get("return_100") is not None:
            words.append(f"return {values['return_100']:.1f}")
        if values.get("epsilon") is not None:
            words.append(f"ε {values['epsilon']:.2f}")
        if self._rate > 0:
            left = (self._total - self._steps) / self._rate
            words.append(f"{duration(left if self._left is None else min(left, self._left))} left")
        return words

    def _line(self, values: dict[str, Any]) -> Table:
        row = Table.grid(padding=(0, 1))
        bar = ProgressBar(self._total, self._steps, width=20, complete_style="cyan", finished_style="green")
        row.add_row(" ", bar, Text.from_markup(escape(" · ".join(self._words(values)))))
        return row


def duration(seconds: float) -> str:
    """Seconds as a person says them: 0:07, 1:23, 2:03:04."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
