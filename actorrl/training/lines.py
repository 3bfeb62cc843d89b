"""Which line of a YAML file a sentence is about: errors that name a key also name where it stands.

agent:                    agent             1
  name: dqn               agent.name        2
  gama: 0.9               agent.gama        3      ──►  mine.yaml, line 3: agent.gama is not known; ...
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import yaml

__all__ = ["lines_of", "located", "parsed"]


LISTS = ("wrappers", "callbacks")
"""Keys that hold lists, whose items errors name."""


def parsed(text: str, file: Any) -> Any:
    """What a YAML file holds. ValueError, naming it and the line, where it is none."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f", line {mark.line + 1}"
        why = getattr(error, "problem", None) or error
        began = getattr(error, "context_mark", None)
        if began is not None and mark is not None and began.line != mark.line:
            why = f"{why}, {error.context} that begins in line {began.line + 1}"  # type: ignore[attr-defined]
        raise ValueError(f"{file}{where}: this is not YAML: {why}") from error


def lines_of(text: str, file: Any = "the file") -> dict[str, int]:
    """{dotted key: line} of a YAML file; hyphens in keys are underscores. An item of a list is its own key.

    Raises:
        ValueError: a key that stands there twice, of which YAML would forget the first.
    """
    lines: dict[str, int] = {}
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is not None:
        try:
            _walk(root, "", lines)
        except ValueError as error:
            raise ValueError(f"{file}, {error}") from None
    return lines


def _walk(node: Any, prefix: str, lines: dict[str, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name, line = f"{prefix}{key.value}".replace("-", "_"), key.start_mark.line + 1
            if name in lines:
                raise ValueError(f"line {line}: {name} stands there twice, first in line {lines[name]}")
            lines[name] = line
            _walk(value, f"{name}.", lines)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            named = [item for key, item in value.value if key.value == "name"] if _maps(value) else [value]
            if named and isinstance(named[0], yaml.ScalarNode):
                lines.setdefault(f"{prefix}{named[0].value}", named[0].start_mark.line + 1)
            if _maps(value):
                lines.setdefault(f"{prefix}{i}", value.start_mark.line + 1)
            _walk(value, f"{prefix}{i}.", lines)


def _maps(node: Any) -> bool:
    return isinstance(node, yaml.MappingNode)


@contextmanager
def located(file: str, lines: Mapping[str, int], but: Collection[str] = ()) -> Iterator[None]:
    """Put file and line before a ValueError or TypeError about one of its keys; not about those that options gave."""
    try:
        yield
    except (ValueError, TypeError) as error:
        given = {key.replace("-", "_") for key in but}
        line = _line({key: at for key, at in lines.items() if key not in given}, str(error))
        if line is None or any(_names(str(error), key) or _covers(str(error), key) for key in given):
            raise
        raise type(error)(f"{file}, line {line}: {error}") from error


def _line(lines: Mapping[str, int], message: str) -> int | None:
    nearest = sorted(lines, key=len, reverse=True)
    for key in nearest:
        if _names(message, key):
            return lines[f"{key}.name"] if f"{key}.name" in lines else lines[key]
    return None


def _covers(message: str, key: str) -> bool:
    """Whether a sentence is about all that a key is one part of: "env: it could not be made"."""
    return message.startswith(f"{key.partition('.')[0]}: ")


def _names(message: str, key: str) -> bool:
    """Whether a sentence is about a key: it begins with it, or says it after the name of what has the field."""
    subject = re.sub(r"\[(\d+)\]", r".\1", message.replace("-", "_").partition("; ")[0])
    if re.match(rf"{re.escape(key)}(?![\w.])", subject):
        return True
    head, _, item = key.replace("-", "_").partition(".")
    if head in LISTS and re.match(rf"the {head[:-1]} '?{re.escape(item)}'?(?![\w.])", subject):
        return True
    last = key.rpartition(".")[2]
    return "." in key and re.match(rf"\w+(: |\(){re.escape(last)}(?![\w.])", subject) is not None
