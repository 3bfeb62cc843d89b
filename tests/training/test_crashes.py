"""Environments crash, training goes on: the steps are made, the broken episodes are dropped and counted."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from small_agents import Counting, Recorder, first_at
from strays import eventually

from actorrl import Central, DQNConfig, System, actors, errors, startat, train
from actorrl.actor.engine import active
from actorrl.rl.seeding import environment_seeds, seed_after
from actorrl.training.remote_lanes import RESTARTED, EnvironmentServer, RemoteLanes

LONG = 60.0


def kill_me() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def segfault() -> None:
    ctypes.string_at(0)


WAYS = {"SIGKILL": kill_me, "os._exit": lambda: os._exit(3), "segfault": segfault, "sys.exit": lambda: exit(4)}


class Mortal(Counting):
    """Counts, and does something fatal in step `at` of the first process that makes so many, of those that see `once`.

    `once` is a file; whoever can make it is the one.
    """

    def __init__(self, how: Any, once: Path | None, at: int = 20) -> None:
        super().__init__(limit=7)
        self.how, self.once, self.at, self.made = how, once, at, 0

    def step(self, action: Any) -> Any:
        self.made += 1
        if self.made == self.at and first_at(self.once):
            self.how()
        return super().step(action)


def recorder() -> Recorder:
    return Recorder(Counting.action_space)


@pytest.mark.parametrize("way", WAYS)
def test_an_environment_that_dies_is_started_again(way: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    run = train(recorder(), lambda: Mortal(WAYS[way], tmp_path / "once"), steps=300, arrangement=Central(3))

    assert run.metrics["steps"][-1] == 300 and run.metrics["dropped_episodes"][-1] == 1
    said = capfd.readouterr().err
    assert "1 episode was dropped" in said
    assert len([line for line in said.splitlines() if "of 3 died and was started again" in line]) == 1
    assert active.engine is None


def test_no_update_spans_the_crash_and_none_is_lost_or_made_twice(tmp_path: Path):
    """Counting observes 100 times the episode and the steps in it: what an agent is shown follows from its parts."""
    run = train(recorder(), lambda: Mortal(kill_me, tmp_path / "once"), steps=200, arrangement=Central(1))
    updates = run.agent.updates

    assert len(updates) == 200
    for observation, _, _, following, _ in updates:
        assert following[0] == observation[0] + 1, "the true next observation of the same episode"
    returns = run.metrics["episode_return"]
    assert np.nanmax(returns) == np.nanmin(returns) == 7, "no broken episode among the returns"


def test_an_environment_that_hangs_is_killed_and_started_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    run = train(
        recorder(),
        lambda: Mortal(signal.pause, tmp_path / "once"),
        steps=300,
        arrangement=Central(3, step_timeout=0.5),
    )

    assert run.metrics["steps"][-1] == 300 and run.metrics["dropped_episodes"][-1] == 1
    error = capfd.readouterr().err
    assert "did not answer a step within step_timeout=0.5 s, which counts as a crash: its process was killed" in error


def test_one_that_is_suspended_is_killed_too(tmp_path: Path):
    def suspend() -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    run = train(
        recorder(), lambda: Mortal(suspend, tmp_path / "once"), steps=200, arrangement=Central(2, step_timeout=0.5)
    )

    assert run.metrics["dropped_episodes"][-1] == 1


def test_an_environment_that_crashes_again_and_again_ends_the_run_with_its_first_error():
    with pytest.raises(RuntimeError, match=r"environment 0 of 1 died: .*SIGKILL.*21 deaths"):
        train(recorder(), lambda: Mortal(kill_me, None, at=10), steps=1000, arrangement=Central(1))
    assert active.engine is None


def test_an_environment_that_hangs_in_every_step_ends_the_run():
    class Asleep(Counting):
        def step(self, action: Any) -> Any:
            if os.getpid() != program:
                signal.pause()
            return super().step(action)

    program = os.getpid()
    with pytest.raises(RuntimeError, match=r"did not answer a step within step_timeout=0\.2 s.*needs a larger one"):
        train(recorder(), Asleep, steps=100, arrangement=Central(1, step_timeout=0.2))


def lanes_of(count: int, timeout: float = 5.0) -> RemoteLanes:
    """Lanes to environments in a system that runs; each has answered its reset."""
    servers = [startat(None, **RESTARTED)(EnvironmentServer)([Counting], raw=True) for _ in range(count)]
    lanes = RemoteLanes(servers, list(range(count)), timeout)
    lanes.reset()
    arrived = 0
    while arrived < count:
        arrived += len(lanes.receive())
    return lanes


def arrivals(lanes: RemoteLanes, lane: int) -> Any:
    deadline = time.monotonic() + LONG
    while time.monotonic() < deadline:
        for arrival in lanes.receive():
            if arrival.lane == lane:
                return arrival
    raise AssertionError(f"lane {lane} did not answer")


def test_one_that_dies_between_two_steps_is_begun_again():
    with System():
        lanes = lanes_of(1)
        pid = lanes._pids[0]
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: any(row.restarts for row in actors()))
        lanes.send(0, [1])
        arrival = arrivals(lanes, 0)

        assert arrival.stepped is None and len(arrival.observation) == 1, "a first observation, not a step"
        assert lanes._pids[0] not in (None, pid)
        lanes.send(0, [1])
        assert arrivals(lanes, 0).stepped is not None


def test_a_hang_is_noticed_while_others_answer_on_and_on():
    with System():
        lanes = lanes_of(2, timeout=0.3)
        pid = lanes._pids[1]
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        lanes.send(1, [1])
        lanes.send(0, [1])
        began = time.monotonic()
        while not lanes.incidents and time.monotonic() - began < LONG:
            for arrival in lanes.receive():
                assert arrival.lane == 0
                lanes.send(0, [1])

        assert "environment 1 of 2 did not answer a step" in lanes.incidents[0]
        while (answered := lanes.receive()) and all(arrival.lane == 0 for arrival in answered):
            lanes.send(0, [1])


def test_a_reset_that_hangs_from_the_start_ends_the_run():
    class Asleep(Counting):
        def reset(self, **how: Any) -> Any:
            if os.getpid() != program:
                signal.pause()
            return super().reset(**how)

    program = os.getpid()
    with pytest.raises(RuntimeError, match=r"did not answer a reset within step_timeout=0\.5 s.*needs a larger one"):
        train(recorder(), Asleep, steps=100, arrangement=Central(2, step_timeout=0.5))


def test_to_make_an_environment_may_take_longer_than_a_step(tmp_path: Path):
    class Slow(Mortal):
        def __init__(self) -> None:
            time.sleep(1.0)  # as an import of a simulator does
            super().__init__(kill_me, tmp_path / "once")

    run = train(recorder(), Slow, steps=200, arrangement=Central(1, step_timeout=0.5))

    assert run.metrics["dropped_episodes"][-1] == 1, "the one whose process died, at its start and when it came again"


def test_a_neural_agent_learns_on(tmp_path: Path):
    class Cart(gymnasium.Wrapper[Any, Any, Any, Any]):
        def __init__(self) -> None:
            super().__init__(gymnasium.make("CartPole-v1"))
            self.made = 0

        def step(self, action: Any) -> Any:
            self.made += 1
            if self.made == 50 and not (tmp_path / "once").exists():
                (tmp_path / "once").touch()
                segfault()
            return super().step(action)

    config = DQNConfig(learning_starts=50, batch_size=16)
    run = train(config, Cart, steps=600, arrangement=Central(2))

    assert run.metrics["steps"][-1] == 600 and run.metrics["dropped_episodes"][-1] >= 1
    assert run.metrics["updates"][-1] > 0


def test_a_learner_that_dies_stops_the_run_with_its_error():
    class Doomed(Recorder):
        def update(self, *five: Any) -> None:
            super().update(*five)
            if len(self.updates) == 50:
                kill_me()

    began = time.monotonic()
    with pytest.raises(errors.ActorDied, match="SIGKILL"):
        train(Doomed(Counting.action_space), Counting, steps=100_000, arrangement=Central(2))
    assert time.monotonic() - began < LONG
    assert active.engine is None


def test_an_environment_begins_again_with_a_seed_of_its_own():
    seeds = environment_seeds(0, 3)
    again = [seed_after(seed, crashes) for seed in seeds for crashes in (1, 2)]

    assert len({*seeds, *again}) == 9
    assert again == [seed_after(seed, crashes) for seed in seeds for crashes in (1, 2)]
