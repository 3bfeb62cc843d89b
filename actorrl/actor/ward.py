"""One process of actors, as the nursery holds it: its child, its line, its lifeline, its status page."""

from __future__ import annotations

import mmap
import os
import socket
import tempfile
from typing import Any

from .control import Line
from .deaths import End
from .launch import Child
from .status import SIZE

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
