"""Which row of a full table goes when another comes: the oldest, or any. `ReplayTable` asks for slots to write to."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from actorrl.rl.nouns import Array


class Remover(Protocol):
    """Chooses the slots of new rows."""

    def slots(self, inserted: int, count: int, capacity: int, rng: np.random.Generator) -> Array:
        """Slots int64 [count] for the rows numbered inserted, inserted + 1, ...; count is at most capacity."""
        ...


class Oldest:
    """The oldest row goes: row number r lies in slot r % capacity."""

    def slots(self, inserted: int, count: int, capacity: int, rng: np.random.Generator) -> Array:
        return np.arange(inserted, inserted + count) % capacity


class AtRandom:
    """Any row goes, all with the same chance, so that a few rows of every age stay: diversity at a fixed capacity."""

    def slots(self, inserted: int, count: int, capacity: int, rng: np.random.Generator) -> Array:
        free = np.arange(inserted, min(inserted + count, capacity))
        return np.concatenate([free, rng.integers(0, capacity, count - len(free))])
