"""Messages of plain values and arrays: what they take, and that it arrives equal, private and writable."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from actorrl.actor.arrays import private
from actorrl.actor.codec import decode, encode
from actorrl.actor.lean import LEAN, lean, read_lean, write_lean

NUMBERS = list("?bBhHiIlLqQefd")


@given(hnp.arrays(st.sampled_from(NUMBERS).map(np.dtype), hnp.array_shapes(min_dims=0, min_side=0, max_dims=4)))
def test_an_array_arrives_as_it_was(array: np.ndarray):
    body = write_lean((array, 5), args=True)
    assert body is not None and body[0][0] < LEAN

    (back, five), kwargs = read_lean(*body)

    assert back.dtype == array.dtype and back.shape == array.shape
    assert back.tobytes() == array.tobytes()
    assert back.flags.writeable and back.flags.aligned
    assert five == 5 and kwargs == {}


def test_a_large_one_is_a_buffer():
    array = np.arange(20_000.0).reshape(100, 200)
    body = write_lean((array,), args=False)
    assert body is not None
    data, buffers = body
    assert len(data) < 200 and [buffer.nbytes for buffer in buffers] == [array.nbytes]

    back = read_lean(data, private(buffers))

    assert np.array_equal(back, array)
    back[:] = 0
    assert array[0, 1] == 1


@pytest.mark.parametrize(
    "item",
    [
        np.array([1, "two"], object),
        np.array(["a"]),
        np.array(["2020-01-01"], "M8[D]"),
        np.zeros(3, [("a", "f4")]),
        np.arange(3, dtype=">f8"),
        np.ones(3, "c8"),
        np.asfortranarray(np.ones((3, 4))),
        np.arange(10)[::2],
        np.ma.masked_array([1, 2]),
        np.float32(1),
        [1],
        {"a": np.ones(3)},
        bytearray(3),
    ],
    ids=repr,
)
def test_what_is_uncommon_is_left_to_the_pickler(item: Any):
    assert lean((1, item)) is None
    back = decode(encode(item).data, encode(item).buffers)
    assert type(back) is type(item)


def test_the_size_is_that_of_the_arrays():
    made = lean((np.zeros(1000, "f4"), "text", np.zeros(0)))

    assert made is not None
    assert made[1] == 4000


def test_an_array_that_changes_afterwards_was_copied():
    array = np.zeros(3)
    made = lean((array,))
    array[:] = 1

    assert made is not None
    assert bytes(made[0][0][2]) == bytes(24)
