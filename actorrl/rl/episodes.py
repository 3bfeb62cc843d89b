"""Whole episodes as fragments, for REINFORCE: as long as the episode was, of one environment each (see fragments.py).

The Explorer does not wait for them: the steps of an episode that goes on stay here until it ends.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from actorrl.rl.fragments import Fragment
from actorrl.rl.nouns import Array, Stepped


class EpisodeWindow:
    """Collects the steps of every environment into fragments [T, 1] that end where their episode did.

    Args:
        version: tells the version of the policy's weights, where its extras do not; asked when an episode is over.
    """

    vector = True

    def __init__(self, version: Any = None) -> None:
        self._version = version or (lambda: 0)
        self._now: dict[int, tuple[Array, Array | None]] = {}  # lane -> its observations and masks
        self._steps: dict[tuple[int, int], list[dict[str, Any]]] = {}
        self._whole: list[Fragment] = []

    def begin(self, lane: int, observation: Array, mask: Array | None) -> None:
        """A lane was reset: what its environments had begun is given up."""
        self._now[lane] = observation, mask
        for i in range(len(observation)):
            self._steps[lane, i] = []

    def cut(self, lane: int) -> None:
        """The lane will be reset after its last step; an episode without its end teaches nothing here."""
        self.begin(lane, self._now[lane][0], None)

    def add(self, lane: int, action: Array, extras: dict[str, Array], stepped: Stepped) -> None:
        """One step of a lane's environments."""
        observation, mask = self._now[lane]
        self._now[lane] = stepped.observation, stepped.action_mask
        recorded = {"observation": observation, "action": action, **extras, "reward": stepped.reward}
        if mask is not None:
            recorded["action_mask"] = mask
        for i in range(len(observation)):
            self._steps[lane, i].append({name: values[i] for name, values in recorded.items()})
        for i, last in stepped.final_observation.items():
            masks: Any = stepped.final_action_mask or {}
            self._whole.append(self._fragment(self._steps[lane, i], last, masks.get(i), bool(stepped.terminated[i])))
            self._steps[lane, i] = []

    def take(self) -> list[Fragment] | None:
        """The episodes that have ended since the last call; None where there are none."""
        if not self._whole:
            return None
        whole, self._whole = self._whole, []
        return whole

    def _fragment(self, steps: list[dict[str, Any]], last: Array, mask: Array | None, terminated: bool) -> Fragment:
        T = len(steps)
        told = [int(step.pop("version")) for step in steps if "version" in step]
        fragment = {name: np.array([step[name] for step in steps])[:, None] for name in steps[0]}
        fragment["observation"] = np.concatenate([fragment["observation"], last[None, None]])
        fragment["reward"] = fragment["reward"].astype(np.float32)
        if mask is not None:
            fragment["action_mask"] = np.concatenate([fragment["action_mask"], mask[None, None]])
            fragment["final_action_mask"] = mask[None]
        end = np.arange(T)[:, None] == T - 1
        fragment["terminated"], fragment["truncated"] = end & terminated, end & (not terminated)
        fragment["final_observation"], fragment["final_index"] = last[None], np.array([[T - 1, 0]])
        fragment["version"] = np.array(min(told) if told else self._version())
        return fragment
