"""PPO: its first ratio is 1, nothing flows over an episode's end, slices change nothing, what it saves comes back."""

from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiDiscrete

from actorrl.rl.adapters import StepAgent
from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.explorer import Explorer
from actorrl.rl.fragments import FragmentWindow
from actorrl.rl.lanes import InlineLanes
from actorrl.rl.nouns import Parts
from actorrl.rl.ppo import PPOConfig
from actorrl.rl.practice import Practice

SMALL = PPOConfig(n_steps=16, n_envs=4, batch_size=32, n_epochs=2, total_steps=10_000)


class Sum(gymnasium.Env[Any, Any]):
    """The reward is what the first number of the action is; five steps, then truncated."""

    observation_space = Box(-5, 50, (3,), np.float32)

    def __init__(self, action_space: gymnasium.Space[Any], masks: bool = False) -> None:
        self.action_space, self.masks, self.t = action_space, masks, 0

    def observe(self) -> Any:
        info = {"action_mask": np.array([1, 0, 1])} if self.masks else {}
        return self.np_random.normal([self.t, 1, 30]).astype(np.float32), info

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.t = 0
        return self.observe()

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action), action
        assert not (self.masks and action == 1), "forbidden"
        self.t += 1
        observation, info = self.observe()
        return observation, float(np.ravel(action)[0]), False, self.t == 5, info


SPACES = {
    "discrete": Discrete(3),
    "shifted": Discrete(3, start=1),
    "several": MultiDiscrete([3, 2]),
    "box": Box(-2, 2, (2,), np.float32),
}


def built(config: PPOConfig, make: Any, seed: int = 0) -> tuple[Parts, Any]:
    environment = make()
    parts = config.build(environment.observation_space, environment.action_space, seed)
    environments = LocalEnvironments([make] * config.n_envs, encode=parts.encode)
    return parts, InlineLanes([environments], list(range(config.n_envs)))


def practised(config: PPOConfig, make: Any, steps: int, slice_: int = 10**9) -> Practice:
    parts, lanes = built(config, make)
    practice = Practice.of_parts(parts, lanes, seed=0, limit=steps)
    while not practice.done:
        practice.advance(slice_)
    return practice


@pytest.mark.parametrize("kind", SPACES)
@pytest.mark.parametrize("normalize", [False, True])
def test_before_the_first_update_every_ratio_is_1(kind: str, normalize: bool):
    config = dataclasses.replace(SMALL, normalize_observation=normalize)
    parts, lanes = built(config, lambda: Sum(SPACES[kind]))
    parts.policy.set_weights(parts.learner.get_weights(), 0)
    kept: list[Any] = []

    class Sink:
        def add(self, fragments: list[Any]) -> None:
            kept.extend(fragments)

    explorer = Explorer(lanes, parts.policy, Sink(), seed=0, window=FragmentWindow(16))
    for _ in range(2):  # with the second fragment observations are normalised by what the first was
        while not kept:
            explorer.advance(64)
        rows = parts.learner.prepare([kept.pop()])  # type: ignore[attr-defined]
        with torch.no_grad():
            tensors = {name: torch.from_numpy(values) for name, values in rows.items()}
            ratio = (parts.learner._likelihood(tensors).log_prob - tensors["log_prob"]).exp()  # type: ignore[attr-defined]
        np.testing.assert_allclose(ratio, 1.0, atol=1e-5)
        parts.policy.set_weights(parts.learner.get_weights(), 1)


@pytest.mark.parametrize("kind", SPACES)
@pytest.mark.slow
def test_it_learns_in_every_space(kind: str):
    config = dataclasses.replace(SMALL, learning_rate=5e-3, normalize_reward=True, normalize_observation=True)
    practice = practised(config, lambda: Sum(SPACES[kind]), 6000)
    assert practice.parts is not None
    environment = Sum(SPACES[kind])
    observation, _ = environment.reset(seed=0)
    rng = np.random.default_rng(0)
    action = practice.parts.policy.act(observation[None], (), 0, explore=False, rng=rng).action[0]

    best = {"discrete": 2, "shifted": 3, "several": 2, "box": 2}[kind]
    assert np.ravel(action)[0] >= 0.8 * best


def test_what_is_forbidden_is_never_done():
    practice = practised(SMALL, lambda: Sum(Discrete(3), masks=True), 640)

    assert practice.steps == 640 and practice.metrics()["updates"] == 40


