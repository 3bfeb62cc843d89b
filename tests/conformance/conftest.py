"""The systems that the conformance tests run in: one per module and engine, for speed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from engines import ENGINES
from gates import Gate

from actorrl import System, fetch


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of the engine of the system that runs."""
    with System(engine=request.param, seed=0):
        yield request.param


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of one engine together in each module, so that each system starts once."""
    first: dict[str, int] = {}
    for place, item in enumerate(items):
        first.setdefault(item.nodeid.split("::")[0], place)

    def key(item: pytest.Item) -> tuple[int, int]:
        engine = getattr(item, "callspec", None) and item.callspec.params.get("engine")
        return first[item.nodeid.split("::")[0]], ENGINES.index(engine) if engine in ENGINES else -1

    items.sort(key=key)


@pytest.fixture(autouse=True)
def no_failure_is_left_over(request: pytest.FixtureRequest) -> Iterator[None]:
    """A failure that a test caused and nobody took would be raised in the next one: say whose it is."""
    yield
    if "engine" in request.fixturenames:
        fetch([])


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A door for one handler, opened at the end at the latest."""
    door = Gate()
    yield door
    door.open()
