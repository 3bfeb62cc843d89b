"""`group(refs).method(...)`: one call to many actors, one message per process, one Future of a list.

    group([a, b, c, d]).step(1)      a and b live at place 0, c and d at place 1: two messages there, two back
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from . import engine as _seam
from .future import DONE, Future
from .ref import ActorRef

__all__ = ["Group", "group"]

T = TypeVar("T")


def group(refs: Iterable[ActorRef[T]]) -> Group[T]:
    """Address several actors at once: `group(refs).method(...)` returns one Future of the list of their answers.

    Actors that share a place get one message for all of them, and answer with one.

    Raises:
        TypeError: for anything that is not an ActorRef.
    """
    found = list(refs)
    for ref in found:
        if not isinstance(ref, ActorRef):
            raise TypeError(f"group() takes ActorRefs; one of them is a {type(ref).__name__}")
    return Group(found)


class Group(Generic[T]):
    """Several actors under one name. Each method is called on all, with the same arguments."""

    def __init__(self, refs: Sequence[ActorRef[T]]) -> None:
        self._refs = tuple(refs)

    def __getattr__(self, name: str) -> Callable[..., Future[list[Any]]]:
        if name.startswith("_"):
            raise AttributeError(f"{self!r} has no {name!r}: names with an underscore are private to the actors")
        return GroupMethod(self._refs, name)

    def __len__(self) -> int:
        return len(self._refs)

    def __repr__(self) -> str:
        return f"<group of {len(self._refs)} actors>"


class GroupMethod:
    """`group.method`: call it for the Future of a list, in the order of the refs."""

    def __init__(self, refs: tuple[ActorRef[Any], ...], name: str) -> None:
        self._refs, self._name = refs, name

    def __call__(self, *args: Any, **kwargs: Any) -> Future[list[Any]]:
        engine: Any = _seam.engine()
        parts = engine.call_group(self._refs, self._name, args, kwargs)
        return GroupFuture(engine, f"group of {len(parts)}", self._name, parts)

    remote = __call__

    def tell(self, *args: Any, **kwargs: Any) -> None:
        """Tell each of them."""
        engine = _seam.engine()
        for ref in self._refs:
            engine.tell(ref, self._name, None, args, kwargs)


class GroupFuture(Future[Any]):
    """Done when every answer is there, or when the first of them in order that is an error is."""

    def __init__(self, engine: Any, cls: str, method: str, parts: Sequence[Future[Any]]) -> None:
        super().__init__(engine, cls, method)
        self._parts = tuple(parts)
        self._next = 0  # all before it have answered without an error
        self._counting = threading.Lock()
        for part in self._parts:
            part._seen = True  # its error is this future's, or hidden by an earlier one as in fetch(list)
            part._receive()
            part.list_waiter(self)
        self.add_result()

    def add_result(self, _: Any = None) -> None:
        """One of them is done: the protocol of concurrent.futures for those who wait."""
        with self._counting:
            while self._next < len(self._parts) and self._parts[self._next]._state == "FINISHED":
                part = self._parts[self._next]
                if part._exception is not None:
                    break
                self._next += 1
            waiting = self._next < len(self._parts)
            if waiting and self._parts[self._next]._state not in DONE:
                return
        if not waiting:
            self._settle([part._result for part in self._parts])
        elif self._parts[self._next]._exception is not None:
            self._settle(None, self._parts[self._next]._exception)
        else:
            super().cancel()

    add_exception = add_cancelled = add_result

    def cancel(self) -> bool:
        """Give all of them up. True if it was not done."""
        if self._state in DONE:
            return self._state != "FINISHED"
        for part in self._parts:
            part.cancel()
        return self._state != "FINISHED"

    def _await(self, timeout: float | None) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        for part in self._parts:
            if self._state in DONE:
                return
            if part._state not in DONE:
                self._engine.block(part, deadline)
            if deadline is not None and time.monotonic() >= deadline:
                break
        super()._await(None if deadline is None else max(0.0, deadline - time.monotonic()))
