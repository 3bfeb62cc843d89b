"""The door beside the inbox: the faster way for what fits, and ZeroMQ's for all the rest, in one order."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from two_ends import LIMIT, TwoEnds

from actorrl.actor.door import WIDE, Door, files_of, unlink
from actorrl.actor.frames import CALL, pack, unpack
from actorrl.actor.keys import make_key
from actorrl.actor.transport import Transport


class Ends(TwoEnds):
    """Counts what comes through the door."""

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self.by_door = 0
        take = self.far._take

        def counted(size: int) -> bytes:
            raw = take(size)
            self.by_door += 1
            return raw

        self.far._take = counted

    def send(self, number: int, size: int = 0) -> None:
        self.near.send(2, pack(CALL, 7, number, 1, b"add", bytes(size)))

    def numbers(self, count: int) -> list[int]:
        return [self.number() for _ in range(count)]


@pytest.fixture
def ends() -> Iterator[Ends]:
    with tempfile.TemporaryDirectory(prefix="s-") as directory:
        ends = Ends(directory)
        yield ends
        ends.close()


def test_a_short_message_comes_through_the_door_and_a_long_one_does_not(ends: Ends):
    ends.send(1)
    assert ends.numbers(1) == [1] and ends.by_door == 1
    ends.send(2, size=WIDE)
    assert ends.numbers(1) == [2] and ends.by_door == 1
    ends.send(3, size=WIDE - 100)
    assert ends.numbers(1) == [3] and ends.by_door == 2


def test_what_finds_the_door_full_goes_by_the_socket(ends: Ends):
    for number in range(1, 101):
        ends.send(number)

    assert ends.numbers(100) == list(range(1, 101))
    assert 5 <= ends.by_door < 100


def test_long_and_short_messages_keep_their_order(ends: Ends):
    for number in range(1, 61):
        ends.send(number, size=WIDE if number % 3 == 0 else 0)
        if number % 7 == 0:
            assert ends.numbers(7) == list(range(number - 6, number + 1))


def test_a_door_that_is_never_empty_does_not_shut_the_inbox(ends: Ends):
    other = Transport(ends.directory, 3)
    ends.send(1, size=WIDE)
    got: list[Any] = []
    for number in range(200):
        other.send(2, pack(CALL, 7, number, 3, b"add"))
        other.send(2, pack(CALL, 7, number, 3, b"add"))
        message = ends.far.receive(LIMIT)
        assert message is not None
        got.append(unpack(memoryview(message[0])).sender)
    other.close(0.0)

    assert 1 in got


@pytest.mark.parametrize("missing", ["there", "here"])
def test_without_a_door_everything_goes_by_the_socket(ends: Ends, missing: str):
    if missing == "there":
        unlink(files_of(ends.directory, 2)[1])
    else:
        ends.near.door.close()
    for number in range(1, 20):
        ends.send(number)

    assert ends.numbers(19) == list(range(1, 20)) and ends.by_door == 0


def test_the_ways_to_doors_take_few_of_the_files_there_may_be(ends: Ends):
    others = [Transport(ends.directory, number) for number in (3, 4)]
    ends.near.door.ways = 1
    for process in (2, 3, 4):
        ends.near.send(process, pack(CALL, 7, 1, 1, b"add"))
    for far in (ends.far, *others):
        assert far.receive(LIMIT) is not None
    assert ends.near.door.ways == 0
    assert [ends.near.peer(process).way._socket is None for process in (2, 3, 4)] == [False, True, True]
    ends.near.forget(2)
    assert ends.near.door.ways == 1
    for far in others:
        far.close(0.0)


def test_where_no_door_can_be_made_there_is_none():
    door = Door("/nowhere/" + "x" * 200)

    assert door.fd == -1
    with pytest.raises(OSError, match="no door"):
        door.way("/nowhere")
    door.close()


def test_a_process_without_a_door_still_receives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    with tempfile.TemporaryDirectory(prefix="s-") as directory:
        make_key(directory)
        near = Transport(directory, 1)
        with monkeypatch.context() as patch:
            patch.setattr("actorrl.actor.transport.files_of", lambda at, n: (files_of(at, n)[0], "/nowhere/at/all"))
            far = Transport(directory, 2)
        assert far.door.fd == -1
        near.send(2, pack(CALL, 7, 1, 1, b"add"))
        message = far.receive(LIMIT)
        assert message is not None and unpack(memoryview(message[0])).call_id == 1
        near.close(0.0)
        far.close(0.0)
