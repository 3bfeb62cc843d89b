"""The wiring of `Central`: N environment actors and the agent's actor, which drives them all.

    Runner ══ AgentRole ══ EnvironmentServer 0..N-1        ══ messages; one step in flight each
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from actorrl.actor import ActorRef, kill, startat, stop
from actorrl.rl.seeding import environment_seeds
from actorrl.training.arrangements import Central
from actorrl.training.environment_source import EnvironmentSource
from actorrl.training.remote_lanes import RESTARTED, EnvironmentServer, RemoteLanes, close_environment
from actorrl.training.roles import AgentRole, Marks, Recipe


@contextmanager
def wired_agent(
    arrangement: Central, recipe: Recipe, source: EnvironmentSource, marks: Marks
) -> Iterator[ActorRef[AgentRole]]:
    """The agent's role, in a system that runs. It and its environments are stopped when the block ends."""
    n, encode = arrangement.environments, recipe.encoder()
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
        close_environment(actor)


def central_agent(
    recipe: Recipe, servers: list[ActorRef[EnvironmentServer]], seeds: list[int], step_timeout: float, marks: Marks
) -> AgentRole:
    """What the agent's actor is made by."""
    return AgentRole(recipe, RemoteLanes(servers, seeds, step_timeout), marks)
