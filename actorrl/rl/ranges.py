"""Refusing hyperparameters out of range, with one sentence for all configs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

_RANGES: dict[str, tuple[str, Callable[[float], bool]]] = {
    "positive": ("a positive {}", lambda value: value > 0),
    "not negative": ("{} of at least 0", lambda value: value >= 0),
    "between 0 and 1": ("{} between 0 and 1", lambda value: 0 <= value <= 1),
}
_WITH_ARTICLE = {"integer": "an integer", "number": "a number"}


def require(config: Any, kind: str, *names: str) -> None:
    """Raise ValueError where a field of the dataclass is not of the kind ("positive", ...), or not finite.

    A field that is declared as an int must be one.
    """
    for name in names:
        value = getattr(config, name)
        whole = str(config.__dataclass_fields__[name].type).startswith("int")
        said, fits = _RANGES[kind]
        number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not fits(value):
            noun = "integer" if whole else "number"
            expected = said.format(noun if said.startswith("a ") else _WITH_ARTICLE[noun])
            raise ValueError(f"{type(config).__name__}: {name} must be {expected}, found {value!r}")


def require_one_of(config: Any, name: str, *known: str) -> None:
    """Raise ValueError where a field of the config is none of the words it may be."""
    value = getattr(config, name)
    if value not in known:
        words = ", ".join(f'"{word}"' for word in known[:-1])
        raise ValueError(f'{type(config).__name__}: {name} must be {words} or "{known[-1]}", found {value!r}')
