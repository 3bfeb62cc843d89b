"""Lanes to environments that are actors: one step call in flight per actor, whoever has answered is served.

`central.py` builds them inside the agent's actor; the Explorer drives them as it drives inline ones.

    Explorer ── send ──► ref.step(...) ─────► environment actor
             ◄─ receive ── wait(any) ◄── Future ──┘

An environment whose process dies, or that takes longer than `step_timeout` and is killed for it, is started again by
its options (`RESTARTED`) and reset here with a seed of its own; the Explorer drops the episode that it broke.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Sequence
from typing import Any

from actorrl.actor import ActorRef, Future, fetch, kill, stop, wait, watch
from actorrl.errors import ActorDied, ActorError
from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.lanes import Arrival
from actorrl.rl.nouns import Array
from actorrl.rl.proof import NotGymnasium
from actorrl.rl.seeding import seed_after, seed_again

log = logging.getLogger("actorrl")
PATIENCE = 0.1  # seconds that `receive` waits before it lets the slice end
CONSTRUCTION = 60.0
"""Seconds that a new process may take, at least, until its environment is made: that is not a step's time."""
HANGS = 3
"""An environment that hangs so often in a row, and makes no step between, ends the run."""
RESTARTED: dict[str, Any] = {"max_restarts": 20, "restart_window": 60.0, "backoff": 0.0}
"""How often one environment may crash: then the run ends, with the first of the crashes."""


class EnvironmentServer(LocalEnvironments):
    """`LocalEnvironments` as an actor's object."""

    _started = False

    def process(self) -> int:
        """Its process's id. That it answers says that the environment is made."""
        return os.getpid()

    def start(self, seeds: Sequence[int | None]) -> tuple[Any, Array | None, int]:
        """Reset; the first observations, the action masks, if there are any, and the process: it may be another."""
        self._started = True
        return self.reset(seeds), self.action_mask(), os.getpid()

    def step(self, actions: Any) -> Any:
        """As of `LocalEnvironments`; None where this is a new process, which knows nothing of the episode."""
        return super().step(actions) if self._started else None

    def on_stop(self) -> None:
        """Close the environments when the actor ends."""
        self.close()


def close_environment(environment: ActorRef[Any]) -> None:
    """End an environment whose work is done; one that hangs now costs nothing but the time."""
    try:
        stop(environment)
    except (TimeoutError, ActorError) as error:
        log.warning("an environment did not close well: %s", error)


