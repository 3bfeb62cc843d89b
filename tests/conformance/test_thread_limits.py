"""torch and BLAS compute with the threads the place asked for, one unless told, whatever the driver does itself."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from scripts import run

ACTOR = """
    import json, os, sys
    os.environ.update(dict.fromkeys({names}, "4"))
    {driver}
    from actorrl import fetch, startat, stop

    class Worker:
        def tasks(self):
            return len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0

        def measured(self):
            import numpy
            before = self.tasks()
            big = numpy.ones((400, 400))
            big @ big
            found = {{"blas grew": self.tasks() - before}}
            if {with_torch}:
                import torch
                before = self.tasks()
                torch.ones(400, 400) @ torch.ones(400, 400)
                torch.rand(1_000_000).exp_()
                found |= {{"torch": torch.get_num_threads(), "torch grew": self.tasks() - before}}
            try:
                import threadpoolctl
            except ImportError:
                return found
            return found | {{pool["prefix"]: pool["num_threads"] for pool in threadpoolctl.threadpool_info()}}

        def of_a_child(self):
            child = startat(None, Worker)
            return fetch(child.measured())

    places = json.loads({places!r})
    for place, options in places:
        ref = startat(place, **options)(Worker)()
        print(json.dumps(fetch(ref.measured())), flush=True)
        if (place, options) == (None, {{"threads": 2}}):
            print(json.dumps(fetch(ref.of_a_child())), flush=True)
        stop(ref)
    """
NAMES = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"]
FRESH = {"env": {"PYTHONHASHSEED": "1"}}  # read by the interpreter at its start, so no fork will do
PLACES: list[tuple[Any, dict[str, Any], int]] = [
    (None, {}, 1),
    (0, {}, 1),
    (None, {"threads": 2}, 2),
    (1, {"threads": 2}, 2),
    (None, FRESH, 1),
    (None, {**FRESH, "threads": 2}, 2),
    (None, {"env": {"OMP_NUM_THREADS": "2"}}, 2),
]


CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("driver", "with_torch", "places"),
    [
        ("", False, PLACES),
        ("", True, [PLACES[2], PLACES[5]]),  # each imports torch, which takes a second
        ("import torch; torch.set_num_threads(4)", True, PLACES),
    ],
    ids=["numpy alone", "torch in the actor", "torch in the driver too"],
)
def test_an_actor_computes_with_the_threads_it_was_given(driver: str, with_torch: bool, places: Any):
    if with_torch:
        pytest.importorskip("torch")
    wanted = json.dumps([(place, options) for place, options, _ in places])
    source = ACTOR.format(names=NAMES, driver=driver, with_torch=with_torch, places=wanted)
    lines = iter(run(source).lines)

    for place, options, asked in places:
        _check(json.loads(next(lines)), asked, f"place {place}, {options}")
        if (place, options) == (None, {"threads": 2}):
            _check(json.loads(next(lines)), 1, f"spawned by the actor at {place}, {options}")


def _check(found: dict[str, int], asked: int, where: str) -> None:
    """`found`: threads per library, and how many more threads there were after it had computed."""
    for what, number in found.items():
        if what.endswith("grew"):
            assert number <= asked - 1, f"{where}: {what} by {number} threads, of {asked}; all: {found}"
        else:
            possible = {asked, min(asked, CORES)} if "blas" in what else {asked}  # BLAS started on one core has one
            assert number in possible, f"{where}: {what} has {number} threads, expected {asked}; all: {found}"
