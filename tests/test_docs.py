"""Every Python example in the README and the docs runs, and every make target they name exists.

Examples of other frameworks, fenced as ```python sb3 and so on, run where these are installed: beside us, or, as RLlib
wants another gymnasium than we do, where the variable PEERS_PYTHON names an interpreter.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


PEERS = {"sb3": ("stable_baselines3",), "rllib": ("ray", "tree", "lz4")}
"""The modules that a peer's examples need, by the word after ```python."""


def script_of(text: str, kind: str = "```python") -> str:
    """The page's ```python blocks as one script; the rest is blank lines, so that line numbers are the page's."""
    lines, inside = [], False
    for line in text.split("\n"):
        if line.startswith("```"):
            inside = line.strip() == kind
            line = ""
        lines.append(line if inside else "")
    return "\n".join(lines)


@each_page
def test_the_examples_of_a_page_run_from_top_to_bottom(page: Path, tmp_path: Path):
    script = script_of(page.read_text())
    if not script.strip():
        pytest.skip("no Python on this page")
    path = tmp_path / f"{page.stem}.py"
    path.write_text(script)
    environment = {**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}

    run = subprocess.run(
        [sys.executable, str(path)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=110
    )

    assert run.returncode == 0, f"the examples of {page.name} failed (line numbers are the page's):\n{run.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize(("page", "peer"), [(page, peer) for page in PAGES for peer in PEERS
                                            if f"```python {peer}" in page.read_text()],
                         ids=lambda value: getattr(value, "name", value))  # fmt: skip
def test_the_examples_of_a_peer_run_where_it_is_installed(page: Path, peer: str, tmp_path: Path):
    python = os.environ.get("PEERS_PYTHON", sys.executable)
    probe = f"import importlib.util as u; print([m for m in {PEERS[peer]} if u.find_spec(m) is None])"
    missing = subprocess.run([python, "-c", probe], capture_output=True, text=True, check=True).stdout.strip()
    if missing != "[]":
        pytest.skip(f"the examples of {peer} need {missing}, not installed")
    path = tmp_path / f"{page.stem}_{peer}.py"
    path.write_text(script_of(page.read_text(), f"```python {peer}"))

    run = subprocess.run([python, str(path)], cwd=tmp_path, capture_output=True, text=True, timeout=110)
    shutil.rmtree(Path(tempfile.gettempdir()) / "ray", ignore_errors=True)  # its logs; ours is a directory of the tests

    assert run.returncode == 0, f"the {peer} examples of {page.name} failed:\n{run.stderr}"


@each_page
def test_the_make_targets_a_page_names_exist(page: Path):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"(?:^|`)make ([\w-]+)", page.read_text(), re.M))

    assert named <= targets


@each_page
def test_the_files_a_page_links_to_exist(page: Path):
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []
