"""The books over shares: free when nobody holds them and none is under way, whoever dies, however the news comes."""

from __future__ import annotations

import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorrl.actor.holdings import Holdings

KEY = (0, 4)


@pytest.fixture
def books() -> Holdings:
    books = Holdings(0)
    books.join(1)
    books.join(2)
    return books


def test_free_when_its_maker_lets_go(books: Holdings):
    assert books.hold(0, KEY) == []
    assert KEY in books
    assert books.drop(0, KEY) == [KEY]
    assert KEY not in books


def test_free_when_the_last_of_all_lets_go(books: Holdings):
    books.hold(0, KEY)
    books.lend(0, KEY, 1)
    assert books.drop(0, KEY) == [], "it is under way"
    assert books.took(1, KEY, 0) == []
    assert books.drop(1, KEY) == [KEY]


def test_the_news_of_receiver_and_sender_may_cross(books: Holdings):
    books.hold(0, KEY)
    assert books.took(1, KEY, 0) == []
    assert books.drop(1, KEY) == []
    assert books.lend(0, KEY, 1) == []
    assert books.drop(0, KEY) == [KEY]


def test_what_a_dead_process_held_it_holds_no_more(books: Holdings):
    books.hold(0, KEY)
    books.lend(0, KEY, 1)
    books.took(1, KEY, 0)
    assert books.drop(0, KEY) == []
    assert books.gone(1) == [KEY]


def test_what_was_under_way_to_a_dead_process_is_not_any_more(books: Holdings):
    books.hold(0, KEY)
    books.lend(0, KEY, 1)
    books.gone(1)
    books.lend(0, KEY, 1)
    assert books.drop(0, KEY) == [KEY]


def test_what_a_dead_process_sent_may_still_arrive(books: Holdings):
    books.hold(1, KEY)
    books.lend(1, KEY, 2)
    assert books.gone(1) == []
    assert books.took(2, KEY, 1) == []
    assert books.mourned(2, 1) == []
    assert books.drop(2, KEY) == [KEY]


def test_what_a_dead_process_sent_and_never_arrived_is_free_once_it_cannot(books: Holdings):
    books.hold(1, KEY)
    books.lend(1, KEY, 2)
    books.gone(1)
    assert books.mourned(2, 1) == [KEY]


class World:
    """Processes that hold, send and drop one share; each tells the books in order, the books hear in any order."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.books = Holdings(0)
        self.alive = {0, 1, 2}
        self.lines = {number: deque([("hold", KEY)] if number == 0 else []) for number in range(3)}
        self.held = [1, 0, 0]
        self.coming: list[tuple[int, int]] = []
        self.freed = False
        for number in (1, 2):
            self.books.join(number)
        self.hear(0)

    def hear(self, number: int) -> None:
        if self.lines[number]:
            what, *args = self.lines[number].popleft()
            self.note(getattr(self.books, what)(number, *args))

    def note(self, freed: list[tuple[int, int]]) -> None:
        if freed:
            assert not self.freed, "freed twice"
            assert not any(self.held), "somebody holds it"
            assert not self.coming, "it is under way"
            self.freed = True

    def step(self) -> None:
        number = self.random.randrange(3)
        what = self.random.choice(["hear", "hear", "send", "send", "arrive", "arrive", "drop", "die"])
        if what == "hear":
            self.hear(number)
        elif number in self.alive:
            getattr(self, what)(number)

    def send(self, number: int) -> None:
        receiver = self.random.randrange(3)
        if self.held[number] and receiver != number:
            self.lines[number].append(("lend", KEY, receiver))
            if receiver in self.alive:
                self.coming.append((number, receiver))

    def arrive(self, number: int) -> None:
        for sender, receiver in self.coming:
            if receiver == number:
                self.coming.remove((sender, receiver))
                self.held[number] += 1
                self.lines[number].append(("took", KEY, sender))
                return

    def drop(self, number: int) -> None:
        if self.held[number]:
            self.held[number] -= 1
            self.lines[number].append(("drop", KEY))

    def die(self, number: int) -> None:
        if number == 0 or self.random.random() < 0.8:
            return
        self.alive.discard(number)
        self.held[number] = 0
        lost = {(s, r) for s, r in self.coming if s == number and self.random.random() < 0.5}
        self.coming = [way for way in self.coming if way[1] != number and way not in lost]
        while self.lines[number]:  # what it had said is read before it is buried
            self.hear(number)
        self.note(self.books.gone(number))

    def end(self) -> None:
        for number in self.alive:
            while any(receiver == number for _, receiver in self.coming):
                self.arrive(number)
            while self.held[number]:
                self.drop(number)
        for number in self.alive:
            self.lines[number] += [("mourned", dead) for dead in {0, 1, 2} - self.alive]
        while any(self.lines.values()):
            self.hear(self.random.randrange(3))


@given(st.integers(0, 10**9), st.integers(0, 60))
def test_never_too_early_and_always_in_the_end(seed: int, steps: int):
    world = World(seed)
    for _ in range(steps):
        world.step()
    world.end()

    assert world.freed
    assert KEY not in world.books
