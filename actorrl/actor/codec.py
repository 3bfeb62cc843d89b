"""How objects become bytes and objects again: one pickler that knows what the other process knows.

Both engines encode every argument, result and error with `encode` and decode it with `decode`.

- Arrays and tensors are written by hand: small ones as their bytes, large ones as a buffer of
  their own. They arrive private, writable and aligned.
- A class or function that the other side cannot import (of `__main__`, a notebook, a test) crosses
  once per process, with a key; afterwards the key alone travels. Keys belong to objects, not to
  names, so a redefined class is a new one, and an object that comes home is the one that left.
- Everything else is left to the C pickler.
"""

from __future__ import annotations

import copyreg
import io
import itertools
import os
import pickle
import secrets
import sys
import threading
import types
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import cloudpickle

from .arrays import private, reduce_array, reduce_tensor
from .lean import LEAN, read_lean, write_lean

__all__ = ["Encoded", "by_identity", "decode", "encode"]

PLAIN = frozenset({int, float, str, bytes, bool, type(None)})
_origin = secrets.token_hex(6)  # of this process, among those of all machines
_counter = itertools.count()
_lock = threading.RLock()
_keys: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()  # object -> key
_own: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()  # key -> object made here
_objects: dict[str, Any] = {}  # key -> object that arrived, kept: the sender counts on it
_complete: set[str] = set()  # keys whose object has its state
_by_name: weakref.WeakSet[Any] = weakref.WeakSet()  # classes and functions that others can import
_reducers = cloudpickle.Pickler.dispatch_table.maps[0]  # the second of the chain is copyreg's
by_identity: weakref.WeakSet[Any] = weakref.WeakSet()
"""Functions that are sent once however they were made: those under `@remote`."""


class Encoded:
    """A message body: the pickle, its large buffers, and the keys it defines on arrival."""

    __slots__ = ("buffers", "data", "defines")

    def __init__(self, data: bytes, buffers: Sequence[Any] = (), defines: Sequence[str] = ()) -> None:
        self.data, self.buffers, self.defines = data, buffers, defines

    def sealed(self) -> Encoded:
        """The same with its large buffers copied: from now on the sender may change its arrays."""
        self.buffers = private(self.buffers)
        return self

    @property
    def size(self) -> int:
        """How many bytes it brings."""
        return len(self.data) + sum(memoryview(buffer).nbytes for buffer in self.buffers)


def encode(value: Any, known: set[str] | None = None) -> Encoded:
    """Pickle `value` for a process that already has the definitions in `known`.

    The caller adds `.defines` to `known` once the message is on its way.

    Raises:
        Whatever the value's own pickling raises; TypeError for a CUDA tensor or a Future.
    """
    if type(value) in PLAIN or (type(value) is tuple and all(type(item) in PLAIN for item in value)):
        return Encoded(pickle.dumps(value, 5))
    made = write_lean((value,), args=False)
    if made is not None:
        return Encoded(*made)
    try:
        return _encode(value, known)
    except pickle.PicklingError:
        if not _by_name:
            raise
        _by_name.clear()  # a module was reloaded: what had its name there may have lost it
        return _encode(value, known)


def _encode(value: Any, known: set[str] | None) -> Encoded:
    stream = io.BytesIO()
    pickler = _Pickler(stream, known if known is not None else set())
    pickler.dump(value)
    return Encoded(stream.getvalue(), pickler.buffers, pickler.defines)


def encode_args(args: tuple[Any, ...], kwargs: dict[str, Any], known: set[str] | None) -> Encoded:
    """`encode((args, kwargs))`, without the pickler's overhead for plain arguments."""
    if not kwargs:
        if all(type(item) in PLAIN for item in args):
            return Encoded(pickle.dumps((args, kwargs), 5))
        made = write_lean(args, args=True)
        if made is not None:
            return Encoded(*made)
    return encode((args, kwargs), known)


def decode(data: Any, buffers: Sequence[Any] = (), known: set[str] | None = None) -> Any:
    """The object that `encode` was given. Definitions it brings are added to `known`, the sender's."""
    if data[0] < LEAN:
        return read_lean(data, buffers)
    if known is None:
        return pickle.loads(data, buffers=buffers)
    with _lock:
        arrived = _arrivals.keys = []
        try:
            value = pickle.loads(data, buffers=buffers)
        except BaseException:
            for key in arrived:
                if key not in _complete:
                    _objects.pop(key, None)
            raise
        finally:
            _arrivals.keys = []
        known.update(arrived)
        return value


