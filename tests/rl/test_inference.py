"""Actions that are chosen elsewhere: an Explorer that asks for them does what one does that has the policy itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rl_toys import Collected, Constant, Counting, Masked, Script

from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.episodes import EpisodeWindow
from actorrl.rl.explorer import Explorer
from actorrl.rl.fragments import FragmentWindow
from actorrl.rl.inference import Inline
from actorrl.rl.lanes import InlineLanes
from actorrl.rl.nouns import Acted

ENDLESS = [([1.0] * 1000, False, True)]
SHORT = [([1.0, 2.0], True, False), ([5.0], False, True)]


class Elsewhere:
    """Answers one lane at a time, in any order and not at once; notes in which order lanes asked and were answered."""

    version = 0

    def __init__(self, policy: Any, seed: int | None = 0) -> None:
        self.policy, self.rng = policy, None if seed is None else np.random.default_rng(seed)
        self.waiting: list[Any] = []
        self.story: list[tuple[str, int]] = []
        self.largest = 0

    def initial_state(self, B: int) -> Any:
        return self.policy.initial_state(B)

    def ask(self, lane: int, observations: Any, state: Any, step: int, *, explore: bool, action_mask: Any) -> None:
        assert lane not in [asked[0] for asked in self.waiting], "a lane asks again only once it is answered"
        self.waiting.append((lane, observations, state, step, explore, action_mask))
        self.story.append(("asks", lane))
        self.largest = max(self.largest, len(self.waiting))

    def answers(self, wait: bool) -> list[tuple[int, Acted]]:
        if not self.waiting or (self.rng is not None and self.rng.random() < 0.3):
            return []
        which = 0 if self.rng is None else int(self.rng.integers(len(self.waiting)))
        lane, observations, state, step, explore, mask = self.waiting.pop(which)
        masks = {} if mask is None else {"action_mask": mask}
        acted = self.policy.act(observations, state, step, explore=explore, rng=np.random.default_rng(0), **masks)
        versions = np.full(len(observations), self.version)
        self.story.append(("is answered", lane))
        return [(lane, acted._replace(extras={**acted.extras, "version": versions}))]

    def set_weights(self, weights: Any, version: int) -> None:
        self.version = version


def lanes(groups: int, k: int = 1, episodes: Any = ENDLESS) -> InlineLanes:
    made = [[lambda i=g * k + i: Script(episodes, i) for i in range(k)] for g in range(groups)]
    return InlineLanes([LocalEnvironments(makers) for makers in made])


def collected(policy: Any, groups: int, k: int = 2, steps: int = 40) -> np.ndarray:
    sink = Collected()
    explorer = Explorer(lanes(groups, k, SHORT), policy, sink, limit=steps)
    while explorer.steps < steps:
        explorer.advance(steps)
    rows = sink.rows
    order = np.lexsort((rows["observation"][:, 1], rows["observation"][:, 0], rows["observation"][:, 2]))
    return rows[order]


@pytest.mark.parametrize("policy", [Constant, Counting])
def test_one_group_makes_the_same_steps_as_a_policy_of_its_own(policy: Any):
    np.testing.assert_array_equal(collected(policy(), 1), collected(Elsewhere(policy()), 1))


@pytest.mark.parametrize("policy", [Constant, Counting])
def test_no_group_mixes_its_memory_or_its_rows_with_another(policy: Any):
    rows = collected(Elsewhere(policy()), 3, steps=300)

    assert {*rows["observation"][:, 2]} == {0, 1, 2, 3, 4, 5}
    assert (rows["observation"][:, 0] == rows["observation_next"][:, 0]).all()
    assert (rows["observation_next"][:, 1] == rows["observation"][:, 1] + 1).all()
    if policy is Counting:  # which starts afresh with every episode
        np.testing.assert_array_equal(rows["action"], rows["observation"][:, 1])


def test_a_group_is_stepped_and_asks_again_before_the_next_one_is_stepped():
    policy = Elsewhere(Constant(), seed=None)

    Explorer(lanes(2), policy, limit=6).advance(6)

    assert policy.largest == 2
    assert policy.story[:6] == [
        ("asks", 0),
        ("asks", 1),
        ("is answered", 0),
        ("asks", 0),
        ("is answered", 1),
        ("asks", 1),
    ]


def test_masks_reach_whoever_acts():
    class Allowed(Constant):
        def act(self, observations: Any, state: Any, step: int, *, explore: bool, rng: Any, action_mask: Any) -> Acted:
            return Acted(action_mask.argmax(-1), state, {})

    environments = InlineLanes([LocalEnvironments([Masked] * 2) for _ in range(2)], [1, 2, 3, 4])
    explorer = Explorer(environments, Elsewhere(Allowed()), limit=80)
    while explorer.steps < 80:
        explorer.advance(80)  # the environment refuses what is forbidden


def test_a_slice_ends_though_nobody_answers():
    class Silent(Elsewhere):
        def answers(self, wait: bool) -> list[tuple[int, Acted]]:
            return []

    assert Explorer(lanes(2), Silent(Constant())).advance(10).steps == 0


def test_what_asked_together_is_one_batch_of_a_policy_at_hand():
    policy = Constant()
    inline = Inline(policy, np.random.default_rng(0))
    for lane in (4, 2):
        inline.ask(lane, np.zeros((2, 3)), (), 7, explore=True, action_mask=None)

    assert [(lane, len(acted.action)) for lane, acted in inline.answers(True)] == [(4, 2), (2, 2)]
    assert policy.asked == [(7, 4)] and inline.answers(True) == []


# -- lanes in step -----------------------------------------------------------------------------------


class Fragments(Collected):
    def __init__(self, length: int) -> None:
        super().__init__()
        self.window = FragmentWindow(length)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_lanes_in_step_give_their_fragments_together_and_in_order(seed: int):
    sink = Fragments(5)
    explorer = Explorer(lanes(3, 2), Elsewhere(Constant(), seed), sink, pace=5)
    while len(sink.items) < 4:
        before = len(sink.items)
        explorer.advance(1000)
        assert len(sink.items) <= before + 1, "a round ends the slice"

    for number, items in enumerate(sink.items):
        assert [int(fragment["observation"][0, 0, 2]) for fragment in items] == [0, 2, 4]
        assert all(fragment["observation"][0, 0, 1] == 5 * number for fragment in items)


def test_a_lane_that_has_done_its_share_waits_for_the_others():
    class Once(Elsewhere):
        """Lane 1 is answered only when lane 0 asks for nothing more."""

        def answers(self, wait: bool) -> list[tuple[int, Acted]]:
            self.waiting.sort(key=lambda asked: asked[0])
            return super().answers(wait)

    policy, sink = Once(Constant(), seed=None), Fragments(4)
    explorer = Explorer(lanes(2), policy, sink, pace=4)

    assert explorer.advance(8).steps == 8
    answered = [lane for what, lane in policy.story if what == "is answered"]
    assert answered == [0, 0, 0, 0, 1, 1, 1, 1] and len(sink.items) == 1


def test_at_the_limit_what_is_whole_goes_to_the_sink_though_not_every_lane_may_finish():
    sink = Fragments(4)
    explorer = Explorer(lanes(2), Elsewhere(Constant(), seed=None), sink, pace=4, limit=15)
    while explorer.steps < 15:
        explorer.advance(100)

    assert [len(items) for items in sink.items] == [2, 1]


# -- versions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [FragmentWindow(4, lambda: 99), EpisodeWindow(lambda: 99)])
def test_a_fragment_is_of_the_oldest_version_that_acted_in_it(window: Any):
    class Newer(Elsewhere):
        def answers(self, wait: bool) -> list[tuple[int, Acted]]:
            self.version += 1
            return super().answers(wait)

    sink, fours = Collected(), [([1.0] * 4, True, False)]
    explorer = Explorer(lanes(1, 1, fours), Newer(Constant(), seed=None), sink, window=window, limit=12)
    while explorer.steps < 12:
        explorer.advance(12)

    fragments = [fragment for items in sink.items for fragment in items]
    assert [int(fragment["version"]) for fragment in fragments] == [1, 5, 9]
    assert all(fragment["action"].shape == (4, 1) for fragment in fragments)
