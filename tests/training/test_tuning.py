"""Tuning: the judge and its file, trials as actors, a study that goes on, and what is left of it."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import strays
import yaml

from actorrl import load, train, tune
from actorrl.actor.engine import active
from actorrl.cli.main import main
from actorrl.training import candidate, saving, tuning
from actorrl.training.search_space import space_of
from actorrl.training.tuning_results import Tuning

pytest.importorskip("optuna", reason="the extra `tune` is not installed")

from actorrl.training.judge import Judge, Row

TREE: dict[str, Any] = {
    "env": "CartPole-v1",
    "agent": {"name": "qlearning", "low": [-2.4, -3, -0.2, -3], "high": [2.4, 3, 0.2, 3]},
    "steps": 400,
    "evaluation": {"every": 100, "episodes": 2, "confirm": 3},
}
SEARCH = {"agent.learning_rate": {"low": 0.01, "high": 1.0, "log": True}, "agent.bins": [4, 8]}
SPACE = space_of(SEARCH)


def judge(path: str = "study.journal", **more) -> Judge:
    return Judge(path, SPACE, 7, 10, **more)


def end(one: Judge, value: float, reports=()) -> None:
    number = one.ask().number
    for evaluation, said in enumerate(reports, 1):
        one.report(number, evaluation, said)
    one.tell(number, "complete", value, steps=400, seconds=1.0)


@pytest.mark.slow
def test_a_study_goes_on_with_what_was_interrupted_and_draws_as_if_it_had_not_been():
    first, other = judge(), judge("other.journal")
    for one in (first, other):
        end(one, 3.0)
    lost = first.ask()

    again = judge()

    assert tuple(again.begin()) == (1, 1)
    going_on = again.ask()
    assert going_on.values == lost.values == other.ask().values
    assert (lost.before, going_on.before) == (None, lost.number), "it is the same trial under another number"
    assert [row.value for row in again.rows()] == [3.0], "what was interrupted is no trial"
    assert set(lost.values) == {"agent.learning_rate", "agent.bins"} and lost.values["agent.bins"] in (4, 8)


def test_a_study_begins_with_the_experiments_own_values_and_only_once():
    own = {"agent.learning_rate": 0.5, "agent.bins": 8}
    first = judge(own=own)
    first.begin()
    assert (tried := first.ask()).values == own and tried.own == []

    again = judge(own=own)

    assert again.begin().lost == 1, "it was interrupted, and is still the experiment's own"
    going_on = again.ask()
    assert (going_on.values, going_on.before, going_on.own) == (own, tried.number, [])
    again.tell(going_on.number, "complete", 3.0, steps=400)
    once_more = judge(own=own)
    once_more.begin()
    assert (drawn := once_more.ask()).values != own and drawn.own is None


def test_what_the_space_does_not_hold_is_drawn_for_the_first_trial():
    one = judge(own={"agent.bins": 8})
    one.begin()

    first = one.ask()

    assert first.own == ["agent.learning_rate"] and first.values["agent.bins"] == 8
    assert 0.01 <= first.values["agent.learning_rate"] <= 1.0


@pytest.mark.slow
def test_the_experiment_itself_is_tried_first_and_the_best_is_compared_with_it(capfd):
    tree = {**TREE, "agent": {**TREE["agent"], "learning_rate": 0.3, "bins": 8}, "search": SEARCH}
    Path("mine.yaml").write_text(yaml.safe_dump(tree))

    assert main(["tune", "mine.yaml", "--trials", "1", "--study", "study"]) == 0

    out, err = capfd.readouterr()
    assert yaml.safe_load(out.split("\n", 1)[1]) == {"agent.learning_rate": 0.3, "agent.bins": 8}
    assert "   the experiment's own\n" in err and "these are the experiment's own values, nothing was better\n" in err
    assert "; the run of the best trial is study/trials/0000\n" in err
    assert "these are the experiment's own values, nothing was better.\n" in Path("study/best.yaml").read_text()


@pytest.mark.slow
def test_a_trial_worse_than_the_median_is_stopped_after_the_first_fifth_and_never_where_nobody_wants_it():
    one, patient = judge(), judge("patient.journal", prune=False)
    for each in (one, patient):
        for value in (10.0, 11.0, 12.0, 13.0):
            end(each, value, [value] * 10)
    bad, good, waited = one.ask().number, one.ask().number, patient.ask().number

    assert [one.report(bad, evaluation, 1.0) for evaluation in (1, 2, 3)] == [False, False, True]
    assert not any(one.report(good, evaluation, 12.5) for evaluation in range(1, 11))
    assert not any(patient.report(waited, evaluation, 1.0) for evaluation in range(1, 11))

    one.tell(bad, "pruned", None, steps=30)
    assert one.rows()[-1].state == "pruned" and one.rows()[-1].reports == {1: 1.0, 2: 1.0, 3: 1.0}


@pytest.mark.slow
def test_trials_are_run_directories_and_the_same_call_goes_on():
    said: list[str] = []

    result = tune(TREE, trials=3, jobs=2, search=SEARCH, directory="study", say=said.append)

    assert len(said) == 3 and all("mean return" in line or "stopped" in line for line in said)
    best = result.best
    assert best is not None and best.value == max(row.value for row in result.rows if row.state == "complete")
    run = load(result.best_run)
    assert run.config["agent"]["learning_rate"] == best.values["agent.learning_rate"]
    assert "evaluation" in (result.best_run / "output.txt").read_text()
    assert active.engine is None

    more = tune(TREE, trials=5, search=SEARCH, directory="study", say=said.append)

    assert said[3] == "goes on after 3 trials" and len(said) == 6
    assert [row.number for row in more.rows] == [0, 1, 2, 3, 4]
    assert more.rows[:3] == sorted(result.rows, key=lambda row: row.number)
    with Path("study/trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert Path("study/tuning.png").read_bytes().startswith(b"\x89PNG")

    assert tune(TREE, trials=5, search=SEARCH, directory="study").rows == more.rows, "nothing is left to do"
    with pytest.raises(ValueError, match=r"holds another study: there agent.gamma is not given, here it is 0.5"):
        tune({**TREE, "agent": {**TREE["agent"], "gamma": 0.5}}, trials=5, search=SEARCH, directory="study")

    again = train("study/best.yaml", run_dir="again")
    tried = load(more.best_run)
    assert list(again.metrics["episode_return"]) == pytest.approx(list(tried.metrics["episode_return"]), nan_ok=True)


@pytest.mark.slow
def test_ctrl_c_leaves_a_study_that_goes_on_and_no_process(tmp_path: Path):
    Path("slow.yaml").write_text(yaml.safe_dump({**TREE, "steps": 200_000, "search": SEARCH}))
    command = [sys.executable, "-m", "actorrl", "tune", "slow.yaml", "--trials", "9", "--jobs", "2", "--study", "study"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True)
    assert process.stderr is not None
    while not list(Path("study/trials").glob("*/metrics.csv")):
        assert process.poll() is None, process.stderr.read()

    os.killpg(process.pid, signal.SIGINT)
    said = process.stderr.read()

    assert process.wait(30) == 130, said
    assert "interrupted; the same command goes on" in said and "Traceback" not in said
    study = tuning.study_of("slow.yaml", None, None, 0, "study")
    assert Judge(str(study.journal), study.space, 0, 10).begin().lost >= 1


@pytest.mark.slow
def test_a_trial_that_was_killed_goes_on_from_its_last_checkpoint():
    plan = {"every": 10_000, "episodes": 2, "confirm": 3}
    search = {"agent.learning_rate": {"low": 0.01, "high": 1.0}}
    tree = {"env": "FrozenLake-v1", "agent": "qlearning", "steps": 30_000, "evaluation": plan, "search": search}
    Path("slow.yaml").write_text(yaml.safe_dump(tree))
    command = [sys.executable, "-m", "actorrl", "tune", "slow.yaml", "--trials", "1", "--study", "study"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment, start_new_session=True)
    latest = Path("study/trials/0000/checkpoints/latest")
    strays.eventually(lambda: latest.exists() or process.poll() is not None, within=60.0, what="no checkpoint")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    strays.eventually(lambda: not strays.processes(os.environ[strays.MARK]))
    made = saving.read(latest, trust=False, said=print)
    assert made is not None and 0 < made.steps < 30_000

    said: list[str] = []
    result = tune("slow.yaml", trials=1, directory="study", say=said.append)

    assert said[0] == "goes on after 0 trials; 1 interrupted one goes on from its last checkpoint"
    (row,) = result.rows
    assert (row.number, row.state) == (1, "complete") and list(row.reports) == [1, 2, 3]
    assert f"goes on from step {made.steps:,}" in Path("study/trials/0001/output.txt").read_text()
    assert not Path("study/trials/0000").exists() and load(result.best_run).metrics["steps"][-1] == 30_000


@pytest.mark.slow
def test_trials_that_all_fail_end_the_study_with_the_reason():
    continuous = {**TREE, "env": "Pendulum-v1", "agent": {"name": "dqn"}}

    with pytest.raises(RuntimeError, match=r"the first 5 trials failed, the last one so: ValueError: .*DQNConfig"):
        tune(continuous, trials=9, search={"agent.gamma": {"low": 0.9, "high": 0.99}}, directory="study")

    with Path("study/trials.csv").open() as file:
        assert [row["state"] for row in csv.DictReader(file)] == ["failed"] * 5


PICTURED = space_of({"agent.gamma": {"low": 0.9, "high": 1.0}, "agent.bins": [[4, i] for i in range(9)]})


def rows(values: list[float | None], steps: list[int] | None = None) -> list[Row]:
    return [
        Row(i, {"agent.gamma": 0.9 + i / 100, "agent.bins": [4, i]}, "pruned" if value is None else "complete",
            value if value is not None else 1.0, {}, {"steps": 9, "best_steps": (steps or [9] * 9)[i]})
        for i, value in enumerate(values)
    ]  # fmt: skip


class Strict:
    """A judge, in this process, who has seen enough at once."""

    def __init__(self) -> None:
        self.told: list[int] = []

    def report(self, number: int, evaluation: int, value: float) -> bool:
        self.told.append(evaluation)
        return True


def test_a_trial_that_is_over_before_the_judge_speaks_is_complete_and_says_that_it_was_late(monkeypatch):
    monkeypatch.setattr(candidate, "fetch", lambda answer: answer)
    strict = Strict()

    outcome = candidate.Candidate(strict).train(TREE, "x", "trial", 0)

    assert outcome.state == "complete" and outcome.attributes["late"] == 100
    assert strict.told == [1, 2, 3, 4], "the others are compared with all of its evaluations"


def test_a_trial_that_was_over_when_it_was_interrupted_has_the_time_and_the_steps_of_all_its_run(monkeypatch):
    monkeypatch.setattr(candidate, "fetch", lambda answer: False)
    first = candidate.Candidate(Strict()).train(TREE, "x", "trial", 0)

    again = candidate.Candidate(Strict()).train(TREE, "x", "trial", 0)

    assert again.attributes == first.attributes and again.attributes["steps"] == 400
    assert again.attributes["best_steps"] in (100, 200, 300, 400)


def test_trials_that_could_not_be_stopped_in_time_are_told_in_the_picture():
    found = rows([1.0, 5.0, None])
    found[0].attributes["late"] = 4

    told = Tuning(Path(), PICTURED[:1], found, "x").draw().axes[0].get_title(loc="left")

    assert told == "2 trials to the end (1 worse than the median, too late to stop), 1 stopped early, 0 failed"


@pytest.mark.parametrize(
    ("begun", "said"),
    [
        ((1, 0), "goes on after 1 trial"),
        ((3, 1), "goes on after 3 trials; 1 interrupted one goes on from its last checkpoint"),
        ((1, 2), "goes on after 1 trial; 2 interrupted ones go on from their last checkpoints"),
    ],
)
def test_a_study_that_goes_on_counts_in_words(begun, said):
    assert tuning._goes_on(*begun) == said


def test_of_equal_trials_the_one_that_needed_the_fewest_steps_is_the_best():
    assert Tuning(Path(), PICTURED[:1], rows([1.0, 5.0, 5.0, None], [9, 9, 4, 1]), "x").best.number == 2
    assert Tuning(Path(), PICTURED[:1], rows([None]), "x").best is None


def test_what_the_experiments_own_values_came_to_is_told():
    found = rows([1.0, 5.0, None])
    compared = lambda one: Tuning(Path(), [], [row._replace(attributes=row.attributes | {"own": own})  # noqa: E731
                                               for row, own in zip(found, one, strict=True)], "x").compared  # fmt: skip

    assert compared([[], None, None]) == "the experiment's own values, trial 0, came to 1.0"
    assert compared([None, [], None]) == "these are the experiment's own values, nothing was better"
    assert compared([None, None, []]) == "the experiment's own values, trial 2, were stopped early"
    assert compared([["agent.gamma"], None, None]).startswith("no trial had all of the experiment's own values")


def test_the_picture_has_a_panel_per_setting():
    figure = Tuning(Path(), PICTURED, rows([1.0, None, 3.0]), "x").draw()

    assert [axes.get_title(loc="left") for axes in figure.axes[1:]] == ["gamma", "bins"]


def test_a_panel_has_the_scale_of_its_space_and_names_values_that_there_are():
    space = space_of({
        "agent.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "agent.n_epochs": {"low": 1, "high": 4},
        "agent.batch_size": [32, 64, 128],
    })  # fmt: skip
    row = Row(0, {"agent.learning_rate": 0.003, "agent.n_epochs": 2, "agent.batch_size": 64}, "complete", 1.0, {},
              {"steps": 9})  # fmt: skip

    trials, rate, epochs, batch = Tuning(Path(), space, [row], "x").draw().axes

    assert all(float(tick).is_integer() for tick in trials.get_xticks())
    assert rate.get_xscale() == "log" and epochs.get_xscale() == "linear"
    labels = [[tick.get_text() for tick in axes.get_xticklabels()] for axes in (rate, epochs, batch)]
    assert labels == [["0.0001", "0.001", "0.01"], ["1", "2", "3", "4"], ["32", "64", "128"]]
    assert not rate.get_xticklabels(minor=True)


@pytest.mark.parametrize(
    ("said", "ticks"),
    [
        ({"low": 0.0003, "high": 0.003, "log": True}, [0.0003, 0.001, 0.003]),
        ({"low": 1, "high": 64, "log": True}, [1, 3, 10, 30]),
        ({"low": 11, "high": 12, "log": True}, [11, 12]),
        ({"low": 1e-8, "high": 1.0, "log": True}, [1e-8, 1e-6, 1e-4, 1e-2, 1.0]),
        ({"low": 32, "high": 128, "step": 16}, [32, 64, 96, 128]),
        ({"low": 3, "high": 100}, [20, 40, 60, 80, 100]),
        ({"low": 1, "high": 2}, [1, 2]),
        ({"low": 0.9, "high": 1.0}, [0.9, 0.92, 0.94, 0.96, 0.98, 1.0]),
        ({"low": 0.1, "high": 0.9, "step": 0.2}, [0.1, 0.3, 0.5, 0.7, 0.9]),
        ([True, None, "a", [4, 4]], [True, None, "a", [4, 4]]),
    ],
)
def test_the_ticks_of_a_range_are_round_and_few_those_of_a_list_its_choices(said, ticks):
    (axis,) = space_of({"agent.x": said})

    assert axis.ticks() == (ticks if isinstance(said, list) else pytest.approx(ticks))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cartpol"], "did you mean 'cartpole'"),
        (["cartpole", "--trials", "0"], "trials must be at least 1"),
        (["cartpole", "--jobs", "0"], "jobs must be at least 1"),
        (["cartpole", "--agent.gama", "1"], "did you mean 'agent.gamma'"),
        (["mine.yaml"], "mine.yaml, line 2: agent.gama is not known"),
        (["cartpole", "--env", "CartPoule-v1"], "CartPoule-v1"),
        (["cartpole", "--search", "nothing.yaml"], "there is no file nothing.yaml"),
        (["cartpole", "--search", "empty.yaml"], "empty.yaml: a search space holds keys and their ranges"),
        (["cartpole", "--search", "list.yaml"], "list.yaml: a search space holds keys and their ranges"),
        (["cartpole", "--trails", "5"], "trails is not known"),
    ],
)
def test_misuse_of_tune_is_one_clear_line_and_nothing_is_made(arguments, said, capfd):
    Path("mine.yaml").write_text("env: CartPole-v1\nagent: {name: dqn, gama: 1}\nsteps: 100\n")
    Path("empty.yaml").touch()
    Path("list.yaml").write_text("- agent.gamma\n")

    assert main(["tune", *arguments]) == 2

    out, err = capfd.readouterr()
    assert out == "" and said in err.splitlines()[-1] and err.splitlines()[-1].startswith("actorrl: ")
    assert not Path("runs").exists()


@pytest.mark.parametrize("search", [{}, ["agent.gamma"]])
def test_a_search_that_is_no_mapping_or_an_empty_one_is_refused(search):
    with pytest.raises(ValueError, match=r"a search space holds keys and their ranges .*, found [{\[]"):
        tune(TREE, search=search)
    assert not Path("runs").exists()


def test_without_optuna_the_extra_is_named(monkeypatch):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "optuna" else found(name))

    with pytest.raises(ImportError, match=r"pip install 'actorrl\[tune\]'"):
        tune("cartpole")
