"""Fragments: T steps of a lane of k environments as time-major arrays, made by the window for whole lanes.

    observation [T+1, k, *o]   action [T, k, *a]   reward f32 [T, k]   terminated, truncated bool [T, k]
    final_observation [m, *o]  final_index int64 [m, 2]: the true last observations of the m episodes that ended in it,
                               at step t of environment i
    log_prob [T, k], ...       what the policy recorded of each action
    action_mask bool [T+1, k, n], final_action_mask bool [m, n]: where the environment gives masks
    version                    of the weights that chose the actions: where the policy told it of each, in its extras,
                               the oldest of them, else what it was at the first

A fragment never waits for an episode's end, and never joins the steps of two incarnations of a lane. All its numbers
are finite: that is looked at once it is whole, which costs far less than to look after every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from actorrl.rl.finite import NotFinite, is_finite
from actorrl.rl.nouns import Array, Stepped

Fragment = dict[str, Array]


class Flaw(NamedTuple):
    """Something in a fragment that is no number."""

    what: str
    t: int
    """The step that gave it."""
    i: int
    """The environment, within its lane."""
    given: Any


class Flawed(NotFinite):
    """A fragment holds what is no number."""

    def __init__(self, flaw: Flaw, lane: int, steps: int) -> None:
        super().__init__(f"the {flaw.what} of environment {flaw.i} in lane {lane} is not finite at step {flaw.t}")
        self.flaw, self.lane = flaw, lane
        self.since = steps - flaw.t
        """Steps of the lane from that one on."""


def flaw_in(fragment: Fragment) -> Flaw | None:
    """What an environment gave first that is no number; None where everything is one. Of what one step gave it is the
    observation, which rewards are made of.
    """
    found = []
    for what, offset in (("observation", -1), ("reward", 0)):
        values = fragment[what]
        if values.dtype.kind == "f" and not is_finite(values):
            t, i = np.argwhere(~np.isfinite(values))[0, :2].tolist()
            found.append(Flaw(what, t + offset, i, values[t, i]))
    last = fragment["final_observation"]
    if last.dtype.kind == "f" and not is_finite(last):
        m = int(np.argwhere(~np.isfinite(last))[0, 0])
        t, i = fragment["final_index"][m].tolist()
        found.append(Flaw("last observation", t, i, last[m]))
    return min(found, key=lambda flaw: flaw.t, default=None)


class FragmentWindow:
    """Collects the steps of every lane into fragments of `length` steps.

    Args:
        length: T.
        version: tells the version of the policy's weights, where its extras do not; asked at the first step of each
            fragment.
    """

    vector = True
    watchful = True
    """Whether it refuses itself what is no number."""

    def __init__(self, length: int, version: Any = None) -> None:
        if length < 1:
            raise ValueError(f"a fragment has at least 1 step, found length={length}")
        self.length, self._version = length, version or (lambda: 0)
        self._open: dict[int, _Open] = {}
        self._full: list[tuple[int, Fragment]] = []

    def begin(self, lane: int, observation: Array, mask: Array | None) -> None:
        """A lane was reset: what it had begun is given up, since the step that broke it off never happened.

        Raises:
            Flawed: where that holds what is no number, which may be what it was lost of.
        """
        if (begun := self._open.get(lane)) is not None:
            self._require_finite([(lane, begun.done())])
        self._open[lane] = _Open(self.length, observation, mask)

    def cut(self, lane: int) -> None:
        """The lane will be reset after its last step: what it had begun is a fragment, shorter than the others."""
        begun = self._open.pop(lane)
        if begun.t:
            self._full.append((lane, begun.done()))

    def add(self, lane: int, action: Array, extras: dict[str, Array], stepped: Stepped) -> None:
        """One step of a lane's k environments, from the observations before it by `action` [k, *a]."""
        fragment = self._open[lane]
        if (told := extras.get("version")) is not None:
            oldest = int(told.min())
            fragment.version = min(fragment.version, oldest) if fragment.t else oldest
            extras = {name: values for name, values in extras.items() if name != "version"}
        elif fragment.t == 0:
            fragment.version = self._version()
        fragment.add(action, extras, stepped)
        if fragment.t == self.length:
            self._full.append((lane, fragment.done()))
            self._open[lane] = _Open(self.length, stepped.observation, stepped.action_mask)

    def take(self) -> list[Fragment] | None:
        """The fragments completed since the last call, in the order of their lanes; None where there are none.

        Raises:
            Flawed: where one holds what is no number.
        """
        if not self._full:
            return None
        self._require_finite(self._full)
        full, self._full = self._full, []
        return [fragment for _, fragment in sorted(full, key=lambda one: one[0])]

    def require_finite(self) -> None:
        """Look now whether everything is a number, in fragments that have only begun too; raises as `take`."""
        self._require_finite([*self._full, *((lane, begun.done()) for lane, begun in self._open.items())])

    def _require_finite(self, fragments: Sequence[tuple[int, Fragment]]) -> None:
        for lane, fragment in fragments:
            if (flaw := flaw_in(fragment)) is not None:
                raise Flawed(flaw, lane, len(fragment["reward"]))


