"""Several agents on one replay table: rows arrive whole, batches are everybody's, and the run is one run."""

from __future__ import annotations

import dataclasses
import os
import signal
import tempfile
import threading
import time
from collections import Counter, defaultdict
from typing import Any

import gymnasium
import numpy as np
import pytest
import strays
from small_agents import Recorder

from actorrl import DQNConfig, QLearningConfig, SharedReplay, System, actors, errors, fetch, load, startat, train
from actorrl.actor.engine import active
from actorrl.cli.main import main
from actorrl.rl.dqn_learner import DQNLearner
from actorrl.rl.exploration import EpsilonGreedy
from actorrl.rl.rate_limiter import RateLimiter
from actorrl.rl.samplers import Prioritized
from actorrl.rl.schedules import Linear
from actorrl.rl.tables import ReplayTable
from actorrl.rl.windows import Step, row_layout
from actorrl.training.experiment import Experiment
from actorrl.training.merging import Merger
from actorrl.training.replay_server import CHUNK, MOST_BYTES, TOGETHER, WAITING, RemoteTable, ReplayServer
from actorrl.training.roles import Row
from actorrl.training.shared_replay import shared_table

SMALL = DQNConfig(learning_starts=50, batch_size=16, hidden_sizes=(16,), buffer_size=5_000)
LAYOUT = row_layout(Step(0, np.zeros(3, np.float32), 1, {}, 0.0, np.zeros(3, np.float32), False, False))


def rows(*numbers: int) -> Any:
    """Rows that can be told apart: everything in row n says n."""
    made = np.zeros(len(numbers), LAYOUT)
    for row, number in zip(made, numbers, strict=True):
        row["observation"], row["action"], row["reward"] = number, number % 7, number
        row["observation_next"], row["discount"] = number + 1, 0.5
    return made


def table(capacity: int = 1000, **parts: Any) -> ReplayTable:
    return ReplayTable(capacity, np.random.default_rng(0), **parts)


@pytest.fixture(params=["inline", "processes"])
def engine(request: pytest.FixtureRequest) -> Any:
    with System(request.param, seed=0):
        yield request.param


# -- the table as an actor ---------------------------------------------------------------------------------------------


def test_what_is_added_is_what_is_sampled(engine: str):
    remote = RemoteTable(startat(None, ReplayServer, table()))
    remote.add(rows(*range(WAITING + 5)))
    seen: Counter[int] = Counter()
    for _ in range(40):
        sample = remote.sample(64)
        assert sample is not None and sample.ids is None
        batch = sample.batch
        assert set(batch) == {"observation", "action", "reward", "observation_next", "discount"}
        np.testing.assert_array_equal(batch["observation"][:, 2], batch["reward"])
        np.testing.assert_array_equal(batch["observation_next"], batch["observation"] + 1)
        np.testing.assert_array_equal(batch["action"], batch["reward"] % 7)
        seen.update(batch["reward"].tolist())

    assert sorted(seen) == list(range(WAITING + 5)), "rows that had not filled a chunk are there too"


def test_two_ends_add_to_one_table_and_sample_what_the_other_added(engine: str):
    server = startat(None, ReplayServer, table())
    one, other = RemoteTable(server), RemoteTable(server)
    one.add(rows(*range(100)))
    other.add(rows(*range(1000, 1100)))
    one.sample(1)
    other.sample(1)
    sample = one.sample(500)  # asks anew: another size
    assert sample is not None

    assert {value >= 1000 for value in sample.batch["reward"].tolist()} == {True, False}
    assert fetch(server.counts()) == {"inserted": 200, "held": 200, "sampled": 0}


def test_the_batches_are_those_of_the_plain_table():
    """The same rows and the same draws, but for the batch that is asked for ahead."""
    plain = table()
    plain.add(rows(*range(200)))
    expected = [plain.sample(8) for _ in range(5)]
    for name in ("inline", "processes"):
        with System(name):
            remote = RemoteTable(startat(None, ReplayServer, table()))
            remote.add(rows(*range(200)))
            for sample in expected:
                got = remote.sample(8)
                assert got is not None and sample is not None
                np.testing.assert_array_equal(got.batch["reward"], sample.batch["reward"])


class Asked(ReplayServer):
    """Remembers how many rows it was asked for, each time."""

    def __init__(self, rows: ReplayTable) -> None:
        super().__init__(rows)
        self._sizes: list[int] = []

    def sample(self, n: int, agent: int = 0, data: Any = None) -> Any:
        self._sizes.append(n)
        return super().sample(n, agent, data)

    def sizes(self) -> list[int]:
        return self._sizes


