"""What a study found: its trials, the best of them, a YAML file that trains it, and a picture. `tune` returns it."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from actorrl.training import curve
from actorrl.training.candidate import LATE
from actorrl.training.judge import Row
from actorrl.training.search_space import Axis, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = 4
"""Panels of settings in a row."""
PRUNED = "#b9bec6"
ACROSS = 30
"""Letters of all ticks together that stand beside each other under a panel; longer ones are aslant."""
MARGIN = 0.07
"""Of a panel, on both sides of the values that there are."""


def best_steps(row: Row) -> int:
    """After how many steps a trial's best checkpoint was made; those of older studies call it `steps`."""
    return int(row.attributes.get("best_steps", row.attributes["steps"]))


class Tuning:
    """The trials of a study.

    Attributes:
        directory: of the study.
        keys: the settings that were varied, as dotted keys.
        rows: the trials that ended: `.number`, `.values`, `.state`, `.value`, `.reports`, `.attributes`.
    """

    def __init__(self, directory: Path, space: Sequence[Axis], rows: Sequence[Row], name: str) -> None:
        self.directory, self.rows, self.name = directory, list(rows), name
        self.keys, self._space = [axis.key for axis in space], list(space)

    @property
    def best(self) -> Row | None:
        """The trial with the highest mean return; of equals the one that needed the fewest steps. None before any."""
        done = [row for row in self.rows if row.state == "complete"]
        return max(done, key=lambda row: (row.value, -best_steps(row)), default=None)

    @property
    def best_values(self) -> dict[str, Any]:
        """Its settings: {dotted key: value}."""
        return dict(self.best.values) if self.best else {}

    @property
    def best_run(self) -> Path | None:
        """Its run directory."""
        return self.directory / "trials" / f"{self.best.number:04d}" if self.best else None

    @property
    def own(self) -> Row | None:
        """The trial with the experiment's own values, to be compared with; None before it ended, or where the search
        space does not hold them all."""
        return next((row for row in self.rows if row.attributes.get("own") == []), None)

    @property
    def late(self) -> int:
        """Of how many trials the judge had seen enough when training was over."""
        return sum(LATE in row.attributes for row in self.rows)

    def save(self, tree_of: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        """Write trials.csv, and best.yaml and tuning.png as soon as a trial ended well.

        Args:
            tree_of: makes the experiment, as YAML holds it, of a trial's values.
        """
        with (self.directory / "trials.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["trial", "state", "value", "best_steps", "steps", "seconds", *self.keys, "why"])
            for row in self.rows:
                about = [row.attributes.get(key, "") for key in ("best_steps", "steps", "seconds")]
                value = "" if row.value is None else f"{row.value:.7g}"
                values = [row.values[key] for key in self.keys]
                writer.writerow([row.number, row.state, value, *about, *values, row.attributes.get("why", "")])
        best = self.best
        if best is None:
            return
        head = (
            f"# Trial {best.number} of {len(self.rows)}: mean return {best.value:.1f} from `best`, after "
            f"{best_steps(best):,} steps; {self.compared}.\n"
            f"# Train it: actorrl train {self.directory / 'best.yaml'}\n"
        )
        tree = yaml.safe_dump(tree_of(best.values), sort_keys=False, allow_unicode=True)
        (self.directory / "best.yaml").write_text(head + tree)
        curve.save(self.draw(), self.directory / "tuning.png")

    @property
    def compared(self) -> str:
        """What the experiment's own values came to, in words."""
        own = self.own
        if own is None:
            return "no trial had all of the experiment's own values, to be compared with"
        if own is self.best:
            return "these are the experiment's own values, nothing was better"
        came = {"failed": "failed", "pruned": "were stopped early"}.get(own.state, f"came to {own.value or 0.0:.1f}")
        return f"the experiment's own values, trial {own.number}, {came}"

    def draw(self) -> Figure:
        """The trials in their order, and below the value over each setting."""
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

        lines = math.ceil(len(self.keys) / PANELS)
        figure = Figure(figsize=(9, 3.6 + 2.4 * lines), dpi=150, layout="constrained")
        grid = figure.add_gridspec(1 + lines, PANELS, height_ratios=[1.5, *[1.0] * lines])
        top = figure.add_subplot(grid[0, :])
        self._history(top)
        count = {state: sum(row.state == state for row in self.rows) for state in ("complete", "pruned", "failed")}
        late = f" ({self.late} worse than the median, too late to stop)" if self.late else ""
        said = f"{count['complete']} trials to the end{late}, {count['pruned']} stopped early, {count['failed']} failed"
        curve.dress(top, f"Tuning {self.name}", said, "trial")
        top.set_ylabel("mean return", color="#444444")
        top.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        for i, axis in enumerate(self._space):
            self._setting(figure.add_subplot(grid[1 + i // PANELS, i % PANELS]), axis)
        return figure

    def _history(self, axes: Any) -> None:
        done = [row for row in self.rows if row.state == "complete"]
        cut = [row for row in self.rows if row.state == "pruned" and row.value is not None]
        if cut:
            axes.plot([r.number for r in cut], [r.value for r in cut], "x", color=PRUNED, label="stopped early")
        axes.plot([r.number for r in done], [r.value for r in done], "o", color=curve.FAINT, label="to the end")
        if done:
            so_far = np.maximum.accumulate([row.value or 0.0 for row in done])
            axes.step([r.number for r in done], so_far, where="post", color=curve.INK, linewidth=2, label="best so far")
        if self.best:
            axes.plot([self.best.number], [self.best.value], "*", color=curve.BEST, markersize=15, label="best",
                      markeredgecolor="white", zorder=5)  # fmt: skip

    def _setting(self, axes: Any, axis: Axis) -> None:
        rows = [row for row in self.rows if row.value is not None and row.state != "failed"]
        for row in rows:
            x, whole = axis.place(row.values[axis.key]), row.state == "complete"
            axes.plot([x], [row.value], "o" if whole else "x", color=curve.FAINT if whole else PRUNED, markersize=4)
            if row is self.best:
                axes.plot([x], [row.value], "*", color=curve.BEST, markersize=11, markeredgecolor="white", zorder=5)
        _scale(axes, axis)
        axes.set_title(axis.key.removeprefix("agent."), fontsize=9, loc="left", color="#444444")
        axes.grid(True, color=curve.GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(colors="#666666", length=0, labelsize=7)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color("#bbbbbb")

    def __repr__(self) -> str:
        said = f"best {self.best.value:.1f}, trial {self.best.number}" if self.best else "none ended well"
        return f"<Tuning {self.directory}: {len(self.rows)} trials, {said}>"


def _scale(axes: Any, axis: Axis) -> None:
    """Across a panel: all of the space, whatever part of it was tried, with ticks at values that there are."""
    low, high = (0, len(axis.choices) - 1) if axis.choices else (axis.low, axis.high)
    if axis.log:
        axes.set_xscale("log")
        margin = (high / low) ** MARGIN
        axes.set_xlim(low / margin, high * margin)
    else:
        margin = (high - low) * MARGIN or 1.0
        axes.set_xlim(low - margin, high + margin)
    ticks = axis.ticks()
    axes.set_xticks([axis.place(value) for value in ticks], [short(value) for value in ticks])
    axes.set_xticks([], minor=True)
    if sum(len(short(value)) for value in ticks) > ACROSS:
        axes.tick_params(axis="x", rotation=20)
