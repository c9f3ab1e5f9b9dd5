"""What an index expression means for arrays of one shape.

A static part, and index arrays for what that leaves: see `Resolved`.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from types import EllipsisType, NoneType
from typing import Any

import numpy as np

from pullback.core import config, dtypes
from pullback.core.array import Array, as_array, concrete
from pullback.core.dimensions import Dim, is_position, is_symbolic, min_dim, slice_bounds, slice_length
from pullback.core.errors import NonConcreteBooleanIndexError, see, user_line
from pullback.core.trace import known_value
from pullback.core.types import Shape, broadcast_shapes, refuse_masked
from pullback.lax.arrangement import concatenate_p
from pullback.lax.elementwise import min_p
from pullback.lax.family import like
from pullback.lax.positions import GatherDimensionNumbers, wrap_negative
from pullback.lax.shape import broadcast_to, convert, reshape_p
from pullback.lax.static_index import StaticIndex
from pullback.numpy.conversion import array
from pullback.numpy.promotion import here

_FULL = slice(None)

_LARGEST = 2**31 - 1  # position that 32 bits hold

BASIC = frozenset((int, slice, NoneType, EllipsisType, Dim))


class Resolved:
    """An index for arrays of one shape, resolved.

    `basic` is its static part (None if that changes nothing), to be applied first. `arrays` are the
    index arrays, for the axes `axes` of what `basic` gives, whose shape is `rest`; they broadcast
    to `rows`, whose axes come at `position` in the result, of shape `shape`. `unique` says that no
    two positions are the same. `nowhere` is an axis without elements to which there are positions,
    if there is one: updates there are dropped, and there is nothing to read.
    """

    __slots__ = ("arrays", "axes", "basic", "nowhere", "position", "rest", "rows", "shape", "unique", "wrap")

    def __init__(self, operand: Shape, index: Any, wrap: bool = True) -> None:
        entries = _entries(index)
        if sum([e is Ellipsis for e in entries]) > 1:
            raise here(IndexError, "an index can only have a single ellipsis ('...')")
        used = sum([_axes_used(e) for e in entries])
        if used > len(operand):
            raise here(IndexError, f"Too many indices: array is {len(operand)}-dimensional, but {used} were indexed")
        basic: list[Any] = []
        axes: list[int] = []
        arrays: list[Any] = []
        advanced: list[bool] = []  # for each entry, whether NumPy counts it as an index array
        masks = axis = out = before = 0
        self.nowhere: int | None = None
        for e in entries:
            is_array = e.__class__ is int or isinstance(e, (np.ndarray, Array, Dim))
            if is_array and True not in advanced:
                before = out
            advanced.append(is_array)
            if e is None:
                basic.append(None)
                out += 1
            elif e is Ellipsis:
                missing = len(operand) - used
                basic += [_FULL] * missing
                axis += missing
                out += missing
            elif e.__class__ is slice:
                basic.append(_canonical_slice(e, operand[axis]))
                axis += 1
                out += 1
            elif (e.__class__ is int or e.__class__ is Dim) and (wrap or e >= 0) and is_position(e, operand[axis]):
                basic.append(e + operand[axis] if e < 0 else e)
                axis += 1
            else:
                if _is_mask(e):
                    masks += 1
                    positions = _mask_positions(e, operand[axis : axis + e.ndim])
                    if not e.ndim:
                        basic.append(None)
                else:
                    positions = [np.asarray(e) if e.__class__ is int else as_array(e) if e.__class__ is Dim else e]
                    if not operand[axis] and positions[0].size:
                        self.nowhere = axis
                        if not positions[0].ndim:
                            self.need_elements()
                consumed = _axes_used(e)
                basic += [_FULL] * consumed
                axes += range(out, out + len(positions))
                arrays += positions
                axis += consumed
                out += len(positions)
        while basic and basic[-1] is _FULL:
            basic.pop()
        self.basic = StaticIndex(tuple(basic)) if any(b is not _FULL for b in basic) else None
        self.rest = operand if self.basic is None else self.basic.shape(operand)
        self.axes, self.arrays, self.wrap = tuple(axes), arrays, wrap
        self.unique = masks == 1 and len(arrays) == max(1, sum(e.ndim for e in entries if _is_mask(e)))
        if not arrays:
            self.rows: Shape = ()
            self.position, self.shape = 0, self.rest
            return
        self.rows = broadcast_shapes(*(a.shape for a in arrays))
        kept = tuple(n for d, n in enumerate(self.rest) if d not in axes)
        first, last = advanced.index(True), len(advanced) - 1 - advanced[::-1].index(True)
        self.position = before if all(advanced[first : last + 1]) else 0
        self.shape = (*kept[: self.position], *self.rows, *kept[self.position :])

    def need_elements(self) -> None:
        """Raises IndexError if there are positions in an axis without elements."""
        if self.nowhere is not None:
            raise here(IndexError, f"index is out of bounds for axis {self.nowhere} with size 0")

    @property
    def numbers(self) -> GatherDimensionNumbers:
        """The dimension numbers of the gather."""
        after = self.position + len(self.rows)
        windows = (*range(self.position), *range(after, len(self.shape)))
        return GatherDimensionNumbers(windows, self.axes, self.axes)

    @property
    def sizes(self) -> Shape:
        """The window of the gather."""
        return tuple(min_dim(1, n) if d in self.axes else n for d, n in enumerate(self.rest))

    def indices(self) -> Array:
        """The index arrays as rows: shape (*rows, number of index arrays)."""
        lengths = [self.rest[d] for d in self.axes]
        symbolic = is_symbolic(lengths)
        wide = config.enable_x64.value or (not symbolic and max(lengths) > _LARGEST)
        dtype = dtypes.int64 if wide else dtypes.int32
        if not symbolic and all(isinstance(a, np.ndarray) for a in self.arrays):
            out = np.empty((*self.rows, len(lengths)), dtype)
            for i, (a, n) in enumerate(zip(self.arrays, lengths)):
                out[..., i] = _positions(a, n, self.wrap, dtype)
            return concrete(out)
        columns = []
        for a, n in zip(self.arrays, lengths):
            column = traced_positions(as_array(a), n, self.wrap, dtype)
            columns.append(reshape_p.bind(broadcast_to(column, self.rows), new_sizes=(*self.rows, 1)))
        return columns[0] if len(columns) == 1 else concatenate_p.bind(*columns, dimension=len(self.rows))


def _entries(index: Any) -> list[Any]:
    """The parts of an index: None, Ellipsis, slices, Python integers, and integer or boolean
    arrays."""
    if not isinstance(index, tuple):
        if isinstance(index, Sequence) and not isinstance(index, str):
            raise here(
                TypeError,
                "Using a non-tuple sequence for multidimensional indexing is not allowed; use `arr[array(seq)]` instead of "
                "`arr[seq]`",
            )
        index = (index,)
    return [_entry(i, position) for position, i in enumerate(index)]


def _entry(i: Any, position: int) -> Any:
    cls = i.__class__
    if cls in BASIC:
        if cls is slice and any(isinstance(v, Array) and known_value(v) is None for v in (i.start, i.stop, i.step)):
            raise IndexError(
                f"Slice entries must be static integers. Got {i} at position {position}, at {user_line()}. Use "
                "lax.dynamic_slice, whose size is static."
            )
        return i
    if isinstance(i, str):
        raise here(TypeError, f"string indexing is not supported; got idx={i!r}")
    if isinstance(i, Array):
        value = known_value(i)
        if value is not None:
            i = np.asarray(value)
        elif i.dtype == dtypes.bool_:
            raise NonConcreteBooleanIndexError(i)
    elif isinstance(i, (np.ndarray, np.generic, bool)):
        refuse_masked(i)
        i = np.asarray(i)
    elif isinstance(i, (list, tuple)):
        i = _array_of_sequence(i)
    elif hasattr(type(i), "__index__"):
        return int(operator.index(i))
    elif hasattr(i, "__jax_array__"):
        return _entry(i.__jax_array__(), position)
    if not isinstance(i, (np.ndarray, Array, *dtypes.PYTHON_SCALARS)):
        raise here(
            IndexError,
            "only integers, slices (`:`), ellipsis (`...`), newaxis (`None`) and integer or boolean arrays are valid indices; got "
            f"{i!r:.100} at position {position}",
            see("indices"),
        )
    dtype: Any = getattr(i, "dtype", type(i).__name__)
    if not isinstance(i, (np.ndarray, Array)) or not (dtype == dtypes.bool_ or dtypes.is_integer(dtype)):
        problem = f"Indexer must have integer or boolean type, got indexer with type {dtype} at position {position}"
        raise here(TypeError, problem, see("indices"))
    if isinstance(i, np.ndarray) and not i.ndim and dtype != dtypes.bool_:
        return int(i)
    return i


def _array_of_sequence(i: Any) -> Any:
    """A list inside an index, as an index array; its elements may be traced."""
    try:
        value = np.asarray(i)
    except TypeError:
        return array(i)
    return value if value.size else value.astype(np.intp)


def _is_mask(e: Any) -> bool:
    return isinstance(e, np.ndarray) and e.dtype == np.bool_


def _axes_used(e: Any) -> int:
    """How many axes of the operand an entry is for (0 for Ellipsis)."""
    if e is None or e is Ellipsis:
        return 0
    return e.ndim if _is_mask(e) else 1


def _canonical_slice(s: slice, n: int) -> slice:
    start, stop, step = slice_bounds(s, n)
    if step == 1 and start == 0 and stop == n:
        return _FULL
    if slice_length(start, stop, step) == 0:
        return slice(0, 0, 1)  # a start of -1, below a backward range, would be read as the end
    return slice(start, stop if stop >= 0 else None, step)


def _mask_positions(mask: Any, shape: Shape) -> list[Any]:
    if mask.ndim == 0:
        return [np.zeros(int(mask), np.intp)]
    if mask.shape != shape:
        raise here(
            IndexError, f"boolean index did not match shape of indexed array: got {mask.shape}, expected {list(shape)}"
        )
    return list(np.nonzero(mask))


def _positions(a: Any, n: int, wrap: bool, dtype: dtypes.DType) -> Any:
    """Index values for an axis of length `n` as `dtype`, negative ones wrapped; whatever is out of
    bounds stays so."""
    if dtypes.kind(a.dtype) == "u":
        return np.minimum(a, n) if a.itemsize >= dtype.itemsize else a
    if a.itemsize > dtype.itemsize:
        a = np.minimum(np.maximum(a, -n - 1), n)
    a = a.astype(dtype, copy=False)
    return np.where(a < 0, a + n, a) if wrap else a


def traced_positions(a: Any, n: int, wrap: bool, dtype: dtypes.DType) -> Any:
    """`_positions` of a tracer, as `dtype`."""
    if dtypes.kind(a.dtype) == "u":
        return convert(min_p.bind(a, like(min(n, int(dtypes.iinfo(a.dtype).max)), a)), dtype)
    a = convert(a, dtype)
    return wrap_negative(a, n) if wrap else a
