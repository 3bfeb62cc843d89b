"""What counts as plain: it can be kept for a while and pickled with others, and nobody can tell."""

from __future__ import annotations

import math
import pickle
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorrl.actor.frames import CALL, pack
from actorrl.actor.plain import FEW, FIRST, SHORT, is_plain, pack_plain, unpack_plain

ATOM = st.one_of(st.integers(), st.floats(), st.booleans(), st.none(), st.text(max_size=50), st.binary(max_size=50))
PLAIN = st.recursive(ATOM, lambda inner: st.lists(inner, max_size=5).map(tuple), max_leaves=20)


@given(st.lists(PLAIN, max_size=6))
def test_plain_values_cross_together_and_unchanged(values):
    assert all(is_plain(value) for value in values)
    back = unpack_plain(pack_plain([7, *((1, 2, "add", value) for value in values)]))

    assert back[0] == 7
    assert repr([entry[3] for entry in back[1:]]) == repr(values)


class Number(int):
    """Looks like an int and may be changed."""


class Colour(IntEnum):
    RED = 1


@pytest.mark.parametrize(
    "value",
    [
        *([1], {"a": 1}, {1}, bytearray(b"x"), Number(1), Colour.RED, (1, [2]), object()),
        *("x" * (SHORT + 1), (1,) * (FEW + 1)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_may_change_or_is_large_is_not_plain(value: Any):
    assert not is_plain(value)


def test_a_frame_is_never_taken_for_plain_values():
    assert pack_plain([1])[0] == FIRST == pickle.dumps(None, 5)[0]
    assert pack(CALL, 1, 1, 1)[0] != FIRST
    assert is_plain(math.nan)


@pytest.mark.parametrize("entries", [[], [None], ["a"], (1, 2), {"a": 1}, 5], ids=repr)
def test_a_pickle_of_something_else_is_refused(entries: Any):
    with pytest.raises(ValueError, match="not a message of plain values"):
        unpack_plain(pickle.dumps(entries, 5))


@given(st.binary(max_size=200))
def test_bytes_of_anybody_else_are_refused(raw):
    with pytest.raises(ValueError, match="not a message of plain values"):
        unpack_plain(raw)
