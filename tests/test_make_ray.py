"""What `make ray` runs: the conformance tests of the engine "ray", and all tests of tests/on_ray."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


@pytest.mark.slow
def test_make_ray_runs_the_tests_of_both_folders():
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    found = subprocess.run(
        [*command, "tests/conformance", "tests/on_ray"],
        capture_output=True,
        text=True,
        cwd=TESTS.parent,
        env={**os.environ, "ACTORRL_ENGINES": "ray"},
        timeout=100,
    ).stdout

    for path in (TESTS / "on_ray").glob("test_*.py"):
        assert f"on_ray/{path.name}::" in found, found[-2000:]
    assert "conformance/test_death.py::" in found
    assert "[processes" not in found
