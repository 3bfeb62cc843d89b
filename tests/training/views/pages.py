"""A run directory with everything a report can show, written by hand, and a browser to show it in."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from actorrl.rl.dqn import DQNConfig
from actorrl.training.arrangements import Central
from actorrl.training.fields import to_mapping
from actorrl.training.run_directory import Metrics
from actorrl.training.views.episode import Recording, picture
from actorrl.training.views.timeline import FILE

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
STEPS = 9


def a_run(path: Path, rows: int = 60) -> Path:
    """A run of DQN on Catch in Central, of which somebody changed the learning rate."""
    path.mkdir(parents=True)
    config: dict[str, Any] = {
        "env": "actorrl.rl.catch:Catch-v0",
        "agent": {"name": "dqn", **to_mapping(DQNConfig(learning_rate=0.002))},
        "arrangement": {"name": "central", **to_mapping(Central(environments=2))},
        "steps": 100 * rows,
        "seed": 3,
    }
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    metrics = Metrics(path / "metrics.csv")
    for i in range(1, rows + 1):
        values = {"seconds": i / 4, "episodes": 11.0 * i, "episode_return": math.tanh(i / 20) + (i % 3) / 9}
        metrics.put(
            100 * i, {**values, "return_100": math.tanh(i / 20), "loss": 1 / i, "epsilon": max(0.05, 1 - i / 20)}
        )
    for i in range(20, rows + 1, 20):
        metrics.put(100 * i, {"evaluation_return": 0.9, "evaluation_std": 0.2, "best_return": 0.95})
    metrics.write()
    best = path / "checkpoints" / "best"
    best.mkdir(parents=True)
    (best / "about.json").write_text(json.dumps({"steps": 4_000, "mean_return": 0.95}))
    (path / FILE).write_text(json.dumps(a_timeline()))
    return path


def a_timeline() -> dict[str, Any]:
    """Of an agent that is busy half of the time, and two environments."""

    def role(name: str, busy: float, phases: dict[str, float], windows: list[Any]) -> dict[str, Any]:
        bins = [
            [t, t + 0.9, busy, busy / 8, {phase: part * busy / 8 for phase, part in phases.items()}] for t in range(15)
        ]
        return {"role": name, "bins": bins, "windows": windows}

    spans = [["inference", 12.0 + i / 1e3, 12.0 + (i + 0.4) / 1e3] for i in range(40)]
    environments = [role(f"environment {i}", 0.2, {"environment step": 1.0}, []) for i in range(2)]
    agent = role("agent", 0.5, {"inference": 0.3, "update": 0.6, "waiting": 0.1}, [spans])
    return {"seconds": 15.0, "roles": [agent, *environments], "queues": {}}


def an_episode() -> Recording:
    """Of so many steps, each with a picture of its own."""
    recording = Recording(["0", "1", "2"], width=160, ended="terminated")
    for step in range(STEPS + 1):
        pixels = np.zeros((160, 160, 3), np.uint8)
        pixels[16 * step : 16 * step + 16, 64:80] = 255
        recording.frames[step], _ = picture(pixels)
    recording.actions = [step % 3 for step in range(STEPS)]
    recording.rewards = [0.0] * (STEPS - 1) + [1.0]
    recording.observations = [[float(step), 0.5] for step in range(STEPS)]
    recording.told = {
        "q": [[0.1 * (i == step % 3) for i in range(3)] for step in range(STEPS)],
        "value": [0.1] * STEPS,
    }
    return recording


def shown(page: Path, query: str = "", script: str = "") -> str:
    """The page's document after its scripts, and `script`, have run. Fails where one of them did."""
    assert CHROMIUM is not None
    if script:
        page = page.with_name("with-script.html")
        told = page.with_name("report.html").read_text().replace("</body>", f"<script>{script}</script></body>")
        page.write_text(told)
    profile = page.parent / "profile"
    options = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=3000",
        "--enable-logging=stderr",
    ]
    ran = subprocess.run(
        [
            CHROMIUM,
            *options,
            f"--user-data-dir={profile}",
            "--window-size=1180,2600",
            "--dump-dom",
            f"{page.as_uri()}{query}",
        ],
        capture_output=True,
        text=True,
        timeout=100,
    )
    said = [line for line in ran.stderr.splitlines() if "CONSOLE" in line]
    assert not said, f"the page said: {said}"
    return re.sub(r"<script.*?</script>", "", ran.stdout, flags=re.S)
