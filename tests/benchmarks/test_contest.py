"""What the benchmarks' runner does with what a contender measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks"


def test_a_contender_whose_figure_is_no_number_is_left_out_and_told(tmp_path):
    script = tmp_path / "odd.py"
    script.write_text(
        textwrap.dedent("""
        '''Two contenders.'''
        from _contest import Row, contender, run

        @contender("actorrl")
        def ours(quick):
            return {"rate": 2.0}

        @contender("theirs")
        def theirs(quick):
            return {"rate": float("inf")}

        run(__doc__, [Row("rate", "steps", "/s", ("theirs", "rate"))])
        """)
    )
    ran = subprocess.run(
        [sys.executable, str(script), "--quick", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=110,
        env={**os.environ, "PYTHONPATH": str(BENCHMARKS)},
    )
    assert ran.returncode == 0, ran.stderr
    assert "theirs is left out: measured no number: rate inf" in ran.stderr
    results = json.loads((tmp_path / "odd.json").read_text())
    assert list(results["measured"]) == ["actorrl"]
