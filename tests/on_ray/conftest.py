"""For tests with a Ray of their own: what it leaves in this process until the program ends is not ours to close."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def nothing_stays_open() -> None:
    """In place of the check for sockets and threads."""


@pytest.fixture(autouse=True, scope="module")
def nothing_outlives_its_module() -> None:
    """In place of the check for processes and files: several nodes write where Ray always does."""
