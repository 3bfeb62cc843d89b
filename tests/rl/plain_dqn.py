"""A DQN as one would write it by hand in torch: the measure of how much our parts may cost. The speed test runs it."""

from __future__ import annotations

from collections import deque

import gymnasium
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from actorrl.rl import DQNConfig


def mlp(inputs: int, sizes: tuple[int, ...], outputs: int) -> nn.Module:
    layers: list[nn.Module] = []
    for size in sizes:
        layers += [nn.Linear(inputs, size), nn.ReLU()]
        inputs = size
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


def train(env: gymnasium.Env, config: DQNConfig, steps: int, seed: int = 0) -> nn.Module:
    """Double n-step DQN with Polyak averaging, fused Adam, and one array per field as replay."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    d, n = env.observation_space.shape[0], int(env.action_space.n)
    online, target = mlp(d, config.hidden_sizes, n), mlp(d, config.hidden_sizes, n)
    target.load_state_dict(online.state_dict())
    optimizer = torch.optim.Adam(online.parameters(), lr=config.learning_rate, fused=True)
    size = config.buffer_size
    s, s2 = np.zeros((size, d), np.float32), np.zeros((size, d), np.float32)
    a, r, g = np.zeros(size, np.int64), np.zeros(size, np.float32), np.zeros(size, np.float32)
    filled, updates, pending = 0, 0, deque()
    total_updates = steps / config.train_freq * config.gradient_steps
    observation, _ = env.reset(seed=seed)
    for step in range(1, steps + 1):
        fraction = min(1.0, step / (config.exploration_fraction * steps))
        epsilon = config.exploration_initial_eps + fraction * (
            config.exploration_final_eps - config.exploration_initial_eps
        )
        if rng.random() < epsilon:
            action = int(rng.integers(n))
        else:
            with torch.no_grad():
                action = int(online(torch.as_tensor(observation)[None]).argmax())
        following, reward, terminated, truncated, _ = env.step(action)
        pending.append((observation, action, reward))
        ended = terminated or truncated
        while pending and (ended or len(pending) == config.n_steps):
            row = filled % size
            s[row], a[row], s2[row] = pending[0][0], pending[0][1], following
            r[row] = sum(config.gamma**i * entry[2] for i, entry in enumerate(pending))
            g[row] = config.gamma ** len(pending) * (not terminated)
            filled += 1
            pending.popleft()
        observation = env.reset()[0] if ended else following
        if step >= config.learning_starts and step % config.train_freq == 0:
            for _ in range(config.gradient_steps):
                rows = rng.integers(0, min(filled, size), config.batch_size)
                observations, followings = torch.from_numpy(s[rows]), torch.from_numpy(s2[rows])
                with torch.no_grad():
                    best = online(followings).argmax(1, keepdim=True)
                    y = torch.from_numpy(r[rows]) + torch.from_numpy(g[rows]) * target(followings).gather(1, best)[:, 0]
                chosen = online(observations).gather(1, torch.from_numpy(a[rows])[:, None])[:, 0]
                loss = functional.smooth_l1_loss(chosen, y)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(online.parameters(), config.max_grad_norm)
                done = min(1.0, updates / total_updates)
                optimizer.param_groups[0]["lr"] = config.learning_rate + done * (
                    config.learning_rate_final - config.learning_rate
                )
                optimizer.step()
                updates += 1
                with torch.no_grad():
                    torch._foreach_lerp_(list(target.parameters()), list(online.parameters()), config.tau)
    return online
