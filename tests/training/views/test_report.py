"""The report: what lies in the page, that it needs nothing else, and that a browser shows it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from pages import CHROMIUM, STEPS, a_run, an_episode, shown

from actorrl import QLearningConfig, train
from actorrl.cli.main import main
from actorrl.training.views import report

in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = a_run(tmp_path_factory.mktemp("report") / "run")
    return report.write(path, report.tree(path, recording=an_episode()))


def data_of(page: Path) -> dict:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page.read_text(), re.S)
    assert found is not None
    return json.loads(found.group(1))


def test_the_page_holds_curves_configuration_time_and_the_episode(page):
    told = data_of(page)

    assert told["title"] == "DQN on Catch-v0" and told["subtitle"] == "Central, 2 environments · seed 3 · run"
    assert told["facts"][0] == ["best return", "0.95", "confirmed, after 4,000 steps"]
    assert len(told["curve"]["x"]) == 60 and told["curve"]["evaluation"]["x"] == [2000, 4000, 6000]
    assert [one["name"] for one in told["others"]] == ["loss", "epsilon", "steps_per_second"]
    assert [role["role"] for role in told["timeline"]["roles"]] == ["agent", "environment 0", "environment 1"]
    assert len(told["episode"]["frames"]) == STEPS + 1


def test_a_setting_that_is_not_the_default_is_marked(page):
    agent = {key: (value, changed) for key, value, changed in dict(data_of(page)["config"])["agent"]}

    assert agent["learning_rate"] == ("0.002", True)
    assert agent["gamma"][1] is False and agent["name"] == ("dqn", False)


def test_the_page_needs_nothing_from_anywhere(page):
    text = page.read_text()

    assert not re.findall(r"""(?:src|href)=["'](?!#|data:)[^"']""", text)
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert not re.findall(r"@import|url\(|fetch\(|XMLHttpRequest|WebSocket|import\(|sendBeacon", text)


def test_what_a_run_is_called_cannot_become_a_script(tmp_path):
    path = a_run(tmp_path / "<img src=x>")
    content = report.tree(path) | {"title": "</title><script>alert(1)</script>", "episode_note": "</script><b>"}

    text = report.page(content)

    assert "<script>alert" not in text and "</script><b>" not in text and "<img src=x>" not in text


def test_a_run_that_has_only_just_begun_has_a_report_too(tmp_path):
    path = a_run(tmp_path / "run", rows=0)
    for name in ("timeline.json", "checkpoints/best/about.json"):
        (path / name).unlink()
    (path / "checkpoints" / "best").rmdir()

    told = report.tree(path)

    assert told["timeline"] is None and told["curve"]["x"] == [] and told["others"] == []


def test_the_speed_of_a_short_run_has_no_spikes_where_rows_came_together():
    seconds = np.repeat([0.5, 1.0, 1.5], 10)
    _, rate = report.speed({"steps": np.arange(10, 310, 10), "seconds": seconds})
    assert np.allclose(rate, 200.0)


def test_speed_is_told_over_parts_of_the_run_and_not_of_single_rows():
    bursts = {"steps": np.array([10, 20, 30, 40]), "seconds": np.array([1.0, 1.0, 2.0, 2.0])}
    at, rate = report.speed(bursts, parts=2)

    assert rate.mean() == pytest.approx(20) and at[-1] == 40


@pytest.mark.slow
def test_the_command_plays_an_episode_and_prints_the_path(tmp_path, capsys):
    run = train(QLearningConfig(), "FrozenLake-v1", steps=200, run_dir=tmp_path / "run")
    capsys.readouterr()

    assert main(["report", str(run.directory)]) == 0

    assert capsys.readouterr().out == f"{run.directory / 'report.html'}\n"
    told = data_of(run.directory / "report.html")
    assert told["episode"]["told"]["q"] and told["which"] == "best"
    assert main(["report", str(run.directory), "--no-episode", "--out", "other.html", "--which", "final"]) == 0
    assert data_of(Path("other.html"))["episode"] is None


def test_what_is_no_run_is_refused_in_words(tmp_path, capsys):
    a_run(tmp_path / "runs" / "one")

    assert main(["report", "nowhere"]) == 2
    assert "nowhere is not a run directory: there is no such directory" in capsys.readouterr().err
    assert main(["report", "runs"]) == 2
    assert "holds 1 of them: name these instead (runs/one)" in capsys.readouterr().err


def test_a_run_whose_environment_is_gone_has_a_report_without_an_episode(tmp_path, capsys):
    path = a_run(tmp_path / "run")
    text = (path / "config.yaml").read_text()
    (path / "config.yaml").write_text(text.replace("actorrl.rl.catch:Catch-v0", "gone_long_ago:Env-v0"))

    assert main(["report", str(path)]) == 0

    assert "No episode could be recorded" in capsys.readouterr().err
    assert "No episode could be recorded" in data_of(path / "report.html")["episode_note"]


@in_a_browser
@pytest.mark.slow
def test_a_browser_shows_every_section(page):
    document = shown(page, "?theme=dark#step=5")

    assert 'data-theme="dark"' in document
    assert '<h1 id="title">DQN on Catch-v0</h1>' in document
    assert document.count('class="fact"') == 6
    assert document.count("<svg") >= 1 + 2 + 2 + 3 + 1  # the curve, others, the episode's, strips, spans
    assert f"<b>5 / {STEPS}</b>" in document
    assert re.search(r'<img[^>]*class="coarse"[^>]*src="data:image/png', document)
    assert re.findall(r'<div class="share"><span>([^<]*)<', document) == ["agent", "environment 0", "environment 1"]
    assert "<b>0.002</b>" in document


@in_a_browser
@pytest.mark.slow
def test_buttons_and_keys_step_through_the_episode(page):
    script = """
      const seen = [], pictures = new Set();
      const now = () => {
        seen.push(document.querySelector(".now b").textContent.split(" /")[0]);
        pictures.add(document.querySelector(".picture img").src);
      };
      const press = (title) => { document.querySelector(`button[title="${title}"]`).click(); now(); };
      now();
      press("one step on");
      document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
      now();
      for (const title of ["last step", "one step on", "one step back", "first step"]) press(title);
      document.body.append(Object.assign(document.createElement("output"), { textContent: [...seen, pictures.size] }));
    """
    document = shown(page, script=script)

    assert f"<output>0,1,2,{STEPS},{STEPS},{STEPS - 1},0,5</output>" in document


@in_a_browser
@pytest.mark.slow
def test_light_is_shown_where_the_reader_asks_for_it_and_the_button_turns_it_dark(page):
    assert 'data-theme="light"' in shown(page, "?theme=light")
    assert 'data-theme="dark"' in shown(page, "?theme=light", script='document.getElementById("theme").click()')


def with_episode(path: Path, **changes) -> Path:
    """The page of a run whose episode is another one."""
    recording = an_episode()
    for name, value in changes.items():
        setattr(recording, name, value)
    run = a_run(path / "run")
    return report.write(run, report.tree(run, recording=recording))


@in_a_browser
@pytest.mark.slow
def test_without_pictures_and_without_values_the_numbers_are_shown(tmp_path):
    page = with_episode(tmp_path, frames={}, told={}, note="no pictures: it cannot draw itself")

    document = shown(page, "#step=4")

    assert "(No pictures: it cannot draw itself.)" in document
    assert 'class="picture"' not in document and f"<b>4 / {STEPS}</b>" in document
    assert '<span class="chosen">1</span>' in document  # the action
    assert "<code>4</code><code>0.5" in document  # the observation


@in_a_browser
@pytest.mark.slow
def test_of_several_choices_each_has_its_chosen_one_and_what_is_forbidden_says_so(tmp_path):
    names = ["0: 0", "0: 1", "1: 0", "1: 1", "1: 2"]
    probabilities = {"probabilities": [[0.25, 0.75, 0.1, 0.1, 0.8]] * STEPS}
    several = with_episode(tmp_path / "several", names=names, actions=[[1, 2]] * STEPS, told=probabilities)
    masked = with_episode(tmp_path / "masked", told={"q": [[None, 0.5, 0.2]] * STEPS}, actions=[1] * STEPS)

    assert re.findall(r'<span class="chosen">(.*?)</span>', shown(several)) == ["action 0: 1", "action 1: 2"]
    document = shown(masked)
    assert "<code>not allowed</code>" in document
    assert re.findall(r'<span class="chosen">(.*?)</span>', document) == ["action 1"]


@in_a_browser
@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "shown_as", "reach"),
    [
        ([101.25, 99.0, 100.5], ["101.3", "99.0", "100.5"], "bars reach from 98.8 to 101.4"),  # labelled, not from 0
        ([1.0, 0.123, 0.5], ["1.000", "0.123", "0.500"], "bars reach from 0.000 to 1.070"),
        ([-1.0, -8.5, -3.0], ["-1.000", "-8.500", "-3.000"], "bars reach from -9.100 to 0.000"),
    ],
)
def test_bars_say_how_far_they_reach_and_their_numbers_have_as_many_decimals_each(values, shown_as, reach, tmp_path):
    document = shown(with_episode(tmp_path, told={"q": [values] * STEPS}))

    bars = re.search(r'<div class="choices">(.*?)<p class="scale">(.*?)</p>', document, re.S)
    assert bars is not None and re.findall(r"<code>(.*?)</code>", bars[1]) == shown_as
    assert bars[2] == reach


