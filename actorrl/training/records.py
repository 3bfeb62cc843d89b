"""Arrays of the same rows as one string of bytes: how observations and actions travel. policy_server.py uses it.

    {"observation": [B, *o], "mask": [B, n]}  ──►  layout, B records of (observation, mask)  ──►  the same again

Records of several senders, one after the other, are those of a larger batch. A layout is a short string of bytes that
says what a record is made of; it is worked out once.
"""

from __future__ import annotations

import functools
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np

from actorrl.rl.nouns import Array

__all__ = ["read_rows", "row_size", "write_rows"]

_layouts: dict[tuple[Any, ...], tuple[bytes, np.dtype]] = {}


def write_rows(fields: Mapping[str, Array]) -> tuple[bytes, bytes]:
    """The layout and the rows of arrays [B, ...]. ValueError where they have not the same B."""
    key = tuple([(name, array.dtype, array.shape[1:]) for name, array in fields.items()])
    found = _layouts.get(key)
    if found is None:
        if any(array.dtype.hasobject for array in fields.values()):
            found_kinds = {name: str(array.dtype) for name, array in fields.items()}
            raise TypeError(f"rows are made of numbers; expected no array of objects, found {found_kinds}")
        found = _layouts[key] = _layout(key)
    if len(fields) == 1:
        (array,) = fields.values()
        return found[0], array.tobytes()
    count = len(next(iter(fields.values())))
    rows = np.empty(count, found[1])
    for name, array in fields.items():
        if len(array) != count:
            raise ValueError(f"expected {count} rows of every array, found {len(array)} of {name!r}")
        rows[name] = array
    return found[0], rows.tobytes()


def read_rows(layout: bytes, data: Any) -> dict[str, Array]:
    """The arrays of rows, which are whatever has the buffer protocol: writable where that is, each contiguous."""
    dtype, single = _dtype(layout)
    if single is not None:
        name, kind, shape = single
        return {name: np.frombuffer(data, kind).reshape(-1, *shape)}
    rows = np.frombuffer(data, dtype)
    return {name: np.ascontiguousarray(rows[name]) for name in dtype.names or ()}


def row_size(layout: bytes) -> int:
    """Bytes of one row."""
    return _dtype(layout)[0].itemsize


def _layout(key: tuple[Any, ...]) -> tuple[bytes, np.dtype]:
    told = [(name, dtype.str, shape) for name, dtype, shape in key]
    return pickle.dumps(told, 5), np.dtype(told, align=len(told) > 1)


@functools.lru_cache(64)
def _dtype(layout: bytes) -> tuple[np.dtype, Any]:
    told = pickle.loads(layout)
    single = (told[0][0], np.dtype(told[0][1]), told[0][2]) if len(told) == 1 else None
    return np.dtype(told, align=len(told) > 1), single
