"""What would happen on more machines than one: a queueing simulation of the arrangements, fed with costs measured here.

    explorers (or environments) ──► queues at one agent, a replay table, policy servers, trainers ──► and back

It is believed as far as it predicts this machine: training with Dataflow and 1, 2, 4 and 8 explorers whose environments
sleep. Then it goes on to 15,000 explorers, each with a core of its own: where an arrangement stops getting faster,
how many policy servers and trainers that many explorers keep busy, and what separating exploring from learning gains
over a machine that does both, beside the 3.7 times that SRL (Mei et al. 2023, arXiv:2306.16688) reports.

Left out: the network between machines (a message costs what it costs here), what trainers need to agree on a gradient,
the spread of weights to many explorers, memory, failures; nobody has run 15,000 explorers of ours.
"""

from __future__ import annotations

import functools
import heapq
import math
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

import _report
import numpy as np
from _costs import WAIT, T, measure_costs, measure_training

from actorrl import System

CORES = 2
SCALE = (1, 10, 100, 1_000, 15_000)
WAYS: dict[str, tuple[str, dict[str, int]]] = {
    "Central": ("Central", {}),
    "SharedReplay, 8 agents": ("SharedReplay", {}),
    "Dataflow, inline, 1 trainer": ("Dataflow, inline", {}),
    "Dataflow, served, 1 server": ("Dataflow, served", {"trainers": 15_000}),
}
AGENTS, EVERY, GROWTH = 8, 8, 0.95  # agents of SharedReplay, steps per update there, "as fast as unlimited servers"


class Clock:
    """Events in the order of their times."""

    def __init__(self) -> None:
        self.now, self._events, self._count = 0.0, list[tuple[float, int, Callable[[], None]]](), 0

    def after(self, seconds: float, then: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (self.now + seconds, self._count, then))

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, then = heapq.heappop(self._events)
            then()


class Servers:
    """So many of a kind with one queue; each takes what waits, up to `most`, at a cost of `fixed` + `each` · taken."""

    def __init__(self, clock: Clock, count: int, fixed: float, each: float, most: int = 1) -> None:
        self.clock, self.idle, self.fixed, self.each, self.most = clock, count, fixed, each, most
        self.queue: deque[tuple[float, Callable[[], None]]] = deque()

    def ask(self, then: Callable[[], None], amount: float = 1.0) -> None:
        self.queue.append((amount, then))
        self._begin()

    def _begin(self) -> None:
        while self.idle and self.queue:
            batch = [self.queue.popleft() for _ in range(min(self.most, len(self.queue)))]
            self.idle -= 1
            seconds = self.fixed + self.each * sum(amount for amount, _ in batch)
            self.clock.after(seconds, functools.partial(self._done, batch))

    def _done(self, batch: list[tuple[float, Callable[[], None]]]) -> None:
        self.idle += 1
        for _, then in batch:
            then()
        self._begin()


