"""`actorrl sweep` and `evaluate --render`: what comes out on stdout, in files, and of misuse."""

from __future__ import annotations

import re
import shutil
import subprocess

import gymnasium
import pytest

from actorrl.cli.main import main
from actorrl.cli.screen import screen
from actorrl.training.sweep_results import Sweep


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    where = str(tmp_path_factory.mktemp("run") / "moon")
    options = ["--agent.learning-starts", "50", "--agent.hidden_sizes", "[8]", "--arrangement", "none"]
    more = ["--evaluation.episodes", "1", "--evaluation.confirm", "1", "--evaluation.final", "1"]
    arguments = ["train", "cartpole-dqn", "--env", "LunarLander-v3", "--steps", "100", "--run-dir", where]
    assert main([*arguments, *options, *more]) == 0
    return where


@pytest.mark.slow
def test_sweep_prints_a_table_and_leaves_out_what_the_environment_refuses(run_dir, tmp_path, capfd):
    out = tmp_path / "out"

    options = ["--env.gravity", "-12,-10,-8", "--episodes", "6", "--jobs", "2", "--out", str(out)]
    assert main(["sweep", run_dir, *options]) == 0

    table, said = capfd.readouterr()
    head, *rows = table.splitlines()
    assert re.match(r"gravity +episodes +mean return +95% interval", head)
    assert [row.split()[:2] for row in rows] == [["-10", "6"], ["-8", "6"]]
    assert "left out gravity=-12, which the environment does not accept: gravity (current value: -12)" in said
    assert sorted(path.name for path in out.iterdir()) == ["episodes.csv", "summary.csv", "sweep.png"]


@pytest.mark.slow
def test_the_table_is_shown_where_it_cannot_be_saved(run_dir, tmp_path, capfd, monkeypatch):
    def full(*arguments):
        raise OSError("the disk is full")

    monkeypatch.setattr(Sweep, "save", full)

    options = ["--env.gravity", "-10", "--episodes", "2", "--jobs", "1", "--out", str(tmp_path / "out")]
    assert main(["sweep", run_dir, *options]) == 2

    table, said = capfd.readouterr()
    assert table.splitlines()[1].split()[:2] == ["-10", "2"] and "actorrl: the disk is full" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "there is nothing to vary"),
        (["--env.gravty", "-10"], "did you mean 'gravity'"),
        (["--env.gravity", "-10:-8"], "start:stop:count"),
        (["--env.gravity", "-20,-30"], "accepts none of these values; gravity=-20"),
        (["--env.gravity"], "--env.gravity needs a value"),
        (["--env.gravity", "*"], "* is no value"),
        (["--env.gravity", ":"], ": is no range"),
        (["--env.wind_power", "1", "--env.wind-power", "2"], "--env.wind-power is given twice: put all its values"),
        (["--env.gravity", "-10", "--out", "/dev/null"], "/dev/null must be a directory that can be written to"),
        (["--env.gravity", "-10", "--episodes", "0"], "episodes must be at least 1"),
        (["--env.gravity", "-10", "--jobs", "0"], "--jobs must be at least 1"),
        (["--episode", "3", "--env.gravity", "-10"], "did you mean '--episodes'"),
    ],
)
def test_misuse_of_sweep_is_one_clear_line(run_dir, arguments, said, capfd):
    assert main(["sweep", run_dir, *arguments]) == 2

    out, err = capfd.readouterr()
    assert out == "" and said in err and err.startswith("actorrl: ") and err.count("\n") == 1


def hide_the_displays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.slow
def test_episodes_are_shown_and_the_line_on_stdout_is_the_same(run_dir, capfd, monkeypatch):
    hide_the_displays(monkeypatch)
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    shown: list[str] = []
    lander, reset = gymnasium.envs.box2d.LunarLander, gymnasium.envs.box2d.LunarLander.reset
    monkeypatch.setattr(lander, "reset", lambda self, **how: shown.append(self.render_mode) or reset(self, **how))

    assert main(["evaluate", run_dir, "--episodes", "1", "--render"]) == 0

    out, err = capfd.readouterr()
    assert re.fullmatch(r"mean return -?\d+\.\d ± 0\.0 over 1 episodes\n", out)
    assert set(shown) == {"human"} and "there is no display" not in err


def test_without_a_display_it_says_that_nothing_will_be_seen(capfd, monkeypatch):
    hide_the_displays(monkeypatch)

    with screen():
        pass
    assert "there is no display (DISPLAY and WAYLAND_DISPLAY are not set)" in capfd.readouterr().err

    monkeypatch.setenv("DISPLAY", ":0")
    with screen():
        pass
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_a_display_that_is_not_there_is_one_clear_line(run_dir, capfd, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
    monkeypatch.setenv("DISPLAY", ":4711")

    assert main(["evaluate", run_dir, "--episodes", "1", "--render"]) == 2

    out, err = capfd.readouterr()
    assert out == "" and "--render found no screen that it could open a window on" in err


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="needs Xvfb (Debian's package xvfb)")
def test_a_window_opens_on_a_display(run_dir, capfd, monkeypatch):
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", "1", "-screen", "0", "800x600x24", "-nolisten", "tcp"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    try:
        monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
        monkeypatch.setenv("DISPLAY", f":{server.stdout.readline().strip()}")
        assert main(["evaluate", run_dir, "--episodes", "1", "--render"]) == 0
    finally:
        server.terminate()
        server.communicate()

    assert capfd.readouterr().out.startswith("mean return")
