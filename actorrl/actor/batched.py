"""`@batched`: a method that takes the calls that queued for it in one go.

The decorator only marks the method; `cell.py` gathers the arguments and deals the results out.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

__all__ = ["Batching", "batched", "batching", "deal", "gather"]

F = TypeVar("F", bound=Callable[..., Any])
MARK = "__actorrl_batched__"


class Batching(NamedTuple):
    """How a method takes batches."""

    max_size: int
    """At most so many calls at once."""
    max_wait: float
    """Seconds to wait for more once a call is there."""


def batched(max_size: int = 64, max_wait: float = 0.0) -> Callable[[F], F]:
    """Let a method take many queued calls at once, as one list per parameter.

    The method returns a sequence of that length, one result per call; an Exception instance in it
    fails that call only. A batch is a run of consecutive queued calls of the method and never
    overtakes another message. On a plain object the method is called as written, with lists.

    Args:
        max_size: at most so many calls in one batch.
        max_wait: seconds to wait for more calls once one is there; 0 takes what has queued.
    """
    if callable(max_size):
        raise TypeError("@batched needs its parentheses: @batched() or @batched(max_size=64, max_wait=0.0)")
    if not isinstance(max_size, int) or max_size < 1:
        raise ValueError(f"max_size must be an int of at least 1; got {max_size!r}")
    if not max_wait >= 0:
        raise ValueError(f"max_wait must be at least 0 seconds; got {max_wait!r}")

    def mark(method: F) -> F:
        setattr(method, MARK, Batching(max_size, float(max_wait)))
        return method

    return mark


def batching(obj: object) -> dict[str, Batching]:
    """The batched methods of an object, by name."""
    found = {}
    for kind in reversed(type(obj).__mro__):
        for name, value in vars(kind).items():
            mark = getattr(value, MARK, None)
            if mark is not None:
                found[name] = mark
            else:
                found.pop(name, None)
    return found


def gather(
    method: Callable[..., Any],
    calls: Sequence[tuple[tuple[Any, ...], dict[str, Any]]],
    signature: inspect.Signature | None = None,
) -> tuple[list[int], dict[int, Exception], dict[str, list[Any]]]:
    """Turn calls into one list per parameter. `signature` is the method's, where the caller has it at hand.

    Returns:
        The indices of the calls that fit the signature, the errors of those that do not, and the lists.
    """
    signature = signature or inspect.signature(method)
    names = list(signature.parameters)
    if all(len(args) == len(names) and not kwargs for args, kwargs in calls) and _only_placed(signature):
        columns = zip(*(args for args, _ in calls), strict=True)
        return list(range(len(calls))), {}, dict(zip(names, map(list, columns), strict=True))
    fit: list[int] = []
    errors: dict[int, Exception] = {}
    lists: dict[str, list[Any]] = {name: [] for name in signature.parameters}
    for index, (args, kwargs) in enumerate(calls):
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            errors[index] = TypeError(f"{method.__qualname__}: {error}")
            continue
        bound.apply_defaults()
        fit.append(index)
        for name, value in bound.arguments.items():
            lists[name].append(value)
    return fit, errors, lists


def _only_placed(signature: inspect.Signature) -> bool:
    """Whether every parameter takes one positional argument."""
    return all(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in signature.parameters.values())


def deal(results: Any, count: int, name: str) -> list[Any]:
    """The results of a batch, one per call. ValueError if they are not a sequence of that length."""
    try:
        dealt = list(results)
    except TypeError:
        raise ValueError(f"{name} is batched: expected a sequence of {count} results, got {results!r}") from None
    if len(dealt) != count:
        raise ValueError(f"{name} is batched: expected {count} results, one per call, got {len(dealt)}")
    return dealt
