"""Lanes to environments that are actors: one step call in flight per actor, whoever has answered is served.

`central.py` builds them inside the agent's actor; the Explorer drives them as it drives inline ones.

    Explorer ── send ──► ref.step(...) ─────► environment actor
             ◄─ receive ── wait(any) ◄── Future ──┘
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from actorrl.actor import ActorRef, Future, fetch, kill, wait
from actorrl.errors import ActorDied
from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.lanes import Arrival
from actorrl.rl.nouns import Array

PATIENCE = 0.1  # seconds that `receive` waits before it lets the slice end


class EnvironmentServer(LocalEnvironments):
    """`LocalEnvironments` as an actor's object."""

    def start(self, seeds: Sequence[int | None]) -> tuple[Any, Array | None]:
        """Reset; the first observations and the action masks, if there are any."""
        return self.reset(seeds), self.action_mask()

    def on_stop(self) -> None:
        """Close the environments when the actor ends."""
        self.close()


class RemoteLanes:
    """One lane per environment actor, each with one environment.

    Args:
        environments: refs to `EnvironmentServer` actors.
        seeds: one per environment, for the first reset.
        step_timeout: seconds after which a call that has not been answered is given up.

    Raises (from `receive`):
        RuntimeError: an environment died, failed or took too long; it names which.
    """

    def __init__(
        self, environments: Sequence[ActorRef[EnvironmentServer]], seeds: Sequence[int], step_timeout: float
    ) -> None:
        self._environments, self._seeds, self._timeout = list(environments), list(seeds), step_timeout
        self.sizes = [1] * len(self._environments)
        self._flying: dict[int, tuple[Future[Any], float]] = {}  # lane -> (future, when it was sent), oldest first
        self._starting: set[int] = set()

    def reset(self) -> None:
        """Ask every environment for its first observation."""
        for lane, (environment, seed) in enumerate(zip(self._environments, self._seeds, strict=True)):
            self._flying[lane] = (environment.start([seed]), time.monotonic())
            self._starting.add(lane)

    def send(self, lane: int, actions: Any) -> None:
        """Ask one environment for a step."""
        self._flying[lane] = (self._environments[lane].step(actions), time.monotonic())

    def receive(self) -> list[Arrival]:
        """What has answered by now, oldest call first; [] where nothing does within 100 ms."""
        if not self._flying:
            return []
        wait([future for future, _ in self._flying.values()], timeout=PATIENCE)
        answered = [(lane, future) for lane, (future, _) in self._flying.items() if future.done()]
        if not answered:
            self._give_up_the_late()
            return []
        arrivals = []
        for lane, future in answered:
            del self._flying[lane]
            arrivals.append(self._arrival(lane, future))
        return arrivals

    def _arrival(self, lane: int, future: Future[Any]) -> Arrival:
        try:
            answer = fetch(future)
        except ActorDied as error:
            raise RuntimeError(f"environment {lane} of {len(self.sizes)} died: {error}") from error
        except Exception as error:
            what = "reset" if lane in self._starting else "step"
            raise RuntimeError(
                f"environment {lane} of {len(self.sizes)} failed in {what}: {type(error).__name__}: {error}"
            ) from error
        if lane in self._starting:
            self._starting.discard(lane)
            return Arrival(lane, answer[0], None, answer[1])
        return Arrival(lane, answer.observation, answer)

    def _give_up_the_late(self) -> None:
        now = time.monotonic()
        for lane, (future, sent) in self._flying.items():
            if now - sent > self._timeout:
                future.cancel()
                kill(self._environments[lane])  # nothing else would end that step
                what = "reset" if lane in self._starting else "step"
                raise RuntimeError(
                    f"environment {lane} of {len(self.sizes)} did not answer a {what} within step_timeout="
                    f"{self._timeout:g} s, which counts as a crash; a slower environment needs a larger one: "
                    f"Central(step_timeout=...)"
                )
