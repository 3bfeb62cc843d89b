"""The nouns of the framework: what an agent, an environment, a policy, a learner and a table are.

Every other module of `rl/` and `training/` speaks these nouns and nothing else. They are protocols:
a class is a Policy because it has the methods, not because it inherits. Symbols in the comments:
B batch, k environments, T time, `o` the shape of one observation, `a` of one action.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

Array = np.ndarray
State = Any  # () for a policy without memory, else arrays [B, h]


class Stepped(NamedTuple):
    """What k environments answer to k actions. Environments that ended are already reset."""

    observation: Array  # [k, *o], the first of the new episode where one ended (a list where raw)
    reward: Array  # f32 [k]
    terminated: Array  # bool [k]; wins where both flags are set
    truncated: Array  # bool [k]
    final_observation: Mapping[int, Any]  # {i: o}, the true last observation where i ended
    action_mask: Array | None = None  # bool [k, n], legal actions in `observation`
    final_action_mask: Mapping[int, Array] | None = None  # {i: bool [n]}, in `final_observation`


class Acted(NamedTuple):
    """What a policy answers to B observations."""

    action: Array  # [B, *a]
    state: State
    extras: dict[str, Array]  # log_prob [B], value [B], q [B, n]: what the algorithm recorded


class Updated(NamedTuple):
    """What a learner answers to one batch."""

    metrics: dict[str, float]
    td: Array | None = None  # [B], the TD errors that priorities are made of


class Sample(NamedTuple):
    """A batch from a table, with the keys that `update_priorities` takes back."""

    batch: dict[str, Array]
    ids: Array | None = None  # [B]
    weight: Array | None = None  # f32 [B]; learners find it in the batch, as "weight"


@runtime_checkable
class Agent(Protocol):
    """The user's own agent: one step at a time.

    Optional, found by their names: `update(..., truncated=False, environment=0)`,
    `get_actions(observations, step)`, `greedy_action(observation)`, `state_dict` / `load_state_dict`.
    """

    def get_action(self, observation: Any, step: int) -> Any: ...

    def update(self, observation: Any, action: Any, reward: float, observation_next: Any, terminated: bool) -> None: ...


class Environments(Protocol):
    """k environments, passive: plain here, an actor in `training/`."""

    def reset(self, seeds: Any) -> Array: ...

    def step(self, actions: Any) -> Stepped: ...


class Policy(Protocol):
    """Acts. Picklable; sees no reward, owns no optimiser."""

    def initial_state(self, B: int) -> State: ...

    def act(self, observations: Array, state: State, step: int, *, explore: bool, rng: np.random.Generator) -> Acted:
        """Choose for B observations. Where environments give action masks, also gets `action_mask` bool [B, n]."""
        ...

    def set_weights(self, weights: dict[str, Array], version: int) -> None: ...


class Learner(Protocol):
    """Improves the weights. Never acts."""

    def update(self, batch: dict[str, Array]) -> Updated: ...

    def get_weights(self) -> dict[str, Array]:
        """What `Policy.set_weights` takes. May be views of the live weights: copy what you keep."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Table(Protocol):
    """storage × sampler × remover × rate limiter: a replay buffer or a sample stream."""

    def add(self, items: Any) -> None:
        """Take rows in: a dict of arrays [m, ...], or a structured array [m] as the windows make it."""
        ...

    def sample(self, n: int) -> Sample | None: ...

    def update_priorities(self, ids: Array, td: Array) -> None: ...


class Cadence(NamedTuple):
    """When the learner learns, counted in environment steps of the agent it belongs to."""

    learning_starts: int = 0
    """No update before this many steps."""
    train_freq: int = 1
    """Steps from one burst of updates to the next."""
    gradient_steps: int = 1
    """Updates per burst."""
    batch_size: int = 64
    """Rows per update."""

    def bursts(self, steps: int, starts: int | None = None) -> int:
        """How many bursts have fallen due after so many steps; `starts` in place of `learning_starts`, where given."""
        starts = max(self.learning_starts if starts is None else starts, 1)
        return max(0, steps // self.train_freq - (starts - 1) // self.train_freq)

    def updates(self, steps: int) -> int:
        """How many updates have fallen due after so many steps: what a schedule that they count stretches over."""
        return self.bursts(steps) * self.gradient_steps


class Parts(NamedTuple):
    """What `Config.build(observation_space, action_space, seed)` returns."""

    policy: Policy
    learner: Learner
    table: Table
    cadence: Cadence = Cadence()
    n_steps: int = 1
    """How many rewards a transition row sums."""
    gamma: float = 0.99
    encode: Callable[[Any], Array] | None = None
    """Makes an array of an observation as the environment gives it; None where it is one already."""
