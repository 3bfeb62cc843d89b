"""References: values that travel, compare by actor, and have no attribute of their own."""

from __future__ import annotations

import asyncio
import copy
import gc
import logging
import pickle
from typing import Any

import pytest
from actors_for_tests import Account, Caller, Counter, Echo, Log, add, read
from strays import PATIENCE, eventually

from actorrl import ActorRef, errors, fetch, get_actor, startat, stop


class Shy:
    """Uses every name that a reference might want for itself."""

    def stop(self) -> str:
        return "my stop"

    def tell(self) -> str:
        return "my tell"

    def name(self) -> str:
        return "my name"

    def remote(self) -> str:
        return "my remote"

    def options(self) -> str:
        return "my options"

    def cls(self) -> str:
        return "my cls"

    def kill(self) -> str:
        return "my kill"

    def result(self) -> str:
        return "my result"


class Talks:
    def stream(self) -> Any:
        yield 1

    async def astream(self) -> Any:
        yield 1

    async def fails(self) -> None:
        await asyncio.sleep(0)
        raise KeyError("lost")

    async def gathers(self, n: int) -> list[int]:
        async def one(i: int) -> int:
            await asyncio.sleep(0)
            return i

        return await asyncio.gather(*(one(i) for i in range(n)))

    def list_of(self) -> list[int]:
        return [1]


@pytest.fixture
def account(engine: str):
    ref = Account.remote(0)
    yield ref
    stop(ref)


def test_refs_are_picklable_and_equal_by_actor(account: ActorRef[Account]):
    same = pickle.loads(pickle.dumps(account))

    assert same == account
    assert hash(same) == hash(account)
    assert {same: 1}[account] == 1
    assert fetch(same.add(1)) == 1
    assert copy.deepcopy(account) == account


def test_refs_of_different_actors_differ(account: ActorRef[Account]):
    other = Account.remote(0)

    assert other != account
    assert account != "account"
    stop(other)


def test_refs_travel_in_messages(account: ActorRef[Account]):
    echo = startat(0, Echo)
    back = fetch(echo.same({"refs": [account, (echo,)]}))

    assert back == {"refs": [account, (echo,)]}
    assert fetch(back["refs"][0].add(2)) == 2
    stop(echo)


def test_refs_travel_in_constructors(account: ActorRef[Account]):
    caller = startat(1, Caller, account)

    assert fetch(caller.ask("add", 3)) == 3
    stop(caller)


def test_an_actor_hands_its_own_ref_out(engine: str):
    caller = startat(1, Caller)

    assert fetch(caller.me()) == caller
    stop(caller)


def test_a_ref_has_no_public_attribute_of_its_own(account: ActorRef[Account]):
    assert [name for name in dir(ActorRef) if not name.startswith("_")] == []
    assert [name for name in dir(account) if not name.startswith("_")] == []


@pytest.mark.parametrize("name", ["stop", "tell", "name", "remote", "options", "cls", "kill", "result"])
def test_so_a_class_may_define_any_name(engine: str, name: str):
    ref = startat(0, Shy)

    assert fetch(getattr(ref, name)()) == f"my {name}"
    stop(ref)


@pytest.mark.parametrize("name", ["_private", "__secret", "_remote"])
def test_underscore_names_raise_attribute_error(account: ActorRef[Account], name: str):
    with pytest.raises(AttributeError, match=name):
        getattr(account, name)
    assert not hasattr(account, name)


def test_data_fields_and_properties_are_read_by_a_remote_function(account: ActorRef[Account]):
    account.add.tell(4)

    assert fetch(read(account, "balance")) == 4
    assert fetch(read(account, "double")) == 8


def test_calling_a_data_field_fails_and_the_actor_goes_on(account: ActorRef[Account]):
    with pytest.raises((TypeError, AttributeError), match=r"balance|int"):
        fetch(account.balance())
    assert fetch(account.add(1)) == 1


def test_an_unknown_method_fails_through_the_future(account: ActorRef[Account]):
    future = account.ad(1)

    with pytest.raises(AttributeError, match="ad"):
        fetch(future)
    assert fetch(account.add(1)) == 1


def test_wrong_arguments_are_a_type_error_and_the_actor_goes_on(account: ActorRef[Account]):
    with pytest.raises(TypeError):
        fetch(account.add())
    with pytest.raises(TypeError):
        fetch(account.add(1, m=2))
    assert fetch(account.add(1)) == 1


def test_setting_a_field_from_outside_is_refused(account: ActorRef[Account]):
    with pytest.raises((AttributeError, TypeError)):
        account.balance = 3


def test_a_coroutine_method_is_awaited_to_its_end_before_the_next_message(engine: str):
    log = startat(0, Log)
    futures = [log.later("a"), log.note("b"), log.later("c"), log.note("d")]

    assert fetch(futures) == ["a", "b", "c", "d"]
    assert fetch(log.everything()) == ["a", "b", "c", "d"]
    stop(log)


def test_an_error_of_a_coroutine_method_arrives_as_itself(engine: str):
    talks = startat(1, Talks)

    with pytest.raises(KeyError, match="lost"):
        fetch(talks.fails())
    assert fetch(talks.gathers(3)) == [0, 1, 2]
    stop(talks)


def test_a_coroutine_method_called_from_a_running_event_loop(engine: str):
    log = startat(1, Log)

    async def main() -> Any:
        return await log.later("x")

    assert asyncio.run(main()) == "x"
    stop(log)


@pytest.mark.parametrize("method", ["stream", "astream"])
def test_a_generator_result_is_a_type_error_that_names_the_method(engine: str, method: str):
    talks = startat(0, Talks)

    with pytest.raises(TypeError, match=method):
        fetch(getattr(talks, method)())
    assert fetch(talks.list_of()) == [1]
    stop(talks)


def test_dropping_refs_never_ends_an_actor(engine: str):
    ref = startat(0, name="dropped")(Counter)(1)
    add.tell(ref, 1)
    del ref
    gc.collect()

    again = get_actor("dropped")
    assert fetch(add(again, 1)) == 3
    stop(again)


def test_calls_on_a_stopped_actor_fail_through_the_future(account: ActorRef[Account]):
    other = Account.remote(0)
    stop(other)
    future = other.add(1)

    with pytest.raises(errors.ActorDied) as caught:
        fetch(future, timeout=PATIENCE)
    assert caught.value.started is False


def test_a_tell_to_a_dead_actor_is_logged(engine: str, caplog: pytest.LogCaptureFixture, capfd: Any):
    ref = Account.remote(0)
    stop(ref)
    with caplog.at_level(logging.DEBUG):
        ref.add.tell(1)
        text = ""

        def logged() -> bool:
            nonlocal text
            text += caplog.text + capfd.readouterr().err
            return "add" in text

        eventually(logged, within=5, what="no line about the tell")


def test_a_ref_says_what_it_is(account: ActorRef[Account]):
    assert "Account" in repr(account)
    assert bool(account)
