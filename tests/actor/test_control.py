"""The line to the nursery over a real socketpair: messages in order, answers to their askers, and the end of it."""

from __future__ import annotations

import pickle
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorrl.actor.control import Client, Line
from actorrl.errors import ActorError

LONG = 20.0


class Office:
    """A client, the nursery's line to it, and what the client was told."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.line = Line(ours)
        self.news: list[tuple[Any, ...]] = []
        self.lost = threading.Semaphore(0)
        self.heard = threading.Semaphore(0)
        self.client = Client(theirs, self.hear, self.lost.release)

    def hear(self, *message: Any) -> None:
        self.news.append(message)
        self.heard.release()

    def asked(self) -> Any:
        """The next message that the client has sent."""
        self.line.socket.setblocking(True)
        self.line.socket.settimeout(LONG)
        head = self.line.socket.recv(4, socket.MSG_WAITALL)
        data = self.line.socket.recv(struct.unpack("<I", head)[0], socket.MSG_WAITALL)
        self.line.socket.setblocking(False)
        return pickle.loads(data)

    def ask(self, *question: Any) -> tuple[threading.Thread, list[Any]]:
        box: list[Any] = []

        def run() -> None:
            try:
                box.append(self.client.ask(*question))
            except Exception as error:
                box.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread, box


@pytest.fixture
def office() -> Iterator[Office]:
    office = Office()
    office.client.start()
    yield office
    office.line.close()
    office.client.close()


def joined(thread: threading.Thread, box: list[Any]) -> Any:
    thread.join(LONG)
    assert not thread.is_alive(), "nobody answered"
    return box[0]


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(1, 97))
@settings(max_examples=50)
def test_messages_arrive_whole_and_in_order_however_the_stream_is_cut(payloads, piece):
    near, far = socket.socketpair()
    sender, receiver = Line(near), Line(far)
    for number, payload in enumerate(payloads):
        data = pickle.dumps((number, payload))
        sender._outbound += struct.pack("<I", len(data)) + data
    stream, got = bytes(sender._outbound), []
    for start in range(0, len(stream), piece):
        near.sendall(stream[start : start + piece])
        messages, alive = receiver.receive()
        assert alive
        got += messages
    sender.close()
    messages, alive = receiver.receive()
    receiver.close()

    assert [*got, *messages] == list(enumerate(payloads))
    assert not alive


def test_a_line_never_blocks_and_keeps_what_is_not_taken():
    near, far = socket.socketpair()
    sender, receiver = Line(near), Line(far)
    payload = b"x" * 100_000
    for number in range(50):
        sender.send(number, payload)
    assert sender._outbound, "5 MB are more than a socket takes"
    got: list[Any] = []
    while len(got) < 50:
        got += receiver.receive()[0]
        sender.flush()

    assert [number for number, _ in got] == list(range(50))
    assert sender.flush() is True
    sender.close()
    receiver.close()


def test_a_line_whose_other_end_is_gone_forgets_what_it_had():
    near, far = socket.socketpair()
    line = Line(near)
    far.close()
    line.send("anybody there?")

    assert line.flush() is True
    assert line._outbound == b""
    assert line.receive() == ([], False)
    line.close()


def test_a_question_gets_its_own_answer_whatever_the_order(office: Office):
    first, second = office.ask("find", "a"), None
    question_a = office.asked()
    second = office.ask("find", "b")
    question_b = office.asked()
    office.line.send("answer", question_b[1], None, "answer b")
    office.line.send("answer", question_a[1], None, "answer a")

    assert (question_a[0], question_a[2], question_b[2]) == ("find", "a", "b")
    assert (joined(*first), joined(*second)) == ("answer a", "answer b")


def test_an_error_in_an_answer_is_raised(office: Office):
    asking = office.ask("find", "nobody")
    office.line.send("answer", office.asked()[1], LookupError("no actor is named 'nobody'"), None)

    assert isinstance(joined(*asking), LookupError)


def test_an_answer_to_a_question_nobody_asked_is_ignored(office: Office):
    office.line.send("answer", 999, None, "what?")
    office.line.send("ended", "news")

    assert office.heard.acquire(timeout=LONG)
    assert office.news == [("ended", "news")]


def test_news_come_in_order_between_answers(office: Office):
    asking = office.ask("actors")
    number = office.asked()[1]
    for message in (("ended", 1), ("answer", number, None, []), ("log", "x"), ("ended", 2)):
        office.line.send(*message)
    assert joined(*asking) == []
    for _ in range(3):
        assert office.heard.acquire(timeout=LONG)

    assert office.news == [("ended", 1), ("log", "x"), ("ended", 2)]


def test_everyone_who_waits_hears_of_the_end_of_the_nursery(office: Office):
    asking = [office.ask("spawn", number) for number in range(3)]
    for _ in asking:
        office.asked()
    office.line.close()

    for one in asking:
        assert isinstance(joined(*one), ActorError)
    assert office.lost.acquire(timeout=LONG)
    assert isinstance(joined(*office.ask("spawn", 4)), ActorError), "and so does whoever asks later"
    assert not office.lost.acquire(blocking=False), "the loss is told once"
    office.client.send("log", "to nobody")


@pytest.mark.parametrize("rest", [b"", b"\x10", struct.pack("<I", 1000), struct.pack("<I", 1000) + b"\x80\x05half"])
def test_a_nursery_killed_in_the_middle_of_a_message_is_a_nursery_lost(office: Office, rest: bytes):
    asking = office.ask("spawn", {})
    office.asked()
    office.line.socket.setblocking(True)
    office.line.socket.sendall(rest)
    office.line.close()

    assert isinstance(joined(*asking), ActorError)
    assert office.lost.acquire(timeout=LONG)


def test_hanging_up_ends_the_thread_that_listens():
    office = Office()
    office.client.start()
    office.client.close()

    assert office.lost.acquire(timeout=LONG)
    assert not office.client._thread.is_alive()
    assert office.line.receive() == ([], False)
    office.line.close()


def test_questions_from_many_threads_are_not_mixed_up(office: Office):
    asking = [office.ask("echo", number, b"x" * 10_000) for number in range(8)]
    questions = [office.asked() for _ in asking]
    for _, number, payload, _ in questions:
        office.line.send("answer", number, None, payload)
        while not office.line.flush():
            pass

    assert [joined(*one) for one in asking] == list(range(8))
