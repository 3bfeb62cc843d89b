"""Floor 0: what can go wrong in the runtime, separated by whose fault it is.

    Exception
    └── ActorError              everything the runtime itself raises
        ├── ActorDied           the other side is gone: killed, exited, stopped, or never constructed
        ├── DeadlockError       waiting could never end
        ├── MailboxFull         you sent more than the actor takes
        └── RemoteError         the handler failed with an error that could not travel as itself

Errors raised by user code inside an actor are not in this tree: they arrive as themselves, with a
`RemoteTraceback` as their `__cause__`. Time-outs are the built-in TimeoutError, misuse is a
RuntimeError or TypeError, an unknown name a LookupError, a taken name a ValueError.
"""

from __future__ import annotations

from typing import Any

__all__ = ["ActorDied", "ActorError", "DeadlockError", "MailboxFull", "RemoteError", "RemoteTraceback"]


class ActorError(Exception):
    """The root of every error the runtime raises about actors."""


class ActorDied(ActorError):
    """The actor ended before it answered.

    Attributes:
        name: the actor's name, or None when it has none.
        cls: the name of its class or factory.
        pid: the process it lived in.
        exitcode: what the process exited with; None when a signal ended it or it is not known.
        signal: the signal's name ("SIGKILL"), or None.
        call: the method or function this error answers (for a failure without a call: what ran when it died).
        started: whether that call had begun: True, False, or None where it cannot be known.
        stderr: the last lines the process wrote to stderr, "" where none were kept.
    """

    def __init__(
        self,
        message: str,
        *,
        name: str | None = None,
        cls: str = "",
        pid: int | None = None,
        exitcode: int | None = None,
        signal: str | None = None,
        call: str | None = None,
        started: bool | None = None,
        stderr: str = "",
    ) -> None:
        super().__init__(message)
        self.name, self.cls, self.pid = name, cls, pid
        self.exitcode, self.signal = exitcode, signal
        self.call, self.started, self.stderr = call, started, stderr

    def __reduce__(self) -> tuple[Any, ...]:
        return (ActorDied, (self.args[0],), self.__dict__)


class DeadlockError(ActorError):
    """The wait could never end: what it waits for can only run after it."""


class MailboxFull(ActorError):
    """The mailbox has no room and the sender asked not to wait."""


class RemoteError(ActorError):
    """A handler failed with an error that could not be pickled or rebuilt; its text is all there is."""


class RemoteTraceback(Exception):
    """The traceback of an error in another process, as text. It is the `__cause__` of that error."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return self.text
