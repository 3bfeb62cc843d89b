"""The runtime stays as fast as its socket: ratios inside one run of a benchmark, never an absolute time.

The limits are about three times wider than what the runtime reaches or has to reach, so that a shared machine does not
trip them and a lost fast path does. Each gets three attempts, since somebody else's load can only make a ratio worse.
"""

from __future__ import annotations

import functools
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parent.parent.parent
ATTEMPTS = 3
RAW, OURS, MEMCPY = "raw pyzmq", "actorrl", "memcpy"


class Limit(NamedTuple):
    """`ours` divided by `theirs`, each the (contender, row) of a benchmark, is at most or at least so much."""

    script: str
    ours: str
    theirs: tuple[str, str]
    most: float | None = None
    least: float | None = None

    def holds(self, ratio: float) -> bool:
        return (self.most is None or ratio <= self.most) and (self.least is None or ratio >= self.least)


LIMITS = {
    "a call beside a raw echo": Limit("calls", "sync pinned", (RAW, "sync pinned"), most=2.1),
    "a call between actors beside one from the driver": Limit("calls", "actor pinned", (OURS, "sync pinned"), most=3.6),
    "pipelined calls beside a raw one-way push": Limit("calls", "pipelined", (RAW, "pipelined"), least=0.1),
    "tells beside a raw one-way push": Limit("calls", "tells", (RAW, "tells"), least=0.25),
    "an array there and back beside two memcpys": Limit("arrays", "10 MB", (MEMCPY, "10 MB"), least=0.08),
    "1 actor more beside a Python process": Limit("spawn", "one", (RAW, "one"), most=0.55),
    "8 actors more beside 1": Limit("spawn", "eight", (OURS, "one"), most=24),
}


@functools.cache
def measured(script: str, attempt: int) -> dict[str, dict[str, list[float]]]:
    """{contender: {row: rounds}} of a quick run, made once per attempt for all its rows."""
    with tempfile.TemporaryDirectory(prefix="pytest-b-") as out:
        contenders = [OURS, MEMCPY if script == "arrays" else RAW]
        command = [sys.executable, str(ROOT / "benchmarks" / f"{script}.py"), "--quick", "--out", out, "--only"]
        run = subprocess.run([*command, *contenders], capture_output=True, text=True, timeout=110)
        assert run.returncode == 0, run.stderr
        results: dict[str, Any] = json.loads((Path(out) / f"{script}.json").read_text())
    assert not results["skipped"], results["skipped"]
    return results["measured"]  # type: ignore[no-any-return]


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
def test_a_ratio_stays_within_its_limit(limit: Limit):
    seen = []
    for attempt in range(ATTEMPTS):
        columns = measured(limit.script, attempt)
        contender, row = limit.theirs
        seen.append(statistics.median(columns[OURS][limit.ours]) / statistics.median(columns[contender][row]))
        if limit.holds(seen[-1]):
            return
    wanted = f"at most {limit.most}" if limit.most is not None else f"at least {limit.least}"
    raise AssertionError(f"{limit.ours} / {limit.theirs}: expected {wanted}, found {[round(r, 3) for r in seen]}")