class _Open:
    """A fragment that is being filled."""

    def __init__(self, length: int, observation: Array, mask: Array | None) -> None:
        self.t = self.version = 0
        self._length = length
        k = len(observation)
        self._observation = np.empty((length + 1, *observation.shape), observation.dtype)
        self._observation[0] = observation
        self._mask: Array | None = None
        if mask is not None:
            self._mask = np.empty((length + 1, *mask.shape), np.bool_)
            self._mask[0] = mask
        self._reward = np.empty((length, k), np.float32)
        self._terminated, self._truncated = np.zeros((2, length, k), np.bool_)
        self._recorded: dict[str, Array] = {}
        self._final: list[tuple[int, int, Array, Array | None]] = []

    def add(self, action: Array, extras: dict[str, Array], stepped: Stepped) -> None:
        t = self.t
        if t == 0:
            for name, values in (("action", action), *extras.items()):
                values = np.asarray(values)
                self._recorded[name] = np.empty((self._length, *values.shape), values.dtype)
        recorded = self._recorded
        recorded["action"][t] = action
        for name, values in extras.items():
            recorded[name][t] = values
        self._reward[t] = stepped.reward
        self._observation[t + 1] = stepped.observation
        if self._mask is not None:
            self._mask[t + 1] = stepped.action_mask
        if stepped.final_observation:
            self._terminated[t] = stepped.terminated
            self._truncated[t] = stepped.truncated & ~stepped.terminated
            masks: Any = stepped.final_action_mask or {}
            self._final += [(t, i, last, masks.get(i)) for i, last in stepped.final_observation.items()]
        self.t = t + 1  # now it is whole: after an error above, nobody looks at half of it

    def done(self) -> Fragment:
        t, shape, dtype = self.t, self._observation.shape[2:], self._observation.dtype
        fragment = {
            "observation": self._observation[: t + 1],
            **{name: values[:t] for name, values in self._recorded.items()},
            "reward": self._reward[:t],
            "terminated": self._terminated[:t],
            "truncated": self._truncated[:t],
            "final_observation": np.array([last for _, _, last, _ in self._final], dtype).reshape(-1, *shape),
            "final_index": np.array([(t, i) for t, i, _, _ in self._final], np.int64).reshape(-1, 2),
            "version": np.array(self.version),
        }
        if self._mask is not None:
            fragment["action_mask"] = self._mask[: t + 1]
            masks = [mask for _, _, _, mask in self._final]
            fragment["final_action_mask"] = np.array(masks, np.bool_).reshape(-1, self._mask.shape[2])
        return fragment


def joined(fragments: Sequence[Fragment]) -> Fragment:
    """One fragment of several of the same length, side by side: [T, k1 + k2 + ..., ...]. The version is the oldest."""
    if len(fragments) == 1:
        return fragments[0]
    starts = np.cumsum([0, *(fragment["reward"].shape[1] for fragment in fragments)])
    whole: Fragment = {"version": np.min([fragment["version"] for fragment in fragments])}
    for name in fragments[0]:
        if name == "final_index":
            shifted = [fragment[name] + (0, start) for fragment, start in zip(fragments, starts, strict=False)]
            whole[name] = np.concatenate(shifted)
        elif name.startswith("final_"):
            whole[name] = np.concatenate([fragment[name] for fragment in fragments])
        elif name != "version":
            whole[name] = np.concatenate([fragment[name] for fragment in fragments], 1)
    return whole


def next_values(fragment: Fragment, value: Array, final_value: Array) -> Array:
    """V of each step's true next observation, [T, k], from V of `observation` [T+1, k] and `final_observation` [m]."""
    following = value[1:].copy()
    t, i = fragment["final_index"].T
    following[t, i] = final_value
    return following
