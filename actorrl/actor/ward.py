"""One process of actors, as the nursery holds it: child, line, lifeline, status page, and what it says."""

from __future__ import annotations

import mmap
import os
import socket
import tempfile
from typing import Any

from .control import Line
from .deaths import End, signal_name
from .launch import Child
from .registry import Entry
from .relay import Voice
from .stacks import ROOM, Dump, demand, written
from .status import SIZE, read, read_started

__all__ = ["Ward"]


class Ward:
    """See the module."""

    def __init__(self, number: int, place: int | None, options: dict[str, Any], voice: Voice) -> None:
        self.number, self.place, self.options, self.voice = number, place, options, voice
        self.page_fd = _anonymous_file()
        self.page = mmap.mmap(self.page_fd, SIZE + ROOM)
        ours, self.theirs = socket.socketpair()
        self.line = Line(ours)
        self.life_read, self.life_write = os.pipe()
        self.child: Child | None = None
        self.killed: str | None = None  # why we killed it
        self.asked: set[int] = set()  # whose death was asked for: at a shared place the others die of it
        self.demanded = False  # that it writes its stacks
        self.ends: dict[int, End] = {}  # told by the worker, published once the process is gone

    @property
    def shared(self) -> bool:
        """Whether several actors may live in it."""
        return isinstance(self.place, int)

    @property
    def pid(self) -> int:
        """Of the process, once it is started."""
        assert self.child is not None
        return self.child.pid

    def hand_over(self) -> None:
        """The process is started: close what is its own."""
        self.theirs.close()
        os.close(self.life_read)
        os.close(self.page_fd)
        self.voice.hand_over()

    def stack(self, actor: int) -> tuple[Any, ...]:
        """What one of its actors runs, its thread, and what the process has written of its stacks, see stacks.py."""
        if not self.demanded:
            self.demanded = True
            demand(self.pid)
        reading = read(self.page, actor)
        text = written(self.page, SIZE)
        return tuple(Dump(reading.running, reading.thread, text) if reading is not None else Dump(None, 0, text))

    def end_of(self, entry: Entry, code: int | None, last_words: str) -> End:
        """How one of its actors ended: with the process, or before it."""
        started = read_started(self.page, entry.address)
        told = self.ends.get(entry.address)
        if told is not None:
            return told._replace(started=started, gone=self.number, stderr=last_words)
        reading = read(self.page, entry.address)
        meant = not self.shared or entry.actor in self.asked
        return End(
            entry.address,
            self.killed if meant and self.killed else "exited",
            entry.cls,
            entry.name,
            self.pid,
            exitcode=code if code is not None and code >= 0 else None,
            signal=signal_name(-code) if code is not None and code < 0 else None,
            running=reading.running if reading else None,
            started=started,
            stderr=last_words,
            gone=self.number,
        )

    def close_in_child(self) -> None:
        """Close what belongs to the nursery alone."""
        self.line.close()
        os.close(self.life_write)

    def close(self) -> None:
        self.line.close()
        os.close(self.life_write)
        self.page.close()


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("actorrl", os.MFD_CLOEXEC)
    else:
        fd, path = tempfile.mkstemp()
        os.unlink(path)
    os.ftruncate(fd, SIZE + ROOM)
    return fd
