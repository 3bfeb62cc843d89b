"""What the inline engine keeps of each actor: its present incarnation, and how the next one is made.

    Guest ── cell: the object and its mailbox        dies ──► again() ──► another cell, not constructed yet
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .arrays import private
from .cell import Cell
from .codec import Encoded, decode
from .deaths import End
from .engine import Spawn
from .future import Future
from .keeping import Keeper
from .ref import ActorRef
from .restarts import Record

__all__ = ["Guest"]


class Guest:
    """One actor.

    Args:
        ref: its name.
        owner: the cell of whoever spawned it.
        spawn: its place and options.
        body: the constructor's message.
        complain: takes the error of a `get_state` that failed.
    """

    def __init__(
        self,
        ref: ActorRef[Any],
        owner: Cell,
        spawn: Spawn,
        body: Encoded,
        complain: Callable[[Guest, BaseException], None],
    ) -> None:
        options = spawn.options
        self.ref, self.owner, self.place = ref, owner, spawn.place
        self.bounds = options.mailbox, options.on_full
        self.record = Record(options.terms)
        self.restarts = 0
        self.final = False  # somebody wants it to end: whatever it dies of, it stays dead
        self.thread: int | None = None  # whose handler runs it
        self.futures: dict[int, Future[Any]] = {}
        self.watchers: list[Future[Any]] = []
        self.end: End | None = None
        self.handled = 0
        self.busy = 0.0
        self.began = time.monotonic()
        self._options, self._body, self._complain = options, body, complain
        self._path = (*owner.path, owner.spawned)
        self._kept: bytes | None = None
        self.cell = self._new_cell()
        self.unborn = True
        """Whether the constructor is still to run."""

    def _new_cell(self) -> Cell:
        path = (*self._path, -self.restarts) if self.restarts else self._path
        fields = self.ref, self._options.on_failure, self.owner.seed, path
        if self._options.checkpoint is None:
            return Cell(*fields)

        def save(state: bytes) -> None:
            self._kept = state

        return Keeper(fields, self._options.checkpoint, self._kept, save, lambda error: self._complain(self, error))

    def made_of(self) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        """The factory and its arguments, fresh from the pickle for each incarnation."""
        self.unborn = False
        body, buffers = self._body, self._body.buffers
        if self.record.terms.restarts:
            buffers = private(buffers)
        else:
            self._body = Encoded(b"")  # nobody will ask again
        return decode(body.data, buffers, set())  # type: ignore[no-any-return]

    def dies(self, end: End) -> float | None:
        """It has ended: seconds until it starts again, which here is at once, or None where it is over."""
        if end.orderly or self.final:
            return None
        return self.record.died(time.monotonic(), end)

    def again(self) -> None:
        """Another incarnation, with an empty mailbox and no children."""
        self.restarts += 1
        self.cell = self._new_cell()
        self.unborn = True
