"""The wiring of `SharedReplay`: m agents, each with its environments, around one replay table.

    environments 0, m, 2m, ...  ══ agent 0 ══╗
    environments 1, m+1, ...    ══ agent 1 ══╬══ ReplayServer        ══ messages
    ...                                      ╝

Each agent is the role that `Central` has one of: it drives its environments, one step in flight each, and learns from
everybody's rows. The agents know nothing of each other. With `together` its environments are plain objects in its own
process, and there are no servers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from actorrl.actor import ActorRef, fetch, kill, startat, stop, wait, watch
from actorrl.errors import ActorDied
from actorrl.rl.nouns import Parts
from actorrl.rl.rate_limiter import RateLimiter
from actorrl.rl.seeding import environment_seeds
from actorrl.rl.tables import ReplayTable
from actorrl.training.arrangements import SharedReplay
from actorrl.training.environment_source import EnvironmentSource
from actorrl.training.near_lanes import LATE, NearLanes
from actorrl.training.remote_lanes import RESTARTED, EnvironmentServer, RemoteLanes, close_environment
from actorrl.training.replay_server import CHUNK, TOGETHER, RemoteTable, ReplayServer
from actorrl.training.roles import AgentRole, Marks, Recipe

__all__ = ["check_shared", "shared_table", "wired_agents"]


def check_shared(configs: Sequence[Any], agents: Sequence[Parts]) -> None:
    """Refuse configs whose agents, built of them, cannot learn from each other's rows.

    Raises:
        TypeError: an agent without a replay table, or one that learns from its own policy's rows alone.
        ValueError: discounts that differ over several steps, or tables that differ.
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
    for name in ("prioritized", "buffer_size"):
        given = [getattr(config, name) for config in configs if hasattr(config, name)]
        if len(set(given)) > 1:
            raise ValueError(
                f"SharedReplay: there is one buffer, so agents have one {name}; found {', '.join(map(str, given))}"
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
        servers: list[Any] = source.makers(n)
        if not arrangement.together:
            for i, make in enumerate(servers):
                servers[i] = startat(None, **RESTARTED)(EnvironmentServer)([make], raw=False, encode=encode)
                actors.append(servers[i])
        seeds = environment_seeds(recipes[0].seed, n)
        gammas = tuple(parts.gamma for parts in agents)
        differing = gammas if len(set(gammas)) > 1 else None
        together = TOGETHER if rows.draws_alike else 1
        wired = Wired(table, arrangement, os.getpid(), differing, rows.tells_ids, together)
        for j in range(m):
            roles.append(startat(None, shared_agent, j, recipes[j], servers[j::m], seeds[j::m], marks[j], wired))
        yield roles
    except BaseException as error:
        named = explained(error, arrangement, roles)
        for actor in reversed(actors + roles):
            kill(actor)  # a step may never end, and nobody wants its result
        if named is not error:
            raise named from error
        raise
    for role in roles:
        stop(role)
    for server in actors[1:]:
        close_environment(server)
    stop(table)


def explained(error: BaseException, arrangement: SharedReplay, roles: Sequence[ActorRef[AgentRole]]) -> BaseException:
    """The error with the number of the agent in it, where that is what died, or with the reason."""
    if not isinstance(error, ActorDied) or error.cls != shared_agent.__name__:
        return error
    if error.exitcode == LATE and arrangement.together:
        return RuntimeError(
            f"an environment did not answer a step within step_timeout={arrangement.step_timeout:g} s, which "
            f"counts as a crash; it shares its agent's process (together=True), which cannot be restarted"
        )
    ends = [watch(role) for role in roles]
    wait(ends, timeout=1.0)
    for j, end in enumerate(ends):
        if end.done() and fetch(end).pid == error.pid:
            error.args = (f"agent {j} of {len(roles)} is gone, and with it the run: {error}",)
    return error


def shared_table(agents: Sequence[Parts], arrangement: SharedReplay) -> ReplayTable:
    """The first agent's table, for all, with the limiter that the arrangement asks for; its β goes by their updates.

    Raises:
        ValueError: a limiter by which both sides could wait for each other.
    """
    table, cadences = agents[0].table, [parts.cadence for parts in agents]
    assert isinstance(table, ReplayTable)
    table.shared_by(len(agents))
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


class Wired(NamedTuple):
    """What the agents of a run have in common."""

    table: ActorRef[ReplayServer]
    arrangement: SharedReplay
    driver: int
    """The process that wires."""
    gammas: tuple[float, ...] | None
    """What each agent discounts by; None where all discount alike."""
    tells_ids: bool
    """Whether batches come with ids and weights."""
    together: int
    """Batches that may come in one message."""


class HomeRole(AgentRole):
    """An agent with the environments that live in its process."""

    def __init__(self, recipe: Recipe, lanes: NearLanes, *args: Any, **kwargs: Any) -> None:
        super().__init__(recipe, lanes, *args, **kwargs)
        self._lanes = lanes

    def on_stop(self) -> None:
        """Close them when the actor ends."""
        self._lanes.close()


def shared_agent(
    j: int, recipe: Recipe, environments: Sequence[Any], seeds: Sequence[int], marks: Marks, wired: Wired
) -> AgentRole:
    """What an agent's actor is made by: `environments` are refs, or where they live with the agent what makes them."""
    arrangement = wired.arrangement
    table = RemoteTable(
        wired.table,
        tells_ids=wired.tells_ids,
        agent=j,
        paced=arrangement.samples_per_insert is not None,
        gamma=None if wired.gammas is None else wired.gammas[j],
        together=wired.together,
    )
    if not arrangement.together:
        lanes = RemoteLanes(environments, seeds, arrangement.step_timeout)
        return AgentRole(recipe, lanes, marks, table=table, number=j)
    alone = os.getpid() != wired.driver  # the driver is not ended for a step that hangs
    near = NearLanes(environments, seeds, arrangement.step_timeout if alone else None, recipe.encoder())
    return HomeRole(recipe, near, marks, table=table, number=j)
