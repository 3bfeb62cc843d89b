"""`--from RUN_DIR`: a run begins with what another has learned, and with nothing else of it.

Weights and the scales of observations and rewards that they were learned with are taken over; Adam's moments, counts,
generators and experience are not, so that schedules begin at their beginning.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from actorrl.training import checkpoints
from actorrl.training.copies import copy_of
from actorrl.training.roles import Recipe
from actorrl.training.run_directory import RunDirectory

__all__ = ["begun_with"]

COUNTS = ("updates", "steps", "rows", "owed", "bursts")


def begun_with(recipes: Sequence[Recipe], source: str | Path) -> list[Recipe]:
    """The recipes, each beginning with the weights of the best checkpoint of the run in `source`; else its last one.

    Raises:
        FileNotFoundError: no run directory, or no checkpoint in it. ValueError: weights of another shape, or an agent
            that was pickled.
    """
    directory = RunDirectory.existing(source)
    there = [path for which in ("best", "final", "latest") if (path := directory.checkpoint(which)).exists()]
    if not there:
        raise FileNotFoundError(f"--from {source}: the run has no checkpoint, it did not get that far")
    if checkpoints.is_pickle(there[0]):
        raise ValueError(
            f"--from {source}: the agent there was pickled, as it has no state_dict to take weights from: give its "
            f"class state_dict and load_state_dict and train it again, or go on with that run, actorrl resume {source} "
            f"--steps N --trust"
        )
    state = checkpoints.load_state(there[0])
    return [_begun(recipe, state, source) for recipe in recipes]


def _begun(recipe: Recipe, state: dict[str, Any], source: str | Path) -> Recipe:
    if recipe.bare:
        agent = copy_of(recipe.agent)
        if not hasattr(agent, "load_state_dict"):
            raise ValueError(f"--from {source}: a {type(agent).__name__} has no load_state_dict to take weights with")
        agent.load_state_dict(state)
        return dataclasses.replace(recipe, agent=agent)
    own = recipe.build().learner.state_dict()
    prefix = "learner."
    found = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
    weights = {name: value for name, value in found.items() if is_weight(name)}
    for name in sorted({*filter(is_weight, own), *weights}):
        shapes = [np.shape(one[name]) if name in one else None for one in (own, weights)]
        if shapes[0] != shapes[1]:
            mine, theirs = ("is not there" if shape is None else f"has the shape {shape}" for shape in shapes)
            raise ValueError(
                f"--from {source}: the weights there are those of another network or algorithm: in this run {name} "
                f"{mine}, in that one it {theirs}. The agent must be the same, but for its schedules"
            )
    return dataclasses.replace(recipe, weights=weights)


def is_weight(name: str) -> bool:
    """Whether an entry of a learner's state_dict is something learned, and not how far learning has come."""
    parts = name.split(".")
    return name not in COUNTS and "adam" not in parts and parts[0] not in ("noise", "temperature")
