"""When a run ends before its steps are made: the `stop` of a file or of `--stop.return 475`. The Runner asks."""

from __future__ import annotations

import math
from dataclasses import dataclass

from actorrl.rl.ranges import require

__all__ = ["StopPlan"]


@dataclass(frozen=True)
class StopPlan:
    """The `stop` of a run: whichever comes first ends it, with final checkpoint and evaluation."""

    steps: int | None = None
    """Environment steps of all agents, where that is fewer than `steps`, which schedules stretch over."""
    seconds: float | None = None
    """Of training, those before a resume included."""
    minutes: float | None = None
    """The same in minutes."""
    return_: float | None = None
    """A mean return; reached where that of the best snapshot is, over its extra fresh episodes. Written `return`."""

    def __post_init__(self) -> None:
        for name in ("steps", "seconds", "minutes"):
            if getattr(self, name) is not None:
                require(self, "positive", name)
        if self.return_ is not None and not math.isfinite(self.return_):
            raise ValueError(f"stop.return must be a finite number, found {self.return_!r}")

    def left(self, seconds: float) -> float | None:
        """How many seconds are left after so many; None where the time is not limited."""
        given = [most * unit for most, unit in ((self.seconds, 1.0), (self.minutes, 60.0)) if most is not None]
        return max(0.0, min(given) - seconds) if given else None

    def reason(self, seconds: float, best: float) -> str | None:
        """Why to end now, in words; None to go on. `best` is the confirmed return of the best snapshot."""
        for name, unit in (("seconds", 1.0), ("minutes", 60.0)):
            most = getattr(self, name)
            if most is not None and seconds >= most * unit:
                return f"{seconds / unit:.1f} of {most:g} {name} (stop.{name})"
        if self.return_ is not None and best >= self.return_:
            return f"a return of {best:.1f}, and {self.return_:g} was asked for (stop.return)"
        return None
