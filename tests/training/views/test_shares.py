"""What the report makes of a timeline: shares of time that add up."""

from __future__ import annotations

import numpy as np
import pytest

from actorrl.training.views.shares import columns, grouped, shown


def slowly(bins, seconds: float, count: int) -> dict[str, np.ndarray]:
    """The same by asking at many moments what was done there; every bin is timed."""
    moments = (np.arange(count * 2_000) + 0.5) / (count * 2_000) * seconds
    found: dict[str, np.ndarray] = {}
    for start, end, busy, timed, phases in bins:
        inside = ((moments >= start) & (moments < end)).reshape(count, -1).mean(1)
        for phase, value in phases.items():
            found[phase] = found.get(phase, np.zeros(count)) + inside * busy / (end - start) * value / timed
    return found


def test_shares_are_those_that_one_finds_by_looking_at_many_moments():
    rng = np.random.default_rng(0)
    edges = np.sort(rng.uniform(0, 10, 40))
    bins = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        busy = (end - start) * rng.uniform(0.2, 1)
        update = busy * rng.uniform(0, 1)
        bins.append((start, end, busy, busy, {"update": update, "inference": busy - update}))

    fast, slow = columns(bins, 10.0, 16), slowly(bins, 10.0, 16)

    assert fast.keys() == slow.keys()
    for phase in fast:
        np.testing.assert_allclose(fast[phase], slow[phase], atol=2e-3)


def test_what_was_not_timed_is_divided_like_what_was():
    bins = [(0, 1, 1.0, 0.5, {"update": 0.4, "inference": 0.1}), (1, 2, 1.0, 0.0, {})]

    shares = columns(bins, 2.0, 2)

    assert shares["update"] == pytest.approx([0.8, 0.8])
    assert shares["inference"] == pytest.approx([0.2, 0.2])


def test_busy_time_that_no_phase_claims_is_other_time():
    shares = columns([(0, 1, 0.5, 0.5, {"update": 0.25})], 1.0, 1)

    assert {phase: float(part[0]) for phase, part in shares.items()} == pytest.approx({"update": 0.25, "other": 0.25})


def test_a_role_of_which_nothing_was_timed_is_busy_with_something():
    assert columns([(0, 1, 0.5, 0.0, {})], 1.0, 1)["other"] == pytest.approx([0.5])


def test_many_roles_of_a_kind_are_shown_as_their_mean_and_the_order_is_always_the_same():
    def role(name: str, busy: float) -> dict:
        return {"role": name, "bins": [[0, 4, busy, busy, {"environment step": busy}]], "windows": []}

    roles = [role(f"environment {i}", i % 2 * 4.0) for i in range(12)] + [role("agent", 1), role("runner", 1)]

    assert [name for name, _ in grouped(roles)] == ["runner", "agent", "12 environments, mean"]
    told = shown({"seconds": 4.0, "roles": roles})
    assert told["roles"][2]["total"] == {"environment step": 0.5}


def test_windows_of_roles_that_began_together_are_one():
    def role(name: str, *starts: float) -> dict:
        return {"role": name, "bins": [], "windows": [[["update", at, at + 0.01]] for at in starts]}

    told = shown({"seconds": 5.0, "roles": [role("agent", 1.61, 2.4), role("runner", 1.58, 2.45)]})

    assert [[window["at"] for window in one["windows"]] for one in told["roles"]] == [[1.58, 2.4], [1.58, 2.4]]
