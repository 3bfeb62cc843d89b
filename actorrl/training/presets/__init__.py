"""Presets: the YAML files beside this one, by their names. `train`, `actorrl list` and `actorrl show` read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from actorrl.training.lines import parsed
from actorrl.training.names import did_you_mean

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The presets there are."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml") if not path.stem.endswith(".search"))


def text(name: str) -> str:
    """The file of a preset. ValueError if there is none of that name."""
    found = name.replace("_", "-")
    if found not in names():
        raise ValueError(f"there is no preset {name!r}{_meant(name) or did_you_mean(found, names())}")
    return (FOLDER / f"{found}.yaml").read_text()


def _meant(name: str) -> str:
    """What somebody wants who names a file without its end, or a run; '' for anything else."""
    if Path(f"{name}.yaml").is_file():
        return f"; did you mean the file {name}.yaml?"
    if (Path(name) / "config.yaml").is_file():
        return f", but a run of that name: go on with it, actorrl resume {name}, or do it again, {name}/config.yaml"
    return ""


def read(name: str | Path) -> tuple[str, str]:
    """(text, name) of a preset or a YAML file; the errors of `find`."""
    if not str(name).endswith((".yaml", ".yml")):
        return text(str(name)), str(name).replace("_", "-")
    path = Path(name)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    return path.read_text(), path.stem


def validated() -> dict[str, dict[str, float]]:
    """What runs of the presets came to: {preset: {best, minutes, steps, seeds}}; benchmarks/gates.py writes it."""
    return json.loads((FOLDER / "validated.json").read_text())


def find(name: str | Path) -> tuple[dict[str, Any], str]:
    """(tree, name) of a preset, or of a YAML file: whatever ends in .yaml or .yml is a path.

    Raises:
        ValueError: no such preset, or not a mapping. FileNotFoundError: no such file.
    """
    content, called = read(name)
    tree = parsed(content, name)
    if not isinstance(tree, dict):
        raise ValueError(f"{name} must hold keys and values (env, agent, ...), found {tree!r}")
    return tree, called
