"""`ref.method.tell_after(seconds, ...)`: not before its time, with the arguments as they were at the call."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

import pytest
from engines import only_processes
from strays import eventually

from actorrl import current, fetch, startat, stop
from actorrl.errors import ActorDied


class Clock:
    """Notes when it was told what."""

    def __init__(self) -> None:
        self.ticks: list[tuple[Any, float]] = []

    def tick(self, what: Any = None) -> None:
        self.ticks.append((what, time.monotonic()))

    def told(self) -> list[tuple[Any, float]]:
        return self.ticks

    def go_on(self, left: int) -> None:
        self.tick(left)
        if left:
            current().go_on.tell_after(0.01, left - 1)  # type: ignore[attr-defined]


def ticks(clock: Any, count: int) -> list[tuple[Any, float]]:
    eventually(lambda: len(fetch(clock.told())) >= count, what=f"{count} ticks")
    return list(fetch(clock.told()))


def test_it_arrives_later_and_not_before_its_time(engine: str):
    clock = startat(None, Clock)
    began = time.monotonic()
    clock.tick.tell_after(0.2, "later")
    clock.tick.tell_after(0.05, "sooner")
    clock.tick.tell("now")

    told = ticks(clock, 3)
    assert [what for what, _ in told] == ["now", "sooner", "later"]
    assert told[1][1] - began >= 0.05
    assert told[2][1] - began >= 0.2
    stop(clock)


def test_the_arguments_are_those_of_the_call(engine: str):
    clock = startat(None, Clock)
    given = [1]
    clock.tick.tell_after(0.05, given)
    given.append(2)

    assert ticks(clock, 1)[0][0] == [1]
    stop(clock)


def test_an_actor_goes_on_by_telling_itself(engine: str):
    clock = startat(None, Clock)
    clock.go_on.tell(3)

    assert [what for what, _ in ticks(clock, 4)] == [3, 2, 1, 0]
    stop(clock)


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, "1", None])
def test_seconds_are_a_finite_number(engine: str, seconds: Any):
    clock = startat(None, Clock)
    with pytest.raises(ValueError, match="seconds"):
        clock.tick.tell_after(seconds)
    stop(clock)


def test_what_cannot_be_sent_is_refused_at_the_call(engine: str):
    clock = startat(None, Clock)
    with pytest.raises(TypeError, match="what"):
        clock.tick.tell_after(0.01, threading.Lock())
    stop(clock)


@only_processes
def test_a_dead_actor_is_told_nothing_and_nobody_is_harmed(engine: str, caplog: pytest.LogCaptureFixture):
    clock = startat(None, Clock)
    stop(clock)
    clock.tick.tell_after(0.0)
    eventually(lambda: "was not delivered" in caplog.text, what="the log")

    with pytest.raises(ActorDied):
        fetch(clock.told())
