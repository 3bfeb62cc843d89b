"""The pictures of watching.md: runs are trained, drawn as the page says, and the report is photographed by Chromium.

    python docs/pictures.py                      everything, into docs/: some minutes
    python docs/pictures.py --steps 500 --out x  a taste of it, elsewhere

A person runs it (`make pictures`), on a machine that has nothing else to do: one of the pictures shows where time goes.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
WIDTH = 1_180
SECTIONS = {"report.png": ("curve-section", "episode-section"), "report-time.png": ("time-section",)}
"""What of the report is in which picture; the first has its head, too."""
SEEDS = (1, 2, 3)


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=HERE, help="the directory they are written to")
    parser.add_argument("--steps", type=int, help="of every run, for a taste; those of the page by default")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        overlay(runs, given.out / "plot.png", given.steps or 20_000)
        flow = runs / "flow"
        actorrl(
            "train", "cartpole-ppo", "--arrangement", "dataflow", "--steps", given.steps or 60_000, "--run-dir", flow
        )
        actorrl("report", flow)
        for name, sections in SECTIONS.items():
            photograph(flow / "report.html", given.out / name, sections)


def actorrl(*arguments: object) -> None:
    """Run a command as a user does."""
    subprocess.run([sys.executable, "-m", "actorrl", *map(str, arguments)], check=True)


def overlay(runs: Path, out: Path, steps: int) -> None:
    """Two learning rates of PPO and tabular Q-learning, three seeds each, in one picture."""
    kinds = {
        "slow": ["cartpole-ppo"],
        "fast": ["cartpole-ppo", "--agent.learning-rate", 0.01],
        "table": ["cartpole-qlearning"],
    }
    made = [runs / f"{kind}-{seed}" for kind in kinds for seed in SEEDS]
    for path in made:
        kind, seed = path.name.split("-")
        actorrl("train", *kinds[kind], "--steps", steps, "--seed", seed, "--run-dir", path)
    actorrl("plot", *made, "--out", out)


def photograph(page: Path, out: Path, sections: tuple[str, ...]) -> None:
    """These sections of a report as a picture, as high as they are."""
    hidden = "".join(
        f"#{one}{{display:none}}"
        for one in re.findall(r'<section id="([\w-]+-section)"', page.read_text())
        if one not in sections
    )
    if "curve-section" not in sections:
        hidden += "header,nav,#facts{display:none}"
    style = f"<style>:root{{color-scheme:light}}footer{{display:none}}{hidden}</style></head>"
    high = "Math.ceil(document.documentElement.getBoundingClientRect().height)"
    tell = f"<script>document.title='high '+{high}</script></body>"
    part = page.with_name("part.html")
    part.write_text(page.read_text().replace("</head>", style, 1).replace("</body>", tell))
    told = re.search(r"<title>high (\d+)", chromium(f"--window-size={WIDTH},200", "--dump-dom", part))
    if told is None:
        raise RuntimeError(f"Chromium did not say how high {part} is")
    chromium(f"--screenshot={out.resolve()}", f"--window-size={WIDTH},{told[1]}", part)
    print(out)


def chromium(*arguments: object) -> str:
    """What a headless Chromium prints of a page whose scripts have run, at step 217 of its episode."""
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        raise FileNotFoundError(f"the report is photographed by Chromium, and there is none of {', '.join(CHROMIUM)}")
    *options, page = arguments
    usual = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=3000"]
    with tempfile.TemporaryDirectory() as profile:
        command = [
            program,
            *usual,
            f"--user-data-dir={profile}",
            *map(str, options),
            f"{Path(str(page)).as_uri()}#step=217",
        ]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=100).stdout


if __name__ == "__main__":
    main()
