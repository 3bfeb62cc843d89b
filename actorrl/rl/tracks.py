"""What the Explorer remembers of one lane, and how it books an answer: one by one for rows, as arrays for fragments.

    Explorer ── begin ──► track            at the lane's first observations
             ── acted ──► track            what was chosen for them
             ── book ───► track ──► window, finished episodes

`EachTrack` tells its window every step of every environment, which n-step windows need. `VectorTrack` hands a whole
lane's step on at once, which costs the same for one environment and for thirty-two.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from actorrl.rl.nouns import Array, Stepped
from actorrl.rl.windows import Step


class Episode(NamedTuple):
    """One finished episode, as the environment counted it."""

    return_: float
    length: int
    environment: int
    terminated: bool


class _One:
    __slots__ = ("action", "extras", "length", "mask", "observation", "return_")

    def __init__(self, observation: Any, mask: Array | None) -> None:
        self.observation, self.mask = observation, mask
        self.action: Any = None
        self.extras: dict[str, Any] = {}
        self.return_, self.length = 0.0, 0


class EachTrack:
    """The environments of a lane, one by one.

    Args:
        window: gets `add(Step)` and `cut(environment)`; None where nothing is recorded.
        first: the number of the lane's first environment.
    """

    def __init__(self, window: Any, first: int) -> None:
        self._window, self._first = window, first
        self._each: list[_One] = []

    def __len__(self) -> int:
        return len(self._each)

    @property
    def mask(self) -> Array | None:
        """bool [k, n], the legal actions now; None where there are no masks."""
        return None if self._each[0].mask is None else np.array([one.mask for one in self._each])

    def cut(self) -> None:
        """What comes next is another episode, though this one has not ended."""
        if self._window is not None:
            for i in range(len(self._each)):
                self._window.cut(self._first + i)

    def begin(self, observation: Any, mask: Array | None) -> None:
        """The lane was reset: at the start, or because it was lost and came back."""
        self.cut()
        masks = mask if mask is not None else [None] * len(observation)
        self._each = [_One(o, m) for o, m in zip(observation, masks, strict=True)]

    def acted(self, actions: Any, extras: dict[str, Array]) -> None:
        """The actions of this lane, and what the policy recorded of each."""
        for i, one in enumerate(self._each):
            one.action = actions[i]
            if extras:
                one.extras = {name: values[i] for name, values in extras.items()}

    def book(self, stepped: Stepped) -> list[Episode]:
        """Take one step of the lane in; the episodes that it ended."""
        episodes: list[Episode] = []
        rewards = stepped.reward.tolist()
        terminations, truncations = stepped.terminated.tolist(), stepped.truncated.tolist()
        masks = stepped.action_mask
        for i, one in enumerate(self._each):
            terminated, truncated = terminations[i], truncations[i] and not terminations[i]
            one.return_ += rewards[i]
            one.length += 1
            if self._window is not None:
                self._window.add(self._step(i, stepped, rewards[i], terminated, truncated))
            if terminated or truncated:
                episodes.append(Episode(one.return_, one.length, self._first + i, terminated))
                one.return_, one.length = 0.0, 0
            one.observation = stepped.observation[i]
            if masks is not None:
                one.mask = masks[i]
        return episodes

    def _step(self, i: int, stepped: Stepped, reward: float, terminated: bool, truncated: bool) -> Step:
        one, ended = self._each[i], terminated or truncated
        following = stepped.final_observation[i] if ended else stepped.observation[i]
        masks: Any = stepped.final_action_mask if ended else stepped.action_mask
        mask = None if masks is None else masks[i]
        return Step(
            self._first + i, one.observation, one.action, one.extras, reward, following, terminated, truncated, mask
        )


class VectorTrack:
    """The environments of a lane as arrays.

    Args:
        window: gets `begin(lane, ...)` and `add(lane, ...)` of whole lanes (see fragments.py).
        lane: the lane's number, and `first` that of its first environment.
    """

    def __init__(self, window: Any, lane: int, first: int) -> None:
        self._window, self._lane, self._first = window, lane, first
        self._returns = np.zeros(0)
        self._steps = 0
        self._began: list[int] = []  # steps of the lane before the episode of each environment
        self._action: Any = None
        self._extras: dict[str, Array] = {}
        self.mask: Array | None = None
        """bool [k, n], the legal actions now; None where there are no masks."""

    def __len__(self) -> int:
        return len(self._began)

    def cut(self) -> None:
        """What comes next is another episode, though this one has not ended."""
        if len(self):
            self._window.cut(self._lane)

    def begin(self, observation: Array, mask: Array | None) -> None:
        """The lane was reset: at the start, or because it was lost and came back."""
        k = len(observation)
        self._returns, self._steps, self._began, self.mask = np.zeros(k), 0, [0] * k, mask
        self._window.begin(self._lane, observation, mask)

    def acted(self, actions: Array, extras: dict[str, Array]) -> None:
        """The actions of this lane, and what the policy recorded of each."""
        self._action, self._extras = actions, extras

    def book(self, stepped: Stepped) -> list[Episode]:
        """Take one step of the lane in; the episodes that it ended."""
        self._returns += stepped.reward
        self._steps += 1
        self._window.add(self._lane, self._action, self._extras, stepped)
        self.mask = stepped.action_mask
        episodes: list[Episode] = []
        for i in stepped.final_observation:
            terminated = bool(stepped.terminated[i])
            length = self._steps - self._began[i]
            episodes.append(Episode(float(self._returns[i]), length, self._first + i, terminated))
            self._returns[i], self._began[i] = 0.0, self._steps
        return episodes
