"""A fully connected network in numpy, for acting: a third of torch's time for one observation. `q_function` makes it.

It needs no torch where it is unpickled, so that an explorer process can act without importing it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from actorrl.rl.nouns import Array

KEPT = 16
"""So many batch sizes, of all threads together, have places of their own."""


class _Place:
    """Where a layer is written."""

    __slots__ = ("flat", "units", "whole")

    def __init__(self, units: int, B: int) -> None:
        self.whole = np.ones((units + 1, B), np.float32)
        self.units = self.whole[:-1]
        self.flat = self.units.reshape(-1)
        """The same numbers in a row: numpy goes through them faster."""


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
        self._dueling, self._tanh = dueling, tanh
        shapes = [weights[f"{name}.weight"].shape for name in self._names]
        self._weights = [np.empty((units, inputs + 1), np.float32) for units, inputs in shapes]
        self._places: dict[tuple[int, int], list[_Place]] = {}
        self.set_weights(weights)

    def set_weights(self, weights: dict[str, Array]) -> None:
        for name, own in zip(self._names, self._weights, strict=True):
            own[:, :-1] = weights[f"{name}.weight"]
            own[:, -1] = weights[f"{name}.bias"]

    def __call__(self, observations: Array) -> Array:
        key = threading.get_ident(), len(observations)
        places = self._places.get(key) or self._make_places(key)
        places[0].units[:] = observations.T
        x = places[0].whole
        for weight, place in zip(self._weights, places[1:], strict=False):
            np.dot(weight, x, place.units)
            if self._tanh:
                np.tanh(place.flat, place.flat)
            else:
                np.maximum(place.flat, 0.0, out=place.flat)
            x = place.whole
        hidden = len(places) - 1
        q = np.dot(self._weights[hidden], x)
        if self._dueling:
            q += np.dot(self._weights[hidden + 1], x) - q.mean(0)
        return q.T

    def _make_places(self, key: tuple[int, int]) -> list[_Place]:
        """The layers for one thread's B observations; a few threads and sizes are kept."""
        if len(self._places) >= KEPT:
            self._places.clear()
        B = key[1]
        hidden = self._weights[: -2 if self._dueling else -1]
        sizes = [self._weights[0].shape[1] - 1, *(len(weight) for weight in hidden)]
        places = self._places[key] = [_Place(size, B) for size in sizes]
        return places

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_places": {}}
