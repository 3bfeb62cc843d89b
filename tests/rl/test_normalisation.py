"""What a learner of fragments normalises by: every step counts once, whoever made it and however often it is used."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.explorer import Explorer
from actorrl.rl.fragments import FragmentWindow
from actorrl.rl.nouns import Parts
from actorrl.rl.ppo import PPOConfig

GAMMA = 0.9


class Told(gymnasium.Env[Any, Any]):
    """Random observations and rewards, episodes of one to seven steps; remembers what was acted on, and what came."""

    observation_space, action_space = Box(-np.inf, np.inf, (2,), np.float32), Discrete(2)

    def __init__(self, number: int) -> None:
        self.rng = np.random.default_rng(number)
        self.acted_on: list[Any] = []
        self.rewards: list[tuple[float, bool]] = []

    def seen(self) -> Any:
        self.last = self.rng.normal([3, -50], [1, 20]).astype(np.float32)
        return self.last

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.seen(), {}

    def step(self, action: Any) -> Any:
        self.acted_on.append(self.last)
        ended, reward = bool(self.rng.random() < 0.3), float(self.rng.normal(2, 5))
        self.rewards.append((reward, ended))
        return self.seen(), reward, False, ended, {}


class Rounds:
    """Explorers of two environments each, around one learner."""

    def __init__(self, explorers: int, **fields: Any) -> None:
        fields = {"normalize_observation": True, "normalize_reward": True, **fields}
        config = PPOConfig(n_steps=8, n_envs=2 * explorers, batch_size=8, gamma=GAMMA, **fields)
        self.parts: Parts = config.build(Told.observation_space, Told.action_space, 0)
        self.told = [Told(number) for number in range(2 * explorers)]
        self.explorers: list[Explorer] = []
        for e in range(explorers):
            mine = self.told[2 * e : 2 * e + 2]
            self.explorers.append(
                Explorer(
                    LocalEnvironments([lambda one=one: one for one in mine]),
                    self.parts.policy,
                    self.parts.table,
                    seed=e,
                    window=FragmentWindow(8),
                )
            )

    def one(self) -> None:
        """A fragment of each explorer, and every update there is."""
        for explorer in self.explorers:
            explorer.advance(16)
        while (sample := self.parts.table.sample(8)) is not None:
            self.parts.learner.update(sample.batch)


@pytest.mark.parametrize("explorers", [1, 3])
def test_every_observation_that_was_acted_on_counts_once(explorers: int):
    rounds = Rounds(explorers, n_epochs=3)
    for _ in range(4):
        rounds.one()

    acted_on = np.concatenate([told.acted_on for told in rounds.told], dtype=np.float64)
    state: Any = rounds.parts.learner.state_dict()
    assert state["observation.count"] == len(acted_on) == 4 * 8 * 2 * explorers
    np.testing.assert_allclose(state["observation.mean"], acted_on.mean(0), rtol=1e-9)
    np.testing.assert_allclose(state["observation.var"], acted_on.var(0), rtol=1e-9)


@pytest.mark.parametrize("explorers", [1, 3])
def test_every_reward_counts_once_in_the_return_of_its_own_environment(explorers: int):
    rounds = Rounds(explorers, n_epochs=3)
    for _ in range(4):
        rounds.one()

    returns = []
    for told in rounds.told:
        total = 0.0
        for reward, ended in told.rewards:
            total = GAMMA * total + np.float32(reward)
            returns.append(total)
            total = 0.0 if ended else total
    state: Any = rounds.parts.learner.state_dict()
    assert state["returns.count"] == len(returns)
    np.testing.assert_allclose(state["returns.mean"], np.mean(returns), rtol=1e-6)
    np.testing.assert_allclose(state["returns.var"], np.var(returns), rtol=1e-6)


def test_fragments_of_different_lengths_count_with_the_steps_they_have():
    rounds = Rounds(1)
    whole: list[Any] = []
    explorer = rounds.explorers[0]
    explorer.sink = type("Sink", (), {"add": staticmethod(whole.extend)})()
    explorer.limit = 22
    explorer.advance(16)
    explorer.advance(6)
    explorer.begin_again()  # three steps of each: a short fragment
    assert [len(fragment["reward"]) for fragment in whole] == [8, 3]

    rounds.parts.learner.prepare(whole)  # type: ignore[attr-defined]

    state: Any = rounds.parts.learner.state_dict()
    acted_on = np.concatenate([told.acted_on for told in rounds.told], dtype=np.float64)
    assert state["observation.count"] == state["returns.count"] == len(acted_on) == 22
    np.testing.assert_allclose(state["observation.mean"], acted_on.mean(0), rtol=1e-9)


def test_nothing_that_comes_after_an_episode_changes_what_its_steps_are_worth():
    """The advantage at a truncated step goes by V of the true last observation, not by the episode that follows."""
    rounds = Rounds(1)
    kept: list[Any] = []
    rounds.explorers[0].sink = type("Sink", (), {"add": staticmethod(kept.extend)})()
    rounds.explorers[0].advance(16)
    (fragment,) = kept
    t, i = fragment["final_index"][0]

    def advantage(**changed: Any) -> Any:
        learner: Any = Rounds(1, normalize_reward=False).parts.learner
        return learner.prepare([{**fragment, **changed}])["advantage"].reshape(8, 2)

    later = np.arange(8)[:, None] > t
    reward = np.where(later, 99.0, fragment["reward"]).astype(np.float32)
    observation = fragment["observation"].copy()
    observation[t + 1 :, i] = 7.0
    last = fragment["final_observation"].copy()
    last[0] += 1.0
    before = advantage()

    after = advantage(reward=reward, observation=observation)
    np.testing.assert_allclose(after[: t + 1, i], before[: t + 1, i], rtol=1e-5)
    assert abs(advantage(final_observation=last)[t, i] - before[t, i]) > 1e-3
