"""Tensors arrive as dense tensors of their own, with their type, shape, gradient flag and parameterhood."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorrl.actor import arrays
from actorrl.actor.codec import decode, encode

torch = pytest.importorskip("torch")

TYPES = [
    *(torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64, torch.complex128),
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool),
]


def through(value: Any) -> Any:
    body = encode(value, set())
    return decode(body.data, [bytes(item) for item in body.buffers], set())


def assert_equal_and_own(arrived: Any, sent: Any) -> None:
    assert type(arrived) is type(sent)
    assert (arrived.dtype, arrived.shape, arrived.requires_grad) == (sent.dtype, sent.shape, sent.requires_grad)
    assert torch.equal(arrived, sent)
    assert arrived.is_contiguous()
    assert arrived.untyped_storage().nbytes() == arrived.numel() * arrived.element_size()
    assert arrived.numel() == 0 or arrived.data_ptr() != sent.data_ptr()
    with torch.no_grad():
        arrived.zero_()  # it can be written


@given(
    st.sampled_from(TYPES),
    st.lists(st.integers(0, 4), max_size=3),
    st.sampled_from(["as it is", "transposed", "every other", "expanded"]),
    st.booleans(),
)
@settings(max_examples=100)
def test_a_tensor_arrives_equal_and_owned(dtype, shape, view, out_of_band):
    tensor = torch.arange(math.prod(shape)).to(dtype).reshape(shape)
    if view == "transposed" and len(shape) > 1:
        tensor = tensor.transpose(0, -1)
    elif view == "every other" and shape:
        tensor = tensor[::2]
    elif view == "expanded":
        tensor = tensor.expand(3, *shape)
    limit, arrays.OUT_OF_BAND = arrays.OUT_OF_BAND, 1 if out_of_band else arrays.OUT_OF_BAND
    try:
        arrived = through(tensor)
    finally:
        arrays.OUT_OF_BAND = limit

    assert_equal_and_own(arrived, tensor)


@pytest.mark.parametrize("count", [1, 100_000])
def test_gradients_parameters_and_modules_arrive_as_such(count: int):
    leaf = torch.ones(count, requires_grad=True)
    derived = leaf * 2
    parameter = torch.nn.Parameter(torch.ones(count))
    frozen = torch.nn.Parameter(torch.ones(count), requires_grad=False)
    for tensor in (leaf, derived, parameter, frozen):
        arrived = through(tensor)
        assert arrived.is_leaf
        assert_equal_and_own(arrived, tensor)
    there = through(torch.nn.Linear(3, 2))
    assert [name for name, _ in there.named_parameters()] == ["weight", "bias"]


def test_conjugates_and_negatives_are_resolved():
    tensor = torch.tensor([1 + 2j, 3 - 4j])

    assert torch.equal(through(tensor.conj()), tensor.conj())
    assert torch.equal(through(tensor.conj().imag), tensor.conj().imag)


def test_a_tensor_that_is_no_dense_one_still_arrives():
    sparse = torch.eye(3).to_sparse()

    assert torch.equal(through(sparse).to_dense(), torch.eye(3))


def test_tensors_in_one_storage_arrive_apart():
    base = torch.arange(6)
    first, second = through([base[:3], base[3:]])
    first.zero_()

    assert second.tolist() == [3, 4, 5]


def test_types_devices_and_sizes_arrive_as_they_are():
    values = [torch.float32, torch.device("cpu"), torch.Size([2, 3]), torch.nn.Linear]

    assert through(values) == values
