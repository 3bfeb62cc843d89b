"""Writing down the arguments of a call or a constructor, and saying which one cannot be sent.

Both engines encode calls here, so that a bad argument is the same TypeError on each.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .codec import Encoded, encode, encode_args

if TYPE_CHECKING:
    from .engine import Call, Spawn

__all__ = ["encode_call", "encode_spawn"]


def encode_call(call: Call, known: set[str] | None = None) -> Encoded:
    """The body of a message: (args, kwargs), or (function, args, kwargs).

    Raises:
        TypeError: for an argument that cannot be pickled, naming its parameter.
    """
    try:
        if call.function is None:
            return encode_args(call.args, call.kwargs, known)
        return encode((call.function, call.args, call.kwargs), known)
    except Exception as error:
        target = call.function.__wrapped__ if call.function is not None else getattr(call.ref._kind, call.method, None)
        raise _explain(f"{call.ref._cls}.{call.method}", target, call.args, call.kwargs, error) from error


def encode_spawn(spawn: Spawn, known: set[str] | None = None) -> Encoded:
    """The body of a spawn: (factory, args, kwargs). TypeError as for calls."""
    try:
        return encode((spawn.factory, spawn.args, spawn.kwargs), known)
    except Exception as error:
        name = getattr(spawn.factory, "__qualname__", repr(spawn.factory))
        raise _explain(name, getattr(spawn.factory, "__init__", None), spawn.args, spawn.kwargs, error) from error


def _explain(
    label: str, target: Callable[..., Any] | None, args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception
) -> TypeError:
    names = _parameter_names(target, len(args))
    for name, value in [*zip(names, args, strict=False), *kwargs.items()]:
        try:
            encode(value)
        except Exception as own:
            kind = type(value).__qualname__
            return TypeError(f"{label}(): the argument {name!r} ({kind}) cannot be sent to an actor: {own}")
    return TypeError(f"{label}() cannot be sent to an actor: {error}")


def _parameter_names(target: Callable[..., Any] | None, count: int) -> list[str]:
    names: list[str] = []
    if target is not None:
        try:
            parameters = list(inspect.signature(target).parameters.values())[1:]  # without self or the actor
        except (TypeError, ValueError):
            parameters = []
        names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return names[:count] + [f"argument {index + 1}" for index in range(len(names), count)]
