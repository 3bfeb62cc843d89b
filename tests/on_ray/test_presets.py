"""Every family of algorithms trains on Ray from its preset: as it is, or in an arrangement where it has none."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorrl import load
from actorrl.cli.main import main

pytestmark = [
    pytest.mark.skipif("ray" not in os.environ.get("ACTORRL_ENGINES", ""), reason="make ray runs it"),
    pytest.mark.slow,
]
SHORT = "--evaluation.episodes 2 --evaluation.confirm 2 --evaluation.final 2"
EARLY = "--agent.learning_starts 100"
CENTRAL = "--arrangement.name central --arrangement.environments 2"
DATAFLOW = "--arrangement.name dataflow --arrangement.explorers 2 --arrangement.environments_per_explorer 2"
PRESETS = {
    "cartpole": EARLY,
    "cartpole-apex": EARLY,
    "lunarlander-shared": EARLY,
    "catch": f"{CENTRAL} {EARLY}",
    "cartpole-qlearning": CENTRAL,
    "pendulum-sac": f"{CENTRAL} {EARLY}",
    "pendulum-td3": f"{CENTRAL} {EARLY}",
    "cartpole-ppo": f"{DATAFLOW} --agent.n_steps 32 --agent.batch_size 64",
    "cartpole-a2c": DATAFLOW,
    "cartpole-impala": f"{DATAFLOW} --arrangement.mode async",
}


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    """One Ray for all of them: a program's own connection is used, and left open."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, namespace="actorrl", logging_level=logging.ERROR)
    yield
    ray.shutdown()


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_trains_there(ray: None, preset: str, tmp_path: Path):
    told = f"train {preset} --engine ray --steps 600 --run_dir {tmp_path / 'run'} {PRESETS[preset]} {SHORT}"

    assert main(told.split()) == 0
    run = load(tmp_path / "run")
    assert run.config["engine"] == "ray"
    assert run.config["arrangement"] is not None
    assert run.metrics["steps"][-1] >= 600
    assert run.metrics["updates"][-1] > 0
