"""The seam between what users write and where actors run.

An Engine spawns, sends, waits and ends; `inline.py` and `processes.py` implement it. `system.py`
installs one at a time here, and refs, futures and the public functions find it here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from .future import Future
    from .options import Options
    from .ref import ActorRef

__all__ = ["ActorInfo", "Call", "Engine", "Spawn", "engine", "install"]


class Spawn(NamedTuple):
    """One request for a new actor."""

    place: int | str | None
    factory: Callable[..., Any]
    """The class, or any callable that returns the object."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    options: Options


class Call(NamedTuple):
    """One message for an actor, before it is written down."""

    ref: ActorRef[Any]
    method: str
    """The method's or function's name."""
    function: Any
    """The function to apply to the actor's state; None for a method."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class ActorInfo(NamedTuple):
    """One row of `actors()`."""

    name: str | None
    cls: str
    pid: int | None
    place: int | str | None
    state: str
    """ "starting", "idle", "running" or "stopping"."""
    queue: int
    """Messages that wait at the actor."""
    handled: int
    """Messages it has handled."""
    busy: float
    """The share of its life it spent in handlers, 0 to 1."""
    restarts: int


class Engine(Protocol):
    """Where actors live. Every method may be called from any thread."""

    token: str
    """Names this system; refs of another one are refused."""

    failures: Any
    """Its `any` says whether `raise_failures` may have something to raise: what `fetch` looks at."""

    def spawn(self, spawn: Spawn) -> ActorRef[Any]: ...

    def call(
        self, ref: ActorRef[Any], method: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Future[Any]:
        """Send a message; with a `function`, it is applied to the actor's object in place of a method."""

    def tell(
        self, ref: ActorRef[Any], method: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """The same, one way."""

    def call_group(
        self, refs: Sequence[ActorRef[Any]], method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[Future[Any]]:
        """The same call to many actors, with one message per process."""

    def block(self, future: Future[Any], deadline: float | None) -> None: ...

    def block_each(self, futures: Sequence[Any]) -> None:
        """Return when all of them are done or the first of them in order that is not there has failed, or earlier."""

    def block_any(self, futures: Sequence[Future[Any]], count: int, deadline: float | None) -> None:
        """Return when `count` of the futures are done or the deadline has passed."""

    def raise_failures(self) -> None:
        """Raise the first failure that was left to the present owner, once."""

    def stop(self, ref: ActorRef[Any], timeout: float) -> None: ...

    def kill(self, ref: ActorRef[Any]) -> None: ...

    def watch(self, ref: ActorRef[Any]) -> Future[Any]: ...

    def find(self, name: str) -> ActorRef[Any]: ...

    def actors(self) -> list[ActorInfo]: ...

    def shutdown(self, timeout: float, quiet: bool = False) -> None:
        """End everything; `quiet` where the user has interrupted and knows what is cut short."""


class _Active:
    engine: Engine | None = None
    pid = 0
    forked: Engine | None = None  # the engine of the process that this one is a fork of, kept: nobody may close it
    closed = False  # an explicit shutdown came before
    start: Callable[[], Engine] | None = None  # set by system.py: starts the default


active = _Active()


def _reset_after_fork() -> None:
    active.forked, active.engine = active.engine or active.forked, None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)


def install(new: Engine | None, *, closed: bool = False) -> None:
    """Make `new` the running engine of this process, or none."""
    active.engine, active.pid, active.closed, active.forked = new, os.getpid(), closed, None


def engine(*, spawning: bool = False) -> Engine:
    """The running engine; for a spawn, the default one is started where none ever was.

    Raises:
        RuntimeError: after a shutdown, before a start, or in a process forked by the user.
    """
    found = active.engine
    if found is not None:
        return found
    if active.forked is not None:
        raise RuntimeError(
            "this process was forked from one that uses actorrl and cannot use its actors: "
            "spawn an actor instead of forking, or start the fork before the system"
        )
    if active.closed:
        raise RuntimeError("the actor system was shut down: call actorrl.init() to start a new one")
    if not spawning or active.start is None:
        raise RuntimeError("no actor system is running: spawn an actor or call actorrl.init() first")
    return active.start()
