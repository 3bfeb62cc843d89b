"""Keeps torch's compiler out of an actor until something is compiled. Installed by worker.py.

The first optimiser of a process imports `torch._dynamo`, 830 modules that take a second and 80 MB, in order to call
two functions of it that do nothing unless a compiler is tracing. A stand-in answers these two, and turns
into the module itself when anything else of it is wanted:

    import torch._dynamo ──► stand-in ── graph_break(), disable(f) ──► answered here
                                └────── any other name ──► the real module, loaded in place

Preloading the module in the nursery instead would make the first actor wait for it, or the nursery deaf
for a second later on; and actors that started before would pay in full.
"""

from __future__ import annotations

import functools
import sys
import threading
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType
from typing import Any

__all__ = ["install"]

NAME = "torch._dynamo"


def install() -> None:
    """From now on the first import of `torch._dynamo` gives the stand-in."""
    if NAME not in sys.modules and _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)


class _Finder:
    """An import hook. It finds the module as ever, and defers its execution."""

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name.startswith(f"{NAME}."):
            _real()  # a part of it is wanted: the whole comes first, as it does without us
        if name != NAME:
            return None
        others = (finder for finder in sys.meta_path if finder is not cls)
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Deferred(spec.loader)  # type: ignore[assignment]
        return spec


class _Deferred:
    """The loader of the stand-in; it keeps the loader of the real module."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._lock = threading.RLock()
        self._loading = False

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing yet."""

    def load(self, module: ModuleType) -> None:
        """Make the stand-in the real module; other threads wait. Within the loading itself: nothing."""
        with self._lock:
            if self._loading or type(module) is not _StandIn:
                return
            self._loading = True
            try:
                self._loader.exec_module(module)
            finally:
                self._loading = False
            assert module.__spec__ is not None
            module.__spec__.loader = module.__loader__ = self._loader
            module.__class__ = ModuleType  # type: ignore[assignment]


class _StandIn(ModuleType):
    """`torch._dynamo` while nothing is compiled."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.graph_break = _graph_break
        self.disable = _disable

    def __getattr__(self, name: str) -> Any:
        if name == "__all__" or not name.startswith("__"):  # tools ask every module for its dunder names
            _real()
            if name in vars(self):
                return vars(self)[name]
        raise AttributeError(f"module {NAME!r} has no attribute {name!r}")


def _real() -> ModuleType:
    """The module, made real."""
    module = sys.modules[NAME]
    loader = module.__loader__
    if isinstance(loader, _Deferred):
        loader.load(module)
    return module


def _graph_break(*_: Any, **__: Any) -> None:
    """Ends the graph being traced, and there is none."""


def _disable(fn: Any = None, *args: Any, **kwargs: Any) -> Any:
    """A function that keeps the compiler, once there is one, out of `fn`."""
    if not isinstance(fn, FunctionType):
        return _real().disable(fn, *args, **kwargs)
    disabled: list[Any] = []

    @functools.wraps(fn)
    def plain(*fn_args: Any, **fn_kwargs: Any) -> Any:
        if type(sys.modules[NAME]) is _StandIn:
            return fn(*fn_args, **fn_kwargs)
        if not disabled:
            disabled.append(sys.modules[NAME].disable(fn, *args, **kwargs))
        return disabled[0](*fn_args, **fn_kwargs)

    return plain
