"""One HTML file of a run, which needs nothing else: `actorrl report`. The page itself is in page/.

config.yaml, metrics.csv, timeline.json, a recorded episode ──► one tree of plain values ──► page/report.html

Curves are drawn by the page, so that they can be read with a cursor; it loads nothing, from nowhere.
"""

from __future__ import annotations

import html
import json
import shlex
import time
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from actorrl.training import curve
from actorrl.training.checkpoints import about
from actorrl.training.progress import duration
from actorrl.training.run import Run
from actorrl.training.run_directory import Metrics
from actorrl.training.views import captions, overlay, shares, timeline
from actorrl.training.views.episode import Recording

__all__ = ["FILE", "facts", "page", "settings", "tree", "write"]

Array = np.ndarray
FILE = "report.html"
MOST_POINTS = 600
OTHERS = 12
"""So many other columns have a small curve."""
FIRST = ("loss", "policy_loss", "value_loss", "actor_loss", "q", "td", "entropy", "grad_norm", "epsilon", "staleness")
UNSHOWN = ("steps", "seconds", "episodes", "episode_return", "return_100", "dropped_episodes", "updates")


def write(path: Path, content: Mapping[str, Any], out: Path | None = None) -> Path:
    """Write report.html into a run directory, or to another file; its path."""
    target = out or path / FILE
    target.write_text(page(content), encoding="utf-8")
    return target


def page(content: Mapping[str, Any]) -> str:
    """The HTML of what `tree` made."""
    here = resources.files("actorrl.training.views") / "page"
    read = {name: (here / name).read_text(encoding="utf-8") for name in PARTS}
    # "<" would end the script that the data lies in; NaN is no JSON.
    data = json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    parts = {
        "__TITLE__": html.escape(content["title"]),
        "__FOOTER__": html.escape(content["footer"]),
        "__CSS__": read["report.css"],
        "__DATA__": data,
        "__JS__": "\n".join(read[name] for name in ("charts.js", "report.js", "timeline.js")),
    }
    text = read["report.html"]
    for mark, value in parts.items():
        text = text.replace(mark, value)
    return text


PARTS = ("report.html", "report.css", "charts.js", "report.js", "timeline.js")


def tree(path: str | Path, run: Run | None = None, recording: Recording | None = None, why: str = "") -> dict[str, Any]:
    """Everything that the page shows, as JSON holds it.

    Args:
        path: a run directory.
        run: the loaded run, which knows more of its environment's name; not needed.
        recording: an episode, if one was played. `why` says why not.

    Raises:
        FileNotFoundError: it is no run directory; where it holds some, these are named.
    """
    directory = overlay.existing(path)
    config = directory.read_config()
    metrics = Metrics.read(directory.path / "metrics.csv").arrays()
    told = timeline.read(directory.path)
    title, subtitle = captions.title(config, run.source.name if run is not None else None)
    return {
        "title": title,
        "subtitle": f"{subtitle} · {directory.path.resolve().name}",
        "facts": facts(directory.path, config, metrics),
        "curve": _curve(metrics),
        "others": _others(metrics),
        "timeline": None if told is None else shares.shown(told),
        "episode": None if recording is None else recording.to_tree(),
        "episode_note": why,
        "which": "best" if directory.checkpoint("best").exists() else "final",
        "config": [*settings(config), *_versions(directory.path)],
        "footer": f"{directory.path.resolve()} · written by actorrl, {time.strftime('%Y-%m-%d %H:%M')}",
    }


def facts(path: Path, config: Mapping[str, Any], metrics: Mapping[str, Array]) -> list[tuple[str, str, str]]:
    """(label, value, what it is of) for the head of the page."""
    made: list[tuple[str, str, str]] = []
    best = path / "checkpoints" / "best"
    if best.exists():
        said = about(best)
        if said.get("mean_return") is not None:
            made.append(("best return", _round(said["mean_return"]), f"confirmed, after {said['steps']:,} steps"))
    steps = int(metrics["steps"][-1]) if len(metrics["steps"]) else 0
    at, last = curve.known(metrics["steps"], metrics["return_100"])
    if len(at):
        made.append(("last 100 episodes", _round(last[-1]), "mean return in training"))
    made.append(("environment steps", f"{steps:,}", f"of {config.get('steps') or 0:,}"))
    _, seconds = curve.known(metrics["steps"], metrics["seconds"])
    if len(seconds):
        made.append(
            (
                "training",
                duration(seconds[-1]),
                "hours, without evaluation" if seconds[-1] >= 3600 else "minutes, without evaluation",
            )
        )
        made.append(("speed", f"{steps / max(seconds[-1], 1e-9):,.0f}", "environment steps per second"))
    _, episodes = curve.known(metrics["steps"], metrics["episodes"])
    if len(episodes):
        made.append(("episodes", f"{int(episodes[-1]):,}", "finished in training"))
    return made


