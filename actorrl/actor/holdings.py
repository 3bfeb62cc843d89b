"""Who has what has been shared: the nursery's books. Events in, what is free out; no I/O.

Per share two kinds of counts: how often a process holds it, and how often it is on its way from one
process to another. It is free when every count is zero. The events of two processes may come in
either order, so a count may be below zero for a moment; whoever lends holds, so that cannot free anything.

    S holds ──lend to R──► S holds, S→R ──R: took from S──► S holds, R holds ──drop──► …
"""

from __future__ import annotations

from collections import Counter

__all__ = ["Holdings", "Key"]

Key = tuple[int, int]
"""A share: the slot and the block."""


class Holdings:
    """Each method returns the shares that have become free."""

    def __init__(self, process: int) -> None:
        self.alive = {process}
        self._counts: dict[Key, Counter[tuple[int, ...]]] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._counts

    def join(self, process: int) -> None:
        """A process has started."""
        self.alive.add(process)

    def hold(self, process: int, key: Key, count: int = 1) -> list[Key]:
        """A process has shared something, or had it when we started."""
        return self._count(key, (process,), count)

    def lend(self, process: int, key: Key, receiver: int) -> list[Key]:
        """A process is about to send a share to another."""
        return self._count(key, (process, receiver), 1) if receiver in self.alive else []

    def took(self, process: int, key: Key, sender: int) -> list[Key]:
        """A share has arrived."""
        self._count(key, (process,), 1)
        return self._count(key, (sender, process), -1)

    def drop(self, process: int, key: Key) -> list[Key]:
        """A process holds a share once less."""
        return self._count(key, (process,), -1)

    def mourned(self, process: int, sender: int) -> list[Key]:
        """Nothing more arrives at a process from one that is dead."""
        return self._forget(lambda who: who == (sender, process))

    def gone(self, process: int) -> list[Key]:
        """A process has ended. What it has sent may still arrive."""
        self.alive.discard(process)
        return self._forget(lambda who: who[-1] == process)

    def _count(self, key: Key, who: tuple[int, ...], change: int) -> list[Key]:
        counts = self._counts.setdefault(key, Counter())
        counts[who] += change
        if not counts[who]:
            del counts[who]
        return self._freed(key)

    def _forget(self, what: object) -> list[Key]:
        freed = []
        for key, counts in list(self._counts.items()):
            for who in [who for who in counts if what(who)]:  # type: ignore[operator]
                del counts[who]
            freed += self._freed(key)
        return freed

    def _freed(self, key: Key) -> list[Key]:
        if self._counts[key]:
            return []
        del self._counts[key]
        return [key]
