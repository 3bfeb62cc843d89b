"""REINFORCE: the config a user writes. `train` calls `build`.

Williams 1992, "Simple statistical gradient-following algorithms for connectionist reinforcement learning", with a
learned baseline; updates are made of whole episodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import gymnasium
import numpy as np

from actorrl.rl.a2c import unclipped
from actorrl.rl.advantages import gae
from actorrl.rl.fragment_learner import Estimate, Objective, Valued
from actorrl.rl.moments import DiscountedReturns
from actorrl.rl.networks import NetworkMaker
from actorrl.rl.nouns import Parts
from actorrl.rl.on_policy import DEFAULT_TOTAL_STEPS, build_parts, check
from actorrl.rl.returns import discounted_returns
from actorrl.rl.schedules import Linear
from actorrl.rl.spaces import Encoder, require_observations

EVERY = 1 << 30
"""Rows of a gradient step: every one of the update's."""


@dataclass(frozen=True)
class ReinforceConfig:
    """The policy gradient over whole episodes, for Discrete and Box actions, with action masks."""

    learning_rate: float = 5e-3
    """Adam's step size at the start."""
    learning_rate_final: float = 0.0
    """Adam's step size when `total_steps` are over; it falls in a straight line."""
    gamma: float = 0.99
    """Discount per environment step."""
    baseline: bool = True
    """Whether a learned value function is subtracted from returns; it also says what follows a truncated episode."""
    n_steps: int = 32
    """Steps per environment and update, at least: episodes are not cut."""
    n_envs: int = 8
    """How many environments make an update; without an arrangement, so many are stepped side by side."""
    ent_coef: float = 0.0
    """What a nat of the policy's entropy is worth in the loss."""
    vf_coef: float = 0.5
    """What the value function's loss is worth beside the policy's."""
    max_grad_norm: float = 0.5
    """Gradients are scaled down to this norm."""
    normalize_advantage: bool = True
    """Whether an update's advantages are given mean 0 and standard deviation 1."""
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
        require_observations(observation_space, "ReinforceConfig")
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
        return build_parts(self, objective, observation_space, action_space, seed, batch_size=EVERY, episodes=True)

    def _estimate(self, f: Valued) -> Estimate:
        if not self.baseline:
            returns = discounted_returns(f.reward, self.gamma * ~(f.terminated | f.truncated))
            return Estimate(returns, np.zeros_like(returns))
        advantage = gae(f.reward, f.value, f.value_next, f.terminated, f.truncated, self.gamma, 1.0)
        return Estimate(advantage, advantage + f.value)
