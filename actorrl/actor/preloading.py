"""What the nursery imports, so that the actors it forks have it already. Called by nursery.py.

An import in the nursery is paid once, and its memory is shared by all actors until they write to it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable

__all__ = ["ALWAYS", "preload"]

ALWAYS = ("numpy", "numpy.random", "cloudpickle", "zmq", "actorrl.actor.processes")
"""What every actor needs: its random generators are seeded, and it runs the engine."""


def preload(modules: Iterable[str]) -> None:
    """Import what the driver has imported of the heavy libraries, once for all actors."""
    for name in modules:
        if name not in sys.modules:
            try:
                importlib.import_module(name)
            except Exception as error:  # the actor that needs it will say so itself
                sys.stderr.write(f"actorrl: could not preload {name}: {error}\n")
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
