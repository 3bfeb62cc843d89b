"""Copy-on-write: tensors over a share. torch knows no read-only memory, so who writes gets pages of his own.

    Mapping     the bytes of a share mapped privately, once for the tensors that came in one message
    unwritten   whether a tensor is still what was shared, and may be sent as a reference again

`views.py` makes the mappings, `arrays.py` asks about tensors that are sent.
"""

from __future__ import annotations

import mmap
import weakref
from typing import Any

__all__ = ["Mapping", "mapped", "unwritten"]

PAGE = mmap.PAGESIZE
mapped: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
"""Address -> the bytes, a `Held`, of each living tensor over a share."""


class Mapping:
    """See the module.

    Args:
        held: the share; of one that came without the pool, its bytes are copied.
    """

    def __init__(self, held: Any) -> None:
        self._held = held
        self._taken: list[tuple[int, int]] = []
        self._memory = self._map()

    def _map(self) -> Any:
        lease = getattr(self._held, "lease", None)
        memory = lease.private() if lease is not None else None
        return memory if memory is not None else bytearray(self._held)

    def take(self, offset: int, length: int) -> Any:
        """A part for one tensor; None if another has a piece of it: what one writes the other must not see."""
        from .held import hold

        if any(offset < end and start < offset + length for start, end in self._taken):
            return None
        self._taken.append((offset, offset + length))
        data = hold(self._memory, offset, length, _Part(self._held, offset))
        mapped[data.__array_interface__["data"][0]] = data
        return data


class _Part:
    """Which share a tensor's bytes are of; keeps it, as pages that nobody wrote to are still the share's."""

    __slots__ = ("held", "offset")

    def __init__(self, held: Any, offset: int) -> None:
        self.held, self.offset = held, offset


def unwritten(address: int, length: int) -> tuple[Any, int] | None:
    """The share and the place in it of a tensor's storage; None if it is not of one, or was written to."""
    data = mapped.get(address)
    if data is None or data.nbytes != length or _written(address, length):
        return None
    return data.lease.held, data.lease.offset


def _written(address: int, length: int) -> bool:
    """Whether a private mapping of a file has pages of its own; True where the system does not tell."""
    import numpy as np

    first, last = address // PAGE, (address + length - 1) // PAGE
    try:
        with open("/proc/self/pagemap", "rb", buffering=0) as file:
            file.seek(first * 8)
            flags = np.frombuffer(file.read((last - first + 1) * 8), np.uint64)
    except OSError:
        return True
    there, swapped, shared = (flags >> np.uint64(bit) & np.uint64(1) for bit in (63, 62, 61))
    return bool(flags.size != last - first + 1 or ((there | swapped) & ~shared & np.uint64(1)).any())
