"""The System: one per program, it owns the engine and ends it.

    with System(engine="inline", seed=0): ...        or        init(); ...; shutdown()

The first spawn starts the default one. What the public functions do with futures and refs is in
`waiting.py`; this file starts, ends and asks the engine.
"""

from __future__ import annotations

import atexit
import importlib.util
import logging
import os
import sys
import threading
from types import TracebackType
from typing import Any

from .context import here
from .engine import ActorInfo, Engine, active, engine, install
from .faults import error_text
from .future import Future
from .ref import ActorRef

__all__ = ["System", "actors", "get_actor", "init", "kill", "shutdown", "stop", "watch"]

GRACE = 10.0
"""Seconds that a shutdown gives to what was sent before it."""
HURRY = 0.5
"""The same after a KeyboardInterrupt."""
log = logging.getLogger("actorrl")
_starting = threading.RLock()


class System:
    """The actors of one program, from `with` to the end of its block.

    Args:
        engine: "processes" (each actor or place a process of its own), "inline" (all here, for
            debugging) or "ray" (actors of a Ray cluster).
        seed: an int of at least 0 from which every actor's random numbers follow; None for fresh entropy.
        address: of a Ray cluster, "host:port" or "auto"; None for the one this program is connected to, else for a
            Ray of its own on this machine. For the engine "ray" only.

    Raises:
        ValueError: for an engine that does not exist, or an address where it has no use.
        ImportError: for the engine "ray" where Ray is not installed.
        RuntimeError: if a system is running already, or inside an actor.
    """

    def __init__(self, engine: str = "processes", seed: int | None = None, address: str | None = None) -> None:
        if engine not in ("processes", "inline", "ray"):
            raise ValueError(f"engine must be 'processes', 'inline' or 'ray'; got {engine!r}")
        if address is not None and engine != "ray":
            raise ValueError(f"address={address!r} names a Ray cluster: it goes with engine='ray', not {engine!r}")
        if seed is not None and (not isinstance(seed, int) or seed < 0):
            raise ValueError(f"seed must be None or an int of at least 0; got {seed!r}")
        self.engine = engine
        self.seed = seed
        self.address = address
        self._running: Engine | None = None

    def __enter__(self) -> System:
        with _starting:
            if here.cell is not None:
                raise RuntimeError("a system cannot be started inside an actor: spawn actors there instead")
            if active.engine is not None and active.pid == os.getpid():
                raise RuntimeError("an actor system is running already: shutdown() it first; there is one at a time")
            self._running = _make(self.engine, self.seed, self.address)
            install(self._running)
            _watch_exit()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running is None or active.engine is not self._running:
            return
        try:
            _end(self._running, interrupted=kind is not None and issubclass(kind, KeyboardInterrupt))
        except Exception as failure:
            if error is None:
                raise
            log.error("while the system was shut down after an error:\n%s", error_text(failure))

    def __repr__(self) -> str:
        state = "running" if self._running is not None and active.engine is self._running else "not running"
        return f"<System engine={self.engine!r} seed={self.seed} {state}>"


def _make(name: str, seed: int | None, address: str | None) -> Engine:
    if name == "inline":
        from .inline import InlineEngine

        return InlineEngine(seed)
    if name == "ray":
        if importlib.util.find_spec("ray") is None:
            raise ImportError("the engine 'ray' needs Ray, which is not installed: pip install 'actorrl[ray]'")
        from .ray_engine import RayEngine

        return RayEngine.of_program(seed, address)
    from .processes import ProcessEngine

    return ProcessEngine.start(seed)


def init(engine: str = "processes", seed: int | None = None, address: str | None = None) -> System:
    """Start the actor system; it runs until `shutdown()` or the program's end. Arguments as for `System`."""
    return System(engine, seed, address).__enter__()


def shutdown(timeout: float = GRACE) -> None:
    """Deliver what was sent, stop every actor and end the system; afterwards a spawn needs `init` again.

    Args:
        timeout: seconds for the actors to finish what is queued; what still runs then is killed.

    Raises:
        Whatever failure nobody received: the error of a tell, an ActorDied.
        RuntimeError: inside an actor.
    """
    if here.cell is not None:
        raise RuntimeError("shutdown() is the program's to call; an actor ends itself with stop(current())")
    running = active.engine
    if running is None or active.pid != os.getpid():
        return
    _end(running, timeout)


def _end(running: Engine, timeout: float = GRACE, interrupted: bool = False) -> None:
    try:
        running.shutdown(HURRY if interrupted else timeout, quiet=interrupted)
    finally:
        install(None, closed=True)


def _start_default() -> Engine:
    with _starting:
        if active.engine is None:
            init()
        assert active.engine is not None
        return active.engine


active.start = _start_default
_registered = False


def _watch_exit() -> None:
    global _registered
    if not _registered:
        _registered = True
        atexit.register(_at_exit)


def _at_exit() -> None:
    """A program that ends normally delivers what it sent; a failure nobody received makes its exit code 1."""
    running = active.engine
    if running is None or active.pid != os.getpid() or here.cell is not None:
        return
    # After Ctrl-C nobody wants to wait for what was still queued.
    interrupted = issubclass(getattr(sys, "last_type", None) or Exception, KeyboardInterrupt)
    try:
        _end(running, interrupted=interrupted)
    except BaseException as error:
        if not isinstance(error, KeyboardInterrupt):
            log.error("the program ends with a failure that nobody received:\n%s", error_text(error))
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:
                continue
        os._exit(130 if isinstance(error, KeyboardInterrupt) else 1)


def stop(ref: ActorRef[Any], timeout: float = GRACE) -> None:
    """End an actor in good order: no new messages, what is queued runs, then its children end.

    On a dead actor this does nothing; inside the actor itself it returns at once.

    Args:
        timeout: seconds to wait; then the actor's process is killed.

    Raises:
        TimeoutError: when the actor had to be killed, with the stack of the handler that was stuck.
    """
    _check_ref(ref, "stop")
    running = engine()
    running.raise_failures()
    running.stop(ref, timeout)
    running.raise_failures()


def kill(ref: ActorRef[Any]) -> None:
    """End an actor at once by killing its process, and with it every actor at its place."""
    _check_ref(ref, "kill")
    engine().kill(ref)


def watch(ref: ActorRef[Any]) -> Future[Any]:
    """A Future that completes when the actor ends, with the reason: an `ActorDied` as a value, not raised."""
    _check_ref(ref, "watch")
    return engine().watch(ref)


def get_actor(name: str) -> ActorRef[Any]:
    """The living actor of that name. LookupError if there is none."""
    return engine().find(name)


def actors() -> list[ActorInfo]:
    """A row for every living actor: state, queue, messages handled, busy share, restarts."""
    return engine().actors()


def _check_ref(ref: Any, what: str) -> None:
    if not isinstance(ref, ActorRef):
        raise TypeError(f"{what}() takes an ActorRef; got {type(ref).__name__}")
