"""REINFORCE: the config a user writes. `train` calls `build`.

Williams 1992, "Simple statistical gradient-following algorithms for connectionist reinforcement learning", with a
learned baseline; updates are made of whole episodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium
import numpy as np

from actorrl.rl.a2c import unclipped
from actorrl.rl.fragment_learner import Estimate, Valued
from actorrl.rl.nouns import Parts
from actorrl.rl.on_policy import FragmentConfig, build_parts
from actorrl.rl.returns import discounted_returns

EVERY = 1 << 30
"""Rows of a gradient step: every one of the update's."""


@dataclass(frozen=True)
class ReinforceConfig(FragmentConfig):
    """The policy gradient over whole episodes, for Discrete and Box actions, with action masks."""

    learning_rate: float = 5e-3
    """Adam's step size at the start."""
    n_steps: int = 32
    """Steps per environment and update, at least: episodes are not cut."""
    baseline: bool = True
    """Whether a learned value function is subtracted from returns; it also says what follows a truncated episode."""
    normalize_advantage: bool = True
    """Whether an update's advantages are given mean 0 and standard deviation 1."""

    def build(self, observation_space: gymnasium.Space, action_space: gymnasium.Space, seed: int | None) -> Parts:
        """Policy, learner and table; ValueError where a space does not fit."""
        how = {"normalize_advantage": self.normalize_advantage, "valued": self.baseline}
        objective = self._objective(self._estimate, unclipped, **how)
        return build_parts(self, objective, observation_space, action_space, seed, batch_size=EVERY, episodes=True)

    def _estimate(self, f: Valued) -> Estimate:
        if self.baseline:
            return self._by_gae(f, 1.0)
        returns = discounted_returns(f.reward, self.gamma * ~(f.terminated | f.truncated))
        return Estimate(returns, np.zeros_like(returns))
