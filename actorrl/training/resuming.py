"""`resume`: a run that was cut off, or is to be longer, goes on from its last whole checkpoint; else from the start.

config.yaml ─► Experiment ─► the same checks as for `train` ─┐
checkpoints/latest ─► Resumption ────────────────────────────┴─► Prepared.run
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actorrl.training import checkpoints
from actorrl.training.entry import Prepared, prepare_again
from actorrl.training.experiment import Experiment, agent_of, callbacks_of, is_bare_name
from actorrl.training.fields import to_mapping
from actorrl.training.filters import wrappers_of
from actorrl.training.names import passed_again
from actorrl.training.run import Run, load
from actorrl.training.run_directory import RunDirectory, in_use
from actorrl.training.saving import Resumption, read
from actorrl.training.stopping import StopPlan

__all__ = ["prepare_resume", "resume"]


def resume(
    run_dir: str | Path,
    *,
    steps: int | None = None,
    trust: bool = False,
    agent: Any = None,
    env: Any = None,
    wrappers: Sequence[Any] = (),
    callbacks: Sequence[Any] = (),
) -> Run:
    """Go on with a run from its last checkpoint. One role inline ends up where it would have without the break.

    Args:
        run_dir: the directory of the run.
        steps: a new total of environment steps, those already made included; the run's own where None.
        trust: open `agent.pkl`, a pickle, which can run any code: for agents without a state_dict.
        agent: for an agent whose class cannot be made by its name and arguments alone: an instance to fill.
        env: for an environment that had no name (a lambda, an instance): the same again.
        wrappers: for wrappers of which one had no name: all of them again.
        callbacks: in place of those that config.yaml names; needed where one has no name, or was made of arguments.

    Returns:
        The finished `Run`; at once where there are no more steps to make.

    Raises:
        FileNotFoundError: no run directory. BlockingIOError: another process trains in it.
        PermissionError: the agent is a pickle, without trust. ValueError: what config.yaml names cannot be found.
    """
    again = {"agent": agent, "env": env, "wrappers": wrappers_of(wrappers)}
    prepared = prepare_resume(run_dir, steps=steps, trust=trust, callbacks=tuple(callbacks), **again)
    return load(run_dir, trust=trust, **again) if prepared is None else prepared.run()


def prepare_resume(
    run_dir: str | Path, *, steps: float | None = None, trust: bool = False, **given: Any
) -> Prepared | None:
    """Check everything that can be checked before a run goes on; None where it is finished. The errors of `resume`."""
    directory = RunDirectory.existing(run_dir)
    config = directory.read_config()
    made = _finished(directory)
    if made is not None and (steps is None or made >= steps):
        _say(f"{directory.path} is finished, after {made:,} steps; give it more with --steps N, the new total")
        return None
    with in_use(directory.path):
        resumption = read(directory.checkpoint("latest"), trust=trust, said=_say)
    with directory.of_version():
        experiment = _experiment(config, directory, resumption, steps, given)
    if made is not None:
        _forget_stop(experiment)
    if resumption is None:
        _say(f"{directory.path} has no whole checkpoint to go on from: it begins again")
    elif resumption.steps > (experiment.steps or 0):
        raise ValueError(
            f"steps is the new total, those already made included: expected at least {resumption.steps:,}, which "
            f"{directory.path} has made, found {experiment.steps:,}"
        )
    prepared = prepare_again(experiment, directory, resumption, trust)
    if made is not None:  # from now on it is one that was not, should it be cut off
        checkpoints.note(directory.checkpoint("final"), finished=False)
    return prepared


def _forget_stop(experiment: Experiment) -> None:
    """It has come to its end once, so no other reason is left to end but the new total."""
    rules = {key: value for key, value in to_mapping(experiment.stop).items() if value is not None}
    if rules:
        said = ", ".join(f"stop.{key}: {value:g}" for key, value in rules.items())
        _say(f"the run has come to its end once, so {said} holds no more: it ends at the new total of steps")
    experiment.stop = StopPlan()


def _finished(directory: RunDirectory) -> int | None:
    """The steps of a run that came to its end; None of others."""
    final = directory.checkpoint("final")
    if not final.exists():
        return None
    about = checkpoints.about(final)
    return int(about["run_steps"]) if about.get("finished") else None


def _experiment(
    config: dict[str, Any],
    directory: RunDirectory,
    resumption: Resumption | None,
    steps: float | None,
    given: dict[str, Any],
) -> Experiment:
    tree, named = dict(config), config["agent"]
    agent = given["agent"] if given.get("agent") is not None else resumption and resumption.agents[0]
    if agent is not None:
        tree["agent"] = {"name": "qlearning"}  # put in its place below
    elif named is not None and is_bare_name(str(named["name"])) and not _makes(named):
        raise ValueError(
            f"this run's agent is a {named['name']}, which cannot be made again by that name: go on with an instance "
            f"to fill, resume(run_dir, agent=...)"
        )
    tree |= dict.fromkeys(("env", "wrappers", "callbacks"))  # these too
    experiment = Experiment.from_tree(tree, directory.path.name)
    if agent is not None:
        experiment.agent, experiment.agent_tree = agent, named
    _fill(experiment, config, given)
    experiment.steps = experiment.steps if steps is None else steps  # type: ignore[assignment]
    return experiment.checked()


def _fill(experiment: Experiment, config: dict[str, Any], given: dict[str, Any]) -> None:
    """Put in what may have no name: as it was passed again, else by its name. ValueError, which names the argument."""
    experiment.env = given["env"] if given.get("env") is not None else config["env"]
    if experiment.env is None:
        raise ValueError(
            "the environment of this run has no name that a file could hold: pass it again, resume(run_dir, env=...)"
        )
    with passed_again("resume(run_dir, wrappers=[...])"):
        experiment.wrappers = given.get("wrappers") or wrappers_of(config["wrappers"])
    if given.get("callbacks"):
        experiment.callbacks = given["callbacks"]
        return
    with passed_again("resume(run_dir, callbacks=[...])"):
        experiment.callbacks = callbacks_of(config["callbacks"])
    experiment.callback_items = tuple(config["callbacks"] or ())


def _makes(named: dict[str, Any]) -> bool:
    try:
        agent_of(named)
    except ValueError:
        return False
    return True


def _say(text: str) -> None:
    print(f"actorrl: {text}", file=sys.stderr)
