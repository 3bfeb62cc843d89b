"""All parameters of a network in one vector, for learners: one Adam step, one norm, one average, not one per layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.adam import adam


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

    def clip_gradient(self, most: float) -> float:
        """Scale the gradient down to a norm of `most`; returns the norm it had."""
        norm = self.gradient.norm().item()
        if norm > most:
            self.gradient.mul_(most / (norm + 1e-6))
        return norm


class FlatAdam:
    """Adam (Kingma and Ba 2015) over flat parameters: torch's own fused step, without the optimiser object around it,
    which costs a small network more than the step.
    """

    def __init__(self, flat: FlatParameters, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> None:
        self._flat, self._beta1, self._beta2, self._eps = flat, beta1, beta2, eps
        self._mean, self._square = torch.zeros_like(flat.values), torch.zeros_like(flat.values)
        self._step = torch.zeros((), device=flat.values.device)

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Move the parameters against their gradient."""
        adam(
            [self._flat.values],
            [self._flat.gradient],
            [self._mean],
            [self._square],
            [],
            [self._step],
            fused=True,
            amsgrad=False,
            beta1=self._beta1,
            beta2=self._beta2,
            lr=learning_rate,
            weight_decay=0.0,
            eps=self._eps,
            maximize=False,
        )

    def state_dict(self) -> dict[str, Any]:
        """Both moments and the count of steps, as copies."""
        return {
            "mean": self._mean.cpu().numpy().copy(),
            "square": self._square.cpu().numpy().copy(),
            "step": int(self._step.item()),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._mean.copy_(torch.as_tensor(np.asarray(state["mean"])))
        self._square.copy_(torch.as_tensor(np.asarray(state["square"])))
        self._step.fill_(float(state["step"]))
