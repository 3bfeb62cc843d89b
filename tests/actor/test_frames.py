"""Frames are pure bytes: what is packed comes back, and what is not ours is refused, never misread."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actorrl.actor import frames
from actorrl.actor.frames import Frame, pack, pack_batch, split_batch

KINDS = st.integers(frames.CALL, frames.BATCH)
U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
NAMES = st.binary(max_size=64)
HEADER = len(pack(frames.CALL, 0, 0, 0))


def unpack(raw: bytes) -> Frame:
    return frames.unpack(memoryview(raw))


@given(KINDS, U32, U64, U32, NAMES, st.binary(max_size=256), st.integers(0, 255))
def test_what_is_packed_comes_back(kind, actor, call_id, sender, name, data, flags):
    frame = unpack(pack(kind, actor, call_id, sender, name, data, flags))

    assert frame[:6] == (kind, flags, actor, call_id, sender, name)
    assert isinstance(frame.data, memoryview)
    assert frame.data == data


@given(st.one_of(st.binary(max_size=64), st.binary(min_size=HEADER, max_size=HEADER + 32)))
@example(b"")
@settings(max_examples=150)
def test_arbitrary_bytes_are_a_frame_or_a_value_error(raw):
    try:
        frame = unpack(raw)
    except ValueError:
        return

    assert frames.CALL <= frame.kind <= frames.BATCH
    assert pack(*frame[:1], frame.actor, frame.call_id, frame.sender, frame.name, bytes(frame.data), frame.flags) == raw


@given(KINDS, NAMES, st.integers(1, HEADER + 64))
def test_a_frame_cut_inside_its_header_or_name_is_refused(kind, name, missing):
    raw = pack(kind, 1, 2, 3, name)

    with pytest.raises(ValueError):
        unpack(raw[: max(0, len(raw) - missing)])


@pytest.mark.parametrize("kind", [0, frames.BATCH + 1, 255])
def test_a_kind_that_does_not_exist_is_refused(kind):
    with pytest.raises(ValueError, match=f"kind {kind}"):
        unpack(bytes([kind]) + pack(frames.CALL, 1, 2, 3)[1:])


def test_the_longest_name_fits_and_one_byte_more_does_not():
    longest = b"n" * 0xFFFF

    assert unpack(pack(frames.CALL, 1, 2, 3, longest, b"data")).name == longest
    with pytest.raises(ValueError, match="65535"):
        pack(frames.CALL, 1, 2, 3, longest + b"n")


def test_the_data_is_not_copied_out_of_the_message():
    raw = pack(frames.CALL, 1, 2, 3, b"name", b"x" * 100_000)

    assert unpack(raw).data.obj is raw


@given(st.lists(st.binary(max_size=40), max_size=8), U32)
def test_a_batch_is_split_into_what_it_was_made_of(parts, sender):
    frame = unpack(pack_batch(parts, sender))

    assert (frame.kind, frame.sender) == (frames.BATCH, sender)
    assert [bytes(part) for part in split_batch(frame.data)] == parts


@given(st.binary(max_size=64))
def test_arbitrary_bytes_are_a_batch_or_a_value_error(data):
    try:
        parts = [bytes(part) for part in split_batch(memoryview(data))]
    except ValueError:
        return

    assert bytes(unpack(pack_batch(parts, 1)).data) == data


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=4), st.integers(1, 5))
def test_a_batch_cut_short_is_refused_and_what_came_before_the_cut_is_whole(parts, missing):
    data = unpack(pack_batch(parts, 1)).data
    got: list[bytes] = []

    with pytest.raises(ValueError, match="cut short"):
        for part in split_batch(data[: len(data) - min(missing, len(parts[-1]))]):
            got.append(bytes(part))
    assert got == parts[:-1]
