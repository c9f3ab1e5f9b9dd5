"""Types of values: shape, dtype and weakness. A tracer is a value known by its type only."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pullback.core import dtypes
from pullback.core.dimensions import Dim
from pullback.core.dtypes import DType
from pullback.core.errors import see, user_line

if TYPE_CHECKING:
    from pullback.core.names import Argument, Operand, Value

Shape = tuple[int, ...]


class ShapedArray:
    """The type of an array: `shape`, `dtype`, and whether the dtype is weak (stems from Python
    scalars).

    Types that `intern` gives have a `number`, by which they are looked up: no other type ever has
    it.

    >>> typeof(2.0)
    ShapedArray(float32[], weak_type=True)
    """

    __slots__ = ("shape", "dtype", "weak_type", "number")
    number: int
    #: Types say nothing of devices.
    sharding = None

    def __init__(self, shape: Shape, dtype: DType, weak_type: bool = False) -> None:
        self.shape, self.dtype, self.weak_type = shape, dtype, weak_type

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        size = 1
        for n in self.shape:
            size *= n
        return size

    @property
    def nbytes(self) -> int:
        """Bytes all elements take."""
        return self.size * self.dtype.itemsize

    def update(self, **changes: Argument) -> ShapedArray:
        """A copy with some fields changed."""
        return ShapedArray(
            changes.get("shape", self.shape), changes.get("dtype", self.dtype), changes.get("weak_type", self.weak_type)
        )

    def strip_weak_type(self) -> ShapedArray:
        """The same type, not weak."""
        return self.update(weak_type=False)

    def update_weak_type(self, weak_type: bool) -> ShapedArray:
        """The same type, weak or not."""
        return self.update(weak_type=weak_type)

    def to_tangent_aval(self) -> ShapedArray:
        """The type of tangents at values of this type."""
        return ShapedArray(self.shape, dtypes.tangent_dtype(self.dtype), self.weak_type)

    #: The same by other names: the type of cotangents, and an older name.
    to_ct_aval = at_least_vspace = to_tangent_aval

    def str_short(self, short_dtypes: bool = False) -> str:
        """`float32[3,4]`, or `f32[3,4]` with `short_dtypes`."""
        name = dtypes.short_name(self.dtype) if short_dtypes else dtypes.name(self.dtype)
        return f"{name}[{','.join(map(str, self.shape))}]"

    def __eq__(self, other: object) -> bool:
        return (
            other.__class__ is ShapedArray
            and self.shape == other.shape
            and self.dtype == other.dtype
            and self.weak_type == other.weak_type
        )

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype, self.weak_type))

    def __repr__(self) -> str:
        weak = ", weak_type=True" if self.weak_type else ""
        return f"ShapedArray({self.str_short()}{weak})"

    def __str__(self) -> str:
        return ("~" if self.weak_type else "") + self.str_short()


_interned: dict[tuple[Shape, DType, bool], ShapedArray] = {}
_numbers = itertools.count()
#: How many types are remembered before those that nothing has any more are forgotten.
_limit = 1 << 14


#: The numbers of the types of arrays that have been put on the host explicitly
#: (`xla.devices.commit_to_host`).
committed_to_host: set[int] = set()


def numbered(shape: Shape, dtype: DType, weak_type: bool) -> ShapedArray:
    """A type with a number of its own."""
    out = ShapedArray(shape, dtypes.KEY if dtype == dtypes.KEY else dtype, weak_type)
    out.number = next(_numbers)
    return out


def intern(shape: Shape, dtype: DType, weak_type: bool) -> ShapedArray:
    """The one object that stands for a type, as long as anything has it: equal types have equal
    numbers."""
    key = (shape, dtype, weak_type)
    found = _interned.get(key)
    if found is None:
        if len(_interned) >= _limit:
            _forget()
        found = _interned.setdefault(key, numbered(shape, dtype, weak_type))
    return found


def _forget() -> None:
    """Forget the types that nothing has but the table: those that come again get new numbers, and
    programs for them are traced anew."""
    global _limit
    for key in list(_interned):
        if sys.getrefcount(_interned.get(key)) <= 2:  # the table's, and the call's
            _interned.pop(key, None)
    _limit = max(1 << 14, 2 * len(_interned))


class ShapeDtypeStruct:
    """A stand-in for an array that has a type and no data, accepted wherever only types matter.

    >>> import pullback as pb
    >>> x = ShapeDtypeStruct((1000, 1000), "float32")
    >>> pb.eval_shape(lambda x: (x @ x).sum(0), x)
    ShapeDtypeStruct(shape=(1000,), dtype=float32)
    """

    __slots__ = ("shape", "dtype", "sharding", "weak_type")

    def __init__(
        self,
        shape: Argument,
        dtype: Argument,
        *,
        sharding: Argument = None,
        weak_type: bool = False,
        manual_axis_type: Argument = None,
        is_ref: bool = False,
    ) -> None:
        del manual_axis_type
        if is_ref:
            raise ValueError("ShapeDtypeStruct: mutable references are not arrays; `is_ref` must be False")
        sharding = getattr(sharding, "sharding", sharding)  # that of a `Format`
        if sharding is not None and not hasattr(sharding, "is_equivalent_to"):
            raise ValueError(f"ShapeDtypeStruct: sharding must be a sharding or None, got {sharding!r:.100}")
        self.shape = integers(shape, "ShapeDtypeStruct: shape")
        if dtype is None:
            raise ValueError("ShapeDtypeStruct: dtype must be specified")
        self.dtype = dtypes.canonicalize_dtype(dtype)
        self.sharding, self.weak_type = sharding, weak_type

    @classmethod
    def like(cls, value: Operand) -> ShapeDtypeStruct:
        """The stand-in for an array like `value`, on its device if it is on one.

        >>> ShapeDtypeStruct.like(np.ones(3))
        ShapeDtypeStruct(shape=(3,), dtype=float32)
        """
        t = typeof(value)
        sharding = getattr(value, "sharding", None)
        return cls(t.shape, t.dtype, sharding=sharding, weak_type=t.weak_type)

    def update(self, **changes: Argument) -> ShapeDtypeStruct:
        """A copy with some fields changed.

        >>> ShapeDtypeStruct((3,), "float32").update(shape=(2, 2))
        ShapeDtypeStruct(shape=(2, 2), dtype=float32)
        """
        fields = {name: getattr(self, name) for name in self.__slots__}
        return ShapeDtypeStruct(**fields | changes)

    @property
    def ndim(self) -> int:
        """Number of axes.

        >>> ShapeDtypeStruct((2, 3), "float32").ndim
        2
        """
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements.

        >>> ShapeDtypeStruct((2, 3), "float32").size
        6
        """
        return math.prod(self.shape)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ShapeDtypeStruct) and (self.shape, self.dtype, self.weak_type, self.sharding) == (
            other.shape, other.dtype, other.weak_type, other.sharding,
        )  # fmt: skip

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype, self.weak_type))

    def __repr__(self) -> str:
        weak = ", weak_type=True" if self.weak_type else ""
        return f"ShapeDtypeStruct(shape={self.shape}, dtype={dtypes.name(self.dtype)}{weak})"


