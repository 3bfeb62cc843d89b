"""Finding what should be gone: processes by a mark in their environment, files by their place."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import psutil

MARK = "ACTORRL_TESTS_MARK"
POLL = 0.005
PATIENCE = 20.0 if "ray" not in os.environ.get("ACTORRL_ENGINES", "") else 60.0
"""Seconds for what has no limit of its own. Ray takes some to start a process, on a busy machine many."""


def eventually(condition: Callable[[], object], within: float = PATIENCE, what: str = "") -> None:
    """Return when `condition()` holds; fail when `within` seconds pass first."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what or condition}")
        time.sleep(POLL)


def processes(mark: str) -> dict[int, str]:
    """{pid: command line} of the living processes that inherited `mark`, without this one."""
    found = {}
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.environ().get(MARK) != mark:
                continue
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            command = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if "resource_tracker" not in command:  # the standard library keeps one until this process ends
            found[process.pid] = command
    return found


def files(directory: str) -> set[str]:
    """What lies in `directory` and in shared memory and could be the runtime's."""
    # the last two are multiprocessing's and that of tempfile, which tries the directory out: left by who is killed
    others = re.compile(r"pytest-|torchinductor|pymp-|[a-z0-9_]{8}$")
    left = {str(path) for path in Path(directory).iterdir() if not others.match(path.name)}
    memory = Path("/dev/shm")
    if memory.is_dir():
        left |= {str(path) for path in memory.iterdir() if "actorrl" in path.name}
    return left


def connections() -> list[str]:
    """The sockets, pipes and event counters that this process has open: what a runtime forgets to close."""
    found = []
    for fd in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []:
        try:
            link = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue  # the listing's own
        if link.startswith(("socket:", "pipe:", "anon_inode:")):
            found.append(link)
    return found


def assert_gone(
    mark: str, directory: str, within: float, known: tuple[dict[int, str], set[str]] = ({}, set())
) -> None:
    """Nothing with `mark` runs and nothing lies in `directory` after `within` seconds, except what was `known`."""
    left: tuple[dict[int, str], set[str]] = ({}, set())

    def gone() -> bool:
        nonlocal left
        alive = {pid: command for pid, command in processes(mark).items() if pid not in known[0]}
        left = alive, files(directory) - known[1]
        return not any(left)

    try:
        eventually(gone, within)
    except AssertionError:
        for pid in left[0]:
            try:
                psutil.Process(pid).kill()
            except psutil.Error:
                pass
        raise AssertionError(f"{within} s later these were left: processes {left[0]}, files {left[1]}") from None


def alive(pid: int) -> bool:
    """Whether `pid` runs: not gone, and not a zombie."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
