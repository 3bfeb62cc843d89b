"""Open calls and ends meet in the ledger: whichever comes first, no future and no watcher is left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from actorrl.actor import ledger as module
from actorrl.actor.deaths import End
from actorrl.actor.future import Future
from actorrl.actor.ledger import Ledger
from actorrl.actor.ref import ActorRef
from actorrl.actor.routes import Route
from actorrl.errors import ActorDied

ME = 4


class Engine:
    """What a future asks of its engine, and none of it is asked here."""

    def later(self, work: Callable[[], None]) -> None:
        work()


def call(ledger: Ledger, actor: int = 1, method: str = "add") -> Future[Any]:
    future: Future[Any] = Future(Engine(), "Counter", method, actor)  # type: ignore[arg-type]
    ledger.enter(future)
    return future


def ref(actor: int = 1, process: int = 10) -> ActorRef[Any]:
    return ActorRef("token", process, actor, "Counter")


def end(actor: int = 1, reason: str = "exited", **more: Any) -> End:
    return End(actor, reason, "Counter", None, 123, **more)


def died(future: Future[Any]) -> ActorDied:
    error = future.exception(0)
    assert isinstance(error, ActorDied)
    return error


def test_calls_are_numbered_upward_and_closed_once():
    ledger = Ledger()
    first, second = call(ledger), call(ledger)

    assert 0 < first._call_id < second._call_id
    assert ledger.close(first._call_id) is first
    assert ledger.close(first._call_id) is None
    assert ledger.open == {second._call_id: second}


def test_an_end_fails_the_open_calls_of_that_actor_alone():
    ledger = Ledger()
    mine, other = call(ledger, 1), call(ledger, 2)
    assert ledger.has_open(1)

    assert ledger.end(end(1), ME) == 1
    assert died(mine).call == "add"
    assert not other.done()
    assert (ledger.has_open(1), ledger.has_open(2)) == (False, True)


def test_which_calls_had_started_follows_from_the_last_one_that_had():
    ledger = Ledger()
    calls = [call(ledger) for _ in range(4)]
    ledger.end(end(started={ME: calls[1]._call_id, 99: 10**6}), ME)

    assert [died(future).started for future in calls] == [True, True, False, False]


@pytest.mark.parametrize(("started", "expected"), [(None, None), ({}, False)])
def test_what_is_not_known_is_none(started: Any, expected: Any):
    ledger = Ledger()
    future = call(ledger)
    ledger.end(end(started=started), ME)

    assert died(future).started is expected


def test_a_call_that_is_entered_after_the_end_finds_it():
    ledger = Ledger()
    ledger.end(end(), ME)
    future = call(ledger)  # the engine looks the end up after entering, and answers itself

    assert ledger.ends[1].reason == "exited"
    assert ledger.close(future._call_id) is future
    ledger.answer_dead(future, ledger.ends[1])
    assert died(future).started is False
    assert ledger.failures.claimed(1)


def test_entering_and_ending_at_once_leaves_no_future():
    """The two orders of the module's docstring, many times over, from two threads."""
    for _ in range(200):
        ledger = Ledger()
        start = threading.Barrier(2)

        def ends(ledger: Ledger = ledger, start: threading.Barrier = start) -> None:
            start.wait(10)
            ledger.end(end(), ME)

        thread = threading.Thread(target=ends)
        thread.start()
        start.wait(10)
        future = call(ledger)
        known = ledger.ends.get(1)
        if known is not None and ledger.close(future._call_id) is not None:
            ledger.answer_dead(future, known)
        thread.join(10)
        assert future.done()
        assert ledger.open == {}


def test_a_cancelled_call_stays_cancelled_when_its_actor_ends():
    ledger = Ledger()
    future = call(ledger)
    future._engine = type("Engine", (), {"withdraw": lambda self, future: None, "later": Engine.later})()
    future.cancel()

    ledger.end(end(), ME)
    assert future.cancelled()


def test_watchers_get_the_reason_as_a_value_before_and_after_the_end():
    ledger = Ledger()
    before, after = Future(Engine(), "watch"), Future(Engine(), "watch")  # type: ignore[arg-type]
    ledger.watch(ref(), before)
    assert not before.done()

    assert ledger.end(end(signal="SIGKILL"), ME) == 1
    ledger.watch(ref(), after)
    assert [future.result(0).signal for future in (before, after)] == ["SIGKILL", "SIGKILL"]


def test_a_watcher_that_comes_in_the_moment_of_the_end_is_told():
    """Between finding the list of watchers and joining it, the end comes and takes that list away."""
    ledger = Ledger()

    class Slow(dict):  # type: ignore[type-arg]
        def setdefault(self, key: Any, default: Any = None) -> Any:
            found = super().setdefault(key, default)
            ledger.end(end(), ME)
            return found

    ledger._watchers = Slow()
    future: Future[Any] = Future(Engine(), "watch")  # type: ignore[arg-type]
    ledger.watch(ref(), future)

    assert isinstance(future.result(0), ActorDied)


def test_who_has_ended_is_no_longer_among_the_living():
    ledger = Ledger()
    for actor, process in ((1, 10), (2, 10), (3, 11)):
        ledger.routes[actor] = Route(ref(actor, process), None, None, 1024, "block")
        ledger.policies[actor] = "raise"

    ledger.end(end(1), ME)

    assert list(ledger.routes) == list(ledger.policies) == [2, 3]


def test_the_dead_of_an_earlier_system_claim_nothing_from_an_actor_with_their_number():
    ledger = Ledger()
    old = call(ledger)
    ledger.answer_dead(old, end(1, "system shut down"))
    assert not ledger.failures.claimed(1)

    ledger.end(end(1), ME)
    ledger.answer_dead(call(ledger), ledger.ends[1])
    assert ledger.failures.claimed(1)
    assert "ended with the actor system" in str(died(old))


def test_a_shutdown_fails_what_is_open_and_says_so():
    ledger = Ledger()
    future = call(ledger)
    ledger.abandon()

    assert "ended with the actor system" in str(died(future))
    assert died(future).started is None
    assert ledger.open == {}


def test_old_ends_are_forgotten_oldest_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "REMEMBERED", 3)
    ledger = Ledger()
    for actor in range(1, 6):
        ledger.end(end(actor), ME)

    assert list(ledger.ends) == [3, 4, 5]

