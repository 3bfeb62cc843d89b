"""Small agents and environments that the training tests stand on."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

# Version 3 where gymnasium still has it.
TAXI = min(name for name in gymnasium.registry if name.startswith("Taxi-"))


def first_at(once: Path | None) -> bool:
    """Whether this is the first process to come to the file `once`, which says so to the others; always for None."""
    if once is None:
        return True
    try:
        once.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


class Recorder:
    """Chooses at random from the space it was given and remembers every call."""

    def __init__(self, space: gymnasium.Space, seed: int = 0) -> None:
        self.space = space
        self.space.seed(seed)
        self.asked: list[tuple[Any, int]] = []
        self.updates: list[tuple[Any, ...]] = []

    def get_action(self, observation: Any, step: int) -> Any:
        self.asked.append((observation, step))
        return self.space.sample()

    def update(self, observation: Any, action: Any, reward: float, observation_next: Any, terminated: bool) -> None:
        self.updates.append((observation, action, reward, observation_next, terminated))


class Tabular:
    """Q-learning on whatever is hashable, with the global `random`."""

    def __init__(self, actions: int = 4) -> None:
        self.actions = actions
        self.q: dict[Any, list[float]] = {}

    def values(self, observation: Any) -> list[float]:
        return self.q.setdefault(observation, [0.0] * self.actions)

    def greedy_action(self, observation: Any) -> int:
        values = self.values(observation)
        return values.index(max(values))

    def get_action(self, observation: Any, step: int) -> int:
        return random.randrange(self.actions) if random.random() < 0.3 else self.greedy_action(observation)

    def update(self, observation: Any, action: int, reward: float, observation_next: Any, terminated: bool) -> None:
        target = reward + (0.0 if terminated else 0.9 * max(self.values(observation_next)))
        self.values(observation)[action] += 0.5 * (target - self.values(observation)[action])


class Saved(Tabular):
    """A Tabular that can be saved without a pickle."""

    def state_dict(self) -> dict[str, Any]:
        return {"q": self.q}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.q = dict(state["q"])


class Corridor(gymnasium.Env):
    """Walk right to the end: 7 is the prize, 4 steps of the wrong kind do not matter, nothing ends it early."""

    observation_space = gymnasium.spaces.Discrete(8)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position = int(self.np_random.integers(4))
        return self.position, {}

    def step(self, action):
        self.position = max(0, self.position + (1 if action else -1))
        terminated = self.position == 7
        return self.position, 1.0 if terminated else -0.01, terminated, False, {}


class Counting(gymnasium.Env):
    """Observes how many steps its episode has had, plus 100 per episode; truncated after `limit` steps."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, limit: int = 3, both: bool = False) -> None:
        self.limit, self.both, self.episode = limit, both, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.t = self.episode + 1, 0
        return self._seen(), {}

    def step(self, action):
        assert type(action) is int
        self.t += 1
        return self._seen(), 1.0, self.both and self.t == self.limit, self.t == self.limit, {}

    def _seen(self):
        return np.array([100 * self.episode + self.t], np.float32)


class Failing(Counting):
    """Raises in its 20th step."""

    def step(self, action):
        self.total = getattr(self, "total", 0) + 1
        if self.total == 20:
            raise KeyError("the door is locked")
        return super().step(action)


class Unpicklable(Counting):
    """Neither has a spec nor can be copied."""

    def __reduce_ex__(self, protocol):
        raise TypeError("there is only one of me")


class Keys(gymnasium.Env):
    """Observes a dict of a number, a choice and a few switches."""

    observation_space = gymnasium.spaces.Dict(
        {
            "where": gymnasium.spaces.Box(-1, 1, (2,), np.float32),
            "room": gymnasium.spaces.Discrete(3),
            "switches": gymnasium.spaces.MultiBinary(2),
            "dials": gymnasium.spaces.MultiDiscrete([2, 3]),
        }
    )
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.t = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        self.t += 1
        return self.observation_space.sample(), float(action), self.t == 10, False, {}
