"""Which rows of a table a batch is made of: any, those with large TD errors, or each once in turn. `ReplayTable` asks.

A sampler knows slots and counts, never the rows. Row number r is the r-th that was ever added. With the oldest row
removed first it lies in slot r % capacity; for other removers the table tells the slots that were written.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import numpy as np

from actorrl.rl.nouns import Array
from actorrl.rl.schedules import Linear, over_updates
from actorrl.rl.sum_tree import SumTree

Drawn = tuple[Array, "Array | None"]
"""Slots int64 [n], and weights float32 [n] that the loss of each row is multiplied by, or None for all 1."""


class Sampler(Protocol):
    """Chooses slots of a table."""

    tells_ids: bool
    """Whether samples carry ids, for `update_priorities`."""

    def begin(self, capacity: int, rng: np.random.Generator) -> None:
        """Told once, by the table: how many slots there are, and whose draws to use."""
        ...

    def written(self, slots: Array) -> None:
        """Rows were put into these slots. Called before `draw`, not at each `add`, and at most `capacity` at once."""
        ...

    def draw(self, inserted: int, held: int, n: int) -> Drawn | None:
        """n slots, where `inserted` rows were ever added and `held` of them are there; None where it has none."""
        ...

    def update(self, slots: Array, td: Array) -> None:
        """TD errors [n] of the rows in these slots."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What it knows of the rows; the generator is the table's."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        ...


class Uniform:
    """Every row with the same chance, with replacement."""

    tells_ids = False

    def begin(self, capacity: int, rng: np.random.Generator) -> None:
        self._integers = rng.integers

    def written(self, slots: Array) -> None:
        """It looks at counts alone."""

    def draw(self, inserted: int, held: int, n: int) -> Drawn:
        return self._integers(0, held, n), None

    def update(self, slots: Array, td: Array) -> None:
        """Every row keeps its chance, whatever its TD error."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """There is nothing to know."""


class Prioritized:
    """Row i with the chance P(i) = p_i^alpha / Σ p^alpha, where p_i = |td_i| + `floor` is its last TD error.

    Schaul et al. 2016, "Prioritized experience replay", the proportional variant. A new row has the largest priority
    seen so far (1 before any). Weights undo the bias: w_i = (N P(i))^−beta, divided by the largest **of the batch**.
    The TD errors must be those of the rows as they are, not multiplied by the weights.

    Args:
        alpha: 0 draws uniformly, 1 in full proportion.
        beta: as a function of the batches drawn so far, which is the learner's updates; 1 undoes the bias in full.
        floor: so that no row is lost for ever.
    """

    tells_ids = True

    def __init__(self, alpha: float = 0.6, beta: Linear = Linear(0.4, 1.0, 100_000), floor: float = 1e-6) -> None:
        if not 0.0 <= alpha <= 1.0:
            raise ValueError(f"alpha must be between 0 and 1, found {alpha}")
        self._alpha, self._beta, self._floor = alpha, beta, floor
        self._largest = 1.0  # p^alpha
        self.batches = 0

    def begin(self, capacity: int, rng: np.random.Generator) -> None:
        self._tree, self._rng = SumTree(capacity), rng

    def shared_by(self, learners: int) -> None:
        """So many learners draw from it, and the batches of all are counted: β rises over as many times as many."""
        self._beta = dataclasses.replace(self._beta, duration=self._beta.duration * learners)

    def written(self, slots: Array) -> None:
        """New rows are drawn soon: nobody knows yet what they teach."""
        self._tree.set(slots, self._largest)

    def draw(self, inserted: int, held: int, n: int) -> Drawn:
        slots = self._tree.draw(n, self._rng)
        value = self._tree.get(slots)
        weight = (value.min() / value) ** self._beta(self.batches)
        self.batches += 1
        return slots, weight.astype(np.float32)

    def update(self, slots: Array, td: Array) -> None:
        """Replace the priorities; ValueError where a TD error is not a number, since one would spoil every sum."""
        priority = np.abs(td, dtype=np.float64)
        priority += self._floor
        priority **= self._alpha
        largest = float(priority.max(initial=0.0))
        if not np.isfinite(largest):
            raise ValueError("expected finite TD errors, found nan or inf: the learner has diverged")
        self._largest = max(self._largest, largest)
        self._tree.set(slots, priority)

    def state_dict(self) -> dict[str, Any]:
        return {"tree": self._tree.state_dict(), "largest": self._largest, "batches": self.batches}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._tree.load_state_dict(state["tree"])
        self._largest, self.batches = float(state["largest"]), int(state["batches"])


def replay_sampler(prioritized: bool, updates: int) -> Sampler:
    """The sampler that configs mean by `prioritized`; β reaches 1 at the last of so many updates."""
    return Prioritized(beta=over_updates(0.4, 1.0, updates)) if prioritized else Uniform()


class Fifo:
    """The oldest unread rows, each once and in order; what is overwritten before it is read is lost.

    A `RateLimiter` on the table keeps writers from overwriting what has not been read.
    """

    tells_ids = False

    def __init__(self) -> None:
        self.read = 0  # the number of the next row

    def begin(self, capacity: int, rng: np.random.Generator) -> None:
        self._capacity = capacity

    def written(self, slots: Array) -> None:
        """It looks at counts alone."""

    def draw(self, inserted: int, held: int, n: int) -> Drawn | None:
        """At most n; None where all have been read."""
        first = max(self.read, inserted - held)
        self.read = min(first + n, inserted)
        if self.read == first:
            return None
        return np.arange(first, self.read) % self._capacity, None

    def update(self, slots: Array, td: Array) -> None:
        """Rows come in order, whatever their TD error."""

    def state_dict(self) -> dict[str, Any]:
        return {"read": self.read}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.read = int(state["read"])
