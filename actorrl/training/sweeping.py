"""`sweep`: a trained agent over a grid of environment parameters, in parallel over actors.

    grid ─► every point's episodes, in shares ──► Stage 0..j-1, actors ──► returns of each point ──► Sweep

Every point is played with the same seeds, so that a difference between two is the parameter's and not luck's; shares
have seeds of their own, so that the numbers are the same for any number of actors.
"""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from actorrl.actor import ActorRef, Future, fetch, kill, startat, stop, wait
from actorrl.training.copies import copy_of
from actorrl.training.environment_source import EnvironmentSource
from actorrl.training.evaluation import CLOSING, VECTOR, Evaluation, Evaluator, Player
from actorrl.training.grids import Grid, grid_of, values_of, words
from actorrl.training.run import Run, load
from actorrl.training.sweep_results import Sweep
from actorrl.training.wiring import running_system

SHARE = 25
"""Episodes of one point that an actor plays at a time."""
FIRST = 2 * CLOSING
"""The first seed number of sweeps."""


class _Share(NamedTuple):
    """Some episodes of one point."""

    point: int
    number: int
    episodes: int


class Stage:
    """Plays shares, each in fresh environments and by a fresh copy of the player; an actor's object."""

    def __init__(self, player: Player, seed: int) -> None:
        self._player, self._seed = player, seed

    def play(self, source: EnvironmentSource, episodes: int, number: int) -> Evaluation:
        """So many episodes; which ones `number` says."""
        player = copy_of(self._player)
        evaluator = Evaluator(source, player.encode, self._seed, first=FIRST + number * VECTOR)
        try:
            return evaluator.audition(player, episodes).finish()
        finally:
            evaluator.close()


def sweep(
    run: Run | str | Path,
    grid: Mapping[str, Any],
    *,
    episodes: int = 200,
    which: str = "best",
    jobs: int | None = None,
    engine: str = "processes",
    directory: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    found: Callable[[Sweep], None] | None = None,
) -> Sweep:
    """Play a trained agent, greedily, in its environment with other parameters.

    Args:
        run: a `Run`, or the directory of one.
        grid: {keyword of the environment's constructor: values}; several make a product. Values are a list, or a text
            as on the command line: "-12,-10,-8", "start:stop:count".
        episodes: of each point.
        which: the checkpoint, "best" or "final".
        jobs: how many actors play; one per core where None.
        engine: where they live: "processes", or "inline".
        directory: where table, episodes and picture are written; None for nowhere.
        progress: called with (episodes played, of how many).
        found: called with the result before it is written.

    Returns:
        A `Sweep`: returns and lengths of every episode, and a row of statistics per point. Points that the environment
        does not accept (a value out of its range) are left out and listed in `refused`.

    Raises:
        ValueError: a parameter that the environment does not take, or no point that it accepts.
        OSError: the directory cannot be written to; before anything is played.
        RuntimeError: an environment that failed; it names the point.
    """
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1, found {episodes}")
    if not grid:
        raise ValueError("there is nothing to vary: name a parameter of the environment and its values")
    run = run if isinstance(run, Run) else load(run)
    axes = {str(key).replace("-", "_"): values_of(values) for key, values in grid.items()}
    made, player = grid_of(run.source, axes), run.player(which)
    if directory is not None:
        require_writable(Path(directory))
    shares = _shares(len(made.points), episodes)
    count = max(1, min(jobs or cores(), len(shares)))
    with running_system(engine, run.seed):
        played = _play(made, shares, player, run.seed, count, progress or (lambda done, total: None))
    result = Sweep(
        list(axes), made.points, _joined(played, "returns"), _joined(played, "lengths"), made.refused,
        title=f"{run.name} on {run.source.name}, checkpoint {which} after {run.steps_of(which):,} steps",
    )  # fmt: skip
    if found is not None:
        found(result)
    if directory is not None:
        result.save(Path(directory))
    return result


def require_writable(directory: Path) -> None:
    """Make a directory, where there is none. OSError, naming it, where it or its disk takes no file."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(bytes(4096))
    except OSError as error:
        raise type(error)(f"{directory} must be a directory that can be written to: {error.strerror}") from error


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _shares(points: int, episodes: int) -> list[_Share]:
    """Of every point in turn, so that an early look shows something of all."""
    numbers = range(-(-episodes // SHARE))
    return [_Share(p, n, min(SHARE, episodes - n * SHARE)) for n in numbers for p in range(points)]


def _play(
    grid: Grid, shares: Sequence[_Share], player: Player, seed: int, jobs: int, progress: Callable[[int, int], None]
) -> list[list[Evaluation]]:
    """The evaluations of every point, by share."""
    todo, total, done = deque(shares), sum(share.episodes for share in shares), 0
    played: dict[_Share, Evaluation] = {}
    stages: list[ActorRef[Stage]] = []
    flying: dict[Future[Evaluation], tuple[_Share, ActorRef[Stage]]] = {}

    def send(stage: Any) -> None:
        if todo:
            share = todo.popleft()
            flying[stage.play(grid.sources[share.point], share.episodes, share.number)] = share, stage

    try:
        stages += [startat(None, Stage, player, seed) for _ in range(jobs)]
        for stage in stages:
            send(stage)
        while flying:
            for future in wait(list(flying))[0]:
                share, stage = flying.pop(future)
                try:
                    played[share] = fetch(future)
                except Exception as error:
                    raise RuntimeError(f"{words(grid.points[share.point])}: {error}") from error
                done += share.episodes
                progress(done, total)
                send(stage)
    except BaseException:
        for future in flying:
            future.cancel()
        for stage in stages:
            kill(stage)  # a long episode may never end, and nobody wants its result
        raise
    for stage in stages:
        stop(stage)
    return [[played[share] for share in sorted(shares) if share.point == p] for p in range(len(grid.points))]


def _joined(played: Sequence[Sequence[Evaluation]], what: str) -> list[np.ndarray]:
    return [np.concatenate([getattr(evaluation, what) for evaluation in point]) for point in played]
