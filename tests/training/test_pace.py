"""Steps per second of rows that come in bursts, by a clock of our own."""

from __future__ import annotations

import pytest

from actorrl.training.merging import Merged
from actorrl.training.pace import Pace
from actorrl.training.progress import ProgressLine
from actorrl.training.run_directory import RunDirectory
from actorrl.training.runner import Runner
from actorrl.training.selection import Selection


def test_two_bursts_a_millisecond_apart_have_the_rate_of_the_second_before_them():
    pace = Pace()
    rates = [pace.came(100 * i, 0.1 * i) for i in range(1, 31)]

    assert rates == pytest.approx([1_000.0] * 30)
    assert pace.came(3_100, 3.001) == pytest.approx(1_100, rel=0.01)


def test_rows_further_apart_than_the_window_have_the_rate_since_the_row_before():
    pace = Pace(500, 10.0)

    assert pace.came(500, 10.0) is None, "no time has gone by"
    assert pace.came(1_500, 30.0) == 50.0
    assert pace.came(2_500, 40.0) == 100.0
    assert pace.last == (2_500, 40.0)


def test_rows_of_one_slice_have_one_time_and_one_rate(tmp_path, monkeypatch):
    directory, nothing = RunDirectory.create(tmp_path / "run", "x"), Selection.__new__(Selection)
    runner = Runner(directory, nothing, ProgressLine(1_000), total=1_000)
    clock = iter([0.1, 0.101, 0.102])
    monkeypatch.setattr(runner, "_elapsed", lambda: next(clock))

    with runner.open():
        for together in ([100, 200, 300], [], [400, 500]):
            runner._book([Merged(steps, [], {}) for steps in together])

    written = runner.metrics.arrays()
    assert list(written["seconds"]) == [0.1, 0.1, 0.1, 0.102, 0.102]
    assert list(written["steps_per_second"]) == [3_000.0] * 3 + [4_902.0] * 2
