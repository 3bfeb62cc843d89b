"""A dry run: everything is built as for a run, each role makes 20 steps, and what that took is told. Nothing is kept.

`actorrl train PRESET --dry-run` calls it, so that a long run on a large machine does not fail in its first minute, or
in its first hour: the agent begins with the weights of `--from`, learns sooner than it would, plays greedy episodes
that are cut short, and is told how much memory its replay table takes when it is full.
"""

from __future__ import annotations

import dataclasses
import math
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium

from actorrl.rl.tables import as_rows
from actorrl.training import saving
from actorrl.training.arrangements import Dataflow
from actorrl.training.entry import checked, player_of
from actorrl.training.environment_source import EnvironmentSource
from actorrl.training.evaluation import VECTOR, Evaluator
from actorrl.training.experiment import Experiment
from actorrl.training.progress import ProgressLine
from actorrl.training.roles import Marks, Recipe
from actorrl.training.run_directory import RunDirectory, require_free
from actorrl.training.runner import Runner
from actorrl.training.selection import Selection
from actorrl.training.views.captions import counted
from actorrl.training.weights import begun_with
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
    updates: int | None = None
    """Gradient steps; None for a bare agent, which does not say."""
    table: int = 0
    """Bytes of the replay table when it is full, which nothing has touched yet; 0 where there is none."""

    def __str__(self) -> str:
        who = "1 role" if self.roles == 1 else f"each of {self.roles} roles"
        many = "1 process" if self.processes == 1 else f"{self.processes} processes"
        learned = "" if self.updates is None else f", {counted(self.updates, 'update')}"
        learned = ", no update" if self.updates == 0 else learned
        more = self.steps > STEPS * self.roles
        least, why = ("at least ", " (environments are stepped together)") if more else ("", "")
        made = f"{least}{STEPS} steps of {who}, {self.steps} in all{why}"
        lines = [
            f"{made}{learned}, in {self.seconds:.1f} s with start and end",
            f"{many}, {self.memory / 1e6:,.0f} MB of memory",
        ]
        if self.table:
            lines.append(f"+ up to {math.ceil(self.table / 1e6):,} MB when the replay table is full")
        return "\n".join(lines)


def dry_run(experiment: Experiment, run_dir: str | Path | None = None, *, source: str | Path | None = None) -> Trial:
    """Build everything, run 20 steps per role, learn and judge, count processes and memory; the errors of `prepare`."""
    _, recipes = checked(experiment)
    if source is not None:
        recipes = begun_with(recipes, source)
    if run_dir is not None:
        require_free(run_dir)
    arrangement = experiment.arrangement
    roles = arrangement.explorers if isinstance(arrangement, Dataflow) else len(recipes)
    share, k = _share(recipes[0].agent, arrangement, len(recipes))
    each = max(1, share // k // 2)
    recipes = [dataclasses.replace(one, agent=_hastened(one, share, each)) for one in recipes]
    environments = EnvironmentSource(experiment.env, (*experiment.wrappers, partial(_cut, each)))
    inline = arrangement is None or experiment.engine == "inline"
    evaluator = Evaluator(environments, recipes[0].encoder(), experiment.seed)
    with tempfile.TemporaryDirectory(prefix="actorrl-") as folder, closing(evaluator):
        episodes = min(VECTOR, experiment.evaluation.episodes)  # as many environments as in the run
        plan = dataclasses.replace(experiment.evaluation, episodes=episodes, confirm=episodes)
        selection = Selection(evaluator, plan, lambda one: player_of(recipes[one.agent], one))
        progress, began = _Troubles(1), time.monotonic()
        total, directory = share * len(recipes), RunDirectory(Path(folder))
        runner = Runner(directory, selection, progress, total=total, agents=len(recipes), beside=False, inline=inline)
        marks = [Marks(share, share, share) for _ in recipes]
        with runner.open(), wired(arrangement, experiment.engine, recipes, environments, marks) as busy:
            runner.run(busy)
            runner.finish()
            pids = family()
            memory = sum(map(_memory, pids))
        seconds, table = time.monotonic() - began, _full_table(recipes[0], directory)
        return Trial(runner.made, roles, seconds, len(pids), memory, _updates(recipes[0], runner), table)


class _Troubles(ProgressLine):
    """Says what went wrong, and not what episodes came to that were cut short."""

    def say(self, text: str, style: str = "") -> None:
        """A line that stays, where it warns."""
        if style == "yellow":
            super().say(text, style)


def _share(agent: Any, arrangement: Any, agents: int) -> tuple[int, int]:
    """The steps of each agent (of a `Dataflow`'s one, over all explorers), and its environments."""
    many = getattr(agent, "n_envs", 1)
    if isinstance(arrangement, Dataflow):
        each = max(STEPS, arrangement.environments_per_explorer)
        return each * arrangement.explorers, arrangement.environments
    k = many if arrangement is None else -(-arrangement.environments // agents)
    return max(STEPS, k, many), k


def _hastened(recipe: Recipe, share: int, each: int) -> Any:
    """The agent, learning after half of so few steps, `each` of every environment: what an update costs in memory does
    not depend on when it comes. One whose config has other fields, or refuses such values, stays as it is."""
    config = recipe.agent
    if recipe.bare:
        return config
    half = max(1, share // 2)
    most = {"learning_starts": half, "train_freq": half, "n_steps": each, "gradient_steps": STEPS}
    if hasattr(config, "n_envs"):
        most["n_steps"] = max(1, half // config.n_envs)
        most["batch_size"] = min(getattr(config, "n_steps", 1), most["n_steps"]) * config.n_envs
    least = {
        name: value
        for name, value in most.items()
        if isinstance(found := getattr(config, name, None), int) and found > value
    }
    try:
        return dataclasses.replace(config, **least)
    except (TypeError, ValueError):
        return config


def _cut(steps: int, environment: gymnasium.Env) -> gymnasium.Env:
    """A wrapper: episodes end after so few steps, so that there are whole ones to learn from and to judge."""
    return gymnasium.wrappers.TimeLimit(environment, steps) if isinstance(environment, gymnasium.Env) else environment


def _updates(recipe: Recipe, runner: Runner) -> int | None:
    """Gradient steps that were made."""
    made: Sequence[float] = runner.metrics.arrays().get("updates", [])  # type: ignore[assignment]
    return None if recipe.bare else int(made[-1]) if len(made) else 0


def _full_table(recipe: Recipe, directory: RunDirectory) -> int:
    """Bytes of all rows that the replay table can hold, by those that are in it now; 0 where there is none."""
    capacity = 0 if recipe.bare else getattr(recipe.build().table, "capacity", 0)
    if not capacity:
        return 0
    latest = saving.read(directory.checkpoint("latest"), trust=False, said=lambda line: None)
    rows = ((latest.parts[0].table if latest else None) or {}).get("rows")
    return capacity * as_rows(rows).dtype.itemsize if rows else 0


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
