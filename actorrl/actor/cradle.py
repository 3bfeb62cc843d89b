"""How a process brings forth the actors that it spawns, and what it keeps of those that may be started again.

The constructor's message, encoded at the spawn, and the last state that came of it. The owner keeps
them: an actor whose owner is gone has ended anyway. `processes.py` passes on what it hears.

    spawn ──► bear ──► CREATE      "checkpoint" ──► keep      "moved" ──► CREATE with the state, at the new address
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from .codec import Encoded
from .frames import BUFFERS, CREATE, DEFINES, pack
from .moves import Moves
from .residents import Birth

if TYPE_CHECKING:
    from .post import Post

__all__ = ["Cradles"]


class Cradles:
    """All of one process. Safe from any thread.

    Args:
        post: sends the messages.
        moves: knows where an actor lives that has died before.
    """

    def __init__(self, post: Post, moves: Moves) -> None:
        self._post, self._moves = post, moves
        self._kept: dict[int, _Cradle] = {}

    def bear(self, birth: Birth, process: int, body: Encoded, again: bool) -> None:
        """Send the constructor's message of a new actor, and keep it if it may be started again."""
        cradle = _Cradle(birth, body, again)
        if again:
            self._kept[birth.actor] = cradle
        self._send(cradle, *self._moves.newest(birth.actor, process))

    def bear_again(self, actor: int, address: int, process: int, restarts: int) -> None:
        """Another incarnation starts in a process."""
        cradle = self._kept.get(actor)
        if cradle is not None:
            self._send(cradle, address, process, restarts)

    def keep(self, actor: int, state: bytes) -> None:
        """The last state of an actor."""
        cradle = self._kept.get(actor)
        if cradle is not None:
            cradle.state = state

    def ended(self, actor: int) -> None:
        """It will not be started again."""
        self._kept.pop(actor, None)

    def _send(self, cradle: _Cradle, address: int, process: int | None, restarts: int) -> None:
        if process is not None:  # else it has died already, and we hear where it starts again
            frame, buffers, defines = cradle.frame(address, self._post.number, restarts)
            self._post.post(process, frame, buffers)
            self._post.known(process).update(defines)


class _Cradle:
    """One actor's."""

    def __init__(self, birth: Birth, body: Encoded, again: bool) -> None:
        self._birth = birth
        self._body = body.sealed() if again else body
        self.state: bytes | None = None

    def frame(self, address: int, sender: int, restarts: int = 0) -> tuple[bytes, list[Any], list[str]]:
        """The CREATE message of an incarnation, its buffers, and the definitions that it brings.

        Each incarnation draws random numbers of its own: its place in the order of spawning says which it is.
        """
        birth, body = self._birth, self._body
        fields = {**birth.fields(), "restored": self.state is not None}
        if restarts:
            fields["path"] = (*birth.path, -restarts)
        buffers = [*body.buffers] if self.state is None else [*body.buffers, self.state]
        flags = (DEFINES if body.defines else 0) | (BUFFERS if buffers else 0)
        name = pickle.dumps(tuple(fields[key] for key in Birth.FIELDS))
        return pack(CREATE, address, 0, sender, name, body.data, flags), buffers, list(body.defines)
