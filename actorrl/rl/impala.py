"""IMPALA: the config a user writes, and with clipping APPO. `train` calls `build`.

Espeholt et al. 2018, "IMPALA: scalable distributed deep-RL with importance weighted actor-learner architectures":
fragments of a policy that is some updates old are corrected by V-trace. Petrenko et al. 2020, "Sample Factory", for
the clipped loss beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium
import numpy as np

from actorrl.rl.a2c import unclipped
from actorrl.rl.advantages import vtrace
from actorrl.rl.fragment_learner import Estimate, Valued
from actorrl.rl.nouns import Parts
from actorrl.rl.on_policy import FragmentConfig, build_parts
from actorrl.rl.policy_losses import clipped_surrogate
from actorrl.rl.ranges import require


@dataclass(frozen=True)
class ImpalaConfig(FragmentConfig):
    """Actor-critic with off-policy correction for Discrete and Box actions, with action masks."""

    n_steps: int = 32
    """Steps of each environment per update."""
    ent_coef: float = 0.001
    """What a nat of the policy's entropy is worth in the loss."""
    gae_lambda: float = 1.0
    """A factor of V-trace's c: below 1 the value function is trusted more."""
    rho_clip: float = 1.0
    """ρ̄: the most that a probability ratio counts for."""
    c_clip: float = 1.0
    """c̄: the most that it lets later errors flow back; at most ρ̄."""
    clip_range: float | None = None
    """With a number PPO's clipped loss, which is APPO; None for the policy gradient weighted by ρ."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "between 0 and 1", "gae_lambda")
        require(self, "positive", "rho_clip", "c_clip")
        if self.clip_range is not None:
            require(self, "positive", "clip_range")
        if self.c_clip > self.rho_clip:
            raise ValueError(f"ImpalaConfig: c_clip must be at most rho_clip, found {self.c_clip} and {self.rho_clip}")

    def build(self, observation_space: gymnasium.Space, action_space: gymnasium.Space, seed: int | None) -> Parts:
        """Policy, learner and table; ValueError where a space does not fit."""
        clip = self.clip_range
        loss = unclipped if clip is None else clipped_surrogate
        schedule = None if clip is None else self._schedule(clip, clip)
        objective = self._objective(self._estimate, loss, clip_range=schedule, off_policy=True)
        rows = self.n_steps * self.n_envs
        return build_parts(self, objective, observation_space, action_space, seed, batch_size=rows)

    def _estimate(self, f: Valued) -> Estimate:
        steps = f.reward, f.value, f.value_next, f.terminated, f.truncated, f.log_rho
        found = vtrace(*steps, self.gamma, rho_clip=self.rho_clip, c_clip=self.c_clip, gae_lambda=self.gae_lambda)
        if self.clip_range is None:
            return Estimate(found.advantage, found.value)
        # The clipped loss holds the ratio itself: what it weighs is the advantage without it.
        return Estimate(found.advantage / np.minimum(np.exp(f.log_rho.astype(np.float64)), self.rho_clip), found.value)