def simulate(
    costs: dict[str, float], explorers: int, way: str, *, trainers: int = 1, servers: int = 1, cores: int = 0
) -> float:
    """Environment steps per second. With `cores` everybody shares so many of them; 0 gives everybody one."""
    clock, c, steps = Clock(), costs, [(0.0, 0)]  # how many until when
    shared = Servers(clock, cores, 0.0, 1.0) if cores else None
    work = (lambda s, then: shared.ask(then, s)) if shared else clock.after
    rng = np.random.default_rng(0)
    many = {"Central": 1, "SharedReplay": AGENTS, "Dataflow, served": servers}.get(way, 0)
    asked = max(c["act"] + c["request"], 1e-9)
    acting = Servers(clock, many, c["act_call"], asked + (c["learn"] if way == "Central" else 0.0), 64)
    replay = Servers(clock, 1, 0.0, c["row"] + c["batch"] / EVERY) if way == "SharedReplay" else None
    inline = way == "Dataflow, inline"
    length = T if inline and not cores else 1  # steps per event
    round_seconds = explorers * (c["message"] + T * c["learn"]) / trainers
    horizon = 12 * max(T * (c["wait"] + c["step"]), round_seconds) if inline else 16 * (c["wait"] + c["step"])
    ahead, gone, waiting = [0] * explorers, [0] * explorers, list[int]()
    came, learned, learning = [0], [0], [False]

    def explore(e: int) -> None:
        """Wait for the environment; a step, or a whole fragment where nothing comes in between."""
        jitter = 1.0 if cores else max(0.0, rng.normal(1.0, 0.1 / math.sqrt(length)))
        clock.after(length * c["wait"] * jitter, lambda: work(length * c["step"], lambda: stepped(e)))

    def stepped(e: int) -> None:
        gone[e] += length
        if not inline and replay is not None:
            replay.ask(lambda: acting.ask(lambda: acted(e)))
        elif not inline:
            acting.ask(lambda: acted(e))
        else:
            acted(e)

    def acted(e: int) -> None:
        if not inline:
            steps.append((clock.now, steps[-1][1] + 1))
        if way.startswith("Dataflow") and gone[e] >= T:
            gone[e], ahead[e], came[0] = 0, ahead[e] + 1, came[0] + 1
            learn()
            if ahead[e] - learned[0] > 1:  # one round ahead of the trainer, as mode="async" has it
                waiting.append(e)
                return
        explore(e)

    def learn() -> None:
        if not learning[0] and came[0] >= explorers * (learned[0] + 1):
            learning[0] = True
            work(round_seconds, finished)

    def finished() -> None:
        learning[0], learned[0] = False, learned[0] + 1
        if inline:
            steps.append((clock.now, steps[-1][1] + T * explorers))
        free, waiting[:] = list(waiting), []
        for e in free:
            explore(e)
        learn()

    for e in range(explorers):
        clock.after(rng.random() * (c["wait"] if not cores else 1e-6), functools.partial(explore, e))
    clock.run(horizon)
    began, before = steps[len(steps) // 3]
    return (steps[-1][1] - before) / max(steps[-1][0] - began, 1e-9)


# -- what comes of it --------------------------------------------------------------------------------------------------


def needed(costs: dict[str, float], explorers: int, what: str) -> int:
    """So many policy servers ("servers") or trainers make a Dataflow as fast as if there were more than enough."""
    c, way = costs, "Dataflow, inline" if what == "trainers" else "Dataflow, served"
    plenty = {"servers": explorers, "trainers": explorers}
    best = simulate(c, explorers, way, **plenty)
    each = c["learn"] + c["message"] / T if what == "trainers" else c["act"] + c["request"] + c["act_call"] / 64
    count = max(1, math.ceil(GROWTH * best * each))
    while simulate(c, explorers, way, **{**plenty, what: count}) < GROWTH * best:
        count = math.ceil(1.05 * count + 0.5)
    return count


def separated(costs: dict[str, float]) -> dict[int, float]:
    """{cores of a trainer's machine: how much faster a trainer is whose explorers are elsewhere, as many as it takes}.

    Of environments that compute for as long as ours wait: where they only wait, cores are not what is short.
    """
    learns = 1 / (costs["learn"] + costs["message"] / T)
    return {n: learns / min(learns, (n - 1) / (WAIT + costs["step"])) for n in (16, 32, 64, 128, 256)}


def draw(figure: Any, found: dict[str, Any]) -> None:
    """Left what was measured and predicted here; right the rates by explorers, a line per arrangement."""
    left, right = figure.subplots(1, 2)
    many = list(found["predicted"])
    for name, style in (("measured", "o-"), ("predicted", "s--")):
        left.plot([int(n) for n in many], [found[name][n] for n in many], style, label=name)
    left.set_title("Dataflow here, environments that sleep 5 ms", loc="left", fontsize=10)
    for way, rates in found["scaled"].items():
        right.plot([int(n) for n in rates], list(rates.values()), "o-", markersize=4, label=way)
    right.set_title("The model, a core for each explorer", loc="left", fontsize=10)
    left.set_xscale("log", base=2)
    left.set_xticks([int(n) for n in many], many)
    left.set_ylim(0)
    right.set_xscale("log")
    right.set_yscale("log")
    for axes in (left, right):
        axes.set_xlabel("explorers")
        axes.set_ylabel("environment steps per second")
        axes.legend(frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    chosen = _report.options(__doc__)
    where, here = _report.machine(), (1, 2) if chosen.quick else (1, 2, 4, 8)
    rounds, measured = [], []
    with System():
        for number in range(chosen.rounds):
            print(f"round {number + 1} of {chosen.rounds}", file=sys.stderr)
            rounds.append(measure_costs(chosen.quick))
            measured.append({str(n): measure_training(n, 6 if chosen.quick else 18) for n in here})
    costs, real = _report.medians(rounds), _report.medians(measured)
    predicted = {str(n): simulate(costs, n, "Dataflow, inline", cores=CORES) for n in here}
    scale = SCALE[:3] if chosen.quick else SCALE
    scaled = {name: {str(n): simulate(costs, n, way, **given) for n in scale} for name, (way, given) in WAYS.items()}
    wanted = {what: {str(n): needed(costs, n, what) for n in scale[2:]} for what in ("servers", "trainers")}
    errors = [predicted[n] / real[n] - 1 for n in real]
    cells = [["measured here", *(f"{real[n]:,.0f}" for n in real)]]
    cells += [["predicted", *(f"{predicted[n]:,.0f} ({e:+.0%})" for n, e in zip(real, errors, strict=True))]]
    here_table = _report.table("", ["Dataflow, async, explorers", *real], cells)
    lines = [[name, *(f"{rate:,.0f}" for rate in rates.values())] for name, rates in scaled.items()]
    lines += [[f"{what} needed", *(str(by.get(str(n), "–")) for n in scale)] for what, by in wanted.items()]
    gain = separated(costs)
    table = f"""{here_table}\n{_report.table("", ["the model, explorers", *map(str, scale)], lines)}

A trainer with explorers elsewhere, beside one on a machine of so many cores: {told(gain)} (SRL reports ×3.7)."""
    how = f"steps per second: medians of {chosen.rounds} rounds (must: within 15%)"
    print(f"{how}; {_report.described(where)}\n{table}")
    results: dict[str, Any] = {"machine": where, "how": how, "table": table, "costs": costs, "rounds": rounds}
    results |= {"measured": real, "predicted": predicted}
    results |= {"scaled": scaled, "needed": wanted, "separated": gain}
    _report.save(chosen.out, "scaling_model", results, lambda figure: draw(figure, results), (11, 4.5))


def told(gain: dict[int, float]) -> str:
    return ", ".join(f"{cores}: ×{ratio:.1f}" for cores, ratio in gain.items())


if __name__ == "__main__":
    main()
