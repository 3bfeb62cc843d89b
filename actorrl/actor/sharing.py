"""`share(obj)`: an object whose arrays lie in shared memory, so that sending it costs a reference.

    share ──► one block of the pool with the bytes of every array ──► the object again, of views of it
    codec ──► reference: a view of a share is pickled as the share and the view's place in it
          ──► opened by the receiver: the same view of the same block

Arrays are not writeable, here or there. A tensor is copy-on-write (cow.py). What the references cost
and when the block is free is the business of loans.py.
"""

from __future__ import annotations

import copy
import dataclasses
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from .arrays import elements, tensor_over
from .freight import here
from .views import Opened, root

__all__ = ["share"]

T = TypeVar("T")
ALIGNMENT = 64


def share(obj: T) -> T:
    """Rebuild `obj` over shared memory: sent to many actors, its arrays cost a reference each.

    `obj` is a dict, list, tuple, namedtuple or dataclass, nested at will, or an array. Its arrays
    come back as views that are not writeable, its CPU tensors copy-on-write: who writes to one has
    it alone from then on. The rest stays as it is, arrays of objects and subclasses of ndarray too.
    A view of a shared array is sent as a reference as well. The memory is free when the last
    reference, view or undelivered message anywhere is gone.

    Raises:
        TypeError: for a CUDA tensor.
        MemoryError: if it does not fit into what may be shared, a quarter of the memory in all.
    """
    leaves = _Leaves()
    _rebuild(obj, leaves.add, {})
    made = leaves.place()
    return _rebuild(obj, lambda leaf: made.get(id(leaf), leaf), {})  # type: ignore[no-any-return]


def _rebuild(obj: Any, leaf: Callable[[Any], Any], done: dict[int, tuple[Any, Any]]) -> Any:
    """`obj` with containers of its own and `leaf(x)` for everything else in it."""
    if id(obj) in done:
        return done[id(obj)][1]
    kind: Any = type(obj)
    new: Any
    if isinstance(obj, dict):
        new = copy.copy(obj)
        done[id(obj)] = obj, new
        for key, value in obj.items():
            new[key] = _rebuild(value, leaf, done)
    elif isinstance(obj, list):
        new = copy.copy(obj)
        done[id(obj)] = obj, new
        new[:] = [_rebuild(item, leaf, done) for item in obj]
    elif kind is tuple or (isinstance(obj, tuple) and hasattr(kind, "_make")):
        items = [_rebuild(item, leaf, done) for item in obj]
        new = tuple(items) if kind is tuple else kind._make(items)
    elif dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        new = copy.copy(obj)
        done[id(obj)] = obj, new
        for field in dataclasses.fields(obj):
            if hasattr(obj, field.name):
                object.__setattr__(new, field.name, _rebuild(getattr(obj, field.name), leaf, done))
    else:
        new = leaf(obj)
    done[id(obj)] = obj, new
    return new


class _Leaves:
    """The arrays and tensors of one share, and where each goes in its block."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, memoryview]] = []
        self._size = 0
        self._makers: dict[int, Callable[[Opened], Any]] = {}
        self._kept: list[Any] = []  # so that no id is used twice

    def add(self, leaf: Any) -> Any:
        """Take an array or a tensor in; anything else stays what it is."""
        self._kept.append(leaf)
        if id(leaf) in self._makers:
            return leaf
        np, torch = sys.modules.get("numpy"), sys.modules.get("torch")
        if np is not None and type(leaf) is np.ndarray:
            if not leaf.dtype.hasobject and leaf.dtype.itemsize and root(leaf) is None:
                self._add_array(leaf)
        elif torch is not None and isinstance(leaf, torch.Tensor):
            found = elements(leaf)
            if found is not None and found[0] is not None:
                self._add_tensor(leaf, *found)
        return leaf

    def _add_array(self, array: Any) -> None:
        np = sys.modules["numpy"]
        order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
        flat = np.ascontiguousarray(array.T if order == "F" else array).reshape(-1).view(np.uint8)
        offset = self._room(flat)
        shape, dtype = array.shape, array.dtype
        self._makers[id(array)] = lambda opened: opened.array(offset, dtype, shape, order=order)

    def _add_tensor(self, tensor: Any, flat: Any, dtype: Any) -> None:
        offset, torch = self._room(flat), sys.modules["torch"]
        shape, strides = tuple(tensor.shape), tensor.contiguous().stride()
        kind = tensor.requires_grad, type(tensor) is torch.nn.Parameter
        length = flat.nbytes
        self._makers[id(tensor)] = lambda opened: tensor_over(
            opened.private(offset, length), dtype, shape, strides, 0, *kind
        )

    def _room(self, flat: Any) -> int:
        offset = self._size
        if flat.nbytes:
            self._parts.append((offset, memoryview(flat)))
            self._size += -(-flat.nbytes // ALIGNMENT) * ALIGNMENT
        return offset

    def place(self) -> dict[int, Any]:
        """Copy everything into a block: for each original, by its id, its shared self."""
        if not self._makers:
            return {}
        freight = here()
        held = freight.share(self._parts, max(ALIGNMENT, self._size))
        if held is None:
            pool = freight.arena.pool if freight.arena is not None else None
            most = f"at most {pool.limit / 1e9:.3g} GB, and has {pool.used / 1e9:.3g}" if pool else "nothing here"
            raise MemoryError(
                f"share: {self._size / 1e9:.3g} GB do not fit into the shared memory, which may hold {most}; "
                "send the object itself, or share less of it"
            )
        opened = Opened(held)
        return {key: make(opened) for key, make in self._makers.items()}
