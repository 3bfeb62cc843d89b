"""The words for an actor's end: how it ended, and the ActorDied that says so for one call.

Engines make an `End` when an actor ends; whoever had a call pending, watches it or calls it later
gets an ActorDied made from it.
"""

from __future__ import annotations

import signal
from typing import NamedTuple

from ..errors import ActorDied
from .faults import decode_error

__all__ = ["End", "died", "exit_code", "signal_name"]


class End(NamedTuple):
    """How an actor ended. Plain values only: it travels between all processes."""

    actor: int
    reason: str
    """ "stopped", "killed", "owner ended", "system shut down", "exited", "constructor failed", "lost" or
    "not started"."""
    cls: str
    name: str | None
    pid: int | None
    exitcode: int | None = None
    signal: str | None = None
    running: str | None = None
    """The method that ran when it died."""
    error: bytes | None = None
    """The encoded error of a constructor."""
    started: dict[int, int] | None = None
    """Per calling process, the last call that had started; None where that is not known."""
    stderr: str = ""
    gone: int | None = None
    """The process that ended with it; None where it lives on, as a shared place does."""
    deaths: int = 1
    """How often it had died when it was not started again; this End tells of the first time."""

    @property
    def orderly(self) -> bool:
        """Whether somebody asked for this end: such an end is no failure."""
        return self.reason in ("stopped", "killed", "owner ended", "system shut down")


def signal_name(number: int) -> str:
    """ "SIGKILL" for 9."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def died(end: End, call: str | None = None, started: bool | None = False) -> ActorDied:
    """The error that answers `call`, or the reason of the end itself where `call` is None."""
    who = f"{end.cls}{f' {end.name!r}' if end.name else ''} (actor #{end.actor}, pid {end.pid})"
    error = ActorDied(
        f"{who} {_how(end)}{_loop(end)}{_about(end, call, started)}",
        name=end.name,
        cls=end.cls,
        pid=end.pid,
        exitcode=end.exitcode,
        signal=end.signal,
        call=call if call is not None else end.running,
        started=started,
        stderr=end.stderr,
    )
    if end.error is not None:
        error.__cause__ = decode_error(end.error)
    return error


def _how(end: End) -> str:
    if end.reason == "exited":
        code = "died" if end.exitcode is None else f"exited with code {end.exitcode}"
        what = f"was killed by {end.signal}" if end.signal else code
        return what + (f" while it ran {end.running!r}" if end.running else "")
    return {
        "stopped": "was stopped",
        "killed": "was killed",
        "owner ended": "ended with its owner",
        "system shut down": "ended with the actor system",
        "constructor failed": "never lived: its constructor failed",
        "lost": "was lost: the process that supervises it died",
        "not started": "died, and its process could not be started again",
    }.get(end.reason, end.reason)


def _loop(end: End) -> str:
    return f", the first of {end.deaths} deaths too close to each other to start it again" if end.deaths > 1 else ""


def _about(end: End, call: str | None, started: bool | None) -> str:
    if call is None:
        return ""
    if started is None:
        return f"; whether the call {call!r} had started is not known"
    return f"; the call {call!r} had {'started' if started else 'not started'}"


def exit_code(error: SystemExit) -> int:
    """The exit code of a process that ends with `error`, as Python has it."""
    if error.code is None:
        return 0
    return error.code if isinstance(error.code, int) else 1
