"""Actors that die: every pending and later call says so, within a second, and says how and where."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from actors_for_tests import Account, Caller, Fails, Fragile, Log, Where
from engines import only_processes
from gates import Gate
from strays import PATIENCE, eventually

from actorrl import ActorRef, as_completed, errors, fetch, kill, startat, stop, wait

LIMIT = 1.0  # seconds, the contract's
pytestmark = only_processes


@pytest.fixture
def where(engine: str) -> Iterator[ActorRef[Where]]:
    """An actor whose death is expected, and that lives: a process takes longer to start than its death to be told."""
    ref = startat(None, name="doomed", on_failure="ignore")(Where)()
    fetch(ref.pid())
    yield ref
    kill(ref)


def died(future: Any, since: float | None = None) -> errors.ActorDied:
    """The ActorDied that `future` fails with, within the limit since then (now, unless said otherwise)."""
    since = time.monotonic() if since is None else since
    with pytest.raises(errors.ActorDied) as caught:
        fetch(future, timeout=PATIENCE)
    assert time.monotonic() - since < LIMIT
    return caught.value


DEATHS: dict[str, tuple[Callable[[Any], Any], int | None, str | None]] = {
    "SIGKILL": (lambda ref: ref.killed(signal.SIGKILL), None, "SIGKILL"),
    "SIGSEGV": (lambda ref: ref.killed(signal.SIGSEGV), None, "SIGSEGV"),
    "SIGTERM": (lambda ref: ref.killed(signal.SIGTERM), None, "SIGTERM"),
    "os._exit(7)": (lambda ref: ref.exit(7), 7, None),
    "os._exit(0)": (lambda ref: ref.exit(0), 0, None),
    "sys.exit(5)": (lambda ref: ref.leave(5), 5, None),
    "sys.exit()": (lambda ref: ref.leave(None), 0, None),
    "sys.exit('text')": (lambda ref: ref.leave("good bye"), 1, None),
}


@pytest.mark.parametrize("how", DEATHS)
def test_a_death_in_a_call_says_class_pid_exit_code_or_signal_and_the_call(where: ActorRef[Where], how: str):
    act, exitcode, signum = DEATHS[how]
    pid = fetch(where.pid())
    error = died(act(where))

    assert error.name == "doomed"
    assert "Where" in str(error.cls)
    assert error.pid == pid
    assert error.call and error.call.rpartition(".")[2] in ("killed", "exit", "leave")
    assert error.started is True
    if signum is None:
        assert error.exitcode == exitcode
        assert error.signal is None
    else:
        assert error.signal in (signum, getattr(signal, signum))
        assert error.exitcode in (None, -getattr(signal, signum))
    text = str(error)
    assert "Where" in text
    assert str(pid) in text
    assert (signum or str(exitcode)) in text


def test_killed_from_outside_in_the_middle_of_a_call(where: ActorRef[Where], gate: Gate):
    pid = fetch(where.pid())
    running, queued = where.wait(gate), [where.pid() for _ in range(3)]
    gate.entered()
    os.kill(pid, signal.SIGKILL)
    since = time.monotonic()

    error = died(running, since)
    assert error.started is True
    assert "wait" in error.call
    for future in queued:
        error = died(future, since)
        assert error.started is False
        assert "pid" in error.call


def test_killed_from_outside_while_idle(where: ActorRef[Where]):
    pid = fetch(where.pid())
    os.kill(pid, signal.SIGKILL)
    since = time.monotonic()
    error = died(where.pid(), since)

    assert error.pid == pid
    assert error.signal in ("SIGKILL", signal.SIGKILL)
    assert error.started is not True


def test_every_later_call_fails_as_not_started(where: ActorRef[Where]):
    died(where.exit(3))
    for _ in range(3):
        error = died(where.pid())
        assert error.started is False
        assert error.exitcode == 3


@pytest.mark.parametrize("place", [None, 5])
def test_an_exception_in_the_constructor(engine: str, gate: Gate, place: int | None):
    ref = startat(place, on_failure="ignore")(Fragile)(gate)
    pending = ref.ok()
    gate.entered()
    gate.open()

    for future in (pending, ref.ok()):
        error = died(future)
        assert "Fragile" in str(error.cls)
        assert error.started is False
        assert "born broken" in str(error) + str(error.__cause__)


def test_a_constructor_that_kills_its_process(engine: str, gate: Gate):
    class Kamikaze:
        def __init__(self) -> None:
            gate.through()
            os._exit(9)

        def ok(self) -> str:
            return "ok"

    ref = startat(None, on_failure="ignore")(Kamikaze)()
    pending = ref.ok()
    gate.entered()
    gate.open()
    error = died(pending)

    assert error.exitcode == 9
    assert "Kamikaze" in str(error.cls)
    assert error.started is False


def test_a_constructor_that_exits(engine: str, gate: Gate):
    class Leaves:
        def __init__(self) -> None:
            gate.through()
            raise SystemExit(4)

        def ok(self) -> str:
            return "ok"

    ref = startat(None, on_failure="ignore")(Leaves)()
    pending = ref.ok()
    gate.entered()
    gate.open()

    assert died(pending).exitcode == 4


def test_stderr_is_an_attribute_of_the_error(where: ActorRef[Where]):
    assert isinstance(died(where.complain("my last words", 3)).stderr, str)


def test_everyone_who_waits_is_told(where: ActorRef[Where], gate: Gate):
    pid = fetch(where.pid())
    running, queued = where.wait(gate), where.pid()
    gate.entered()

    async def awaits() -> None:
        await queued

    ways: list[Callable[[], Any]] = [
        lambda: fetch(running),
        lambda: fetch([running, queued]),
        lambda: queued.result(),
        lambda: fetch(wait([running, queued], num_returns=2)[0]),
        lambda: [future.result() for future in as_completed([running, queued])],
        lambda: [future.result() for future in concurrent.futures.as_completed([queued])],
        lambda: asyncio.run(awaits()),
    ]
    told: list[bool] = []
    queued.add_done_callback(lambda done: told.append(isinstance(done.exception(), errors.ActorDied)))
    with concurrent.futures.ThreadPoolExecutor(len(ways)) as pool:
        waiting = [pool.submit(way) for way in ways]
        os.kill(pid, signal.SIGKILL)
        since = time.monotonic()
        for one in waiting:
            assert isinstance(one.exception(timeout=PATIENCE), errors.ActorDied)
        assert time.monotonic() - since < LIMIT
    eventually(lambda: told == [True], within=LIMIT)


def test_hundreds_of_pending_calls_all_fail(where: ActorRef[Where], gate: Gate):
    pid = fetch(where.pid())
    futures = [where.wait(gate)] + [where.pid() for _ in range(500)]
    gate.entered()
    os.kill(pid, signal.SIGKILL)
    since = time.monotonic()

    done, pending = wait(futures, num_returns=len(futures), timeout=PATIENCE)
    assert time.monotonic() - since < LIMIT
    assert pending == []
    assert [future.exception().started for future in done] == [True] + [False] * 500


def test_the_others_live_on(where: ActorRef[Where]):
    other = Account.remote(1)
    died(where.killed())

    assert fetch(other.add(1), timeout=PATIENCE) == 2
    stop(other)


def test_an_actor_that_waits_for_the_dead_one_is_told(where: ActorRef[Where], gate: Gate):
    caller = startat(None, Caller, where)
    pid = fetch(where.pid())
    asking = caller.ask("wait", gate)
    gate.entered()
    os.kill(pid, signal.SIGKILL)

    assert died(asking).pid == pid
    assert fetch(caller.ok(), timeout=PATIENCE) == "ok"
    stop(caller)


def test_the_callee_of_a_dead_caller_goes_on(engine: str, gate: Gate):
    where = startat(None, Where)
    caller = startat(None, on_failure="ignore")(Caller)(where)
    asking = caller.ask("wait", gate)
    gate.entered()
    kill(caller)
    died(asking)
    gate.open()

    assert fetch(where.pid(), timeout=PATIENCE) > 0
    stop(where)


class Forks(Where):
    """Has children that keep its file descriptors open when it dies."""

    def fork(self) -> int:
        pid = os.fork()
        if pid == 0:
            signal.pause()
        return pid

    def popen(self) -> int:
        self.child = subprocess.Popen(["sleep", "600"], close_fds=False)
        return self.child.pid


@pytest.mark.parametrize("method", ["fork", "popen"])
def test_an_actor_with_a_living_child_of_its_own(engine: str, gate: Gate, method: str):
    ref = startat(None, on_failure="ignore")(Forks)()
    pid, child = fetch(ref.pid()), fetch(getattr(ref, method)())
    waiting = ref.wait(gate)
    gate.entered()
    try:
        os.kill(pid, signal.SIGKILL)
        assert died(waiting).signal in ("SIGKILL", signal.SIGKILL)
    finally:
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            pass


def test_a_stopped_process_is_not_a_dead_one(where: ActorRef[Where]):
    pid = fetch(where.pid())
    os.kill(pid, signal.SIGSTOP)
    try:
        future = where.pid()
        with pytest.raises(TimeoutError):
            fetch(future, timeout=0.3)
    finally:
        os.kill(pid, signal.SIGCONT)

    assert fetch(future, timeout=PATIENCE) == pid


def test_killed_while_a_large_message_is_under_way(where: ActorRef[Where], gate: Gate):
    log = startat(None, on_failure="ignore")(Log)()
    blocked = log.wait(gate)
    gate.entered()
    futures = [log.sized(i, bytes(8_000_000)) for i in range(5)]
    kill(log)

    for future in [blocked, *futures]:
        died(future)


def test_killed_at_once_after_its_spawn(engine: str):
    for _ in range(3):
        ref = startat(None, on_failure="ignore")(Where)()
        future = ref.pid()
        kill(ref)
        done, _ = wait([future], timeout=PATIENCE)
        assert done == [future]
        assert isinstance(future.exception(), errors.ActorDied | None)


def test_kill_at_a_shared_place_ends_its_other_actors_and_that_is_no_orderly_end(engine: str):
    target = startat(5, on_failure="ignore")(Where)()
    beside, elsewhere = startat(5, name="beside")(Where)(), startat(6, Where)
    fetch([target.pid(), beside.pid()])
    kill(target)

    told: list[errors.ActorDied] = []

    def owner_is_told() -> bool:
        try:
            fetch(elsewhere.pid(), timeout=PATIENCE)
        except errors.ActorDied as error:
            told.append(error)
        return bool(told)

    eventually(owner_is_told)
    assert told[0].name == "beside"
    assert died(beside.pid()).started is False
    assert fetch(elsewhere.pid(), timeout=PATIENCE) > 0
    stop(elsewhere)


def test_two_deaths_at_once(engine: str, gate: Gate):
    refs = [startat(None, on_failure="ignore")(Where)() for _ in range(2)]
    pids = fetch([ref.pid() for ref in refs])
    futures = [ref.wait(gate) for ref in refs]
    gate.entered()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)

    assert [died(future).pid for future in futures] == pids


def test_an_exception_in_a_handler_never_ends_the_actor(engine: str):
    fails = startat(None, Fails)
    with pytest.raises(ValueError):
        fetch(fails.with_value("x"))

    assert fetch(fails.ok(), timeout=PATIENCE) == "ok"
    stop(fails)


def test_calls_from_many_threads_all_end_when_the_actor_dies(where: ActorRef[Where]):
    pid, results = fetch(where.pid()), []

    def work() -> None:
        while True:
            try:
                fetch(where.pid(), timeout=PATIENCE)
            except errors.ActorDied as error:
                results.append(error)
                return

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    os.kill(pid, signal.SIGKILL)
    for thread in threads:
        thread.join(10)

    assert len(results) == 4
