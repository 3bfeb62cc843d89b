"""The one frame of a small message: a fixed header, a name, the pickle. Pure bytes in and out.

    kind u8 | flags u8 | name length u16 | actor u32 | call u64 | sender u32 | name | pickle

Large buffers follow as frames of their own, where the flags say so. What queued while its sender was
in a hurry goes as one BATCH: each message with its length before it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .codec import Encoded

__all__ = [
    *("ASK", "BATCH", "BUFFERS", "CALL", "CANCEL", "CREATE", "DEFINES", "ERROR", "FAILURE", "FUNCTION", "GONE"),
    *("GROUP", "REPLY", "STOP", "WAKE", "Frame"),
    *("flags_of", "pack", "pack_batch", "sender_of", "split_batch", "unpack"),
]

CALL, CREATE, REPLY, ERROR, CANCEL, STOP, GONE, FAILURE, WAKE, ASK, BATCH = range(1, 12)
FUNCTION, DEFINES, BUFFERS, GROUP = 1, 2, 4, 8
"""Flags: the body brings a function; it brings definitions and must be decoded on arrival; buffers follow; the
message is for several actors, which the name lists."""
_LENGTH = struct.Struct("<I")
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


def unpack(raw: memoryview) -> Frame:
    """The message in `raw`. ValueError if it is not one of ours, whatever it holds."""
    size = len(raw)
    if size < _SIZE:
        raise ValueError(f"a frame has at least {_SIZE} bytes; got {size}")
    kind, flags, length, actor, call_id, sender = _HEADER.unpack_from(raw)
    end = _SIZE + length
    if not CALL <= kind <= BATCH or size < end:
        raise ValueError(f"not a frame of this version: kind {kind}, {size} bytes, name of {length}")
    return Frame(kind, flags, actor, call_id, sender, bytes(raw[_SIZE:end]), raw[end:])


def sender_of(raw: bytes | memoryview) -> int:
    """Who sent a message."""
    return _HEADER.unpack_from(raw)[5]  # type: ignore[no-any-return]


def flags_of(body: Encoded) -> int:
    """What a frame has to say of its body."""
    return (DEFINES if body.defines else 0) | (BUFFERS if body.buffers else 0)


def pack_batch(frames: list[bytes], sender: int) -> bytes:
    """Many messages as one."""
    parts = [pack(BATCH, 0, 0, sender)]
    for frame in frames:
        parts.append(_LENGTH.pack(len(frame)))
        parts.append(frame)
    return b"".join(parts)


def split_batch(data: memoryview) -> Iterator[memoryview]:
    """The messages of a batch, in order. ValueError where it is cut short."""
    at, size = 0, len(data)
    while at < size:
        if size - at < _LENGTH.size:
            raise ValueError(f"a batch of {size} bytes is cut short at {at}")
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if at + length > size:
            raise ValueError(f"a batch of {size} bytes is cut short: a message of {length} bytes starts at {at}")
        yield data[at : at + length]
        at += length
