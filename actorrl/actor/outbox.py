"""What leaves a process: messages held for a moment so that they go together, whatever carries them.

A lone message leaves at once. In a burst (an actor with more to answer, a caller that calls on and
on) messages to one process are held and leave together: after 128, when their sender waits for
something, or after half a millisecond, whichever comes first.

    send ──► held? ──► Peer.put ──► sockets (transport.py), or Ray's calls (ray_wire.py)
"""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Sequence
from typing import Any

from .bell import Bell
from .peer import Peer

__all__ = ["Outbox"]

_dumps = pickle.dumps
AT_ONCE, LARGE = 128, 64 * 1024
"""So many messages, or bytes, are held at most."""
SOON = 0.0005
"""Seconds a held message may wait."""


class Outbox:
    """The sending half of a transport. From any thread."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.peers: dict[int, Peer] = {}
        self._closed = False
        self.turn = 0
        self.holding = False
        self._held_something = Bell()
        self._flusher: threading.Thread | None = None

    def peer(self, process: int) -> Peer:
        """The way to a process."""
        raise NotImplementedError

    def _send_large(self, peer: Peer, frame: bytes, buffers: Sequence[Any]) -> None:
        """Send a message with large buffers, after what is held."""
        raise NotImplementedError

    def known(self, process: int) -> set[str]:
        """The keys of the definitions that `process` has."""
        return self.peer(process).known

    def send(self, process: int, frame: bytes, buffers: Sequence[Any] = (), hold: bool = False) -> None:
        """Hand a message to the socket of `process`; does not wait for it to arrive.

        With `hold` the sender says that more will follow: the message may leave with those.
        """
        peer = self.peers.get(process) or self.peer(process)
        with peer.lock:
            self.push(peer, frame, buffers, hold)

    def push(self, peer: Peer, frame: bytes, buffers: Sequence[Any] = (), hold: bool = False) -> None:
        """`send` by one who has the peer's lock."""
        if peer.gone:
            return
        if buffers:
            self._send_large(peer, frame, buffers)
        elif hold or peer.held:
            peer.held.append(frame)
            peer.frames += 1
            peer.size += len(frame)
            if not hold or len(peer.held) >= AT_ONCE or peer.size >= LARGE:
                peer.flush()
            elif not self.holding:
                self._hold()
        else:
            peer.put(frame)

    def push_call(self, peer: Peer, entry: tuple[Any, ...]) -> None:
        """The same for a call of plain values (see plain.py); held where calls follow each other closely."""
        if peer.held or peer.hurried(self.turn):
            self.push_plain(peer, entry, True)  # what follows messages that are held is held as well
        elif not peer.gone:
            peer.put(_dumps([self.number, entry], 5))

    def push_plain(self, peer: Peer, entry: tuple[Any, ...], hold: bool) -> None:
        """The same for any message of plain values."""
        if peer.gone:
            return
        held = peer.held
        if held or hold:
            held.append(entry)
            if not hold or len(held) >= AT_ONCE:
                peer.flush()
            elif not self.holding:
                self._hold()
        else:
            peer.put(_dumps([self.number, entry], 5))

    def send_plain(self, process: int, entry: tuple[Any, ...], hold: bool = False) -> None:
        """`push_plain` by one who has not the peer's lock."""
        peer = self.peers.get(process) or self.peer(process)
        with peer.lock:
            self.push_plain(peer, entry, hold)

    def flush(self) -> None:
        """Send all that is held: whoever sent it is about to wait."""
        self.turn += 1
        if self.holding:
            self._flush_all()

    def _flush_all(self) -> None:
        self.holding = False
        for peer in list(self.peers.values()):
            if peer.held:
                with peer.lock:
                    if not peer.gone:
                        peer.flush()

    def _hold(self) -> None:
        self.holding = True
        if self._flusher is None:
            self._flusher = threading.Thread(target=self._flush_soon, name="actorrl-flusher", daemon=True)
            self._flusher.start()
        self._held_something.set()

    def _flush_soon(self) -> None:
        """A thread: whatever is held leaves half a millisecond later at the latest."""
        while not self._closed:
            self._held_something.wait()
            self._held_something.clear()
            while self.holding and not self._closed:
                time.sleep(SOON)
                self._flush_all()
