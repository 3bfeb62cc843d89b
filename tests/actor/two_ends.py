"""Two transports in one process, the second of which receives as an actor's process does."""

from __future__ import annotations

from actorrl.actor.frames import unpack
from actorrl.actor.keys import make_key
from actorrl.actor.transport import Transport

LIMIT = 20_000
"""Milliseconds after which nothing more is expected."""


class TwoEnds:
    """Process 1 sends, process 2 receives."""

    def __init__(self, directory: str) -> None:
        make_key(directory)
        self.directory = directory
        self.near, self.far = Transport(directory, 1), Transport(directory, 2)
        self.far.again = False

    def received(self) -> tuple[bytes, list[bytes]]:
        """The next message and its buffers."""
        got = self.far.receive(LIMIT)
        assert got is not None, "nothing arrived"
        return bytes(got[0]), [bytes(buffer) for buffer in got[1]]

    def number(self) -> int:
        """The number of the next call."""
        return unpack(memoryview(self.received()[0])).call_id

    def close(self) -> None:
        self.near.close(0.0)
        self.far.close(0.0)
