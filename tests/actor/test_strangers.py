"""Whatever arrives, the process lives on: of a stranger nothing is looked at, spoiled bytes are dropped and counted."""

from __future__ import annotations

import mmap
import os
import pickle
import resource
import tempfile
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import zmq
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from two_ends import LIMIT, TwoEnds

from actorrl.actor.frames import BATCH, BUFFERS, CALL, CREATE, DEFINES, FAILURE, GROUP, REPLY, WAKE, pack, pack_batch
from actorrl.actor.future import Future
from actorrl.actor.host import Host
from actorrl.actor.keys import KEY, make_key, read_key
from actorrl.actor.plain import pack_plain
from actorrl.actor.post import Post
from actorrl.actor.status import SIZE, Page
from actorrl.actor.transport import Transport
from actorrl.actor.turns import TAIL

MEMORY = 1 << 31
"""Bytes of address space that the fuzzed process may take more: a spoiled pickle can ask for any amount."""


class Bomb:
    """Goes off when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("went-off",)


BOMB = pickle.dumps([1, Bomb()])


class Ends(TwoEnds):
    """With a stranger who has found the socket of the second."""

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self.key = read_key(directory)
        self.context = zmq.Context()
        self.stranger = self.context.socket(zmq.PUSH)
        self.stranger.setsockopt(zmq.LINGER, 0)
        self.stranger.connect(f"ipc://{directory}/2.sock")

    def close(self) -> None:
        super().close()
        self.stranger.close()
        self.context.term()


@pytest.fixture
def ends() -> Iterator[Ends]:
    with tempfile.TemporaryDirectory(prefix="s-") as directory:
        ends = Ends(directory)
        yield ends
        ends.close()


@given(st.lists(st.binary(max_size=80) | st.just(BOMB) | st.just(pack(CALL, 1, 1, 1, b"add")), min_size=1, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_of_a_stranger_nothing_is_handed_on(ends: Ends, parts: list[bytes]):
    ends.stranger.send_multipart(parts)
    assert ends.received() == (b"", [])

    ends.near.send(2, pack(CALL, 7, 9, 1, b"add", b"data", BUFFERS), [b"x" * 10])
    frame, buffers = ends.received()
    assert frame.startswith(pack(CALL, 7, 9, 1, b"add", b"data", BUFFERS)) and buffers == [b"x" * 10]


def test_a_message_of_ours_with_fewer_parts_than_it_says_is_dropped_and_the_next_is_whole(ends: Ends):
    spoilt = pack(CALL, 7, 9, 1, b"add", b"data", BUFFERS) + b"\xff" * 50
    ends.stranger.send_multipart([spoilt + TAIL.pack(9, 1) + ends.key, b"one", b"two"])
    assert ends.received() == (b"", [])

    ends.near.send(2, pack(CALL, 7, 9, 1, b"add"))
    assert ends.received() == (pack(CALL, 7, 9, 1, b"add"), [])


def test_the_key_alone_is_no_message_and_a_wrong_one_no_key(ends: Ends):
    ends.stranger.send(ends.key)
    assert ends.received() == (b"", [])
    ends.stranger.send(BOMB + ends.key[:-1] + bytes([ends.key[-1] ^ 1]))
    assert ends.received() == (b"", [])


def test_every_way_to_send_ends_with_the_key(ends: Ends):
    plain = pack_plain([1, (3, 4)])
    for number, way in enumerate(
        (
            lambda: ends.near.send_plain(2, (3, 4)),
            lambda: ends.near.push_call(ends.near.peer(2), (3, 4)),
            lambda: (ends.near.send_plain(2, (3, 4), True), ends.near.flush()),
        ),
        1,
    ):
        way()
        assert ends.received()[0] == plain + TAIL.pack(1, number) + ends.key
    frame = pack(CALL, 7, 9, 1, b"add")
    for _ in range(2):
        ends.near.send(2, frame, hold=True)
    ends.near.flush()
    assert ends.received()[0] == pack_batch([frame, frame], 1)
    ends.far.wake()
    assert ends.received()[0] == pack(WAKE, 0, 0, 2)


def test_each_system_has_a_key_of_its_own():
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        make_key(one)
        make_key(other)
        assert len(read_key(one)) == KEY and read_key(one) != read_key(other)
        with pytest.raises(FileExistsError):
            make_key(one)


# -- spoiled messages of those who have the key ---------------------------------------------------------------------

FRAMES = [
    pack(CALL, 1, 5, 3, b"add", pickle.dumps(((1, 2), {}))),
    pack(CALL, 1, 0, 3, pickle.dumps(("add", (1, 2), (3, 4))), pickle.dumps(((1,), {})), GROUP),
    pack(REPLY, 1, 1, 3, b"", pickle.dumps([1, 2, 3])),
    pack(REPLY, 1, 2, 3, b"", pickle.dumps([1, 2, 3]), DEFINES),
    pack(CREATE, 2, 0, 3, pickle.dumps(("A", None, "raise", 0, 3, (0,), 1, 9)), pickle.dumps((dict, (), {}))),
    pack(FAILURE, 1, 0, 3, pickle.dumps((0, (1, 2))), pickle.dumps(ValueError("x"))),
    *(pack(kind, 1, 1, 3) for kind in range(1, BATCH + 1)),
    pack_plain([3, (1, 7, "add", (1,)), (1, 2), (1, 9, None), (1, 7, "f", (1,), "key")]),
]
FRAMES.append(pack_batch(FRAMES[:3], 3))


class Process:
    """The post of a process of actors, whose thread for actors never starts."""

    def __init__(self, directory: str) -> None:
        make_key(directory)
        self.news: list[Any] = []
        self.post = Post(Transport(directory, 3), "t", lambda *news: self.news.append(news))
        self.post.host = Host(self.post, lambda cell: None, None, Page(mmap.mmap(-1, SIZE)))

    def close(self) -> None:
        self.post.receiver.close()
        self.post.transport.close(0.0)


@pytest.fixture(scope="module", autouse=True)
def process() -> Iterator[Process]:
    with tempfile.TemporaryDirectory(prefix="s-") as directory:
        process = Process(directory)
        yield process
        process.close()


@pytest.fixture
def little_memory() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_AS)
    taken = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def spoilt(draw: Any) -> bytes:
    """A frame of ours with bytes changed, cut off or added."""
    frame = bytearray(draw(st.sampled_from(FRAMES)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(frame) - 1)))
        how = draw(st.sampled_from(["change", "cut", "add"]))
        if how == "change" and frame:
            frame[at] = draw(st.integers(0, 255))
        elif how == "cut":
            del frame[at:]
        else:
            frame[at:at] = draw(st.binary(max_size=9))
    return bytes(frame)


@given(st.composite(spoilt)() | st.binary(max_size=200), st.lists(st.binary(max_size=9), max_size=2))
@example(b"", [])
@example(b"\x80", [])
@example(pickle.dumps([]), [])
@example(pickle.dumps([3, 7]), [])
@example(pickle.dumps([3, (1, 2, 3, 4, 5, 6, 7)]), [])
@example(pack(CALL, 1, 1, 3, b"\xff"), [])
@example(pack(CREATE, 9, 0, 3, pickle.dumps(("too", "short"))), [])
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_spoiled_message_never_harms_the_one_that_reads_it(
    process: Process, little_memory: None, raw: bytes, buffers: list[bytes]
):
    before = process.post.dropped
    process.post.dispatch(raw, [bytearray(buffer) for buffer in buffers])

    assert process.post.dropped - before in (0, 1)
    for number in list(process.post.transport.peers):
        process.post.transport.forget(number)  # whom it answered: a way to a process is a socket


def test_the_first_that_is_dropped_is_logged(process: Process):
    process.post.dropped = 0
    process.news.clear()
    process.post.dispatch(b"nonsense", [])
    process.post.dispatch(b"", [])

    assert process.post.dropped == 2
    assert [news[0] for news in process.news] == ["log"] and "could not read" in process.news[0][1]


def test_a_small_array_that_cannot_be_unpacked_fails_its_call_and_no_other(process: Process):
    class Way:
        def take(self, mark: int) -> None:
            pass

    futures = [Future(None, "one()"), Future(None, "two()")]  # type: ignore[arg-type]
    for number, future in enumerate(futures, 50):
        future._route, future._mark = Way(), 0  # type: ignore[assignment]
        process.post.ledger.open[number] = future
    process.post.dispatch(pack_plain([3, (-50, (3, "no dtype", (1,), b"")), (51, 7)]), [])

    assert futures[1].result(LIMIT) == 7
    with pytest.raises(Exception, match="could not be unpickled"):
        futures[0].result(LIMIT)
