"""What PPO, A2C and IMPALA have in common: their networks and their parts. Their configs call `build_parts`."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from torch import nn

from actorrl.rl import seeding
from actorrl.rl.acting import q_function
from actorrl.rl.drawing import Choices, Gaussian, head_for
from actorrl.rl.episodes import EpisodeWindow
from actorrl.rl.fragment_learner import ActorCritic, FragmentLearner, Objective
from actorrl.rl.fragments import FragmentWindow
from actorrl.rl.moments import Standardiser
from actorrl.rl.networks import Network, make_network
from actorrl.rl.nouns import Cadence, Parts
from actorrl.rl.ranges import require
from actorrl.rl.rollouts import Rollouts
from actorrl.rl.spaces import Encoder, is_image, require_actions
from actorrl.rl.stochastic_policy import StochasticPolicy

DEFAULT_TOTAL_STEPS = 100_000
TIMID = 0.01
"""The gain of the policy's last layer: at first every action is about as likely as any other."""


def check(config: Any) -> None:
    """Refuse (ValueError) hyperparameters out of range that all of them have."""
    require(config, "positive", "learning_rate", "n_steps", "n_envs", "max_grad_norm")
    require(config, "not negative", "learning_rate_final", "ent_coef", "vf_coef")
    require(config, "between 0 and 1", "gamma")
    if hasattr(config, "gae_lambda"):
        require(config, "between 0 and 1", "gae_lambda")


def build_parts(
    config: Any,
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
    name = type(config).__name__
    encoder: Encoder = config.encoder(observation_space)
    require_actions(action_space, name)
    head = head_for(action_space, name)
    module = make_actor_critic(config, encoder.encoded_space, head, seed)
    standardiser = None
    if getattr(config, "normalize_observation", False):
        if is_image(encoder.encoded_space):
            raise ValueError(f"{name}: normalize_observation is for numbers, and {observation_space} are pictures")
        standardiser = Standardiser(encoder.encoded_space.shape or ())
    policy = StochasticPolicy(
        q_function(module.actor), head, None if standardiser is None else Standardiser(standardiser.mean.shape)
    )
    learner = FragmentLearner(module, head, objective, standardiser)
    window = EpisodeWindow if episodes else FragmentWindow
    rows = config.n_steps * config.n_envs
    rollouts = Rollouts(
        learner,
        window(config.n_steps, lambda: policy.version),
        rows=rows,
        n_epochs=n_epochs,
        rng=seeding.generator(seed, seeding.TABLE),
    )
    return Parts(policy, learner, rollouts, Cadence(0, rows, 1, batch_size), 1, config.gamma, encoder)


def make_actor_critic(
    config: Any, space: gymnasium.Space, head: Choices | Gaussian, seed: int | None
) -> ActorCritic:
    """The networks, each of its own layers; ours begin orthogonal. Weights are drawn from `seed`."""
    given = {"hidden_sizes": config.hidden_sizes, "network": config.network, "tanh": True}
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
