"""Where the time of every role goes, over the run: timeline.json. The Runner feeds it, `report` reads it.

    Times of agents, explorers, trainer, Runner ──► Strip per role ┐
    actors(), once a second ──► busy share, queue, messages ───────┴──► timeline.json, and figures for TensorBoard

It stays small however long the run is: where a strip has become too long, two of its bins become one.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from actorrl.actor.engine import ActorInfo, active
from actorrl.rl.stopwatch import PERIOD, SPANS, Span, Times

__all__ = ["BINS", "FILE", "Strip", "Timeline", "living", "read"]

log = logging.getLogger("actorrl")

FILE = "timeline.json"
BINS = 240
"""At most so many per role."""
FOREIGN = 60.0
"""Seconds after which nothing is told of any more by a process whose clock is this one's."""
WINDOWS = 4
"""The spans of so many windows are kept, the last ones."""
WRITE_EVERY = 10.0
"""Seconds from one writing of the file to the next."""
EVERY = 1.0
"""Seconds from one look at the actors to the next, at first; later a part of the run."""
KINDS = {
    "EnvironmentServer": "environment",
    "AgentRole": "agent",
    "central_agent": "agent",
    "shared_agent": "agent",
    "ReplayServer": "replay",
    "PolicyServer": "policy server",
    "ExplorerRole": "explorer",
    "TrainerRole": "trainer",
}
"""What the actors of a run are called, by their class or what they are made by."""
SPOKEN_FOR = ("environment", "explorer")
"""Whose deaths are told at once by those that start them again."""
DOING = {"environment": "environment step", "replay": "replay", "policy server": "inference"}
"""What is done by those that have no clock of their own."""


class Bin(NamedTuple):
    """A part of a strip; seconds since the run began."""

    start: float
    end: float
    busy: float
    timed: float
    phases: dict[str, float]

    def joined(self, other: Bin) -> Bin:
        """This and the next one as one."""
        names = dict.fromkeys([*self.phases, *other.phases])
        phases = {name: self.phases.get(name, 0.0) + other.phases.get(name, 0.0) for name in names}
        return Bin(self.start, other.end, self.busy + other.busy, self.timed + other.timed, phases)


