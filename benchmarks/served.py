"""Acting as a service: how many requests a policy server answers, and for which networks it pays.

    requests     one explorer that steps one environment, asks for the next action and waits for it; then 8 of them at
                 once; then 8 with two environments each, in two groups of one. CartPole, a network of 2 × 64.
                 "Requests alone" are of clients that step nothing: what is left is message, batch and network
    networks     steps a second of 8 explorers with two environments each, which cost nothing to step: a policy server
                 and two groups, beside a copy of the network in each explorer

Observations are 32 floats, for the convolutions pictures of 84 × 84. Everybody explores, and records fragments.
"""

from __future__ import annotations

import time
from typing import Any

import gymnasium
import numpy as np
from _contest import Row, contender, run

OURS, COPIES = "actorrl", "a copy in each explorer"
EXPLORERS = 8
NETWORKS = {"2 × 64": (64,) * 2, "2 × 256": (256,) * 2, "2 × 1024": (1024,) * 2, "4 × 2048": (2048,) * 4, "CNN": (512,)}
QUICK = ["2 × 64", "2 × 1024"]
ROWS = [
    Row("one", "one explorer, one environment", "/s", picture=False),
    Row("1 group", f"{EXPLORERS} explorers × 1 environment", "/s", (OURS, "one"), must="≥ 2.5 ×"),
    Row("2 groups", f"{EXPLORERS} explorers × 2 groups of 1", "/s", (OURS, "one"), must="≥ 4 ×"),
    Row("bare one", "requests alone, one client", "/s", picture=False),
    Row("bare 1", f"requests alone, {EXPLORERS} clients", "/s", (OURS, "bare one")),
    Row("bare 2", f"requests alone, {EXPLORERS} clients, two in flight each", "/s", (OURS, "bare one")),
    *(Row(name, f"steps of {EXPLORERS} explorers, {name}", "/s", (COPIES, name)) for name in NETWORKS),
]


class Still(gymnasium.Env[Any, Any]):
    """Nothing happens: 32 floats, or a picture."""

    action_space = gymnasium.spaces.Discrete(4)

    def __init__(self, picture: bool = False) -> None:
        box = gymnasium.spaces.Box
        self.observation_space = box(0, 255, (84, 84), np.uint8) if picture else box(-1, 1, (32,), np.float32)
        self._observation = np.zeros(self.observation_space.shape or (), self.observation_space.dtype)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        return self._observation, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self._observation, 0.0, False, False, {}


def make_environment(name: str) -> gymnasium.Env[Any, Any]:
    return gymnasium.make("CartPole-v1", disable_env_checker=True) if name == "CartPole" else Still(name == "CNN")


def make_policy(name: str) -> Any:
    """The policy of PPO, with one of the networks as it comes; nobody learns."""
    from actorrl.rl.acting import q_function
    from actorrl.rl.drawing import head_for
    from actorrl.rl.networks import make_network
    from actorrl.rl.stochastic_policy import StochasticPolicy

    environment = make_environment(name)
    head = head_for(environment.action_space, "PPO")
    sizes = NETWORKS.get(name, (64, 64))
    module = make_network(environment.observation_space, head.outputs, hidden_sizes=sizes, seed=0, tanh=name != "CNN")
    return StochasticPolicy(q_function(module), head)


class Forgetful:
    """A sink that makes fragments and drops them."""

    def __init__(self) -> None:
        from actorrl.rl.fragments import FragmentWindow

        self.window = FragmentWindow(32)

    def add(self, fragments: Any) -> None:
        pass


