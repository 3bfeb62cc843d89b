"""Ending processes, and finding out which have ended. The nursery's tools; nothing here knows of actors."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

__all__ = ["adopt_orphans", "empty", "ended_children", "kill_descendants", "kill_group"]


def kill_group(pid: int) -> None:
    """Kill a process and its group."""
    for kill in (os.killpg, os.kill):  # the group may not exist yet: a child makes its own
        try:
            kill(pid, signal.SIGKILL)
        except OSError:
            continue


def ended_children(known: list[int]) -> Iterator[int]:
    """Pids that have ended and are not reaped yet; the caller reaps each before it asks for the next."""
    if not hasattr(os, "waitid"):
        yield from known
        return
    before = None
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or found.si_pid == before:
            return
        before = found.si_pid
        yield before


def kill_descendants(limit: float) -> None:
    """Kill every process that descends from this one and reap them, for at most `limit` seconds."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        for pid in _descendants(os.getpid()):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


def _descendants(root: int) -> list[int]:
    parents: dict[int, int] = {}
    try:
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open(f"/proc/{name}/stat", "rb") as file:
                        parents[int(name)] = int(file.read().rsplit(b")", 1)[1].split()[1])
                except (OSError, IndexError, ValueError):
                    continue
    except OSError:
        return []
    found: list[int] = []
    layer = {root}
    while layer:
        layer = {pid for pid, parent in parents.items() if parent in layer}
        found += layer
    return found


def adopt_orphans() -> None:
    """Become the parent of what actors leave behind (Linux), so that it can be found and killed."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    except (OSError, AttributeError):
        pass


def empty(fd: int) -> None:
    """Read a pipe that only wakes its reader."""
    try:
        while os.read(fd, 4096):
            pass
    except BlockingIOError:
        pass
