"""The rows of a replay table as files of a checkpoint, a block in each: those that are full are written only once.

    checkpoint 1   rows-0.npz   rows-1.npz
                       ║ a link     │ was not full: written again
    checkpoint 2   rows-0.npz   rows-1.npz   rows-2.npz

Writing a buffer of gigabytes every few seconds would take more time than training does.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from actorrl.training import arrays_file

__all__ = ["has_rows", "link", "read", "write"]


def write(directory: Path, table: dict[str, Any], before: Path | None) -> dict[str, Any]:
    """Write the rows that are new, and link the others.

    Args:
        table: what `ReplayTable.unsaved` gave.
        before: the checkpoint that has the others.

    Returns:
        The rest of the table's state; all of it, where it does not come in blocks.
    """
    if "block" not in table:
        return table
    rows, first, inserted, block = (table[key] for key in ("rows", "first", "inserted", "block"))
    for j in _blocks(table):
        path = directory / _name(j)
        begin, end = max(j * block, first), min((j + 1) * block, inserted)
        if begin < end:
            part = {name: values[begin - first : end - first] for name, values in rows.items()}
            arrays_file.save(path, {"first": begin, "rows": part})
        else:
            assert before is not None
            link(before / _name(j), path)
    return {**table, "rows": {}}


def read(directory: Path, table: dict[str, Any]) -> dict[str, Any]:
    """The state of a table whose rows `write` wrote, whole."""
    if "block" not in table:
        return table
    first, found = table["inserted"] - table["held"], []
    for j in _blocks(table):
        part = arrays_file.load(directory / _name(j))
        skip = max(0, first - part["first"])  # they have been overwritten since
        found.append({name: values[skip:] for name, values in part["rows"].items()})
    names = found[0] if found else ()
    return {**table, "rows": {name: np.concatenate([part[name] for part in found]) for name in names}, "first": first}


def has_rows(path: Path) -> bool:
    """Whether a file of a checkpoint is one of these."""
    return path.name.startswith("rows-")


def link(path: Path, other: Path) -> None:
    """The same file under another name; a copy where the file system has no links."""
    try:
        other.hardlink_to(path)
    except OSError:
        shutil.copyfile(path, other)


def _blocks(table: dict[str, Any]) -> range:
    """The numbers of those that hold rows which are there."""
    inserted, held, block = (int(table[key]) for key in ("inserted", "held", "block"))
    return range((inserted - held) // block, -(-inserted // block))


def _name(block: int) -> str:
    return f"rows-{block}.npz"
