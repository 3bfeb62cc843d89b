"""`ref.method.tell_after`: messages that leave later, kept in the process that sends them.

One thread per process waits for the next of them; it starts with the first.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import math
import threading
import time
from typing import TYPE_CHECKING, Any

from . import engine as _seam

if TYPE_CHECKING:
    from .ref import ActorRef

__all__ = ["tell_after"]

log = logging.getLogger("actorrl")


class _Timers:
    """What is due when. Whoever adds something earlier than the rest wakes the thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Any, _seam.Call]] = []
        self._order = itertools.count()
        self._thread: threading.Thread | None = None

    def add(self, seconds: float, engine: _seam.Engine, call: _seam.Call) -> None:
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + seconds, next(self._order), engine, call))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="actorrl-timers", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            engine, call = self._next()
            running = _seam.active.engine
            if running is None or running is not engine:
                continue  # the system that it belonged to is over
            try:
                running.tell(*call)
            except Exception:
                log.exception("the message %s to %r, sent by tell_after, was not delivered", call.method, call.ref)

    def _next(self) -> tuple[Any, _seam.Call]:
        with self._changed:
            while True:
                left = self._due[0][0] - time.monotonic() if self._due else None
                if left is not None and left <= 0:
                    return heapq.heappop(self._due)[2:]
                self._changed.wait(left)


_timers = _Timers()


def tell_after(seconds: float, ref: ActorRef[Any], method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """See `Method.tell_after`."""
    from .arguments import encode_call
    from .arrays import private
    from .codec import decode

    if not isinstance(seconds, (int, float)) or not (0 <= seconds < math.inf):
        raise ValueError(f"tell_after() takes seconds, a finite number of at least 0; got {seconds!r}")
    engine = _seam.engine()
    body = encode_call(_seam.Call(ref, method, None, args, kwargs))
    args, kwargs = decode(body.data, private(body.buffers), set())
    _timers.add(seconds, engine, _seam.Call(ref, method, None, args, kwargs))
