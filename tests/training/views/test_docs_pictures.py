"""The pictures of the docs are made by a command, and not by hand."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

DOCS = Path(__file__).parents[3] / "docs"


def pictures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pictures", DOCS / "pictures.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_picture_of_the_page_is_one_that_the_command_makes():
    shown = set(re.findall(r"\]\(([\w-]+\.png)\)", (DOCS / "watching.md").read_text()))

    assert shown == {"plot.png", *pictures().SECTIONS}
