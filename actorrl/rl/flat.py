"""All parameters of a network in one vector, for learners: one Adam step, one norm, one average, not one per layer."""

from __future__ import annotations

import torch
from torch import nn


class FlatParameters:
    """Moves a module's parameters into one vector, of which they become views; the same for their gradients.

    The module is used as before: forward, backward, state_dict and load_state_dict see the same storage.
    """

    def __init__(self, module: nn.Module) -> None:
        self._parameters = list(module.parameters())
        if any(parameter.dtype != torch.float32 for parameter in self._parameters):
            raise TypeError("expected a network of float32 parameters; call .float() on it")
        sizes = [parameter.numel() for parameter in self._parameters]
        self.values = torch.cat([parameter.detach().reshape(-1) for parameter in self._parameters])
        self.gradient = torch.zeros_like(self.values)
        for parameter, value, gradient in zip(
            self._parameters, self.values.split(sizes), self.gradient.split(sizes), strict=True
        ):
            parameter.data = value.view(parameter.shape)
            if parameter.requires_grad:
                parameter.grad = gradient.view(parameter.shape)
        self.values.grad = self.gradient

    def clip_gradient(self, most: float) -> float:
        """Scale the gradient down to a norm of `most`; returns the norm it had."""
        norm = self.gradient.norm().item()
        if norm > most:
            self.gradient.mul_(most / (norm + 1e-6))
        return norm
