"""One trial of a study: a training run like any other, in an actor, that asks the judge after every evaluation.

`tuning.py` spawns as many as there are jobs and gives each one trial after the other.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
import traceback
from pathlib import Path
from typing import Any, NamedTuple

from actorrl.actor import ActorRef, fetch
from actorrl.training import checkpoints
from actorrl.training.callbacks import Event
from actorrl.training.entry import prepare
from actorrl.training.experiment import Experiment
from actorrl.training.judge import Judge
from actorrl.training.run import Run

LOG = "output.txt"
"""What a trial would have said on the terminal; in its run directory."""


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
        """Run one trial to its end, or until the judge stops it."""
        began = time.monotonic()
        experiment = Experiment.from_tree(tree, name).checked()
        prepared = prepare(experiment, directory)
        reports = Reports(self._judge, number, experiment, len(prepared.recipes))
        watched = dataclasses.replace(experiment, callbacks=(*experiment.callbacks, reports))  # not in its config.yaml
        state, value = "failed", None
        attributes: dict[str, Any] = {}
        with (Path(directory) / LOG).open("w") as log, contextlib.redirect_stderr(log):
            try:
                run = dataclasses.replace(prepared, experiment=watched).run()
            except Exception as error:
                traceback.print_exc(file=log)
                attributes = {"why": f"{type(error).__name__}: {error}"}
            else:
                about = checkpoints.about(run.checkpoints["best"])
                value = about.get("mean_return")
                if reports.stopped_at and not _whole(run, experiment):
                    state, value, attributes = "pruned", None, {"steps": reports.stopped_at}
                elif value is not None and value == value:
                    state, attributes = "complete", {"steps": about["steps"]}
                else:
                    attributes = {"why": "its returns are not numbers"}
        return Outcome(state, value, {**attributes, "seconds": round(time.monotonic() - began, 1)})


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
        if self.stopped_at or len(found) != self._agents:
            return
        if fetch(self._judge.report(self._number, number, max(found))):
            self.stopped_at = event.steps
            event.stop("worse than the median of the other trials")
