"""Owns what every benchmark script shares: its options, the machine it ran on, its table, its JSON and its picture.

    options(__doc__) -> --quick, --rounds, --out      medians(rounds) -> one number per column
    machine()        -> what to print beside numbers   save(...)      -> NAME.json, NAME.png

The other files here are the benchmarks. A number without the machine, the date and the versions beside it is not a
result, so `save` writes them all, and `table` prints them.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
VERSIONS = [
    "actorrl",
    "pyzmq",
    "numpy",
    "torch",
    "gymnasium",
    "stable-baselines3",
    "tianshou",
    "torchrl",
    "cpprb",
    "ray",
    "sample-factory",
    "xoscar",
]


def options(
    doc: str, *, rounds: int = 5, more: Callable[[argparse.ArgumentParser], None] | None = None
) -> argparse.Namespace:
    """The command line of a benchmark; `doc` is its docstring and becomes the help text, `more` adds options."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round, to see that it runs; no result")
    parser.add_argument("--rounds", type=int, help=f"interleaved rounds, {rounds} unless told; medians are reported")
    parser.add_argument("--out", type=Path, help="folder for the JSON and the picture")
    if more is not None:
        more(parser)
    chosen = parser.parse_args()
    chosen.rounds = chosen.rounds or (1 if chosen.quick else rounds)
    chosen.out = chosen.out or HERE / "results" / ("quick" if chosen.quick else "")
    return chosen


def machine() -> dict[str, Any]:
    """Processor, cores, load, system, date, versions and commit of this run."""
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        cpu = next((line.split(":")[1].strip() for line in info.read_text().split("\n") if "model name" in line), cpu)
    versions = {}
    for package in VERSIONS:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pass
    git = subprocess.run(["git", "-C", HERE, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}".split("-")[0],
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
        "versions": versions,
        "commit": git.stdout.strip() or None,
    }


def described(where: dict[str, Any]) -> str:
    """The machine in one line, for under a table and in a picture."""
    versions = ", ".join(f"{name} {version}" for name, version in where["versions"].items())
    return (
        f"{where['date']}, {where['cores']} cores of {where['cpu']}, load {where['load']} at the start, "
        f"{where['system']}, Python {where['python']}, {versions}"
    )


def medians(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    """The median over the rounds of each column."""
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def spread(rounds: Sequence[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """The smallest and the largest over the rounds of each column."""
    return {name: (min(one[name] for one in rounds), max(one[name] for one in rounds)) for name in rounds[0]}


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, ready for the README, its columns aligned."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first, *rest = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        return "| " + " | ".join([first.strip().ljust(widths[0]), *rest]) + " |"

    rule = "|" + "|".join("-" * (w + 1) + ("-" if i == 0 else ":") for i, w in enumerate(widths)) + "|"
    return "\n".join([title, "", line(header), rule, *map(line, rows)])


def save(
    out: Path,
    name: str,
    results: dict[str, Any],
    draw: Callable[[Any], None],
    size: tuple[float, float] = (9, 5),
) -> None:
    """Write NAME.json, and NAME.png drawn by `draw(figure)` where matplotlib is installed; print where they are."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
    print(f"\nwrote {out / name}.json", end="")
    try:
        import matplotlib
    except ImportError:
        print("; no picture, which needs actorrl[cli]")
        return
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=120, layout="constrained")
    draw(figure)
    figure.supxlabel(textwrap.fill(described(results["machine"]), 150), fontsize=7, color="0.4")
    figure.savefig(out / f"{name}.png")
    print(f" and {name}.png")
