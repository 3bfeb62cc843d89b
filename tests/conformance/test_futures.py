"""What a Future is: one of the standard library's, awaitable, complete without anyone waiting, and not a value."""

from __future__ import annotations

import asyncio
import concurrent.futures
import operator
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from actors_for_tests import Account, Echo, Where
from engines import only_processes
from gates import Gate
from strays import PATIENCE, eventually

from actorrl import ActorRef, Future, fetch, startat, stop


@pytest.fixture
def account(engine: str) -> Iterator[ActorRef[Account]]:
    ref = Account.remote(0)
    yield ref
    stop(ref)


@pytest.fixture
def where(engine: str, gate: Gate) -> Iterator[ActorRef[Where]]:
    ref = startat(None, Where)
    yield ref
    gate.open()
    stop(ref)


def test_a_future_is_a_concurrent_futures_future(account: ActorRef[Account]):
    future = account.add(2)

    assert isinstance(future, concurrent.futures.Future)
    assert isinstance(future, Future)
    assert future.result() == 2
    assert future.exception() is None
    assert future.done()
    assert not future.running()
    assert not future.cancelled()


def test_result_raises_and_exception_returns_the_error(account: ActorRef[Account]):
    future = account.fail("told you")

    with pytest.raises(ValueError, match="told you"):
        future.result()
    assert isinstance(future.exception(), ValueError)


def test_the_standard_librarys_wait_and_as_completed_work(account: ActorRef[Account]):
    futures = [account.add(1) for _ in range(5)]
    done, pending = concurrent.futures.wait(futures, timeout=PATIENCE)
    order = list(concurrent.futures.as_completed([account.add(1) for _ in range(3)], timeout=PATIENCE))

    assert (len(done), len(pending), len(order)) == (5, 0, 3)


def test_it_is_awaitable(account: ActorRef[Account]):
    async def main() -> tuple[int, list[int]]:
        first = await account.add(1)
        return first, list(await asyncio.gather(*(asyncio.wrap_future(account.add(1)) for _ in range(3))))

    assert asyncio.run(main()) == (1, [2, 3, 4])


def test_awaiting_raises_the_error(account: ActorRef[Account]):
    async def main() -> None:
        await account.fail("awaited")

    with pytest.raises(ValueError, match="awaited"):
        asyncio.run(main())


@only_processes
def test_the_event_loop_goes_on_while_it_is_awaited(where: ActorRef[Where], gate: Gate):
    async def opener() -> None:
        while not gate_entered.is_set():
            await asyncio.sleep(0.001)
        gate.open()

    gate_entered = threading.Event()
    threading.Thread(target=lambda: (gate.entered(), gate_entered.set())).start()

    async def main() -> Any:
        value, _ = await asyncio.gather(asyncio.wrap_future(where.wait(gate, "opened")), opener())
        return value

    assert asyncio.run(main()) == "opened"


def test_it_completes_without_anyone_inside_fetch(account: ActorRef[Account]):
    future = account.add(1)

    eventually(future.done)
    assert future.result(timeout=0) == 1


def test_callbacks_get_the_future(account: ActorRef[Account]):
    got: list[Any] = []
    future = account.add(1)
    future.add_done_callback(got.append)

    eventually(lambda: got)
    assert got[0] is future


@only_processes
def test_callbacks_run_on_a_thread_of_the_runtime(where: ActorRef[Where], gate: Gate):
    threads: list[int] = []
    future = where.wait(gate, 1)
    future.add_done_callback(lambda _: threads.append(threading.get_ident()))
    gate.entered()
    gate.open()

    assert fetch(future) == 1
    eventually(lambda: threads)
    assert threads[0] != threading.get_ident()


@only_processes
def test_callbacks_run_while_nobody_waits(where: ActorRef[Where], gate: Gate):
    called = threading.Event()
    where.wait(gate).add_done_callback(lambda _: called.set())
    gate.entered()
    gate.open()

    assert called.wait(10)


