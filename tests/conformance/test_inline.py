"""The inline engine: actors in this process, one step after the other."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from actors_for_tests import Account, Caller, Counter, Log, Where, add
from engines import only_inline

from actorrl import ActorRef, as_completed, current, errors, fetch, startat, stop, wait, watch

pytestmark = only_inline


class Selfish:
    """Sends messages to itself, and waits for them in every way."""

    def __init__(self) -> None:
        self.trail: list[str] = []

    def note(self, text: str) -> str:
        self.trail.append(text)
        return text

    def queue(self) -> bool:
        future = current().note("later")
        self.trail.append("first")
        return future.done()

    def wait_in(self, way: str) -> str:
        future = current().note("never waited for")
        ways = {
            "fetch": lambda: fetch(future),
            "fetch list": lambda: fetch([future]),
            "fetch with a timeout": lambda: fetch(future, timeout=5),
            "result": lambda: future.result(),
            "wait": lambda: wait([future]),
            "as_completed": lambda: next(iter(as_completed([future]))),
        }
        try:
            ways[way]()
        except errors.DeadlockError:
            return "DeadlockError"
        return "no error"

    def fall(self) -> None:
        fetch(current().note("x"))

    def everything(self) -> list[str]:
        return self.trail


class Ping:
    def __init__(self, other: Any = None) -> None:
        self.other = other

    def meet(self, other: Any) -> None:
        self.other = other

    def ask(self) -> str:
        return fetch(self.other.answer(current()))

    def answer(self, ref: Any) -> str:
        return fetch(ref.name())

    def tell_back(self, ref: Any) -> str:
        ref.meet.tell("told")
        return "returned"

    def ask_and_be_told(self) -> Any:
        before = fetch(self.other.tell_back(current()))
        return before, self.other == "told"

    def name(self) -> str:
        return "ping"

    def met(self) -> Any:
        return self.other


@pytest.fixture
def selfish(engine: str) -> Iterator[ActorRef[Selfish]]:
    ref = startat(0, Selfish)
    yield ref
    stop(ref)


def test_a_message_to_an_idle_actor_runs_at_the_call(engine: str):
    log = startat(0, Log)
    log.note.tell("a")
    future = log.everything()

    assert future.done()
    assert future.result(timeout=0) == ["a"]
    assert log.later("b").done()
    stop(log)


def test_an_error_at_the_call_comes_through_the_future(engine: str):
    account = Account.remote(0)
    future = account.fail("not raised at the call")

    assert future.done()
    with pytest.raises(ValueError):
        fetch(future)
    stop(account)


def test_everything_is_in_this_process_and_thread(engine: str):
    where = startat(3, Where)

    assert fetch(where.pid()) == os.getpid()
    assert fetch(where.thread()) == threading.get_ident()
    stop(where)


def test_to_a_busy_actor_it_queues_and_runs_when_that_handler_returns(selfish: ActorRef[Selfish]):
    assert fetch(selfish.queue()) is False
    assert fetch(selfish.everything()) == ["first", "later"]


@pytest.mark.parametrize("way", ["fetch", "fetch list", "fetch with a timeout", "result", "wait", "as_completed"])
def test_waiting_for_what_can_only_run_later_is_a_deadlock_error(selfish: ActorRef[Selfish], way: str):
    assert fetch(selfish.wait_in(way)) == "DeadlockError"
    assert fetch(selfish.queue()) is False


def test_a_deadlock_nobody_catches_fails_the_call_and_the_actor_goes_on(selfish: ActorRef[Selfish]):
    with pytest.raises(errors.DeadlockError):
        fetch(selfish.fall())
    assert fetch(selfish.note("alive")) == "alive"


def test_two_actors_that_ask_each_other_are_a_deadlock_error(engine: str):
    a, b = startat(0, Ping), startat(1, Ping)
    fetch(a.meet(b))

    with pytest.raises(errors.DeadlockError) as caught:
        fetch(a.ask())
    assert "Ping" in str(caught.value)
    assert fetch([a.name(), b.name()]) == ["ping", "ping"]
    stop(a)
    stop(b)


def test_a_call_that_is_not_waited_for_is_no_wait(engine: str):
    a, b = startat(0, Ping), startat(1, Ping)
    fetch(a.meet(b))

    assert fetch(a.ask_and_be_told()) == ("returned", False)
    assert fetch(a.met()) == "told"
    stop(a)
    stop(b)


def test_actors_call_idle_actors_as_deep_as_they_like(engine: str):
    chain = [startat(0, Account, 1)]
    for _ in range(10):
        chain.append(startat(0, Caller, chain[-1]))
    call: tuple[Any, ...] = ("add", 1)
    for _ in range(9):
        call = ("ask", *call)

    assert fetch(chain[-1].ask(*call)) == 2
    for ref in chain:
        stop(ref)


def test_messages_still_pass_through_pickle(engine: str):
    keeper = startat(0, Log)
    items = [1]
    keeper.note.tell(items)
    items.append(2)

    assert fetch(keeper.everything()) == [[1]]
    fetch(keeper.everything()).append("mine")
    assert fetch(keeper.everything()) == [[1]]
    stop(keeper)


def test_sends_from_several_threads_are_handled_one_at_a_time(engine: str):
    counter = startat(0, Counter, 0)

    def run() -> None:
        for _ in range(200):
            add.tell(counter, 1)
            fetch(add(counter, 1))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert fetch(add(counter, 0)) == 1600
    stop(counter)


def test_sys_exit_in_a_handler_ends_the_actor_with_that_exit_code(engine: str):
    where = startat(0, on_failure="ignore")(Where)()
    end = watch(where)
    with pytest.raises(errors.ActorDied) as caught:
        fetch(where.leave(3))

    assert caught.value.exitcode == 3
    assert caught.value.started is True
    assert end.done()
    with pytest.raises(errors.ActorDied) as caught:
        fetch(where.pid())
    assert caught.value.started is False
