"""Bytes of the pool as numpy sees them. Imported when the first large buffer arrives: numpy is here from then on.

numpy keeps these alive as the `base` of the arrays over them: it collapses chains of bases only
within one type. So each ends when the last array over it is gone.
"""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np

from .pool import FREE, USED
from .views import open_share

__all__ = ["Block", "Held", "aligned_copy", "hold"]

ALIGNMENT = 64
BYTE = np.dtype(np.uint8)


class Block(np.ndarray[Any, Any]):
    """A block that has arrived, made by `Arena.take`; with this the block is free.

    Past half of the limit, or where nobody will use the block again, its memory goes back.
    """

    __slots__ = ("claim",)
    claim: tuple[Any, Any, int, int]
    """The arena, the region, the block, and how often user code had forked."""

    def __del__(self) -> None:
        try:
            arena, region, block, forks = self.claim
        except AttributeError:  # made from one, by a view or a sum
            return
        if arena.forks == forks:
            if region.left or arena.words[USED] > arena.half:
                region.free(block)
            else:
                region.words[block] = FREE


class Held(np.ndarray[Any, Any]):
    """A share, or a tensor's part of one: what it belongs to is its `lease`."""

    __slots__ = ("lease",)
    lease: Any

    def __reduce_ex__(self, protocol: Any) -> Any:
        return open_share, (pickle.PickleBuffer(self),)  # type: ignore[arg-type]


def hold(memory: Any, offset: int, length: int, lease: object) -> Held:
    """`length` bytes of `memory`, for as long as somebody looks at them."""
    array: Held = Held((length,), BYTE, memory, offset)
    array.lease = lease
    return array


def aligned_copy(buffer: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A private copy of a buffer, aligned as arrays should be."""
    flat = np.frombuffer(buffer, np.uint8)
    room = np.empty(flat.size + ALIGNMENT, np.uint8)
    start = -room.__array_interface__["data"][0] % ALIGNMENT
    copy = room[start : start + flat.size]
    copy[:] = flat
    return copy
