"""Environments in their agent's process: plain calls, whose errors name the environment, and which are closed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_agents import Counting

from actorrl.rl.spaces import Encoder
from actorrl.training.near_lanes import NearLanes, Watch


class Closing(Counting):
    closed = 0

    def close(self) -> None:
        Closing.closed += 1


class Failing(Closing):
    def step(self, action: Any) -> Any:
        raise KeyError("no such thing")


def lanes(*environments: Any) -> NearLanes:
    encode = Encoder(Counting.observation_space)
    return NearLanes(list(environments), list(range(len(environments))), 30.0, encode)


def test_each_environment_is_a_lane_that_has_answered_when_it_was_asked():
    near = lanes(Closing, Closing)
    near.reset()
    assert [arrival.lane for arrival in near.receive()] == [0, 1] and near.sizes == [1, 1]

    near.send(1, np.array([0]))
    (arrival,) = near.receive()
    assert arrival.lane == 1 and arrival.stepped is not None
    near.close()


def test_an_error_names_the_environment_and_all_are_closed():
    near = lanes(Closing, Failing)
    near.reset()
    Closing.closed = 0

    with pytest.raises(RuntimeError, match=r"environment 1 of 2 failed in step: KeyError: 'no such thing'"):
        near.send(1, np.array([0]))
    near.close()

    assert Closing.closed == 2


def test_only_a_call_that_is_still_the_same_after_so_many_looks_is_late(monkeypatch: pytest.MonkeyPatch):
    ended: list[int] = []
    monkeypatch.setattr("actorrl.training.near_lanes.os._exit", lambda code: (ended.append(code), watch.over.set()))
    watch = Watch(None)
    watch._limit = 1.0
    looks = 0

    def pass_(pause: float) -> bool:
        nonlocal looks
        looks += 1
        if looks < 50:
            watch.calls += 1  # a step ends and another begins between two looks
        return bool(ended)

    monkeypatch.setattr(watch.over, "wait", pass_)
    watch.busy = True
    watch._look(0.1)

    assert ended == [124] and 59 <= looks <= 61
