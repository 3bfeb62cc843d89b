"""TD3: the config a user writes, and the learner it builds. `train` calls `build`, `Updates` the learner.

Fujimoto et al. 2018, "Addressing function approximation error in actor-critic methods": two critics of which the
smaller counts, an actor that moves less often than they do, and target actions with a little noise.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium
import numpy as np
import torch
from torch import nn

from actorrl.rl.actor_critic import ActorCriticLearner, Critics, SlowCopy, check, make_parts
from actorrl.rl.box_policy import BoxScale
from actorrl.rl.dqn_learner import METRICS_EVERY
from actorrl.rl.exploration import GaussianNoise
from actorrl.rl.networks import NetworkMaker
from actorrl.rl.nouns import Array, Parts, Updated
from actorrl.rl.ranges import require
from actorrl.rl.schedules import over_updates
from actorrl.rl.spaces import Encoder, require_observations
from actorrl.rl.squashed import clipped_target, critics_loss, smoothed


@dataclass(frozen=True)
class TD3Config:
    """Twin delayed deep deterministic policy gradient, for Box actions and any observation that flattens."""

    learning_rate: float = 1e-3
    """Adam's step size for actor and critics at the start."""
    learning_rate_final: float = 3e-4
    """Adam's step size when `total_steps` are over; it falls in a straight line."""
    gamma: float = 0.99
    """Discount per environment step."""
    n_steps: int = 1
    """Rewards summed before bootstrapping."""
    policy_delay: int = 2
    """Updates of the critics per update of the actor and of all targets."""
    target_policy_noise: float = 0.2
    """Standard deviation of the noise on target actions, of which the range is −1 to 1."""
    target_noise_clip: float = 0.5
    """The most it may be."""
    exploration_noise: float = 0.1
    """Standard deviation of the noise on actions taken, of which the range is −1 to 1."""
    reward_scale: float = 1.0
    """Rewards are multiplied by this before learning."""
    hidden_sizes: tuple[int, ...] = (128, 128)
    """Widths of the fully connected layers of actor and critics."""
    network: NetworkMaker | None = None
    """A callable (observation_space, outputs) -> nn.Module: makes the actor, and what embeds a critic's observation."""
    batch_size: int = 128
    """Rows per update."""
    buffer_size: int = 300_000
    """Rows kept for replay; the oldest goes first."""
    prioritized: bool = False
    """Replay rows in proportion to |TD error|^0.6; β rises from 0.4 to 1 over the updates of `total_steps`."""
    learning_starts: int = 1_000
    """The heat-up: environment steps before the first update, taken with uniformly random actions."""
    train_freq: int = 1
    """Environment steps from one burst of updates to the next."""
    gradient_steps: int = 1
    """Updates per burst; -1 for as many as environment steps."""
    tau: float = 0.005
    """How far the targets move each time the actor is updated."""
    total_steps: int | None = None
    """The steps that schedules stretch over; None for those `train` is given (100,000 in a loop of your own)."""

    on_policy: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check(self)
        require(self, "positive", "policy_delay")
        require(self, "not negative", "target_policy_noise", "target_noise_clip", "exploration_noise")

    def encoder(self, observation_space: gymnasium.Space) -> Encoder:
        """What makes an array of an observation for this algorithm; ValueError where the space does not fit."""
        require_observations(observation_space, "TD3Config")
        return Encoder(observation_space)

    def build(self, observation_space: gymnasium.Space, action_space: gymnasium.Space, seed: int | None) -> Parts:
        """Policy, learner and table; ValueError where a space does not fit."""
        noise = GaussianNoise(self.exploration_noise)
        return make_parts(self, observation_space, action_space, seed, learner=TD3Learner, outputs=1, noise=noise)


class TD3Learner(ActorCriticLearner):
    """Moves both critics towards clipped targets, and every few updates the actor towards what the first prefers.

    Args:
        config: the hyperparameters.
        actor: outputs [B, a] of observations, of which tanh is the action.
        critics: value normalised actions.
        scale: of the rows' actions.
        total_updates: that the learning rate falls over.
        seed: of the noise on target actions.
    """

    def __init__(
        self, config: TD3Config, actor: nn.Module, critics: Critics, scale: BoxScale, total_updates: int, seed: int
    ) -> None:
        super().__init__(actor, critics, scale, seed)
        self._config = config
        self._rate = over_updates(config.learning_rate, config.learning_rate_final, total_updates)
        self._slow_actor = SlowCopy(copy.deepcopy(actor), self._actor)
        self._slow_critics = SlowCopy(copy.deepcopy(critics), self._critics)
        self._figures: dict[str, float] = {}

    def update(self, batch: dict[str, Array]) -> Updated:
        """One gradient step on rows [B]. `td` is target − the critics' mean, float32 [B]."""
        config = self._config
        action = torch.from_numpy(self._scale.into(batch["action"]))
        rows = {name: torch.from_numpy(values) for name, values in batch.items() if name != "action"}
        observation, rate = rows["observation"], self._rate(self._updates)
        target = self._targets(rows)
        q = self._critics.module(observation, action)
        critics = critics_loss(q, target, rows.get("weight"))
        self._critics.descend(critics, rate)

        self._updates += 1
        if self._updates % config.policy_delay == 0:
            chosen = self._actor.module(observation).tanh()
            actor = -self._critics.module.critics[0](observation, chosen).mean()
            self._actor.descend(actor, rate)
            self._slow_actor.follow(self._actor, config.tau)
            self._slow_critics.follow(self._critics, config.tau)
            self._figures = {"actor_loss": actor.item(), "actor_grad_norm": self._actor.gradient_norm}
        td = (target - q.detach().mean(0)).numpy()
        if self._updates % METRICS_EVERY:
            return Updated({}, td)
        figures = {"loss": critics.item(), "q": q.mean().item(), "td": float(np.abs(td).mean()), "learning_rate": rate}
        return Updated({**figures, "grad_norm": self._critics.gradient_norm, **self._figures}, td)

    @torch.no_grad()
    def _targets(self, rows: dict[str, torch.Tensor]) -> torch.Tensor:
        observation, config = rows["observation_next"], self._config
        action = self._slow_actor.module(observation).tanh()
        noise = self._noise(*action.shape)
        action = smoothed(action, noise, config.target_policy_noise, config.target_noise_clip)
        q = self._slow_critics.module(observation, action)
        return clipped_target(rows["reward"] * config.reward_scale, rows["discount"], q)

    def _parts(self) -> dict[str, Any]:
        return {**super()._parts(), "target_actor": self._slow_actor, "target_critics": self._slow_critics}
