"""Playing whole episodes in one go, for tests of what has been learned. (`training/evaluation.py` plays in slices.)"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from actorrl.rl.explorer import Explorer
from actorrl.rl.lanes import InlineLanes
from actorrl.rl.nouns import Environments, Policy
from actorrl.rl.tracks import Episode


def play(
    environments: Environments,
    policy: Policy,
    episodes: int,
    *,
    seeds: Sequence[int | None] | None = None,
    rng: np.random.Generator | None = None,
    explore: bool = False,
) -> list[Episode]:
    """Play `episodes` episodes, as evenly spread over the k environments as can be.

    Each environment has its own share: taking the first to finish would prefer short episodes.

    Args:
        environments: k environments; reset here with `seeds`.
        policy: greedy unless `explore`.
        rng: what the policy draws from.
    """
    explorer = Explorer(InlineLanes([environments], seeds), policy, seed=rng, explore=explore)
    played: dict[int, list[Episode]] = {}
    k: int | None = None
    while True:
        for episode in explorer.advance(k or 1).episodes:
            played.setdefault(episode.environment, []).append(episode)
        k = k or explorer.lanes.sizes[0]
        shares = [episodes // k + (i < episodes % k) for i in range(k)]
        if all(len(played.get(i, ())) >= share for i, share in enumerate(shares)):
            return [episode for i, share in enumerate(shares) for episode in played.get(i, [])[:share]]
