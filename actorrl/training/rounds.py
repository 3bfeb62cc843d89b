"""What explorers, trainer and Runner of a `Dataflow` tell each other. Their roles: explorer_role.py, trainer_role.py.

    trainer ── take(Parameters, until) ──► explorer        explore on, until so many rounds have been sent
    explorer ── add(number, Round) ──► trainer             one round: so many steps of each of its environments
    Runner ── advance(allowed) ──► trainer ── Learned      what has come of it so far
"""

from __future__ import annotations

from typing import Any, NamedTuple

from actorrl.actor import share
from actorrl.rl.nouns import Array
from actorrl.rl.stopwatch import Times
from actorrl.rl.tracks import Episode
from actorrl.training.roles import Brought, Report

__all__ = ["Learned", "Leave", "Parameters", "Round", "as_parameters"]

SHARED_BYTES = 1 << 18
"""Weights of this size and more travel as shared memory; smaller ones cost less to copy."""


class Parameters(NamedTuple):
    """Weights as they travel."""

    weights: dict[str, Array]
    version: int


class Round(NamedTuple):
    """What one explorer did with one version of the weights."""

    number: int
    """How many rounds of this explorer came before."""
    fragments: list[Any]
    """What its window made of the steps; [] where they went to a replay table."""
    episodes: list[Episode]
    steps: int
    last: bool
    """Whether the explorer has nothing more to do; then the steps may be too few for a fragment."""
    version: int = 0
    """Of the weights it began with."""
    times: tuple[Times, ...] = ()
    """Where the time went of whoever sends it, up to the end of the slice before, and of those it speaks for."""
    state: dict[str, Any] | None = None
    """What it takes to go on from here, where the environments are reset after this round; else None."""
    brought: tuple[Brought, ...] = ()
    """The rounds that it stands for, where a trainer tells another one; else none."""


class Leave(NamedTuple):
    """What an explorer must know to begin, or to go on."""

    rounds: int
    """That have come from it."""
    steps: int
    """Environment steps in them."""
    parameters: Parameters | None
    until: int
    """How many rounds it may have sent before it waits."""
    state: dict[str, Any] | None = None
    """What it told of itself where its environments were last reset, if it goes on from a checkpoint."""


class Learned(NamedTuple):
    """The trainer's answer to `advance`."""

    report: Report
    rounds: int
    """Learned from so far."""


def as_parameters(weights: dict[str, Array], version: int) -> Parameters:
    """The weights, in shared memory where they are large. Copied either way before they may change."""
    large = sum(weight.nbytes for weight in weights.values()) >= SHARED_BYTES
    return Parameters(share(weights) if large else weights, version)
