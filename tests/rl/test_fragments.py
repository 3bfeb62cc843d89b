"""Fragments against the steps they were made of."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from hypothesis import given, settings
from hypothesis import strategies as st

from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.episodes import EpisodeWindow
from actorrl.rl.explorer import Explorer
from actorrl.rl.finite import NotFinite
from actorrl.rl.fragments import Flawed, FragmentWindow, joined, next_values
from actorrl.rl.lanes import InlineLanes
from actorrl.rl.nouns import Acted, Stepped


class Counter:
    """Observes (episode, steps in it); ends after `limit` steps: every other episode terminated, else truncated."""

    def __init__(self, limit: int, masks: bool = False) -> None:
        self.observation_space = Box(0, 1000, (2,), np.float32)
        self.action_space = Discrete(3)
        self.limit, self.masks = limit, masks
        self.episode, self.t = -1, 0

    def info(self) -> dict[str, Any]:
        return {"action_mask": [1, self.t % 2, 1]} if self.masks else {}

    def reset(self, **_: Any) -> Any:
        self.episode, self.t = self.episode + 1, 0
        return np.array([self.episode, 0.0], np.float32), self.info()

    def step(self, action: int) -> Any:
        self.t += 1
        ended = self.t == self.limit
        even = self.episode % 2 == 0
        observation = np.array([self.episode, self.t], np.float32)
        return observation, float(action), ended and even, ended and not even, self.info()

    def close(self) -> None: ...


class Recording:
    """A policy that chooses at random and records what it chose."""

    version = 7

    def initial_state(self, B: int) -> tuple[()]:
        return ()

    def act(self, observations: Any, state: Any, step: int, *, explore: bool, rng: Any, action_mask: Any = None) -> Any:
        action = rng.integers(3, size=len(observations))
        return Acted(action, state, {"log_prob": -action.astype(np.float32), "drawn": action})

    def set_weights(self, weights: Any, version: int) -> None: ...


class Remembering(Recording):
    """What it chooses depends on how often it has acted in the episode: its state is [B, 1]."""

    def initial_state(self, B: int) -> Any:
        return np.zeros((B, 1))

    def act(self, observations: Any, state: Any, step: int, *, explore: bool, rng: Any, action_mask: Any = None) -> Any:
        action = (state[:, 0].astype(np.int64) + rng.integers(2, size=len(observations)) + step) % 3
        if action_mask is not None:
            action = np.where(action_mask[np.arange(len(action)), action], action, 0)
        return Acted(action, state + 1, {"log_prob": -action.astype(np.float32), "version": np.full(len(action), step)})


class Sink:
    def __init__(self) -> None:
        self.fragments: list[Any] = []

    def add(self, fragments: list[Any]) -> None:
        self.fragments += fragments


def ends_of(fragment: Any) -> dict[tuple[int, ...], list[float]]:
    indices, last = fragment["final_index"].tolist(), fragment["final_observation"].tolist()
    return {tuple(index): observation for index, observation in zip(indices, last, strict=True)}


def explored(limits: list[int], length: int, steps: int, masks: bool = False) -> list[Any]:
    policy, sink = Recording(), Sink()
    environments = LocalEnvironments([lambda limit=limit: Counter(limit, masks) for limit in limits])
    window = FragmentWindow(length, lambda: policy.version)
    explorer = Explorer(environments, policy, sink, seed=0, window=window, limit=steps)
    while explorer.steps < steps:
        explorer.advance(steps)
    return sink.fragments


@settings(max_examples=30)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=3), st.integers(1, 6), st.integers(1, 5))
def test_fragments_hold_every_step_in_order_with_the_true_ends(limits, length, count):
    k = len(limits)
    fragments = explored(limits, length, count * length * k)

    assert len(fragments) == count
    whole = {name: np.concatenate([f[name] for f in fragments]) for name in ("reward", "action", "log_prob")}
    np.testing.assert_array_equal(whole["reward"], whole["action"])
    np.testing.assert_array_equal(whole["log_prob"], -whole["action"])
    for i, limit in enumerate(limits):
        for t in range(count * length):
            fragment, at = fragments[t // length], t % length
            episode, step = divmod(t, limit)
            assert fragment["observation"][at, i].tolist() == [episode, step]
            ended = step == limit - 1
            assert bool(fragment["terminated"][at, i]) == (ended and episode % 2 == 0)
            assert bool(fragment["truncated"][at, i]) == (ended and episode % 2 == 1)
            true_next = fragment["observation"][at + 1, i]
            for (t_end, i_end), last in zip(fragment["final_index"], fragment["final_observation"], strict=True):
                if (t_end, i_end) == (at, i):
                    true_next = last
            assert true_next.tolist() == [episode, step + 1]
    for one, following in itertools.pairwise(fragments):
        np.testing.assert_array_equal(one["observation"][-1], following["observation"][0])


class Asked(InlineLanes):
    """A lane that does not say that its answers come at once, so that the explorer asks and waits as for an actor."""

    only = None


@settings(max_examples=30)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=3), st.integers(1, 6), st.integers(1, 20), st.booleans())
def test_a_lane_that_answers_at_once_gives_what_one_gives_that_is_asked(limits, length, advanced, masks):
    both = []
    for kind in (InlineLanes, Asked):
        policy, sink, episodes = Remembering(), Sink(), list[Any]()
        environments = LocalEnvironments([lambda limit=limit: Counter(limit, masks) for limit in limits])
        steps = 6 * length * len(limits)
        window = FragmentWindow(length)
        explorer = Explorer(kind([environments]), policy, sink, seed=0, window=window, limit=steps)
        while explorer.steps < steps:
            episodes += explorer.advance(advanced).episodes
        assert explorer.idle and explorer.dropped == 0
        both.append((sink.fragments, sorted(episodes)))

    (fragments, episodes), (others, their_episodes) = both
    assert len(fragments) == len(others) == 6
    assert episodes == their_episodes
    for one, other in zip(fragments, others, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def test_a_lane_with_a_pace_that_answers_at_once_hands_on_together_what_it_made_at_that_pace():
    added: list[Any] = []

    class Together(Sink):
        def add(self, fragments: list[Any]) -> None:
            added.append([len(fragment["reward"]) for fragment in fragments])

    environments = LocalEnvironments([lambda: Counter(3)])
    explorer = Explorer(environments, Recording(), Together(), seed=0, window=FragmentWindow(2), pace=4)
    while explorer.steps < 16:
        explorer.advance(16)

    assert added == [[2, 2]] * 4


def test_next_values_are_those_of_true_next_observations():
    fragment = explored([2, 3], 5, 10)[0]

    def value(observation: Any) -> Any:
        return observation[..., 0] * 100 + observation[..., 1]

    following = next_values(fragment, value(fragment["observation"]), value(fragment["final_observation"]))

    np.testing.assert_array_equal(following, value(fragment["observation"][:-1]) + 1)


def test_masks_travel_with_their_observations():
    fragment = explored([3], 6, 6, masks=True)[0]

    np.testing.assert_array_equal(fragment["action_mask"][:, 0, 1], fragment["observation"][:, 0, 1] % 2 == 1)
    assert fragment["final_action_mask"].tolist() == [[True, True, True]] * 2, "after three steps"


def test_side_by_side_they_are_what_one_lane_of_all_would_be():
    both = explored([2, 3], 5, 10)[0]
    parts = [explored([2], 5, 5)[0], explored([3], 5, 5)[0]]

    whole = joined(parts)

    for name in ("observation", "terminated", "truncated"):
        np.testing.assert_array_equal(whole[name], both[name])
    assert ends_of(whole) == ends_of(both)
    assert whole["version"] == 7
    assert joined(parts[:1]) is parts[0]


def test_a_lane_that_was_lost_begins_a_fragment_afresh():
    window = FragmentWindow(2)
    policy, environments = Recording(), LocalEnvironments([lambda: Counter(5)])
    window.begin(0, environments.reset(), None)
    window.add(0, np.array([1]), {}, environments.step([1]))
    window.begin(0, environments.reset(), None)
    for _ in range(2):
        window.add(0, np.array([2]), {}, environments.step([2]))

    (fragment,) = window.take() or []
    assert fragment["action"].ravel().tolist() == [2, 2] and fragment["observation"][0, 0].tolist() == [1, 0]
    assert window.take() is None and policy.version == 7


def test_what_is_no_number_is_found_in_what_is_given_up_too():
    window = FragmentWindow(4)
    window.begin(0, np.zeros((1, 2), np.float32), None)
    no = np.zeros(1, np.bool_)
    window.add(0, np.zeros(1), {}, Stepped(np.full((1, 2), np.nan, np.float32), np.zeros(1), no, no, {}))

    with pytest.raises(Flawed, match="the observation of environment 0 in lane 0 is not finite at step 0"):
        window.begin(0, np.zeros((1, 2), np.float32), None)


class Kept:
    """A sink of fragments."""

    def __init__(self, window: FragmentWindow) -> None:
        self.window, self.fragments = window, []

    def add(self, fragments: list[Any]) -> None:
        self.fragments += fragments


class Broken(Counter):
    """In one of its steps, over all episodes, it gives something that is no number."""

    def __init__(self, limit: int, at: int, what: str) -> None:
        super().__init__(limit)
        self.at, self.what, self.steps = at, what, 0

    def step(self, action: int) -> Any:
        observation, reward, *ends = super().step(action)
        if self.steps == self.at and self.what != "nothing":
            observation[1], reward = (np.nan, reward) if self.what == "observation" else (observation[1], np.inf)
        self.steps += 1
        return observation, reward, *ends


@settings(max_examples=60)
@given(
    st.integers(1, 9),
    st.lists(
        st.tuples(st.integers(2, 6), st.integers(0, 19), st.sampled_from(["observation", "reward", "nothing"])),
        min_size=1,
        max_size=3,
    ),
    st.booleans(),
)
def test_what_is_no_number_never_reaches_the_sink_and_is_named_with_its_step(length, environments, two_lanes):
    """Brute force: the earliest step that gives such a thing, of the environments one after the other."""
    made = [LocalEnvironments([lambda e=e: Broken(*e) for e in environments])]
    if two_lanes:
        made.append(LocalEnvironments([lambda: Counter(4)]))
    kept = Kept(FragmentWindow(length))
    explorer = Explorer(InlineLanes(made), Recording(), kept, seed=0, limit=20 * sum(map(len, made)))
    bad = [(at, i) for i, (_, at, what) in enumerate(environments) if what != "nothing"]
    due = min(bad)[0] < 20 // length * length if bad else False

    try:
        for _ in range(100):
            explorer.advance(10_000)
        assert not due
    except NotFinite as error:
        at, _ = min(bad)
        found = re.match(r"the (?:last )?(\w+) of environment (\d+) is .* after ([\d,]+) steps", str(error))
        assert found is not None, error
        what, i, steps = found[1], int(found[2]), int(found[3].replace(",", ""))
        assert environments[i][1] == at and environments[i][2] == what
        assert 0 <= at * sum(map(len, made)) - steps <= two_lanes, "the steps before it"
    for fragment in kept.fragments:
        assert all(np.isfinite(values).all() for values in fragment.values())
    assert len(kept.fragments) >= (min(bad)[0] // length if due else 20 // length)


def test_an_action_that_comes_of_no_number_is_not_the_policys_fault():
    class Drift(Recording):
        def act(self, observations: Any, state: Any, *rest: Any, **more: Any) -> Any:
            return Acted(observations[:, :1], state, {})

    class Continuous(Broken):
        def __init__(self) -> None:
            super().__init__(50, 3, "observation")
            self.action_space = Box(-np.inf, np.inf, (1,), np.float32)

        def step(self, action: Any) -> Any:
            observation, *rest = super().step(0)
            observation[0] = observation[1]
            return observation, *rest

    explorer = Explorer(LocalEnvironments([Continuous]), Drift(), Kept(FragmentWindow(16)), seed=0)

    with pytest.raises(NotFinite, match="the observation of environment 0 is nan at index 0, after 3 steps"):
        explorer.advance(16)


def test_of_what_one_step_gives_the_observation_is_named_before_the_reward():
    class Lost(Broken):
        def step(self, action: int) -> Any:
            observation, reward, *rest = super().step(action)
            return observation, reward + observation[1], *rest

    explorer = Explorer(LocalEnvironments([lambda: Lost(50, 3, "observation")]), Recording(), Kept(FragmentWindow(8)))

    with pytest.raises(NotFinite, match="the observation of environment 0 is nan at index 1, after 3 steps"):
        explorer.advance(8)


class Fragile(Broken):
    """It can do nothing with a state that is no number."""

    def step(self, action: int) -> Any:
        if self.steps > self.at:
            raise ZeroDivisionError("of the environment")
        return super().step(action)


class Picky(Recording):
    """It refuses what is no number."""

    def act(self, observations: Any, *rest: Any, **more: Any) -> Any:
        if not np.isfinite(observations).all():
            raise ZeroDivisionError("of the policy")
        return super().act(observations, *rest, **more)


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize(("kind", "policy"), [(Fragile, Recording()), (Broken, Picky())])
def test_whoever_fails_of_what_is_no_number_is_not_to_blame(kind, policy, lanes):
    made = [LocalEnvironments([lambda: kind(50, 3, "observation")]) for _ in range(lanes)]
    explorer = Explorer(InlineLanes(made), policy, Kept(FragmentWindow(16)), seed=0)

    with pytest.raises(NotFinite, match="the observation of environment 0 is nan at index 1, after ") as raised:
        for _ in range(10):
            explorer.advance(16)

    assert isinstance(raised.value.__cause__, ZeroDivisionError), "and what came of it is told, too"


def test_an_error_that_comes_of_numbers_stays_what_it_is():
    class Failing(Counter):
        def step(self, action: int) -> Any:
            if self.t == 3:
                raise ZeroDivisionError
            return super().step(action)

    explorer = Explorer(LocalEnvironments([lambda: Failing(50)]), Recording(), Kept(FragmentWindow(16)), seed=0)

    with pytest.raises(ZeroDivisionError):
        explorer.advance(16)


def test_what_was_no_number_first_is_named_first():
    environments = [(50, 2, "observation"), (50, 1, "reward")]
    made = LocalEnvironments([lambda e=e: Broken(*e) for e in environments])
    explorer = Explorer(made, Recording(), Kept(FragmentWindow(8)), seed=0)

    with pytest.raises(NotFinite, match="the reward of environment 1 is inf, after 2 steps"):
        explorer.advance(16)


def test_an_episode_is_not_over_with_a_return_that_is_no_number():
    explorer = Explorer(LocalEnvironments([lambda: Broken(3, 1, "reward")]), Recording(), Kept(FragmentWindow(64)))

    with pytest.raises(NotFinite, match="the reward of environment 0 is inf, after 1 steps"):
        explorer.advance(10)


def test_what_is_no_number_is_found_where_all_begin_again():
    environments = LocalEnvironments([lambda: Broken(50, 3, "observation")])
    explorer = Explorer(environments, Recording(), Kept(FragmentWindow(64)), seed=0)
    while explorer.steps < 5:
        explorer.advance(5 - explorer.steps)

    with pytest.raises(NotFinite, match="the observation of environment 0 is nan at index 1, after 3 steps"):
        explorer.begin_again()


@pytest.mark.parametrize("lanes", [1, 2])
def test_for_a_window_that_does_not_look_itself_every_step_is_looked_at(lanes):
    made = [LocalEnvironments([lambda: Broken(3, 4, "observation")]) for _ in range(lanes)]
    explorer = Explorer(InlineLanes(made), Recording(), Kept(EpisodeWindow()), seed=0)

    with pytest.raises(NotFinite, match=f"the observation of environment 0 is nan at index 1, after {4 * lanes} steps"):
        for _ in range(10):  # a lane alone goes another way once an episode was given to the sink
            explorer.advance(10)


def test_a_lane_by_itself_ends_at_the_limit():
    explorer = Explorer(LocalEnvironments([lambda: Counter(50)]), Recording(), Kept(FragmentWindow(8)), limit=20)

    for _ in range(5):
        explorer.advance(100)

    assert explorer.steps == explorer.chosen == 20


def test_a_fragment_that_nobody_has_taken_yet_is_looked_at_too():
    window = FragmentWindow(1)
    window.begin(0, np.zeros((1, 2), np.float32), None)
    no = np.zeros(1, np.bool_)
    window.add(0, np.zeros(1), {}, Stepped(np.zeros((1, 2), np.float32), np.full(1, np.nan), no, no, {}))

    with pytest.raises(Flawed, match="the reward of environment 0 in lane 0 is not finite at step 0"):
        window.require_finite()


def test_of_a_step_that_does_not_fit_nobody_says_that_it_is_no_number(monkeypatch):
    monkeypatch.setattr(np, "empty", lambda shape, dtype: np.ones(shape, dtype) * np.nan)  # as memory may be
    window = FragmentWindow(4)
    window.begin(0, np.zeros((1, 2), np.float32), None)
    no = np.zeros(1, np.bool_)

    with pytest.raises(ValueError, match="could not broadcast"):
        window.add(0, np.zeros(1), {}, Stepped(np.zeros((1, 3), np.float32), np.zeros(1), no, no, {}))

    window.require_finite()


def test_a_fragment_without_steps_is_refused():
    with pytest.raises(ValueError, match="at least 1 step, found length=0"):
        FragmentWindow(0)
