"""Whether an actor starts again, and when: the record of one actor, and the registry in any history."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actorrl.actor.deaths import End
from actorrl.actor.registry import DRIVER, Entry, Kill, Registry, Revive, Tell
from actorrl.actor.restarts import NEVER, Record, Terms


def end(actor: int = 1, reason: str = "exited", **more: Any) -> End:
    return End(actor, reason, "Counter", None, 123, **more)


def add(
    registry: Registry, terms: Terms, process: int = 10, place: int | None = None, owner: int = 0, **more: Any
) -> Entry:
    return registry.add(process, place, more.get("name"), "Counter", owner, DRIVER, "raise", (8, "block"), terms)


def news(orders: list[Any]) -> list[str]:
    return [order.message[0] if isinstance(order, Tell) else type(order).__name__ for order in orders]


def test_the_pause_doubles():
    record = Record(Terms(4, 60.0, 0.5))

    assert [record.died(0.0, end()) for _ in range(5)] == [0.5, 1.0, 2.0, 4.0, None]


def test_what_lies_before_the_window_is_forgotten_and_the_pause_begins_anew():
    record = Record(Terms(1, 10.0, 0.5))

    assert [record.died(now, end()) for now in (0.0, 10.0, 19.9, 20.0)] == [0.5, 0.5, None, 0.5]


def test_without_restarts_the_first_death_is_the_last():
    record = Record(NEVER)

    assert record.died(0.0, end()) is None
    assert record.verdict(end(exitcode=3)) == end(exitcode=3)


def test_a_loop_ends_with_its_first_error_and_with_what_only_the_last_death_knows():
    record = Record(Terms(2))
    record.died(0.0, end(exitcode=1, running="first", started={0: 4}, gone=10))
    record.died(1.0, end(exitcode=2, running="second"))
    last = end(exitcode=3, running="third", started={0: 9}, gone=12)
    assert record.died(2.0, last) is None

    verdict = record.verdict(last)
    assert (verdict.exitcode, verdict.running, verdict.deaths) == (1, "first", 3)
    assert (verdict.started, verdict.gone) == ({0: 9}, 12)


@given(
    st.integers(0, 5),
    st.floats(1, 100),
    st.floats(0, 10),
    st.lists(st.floats(0, 50), max_size=40),
)
def test_there_are_never_more_restarts_within_the_window_and_never_fewer(
    restarts: int, window: float, backoff: float, gaps: list[float]
):
    record, now, given_ = Record(Terms(restarts, window, backoff)), 0.0, []
    for gap in gaps:
        now += gap
        recent = [then for then in given_ if now - then < window]
        pause = record.died(now, end())
        assert (pause is None) == (len(recent) >= restarts)
        if pause is not None:
            assert pause == pytest.approx(backoff * 2 ** len(recent))
            given_.append(now)


def test_a_death_is_told_then_where_the_next_incarnation_is():
    registry = Registry()
    entry = add(registry, Terms(1, 60.0, 0.25), name="buffer")
    orders = registry.end(end(entry.actor, exitcode=3), {DRIVER}, 5.0)

    told, revive = [order for order in orders if order != orders[0]]
    assert news(orders) == ["restart", "restarting", "Revive"]
    assert (told.process, told.message[1].exitcode, told.message[2]) == (None, 3, 1)
    assert revive == Revive(entry.actor, 0.25)
    assert registry.find("buffer") is entry
    assert (entry.waiting, registry.inhabitants(10)) == (True, [])

    [moved] = registry.revived(entry.actor, 12, 4711)
    assert moved == Tell(None, ("moved", entry.actor, 2, 12, 4711, 1))
    assert registry.inhabitants(12) == [entry]
    assert (registry.at(1), registry.at(2)) == (None, entry)


def test_news_of_an_earlier_incarnation_are_nothing():
    registry = Registry()
    entry = add(registry, Terms(1))
    registry.end(end(entry.actor), {DRIVER})
    registry.revived(entry.actor, 12, 4711)

    assert registry.end(end(entry.actor), {DRIVER}) == []
    assert not entry.waiting


def test_past_its_restarts_the_death_is_a_failure():
    registry = Registry()
    entry = add(registry, Terms(1))
    registry.end(end(entry.actor, exitcode=1), {DRIVER})
    registry.revived(entry.actor, 12, 4711)
    [told] = registry.end(end(entry.address, exitcode=2), {DRIVER, 12})

    assert told.message == ("ended", registry.ends[entry.actor], True)
    assert (registry.ends[entry.actor].exitcode, registry.ends[entry.actor].deaths) == (1, 2)
    assert news(registry.had(entry.actor, DRIVER, 0) + registry.had(entry.actor, 12, 0)) == ["unreceived"]


@pytest.mark.parametrize("reason", ["stopped", "killed", "owner ended", "system shut down"])
def test_an_end_that_was_asked_for_is_the_end(reason: str):
    registry = Registry()
    entry = add(registry, Terms(5))

    assert news(registry.end(end(entry.actor, reason), {DRIVER})) == ["ended"]


def test_what_was_asked_to_end_does_not_start_again_however_it_dies():
    registry = Registry()
    entry = add(registry, Terms(5))
    assert registry.finish(entry.actor, "stopped") == []

    assert news(registry.end(end(entry.actor), {DRIVER})) == ["ended"]


@pytest.mark.parametrize("reason", ["stopped", "killed"])
def test_one_that_waits_ends_when_it_is_asked_to(reason: str):
    registry = Registry()
    entry = add(registry, Terms(5), name="a")
    registry.end(end(entry.actor), {DRIVER})
    [told] = registry.finish(entry.actor, reason)

    assert (told.message[0], told.message[1].reason, told.message[2]) == ("ended", reason, False)
    with pytest.raises(LookupError):
        registry.find("a")
    assert registry.finish(entry.actor, reason) == []


def test_a_restarted_owner_starts_without_children():
    registry = Registry()
    owner = add(registry, Terms(1))
    own, shared = add(registry, Terms(5), 11, None, owner.actor), add(registry, Terms(5), 12, 3, owner.actor)
    waiting = add(registry, Terms(5), 13, None, owner.actor)
    registry.end(end(waiting.actor), {DRIVER})
    orders = registry.end(end(owner.actor), {DRIVER})

    assert orders[2:4] == [Kill(own.process), Tell(shared.process, ("leave", shared.address))]
    assert (orders[4].message[0], orders[4].message[1].actor) == ("ended", waiting.actor)
    assert orders[5:] == [Revive(owner.actor, 0.1)]
    assert news(registry.end(end(shared.actor), {DRIVER})) == ["ended"], "though it may have died by itself"


def test_nobody_could_send_the_constructor_of_one_whose_owners_process_is_gone():
    registry = Registry()
    lives, waits = (registry.add(n, None, None, "Counter", 0, 50, "raise", (8, "block"), Terms(5)) for n in (10, 11))
    registry.end(end(waits.actor), {DRIVER, 50})
    assert waits.waiting
    orders = registry.gone(50)

    assert orders[0] == Kill(lives.process)
    assert (orders[1].message[0], orders[1].message[1].reason) == ("ended", "owner ended")
    other = registry.add(12, None, None, "Counter", 0, 51, "raise", (8, "block"), Terms(5))
    assert news(registry.end(end(other.actor), {DRIVER})) == ["ended"]


class Supervision(RuleBasedStateMachine):
    """Any history: what waits was restarted by its terms, addresses are never used again, orphans do not live."""

    def __init__(self) -> None:
        super().__init__()
        self.registry, self.now = Registry(), 0.0
        self.due: dict[int, float] = {}
        self.told: dict[int, list[tuple[str, int]]] = {}
        self.restarts: dict[int, list[float]] = {}
        self.asked: set[int] = set()
        self.process = 5000

    def carry_out(self, orders: list[Any]) -> None:
        for order in orders:
            if isinstance(order, Kill):
                for entry in self.registry.inhabitants(order.process):
                    self.ends(entry, "owner ended")
            elif isinstance(order, Revive):
                assert order.actor not in self.due
                self.due[order.actor] = self.now + order.delay
                self.restarts.setdefault(order.actor, []).append(self.now)
            elif order.message[0] == "leave":
                self.ends(self.registry.at(order.message[1]), "owner ended")
            elif order.message[0] == "restarting":
                self.told.setdefault(order.message[1].actor, []).append(("restarting", order.message[2]))
            elif order.message[0] == "moved":
                self.told[order.message[1]].append(("moved", order.message[2]))
            elif order.message[0] == "ended":
                self.told.setdefault(order.message[1].actor, []).append(("ended", 0))

    def ends(self, entry: Entry | None, reason: str) -> None:
        if entry is not None and not entry.waiting:
            self.carry_out(self.registry.end(end(entry.address, reason), {DRIVER}, self.now))

    def pick(self, data: st.DataObject, waiting: bool | None = None) -> Entry | None:
        found = [one for one in self.registry.entries.values() if waiting is None or one.waiting is waiting]
        return data.draw(st.sampled_from(found)) if found else None

    @rule(data=st.data(), restarts=st.integers(0, 3), place=st.sampled_from([None, 0, 1]))
    def spawn(self, data: st.DataObject, restarts: int, place: int | None) -> None:
        alive = [actor for actor, one in self.registry.entries.items() if not one.waiting]
        owner = data.draw(st.sampled_from([0, *alive]))
        self.process += 1
        process = self.process if place is None else 1000 + place
        add(self.registry, Terms(restarts, 20.0, 1.0), process, place, owner)

    @rule(data=st.data(), reason=st.sampled_from(["exited", "exited", "constructor failed", "stopped"]))
    def dies(self, data: st.DataObject, reason: str) -> None:
        self.ends(self.pick(data, waiting=False), reason)

    @rule(place=st.sampled_from([0, 1]))
    def a_place_dies(self, place: int) -> None:
        for entry in self.registry.inhabitants(1000 + place):
            self.ends(self.registry.at(entry.address), "exited")

    @rule(data=st.data(), reason=st.sampled_from(["stopped", "killed"]))
    def is_asked_to_end(self, data: st.DataObject, reason: str) -> None:
        entry = self.pick(data)
        if entry is not None:
            self.asked.add(entry.actor)
            self.carry_out(self.registry.finish(entry.actor, reason))

    @rule(seconds=st.floats(0, 15))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for actor in [actor for actor, when in self.due.items() if when <= self.now]:
            del self.due[actor]
            entry = self.registry.entries.get(actor)
            if entry is not None:
                assert actor not in self.asked
                self.process += 1
                process = self.process if entry.place is None else 1000 + entry.place
                self.carry_out(self.registry.revived(actor, process, 1))

    @invariant()
    def it_is_consistent(self) -> None:
        entries = self.registry.entries
        for entry in entries.values():
            assert entry.owner == 0 or (entry.owner in entries and not entries[entry.owner].waiting)
            assert self.registry.at(entry.address) is entry
            assert not entry.waiting or entry.actor in self.due
        for actor, history in self.told.items():
            kinds = [kind for kind, _ in history]
            alternating = ["restarting", "moved"] * len(history)
            ended = kinds[-1] == "ended"
            assert kinds[: len(kinds) - ended] == alternating[: len(kinds) - ended]
            assert ended == (actor not in entries)
            moved = [address for kind, address in history if kind == "moved"]
            assert moved == sorted(set(moved))
        for times in self.restarts.values():
            for index in range(len(times)):
                assert sum(times[index] <= then < times[index] + 20.0 for then in times) <= 3


Supervision.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
test_the_registry_restarts_by_its_terms_in_any_history = Supervision.TestCase
