"""The wiring of `Dataflow`: explorers that step vectors of environments, a trainer that learns from what they send.

    ExplorerRole 0 ── add(Round) ──► TrainerRole ◄── advance ── Runner (flow.py)
    ExplorerRole 1 ◄── take(...) ──┘     ▲
          └────────── rows ──► ReplayServer        only where the agent learns from a replay buffer

A round of an explorer is so many steps of each of its environments, with one version of the weights. Explorers and
trainer tell each other what there is to do; the Runner only looks how far they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from actorrl.actor import ActorRef, kill, startat, stop
from actorrl.rl.exploration import epsilon_ladder
from actorrl.rl.nouns import Parts
from actorrl.rl.seeding import environment_seeds
from actorrl.training.arrangements import Dataflow
from actorrl.training.environment_source import EnvironmentSource
from actorrl.training.explorer_role import ExplorerRole
from actorrl.training.flow import Flow
from actorrl.training.remote_lanes import RESTARTED, close_environment
from actorrl.training.replay_server import RemoteTable, ReplayServer
from actorrl.training.roles import Marks, Recipe
from actorrl.training.trainer_role import TrainerRole

__all__ = ["check_streamed", "round_length", "wired_dataflow"]


def is_streamed(parts: Parts) -> bool:
    """Whether the agent learns from fragments, which its table says by bringing the window that makes them."""
    return hasattr(parts.table, "window")


def check_streamed(config: Any, parts: Parts, arrangement: Dataflow) -> None:
    """Refuse (TypeError, ValueError) an agent and an arrangement that do not fit each other."""
    name = type(config).__name__
    if not is_streamed(parts) and not hasattr(parts.table, "draw"):
        raise TypeError(
            f"Dataflow sends fragments to a trainer, or rows to a replay table that is an actor: expected of {name} "
            f"a table with a window of its own, or a ReplayTable, found {type(parts.table).__name__}"
        )
    if arrangement.epsilon_ladder and not hasattr(config, "exploration_final_eps"):
        raise ValueError(f"Dataflow(epsilon_ladder=True): {name} has no ε; leave it out, or use DQNConfig")


def round_length(parts: Parts, arrangement: Dataflow) -> int:
    """Steps of each environment per round: what an update needs, and of rows as many as are worth a message."""
    due = -(-parts.cadence.train_freq // arrangement.environments)
    return due if is_streamed(parts) else max(due, arrangement.fragment_length)


@contextmanager
def wired_dataflow(
    arrangement: Dataflow, recipe: Recipe, source: EnvironmentSource, marks: Marks, *, inline: bool
) -> Iterator[Flow]:
    """What the Runner drives, in a system that runs. The actors are stopped when the block ends."""
    n, k = arrangement.explorers, arrangement.environments_per_explorer
    seeds, makers = environment_seeds(recipe.seed, n * k), source.makers(n * k)
    parts = recipe.build()
    length, prioritized = round_length(parts, arrangement), bool(getattr(recipe.agent, "prioritized", False))
    actors: list[ActorRef[Any]] = []
    try:
        server = None if is_streamed(parts) else startat(None, ReplayServer, parts.table)
        actors += [] if server is None else [server]
        table = None if server is None else RemoteTable(server, prioritized=prioritized, agent=n, adds=False)
        trainer = startat(None, TrainerRole, recipe, marks, n, arrangement.lag, table)
        actors.append(trainer)
        explorers: list[ActorRef[ExplorerRole]] = []
        for e in range(n):
            mine = slice(e * k, (e + 1) * k)
            limit = marks.total // (n * k) * k + k * (e < marks.total // k % n)
            if e == n - 1:
                limit += marks.total % k
            sink = None if server is None else RemoteTable(server, agent=e)
            spawn = startat(None, **RESTARTED)(ExplorerRole)
            own = explorer_recipe(recipe, arrangement, e)
            explorers.append(spawn(own, makers[mine], seeds[mine], e, trainer, length, limit, sink))
            actors.append(explorers[-1])
        yield Flow(trainer, explorers, arrangement, inline=inline)
    except BaseException:
        for actor in reversed(actors):
            kill(actor)  # a step may never end, and nobody wants its result
        raise
    for explorer in explorers:
        close_environment(explorer)
    stop(trainer)
    if server is not None:
        stop(server)


def explorer_recipe(recipe: Recipe, arrangement: Dataflow, explorer: int) -> Recipe:
    """The recipe of one explorer's policy: with its rung of the ladder, or schedules over its own steps."""
    config, n = recipe.agent, arrangement.explorers
    if arrangement.epsilon_ladder:
        epsilon = epsilon_ladder(explorer, n)
        config = dataclasses.replace(config, exploration_initial_eps=epsilon, exploration_final_eps=epsilon)
    elif hasattr(config, "exploration_fraction") and config.total_steps:
        config = dataclasses.replace(config, total_steps=max(1, config.total_steps // n))
    return dataclasses.replace(recipe, agent=config)
