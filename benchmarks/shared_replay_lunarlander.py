"""The parallel DQN experiment: agents that share one replay buffer on LunarLander-v3, beside single ones.

The settings are those of the talk on reinforcex: layers of 300 ReLU units, Adam 3e-4, squared error, batches of 64,
an update every 8 own steps, a hard copy of the target every 50, ε from 1 to 0.05 over 10,000 own steps, γ 0.99, one
environment per agent, 4,000 rows of buffer per agent. The x-axis is the agent's own steps.

    cells    single        one agent, 27 seeds: nine independent ones for each of three seeds
             shared-2, -4, -9      m agents, one buffer of m times 4,000 rows
             no-mask-1, -9         terminal states are bootstrapped from, as the talk's code did
             capacity-9            nine agents, one buffer of 4,000 rows: no more than a single one has
             ratio-4, -9           m agents, each learning m times as often: it sees a row as often as one alone
             often-1, often-1-large      one agent that learns nine times as often, with 4,000 and 36,000 rows:
                                   what of ratio-9 is the learning, and not the sharing
             prioritized-1, -9     rows sampled in proportion to |TD error|^0.6
             varied-9              nine agents of three step sizes by three discounts
             shared-18             more agents than the talk had
             sac-1, sac-4          SAC on the continuous lander, as many updates, beside single and shared-4
    speed    nine agents beside nine independent ones, in turn; wall time, processor time, memory

In every cell 8 rows are sampled per row added, by all agents together; in ratio-4 and -9 by each of them, and in
often-1 it is 72.

Rows' priorities count in full (β = 1) from 10,000 own steps on, when ε has fallen.

The mean agent is compared with the single one; the best of nine with the best of nine independent ones, since the
best of nine against one is selection. Every run is kept in results/shared_replay_lunarlander.json as it ends: the
command goes on where it was stopped.

    python benchmarks/shared_replay_lunarlander.py [--seeds 3] [--steps 60000] [--layers 2] [--only CELL ...] [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import _report
import gymnasium
import numpy as np

HERE = Path(__file__).parent
FILE = HERE / "results" / "shared_replay_lunarlander.json"
PICTURE = FILE.with_suffix(".png")
NINE = 9
RATES, GAMMAS = (1e-4, 3e-4, 1e-3), (0.98, 0.99, 0.995)


class NoTerminals(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Calls every end a truncation, so that nothing tells a learner that a crash is the end of all reward."""

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, False, terminated or truncated, info


@dataclass(frozen=True)
class Cell:
    """One setting of the experiment."""

    agents: int
    buffer: int
    gradient_steps: int = 1
    mask: bool = True
    runs_per_seed: int = 1
    prioritized: bool = False
    varied: bool = False
    sac: bool = False


CELLS = {
    "single": Cell(1, 4_000, runs_per_seed=NINE),
    "shared-2": Cell(2, 8_000),
    "shared-4": Cell(4, 16_000),
    "shared-9": Cell(NINE, 36_000),
    "no-mask-1": Cell(1, 4_000, mask=False),
    "no-mask-9": Cell(NINE, 36_000, mask=False),
    "capacity-9": Cell(NINE, 4_000),
    "ratio-9": Cell(NINE, 36_000, gradient_steps=NINE),
    "ratio-4": Cell(4, 16_000, gradient_steps=4),
    "often-1": Cell(1, 4_000, gradient_steps=NINE),
    "often-1-large": Cell(1, 36_000, gradient_steps=NINE),
    "prioritized-1": Cell(1, 4_000, prioritized=True),
    "prioritized-9": Cell(NINE, 36_000, prioritized=True),
    "varied-9": Cell(NINE, 36_000, varied=True),
    "shared-18": Cell(18, 72_000),
    "sac-1": Cell(1, 4_000, sac=True),
    "sac-4": Cell(4, 16_000, sac=True),
}


