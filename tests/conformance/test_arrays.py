"""Arrays arrive private, writable and aligned, whatever their size and however they travelled."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from actors_for_tests import Echo

from actorrl import ActorRef, fetch, startat, stop

SIZES = [0, 1, 3, 1_000, 8_191, 8_192, 65_536, 1_000_000]
STRUCTURED = np.dtype([("x", "i4"), ("y", "f8"), ("name", "U5")])
Pair = namedtuple("Pair", "a b")


@dataclass
class Batch:
    observation: np.ndarray
    reward: np.ndarray


class Keeper:
    def __init__(self, array: Any = None) -> None:
        self.array = array

    def keep(self, array: Any) -> None:
        self.array = array

    def give(self) -> Any:
        return self.array

    def flags(self, array: np.ndarray) -> tuple[bool, bool]:
        return array.flags.writeable, array.flags.aligned

    def fill(self, array: np.ndarray, value: float) -> float:
        array[...] = value
        return float(array.sum())

    def first_of_the_second_after_writing_the_first(self, arrays: Any) -> Any:
        arrays[0][...] = 7
        return arrays[1].ravel()[0]

    def total(self, array: np.ndarray) -> float:
        return float(array.sum())


@pytest.fixture(scope="module")
def echo(engine: str) -> Iterator[ActorRef[Echo]]:
    ref = startat(None, Echo)
    yield ref
    stop(ref)


@pytest.fixture(params=[None, 2], ids=["alone", "shared place"])
def keeper(engine: str, request: pytest.FixtureRequest) -> Iterator[ActorRef[Keeper]]:
    ref = startat(request.param, Keeper)
    yield ref
    stop(ref)


def usable(array: np.ndarray) -> bool:
    return bool(array.flags.writeable and array.flags.aligned)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", ["u1", "f4", "f8", "c16"])
def test_whatever_their_size(echo: ActorRef[Echo], size: int, dtype: str):
    array = (np.arange(size) % 100).astype(dtype)
    back = fetch(echo.same(array))

    assert back.dtype == array.dtype
    assert np.array_equal(back, array)
    assert usable(back)
    back[:] = 1


@pytest.mark.parametrize("size", SIZES)
def test_in_the_actor_too(keeper: ActorRef[Keeper], size: int):
    array = np.zeros(size)

    assert fetch(keeper.flags(array)) == (True, True)
    assert fetch(keeper.fill(array, 2)) == 2 * size
    assert not array.any()


KINDS: dict[str, Any] = {
    "0-d": np.array(3.5),
    "empty": np.empty((0, 4), "f4"),
    "bool": np.array([True, False]),
    "int8": np.arange(5, dtype="i1"),
    "float16": np.arange(5, dtype="f2"),
    "strings": np.array(["a", "longer"]),
    "bytes": np.array([b"a", b"longer"]),
    "dates": np.array(["2020-01-01", "2021-02-03"], "M8[D]"),
    "big-endian": np.arange(5, dtype=">f8"),
    "big-endian large": np.arange(50_000, dtype=">i4"),
    "structured": np.array([(1, 2.0, "a"), (3, 4.0, "b")], STRUCTURED),
    "structured large": np.zeros(10_000, STRUCTURED),
    "packed structured": np.zeros(20_000, np.dtype("u1,f8")),
    "objects": np.array([1, "two", [3], None], object),
    "Fortran order": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "Fortran order large": np.asfortranarray(np.arange(90_000.0).reshape(300, 300)),
    "strided": np.arange(20.0)[::3],
    "strided large": np.arange(400_000.0)[::2],
    "negative stride": np.arange(20.0)[::-1],
    "transposed": np.arange(12.0).reshape(3, 4).T,
    "transposed large": np.arange(90_000.0).reshape(300, 300).T,
    "inner view": np.arange(10_000.0).reshape(100, 100)[10:20, 5:9],
    "broadcast": np.broadcast_to(np.arange(3.0), (4, 3)),
    "of bytes": np.frombuffer(b"12345678" * 3, "f8"),
    "5-d": np.arange(720.0).reshape(2, 3, 4, 5, 6),
}


@pytest.mark.parametrize("kind", KINDS)
def test_of_any_kind(echo: ActorRef[Echo], kind: str):
    array = KINDS[kind]
    back = fetch(echo.same(array))

    assert type(back) is np.ndarray
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert np.array_equal(back, array)
    assert back.flags.writeable
    assert back.flags.aligned or not array.flags.aligned
    assert not np.shares_memory(back, array)


class Named(np.ndarray):
    """A subclass of ndarray."""


@pytest.mark.parametrize("size", [10, 100_000])
@pytest.mark.parametrize(
    "make",
    [lambda size: np.arange(float(size)).view(Named), lambda size: np.ma.masked_equal(np.arange(float(size)), 3)],
    ids=["subclass", "masked"],
)
def test_subclasses_of_ndarray_too(echo: ActorRef[Echo], make: Any, size: int):
    array = make(size)
    back = fetch(echo.same(array))

    assert type(back) is type(array)
    assert np.array_equal(np.asarray(back), np.asarray(array))
    assert usable(np.asarray(back))
    assert not np.shares_memory(np.asarray(back), np.asarray(array))


def test_a_read_only_array_arrives_writable(keeper: ActorRef[Keeper]):
    for size in (10, 100_000):
        array = np.ones(size)
        array.setflags(write=False)
        assert fetch(keeper.fill(array, 0)) == 0
        assert array.all()


@pytest.mark.parametrize("scalar", [np.float32(1.5), np.int64(3), np.bool_(True), np.float64(2)], ids=repr)
def test_scalars_keep_their_type(echo: ActorRef[Echo], scalar: Any):
    back = fetch(echo.same(scalar))

    assert type(back) is type(scalar)
    assert back == scalar


@pytest.mark.parametrize("size", [10, 100_000])
def test_what_arrives_is_private(keeper: ActorRef[Keeper], size: int):
    array = np.zeros(size)
    fetch(keeper.keep(array))
    given = fetch(keeper.give())
    given[:] = 5
    array[:] = 6

    assert fetch(keeper.total(np.zeros(1))) == 0
    assert not fetch(keeper.give()).any()


@pytest.mark.parametrize("size", [10, 100_000, 1_000_000])
def test_the_sender_may_write_into_it_right_after_the_call(keeper: ActorRef[Keeper], size: int):
    array = np.ones(size)
    futures = []
    for value in range(5):
        array[:] = value
        futures.append(keeper.total(array))
    array[:] = 99

    assert fetch(futures) == [value * size for value in range(5)]


@pytest.mark.parametrize("size", [10, 100_000])
def test_an_answer_is_private_too(keeper: ActorRef[Keeper], size: int):
    fetch(keeper.keep(np.zeros(size)))
    first = fetch(keeper.give())
    first[:] = 3

    assert not fetch(keeper.give()).any()


@pytest.mark.parametrize("size", [10, 100_000])
def test_two_views_of_one_array_arrive_as_two_arrays(keeper: ActorRef[Keeper], size: int):
    array = np.zeros(size)

    assert fetch(keeper.first_of_the_second_after_writing_the_first([array[: size // 2], array[: size // 2]])) == 0
    assert fetch(keeper.first_of_the_second_after_writing_the_first((array[:], array.reshape(2, -1)))) == 0


def test_in_containers(echo: ActorRef[Echo]):
    a, b = np.arange(5.0), np.arange(100_000.0)
    value = {"list": [a, b], "pair": Pair(a, b), "batch": Batch(a, b), "deep": ({"x": [b]},)}
    back = fetch(echo.same(value))

    arrays = [*back["list"], *back["pair"], back["batch"].observation, back["batch"].reward, back["deep"][0]["x"][0]]
    assert type(back["pair"]) is Pair
    assert isinstance(back["batch"], Batch)
    assert all(usable(array) for array in arrays)
    assert all(np.array_equal(array, b if array.size > 5 else a) for array in arrays)


def test_many_arrays_in_one_message(echo: ActorRef[Echo]):
    arrays = [np.full(i % 50 + 1, i) for i in range(3_000)]
    back = fetch(echo.same(arrays))

    assert all(np.array_equal(x, y) for x, y in zip(arrays, back, strict=True))
    assert all(usable(array) for array in back)


def test_many_large_arrays_in_one_message(echo: ActorRef[Echo]):
    arrays = [np.full(20_000, i, "f4") for i in range(60)]
    back = fetch(echo.same(arrays))

    assert [array[0] for array in back] == list(range(60))
    assert all(usable(array) for array in back)


def test_array_as_state_from_a_constructor(engine: str):
    array = np.ones(100_000)
    keeper = startat(None, Keeper, array)
    array[:] = 0

    assert fetch(keeper.give()).sum() == 100_000
    stop(keeper)


def test_megabytes_of_bytes(echo: ActorRef[Echo]):
    for value in (b"x" * 10_000_000, bytearray(b"y" * 1_000_000), "z" * 1_000_000):
        back = fetch(echo.same(value))
        assert type(back) is type(value)
        assert back == value


def test_arrays_of_arrays_survive_one_another(echo: ActorRef[Echo]):
    kept = [fetch(echo.same(np.full(100_000, i, "f4"))) for i in range(30)]

    assert [array[-1] for array in kept] == list(range(30))
