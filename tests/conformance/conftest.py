"""What the conformance tests ask for: an engine whose system runs, and gates."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from engines import ENGINES, RAY_ALONE
from gates import Gate
from shared_system import named, shared, wanted

from actorrl import fetch


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The name of the engine of the shared system, which runs."""
    shared.use(request.param)
    return str(request.param)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests with systems of their own first, then those that share one, engine by engine, so that each starts once."""
    ours = [place for place, item in enumerate(items) if "conformance" in item.path.parts]
    order = [None, *ENGINES, "inline", "processes", "ray"]
    by_engine = sorted((items[place] for place in ours), key=lambda item: order.index(wanted(item)))
    for place, item in zip(ours, by_engine, strict=True):
        items[place] = item
    if RAY_ALONE:
        others = [item for item in items if "conformance" in item.path.parts and not runs_on_ray(item)]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]  # with those of tests/on_ray, all of them


def runs_on_ray(item: pytest.Item) -> bool:
    """Whether a test is about the engine that is tested."""
    return wanted(item) == "ray" or named(item) == "ray"


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
