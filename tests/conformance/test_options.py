"""Options of spawns, and their misuse."""

from __future__ import annotations

from typing import Any

import pytest
from actors_for_tests import Account, Counter, Where, add, read
from engines import not_on_ray, only_processes
from strays import eventually

from actorrl import fetch, get_actor, remote, startat, stop


@remote(name="by decorator")
class Named:
    def name(self) -> str:
        return "a method"


@remote
class Base:
    def __init__(self, n: int = 0) -> None:
        self.n = n

    def kind(self) -> str:
        return type(self).__name__


class Derived(Base):
    pass


@remote(name="again")
class Decorated(Base):
    pass


def test_options_of_the_decorator_hold_for_remote(engine: str):
    ref = Named.remote()

    assert get_actor("by decorator") == ref
    stop(ref)


def test_options_of_the_decorator_hold_for_startat_too(engine: str):
    ref = startat(1, Named)

    assert get_actor("by decorator") == ref
    stop(ref)


def test_cls_options_overrides_them(engine: str):
    ref = Named.options(name="by options").remote()

    assert get_actor("by options") == ref
    with pytest.raises(LookupError):
        get_actor("by decorator")
    stop(ref)


def test_options_leave_the_class_as_it_was(engine: str):
    Named.options(name="other")
    ref = Named.remote()

    assert get_actor("by decorator") == ref
    stop(ref)


def test_subclasses_inherit_remote_and_spawn_themselves(engine: str):
    ref = Derived.remote(3)

    assert fetch(ref.kind()) == "Derived"
    assert fetch(read(ref, "n")) == 3
    stop(ref)


def test_subclasses_may_be_decorated_again(engine: str):
    ref = Decorated.remote(1)

    assert fetch(ref.kind()) == "Decorated"
    assert get_actor("again") == ref
    stop(ref)


@pytest.mark.parametrize("taken", ["remote", "options"])
def test_a_class_whose_own_dict_has_the_name_is_refused(taken: str):
    cls = type("Taken", (), {taken: lambda self: None})

    with pytest.raises((TypeError, ValueError), match=taken):
        remote(cls)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("max_restart", "max_restarts"), ("mail_box", "mailbox"), ("nam", "name"), ("thread", "threads")],
)
def test_an_option_that_does_not_exist_is_a_type_error_with_the_nearest_name(wrong: str, right: str):
    with pytest.raises(TypeError, match=right):
        remote(**{wrong: 1})(type("Some", (), {}))
    with pytest.raises(TypeError, match=right):
        startat(0, **{wrong: 1})(Counter)
    with pytest.raises(TypeError, match=right):
        Account.options(**{wrong: 1})


@pytest.mark.parametrize(
    "option",
    [
        {"gpus": 1},
        {"resources": {"tpu": 1}},
    ],
    ids=lambda option: next(iter(option)),
)
@not_on_ray("there are such places")
def test_an_option_of_ray_is_refused_by_its_name(engine: str, option: dict[str, Any]):
    with pytest.raises(ValueError, match=next(iter(option))):
        startat(0, **option)(Counter)(0)


def test_the_defaults_of_the_contract_may_be_written_out(engine: str):
    options = {"max_restarts": 0, "restart_window": 60.0, "backoff": 0.1, "mailbox": 1024, "on_failure": "raise"}
    counter = startat(0, **options)(Counter)(1)

    assert fetch(add(counter, 1)) == 2
    stop(counter)


def test_a_value_that_on_failure_does_not_know_is_refused(engine: str):
    with pytest.raises((ValueError, TypeError), match="ignore"):
        startat(0, on_failure="igonre")(Counter)(0)


def test_on_stop_is_called_when_the_actor_is_stopped(engine: str, tmp_path: Any):
    class Stops:
        def __init__(self, path: str) -> None:
            self.path = path

        def on_stop(self) -> None:
            with open(self.path, "a") as file:
                file.write("stopped\n")

    path = tmp_path / "stopped"
    ref = startat(1, Stops, str(path))
    stop(ref)

    eventually(path.exists)
    assert path.read_text() == "stopped\n"


@only_processes
def test_env_sets_variables_of_the_place(engine: str):
    ref = startat(None, env={"ACTORRL_COLOUR": "green"})(Where)()

    assert fetch(ref.environ("ACTORRL_COLOUR")) == "green"
    stop(ref)


@only_processes
def test_the_drivers_environment_reaches_the_actor(engine: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ACTORRL_LATE", "set after the first spawn")
    ref = startat(None, Where)

    assert fetch(ref.environ("ACTORRL_LATE")) == "set after the first spawn"
    stop(ref)


@only_processes
def test_cpus_is_the_affinity_of_the_place(engine: str):
    ref = startat(None, cpus=[0])(Where)()

    assert fetch(ref.affinity()) == {0}
    stop(ref)


class Threads:
    def torch(self) -> int:
        import torch

        return torch.get_num_threads()


@only_processes
@pytest.mark.parametrize(("options", "expected"), [({}, 1), ({"threads": 2}, 2)], ids=["default", "two"])
def test_threads_are_torchs_threads(engine: str, options: dict[str, Any], expected: int):
    pytest.importorskip("torch")
    ref = startat(None, **options)(Threads)()

    assert fetch(ref.torch()) == expected
    stop(ref)
