"""Callbacks run in order on one thread, and one that fails holds nobody up."""

from __future__ import annotations

import threading

from actorrl.actor.callbacks import Callbacks


def test_work_runs_in_order_on_one_thread_that_starts_when_needed():
    callbacks = Callbacks()
    assert callbacks._thread is None
    done, seen = threading.Event(), []
    for number in range(100):
        callbacks.put(lambda number=number: seen.append((number, threading.current_thread())))
    callbacks.put(done.set)

    assert done.wait(20)
    assert [number for number, _ in seen] == list(range(100))
    assert {thread for _, thread in seen} == {callbacks._thread}
    callbacks.close()


def test_closing_runs_what_there_is_and_ends_the_thread():
    callbacks = Callbacks()
    seen: list[int] = []
    callbacks.put(lambda: seen.append(1))
    callbacks.close()
    assert callbacks._thread is not None
    callbacks._thread.join(20)

    assert seen == [1]
    assert not callbacks._thread.is_alive()


def test_closing_what_never_ran_is_nothing():
    Callbacks().close()
