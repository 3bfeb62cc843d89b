"""Batches: consecutive queued calls of one method, taken together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from engines import only_inline, only_processes
from gates import Gate
from strays import PATIENCE

from actorrl import ActorRef, batched, current, fetch, startat, stop


class Server:
    def __init__(self) -> None:
        self.batches: list[Any] = []

    @batched(max_size=64)
    def double(self, numbers: list[int]) -> list[int]:
        assert isinstance(numbers, list)
        self.batches.append(list(numbers))
        return [2 * n for n in numbers]

    @batched(max_size=4)
    def small(self, numbers: list[int]) -> list[int]:
        self.batches.append(len(numbers))
        return numbers

    @batched(max_size=8)
    def pair(self, a: list[int], b: list[str]) -> list[tuple[int, str]]:
        assert len(a) == len(b)
        return list(zip(a, b, strict=True))

    @batched(max_size=8)
    def picky(self, numbers: list[int]) -> list[Any]:
        return [ValueError(f"no {n}") if n % 2 else n for n in numbers]

    @batched(max_size=8)
    def short(self, numbers: list[int]) -> list[int]:
        return [*numbers, 0]

    @batched(max_size=8)
    def broken(self, numbers: list[int]) -> list[int]:
        raise KeyError("all of them")

    @batched(max_size=8)
    def array(self, numbers: list[int]) -> np.ndarray:
        return np.asarray(numbers) * 0.5

    @batched()
    def default(self, numbers: list[int]) -> list[int]:
        return numbers

    @batched(max_size=2, max_wait=0.05)
    def patient(self, numbers: list[int]) -> list[int]:
        self.batches.append(len(numbers))
        return numbers

    def plain(self, item: Any) -> Any:
        self.batches.append(item)
        return item

    def seen(self) -> list[Any]:
        return self.batches

    def wait(self, gate: Gate) -> None:
        gate.through()


@pytest.fixture
def server(engine: str, gate: Gate) -> Iterator[ActorRef[Server]]:
    ref = startat(None, Server)
    yield ref
    gate.open()
    stop(ref)


def test_on_a_plain_object_it_is_called_as_written_with_lists():
    server = Server()

    assert server.double([1, 2, 3]) == [2, 4, 6]
    assert server.pair([1], ["a"]) == [(1, "a")]
    assert server.short([1]) == [1, 0]


def test_each_caller_gets_its_own_entry(server: ActorRef[Server]):
    assert fetch([server.double(n) for n in range(10)]) == [2 * n for n in range(10)]


@only_processes
def test_a_batch_is_the_queued_calls_of_the_method(server: ActorRef[Server], gate: Gate):
    server.wait.tell(gate)
    futures = [server.double(n) for n in range(10)]
    gate.entered()
    gate.open()

    assert fetch(futures) == [2 * n for n in range(10)]
    assert fetch(server.seen()) == [list(range(10))]


@only_processes
def test_a_batch_is_at_most_max_size(server: ActorRef[Server], gate: Gate):
    server.wait.tell(gate)
    futures = [server.small(n) for n in range(10)]
    gate.entered()
    gate.open()

    assert fetch(futures) == list(range(10))
    assert fetch(server.seen()) == [4, 4, 2]


@only_processes
def test_a_batch_is_consecutive_and_never_overtakes(server: ActorRef[Server], gate: Gate):
    server.wait.tell(gate)
    futures = [
        server.double(1),
        server.double(2),
        server.plain("between"),
        server.double(3),
        server.small(9),
        server.double(4),
        server.double(5),
    ]
    gate.entered()
    gate.open()

    assert fetch(futures) == [2, 4, "between", 6, 9, 8, 10]
    assert fetch(server.seen()) == [[1, 2], "between", [3], 1, [4, 5]]


@only_processes
def test_tells_are_part_of_a_batch(server: ActorRef[Server], gate: Gate):
    server.wait.tell(gate)
    server.double.tell(1)
    future = server.double(2)
    server.double.tell(3)
    gate.entered()
    gate.open()

    assert fetch(future) == 4
    assert [n for batch in fetch(server.seen()) for n in batch] == [1, 2, 3]


def test_one_list_per_parameter(server: ActorRef[Server]):
    futures = [server.pair(n, f"{n}") for n in range(3)] + [server.pair(9, b="nine"), server.pair(b="ten", a=10)]

    assert [tuple(pair) for pair in fetch(futures)] == [(0, "0"), (1, "1"), (2, "2"), (9, "nine"), (10, "ten")]


def test_an_exception_instance_fails_that_call_only(server: ActorRef[Server]):
    futures = [server.picky(n) for n in range(4)]

    assert fetch(futures[::2]) == [0, 2]
    for n in (1, 3):
        with pytest.raises(ValueError, match=f"no {n}"):
            fetch(futures[n])


def test_another_length_fails_all_with_value_error(server: ActorRef[Server]):
    futures = [server.short(n) for n in range(3)]
    for future in futures:
        with pytest.raises(ValueError, match="short"):
            fetch(future)
    assert fetch(server.double(1)) == 2


def test_an_error_of_the_method_fails_all(server: ActorRef[Server]):
    futures = [server.broken(n) for n in range(3)]
    for future in futures:
        with pytest.raises(KeyError, match="all of them"):
            fetch(future)
    assert fetch(server.double(1)) == 2


def test_an_array_is_a_sequence(server: ActorRef[Server]):
    assert [float(x) for x in fetch([server.array(n) for n in range(4)])] == [0, 0.5, 1, 1.5]


def test_batched_needs_no_options(server: ActorRef[Server]):
    assert fetch([server.default(n) for n in range(3)]) == [0, 1, 2]


def test_a_lone_call_does_not_wait_for_company_beyond_max_wait(server: ActorRef[Server]):
    assert fetch(server.patient(1), timeout=PATIENCE) == 1
    assert fetch(server.seen()) == [1]


@only_processes
def test_a_cancelled_call_is_left_out(server: ActorRef[Server], gate: Gate):
    server.wait.tell(gate)
    futures = [server.double(n) for n in range(4)]
    gate.entered()
    assert futures[2].cancel()
    gate.open()

    assert fetch([futures[0], futures[1], futures[3]]) == [0, 2, 6]
    assert [n for batch in fetch(server.seen()) for n in batch] == [0, 1, 3]


@only_processes
def test_calls_of_several_actors_share_a_batch(server: ActorRef[Server], gate: Gate):
    class Client:
        def __init__(self, server: Any) -> None:
            self.server = server

        def send(self, n: int) -> None:
            self.future = self.server.double(n)

        def receive(self) -> int:
            return fetch(self.future)

    clients = [startat(place, Client, server) for place in (0, 0, None)]
    server.wait.tell(gate)
    gate.entered()
    fetch([client.send(n) for n, client in enumerate(clients)])
    mine = server.double(7)
    gate.open()

    assert fetch([client.receive() for client in clients]) == [0, 2, 4]
    assert fetch(mine) == 14
    assert sorted(n for batch in fetch(server.seen()) for n in batch) == [0, 1, 2, 7]
    for client in clients:
        stop(client)


@only_processes
def test_a_burst_of_64_calls_of_8_actors_runs_the_handler_a_few_times(server: ActorRef[Server], gate: Gate):
    class Client:
        def __init__(self, server: Any) -> None:
            self.server = server

        def send(self, numbers: list[int]) -> None:
            self.futures = [self.server.double(n) for n in numbers]

        def receive(self) -> list[int]:
            return fetch(self.futures)

    clients = [startat(None, Client, server) for _ in range(8)]
    server.wait.tell(gate)
    gate.entered()
    fetch([client.send(list(range(8 * n, 8 * n + 8))) for n, client in enumerate(clients)])
    gate.open()

    answers = fetch([client.receive() for client in clients])
    assert [n for mine in answers for n in mine] == list(range(0, 128, 2))
    batches = fetch(server.seen())
    assert sorted(n for batch in batches for n in batch) == list(range(64))
    assert len(batches) <= 8, "each caller's calls travel together, and what has arrived is one batch"
    for client in clients:
        stop(client)


@only_inline
def test_inline_what_a_handler_queues_is_one_batch(engine: str):
    class Busy(Server):
        def queue(self, n: int) -> None:
            self.futures = [current().double(i) for i in range(n)]

        def results(self) -> list[int]:
            return fetch(self.futures)

    ref = startat(0, Busy)
    fetch(ref.queue(5))

    assert fetch(ref.results()) == [0, 2, 4, 6, 8]
    assert [n for batch in fetch(ref.seen()) for n in batch] == list(range(5))
    stop(ref)


def test_wrong_arguments_of_one_call_do_not_fail_the_others(server: ActorRef[Server]):
    good, bad = server.double(1), server.double()

    assert fetch(good) == 2
    with pytest.raises(TypeError):
        fetch(bad)
