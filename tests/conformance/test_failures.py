"""Failure delivery: once, to whoever can receive it, and never silently."""

from __future__ import annotations

import gc
import logging
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from actors_for_tests import Caller, Counter, Fails, Fragile, Parent, Where, add
from engines import ENGINES, only_processes
from gates import Gate
from strays import PATIENCE, eventually

from actorrl import System, errors, fetch, remote, startat, stop, wait, watch

BIRTH = (errors.ActorDied, ValueError)  # what a constructor that raised a ValueError may be reported as


class Logged:
    """What the runtime said: through logging here, or on stderr."""

    def __init__(self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
        self.caplog, self.capfd, self.text = caplog, capfd, ""
        caplog.set_level(logging.WARNING)

    def __contains__(self, text: str) -> bool:
        self.text += self.capfd.readouterr().err
        return text in self.caplog.text + self.text


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Logged:
    return Logged(caplog, capfd)


def until_it_raises(call: Callable[[], Any], kinds: Any) -> BaseException:
    """Repeat `call` until it raises one of `kinds`; anything else it raises is an error."""
    caught: list[BaseException] = []

    def once() -> bool:
        try:
            call()
        except kinds as error:
            caught.append(error)
        return bool(caught)

    eventually(once, within=5, what="the owner was not told")
    return caught[0]


def test_a_failure_in_a_tell_is_logged_and_the_owners_next_fetch_raises_it_once(engine: str, logged: Logged):
    fails = startat(None, Fails)
    fails.with_value.tell("told in vain")

    error = until_it_raises(lambda: fetch(fails.ok()), ValueError)
    assert str(error) == "told in vain"
    eventually(lambda: "told in vain" in logged)
    assert "with_value" in logged
    assert fetch([fails.ok() for _ in range(20)]) == ["ok"] * 20


def test_a_failure_in_a_told_function_too(engine: str, logged: Logged):
    @remote
    def broken(fails: Fails) -> None:
        raise KeyError("in a function")

    fails = startat(1, Fails)
    broken.tell(fails)

    until_it_raises(lambda: fetch(fails.ok()), KeyError)
    eventually(lambda: "in a function" in logged)


def test_every_failure_is_delivered_once(engine: str):
    fails = startat(None, Fails)
    for n in range(3):
        fails.with_value.tell(f"failure {n}")

    texts = [str(until_it_raises(lambda: fetch(fails.ok()), ValueError)) for _ in range(3)]
    assert sorted(texts) == ["failure 0", "failure 1", "failure 2"]
    assert fetch(fails.ok()) == "ok"


def test_wait_raises_it_too(engine: str):
    fails = startat(None, Fails)
    fails.with_value.tell("waited for")

    until_it_raises(lambda: wait([fails.ok()]), ValueError)


def test_stop_raises_it_too(engine: str, logged: Logged):
    fails = startat(None, Fails)
    fails.with_value.tell("stopped for")
    eventually(lambda: "stopped for" in logged)

    with pytest.raises(ValueError, match="stopped for"):
        stop(fails)
        stop(fails)  # at the latest, if the news came while the first one was under way


@pytest.mark.parametrize("engine_name", ENGINES)
def test_shutdown_raises_it_at_the_latest(engine_name: str):
    with pytest.raises(ValueError, match="left over"):
        with System(engine=engine_name):
            startat(None, Fails).with_value.tell("left over")


@pytest.mark.parametrize("engine_name", ENGINES)
def test_the_error_of_the_with_block_itself_is_not_hidden(engine_name: str):
    with pytest.raises(KeyError, match="of the block"):
        with System(engine=engine_name):
            startat(None, Fails).with_value.tell("left over")
            raise KeyError("of the block")


def test_ignore_is_the_log_only(engine: str, logged: Logged):
    fails = startat(None, on_failure="ignore")(Fails)()
    fails.with_value.tell("never mind")

    eventually(lambda: "never mind" in logged)
    assert fetch([fails.ok() for _ in range(20)]) == ["ok"] * 20
    stop(fails)


def test_stop_ends_the_owner_too(engine: str, logged: Logged):
    parent = startat(None, on_failure="ignore")(Parent)()
    end = watch(parent)
    child = fetch(parent.spawn(None, Fails, on_failure="stop"))
    child.with_value.tell("takes the parent along")

    assert end.result(timeout=PATIENCE) is not None
    eventually(lambda: "takes the parent along" in logged)
    with pytest.raises(errors.ActorDied):
        fetch(parent.pid(), timeout=PATIENCE)


def test_the_owner_is_the_actor_that_spawned_it_not_who_told_it(engine: str):
    parent = startat(None, Parent)
    child = fetch(parent.spawn(None, Fails))
    child.with_value.tell("for the parent")
    for _ in range(10):
        assert fetch(child.ok()) == "ok"  # nothing is raised in the driver, which owns the parent only

    @remote
    def ask(parent: Parent) -> str:
        return fetch(parent.children[0].ok())

    error = until_it_raises(lambda: fetch(ask(parent)), ValueError)
    assert str(error) == "for the parent"
    assert fetch(ask(parent)) == "ok"


def test_whoever_gets_it_from_a_future_has_received_it(engine: str, logged: Logged):
    fails = startat(None, Fails)
    with pytest.raises(ValueError):
        fetch(fails.with_value("received by fetch"))
    assert fails.with_value("received by exception").exception(timeout=PATIENCE) is not None

    gc.collect()
    assert fetch([fails.ok() for _ in range(20)]) == ["ok"] * 20
    assert "received by" not in logged


def test_a_future_collected_unread_is_logged_with_its_traceback(engine: str, logged: Logged):
    fails = startat(None, Fails)
    future = fails.with_value("read by nobody")
    eventually(future.done)
    del future
    gc.collect()

    eventually(lambda: "read by nobody" in logged)
    assert "with_value" in logged
    assert fetch(fails.ok()) == "ok"


def test_a_future_dropped_before_its_answer_is_logged_too(engine: str, logged: Logged):
    fails = startat(None, Fails)
    fails.with_value("dropped at once")

    def seen() -> bool:
        fetch(fails.ok())
        gc.collect()
        return "dropped at once" in logged

    eventually(seen)


def test_a_future_that_succeeded_is_dropped_in_silence(engine: str, logged: Logged):
    fails = startat(None, Fails)
    for _ in range(5):
        fails.ok()
    fetch(fails.ok())
    gc.collect()

    assert "ok" not in logged.caplog.text


def test_a_failed_constructor_with_no_call_pending_is_logged_and_raised(engine: str, logged: Logged):
    counter = startat(0, Counter)
    startat(None, Fragile)

    error = until_it_raises(lambda: fetch(add(counter, 0)), BIRTH)
    assert "born broken" in str(error) + str(error.__cause__)
    eventually(lambda: "born broken" in logged)
    assert "Fragile" in logged


@only_processes
def test_a_failed_constructor_with_a_call_pending_is_received_by_that_call(engine: str, gate: Gate):
    other = startat(0, Fails)
    fragile = startat(None, Fragile, gate)
    futures = [fragile.ok(), fragile.ok()]
    gate.entered()
    gate.open()

    for future in futures:
        error = future.exception(timeout=PATIENCE)
        assert type(error) is errors.ActorDied
        assert error.started is False
        assert "born broken" in str(error) + str(error.__cause__)
    assert fetch([other.ok() for _ in range(20)]) == ["ok"] * 20


@only_processes
def test_a_death_with_no_call_pending_is_logged_and_raised_once(engine: str, logged: Logged):
    other, where = startat(0, Fails), startat(None, Where)
    pid = fetch(where.pid())
    os.kill(pid, signal.SIGKILL)

    error = until_it_raises(lambda: fetch(other.ok()), errors.ActorDied)
    assert str(pid) in str(error)
    eventually(lambda: str(pid) in logged)
    assert fetch([other.ok() for _ in range(20)]) == ["ok"] * 20


@only_processes
def test_a_death_that_a_call_received_is_not_raised_again(engine: str):
    other, where = startat(0, Fails), startat(None, Where)
    with pytest.raises(errors.ActorDied):
        fetch(where.exit(3), timeout=PATIENCE)

    assert fetch([other.ok() for _ in range(20)]) == ["ok"] * 20


def test_an_error_of_on_stop_is_a_failure_nobody_received(engine: str, logged: Logged):
    class Stops(Fails):
        def on_stop(self) -> None:
            raise ValueError("while it stopped")

    other, stops = startat(0, Fails), startat(None, Stops)
    with pytest.raises(ValueError, match="while it stopped"):
        stop(stops)
        until_it_raises(lambda: fetch(other.ok()), KeyError)  # the ValueError comes out of it
    eventually(lambda: "while it stopped" in logged)


@only_processes
def test_a_death_in_a_tell_is_a_failure_nobody_received(engine: str):
    other, where = startat(0, Fails), startat(None, Where)
    where.exit.tell(3)

    error = until_it_raises(lambda: fetch(other.ok()), errors.ActorDied)
    assert error.exitcode == 3


@only_processes
def test_a_timeout_in_fetch_delivers_the_failure_rather_than_time_out(engine: str, gate: Gate):
    where, fails = startat(None, Where), startat(None, Fails)
    waiting = where.wait(gate)
    gate.entered()
    fails.with_value.tell("while waiting")

    until_it_raises(lambda: _fetch_shortly(waiting), ValueError)
    gate.open()
    fetch(waiting, timeout=PATIENCE)


def _fetch_shortly(future: Any) -> None:
    try:
        fetch(future, timeout=0.05)
    except TimeoutError:
        pass


def test_an_actor_that_fails_goes_on(engine: str):
    caller = startat(0, Caller)
    for _ in range(5):
        with pytest.raises(AttributeError):
            fetch(caller.ask("nothing"))

    assert fetch(caller.ok()) == "ok"
