"""StableHLO's text: element types, types, attributes, constants, names of places; and the values of
a program, by name.

The names are those of the StableHLO specification (https://openxla.org/stablehlo/spec).
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.dimensions import Dim, is_symbolic
from pullback.core.dtypes import DType
from pullback.core.errors import Location, OutOfMemoryError, line_of
from pullback.core.types import Shape, ShapedArray

_ELEMENTS: dict[DType, str] = {
    np.dtype(np.bool_): "i1",
    **{np.dtype(f"int{n}"): f"i{n}" for n in (8, 16, 32, 64)},
    **{np.dtype(f"uint{n}"): f"ui{n}" for n in (8, 16, 32, 64)},
    np.dtype(np.float16): "f16", np.dtype(np.float32): "f32", np.dtype(np.float64): "f64",
    np.dtype(np.complex64): "complex<f32>", np.dtype(np.complex128): "complex<f64>",
    dtypes.bfloat16: "bf16",
    dtypes.int4: "i4", dtypes.uint4: "ui4", dtypes.int2: "i2", dtypes.uint2: "ui2",
    # A typed key is its two words: moved about, it is one element.
    dtypes.KEY: "ui64",
}  # fmt: skip


def element_type(dtype: DType) -> str:
    """`f32`, `ui8`, `complex<f64>`, `f8E4M3FN`, ..."""
    found = _ELEMENTS.get(dtype)
    if found is None:
        name = dtypes.name(dtype)
        if not name.startswith("float") or name.startswith("float6_"):  # which XLA has, but compiles nothing of
            raise TypeError(f"the compiler cannot compute with dtype {name}; eager code can")
        # float8_e4m3fn, float8_e8m0fnu, float4_e2m1fn: the specification writes f8E4M3FN,
        # f8E8M0FNU, f4E2M1FN.
        found = _ELEMENTS[dtype] = "f" + name.removeprefix("float").replace("_", "").upper()
    return found


_PHYSICAL: dict[DType, DType] = {
    dtypes.KEY: np.dtype(np.uint64),
    dtypes.bfloat16: np.dtype(np.uint16),
    dtypes.int2: np.dtype(np.int8), dtypes.int4: np.dtype(np.int8),
    dtypes.uint2: np.dtype(np.uint8), dtypes.uint4: np.dtype(np.uint8),
    **dict.fromkeys(dtypes.FLOAT8, np.dtype(np.uint8)),
}  # fmt: skip


def physical_dtype(dtype: DType) -> DType:
    """The type in which a program's arguments and results of `dtype` cross its border: one that
    NumPy and XLA share."""
    return _PHYSICAL.get(dtype, dtype) if not dtypes.is_numpys(dtype) else dtype


@lru_cache(maxsize=1)
def memory() -> int:
    """The bytes of memory that this machine has, as far as it says."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return _TOO_LARGE


def size_text(n: Any) -> str:
    """A size in a module: its number, or, in `${}`, the symbolic dimension (see
    `export.templates`)."""
    return f"${{{n}}}" if n.__class__ is Dim else str(n)


_types: dict[tuple[Shape, DType], str] = {}
#: Bytes: sizes below this one do not overflow in XLA, sums of a few included.
_TOO_LARGE = 1 << 60


def tensor_type(shape: Shape, dtype: DType) -> str:
    """`tensor<3x4xf32>`. Raises OutOfMemoryError for arrays larger than any memory, ValueError for
    negative sizes: XLA would end the process."""
    key = (shape, dtype)
    found = _types.get(key)
    if found is None:
        symbolic = is_symbolic(shape)
        if not symbolic and any([n < 0 for n in shape]):
            raise ValueError(f"array shapes must not be negative, got {shape}")
        # Without the axes of length 0: XLA multiplies the others all the same.
        if not symbolic and math.prod([n or 1 for n in shape]) * dtype.itemsize >= _TOO_LARGE:
            raise OutOfMemoryError(
                f"RESOURCE_EXHAUSTED: Out of memory: an array of shape {shape} and dtype {dtypes.name(dtype)} is larger than the "
                "compiler can count"
                if 0 in shape
                else f"RESOURCE_EXHAUSTED: Out of memory: an array of shape {shape} and dtype {dtypes.name(dtype)} takes "
                f"{math.prod(shape) * dtype.itemsize} bytes"
            )
        sizes = "".join([f"{size_text(n)}x" for n in shape]) if symbolic else "".join([f"{n}x" for n in shape])
        found = f"tensor<{sizes}{element_type(dtype)}>"
        if len(_types) < 100_000:
            _types[key] = found
    return found


class Value:
    """A value of the program being written: its name and its type, also as text."""

    __slots__ = ("name", "shape", "dtype", "type_text")

    def __init__(self, name: str, shape: Shape, dtype: DType) -> None:
        self.name, self.shape, self.dtype = name, shape, dtype
        self.type_text = _types.get((shape, dtype)) or tensor_type(shape, dtype)

    @property
    def aval(self) -> ShapedArray:
        """The type."""
        return ShapedArray(self.shape, self.dtype)

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: self.aval.size)

    def __repr__(self) -> str:
        return f"{self.name}: {self.type_text}"


class Token:
    """A value that stands for the order of side effects."""

    __slots__ = ("name",)
    type_text = "!stablehlo.token"

    def __init__(self, name: str) -> None:
        self.name = name


