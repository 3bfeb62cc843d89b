"""What an actor costs in memory: what the libraries take is shared by all of them."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from engines import not_on_ray, only_processes

from actorrl import fetch, startat, stop

MOST = 30.0
"""Megabytes of its own that an actor may have after a first optimiser step."""


def learner_class() -> Any:
    """Made here, so that it travels by value: to import this module would be to import pytest."""

    class Learner:
        def learn(self) -> float:
            """The loss after one step of a small network."""
            import torch

            self.network = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4))
            self.optimiser = torch.optim.Adam(self.network.parameters(), lr=1e-3)
            loss = self.network(torch.randn(32, 8)).square().mean()
            loss.backward()
            self.optimiser.step()
            return loss.item()

        def private(self) -> float:
            """Megabytes that no other process shares, with all garbage collected."""
            gc.collect()
            fields = (line.split() for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
            return sum(int(field[1]) for field in fields if field[0] in ("Private_Clean:", "Private_Dirty:")) / 1024

        def modules(self) -> set[str]:
            return set(sys.modules)

    return Learner


@not_on_ray("a process imports its libraries itself, and shares them with nobody")
@only_processes
@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="the system does not tell")
def test_a_first_optimiser_step_takes_little_memory_of_its_own(engine: str):
    pytest.importorskip("torch")  # in the driver: the nursery imports it before it forks the next actor
    learners = [startat(None, learner_class()) for _ in range(2)]
    for learner in learners:
        assert fetch(learner.learn()) > 0
        assert fetch(learner.private()) <= MOST
        assert "torch._dynamo.utils" not in fetch(learner.modules())
        stop(learner)
