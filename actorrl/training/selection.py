"""Which snapshot is the best: evaluated as it comes, confirmed before it is believed.

The Runner submits snapshots and calls `advance` beside training. A mean over 10 episodes that beats the best one so
far may be luck, and the best of many such means certainly is: a candidate plays 50 extra fresh episodes, and only
those count.

    snapshot ──► 10 episodes ── above the best? ──► 50 fresh episodes ── above the best? ──► best
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from actorrl.training.checkpoints import packed
from actorrl.training.evaluation import Audition, Evaluation, EvaluationPlan, Evaluator, Player
from actorrl.training.roles import Snapshot

FREE_SECONDS, SHARE = 10.0, 0.25  # evaluation beyond this much time, and this share of it, is skipped


class Verdict(NamedTuple):
    """What came out for one snapshot."""

    snapshot: Snapshot
    evaluation: Evaluation
    """Over the first episodes."""
    confirmed: Evaluation | None
    """Over the extra ones; None where the first were not good enough to try."""
    best: bool
    """Whether this is the best snapshot now."""

    def said(self, many: bool) -> str:
        """The line about it; of several agents it says whose snapshot it is."""
        whose = f"agent {self.snapshot.agent}   " if many else ""
        mean, std = self.evaluation.mean, self.evaluation.std
        line = f"  {self.snapshot.steps:>9,} steps   {whose}evaluation {mean:8.1f} ± {std:.1f}"
        if not self.evaluation.greedy:
            line += " with exploration"
        if self.confirmed is not None:
            fresh = f"{self.confirmed.mean:.1f} over {len(self.confirmed.returns)} fresh episodes"
            line += f"   {'new best' if self.best else 'not confirmed'}: {fresh}"
        return line


class Selection:
    """Judges snapshots one after the other, in slices.

    Args:
        evaluator: evaluation's environments and seeds.
        player_of: makes the player of a snapshot.
    """

    def __init__(self, evaluator: Evaluator, plan: EvaluationPlan, player_of: Callable[[Snapshot], Player]) -> None:
        self._evaluator, self._plan, self._player_of = evaluator, plan, player_of
        self._waiting: deque[Snapshot] = deque()
        self._audition: Audition | None = None
        self._first: Evaluation | None = None
        self._last: Snapshot | None = None  # the one after which no other comes
        self._player: Player | None = None
        self.score = float("-inf")
        """The mean return of the best snapshot over its extra episodes."""
        self._before: dict[str, Any] = {}  # the evaluator's state when the first that waits began to play
        self.seconds = 0.0
        self.skipped = 0

    @property
    def busy(self) -> bool:
        """Whether `advance` has something to do."""
        return bool(self._waiting)

    def submit(self, snapshot: Snapshot, seconds: float, *, last: bool = False) -> None:
        """Queue a snapshot, taken when training had run for `seconds`. Where evaluation eats up the time, only the
        last one is still judged."""
        if not last and self.seconds > max(FREE_SECONDS, SHARE * seconds):
            self.skipped += 1
            return
        if self._waiting and self._waiting[-1][::3] == snapshot[::3] and len(self._waiting) > bool(self._audition):
            self._waiting.pop()  # the very one, from before a run that was cut off at its end
        self._waiting.append(snapshot)
        self._last = snapshot if last else None

    def state_dict(self) -> dict[str, Any]:
        """The score to beat, the snapshots that wait, and the evaluator as it was before the first of them."""
        return {
            "score": self.score,
            "seconds": self.seconds,
            "skipped": self.skipped,
            "waiting": [packed(snapshot) for snapshot in self._waiting],
            "evaluator": self._evaluator.state_dict() if self._audition is None else self._before,
        }

    def load_state_dict(self, state: dict[str, Any], unpack: Callable[[dict[str, Any]], Snapshot]) -> None:
        """Take back what `state_dict` gave: what was being played is played again."""
        self.score, self.seconds = float(state["score"]), float(state["seconds"])
        self.skipped = int(state["skipped"])
        self._waiting = deque(unpack(one) for one in state["waiting"])
        self._evaluator.load_state_dict(state["evaluator"])

    def advance(self) -> Verdict | None:
        """Play on for about 100 ms; a verdict when there is one."""
        snapshot = self._waiting[0]
        if self._audition is None:
            self._before = self._evaluator.state_dict()
            self._player = self._player_of(snapshot)
            self._audition = self._evaluator.audition(self._player, self._plan.episodes, FREE_SECONDS)
        before = self._audition.seconds
        over = self._audition.advance()
        self.seconds += self._audition.seconds - before
        if not over:
            return None
        result = self._audition.result
        assert result is not None and self._player is not None
        if self._first is None:
            if self._beats(result):
                self._first = result
                self._audition = self._evaluator.audition(self._player, self._plan.confirm, FREE_SECONDS)
                return None
            return self._conclude(result, None)
        return self._conclude(self._first, result)

    def _beats(self, result: Evaluation) -> bool:
        """Whether it is better than the best; of equals only the last of all, which has learned most."""
        return result > self.score or (result == self.score and self._waiting[0] is self._last)

    def _conclude(self, first: Evaluation, confirmed: Evaluation | None) -> Verdict:
        best = confirmed is not None and self._beats(confirmed)
        if best:
            self.score = float(confirmed)  # type: ignore[arg-type]
        self._audition = self._first = self._player = None
        return Verdict(self._waiting.popleft(), first, confirmed, best)
