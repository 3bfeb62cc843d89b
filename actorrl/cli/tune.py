"""`actorrl tune`: a line per trial on stderr, the best trial's settings on stdout. `main` calls it."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from actorrl.cli.parser import Parser, number, parsed
from actorrl.training.experiment import KEYS, read, read_overrides
from actorrl.training.presets import find
from actorrl.training.search_space import find_space
from actorrl.training.tuning import require_optuna
from actorrl.training.tuning import tune as study
from actorrl.training.tuning_results import Tuning

INTERRUPTED = 130


def parser() -> Parser:
    """What the command takes beside `--any.key value`."""
    parser = Parser(
        "actorrl tune",
        description="Find good settings: many trials, each a training run; Optuna chooses the values.",
        epilog=f"Every key of the file is an option too: {', '.join(f'--{key}' for key in KEYS)}, --agent.gamma",
        allow_abbrev=False,
    )
    parser.add_argument("preset", metavar="PRESET|FILE.yaml", help="a name from `actorrl list`, or a file")
    parser.add_argument("--trials", type=int, default=50, help="how many in all; 50 by default")
    parser.add_argument("--jobs", type=int, default=1, help="how many at the same time, in processes; 1 by default")
    parser.add_argument("--search", metavar="FILE.yaml", help="the search space; else `search` in the file, or ours")
    parser.add_argument("--steps", type=number, help="environment steps of a trial")
    parser.add_argument("--seed", type=int, default=0, help="of the study; trials have that of the experiment")
    parser.add_argument("--study", metavar="DIR", help="its directory; runs/tune-<name> by default. A study goes on")
    parser.add_argument("--no-prune", action="store_true", help="let every trial go to its end")
    return parser


def tune(arguments: list[str]) -> int:
    """Run trials until there are enough; the exit code."""
    given, others = parsed(parser(), arguments)
    require_optuna()
    read(given.preset, others)  # what does not fit is refused with the line of the file
    tree, name = find(given.preset)
    search = find_space(tree, name, given.search)
    tree = read_overrides({key: value for key, value in tree.items() if key != "search"}, others)
    if given.steps is not None:
        tree["steps"] = given.steps
    directory = Path(given.study) if given.study else Path("runs") / f"tune-{name}"
    print(f"study {directory}: {given.trials} trials, {given.jobs} at a time", file=sys.stderr)
    try:
        result = study(
            tree, trials=given.trials, jobs=given.jobs, search=search, seed=given.seed, directory=directory,
            prune=not given.no_prune, name=name, say=lambda line: print(line, file=sys.stderr, flush=True),
        )  # fmt: skip
    except KeyboardInterrupt:
        print("actorrl: interrupted; the same command goes on where the study is", file=sys.stderr)
        return INTERRUPTED
    except RuntimeError as error:
        print(f"actorrl: {error}", file=sys.stderr)
        return 1
    return _show(result)


def _show(result: Tuning) -> int:
    best = result.best
    if best is None:
        print("actorrl: no trial went to its end, so there is no best; trials.csv has what there is", file=sys.stderr)
        return 1
    print(f"best of {len(result.rows)} trials: number {best.number}, mean return {best.value:.1f}")
    print(yaml.safe_dump(result.best_values, sort_keys=False, allow_unicode=True), end="", flush=True)
    print(result.compared, file=sys.stderr)
    where = result.directory
    print(f"train it: actorrl train {where / 'best.yaml'}", file=sys.stderr)
    print(f"trials.csv and tuning.png are in {where}; the run of the best trial is {result.best_run}", file=sys.stderr)
    return 0
