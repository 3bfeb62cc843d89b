"""Options that no parser knows beforehand: `--any.key value` for every key that a YAML file may hold.

`main` splits them off before argparse sees the rest, so that their values are never taken for something else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import yaml


def read(text: str) -> Any:
    """A value as YAML reads it; text that is not YAML stays text."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def split(
    arguments: Sequence[str], known: dict[str, bool], read: Callable[[str], Any] = read, *, once: bool = False
) -> tuple[list[str], dict[str, Any]]:
    """(what argparse is to read, {key: value} of every other `--key`).

    Args:
        known: argparse's options without their dashes, and whether each takes a value.
        read: makes a value of a text.
        once: refuse a key that is given again; else the last one holds.

    Raises:
        ValueError: a key without a value, or one that is given twice.
    """
    rest: list[str] = []
    others: dict[str, Any] = {}
    tokens = list(arguments)
    while tokens:
        token = tokens.pop(0)
        if not token.startswith("--") or token == "--":
            rest.append(token)
            continue
        name, equals, value = token[2:].partition("=")
        plain = name.replace("_", "-")
        if plain in known:
            rest += [f"--{plain}={value}"] if equals else [f"--{plain}"]
            if known[plain] and not equals and tokens:
                rest.append(tokens.pop(0))
            continue
        if not equals:
            if not tokens or tokens[0].startswith("--"):
                raise ValueError(f"--{name} needs a value: --{name} VALUE")
            value = tokens.pop(0)
        if once and name.replace("-", "_") in (other.replace("-", "_") for other in others):
            raise ValueError(f"--{name} is given twice: put all its values into one, --{name} A,B")
        others[name] = read(value)
    return rest, others


def check_known(keys: Collection[str], others: dict[str, Any], command: str) -> None:
    """Refuse (ValueError) options of a command that takes no other than those argparse knows."""
    from actorrl.training.names import did_you_mean

    for key in others:
        known = [f"--{name}" for name in keys]
        raise ValueError(f"{command} has no option --{key}{did_you_mean(f'--{key}', known)}")
