"""Random numbers: every actor its own, the same ones for the same seed, on every engine."""

from __future__ import annotations

import functools
import random
from typing import Any

import numpy as np
import pytest
from engines import ENGINES, beside_inline

from actorrl import System, fetch, startat, stop

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
    """Spawns two that draw."""

    def __init__(self) -> None:
        self.first = (random.random(), float(np.random.random()), random.random())
        self.children = [startat(None, Draws) for _ in range(2)]

    def draws(self) -> list[Any]:
        return [self.first, *[fetch(child.at_birth()) for child in self.children]]


@functools.cache
def births(engine: str, seed: int | None, attempt: int = 0) -> list[Any]:
    """What actors at several places draw first, and what those draw that an actor spawns."""
    with System(engine=engine, seed=seed):
        refs = [startat(place, Draws) for place in PLACES]
        nest = startat(None, Nest)
        return [*fetch([ref.at_birth() for ref in refs]), *fetch(nest.draws())]


PLACES = [None, 1, None, 1, 2, None, 0, 1]


@pytest.mark.parametrize("engine_name", ENGINES)
def test_every_actor_draws_numbers_of_its_own(engine_name: str):
    drawn = births(engine_name, 5)

    assert len({number for row in drawn for number in row}) == 3 * (len(PLACES) + 3)


@pytest.mark.parametrize("engine_name", ENGINES)
def test_reproducibly_for_the_systems_seed(engine_name: str):
    assert births(engine_name, 5) == births(engine_name, 5, attempt=1)
    assert not set(births(engine_name, 5)) & set(births(engine_name, None))


def test_another_seed_gives_other_numbers():
    assert not set(births("inline", 5)) & set(births("inline", 6))


@beside_inline
def test_the_same_numbers_on_every_engine(engine_name: str):
    assert births("inline", 5) == births(engine_name, 5)


@pytest.mark.parametrize("engine_name", ENGINES)
def test_without_a_seed_from_fresh_entropy(engine_name: str):
    random.seed(0)
    first = births(engine_name, None)
    random.seed(0)

    assert not set(first) & set(births(engine_name, None, attempt=1))


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


@beside_inline
def test_streams_are_the_actors_own_on_every_engine(engine_name: str):
    assert interleaved(engine_name) == interleaved("inline")


def test_spawning_leaves_the_drivers_own_stream_alone(engine: str):
    random.seed(2)
    expected = [random.random() for _ in range(3)]
    random.seed(2)
    ref = startat(None, Draws)
    fetch(ref.draw())

    assert [random.random() for _ in range(3)] == expected
    stop(ref)


class Walker:
    """Explores an environment at random, as RL's explorers do."""

    def __init__(self) -> None:
        import gymnasium

        self.env = gymnasium.make("CartPole-v1")
        self.env.reset(seed=0)

    def walk(self) -> tuple[int, ...]:
        return tuple(random.randrange(2) for _ in range(40)) + tuple(np.random.randint(2, size=40).tolist())


def test_eight_environments_explore_differently(engine: str):
    pytest.importorskip("gymnasium")
    walkers = [startat(None if i % 2 else 1, Walker) for i in range(8)]

    assert len(set(fetch([walker.walk() for walker in walkers]))) == 8
    for walker in walkers:
        stop(walker)
