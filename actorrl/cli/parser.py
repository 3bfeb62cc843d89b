"""How the commands read their arguments: argparse, with errors that `main` words, and options that no parser knows."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

__all__ = ["Parser", "number", "parsed"]


class Parser(argparse.ArgumentParser):
    """argparse, whose errors are ValueErrors."""

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong, and where to read more."""
        raise ValueError(f"{message} (see {self.prog} --help)")


def number(text: str) -> int | float:
    """An option's number: a count is an int however it is written, 100000 or 1e5; ValueError for no number."""
    try:
        return int(text)
    except ValueError:
        value = float(text)
    return int(value) if value.is_integer() else value


def parsed(
    parser: argparse.ArgumentParser, arguments: list[str], **how: Any
) -> tuple[argparse.Namespace, dict[str, Any]]:
    """argparse's view of the arguments, and every option it does not know; `how` is for `split`."""
    from actorrl.cli.options import split

    known = {
        option.lstrip("-"): action.nargs != 0
        for action in parser._actions
        for option in action.option_strings
        if option.startswith("--")
    }
    rest, others = split(arguments, known, **how)
    return parser.parse_args(rest), others