class Strip:
    """One role's time from the beginning to the end."""

    def __init__(self, role: str) -> None:
        self.role = role
        self.bins: list[Bin] = []
        self.windows: list[list[Span]] = []
        self._least = 0.0  # seconds that a bin must have before the next one begins

    def add(self, new: Bin, spans: Sequence[Span] = ()) -> None:
        """What was done next."""
        if self.bins and self.bins[-1].end - self.bins[-1].start < self._least:
            new = self.bins.pop().joined(new)
        self.bins.append(new)
        if len(self.bins) > BINS:
            odd = self.bins[len(self.bins) // 2 * 2 :]
            self.bins = [a.joined(b) for a, b in zip(self.bins[::2], self.bins[1::2], strict=False)] + odd
            self._least = (self.bins[-1].end - self.bins[0].start) / BINS
        if spans and self.windows and spans[0].start - self.windows[-1][0].start < PERIOD / 2:
            self.windows[-1] += list(spans)[: SPANS - len(self.windows[-1])]  # more of the same window
        elif spans:
            self.windows = [*self.windows, list(spans)][-WINDOWS:]


class _Seen(NamedTuple):
    """What was known of an actor when it was last looked at."""

    at: float
    handled: int
    busy: float


class Timeline:
    """All roles of a run.

    Args:
        path: of the run directory.
        began: when the run began, in seconds of the monotonic clock.
        clock: that clock; for tests.
    """

    def __init__(self, path: Path, began: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._began, self._clock = path / FILE, began, clock
        self._strips: dict[str, Strip] = {}
        self._seen: dict[str, _Seen] = {}
        self._looked = 0.0
        self._most: dict[str, list[float]] = {}  # queues: at most, sum, looks
        self._written = 0.0
        self._restarts: dict[str, int] = {}
        self.incidents: list[str] = []
        """What happened to actors that nobody speaks for, since somebody last took it out, in words."""
        self._go_on(read(path), clock() - began)

    def _go_on(self, before: dict[str, Any] | None, until: float) -> None:
        """Where the run goes on from a checkpoint, what was there before it."""
        for role in before["roles"] if before is not None else ():
            strip = self._strip(role["role"])
            for one in role["bins"]:
                if one[1] <= until:
                    strip.add(Bin(*one))

    def _strip(self, role: str) -> Strip:
        return self._strips.setdefault(role, Strip(role))

    def add(self, times: Times | None) -> None:
        """What a role says of itself."""
        if times is None:
            return
        late = self._clock() - times.end
        # Another machine's clock began at another time: what comes from there was just now.
        began = self._began if -1.0 < late < FOREIGN else self._began - late
        start, end = times.start - began, times.end - began
        spans = [Span(phase, a - began, b - began) for phase, a, b in times.spans]
        self._strip(times.role).add(Bin(start, end, times.busy, times.timed, times.phases), spans)
        if end - self._written > WRITE_EVERY:
            self.write(end)

    def due(self, now: float) -> bool:
        """Whether it is time for `look`."""
        return now - self._began - self._looked >= max(EVERY, self._looked / BINS)

    def look(self, infos: Sequence[ActorInfo], now: float) -> dict[str, float]:
        """What `actors()` says; figures by kind of role: messages per second, and messages that wait, at most."""
        at = now - self._began
        self._looked = at
        counts: dict[str, int] = {}
        figures: dict[str, float] = {}
        for info in infos:
            kind = KINDS.get(info.cls)
            if kind is None:
                continue
            number = counts[kind] = counts.get(kind, -1) + 1
            self._notice(f"{kind} {number}", info.restarts, told=kind in SPOKEN_FOR)
            before = self._seen.get(f"{kind} {number}", _Seen(0.0, 0, 0.0))
            seen = self._seen[f"{kind} {number}"] = _Seen(at, info.handled, info.busy * at)
            seconds = max(at - before.at, 1e-9)
            rate, queue = f"throughput/{kind}_messages_per_second", f"queues/{kind}"
            figures[rate] = figures.get(rate, 0.0) + max(0, seen.handled - before.handled) / seconds
            figures[queue] = max(figures.get(queue, 0.0), float(info.queue))
            if kind in DOING:
                busy = min(max(seen.busy - before.busy, 0.0), seconds)
                self._strip(f"{kind} {number}").add(Bin(before.at, at, busy, busy, {DOING[kind]: busy}))
        for kind in counts:
            most, total, looks = self._most.get(kind, [0.0, 0.0, 0.0])
            queue_now = figures[f"queues/{kind}"]
            self._most[kind] = [max(most, queue_now), total + queue_now, looks + 1]
        return figures

    def _notice(self, role: str, restarts: int, *, told: bool) -> None:
        """Keep in mind how often an actor has died by now."""
        died, self._restarts[role] = restarts - self._restarts.get(role, 0), restarts
        if died > 0 and not told:
            times = "" if died == 1 else f" {died} times"
            self.incidents.append(f"{role} died{times} and was started again")

    def write(self, seconds: float) -> None:
        """Write timeline.json; `seconds` is how long training has taken."""
        roles = [
            {
                "role": strip.role,
                "bins": [[*(round(value, 5) for value in one[:4]), _rounded(one.phases)] for one in strip.bins],
                "windows": [[[s.phase, round(s.start, 6), round(s.end, 6)] for s in w] for w in strip.windows],
            }
            for strip in self._strips.values()
        ]
        queues = {kind: {"most": most, "mean": total / looks} for kind, (most, total, looks) in self._most.items()}
        self._written = seconds
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps({"seconds": round(seconds, 3), "roles": roles, "queues": queues}))
        fresh.replace(self._path)


def living() -> list[ActorInfo]:
    """What `actors()` says now; [] where no system runs, or it cannot say: to be looked at ends no run."""
    if active.engine is None:
        return []
    try:
        return active.engine.actors()
    except Exception as error:  # of whatever engine
        log.debug("actors() could not say how the actors are: %s", error)
        return []


def _rounded(phases: dict[str, float]) -> dict[str, float]:
    return {phase: round(seconds, 6) for phase, seconds in phases.items()}


def read(path: Path) -> dict[str, Any] | None:
    """timeline.json of a run directory; None where there is none, or none that can be read."""
    try:
        return json.loads((path / FILE).read_text())
    except (OSError, ValueError):
        return None
