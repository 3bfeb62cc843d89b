"""Small arrays as plain values: they come back equal, private and writable, or are left to the codec."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from actorrl.actor.packing import DEEP, SMALL, UNFIT, pack_value, unpack_value
from actorrl.actor.plain import FEW, SHORT

DTYPES = st.sampled_from(["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"])
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
ARRAYS = DTYPES.flatmap(lambda dtype: hnp.arrays(dtype, SHAPES))
ATOMS = st.one_of(st.integers(), st.floats(), st.booleans(), st.none(), st.text(max_size=9), st.binary(max_size=9))
SCALARS = st.sampled_from([np.float32(1.5), np.float64(2.5), np.int64(-3), np.uint8(4), np.bool_(True), np.float16(1)])
VALUES = st.recursive(
    st.one_of(ATOMS, SCALARS, ARRAYS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=5), inner, max_size=4),
    ),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """Equal in value, type and shape, all the way down; NaN equals NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray | np.generic):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return one == other or (one != one and other != other)


@given(VALUES)
def test_what_is_packed_comes_back_the_same(value):
    packed = pack_value(value)

    if packed is not UNFIT:
        assert same(unpack_value(pickle.loads(pickle.dumps(packed, 5))), value)


@given(st.lists(st.one_of(ATOMS, ARRAYS), max_size=FEW))
def test_the_usual_fits(items):
    assert pack_value(tuple(items)) is not UNFIT or len({id(item) for item in items}) < len(items)


@given(ARRAYS)
def test_an_array_is_copied_at_the_call_and_arrives_private_writable_and_aligned(array):
    packed = pack_value(array)
    if packed is UNFIT:
        return  # in Fortran's order: the codec keeps that
    before = array.copy()
    array[...] = 1
    first, second = unpack_value(packed), unpack_value(packed)

    assert same(first, before)
    assert first.flags.writeable
    assert first.flags.aligned
    first[...] = 0
    assert same(second, before)


def nested(depth: int) -> Any:
    return 1 if depth == 0 else [nested(depth - 1)]


LOOP: list[Any] = []
LOOP.append(LOOP)
TWICE = np.zeros(2)


@pytest.mark.parametrize(
    "value",
    [
        np.zeros(SMALL + 1, np.uint8),
        np.asfortranarray(np.zeros((2, 3))),
        np.zeros(2, ">f4"),
        np.zeros(2, "datetime64[s]"),
        np.zeros(2, object),
        np.zeros(2, [("a", "f4")]),
        np.zeros(2).view(np.recarray),
        np.str_("a"),
        "x" * (SHORT + 1),
        [0] * (FEW + 1),
        {1: 2},
        {"a" * (SHORT + 1): 1},
        {1, 2},
        nested(DEEP + 1),
        LOOP,
        (TWICE, TWICE),
        [[TWICE], {"a": TWICE}],
        object(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_does_not_fit_is_left_to_the_codec(value: Any):
    assert pack_value(value) is UNFIT


def test_a_view_is_packed_by_its_elements():
    array = np.arange(12.0).reshape(3, 4)

    assert same(unpack_value(pack_value(array[:, ::2])), np.ascontiguousarray(array[:, ::2]))
