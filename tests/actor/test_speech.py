"""The streams of an actor's process: whole lines at once, whoever prints beside them; begun lines a moment later."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator

import pytest

from actorrl.actor.speech import WholeLines

LONG = 20.0


class Pipe:
    def __init__(self) -> None:
        self.read, self.write = os.pipe()
        self.stream = WholeLines(self.write)

    def now(self) -> bytes:
        """What has left the stream so far."""
        return os.read(self.read, 1 << 20) if select.select([self.read], [], [], 0)[0] else b""

    def soon(self) -> bytes:
        assert select.select([self.read], [], [], LONG)[0], "nothing left the stream"
        return os.read(self.read, 1 << 20)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.stream.close()
    os.close(pipe.read)
    os.close(pipe.write)


def test_a_line_leaves_at_once(pipe: Pipe):
    print("one", file=pipe.stream)
    assert pipe.now() == b"one\n"
    pipe.stream.writelines(["two\n", "three\n"])
    assert pipe.now() == b"two\nthree\n"


def test_the_beginning_of_a_line_leaves_a_moment_later(pipe: Pipe):
    print("be", end="", file=pipe.stream)
    print("gun", end="", file=pipe.stream)

    assert pipe.soon() == b"begun"
    print(file=pipe.stream)
    assert pipe.now() == b"\n"


def test_a_flush_hands_on_what_was_begun(pipe: Pipe):
    print("begun", end="", file=pipe.stream, flush=True)

    assert pipe.now() == b"begun"


def test_the_end_hands_on_what_every_thread_has_begun(pipe: Pipe):
    pipe.stream._finish_soon = lambda: None  # type: ignore[method-assign]
    thread = threading.Thread(target=lambda: pipe.stream.write("theirs"))
    thread.start()
    thread.join()
    pipe.stream.write("ours")
    pipe.stream.flush()
    assert pipe.now() == b"ours", "a flush is the thread's own"
    pipe.stream.finish()

    assert pipe.now() == b"theirs"


def test_threads_that_print_at_once_do_not_cut_each_others_lines(pipe: Pipe):
    taken: list[bytes] = []

    def take() -> None:
        while data := os.read(pipe.read, 1 << 16):
            taken.append(data)
            if data.endswith(b"end\n"):
                return

    def talk(letter: str) -> None:
        for _ in range(500):
            print(letter * 10, letter * 10, file=pipe.stream)

    reader = threading.Thread(target=take)
    threads = [threading.Thread(target=talk, args=(letter,)) for letter in "abcd"]
    for thread in [reader, *threads]:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    print("end", file=pipe.stream)
    reader.join(LONG)

    lines = b"".join(taken).decode().splitlines()[:-1]
    assert len(lines) == 2000
    assert {len(set(line) - {" "}) for line in lines} == {1}


def test_it_is_a_text_stream_like_any_other(pipe: Pipe):
    pipe.stream.buffer.write(b"bytes")
    pipe.stream.flush()
    assert pipe.now() == b"bytes"
    assert pipe.stream.fileno() == pipe.write
    assert not pipe.stream.isatty()
    assert pipe.stream.write("four") == 4
    with pytest.raises(TypeError, match="str"):
        pipe.stream.write(b"five")  # type: ignore[arg-type]
    print("\ud800 no encoding knows this", file=pipe.stream)
    assert b"ud800" in pipe.now()
