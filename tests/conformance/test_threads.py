"""Any public function may be called from any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from actors_for_tests import Account, Counter, add
from strays import PATIENCE

from actorrl import actors, as_completed, fetch, get_actor, kill, startat, stop, wait, watch


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """The results of `work(0..count-1)`, each in a thread of its own."""
    results: dict[int, Any] = {}
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            results[number] = work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]
    return [results[number] for number in range(count)]


@pytest.mark.parametrize("place", [None, 1])
def test_spawning_calling_finding_watching_and_stopping(engine: str, place: int | None):
    def life(number: int) -> int:
        name = f"thread {number} {place}"
        ref = startat(place, name=name)(Counter)(number)
        assert get_actor(name) == ref
        watched = watch(ref)
        total = fetch(add(ref, 10))
        done, _ = wait([add(ref, 1), add(ref, 1)], num_returns=2, timeout=PATIENCE)
        assert len(list(as_completed(done, timeout=PATIENCE))) == 2
        assert len(actors()) >= 1
        stop(ref)
        assert watched.result(timeout=PATIENCE) is not None
        return total

    assert in_threads(5, life) == [10, 11, 12, 13, 14]


def test_one_actor_used_by_many_threads(engine: str):
    account = Account.remote(0)

    def work(_: int) -> int:
        for _ in range(30):
            account.add.tell(1)
        return fetch([account.add(1) for _ in range(30)])[-1]

    assert max(in_threads(6, work)) == 360
    stop(account)


def test_killing_while_others_call(engine: str):
    account = Account.options(on_failure="ignore").remote(0)

    def work(number: int) -> str:
        if number == 0:
            fetch(account.add(1))
            kill(account)
            return "killed"
        while True:
            error = account.add(1).exception(timeout=PATIENCE)
            if error is not None:
                return type(error).__name__

    assert in_threads(4, work) == ["killed", "ActorDied", "ActorDied", "ActorDied"]


def test_a_ref_made_in_a_thread_is_used_in_another(engine: str):
    (ref,) = in_threads(1, lambda _: Account.remote(5))

    assert fetch(ref.add(1)) == 6
    stop(ref)


def test_a_future_made_in_a_thread_is_fetched_in_another(engine: str):
    account = Account.remote(1)
    (future,) = in_threads(1, lambda _: account.add(1))

    assert fetch(future) == 2
    stop(account)
