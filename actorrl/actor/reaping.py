"""Ending processes, and finding out which have ended. The nursery's tools; nothing here knows of actors."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Container, Iterator

__all__ = [
    *("MARK", "adopt_orphans", "empty", "ended_children", "kill_all_marked", "kill_descendants", "kill_group"),
    "kill_strays",
]

MARK = "ACTORRL_PROCESS"
"""An environment variable of every process of actors, "token:number", which what it starts inherits."""


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


def kill_strays(token: str, living: Container[int], own: Container[int]) -> bool:
    """Kill what processes of actors that have ended left behind, though it has left their group: whether any was found.

    Such a process has become a child of this one, and its mark says whose it was. What a living
    actor has sent into the background is left alone.

    Args:
        token: of the system.
        living: the numbers of the processes of actors that live.
        own: the pids of those processes.
    """
    me, parents = os.getpid(), _parents()
    found = False
    for pid, parent in parents.items():
        if parent == me and pid not in own:
            number = _marked(pid, token)
            if number is not None and number not in living:
                found = True
                for one in [pid, *_below(pid, parents)]:
                    kill_group(one)
    return found


def kill_all_marked(token: str) -> None:
    """Kill everything that the actors of a system have started: nobody else is left to do so."""
    for pid in _parents():
        if _marked(pid, token) is not None and pid != os.getpid():
            kill_group(pid)


def _marked(pid: int, token: str) -> int | None:
    """The number of the process of actors that started `pid`; None if it was none of this system."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            found = re.search(rb"(?:^|\0)%s=%s:(\d+)\0" % (MARK.encode(), re.escape(token.encode())), file.read())
    except OSError:
        return None
    return int(found.group(1)) if found is not None else None


def _descendants(root: int) -> list[int]:
    return _below(root, _parents())


def _parents() -> dict[int, int]:
    """The parent of each process."""
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
        pass
    return parents


def _below(root: int, parents: dict[int, int]) -> list[int]:
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
