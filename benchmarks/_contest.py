"""Owns how contenders are measured in turn: in one run, each in a process of its own, round after round.

A script marks functions with `@contender` and ends with `run(__doc__, ROWS)`. In each round every function runs once,
in the order they are written, in a fresh process that may be pinned to one core before anything is imported; what it
returns, {row: number}, goes into its contender's column.

    script ──► round 1:  raw pyzmq │ actorrl │ Ray │ ...      a process each, one after the other, so that the
               round 2:  raw pyzmq │ actorrl │ Ray │ ...      machine's moods fall on all; ratios are taken inside
               ...                                            a round, and medians over rounds

A contender that is not installed or fails is left out, with a line that says why.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import _pictures
import _report
import psutil

OURS = "actorrl"
MARK = "measured: "
PATIENCE = 240.0
"""Seconds one contender may take for one round."""

BUSY = 8.0
"""Percent of the cores, above which somebody is still at work."""

Measure = Callable[[bool], dict[str, float]]


@dataclass(frozen=True)
class Row:
    """One thing that is measured.

    Args:
        key: what contenders call it.
        label: what a reader calls it.
        unit: "µs", "ms", "s", "/s", "GB/s", "MB" or "" for a count.
        against: (contender, key) that ours is compared with; None compares with nothing.
        how: "ratio", ours divided by that, or "difference", ours minus that.
        must, aim: the targets, in words.
        picture: whether it has a panel; not where another row shows the same bars.
    """

    key: str
    label: str
    unit: str
    against: tuple[str, str] | None = None
    how: str = "ratio"
    must: str = ""
    aim: str = ""
    picture: bool = True


class _Entry(NamedTuple):
    name: str
    measure: Measure
    pinned: bool
    needs: tuple[str, ...]
    slow: bool


_entries: list[_Entry] = []


def contender(
    name: str, *, pinned: bool = False, needs: tuple[str, ...] = (), slow: bool = False
) -> Callable[[Measure], Measure]:
    """Enter a function that measures one round; its argument says whether the round is a quick one.

    Args:
        name: whose column the numbers go to; several functions may share it.
        pinned: its process and all that this starts share one core.
        needs: the modules it imports.
        slow: takes seconds to start, so `--quick` leaves it out.
    """

    def enter(measure: Measure) -> Measure:
        _entries.append(_Entry(name, measure, pinned, needs, slow))
        return measure

    return enter


def run(doc: str | None, rows: list[Row], rounds: int = 5) -> None:
    """The command line of a script: measure, print the table, write the JSON and the picture."""
    if sys.argv[1:2] == ["--contender"]:
        _one(int(sys.argv[2]), sys.argv[3] == "quick")
        return
    script = Path(sys.argv[0])
    chosen = _report.options(doc or "", rounds=rounds, more=_only)
    where = _report.machine()
    measured, skipped = _measure(chosen)
    results = {
        "title": (doc or script.stem).split("\n")[0],
        "command": f"python benchmarks/{script.name}" + (" --quick" if chosen.quick else ""),
        "machine": where,
        "rounds": chosen.rounds,
        "rows": [asdict(row) for row in rows],
        "measured": measured,
        "skipped": skipped,
    }
    print(table(results))
    size = _pictures.size(results)
    _report.save(chosen.out, script.stem, results, lambda figure: _pictures.draw(figure, results), size)


def _only(parser: argparse.ArgumentParser) -> None:
    names = list(dict.fromkeys(entry.name for entry in _entries))
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"these alone, of {', '.join(names)}")


def _measure(chosen: argparse.Namespace) -> tuple[dict[str, dict[str, list[float]]], dict[str, str]]:
    """{contender: {row: a number per round}}, and {contender: why it is left out}."""
    measured: dict[str, dict[str, list[float]]] = {}
    skipped: dict[str, str] = {}
    for number in range(chosen.rounds):
        for index, entry in enumerate(_entries):
            if entry.name in skipped or (chosen.only and entry.name not in chosen.only):
                continue
            missing = [name for name in entry.needs if importlib.util.find_spec(name) is None]
            why = f"{', '.join(missing)} is not installed" if missing else ""
            if entry.slow and chosen.quick and not chosen.only:
                why = why or "takes seconds to start; --quick leaves it out"
            numbers: dict[str, float] = {}
            if not why:
                _progress(f"round {number + 1} of {chosen.rounds}: {entry.name}")
                if not chosen.quick:
                    _await_quiet()
                numbers, why = _in_a_process(index, entry, chosen.quick)
            if why:
                skipped[entry.name] = why
                _progress("")
                print(f"{entry.name} is left out: {why}", file=sys.stderr)
            for key, value in numbers.items():
                measured.setdefault(entry.name, {}).setdefault(key, []).append(value)
    _progress("")
    return {name: columns for name, columns in measured.items() if name not in skipped}, skipped


def _await_quiet() -> None:
    """Return when the one before has left the cores, as some do only seconds after their end; or after ten of them."""
    end = time.monotonic() + 10.0
    while psutil.cpu_percent(0.3) > BUSY and time.monotonic() < end:
        pass


def _progress(text: str) -> None:
    """A line that the next one overwrites, for whoever watches."""
    if sys.stderr.isatty():
        print(f"\r{text:<60}\r", end="", file=sys.stderr, flush=True)


def _in_a_process(index: int, entry: _Entry, quick: bool) -> tuple[dict[str, float], str]:
    """What a contender measured, or why it could not."""
    command = [sys.executable, sys.argv[0], "--contender", str(index), "quick" if quick else "full"]
    core = {max(os.sched_getaffinity(0))} if entry.pinned and hasattr(os, "sched_setaffinity") else None
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=(lambda: os.sched_setaffinity(0, core)) if core else None,
    )
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return {}, f"no answer within {PATIENCE:.0f} s"
    finally:
        if process.poll() is None:  # too late, or Ctrl-C here, which a session of its own does not hear
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    lines = [line for line in out.splitlines() if line.startswith(MARK)]
    if process.returncode or not lines:
        last = [line for line in (err or out).splitlines() if line.strip()]
        return {}, f"failed: {last[-1].strip() if last else f'exit code {process.returncode}'}"
    numbers = json.loads(lines[-1][len(MARK) :])
    wrong = [f"{key} {value}" for key, value in numbers.items() if not math.isfinite(value)]
    return ({}, f"measured no number: {', '.join(wrong)}") if wrong else (numbers, "")


def _one(index: int, quick: bool) -> None:
    """The program of a contender's process."""
    numbers = _entries[index].measure(quick)
    print(f"\n{MARK}{json.dumps(numbers)}", flush=True)


