"""Several runs in one picture: a panel per environment, a line per configuration, a band over its seeds.

    run directories ──► Curve of each ──► Line: runs that differ by their seed ──► Panel per environment ──► a figure

`actorrl plot` calls it. Only config.yaml and metrics.csv are read: nothing of the run has to be importable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from actorrl.training.curve import GRID, thousands
from actorrl.training.names import did_you_mean
from actorrl.training.run_directory import Metrics, RunDirectory
from actorrl.training.views import captions, seeds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = np.ndarray
COLOURS = ("#1b6ca8", "#d9722b", "#2f8f4e", "#8e5bb5", "#c33c54", "#7a6a3a", "#1aa3a3", "#d65fa0", "#6b7280", "#9aa51d")
STYLES = ("-", "--", ":", "-.")
"""Of the lines, where there are more of them than colours."""
MEASURED = ("evaluation_return", "best_return")
"""Columns that are means over episodes already, and are drawn as they are."""
NEARLY = 0.95
"""Runs that are so long are as long as the longest: where a run's last episode ends is chance."""
INSIDE = 8
"""Up to so many lines are named inside a panel, more of them beside it."""


class Curve(NamedTuple):
    """What is drawn of one run."""

    path: Path
    config: dict[str, Any]
    x: Array
    y: Array


@dataclass
class Line:
    """Runs of one configuration."""

    label: str
    curves: list[Curve] = field(default_factory=list)

    @property
    def seeds(self) -> str:
        """How many, in words."""
        return f"{len(self.curves)} seeds" if len(self.curves) > 1 else f"seed {self.curves[0].config.get('seed')}"

    @property
    def shortest(self) -> Curve | None:
        """The run that ends the band, where that is well before the longest of them does; else None."""
        first = min(self.curves, key=lambda curve: curve.x[-1])
        return first if first.x[-1] < NEARLY * max(curve.x[-1] for curve in self.curves) else None


@dataclass
class Panel:
    """One environment."""

    environment: str
    lines: list[Line]


def read(path: str | Path, metric: str = "episode_return", against: str = "steps") -> Curve:
    """The curve of one run.

    Args:
        path: a run directory.
        metric: a column of metrics.csv.
        against: "steps" or "seconds".

    Raises:
        FileNotFoundError: it is no run directory; where it holds some, these are named.
        ValueError: the run has no such column, or nothing in it yet.
    """
    directory = existing(path)
    metrics = Metrics.read(directory.path / "metrics.csv").arrays()
    if metric not in metrics:
        raise ValueError(f"{directory.path} has no column {metric!r} in metrics.csv{did_you_mean(metric, metrics)}")
    there = ~np.isnan(metrics[metric]) & ~np.isnan(metrics["steps" if against == "steps" else "seconds"])
    if against == "seconds" and metric in MEASURED:  # judged beside training: the row has no time of its own
        metrics["seconds"] = np.interp(metrics["steps"], *_known(metrics["steps"], metrics["seconds"]))
        there = ~np.isnan(metrics[metric])
    if not there.any():
        what = "finished episode" if metric == "episode_return" else metric
        raise ValueError(
            f"{directory.path} has no {what} yet: there is nothing to draw, wait until it has got that far"
        )
    y = metrics[metric][there]
    return Curve(
        directory.path, directory.read_config(), metrics[against][there], y if metric in MEASURED else smoothed(y)
    )


def _known(x: Array, y: Array) -> tuple[Array, Array]:
    there = ~np.isnan(y)
    return (x[there], y[there]) if there.any() else (x[:1], np.zeros(1))


def smoothed(values: Array) -> Array:
    """A running mean over a fifteenth of the values, of as many as there are at both ends; [n] of [n].

    (`curve.smoothed` goes through the first and the last value; beside other lines such an end says too much.)
    """
    half = len(values) // 30
    sums = np.concatenate([[0.0], np.cumsum(values)])
    i = np.arange(len(values))
    first, after = np.maximum(i - half, 0), np.minimum(i + half + 1, len(values))
    return (sums[after] - sums[first]) / (after - first)


