"""docs/guarantees.md names the tests that hold each promise: they exist, and no promise is without one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
ROWS = [line for line in (TESTS.parent / "docs" / "guarantees.md").read_text().splitlines() if line.startswith("|")]
PROMISES = [row for row in ROWS if row not in ("| promise | held by |", "|---|---|")]


def names_in(path: Path) -> set[str]:
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


def test_every_promise_names_tests_that_exist():
    missing = []
    for promise in PROMISES:
        names = re.findall(r"`([\w/]+\.py)::(\w+)`", promise)
        assert names, f"nothing holds: {promise}"
        missing += [f"{file}::{name}" for file, name in names if name not in names_in(TESTS / file)]

    assert len(PROMISES) > 30
    assert missing == []


def test_a_promise_is_one_sentence():
    for promise in PROMISES:
        assert promise.split("|")[1].strip().count(". ") == 0, promise
