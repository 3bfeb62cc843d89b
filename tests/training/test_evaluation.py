"""Evaluation: its own environments and numbers, shares per environment, and nobody is best by luck."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.spaces import Discrete
from small_agents import Counting, Recorder

from actorrl.rl.nouns import Acted
from actorrl.training import selection as selection_module
from actorrl.training.environment_source import EnvironmentSource
from actorrl.training.evaluation import Evaluation, EvaluationPlan, Evaluator, Player
from actorrl.training.roles import Snapshot
from actorrl.training.selection import Selection


class Still:
    """Always pushes left; remembers the first observations it saw."""

    def __init__(self):
        self.first = None

    def initial_state(self, B):
        return ()

    def act(self, observations, state, step, *, explore, rng):
        assert not explore
        if self.first is None:
            self.first = np.array(observations)
        return Acted(np.zeros(len(observations), np.int64), state, {})


def evaluator(env="CartPole-v1", seed=0, **options):
    source = EnvironmentSource(env)
    from actorrl.rl.spaces import Encoder

    return Evaluator(source, Encoder(source.spaces()[0]), seed, **options)


def test_so_many_episodes_are_played_and_their_returns_are_raw():
    result = evaluator().audition(Player(Still(), None, True), 13).finish()

    assert result.returns.shape == result.lengths.shape == (13,)
    assert result.returns.min() >= 8 and result.returns.max() <= 11, "CartPole pushed left falls after 8 to 10 steps"


@pytest.mark.parametrize("episodes", [1, 3, 12])
def test_what_is_shown_are_the_episodes_that_are_played_where_nobody_looks(episodes):
    player = Player(Still(), None, True)
    played = evaluator().audition(player, episodes).finish()
    shown = evaluator(render="rgb_array").shown(player, episodes)

    assert len(shown.returns) == episodes and shown.greedy
    assert shown.returns.tolist() == played.returns.tolist() and shown.lengths.tolist() == played.lengths.tolist()
    assert str(shown) == str(played)


def test_every_audition_is_fresh_and_the_same_for_the_same_seed():
    one, other = evaluator(), evaluator()
    seen = []
    for source in (one, one, other):
        player = Player(Still(), None, True)
        source.audition(player, 5).finish()
        seen.append(player.policy.first.tolist())

    assert seen[0] != seen[1]
    assert seen[0] == seen[2]


def test_each_environment_plays_its_own_share():
    audition = evaluator(lambda: Counting(4)).audition(Player(Still(), None, True), 12)

    assert audition._shares == [3, 3, 2, 2, 2]
    assert audition.finish().returns.tolist() == [4.0] * 12


def test_an_audition_without_time_ends_after_an_episode_per_environment():
    result = evaluator(lambda: Counting(300)).audition(Player(Still(), None, True), 100, patience=0.0).finish()

    assert len(result.returns) == 5


def test_a_bare_agent_explores_in_evaluation_only_if_it_cannot_do_otherwise():
    class Greedy(Recorder):
        def greedy_action(self, observation):
            return 1

    assert Player.of_agent(Greedy(Discrete(2)), Discrete(2)).greedy
    assert not Player.of_agent(Recorder(Discrete(2)), Discrete(2)).greedy


def test_the_global_generators_go_on_as_if_nothing_had_been_played():
    class Drawing(Recorder):
        def get_action(self, observation, step):
            return int(np.random.random() < 0.5)

    np.random.seed(1)
    expected = np.random.random()
    np.random.seed(1)

    source = EnvironmentSource("CartPole-v1")
    results = [
        Evaluator(source, None, 0).audition(Player.of_agent(Drawing(Discrete(2)), Discrete(2)), 5).finish()
        for _ in range(2)
    ]

    assert np.random.random() == expected
    assert results[0].returns.tolist() == results[1].returns.tolist()


class Scripted:
    """An evaluator whose auditions have the results it is told."""

    def __init__(self, *means):
        self.means, self.asked = list(means), []

    def audition(self, player, episodes, patience=float("inf")):
        self.asked.append(episodes)
        return self

    def state_dict(self):
        return {}

    seconds = 0.0

    def advance(self):
        self.result = Evaluation(self.means.pop(0))
        return True


def judged(evaluator, count):
    selection = Selection(evaluator, EvaluationPlan(episodes=10, confirm=50), lambda snapshot: snapshot)
    for steps in range(count):
        selection.submit(Snapshot(steps, None, None), 0.0)
    verdicts = []
    while selection.busy:
        if (verdict := selection.advance()) is not None:
            verdicts.append(verdict)
    return verdicts


def test_a_candidate_becomes_best_only_after_fifty_fresh_episodes():
    scripted = Scripted(20.0, 15.0, 14.0, 30.0, 12.0, 16.0, 16.5)

    verdicts = judged(scripted, 4)

    assert scripted.asked == [10, 50, 10, 10, 50, 10, 50]
    assert [verdict.best for verdict in verdicts] == [True, False, False, True]
    assert verdicts[1].confirmed is None
    assert float(verdicts[3].confirmed) == 16.5


@pytest.mark.parametrize(("last", "best"), [(False, [True, False]), (True, [True, True])])
def test_of_equally_good_ones_the_last_of_all_is_best(last, best):
    selection = Selection(Scripted(20.0, 15.0, 15.0, 15.0), EvaluationPlan(), lambda snapshot: snapshot)
    selection.submit(Snapshot(1, None, None), 0.0)
    selection.submit(Snapshot(2, None, None), 0.0, last=last)

    verdicts = []
    while selection.busy:
        if (verdict := selection.advance()) is not None:
            verdicts.append(verdict)

    assert [verdict.best for verdict in verdicts] == best


def test_when_evaluation_eats_the_time_only_the_last_snapshot_is_judged(monkeypatch):
    monkeypatch.setattr(selection_module, "FREE_SECONDS", 1.0)
    selection = Selection(Scripted(), EvaluationPlan(), lambda snapshot: snapshot)
    selection.seconds = 5.0

    selection.submit(Snapshot(1, None, None), 4.0)
    assert not selection.busy and selection.skipped == 1
    selection.submit(Snapshot(2, None, None), 4.0, last=True)
    assert selection.busy


@pytest.mark.parametrize(("steps", "every"), [(300, 1000), (100_000, 5_000), (20_000, 1_000)])
def test_evaluations_come_twenty_times_a_run_but_not_too_often(steps, every):
    assert EvaluationPlan().interval(steps) == every
    assert EvaluationPlan(every=70).interval(steps) == 70
