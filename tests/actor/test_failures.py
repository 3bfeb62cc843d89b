"""Failures nobody could receive: kept for their owner, delivered once, and not at all where somebody received them."""

from __future__ import annotations

import threading

from actorrl.actor.failures import Failures


def error(text: str) -> ValueError:
    return ValueError(text)


def test_failures_come_in_order_once_each_and_to_their_owner():
    box = Failures()
    assert not box.any
    for number in range(3):
        box.add(7, 1, None, lambda number=number: error(f"{number}"))
    box.add(0, 2, None, lambda: error("the program's"))

    assert box.any
    assert [str(box.take(7)) for _ in range(3)] == ["0", "1", "2"]
    assert box.take(7) is None
    assert box.any
    assert str(box.take(0)) == "the program's"
    assert not box.any


def test_a_failure_told_twice_is_kept_once():
    box = Failures()
    for _ in range(2):
        box.add(0, 1, (1, 5), lambda: error("told on two ways"))
    assert box.take(0) is not None
    assert box.take(0) is None


def test_a_failure_told_again_after_it_was_taken_is_not_kept_again():
    box = Failures()
    box.add(0, 1, (1, 5), lambda: error("once"))
    assert box.take(0) is not None
    box.add(0, 1, (1, 5), lambda: error("once"))

    assert box.take(0) is None
    assert not box.any


def test_failures_of_one_actor_with_different_numbers_are_different():
    box = Failures()
    for number in (1, 2):
        for _ in range(2):
            box.add(0, 1, (1, number), lambda number=number: error(f"{number}"))

    assert [str(box.take(0)), str(box.take(0)), box.take(0)] == ["1", "2", None]


def test_a_claimed_death_is_taken_back_and_errors_of_tells_stay():
    box = Failures()
    box.add(0, -3, None, lambda: error("the death of 3"))
    box.add(0, 3, (3, 1), lambda: error("a tell of 3"))
    box.add(0, -4, None, lambda: error("the death of 4"))
    box.claim(3)

    assert (box.claimed(3), box.claimed(4)) == (True, False)
    assert [str(box.take(0)), str(box.take(0)), box.take(0)] == ["a tell of 3", "the death of 4", None]


def test_nothing_is_remembered_of_what_was_told_twice():
    box = Failures()
    for number in range(1000):
        for _ in range(2):
            box.add(0, 1, (1, number), lambda: error("x"))
        box.take(0)

    assert box._told == set()


def test_many_threads_deliver_each_failure_once():
    box = Failures()
    taken: list[str] = []
    start = threading.Barrier(6)

    def tell(first: int) -> None:
        start.wait(10)
        for number in range(200):
            box.add(0, 1, (1, number), lambda number=number: error(f"{number}"))

    def take() -> None:
        start.wait(10)
        while len(taken) < 200 and not done.is_set():
            found = box.take(0)
            if found is not None:
                taken.append(str(found))

    done = threading.Event()
    tellers = [threading.Thread(target=tell, args=(number,)) for number in range(2)]
    takers = [threading.Thread(target=take) for _ in range(4)]
    for thread in tellers + takers:
        thread.start()
    for thread in tellers:
        thread.join(10)
    done.set()
    for thread in takers:
        thread.join(10)
    while (left := box.take(0)) is not None:
        taken.append(str(left))

    assert sorted(taken, key=int) == [str(number) for number in range(200)]
