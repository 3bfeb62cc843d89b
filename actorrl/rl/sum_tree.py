"""Numbers in slots, drawn in proportion: the tree of sums under prioritised sampling. `Prioritized` owns one.

Every node holds the sum of sixteen children, so that a million slots are five levels, and each level of a batch is a
few calls of numpy rather than a loop over its rows.

    sums     [          Σ          ]        one block of 16 nodes at the top
    sums     [ Σ   Σ   Σ ... ][ Σ  ...
    leaves   [ v v v ... ][ v v v ... ]     one per slot, in blocks of 16
"""

from __future__ import annotations

from typing import Any

import numpy as np

from actorrl.rl.nouns import Array

CHILDREN = 16
_SUM = np.ones(CHILDREN)
_RUNNING = np.triu(np.ones((CHILDREN, CHILDREN)))  # block @ _RUNNING is its running sum, faster than cumsum


class SumTree:
    """Values of slots 0 .. capacity − 1, float64, none below 0; all are 0 at first."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._levels: list[Array] = []  # leaves first, each [blocks, CHILDREN]
        size = capacity
        while not self._levels or size > 1:
            size = -(-size // CHILDREN)
            self._levels.append(np.zeros((size, CHILDREN)))

    @property
    def total(self) -> float:
        """The sum of all values."""
        return float(self._levels[-1].sum())

    def get(self, slots: Array) -> Array:
        """The values [n] in slots [n]."""
        return self._levels[0].reshape(-1).take(slots)

    def set(self, slots: Array, values: Array | float) -> None:
        """Put values [n], or one for all, into slots [n]; where a slot is named twice, the last holds.

        Sums are made afresh from their children, so no error of rounding grows.
        """
        self._levels[0].reshape(-1)[slots] = values
        for below, above in zip(self._levels, self._levels[1:], strict=False):
            slots = slots // CHILDREN
            above.reshape(-1)[slots] = below.take(slots, 0) @ _SUM

    def state_dict(self) -> dict[str, Any]:
        """Values and sums, as copies."""
        return {"levels": [level.copy() for level in self._levels]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave; ValueError where the capacity was another."""
        for mine, theirs in zip(self._levels, state["levels"], strict=True):
            mine[...] = theirs

    def find(self, targets: Array) -> Array:
        """For each target [n] in [0, total) the slot where the running sum of the values first exceeds it.

        Rounding may put a target that lies within 1e-12 of a border on its other side, be the value there 0.
        """
        left = np.array(targets, np.float64)
        node = np.zeros(len(left), np.intp)
        first = np.arange(0, CHILDREN * len(left), CHILDREN)
        for level in reversed(self._levels):
            block = level.take(node, 0)
            running = block @ _RUNNING
            # The first that exceeds. Where rounding let none, argmin says 0: the last would be no better.
            child = (running <= left[:, None]).argmin(1)
            node *= CHILDREN
            node += child
            child += first
            left -= running.take(child)
            left += block.take(child)
            np.maximum(left, 0.0, out=left)
        return node

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """n slots, each with a chance of value / total: one from each n-th part of the total, so in rising order.

        The total must be above 0. A slot whose value is 0 is never drawn.
        """
        total = self.total
        slots = self.find((rng.random(n) + np.arange(n)) * (total / n))
        while not (values := self.get(slots)).all():  # rounding met an empty slot
            empty = np.flatnonzero(values == 0.0)
            slots[empty] = self.find(rng.random(len(empty)) * total)
        return slots
