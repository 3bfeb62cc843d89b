"""The actors that live in this process: whom a frame that arrived is for.

    post.py ──frame──► Host ──envelope──► mailbox of a resident ──► its thread (life.py)

An actor with a process of its own runs on the main thread; at a shared place the main thread reads
the socket and every actor has a thread of its own.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .arrays import private
from .cell import Cell
from .deaths import End
from .frames import ASK, CALL, DEFINES, FUNCTION, GROUP, Frame
from .keeping import Keeper
from .life import Lives
from .mailbox import Envelope
from .packing import unpack_value
from .receiver import Waiter
from .ref import ActorRef
from .residents import Arrived, Birth, Resident, Tally

if TYPE_CHECKING:
    from .post import Post
    from .status import Page

__all__ = ["Host"]

_new = tuple.__new__  # half the price of calling the class


class Host:
    """The residents of one process."""

    def __init__(self, post: Post, stop_children: Callable[[Cell], None], place: int | None, page: Page) -> None:
        self._post = post
        post.transport.again = False  # a message for an actor is handled once; and Ctrl-C is the driver's
        self._lives = Lives(post, stop_children, place, self.bury)
        self._place = place
        self._page = page
        self.residents: dict[int, Resident] = {}
        self.ended: set[int] = set()
        self._early: dict[int, list[tuple[Any, Any]]] = {}  # what came before its actor
        self._born = Waiter()
        self._stopped: set[int] = set()  # what was to stop before it came

    # -- arriving frames, on the thread that leads ------------------------------------------------

    def create(self, frame: Frame, buffers: list[Any], fields: tuple[Any, ...]) -> None:
        """A new actor: start its thread, or wake the main thread that will be it."""
        if frame.actor in self.ended:
            return
        birth = Birth(*fields)
        kept = bytes(buffers.pop()) if birth.restored else None
        cell = self._cell(frame.actor, birth, kept)
        resident = Resident(frame.actor, cell, birth, self._body(frame, buffers), self._page.cell(frame.actor))
        self.residents[frame.actor] = resident
        for early, more in self._early.pop(frame.actor, ()):
            if isinstance(early, Frame):
                self.ask(early) if early.kind == ASK else self.put(early, more)
            else:
                self.put_plain(early, (more,))
        if frame.actor in self._stopped:
            self.stop(frame.actor)
        if self._place is None:
            self._born.done()
        else:
            threading.Thread(target=self._lives.live, args=(resident,), name=f"actor-{birth.cls}", daemon=True).start()

    def _cell(self, address: int, birth: Birth, kept: bytes | None) -> Cell:
        ref: ActorRef[Any] = ActorRef(self._post.token, self._post.number, birth.actor, birth.cls, birth.name)
        fields = ref, birth.on_failure, birth.seed, birth.path
        if birth.checkpoint is None:
            return Cell(*fields)

        def complain(error: BaseException) -> None:
            self._lives.fail(self.residents[address], error)

        def save(state: bytes) -> None:  # on the line to the nursery, which outlives the process
            self._post.news("checkpoint", address, state)

        return Keeper(fields, birth.checkpoint, kept, save, complain)

    def put(self, frame: Frame, buffers: list[Any], tally: Tally | None = None) -> None:
        """A call or tell for an actor here."""
        resident = self.residents.get(frame.actor)
        if resident is None:
            if frame.actor in self.ended:  # the news of its end answers the call
                self._post.lost_tell(frame.actor, frame.name.decode(), frame.call_id)
            else:
                self._early.setdefault(frame.actor, []).append((frame, buffers))
            return
        body = self._body(frame, buffers)
        name, function = frame.name.decode(), bool(frame.flags & FUNCTION)
        self._put(resident, Envelope(frame.sender, frame.call_id, name, function, body, False, tally))

    def put_one(self, sender: int, entry: tuple[Any, ...]) -> bool:
        """The usual case of `put_plain`: one call of a method of an actor that is here. False where it is another."""
        resident = self.residents.get(entry[0])
        if resident is None or resident.mailbox.closed:
            return False
        resident.mailbox.queue.append(_new(Envelope, (sender, entry[1], entry[2], False, entry[3], True, None)))
        if resident.parked or resident.thread != threading.get_ident():
            self._wake(resident)
        return True

    def put_plain(self, sender: int, entries: Sequence[tuple[Any, ...]]) -> None:
        """Calls and tells of plain values as they arrived: see plain.py."""
        me, touched = threading.get_ident(), None
        for entry in entries:
            actor = entry[0]
            if type(actor) is tuple:
                self._put_group(sender, *entry)
                continue
            resident = self.residents.get(actor)
            if resident is None:
                self._put_stray(sender, entry)
                continue
            length = len(entry)
            if length == 4:
                envelope = _new(Envelope, (sender, entry[1], entry[2], False, entry[3], True, None))
            elif length == 5:
                envelope = _new(Envelope, (sender, entry[1], entry[2], True, (entry[4], entry[3]), True, None))
            else:
                body = unpack_value(entry[3]), unpack_value(entry[4])
                envelope = _new(Envelope, (sender, entry[1], entry[2], False, body, None, None))
            if resident.mailbox.closed:
                self._post.refuse(actor, envelope)
                continue
            resident.mailbox.queue.append(envelope)
            if resident is not touched and (resident.parked or resident.thread != me):
                if touched is not None:
                    self._wake(touched)
                touched = resident  # woken when the last message of the run is there
        if touched is not None:
            self._wake(touched)

    def _put_stray(self, sender: int, entry: tuple[Any, ...]) -> None:
        """A message for an actor that is not here any more, or not yet."""
        if entry[0] in self.ended:
            self._post.lost_tell(entry[0], entry[2], entry[1])
        else:
            self._early.setdefault(entry[0], []).append((sender, entry))

    def _put_group(self, sender: int, actors: Any, numbers: Any, method: str, args: tuple[Any, ...]) -> None:
        """A call for several actors: their numbers, the calls' numbers, method, args."""
        tally = Tally(len(actors))
        for actor, number in zip(actors, numbers, strict=True):
            resident = self.residents.get(actor)
            if resident is None:
                self._put_stray(sender, (actor, number, method, args))
            else:
                self._put(resident, Envelope(sender, number, method, False, args, True, tally))

    def put_group_frame(self, frame: Frame, buffers: list[Any]) -> None:
        """The same with a body that each decodes for itself, so that nothing is shared."""
        method, actors, numbers = pickle.loads(frame.name)
        flags = frame.flags & ~(GROUP | DEFINES)
        if frame.flags & DEFINES:
            Arrived(frame, buffers, self._post.transport.known(frame.sender))  # each finds the definitions then
        tally = Tally(len(actors))
        for actor, number in zip(actors, numbers, strict=True):
            own = private(buffers)
            self.put(Frame(CALL, flags, actor, number, frame.sender, method.encode(), frame.data), own, tally)

    def _put(self, resident: Resident, envelope: Envelope) -> None:
        if not resident.mailbox.put(envelope):
            self._post.refuse(resident.actor, envelope)
        elif resident.parked or resident.thread != threading.get_ident():  # else it will look by itself
            self._wake(resident)

    def _wake(self, resident: Resident) -> None:
        resident.waiter.done()
        if self._place is None:
            self._post.receiver.nudge()

    def ask(self, frame: Frame) -> None:
        """A sender waits for room: it is told what has been taken, and of each message that will be, up to a mark."""
        resident = self.residents.get(frame.actor)
        if resident is not None:
            resident.asked[frame.sender] = frame.call_id
            self._post.credit(frame.sender, frame.actor, resident.mailbox.taken(frame.sender))
        elif frame.actor not in self.ended:
            self._early.setdefault(frame.actor, []).append((frame, []))

    def stop(self, actor: int) -> None:
        """Close the mailbox of an actor; it ends when what is queued has run."""
        resident = self.residents.get(actor)
        if resident is not None:
            resident.mailbox.close()
            resident.waiter.done()
        elif actor not in self.ended:
            self._stopped.add(actor)

    def leave(self, actor: int) -> None:
        """End an actor without running what is queued: its owner is gone."""
        resident = self.residents.get(actor)
        if resident is not None:
            resident.left = True
            resident.mailbox.drain()
            resident.waiter.done()
        elif actor not in self.ended:  # its owner died before it could send the constructor's arguments
            self.ended.add(actor)
            self._early.pop(actor, None)
            self._post.news("ended", End(actor, "owner ended", "an actor", None, self._post.pid))

    def cancel(self, actor: int, sender: int, call_id: int) -> None:
        """A caller has given a call up."""
        resident = self.residents.get(actor)
        if resident is None or resident.mailbox.cancel(sender, call_id):
            return
        if any(envelope[:2] == (sender, call_id) for envelope in resident.run):
            resident.cancelled.add((sender, call_id))

    def _body(self, frame: Frame, buffers: list[Any]) -> Any:
        if frame.flags & DEFINES:
            return Arrived(frame, buffers, self._post.transport.known(frame.sender))
        return frame.data, buffers

    def _resident(self, actor: int) -> Resident | None:
        """The incarnation of an actor that lives here."""
        return next((one for one in list(self.residents.values()) if one.birth.actor == actor), None)

    def doing(self, actor: int) -> str | None:
        """The method that an actor runs."""
        resident = self._resident(actor)
        return resident.run[0].method if resident is not None and resident.run else None

    def held(self, actor: int, calls: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Which of the calls (process, number) wait at an actor, or run."""
        resident = self._resident(actor)
        if resident is None:
            return []
        there = {envelope[:2] for envelope in (*resident.run, *list(resident.mailbox.queue))}
        return [key for key in calls if tuple(key) in there]

    def count(self) -> None:
        """Write down, soon, how much waits for each resident, what is still in the socket too."""

        def look() -> None:
            self._post.receiver.drain()
            for resident in list(self.residents.values()):
                resident.status.waits(len(resident.mailbox))

        # Not on the thread that asks: what arrives may have to be unpickled, and that may ask the nursery.
        threading.Thread(target=look, name="actorrl-count", daemon=True).start()

    def tell_all_credits(self, actor: int) -> None:
        """Tell every sender how many of its messages an actor has taken."""
        resident = self._resident(actor)
        if resident is not None:
            for sender in resident.mailbox.senders():
                self._post.credit(sender, resident.actor, resident.mailbox.taken(sender))

    def bury(self, resident: Resident, end: End) -> None:
        """A resident has ended."""
        actor = resident.actor
        self.ended.add(actor)
        for envelope in resident.mailbox.drain():
            self._post.lost_tell(resident.cell.ref._actor, envelope.method, envelope.call_id)
        self.residents.pop(actor, None)
        self._post.news("ended", end)

    def serve(self) -> None:
        """The main thread of the process: be the one actor, or read the socket for all of them."""
        if self._place is not None:
            self._post.receiver.until(Waiter(1 << 60))
            return
        self._post.receiver.until(self._born)
        self._lives.live(next(iter(self.residents.values())))
