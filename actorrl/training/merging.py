"""The rows of several agents as rows of one run: the k-th of each together. The Runner books what comes out.

agent 0   row 1, row 2 ...   ┐
agent 1   row 1, row 2 ...   ┴──►  row 1 (both), row 2 (both) ...     steps: of all agents together
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from actorrl.rl.tracks import Episode
from actorrl.training.roles import Row

__all__ = ["Merged", "Merger", "merged"]

SUMMED = ("updates", "dropped_episodes")
"""Figures that are counts: of all agents together. The others are means over the agents."""


class Merged(NamedTuple):
    """One row of the run."""

    steps: int
    episodes: list[Episode]
    figures: dict[str, float]


class Merger:
    """Collects rows until every agent has given its k-th."""

    def __init__(self, agents: int) -> None:
        self._waiting: list[list[Row]] = [[] for _ in range(agents)]
        self._newest: dict[int, Row] = {}  # of each agent

    def add(self, row: Row) -> list[Merged]:
        """The rows that are whole now, oldest first."""
        self._waiting[row.agent].append(row)
        whole = []
        while all(self._waiting):
            whole.append(self._take())
        return whole

    def rest(self) -> list[Merged]:
        """What is left at the end, where some agents gave one row less than others."""
        left = []
        while any(self._waiting):
            left.append(self._take())
        return left

    def _take(self) -> Merged:
        rows = [rows.pop(0) for rows in self._waiting if rows]
        self._newest |= {row.agent: row for row in rows}
        return Merged(*rows[0][:3]) if len(self._waiting) == 1 else merged(rows, list(self._newest.values()))


def merged(rows: list[Row], newest: list[Row]) -> Merged:
    """One row of these; what is counted is taken from the newest row of every agent.

    Beside the figures of all stand those of each: `agent2.steps`, `agent2.updates`, `agent2.episode_return`.
    """
    figures: dict[str, float] = {}
    for name in dict.fromkeys(name for row in newest for name in row.figures):
        values = [row.figures[name] for row in (newest if name in SUMMED else rows) if name in row.figures]
        if values:
            figures[name] = float(np.sum(values) if name in SUMMED else np.mean(values))
    for row in sorted(newest, key=lambda row: row.agent):
        figures |= {f"agent{row.agent}.steps": row.steps, f"agent{row.agent}.updates": row.figures.get("updates", 0.0)}
    for row in rows:
        if row.episodes:
            mean = float(np.mean([episode.return_ for episode in row.episodes]))
            figures[f"agent{row.agent}.episode_return"] = mean
    episodes = [episode for row in rows for episode in row.episodes]
    return Merged(sum(row.steps for row in newest), episodes, figures)
