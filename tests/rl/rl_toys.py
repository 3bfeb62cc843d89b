"""Environments and policies small enough to compute by hand, for the tests of `rl/`."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from actorrl.rl.nouns import Acted, Stepped


class Script(gymnasium.Env):
    """Plays written episodes: each a list of rewards and how it ends. Observation = [episode, time, environment]."""

    observation_space = Box(-np.inf, np.inf, (3,), np.float32)
    action_space = Discrete(2)

    def __init__(self, episodes: list[tuple[list[float], bool, bool]], number: int = 0) -> None:
        self.episodes, self.number = episodes, number
        self.episode, self.time = -1, 0
        self.actions: list[Any] = []

    def observe(self) -> np.ndarray:
        return np.array([self.episode, self.time, self.number], np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.episode, self.time = self.episode + 1, 0
        return self.observe(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.actions.append(action)
        rewards, terminated, truncated = self.episodes[self.episode % len(self.episodes)]
        reward = rewards[self.time]
        self.time += 1
        last = self.time == len(rewards)
        return self.observe(), reward, terminated and last, truncated and last, {}


class Chain(gymnasium.Env):
    """Two states, one action: 0 → 1 → end, with reward 1 each; so Q(1) = 1 and Q(0) = 1 + γ.

    Where the value of the terminal state is not masked, Q has no bound but 1 / (1 − γ).
    """

    observation_space = Discrete(2)
    action_space = Discrete(1)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.state = 0
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        if self.state == 1:
            return 1, 1.0, True, False, {}
        self.state = 1
        return 1, 1.0, False, False, {}


class Masked(gymnasium.Env):
    """Three actions, of which the observation's own number is forbidden and would pay 100; the others pay 1 or 0."""

    observation_space = Discrete(3)
    action_space = Discrete(3)

    def mask(self) -> dict[str, Any]:
        mask = np.ones(3, np.int8)
        mask[self.state] = 0
        return {"action_mask": mask}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.state, self.time = int(self.np_random.integers(3)), 0
        return self.state, self.mask()

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        assert action != self.state, "a forbidden action was taken"
        self.time += 1
        reward = float(action == (self.state + 1) % 3)
        self.state = int(self.np_random.integers(3))
        return self.state, reward, False, self.time == 10, self.mask()


class Constant:
    """A policy that always does the same, and remembers which step counts it was asked at."""

    def __init__(self, action: int = 0) -> None:
        self.action = action
        self.asked: list[tuple[int, int]] = []

    def initial_state(self, B: int) -> tuple[()]:
        return ()

    def act(self, observations: Any, state: Any, step: int, *, explore: bool, rng: Any) -> Acted:
        self.asked.append((step, len(observations)))
        return Acted(np.full(len(observations), self.action), state, {})

    def set_weights(self, weights: Any, version: int) -> None:
        raise AssertionError("nobody has weights for it")


class Counting:
    """A policy with memory: its state counts the steps since the episode began, and is the action."""

    def initial_state(self, B: int) -> np.ndarray:
        return np.zeros((B, 1))

    def act(self, observations: Any, state: np.ndarray, step: int, *, explore: bool, rng: Any) -> Acted:
        return Acted(state[:, 0].astype(int), state + 1, {})

    def set_weights(self, weights: Any, version: int) -> None: ...


class Collected:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    def add(self, items: Any) -> None:
        self.items.append(items)

    @property
    def rows(self) -> np.ndarray:
        return np.concatenate(self.items)


class Shuffled:
    """Lanes whose answers come back in any order, one or several at a time, as those of actors do."""

    def __init__(self, environments: list[Any], rng: np.random.Generator) -> None:
        self.environments, self.rng = environments, rng
        self.sizes = [len(environment) for environment in environments]
        self.waiting: list[Any] = []

    def reset(self, again: int = 0) -> None:
        from actorrl.rl.lanes import Arrival

        for lane, environment in enumerate(self.environments):
            self.waiting.append(Arrival(lane, environment.reset(None)))

    def send(self, lane: int, actions: Any) -> None:
        from actorrl.rl.lanes import Arrival

        stepped: Stepped = self.environments[lane].step(actions)
        self.waiting.append(Arrival(lane, stepped.observation, stepped))

    def receive(self) -> list[Any]:
        self.rng.shuffle(self.waiting)
        ready = int(self.rng.integers(1, len(self.waiting) + 1))
        answers, self.waiting = self.waiting[:ready], self.waiting[ready:]
        return answers
