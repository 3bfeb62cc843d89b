"""The life of an actor's process, from the fork to the exit.

The nursery calls `forked` in the child; `fresh` is the entry of a process that starts from nothing.
Both put the driver's environment in place, open the sockets and hand over to the host's loop.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from mmap import mmap
from typing import Any, NamedTuple, NoReturn

from . import dynamo, freight, speech, stacks, threads
from .launch import lifeline
from .reaping import MARK
from .status import SIZE, Page

__all__ = ["Settings", "forked", "fresh"]


class Settings(NamedTuple):
    """What a process of actors is told at its start. Plain values: it may travel as JSON."""

    directory: str
    token: str
    number: int
    place: int | None
    line: int
    """The file descriptor of the line to the nursery."""
    life: int
    """The read end of the pipe that only the nursery holds open."""
    page: int
    """The file of the status page."""
    environment: dict[str, str]
    cwd: str
    path: list[str]
    threads: int | None
    cpus: list[int] | None
    driver: int
    out: int
    """The pipe that becomes stdout."""
    err: int
    """The pipe that becomes stderr."""
    pool: int = -1
    """The file of the pool; -1 if there is none."""
    slot: int = -1
    """Our slot in the pool; -1 if there was none left."""

    def for_fresh_start(self) -> tuple[dict[str, Any], dict[str, str], list[int]]:
        """For `launch.start_worker`: these settings, the environment, and the descriptors to hand down."""
        fds = [fd for fd in (self.line, self.life, self.page, self.pool) if fd >= 0]
        return self._replace(environment={})._asdict(), self.variables(), fds

    def variables(self) -> dict[str, str]:
        """The environment variables of the process."""
        mark = {MARK: f"{self.token}:{self.number}"}
        if self.threads is None:
            return {**self.environment, **mark}
        return {**self.environment, **dict.fromkeys(threads.ONE_THREAD, str(self.threads)), **mark}


def forked(settings: Settings) -> None:
    """Run in a fresh fork of the nursery. Returns when the process should exit with code 0."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's
    lifeline(settings.life)
    speech.take_pipes(settings.out, settings.err)
    os.environ.clear()
    os.environ.update(settings.variables())
    sys.path[:] = settings.path
    _look_again()
    _settle_in(settings)


def fresh() -> NoReturn:
    """Run in a process of its own interpreter, started by `launch.start_worker`."""
    told = json.loads(sys.argv[2])
    sys.argv[:] = [""]
    settings = Settings(**told)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lifeline(settings.life)
    _settle_in(settings)
    os._exit(0)


def _look_again() -> None:
    """Let imports see what was written since the nursery looked; clearing the cache would write to 4 MB of memory."""
    for path, finder in list(sys.path_importer_cache.items()):
        if finder is None:
            del sys.path_importer_cache[path]
        elif hasattr(finder, "invalidate_caches"):
            finder.invalidate_caches()


def _settle_in(settings: Settings) -> None:
    try:
        os.chdir(settings.cwd)
    except OSError:
        pass  # the driver's directory is gone: stay where we are
    if settings.cpus and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, settings.cpus)
    speech.open_streams()
    threads.allow(settings.threads or 1)
    dynamo.install()
    from .processes import ProcessEngine

    freight.join(settings.pool, settings.slot, settings.number)
    page = Page(mmap(settings.page, SIZE))
    stacks.write_on_demand(settings.page, SIZE)
    line = socket.socket(fileno=settings.line)
    try:
        ProcessEngine.join(settings.directory, settings.token, settings.number, settings.place, line, page)
    finally:
        speech.finish()
