"""A share as its views see it: how a view is found to be one, how it is written into a message and opened again.

    array ─.base─► Held ─.lease─► ShareLease      the share lives as long as a view of it does

`arrays.py` asks for every array that is pickled; sharing.py makes the first views.
"""

from __future__ import annotations

import sys
from typing import Any

from .cow import Mapping
from .loans import ShareLease

__all__ = ["Opened", "open_share", "place_in", "root", "view"]


class Opened:
    """A share as one message brought it: views of it, and mappings for the tensors in that message."""

    def __init__(self, held: Any) -> None:
        self.held = held
        self._mappings: list[Mapping] = []

    def array(self, offset: int, dtype: Any, shape: Any, strides: Any = None, order: Any = None) -> Any:
        """A view that is not writeable."""
        return sys.modules["numpy"].ndarray(shape, dtype, self.held, offset, strides, order)

    def private(self, offset: int, length: int) -> Any:
        """Bytes of the share that are the caller's own from the first write on."""
        for mapping in self._mappings:
            data = mapping.take(offset, length)
            if data is not None:
                return data
        self._mappings.append(Mapping(self.held))
        return self._mappings[-1].take(offset, length)


def root(array: Any) -> Any:
    """The share, a `Held`, that an array is a view of; None if it is not."""
    plain = sys.modules["numpy"].ndarray
    while type(array) is plain:
        array = array.base
    return array if isinstance(array, plain) and isinstance(getattr(array, "lease", None), ShareLease) else None


def place_in(held: Any, array: Any) -> int:
    """Where in the share a view begins."""
    if not array.size:
        return 0
    return array.__array_interface__["data"][0] - held.__array_interface__["data"][0]  # type: ignore[no-any-return]


def open_share(buffer: Any) -> Opened:
    """What a `Held` is pickled as."""
    import numpy as np

    return Opened(buffer if isinstance(buffer, np.ndarray) else np.frombuffer(buffer, np.uint8))


def view(opened: Opened, *place: Any) -> Any:
    """What a view of a share is pickled as."""
    return opened.array(*place)
