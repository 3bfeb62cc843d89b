"""Floor 1: the runtime. It has never heard of reinforcement learning, gymnasium or torch.

How one call travels, with the file that owns each step:

    ref.method(x)      ref.py        a Call, encoded by arguments.py / codec.py / arrays.py
        │              engine.py     the seam: whichever engine runs takes the Call
        ▼
    calls.py           waits for room in the mailbox (routes.py) and enters the call (ledger.py)
        │
    post.py            plain values (plain.py), with arrays (lean.py), or a frame (frames.py), through a door or a
        │              socket (peer.py, door.py, transport.py) and its large buffers through shared memory
        │              (freight.py, arena.py, pool.py) to the actor's process, started by nursery.py; or
        │              inline.py: straight on, here
        ▼
    receiver.py        whoever waits reads; turns.py puts the two ways in order, arrivals.py hands out
        │
    host.py ─► mailbox.py ─► life.py, cell.py    one message at a time, on the object the actor owns
        │
        ▼
    Future (future.py)               completed by the thread inside fetch (waiting.py), or behind its back

Ends and errors: faults.py carries a handler's error, deaths.py words an actor's end. Starting again:
restarts.py says whether, registry.py orders it, moves.py keeps what is sent meanwhile, cradle.py the
constructor's message, keeping.py the state. Users come in through remote.py, placement.py, system.py,
waiting.py, context.py, batched.py and sharing.py.
"""

from __future__ import annotations

from .batched import batched
from .context import cancelled, current
from .engine import ActorInfo
from .future import Future
from .group import group
from .placement import Spawner, startat
from .ref import ActorRef
from .remote import RemoteFunction, remote
from .sharing import share
from .system import System, actors, get_actor, init, kill, shutdown, stop, watch
from .waiting import as_completed, fetch, wait

__all__ = [
    "ActorInfo",
    "ActorRef",
    "Future",
    "RemoteFunction",
    "Spawner",
    "System",
    "actors",
    "as_completed",
    "batched",
    "cancelled",
    "current",
    "fetch",
    "get_actor",
    "group",
    "init",
    "kill",
    "remote",
    "share",
    "shutdown",
    "startat",
    "stop",
    "wait",
    "watch",
]
