"""A2C: the config a user writes. `train` calls `build`.

Mnih et al. 2016, "Asynchronous methods for deep reinforcement learning", with its workers in step: one gradient step on
each fragment. Huang et al. 2022, "A2C is a special case of PPO".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import gymnasium
from torch import Tensor

from actorrl.rl.advantages import gae
from actorrl.rl.fragment_learner import Estimate, Objective, Valued
from actorrl.rl.moments import DiscountedReturns
from actorrl.rl.networks import NetworkMaker
from actorrl.rl.nouns import Parts
from actorrl.rl.on_policy import DEFAULT_TOTAL_STEPS, build_parts, check
from actorrl.rl.policy_losses import policy_gradient
from actorrl.rl.schedules import Linear
from actorrl.rl.spaces import Encoder, require_observations


@dataclass(frozen=True)
class A2CConfig:
    """Advantage actor-critic for Discrete and Box actions, with action masks."""

    learning_rate: float = 2e-3
    """Adam's step size at the start."""
    learning_rate_final: float = 0.0
    """Adam's step size when `total_steps` are over; it falls in a straight line."""
    gamma: float = 0.99
    """Discount per environment step."""
    gae_lambda: float = 1.0
    """λ of the advantages: 0 trusts the value function, 1 the rewards."""
    n_steps: int = 16
    """Steps of each environment per update."""
    n_envs: int = 8
    """How many environments make an update; without an arrangement, so many are stepped side by side."""
    ent_coef: float = 0.0
    """What a nat of the policy's entropy is worth in the loss."""
    vf_coef: float = 0.5
    """What the value function's loss is worth beside the policy's."""
    max_grad_norm: float = 0.5
    """Gradients are scaled down to this norm."""
    normalize_advantage: bool = False
    """Whether an update's advantages are given mean 0 and standard deviation 1; small ones learn better without."""
    normalize_observation: bool = False
    """Whether observations are standardised by their running mean and deviation."""
    normalize_reward: bool = False
    """Whether rewards are divided by the running deviation of the discounted return."""
    hidden_sizes: tuple[int, ...] = (64, 64)
    """Widths of the fully connected layers of policy and value function."""
    network: NetworkMaker | None = None
    """A callable (observation_space, outputs) -> nn.Module in place of our own networks."""
    total_steps: int | None = None
    """The steps that schedules stretch over; None for those `train` is given (100,000 in a loop of your own)."""

    on_policy: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check(self)

    def encoder(self, observation_space: gymnasium.Space) -> Encoder:
        """What makes an array of an observation for this algorithm; ValueError where the space does not fit."""
        require_observations(observation_space, "A2CConfig")
        return Encoder(observation_space)

    def build(self, observation_space: gymnasium.Space, action_space: gymnasium.Space, seed: int | None) -> Parts:
        """Policy, learner and table; ValueError where a space does not fit."""
        total = self.total_steps or DEFAULT_TOTAL_STEPS
        objective = Objective(
            self._estimate,
            unclipped,
            Linear(self.learning_rate, self.learning_rate_final, total),
            ent_coef=self.ent_coef,
            vf_coef=self.vf_coef,
            max_grad_norm=self.max_grad_norm,
            normalize_advantage=self.normalize_advantage,
            returns=DiscountedReturns(self.gamma) if self.normalize_reward else None,
        )
        rows = self.n_steps * self.n_envs
        return build_parts(self, objective, observation_space, action_space, seed, batch_size=rows)

    def _estimate(self, f: Valued) -> Estimate:
        advantage = gae(f.reward, f.value, f.value_next, f.terminated, f.truncated, self.gamma, self.gae_lambda)
        return Estimate(advantage, advantage + f.value)


def unclipped(log_prob: Tensor, log_prob_old: Tensor, advantage: Tensor, clip_range: float) -> Tensor:
    """The policy gradient as an `Objective` has it."""
    return policy_gradient(log_prob, advantage)
