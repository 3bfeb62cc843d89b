"""Which engines the conformance tests run on, and marks for those that are about some of them.

`inline` and `processes` where nothing else is said; `make ray` says `ACTORRL_ENGINES=ray`, and then what is marked
`only_processes` runs there too: processes are processes, whoever starts them.
"""

from __future__ import annotations

import os

import pytest

ENGINES = os.environ.get("ACTORRL_ENGINES", "inline,processes").split(",")
RAY_ALONE = ENGINES == ["ray"]
PROCESSES = "ray" if RAY_ALONE else "processes"
"""The engine with processes of its own that is tested."""
only_processes = pytest.mark.parametrize("engine", [PROCESSES], indirect=True, scope="module")
only_inline = pytest.mark.parametrize("engine", ["inline"], indirect=True, scope="module")
beside_inline = pytest.mark.parametrize("engine_name", [PROCESSES])
"""For a test that starts systems itself, of the engine inline and of this one."""


def not_on_ray(why: str) -> pytest.MarkDecorator:
    """A test of something that Ray does not let us keep; docs/cluster.md says it."""
    return pytest.mark.skipif(RAY_ALONE, reason=f"on Ray {why}")
