"""What a message costs, beside a raw pyzmq echo between two processes in the same run.

Measured, each as the median over interleaved rounds (raw, actor, raw, actor, ...), with the ratio taken inside each
round because the machine's speed drifts between them:

    round trip     one call, its answer fetched before the next: p50 and p99, microseconds
    pipelined      many calls sent, then all answers fetched: calls per second
    tells          many one-way messages, until the last has been handled: messages per second
    spawn 1, 8     from asking for 1 more (8 more) actors until each has answered a call: milliseconds.
                   The raw side starts Python processes that import zmq and echo
    memory         proportional set size of an actor's process, megabytes, after it has answered

The raw side is a PAIR socket over ipc and 8-byte frames that nobody pickles: what a message costs where there are no
actors, methods, futures or errors. Only the ratios travel to another machine.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _report
import zmq

from actorrl import fetch, shutdown, startat, stop

PAYLOAD = b"12345678"
ROWS = {
    "p50": ("round trip p50", "µs"),
    "p99": ("round trip p99", "µs"),
    "pipelined": ("pipelined calls", "/s"),
    "tells": ("tells", "/s"),
    "spawn 1": ("spawn 1 actor", "ms"),
    "spawn 8": ("spawn 8 actors", "ms"),
    "memory": ("memory per actor (PSS)", "MB"),
}


class Echo:
    """The smallest actor: it answers with what it got."""

    def echo(self, payload: bytes) -> bytes:
        return payload

    def pid(self) -> int:
        return os.getpid()


class RawEcho:
    """The other side: a process that echoes frames, except empty ones, which it counts and swallows."""

    def __init__(self, folder: str, number: int) -> None:
        address = f"ipc://{folder}/{number}"
        self.socket = zmq.Context.instance().socket(zmq.PAIR)
        self.socket.set_hwm(0)
        self.socket.bind(address)
        self.process = subprocess.Popen([sys.executable, __file__, "--raw-echo", address])

    def call(self, payload: bytes) -> bytes:
        self.socket.send(payload)
        return self.socket.recv()

    def close(self) -> None:
        self.socket.send(b"bye")
        self.process.wait()
        self.socket.close(linger=0)


def raw_echo(address: str) -> None:
    """The program of the raw side's child."""
    socket = zmq.Context.instance().socket(zmq.PAIR)
    socket.set_hwm(0)
    socket.connect(address)
    while (frame := socket.recv()) != b"bye":
        if frame:
            socket.send(frame)


def percentiles(call: Callable[[], Any], n: int) -> tuple[float, float]:
    """p50 and p99 of n calls, microseconds."""
    for _ in range(n // 10):
        call()
    times = []
    for _ in range(n):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e6)
    cuts = statistics.quantiles(times, n=100)
    return cuts[49], cuts[98]


def seconds(work: Callable[[], Any]) -> float:
    """How long it took."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def memory(pid: int) -> float:
    """Proportional set size of a process, megabytes; NaN where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().split("\n")
    except OSError:
        return float("nan")
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))


