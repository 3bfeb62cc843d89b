"""Floor 3: the seam. Wires the plain objects of `rl/` into actors, trains them, and keeps what comes of it.

    entry           train(...): from the arguments to the finished run, in order of events
    experiment      what is to be trained: arguments, presets, YAML      presets/, fields, names: what it reads with
    filters         wrappers by their names, and returns without them
    environment_source   an id, factory or instance becomes makers       check: the rehearsal of a user's agent
    arrangements    Central, SharedReplay, Dataflow: what was asked for
    wiring          what every arrangement shares                        central, shared_replay: those that are built
    replay_server   the one buffer of many agents, as an actor           merging: many agents' curves in one
    dataflow        explorers and trainer                                flow: how far one may be ahead of the other
    policy_server   who acts for many explorers, and their own end       records: rows as bytes
    roles           an agent's role, in slices; InlineRef                remote_lanes: lanes to environment actors
    runner          keeps the roles busy, writes down what happens       selection, evaluation: which snapshot is best
    run             Run and load                                         run_directory, checkpoints, arrays_file, curve
    tuning          tune(...): many trials, Optuna chooses the values    judge, candidate, search_space, tuning_results
    sweeping        sweep(...): a trained agent over a grid              grids, sweep_results: what it reads and finds
    resuming        resume(...): go on from the last checkpoint          saving: that checkpoint; interrupts: Ctrl-C
    callbacks, stopping   who is told what happens, when to end          weights: begin with another run's (--from)
    trial           --dry-run                                            lines: of YAML files, for errors; versions

Names are imported on first use; what people look at (rich, matplotlib, ...) is the extra `cli`.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actorrl.training.arrangements import Central, Dataflow, SharedReplay
    from actorrl.training.entry import train
    from actorrl.training.evaluation import Evaluation, EvaluationPlan
    from actorrl.training.resuming import resume
    from actorrl.training.run import Run, load
    from actorrl.training.sweeping import sweep
    from actorrl.training.tuning import tune

__all__ = [
    "Central",
    "Dataflow",
    "Evaluation",
    "EvaluationPlan",
    "Run",
    "SharedReplay",
    "load",
    "resume",
    "sweep",
    "train",
    "tune",
]

_HOMES = {
    "Central": "arrangements",
    "Dataflow": "arrangements",
    "Evaluation": "evaluation",
    "EvaluationPlan": "evaluation",
    "Run": "run",
    "SharedReplay": "arrangements",
    "load": "run",
    "resume": "resuming",
    "sweep": "sweeping",
    "tune": "tuning",
    "train": "entry",
}
EXTRA = {"rich", "yaml", "matplotlib", "tensorboard"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'actorrl.training' has no attribute {name!r}")
    module = f"actorrl.training.{_HOMES[name]}"
    if name in ("train", "load", "resume", "Run", "sweep", "tune"):
        require_extra()
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def require_extra() -> None:
    """ImportError, naming the extra, where what people look at is not installed."""
    missing = [library for library in sorted(EXTRA) if importlib.util.find_spec(library) is None]
    if missing:
        raise ImportError(f"train, load and the command line need {', '.join(missing)}: pip install 'actorrl[cli]'")
