"""Catch: its rules, its pictures, and that a CNN learns it."""

from __future__ import annotations

import dataclasses

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from test_dqn import practise

from actorrl.rl.catch import Catch
from actorrl.rl.dqn import DQNConfig
from actorrl.rl.spaces import is_image


def play(env: gymnasium.Env, choose, episodes: int) -> list[float]:
    returns = []
    for episode in range(episodes):
        observation, _ = env.reset(seed=episode)
        total, over = 0.0, False
        while not over:
            observation, reward, over, truncated, _ = env.step(choose(observation))
            total += reward
            assert not truncated
        returns.append(total)
    return returns


def towards_the_ball(observation: np.ndarray) -> int:
    board = observation[:, :, 0]
    paddle = int(board[-1].argmax())
    rows_above = board[:-1]
    ball = int(rows_above.any(0).argmax()) if rows_above.any() else paddle
    return 1 + int(np.sign(ball - paddle))


def test_it_keeps_the_rules_of_gymnasium():
    check_env(gymnasium.make("actorrl.rl.catch:Catch-v0", render_mode="rgb_array").unwrapped)


def test_the_picture_shows_the_ball_and_the_paddle():
    env = Catch(8, 9)
    observation, _ = env.reset(seed=0)

    assert is_image(env.observation_space) and env.observation_space.shape == (8, 9, 1)
    assert set(np.unique(observation)) == {0, 255} and (observation > 0).sum() == 2
    assert observation[-1, 4, 0] == 255 and observation[0].any()
    after, _, _, _, _ = env.step(0)
    assert after[1].any() and not after[0].any() and after[-1, 3, 0] == 255


def test_an_episode_lasts_until_the_ball_is_down():
    env = Catch(8, 8)
    env.reset(seed=0)

    ends = [env.step(1)[2] for _ in range(7)]

    assert ends == [False] * 6 + [True]


def test_whoever_follows_the_ball_always_catches_it_and_chance_rarely_does():
    rng = np.random.default_rng(0)

    assert play(Catch(), towards_the_ball, 100) == [1.0] * 100
    assert -0.95 < np.mean(play(Catch(), lambda _: int(rng.integers(3)), 500)) < -0.6


def test_it_is_seeded():
    columns = [[Catch().reset(seed=seed)[0][0].argmax() for seed in range(20)] for _ in range(2)]

    assert columns[0] == columns[1] and len(set(columns[0])) > 4


def test_a_board_without_room_is_refused():
    with pytest.raises(ValueError, match="at least 2 rows and 1 column, found 1 and 5"):
        Catch(1, 5)


@pytest.mark.slow
def test_a_cnn_learns_to_catch():
    config = DQNConfig(
        learning_rate=2e-3, learning_rate_final=2e-4, hidden_sizes=(32,), batch_size=32, learning_starts=300, tau=0.02
    )
    config = dataclasses.replace(config, exploration_fraction=0.3, total_steps=3500)

    policy = practise(config, lambda: Catch(8, 8), 3500).parts.policy

    rng = np.random.default_rng(0)
    returns = play(Catch(8, 8), lambda o: int(policy.act(o[None], (), 0, explore=False, rng=rng).action[0]), 100)
    assert np.mean(returns) >= 0.8