def config(cell: Cell, layers: int) -> Any:
    """The talk's settings; of SAC those that it has too, and its usual slow target."""
    from actorrl import DQNConfig, SACConfig

    if cell.sac:
        return SACConfig(
            learning_rate=3e-4,
            learning_rate_final=3e-4,
            gamma=0.99,
            hidden_sizes=(300,) * layers,
            batch_size=64,
            buffer_size=cell.buffer,
            learning_starts=64,
            train_freq=8,
            gradient_steps=cell.gradient_steps,
            tau=0.005,
        )
    return DQNConfig(
        learning_rate=3e-4,
        learning_rate_final=3e-4,
        gamma=0.99,
        n_steps=1,
        double=False,
        loss="mse",
        hidden_sizes=(300,) * layers,
        batch_size=64,
        buffer_size=cell.buffer,
        prioritized=cell.prioritized,
        learning_starts=64,
        train_freq=8,
        gradient_steps=cell.gradient_steps,
        tau=1.0,
        target_update_interval=50,
        max_grad_norm=1e9,
        exploration_initial_eps=1.0,
        exploration_final_eps=0.05,
        exploration_fraction=1.0,
        total_steps=10_000,
    )


def varied(config: Any, j: int) -> Any:
    """Agent j of nine: three step sizes by three discounts."""
    rate, gamma = RATES[j // 3], GAMMAS[j % 3]
    return replace(config, learning_rate=rate, learning_rate_final=rate, gamma=gamma)


def train_one(told: dict[str, Any]) -> dict[str, Any]:
    """One run, in this process: each agent's curve of training returns and its greedy return at the end."""
    from actorrl import SharedReplay
    from actorrl.training.entry import prepare
    from actorrl.training.evaluation import EvaluationPlan
    from actorrl.training.experiment import Experiment

    cell, steps = Cell(**told["cell"]), told["steps"]
    m, vary = cell.agents, varied if cell.varied else None
    # One agent alone is what its user would run: no actors, no messages.
    # A day for a step: the command may be paused.
    shared = SharedReplay(m, m, step_timeout=86_400.0, vary=vary, together=True) if m > 1 else None
    experiment = Experiment(
        config(cell, told["layers"]),
        "LunarLanderContinuous-v3" if cell.sac else "LunarLander-v3",
        shared,
        steps=steps * cell.agents,
        seed=told["seed"],
        wrappers=() if cell.mask else (NoTerminals,),
        evaluation=EvaluationPlan(every=steps * cell.agents, episodes=1, confirm=1, final=1),
    )
    with tempfile.TemporaryDirectory(prefix="shared-") as directory:
        run = prepare(experiment.checked(), f"{directory}/run").run()
        metrics = run.metrics
        curves = []
        for agent in range(cell.agents):
            name = f"agent{agent}.episode_return" if cell.agents > 1 else "episode_return"
            there = ~np.isnan(metrics[name])
            own = metrics["steps"][there] / cell.agents
            curves.append([own.astype(int).tolist(), metrics[name][there].round(1).tolist()])
        which = range(cell.agents) if cell.agents > 1 else ["final"]
        greedy = [float(run.evaluate(20, one)) for one in which] if told.get("greedy", True) else []
        seconds = float(np.nanmax(metrics["seconds"]))
    return {"curves": curves, "greedy": greedy, "seconds": seconds}


def in_a_process(told: dict[str, Any]) -> dict[str, Any]:
    """`train_one` in a process of its own, with what it and its actors took."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--one", json.dumps(told)]
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    watch = _Watch(process.pid)
    out, error = process.communicate()
    watch.end()
    for line in out.splitlines():
        if line.startswith("found: "):
            return {**json.loads(line[7:]), "wall": time.monotonic() - began, "cpu": watch.cpu, "pss": watch.pss}
    raise RuntimeError(f"{told} ended with code {process.returncode}:\n{error[-3000:]}")


class _Watch:
    """Processor seconds of a process and all its descendants, and the most memory they had together (PSS)."""

    def __init__(self, pid: int) -> None:
        self.pss, self._times, self._over = 0.0, dict[int, float](), threading.Event()
        self._pid = pid
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    @property
    def cpu(self) -> float:
        return sum(self._times.values())

    def _look(self) -> None:
        import psutil

        while not self._over.wait(1.0):
            pss = 0.0
            try:
                root = psutil.Process(self._pid)
                family = [root, *root.children(recursive=True)]
            except psutil.Error:
                continue
            for process in family:
                try:
                    times = process.cpu_times()
                    self._times[process.pid] = times.user + times.system
                    pss += process.memory_full_info().pss / 1e6
                except psutil.Error:
                    continue
            self.pss = max(self.pss, pss)

    def end(self) -> None:
        self._over.set()
        self._thread.join()


# -- what comes of it --------------------------------------------------------------------------------------------------


def smooth(curve: list[list[float]], grid: np.ndarray) -> np.ndarray:
    """The curve at the steps of a grid. Each of its rows is the mean of the episodes that ended in 2,400 own steps."""
    return np.interp(grid, np.array(curve[0]), np.array(curve[1]))


def figures(curves: list[np.ndarray]) -> dict[str, float]:
    """Of runs (or agents): the area under the curve, how it varies, and what is lost after the best."""
    areas = [float(curve.mean()) for curve in curves]
    best, final = [float(curve.max()) for curve in curves], [float(curve[-1]) for curve in curves]
    lost = [(b - f) / b for b, f in zip(best, final, strict=True) if b > 0]
    # Of a best return near 0 or below that says nothing: the second is against the range above a random agent's −200.
    drops = [(b - f) / max(1.0, b + 200.0) for b, f in zip(best, final, strict=True)]
    return {
        "area": statistics.mean(areas),
        "std": statistics.stdev(areas) if len(areas) > 1 else float("nan"),
        "best": statistics.mean(best),
        "final": statistics.mean(final),
        "lost": statistics.mean(lost) if len(lost) == len(curves) else float("nan"),
        "drop": statistics.mean(drops),
    }


def summary(results: dict[str, Any], steps: int) -> tuple[list[list[str]], dict[str, Any]]:
    """The lines of the table and the bands of the picture."""
    grid = np.linspace(steps / 60, steps, 120)
    lines, bands = [], {}
    for name in CELLS:
        runs = results.get(name, {})
        if not runs:
            continue
        agents = {key: [smooth(curve, grid) for curve in run["curves"]] for key, run in runs.items()}
        first = [run for key, run in runs.items() if key.endswith(".0")]  # one of each seed
        greedy, all_greedy = (
            statistics.mean(statistics.mean(run["greedy"]) for run in of) for of in (first, runs.values())
        )
        if name == "single":
            seeds = sorted({key.split(".")[0] for key in runs})
            groups = [[agents[key][0] for key in agents if key.split(".")[0] == seed] for seed in seeds]
            one = [group[:1] for group in groups]  # one agent of each seed, as one would run it alone
            lines.append(line(name, one, groups, greedy, best=False))
            lines.append(line(f"{NINE} of them, apart", groups, groups, all_greedy, best=True))
            bands[name] = (grid, np.array([group[0] for group in one]))
            bands[APART] = (grid, np.array([np.mean(group, axis=0) for group in groups]))
        else:
            groups = list(agents.values())
            lines.append(line(name, groups, groups, greedy, best=CELLS[name].agents == NINE))
            bands[name] = (grid, np.array([np.mean(group, axis=0) for group in groups]))
    return lines, bands


APART = "9 apart"
"""Nine single ones of each seed: their mean varies less over seeds than one does, though they share nothing."""


def line(
    name: str, groups: list[list[np.ndarray]], everybody: list[list[np.ndarray]], greedy: float, best: bool
) -> list[str]:
    """A line of the table. `groups` holds each seed's curves, whose mean is compared; `everybody` all there are."""
    of = figures([np.mean(group, axis=0) for group in groups])
    each = figures([curve for group in everybody for curve in group])
    first = figures([max(group, key=lambda curve: float(curve.mean())) for group in groups])
    return [
        name,
        str(len(groups)),
        f"{of['area']:.0f} ± {of['std']:.0f}",
        f"{each['std']:.0f}",
        f"{of['best']:.0f}",
        f"{of['final']:.0f}",
        "–" if of["lost"] != of["lost"] else f"{of['lost']:.2f}",
        f"{of['drop']:.2f}",
        f"{each['drop']:.2f}",
        f"{first['area']:.0f}" if best else "–",
        f"{greedy:.0f}",
    ]


HEAD = [
    "cell",
    "seeds",
    "area ± std over seeds",
    "std over agents",
    "best",
    "final",
    "(best − final) / best",
    "drop",
    "an agent's drop",
    "area of the best of nine",
    "greedy",
]
PANELS = [
    ("more agents, as many rows each", ["single", APART, "shared-2", "shared-4", "shared-9", "shared-18"]),
    ("what is held fixed", ["shared-4", "ratio-4", "shared-9", "capacity-9", "ratio-9", "often-1", "often-1-large"]),
    ("terminal states not masked", ["single", "no-mask-1", "shared-9", "no-mask-9"]),
    ("rows by their TD error", ["single", "prioritized-1", "shared-9", "prioritized-9"]),
    ("nine pairs of step size and discount", ["single", "shared-9", "varied-9"]),
    ("SAC beside DQN", ["single", "shared-4", "sac-1", "sac-4"]),
]


def draw(bands: dict[str, Any], results: dict[str, Any]) -> None:
    """Curves with bands over seeds: the mean agent of each cell."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    everywhere = {"single": "#444444", APART: "#444444", "shared-4": "C2", "shared-9": "C3"}
    shown = PANELS[:1] + [(title, names) for title, names in PANELS[1:] if {*names} & {*bands} - {*PANELS[0][1]}]
    rows = -(-len(shown) // 3)
    size = (15, 0.5 + 4.0 * rows)
    figure, panels = plt.subplots(rows, min(3, len(shown)), figsize=size, sharey=True, squeeze=False)
    for empty in panels.flat[len(shown) :]:
        empty.set_axis_off()
    for axes, (title, names) in zip(panels.flat, shown, strict=False):
        others = iter(("C0", "C1", "C4", "C5", "C6", "C8", "C9"))
        for name in names:
            if name in bands:
                grid, curves = bands[name]
                colour = everywhere.get(name) or next(others)
                axes.plot(grid / 1000, curves.mean(0), "--" if name == APART else "-", label=name, color=colour)
                axes.fill_between(grid / 1000, curves.min(0), curves.max(0), alpha=0.13, color=colour, linewidth=0)
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xlabel("own steps, thousands")
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(frameon=False, fontsize=9, loc="lower right")
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    for axes in panels[:, 0]:
        axes.set_ylabel("episode return of the mean agent")
    where = _report.described(results["machine"])
    told = textwrap.fill(f"rows of 2,400 own steps; band: least and most of the seeds; {where}", 190)
    figure.text(0.01, 0.01, told, fontsize=7, color="#666666")
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(PICTURE, dpi=110)
    print(f"wrote {PICTURE}")


# -- speed -------------------------------------------------------------------------------------------------------------


def speed(steps: int, layers: int, rounds: int, many: int = NINE) -> dict[str, Any]:
    """One agent, nine (or so many) independent ones at once, and as many that share, in turn."""
    found: dict[str, list[dict[str, float]]] = {"one": [], "independent": [], "shared": []}
    tell = {"layers": layers, "steps": steps, "greedy": False}
    machine = _report.machine()  # before its own load
    for seed in range(rounds):
        alone = {**tell, "cell": asdict(CELLS["single"])}
        found["one"].append(in_a_process({**alone, "seed": seed}))
        began = time.monotonic()
        with ThreadPoolExecutor(many) as pool:
            nine = list(pool.map(in_a_process, [{**alone, "seed": seed * NINE + j} for j in range(many)]))
        together = {"wall": time.monotonic() - began, "seconds": max(run["seconds"] for run in nine)}
        found["independent"].append({**together, **{key: sum(run[key] for run in nine) for key in ("cpu", "pss")}})
        shared = Cell(many, 4_000 * many)
        found["shared"].append(in_a_process({**tell, "cell": asdict(shared), "seed": seed}))
    keys = ("seconds", "wall", "cpu", "pss")
    kept = {name: [{key: run[key] for key in keys} for run in runs] for name, runs in found.items()}
    cores = len(os.sched_getaffinity(0))
    return {"steps": steps, "agents": many, "cores": cores, "machine": machine, "runs": kept}


def told_of_speed(found: dict[str, Any]) -> str:
    """Its table, and the two ratios."""
    runs, steps, many, cores = found["runs"], found["steps"], found["agents"], found["cores"]
    lines = []
    for name, label, agents in (
        ("one", "one agent", 1),
        ("independent", f"{many} independent, at once", many),
        ("shared", f"{many} on one buffer", many),
    ):
        rows = [statistics.median(run[key] for run in runs[name]) for key in ("seconds", "wall", "cpu", "pss")]
        lines.append([label, f"{agents * steps / rows[0]:,.0f}", *(f"{value:,.0f}" for value in rows)])
    one, alone, shared = ([run["seconds"] for run in runs[name]] for name in ("one", "independent", "shared"))
    used = min(cores, many)
    rate = statistics.median(a / b for a, b in zip(alone, shared, strict=True))
    efficiency = statistics.median(many * a / (used * b) for a, b in zip(one, shared, strict=True))
    head = ["", "steps/s of all", "training, s", "wall, s", "processors, s", "memory (PSS), MB"]
    return (
        f"{_report.table('', head, lines)}\n\n{_report.described(found['machine'])}.\n\n"
        f"{many} on one buffer run at {rate:.2f} of the rate of {many} independent ones\n"
        f"efficiency = {many}·T1 / ({used} cores · T{many}) = {efficiency:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="of every cell")
    parser.add_argument("--steps", type=int, default=60_000, help="own steps of every agent")
    parser.add_argument("--layers", type=int, default=2, choices=(2, 3), help="2 in the talk, 3 in its code")
    parser.add_argument("--only", nargs="+", choices=[*CELLS, "speed"], default=[*CELLS, "speed"])
    parser.add_argument("--at-once", type=int, default=2, help="single agents that run at the same time")
    parser.add_argument("--quick", action="store_true", help="a minute, to see that it runs; no result")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print("found: " + json.dumps(train_one(json.loads(given.one))))
        return
    if given.quick:
        quick(given.layers)
        return
    key = f"{given.layers} layers, {given.steps} steps"
    kept = json.loads(FILE.read_text()) if FILE.exists() else {}
    results = kept.setdefault(key, {})

    def keep() -> None:
        kept[key] = results
        beside = FILE.with_suffix(".new")
        beside.write_text(json.dumps(kept) + "\n")
        beside.replace(FILE)

    results.setdefault("machine", _report.machine())
    for name in CELLS:
        if name in given.only:
            run_cell(name, given, results.setdefault(name, {}), keep)
    if "speed" in given.only and "speed" not in results:
        results["speed"] = speed(12_000, given.layers, 5)
        keep()
    lines, bands = summary(results, given.steps)
    print(_report.table(key, HEAD, lines))
    draw(bands, results)
    if "speed" in results:
        print(told_of_speed(results["speed"]))


def run_cell(name: str, given: argparse.Namespace, runs: dict[str, Any], keep: Any) -> None:
    """The runs of one cell that are not there yet; single agents `--at-once` at a time."""
    cell = CELLS[name]
    missing = []
    for seed in range(given.seeds):
        for j in range(cell.runs_per_seed):
            if f"{seed}.{j}" not in runs:
                number = seed * NINE + j
                told = {"cell": asdict(cell), "steps": given.steps, "layers": given.layers, "seed": number}
                missing.append((f"{seed}.{j}", told))
    with ThreadPoolExecutor(given.at_once if cell.agents == 1 else 1) as pool:
        for (number, _), found in zip(missing, pool.map(in_a_process, [told for _, told in missing]), strict=True):
            runs[number] = found
            keep()
            greedy = statistics.mean(found["greedy"])
            print(f"{name} {number}: greedy {greedy:.0f}, {found['seconds']:.0f} s", flush=True)


def quick(layers: int) -> None:
    """Everything once, for a few steps."""
    few = 300
    for name in ("no-mask-1",):
        cell = replace(CELLS[name], runs_per_seed=1)
        found = in_a_process({"cell": asdict(cell), "steps": few, "layers": layers, "seed": 0})
        print(f"{name}: {len(found['curves'])} curves, greedy {statistics.mean(found['greedy']):.0f}")
    print(told_of_speed(speed(few, layers, 1, many=2)))


if __name__ == "__main__":
    main()
