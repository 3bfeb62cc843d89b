"""The wrappers that `gymnasium.make` puts around every environment, done for k of them at once.

    TimeLimit ─► OrderEnforcing ─► CartPole       as made: two wrappers and their base class in every step
                                   CartPole       as stepped here; one number per k steps is compared with a limit

`OrderEnforcing` asks whether `reset` came before `step`, and here it did; `TimeLimit` counts steps. That is three calls
in each step, which light environments notice. Everything else about one still goes through all of its wrappers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
from gymnasium.wrappers import OrderEnforcing, TimeLimit

NEVER = float("inf")


def peeled(environment: Any) -> tuple[gymnasium.Env, float]:
    """What is under the outermost `TimeLimit` and `OrderEnforcing`, and the steps after which it must be truncated.

    Classes that extend these stay, as do those with a `step` that somebody has put on them, and wrappers under any
    other one.
    """
    limit = NEVER
    while type(environment) in (TimeLimit, OrderEnforcing) and "step" not in vars(environment):
        if type(environment) is TimeLimit:
            limit = min(limit, environment._max_episode_steps)
        environment = environment.env
    return environment, limit


class TimeLimits:
    """When each of k environments that are stepped together comes to its limit.

    Args:
        limits: steps of the first episode, one per environment; NEVER for none.
    """

    def __init__(self, limits: Sequence[float]) -> None:
        self._steps = 0
        self._until = list(limits)
        self._next = min(self._until)  # none comes to its limit before; later ones are found when it is reached

    def step(self, truncations: Sequence[Any]) -> Sequence[Any]:
        """After a step of all: whether each was truncated, given what it said itself."""
        self._steps += 1
        if self._steps < self._next:
            return truncations
        self._next = min(self._until)
        return [said or self._steps >= until for said, until in zip(truncations, self._until, strict=True)]

    def begin(self, i: int, limit: float) -> None:
        """Environment i begins an episode of at most so many steps."""
        self._until[i] = self._steps + limit
        self._next = min(self._next, self._until[i])
