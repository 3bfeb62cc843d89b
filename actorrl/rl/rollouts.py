"""The stream of fragments an on-policy learner learns from: first in, first out, each dealt as minibatches and dropped.

    Explorer ── fragments ──► Rollouts ── enough steps? ──► learner.prepare ──► rows ──► minibatches, n_epochs times
                                                                                  ▲ the learner may be satisfied sooner

A plain object beside its learner. It says by itself how much is learned (`paced`): as much as has come in.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from actorrl.rl.fragments import Fragment
from actorrl.rl.nouns import Array, Sample


class Preparing(Protocol):
    """What Rollouts asks of a learner."""

    satisfied: bool
    """Set by an update after which the rest of these rows are not to be learned from."""

    def prepare(self, fragments: list[Fragment]) -> dict[str, Array]:
        """Rows [N, ...] with their advantages and targets."""
        ...


class Rollouts:
    """See the module; implements `Table`.

    Args:
        learner: makes rows of fragments.
        window: makes fragments of steps; the Explorer's, which finds it here.
        rows: steps that make an update.
        n_epochs: how often each row is learned from.
        rng: shuffles.
    """

    paced = True

    def __init__(
        self, learner: Preparing, window: Any, *, rows: int, n_epochs: int, rng: np.random.Generator
    ) -> None:
        self._learner, self._rows, self._n_epochs, self._rng = learner, rows, n_epochs, rng
        self.window = window
        self._waiting: list[Fragment] = []
        self._steps = 0  # of those that wait
        self._current: dict[str, Array] = {}
        self._order: Array = np.empty(0, np.int64)
        self._epochs = 0  # that are left, the one in `_order` not counted

    def __len__(self) -> int:
        """How many steps wait."""
        return self._steps

    @property
    def pending(self) -> bool:
        """Whether `sample` has something to give."""
        return bool(len(self._order) or self._epochs or self._steps >= self._rows)

    def blocked(self) -> bool:
        """Never: who adds is the one who samples."""
        return False

    def add(self, items: list[Fragment]) -> None:
        """Take fragments in."""
        self._waiting += items
        self._steps += sum(fragment["reward"].size for fragment in items)

    def sample(self, n: int) -> Sample | None:
        """The next minibatch of n rows (the last of an epoch may be smaller); None where too few steps have come in."""
        if self._learner.satisfied:
            self._learner.satisfied = False
            self._order, self._epochs = self._order[:0], 0
        if not len(self._order):
            if not self._epochs and not self._begin():
                return None
            self._epochs -= 1
            self._order = self._rng.permutation(len(self._current["advantage"]))
        chosen, self._order = self._order[:n], self._order[n:]
        if len(chosen) == len(self._current["advantage"]):
            return Sample(self._current)  # all of them: their order is nothing to a gradient
        return Sample({name: values[chosen] for name, values in self._current.items()})

    def _begin(self) -> bool:
        if self._steps < self._rows:
            return False
        taken, steps = [], 0
        while steps < self._rows:
            taken.append(self._waiting.pop(0))
            steps += taken[-1]["reward"].size
        self._steps -= steps
        self._current, self._epochs = self._learner.prepare(taken), self._n_epochs
        return True

    def state_dict(self) -> dict[str, Any]:
        """The fragments that wait, and the generator; what is being learned from is not kept."""
        return {"waiting": list(self._waiting), "rng": self._rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._waiting, self._steps = [], 0
        self.add([dict(fragment) for fragment in state["waiting"]])
        self._rng.bit_generator.state = state["rng"]

    def update_priorities(self, ids: Array, td: Array) -> None:
        """Rows have none."""
