"""From a mapping of names and values to a frozen dataclass, and back. `experiment.py` reads YAML and options with it.

Values are made what the field's type says (`1e-3` in YAML is a string, `1e5` on a command line is an int's value);
unknown names are refused with the nearest one.
"""

from __future__ import annotations

import dataclasses
import numbers
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from actorrl.training.names import did_you_mean, name_of, resolve

T = TypeVar("T")


def names_of(kind: type) -> list[str]:
    """The fields a mapping may hold for a dataclass; `return_` is `return` there, which Python has taken."""
    return [field.name.rstrip("_") for field in dataclasses.fields(kind)]


def from_mapping(kind: type[T], values: Mapping[str, Any], prefix: str) -> T:
    """An instance of the dataclass `kind`; `prefix` is what the mapping is called in errors.

    Raises:
        ValueError: no mapping, an unknown name (with the nearest), or a value of another type, named in full.
    """
    if not isinstance(values, Mapping):
        first = names_of(kind)[0]
        raise ValueError(f"{prefix} must hold keys and values ({prefix}.{first}, ...), found {values!r}")
    hints = typing.get_type_hints(kind, None, _names_for_hints(kind))
    given: dict[str, Any] = {}
    for key, value in values.items():
        field = str(key).replace("-", "_")
        if field not in names_of(kind):
            raise ValueError(f"{prefix}.{key} is not known{_meant(field, kind, prefix)}")
        name = field if field in hints else f"{field}_"
        given[name] = converted(value, hints[name], f"{prefix}.{field}")
    return kind(**given)


def changed(instance: T, values: T | Mapping[str, Any], prefix: str) -> T:
    """The dataclass instance with the fields of a mapping; or another instance. The errors of `from_mapping`."""
    if isinstance(values, type(instance)):
        return values
    merged = {**to_mapping(instance), **values} if isinstance(values, Mapping) else values
    return from_mapping(type(instance), merged, prefix)  # type: ignore[arg-type]


def _meant(field: str, kind: type, prefix: str) -> str:
    return did_you_mean(f"{prefix}.{field}", [f"{prefix}.{name}" for name in names_of(kind)])


def _names_for_hints(kind: type) -> dict[str, Any]:
    import sys

    return dict(vars(sys.modules[kind.__module__]))


def to_mapping(instance: Any) -> dict[str, Any]:
    """{field: plain value} of a dataclass; callables become `module:name`, tuples lists."""
    return {field.name.rstrip("_"): _plain(getattr(instance, field.name)) for field in dataclasses.fields(instance)}


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if callable(value):
        return name_of(value) or f"<{type(value).__name__}>"
    return value


def converted(value: Any, hint: Any, where: str) -> Any:
    """`value` as the type `hint` says. ValueError, naming `where`, if it is something else."""
    for option in _options(hint):
        made = _as(value, option)
        if made is not _NOT:
            return made
    raise ValueError(f"{where} must be {_said(hint)}, found {value!r}")


_NOT: Any = object()


def _options(hint: Any) -> list[Any]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        options = list(typing.get_args(hint))
        return sorted(options, key=lambda option: option is not type(None))
    return [hint]


def _as(value: Any, kind: Any) -> Any:
    if kind is Any:
        return value
    if kind is type(None):
        return None if value is None or value in ("none", "None", "null") else _NOT
    if kind is bool:
        return value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value).lower(), _NOT)
    if kind in (int, float):
        return _number(value, kind)
    if kind is str:
        return value if isinstance(value, str) else _NOT
    origin = typing.get_origin(kind) or kind
    if origin in (tuple, list) or getattr(origin, "__name__", "") == "Sequence":
        return _sequence(value, kind)
    if isinstance(value, str) and ":" in value:
        return resolve(value, "the name")
    return value if not isinstance(value, str) and callable(value) else _NOT


def _number(value: Any, kind: type) -> Any:
    if isinstance(value, bool) or not isinstance(value, (numbers.Real, str)):
        return _NOT
    try:
        number = float(value)
    except ValueError:
        return _NOT
    if kind is int:
        return int(number) if number.is_integer() else _NOT
    return number


def _sequence(value: Any, kind: Any) -> Any:
    if isinstance(value, str):
        value = [part.strip() for part in value.strip("[]()").split(",") if part.strip()]
    if not isinstance(value, (list, tuple)):
        return _NOT
    inner = [argument for argument in typing.get_args(kind) if argument is not ...] or [Any]
    items = [_as(item, inner[0]) for item in value]
    return _NOT if any(item is _NOT for item in items) else tuple(items)


def _said(hint: Any) -> str:
    plain = {int: "an integer", float: "a number", bool: "true or false", str: "a string", type(None): "none"}
    said = [plain.get(option) or _said_of(option) for option in _options(hint)]
    return " or ".join(reversed(said))


def _said_of(kind: Any) -> str:
    """Of a type that is no plain one; of sequences what they hold."""
    inner = [argument for argument in typing.get_args(kind) if argument is not ...]
    if typing.get_origin(kind) in (tuple, list) and inner in ([int], [float]):
        return "a list of integers, such as [64, 64]" if inner == [int] else "a list of numbers, such as [0.5, 1.0]"
    return str(kind).replace("typing.", "")
