"""The Runner: keeps the agent's role busy, judges its snapshots beside that, and writes down what happens.

    role.advance() ──► Report ──┬── rows ──────► metrics.csv, TensorBoard, the progress line
    (one running, one queued)   └── snapshots ─► checkpoints/latest, Selection ──► checkpoints/best

`train` makes one per run. What differs between arrangements is behind the role's reference.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import numpy as np

from actorrl.actor import Future, fetch
from actorrl.training import checkpoints
from actorrl.training.progress import ProgressLine, duration
from actorrl.training.roles import Report, Row, Snapshot
from actorrl.training.run_directory import Metrics, RunDirectory
from actorrl.training.selection import Selection, Verdict

IN_FLIGHT = 2  # slices: one running, one queued, so that a checkpoint or a question gets in between


class Runner:
    """Runs one role to the end.

    Args:
        beside: whether snapshots may be judged while training runs (not where there is only one environment).
        inline: whether the role runs in this process, so that it waits while snapshots are judged.
    """

    def __init__(
        self,
        directory: RunDirectory,
        selection: Selection,
        progress: ProgressLine,
        *,
        beside: bool = True,
        inline: bool = False,
    ) -> None:
        self._directory, self._selection, self._progress = directory, selection, progress
        self._beside, self._inline = beside, inline
        self.metrics = Metrics(directory.path / "metrics.csv")
        self._board = _Board(directory)
        self._returns: deque[float] = deque(maxlen=100)
        self._episodes = 0
        self._steps_before, self._seconds_before = 0, 0.0
        self._newest: dict[str, Any] = {}
        self._began = time.monotonic()
        self.final: Snapshot | None = None
        self.best: Snapshot | None = None
        self.seconds = 0.0
        """How long training took, without the evaluation that it waited for or that came afterwards."""
        self.dropped = 0
        """Episodes that crashes of environments have cost."""

    def run(self, role: Any) -> None:
        """Advance `role` until it is done, then judge what is left to judge. Raises what the role raises."""
        self._began = time.monotonic()
        flying: deque[Future[Report]] = deque()
        done = False
        try:
            while not done or flying:
                while not done and len(flying) < IN_FLIGHT:
                    flying.append(role.advance())
                judging = self._beside and self._selection.busy
                if flying[0].done() or not judging:
                    report = fetch(flying[0])
                    flying.popleft()
                    done = done or report.done
                    self._take(report)
                if judging:
                    self._judge()
            self.seconds = self._elapsed()
        except BaseException:
            self._board.close()
            raise
        finally:
            for future in flying:  # only after an error: nobody will ask for these any more
                future.cancel()
            self.metrics.write()

    def finish(self) -> None:
        """Judge the snapshots that are left."""
        while self._selection.busy:
            self._judge()
        if self.best is None and self.final is not None:  # nothing was ever confirmed: returns that are not numbers
            self.best = self.final
            checkpoints.save(self._directory.checkpoint("best"), self.final)
        self.metrics.write()
        self._board.close()

    @property
    def evaluated(self) -> str:
        """What evaluation cost, in words."""
        words = f"evaluation took {duration(self._selection.seconds)} beside it"
        if self._selection.skipped:
            words += f", {self._selection.skipped} were skipped to save time"
        return words

    def _take(self, report: Report) -> None:
        self.dropped = report.dropped
        for incident in report.incidents:
            self._progress.say(f"  {incident}", style="yellow")
        for row in report.rows:
            self._book(row)
        for snapshot in report.snapshots:
            checkpoints.save(self._directory.checkpoint("latest"), snapshot)
            if report.done and snapshot is report.snapshots[-1]:
                self.final = snapshot
                checkpoints.save(self._directory.checkpoint("final"), snapshot)
            if self._beside or self.final is snapshot:
                self._selection.submit(snapshot, self._elapsed(), last=self.final is snapshot)
        self._progress.update(report.steps, self._newest)

    def _elapsed(self) -> float:
        """Seconds that training has taken."""
        return time.monotonic() - self._began - (self._selection.seconds if self._inline else 0.0)

    def _book(self, row: Row) -> None:
        returns = [episode.return_ for episode in row.episodes]
        self._returns.extend(returns)
        self._episodes += len(returns)
        seconds = self._elapsed()
        values: dict[str, float] = {"episodes": self._episodes, "seconds": round(seconds, 3), **row.figures}
        if seconds > self._seconds_before:
            rate = (row.steps - self._steps_before) / (seconds - self._seconds_before)
            values["steps_per_second"] = round(rate, 1)
            self._steps_before, self._seconds_before = row.steps, seconds
        if returns:
            values["episode_return"] = float(np.mean(returns))
            values["episode_length"] = float(np.mean([episode.length for episode in row.episodes]))
        if self._returns:
            values["return_100"] = float(np.mean(self._returns))
        self._newest = {**self._newest, **values}
        self.metrics.put(row.steps, values)
        self._board.write(row.steps, values)

    def _judge(self) -> None:
        verdict = self._selection.advance()
        if verdict is None:
            return
        steps, evaluation = verdict.snapshot.steps, verdict.evaluation
        values = {"evaluation_return": evaluation.mean, "evaluation_std": evaluation.std}
        if verdict.best:
            assert verdict.confirmed is not None
            values["best_return"] = verdict.confirmed.mean
            self.best = verdict.snapshot
            best = self._directory.checkpoint("best")
            checkpoints.save(best, verdict.snapshot, mean_return=verdict.confirmed.mean)
        self.metrics.put(steps, values)
        self._board.write(steps, values)
        self._progress.say(_said(verdict), style="green" if verdict.best else "bright_black")


def _said(verdict: Verdict) -> str:
    evaluation = verdict.evaluation
    line = f"  {verdict.snapshot.steps:>9,} steps   evaluation {evaluation.mean:8.1f} ± {evaluation.std:.1f}"
    if not evaluation.greedy:
        line += " with exploration"
    if verdict.confirmed is not None:
        fresh = f"{verdict.confirmed.mean:.1f} over {len(verdict.confirmed.returns)} fresh episodes"
        line += f"   {'new best' if verdict.best else 'not confirmed'}: {fresh}"
    return line


class _Board:
    """TensorBoard's files, with a tag per column."""

    def __init__(self, directory: RunDirectory) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(directory.path / "tensorboard"))

    def write(self, steps: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            group = "evaluation" if name.startswith(("evaluation", "best")) else "train"
            self._writer.add_scalar(f"{group}/{name}", value, steps)

    def close(self) -> None:
        self._writer.close()
