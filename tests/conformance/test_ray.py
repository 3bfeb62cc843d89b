"""The engine "ray", where Ray is installed: the core of the contract in a minute. `make ray` runs all of it there."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from actors_for_tests import Account, Counter, Log, Where, add
from gates import Gate
from strays import PATIENCE

from actorrl import ActorRef, actors, batched, errors, fetch, get_actor, kill, share, startat, stop, wait, watch

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: make ray installs it"),
    pytest.mark.parametrize("engine", ["ray"], indirect=True, scope="module"),
    pytest.mark.slow,
]


class Desk:
    """What the tests below ask for, in one process: to start another takes seconds."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    @batched(max_size=8)
    def double(self, items: list[int]) -> list[int]:
        self.sizes.append(len(items))
        return [2 * item for item in items]

    def seen(self) -> list[int]:
        return self.sizes

    def wait(self, gate: Gate) -> None:
        gate.through()

    def change(self, array: np.ndarray) -> np.ndarray:
        array += 1
        return array

    def started(self, code: int) -> int:
        return subprocess.run([sys.executable, "-c", f"raise SystemExit({code})"]).returncode

    def writeable(self, shared: dict[str, np.ndarray]) -> tuple[bool, float]:
        return shared["a"].flags.writeable, float(shared["a"].sum())


@pytest.fixture(scope="module")
def desk(engine: str) -> Iterator[ActorRef[Desk]]:
    ref = startat(0, name="desk")(Desk)()
    yield ref
    stop(ref)


def test_what_the_program_or_an_actor_starts_ends_with_its_own_exit_code(desk: ActorRef[Desk]):
    assert subprocess.run([sys.executable, "-c", "raise SystemExit(3)"]).returncode == 3
    assert fetch(desk.started(4)) == 4


def test_structs_functions_tells_and_errors_at_a_place_of_several(engine: str):
    counter, account = startat(0, Counter, 1), startat(0, Account, 5)

    add.tell(counter, 1)
    assert fetch([add(counter, n) for n in (10, 20)]) == [12, 32]
    with pytest.raises(ValueError, match=r"^too little$") as caught:
        fetch(account.fail("too little"))
    assert "in fail" in str(caught.value.__cause__)
    account.fail.tell("nobody asked")
    with pytest.raises(ValueError, match=r"^nobody asked$"):
        stop(account)


def test_arrays_arrive_private_and_shares_as_references(desk: ActorRef[Desk]):
    for size in (10, 10_000, 300_000):
        array = np.zeros(size, np.float32)
        changed = fetch(desk.change(array))
        assert not array.any()
        assert changed.flags.writeable
        assert (changed == 1).all()

    assert fetch(desk.writeable(share({"a": np.ones(100_000)}))) == (False, 100_000.0)


def test_what_waits_is_batched_in_order_and_a_cancelled_call_never_runs(desk: ActorRef[Desk], gate: Gate):
    blocked, beside = desk.wait(gate), startat(0, Counter)
    gate.entered()
    calls = [desk.double(n) for n in range(6)]
    assert calls[3].cancel()
    fetch(add(beside, 1))  # in the same process: what was sent there before has come
    row = next(row for row in actors() if row.name == "desk")
    assert row.state == "running"
    gate.open()

    assert fetch(blocked) is None
    assert fetch([call for call in calls if not call.cancelled()]) == [0, 2, 4, 8, 10]
    assert sum(fetch(desk.seen())) == 5


def test_a_name_finds_the_actor(desk: ActorRef[Desk]):
    assert get_actor("desk") == desk
    with pytest.raises(ValueError, match="'desk' is taken"):
        startat(None, name="desk")(Log)()


def test_a_death_fails_its_calls_and_says_what_ran(engine: str):
    where = startat(None, on_failure="ignore")(Where)()
    pid = fetch(where.pid())
    ended = watch(where)

    with pytest.raises(errors.ActorDied) as caught:
        fetch(where.exit(3), timeout=PATIENCE)

    assert (caught.value.pid, caught.value.call, caught.value.started) == (pid, "exit", True)
    assert isinstance(fetch(ended), errors.ActorDied)
    with pytest.raises(errors.ActorDied):
        fetch(where.pid())


def test_an_actor_that_died_starts_again_in_another_process(engine: str):
    where = startat(None, max_restarts=1, backoff=0.0)(Where)()
    before = fetch(where.pid())
    with pytest.raises(errors.ActorDied):
        fetch(where.killed())

    assert fetch(where.pid()) not in (before, os.getpid())
    kill(where)


def test_wait_has_those_that_are_done(engine: str, gate: Gate):
    slow, quick = startat(0, Where), startat(0, Where)

    blocked = slow.wait(gate)
    done, pending = wait([blocked, quick.pid()], timeout=PATIENCE)

    assert (len(done), pending) == (1, [blocked])
    gate.open()
    fetch(blocked)
