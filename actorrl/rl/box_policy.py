"""The policy of SAC and TD3: an actor's outputs become actions within the bounds of a Box. Their configs build it."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box

from actorrl.rl.exploration import GaussianNoise
from actorrl.rl.nouns import Acted, Array
from actorrl.rl.value_policy import QFunction

LOG_STD_RANGE = (-20.0, 2.0)  # of a Gaussian actor, here and in the learner


class BoxScale:
    """Between actions [B, *shape] of a Box and normalised ones [B, a] in [−1, 1]; float32."""

    def __init__(self, space: Box) -> None:
        self.shape = space.shape
        self.low, self.high = (bound.astype(np.float32).reshape(-1) for bound in (space.low, space.high))
        self.size = len(self.low)

    def out(self, normalised: Array) -> Array:
        """Actions as the environment takes them, never outside the bounds by rounding."""
        actions = self.low + (normalised + 1.0) * (0.5 * (self.high - self.low))
        return np.clip(actions, self.low, self.high).astype(np.float32).reshape(-1, *self.shape)

    def into(self, actions: Array) -> Array:
        """The normalised actions; 0 in a dimension without room."""
        flat = actions.reshape(len(actions), -1)
        room = self.high - self.low
        return np.where(room > 0, 2.0 * (flat - self.low) / np.where(room > 0, room, 1) - 1.0, 0.0).astype(np.float32)


def require_bounds(space: Box, algorithm: str) -> None:
    """Refuse (ValueError) actions of whole numbers or without bounds."""
    if not np.issubdtype(space.dtype, np.floating):
        raise ValueError(f"{algorithm} acts in Box spaces of floats, this environment has {space}: wrap its actions")
    if not space.is_bounded("both"):
        raise ValueError(
            f"{algorithm} acts within bounds, this environment has {space}: give them, for example with "
            f"gymnasium.wrappers.RescaleAction"
        )


class BoxPolicy:
    """tanh of what an actor says, scaled to the Box; implements `Policy`, picklable.

    Args:
        actor: outputs [B, a] of observations, or [B, 2a] where `gaussian`: mean and log standard deviation.
        scale: to the Box.
        gaussian: draw from the actor's own distribution where exploring (SAC).
        noise: what is added where exploring (TD3).
        random_steps: explore uniformly for so many of the agent's own environment steps.
    """

    def __init__(
        self,
        actor: QFunction,
        scale: BoxScale,
        *,
        gaussian: bool = False,
        noise: GaussianNoise | None = None,
        random_steps: int = 0,
    ) -> None:
        self.actor, self.scale, self.gaussian, self.noise = actor, scale, gaussian, noise
        self.random_steps = random_steps
        self.version = 0

    def initial_state(self, B: int) -> tuple[()]:
        return ()

    def act(self, observations: Array, state: Any, step: int, *, explore: bool, rng: np.random.Generator) -> Acted:
        """Actions float32 [B, *shape] within the bounds."""
        if explore and step < self.random_steps:
            uniform = rng.uniform(-1.0, 1.0, (len(observations), self.scale.size))
            return Acted(self.scale.out(uniform), state, {})
        outputs = self.actor(observations)
        if self.gaussian:
            mean, log_std = outputs[:, : self.scale.size], outputs[:, self.scale.size :]
            outputs = mean
            if explore:
                outputs = mean + np.exp(np.clip(log_std, *LOG_STD_RANGE)) * rng.standard_normal(mean.shape, np.float32)
        normalised = np.tanh(outputs)
        if explore and self.noise is not None:
            normalised = self.noise.disturb(normalised, rng)
        return Acted(self.scale.out(normalised), state, {})

    def explain(self, observations: Array, action_mask: Array | None = None) -> dict[str, Array]:
        """The greedy actions, mean [B, *shape], and where `gaussian` std, of what tanh makes of a small deviation."""
        outputs = self.actor(observations)
        a = self.scale.size
        squashed = np.tanh(outputs[:, :a])
        told = {"mean": self.scale.out(squashed)}
        if self.gaussian:
            std = np.exp(np.clip(outputs[:, a:], *LOG_STD_RANGE)) * (1 - squashed**2)
            told["std"] = (std * 0.5 * (self.scale.high - self.scale.low)).reshape(told["mean"].shape)
        return told

    def set_weights(self, weights: dict[str, Array], version: int) -> None:
        self.actor.set_weights(weights)
        self.version = version
