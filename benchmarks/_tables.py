"""Rewrites the tables in README.md and benchmarks/README.md from the JSON files in benchmarks/results.

A table stands between `<!-- table NAME -->` and `<!-- end -->`: NAME is a benchmark's, or `goals`, which is every row
that has a target, or `price`, the few rows that the front page shows. `make bench` ends with this.
"""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import Any

import _contest
import _report
import gates as _gates
import shared_replay_lunarlander as _shared
import training as _training

HERE = Path(__file__).parent
PAGES = [HERE.parent / "README.md", HERE / "README.md"]
CONTESTS = ["calls", "arrays", "spawn", "vector_step", "replay_actor", "sampling", "training", "served"]
PRICE = ["sync pinned", "pipelined", "tells", "10 MB", "eight", "cold", "optimiser", "step"]
WHOLE = ["replay", "fragments", "env_cost", "scaling_model"]
"""Those that keep their table as it was printed."""
BLOCK = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def load(name: str) -> dict[str, Any] | None:
    """The results of a benchmark, if it has been run."""
    path = HERE / "results" / f"{name}.json"
    if not path.exists():
        return None
    results = json.loads(path.read_text())
    return results if "rows" in results else None


def goals() -> str:
    """Every row with a target: what must be, what we aim at, what was measured."""
    lines = []
    for results in filter(None, map(load, CONTESTS)):
        for row in results["rows"]:
            if row["must"] or row["aim"]:
                lines.append([row["label"], row["must"] or "–", row["aim"] or "–", *_found(results, row)])
    return _report.table("", ["", "must", "aim", "beside", "measured (min–max)"], lines).lstrip("\n")


def gates() -> str:
    """What each preset learns."""
    results = json.loads((HERE / "results" / "gates.json").read_text())
    head = [
        "preset",
        "steps",
        "`best` must",
        "`best`: median (seeds)",
        "`final`: median (seeds)",
        "minutes",
        "passed",
        "run",
    ]
    names = [name for name in _gates.GATES if name in results]
    where = {name: results[name]["machine"] for name in names}
    lines = [[*_gates.row(name, results[name]), f"{where[name]['date']}, {where[name]['cpu']}"] for name in names]
    newest = max(where.values(), key=lambda machine: str(machine["date"]))
    ran = (
        f"`python benchmarks/gates.py`: returns over 100 fresh greedy episodes; the newest {_report.described(newest)}."
    )
    return f"{_report.table('', head, lines)}\n\n{ran}".lstrip("\n")


def _found(results: dict[str, Any], row: dict[str, Any]) -> list[str]:
    values = results["measured"].get(_contest.OURS, {}).get(row["key"])
    if not values:
        return ["", "not yet"]
    return [_contest.verdict(results, row), f"{_contest.with_spread(values, row['unit'])} {row['unit']}".strip()]


def price() -> str:
    """A few rows beside the raw floor and the peers, for the front page."""
    lines, ran = [], []
    for results in filter(None, map(load, CONTESTS)):
        if any(row["key"] in PRICE for row in results["rows"]):
            ran.append(results)
        for row in results["rows"]:
            if row["key"] in PRICE:
                columns = results["measured"]
                cells = [columns.get(name, {}).get(row["key"]) for name in (_contest.OURS, "Ray", "xoscar")]
                ours, *peers = [
                    _contest.figure(statistics.median(cell), row["unit"]) if cell else "–" for cell in cells
                ]
                lines.append([f"{row['label']}, {row['unit']}", ours, _contest.verdict(results, row), *peers])
    if not ran:
        return ""
    table = _report.table("", ["", "actorrl", "beside", "Ray", "xoscar"], lines).lstrip("\n")
    scripts = " ".join(Path(results["command"].split()[1]).stem for results in ran)
    return (
        f'{table}\n\n`make bench SCRIPTS="{scripts}"`: medians of {ran[0]["rounds"]} interleaved rounds; '
        f"{_report.described(ran[0]['machine'])}."
    )


def contest(name: str) -> str | None:
    """The whole table of one benchmark, with its command."""
    results = load(name)
    if results is None:
        return None
    title, _, rest = _contest.table(results).partition("\n\n")
    return f"{rest}\n\n`{results['command']}`: {title[0].lower()}{title[1:]}."


def whole(name: str) -> str | None:
    """A table as it was printed, if it has been."""
    path = HERE / "results" / f"{name}.json"
    if not path.exists():
        return None
    results = json.loads(path.read_text())
    ran = f"`python benchmarks/{name}.py`, {results['how']}; {_report.described(results['machine'])}."
    return f"{results['table'].lstrip()}\n\n{ran}"


def shared() -> str | None:
    """The experiment with agents that share a replay table: what was learned, and how fast."""
    if not _shared.FILE.exists():
        return None
    parts = []
    for key, results in json.loads(_shared.FILE.read_text()).items():
        lines, _ = _shared.summary(results, int(key.split(", ")[1].split()[0]))
        ran = f"`python benchmarks/{_shared.FILE.stem}.py`, {key}; {_report.described(results['machine'])}."
        parts += [_report.table("", _shared.HEAD, lines).lstrip("\n"), ran]
        if "speed" in results:
            parts.append(_shared.told_of_speed(results["speed"]).lstrip("\n"))
    return "\n\n".join(parts)


def returns() -> str | None:
    """What PPO learns beside others' at equal hyperparameters and steps."""
    if not _training.RETURNS.exists():
        return None
    return _training.returns_table(json.loads(_training.RETURNS.read_text()))


def main() -> None:
    for page in PAGES:

        def fill(match: re.Match[str]) -> str:
            head, name, end = match.groups()
            made = {"goals": goals, "price": price, "gates": gates, "shared_replay": shared, "returns": returns}
            text = made[name]() if name in made else whole(name) if name in WHOLE else contest(name)
            return f"{head}\n{text}\n\n{end}" if text else match[0]

        before = page.read_text()
        after = BLOCK.sub(fill, before)
        page.write_text(after)
        print(f"{page.relative_to(HERE.parent)}: {'rewritten' if after != before else 'as it was'}")


if __name__ == "__main__":
    main()