def test_batches_that_come_together_are_those_of_one_draw(engine: str):
    server = startat(None, Asked, table())
    remote, plain = RemoteTable(server, together=TOGETHER, gamma=0.9), table()
    remote.add(rows(*range(10)))
    plain.add(rows(*range(10)))
    drawn = plain.sample(TOGETHER * 7)
    assert drawn is not None
    for i in range(TOGETHER):
        got = remote.sample(7)
        assert got is not None
        np.testing.assert_array_equal(got.batch["reward"], drawn.batch["reward"][i * 7 : (i + 1) * 7])
        assert set(got.batch["discount"]) <= {0.0, np.float32(0.9)}
    assert fetch(server.sizes()) == [TOGETHER * 7] * 2, "the next are asked for with the last of these"

    remote.add(rows(*range(10, 15)))
    assert fetch(server.counts())["inserted"] == 10, "rows wait for the next question"
    for _ in range(TOGETHER):
        remote.sample(7)
    assert fetch(server.counts())["inserted"] == 15, "they went along with it"
    one = remote.sample(8)
    assert one is not None and len(one.batch["reward"]) == 8, "another size is asked for anew"
    before = len(fetch(server.sizes()))
    remote.forget()
    remote.sample(8)
    assert len(fetch(server.sizes())) == before + 1, "nothing was left of what had come"


@pytest.mark.parametrize("where", [{"paced": True}, {"tells_ids": True}, {}])
def test_batches_come_one_by_one_where_they_would_be_old_or_large(engine: str, where: dict[str, bool]):
    sampler = Prioritized(alpha=1.0) if "tells_ids" in where else None
    server = startat(None, Asked, table(sampler=sampler))
    remote = RemoteTable(server, together=TOGETHER, **where)
    remote.add(rows(*range(10)))
    remote.flush()
    n = 7 if where else MOST_BYTES // LAYOUT.itemsize
    for _ in range(3):
        assert remote.sample(n) is not None

    assert set(fetch(server.sizes())) == {n}


@pytest.mark.parametrize("leave", ["finish", "state_dict"])
def test_rows_that_wait_are_not_lost_at_the_end_or_in_a_checkpoint(engine: str, leave: str):
    server = startat(None, ReplayServer, table())
    remote = RemoteTable(server, together=TOGETHER)
    remote.add(rows(*range(5)))
    remote.sample(2)
    remote.add(rows(5, 6))
    getattr(remote, leave)()

    assert fetch(server.counts())["inserted"] == 7


def test_batches_are_drawn_early_only_where_nothing_depends_on_when():
    limited = table()
    limited.limit(RateLimiter(10, 2.0, None, insert_size=CHUNK, sample_size=8))

    assert [one.draws_alike for one in (table(), table(sampler=Prioritized()), limited)] == [True, False, False]


def test_priorities_come_back_by_their_ids(engine: str):
    remote = RemoteTable(startat(None, ReplayServer, table(sampler=Prioritized(alpha=1.0))), tells_ids=True)
    remote.add(rows(*range(64)))
    for _ in range(30):
        sample = remote.sample(32)
        assert sample is not None and sample.ids is not None and sample.weight is not None
        np.testing.assert_array_equal(sample.ids, sample.batch["reward"])  # the n-th row has the id n here
        remote.update_priorities(sample.ids, np.where(sample.ids == 7, 1000.0, 1e-3))
    remote.sample(32)
    sample = remote.sample(32)

    assert sample is not None
    assert np.mean(sample.batch["reward"] == 7) > 0.9


def test_rows_of_another_layout_are_refused(engine: str):
    server = startat(None, ReplayServer, table())
    RemoteTable(server).add(rows(1))
    other = {"observation": np.zeros((1, 4), np.float32), "reward": np.zeros(1, np.float32)}

    with pytest.raises(ValueError, match="rows of one layout"):
        RemoteTable(server).add(other)


def test_a_discount_of_ones_own(engine: str):
    remote = RemoteTable(startat(None, ReplayServer, table()), gamma=0.9)
    made = rows(*range(10))
    made["discount"][::2] = 0.0
    remote.add(made)
    sample = remote.sample(50)
    assert sample is not None

    ended = sample.batch["reward"] % 2 == 0
    assert set(sample.batch["discount"][ended]) == {0.0}
    assert set(sample.batch["discount"][~ended]) == {np.float32(0.9)}


