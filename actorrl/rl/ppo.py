"""PPO: the config a user writes. `train` calls `build`.

Schulman et al. 2017, "Proximal policy optimization algorithms", with the details of Huang et al. 2022, "The 37
implementation details of proximal policy optimization".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import gymnasium

from actorrl.rl.advantages import gae
from actorrl.rl.fragment_learner import Estimate, Objective, Valued
from actorrl.rl.moments import DiscountedReturns
from actorrl.rl.networks import NetworkMaker
from actorrl.rl.nouns import Parts
from actorrl.rl.on_policy import DEFAULT_TOTAL_STEPS, build_parts, check
from actorrl.rl.policy_losses import clipped_surrogate
from actorrl.rl.ranges import require
from actorrl.rl.schedules import Linear
from actorrl.rl.spaces import Encoder, require_observations


@dataclass(frozen=True)
class PPOConfig:
    """Proximal policy optimisation for Discrete, MultiDiscrete and Box actions, with action masks."""

    learning_rate: float = 2.5e-3
    """Adam's step size at the start."""
    learning_rate_final: float = 0.0
    """Adam's step size when `total_steps` are over; it falls in a straight line."""
    gamma: float = 0.99
    """Discount per environment step."""
    gae_lambda: float = 0.95
    """λ of the advantages: 0 trusts the value function, 1 the rewards."""
    n_steps: int = 128
    """Steps of each environment per update."""
    n_envs: int = 8
    """How many environments make an update; without an arrangement, so many are stepped side by side."""
    batch_size: int = 256
    """Rows per gradient step."""
    n_epochs: int = 8
    """How often each row is learned from."""
    clip_range: float = 0.2
    """How far the ratio of the probabilities counts beyond 1."""
    clip_range_final: float | None = None
    """The same when `total_steps` are over; None for no change."""
    ent_coef: float = 0.0
    """What a nat of the policy's entropy is worth in the loss."""
    vf_coef: float = 0.5
    """What the value function's loss is worth beside the policy's."""
    max_grad_norm: float = 0.5
    """Gradients are scaled down to this norm."""
    target_kl: float | None = None
    """No more epochs once the policy is 1.5 times this far, in nats, from the one that acted."""
    normalize_advantage: bool = True
    """Whether the advantages of a minibatch are given mean 0 and standard deviation 1."""
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
        require(self, "positive", "batch_size", "n_epochs", "clip_range")
        if self.batch_size > self.n_steps * self.n_envs:
            raise ValueError(
                f"PPOConfig: batch_size must be at most n_steps * n_envs = {self.n_steps * self.n_envs}, the rows of "
                f"an update, found {self.batch_size}"
            )

    def encoder(self, observation_space: gymnasium.Space) -> Encoder:
        """What makes an array of an observation for this algorithm; ValueError where the space does not fit."""
        require_observations(observation_space, "PPOConfig")
        return Encoder(observation_space)

    def build(self, observation_space: gymnasium.Space, action_space: gymnasium.Space, seed: int | None) -> Parts:
        """Policy, learner and table; ValueError where a space does not fit."""
        total = self.total_steps or DEFAULT_TOTAL_STEPS
        clip_final = self.clip_range if self.clip_range_final is None else self.clip_range_final
        objective = Objective(
            self._estimate,
            clipped_surrogate,
            Linear(self.learning_rate, self.learning_rate_final, total),
            Linear(self.clip_range, clip_final, total),
            self.ent_coef,
            self.vf_coef,
            self.max_grad_norm,
            target_kl=self.target_kl,
            normalize_advantage=self.normalize_advantage,
            returns=DiscountedReturns(self.gamma) if self.normalize_reward else None,
        )
        spaces = observation_space, action_space
        return build_parts(self, objective, *spaces, seed, batch_size=self.batch_size, n_epochs=self.n_epochs)

    def _estimate(self, f: Valued) -> Estimate:
        advantage = gae(f.reward, f.value, f.value_next, f.terminated, f.truncated, self.gamma, self.gae_lambda)
        return Estimate(advantage, advantage + f.value)
