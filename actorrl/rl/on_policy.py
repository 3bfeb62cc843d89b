"""What PPO, A2C, REINFORCE and IMPALA have in common: most of their config, their networks and their parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn

from actorrl.rl import seeding
from actorrl.rl.acting import q_function
from actorrl.rl.advantages import gae
from actorrl.rl.drawing import Choices, Gaussian, head_for
from actorrl.rl.episodes import EpisodeWindow
from actorrl.rl.fragment_learner import ActorCritic, Estimate, FragmentLearner, Objective, Valued
from actorrl.rl.fragments import FragmentWindow
from actorrl.rl.moments import DiscountedReturns, Standardiser
from actorrl.rl.networks import Network, NetworkMaker, make_network
from actorrl.rl.nouns import Cadence, Parts
from actorrl.rl.ranges import require
from actorrl.rl.rollouts import Rollouts
from actorrl.rl.schedules import Linear
from actorrl.rl.spaces import Encoder, algorithm_of, is_image, require_actions, require_observations
from actorrl.rl.stochastic_policy import StochasticPolicy

DEFAULT_TOTAL_STEPS = 100_000
TIMID = 0.01
"""The gain of the policy's last layer: at first every action is about as likely as any other."""


@dataclass(frozen=True)
class FragmentConfig:
    """The hyperparameters of whatever learns from fragments; an algorithm adds its own and `build`."""

    learning_rate: float = 2e-3
    """Adam's step size at the start."""
    learning_rate_final: float = 0.0
    """Adam's step size when `total_steps` are over; it falls in a straight line."""
    gamma: float = 0.99
    """Discount per environment step."""
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
        require(self, "positive", "learning_rate", "n_steps", "n_envs", "max_grad_norm")
        require(self, "not negative", "learning_rate_final", "ent_coef", "vf_coef")
        require(self, "between 0 and 1", "gamma")

    def encoder(self, observation_space: gymnasium.Space) -> Encoder:
        """What makes an array of an observation for this algorithm; ValueError where the space does not fit."""
        require_observations(observation_space, type(self).__name__)
        return Encoder(observation_space)

    def _schedule(self, initial: float, final: float) -> Linear:
        return Linear(initial, final, self.total_steps or DEFAULT_TOTAL_STEPS)

    def _objective(
        self,
        estimate: Callable[[Valued], Estimate],
        policy_loss: Callable[[Tensor, Tensor, Tensor, float], Tensor],
        **more: Any,
    ) -> Objective:
        """What the algorithm adds to these hyperparameters."""
        return Objective(
            estimate,
            policy_loss,
            self._schedule(self.learning_rate, self.learning_rate_final),
            ent_coef=self.ent_coef,
            vf_coef=self.vf_coef,
            max_grad_norm=self.max_grad_norm,
            returns=DiscountedReturns(self.gamma) if self.normalize_reward else None,
            **more,
        )

    def _by_gae(self, f: Valued, gae_lambda: float) -> Estimate:
        advantage = gae(f.reward, f.value, f.value_next, f.terminated, f.truncated, self.gamma, gae_lambda)
        return Estimate(advantage, advantage + f.value)


def build_parts(
    config: FragmentConfig,
    objective: Objective,
    observation_space: gymnasium.Space,
    action_space: gymnasium.Space,
    seed: int | None,
    *,
    batch_size: int,
    n_epochs: int = 1,
    episodes: bool = False,
) -> Parts:
    """Policy, learner and table of a config; ValueError where a space does not fit.

    `batch_size` are the rows of a gradient step. With `episodes` fragments are whole episodes, not `n_steps` long.
    """
    name = algorithm_of(config)
    encoder = config.encoder(observation_space)
    require_actions(action_space, name)
    head = head_for(action_space, name)
    module = make_actor_critic(config, encoder.encoded_space, head, seed)
    standardiser = None
    if config.normalize_observation:
        if is_image(encoder.encoded_space):
            raise ValueError(f"{name}: normalize_observation is for numbers, and {observation_space} are pictures")
        standardiser = Standardiser(encoder.encoded_space.shape or ())
    policy = StochasticPolicy(
        q_function(module.actor), head, None if standardiser is None else Standardiser(standardiser.mean.shape)
    )
    learner = FragmentLearner(module, head, objective, standardiser)
    version = lambda: policy.version  # noqa: E731
    window = EpisodeWindow(version) if episodes else FragmentWindow(config.n_steps, version)
    rows = config.n_steps * config.n_envs
    rollouts = Rollouts(
        learner,
        window,
        rows=rows,
        n_epochs=n_epochs,
        rng=seeding.generator(seed, seeding.TABLE),
    )
    return Parts(policy, learner, rollouts, Cadence(0, rows, 1, batch_size), 1, config.gamma, encoder)


def make_actor_critic(
    config: FragmentConfig, space: gymnasium.Space, head: Choices | Gaussian, seed: int | None
) -> ActorCritic:
    """The networks, each of its own layers; ours begin orthogonal. Weights are drawn from `seed`."""
    given: dict[str, Any] = {"hidden_sizes": config.hidden_sizes, "network": config.network, "tanh": True}
    drawn = seeding.integer(seed, seeding.LEARNER)
    actor = make_network(space, head.outputs, seed=drawn, **given)
    critic = make_network(space, 1, seed=drawn + 1, **given)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(drawn + 2)
        for module, gain in ((actor, TIMID), (critic, 1.0)):
            if isinstance(module, Network):
                orthogonal(module, gain)
    log_std = np.zeros(head.outputs, np.float32) if isinstance(head, Gaussian) else None
    return ActorCritic(actor, critic, log_std)


def orthogonal(module: Network, gain: float) -> None:
    """Orthogonal weights and biases of 0, by `gain` in the head and √2 elsewhere."""
    for part in module.modules():
        if isinstance(part, (nn.Linear, nn.Conv2d)):
            nn.init.orthogonal_(part.weight, gain if part is module.head else 2.0**0.5)
            nn.init.zeros_(part.bias)  # type: ignore[arg-type]
