"""Q-functions for acting: a small MLP in numpy, anything else in torch. Configs make them, `ValuePolicy` calls them.

Which of the two is a fixed rule of layer sizes, never timed: the same run acts the same way everywhere.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from actorrl.rl.networks import Dueling
from actorrl.rl.nouns import Array
from actorrl.rl.numpy_mlp import NumpyMLP
from actorrl.rl.plain_mlp import is_plain
from actorrl.rl.value_policy import QFunction

NUMPY_WEIGHTS = 1 << 18
"""Our own MLPs of at most so many weights act in numpy."""


class TorchQ:
    """Any module, evaluated without gradients."""

    def __init__(self, module: nn.Module) -> None:
        self._module = copy.deepcopy(module).requires_grad_(False).eval()

    def set_weights(self, weights: dict[str, Array]) -> None:
        names = self._module.state_dict()
        self._module.load_state_dict({name: torch.as_tensor(weights[name]) for name in names})

    def __call__(self, observations: Array) -> Array:
        with torch.inference_mode():
            return self._module(torch.as_tensor(observations)).numpy()


class MeanOfQuantiles:
    """Q(s, a) as the mean of the action's quantiles: a function to [B, n · N] makes one to [B, n]."""

    def __init__(self, quantile_function: QFunction, quantiles: int) -> None:
        self._function, self._quantiles = quantile_function, quantiles

    def set_weights(self, weights: dict[str, Array]) -> None:
        self._function.set_weights(weights)

    def __call__(self, observations: Array) -> Array:
        z = self._function(observations)
        return z.reshape(len(z), -1, self._quantiles).mean(-1)


def weights_of(module: nn.Module) -> dict[str, Array]:
    """The module's state by name, as numpy views of its tensors; copies where these are on another device."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in module.state_dict().items()}


def q_function(module: nn.Module) -> QFunction:
    """numpy for our own MLPs up to NUMPY_WEIGHTS weights, torch for everything else. It copies the weights."""
    tanh = is_plain(module, nn.Tanh)
    few = sum(parameter.numel() for parameter in module.parameters()) <= NUMPY_WEIGHTS
    if not (few and (tanh or is_plain(module))):
        return TorchQ(module)
    hidden = [f"middle.{i}" for i, layer in enumerate(module.middle) if isinstance(layer, nn.Linear)]  # type: ignore[arg-type]
    return NumpyMLP(weights_of(module), hidden, isinstance(module.head, Dueling), tanh)
