"""How actors end: owners, stop, kill, watch; and the names they are found by."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from actors_for_tests import Account, Caller, Counter, Log, Parent, Where, add
from engines import only_processes
from gates import Gate
from strays import PATIENCE, alive, eventually

from actorrl import ActorRef, actors, current, errors, fetch, get_actor, kill, startat, stop, watch


@pytest.fixture
def parent(engine: str) -> Iterator[ActorRef[Parent]]:
    ref = startat(None, Parent)
    yield ref
    stop(ref)


def test_stop_ends_the_actor(engine: str):
    account = Account.remote(0)
    stop(account)
    error = account.add(1).exception(timeout=PATIENCE)

    assert isinstance(error, errors.ActorDied)
    assert error.started is False


@only_processes
def test_after_stop_its_process_is_gone(engine: str):
    where = startat(None, Where)
    pid = fetch(where.pid())
    stop(where)

    eventually(lambda: not alive(pid))


@only_processes
def test_stop_runs_what_is_queued_and_closes_the_mailbox(engine: str, gate: Gate, tmp_path: Path):
    class Writes(Log):
        def on_stop(self) -> None:
            (tmp_path / "seen").write_text(repr(self.seen))

    log = startat(None, Writes)
    running = log.wait(gate)
    queued = [log.note(i) for i in range(20)]
    log.note.tell("told")
    gate.entered()
    gate.open()
    stop(log)

    assert fetch(running) is None
    assert fetch(queued) == list(range(20))
    assert (tmp_path / "seen").read_text() == repr([*range(20), "told"])
    with pytest.raises(errors.ActorDied):
        fetch(log.note("late"), timeout=PATIENCE)


def test_stop_on_a_dead_actor_does_nothing(engine: str):
    account = Account.remote(0)
    for _ in range(3):
        stop(account)
    dead = Account.options(on_failure="ignore").remote(0)
    kill(dead)
    stop(dead)


@only_processes
def test_stop_that_runs_out_of_time_kills_and_raises_timeout_error(engine: str, gate: Gate):
    where = startat(None, on_failure="ignore")(Where)()
    pid = fetch(where.pid())
    stuck, queued = where.wait(gate), where.pid()
    gate.entered()
    start = time.monotonic()
    with pytest.raises(TimeoutError) as caught:
        stop(where, timeout=0.2)

    assert type(caught.value) is TimeoutError
    assert time.monotonic() - start < 5
    eventually(lambda: not alive(pid))
    for future in (stuck, queued):
        with pytest.raises(errors.ActorDied):
            fetch(future, timeout=PATIENCE)


@pytest.mark.parametrize("place", [None, 1])
def test_stop_inside_the_actor_itself_returns_at_once(engine: str, place: int | None):
    class Quits:
        def quit(self) -> str:
            stop(current())
            return "still answered"

    quits = startat(place, Quits)
    end = watch(quits)

    assert fetch(quits.quit(), timeout=PATIENCE) == "still answered"
    end.result(timeout=PATIENCE)
    with pytest.raises(errors.ActorDied):
        fetch(quits.quit(), timeout=PATIENCE)


@pytest.mark.parametrize("place", [None, 3])
def test_what_an_actor_spawned_ends_with_it(engine: str, place: int | None):
    parent = startat(None, Parent)
    child = fetch(parent.spawn(place, Parent))
    grandchild = fetch(child.spawn(None, Counter, 1))
    ends = [watch(child), watch(grandchild)]
    assert fetch(add(grandchild, 1)) == 2
    stop(parent)

    for end in ends:
        end.result(timeout=PATIENCE)
    with pytest.raises(errors.ActorDied):
        fetch(add(grandchild, 1), timeout=PATIENCE)


@only_processes
@pytest.mark.parametrize("how", ["kill", "exit"])
def test_also_when_it_dies(engine: str, how: str):
    parent = startat(None, on_failure="ignore")(Parent)()
    child = fetch(parent.spawn(None, Where))
    at_a_place = fetch(parent.spawn(2, Where))
    pid, ends = fetch(child.pid()), [watch(child), watch(at_a_place)]
    if how == "kill":
        kill(parent)
    else:
        parent.leave.tell()

    for end in ends:
        end.result(timeout=PATIENCE)
    eventually(lambda: not alive(pid), within=2)


def test_an_actor_outlives_whoever_else_used_it(engine: str):
    account = Account.remote(1)
    caller = startat(None, Caller, account)
    fetch(caller.ask("add", 1))
    stop(caller)

    assert fetch(account.add(1)) == 3
    stop(account)


def test_stop_of_the_owner_runs_what_the_children_have_queued(parent: ActorRef[Parent], tmp_path: Path):
    class Writes(Log):
        def on_stop(self) -> None:
            (tmp_path / "child").write_text(repr(self.seen))

    owner = startat(None, Parent)
    child = fetch(owner.spawn(None, Writes))
    for i in range(5):
        child.note.tell(i)
    fetch(child.everything())
    stop(owner)

    eventually((tmp_path / "child").exists)
    assert (tmp_path / "child").read_text() == repr(list(range(5)))


def test_kill_ends_it_now_and_again_does_nothing(engine: str):
    account = Account.options(on_failure="ignore").remote(0)
    kill(account)
    kill(account)

    with pytest.raises(errors.ActorDied):
        fetch(account.add(1), timeout=PATIENCE)


@only_processes
def test_kill_fails_the_calls_that_wait(engine: str, gate: Gate):
    where = startat(None, on_failure="ignore")(Where)()
    running, queued = where.wait(gate), where.pid()
    gate.entered()
    kill(where)

    with pytest.raises(errors.ActorDied) as caught:
        fetch(running, timeout=PATIENCE)
    assert caught.value.started is True
    with pytest.raises(errors.ActorDied) as caught:
        fetch(queued, timeout=PATIENCE)
    assert caught.value.started is False


@pytest.mark.parametrize("end", [stop, kill])
def test_watch_completes_with_the_reason_when_the_actor_ends(engine: str, end: Any):
    account = Account.options(on_failure="ignore").remote(0)
    watched = watch(account)
    assert not watched.done()
    end(account)

    assert watched.result(timeout=PATIENCE) is not None


@only_processes
def test_the_reason_of_a_death_says_how(engine: str):
    where = startat(None, on_failure="ignore")(Where)()
    watched = watch(where)
    where.exit.tell(13)

    assert "13" in str(watched.result(timeout=PATIENCE))


def test_watch_of_an_actor_that_has_ended_completes_at_once(engine: str):
    account = Account.remote(0)
    stop(account)

    assert watch(account).result(timeout=PATIENCE) is not None


def test_an_actor_may_watch_another(engine: str):
    class Watcher:
        def watch(self, ref: Any) -> None:
            self.future = watch(ref)

        def reason(self) -> str:
            return str(fetch(self.future, timeout=PATIENCE))

    account, watcher = Account.remote(0), startat(1, Watcher)
    fetch(watcher.watch(account))
    stop(account)

    assert fetch(watcher.reason(), timeout=PATIENCE)
    stop(watcher)


def test_get_actor_finds_by_name_and_unknown_is_a_lookup_error(engine: str):
    ref = startat(0, name="known")(Counter)(1)

    assert get_actor("known") == ref
    assert fetch(add(get_actor("known"), 1)) == 2
    with pytest.raises(LookupError, match="unheard"):
        get_actor("unheard of")
    stop(ref)


def test_a_taken_name_is_a_value_error_at_the_spawn(engine: str):
    ref = startat(0, name="taken")(Counter)(1)
    with pytest.raises(ValueError, match="taken"):
        startat(None, name="taken")(Counter)(2)

    assert fetch(add(get_actor("taken"), 1)) == 2
    stop(ref)


def test_a_name_is_free_again_after_the_end(engine: str):
    for n in range(3):
        ref = startat(None, name="again")(Counter)(n)
        assert fetch(add(get_actor("again"), 1)) == n + 1
        stop(ref)
    with pytest.raises(LookupError):
        get_actor("again")


def test_actors_find_each_other_by_name_whoever_spawned_them(parent: ActorRef[Parent]):
    class Finder:
        def find(self, name: str) -> Any:
            return get_actor(name)

        def spawn(self) -> str:
            try:
                startat(0, name="child")(Counter)(0)
            except ValueError as error:
                return str(error)
            return "no error"

    child = fetch(parent.spawn(1, Counter, 5, name="child"))
    finder = startat(None, Finder)

    assert get_actor("child") == child
    assert fetch(finder.find("child")) == child
    assert "child" in fetch(finder.spawn())
    stop(finder)
    stop(child)


def value(row: Any, *names: str) -> Any:
    for name in names:
        if hasattr(row, name):
            return getattr(row, name)
        if isinstance(row, dict) and name in row:
            return row[name]
    raise AssertionError(f"{row} has none of {names}")


def test_actors_gives_a_row_per_actor(engine: str):
    ref = startat(0, name="counted")(Counter)(1)
    fetch([add(ref, 1) for _ in range(5)])

    def row() -> Any:
        (found,) = [row for row in actors() if value(row, "name") == "counted"]
        return found

    eventually(lambda: value(row(), "handled") >= 5)
    assert value(row(), "state")
    assert value(row(), "queue") == 0
    assert 0 <= value(row(), "busy", "busy_share") <= 1
    assert value(row(), "restarts") == 0
    stop(ref)
    assert not [row for row in actors() if value(row, "name") == "counted" and value(row, "state") == "idle"]


@only_processes
def test_actors_counts_what_waits(engine: str, gate: Gate):
    where = startat(None, name="crowded")(Where)()
    futures = [where.wait(gate), *(where.pid() for _ in range(7))]
    gate.entered()

    def queue() -> int:
        (found,) = [row for row in actors() if value(row, "name") == "crowded"]
        return value(found, "queue")

    eventually(lambda: queue() >= 7)
    gate.open()
    fetch(futures)
    eventually(lambda: queue() == 0)
    stop(where)


@only_processes
def test_sys_exit_in_a_handler_at_a_shared_place_is_a_death_with_that_code(engine: str):
    where = startat(4, on_failure="ignore")(Where)()

    with pytest.raises(errors.ActorDied) as caught:
        fetch(where.leave(6), timeout=PATIENCE)
    assert caught.value.exitcode == 6
    assert caught.value.pid != os.getpid()
