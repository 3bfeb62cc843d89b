"""PPO: the config a user writes. `train` calls `build`.

Schulman et al. 2017, "Proximal policy optimization algorithms", with the details of Huang et al. 2022, "The 37
implementation details of proximal policy optimization".
"""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium

from actorrl.rl.fragment_learner import Estimate, Valued
from actorrl.rl.nouns import Parts
from actorrl.rl.on_policy import FragmentConfig, build_parts
from actorrl.rl.policy_losses import clipped_surrogate
from actorrl.rl.ranges import require


@dataclass(frozen=True)
class PPOConfig(FragmentConfig):
    """Proximal policy optimisation for Discrete, MultiDiscrete and Box actions, with action masks."""

    learning_rate: float = 2.5e-3
    """Adam's step size at the start."""
    n_steps: int = 128
    """Steps of each environment per update."""
    gae_lambda: float = 0.95
    """λ of the advantages: 0 trusts the value function, 1 the rewards."""
    batch_size: int = 256
    """Rows per gradient step."""
    n_epochs: int = 8
    """How often each row is learned from."""
    clip_range: float = 0.2
    """How far the ratio of the probabilities counts beyond 1."""
    clip_range_final: float | None = None
    """The same when `total_steps` are over; None for no change."""
    target_kl: float | None = None
    """No more epochs once the policy is 1.5 times this far, in nats, from the one that acted."""
    normalize_advantage: bool = True
    """Whether the advantages of a minibatch are given mean 0 and standard deviation 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "between 0 and 1", "gae_lambda")
        require(self, "positive", "batch_size", "n_epochs", "clip_range")
        if self.batch_size > self.n_steps * self.n_envs:
            raise ValueError(
                f"PPOConfig: batch_size must be at most n_steps * n_envs = {self.n_steps * self.n_envs}, the rows of "
                f"an update, found {self.batch_size}"
            )

    def build(self, observation_space: gymnasium.Space, action_space: gymnasium.Space, seed: int | None) -> Parts:
        """Policy, learner and table; ValueError where a space does not fit."""
        clip_final = self.clip_range if self.clip_range_final is None else self.clip_range_final
        objective = self._objective(
            self._estimate,
            clipped_surrogate,
            clip_range=self._schedule(self.clip_range, clip_final),
            target_kl=self.target_kl,
            normalize_advantage=self.normalize_advantage,
        )
        spaces = observation_space, action_space
        return build_parts(self, objective, *spaces, seed, batch_size=self.batch_size, n_epochs=self.n_epochs)

    def _estimate(self, f: Valued) -> Estimate:
        return self._by_gae(f, self.gae_lambda)
