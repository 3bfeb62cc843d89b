"""What cannot be pickled, or not be unpickled: it fails that one call, and says which part it was."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from actors_for_tests import Account, Counter, Echo, add, read
from strays import PATIENCE

from actorrl import ActorRef, errors, fetch, remote, startat, stop


class Locked(Exception):
    """An error that holds what cannot be pickled."""

    def __init__(self, message: str) -> None:
        super().__init__(message, threading.Lock())


def explode(text: str) -> Any:
    raise RuntimeError(text)


class Mine:
    """Pickles, and explodes where it is unpickled."""

    def __reduce__(self) -> Any:
        return explode, ("stepped on a mine",)


class MineError(Exception):
    """An error that explodes where it is unpickled."""

    def __reduce__(self) -> Any:
        return explode, ("stepped on a mine",)


class Odd:
    def lock(self) -> Any:
        return threading.Lock()

    def nested(self) -> Any:
        return {"a": [1, threading.Lock()]}

    def mine(self) -> Any:
        return Mine()

    def locked(self) -> None:
        raise Locked("the text survives")

    def mined(self) -> None:
        raise MineError("this text too")

    def takes(self, first: Any, second: Any = None, *rest: Any, third: Any = None, **more: Any) -> str:
        return "taken"

    def ok(self) -> str:
        return "ok"


@remote
def takes(odd: Odd, number: int, thing: Any = None) -> str:
    return "taken"


@pytest.fixture
def odd(engine: str) -> Iterator[ActorRef[Odd]]:
    ref = startat(None, Odd)
    yield ref
    assert fetch(ref.ok(), timeout=PATIENCE) == "ok"
    stop(ref)


LOCK = threading.Lock()


@pytest.mark.parametrize(
    ("args", "kwargs", "name"),
    [
        ((LOCK,), {}, "first"),
        ((1, LOCK), {}, "second"),
        ((1,), {"second": [LOCK]}, "second"),
        ((1,), {"third": LOCK}, "third"),
        ((1,), {"extra": LOCK}, "extra"),
        (({"deep": (LOCK,)},), {}, "first"),
    ],
    ids=["position", "second position", "keyword", "keyword only", "more", "deep"],
)
def test_an_argument_is_a_type_error_at_the_call_that_names_the_parameter(
    odd: ActorRef[Odd], args: tuple[Any, ...], kwargs: dict[str, Any], name: str
):
    with pytest.raises(TypeError, match=rf"\b{name}\b"):
        odd.takes(*args, **kwargs)
    with pytest.raises(TypeError, match=rf"\b{name}\b"):
        odd.takes.tell(*args, **kwargs)


def test_an_argument_of_a_function_too(odd: ActorRef[Odd]):
    with pytest.raises(TypeError, match=r"\bthing\b"):
        takes(odd, 1, LOCK)
    with pytest.raises(TypeError, match=r"\bnumber\b"):
        takes.tell(odd, LOCK)
    with pytest.raises(TypeError, match=r"\bthing\b"):
        takes(odd, 1, thing=LOCK)


def test_an_argument_of_a_constructor_too(engine: str):
    with pytest.raises(TypeError, match=r"\bvalue\b"):
        startat(0, Counter, LOCK)
    with pytest.raises(TypeError, match=r"\bbalance\b"):
        Account.remote(balance=LOCK)


def test_a_spawn_that_was_refused_leaves_its_name_free(engine: str):
    with pytest.raises(TypeError):
        startat(0, name="refused")(Counter)(LOCK)
    ref = startat(0, name="refused")(Counter)(1)

    assert fetch(add(ref, 1)) == 2
    stop(ref)


@pytest.mark.parametrize("method", ["lock", "nested"])
def test_a_result_fails_that_call_only(odd: ActorRef[Odd], method: str):
    before, failing, after = odd.ok(), getattr(odd, method)(), odd.ok()

    assert fetch(before) == "ok"
    assert failing.exception(timeout=PATIENCE) is not None
    assert method in str(failing.exception()) or "pickle" in str(failing.exception())
    assert fetch(after) == "ok"


def test_a_result_that_explodes_when_unpickled_fails_that_call_only(odd: ActorRef[Odd]):
    before, failing, after = odd.ok(), odd.mine(), odd.ok()

    assert "stepped on a mine" in repr(failing.exception(timeout=PATIENCE)) + str(failing.exception().__cause__)
    assert fetch([before, after]) == ["ok", "ok"]


def test_an_argument_that_explodes_when_unpickled_fails_that_call_only(odd: ActorRef[Odd]):
    before, failing, after = odd.ok(), odd.takes(Mine()), odd.ok()

    assert "stepped on a mine" in repr(failing.exception(timeout=PATIENCE)) + str(failing.exception().__cause__)
    assert fetch([before, after]) == ["ok", "ok"]


@pytest.mark.parametrize(("method", "text"), [("locked", "the text survives"), ("mined", "this text too")])
def test_an_error_that_cannot_travel_arrives_as_a_remote_error_with_its_text(
    odd: ActorRef[Odd], method: str, text: str
):
    error = getattr(odd, method)().exception(timeout=PATIENCE)

    assert type(error) is errors.RemoteError
    assert text in str(error)
    assert method in str(error.__cause__) + str(error)


@pytest.mark.parametrize(
    "value", [lambda n: n + 1, (lambda k: lambda n: n + k)(1), abs, int], ids=["lambda", "closure", "builtin", "type"]
)
def test_functions_and_classes_travel(engine: str, value: Any):
    echo = startat(0, Echo)

    assert fetch(echo.calls(value, 1)) in (1, 2)
    assert fetch(echo.same(value))(1) in (1, 2)
    stop(echo)


def test_an_instance_of_a_local_class_travels_both_ways(engine: str):
    class Point:
        def __init__(self, x: int) -> None:
            self.x = x

    echo = startat(0, Echo)
    back = fetch(echo.same(Point(3)))

    assert back.x == 3
    assert isinstance(back, Point)
    stop(echo)


def test_messages_pass_through_pickle_on_every_engine(engine: str):
    class Remembers:
        def __getstate__(self) -> dict[str, Any]:
            return {"pickled": True}

    echo = startat(0, Echo)

    assert vars(fetch(echo.same(Remembers()))) == {"pickled": True}
    stop(echo)


def test_what_was_sent_is_a_copy(engine: str):
    items = [1]
    echo = startat(0, Echo)
    back = fetch(echo.same(items))
    back.append(2)

    assert items == [1]
    stop(echo)


def test_state_given_to_a_constructor_is_a_copy(engine: str):
    class Keeper:
        def __init__(self, items: list[int]) -> None:
            self.items = items

        def add(self) -> None:
            self.items.append(2)

    items = [1]
    keeper = startat(1, Keeper, items)
    fetch(keeper.add())

    assert items == [1]
    assert fetch(read(keeper, "items")) == [1, 2]
    stop(keeper)