class _Arrivals(threading.local):
    keys: list[str] = []


_arrivals = _Arrivals()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def __init__(self, stream: io.BytesIO, known: set[str]) -> None:
        self.buffers: list[pickle.PickleBuffer] = []
        self.defines: list[str] = []
        self._known = known
        # One dict, in place of cloudpickle's chain of two: every object is looked up here.
        self.dispatch_table = {**copyreg.dispatch_table, **_reducers}
        super().__init__(stream, protocol=5, buffer_callback=self.buffers.append)

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is types.FunctionType or isinstance(obj, type):
            return NotImplemented if obj in _by_name else self._definition(obj)
        module = kind.__module__
        if module == "numpy":
            return reduce_array(obj)
        if type(module) is str and module.startswith("torch"):  # Cython's functions have a descriptor there
            return reduce_tensor(obj)
        if isinstance(obj, types.FunctionType):  # what only says that it is one: a proxy
            return super().reducer_override(obj)
        return NotImplemented  # as cloudpickle's own says of what is neither class nor function

    def _definition(self, obj: Any) -> Any:
        key = _keys.get(obj)
        if key is None:
            _register_module(obj)
        elif key in self._known or key in self.defines:
            return find_definition, (key,)
        recipe = super().reducer_override(obj)
        if recipe is NotImplemented:
            _by_name.add(obj)
        if not isinstance(recipe, tuple) or len(recipe) < 6:
            return recipe
        if key is None:
            if isinstance(obj, types.FunctionType) and "<locals>" in obj.__qualname__ and obj not in by_identity:
                return recipe  # a closure is data: its cells may differ the next time
            with _lock:
                key = _keys.setdefault(obj, f"{_origin}.{next(_counter)}")
                _own[key] = obj
        self.defines.append(key)
        make, args, state, _, _, setter = recipe[:6]
        return _define, (key, make, args), (key, setter, state), None, None, _set_state


def key_of(obj: Any) -> str | None:
    """The key under which a class or function has crossed, or arrived; None if it has not."""
    return _keys.get(obj)


def find_definition(key: str) -> Any:
    """The class or function that a key names here. UnpicklingError if it has not arrived."""
    obj = _objects.get(key, _own.get(key))
    if obj is None:
        raise pickle.UnpicklingError(f"the definition {key} has not arrived in this process, or failed to load")
    return obj


def _define(key: str, make: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    obj = _objects.get(key, _own.get(key))
    if obj is None:
        obj = _objects[key] = make(*args)
        _keys[obj] = key
        _arrivals.keys.append(key)
    return obj


def _set_state(obj: Any, state: tuple[str, Callable[[Any, Any], None], Any]) -> None:
    key, setter, inner = state
    if key in _arrivals.keys and key not in _complete:
        setter(obj, inner)
        _complete.add(key)


_importable: weakref.WeakKeyDictionary[types.ModuleType, bool] = weakref.WeakKeyDictionary()


def _register_module(obj: Any) -> None:
    """Send the objects of a module by value where another process could not import it by its name."""
    module = sys.modules.get(getattr(obj, "__module__", None) or "")
    if module is None or module.__name__ == "__main__" or module in _importable:
        return
    _importable[module] = True
    if not can_import(module):
        _importable[module] = False
        cloudpickle.register_pickle_by_value(module)


def can_import(module: types.ModuleType) -> bool:
    """Whether a fresh process with this sys.path finds the same module under its name."""
    spec = getattr(module, "__spec__", None)
    if spec is None:
        return module.__name__ in sys.builtin_module_names
    top, _, rest = module.__name__.partition(".")
    if rest:
        parent = sys.modules.get(top)
        return parent is not None and can_import(parent)
    for finder in sys.meta_path:
        try:
            found = finder.find_spec(top, None)
        except Exception:
            continue
        if found is not None:
            return bool(found.origin == spec.origin)
    return False


def _reset_after_fork() -> None:
    global _origin, _lock
    _origin, _lock = secrets.token_hex(6), threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
