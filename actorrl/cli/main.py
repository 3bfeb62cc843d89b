"""The command `actorrl`, which `python -m actorrl` and the installed script call by `main`.

    actorrl train PRESET|FILE.yaml [--seed N] [--run-dir DIR] [--steps N] [--any.key value ...] [--dry-run] [--from RUN]
    actorrl resume RUN_DIR [--steps N] [--trust]
    actorrl evaluate RUN_DIR [--episodes 100] [--which best|final] [--render] [--trust]
    actorrl plot RUN_DIR... [--out FILE.png] [--metric COLUMN] [--against steps|seconds]
    actorrl report RUN_DIR [--out FILE.html] [--which best|final] [--no-episode] [--trust]
    actorrl sweep RUN_DIR --env.KEY VALUES ... [--episodes 200] [--jobs N] [--which best|final] [--trust]
    actorrl tune PRESET|FILE.yaml [--trials 50] [--jobs 1] [--search FILE.yaml] [--steps N] [--any.key value ...]
    actorrl list
    actorrl show PRESET

Results go to stdout, everything else to stderr. The exit code is 0, 1 for a failure of a run, 2 for misuse, and 130
after Ctrl-C.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from actorrl.cli.parser import Parser as _Parser
from actorrl.cli.parser import number as _number
from actorrl.cli.parser import parsed as _parsed

if TYPE_CHECKING:
    from actorrl.training.entry import Prepared

COMMANDS = ("train", "evaluate", "resume", "plot", "report", "sweep", "tune", "list", "show")
EXPECTED = (ValueError, TypeError, LookupError, OSError, ImportError)
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())  # module:Class of the directory one works in
    try:
        return _dispatch(list(sys.argv[1:] if arguments is None else arguments))
    except EXPECTED as error:
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"actorrl: {' '.join(str(text).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("actorrl: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        return 1


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(__doc__.partition("\n\n")[2])
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from actorrl._version import __version__

        print(__version__)
        return 0
    from actorrl.training import require_extra
    from actorrl.training.names import did_you_mean

    require_extra()
    command, rest = arguments[0], arguments[1:]
    if command not in COMMANDS:
        raise ValueError(f"there is no command {command!r}{did_you_mean(command, COMMANDS)}")
    run: dict[str, Callable[[list[str]], int]] = {
        "train": train,
        "evaluate": evaluate,
        "sweep": sweep,
        "resume": resume,
        "tune": tune,
        "list": list_presets,
        "show": show,
        "plot": plot,
        "report": report,
    }
    return run[command](rest)


def train(arguments: list[str]) -> int:
    """`actorrl train`: make a run of a preset or a file."""
    from actorrl.training.entry import prepare
    from actorrl.training.experiment import KEYS, read

    parser = _Parser("actorrl train", description="Train a preset, or what a YAML file says.", allow_abbrev=False)
    parser.add_argument("preset", metavar="PRESET|FILE.yaml", help="a name from `actorrl list`, or a file")
    parser.add_argument("--seed", type=int, help="an integer of at least 0; the run's random numbers follow from it")
    parser.add_argument("--steps", type=_number, help="environment steps, over all environments")
    parser.add_argument("--run-dir", metavar="DIR", help="an empty or new directory; runs/<name>-<time> by default")
    parser.add_argument("--dry-run", action="store_true", help="build everything, try it for a second, keep nothing")
    parser.add_argument("--from", dest="source", metavar="RUN_DIR", help="begin with the weights of that run's best")
    parser.epilog = f"Every key of the file is an option too: {', '.join(f'--{key}' for key in KEYS)}, --agent.gamma"
    given, others = _parsed(parser, arguments)
    others |= {key: value for key in ("seed", "steps") if (value := getattr(given, key)) is not None}
    experiment = read(given.preset, others).checked()
    if given.dry_run:
        from actorrl.training.trial import dry_run

        print(dry_run(experiment, given.run_dir, source=given.source))
        return 0
    return _run(prepare(experiment, given.run_dir, source=given.source))


def _run(prepared: Prepared) -> int:
    """Train what is prepared; the exit code."""
    from actorrl.rl.finite import NotFinite
    from actorrl.rl.proof import NotGymnasium
    from actorrl.training.interrupts import Interrupted

    plain = (NotFinite, NotGymnasium, OSError)  # these say all there is to say
    path = prepared.directory.path
    try:
        prepared.run()
    except KeyboardInterrupt as error:
        print(f"actorrl: {error if str(error) else Interrupted(path, None, {})}", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if not isinstance(error, plain):
            traceback.print_exc()
        why = f": {error}" if isinstance(error, plain) else ""
        print(f"actorrl: the run failed{why}; what there is lies in {path}", file=sys.stderr)
        return 1
    return 0


def resume(arguments: list[str]) -> int:
    """`actorrl resume`: go on with a run that was cut off, or make it longer."""
    from actorrl.cli.options import check_known
    from actorrl.training.resuming import prepare_resume

    parser = _Parser("actorrl resume", description="Go on from the last checkpoint of a run.", allow_abbrev=False)
    parser.add_argument("run_dir", metavar="RUN_DIR", help="the directory of a run")
    parser.add_argument("--steps", type=_number, help="a new total of environment steps, those already made included")
    parser.add_argument("--trust", action="store_true", help="open a pickled agent, which can run any code")
    given, others = _parsed(parser, arguments)
    check_known(("steps", "trust"), others, "resume")
    prepared = prepare_resume(given.run_dir, steps=given.steps, trust=given.trust)
    return 0 if prepared is None else _run(prepared)


def evaluate(arguments: list[str]) -> int:
    """`actorrl evaluate`: play fresh greedy episodes of a run's agent; one line on stdout."""
    from actorrl.cli.options import check_known
    from actorrl.cli.screen import screen
    from actorrl.training.run import load

    parser = _Parser("actorrl evaluate", description="Play fresh greedy episodes.", allow_abbrev=False)
    parser.add_argument("run_dir", metavar="RUN_DIR", help="the directory of a run")
    parser.add_argument("--episodes", type=int, default=100, help="how many; 100 by default")
    parser.add_argument("--which", choices=("best", "final"), default="best", help="the checkpoint; best by default")
    parser.add_argument("--render", action="store_true", help="watch it on the screen")
    parser.add_argument("--trust", action="store_true", help="open a pickled agent, which can run any code")
    given, others = _parsed(parser, arguments)
    check_known(("episodes", "which", "render", "trust"), others, "evaluate")
    run = load(given.run_dir, trust=given.trust)
    steps = run.steps_of(given.which)
    print(f"{run.directory}, {given.which}, after {steps:,} steps", file=sys.stderr)
    with screen() if given.render else nullcontext():
        result = run.evaluate(given.episodes, given.which, render=given.render)
    print(result, flush=True)
    for number in range(len(run.agents)) if len(run.agents) > 1 else ():
        print(f"agent {number} at the end: {run.evaluate(given.episodes, number)}", file=sys.stderr)
    return 0


