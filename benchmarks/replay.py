"""The replay table as a plain object, beside a bare numpy ring and the buffers of other libraries, where installed.

Measured: calls per second of processor time (that of the clock, where nothing else runs) in one thread, on transitions
like LunarLander's (two observations of eight float32, action, reward, discount or flag) in a full buffer of 100,000:
one transition added from its fields, 64 added at once (counted in rows), batches of 32 and 256 drawn uniformly, batches
of 256 drawn by priority with their weights, and 256 priorities replaced. Rounds are interleaved; the table shows
medians, and the ratios are taken inside each round.

The bare ring is the least one can write: one structured array, a counter and `.take`; a batch of it is a structured
array, while the others hand out one array or tensor per field. Each library is called by its own documented interface
with its own kind of rows, made beforehand. Stable-Baselines3 has no way to add several rows of one environment and no
priorities.
"""

from __future__ import annotations

import importlib.metadata
import sys
import time
from collections.abc import Callable
from typing import Any

import _report
import numpy as np

from actorrl.rl.samplers import Prioritized
from actorrl.rl.tables import ReplayTable

CHUNK = 64
WIDTH = 8  # numbers in an observation
PEERS = {"Stable-Baselines3": "stable-baselines3", "Tianshou": "tianshou", "TorchRL": "torchrl", "cpprb": "cpprb"}
LAYOUT = np.dtype(
    [
        ("observation", np.float32, (WIDTH,)),
        ("action", np.int64),
        ("reward", np.float32),
        ("observation_next", np.float32, (WIDTH,)),
        ("discount", np.float32),
    ],
    align=True,
)
CELLS = ["add", f"add {CHUNK}", "sample 32", "sample 256", "prioritised 256", "update 256"]
Calls = dict[str, Callable[[], Any]]

rng = np.random.default_rng(0)
fields = (rng.normal(size=WIDTH).astype(np.float32), 1, 0.5, rng.normal(size=WIDTH).astype(np.float32), 0.99)
chunk = np.zeros(CHUNK, LAYOUT)
chunk["observation"] = rng.normal(size=(CHUNK, WIDTH))
td = rng.exponential(size=256).astype(np.float32)


