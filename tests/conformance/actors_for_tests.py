"""Ordinary classes and functions that the tests make actors of."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from dataclasses import dataclass, field
from typing import Any

from gates import Gate

from actorrl import cancelled, current, fetch, remote, startat


@dataclass
class Counter:
    """The struct of the contract."""

    value: int = 0


@dataclass
class Even(Counter):
    """A subclass of the struct."""


@remote
def add(counter: Counter, n: int) -> int:
    """Add n to a counter."""
    counter.value += n
    return counter.value


@remote
def read(state: Any, name: str) -> Any:
    """Any field or property of any actor."""
    return getattr(state, name)


@remote
class Account:
    """A class with a balance: Ray's form."""

    def __init__(self, balance: int = 0) -> None:
        self.balance = balance

    def add(self, n: int) -> int:
        self.balance += n
        return self.balance

    def fail(self, text: str = "no") -> None:
        raise ValueError(text)

    @property
    def double(self) -> int:
        return 2 * self.balance


class Where:
    """Says where it lives, and can be made to wait or to die there."""

    def pid(self) -> int:
        return os.getpid()

    def parent(self) -> int:
        return os.getppid()

    def thread(self) -> int:
        return threading.get_ident()

    def on_main_thread(self) -> bool:
        return threading.current_thread() is threading.main_thread()

    def environ(self, name: str) -> str | None:
        return os.environ.get(name)

    def affinity(self) -> set[int]:
        return set(os.sched_getaffinity(0))

    def wait(self, gate: Gate, value: Any = None) -> Any:
        gate.through()
        return value

    def wait_or_cancelled(self, gate: Gate, seen: str) -> None:
        if not gate.through(until=cancelled):
            with open(seen, "w") as file:
                file.write("cancelled")

    def exit(self, code: int) -> None:
        os._exit(code)

    def leave(self, code: Any) -> None:
        sys.exit(code)

    def killed(self, number: int = signal.SIGKILL) -> None:
        os.kill(os.getpid(), number)

    def complain(self, text: str, code: int) -> None:
        os.write(2, f"{text}\n".encode())
        os._exit(code)


@dataclass
class Log:
    """Keeps what it is told, in order."""

    seen: list[Any] = field(default_factory=list)

    def note(self, item: Any) -> Any:
        self.seen.append(item)
        return item

    def sized(self, item: Any, payload: bytes) -> Any:
        self.seen.append(item)
        return item

    async def later(self, item: Any) -> Any:
        await asyncio.sleep(0.001)
        self.seen.append(item)
        return item

    def wait(self, gate: Gate) -> None:
        gate.through()

    def everything(self) -> list[Any]:
        return list(self.seen)


@remote
def noted(log: Log, item: Any) -> Any:
    log.seen.append(item)
    return item


class Echo:
    """Gives back what it gets."""

    def same(self, value: Any) -> Any:
        return value

    def calls(self, function: Any, *args: Any) -> Any:
        return function(*args)


class Caller:
    """Calls other actors."""

    def __init__(self, other: Any = None) -> None:
        self.other = other

    def ask(self, method: str, *args: Any) -> Any:
        return fetch(getattr(self.other, method)(*args))

    def ask_of(self, ref: Any, method: str, *args: Any) -> Any:
        return fetch(getattr(ref, method)(*args))

    def send(self, items: list[Any]) -> None:
        for item in items:
            self.other.note.tell(item)

    def me(self) -> Any:
        return current()

    def ok(self) -> str:
        return "ok"


class Parent:
    """Spawns actors of its own."""

    def __init__(self) -> None:
        self.children: list[Any] = []

    def spawn(self, place: int | None, cls: Any, *args: Any, **options: Any) -> Any:
        child = startat(place, **options)(cls)(*args)
        self.children.append(child)
        return child

    def pid(self) -> int:
        return os.getpid()

    def leave(self) -> None:
        os._exit(0)


class Fragile:
    """A constructor that fails, at once or when a gate opens."""

    def __init__(self, gate: Gate | None = None) -> None:
        if gate is not None:
            gate.through()
        raise ValueError("born broken")

    def ok(self) -> str:
        return "ok"


class Fails:
    """Methods that raise."""

    def with_value(self, text: str) -> None:
        raise ValueError(text)

    def with_error(self, error: BaseException) -> None:
        raise error

    def ok(self) -> str:
        return "ok"
