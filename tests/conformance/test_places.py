"""Where actors live: `None` is a process of its own, an int is a shared worker."""

from __future__ import annotations

import importlib
import os
import threading
from pathlib import Path

import pytest
from actors_for_tests import Account, Caller, Counter, Echo, Parent, Where, add
from engines import not_on_ray, only_inline, only_processes
from gates import Gate
from strays import PATIENCE

from actorrl import errors, fetch, startat, stop


class Imports:
    def value_in(self, module: str) -> int:
        return int(importlib.import_module(module).value)


@only_processes
def test_none_is_a_process_of_its_own(engine: str):
    refs = [startat(None, Where) for _ in range(3)]
    pids = fetch([ref.pid() for ref in refs])

    assert len({os.getpid(), *pids}) == 4
    for ref in refs:
        stop(ref)


@not_on_ray("the main thread is Ray's")
@only_processes
def test_there_the_actor_has_the_main_thread(engine: str):
    ref = startat(None, Where)

    assert fetch(ref.on_main_thread())
    stop(ref)


@only_processes
def test_remote_is_a_process_of_its_own(engine: str):
    class Mine(Where):
        pass

    from actorrl import remote

    a, b = remote(Mine).remote(), Mine.remote()

    assert fetch(a.pid()) != fetch(b.pid())
    stop(a)
    stop(b)


@only_processes
def test_actors_of_one_int_place_share_its_process_each_with_its_own_thread(engine: str):
    a, b = startat(4, Where), startat(4, Where)

    assert fetch(a.pid()) == fetch(b.pid())
    assert fetch(a.thread()) != fetch(b.thread())
    stop(a)
    stop(b)


@only_processes
def test_different_ints_are_different_processes_and_0_is_an_ordinary_worker(engine: str):
    a, b = startat(0, Where), startat(1, Where)

    assert len({os.getpid(), fetch(a.pid()), fetch(b.pid())}) == 3
    stop(a)
    stop(b)


@only_processes
def test_actors_of_one_place_do_not_wait_for_each_other(engine: str, gate: Gate):
    a, b = startat(1, Where), startat(1, Where)
    waiting = a.wait(gate, "done")
    gate.entered()

    assert fetch(b.pid()) > 0
    gate.open()
    assert fetch(waiting) == "done"
    stop(a)
    stop(b)


@pytest.mark.parametrize("places", [(1, 1), (1, 2), (None, 1), (None, None)], ids=str)
def test_actors_may_call_each_other(engine: str, places: tuple[int | None, int | None]):
    account = startat(places[0], Account, 1)
    caller = startat(places[1], Caller, account)

    assert fetch(caller.ask("add", 2)) == 3
    stop(caller)
    stop(account)


def test_messages_inside_a_place_are_copied_like_any_other(engine: str):
    class Keeper:
        def __init__(self) -> None:
            self.items: list[int] = [1]

        def give(self) -> list[int]:
            return self.items

    class Taker:
        def take(self, keeper: object) -> None:
            fetch(keeper.give()).append(2)

    keeper, taker = startat(1, Keeper), startat(1, Taker)
    fetch(taker.take(keeper))

    assert fetch(keeper.give()) == [1]
    stop(keeper)
    stop(taker)


@only_processes
def test_a_place_is_one_failure_domain(engine: str, gate: Gate):
    a, b = (startat(6, on_failure="ignore")(Where)() for _ in range(2))
    waiting = b.wait(gate)
    gate.entered()
    dying = a.exit(3)

    for future in (dying, waiting):
        with pytest.raises(errors.ActorDied) as caught:
            fetch(future, timeout=PATIENCE)
        assert caught.value.exitcode == 3


@only_processes
def test_after_its_death_a_place_is_made_anew(engine: str):
    first = startat(7, on_failure="ignore")(Where)()
    old = fetch(first.pid())
    with pytest.raises(errors.ActorDied):
        fetch(first.exit(1))

    second = startat(7, Where)

    assert fetch(second.pid()) != old
    stop(second)


@only_processes
def test_options_of_the_place_that_differ_at_a_later_spawn_are_a_value_error(engine: str):
    first = startat(8, env={"A": "1"})(Where)()
    with pytest.raises(ValueError):
        startat(8, env={"A": "2"})(Where)()
    same = startat(8, env={"A": "1"})(Where)()

    assert fetch(first.pid()) == fetch(same.pid())
    stop(first)
    stop(same)


@only_inline
def test_inline_an_int_place_is_ignored(engine: str):
    ref = startat(5, Where)

    assert fetch(ref.pid()) == os.getpid()
    stop(ref)


def test_a_str_that_no_node_answers_to_is_a_value_error(engine: str):
    with pytest.raises(ValueError, match=r"Ray|the cluster"):
        startat("node-1", Counter, 0)


@pytest.mark.parametrize("place", [-1, 1.5, Counter], ids=str)
def test_a_place_that_is_none_is_refused(engine: str, place: object):
    with pytest.raises((TypeError, ValueError)):
        startat(place, Counter, 0)


def test_spawning_from_a_short_lived_thread(engine: str):
    refs = []
    thread = threading.Thread(target=lambda: refs.append(startat(None, Counter, 1)))
    thread.start()
    thread.join()

    assert fetch(add(refs[0], 1)) == 2
    stop(refs[0])


def test_actors_spawn_actors_at_places_of_the_system(engine: str):
    parent = startat(None, Parent)
    child = fetch(parent.spawn(1, Where))
    mine = startat(1, Where)

    assert fetch(child.pid()) == fetch(mine.pid())
    stop(mine)
    stop(parent)


@only_processes
def test_an_actor_imports_what_was_written_after_the_first_one_started(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(str(tmp_path))
    first = startat(None, Imports)
    with pytest.raises(ModuleNotFoundError):
        fetch(first.value_in("written_late"))
    (tmp_path / "written_late.py").write_text("value = 7")
    second = startat(None, Imports)

    assert fetch(second.value_in("written_late")) == 7
    stop(first)
    stop(second)


@only_processes
def test_an_actor_starts_with_the_drivers_directory_and_path(
    engine: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "only_here.py").write_text("class Thing:\n    def name(self):\n        return __name__\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    import only_here

    thing, echo = startat(None, only_here.Thing), startat(None, Echo)

    assert fetch(thing.name()) == "only_here"
    assert fetch(echo.calls(os.getcwd)) == str(tmp_path)
    stop(thing)
    stop(echo)
