"""Policy servers: one batch for many, the memory of each, the version that acted, and a death in between."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from actorrl import System, fetch, startat
from actorrl.rl import PPOConfig
from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.explorer import Explorer
from actorrl.rl.fragments import FragmentWindow
from actorrl.rl.lanes import InlineLanes
from actorrl.rl.nouns import Acted
from actorrl.rl.seeding import EXPLORER, environment_seeds, generator
from actorrl.training import policy_server
from actorrl.training.policy_server import PolicyServer, ServedPolicy
from actorrl.training.records import read_rows, write_rows
from actorrl.training.remote_lanes import RESTARTED


class Echo:
    """Answers with what it was asked: the action is the observation times its weight; notes the sizes of batches."""

    weight = 1.0

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.steps: list[int] = []

    def initial_state(self, B: int) -> tuple[()]:
        return ()

    def act(self, observations: Any, state: Any, step: int, *, explore: bool, rng: Any, action_mask: Any = None) -> Any:
        self.sizes.append(len(observations))
        self.steps.append(step)
        if (observations < 0).any():
            raise ValueError("no negative numbers")
        extras = {"explored": np.full(len(observations), explore), "drawn": rng.random(len(observations))}
        if action_mask is not None:
            extras["allowed"] = action_mask.sum(-1)
        return Acted(observations[:, 0] * self.weight, state, extras)

    def set_weights(self, weights: dict[str, Any], version: int) -> None:
        self.weight = float(weights["w"][0])

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Memory(Echo):
    """Remembers, in two arrays, how often it has acted and the last observation."""

    def initial_state(self, B: int) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((B, 1)), np.full((B, 2), -1.0, np.float32)

    def act(self, observations: Any, state: Any, step: int, *, explore: bool, rng: Any, action_mask: Any = None) -> Any:
        count, last = state
        return Acted(count[:, 0].astype(int), (count + 1, observations.copy()), {"last": last})


class One(Memory):
    """The same with one array."""

    def initial_state(self, B: int) -> np.ndarray:
        return np.zeros((B, 1))

    def act(self, observations: Any, state: Any, step: int, *, explore: bool, rng: Any, action_mask: Any = None) -> Any:
        return Acted(state[:, 0].astype(int), state + 1, {})


class Mortal(PolicyServer):
    def process(self) -> int:
        return os.getpid()


def rows(*numbers: float) -> np.ndarray:
    return np.array([[number, 0.0] for number in numbers], np.float32)


# -- the plain object ------------------------------------------------------------------------------


def asked(server: PolicyServer, *requests: np.ndarray, step: int = 0, explore: Any = True) -> list[Any]:
    written = [write_rows({"observation": request}) for request in requests]
    n = len(requests)
    explored = [explore] * n if isinstance(explore, bool) else explore
    return list(server.act([w[0] for w in written], [w[1] for w in written], list(range(step, step + n)), explored))


def test_many_requests_are_one_batch_and_each_gets_its_own_rows():
    echo = Echo()
    server = PolicyServer(lambda: echo)

    answers = asked(server, rows(1), rows(2, 3, 4), rows(5, 6), step=10)

    assert echo.sizes == [6] and echo.steps == [12], "one call, told the largest of the step counts"
    actions = [read_rows(layout, data)["action"].tolist() for _, layout, data in answers]
    assert actions == [[1], [2, 3, 4], [5, 6]]
    assert server.counts() == {"batches": 1, "rows": 6, "version": -1}


def test_what_cannot_be_one_batch_is_several():
    echo = Echo()
    server = PolicyServer(lambda: echo)

    answers = asked(server, rows(1), rows(2), np.array([[3.0]]), rows(4), explore=[True, False, True, True])

    assert sorted(echo.sizes) == [1, 1, 2]
    read = [read_rows(layout, data) for _, layout, data in answers]
    assert [one["action"][0] for one in read] == [1, 2, 3, 4]
    assert [bool(one["extra.explored"][0]) for one in read] == [True, False, True, True]


def test_a_mistake_is_told_to_all_of_its_batch_and_to_nobody_else():
    server = PolicyServer(Echo)

    answers = asked(server, rows(1), rows(-2), np.array([[3.0]]))

    assert [type(answer) for answer in answers] == [ValueError, ValueError, tuple]


def test_only_newer_weights_are_taken():
    echo = Echo()
    server = PolicyServer(lambda: echo)
    for version, weight in ((3, 3.0), (2, 2.0), (3, 4.0)):
        server.take({"w": np.array([weight])}, version)

    assert echo.weight == 3.0 and server.version == 3
    assert asked(server, rows(1))[0][0] == 3


def test_after_a_crash_it_draws_other_numbers_but_the_same_in_every_run():
    def drawn(crashes: int) -> float:
        server = PolicyServer(Echo, seed=1)
        server.take(None, -1, crashes)
        _, layout, data = asked(server, rows(1))[0]
        return float(read_rows(layout, data)["extra.drawn"][0])

    assert drawn(0) == drawn(0) == generator(1, EXPLORER, 0).random()
    assert drawn(1) == drawn(1) != drawn(0)


# -- the client ------------------------------------------------------------------------------------


@pytest.fixture
def inline() -> Iterator[None]:
    with System(engine="inline", seed=0):
        yield


@pytest.mark.parametrize("policy", [Echo, Memory, One])
@pytest.mark.parametrize("k", [1, 40])
def test_it_acts_as_the_policy_would(inline: None, policy: Any, k: int):
    assert_acts_alike(policy, k)


def assert_acts_alike(policy: Any, k: int) -> None:
    served, plain = ServedPolicy(startat(None, PolicyServer, policy, 5), policy()), policy()
    state, other, rng = served.initial_state(k), plain.initial_state(k), generator(5, EXPLORER)
    for step in range(3):
        observations = rows(*range(step, step + k))
        ours = served.act(observations, state, step, explore=True)
        theirs = plain.act(observations, other, step, explore=True, rng=rng)
        state, other = ours.state, theirs.state

        assert (ours.extras.pop("version") == 0).all()
        np.testing.assert_equal(ours._asdict(), theirs._asdict())
        assert ours.action.flags.writeable and type(ours.state) is type(theirs.state)


class Brightest(Echo):
    def act(self, observations: Any, state: Any, step: int, *, action_mask: Any, **_: Any) -> Any:
        return Acted(np.where(action_mask, observations.mean((1, 2))[:, None], -1).argmax(-1), state, {})


def test_pictures_and_masks_travel_too(inline: None):
    assert_sees_pictures()


def assert_sees_pictures() -> None:
    served = ServedPolicy(startat(None, PolicyServer, Brightest), Brightest())
    pictures = np.random.default_rng(0).integers(0, 255, (3, 84, 84), np.uint8)

    acted = served.act(pictures, (), 0, explore=True, action_mask=np.eye(3, dtype=bool))

    assert acted.action.tolist() == [0, 1, 2]


def test_weights_are_there_for_what_is_asked_after_them(inline: None):
    served = ServedPolicy(startat(None, PolicyServer, Echo), Echo())
    for version in range(5):
        served.set_weights({"w": np.array([version + 2.0])}, version)
        acted = served.act(rows(1, 1), (), 0, explore=True)

        assert acted.action.tolist() == [version + 2.0] * 2 and acted.extras["version"].tolist() == [version] * 2


def test_the_newest_that_anybody_brought_acts_for_all_and_says_so(inline: None):
    server = startat(None, PolicyServer, Echo)
    ahead, behind = ServedPolicy(server, Echo()), ServedPolicy(server, Echo())
    behind.set_weights({"w": np.array([2.0])}, 1)
    ahead.set_weights({"w": np.array([3.0])}, 2)
    ahead.act(rows(1), (), 0, explore=True)

    behind.set_weights({"w": np.array([2.0])}, 1)
    acted = behind.act(rows(1), (), 0, explore=True)

    assert acted.action.tolist() == [3.0] and acted.extras["version"].tolist() == [2]


def test_a_mistake_of_the_policy_is_raised_where_it_is_asked(inline: None):
    served = ServedPolicy(startat(None, PolicyServer, Echo), Echo())
    with pytest.raises(ValueError, match="no negative numbers"):
        served.act(rows(-1), (), 0, explore=True)

    assert served.act(rows(1), (), 0, explore=True).action.tolist() == [1]


class Listening(ServedPolicy):
    """Notes what each message asks for."""

    def _send(self) -> None:
        before = len(self._flying)
        super()._send()
        self.messages = [[lane for lane, _ in question.lanes] for question in self._flying[before:]]


def listening() -> tuple[list[list[int]], list[list[int]]]:
    """Three lanes, of 1, 2 and 3 rows: those in each message, and those whose answers were handed out together."""
    served = Listening(startat(None, PolicyServer, Memory), Memory())
    states = {lane: served.initial_state(lane + 1) for lane in range(3)}
    asked, handed, ready = list[list[int]](), list[list[int]](), [0, 1, 2]
    for _ in range(12):
        for lane in ready:
            observations = rows(*range(lane, 2 * lane + 1))
            served.ask(lane, observations, states[lane], 0, explore=True, action_mask=None)
        served.messages = []
        answers = served.answers(True)
        asked += served.messages
        ready = [lane for lane, _ in answers]
        handed.append(ready)
        for lane, acted in answers:
            assert acted.action.tolist() == states[lane][0][:, 0].tolist(), "the memory of this lane"
            assert acted.state[1][:, 0].tolist() == list(range(lane, 2 * lane + 1)), "and the rows that it asked with"
            states[lane] = acted.state
    return asked, handed


def test_lanes_that_step_quickly_ask_together_in_one_message(inline: None, monkeypatch):
    monkeypatch.setattr(policy_server, "MESSAGE_SECONDS", 60.0)
    asked, handed = listening()

    assert asked[-3:] == handed[-3:] and all(sorted(lanes) == [0, 1, 2] for lanes in handed[-3:])


def test_a_lane_that_steps_slowly_gets_its_answer_alone_and_asks_before_the_next_is_stepped(inline: None, monkeypatch):
    monkeypatch.setattr(policy_server, "MESSAGE_SECONDS", 0.0)
    asked, handed = listening()

    assert handed == [[0], [1], [2]] * 4
    assert asked == [[0, 1, 2], *handed[:-1]]


# -- explorers -------------------------------------------------------------------------------------


def cartpole_policy() -> Any:
    return PPOConfig().build(Box(-5, 5, (4,), np.float32), Discrete(2), 0).policy


class Fragments:
    def __init__(self, length: int) -> None:
        self.window, self.items = FragmentWindow(length), list[Any]()

    def add(self, fragments: list[Any]) -> None:
        self.items += fragments


def explored(policy: Any, groups: int = 1, k: int = 2, rounds: int = 3) -> list[dict[str, np.ndarray]]:
    seeds = environment_seeds(0, groups * k)
    makers = [lambda: gymnasium.make("CartPole-v1")] * k
    lanes = InlineLanes([LocalEnvironments(makers) for _ in range(groups)], seeds)
    sink = Fragments(8)
    explorer = Explorer(lanes, policy, sink, seed=generator(0, EXPLORER), pace=8)
    while len(sink.items) < rounds * groups:
        explorer.advance(8 * k * groups)
    return sink.items


def test_one_explorer_with_one_group_makes_the_numbers_of_a_policy_of_its_own(inline: None):
    served = ServedPolicy(startat(None, PolicyServer, cartpole_policy, 0), cartpole_policy())

    for ours, theirs in zip(explored(served), explored(cartpole_policy()), strict=True):
        np.testing.assert_equal(ours, theirs)


def test_groups_step_while_others_wait(inline: None):
    served = ServedPolicy(startat(None, PolicyServer, cartpole_policy, 0), cartpole_policy())

    fragments = explored(served, groups=3)

    assert len(fragments) == 9 and all(fragment["reward"].shape == (8, 2) for fragment in fragments)


class Client:
    """An explorer as an actor."""

    def __init__(self, server: Any) -> None:
        self.policy = ServedPolicy(server, Echo())
        self.policy.set_weights({"w": np.array([2.0])}, 4)

    def burst(self, n: int) -> int:
        """Ask n times, two lanes at once; how often it was answered wrongly."""
        wrong = 0
        for number in range(n):
            for lane in (0, 1):
                self.policy.ask(lane, rows(number), (), 0, explore=True, action_mask=None)
            answers: list[Any] = []
            while len(answers) < 2:
                answers += self.policy.answers(True)
            assert sorted(lane for lane, _ in answers) == [0, 1]
            wrong += sum(acted.action[0] != 2.0 * number for _, acted in answers)
            wrong += sum(acted.extras["version"][0] != 4 for _, acted in answers)
        return wrong


@pytest.mark.slow
def test_between_processes_it_is_the_same_and_under_load_the_batch_grows_by_itself():
    with System(seed=0):
        assert_acts_alike(Memory, 40)
        assert_sees_pictures()
        server = startat(None, PolicyServer, Echo)
        clients = [startat(None, Client, server) for _ in range(4)]
        assert fetch([client.burst(200) for client in clients]) == [0] * 4
        counts = fetch(server.counts())

    assert counts["rows"] == 1600 and counts["rows"] / counts["batches"] > 1.5


@pytest.mark.slow
def test_a_server_that_is_killed_starts_again_and_nobody_gets_a_wrong_answer():
    with System(seed=0):
        server = startat(None, **RESTARTED)(Mortal)(Echo)
        clients = [startat(None, Client, server) for _ in range(3)]
        for _ in range(2):
            pid, before = fetch(server.process()), fetch(server.counts())["rows"]
            working = [client.burst(300) for client in clients]
            while fetch(server.counts())["rows"] < before + 30:  # until it is in the midst of it
                pass
            os.kill(pid, signal.SIGKILL)

            assert fetch(working) == [0, 0, 0]
            assert fetch(server.process()) != pid


@pytest.mark.slow
def test_a_server_that_may_not_start_again_ends_its_explorers():
    with System(seed=0):
        server = startat(None, on_failure="ignore")(Mortal)(Echo)
        client = startat(None, Client, server)
        assert fetch(client.burst(1)) == 0
        os.kill(fetch(server.process()), signal.SIGKILL)

        with pytest.raises(RuntimeError, match=r"a policy server died: .*SIGKILL"):
            fetch(client.burst(1000))
