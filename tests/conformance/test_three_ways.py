"""The three ways to write an actor, and that what was decorated stays what it was."""

from __future__ import annotations

import functools
import inspect
import pickle
from dataclasses import dataclass
from typing import Any

import pytest
from actors_for_tests import Account, Counter, add, read

from actorrl import ActorRef, Future, fetch, get_actor, remote, startat, stop


@dataclass
class Purse:
    """A struct of the test module itself, which no actor can import."""

    coins: int = 0


@remote
def pay(purse: Purse, coins: int = 1) -> int:
    """Pay in."""
    purse.coins += coins
    return purse.coins


@startat(2, name="buffer")
class Buffer:
    def __init__(self, size: int, *, name: str = "none") -> None:
        self.size, self.name, self.items = size, name, []

    def put(self, item: Any) -> int:
        self.items.append(item)
        return len(self.items)


def test_a_struct_and_its_functions(engine: str):
    counter = startat(2, Counter, 0)
    future = add(counter, 10)

    assert isinstance(counter, ActorRef)
    assert isinstance(future, Future)
    assert fetch(future) == 10
    assert fetch(add(counter, 5)) == 15
    stop(counter)


def test_on_a_plain_struct_the_same_function_just_runs_here(engine: str):
    assert add(Counter(0), 10) == 10
    assert pay(Purse(1)) == 2


def test_the_struct_stays_an_ordinary_class(engine: str):
    assert Counter(3) == Counter(3)
    assert "remote" not in vars(Counter)


def test_a_struct_and_function_of_the_test_module_itself(engine: str):
    purse = startat(1, Purse, 5)

    assert fetch(pay(purse, 2)) == 7
    assert fetch(pay(purse)) == 8
    stop(purse)


def test_a_decorated_class_spawns_with_remote(engine: str):
    account = Account.remote(0)

    assert isinstance(account, ActorRef)
    assert fetch(account.add(10)) == 10
    stop(account)


def test_method_dot_remote_is_the_same_call(engine: str):
    account = Account.remote(0)

    assert fetch(account.add.remote(10)) == 10
    assert fetch(account.add(1)) == 11
    stop(account)


def test_tell_is_one_way_and_makes_no_future(engine: str):
    account = Account.remote(0)

    assert account.add.tell(10) is None
    assert fetch(account.add(1)) == 11
    stop(account)


def test_the_decorated_class_is_untouched(engine: str):
    assert Account(0).add(10) == 10
    assert type(Account(0)) is Account
    assert Account(2).double == 4


def test_remote_returns_the_same_class():
    class Plain:
        pass

    assert remote(Plain) is Plain
    assert set(vars(Plain)) >= {"remote", "options"}


def test_a_decorated_function_keeps_its_name_doc_and_signature():
    assert add.__name__ == "add"
    assert add.__doc__ == "Add n to a counter."
    assert list(inspect.signature(add).parameters) == ["counter", "n"]


def test_a_decorated_function_can_be_pickled():
    assert pickle.loads(pickle.dumps(add))(Counter(1), 1) == 2


def test_placement_as_a_decorator_construction_spawns(engine: str):
    buffer = Buffer(100_000)

    assert isinstance(buffer, ActorRef)
    assert fetch(buffer.put("a")) == 1
    assert get_actor("buffer") == buffer
    stop(buffer)


def test_startat_leaves_a_spawner_whose_cls_is_the_class(engine: str):
    plain = Buffer.cls(3)

    assert isinstance(Buffer.cls, type)
    assert plain.put("a") == 1
    assert type(plain) is Buffer.cls


def test_subclassing_a_spawner_is_a_type_error():
    with pytest.raises(TypeError):

        class More(Buffer):
            pass


def test_a_factory_its_result_is_the_actors_state(engine: str):
    gymnasium = pytest.importorskip("gymnasium")
    env = startat(3, gymnasium.make, "CartPole-v1")

    observation, info = fetch(env.reset(seed=0))
    stepped = fetch(env.step(0))

    assert observation.shape == (4,)
    assert info == {}
    assert len(stepped) == 5
    stop(env)


@pytest.mark.parametrize(
    "make", [lambda n: Counter(n), functools.partial(Counter), Counter], ids=["lambda", "partial", "class"]
)
def test_any_callable_that_returns_an_object(engine: str, make: Any):
    counter = startat(1, make, 4)

    assert fetch(add(counter, 1)) == 5
    stop(counter)


def test_a_factory_that_closes_over_a_local_value(engine: str):
    start = 41

    def make() -> Counter:
        return Counter(start)

    counter = startat(None, make)

    assert fetch(add(counter, 1)) == 42
    stop(counter)


def test_even_a_list_is_an_actor(engine: str):
    items = startat(0, list, "ab")

    items.append.tell("c")

    assert fetch(items.index("c")) == 2
    stop(items)


def test_every_keyword_is_the_constructors(engine: str):
    buffer = startat(0, Buffer.cls, 1, name="mine")

    assert fetch(read(buffer, "name")) == "mine"
    with pytest.raises(LookupError):
        get_actor("mine")
    stop(buffer)


def test_options_go_in_a_call_of_their_own(engine: str):
    buffer = startat(0, name="options")(Buffer.cls)(7, name="constructor")

    assert get_actor("options") == buffer
    assert fetch(read(buffer, "name")) == "constructor"
    assert fetch(read(buffer, "size")) == 7
    stop(buffer)


def test_remote_needs_no_arguments_where_the_constructor_needs_none(engine: str):
    account = Account.remote()

    assert fetch(account.add(1)) == 1
    stop(account)


def test_constructor_keywords_of_remote(engine: str):
    account = Account.remote(balance=9)

    assert fetch(account.add(1)) == 10
    stop(account)
