"""What a type checker sees: spawning and remote functions are typed, methods of a ref are calls that give futures."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from scripts import ROOT

PROGRAM = """
from __future__ import annotations
from dataclasses import dataclass
from typing import Any
from actorrl import ActorRef, Future, fetch, remote, startat

@dataclass
class Counter:
    value: int = 0

@remote
def add(counter: Counter, n: int, by: float = 1.0) -> int:
    return counter.value + n

@remote
class Account:
    def __init__(self, balance: int) -> None:
        self.balance = balance
    def deposit(self, n: int) -> int:
        return n

ref = startat(2, Counter, 0)
reveal_type(ref)  # R: ActorRef[Counter]
reveal_type(add(ref, 10))  # R: Future[int]
reveal_type(add(Counter(0), 10))  # R: int
reveal_type(ref.anything)  # R: Future[Any]
reveal_type(Account(3).deposit(1))  # R: int
reveal_type(fetch(add(ref, 10)))  # R: "int"
startat(2, Counter, "zero")  # E
add(ref, "ten")  # E
add(Counter(0))  # E
"""


def test_spawning_and_functions_are_typed(tmp_path: Path):
    pytest.importorskip("mypy")
    program = tmp_path / "typed.py"
    program.write_text(PROGRAM)
    # The packages of others are not followed: torch alone would take a minute.
    options = ["--no-site-packages", "--ignore-missing-imports", "--config-file="]
    found = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(program)],
        capture_output=True,
        text=True,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        cwd=tmp_path,
    )
    said: dict[int, str] = {}
    for line in found.stdout.splitlines():
        if line.startswith("typed.py:"):
            _, number, text = line.split(":", 2)
            said[int(number)] = said.get(int(number), "") + re.sub(r"\b\w+\.", "", text)  # names without modules

    for number, line in enumerate(PROGRAM.splitlines(), 1):
        if "# R: " in line:
            assert line.split("# R: ")[1] in said.get(number, ""), f"{line}\n{said.get(number)}"
        elif "# E" in line:
            assert "error" in said.get(number, ""), f"accepted: {line}"
        else:
            assert "error" not in said.get(number, ""), f"{line}\n{said[number]}"
