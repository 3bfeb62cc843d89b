"""One message at a time; FIFO per sending thread and actor, calls and tells alike; at most once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from actors_for_tests import Caller, Log, noted
from engines import only_processes
from gates import Gate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strays import PATIENCE, eventually

from actorrl import ActorRef, fetch, startat, stop

SIZES = [0, 100, 10_000, 70_000, 300_000]
WAYS = ["call", "tell", "function call", "function tell", "coroutine", "sized", "sized tell"]


class Guarded(Log):
    """Notices when two handlers run at once."""

    inside = 0
    worst = 0

    def enter(self, n: int) -> int:
        self.inside += 1
        self.worst = max(self.worst, self.inside)
        total = sum(range(200))
        self.inside -= 1
        self.seen.append(n)
        return total

    def together(self) -> int:
        return self.worst


@pytest.fixture(scope="module")
def log(engine: str) -> Iterator[ActorRef[Log]]:
    ref = startat(None, Forgetful)
    yield ref
    stop(ref)


class Forgetful(Log):
    def forget(self) -> None:
        self.seen.clear()


def send(log: Any, way: str, item: Any, size: int) -> None:
    if way == "call":
        log.note(item)
    elif way == "tell":
        log.note.tell(item)
    elif way == "function call":
        noted(log, item)
    elif way == "function tell":
        noted.tell(log, item)
    elif way == "coroutine":
        log.later.tell(item)
    elif way == "sized":
        log.sized(item, np.zeros(size, "u1"))
    else:
        log.sized.tell(item, bytes(size))


steps = st.lists(st.tuples(st.sampled_from(WAYS), st.sampled_from(SIZES)), max_size=25)


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(steps=steps)
def test_messages_of_one_thread_are_handled_in_the_order_sent(log: ActorRef[Forgetful], steps: list[tuple[str, int]]):
    log.forget.tell()
    for n, (way, size) in enumerate(steps):
        send(log, way, n, size)

    assert fetch(log.everything()) == list(range(len(steps)))


@only_processes
@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(programs=st.lists(steps, min_size=2, max_size=4))
def test_per_sending_thread(engine: str, log: ActorRef[Forgetful], programs: list[list[tuple[str, int]]]):
    fetch(log.forget())

    def run(who: int) -> None:
        for n, (way, size) in enumerate(programs[who]):
            send(log, way, (who, n), size)
        fetch(log.note((who, "end")))

    threads = [threading.Thread(target=run, args=(who,)) for who in range(len(programs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    seen = fetch(log.everything())
    for who, program in enumerate(programs):
        assert [n for one, n in seen if one == who] == [*range(len(program)), "end"]


def test_per_sending_actor(engine: str):
    log = startat(None, Log)
    callers = [startat(place, Caller, log) for place in (1, 1, None)]
    fetch([caller.send([(who, n) for n in range(100)]) for who, caller in enumerate(callers)])
    seen = fetch(log.everything())

    def all_there() -> bool:
        nonlocal seen
        seen = fetch(log.everything())
        return len(seen) == 300

    eventually(all_there)
    for who in range(3):
        assert [n for one, n in seen if one == who] == list(range(100))
    for ref in (*callers, log):
        stop(ref)


def test_answers_do_not_need_to_be_taken_in_order(engine: str):
    log = startat(0, Log)
    futures = [log.note(n) for n in range(50)]

    assert [fetch(future) for future in reversed(futures)] == list(reversed(range(50)))
    assert fetch(log.everything()) == list(range(50))
    stop(log)


@only_processes
@pytest.mark.parametrize("place", [None, 1])
def test_one_message_at_a_time(engine: str, place: int | None):
    guarded = startat(place, Guarded)

    def run() -> None:
        fetch([guarded.enter(n) for n in range(100)])

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert fetch(guarded.together()) == 1
    assert len(fetch(guarded.everything())) == 400
    stop(guarded)


def test_at_most_once(engine: str):
    log = startat(None, Log)
    for n in range(2_000):
        log.note.tell(n)

    assert fetch(log.everything()) == list(range(2_000))
    stop(log)


@only_processes
def test_what_was_sent_before_a_large_message_comes_before_it(engine: str, gate: Gate):
    log = startat(None, Log)
    log.wait.tell(gate)
    for n in range(30):
        send(log, "sized tell" if n % 3 else "tell", n, 2_000_000 if n % 5 == 1 else 100)
    gate.open()

    assert fetch(log.everything(), timeout=PATIENCE) == list(range(30))
    stop(log)


def test_messages_sent_to_a_new_actor_wait_for_its_constructor(engine: str):
    class Slow(Log):
        def __init__(self) -> None:
            self.seen = ["born"]

    log = startat(None, Slow)
    for n in range(5):
        log.note.tell(n)

    assert fetch(log.everything()) == ["born", 0, 1, 2, 3, 4]
    stop(log)
