"""Whether each preset learns what it promises: trained with three seeds, judged by the median over them.

`best` must reach the gate, `final` is stated beside it; both over 100 fresh greedy episodes. A preset is its gate's
configuration. Results are kept in results/gates.json preset by preset, so that the gates can be run one at a time.

    python benchmarks/gates.py                      all, hours
    python benchmarks/gates.py lunarlander acrobot  these
    python benchmarks/gates.py --quick              one preset for a few steps, to see that it runs; no result
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _report

SEEDS = 3
HERE = Path(__file__).parent
LISTED = HERE.parent / "actorrl" / "training" / "presets" / "validated.json"
"""What `actorrl list` reads."""
TRAIN = """
import json, sys, time
from actorrl import train
preset, seed, steps, directory, episodes = json.loads(sys.argv[1])
began = time.monotonic()
run = train(preset, seed=seed, steps=steps, run_dir=directory)
minutes = (time.monotonic() - began) / 60
found = {which: [float(result := run.evaluate(episodes, which)), result.std] for which in ("best", "final")}
print("found: " + json.dumps({**found, "minutes": minutes, "steps": int(run.config["steps"])}))
"""


@dataclass(frozen=True)
class Gate:
    """What `best` must reach."""

    must: float
    every_seed: bool = False
    """Whether every seed must reach it rather than the median."""
    minutes: float | None = None
    """What training may take."""
    seeds: int = SEEDS
    preset: str | None = None
    """The preset, where the gate has another name: one for fewer `steps`."""
    steps: int | None = None
    at_once: int = 2
    """Runs side by side; one where a run takes both cores, or has a time to keep: that is one user's run."""


GATES = {
    "cartpole": Gate(475, at_once=1),
    "cartpole-dqn": Gate(475),
    "cartpole-qlearning": Gate(475),
    "acrobot": Gate(-100),
    "pendulum-sac": Gate(-200),
    "pendulum-td3": Gate(-200),
    "lunarlander": Gate(210, every_seed=True, minutes=8, at_once=1),
    "lunarlander-150k": Gate(150, preset="lunarlander", steps=150_000),
    "lunarlander-shared": Gate(210, every_seed=True, minutes=15, at_once=1),
    "lunarlander-sac": Gate(200, seeds=1),
    "catch": Gate(0.9),
    "cartpole-ppo": Gate(490, minutes=1),
    "cartpole-a2c": Gate(475),
    "cartpole-impala": Gate(450),
    "cartpole-apex": Gate(475, at_once=1),
    "acrobot-ppo": Gate(-90),
    "pendulum-ppo": Gate(-250),
    "lunarlander-ppo": Gate(200),
    "bipedalwalker-ppo": Gate(250, seeds=1),
}


def one(preset: str, seed: int, steps: int | None, episodes: int) -> dict[str, Any]:
    """Train one seed in a process of its own, and judge it."""
    with tempfile.TemporaryDirectory(prefix="gate-") as directory:
        told = json.dumps([preset, seed, steps, f"{directory}/run", episodes])
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run([sys.executable, "-c", TRAIN, told], capture_output=True, text=True, env=environment)
    for line in done.stdout.splitlines():
        if line.startswith("found: "):
            return dict(json.loads(line[7:]))
    raise RuntimeError(f"{preset} with seed {seed} ended with code {done.returncode}:\n{done.stderr[-3000:]}")


def judged(gate: Gate, runs: list[dict[str, Any]]) -> bool:
    """Whether the gate is passed."""
    best = [run["best"][0] for run in runs]
    reached = min(best) if gate.every_seed else statistics.median(best)
    in_time = gate.minutes is None or max(run["minutes"] for run in runs) <= gate.minutes
    return reached >= gate.must and in_time


def row(name: str, result: dict[str, Any]) -> list[str]:
    """A line of the table."""
    gate, runs = GATES[name], result["runs"]
    cells = [", ".join(f"{run[which][0]:.3g}" for run in runs) for which in ("best", "final")]
    middle = [f"{statistics.median(run[which][0] for run in runs):.1f}" for which in ("best", "final")]
    minutes = f"{statistics.median(run['minutes'] for run in runs):.1f}"
    must = f"{'every' if gate.every_seed else 'median'} ≥ {gate.must:g}"
    if gate.minutes is not None:
        must += f", ≤ {gate.minutes:g} min"
    passed = "yes" if judged(gate, runs) else "NO"
    found = [f"{value} ({each})" for value, each in zip(middle, cells, strict=True)]
    return [name, f"{runs[0]['steps']:,}", must, *found, minutes, passed]


def validated(results: dict[str, Any]) -> dict[str, dict[str, float]]:
    """What the package says of its presets (`actorrl list`): medians over the seeds of gates of all their steps."""
    found = {}
    for name, result in sorted(results.items()):
        runs = result["runs"]
        if GATES[name].preset is None:
            best = statistics.median(run["best"][0] for run in runs)
            minutes = statistics.median(run["minutes"] for run in runs)
            figures = {"best": round(best, 2), "minutes": round(minutes, 2)}
            found[name] = {**figures, "steps": runs[0]["steps"], "seeds": len(runs)}
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", help=f"of {', '.join(GATES)}; all unless told")
    parser.add_argument("--quick", action="store_true", help="one preset for a few steps; no result")
    parser.add_argument("--at-once", type=int, metavar="N", help="runs side by side, instead of what each gate says")
    given = parser.parse_args()
    unknown = [name for name in given.presets if name not in GATES]
    if unknown:
        parser.error(f"no gate {', '.join(unknown)}; there are {', '.join(GATES)}")
    if given.quick:
        found = one("cartpole-dqn", 0, 2_000, 5)
        print(f"cartpole-dqn for {found['steps']:,} steps: best {found['best'][0]:.1f}, final {found['final'][0]:.1f}")
        return 0
    file = HERE / "results" / "gates.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    failed = []
    for name in given.presets or GATES:
        gate, began = GATES[name], time.monotonic()
        with ThreadPoolExecutor(given.at_once or gate.at_once) as pool:
            preset = gate.preset or name
            runs = list(pool.map(lambda seed, p=preset, g=gate: one(p, seed, g.steps, 100), range(gate.seeds)))
        results[name] = {"runs": runs, "machine": _report.machine(), "command": f"python benchmarks/gates.py {name}"}
        file.write_text(json.dumps(results, indent=2) + "\n")
        LISTED.write_text(json.dumps(validated(results), indent=2) + "\n")
        print(*row(name, results[name]), f"({time.monotonic() - began:.0f} s)", sep=" | ", flush=True)
        failed += [] if judged(gate, runs) else [name]
    head = ["preset", "steps", "best must", "best", "final", "minutes", "passed"]
    print(_report.table("", head, [row(name, results[name]) for name in GATES if name in results]))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
