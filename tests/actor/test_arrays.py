"""Arrays of any type, shape and order arrive equal, private, writable and aligned, however they travelled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from actorrl.actor import arrays
from actorrl.actor.codec import decode, encode

NUMBERS = st.one_of(
    npst.boolean_dtypes(),
    npst.integer_dtypes(endianness="?"),
    npst.unsigned_integer_dtypes(endianness="?"),
    npst.floating_dtypes(endianness="?", sizes=(16, 32, 64, 128)),
    npst.complex_number_dtypes(endianness="?"),
    npst.datetime64_dtypes(endianness="?"),
    npst.timedelta64_dtypes(endianness="?"),
    npst.byte_string_dtypes(min_len=1, max_len=5),
    npst.unicode_string_dtypes(endianness="?", min_len=1, max_len=5),
)
STRUCTURED = npst.array_dtypes(NUMBERS, min_size=1, max_size=3, allow_subarrays=True)
SHAPES = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


@st.composite
def views(draw: st.DrawFn) -> Any:
    """An array of any type seen any way: transposed, reversed, every other element, read-only, misaligned."""
    dtype = draw(st.one_of(NUMBERS, STRUCTURED))
    shape = draw(SHAPES)
    size = int(np.prod(shape)) * dtype.itemsize
    pattern = draw(st.binary(min_size=1, max_size=16))
    off = draw(st.integers(0, 3))
    raw = (pattern * (1 + (size + off) // len(pattern)))[: size + off]
    array = np.frombuffer(raw, np.uint8)[off:].view(dtype).reshape(shape) if size else np.zeros(shape, dtype)
    if dtype.kind == "b":
        array = np.asarray(array.view(np.uint8) > 127)
    array = array.transpose(draw(st.permutations(range(array.ndim))))
    ways = st.sampled_from((slice(None), slice(None), slice(None), slice(None, None, -1), slice(None, None, 2)))
    return array[(..., *(draw(ways) for _ in shape))]


def content(array: Any) -> Any:
    return array.shape, array.dtype, array.tobytes()


def assert_own(arrived: Any, sent: Any) -> None:
    assert type(arrived) is type(sent)
    assert arrived.flags.writeable
    assert arrived.flags.aligned or (arrived.dtype.kind == "V" and not arrived.dtype.isalignedstruct)
    assert not np.shares_memory(arrived, sent)


def through(value: Any, buffer: Any = bytes) -> Any:
    """`value` as it arrives, its large buffers as `buffer` makes them: read-only, or wherever they happen to lie."""
    body = encode(value, set())
    return decode(body.data, [buffer(item) for item in body.buffers], set())


def misplaced(item: Any) -> memoryview:
    """The bytes of a buffer one byte beside where they should lie."""
    data = bytes(item)
    return memoryview(bytearray(b"\0" + data))[1:]


@given(views(), st.sampled_from([bytes, bytearray, misplaced]), st.booleans())
@example(np.zeros(()), bytes, True)
@example(np.zeros((0, 3), "S4"), bytes, True)
@settings(max_examples=200)
def test_an_array_arrives_equal_and_owned(array, buffer, out_of_band):
    limit, arrays.OUT_OF_BAND = arrays.OUT_OF_BAND, 1 if out_of_band else arrays.OUT_OF_BAND
    try:
        arrived = through(array, buffer)
    finally:
        arrays.OUT_OF_BAND = limit

    assert content(arrived) == content(array)
    assert_own(arrived, array)
    arrived[...] = array  # it can be written


@pytest.mark.parametrize("size", [1, arrays.OUT_OF_BAND - 1, arrays.OUT_OF_BAND, arrays.OUT_OF_BAND + 1])
def test_the_limit_between_in_and_out_of_band_is_exact(size: int):
    array = np.arange(size, dtype=np.uint8)
    body = encode(array, set())

    assert len(body.buffers) == (size >= arrays.OUT_OF_BAND)
    assert len(body.data) < size + 200
    arrived = through(array)
    assert content(arrived) == content(array)
    assert_own(arrived, array)


@pytest.mark.parametrize("buffer", [bytes, bytearray, misplaced])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(2, 3), (200, 300)], ids=["small", "large"])
def test_arrays_keep_their_order_and_large_ones_are_aligned(shape: tuple[int, int], order: str, buffer: Any):
    array = np.asarray(np.arange(float(shape[0] * shape[1])).reshape(shape), order=order)
    arrived = through(array, buffer)

    assert content(arrived) == content(array)
    assert arrived.flags.f_contiguous is (order == "F")
    assert array.nbytes < arrays.OUT_OF_BAND or arrived.ctypes.data % arrays.ALIGNMENT == 0
    assert_own(arrived, array)


def test_an_aligned_buffer_of_ours_is_not_copied_again():
    array = np.zeros(100_000)
    room = np.empty(array.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    body = encode(array, set())
    arrived = decode(body.data, [memoryview(room)[start : start + array.nbytes]], set())

    assert np.shares_memory(arrived, room)


def test_a_view_sends_its_elements_alone():
    wide = np.zeros((1000, 1000))
    body = encode([wide[::100, ::100], wide[0]], set())

    assert len(body.data) + sum(memoryview(item).nbytes for item in body.buffers) < 10_000


def test_two_views_of_one_array_arrive_as_two_arrays():
    base = np.arange(10)
    first, second = through((base[:5], base))
    first[:] = -1

    assert second.tolist() == list(range(10))


def test_the_same_array_twice_in_a_message_arrives_as_one():
    array = np.arange(3)
    first, second = through([array, array])

    assert first is second


@pytest.mark.parametrize("large", [False, True])
def test_objects_subclasses_and_records_arrive_as_they_are(large: bool):
    count = 20_000 if large else 3
    objects = np.array([{"a": 1}, None, "text"] * count, dtype=object)
    masked = np.ma.masked_array(np.arange(count), mask=np.arange(count) % 2 == 0)
    records = np.rec.fromarrays([np.arange(count), np.ones(count)], names="a,b")
    for array in (objects, masked, records):
        arrived = through(array)
        assert_own(arrived, array)
        assert arrived.dtype == array.dtype
        assert arrived.tolist() == array.tolist()
    assert through(masked).mask.tolist() == masked.mask.tolist()


def test_scalars_dtypes_and_generators_arrive_as_they_are():
    rng = np.random.default_rng(3)
    values = [np.float32(1.5), np.int8(-3), np.datetime64("2024-01-01"), np.dtype("<i4,f8"), np.sin, np.float64]
    *arrived, generator = through([*values, rng])

    assert arrived == values
    assert [type(value) for value in arrived] == [type(value) for value in values]
    assert generator.random() == rng.random()


def test_types_of_no_size_arrive_with_their_type():
    array = np.zeros(3, np.dtype([("empty", "S0"), ("number", "i4")]))["empty"]
    arrived = through(array)

    assert (arrived.shape, arrived.tolist()) == (array.shape, array.tolist())
    assert_own(arrived, array)


def test_strings_of_any_length_arrive():
    if not hasattr(np.dtypes, "StringDType"):
        pytest.skip("this numpy has none")
    array = np.array(["a", "long " * 100, ""], dtype=np.dtypes.StringDType())
    arrived = through(array)

    assert arrived.tolist() == array.tolist()
    assert arrived.flags.writeable
