"""A receiver whose transport is a queue, and the threads that wait at it; and `two_ends` beside this on the path."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actorrl.actor.receiver import Receiver, Waiter

sys.path.insert(0, str(Path(__file__).parent))

LONG = 20.0
"""Seconds after which a test gives up. Nothing that works takes a noticeable part of it."""
WAKE = object()


class FakeTransport:
    """What a Receiver asks of a Transport. Tells when somebody is about to block in `receive`."""

    def __init__(self) -> None:
        self._arrived: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.receiving = threading.Semaphore(0)
        self.leaders: list[int] = []
        self.wakes = self.flushes = self.turn = 0
        self.holding = self.again = True
        self.current: Any = None

    def deliver(self, message: Any) -> None:
        self._arrived.put(message)

    def receive(self, timeout: int | None = None) -> tuple[Any, list[Any]] | None:
        self.leaders.append(threading.get_ident())
        self.receiving.release()
        try:
            return self._arrived.get(timeout=None if timeout is None else timeout / 1000), []
        except queue.Empty:
            return None

    def flush(self) -> None:
        self.flushes += 1

    def wake(self) -> None:
        self.wakes += 1
        self._arrived.put(WAKE)


class Desk:
    """A receiver whose messages are functions to call, and the threads that wait at it."""

    def __init__(self) -> None:
        self.transport = FakeTransport()
        self.open = 0
        self.receiver = Receiver(self.transport, self.dispatch, lambda: self.open)  # type: ignore[arg-type]
        self.threads: list[threading.Thread] = []

    def dispatch(self, message: Any, buffers: list[Any]) -> None:
        if message is not WAKE:
            message()

    def wait(self, waiter: Waiter, deadline: float | None = None) -> threading.Thread:
        return self.run(lambda: self.receiver.until(waiter, deadline))

    def run(self, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        self.threads.append(thread)
        return thread

    def parked(self) -> Parked:
        return Parked()

    def ended(self, thread: threading.Thread) -> bool:
        thread.join(LONG)
        return not thread.is_alive()

    def led(self) -> None:
        """Return when somebody is about to block in `receive`, once per call of this."""
        assert self.transport.receiving.acquire(timeout=LONG), "nobody reads the socket"

    def close(self) -> None:
        self.receiver.close()
        for thread in self.threads:
            thread.join(LONG)
            assert not thread.is_alive(), "a waiting thread was forgotten"


class Parked(Waiter):
    """A waiter that tells when its thread sleeps, and can be held back when it is woken."""

    def __init__(self, count: int = 1) -> None:
        super().__init__(count)
        self.asleep = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def park(self, timeout: float | None) -> None:
        self.asleep.set()
        super().park(timeout)
        assert self.go_on.wait(LONG)


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.close()
