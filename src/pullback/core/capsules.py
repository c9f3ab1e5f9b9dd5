"""DLPack capsules of the dtypes that NumPy's DLPack does not know: bfloat16 and those of 8 bits.

A capsule holds a C structure that says where an array lies and what its elements are. To NumPy the
elements are unsigned integers of the same size; here their dtype is written over that, or read and
replaced by that. Source: the DLPack specification, version 1.1 (https://dmlc.github.io/dlpack/latest).
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import dtypes
from pullback.core.dtypes import DType

if TYPE_CHECKING:
    from pullback.core.names import Argument, NumPyArray

    #: A Python capsule with a DLPack structure in it.
    Capsule = Any


class _DataType(ctypes.Structure):
    """DLPack's DLDataType.

    Example: (2, 32, 1) is float32.
    """

    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class _Tensor(ctypes.Structure):
    """The head of DLPack's DLTensor.

    Example: an array at `data`, with `ndim` axes.
    """

    _fields_ = (
        ("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32), ("ndim", ctypes.c_int32), ("dtype", _DataType),
    )  # fmt: skip


class _Versioned(ctypes.Structure):
    """The head of DLPack's DLManagedTensorVersioned.

    Example: what a capsule called "dltensor_versioned" holds.
    """

    _fields_ = (
        ("version", ctypes.c_uint32 * 2), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p), ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )  # fmt: skip


_UNSIGNED = 1
#: DLPack's codes of dtypes, and their bits.
CODES: dict[DType, tuple[int, int]] = {
    dtypes.bfloat16: (4, 16),
    **{
        dtype: (7 + i, 8)
        for i, name in enumerate(("e3m4", "e4m3", "e4m3b11fnuz", "e4m3fn", "e4m3fnuz", "e5m2", "e5m2fnuz", "e8m0fnu"))
        for dtype in dtypes.FLOAT8
        if dtypes.name(dtype) == f"float8_{name}"
    },
}
_DTYPES = {pair: dtype for dtype, pair in CODES.items()}


def _data_type(capsule: Capsule) -> _DataType:
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = ctypes.c_char_p, (ctypes.py_object,)
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = (ctypes.py_object, ctypes.c_char_p)
    name = api.PyCapsule_GetName(capsule)
    pointer = api.PyCapsule_GetPointer(capsule, name)
    if name == b"dltensor_versioned":
        return ctypes.cast(pointer, ctypes.POINTER(_Versioned)).contents.tensor.dtype
    return ctypes.cast(pointer, ctypes.POINTER(_Tensor)).contents.dtype


def export_capsule(array: NumPyArray, **options: Argument) -> Capsule:
    """The capsule of a NumPy array of any dtype that DLPack has. Raises BufferError for others."""
    dtype = array.dtype
    if dtypes.is_numpys(dtype):
        return array.__dlpack__(**options)
    if dtype not in CODES:
        raise BufferError(f"DLPack has no dtype {dtypes.name(dtype)}")
    capsule = array.view(f"u{dtype.itemsize}").__dlpack__(**options)
    _data_type(capsule).code = CODES[dtype][0]
    return capsule


class _Retyped:
    """An array of another library, to NumPy as unsigned integers if NumPy does not know its dtype,
    which is `dtype` then.

    Example: a PyTorch tensor of bfloat16.
    """

    def __init__(self, array: Argument) -> None:
        self.array = array
        self.dtype: DType | None = None

    def __dlpack__(self, **options: Argument) -> Capsule:
        try:
            capsule = self.array.__dlpack__(**options)
        except TypeError:  # a library that knows no versions
            capsule = self.array.__dlpack__()
        found = _data_type(capsule)
        self.dtype = _DTYPES.get((found.code, found.bits))
        if self.dtype is not None:
            found.code = _UNSIGNED
        return capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        device: tuple[int, int] = self.array.__dlpack_device__()
        return device


def import_array(external: Argument) -> NumPyArray:
    """The NumPy view of an array of another library. Raises what NumPy raises: BufferError for
    other devices and dtypes, AttributeError for what is no such array."""
    retyped = _Retyped(external)
    found = np.from_dlpack(retyped)
    return found if retyped.dtype is None else found.view(retyped.dtype)
