"""Acting as a service: an actor that owns a policy and acts for many explorers, and each explorer's own end of it.

    Explorer 0, group 0 ── ask ──► ServedPolicy ══ rows of bytes ══╗   all that has queued    ┌────────────────┐
    Explorer 0, group 1 ── ask ──►      "       ═══════════════════╬══ is one batch ═════════►│ PolicyServer   │
    Explorer 1, group 0 ── ask ──► ServedPolicy ═══════════════════╝                          │ policy, weights│
                        ◄─ answers ── actions, extras, state ◄═════ the version that acted ═══└────────────────┘

The server waits for nothing: a batch is what has come while the one before was acted on, so it grows under load. A
policy's memory stays with the explorer and travels with its observations: the server keeps nothing but the weights.
Those an explorer brings along, before the first of its requests that is to be answered by them: an actor takes the
messages of one sender in order, and of several explorers that bring the same version the first is enough. So a server
that died and starts again is given them by whoever asks it next. Rows are records of their fields; each message
says of which, so nothing has to be agreed on before.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from actorrl.actor import ActorRef, Future, batched, fetch, watch
from actorrl.actor import wait as await_any
from actorrl.errors import ActorDied
from actorrl.rl.inference import rows_of
from actorrl.rl.nouns import Acted, Array, Policy
from actorrl.rl.seeding import EXPLORER, generator, seed_after
from actorrl.training.records import read_rows, row_size, write_rows

__all__ = ["PolicyServer", "ServedPolicy"]

MOST = 1024
"""Requests in one batch at most."""
PATIENCE = 0.1
"""Seconds that a client waits for an answer before it lets its explorer's slice end."""
SHORT = 1024
"""Bytes up to which rows travel as bytes, which cost the runtime least; longer ones as an array."""
MESSAGE_SECONDS = 2e-4
"""About what a message there and back costs both ends: so long must a step take for another to be made meanwhile."""
STATE, EXTRA = "state.", "extra."


class PolicyServer:
    """A policy as an actor's object.

    Args:
        make: makes the policy.
        seed: of what it draws from; None for fresh entropy.
        number: which of several servers this is; each draws numbers of its own.
    """

    def __init__(self, make: Callable[[], Policy], seed: int | None = None, number: int = 0) -> None:
        self._policy = make()
        self._seed, self._number, self._crashes = seed, number, 0
        self._rng = generator(seed, EXPLORER, number)
        self.version = -1
        """Of the weights; −1 where it has those that it was made with."""
        self._batches = self._rows = 0

    def take(self, weights: dict[str, Array] | None, version: int, crashes: int = 0) -> None:
        """Newer weights; older ones than it has are left alone.

        One that was told of so many crashes of this server draws other numbers than the one that crashed.
        """
        if crashes > self._crashes:
            self._crashes = crashes
            seed = None if self._seed is None else seed_after(self._seed, crashes)
            self._rng = generator(seed, EXPLORER, self._number)
        if weights is not None and version > self.version:
            self._policy.set_weights(weights, version)
            self.version = version

    def counts(self) -> dict[str, int]:
        """Batches acted on, rows in them, and the version of the weights."""
        return {"batches": self._batches, "rows": self._rows, "version": self.version}

    @batched(max_size=MOST)
    def act(
        self, layout: list[bytes], rows: list[Any], step: list[int], explore: list[bool]
    ) -> Sequence[tuple[int, bytes, Any]]:
        """Act for each of many clients; (version, layout of the answer, rows of the answer) for each of them.

        The policy is asked once for all whose rows have one layout, with the largest of their step counts.
        """
        answers: list[Any] = [None] * len(rows)
        kinds = {*zip(layout, explore, strict=True)}
        for kind in kinds:
            chosen = (
                range(len(rows))
                if len(kinds) == 1
                else [i for i in range(len(rows)) if (layout[i], explore[i]) == kind]
            )
            try:
                dealt = self._act(kind[0], [rows[i] for i in chosen], max(step[i] for i in chosen), kind[1])
            except Exception as error:
                dealt = [error] * len(chosen)
            for i, answer in zip(chosen, dealt, strict=True):
                answers[i] = answer
        return answers

    def _act(self, layout: bytes, rows: list[Any], step: int, explore: bool) -> list[Any]:
        fields = read_rows(layout, bytearray().join(rows))  # writable, as what arrives anywhere is
        masks = {"action_mask": fields["mask"]} if "mask" in fields else {}
        acted = self._policy.act(fields["observation"], _state(fields), step, explore=explore, rng=self._rng, **masks)
        self._batches += 1
        self._rows += len(acted.action)
        answer = {"action": np.asarray(acted.action)}
        for name, values in acted.extras.items():
            answer[EXTRA + name] = np.asarray(values)
        _put_state(answer, acted.state)
        made, data = write_rows(answer)
        asked, answered, start, dealt = row_size(layout), row_size(made), 0, []
        for one in rows:
            stop = start + len(one) // asked * answered
            dealt.append((self.version, made, _short(data[start:stop])))
            start = stop
        return dealt


