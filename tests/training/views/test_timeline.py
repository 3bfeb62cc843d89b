"""Where every role's time goes, as the run directory keeps it."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from actorrl import Central, Dataflow, DQNConfig, PPOConfig, train
from actorrl.actor.engine import ActorInfo
from actorrl.rl.stopwatch import Span, Times
from actorrl.training.views import timeline
from actorrl.training.views.timeline import BINS, FILE, Bin, Strip, Timeline, read


def info(cls: str, handled: int, busy: float, queue: int = 0) -> ActorInfo:
    return ActorInfo(None, cls, 1, None, "idle", queue, handled, busy, 0)


def test_a_strip_stays_small_and_loses_no_second():
    strip = Strip("agent")

    for i in range(10 * BINS):
        strip.add(Bin(float(i), i + 0.5, 0.5, 0.25, {"update": 0.25} if i % 2 else {"inference": 0.25}))

    assert len(strip.bins) <= BINS
    assert strip.bins[0].start == 0 and strip.bins[-1].end == 10 * BINS - 0.5
    assert sum(one.busy for one in strip.bins) == pytest.approx(5 * BINS)
    assert sum(one.phases.get("update", 0) for one in strip.bins) == pytest.approx(1.25 * BINS)
    assert all(a.end <= b.start for a, b in zip(strip.bins[:-1], strip.bins[1:], strict=True))


def test_of_the_spans_only_the_last_windows_are_kept():
    strip = Strip("agent")

    for i in range(9):
        strip.add(Bin(i, i + 0.1, 0.1, 0.1, {}), [Span("update", i, i + 0.05)])
        strip.add(Bin(i + 0.1, i + 0.2, 0.1, 0.1, {}), [Span("update", i + 0.1, i + 0.2)])

    assert [window[0].start for window in strip.windows] == [5, 6, 7, 8]
    assert [len(window) for window in strip.windows] == [2, 2, 2, 2]


def test_actors_without_a_clock_are_seen_by_how_busy_they_are(tmp_path):
    timeline = Timeline(tmp_path, began=100.0)

    timeline.look([info("EnvironmentServer", 50, 0.5), info("EnvironmentServer", 10, 0.1), info("Mine", 9, 1.0)], 102.0)
    figures = timeline.look([info("EnvironmentServer", 250, 0.75, queue=3), info("EnvironmentServer", 10, 0.05)], 104.0)
    timeline.write(4.0)

    assert figures == {"throughput/environment_messages_per_second": 100.0, "queues/environment": 3.0}
    told = read(tmp_path)
    assert told is not None and [role["role"] for role in told["roles"]] == ["environment 0", "environment 1"]
    assert told["roles"][0]["bins"] == [
        [0, 2, 1, 1, {"environment step": 1}],
        [2, 4, 2, 2, {"environment step": 2}],
    ]
    assert told["queues"] == {"environment": {"most": 3.0, "mean": 1.5}}


def test_a_restart_of_an_actor_that_nobody_speaks_for_is_told_once(tmp_path):
    timeline = Timeline(tmp_path, began=100.0)

    def look(restarts: int, at: float) -> list[str]:
        servers = [info("EnvironmentServer", 1, 0.1), info("PolicyServer", 1, 0.1)]
        timeline.look([one._replace(restarts=restarts) for one in servers], at)
        said, timeline.incidents = timeline.incidents, []
        return said

    assert [look(*seen) for seen in [(0, 101.0), (1, 102.0), (1, 103.0), (3, 104.0)]] == [
        [],
        ["policy server 0 died and was started again"],
        [],
        ["policy server 0 died 2 times and was started again"],
    ]


def test_times_count_from_the_beginning_of_the_run(tmp_path):
    timeline = Timeline(tmp_path, began=100.0, clock=lambda: 102.5)

    timeline.add(Times("agent", 101.0, 102.0, 0.5, 0.25, {"update": 0.25}, [Span("update", 101.0, 101.25)]))
    timeline.write(3.0)

    told = json.loads((tmp_path / FILE).read_text())
    assert told["roles"] == [
        {"role": "agent", "bins": [[1, 2, 0.5, 0.25, {"update": 0.25}]], "windows": [[["update", 1, 1.25]]]}
    ]


def test_what_comes_from_a_machine_with_another_clock_was_just_now(tmp_path):
    timeline = Timeline(tmp_path, began=100.0, clock=lambda: 130.0)

    timeline.add(Times("explorer 0", 7_000.0, 7_002.0, 2.0, 2.0, {}, [Span("update", 7_001.0, 7_002.0)]))
    timeline.write(30.0)

    told = json.loads((tmp_path / FILE).read_text())
    assert told["roles"][0]["bins"][0][:2] == [28, 30]
    assert told["roles"][0]["windows"] == [[["update", 29, 30]]]


def test_a_look_that_fails_ends_no_run(monkeypatch):
    class Broken:
        def actors(self):
            raise RuntimeError("the fork server is gone")

    assert timeline.living() == []
    monkeypatch.setattr(timeline, "active", SimpleNamespace(engine=Broken()))
    assert timeline.living() == []


def test_looks_become_rarer_as_the_run_goes_on(tmp_path):
    timeline = Timeline(tmp_path, began=0.0)
    timeline.look([], 0.5)
    assert not timeline.due(1.4) and timeline.due(1.6)
    timeline.look([], 24_000.0)
    assert not timeline.due(24_099.0) and timeline.due(24_101.0)


def test_a_directory_without_a_timeline_has_none(tmp_path):
    assert read(tmp_path) is None
    (tmp_path / FILE).write_text("half of")
    assert read(tmp_path) is None


def test_a_run_that_goes_on_keeps_what_was_before_its_checkpoint(tmp_path):
    first = Timeline(tmp_path, began=0.0, clock=lambda: 31.0)
    for t in (0.0, 10.0, 20.0, 30.0):
        first.add(Times("agent", t, t + 1, 1.0, 0.0, {}, []))
    first.write(31.0)

    again = Timeline(tmp_path, began=1_000.0, clock=lambda: 1_026.0)  # the checkpoint was made after 25 s
    again.add(Times("agent", 1_025.0, 1_026.0, 1.0, 0.0, {}, []))
    again.write(26.0)

    told = read(tmp_path)
    assert told is not None
    assert [round(one[0]) for one in told["roles"][0]["bins"]] == [0, 10, 20, 25]


def roles_of(run) -> dict[str, dict]:
    told = read(run.directory)
    assert told is not None
    return {role["role"]: role for role in told["roles"]}


@pytest.mark.slow
def test_in_one_process_the_agent_and_the_runner_are_seen():
    run = train(DQNConfig(learning_starts=50), "CartPole-v1", steps=1_500, seed=0)

    roles = roles_of(run)

    assert roles.keys() == {"agent", "runner"}
    names = {name for one in roles["agent"]["bins"] for name in one[4]}
    assert {"environment step", "inference", "recording", "sampling", "update", "rows, snapshots"} <= names
    assert all(one[3] <= one[2] + 1e-4 and one[2] <= one[1] - one[0] + 1e-4 for one in roles["agent"]["bins"])
    assert roles["agent"]["windows"]


@pytest.mark.slow
def test_actors_of_every_role_are_seen():
    central = train(DQNConfig(learning_starts=50), "CartPole-v1", arrangement=Central(environments=2), steps=1_000)
    flow = train(
        PPOConfig(n_steps=16, batch_size=32),
        "CartPole-v1",
        arrangement=Dataflow(explorers=2, environments_per_explorer=2),
        steps=1_000,
    )

    assert {"agent", "runner"} <= roles_of(central).keys()
    assert {"waiting", "sending"} <= {name for one in roles_of(central)["agent"]["bins"] for name in one[4]}
    assert {"explorer 0", "explorer 1", "trainer", "runner"} <= roles_of(flow).keys()
