"""The thread that runs the callbacks of futures, so that they hold up nobody who receives."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

__all__ = ["Callbacks"]


class Callbacks:
    """Runs work in order on one thread, which starts with the first piece."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, work: Callable[[], None]) -> None:
        """Run `work` soon."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="actorrl-callbacks", daemon=True)
                self._thread.start()
        self._queue.put(work)

    def close(self) -> None:
        """End the thread after the work it has."""
        self._queue.put(None)

    def _run(self) -> None:
        for work in iter(self._queue.get, None):
            work()