class BareRing:
    """The least one can write."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.rows = np.zeros(capacity, LAYOUT)
        self.bytes = self.rows.view((np.void, LAYOUT.itemsize))  # numpy copies a record faster without its fields
        self.inserted = 0
        self.rng = np.random.default_rng(0)

    def add(self, row: tuple[Any, ...]) -> None:
        self.rows[self.inserted % self.capacity] = row
        self.inserted += 1

    def add_many(self, rows: np.ndarray) -> None:
        slot, count = self.inserted % self.capacity, len(rows)
        room = self.capacity - slot
        rows = rows.view(self.bytes.dtype)
        self.bytes[slot : slot + count] = rows[:room]
        if count > room:
            self.bytes[: count - room] = rows[room:]
        self.inserted += count

    def sample(self, n: int) -> np.ndarray:
        return self.rows.take(self.rng.integers(0, min(self.inserted, self.capacity), n))


def bare_ring(capacity: int) -> Calls:
    ring = BareRing(capacity)
    fill(capacity // CHUNK + 1, lambda: ring.add_many(chunk))
    return {
        "add": lambda: ring.add(fields),
        f"add {CHUNK}": lambda: ring.add_many(chunk),
        "sample 32": lambda: ring.sample(32),
        "sample 256": lambda: ring.sample(256),
    }


def actorrl(capacity: int) -> Calls:
    table = ReplayTable(capacity, np.random.default_rng(0))
    prioritised = ReplayTable(capacity, np.random.default_rng(0), sampler=Prioritized())
    fill(capacity // CHUNK + 1, lambda: table.add(chunk))
    fill(capacity // CHUNK + 1, lambda: prioritised.add(chunk))
    ids = spread_out(lambda n: prioritised.sample(n).ids, prioritised.update_priorities)
    return {
        "add": lambda: table.add(fields),
        f"add {CHUNK}": lambda: table.add(chunk),
        "sample 32": lambda: table.sample(32),
        "sample 256": lambda: table.sample(256),
        "prioritised 256": lambda: prioritised.sample(256),
        "update 256": lambda: prioritised.update_priorities(ids, td),
    }


def spread_out(draw: Callable[[int], Any], update: Callable[[Any, np.ndarray], None]) -> Any:
    """Give many rows priorities of their own; returns the ids of a batch."""
    for _ in range(100):
        ids = draw(256)
        update(ids, rng.exponential(size=256).astype(np.float32))
    return ids


def stable_baselines3(capacity: int) -> Calls:
    from gymnasium.spaces import Box, Discrete
    from stable_baselines3.common.buffers import ReplayBuffer

    buffer = ReplayBuffer(capacity, Box(-1, 1, (WIDTH,)), Discrete(4), device="cpu")
    row = (fields[0][None], fields[3][None], np.array([1]), np.array([0.5]), np.array([False]), [{}])
    fill(capacity, lambda: buffer.add(*row))
    return {
        "add": lambda: buffer.add(*row),
        "sample 32": lambda: buffer.sample(32),
        "sample 256": lambda: buffer.sample(256),
    }


def tianshou(capacity: int) -> Calls:
    from tianshou.data import Batch, PrioritizedReplayBuffer, ReplayBuffer

    buffer = ReplayBuffer(capacity)
    prioritised = PrioritizedReplayBuffer(capacity, alpha=0.6, beta=0.4)
    row = Batch(obs=fields[0], act=1, rew=0.5, terminated=False, truncated=False, obs_next=fields[3], info={})
    fill(capacity, lambda: buffer.add(row))
    fill(capacity, lambda: prioritised.add(row))
    ids = spread_out(lambda n: prioritised.sample(n)[1], prioritised.update_weight)
    return {
        "add": lambda: buffer.add(row),
        "sample 32": lambda: buffer.sample(32),
        "sample 256": lambda: buffer.sample(256),
        "prioritised 256": lambda: prioritised.sample(256),
        "update 256": lambda: prioritised.update_weight(ids, td),
    }


def torchrl(capacity: int) -> Calls:
    import torch
    from tensordict import TensorDict
    from torchrl.data import LazyTensorStorage, ReplayBuffer, TensorDictPrioritizedReplayBuffer

    buffer = ReplayBuffer(storage=LazyTensorStorage(capacity))
    rows = TensorDict({name: torch.as_tensor(chunk[name].copy()) for name in LAYOUT.names}, [CHUNK])
    row, errors = rows[0], torch.as_tensor(td)
    fill(capacity // CHUNK + 1, lambda: buffer.extend(rows))
    calls = {
        "add": lambda: buffer.add(row),
        f"add {CHUNK}": lambda: buffer.extend(rows),
        "sample 32": lambda: buffer.sample(32),
        "sample 256": lambda: buffer.sample(256),
    }
    try:
        prioritised = TensorDictPrioritizedReplayBuffer(alpha=0.6, beta=0.4, storage=LazyTensorStorage(capacity))
    except RuntimeError as error:  # its trees are an extension, built for some versions of torch
        print(f"TorchRL without priorities: {error}", file=sys.stderr)
        return calls
    fill(capacity // CHUNK + 1, lambda: prioritised.extend(rows))
    ids = spread_out(
        lambda n: prioritised.sample(n)["index"],
        lambda ids, values: prioritised.update_priority(ids, torch.as_tensor(values)),
    )
    return calls | {
        "prioritised 256": lambda: prioritised.sample(256),
        "update 256": lambda: prioritised.update_priority(ids, errors),
    }


def cpprb(capacity: int) -> Calls:
    from cpprb import PrioritizedReplayBuffer, ReplayBuffer

    shapes = {
        "observation": {"shape": WIDTH},
        "action": {"dtype": np.int64},
        "reward": {},
        "observation_next": {"shape": WIDTH},
        "discount": {},
    }
    buffer, prioritised = ReplayBuffer(capacity, shapes), PrioritizedReplayBuffer(capacity, shapes, alpha=0.6)
    row = dict(zip(LAYOUT.names, fields, strict=True))
    rows = {name: chunk[name].copy() for name in LAYOUT.names}
    fill(capacity // CHUNK + 1, lambda: buffer.add(**rows))
    fill(capacity // CHUNK + 1, lambda: prioritised.add(**rows))
    ids = spread_out(lambda n: prioritised.sample(n)["indexes"], prioritised.update_priorities)
    return {
        "add": lambda: buffer.add(**row),
        f"add {CHUNK}": lambda: buffer.add(**rows),
        "sample 32": lambda: buffer.sample(32),
        "sample 256": lambda: buffer.sample(256),
        "prioritised 256": lambda: prioritised.sample(256, 0.4),
        "update 256": lambda: prioritised.update_priorities(ids, td),
    }


def fill(times: int, add: Callable[[], Any]) -> None:
    for _ in range(times):
        add()


def rate(call: Callable[[], Any], seconds: float) -> float:
    """Calls per second of processor time, over about so many seconds; the clock is read rarely."""
    call()
    count, done, start = 1, 0, time.process_time()
    while (passed := time.process_time() - start) < seconds:
        for _ in range(count):
            call()
        done += count
        if passed < seconds / 10:
            count *= 2
    return done / passed


def installed() -> dict[str, Callable[[int], Calls]]:
    """The ways to keep rows; a line about each library that is not there."""
    ways: dict[str, Callable[[int], Calls]] = {"bare ring": bare_ring, "actorrl": actorrl}
    makers = {"Stable-Baselines3": stable_baselines3, "Tianshou": tianshou, "TorchRL": torchrl, "cpprb": cpprb}
    for name, package in PEERS.items():
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            print(f"{name} is not installed: skipped", file=sys.stderr)
        else:
            ways[name] = makers[name]
    return ways


def draw(figure: Any, medians: dict[str, dict[str, float]]) -> None:
    """Bars per operation on a logarithmic axis."""
    axes = figure.subplots()
    colors = ["#bbbbbb", "#4477aa", "#ccbb44", "#66ccee", "#228833", "#aa3377"]
    for i, (way, rates) in enumerate(medians.items()):
        cells = [(j, rates[cell]) for j, cell in enumerate(CELLS) if cell in rates]
        places = [j + (i - (len(medians) - 1) / 2) * 0.14 for j, _ in cells]
        axes.bar(places, [value for _, value in cells], 0.13, label=way, color=colors[i])
    axes.set_yscale("log")
    axes.set_xticks(range(len(CELLS)), [f"{cell}\nrows/s" if "add" in cell else f"{cell}\n/s" for cell in CELLS])
    axes.set_title(
        "Replay as a plain object, 100,000 transitions as LunarLander's, per second of processor time", loc="left"
    )
    axes.legend(frameon=False, ncols=3)
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    chosen = _report.options(__doc__)
    seconds, capacity = (0.01, 2_000) if chosen.quick else (0.2, 100_000)
    where = _report.machine()
    calls: dict[str, Calls] = {}
    for way, make in installed().items():
        print(f"filling: {way}", file=sys.stderr)
        calls[way] = make(capacity)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    rounds: dict[str, list[dict[str, float]]] = {way: [] for way in calls}
    for number in range(chosen.rounds):
        print(f"round {number + 1} of {chosen.rounds}", file=sys.stderr)
        for way in calls:
            rounds[way].append({})
        for cell in CELLS:
            for way, mine in calls.items():
                if cell in mine:
                    rows = CHUNK if cell == f"add {CHUNK}" else 1
                    rounds[way][-1][cell] = rows * rate(mine[cell], seconds)
    medians = {way: _report.medians(them) for way, them in rounds.items()}
    ours = rounds["actorrl"]
    ratios = {
        way: _report.medians([{c: mine[c] / its[c] for c in its} for mine, its in zip(ours, them, strict=True)])
        for way, them in rounds.items()
    }
    what = f"calls (adds: rows) per second of processor time; medians of {chosen.rounds} interleaved rounds"
    results = {"machine": where, "capacity": capacity, "rounds": rounds, "median": medians, "ratio": ratios}
    results |= {"how": what, "table": table_of(medians, ratios)}
    print(f"{what}; {_report.described(where)}\n{results['table']}")
    _report.save(chosen.out, "replay", results, lambda figure: draw(figure, medians))


def table_of(medians: dict[str, dict[str, float]], ratios: dict[str, dict[str, float]]) -> str:
    """The rates, and ours over each."""
    rates = _report.table("", ["", *CELLS], shown(medians, "{:,.0f}"))
    others = {way: mine for way, mine in ratios.items() if way != "actorrl"}
    return f"{rates}\n{_report.table('', ['actorrl over', *CELLS], shown(others, '{:.2f}'))}"


def shown(numbers: dict[str, dict[str, float]], form: str) -> list[list[str]]:
    return [[way, *(form.format(mine[c]) if c in mine else "" for c in CELLS)] for way, mine in numbers.items()]


if __name__ == "__main__":
    main()
