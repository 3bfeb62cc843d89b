"""Actors that die are started again: who notices what, how often, and with which state."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from actors_for_tests import Caller, Echo
from engines import beside_inline, only_processes
from gates import Gate
from lives import Attempts, Life, Saved, answer, died
from strays import PATIENCE, eventually

from actorrl import System, actors, errors, fetch, get_actor, group, kill, share, startat, stop, wait, watch

AT_ONCE = {"max_restarts": 5, "backoff": 0.0}


@pytest.fixture(params=[None, 44], ids=["own process", "shared place"])
def place(request: pytest.FixtureRequest, engine: str) -> Any:
    return request.param


def row(cls: str) -> Any:
    """What `actors()` says of the newest actor of that class: a test before may have left another."""
    return [row for row in actors() if row.cls == cls][-1]


@pytest.fixture
def life(place: int | None) -> Iterator[Any]:
    """An actor that is started again at once, five times."""
    ref = startat(place, **AT_ONCE)(Life)(10)
    yield ref
    stop(ref)


def test_a_ref_stays_valid_and_the_state_begins_anew(life: Any):
    assert fetch(life.add(1)) == 11
    error = died(life.leave(3))

    assert (error.exitcode, error.started, error.call) == (3, True, "leave")
    assert fetch(life.add(1), timeout=PATIENCE) == 11


@only_processes
@pytest.mark.parametrize("way", ["exit", "killed"])
def test_however_it_dies(life: Any, way: str):
    pid = fetch(life.pid())
    died(getattr(life, way)())

    assert fetch(life.pid(), timeout=PATIENCE) != pid


@only_processes
def test_calls_already_sent_fail_and_say_whether_they_had_started(life: Any, gate: Gate):
    running, queued = life.wait(gate), [life.add(1) for _ in range(3)]
    gate.entered()
    os.kill(row("Life").pid, signal.SIGKILL)

    assert died(running).started is True
    assert [died(future).started for future in queued] == [False] * 3
    assert fetch(life.add(1), timeout=PATIENCE) == 11


def test_what_a_dead_incarnation_had_queued_does_not_run_again(life: Any):
    life.add.tell(5)
    died(life.leave())

    assert fetch(life.add(0), timeout=PATIENCE) == 10


def test_a_failing_handler_is_no_death(life: Any):
    with pytest.raises(ValueError):
        fetch(life.fail())

    assert fetch(life.add(1)) == 11
    assert row("Life").restarts == 0


def test_it_is_told_how_often_it_was_started_again(life: Any):
    for _ in range(2):
        died(life.leave())
        fetch(life.add(1), timeout=PATIENCE)

    assert row("Life").restarts == 2


def test_a_restart_is_logged(life: Any, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING, logger="actorrl"):
        died(life.leave(3))
        fetch(life.add(1), timeout=PATIENCE)
        eventually(lambda: "it starts again" in caplog.text)

    assert "Life" in caplog.text
    assert "exited with code 3" in caplog.text


def test_the_name_stays(place: int | None):
    ref = startat(place, name="phoenix", **AT_ONCE)(Life)()
    died(ref.leave())

    assert get_actor("phoenix") == ref
    assert fetch(get_actor("phoenix").add(1), timeout=PATIENCE) == 1
    with pytest.raises(ValueError, match="taken"):
        startat(place, name="phoenix")(Life)()
    stop(ref)


def test_refs_that_others_hold_lead_to_the_new_incarnation(life: Any):
    old, echo = startat(None, Caller, life), startat(None, Echo)
    assert fetch(old.ask("add", 1)) == 11
    died(life.leave())

    assert answer(old, "ask", "add", 2) == 12, "it may not have heard yet when it calls"
    new = startat(None, Caller, fetch(echo.same(life)))
    assert fetch(new.ask("add", 3), timeout=PATIENCE) == 15
    stop(old)
    stop(new)
    stop(echo)


def test_watch_completes_when_it_ends_for_good(place: int | None):
    ref = startat(place, max_restarts=1, backoff=0.0)(Life)()
    watched = watch(ref)
    died(ref.leave(1))
    fetch(ref.add(1), timeout=PATIENCE)
    assert not watched.done()
    died(ref.leave(2))

    assert isinstance(watched.result(timeout=PATIENCE), errors.ActorDied)


def test_a_loop_of_deaths_ends_with_the_first(place: int | None):
    ref = startat(place, max_restarts=2, backoff=0.0)(Life)()
    for code in (11, 12):
        assert died(ref.leave(code)).exitcode == code
    last = died(ref.leave(13))

    assert (last.exitcode, last.started) == (11, True)
    assert "the first of 3 deaths" in str(last)
    assert died(ref.add(1)).exitcode == 11


def test_a_constructor_that_fails_again_and_again_ends_with_its_first_error(place: int | None, tmp_path: Any):
    ref = startat(place, max_restarts=2, backoff=0.0, on_failure="ignore")(Attempts)(str(tmp_path), tuple(range(9)))
    reason = watch(ref).result(timeout=PATIENCE)

    assert "attempt 0" in str(reason.__cause__)
    assert len(os.listdir(tmp_path)) == 3


def test_a_constructor_that_fails_now_and_then(place: int | None, tmp_path: Any):
    ref = startat(place, **AT_ONCE)(Attempts)(str(tmp_path), (0, 2, 3))
    for restarts in (1, 4):
        eventually(lambda restarts=restarts: row("Attempts").restarts == restarts)
        assert fetch(ref.add(1), timeout=PATIENCE) == 1
        died(ref.leave())

    assert fetch(ref.add(1), timeout=PATIENCE) == 1
    stop(ref)


def test_deaths_out_of_the_window_do_not_count(place: int | None):
    ref = startat(place, max_restarts=1, restart_window=0.001, backoff=0.0)(Life)()
    for _ in range(3):
        died(ref.leave())
        assert fetch(ref.add(1), timeout=PATIENCE) == 1
        since = time.monotonic()
        eventually(lambda since=since: time.monotonic() > since + 0.002)
    stop(ref)


def test_past_its_restarts_a_death_is_a_failure(place: int | None, tmp_path: Any):
    startat(place, max_restarts=1, backoff=0.0)(Attempts)(str(tmp_path), (0, 1))

    def told() -> bool:
        try:
            fetch([])
        except errors.ActorDied as error:
            return "attempt 0" in str(error.__cause__)
        return False

    eventually(told)


def test_a_restarted_owner_starts_without_children(life: Any):
    child = fetch(life.spawn(None, Life, **AT_ONCE))
    sibling = fetch(life.spawn(46, Life, 1, **AT_ONCE))
    fetch([child.add(1), sibling.add(1)])
    gone = [watch(child), watch(sibling)]
    died(life.leave())

    assert wait(gone, num_returns=2, timeout=PATIENCE)[1] == []
    assert fetch(life.add(1), timeout=PATIENCE) == 11
    assert died(child.add(1)).started is False
    again = fetch(life.spawn(None, Life))
    assert fetch(life.ask(again, "add", 2)) == 2


def test_a_child_is_started_again_by_the_actor_that_owns_it(life: Any):
    child = fetch(life.spawn(None, Life, 5, **AT_ONCE))
    assert fetch(life.ask(child, "add", 1)) == 6
    died(child.leave())

    assert fetch(child.add(2), timeout=PATIENCE) == 7
    assert fetch(life.ask(child, "add", 1)) == 8


def test_checkpoints_come_back(place: int | None):
    ref = startat(place, checkpoint=3, **AT_ONCE)(Saved)()
    fetch([ref.add(1) for _ in range(5)])
    assert fetch(ref.times_asked()) == 1, "asked after three of five"
    died(ref.leave())

    assert fetch(ref.add(0), timeout=PATIENCE) == 5, "the sixth message was the question"
    fetch([ref.add(10) for _ in range(2)])
    died(ref.leave())
    assert fetch(ref.add(0), timeout=PATIENCE) == 25
    stop(ref)


@only_processes
def test_what_was_answered_is_kept_with_a_checkpoint_of_every_message(place: int | None):
    ref = startat(place, checkpoint=1, **AT_ONCE)(Saved)()
    pid = fetch(ref.pid())
    assert fetch(ref.add(4)) == 4
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: row("Saved").restarts == 1)

    assert fetch(ref.add(0), timeout=PATIENCE) == 4
    stop(ref)


class Arrays:
    """Keeps an array, large enough to travel by itself."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def scale(self, factor: float) -> float:
        self.array *= factor
        return float(self.array.sum())

    def leave(self) -> None:
        raise SystemExit(1)

    def get_state(self) -> np.ndarray:
        return self.array

    def set_state(self, state: np.ndarray) -> None:
        self.array = state


