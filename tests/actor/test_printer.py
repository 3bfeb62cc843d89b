"""What comes out of the driver: whole lines with a prefix, repetitions folded, however the bytes were cut."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorrl.actor.printer import LONGEST, PAUSE, TALLY, Lines, Printer
from actorrl.actor.relay import HEAD

LONG = 20.0


def lines() -> Lines:
    made = Lines()
    made.label = "A 1"
    return made


def test_a_line_has_a_prefix():
    assert lines().take(b"one\ntwo\n", 0.0) == "(A 1) one\n(A 1) two\n"


def test_a_line_that_is_repeated_is_counted():
    said = lines()

    assert said.take(b"again\n" * 42, 0.0) == "(A 1) again\n"
    assert said.take(b"other\n", 0.1) == "(A 1) ... repeated 41 times\n(A 1) other\n"


def test_a_line_that_comes_twice_is_shown_twice():
    said = lines()

    assert said.take(b"twice\ntwice\nother\n", 0.0) == "(A 1) twice\n(A 1) twice\n(A 1) other\n"


def test_repetitions_are_counted_out_now_and_then():
    said = lines()
    said.take(b"again\n" * 3, 10.0)
    assert said.wait_no_longer(10.0 + TALLY / 2) == ""
    said.take(b"again\n" * 3, 10.0 + TALLY / 2)

    assert said.due() == 10.0 + TALLY
    assert said.wait_no_longer(10.0 + TALLY) == "(A 1) ... repeated 5 times\n"
    assert said.due() is None
    assert said.take(b"again\nother\n", 20.0) == "(A 1) again\n(A 1) other\n"


def test_a_line_without_its_end_is_shown_after_a_silence():
    said = lines()
    assert said.take(b"be", 1.0) == ""
    assert said.take(b"gun", 1.0 + PAUSE / 2) == ""
    assert said.wait_no_longer(1.0 + PAUSE) == "", "it went on meanwhile"

    assert said.wait_no_longer(1.0 + 1.5 * PAUSE) == "(A 1) begun\n"
    assert said.take(b"ended\n", 9.0) == "(A 1) ended\n"


def test_the_end_of_a_line_that_comes_late_is_no_empty_line():
    said = lines()
    said.take(b"begun", 1.0)
    assert said.wait_no_longer(1.0 + PAUSE) == "(A 1) begun\n"
    assert said.take(b"\nnext\n\n", 9.0) == "(A 1) next\n(A 1) \n"


def test_at_the_end_everything_is_shown():
    said = lines()
    said.take(b"again\n" * 4 + b"begun", 0.0)

    assert said.wait_no_longer(0.0, at_end=True) == "(A 1) ... repeated 3 times\n(A 1) begun\n"


def test_a_progress_bar_is_what_a_terminal_would_show():
    assert lines().take(b"\r 10%\r 50%\r100%\n", 0.0) == "(A 1) 100%\n"
    assert lines().take(b"dos\r\n", 0.0) == "(A 1) dos\n"


def test_a_line_without_end_is_cut():
    said = lines()
    shown = "".join(said.take(b"x" * 1000, 0.0) for _ in range(70))

    assert LONGEST <= len(shown) < LONGEST + 5000
    assert said.take(b"\n", 0.0).count("\n") == 1


@given(st.lists(st.binary(max_size=20).map(lambda data: data.replace(b"\r", b"").replace(b"\n", b"")), max_size=20),
       st.lists(st.integers(0, 400), max_size=10))  # fmt: skip
def test_how_the_bytes_are_cut_makes_no_difference(said, cuts):
    whole = b"".join(line + b"\n" for line in said)
    edges = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    one, other = lines(), lines()
    shown = "".join(one.take(whole[a:b], 0.0) for a, b in itertools.pairwise(edges))

    assert shown == other.take(whole, 0.0)
    assert one.wait_no_longer(0.0, at_end=True) == other.wait_no_longer(0.0, at_end=True)


@pytest.fixture
def way() -> Iterator[tuple[Printer, socket.socket]]:
    ours, theirs = socket.socketpair()
    printer = Printer(ours)
    yield printer, theirs
    theirs.close()
    assert printer.ended(LONG)


def piece(stream: int, data: bytes, process: int = 1, label: str = "A 1") -> bytes:
    return HEAD.pack(stream, process, len(label), len(data)) + label.encode() + data


def test_stdout_stays_stdout_and_stderr_stderr(way, capsys):
    printer, theirs = way
    theirs.sendall(piece(1, b"out\n") + piece(2, b"err\n") + piece(1, b"begun", process=2, label="B 2"))
    theirs.shutdown(socket.SHUT_WR)
    printer.start()

    assert printer.ended(LONG)
    assert capsys.readouterr() == ("(A 1) out\n(B 2) begun\n", "(A 1) err\n")


def test_a_piece_may_arrive_byte_by_byte(way, capsys):
    printer, theirs = way
    printer.start()
    for byte in piece(1, "grün\n".encode()) + piece(1, b""):
        theirs.send(bytes([byte]))
    theirs.shutdown(socket.SHUT_WR)

    assert printer.ended(LONG)
    assert capsys.readouterr().out == "(A 1) grün\n"


def test_a_stream_that_cannot_be_written_holds_nobody_up(way, monkeypatch):
    class Closed:
        def write(self, text: str) -> None:
            raise ValueError("I/O operation on closed file")

    printer, theirs = way
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", Closed())
        printer.start()
        theirs.sendall(piece(1, b"x\n" * 10_000))
        theirs.shutdown(socket.SHUT_WR)
        assert printer.ended(LONG)


def test_a_printer_that_hears_nothing_more_is_not_waited_for(way):
    printer, _ = way
    printer.start()

    assert not printer.ended(0.05)
