"""The wiring of `Dataflow`: explorers that step vectors of environments, a trainer that learns from what they send.

    ExplorerRole 0 ── add(Round) ──► TrainerRole ◄── advance ── Runner (flow.py)
    ExplorerRole 1 ◄── take(...) ──┘     ▲
          ├────────── rows ──► ReplayServer        only where the agent learns from a replay buffer
          └── act(...), weights ──► PolicyServer   only where inference="served"

A round of an explorer is so many steps of each of its environments, with one version of the weights. Explorers and
trainer tell each other what there is to do; the Runner only looks how far they are.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

from actorrl.actor import ActorRef, kill, startat, stop
from actorrl.rl.exploration import epsilon_ladder
from actorrl.rl.nouns import Parts, Policy
from actorrl.rl.seeding import environment_seeds, seed_after
from actorrl.rl.tables import ReplayTable
from actorrl.training.arrangements import Dataflow
from actorrl.training.environment_source import EnvironmentSource
from actorrl.training.explorer_role import ExplorerRole
from actorrl.training.flow import Flow
from actorrl.training.policy_server import PolicyServer
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
    count = arrangement.trainers
    if count > 1 and not hasattr(parts.learner, "replicas"):
        raise TypeError(
            f"Dataflow(trainers={count}): the learner of {name} cannot be one of several; PPOConfig, A2CConfig, "
            f"ReinforceConfig and ImpalaConfig have one that can, which averages its gradients with the others'"
        )
    if count > 1 and parts.cadence.batch_size % count:
        raise ValueError(
            f"Dataflow(trainers={count}) deals every batch out in equal parts: expected a batch_size that {count} "
            f"divides, found {parts.cadence.batch_size}"
        )
    if arrangement.device != "cpu":
        if not hasattr(parts.learner, "to"):
            raise TypeError(f"Dataflow(device={arrangement.device!r}): the learner of {name} computes on the CPU only")
        parts.learner.to(arrangement.device)  # refuses one that is not there
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
    actors: list[ActorRef[Any]] = []
    files = tempfile.mkdtemp(prefix="actorrl-")
    try:
        parts = recipe.build()
        server = started_table(recipe, parts)
        actors += [] if server is None else [server]
        table = None if server is None else asked_table(server, parts)
        told = trainer_recipe(recipe, arrangement)
        trainers = started_trainers(arrangement, told, marks, table, files, inline=inline)
        actors += trainers
        servers = started_servers(arrangement, recipe)
        actors += servers
        explorers: list[ActorRef[ExplorerRole]] = []
        length = round_length(parts, arrangement)
        for one in explorer_arguments(arrangement, recipe, source, marks, length):
            sink = None if server is None else RemoteTable(server, agent=one["number"])
            one["trainer"] = trainers[one["number"] % len(trainers)]
            one["gives_way"] = arrangement.mode == "async" and not inline
            if servers:
                one |= {"server": servers[one["number"] % len(servers)], "groups": arrangement.groups}
            explorers.append(startat(None, **RESTARTED)(ExplorerRole)(**one, table=sink))
            actors.append(explorers[-1])
        yield Flow(trainers, explorers, arrangement, inline=inline)
    except BaseException:
        for actor in reversed(actors):
            kill(actor)  # a step may never end, and nobody wants its result
        raise
    finally:
        shutil.rmtree(files, ignore_errors=True)
    for explorer in explorers:
        close_environment(explorer)
    for trainer in trainers:
        stop(trainer)
    for policy in servers:
        stop(policy)
    if server is not None:
        stop(server)


def started_table(recipe: Recipe, parts: Parts) -> ActorRef[ReplayServer] | None:
    """The replay table as an actor; None where the trainer has a stream of its own."""
    if is_streamed(parts):
        return None
    rows = cast(ReplayTable, parts.table)
    if recipe.saved is not None and recipe.saved.table is not None:
        rows.load_state_dict(recipe.saved.table)
    return startat(None, ReplayServer, rows)


def asked_table(server: ActorRef[ReplayServer], parts: Parts) -> RemoteTable:
    """The replay table as the trainer sees it, who asks for batches and adds nothing."""
    return RemoteTable(server, tells_ids=cast(ReplayTable, parts.table).tells_ids, agent=-1, adds=False)


def started_servers(arrangement: Dataflow, recipe: Recipe) -> list[ActorRef[PolicyServer]]:
    """The policy servers; none where explorers act themselves."""
    if arrangement.inference == "inline":
        return []
    make = partial(_policy, explorer_recipe(recipe, arrangement, 0))
    spawn = startat(None, **RESTARTED)(PolicyServer)
    seed = recipe.seed if recipe.saved is None else seed_after(recipe.seed, recipe.saved.snapshot.steps)
    return [spawn(make, seed, p) for p in range(arrangement.policies)]


def _policy(recipe: Recipe) -> Policy:
    return recipe.build().policy


def explorer_arguments(
    arrangement: Dataflow, recipe: Recipe, source: EnvironmentSource, marks: Marks, length: int
) -> Iterator[dict[str, Any]]:
    """What each explorer is made of, but for whom it talks to. The steps of all are dealt out in whole vectors."""
    n, k = arrangement.explorers, arrangement.environments_per_explorer
    seeds, makers = environment_seeds(recipe.seed, n * k), source.makers(n * k)
    vectors, left = divmod(marks.total, k)
    for e in range(n):
        mine = slice(e * k, (e + 1) * k)
        yield {
            "recipe": explorer_recipe(recipe, arrangement, e),
            "makers": makers[mine],
            "seeds": seeds[mine],
            "number": e,
            "length": length,
            "limit": k * (vectors // n + (e < vectors % n)) + left * (e == n - 1),
            "reset": -(-marks.reset // (length * n * k)),  # in whole rounds
        }


def started_trainers(
    arrangement: Dataflow, recipe: Recipe, marks: Marks, table: Any, files: str, *, inline: bool
) -> list[ActorRef[TrainerRole]]:
    """The trainers. Inline one does the work of all: the numbers are the same, and nobody could wait for the others."""
    count, numbers = 1 if inline else arrangement.trainers, range(arrangement.explorers)
    if count == 1:
        role = startat(
            None, TrainerRole, recipe, marks, list(numbers), arrangement.lag, table, device=arrangement.device
        )
        return [role]
    config = recipe.agent
    shares = {name: getattr(config, name) // count for name in ("n_envs", "batch_size") if hasattr(config, name)}
    part = dataclasses.replace(config, **shares)
    mine, trainers = dataclasses.replace(recipe, agent=part), list[ActorRef[TrainerRole]]()
    for t in range(count):
        crew, first = (f"{files}/trainers", t, count), trainers[0] if t else None
        own = list(numbers[t::count])
        lag, device = arrangement.lag, arrangement.device
        trainers.append(startat(None, TrainerRole, mine, marks, own, lag, None, crew, first, device=device))
    return trainers


def explorer_recipe(recipe: Recipe, arrangement: Dataflow, explorer: int) -> Recipe:
    """The recipe of one explorer's policy: with its rung of the ladder, or schedules over its own steps."""
    config, n = recipe.agent, arrangement.explorers
    if arrangement.epsilon_ladder:
        config = _with_epsilon(config, epsilon_ladder(explorer, n))
    elif hasattr(config, "exploration_fraction") and config.total_steps:
        config = dataclasses.replace(config, total_steps=max(1, config.total_steps // n))
    return dataclasses.replace(recipe, agent=config)


def trainer_recipe(recipe: Recipe, arrangement: Dataflow) -> Recipe:
    """The trainer's, whose ε is only told: the mean of the ladder's, where there is one."""
    if not arrangement.epsilon_ladder:
        return recipe
    ladder = [epsilon_ladder(e, arrangement.explorers) for e in range(arrangement.explorers)]
    return dataclasses.replace(recipe, agent=_with_epsilon(recipe.agent, sum(ladder) / len(ladder)))


def _with_epsilon(config: Any, epsilon: float) -> Any:
    return dataclasses.replace(config, exploration_initial_eps=epsilon, exploration_final_eps=epsilon)
