"""`tune`: a study of many trials, each a training run in an actor, over a search space. Optuna chooses the values.

    ask ─► Judge ─► values ─► Candidate 0..j-1, actors, one trial each ─► value ─► Judge
                              │  ▲
                              └──┘ after every evaluation: go on, or stop

The study lies in a directory and goes on where it was, however it ended:

runs/tune-cartpole/
    study.yaml       what is tuned: the experiment, the search space, the seed
    study.journal    Optuna's storage
    trials/0000/     a run directory per trial
    trials.csv, best.yaml, tuning.png
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from actorrl.actor import ActorRef, Future, fetch, kill, startat, stop, wait
from actorrl.errors import ActorDied
from actorrl.training.candidate import LATE, Candidate, Outcome
from actorrl.training.environment_source import EnvironmentSource
from actorrl.training.experiment import Experiment, read_overrides
from actorrl.training.judge import Judge, Proposal, Row, require_optuna
from actorrl.training.presets import find
from actorrl.training.search_space import Axis, check_space, find_space, own_values, short, space_of
from actorrl.training.tuning_results import Tuning
from actorrl.training.views.captions import counted
from actorrl.training.wiring import running_system

CLOSING_EPISODES = 20
"""Of `best` and of `final` when a trial is over; its value is the mean of the 50 that confirmed `best`."""
STARVED = 200
"""Draws in a row that are no experiment; then the space is at fault."""
HOPELESS = 5
"""Trials that fail before any other has ended well; then the experiment is at fault."""


@dataclass(frozen=True)
class Study:
    """What is tuned, and where it lies."""

    tree: dict[str, Any]
    """The experiment, as YAML holds it."""
    name: str
    search: dict[str, Any]
    seed: int
    directory: Path
    space: list[Axis] = field(default_factory=list)
    own: dict[str, Any] = field(default_factory=dict)
    """The experiment's values of what is varied, those that the space holds."""

    @property
    def journal(self) -> Path:
        """Optuna's storage."""
        return self.directory / "study.journal"

    def of_trial(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The experiment with a trial's values in it."""
        return read_overrides(self.tree, values)

    def trial_directory(self, number: int) -> Path:
        """The run directory of a trial."""
        return self.directory / "trials" / f"{number:04d}"


def tune(
    experiment: str | Path | Mapping[str, Any],
    *,
    trials: int = 50,
    jobs: int = 1,
    search: Mapping[str, Any] | str | Path | None = None,
    steps: int | None = None,
    seed: int = 0,
    directory: str | Path | None = None,
    prune: bool = True,
    name: str | None = None,
    say: Callable[[str], None] | None = None,
) -> Tuning:
    """Find good settings: train with many, each chosen by what the ones before have shown; first the experiment as it
    is.

    Args:
        experiment: a preset's name, a YAML file, or what such a file holds.
        trials: how many in all; a study that has so many already is only read.
        jobs: how many are trained at the same time, each in a process of its own.
        search: {key: range or list} (see `search_space.py`), or a file of it. Where None, `search` in the experiment's
            file, else what lies beside the preset or its algorithm.
        steps: of a trial; those of the experiment where None.
        seed: of the study. The trials' own is the experiment's, the same for all.
        directory: of the study; `runs/tune-<name>` where None. If it holds this study already, it goes on.
        prune: stop a trial that is worse than the median of the others at the same evaluation (after its first fifth).
        name: what to call it; the preset's or the file's name where None.
        say: called with a line for each trial that ended.

    Returns:
        A `Tuning`: the trials, the best of them, and where it lies.

    Raises:
        ValueError: an unknown key, a value that does not fit, a directory that holds another study.
        RuntimeError: every one of the first trials failed. ImportError: Optuna (the extra `tune`) is missing.
    """
    require_optuna()
    for what, number in (("trials", trials), ("jobs", jobs)):
        if number < 1:
            raise ValueError(f"{what} must be at least 1, found {number}")
    study = study_of(experiment, search, steps, seed, directory, name)
    plan = Experiment.from_tree(study.tree, study.name).checked()
    evaluations = max(1, (plan.steps or 0) // plan.evaluation.interval(plan.steps or 0))
    with _opened(study), running_system("processes", seed):
        judge = startat(None, Judge, str(study.journal), study.space, seed, evaluations, prune, study.own)
        begun = fetch(judge.begin())
        told = say or (lambda line: None)
        if begun.done or begun.lost:
            told(_goes_on(*begun))
        try:
            _Trials(study, judge, told, begun.done, fetch(judge.rows())).run(trials, jobs)
        finally:
            result = Tuning(study.directory, study.space, fetch(judge.rows()), study.name)
            result.save(study.of_trial)
            stop(judge)
    return result


def _goes_on(done: int, lost: int) -> str:
    """What is told of a study that was begun before."""
    after = f"goes on after {counted(done, 'trial')}"
    if not lost:
        return after
    again = "one goes on from its last checkpoint" if lost == 1 else "ones go on from their last checkpoints"
    return f"{after}; {lost} interrupted {again}"


def study_of(
    experiment: str | Path | Mapping[str, Any],
    search: Mapping[str, Any] | str | Path | None,
    steps: int | None,
    seed: int,
    directory: str | Path | None = None,
    name: str | None = None,
) -> Study:
    """The study of these arguments, checked; nothing is written."""
    tree, found = (dict(experiment), "experiment") if isinstance(experiment, Mapping) else find(experiment)
    name = name or found
    if steps is not None:
        tree["steps"] = steps
    file = search is None or isinstance(search, (str, Path))
    said: Any = find_space(tree, name, search) if file else search  # type: ignore[arg-type]
    tree.pop("search", None)
    plan = Experiment.from_tree(tree, name).checked()
    EnvironmentSource(plan.env, plan.wrappers).spaces()  # made once, before anything is started
    space = space_of(said)
    check_space(space, tree, name)
    where = Path(directory) if directory is not None else Path("runs") / f"tune-{name}"
    return Study(tree, name, dict(said), seed, where, space, own_values(space, plan))


@contextmanager
def _opened(study: Study) -> Iterator[None]:
    """The study's directory, with study.yaml in it, and nobody else at it.

    Raises:
        ValueError: it holds another study. BlockingIOError: another process is at it.
    """
    study.directory.mkdir(parents=True, exist_ok=True)
    with (study.directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(f"another process is tuning in {study.directory}: give another directory") from None
        path = study.directory / "study.yaml"
        now = {"experiment": study.tree, "search": study.search, "seed": study.seed}
        now = yaml.safe_load(yaml.safe_dump(now))  # as it will be read
        if path.exists():
            _require_same(yaml.safe_load(path.read_text()), now, study.directory)
        elif any(other.name != "lock" for other in study.directory.iterdir()):
            raise FileExistsError(f"{study.directory} is there already, not empty and no study: give another directory")
        else:
            path.write_text(yaml.safe_dump(now, sort_keys=False, allow_unicode=True))
        yield


def _require_same(before: Any, now: Any, directory: Path) -> None:
    old, new = _flat(before), _flat(now)
    for key in [*old, *new]:
        if old.get(key) != new.get(key):
            had, asked = (repr(flat[key]) if key in flat else "not given" for flat in (old, new))
            key = key.removeprefix("experiment.")
            raise ValueError(
                f"{directory} holds another study: there {key} is {had}, here it is {asked}; "
                f"give a directory of its own, or delete that one"
            )


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, Mapping):
        return {prefix: tree}
    return {k: v for key, below in tree.items() for k, v in _flat(below, f"{prefix}.{key}".lstrip(".")).items()}


class _Trials:
    """Keeps the candidates busy until there are enough trials."""

    def __init__(
        self, study: Study, judge: ActorRef[Judge], say: Callable[[str], None], done: int, rows: list[Row]
    ) -> None:
        self._study, self._judge, self._say, self._done = study, judge, say, done
        self._well = sum(row.state != "failed" for row in rows)
        self._best = max((row.value or 0.0 for row in rows if row.state == "complete"), default=float("-inf"))
        self._flying: dict[Future[Outcome], tuple[Proposal, ActorRef[Candidate]]] = {}

    def run(self, trials: int, jobs: int) -> None:
        """As many trials as are missing, `jobs` at a time."""
        candidates: list[ActorRef[Candidate]] = []
        try:
            for _ in range(min(jobs, trials - self._done)):
                candidates.append(startat(None, Candidate, self._judge))
                self._send(candidates[-1])
            while self._flying:
                for future in wait(list(self._flying))[0]:
                    proposal, candidate = self._flying.pop(future)
                    if not self._take(future, proposal):
                        candidates.remove(candidate)
                        candidate = startat(None, Candidate, self._judge)
                        candidates.append(candidate)
                    if self._done + len(self._flying) < trials:
                        self._send(candidate)
        except BaseException:
            for future in self._flying:
                future.cancel()
            for candidate in candidates:
                kill(candidate)  # what it was training goes on when the study does
            raise
        for candidate in candidates:
            stop(candidate)

    def _send(self, candidate: Any) -> None:
        proposal, tree = self._drawn()
        directory = self._study.trial_directory(proposal.number)
        shutil.rmtree(directory, ignore_errors=True)
        if proposal.before is not None:
            with suppress(FileNotFoundError):
                self._study.trial_directory(proposal.before).rename(directory)
        future = candidate.train(tree, self._study.name, str(directory), proposal.number)
        self._flying[future] = proposal, candidate

    def _drawn(self) -> tuple[Proposal, dict[str, Any]]:
        """The next values that make an experiment."""
        for _ in range(STARVED):
            proposal = fetch(self._judge.ask())
            try:
                tree = self._study.of_trial(proposal.values)
                experiment = Experiment.from_tree(tree, self._study.name).checked()
            except (ValueError, TypeError) as error:
                fetch(self._judge.reject(proposal.number))
                refused = error
                continue
            tree["evaluation"] = {"final": CLOSING_EPISODES, **(tree.get("evaluation") or {})}
            if experiment.arrangement is not None:
                tree["engine"] = "processes"  # a trial is in an actor already
            return proposal, tree
        raise ValueError(f"the search space has hardly a point that is an experiment; the last one: {refused}")

    def _take(self, future: Future[Outcome], proposal: Proposal) -> bool:
        """Book a trial that ended; whether its actor lives."""
        alive = True
        try:
            outcome = fetch(future)
        except ActorDied as error:
            outcome, alive = Outcome("failed", None, {"why": str(error)}), False
        except Exception as error:
            outcome = Outcome("failed", None, {"why": f"{type(error).__name__}: {error}"})
        fetch(self._judge.tell(proposal.number, outcome.state, outcome.value, **outcome.attributes))
        self._done += 1
        self._well += outcome.state != "failed"
        self._say(self._line(outcome, proposal))
        if not self._well and self._done >= HOPELESS:
            raise RuntimeError(f"the first {self._done} trials failed, the last one so: {outcome.attributes['why']}")
        return alive

    def _line(self, outcome: Outcome, proposal: Proposal) -> str:
        values = ", ".join(f"{key.rpartition('.')[2]}={short(value)}" for key, value in proposal.values.items())
        said = f"trial {proposal.number:>3}  "
        if outcome.state == "complete" and outcome.value is not None:
            better = outcome.value > self._best
            self._best = max(self._best, outcome.value)
            said += f"mean return {outcome.value:8.1f}{'  best so far' if better else ''}"
            said += "  worse than the median, too late to stop" if LATE in outcome.attributes else ""
        elif outcome.state == "pruned":
            said += f"stopped after {outcome.attributes['steps']:,} steps"
        else:
            said += f"failed: {outcome.attributes['why']}"
        if proposal.own is not None:
            drawn = ", ".join(key.rpartition(".")[2] for key in proposal.own)
            values += "   the experiment's own" + (f", but for {drawn}" if drawn else "")
        return f"{said}   {values}"
