"""One actor inside a process: what a message does to its object, without an engine around it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actorrl.actor.batched import batched
from actorrl.actor.cell import Cell, Outcome
from actorrl.actor.context import cancelled, current, here, inside
from actorrl.actor.mailbox import Envelope
from actorrl.actor.ref import ActorRef

REF: ActorRef[Any] = ActorRef("token", 1, 1, "Thing")


class Thing:
    """Does whatever a handler may do."""

    def __init__(self, value: int = 0) -> None:
        self.value = value
        self.ends: list[str] = []

    def add(self, n: int) -> int:
        self.value += n
        return self.value

    def fail(self) -> None:
        raise KeyError("no")

    def leave(self) -> None:
        raise SystemExit(3)

    def me(self) -> Any:
        return current(), cancelled()

    async def later(self, n: int) -> int:
        await asyncio.sleep(0)
        return n

    async def later_fails(self) -> None:
        await asyncio.sleep(0)
        raise ValueError("later")

    def numbers(self) -> Any:
        yield 1

    async def async_numbers(self) -> Any:
        yield 1

    def asks_what_is_not_there(self) -> Any:
        return self.nothing  # type: ignore[attr-defined]

    @batched(max_size=8)
    def double(self, n: list[int]) -> list[Any]:
        return [ValueError(f"bad {item}") if item < 0 else 2 * item for item in n]

    @batched()
    def broken(self, n: list[int]) -> list[int]:
        return n[1:]

    def on_stop(self) -> None:
        self.ends.append("stopped")


def cell(factory: Any = Thing, *args: Any) -> Cell:
    made = Cell(REF, "raise", 0, ())
    made.construct(factory, args, {})
    return made


def envelope(method: str, *args: Any, function: Any = None, **kwargs: Any) -> Envelope:
    return Envelope(1, 1, method, function is not None, (function, args, kwargs))


def decode(item: Envelope) -> Any:
    if isinstance(item.body, Exception):
        raise item.body
    return item.body


def handle(made: Cell, *run: Envelope, asked: bool = False) -> list[Outcome]:
    with inside(made, lambda: asked):
        if run[0].method in made.batched:
            outcomes = made.handle_batch(list(run), decode)
        else:
            outcomes = [Outcome(one, *made.handle(one, decode)) for one in run]
    assert [outcome.envelope for outcome in outcomes] == list(run)
    assert here.cell is None
    return outcomes


def test_a_method_a_function_and_a_coroutine_give_their_values():
    made = cell(Thing, 1)

    assert handle(made, envelope("add", n=2))[0].value == 3
    assert handle(made, envelope("f", 4, function=lambda thing, n: thing.value * n))[0].value == 12
    assert [handle(made, envelope("later", n))[0].value for n in (1, 2)] == [1, 2]


@pytest.mark.parametrize(
    ("method", "error", "text"),
    [
        ("fail", KeyError, "no"),
        ("later_fails", ValueError, "later"),
        ("nothing", AttributeError, "Thing has no method 'nothing'; it has add, "),
        ("value", TypeError, "Thing.value is a field or property, not a method"),
        ("numbers", TypeError, "Thing.numbers returned a generator"),
        ("async_numbers", TypeError, "Thing.async_numbers returned a generator"),
        ("add", TypeError, "missing 1 required positional argument"),
        ("asks_what_is_not_there", AttributeError, "has no attribute 'nothing'"),
    ],
)
def test_an_error_is_an_outcome_and_the_next_message_runs(method: str, error: type[Exception], text: str):
    made = cell()
    [outcome] = handle(made, envelope(method))

    assert type(outcome.error) is error
    assert text in str(outcome.error)
    assert handle(made, envelope("add", 1))[0].value == 1


def test_arguments_that_cannot_be_decoded_fail_their_call():
    [outcome] = handle(cell(), Envelope(1, 1, "add", False, ImportError("not here")))

    assert type(outcome.error) is ImportError


def test_leaving_is_raised():
    with pytest.raises(SystemExit) as leaving:
        cell().handle(envelope("leave"), decode)

    assert leaving.value.code == 3
    assert here.cell is None


@pytest.mark.parametrize("asked", [False, True])
def test_a_handler_knows_its_actor_and_whether_it_was_cancelled(asked: bool):
    assert handle(cell(), envelope("me"), asked=asked)[0].value == (REF, asked)
    with pytest.raises(RuntimeError, match="outside an actor"):
        current()
    assert not cancelled()


def test_a_constructor_may_be_any_callable_and_knows_its_actor():
    seen = []

    def factory(*args: Any) -> Thing:
        seen.append((args, current()))
        return Thing(9)

    async def slowly() -> Thing:
        return Thing(8)

    assert cell(factory, 1, 2).state.value == 9
    assert seen == [((1, 2), REF)]
    assert cell(slowly).state.value == 8


def test_a_batch_is_one_call_and_its_results_are_dealt_out():
    outcomes = handle(cell(), *(envelope("double", n) for n in (1, -2, 3)))

    assert [outcome.value for outcome in outcomes] == [2, None, 6]
    assert str(outcomes[1].error) == "bad -2"
    assert [outcomes[0].error, outcomes[2].error] == [None, None]


def test_a_call_that_does_not_fit_its_batch_fails_alone():
    bad = Envelope(1, 1, "double", False, ImportError("not here"))
    outcomes = handle(cell(), envelope("double", 1), envelope("double"), bad, envelope("double", n=4))

    assert [outcome.value for outcome in outcomes] == [2, None, None, 8]
    assert [type(outcome.error) for outcome in outcomes[1:3]] == [TypeError, ImportError]


def test_a_batch_of_the_wrong_length_fails_all_of_it():
    outcomes = handle(cell(), envelope("broken", 1), envelope("broken", 2))

    assert [str(outcome.error) for outcome in outcomes] == [
        "Thing.broken is batched: expected 2 results, one per call, got 1"
    ] * 2


def test_a_batched_method_that_is_called_alone_still_gets_lists():
    assert handle(cell(), envelope("double", 5))[0].value == 10


def test_coroutines_run_where_a_loop_runs_already():
    async def program() -> Any:
        return handle(cell(), envelope("later", 7))[0].value

    assert asyncio.run(program()) == 7


def test_the_hook_runs_at_the_end():
    made = cell()
    made.stopped()
    assert made.state.ends == ["stopped"]
    cell(lambda: 3).stopped()
