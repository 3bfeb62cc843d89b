"""Neural networks by parts, chosen from the spaces: embedder, middle, head. Configs build them.

    observation [B, *o] ─► embedder ─► [B, d] ─► middle ─► [B, h] ─► head ─► [B, outputs]

A config's `network=` replaces all three by any callable (observation_space, outputs) -> nn.Module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from actorrl.rl.spaces import is_image

NetworkMaker = Callable[[gymnasium.Space, int], nn.Module]


class Picture(nn.Module):
    """Convolutions over uint8 pictures [B, H, W], [B, H, W, C] or [B, C, H, W]; the smaller end is C.

    From 36 pixels up the three layers of Mnih et al. 2015, "Human-level control through deep reinforcement learning",
    below that two layers of 3 × 3.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self._last = len(shape) == 3 and shape[2] <= shape[0]
        depth = channels = 1 if len(shape) == 2 else min(shape[0], shape[2])
        height, width = shape[:2] if self._last or len(shape) == 2 else shape[1:]
        plan = [(32, 8, 4), (64, 4, 2), (64, 3, 1)] if min(height, width) >= 36 else [(16, 3, 1), (32, 3, 1)]
        layers: list[nn.Module] = []
        for filters, kernel, stride in plan:
            layers += [nn.Conv2d(channels, filters, kernel, stride), nn.ReLU()]
            channels = filters
        self.layers = nn.Sequential(*layers, nn.Flatten())
        with torch.no_grad():
            self.width = self.layers(torch.zeros((1, depth, height, width))).shape[1]

    def forward(self, observation: Tensor) -> Tensor:
        """uint8 pictures to features [B, width]."""
        x = observation.float() / 255.0
        if x.ndim == 3:
            x = x[:, None]
        elif self._last:
            x = x.permute(0, 3, 1, 2)
        return self.layers(x)


class Dueling(nn.Module):
    """Q(s, a) = V(s) + A(s, a) − mean_a A(s, a). Wang et al. 2016, "Dueling network architectures"."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.value = nn.Linear(width, 1)
        self.advantage = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Features [B, width] to Q-values [B, outputs]."""
        advantage = self.advantage(x)
        return self.value(x) + advantage - advantage.mean(-1, keepdim=True)


class DuelingQuantiles(nn.Module):
    """`Dueling` for each of N quantiles: z_j(s, a) = V_j(s) + A_j(s, a) − mean_a A_j(s, a)."""

    def __init__(self, width: int, outputs: int, quantiles: int) -> None:
        super().__init__()
        self.quantiles = quantiles
        self.value = nn.Linear(width, quantiles)
        self.advantage = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Features [B, width] to [B, n · N], the quantiles of each action side by side."""
        advantage = self.advantage(x).unflatten(1, (-1, self.quantiles))
        return (self.value(x)[:, None] + advantage - advantage.mean(1, keepdim=True)).flatten(1)


class Network(nn.Module):
    """Embedder, middle and head in a row."""

    def __init__(self, embedder: nn.Module, middle: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.embedder, self.middle, self.head = embedder, middle, head

    def forward(self, observation: Tensor) -> Tensor:
        """Observations [B, *o] to [B, outputs]."""
        return self.head(self.middle(self.embedder(observation)))


def make_embedder(space: gymnasium.Space) -> tuple[nn.Module, int]:
    """The embedder for encoded observations of a space, and its width: convolutions for pictures, else nothing."""
    if is_image(space):
        picture = Picture(space.shape)  # type: ignore[arg-type]
        return picture, picture.width
    assert isinstance(space, Box)
    return nn.Identity(), int(space.shape[0])


def make_middle(
    width: int, hidden_sizes: Sequence[int], activation: type[nn.Module] = nn.ReLU
) -> tuple[nn.Module, int]:
    """Fully connected layers with ReLU, or another activation, and the width of the last."""
    layers: list[nn.Module] = []
    for size in hidden_sizes:
        layers += [nn.Linear(width, size), activation()]
        width = size
    return nn.Sequential(*layers), width


def make_head(width: int, outputs: int, dueling: bool = False, quantiles: int = 1) -> nn.Module:
    """From features [B, width] to [B, outputs]."""
    if not dueling:
        return nn.Linear(width, outputs)
    return Dueling(width, outputs) if quantiles == 1 else DuelingQuantiles(width, outputs, quantiles)


def make_network(
    space: gymnasium.Space,
    outputs: int,
    *,
    hidden_sizes: Sequence[int] = (64, 64),
    dueling: bool = False,
    quantiles: int = 1,
    network: NetworkMaker | None = None,
    seed: int | None = None,
    tanh: bool = False,
) -> nn.Module:
    """A network from encoded observations of `space` to `outputs` numbers, float32; with tanh for ReLU where asked.

    A dueling head needs to know how many of the outputs, the `quantiles`, belong to one action.
    Weights are drawn from `seed` without touching torch's global generator. Raises TypeError where `network` returns
    something else than an nn.Module.
    """
    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
        if network is not None:
            made: Any = network(space, outputs)
            if not isinstance(made, nn.Module):
                raise TypeError(f"network(observation_space, outputs) must return an nn.Module, found {made!r}")
            return made
        embedder, width = make_embedder(space)
        middle, width = make_middle(width, hidden_sizes, nn.Tanh if tanh else nn.ReLU)
        return Network(embedder, middle, make_head(width, outputs, dueling, quantiles))
