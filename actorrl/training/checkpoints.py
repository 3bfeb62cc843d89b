"""Checkpoints: directories that are whole or not there, as data wherever they can be, as a pickle only where they must.

checkpoints/best/agent.npz      a state_dict: no code in it, whoever wrote it
checkpoints/best/agent.pkl      an agent without state_dict: unpickling runs code, so only with trust=True
checkpoints/best/about.json     steps, how good it was found to be, and how long each file is

`latest` holds beside these what it takes to go on (saving.py). A directory is written under another name, brought to
the disk, and then renamed; of `latest` the one before stays until the run is over:

    .latest.new  ── rename ──►  latest  ── rename ──►  .latest.old           .latest.between: newer, and not exact
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np

from actorrl.training import arrays_file, row_files
from actorrl.training.roles import Snapshot

STATE, PICKLE, ABOUT = "agent.npz", "agent.pkl", "about.json"
FORMAT, IN_BLOCKS = 1, 2
"""Of what a checkpoint holds; another where it cannot be read any more. The second has the rows of its table apart."""


def save(directory: Path, snapshot: Snapshot, **about: Any) -> None:
    """Write a snapshot; what was there is replaced only once the new one is whole."""
    replace(directory, lambda fresh: write_agent(fresh, snapshot), {"steps": snapshot.steps, **about})


def replace(
    directory: Path, write: Callable[[Path], None], about: dict[str, Any], *, keep: bool = False, durable: bool = False
) -> None:
    """Make a directory of what `write` writes into one; `keep` leaves the one before, `durable` waits for the disk."""
    fresh, old = beside(directory)
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        write(fresh)
        # Not of rows, without which the rest can be gone on with: whoever reads them sees whether they are whole.
        parts = [path for path in sorted(fresh.iterdir()) if not row_files.has_rows(path)]
        sizes = {path.name: path.stat().st_size for path in parts}
        (fresh / ABOUT).write_text(json.dumps({"format": FORMAT, **about, "files": sizes}, indent=2))
        if durable:
            for path in (*fresh.iterdir(), fresh):
                _to_disk(path)
    except Exception:
        shutil.rmtree(fresh, ignore_errors=True)  # half of one takes room on a disk that may be full
        raise
    if directory.exists():
        directory.rename(old)
    fresh.rename(directory)
    if durable:
        _to_disk(directory.parent)
    if not keep:
        shutil.rmtree(old, ignore_errors=True)


def beside(directory: Path) -> tuple[Path, Path]:
    """What a checkpoint is called before it is whole, and the one before it."""
    return directory.with_name(f".{directory.name}.new"), directory.with_name(f".{directory.name}.old")


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_agent(directory: Path, snapshot: Snapshot, number: int = 0) -> None:
    """The file of an agent: its state_dict, or a pickle where it has none."""
    if snapshot.state is not None:
        arrays_file.save(directory / _numbered(STATE, number), snapshot.state)
    else:
        (directory / _numbered(PICKLE, number)).write_bytes(cloudpickle.dumps(snapshot.policy))


def _numbered(name: str, number: int) -> str:
    return name if number == 0 else name.replace(".", f"-{number}.")


def about(directory: Path) -> dict[str, Any]:
    """What the checkpoint says of itself. ValueError where it is not whole."""
    try:
        said = json.loads((directory / ABOUT).read_text())
        sizes = {name: (directory / name).stat().st_size for name in said.get("files", {})}
    except (OSError, ValueError) as error:
        raise ValueError(f"the checkpoint {directory} is not whole: {error}") from error
    for name, size in said.get("files", {}).items():
        if sizes[name] != size:
            raise ValueError(f"the checkpoint {directory} is cut short: {name} has {sizes[name]:,} of {size:,} bytes")
    if said.get("format", FORMAT) not in (FORMAT, IN_BLOCKS):
        raise ValueError(
            f"the checkpoint {directory} has the format {said['format']} of another version of actorrl, and this one "
            f"reads {FORMAT} and {IN_BLOCKS}: go on with that version, or begin a run with what was learned, --from"
        )
    return said


def note(directory: Path, **more: Any) -> None:
    """Change what a whole checkpoint says of itself."""
    fresh = directory / f"{ABOUT}.new"
    fresh.write_text(json.dumps({**about(directory), **more}, indent=2))
    fresh.replace(directory / ABOUT)


def between(directory: Path) -> Path:
    """Where a checkpoint lies that is newer than `latest`, and not as exact."""
    return directory.with_name(f".{directory.name}.between")


def candidates(directory: Path) -> list[Path]:
    """Where a whole checkpoint may lie, the likeliest first."""
    return [path for path in (between(directory), directory, *beside(directory)) if path.exists()]


def tidy(directory: Path, *, all_of_them: bool = True) -> None:
    """Take away what lies beside a checkpoint; or only what is newer and not as exact."""
    for leftover in (between(directory), *(beside(directory) if all_of_them else ())):
        shutil.rmtree(leftover, ignore_errors=True)


def is_pickle(directory: Path) -> bool:
    """Whether loading it would run code."""
    return (directory / PICKLE).exists()


def load_state(directory: Path, number: int = 0) -> Any:
    """The state_dict; nothing is executed. ValueError where the checkpoint is not whole."""
    about(directory)
    return arrays_file.load(directory / _numbered(STATE, number))


def load_pickle(directory: Path, *, trust: bool, number: int = 0) -> Any:
    """The pickled agent. PermissionError without trust, ImportError where its class cannot be found."""
    path = directory / _numbered(PICKLE, number)
    about(directory)
    require_trust(path, trust)
    return opened(path.read_bytes(), path)


def opened(pickled: bytes, path: Path) -> Any:
    """What was pickled. ImportError where the module of its class cannot be imported."""
    try:
        return pickle.loads(pickled)
    except ImportError as error:
        raise ImportError(
            f"{path} holds an agent whose module must be importable, and is not ({error}): go to the directory in "
            f"which it was trained, or put that of the module into PYTHONPATH"
        ) from error


def require_trust(path: Path, trust: bool) -> None:
    """PermissionError without trust."""
    if not trust:
        raise PermissionError(
            f"{path} is a pickle (the agent has no state_dict), and opening a pickle runs code from the file: pass "
            f"trust=True, or --trust on the command line, if you know where it comes from"
        )


def packed(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot as values that a file without code holds; its policy only where that is all there is."""
    values: dict[str, Any] = {"steps": snapshot.steps, "agent": snapshot.agent, "state": snapshot.state}
    if snapshot.state is None:
        values["pickle"] = np.frombuffer(cloudpickle.dumps(snapshot.policy), np.uint8)
    return values
