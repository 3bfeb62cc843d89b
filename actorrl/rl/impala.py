"""IMPALA: the config a user writes, and with clipping APPO. `train` calls `build`.

Espeholt et al. 2018, "IMPALA: scalable distributed deep-RL with importance weighted actor-learner architectures":
fragments of a policy that is some updates old are corrected by V-trace. Petrenko et al. 2020, "Sample Factory", for
the clipped loss beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import gymnasium
import numpy as np

from actorrl.rl.a2c import unclipped
from actorrl.rl.advantages import vtrace
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
class ImpalaConfig:
    """Actor-critic with off-policy correction for Discrete and Box actions, with action masks."""

    learning_rate: float = 2e-3
    """Adam's step size at the start."""
    learning_rate_final: float = 0.0
    """Adam's step size when `total_steps` are over; it falls in a straight line."""
    gamma: float = 0.99
    """Discount per environment step."""
    gae_lambda: float = 1.0
    """A factor of V-trace's c: below 1 the value function is trusted more."""
    rho_clip: float = 1.0
    """ρ̄: the most that a probability ratio counts for."""
    c_clip: float = 1.0
    """c̄: the most that it lets later errors flow back; at most ρ̄."""
    clip_range: float | None = None
    """With a number PPO's clipped loss, which is APPO; None for the policy gradient weighted by ρ."""
    n_steps: int = 32
    """Steps of each environment per update."""
    n_envs: int = 8
    """How many environments make an update; without an arrangement, so many are stepped side by side."""
    ent_coef: float = 0.001
    """What a nat of the policy's entropy is worth in the loss."""
    vf_coef: float = 0.5
    """What the value function's loss is worth beside the policy's."""
    max_grad_norm: float = 0.5
    """Gradients are scaled down to this norm."""
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
        require(self, "positive", "rho_clip", "c_clip")
        if self.clip_range is not None:
            require(self, "positive", "clip_range")
        if self.c_clip > self.rho_clip:
            raise ValueError(
                f"ImpalaConfig: c_clip must be at most rho_clip, found {self.c_clip} and {self.rho_clip}"
            )

    def encoder(self, observation_space: gymnasium.Space) -> Encoder:
        """What makes an array of an observation for this algorithm; ValueError where the space does not fit."""
        require_observations(observation_space, "ImpalaConfig")
        return Encoder(observation_space)

    def build(self, observation_space: gymnasium.Space, action_space: gymnasium.Space, seed: int | None) -> Parts:
        """Policy, learner and table; ValueError where a space does not fit."""
        total, clip = self.total_steps or DEFAULT_TOTAL_STEPS, self.clip_range
        objective = Objective(
            self._estimate,
            unclipped if clip is None else clipped_surrogate,
            Linear(self.learning_rate, self.learning_rate_final, total),
            None if clip is None else Linear(clip, clip, total),
            self.ent_coef,
            self.vf_coef,
            self.max_grad_norm,
            off_policy=True,
            returns=DiscountedReturns(self.gamma) if self.normalize_reward else None,
        )
        rows = self.n_steps * self.n_envs
        return build_parts(self, objective, observation_space, action_space, seed, batch_size=rows)

    def _estimate(self, f: Valued) -> Estimate:
        steps = f.reward, f.value, f.value_next, f.terminated, f.truncated, f.log_rho
        found = vtrace(
            *steps, self.gamma, rho_clip=self.rho_clip, c_clip=self.c_clip, gae_lambda=self.gae_lambda
        )
        if self.clip_range is None:
            return Estimate(found.advantage, found.value)
        # The clipped loss holds the ratio itself: what it weighs is the advantage without it.
        return Estimate(found.advantage / np.minimum(np.exp(f.log_rho.astype(np.float64)), self.rho_clip), found.value)
