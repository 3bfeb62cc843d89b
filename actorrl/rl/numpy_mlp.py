"""A fully connected network in numpy, for acting: a third of torch's time for one observation. `q_function` makes it.

It needs no torch where it is unpickled, so that an explorer process can act without importing it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import get_ident
from typing import Any, NamedTuple

import numpy as np

from actorrl.rl.nouns import Array

KEPT = 16
"""So many batch sizes, of all threads together, have plans of their own."""


def _relu(x: Array, out: Array) -> None:
    np.maximum(x, 0.0, out=out)


class _Plan(NamedTuple):
    """How one thread goes through the network with B observations: all that can be settled before they come."""

    inputs: Array
    """[inputs, B]: where they go."""
    layers: list[tuple[Callable[..., Any], Array, Array, Array]]
    """Of each hidden one: the product with its weights, what with, where it goes, and the same numbers in a row, which
    numpy goes through faster."""
    last: Array
    """The last hidden layer, with its ones."""


class NumpyMLP:
    """A fully connected network with a linear or dueling head, in numpy; float32 in and out.

    Inside, a layer is [units + 1, B] with ones in its last row, so that a weight and its bias are one product, and
    written into a place that is kept for the next call: half of the time of few observations is numpy's, per call.

    Args:
        weights: "<layer>.weight" [out, in] and "<layer>.bias" [out] by name, as torch names them; copied.
        hidden: the names of the hidden layers, in order.
        dueling: whether the head is "head.value" and "head.advantage" rather than "head".
        tanh: whether the hidden layers' activation is tanh rather than ReLU.
    """

    def __init__(self, weights: dict[str, Array], hidden: Sequence[str], dueling: bool, tanh: bool = False) -> None:
        self._names = [*hidden, *(["head.advantage", "head.value"] if dueling else ["head"])]
        self._dueling = dueling
        shapes = [weights[f"{name}.weight"].shape for name in self._names]
        self._weights = [np.empty((units, inputs + 1), np.float32) for units, inputs in shapes]
        self._activate: Callable[[Array, Array], Any] = np.tanh if tanh else _relu
        self._plans: dict[tuple[int, int], _Plan] = {}
        self.set_weights(weights)

    def set_weights(self, weights: dict[str, Array]) -> None:
        for name, own in zip(self._names, self._weights, strict=True):
            own[:, :-1] = weights[f"{name}.weight"]
            own[:, -1] = weights[f"{name}.bias"]

    def __call__(self, observations: Array) -> Array:
        key = get_ident(), len(observations)
        inputs, layers, last = self._plans.get(key) or self._make_plan(key)
        inputs[:] = observations.T
        activate = self._activate
        for product, x, units, flat in layers:
            product(x, units)
            activate(flat, flat)
        if not self._dueling:
            return self._weights[-1].dot(last).T
        advantage = self._weights[-2].dot(last)
        advantage += self._weights[-1].dot(last) - advantage.mean(0)
        return advantage.T

    def _make_plan(self, key: tuple[int, int]) -> _Plan:
        """For one thread and B; those of a few are kept."""
        if len(self._plans) >= KEPT:
            self._plans.clear()
        hidden = self._weights[: -2 if self._dueling else -1]
        wholes = [np.ones((weight.shape[1], key[1]), np.float32) for weight in self._weights[: len(hidden) + 1]]
        ways = zip(hidden, wholes[:-1], wholes[1:], strict=True)
        layers = [(weight.dot, x, whole[:-1], whole[:-1].reshape(-1)) for weight, x, whole in ways]
        plan = self._plans[key] = _Plan(wholes[0][:-1], layers, wholes[-1])
        return plan

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_plans": {}}
