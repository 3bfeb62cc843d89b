"""Messages of plain values and arrays: around the pickler's hooks, which cost more than all the rest.

An array becomes a list that the C pickler takes as it is, its bytes beside its type and shape: small
ones in the message, large ones where they lie in the pool. `codec.py` writes and reads bodies so;
and calls and answers of one process to another are entries among the plain ones (plain.py).

    calls.py ──► Lean.send ──► (actor, number, method, values, key, None, None) ──► Lean.call
    life.py ──► Lean.reply ──► (number, values, True) ──► Lean.answer

Small arrays in lists and dicts are packing.py's.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .arrays import OUT_OF_BAND, own
from .plain import PLAIN, is_plain
from .routes import Route
from .views import root

if TYPE_CHECKING:
    from .future import Future
    from .mailbox import Envelope
    from .post import Post

__all__ = ["LEAN", "Lean", "lean", "read_lean", "write_lean"]

ARGS, VALUE = b"\x01", b"\x02"
LEAN = 0x80
"""What a body begins with that `write_lean` wrote is less; a pickle begins with this."""
NUMBERS = "?bBhHiIlLqQefd"
"""The types of numbers, in this machine's order of bytes."""
_ndarray: Any = None  # numpy's, once it is imported
_dtypes: dict[str, Any] = {}
_names: dict[Any, str] = {}


def lean(items: tuple[Any, ...]) -> tuple[list[Any], int] | None:
    """`items` with a list for each array, of its type, shape and bytes (of large ones a view), and their size.

    None where something is neither plain nor a plain array: a share, one of an uncommon kind, any other object.
    """
    values: list[Any] = []
    size = 0
    for item in items:
        kind = type(item)
        if kind is _ndarray:
            name, base = _names.get(item.dtype), item.base
            if name is None:
                return None
            if base is not None and not hasattr(base, "claim") and root(item) is not None:
                return None
            if values and sum(item is other for other in items) > 1:
                return None  # it arrives as one: the codec sees to that
            length = item.nbytes
            size += length
            if length < OUT_OF_BAND:
                if not item.flags.c_contiguous:
                    return None
                values.append([name, item.shape, bytearray(item.tobytes())])
                continue
            try:
                values.append([name, item.shape, memoryview(item).cast("B")])
            except TypeError:  # not contiguous
                return None
        elif kind in PLAIN and is_plain(item):
            values.append(item)
        else:
            if _ndarray is None and kind.__module__ == "numpy":
                _meet_numpy()
                return lean(items)
            return None
    return values, size


def _array(name: str, shape: tuple[int, ...], data: Any) -> Any:
    if _ndarray is None:
        _meet_numpy()
    return _ndarray(shape, _dtypes[name], data)


def _meet_numpy() -> None:
    """Somebody has imported numpy, or an array has arrived."""
    global _ndarray
    import numpy

    for name in NUMBERS:
        _dtypes[name] = numpy.dtype(name)
        _names[_dtypes[name]] = name
    _ndarray = numpy.ndarray


def write_lean(items: tuple[Any, ...], args: bool) -> tuple[bytes, list[Any]] | None:
    """A message body with `(items, {})`, or with the one item, and its large buffers. None as for `lean`."""
    made = lean(items)
    if made is None:
        return None
    buffers = []
    for value in made[0]:
        if type(value) is list and type(value[2]) is memoryview:
            buffers.append(value[2])
            value[2] = None
    return (ARGS if args else VALUE) + pickle.dumps(made[0], 5), buffers


def read_lean(data: Any, buffers: Sequence[Any]) -> Any:
    """What `write_lean` was given."""
    values = pickle.loads(data[1:])
    large = iter(buffers)
    for index, value in enumerate(values):
        if type(value) is list:
            values[index] = _array(value[0], value[1], own(next(large)) if value[2] is None else value[2])
    return (tuple(values), {}) if data[:1] == ARGS else values[0]


class Lean:
    """The lean messages of one process, beside the others of its `Post`."""

    def __init__(self, post: Post) -> None:
        self._post, self._number = post, post.number
        self._numbers, self._opened = post.ledger.numbers, post.ledger.open
        self._transport = post.transport
        self._arena = post.transport.freight.arena

    # -- what leaves -------------------------------------------------------------------------------

    def send(
        self, route: Route, method: str, made: tuple[list[Any], int], key: str | None, future: Future[Any] | None
    ) -> bool | None:
        """`Post.send_plain` for what `lean` made. None, and nothing sent, where it must go as a frame."""
        values, size = made
        peer = route.peer
        if peer.process == self._number:
            return None  # it stays in this process, to be copied
        with peer.lock:
            if route.sent - route.started >= route.limit or (route.weight and route.full(size)):
                return False
            if size >= OUT_OF_BAND and not self._place(peer.process, values):
                return None
            mark, number = route.enter(size), 0
            if future is not None:  # as Ledger.enter does
                future._route, future._mark = route, mark
                number = future._call_id = next(self._numbers)
                self._opened[number] = future
            self._transport.push_call(peer, (route.actor, number, method, values, key, None, None))
        return True

    def reply(self, envelope: Envelope, value: Any, hold: bool) -> bool:
        """`Post.reply_plain` for an array. False, and nothing sent, where it is none or must go as a frame."""
        sender = envelope.sender
        made = lean((value,)) if sender != self._number else None
        if made is None:
            return False
        peer = self._transport.peers.get(sender) or self._transport.peer(sender)
        with peer.lock:
            if made[1] >= OUT_OF_BAND and not self._place(sender, made[0]):
                return False
            self._transport.push_plain(peer, (envelope.call_id, made[0], True), hold)
        return True

    def _place(self, receiver: int, values: list[Any]) -> bool:
        """Put large arrays into the pool. False, and nothing there, where one has no room."""
        arena = self._arena
        if len(values) == 1 and arena is not None:  # the usual case, without what several need
            values[0][2] = place = arena.put(receiver, values[0][2])
            return place is not None
        placed: list[tuple[list[Any], Any]] = []
        for value in values:
            if type(value) is list and type(value[2]) is memoryview:
                place = arena.put(receiver, value[2]) if arena is not None else None
                if place is None:
                    for _, other in placed:
                        arena.take_back(other)  # type: ignore[union-attr]
                    return False
                placed.append((value, place))
        for value, place in placed:
            value[2] = place
        return True

    # -- what arrives ------------------------------------------------------------------------------

    def call(self, entry: tuple[Any, ...]) -> tuple[Any, ...]:
        """The entry as a plain one, with the arrays themselves."""
        actor, number, method, values, key, *_ = entry
        args = tuple([self._open(value) if type(value) is list else value for value in values])
        return (actor, number, method, args) if key is None else (actor, number, method, args, key)

    def answer(self, number: int, values: list[Any]) -> None:
        """Settle a call with an array."""
        future = self._opened.pop(number, None)
        self._transport.current = None  # what lies in the pool is taken once
        try:
            value = self._open(values[0])  # of a cancelled call too: so its block is free again
            if future is not None:
                if future._route is not None:
                    future._route.take(future._mark)
                future._settle(value)
        except BaseException as error:
            if future is not None:
                future._settle(None, error)
            raise

    def _open(self, value: list[Any]) -> Any:
        """An array from what `lean` made of it."""
        name, shape, data = value
        if type(data) is tuple:
            data = self._arena.take(*data)  # type: ignore[union-attr]
        return _array(name, shape, data)