@in_a_browser
@pytest.mark.slow
def test_the_best_has_a_star_in_the_legend_as_in_the_curve_and_ticks_share_a_unit(page):
    script = """
      document.body.append(Object.assign(document.createElement("output"), { textContent: labels([0, 5000, 10000]) }));
    """
    document = shown(page, script=script)

    assert re.search(r'<b style="color:[^"]*">★</b>best', document)
    assert "<output>0,5k,10k</output>" in document


@pytest.mark.parametrize("error", [RuntimeError, AttributeError, AssertionError, TypeError])
def test_an_episode_that_fails_leaves_a_report_that_says_why(error, tmp_path, capsys, monkeypatch):
    run = train(QLearningConfig(), "FrozenLake-v1", steps=60, run_dir=tmp_path / "run")

    def step(*arguments):
        raise error("no display\nat all")

    monkeypatch.setattr("gymnasium.envs.toy_text.frozen_lake.FrozenLakeEnv.step", step)
    assert main(["report", str(run.directory)]) == 0

    shown = capsys.readouterr()
    assert shown.out == f"{run.directory / 'report.html'}\n"
    assert f"actorrl: No episode could be recorded: {error.__name__}: no display at all\n" in shown.err
    assert error.__name__ in data_of(run.directory / "report.html")["episode_note"]
