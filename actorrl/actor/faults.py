"""How an error of a handler travels: as itself where that is possible, as a RemoteError where not.

The process that failed calls `encode_error`, the one that receives calls `decode_error`. The
traceback goes along as text and becomes the `__cause__`.
"""

from __future__ import annotations

import pickle
import re
import traceback
from typing import Any

from ..errors import RemoteError, RemoteTraceback
from .codec import decode, encode

__all__ = ["decode_error", "encode_error", "error_text", "unreadable"]

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+")  # of an object whose class does not say how it looks: a copy has another


def error_text(error: BaseException) -> str:
    """The traceback of `error` as Python prints it, with its causes."""
    return "".join(traceback.format_exception(type(error), error, error.__traceback__)).rstrip()


def encode_error(error: BaseException, known: set[str] | None = None) -> tuple[bytes, tuple[str, ...]]:
    """`error` as bytes, and the definitions they bring. Never raises."""
    text = error_text(error)
    name = type(error).__qualname__
    try:
        line = f"{name}: {error}"
    except Exception:
        line = name
    for recipe in (_as_pickled, _rebuilt) if _plain_reduce(type(error)) else (_as_pickled,):
        try:
            body = encode(recipe(error), known)
            if _faithful(decode(body.data, body.buffers, set()), error):
                inside = body.data, [bytes(buffer) for buffer in body.buffers]
                return pickle.dumps((inside, line, text), 5), tuple(body.defines)
        except Exception:
            continue
    return pickle.dumps((None, line, text), 5), ()


def decode_error(data: bytes, known: set[str] | None = None) -> BaseException:
    """The error, with the remote traceback as its cause; a RemoteError where it cannot be rebuilt here."""
    body, line, text = pickle.loads(data)
    error: BaseException
    try:
        if body is None:
            raise pickle.UnpicklingError
        inner, buffers = body
        value = decode(inner, buffers, known if known is not None else set())
        error = value if isinstance(value, BaseException) else _rebuild(*value)
    except Exception:
        error = RemoteError(f"{line}\n\n{text}")
    error.__cause__ = RemoteTraceback("\n" + text)
    error.__suppress_context__ = True
    return error


def unreadable(label: str, failure: Exception) -> RemoteError:
    """The error for an answer that came and could not be unpickled."""
    error = RemoteError(f"the result of {label} arrived but could not be unpickled here: {failure!r}")
    error.__cause__ = failure
    return error


def _as_pickled(error: BaseException) -> Any:
    return error


def _rebuilt(error: BaseException) -> Any:
    # For an __init__ that does not take back `args`, the usual trap of exceptions: skip __init__.
    return type(error), error.__reduce__()[1], {**error.__dict__}  # of an OSError, the file name too


def _plain_reduce(kind: type[BaseException]) -> bool:
    # A class that says itself how it is pickled, and fails at it, is not to be second-guessed.
    own = (kind.__reduce__, kind.__reduce_ex__)
    return own == (BaseException.__reduce__, BaseException.__reduce_ex__) or issubclass(kind, OSError)


def _rebuild(kind: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    error = kind.__new__(kind, *args)
    if isinstance(error, OSError):
        OSError.__init__(error, *args)
    else:
        error.args = args
    error.__dict__.update(state)
    return error


def _faithful(value: Any, error: BaseException) -> bool:
    copy = value if isinstance(value, BaseException) else _rebuild(*value)
    if type(copy) is not type(error):
        return False
    return all(_shown(show(copy)) == _shown(show(error)) for show in (_show_args, str))


def _shown(text: str) -> list[str]:
    return sorted(_ADDRESS.sub("", text))  # a set may print in another order, and is the same set


def _show_args(error: BaseException) -> str:
    return repr(error.args)
