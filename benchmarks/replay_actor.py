"""The replay table as an actor: batches to one agent and to four, and rows in chunks, beside the plain object.

Agents ask through a `RemoteTable`, one batch ahead, as prioritised agents of SharedReplay do; rows are LunarLander's,
of 88 bytes, in a full buffer of 100,000. The time is that of the clock, over all processes.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from _contest import Row, contender, run

PLAIN = "plain ReplayTable"
CAPACITY = 100_000
BATCH = 64
ROWS = [
    Row("one", f"sample({BATCH}), one agent", "/s", (PLAIN, "one"), must="≥ 5,000 /s"),
    Row("four", f"sample({BATCH}), four agents together", "/s", must="≥ 8,000 /s"),
    Row("add", "rows added in chunks, one agent", "/s", (PLAIN, "add"), must="≥ 300,000 /s"),
]
LAYOUT = np.dtype(
    [
        ("observation", np.float32, (8,)),
        ("action", np.int64),
        ("reward", np.float32),
        ("observation_next", np.float32, (8,)),
        ("discount", np.float32),
    ],
    align=True,
)


def full_table() -> Any:
    from actorrl.rl.tables import ReplayTable

    table = ReplayTable(CAPACITY, np.random.default_rng(0))
    table.add(np.zeros(CAPACITY, LAYOUT))
    return table


def served() -> Any:
    """The actor's object around a full table."""
    from actorrl.training.replay_server import ReplayServer

    return ReplayServer(full_table())


class Agent:
    """Samples, and adds, as fast as it can."""

    def __init__(self, server: Any) -> None:
        from actorrl.training.replay_server import RemoteTable

        self.table = RemoteTable(server)
        self.table.add(np.zeros(1, LAYOUT))

    def sample(self, n: int) -> int:
        for _ in range(n):
            self.table.sample(BATCH)
        return n

    def add(self, n: int) -> int:
        from actorrl.training.replay_server import CHUNK

        rows = np.zeros(CHUNK, LAYOUT)
        for _ in range(n // CHUNK):
            self.table.add(rows)
        self.table.sample(1)  # answered when all of them are in
        return n


def per_second(work: Any) -> float:
    start = time.perf_counter()
    return float(work() / (time.perf_counter() - start))


@contender(PLAIN)
def plain(quick: bool) -> dict[str, float]:
    table, n = full_table(), 2_000 if quick else 50_000
    chunk = np.zeros(32, LAYOUT)
    return {
        "one": per_second(lambda: sum(table.sample(BATCH) is not None for _ in range(n))),
        "add": per_second(lambda: sum(len(chunk) for _ in range(n) if table.add(chunk) is None)),
    }


@contender("actorrl")
def actors(quick: bool) -> dict[str, float]:
    from actorrl import fetch, shutdown, startat

    server = startat(None, served)
    agents = [startat(None, Agent, server) for _ in range(4)]
    n = 500 if quick else 10_000
    fetch([agent.sample(n // 10) for agent in agents])
    found = {
        "one": per_second(lambda: fetch(agents[0].sample(n))),
        "four": per_second(lambda: sum(fetch([agent.sample(n) for agent in agents]))),
        "add": per_second(lambda: fetch(agents[0].add(50 * n))),
    }
    shutdown()
    return found


if __name__ == "__main__":
    run(__doc__, ROWS)
