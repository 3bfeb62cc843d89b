"""Where transition rows wait for a learner: a replay table, and a stream read once.

    add ──► remover: which slot ──► storage: one contiguous record per row ──► sampler: which slots ──► sample
     └────────────────────── rate limiter: whether either may go on now ───────────────────────────────┘

Both take what a window hands out: a structured array [m], one record per row, or a dict of arrays [m, ...]. One
`.take` then gathers a whole batch. The layout is the first rows' own. Rows are whole transitions: their n rewards were
summed by the window that saw them, so nothing read here can reach across an episode, an environment or the write head.

What is compared when agents share experience, and what holds the rest still: capacity is `capacity`, whatever the
number of agents; reuse is the limiter's `samples_per_insert`; diversity is how many agents write into one table.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from actorrl.rl.nouns import Array, Sample
from actorrl.rl.rate_limiter import RateLimiter
from actorrl.rl.removers import Oldest, Remover
from actorrl.rl.samplers import Fifo, Prioritized, Sampler, Uniform

BLOCK = 1 << 25
"""Bytes of the rows that a checkpoint writes as one file, and once they are all there never again."""


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
    """Up to `capacity` rows, of which batches are drawn again and again; implements `Table`.

    Args:
        capacity: rows kept.
        rng: of the sampler and the remover alone, so that nobody else's draws change what is sampled.
        sampler: which rows a batch is made of; `Uniform()` where not given.
        remover: which row goes when the table is full; `Oldest()` where not given.
        limiter: when rows may go in and out; at any time where not given.
    """

    def __init__(
        self,
        capacity: int,
        rng: np.random.Generator,
        *,
        sampler: Sampler | None = None,
        remover: Remover | None = None,
        limiter: RateLimiter | None = None,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1 row, found {capacity}")
        self.capacity = capacity
        self.inserted = 0  # rows ever added
        self.limiter = limiter
        self._rng = rng
        self._sampler = sampler or Uniform()
        self._tells_ids = self._sampler.tells_ids
        self._remover = remover or Oldest()
        self._ring = type(self._remover) is Oldest
        if isinstance(self._sampler, Fifo) and not self._ring:
            raise ValueError("Fifo reads rows in the order they came: it takes the remover Oldest, not another")
        if limiter is not None:
            limiter.fit(capacity)
        self._sampler.begin(capacity, rng)
        self._told = 0  # rows added when the sampler was last told which slots were written
        self._untold: list[Array] = []  # what to tell it, where slots cannot be reckoned from the counts
        # The key of the row in a slot, where it cannot be reckoned: slot + capacity · rows that were there before.
        self._keys = None if self._ring else np.arange(-capacity, 0)
        self._layout: Any = None  # the dtype of a row
        self._direct = False
        self._saved = 0  # rows ever added by the checkpoint that is on the disk

    def __len__(self) -> int:
        return min(self.inserted, self.capacity)

    @property
    def layout(self) -> Any:
        """The dtype of a row; None before the first is added."""
        return self._layout

    @property
    def tells_ids(self) -> bool:
        """Whether samples carry ids, for `update_priorities`."""
        return self._tells_ids

    @property
    def draws_alike(self) -> bool:
        """Whether every row has the same chance whatever was sampled before: then batches may be drawn early."""
        return self.limiter is None and isinstance(self._sampler, Uniform)

    def shared_by(self, learners: int) -> None:
        """So many learners will sample: what goes by the count of batches goes by those of all."""
        if isinstance(self._sampler, Prioritized):
            self._sampler.shared_by(learners)

    def may_add(self, rows: int) -> bool:
        """Whether the limiter lets so many rows in now."""
        return self.limiter is None or self.limiter.may_insert(rows)

    def may_sample(self, n: int) -> bool:
        """Whether there is something to sample, and the limiter lets n rows out now."""
        return self.inserted > 0 and (self.limiter is None or self.limiter.may_sample(n))

    def add(self, items: Any) -> None:
        """Append rows [m], or one row as a tuple of its fields, once the table has seen others.

        RuntimeError where the limiter does not let them in: ask `may_add` first.
        """
        if type(items) is tuple and self._direct:
            self._rows[self.inserted % self.capacity] = items
            self.inserted += 1
            return
        rows = items if type(items) is np.ndarray and items.dtype is self._layout else self._fitted(items)
        count = len(rows)
        if self.limiter is not None:
            if not self.limiter.may_insert(count):
                raise RuntimeError(
                    f"{count} rows may not be added yet, samples are {self.limiter.balance:g} rows behind; "
                    f"ask may_add first"
                )
            self.limiter.book_insert(count)
        slot = self.inserted % self.capacity
        if self._ring and slot + count <= self.capacity:
            self._raw[slot : slot + count] = rows.view(self._raw.dtype)
            self.inserted += count
        else:
            for first in range(0, count, self.capacity):
                self._scatter(rows[first : first + self.capacity])

    def _fitted(self, items: Any) -> Array:
        """The rows in the table's own layout, contiguous; the first ever decide it."""
        if type(items) is tuple:
            if self._layout is None:
                raise TypeError("one row as a tuple has no names: add the first row as a dict of arrays [1, ...]")
            items = np.array([items], self._layout)
        rows = np.ascontiguousarray(as_rows(items, self._layout))
        if self._layout is None:
            self._allocate(rows.dtype)
        self._layout = rows.dtype  # the same, but the very object is what `add` looks for
        return rows

    def _allocate(self, layout: np.dtype) -> None:
        self._layout, self._names = layout, layout.names or ()
        self._rows = np.zeros(self.capacity, layout)
        # The same memory as records without fields, which numpy copies whole.
        self._raw = self._rows.view(np.dtype((np.void, layout.itemsize)))
        self._direct = self._ring and self.limiter is None

    def _scatter(self, rows: Array) -> None:
        """Write rows [m], m at most the capacity, to the slots that the remover names."""
        slots = self._remover.slots(self.inserted, len(rows), self.capacity, self._rng)
        self._raw[slots] = rows.view(self._raw.dtype)
        if self._keys is not None:
            self._keys[slots] += self.capacity
            if self._tells_ids:
                self._untold.append(slots)
        self.inserted += len(rows)

    def limit(self, limiter: RateLimiter) -> None:
        """Let a limiter say when rows go in and out; before the first are in. ValueError where it does not fit."""
        if self.inserted:
            raise ValueError("a limiter counts rows from the first on: set it before any are added")
        limiter.fit(self.capacity)
        self.limiter = limiter

    def sample(self, n: int) -> Sample | None:
        """A batch of n rows; None while there is no row, or the limiter lets none out."""
        drawn = self.draw(n)
        if drawn is None:
            return None
        raw, ids, weight = drawn
        # The records by their fields, made so because .view and Sample(...) cost three times as much.
        rows = np.ndarray(len(raw), self._layout, raw)
        return tuple.__new__(Sample, ({name: rows[name] for name in self._names}, ids, weight))

    def draw(self, n: int) -> tuple[Array, Array | None, Array | None] | None:
        """`sample` before its rows have names: records void [n], their ids and weights."""
        inserted, ids = self.inserted, None
        held = inserted if inserted < self.capacity else self.capacity
        if not held or (self.limiter is not None and not self.limiter.may_sample(n)):
            return None
        if self._tells_ids:
            self._tell()
        drawn = self._sampler.draw(inserted, held, n)
        if drawn is None:
            return None
        slots, weight = drawn
        if self.limiter is not None:
            self.limiter.book_sample(len(slots))
        if self._tells_ids:
            ids = self._ids(slots)
        return self._raw.take(slots), ids, weight

    def __getstate__(self) -> dict[str, Any]:
        # Two views of the same memory would come back as two arrays; and empty slots need not travel.
        state = {name: value for name, value in self.__dict__.items() if name != "_raw"}
        return state | ({"_rows": self._rows[: len(self)]} if self._layout is not None else {})

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._layout is not None:
            held = self._rows
            self._allocate(held.dtype)
            self._rows[: len(held)] = held

    def state_dict(self, first: int = 0) -> dict[str, Any]:
        """The rows that are there, by field, what sampler and limiter know, and the generator; as copies.

        Args:
            first: leave out the rows before this one, counted from the first ever added; only of a ring.
        """
        held: dict[str, Array] = {}
        first = max(first, self.inserted - len(self)) if self._ring else 0
        if self._layout is not None:
            slots = np.arange(first, self.inserted) % self.capacity if self._ring else np.arange(len(self))
            held = as_batch(self._raw.take(slots).view(self._layout))
        return {
            "rows": held,
            "first": first if self._ring else None,  # None: they are in the order of their slots
            "inserted": self.inserted,
            "told": self._told,
            "untold": list(self._untold),
            "keys": None if self._keys is None else self._keys.copy(),
            "sampler": self._sampler.state_dict(),
            "limiter": None if self.limiter is None else self.limiter.state_dict(),
            "rng": self._rng.bit_generator.state,
        }

    def unsaved(self) -> dict[str, Any]:
        """`state_dict` with only those of the rows that are not yet on the disk, where they are written in blocks."""
        if not self._ring or self._layout is None:
            return self.state_dict()
        block = max(1, BLOCK // self._layout.itemsize)
        return {**self.state_dict(self._saved // block * block), "block": block, "held": len(self)}

    def saved(self, inserted: int) -> None:
        """A checkpoint from when so many rows had been added is on the disk."""
        self._saved = inserted

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave. ValueError where the capacity was another."""
        rows = as_rows(state["rows"]) if state["rows"] else None
        if rows is not None:
            if len(rows) != min(int(state["inserted"]), self.capacity):
                raise ValueError(
                    f"expected {min(int(state['inserted']), self.capacity)} rows of a table with a capacity of "
                    f"{self.capacity}, found {len(rows)}: buffer_size must stay what it was"
                )
            self._allocate(rows.dtype)
            last = int(state["inserted"])
            in_slots = state.get("first") is None  # so were all of older checkpoints
            self._rows[slice(len(rows)) if in_slots else np.arange(last - len(rows), last) % self.capacity] = rows
        self.inserted, self._told = int(state["inserted"]), int(state["told"])
        self._untold = [np.array(slots) for slots in state["untold"]]
        self._keys = None if state["keys"] is None else np.array(state["keys"])
        self._sampler.load_state_dict(state["sampler"])
        if self.limiter is not None and state["limiter"] is not None:
            self.limiter.load_state_dict(state["limiter"])
        self._rng.bit_generator.state = state["rng"]

    def _tell(self) -> None:
        """Tell the sampler which slots were written since it last was: once per batch, not once per row."""
        if self._keys is None:
            first = max(self._told, self.inserted - self.capacity)
            if first < self.inserted:
                self._sampler.written(np.arange(first, self.inserted) % self.capacity)
        else:
            for slots in self._untold:
                self._sampler.written(slots)
            self._untold.clear()
        self._told = self.inserted

    def _ids(self, slots: Array) -> Array:
        if self._keys is not None:
            return self._keys[slots]
        newest = self.inserted - 1
        return newest - (newest - slots) % self.capacity

    def update_priorities(self, ids: Array, td: Array) -> None:
        """TD errors [n] of sampled rows, by their ids [n]. Those of rows that have been overwritten are ignored."""
        if not self._tells_ids:
            return
        slots = ids % self.capacity
        there = self._ids(slots) == ids
        if not there.all():
            slots, td = slots[there], td[there]
        self._sampler.update(slots, td)


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

    def state_dict(self) -> dict[str, Any]:
        """The rows that wait."""
        return {"chunks": [as_batch(chunk.copy()) for chunk in self._chunks]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._chunks = deque(as_rows(chunk) for chunk in state["chunks"])
