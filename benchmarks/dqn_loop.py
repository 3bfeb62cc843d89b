"""DQN on one core: `train(..., arrangement=None)` beside a loop written by hand, and Stable-Baselines3 if installed.

Measured: environment steps per second of training, updates included and evaluation excluded, the median over
interleaved rounds (hand, actorrl, SB3, hand, ...), with the ratios taken inside each round. All three run the settings
of `DQNConfig()`: 2×128 units, batch 64, two updates per four steps, three-step returns, Adam, Polyak averaging, one
torch thread. The loop by hand and actorrl choose the target's action by the online network (double); SB3 has no such
option and does a little less work. SB3 is given an environment instance, because given a name it sets a render mode
that slows LunarLander.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import io
import sys
import tempfile
import time
from collections import deque
from itertools import pairwise
from pathlib import Path
from typing import Any

import _report
import gymnasium
import numpy as np
import torch
from torch import nn

from actorrl import DQNConfig, train

ENVIRONMENTS = ["CartPole-v1", "LunarLander-v3"]


def by_hand(name: str, config: DQNConfig, steps: int) -> float:
    """The loop one would write: double DQN, n-step returns, Polyak averaging, annealed rates. Steps per second."""
    environment = gymnasium.make(name)
    inputs, actions = environment.observation_space.shape[0], int(environment.action_space.n)
    online, target = network(inputs, actions, config), network(inputs, actions, config)
    target.load_state_dict(online.state_dict())
    optimizer = torch.optim.Adam(online.parameters(), lr=config.learning_rate, fused=True)
    updates, done_updates = steps / config.train_freq * config.gradient_steps, 0
    size, filled = config.buffer_size, 0
    observations = np.zeros((size, inputs), np.float32)
    nexts = np.zeros((size, inputs), np.float32)
    chosen, rewards, discounts = np.zeros(size, np.int64), np.zeros(size, np.float32), np.zeros(size, np.float32)
    rng, window = np.random.default_rng(0), deque()

    def remember(last: np.ndarray, terminated: bool) -> None:
        nonlocal filled
        slot, first = filled % size, window[0]
        observations[slot], chosen[slot], nexts[slot] = first[0], first[1], last
        rewards[slot] = sum(config.gamma**i * step[2] for i, step in enumerate(window))
        discounts[slot] = 0.0 if terminated else config.gamma ** len(window)
        filled += 1
        window.popleft()

    observation, _ = environment.reset(seed=0)
    start = time.perf_counter()
    for step in range(steps):
        annealed = min(1.0, step / (config.exploration_fraction * steps))
        epsilon = config.exploration_initial_eps + annealed * (
            config.exploration_final_eps - config.exploration_initial_eps
        )
        if rng.random() < epsilon:
            action = int(rng.integers(actions))
        else:
            with torch.no_grad():
                action = int(online(torch.from_numpy(observation)[None]).argmax())
        observation_next, reward, terminated, truncated, _ = environment.step(action)
        window.append((observation, action, float(reward)))
        if len(window) == config.n_steps:
            remember(observation_next, terminated)
        observation = observation_next
        if terminated or truncated:
            while window:
                remember(observation_next, terminated)
            observation, _ = environment.reset()
        if step >= config.learning_starts and step % config.train_freq == 0:
            for _ in range(config.gradient_steps):
                rows = rng.integers(min(filled, size), size=config.batch_size)
                batch = [torch.from_numpy(a[rows]) for a in (observations, chosen, rewards, discounts, nexts)]
                optimizer.param_groups[0]["lr"] = config.learning_rate * (1 - done_updates / updates)
                improve(online, target, optimizer, batch, config)
                done_updates += 1
    return steps / (time.perf_counter() - start)


def network(inputs: int, outputs: int, config: DQNConfig) -> nn.Module:
    """Fully connected, as wide as the config says."""
    widths = [inputs, *config.hidden_sizes]
    layers = [m for a, b in pairwise(widths) for m in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(widths[-1], outputs))


def improve(online: nn.Module, target: nn.Module, optimizer: Any, batch: list[torch.Tensor], config: DQNConfig) -> None:
    """One gradient step of double DQN, and the target network's small move."""
    observation, action, reward, discount, observation_next = batch
    with torch.no_grad():
        best = online(observation_next).argmax(1, keepdim=True)
        goal = reward + discount * target(observation_next).gather(1, best).squeeze(1)
    value = online(observation).gather(1, action[:, None]).squeeze(1)
    loss = nn.functional.smooth_l1_loss(value, goal)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(online.parameters(), config.max_grad_norm)
    optimizer.step()
    with torch.no_grad():
        for slow, fast in zip(target.parameters(), online.parameters(), strict=True):
            slow.lerp_(fast, config.tau)


