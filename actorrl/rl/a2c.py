"""A2C: the config a user writes. `train` calls `build`.

Mnih et al. 2016, "Asynchronous methods for deep reinforcement learning", with its workers in step: one gradient step on
each fragment. Huang et al. 2022, "A2C is a special case of PPO".
"""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium
from torch import Tensor

from actorrl.rl.fragment_learner import Estimate, Valued
from actorrl.rl.nouns import Parts
from actorrl.rl.on_policy import FragmentConfig, build_parts
from actorrl.rl.policy_losses import policy_gradient
from actorrl.rl.ranges import require


@dataclass(frozen=True)
class A2CConfig(FragmentConfig):
    """Advantage actor-critic for Discrete and Box actions, with action masks."""

    gae_lambda: float = 1.0
    """λ of the advantages: 0 trusts the value function, 1 the rewards."""
    normalize_advantage: bool = False
    """Whether an update's advantages are given mean 0 and standard deviation 1; small ones learn better without."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "between 0 and 1", "gae_lambda")

    def build(self, observation_space: gymnasium.Space, action_space: gymnasium.Space, seed: int | None) -> Parts:
        """Policy, learner and table; ValueError where a space does not fit."""
        objective = self._objective(self._estimate, unclipped, normalize_advantage=self.normalize_advantage)
        rows = self.n_steps * self.n_envs
        return build_parts(self, objective, observation_space, action_space, seed, batch_size=rows)

    def _estimate(self, f: Valued) -> Estimate:
        return self._by_gae(f, self.gae_lambda)


def unclipped(log_prob: Tensor, log_prob_old: Tensor, advantage: Tensor, clip_range: float) -> Tensor:
    """The policy gradient as an `Objective` has it."""
    return policy_gradient(log_prob, advantage)
