"""A fully connected network in numpy, for acting: a third of torch's time for one observation. `q_function` makes it.

It needs no torch where it is unpickled, so that an explorer process can act without importing it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from actorrl.rl.nouns import Array


class NumpyMLP:
    """A fully connected network with a linear or dueling head, in numpy; float32 in and out.

    Args:
        weights: "<layer>.weight" [out, in] and "<layer>.bias" [out] by name, as torch names them; copied.
        hidden: the names of the hidden layers, in order.
        dueling: whether the head is "head.value" and "head.advantage" rather than "head".
        tanh: whether the hidden layers' activation is tanh rather than ReLU.
    """

    def __init__(self, weights: dict[str, Array], hidden: Sequence[str], dueling: bool, tanh: bool = False) -> None:
        self._weights = {name: np.array(weight) for name, weight in weights.items()}
        self._hidden, self._dueling, self._tanh = list(hidden), dueling, tanh
        self._arrange()

    def set_weights(self, weights: dict[str, Array]) -> None:
        for name, own in self._weights.items():
            np.copyto(own, weights[name])

    def _arrange(self) -> None:
        pairs = [(self._weights[f"{name}.weight"].T, self._weights[f"{name}.bias"]) for name in self._hidden]
        self._layers = pairs
        names = ["head.advantage", "head.value"] if self._dueling else ["head"]
        self._heads = [(self._weights[f"{name}.weight"].T, self._weights[f"{name}.bias"]) for name in names]

    def __call__(self, observations: Array) -> Array:
        x = observations
        for weight, bias in self._layers:
            x = x @ weight
            x += bias
            if self._tanh:
                np.tanh(x, out=x)
            else:
                np.maximum(x, 0.0, out=x)
        weight, bias = self._heads[0]
        q = x @ weight
        q += bias
        if self._dueling:
            weight, bias = self._heads[1]
            q += x @ weight + bias - q.mean(-1, keepdims=True)
        return q

    def __getstate__(self) -> dict[str, Any]:
        return {"_dueling": self._dueling, "_hidden": self._hidden, "_tanh": self._tanh, "_weights": self._weights}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._arrange()