def sweep(arguments: list[str]) -> int:
    """`actorrl sweep`: a trained agent over a grid of environment parameters."""
    from actorrl.cli import sweep

    return sweep.sweep(arguments)


def tune(arguments: list[str]) -> int:
    """`actorrl tune`: find good settings by many trials."""
    from actorrl.cli import tune

    return tune.tune(arguments)


def list_presets(arguments: list[str]) -> int:
    """`actorrl list`: the presets, a line each."""
    from rich.console import Console
    from rich.table import Table

    from actorrl.training.arrangements import Dataflow, SharedReplay
    from actorrl.training.experiment import read
    from actorrl.training.presets import names, validated

    _Parser("actorrl list", description="The presets there are.").parse_args(arguments)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("preset", "algorithm", "environment", "arrangement", "expect", "steps", "minutes"):
        whole = column not in ("environment", "arrangement")  # these may take a second line
        number = column in ("expect", "steps", "minutes")
        table.add_column(column, justify="right" if number else "left", no_wrap=whole, overflow="fold")
    found = validated()
    for name in names():
        experiment, known = read(name), found.get(name)
        placed = experiment.arrangement
        algorithm = type(experiment.agent).__name__.removesuffix("Config")
        words = "none" if placed is None else f"{type(placed).__name__}({placed.environments})"
        if isinstance(placed, SharedReplay):
            words = f"SharedReplay({placed.count}, {placed.environments})"
        elif isinstance(placed, Dataflow):
            words = f"Dataflow({placed.explorers}, {placed.environments_per_explorer})"
        expect = "–" if known is None else f"{known['best']:.3g}"
        minutes = "–" if known is None else f"{known['minutes']:.1f}"
        environment = str(experiment.env).rpartition(":")[2]
        table.add_row(name, algorithm, environment, words, expect, f"{experiment.steps:,}", minutes)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200
    console.print(table)
    console.print("\nexpect: mean return of `best`; minutes on 2 cores; both medians over seeds, – not recorded")
    return 0


def plot(arguments: list[str]) -> int:
    """`actorrl plot`: one run's curve, or several runs in one picture."""
    from actorrl.cli import watching

    return watching.plot(arguments)


def report(arguments: list[str]) -> int:
    """`actorrl report`: one HTML file of a run."""
    from actorrl.cli import watching

    return watching.report(arguments)


def show(arguments: list[str]) -> int:
    """`actorrl show`: a preset with every field and its value, as YAML that `train` takes."""
    import yaml

    from actorrl.training.experiment import read
    from actorrl.training.presets import find

    parser = _Parser("actorrl show", description="Print a preset with every field and its value.")
    parser.add_argument("preset", metavar="PRESET", help="a name from `actorrl list`, or a file")
    preset = parser.parse_args(arguments).preset
    whole = read(preset).to_tree(find(preset)[0].get("env"))
    print(yaml.safe_dump(whole, sort_keys=False, allow_unicode=True), end="")
    return 0
