"""The wirings that are built: everything inline, or `Central` with environments and agent as actors.

`train` opens one as a context and gets the agent's role: an InlineRef or an ActorRef, the Runner cannot tell.

    None       Runner ── AgentRole ── LocalEnvironments                      one process, no pickling
    Central    Runner ══ AgentRole ══ EnvironmentServer 0..N-1               ══ messages; one step in flight each
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from actorrl.actor import ActorRef, System, kill, startat, stop
from actorrl.actor.engine import active, install
from actorrl.errors import ActorError
from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.lanes import InlineLanes
from actorrl.rl.seeding import environment_seeds
from actorrl.training.arrangements import Central
from actorrl.training.environment_source import EnvironmentSource
from actorrl.training.remote_lanes import RESTARTED, EnvironmentServer, RemoteLanes
from actorrl.training.roles import AgentRole, InlineRef, Marks, Recipe

log = logging.getLogger("actorrl")
ENGINES = {"InlineEngine": "inline", "ProcessEngine": "processes", "RayEngine": "ray"}


@contextmanager
def wired(
    arrangement: Central | None, engine: str, recipe: Recipe, source: EnvironmentSource, marks: Marks
) -> Iterator[Any]:
    """The agent's role, placed as the arrangement says; its `advance()` returns a Future of a Report."""
    encode = recipe.encoder()
    if arrangement is None:
        environments = LocalEnvironments(source.makers(1), raw=recipe.bare, encode=encode)
        lanes = InlineLanes([environments], environment_seeds(recipe.seed, 1))
        try:
            yield InlineRef(AgentRole(recipe, lanes, marks))
        finally:
            if source.copies:
                environments.close()
        return
    with running_system(engine, recipe.seed):
        n = arrangement.environments
        actors: list[ActorRef[Any]] = []
        try:
            for make in source.makers(n):
                server = startat(None, **RESTARTED)(EnvironmentServer)
                actors.append(server([make], raw=recipe.bare, encode=encode))
            seeds = environment_seeds(recipe.seed, n)
            actors.append(startat(None, central_agent, recipe, actors[:], seeds, arrangement.step_timeout, marks))
            yield actors[-1]
        except BaseException:
            for actor in reversed(actors):
                kill(actor)  # a step may never end, and nobody wants its result
            raise
        stop(actors.pop())
        for actor in actors:
            _close(actor)


def central_agent(
    recipe: Recipe, servers: list[ActorRef[EnvironmentServer]], seeds: list[int], step_timeout: float, marks: Marks
) -> AgentRole:
    """What the agent's actor is made by."""
    return AgentRole(recipe, RemoteLanes(servers, seeds, step_timeout), marks)


def _close(environment: ActorRef[EnvironmentServer]) -> None:
    """End an environment whose work is done; one that hangs now costs nothing but the time."""
    try:
        stop(environment)
    except (TimeoutError, ActorError) as error:
        log.warning("an environment did not close well: %s", error)


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
