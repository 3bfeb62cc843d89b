"""Leader and followers over a transport made of a queue: whoever waits is woken, in whatever order things happen."""

from __future__ import annotations

import threading
import time
from typing import Any

from actorrl.actor.receiver import Waiter

LONG = 20.0


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


def test_a_ready_waiter_does_not_touch_the_socket(desk: Any):
    waiter = Waiter()
    waiter.done()
    desk.receiver.until(waiter)

    assert desk.transport.leaders == []


def test_the_one_who_waits_reads_the_socket_itself(desk: Any):
    waiter = Waiter()
    desk.transport.deliver(waiter.done)
    desk.receiver.until(waiter)

    assert desk.transport.leaders == [threading.get_ident()]
    assert desk.receiver._thread is None, "no thread is made where nobody needs one"


def test_the_leader_takes_messages_for_the_followers(desk: Any):
    first, second = Waiter(), desk.parked()
    leader = desk.wait(first)
    desk.led()
    follower = desk.wait(second)
    assert second.asleep.wait(LONG)
    desk.transport.deliver(second.done)

    assert desk.ended(follower)
    assert leader.is_alive()
    assert set(desk.transport.leaders) == {leader.ident}
    desk.transport.deliver(first.done)


def test_a_follower_leads_when_the_leader_has_what_it_came_for(desk: Any):
    first, second = Waiter(), desk.parked()
    leader = desk.wait(first)
    desk.led()
    follower = desk.wait(second)
    assert second.asleep.wait(LONG)
    desk.transport.deliver(first.done)

    assert desk.ended(leader)
    desk.led()
    assert desk.transport.leaders[-1] == follower.ident
    desk.transport.deliver(second.done)
    assert desk.ended(follower)


def test_a_turn_offered_to_one_who_is_done_goes_on_to_the_next(desk: Any):
    """The leader leaves and wakes the first in line, who has just got what it came for and needs no turn."""
    leading, satisfied, patient = Waiter(), desk.parked(), desk.parked()
    leader = desk.wait(leading)
    desk.led()
    first = desk.wait(satisfied)
    assert satisfied.asleep.wait(LONG)
    second = desk.wait(patient)
    assert patient.asleep.wait(LONG)
    satisfied.go_on.clear()
    desk.transport.deliver(lambda: (satisfied.done(), leading.done()))
    assert desk.ended(leader)
    satisfied.go_on.set()
    assert desk.ended(first)

    desk.led()  # the third thread leads now: it was not forgotten
    desk.transport.deliver(patient.done)
    assert desk.ended(second)


def test_a_turn_offered_to_one_whose_time_is_up_goes_on_to_the_next(desk: Any):
    leading, hasty, patient = Waiter(), desk.parked(), desk.parked()
    leader = desk.wait(leading)
    desk.led()
    hasty.go_on.clear()
    first = desk.wait(hasty, time.monotonic() + 0.02)
    assert hasty.asleep.wait(LONG)
    second = desk.wait(patient)
    assert patient.asleep.wait(LONG)
    hasty._gate.acquire(timeout=0.05)  # its time is up: nobody else releases this gate
    desk.transport.deliver(leading.done)
    assert desk.ended(leader)
    hasty.go_on.set()
    assert desk.ended(first)

    desk.led()
    desk.transport.deliver(patient.done)
    assert desk.ended(second)


def test_an_event_from_another_thread_wakes_the_leader(desk: Any):
    waiter = Waiter()
    leader = desk.wait(waiter)
    desk.led()
    waiter.done()

    assert desk.ended(leader)
    assert desk.transport.wakes == 1


def test_time_runs_out_for_leader_and_follower(desk: Any):
    desk.receiver.until(Waiter(), time.monotonic() + 0.01)
    desk.led()
    waiter = Waiter()
    leader = desk.wait(waiter)
    desk.led()
    follower = desk.wait(Waiter(), time.monotonic() + 0.01)

    assert desk.ended(follower)
    assert leader.is_alive()
    assert desk.receiver.leader == leader.ident
    desk.receiver.until(Waiter(), time.monotonic() - 1.0)
    desk.transport.deliver(waiter.done)


def test_what_is_held_leaves_before_anybody_waits(desk: Any):
    for wait in (
        lambda: desk.receiver.until(Waiter(), time.monotonic() - 1.0),
        lambda: desk.receiver.lead(Answer().finished, time.monotonic() - 1.0),
    ):
        before = desk.transport.flushes
        wait()
        assert desk.transport.flushes == before + 1


def test_what_has_arrived_is_taken_even_when_the_time_is_up(desk: Any):
    waiter = Waiter()
    desk.transport.deliver(waiter.done)
    desk.receiver.until(waiter, time.monotonic() - 1.0)

    assert waiter.ready()


class Answer:
    """What the fast path waits for."""

    _done = False

    def finish(self) -> None:
        self._done = True

    def finished(self) -> bool:
        return self._done


def test_the_fast_path_waits_for_one_future_and_passes_the_lead_on(desk: Any):
    answer, waiter = Answer(), desk.parked()
    leader = desk.run(lambda: desk.receiver.lead(answer.finished, None) or None)
    desk.led()
    assert desk.receiver.lead(Answer().finished, None) is False, "somebody else leads"
    follower = desk.wait(waiter)
    assert waiter.asleep.wait(LONG)
    desk.transport.deliver(answer.finish)
    assert desk.ended(leader)
    desk.led()
    desk.transport.deliver(waiter.done)
    assert desk.ended(follower)


def test_the_fast_path_is_woken_by_a_nudge(desk: Any):
    answer = Answer()
    leader = desk.run(lambda: desk.receiver.lead(answer.finished, None) or None)
    desk.led()
    answer.finish()
    desk.receiver.nudge()

    assert desk.ended(leader)


def test_the_fast_path_ends_at_its_deadline(desk: Any):
    assert desk.receiver.lead(Answer().finished, time.monotonic() + 0.01) is True


def test_draining_takes_what_is_there_and_does_not_wait(desk: Any):
    seen: list[int] = []
    for number in range(3):
        desk.transport.deliver(lambda number=number: seen.append(number))
    desk.receiver.drain()
    desk.receiver.drain()

    assert seen == [0, 1, 2]


def test_draining_leaves_the_socket_to_a_leader(desk: Any):
    waiter = Waiter()
    leader = desk.wait(waiter)
    desk.led()
    desk.receiver.drain()

    assert set(desk.transport.leaders) == {leader.ident}
    desk.transport.deliver(waiter.done)
