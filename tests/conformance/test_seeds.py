"""Random numbers: every actor its own, the same ones for the same seed, on every engine. Systems of their own."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from engines import ENGINES

from actorrl import System, fetch, startat

pytest.importorskip("torch")


class Draws:
    def __init__(self) -> None:
        self.first = self.draw()

    def draw(self) -> tuple[float, ...]:
        return (random.random(), float(np.random.random()), float(self.torch()))

    def torch(self) -> float:
        import torch

        return torch.rand(()).item()

    def at_birth(self) -> tuple[float, ...]:
        return self.first


class Nest:
    def __init__(self) -> None:
        self.own = random.random()
        self.children = [startat(None, Draws) for _ in range(2)]

    def draws(self) -> Any:
        return self.own, fetch([child.at_birth() for child in self.children])


def births(engine: str, seed: int | None, places: list[int | None]) -> list[tuple[float, ...]]:
    with System(engine=engine, seed=seed):
        return fetch([ref.at_birth() for ref in [startat(place, Draws) for place in places]])


PLACES = [None, 1, None, 1, 2, None, 0, 1]


@pytest.mark.parametrize("engine_name", ENGINES)
def test_every_actor_draws_different_numbers_reproducibly(engine_name: str):
    first = births(engine_name, 5, PLACES)
    again = births(engine_name, 5, PLACES)
    other = births(engine_name, 6, PLACES)

    assert len({number for row in first for number in row}) == 3 * len(PLACES)
    assert first == again
    assert not set(first) & set(other)


def test_the_same_numbers_on_every_engine():
    assert births("inline", 11, PLACES) == births("processes", 11, PLACES)


@pytest.mark.parametrize("engine_name", ENGINES)
def test_without_a_seed_from_fresh_entropy(engine_name: str):
    random.seed(0)
    first = births(engine_name, None, [None, 1])
    random.seed(0)

    assert not set(first) & set(births(engine_name, None, [None, 1]))


@pytest.mark.parametrize("engine_name", ENGINES)
def test_actors_spawned_by_actors_are_seeded_too(engine_name: str):
    def nest() -> Any:
        with System(engine=engine_name, seed=3):
            return fetch([startat(None, Nest).draws() for _ in range(1)])

    (own, (a, b)) = nest()[0]

    assert len({own, *a, *b}) == 7
    assert nest() == [(own, [a, b])]


def interleaved(engine: str) -> list[Any]:
    """Two actors, each in a process of its own, that draw in turn; the driver draws too."""
    with System(engine=engine, seed=9):
        random.seed(1)
        np.random.seed(1)
        a, b = startat(None, Draws), startat(None, Draws)
        drawn: list[Any] = []
        for _ in range(3):
            drawn += [fetch(a.draw()), random.random(), fetch(b.draw()), float(np.random.random())]
        return drawn


def test_streams_are_the_actors_own_on_every_engine():
    assert interleaved("processes") == interleaved("inline")


@pytest.mark.parametrize("engine_name", ENGINES)
def test_spawning_leaves_the_drivers_own_stream_alone(engine_name: str):
    random.seed(2)
    expected = [random.random() for _ in range(3)]
    random.seed(2)
    with System(engine=engine_name, seed=0):
        fetch(startat(None, Draws).draw())
        drawn = [random.random() for _ in range(3)]

    assert drawn == expected


@pytest.mark.parametrize("engine_name", ENGINES)
def test_eight_environments_explore_differently(engine_name: str):
    gymnasium = pytest.importorskip("gymnasium")

    class Walker:
        def __init__(self) -> None:
            self.env = gymnasium.make("CartPole-v1")
            self.env.reset(seed=0)

        def walk(self) -> tuple[int, ...]:
            return tuple(random.randrange(2) for _ in range(40))

    with System(engine=engine_name, seed=0):
        walks = fetch([ref.walk() for ref in [startat(None if i % 2 else 1, Walker) for i in range(8)]])
    assert len(set(walks)) == 8