def test_a_limiter_holds_back_whoever_is_ahead(engine: str):
    limited = table()
    limited.limit(RateLimiter(10, 2.0, None, insert_size=CHUNK, sample_size=8))
    server = startat(None, ReplayServer, limited)
    remote = RemoteTable(server, paced=True)
    assert remote.sample(8) is None, "nothing is there"
    remote.add(rows(*range(200)))
    assert remote.blocked(), "samples are behind"
    drawn = 0
    while remote.blocked():
        drawn += len(remote.sample(8).batch["reward"])  # type: ignore[union-attr]
    while remote.sample(8) is not None:
        drawn += 8

    counts = fetch(server.counts())
    assert counts["inserted"] == 200
    assert abs(counts["sampled"] - 2.0 * (200 - CHUNK)) <= 2 * CHUNK + 16


# -- runs --------------------------------------------------------------------------------------------------------------


def test_a_run_of_two_agents_is_one_run(capfd: pytest.CaptureFixture[str]):
    run = train(SMALL, "CartPole-v1", arrangement=SharedReplay(agents=2, environments=4), steps=1500)
    metrics = run.metrics

    assert metrics["steps"][-1] == 1500
    assert metrics["agent0.steps"][-1] == metrics["agent1.steps"][-1] == 750
    assert metrics["updates"][-1] == metrics["agent0.updates"][-1] + metrics["agent1.updates"][-1] > 0
    assert len(run.agents) == 2
    assert "SharedReplay, 2 agents, 4 environments" in capfd.readouterr().err
    weights = [agent.parts.learner.get_weights() for agent in run.agents]
    name = next(iter(weights[0]))
    assert not np.array_equal(weights[0][name], weights[1][name]), "agents begin with weights of their own"
    assert active.engine is None


def test_it_is_loaded_and_evaluated_with_the_best_line_on_stdout(capfd: pytest.CaptureFixture[str]):
    configs = [SMALL, dataclasses.replace(SMALL, learning_rate=1e-3, hidden_sizes=(8, 8))]
    run = train(None, "CartPole-v1", arrangement=SharedReplay(configs, environments=2), steps=1000)
    again = load(run.directory)

    assert [a.parts.learner.get_weights().keys() for a in again.agents] == [
        a.parts.learner.get_weights().keys() for a in run.agents
    ]
    observation = np.zeros(4, np.float32)
    assert again.act(observation) == run.act(observation)
    assert float(again.evaluate(5)) == float(run.evaluate(5))
    capfd.readouterr()
    assert main(["evaluate", str(run.directory), "--episodes", "3"]) == 0
    said = capfd.readouterr()
    assert said.out.startswith("mean return") and said.out.count("\n") == 1
    assert "agent 0 at the end: mean return" in said.err and "agent 1 at the end: mean return" in said.err


@pytest.mark.parametrize("prioritized", [False, True])
def test_one_agent_with_one_environment_gives_the_same_numbers_inline_and_as_actors(prioritized: bool):
    config, shared = dataclasses.replace(SMALL, prioritized=prioritized), SharedReplay(1, 1, together=prioritized)
    runs = [
        train(config, "CartPole-v1", arrangement=shared, steps=400, seed=3, engine=engine)
        for engine in ("inline", "processes")
    ]
    one, other = (run.agent.parts.learner.get_weights() for run in runs)

    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_each_agent_drives_its_environments_and_all_take_part():
    run = train(SMALL, "CartPole-v1", arrangement=SharedReplay(3, 3), steps=601)

    assert [run.metrics[f"agent{j}.steps"][-1] for j in range(3)] == [201, 200, 200]


def test_environments_in_their_agents_process():
    run = train(SMALL, "CartPole-v1", arrangement=SharedReplay(2, 4, together=True), steps=400)

    assert run.metrics["steps"][-1] == 400


def test_a_ratio_that_holds_whatever_the_number_of_agents():
    config = dataclasses.replace(SMALL, learning_starts=64)
    for agents in (1, 3):
        shared = SharedReplay(agents, 3, samples_per_insert=4.0)
        run = train(config, "CartPole-v1", arrangement=shared, steps=1200)
        sampled = run.metrics["updates"][-1] * config.batch_size
        # Batches that were asked for ahead and never learned from, rows still in a window, and the tolerance.
        slack = agents * config.batch_size + 4.0 * 3 * CHUNK + 4.0 * CHUNK + config.batch_size
        assert abs(sampled - 4.0 * (1200 - 64)) <= slack


def test_an_agent_samples_once_it_has_rows_of_its_own(engine: str):
    server = startat(None, ReplayServer, table())
    one, other = RemoteTable(server), RemoteTable(server)
    one.add(rows(*range(100)))
    assert one.sample(8) is not None

    assert other.sample(8) is None
    other.add(rows(1))
    assert other.sample(8) is not None


