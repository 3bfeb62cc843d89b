"""Who is woken by a message: the actor's thread, unless it is the one that puts it there and looks by itself."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from actorrl.actor.host import Host
from actorrl.actor.mailbox import Mailbox
from actorrl.actor.receiver import Waiter


def host_of(resident: Any) -> Host:
    host = Host.__new__(Host)
    host.residents = {7: resident}
    host.ended = set()
    host._place = None
    host._post = SimpleNamespace(receiver=SimpleNamespace(nudge=lambda: None))  # type: ignore[assignment]
    return host


@pytest.mark.parametrize("way", ["one", "many", "group"])
@pytest.mark.parametrize("parked", [False, True])
@pytest.mark.parametrize("own_thread", [False, True])
def test_whoever_sleeps_at_its_waiter_is_woken_also_by_its_own_thread(way: str, parked: bool, own_thread: bool):
    """The actor's thread may take the lead while it sleeps at its waiter, and so put its next message there itself."""
    thread = threading.get_ident() if own_thread else -1
    resident = SimpleNamespace(mailbox=Mailbox(), waiter=Waiter(), thread=thread, parked=parked)
    host = host_of(resident)
    if way == "one":
        assert host.put_one(1, (7, 1, "add", (1,)))
    elif way == "many":
        host.put_plain(1, [(7, 1, "add", (1,)), (7, 2, "add", (1,))])
    else:
        host.put_plain(1, [((7,), (1,), "add", (1,))])

    assert len(resident.mailbox) == (2 if way == "many" else 1)
    assert resident.waiter.ready() is (parked or not own_thread)
