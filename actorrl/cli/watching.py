"""The commands that look at runs: `actorrl plot` and `actorrl report`. `main` calls them; each prints a path."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from actorrl.cli.options import check_known
from actorrl.cli.parser import Parser, parsed

if TYPE_CHECKING:
    from actorrl.training.views.overlay import Curve, Line

__all__ = ["plot", "report"]


def plot(arguments: list[str]) -> int:
    """`actorrl plot`: one run's curve.png again, or several runs in one picture; its path on stdout."""
    from actorrl.training import curve
    from actorrl.training.views import overlay

    parser = Parser("actorrl plot", description="Draw one run, or lay several over each other.", allow_abbrev=False)
    parser.add_argument("run_dirs", metavar="RUN_DIR", nargs="+", help="run directories; seeds of one configuration")
    parser.add_argument("--out", metavar="FILE.png", help="plot.png by default; of one run the curve.png in it")
    parser.add_argument("--metric", default="episode_return", help="a column of metrics.csv; episode_return by default")
    parser.add_argument("--against", choices=("steps", "seconds"), default="steps", help="the axis; steps by default")
    given, others = parsed(parser, arguments)
    check_known(("out", "metric", "against"), others, "plot")
    paths = list(dict.fromkeys(Path(path) for path in given.run_dirs))
    curves = _curves(paths, given.metric, given.against)
    plain = len(paths) == 1 and (given.metric, given.against) == ("episode_return", "steps")
    out = Path(given.out or (paths[0] / "curve.png" if plain else "plot.png"))
    if plain:
        curve.save(curve.of_run(paths[0]), out)
    else:
        made = overlay.panels(curves)
        curve.save(overlay.draw(made, given.metric, given.against), out)
        for panel in made:
            for line in panel.lines:
                print(f"{panel.environment}  {line.label}  {line.seeds}{_band(line, given.against)}", file=sys.stderr)
    print(out)
    return 0


def _curves(paths: Sequence[Path], metric: str, against: str) -> list[Curve]:
    """Of every path; of several those that have one, with a line about each of the others."""
    from actorrl.training.views import overlay

    curves = []
    for path in paths:
        try:
            curves.append(overlay.read(path, metric, against))
        except (ValueError, LookupError, OSError) as error:
            if len(paths) == 1:
                raise
            print(f"actorrl: left out: {' '.join(str(error).split())}", file=sys.stderr)
    if not curves:
        raise ValueError(f"there is nothing to draw in any of these {len(paths)}")
    return curves


def _band(line: Line, against: str) -> str:
    """What to say of a band that ends long before the longest of its runs."""
    short = line.shortest
    if short is None:
        return ""
    return f", the band ends after {short.x[-1]:,.0f} {against}, where {short.path} does"


def report(arguments: list[str]) -> int:
    """`actorrl report`: one HTML file of a run; its path on stdout."""
    from actorrl.training.run import load
    from actorrl.training.views import overlay
    from actorrl.training.views import report as view
    from actorrl.training.views.episode import record

    parser = Parser("actorrl report", description="Write one HTML file of a run.", allow_abbrev=False)
    parser.add_argument("run_dir", metavar="RUN_DIR", help="the directory of a run")
    parser.add_argument("--out", metavar="FILE.html", help="report.html in the run directory by default")
    parser.add_argument("--which", choices=("best", "final"), default="best", help="who plays; best by default")
    parser.add_argument("--no-episode", action="store_true", help="without one, so the environment is not needed")
    parser.add_argument("--trust", action="store_true", help="open a pickled agent, which can run any code")
    given, others = parsed(parser, arguments)
    check_known(("out", "which", "no-episode", "trust"), others, "report")
    path = overlay.existing(given.run_dir).path
    run = recording = None
    why = "None was recorded: --no-episode."
    if not given.no_episode:
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pictures without a window
        try:
            run = load(path, trust=given.trust)
            print("playing an episode ...", file=sys.stderr)
            recording = record(run, given.which)
        except Exception as error:  # an environment, an agent or a library of anybody: the curves remain
            said = str(error) if isinstance(error, (ValueError, OSError, ImportError)) else ""
            why = f"No episode could be recorded: {said or f'{type(error).__name__}: {error}'}"
            print(f"actorrl: {' '.join(why.split())}", file=sys.stderr)
    content = view.tree(path, run, recording, why) | {"which": given.which}
    print(view.write(path, content, None if given.out is None else Path(given.out)))
    return 0
