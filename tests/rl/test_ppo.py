"""PPO: its first ratio is 1, nothing flows over an episode's end, slices change nothing, what it saves comes back."""

from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiDiscrete

from actorrl.rl import ppo
from actorrl.rl.adapters import StepAgent
from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.explorer import Explorer
from actorrl.rl.flat import FlatAdam
from actorrl.rl.lanes import InlineLanes
from actorrl.rl.nouns import Parts
from actorrl.rl.policy_losses import clipped_surrogate
from actorrl.rl.ppo import PPOConfig
from actorrl.rl.practice import Practice

SMALL = PPOConfig(n_steps=16, n_envs=4, batch_size=32, n_epochs=2, total_steps=10_000)


class Sum(gymnasium.Env[Any, Any]):
    """The reward is what the first number of the action is; five steps, then truncated.

    With `masks` one action of every choice is forbidden, at each step another one.
    """

    observation_space = Box(-5, 50, (3,), np.float32)

    def __init__(self, action_space: gymnasium.Space[Any], masks: bool = False) -> None:
        self.action_space, self.masks, self.t = action_space, masks, 0

    def observe(self) -> Any:
        info = {"action_mask": np.concatenate(self.legal())} if self.masks else {}
        return self.np_random.normal([self.t, 1, 30]).astype(np.float32), info

    def legal(self) -> list[Any]:
        """Of each choice, which actions are legal now."""
        sizes = np.atleast_1d(getattr(self.action_space, "nvec", getattr(self.action_space, "n", 0)))
        return [np.arange(size) != self.t % size for size in sizes]

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.t = 0
        return self.observe()

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action), action
        if self.masks:
            chosen = np.atleast_1d(action - self.action_space.start)  # type: ignore[attr-defined]
            assert all(legal[i] for legal, i in zip(self.legal(), chosen, strict=True)), "forbidden"
        self.t += 1
        observation, info = self.observe()
        return observation, float(np.ravel(action)[0]), False, self.t == 5, info


CHOICES = ("discrete", "shifted", "several")
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


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize(("kind", "masks"), [*((kind, False) for kind in SPACES), *((kind, True) for kind in CHOICES)])
def test_in_the_first_minibatch_of_every_rollout_every_ratio_is_1(kind: str, masks: bool, normalize: bool):
    config = dataclasses.replace(SMALL, normalize_observation=normalize)
    parts, lanes = built(config, lambda: Sum(SPACES[kind], masks))
    learner, table = parts.learner, parts.table
    explorer = Explorer(lanes, parts.policy, table, seed=0)
    for version in range(3):  # from the second on observations are normalised by what those before were
        parts.policy.set_weights(learner.get_weights(), version)
        while not table.pending:  # type: ignore[attr-defined]
            explorer.advance(64)
        sample = table.sample(config.batch_size)
        assert sample is not None and ("action_mask" in sample.batch) == masks
        with torch.no_grad():
            tensors = {name: torch.from_numpy(values) for name, values in sample.batch.items()}
            ratio = (learner._likelihood(tensors).log_prob - tensors["log_prob"]).exp()  # type: ignore[attr-defined]
        np.testing.assert_allclose(ratio, 1.0, atol=1e-5)
        while sample is not None:
            learner.update(sample.batch)
            sample = table.sample(config.batch_size)


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
    for kind in CHOICES:
        practice = practised(SMALL, lambda kind=kind: Sum(SPACES[kind], masks=True), 640)

        assert practice.steps == 640 and practice.metrics()["updates"] == 40


@pytest.mark.parametrize(("steps", "last"), [(640, 640), (700, 640)])  # the last 60 of 700 are too few to learn from
def test_the_last_update_of_a_run_has_the_last_learning_rate_and_clip_range(steps: int, last: int, monkeypatch: Any):
    rates, ranges = [], []
    step = FlatAdam.step

    def surrogate(log_prob: Any, old: Any, advantage: Any, clip_range: float) -> Any:
        ranges.append(clip_range)
        return clipped_surrogate(log_prob, old, advantage, clip_range)

    monkeypatch.setattr(FlatAdam, "step", lambda adam, rate: (rates.append(rate), step(adam, rate)))
    monkeypatch.setattr(ppo, "clipped_surrogate", surrogate)
    ends = {"learning_rate": 1e-2, "learning_rate_final": 1e-4, "clip_range": 0.3, "clip_range_final": 0.1}
    practised(dataclasses.replace(SMALL, **ends, total_steps=steps), lambda: Sum(Discrete(3)), steps)

    seen = [64 * (1 + i // 4) / steps for i in range(4 * (last // 64))]  # four gradient steps on each 64 rows
    assert seen[-1] == last / steps
    np.testing.assert_allclose(rates, [1e-2 + (1e-4 - 1e-2) * part for part in seen])
    np.testing.assert_allclose(ranges, [0.3 + (0.1 - 0.3) * part for part in seen])


def test_a_minibatch_of_one_row_is_learned_from():
    config = dataclasses.replace(SMALL, n_steps=5, n_envs=1, batch_size=4)  # the last of every epoch is one row
    practice = practised(config, lambda: Sum(Discrete(3)), 50)

    assert practice.metrics()["updates"] == 10 * 2 * 2
    for name, value in practice.state_dict().items():
        assert np.isfinite(value).all(), name


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
        ({"clip_range": 0}, "clip_range must be a positive number"),
        ({"n_envs": 0}, "n_envs must be a positive integer"),
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
