"""The learning curve as a picture. The Runner writes it when training is over, `Run.plot` whenever asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

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
    raw, smooth = _known(steps, metrics["episode_return"]), _known(steps, metrics["return_100"])
    axes.plot(*raw, color=FAINT, linewidth=0.8, alpha=0.75, label="training episodes")
    axes.plot(*smooth, color=INK, linewidth=2.0, label="mean of the last 100 episodes")
    _evaluations(axes, metrics)
    _dress(axes, figure, title, subtitle)
    if len(steps):
        axes.set_xlim(0, steps[-1] * 1.02)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG, without any display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).print_png(str(path))


def _known(steps: Array, values: Array) -> tuple[Array, Array]:
    there = ~np.isnan(values)
    return steps[there], values[there]


def _evaluations(axes: Any, metrics: Mapping[str, Array]) -> None:
    steps, mean = _known(metrics["steps"], metrics["evaluation_return"])
    if not len(steps):
        return
    std = metrics["evaluation_std"][~np.isnan(metrics["evaluation_return"])]
    axes.errorbar(
        steps, mean, yerr=std, fmt="o", color=EVALUATION, markersize=4, elinewidth=1, alpha=0.9, label="evaluation ± std"
    )
    at, best = _known(metrics["steps"], metrics["best_return"])
    if len(at):
        axes.plot(
            at[-1:], best[-1:], marker="*", markersize=15, color=BEST, linestyle="", label="best", zorder=5,
            markeredgecolor="white",
        )  # fmt: skip


def _dress(axes: Any, figure: Figure, title: str, subtitle: str) -> None:
    from matplotlib.ticker import EngFormatter

    figure.suptitle(title, x=0.02, ha="left", fontsize=13, fontweight="bold", color="#222222")
    axes.set_title(subtitle, loc="left", fontsize=9, color="#666666")
    axes.set_xlabel("environment steps", color="#444444")
    axes.set_ylabel("episode return", color="#444444")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors="#666666", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#bbbbbb")
    axes.legend(frameon=False, fontsize=8.5, loc="best", labelcolor="#444444")
