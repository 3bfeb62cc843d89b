"""What the report makes of timeline.json: each role's time as shares of evenly wide columns. Pure functions.

bins of a role, some longer, some shorter, idle between ──► [phase, column] shares, which with idle sum to 1
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from actorrl.rl.stopwatch import PERIOD

__all__ = ["columns", "grouped", "shown"]

Array = np.ndarray
COLUMNS = 160
APART = 6
"""Up to so many roles of a kind are shown one by one, more of them as their mean."""
ORDER = ("runner", "trainer", "agent", "explorer", "policy server", "replay", "environment")
FIRST = ("environment step", "inference", "recording", "sampling", "update", "weights", "sending", "waiting")


def columns(bins: Sequence[Sequence[Any]], seconds: float, count: int = COLUMNS) -> dict[str, Array]:
    """Shares [count] of each phase in a role's time, of (start, end, busy, timed, {phase: seconds}) in order.

    What was busy but not timed is divided like what was timed: in the same bin, else in all of them.
    """
    whole = _sums(bins)
    shares: dict[str, Array] = {}
    edges = np.linspace(0.0, seconds, count + 1)
    width = seconds / count
    for start, end, busy, timed, phases in bins:
        split = phases if timed > 0 and phases else whole
        known = max(sum(split.values()), timed if split is phases else 0.0)
        if busy <= 0 or end <= start:
            continue
        overlap = np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], start), 0.0, None)
        density = busy / (end - start) * overlap / width
        told = {phase: value / known for phase, value in split.items()} if known > 0 else {}
        rest = 1.0 - sum(told.values())
        for phase, part in [*told.items(), *([("other", rest)] if rest > 1e-6 else [])]:
            shares[phase] = shares.get(phase, np.zeros(count)) + part * density
    return {phase: shares[phase] for phase in sorted(shares, key=_rank)}


def _sums(bins: Sequence[Sequence[Any]]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for *_, phases in bins:
        for phase, value in phases.items():
            sums[phase] = sums.get(phase, 0.0) + value
    return sums


def _rank(phase: str) -> tuple[int, str]:
    return (FIRST.index(phase) if phase in FIRST else len(FIRST), phase)


def grouped(roles: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Roles under the names they are shown by: each its own, or a kind of which there are many."""
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for role in roles:
        kinds.setdefault(_kind(role["role"]), []).append(role)
    made: list[tuple[str, list[Mapping[str, Any]]]] = []
    for kind in sorted(kinds, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name)):
        members = sorted(kinds[kind], key=lambda role: (len(role["role"]), role["role"]))
        if len(members) > APART:
            made.append((f"{len(members)} {kind}s, mean", members))
        else:
            made += [(role["role"], [role]) for role in members]
    return made


def _kind(role: str) -> str:
    return role.rstrip("0123456789").strip()


def shown(timeline: Mapping[str, Any]) -> dict[str, Any]:
    """What the page draws of a timeline."""
    ends = [one[1] for role in timeline["roles"] for one in role["bins"]]
    seconds = max([float(timeline["seconds"]), *ends, 1e-3])
    starts = _starts(timeline["roles"])
    roles = []
    for name, members in grouped(timeline["roles"]):
        each = [columns(role["bins"], seconds) for role in members]
        phases = sorted({phase for one in each for phase in one}, key=_rank)
        mean = {phase: np.mean([one.get(phase, np.zeros(COLUMNS)) for one in each], 0) for phase in phases}
        roles.append(
            {
                "role": name,
                "total": {phase: round(float(values.mean()), 5) for phase, values in mean.items()},
                "columns": {phase: np.round(values, 4).tolist() for phase, values in mean.items()},
                "windows": _windows(members[0], starts),
            }
        )
    return {"seconds": seconds, "roles": roles, "queues": timeline.get("queues", {})}


def _starts(roles: Sequence[Mapping[str, Any]]) -> list[float]:
    """When the windows that several roles have in common began: what is less than half a period apart is one."""
    starts: list[float] = []
    for start in sorted(spans[0][1] for role in roles for spans in role["windows"] if spans):
        if not starts or start - starts[-1] > PERIOD / 2:
            starts.append(start)
    return starts


def _windows(role: Mapping[str, Any], starts: Sequence[float]) -> list[dict[str, Any]]:
    """Windows of spans, each under the start of the common one that it belongs to."""
    told = []
    for spans in role["windows"]:
        at = max((start for start in starts if start <= spans[0][1]), default=0.0)
        told.append({"at": round(at, 2), "spans": spans})
    return told
