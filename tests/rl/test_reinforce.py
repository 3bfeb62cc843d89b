"""REINFORCE: whole episodes, the returns written out, and that it learns."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from test_fragments import Counter, Recording, Sink

from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.episodes import EpisodeWindow
from actorrl.rl.explorer import Explorer
from actorrl.rl.lanes import InlineLanes
from actorrl.rl.practice import Practice
from actorrl.rl.reinforce import ReinforceConfig


def episodes(limits: list[int], steps: int, masks: bool = False) -> list[Any]:
    sink = Sink()
    environments = LocalEnvironments([lambda limit=limit: Counter(limit, masks) for limit in limits])
    explorer = Explorer(environments, Recording(), sink, seed=0, window=EpisodeWindow(), limit=steps)
    while explorer.steps < steps:
        explorer.advance(steps)
    return sink.fragments


@pytest.mark.parametrize("masks", [False, True])
def test_each_episode_is_whole_and_says_how_it_ended(masks: bool):
    whole = episodes([2, 3], 24, masks)

    lengths = [len(episode["reward"]) for episode in whole]
    assert lengths.count(2) == 6 and lengths.count(3) == 4 and len(lengths) == 10
    for episode in whole:
        T = len(episode["reward"])
        number = episode["observation"][0, 0, 0]
        assert episode["observation"][:, 0].tolist() == [[number, t] for t in range(T + 1)]
        np.testing.assert_array_equal(episode["reward"], episode["action"])
        terminated = number % 2 == 0
        assert episode["terminated"].ravel().tolist() == [False] * (T - 1) + [terminated]
        assert episode["truncated"].ravel().tolist() == [False] * (T - 1) + [not terminated]
        assert episode["final_observation"].tolist() == [[number, T]]
        assert episode["final_index"].tolist() == [[T - 1, 0]]
        assert ("action_mask" in episode) == masks
        if masks:
            np.testing.assert_array_equal(episode["action_mask"][:, 0, 1], np.arange(T + 1) % 2 == 1)


def test_a_lane_that_was_lost_loses_what_its_episodes_had_begun():
    window, environments = EpisodeWindow(), LocalEnvironments([lambda: Counter(2)])
    window.begin(0, environments.reset(), None)
    window.add(0, np.array([1]), {}, environments.step([1]))
    window.begin(0, environments.reset(), None)
    for _ in range(2):
        window.add(0, np.array([2]), {}, environments.step([2]))

    (episode,) = window.take() or []
    assert episode["action"].ravel().tolist() == [2, 2] and window.take() is None


def parts_of(config: ReinforceConfig) -> Any:
    return config.build(gymnasium.spaces.Box(-10, 1000, (2,), np.float32), gymnasium.spaces.Discrete(3), 0)


def test_without_a_baseline_the_advantage_is_the_return():
    whole = episodes([2, 3], 24)
    rows = parts_of(ReinforceConfig(baseline=False, gamma=0.5)).learner.prepare(whole)

    expected = []
    for episode in whole:
        r = [*episode["reward"].ravel(), 0.0, 0.0]
        expected += [r[t] + 0.5 * r[t + 1] + 0.25 * r[t + 2] for t in range(len(episode["reward"]))]
    np.testing.assert_allclose(rows["advantage"], expected, rtol=1e-6)
    np.testing.assert_array_equal(rows["drawn"], np.concatenate([episode["drawn"].ravel() for episode in whole]))


@pytest.mark.parametrize("end", ["terminated", "truncated"])
def test_with_one_a_truncated_episode_is_worth_what_would_have_followed(end: str):
    (episode,) = [episode for episode in episodes([3], 6) if episode[end].any()]
    learner = parts_of(ReinforceConfig(gamma=0.5)).learner

    rows = learner.prepare([episode])

    with torch.no_grad():
        last = learner._value(episode["final_observation"], 1)[0] if end == "truncated" else 0.0
    r = episode["reward"].ravel()
    assert rows["target"][0] == pytest.approx(r[0] + 0.5 * r[1] + 0.25 * r[2] + 0.125 * last, rel=1e-4)


@pytest.mark.slow
def test_it_gets_better_at_cartpole():
    config = ReinforceConfig(total_steps=80_000)
    environment = gymnasium.make("CartPole-v1")
    parts = config.build(environment.observation_space, environment.action_space, 0)
    makers = [lambda: gymnasium.make("CartPole-v1")] * config.n_envs
    lanes = InlineLanes([LocalEnvironments(makers, encode=parts.encode)], list(range(config.n_envs)))
    practice = Practice.of_parts(parts, lanes, seed=0, limit=40_000)
    returns: list[float] = []
    while not practice.done:
        returns += [episode.return_ for episode in practice.advance(10_000).episodes]

    assert np.mean(returns[:100]) < 60 and np.mean(returns[-20:]) > 100
