"""What the nursery orders when actors and processes come and go. Events in, orders out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actorrl.actor import registry as module
from actorrl.actor.deaths import End
from actorrl.actor.registry import DRIVER, Entry, Kill, Registry, Tell


def add(
    registry: Registry, process: int = 10, place: int | None = None, name: str | None = None, owner: int = 0,
    owner_process: int = DRIVER,
) -> Entry:  # fmt: skip
    return registry.add(process, place, name, "Counter", owner, owner_process, "raise")


def end(entry: Entry, reason: str = "exited") -> End:
    return End(entry.actor, reason, "", None, 123)


def test_actors_are_numbered_from_the_first():
    registry = Registry(first=100)

    assert [add(registry).actor for _ in range(3)] == [100, 101, 102]


def test_a_name_is_one_living_actors():
    registry = Registry()
    entry = add(registry, name="buffer")
    with pytest.raises(ValueError, match=r"'buffer' is taken by actor #1, a Counter"):
        registry.check_name("buffer")
    registry.check_name("other")
    registry.check_name(None)

    assert registry.find("buffer") is entry
    registry.end(end(entry, "stopped"), {DRIVER})
    registry.check_name("buffer")
    with pytest.raises(LookupError, match=r"no actor is named 'buffer'; named are: none"):
        registry.find("buffer")


def test_an_unknown_name_lists_those_that_are_known():
    registry = Registry()
    add(registry, name="a")
    add(registry, name="b")

    with pytest.raises(LookupError, match="named are: a, b"):
        registry.find("c")


def test_everyone_hears_of_an_end_with_its_class_and_name():
    registry = Registry()
    entry = add(registry, name="buffer")
    orders = registry.end(end(entry, "stopped"), {DRIVER, 10})

    told = End(entry.actor, "stopped", "Counter", "buffer", 123)
    assert orders == [Tell(None, ("ended", told, False))]
    assert registry.ends[entry.actor] == told
    assert registry.entries == {}


def test_an_end_is_told_once():
    registry = Registry()
    entry = add(registry)
    registry.end(end(entry), {DRIVER})

    assert registry.end(end(entry), {DRIVER}) == []


def test_children_end_with_their_owner_by_kill_or_alone_where_the_place_is_shared():
    registry = Registry()
    owner = add(registry)
    own = add(registry, process=11, owner=owner.actor, owner_process=10)
    shared = add(registry, process=12, place=3, owner=owner.actor, owner_process=10)
    add(registry, process=13)
    orders = registry.end(end(owner, "killed"), {DRIVER})

    assert orders[1:] == [Kill(own.process), Tell(12, ("leave", shared.actor))]


@pytest.mark.parametrize("counts", [[1, 0], [0, 2], [3, 4]])
def test_a_death_that_somebody_received_is_no_failure(counts: list[int]):
    registry = Registry()
    entry = add(registry)
    registry.end(end(entry), {DRIVER, 11})
    orders = [*registry.had(entry.actor, DRIVER, counts[0]), *registry.had(entry.actor, 11, counts[1])]

    assert orders == []


def test_a_death_that_nobody_received_is_its_owners_once_all_have_answered():
    registry = Registry()
    entry = add(registry, owner=5, owner_process=11)
    [told] = registry.end(end(entry), {DRIVER, 11})
    assert told.message[2] is True, "all are asked"

    assert registry.had(entry.actor, DRIVER, 0) == []
    [order] = registry.had(entry.actor, 11, 0)
    assert order == Tell(11, ("unreceived", registry.ends[entry.actor], 5, "raise"))
    assert registry.had(entry.actor, 11, 0) == []
    assert registry.conclude(entry.actor) == []


def test_an_inquiry_ends_when_the_time_is_up():
    registry = Registry()
    received, unreceived = add(registry), add(registry)
    for entry in (received, unreceived):
        registry.end(end(entry), {DRIVER, 11})
    registry.had(received.actor, DRIVER, 1)

    assert registry.conclude(received.actor) == []
    assert registry.conclude(unreceived.actor)[0].message[0] == "unreceived"


def test_a_process_that_is_gone_answers_no_inquiry():
    registry = Registry()
    entry = add(registry)
    registry.end(end(entry), {DRIVER, 11})
    registry.had(entry.actor, DRIVER, 0)

    assert [order.message[0] for order in registry.gone(11)] == ["unreceived"]
    assert registry.gone(11) == []


@pytest.mark.parametrize("reason", ["stopped", "killed", "owner ended", "system shut down"])
def test_nobody_is_asked_after_an_end_that_was_asked_for(reason: str):
    registry = Registry()
    entry = add(registry)
    [order] = registry.end(end(entry, reason), {DRIVER})

    assert order.message[2] is False
    assert registry.had(entry.actor, DRIVER, 0) == []


def test_the_inhabitants_of_a_place():
    registry = Registry()
    first, second = add(registry, 12, 3), add(registry, 12, 3)
    add(registry, 13)

    assert registry.inhabitants(12) == [first, second]


def test_old_ends_are_forgotten_oldest_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "REMEMBERED", 2)
    registry = Registry()
    for _ in range(4):
        registry.end(end(add(registry), "stopped"), {DRIVER})

    assert list(registry.ends) == [3, 4]


class Nursery(RuleBasedStateMachine):
    """Any history: whoever is alive has a living owner, names are those of the living, each end is told once."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = Registry()
        self.told: list[int] = []
        self.unreceived: list[int] = []
        self.received: set[int] = set()
        self.asked: dict[int, set[int]] = {}

    def carry_out(self, orders: list[Any]) -> None:
        for order in orders:
            if isinstance(order, Kill):
                for entry in self.registry.inhabitants(order.process):
                    self.ends(entry, "owner ended")
            elif order.message[0] == "leave":
                entry = self.registry.entries.get(order.message[1])
                if entry is not None:
                    self.ends(entry, "owner ended")
            elif order.message[0] == "ended":
                self.told.append(order.message[1].actor)
            else:
                self.unreceived.append(order.message[1].actor)

    def ends(self, entry: Entry, reason: str) -> None:
        alive = {DRIVER, 1000}
        if reason == "exited":
            self.asked[entry.actor] = set(alive)
        self.carry_out(self.registry.end(end(entry, reason), alive))

    @rule(data=st.data(), place=st.sampled_from([None, 0, 1]), name=st.sampled_from([None, "a", "b"]))
    def spawn(self, data: st.DataObject, place: int | None, name: str | None) -> None:
        owner = data.draw(st.sampled_from([0, *self.registry.entries]))
        try:
            self.registry.check_name(name)
        except ValueError:
            assert any(entry.name == name for entry in self.registry.entries.values())
            return
        process = 2000 + self.registry._next if place is None else 1000 + place
        assert add(self.registry, process, place, name, owner).actor in self.registry.entries

    @precondition(lambda self: self.registry.entries)
    @rule(data=st.data(), reason=st.sampled_from(["stopped", "killed", "exited"]))
    def an_actor_ends(self, data: st.DataObject, reason: str) -> None:
        self.ends(self.registry.entries[data.draw(st.sampled_from(list(self.registry.entries)))], reason)

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), count=st.integers(0, 1))
    def a_process_answers(self, data: st.DataObject, count: int) -> None:
        actor = data.draw(st.sampled_from(list(self.asked)))
        process = self.asked[actor].pop()
        if count:
            self.received.add(actor)
        self.carry_out(self.registry.had(actor, process, count))
        if not self.asked[actor]:
            del self.asked[actor]
            assert (actor in self.received) is not (actor in self.unreceived)

    @invariant()
    def the_living_are_consistent(self) -> None:
        living = self.registry.entries
        assert all(entry.owner == 0 or entry.owner in living for entry in living.values())
        assert self.registry._names == {entry.name: entry.actor for entry in living.values() if entry.name}
        assert sorted(self.told) == sorted(set(self.told)) == sorted(self.registry.ends)
        assert not set(living) & set(self.told)
        assert len(self.unreceived) == len(set(self.unreceived))
        assert set(self.registry._inquiries) == set(self.asked)


Nursery.TestCase.settings = settings(max_examples=40, stateful_step_count=25)
test_the_registry_is_consistent_in_any_history = Nursery.TestCase
