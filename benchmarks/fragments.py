"""Time against the number of environments, serial and parallel: the figure of the actor proposal for Julia again.

There, environments that were actors took longer than a plain loop ("no merit"), since an environment as light as
CartPole costs less than the message that steps it. Here the same three ways train the same PPO on CartPole-v1 for the
same number of steps, with the same environments side by side and the same updates:

    serial                  one process, which steps all environments in turn (`arrangement=None`)
    a message per step      an actor per environment (`Central`), as in the proposal
    fragments               two explorers with half of the environments each, `n_steps` steps per message (`Dataflow`)

Measured: seconds per 10,000 environment steps of training, start and evaluation excluded.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from typing import Any

import _report
from training import experiment, slope

from actorrl import Central, Dataflow, PPOConfig, System

MANY = (2, 4, 8, 16)
STEPS, UNIT = 24_000, 10_000
COLORS = {"serial": "0.35", "a message per step": "#bb5566", "fragments": "#4477aa"}


def ways(n: int) -> dict[str, Any]:
    """The arrangements with n environments."""
    halves = Dataflow(explorers=2, environments_per_explorer=n // 2, mode="async")
    return {"serial": None, "a message per step": Central(environments=n), "fragments": halves}


def seconds_of(arrangement: Any, n: int, steps: int) -> float:
    """Seconds per `UNIT` steps of one run."""
    from actorrl.training.entry import prepare

    told = experiment("CartPole-v1", arrangement, steps, 0)
    told.agent = PPOConfig(n_envs=n, n_steps=1024 // n, batch_size=256, n_epochs=2, learning_rate=1e-3)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        metrics = prepare(told, f"{folder}/run").run().metrics
    return UNIT / slope(metrics["steps"], metrics["seconds"])


def draw(figure: Any, medians: dict[str, dict[str, float]]) -> None:
    """A line per way."""
    axes = figure.subplots()
    for way, by_many in medians.items():
        axes.plot([int(n) for n in by_many], list(by_many.values()), "o-", color=COLORS[way])
        beside = {"serial": "bottom", "fragments": "top"}.get(way, "center")  # the two end close to each other
        axes.text(int(list(by_many)[-1]) * 1.03, list(by_many.values())[-1], way, color=COLORS[way], va=beside)
    axes.set_xscale("log", base=2)
    axes.set_xticks(MANY, map(str, MANY))
    axes.set_xlim(MANY[0] * 0.95, MANY[-1] * 1.9)
    axes.set_ylim(0)
    axes.set_xlabel("environments")
    axes.set_ylabel(f"seconds per {UNIT:,} steps")
    axes.set_title("PPO on CartPole: the time that so many steps take", loc="left")
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    import torch
    import torch.utils.tensorboard

    chosen = _report.options(__doc__)
    torch.set_num_threads(1)
    many, steps = (MANY[:1], 4_096) if chosen.quick else (MANY, STEPS)
    where = _report.machine()
    rounds: dict[str, list[dict[str, float]]] = {way: [] for way in COLORS}
    with System():
        for number in range(chosen.rounds):
            print(f"round {number + 1} of {chosen.rounds}", file=sys.stderr)
            found: dict[str, dict[str, float]] = {way: {} for way in COLORS}
            for n in many:
                for way, arrangement in ways(n).items():
                    # The slow one makes fewer steps; it is a rate.
                    share = steps if way != "a message per step" else max(4_096, steps // 4)
                    found[way][str(n)] = seconds_of(arrangement, n, share)
            for way, by_many in found.items():
                rounds[way].append(by_many)
    medians = {way: _report.medians(them) for way, them in rounds.items()}
    lines = [[way, *(f"{seconds:.2f}" for seconds in by_many.values())] for way, by_many in medians.items()]
    how = f"seconds per {UNIT:,} steps: medians of {chosen.rounds} interleaved rounds"
    table = _report.table("", ["environments", *map(str, many)], lines)
    print(f"{how}; {_report.described(where)}\n{table}")
    results = {"machine": where, "how": how, "table": table, "rounds": rounds, "median": medians}
    _report.save(chosen.out, "fragments", results, lambda figure: draw(figure, medians), (9, 4.5))


if __name__ == "__main__":
    main()
