"""The Future a call returns: a `concurrent.futures.Future` that can also be awaited.

Made by the engines, one per call. Whoever completes it is a thread of the runtime or the thread
that is inside `fetch`; callbacks always run on a thread of the runtime.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
import time
import traceback
from collections.abc import Callable, Generator, Sequence
from typing import Any, Generic, NoReturn, Protocol, TypeVar

__all__ = ["Future", "Patience", "in_order"]

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


_change = threading.RLock()  # reentrant: a collection inside may run somebody's __del__, which may end a call


class _Complaint:
    """Logs an error that its future has taken to the grave."""

    def __init__(self, label: str, error: BaseException, seen: bool) -> None:
        self.label, self.error, self.seen = label, error, seen

    def __del__(self) -> None:
        if not self.seen:
            error = self.error
            text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
            log.error("%s failed and nobody fetched its future:\n%s", self.label or "a call", text)


class Future(concurrent.futures.Future, Generic[T]):  # type: ignore[type-arg]
    """The answer to one call, now or later.

    A `concurrent.futures.Future` without its price: the condition and the lists that the standard
    library keeps in each are made when somebody asks for them, which `fetch` never does. Every change
    of state happens under one lock of the module; whoever made the condition before is told, whoever
    makes it afterwards finds the new state.
    """

    __array_ufunc__ = None  # numpy must ask our operators, which say what to do
    receives = True
    """Whether an error given to this has been received by somebody; False for what the runtime waits on itself."""

    _state = "PENDING"
    _result: Any = None
    _exception: BaseException | None = None
    _complaint: _Complaint | None = None
    _seen = False  # an error will be received, whatever it is
    _call_id = 0
    _parts: Sequence[Future[Any]] = ()  # of a group call
    _route: Any = None  # where the call went, and which of the messages there it was
    _mark = 0

    def __init__(self, engine: Patience, cls: str = "", method: str = "", actor: int = 0) -> None:
        self._engine = engine
        self._cls = cls
        self._method = method
        self._actor = actor

    def __getattr__(self, name: str) -> Any:
        if name not in ("_condition", "_waiters", "_done_callbacks"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        with _change:
            own = self.__dict__
            if "_condition" not in own:
                own["_waiters"], own["_done_callbacks"] = [], []
                own["_condition"] = threading.Condition()
            return own[name]

    @property
    def _label(self) -> str:
        return f"{self._cls}.{self._method}" if self._method else self._cls

    def result(self, timeout: float | None = None) -> T:
        """The value, waiting for it. Raises the handler's error, TimeoutError or CancelledError."""
        if self._state not in DONE:
            self._await(timeout)
        error = self._exception
        if error is None:
            if self._state != "FINISHED":
                raise concurrent.futures.CancelledError(f"{self._label} was cancelled")
            return self._result  # type: ignore[no-any-return]
        self._receive()
        try:
            raise error
        finally:
            del self, error  # no cycle through the traceback

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The handler's error or None, waiting for the end of the call."""
        self._await(timeout)
        if self._state != "FINISHED":
            raise concurrent.futures.CancelledError(f"{self._label} was cancelled")
        self._receive()
        return self._exception

    def _await(self, timeout: float | None) -> None:
        if self._state not in DONE:
            self._engine.block(self, None if timeout is None else time.monotonic() + timeout)
            if self._state not in DONE:
                raise TimeoutError(f"{self._label} has not answered within {timeout} s; it may be fetched again")

    def _receive(self) -> None:
        """Whoever asks for the error has received it."""
        if self._complaint is not None:
            self._complaint.seen = True

    def cancelled(self) -> bool:
        """Whether it was given up."""
        return self._state == "CANCELLED_AND_NOTIFIED"

    def done(self) -> bool:
        """Whether the call has ended, in whatever way."""
        return self._state in DONE

    def cancel(self) -> bool:
        """Give the call up. True if it was not done; a call that is still queued will never run."""
        if self._change_to("CANCELLED_AND_NOTIFIED", None, None):
            self._engine.withdraw(self)
            return True
        return self._state != "FINISHED"

    def set_running_or_notify_cancel(self) -> bool:
        """False if it was cancelled. There is no running state: only the actor knows."""
        return self._state != "CANCELLED_AND_NOTIFIED"

    def set_result(self, result: Any) -> None:
        """For the runtime. InvalidStateError if it is done already."""
        if not self._change_to("FINISHED", result, None):
            raise concurrent.futures.InvalidStateError(f"{self._state}: {self!r}")

    def set_exception(self, exception: BaseException | None) -> None:
        """For the runtime. InvalidStateError if it is done already."""
        if not self._change_to("FINISHED", None, exception):
            raise concurrent.futures.InvalidStateError(f"{self._state}: {self!r}")

    def _settle(self, value: Any, error: BaseException | None = None) -> None:
        """Complete it, unless it was cancelled meanwhile."""
        if error is not None:
            self._change_to("FINISHED", None, error)
            return
        with _change:
            if self._state != "PENDING":
                return
            self._result = value
            self._state = "FINISHED"
            if "_condition" not in self.__dict__:
                return
        self._tell("FINISHED", None)

    def _change_to(self, state: str, value: Any, error: BaseException | None) -> bool:
        """End the call. False if it had ended before."""
        with _change:
            if self._state in DONE:
                return False
            if error is not None:
                self._exception = error
                self._complaint = _Complaint(self._label, error, self._seen)
            self._result = value
            self._state = state
            watched = "_condition" in self.__dict__
        if watched:
            self._tell(state, error)
        return True

    def _tell(self, state: str, error: BaseException | None) -> None:
        """Wake whoever waits in the ways of the standard library, and run the callbacks."""
        with self._condition:
            for waiter in self._waiters:
                if state != "FINISHED":
                    waiter.add_cancelled(self)
                elif error is not None:
                    waiter.add_exception(self)
                else:
                    waiter.add_result(self)
            self._condition.notify_all()
        if self._done_callbacks:
            self._engine.later(super()._invoke_callbacks)  # type: ignore[misc]

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

    def __await__(self) -> Generator[Any, None, T]:
        self._seen = True
        self._receive()
        return asyncio.wrap_future(self).__await__()

    def __bool__(self) -> bool:
        return True  # there is a future: `if self.pending and self.pending.done()`

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(f"a Future cannot be sent or pickled: fetch it first ({self._label})")

    def __repr__(self) -> str:
        return f"<Future {self._label} {self._state.lower().replace('_and_notified', '')}>"


def in_order(futures: Sequence[Any]) -> Callable[[], bool]:
    """Asks whether all are done, or the first in order that is not has failed, was given up or is no Future."""
    last, at = len(futures), 0

    def settled() -> bool:
        nonlocal at
        while at < last:
            future = futures[at]
            if type(future) is not Future or future._exception is not None:
                return True
            if future._state != "FINISHED":
                return future._state != "PENDING"
            at += 1
        return True

    return settled


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
