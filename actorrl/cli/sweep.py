"""`actorrl sweep`: the table on stdout, everything else on stderr and in files. `main` calls it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from actorrl.cli.parser import Parser, parsed
from actorrl.training.grids import words
from actorrl.training.names import did_you_mean
from actorrl.training.run import load
from actorrl.training.sweep_results import Sweep
from actorrl.training.sweeping import sweep as play

KNOWN = ("episodes", "jobs", "which", "out", "trust", "env.KEY")


def parser() -> Parser:
    """What the command takes beside `--env.KEY VALUES`."""
    parser = Parser(
        "actorrl sweep",
        description="Play a trained agent in its environment with other parameters, in parallel over actors.",
        epilog="--env.KEY VALUES: -12,-10,-8 or start:stop:count; several make a product.",
        allow_abbrev=False,
    )
    parser.add_argument("run_dir", metavar="RUN_DIR", help="the directory of a run")
    parser.add_argument("--episodes", type=int, default=200, help="of each point; 200 by default")
    parser.add_argument("--jobs", type=int, help="how many actors play; one per core by default")
    parser.add_argument("--which", choices=("best", "final"), default="best", help="the checkpoint; best by default")
    parser.add_argument("--out", metavar="DIR", help="where it is written; RUN_DIR/sweeps/<keys>-<time> by default")
    parser.add_argument("--trust", action="store_true", help="open a pickled agent, which can run any code")
    return parser


def sweep(arguments: list[str]) -> int:
    """Play the grid that the options `--env.KEY` name; the exit code."""
    given, others = parsed(parser(), arguments, read=str, once=True)
    grid = {}
    for option, values in others.items():
        head, _, key = option.partition(".")
        if head != "env" or not key:
            known = [f"--{name}" for name in KNOWN]
            raise ValueError(f"sweep has no option --{option}{did_you_mean(f'--{option}', known)}")
        grid[key.replace("-", "_")] = values
    if not grid:
        raise ValueError("there is nothing to vary: name a parameter and its values, --env.gravity -12,-10,-8")
    if given.jobs is not None and given.jobs < 1:
        raise ValueError(f"--jobs must be at least 1, found {given.jobs}")
    run = load(given.run_dir, trust=given.trust)
    stem = Path(run.directory) / "sweeps" / f"{'-'.join(grid)}-{time.strftime('%Y%m%d-%H%M%S')}"
    directory = Path(given.out) if given.out else stem
    columns = (TextColumn("  episodes"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("episodes", total=None)

        def found(result: Sweep) -> None:
            bar.stop()
            _show(result)

        try:
            play(
                run, grid, episodes=given.episodes, which=given.which, jobs=given.jobs, directory=directory,
                progress=lambda done, total: bar.update(task, completed=done, total=total), found=found,
            )  # fmt: skip
        except RuntimeError as error:
            bar.stop()
            print(f"actorrl: {error}", file=sys.stderr)
            return 1
    print(f"summary.csv, episodes.csv and sweep.png are in {directory}", file=sys.stderr)
    return 0


def _show(result: Sweep) -> None:
    print(result.title, file=sys.stderr)
    for point, why in result.refused:
        print(f"left out {words(point)}, which the environment does not accept: {why}", file=sys.stderr)
    head, *lines = result.table()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in head:
        table.add_column(column, justify="right", no_wrap=True)
    for line in lines:
        table.add_row(*line)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200
    console.print(table)
