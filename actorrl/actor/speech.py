"""What an actor's process writes to: its stdout and stderr, which are pipes that the nursery reads (relay.py).

    print, logging ──► WholeLines ──┐
                                    ├──► fd 1, fd 2 ══ pipe ══► nursery
    C code, subprocesses ───────────┘

A line leaves at once and in one piece, whichever threads print beside it: the actors of a shared
place do. What has no end of line yet leaves a moment later, at a flush, or when the process ends.
"""

from __future__ import annotations

import faulthandler
import io
import os
import sys
import threading
import time

__all__ = ["WholeLines", "finish", "open_streams", "take_pipes"]

SOON = 0.1
"""Seconds that the beginning of a line waits for its end."""


class WholeLines(io.TextIOWrapper):
    """A stream of text that hands on whole lines."""

    def __init__(self, fd: int) -> None:
        raw = io.FileIO(fd, "wb", closefd=False)
        super().__init__(io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace")
        self._began: dict[int, str] = {}  # thread -> its line so far
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.RLock()  # a collection inside may run somebody's __del__, which may print
        self._waiting = threading.Event()
        self._flusher: threading.Thread | None = None

    def write(self, text: str, /) -> int:
        """Hand on what ends with a newline; keep the rest."""
        if type(text) is not str:
            raise TypeError(f"write() takes a str; got {type(text).__name__}")
        me = threading.get_ident()
        with self._lock:
            whole, newline, rest = (self._began.pop(me, "") + text).rpartition("\n")
            if newline:
                super().write(whole + newline)
                super().flush()
            if rest:
                self._began[me] = rest
                self._finish_soon()
        return len(text)

    def flush(self) -> None:
        """Hand on what this thread has begun as well."""
        with self._lock:
            began = self._began.pop(threading.get_ident(), None)
            if began is not None:
                super().write(began)
            super().flush()

    def finish(self) -> None:
        """Hand on what every thread has begun."""
        with self._lock:
            for thread in list(self._began):
                super().write(self._began.pop(thread))
            super().flush()

    def close(self) -> None:
        """End the stream and its thread."""
        super().close()
        self._waiting.set()

    def _finish_soon(self) -> None:
        if self._flusher is None:
            self._flusher = threading.Thread(target=self._finish_later, name="actorrl-lines", daemon=True)
            self._flusher.start()
        self._waiting.set()

    def _finish_later(self) -> None:
        """A thread, made for the first line that is not whole."""
        while self._waiting.wait() and not self.closed:
            self._waiting.clear()
            before = dict(self._began)
            time.sleep(SOON)
            with self._lock:
                for thread, text in before.items():
                    if self._began.get(thread) is text and not self.closed:
                        super().write(self._began.pop(thread))
                        super().flush()
                if self._began:
                    self._waiting.set()


def take_pipes(out: int, err: int) -> None:
    """Make two pipes fd 1 and fd 2 of this process."""
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)


def open_streams() -> None:
    """Let Python write to fd 1 and 2 line by line, and say where it was when the process crashes."""
    sys.stdout = sys.__stdout__ = WholeLines(1)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = WholeLines(2)  # type: ignore[misc]
    faulthandler.enable(file=2, all_threads=False)


def finish() -> None:
    """The process ends: what is not whole yet leaves as it is."""
    for stream in (sys.stdout, sys.stderr):
        try:
            (stream.finish if isinstance(stream, WholeLines) else stream.flush)()
        except (OSError, ValueError, AttributeError):
            continue  # closed, or nobody reads any more
