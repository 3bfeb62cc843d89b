"""Handlers that wait for each other: told apart from those that only take long, and only one of them is broken."""

from __future__ import annotations

from typing import Any

import pytest
from engines import only_processes
from gates import Gate

from actorrl import ActorRef, current, fetch, group, startat, stop, wait
from actorrl.errors import DeadlockError


class Person:
    """Asks others, and waits or does not."""

    def __init__(self) -> None:
        self.other: Any = None
        self.seen: list[Any] = []

    def meet(self, other: Any) -> None:
        self.other = other

    def ask(self, gates: tuple[Gate, Gate] | None = None, timeout: float | None = None) -> Any:
        self._both_here(gates)
        return fetch(self.other.answer(), timeout)

    def ask_through(self, refs: list[Any]) -> Any:
        """Ask the first of them to ask the rest."""
        return fetch(refs[0].ask_through(refs[1:])) if refs else 1

    def ask_one_of(self, others: list[Any], gates: tuple[Gate, Gate] | None = None) -> int:
        self._both_here(gates)
        done, _ = wait([other.answer() for other in others])
        return len(done)

    def ask_all(self, others: list[Any], gates: tuple[Gate, Gate]) -> Any:
        self._both_here(gates)
        return fetch(group(others).answer())

    def own(self) -> Any:
        return fetch(current().answer())  # type: ignore[attr-defined]

    def fill(self, gates: tuple[Gate, Gate], n: int) -> int:
        self._both_here(gates)
        for number in range(n):
            self.other.note.tell(number)
        return n

    def call_back(self) -> Any:
        return fetch(self.other.hello(current()))

    def hello(self, who: Any) -> str:
        who.note.tell("hello")
        self.later = who.answer()
        return "sent"

    def wait(self, gate: Gate) -> str:
        gate.through()
        return "waited"

    def slowly(self, gate: Gate) -> Any:
        return fetch(self.other.wait(gate))

    def note(self, what: Any) -> None:
        self.seen.append(what)

    def answer(self) -> int:
        self.seen.append("asked")
        return 1

    def everything(self) -> list[Any]:
        return self.seen

    def _both_here(self, gates: tuple[Gate, Gate] | None) -> None:
        if gates is not None:
            mine, theirs = gates
            mine.open()
            theirs.through()


@pytest.fixture
def gates() -> Any:
    made = Gate(), Gate()
    yield made
    for gate in made:
        gate.open()


def people(n: int, place: int | None = None) -> list[ActorRef[Person]]:
    refs = [startat(place, Person) for _ in range(n)]
    for ref, other in zip(refs, [*refs[1:], refs[0]], strict=True):
        fetch(ref.meet(other))
    return refs


def outcomes(futures: list[Any]) -> list[Any]:
    return [future.exception(20) or future.result(0) for future in futures]


def swapped(gates: tuple[Gate, Gate]) -> tuple[Gate, Gate]:
    return gates[1], gates[0]


@only_processes
@pytest.mark.parametrize("place", [None, 41])
def test_two_that_wait_for_each_other(engine: str, gates: tuple[Gate, Gate], place: int | None):
    a, b = people(2, place)
    got = outcomes([a.ask(gates), b.ask(swapped(gates))])

    assert sorted(type(one).__name__ for one in got) == ["DeadlockError", "int"], "one is broken, the other goes on"
    [error] = [one for one in got if isinstance(one, DeadlockError)]
    assert "ask() waits for answer()" in str(error)
    assert str(error).count("Person") == 4, "two actors, each as who waits and as who is waited for"
    seen = fetch([a.everything(), b.everything()])
    assert sorted(seen) == [[], ["asked"]], "the call of the one that was broken never ran"
    stop(a), stop(b)


@only_processes
def test_a_timeout_is_no_exemption(engine: str, gates: tuple[Gate, Gate]):
    a, b = people(2)
    got = outcomes([a.ask(gates, 30.0), b.ask(swapped(gates), 30.0)])

    assert sorted(type(one).__name__ for one in got) == ["DeadlockError", "int"]
    stop(a), stop(b)


def test_one_that_waits_for_itself(engine: str):
    [a] = people(1)
    with pytest.raises(DeadlockError):
        fetch(a.own())

    assert fetch(a.answer()) == 1, "it lives on"
    assert fetch(a.everything()) == ["asked"], "and the call it waited for never ran"
    stop(a)


def test_a_ring_of_three(engine: str):
    refs = people(3)
    with pytest.raises(DeadlockError) as caught:
        fetch(refs[0].ask_through([refs[1], refs[2], refs[0]]))

    assert "Person" in str(caught.value)
    for ref in refs:
        stop(ref)


@only_processes
def test_a_full_mailbox_in_the_ring(engine: str, gates: tuple[Gate, Gate]):
    a, b = (startat(None, mailbox=2)(Person)() for _ in range(2))
    fetch([a.meet(b), b.meet(a)])
    got = outcomes([a.fill(gates, 10), b.ask(swapped(gates))])

    assert sorted(type(one).__name__ for one in got) == ["DeadlockError", "int"]
    stop(a), stop(b)


@only_processes
def test_room_that_is_there_is_no_deadlock(engine: str, gates: tuple[Gate, Gate]):
    """The sender hears of room only now and then; before an actor waits for long, it tells all it has taken."""
    a, b = people(2)
    for number in range(100):
        fetch(b.note(number)) if number == 50 else b.note.tell(number)
    got = outcomes([a.fill(gates, 1000), b.ask(swapped(gates))])

    assert got == [1000, 1]
    stop(a), stop(b)


@only_processes
def test_waiting_for_one_of_several_is_stuck_when_all_of_them_are(engine: str, gates: tuple[Gate, Gate]):
    a, b, c = people(3)
    free = outcomes([a.ask_one_of([b, c], gates), b.ask_one_of([a], swapped(gates))])
    assert free == [1, 1], "the third can answer"
    again = Gate(), Gate()
    got = outcomes([a.ask_one_of([b, b], again), b.ask_one_of([a], (again[1], again[0]))])

    assert "DeadlockError" in [type(one).__name__ for one in got]
    for ref in (a, b, c):
        stop(ref)


@only_processes
def test_a_group_is_stuck_when_one_of_it_is(engine: str, gates: tuple[Gate, Gate]):
    a, b, c = people(3)
    got = outcomes([a.ask_all([c, b], gates), b.ask_all([a], swapped(gates))])

    assert "DeadlockError" in [type(one).__name__ for one in got]
    for ref in (a, b, c):
        stop(ref)


@only_processes
def test_the_legal_call_back(engine: str):
    a, b = people(2)

    assert fetch(a.call_back()) == "sent"
    assert fetch(a.everything()) == ["hello", "asked"]
    stop(a), stop(b)


@only_processes
def test_a_wait_that_only_takes_long(engine: str, gate: Gate):
    a, b, c = people(3)
    futures = [a.slowly(gate), c.ask()]  # c waits for a, a for b, and b for the gate
    with pytest.raises(TimeoutError):
        fetch(futures[1], 0.5)
    gate.open()

    assert fetch(futures) == ["waited", 1]
    for ref in (a, b, c):
        stop(ref)
