"""Numbers that change with a counter: ε and learning rates. Configs build them, policies and learners ask them.

A schedule knows no clock: whoever asks says which counter it is (environment steps for ε, updates for a learning rate).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Linear:
    """From `initial` at 0 to `final` at `duration` and ever after, in a straight line."""

    initial: float
    final: float
    duration: float

    def __call__(self, count: float) -> float:
        if count >= self.duration:
            return self.final
        return self.initial + (self.final - self.initial) * (count / self.duration)


def over_updates(initial: float, final: float, updates: int) -> Linear:
    """From `initial` at the first of so many updates to `final` at the last, asked with the updates done before."""
    return Linear(initial, final, max(1, updates - 1))
