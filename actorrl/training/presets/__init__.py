"""Presets: the YAML files beside this one, by their names. `train`, `actorrl list` and `actorrl show` read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from actorrl.training.names import did_you_mean

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The presets there are."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def text(name: str) -> str:
    """The file of a preset. ValueError if there is none of that name."""
    found = name.replace("_", "-")
    if found not in names():
        raise ValueError(f"there is no preset {name!r}{did_you_mean(found, names())}")
    return (FOLDER / f"{found}.yaml").read_text()


def find(name: str | Path) -> tuple[dict[str, Any], str]:
    """(tree, name) of a preset, or of a YAML file: whatever ends in .yaml or .yml is a path.

    Raises:
        ValueError: no such preset, or not a mapping. FileNotFoundError: no such file.
    """
    if str(name).endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
        content, called = path.read_text(), path.stem
    else:
        content, called = text(str(name)), str(name).replace("_", "-")
    try:
        tree = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise ValueError(f"{name} is not YAML: {error}") from error
    if not isinstance(tree, dict):
        raise ValueError(f"{name} must hold keys and values (env, agent, ...), found {tree!r}")
    return tree, called
