"""The wrappers of `gymnasium.make`, done for k environments at once: nothing may be seen of it but the time."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import OrderEnforcing, TimeLimit
from hypothesis import given
from hypothesis import strategies as st
from rl_toys import Script

from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.time_limits import NEVER, TimeLimits, peeled

LIMITS = st.lists(st.integers(1, 5), max_size=3)
ENDS = st.lists(st.sampled_from([None, None, None, "terminated", "truncated"]), min_size=30, max_size=30)


def wrapped(ends: list[str | None], limits: list[int]) -> gymnasium.Env:
    """Steps that end as told, under an OrderEnforcing and so many TimeLimits."""
    environment: gymnasium.Env = OrderEnforcing(Steps(ends))
    for limit in limits:
        environment = TimeLimit(environment, limit)
    return environment


class Steps(gymnasium.Env):
    """Counts its steps over all episodes; each ends as a script says."""

    observation_space = gymnasium.spaces.Box(0, 100, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, ends: list[str | None]) -> None:
        self.ends, self.steps = ends, 0

    def _observed(self) -> np.ndarray:
        return np.array([self.steps], np.float32)

    def reset(self, *, seed=None, options=None):
        return self._observed(), {}

    def step(self, action):
        end = self.ends[self.steps]
        self.steps += 1
        return self._observed(), float(self.steps), end == "terminated", end == "truncated", {}


@given(st.lists(st.tuples(ENDS, LIMITS), min_size=1, max_size=3), st.integers(1, 28))
def test_episodes_end_as_under_their_wrappers(made, again):
    ours = LocalEnvironments([lambda m=m: wrapped(*m) for m in made])
    theirs = [wrapped(*m) for m in made]
    ours.reset(), [environment.reset() for environment in theirs]
    for t in range(30):
        if t == again:  # in the midst of episodes
            ours.reset(), [environment.reset() for environment in theirs]
        stepped = ours.step([0] * len(made))
        for i, environment in enumerate(theirs):
            observation, reward, terminated, truncated, _ = environment.step(0)
            truncated = truncated and not terminated
            assert (stepped.terminated[i], stepped.truncated[i]) == (terminated, truncated), f"step {t}"
            assert stepped.reward[i] == reward
            assert (i in stepped.final_observation) == (terminated or truncated)
            if terminated or truncated:
                assert stepped.final_observation[i] == observation
                environment.reset()


def test_what_gymnasium_makes_is_stepped_bare():
    environment = gymnasium.make("CartPole-v1", disable_env_checker=True)

    assert peeled(environment) == (environment.unwrapped, 500)


class Counted(TimeLimit):
    """Knows something of steps that nobody else does."""


def test_a_class_that_extends_a_wrapper_stays():
    environment = Counted(Script([([1.0] * 5, True, False)]), 2)

    assert peeled(environment) == (environment, NEVER)


def test_a_wrapper_around_the_limit_stays_and_so_does_the_limit():
    environment = gymnasium.wrappers.TimeAwareObservation(TimeLimit(Script([([1.0] * 9, True, False)]), 3))

    assert peeled(environment) == (environment, NEVER)
    environments = LocalEnvironments([lambda: environment])
    environments.reset()
    assert [environments.step([0]).truncated.tolist() for _ in range(6)] == [[False], [False], [True]] * 2


def test_a_step_before_the_first_reset_is_refused_as_ever():
    environments = LocalEnvironments([lambda: gymnasium.make("CartPole-v1", disable_env_checker=True)])

    with pytest.raises(gymnasium.error.ResetNeeded):
        environments.step([0])


def test_a_step_that_somebody_has_put_on_a_wrapper_is_taken():
    environment = TimeLimit(OrderEnforcing(Steps([None] * 9)), 3)
    as_made = environment.step

    def doubled(action):
        observation, reward, *rest = as_made(action)
        return observation, 2 * reward, *rest

    environment.step = doubled
    environments = LocalEnvironments([lambda: environment])
    environments.reset()

    stepped = [environments.step([0]) for _ in range(6)]

    assert [one.reward.item() for one in stepped] == [2, 4, 6, 8, 10, 12]
    assert [one.truncated.item() for one in stepped] == [False, False, True] * 2


class Changing(Steps):
    """Each of its episodes has a step of its own."""

    episodes = 0

    def reset(self, *, seed=None, options=None):
        self.episodes += 1
        number = float(self.episodes)
        self.step = lambda action: (self._observed(), number, True, False, {})
        return super().reset()


def test_an_environment_may_change_its_step_from_episode_to_episode():
    environments = LocalEnvironments([lambda: TimeLimit(Changing([]), 5)])
    environments.reset()

    assert [environments.step([0]).reward.item() for _ in range(4)] == [1, 2, 3, 4]


def test_a_limit_that_is_changed_holds_from_the_next_episode_on():
    environment = TimeLimit(Steps(["terminated"] + [None] * 30), 9)
    environments = LocalEnvironments([lambda: environment])
    environments.reset()
    environment._max_episode_steps = 2

    assert environments.step([0]).terminated
    assert [t for t in range(1, 7) if environments.step([0]).truncated] == [2, 4, 6]


class Looked(list):
    """Counts how often all of it is looked through."""

    looks = 0

    def __iter__(self):
        Looked.looks += 1
        return super().__iter__()


def test_a_thousand_that_end_together_are_looked_through_a_few_times_and_not_a_thousand():
    limits = TimeLimits([5] * 1_000)
    limits._until = Looked(limits._until)

    for _ in range(5):
        truncations = limits.step([False] * 1_000)
    for i in range(1_000):
        limits.begin(i, 5)

    assert all(truncations) and not any(limits.step([False] * 1_000))
    assert 0 < Looked.looks < 10
