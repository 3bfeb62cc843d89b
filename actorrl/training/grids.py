"""Which values a sweep goes through: read from `-12,-10,-8` or `start:stop:count`, multiplied out, and tried.

`sweeping.py` calls it before any actor is started, so that a misspelt parameter costs seconds and not the night.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import yaml

from actorrl.training.environment_source import EnvironmentSource, NotMade, require_parameters

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
RANGE = re.compile(rf"({NUMBER}):({NUMBER}):(\d+)")
COLONS = re.compile(rf"(?:{NUMBER})?(?::(?:{NUMBER})?)+")

Point = dict[str, Any]
"""One value of each parameter."""


class Grid(NamedTuple):
    """What is to be played."""

    points: list[Point]
    sources: list[EnvironmentSource]
    """Of each point: makes its environments."""
    refused: list[tuple[Point, str]]
    """Points whose values the environment itself does not accept, and what it said."""


def values_of(text: Any) -> list[Any]:
    """The values that a text names: `-12,-10,-8`, `start:stop:count` (both ends included), or words.

    Whatever is not a text is taken as it is: a list as its items, anything else as the one value.

    Raises:
        ValueError: no value, or a range that is none.
    """
    if not isinstance(text, str):
        found = list(text) if isinstance(text, (list, tuple, range, np.ndarray)) else [text]
    else:
        found = [value for part in _parts(text) for value in _read(part)]
    unique: list[Any] = []
    for value in found:
        if not any(value == other and type(value) is type(other) for other in unique):
            unique.append(value)
    if not unique:
        raise ValueError(f"expected values such as -12,-10,-8 or start:stop:count, found {text!r}")
    return unique


def _parts(text: str) -> list[str]:
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    return [part.strip() for part in text.split(",") if part.strip()]


def _read(part: str) -> list[Any]:
    found = RANGE.fullmatch(part)
    if found:
        start, stop, count = _number(found[1]), _number(found[2]), int(found[3])
        if count < 2:
            raise ValueError(f"{part}: start:stop:count needs a count of at least 2")
        line = np.linspace(start, stop, count)
        whole = isinstance(start, int) and isinstance(stop, int) and bool((line == line.round()).all())
        return [int(value) if whole else float(f"{value:.12g}") for value in line]
    if COLONS.fullmatch(part):
        raise ValueError(f"{part} is no range: expected start:stop:count, such as -12:-8:5")
    try:
        return [_number(part)]
    except ValueError:
        return [_word(part)]


def _word(part: str) -> Any:
    """Whatever else YAML makes of a text: a word, true, null."""
    with suppress(yaml.YAMLError):
        found = yaml.safe_load(part)
        if part[0] in "{[" or not isinstance(found, (dict, list)):
            return found
    raise ValueError(f"{part} is no value: expected numbers, words, start:stop:count, or other text in quotes of YAML")


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def grid_of(source: EnvironmentSource, axes: Mapping[str, Sequence[Any]]) -> Grid:
    """Every combination of the values, each tried by making an environment of it.

    Raises:
        ValueError: a parameter that the environment's constructor does not take, or no point that it accepts.
    """
    require_parameters(source, axes)
    spaces = source.spaces()
    points = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    grid = Grid([], [], [])
    for point in points:
        varied = source.varied(point)
        refusal = _refusal(varied, point, spaces)
        if refusal:
            grid.refused.append((point, refusal))
        else:
            grid.points.append(point)
            grid.sources.append(varied)
    if not grid.points:
        point, said = grid.refused[0]
        raise ValueError(f"{source.name} accepts none of these values; {words(point)}: {said}")
    return grid


def _refusal(source: EnvironmentSource, point: Point, spaces: tuple[gymnasium.Space, gymnasium.Space]) -> str:
    """What the environment, or the agent, has against a point; '' where it is fine."""
    try:
        found = source.spaces()
    except TypeError as error:
        if "unexpected keyword argument" in str(error) or "got multiple values" in str(error):
            raise ValueError(f"{words(point)}: {source.name} does not take it: {error}") from error
        return f"TypeError: {error}"
    except Exception as error:
        said = error.__cause__ if isinstance(error, NotMade) else error
        return " ".join(str(said).split()) or type(said).__name__
    for space, other, what in zip(spaces, found, ("observations", "actions"), strict=True):
        if not _alike(space, other):
            return f"its {what} would be {other}, and the agent was trained on {space}"
    return ""


def _alike(space: gymnasium.Space, other: gymnasium.Space) -> bool:
    """Whether an agent of one fits the other; bounds of a Box may differ."""
    if isinstance(space, gymnasium.spaces.Box) and isinstance(other, gymnasium.spaces.Box):
        return space.shape == other.shape and space.dtype == other.dtype
    return space == other


def words(point: Point) -> str:
    """A point as a person writes it: gravity=-12, wind_power=5."""
    return ", ".join(f"{key}={value}" for key, value in point.items())
