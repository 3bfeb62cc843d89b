"""Batched methods: the mark, the lists that calls are gathered into, and the results dealt out again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorrl.actor.batched import Batching, batched, batching, deal, gather


class Adder:
    """A plain object with a batched method."""

    @batched(max_size=8, max_wait=0.5)
    def add(self, a: list[int], b: list[int] | int = 10, *, scale: list[int] | int = 1) -> list[int]:
        """Sums."""
        return [x + y for x, y in zip(a, b, strict=True)]  # type: ignore[arg-type]

    def plain(self, a: int) -> int:
        return a


class Overridden(Adder):
    def add(self, a: Any, b: Any = 10, *, scale: Any = 1) -> Any:
        return a


class Again(Overridden):
    @batched()
    def add(self, a: Any) -> Any:  # type: ignore[override]
        return a


def test_a_batched_method_is_called_as_written_on_a_plain_object():
    assert Adder().add([1, 2], [3, 4]) == [4, 6]
    assert Adder.add.__doc__ == "Sums."
    assert Adder.add.__name__ == "add"


def test_the_marks_are_found_and_an_override_without_one_takes_it_away():
    assert batching(Adder()) == {"add": Batching(8, 0.5)}
    assert batching(Overridden()) == {}
    assert batching(Again()) == {"add": Batching(64, 0.0)}
    assert batching(3) == {}


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"max_size": 0}, ValueError, "max_size must be an int of at least 1; got 0"),
        ({"max_size": 2.5}, ValueError, "got 2.5"),
        ({"max_wait": -1}, ValueError, "max_wait must be at least 0 seconds; got -1"),
        ({"max_wait": float("nan")}, ValueError, "got nan"),
        ({"max_size": lambda self: None}, TypeError, r"needs its parentheses"),
    ],
)
def test_a_bad_mark_says_what_is_wrong(options: dict[str, Any], error: type[Exception], text: str):
    with pytest.raises(error, match=text):
        batched(**options)


CALLS = st.lists(
    st.one_of(
        st.tuples(st.tuples(st.integers(), st.integers()), st.just({})),
        st.tuples(st.tuples(st.integers()), st.fixed_dictionaries({}, optional={"b": st.integers()})),
        st.tuples(st.just(()), st.fixed_dictionaries({"a": st.integers()}, optional={"scale": st.integers()})),
        st.just(((), {})),  # too few
        st.just(((1, 2, 3), {})),  # too many
        st.just(((1,), {"c": 3})),  # no such parameter
    ),
    max_size=10,
)


@given(CALLS)
def test_calls_become_one_list_per_parameter_and_those_that_do_not_fit_fail_alone(calls):
    fit, errors, lists = gather(Adder().add, calls)

    assert sorted([*fit, *errors]) == list(range(len(calls)))
    assert list(lists) == ["a", "b", "scale"]
    for place, index in enumerate(fit):
        args, kwargs = calls[index]
        given_ = dict(zip(("a", "b"), args, strict=False)) | kwargs
        expected = {"b": 10, "scale": 1} | given_
        assert {name: values[place] for name, values in lists.items()} == expected
    assert all(len(values) == len(fit) for values in lists.values())
    assert all(type(error) is TypeError and "Adder.add" in str(error) for error in errors.values())


def test_the_lists_hold_the_objects_themselves():
    item = object()
    _, _, lists = gather(Adder().add, [((item,), {})])

    assert lists["a"][0] is item


@pytest.mark.parametrize("results", [[1, 2], (1, 2), {1: "a", 2: "b"}, iter([1, 2]), range(1, 3)])
def test_any_sequence_of_the_right_length_is_dealt_out(results: Any):
    assert deal(results, 2, "Adder.add") == [1, 2]


def test_an_array_is_dealt_out_by_rows():
    np = pytest.importorskip("numpy")

    assert [row.tolist() for row in deal(np.eye(2), 2, "Adder.add")] == [[1, 0], [0, 1]]


@pytest.mark.parametrize("results", [None, 3, 2.5])
def test_what_is_no_sequence_is_refused(results: Any):
    with pytest.raises(ValueError, match=r"Adder.add is batched: expected a sequence of 2 results, got"):
        deal(results, 2, "Adder.add")


@pytest.mark.parametrize("results", [[], [1], [1, 2, 3]])
def test_the_wrong_number_of_results_is_refused(results: Any):
    with pytest.raises(ValueError, match=f"expected 2 results, one per call, got {len(results)}"):
        deal(results, 2, "Adder.add")
