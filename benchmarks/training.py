"""PPO at equal hyperparameters, in training steps per second: one process, in turn, overlapped, beside others' PPO.

Everybody learns alike: 8 environments times 128 steps, 4 epochs, minibatches of 256, two networks of 2 × 64 tanh
units, one torch thread per process, no evaluation: how many updates there are per step decides these figures.

    plain loop     plain_ppo.py, what a user would write in torch
    None           our roles in one process
    sync           Dataflow, one explorer with all environments: it and the trainer take turns
    async          the same, the next round explored while this one is learned from; the headline
    async 2        two explorers with half of the environments each

The bound of a row is what its own costs allow: the processor time that exploring and learning took per step in that
run, overlapped perfectly on the cores there are. Rates are slopes over a run, without its first part.

    python benchmarks/training.py                 the speed
    python benchmarks/training.py --returns [cart] [moon]     what is learned at equal steps, over 10 seeds; it goes on
                                                              where it was stopped
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import _report
import gymnasium
import numpy as np
import psutil
from _contest import Row, contender, run

from actorrl import Dataflow, PPOConfig, System, actors

ENVIRONMENTS = {"cart": "CartPole-v1", "moon": "LunarLander-v3"}
SETTINGS = {"n_envs": 8, "n_steps": 128, "n_epochs": 4, "batch_size": 256, "learning_rate": 1e-3}
SPEED_STEPS = {"cart": 60_000, "moon": 36_000}
QUICK_STEPS = 6_144
SKIP = 0.3  # of a run, before its rate is taken
PLAIN, SB3, RLLIB = "plain loop", "Stable-Baselines3", "RLlib, 2 runners"
ARRANGEMENTS: dict[str, Any] = {
    "async": Dataflow(explorers=1, environments_per_explorer=8, mode="async"),
    "sync": Dataflow(explorers=1, environments_per_explorer=8, mode="sync"),
    "none": None,
    "async2": Dataflow(explorers=2, environments_per_explorer=4, mode="async"),
}
MUST = {"cart": "≥ 1.25 ×", "moon": "≥ 1.4 ×"}


def rows() -> list[Row]:
    """Rates of each environment and arrangement, the same beside two peers, and what part of the bound is reached."""
    found = []
    for key, name in ENVIRONMENTS.items():
        found += [
            Row(key, f"{name}, async", "/s", (PLAIN, key), must=MUST[key]),
            Row(f"{key} sb3", f"{name}, async, beside SB3", "/s", (SB3, key), must="≥ 2 ×", picture=False),
            Row(f"{key} rllib", f"{name}, async, beside RLlib", "/s", (RLLIB, key), must="≥ 5 ×", picture=False),
            Row(f"{key} part async", f"{name}, async: part of its bound", "%", must="≥ 85", picture=False),
            Row(f"{key} bound async", f"{name}, async: its bound", "/s", picture=False),
            Row(f"{key} sync", f"{name}, sync", "/s", (PLAIN, key)),
            Row(f"{key} part sync", f"{name}, sync: part of its bound", "%", must="≥ 85", picture=False),
            Row(f"{key} none", f"{name}, None", "/s", (PLAIN, key)),
            Row(f"{key} async2", f"{name}, async, 2 explorers", "/s", (PLAIN, key)),
            Row(
                f"{key} part async2", f"{name}, async, 2 explorers: part of its bound", "%", must="≥ 85", picture=False
            ),
            Row(f"{key} explore", f"{name}, exploring costs a step", "µs", picture=False),
            Row(f"{key} learn", f"{name}, learning costs a step", "µs", picture=False),
        ]
    return found


def slope(steps: Any, seconds: Any) -> float:
    """Steps per second over a run without its first part: a straight line through what is left."""
    steps, seconds = np.asarray(steps, float), np.asarray(seconds, float)
    late = steps >= SKIP * steps[-1]
    return float(np.polyfit(seconds[late], steps[late], 1)[0])


# -- ours ----------------------------------------------------------------------------------------------------------


def experiment(env: Any, arrangement: Any, steps: int, seed: int, settings: Any = SETTINGS) -> Any:
    """A run without evaluation, apart from one episode at its end."""
    from actorrl.training.evaluation import EvaluationPlan
    from actorrl.training.experiment import Experiment

    never = EvaluationPlan(every=steps, episodes=1, confirm=1, final=1)
    config = PPOConfig(**settings)
    return Experiment(config, env, arrangement, steps=steps, seed=seed, evaluation=never).checked()


class Costs(threading.Thread):
    """Processor time of explorers and trainer, looked at while a run goes on."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: dict[str, list[tuple[float, float]]] = {"ExplorerRole": [], "TrainerRole": []}
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.1):
            now = dict.fromkeys(self.seen, 0.0)
            try:
                for row in actors():
                    if row.cls in now:
                        times = psutil.Process(row.pid).cpu_times()
                        now[row.cls] += times.user + times.system
            except (psutil.Error, RuntimeError):
                continue
            for kind, taken in now.items():
                if taken:
                    self.seen[kind].append((time.monotonic(), taken))

    def end(self) -> None:
        self._over.set()
        self.join()

    def share(self, kind: str) -> float:
        """Processor seconds per second, in the later part of the run, where nothing starts or ends."""
        seen = self.seen[kind]
        late = seen[int(0.4 * len(seen)) : -1]
        if len(late) < 3:  # too short a run to tell
            return math.nan
        return (late[-1][1] - late[0][1]) / (late[-1][0] - late[0][0])


