"""Failures that nobody could receive, kept for the owners of the actors that failed.

An engine adds to it from any thread; `fetch`, `wait`, `stop` and `shutdown` take from it. Every
failure is delivered once: the same one may be told twice (beside the replies, so that it cannot
come after them, and on the nursery's line, so that it comes even where nobody reads the socket).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ["Failures"]


class Failures:
    """One box per owner (an actor's number, 0 for the program)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._boxes: dict[int, deque[tuple[int, Callable[[], BaseException]]]] = {}
        self._told: set[Any] = set()
        self._claimed: set[int] = set()
        self.any = False
        """Whether any box may hold something: what the hot path looks at."""

    def add(self, owner: int, actor: int, key: Any, make: Callable[[], BaseException]) -> None:
        """Keep a failure of `actor` for `owner`; a key that was told before is not kept again."""
        with self._lock:
            if key is not None:
                if key in self._told:
                    self._told.discard(key)  # each comes twice, so this was the last
                    return
                self._told.add(key)
            self._boxes.setdefault(owner, deque()).append((actor, make))
            self.any = True

    def claim(self, actor: int) -> None:
        """A call on this dead actor carries the news of its death: its owner need not get it again."""
        with self._lock:
            self._claimed.add(actor)
            for box in self._boxes.values():
                for row in [row for row in box if row[0] == -actor]:
                    box.remove(row)
            self.any = any(self._boxes.values())

    def claimed(self, actor: int) -> bool:
        """Whether somebody has received this death already."""
        with self._lock:
            return actor in self._claimed

    def take(self, owner: int) -> BaseException | None:
        """The oldest failure left to `owner`, or None."""
        with self._lock:
            box = self._boxes.get(owner)
            if not box:
                return None
            _, make = box.popleft()
            self.any = any(self._boxes.values())
        return make()
