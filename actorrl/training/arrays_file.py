"""A state_dict as one .npz file that holds no code: arrays, and a description of what hangs where.

Checkpoints are written and read with it. Reading never unpickles: whatever such a file says, nothing in it runs.

    {"layer": {"w": tensor}, "steps": 7}   ──►   array 0: w,   structure: {"dict": [["layer", {"dict": ...}], ...]}
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

STRUCTURE = "structure"
PLAIN = (str, int, float, bool, type(None))


def save(path: Path, state: Any) -> None:
    """Write nested dicts, lists and tuples of arrays, tensors, numbers and strings. TypeError for anything else."""
    arrays: dict[str, Any] = {**pack(state)}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def load(path: Path) -> Any:
    """What `save` was given: arrays as numpy arrays, tensors as CPU tensors."""
    with np.load(path, allow_pickle=False) as file:
        return unpack({name: file[name] for name in file.files})


def pack(state: Any) -> dict[str, np.ndarray]:
    """The arrays of the file. TypeError for what cannot be written without pickling, naming where it is."""
    arrays: dict[str, np.ndarray] = {}
    structure = _describe(state, arrays, "state")
    arrays[STRUCTURE] = np.array(json.dumps(structure))
    return arrays


def unpack(arrays: Mapping[str, np.ndarray]) -> Any:
    """The inverse of `pack`."""
    return _rebuild(json.loads(str(arrays[STRUCTURE])), arrays)


def _describe(value: Any, arrays: dict[str, np.ndarray], where: str) -> Any:
    if type(value) in PLAIN:
        return {"value": value} if not isinstance(value, float) else {"float": repr(value)}
    if isinstance(value, Mapping):
        pairs = [
            [_describe(key, arrays, f"a key of {where}"), _describe(item, arrays, f"{where}[{key!r}]")]
            for key, item in value.items()
        ]
        return {"dict": pairs}
    if isinstance(value, (list, tuple)):
        items = [_describe(item, arrays, f"{where}[{i}]") for i, item in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": items}
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return {"tensor": _keep(value.detach().cpu().numpy(), arrays)}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufcSU":
        return {"array": _keep(value, arrays)}
    if isinstance(value, np.generic) and value.dtype.kind in "biufcSU":
        return {"number": _keep(np.asarray(value), arrays)}
    raise TypeError(
        f"{where} is a {type(value).__name__}; a state_dict may hold dicts, lists, tuples, arrays, tensors, numbers, "
        f"strings and None. Without state_dict and load_state_dict the agent is saved as a pickle"
    )


def _keep(array: np.ndarray, arrays: dict[str, np.ndarray]) -> str:
    key = str(len(arrays))
    arrays[key] = array
    return key


def _rebuild(node: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    ((kind, content),) = node.items()
    if kind == "value":
        return content
    if kind == "float":
        return float(content)
    if kind == "dict":
        return {_rebuild(key, arrays): _rebuild(item, arrays) for key, item in content}
    if kind in ("list", "tuple"):
        items = [_rebuild(item, arrays) for item in content]
        return items if kind == "list" else tuple(items)
    if kind == "tensor":
        import torch

        return torch.from_numpy(np.array(arrays[content]))
    return arrays[content][()] if kind == "number" else arrays[content]