def bound(explore: float, learn: float, arrangement: Any, cores: int) -> float:
    """Steps per second that costs per step allow, overlapped perfectly."""
    if arrangement is None:
        return 1 / (explore + learn)
    many = arrangement.explorers
    each = explore / min(many, cores)  # of one explorer's environments, as many at once as there are cores
    if arrangement.mode == "sync":
        return 1 / (each + learn)
    return 1 / max(learn, explore / many, (explore + learn) / min(1 + many, cores))


def ours(key: str, name: str, steps: int) -> dict[str, float]:
    """One run: its rate, and where explorers are actors its costs and the part of their bound."""
    from actorrl.training.entry import prepare

    arrangement = ARRANGEMENTS[name]
    costs = Costs()
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(experiment(ENVIRONMENTS[key], arrangement, steps, 0), f"{folder}/run")
        if arrangement is not None:
            costs.start()
        metrics = prepared.run().metrics
        if arrangement is not None:
            costs.end()
    seconds, at = metrics["seconds"], metrics["steps"]
    rate = slope(at, seconds)
    found = {f"{key} {name}": rate}
    if arrangement is not None:
        explore, learn = (costs.share(kind) / rate for kind in costs.seen)
        whole = bound(explore, learn, arrangement, len(os.sched_getaffinity(0)))
        found |= {f"{key} part {name}": 100 * rate / whole, f"{key} bound {name}": whole}
        if name == "async":
            found |= {key: rate, f"{key} sb3": rate, f"{key} rllib": rate}
            found |= {f"{key} explore": explore * 1e6, f"{key} learn": learn * 1e6}
    return {name: value for name, value in found.items() if not math.isnan(value)}


def measured(key: str, quick: bool) -> dict[str, float]:
    """All arrangements in one environment, one after the other in one system."""
    import torch
    import torch.utils.tensorboard

    torch.set_num_threads(1)
    steps = QUICK_STEPS if quick else SPEED_STEPS[key]
    found: dict[str, float] = {}
    with System(), contextlib.redirect_stderr(io.StringIO()):
        for name in ARRANGEMENTS:
            found |= ours(key, name, steps)
    return found


@contender("actorrl")
def cart(quick: bool) -> dict[str, float]:
    return measured("cart", quick)


@contender("actorrl")
def moon(quick: bool) -> dict[str, float]:
    return measured("moon", quick)


# -- others --------------------------------------------------------------------------------------------------------


@contender(PLAIN)
def plain(quick: bool) -> dict[str, float]:
    import plain_ppo
    import torch

    torch.set_num_threads(1)
    found = {}
    for key, env in ENVIRONMENTS.items():
        steps = QUICK_STEPS if quick else SPEED_STEPS[key]
        seconds = plain_ppo.train(env, plain_ppo.Settings(steps=steps, **SETTINGS)).seconds  # type: ignore[arg-type]
        found[key] = slope(np.arange(1, len(seconds) + 1) * SETTINGS["n_envs"] * SETTINGS["n_steps"], seconds)
    return found


def sb3_model(env: str, steps: int, seed: int = 0, settings: Any = SETTINGS) -> tuple[Any, list[float], list[int]]:
    """Stable-Baselines3's PPO after so many steps; the time and the steps at each rollout's start."""
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.vec_env import DummyVecEnv

    torch.set_num_threads(1)
    given: dict[str, Any] = {name: value for name, value in settings.items() if name != "n_envs"}
    environments = DummyVecEnv([lambda: gymnasium.make(env)] * int(settings["n_envs"]))
    rate = float(given.pop("learning_rate"))
    model = PPO(
        "MlpPolicy", environments, learning_rate=lambda left: rate * left, device="cpu", seed=seed, verbose=0, **given
    )
    seconds: list[float] = []
    at: list[int] = []

    class Clock(BaseCallback):
        def _on_rollout_start(self) -> None:
            seconds.append(time.perf_counter())
            at.append(self.num_timesteps)

        def _on_step(self) -> bool:
            return True

    model.learn(steps, callback=Clock())
    return model, seconds, at


