"""The Runner: keeps the agents' roles busy, judges their snapshots beside that, and writes down what happens.

    role.advance() ──► Report ──┬── rows ──────► metrics.csv, TensorBoard, the progress line
    (of each role one running,  └── snapshots ─► checkpoints/latest, Selection ──► checkpoints/best
    one queued)

`train` makes one per run. What differs between arrangements is behind the roles' references.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from actorrl.actor import fetch, wait
from actorrl.errors import ActorError
from actorrl.rl.stopwatch import Stopwatch, Times
from actorrl.training import checkpoints
from actorrl.training.callbacks import Callbacks
from actorrl.training.flow import PULSE, Flow
from actorrl.training.interrupts import Interrupted, Interrupts
from actorrl.training.merging import Merged, Merger
from actorrl.training.pace import Pace
from actorrl.training.progress import ProgressLine, duration
from actorrl.training.roles import Brought, Recipe, Report, Snapshot
from actorrl.training.run_directory import Metrics, RunDirectory
from actorrl.training.saving import Saver
from actorrl.training.selection import Selection
from actorrl.training.slices import Slices
from actorrl.training.stopping import StopPlan
from actorrl.training.views.board import Board
from actorrl.training.views.timeline import Timeline, living

PATIENCE = 0.5  # seconds; then it is asked again whether something hangs
LAST_WORDS = 10.0  # seconds that the roles may take, after Ctrl-C, to say what it takes to go on


class Runner:
    """Runs the roles to the end.

    Args:
        total: environment steps of all agents together.
        agents: how many there are.
        beside: whether snapshots may be judged while training runs (not where there is only one environment).
        inline: whether the role runs in this process, so that it waits while snapshots are judged.
        recipe: of the (first) agent, whose network TensorBoard shows; None for no such picture.
    """

    def __init__(
        self,
        directory: RunDirectory,
        selection: Selection,
        progress: ProgressLine,
        *,
        total: int,
        agents: int = 1,
        beside: bool = True,
        inline: bool = False,
        recipe: Recipe | None = None,
        stop: StopPlan = StopPlan(),
        callbacks: Sequence[Any] = (),
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self._directory, self._selection, self._progress = directory, selection, progress
        self._beside, self._inline, self._total = beside, inline, total
        self.metrics = Metrics(directory.path / "metrics.csv")
        self._board = Board(directory, recipe)
        self._returns: deque[float] = deque(maxlen=100)
        self._episodes, self._updates = 0, 0.0
        self._pace = Pace()
        self._newest: dict[str, Any] = {}
        self._began = time.monotonic()
        self._merger = Merger(agents)
        self._steps = [0] * agents
        self._dropped = [0] * agents
        self._clock = Stopwatch("runner")
        self._saver = Saver(directory.checkpoint("latest"), agents, self.state_dict, repeatable=inline)
        self._interrupts = Interrupts()
        self._stop = stop
        self.stopped: str | None = None
        """Why the run ended before all steps were made."""
        self._callbacks = Callbacks(callbacks, directory.path, config or {}, self._logged)
        self.finals: dict[int, Snapshot] = {}
        """The last snapshot of each agent."""
        self.best: Snapshot | None = None
        self._over = False  # whether training is, so that its clock stands still
        self.seconds = 0.0
        """How long training took, without the evaluation that it waited for or that came afterwards."""

    @property
    def made(self) -> int:
        """Environment steps of all agents."""
        return sum(self._steps)

    @property
    def dropped(self) -> int:
        """Episodes that crashes of environments have cost."""
        return sum(self._dropped)

    @property
    def final(self) -> Snapshot | None:
        """The last snapshot of the agent that `best` is of."""
        return self.finals.get(self.best.agent if self.best is not None else 0)

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Around `run` and `finish`: closes what they open, and names the last checkpoint where that is needed."""
        try:
            yield
            self._board.close()
        except BaseException as error:
            explained = self._saver.explained(error)
            with contextlib.suppress(OSError):  # TensorBoard raises again what it could not write before
                self._board.close()
            if explained is not error:
                raise explained from error
            raise

    def run(self, roles: Sequence[Any]) -> None:
        """Advance the roles until all are done, then judge what is left to judge. Raises what a role raises."""
        self._began = time.monotonic() - self.seconds - (self._selection.seconds if self._inline else 0.0)
        self._timeline = Timeline(self._directory.path, self._began)
        busy = [role if isinstance(role, Flow) else Slices(role, number) for number, role in enumerate(roles)]
        try:
            self._interrupts.watch()
            self._callbacks.tell("on_start", sum(self._steps))
            while busy:
                if self._interrupts.asked:
                    self._interrupted(busy)
                busy = self._turn(busy)
            self.seconds, self._over = self._elapsed(), True
            self._look(None, last=True)
            if self._interrupts.asked:  # the last slice was the last of all
                self._interrupted(busy)
        finally:
            self._interrupts.leave()
            for one in busy:  # only after an error: nobody will ask for these any more
                for future in one.waiting():
                    future.cancel()
            with contextlib.suppress(OSError):  # a full disk has been told of
                self.metrics.write()
                self._timeline.write(time.monotonic() - self._began)

    def _turn(self, busy: list[Any]) -> list[Any]:
        """Ask who is idle, wait until something has come, take it, judge a little; those that are not over."""
        clock = self._clock
        clock.begin()
        for one in busy:
            one.fill()
        clock.mark("runs the roles" if self._inline else "asking")
        judging = self._beside and self._selection.busy
        waiting = [future for one in busy for future in one.waiting()]
        if not judging and not waiting:
            time.sleep(PULSE)
        elif not judging and not any(future.done() for future in waiting):
            wait(waiting, timeout=PATIENCE)
        clock.mark("waiting")
        for one in busy:
            for report in one.reports():
                self._take(report, one.number)
        if (kept := self._saver.kept()) is not None:
            for one in busy:
                one.kept(*kept)
        self._end_early(busy)
        busy = [one for one in busy if not one.over]
        clock.mark("writing")
        if judging:
            self._judge()
        clock.mark("evaluation")
        clock.end()
        self._look(clock.take())
        return busy

    def _end_early(self, busy: Sequence[Any]) -> None:
        """Ask the roles to end where there is a reason to."""
        if self.stopped is not None:
            return
        reason = self._stop.reason(self._elapsed(), self._selection.score)
        reason = reason or self._callbacks.stopping
        if reason is not None and not all(one.over for one in busy):
            self.stopped = reason
            self._progress.say(f"  ends here: {reason}", style="bold")
            for one in busy:
                one.end()

    def _logged(self, steps: int, values: dict[str, float]) -> None:
        self.metrics.put(steps, values)
        self._board.write(steps, values)

    def _look(self, times: Times | None, *, last: bool = False) -> None:
        """Note where the Runner's own time went, and now and then how the actors are."""
        now, timeline = time.monotonic(), self._timeline
        timeline.add(times)
        if last or timeline.due(now):
            self._board.write(sum(self._steps), timeline.look(living(), now))
            self._say(timeline.incidents)
            timeline.incidents.clear()

    def _say(self, incidents: Sequence[str]) -> None:
        for incident in incidents:
            self._progress.say(f"  {incident}", style="yellow")

    def forget_best(self) -> None:
        """Whatever is confirmed next is the best: what was is lost."""
        self._selection.score = float("-inf")

    def finish(self) -> None:
        """Judge the snapshots that are left, and write down that nothing waits any more."""
        self._book(self._merger.rest())
        while self._selection.busy:
            self._judge()
        if self.best is None and self.finals:  # nothing was ever confirmed: returns that are not numbers
            self.best = self.finals[min(self.finals)]
            checkpoints.save(self._directory.checkpoint("best"), self.best, **self._whose(self.best))
        if self.final is not None:
            about: dict[str, Any] = {"finished": True, "run_steps": sum(self._steps), **self._whose(self.final)}
            about |= {"stopped": self.stopped} if self.stopped else {}
            checkpoints.save(self._directory.checkpoint("final"), self.final, **about)
            if self._saver.conclude():
                self._callbacks.tell("on_checkpoint", self.made, path=self._directory.checkpoint("latest"))
            checkpoints.tidy(self._directory.checkpoint("latest"))
        for number, snapshot in self.finals.items() if self._many else ():
            checkpoints.save(self._directory.agent(number), snapshot, agent=number)
        self._callbacks.tell("on_end", self.made)
        self.metrics.write()
        self._board.graph()

    @property
    def _many(self) -> bool:
        return len(self._steps) > 1

    def _whose(self, snapshot: Snapshot) -> dict[str, int]:
        """What a checkpoint says of which agent's it is, where there are several."""
        return {"agent": snapshot.agent} if self._many else {}

    @property
    def evaluated(self) -> str:
        """What evaluation cost, in words."""
        words = f"evaluation took {duration(self._selection.seconds)} beside it"
        if self._selection.skipped:
            words += f", {self._selection.skipped} were skipped to save time"
        return words

    def _take(self, report: Report, number: int) -> None:
        self._count(report, number)
        for times in report.times:
            self._timeline.add(times)
        self._say(report.incidents)
        self._book([whole for row in report.rows for whole in self._merger.add(row)])
        for snapshot in report.snapshots:
            if not self._saver.used and report.saved is None:
                checkpoints.save(self._directory.checkpoint("latest"), snapshot, **self._whose(snapshot))
            self._board.weights(snapshot, self._whose(snapshot).get("agent"))
            last = report.done and snapshot is report.snapshots[-1]
            if last:
                self.finals[number] = snapshot
                checkpoints.save(self._directory.checkpoint("final"), snapshot, **self._whose(snapshot))
            if self._beside or last:
                self._selection.submit(snapshot, self._elapsed(), last=last)
        if report.saved is not None and self._saver.take(number, report.saved):
            self._callbacks.tell("on_checkpoint", sum(self._steps), path=self._saver.path)
        self._progress.update(sum(self._steps), self._newest, self._stop.left(self._elapsed()))

    def _count(self, report: Report, number: int) -> None:
        """Book the steps that came in, and tell of each fragment that brought some."""
        made, at = report.steps - self._steps[number], sum(self._steps)
        self._steps[number], self._dropped[number] = report.steps, report.dropped
        brought = report.brought or (Brought(f"agent {number}" if self._many else "agent", made),)
        for role, steps in brought if self._callbacks.wants("on_fragment") else ():
            if steps > 0:
                self._callbacks.tell("on_fragment", at := at + steps, made=steps, role=role)

    def _interrupted(self, busy: Sequence[Any]) -> None:
        """Write a checkpoint and end with KeyboardInterrupt.

        One role inline is repeatable: it goes on from where its environments were last reset, so that its result is
        what it would have been. Others tell where they are.
        """
        if self._saver.used and not self._saver.repeatable:
            self._ask_all(busy)
        self._saver.close()
        self.metrics.write()
        raise Interrupted(self._directory.path, self._saver.written, self._callbacks.config)

    def _ask_all(self, busy: Sequence[Any]) -> None:
        """Let the roles end the slices that are under way, and give what it takes to go on."""
        deadline = time.monotonic() + LAST_WORDS
        with contextlib.suppress(ActorError, TimeoutError):  # else the checkpoint before has to do
            for one in busy:
                while one.waiting() and time.monotonic() < deadline:
                    wait(one.waiting(), timeout=PATIENCE)
                    for report in one.reports():
                        self._take(report, one.number)
            for one in busy:
                if not one.over:
                    self._saver.take(one.number, fetch(one.role.saved(), timeout=LAST_WORDS))

    def state_dict(self) -> dict[str, Any]:
        """What it takes to go on writing where this run is: rows, counts, and the choice of the best."""
        return {
            "metrics": dict(self.metrics.arrays()),
            "returns": list(self._returns),
            "episodes": self._episodes,
            "before": list(self._pace.last),
            "newest": dict(self._newest),
            "seconds": self._elapsed(),
            "selection": self._selection.state_dict(),
            "callbacks": self._callbacks.state_dict(),
        }

    def load_state_dict(
        self, state: dict[str, Any], steps: Sequence[int], unpack: Callable[[dict[str, Any]], Snapshot]
    ) -> None:
        """Take back what `state_dict` gave. `unpack` makes snapshots of what it says of them.

        Args:
            steps: of each role by then.
        """
        self._steps, self._saver.written = list(steps), sum(steps)
        self._callbacks.load_state_dict(state["callbacks"])
        self.metrics.load(state["metrics"])
        self._returns.extend(state["returns"])
        self._episodes, self._newest = int(state["episodes"]), dict(state["newest"])
        self._updates = self._newest.get("updates", 0.0)  # those before have been told
        self._pace = Pace(*state["before"])
        self.seconds = float(state["seconds"])
        self._selection.load_state_dict(state["selection"], unpack)
        rows = self.metrics.arrays()["steps"]
        self._board.purge = int(rows[-1]) + 1 if len(rows) else 0

    def _elapsed(self) -> float:
        """Seconds that training has taken."""
        if self._over:
            return self.seconds
        return time.monotonic() - self._began - (self._selection.seconds if self._inline else 0.0)

    def _book(self, rows: Sequence[Merged]) -> None:
        """Write down rows that came together: of each nobody knows more than that it was made by now."""
        seconds = self._elapsed()
        clock = {"seconds": round(seconds, 3)}
        if rows and (rate := self._pace.came(rows[-1].steps, seconds)) is not None:
            clock["steps_per_second"] = round(rate, 1)
        for row in rows:
            self._write(row, clock)

    def _write(self, row: Merged, clock: dict[str, float]) -> None:
        returns = [episode.return_ for episode in row.episodes]
        self._returns.extend(returns)
        self._episodes += len(returns)
        values: dict[str, float] = {"episodes": self._episodes, **clock, **row.figures}
        if returns:
            values["episode_return"] = float(np.mean(returns))
            values["episode_length"] = float(np.mean([episode.length for episode in row.episodes]))
        if self._returns:
            values["return_100"] = float(np.mean(self._returns))
        self._newest = {**self._newest, **values}
        self.metrics.put(row.steps, values)
        self._board.write(row.steps, values)
        for episode in row.episodes if self._callbacks.wants("on_episode_end") else ():
            self._callbacks.tell("on_episode_end", row.steps, episode=episode)
        updates, self._updates = row.figures.get("updates", 0.0) - self._updates, row.figures.get("updates", 0.0)
        if updates > 0:
            self._callbacks.tell("on_update", row.steps, figures=row.figures, updates=int(updates))

    def _judge(self) -> None:
        verdict = self._selection.advance()
        if verdict is None:
            return
        steps, evaluation = min(verdict.snapshot.steps * len(self._steps), self._total), verdict.evaluation
        values = {"evaluation_return": evaluation.mean, "evaluation_std": evaluation.std}
        if self._many:  # those of all would overwrite each other: the best of them is the run's
            known = self.metrics.value(steps, "evaluation_return")
            values = {} if known is not None and known >= evaluation.mean else values
            values[f"agent{verdict.snapshot.agent}.evaluation_return"] = evaluation.mean
        if verdict.best:
            assert verdict.confirmed is not None
            values["best_return"] = verdict.confirmed.mean
            self.best = verdict.snapshot
            best = self._directory.checkpoint("best")
            about = {"mean_return": verdict.confirmed.mean, **self._whose(verdict.snapshot)}
            checkpoints.save(best, verdict.snapshot, **about)
        self.metrics.put(steps, values)
        self._board.write(steps, {**values, "evaluation_length": float(evaluation.lengths.mean())})
        outcome = {"evaluation": evaluation, "confirmed": verdict.confirmed, "best": verdict.best}
        self._callbacks.tell("on_evaluation", steps, **outcome)
        if verdict.confirmed is not None or not self._many:  # of several agents only what might have been the best
            self._progress.say(verdict.said(self._many), style="green" if verdict.best else "bright_black")
