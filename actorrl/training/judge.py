"""The actor that owns a study: the only process that touches Optuna and its file.

    driver ── ask ──► Judge ── study.journal            trial actors ── report ──► Judge: "go on" or "stop"
           ◄─ values ─

A file with one writer is never torn by a trial that is killed. `tuning.py` spawns it; Optuna is the extra `tune`.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from actorrl.training.search_space import Axis

STARTUP = 10
"""Trials that are drawn at random before TPE has something to go by."""
WARMUP = 0.2
"""The part of a trial in which it is not stopped."""


BEFORE = "before"
"""Where a trial keeps the number it had when it was interrupted."""
OWN = "own"
"""Where the trial with the experiment's own values keeps the keys that it had to draw all the same."""


class Proposal(NamedTuple):
    """The values of a trial to be run."""

    number: int
    values: dict[str, Any]
    before: int | None = None
    """The number of the interrupted trial that it goes on with."""
    own: list[str] | None = None
    """Of the one with the experiment's own values, the keys whose values the space does not hold; None of others."""


class Begun(NamedTuple):
    """What was found in the study."""

    done: int
    """Trials that have ended."""
    lost: int
    """Trials that were interrupted; they go on first."""


class Row(NamedTuple):
    """A trial as it ended."""

    number: int
    values: dict[str, Any]
    state: str
    """ "complete", "pruned" or "failed"."""
    value: float | None
    """Mean return of its best checkpoint; of a pruned one the last evaluation."""
    reports: dict[int, float]
    """Evaluations, by the number of the evaluation."""
    attributes: dict[str, Any]
    """steps and seconds of training; best_steps, of its best checkpoint; `late`, after how many steps it would have
    been stopped, had training not been over; why, where it failed; `own`, as of `Proposal`, of the one with the
    experiment's values.
    """


def require_optuna() -> None:
    """ImportError, naming the extra, where Optuna is not installed."""
    if importlib.util.find_spec("optuna") is None:
        raise ImportError("tune needs optuna: pip install 'actorrl[tune]'")


class Judge:
    """A study in a file; an actor's object.

    Args:
        path: of the journal.
        space: what is varied.
        seed: TPE draws from it and from the trial's number.
        evaluations: how many there are in a whole trial; the median rule leaves the first fifth alone.
        prune: whether trials are stopped that are worse than the median of others at the same evaluation.
        own: the experiment's own values, which a new study tries first; those that it leaves out are drawn.
    """

    def __init__(
        self,
        path: str,
        space: list[Axis],
        seed: int,
        evaluations: int,
        prune: bool = True,
        own: Mapping[str, Any] | None = None,
    ) -> None:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self._optuna, self._space, self._seed = optuna, space, seed
        storage = JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path)))
        warmup = 1 + max(1, round(WARMUP * evaluations))  # they are numbered from 1
        median = optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=warmup)
        self._study = optuna.create_study(
            storage=storage, study_name="actorrl", direction="maximize", load_if_exists=True,
            pruner=median if prune else optuna.pruners.NopPruner(),
        )  # fmt: skip
        self._open: dict[int, Any] = {}
        self._own = dict(own or {})

    def begin(self) -> Begun:
        """Give up trials that nobody runs any more, and put new ones that go on with them first in the queue; in that
        of a new study the experiment as it is."""
        if self._own and not self._study.get_trials(deepcopy=False):
            self._study.enqueue_trial(self._own, {OWN: [a.key for a in self._space if a.key not in self._own]})
        states = self._optuna.trial.TrialState
        lost = self._study.get_trials(deepcopy=False, states=(states.RUNNING,))
        for trial in lost:
            self._study.tell(trial.number, state=states.FAIL)
            if len(trial.params) == len(self._space):
                kept = {OWN: trial.user_attrs[OWN]} if OWN in trial.user_attrs else {}
                self._study.enqueue_trial(trial.params, {BEFORE: trial.number, **kept})
        return Begun(len(self.rows()), len(lost))

    def ask(self) -> Proposal:
        """The next trial's values; of one that goes on, what it has reported before is known."""
        number = len(self._study.get_trials(deepcopy=False))
        seed = int(np.random.SeedSequence(self._seed, spawn_key=(number,)).generate_state(1)[0])
        self._study.sampler = self._optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
        trial = self._study.ask()
        self._open[trial.number] = trial
        values, before = {axis.key: axis.suggest(trial) for axis in self._space}, trial.user_attrs.get(BEFORE)
        if before is not None:
            for evaluation, said in self._study.trials[before].intermediate_values.items():
                trial.report(said, evaluation)
        return Proposal(trial.number, values, before, trial.user_attrs.get(OWN))

    def report(self, number: int, evaluation: int, value: float) -> bool:
        """Take in what a trial's evaluation gave; whether it is to stop."""
        trial = self._open[number]
        if evaluation not in self._study.trials[number].intermediate_values:  # else told before it was interrupted
            trial.report(value, evaluation)
        return trial.should_prune()

    def tell(self, number: int, state: str, value: float | None = None, **attributes: Any) -> None:
        """A trial has ended."""
        trial = self._open.pop(number)
        for key, said in {"state": state, **attributes}.items():
            trial.set_user_attr(key, said)
        states = self._optuna.trial.TrialState
        if state == "complete":
            self._study.tell(trial, value)
        else:
            self._study.tell(trial, state=states.PRUNED if state == "pruned" else states.FAIL)

    def reject(self, number: int) -> None:
        """A draw that is no experiment: it does not count."""
        self._study.tell(self._open.pop(number), state=self._optuna.trial.TrialState.FAIL)

    def rows(self) -> list[Row]:
        """The trials that have ended, in their order."""
        rows = []
        for trial in self._study.get_trials(deepcopy=False):
            attributes = dict(trial.user_attrs)
            attributes.pop(BEFORE, None)
            state = attributes.pop("state", None)
            if state is None or not trial.state.is_finished() or (state == "complete" and trial.value is None):
                continue
            frozen = self._optuna.trial.FixedTrial(trial.params)
            values = {axis.key: axis.suggest(frozen) for axis in self._space}
            reports = {int(step): float(said) for step, said in sorted(trial.intermediate_values.items())}
            value = trial.value if state == "complete" else list(reports.values())[-1] if reports else None
            rows.append(Row(trial.number, values, state, value, reports, attributes))
        return rows
