"""The policy of PPO, A2C and IMPALA: draws from what its network says. Their configs build it; no torch to act."""

from __future__ import annotations

from typing import Any

import numpy as np

from actorrl.rl.drawing import Head
from actorrl.rl.moments import Standardiser
from actorrl.rl.nouns import Acted, Array
from actorrl.rl.value_policy import QFunction


class StochasticPolicy:
    """Implements `Policy`, picklable.

    Args:
        actor: the network's outputs [B, outputs] of observations.
        head: draws actions from them.
        standardiser: what observations are normalised by; None where they are taken as they are.
    """

    def __init__(self, actor: QFunction, head: Head, standardiser: Standardiser | None = None) -> None:
        self.actor, self.head, self.standardiser = actor, head, standardiser
        self.version = 0

    def initial_state(self, B: int) -> tuple[()]:
        return ()

    def act(
        self,
        observations: Array,
        state: Any,
        step: int,
        *,
        explore: bool,
        rng: np.random.Generator,
        action_mask: Array | None = None,
    ) -> Acted:
        """Actions [B, *a]; where exploring, extras log_prob f32 [B] and drawn, for the learner."""
        if self.standardiser is not None:
            observations = self.standardiser(observations)
        outputs = self.actor(observations)
        if not explore:
            return Acted(self.head.greedy(outputs, action_mask), state, {})
        action, extras = self.head.draw(outputs, rng, action_mask)
        return Acted(action, state, extras)

    def explain(self, observations: Array, action_mask: Array | None = None) -> dict[str, Array]:
        """What is drawn from: probabilities [B, n], of several choices side by side; or mean and std [B, *a]."""
        if self.standardiser is not None:
            observations = self.standardiser(observations)
        return self.head.explain(self.actor(observations), action_mask)

    def set_weights(self, weights: dict[str, Array], version: int) -> None:
        self.actor.set_weights(weights)
        self.head.set_weights(weights)
        if self.standardiser is not None:
            self.standardiser.mean = np.array(weights["observation.mean"])
            self.standardiser.std = np.array(weights["observation.std"])
        self.version = version