def test_a_limiter_fits_the_largest_batch_of_all_and_every_agent_gets_its_share():
    configs = [SMALL, dataclasses.replace(SMALL, batch_size=64)]
    run = train(None, "CartPole-v1", arrangement=SharedReplay(configs, 2, samples_per_insert=4.0), steps=1200)
    rows = [run.metrics[f"agent{j}.updates"][-1] * config.batch_size for j, config in enumerate(configs)]

    assert min(rows) > 0.2 * max(rows), "none takes it all; who ends first leaves the rest to the other"
    assert sum(rows) > 3000


def test_no_agent_gets_far_ahead_of_another_and_none_waits_for_one_that_has_left():
    limited = table()
    limited.limit(RateLimiter(1, 4.0, 500.0, insert_size=CHUNK, sample_size=8))
    server = ReplayServer(limited)
    for agent in (0, 1):
        server.join(LAYOUT, agent)
    for _ in range(3):
        assert server.add(np.ascontiguousarray(rows(*range(CHUNK))).view(np.uint8))
    drawn = [server.sample(8, 0) is not None for _ in range(10)]
    assert drawn == [True] * 3 + [False] * 7
    assert server.sample(8, 1) is not None and server.sample(8, 0) is not None
    server.leave(1)

    assert all(server.sample(8, 0) is not None for _ in range(5))


def test_an_environment_that_hangs_beside_its_agent_ends_the_run():
    class Asleep(gymnasium.Wrapper[Any, Any, Any, Any]):
        made = 0

        def __init__(self) -> None:
            super().__init__(gymnasium.make("CartPole-v1"))

        def step(self, action: Any) -> Any:
            Asleep.made += 1
            if Asleep.made == 60:
                threading.Event().wait()  # for ever
            return super().step(action)

    shared = SharedReplay(1, 2, together=True, step_timeout=0.5)
    with pytest.raises(RuntimeError, match=r"did not answer a step.*shares its agent's process"):
        train(SMALL, Asleep, arrangement=shared, steps=1000)


def test_agents_vary_by_their_number():
    def slower(config: DQNConfig, j: int) -> DQNConfig:
        return dataclasses.replace(config, learning_rate=config.learning_rate / (j + 1))

    shared = SharedReplay(agents=3, environments=3, vary=slower)
    tree = Experiment.of(SMALL, env="CartPole-v1", arrangement=shared, steps=10).to_tree("CartPole-v1")

    rates = [agent["learning_rate"] for agent in tree["arrangement"]["agents"]]
    assert rates == [SMALL.learning_rate / (j + 1) for j in range(3)]
    assert Experiment.from_tree(tree, "again").arrangement.count == 3


def test_a_crashed_environment_is_started_again(tmp_path: Any):
    class Mortal(gymnasium.Wrapper[Any, Any, Any, Any]):
        def __init__(self) -> None:
            super().__init__(gymnasium.make("CartPole-v1"))
            self.made = 0

        def step(self, action: Any) -> Any:
            self.made += 1
            if self.made == 40 and not (tmp_path / "once").exists():
                (tmp_path / "once").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().step(action)

    run = train(SMALL, Mortal, arrangement=SharedReplay(2, 2), steps=600)

    assert run.metrics["steps"][-1] == 600 and run.metrics["dropped_episodes"][-1] >= 1


@dataclasses.dataclass
class Shot:
    """A callback that kills an actor in the midst of a run: the last one of its class."""

    cls: str
    pid: int = 0

    def on_fragment(self, event: Any) -> None:
        if event.steps >= 300 and not self.pid:
            self.pid = [row.pid for row in actors() if row.cls == self.cls][-1]
            os.kill(self.pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cls", "together", "limited"),
    [
        ("ReplayServer", False, None),
        ("ReplayServer", True, 4.0),
        ("shared_agent", False, 4.0),
        ("shared_agent", True, None),
    ],
)
def test_a_table_or_an_agent_that_dies_ends_the_run_for_all(cls: str, together: bool, limited: float | None):
    shot, who = Shot(cls), {"ReplayServer": "^ReplayServer", "shared_agent": "^agent 1 of 2 is gone"}[cls]
    shared = SharedReplay(2, 2, together=together, samples_per_insert=limited)
    began = time.monotonic()

    with System():
        with pytest.raises(errors.ActorDied, match=rf"{who}.*was killed by SIGKILL") as caught:
            train(SMALL, "CartPole-v1", arrangement=shared, steps=10**6, callbacks=[shot])

        assert caught.value.pid == shot.pid and time.monotonic() - began < 60.0
        strays.eventually(lambda: not actors(), what="the others live on")
    strays.assert_gone(os.environ[strays.MARK], tempfile.gettempdir(), within=5.0)


