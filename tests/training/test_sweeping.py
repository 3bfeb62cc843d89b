"""A sweep: values from text, a grid tried before anything starts, episodes over actors, tables and a picture."""

from __future__ import annotations

import csv
import itertools
import shutil
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from actorrl import Run, load, sweep, train
from actorrl.actor.engine import active
from actorrl.training.environment_source import EnvironmentSource, parameters_of
from actorrl.training.grids import grid_of, values_of
from actorrl.training.sweep_results import Sweep, bootstrap_interval


class Slope(gymnasium.Env):
    """Five steps; each is worth `push` and a little luck, whatever one does."""

    action_space = Discrete(2)

    def __init__(self, push: float = 1.0, luck: float = 0.0, wide: bool = False) -> None:
        if push < -9:
            raise ValueError(f"push must be at least -9, found {push}")
        self.observation_space = Box(-1, 1, (3 if wide else 2,), np.float32)
        self.push, self.luck, self.count = push, luck, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return np.zeros(self.observation_space.shape, np.float32), {}

    def step(self, action):
        self.count += 1
        if self.push == 7:
            raise RuntimeError("the slope is icy")
        reward = self.push + self.luck * float(self.np_random.standard_normal())
        return np.zeros(self.observation_space.shape, np.float32), reward, self.count == 5, False, {}


class Walker:
    def get_action(self, observation, step):
        return 0

    def update(self, observation, action, reward, observation_next, terminated):
        pass


@pytest.fixture
def run() -> Run:
    return train(Walker(), Slope, steps=20, run_dir="walker")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("-12,-10,-8", [-12, -10, -8]),
        ("-1.5", [-1.5]),
        ("1e-3, 1", [0.001, 1]),
        ("-12:-8:5", [-12, -11, -10, -9, -8]),
        ("0:1:3", [0.0, 0.5, 1.0]),
        ("10:20:2", [10, 20]),
        ("0,10:20:3", [0, 10, 15, 20]),
        ("true,false", [True, False]),
        ("easy, hard", ["easy", "hard"]),
        ("[1, 2]", [1, 2]),
        ("'*', {a: 1}", ["*", {"a": 1}]),
        ("1,1,1.0", [1, 1.0]),
        ((3, 4), [3, 4]),
        (3, [3]),
    ],
)
def test_values_are_read_from_text(text, values):
    found = values_of(text)

    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1:5", "start:stop:count"),
        ("1:5:1", "at least 2"),
        (" ,", "expected values"),
        (":", "is no range"),
        ("-8:", "is no range"),
        ("-8::3", "is no range"),
        ("*", r"\* is no value: expected numbers, words, start:stop:count"),
        ("{a", "{a is no value"),
        ("1,@v", "@v is no value"),
        ("a: 1", "a: 1 is no value"),
    ],
)
def test_what_is_no_value_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        values_of(text)


def test_parameters_of_an_environment_are_those_of_its_constructor():
    assert parameters_of(EnvironmentSource(Slope)) == ["push", "luck", "wide"]
    assert parameters_of(EnvironmentSource("Pendulum-v1")) == ["g"]
    assert parameters_of(EnvironmentSource({"name": "Pendulum-v1", "g": 3.0})) == ["g"]
    assert parameters_of(EnvironmentSource(lambda **keywords: Slope(**keywords))) is None


def test_a_parameter_that_the_environment_does_not_take_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"CartPole-v1 takes no 'gravity'; it takes sutton_barto_reward"):
        grid_of(EnvironmentSource("CartPole-v1"), {"gravity": [9.8]})
    with pytest.raises(ValueError, match="did you mean 'push'"):
        grid_of(EnvironmentSource(Slope), {"pusch": [1]})
    with pytest.raises(ValueError, match="does not take it"):
        grid_of(EnvironmentSource(lambda **keywords: Slope(**keywords)), {"pull": [1]})
    with pytest.raises(ValueError, match=r"takes no 'push'"):
        grid_of(EnvironmentSource(Slope()), {"push": [1]})


def test_a_text_where_the_constructor_has_a_truth_or_a_number_is_refused_before_anything_is_played():
    cartpole = EnvironmentSource("CartPole-v1")
    with pytest.raises(ValueError, match=r"env.sutton_barto_reward is true or false, found the text 'flase'; did you "
                                         r"mean false\?"):  # fmt: skip
        grid_of(cartpole, {"sutton_barto_reward": values_of("true,flase")})
    with pytest.raises(ValueError, match=r"env.push is a number, 1 by default, found the text 'ten'$"):
        grid_of(EnvironmentSource(Slope), {"push": values_of("1,ten")})
    assert len(grid_of(cartpole, {"sutton_barto_reward": values_of("true,false")}).points) == 2


def test_values_that_the_environment_or_the_agent_cannot_take_are_left_out_with_the_reason():
    grid = grid_of(EnvironmentSource(Slope), {"push": [-10, 1], "wide": [False, True]})

    assert grid.points == [{"push": 1, "wide": False}]
    why = {(point["push"], point["wide"]): reason for point, reason in grid.refused}
    assert why[-10, False] == "push must be at least -9, found -10"
    assert "the agent was trained on" in why[1, True]

    with pytest.raises(ValueError, match="accepts none of these values; push=-12: push must be at least -9"):
        grid_of(EnvironmentSource(Slope), {"push": [-12]})


