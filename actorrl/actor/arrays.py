"""How arrays and tensors are written into a message and rebuilt from it.

`codec.py` asks here for everything of numpy and torch. Neither is imported: an object of theirs
exists only where somebody has imported them.
"""

from __future__ import annotations

import importlib
import pickle
import sys
from collections.abc import Sequence
from typing import Any

from .cow import mapped, unwritten
from .freight import share_of
from .views import place_in, root, view

__all__ = ["OUT_OF_BAND", "elements", "own", "private", "reduce_array", "reduce_tensor", "tensor_over"]

OUT_OF_BAND = 16 * 1024
"""From this many bytes an array travels as a buffer of its own; below, copying is cheaper."""
ALIGNMENT = 64
_NAMES: dict[Any, Any] = {}  # dtype -> its short name, or itself where it has none
_QUICK: dict[Any, str] = {}  # the same for those that `quick` takes
_DTYPES: dict[str, Any] = {}  # short name -> dtype


def reduce_array(obj: Any) -> Any:
    """A pickle recipe for a numpy array of plain numbers; NotImplemented for anything else."""
    np = sys.modules["numpy"]
    if type(obj) is not np.ndarray:
        return NotImplemented
    dtype, flags = obj.dtype, obj.flags
    if obj.base is not None:
        share = root(obj)
        if share is not None:
            return view, (share, place_in(share, obj), dtype, obj.shape, obj.strides)
    token = _NAMES.get(dtype)
    if token is None:
        if dtype.hasobject or not dtype.itemsize:
            return NotImplemented
        token = _NAMES[dtype] = dtype.str if dtype.kind in "iufcbMmSU" else dtype
        if dtype.kind in "iufcb":
            _QUICK[dtype] = dtype.str
    order = "F" if flags.f_contiguous and not flags.c_contiguous else "C"
    if obj.nbytes < OUT_OF_BAND:
        if order == "F":
            return np.ndarray, (obj.shape, token, bytearray(obj.tobytes("F")), 0, None, "F")
        return np.ndarray, (obj.shape, token, bytearray(obj.tobytes()))  # which pickle hands on as a fresh buffer
    flat = (obj.T if order == "F" else np.ascontiguousarray(obj)).reshape(-1).view(np.uint8)
    return _large_array, (pickle.PickleBuffer(flat), token, obj.shape, order)


def _large_array(buffer: Any, dtype: Any, shape: tuple[int, ...], order: Any) -> Any:
    return _numpy().ndarray(shape, dtype, own(buffer), 0, None, order)


def own(buffer: Any) -> Any:
    """A buffer that has arrived, or a copy of it where that is not private, writable and aligned."""
    if type(buffer) is memoryview and hasattr(buffer.obj, "claim"):
        return buffer.obj  # pickle hands on what was read-only as such, but this is nobody else's
    if not hasattr(buffer, "claim"):
        flat = _numpy().frombuffer(buffer, "u1")
        if not flat.flags.writeable or flat.__array_interface__["data"][0] % ALIGNMENT:
            from .held import aligned_copy

            return aligned_copy(buffer)
    return buffer


def _numpy() -> Any:
    return sys.modules.get("numpy") or importlib.import_module("numpy")


def reduce_tensor(obj: Any) -> Any:
    """A pickle recipe for a dense CPU tensor: its elements, not the storage it is a view of.

    Raises:
        TypeError: for a tensor on another device, naming `.cpu()`.
    """
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(obj, torch.Tensor):
        return NotImplemented
    found = elements(obj)
    if found is None:
        return NotImplemented
    kind = obj.requires_grad, type(obj) is torch.nn.Parameter
    if mapped and not obj.is_conj() and not obj.is_neg():
        storage = obj.untyped_storage()
        share = unwritten(storage.data_ptr(), storage.nbytes())
        if share is not None:
            place = *share, storage.nbytes(), obj.dtype, tuple(obj.shape), obj.stride(), obj.storage_offset()
            return _shared_tensor, (*place, *kind)
    array, dtype = found
    return _tensor, (array, dtype, tuple(obj.shape), *kind)


def elements(tensor: Any) -> tuple[Any, Any] | None:
    """The elements of a dense CPU tensor as an array of bytes (None for no elements), and their type.

    None for another kind of tensor. TypeError for one on another device.
    """
    torch = sys.modules["torch"]
    if tensor.device.type not in ("cpu", "meta"):
        raise TypeError(f"a tensor on {tensor.device} cannot be sent to another process: send tensor.cpu()")
    plain = type(tensor) is torch.Tensor or type(tensor) is torch.nn.Parameter
    if not plain or tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type == "meta":
        return None
    values = tensor.detach().contiguous()
    if values.is_conj() or values.is_neg():
        values = values.resolve_conj().resolve_neg()
    # By its strides: of one element they may be any, and view() would refuse them.
    data = values.as_strided((values.numel(),), (1,)).view(torch.uint8) if values.numel() else None
    return None if data is None else data.numpy(), values.dtype


def _tensor(array: Any, dtype: Any, shape: tuple[int, ...], requires_grad: bool, parameter: bool) -> Any:
    import torch

    if array is None:
        tensor = torch.empty(shape, dtype=dtype)
    else:
        tensor = torch.from_numpy(array).view(dtype).reshape(shape)
    return _of_kind(tensor, requires_grad, parameter)


def _shared_tensor(opened: Any, offset: int, length: int, *kind: Any) -> Any:
    return tensor_over(opened.private(offset, length), *kind)


def tensor_over(
    data: Any, dtype: Any, shape: Any, strides: Any, start: int, requires_grad: bool, parameter: bool
) -> Any:
    """A tensor over an array of bytes, which is its storage."""
    import torch

    tensor = torch.from_numpy(data).view(dtype).as_strided(shape, strides, start)
    return _of_kind(tensor, requires_grad, parameter)


def _of_kind(tensor: Any, requires_grad: bool, parameter: bool) -> Any:
    if parameter:
        return sys.modules["torch"].nn.Parameter(tensor, requires_grad=requires_grad)
    return tensor.requires_grad_(requires_grad) if requires_grad else tensor


def private(buffers: Sequence[Any]) -> list[Any]:
    """The buffers of a message that stays in this process: copied, except shares."""
    if not buffers:
        return []
    from .held import aligned_copy

    return [memoryview(buffer).obj if share_of(buffer) is not None else aligned_copy(buffer) for buffer in buffers]
