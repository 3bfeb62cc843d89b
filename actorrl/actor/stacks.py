"""Where an actor that does not stop is stuck: the stack of its handler, for the error that says so.

A signal makes the process write the stacks of its threads behind its status page, also while a
handler holds the interpreter's lock in C code; the nursery reads them there.

    stop() in any process ──"stack"──► nursery ──signal──► actor's process
                  ▲                       │                     │ faulthandler
                  └── text, as it grows ──┴───── page ◄─────────┘
"""

from __future__ import annotations

import faulthandler
import linecache
import mmap
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Dump", "demand", "late", "of_actor", "of_thread", "write_on_demand"]

ROOM = 1 << 16
"""Bytes behind the status page. The pages of memory are taken only where something is written."""
LIMIT, LOOK = 1.0, 0.005
"""Seconds that a process gets to write its stacks, and between two looks at them."""
NUMBER = signal.SIGRTMAX - 3 if hasattr(signal, "SIGRTMAX") else signal.SIGUSR2
"""One that no program of a user is likely to want."""
_THREAD = re.compile(r"^(?:Current thread|Thread) 0x([0-9a-f]+).*:\n((?:  .*\n)*)", re.MULTILINE)
_FRAME = re.compile(r'  File "(.*)", line (\d+) in (.*)')
_RUNTIME = os.path.dirname(__file__) + os.sep
_WAITING = re.compile(rf".*/site-packages/zmq/|{re.escape(threading.__file__)}")
_CALLER = _RUNTIME + "cell.py"
"""Every handler is called from there."""


class Dump(NamedTuple):
    """What the nursery knows of an actor that is stuck."""

    running: str | None
    """Its method."""
    thread: int
    text: str
    """The stacks of all threads of its process, as far as they are written."""


def write_on_demand(page: int, at: int) -> None:
    """In an actor's process: write the stacks of all threads to a file, from `at` on, when the signal comes."""
    os.lseek(page, at, os.SEEK_SET)
    faulthandler.register(NUMBER, file=page, all_threads=True)


def demand(pid: int) -> None:
    """In the nursery: let a process write its stacks."""
    try:
        os.kill(pid, NUMBER)
    except OSError:
        pass  # it has ended meanwhile


def written(page: mmap.mmap, at: int) -> str:
    """In the nursery: what it has written so far."""
    return page[at : at + ROOM].rstrip(b"\0").decode(errors="replace")


def of_actor(ask: Callable[[], tuple[Any, ...] | None]) -> tuple[str | None, str]:
    """The method that an actor runs and its stack, as a traceback shows it; "" where nothing is to be had.

    Args:
        ask: gives the fields of the Dump as it is by now; None for an actor that has ended.
    """
    deadline = time.monotonic() + LIMIT
    first = before = _dump(ask())
    while first is not None and before is not None and time.monotonic() < deadline:
        time.sleep(LOOK)
        dump = _dump(ask())
        whole = before.text.endswith((" in <module>\n", "  ...\n"))  # the main thread comes last
        if dump is None or (whole and dump.text == before.text):
            break
        before = dump
    if first is None or before is None:
        return None, ""
    return first.running, _formatted(before)  # the signal may have woken it from what it waited for


def _dump(fields: tuple[Any, ...] | None) -> Dump | None:
    return None if fields is None else Dump(*fields)


def _formatted(dump: Dump) -> str:
    for thread, frames in _THREAD.findall(dump.text):
        if int(thread, 16) == dump.thread:
            found = [(file, int(line), name) for file, line, name in _FRAME.findall(frames)]
            return _shown(found)
    return ""


def of_thread(thread: int | None) -> str:
    """The same of a thread of this process."""
    frame = sys._current_frames().get(thread or 0)
    if frame is None:
        return ""
    found = traceback.extract_stack(frame)
    return _shown([(one.filename, one.lineno or 0, one.name) for one in reversed(found)])


def _shown(frames: list[tuple[str, int, str]]) -> str:
    """Frames, the most recent first, as a traceback has them: from the handler to where it called the runtime."""
    start = 0
    for index, (file, _, _) in enumerate(frames):
        if file.startswith(_RUNTIME):
            start = index  # what it called in turn, in here and in what it waits with, says nothing to its user
        elif not _WAITING.match(file):
            break
    end = next((index for index, (file, _, _) in enumerate(frames) if file == _CALLER), len(frames))
    lines = []
    for file, line, name in reversed(frames[start:end] or frames):
        lines.append(f'  File "{file}", line {line}, in {name}\n')
        source = linecache.getline(file, line).strip()
        if source:
            lines.append(f"    {source}\n")
    return "".join(lines)


def late(ref: Any, timeout: float, became: str, running: str | None, stack: str) -> TimeoutError:
    """The error for an actor that did not stop in time."""
    doing = f" while it ran {running!r}" if running else ""
    where = f"; it was here, the last call last:\n{stack.rstrip()}" if stack else "; it did not say where it was"
    return TimeoutError(f"{ref!r} did not stop within {timeout} s{doing} and {became}{where}")
