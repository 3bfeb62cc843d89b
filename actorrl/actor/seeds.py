"""Random numbers of actors: every actor draws its own, reproducibly for a system seed.

The seed of an actor follows from the system's seed and the path of spawns that led to it, so it
depends neither on timing nor on process ids. Generators are named only where somebody imported them.
"""

from __future__ import annotations

import hashlib
import random
import sys
from typing import Any

__all__ = ["load", "reseed", "save"]

Path = tuple[int, ...]


def reseed(seed: int, path: Path) -> None:
    """Seed `random`, `numpy.random` and torch for the actor that was spawned along `path`."""
    digest = hashlib.sha256(repr((seed, path)).encode()).digest()
    random.seed(digest)
    if "numpy" in sys.modules:
        words = [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 32, 4)]
        sys.modules["numpy"].random.seed(words)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.random.default_generator.manual_seed(int.from_bytes(digest[:8], "little"))


def save() -> dict[str, Any]:
    """The state of the global generators of this process."""
    state: dict[str, Any] = {"random": random.getstate()}
    if "numpy" in sys.modules:
        state["numpy"] = sys.modules["numpy"].random.get_state()
    torch = sys.modules.get("torch")
    if torch is not None:
        state["torch"] = torch.random.get_rng_state()
    return state


def load(state: dict[str, Any]) -> None:
    """Put the global generators back to `state`; what it does not hold stays."""
    random.setstate(state["random"])
    if "numpy" in state:
        sys.modules["numpy"].random.set_state(state["numpy"])
    if "torch" in state:
        sys.modules["torch"].random.set_rng_state(state["torch"])