def existing(path: str | Path) -> RunDirectory:
    """A run directory. FileNotFoundError otherwise, which names the runs that are in a directory of runs."""
    try:
        return RunDirectory.existing(path)
    except FileNotFoundError as error:
        inside = sorted(Path(path).glob("*/config.yaml")) if Path(path).is_dir() else []
        if not inside:
            raise
        names = ", ".join(str(one.parent) for one in inside[:3]) + (", ..." if len(inside) > 3 else "")
        raise FileNotFoundError(
            f"{path} is not a run directory, but holds {len(inside)} of them: name these instead ({names})"
        ) from error


def panels(curves: Sequence[Curve]) -> list[Panel]:
    """Curves by environment, and in it by everything in their configuration but the seed; in the order given."""
    by_environment: dict[str, dict[str, list[Curve]]] = {}
    for curve in curves:
        same = captions.learning(curve.config)
        lines = by_environment.setdefault(captions.environment_name(curve.config), {})
        lines.setdefault(repr(sorted(same.items())), []).append(curve)
    made = []
    for environment, lines in by_environment.items():
        labels = captions.legends([group[0].config for group in lines.values()])
        made.append(Panel(environment, [Line(*pair) for pair in zip(labels, lines.values(), strict=True)]))
    return made


def draw(made: Sequence[Panel], metric: str = "episode_return", against: str = "steps") -> Figure:
    """A figure of panels, three in a row at most. A label has the same colour in every panel."""
    from matplotlib.figure import Figure

    columns = min(3, len(made))
    rows = -(-len(made) // columns)
    labels = list(dict.fromkeys(line.label for panel in made for line in panel.lines))
    crowded = any(len(panel.lines) > INSIDE for panel in made)
    width = (8.0 if columns == 1 else 5.2 * columns) + (2.5 if crowded else 0.0)
    figure = Figure(figsize=(width, 4.8 if rows == 1 else 4.2 * rows), dpi=150, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for axes, panel in zip(grid, made, strict=False):
        for line in panel.lines:
            number = labels.index(line.label)
            _line(axes, line, COLOURS[number % len(COLOURS)], STYLES[number // len(COLOURS) % len(STYLES)])
        _dress(axes, panel, metric, against, beside=crowded)
    for axes in grid[len(made) :]:
        axes.set_visible(False)
    bands = any(len(line.curves) > 1 for panel in made for line in panel.lines)
    note = "line: interquartile mean over seeds; band: its 95% bootstrap interval" if bands else ""
    if metric not in MEASURED:
        note = "; ".join(filter(None, [note, "each run smoothed over a fifteenth of its rows"]))
    if note:
        figure.supxlabel(note, x=0.995, ha="right", fontsize=7.5, color="#888888")
    return figure


def _line(axes: Any, line: Line, colour: str, style: str) -> None:
    label = f"{line.label} ({line.seeds})"
    if len(line.curves) == 1:
        [curve] = line.curves
        dotted = {"marker": "o", "markersize": 4} if len(curve.x) < 40 else {}
        axes.plot(curve.x, curve.y, color=colour, linestyle=style, linewidth=1.8, label=label, **dotted)
        return
    for curve in line.curves:
        axes.plot(curve.x, curve.y, color=colour, linewidth=0.6, alpha=0.35)
    grid, values = seeds.together([(curve.x, curve.y) for curve in line.curves])
    if not len(grid):
        axes.plot([], [], color=colour, linestyle=style, label=f"{label}, no steps in common")
        return
    low, high = seeds.bootstrap_interval(values)
    axes.fill_between(grid, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.plot(grid, seeds.interquartile_mean(values), color=colour, linestyle=style, linewidth=2.0, label=label)


def _dress(axes: Any, panel: Panel, metric: str, against: str, *, beside: bool) -> None:
    axes.set_title(panel.environment, loc="left", fontsize=11.5, fontweight="bold", color="#222222", pad=10)
    axes.set_xlabel("environment steps" if against == "steps" else "seconds of training", color="#444444")
    axes.set_ylabel(metric.replace("_", " "), color="#444444")
    thousands(axes.xaxis)
    axes.grid(True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors="#666666", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#bbbbbb")
    axes.set_xlim(left=0)
    place = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)} if beside else {"loc": "best"}
    axes.legend(frameon=not beside, framealpha=0.8, edgecolor="none", fontsize=8, labelcolor="#444444", **place)
