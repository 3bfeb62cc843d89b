"""One process of actors, as the nursery holds it: its child, its line, its lifeline, its status page."""

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
from .status import SIZE, read, read_last_words, read_started

__all__ = ["Ward"]


class Ward:
    """See the module."""

    def __init__(self, number: int, place: int | None, options: dict[str, Any]) -> None:
        self.number, self.place, self.options = number, place, options
        self.page_fd = _anonymous_file()
        self.page = mmap.mmap(self.page_fd, SIZE)
        ours, self.theirs = socket.socketpair()
        self.line = Line(ours)
        self.life_read, self.life_write = os.pipe()
        self.child: Child | None = None
        self.killed: str | None = None  # why we killed it
        self.asked: set[int] = set()  # whose death was asked for: at a shared place the others die of it
        self.ends: dict[int, End] = {}  # told by the worker, published once the process is gone

    def close_in_child(self) -> None:
        """Close what belongs to the nursery alone."""
        self.line.close()
        os.close(self.life_write)

    def end_of(self, entry: Entry, code: int) -> End:
        """How an actor ended whose process has ended with this exit code."""
        assert self.child is not None
        started = read_started(self.page, entry.actor)
        told = self.ends.get(entry.actor)
        if told is not None:
            return told._replace(started=started, gone=self.number)
        reading = read(self.page, entry.actor)
        meant = self.place is None or entry.actor in self.asked
        return End(
            entry.actor,
            self.killed if meant and self.killed else "exited",
            entry.cls,
            entry.name,
            self.child.pid,
            exitcode=code if code >= 0 else None,
            signal=signal_name(-code) if code < 0 else None,
            running=reading.running if reading else None,
            started=started,
            stderr=read_last_words(self.page),
            gone=self.number,
        )

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
    os.ftruncate(fd, SIZE)
    return fd