def test_a_callback_may_call_an_actor(account: ActorRef[Account]):
    got: list[int] = []
    account.add(1).add_done_callback(lambda done: got.append(fetch(account.add(done.result()), timeout=PATIENCE)))

    eventually(lambda: got)
    assert got == [2]


def test_an_error_in_a_callback_hurts_nobody(account: ActorRef[Account]):
    def broken(_: object) -> None:
        raise RuntimeError("a callback of the user")

    account.add(1).add_done_callback(broken)

    assert fetch(account.add(1), timeout=PATIENCE) == 2
    assert fetch(account.add(1), timeout=PATIENCE) == 3


def test_a_future_may_be_fetched_again(account: ActorRef[Account]):
    future = account.add(1)

    assert [fetch(future), fetch(future), future.result()] == [1, 1, 1]


@only_processes
def test_many_threads_and_a_loop_wait_for_one_future(where: ActorRef[Where], gate: Gate):
    future = where.wait(gate, 7)
    got: list[int] = []
    threads = [threading.Thread(target=lambda: got.append(fetch(future, timeout=PATIENCE))) for _ in range(4)]

    async def loop() -> None:
        got.append(await future)

    threads.append(threading.Thread(target=lambda: asyncio.run(loop())))
    for thread in threads:
        thread.start()
    gate.entered()
    gate.open()
    for thread in threads:
        thread.join(20)

    assert got == [7] * 5


@pytest.mark.parametrize("dump", [pickle.dumps, lambda future: pickle.dumps([future])], ids=["bare", "nested"])
def test_a_future_cannot_be_pickled(account: ActorRef[Account], dump: Callable[[Any], Any]):
    with pytest.raises(TypeError, match="fetch"):
        dump(account.add(1))


@pytest.mark.parametrize("wrap", [lambda f: f, lambda f: [f], lambda f: {"a": (f,)}], ids=["bare", "list", "deep"])
def test_a_future_cannot_be_an_argument(account: ActorRef[Account], wrap: Callable[[Any], Any]):
    echo = startat(0, Echo)
    future = account.add(1)

    with pytest.raises(TypeError, match="fetch"):
        echo.same(wrap(future))
    with pytest.raises(TypeError, match="fetch"):
        echo.same.tell(wrap(future))
    with pytest.raises(TypeError, match="fetch"):
        startat(0, Account, wrap(future))
    stop(echo)


ARITHMETIC: dict[str, Callable[[Any], Any]] = {
    "f + 1": lambda f: f + 1,
    "1 + f": lambda f: 1 + f,
    "f - 1": lambda f: f - 1,
    "f * f": lambda f: f * f,
    "f / 2": lambda f: f / 2,
    "f // 2": lambda f: f // 2,
    "f % 2": lambda f: f % 2,
    "f ** 2": lambda f: f**2,
    "-f": operator.neg,
    "abs(f)": abs,
    "f < 1": lambda f: f < 1,
    "f >= 1": lambda f: f >= 1,
    "int(f)": int,
    "float(f)": float,
    "sum([f])": lambda f: sum([f]),
    "f[0]": lambda f: f[0],
    "array + f": lambda f: np.ones(3) + f,
    "f * array": lambda f: f * np.ones(3),
    "f += 1": lambda f: operator.iadd(f, 1),
}


@pytest.mark.parametrize("expression", ARITHMETIC)
def test_arithmetic_on_a_future_is_a_type_error_that_says_to_fetch_it_first(
    account: ActorRef[Account], expression: str
):
    future = account.add(1)

    with pytest.raises(TypeError, match="fetch"):
        ARITHMETIC[expression](future)


def test_equality_hash_and_truth_of_a_future_are_the_standard_ones(account: ActorRef[Account]):
    future, other = account.add(1), account.add(1)

    assert future == future
    assert future != other
    assert len({future, other}) == 2
    assert future


def test_thousands_of_calls_in_flight(account: ActorRef[Account]):
    assert fetch([account.add(1) for _ in range(1000)])[-1] == 1000
