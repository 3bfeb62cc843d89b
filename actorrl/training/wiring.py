"""From an arrangement to the roles the Runner advances. The wirings: central.py, shared_replay.py, dataflow.py.

None            Runner ── AgentRole ── LocalEnvironments                      one process, no pickling
Central         Runner ══ AgentRole ══ EnvironmentServer 0..N-1               ══ messages; one step in flight each
SharedReplay    Runner ══ AgentRole 0..m-1 ══ environments, one ReplayServer
Dataflow        Runner ══ ExplorerRole 0..E-1 ══ TrainerRole; environments inside the explorers
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from actorrl.actor import System
from actorrl.actor.engine import active, install
from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.lanes import InlineLanes
from actorrl.rl.seeding import environment_seeds
from actorrl.training.arrangements import Central, Dataflow, SharedReplay
from actorrl.training.central import wired_agent
from actorrl.training.dataflow import wired_dataflow
from actorrl.training.environment_source import EnvironmentSource
from actorrl.training.roles import AgentRole, InlineRef, Marks, Recipe
from actorrl.training.shared_replay import wired_agents

ENGINES = {"InlineEngine": "inline", "ProcessEngine": "processes", "RayEngine": "ray"}


@contextmanager
def wired(
    arrangement: Central | SharedReplay | Dataflow | None,
    engine: str,
    recipes: Sequence[Recipe],
    source: EnvironmentSource,
    marks: Sequence[Marks],
) -> Iterator[list[Any]]:
    """The roles, placed as the arrangement says; the `advance()` of each returns a Future of a Report."""
    if arrangement is None:
        recipe = recipes[0]
        k = getattr(recipe.agent, "n_envs", 1)
        environments = LocalEnvironments(source.makers(k), raw=recipe.bare, encode=recipe.encoder())
        lanes = InlineLanes([environments], environment_seeds(recipe.seed, k))
        try:
            yield [InlineRef(AgentRole(recipe, lanes, marks[0]))]
        finally:
            if source.copies:
                environments.close()
        return
    with running_system(engine, recipes[0].seed):
        if isinstance(arrangement, SharedReplay):
            with wired_agents(arrangement, recipes, source, marks) as roles:
                yield roles
        elif isinstance(arrangement, Dataflow):
            inline = engine == "inline"
            with wired_dataflow(arrangement, recipes[0], source, marks[0], inline=inline) as flow:
                yield [flow]
        else:
            with wired_agent(arrangement, recipes[0], source, marks[0]) as role:
                yield [role]


@contextmanager
def running_system(engine: str, seed: int) -> Iterator[None]:
    """The system that runs already, if its engine is the one asked for; else one for this block only.

    Raises:
        RuntimeError: another engine is running.
    """
    if active.engine is not None:
        kind = type(active.engine).__name__
        running = ENGINES.get(kind, kind)
        if running != engine:
            raise RuntimeError(
                f"train was asked for the engine {engine!r}, and a system with {running!r} is running: "
                f"shutdown() it first, or pass engine={running!r}"
            )
        yield
        return
    closed = active.closed
    try:
        with System(engine, seed):
            yield
    finally:
        if active.engine is None:
            install(None, closed=closed)  # as if it had never been: a later spawn may start the default one
