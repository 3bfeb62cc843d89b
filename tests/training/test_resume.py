"""Stop and resume: as if it had never been stopped, from the last whole checkpoint, whatever cut the run off."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import strays
from small_agents import Corridor, Saved, Tabular

from actorrl import (
    A2CConfig,
    Central,
    Dataflow,
    DQNConfig,
    ImpalaConfig,
    PPOConfig,
    QLearningConfig,
    ReinforceConfig,
    SACConfig,
    SharedReplay,
    TD3Config,
    resume,
)
from actorrl.rl import explorer, tables
from actorrl.training import arrays_file, checkpoints, curve, entry, explorer_role, roles, saving, trainer_role
from actorrl.training.entry import prepare
from actorrl.training.evaluation import EvaluationPlan
from actorrl.training.experiment import Experiment
from actorrl.training.roles import Snapshot
from actorrl.training.runner import Runner

CLOCK = {"seconds", "steps_per_second"}
PLAN = EvaluationPlan(every=100, episodes=2, confirm=2, final=2)
QUICK = {"learning_starts": 32, "hidden_sizes": (8,), "batch_size": 8, "buffer_size": 150}

for name, kind, limit in (
    ("Short-v0", "gymnasium.envs.classic_control:CartPoleEnv", 20),
    ("Swing-v0", "gymnasium.envs.classic_control:PendulumEnv", 20),
    ("Ice-v0", "gymnasium.envs.toy_text.frozen_lake:FrozenLakeEnv", 20),
):
    gymnasium.register(name, entry_point=kind, max_episode_steps=limit)


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    monkeypatch.setattr(curve, "save", lambda figure, path: None)
    monkeypatch.setattr(curve, "draw", lambda *arguments: None)


@pytest.fixture
def ctrl_c(monkeypatch):
    """Presses Ctrl-C at the first checkpoint, when the next slice has been made already; once it is told to."""
    told = []
    take = Runner._take

    def pressing(self: Runner, *report: Any) -> None:
        take(self, *report)
        if told and self._saver.written is not None:
            told.append(self)
            if len(told) == 2:
                signal.raise_signal(signal.SIGINT)
                told.clear()

    monkeypatch.setattr(Runner, "_take", pressing)
    return lambda: told.append(None)


class Drawing:
    """Acts by the global generators and by a table, which alone it saves."""

    def __init__(self) -> None:
        self.values = np.zeros(2)

    def get_action(self, observation, step):
        return random.randrange(2) if np.random.random() < 0.5 else int(self.values.argmax())

    def update(self, observation, action, reward, observation_next, terminated):
        self.values[action] += 0.1 * (reward + np.random.normal() - self.values[action])

    def state_dict(self):
        return {"values": self.values}

    def load_state_dict(self, state):
        self.values = np.array(state["values"])


@pytest.fixture
def in_small_slices(monkeypatch):
    """So that Ctrl-C is seen soon after it was pressed."""
    monkeypatch.setattr(explorer, "SLICE_SECONDS", 0.005)
    monkeypatch.setattr(roles, "SLICE_SECONDS", 0.005)
    monkeypatch.setattr(explorer_role, "SLICE_SECONDS", 0.005)
    monkeypatch.setattr(trainer_role, "SLICE_SECONDS", 0.005)


@pytest.fixture(autouse=True)
def with_frequent_resets(monkeypatch):
    monkeypatch.setattr(entry, "STEPS_BETWEEN_RESETS", (100, 100))


def run_of(agent: Any, env: str, run_dir: str, *, steps: int = 420, **arguments: Any) -> Any:
    return prepare(Experiment.of(agent, env=env, steps=steps, seed=5, evaluation=PLAN, **arguments), run_dir).run()


def same(one: Any, other: Any) -> None:
    assert set(one.metrics) == set(other.metrics)
    for column in set(one.metrics) - CLOCK:
        np.testing.assert_array_equal(one.metrics[column], other.metrics[column], err_msg=column)
    for which in ("best", "final"):
        states = [checkpoints.load_state(run.checkpoints[which]) for run in (one, other)]
        for key in states[0]:
            np.testing.assert_array_equal(states[0][key], states[1][key], err_msg=f"{which} {key}")


RAINBOW = DQNConfig(**QUICK, n_steps=3, prioritized=True, dueling=True)
SAC = SACConfig(**{**QUICK, "learning_starts": 40}, train_freq=3)
TD3 = TD3Config(**{**QUICK, "learning_starts": 40}, train_freq=2)
PPO = PPOConfig(n_steps=8, n_envs=2, batch_size=8, normalize_observation=True, normalize_reward=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("agent", "env", "arrangement"),
    [
        pytest.param(DQNConfig(**QUICK), "Short-v0", None, id="dqn"),
        pytest.param(RAINBOW, "Short-v0", None, id="rainbow"),
        pytest.param(RAINBOW, "Short-v0", Central(2), id="rainbow-inline"),
        pytest.param(DQNConfig(**QUICK), "Short-v0", SharedReplay(1, 1), id="dqn-shared"),
        pytest.param(RAINBOW, "Short-v0", SharedReplay(1, 2, together=True), id="rainbow-shared"),
        pytest.param(SAC, "Swing-v0", None, id="sac"),
        pytest.param(TD3, "Swing-v0", None, id="td3"),
        pytest.param(PPO, "Short-v0", None, id="ppo"),
        pytest.param(A2CConfig(n_steps=8, n_envs=2), "Short-v0", None, id="a2c"),
        pytest.param(ReinforceConfig(n_envs=2), "Short-v0", None, id="reinforce"),
        pytest.param(ImpalaConfig(n_steps=8, n_envs=2), "Short-v0", None, id="impala"),
        pytest.param(PPO, "Short-v0", Central(2), id="ppo-inline"),
        pytest.param(PPO, "Short-v0", Dataflow(1, 2), id="ppo-dataflow"),
        pytest.param(PPO, "Short-v0", Dataflow(2, 1), id="ppo-two-explorers"),
        pytest.param(RAINBOW, "Short-v0", Dataflow(2, 1, fragment_length=8), id="rainbow-dataflow"),
        pytest.param(Drawing(), "Short-v0", None, id="bare"),
        pytest.param(Drawing(), "Short-v0", Central(2), id="bare-inline"),
        pytest.param(QLearningConfig(), "Ice-v0", None, id="qlearning"),
    ],
)
def test_stopped_and_resumed_is_never_stopped_bit_for_bit(agent, env, arrangement, in_small_slices, ctrl_c):
    where = {"arrangement": arrangement, "engine": "inline" if arrangement else "processes", "steps": 330}
    whole = run_of(agent, env, "whole", **where)

    ctrl_c()
    with pytest.raises(KeyboardInterrupt, match="actorrl resume broken"):
        run_of(agent, env, "broken", **where)
    assert 0 < checkpoints.about(Path("broken/checkpoints/latest"))["steps"] < 330

    same(whole, resume("broken"))


def test_a_run_that_is_made_longer_is_the_longer_run(in_small_slices):
    config = DQNConfig(**QUICK, total_steps=500)
    whole = run_of(config, "Short-v0", "whole", steps=320)
    run_of(config, "Short-v0", "longer", steps=200)

    longer = resume("longer", steps=320)

    final = [checkpoints.load_state(run.checkpoints["final"]) for run in (whole, longer)]
    for key in final[0]:
        np.testing.assert_array_equal(final[0][key], final[1][key], err_msg=key)
    np.testing.assert_array_equal(whole.metrics["episode_return"], longer.metrics["episode_return"])


def test_a_longer_run_that_is_cut_off_goes_on_to_its_new_end(in_small_slices, ctrl_c, capfd):
    first = Experiment.of(DQNConfig(**QUICK), env="Short-v0", steps=420, evaluation=PLAN, stop={"steps": 200})
    prepare(first, "longer").run()
    ctrl_c()
    with pytest.raises(KeyboardInterrupt, match="actorrl resume longer"):
        resume("longer", steps=900)

    assert resume("longer").metrics["steps"][-1] == 900
    assert "is finished" not in capfd.readouterr().err


class Judged:
    """Remembers after how many steps each evaluation was of, and what came of it."""

    def __init__(self) -> None:
        self.told: list[tuple[int, float]] = []

    def on_evaluation(self, event):
        self.told.append((event.steps, event.evaluation.mean))


@pytest.mark.parametrize(
    ("agent", "env", "arrangement"),
    [
        pytest.param(DQNConfig(**QUICK), "Short-v0", None, id="dqn"),
        pytest.param(PPO, "Short-v0", Dataflow(1, 2), id="ppo-dataflow"),
        pytest.param(DQNConfig(**QUICK), "Short-v0", SharedReplay(2, 2), id="two-agents"),
    ],
)
def test_a_run_that_is_made_longer_judges_no_snapshot_again(agent, env, arrangement):
    before, after = Judged(), Judged()
    where = {"arrangement": arrangement, "engine": "inline" if arrangement else "processes"}
    first = run_of(agent, env, "longer", steps=400, callbacks=[before], **where)  # in one slice

    longer = resume("longer", steps=800, callbacks=[after])

    told = [steps for steps, _ in before.told + after.told]
    each = 2 if isinstance(arrangement, SharedReplay) else 1
    assert all(told.count(steps) == each for steps in told), told
    assert min(steps for steps, _ in after.told) > 400 and max(told) == 800
    assert len(set(longer.metrics["steps"])) == len(longer.metrics["steps"])
    count = len(first.metrics["steps"])
    for column in ("steps", "seconds", "evaluation_return", "best_return"):
        np.testing.assert_array_equal(longer.metrics[column][:count], first.metrics[column], err_msg=column)


def test_the_last_word_about_a_run_does_not_write_its_replay_table_again(monkeypatch):
    written, save = [], checkpoints.arrays_file.save

    def noting(path, values):
        written.append(path.name)
        save(path, values)

    monkeypatch.setattr(checkpoints.arrays_file, "save", noting)
    run_of(DQNConfig(**QUICK), "Short-v0", "done", steps=200)

    assert written[-1] == "run.npz" and written.count("training.npz") == written.count("run.npz") - 1
    there = saving.read(Path("done/checkpoints/latest"), trust=False, said=print)
    assert there is not None and there.steps == 200 and there.run["selection"]["waiting"] == []
    assert sorted(path.name for path in Path("done/checkpoints").iterdir()) == ["best", "final", "latest"]


@pytest.mark.slow
def test_ctrl_c_with_actors_keeps_the_very_step_and_resume_makes_the_rest(ctrl_c, capfd):
    ctrl_c()
    with pytest.raises(KeyboardInterrupt):
        run_of(DQNConfig(**QUICK), "Short-v0", "broken", steps=1_000, arrangement=Central(2))
    made = checkpoints.about(Path("broken/checkpoints/latest"))["steps"]

    run = resume("broken")

    assert made > 0 and f"goes on from step {made:,}" in capfd.readouterr().err
    assert run.metrics["steps"][-1] == 1_000 == run.agent.steps


def test_agents_that_share_a_table_go_on_with_it(in_small_slices, ctrl_c):
    ctrl_c()
    with pytest.raises(KeyboardInterrupt):
        run_of(DQNConfig(**QUICK), "Short-v0", "broken", arrangement=SharedReplay(2, 2), engine="inline")
    broken = saving.read(Path("broken/checkpoints/latest"), trust=False, said=print)
    assert broken is not None and broken.parts[0].table["inserted"] > 50
    assert [part.snapshot.agent for part in broken.parts] == [0, 1]

    run = resume("broken")

    assert run.metrics["steps"][-1] == 420
    assert [agent.steps for agent in run.agents] == [210, 210]


def test_without_the_buffer_a_run_fills_it_again_before_it_learns(in_small_slices, ctrl_c):
    plan = EvaluationPlan(every=100, episodes=2, confirm=2, final=2, checkpoint_buffer=False)
    experiment = Experiment.of(DQNConfig(**QUICK), env="Short-v0", steps=420, evaluation=plan)
    ctrl_c()
    with pytest.raises(KeyboardInterrupt):
        prepare(experiment, "broken").run()
    broken = saving.read(Path("broken/checkpoints/latest"), trust=False, said=print)
    assert broken is not None and broken.parts[0].table is None

    run = resume("broken")

    updates, steps = run.metrics["updates"], run.metrics["steps"]
    after = np.flatnonzero(steps > broken.steps)
    assert updates[after[0]] == updates[steps <= broken.steps][-1], "nothing is learned from a handful of rows"
    assert updates[-1] > updates[after[0]]


def test_an_agent_without_a_state_dict_goes_on_with_trust_only(in_small_slices, ctrl_c):
    ctrl_c()
    with pytest.raises(KeyboardInterrupt):
        run_of(Tabular(4), "Ice-v0", "broken")

    with pytest.raises(PermissionError, match="trust=True"):
        resume("broken")
    run = resume("broken", trust=True)
    assert run.metrics["steps"][-1] == 420 and run.agent.q


def test_what_has_no_name_is_given_again(in_small_slices, ctrl_c):
    class Local(Saved):
        """Cannot be made again by its name."""

    ctrl_c()
    with pytest.raises(KeyboardInterrupt):
        run_of(Local(2), lambda: gymnasium.wrappers.TimeLimit(Corridor(), 20), "broken")

    with pytest.raises(ValueError, match=r"resume\(run_dir, agent=...\)"):
        resume("broken")
    with pytest.raises(ValueError, match=r"resume\(run_dir, env=...\)"):
        resume("broken", agent=Local(2))
    run = resume("broken", agent=Local(2), env=lambda: gymnasium.wrappers.TimeLimit(Corridor(), 20))
    assert run.metrics["steps"][-1] == 420


class Kept:
    """Takes an argument that no file names."""

    def __init__(self, unit=1):
        self.unit = unit

    def on_end(self, event):
        pass


def short(environment):
    return gymnasium.wrappers.TimeLimit(environment, 20)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"callbacks": [Kept(3)]}, r"with: resume\('broken', callbacks=\[\.\.\.\]\)$"),
        ({"env": lambda: short(Corridor()), "callbacks": [Kept]}, r"with: resume\('broken', env=\.\.\.\)$"),
        ({"wrappers": [lambda e: short(e)]}, r"with: resume\('broken', wrappers=\[\.\.\.\]\)$"),
        ({"wrappers": [short, "time_limit"], "callbacks": [Kept]}, "with: actorrl resume broken$"),
        ({"agent": Tabular(4)}, "with: actorrl resume broken --trust$"),
        ({"agent": Tabular(2), "env": lambda: short(Corridor())}, r"resume\('broken', env=\.\.\., trust=True\)$"),
    ],
    ids=["callback", "env", "wrapper", "named", "pickle", "pickle-and-env"],
)
def test_ctrl_c_says_what_is_to_be_passed_again(given, said, in_small_slices, ctrl_c):
    ctrl_c()
    with pytest.raises(KeyboardInterrupt, match=said):
        run_of(**{"agent": QLearningConfig(), "env": "Ice-v0", "run_dir": "broken", **given})


def test_a_finished_run_says_so_and_a_total_below_what_was_made_is_refused(in_small_slices, ctrl_c, capfd):
    run_of(QLearningConfig(), "Ice-v0", "done", steps=60)

    assert resume("done").metrics["steps"][-1] == 60
    assert "done is finished, after 60 steps; give it more with --steps N" in capfd.readouterr().err
    assert resume("done", steps=60).metrics["steps"][-1] == 60
    assert resume("done", steps=90).metrics["steps"][-1] == 90

    ctrl_c()
    with pytest.raises(KeyboardInterrupt):
        run_of(QLearningConfig(), "Ice-v0", "broken")
    with pytest.raises(ValueError, match="steps is the new total"):
        resume("broken", steps=10)


# -- what is on the disk -------------------------------------------------------------------------------


class Killed(BaseException):
    """What SIGKILL leaves on the disk, without the death."""


class Written(saving.Saver):
    """Writes checkpoints of so many steps of each of its roles."""

    def __init__(self, roles: int) -> None:
        super().__init__(Path("checkpoints/latest"), roles, lambda: {"rows": 1})
        self.roles = roles

    def part(self, number: int, steps: int) -> None:
        training = {"practice": {"updates": None}, "weight": np.full(1000, steps)}
        self.take(number, roles.Saved(Snapshot(steps, None, {"steps": steps}, number), training, True))

    def at(self, steps: int) -> None:
        for number in range(self.roles):
            self.part(number, steps)


@pytest.fixture(params=[1, 2], ids=["one-role", "two-roles"])
def saver(request, monkeypatch):
    return Written(request.param)


def found(said=lambda text: None, roles=None):
    """The steps of the checkpoint there is, which every role in it has made; None where there is none."""
    resumption = saving.read(Path("checkpoints/latest"), trust=False, said=said)
    if resumption is None:
        return None
    steps = resumption.parts[0].snapshot.steps
    assert roles is None or len(resumption.parts) == roles
    for part in resumption.parts:
        assert part.snapshot.state["steps"] == part.snapshot.steps == steps
        assert part.training["weight"].tolist() == [steps] * 1000
    return steps


@pytest.mark.parametrize("call", range(18))
def test_whatever_moment_of_a_write_a_run_is_killed_in_there_is_a_whole_checkpoint(saver, call, monkeypatch):
    saver.at(1)
    saver.at(2)
    left = [call]

    def dying(act):
        def wrapped(*arguments, **keywords):
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return act(*arguments, **keywords)

        return wrapped

    monkeypatch.setattr(checkpoints, "_to_disk", dying(checkpoints._to_disk))
    monkeypatch.setattr(checkpoints.arrays_file, "save", dying(checkpoints.arrays_file.save))
    monkeypatch.setattr(Path, "rename", dying(Path.rename))
    monkeypatch.setattr(Path, "write_text", dying(Path.write_text))
    try:
        saver.at(3)
    except Killed:
        assert found(roles=saver.roles) in (2, 3)
    else:
        assert found(roles=saver.roles) == 3


def test_a_checkpoint_cut_short_is_never_taken_for_a_whole_one(saver):
    saver.at(1)
    saver.at(2)
    said = []
    for file in sorted(Path("checkpoints/latest").iterdir()):
        whole = file.read_bytes()
        for keep in (0, len(whole) // 2, len(whole) - 1):
            file.write_bytes(whole[:keep])
            assert found(said.append) == 1, file
        file.unlink()
        assert found(said.append) == 1, file
        file.write_bytes(whole)
        assert found() == 2
    assert "cut short" in said[0] or "not whole" in said[0]

    damaged = Path("checkpoints/latest/training.npz")
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 255
    damaged.write_bytes(content)
    assert found() == 1
    for file in Path("checkpoints/.latest.old").iterdir():
        file.unlink()
    assert found() is None


def test_parts_of_some_roles_are_no_checkpoint(monkeypatch):
    early, saver = Written(2), Written(2)
    early.part(0, 1)
    early.close()  # Ctrl-C before the other role has given anything
    assert found() is None

    saver.at(1)
    saver.part(0, 2)
    assert found(roles=2) == 1, "and so it is for whoever is killed here"
    saver.close()  # or breaks off here
    assert found(roles=2) == 1
    saver.part(0, 3)
    saver.part(1, 3)
    assert found(roles=2) == 3


@pytest.mark.slow
def test_a_run_killed_between_the_files_of_two_agents_goes_on_from_the_checkpoint_before(monkeypatch, in_small_slices):
    for module in (roles,):
        monkeypatch.setattr(module, "SHARE", 0.0)
    monkeypatch.setattr(roles, "MOST_SECONDS", 0.0)
    saved, save = [], checkpoints.arrays_file.save

    def dying(path, values):
        if path.name == "training-1.npz":
            saved.append(values["steps"])
            if len(saved) == 3:
                raise Killed
        save(path, values)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(checkpoints.arrays_file, "save", dying)
        run_of(DQNConfig(**QUICK), "Short-v0", "broken", arrangement=SharedReplay(2, 2), engine="inline")
    assert Path("broken/checkpoints/.latest.new/training.npz").exists(), "one agent's part of the third was written"
    broken = saving.read(Path("broken/checkpoints/latest"), trust=False, said=print)
    assert broken is not None and broken.parts[1].snapshot.steps == saved[1] < saved[2]

    run = resume("broken")

    assert run.metrics["steps"][-1] == 420 and [agent.steps for agent in run.agents] == [210, 210]


def test_a_checkpoint_of_another_format_is_named(saver, monkeypatch):
    saver.at(1)
    monkeypatch.setattr(checkpoints, "FORMAT", 3)
    monkeypatch.setattr(checkpoints, "IN_BLOCKS", 4)

    with pytest.raises(ValueError, match="has the format 2 of another version of actorrl, and this one reads 3 and 4"):
        checkpoints.about(Path("checkpoints/latest"))


def test_between_two_resets_a_run_that_is_killed_loses_no_more_than_seconds(monkeypatch, in_small_slices):
    monkeypatch.setattr(roles, "MOST_SECONDS", 0.0)
    monkeypatch.setattr(roles, "SHARE", 0.0)
    monkeypatch.setattr(entry, "STEPS_BETWEEN_RESETS", (1_000, 1_000))
    take = Runner._take

    def dying(self, report, number):
        take(self, report, number)
        if report.steps > 100 and report.saved is not None:
            raise Killed

    told = []

    class Told:
        def on_checkpoint(self, event):
            told.append(checkpoints.about(event.path)["steps"])

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Runner, "_take", dying)
        run_of(DQNConfig(**QUICK), "Short-v0", "broken", callbacks=(Told(),))
    assert told[-1] > 100, "the event says where it lies"
    broken = saving.read(Path("broken/checkpoints/latest"), trust=False, said=print)
    assert broken is not None and broken.steps > 100 and not broken.parts[0].exact

    assert resume("broken", callbacks=(Told(),)).metrics["steps"][-1] == 420


@pytest.mark.slow
def test_a_run_killed_with_sigkill_goes_on_and_one_that_lives_keeps_its_directory():
    script = (
        "from actorrl import train, QLearningConfig\n"
        "train(QLearningConfig(), 'FrozenLake-v1', steps=10**7, run_dir='out')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL, env=environment)
    try:
        strays.eventually(Path("out/checkpoints/latest").exists, within=60.0, what="no checkpoint")
        with pytest.raises(BlockingIOError, match=f"out is in use: process {process.pid} is training in it"):
            resume("out")
    finally:
        process.kill()
        process.wait()
    made = saving.read(Path("out/checkpoints/latest"), trust=False, said=print)
    assert made is not None

    run = resume("out", steps=made.steps + 100)

    assert run.metrics["steps"][-1] == made.steps + 100


def test_a_directory_nobody_ever_saved_in_begins_again(capfd):
    run_of(QLearningConfig(), "Ice-v0", "done", steps=60)
    shutil.rmtree("done/checkpoints")

    assert resume("done").metrics["steps"][-1] == 60
    assert "it begins again" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("cost", "due", "overdue"), [(0.0, 1.0, 9.0), (0.2, 4.0, 8.8), (2.0, 9.0, 7.0), (30.0, 30.0, 30.0)]
)
def test_a_checkpoint_that_takes_long_to_write_is_written_less_often_but_within_ten_seconds(
    cost, due, overdue, monkeypatch
):
    clock = [100.0]
    monkeypatch.setattr(roles.time, "monotonic", lambda: clock[0])
    timing = roles.Timing()
    with timing:
        clock[0] += cost / 2
    timing.written = cost / 2
    for seconds in (0.5, *(near + off for near in (due, overdue) for off in (-0.1, 0.1))):
        clock[0] = 100.0 + cost / 2 + seconds
        assert timing.due == (seconds > due) and timing.overdue == (seconds > overdue)


@pytest.mark.slow
@pytest.mark.parametrize("arrangement", [None, SharedReplay(1, 2), Dataflow(2, 1, fragment_length=8)])
def test_rows_of_a_replay_table_are_written_once_and_come_back_bit_for_bit(
    arrangement, monkeypatch, in_small_slices, ctrl_c
):
    monkeypatch.setattr(roles, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(roles, "SHARE", 0.0)
    where = {"arrangement": arrangement, "engine": "inline" if arrangement else "processes"}
    whole = run_of(RAINBOW, "Short-v0", "whole", **where)
    monkeypatch.setattr(tables, "BLOCK", 1_000)  # some twenty rows; there are 150
    written, save = [], arrays_file.save
    monkeypatch.setattr(arrays_file, "save", lambda path, state: written.append(path.name) or save(path, state))
    ctrl_c()
    with pytest.raises(KeyboardInterrupt):
        run_of(RAINBOW, "Short-v0", "broken", **where)

    same(whole, resume("broken"))
    rows = [name for name in written if name.startswith("rows-")]
    assert max(map(rows.count, rows)) < written.count("training.npz"), "each was written anew with every checkpoint"
    assert not Path("broken/checkpoints/latest/rows-0.npz").exists(), "its rows have all been overwritten"


def test_a_run_broken_off_while_its_last_snapshot_is_judged_goes_on_to_its_end(monkeypatch):
    whole = run_of(DQNConfig(**QUICK), "Short-v0", "whole")

    def broken(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Runner, "finish", broken)
        run_of(DQNConfig(**QUICK), "Short-v0", "broken")
    same(whole, resume("broken"))


def test_a_best_that_was_cut_short_is_forgotten(ctrl_c, in_small_slices):
    ctrl_c()
    with pytest.raises(KeyboardInterrupt):
        run_of(DQNConfig(**QUICK), "Short-v0", "broken")
    for file in Path("broken/checkpoints").glob("best/*.npz"):
        file.write_bytes(b"")

    run = resume("broken")

    assert run.steps_of("best") > 0 and run.evaluate(2, "best").mean > 0


@pytest.mark.parametrize("arrangement", [None, SharedReplay(2, 2)], ids=["alone", "shared"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_file_of_rows_costs_the_replay_table_and_not_the_run(
    arrangement, damage, monkeypatch, in_small_slices, capfd
):
    for limit in ("LEAST_SECONDS", "MOST_SECONDS", "SHARE"):
        monkeypatch.setattr(roles, limit, 0.0)
    take, latest = Runner._take, Path("broken/checkpoints/latest")

    def dying(self, report, number):
        take(self, report, number)
        if min(self._steps) > 60 and report.saved is not None and self._saver.path is not None:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Runner, "_take", dying)
        run_of(DQNConfig(**QUICK), "Short-v0", "broken", arrangement=arrangement, engine="inline")
    before = saving.read(latest, trust=False, said=print)
    assert before is not None and before.parts[0].table is not None
    names = list(latest.parent.rglob("rows-0.npz"))
    for rows in {path.stat().st_ino: path for path in names}.values():  # all checkpoints may have the same file
        content = bytearray(rows.read_bytes())
        content[len(content) // 2] ^= 255
        rows.write_bytes(content if damage == "changed" else content[:-1])
    for rows in names if damage == "gone" else ():
        rows.unlink()

    after = saving.read(latest, trust=False, said=lambda text: None)
    assert after is not None and after.steps > 0 and all(part.table is None for part in after.parts)
    assert resume("broken").metrics["steps"][-1] == 420
    assert "fills a new one" in capfd.readouterr().err
