"""k gymnasium environments as one passive object. Lanes step it inline; `training/` makes an actor of it.

We own the resets: an environment that ended is reset here, in the same `step`, and its true last observation
travels beside the new one, so that nobody ever bootstraps from the wrong episode.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np

from actorrl.rl.nouns import Array, Stepped
from actorrl.rl.proof import prove_reset, prove_step
from actorrl.rl.spaces import Encoder, as_actions
from actorrl.rl.time_limits import NEVER, TimeLimits, peeled


class LocalEnvironments:
    """k environments made by k zero-argument callables; implements `Environments`.

    Args:
        makers: one callable per environment.
        raw: give observations exactly as the environments do, in lists of k, and rewards in float64, so that a bare
            agent sees what a plain loop would show it; action masks are left alone.
        encode: makes an array of an observation where not raw; `Encoder(observation_space)` where not given.
    """

    def __init__(
        self,
        makers: Sequence[Callable[[], gymnasium.Env]],
        *,
        raw: bool = False,
        encode: Callable[[Any], Array] | None = None,
    ) -> None:
        self._environments = [make() for make in makers]
        self._bare = list(self._environments)  # peeled when an episode begins, as they are by then
        self._limits = TimeLimits([NEVER] * len(self))
        observation_space, self._action_space = self.spaces()
        self._encode = None if raw else encode or Encoder(observation_space)
        self._batch = getattr(self._encode, "batch", None) or self._each
        self._masks: list[Array] | None = None
        self._none = np.zeros(len(self._environments), np.bool_)
        self._none.flags.writeable = False
        self._unproven = True  # whether they keep to gymnasium's interface is not yet known

    def __len__(self) -> int:
        return len(self._environments)

    def spaces(self) -> tuple[gymnasium.Space, gymnasium.Space]:
        """(observation space, action space) of one environment."""
        first = self._environments[0]
        return first.observation_space, first.action_space

    def reset(self, seeds: Sequence[int | None] | None = None) -> Any:
        """First observations [k, *o], or a list of k where raw.

        `seeds` holds one int per environment and seeds this reset and the action space; None leaves both alone.
        """
        seeds = seeds if seeds is not None else [None] * len(self)
        if len(seeds) != len(self):
            raise ValueError(f"expected {len(self)} seeds, one per environment, found {len(seeds)}")
        observations, infos = [], []
        for environment, seed in zip(self._environments, seeds, strict=True):
            answer = environment.reset(seed=seed)
            if self._unproven:
                prove_reset(environment, answer)
            observation, info = answer
            if seed is not None:
                environment.action_space.seed(seed)
            observations.append(observation)
            infos.append(info)
        self._bare, limits = map(list, zip(*map(peeled, self._environments), strict=True))
        self._limits = TimeLimits(limits)
        if self._encode is None:
            return observations
        self._masks = [self._mask(info) for info in infos] if any("action_mask" in info for info in infos) else None
        return self._batch(observations)

    def _each(self, observations: Sequence[Any]) -> Array:
        assert self._encode is not None
        return np.array([self._encode(observation) for observation in observations])

    def action_mask(self) -> Array | None:
        """bool [k, n], the legal actions now; None where `info` has no "action_mask"."""
        return None if self._masks is None else np.array(self._masks)

    def step(self, actions: Sequence[Any] | Array) -> Stepped:
        """Take one action in each environment; reset those that ended. Actions are [k, *a] or a list of k."""
        encode, masks = self._encode, self._masks
        each = zip(self._bare, as_actions(self._action_space, actions), strict=True)
        answers = [environment.step(action) for environment, action in each]
        if self._unproven:
            for environment, answer in zip(self._environments, answers, strict=True):
                prove_step(environment, answer)
            self._unproven = False
        given: Any = zip(*answers, strict=True)
        observed, rewards, terminations, truncations, infos = given
        truncations = self._limits.step(truncations)
        observations = list(observed)
        terminated = truncated = self._none
        if masks is not None:
            masks[:] = map(self._mask, infos)
        final: dict[int, Any] = {}
        final_masks: dict[int, Array] = {}
        if any(terminations) or any(truncations):
            terminated, truncated = np.array(terminations, np.bool_), np.array(truncations, np.bool_)
            truncated &= ~terminated
            for i, environment in enumerate(self._environments):
                if not (terminations[i] or truncations[i]):
                    continue
                final[i] = encode(observations[i]) if encode else observations[i]
                observations[i], info = environment.reset()
                self._bare[i], limit = peeled(environment)
                self._limits.begin(i, limit)
                if masks is not None:
                    final_masks[i], masks[i] = masks[i], self._mask(info)
        return Stepped(
            self._batch(observations) if encode else observations,  # type: ignore[arg-type]
            np.array(rewards, np.float32 if encode else np.float64),
            terminated,
            truncated,
            final,
            None if masks is None else np.array(masks),
            None if masks is None else final_masks,
        )

    def _mask(self, info: dict[str, Any]) -> Array:
        mask = info.get("action_mask")
        if mask is None:
            return np.ones(gymnasium.spaces.flatdim(self._action_space), np.bool_)
        return np.array(mask, np.bool_)

    def close(self) -> None:
        """Close every environment."""
        for environment in self._environments:
            environment.close()
