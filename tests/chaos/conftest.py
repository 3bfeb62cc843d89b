"""Minutes of bad weather: run by `make chaos`, left out elsewhere (see tests/conftest.py)."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest


@pytest.fixture
def seconds(request: pytest.FixtureRequest) -> float:
    """How long a test may go on, about."""
    return float(request.config.getoption("--chaos"))


@pytest.fixture
def time_left(seconds: float) -> Callable[[], bool]:
    """Whether there is time for one more round."""
    start = time.monotonic()
    return lambda: time.monotonic() - start < seconds