def typeof(x: Operand) -> ShapedArray:
    """The type of a value: an Array or tracer, a NumPy value, a Python scalar or a
    `ShapeDtypeStruct`. Raises TypeError for anything else.

    >>> typeof(2.0), typeof(np.ones((2, 3), np.int8))
    (ShapedArray(float32[], weak_type=True), ShapedArray(int8[2,3]))
    """
    dtype, weak = dtypes.typing_of(x)
    refuse_masked(x)
    return ShapedArray(tuple(getattr(x, "shape", ())), dtype, weak)


def refuse_masked(x: Operand) -> None:
    """Raises ValueError for NumPy's masked arrays, whose masked elements would count."""
    if isinstance(x, np.ndarray) and x.__class__ is not np.ndarray and np.ma.isMaskedArray(x):
        raise ValueError(
            f"numpy masked arrays are not supported as direct inputs, as the mask would be lost: shape {x.shape}, at {user_line()}. Fill "
            "it (x.filled(value)), or give the data and the mask separately (`where=`)."
        )


def broadcast_shapes(*shapes: Shape) -> Shape:
    """The shape that `shapes` broadcast to by NumPy's rule. Raises ValueError naming the shapes.

    >>> broadcast_shapes((3, 1), (4,), ())
    (3, 4)
    >>> broadcast_shapes((3,), (4,))
    Traceback (most recent call last):
      ...
    ValueError: Incompatible shapes for broadcasting: (3,), (4,)
    """
    first = shapes[0] if shapes else ()
    for s in shapes:
        if s != first:
            if not s:
                continue
            if first:
                break
            first = s
    else:
        return tuple(first)
    rank = max(map(len, shapes))
    out = [1] * rank
    for shape in shapes:
        for i, n in enumerate(shape, rank - len(shape)):
            if n != 1:
                if out[i] != 1 and out[i] != n:
                    raise ValueError(f"Incompatible shapes for broadcasting: {', '.join(map(str, shapes))}")
                out[i] = n
    return tuple(out)


