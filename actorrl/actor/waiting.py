"""`fetch`, `wait` and `as_completed`: the ways to wait for futures.

Each first raises a failure that was left to the caller as an owner (see `on_failure`), then waits.
"""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, overload

from .context import here
from .engine import active
from .future import DONE, Future

__all__ = ["as_completed", "fetch", "wait"]

T = TypeVar("T")


@overload
def fetch(future: Future[T], timeout: float | None = None) -> T: ...
@overload
def fetch(future: Iterable[Future[T]], timeout: float | None = None) -> list[T]: ...


def fetch(future: Any, timeout: float | None = None) -> Any:
    """The value of a future, or the values of many as a list in their order.

    Args:
        future: a Future or an iterable of them.
        timeout: seconds for all of it; None waits as long as it takes. Nothing is abandoned at a
            time-out: the same futures may be fetched again.

    Raises:
        The handler's error (the first in order), TimeoutError, CancelledError, ActorDied, DeadlockError.
    """
    if isinstance(future, (Future, concurrent.futures.Future)):
        return _one(future, timeout)
    try:
        futures = list(future)
    except TypeError:
        raise TypeError(f"fetch() takes a Future or an iterable of them; got {type(future).__name__}") from None
    _check(futures, "fetch")
    _raise_failures()  # also where every one of them is done, or there is none
    if here.cell is not None:
        here.awaited = futures
        try:
            return _each(futures, timeout)
        finally:
            here.awaited = None
    return _each(futures, timeout)


def _each(futures: list[Any], timeout: float | None) -> list[Any]:
    if timeout is None:
        engine = active.engine
        if engine is not None and here.cell is None and len(futures) > 1:
            engine.block_each(futures)
        return [
            item._result
            if type(item) is Future and item._state == "FINISHED" and item._exception is None
            else _one(item, None)
            for item in futures
        ]
    deadline = time.monotonic() + timeout
    return [_one(item, max(0.0, deadline - time.monotonic())) for item in futures]


def _one(future: Any, timeout: float | None) -> Any:
    engine = active.engine
    if engine is not None and engine.failures.any:
        engine.raise_failures()
    if isinstance(future, Future):
        if future._state == "PENDING":
            if timeout is None and engine is not None and type(future) is Future:
                engine.block(future, None)
            else:
                future._await(timeout)
            if engine is not None and engine.failures.any:
                engine.raise_failures()
        return future.result(0)
    try:
        return future.result(timeout)
    except concurrent.futures.TimeoutError:
        if future.done():
            raise
        raise TimeoutError(f"{future!r} was not done within {timeout} s") from None


def wait(
    futures: Iterable[Future[Any]], num_returns: int = 1, timeout: float | None = None
) -> tuple[list[Future[Any]], list[Future[Any]]]:
    """Wait until `num_returns` of the futures are done; never raises the error of one of them.

    Returns:
        Two lists in the given order: exactly `num_returns` done ones (fewer if time ran out), and the rest.
        Two empty lists for no futures.

    Raises:
        ValueError: if `num_returns` is not between 1 and the number of futures.
    """
    _raise_failures()
    given = list(futures)
    _check(given, "wait")
    if not given:
        return [], []
    if not 1 <= num_returns <= len(given):
        raise ValueError(f"num_returns must be between 1 and {len(given)}, the number of futures; got {num_returns}")
    _block(given, num_returns, None if timeout is None else time.monotonic() + timeout)
    _raise_failures()
    done: list[Future[Any]] = []
    rest: list[Future[Any]] = []
    for future in given:
        (done if future.done() and len(done) < num_returns else rest).append(future)
    return done, rest


def as_completed(futures: Iterable[Future[T]], timeout: float | None = None) -> Iterator[Future[T]]:
    """Yield the futures as they get done. TimeoutError when `timeout` seconds have passed before the last."""
    left = list(dict.fromkeys(futures))
    _check(left, "as_completed")
    deadline = None if timeout is None else time.monotonic() + timeout
    return _as_completed(left, timeout, deadline)


def _as_completed(left: list[Future[T]], timeout: float | None, deadline: float | None) -> Iterator[Future[T]]:
    total = len(left)
    while left:
        _raise_failures()
        _block(left, 1, deadline)
        done = [future for future in left if future.done()]
        if not done:
            raise TimeoutError(f"{len(left)} of {total} futures were not done within {timeout} s")
        left = [future for future in left if future not in done]
        yield from done


def _block(futures: list[Any], count: int, deadline: float | None) -> None:
    if sum(future.done() for future in futures) >= count:
        return
    ours = [future for future in futures if isinstance(future, Future)]
    if len(ours) == len(futures):
        pending = next((future for future in ours if future._state not in DONE), None)
        if pending is not None:  # else another thread has just settled the last of them
            pending._engine.block_any(ours, count, deadline)  # type: ignore[attr-defined]
        return
    while sum(future.done() for future in futures) < count:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return
        pending_ones = [future for future in futures if not future.done()]
        concurrent.futures.wait(pending_ones, left, concurrent.futures.FIRST_COMPLETED)


def _raise_failures() -> None:
    engine = active.engine
    if engine is not None and engine.failures.any:
        engine.raise_failures()


def _check(futures: list[Any], what: str) -> None:
    for future in futures:
        if not isinstance(future, concurrent.futures.Future):
            raise TypeError(f"{what}() takes Futures; one of them is a {type(future).__name__}")