class RemoteLanes:
    """One lane per environment actor, each with one environment.

    Args:
        environments: refs to `EnvironmentServer` actors, spawned with the options `RESTARTED`.
        seeds: one per environment, for the first reset.
        step_timeout: seconds after which a call that has not been answered is a crash.

    Raises (from `receive`):
        RuntimeError: an environment failed, or crashed more often than it may; it names which.
        NotGymnasium: its answers are not what gymnasium's environments give.
    """

    def __init__(
        self, environments: Sequence[ActorRef[EnvironmentServer]], seeds: Sequence[int], step_timeout: float
    ) -> None:
        self._environments, self._seeds, self._timeout = list(environments), list(seeds), step_timeout
        self._first_seeds = list(seeds)
        self.sizes = [1] * len(self._environments)
        self.incidents: list[str] = []
        """What happened to environments since somebody last took it out, in words."""
        self._ends = [watch(environment) for environment in self._environments]  # for good
        self._crashes = [0] * len(self._environments)
        self._pids: list[int | None] = [None] * len(self._environments)  # None: its environment is not yet made
        self._flying: dict[int, tuple[Future[Any], float]] = {}  # lane -> (future, when it was sent), oldest first
        self._resets: dict[int, int] = {}  # lane -> the seed of the reset it is asked for, or will be once it is made
        self._hangs = [0] * len(self._environments)  # in a row
        self._killed: set[int] = set()  # those that hung, until their death is told

    def reset(self, again: int = 0) -> None:
        """Ask every environment for its first observation."""
        if again:
            self._seeds = [seed_again(seed, again) for seed in self._first_seeds]
        for lane, seed in enumerate(self._seeds):
            self._begin(lane, seed)

    def _begin(self, lane: int, seed: int) -> None:
        """Find out the process of an environment; its answer is followed by a reset."""
        self._pids[lane], self._resets[lane] = None, seed
        self._flying[lane] = (self._environments[lane].process(), time.monotonic())

    def send(self, lane: int, actions: Any) -> None:
        """Ask one environment for a step."""
        self._flying[lane] = (self._environments[lane].step(actions), time.monotonic())

    def receive(self) -> list[Arrival]:
        """What has answered by now, oldest call first; [] where nothing does within 100 ms."""
        if not self._flying:
            return []
        wait([future for future, _ in self._flying.values()], timeout=PATIENCE)
        answered = [(lane, future) for lane, (future, _) in self._flying.items() if future.done()]
        if time.monotonic() - next(iter(self._flying.values()))[1] > self._timeout:
            self._give_up_the_late()
        arrivals = []
        for lane, future in answered:
            del self._flying[lane]
            arrival = self._arrival(lane, future)
            if arrival is not None:
                arrivals.append(arrival)
        return arrivals

    def _arrival(self, lane: int, future: Future[Any]) -> Arrival | None:
        """What an environment answered; None where it begins, or died and has been asked to begin again."""
        try:
            answer = fetch(future)
        except ActorDied as error:
            self._died(lane, error)
            return None
        except NotGymnasium as error:
            raise NotGymnasium(f"environment {lane} of {len(self.sizes)}: {error}") from error
        except Exception as error:
            what = "reset" if lane in self._resets else "step"
            raise RuntimeError(
                f"environment {lane} of {len(self.sizes)} failed in {what}: {type(error).__name__}: {error}"
            ) from error
        if self._pids[lane] is None:
            self._pids[lane] = answer
            self._flying[lane] = (self._environments[lane].start([self._resets[lane]]), time.monotonic())
            return None
        if lane in self._resets:
            del self._resets[lane]
            self._pids[lane] = answer[2]
            return Arrival(lane, answer[0], None, answer[1])
        if answer is None:  # it died between two steps
            self._begin_again(lane)
            return None
        self._hangs[lane] = 0
        return Arrival(lane, answer.observation, answer)

    def _died(self, lane: int, error: ActorDied) -> None:
        if self._ends[lane].done():
            end = self._ends[lane].result(0)
            raise RuntimeError(f"environment {lane} of {len(self.sizes)} died: {end}") from error
        self._begin_again(lane)

    def _begin_again(self, lane: int) -> None:
        if lane in self._killed:  # which has been told
            self._killed.discard(lane)
        else:
            which = f"environment {lane} of {len(self.sizes)}"
            self.incidents.append(f"{which} died and was started again; the episode it was in is dropped")
        self._crashes[lane] += 1
        self._begin(lane, seed_after(self._seeds[lane], self._crashes[lane]))

    def _give_up_the_late(self) -> None:
        now = time.monotonic()
        for lane, (future, sent) in list(self._flying.items()):
            pid, which = self._pids[lane], f"environment {lane} of {len(self.sizes)}"
            limit = self._timeout if pid is not None else max(self._timeout, CONSTRUCTION)
            if now - sent <= limit or future.done():
                continue
            if pid is None:
                kill(self._environments[lane])  # nothing else would end it
                raise RuntimeError(
                    f"{which} was not made within {limit:g} s of the start of its process; "
                    f"a slower one needs a larger step_timeout=..."
                )
            what = "reset" if lane in self._resets else "step"
            text = f"{which} did not answer a {what} within step_timeout={limit:g} s, which counts as a crash"
            self._hangs[lane] += 1
            if self._hangs[lane] >= HANGS:
                kill(self._environments[lane])  # the next would be no better
                raise RuntimeError(f"{text}; a slower environment needs a larger one: step_timeout=...")
            del self._flying[lane]
            self._flying[lane] = future, now  # now the latest
            self.incidents.append(f"{text}: its process was killed")
            self._killed.add(lane)
            with contextlib.suppress(ProcessLookupError):  # dead by itself, and another is being made
                os.kill(pid, signal.SIGKILL)  # its death is told by the call, and it is started again
