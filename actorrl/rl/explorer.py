"""The only loop that steps environments. Practice, the arrangements and evaluation drive it; it drives lanes.

             ┌───── actions ◄── policy, or who acts for it ◄────┐
             ▼                                                  │
    lanes: environments ── answers ──► Explorer ── last observations of those that answered
                                          │
                                          └── steps ──► Window ── rows ──► sink.add

The next action is asked for as soon as an answer is in and sent as soon as it is chosen, so that environments step
while a learner works, or some while others wait for their actions (see inference.py). The order is the same whether the
lanes are inline or actors, and so are the numbers where there is one lane.
"""

from __future__ import annotations

import time
from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from actorrl.rl.finite import NotFinite, are_finite, bad_one, refused
from actorrl.rl.fragments import Flawed
from actorrl.rl.inference import Inference, Inline, arrays_of
from actorrl.rl.lanes import Arrival, InlineLanes, Lanes
from actorrl.rl.nouns import Environments, Policy, Stepped
from actorrl.rl.stopwatch import SILENT
from actorrl.rl.tracks import EachTrack, Episode, VectorTrack
from actorrl.rl.windows import NStepWindow

SLICE_SECONDS = 0.1  # no call of `advance` holds its process much longer than this


class Progress(NamedTuple):
    """What one slice of work did."""

    steps: int
    episodes: list[Episode]