def value_of(name: str, t: Any) -> Value | Token:
    """The value called `name` of the type of `t`: a type, a value or a token."""
    return Token(name) if t.__class__ is Token else Value(name, t.shape, t.dtype)


def type_text(x: Any) -> str:
    """The type of a value, a token or a type."""
    return x.type_text if x.__class__ in (Value, Token) else tensor_type(x.shape, x.dtype)


class Enum:
    """An attribute of one of StableHLO's enumerations: `Enum("comparison_direction", "EQ")`."""

    __slots__ = ("text",)

    def __init__(self, kind: str, value: str) -> None:
        self.text = f"#stablehlo<{kind} {value}>"


#: What stands for something else in a module's text.
_SPECIAL = re.compile(r'["\\$]')


def quoted(text: str) -> str:
    """A string of anybody's as the program's text has it, between quotation marks and in ASCII."""
    if text.isascii() and text.isprintable() and not _SPECIAL.search(text):
        return f'"{text}"'
    escaped = "".join(
        [chr(b) if 32 <= b < 127 and b not in b'"\\$' else f"\\{b:02X}" for b in text.encode(errors="replace")]
    )
    return f'"{escaped}"'


def dictionary(texts: Mapping[str, str]) -> str:
    """Attributes that are texts already, under names of anybody's, as one attribute."""
    return f"{{{', '.join([f'{quoted(k)} = {v}' for k, v in texts.items()])}}}"


def layout_text(axes: Sequence[int]) -> str:
    """An order of axes, the one whose elements lie side by side first, as custom calls take it."""
    return f"dense<{list(axes)}> : tensor<{len(axes)}xindex>"


def attribute(value: Any) -> str:
    """A Python value as an attribute's text."""
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        if is_symbolic(value):
            return f"array<i64: {', '.join(map(size_text, value))}>"
        if any([v > _TOO_LARGE or v < -_TOO_LARGE for v in value]):
            raise OutOfMemoryError(
                f"RESOURCE_EXHAUSTED: Out of memory: the compiler cannot count to {max(map(abs, value))}"
            )
        if value and all([v.__class__ is bool for v in value]):
            return f"array<i1: {', '.join(['true' if v else 'false' for v in value])}>"
        return f"array<i64: {', '.join(map(str, value))}>" if value else "array<i64>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Dim)):
        return f"{size_text(value)} : i64"
    if isinstance(value, float):
        return f"{float_text(value, np.dtype(np.float32))} : f32"
    if isinstance(value, Enum):
        return value.text
    if isinstance(value, np.ndarray):
        return f"{dense(value)} : {tensor_type(value.shape, value.dtype)}"
    raise TypeError(f"no attribute text for {value!r}")


# ---- constants -----------------------------------------------------------------------------------


def float_text(x: Any, dtype: DType) -> str:
    value = float(x)
    if not np.isfinite(value):
        bits = np.asarray(x, dtype).view(f"u{dtype.itemsize}")
        return f"0x{int(bits):0{2 * dtype.itemsize}X}"
    text = repr(value)  # exact: every narrower float is a float64
    if "." in text:
        return text
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}.0{e}{exponent}"


def element_text(x: Any, dtype: DType) -> str:
    if dtype == dtypes.KEY:
        return str(int(np.asarray(x).view(np.uint64).reshape(())))
    kind = dtypes.kind(dtype)
    if kind == "b":
        return "true" if x else "false"
    if kind in "iu":
        return str(int(x))
    if kind == "c":
        real = np.dtype(np.float32 if dtype.itemsize == 8 else np.float64)
        return f"({float_text(x.real, real)}, {float_text(x.imag, real)})"
    return float_text(x, dtype)


def dense(value: Any) -> str:
    """`dense<...>`, the elements of an array."""
    value = np.asarray(value)
    dtype = value.dtype
    if value.size == 0:
        return "dense<>"
    if is_splat(value):
        return f"dense<{element_text(value[(0,) * value.ndim], dtype)}>"
    if dtypes.is_numpys(dtype) and dtype != dtypes.bool_ and value.size > 8:
        return f'dense<"0x{np.ascontiguousarray(value).tobytes().hex().upper()}">'

    def text(x: Any) -> str:
        return f"[{', '.join(map(text, x))}]" if x.ndim else element_text(x[()], dtype)

    return f"dense<{text(value)}>"


def is_splat(value: Any) -> bool:
    """Whether all elements have the same bits (there is at least one)."""
    if value.size == 1 or not any(value.strides):
        return True
    flat = np.ascontiguousarray(value).reshape(-1)
    flat = (
        flat.view(f"V{value.dtype.itemsize}")
        if not dtypes.is_numpys(value.dtype)
        else flat.view(f"u{value.dtype.itemsize}")
        if value.dtype.itemsize in (1, 2, 4, 8)
        else flat.view(np.uint64)
    )
    if value.dtype.itemsize == 16:
        pairs = flat.reshape(-1, 2)
        return bool((pairs == pairs[0]).all())
    return bool((flat[1:] == flat[0]).all()) if flat[0] == flat[-1] else False


# ---- places --------------------------------------------------------------------------------------


def location_text(location: Location | None, name: str) -> str:
    """What is appended to the operations of the operation called `name` at a place in the user's
    code."""
    if location is None:
        return f" loc({quoted(name)})"
    return f" loc({quoted(name)}({quoted(location[0].co_filename)}:{line_of(location)}:0))"
