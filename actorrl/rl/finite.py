"""Refusing what is not a number before it is learned from: one nan makes every weight nan, hours before anybody looks.

The Explorer and fragments ask of what environments give, `Updates` of what a learner says, roles of what a checkpoint
would hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy import ndarray, vdot

from actorrl.rl.nouns import Array

__all__ = ["NotFinite", "are_finite", "bad_one", "is_finite", "refused", "require_figures", "require_state"]

FIGURES = ("loss", "q", "td", "grad_norm")
"""What a figure's name ends with that is to be finite."""


class NotFinite(ValueError):
    """Something is nan or infinite; the message names it."""


def is_finite(values: Array) -> bool:
    """Whether every number of a float array is; in one pass, unless one of them is huge."""
    total = float(np.vdot(values, values))
    return total - total == 0.0 or bool(np.isfinite(values).all())


def are_finite(observations: Any, rewards: Any) -> bool:
    """Whether two float arrays hold finite numbers only; False where it takes a closer look to say."""
    if type(observations) is not ndarray or observations.dtype.kind != "f":
        return False
    total = float(vdot(observations, observations)) + float(vdot(rewards, rewards))
    return total - total == 0.0


def bad_one(given: Any) -> int | None:
    """Which of k environments gave something that is no number, [k, ...] or a list of k; None for none.

    What is handed to a bare agent as it is (a list) may be infinite, but not nan.
    """
    if type(given) is np.ndarray:
        if given.dtype.kind != "f" or is_finite(given):
            return None
        return next(i for i, one in enumerate(given) if not np.isfinite(one).all())
    for i, one in enumerate(given):
        if type(one) is float or (isinstance(one, (np.ndarray, np.generic)) and one.dtype.kind == "f"):
            total = float(np.vdot(one, one))
            if total != total:
                return i
    return None


def refused(what: str, given: Any, environment: int, steps: int) -> NotFinite:
    """The error that names what environment `environment` gave after so many steps."""
    values = np.asarray(given, np.float64)
    where = tuple(np.argwhere(~np.isfinite(values))[0].tolist())
    at = f" at index {where[0] if len(where) == 1 else where}" if values.ndim else ""
    return NotFinite(
        f"the {what} of environment {environment} is {values[where]}{at}, after {steps:,} steps: expected finite "
        f"numbers, so look at what the environment computes"
    )


def require_figures(figures: Mapping[str, float], updates: int) -> None:
    """Refuse what a learner says of itself where it has diverged."""
    for name, value in figures.items():
        if name.endswith(FIGURES) and value - value != 0.0:
            raise NotFinite(
                f"the learner's {name} is {value} after {updates:,} updates: it has diverged; a lower learning_rate or "
                f"smaller rewards (reward_scale, normalize_reward) may help"
            )


def require_state(state: Mapping[str, Any]) -> None:
    """Refuse a state_dict in which an array is not finite."""
    for name, value in state.items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and not np.isfinite(value).all():
            raise NotFinite(f"the weights {name} are not finite any more: the learner has diverged")
