"""How a process of this machine ended that is not our child, as those that Ray starts are not. Linux 6.15 and later.

Watch ──► pidfd: readable when the process is gone ──► code(): asked of the kernel, once its parent has reaped it
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import time

__all__ = ["Watch"]

_INFO = struct.Struct("=QQ11Ii")
"""The kernel's `struct pidfd_info`: what is asked for, cgroup, eleven ids, the exit code as `wait` has it."""
_EXIT = 1 << 3
_GET_INFO = 3 << 30 | _INFO.size << 16 | 0xFF << 8 | 11
PATIENCE = 0.1
"""Seconds that the parent gets to reap it."""


class Watch:
    """One process. OSError where there is none, or where the system has no pidfd."""

    def __init__(self, pid: int) -> None:
        if not hasattr(os, "pidfd_open"):
            raise OSError("this system has no pidfd")
        self._fd = os.pidfd_open(pid)

    def fileno(self) -> int:
        return self._fd

    def wait(self, within: float) -> None:
        """Return when the process is gone, after `within` seconds at the latest."""
        poll = select.poll()  # select() refuses what is opened as the thousandth
        poll.register(self._fd, select.POLLIN)
        poll.poll(1000 * within)

    def code(self) -> int | None:
        """The exit code of a process that is gone, negative for a signal. None where the kernel does not tell."""
        end = time.monotonic() + PATIENCE
        while True:
            told = bytearray(_INFO.size)
            _INFO.pack_into(told, 0, _EXIT, *[0] * 13)
            try:
                fcntl.ioctl(self._fd, _GET_INFO, told)
                fields = _INFO.unpack(told)
                if fields[0] & _EXIT:
                    return os.waitstatus_to_exitcode(fields[-1])
            except OSError:
                pass  # not reaped yet, or an older kernel
            if time.monotonic() > end:
                return None
            time.sleep(0.002)

    def close(self) -> None:
        os.close(self._fd)
