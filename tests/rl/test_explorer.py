"""The loop that steps environments: counts, limits, memory, lost environments, the same numbers twice."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from playing import play
from rl_toys import Collected, Constant, Counting, Script, Shuffled

from actorrl.rl import seeding
from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.explorer import Explorer
from actorrl.rl.lanes import Arrival, InlineLanes
from actorrl.rl.nouns import Stepped
from actorrl.rl.windows import NStepWindow

ENDLESS = [([1.0] * 1000, False, True)]
SHORT = [([1.0, 2.0], True, False), ([5.0], False, True)]


def scripts(count: int, episodes=ENDLESS) -> list[LocalEnvironments]:
    return [LocalEnvironments([lambda i=i: Script(episodes, i)]) for i in range(count)]


def test_a_plain_environments_object_is_stepped_inline():
    explorer = Explorer(LocalEnvironments([lambda: Script(SHORT)]), Constant())

    progress = explorer.advance(3)

    assert progress.steps == 3
    assert [(e.return_, e.length, e.terminated) for e in progress.episodes] == [(3.0, 2, True), (5.0, 1, False)]


def test_an_environments_object_needs_no_more_than_reset_and_step():
    class Two:
        def reset(self, seeds):
            return np.zeros((2, 1), np.float32)

        def step(self, actions):
            zero = np.zeros(2, np.float32)
            return Stepped(np.zeros((2, 1), np.float32), zero, zero > 0, zero > 0, {})

    assert Explorer(Two(), Constant()).advance(4).steps == 4


def test_the_limit_is_met_exactly_whoever_answers_first():
    environments = scripts(4)
    explorer = Explorer(Shuffled(environments, np.random.default_rng(0)), Constant(), limit=30)

    while explorer.advance(7).steps:
        pass

    assert explorer.steps == explorer.chosen == 30
    assert sum(len(e._environments[0].actions) for e in environments) == 30


def test_a_raised_limit_goes_on_where_it_stopped():
    explorer = Explorer(InlineLanes(scripts(2)), Constant(), limit=4)
    explorer.advance(100)

    explorer.limit = 10

    assert explorer.advance(100).steps == 6


def test_a_policy_is_asked_for_all_that_answered_together_and_told_the_steps_taken_before():
    policy = Constant()

    Explorer(InlineLanes(scripts(3)), policy, limit=9).advance(9)

    assert policy.asked == [(0, 3), (3, 3), (6, 3)]


def test_memory_of_a_policy_starts_afresh_with_each_episode_and_only_there():
    environments = scripts(2, SHORT)
    Explorer(Shuffled(environments, np.random.default_rng(1)), Counting(), limit=40).advance(40)

    for environment in environments:
        actions = environment._environments[0].actions
        assert actions == [0, 1, 0] * (len(actions) // 3) + [0, 1, 0][: len(actions) % 3]


def test_returns_are_raw_sums_per_environment():
    explorer = Explorer(InlineLanes(scripts(2, SHORT)), Constant())

    episodes = explorer.advance(12).episodes

    assert [e.return_ for e in episodes if e.environment == 1] == [3.0, 5.0, 3.0, 5.0]


class Losing(InlineLanes):
    """Loses lane 0 once, in mid-step."""

    lost = False

    def send(self, lane, actions):
        super().send(lane, actions)
        if lane == 0 and not self.lost and self._answers[-1].stepped.observation[0][1] == 3:
            self.lost = True
            self._answers[-1] = Arrival(0, self._environments[0].reset(None))


def test_a_lost_environment_ends_its_window_and_its_step_is_not_counted():
    environments, sink = scripts(2), Collected()
    explorer = Explorer(Losing(environments), Constant(), sink, window=NStepWindow(3, 1.0), limit=20)

    explorer.advance(20)

    assert explorer.steps == 20
    taken = sum(len(e._environments[0].actions) for e in environments)
    assert taken == 21, "the lost step was taken again"
    rows = sink.rows
    before = rows[(rows["observation"][:, 2] == 0) & (rows["observation"][:, 0] == 0)]
    assert before["observation_next"][:, 1].max() == 2, "rows end at the last observation that arrived"
    for row in rows:
        assert row["observation"][0] == row["observation_next"][0], "no row crosses the loss"


def test_parameters_are_pulled_at_the_start_of_each_advance():
    class Weights(Constant):
        def set_weights(self, weights, version):
            self.got = (weights, version)

    class Source:
        def newer_than(self, version):
            return None if version >= 5 else ({"w": np.ones(1)}, 5)

    policy = Weights()
    explorer = Explorer(InlineLanes(scripts(1)), policy, None, Source())
    explorer.advance(1)

    assert policy.got[1] == 5
    policy.got = None
    explorer.advance(1)
    assert policy.got is None


def test_one_slice_ends_in_time_even_where_much_was_asked(monkeypatch):
    now = iter(range(10**6))
    monkeypatch.setattr("actorrl.rl.explorer.time.perf_counter", lambda: next(now) * 0.03)

    progress = Explorer(InlineLanes(scripts(1)), Constant()).advance(10**9)

    assert 1 <= progress.steps <= 4


def test_each_environment_plays_its_share_of_an_evaluation():
    long, short = [([1.0] * 50, True, False)], [([1.0], True, False)]
    environments = LocalEnvironments([lambda: Script(short), lambda: Script(long)])

    episodes = play(environments, Constant(), 5)

    assert sorted(e.length for e in episodes) == [1, 1, 1, 50, 50]


def test_the_same_seed_gives_the_same_steps():
    def run(seed):
        sink = Collected()
        environments = [LocalEnvironments([lambda: gymnasium.make("CartPole-v1")] * 2)]
        lanes = InlineLanes(environments, seeding.environment_seeds(seed, 2))
        Explorer(lanes, Random(), sink, seed=seeding.generator(seed, seeding.EXPLORER)).advance(200)
        return sink.rows

    class Random(Constant):
        def act(self, observations, state, step, *, explore, rng):
            acted = super().act(observations, state, step, explore=explore, rng=rng)
            return acted._replace(action=rng.integers(0, 2, len(observations)))

    assert (run(3) == run(3)).all()
    assert not np.array_equal(run(3)["observation"][:50], run(4)["observation"][:50])


def test_seeds_must_be_one_per_environment():
    with pytest.raises(ValueError, match="expected 2 seeds, one per environment, found 1"):
        Explorer(InlineLanes([LocalEnvironments([lambda: Script(SHORT)] * 2)], [1]), Constant()).advance(1)


def test_no_environment_waits_for_a_slow_one_not_even_at_the_start():
    class OneSlow(InlineLanes):
        """Lane 0 answers nothing until lane 1 has taken five steps."""

        def receive(self):
            taken = len(self._environments[1]._environments[0].actions)
            ready = [a for a in self._answers if a.lane == 1 or taken >= 5]
            self._answers = [a for a in self._answers if a not in ready]
            return ready

    explorer = Explorer(OneSlow(scripts(2)), Constant(), limit=20)

    assert explorer.advance(5).steps == 5
    assert explorer.advance(100).steps == 15
