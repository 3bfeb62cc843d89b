"""What a process keeps of each actor that lives in it. Made and used by host.py alone."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .cell import Cell
from .codec import decode
from .frames import Frame
from .mailbox import Envelope
from .receiver import Waiter
from .routes import quantum

if TYPE_CHECKING:
    from .status import CellStatus

__all__ = ["Arrived", "Birth", "Resident", "Tally"]


class Birth:
    """What a CREATE message says of the new actor; its fields travel as a plain tuple."""

    FIELDS = (
        *("actor", "cls", "name", "on_failure", "owner", "owner_process", "path", "seed", "mailbox"),
        *("checkpoint", "restored"),
    )
    __slots__ = FIELDS

    def __init__(self, *fields: Any) -> None:
        for key, value in zip(self.FIELDS, fields, strict=True):
            setattr(self, key, value)

    def fields(self) -> dict[str, Any]:
        """The fields by name."""
        return {key: getattr(self, key) for key in self.FIELDS}

    actor: int
    """What refs name; the message itself goes to the address of the incarnation."""
    cls: str
    name: str | None
    on_failure: str
    owner: int
    owner_process: int
    path: tuple[int, ...]
    seed: int
    mailbox: int
    checkpoint: int | None
    restored: bool
    """Whether the last of the buffers is what an earlier incarnation saved."""


class Arrived:
    """A body that was decoded when it arrived, because it brought definitions others may need."""

    def __init__(self, frame: Frame, buffers: list[Any], known: set[str]) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        try:
            self.value = decode(frame.data, buffers, known)
        except BaseException as error:
            self.error = error


class Tally:
    """Counts the answers of a group call in one process: they leave together."""

    def __init__(self, count: int) -> None:
        self._left = itertools.count(count - 1, -1)

    def answered(self) -> bool:
        """One more is there. Whether another will follow."""
        return next(self._left) > 0


class Resident:
    """One actor of this process."""

    def __init__(self, actor: int, cell: Cell, birth: Birth, body: Any, status: CellStatus) -> None:
        self.actor = actor  # its address: each incarnation has another, the ref of its cell has the first
        self.cell, self.birth, self.body, self.status = cell, birth, body, status
        self.mailbox = cell.mailbox
        self.waiter = Waiter()
        self.thread = 0  # whose handlers run it
        self.parked = False  # it waits for its waiter to be told, whoever puts something
        self.run: Sequence[Envelope] = ()  # what runs
        self.cancelled: set[tuple[int, int]] = set()
        self.owed: dict[int, int] = {}  # per sender, how much of what was taken it has been told
        self.asked: dict[int, int] = {}  # per sender that waits for room: it is told of each message up to this one
        self.quantum = quantum(birth.mailbox)
        self.eager = self.quantum == 1  # so few may wait that a sender must know at once
        self.failures = 0
        self.looked = 0  # when the socket was last looked at between two messages
        self.left = False  # its owner has ended
