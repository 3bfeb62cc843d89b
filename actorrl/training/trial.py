"""A dry run: everything is built as for a run, each role makes 20 steps, and what that took is told. Nothing is kept.

`actorrl train PRESET --dry-run` calls it, so that a long run on a large machine does not fail in its first minute.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from actorrl.training.arrangements import Dataflow
from actorrl.training.entry import checked, player_of
from actorrl.training.evaluation import Evaluator
from actorrl.training.experiment import Experiment
from actorrl.training.progress import ProgressLine
from actorrl.training.roles import Marks
from actorrl.training.run_directory import RunDirectory
from actorrl.training.runner import Runner
from actorrl.training.selection import Selection
from actorrl.training.wiring import wired

__all__ = ["STEPS", "Trial", "dry_run"]

STEPS = 20
"""Environment steps of each role that explores."""


class Trial(NamedTuple):
    """What a dry run took."""

    steps: int
    roles: int
    """Those that explore."""
    seconds: float
    """From the first process to the last step."""
    processes: int
    """At work at once, this one included."""
    memory: int
    """Bytes of all of them; what they share counts once."""

    def __str__(self) -> str:
        who = "1 role" if self.roles == 1 else f"each of {self.roles} roles"
        many = "1 process" if self.processes == 1 else f"{self.processes} processes"
        return (
            f"{STEPS} steps of {who}, {self.steps} in all, in {self.seconds:.1f} s with start and end\n"
            f"{many}, {self.memory / 1e6:,.0f} MB of memory"
        )


def dry_run(experiment: Experiment) -> Trial:
    """Build everything, run 20 steps per role, count processes and memory; the errors of `train`."""
    source, recipes = checked(experiment)
    arrangement = experiment.arrangement
    roles = arrangement.explorers if isinstance(arrangement, Dataflow) else len(recipes)
    k = arrangement.environments_per_explorer if isinstance(arrangement, Dataflow) else 1
    share = max(STEPS, k) * (roles if isinstance(arrangement, Dataflow) else 1)
    marks = [Marks(share, share, share) for _ in recipes]
    inline = arrangement is None or experiment.engine == "inline"
    evaluator = Evaluator(source, recipes[0].encoder(), experiment.seed)
    with tempfile.TemporaryDirectory(prefix="actorrl-") as folder, closing(evaluator):
        plan = dataclasses.replace(experiment.evaluation, episodes=1)
        selection = Selection(evaluator, plan, lambda one: player_of(recipes[one.agent], one))
        progress, began = ProgressLine(1), time.monotonic()
        total, directory = share * len(recipes), RunDirectory(Path(folder))
        runner = Runner(directory, selection, progress, total=total, agents=len(recipes), beside=False, inline=inline)
        with runner.open(), wired(arrangement, experiment.engine, recipes, source, marks) as busy:
            runner.run(busy)
            pids = family()
            memory = sum(map(_memory, pids))
        return Trial(runner.made, roles, time.monotonic() - began, len(pids), memory)


def family() -> list[int]:
    """This process and all that descend from it, where the system tells (Linux)."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # gone meanwhile
            continue
        if fields[0] != "Z":
            children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = [os.getpid()]
    for pid in found:
        found += children.get(pid, [])
    return found


def _memory(pid: int) -> int:
    """Bytes of a process; what it shares with others is divided among them."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