def test_arrays_in_constructors_and_checkpoints(place: int | None):
    array = np.ones(100_000)
    plain, saved = startat(place, **AT_ONCE)(Arrays)(array), startat(place, checkpoint=1, **AT_ONCE)(Arrays)(array)
    array[:] = 7.0
    assert fetch([plain.scale(2.0), saved.scale(2.0)]) == [200_000.0, 200_000.0]
    died(plain.leave())
    died(saved.leave())

    assert fetch(plain.scale(3.0), timeout=PATIENCE) == 300_000.0, "the constructor's array as it was at the spawn"
    assert fetch(saved.scale(3.0), timeout=PATIENCE) == 600_000.0
    stop(plain)
    stop(saved)


def test_shares_in_constructors_and_checkpoints(place: int | None):
    shared = share(np.ones(100_000))
    ref = startat(place, checkpoint=1, **AT_ONCE)(Shared)(shared)
    del shared
    for _ in range(2):
        assert fetch(ref.total(), timeout=PATIENCE) == 100_000.0
        died(ref.leave())

    assert fetch(ref.total(), timeout=PATIENCE) == 100_000.0
    stop(ref)


class Shared(Arrays):
    def total(self) -> float:
        return float(self.array.sum())


def test_a_class_that_cannot_be_kept_is_refused_at_the_spawn(place: int | None):
    with pytest.raises(TypeError, match=r"checkpoint=2 needs Life.get_state\(\) and Life.set_state\(state\)"):
        startat(place, checkpoint=2)(Life)()