def test_schedules_and_targets_go_by_each_agents_own_steps(monkeypatch: pytest.MonkeyPatch):
    asked: dict[int, list[int]] = defaultdict(list)
    moved: dict[int, list[int]] = defaultdict(list)
    choose, move = EpsilonGreedy.choose, DQNLearner._move_target

    def choosing(self: Any, q: Any, step: int, rng: Any) -> Any:
        asked[id(self)].append(step)
        return choose(self, q, step, rng)

    def moving(self: Any) -> None:
        moved[id(self)].append(self._updates)
        move(self)

    monkeypatch.setattr(EpsilonGreedy, "choose", choosing)
    monkeypatch.setattr(DQNLearner, "_move_target", moving)
    config = dataclasses.replace(
        SMALL, learning_starts=40, train_freq=4, gradient_steps=1, tau=1.0, target_update_interval=20,
        exploration_fraction=0.5, exploration_final_eps=0.1,
    )  # fmt: skip
    run = train(config, "CartPole-v1", arrangement=SharedReplay(3, 3), steps=600, engine="inline")

    assert list(asked.values()) == [list(range(200))] * 3, "ε goes by the steps of one agent, and 600 are 200 of each"
    assert list(moved.values()) == [list(range(5, 41, 5))] * 3, "20 of its own steps are 5 of its own updates"
    rows = np.isfinite(run.metrics["epsilon"])
    own, epsilon = run.metrics["agent1.steps"][rows], Linear(1.0, 0.1, 100)
    np.testing.assert_allclose(run.metrics["epsilon"][rows], [epsilon(steps) for steps in own])
    assert own[-1] == 200 and run.metrics["learning_rate"][-1] < config.learning_rate / 5


def test_priorities_are_corrected_in_full_only_when_all_agents_have_made_their_updates():
    config = dataclasses.replace(SMALL, prioritized=True, total_steps=400)
    spaces = gymnasium.spaces.Box(-1, 1, (4,)), gymnasium.spaces.Discrete(2)
    alone, *others = (config.build(*spaces, seed) for seed in range(4))

    shared = shared_table(others, SharedReplay(3, 3))

    assert shared._sampler._beta.duration == 3 * alone.table._sampler._beta.duration  # type: ignore[attr-defined]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="every agent needs an environment"):
        SharedReplay(agents=3, environments=2)
    with pytest.raises(ValueError, match="samples_per_insert"):
        SharedReplay(tolerance=10.0)
    with pytest.raises(TypeError, match=r"Policy.*Learner"):
        train(Recorder(gymnasium.spaces.Discrete(2)), "CartPole-v1", arrangement=SharedReplay(2, 2), steps=10)
    with pytest.raises(TypeError, match="agent 0 is a QLearningConfig, which does not learn from a replay buffer"):
        train(QLearningConfig(), "FrozenLake-v1", arrangement=SharedReplay(2, 2), steps=10)
    gammas = [SMALL, dataclasses.replace(SMALL, gamma=0.9)]
    for field, other in (("prioritized", True), ("buffer_size", 4_000)):
        with pytest.raises(ValueError, match=f"agents have one {field}; found"):
            train(
                None,
                "CartPole-v1",
                arrangement=SharedReplay([SMALL, dataclasses.replace(SMALL, **{field: other})], 2),
                steps=100,
            )
    with pytest.raises(ValueError, match="give n_steps=1"):
        train(None, "CartPole-v1", arrangement=SharedReplay(gammas, 2), steps=10)
    with pytest.raises(ValueError, match="wait for each other for ever"):
        shared = SharedReplay(1, 1, samples_per_insert=1.0, tolerance=1.0)
        train(SMALL, "CartPole-v1", arrangement=shared, steps=200)


def test_rows_of_agents_are_merged_when_each_has_given_its_own():
    merger = Merger(2)
    assert merger.add(Row(10, [], {"loss": 1.0, "updates": 3.0}, 0)) == []
    assert merger.add(Row(20, [], {"loss": 5.0, "updates": 6.0}, 0)) == []
    (first,) = merger.add(Row(10, [], {"loss": 3.0, "updates": 4.0}, 1))
    assert (first.steps, first.figures["loss"], first.figures["updates"]) == (20, 2.0, 7.0)
    (last,) = merger.rest()
    assert (last.steps, last.figures["updates"], last.figures["loss"]) == (30, 10.0, 5.0)
    assert (last.figures["agent0.steps"], last.figures["agent1.steps"]) == (20, 10)
