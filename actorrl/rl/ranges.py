"""Refusing hyperparameters out of range, with one sentence for all configs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_RANGES: dict[str, Callable[[float], bool]] = {
    "positive": lambda value: value > 0,
    "not negative": lambda value: value >= 0,
    "between 0 and 1": lambda value: 0 <= value <= 1,
}


def require(config: Any, kind: str, *names: str) -> None:
    """Raise ValueError where a field of the config is not of the kind ("positive", ...)."""
    for name in names:
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not _RANGES[kind](value):
            raise ValueError(f"{type(config).__name__}: {name} must be a number {kind}, found {value!r}")


def require_one_of(config: Any, name: str, *known: str) -> None:
    """Raise ValueError where a field of the config is none of the words it may be."""
    value = getattr(config, name)
    if value not in known:
        words = ", ".join(f'"{word}"' for word in known[:-1])
        raise ValueError(f'{type(config).__name__}: {name} must be {words} or "{known[-1]}", found {value!r}')