def with_actorrl(name: str, config: DQNConfig, steps: int) -> float:
    """`train` in one process, with one evaluation, after training. Steps per second."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        experiment = Path(folder) / "experiment.yaml"
        evaluation = f"{{every: {steps}, episodes: 1, confirm: 1, final: 1}}"
        experiment.write_text(f"env: {name}\nagent: {{name: dqn}}\nsteps: {steps}\nevaluation: {evaluation}\n")
        run = train(str(experiment), run_dir=f"{folder}/run")
    assert run.metrics["steps"][-1] == steps
    return steps / float(run.metrics["seconds"][-1])


def with_sb3(name: str, config: DQNConfig, steps: int) -> float:
    """Stable-Baselines3's DQN with the same settings, as far as it has them. Steps per second."""
    from stable_baselines3 import DQN

    settings = {
        field: getattr(config, field)
        for field in (
            *("learning_rate", "gamma", "n_steps", "batch_size", "buffer_size", "learning_starts", "tau"),
            *("train_freq", "gradient_steps", "target_update_interval", "max_grad_norm"),
            *("exploration_initial_eps", "exploration_final_eps", "exploration_fraction"),
        )
        if field in inspect.signature(DQN).parameters
    }
    policy = {"net_arch": list(config.hidden_sizes)}
    model = DQN("MlpPolicy", gymnasium.make(name), policy_kwargs=policy, device="cpu", seed=0, **settings)
    start = time.perf_counter()
    model.learn(total_timesteps=steps)
    return steps / (time.perf_counter() - start)


def draw(figure: Any, results: dict[str, dict[str, float]]) -> None:
    """Bars per environment: steps per second of each loop."""
    axes = figure.subplots()
    loops = list(dict.fromkeys(loop for medians in results.values() for loop in medians))
    for i, (loop, color) in enumerate(zip(loops, ["#bbbbbb", "#4477aa", "#ccbb44"], strict=False)):
        places = [j + (i - (len(loops) - 1) / 2) * 0.27 for j in range(len(results))]
        bars = axes.bar(places, [medians[loop] for medians in results.values()], 0.25, label=loop, color=color)
        axes.bar_label(bars, fmt="{:,.0f}", padding=2, fontsize=9)
    axes.set_xticks(range(len(results)), list(results))
    axes.set_ylabel("environment steps per second of training")
    axes.set_title("DQN in one process, the same settings, one thread", loc="left")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    chosen = _report.options(__doc__)
    torch.set_num_threads(1)
    steps, environments = (1_500, ENVIRONMENTS[:1]) if chosen.quick else (5_000, ENVIRONMENTS)
    ways = {"by hand": by_hand, "actorrl": with_actorrl}
    if importlib.util.find_spec("stable_baselines3"):
        ways["Stable-Baselines3"] = with_sb3
    where = _report.machine()
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in environments}
    for number in range(chosen.rounds):
        for name in environments:
            print(f"round {number + 1} of {chosen.rounds}: {name}", file=sys.stderr)
            rounds[name].append({way: loop(name, DQNConfig(), steps) for way, loop in ways.items()})

    medians = {name: _report.medians(them) for name, them in rounds.items()}
    ratios = {
        name: _report.medians([{way: one["actorrl"] / rate for way, rate in one.items()} for one in them])
        for name, them in rounds.items()
    }
    others = [way for way in ways if way != "actorrl"]
    rows = [
        [name, *(f"{medians[name][way]:,.0f}" for way in ways), *(f"{ratios[name][way]:.2f}" for way in others)]
        for name in environments
    ]
    title = f"Steps per second of {steps:,}; medians of {chosen.rounds} interleaved rounds; {_report.described(where)}"
    print(_report.table(title, ["", *ways, *(f"actorrl / {way}" for way in others)], rows))
    results = {"machine": where, "steps": steps, "rounds": rounds, "median": medians, "ratio": ratios}
    _report.save(chosen.out, "dqn_loop", results, lambda figure: draw(figure, medians))


if __name__ == "__main__":
    main()