# -- what is told of it ----------------------------------------------------------------------------


def compared(results: dict[str, Any], row: dict[str, Any]) -> float | None:
    """Ours beside what the row names: the median over rounds of the ratio, or of the difference."""
    measured = results["measured"]
    if row["against"] is None or row["key"] not in measured.get(OURS, {}):
        return None
    name, key = row["against"]
    if key not in measured.get(name, {}):
        return None
    pairs = list(zip(measured[OURS][row["key"]], measured[name][key], strict=False))
    return statistics.median(a / b if row["how"] == "ratio" else a - b for a, b in pairs)


def figure(value: float, unit: str) -> str:
    """A number with as many digits as it deserves."""
    if unit in ("/s", "") or value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def verdict(results: dict[str, Any], row: dict[str, Any]) -> str:
    """The comparison in words: "1.32 × raw pyzmq", "imports + 0.12 s"."""
    value = compared(results, row)
    if value is None:
        return ""
    name, key = row["against"]
    if name == OURS:
        name = next(other["label"] for other in results["rows"] if other["key"] == key)
    if row["how"] == "ratio":
        return f"{value:.2f} × {name}"
    return f"{name} {'+' if value >= 0 else '−'} {figure(abs(value), row['unit'])} {row['unit']}"


def table(results: dict[str, Any]) -> str:
    """The Markdown table of a run: a row per thing, a column per contender, ours with its spread."""
    measured = results["measured"]
    names = [name for name in measured if name != OURS]
    lines = []
    for row in results["rows"]:
        if not any(row["key"] in columns for columns in measured.values()):
            continue
        unit = row["unit"]
        ours = measured.get(OURS, {}).get(row["key"])
        cells = [f"{row['label']}, {unit}" if unit else row["label"]]
        cells.append(with_spread(ours, unit) if ours else "–")
        cells.append(verdict(results, row))
        for name in names:
            values = measured[name].get(row["key"])
            cells.append(figure(statistics.median(values), unit) if values else "–")
        lines.append(cells)
    title = f"Medians of {results['rounds']} interleaved rounds (min–max); {_report.described(results['machine'])}"
    text = _report.table(title, ["", OURS, "beside", *names], lines)
    return "\n".join([text, *[f"\nLeft out: {name}, {why}." for name, why in results["skipped"].items()]])


def with_spread(values: list[float], unit: str) -> str:
    """The median, and in brackets the smallest and the largest."""
    middle = figure(statistics.median(values), unit)
    if len(values) == 1:
        return middle
    return f"{middle} ({figure(min(values), unit)}–{figure(max(values), unit)})"
