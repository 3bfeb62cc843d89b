"""The one system that most conformance tests share, per engine: starting one per test would take minutes."""

from __future__ import annotations

import os
import tempfile

import pytest
import strays

from actorrl import System


class Shared:
    """Runs at most one system, and looks for what it left behind when it ends."""

    name: str | None = None

    def use(self, name: str) -> None:
        """Let a system with the engine `name` run."""
        if self.name == name:
            return
        self.close()
        self.open = len(strays.connections())
        self.before = strays.processes(os.environ[strays.MARK]), strays.files(tempfile.gettempdir())
        self.system = System(engine=name, seed=0)
        self.system.__enter__()
        self.name = name

    def close(self) -> None:
        """End it, if one runs: no process and no file of it may be left."""
        if self.name is None:
            return
        on_ray, self.name = self.name == "ray", None
        self.system.__exit__(None, None, None)
        # Ray keeps some of its own until the program ends.
        assert on_ray or len(strays.connections()) <= self.open, "the system has left sockets or pipes open"
        strays.assert_gone(os.environ[strays.MARK], tempfile.gettempdir(), within=5.0, known=self.before)


shared = Shared()


def wanted(item: pytest.Item | None) -> str | None:
    """The engine of the shared system that a test runs in, if it does."""
    if item is None or "conformance" not in item.path.parts:
        return None  # other tests may have an `engine` too, and systems of their own
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("engine") if callspec else None


def named(item: pytest.Item) -> str | None:
    """The engine of the system that a test starts itself, where it does so for several."""
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("engine_name") if callspec else None
