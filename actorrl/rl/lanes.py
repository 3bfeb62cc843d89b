"""The lanes between an explorer and its environments: one step call in flight per lane, inline or remote.

    Explorer ── send(lane, actions) ──►  lane 0: environments 0 .. k-1     (an object here, an actor in training/)
             ◄─ receive() ── arrivals ─  lane 1: environments k .. 2k-1

The explorer serves whichever lanes have answered; it cannot tell whether they were actors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from actorrl.rl.nouns import Array, Environments, Stepped
from actorrl.rl.seeding import seed_again


class Arrival(NamedTuple):
    """What one lane answered."""

    lane: int
    """The number of the lane."""
    observation: Any
    """[k, *o], or a list of k where raw: what to act on next."""
    stepped: Stepped | None = None
    """The answer to a step; None where the lane was reset (at the start, or after a restart)."""
    action_mask: Array | None = None
    """bool [k, n], legal actions in `observation`; read only where `stepped` is None."""


class Lanes(Protocol):
    """What an explorer needs of its environments."""

    @property
    def sizes(self) -> Sequence[int]:
        """How many environments each lane holds, known after `reset`; they are numbered through, lane by lane."""
        ...

    def reset(self, again: int = 0) -> None:
        """Ask every lane for its first observations; `receive` hands them out.

        Where all are reset once more for a checkpoint, `again` are the steps so far: other seeds follow from it.
        """
        ...

    def send(self, lane: int, actions: Any) -> None:
        """Ask a lane for one step. Actions are [k, *a], or a list of k."""
        ...

    def receive(self) -> list[Arrival]:
        """Wait until at least one lane has answered, and hand out everything that has, in the order it came.

        A lane that was lost and came back answers with `stepped=None`: its step in flight never happened.
        """
        ...


class InlineLanes:
    """One lane per `Environments` object, stepped at `send`; answers are handed out at `receive`, in order.

    Args:
        environments: the objects.
        seeds: one int (or None) per environment over all lanes, for the first reset. With more than one object
            each must have a `len`, so that the seeds can be dealt out.
    """

    phases = "environment step", "environment step"
    """What an explorer does when it sends and when it receives."""

    def __init__(self, environments: Sequence[Environments], seeds: Sequence[int | None] | None = None) -> None:
        self._environments = list(environments)
        self._sizes: list[int] = []
        self._seeds = seeds
        self._answers: list[Arrival] = []

    @property
    def only(self) -> Environments | None:
        """The object, where there is only one: a step of it is answered at once."""
        return self._environments[0] if len(self._environments) == 1 else None

    @property
    def sizes(self) -> Sequence[int]:
        return self._sizes

    def reset(self, again: int = 0) -> None:
        seeds, self._sizes = self._seeds if again or not self._sizes else None, []
        if again and seeds is not None:
            seeds = [None if seed is None else seed_again(seed, again) for seed in seeds]
        for lane, environment in enumerate(self._environments):
            mine = seeds
            if seeds is not None and len(self._environments) > 1:
                first = sum(self._sizes)
                mine = seeds[first : first + len(environment)]  # type: ignore[arg-type]
            observation = environment.reset(mine)
            mask = getattr(environment, "action_mask", None)
            self._answers.append(Arrival(lane, observation, None, mask() if mask else None))
            self._sizes.append(len(observation))

    def send(self, lane: int, actions: Any) -> None:
        stepped = self._environments[lane].step(actions)
        self._answers.append(Arrival(lane, stepped.observation, stepped))

    def receive(self) -> list[Arrival]:
        answers, self._answers = self._answers, []
        return answers
