"""The thread that leads while nobody waits: it begins when it must, yields when somebody comes, and rests."""

from __future__ import annotations

import queue
import random
import threading
import time
from typing import Any

import pytest

from actorrl.actor import receiver as module
from actorrl.actor.bell import Bell
from actorrl.actor.receiver import Waiter

LONG = 20.0


class Told(Bell):
    """A bell that tells when somebody listens."""

    def __init__(self) -> None:
        super().__init__()
        self.listens = threading.Semaphore(0)

    def wait(self, timeout: float | None = None) -> bool:
        self.listens.release()
        return super().wait(timeout)


def test_answers_come_while_nobody_waits_and_then_the_thread_rests(desk: Any):
    desk.receiver._arming = told = Told()
    came = threading.Event()

    def answer() -> None:
        desk.open = 0
        came.set()

    for _ in range(3):
        desk.open = 1
        desk.receiver.arm()
        desk.transport.deliver(answer)
        assert came.wait(LONG)
        assert told.listens.acquire(timeout=LONG), "the thread does not rest"
        came.clear()
    assert len({*desk.transport.leaders}) == 1


def test_whoever_will_never_lead_is_served_at_once(desk: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "PATIENCE", LONG)
    desk.open = 1
    desk.receiver.hurry()

    desk.led()


def test_the_background_yields_to_one_who_waits_and_comes_back(desk: Any):
    desk.open = 1
    desk.receiver.hurry()
    desk.led()
    background = desk.transport.leaders[-1]
    waiter = Waiter()
    follower = desk.wait(waiter)
    while desk.transport.leaders[-1] == background:
        desk.led()
    assert desk.transport.leaders[-1] == follower.ident
    desk.transport.deliver(waiter.done)
    assert desk.ended(follower)
    while desk.transport.leaders[-1] != background:
        desk.led()


def test_a_call_that_opens_while_the_thread_goes_to_rest_keeps_it_awake(desk: Any):
    answers = iter([False, True])
    desk.receiver._wanted = lambda: next(answers, True)
    desk.receiver.arm()

    desk.led()
    assert desk.receiver.armed


def test_closing_ends_the_thread_wherever_it_is(desk: Any):
    desk.open = 1
    desk.receiver.hurry()
    desk.led()
    desk.receiver.close()

    assert desk.receiver._thread is not None
    assert not desk.receiver._thread.is_alive()


@pytest.mark.parametrize("background", [False, True])
def test_many_threads_all_get_their_answers(desk: Any, background: bool):
    rounds, workers = 60, 6
    asked: queue.SimpleQueue[Waiter | None] = queue.SimpleQueue()

    def work(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(rounds):
            waiter = Waiter(2)
            asked.put(waiter)
            waiter.done()
            desk.receiver.until(waiter, time.monotonic() + LONG if rng.random() < 0.5 else None)
            assert waiter.ready()

    def serve() -> None:
        rng = random.Random(0)
        for waiter in iter(asked.get, None):
            if rng.random() < 0.3:
                waiter.done()  # by another way than the socket
            else:
                desk.transport.deliver(waiter.done)

    if background:
        desk.open = 1
        desk.receiver.arm()
    server = threading.Thread(target=serve)
    server.start()
    threads = [desk.run(lambda seed=seed: work(seed)) for seed in range(workers)]
    assert all(desk.ended(thread) for thread in threads)
    asked.put(None)
    server.join(LONG)