@contender(SB3, needs=("stable_baselines3",))
def sb3(quick: bool) -> dict[str, float]:
    found = {}
    for key, env in ENVIRONMENTS.items():
        _, seconds, at = sb3_model(env, QUICK_STEPS if quick else SPEED_STEPS[key] // 2)
        found[key] = slope(at, seconds)
    return found


@contender(RLLIB, needs=("ray", "tree", "pydantic"), slow=True)
def rllib(quick: bool) -> dict[str, float]:
    import _peers

    found = {}
    with _peers.ray_running():
        for key, env in ENVIRONMENTS.items():
            algorithm = _peers.rllib_ppo(env, SETTINGS, runners=2)
            algorithm.train()
            began, steps = time.perf_counter(), 0
            for _ in range(2 if quick else 4):
                steps += int(algorithm.train()["env_runners"]["num_env_steps_sampled"])
            found[key] = steps / (time.perf_counter() - began)
            algorithm.stop()
    return found


# -- what is learned at equal steps ----------------------------------------------------------------------------------

RETURN_STEPS = {"cart": 100_000, "moon": 600_000}
RETURN_SETTINGS: dict[str, dict[str, Any]] = {
    "cart": SETTINGS,
    # With those of the speed nobody learns to land within a million steps, which compares nothing.
    "moon": SETTINGS | {"gamma": 0.995, "gae_lambda": 0.97, "ent_coef": 0.01, "n_epochs": 8},
}
SEEDS, EPISODES = 10, 50
RETURNS = Path(__file__).parent / "results" / "training_returns.json"


def learned(key: str, who: str, seed: int) -> float:
    """The mean greedy return after so many steps."""
    from actorrl.training.entry import prepare

    env, steps, settings = ENVIRONMENTS[key], RETURN_STEPS[key], RETURN_SETTINGS[key]
    if who == PLAIN:
        import plain_ppo
        import torch

        actor = plain_ppo.train(env, plain_ppo.Settings(steps=steps, **settings), seed).actor
        with torch.no_grad():
            return greedy(env, lambda observation: int(actor(torch.from_numpy(observation)).argmax()))
    if who == SB3:
        model = sb3_model(env, steps, seed, settings)[0]
        return greedy(env, lambda observation: int(model.predict(observation, deterministic=True)[0]))
    with tempfile.TemporaryDirectory() as folder:
        trained = prepare(experiment(env, ARRANGEMENTS[who], steps, seed, settings), f"{folder}/run").run()
        return greedy(env, lambda observation: trained.act(observation))


def greedy(env: str, act: Any) -> float:
    """The mean return of fresh episodes, the same for everybody."""
    environment, returns = gymnasium.make(env), []
    for episode in range(EPISODES):
        observation, _ = environment.reset(seed=1_000_000 + episode)
        total, over = 0.0, False
        while not over:
            observation, reward, terminated, truncated, _ = environment.step(act(observation))
            total, over = total + float(reward), terminated or truncated
        returns.append(total)
    return statistics.mean(returns)


def compare_returns(keys: list[str]) -> None:
    """Every seed of everybody that is not in the file yet, in these environments; then the table."""
    import torch

    torch.set_num_threads(1)
    file = RETURNS
    kept = json.loads(file.read_text()) if file.exists() else {"machine": _report.machine(), "returns": {}}
    everybody = [PLAIN, "async", "sync", SB3]
    for seed in range(SEEDS):
        for key in keys:
            for who in everybody:
                mine = kept["returns"].setdefault(key, {}).setdefault(who, {})
                if str(seed) not in mine:
                    mine[str(seed)] = learned(key, who, seed)
                    file.write_text(json.dumps(kept, indent=1) + "\n")
                    print(f"{key} {who} {seed}: {mine[str(seed)]:.1f}", flush=True)
    print(returns_table(kept))


def returns_table(kept: dict[str, Any]) -> str:
    """Everybody's mean over the seeds and each of them, with what ran where."""
    lines = []
    for key, by in kept["returns"].items():
        for who, mine in by.items():
            values = list(mine.values())
            label = who if who in (PLAIN, SB3) else f"actorrl, {who}"
            error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
            each = ", ".join(f"{value:.0f}" for value in values)
            what = f"{ENVIRONMENTS[key]}, {RETURN_STEPS[key]:,} steps"
            lines.append([what, label, f"{np.mean(values):.0f}", f"{error:.0f}", each])
    head = ["", "", "mean", "standard error", "seeds"]
    ran = f"greedy returns over {EPISODES} fresh episodes; {_report.described(kept['machine'])}."
    return f"{_report.table('', head, lines)}\n\n`python benchmarks/training.py --returns`: {ran}".lstrip("\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--returns"]:
        compare_returns(sys.argv[2:] or list(ENVIRONMENTS))
    else:
        run(__doc__, rows())