def test_slices_change_nothing():
    make = lambda: gymnasium.make("CartPole-v1")  # noqa: E731
    whole, sliced = (practised(SMALL, make, 1024, slice_).state_dict() for slice_ in (10**9, 7))

    assert whole.keys() == sliced.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(value, sliced[name], err_msg=name)


def test_everything_learned_comes_back():
    config = dataclasses.replace(SMALL, normalize_observation=True, normalize_reward=True)
    make = lambda: Sum(Discrete(3))  # noqa: E731
    first = practised(config, make, 256)
    parts, lanes = built(config, make, seed=1)
    second = Practice.of_parts(parts, lanes, seed=1, limit=512)
    second.load_state_dict(first.state_dict())

    for name, value in first.state_dict().items():
        np.testing.assert_array_equal(value, second.state_dict()[name], err_msg=name)
    assert first.parts is not None
    observation = np.array([[1.0, 2.0, 3.0]], np.float32)
    outputs = [p.policy.actor(p.policy.standardiser(observation)) for p in (first.parts, parts)]  # type: ignore[attr-defined]
    np.testing.assert_array_equal(*outputs)
    assert parts.policy.standardiser.mean[2] > 20, "frozen in the policy: 30 is what was seen"  # type: ignore[attr-defined]


def test_no_more_epochs_once_the_policy_has_moved_far_enough():
    wild = dataclasses.replace(SMALL, learning_rate=0.02, n_epochs=10)
    all_of_them = practised(wild, lambda: Sum(Discrete(3)), 256).metrics()["updates"]
    stopped = practised(dataclasses.replace(wild, target_kl=1e-3), lambda: Sum(Discrete(3)), 256).metrics()["updates"]

    assert all_of_them == 80 and stopped < 40


def test_pictures_go_through_convolutions():
    config = dataclasses.replace(SMALL, hidden_sizes=(16,))
    make = lambda: gymnasium.make("actorrl.rl.catch:Catch-v0")  # noqa: E731
    practice = practised(config, make, 128)

    assert practice.metrics()["updates"] == 8
    with pytest.raises(ValueError, match="normalize_observation is for numbers"):
        built(dataclasses.replace(config, normalize_observation=True), make)


def test_in_a_loop_of_the_users_own():
    config = PPOConfig(n_steps=16, n_envs=2, batch_size=32, n_epochs=4, learning_rate=1e-2, total_steps=3_000)
    environment = Sum(Discrete(3))
    agent = StepAgent(config.build(environment.observation_space, environment.action_space, seed=0), seed=0)
    observation, _ = environment.reset(seed=0)
    for _ in range(1_000):
        action = agent.get_action(observation)
        following, reward, terminated, truncated, _ = environment.step(action)
        agent.update(observation, action, reward, following, terminated, truncated=truncated)
        observation = environment.reset()[0] if terminated or truncated else following

    assert agent.metrics()["updates"] == 31 * 4, "the last of 1,000 steps waits for the one after it"
    assert agent.greedy_action(observation) == 2
    with pytest.raises(ValueError, match="found environment=1"):
        agent.update(observation, 0, 0.0, observation, False, environment=1)
    fresh = StepAgent(config.build(environment.observation_space, environment.action_space, seed=0))
    with pytest.raises(RuntimeError, match="without a get_action"):
        fresh.update(observation, 0, 0.0, observation, False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 65}, r"batch_size must be at most n_steps \* n_envs = 64"),
        ({"gae_lambda": 1.1}, "gae_lambda must be a number between 0 and 1"),
        ({"clip_range": 0}, "clip_range must be a number positive"),
        ({"n_envs": 0}, "n_envs must be a number positive"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **change)


def test_cartpole_is_learned():
    config = PPOConfig(total_steps=30_000)
    practice = practised(config, lambda: gymnasium.make("CartPole-v1"), 30_000)
    assert practice.parts is not None
    environment, rng = gymnasium.make("CartPole-v1"), np.random.default_rng(0)
    lengths = []
    for seed in range(5):
        (observation, _), over, length = environment.reset(seed=seed), False, 0
        while not over:
            action = practice.parts.policy.act(observation[None], (), 0, explore=False, rng=rng).action[0]
            observation, _, terminated, truncated, _ = environment.step(int(action))
            over, length = terminated or truncated, length + 1
        lengths.append(length)

    assert np.mean(lengths) >= 200
