"""Callbacks are told what happens, log figures of their own, and end a run; `stop` ends one by time or return."""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import yaml

from actorrl import Central, Dataflow, DQNConfig, PPOConfig, QLearningConfig, SharedReplay, load, resume, train
from actorrl.cli.main import main
from actorrl.training import curve
from actorrl.training.callbacks import EVENTS
from actorrl.training.entry import prepare
from actorrl.training.evaluation import EvaluationPlan
from actorrl.training.experiment import Experiment
from actorrl.training.stopping import StopPlan

SMALL = DQNConfig(learning_starts=32, hidden_sizes=(8,), batch_size=8)
PLAN = EvaluationPlan(every=100, episodes=2, confirm=2, final=2)


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    monkeypatch.setattr(curve, "save", lambda figure, path: None)
    monkeypatch.setattr(curve, "draw", lambda *arguments: None)


class Everything:
    """Remembers every event, and logs the square of every return."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def on_episode_end(self, event):
        self.events.append(event)
        event.log(square=event.episode.return_**2)

    def remember(self, event):
        self.events.append(event)

    on_start = on_fragment = on_update = on_evaluation = on_checkpoint = on_end = remember

    def named(self, name):
        return [event for event in self.events if event.name == name]


class Failing:
    def on_update(self, event):
        raise KeyError("nobody home")


class Enough:
    """Ends the run with the first evaluation."""

    def on_evaluation(self, event):
        event.stop("seen enough")


def run_of(agent: Any = SMALL, *, steps: int = 300, **arguments: Any) -> Any:
    given = {"env": "CartPole-v1", "evaluation": PLAN, **arguments}
    return prepare(Experiment.of(agent, steps=steps, **given), "out").run()


def test_each_event_is_told_with_what_belongs_to_it():
    everything = Everything()
    run = run_of(callbacks=(everything,))

    assert {event.name for event in everything.events} == set(EVENTS)
    assert (everything.events[0].name, everything.events[-1].name) == ("on_start", "on_end")
    assert everything.events[0].config["agent"]["name"] == "dqn" and everything.events[0].directory == Path("out")
    assert sum(event.made for event in everything.named("on_fragment")) == 300
    assert len(everything.named("on_episode_end")) == run.metrics["episodes"][-1]
    assert {event.role for event in everything.named("on_fragment")} == {"agent"}
    assert everything.named("on_fragment")[-1].steps == 300
    assert "loss" in everything.named("on_update")[-1].figures
    assert sum(event.updates for event in everything.named("on_update")) == run.metrics["updates"][-1]
    assert [event.steps for event in everything.named("on_evaluation")] == [100, 200, 300]
    assert any(event.best and event.confirmed is not None for event in everything.named("on_evaluation"))
    assert everything.named("on_checkpoint")[-1].path == Path("out/checkpoints/latest")
    last = everything.named("on_episode_end")[-1]
    assert run.metrics["square"][run.metrics["steps"] == last.steps] == last.episode.return_**2
    assert "square" in Path("out/metrics.csv").read_text().splitlines()[0]


@pytest.mark.parametrize(("trainers", "engine"), [(1, "inline"), pytest.param(2, "processes", marks=pytest.mark.slow)])
def test_in_a_dataflow_a_fragment_is_one_round_of_one_explorer(trainers, engine):
    everything = Everything()
    flow = Dataflow(2, 2, trainers=trainers)
    run_of(PPOConfig(n_steps=8, batch_size=16), steps=96, callbacks=(everything,), arrangement=flow, engine=engine)

    fragments = everything.named("on_fragment")
    assert [event.made for event in fragments] == [16] * 6, "8 steps of 2 environments"
    assert [event.steps for event in fragments] == [16, 32, 48, 64, 80, 96]
    assert [event.role for event in fragments] == ["explorer 0", "explorer 1"] * 3


def test_of_several_agents_each_tells_of_its_own_steps():
    everything = Everything()
    run_of(callbacks=(everything,), arrangement=SharedReplay(2, 2), engine="inline")

    made = {"agent 0": 0, "agent 1": 0}
    for event in everything.named("on_fragment"):
        made[event.role] += event.made
    assert made == {"agent 0": 150, "agent 1": 150}


def test_updates_of_before_a_resume_are_not_told_again():
    first, then = Everything(), Everything()
    run_of(callbacks=(first,))
    more = resume("out", steps=400, callbacks=[then])

    told = [sum(event.updates for event in one.named("on_update")) for one in (first, then)]
    assert sum(told) == more.metrics["updates"][-1] and min(told) > 0


@pytest.mark.parametrize("arrangement", [None, Central(2), SharedReplay(2, 2)])
def test_a_callback_that_raises_ends_the_run_with_its_error_named(arrangement):
    with pytest.raises(RuntimeError, match=r"Failing.on_update failed at step \d+: KeyError: 'nobody home'") as raised:
        run_of(callbacks=[Failing], arrangement=arrangement, engine="inline")

    assert isinstance(raised.value.__cause__, KeyError)


def test_a_callback_can_end_the_run_with_everything_written():
    run = run_of(steps=100_000, callbacks=[Enough()])

    made = run.metrics["steps"][-1]
    assert 100 <= made < 100_000
    assert set(run.checkpoints) == {"best", "final"} and run.steps_of("final") == made == run.agent.steps


@pytest.mark.parametrize(
    ("callback", "said"),
    [
        (print, "a callback has some of the methods on_start, on_episode_end"),
        (type("Late", (), {"on_evaluate": print}), r"Late has a method on_evaluate, .*did you mean 'on_evaluation'"),
        (type("Needy", (), {"on_end": print, "__init__": lambda self, x: None}), "Needy cannot be made without arg"),
    ],
)
def test_what_is_no_callback_is_refused_before_anything_starts(callback, said):
    with pytest.raises(TypeError, match=said):
        train(SMALL, "CartPole-v1", steps=10, callbacks=[callback])
    assert not Path("runs").exists()


MODULE = """
class Counting:
    made = []
    def __init__(self, unit=1):
        self.count, self.unit = 0, unit
        Counting.made.append(self)
    def on_fragment(self, event):
        self.count += self.unit
        event.log(fragments=self.count)
    def state_dict(self):
        return {"count": self.count}
    def load_state_dict(self, state):
        self.count = state["count"]
