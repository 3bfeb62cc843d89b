"""Promise 7: a program whose result depends on neither timing, pids nor death gives the same on every engine."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from engines import beside_inline

from actorrl import System, current, fetch, remote, startat, stop, wait


@dataclass
class Node:
    """An actor of a random program: it computes, draws, spawns, asks and fails."""

    name: str
    value: float = 0.0
    children: list[Any] = field(default_factory=list)

    def work(self, x: float) -> float:
        self.value = (3.1 * self.value + x + random.random() + float(np.random.random())) % 7.0
        return self.value

    def array(self, x: np.ndarray) -> np.ndarray:
        x *= self.value + 1
        return np.cumsum(x)[::-1]

    def grow(self, place: int | None) -> Any:
        child = startat(place, Node, f"{self.name}.{len(self.children)}", random.random())
        self.children.append(child)
        return child

    def gather(self) -> list[Any]:
        return [self.name, self.value, *fetch([child.gather() for child in self.children])]

    def fail(self, x: float) -> None:
        raise ValueError(f"{self.name} fails with {x + self.value}")

    def later(self, n: int) -> None:
        self.value += n
        if n:
            current().later.tell(n - 1)

    async def slowly(self, x: float) -> float:
        self.value -= x
        return self.value


@remote
def scale(node: Node, factor: float) -> float:
    node.value *= factor
    return node.value


def program(seed: int, operations: int = 60) -> list[Any]:
    """Random operations on a growing tree of actors; the list of everything that came back."""
    draw = random.Random(seed)
    nodes = [startat(None, Node, "root")]
    results: list[Any] = []
    for _ in range(operations):
        node = draw.choice(nodes)
        kind = draw.choice(["work", "array", "grow", "fail", "later", "slowly", "scale", "gather", "wait", "tell"])
        x = draw.uniform(-2, 2)
        if kind == "work":
            results.append(fetch(node.work(x)))
        elif kind == "array":
            results.append(fetch(node.array(np.full(draw.choice([3, 20_000]), x))).sum())
        elif kind == "grow" and len(nodes) < 7:
            nodes.append(fetch(node.grow(draw.choice([None, len(nodes)]))))
        elif kind == "fail":
            error = node.fail(x).exception()
            results.append((type(error).__name__, str(error)))
        elif kind == "later":
            # a loop of tells ends at a time of its own: ask until it has
            before = fetch(node.gather())[1]
            node.later.tell(3)
            while abs(fetch(node.gather())[1] - before - 6) > 1e-9:
                pass
        elif kind == "slowly":
            results.append(fetch(node.slowly(x)))
        elif kind == "scale":
            results.append(fetch(scale(node, x)))
        elif kind == "gather":
            results.append(fetch(node.gather()))
        elif kind == "wait":
            futures = [node.work(x) for _ in range(4)]
            done, pending = wait(futures, num_returns=4)
            results.append((fetch(done), len(pending)))
        elif kind == "tell":
            node.work.tell(x)
            fetch(node.slowly(0.0))  # a tell and a question by way of another actor have no order
    results.append(fetch(nodes[0].gather()))
    stop(nodes[0])
    return results


def results(engine: str) -> list[Any]:
    with System(engine=engine, seed=4):
        return [program(seed) for seed in range(5)]


@beside_inline
def test_random_programs_give_the_same_results_on_every_engine(engine_name: str):
    inline, processes = results("inline"), results(engine_name)

    assert len(str(inline)) > 1000
    assert inline == processes


def test_on_the_inline_engine_the_same_again_bit_for_bit():
    assert repr(results("inline")) == repr(results("inline"))
