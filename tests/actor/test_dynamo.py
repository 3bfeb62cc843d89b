"""The stand-in for torch's compiler: out of the way until it is wanted, and then the module itself."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from actorrl.actor import dynamo

FAKE = {
    "torch/__init__.py": "",
    "torch/_dynamo/__init__.py": """
        from . import config
        from .decorators import disable, graph_break
        import gate
        gate.entered.set()
        assert gate.open.wait(30)
        __all__ = ["config", "disable"]
        last = "loaded to its end"
        """,
    "torch/_dynamo/config.py": "import torch._dynamo\nlevel = 3",
    "torch/_dynamo/decorators.py": """
        def graph_break(): raise RuntimeError("only a stand-in answers this")
        def disable(fn, recursive=True, wrapping=True):
            return lambda *args: ("disabled", fn(*args))
        """,
}


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A torch of our own to import, whose compiler loads to its end once the gate is open."""
    for name, text in FAKE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    real = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "torch"}
    for name in real:
        monkeypatch.delitem(sys.modules, name)
    gate: Any = ModuleType("gate")
    gate.entered, gate.open = threading.Event(), threading.Event()
    gate.open.set()
    monkeypatch.setitem(sys.modules, "gate", gate)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    dynamo.install()
    yield gate
    for name in [name for name in sys.modules if name.split(".")[0] == "torch"]:
        del sys.modules[name]


def test_the_two_functions_that_every_optimiser_calls_load_nothing(gate: Any):
    module = importlib.import_module("torch._dynamo")
    module.graph_break()
    double = module.disable(lambda n: 2 * n, True, wrapping=False)

    assert double(4) == 8
    assert not gate.entered.is_set()
    assert "torch._dynamo.config" not in sys.modules


@pytest.mark.parametrize(
    "wish",
    [
        "import torch._dynamo; assert torch._dynamo.last",
        "from torch._dynamo import last",
        "from torch._dynamo import *; assert disable",
        "import torch._dynamo.config as config; assert config.level == 3",
        "from torch._dynamo import config; assert config.level == 3",
        "import torch._dynamo; torch._dynamo.disable(dict)",
    ],
)
def test_anything_else_is_answered_by_the_module_itself(gate: Any, wish: str):
    exec(wish, {})
    module = sys.modules["torch._dynamo"]

    assert type(module) is ModuleType
    assert module.last == "loaded to its end"
    assert module.__spec__ is not None and module.__spec__.loader is module.__loader__
    assert not isinstance(module.__loader__, dynamo._Deferred)


def test_a_function_that_was_disabled_before_is_disabled_by_the_compiler_once_there_is_one(gate: Any):
    module = importlib.import_module("torch._dynamo")
    double = module.disable(lambda n: 2 * n)
    assert double(4) == 8
    assert module.last

    assert double(4) == ("disabled", 8)


def test_what_the_module_has_not_is_an_attribute_error(gate: Any):
    module: Any = importlib.import_module("torch._dynamo")
    assert not hasattr(module, "__warningregistry__")
    assert not gate.entered.is_set(), "tools ask every module for such names"

    with pytest.raises(AttributeError, match=r"torch._dynamo.*nonsense"):
        module.nonsense  # noqa: B018


def test_a_thread_that_comes_while_another_loads_waits_for_the_end(gate: Any):
    gate.open.clear()
    module: Any = importlib.import_module("torch._dynamo")
    got: list[str] = []
    threads = [threading.Thread(target=lambda: got.append(module.last)) for _ in range(2)]
    threads[0].start()
    assert gate.entered.wait(30)
    threads[1].start()
    assert got == []
    gate.open.set()
    for thread in threads:
        thread.join(30)

    assert got == ["loaded to its end"] * 2


def test_a_compiler_that_is_there_already_stays(gate: Any):
    module = sys.modules["torch._dynamo"] = ModuleType("torch._dynamo")
    sys.meta_path.remove(dynamo._Finder)
    dynamo.install()

    assert dynamo._Finder not in sys.meta_path
    assert importlib.import_module("torch._dynamo") is module


@pytest.mark.slow
def test_torch_itself_optimises_without_it_and_compiles_with_it():
    pytest.importorskip("torch")
    code = """
        import sys, torch
        from actorrl.actor import dynamo
        dynamo.install()
        weight = torch.nn.Parameter(torch.ones(3))
        for kind in (torch.optim.SGD, torch.optim.Adam, torch.optim.RMSprop):
            optimiser = kind([weight], lr=0.1)
            weight.sum().backward()
            optimiser.step()
        assert "torch._dynamo.utils" not in sys.modules
        compiled = torch.compile(lambda x: x + 1, backend="eager")
        assert compiled(torch.ones(1)).item() == 2
        assert "torch._dynamo.utils" in sys.modules
        optimiser.step()
        print("fine")
        """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=100)

    assert done.stdout == "fine\n", done.stderr
