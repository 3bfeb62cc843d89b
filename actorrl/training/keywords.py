"""Which keywords a constructor takes, and which values cannot be meant: so that what is misspelt is refused, not taken.

`environment_source.py` and `grids.py` ask it of environments, `filters.py` of wrappers.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Parameters = Mapping[str, inspect.Parameter]
TEXTS = re.compile(r"\b(str|Literal|Any|object)\b")
"""In an annotation: the constructor takes texts too, whatever its default is."""


def parameters_of(creator: Callable[..., Any]) -> dict[str, inspect.Parameter] | None:
    """The parameters of a callable; None where it does not say."""
    try:
        return dict(inspect.signature(creator).parameters)
    except (TypeError, ValueError):
        return None


def takes_any(parameters: Parameters) -> bool:
    """Whether keywords of any name are taken."""
    return any(one.kind is one.VAR_KEYWORD for one in parameters.values())


def require_values(what: str, keywords: Mapping[str, Any], parameters: Parameters) -> None:
    """Refuse (ValueError) a text where the default is a bool or a number: `flase` would count as true.

    Args:
        what: before the keyword's name in the error, such as "env.".
    """
    for key, value in keywords.items():
        known = parameters.get(key)
        if known is None or not isinstance(value, str) or _takes_texts(known):
            continue
        if isinstance(known.default, (bool, np.bool_)):
            near = difflib.get_close_matches(value.lower(), ["true", "false"], n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"{what}{key} is true or false, found the text {value!r}{hint}")
        if isinstance(known.default, (int, float, np.number)):
            raise ValueError(
                f"{what}{key} is a number, {known.default:g} by default, found the text {value!r}{_as_yaml(value)}"
            )


def _takes_texts(known: inspect.Parameter) -> bool:
    return known.annotation is not known.empty and bool(TEXTS.search(str(known.annotation)))


def _as_yaml(value: str) -> str:
    """How YAML reads a number that it took for a text, such as 1e-4."""
    try:
        return f"; write {np.format_float_positional(float(value), trim='0')}"
    except ValueError:
        return ""
