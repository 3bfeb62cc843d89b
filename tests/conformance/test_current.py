"""What a handler knows about itself: current(), and a long loop that goes on by telling itself."""

from __future__ import annotations

import threading

import pytest
from actors_for_tests import Caller
from engines import only_processes
from strays import PATIENCE, eventually

from actorrl import cancelled, current, fetch, remote, startat, stop


class Loop:
    """Counts until told to stop, one message a step."""

    def __init__(self) -> None:
        self.me = current()
        self.steps, self.running = 0, True

    def step(self) -> None:
        self.steps += 1
        if self.running:
            current().step.tell()

    def bounded(self, n: int) -> None:
        self.steps += 1
        if n > 1:
            current().bounded.tell(n - 1)

    def halt(self) -> int:
        self.running = False
        return self.steps

    def count(self) -> int:
        return self.steps

    def born_as(self) -> object:
        return self.me

    def in_a_thread(self) -> str:
        said = []

        def ask() -> None:
            try:
                said.append(str(current()))
            except RuntimeError:
                said.append("RuntimeError")

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        return said[0]


def test_current_is_the_actors_own_ref(engine: str):
    caller = startat(0, Caller)

    assert fetch(caller.me()) == caller
    stop(caller)


def test_current_in_a_function_and_in_the_constructor(engine: str):
    @remote
    def me(loop: Loop) -> object:
        return current()

    loop = startat(None, Loop)

    assert fetch(me(loop)) == loop
    assert fetch(loop.born_as()) == loop
    stop(loop)


def test_current_outside_an_actor_is_a_runtime_error(engine: str):
    with pytest.raises(RuntimeError):
        current()


def test_two_actors_at_one_place_have_refs_of_their_own(engine: str):
    a, b = startat(1, Caller), startat(1, Caller)

    assert fetch([a.me(), b.me(), a.me()]) == [a, b, a]
    stop(a)
    stop(b)


def test_cancelled_outside_an_actor_is_false_or_misuse(engine: str):
    try:
        assert cancelled() is False
    except RuntimeError:
        pass


def test_an_actor_that_tells_itself(engine: str):
    loop = startat(0, Loop)
    loop.bounded.tell(100)

    eventually(lambda: fetch(loop.count()) == 100)
    stop(loop)


@only_processes
@pytest.mark.parametrize("place", [None, 1])
def test_questions_and_stop_get_in_between_the_steps_of_a_loop(engine: str, place: int | None):
    loop = startat(place, Loop)
    loop.step.tell()

    eventually(lambda: fetch(loop.count(), timeout=PATIENCE) > 10)
    steps = fetch(loop.halt(), timeout=PATIENCE)
    assert steps > 10
    assert fetch(loop.count(), timeout=PATIENCE) <= steps + 1
    stop(loop)


@only_processes
def test_stop_ends_an_endless_loop_of_tells(engine: str):
    loop = startat(None, on_failure="ignore")(Loop)()
    loop.step.tell()
    eventually(lambda: fetch(loop.count(), timeout=PATIENCE) > 0)

    stop(loop, timeout=PATIENCE)
