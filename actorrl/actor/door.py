"""The door of a process: a datagram socket beside its ZeroMQ inbox, for what is short and can be taken at once.

A message by ZeroMQ passes a thread of the sender's and one of the receiver's that do nothing but
carry it: three threads are woken where one has something to do. Through the door it goes from the
thread that sends to the thread that waits, for half the time. But the door holds ten messages and no
long ones: what does not fit goes by ZeroMQ, which holds anything. turns.py puts the two in order.

    send ──fits──► door ────────────────┐
      └──full, long, not there──► ZeroMQ ┴──► receive
"""

from __future__ import annotations

import errno
import os
import resource
import socket
from collections.abc import Callable
from typing import Any

__all__ = ["WIDE", "Door", "Way", "files_of", "unlink"]

WIDE = 16 * 1024
"""Bytes of the longest message that goes through."""


FILES = 16
"""One of so many files that this process may have open is spent on a way to a door."""


def files_of(directory: str, process: int) -> tuple[str, str]:
    """Where the inbox of a process is and where its door."""
    return os.path.join(directory, f"{process}.sock"), os.path.join(directory, f"{process}.door")


def unlink(*files: str) -> None:
    """Remove the files of sockets, as far as they are there."""
    for file in files:
        try:
            os.unlink(file)
        except OSError:
            pass


class Way:
    """The way to another process's door: `send(message)`, which raises OSError where it does not go through."""

    def __init__(self, door: Door, path: str) -> None:
        self._door = door
        self._socket: socket.socket | None = None
        if door.ways <= 0:
            own = door.socket
            self.send: Callable[[bytes], int] = lambda message: own.sendto(message, path)
            return
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise
        door.ways -= 1
        self.send = self._socket.send

    def close(self) -> None:
        """Nothing is sent any more."""
        if self._socket is not None:
            self._socket.close()
            self._door.ways += 1


class Door:
    """A process's own door, and the ways to those of others. Nothing waits here.

    Where the system has no such sockets, or no more of them, there is none: everything goes by ZeroMQ.
    """

    def __init__(self, path: str) -> None:
        self.fd = -1
        self.take: Callable[[int], bytes] = _no_door
        """What has come, where something has: `take(WIDE)`."""
        self.ways = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // FILES
        """So many more ways may have a socket of their own, a third cheaper to send with."""
        try:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        except (OSError, AttributeError):
            return
        try:
            self.socket.setblocking(False)
            self.socket.bind(path)
        except OSError:
            self.socket.close()
            return
        self.fd, self.take = self.socket.fileno(), self.socket.recv

    def way(self, path: str) -> Way:
        """The way to the door at a path. OSError where there is none, or none yet."""
        if self.fd < 0:
            _no_door()
        return Way(self, path)

    def close(self) -> None:
        """Nothing comes through any more."""
        if self.fd >= 0:
            self.fd = -1
            self.socket.close()


def _no_door(*_: Any) -> Any:
    raise OSError(errno.ENOENT, "this process has no door")
