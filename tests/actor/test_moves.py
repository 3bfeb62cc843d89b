"""What a process does about an actor that starts again: nothing is lost, nothing overtakes, nothing old counts."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from actorrl.actor.deaths import End
from actorrl.actor.engine import Call
from actorrl.actor.future import Future
from actorrl.actor.keys import make_key
from actorrl.actor.moves import Moves
from actorrl.actor.post import Post
from actorrl.actor.ref import ActorRef
from actorrl.actor.routes import Route
from actorrl.actor.transport import Peer, Transport
from actorrl.errors import ActorDied, MailboxFull

ME, BOUNDS = 0, (3, "raise")


class Wire(Post):
    """A post whose messages go into a list."""

    def __init__(self, directory: Path) -> None:
        make_key(str(directory))
        super().__init__(Transport(str(directory), ME), "token", lambda *news: None)
        self.sent: list[tuple[int, int, Any]] = []
        self.peers: dict[int, Peer] = {}

    def peer(self, process: int) -> Peer:
        return self.peers.setdefault(process, Peer(process, None))

    def send_call(self, route: Route, call: Call, body: Any, future: Future[Any] | None) -> bool:
        with route.peer.lock:
            if route.full(body.size):
                return False
            self._enter(route, future, body.size)
            self.sent.append((route.process, route.actor, call.args[0]))
        return True

    def post(self, process: int, frame: bytes, buffers: Any = (), hold: bool = False) -> None:
        self.sent.append((process, frame[0], "cancel"))


class Desk:
    """A process that knows one actor: number 7, in process 10."""

    def __init__(self, directory: Path) -> None:
        self.post = Wire(directory)
        self.moves = Moves(self.post)
        self.ref: ActorRef[Any] = ActorRef("token", 10, 7, "Counter", None)

    def meet(self, address: int = 7, process: int | None = 10) -> Route:
        return self.moves.meet(self.ref, address, process, BOUNDS)

    def future(self) -> Future[Any]:
        return Future(self, "Counter", "add", 7)  # type: ignore[arg-type]

    def later(self, work: Any) -> None:
        work()

    def withdraw(self, future: Future[Any]) -> None:
        pass

    def park(self, n: int, future: Future[Any] | None = None) -> Route | None:
        return self.moves.park(self.post.ledger.routes[7], Call(self.ref, "add", None, (n,), {}), future)

    def end(self, reason: str = "stopped") -> End:
        return End(7, reason, "Counter", None, None, started={})


@pytest.fixture
def desk(tmp_path: Path) -> Any:
    desk = Desk(tmp_path)
    yield desk
    desk.post.transport.close(0)


def test_nobody_sends_on_a_route_whose_actor_is_gone(desk: Desk):
    route = desk.meet()
    assert not route.full()
    desk.moves.restarting(7, 7)

    assert route.barred
    assert route.full()
    assert not route.stuck(), "there is nothing to wait for here"


def test_what_is_kept_goes_first_and_in_order(desk: Desk):
    old = desk.meet()
    desk.moves.restarting(7, 7)
    assert [desk.park(n) for n in (1, 2)] == [None, None]
    assert desk.post.sent == []
    desk.moves.moved(7, 8, 12, 4711, 1)

    assert desk.post.sent == [(12, 8, 1), (12, 8, 2)]
    new = desk.post.ledger.routes[7]
    assert new is not old
    assert (new.actor, new.process, new.sent, new.barred) == (8, 12, 2, False)
    assert desk.park(3) is new, "it lives: send it there"


def test_what_is_kept_is_bounded_like_the_mailbox(desk: Desk):
    desk.meet()
    desk.moves.restarting(7, 7)
    for n in range(3):
        desk.park(n)

    with pytest.raises(MailboxFull):
        desk.park(3)


def test_with_block_a_sender_waits_until_it_lives(desk: Desk):
    desk.moves.meet(desk.ref, 7, 10, (1, "block"))
    desk.moves.restarting(7, 7)
    desk.park(0)
    old, found = desk.post.ledger.routes[7], []
    thread = threading.Thread(target=lambda: found.append(desk.park(1)))
    thread.start()
    while not old.blocked:
        pass
    desk.moves.moved(7, 8, 12, 4711, 1)
    desk.post.receiver.nudge()
    thread.join(20)

    assert found == [desk.post.ledger.routes[7]]


def test_a_call_that_was_cancelled_is_not_sent(desk: Desk):
    desk.meet()
    desk.moves.restarting(7, 7)
    kept, given_up = desk.future(), desk.future()
    desk.park(1, given_up)
    desk.park(2, kept)
    given_up.cancel()
    desk.moves.moved(7, 8, 12, 4711, 1)

    assert desk.post.sent == [(12, 8, 2)]
    assert kept._call_id in desk.post.ledger.open


def test_what_is_kept_fails_as_not_started_when_it_does_not_start_again(desk: Desk, caplog: pytest.LogCaptureFixture):
    desk.meet()
    desk.moves.restarting(7, 7)
    future = desk.future()
    desk.park(1, future)
    desk.park(2)
    end = desk.end()
    desk.post.ledger.end(end, ME)

    assert desk.moves.ended(end) == 1
    error = future.exception(0)
    assert isinstance(error, ActorDied)
    assert error.started is False
    assert "the message add was not delivered" in caplog.text


def test_who_comes_after_the_end_is_told_at_once(desk: Desk):
    route = desk.meet()
    desk.moves.restarting(7, 7)
    end = desk.end()
    desk.post.ledger.end(end, ME)
    desk.moves.ended(end)
    future = desk.future()

    assert desk.moves.park(route, Call(desk.ref, "add", None, (1,), {}), future) is None
    assert isinstance(future.exception(0), ActorDied)


def test_the_end_of_the_system_leaves_no_future_behind(desk: Desk):
    desk.meet()
    desk.moves.restarting(7, 7)
    future = desk.future()
    desk.park(1, future)
    desk.moves.abandon()

    assert isinstance(future.exception(0), ActorDied)


def test_news_that_came_before_the_answer_of_the_nursery_are_newer(desk: Desk):
    desk.moves.restarting(7, 7)
    assert desk.meet(7, 10).barred
    desk.park(1)
    desk.moves.moved(7, 8, 12, 4711, 1)

    assert desk.post.sent == [(12, 8, 1)]


def test_older_news_than_the_answer_of_the_nursery_are_nothing(desk: Desk):
    desk.moves.restarting(7, 7)
    desk.moves.moved(7, 8, 12, 4711, 1)

    assert (desk.meet(9, 13).process, desk.meet().actor) == (13, 9)


def test_met_while_it_waits(desk: Desk):
    route = desk.meet(7, None)

    assert route.barred
    assert desk.park(1) is None


def test_credits_of_an_earlier_incarnation_do_not_count(desk: Desk):
    desk.meet()
    desk.moves.restarting(7, 7)
    for n in range(3):
        desk.park(n)
    desk.moves.moved(7, 8, 12, 4711, 1)
    route = desk.post.ledger.routes[7]
    desk.post._on_credit(7, 3)
    assert (route.sent, route.started, route.full()) == (3, 0, True)
    desk.post._on_credit(8, 2)
    assert route.started == 2

    desk.moves.restarting(7, 8)
    desk.moves.moved(7, 9, 13, 4712, 2)
    again = desk.post.ledger.routes[7]
    desk.post._on_credit(8, 3)
    assert (again.actor, again.started) == (9, 0)


def test_the_newest_place_of_an_actor_that_was_just_spawned(desk: Desk):
    assert desk.moves.newest(7, 10) == (7, 10, 0)
    desk.moves.restarting(7, 7)
    assert desk.moves.newest(7, 10) == (7, None, 0)
    desk.moves.moved(7, 8, 12, 4711, 1)
    assert desk.moves.newest(7, 10) == (8, 12, 1)
