"""The engine "ray": the engine "processes" where Ray starts the processes and carries the messages.

    engine "processes"                              engine "ray"
    transport.py   sockets on this machine          ray_wire.py      calls of Ray's, one stream to the driver
    nursery.py     a process that forks actors      ray_nursery.py   a thread of the driver that asks Ray for actors
    worker.py      the life of a fork               ray_process.py   the actor of Ray, host of ours
    freight.py     memory of this machine           ray_wire.py      Ray's object store
                                                    ray_cluster.py   the one file that imports ray

The rest is the same code: mailboxes, order, batches, cancelled calls, restarts, failures, deadlocks, the bound of a
mailbox. One message to an actor and its answer:

    add(counter, 1) ──► calls.py: a frame ──► Seat.take (a call of Ray's, nothing is awaited)
         ▲                                        └──► RayProcess.take ──► mailbox ──► the actor's thread
         └── Future ◄── dispatch ◄── follower ◄── the stream ◄── RayProcess.out ◄── the answer
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from typing import Any

from . import freight, ray_cluster
from .births import Births
from .engine import Spawn
from .processes import ProcessEngine
from .ray_nursery import RayBirths, name_of
from .ray_wire import RayTransport, StoreFreight
from .registry import DRIVER
from .transport import Transport

__all__ = ["RayEngine"]


class RayEngine(ProcessEngine):
    """See the module. Made by `of_program` in the driver and by `of_actors` in a process of actors."""

    _cluster: ray_cluster.Cluster | None = None
    _leave: Callable[..., None] | None = None
    _store: StoreFreight

    @classmethod
    def of_program(cls, seed: int | None, address: str | None) -> RayEngine:
        """The engine of the program itself, connected to Ray."""
        engine = cls.__new__(cls)
        engine._cluster = ray_cluster.Cluster(address)
        engine._store = StoreFreight()
        freight.use(engine._store)
        token = f"actorrl-{secrets.token_hex(6)}"
        engine.__init__("", token, DRIVER, None, secrets.randbits(63) if seed is None else seed)  # type: ignore[misc]
        return engine

    @classmethod
    def of_actors(
        cls, told: dict[str, Any], line: Any, store: StoreFreight, leave: Callable[..., None]
    ) -> RayEngine:
        """The engine of a process of actors; `line` leads to the supervisor, `leave` takes what is for the driver."""
        engine = cls.__new__(cls)
        engine._leave, engine._store = leave, store
        engine.__init__("", told["token"], told["number"], line, 0)  # type: ignore[misc]
        return engine

    def _open_transport(self) -> Transport:
        transport = RayTransport(self.number, self._way_to, self._store)
        self.deliver = transport.deliver
        return transport  # type: ignore[return-value]

    def _way_to(self, process: int) -> tuple[Callable[..., Any] | None, bool]:
        if process == DRIVER:
            return self._leave, True
        seat = ray_cluster.way_to(name_of(self.token, process))
        return (seat.take if seat is not None else None), False

    def _open_births(self, line: socket.socket | None) -> Births:
        if line is not None:
            return Births("", self.token, self._on_news, self._on_lost, line)
        assert self._cluster is not None
        return RayBirths(self._cluster, self.token, self._on_news, self._on_lost, self.deliver)

    def _check(self, spawn: Spawn) -> None:
        """Every place and option is one: what the cluster has not, it says itself."""

    def _on_lost(self) -> None:
        if not self._closing and self.number != DRIVER:
            os._exit(1)

    def _close(self) -> None:
        try:
            super()._close()
        finally:
            freight.use(None)
            if self._cluster is not None:
                self._cluster.close()
