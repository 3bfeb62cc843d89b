"""A cell that keeps copies of its object's state, for the incarnation after it.

For actors with the option `checkpoint=k`: after every k messages the object's `get_state()` is
encoded and handed to the engine before the answer leaves, so that what a caller has been told is
kept. After a restart `set_state()` gets the last one, once the constructor has run.

    handle ──► every k-th: get_state ──► save ──► the owner        the owner ──► construct ──► set_state
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from .cell import Cell, Decode, Outcome
from .codec import decode, encode
from .context import inside
from .engine import Spawn
from .mailbox import Envelope

__all__ = ["Keeper", "check_keeps"]


def check_keeps(spawn: Spawn) -> None:
    """TypeError where a class is to be kept and does not say how; what a factory makes is seen when it is made."""
    if spawn.options.checkpoint is not None and isinstance(spawn.factory, type):
        _check(spawn.factory, spawn.options.checkpoint)


def _check(kind: Any, every: int) -> None:
    missing = [name for name in ("get_state", "set_state") if not callable(getattr(kind, name, None))]
    if missing:
        name = getattr(kind, "__qualname__", type(kind).__qualname__)
        raise TypeError(
            f"checkpoint={every} needs {name}.get_state() and {name}.set_state(state): it has no {missing[0]}"
        )


class Keeper(Cell):
    """See the module.

    Args:
        fields: what a Cell is made of.
        every: after so many messages.
        kept: what an earlier incarnation saved last; None if nothing.
        save: takes the bytes.
        complain: takes the error of a `get_state` that failed.
    """

    def __init__(
        self,
        fields: tuple[Any, ...],
        every: int,
        kept: bytes | None,
        save: Callable[[bytes], None],
        complain: Callable[[BaseException], None],
    ) -> None:
        super().__init__(*fields)
        self._every, self._kept, self._save, self._complain = every, kept, save, complain
        self._count = 0

    def construct(self, factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().construct(factory, args, kwargs)
        _check(self.state, self._every)
        if self._kept is not None:
            data, buffers = pickle.loads(self._kept)
            self._kept = None
            with inside(self):
                self._finished("set_state", self.state.set_state(decode(data, buffers, set())))

    def handle(self, envelope: Envelope, decode: Decode) -> tuple[Any, BaseException | None]:
        answer = super().handle(envelope, decode)
        self._handled(1)
        return answer

    def handle_batch(self, run: list[Envelope], decode: Decode) -> list[Outcome]:
        outcomes = super().handle_batch(run, decode)
        self._handled(len(run))
        return outcomes

    def _handled(self, count: int) -> None:
        self._count += count
        if self._count < self._every:
            return
        self._count %= self._every
        try:
            body = encode(self._finished("get_state", self.state.get_state()))
            self._save(pickle.dumps((body.data, [bytearray(buffer) for buffer in body.buffers]), 5))
        except Exception as error:
            self._complain(error)
