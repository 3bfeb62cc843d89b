"""The nursery's own moments, without its processes: what it does when several things happen in one round."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from actorrl.actor.control import Line
from actorrl.actor.nursery import Nursery
from actorrl.actor.registry import DRIVER, Kill, Tell
from actorrl.actor.ward import Ward


class Child:
    """A process that has ended already."""

    pid = -1

    def reap(self) -> int:
        return 0


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    ours, theirs = socket.socketpair()
    settings = {"directory": "/nowhere", "token": "t", "driver": os.getppid(), "first": 1, "preload": []}
    output, nursery_output = socket.socketpair()
    nursery = Nursery({**settings, "line": theirs.detach(), "output": nursery_output.detach()})
    nursery.heard = Line(ours)  # type: ignore[attr-defined]
    nursery._poll_driver = False
    yield nursery
    nursery.selector.close()
    nursery.driver.close()
    nursery.relay.close()
    output.close()
    ours.close()


def heard(nursery: Nursery) -> list[Any]:
    return nursery.heard.receive()[0]  # type: ignore[attr-defined,no-any-return]


def worker(nursery: Nursery, place: int | None = None) -> Ward:
    """A process of actors with one actor, as far as the nursery knows."""
    ward = Ward(nursery._next, place, {}, nursery.relay.open(nursery._next))
    nursery._next += 1
    ward.child = Child()
    nursery.workers[ward.number] = ward
    nursery.selector.register(ward.line, 1, ward.number)
    os.close(ward.life_read)
    os.close(ward.page_fd)
    ward.voice.hand_over()
    nursery.relay.bury(ward.voice)  # it says nothing
    nursery.registry.add(ward.number, place, None, "Counter", 0, DRIVER, "raise")
    return ward


def test_news_of_a_process_that_was_buried_in_the_same_round_are_no_surprise(nursery: Nursery):
    ward = worker(nursery)
    theirs = Line(ward.theirs)
    theirs.send("log", "last words")
    events = [key for key, _ in nursery.selector.select(0)]
    assert [key.data for key in events] == [ward.number]
    nursery._bury(ward, -9)

    assert nursery._listen(events[0].data) is True
    theirs.close()


def test_what_a_process_said_before_its_end_is_heard_before_its_end(nursery: Nursery):
    ward = worker(nursery)
    theirs = Line(ward.theirs)
    theirs.send("log", "last words")
    nursery._bury(ward, -9)
    told = heard(nursery)

    assert [message[0] for message in told] == ["log", "ended"]
    assert (told[1][1].signal, told[1][1].cls) == ("SIGKILL", "Counter")
    theirs.close()


def test_the_driver_hanging_up_ends_the_loop_and_a_worker_doing_so_does_not(nursery: Nursery):
    ward = worker(nursery)
    ward.theirs.close()
    assert nursery._listen(ward.number) is True
    nursery.heard.send("bye")  # type: ignore[attr-defined]

    assert nursery._listen(DRIVER) is False
    nursery._bury(ward, 0)


def test_what_the_driver_has_not_taken_is_sent_soon(nursery: Nursery):
    assert nursery._pause() == 3600.0
    while not nursery.driver._outbound:
        nursery.driver.send("log", "x" * 50_000)

    assert nursery._pause() <= 0.5


def test_orders_to_processes_that_are_gone_are_dropped(nursery: Nursery):
    nursery._carry_out([Kill(77), Tell(77, ("leave", 1)), Tell(None, ("ended", "news", False))])

    assert heard(nursery) == [("ended", "news", False)]


def test_a_second_spawn_at_a_place_must_want_the_same_place(nursery: Nursery):
    ward = worker(nursery, place=3)
    nursery.places[3] = ward.number
    ward.options = {"threads": 2}
    wish: Callable[..., Any] = lambda **options: {"place": 3, "options": options}  # noqa: E731

    assert nursery._worker_for(wish(threads=2)) is ward
    assert nursery._worker_for(wish()) is ward
    with pytest.raises(ValueError, match="place 3 was made with threads=2; it cannot have threads=4 too"):
        nursery._worker_for(wish(threads=4))
    ward.theirs.close()
    nursery._bury(ward, 0)
    assert nursery.places == {}


def test_a_nursery_that_fails_says_why():
    code = "import sys; sys.argv = ['', '', '{}']; from actorrl.actor.nursery import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert "KeyError" in done.stderr
