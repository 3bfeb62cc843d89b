"""What a person looks at: the progress line and the learning curve."""

from __future__ import annotations

import numpy as np

from actorrl.training import curve
from actorrl.training.progress import ProgressLine, duration
from actorrl.training.run_directory import Metrics
from actorrl.training.stopping import StopPlan


def test_durations_are_said_as_people_say_them():
    assert [duration(s) for s in (0.4, 7, 83, 3600 + 62)] == ["0:00", "0:07", "1:23", "1:01:02"]


def test_the_progress_line_says_all_it_should_now_and_then(capfd):
    now = [100.0]
    with ProgressLine(10_000, clock=lambda: now[0]) as line:
        line.update(0, {})
        now[0] += 5
        line.update(1_000, {"episodes": 1})
        now[0] += 11
        line.update(4_000, {"episodes": 1234, "return_100": 56.78, "epsilon": 0.25})

    shown = capfd.readouterr().err.strip().splitlines()
    assert shown == ["4,000/10,000 steps · 273 steps/s · 1,234 episodes · return 56.8 · ε 0.25 · 0:22 left"]


def test_time_left_is_what_is_given_where_steps_would_take_longer(capfd):
    now = [0.0]
    plan = StopPlan(minutes=1, seconds=90)
    with ProgressLine(10_000, clock=lambda: now[0]) as line:
        for at in (1.0, 16.0, 32.0):
            now[0] = at
            line.update(int(100 * at), {}, plan.left(at))

    assert [shown[-9:] for shown in capfd.readouterr().err.strip().splitlines()] == ["0:44 left", "0:28 left"]
    assert (StopPlan().left(5.0), StopPlan(seconds=3).left(5.0)) == (None, 0.0)


def test_smoothing_keeps_the_mean_of_a_line_and_the_ends():
    line = np.arange(100.0)

    np.testing.assert_allclose(curve.smoothed(line), line)
    assert curve.smoothed(np.array([])).shape == (0,)
    assert curve.smoothed(np.array([3.0])).tolist() == [3.0]
    assert curve.smoothed(np.tile([0.0, 2.0], 100)).std() < 0.3


def test_a_curve_can_be_drawn_of_a_run_without_an_episode():
    metrics = Metrics()
    metrics.put(10, {"episodes": 0.0})

    figure = curve.draw(metrics.arrays(), "title")

    assert figure.axes[0].get_xlabel() == "environment steps"


def test_metrics_are_written_whole_and_read_back(tmp_path):
    metrics = Metrics(tmp_path / "metrics.csv")
    metrics.put(20, {"loss": 3e-8, "episodes": 2})
    metrics.put(10, {"episodes": 1})
    metrics.put(20, {"evaluation_return": 9.5})
    metrics.write()

    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert lines[0].startswith("steps,seconds,steps_per_second,episodes,")
    again = Metrics.read(tmp_path / "metrics.csv").arrays()
    assert again["steps"].tolist() == [10, 20]
    assert np.isnan(again["loss"][0]) and again["loss"][1] == 3e-8
    assert again["evaluation_return"][1] == 9.5
