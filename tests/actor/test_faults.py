"""Errors arrive as themselves where that is possible, as a RemoteError with their text where not; never as a crash."""

from __future__ import annotations

import errno
import json
import pickle
import subprocess
import sys
import threading
import types
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorrl.actor import codec, faults
from actorrl.actor.faults import decode_error, encode_error, error_text
from actorrl.errors import ActorDied, DeadlockError, RemoteError, RemoteTraceback


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def through(error: BaseException) -> BaseException:
    data, _ = encode_error(raised(error))
    return decode_error(data)


class Code(Exception):
    """The usual trap: __init__ does not take back what it hands to its base."""

    def __init__(self, code: int, *, hint: str = "none") -> None:
        super().__init__(f"code {code}")
        self.code, self.hint = code, hint


class TwoArguments(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)
        self.second = second


class NoArguments(Exception):
    def __init__(self) -> None:
        super().__init__("it went", "wrong")


class Loud(ValueError):
    def __str__(self) -> str:
        return self.args[0].upper()


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text for you")


class Locked(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


class OwnReduce(Exception):
    def __reduce__(self) -> Any:
        return explode, self.args


class CannotReduce(Exception):
    def __reduce__(self) -> Any:
        raise RuntimeError("I stay here")


class Slotted(Exception):
    __slots__ = ("place",)


class Path(OSError):
    """An OSError with a signature of its own."""

    def __init__(self, path: str) -> None:
        super().__init__(errno.ENOENT, "no such path", path)


class Thing:
    """An object that shows its address."""


def explode(text: str) -> Any:
    raise RuntimeError(text)


FAITHFUL = [
    ValueError("no", 3),
    KeyError("key"),
    KeyError(("a", 1)),
    StopIteration(4),
    FileNotFoundError(errno.ENOENT, "No such file", "/nowhere"),
    Path("/nowhere"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    json.JSONDecodeError("Expecting value", "[", 1),
    subprocess.CalledProcessError(3, ["false"], b"out", b"err"),
    SyntaxError("bad", ("file.py", 1, 2, "x =")),
    KeyboardInterrupt("now"),
    AssertionError(),
    ActorDied("Counter was killed", cls="Counter", signal="SIGKILL", started=True),
    DeadlockError("a waits for b"),
    Code(7, hint="look there"),
    TwoArguments("first", "second"),
    NoArguments(),
    Loud("quiet"),
    ValueError("a thing", Thing()),
    ValueError({"set of": {"names", "and", "more names"}}),
    Slotted("somewhere"),
]


@pytest.mark.parametrize("error", FAITHFUL, ids=lambda error: type(error).__name__)
def test_type_args_and_text_survive(error: BaseException):
    arrived = through(error)

    assert type(arrived) is type(error)
    assert len(arrived.args) == len(error.args)
    if not any(isinstance(arg, Thing) for arg in error.args):
        assert arrived.args == error.args
        assert sorted(str(arrived)) == sorted(str(error))  # a set may print in another order
    assert {key: value for key, value in vars(arrived).items() if key != "__notes__"} == vars(error)


@given(st.lists(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.binary()), max_size=4))
def test_any_arguments_survive(args):
    arrived = through(RuntimeError(*args))

    assert type(arrived) is RuntimeError
    assert repr(arrived.args) == repr(tuple(args))


def test_the_remote_traceback_is_the_cause_and_says_where():
    arrived = through(ValueError("here"))

    assert isinstance(arrived.__cause__, RemoteTraceback)
    text = str(arrived.__cause__)
    assert "in raised" in text
    assert text.endswith("ValueError: here")
    assert "RemoteTraceback" in error_text(arrived)


def test_the_causes_of_the_cause_are_in_the_text():
    try:
        try:
            raise KeyError("root")
        except KeyError as error:
            raise ValueError("leaf") from error
    except ValueError as error:
        arrived = decode_error(encode_error(error)[0])

    assert "KeyError: 'root'" in str(arrived.__cause__)
    assert "direct cause" in str(arrived.__cause__)


@pytest.mark.parametrize("error", [Locked("held"), OwnReduce("mine"), CannotReduce("mine")], ids=["lock", "own", "no"])
def test_what_cannot_travel_arrives_as_a_remote_error_with_its_text(error: BaseException):
    arrived = through(error)

    assert type(arrived) is RemoteError
    assert f"{type(error).__name__}: {error}" in str(arrived)
    assert "in raised" in str(arrived)


def test_an_error_without_a_text_still_arrives():
    arrived = through(Mute("args"))

    assert type(arrived) in (Mute, RemoteError)
    assert "Mute" in str(arrived.__cause__)


def test_an_error_whose_cause_is_itself_still_arrives():
    error = ValueError("round")
    error.__cause__ = error.__context__ = error

    assert str(through(error)) == "round"


def test_notes_arrive():
    error = ValueError("with notes")
    error.__notes__ = ["first note"]  # type: ignore[attr-defined]

    assert through(error).__notes__ == ["first note"]  # type: ignore[attr-defined]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups are of Python 3.11")
def test_groups_arrive_with_their_members():
    group = ExceptionGroup("many", [ValueError("one"), KeyError("two")])  # noqa: F821
    arrived: Any = through(group)

    assert type(arrived) is type(group)
    assert [type(error) for error in arrived.exceptions] == [ValueError, KeyError]


@pytest.mark.parametrize("size", [10, 100_000])
def test_arrays_in_an_error_arrive(size: int):
    np = pytest.importorskip("numpy")
    arrived = through(ValueError("bad batch", np.arange(size)))

    assert type(arrived) is ValueError
    assert arrived.args[1].tolist() == list(range(size))


@pytest.mark.parametrize("size", [10, 100_000])
def test_an_error_of_a_class_that_only_its_process_knows_arrives_as_itself(size: int, monkeypatch: pytest.MonkeyPatch):
    np = pytest.importorskip("numpy")
    made = types.ModuleType("a_script")
    monkeypatch.setitem(sys.modules, "a_script", made)
    exec("class Odd(ValueError):\n    pass\n", made.__dict__)
    data, defines = encode_error(raised(made.Odd("bad", np.arange(size))), set())
    monkeypatch.delitem(sys.modules, "a_script")  # as where it arrives
    monkeypatch.setattr(codec, "_own", {})
    arrived = decode_error(data)

    assert len(defines) == 1
    assert type(arrived).__name__ == "Odd"
    assert arrived.args[1].tolist() == list(range(size))


def test_a_class_that_does_not_exist_where_it_arrives_is_a_remote_error(monkeypatch: pytest.MonkeyPatch):
    data, _ = encode_error(raised(Code(7)))
    monkeypatch.delattr(sys.modules[__name__], "Code")
    arrived = decode_error(data)

    assert type(arrived) is RemoteError
    assert "Code: code 7" in str(arrived)


def test_what_arrives_can_be_pickled_again():
    again = pickle.loads(pickle.dumps(through(ValueError("on"))))

    assert (type(again), str(again)) == (ValueError, "on")
    assert faults.error_text(again) == "ValueError: on"
