"""The gradient of a fully connected network written out, for learners: small batches cost autograd more than the maths.

Only for networks that `make_network` built without pictures; every other module goes through autograd.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from actorrl.rl.networks import Dueling, Network


def is_plain(module: nn.Module, activation: type[nn.Module] = nn.ReLU) -> bool:
    """Whether the module is one of our own, without convolutions, with ReLU and a linear or dueling head."""
    return (
        type(module) is Network
        and isinstance(module.embedder, nn.Identity)
        and isinstance(module.head, (nn.Linear, Dueling))
        and all(isinstance(layer, (nn.Linear, activation)) for layer in module.middle)  # type: ignore[attr-defined]
    )


class PlainMLP:
    """Forward and backward of a ReLU network with a linear or dueling head, over the module's own weights.

    Gradients are written into the parameters' `grad`, which must exist (`FlatParameters` makes them). Call it under
    `torch.no_grad()`.
    """

    def __init__(self, network: Network) -> None:
        self._hidden = [_views(layer) for layer in network.middle if isinstance(layer, nn.Linear)]  # type: ignore[attr-defined]
        self._dueling = isinstance(network.head, Dueling)
        head: nn.Module = network.head
        heads = [head.advantage, head.value] if isinstance(head, Dueling) else [head]
        self._heads = [_views(layer) for layer in heads if isinstance(layer, nn.Linear)]

    def features(self, x: Tensor) -> list[Tensor]:
        """The input [B, d] and the output of every hidden layer."""
        features = [x]
        for weight, bias, _, _ in self._hidden:
            features.append(torch.addmm(bias, features[-1], weight.t()).relu_())
        return features

    def head(self, x: Tensor) -> Tensor:
        """The head's output [B, outputs] of the last features [B, h]."""
        outputs = [torch.addmm(bias, x, weight.t()) for weight, bias, _, _ in self._heads]
        if not self._dueling:
            return outputs[0]
        advantage, value = outputs
        return value + advantage - advantage.mean(-1, keepdim=True)

    def __call__(self, x: Tensor) -> Tensor:
        return self.head(self.features(x)[-1])

    def backward(self, features: list[Tensor], slope: Tensor) -> None:
        """Fill the gradients, given what `features` returned and the slope of the loss in the output [B, outputs]."""
        slopes = [slope]
        if self._dueling:
            slopes = [slope - slope.mean(-1, keepdim=True), slope.sum(-1, keepdim=True)]
        below = torch.zeros_like(features[-1])
        for part, (weight, _, weight_gradient, bias_gradient) in zip(slopes, self._heads, strict=True):
            torch.mm(part.t(), features[-1], out=weight_gradient)
            torch.sum(part, 0, out=bias_gradient)
            below.addmm_(part, weight)
        for i in range(len(self._hidden) - 1, -1, -1):
            weight, _, weight_gradient, bias_gradient = self._hidden[i]
            below.mul_(features[i + 1] > 0)
            torch.mm(below.t(), features[i], out=weight_gradient)
            torch.sum(below, 0, out=bias_gradient)
            if i:
                below = below.mm(weight)


def _views(layer: nn.Linear) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    weight, bias = layer.weight, layer.bias
    none = torch.empty(0)
    return (
        weight.detach(),
        bias.detach(),
        none if weight.grad is None else weight.grad,
        none if bias.grad is None else bias.grad,
    )
