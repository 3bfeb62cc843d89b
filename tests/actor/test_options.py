"""Options and places: what is accepted, what it becomes, and what an error says."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from actorrl.actor.options import ON_RAY, Options, check_local, check_place


def test_the_defaults_are_what_the_contract_says():
    options = Options()

    assert (options.max_restarts, options.restart_window, options.backoff, options.checkpoint) == (0, 60.0, 0.1, None)
    assert (options.mailbox, options.on_full, options.on_failure) == (1024, "block", "raise")
    assert options.place == {}


def test_overriding_leaves_the_original_alone():
    first = Options().override({"name": "a", "threads": 2})
    second = first.override({"name": "b"})

    assert (first.name, second.name, second.threads) == ("a", "b", 2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.name = "c"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("key", "hint"),
    [("nam", "'name'"), ("thread", "'threads'"), ("on_fail", "'on_failure'"), ("max_restart", "'max_restarts'")],
)
def test_an_option_that_does_not_exist_names_the_nearest(key: str, hint: str):
    with pytest.raises(TypeError, match=rf"no option '{key}'; did you mean {hint}\?"):
        Options().override({key: 1})


def test_an_option_like_no_other_lists_them_all():
    with pytest.raises(TypeError, match="the options are name, max_restarts"):
        Options().override({"zzz": 1})


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"on_failure": "explode"}, ValueError, "one of raise, ignore, stop; got 'explode'"),
        ({"name": ""}, TypeError, "non-empty str; got ''"),
        ({"name": 3}, TypeError, "non-empty str; got 3"),
        ({"threads": 0}, ValueError, "threads must be an int of at least 1; got 0"),
        ({"threads": 1.5}, ValueError, "got 1.5"),
        ({"max_restarts": -1}, ValueError, "max_restarts must be an int of at least 0; got -1"),
        ({"max_restarts": True}, ValueError, "got True"),
        ({"restart_window": 0}, ValueError, "restart_window must be a number of seconds above 0; got 0"),
        ({"restart_window": float("inf")}, ValueError, "got inf"),
        ({"backoff": -0.1}, ValueError, "backoff must be a number of seconds, at least 0; got -0.1"),
        ({"backoff": "soon"}, ValueError, "got 'soon'"),
        ({"checkpoint": 0}, ValueError, "checkpoint must be None or an int of at least 1; got 0"),
        ({"gpus": -1}, ValueError, "gpus must be a number of at least 0; got -1"),
        ({"resources": ["tpu"]}, TypeError, "resources must be a dict"),
        ({"resources": {"tpu": "two"}}, ValueError, "got 'tpu': 'two'"),
    ],
)
def test_a_bad_value_says_what_was_expected_and_found(changes: dict[str, Any], error: type[Exception], text: str):
    with pytest.raises(error, match=text):
        Options().override(changes)


@pytest.mark.parametrize("key", ON_RAY)
def test_what_only_ray_has_is_refused_by_its_name_elsewhere(key: str):
    options = Options().override({"gpus": 1.0} if key == "gpus" else {"resources": {"tpu": 1}})

    check_local(0, Options(), "processes")
    with pytest.raises(ValueError, match=f"{key}.*Ray.*'processes'"):
        check_local(0, options, "processes")


@pytest.mark.parametrize(("cpus", "expected"), [(0, (0,)), ([0, 1], (0, 1)), (range(2), (0, 1)), ({3}, (3,))])
def test_cpus_become_a_tuple(cpus: Any, expected: tuple[int, ...]):
    assert Options().override({"cpus": cpus}).place == {"cpus": expected}


def test_variables_become_text():
    assert Options().override({"env": {"A": 1}}).place == {"env": {"A": "1"}}


def test_only_what_was_given_belongs_to_the_place():
    options = Options().override({"name": "a", "threads": 2, "cpus": None})

    assert options.place == {"threads": 2}


@pytest.mark.parametrize("place", [None, 0, 7, 10**9, "node"])
def test_a_place_is_none_a_number_or_a_name(place: Any):
    assert check_place(place) == place


@pytest.mark.parametrize(
    ("place", "error", "text"),
    [
        (-1, ValueError, "at least 0; got -1"),
        ("", TypeError, r"got '' \(str\)"),
        (True, TypeError, r"got True \(bool\)"),
        (1.0, TypeError, r"got 1.0 \(float\)"),
        (object, TypeError, "type"),
    ],
)
def test_anything_else_is_no_place(place: Any, error: type[Exception], text: str):
    with pytest.raises(error, match=text):
        check_place(place)


def test_a_name_is_a_place_on_ray_alone():
    with pytest.raises(ValueError, match=r"Ray.*'inline'.*got place 'node'"):
        check_local("node", Options(), "inline")
