"""Exploring and learning in one process: which updates fall due, slices that change nothing, state."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rl_toys import Constant, Script

from actorrl.rl import seeding
from actorrl.rl.cadence import Updates
from actorrl.rl.dqn import DQNConfig
from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.lanes import InlineLanes
from actorrl.rl.nouns import Cadence, Parts, Updated
from actorrl.rl.practice import Practice
from actorrl.rl.tables import ReplayTable


class Counter:
    """A learner that counts, and whose weights are its count."""

    def __init__(self):
        self.updates, self.sizes = 0, []

    def update(self, batch):
        self.updates += 1
        self.sizes.append(len(batch["reward"]))
        return Updated({"loss": float(self.updates)})

    def get_weights(self):
        return {"count": np.array(self.updates)}

    def state_dict(self):
        return {"count": self.updates}

    def load_state_dict(self, state):
        self.updates = int(state["count"])


class Told(Constant):
    def __init__(self):
        super().__init__()
        self.weights = []

    def set_weights(self, weights, version):
        self.weights.append((int(weights["count"]), version))


def counting(cadence: Cadence) -> Parts:
    return Parts(Told(), Counter(), ReplayTable(100, np.random.default_rng(0)), cadence)


def due(cadence: Cadence, steps: int) -> int:
    """The updates of a plain loop: after each step, a burst where the step count says so."""
    return sum(
        cadence.gradient_steps
        for step in range(1, steps + 1)
        if step >= cadence.learning_starts and step % cadence.train_freq == 0
    )


@given(st.integers(0, 30), st.integers(1, 9), st.integers(1, 4), st.lists(st.integers(1, 6), max_size=20))
def test_the_updates_due_are_those_of_a_plain_loop_however_steps_come_in(starts, freq, gradient_steps, arrivals):
    cadence = Cadence(starts, freq, gradient_steps)
    updates, steps = Updates(counting(cadence)), 0
    for count in arrivals:
        until = updates.steps_until_due(steps)
        assert due(cadence, steps + until - 1) == due(cadence, steps), "not too late"
        steps += count
        updates.steps_taken(steps)
        assert updates.owed == due(cadence, steps)


def test_every_update_owed_is_done_and_its_weights_reach_the_policy():
    parts = counting(Cadence(10, 4, 3, 16))
    environments = LocalEnvironments([lambda: Script([([1.0] * 50, False, True)])])

    practice = Practice.of_parts(parts, environments, seed=0, limit=40)
    while not practice.done:
        practice.advance(7)

    assert practice.steps == 40
    assert parts.learner.updates == due(parts.cadence, 40) == 24
    assert set(parts.learner.sizes) == {16}
    assert parts.policy.weights[0] == (0, 0) and parts.policy.weights[-1] == (24, 24)
    assert practice.metrics() == {"loss": 24.0, "updates": 24.0}


def learn(slices: int) -> dict[str, np.ndarray]:
    config = DQNConfig(learning_starts=50, total_steps=300, hidden_sizes=(16,), train_freq=8, gradient_steps=5)
    make = lambda: gymnasium.make("CartPole-v1")  # noqa: E731
    parts = config.build(make().observation_space, make().action_space, 0)
    lanes = InlineLanes([LocalEnvironments([make]) for _ in range(2)], seeding.environment_seeds(0, 2))
    practice = Practice.of_parts(parts, lanes, seed=0, limit=300)
    while not practice.done:
        practice.advance(slices)
    return practice.state_dict()


def test_how_the_work_is_sliced_changes_no_number():
    whole, cut = learn(10**6), learn(2)

    assert whole.keys() == cut.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(value, cut[name], err_msg=name)


def test_a_slice_ends_in_time_and_leaves_the_rest_owed(monkeypatch):
    now = iter(range(10**6))
    monkeypatch.setattr("actorrl.rl.practice.time.perf_counter", lambda: next(now) * 0.01)
    parts = counting(Cadence(0, 2, 100))
    practice = Practice.of_parts(
        parts, LocalEnvironments([lambda: Script([([1.0] * 50, False, True)])]), seed=0, limit=2
    )

    practice.advance(2)

    assert not practice.done
    assert 0 < parts.learner.updates <= 10
    while not practice.done:
        practice.advance(10)
    assert parts.learner.updates == 100


def test_state_is_flat_plain_and_comes_back():
    parts = counting(Cadence(0, 1, 1))
    practice = Practice.of_parts(
        parts, LocalEnvironments([lambda: Script([([1.0] * 50, False, True)])]), seed=0, limit=9
    )
    practice.advance(9)
    state = practice.state_dict()
    other = counting(Cadence(0, 1, 1))
    again = Practice.of_parts(other, LocalEnvironments([lambda: Script([([1.0] * 50, False, True)])]), seed=0, limit=12)

    again.load_state_dict(state)
    again.advance(100)

    assert again.steps == 12
    assert other.learner.updates == 12
    assert other.policy.asked[0][0] == 9, "schedules go on where they stood"


def test_a_table_that_has_nothing_yet_owes_nothing():
    parts = counting(Cadence(0, 1, 1))
    updates = Updates(parts)
    updates.steps_taken(3)

    updates.one()

    assert (updates.owed, updates.count) == (0, 0)


def test_roles_have_generators_of_their_own():
    draws = {
        (role, i): seeding.generator(0, role, i).integers(1 << 60)
        for role in (seeding.ENVIRONMENT, seeding.EXPLORER, seeding.LEARNER, seeding.EVALUATION, seeding.TABLE)
        for i in range(3)
    }

    assert len(set(draws.values())) == len(draws)
    assert seeding.environment_seeds(5, 4)[2:] == seeding.environment_seeds(5, 2, first=2)
    assert seeding.integer(5, 0) == seeding.integer(5, 0) != seeding.integer(6, 0)
    assert seeding.integer(None, 0) != pytest.approx(seeding.integer(None, 0))
