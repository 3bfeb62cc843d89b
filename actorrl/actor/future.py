"""The Future a call returns: a `concurrent.futures.Future` that can also be awaited.

Made by the engines, one per call. Whoever completes it is a thread of the runtime or the thread
that is inside `fetch`; callbacks always run on a thread of the runtime.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import time
import traceback
from collections.abc import Callable, Generator
from typing import Any, Generic, NoReturn, Protocol, TypeVar

__all__ = ["Future", "Patience"]

T = TypeVar("T")
DONE = ("CANCELLED", "CANCELLED_AND_NOTIFIED", "FINISHED")
log = logging.getLogger("actorrl")


class Patience(Protocol):
    """What a Future asks of the engine that made it."""

    def block(self, future: Future[Any], deadline: float | None) -> None:
        """Return when `future` is done or the deadline (time.monotonic) has passed."""

    def hurry(self, future: Future[Any]) -> None:
        """Somebody who will not call `fetch` waits: complete it from a thread of the runtime."""

    def withdraw(self, future: Future[Any]) -> None:
        """The future was cancelled: tell the actor."""

    def later(self, work: Callable[[], None]) -> None:
        """Run `work` on the runtime's thread for callbacks."""


class Future(concurrent.futures.Future, Generic[T]):  # type: ignore[type-arg]
    """The answer to one call, now or later."""

    __array_ufunc__ = None  # numpy must ask our operators, which say what to do
    receives = True
    """Whether an error given to this has been received by somebody; False for what the runtime waits on itself."""

    def __init__(self, engine: Patience, label: str = "", call_id: int = 0, actor: int = 0) -> None:
        super().__init__()
        self._engine = engine
        self._label = label
        self._call_id = call_id
        self._actor = actor
        self._seen = False

    def result(self, timeout: float | None = None) -> T:
        """The value, waiting for it. Raises the handler's error, TimeoutError or CancelledError."""
        self._await(timeout)
        self._seen = True
        return super().result(0)  # type: ignore[no-any-return]

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The handler's error or None, waiting for the end of the call."""
        self._await(timeout)
        self._seen = True
        return super().exception(0)

    def _await(self, timeout: float | None) -> None:
        if self._state not in DONE:
            self._engine.block(self, None if timeout is None else time.monotonic() + timeout)
            if self._state not in DONE:
                raise TimeoutError(f"{self._label} has not answered within {timeout} s; it may be fetched again")

    def cancel(self) -> bool:
        """Give the call up. True if it was not done; a call that is still queued will never run."""
        if not super().cancel():
            return False
        with self._condition:
            fresh = self._state == "CANCELLED"
        if fresh:
            self.set_running_or_notify_cancel()
            self._engine.withdraw(self)
        return True

    def add_done_callback(self, fn: Callable[[Any], object]) -> None:
        """Call `fn(self)` on a thread of the runtime once this is done (here, now, if it already is)."""
        super().add_done_callback(fn)
        if self._state not in DONE:
            self._engine.hurry(self)

    def list_waiter(self, waiter: Any) -> bool:
        """Tell `waiter` (by concurrent.futures' protocol) when this is done. False if it already is."""
        with self._condition:
            if self._state in DONE:
                return False
            self._waiters.append(waiter)
            return True

    def unlist_waiter(self, waiter: Any) -> None:
        """Tell it no more."""
        waiters: list[Any] = self._waiters
        with self._condition:
            if waiter in waiters:
                waiters.remove(waiter)

    def _invoke_callbacks(self) -> None:
        if self._done_callbacks:  # type: ignore[attr-defined]
            self._engine.later(super()._invoke_callbacks)  # type: ignore[misc]

    def __await__(self) -> Generator[Any, None, T]:
        self._seen = True
        return asyncio.wrap_future(self).__await__()

    def _settle(self, value: Any, error: BaseException | None = None) -> None:
        """Complete it, unless it was cancelled meanwhile."""
        try:
            if error is None:
                self.set_result(value)
            else:
                self.set_exception(error)
        except concurrent.futures.InvalidStateError:
            pass

    def __del__(self) -> None:
        error = getattr(self, "_exception", None)
        if error is not None and not self._seen:
            text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
            log.error("%s failed and nobody fetched its future:\n%s", self._label or "a call", text)

    def __bool__(self) -> bool:
        return True  # there is a future: `if self.pending and self.pending.done()`

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(f"a Future cannot be sent or pickled: fetch it first ({self._label})")

    def __repr__(self) -> str:
        return f"<Future {self._label} {self._state.lower().replace('_and_notified', '')}>"


def _refuse(symbol: str) -> Callable[..., NoReturn]:
    def operator(self: Future[Any], *_: Any) -> NoReturn:
        raise TypeError(f"{symbol} on a Future ({self._label}): it is not the value yet, fetch it first: fetch(future)")

    return operator


_BINARY = ("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "divmod", "pow", "lshift", "rshift")
_BITS = ("and", "or", "xor")
_OTHERS = ("lt", "le", "gt", "ge", "neg", "pos", "abs", "invert", "int", "float", "complex", "index", "round")
_CONTAINERS = ("len", "getitem", "iter", "contains")
for _name in _BINARY + _BITS:
    setattr(Future, f"__{_name}__", _refuse(_name))
    setattr(Future, f"__r{_name}__", _refuse(_name))
for _name in _OTHERS + _CONTAINERS:
    setattr(Future, f"__{_name}__", _refuse(_name))
