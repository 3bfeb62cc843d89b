"""Learners that are copies of each other: each learns from a part of a batch, and all take the same step.

    gradient of my part ──► mean over all ──► the gradient of the whole batch, where the parts are of one size
    moments of my part ───► gathered ───────► merged in the same order by everyone

A learner that can be one of several has an attribute `replicas`. `training/` brings the messages (gloo.py); a learner
on its own has none. Li et al. 2020, "PyTorch distributed".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from torch import Tensor

from actorrl.rl.moments import Moments
from actorrl.rl.nouns import Array

__all__ = ["Replicas", "all_of", "mean_over", "normalised_over", "update_over"]


class Replicas(Protocol):
    """The others, as one of them sees them. Every method waits until all have called it."""

    count: int
    """How many there are, this one included."""

    def average(self, values: Tensor) -> None:
        """Replace values by their mean over all replicas, in place."""
        ...

    def gather(self, values: Array) -> list[Array]:
        """The float64 values [n] of each replica, in the same order for everyone."""
        ...


def mean_over(replicas: Replicas | None, value: Tensor) -> float:
    """The mean over all of a number each has."""
    if replicas is None:
        return value.item()
    values = value.detach().reshape(1).clone()
    replicas.average(values)
    return values.item()


def normalised_over(replicas: Replicas, advantage: Tensor) -> Tensor:
    """Advantages [B] of mean 0 and standard deviation 1 over the parts of all, which are of one size.

    As `policy_losses.normalised` of the joined batch.
    """
    n = len(advantage) * replicas.count
    if n < 2:
        return advantage
    mean = advantage.mean().reshape(1)
    replicas.average(mean)
    square = (advantage - mean).square().mean().reshape(1)
    replicas.average(square)
    return (advantage - mean) / ((square * (n / (n - 1))).sqrt() + 1e-8)


def update_over(replicas: Replicas | None, moments: Moments, update: Callable[[Moments], None]) -> None:
    """Let `update` take this part in, and take in the others' parts too, so that everyone has the same moments."""
    if replicas is None:
        update(moments)
        return
    mine = Moments(moments.mean.shape)
    update(mine)
    told = np.concatenate([mine.mean.reshape(-1), mine.var.reshape(-1), [float(mine.count)]])
    for part in replicas.gather(told):
        mean, var = part[:-1].reshape(2, *moments.mean.shape)
        if part[-1]:
            moments.merge(mean, var, int(part[-1]))


def all_of(replicas: Replicas | None, flag: bool) -> bool:
    """Whether every replica says so."""
    return flag if replicas is None else all(part[0] for part in replicas.gather(np.array([float(flag)])))
