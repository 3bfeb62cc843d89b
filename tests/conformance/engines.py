"""Marks for the tests that are about one of the two engines; the others run on both."""

from __future__ import annotations

import pytest

ENGINES = ["inline", "processes"]
only_processes = pytest.mark.parametrize("engine", ["processes"], indirect=True, scope="module")
only_inline = pytest.mark.parametrize("engine", ["inline"], indirect=True, scope="module")
