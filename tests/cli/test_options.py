"""Options of every key a file may hold, split off before argparse sees the rest."""

from __future__ import annotations

import pytest

from actorrl.cli import tune
from actorrl.cli.options import read, split
from actorrl.cli.parser import number

KNOWN = {"seed": True, "run-dir": True, "dry-run": False}


def test_what_argparse_knows_is_left_to_it_with_hyphens():
    assert split(["cartpole", "--seed", "3", "--run_dir=x", "--dry-run"], KNOWN) == (
        ["cartpole", "--seed", "3", "--run-dir=x", "--dry-run"],
        {},
    )


def test_everything_else_is_a_key_with_a_value_wherever_it_stands():
    rest, others = split(["--agent.learning-rate", "1e-3", "cartpole", "--env.gravity", "-10", "--engine=ray"], KNOWN)

    assert rest == ["cartpole"]
    assert others == {"agent.learning-rate": "1e-3", "env.gravity": -10, "engine": "ray"}


def test_values_are_read_as_yaml():
    assert [read(text) for text in ("7", "0.5", "true", "none", "[1, 2]", "null", "{a: 1}", "a: [")] == [
        7,
        0.5,
        True,
        "none",
        [1, 2],
        None,
        {"a": 1},
        "a: [",
    ]


@pytest.mark.parametrize("text", ["100000", "1e5", "100_000", "1e5 "])
def test_a_count_is_an_int_however_it_is_written(text):
    assert number(text) == 100_000 and type(number(text)) is int
    assert type(tune.parser().parse_args(["cartpole", "--steps", text]).steps) is int
    assert number("2.5") == 2.5


def test_a_key_without_a_value_is_refused():
    for arguments in (["--agent.gamma"], ["--agent.gamma", "--seed", "1"]):
        with pytest.raises(ValueError, match=r"--agent\.gamma needs a value"):
            split(arguments, KNOWN)
