"""How a process gets new actors: the line to the nursery, which the driver starts on first need.

Also the directory the sockets live in: 0700, one per system, removed at its end, and swept at the
next start where a power cut left one behind.
"""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any

from . import freight, threads
from .control import Client
from .keys import make_key
from .launch import start_nursery
from .printer import Printer

__all__ = ["Births", "make_directory"]

HEAVY = ("gymnasium", "torch")
"""Libraries the nursery imports as well once the driver has; numpy it always does."""
GENERATION = 1 << 20
"""Each nursery of a system numbers its actors and processes from another million."""
PREFIX = "actorrl-"
PATIENCE = 5.0
"""Seconds that a nursery gets to end everything; while it has something to print they begin anew."""
LONGEST = 80
"""A socket's path has at most 107 bytes."""


def make_directory() -> tuple[str, int]:
    """A new private directory for sockets, and the descriptor that locks it as long as we live."""
    root = tempfile.gettempdir()
    if len(root) > LONGEST:
        root = "/tmp"
    _sweep(root)
    path = tempfile.mkdtemp(prefix=PREFIX, dir=root)
    make_key(path)
    made = os.path.join(path, "lock.new")
    lock = os.open(made, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.rename(made, os.path.join(path, "lock"))  # only now: another start may sweep what has an unlocked lock
    return path, lock


def _sweep(root: str) -> None:
    """Remove the directories of systems whose driver is gone."""
    for path in glob.glob(os.path.join(root, PREFIX + "*")):
        try:
            if os.stat(path).st_uid != os.getuid():
                continue
            lock = os.open(os.path.join(path, "lock"), os.O_RDWR)
        except OSError:
            continue  # another user's, or being made this very moment
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except OSError:
            pass  # its driver lives
        finally:
            os.close(lock)


class Births:
    """Asks the nursery. In the driver it starts one where none is, or where the last was killed."""

    def __init__(
        self,
        directory: str,
        token: str,
        news: Callable[..., None],
        lost: Callable[[], None],
        line: socket.socket | None,
    ) -> None:
        self._directory, self._token = directory, token
        self._news, self._lost = news, lost
        self._lock = threading.Lock()
        self._generation = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._client: Client | None = None
        self._printer: Printer | None = None
        self._driver = line is None
        if line is not None:
            self._client = Client(line, news, lost)

    def listen(self) -> None:
        """In a worker, whose line is there from the start: take the news from now on."""
        assert self._client is not None
        self._client.start()

    @property
    def nursery_pid(self) -> int | None:
        """The nursery's pid, in the driver."""
        return self._process.pid if self._process is not None else None

    @property
    def started(self) -> bool:
        """Whether anything was ever spawned."""
        return self._process is not None

    def spawn(self, wish: dict[str, Any]) -> tuple[int, int, int]:
        """Have an actor's process made or found: (actor, process, pid). ValueError as the nursery says."""
        wish = {
            **wish,
            "environment": {**os.environ, **threads.unasked(wish["options"].get("env"))},
            "cwd": _working_directory(),
            "path": [entry for entry in sys.path if isinstance(entry, str)],
            "preload": [name for name in HEAVY if name in sys.modules],
        }
        return self._ready().ask("spawn", wish)  # type: ignore[no-any-return]

    def ask(self, kind: str, *args: Any) -> Any:
        """Any other request. LookupError, ActorError as they come."""
        return self._ready().ask(kind, *args)

    def send(self, *message: Any) -> None:
        """News for the nursery, one way."""
        if self._client is not None:
            self._client.send(*message)

    def forget(self) -> None:
        """The nursery is gone: the next request starts another."""
        with self._lock:
            self._client = None
            if self._process is not None:
                self._process.wait()
                self._process = None
                self._nobody_shares(coming=True)

    def close(self) -> None:
        """End the nursery and with it every process of ours; returns when it is gone."""
        client, process, printer = self._client, self._process, self._printer
        self._client = self._process = None
        if client is not None:
            client.send("bye")
        if process is not None:
            if printer is not None and not printer.ended(PATIENCE):
                process.kill()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if client is not None:
            client.close()
        if process is not None:
            self._nobody_shares(coming=False)

    def _nobody_shares(self, coming: bool) -> None:
        """All other processes are gone, and with them what they held of the pool."""
        loans = freight.here().loans
        if loans is not None:
            loans.disconnect(coming)

    def _ready(self) -> Client:
        with self._lock:
            if self._client is None:
                if not self._driver:
                    raise RuntimeError("the actor system has been shut down")
                ours, theirs = socket.socketpair()
                output, source = socket.socketpair()
                settings = {
                    "directory": self._directory,
                    "token": self._token,
                    "driver": os.getpid(),
                    "first": self._generation * GENERATION + 1,
                    "preload": [name for name in HEAVY if name in sys.modules],
                }
                loans = freight.here().loans
                if loans is not None:
                    settings["pool"] = loans.arena.pool.fd
                self._generation += 1
                self._process = start_nursery(theirs, source, settings)
                theirs.close()
                source.close()
                self._printer = Printer(output)
                self._printer.start()
                self._client = Client(ours, self._news, self._lost)
                self._client.start()
                if loans is not None:
                    loans.connect(self._client.send)
            return self._client


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        return "/"
