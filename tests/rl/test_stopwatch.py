"""Where a role's time goes, by a clock that the test winds."""

from __future__ import annotations

import time

import numpy as np
import pytest

from actorrl.rl.catch import Catch
from actorrl.rl.dqn import DQNConfig
from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.lanes import InlineLanes
from actorrl.rl.practice import Practice
from actorrl.rl.stopwatch import PERIOD, SPANS, WINDOW, Stopwatch


class Wound:
    """A clock that goes when it is told to."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def a_slice(watch: Stopwatch, clock: Wound, **phases: float) -> None:
    watch.begin()
    for phase, seconds in phases.items():
        clock.now += seconds
        watch.mark(phase)
    watch.end()


def test_time_is_booked_by_phase_and_between_slices_a_role_is_idle():
    clock = Wound()
    watch = Stopwatch("agent", clock)

    a_slice(watch, clock, inference=0.01, update=0.02)
    clock.now += 0.03
    a_slice(watch, clock, update=0.01)

    times = watch.take()
    assert times is not None and times.role == "agent"
    assert times.phases == pytest.approx({"inference": 0.01, "update": 0.03})
    assert (times.end - times.start, times.busy, times.timed) == pytest.approx((0.07, 0.04, 0.04))
    assert [span.phase for span in times.spans] == ["inference", "update", "update"]
    assert watch.take() is None


def test_a_first_slice_in_which_nothing_is_done_leaves_the_phases_of_the_next_to_be_timed():
    clock = Wound(WINDOW + 0.1)
    watch = Stopwatch("agent", clock)

    a_slice(watch, clock)
    clock.now += 0.01
    a_slice(watch, clock, update=0.02)
    clock.now += 0.01
    a_slice(watch, clock, update=0.04)

    times = watch.take()
    assert times is not None and times.phases == pytest.approx({"update": 0.02})


def test_outside_the_window_only_slices_are_timed():
    clock = Wound()
    watch = Stopwatch("agent", clock)
    a_slice(watch, clock, update=0.01)
    watch.take()

    clock.now = WINDOW + 0.2
    a_slice(watch, clock, update=0.5)

    times = watch.take()
    assert times is not None
    assert (times.busy, times.timed, times.phases, times.spans) == (pytest.approx(0.5), 0, {}, [])


def test_a_role_whose_slices_never_begin_in_a_window_is_timed_nevertheless():
    clock = Wound(WINDOW + 0.1)
    watch = Stopwatch("trainer", clock)

    for _ in range(10):
        a_slice(watch, clock, update=PERIOD)

    times = watch.take()
    assert times is not None and times.timed > 3 * PERIOD


def test_what_is_kept_of_a_window_is_bounded_and_what_is_booked_is_not():
    clock = Wound()
    watch = Stopwatch("agent", clock)

    watch.begin()
    for _ in range(10 * SPANS):
        clock.now += 1e-6
        watch.mark("inference")
    watch.end()

    times = watch.take()
    assert times is not None and len(times.spans) == SPANS
    assert times.phases["inference"] == pytest.approx(10 * SPANS * 1e-6)


def test_taken_in_the_midst_of_a_slice_nothing_is_lost_and_nothing_counts_twice():
    clock = Wound()
    watch = Stopwatch("explorer", clock)
    watch.begin()
    clock.now += 0.01
    watch.mark("inference")
    first = watch.take()
    clock.now += 0.02
    watch.mark("sending")
    watch.end()
    second = watch.take()

    assert first is not None and second is not None
    assert (first.busy, second.busy) == pytest.approx((0.01, 0.02))
    assert first.end == second.start
    assert second.phases == pytest.approx({"sending": 0.02})


def test_nothing_is_timed_before_a_slice_has_begun():
    watch = Stopwatch()

    watch.mark("inference")
    watch.end()

    assert not watch.on and watch.take() is None


def practised(watch: Stopwatch | None) -> tuple[Practice, list[np.ndarray]]:
    environments = LocalEnvironments([Catch])
    spaces = environments.spaces()
    lanes = InlineLanes([environments], [0])
    practice = Practice.of_parts(DQNConfig(learning_starts=20, batch_size=8).build(*spaces, seed=0), lanes, seed=0)
    if watch is not None:
        practice.timed_by(watch)
        watch.begin()
    while practice.steps < 60 or not practice.settled:
        practice.advance(60 - practice.steps)
    if watch is not None:
        watch.end()
    weights = practice.parts.learner.get_weights()
    return practice, [weights[name].copy() for name in sorted(weights)]


def test_exploring_and_learning_are_timed_whole_and_the_numbers_are_the_same():
    clock = Stopwatch("agent", lambda: time.perf_counter() - began)
    began = time.perf_counter()

    _, timed = practised(clock)
    _, plain = practised(None)

    times = clock.take()
    assert times is not None
    assert set(times.phases) == {"environment step", "inference", "recording", "sampling", "update", "weights"}
    assert sum(times.phases.values()) == pytest.approx(times.busy, rel=0.05)
    for one, other in zip(timed, plain, strict=True):
        np.testing.assert_array_equal(one, other)