class Client:
    """An explorer, or what only asks."""

    def __init__(self) -> None:
        self.explorer: Any = None
        self.policy: Any = None

    def explore(self, name: str, groups: int, k: int, server: Any = None) -> None:
        """Be an explorer with so many groups of k environments, and a server or a policy of its own."""
        from actorrl.rl.environments import LocalEnvironments
        from actorrl.rl.explorer import Explorer
        from actorrl.rl.lanes import InlineLanes
        from actorrl.training.policy_server import ServedPolicy

        policy = make_policy(name) if server is None else ServedPolicy(server, make_policy("CartPole"))
        made = [LocalEnvironments([lambda: make_environment(name)] * k) for _ in range(groups)]
        seeds = list(range(groups * k))
        self.explorer = Explorer(InlineLanes(made, seeds), policy, Forgetful(), seed=0)

    def steps(self, seconds: float) -> int:
        """Explore for so long; the steps that were made."""
        end, before = time.perf_counter() + seconds, self.explorer.steps
        while time.perf_counter() < end:
            self.explorer.advance(64)
        return int(self.explorer.steps - before)

    def ask(self, server: Any) -> None:
        """Be one who only asks."""
        from actorrl.training.policy_server import ServedPolicy

        self.policy = ServedPolicy(server, make_policy("CartPole"))

    def requests(self, seconds: float, flying: int) -> int:
        """Keep so many requests in flight for so long; the answers that came."""
        policy, count, asking = self.policy, 0, list(range(flying))
        observation, end = np.zeros((1, 4), np.float32), time.perf_counter() + seconds
        waiting = 0
        while waiting or asking:
            for lane in asking:
                policy.ask(lane, observation, (), 0, explore=True, action_mask=None)
            waiting += len(asking)
            answers = policy.answers(True)
            count, waiting = count + len(answers), waiting - len(answers)
            asking = [lane for lane, _ in answers] if time.perf_counter() < end else []
        return count


def per_second(clients: list[Any], method: str, seconds: float, *args: Any) -> float:
    """What all clients did together in a second, after some to warm up."""
    from actorrl import fetch

    fetch([getattr(client, method)(seconds / 4, *args) for client in clients])
    begin = time.perf_counter()
    done = sum(fetch([getattr(client, method)(seconds, *args) for client in clients]))
    return done / (time.perf_counter() - begin)


def names_and_seconds(quick: bool) -> tuple[list[str], float]:
    return (QUICK, 0.3) if quick else (list(NETWORKS), 3.0)


@contender(OURS)
def requests(quick: bool) -> dict[str, float]:
    from actorrl import fetch, shutdown, startat
    from actorrl.training.policy_server import PolicyServer

    _, seconds = names_and_seconds(quick)
    make_policy("CartPole")  # so that what it imports is there in every process that starts
    server = startat(None, PolicyServer, lambda: make_policy("CartPole"), 0)
    clients = [startat(None, Client) for _ in range(EXPLORERS)]
    found = {}
    for key, groups, who in (("one", 1, clients[:1]), ("1 group", 1, clients), ("2 groups", 2, clients)):
        fetch([client.explore("CartPole", groups, 1, server) for client in who])
        found[key] = per_second(who, "steps", seconds)
    for key, flying, who in (("bare one", 1, clients[:1]), ("bare 1", 1, clients), ("bare 2", 2, clients)):
        fetch([client.ask(server) for client in who])
        found[key] = per_second(who, "requests", seconds, flying)
    shutdown()
    return found


@contender(OURS)
def served(quick: bool) -> dict[str, float]:
    from actorrl import fetch, shutdown, startat, stop
    from actorrl.training.policy_server import PolicyServer

    names, seconds = names_and_seconds(quick)
    make_policy(names[0])  # so that what it imports is there in every process that starts
    clients = [startat(None, Client) for _ in range(EXPLORERS)]
    found = {}
    for name in names:
        server = startat(None, PolicyServer, lambda name=name: make_policy(name), 0)
        fetch([client.explore(name, 2, 1, server) for client in clients])
        found[name] = per_second(clients, "steps", seconds)
        stop(server)
    shutdown()
    return found


@contender(COPIES)
def copies(quick: bool) -> dict[str, float]:
    from actorrl import fetch, shutdown, startat

    names, seconds = names_and_seconds(quick)
    make_policy(names[0])  # so that what it imports is there in every process that starts
    clients = [startat(None, Client) for _ in range(EXPLORERS)]
    found = {}
    for name in names:
        fetch([client.explore(name, 1, 2) for client in clients])
        found[name] = per_second(clients, "steps", seconds)
    shutdown()
    return found


if __name__ == "__main__":
    run(__doc__, ROWS)
