"""Random numbers of actors: every actor draws its own, reproducibly for a system seed.

The seed of an actor follows from the system's seed and the path of spawns that led to it, so it
depends neither on timing nor on process ids. Generators are named only where somebody imported them.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["Streams", "load", "reseed", "save"]

Path = tuple[int, ...]


def reseed(seed: int, path: Path) -> None:
    """Seed `random`, `numpy.random` and torch for the actor that was spawned along `path`.

    What is not imported yet is seeded when it is.
    """
    digest = hashlib.sha256(repr((seed, path)).encode()).digest()
    random.seed(digest)
    seeders: dict[str, Callable[[Any], None]] = {
        "numpy": lambda module: _seed_numpy(module, digest),
        "torch": lambda module: _seed_torch(module, digest),
    }
    _OnImport.waiting = {}
    for name, seeder in seeders.items():
        if name in sys.modules:
            seeder(sys.modules[name])
        else:
            _OnImport.waiting[name] = seeder
    if _OnImport.waiting and _OnImport not in sys.meta_path:
        sys.meta_path.insert(0, _OnImport)


def _seed_numpy(numpy: Any, digest: bytes) -> None:
    numpy.random.seed([int.from_bytes(digest[i : i + 4], "little") for i in range(0, 32, 4)])


def _seed_torch(torch: Any, digest: bytes) -> None:
    torch.random.default_generator.manual_seed(int.from_bytes(digest[:8], "little"))


class _OnImport:
    """An import hook: the first import of a library here is followed by its seeding."""

    waiting: dict[str, Callable[[Any], None]] = {}

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in cls.waiting:
            return None
        others = (finder for finder in sys.meta_path if finder is not cls)
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_seed(module: Any) -> None:
                execute(module)
                seeder = cls.waiting.pop(name, None)  # not before: many only ask whether there is such a library
                if seeder is not None:
                    seeder(module)

            spec.loader.exec_module = execute_and_seed  # type: ignore[method-assign]
        return spec


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


class Streams:
    """Several streams of random numbers that take turns at the global generators of one process."""

    def __init__(self) -> None:
        self._kept: dict[Any, dict[str, Any]] = {}
        self._now: Any = None  # None is the program's own

    def switch(self, stream: Any) -> Any:
        """Go on with another stream. The one that was in use."""
        before = self._now
        if stream != before:
            self._kept[before] = save()
            if stream in self._kept:
                load(self._kept[stream])
            self._now = stream
        return before
