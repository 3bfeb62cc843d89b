"""Tabular Q-learning on CartPole-v1: one plain process, against environments that are actors.

The experiment of the actor proposal for Julia (there: 8 s in one plain process, and no gain from actors), repeated here
with the same number of steps everywhere, and then with work added to each step, because the proposal is meant for heavy
environments. Measured: environment steps per second while training, the median over interleaved rounds, and the ratio
to the plain loop of the same round. Starting actors, evaluation and files are excluded.

    plain      a for loop: one agent, one environment, no framework
    None       train(..., arrangement=None): the framework, in one process
    1, 2, 4, 8 train(..., arrangement=Central(environments=N)): N environment actors, one agent actor

    work per step: nothing; 1 and 5 ms of waiting (a simulator elsewhere: another machine, a GPU, a game);
    1 and 5 ms of computing (a simulator here: N environments share this machine's cores)

The agent is the same object everywhere: a dictionary of values, a few microseconds per step.
"""

from __future__ import annotations

import contextlib
import io
import random
import sys
import tempfile
import time
from typing import Any

import _report
import gymnasium

from actorrl import Central, System, train

ACTORS = (1, 2, 4, 8)
WORK = {
    "none": (0.0, False),
    "1 ms waiting": (0.001, False),
    "5 ms waiting": (0.005, False),
    "1 ms computing": (0.001, True),
    "5 ms computing": (0.005, True),
}


class HeavyCartPole(gymnasium.Wrapper):
    """CartPole-v1 whose step takes at least so many seconds of waiting, or of computing."""

    training = True
    """Whether this process is training; the agent turns it off for evaluation."""

    def __init__(self, seconds: float, computing: bool) -> None:
        super().__init__(gymnasium.make("CartPole-v1"))
        self.seconds, self.computing = seconds, computing
        HeavyCartPole.training = True

    def step(self, action: int) -> Any:
        if self.seconds and HeavyCartPole.training:
            if self.computing:
                end = time.thread_time() + self.seconds
                while time.thread_time() < end:
                    pass
            else:
                time.sleep(self.seconds)
        return self.env.step(action)


class QLearning:
    """Tabular Q-learning over eight bins per dimension. It times its own training."""

    LOW, HIGH = (-2.4, -3.0, -0.21, -3.0), (2.4, 3.0, 0.21, 3.0)

    def __init__(self) -> None:
        self.q: dict[tuple[int, ...], list[float]] = {}
        self.rng = random.Random(0)
        self.steps, self.elapsed = 0, 0.0
        self._last: float | None = None

    def greedy_action(self, observation: Any) -> int:
        """Evaluation is not what is measured: without work, and falling over at once."""
        HeavyCartPole.training = False
        return 0

    def get_action(self, observation: Any, step: int) -> int:
        if not HeavyCartPole.training:
            HeavyCartPole.training, self._last = True, None
        self.tick()
        return self.choose(observation, max(0.05, 1 - step / 5000))

    def choose(self, observation: Any, epsilon: float) -> int:
        if self.rng.random() < epsilon:
            return self.rng.randrange(2)
        left, right = self.values(observation)
        return int(right > left)

    def update(self, observation: Any, action: int, reward: float, observation_next: Any, terminated: bool) -> None:
        values = self.values(observation)
        goal = reward + (0.0 if terminated else 0.99 * max(self.values(observation_next)))
        values[action] += 0.2 * (goal - values[action])
        self.steps += 1
        self.tick()

    def values(self, observation: Any) -> list[float]:
        bins = tuple(
            min(7, max(0, int(8 * (x - low) / (high - low))))
            for x, low, high in zip(observation.tolist(), self.LOW, self.HIGH, strict=True)
        )
        return self.q.setdefault(bins, [0.0, 0.0])

    def tick(self) -> None:
        now = time.perf_counter()
        if self._last is not None:
            self.elapsed += now - self._last
        self._last = now

    @property
    def rate(self) -> float:
        """Steps per second of training."""
        return self.steps / self.elapsed


