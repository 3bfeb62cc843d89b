"""How arrays and tensors are written into a message and rebuilt from it.

`codec.py` asks here for everything of numpy and torch. Neither is imported: an object of theirs
exists only where somebody has imported them.
"""

from __future__ import annotations

import pickle
import sys
from typing import Any

__all__ = ["OUT_OF_BAND", "reduce_array", "reduce_tensor"]

OUT_OF_BAND = 64 * 1024
"""From this many bytes an array travels as a buffer of its own; below, copying is cheaper."""
ALIGNMENT = 64
_NAMES: dict[Any, Any] = {}  # dtype -> its short name, or itself where it has none


def reduce_array(obj: Any) -> Any:
    """A pickle recipe for a numpy array of plain numbers; NotImplemented for anything else."""
    np = sys.modules["numpy"]
    if type(obj) is not np.ndarray:
        return NotImplemented
    dtype, flags = obj.dtype, obj.flags
    token = _NAMES.get(dtype)
    if token is None:
        if dtype.hasobject or not dtype.itemsize:
            return NotImplemented
        token = _NAMES[dtype] = dtype.str if dtype.kind in "iufcbMmSU" else dtype
    order = "F" if flags.f_contiguous and not flags.c_contiguous else "C"
    if obj.nbytes < OUT_OF_BAND:
        if order == "F":
            return np.ndarray, (obj.shape, token, bytearray(obj.tobytes("F")), 0, None, "F")
        return np.ndarray, (obj.shape, token, bytearray(obj.tobytes()))  # which pickle hands on as a fresh buffer
    flat = (obj.T if order == "F" else np.ascontiguousarray(obj)).reshape(-1).view(np.uint8)
    return _large_array, (pickle.PickleBuffer(flat), token, obj.shape, order)


def _large_array(buffer: Any, dtype: Any, shape: tuple[int, ...], order: Any) -> Any:
    import numpy as np

    flat = np.frombuffer(buffer, np.uint8)
    if not flat.flags.writeable or flat.ctypes.data % ALIGNMENT:
        room = np.empty(flat.size + ALIGNMENT, np.uint8)
        start = -room.ctypes.data % ALIGNMENT
        aligned = room[start : start + flat.size]
        aligned[:] = flat
        flat = aligned
    return flat.view(dtype).reshape(shape, order=order)


def reduce_tensor(obj: Any) -> Any:
    """A pickle recipe for a dense CPU tensor: its elements, not the storage it is a view of.

    Raises:
        TypeError: for a tensor on another device, naming `.cpu()`.
    """
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(obj, torch.Tensor):
        return NotImplemented
    if obj.device.type not in ("cpu", "meta"):
        raise TypeError(f"a tensor on {obj.device} cannot be sent to another process: send tensor.cpu()")
    plain = type(obj) is torch.Tensor or type(obj) is torch.nn.Parameter
    if not plain or obj.layout is not torch.strided or obj.is_quantized or obj.device.type == "meta":
        return NotImplemented
    values = obj.detach().contiguous()
    if values.is_conj() or values.is_neg():
        values = values.resolve_conj().resolve_neg()
    # By its strides: of one element they may be any, and view() would refuse them.
    data = values.as_strided((values.numel(),), (1,)).view(torch.uint8) if values.numel() else None
    array = None if data is None else data.numpy()
    return _tensor, (array, values.dtype, tuple(values.shape), obj.requires_grad, type(obj) is torch.nn.Parameter)


def _tensor(array: Any, dtype: Any, shape: tuple[int, ...], requires_grad: bool, parameter: bool) -> Any:
    import torch

    if array is None:
        tensor = torch.empty(shape, dtype=dtype)
    else:
        tensor = torch.from_numpy(array).view(dtype).reshape(shape)
    if parameter:
        return torch.nn.Parameter(tensor, requires_grad=requires_grad)
    return tensor.requires_grad_(requires_grad) if requires_grad else tensor
