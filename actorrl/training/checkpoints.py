"""Checkpoints: an agent on disk, as data wherever it can be, as a pickle only where there is no other way.

checkpoints/best/agent.npz      a state_dict: no code in it, whoever wrote it
checkpoints/best/agent.pkl      an agent without state_dict: unpickling runs code, so only with trust=True
checkpoints/best/about.json     steps, and how good it was found to be
"""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import cloudpickle

from actorrl.training import arrays_file
from actorrl.training.roles import Snapshot

STATE, PICKLE, ABOUT = "agent.npz", "agent.pkl", "about.json"


def save(directory: Path, snapshot: Snapshot, **about: Any) -> None:
    """Write a snapshot; what was there is replaced only once the new one is whole."""
    fresh, old = directory.with_name(f".{directory.name}.new"), directory.with_name(f".{directory.name}.old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    fresh.mkdir(parents=True)
    if snapshot.state is not None:
        arrays_file.save(fresh / STATE, snapshot.state)
    else:
        (fresh / PICKLE).write_bytes(cloudpickle.dumps(snapshot.policy))
    (fresh / ABOUT).write_text(json.dumps({"steps": snapshot.steps, **about}, indent=2) + "\n")
    if directory.exists():
        directory.rename(old)
    fresh.rename(directory)
    shutil.rmtree(old, ignore_errors=True)


def about(directory: Path) -> dict[str, Any]:
    """What the checkpoint says of itself."""
    return json.loads((directory / ABOUT).read_text())


def is_pickle(directory: Path) -> bool:
    """Whether loading it would run code."""
    return (directory / PICKLE).exists()


def load_state(directory: Path) -> Any:
    """The state_dict; nothing is executed."""
    return arrays_file.load(directory / STATE)


def load_pickle(directory: Path, *, trust: bool) -> Any:
    """The pickled agent. PermissionError without trust."""
    path = directory / PICKLE
    if not trust:
        raise PermissionError(
            f"{path} is a pickle (the agent has no state_dict), and opening a pickle runs code from the file: pass "
            f"trust=True, or --trust on the command line, if you know where it comes from"
        )
    return pickle.loads(path.read_bytes())