"""


def test_a_file_names_callbacks_which_go_on_where_they_were(monkeypatch):
    Path("counting_house.py").write_text(MODULE)
    monkeypatch.syspath_prepend(".")
    tree = {"env": "FrozenLake-v1", "agent": {"name": "qlearning"}, "steps": 50}
    tree["callbacks"] = [{"name": "counting_house:Counting", "unit": 10}]
    Path("mine.yaml").write_text(yaml.safe_dump(tree))

    run = train("mine.yaml", run_dir="out")
    assert run.config["callbacks"] == tree["callbacks"]
    counted = run.metrics["fragments"][-1]
    assert counted >= 10

    assert resume("out", steps=90).metrics["fragments"][-1] > counted


def of_a_script(monkeypatch):
    kind = type("OfAScript", (), {"on_end": lambda self, event: None, "__module__": "__main__"})
    monkeypatch.setattr(sys.modules["__main__"], "OfAScript", kind, raising=False)
    return kind


@pytest.mark.parametrize("which", ["arguments", "default", "local", "script"])
def test_what_a_name_alone_does_not_make_again_is_passed_again(which, monkeypatch, capfd):
    Path("counting_house.py").write_text(MODULE)
    monkeypatch.syspath_prepend(".")
    sys.modules.pop("counting_house", None)
    counting = importlib.import_module("counting_house").Counting
    local = type("Local", (), {"on_end": lambda self, event: None})
    made = {"arguments": lambda: counting(10), "default": counting, "local": local, "script": of_a_script(monkeypatch)}
    run_of(callbacks=[made[which]()])
    monkeypatch.delattr(sys.modules["__main__"], "OfAScript")

    said = r"pass all of it again: resume\(run_dir, callbacks=\[...\]\) \(the callback .*(Counting|Local|OfAScript)"
    with pytest.raises(ValueError, match=said):
        resume("out", steps=400)
    assert main(["resume", "out", "--steps", "400"]) == 2 and "callbacks=[...]" in capfd.readouterr().err
    assert load("out").config["callbacks"][0] != "counting_house:Counting"
    assert resume("out", steps=400, callbacks=[made[which]()]).metrics["steps"][-1] == 400


def test_a_class_and_an_instance_that_takes_no_arguments_are_made_again_by_name(monkeypatch):
    Path("counting_house.py").write_text(MODULE + "class Plain:\n    def on_end(self, event): pass\n")
    monkeypatch.syspath_prepend(".")
    sys.modules.pop("counting_house", None)
    house = importlib.import_module("counting_house")

    run = run_of(callbacks=[house.Counting, house.Plain()])

    names = ["counting_house:Counting", "counting_house:Plain"]
    assert run.config["callbacks"] == load("out").config["callbacks"] == names
    assert resume("out", steps=400).metrics["fragments"][-1] > run.metrics["fragments"][-1]


def test_weights_and_biases_gets_config_figures_episodes_and_the_best_score(monkeypatch):
    logged: list[dict[str, Any]] = []
    session = types.SimpleNamespace(id="r1", summary={}, log=logged.append, finish=lambda: logged.append({"over": 1}))
    axes: list[Any] = []
    session.define_metric = lambda name, step_metric: axes.append((name, step_metric))
    begun: list[dict[str, Any]] = []
    wandb = types.ModuleType("wandb")
    wandb.init = lambda **options: (begun.append(options), session)[1]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    from actorrl.training.weights_and_biases import WeightsAndBiases

    run = run_of(callbacks=[WeightsAndBiases("cartpole", mode="offline")])

    assert (begun[0]["project"], begun[0]["mode"], begun[0]["name"]) == ("cartpole", "offline", "out")
    assert begun[0]["config"]["agent"]["name"] == "dqn"
    keys = {key for values in logged for key in values}
    assert {"train/loss", "episode/return", "evaluation/return"} <= keys
    assert (
        session.summary["best_return"]
        == run.metrics["best_return"][~(run.metrics["best_return"] != run.metrics["best_return"])][-1]
    )
    assert {"over": 1} in logged
    assert axes == [("*", "steps")] and all("steps" in values for values in logged if "over" not in values)


# -- stop ----------------------------------------------------------------------------------------------


def stopped(agent: Any, plan: StopPlan, **arguments: Any) -> Any:
    experiment = Experiment.of(agent, steps=10_000_000, **{"env": "CartPole-v1", **arguments})
    experiment.stop, experiment.evaluation = plan, PLAN
    return prepare(experiment, "out").run()


def test_stop_by_steps_is_exact_and_leaves_schedules_as_they_are():
    run = stopped(QLearningConfig(learning_rate_final=0.0), StopPlan(steps=130), env="FrozenLake-v1")

    assert run.metrics["steps"][-1] == 130
    assert run.metrics["learning_rate"][-1] == pytest.approx(0.1, rel=1e-4)


STREAMED = PPOConfig(n_steps=8, n_envs=2, batch_size=16)


@pytest.mark.parametrize(
    ("agent", "arrangement", "engine"),
    [
        (SMALL, None, "inline"),
        (SMALL, Central(2), "inline"),
        (SMALL, SharedReplay(2, 2), "inline"),
        (STREAMED, Dataflow(1, 2), "inline"),
        pytest.param(STREAMED, Dataflow(2, 2, mode="async"), "processes", marks=pytest.mark.slow),
        pytest.param(STREAMED, Dataflow(2, 2, trainers=2), "processes", marks=pytest.mark.slow),
    ],
)
def test_stop_by_time_ends_every_arrangement_with_everything_written(agent, arrangement, engine):
    run = stopped(agent, StopPlan(seconds=0.3), arrangement=arrangement, engine=engine)

    made = run.metrics["steps"][-1]
    assert made > 0 and set(run.checkpoints) == {"best", "final"}
    assert load("out").metrics["steps"][-1] == made


def test_stop_by_return_waits_for_a_confirmed_one_and_a_longer_run_goes_past_it(capfd):
    run = stopped(SMALL, StopPlan(return_=8.0))

    best = run.metrics["best_return"]
    assert best[best == best][-1] >= 8.0
    assert "ends here: a return of" in capfd.readouterr().err
    assert run.config["stop"]["return"] == 8.0
    made = run.metrics["steps"][-1]

    assert resume("out").metrics["steps"][-1] == made
    assert "is finished" in capfd.readouterr().err
    assert resume("out", steps=made + 50).metrics["steps"][-1] == made + 50
    assert "so stop.return: 8 holds no more: it ends at the new total of steps" in capfd.readouterr().err
    assert load("out").config["stop"] == dict.fromkeys(("steps", "seconds", "minutes", "return"))


def test_stop_is_read_from_a_file_and_refused_where_it_makes_no_sense():
    tree = {"env": "FrozenLake-v1", "agent": {"name": "qlearning"}, "steps": 50}

    plan = Experiment.from_tree({**tree, "stop": {"return": "1e1", "minutes": 2}}, "mine").stop
    assert plan == StopPlan(return_=10.0, minutes=2.0)
    with pytest.raises(ValueError, match=r"stop.retrun is not known; did you mean 'stop.return'"):
        Experiment.from_tree({**tree, "stop": {"retrun": 1}}, "mine")
    with pytest.raises(ValueError, match="minutes"):
        Experiment.from_tree({**tree, "stop": {"minutes": -1}}, "mine")
