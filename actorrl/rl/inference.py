"""Who chooses the Explorer's actions: a policy in its own hands, or something that is asked and answers later.

    Explorer ── ask(lane, observations, ...) ──►  Inline: the policy acts, on all that was asked, when it is to answer
             ◄─ answers() ── (lane, Acted) ────   or whatever else has these two methods, such as a server's client

The Explorer cannot tell which of them it has: it asks for each lane that is ready and sends on what has been answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from actorrl.rl.nouns import Acted, Array, Policy


class Inference(Protocol):
    """What an Explorer needs of whoever acts; a Policy that has these methods too is asked by them."""

    def ask(
        self, lane: int, observations: Any, state: Any, step: int, *, explore: bool, action_mask: Array | None
    ) -> None:
        """Ask for the actions of one lane, [k, *o]; it is asked again only after it has been answered."""
        ...

    def answers(self, wait: bool) -> list[tuple[int, Acted]]:
        """The lanes that have been answered. With `wait` it gives them time, but not without end: [] may come back.

        Extras may have "version" int64 [k], of the weights that chose each action (see fragments.py).
        """
        ...


class _Question(NamedTuple):
    lane: int
    observations: Any
    state: Any
    step: int
    explore: bool
    mask: Array | None


class Inline:
    """A policy that is called. What was asked before it is to answer makes one batch.

    Args:
        policy: acts.
        rng: what it draws from.
    """

    def __init__(self, policy: Policy, rng: np.random.Generator) -> None:
        self.policy, self.rng = policy, rng
        self._asked: list[_Question] = []

    def ask(
        self, lane: int, observations: Any, state: Any, step: int, *, explore: bool, action_mask: Array | None
    ) -> None:
        self._asked.append(_Question(lane, observations, state, step, explore, action_mask))

    def answers(self, wait: bool) -> list[tuple[int, Acted]]:
        asked, self._asked = self._asked, []
        if len(asked) == 1:
            one = asked[0]
            return [(one.lane, self._act(one, one.observations, one.state, one.mask))]
        if not asked:
            return []
        masks: list[Any] = [one.mask for one in asked]
        mask = None if masks[0] is None else np.concatenate(masks)
        observations = _joined([one.observations for one in asked])
        acted = self._act(asked[0], observations, _joined_states([one.state for one in asked]), mask)
        answers: list[tuple[int, Acted]] = []
        start = 0
        for one in asked:
            stop = start + len(one.observations)
            answers.append((one.lane, rows_of(acted, start, stop)))
            start = stop
        return answers

    def _act(self, first: _Question, observations: Any, state: Any, mask: Array | None) -> Acted:
        masks = {} if mask is None else {"action_mask": mask}
        return self.policy.act(observations, state, first.step, explore=first.explore, rng=self.rng, **masks)


def rows_of(acted: Acted, start: int, stop: int) -> Acted:
    """What was answered to a part of a batch."""
    extras = {name: values[start:stop] for name, values in acted.extras.items()}
    return Acted(acted.action[start:stop], _state_rows(acted.state, start, stop), extras)


def arrays_of(state: Any) -> Sequence[Array]:
    """The arrays [B, h] of a policy's state; none where it has no memory."""
    return state if isinstance(state, (tuple, list)) else [state]


def _joined(batches: Sequence[Any]) -> Any:
    if isinstance(batches[0], list):
        return [observation for batch in batches for observation in batch]
    return np.concatenate(batches)


def _joined_states(states: Sequence[Any]) -> Any:
    if isinstance(states[0], tuple):
        return tuple(np.concatenate(parts) for parts in zip(*states, strict=True))
    return np.concatenate(states)


def _state_rows(state: Any, start: int, stop: int) -> Any:
    if isinstance(state, tuple):
        return tuple(part[start:stop] for part in state)
    return state[start:stop]
