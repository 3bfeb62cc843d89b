"""Messages made of plain values: a burst of them is pickled as one list, and a lone one as a list of one.

Numbers and short strings cannot change after the call, so they may wait as they are until the socket
is free. `post.py` decides by `is_plain` whether a call or an answer goes this way; anything else is a
frame of its own (frames.py).

    [sender, entry, entry, ...]     a call     (actor, call number, method, args)
                                    a function (actor, call number, name, args, key of the function)
                                    packed     (actor, call number, method, args, kwargs, None), see packing.py
                                    lean       (actor, call number, method, values, key, None, None), see lean.py
                                    an answer  (call number, value), of packed values (-call number, value),
                                               of an array (call number, values, True)
                                    a credit   (actor, mark, None): every message up to `mark` has been taken
"""

from __future__ import annotations

import pickle
from typing import Any

__all__ = ["ATOMS", "FIRST", "PLAIN", "is_plain", "pack_plain", "unpack_plain"]

ATOMS = frozenset({int, float, bool, type(None)})
PLAIN = ATOMS | {str, bytes, tuple}
"""Of what types a plain value may be."""
SHORT = 1024
"""Strings up to this length travel so."""
_dumps, _loads = pickle.dumps, pickle.loads
FEW = 16
"""Tuples up to this length do."""
FIRST = 0x80
"""The first byte of every pickle, and of no frame."""


def is_plain(value: Any) -> bool:
    """Whether `value` is immutable and small all through."""
    kind = type(value)
    if kind in ATOMS:
        return True
    if kind is str or kind is bytes:
        return len(value) <= SHORT
    if kind is tuple and len(value) <= FEW:
        for item in value:
            kind = type(item)
            if kind in ATOMS or (kind in PLAIN and is_plain(item)):
                continue
            return False
        return True
    return False


def pack_plain(entries: Any) -> bytes:
    """The bytes of `[sender, entry, ...]`."""
    return _dumps(entries, 5)


def unpack_plain(raw: Any) -> list[Any]:
    """What `pack_plain` was given. ValueError if it is not that."""
    try:
        entries = _loads(raw)
        if type(entries) is list and type(entries[0]) is int:
            return entries
    except Exception as error:
        raise ValueError(f"not a message of plain values: {error!r}") from None
    raise ValueError("not a message of plain values")
