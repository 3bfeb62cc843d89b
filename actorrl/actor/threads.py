"""How many threads the libraries of an actor's process compute with: one, unless the place asked for more.

Libraries read the environment when they are imported, so their variables come before the driver's own
(launch.py, births.py). A fork has some of them imported already: worker.py calls `allow` there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["ONE_THREAD", "allow", "unasked"]

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
SETTERS = {
    "openblas": [
        f"{prefix}openblas_set_num_threads{suffix}"
        for prefix in ("scipy_", "")
        for suffix in ("64_", "_64_", "_64", "")
    ],
    "mkl_rt": ["MKL_Set_Num_Threads"],
}


def unasked(env: Mapping[str, str] | None) -> dict[str, str]:
    """The variables of a place that names no number of threads; its `env` may still say OMP_NUM_THREADS for all."""
    return dict.fromkeys(ONE_THREAD, (env or {}).get("OMP_NUM_THREADS", "1"))


def allow(threads: int) -> None:
    """Let what is imported compute with so many threads."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)
    if threads == 1 or "numpy" not in sys.modules:
        return  # the nursery imports everything with one
    try:
        import threadpoolctl
    except ImportError:
        _tell_blas(threads)
    else:
        threadpoolctl.threadpool_limits(threads)


def _tell_blas(threads: int) -> None:
    """What threadpoolctl does, for the libraries that numpy comes with."""
    import ctypes

    for kind, path in set(_loaded()):
        library = ctypes.CDLL(path)
        for name in SETTERS[kind]:
            if hasattr(library, name):
                getattr(library, name)(threads)
                break


def _loaded() -> Iterator[tuple[str, str]]:
    """(kind, path) of the loaded libraries that have such a setting; none where the system does not tell."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        path = line.partition("/")
        for kind in SETTERS:
            if kind in path[2].rpartition("/")[2]:
                yield kind, path[1] + path[2]
