"""Whether an environment keeps to gymnasium's interface: its first answers are looked at, before hours are spent."""

from __future__ import annotations

import numbers
from typing import Any

import gymnasium
import numpy as np

__all__ = ["NotGymnasium", "prove_reset", "prove_step"]

STEP = "(observation, reward, terminated, truncated, info)"


class NotGymnasium(TypeError, ValueError):
    """An environment answers otherwise than gymnasium's do; which method, what it gave, and what was expected."""


def prove_reset(environment: Any, answer: Any) -> None:
    """Refuse (NotGymnasium) what `reset` has returned where it is not (observation, info)."""
    name = _name(environment)
    if not isinstance(answer, tuple) or len(answer) != 2 or not isinstance(answer[1], dict):
        old = "; that was gym's interface before 0.26" if not isinstance(answer, tuple) else ""
        raise NotGymnasium(f"{name}.reset must return (observation, info), found {_what(answer)}{old}")
    _prove_observation(environment, f"{name}.reset", answer[0])


def prove_step(environment: Any, answer: Any) -> None:
    """Refuse (NotGymnasium) what `step` has returned where it is not gymnasium's five."""
    name = _name(environment)
    if not isinstance(answer, tuple) or len(answer) != 5:
        old = "; four were gym's interface before 0.26" if isinstance(answer, tuple) and len(answer) == 4 else ""
        raise NotGymnasium(f"{name}.step must return {STEP}, found {_what(answer)}{old}")
    observation, reward, terminated, truncated, info = answer
    if not isinstance(reward, numbers.Real) and not (isinstance(reward, np.ndarray) and reward.ndim == 0):
        raise NotGymnasium(f"{name}.step must return a number as reward, found {_what(reward)}")
    for what, flag in (("terminated", terminated), ("truncated", truncated)):
        if not isinstance(flag, (bool, np.bool_)):
            raise NotGymnasium(f"{name}.step must return True or False as {what}, found {_what(flag)}")
    if not isinstance(info, dict):
        raise NotGymnasium(f"{name}.step must return a dict as info, found {_what(info)}")
    _prove_observation(environment, f"{name}.step", observation)


def _prove_observation(environment: Any, method: str, observation: Any) -> None:
    space = environment.observation_space
    if isinstance(space, gymnasium.spaces.Box) and np.shape(observation) != space.shape:
        raise NotGymnasium(
            f"{method} gave an observation of shape {np.shape(observation)}, and the observation space says "
            f"{space.shape}: {space}"
        )
    if isinstance(space, gymnasium.spaces.Discrete) and not space.contains(observation):
        raise NotGymnasium(f"{method} gave the observation {observation!r}, which is not in {space}")


def _name(environment: Any) -> str:
    return type(getattr(environment, "unwrapped", environment)).__name__


def _what(thing: Any) -> str:
    return f"a tuple of {len(thing)}" if isinstance(thing, tuple) else f"a {type(thing).__name__}, {thing!r:.60}"