class Explorer:
    """Steps environments with a policy and feeds a sink.

    Args:
        environments: `Lanes`, or one `Environments` object, which is stepped inline.
        policy: acts on [B, *o] for the B environments that have answered; asked lane by lane, for answers that may come
            later, where it has the methods of an `Inference`.
        sink: gets `add(items)`; None to only play. A sink may bring its own `window`.
        parameters: where newer weights come from: `newer_than(version)` returns (weights, version) or None; asked
            at the start of each `advance`.
        seed: of the explorer's own generator, which the policy draws from; or that generator.
        window: makes items of steps, each by itself or, where it says `vector`, a lane's together; one-step transition
            rows where neither given nor brought by the sink.
        explore: passed to `policy.act`.
        limit: never send more steps than this in all; None for no limit.
        pace: lanes rest after so many steps of theirs until all have taken as many and the next `advance` begins; what
            they have made together then goes to the sink at once. None where each goes on as it can.
    """

    def __init__(
        self,
        environments: Lanes | Environments,
        policy: Policy,
        sink: Any = None,
        parameters: Any = None,
        *,
        seed: int | np.random.Generator | None = None,
        window: Any = None,
        explore: bool = True,
        limit: int | None = None,
        pace: int | None = None,
    ) -> None:
        self.lanes: Any = environments if hasattr(environments, "receive") else InlineLanes([environments])  # type: ignore[list-item]
        self.policy, self.sink, self.parameters = policy, sink, parameters
        self.rng = seed if isinstance(seed, np.random.Generator) else np.random.default_rng(seed)
        self._inference: Inference = policy if hasattr(policy, "ask") else Inline(policy, self.rng)  # type: ignore[assignment]
        self.explore, self.limit, self._pace = explore, limit, pace
        self.steps = 0  # answered by environments
        self.chosen = 0  # steps whose action has been chosen: what `get_action` gets as `step`
        self._window: Any = window or getattr(sink, "window", None) or NStepWindow()
        self._vector = self.sink is not None and getattr(self._window, "vector", False)
        self._watchful = self._vector and getattr(self._window, "watchful", False)
        here = getattr(self.lanes, "only", None) is not None and type(self._inference) is Inline
        self._alone = here and self._vector and pace is None
        self._tracks: list[EachTrack | VectorTrack] = []
        self._states: list[Any] = []
        self._ready: list[Arrival] = []
        self._flying = 0  # lanes that have been asked and have not answered
        self._asked = 0  # lanes whose next action has been asked for
        self._taken: list[int] = []  # steps of each lane, and up to where they may go
        self._until = 0
        self.dropped = 0  # episodes that a lost lane broke off; their returns are not known
        self._version = -1
        self.clock = SILENT
        """Of whoever drives it, who begins and ends slices."""
        phases: tuple[str, str] = getattr(self.lanes, "phases", ("sending", "waiting"))
        self._sending, self._receiving = phases
        self._adding = getattr(sink, "phase", "recording")
        self._again = 0  # steps when the lanes were last to be reset for a checkpoint

    @property
    def idle(self) -> bool:
        """Whether every step whose action was chosen has been answered."""
        return self.steps == self.chosen

    def begin_again(self) -> None:
        """End every episode here: its steps count, its return is not booked. For an idle explorer.

        The next `advance` resets the lanes, with seeds that follow from the first ones and the steps so far: what
        comes is the same whether this explorer goes on or another one that has taken over its state.
        """
        for track in self._tracks:
            track.cut()
        if self.sink is not None:
            try:
                self._pass_on()
            except Flawed as flawed:
                raise self._flawed(flawed) from None
        self._tracks, self._ready = [], []
        self._again = self.steps

    def state_dict(self) -> dict[str, Any]:
        """The generator and the counts; of the environments nothing, which begin again."""
        return {"steps": self.steps, "dropped": self.dropped, "rng": self.rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where another explorer was, with environments that are reset."""
        self.steps = self.chosen = self._again = int(state["steps"])
        self.dropped = int(state["dropped"])
        self.rng.bit_generator.state = state["rng"]

    def advance(self, steps: int) -> Progress:
        """Step until `steps` more have been answered, or about 100 ms are over, or the limit is reached.

        May overshoot by what the other lanes answered at the same time. Steps still in flight are left in flight. A
        fragment that is whole ends it, so that its steps can be learned from before the next action is chosen.
        """
        if not self._tracks:
            self._start()
        if self.parameters is not None:
            self._pull()
        if self._pace is not None and min(self._taken) >= self._until:
            self._until += self._pace
        before, episodes = self.steps, list[Episode]()
        deadline = time.perf_counter() + SLICE_SECONDS
        proceed = self._stream if self._alone and self._ready else self._serve
        try:
            proceed(before + steps, deadline, episodes)
        except Flawed as flawed:
            raise self._flawed(flawed) from None
        except Exception as error:
            self._look_back(error)
            raise
        return Progress(self.steps - before, episodes)

    def _serve(self, goal: int, deadline: float, episodes: list[Episode]) -> None:
        """Serve whichever lanes have answered, up to the goal or the deadline."""
        clock = self.clock
        self._choose()
        while self.steps < goal and (self._flying or self._asked) and time.perf_counter() < deadline:
            if self._flying:
                arrivals = self.lanes.receive()
                if clock.on:
                    clock.mark(self._receiving)
                for arrival in arrivals:
                    self._absorb(arrival, episodes)
            if self.sink is not None and (self._pace is None or self._resting) and self._pass_on() and self._vector:
                break  # a fragment is whole: the next action may be that of newer weights
            if clock.on:
                clock.mark(self._adding)
            self._choose()

    def _stream(self, goal: int, deadline: float, episodes: list[Episode]) -> None:
        """`_serve` for one lane that is stepped here by a policy that acts here: nothing is ever in flight, so nothing
        has to be asked for, kept and found again, which light environments notice.
        """
        observation, track, state = self._ready[0].observation, self._tracks[0], self._states[0]
        environment, policy, clock, k = self.lanes.only, self.policy, self.clock, len(track)
        take, explore, rng, watchful = self._window.take, self.explore, self.rng, self._watchful
        goal = goal if self.limit is None else min(goal, self.limit)
        while self.steps < goal and time.perf_counter() < deadline:
            masks = {} if track.mask is None else {"action_mask": track.mask}
            acted = policy.act(observation, state, self.chosen, explore=explore, rng=rng, **masks)
            action, state = acted.action, acted.state
            self.chosen += k
            if clock.on:
                clock.mark("inference")
            self._require_action(action)
            track.acted(action, acted.extras)
            self._states[0] = state
            stepped = environment.step(action)
            if clock.on:
                clock.mark(self._receiving)
            if not watchful:
                self._require_finite(0, stepped)
            observation = stepped.observation
            self.steps += k
            if ended := track.book(stepped):
                self._end(0, stepped, ended, episodes)
            if (items := take()) is not None:
                self.sink.add(items)
                break  # as in `_serve`
            if clock.on:
                clock.mark(self._adding)
        self._ready[0] = Arrival(0, observation)

    def _pass_on(self) -> bool:
        """Give the sink what is complete; whether anything was."""
        items = self._window.take()
        if items is None:
            return False
        self.sink.add(items)
        return True

    def _require_finite(self, lane: int, stepped: Stepped) -> None:
        """NotFinite where a lane answered with something that is no number."""
        if not stepped.final_observation and are_finite(stepped.observation, stepped.reward):
            return
        if (bad := bad_one(stepped.observation)) is not None:
            raise self._refused("observation", lane, bad, stepped.observation[bad])
        if (bad := bad_one(stepped.reward)) is not None:
            raise self._refused("reward", lane, bad, stepped.reward[bad])
        for i, last in stepped.final_observation.items():
            if bad_one([last]) is not None:
                raise self._refused("last observation", lane, i, last)

    def _require_action(self, action: Any) -> None:
        if bad_one(action) is not None:
            raise NotFinite(
                f"the policy chose an action that is nan or infinite after {self.steps:,} steps: what it learned "
                f"has diverged; a lower learning_rate or smaller rewards may help"
            )

    def _refused(self, what: str, lane: int, i: int, given: Any, since: int = 0) -> NotFinite:
        return refused(what, given, sum(self.lanes.sizes[:lane]) + i, self.steps - since)

    def _look_back(self, error: Exception) -> None:
        """Whoever was given what is no number may fail of that before the window looks, as a policy does that makes
        actions of it which are none either: then it is what to tell.
        """
        try:
            if self._watchful:
                self._window.require_finite()
        except Flawed as flawed:
            raise self._flawed(flawed) from error

    def _flawed(self, flawed: Flawed) -> NotFinite:
        flaw = flawed.flaw
        since = min(self.steps, flawed.since * sum(self.lanes.sizes))  # as if all lanes had taken as many
        return self._refused(flaw.what, flawed.lane, flaw.i, flaw.given, since)

    def _start(self) -> None:
        self.lanes.reset(self._again)
        sizes = self.lanes.sizes
        recorded = self._window if self.sink is not None else None
        for lane in range(len(sizes)):
            first = sum(sizes[:lane])
            self._tracks.append(VectorTrack(recorded, lane, first) if self._vector else EachTrack(recorded, first))
        self._states = [None for _ in sizes]
        self._taken, self._until = [0 for _ in sizes], self._pace or 0
        self._flying = len(sizes)

    def _pull(self) -> None:
        newer = self.parameters.newer_than(self._version)
        if newer is not None:
            weights, self._version = newer
            self.policy.set_weights(weights, self._version)

    def _absorb(self, arrival: Arrival, episodes: list[Episode]) -> None:
        """Book one lane's answer: steps to the window, finished episodes to the list, the lane to the ready."""
        self._ready.append(arrival)
        self._flying -= 1
        lane, stepped = arrival.lane, arrival.stepped
        if stepped is not None:
            self._book(lane, stepped, episodes)
            return
        track = self._tracks[lane]  # the start, or it was lost in mid-step and came back: then that step never happened
        if (bad := bad_one(arrival.observation)) is not None:
            raise self._refused("observation", lane, bad, arrival.observation[bad])
        self.chosen -= len(track)
        self.dropped += len(track)
        track.begin(arrival.observation, arrival.action_mask)
        self._states[lane] = self.policy.initial_state(len(track))
        self._taken[lane] = max(0, self._until - (self._pace or 0))

    def _book(self, lane: int, stepped: Stepped, episodes: list[Episode]) -> None:
        """One step of a lane: counted, told to the window, its finished episodes to the list."""
        if not self._watchful:
            self._require_finite(lane, stepped)
        track = self._tracks[lane]
        self.steps += len(track)
        self._taken[lane] += 1
        if ended := track.book(stepped):
            self._end(lane, stepped, ended, episodes)

    def _end(self, lane: int, stepped: Stepped, ended: list[Episode], episodes: list[Episode]) -> None:
        """Some environments of a lane have ended their episodes in this step."""
        episodes += ended
        if self._watchful and not isfinite(sum(episode.return_ for episode in ended)):
            self._window.require_finite()
        state = self._states[lane]
        if not (isinstance(state, tuple) and not state):
            for i in np.flatnonzero(stepped.terminated | stepped.truncated).tolist():
                self._forget(lane, i)

    def _forget(self, lane: int, i: int) -> None:
        """Start environment i's memory afresh: state arrays are [k, h]."""
        state = self._states[lane]
        fresh = self.policy.initial_state(1)
        for array, first in zip(arrays_of(state), arrays_of(fresh), strict=True):
            array[i] = first[0]

    def _may(self, lane: int) -> bool:
        """Whether one more step of a lane is within the limit and the pace."""
        within = self.limit is None or self.chosen < self.limit
        return within and (self._pace is None or self._taken[lane] < self._until)

    @property
    def _resting(self) -> bool:
        """Whether nothing is on its way, and nothing may be sent."""
        return not (self._flying or self._asked or any(self._may(arrival.lane) for arrival in self._ready))

    def _choose(self) -> None:
        """Ask for the actions of every lane that is ready and may go on; send those that have been chosen."""
        ready, self._ready = self._ready, []
        for arrival in ready:
            lane = arrival.lane
            if not self._may(lane):
                self._ready.append(arrival)
                continue
            track, state = self._tracks[lane], self._states[lane]
            self._inference.ask(
                lane, arrival.observation, state, self.chosen, explore=self.explore, action_mask=track.mask
            )
            self.chosen += len(track)
            self._asked += 1
        if not self._asked:
            return
        answers = self._inference.answers(not self._flying)
        if self.clock.on:
            self.clock.mark("inference")
        for lane, acted in answers:
            self._require_action(acted.action)
            self._tracks[lane].acted(acted.action, acted.extras)
            self._states[lane] = acted.state
            self._asked -= 1
            self._flying += 1
            self.lanes.send(lane, acted.action)
            if self.clock.on:
                self.clock.mark(self._sending)
