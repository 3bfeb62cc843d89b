"""Leader and followers over a transport made of a queue: whoever waits is woken, in whatever order things happen."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from actorrl.actor.receiver import Receiver, Waiter

LONG = 20.0
"""Seconds after which a test gives up. Nothing that works takes a noticeable part of it."""
WAKE = object()


class FakeTransport:
    """What a Receiver asks of a Transport. Tells when somebody is about to block in `receive`."""

    def __init__(self) -> None:
        self._arrived: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.receiving = threading.Semaphore(0)
        self.leaders: list[int] = []
        self.wakes = 0

    def deliver(self, message: Any) -> None:
        self._arrived.put(message)

    def receive(self, timeout: float | None = None) -> tuple[Any, list[Any]] | None:
        self.leaders.append(threading.get_ident())
        self.receiving.release()
        try:
            return self._arrived.get(timeout=timeout), []
        except queue.Empty:
            return None

    def pending(self) -> bool:
        return not self._arrived.empty()

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
        self.endless: list[Waiter] = []

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

    def led(self) -> None:
        """Return when somebody is about to block in `receive`, once per call of this."""
        assert self.transport.receiving.acquire(timeout=LONG), "nobody reads the socket"

    def close(self) -> None:
        for waiter in self.endless:
            waiter._left = 0
            waiter.unpark()
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


def ended(thread: threading.Thread) -> bool:
    thread.join(LONG)
    return not thread.is_alive()


def test_a_waiter_counts_its_events():
    waiter = Waiter(2)
    waiter.done()
    assert not waiter.ready()
    waiter.done()
    assert waiter.ready()
    waiter.again()
    assert not waiter.ready()
    waiter.add_result(None)
    assert waiter.ready()


def test_a_wake_before_the_sleep_is_not_lost():
    waiter = Waiter()
    waiter.unpark()
    waiter.unpark()

    waiter.park(None)  # returns, or the test hangs


def test_a_ready_waiter_does_not_touch_the_socket(desk: Desk):
    waiter = Waiter()
    waiter.done()
    desk.receiver.until(waiter)

    assert desk.transport.leaders == []


def test_the_one_who_waits_reads_the_socket_itself(desk: Desk):
    waiter = Waiter()
    desk.transport.deliver(waiter.done)
    desk.receiver.until(waiter)

    assert desk.transport.leaders == [threading.get_ident()]
    assert desk.receiver._thread is None, "no thread is made where nobody needs one"


def test_the_leader_takes_messages_for_the_followers(desk: Desk):
    first, second = Waiter(), Parked()
    leader = desk.wait(first)
    desk.led()
    follower = desk.wait(second)
    assert second.asleep.wait(LONG)
    desk.transport.deliver(second.done)

    assert ended(follower)
    assert leader.is_alive()
    assert set(desk.transport.leaders) == {leader.ident}
    desk.transport.deliver(first.done)


def test_a_follower_leads_when_the_leader_has_what_it_came_for(desk: Desk):
    first, second = Waiter(), Parked()
    leader = desk.wait(first)
    desk.led()
    follower = desk.wait(second)
    assert second.asleep.wait(LONG)
    desk.transport.deliver(first.done)

    assert ended(leader)
    desk.led()
    assert desk.transport.leaders[-1] == follower.ident
    desk.transport.deliver(second.done)
    assert ended(follower)


def test_a_turn_offered_to_one_who_is_done_goes_on_to_the_next(desk: Desk):
    """The leader leaves and wakes the first in line, who has just got what it came for and needs no turn."""
    leading, satisfied, patient = Waiter(), Parked(), Parked()
    leader = desk.wait(leading)
    desk.led()
    first = desk.wait(satisfied)
    assert satisfied.asleep.wait(LONG)
    second = desk.wait(patient)
    assert patient.asleep.wait(LONG)
    satisfied.go_on.clear()
    desk.transport.deliver(lambda: (satisfied.done(), leading.done()))
    assert ended(leader)
    satisfied.go_on.set()
    assert ended(first)

    desk.led()  # the third thread leads now: it was not forgotten
    desk.transport.deliver(patient.done)
    assert ended(second)


def test_a_turn_offered_to_one_whose_time_is_up_goes_on_to_the_next(desk: Desk):
    leading, hasty, patient = Waiter(), Parked(), Parked()
    leader = desk.wait(leading)
    desk.led()
    hasty.go_on.clear()
    first = desk.wait(hasty, time.monotonic() + 0.02)
    assert hasty.asleep.wait(LONG)
    second = desk.wait(patient)
    assert patient.asleep.wait(LONG)
    hasty._gate.acquire(timeout=0.05)  # its time is up: nobody else releases this gate
    desk.transport.deliver(leading.done)
    assert ended(leader)
    hasty.go_on.set()
    assert ended(first)

    desk.led()
    desk.transport.deliver(patient.done)
    assert ended(second)


def test_an_event_from_another_thread_wakes_the_leader(desk: Desk):
    waiter = Waiter()
    leader = desk.wait(waiter)
    desk.led()
    waiter.done()

    assert ended(leader)
    assert desk.transport.wakes == 1


def test_time_runs_out_for_leader_and_follower(desk: Desk):
    desk.receiver.until(Waiter(), time.monotonic() + 0.01)
    leader = desk.wait(Waiter(), time.monotonic() + LONG)
    desk.endless += []
    desk.led()
    follower = desk.wait(Waiter(), time.monotonic() + 0.01)
    assert ended(follower)
    assert leader.is_alive()
    leading = desk.receiver._leader
    assert leading == leader.ident
    desk.receiver.until(Waiter(), time.monotonic() - 1.0)
    desk.threads.remove(leader)


def test_what_has_arrived_is_taken_even_when_the_time_is_up(desk: Desk):
    waiter = Waiter()
    desk.transport.deliver(waiter.done)
    desk.receiver.until(waiter, time.monotonic() - 1.0)

    assert waiter.ready()


class Answer:
    """As much of a future as the fast path looks at."""

    _state = "PENDING"

    def finish(self) -> None:
        self._state = "FINISHED"


def test_the_fast_path_waits_for_one_future_and_passes_the_lead_on(desk: Desk):
    answer, waiter = Answer(), Parked()
    leader = desk.run(lambda: desk.receiver.until_done(answer, ("FINISHED",), None) or None)
    desk.led()
    assert desk.receiver.until_done(Answer(), ("FINISHED",), None) is False, "somebody else leads"
    follower = desk.wait(waiter)
    assert waiter.asleep.wait(LONG)
    desk.transport.deliver(answer.finish)
    assert ended(leader)
    desk.led()
    desk.transport.deliver(waiter.done)
    assert ended(follower)


def test_the_fast_path_is_woken_by_a_nudge(desk: Desk):
    answer = Answer()
    leader = desk.run(lambda: desk.receiver.until_done(answer, ("FINISHED",), None) or None)
    desk.led()
    answer.finish()
    desk.receiver.nudge()

    assert ended(leader)


def test_the_fast_path_ends_at_its_deadline(desk: Desk):
    assert desk.receiver.until_done(Answer(), ("FINISHED",), time.monotonic() + 0.01) is True


def test_draining_takes_what_is_there_and_does_not_wait(desk: Desk):
    seen: list[int] = []
    for number in range(3):
        desk.transport.deliver(lambda number=number: seen.append(number))
    desk.receiver.drain()
    desk.receiver.drain()

    assert seen == [0, 1, 2]


def test_draining_leaves_the_socket_to_a_leader(desk: Desk):
    waiter = Waiter()
    leader = desk.wait(waiter)
    desk.led()
    desk.receiver.drain()

    assert set(desk.transport.leaders) == {leader.ident}
    desk.transport.deliver(waiter.done)
