"""Where transition rows wait for a learner: a replay table with uniform sampling, and a stream read once.

Both take what a window hands out: a structured array [m], one contiguous record per row, or a dict of arrays [m, ...].
One `.take` then gathers a whole batch. The layout is the first rows' own.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from actorrl.rl.nouns import Array, Sample


def as_rows(items: Any, layout: np.dtype | None = None) -> Array:
    """Rows [m] of a structured array or a dict of arrays [m, ...]; ValueError where fields or shapes do not fit."""
    if isinstance(items, np.ndarray) and items.dtype.names:
        if layout is None or items.dtype == layout:
            return items
        items = {name: items[name] for name in items.dtype.names}
    arrays = {name: np.asarray(values) for name, values in items.items()}
    if layout is None:
        layout = np.dtype([(name, a.dtype, a.shape[1:]) for name, a in arrays.items()], align=True)
    if set(arrays) != set(layout.names or ()):
        raise ValueError(f"expected rows with the fields {sorted(layout.names or ())}, found {sorted(arrays)}")
    rows = np.empty(len(next(iter(arrays.values()))), layout)
    for name, values in arrays.items():
        if values.shape[1:] != layout[name].shape:
            raise ValueError(f"expected {name} of shape {layout[name].shape}, found {values.shape[1:]}")
        rows[name] = values
    return rows


def as_batch(rows: Array) -> dict[str, Array]:
    """The fields of rows [B] as a dict of views [B, ...]."""
    return {name: rows[name] for name in rows.dtype.names or ()}


class ReplayTable:
    """The last `capacity` rows, sampled uniformly with replacement.

    Args:
        capacity: rows kept; the oldest is overwritten.
        rng: of the sampler alone, so that nobody else's draws change what is sampled.
    """

    def __init__(self, capacity: int, rng: np.random.Generator) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1 row, found {capacity}")
        self.capacity = capacity
        self.inserted = 0  # rows ever added; row number r lives in slot r % capacity
        self._rng = rng
        self._rows: Array | None = None

    def __len__(self) -> int:
        return min(self.inserted, self.capacity)

    def add(self, items: Any) -> None:
        """Append rows [m]."""
        rows = as_rows(items, None if self._rows is None else self._rows.dtype)
        if self._rows is None:
            self._rows = np.zeros(self.capacity, rows.dtype)
        skipped = max(0, len(rows) - self.capacity)
        slot = (self.inserted + skipped) % self.capacity
        kept = rows[skipped:]
        room = self.capacity - slot
        self._rows[slot : slot + len(kept)] = kept[:room]
        if len(kept) > room:
            self._rows[: len(kept) - room] = kept[room:]
        self.inserted += len(rows)

    def sample(self, n: int) -> Sample | None:
        """A batch of n rows, each drawn from all with equal chance; None while there is no row."""
        if self._rows is None:
            return None
        return Sample(as_batch(self._rows.take(self._rng.integers(0, len(self), n))))

    def update_priorities(self, ids: Array, td: Array) -> None:
        """Every row has the same chance whatever its TD error."""


class StreamTable:
    """Rows in the order they came, each handed out once."""

    def __init__(self) -> None:
        self._chunks: deque[Array] = deque()

    def __len__(self) -> int:
        return sum(map(len, self._chunks))

    def add(self, items: Any) -> None:
        """Append rows [m]."""
        self._chunks.append(as_rows(items, self._chunks[0].dtype if self._chunks else None))

    def sample(self, n: int) -> Sample | None:
        """The oldest rows, at most n of them; None where there are none."""
        taken: list[Array] = []
        while self._chunks and n > 0:
            chunk = self._chunks.popleft()
            if len(chunk) > n:
                self._chunks.appendleft(chunk[n:])
                chunk = chunk[:n]
            taken.append(chunk)
            n -= len(chunk)
        if not taken:
            return None
        return Sample(as_batch(taken[0] if len(taken) == 1 else np.concatenate(taken)))

    def update_priorities(self, ids: Array, td: Array) -> None:
        """Rows leave in the order they came, whatever their TD error."""
