"""What observations and actions look like to an algorithm: flattening, conversion, refusal.

`LocalEnvironments` encodes what environments give, `Run.act` what users give; configs refuse spaces in `build`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple

Array = np.ndarray

# Which algorithm acts in which spaces, for the sentence that refuses.
ACTIONS: dict[str, tuple[type, ...]] = {
    "QLearningConfig": (Discrete,),
    "DQNConfig": (Discrete,),
    "SACConfig": (Box,),
    "TD3Config": (Box,),
    "PPOConfig": (Discrete, Box, MultiDiscrete),
    "A2CConfig": (Discrete, Box),
    "ReinforceConfig": (Discrete, Box),
    "ImpalaConfig": (Discrete, Box),
}


def is_image(space: Space) -> bool:
    """Whether observations are pictures: a uint8 Box of two or three axes, at least 8 by 8 pixels."""
    if not isinstance(space, Box) or space.dtype != np.uint8 or len(space.shape) not in (2, 3):
        return False
    return sorted(space.shape)[-2] >= 8


def can_flatten(space: Space) -> bool:
    """Whether `Encoder` takes the space: Box, Discrete, MultiBinary, MultiDiscrete, Tuple and Dict of such."""
    if isinstance(space, Dict):
        return all(map(can_flatten, space.spaces.values()))
    if isinstance(space, Tuple):
        return all(map(can_flatten, space.spaces))
    return isinstance(space, (Box, Discrete, MultiBinary, MultiDiscrete))


def require_observations(space: Space, algorithm: str) -> None:
    """Refuse (ValueError) an observation space that cannot become one array."""
    if not can_flatten(space):
        raise ValueError(
            f"{algorithm} cannot observe {space}: it takes Box, Discrete, MultiBinary, MultiDiscrete, and Tuple and "
            f"Dict of these. No other algorithm of actorrl takes it either: wrap the environment, for example in "
            f"gymnasium.wrappers.TransformObservation"
        )


def algorithm_of(config: Any) -> str:
    """The name of the algorithm that a config is of; of a class that extends one of ours, that one's."""
    names = [kind.__name__ for kind in type(config).__mro__]
    return next((name for name in names if name in ACTIONS), names[0])


def require_actions(space: Space, algorithm: str) -> None:
    """Refuse (ValueError) an action space the algorithm cannot act in, naming those that can."""
    if isinstance(space, ACTIONS[algorithm]):
        return
    fitting = [name for name, kinds in ACTIONS.items() if isinstance(space, kinds)]
    wanted = " or ".join(kind.__name__ for kind in ACTIONS[algorithm])
    advice = f"algorithms that fit: {', '.join(fitting)}" if fitting else "no algorithm of actorrl fits it"
    raise ValueError(f"{algorithm} acts in {wanted} spaces, this environment has {space}; {advice}")


@dataclass(frozen=True)
class Encoder:
    """Makes one array of one observation of `space`; picklable.

    A Box becomes float32 [n]; a picture keeps its shape and uint8; Discrete and the rest become what
    `gymnasium.spaces.flatten` makes of them (one-hot), as float32 [n]. With `keep_discrete` a Discrete observation
    stays an int64 number [] and is counted from 0.
    """

    space: Space
    keep_discrete: bool = False

    def __call__(self, observation: Any) -> Array:
        space = self.space
        if isinstance(space, Box):
            if is_image(space):
                return np.asarray(observation, np.uint8)
            return np.asarray(observation, np.float32).reshape(-1)
        if self.keep_discrete and isinstance(space, Discrete):
            return np.asarray(int(observation) - int(space.start))
        return np.asarray(gymnasium.spaces.flatten(space, observation), np.float32)

    @functools.cached_property
    def _is_vector(self) -> bool:
        return isinstance(self.space, Box) and bool(self.space.shape) and not is_image(self.space)

    @property
    def encoded_space(self) -> Box | Discrete:
        """The space of what a call returns."""
        if self.keep_discrete and isinstance(self.space, Discrete):
            return Discrete(int(self.space.n))
        if is_image(self.space) and isinstance(self.space, Box):
            return self.space
        flat = gymnasium.spaces.flatten_space(self.space)
        if not isinstance(flat, Box):
            raise ValueError(f"{self.space} does not flatten to numbers; wrap the environment to give a Box")
        return Box(flat.low.astype(np.float32), flat.high.astype(np.float32), dtype=np.float32)

    def is_one(self, observation: Any) -> bool:
        """Whether this is one observation rather than a batch of them, judged by its shape."""
        return has_shape(self.space, observation)

    def batch(self, observations: Any) -> Array:
        """[B, *o] of a sequence of observations."""
        if self._is_vector:  # at once, which takes a tenth of the time
            return np.concatenate(observations, dtype=np.float32, casting="unsafe").reshape(len(observations), -1)
        return np.stack([self(observation) for observation in observations])


def has_shape(space: Space, observation: Any) -> bool:
    """Whether this is one observation of `space` by its keys, length and shape: numbers of other types, lists as JSON
    holds them, and values beyond the bounds are taken. Of a space that does not flatten, whether it lies in it.
    """
    if isinstance(space, Dict):
        same = isinstance(observation, Mapping) and observation.keys() == space.spaces.keys()
        return same and all(has_shape(inner, observation[key]) for key, inner in space.spaces.items())
    if isinstance(space, Tuple):
        several = isinstance(observation, (tuple, list)) or (isinstance(observation, np.ndarray) and observation.ndim)
        if not several or len(observation) != len(space.spaces):
            return False
        return all(map(has_shape, space.spaces, observation))
    if isinstance(space, (Box, MultiBinary, MultiDiscrete)):
        return _shape(observation) == space.shape
    if isinstance(space, Discrete):
        return _shape(observation) == ()
    return bool(space.contains(observation))


def _shape(observation: Any) -> tuple[int, ...] | None:
    try:
        return np.shape(observation)
    except ValueError:  # sequences of several lengths
        return None


def as_actions(space: Space, actions: Any) -> Any:
    """`as_action` of each of [k, *a] or a list of k."""
    if isinstance(space, Discrete) and isinstance(actions, np.ndarray):
        return actions.tolist() if actions.dtype.kind in "iu" else [int(action) for action in actions]
    return [as_action(space, action) for action in actions]


def as_action(space: Space, action: Any) -> Any:
    """The action as environments and agents get it: a Python int for Discrete, float32 for a float Box."""
    if isinstance(space, Discrete):
        return int(action)
    if isinstance(space, Box) and np.issubdtype(space.dtype, np.floating):
        return np.asarray(action, np.float32)
    if isinstance(space, (Box, MultiDiscrete, MultiBinary)):
        return np.asarray(action, space.dtype)
    return action
