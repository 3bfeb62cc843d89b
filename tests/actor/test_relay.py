"""The nursery's side of what is printed: it passes on, holds back where nobody takes, and never waits."""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from actorrl.actor.relay import CHUNK, HEAD, TOLD, Relay, Voice


class Way:
    """A relay, its selector, and the end of its socket where the driver would be."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        ours, self.driver = socket.socketpair()
        self.relay = Relay(self.selector, ours)
        self.inbound = b""
        self.voices: list[Voice] = []

    def voice(self, number: int = 1) -> tuple[Voice, int, int]:
        voice = self.relay.open(number)
        voice.belongs_to(None, "A", None, 7)
        self.voices.append(voice)
        out, err = voice.theirs
        return voice, out, err

    def turn(self) -> int:
        """One round of the nursery's loop: how many things were ready."""
        ready = self.selector.select(0)
        for key, _ in ready:
            key.data()
        return len(ready)

    def heard(self) -> list[tuple[int, int, str, bytes]]:
        self.driver.setblocking(False)
        try:
            while data := self.driver.recv(1 << 20):
                self.inbound += data
        except BlockingIOError:
            pass
        found = []
        while len(self.inbound) >= HEAD.size:
            stream, process, labelled, size = HEAD.unpack_from(self.inbound)
            start = HEAD.size + labelled
            if len(self.inbound) < start + size:
                break
            label = self.inbound[HEAD.size : start].decode()
            found.append((stream, process, label, self.inbound[start : start + size]))
            self.inbound = self.inbound[start + size :]
        return found


@pytest.fixture
def way() -> Iterator[Way]:
    way = Way()
    yield way
    for voice in way.voices:
        voice.hand_over()
    way.relay.close()
    way.selector.close()
    way.driver.close()


def test_what_is_written_is_passed_on_with_its_label(way: Way):
    _, out, err = way.voice(3)
    os.write(out, b"hello\n")
    os.write(err, b"oh\n")
    way.turn()

    assert sorted(way.heard()) == [(1, 3, "A 7", b"hello\n"), (2, 3, "A 7", b"oh\n")]


def test_several_actors_of_a_place_speak_as_the_place():
    voice = Voice(1)
    voice.belongs_to(None, "Counter", 2, 7)
    assert voice.label == "Counter 7"
    voice.belongs_to("other", "Counter", 2, 7)

    assert voice.label == "place 2 7"


def flood(way: Way, fd: int) -> int:
    """Write until nobody takes any more: how much that was."""
    os.set_blocking(fd, False)
    written = 0
    while True:
        try:
            written += os.write(fd, b"x" * 4096)
        except BlockingIOError:
            if not way.turn():
                return written


def test_a_slow_driver_holds_up_the_writer_and_nobody_else(way: Way):
    voice, out, err = way.voice()
    written = flood(way, out)
    assert written < 4_000_000, "bounded by what the socket and the pipe hold"
    os.write(err, b"last words")
    way.voice(2)

    assert way.turn() == 0, "nothing is read while nobody takes it"
    heard = b""
    while pieces := way.heard():
        heard += b"".join(data for stream, _, _, data in pieces if stream == 1)
        while way.turn():
            pass
    assert len(heard) == written
    assert voice.last_words() == "last words"


def test_a_dead_process_leaves_what_is_in_its_pipes_even_where_the_driver_is_slow(way: Way):
    voice, out, err = way.voice()
    other, theirs, _ = way.voice(2)
    flood(way, theirs)
    os.write(out, b"o" * 5000)
    os.write(err, b"e" * 5000 + b"\nthe end\n")
    voice.hand_over()

    assert way.relay.bury(voice).endswith("\nthe end")
    assert voice.fds == {}
    while way.heard():
        way.turn()
    assert other.fds


def test_a_stray_that_holds_the_pipe_is_read_on(way: Way):
    voice, out, _ = way.voice()
    stray = os.dup(out)
    voice.hand_over()
    way.relay.bury(voice)
    os.write(stray, b"still here\n")
    way.turn()
    os.close(stray)
    way.turn()

    assert [data for stream, _, _, data in way.heard() if stream == 1] == [b"still here\n", b""]
    assert voice.fds == {}


def test_the_last_words_are_the_end_of_stderr_alone(way: Way):
    voice, out, err = way.voice()
    os.write(out, b"not this\n")
    for n in range(2000):
        os.write(err, b"line %d\n" % n)
    os.write(err, "ü\nExtension modules: numpy, torch (total: 2)\n".encode())
    voice.hand_over()
    words = way.relay.bury(voice)

    assert words.endswith("line 1998\nline 1999\nü")
    assert words.count("\n") == 49 and len(words) <= TOLD


def test_at_the_end_what_is_left_is_sent_as_long_as_it_is_wanted(way: Way):
    voice, out, _ = way.voice()
    written = flood(way, out)
    asked = []

    def wanted() -> bool:
        asked.append(way.heard())
        return len(asked) < 1000

    voice.hand_over()
    way.relay.finish(wanted)
    heard = [piece for pieces in asked for piece in pieces] + way.heard()

    assert sum(len(data) for *_, data in heard) == written


def test_at_the_end_a_driver_that_is_gone_is_not_waited_for(way: Way):
    _, out, _ = way.voice()
    flood(way, out)

    way.relay.finish(lambda: False)


def test_a_driver_that_has_hung_up_is_no_error(way: Way):
    _, out, _ = way.voice()
    way.driver.close()
    os.write(out, b"x" * CHUNK)
    way.turn()
    os.write(out, b"y")
    way.turn()


def test_a_driver_without_stdout_gives_no_pipe_its_number():
    code = (
        "import os; [os.close(fd) for fd in (1, 2)]\n"
        "from actorrl.actor.relay import standard_streams\n"
        "standard_streams(); os._exit(min(os.pipe()) > 2)"
    )
    run: Callable[..., subprocess.CompletedProcess[bytes]] = subprocess.run

    assert run([sys.executable, "-c", code], stdin=subprocess.DEVNULL, timeout=60).returncode == 1
