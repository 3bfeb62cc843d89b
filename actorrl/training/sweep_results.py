"""What a sweep found: every episode, a row of statistics per point, as a table, as CSV and as a picture.

summary.csv    a row per point: mean and its interval, spread, quartiles
episodes.csv   a row per episode
sweep.png      the distributions, with the means and their intervals
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from actorrl.training import curve
from actorrl.training.grids import Point, words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = np.ndarray
RESAMPLES = 2_000
CONFIDENCE = 0.95
STATISTICS = ("mean", "low", "high", "std", "min", "q25", "median", "q75", "max", "length")
LINES = 8
"""Combinations of further parameters that a picture tells apart."""


class Sweep:
    """Every episode of a sweep.

    Attributes:
        keys: the parameters that were varied.
        points: [{key: value}], what was played.
        returns, lengths: of each point, float64 and int64 [episodes].
        refused: [({key: value}, why)], what the environment did not accept.
    """

    def __init__(
        self,
        keys: Sequence[str],
        points: Sequence[Point],
        returns: Sequence[Array],
        lengths: Sequence[Array],
        refused: Sequence[tuple[Point, str]] = (),
        title: str = "",
    ) -> None:
        self.keys, self.points, self.refused, self.title = list(keys), list(points), list(refused), title
        self.returns, self.lengths = list(returns), list(lengths)

    def rows(self) -> list[dict[str, Any]]:
        """Per point: its values, `episodes`, and of their returns `mean` with its 95% interval `low` .. `high`
        (bootstrap), `std`, `min`, `q25`, `median`, `q75`, `max`; `length` is the mean length."""
        return [
            {**point, "episodes": len(returns), **statistics(returns), "length": float(lengths.mean())}
            for point, returns, lengths in zip(self.points, self.returns, self.lengths, strict=True)
        ]

    def table(self) -> list[list[str]]:
        """Columns and rows as text, for a person."""
        head = [*self.keys, "episodes", "mean return", "95% interval", "std", "min", "median", "max", "length"]
        lines = []
        for row in self.rows():
            interval = f"{row['low']:.1f} .. {row['high']:.1f}"
            shown = [f"{row['mean']:.1f}", interval, *(f"{row[name]:.1f}" for name in ("std", "min", "median", "max"))]
            values = [str(row[key]) for key in self.keys]
            lines.append([*values, str(row["episodes"]), *shown, f"{row['length']:.0f}"])
        return [head, *lines]

    def save(self, directory: Path) -> None:
        """Write summary.csv, episodes.csv and sweep.png."""
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / "summary.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, [*self.keys, "episodes", *STATISTICS])
            writer.writeheader()
            writer.writerows({k: _short(v) for k, v in row.items()} for row in self.rows())
        with (directory / "episodes.csv").open("w", newline="") as file:
            plain = csv.writer(file)
            plain.writerow([*self.keys, "episode", "return", "length"])
            for point, returns, lengths in zip(self.points, self.returns, self.lengths, strict=True):
                for i, (return_, length) in enumerate(zip(returns, lengths, strict=True)):
                    plain.writerow([*point.values(), i, _short(float(return_)), int(length)])
        curve.save(self.draw(), directory / "sweep.png")

    def draw(self) -> Figure:
        """The distributions over the first parameter that takes most values; one line per combination of the others."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
        axes = figure.subplots()
        along = max(self.keys, key=lambda key: len({str(point[key]) for point in self.points}))
        others = [key for key in self.keys if key != along]
        groups: dict[str, list[int]] = {}
        for i, point in enumerate(self.points):
            groups.setdefault(words({key: point[key] for key in others}), []).append(i)
        at, labels = _positions([point[along] for point in self.points])
        if not others:
            _violins(axes, at, self.returns)
        for number, (label, members) in enumerate(list(groups.items())[:LINES]):
            _line(axes, [at[i] for i in members], [self.returns[i] for i in members], label, number)
        more = f"; {len(groups) - LINES} more combinations are in the table" if len(groups) > LINES else ""
        curve.dress(axes, f"Returns over {', '.join(self.keys)}", self.title + more, along)
        if labels:
            axes.set_xticks(range(len(labels)), labels)
        return figure

    def __str__(self) -> str:
        lines = self.table()
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
        return "\n".join("  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)) for line in lines)


def statistics(values: Array) -> dict[str, float]:
    """Mean with its bootstrap interval, spread and quartiles of values [n]."""
    low, high = bootstrap_interval(values)
    five = ("min", "q25", "median", "q75", "max")
    quartiles = dict(zip(five, np.percentile(values, (0, 25, 50, 75, 100)), strict=True))
    found = {"mean": values.mean(), "low": low, "high": high, "std": values.std(), **quartiles}
    return {key: float(value) for key, value in found.items()}


def bootstrap_interval(values: Array, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The interval of the mean of values [n] by the percentile bootstrap; the same every time it is asked."""
    rng = np.random.default_rng(0)
    n = len(values)
    block = max(1, min(RESAMPLES, 1_000_000 // n))
    means = np.concatenate([values[rng.integers(n, size=(block, n))].mean(1) for _ in range(-(-RESAMPLES // block))])
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _short(value: Any) -> Any:
    return f"{value:.7g}" if isinstance(value, float) else value


def _positions(values: Sequence[Any]) -> tuple[list[float], list[str]]:
    """Where values stand on the axis: numbers at themselves, words side by side with labels."""
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return [float(value) for value in values], []
    named = list(dict.fromkeys(str(value) for value in values))
    return [float(named.index(str(value))) for value in values], named


def _violins(axes: Any, at: Sequence[float], returns: Sequence[Array]) -> None:
    """What the episodes of each point look like: every one a faint dot, their density around them."""
    gaps = np.diff(sorted(at))
    width = 0.8 * (gaps.min() if len(gaps) else 1.0)
    rng = np.random.default_rng(0)
    spread = [i for i, values in enumerate(returns) if np.ptp(values) > 0]  # no density of equal values
    if spread:
        bodies = axes.violinplot([returns[i] for i in spread], [at[i] for i in spread], widths=width, showextrema=False)
        for body in bodies["bodies"]:
            body.set_facecolor(curve.FAINT)
            body.set_alpha(0.35)
    for x, values in zip(at, returns, strict=True):
        aside = rng.uniform(-0.25, 0.25, len(values)) * width
        axes.plot(x + aside, values, ".", color=curve.FAINT, markersize=2.5, alpha=0.6)


def _line(axes: Any, at: Sequence[float], returns: Sequence[Array], label: str, number: int) -> None:
    order = np.argsort(at)
    x = np.array(at)[order]
    mean = np.array([returns[i].mean() for i in order])
    low, high = np.array([bootstrap_interval(returns[i]) for i in order]).T
    color = curve.INK if not label else f"C{number}"
    axes.errorbar(
        x, mean, yerr=(mean - low, high - mean), fmt="o-", color=color, markersize=5, capsize=4, linewidth=1.5,
        label=f"{label or 'mean'}, 95% interval" if number == 0 else label,
    )  # fmt: skip