def test_a_get_state_that_fails_is_the_owners_failure_and_the_actor_goes_on(place: int | None):
    class Shy(Saved):
        def get_state(self) -> int:
            raise KeyError("not yet")

    ref = startat(place, checkpoint=1, on_failure="ignore", **AT_ONCE)(Shy)()

    assert fetch([ref.add(1), ref.add(1)]) == [1, 2]
    stop(ref)


def test_stop_and_kill_do_not_start_it_again(place: int | None):
    for end in (stop, kill):
        ref = startat(place, **AT_ONCE)(Life)()
        fetch(ref.add(1))
        end(ref)

        assert died(ref.add(1)).started is False
        assert all(row.pid is not None for row in actors()), "none waits to start again"


def test_one_that_dies_while_it_is_stopped_stays_dead(place: int | None):
    ref = startat(place, on_failure="ignore", **AT_ONCE)(Life)()
    ref.leave.tell()
    stop(ref)

    assert died(ref.add(1)).started is False


@only_processes
def test_while_it_waits_to_start_calls_wait_and_can_be_cancelled(place: int | None):
    ref = startat(place, max_restarts=1, backoff=300.0)(Life)()
    died(ref.leave())
    first, second = ref.add(1), ref.add(1)
    ref.add.tell(1)
    with pytest.raises(TimeoutError):
        fetch(first, timeout=0.05)
    assert (row("Life").state, row("Life").pid) == ("restarting", None)
    assert second.cancel()
    stop(ref)

    assert died(first).started is False
    assert second.cancelled()


@only_processes
def test_one_that_waits_to_start_can_be_killed(place: int | None):
    ref = startat(place, max_restarts=1, backoff=300.0)(Life)()
    died(ref.leave())
    waiting = ref.add(1)
    kill(ref)

    assert died(waiting).started is False
    assert "was killed" in str(died(ref.add(1)))


@only_processes
def test_what_is_sent_while_it_waits_is_bounded_by_its_mailbox(place: int | None):
    ref = startat(place, max_restarts=1, backoff=300.0, mailbox=3, on_full="raise")(Life)()
    died(ref.leave())
    for _ in range(3):
        ref.add.tell(1)

    with pytest.raises(errors.MailboxFull, match="3 messages of this process wait there, 3 may"):
        ref.add(1)
    kill(ref)


@only_processes
def test_order_cancellation_and_bound_hold_over_a_restart(place: int | None):
    ref = startat(place, max_restarts=1, backoff=0.3, mailbox=4)(Log)()
    died(ref.leave())
    futures = []
    for n in range(20):  # more than are kept: the sender waits
        futures.append(ref.note(n) if n % 2 else ref.note_list([n]))
        if n == 2:
            assert futures.pop().cancel()
    fetch(futures, timeout=PATIENCE)

    assert fetch(ref.everything()) == [n for n in range(20) if n != 2]
    stop(ref)