def test_a_keyword_of_the_run_gives_way_to_the_grid_and_others_stay():
    source = EnvironmentSource({"name": "LunarLander-v3", "gravity": -5.0, "wind_power": 3.0})

    environment = source.varied({"gravity": -8.0}).maker()().unwrapped

    assert (environment.gravity, environment.wind_power) == (-8.0, 3.0)
    assert source.maker()().unwrapped.gravity == -5.0, "the run's own is what it was"


def test_a_sweep_plays_every_point_and_measures_what_the_parameter_does(run):
    result = sweep(run, {"push": "-2,0,3", "luck": [0.0]}, episodes=30, engine="inline")

    assert [row["mean"] for row in result.rows()] == [-10.0, 0.0, 15.0]
    assert [(row["low"], row["high"]) for row in result.rows()] == [(-10.0, -10.0), (0.0, 0.0), (15.0, 15.0)]
    assert {row["episodes"] for row in result.rows()} == {30}
    assert all((lengths == 5).all() for lengths in result.lengths)


def test_every_point_meets_the_same_luck(run):
    result = sweep(run, {"push": [0, 2]}, episodes=40, engine="inline")
    lucky = sweep(run, {"push": [0, 2], "luck": [1.0]}, episodes=40, engine="inline")

    assert result.returns[0].std() == 0
    assert lucky.returns[0].std() > 0
    np.testing.assert_allclose(lucky.returns[1] - lucky.returns[0], 10.0, atol=1e-5)
    assert len(np.unique(lucky.returns[0])) == 40, "no episode is played twice"


def test_a_sweep_of_a_checkpoint_that_is_not_there_leaves_nothing(run):
    shutil.rmtree(run.directory / "checkpoints" / "best")

    with pytest.raises(FileNotFoundError, match="has no checkpoint 'best'"):
        sweep(load("walker", trust=True), {"push": [1]}, directory=run.directory / "sweeps" / "push")
    assert not (run.directory / "sweeps").exists()


@pytest.mark.slow
def test_actors_give_the_same_numbers_however_many_there_are(run):
    told: list[tuple[int, int]] = []

    alone = sweep(run, {"luck": [1.0, 2.0]}, episodes=60, engine="inline")
    shared = sweep(run, {"luck": [1.0, 2.0]}, episodes=60, jobs=2, progress=lambda *now: told.append(now))

    for one, other in zip(alone.returns, shared.returns, strict=True):
        np.testing.assert_array_equal(one, other)
    assert sorted(told) == told and told[-1] == (120, 120)
    assert active.engine is None, "its system is gone"


@pytest.mark.slow
def test_an_environment_that_fails_ends_the_sweep_and_names_the_point(run):
    with pytest.raises(RuntimeError, match=r"push=7: .*the slope is icy"):
        sweep(run, {"push": [7, 1]}, episodes=10, jobs=1)


def test_table_episodes_and_picture_are_written(run):
    result = sweep(load("walker", trust=True), {"push": [1, 2]}, episodes=4, engine="inline", directory="out")

    with Path("out/summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["push"], row["mean"], row["low"]) for row in rows] == [("1", "5", "5"), ("2", "10", "10")]
    assert Path("out/episodes.csv").read_text().splitlines()[:2] == ["push,episode,return,length", "1,0,5,5"]
    assert Path("out/sweep.png").read_bytes().startswith(b"\x89PNG")
    assert str(result).splitlines()[1].split()[:3] == ["1", "4", "5.0"]


def test_what_cannot_be_written_is_refused_before_it_is_played_and_told_before_it_is_written(run, monkeypatch):
    Path("taken").write_text("mine")
    played: list[tuple[int, int]] = []
    told: list[Sweep] = []
    how = {"episodes": 4, "engine": "inline", "progress": lambda *now: played.append(now), "found": told.append}

    with pytest.raises(OSError, match="taken must be a directory that can be written to: File exists"):
        sweep(run, {"push": [1]}, directory="taken", **how)
    assert not played and Path("taken").read_text() == "mine"

    def full(*arguments):
        raise OSError("the disk is full")

    monkeypatch.setattr(Sweep, "save", full)
    with pytest.raises(OSError, match="the disk is full"):
        sweep(run, {"push": [1]}, directory="out", **how)
    assert [row["mean"] for row in told[0].rows()] == [5.0]


@pytest.mark.parametrize("keys", [("push",), ("push", "wide"), ("name",)])
def test_a_picture_is_drawn_of_any_grid(keys):
    rng = np.random.default_rng(0)
    values = {"push": [1, 2, 5], "wide": [True, False], "name": ["easy", "hard"]}
    points = [dict(zip(keys, one, strict=True)) for one in itertools.product(*(values[key] for key in keys))]
    result = Sweep(keys, points, [rng.normal(size=9) for _ in points], [np.ones(9, np.int64) for _ in points])

    axes = result.draw().axes[0]

    assert axes.get_xlabel() == keys[0]
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert keys != ("name",) or ticks == ["easy", "hard"]


def test_the_interval_of_a_mean_shrinks_with_more_episodes_and_covers_it():
    rng = np.random.default_rng(1)
    hits, widths = 0, []
    for _ in range(40):
        low, high = bootstrap_interval(rng.normal(3.0, 1.0, 100))
        hits += low < 3.0 < high
        widths.append(high - low)

    assert hits >= 33, "95% intervals miss the mean in one of twenty"
    assert np.mean(widths) == pytest.approx(2 * 1.96 / 10, rel=0.1)
