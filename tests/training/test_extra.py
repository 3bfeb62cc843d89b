"""What people look at is an extra, and floor 3 says so by its name where it is missing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

import actorrl.training


def test_without_the_extra_train_names_it(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else found(name))

    with pytest.raises(ImportError, match=r"matplotlib: pip install 'actorrl\[cli\]'"):
        actorrl.training.require_extra()


def test_the_extra_is_looked_at_only_when_it_is_needed():
    code = (
        "import sys, actorrl, actorrl.training; actorrl.Central(environments=2); "
        "print([m for m in ('torch', 'rich', 'matplotlib', 'yaml', 'tensorboard') if m in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
