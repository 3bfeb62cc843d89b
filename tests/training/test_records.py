"""Rows as bytes: what is read is what was written, also of several senders at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from actorrl.training.records import read_rows, row_size, write_rows

KINDS = st.sampled_from([np.dtype(kind) for kind in ("?", "u1", "<i8", "<f4", "<f8", ">f4")])
SHAPES = st.lists(st.integers(0, 3), max_size=2).map(tuple)


@st.composite
def fields(draw: Any, count: int | None = None) -> dict[str, np.ndarray]:
    n = draw(st.integers(1, 5)) if count is None else count
    names = draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True))
    return {name: draw(arrays.arrays(draw(KINDS), (n, *draw(SHAPES)))) for name in names}


@given(fields())
def test_what_is_written_is_read(given_: dict[str, np.ndarray]):
    layout, data = write_rows(given_)
    if row_size(layout) == 0:
        return
    read = read_rows(layout, bytearray(data))

    assert list(read) == list(given_)
    for name, array in given_.items():
        assert read[name].dtype == array.dtype and read[name].flags.c_contiguous
        np.testing.assert_array_equal(read[name], array)


@pytest.mark.parametrize("names", [["a"], ["a", "b"]])
def test_rows_of_several_senders_are_those_of_a_larger_batch(names: list[str]):
    parts = [{name: np.random.default_rng(n).random((n, 3)) for name in names} for n in (1, 4, 2)]
    written = [write_rows(part) for part in parts]

    assert len({layout for layout, _ in written}) == 1
    whole = read_rows(written[0][0], b"".join(data for _, data in written))
    for name in names:
        np.testing.assert_array_equal(whole[name], np.concatenate([part[name] for part in parts]))
    assert [len(data) // row_size(layout) for layout, data in written] == [1, 4, 2]


def test_the_rows_may_lie_anywhere_and_are_writable_where_that_is():
    layout, data = write_rows({"a": np.arange(6.0).reshape(3, 2)})

    assert not read_rows(layout, data)["a"].flags.writeable
    assert read_rows(layout, bytearray(data))["a"].flags.writeable
    np.testing.assert_array_equal(read_rows(layout, np.frombuffer(data, np.uint8))["a"][2], [4, 5])


def test_what_has_no_rows_of_numbers_is_refused():
    with pytest.raises(TypeError, match=r"rows are made of numbers.*'a': 'object'"):
        write_rows({"a": np.array([{}])})
    with pytest.raises(ValueError, match="expected 2 rows of every array, found 3 of 'b'"):
        write_rows({"a": np.zeros(2), "b": np.zeros(3)})
