"""An event that Ctrl-C cannot break: to ring it is one step.

`threading.Event.set` takes a lock of its own in Python; an interrupt in the middle of it leaves the lock taken, and
whoever rings next waits for ever. The thread that rings here is the program's.
"""

from __future__ import annotations

import queue

__all__ = ["Bell"]


class Bell:
    """Rung by any thread, heard by one."""

    def __init__(self) -> None:
        self._rings: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set(self) -> None:
        """Ring it."""
        self._rings.put(None)

    def wait(self, timeout: float | None = None) -> bool:
        """Hear one ring; False where none comes for `timeout` seconds."""
        try:
            self._rings.get(timeout=timeout)
        except queue.Empty:
            return False
        return True

    def clear(self) -> None:
        """Forget the rings that were not heard."""
        while self.wait(0):
            pass
