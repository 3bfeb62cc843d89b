"""Who reads the socket: leader and followers.

There is no receiving thread on the fast path. Whichever thread waits for something takes the lead,
reads the socket itself and hands out what arrives, for the others too; when it has what it came
for, the next waiter leads. Only while nobody waits and calls are open does a background thread lead,
so that callbacks, `await` and `concurrent.futures.wait` get their answers.

    thread in fetch ──leads──► transport.receive ──► dispatch ──► its own future, or another's
    other threads   ──park───► woken when their thing is done, or when it is their turn to lead
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from .bell import Bell
from .transport import MOMENT, Transport

__all__ = ["Receiver", "Waiter"]

_AT_ONCE, _NONE = (False,), (None,)  # what `Lock.acquire` is told, not to wait; and what `Lock.__exit__` is
AT_ONCE = 4096
"""So many messages are taken between two handlers: a flood must not keep the actor from its work."""
LONGEST = 3600.0
"""Seconds of one sleep at most; the clocks below have their limits."""
PATIENCE = 0.003
"""Seconds without a leader before the background thread takes over."""
LONG_PATIENCE = 0.02
"""The same once threads have led again and again: each look of the background thread costs them a switch."""


class Waiter:
    """What a thread waits for: so many events, told by `done()` from any thread."""

    def __init__(self, count: int = 1) -> None:
        self._left = count
        self._gate = threading.Lock()
        self._gate.acquire()
        self._lock = threading.Lock()
        self.leading: Callable[[], None] | None = None  # interrupts the leader, where this waiter leads

    def ready(self) -> bool:
        """Whether all events have come."""
        return self._left <= 0

    def done(self, _: Any = None) -> None:
        """One event has come."""
        with self._lock:
            self._left -= 1
            ready = self._left <= 0
        if ready:
            self.unpark()

    # The protocol by which concurrent.futures tells those who wait for a future.
    add_result = add_exception = add_cancelled = done

    def broken(self) -> None:
        """No event will come: return now."""
        with self._lock:
            self._left = 0
        self.unpark()

    def again(self) -> None:
        """Wait for one more event."""
        with self._lock:
            self._left = 1

    def unpark(self) -> None:
        """Let the thread look again, wherever it waits."""
        if self._gate.locked():
            try:
                self._gate.release()
            except RuntimeError:
                pass  # another thread was faster
        interrupt = self.leading
        if interrupt is not None:
            interrupt()

    def park(self, timeout: float | None) -> None:
        """Sleep until `unpark` or for `timeout` seconds."""
        self._gate.acquire(timeout=-1 if timeout is None else min(LONGEST, max(0.0, timeout)))


class Receiver:
    """Leads threads to the socket, one at a time.

    Args:
        transport: the sockets.
        dispatch: takes each message as it arrived.
        wanted: whether the background thread has something to wait for.
    """

    def __init__(
        self, transport: Transport, dispatch: Callable[[Any, list[Any]], None], wanted: Callable[[], Any]
    ) -> None:
        self._transport = transport
        self._dispatch = dispatch
        self._wanted = wanted
        self._lead = threading.Lock()
        self.leader = 0
        """The thread that reads the socket; 0 while none does."""
        self._parked: deque[Waiter] = deque()
        self._turns = 0
        self._in_background = False
        self.armed = False
        self._arming = Bell()
        self._kick = Bell()
        self._thread: threading.Thread | None = None
        self._closed = False

    def until(self, waiter: Waiter, deadline: float | None = None) -> None:
        """Receive, or let others receive, until `waiter` is ready or the deadline has passed."""
        self._transport.flush()
        try:
            self._until(waiter, deadline)
        finally:
            # While this thread was parked it may have been offered the lead, and leaves without having taken it.
            if self._parked and not self._lead.locked():
                self._pass_on()

    def _until(self, waiter: Waiter, deadline: float | None) -> None:
        while not waiter.ready():
            left = None if deadline is None else deadline - time.monotonic()
            led = self._lead_for(waiter, deadline)
            if led is False or (led is None and left is not None and left <= 0):
                return
            if led is None:  # somebody else does
                self._park(waiter, left)
                if left is not None and time.monotonic() >= deadline:  # type: ignore[operator]
                    return

    def lead(self, ready: Callable[[], Any], deadline: float | None) -> bool:
        """The fast path of one thread: lead until `ready()` or the deadline. False where somebody else leads.

        `ready` may only become true by what this thread dispatches, or with a `nudge` after it: otherwise use `until`.
        """
        return self._as_leader(self._until_ready, ready, deadline)

    def lead_for(self, future: Any) -> bool:
        """`lead` until a future is done: what most calls of a program come to."""
        return self._as_leader(self._until_done, future)

    # The two loops below are _pump without its steps: they run for every message.

    def _until_ready(self, ready: Callable[[], Any], deadline: float | None) -> None:
        transport, dispatch = self._transport, self._dispatch
        receive = transport.receive
        transport.flush()
        if deadline is not None:
            while not ready() and self._pump(deadline):
                pass
            return
        while not ready():
            raw, buffers = receive()
            dispatch(raw, buffers)
            transport.current = None

    def _until_done(self, future: Any) -> None:
        transport, dispatch = self._transport, self._dispatch
        receive = transport.receive
        transport.flush()
        while future._state == "PENDING":
            raw, buffers = receive()
            dispatch(raw, buffers)
            transport.current = None

    def lead_a_moment(self, ready: Callable[[], Any], moment: int = MOMENT) -> bool:
        """`lead` for about a tenth of a second: the way of a handler that waits, which is looked after if it lasts.

        `moment` is in milliseconds, for one who will not wait longer.
        """

        def work() -> None:
            self._transport.flush()
            end = 0.0
            while not ready():
                message = self._transport.receive(moment)
                if message is None:
                    break
                self._dispatch(*message)
                self._transport.current = None
                if ready():
                    break
                end = end or time.monotonic() + moment / 1000
                if time.monotonic() > end:
                    break

        return self._as_leader(work)

    def _as_leader(self, work: Callable[..., None], *args: Any) -> bool:
        """Do `work` as the leader; whoever waits for the lead is then told. False where another thread leads.

        Ctrl-C raises between any two steps, so to take the lead and to note it is one step, and to give it back and to
        note that is one; what comes in between is tried again. In an actor's process nothing does: there without.
        """
        if not self._transport.again:
            return self._as_leader_undisturbed(work, args)
        leads: list[Any] = []
        try:
            try:
                leads.extend(map(self._lead.acquire, _AT_ONCE))
                if not leads[0]:
                    return False
                self.leader = threading.get_ident()
                self._turns += 1
                work(*args)
            finally:
                self._resign(leads)
        finally:
            if self._parked or (leads and leads[0]):
                self._resign(leads)
        return True

    def _as_leader_undisturbed(self, work: Callable[..., None], args: tuple[Any, ...]) -> bool:
        if not self._lead.acquire(False):
            return False
        self.leader = threading.get_ident()
        self._turns += 1
        try:
            work(*args)
        finally:
            self.leader = 0
            self._lead.release()
            if self._parked:
                self._pass_on()
        return True

    def _resign(self, leads: list[Any]) -> None:
        """Lead no more, if `leads` says that we do; the next may."""
        if leads and leads[0]:
            self.leader = 0
            leads[:] = map(self._lead.__exit__, _NONE, _NONE, _NONE)
        if self._parked and not self._lead.locked():
            self._pass_on()

    def drain(self) -> None:
        """Take what has arrived, without waiting; nothing where another thread leads."""

        def work() -> None:
            for _ in range(AT_ONCE):
                message = self._transport.receive(0)
                if message is None:
                    break
                self._dispatch(*message)
                self._transport.current = None

        self._as_leader(work)

    def nudge(self) -> None:
        """Let the leader look whether its thing is done: another thread has just done something."""
        leader = self.leader
        if leader and leader != threading.get_ident():
            self._transport.wake()

    def arm(self) -> None:
        """Calls are open: the background thread may be needed."""
        self.armed = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._background, name="actorrl-receiver", daemon=True)
            self._thread.start()
        self._arming.set()

    def hurry(self) -> None:
        """Somebody waits who will never lead: let the background thread begin at once."""
        if not self.armed:
            self.arm()
        self._kick.set()

    def close(self) -> None:
        """End the background thread and leave the socket to whoever closes it."""
        self._closed = True
        self._arming.set()
        self._kick.set()
        if self._lead.locked():
            self._transport.wake()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(1.0)

    def settle(self, quiet: float = 0.005, limit: float = 0.05) -> None:
        """Let everything that is on its way arrive: until nothing has come for `quiet` seconds.

        After the end of a process: its last replies may still be in the socket.
        """
        end = time.monotonic() + limit

        def work() -> None:
            while time.monotonic() < end and self._pump(time.monotonic() + quiet):
                pass

        if not self._as_leader(work):
            time.sleep(quiet)  # the leader takes them

    def _park(self, waiter: Waiter, timeout: float | None) -> None:
        self._parked.append(waiter)
        try:
            if self._in_background:
                self._transport.wake()
            # Only after we are listed: the leader that leaves now either finds us, or is seen gone here.
            if self._lead.locked() and not waiter.ready():
                waiter.park(timeout)
        finally:
            self._unlist(waiter)

    def _lead_for(self, waiter: Waiter, deadline: float | None) -> bool | None:
        """Lead until the waiter is ready. False if the deadline passed first, None if somebody else leads."""
        in_time = True

        def work() -> None:
            nonlocal in_time
            waiter.leading = self.nudge
            while in_time and not waiter.ready():
                in_time = self._pump(deadline)

        try:
            return in_time if self._as_leader(work) else None
        finally:
            waiter.leading = None

    def _pump(self, deadline: float | None) -> bool:
        """Receive and dispatch one message. False if the deadline passed first."""
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        message = self._transport.receive(None if left is None else int(min(left, LONGEST) * 1000 + 0.999))
        if message is None:
            return left is not None and left > LONGEST
        self._dispatch(*message)
        self._transport.current = None
        return True

    def _pass_on(self) -> None:
        try:
            self._parked[0].unpark()
        except IndexError:
            pass

    def _unlist(self, waiter: Waiter) -> None:
        try:
            self._parked.remove(waiter)
        except ValueError:
            pass

    def _background(self) -> None:
        turns, patience = -1, PATIENCE
        while not self._closed:
            while not self.armed and not self._closed:
                self._arming.wait()
            kicked = self._kick.wait(patience)
            self._kick.clear()
            if not self._wanted():
                self.armed = False
                if self._wanted():
                    self.arm()
                continue
            if not kicked and turns != self._turns:
                turns = self._turns  # somebody led meanwhile and will likely be back
                patience = min(2 * patience, LONG_PATIENCE)
                continue
            patience = PATIENCE
            self._in_background = True
            self._as_leader(self._work_in_background)
            turns = self._turns
            self._in_background = False

    def _work_in_background(self) -> None:
        while self._wanted() and not self._parked and not self._closed:
            self._pump(None)
