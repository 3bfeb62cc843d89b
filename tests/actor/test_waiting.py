"""Waiting while another thread settles futures, between any two looks at them."""

from __future__ import annotations

from typing import Any

from actorrl import as_completed, wait
from actorrl.actor.future import Future


class JustNow(Future[int]):
    """Gets done as soon as somebody has found that it is not."""

    def done(self) -> bool:
        found = super().done()
        if not found:
            self._settle(7)
        return found


def future() -> Any:
    return JustNow(None, "Counter", "add", 1)  # type: ignore[arg-type]


def test_one_that_gets_done_between_two_looks_is_done():
    one, other = future(), future()

    assert wait([one, other]) == ([one], [other])
    assert wait([future()], timeout=0)[1] == []
    assert [each.result() for each in as_completed([future(), future()])] == [7, 7]
