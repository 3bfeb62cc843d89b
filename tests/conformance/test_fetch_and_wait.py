"""fetch, wait and as_completed: orders, errors and timeouts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError

import pytest
from actors_for_tests import Account, Caller, Where
from engines import only_processes
from gates import Gate
from strays import PATIENCE

from actorrl import ActorRef, as_completed, fetch, startat, stop, wait


@pytest.fixture
def account(engine: str) -> Iterator[ActorRef[Account]]:
    ref = Account.remote(0)
    yield ref
    stop(ref)


@pytest.fixture
def slow(engine: str, gate: Gate) -> Iterator[ActorRef[Where]]:
    """An actor that tests keep at the gate."""
    ref = startat(None, Where)
    yield ref
    gate.open()
    stop(ref)


@pytest.mark.parametrize(
    "kind", [list, tuple, iter, lambda futures: (f for f in futures)], ids=["list", "tuple", "iter", "generator"]
)
def test_fetch_of_an_iterable_is_a_list_in_order(account: ActorRef[Account], kind):
    assert fetch(kind([account.add(1) for _ in range(4)])) == [1, 2, 3, 4]


def test_fetch_of_nothing_is_an_empty_list(engine: str):
    assert fetch([]) == []


def test_fetch_of_one_future_in_a_list_is_a_list(account: ActorRef[Account]):
    assert fetch([account.add(1)]) == [1]


def test_the_same_future_twice(account: ActorRef[Account]):
    future = account.add(1)

    assert fetch([future, future]) == [1, 1]


@only_processes
def test_a_cancelled_future_before_one_that_is_pending_is_raised_at_once(slow: ActorRef[Where], gate: Gate):
    running = slow.wait(gate)
    gate.entered()
    cancelled = slow.pid()
    assert cancelled.cancel()

    with pytest.raises(CancelledError):
        fetch([cancelled, running])
    assert not running.done()


@pytest.mark.parametrize("wrong", [5, None, "text", [5], object()], ids=["number", "None", "text", "list", "object"])
def test_fetch_of_what_is_no_future_is_a_type_error(engine: str, wrong: object):
    with pytest.raises(TypeError):
        fetch(wrong)


def test_fetch_raises_the_first_error_in_order(account: ActorRef[Account]):
    futures = [account.add(1), account.fail("first"), account.fail("second"), account.add(1)]

    with pytest.raises(ValueError, match="first"):
        fetch(futures)
    with pytest.raises(ValueError, match="second"):
        fetch([futures[0], futures[2], futures[1]])


@only_processes
def test_the_first_in_order_also_when_another_failed_earlier(
    account: ActorRef[Account], slow: ActorRef[Where], gate: Gate
):
    class Late(Where):
        def fail(self, gate: Gate) -> None:
            gate.through()
            raise KeyError("in order")

    late = startat(None, Late)
    futures = [late.fail(gate), account.fail("earlier")]
    wait(futures, timeout=PATIENCE)
    gate.open()

    with pytest.raises(KeyError, match="in order"):
        fetch(futures)
    with pytest.raises(ValueError):
        fetch(futures[1])
    stop(late)


@only_processes
def test_a_timeout_is_the_built_in_timeout_error(slow: ActorRef[Where], gate: Gate):
    future = slow.wait(gate)

    for attempt in (
        lambda: fetch(future, timeout=0.01),
        lambda: fetch([future], timeout=0.01),
        lambda: fetch(future, timeout=0),
        lambda: future.result(timeout=0.01),
        lambda: future.exception(timeout=0.01),
        lambda: list(as_completed([future], timeout=0.01)),
    ):
        with pytest.raises(TimeoutError) as caught:
            attempt()
        assert type(caught.value) is TimeoutError


@only_processes
def test_a_timeout_abandons_nothing(slow: ActorRef[Where], gate: Gate):
    future, after = slow.wait(gate, "late"), slow.pid()
    with pytest.raises(TimeoutError):
        fetch(future, timeout=0.01)
    gate.open()

    assert fetch(future) == "late"
    assert fetch(after) > 0


@only_processes
def test_a_timeout_is_for_all_futures_together(slow: ActorRef[Where], gate: Gate):
    futures = [slow.wait(gate) for _ in range(20)]
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        fetch(futures, timeout=0.2)

    assert 0.15 < time.monotonic() - start < 2


def test_a_timeout_that_is_not_needed(account: ActorRef[Account]):
    assert fetch(account.add(1), timeout=PATIENCE) == 1
    assert fetch([account.add(1)], timeout=PATIENCE) == [2]


def test_wait_gives_two_lists_in_the_given_order(account: ActorRef[Account]):
    futures = [account.add(1) for _ in range(3)]
    done, pending = wait(futures, num_returns=3)

    assert done == futures
    assert pending == []


@pytest.mark.parametrize("count", [1, 2, 5])
def test_done_has_exactly_num_returns(account: ActorRef[Account], count: int):
    futures = [account.add(1) for _ in range(5)]
    fetch(futures)
    done, pending = wait(futures, num_returns=count)

    assert done == futures[:count]
    assert pending == futures[count:]


def test_num_returns_is_one_unless_said(account: ActorRef[Account]):
    futures = [account.add(1) for _ in range(3)]
    fetch(futures)

    assert wait(futures) == (futures[:1], futures[1:]) or wait(futures) == [futures[:1], futures[1:]]


@only_processes
def test_wait_takes_whichever_is_done_first(account: ActorRef[Account], slow: ActorRef[Where], gate: Gate):
    late, early = slow.wait(gate), account.add(1)
    done, pending = wait([late, early])

    assert (done, pending) == ([early], [late])


@only_processes
def test_unless_time_ran_out(account: ActorRef[Account], slow: ActorRef[Where], gate: Gate):
    late, early = slow.wait(gate), account.add(1)
    fetch(early)
    done, pending = wait([late, early], num_returns=2, timeout=0.02)

    assert (done, pending) == ([early], [late])
    assert tuple(wait([late], timeout=0)) == ([], [late])


def test_wait_never_raises_the_error_of_a_future_it_was_given(account: ActorRef[Account]):
    futures = [account.fail("a"), account.add(1), account.fail("b")]
    done, pending = wait(futures, num_returns=3, timeout=PATIENCE)

    assert done == futures
    assert pending == []
    for future in (futures[0], futures[2]):
        with pytest.raises(ValueError):
            fetch(future)


def test_wait_for_nothing_gives_nothing(engine: str):
    assert tuple(wait([])) == ([], [])


def test_wait_takes_any_iterable(account: ActorRef[Account]):
    done, pending = wait(account.add(1) for _ in range(2))

    assert (len(done), len(pending)) == (1, 1)


def test_as_completed_gives_every_future_once(account: ActorRef[Account]):
    futures = [account.add(1) for _ in range(5)]

    assert sorted(fetch(future) for future in as_completed(futures)) == [1, 2, 3, 4, 5]
    assert list(as_completed([])) == []


@only_processes
def test_as_completed_gives_them_as_they_complete(account: ActorRef[Account], slow: ActorRef[Where], gate: Gate):
    late, early = slow.wait(gate, "late"), account.add(1)
    completed = as_completed([late, early], timeout=PATIENCE)

    assert next(completed) is early
    gate.open()
    assert next(completed) is late
    assert list(completed) == []


@only_processes
def test_as_completed_that_runs_out_of_time_abandons_nothing(slow: ActorRef[Where], gate: Gate):
    late = slow.wait(gate, "late")
    with pytest.raises(TimeoutError):
        next(iter(as_completed([late], timeout=0.02)))
    gate.open()

    assert fetch(late) == "late"


def test_as_completed_gives_failed_futures_too(account: ActorRef[Account]):
    (future,) = as_completed([account.fail("x")], timeout=PATIENCE)

    with pytest.raises(ValueError):
        future.result()


@pytest.mark.parametrize("place", [None, 0])
def test_inside_an_actor_too(account: ActorRef[Account], place: int | None):
    caller = startat(place, Caller, account)

    assert [fetch(caller.ask("add", 1)) for _ in range(3)] == [1, 2, 3]
    stop(caller)


@only_processes
def test_from_many_threads_at_once(account: ActorRef[Account]):
    got: list[int] = []

    def work() -> None:
        for _ in range(50):
            got.append(fetch(account.add(1), timeout=PATIENCE))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(got) == list(range(1, 201))


@only_processes
def test_one_thread_waits_long_while_another_talks(account: ActorRef[Account], slow: ActorRef[Where], gate: Gate):
    future = slow.wait(gate, "late")
    got: list[str] = []
    thread = threading.Thread(target=lambda: got.append(fetch(future)))
    thread.start()
    gate.entered()

    assert fetch([account.add(1) for _ in range(20)], timeout=PATIENCE)[-1] == 20
    gate.open()
    thread.join(20)
    assert got == ["late"]
