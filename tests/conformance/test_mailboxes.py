"""The bound of a mailbox: who sends too much waits or is refused, and what is refused was not sent."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from actors_for_tests import Log
from engines import only_inline, only_processes
from gates import Gate

from actorrl import ActorRef, current, fetch, startat, stop
from actorrl.errors import MailboxFull

LONG = 30.0


class Busy(Log):
    """A log that can be told to fill its own mailbox."""

    def flood(self, n: int) -> str:
        me: Any = current()
        for number in range(n):
            me.note.tell(number)
        return "sent"

    def sum(self, array: Any) -> float:
        return float(array.sum())


def spawn(**options: Any) -> ActorRef[Busy]:
    return startat(None, **options)(Busy)()


def everything(log: Any) -> Any:
    """What the log has seen, asked until there is room for the question."""
    while True:
        try:
            return fetch(log.everything())
        except MailboxFull:
            continue


@only_processes
@pytest.mark.parametrize("form", ["calls", "tells", "mixed"])
@pytest.mark.parametrize("limit", [1, 3, 8])
def test_a_full_mailbox_refuses_and_takes_again_when_there_is_room(engine: str, gate: Gate, form: str, limit: int):
    log = spawn(mailbox=limit, on_full="raise")
    first = log.wait(gate)
    gate.entered()
    accepted = []
    with pytest.raises(MailboxFull, match=r"Busy.*full.*note"):
        for number in range(100):
            if form == "calls" or (form == "mixed" and number % 2):
                log.note(number)
            else:
                log.note.tell(number)
            accepted.append(number)

    assert len(accepted) == limit
    gate.open()
    fetch(first)
    assert everything(log) == accepted
    fetch(log.note(100))
    assert everything(log) == [*accepted, 100]
    stop(log)


@only_processes
def test_a_sender_to_a_full_mailbox_waits_and_loses_nothing(engine: str, gate: Gate):
    log = spawn(mailbox=4)
    log.wait.tell(gate)
    gate.entered()
    sent = threading.Event()

    def send() -> None:
        for number in range(50):
            log.note.tell(number)
        sent.set()

    thread = threading.Thread(target=send)
    thread.start()
    assert not sent.wait(0.2), "it waits while the actor does not take anything"
    gate.open()
    assert sent.wait(LONG)
    thread.join(LONG)
    assert fetch(log.everything()) == list(range(50))
    stop(log)


@only_processes
def test_many_times_the_bound_goes_through_in_order(engine: str):
    log = spawn(mailbox=8)
    futures = [log.note(number) if number % 3 else log.note.tell(number) for number in range(2000)]

    assert fetch(log.everything()) == list(range(2000))
    fetch([future for future in futures if future is not None])
    stop(log)


@only_processes
def test_a_blocked_sender_learns_that_the_actor_died(engine: str, gate: Gate):
    log = spawn(mailbox=2, on_failure="ignore")
    running = log.wait(gate)
    gate.entered()
    outcome: list[Any] = []

    def send() -> None:
        futures = [log.note(number) for number in range(10)]
        outcome.extend(type(future.exception(LONG)).__name__ for future in futures)

    thread = threading.Thread(target=send)
    thread.start()
    from actorrl import kill

    kill(log)
    thread.join(LONG)
    assert outcome == ["ActorDied"] * 10
    assert type(running.exception(LONG)).__name__ == "ActorDied"


@only_processes
def test_cancelled_calls_make_room_when_their_turn_comes(engine: str, gate: Gate):
    log = spawn(mailbox=3)
    log.wait.tell(gate)
    gate.entered()
    for future in [log.note(number) for number in range(3)]:
        future.cancel()
    gate.open()
    for number in range(10, 20):
        log.note.tell(number)

    # On a busy machine a request to cancel may come after the gate has opened: then that call has run.
    assert [number for number in fetch(log.everything()) if number >= 10] == list(range(10, 20))
    stop(log)


@only_processes
def test_payload_is_bounded_and_a_larger_message_goes_alone(engine: str, gate: Gate, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("actorrl.actor.routes.PAYLOAD", 1_000_000)
    log = spawn(on_full="raise")
    first = log.wait(gate)
    gate.entered()
    large = np.ones(300_000, np.uint8)
    futures = [log.sum(large) for _ in range(3)]
    with pytest.raises(MailboxFull):
        log.sum(large)
    log.note.tell(1)  # a small one still fits
    gate.open()
    fetch(first)

    assert fetch(futures) == [300_000.0] * 3
    assert fetch(log.everything()) == [1]
    assert fetch(log.sum(np.ones(2_000_000, np.uint8))) == 2_000_000.0
    stop(log)


class Teller:
    """Tells a log large arrays, and awaits nothing."""

    def tell(self, log: Any, n: int) -> str:
        for _ in range(n):
            log.sum.tell(np.zeros(16_000_000, np.uint8))
        return "told"


@only_processes
def test_tells_of_many_bytes_find_room_again_though_nothing_is_answered(engine: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("actorrl.actor.routes.PAYLOAD", 1_000_000)
    log = spawn()
    for number in range(30):  # fewer than an actor takes before it says so by itself
        log.sum.tell(np.zeros(100_000, np.uint8))
        log.note.tell(number)
    assert fetch(log.everything(), timeout=LONG) == list(range(30))

    teller = startat(None, Teller)
    assert fetch(teller.tell(log, 20), timeout=LONG) == "told"  # 320 MB of the 256 that may wait
    stop(teller)
    stop(log)


@only_processes
def test_a_mailbox_that_was_full_of_messages_and_then_of_bytes_has_room_again(
    engine: str, gate: Gate, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("actorrl.actor.routes.PAYLOAD", 1_000_000)
    log = spawn(mailbox=128)
    for number in range(5):  # so that what it says by itself, of every 16th, does not end with the last
        fetch(log.note(number))
    log.wait.tell(gate)
    gate.entered()
    for number in range(122):
        log.note.tell(number)
    for _ in range(5):  # of 128 messages the last
        log.sum.tell(np.zeros(190_000, np.uint8))
    sent = threading.Event()

    def send() -> None:
        log.sum.tell(np.zeros(190_000, np.uint8))
        sent.set()

    threading.Thread(target=send, daemon=True).start()
    assert not sent.wait(0.2), "it waits while the actor does not take anything"
    gate.open()
    assert sent.wait(LONG)
    stop(log)


@only_processes
def test_a_sender_that_was_refused_for_its_bytes_is_let_in_again(engine: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("actorrl.actor.routes.PAYLOAD", 1_000_000)
    log = spawn(on_full="raise")
    until, sent = time.monotonic() + LONG, 0
    while sent < 40 and time.monotonic() < until:
        with suppress(MailboxFull):
            log.sum.tell(np.zeros(100_000, np.uint8))
            sent += 1
    assert sent == 40
    stop(log)


def test_a_tell_to_oneself_on_a_full_mailbox_is_refused(engine: str):
    log = spawn(mailbox=5)

    assert fetch(log.flood(5)) == "sent"
    assert fetch(log.everything()) == [0, 1, 2, 3, 4]
    with pytest.raises(MailboxFull, match="itself"):
        fetch(log.flood(6))
    stop(log)


@only_inline
def test_inline_a_busy_actor_refuses_where_it_was_asked_to(engine: str):
    class Asker:
        def flood(self, log: Any, n: int) -> int:
            for number in range(n):
                log.note.tell(number)
            return n

        def through(self, me: Any, other: Any, n: int) -> Any:
            return fetch(other.flood(me, n))

        def note(self, number: int) -> None:
            """Queues behind `through`."""

    for on_full, n in (("raise", 2), ("block", 50)):
        first = startat(None, mailbox=2, on_full=on_full)(Asker)()
        other = startat(None, Asker)
        assert fetch(first.through(first, other, n)) == n
        if on_full == "raise":
            with pytest.raises(MailboxFull):
                fetch(first.through(first, other, 3))


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, "8"])
def test_a_mailbox_has_at_least_one_place(engine: str, bad: Any):
    with pytest.raises(ValueError, match="mailbox must be an int of at least 1"):
        spawn(mailbox=bad)


def test_on_full_is_one_of_two_words(engine: str):
    with pytest.raises(ValueError, match="block, raise"):
        spawn(on_full="drop")
