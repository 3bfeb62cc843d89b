"""Plain PPO in one file, one process, torch: what a user would write. training.py runs it as the reference.

A list of environments is stepped in turn and reset where an episode ends; the policy acts on all of them at once; after
`n_steps` steps of each, advantages are estimated backwards in time and the rows are learned from `n_epochs` times in
shuffled minibatches. Everything that costs speed and is not needed is left out: no vector environment (its reset and
its info dictionaries cost more than the list), no distribution objects, one fused Adam.

    python benchmarks/plain_ppo.py [CartPole-v1] [--steps 100000] [--seed 0] [--quick]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


@dataclass
class Settings:
    """Hyperparameters, named as in `PPOConfig`."""

    steps: int = 100_000
    n_envs: int = 8
    n_steps: int = 128
    n_epochs: int = 4
    batch_size: int = 256
    learning_rate: float = 1e-3
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    ent_coef: float = 0.0
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5


@dataclass
class Result:
    """What a run leaves behind."""

    actor: nn.Module
    returns: list[float] = field(default_factory=list)
    """Of the episodes that ended in training, in order."""
    exploring: float = 0.0
    learning: float = 0.0
    """Seconds spent on either."""
    seconds: list[float] = field(default_factory=list)
    """Since the start, at the end of each iteration."""


def network(inputs: int, outputs: int, gain: float) -> nn.Sequential:
    """Two hidden layers of 64 tanh units, initialised as PPO's authors do."""

    def layer(fan_in: int, fan_out: int, gain: float) -> nn.Linear:
        linear = nn.Linear(fan_in, fan_out)
        nn.init.orthogonal_(linear.weight, gain)
        nn.init.zeros_(linear.bias)
        return linear

    root = 2.0**0.5
    return nn.Sequential(layer(inputs, 64, root), nn.Tanh(), layer(64, 64, root), nn.Tanh(), layer(64, outputs, gain))


def train(
    env: str, settings: Settings, seed: int = 0, make: Callable[..., gymnasium.Env[Any, Any]] = gymnasium.make
) -> Result:
    """Train on a gymnasium id with Box observations and Discrete actions."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    s, k, T = settings, settings.n_envs, settings.n_steps
    environments = [make(env) for _ in range(k)]
    shape, actions = environments[0].observation_space.shape, environments[0].action_space
    assert shape is not None and isinstance(actions, gymnasium.spaces.Discrete)
    actor, critic = network(shape[0], int(actions.n), 0.01), network(shape[0], 1, 1.0)
    parameters = [*actor.parameters(), *critic.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=s.learning_rate, eps=1e-5, fused=True)

    observations = np.zeros((T + 1, k, *shape), np.float32)
    taken = np.zeros((T, k), np.int64)
    log_probs, rewards = np.zeros((T, k), np.float32), np.zeros((T, k), np.float32)
    ended = np.zeros((T, k), np.bool_)
    observations[0] = [one.reset(seed=seed * k + i)[0] for i, one in enumerate(environments)]
    returns_so_far = [0.0] * k
    result = Result(actor)
    iterations = -(-s.steps // (T * k))
    began = time.perf_counter()
    for iteration in range(iterations):
        started = time.perf_counter()
        cut: list[tuple[int, int, Any]] = []  # episodes that were cut off by their time limit: (t, i, last observation)
        ended[:] = False
        for t in range(T):
            with torch.no_grad():
                log_p = F.log_softmax(actor(torch.from_numpy(observations[t])), 1)
                action = torch.multinomial(log_p.exp(), 1)
                log_probs[t] = log_p.gather(1, action).squeeze(1).numpy()
            taken[t] = action.squeeze(1).numpy()
            for i, one in enumerate(environments):
                observation, reward, terminated, truncated, _ = one.step(int(taken[t, i]))
                rewards[t, i] = reward
                returns_so_far[i] += float(reward)
                if terminated or truncated:
                    ended[t, i] = True
                    if not terminated:
                        cut.append((t, i, observation))
                    observation, _ = one.reset()
                    result.returns.append(returns_so_far[i])
                    returns_so_far[i] = 0.0
                observations[t + 1, i] = observation
        explored = time.perf_counter()

        with torch.no_grad():
            values = critic(torch.from_numpy(observations)).squeeze(2).numpy()
            if cut:  # what would have followed counts as much as if the episode had gone on
                last = critic(torch.from_numpy(np.array([o for _, _, o in cut], np.float32))).squeeze(1).tolist()
                for (t, i, _), value in zip(cut, last, strict=True):
                    rewards[t, i] += s.gamma * value
        advantages = np.zeros((T, k), np.float32)
        running = np.zeros(k, np.float32)
        for t in reversed(range(T)):
            alive = ~ended[t]
            delta = rewards[t] + s.gamma * values[t + 1] * alive - values[t]
            running = delta + s.gamma * s.gae_lambda * alive * running
            advantages[t] = running

        rows = [observations[:T], taken, log_probs, advantages, advantages + values[:T]]
        flat = [torch.from_numpy(np.ascontiguousarray(row).reshape(T * k, *row.shape[2:])) for row in rows]
        for group in optimizer.param_groups:
            group["lr"] = s.learning_rate * (1 - iteration / iterations)
        for _ in range(s.n_epochs):
            order = torch.from_numpy(rng.permutation(T * k))
            for chosen in order.split(s.batch_size):
                update(actor, critic, optimizer, parameters, s, *(row[chosen] for row in flat))
        observations[0] = observations[T]
        finished = time.perf_counter()
        result.exploring += explored - started
        result.learning += finished - explored
        result.seconds.append(finished - began)
    for one in environments:
        one.close()
    return result


def update(
    actor: nn.Module,
    critic: nn.Module,
    optimizer: torch.optim.Optimizer,
    parameters: list[nn.Parameter],
    s: Settings,
    observation: torch.Tensor,
    action: torch.Tensor,
    log_prob_old: torch.Tensor,
    advantage: torch.Tensor,
    target: torch.Tensor,
) -> None:
    """One gradient step on a minibatch."""
    log_p = F.log_softmax(actor(observation), 1)
    log_prob = log_p.gather(1, action.unsqueeze(1)).squeeze(1)
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    ratio = (log_prob - log_prob_old).exp()
    policy_loss = -torch.min(ratio * advantage, ratio.clamp(1 - s.clip_range, 1 + s.clip_range) * advantage).mean()
    value_loss = 0.5 * F.mse_loss(critic(observation).squeeze(1), target)
    entropy = -(log_p.exp() * log_p).sum(1).mean()
    loss = policy_loss - s.ent_coef * entropy + s.vf_coef * value_loss
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(parameters, s.max_grad_norm)
    optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("env", nargs="?", default="CartPole-v1")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that it runs")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.steps = 2_048 if given.quick else given.steps
    result = train(given.env, Settings(steps=given.steps), given.seed)
    rate = given.steps / result.seconds[-1]
    print(f"{given.steps:,} steps, {rate:,.0f} a second; mean of the last 20: {np.mean(result.returns[-20:]):.1f}")


if __name__ == "__main__":
    main()
