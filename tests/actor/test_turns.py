"""What one process sends on two ways is handed on in its order, whatever the ways do."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actorrl.actor import turns as module
from actorrl.actor.turns import Turns


def handed_on(turns: Turns, arrivals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The messages in the order in which whoever reads both ways gets them; each arrives as (sender, number)."""
    got: list[tuple[int, int]] = []
    for sender, number in arrivals:
        turns.admit(sender, number, (sender, number))
        while turns.due:
            got.append(turns.due.popleft())
    return got


@st.composite
def two_ways(draw: Any) -> list[tuple[int, int]]:
    """Messages of three senders, each by one of two ways that keep their own order, as they come in."""
    ways: list[list[tuple[int, int]]] = []
    for sender in range(3):
        pair: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
        for number in range(1, draw(st.integers(0, 12)) + 1):
            pair[draw(st.booleans())].append((sender, number))
        ways += pair
    arrivals = []
    while any(ways):
        way = draw(st.sampled_from([way for way in ways if way]))
        arrivals.append(way.pop(0))
    return arrivals


@given(two_ways())
def test_every_message_is_handed_on_once_and_in_the_order_of_its_sender(arrivals: list[tuple[int, int]]):
    turns = Turns()
    got = handed_on(turns, arrivals)

    assert sorted(got) == sorted(arrivals)
    for sender in range(3):
        numbers = [number for one, number in got if one == sender]
        assert numbers == list(range(1, len(numbers) + 1))
    assert not turns.early


def test_nobody_waits_for_another_sender():
    assert handed_on(Turns(), [(1, 2), (2, 1), (3, 1), (1, 1)]) == [(2, 1), (3, 1), (1, 1), (1, 2)]


def test_a_message_that_comes_twice_is_handed_on_once():
    assert handed_on(Turns(), [(1, 1), (1, 1), (1, 3), (1, 3), (1, 2), (1, 2)]) == [(1, 1), (1, 2), (1, 3)]


def test_what_stands_outside_the_order_is_handed_on_at_once():
    assert handed_on(Turns(), [(1, 2), (1, 0), (1, 0), (1, 1)]) == [(1, 0), (1, 0), (1, 1), (1, 2)]


def test_the_dead_are_forgotten_after_a_while_with_what_waits_in_vain(monkeypatch: Any):
    monkeypatch.setattr(module, "REMEMBERED", 2)
    turns = Turns()
    assert handed_on(turns, [(1, 1), (1, 3), (2, 1)]) == [(1, 1), (2, 1)]
    turns.ended(1)
    assert handed_on(turns, [(1, 2)]) == [(1, 2), (1, 3)], "its last messages were still on their way"
    turns.admit(1, 9, "in vain")
    turns.ended(2)
    turns.ended(3)

    assert 1 not in turns.turn and not turns.early
    assert 2 in turns.turn
