"""One trial of a study: a training run like any other, in an actor, that asks the judge after every evaluation.

`tuning.py` spawns as many as there are jobs and gives each one trial after the other.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import time
import traceback
from pathlib import Path
from typing import Any, NamedTuple

from actorrl.actor import ActorRef, fetch
from actorrl.training import checkpoints
from actorrl.training.callbacks import Event
from actorrl.training.entry import Prepared, prepare
from actorrl.training.experiment import Experiment
from actorrl.training.judge import Judge
from actorrl.training.resuming import prepare_resume
from actorrl.training.run import Run, load
from actorrl.training.run_directory import in_use

LOG = "output.txt"
"""What a trial would have said on the terminal; in its run directory."""
LATE = "late"
"""Where a trial that went to its end keeps when the judge would have stopped it, had it not been too late."""
PATIENCE = 10.0
"""Seconds for a process that was interrupted to end and leave its directory."""


class Outcome(NamedTuple):
    """How a trial ended."""

    state: str
    """ "complete", "pruned" or "failed"."""
    value: float | None
    attributes: dict[str, Any]


class Candidate:
    """Trains trials; an actor's object."""

    def __init__(self, judge: ActorRef[Judge]) -> None:
        self._judge = judge

    def train(self, tree: dict[str, Any], name: str, directory: str, number: int) -> Outcome:
        """Run one trial to its end, or until the judge stops it; one that was interrupted in the directory goes on."""
        began = time.monotonic()
        experiment = Experiment.from_tree(tree, name).checked()
        prepared = begun(experiment, Path(directory))
        reports = Reports(self._judge, number, experiment, len(experiment.trainees()))
        with (Path(directory) / LOG).open("a") as log, contextlib.redirect_stderr(log):
            try:
                run = load(directory) if prepared is None else watched(prepared, reports).run()
                outcome = ended(run, experiment, reports.stopped_at)
            except Exception as error:
                traceback.print_exc(file=log)
                outcome = Outcome("failed", None, {"why": f"{type(error).__name__}: {error}"})
        return outcome._replace(attributes={"seconds": round(time.monotonic() - began, 1), **outcome.attributes})


def ended(run: Run, experiment: Experiment, stopped_at: int) -> Outcome:
    """What came of a run, by its own files: one that went on after an interrupt counts as a whole."""
    best, made, seconds = checkpoints.about(run.checkpoints["best"]), run.metrics["steps"], run.metrics["seconds"]
    about: dict[str, Any] = {"steps": int(made.max()), "best_steps": best.get("steps", int(made.max()))}
    if (known := seconds[seconds == seconds]).size:
        about["seconds"] = round(float(known.max()), 1)
    whole, value = _whole(run, experiment), best.get("mean_return")
    if stopped_at and not whole:
        return Outcome("pruned", None, about)
    if value is None or value != value:
        return Outcome("failed", None, {**about, "why": "its returns are not numbers"})
    return Outcome("complete", value, about | ({LATE: stopped_at} if stopped_at else {}))


def begun(experiment: Experiment, directory: Path) -> Prepared | None:
    """The trial's run: the one that was interrupted in the directory, or a new one; None where it has come to its end
    and nobody was told.
    """
    if (directory / "config.yaml").exists():
        with (directory / LOG).open("a") as log, contextlib.redirect_stderr(log):
            _wait_for(directory)
            with contextlib.suppress(ValueError, OSError):
                return prepare_resume(directory)
    shutil.rmtree(directory, ignore_errors=True)
    return prepare(experiment, directory)


def _wait_for(directory: Path) -> None:
    """Return when nobody runs in a directory, or after a while."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(BlockingIOError), in_use(directory):
            return
        time.sleep(0.1)


def watched(prepared: Prepared, reports: Reports) -> Prepared:
    """The run with one more callback, which its config.yaml does not name."""
    experiment = prepared.experiment
    callbacks = (*experiment.callbacks, reports)
    return dataclasses.replace(prepared, experiment=dataclasses.replace(experiment, callbacks=callbacks))


def _whole(run: Run, experiment: Experiment) -> bool:
    """Whether every step was made; the judge may have spoken when it was too late."""
    steps = experiment.steps or 0
    return bool(run.metrics["steps"].max() >= min(steps, experiment.stop.steps or steps))


class Reports:
    """Evaluations of one trial, as the judge gets them: numbered 1, 2, ..., the best where several agents have one.

    A callback; a run that it stops ends as any other, with its last checkpoint and evaluation.
    """

    def __init__(self, judge: ActorRef[Judge], number: int, experiment: Experiment, agents: int) -> None:
        self._judge, self._number, self._agents = judge, number, agents
        self._interval = experiment.evaluation.interval(experiment.steps or 0, agents) * agents
        self._found: dict[int, list[float]] = {}
        self.stopped_at = 0
        """After how many steps the judge had seen enough; 0 if it never had."""

    def on_evaluation(self, event: Event) -> None:
        """Ask whether to go on."""
        number = max(1, round(event.steps / self._interval))
        found = self._found.setdefault(number, [])
        assert event.evaluation is not None
        found.append(float(event.evaluation))
        if len(found) != self._agents:
            return
        # What comes after a stop is told, too: training may have been over, and then the others are compared with it.
        if fetch(self._judge.report(self._number, number, max(found))) and not self.stopped_at:
            self.stopped_at = event.steps
            event.stop("worse than the median of the other trials")
