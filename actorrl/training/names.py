"""Names for things a file or a command line speaks of: `module:Qualified.Name`, and the nearest name to a misspelt one.

Whatever reads or writes YAML calls it, so that code in files is always a name and never code.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


def resolve(name: str, what: str) -> Any:
    """The object that `module:Qualified.Name` means; `what` says in errors what was looked for.

    Raises:
        ValueError: if the name has no colon, the module cannot be imported or has no such name, or it `is_unnamed`.
    """
    if is_unnamed(name):
        raise ValueError(f"{what} {name} was made in Python and cannot be made again by a name")
    module_name, colon, path = name.partition(":")
    if not colon or not path:
        raise ValueError(f"{what} {name!r} is not known: expected one of ours, or module:Class")
    try:
        found: Any = sys.modules.get(module_name) or importlib.import_module(module_name)
    except ImportError as error:
        raise ValueError(f"{what} {name!r}: the module {module_name!r} cannot be imported ({error})") from error
    for part in path.split("."):
        if not hasattr(found, part):
            public = [key for key in vars(found) if not key.startswith("_")] if hasattr(found, "__dict__") else []
            raise ValueError(f"{what} {name!r}: {module_name} has no {part!r}{did_you_mean(part, public)}")
        found = getattr(found, part)
    return found


def name_of(thing: Any) -> str | None:
    """`module:Qualified.Name` if that leads back to `thing`, else None (a lambda, a local class, an instance)."""
    module, path = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if not module or not path or "<" in path:
        return None
    try:
        return f"{module}:{path}" if resolve(f"{module}:{path}", "name") is thing else None
    except ValueError:
        return None


def written(thing: Any) -> str:
    """How a file names what came from Python: `name_of`, else <...>, by which a reader may know it, and nobody else."""
    return name_of(thing) or f"<{getattr(thing, '__qualname__', type(thing).__name__)}>"


def is_unnamed(name: str) -> bool:
    """Whether a file holds no name of it, as `written` says: it can only be passed again."""
    return name.startswith("<")


def is_lasting(name: str) -> bool:
    """Whether another process finds what it names: something named, and not in the script that happens to run."""
    return not (is_unnamed(name) or name.startswith("__main__:"))


@contextmanager
def passed_again(call: str) -> Iterator[None]:
    """Say in a ValueError about what a run's config.yaml names by which `call` the same things can be passed again."""
    try:
        yield
    except ValueError as error:
        raise ValueError(
            f"what config.yaml names cannot be made again, pass all of it again: {call} ({error})"
        ) from error


def or_yours(name: str, known: Iterable[str]) -> str:
    """The end of a sentence that refuses `name` as `did_you_mean` does, where one of the user's own would do too."""
    near = did_you_mean(name, known)
    return f"{near}{'' if near.endswith('?') else '.'} (One of your own is named module:Class)"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence that refuses `name`: the nearest of the known ones, or all of them."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known are {', '.join(known)}" if known else ""