def refuse_keys(name: str, *operands: Value) -> None:
    """Raises TypeError if an operand has the type of keys, with which nothing is computed."""
    for x in operands:
        cls = x.dtype.__class__
        if cls is dtypes.KeyType or (cls is dtypes.STRUCTURED and x.dtype == dtypes.KEY):
            raise TypeError(
                f"{name} does not accept dtype {dtypes.name(x.dtype)} (operand of shape {x.shape}), at {user_line()}: typed keys are "
                "opaque (see random.key_data)"
            )


def integer(x: Argument, name: str) -> int:
    """`x`, the argument `name`, as an int, or as it is if it is a symbolic dimension. Raises
    TypeError for what is no integer: floats and sequences among others."""
    if x.__class__ is int or x.__class__ is Dim:
        return x  # type: ignore[return-value]
    if not hasattr(type(x), "__index__"):
        raise TypeError(f"{name} must be an integer, got {x!r:.100} of type {type(x).__name__!r}")
    return int(x.__index__())


def count(x: Argument, name: str) -> int:
    """`x`, the argument `name`, as an int that is not negative. Raises TypeError."""
    n = integer(x, name)
    if n < 0:
        raise TypeError(f"{name} must not be negative, got {n}")
    return n


def is_sequence(xs: Argument) -> bool:
    """Whether `xs` is a sequence that may hold sizes: a tuple, list, range or other sequence that
    is no text, or an array of one axis."""
    if isinstance(xs, (tuple, list)):
        return True
    if isinstance(xs, Sequence):
        return not isinstance(xs, (str, bytes, bytearray, memoryview))
    return getattr(xs, "ndim", 0) == 1


def integers(xs: Argument, name: str) -> tuple[int, ...]:
    """A sequence of integers, or one, as a tuple. Raises TypeError for anything else."""
    if xs.__class__ is Dim or (hasattr(type(xs), "__index__") and not getattr(xs, "shape", ())):
        return (integer(xs, name),)
    if isinstance(xs, (str, bytes, dict)) or not hasattr(type(xs), "__iter__"):
        raise TypeError(f"{name} must be a sequence of integers, got {xs!r:.100} of type {type(xs).__name__!r}")
    found = []
    for x in xs:
        if x.__class__ is not int and x.__class__ is not Dim:
            if not hasattr(type(x), "__index__"):
                raise TypeError(f"{name} must be integers, got {x!r:.100} of type {type(x).__name__!r}")
            x = int(x.__index__())
        found.append(x)
    return tuple(found)


def pairs(xs: Argument, name: str) -> tuple[tuple[int, int], ...]:
    """A sequence of pairs of integers. Raises TypeError for anything else."""
    if isinstance(xs, (str, bytes, dict)) or not hasattr(type(xs), "__iter__"):
        raise TypeError(
            f"{name} must be a sequence of pairs of integers, got {xs!r:.100} of type {type(xs).__name__!r}"
        )
    found = []
    for x in xs:
        pair = integers(x, name)
        if len(pair) != 2 or not hasattr(type(x), "__iter__"):
            raise TypeError(f"{name} must be a sequence of pairs of integers, got {x!r:.100} among them")
        found.append((pair[0], pair[1]))
    return tuple(found)


def canonical_axis(axis: Argument, ndim: int, name: str = "axis") -> int:
    """`axis` as a number in [0, ndim). Raises AxisError naming it if it is out of range, TypeError
    if it is no integer.

    NumPy's AxisError is a ValueError and an IndexError: JAX raises the one in some functions and
    the other in others.
    """
    i = axis if axis.__class__ is int else integer(axis, name)
    if not -ndim <= i < ndim:
        raise np.exceptions.AxisError(f"{name} {i} is out of bounds for array of dimension {ndim}{see('shapes')}")
    return int(i + ndim if i < 0 else i)


def canonical_axes(axis: Argument, ndim: int) -> tuple[int, ...]:
    """`None` (all axes), a number or several, as a tuple of distinct axes in [0, ndim). Raises
    TypeError, ValueError."""
    if axis is None:
        return tuple(range(ndim))
    if not isinstance(axis, (tuple, list)):
        if axis.__class__ is int:
            return (canonical_axis(axis, ndim),)
        axis = integers(axis, "axis")
    axes = tuple(canonical_axis(a, ndim) for a in axis)
    if len(set(axes)) != len(axes):
        raise ValueError(f"duplicate value in 'axis': {tuple(axis)}")
    return axes
