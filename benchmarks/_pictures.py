"""Owns the picture of a contest: a panel per row, a bar per contender. Called by _contest.py.

Bars start at zero; within a panel lengths compare, and the title says which end is better.
"""

from __future__ import annotations

import statistics
import textwrap
from typing import Any

OURS = "actorrl"
COLORS = {"ours": "#4477aa", "floor": "#555555", "peer": "#bbbbbb"}
BETTER = {"/s": "more is better", "GB/s": "more is better", "%": "more is better"}
COLUMNS = 2
WIDE = 58
"""Letters that fit over a panel."""


def size(results: dict[str, Any]) -> tuple[float, float]:
    """Inches: as high as the panels need."""
    panels = _panels(results)
    heights = [max(len(bars) for _, bars in panels[at : at + COLUMNS]) for at in range(0, len(panels), COLUMNS)]
    return 11, 1.0 + sum(0.75 + 0.27 * height for height in heights)


def draw(figure: Any, results: dict[str, Any]) -> None:
    """Fill the figure."""
    panels = _panels(results)
    rows = [panels[at : at + COLUMNS] for at in range(0, len(panels), COLUMNS)]
    heights = [0.75 + 0.27 * max(len(bars) for _, bars in row) for row in rows]
    axes = figure.subplots(max(1, len(rows)), COLUMNS, squeeze=False, height_ratios=heights or None)
    for empty in axes.flat[len(panels) :]:
        empty.set_axis_off()
    for number, (row, bars) in enumerate(panels):
        beside = rows[number // COLUMNS]
        _panel(axes.flat[number], row, bars, slots=max(len(others) for _, others in beside))
    title = textwrap.fill(results["title"].replace("`", "").rstrip("."), 2 * WIDE - 16)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")


def _panels(results: dict[str, Any]) -> list[tuple[dict[str, Any], list[tuple[str, list[float]]]]]:
    """(row, [(contender, its rounds)]) of the rows that anybody measured; ours comes first."""
    measured = results["measured"]
    names = [name for name in (OURS, *measured) if name in measured]
    found = []
    for row in results["rows"]:
        if not row.get("picture", True):
            continue
        bars = [(name, measured[name][row["key"]]) for name in dict.fromkeys(names) if row["key"] in measured[name]]
        if row["against"] and row["against"][1] != row["key"]:  # beside another row: show that one
            name, key = row["against"]
            label = name if name != OURS else next(other["label"] for other in results["rows"] if other["key"] == key)
            bars += [(label, columns[key]) for columns in [measured.get(name, {})] if bars and key in columns]
        if bars:
            found.append((row, bars))
    return found


def _panel(axis: Any, row: dict[str, Any], bars: list[tuple[str, list[float]]], slots: int) -> None:
    from _contest import figure as written

    floor = row["against"][0] if row["against"] else None
    kinds = ["ours" if name == OURS else "floor" if name == floor else "peer" for name, _ in bars]
    middles = [statistics.median(values) for _, values in bars]
    spread = [
        [middle - min(values) for middle, (_, values) in zip(middles, bars, strict=True)],
        [max(values) - middle for middle, (_, values) in zip(middles, bars, strict=True)],
    ]
    places = range(len(bars))
    axis.barh(places, middles, color=[COLORS[kind] for kind in kinds], height=0.68)
    axis.errorbar(middles, places, xerr=spread, fmt="none", ecolor="0.15", elinewidth=0.9, capsize=2)
    longest = max(max(values) for _, values in bars) or 1.0
    for place, (_, values) in zip(places, bars, strict=True):
        text = f"{written(statistics.median(values), row['unit'])} {row['unit']}"
        axis.text(max(values) + 0.02 * longest, place, text, va="center", fontsize=8)
    axis.set_yticks(places, [name for name, _ in bars], fontsize=8.5)
    for label, kind in zip(axis.get_yticklabels(), kinds, strict=True):
        label.set_fontweight("bold" if kind == "ours" else "normal")
    axis.set_xlim(0, longest * 1.3)
    axis.set_ylim(slots - 0.4, -0.6)  # as high as the panel beside it, so that all bars are equally thick
    axis.set_xticks([])
    axis.spines[["top", "right", "bottom"]].set_visible(False)
    axis.spines["left"].set_bounds(-0.5, len(bars) - 0.5)
    axis.tick_params(axis="y", length=0)
    title = f"{row['label']} ({BETTER.get(row['unit'], 'less is better')})"
    axis.set_title(textwrap.fill(title, WIDE), loc="left", fontsize=9.5)
