"""How an error of a handler arrives: as itself, with the remote traceback as its cause."""

from __future__ import annotations

import asyncio
import pickle
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from actors_for_tests import Account, Caller, Fails
from strays import PATIENCE

from actorrl import ActorRef, errors, fetch, startat, stop


class TwoArguments(Exception):
    """Its __init__ cannot be called with its args: the usual trap."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code, self.reason = code, reason


class KeywordOnly(Exception):
    def __init__(self, *, code: int) -> None:
        super().__init__(code)
        self.code = code


class NoSuper(Exception):
    def __init__(self, code: int) -> None:
        self.code = code

    def __str__(self) -> str:
        return f"code {self.code}"


class WithSlots(ValueError):
    extra = "class level"

    def __init__(self, message: str, extra: dict[str, int]) -> None:
        super().__init__(message)
        self.extra = extra


class Raises:
    def custom(self, kind: str) -> None:
        raise {
            "two": lambda: TwoArguments(404, "not here"),
            "keyword": lambda: KeywordOnly(code=5),
            "no super": lambda: NoSuper(6),
            "slots": lambda: WithSlots("message", {"a": 1}),
        }[kind]()

    def outer_function(self) -> None:
        self.inner_function()

    def inner_function(self) -> None:
        raise LookupError("deep down")

    def chained(self) -> None:
        try:
            self.inner_function()
        except LookupError as error:
            raise RuntimeError("on top") from error

    def recursion(self) -> None:
        self.recursion()

    def local(self) -> None:
        class Local(Exception):
            pass

        raise Local("defined in a function")

    def group(self) -> None:
        raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])  # noqa: F821  (Python 3.11)

    def ok(self) -> str:
        return "ok"


@pytest.fixture
def raises(engine: str) -> Iterator[ActorRef[Raises]]:
    ref = startat(None, Raises)
    yield ref
    assert fetch(ref.ok(), timeout=PATIENCE) == "ok"  # an error never ends the actor
    stop(ref)


@pytest.fixture
def fails(engine: str) -> Iterator[ActorRef[Fails]]:
    ref = startat(None, Fails)
    yield ref
    assert fetch(ref.ok(), timeout=PATIENCE) == "ok"
    stop(ref)


STANDARD = [
    ValueError("a", 2),
    KeyError("key"),
    FileNotFoundError(2, "No such file or directory", "missing.txt"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    StopIteration("value"),
    StopAsyncIteration(),
    AssertionError("not so"),
    TimeoutError("mine"),
    ZeroDivisionError("division by zero"),
    NotImplementedError(),
    asyncio.TimeoutError("of asyncio"),
    ImportError("no module", name="nothing"),
    OSError("plain text"),
    AttributeError("no attribute", name="x", obj=None),
]


@pytest.mark.parametrize("error", STANDARD, ids=lambda error: type(error).__name__)
def test_an_error_keeps_its_type_args_and_str(fails: ActorRef[Fails], error: Exception):
    future = fails.with_error(error)
    arrived = future.exception(timeout=PATIENCE)

    assert type(arrived) is type(error)
    assert arrived.args == error.args
    assert str(arrived) == str(error)
    with pytest.raises(type(error)):
        fetch(future)


@pytest.mark.parametrize(
    ("kind", "expected", "state"),
    [
        ("two", TwoArguments(404, "not here"), {"code": 404, "reason": "not here"}),
        ("keyword", KeywordOnly(code=5), {"code": 5}),
        ("no super", NoSuper(6), {"code": 6}),
        ("slots", WithSlots("message", {"a": 1}), {"extra": {"a": 1}}),
    ],
)
def test_so_does_an_exception_of_the_users_whatever_its_init(
    raises: ActorRef[Raises], kind: str, expected: Exception, state: dict[str, Any]
):
    error = raises.custom(kind).exception(timeout=PATIENCE)

    assert type(error) is type(expected)
    assert error.args == expected.args
    assert str(error) == str(expected)
    assert vars(error) == state


def test_str_of_its_cause_is_the_remote_traceback(raises: ActorRef[Raises]):
    with pytest.raises(LookupError) as caught:
        fetch(raises.outer_function())
    cause = str(caught.value.__cause__)

    assert "Traceback" in cause
    assert "outer_function" in cause
    assert "inner_function" in cause
    assert "LookupError: deep down" in cause
    assert __file__.rpartition("/")[2] in cause


def test_python_prints_both_tracebacks(raises: ActorRef[Raises]):
    error = raises.outer_function().exception(timeout=PATIENCE)
    text = "".join(traceback.format_exception(error))

    assert "inner_function" in text
    assert text.rstrip().endswith("LookupError: deep down")


def test_the_causes_of_the_error_are_in_the_remote_traceback(raises: ActorRef[Raises]):
    error = raises.chained().exception(timeout=PATIENCE)

    assert str(error) == "on top"
    assert "deep down" in str(error.__cause__)


def test_an_exception_class_defined_in_a_function(raises: ActorRef[Raises]):
    error = raises.local().exception(timeout=PATIENCE)

    assert type(error).__name__ in ("Local", "RemoteError")
    assert "defined in a function" in str(error)


def test_endless_recursion_is_a_recursion_error(raises: ActorRef[Raises]):
    with pytest.raises(RecursionError):
        fetch(raises.recursion())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups are of Python 3.11")
def test_an_exception_group_keeps_its_members(raises: ActorRef[Raises]):
    error = raises.group().exception(timeout=PATIENCE)

    assert type(error).__name__ == "ExceptionGroup"
    assert [type(member) for member in error.exceptions] == [ValueError, KeyError]


def test_an_error_passes_through_the_actor_that_fetched_it(fails: ActorRef[Fails]):
    caller = startat(1, Caller, fails)
    error = caller.ask("with_value", "from the far end").exception(timeout=PATIENCE)

    assert type(error) is ValueError
    assert str(error) == "from the far end"
    assert "with_value" in str(error.__cause__)
    stop(caller)


def test_every_future_has_an_error_of_its_own(fails: ActorRef[Fails]):
    a, b = (future.exception(timeout=PATIENCE) for future in (fails.with_value("a"), fails.with_value("b")))

    assert (str(a), str(b)) == ("a", "b")
    assert a is not b


def test_the_same_error_can_be_raised_again_and_again(fails: ActorRef[Fails]):
    future = fails.with_value("again")
    for _ in range(3):
        with pytest.raises(ValueError, match="again"):
            fetch(future)


@pytest.mark.parametrize("error", [KeyboardInterrupt("not a real one"), GeneratorExit()], ids=repr)
def test_even_what_is_no_exception_arrives(fails: ActorRef[Fails], error: BaseException):
    assert type(fails.with_error(error).exception(timeout=PATIENCE)) is type(error)


def test_an_error_may_be_a_value(fails: ActorRef[Fails]):
    class Gives:
        def give(self) -> Exception:
            return ValueError("just a value")

    gives = startat(0, Gives)

    assert repr(fetch(gives.give())) == repr(ValueError("just a value"))
    stop(gives)


def test_the_tree_of_errors():
    for name in ("ActorDied", "DeadlockError", "MailboxFull", "RemoteError"):
        assert issubclass(getattr(errors, name), errors.ActorError)
    assert issubclass(errors.ActorError, Exception)


def test_actor_died_travels_with_its_attributes(engine: str):
    account = Account.remote(0)
    stop(account)
    error = account.add(1).exception(timeout=PATIENCE)
    same = pickle.loads(pickle.dumps(error))

    assert type(same) is errors.ActorDied
    assert str(same) == str(error)
    for name in ("name", "cls", "pid", "exitcode", "signal", "call", "started", "stderr"):
        assert getattr(same, name) == getattr(error, name)
