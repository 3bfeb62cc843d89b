"""Sockets between two ends in one process: whole messages, in order, however they were held, and no loose ends."""

from __future__ import annotations

import os
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from two_ends import LIMIT, TwoEnds

from actorrl.actor import outbox as module
from actorrl.actor.frames import BATCH, BUFFERS, CALL, WAKE, pack, split_batch, unpack
from actorrl.actor.keys import make_key
from actorrl.actor.transport import Transport

LONG = 20.0


class Ends(TwoEnds):
    """Takes batches apart."""

    def receive(self) -> list[Any]:
        """The next messages: one, or those of a batch, each with its call's number and its buffers."""
        raw, buffers = self.received()
        frame = unpack(memoryview(raw))
        if frame.kind == BATCH:
            return [(unpack(part).call_id, []) for part in split_batch(frame.data)]
        return [(frame.call_id, buffers)]

    def numbers(self, count: int) -> list[int]:
        got: list[int] = []
        while len(got) < count:
            got += [number for number, _ in self.receive()]
        return got


@pytest.fixture
def ends() -> Iterator[Ends]:
    with tempfile.TemporaryDirectory(prefix="s-") as directory:
        ends = Ends(directory)
        yield ends
        ends.close()


def call(number: int, data: bytes = b"", flags: int = 0) -> bytes:
    return pack(CALL, 7, number, 1, b"add", data, flags)


def send_call(near: Transport, number: int) -> None:
    peer = near.peer(2)
    with peer.lock:
        near.push(peer, call(number), hold=peer.hurried(near.turn))


def test_a_lone_message_leaves_at_once_and_arrives_whole(ends: Ends):
    ends.near.send(2, call(1, b"payload"))
    raw, buffers = ends.far.receive(LIMIT) or (b"", [])
    frame = unpack(memoryview(raw))

    assert (frame.kind, frame.actor, frame.call_id, frame.name, bytes(frame.data)) == (CALL, 7, 1, b"add", b"payload")
    assert not buffers


def test_buffers_follow_their_message_and_are_copied_when_it_leaves(ends: Ends):
    first, second = bytearray(b"a" * 100_000), bytearray(b"b" * 10)
    ends.near.send(2, call(1, flags=BUFFERS), [first, second])
    first[:] = b"x" * len(first)
    ends.near.send(2, call(2))

    assert ends.receive() == [(1, [b"a" * 100_000, bytes(second)])]
    assert ends.receive() == [(2, [])]


def test_messages_of_every_kind_keep_their_order(ends: Ends):
    rng = random.Random(3)
    for number in range(1, 501):
        way = rng.randrange(5)
        if way == 0:
            ends.near.send(2, call(number))
        elif way == 1:
            ends.near.send(2, call(number), hold=True)
        elif way == 2:
            send_call(ends.near, number)
        elif way == 3:
            ends.near.send(2, call(number, flags=BUFFERS), [b"large"])
        else:
            send_call(ends.near, number)
            ends.near.flush()
    ends.near.flush()

    assert ends.numbers(500) == list(range(1, 501))


