"""The wiring of `SharedReplay`: m agents, each with its environments, around one replay table.

    environments 0, m, 2m, ...  ══ agent 0 ══╗
    environments 1, m+1, ...    ══ agent 1 ══╬══ ReplayServer        ══ messages
    ...                                      ╝

Each agent is the role that `Central` has one of: it drives its environments, one step in flight each, and learns from
everybody's rows. The agents know nothing of each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from actorrl.actor import ActorRef, kill, startat, stop
from actorrl.rl.nouns import Parts
from actorrl.rl.rate_limiter import RateLimiter
from actorrl.rl.seeding import environment_seeds
from actorrl.rl.tables import ReplayTable
from actorrl.training.arrangements import SharedReplay
from actorrl.training.environment_source import EnvironmentSource
from actorrl.training.remote_lanes import RESTARTED, EnvironmentServer, RemoteLanes, close_environment
from actorrl.training.replay_server import CHUNK, RemoteTable, ReplayServer
from actorrl.training.roles import AgentRole, Marks, Recipe

__all__ = ["check_shared", "shared_table", "wired_agents"]


def check_shared(configs: Sequence[Any], agents: Sequence[Parts]) -> None:
    """Refuse configs whose agents, built of them, cannot learn from each other's rows.

    Raises:
        TypeError: an agent without a replay table, or one that learns from its own policy's rows alone.
        ValueError: discounts that differ over several steps.
    """
    for j, (config, parts) in enumerate(zip(configs, agents, strict=True)):
        if not isinstance(parts.table, ReplayTable):
            raise TypeError(
                f"SharedReplay: agent {j} is a {type(config).__name__}, which does not learn from a replay buffer; "
                f"DQNConfig, SACConfig and TD3Config do, and configs of your own that build a ReplayTable"
            )
    gammas = {parts.gamma for parts in agents}
    if len(gammas) > 1 and any(parts.n_steps > 1 for parts in agents):
        raise ValueError(
            f"SharedReplay: agents with different gamma ({', '.join(f'{gamma:g}' for gamma in sorted(gammas))}) share "
            f"rows of one step only, since a row of several is a sum that was discounted already: give n_steps=1"
        )


@contextmanager
def wired_agents(
    arrangement: SharedReplay, recipes: Sequence[Recipe], source: EnvironmentSource, marks: Sequence[Marks]
) -> Iterator[list[ActorRef[AgentRole]]]:
    """The agents' roles, in a system that runs. What they stand on is stopped when the block ends."""
    m, n = arrangement.count, arrangement.environments
    encode = recipes[0].encoder()
    actors: list[ActorRef[Any]] = []
    roles: list[ActorRef[AgentRole]] = []
    try:
        agents = [recipe.build() for recipe in recipes]
        rows = shared_table(agents, arrangement)
        saved = recipes[0].saved.table if recipes[0].saved is not None else None
        if saved is not None:
            rows.load_state_dict(saved)
        table = startat(None, ReplayServer, rows)
        actors.append(table)
        servers: list[ActorRef[EnvironmentServer]] = []
        for i, make in enumerate(source.makers(n)):
            spawn = startat(i % m if arrangement.together else None, **RESTARTED)(EnvironmentServer)
            servers.append(spawn([make], raw=False, encode=encode))
            actors.append(servers[-1])
        seeds = environment_seeds(recipes[0].seed, n)
        same = len({parts.gamma for parts in agents}) == 1
        for j in range(m):
            place = j if arrangement.together else None
            gamma = None if same else agents[j].gamma
            role = startat(
                place, shared_agent, j, recipes[j], table, servers[j::m], seeds[j::m], arrangement, marks[j], gamma
            )
            roles.append(role)
        yield roles
    except BaseException:
        for actor in reversed(actors + roles):
            kill(actor)  # a step may never end, and nobody wants its result
        raise
    for role in roles:
        stop(role)
    for server in servers:
        close_environment(server)
    stop(table)


def shared_table(agents: Sequence[Parts], arrangement: SharedReplay) -> ReplayTable:
    """The first agent's table, for all, with the limiter that the arrangement asks for.

    Raises:
        ValueError: a limiter by which both sides could wait for each other.
    """
    table, cadences = agents[0].table, [parts.cadence for parts in agents]
    assert isinstance(table, ReplayTable)
    if arrangement.samples_per_insert is not None:
        table.limit(
            RateLimiter(
                max(1, *(cadence.learning_starts for cadence in cadences)),
                arrangement.samples_per_insert,
                arrangement.tolerance,
                insert_size=CHUNK,
                sample_size=max(cadence.batch_size for cadence in cadences),
            )
        )
    return table


def shared_agent(
    j: int,
    recipe: Recipe,
    server: ActorRef[ReplayServer],
    environments: Sequence[ActorRef[EnvironmentServer]],
    seeds: Sequence[int],
    arrangement: SharedReplay,
    marks: Marks,
    gamma: float | None,
) -> AgentRole:
    """What an agent's actor is made by; it discounts by a `gamma` of its own where one is given."""
    table = RemoteTable(
        server,
        prioritized=bool(getattr(recipe.agent, "prioritized", False)),
        agent=j,
        paced=arrangement.samples_per_insert is not None,
        gamma=gamma,
    )
    return AgentRole(recipe, RemoteLanes(environments, seeds, arrangement.step_timeout), marks, table=table, number=j)
