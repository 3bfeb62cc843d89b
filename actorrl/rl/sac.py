"""SAC: the config a user writes, and the learner it builds. `train` calls `build`, `Updates` the learner.

Haarnoja et al. 2018, "Soft actor-critic algorithms and applications": two critics, no value network, learned α.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium
import numpy as np
import torch
from torch import nn

from actorrl.rl.actor_critic import ActorCriticLearner, Critics, SlowCopy, Trained, check, make_parts
from actorrl.rl.box_policy import BoxScale
from actorrl.rl.dqn_learner import METRICS_EVERY
from actorrl.rl.networks import NetworkMaker
from actorrl.rl.nouns import Array, Parts, Updated
from actorrl.rl.ranges import require
from actorrl.rl.schedules import over_updates
from actorrl.rl.spaces import Encoder, require_observations
from actorrl.rl.squashed import critics_loss, soft_target, split_gaussian, squashed_sample, temperature_slope


@dataclass(frozen=True)
class SACConfig:
    """Soft actor-critic for Box actions and any observation that flattens."""

    learning_rate: float = 7e-4
    """Adam's step size for actor, critics and temperature at the start."""
    learning_rate_final: float = 3e-4
    """Adam's step size when `total_steps` are over; it falls in a straight line."""
    gamma: float = 0.99
    """Discount per environment step."""
    n_steps: int = 1
    """Rewards summed before bootstrapping; the entropy of the steps between is not counted."""
    ent_coef: float | None = None
    """α, what a nat of entropy is worth in reward; None to learn it."""
    target_entropy: float | None = None
    """The entropy, in nats of the normalised action, that α is learned for; None for minus the number of dimensions."""
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
    """How far the critics' targets move towards them with each update."""
    total_steps: int | None = None
    """The steps that schedules stretch over; None for those `train` is given (100,000 in a loop of your own)."""

    on_policy: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check(self)
        if self.ent_coef is not None:
            require(self, "not negative", "ent_coef")

    def encoder(self, observation_space: gymnasium.Space) -> Encoder:
        """What makes an array of an observation for this algorithm; ValueError where the space does not fit."""
        require_observations(observation_space, "SACConfig")
        return Encoder(observation_space)

    def build(self, observation_space: gymnasium.Space, action_space: gymnasium.Space, seed: int | None) -> Parts:
        """Policy, learner and table; ValueError where a space does not fit."""
        return make_parts(self, observation_space, action_space, seed, learner=SACLearner, outputs=2, gaussian=True)


class Temperature(nn.Module):
    """log α, as a module so that it is trained and saved like the others."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.tensor([math.log(max(alpha, 1e-30))]))

    @property
    def alpha(self) -> float:
        """α itself."""
        return math.exp(self.log.item())


class SACLearner(ActorCriticLearner):
    """Moves both critics towards soft targets, the actor towards what they prefer, and α towards its entropy.

    Args:
        config: the hyperparameters.
        actor: outputs mean and log standard deviation [B, 2a] of observations.
        critics: value normalised actions.
        scale: of the rows' actions.
        total_updates: that the learning rate falls over.
        seed: of the noise that actions are drawn with.
    """

    def __init__(
        self, config: SACConfig, actor: nn.Module, critics: Critics, scale: BoxScale, total_updates: int, seed: int
    ) -> None:
        super().__init__(actor, critics, scale, seed)
        self._config = config
        self._target_entropy = -float(scale.size) if config.target_entropy is None else config.target_entropy
        self._rate = over_updates(config.learning_rate, config.learning_rate_final, total_updates)
        self._slow = SlowCopy(copy.deepcopy(critics), self._critics)
        self._temperature = Trained(Temperature(1.0 if config.ent_coef is None else config.ent_coef))

    def _act(self, observation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalised actions [B, a] drawn from the actor, and their log-probabilities [B]."""
        mean, log_std = split_gaussian(self._actor.module(observation))
        return squashed_sample(mean, log_std, self._noise(*mean.shape))

    @property
    def _alpha(self) -> float:
        return self._temperature.module.alpha if self._config.ent_coef is None else self._config.ent_coef

    def update(self, batch: dict[str, Array]) -> Updated:
        """One gradient step each on rows [B]. `td` is target − the critics' mean, float32 [B]."""
        action = torch.from_numpy(self._scale.into(batch["action"]))
        rows = {name: torch.from_numpy(values) for name, values in batch.items() if name != "action"}
        observation, rate, alpha = rows["observation"], self._rate(self._updates), self._alpha
        target = self._targets(rows, alpha)
        q = self._critics.module(observation, action)
        critics = critics_loss(q, target, rows.get("weight"))
        self._critics.descend(critics, rate)

        drawn, log_prob = self._act(observation)
        actor = (alpha * log_prob - self._critics.module(observation, drawn).min(0).values).mean()
        self._actor.descend(actor, rate)
        if self._config.ent_coef is None:
            slope = temperature_slope(log_prob.detach(), self._target_entropy)
            self._temperature.descend(slope * self._temperature.module.log.sum(), rate)
        self._slow.follow(self._critics, self._config.tau)

        self._updates += 1
        td = (target - q.detach().mean(0)).numpy()
        if self._updates % METRICS_EVERY:
            return Updated({}, td)
        figures = {"loss": critics.item(), "actor_loss": actor.item(), "q": q.mean().item(), "ent_coef": alpha}
        figures |= {"grad_norm": self._critics.gradient_norm, "actor_grad_norm": self._actor.gradient_norm}
        entropy = -log_prob.mean().item()
        return Updated({**figures, "entropy": entropy, "td": float(np.abs(td).mean()), "learning_rate": rate}, td)

    @torch.no_grad()
    def _targets(self, rows: dict[str, torch.Tensor], alpha: float) -> torch.Tensor:
        action, log_prob = self._act(rows["observation_next"])
        q = self._slow.module(rows["observation_next"], action)
        return soft_target(rows["reward"] * self._config.reward_scale, rows["discount"], q, log_prob, alpha)

    def _parts(self) -> dict[str, Any]:
        return {**super()._parts(), "target": self._slow, "temperature": self._temperature}
