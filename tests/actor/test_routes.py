"""What a sender knows of a mailbox: beside a plain list of what waits there, whatever news comes in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorrl.actor import routes as module
from actorrl.actor.receiver import Waiter
from actorrl.actor.ref import ActorRef
from actorrl.actor.routes import HEAVY, Route, quantum


def route(limit: int = 4) -> Route:
    return Route(ActorRef("token", 1, 7, "Counter"), None, None, limit, "block")


EVENT = st.one_of(
    st.tuples(st.just("send"), st.sampled_from([0, 10, HEAVY - 1, HEAVY, 3 * HEAVY, 20 * HEAVY])),
    st.tuples(st.just("take"), st.integers(0, 60)),
)


@given(st.lists(EVENT, max_size=80), st.integers(1, 6))
def test_never_more_waits_than_may(events, limit):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PAYLOAD", 10 * HEAVY)
        way, waiting = route(limit), []  # (mark, size) of what was sent and is not known to be started
        for kind, number in events:
            if kind == "send":
                heavy = [size for _, size in waiting if size >= HEAVY]
                fits = len(waiting) < limit and not (
                    number >= HEAVY and heavy and sum(heavy) + number > module.PAYLOAD
                )
                assert way.full(number) is not fits
                if fits:
                    waiting.append((way.enter(number), number))
            elif number <= way.sent:  # an actor takes no more than was sent; old news are told again
                way.take(number)
                waiting = [(mark, size) for mark, size in waiting if mark > number]
            assert way.sent - way.started == len(waiting)
            assert way.weight == sum(size for _, size in waiting if size >= HEAVY)


def test_who_waits_for_room_is_told_of_every_change():
    way, waiter = route(1), Waiter(2)
    way.enter()
    way.blocked.append(waiter)
    way.take(0)
    assert waiter._left == 2, "nothing was taken"
    way.take(1)
    way.take(1)
    assert waiter._left == 1
    way.close()
    assert waiter.ready()
    assert not way.full(10**12), "nobody waits at a dead actor"


@pytest.mark.parametrize("limit", [1, 2, 64, 65, 1024, 10**6])
def test_a_sender_hears_long_before_its_room_is_used_up(limit: int):
    assert 1 <= quantum(limit) <= max(1, limit // 2)
    if limit <= 64:
        assert quantum(limit) == 1, "so few may wait that a sender must know at once"
