"""Copies of what users hand in, and random numbers that are nobody else's. `train`, the check and evaluation call it.

A copy keeps its class: pickling a class of `__main__` by value would make a second class, and set the attributes
of the first one again.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from actorrl.actor import seeds
from actorrl.actor.codec import decode, encode

T = TypeVar("T")


def copy_of(thing: T) -> T:
    """A copy by pickling, as a message to an actor would make it."""
    encoded = encode(thing).sealed()
    return decode(encoded.data, encoded.buffers)


class OwnRandomness:
    """The global generators (`random`, `numpy.random`, torch) as one role sees them, apart from everybody else's.

    Inside `with own:` the globals are the role's; outside they are what they were. Roles that run in one process
    then draw what they would draw in processes of their own.

    Args:
        sequence: where the role's numbers come from.
    """

    def __init__(self, sequence: np.random.SeedSequence) -> None:
        outside = seeds.save()
        seed_globals(sequence)
        self._inside = seeds.save()
        seeds.load(outside)
        self._outside: dict[str, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        """Where the role's generators stand; asked for from outside."""
        return dict(self._inside)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._inside = {**self._inside, **state}

    def __enter__(self) -> None:
        self._outside = seeds.save()
        seeds.load(self._inside)

    def __exit__(self, *_: object) -> None:
        self._inside = seeds.save()
        seeds.load(self._outside)


def seed_globals(sequence: np.random.SeedSequence) -> None:
    """Seed `random`, `numpy.random` and torch (where somebody imported it) for this process."""
    words = sequence.generate_state(8, np.uint32)
    random.seed(words.tobytes())
    np.random.seed(words)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.random.default_generator.manual_seed(int(words[0]))


@contextmanager
def randomness_untouched() -> Iterator[None]:
    """Whatever is drawn from the global generators inside, they go on as if it had not been."""
    before = seeds.save()
    try:
        yield
    finally:
        seeds.load(before)
