"""`group(refs).method(...)`: one answer for all, in their order; and what happens when one of them fails."""

from __future__ import annotations

import concurrent.futures
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from actors_for_tests import Account, Log
from engines import only_inline, only_processes
from gates import Gate
from strays import POLL, eventually

from actorrl import cancelled, current, fetch, group, kill, startat, stop, wait
from actorrl.errors import ActorDied, DeadlockError


@pytest.mark.parametrize("places", [[None] * 3, [20, 20, 21], [22, 23, 22, 23]], ids=str)
def test_the_answers_come_in_the_order_of_the_refs(engine: str, places: list[int | None]):
    accounts = [startat(place, Account, 10 * index) for index, place in enumerate(places)]

    assert fetch(group(accounts).add(1)) == [10 * index + 1 for index in range(len(places))]
    assert fetch(group(accounts).add(n=2)) == [10 * index + 3 for index in range(len(places))]
    assert fetch(group(reversed(accounts)).add(0)) == [10 * index + 3 for index in reversed(range(len(places)))]
    for account in accounts:
        stop(account)


def test_a_group_of_none_answers_with_an_empty_list(engine: str):
    future = group([]).anything(1)

    assert future.done()
    assert fetch(future) == []


def test_only_refs_make_a_group():
    with pytest.raises(TypeError, match=r"group\(\) takes ActorRefs; one of them is a int"):
        group([1])  # type: ignore[list-item]


class Keeper:
    """Keeps what it gets, to see whether it is its own."""

    def keep(self, array: Any, more: list[int]) -> int:
        self.array, self.more = array, more
        self.array[0] += 1
        self.more.append(1)
        return int(self.array[0])

    def first(self) -> tuple[int, int]:
        return int(self.array[0]), len(self.more)


@pytest.mark.parametrize("size", [4, 100_000])
def test_each_gets_arguments_of_its_own(engine: str, size: int):
    keepers = [startat(place, Keeper) for place in (25, 25, 26)]

    assert fetch(group(keepers).keep(np.zeros(size), [])) == [1, 1, 1]
    assert fetch(group(keepers).first()) == [(1, 1)] * 3
    for keeper in keepers:
        stop(keeper)


def test_it_keeps_its_place_among_the_other_messages(engine: str):
    logs = [startat(place, Log) for place in (27, 27, None)]
    for number in range(0, 30, 3):
        for log in logs:
            log.note.tell(number)
        group(logs).note.tell(number + 1)
        group(logs).note(number + 2)

    assert fetch(group(logs).everything()) == [list(range(30))] * 3
    for log in logs:
        stop(log)


class Where:
    """Waits until it is cancelled."""

    def cancelled_in(self, folder: str) -> None:
        me = Path(folder) / str(os.getpid())
        me.with_suffix(".here").touch()
        while not cancelled():
            time.sleep(POLL)
        me.with_suffix(".cancelled").touch()


class Picky:
    """Fails for one number."""

    def __init__(self, bad: int) -> None:
        self.bad = bad

    def check(self, n: int) -> int:
        if n == self.bad:
            raise ValueError(f"not {n}")
        return n


def test_the_first_error_in_order_is_raised(engine: str):
    picky = [startat(28, Picky, bad) for bad in (1, 2, 2)]

    assert fetch(group(picky).check(0)) == [0, 0, 0]
    with pytest.raises(ValueError, match="not 2"):
        fetch(group(picky).check(2))
    for one in picky:
        stop(one)


@only_processes
def test_a_death_fails_the_group(engine: str, gate: Gate):
    logs = [startat(None, Log), startat(None, on_failure="ignore")(Log)()]
    logs[1].wait.tell(gate)
    gate.entered()
    future = group(logs).everything()
    kill(logs[1])

    with pytest.raises(ActorDied):
        fetch(future)
    with pytest.raises(ActorDied):
        fetch(group(logs).everything())
    stop(logs[0])


@only_processes
def test_a_cancelled_group_call_is_told_to_all_of_them(engine: str, tmp_path: Path):
    wheres = [startat(place, Where) for place in (30, 31)]
    future = group(wheres).cancelled_in(str(tmp_path))
    eventually(lambda: len(list(tmp_path.glob("*.here"))) == 2, what="both handlers")
    assert future.cancel() is True

    with pytest.raises(concurrent.futures.CancelledError):
        fetch(future)
    eventually(lambda: len(list(tmp_path.glob("*.cancelled"))) == 2, what="both were told")
    for where in wheres:
        stop(where)


def test_it_is_a_future_like_any_other(engine: str):
    accounts = [startat(29, Account, 1) for _ in range(2)]
    future = group(accounts).add(1)
    done, rest = wait([future])

    assert (done, rest) == ([future], [])
    assert concurrent.futures.wait([future], 20).done == {future}
    assert future.result(0) == [2, 2]
    for account in accounts:
        stop(account)


@only_inline
def test_inline_a_group_that_can_only_run_later_is_a_deadlock(engine: str):
    class Narcissus:
        def gaze(self, others: Any) -> Any:
            return fetch(group([*others, current()]).look())

        def look(self) -> int:
            return 1

    first, second = startat(None, Narcissus), startat(None, Narcissus)
    with pytest.raises(DeadlockError):
        fetch(first.gaze([second]))
