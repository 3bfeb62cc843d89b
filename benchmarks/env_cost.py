"""Environments that take time: how much faster several explorers are than one.

Each explorer is a process with one environment and its own copy of the policy. A step waits (a simulator elsewhere: a
game, another machine, a GPU) or computes (a simulator here, which shares this machine's cores). Everybody's speed-up
is against itself with one environment.

    actorrl            explorers of Dataflow, a sink in the trainer's place
    AsyncVectorEnv     gymnasium's, in lock step: as many processes, our policy acting on all observations at once
    RLlib              sample() of as many runners, with one environment each; at 5 ms, one and eight
"""

from __future__ import annotations

import functools
import importlib.util
import statistics
import sys
from typing import Any

import _report
import gymnasium
from _explorers import Waiting, explorers_rate, policy_of, vector_rate

from actorrl import System

WORK = {
    "0 ms": (0.0, False),
    "1 ms waiting": (0.001, False),
    "5 ms waiting": (0.005, False),
    "10 ms waiting": (0.010, False),
    "5 ms computing": (0.005, True),
}
MANY = (1, 2, 4, 8)
LENGTH = {0.0: 32}
"""Steps per fragment by the seconds of a step; 4 where they take time, so that the rate is known to a few steps."""
RLLIB_WORK = "5 ms waiting"
MUST = "8 explorers at 5 ms of waiting: ≥ 7 ×"


def one_round(seconds: float, many: tuple[int, ...], rllib: bool) -> dict[str, dict[str, dict[str, float]]]:
    """{who: {work: {how many: steps per second}}}"""
    found: dict[str, Any] = {"actorrl": {}, "AsyncVectorEnv": {}}
    for name, work in WORK.items():
        make = functools.partial(Waiting, *work)
        with System():
            found["actorrl"][name] = {str(n): explorers_rate(make, n, 1, LENGTH.get(work[0], 4), seconds) for n in many}
        rates = found["AsyncVectorEnv"][name] = {}
        for n in many:
            rates[str(n)] = vector_rate(gymnasium.vector.AsyncVectorEnv([make] * n), policy_of(make, n), seconds)
    if rllib:
        found["RLlib"] = {RLLIB_WORK: {str(n): rllib_rate(WORK[RLLIB_WORK], n, seconds) for n in (1, 8)}}
    return found


def rllib_rate(work: tuple[float, bool], runners: int, seconds: float) -> float:
    """Steps per second of so many runners."""
    import _peers

    settings = {"n_envs": runners, "n_steps": 16, "batch_size": 16 * runners, "n_epochs": 1, "learning_rate": 1e-3}
    with _peers.ray_running():
        algorithm = _peers.rllib_ppo(lambda config: Waiting(*work), settings, runners=runners)
        rate = _peers.rllib_sampling(algorithm, seconds)
        algorithm.stop()
    return rate


def speedups(rounds: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """{who: {work: {how many: rate over that of one}}}, medians over rounds of ratios inside a round."""
    return {
        who: {
            work: {n: statistics.median(one[who][work][n] / one[who][work]["1"] for one in rounds) for n in by_many}
            for work, by_many in by_work.items()
        }
        for who, by_work in rounds[0].items()
    }


def draw(figure: Any, ratios: dict[str, dict[str, dict[str, float]]]) -> None:
    """A panel per kind of environment: speed-up by the number of explorers, a line for each."""
    panels = figure.subplots(1, len(WORK), sharey=True)
    styles = {"actorrl": ("o-", "#4477aa"), "AsyncVectorEnv": ("s--", "0.5"), "RLlib": ("^:", "#ee8866")}
    for axes, work in zip(panels, WORK, strict=True):
        axes.plot(MANY, MANY, color="0.85", linewidth=1)
        for who, by_work in ratios.items():
            if work in by_work:
                style, color = styles[who]
                counts = [int(n) for n in by_work[work]]
                axes.plot(counts, list(by_work[work].values()), style, color=color, label=who, markersize=5)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        axes.set_xticks(MANY, map(str, MANY))
        axes.set_yticks(MANY, [f"×{n}" for n in MANY])
        axes.set_title(work, loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("steps per second, beside one")
    panels[2].legend(frameon=False, fontsize=8)
    figure.suptitle(
        "Speed-up by the number of environments (grey: all there is to gain)", x=0.01, ha="left", fontsize=11
    )


def main() -> None:
    chosen = _report.options(__doc__)
    many = (1, 2) if chosen.quick else MANY
    rllib = not chosen.quick and all(importlib.util.find_spec(name) for name in ("ray", "tree", "pydantic"))
    where = _report.machine()
    rounds = []
    for number in range(chosen.rounds):
        print(f"round {number + 1} of {chosen.rounds}", file=sys.stderr)
        rounds.append(one_round(0.1 if chosen.quick else 0.5, many, rllib))
    ratios = speedups(rounds)
    lines = []
    for who, by_work in ratios.items():
        for work, by_many in by_work.items():
            cells = []
            for n in map(str, many):
                rates = [one[who][work][n] for one in rounds if n in one[who][work]]
                cells.append(f"{statistics.median(rates):,.0f} (×{by_many[n]:.2f})" if rates else "–")
            lines.append([f"{who}, {work}", *cells])
    how = f"steps per second, and beside one: medians of {chosen.rounds} rounds (must: {MUST})"
    table = _report.table("", ["", *map(str, many)], lines)
    print(f"{how}; {_report.described(where)}\n{table}")
    results = {"machine": where, "how": how, "table": table, "rounds": rounds, "speedup": ratios}
    _report.save(chosen.out, "env_cost", results, lambda figure: draw(figure, ratios), (13, 3.8))


if __name__ == "__main__":
    main()
