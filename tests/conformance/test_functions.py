"""Functions on actors: when a call is a message, what it is checked against, what order it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from actors_for_tests import Account, Counter, Even, Log, add, noted
from engines import only_processes
from gates import Gate

from actorrl import ActorRef, fetch, remote, startat, stop


@remote
def second_is_ignored(n: int, counter: Any) -> str:
    return type(counter).__name__


@remote
def vague(thing: Any, n: int) -> int:
    return n + 1


@remote
def unresolved(thing: NoSuchClass, n: int) -> int:  # noqa: F821
    return n + 2


@remote
def bare(thing, n):
    return n + 3


@remote
def maybe(counter: Counter | None, n: int = 0) -> int:
    return -1 if counter is None else counter.value + n


@remote
def add_twice(counter: Counter, n: int) -> int:
    add(counter, n)
    return add(counter, n)


def make_account() -> Account:
    return Account(1)


@pytest.fixture
def counter(engine: str):
    ref = startat(0, Counter, 0)
    yield ref
    stop(ref)


def test_an_actor_ref_as_first_parameter_by_keyword_is_a_message_too(counter: ActorRef[Counter]):
    assert fetch(add(counter=counter, n=3)) == 3
    assert fetch(add(n=4, counter=counter)) == 7


def test_by_keyword_a_plain_struct_just_runs_here(engine: str):
    assert add(n=4, counter=Counter(1)) == 5


def test_dispatch_is_on_the_first_parameter_only(counter: ActorRef[Counter]):
    assert second_is_ignored(1, counter) == "ActorRef"
    assert second_is_ignored(n=1, counter=counter) == "ActorRef"


def test_tell_is_one_way(counter: ActorRef[Counter]):
    assert add.tell(counter, 5) is None
    assert fetch(add(counter, 1)) == 6


def test_tell_by_keyword(counter: ActorRef[Counter]):
    add.tell(n=5, counter=counter)
    assert fetch(add(counter, 1)) == 6


def test_a_mismatch_is_a_type_error_at_the_call_naming_both(engine: str):
    account = Account.remote(0)

    with pytest.raises(TypeError) as caught:
        add(account, 1)

    assert "Counter" in str(caught.value)
    assert "Account" in str(caught.value)
    stop(account)


def test_a_mismatch_is_a_type_error_at_the_tell_too(engine: str):
    account = Account.remote(0)

    with pytest.raises(TypeError, match="Account"):
        add.tell(account, 1)
    stop(account)


def test_an_actor_of_a_subclass_fits(engine: str):
    even = startat(0, Even, 2)

    assert fetch(add(even, 2)) == 4
    stop(even)


def test_where_the_class_is_not_known_the_actor_checks_and_the_future_fails(engine: str):
    account = startat(0, make_account)
    future = add(account, 1)

    with pytest.raises(TypeError, match="Counter") as caught:
        fetch(future)

    assert "Account" in str(caught.value)
    assert fetch(account.add(1)) == 2
    stop(account)


def test_a_ref_that_travelled_is_checked_all_the_same(engine: str):
    class Holder:
        def check(self, ref: Any) -> str:
            try:
                return str(fetch(add(ref, 1)))
            except TypeError as error:
                return f"TypeError: {error}"

    holder, account = startat(0, Holder), Account.remote(0)
    said = fetch(holder.check(account))

    assert said.startswith("TypeError")
    assert "Counter" in said
    stop(holder)
    stop(account)


@pytest.mark.parametrize(
    ("function", "expected"), [(vague, 2), (unresolved, 3), (bare, 4)], ids=["Any", "unresolved", "bare"]
)
def test_an_annotation_that_names_no_class_takes_any_actor(
    counter: ActorRef[Counter], function: Any, expected: int
):
    assert fetch(function(counter, 1)) == expected


def test_an_optional_annotation_takes_the_actor(counter: ActorRef[Counter]):
    assert fetch(maybe(counter, 4)) == 4
    assert maybe(None) == -1


def test_a_struct_that_does_not_fit_just_runs_as_any_python_function_would(engine: str):
    class Other:
        value = 1

    assert add(Other(), 1) == 2


def test_inside_the_actor_a_remote_function_on_the_state_just_runs(counter: ActorRef[Counter]):
    assert fetch(add_twice(counter, 2)) == 4


def test_a_function_defined_inside_a_function(counter: ActorRef[Counter]):
    factor = 3

    @remote
    def times(counter: Counter, n: int) -> int:
        return counter.value + factor * n

    assert fetch(times(counter, 2)) == 6
    assert times(Counter(1), 2) == 7


def test_defaults_and_keywords_of_functions(counter: ActorRef[Counter]):
    assert fetch(maybe(counter)) == 0
    assert fetch(maybe(counter, n=7)) == 7


def test_a_wrong_number_of_arguments_is_a_type_error(counter: ActorRef[Counter]):
    with pytest.raises(TypeError):
        fetch(add(counter))
    with pytest.raises(TypeError):
        fetch(add(counter, 1, 2))
    assert fetch(add(counter, 1)) == 1


def test_a_remote_function_as_an_argument(engine: str):
    @dataclass
    class Applies:
        value: int = 1

        def apply(self, function: Any, n: int) -> Any:
            return function(self, n)

    ref = startat(0, Applies)

    assert fetch(ref.apply(add, 4)) == 5
    assert fetch(ref.apply(vague, 4)) == 5
    stop(ref)


@only_processes
def test_functions_on_one_actor_share_its_fifo_with_methods(engine: str, gate: Gate):
    log = startat(0, Log)
    log.wait.tell(gate)
    for n in range(0, 40, 4):
        noted(log, n)
        log.note(n + 1)
        noted.tell(log, n + 2)
        log.note.tell(n + 3)
    gate.open()

    assert fetch(log.everything()) == list(range(40))
    stop(log)


def test_a_function_that_raises_fails_its_future_only(counter: ActorRef[Counter]):
    @remote
    def divide(counter: Counter, n: int) -> float:
        return counter.value / n

    with pytest.raises(ZeroDivisionError):
        fetch(divide(counter, 0))
    assert fetch(divide(counter, 1)) == 0
