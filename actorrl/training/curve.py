"""The learning curve as a picture. The Runner writes it when training is over, `Run.plot` whenever asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from actorrl.training.run_directory import Metrics, RunDirectory
from actorrl.training.views import captions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = np.ndarray
INK, FAINT, EVALUATION, BEST, GRID = "#1b4f8a", "#8fb4dd", "#d9822b", "#2f8f4e", "#e6e8eb"


def draw(metrics: Mapping[str, Array], title: str, subtitle: str = "") -> Figure:
    """A figure of episode returns over environment steps: raw faint, smoothed on top, evaluations with their spread."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    axes = figure.subplots()
    steps = metrics["steps"]
    at, returns = known(steps, metrics["episode_return"])
    axes.plot(at, returns, ".", color=FAINT, markersize=3.5, alpha=0.55, label="training episodes")
    axes.plot(at, smoothed(returns), color=INK, linewidth=2.0, label="training, smoothed")
    _evaluations(axes, metrics)
    dress(axes, title, subtitle)
    if len(steps):
        axes.set_xlim(0, steps[-1] * 1.02)
    return figure


def of_run(path: str | Path, environment: str | None = None) -> Figure:
    """The figure of a run directory; `environment` is what to call its environment, where config.yaml does not say."""
    directory = RunDirectory.existing(path)
    metrics = Metrics.read(directory.path / "metrics.csv").arrays()
    return draw(metrics, *captions.title(directory.read_config(), environment))


def smoothed(values: Array) -> Array:
    """A centred running mean over a fifteenth of the values, with shorter windows at both ends; [n] of [n]."""
    half = len(values) // 30
    sums = np.concatenate([[0.0], np.cumsum(values)])
    i = np.arange(len(values))
    reach = np.minimum(np.minimum(i, len(values) - 1 - i), half)
    return (sums[i + reach + 1] - sums[i - reach]) / (2 * reach + 1)


def save(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG, without any display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).print_png(str(path))


def known(steps: Array, values: Array) -> tuple[Array, Array]:
    """The steps at which a column has a value, and the values."""
    there = ~np.isnan(values)
    return steps[there], values[there]


def _evaluations(axes: Any, metrics: Mapping[str, Array]) -> None:
    steps, mean = known(metrics["steps"], metrics["evaluation_return"])
    if not len(steps):
        return
    std = metrics["evaluation_std"][~np.isnan(metrics["evaluation_return"])]
    axes.errorbar(
        steps, mean, yerr=std, fmt="o", color=EVALUATION, markersize=4, elinewidth=1, label="evaluation ± std"
    )
    at, best = known(metrics["steps"], metrics["best_return"])
    if len(at):
        axes.plot(
            at[-1:], best[-1:], marker="*", markersize=15, color=BEST, linestyle="", label="best", zorder=5,
            markeredgecolor="white",
        )  # fmt: skip


def dress(axes: Any, title: str, subtitle: str, across: str = "environment steps") -> None:
    """Title, labels, grid and legend as all our pictures have them."""
    axes.set_title(subtitle, loc="left", fontsize=9, color="#666666", pad=8)
    axes.annotate(
        title, (0, 1), xytext=(0, 24), xycoords="axes fraction", textcoords="offset points", fontsize=13,
        fontweight="bold", color="#222222",
    )  # fmt: skip
    axes.set_xlabel(across, color="#444444")
    axes.set_ylabel("episode return", color="#444444")
    if across == "environment steps":
        thousands(axes.xaxis)
    axes.grid(True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors="#666666", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#bbbbbb")
    axes.legend(frameon=False, fontsize=8.5, loc="best", labelcolor="#444444")


def thousands(axis: Any) -> None:
    """Label an axis with 20k for 20,000, and what is below 1 as it is: half a second is not 500m."""
    from matplotlib.ticker import EngFormatter, FuncFormatter

    short = EngFormatter(sep="")
    axis.set_major_formatter(FuncFormatter(lambda x, place: f"{x:g}" if abs(x) < 1 else short(x)))