def measure_raw(echo: RawEcho, folder: str, n: int) -> dict[str, float]:
    """One round of the raw side."""

    def pipelined() -> None:
        for _ in range(n):
            echo.socket.send(PAYLOAD)
        for _ in range(n):
            echo.socket.recv()

    def tells() -> None:
        for _ in range(n):
            echo.socket.send(b"")
        echo.call(PAYLOAD)

    def spawn(k: int) -> float:
        def start() -> None:
            started.extend(RawEcho(folder, 1 + i) for i in range(k))
            for one in started:
                one.call(PAYLOAD)

        started: list[RawEcho] = []
        took = seconds(start)
        for one in started:
            one.close()
        return took * 1e3

    p50, p99 = percentiles(lambda: echo.call(PAYLOAD), n // 4)
    return {
        "p50": p50,
        "p99": p99,
        "pipelined": n / seconds(pipelined),
        "tells": n / seconds(tells),
        "spawn 1": spawn(1),
        "spawn 8": spawn(8),
        "memory": memory(echo.process.pid),
    }


def measure_actor(echo: Any, n: int) -> dict[str, float]:
    """One round of the actor side."""

    def pipelined() -> None:
        fetch([echo.echo(PAYLOAD) for _ in range(n)])

    def tells() -> None:
        for _ in range(n):
            echo.echo.tell(PAYLOAD)
        fetch(echo.echo(PAYLOAD))

    def spawn(k: int) -> float:
        def start() -> None:
            started.extend(startat(None, Echo) for _ in range(k))
            fetch([one.echo(PAYLOAD) for one in started])

        started: list[Any] = []
        took = seconds(start)
        for one in started:
            stop(one)
        return took * 1e3

    p50, p99 = percentiles(lambda: fetch(echo.echo(PAYLOAD)), n // 4)
    return {
        "p50": p50,
        "p99": p99,
        "pipelined": n / seconds(pipelined),
        "tells": n / seconds(tells),
        "spawn 1": spawn(1),
        "spawn 8": spawn(8),
        "memory": memory(fetch(echo.pid())),
    }


def ratio(name: str, raw: dict[str, float], actor: dict[str, float]) -> float:
    """How many times dearer the actor is: above 1 costs more than raw, whatever the unit."""
    return raw[name] / actor[name] if name in ("pipelined", "tells") else actor[name] / raw[name]


def draw(figure: Any, ratios: dict[str, float]) -> None:
    """Bars: the cost of each thing as a multiple of the raw echo's."""
    axes = figure.subplots()
    labels = [ROWS[name][0] for name in ratios]
    values = list(ratios.values())
    colors = ["#4477aa" if value <= 1 else "#ee8866" for value in values]
    axes.barh(labels, [value - 1 for value in values], left=1, color=colors, height=0.6)
    for label, value in zip(labels, values, strict=True):
        axes.text(0.98, label, f"×{value:.2f}", transform=axes.get_yaxis_transform(), ha="right", va="center")
    axes.axvline(1, color="0.3", linewidth=1.5)
    axes.set_xscale("log")
    axes.set_xlim(min(0.2, *values) / 1.2, max(5, *values) * 2.5)
    axes.set_xticks([0.25, 0.5, 1, 2, 5, 10], ["¼", "½", "1 = raw", "2", "5", "10"])
    axes.minorticks_off()
    axes.invert_yaxis()
    axes.set_xlabel("cost of an actor as a multiple of a raw pyzmq echo's (left is cheaper)")
    axes.set_title("What a message costs", loc="left")
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    chosen = _report.options(__doc__)
    n = 400 if chosen.quick else 10_000
    where = _report.machine()
    raws, actors = [], []
    with tempfile.TemporaryDirectory() as folder:
        raw, actor = RawEcho(folder, 0), startat(None, Echo)
        raw.call(PAYLOAD), fetch(actor.echo(PAYLOAD))
        for number in range(chosen.rounds):
            print(f"round {number + 1} of {chosen.rounds}", file=sys.stderr)
            raws.append(measure_raw(raw, folder, n))
            actors.append(measure_actor(actor, n))
        raw.close()
    shutdown()

    ratios = _report.medians([{name: ratio(name, r, a) for name in ROWS} for r, a in zip(raws, actors, strict=True)])
    raw_median, actor_median = _report.medians(raws), _report.medians(actors)
    low_high = _report.spread(actors)
    rows = [
        [
            f"{label}, {unit}",
            f"{raw_median[name]:,.1f}" if unit != "/s" else f"{raw_median[name]:,.0f}",
            f"{actor_median[name]:,.1f}" if unit != "/s" else f"{actor_median[name]:,.0f}",
            "{:,.0f}–{:,.0f}".format(*low_high[name]),
            f"{ratios[name]:.2f}",
        ]
        for name, (label, unit) in ROWS.items()
    ]
    title = f"Medians of {chosen.rounds} interleaved rounds; {_report.described(where)}"
    print(_report.table(title, ["", "raw pyzmq", "actorrl", "min–max", "times raw's cost"], rows))
    results = {"machine": where, "rounds": chosen.rounds, "n": n, "raw": raws, "actor": actors, "ratio": ratios}
    _report.save(chosen.out, "calls", results, lambda figure: draw(figure, ratios))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--raw-echo"]:
        raw_echo(sys.argv[2])
    else:
        main()
