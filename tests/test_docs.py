"""Every Python example in the README and the docs runs, every YAML example and command is what the product reads, and
every make target they name exists.

Examples of other frameworks, fenced as ```python sb3 and so on, run where these are installed: beside us, or, as RLlib
wants another gymnasium than we do, where the variable PEERS_PYTHON names an interpreter.
"""

from __future__ import annotations

import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    temporary = Path(tempfile.gettempdir())  # a directory of the tests, where the peers leave their logs
    for logs in (temporary / "ray", *temporary.glob("SB3-*")):
        shutil.rmtree(logs, ignore_errors=True)

    assert run.returncode == 0, f"the {peer} examples of {page.name} failed:\n{run.stderr}"


def blocks(kind: str) -> list[Any]:
    """The ```kind blocks of every page, with the line that each begins in; those with a word behind it are others'."""
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in re.finditer(rf"^```{kind}\n(.*?)^```", text, re.M | re.S):
            line = text.count("\n", 0, match.start()) + 1
            found.append(pytest.param(match[1], id=f"{page.name}:{line}"))
    return found


@pytest.mark.parametrize("text", blocks("yaml"))
def test_yaml_examples_are_experiments_or_search_spaces(text: str, tmp_path: Path, monkeypatch):
    import yaml

    from actorrl.training.experiment import read
    from actorrl.training.search_space import check_space, space_of

    whole = {"env": "CartPole-v1", "agent": {"name": "ppo"}, "arrangement": {"name": "central"}, "steps": 1_000}
    said = yaml.safe_load(text)
    if all("." in key for key in said):
        check_space(space_of(said), whole, "example")
        return
    mine: Any = types.ModuleType("my_module")  # where an example has something of one's own
    mine.Patience = type("Patience", (), {"on_end": print})
    monkeypatch.setitem(sys.modules, "my_module", mine)
    rest = {key: value for key, value in whole.items() if key not in said}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(rest) + text)

    assert read(str(tmp_path / "mine.yaml")).checked().steps


class Reached(BaseException):
    """A command was read to its end, and would begin to work."""


WORK = {
    "train": ("actorrl.training.entry.prepare", "actorrl.training.trial.dry_run"),
    "evaluate": ("actorrl.training.run.load",),
    "resume": ("actorrl.training.resuming.prepare_resume",),
    "plot": ("actorrl.training.views.overlay.read",),
    "report": ("actorrl.training.views.overlay.existing",),
    "sweep": ("actorrl.cli.sweep.load",),
    "tune": ("actorrl.cli.tune.study",),
}
"""What each command calls first, once it has read its options; list and show do no more than read."""


def commands(text: str) -> list[list[str]]:
    """The words of every `actorrl ...` line: without comments, variables put before it, and with 1 for `$seed`."""
    lines = [shlex.split(re.sub(r"\$\w+", "1", line), comments=True) for line in text.replace("\\\n", " ").split("\n")]
    lines = [line[next((i for i, word in enumerate(line) if "=" not in word), 0) :] for line in lines]
    return [line[1:] for line in lines if line[:1] == ["actorrl"]]


@pytest.fixture
def reads(tmp_path: Path, monkeypatch, capsys) -> Callable[[list[str]], None]:
    """Reads a command as `main` does, up to its work; what it writes with `> file` is there for the next one."""
    from actorrl.cli.main import main

    def reached(*arguments: Any, **keywords: Any) -> None:
        raise Reached

    def read(words: list[str]) -> None:
        command, _, file = (words[: words.index(">")], *words[words.index(">") :]) if ">" in words else (words, "", "")
        try:
            code = main(command)
        except Reached:
            return
        out, err = capsys.readouterr()
        assert code == 0 and command[0] not in WORK, f"actorrl {shlex.join(command)}: {err}"
        if file:
            Path(file).write_text(out)

    monkeypatch.chdir(tmp_path)
    names = sum(WORK.values(), ())
    for name in names:  # first: a module imported later would take what is put here for the thing itself, for good
        pkgutil.resolve_name(name)
    for name in names:
        monkeypatch.setattr(name, reached)
    return read


@pytest.mark.parametrize("text", [block for block in blocks("sh") if "actorrl " in str(block.values[0])])
def test_the_commands_of_examples_are_read_to_their_ends(text: str, reads):
    found = commands(text)

    for words in found:
        reads(words)
    assert len(found) == len(re.findall(r"^ *(?:\w+=\S+ )?actorrl ", text, re.M))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("actorrl trian cartpole", "there is no command 'trian'"),
        ("for seed in 1 2; do\n    actorrl train cartpole --sead $seed\ndone", "sead is not known"),
        ("A=1 actorrl evaluate run --episode 3  # three", "evaluate has no option --episode"),
        ("actorrl train cartpole \\\n    --agent.gama 0.9", "agent.gama is not known"),
        ("actorrl sweep run --gravity 1,2", "sweep has no option --gravity"),
        ("actorrl tune cartpole --trails 3", "trails is not known"),
    ],
)
def test_a_command_that_nobody_would_understand_is_found(line: str, said: str, reads):
    (words,) = commands(line)

    with pytest.raises(AssertionError, match=said):
        reads(words)


@each_page
def test_the_make_targets_a_page_names_exist(page: Path):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"(?:^|`)make ([\w-]+)", page.read_text(), re.M))

    assert named <= targets


@each_page
def test_the_files_a_page_links_to_exist(page: Path):
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []
