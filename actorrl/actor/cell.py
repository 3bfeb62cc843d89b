"""A Cell is one living actor inside a process: its object, its mailbox, and how a message is handled.

Both engines make one per actor and feed it. A cell knows nothing of sockets or of other processes:

    envelope ──► Cell.handle ──► the object's method ──► Outcome (a value or an error)
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, NamedTuple

from .batched import batching, deal, gather
from .codec import PLAIN
from .context import here, inside
from .mailbox import Envelope, Mailbox
from .remote import RemoteFunction, expected_types, mismatch

if TYPE_CHECKING:
    from .ref import ActorRef

__all__ = ["Cell", "Outcome"]

_GENERATORS = (GeneratorType, AsyncGeneratorType)
Decode = Callable[[Envelope], tuple[Any, tuple[Any, ...], dict[str, Any]]]


class Outcome(NamedTuple):
    """What became of one envelope."""

    envelope: Envelope
    value: Any
    error: BaseException | None = None


class Cell:
    """One actor: the object it owns and the mailbox that feeds it."""

    def __init__(self, ref: ActorRef[Any], on_failure: str, seed: int, path: tuple[int, ...]) -> None:
        self.ref = ref
        self.on_failure = on_failure
        self.seed, self.path = seed, path
        self.children: list[ActorRef[Any]] = []
        self.spawned = 0  # numbers the children, for their seeds
        self.mailbox = Mailbox()
        self.state: Any = None
        self.batched: dict[str, int] = {}
        self.waits: dict[str, float] = {}
        self._signatures: dict[str, inspect.Signature] = {}  # of batched methods
        self.birth: threading.Lock | None = None  # held while it is constructed at a shared place
        self._loop: asyncio.AbstractEventLoop | None = None

    def born(self) -> None:
        """Let the next actor of the place be constructed: this one is, or its constructor waits for others."""
        if self.birth is not None:
            birth, self.birth = self.birth, None
            birth.release()

    def construct(self, factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Make the object. Whatever the constructor raises is raised here."""
        with inside(self):
            state = factory(*args, **kwargs)
            if inspect.isawaitable(state):
                state = self._run_coroutine(state)
        self.state = state
        marks = batching(state)
        self.batched = {name: mark.max_size for name, mark in marks.items()}
        self.waits = {name: mark.max_wait for name, mark in marks.items() if mark.max_wait}

    def handle(self, envelope: Envelope, decode: Decode) -> tuple[Any, BaseException | None]:
        """Handle one message: its value, or its error. SystemExit is raised. The thread is `inside` this cell."""
        try:
            if envelope.plain and not envelope.function:
                method = getattr(self.state, envelope.method, None)
                result = (method if callable(method) else self._method(envelope.method))(*envelope.body)
            else:
                function, args, kwargs = decode(envelope)
                if function is not None:
                    result = self._function(function)(self.state, *args, **kwargs)
                else:
                    result = self._method(envelope.method)(*args, **kwargs)
            if type(result) not in PLAIN:
                result = self._finished(envelope.method, result)
            return result, None
        except SystemExit:
            raise
        except BaseException as error:
            return None, error

    def stopped(self) -> None:
        """Run the object's `on_stop`, if it has one."""
        hook = getattr(self.state, "on_stop", None)
        try:
            if callable(hook):
                with inside(self):
                    result = hook()
                    if inspect.iscoroutine(result):
                        self._run_coroutine(result)
        finally:
            if self._loop is not None:
                self._loop.close()

    def _finished(self, name: str, result: Any) -> Any:
        """What a handler's result comes to: a coroutine is awaited, a generator refused."""
        if isinstance(result, CoroutineType):
            return self._run_coroutine(result)
        if isinstance(result, _GENERATORS):
            raise TypeError(
                f"{self.ref._cls}.{name} returned a generator, which cannot leave its actor: return a list instead"
            )
        return result

    def _function(self, function: Any) -> Callable[..., Any]:
        if not isinstance(function, RemoteFunction):
            return function  # type: ignore[no-any-return]
        kind = type(self.state)
        if not function.fits(kind):
            raise TypeError(mismatch(function, expected_types(function), kind.__qualname__))
        return function.__wrapped__

    def _method(self, name: str) -> Callable[..., Any]:
        try:
            found = getattr(self.state, name)
            if callable(found):
                return found  # type: ignore[no-any-return]
        except AttributeError as error:
            if hasattr(type(self.state), name):
                raise
            kind = type(self.state).__qualname__
            public = [key for key in dir(type(self.state)) if not key.startswith("_")]
            raise AttributeError(f"{kind} has no method {name!r}; it has {', '.join(public) or 'none'}") from error
        kind = type(self.state).__qualname__
        raise TypeError(
            f"{kind}.{name} is a field or property, not a method: read it with a @remote function of the {kind}"
        )

    def handle_batch(self, run: list[Envelope], decode: Decode) -> list[Outcome]:
        """The same for a run of messages of one batched method."""
        outcomes: dict[int, Outcome] = {}
        calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        live: list[int] = []
        for index, envelope in enumerate(run):
            try:
                _, args, kwargs = decode(envelope)
                calls.append((args, kwargs))
                live.append(index)
            except Exception as error:
                outcomes[index] = Outcome(envelope, None, error)
        name = run[0].method
        for index, value, failure in self._results(name, calls):
            outcomes[live[index]] = Outcome(run[live[index]], value, failure)
        return [outcomes[index] for index in range(len(run))]

    def _results(self, name: str, calls: list[Any]) -> list[tuple[int, Any, BaseException | None]]:
        method = getattr(self.state, name)
        signature = self._signatures.get(name)
        if signature is None:
            signature = self._signatures[name] = inspect.signature(method)
        fit, errors, lists = gather(method, calls, signature)
        rows: list[tuple[int, Any, BaseException | None]] = [(index, None, error) for index, error in errors.items()]
        if not fit:
            return rows
        try:
            parameters = signature.parameters.values()
            named = {p.name: lists[p.name] for p in parameters if p.kind is p.KEYWORD_ONLY}
            placed = [lists[p.name] for p in parameters if p.name not in named]
            result = method(*placed, **named)
            if inspect.iscoroutine(result):
                result = self._run_coroutine(result)
            dealt = deal(result, len(fit), f"{self.ref._cls}.{name}")
        except SystemExit:
            raise
        except BaseException as error:
            return rows + [(index, None, error) for index in fit]
        for index, value in zip(fit, dealt, strict=True):
            rows.append((index, None, value) if isinstance(value, Exception) else (index, value, None))
        return rows

    def _run_coroutine(self, coroutine: Any) -> Any:
        """Await a coroutine to its end; on a thread of its own where a loop already runs in this one."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        loop = self._loop
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return loop.run_until_complete(coroutine)
        box: list[Any] = []
        before = here.cell, here.asked

        def elsewhere() -> None:
            here.cell, here.asked = before
            try:
                box.append((loop.run_until_complete(coroutine), None))
            except BaseException as error:
                box.append((None, error))

        thread = threading.Thread(target=elsewhere, name="actorrl-coroutine")
        thread.start()
        thread.join()
        value, failure = box[0]
        if failure is not None:
            raise failure
        return value
