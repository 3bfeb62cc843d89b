"""A recorded episode: pictures where there can be some, and always the numbers."""

from __future__ import annotations

import base64
import io
import json

import gymnasium
import numpy as np
import pytest
from PIL import Image
from small_agents import Corridor, Tabular

from actorrl import DQNConfig, QLearningConfig, SACConfig, load, train
from actorrl.rl.catch import Catch
from actorrl.training.views import episode
from actorrl.training.views.episode import picture, record, thinned


def test_a_picture_is_small_and_looks_like_what_it_is_of():
    pixels = np.zeros((400, 600, 3), np.uint8)
    pixels[:, 300:] = (200, 30, 40)

    uri, width = picture(pixels)

    image = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    assert width == 320 and image.size == (320, 213) and len(uri) < 2_000
    assert image.convert("RGB").getpixel((250, 100)) == pytest.approx((200, 30, 40), abs=6)


def test_a_picture_of_many_colours_becomes_a_jpeg():
    x, y = np.meshgrid(np.linspace(0, 9, 300), np.linspace(0, 7, 300))
    waves = np.stack([np.sin(x + y), np.cos(x * y / 3), np.sin(2 * y)], -1) + np.random.default_rng(0).normal(
        0, 0.05, (300, 300, 1)
    )

    assert picture((127 + 100 * waves).clip(0, 255).astype(np.uint8))[0].startswith("data:image/jpeg")


def test_pictures_that_are_too_many_are_thinned_evenly_with_both_ends():
    frames = dict.fromkeys(range(101), "x" * 10)

    kept, left_out = thinned(frames, most=300)

    assert left_out == 3 and sorted(kept) == list(range(0, 101, 4))
    assert thinned(frames, most=10_000) == (frames, 0)
    assert sorted(thinned({0: "xx", 1: "xx", 2: "xx", 3: "xx"}, most=5)[0]) == [0, 3]


@pytest.mark.slow
def test_an_episode_of_a_picture_environment_has_a_picture_more_than_steps():
    run = train(DQNConfig(learning_starts=30, hidden_sizes=(8,)), Catch, steps=60)

    told = record(run)

    assert len(told.actions) == len(told.rewards) == len(told.told["q"]) == 9
    assert sorted(told.frames) == list(range(10)) and told.ended == "terminated" and told.note == ""
    assert told.return_ == sum(told.rewards) and told.observations == [[]] * 9
    assert json.loads(json.dumps(told.to_tree(), allow_nan=False))["width"] == 160


@pytest.mark.slow
def test_the_same_episode_is_played_each_time():
    run = train(QLearningConfig(), "FrozenLake-v1", steps=100, run_dir="run")

    one, other = record(run), record(load("run"))

    assert (one.actions, one.rewards, one.observations) == (other.actions, other.rewards, other.observations)
    assert one.actions == [int(np.argmax(q)) for q in one.told["q"]]


@pytest.mark.slow
def test_an_environment_that_cannot_draw_itself_gives_numbers_and_says_so():
    told = record(train(QLearningConfig(), Corridor, steps=100))

    assert told.frames == {} and told.note.startswith("no pictures: ")
    assert told.actions and told.observations[0][0] in range(8)


@pytest.mark.slow
def test_a_bare_agent_tells_its_actions_and_what_its_own_explain_says():
    class Explaining(Tabular):
        def explain(self, observation):
            return {"q": np.array(self.values(observation))}

    plain, talking = (train(one(), "FrozenLake-v1", steps=100) for one in (Tabular, Explaining))

    assert record(plain).told == {}
    told = record(talking)
    assert len(told.told["q"]) == len(told.actions) and len(told.told["q"][0]) == 4


@pytest.mark.slow
def test_numbers_of_a_box_and_an_episode_that_takes_too_long(monkeypatch):
    run = train(SACConfig(learning_starts=30, hidden_sizes=(8,)), "Pendulum-v1", steps=60)

    told = record(run, seconds=0.0)

    assert told.ended == "cut" and len(told.actions) == 1
    assert len(told.told["mean"][0]) == len(told.told["std"][0]) == 1 and len(told.observations[0]) == 3
    monkeypatch.setattr(gymnasium.envs.classic_control.PendulumEnv, "render", lambda self: None)
    assert "NoneType" in record(run, seconds=0.0).note


@pytest.mark.slow
def test_a_run_explains_one_observation():
    run = train(DQNConfig(learning_starts=30, hidden_sizes=(8,)), "CartPole-v1", steps=60)
    observation = run.source.maker()().reset(seed=0)[0]

    told = run.explain(observation)

    assert told["action"] == run.act(observation) and told["q"].shape == (2,)
    assert run.explain(observation, "best").keys() == told.keys()
    assert episode.NUMBERS[0] in told
