"""The commands that look at runs: `actorrl plot` and `actorrl report`. `main` calls them; each prints a path."""

from __future__ import annotations

import sys
from pathlib import Path

from actorrl.cli.options import check_known
from actorrl.cli.parser import Parser, parsed

__all__ = ["plot"]


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
    curves = [overlay.read(path, given.metric, given.against) for path in paths]
    plain = len(curves) == 1 and (given.metric, given.against) == ("episode_return", "steps")
    out = Path(given.out or (paths[0] / "curve.png" if plain else "plot.png"))
    if plain:
        curve.save(curve.of_run(paths[0]), out)
    else:
        made = overlay.panels(curves)
        curve.save(overlay.draw(made, given.metric, given.against), out)
        for panel in made:
            for line in panel.lines:
                print(f"{panel.environment}  {line.label}  {line.seeds}", file=sys.stderr)
    print(out)
    return 0