class Log:
    """Keeps what it is told, by plain messages and by others."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def note(self, n: int) -> None:
        self.seen.append(n)

    def note_list(self, items: list[int]) -> None:
        self.seen += items

    def everything(self) -> list[int]:
        return self.seen

    def leave(self) -> None:
        raise SystemExit(1)


@only_processes
def test_another_process_meets_it_first_while_it_waits(place: int | None):
    ref = startat(place, max_restarts=1, backoff=0.5)(Life)(1)
    died(ref.leave())
    caller = startat(None, Caller, ref)

    assert fetch(caller.ask("add", 1), timeout=PATIENCE) == 2
    stop(caller)
    stop(ref)


@only_processes
def test_a_group_call_while_one_of_them_waits(engine: str):
    refs = [startat(48, max_restarts=1, backoff=0.3)(Life)(n) for n in range(3)]
    fetch(group(refs).add(0))
    died(refs[1].leave())

    assert fetch(group(refs).add(10), timeout=PATIENCE) == [10, 11, 12]
    assert fetch(group(refs).add(10), timeout=PATIENCE) == [20, 21, 22]
    for ref in refs:
        stop(ref)


@only_processes
def test_a_place_that_dies_takes_all_and_starts_those_again_that_may(engine: str):
    options = {"threads": 2}
    first = startat(49, on_failure="ignore", **options)(Life)(0)
    again = [startat(49, **AT_ONCE)(Life)(n) for n in (1, 2)]
    pids = fetch([ref.pid() for ref in [first, *again]])
    assert len(set(pids)) == 1
    died(again[0].killed())

    assert [answer(ref, "add", 1) for ref in again] == [2, 3]
    assert died(first.add(1)).signal == "SIGKILL"
    new = fetch([ref.pid() for ref in again])
    assert len(set(new)) == 1
    assert new != pids[1:]
    with pytest.raises(ValueError, match="threads=2"):
        startat(49, threads=4)(Life)()
    for ref in again:
        stop(ref)


@only_processes
def test_killing_an_actor_at_a_shared_place_starts_its_neighbours_again(engine: str):
    target, beside = startat(49, **AT_ONCE)(Life)(), startat(49, **AT_ONCE)(Saved)(5)
    fetch([target.add(1), beside.add(1)])
    kill(target)
    eventually(lambda: row("Saved").restarts == 1)

    assert fetch(beside.add(1), timeout=PATIENCE) == 6
    assert died(target.add(1)).started is False
    stop(beside)


@only_processes
def test_killed_at_once_after_its_spawn(engine: str):
    for _ in range(5):
        ref = startat(None, **AT_ONCE)(Life)(3)
        eventually(lambda: row("Life").pid is not None, what="no process")  # Ray's starts after its spawn
        os.kill(row("Life").pid, signal.SIGKILL)

        assert answer(ref, "add", 1) == 4
        stop(ref)


@only_processes
def test_callers_on_many_threads_go_on_through_restarts(engine: str):
    ref = startat(None, max_restarts=50, backoff=0.0, restart_window=1000.0)(Life)(0)
    done: list[int] = []

    def work() -> None:
        for _ in range(200):
            fetch_any(ref)
        done.append(1)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        ref.killed().exception(20)
    for thread in threads:
        thread.join(60)

    assert done == [1] * 3
    stop(ref)


def fetch_any(ref: Any) -> None:
    try:
        fetch(ref.add(1), timeout=PATIENCE)
    except errors.ActorDied:
        pass


def draws(engine: str) -> list[float]:
    """What three incarnations of an actor and of its child draw."""
    with System(engine=engine, seed=5):
        ref = startat(None, **AT_ONCE)(Life)()
        drawn = []
        for _ in range(3):
            drawn.append(fetch(ref.draw(), timeout=PATIENCE))
            drawn.append(fetch(fetch(ref.spawn(None, Life)).draw()))
            died(ref.leave())
        return drawn


@beside_inline
def test_each_incarnation_draws_numbers_of_its_own_the_same_on_every_engine(engine_name: str):
    inline, processes = draws("inline"), draws(engine_name)

    assert inline == processes
    assert len(set(inline)) == 6
