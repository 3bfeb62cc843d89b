"""Trainers that take every step together: the messages between them, by torch.distributed.

    trainer 0 ◄── all-reduce of gradients, on loopback ──► trainer 1         they find each other by a file

The one place where something listens on a port; only on this machine's loopback. dataflow.py makes the file's
directory, trainer_role.py joins. Whoever waits for one that has died gets its error: the run ends.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import numpy as np
import torch

from actorrl.rl.nouns import Array

__all__ = ["GlooReplicas"]

PATIENCE = timedelta(minutes=30)
"""For how long one may wait for another, whose explorers may be slow."""


class GlooReplicas:
    """Implements `Replicas`; one group per process.

    Args:
        file: a path that is not there yet, the same for all, in a directory that only this user can read.
        number: which of them this is.
        count: how many there are. Returns once all have come.
    """

    def __init__(self, file: str, number: int, count: int) -> None:
        import torch.distributed as distributed

        self.number, self.count = number, count
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        distributed.init_process_group(
            "gloo", init_method=f"file://{file}", rank=number, world_size=count, timeout=PATIENCE
        )
        self._distributed: Any = distributed

    def average(self, values: torch.Tensor) -> None:
        """As of `Replicas`."""
        self._distributed.all_reduce(values)
        values /= self.count

    def gather(self, values: Array) -> list[Array]:
        """As of `Replicas`."""
        mine = torch.from_numpy(np.ascontiguousarray(values, np.float64))
        parts = [torch.empty_like(mine) for _ in range(self.count)]
        self._distributed.all_gather(parts, mine)
        return [part.numpy() for part in parts]

    def close(self) -> None:
        """Leave."""
        self._distributed.destroy_process_group()
