"""Doors between a test and a handler in another process, so that tests wait on events and never on time."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from strays import POLL, eventually


class Gate:
    """A handler that passes `through()` it waits until the test says `open()`. Picklable: it is two files."""

    def __init__(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="pytest-gate-")

    def through(self, until: Callable[[], bool] = lambda: False) -> bool:
        """In the handler: say that it is here, then wait for `open()` (True) or for `until` (False)."""
        (Path(self.directory) / "entered").touch()
        deadline = time.monotonic() + 30
        while not (Path(self.directory) / "open").exists():
            if until():
                return False
            if time.monotonic() > deadline:
                raise RuntimeError("nobody opened the gate")
            time.sleep(POLL)
        return True

    def entered(self) -> None:
        """In the test: return when a handler waits at the gate."""
        eventually((Path(self.directory) / "entered").exists, what="no handler came to the gate")

    def open(self) -> None:
        """In the test: let the handler go on."""
        (Path(self.directory) / "open").touch()
