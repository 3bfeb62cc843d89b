"""What actors print, where it comes out: a thread of the driver that writes it to `sys.stdout` and `sys.stderr`.

The nursery sends it piece by piece (relay.py). Each line gets a prefix, leaves whole, and is folded where
an actor repeats it:

    (Counter 4711) hello
    (Counter 4711) ... repeated 41 times
    (place 2 4712) what the actors of a shared place say

It writes to whatever `sys.stdout` is at that moment, a notebook's cell or a test's capture as well.
"""

from __future__ import annotations

import socket
import sys
import threading
import time

from .relay import HEAD

__all__ = ["Lines", "Printer"]

PAUSE = 0.25
"""Seconds of silence after which the beginning of a line is shown."""
TALLY = 1.0
"""Seconds after which repetitions are counted out."""
LONGEST = 1 << 16
"""A line longer than so many bytes is cut."""


class Lines:
    """One stream of one process: bytes in, whole lines out. Times in seconds."""

    def __init__(self) -> None:
        self.label = ""
        self._began = b""  # a line that has no end yet
        self._cut = False  # one that had none was shown
        self._last: bytes | None = None
        self._repeated = 0
        self._began_at = self._repeated_at = 0.0

    def take(self, data: bytes, now: float) -> str:
        """What there is to show of it."""
        if self._cut and data:
            self._cut = False
            data = data.removeprefix(b"\n")  # of the line that was shown without it
        *lines, self._began = (self._began + data).split(b"\n")
        shown = [self._line(line, now) for line in lines]
        if len(self._began) > LONGEST:
            shown.append(self._line(self._began, now))
            self._began = b""
        self._began_at = now
        return "".join(shown)

    def due(self) -> float | None:
        """When to call `wait_no_longer`; None while nothing waits."""
        times = [self._began_at + PAUSE] if self._began else []
        if self._repeated:
            times.append(self._repeated_at + TALLY)
        return min(times, default=None)

    def wait_no_longer(self, now: float, at_end: bool = False) -> str:
        """What has waited long enough; all of it at the end."""
        shown = ""
        if self._began and (at_end or self._began_at + PAUSE <= now):
            began, self._began, self._cut = self._began, b"", True
            shown = self._line(began, now)
        if self._repeated and (at_end or self._repeated_at + TALLY <= now):
            shown += self._tally()
        return shown

    def _line(self, line: bytes, now: float) -> str:
        line = line.rstrip(b"\r").rpartition(b"\r")[2]  # of a progress bar, what a terminal would show now
        if line == self._last:
            if not self._repeated:
                self._repeated_at = now
            self._repeated += 1
            return ""
        tally = self._tally() if self._repeated else ""
        self._last = line
        return tally + self._prefixed(line)

    def _tally(self) -> str:
        count, self._repeated = self._repeated, 0
        assert self._last is not None
        return self._prefixed(self._last if count == 1 else b"... repeated %d times" % count)

    def _prefixed(self, line: bytes) -> str:
        return f"({self.label}) {line.decode(errors='replace')}\n"


class Printer(threading.Thread):
    """See the module. Ends when the nursery has closed its end and all is shown.

    A thread that overrides `run`: a notebook shows what such a thread writes in the cell that runs now, and
    what any other writes in the cell that started it.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(name="actorrl-printer", daemon=True)
        self._socket = sock
        self._inbound = bytearray()
        self._streams: dict[tuple[int, int], Lines] = {}
        self.received = 0
        """Bytes so far."""
        self.writing = False
        """Whether it waits for the terminal, or whatever takes its output."""

    def run(self) -> None:
        """Take and show, until the end."""
        while True:
            data = self._receive()
            now = time.monotonic()
            shown = {1: "", 2: ""}
            if data:
                self.received += len(data)
                self._inbound += data
                self._take(shown, now)
            for (_, stream), lines in self._streams.items():
                shown[stream] += lines.wait_no_longer(now, at_end=data == b"")
            self._show(shown)
            if data == b"":
                self._socket.close()
                return

    def ended(self, within: float) -> bool:
        """Wait for its end; False where the nursery has said nothing for so long, and nothing is being written."""
        while True:
            received = self.received
            self.join(within)
            if not self.is_alive():
                return True
            if self.received == received and not self.writing:
                return False

    def _receive(self) -> bytes | None:
        """The next bytes; b"" at the end, None where something has waited long enough."""
        due = min((at for lines in self._streams.values() if (at := lines.due()) is not None), default=None)
        self._socket.settimeout(None if due is None else max(0.001, due - time.monotonic()))
        try:
            return self._socket.recv(1 << 17)
        except TimeoutError:
            return None
        except OSError:
            return b""

    def _take(self, shown: dict[int, str], now: float) -> None:
        buffer = self._inbound
        while len(buffer) >= HEAD.size:
            stream, process, labelled, size = HEAD.unpack_from(buffer)
            start = HEAD.size + labelled
            if len(buffer) < start + size:
                return
            lines = self._streams.setdefault((process, stream), Lines())
            lines.label = buffer[HEAD.size : start].decode()
            shown[stream] += lines.take(bytes(buffer[start : start + size]), now)
            if not size:
                shown[stream] += lines.wait_no_longer(now, at_end=True)
                del self._streams[process, stream]
            del buffer[: start + size]

    def _show(self, shown: dict[int, str]) -> None:
        self.writing = True
        for stream, text in shown.items():
            target = sys.stdout if stream == 1 else sys.stderr
            if text and target is not None:
                try:
                    target.write(text)
                    target.flush()
                except Exception:
                    continue  # closed, or its reader is gone: what is said then is lost, and nobody waits for it
        self.writing = False