class _Asking(NamedTuple):
    """What a lane asks, before it is in a message."""

    lane: int
    size: int
    layout: bytes
    rows: bytes
    step: int
    explore: bool


class _Question(NamedTuple):
    """A message to the server, until it is answered: of one lane, or of several that asked at the same time."""

    future: Future[Any]
    request: tuple[Any, ...]
    lanes: list[tuple[int, int]]  # the number of each, and its rows


class ServedPolicy:
    """An explorer's end of a policy server: a `Policy`, and an `Inference` that it asks lane by lane.

    A lane that takes its time to step is handed its answer alone, so that it asks again while others step. Where steps
    are over sooner than a message is made, all that have been answered are handed out, and ask in one message.

    Args:
        server: the policy server's actor, spawned with `max_restarts`.
        policy: says which memory an episode begins with; it is not asked to act.
        timeout: seconds after which a request that has not been answered ends the run.

    Raises (from `answers` and `act`):
        RuntimeError: the server has died more often than it may, or does not answer; whatever its policy raises.
    """

    def __init__(self, server: ActorRef[PolicyServer], policy: Policy, timeout: float = 60.0) -> None:
        self._server: Any = server
        self._policy, self._timeout = policy, timeout
        self._end = watch(server)
        self._asking: list[_Asking] = []
        self._flying: list[_Question] = []
        self._answered: deque[tuple[int, Acted]] = deque()
        self._handed = 0  # lanes whose answers the last call of `answers` returned, and when
        self._since = 0.0
        self._step_seconds = math.inf  # that a lane takes from an answer to its next question
        self._weights: dict[str, Array] | None = None
        self._crashes = 0
        self._late = 0.0  # when to give up; 0 where answers come
        self.version = -1
        """Of the weights that it has brought the server."""

    def initial_state(self, B: int) -> Any:
        return self._policy.initial_state(B)

    def set_weights(self, weights: dict[str, Array], version: int) -> None:
        """Bring the server weights, for whatever is asked from now on."""
        self._weights, self.version = weights, version
        self._server.take.tell(weights, version, self._crashes)

    def act(
        self,
        observations: Array,
        state: Any,
        step: int,
        *,
        explore: bool,
        rng: np.random.Generator | None = None,
        action_mask: Array | None = None,
    ) -> Acted:
        """Ask and wait; the server draws from its own generator, not from `rng`. Not between `ask` and `answers`."""
        self.ask(0, observations, state, step, explore=explore, action_mask=action_mask)
        while not (answers := self.answers(True)):
            pass
        return answers[0][1]

    def ask(
        self, lane: int, observations: Any, state: Any, step: int, *, explore: bool, action_mask: Array | None
    ) -> None:
        if self._handed:
            taken = (time.perf_counter() - self._since) / self._handed
            # The shortest of late: that is how long it takes where no other process gets in between.
            self._step_seconds, self._handed = min(taken, 1.1 * self._step_seconds), 0
        fields = {"observation": np.asarray(observations)}
        if action_mask is not None:
            fields["mask"] = action_mask
        _put_state(fields, state)
        layout, data = write_rows(fields)
        self._asking.append(_Asking(lane, len(observations), layout, data, step, explore))

    def answers(self, wait: bool) -> list[tuple[int, Acted]]:
        if self._asking:
            self._send()
        self._collect()
        if not self._answered and wait and self._flying:
            await_any([question.future for question in self._flying], timeout=PATIENCE)
            self._collect()
        if not self._answered:
            self._late = self._late or time.monotonic() + self._timeout
            if self._flying and time.monotonic() > self._late:
                raise RuntimeError(
                    f"a policy server has not answered for {self._timeout:g} s; it hangs, or is too slow"
                )
            return []
        self._late = 0.0
        handed = [self._answered.popleft()]
        while self._answered and self._step_seconds < MESSAGE_SECONDS:
            handed.append(self._answered.popleft())
        self._handed, self._since = len(handed), time.perf_counter()
        return handed

    def _send(self) -> None:
        """One message for all that ask with the same layout."""
        asking, self._asking = self._asking, []
        while asking:
            layout, explore = asking[0].layout, asking[0].explore
            alike = [one for one in asking if one.layout == layout and one.explore == explore]
            asking = [one for one in asking if one not in alike]
            rows = b"".join([one.rows for one in alike])
            request = layout, _short(rows), max(one.step for one in alike), explore
            lanes = [(one.lane, one.size) for one in alike]
            self._flying.append(_Question(self._server.act(*request), request, lanes))

    def _collect(self) -> None:
        """Take in what has been answered."""
        for question in [question for question in self._flying if question.future.done()]:
            self._flying.remove(question)
            acted = self._answer(question)
            if acted is None:
                self._ask_again(question)
            elif len(question.lanes) == 1:
                self._answered.append((question.lanes[0][0], acted))
            else:
                start = 0
                for lane, rows in question.lanes:
                    self._answered.append((lane, rows_of(acted, start, start + rows)))
                    start += rows

    def _answer(self, question: _Question) -> Acted | None:
        """What was answered; None where the server died of it, or has died and not yet the weights that it had."""
        try:
            version, layout, data = fetch(question.future)
        except ActorDied as error:
            if self._end.done():
                raise RuntimeError(f"a policy server died: {self._end.result(0)}") from error
            return None
        if version < self.version:
            return None
        fields = read_rows(layout, bytearray(data))
        extras = {name[len(EXTRA) :]: values for name, values in fields.items() if name.startswith(EXTRA)}
        extras["version"] = np.full(len(fields["action"]), max(version, 0))
        return Acted(fields["action"], _state(fields), extras)

    def _ask_again(self, question: _Question) -> None:
        """The server is another one than before: give it the weights, and ask it what the other has not answered."""
        self._crashes += 1
        self._server.take.tell(self._weights, self.version, self._crashes)
        self._flying.append(question._replace(future=self._server.act(*question.request)))


def _short(data: bytes) -> Any:
    return data if len(data) <= SHORT else np.frombuffer(data, np.uint8)


def _put_state(fields: dict[str, Array], state: Any) -> None:
    """Add the arrays of a policy's state; a lone array under a name of its own, so that it is one again."""
    if isinstance(state, (tuple, list)):
        for i, array in enumerate(state):
            fields[f"{STATE}{i}"] = array
    else:
        fields[STATE] = state


def _state(fields: dict[str, Array]) -> Any:
    if STATE in fields:
        return fields[STATE]
    return tuple([array for name, array in fields.items() if name.startswith(STATE)])
