"""One replay table for many agents: an actor that owns it, and each agent's own end, which is a `Table` too.

    agent j: window ── rows ──► RemoteTable ══ rows, and "some batches" ══► ReplayServer ── ReplayTable
             learner ◄─ batch ─ (one ahead) ◄══════ their bytes ═══════════╝

Rows travel as the bytes of their records: the layout is told once. What an agent has added is there when batches are
next drawn for it, whatever the clock does, so one agent draws the same batches on every engine.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from actorrl.actor import ActorRef, Future, fetch
from actorrl.rl.nouns import Array, Sample
from actorrl.rl.tables import ReplayTable, as_rows

__all__ = ["CHUNK", "TOGETHER", "RemoteTable", "ReplayServer"]

CHUNK = 32
"""Rows that leave together, where a limiter lets them in."""
WAITING = 64
"""Rows that leave by themselves, where no batch is asked for before."""
TOGETHER = 4
"""Batches that come in one message, since a message for each costs nine agents on two cores much of their rate. So a
batch may be older by three updates, which is little beside a buffer."""
MOST_BYTES = 1 << 17
"""Of batches that come together: those of pictures come one by one."""
PAUSE = 0.002
"""Seconds between two questions to a limiter that said no."""
_BYTE = np.dtype(np.uint8)
_ID, _WEIGHT = np.dtype(np.int64), np.dtype(np.float32)


class ReplayServer:
    """A replay table as an actor's object."""

    def __init__(self, table: ReplayTable) -> None:
        self._table = table
        self._layout = table.layout
        self._drawn: dict[int, int] = {}
        """Rows sampled by each agent that is at work."""

    def join(self, layout: np.dtype, agent: int = 0) -> None:
        """An agent will add rows of this layout. ValueError where the others' is different."""
        self._drawn.setdefault(agent, 0)
        if self._layout is None:
            self._layout = layout
        elif layout != self._layout:
            raise ValueError(
                f"agents that share a table add rows of one layout: the first adds {self._layout}, another {layout}"
            )

    def layout(self) -> np.dtype | None:
        """Of the rows; None before anybody has joined."""
        return self._layout

    def add(self, data: Array) -> bool:
        """Rows as bytes. Whether the limiter let them in."""
        assert self._layout is not None
        rows = np.ndarray(len(data) // self._layout.itemsize, self._layout, data)
        if not self._table.may_add(len(rows)):
            return False
        self._table.add(rows)
        return True

    def leave(self, agent: int) -> None:
        """An agent will not sample any more: nobody waits for it."""
        self._drawn.pop(agent, None)

    def sample(self, n: int, agent: int = 0, data: Array | None = None) -> Array | None:
        """n rows as bytes, with their ids and weights behind them where the sampler has such; None for "not yet".

        Rows that come along, as of `add`, are added first; only where there is no limiter to refuse them. Where one
        says how many may be sampled, no agent gets more than a batch ahead of the others.
        """
        if data is not None:
            self.add(data)
        mine = self._drawn.get(agent, 0)
        if self._table.limiter is not None and self._drawn and mine > sum(self._drawn.values()) / len(self._drawn) + n:
            return None
        drawn = self._table.draw(n)
        if drawn is None:
            return None
        if agent in self._drawn:
            self._drawn[agent] += n
        raw, ids, weight = drawn
        parts = [raw.view(_BYTE)] if ids is None else [raw.view(_BYTE), ids.astype(_ID).view(_BYTE)]
        if weight is not None:
            parts.append(weight.astype(_WEIGHT).view(_BYTE))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def update_priorities(self, ids: Array, td: Array) -> None:
        """As of `Table`."""
        self._table.update_priorities(ids, td)

    def state_dict(self) -> dict[str, Any]:
        """Of the table."""
        return self._table.state_dict()

    def unsaved(self) -> dict[str, Any]:
        """As of the table."""
        return self._table.unsaved()

    def saved(self, inserted: int) -> None:
        """As of the table."""
        self._table.saved(inserted)

    def counts(self) -> dict[str, int]:
        """Rows ever added, rows held, and rows sampled where a limiter counts them."""
        limiter = self._table.limiter
        return {
            "inserted": self._table.inserted,
            "held": len(self._table),
            "sampled": limiter.sampled if limiter is not None else 0,
        }


class RemoteTable:
    """An agent's end of a shared table; implements `Table`.

    Args:
        server: the table's actor.
        tells_ids: whether batches come with ids and weights, as the table's sampler says.
        paced: whether a limiter says when rows go in and out; then `add` may have to wait, and `blocked()` says so.
        agent: which of the agents this is the end of.
        gamma: put in place of the discount that the row's own agent used, where rows are of single steps; None where
            all discount alike.
        adds: whether this agent adds rows itself, rather than others for it.
        together: how many batches may come in one message; one where `paced`, and where priorities would be old.
    """

    def __init__(
        self,
        server: ActorRef[ReplayServer],
        *,
        tells_ids: bool = False,
        paced: bool = False,
        agent: int = 0,
        gamma: float | None = None,
        adds: bool = True,
        together: int = 1,
    ) -> None:
        self._adds = adds
        self._server: Any = server
        self._agent = agent
        self._tells_ids, self.paced, self._gamma = tells_ids, paced, gamma
        self._layout: np.dtype | None = None
        self._rows: list[Array] = []
        self._count = 0
        self._together = 1 if paced or tells_ids else together
        self._ready: list[Array] = []  # batches that have come, the last is the next
        self._asked: Future[Any] | None = None  # those that are on their way
        self._size = 0  # rows of each of them
        self._adding: tuple[Array, Future[Any]] | None = None  # what a limiter has not let in yet

    # -- rows --------------------------------------------------------------------------------------

    def add(self, items: Any) -> None:
        """Append rows; they leave in chunks, and before the next batch is asked for."""
        rows = as_rows(items, self._layout)
        if self._layout is None:
            self._layout = rows.dtype
            fetch(self._server.join(rows.dtype, self._agent))
        self._rows.append(rows)
        self._count += len(rows)
        if self._count >= (CHUNK if self.paced else WAITING):
            self._send()

    def _send(self) -> None:
        """Send what waits; with a limiter a chunk, once it has let the one before in."""
        if not self._count or self._adding is not None:
            return
        if not self.paced:
            self._server.add.tell(_bytes(self._taken(self._count)))
        else:
            data = _bytes(self._taken(CHUNK))
            self._adding = data, self._server.add(data)

    def flush(self) -> None:
        """What waits leaves now; returns when it is in the table."""
        self._send()
        fetch(self._server.layout())

    def finish(self) -> None:
        """No more will be added or sampled: what waits leaves now."""
        self._send()
        self._server.leave.tell(self._agent)

    def _taken(self, n: int) -> Array:
        """The oldest n rows, or all."""
        rows = self._rows[0] if len(self._rows) == 1 else np.concatenate(self._rows)
        self._rows = [rows[n:]] if len(rows) > n else []
        self._count = max(0, len(rows) - n)
        return rows[:n]

    def blocked(self) -> bool:
        """Whether rows wait to be let in: whoever adds is ahead of those who sample. Asks again, after a pause."""
        while self._adding is not None:
            data, future = self._adding
            self._adding = None
            if fetch(future):
                self._send()
                continue
            self._adding = data, self._server.add(data)
            time.sleep(PAUSE)
            return True
        return False

    # -- batches -----------------------------------------------------------------------------------

    def sample(self, n: int) -> Sample | None:
        """The next of the batches that have been asked for; when the last is taken, more are asked for.

        None before any rows have been added, and for one that adds itself before its own have.
        """
        if self._layout is None and (self._adds or not self._told()):
            return None
        if self.paced:
            self._send()
        if n != self._size:
            self._ready, self._asked, self._size = [], None, n
        if not self._ready:
            asked, self._asked = self._asked or self._ask(), None
            data = fetch(asked)
            if data is None:
                return None
            size = n * self._row_size
            self._ready = [data[at : at + size] for at in range(0, len(data), size)][::-1]
        batch = self._batch(self._ready.pop())
        if not self._ready:
            self._asked = self._ask()
        return batch

    def _ask(self) -> Future[Any]:
        """Ask for batches. Rows that wait go along: a message less than if they went before."""
        size = self._size
        n = max(1, min(self._together, MOST_BYTES // (size * self._row_size))) * size
        if self.paced or not self._count:
            return self._server.sample(n, self._agent)
        return self._server.sample(n, self._agent, _bytes(self._taken(self._count)))

    def forget(self) -> None:
        """Give up the batches that are on their way or wait: the next are asked for when one is needed."""
        if self._asked is not None:
            fetch(self._asked)
        self._ready, self._asked = [], None

    @property
    def _row_size(self) -> int:
        """Bytes of a message by row."""
        assert self._layout is not None
        return self._layout.itemsize + (_ID.itemsize + _WEIGHT.itemsize if self._tells_ids else 0)

    def _batch(self, data: Array) -> Sample:
        layout = self._layout
        assert layout is not None
        n = len(data) // self._row_size
        rows = np.ndarray(n, layout, data)
        batch = {name: rows[name] for name in layout.names or ()}
        if self._gamma is not None:
            batch["discount"] = np.where(batch["discount"] > 0, np.float32(self._gamma), np.float32(0))
        at = n * layout.itemsize
        if not self._tells_ids:
            return Sample(batch)
        ids = np.frombuffer(data, _ID, n, at)
        return Sample(batch, ids, np.frombuffer(data, _WEIGHT, n, at + n * _ID.itemsize))

    def _told(self) -> bool:
        """Ask for the layout of others' rows; whether there are any."""
        self._layout = fetch(self._server.layout())
        return self._layout is not None

    def state_dict(self) -> dict[str, Any]:
        """The table of all, told by the first agent, or by one that only samples; {} of the others.

        What is on its way counts as added.
        """
        self._send()
        return fetch(self._server.state_dict()) if self._tells else {}

    def unsaved(self) -> dict[str, Any]:
        """`state_dict` with only those of the rows that are not yet on the disk."""
        self._send()
        return fetch(self._server.unsaved()) if self._tells else {}

    def saved(self, inserted: int) -> None:
        """A checkpoint from when so many rows had been added is on the disk."""
        if self._tells:
            self._server.saved.tell(inserted)

    @property
    def _tells(self) -> bool:
        return self._agent == 0 or not self._adds

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Whoever made the table has loaded it already: what is asked for is the layout of its rows."""
        if self._told() and self._adds:
            fetch(self._server.join(self._layout, self._agent))

    def update_priorities(self, ids: Array, td: Array) -> None:
        """TD errors of sampled rows, told to the table."""
        self._server.update_priorities.tell(np.array(ids), np.array(td))


def _bytes(rows: Array) -> Array:
    return np.ascontiguousarray(rows).view(_BYTE)
