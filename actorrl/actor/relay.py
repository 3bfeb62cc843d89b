"""What actors print, on its way through the nursery: from the pipes that are their fd 1 and 2 to the driver.

    actor's process  fd 1 ══ pipe ══►  Relay  ══ one socket ══►  Printer (driver, printer.py)
                     fd 2 ══ pipe ══►    └ keeps the end of it: the last words

The kernel holds what nobody has taken. Where the driver's terminal is slow the socket fills, the
relay stops reading, the pipes fill, and whoever prints waits, as for any pipe. The relay never waits.
"""

from __future__ import annotations

import os
import select
import selectors
import socket
import struct
from collections.abc import Callable
from functools import partial

__all__ = ["HEAD", "Relay", "Voice", "standard_streams"]

HEAD = struct.Struct("<BIHI")
"""Before each piece: 1 for stdout or 2 for stderr, process, length of the label, length of the piece (0 at its end)."""
CHUNK = 1 << 16
"""Read at once; also what a pipe holds."""
KEPT, TOLD = 16384, 8192
"""Bytes of stderr that are kept of every process, and characters of it that the error of a death tells."""
MOST = 1 << 22
"""Bytes of dead processes that wait for a slow terminal; what follows is not kept."""


class Voice:
    """Both pipes of one process. `label` is what its lines begin with."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.label = ""
        self.last = b""
        self.fds: dict[int, int] = {}  # read end -> 1 or 2
        self.theirs: list[int] = []  # the write ends, until the process has them

    def belongs_to(self, name: str | None, cls: str, place: int | None, pid: int) -> None:
        """One more actor lives in the process. The only one gives it its name; several share the place's."""
        self.label = f"place {place} {pid}" if self.label and place is not None else f"{name or cls} {pid}"

    def hand_over(self) -> None:
        """The process has its ends: only it holds the pipes open now."""
        for fd in self.theirs:
            os.close(fd)
        self.theirs.clear()

    def last_words(self, most: int = 50) -> str:
        """The last lines that went to stderr, without the list of modules that ends Python's report of a crash."""
        lines = self.last.decode(errors="replace").splitlines()
        return "\n".join([line for line in lines if not line.startswith("Extension modules: ")][-most:])[-TOLD:]


class Relay:
    """See the module.

    Args:
        selector: the nursery's; it calls the data of what it finds ready.
        sock: leads to the driver; None where nobody reads, as in tests.
    """

    def __init__(self, selector: selectors.BaseSelector, sock: socket.socket | None) -> None:
        self._selector, self._socket = selector, sock
        self._readers: dict[int, Callable[[], int]] = {}  # read end -> what reads it
        self._pending = bytearray()
        self._stuck = False
        if sock is not None:
            sock.setblocking(False)

    def open(self, number: int) -> Voice:
        """The pipes for a new process."""
        voice = Voice(number)
        for stream in (1, 2):
            ours, theirs = os.pipe()
            os.set_blocking(ours, False)
            voice.fds[ours] = stream
            voice.theirs.append(theirs)
            self._readers[ours] = partial(self._read, voice, ours)
            if not self._stuck:
                self._selector.register(ours, selectors.EVENT_READ, self._readers[ours])
        return voice

    def _read(self, voice: Voice, fd: int) -> int:
        """Take what a pipe holds, at most a chunk: how much that was."""
        if fd not in voice.fds:
            return 0  # closed a moment ago, by an event of the same round
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return 0
        stream = voice.fds[fd]
        if stream == 2:
            voice.last = (voice.last + data)[-KEPT:]
        label = voice.label.encode()
        self._pending += HEAD.pack(stream, voice.number, len(label), len(data)) + label + data
        if not data:
            self._close(voice, fd)
        self._flush()
        return len(data)

    def _close(self, voice: Voice, fd: int) -> None:
        del voice.fds[fd], self._readers[fd]
        if not self._stuck:
            self._selector.unregister(fd)
        os.close(fd)

    def _flush(self) -> None:
        """Send what the socket takes; read no further while something is left."""
        try:
            while self._pending and self._socket is not None:
                del self._pending[: self._socket.send(self._pending)]
        except BlockingIOError:
            pass
        except OSError:  # the driver is gone, and soon all are
            self._pending.clear()
        if self._stuck == bool(self._pending) or self._socket is None:
            return
        self._stuck = not self._stuck
        if self._stuck:
            for fd in self._readers:
                self._selector.unregister(fd)
            self._selector.register(self._socket, selectors.EVENT_WRITE, self._flush)
        else:
            self._selector.unregister(self._socket)
            for fd, reader in self._readers.items():
                self._selector.register(fd, selectors.EVENT_READ, reader)

    def bury(self, voice: Voice) -> str:
        """The process has ended: take what it left in its pipes. Its last words.

        A pipe that somebody else holds open, a stray of the process, is read on as before.
        """
        for fd in list(voice.fds):
            while fd in voice.fds and len(self._pending) < MOST and self._read(voice, fd) == CHUNK:
                pass
            if fd in voice.fds:
                self._read(voice, fd)  # the end of it, where nobody else holds it
        return voice.last_words()

    def finish(self, wanted: Callable[[], bool]) -> None:
        """Every process has ended: send what they left, as long as it is `wanted`."""
        for reader in list(self._readers.values()):
            while reader() == CHUNK:
                pass
        while self._pending and self._socket is not None and wanted():
            select.select([], [self._socket], [], 0.1)
            self._flush()
        self.close()

    def close(self) -> None:
        """Close what is the nursery's own; the child of a fork does so first."""
        for fd in self._readers:
            os.close(fd)
        self._readers.clear()
        if self._socket is not None:
            self._socket.close()


def standard_streams() -> None:
    """Fill the gaps that a driver without stdin, stdout or stderr leaves: pipes must not take their numbers."""
    while True:
        fd = os.open(os.devnull, os.O_RDWR)
        if fd > 2:
            os.close(fd)
            return
