"""What `actorrl` exports: a sorted list, every name of it there, and nothing heavy imported before it is used."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import actorrl


def modules_after(statement: str) -> set[str]:
    """The names of the modules a fresh interpreter holds after a statement."""
    script = f"{statement}\nimport sys\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return set(run.stdout.split())


def test_the_list_of_names_is_sorted_and_has_no_double():
    assert actorrl.__all__ == sorted(set(actorrl.__all__))


@pytest.mark.parametrize("name", actorrl.__all__)
def test_every_name_resolves(name: str):
    assert getattr(actorrl, name) is not None


def test_an_unknown_name_is_an_attribute_error_that_says_where_to_look():
    with pytest.raises(AttributeError, match=r"nonesuch.*__all__"):
        _ = actorrl.nonesuch


def test_dir_lists_every_name():
    assert set(actorrl.__all__) <= set(dir(actorrl))


def test_star_import_brings_every_name():
    namespace: dict[str, object] = {}
    exec("from actorrl import *", namespace)
    assert set(actorrl.__all__) <= namespace.keys()


def test_type_checkers_and_the_interpreter_find_the_same_names_in_the_same_places():
    tree = ast.parse(Path(actorrl.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    homes = {
        alias.name: statement.module
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }

    assert sorted(homes) == actorrl.__all__
    for name, home in homes.items():
        if name != "errors":
            assert getattr(importlib.import_module(str(home)), name) is getattr(actorrl, name)


def test_importing_actorrl_imports_nothing_heavy():
    heavy = {"torch", "gymnasium", "numpy", "zmq", "matplotlib", "rich"}

    assert not heavy & modules_after("import actorrl")


def test_using_the_runtime_imports_neither_torch_nor_gymnasium():
    assert not {"torch", "gymnasium"} & modules_after("from actorrl import remote, startat, fetch")


def test_the_package_says_that_it_is_typed():
    assert (Path(actorrl.__file__).parent / "py.typed").exists()
