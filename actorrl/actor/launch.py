"""Starting processes: the nursery by a fresh interpreter, actors by forking the nursery.

The only file that imports multiprocessing. The driver calls `start_nursery`; the nursery calls
`fork_worker`, or `start_worker` where an actor's environment must hold before anything is imported.
"""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from .threads import ONE_THREAD

__all__ = ["Child", "fork_worker", "lifeline", "needs_fresh_start", "start_nursery", "start_worker"]

READ_AT_IMPORT = (
    *("OMP_", "MKL_", "OPENBLAS_", "KMP_", "GOMP_", "NUMEXPR_", "BLIS_", "VECLIB_", "CUDA_", "TORCH", "PYTORCH_"),
    *("NPY_", "SDL_", "PYGAME_", "PYTHON", "LD_", "MALLOC_", "GLIBC_", "ATEN_", "ZMQ_"),
)
BOOT = "import json,sys; sys.path[:]=json.loads(sys.argv[1]); from actorrl.actor.{module} import {entry}; {entry}()"


class Child(Protocol):
    """A started process, whichever way it was started."""

    pid: int

    def reap(self) -> int | None:
        """The exit code (negative for a signal) once it has ended, else None."""


class _Forked:
    def __init__(self, process: Any) -> None:
        self._process = process
        self.pid: int = process.pid

    def reap(self) -> int | None:
        self._process.join(0)
        return self._process.exitcode  # type: ignore[no-any-return]


class _Started:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid

    def reap(self) -> int | None:
        return self._process.poll()


def start_nursery(line: socket.socket, output: socket.socket, settings: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    """Start the nursery in a session of its own, with one thread per library.

    It is handed its line, and the socket on which it passes on what the actors print.
    """
    argv = {**settings, "line": line.fileno(), "output": output.fileno()}
    fds = [line.fileno(), output.fileno(), *([settings["pool"]] if "pool" in settings else [])]
    return _interpreter("nursery", "main", argv, {**os.environ, **ONE_THREAD}, fds)


def start_worker(
    settings: Mapping[str, Any], environment: Mapping[str, str], fds: list[int], out: int, err: int
) -> Child:
    """Start an actor's process as a fresh interpreter that writes to `out` and `err`."""
    return _Started(_interpreter("worker", "fresh", settings, environment, fds, out, err))


def fork_worker(target: Callable[..., None], *args: Any) -> Child:
    """Start an actor's process as a fork of this one."""
    process = multiprocessing.get_context("fork").Process(target=target, args=args)
    process.start()
    # Every start reaps what multiprocessing knows to have ended: the nursery would never hear of that death.
    multiprocessing.process._children.discard(process)  # type: ignore[attr-defined]
    return _Forked(process)


def _interpreter(
    module: str,
    entry: str,
    settings: Mapping[str, Any],
    environment: Mapping[str, str],
    fds: list[int],
    out: int | None = None,
    err: int | None = None,
) -> subprocess.Popen[bytes]:
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    code = BOOT.format(module=module, entry=entry)
    return subprocess.Popen(
        [sys.executable, *flags, "-c", code, json.dumps(sys.path), json.dumps(settings)],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        env=dict(environment),
        pass_fds=fds,
        start_new_session=module == "nursery",
    )


def needs_fresh_start(environment: Mapping[str, str] | None) -> bool:
    """Whether one of the variables is read by a library when it is imported, which the nursery has done."""
    return any(key.startswith(prefix) for key in environment or () for prefix in READ_AT_IMPORT)


def lifeline(read_end: int) -> None:
    """Let the kernel kill this process and its group the moment the pipe's other end closes.

    The nursery holds the only other end, so its death is ours even where a handler holds the GIL.
    Where the system cannot do this, the thread that listens to the nursery does it.
    """
    os.setpgid(0, 0)
    if not hasattr(fcntl, "F_SETSIG"):
        return
    fcntl.fcntl(read_end, fcntl.F_SETOWN, -os.getpid())
    fcntl.fcntl(read_end, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(read_end, fcntl.F_SETFL, fcntl.fcntl(read_end, fcntl.F_GETFL) | os.O_ASYNC)