def test_threads_that_send_to_one_process_each_keep_their_order(ends: Ends):
    start = threading.Barrier(4)

    def send(first: int) -> None:
        start.wait(LONG)
        for number in range(first, first + 300):
            send_call(ends.near, number)

    threads = [threading.Thread(target=send, args=(1000 * index,)) for index in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    ends.near.flush()
    got = ends.numbers(1200)

    for index in range(1, 5):
        assert [number for number in got if number // 1000 == index] == list(range(1000 * index, 1000 * index + 300))


def test_held_messages_leave_together_when_their_sender_waits(ends: Ends, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "SOON", 0.5)  # the flusher's; long enough for what follows, which takes none
    for number in range(1, 6):
        ends.near.send(2, call(number), hold=True)
    assert ends.far.receive(0) is None
    ends.near.flush()

    assert ends.receive() == [(number, []) for number in range(1, 6)]
    monkeypatch.undo()


def test_held_messages_leave_when_there_are_many(ends: Ends, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Transport, "_hold", lambda self: None)  # nobody flushes but the limits
    for number in range(1, module.AT_ONCE + 1):
        ends.near.send(2, call(number), hold=True)
    assert len(ends.receive()) == module.AT_ONCE
    ends.near.send(2, call(1, b"x" * module.LARGE), hold=True)

    assert ends.receive() == [(1, [])]


def test_held_messages_leave_soon_although_their_sender_does_nothing(ends: Ends):
    for number in range(1, 4):
        ends.near.send(2, call(number), hold=True)
        assert ends.numbers(1) == [number]


def test_a_message_that_is_not_held_takes_the_held_ones_along(ends: Ends, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Transport, "_hold", lambda self: None)
    ends.near.send(2, call(1), hold=True)
    ends.near.send(2, call(2))

    assert ends.receive() == [(1, []), (2, [])]


def test_waiting_ends_with_its_time(ends: Ends):
    began = time.monotonic()
    assert ends.far.receive(20) is None

    assert time.monotonic() - began >= 0.015


def test_a_wake_interrupts_whoever_waits(ends: Ends):
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(ends.far.receive()))
    thread.start()
    ends.far.wake()
    thread.join(LONG)

    assert unpack(memoryview(got[0][0])).kind == WAKE


def test_what_was_sent_before_the_other_end_exists_arrives():
    with tempfile.TemporaryDirectory(prefix="s-") as directory:
        make_key(directory)
        near = Transport(directory, 1)
        near.send(2, call(1))
        ends = Ends.__new__(Ends)
        ends.near, ends.far = near, Transport(directory, 2)

        ends.far.again = False
        assert ends.numbers(1) == [1]
        ends.close()


def test_what_was_held_leaves_before_the_sockets_close(ends: Ends, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Transport, "_hold", lambda self: setattr(self, "holding", True))
    ends.near.send(2, call(1), hold=True)
    ends.near.close(1.0)

    assert ends.numbers(1) == [1]


def test_a_message_to_a_process_that_is_just_forgotten_is_dropped(ends: Ends):
    """The sender has found the socket; then news come that the process has ended; then the sender sends."""

    class Slow(dict):  # type: ignore[type-arg]
        def get(self, key: Any, default: Any = None) -> Any:
            found = super().get(key, default)
            if found is not None:
                ends.near.forget(key)
            return found

    ends.near.send(2, call(1))
    ends.near.peers = Slow(ends.near.peers)
    ends.near.send(2, call(2))
    ends.near.peers = Slow(ends.near.peers)
    ends.near.send(2, call(3), hold=True)
    ends.near.flush()


def test_what_is_held_for_a_process_that_is_forgotten_disturbs_nobody(ends: Ends, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Transport, "_hold", lambda self: setattr(self, "holding", True))
    ends.near.send(2, call(1), hold=True)
    peer = ends.near.peers[2]
    ends.near.forget(2)
    ends.near.peers[2] = peer  # as the flusher's copy of the list still has it
    ends.near.flush()
    del ends.near.peers[2]


def test_sending_after_the_end_is_nothing(ends: Ends):
    ends.near.send(2, call(1))
    ends.near.close(0.0)
    ends.near.send(2, call(2))
    ends.near.send(3, call(3))
    ends.near.wake()
    ends.near.flush()
    ends.near.close = lambda linger: None  # type: ignore[method-assign]


def test_the_socket_file_is_removed_once():
    with tempfile.TemporaryDirectory(prefix="s-") as directory:
        make_key(directory)
        near = Transport(directory, 1)
        assert sorted(os.listdir(directory)) == ["1.door", "1.sock", "key"]
        near.unlink()
        near.unlink()
        assert os.listdir(directory) == ["key"]
        near.close(0.0)


def test_a_message_that_was_not_done_with_is_handed_out_again(ends: Ends):
    ends.far.again = True
    for number in (1, 2):
        ends.near.send(2, call(number))
    assert ends.receive() == ends.receive() == [(1, [])]
    ends.far.current = None

    assert ends.receive() == [(2, [])]


def test_a_dead_process_gets_no_socket_again(ends: Ends):
    ends.near.send(2, call(1))
    ends.near.forget(2)
    ends.near.send(2, call(2))

    assert ends.near.peer(2).gone and not ends.near.peers
    assert ends.numbers(1) == [1] and ends.far.receive(0) is None


class Interrupted(BaseException):
    """What a signal handler raises."""


@pytest.mark.parametrize("size", [0, 100_000])
@pytest.mark.parametrize("sent", [False, True])
def test_a_message_cut_short_by_an_interrupt_arrives_once_and_the_next_after_it(ends: Ends, size: int, sent: bool):
    ends.near.send(2, call(1))
    peer = ends.near.peer(2)
    through, send = peer.through, peer._send

    def interrupted(way: Any) -> Any:
        def once(message: bytes) -> None:
            peer.through, peer._send = through, send
            if sent:
                way(message)
            raise Interrupted

        return once

    peer.through, peer._send = interrupted(through), interrupted(send) if size else send
    with pytest.raises(Interrupted):
        ends.near.send(2, call(2, bytes(size)))
    ends.near.send(2, call(3))

    assert ends.numbers(3) == [1, 2, 3] and ends.far.receive(20) is None


def test_what_was_held_when_an_interrupt_came_leaves_later(ends: Ends, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Transport, "_hold", lambda self: None)
    ends.near.send(2, call(1), hold=True)
    peer = ends.near.peer(2)

    def interrupted(message: bytes) -> None:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(type(peer), "put", lambda self, message: interrupted(message))
        with pytest.raises(Interrupted):
            peer.flush()
    peer.flush()

    assert ends.numbers(1) == [1]
