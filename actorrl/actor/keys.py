"""The key of a system: random bytes in a file that only its user can read, beside the sockets.

Every message ends with it, so whoever sends one has read the file; what does not end with it is
dropped before anything looks at it. The directory alone keeps other users out: the key keeps out the
same user's programs that come to a socket by mistake or by guessing.
"""

from __future__ import annotations

import os

__all__ = ["KEY", "make_key", "read_key"]

KEY = 16
"""Bytes."""
_NAME = "key"


def make_key(directory: str) -> None:
    """Make the key of a new system."""
    fd = os.open(os.path.join(directory, _NAME), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, os.urandom(KEY))
    finally:
        os.close(fd)


def read_key(directory: str) -> bytes:
    """The key of the system that lives in `directory`."""
    with open(os.path.join(directory, _NAME), "rb") as file:
        return file.read()
