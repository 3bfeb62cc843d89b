"""Waits and knots: who is stuck by the definition, what is asked before a wait is broken, and which one is broken."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actorrl.actor.deadlock import AGAIN, Deadlocks
from actorrl.actor.registry import Tell

ACTORS = 5


@st.composite
def graphs(draw: Any) -> dict[int, tuple[int, list[int]]]:
    """Actor -> (how many it needs, of whom). Actors that are not there do not wait."""
    waiting = draw(st.sets(st.integers(1, ACTORS), max_size=ACTORS))
    graph = {}
    for actor in sorted(waiting):
        targets = draw(st.lists(st.integers(1, ACTORS), min_size=1, max_size=4))
        graph[actor] = draw(st.integers(1, len(targets))), targets
    return graph


def watched(graph: dict[int, tuple[int, list[int]]]) -> Deadlocks:
    """The waits of a graph; the process of an actor is ten times its number."""
    deadlocks = Deadlocks()
    calls = itertools.count(1)
    for actor, (need, targets) in graph.items():
        edges = [(target, 10 * actor, next(calls), "go") for target in targets]
        deadlocks.begin(10 * actor, actor, 1, f"#{actor}", need, edges)
    return deadlocks


def stuck_by_definition(graph: dict[int, tuple[int, list[int]]]) -> set[int]:
    """The largest set of which nobody can go on unless another of the set does, found by trying all sets."""
    found: set[int] = set()
    for size in range(1, len(graph) + 1):
        for members in itertools.combinations(graph, size):
            if all(sum(t not in members for t in graph[a][1]) < graph[a][0] for a in members):
                found |= set(members)
    return found


@given(graphs())
def test_the_stuck_are_those_who_wait_for_each_other_in_vain(graph):
    assert watched(graph).stuck() == stuck_by_definition(graph)


def answer(deadlocks: Deadlocks, orders: list[Any], held: bool = True) -> list[Any]:
    """Answer every probe as an actor that still waits as before, holding the calls it is asked for, or none."""
    more: list[Any] = []
    for order in orders:
        assert isinstance(order, Tell)
        kind, round_, actor, number, calls = order.message
        assert kind == "probe"
        wait = deadlocks.waits[actor]
        assert order.process == wait.process
        fresh = wait.need, [tuple(edge) for edge in wait.edges]
        more += deadlocks.probed(wait.process, round_, actor, number, fresh, calls if held else [])
    return more


@given(graphs())
def test_breaking_waits_ends_every_deadlock_and_breaks_nobody_else(graph):
    deadlocks = Deadlocks()
    expected = stuck_by_definition(graph)
    calls, broken = itertools.count(1), []
    pending: list[Any] = []
    for actor, (need, targets) in graph.items():
        edges = [(target, 10 * actor, next(calls), "go") for target in targets]
        pending += deadlocks.begin(10 * actor, actor, 1, f"#{actor}", need, edges)
    while pending:
        order = pending.pop(0)
        if order.message[0] == "deadlock":
            broken.append(order.message[1])
            assert order.process == 10 * order.message[1]
        elif order.message[2] in deadlocks.waits:
            pending += answer(deadlocks, [order])

    assert set(broken) <= expected
    assert bool(broken) is bool(expected)
    assert deadlocks.stuck() == set()


def cycle() -> tuple[Deadlocks, list[Any]]:
    deadlocks = Deadlocks()
    assert deadlocks.begin(10, 1, 1, "<A> in ask()", 1, [(2, 10, 7, "answer")]) == []
    return deadlocks, deadlocks.begin(20, 2, 1, "<B> in back()", 1, [(1, 20, 9, "hello")])


def test_all_of_a_cycle_are_asked_and_the_youngest_wait_is_broken():
    deadlocks, probes = cycle()
    assert sorted((order.process, order.message[2], order.message[4]) for order in probes) == [
        (10, 1, [(20, 9)]),
        (20, 2, [(10, 7)]),
    ]
    [order] = answer(deadlocks, probes)

    assert (order.process, *order.message[:3]) == (20, "deadlock", 2, 1)
    assert order.message[3] == "<B> in back() waits for hello() of <A>; <A> in ask() waits for answer() of <B>"


def test_an_answer_on_its_way_breaks_nothing_and_is_looked_for_again():
    deadlocks, probes = cycle()
    now = [100.0]
    deadlocks.clock = lambda: now[0]

    assert answer(deadlocks, probes, held=False) == []
    assert deadlocks.recheck == 100.0 + AGAIN
    assert deadlocks.tick() == []
    now[0] += AGAIN
    again = deadlocks.tick()
    assert [order.message[0] for order in again] == ["probe", "probe"]
    assert answer(deadlocks, probes) == [], "answers to the first round are too late"
    assert answer(deadlocks, again)[0].message[0] == "deadlock"


def test_a_wait_that_has_ended_is_no_part_of_it():
    deadlocks, probes = cycle()
    first = probes[0].message
    assert deadlocks.probed(probes[0].process, *first[1:4], None, []) == []
    assert deadlocks.stuck() == set()

    deadlocks, probes = cycle()
    assert deadlocks.end(10, 1, 99) == [], "an older wait"
    assert len(deadlocks.stuck()) == 2
    deadlocks.forget(1)
    assert deadlocks.stuck() == set()


def test_the_room_of_a_mailbox_needs_no_call():
    deadlocks = Deadlocks()
    deadlocks.begin(10, 1, 1, "<A> in send()", 1, [(2, 10, 0, "put")])
    probes = deadlocks.begin(20, 2, 1, "<B> in back()", 1, [(1, 20, 9, "hello")])
    [order] = answer(deadlocks, probes)

    assert "<A> in send() waits for room in the mailbox, to send put() of <B>" in order.message[3]
