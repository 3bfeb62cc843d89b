"""Actors that die and are started again, and how their tests follow them."""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from gates import Gate
from strays import PATIENCE

from actorrl import errors, fetch, startat


class Life:
    """Counts, draws, waits, spawns, and dies in every way."""

    def __init__(self, value: int = 0) -> None:
        self.value = value
        self.drawn = random.random()

    def add(self, n: int) -> int:
        self.value += n
        return self.value

    def draw(self) -> float:
        return self.drawn

    def pid(self) -> int:
        return os.getpid()

    def wait(self, gate: Gate) -> None:
        gate.through()

    def fail(self) -> None:
        raise ValueError("no")

    def leave(self, code: Any = 3) -> None:
        sys.exit(code)

    def exit(self, code: int = 7) -> None:
        os._exit(code)

    def killed(self, number: int = signal.SIGKILL) -> None:
        os.kill(os.getpid(), number)

    def spawn(self, place: int | None, cls: Any, *args: Any, **options: Any) -> Any:
        return startat(place, **options)(cls)(*args)

    def ask(self, ref: Any, method: str, *args: Any) -> Any:
        return fetch(getattr(ref, method)(*args))


class Saved(Life):
    """Says what to keep of it, and notes how often it was asked."""

    asked = 0

    def get_state(self) -> int:
        self.asked += 1
        return self.value

    def set_state(self, state: int) -> None:
        self.value = state

    def times_asked(self) -> int:
        return self.asked


class Attempts(Life):
    """A constructor that fails at some of its attempts, each with an error of its own."""

    def __init__(self, directory: str, failing: tuple[int, ...]) -> None:
        super().__init__()
        number = len(os.listdir(directory))
        (Path(directory) / str(number)).touch()
        if number in failing:
            raise ValueError(f"attempt {number}")


def died(future: Any) -> errors.ActorDied:
    """The ActorDied that the call fails with."""
    with pytest.raises(errors.ActorDied) as caught:
        fetch(future, timeout=PATIENCE)
    return caught.value


def answer(ref: Any, method: str, *args: Any) -> Any:
    """The answer of a call, sent again where it had reached an incarnation that was gone and had not started."""
    while True:
        try:
            return fetch(getattr(ref, method)(*args), timeout=PATIENCE)
        except errors.ActorDied as error:
            assert error.started is not True
