"""Systems: one at a time, started by hand or by the first spawn, ended for good."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from actors_for_tests import Account, Counter, Log, add
from engines import ENGINES
from strays import PATIENCE

import actorrl
from actorrl import System, errors, fetch, init, shutdown, startat, stop


@pytest.fixture(params=ENGINES)
def engine_name(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param
    shutdown()


def test_with_system_as_system_which_ends_with_its_block(engine_name: str):
    with System(engine=engine_name, seed=None) as system:
        assert system is not None
        done = add(startat(0, Counter, 1), 1)
        assert fetch(done) == 2
    assert fetch(done) == 2
    with pytest.raises(RuntimeError):
        startat(0, Counter, 1)


def test_after_an_explicit_shutdown_a_spawn_raises_until_init(engine_name: str):
    init(engine=engine_name)
    account = Account.remote(0)
    shutdown()
    for spawn in (lambda: startat(0, Counter, 1), lambda: Account.remote(0), lambda: startat(0)(Counter)(1)):
        with pytest.raises(RuntimeError, match="init"):
            spawn()
    with pytest.raises(RuntimeError):
        account.add(1)
    with pytest.raises(RuntimeError):
        account.add.tell(1)

    init(engine=engine_name)
    assert fetch(add(startat(0, Counter, 1), 1)) == 2


def test_a_ref_of_an_earlier_system_is_refused_or_fails(engine_name: str):
    init(engine=engine_name)
    old = Account.remote(5)
    shutdown()
    init(engine=engine_name)
    Account.remote(7)

    with pytest.raises((RuntimeError, errors.ActorError)):
        fetch(old.add(1), timeout=PATIENCE)


def test_no_future_hangs_after_shutdown(engine_name: str):
    with System(engine=engine_name):
        futures = [Account.remote(i).add(1) for i in range(3)]
    for future in futures:
        future.exception(timeout=PATIENCE)
        assert future.done()


def test_shutdown_delivers_what_was_sent(engine_name: str, tmp_path: Any):
    class Writes(Log):
        def write(self, path: str, n: int) -> None:
            with open(path, "a") as file:
                file.write(f"{n}\n")

    path = tmp_path / "written"
    with System(engine=engine_name):
        writes = startat(None, Writes)
        for n in range(200):
            writes.write.tell(str(path), n)

    assert path.read_text().split() == [str(n) for n in range(200)]


def test_shutdown_twice_is_harmless(engine_name: str):
    init(engine=engine_name)
    shutdown()
    shutdown()


def test_shutdown_with_nothing_running_is_harmless():
    shutdown()


def test_one_system_at_a_time(engine: str):
    for other in ENGINES:
        with pytest.raises(RuntimeError):
            init(engine=other)
        with pytest.raises(RuntimeError):
            System(engine=other).__enter__()
    counter = startat(0, Counter, 1)

    assert fetch(add(counter, 1)) == 2
    stop(counter)


def test_an_engine_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="processes"):
        init(engine="proceses")
    with pytest.raises(ValueError):
        System(engine="threads").__enter__()


def test_names_are_free_in_the_next_system(engine_name: str):
    for _ in range(2):
        with System(engine=engine_name):
            startat(0, name="same")(Counter)(0)
            assert actorrl.get_actor("same")


def test_everything_public_is_importable_from_actorrl():
    public = {"ActorRef", "Future", "System", "actors", "as_completed", "batched", "cancelled", "current", "errors"}
    public |= {"fetch", "get_actor", "group", "init", "kill", "remote", "share", "shutdown", "startat", "stop", "wait"}

    assert "watch" in actorrl.__all__
    assert {name for name in public if not hasattr(actorrl, name)} == set()
    assert public <= set(actorrl.__all__)
