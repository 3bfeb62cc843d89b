"""The wrappers that `gymnasium.make` puts around every environment, done for k of them at once.

    TimeLimit ─► OrderEnforcing ─► CartPole       as made: two wrappers and their base class in every step
                                   CartPole       as stepped here; one number per k steps is compared with a limit

`OrderEnforcing` asks whether `reset` came before `step`, and here it did; `TimeLimit` counts steps. Both cost a light
environment as much as a tenth of its step. Everything else about an environment still goes through all of its wrappers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
from gymnasium.wrappers import OrderEnforcing, TimeLimit

NEVER = float("inf")


def peeled(environment: gymnasium.Env) -> tuple[Callable[[Any], Any], float]:
    """`step` without the outermost `TimeLimit` and `OrderEnforcing`, and the steps after which it must be truncated.

    Classes that extend these stay, as do wrappers under any other one.
    """
    limit = NEVER
    while True:
        if type(environment) is TimeLimit:
            limit = min(limit, environment._max_episode_steps)
        elif type(environment) is not OrderEnforcing:
            return environment.step, limit
        environment = environment.env


class TimeLimits:
    """When each of k environments that are stepped together comes to its limit.

    Args:
        limits: steps of an episode, one per environment; NEVER for none.
    """

    def __init__(self, limits: Sequence[float]) -> None:
        self._limits = limits
        self._steps = 0
        self.reset()

    def reset(self) -> None:
        """All begin an episode."""
        self._until = [self._steps + limit for limit in self._limits]
        self._next = min(self._until, default=NEVER)

    def step(self, truncations: Sequence[Any]) -> Sequence[Any]:
        """After a step of all: whether each was truncated, given what it said itself."""
        self._steps += 1
        if self._steps < self._next:
            return truncations
        return [said or self._steps >= until for said, until in zip(truncations, self._until, strict=True)]

    def begin(self, i: int) -> None:
        """Environment i begins an episode."""
        self._until[i] = self._steps + self._limits[i]
        self._next = min(self._until)
