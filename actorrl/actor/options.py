"""What an actor can be told at its spawn: the options, their defaults and their checks.

`remote.py` and `placement.py` read options from users; the engines get one frozen `Options`.
Options of the place (threads, cpus, env) belong to the process, the others to the actor.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from .restarts import Terms

__all__ = ["Options", "check_local", "check_place"]

ON_RAY = ("gpus", "resources")
ON_FAILURE = ("raise", "ignore", "stop")
ON_FULL = ("block", "raise")


@dataclass(frozen=True)
class Options:
    """The options of one spawn."""

    name: str | None = None
    """A name that `get_actor` finds; unique in the system."""
    max_restarts: int = 0
    """How often a dead actor is started again within `restart_window` seconds."""
    restart_window: float = 60.0
    """The window of `max_restarts`, in seconds."""
    backoff: float = 0.1
    """Seconds before the first restart; doubles with each."""
    checkpoint: int | None = None
    """Keep what `get_state()` returns after every so many messages; a restart hands it to `set_state`."""
    mailbox: int = 1024
    """How many messages of one process may wait at the actor."""
    on_full: str = "block"
    """What a sender to a full mailbox does: "block" or "raise"."""
    on_failure: str = "raise"
    """What a failure that nobody can receive does to the owner: "raise", "ignore" or "stop"."""
    threads: int | None = None
    """Threads of BLAS and torch in the actor's process; 1 unless said otherwise."""
    cpus: tuple[int, ...] | None = None
    """The CPUs the process may run on (its affinity)."""
    env: Mapping[str, str] | None = None
    """Environment variables of the process, on top of the driver's."""
    gpus: float | None = None
    """GPUs of the place (Ray)."""
    resources: Mapping[str, float] | None = None
    """Custom resources of the place (Ray)."""

    def override(self, changes: Mapping[str, Any]) -> Options:
        """These options with `changes` on top. TypeError for an unknown name, ValueError for a bad value."""
        known = [field.name for field in fields(self)]
        for key in changes:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; the options are {', '.join(known)}"
                raise TypeError(f"an actor has no option {key!r}{hint}")
        changes = dict(changes)
        if changes.get("cpus") is not None:
            cpus = changes["cpus"]
            changes["cpus"] = tuple([cpus] if isinstance(cpus, int) else cpus)
        if changes.get("env") is not None:
            changes["env"] = {str(key): str(value) for key, value in changes["env"].items()}
        options = replace(self, **changes)
        options._check()
        return options

    def _check(self) -> None:
        if self.on_failure not in ON_FAILURE:
            raise ValueError(f"on_failure must be one of {', '.join(ON_FAILURE)}; got {self.on_failure!r}")
        if self.on_full not in ON_FULL:
            raise ValueError(f"on_full must be one of {', '.join(ON_FULL)}; got {self.on_full!r}")
        if not isinstance(self.mailbox, int) or isinstance(self.mailbox, bool) or self.mailbox < 1:
            raise ValueError(f"mailbox must be an int of at least 1; got {self.mailbox!r}")
        if self.name is not None and not (isinstance(self.name, str) and self.name):
            raise TypeError(f"an actor's name must be a non-empty str; got {self.name!r}")
        if self.threads is not None and (not isinstance(self.threads, int) or self.threads < 1):
            raise ValueError(f"threads must be an int of at least 1; got {self.threads!r}")
        self._check_resources()
        self._check_restarts()

    def _check_resources(self) -> None:
        if self.gpus is not None and not _seconds(self.gpus):
            raise ValueError(f"gpus must be a number of at least 0; got {self.gpus!r}")
        if self.resources is not None:
            if not isinstance(self.resources, Mapping):
                raise TypeError(f"resources must be a dict of amounts by name; got {self.resources!r}")
            for name, amount in self.resources.items():
                if not isinstance(name, str) or not _seconds(amount):
                    raise ValueError(f"resources maps names to amounts of at least 0; got {name!r}: {amount!r}")

    def _check_restarts(self) -> None:
        if not _whole(self.max_restarts, 0):
            raise ValueError(f"max_restarts must be an int of at least 0; got {self.max_restarts!r}")
        if not _seconds(self.restart_window) or self.restart_window == 0:
            raise ValueError(f"restart_window must be a number of seconds above 0; got {self.restart_window!r}")
        if not _seconds(self.backoff):
            raise ValueError(f"backoff must be a number of seconds, at least 0; got {self.backoff!r}")
        if self.checkpoint is not None and not _whole(self.checkpoint, 1):
            raise ValueError(f"checkpoint must be None or an int of at least 1; got {self.checkpoint!r}")

    @property
    def terms(self) -> Terms:
        """How often the actor may be started again."""
        return Terms(self.max_restarts, float(self.restart_window), float(self.backoff))

    @property
    def place(self) -> dict[str, Any]:
        """The options that belong to the place and were given, plain enough for any pickler."""
        given = {key: asdict(self)[key] for key in ("threads", "cpus", "env", *ON_RAY)}
        return {key: value for key, value in given.items() if value is not None}


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _seconds(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")


def check_place(place: Any) -> int | str | None:
    """`place` if it is one: None, an int of at least 0, or the name of something in a Ray cluster."""
    if place is None or (isinstance(place, int) and not isinstance(place, bool) and place >= 0):
        return place
    if isinstance(place, int) and not isinstance(place, bool):
        raise ValueError(f"a place is None or an int of at least 0; got {place}")
    if isinstance(place, str) and place:
        return place
    found = f"{place!r} ({type(place).__name__})"
    raise TypeError(f"a place is None, an int of at least 0, or, on Ray, the name of a node or resource; got {found}")


def check_local(place: Any, options: Options, engine: str) -> None:
    """ValueError for what only a Ray cluster has."""
    if isinstance(place, str):
        raise ValueError(
            f"a str names a node or a resource of a Ray cluster, which the engine {engine!r} has not; "
            f"got place {place!r}"
        )
    for key in ON_RAY:
        if getattr(options, key) is not None:
            raise ValueError(
                f"the option {key!r} is for Ray, and the engine is {engine!r}: leave it out, or init(engine='ray')"
            )