def plain(work: tuple[float, bool], steps: int) -> float:
    """One agent, one environment, one loop: steps per second."""
    agent, environment = QLearning(), HeavyCartPole(*work)
    observation, _ = environment.reset(seed=0)
    for step in range(steps):
        action = agent.get_action(observation, step)
        observation_next, reward, terminated, truncated, _ = environment.step(action)
        agent.update(observation, action, reward, observation_next, terminated)
        observation = environment.reset()[0] if terminated or truncated else observation_next
    return agent.rate


def trained(work: tuple[float, bool], steps: int, arrangement: Any) -> float:
    """The same agent and environment under `train`: steps per second."""

    def make() -> gymnasium.Env:
        return HeavyCartPole(*work)

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        run = train(QLearning(), make, arrangement=arrangement, steps=steps, seed=0, run_dir=f"{folder}/run")
    return run.agent.rate


def one_round(work: tuple[float, bool], steps: int, actors: tuple[int, ...]) -> dict[str, float]:
    """Steps per second of every way, once."""
    rates = {"plain": plain(work, steps), "None": trained(work, steps, None)}
    return rates | {str(n): trained(work, steps, Central(environments=n)) for n in actors}


def draw(figure: Any, ratios: dict[str, dict[str, float]]) -> None:
    """Lines: speed-up over the plain loop by the number of environment actors, one line per kind of work."""
    axes = figure.subplots()
    styles = ["o-", "s--", "s-", "^--", "^-"]
    colors = ["0.2", "#4477aa", "#4477aa", "#ee8866", "#ee8866"]
    for (work, by_way), style, color in zip(ratios.items(), styles, colors, strict=True):
        counts = [way for way in by_way if way.isdigit()]
        label = f"{work} per step" if work != "none" else "CartPole as it is"
        axes.plot([int(n) for n in counts], [by_way[n] for n in counts], style, color=color, label=label)
    axes.axhline(1, color="#bb5566", linewidth=1)
    axes.text(8.1, 1, "plain\nloop", color="#bb5566", va="center")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xticks(ACTORS, map(str, ACTORS))
    axes.yaxis.set_major_formatter(lambda value, _: f"×{value:g}" if value >= 1 else f"×1/{1 / value:g}")
    axes.set_xlabel("environment actors")
    axes.set_ylabel("steps per second, beside a plain loop")
    axes.set_title("Central: a message per step pays once a step costs more than the message", loc="left")
    axes.legend(frameon=False, loc="center right", bbox_to_anchor=(1.0, 0.43))
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    chosen = _report.options(__doc__)
    actors = (1, 2) if chosen.quick else ACTORS
    where = _report.machine()
    rounds: dict[str, list[dict[str, float]]] = {work: [] for work in WORK}
    with System():  # one for all, so that its start is paid once
        for number in range(chosen.rounds):
            for name, work in WORK.items():
                steps = 200 if chosen.quick else 10_000 if not work[0] else int(1 / work[0])
                print(f"round {number + 1} of {chosen.rounds}: {name}, {steps} steps", file=sys.stderr)
                rounds[name].append(one_round(work, steps, actors))

    medians = {work: _report.medians(them) for work, them in rounds.items()}
    ratios = {
        work: _report.medians([{way: rate / one["plain"] for way, rate in one.items()} for one in them])
        for work, them in rounds.items()
    }
    ways = list(medians["none"])
    cells = [
        [
            work,
            *(
                f"{medians[work][way]:,.0f}" + (f" (×{ratios[work][way]:.2f})" if way != "plain" else "")
                for way in ways
            ),
        ]
        for work in WORK
    ]
    title = f"Steps per second, and beside the plain loop; medians of {chosen.rounds} interleaved rounds; "
    header = ["work per step", "plain loop", "None", *(f"{n} actor{'s' * (n > 1)}" for n in actors)]
    print(_report.table(title + _report.described(where), header, cells))
    results = {"machine": where, "rounds": rounds, "median": medians, "ratio": ratios}
    _report.save(chosen.out, "central_cartpole", results, lambda figure: draw(figure, ratios))


if __name__ == "__main__":
    main()
