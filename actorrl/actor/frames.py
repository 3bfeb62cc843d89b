"""The one frame of a small message: a fixed header, a name, the pickle. Pure bytes in and out.

    kind u8 | flags u8 | name length u16 | actor u32 | call u64 | sender u32 | name | pickle

Large buffers follow as frames of their own; the flags say how many to expect.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

__all__ = ["CALL", "CANCEL", "CREATE", "ERROR", "FAILURE", "GONE", "REPLY", "STOP", "WAKE", "Frame", "pack", "unpack"]

CALL, CREATE, REPLY, ERROR, CANCEL, STOP, GONE, FAILURE, WAKE = range(1, 10)
FUNCTION, DEFINES = 1, 2
"""Flags: the body brings a function; the body brings definitions and must be decoded on arrival."""
_HEADER = struct.Struct("<BBHIQI")
_SIZE = _HEADER.size


class Frame(NamedTuple):
    """One message as it arrived."""

    kind: int
    flags: int
    actor: int
    call_id: int
    sender: int
    name: bytes
    data: memoryview


def pack(
    kind: int, actor: int, call_id: int, sender: int, name: bytes = b"", data: bytes = b"", flags: int = 0
) -> bytes:
    """The bytes of a message. ValueError for a name over 65,535 bytes."""
    if len(name) > 0xFFFF:
        raise ValueError(f"a name in a message has at most 65535 bytes; got {len(name)}")
    return b"".join((_HEADER.pack(kind, flags, len(name), actor, call_id, sender), name, data))


def unpack(raw: bytes) -> Frame:
    """The message in `raw`. ValueError if it is not one of ours, whatever it holds."""
    if len(raw) < _SIZE:
        raise ValueError(f"a frame has at least {_SIZE} bytes; got {len(raw)}")
    kind, flags, length, actor, call_id, sender = _HEADER.unpack_from(raw)
    end = _SIZE + length
    if not CALL <= kind <= WAKE or len(raw) < end:
        raise ValueError(f"not a frame of this version: kind {kind}, {len(raw)} bytes, name of {length}")
    return Frame(kind, flags, actor, call_id, sender, raw[_SIZE:end], memoryview(raw)[end:])
