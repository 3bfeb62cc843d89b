"""Ctrl-C, as a run takes it: the first one ends it after a checkpoint, the second one at once. The Runner asks.

An exception in the midst of a step would leave a half-made state behind; so the signal is only noted, and looked at
between two slices of work.
"""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

__all__ = ["Interrupted", "Interrupts"]


class Interrupts:
    """Notes Ctrl-C, between `watch()` and `leave()`, where nobody else wants it."""

    def __init__(self) -> None:
        self.asked = False
        self._watching = False

    def watch(self) -> None:
        """Only the main thread may, and only where Ctrl-C would be a KeyboardInterrupt."""
        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._note)
            self._watching = True

    def leave(self) -> None:
        """Ctrl-C is a KeyboardInterrupt again."""
        if self._watching and signal.getsignal(signal.SIGINT) == self._note:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self._watching = False

    def _note(self, *_: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


class Interrupted(KeyboardInterrupt):
    """A run that was ended by Ctrl-C, after its checkpoint; says how to go on."""

    def __init__(self, directory: Path, written: int | None) -> None:
        where = "" if written is None else f" from step {written:,}"
        super().__init__(
            f"interrupted; what there is lies in {directory}; go on{where} with: actorrl resume {directory}"
        )
