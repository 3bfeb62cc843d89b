"""Small arrays, lists and dicts as plain values, so that they travel with them (see plain.py).

An environment's step is a handful of small arrays and numbers: to pickle it through the codec costs
five times what it costs to write the arrays down as bytes. What is written down is a copy, made at
the call. Anything that does not fit (large, unknown, or twice in one message, where the codec keeps
it one object) is left to the codec.

    atom, short str or bytes    itself                 tuple    (0, item, ...)
    list                        (1, item, ...)         dict     (2, key, value, ...)
    array                       (3, dtype, shape, its bytes)
    numpy scalar                (4, dtype, its bytes)
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from .plain import ATOMS, FEW, SHORT
from .views import root

__all__ = ["UNFIT", "pack_value", "unpack_value"]

UNFIT: Any = object()
"""What `pack_value` returns for what the codec has to pickle."""
SMALL = 4096
"""Bytes of the largest array that is packed; with so FEW in a container a message stays below 64 kB."""
DEEP = 4
"""Containers in containers up to this depth."""
TUPLE, LIST, DICT, ARRAY, SCALAR = range(5)
Packer = Callable[[Any, set[int], int], Any]


def pack_value(value: Any, seen: set[int] | None = None, depth: int = DEEP) -> Any:
    """`value` written down, or UNFIT."""
    kind = type(value)
    if kind in ATOMS:
        return value
    packer = _packers.get(kind)
    if packer is None and kind not in _packers:
        packer = _find_packer(kind)
    return UNFIT if packer is None else packer(value, set() if seen is None else seen, depth)


def unpack_value(packed: Any) -> Any:
    """What `pack_value` was given, made anew. ValueError or TypeError if it is not that."""
    if type(packed) is not tuple:
        return packed
    tag = packed[0]
    if tag == ARRAY:
        return _ndarray(packed[2], packed[1], bytearray(packed[3]))
    if tag == TUPLE:
        return tuple([unpack_value(item) if type(item) is tuple else item for item in packed[1:]])
    if tag == LIST:
        return [unpack_value(item) if type(item) is tuple else item for item in packed[1:]]
    if tag == DICT:
        return {packed[at]: unpack_value(packed[at + 1]) for at in range(1, len(packed), 2)}
    return _frombuffer(packed[2], packed[1])[0]


def _pack_string(value: Any, seen: set[int], depth: int) -> Any:
    return value if len(value) <= SHORT else UNFIT


def _pack_sequence(value: Any, seen: set[int], depth: int) -> Any:
    if depth == 0 or len(value) > FEW:
        return UNFIT
    if type(value) is list:
        if id(value) in seen:
            return UNFIT
        seen.add(id(value))
        packed: list[Any] = [LIST]
    else:
        packed = [TUPLE]
    for item in value:
        inner = item if type(item) in ATOMS else pack_value(item, seen, depth - 1)
        if inner is UNFIT:
            return UNFIT
        packed.append(inner)
    return tuple(packed)


def _pack_dict(value: dict[Any, Any], seen: set[int], depth: int) -> Any:
    if depth == 0 or len(value) > FEW or id(value) in seen:
        return UNFIT
    seen.add(id(value))
    packed: list[Any] = [DICT]
    for key, item in value.items():
        inner = pack_value(item, seen, depth - 1)
        if inner is UNFIT or type(key) is not str or len(key) > SHORT:
            return UNFIT
        packed += key, inner
    return tuple(packed)


def _pack_array(value: Any, seen: set[int], depth: int) -> Any:
    token = _tokens.get(value.dtype)
    if token is None or value.nbytes > SMALL or id(value) in seen:
        return UNFIT
    if value.base is not None and root(value) is not None:
        return UNFIT  # a share stays one
    flags = value.flags
    if flags.f_contiguous and not flags.c_contiguous:
        return UNFIT  # the codec keeps the order
    seen.add(id(value))
    return ARRAY, token, value.shape, value.tobytes()


def _pack_scalar(value: Any, seen: set[int], depth: int) -> Any:
    return SCALAR, _tokens[value.dtype], value.tobytes()


_packers: dict[type, Packer | None] = {
    str: _pack_string,
    bytes: _pack_string,
    tuple: _pack_sequence,
    list: _pack_sequence,
    dict: _pack_dict,
}
_tokens: dict[Any, str] = {}


def _find_packer(kind: type) -> Packer | None:
    """The packer of a type that was not met before. Numpy's are known once somebody has imported it."""
    if kind.__module__ == "numpy":
        numpy = sys.modules["numpy"]
        _packers[numpy.ndarray] = _pack_array
        for letter in "?bBhHiIlLqQefd":
            dtype = numpy.dtype(letter)
            _tokens[dtype] = dtype.str
            _packers[dtype.type] = _pack_scalar
    return _packers.setdefault(kind, None)


def _ndarray(shape: Any, dtype: Any, buffer: Any) -> Any:
    """numpy.ndarray, imported when the first array arrives."""
    global _ndarray
    import numpy

    _ndarray = numpy.ndarray
    return numpy.ndarray(shape, dtype, buffer)


def _frombuffer(data: Any, dtype: Any) -> Any:
    import numpy

    return numpy.frombuffer(data, dtype)
