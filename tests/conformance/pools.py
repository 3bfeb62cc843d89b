"""A system whose pool is small, and how much of it is in use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from strays import eventually

from actorrl import System, shutdown
from actorrl.actor import freight, pool

MB = 1 << 20


@contextmanager
def small_pool(limit: int, at_end: Callable[[], None] = lambda: None) -> Iterator[pool.Pool]:
    """A system of processes that share at most `limit` bytes; at its end nothing of them may be in use."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "LIMIT", limit)
        patch.setattr(freight, "_here", None)
        patch.setattr(freight, "_pid", None)
        with System(engine="processes"):
            arena = freight.here().arena
            assert arena is not None
            yield arena.pool
        shutdown()  # of another one that the test has started
        at_end()
        eventually(lambda: in_use(arena.pool) == 0, what="blocks are in use after the system has ended")


def in_use(memory: pool.Pool) -> int:
    """How many blocks of all processes, dead or alive, somebody has."""
    return sum(state > pool.EMPTY for slot in range(memory.slots) for _, state in memory.region(slot).blocks())


def nothing_in_use(memory: pool.Pool) -> None:
    """Return when no block is in use any more."""
    eventually(lambda: in_use(memory) == 0, what="a block is never given back")
