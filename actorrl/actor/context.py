"""Which actor, if any, the present thread is working for.

Cells enter it around every handler; `current()`, `cancelled()` and the engines read it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cell import Cell
    from .ref import ActorRef

__all__ = ["cancelled", "current", "here", "inside"]


class _Here(threading.local):
    cell: Cell | None = None
    asked: Callable[[], bool] | None = None
    awaited: Any = None  # all that `fetch` waits for, while it waits for one after the other


here = _Here()


@contextmanager
def inside(cell: Cell, asked: Callable[[], bool] | None = None) -> Iterator[None]:
    """Work for `cell` until the block ends; `asked` tells whether the running call was cancelled."""
    before = here.cell, here.asked
    here.cell, here.asked = cell, asked
    try:
        yield
    finally:
        here.cell, here.asked = before


def current() -> ActorRef[Any]:
    """The reference of the actor whose handler runs here. RuntimeError outside an actor."""
    if here.cell is None:
        raise RuntimeError("current() was called outside an actor: it tells a handler its own actor")
    return here.cell.ref


def cancelled() -> bool:
    """True if the caller of the running call has cancelled it. False outside an actor."""
    return here.asked is not None and here.asked()
