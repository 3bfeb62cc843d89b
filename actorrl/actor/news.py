"""What one process does about the news from whoever supervises the processes: ends, restarts, failures, probes.

On the control thread (control.py), so also while a handler runs here. `processes.py` inherits it.

    nursery ── line ──► _on_news ──► ledger: calls fail, watchers hear     moves: where an actor lives now
                                └──► waits: deadlocks                      failures: what nobody received
"""

from __future__ import annotations

import logging
import os
import signal
from typing import Any

from .births import Births
from .cradle import Cradles
from .deaths import End, died
from .faults import error_text
from .ledger import Ledger
from .moves import Moves
from .post import Post
from .reaping import kill_all_marked, kill_group
from .receiver import Receiver
from .registry import DRIVER
from .waits import Waits

__all__ = ["News"]

log = logging.getLogger("actorrl")


class News:
    """See the module."""

    number: int
    token: str
    post: Post
    ledger: Ledger
    receiver: Receiver
    births: Births
    waits: Waits
    _moves: Moves
    _cradles: Cradles
    _closing: bool

    def _on_news(self, kind: str, *news: Any) -> None:
        if kind == "ended":
            self._on_ended(*news)
        elif kind == "restarting":
            self._on_restarting(*news)
        elif kind == "moved":
            self._on_moved(*news)
        elif kind == "checkpoint":
            self._cradles.keep(*news)
        elif kind in ("log", "restart"):
            log.log(logging.ERROR if kind == "log" else logging.WARNING, "%s", news[0])
        elif kind == "gone":
            self.post.transport.forget(news[0])
            self.receiver.nudge()
        elif kind == "failure":
            self.post.on_failure(*news)
            self.receiver.nudge()
        elif kind == "unreceived":
            self._on_unreceived(*news)
        elif kind == "leave" and self.post.host is not None:
            self.post.host.leave(news[0])
        elif kind == "count" and self.post.host is not None:
            self.post.host.count()
        elif kind == "probe":
            self.waits.probe(*news)
        elif kind == "deadlock":
            self.waits.broken(*news)
        elif kind == "abort":
            log.error("the program ends: an actor with on_failure='stop' failed")
            os.kill(os.getpid(), signal.SIGTERM)

    def _on_restarting(self, end: End, address: int) -> None:
        self._moves.restarting(end.actor, address)
        if self.ledger.has_open(end.actor) and not self._closing:
            self.receiver.settle()  # its last replies may still be on their way
        self.ledger.lose(end, self.number)
        if end.gone is not None:
            self.post.transport.forget(end.gone)
        self.receiver.nudge()

    def _on_moved(self, actor: int, address: int, process: int, pid: int, restarts: int) -> None:
        self._cradles.bear_again(actor, address, process, restarts)
        self._moves.moved(actor, address, process, pid, restarts)
        self.receiver.nudge()

    def _on_ended(self, end: End, ask: bool) -> int:
        if self.ledger.has_open(end.actor) and not self._closing:
            self.receiver.settle()  # its last replies may still be on their way
        self._cradles.ended(end.actor)
        received = self.ledger.end(end, self.number) + self._moves.ended(end)
        if ask:
            self.births.send("had", end.actor, received)
        if end.gone is not None:
            self.post.transport.forget(end.gone)
        self.receiver.nudge()
        return received

    def _on_unreceived(self, end: End, owner: int, on_failure: str) -> None:
        if self.ledger.failures.claimed(end.actor):
            return
        error = died(end, None, None)
        text = f"nobody had a call open to it:\n{error_text(error)}"
        if self.number == DRIVER:
            log.error("%s", text)
        else:
            self.births.send("log", text)
        if on_failure == "raise":
            self.ledger.failures.add(owner, -end.actor, None, lambda: error)
            self.receiver.nudge()
        elif on_failure == "stop":
            self.births.send("end_owner", owner)

    def _on_lost(self) -> None:
        if self._closing:
            return
        if self.number != DRIVER:
            os.killpg(0, signal.SIGKILL)
        kill_all_marked(self.token)
        self.births.forget()
        for route in list(self.ledger.routes.values()):
            ref, pid = route.ref, route.pid
            if pid is not None:
                kill_group(pid)
            end = End(ref._actor, "lost", ref._cls, ref._name, pid)
            policy = self.ledger.policies.get(ref._actor, "ignore")  # what another owner spawned ended with that one
            if not self._on_ended(end, False):
                self._on_unreceived(end, 0, policy)
