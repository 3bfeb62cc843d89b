"""Several runs in one picture, and what they are called there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from actorrl.cli.main import main
from actorrl.rl.dqn import DQNConfig
from actorrl.training import curve
from actorrl.training.run_directory import Metrics
from actorrl.training.views import captions, overlay

PNG = b"\x89PNG"


def config(name: str = "dqn", env="CartPole-v1", seed: int = 0, arrangement=None, **agent) -> dict:
    return {"env": env, "agent": {"name": name, **agent}, "arrangement": arrangement, "steps": 100, "seed": seed}


def a_run(path: Path, rows: int = 40, level: float = 0.0, **settings) -> Path:
    path.mkdir()
    (path / "config.yaml").write_text(yaml.safe_dump(config(**settings)))
    metrics = Metrics(path / "metrics.csv")
    for i in range(1, rows + 1):
        metrics.put(10 * i, {"seconds": i / 2, "episode_return": level + i, "loss": 1 / i})
    for i in range(10, rows + 1, 10):
        metrics.put(10 * i, {"evaluation_return": level + 2 * i, "evaluation_std": 1.0})
    metrics.write()
    return path


def labels(curves) -> list[list[str]]:
    return [[f"{line.label} ({line.seeds})" for line in panel.lines] for panel in overlay.panels(curves)]


def test_runs_that_differ_by_seed_are_one_line_and_other_settings_are_named(tmp_path):
    curves = [
        overlay.read(a_run(tmp_path / f"{rate}-{seed}", seed=seed, learning_rate=rate))
        for rate in (0.1, 0.2)
        for seed in (1, 2, 3)
    ]
    curves.append(overlay.read(a_run(tmp_path / "ppo", name="ppo", seed=7)))

    assert labels(curves) == [
        ["DQN · learning_rate 0.1 (3 seeds)", "DQN · learning_rate 0.2 (3 seeds)", "PPO (seed 7)"]
    ]


def test_what_does_not_change_learning_makes_no_other_line_of_a_run(tmp_path):
    old, new = a_run(tmp_path / "old", seed=1), a_run(tmp_path / "new", seed=2, learning_rate=DQNConfig().learning_rate)
    tree = {"stop": {"seconds": None}} | yaml.safe_load((new / "config.yaml").read_text())
    (new / "config.yaml").write_text(
        yaml.safe_dump({**tree, "evaluation": {"episodes": 3}, "callbacks": ["mine:Own"], "wrappers": []})
    )

    assert labels([overlay.read(old), overlay.read(new)]) == [["DQN (2 seeds)"]]


@pytest.mark.slow
def test_every_environment_has_a_panel_and_an_agent_one_colour_in_all_of_them(tmp_path):
    envs = ["CartPole-v1", "actorrl.rl.catch:Catch-v0", {"name": "CartPole-v1", "sutton_barto_reward": True}]
    curves = [
        overlay.read(a_run(tmp_path / f"{i}-{a}", env=env, name=a))
        for i, env in enumerate(envs)
        for a in ("dqn", "a2c")
    ]

    made = overlay.panels(curves)
    figure = overlay.draw(made)

    names = ["CartPole-v1", "Catch-v0", "CartPole-v1(sutton_barto_reward=True)"]
    assert [panel.environment for panel in made] == names
    assert [axes.get_title(loc="left") for axes in figure.axes] == names
    colours = [[line.get_color() for line in axes.get_lines()] for axes in figure.axes]
    assert colours[0] == colours[1] == colours[2] and len(set(colours[0])) == 2


def test_the_line_of_several_seeds_is_their_interquartile_mean_inside_its_band(tmp_path):
    curves = [
        overlay.read(a_run(tmp_path / str(seed), seed=seed, level=level)) for seed, level in enumerate((0, 10, 50))
    ]

    [axes] = overlay.draw(overlay.panels(curves)).axes

    *_, mean = axes.get_lines()
    (band,) = axes.collections
    steps, values = mean.get_data()
    middle = np.searchsorted(steps, 200)
    expected = np.interp(steps[middle], curves[0].x, curves[0].y) + (0 * 0.25 + 10 + 50 * 0.25) / 1.5
    assert values[middle] == pytest.approx(expected)
    around = band.get_paths()[0].vertices
    at = around[np.isclose(around[:, 0], steps[middle]), 1]
    assert at.min() < values[middle] < at.max()


def test_half_a_second_is_not_500_thousandths(tmp_path):
    curve = overlay.read(a_run(tmp_path / "run"), against="seconds")
    [axes] = overlay.draw(overlay.panels([curve]), against="seconds").axes
    label = axes.xaxis.get_major_formatter()

    assert [label(x, 0) for x in (0, 0.5, 2, 20_000)] == ["0", "0.5", "2", "20k"]


def test_where_there_are_more_lines_than_colours_no_two_look_the_same(tmp_path):
    curves = [overlay.read(a_run(tmp_path / str(i), rows=5, learning_rate=i / 100)) for i in range(1, 24)]

    [axes] = overlay.draw(overlay.panels(curves)).axes

    looks = {(line.get_color(), line.get_linestyle()) for line in axes.get_lines()}
    assert len(looks) == 23


def test_arrangements_are_named_in_words():
    central = {"name": "central", "environments": 4}

    assert captions.legends([config(), config(arrangement=central)]) == [
        "DQN · one process",
        "DQN · Central, 4 environments",
    ]
    flow = {"name": "dataflow", "explorers": 2, "environments_per_explorer": 8, "mode": "async"}
    assert captions.placed({"arrangement": flow}) == "Dataflow async, 2 explorers with 8 environments each"
    served = "Dataflow async, served, 2 explorers with 8 environments each"
    assert captions.placed({"arrangement": {**flow, "inference": "served"}}) == served
    shared = {"name": "shared-replay", "agents": 1, "environments": 2}
    assert captions.placed({"arrangement": shared}) == "SharedReplay, 1 agent, 2 environments"
    assert captions.title(config(arrangement=central, seed=3)) == (
        "DQN on CartPole-v1",
        "Central, 4 environments · seed 3",
    )


def test_of_many_settings_a_legend_names_three():
    one, two = config(a=1, b=1, c=1, d=1), config(a=2, b=2, c=2, d=2)

    assert captions.legends([one, two])[0] == "DQN · a 1 · b 1 · c 1 · …"


def test_agents_of_ones_own_are_called_by_their_class():
    assert captions.agent_name({"agent": {"name": "my.module:Outer.Mine"}}) == "Mine"
    several = {"name": "shared-replay", "agents": [{"name": "dqn"}, {"name": "dqn"}, {"name": "sac"}]}
    assert captions.agent_name({"agent": None, "arrangement": several}) == "DQN and SAC"


def test_smoothing_keeps_a_constant_and_has_no_spike_at_the_end():
    noisy = np.tile([0.0, 2.0], 60)

    assert overlay.smoothed(np.full(90, 3.0)).tolist() == [3.0] * 90
    assert abs(overlay.smoothed(noisy)[-1] - 1) < 0.5
    assert overlay.smoothed(np.array([5.0])).tolist() == [5.0]


@pytest.mark.slow
def test_the_command_draws_one_run_into_its_directory_and_several_into_one_picture(tmp_path, capsys):
    one, two = (str(a_run(tmp_path / name, seed=i)) for i, name in enumerate(("one", "two")))

    assert main(["plot", one]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'one' / 'curve.png'}\n"
    assert main(["plot", one, two, one]) == 0
    shown = capsys.readouterr()
    assert shown.out == "plot.png\n"
    assert shown.err == "CartPole-v1  DQN  2 seeds\n"
    assert main(["plot", one, two, "--out", "o.png", "--metric", "evaluation_return", "--against", "seconds"]) == 0
    for path in (tmp_path / "one" / "curve.png", Path("plot.png"), Path("o.png")):
        assert path.read_bytes().startswith(PNG)


def test_of_several_runs_those_that_have_nothing_to_draw_are_left_out_with_a_line_each(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(curve, "save", lambda figure, path: None)
    one, two = a_run(tmp_path / "one"), a_run(tmp_path / "two", seed=1)
    a_run(tmp_path / "fresh", rows=0)
    (a_run(tmp_path / "older") / "config.yaml").write_text("env: CartPole-v1\nlearner: dqn\n")
    (tmp_path / "tune-cartpole" / "trials").mkdir(parents=True)
    odd = [str(tmp_path / name) for name in ("fresh", "older", "tune-cartpole")]

    assert main(["plot", odd[0], str(one), *odd[1:], str(two)]) == 0
    said = capsys.readouterr()
    assert said.out == "plot.png\n"
    assert [line.split(":")[0] for line in said.err.splitlines()[:3]] == ["actorrl"] * 3
    for path, why in zip(odd, ("no finished episode yet", "written by an older", "not a run directory"), strict=True):
        assert [line for line in said.err.splitlines() if path in line and why in line]
    assert said.err.splitlines()[3:] == ["CartPole-v1  DQN  2 seeds"]

    assert main(["plot", odd[0], str(one)]) == 0
    assert capsys.readouterr().out == "plot.png\n", "not the curve.png of the run that is left"
    assert main(["plot", *odd]) == 2
    assert "actorrl: there is nothing to draw in any of these 3\n" in capsys.readouterr().err


def test_which_run_ends_a_band_long_before_the_others_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(curve, "save", lambda figure, path: None)
    runs = [str(a_run(tmp_path / str(seed), seed=seed, rows=rows)) for seed, rows in enumerate((40, 20, 39))]

    assert main(["plot", *runs]) == 0
    said = capsys.readouterr().err
    assert said == f"CartPole-v1  DQN  3 seeds, the band ends after 200 steps, where {runs[1]} does\n"

    assert main(["plot", runs[0], runs[2]]) == 0
    assert capsys.readouterr().err == "CartPole-v1  DQN  2 seeds\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere is not a run directory: there is no such directory"),
        (["parent"], "parent is not a run directory, but holds 2 of them: name these instead (parent/a, parent/b)"),
        (["parent/a", "--metric", "los"], "no column 'los' in metrics.csv; did you mean 'loss'?"),
        (["parent/b"], "parent/b has no finished episode yet"),
        (["parent/a", "--metrics", "loss"], "plot has no option --metrics; did you mean '--metric'?"),
        ([], "RUN_DIR"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_words(arguments, said, tmp_path, capsys):
    (tmp_path / "parent").mkdir()
    a_run(tmp_path / "parent" / "a")
    a_run(tmp_path / "parent" / "b", rows=0)

    assert main(["plot", *arguments]) == 2
    assert said in capsys.readouterr().err
