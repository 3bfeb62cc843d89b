"""The connection to Ray: nodes, actors of Ray, its object store. The only file that imports ray.

`ray_engine.py` opens one in the driver. In a process of actors, which is an actor of Ray, Ray is there already;
it uses `way_to`, `store` and `taken`.

    Cluster.start ──► Seat ── take, line ──► RayProcess (ray_process.py), in a process of Ray's
                       └──── news ◄── a stream, as long as it lives
"""

from __future__ import annotations

import glob
import itertools
import logging
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

__all__ = ["Cluster", "Node", "Seat", "is_stored", "store", "taken", "way_to"]

NAMESPACE = "actorrl"
ROOT, PREFIX = "/tmp", "ar-"
"""Where a Ray that we start has its files, short names: a socket's path has at most 107 bytes."""
GROUPS = {"in": 1, "line": 1, "out": 1}
"""The threads of a process of actors that are Ray's: messages, news from the driver, and what leaves for it."""
STORE = 1 << 30
"""Bytes of the object store of a Ray that we start, at most; Ray's own default is a third of the memory."""
OF_RAY = ("node:", "object_store")
"""Resources that Ray adds by itself."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_kill_child_processes_on_worker_exit_with_raylet_subreaper": "true",
}
"""What a Ray that we start is told: report nothing, and end what actors have started with them."""


class Node(NamedTuple):
    """One machine of the cluster, as Ray has it."""

    id: str
    address: str
    head: bool
    resources: dict[str, float]


class Cluster:
    """See the module. Starts a Ray on this machine where there is none to connect to, and ends it again.

    Args:
        address: "host:port" of a cluster, or "auto"; None for the one this program is connected to, else that of the
            variable RAY_ADDRESS, else for a Ray of its own.
    """

    def __init__(self, address: str | None) -> None:
        self._ours = not ray.is_initialized()
        self._directory: str | None = None
        self._turns = itertools.count()
        if self._ours:
            self._start(address or os.environ.get("RAY_ADDRESS"))
        elif address is not None:
            raise RuntimeError("this program is connected to Ray already: call ray.shutdown(), or leave address out")

    def _start(self, address: str | None) -> None:
        told: dict[str, Any] = {"namespace": NAMESPACE, "logging_level": logging.ERROR}
        if address is None:
            _sweep()
            self._directory = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=ROOT)
            told |= {"address": "local", "include_dashboard": False, "_temp_dir": self._directory}
            told |= {"object_store_memory": STORE}
            for key, value in QUIET.items():
                os.environ.setdefault(key, value)
        else:
            told["address"] = address
        on_child = signal.getsignal(signal.SIGCHLD)
        try:
            ray.init(**told)
        except BaseException:
            self._remove()
            raise
        finally:
            # Ray ignores it in C, where Python does not see it: whatever the program starts would end with code 0.
            if on_child is not None and threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGCHLD, on_child)

    def close(self) -> None:
        """End the connection, and the Ray that was started for it."""
        if self._ours:
            ray.shutdown()
            self._remove()

    def _remove(self) -> None:
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    # -- where -----------------------------------------------------------------------------------

    def nodes(self) -> list[Node]:
        """The living nodes: the head first, the others in the order of their names."""
        found = []
        rows: Any = ray.nodes  # its types are unknown
        for row in rows():
            if row["Alive"]:
                resources = row["Resources"]
                head = "node:__internal_head__" in resources
                found.append(Node(row["NodeID"], row["NodeManagerAddress"], head, resources))
        return sorted(found, key=lambda node: (not node.head, node.address, node.id))

    def _there(self, place: int | str | None, stays: bool) -> dict[str, Any]:
        """What tells Ray where: an int is the k-th node, a str the address of a node or a resource that it has.

        None is the program's own node, where a message is cheapest and no other machine's end is its end; what does
        not have to stay, as it may be started again, goes to the other nodes, each in turn.

        Raises:
            ValueError: for a str that no node answers to.
        """
        nodes = self.nodes()
        if isinstance(place, int):
            return {"scheduling_strategy": NodeAffinitySchedulingStrategy(nodes[place % len(nodes)].id, soft=False)}
        if place is None:
            ours = ray.get_runtime_context().get_node_id()
            others = [node.id for node in nodes if node.id != ours]
            if stays or not others:  # soft would let Ray put it where it is started sooner
                return {"scheduling_strategy": NodeAffinitySchedulingStrategy(ours, soft=False)}
            there = others[next(self._turns) % len(others)]
            return {"scheduling_strategy": NodeAffinitySchedulingStrategy(there, soft=True)}
        for node in nodes:
            if place in (node.address, f"node:{node.address}", node.id):
                return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node.id, soft=False)}
        if not any(place in node.resources for node in nodes):
            addresses = ", ".join(sorted({node.address for node in nodes}))
            names = {name for node in nodes for name in node.resources if not name.startswith(OF_RAY)}
            raise ValueError(
                f"a str names a node or a resource of the cluster; got place {place!r}, and there are the nodes "
                f"{addresses} and the resources {', '.join(sorted(names))}"
            )
        return {"resources": {place: 0.001}}  # enough to be there; what it uses up is said in `resources`

    # -- processes -------------------------------------------------------------------------------

    def start(self, cls: type, name: str, place: int | str | None, options: dict[str, Any], told: Any) -> Seat:
        """Let Ray start a process of actors.

        Args:
            cls: what the process is, `RayProcess`.
            name: finds it, see `way_to`.
            place: as `startat` has it.
            options: of the place: `gpus`, `resources`, and `variables` for its environment; and whether it `stays`.
            told: what the class is made with.
        """
        asks = options.get("gpus") or options.get("resources")
        given = {} if place is None and asks else self._there(place, options["stays"])
        needs = {**given.pop("resources", {}), **(options.get("resources") or {})}
        given["num_cpus"] = needs.pop("CPU", 0)  # most actors wait most of the time
        given["num_gpus"] = options.get("gpus") or needs.pop("GPU", 0)
        if needs:
            given["resources"] = needs
        if options.get("variables"):
            given["runtime_env"] = {"env_vars": options["variables"]}
        remote: Any = ray.remote
        kind = remote(concurrency_groups=GROUPS, max_restarts=0, max_task_retries=0)(cls)
        handle = kind.options(name=name, namespace=NAMESPACE, **given).remote(told)
        return Seat(handle)


def _sweep() -> None:
    """Remove the files of a Ray whose program was killed."""
    for path in glob.glob(os.path.join(ROOT, PREFIX + "*-*")):
        owner = os.path.basename(path)[len(PREFIX) :].split("-")[0]
        try:
            if owner.isdigit() and os.stat(path).st_uid == os.getuid():
                os.kill(int(owner), 0)
        except ProcessLookupError:
            shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue  # another user's


class Seat:
    """A process of actors, as others see it."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.take = handle.take.options(concurrency_group="in", num_returns=0).remote
        self.line = handle.line.options(concurrency_group="line", num_returns=0).remote

    def news(self) -> Iterator[list[Any]]:
        """What it has for the driver, until it ends. Raises `EOFError` with Ray's words if it died."""
        stream = self._handle.out.options(concurrency_group="out", num_returns="streaming").remote()
        try:
            for reference in stream:
                yield ray.get(reference)
        except RayError as error:
            raise EOFError(str(error)) from None

    def stack(self, actor: int) -> Any:
        """Ask what an actor there runs. A function that gives the answer, None while there is none."""
        asked = self._handle.stack.options(concurrency_group="line").remote(actor)

        def answer() -> Any:
            try:
                return ray.get(asked, timeout=0)
            except Exception:
                return None

        return answer

    def kill(self) -> None:
        """End it at once."""
        try:
            ray.kill(self._handle, no_restart=True)
        except Exception:
            pass  # it has ended, or Ray has


def way_to(name: str) -> Seat | None:
    """The process of that name; None if there is none any more."""
    try:
        return Seat(ray.get_actor(name, NAMESPACE))
    except ValueError:
        return None


def store(array: Any) -> Any:
    """A reference to an array that Ray keeps as long as a reference to it is left."""
    return ray.put(array)


def taken(reference: Any) -> Any:
    """The array of a reference: of the memory of this node, not writeable."""
    return ray.get(reference)


def is_stored(value: Any) -> bool:
    """Whether a value is such a reference."""
    return isinstance(value, ray.ObjectRef)
