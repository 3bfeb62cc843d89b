"""Cancelling calls: a queued one never runs, a running one is told."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator
from pathlib import Path

import pytest
from actors_for_tests import Account, Log, Where
from engines import only_processes
from gates import Gate
from strays import PATIENCE, eventually

from actorrl import ActorRef, as_completed, cancelled, fetch, startat, stop, wait

CancelledError = concurrent.futures.CancelledError


@pytest.fixture
def log(engine: str, gate: Gate) -> Iterator[ActorRef[Log]]:
    ref = startat(None, Log)
    yield ref
    gate.open()
    stop(ref)


def test_cancel_of_a_done_call_is_false_and_its_value_stays(engine: str):
    account = Account.remote(0)
    future = account.add(1)
    fetch(future)

    assert future.cancel() is False
    assert not future.cancelled()
    assert fetch(future) == 1
    stop(account)


@only_processes
def test_a_call_still_queued_never_runs(log: ActorRef[Log], gate: Gate):
    log.wait.tell(gate)
    futures = [log.note(i) for i in range(6)]
    gate.entered()

    assert [futures[i].cancel() for i in (1, 4)] == [True, True]
    gate.open()
    for i in (1, 4):
        with pytest.raises(CancelledError):
            fetch(futures[i])
    assert fetch(log.everything()) == [0, 2, 3, 5]


@only_processes
def test_cancel_is_true_at_once_and_the_future_is_done(log: ActorRef[Log], gate: Gate):
    log.wait.tell(gate)
    future = log.note(1)

    assert future.cancel() is True
    assert future.cancelled()
    assert future.done()
    with pytest.raises(CancelledError):
        future.result(timeout=0)
    assert future.cancel() is True


@only_processes
def test_a_running_call_is_not_interrupted_but_sees_cancelled(engine: str, gate: Gate, tmp_path: Path):
    where = startat(None, Where)
    seen = tmp_path / "seen"
    future = where.wait_or_cancelled(gate, str(seen))
    gate.entered()

    assert future.cancel() is True
    with pytest.raises(CancelledError):
        fetch(future)
    eventually(lambda: seen.exists() and seen.read_text() == "cancelled")
    assert fetch(where.pid()) > 0
    stop(where)


@only_processes
def test_a_running_call_that_does_not_look_goes_on_to_its_end(log: ActorRef[Log], gate: Gate):
    future = log.wait(gate)
    gate.entered()
    future.cancel()
    after = log.note("after")

    with pytest.raises(TimeoutError):
        fetch(after, timeout=0.05)
    gate.open()
    assert fetch(after) == "after"


@only_processes
def test_the_next_call_does_not_see_the_cancel_of_the_last(engine: str, gate: Gate, tmp_path: Path):
    class Looks(Where):
        def look(self) -> bool:
            return cancelled()

    looks = startat(None, Looks)
    future = looks.wait_or_cancelled(gate, str(tmp_path / "seen"))
    gate.entered()
    future.cancel()

    assert fetch(looks.look()) is False
    stop(looks)


def test_a_call_that_nobody_cancelled_sees_false(engine: str):
    class Looks:
        def look(self) -> bool:
            return cancelled()

    looks = startat(0, Looks)

    assert fetch(looks.look()) is False
    stop(looks)


@only_processes
def test_a_cancelled_call_counts_as_done_for_wait_and_as_completed(log: ActorRef[Log], gate: Gate):
    log.wait.tell(gate)
    a, b = log.note("a"), log.note("b")
    b.cancel()

    assert wait([a, b], timeout=PATIENCE) == ([b], [a])
    assert next(iter(as_completed([a, b], timeout=PATIENCE))) is b


@only_processes
def test_a_waiting_thread_wakes_when_the_call_is_cancelled(log: ActorRef[Log], gate: Gate):
    log.wait.tell(gate)
    future = log.note(1)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(fetch, future)
        gate.entered()
        future.cancel()

        assert isinstance(waiting.exception(timeout=PATIENCE), CancelledError)


@only_processes
def test_callbacks_of_a_cancelled_call_run(log: ActorRef[Log], gate: Gate):
    log.wait.tell(gate)
    future = log.note(1)
    called: list[bool] = []
    future.add_done_callback(lambda done: called.append(done.cancelled()))
    future.cancel()

    eventually(lambda: called)
    assert called == [True]
