"""How the steps of an environment become items for a sink: n-step transition rows, or the steps themselves.

The Explorer owns one window and tells it what happened, environment by environment; the window hands out what is
complete. A window never joins two episodes or two environments.

    steps of one environment   s0 a0 r0 | s1 a1 r1 | s2 a2 r2 | s3 ...          n = 3
    row                        s0 a0 (r0 + γ r1 + γ² r2) s3 discount γ³ (1 − terminated)
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple, Protocol

import numpy as np

from actorrl.rl.nouns import Array
from actorrl.rl.returns import discounted_sum


class Step(NamedTuple):
    """One step of one environment, as the Explorer saw it."""

    environment: int
    observation: Any
    action: Any
    extras: dict[str, Any]
    reward: float
    observation_next: Any  # the true last observation where the episode ended
    terminated: bool
    truncated: bool  # never set together with terminated
    action_mask_next: Array | None = None


class Window(Protocol):
    """Turns steps into items."""

    def add(self, step: Step) -> None:
        """Take one step in."""
        ...

    def cut(self, environment: int) -> None:
        """The environment was lost after its last step: its episode ends there, as if truncated."""
        ...

    def take(self) -> Any:
        """The items completed since the last call, for `sink.add`; None where there are none."""
        ...


class NStepWindow:
    """Transition rows: observation, action, reward (n-step sum), observation_next, discount = γ^j (1 − terminated).

    j is the number of rewards actually summed: n, or fewer where the episode ended sooner. Where it was truncated the
    row bootstraps from the true last observation. Rows carry `action_mask_next` where the environment gives masks.

    `take()` returns a structured array [m], one contiguous record per row: `rows["reward"]` is float32 [m], as in a
    dict of arrays.
    """

    def __init__(self, n_steps: int = 1, gamma: float = 0.99) -> None:
        if n_steps < 1:
            raise ValueError(f"n_steps must be at least 1, found {n_steps}")
        self._n, self._gamma = n_steps, gamma
        self._powers = [gamma**j for j in range(n_steps + 1)]
        self._pending: dict[int, deque[Step]] = {}
        self._rows: list[tuple[Any, ...]] = []
        self._layout: np.dtype | None = None

    def add(self, step: Step) -> None:
        pending = self._pending.get(step.environment)
        if pending is None:
            pending = self._pending[step.environment] = deque()
            self._layout = self._layout or row_layout(step)
        pending.append(step)
        if step.terminated or step.truncated:
            while pending:
                self._complete(pending)
        elif len(pending) == self._n:
            self._complete(pending)

    def cut(self, environment: int) -> None:
        pending = self._pending.pop(environment, ())
        while pending:
            self._complete(pending)

    def _complete(self, pending: deque[Step]) -> None:
        last = pending[-1]
        discount = 0.0 if last.terminated else self._powers[len(pending)]
        reward = last.reward if len(pending) == 1 else discounted_sum([step.reward for step in pending], self._gamma)
        first = pending.popleft()
        row = (first.observation, first.action, reward, last.observation_next, discount)
        self._rows.append(row if last.action_mask_next is None else (*row, last.action_mask_next))

    def take(self) -> Array | None:
        if not self._rows:
            return None
        rows, self._rows = self._rows, []
        return np.array(rows, self._layout)


def row_layout(step: Step) -> np.dtype:
    """The record of one transition row, from the shapes and dtypes of a step."""
    observation, action = np.asarray(step.observation), np.asarray(step.action)
    fields: list[Any] = [
        ("observation", observation.dtype, observation.shape),
        ("action", action.dtype, action.shape),
        ("reward", np.float32),
        ("observation_next", observation.dtype, observation.shape),
        ("discount", np.float32),
    ]
    if step.action_mask_next is not None:
        fields.append(("action_mask_next", np.bool_, step.action_mask_next.shape))
    return np.dtype(fields, align=True)


class StepWindow:
    """The steps themselves, one by one, for a sink that learns from each (`PerStep`)."""

    def __init__(self) -> None:
        self._steps: list[Step] = []

    def add(self, step: Step) -> None:
        self._steps.append(step)

    def cut(self, environment: int) -> None:
        pass

    def take(self) -> list[Step] | None:
        if not self._steps:
            return None
        steps, self._steps = self._steps, []
        return steps