def _round(value: float) -> str:
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3g}"


def _curve(metrics: Mapping[str, Array]) -> dict[str, Any]:
    x, raw = curve.known(metrics["steps"], metrics["episode_return"])
    smooth = overlay.smoothed(raw)
    keep = _spread(len(x))
    ex, ey = curve.known(metrics["steps"], metrics["evaluation_return"])
    bx, by = curve.known(metrics["steps"], metrics["best_return"])
    std = metrics["evaluation_std"][~np.isnan(metrics["evaluation_return"])]
    return {
        "x": x[keep].tolist(),
        "raw": _plain(raw[keep]),
        "smooth": _plain(smooth[keep]),
        "evaluation": {"x": ex.tolist(), "y": _plain(ey), "std": _plain(std)},
        "best": {"x": bx[-1:].tolist(), "y": _plain(by[-1:])},
    }


def _others(metrics: Mapping[str, Array]) -> list[dict[str, Any]]:
    """Small curves of what else there is, the best known first."""
    names = [name for name in metrics if name not in UNSHOWN and not name.startswith(("evaluation", "best", "agent"))]
    names.sort(key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))
    made = []
    for name in names:
        x, y = speed(metrics) if name == "steps_per_second" else curve.known(metrics["steps"], metrics[name])
        if len(x) < 2:
            continue
        keep = _spread(len(x), 300)
        made.append({"name": name, "x": x[keep].tolist(), "y": _plain(y[keep])})
    return made[:OTHERS]


def speed(metrics: Mapping[str, Array], parts: int = 40) -> tuple[Array, Array]:
    """Steps per second over so many parts of the run: rows come in bursts, and say little one by one."""
    there = ~np.isnan(metrics["seconds"])
    steps, seconds = metrics["steps"][there], metrics["seconds"][there]
    if len(steps) < 3:
        return steps[:0], seconds[:0]
    last = np.append(np.diff(seconds) > 0, True)  # of each burst: by then so many had been made
    steps, seconds = steps[last], seconds[last]
    at = np.linspace(0.0, seconds[-1], min(parts, len(steps)) + 1)
    made = np.interp(at, np.concatenate([[0.0], seconds]), np.concatenate([[0.0], steps]))
    return made[1:].round().astype(int), np.diff(made) / np.maximum(np.diff(at), 1e-9)


def _spread(count: int, most: int = MOST_POINTS) -> Array:
    """Which of so many points are shown: all, or evenly spread ones with both ends."""
    return np.unique(np.linspace(0, max(count - 1, 0), min(count, most)).round().astype(int))


def _plain(values: Array) -> list[float | None]:
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values.tolist()]


def settings(config: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str, bool]]]]:
    """(group, [(key, value, whether it is not the default)]) of a configuration."""
    groups: list[tuple[str, list[tuple[str, str, bool]]]] = [("run", [])]
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            known = captions.defaults(key, value)
            rows = [
                (name, _text(one), name in known and _text(one) != _text(known[name])) for name, one in value.items()
            ]
            groups.append((key, rows))
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            groups += [(f"{key} {i}", [(k, _text(v), False) for k, v in one.items()]) for i, one in enumerate(value)]
        else:
            groups[0][1].append((key, _text(value), False))
    return groups


def _versions(path: Path) -> list[tuple[str, list[tuple[str, str, bool]]]]:
    """What the run was made with and by, where the run directory says so."""
    file = path / "versions.yaml"
    told = yaml.safe_load(file.read_text()) if file.exists() else None
    if not isinstance(told, Mapping):
        return []
    command = {"command": shlex.join(map(str, told["command"]))} if isinstance(told.get("command"), list) else {}
    return [("made with", [(key, _text(value), False) for key, value in {**told, **command}.items()])]


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    large = isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10_000
    return f"{value:,}" if large else str(value)
