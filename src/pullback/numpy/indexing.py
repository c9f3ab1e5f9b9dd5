"""Reading and updating elements by NumPy's index expressions: `x[index]`, `x.at[index]`, `take` and their relatives.

An index is resolved in two steps. Its integers, slices and `None` make a `StaticIndex`: one NumPy call, no data movement; its index arrays (masks
become those, by their nonzero positions) make one gather or scatter on what is left. Both steps are differentiable, and negative
positions count from the end.

Out of bounds, reading clamps and updating drops, unless `mode` says otherwise; integers that are out of bounds behave as index arrays do.
Concrete arrays outside transformations take a short way: NumPy's own indexing, whose IndexError sends them the long one.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from types import EllipsisType, NoneType
from typing import Any

import numpy as np

from pullback.core import config, dtypes
from pullback.core.array import Array, ConcreteArray, as_array, concrete
from pullback.core.errors import ConcretizationTypeError, NonConcreteBooleanIndexError, user_line
from pullback.core.trace import (
    EVAL,
    IGNORED,
    current,
    floating_point_errors,
    known_value,
    reset_floating_point_errors,
)
from pullback.core.types import (
    Shape,
    broadcast_shapes,
    canonical_axis,
    integer,
    is_sequence,
    refuse_keys,
    refuse_masked,
)
from pullback.lax.arrangement import concatenate_p
from pullback.lax.elementwise import div_p, lt_p, max_p, min_p, rem_p
from pullback.lax.family import add_p, like, mul_p, sub_p
from pullback.lax.indexing import (
    apply_windows,
    checked_fill,
    gather_p,
    scatter_add_p,
    scatter_max_p,
    scatter_min_p,
    scatter_mul_p,
    scatter_p,
    scatter_sub_p,
)
from pullback.lax.positions import (
    GatherDimensionNumbers,
    GatherScatterMode,
    ScatterDimensionNumbers,
    modulo,
    wide_index,
    wrap_negative,
)
from pullback.lax.selection import select
from pullback.lax.shape import broadcast_to, convert, reshape_p
from pullback.lax.static_index import StaticIndex, static_index_p, static_update_p
from pullback.numpy.promotion import array_like, promote, truth
from pullback.xla.devices import no_sharding

_FULL = slice(None)
_LARGEST = 2**31 - 1  # position that 32 bits hold
_BASIC = frozenset((int, slice, NoneType, EllipsisType))
_READABLE = (np.generic, bool, list)  # beside arrays of NumPy's own class: subclasses may mean something else
_SMALL = 4096  # elements up to which an update's time is mostly that of its dispatch
_CLIP, _FILL, _PROMISE = GatherScatterMode.CLIP, GatherScatterMode.FILL_OR_DROP, GatherScatterMode.PROMISE_IN_BOUNDS


# ---- reading ----------------------------------------------------------------------------------------------------


def getitem(x: Array, index: Any) -> Array:
    """`x[index]` with NumPy's meaning, for arrays and tracers.

    `index` is an integer, slice, `None`, `...`, integer or boolean array, or a tuple of these; integer arrays may be traced, masks and the
    bounds of slices may not (NonConcreteBooleanIndexError, IndexError). Positions out of bounds are clamped. Raises IndexError for too
    many indices, TypeError for lists and for anything else that is no index.
    """
    if x.__class__ is ConcreteArray and current() is EVAL:
        plain = _plain_index(index)
        if plain is not _NOT_PLAIN:
            try:
                out = x._value[plain]
                return concrete(np.asarray(out) if out.__class__ is np.void else out, x.weak_type)
            except (IndexError, TypeError, ValueError, OverflowError):
                pass  # out of bounds, or a mistake: the long way clamps the one and explains the other
    return _get(x, Resolved(x.shape, index), _PROMISE)


_NOT_PLAIN: Any = object()


def _plain_index(index: Any) -> Any:
    """`index` as NumPy takes it, or `_NOT_PLAIN` if it holds tracers or what NumPy understands differently."""
    cls = index.__class__
    if cls in _BASIC:
        return index
    if cls is ConcreteArray:
        return index._value
    if cls is not tuple:
        return index if cls is np.ndarray or (isinstance(index, _READABLE) and cls is not list) else _NOT_PLAIN
    for i in index:
        if i.__class__ not in _BASIC:
            break
    else:
        return index
    plain = []
    for i in index:
        if i.__class__ is ConcreteArray:
            plain.append(i._value)
        elif i.__class__ in _BASIC or i.__class__ is np.ndarray or isinstance(i, _READABLE):
            plain.append(i)
        else:
            return _NOT_PLAIN
    return tuple(plain)


class Resolved:
    """An index for arrays of one shape, resolved.

    `basic` is its static part (None if that changes nothing), to be applied first. `arrays` are the index arrays, for the axes `axes` of
    what `basic` gives, whose shape is `rest`; they broadcast to `rows`, whose axes come at `position` in the result, of shape `shape`.
    `unique` says that no two positions are the same. `nowhere` is an axis without elements to which there are positions, if there is
    one: updates there are dropped, and there is nothing to read.
    """

    __slots__ = ("arrays", "axes", "basic", "nowhere", "position", "rest", "rows", "shape", "unique", "wrap")

    def __init__(self, operand: Shape, index: Any, wrap: bool = True) -> None:
        entries = _entries(index)
        if sum([e is Ellipsis for e in entries]) > 1:
            raise IndexError(f"an index can only have a single ellipsis ('...'), at {user_line()}")
        used = sum([_axes_used(e) for e in entries])
        if used > len(operand):
            raise IndexError(
                f"Too many indices: array is {len(operand)}-dimensional, but {used} were indexed, at {user_line()}"
            )
        basic: list[Any] = []
        axes: list[int] = []
        arrays: list[Any] = []
        advanced: list[bool] = []  # for each entry, whether NumPy counts it as an index array
        masks = axis = out = before = 0
        self.nowhere: int | None = None
        for e in entries:
            is_array = e.__class__ is int or isinstance(e, (np.ndarray, Array))
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
            elif e.__class__ is int and (-operand[axis] if wrap else 0) <= e < operand[axis]:
                basic.append(e + operand[axis] if e < 0 else e)
                axis += 1
            else:
                if _is_mask(e):
                    masks += 1
                    positions = _mask_positions(e, operand[axis : axis + e.ndim])
                    if not e.ndim:
                        basic.append(None)
                else:
                    positions = [np.asarray(e) if e.__class__ is int else e]
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
            raise IndexError(f"index is out of bounds for axis {self.nowhere} with size 0, at {user_line()}")

    @property
    def numbers(self) -> GatherDimensionNumbers:
        """The dimension numbers of the gather."""
        after = self.position + len(self.rows)
        windows = (*range(self.position), *range(after, len(self.shape)))
        return GatherDimensionNumbers(windows, self.axes, self.axes)

    @property
    def sizes(self) -> Shape:
        """The window of the gather."""
        return tuple(min(1, n) if d in self.axes else n for d, n in enumerate(self.rest))

    def indices(self) -> Array:
        """The index arrays as rows: shape (*rows, number of index arrays)."""
        lengths = [self.rest[d] for d in self.axes]
        dtype = dtypes.int64 if config.enable_x64.value or max(lengths) > _LARGEST else dtypes.int32
        if all(isinstance(a, np.ndarray) for a in self.arrays):
            out = np.empty((*self.rows, len(lengths)), dtype)
            for i, (a, n) in enumerate(zip(self.arrays, lengths)):
                out[..., i] = _positions(a, n, self.wrap, dtype)
            return concrete(out)
        columns = []
        for a, n in zip(self.arrays, lengths):
            column = _positions_traced(as_array(a), n, self.wrap, dtype)
            columns.append(reshape_p.bind(broadcast_to(column, self.rows), new_sizes=(*self.rows, 1)))
        return columns[0] if len(columns) == 1 else concatenate_p.bind(*columns, dimension=len(self.rows))


def _entries(index: Any) -> list[Any]:
    """The parts of an index: None, Ellipsis, slices, Python integers, and integer or boolean arrays."""
    if not isinstance(index, tuple):
        if isinstance(index, Sequence) and not isinstance(index, str):
            raise TypeError(
                "Using a non-tuple sequence for multidimensional indexing is not allowed; use `arr[array(seq)]` instead of "
                f"`arr[seq]`, at {user_line()}"
            )
        index = (index,)
    return [_entry(i, position) for position, i in enumerate(index)]


def _entry(i: Any, position: int) -> Any:
    cls = i.__class__
    if cls in _BASIC:
        if cls is slice and any(isinstance(v, Array) and known_value(v) is None for v in (i.start, i.stop, i.step)):
            raise IndexError(
                f"Slice entries must be static integers. Got {i} at position {position}, at {user_line()}. Use "
                "lax.dynamic_slice, whose size is static."
            )
        return i
    if isinstance(i, str):
        raise TypeError(f"string indexing is not supported; got idx={i!r}, at {user_line()}")
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
        raise IndexError(
            "only integers, slices (`:`), ellipsis (`...`), newaxis (`None`) and integer or boolean arrays are valid indices; got "
            f"{i!r:.100} at position {position}, at {user_line()}"
        )
    dtype: Any = getattr(i, "dtype", type(i).__name__)
    if not isinstance(i, (np.ndarray, Array)) or not (dtype == dtypes.bool_ or dtypes.is_integer(dtype)):
        raise TypeError(
            f"Indexer must have integer or boolean type, got indexer with type {dtype} at position {position}, at {user_line()}"
        )
    if isinstance(i, np.ndarray) and not i.ndim and dtype != dtypes.bool_:
        return int(i)
    return i


def _array_of_sequence(i: Any) -> Any:
    """A list inside an index, as an index array; its elements may be traced."""
    try:
        value = np.asarray(i)
    except TypeError:
        from pullback.numpy.creation import array

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
    start, stop, step = s.indices(n)
    if step == 1 and start == 0 and stop == n:
        return _FULL
    if not range(start, stop, step):
        return slice(0, 0, 1)  # a start of -1, below a backward range, would be read as the end
    return slice(start, stop if stop >= 0 else None, step)


def _mask_positions(mask: Any, shape: Shape) -> list[Any]:
    if mask.ndim == 0:
        return [np.zeros(int(mask), np.intp)]
    if mask.shape != shape:
        raise IndexError(
            f"boolean index did not match shape of indexed array: got {mask.shape}, expected {list(shape)}, at {user_line()}"
        )
    return list(np.nonzero(mask))


def _positions(a: Any, n: int, wrap: bool, dtype: dtypes.DType) -> Any:
    """Index values for an axis of length `n` as `dtype`, negative ones wrapped; whatever is out of bounds stays so."""
    if dtypes.kind(a.dtype) == "u":
        return np.minimum(a, n) if a.itemsize >= dtype.itemsize else a
    if a.itemsize > dtype.itemsize:
        a = np.minimum(np.maximum(a, -n - 1), n)
    a = a.astype(dtype, copy=False)
    return np.where(a < 0, a + n, a) if wrap else a


def _positions_traced(a: Any, n: int, wrap: bool, dtype: dtypes.DType) -> Any:
    """`_positions` of a tracer, as `dtype`."""
    if dtypes.kind(a.dtype) == "u":
        return convert(min_p.bind(a, like(min(n, int(dtypes.iinfo(a.dtype).max)), a)), dtype)
    a = convert(a, dtype)
    return wrap_negative(a, n) if wrap else a


def _get(
    x: Array,
    index: Resolved,
    mode: GatherScatterMode,
    fill_value: Any = None,
    unique: bool = False,
    is_sorted: bool = False,
) -> Array:
    if index.basic is not None:
        x = static_index_p.bind(x, index=index.basic)
    if not index.arrays:
        x._check_alive()
        return x
    index.need_elements()
    return gather_p.bind(
        x, index.indices(), dimension_numbers=index.numbers, slice_sizes=index.sizes, mode=mode,
        fill_value=checked_fill(fill_value, x) if mode is _FILL else None, indices_are_sorted=is_sorted or index.unique,
        unique_indices=unique or index.unique,
    )  # fmt: skip


# ---- updating ---------------------------------------------------------------------------------------------------


class IndexUpdateHelper:
    """`x.at`: index it to get an `IndexUpdateRef`."""

    __slots__ = ("array",)

    def __init__(self, array: Array) -> None:
        self.array = array

    def __getitem__(self, index: Any) -> IndexUpdateRef:
        return IndexUpdateRef(self.array, index)

    def __repr__(self) -> str:
        return f"IndexUpdateHelper({self.array!r})"


class IndexUpdateRef:
    """`x.at[index]`: the elements of `x` at an index, to be read or updated out of place.

    The methods return a new array of the type of `x` (`divide`: promoted to floating point). Values broadcast to the shape of `x[index]`.
    Where positions repeat, updates are applied one after the other. Keyword arguments of all methods:

    - `mode`: for positions out of bounds, "drop" (the default; "fill" for reading), "clip" or "promise_in_bounds";
    - `indices_are_sorted`, `unique_indices`: promises about the index;
    - `wrap_negative_indices`: whether negative positions count from the end.

    >>> from pullback.numpy import array
    >>> IndexUpdateRef(array([1, 2, 3]), 1).set(7)
    Array([1, 7, 3], dtype=int32)
    """

    __slots__ = ("array", "index")

    def __init__(self, array: Array, index: Any) -> None:
        self.array, self.index = array, index

    def __repr__(self) -> str:
        return f"IndexUpdateRef({self.array!r}, {self.index!r})"

    def get(
        self, *, indices_are_sorted: bool = False, unique_indices: bool = False, mode: Any = None, fill_value: Any = None,
        out_sharding: Any = None, wrap_negative_indices: bool = True,
    ) -> Array:  # fmt: skip
        """`x[index]`. Out of bounds: clamped; in mode "fill" (or "drop") `fill_value`, by default NaN, the smallest signed or the
        largest unsigned integer, or True."""
        if out_sharding is not None:
            no_sharding("get", out_sharding)
        resolved = Resolved(self.array.shape, self.index, wrap_negative_indices)
        how = _PROMISE if mode is None else GatherScatterMode.from_any(mode)
        return _get(self.array, resolved, how, fill_value, unique_indices, indices_are_sorted)

    def set(self, values: Any, **options: Any) -> Array:
        """`x` with `x[index] = values`."""
        x, values = self.array, update_values(values)
        if values.dtype != x.dtype or values.weak_type is not x.weak_type:
            values = convert(values, x.dtype, x.weak_type)
        if not options:
            out = self._at_once(x, values, None)
            if out is not None:
                return out
        return self._update(x, values, scatter_p, None, **options)

    def _at_once(self, x: Any, values: Any, ufunc: Any) -> Array | None:
        """A small update of a concrete array by NumPy, or None: in bounds, and where NumPy's rules are ours."""
        if x.__class__ is not ConcreteArray or values.__class__ is not ConcreteArray or current() is not EVAL:
            return None
        plain = _plain_index(self.index)
        if plain is _NOT_PLAIN or values.size > _SMALL:
            return None
        out = np.array(x._value)
        token = floating_point_errors[IGNORED]
        try:
            part = out[plain]
            if values.ndim > part.ndim or part.size > _SMALL:
                return None
            if ufunc is None:
                out[plain] = values._value
            elif part.base is out or not part.ndim:  # a view (or an element): no position occurs twice
                out[plain] = ufunc(part, values._value)
            else:
                ufunc.at(out, plain, values._value)
        except (IndexError, TypeError, ValueError, OverflowError):
            return None  # out of bounds, or a mistake that the long way explains
        finally:
            reset_floating_point_errors(token)
        return concrete(out, x.weak_type)

    def add(self, values: Any, **options: Any) -> Array:
        """`x` with `x[index] += values`, for every occurrence of a position."""
        return self._combine(values, scatter_add_p, add_p.bind, options)

    def subtract(self, values: Any, **options: Any) -> Array:
        """`x` with `x[index] -= values`, for every occurrence of a position."""
        return self._combine(values, scatter_sub_p, sub_p.bind, options)

    def multiply(self, values: Any, **options: Any) -> Array:
        """`x` with `x[index] *= values`, for every occurrence of a position."""
        return self._combine(values, scatter_mul_p, mul_p.bind, options)

    mul = multiply

    def divide(self, values: Any, **options: Any) -> Array:
        """`x` with `x[index] /= values`, for every occurrence of a position. `values` are converted to the dtype of `x`; integers give
        floats."""
        x = self.array
        dtype, weak = dtypes.to_inexact(x.dtype), x.weak_type
        values = convert(convert(update_values(values), x.dtype, weak), dtype, weak)
        ones = broadcast_to(concrete(dtype.type(1), weak), x.shape)
        divisor = IndexUpdateRef(ones, self.index).multiply(values, **options)
        return div_p.bind(convert(x, dtype, weak), divisor)

    div = divide

    def power(self, values: Any, **options: Any) -> Array:
        """`x` with `x[index] **= values`, for every occurrence of a position. `values` are converted to the dtype of `x`."""
        from pullback.numpy.ufuncs import power

        x = self.array
        exponent = convert(update_values(values), x.dtype, x.weak_type)
        return self._apply(lambda old: power(old, exponent), options, exponent.shape)

    def min(self, values: Any, **options: Any) -> Array:
        """`x` with `x[index] = minimum(x[index], values)`."""
        return self._combine(values, scatter_min_p, min_p.bind, options)

    def max(self, values: Any, **options: Any) -> Array:
        """`x` with `x[index] = maximum(x[index], values)`."""
        return self._combine(values, scatter_max_p, max_p.bind, options)

    def apply(self, func: Callable[[Any], Any], **options: Any) -> Array:
        """`x` with `x[index] = func(x[index])`: an elementwise function that keeps the dtype, once for every occurrence of a position.

        Traced positions that may repeat are limited in number: promise `unique_indices` if they do not.
        """
        return self._apply(func, options, ())

    def _combine(self, values: Any, primitive: Any, function: Any, options: dict[str, Any]) -> Array:
        x, values = self.array, update_values(values)
        if x.dtype == values.dtype == dtypes.bool_ and primitive in (scatter_add_p, scatter_sub_p, scatter_mul_p):
            raise TypeError(
                f"{primitive.name} does not accept dtype bool: use .min (and) or .max (or), at {user_line()}"
            )
        dtype, weak = x.dtype, x.weak_type
        if values.dtype != dtype:
            # In the promoted type, as for arrays; the result is of the type of `x`.
            common, _ = dtypes.promote_pair(dtype, weak, values.dtype, values.weak_type)
            x, values = convert(x, common, weak), convert(values, common)
        out = None if options else self._at_once(x, values, primitive.combine)
        return convert(self._update(x, values, primitive, function, **options) if out is None else out, dtype, weak)

    def _update(
        self, x: Any, values: Any, primitive: Any, function: Any, *, indices_are_sorted: bool = False, unique_indices: bool = False,
        mode: Any = None, out_sharding: Any = None, wrap_negative_indices: bool = True,
    ) -> Array:  # fmt: skip
        if out_sharding is not None:
            no_sharding("at", out_sharding)
        index = Resolved(x.shape, self.index, wrap_negative_indices)
        how = GatherScatterMode.from_any(mode)
        values = _broadcast_values(values, index.shape)

        if not index.arrays and function is None:
            return values if index.basic is None else static_update_p.bind(x, values, index=index.basic)

        def updated(part: Any) -> Any:
            if not index.arrays:
                return function(part, values)
            if index.nowhere is not None:
                return part
            return primitive.bind(
                part, index.indices(), values, dimension_numbers=ScatterDimensionNumbers(*index.numbers), mode=how,
                indices_are_sorted=indices_are_sorted or index.unique, unique_indices=unique_indices or index.unique,
            )  # fmt: skip

        return _replaced(x, index, updated)

    def _apply(self, func: Any, options: dict[str, Any], values_shape: Shape) -> Array:
        options = {**_DEFAULTS, **options}
        if len(options) > len(_DEFAULTS):
            raise TypeError(f"unknown keyword arguments {sorted(set(options) - set(_DEFAULTS))} of an index update")
        x = self.array
        index = Resolved(x.shape, self.index, options["wrap_negative_indices"])
        how = GatherScatterMode.from_any(options["mode"])
        if broadcast_shapes(values_shape, index.shape) != index.shape:
            raise ValueError(
                f"cannot broadcast values of shape {values_shape} to the shape {index.shape} of the indexed part"
            )

        def updated(part: Any) -> Any:
            if not index.arrays:
                new = as_array(func(part))
                if new.shape != part.shape:
                    raise TypeError(
                        f"the function applied to {part.aval} must keep the shape, but gave {new.aval}, at {user_line()}"
                    )
                return convert(new, part.dtype, part.weak_type)
            if index.nowhere is not None:
                return part
            return apply_windows(
                part, index.indices(), func, ScatterDimensionNumbers(*index.numbers), index.shape, how,
                options["unique_indices"] or index.unique, options["indices_are_sorted"] or index.unique,
            )  # fmt: skip

        return _replaced(x, index, updated)


_DEFAULTS = {
    "indices_are_sorted": False, "unique_indices": False, "mode": None, "out_sharding": None, "wrap_negative_indices": True,
}  # fmt: skip


def _replaced(x: Any, index: Resolved, updated: Callable[[Any], Any]) -> Any:
    """`x` with its static part under `index` replaced by its update."""
    if index.basic is None:
        return updated(x)
    return static_update_p.bind(x, updated(static_index_p.bind(x, index=index.basic)), index=index.basic)


def update_values(values: Any) -> Array:
    try:
        return as_array(values)
    except TypeError:
        from pullback.numpy.creation import asarray

        return asarray(values)


def _broadcast_values(values: Any, shape: Shape) -> Any:
    if values.shape == shape:
        return values
    if len(values.shape) > len(shape) or broadcast_shapes(values.shape, shape) != shape:
        raise ValueError(
            f"Incompatible shapes for broadcasting: values of shape {values.shape} to the indexed part, of shape {shape}, at {user_line()}"
        )
    return broadcast_to(values, shape)


# ---- take and put -----------------------------------------------------------------------------------------------


def take(
    a: Any, indices: Any, axis: int | None = None, out: None = None, mode: str | None = None, unique_indices: bool = False,
    indices_are_sorted: bool = False, fill_value: Any = None,
) -> Array:  # fmt: skip
    """The slices of `a` at `indices` along `axis` (elements of the flattened `a`, if None): axis `axis` becomes the axes of `indices`.

    `mode` is for positions out of bounds: "fill" (the default; negative positions count from the end, others read `fill_value`, by default
    NaN, the smallest signed or largest unsigned integer, True), "clip" or "wrap". Raises IndexError for elements of an empty axis.

    >>> take(as_array(np.arange(6).reshape(2, 3)), np.array([0, 2]), axis=1)
    Array([[0, 2],
           [3, 5]], dtype=int32)
    """
    if out is not None:
        raise NotImplementedError("the argument out of take is not supported: arrays are immutable")
    x, i = array_like(a, "take"), array_like(indices, "take")
    if not dtypes.is_integer(i.dtype):
        raise ValueError(f"take: indices must have an integer type, got {i.aval}, at {user_line()}")
    if axis is None:
        x, axis = reshape_p.bind(x, new_sizes=(x.size,)), 0
    axis = canonical_axis(axis, x.ndim)
    if (
        mode is fill_value is None
        and x.__class__ is ConcreteArray
        and i.__class__ is ConcreteArray
        and current() is EVAL
    ):
        try:
            return concrete(x._value.take(i._value, axis), x.weak_type)
        except (IndexError, TypeError):
            pass  # out of bounds (to be filled), or unsigned 64-bit positions
    n = x.shape[axis]
    if not n and i.size:
        raise IndexError("Cannot do a non-empty take() from an empty axis.")
    i, how = _by_mode(i, n, "fill" if mode is None else mode, "take")
    rows = reshape_p.bind(i, new_sizes=(*i.shape, 1))
    numbers = GatherDimensionNumbers((*range(axis), *range(axis + i.ndim, x.ndim - 1 + i.ndim)), (axis,), (axis,))
    sizes = tuple(min(1, m) if d == axis else m for d, m in enumerate(x.shape))
    return gather_p.bind(
        x, rows, dimension_numbers=numbers, slice_sizes=sizes, mode=how, fill_value=checked_fill(fill_value, x) if how is _FILL else None,
        indices_are_sorted=bool(indices_are_sorted), unique_indices=bool(unique_indices),
    )  # fmt: skip


def _by_mode(i: Any, n: int, mode: str, name: str) -> tuple[Any, GatherScatterMode]:
    """Positions in an axis of length `n`, and the gather mode, for NumPy's modes."""
    if mode == "raise":
        raise NotImplementedError(f"The 'raise' mode to {name} is not supported: use 'fill', 'clip' or 'wrap'")
    if mode == "fill":
        return wrap_negative(i, n), _FILL
    if mode == "clip":
        return i, _CLIP
    if mode == "wrap":
        return modulo(i, n), _PROMISE
    raise ValueError(f"Invalid mode {mode!r} for {name}: it must be 'fill', 'clip' or 'wrap'")


def take_along_axis(
    arr: Any,
    indices: Any,
    axis: int | None = -1,
    mode: Any = None,
    fill_value: Any = None,
    *,
    wrap_negative_indices: bool | None = None,
) -> Array:
    """`out[..., i, ...] = arr[..., indices[..., i, ...], ...]` along `axis`; the other axes broadcast. With axis None, `arr` is flattened.

    `mode` is "fill" by default, see `take`. Raises TypeError unless the indices are integers, ValueError for shapes that do not fit.

    >>> take_along_axis(as_array(np.array([[1, 2], [3, 4]])), np.array([[1], [0]]), axis=1)
    Array([[2],
           [3]], dtype=int32)
    """
    x, i = array_like(arr, "take_along_axis"), array_like(indices, "take_along_axis")
    if not dtypes.is_integer(i.dtype):
        raise TypeError(
            f"take_along_axis indices must be of integer type, got {dtypes.name(i.dtype)}, at {user_line()}"
        )
    if axis is None:
        if i.ndim != 1:
            raise ValueError(f"take_along_axis with axis=None takes 1-d indices, got shape {i.shape}")
        x, axis = reshape_p.bind(x, new_sizes=(x.size,)), 0
    if x.ndim != i.ndim:
        raise ValueError(f"indices and arr must have the same number of dimensions; {i.ndim} vs. {x.ndim}")
    axis = canonical_axis(axis, x.ndim)
    shape = broadcast_shapes((*x.shape[:axis], 1, *x.shape[axis + 1 :]), (*i.shape[:axis], 1, *i.shape[axis + 1 :]))
    n = x.shape[axis]
    how = _FILL if mode is None else GatherScatterMode.from_any(mode)
    if not n and i.size:
        raise IndexError(f"take_along_axis: axis {axis} of shape {x.shape} is empty, at {user_line()}")
    if wrap_negative_indices or wrap_negative_indices is None:
        i = wrap_negative(i, n)
    # An axis that both have pairs their elements; one that only `arr` has runs through windows; one that only the indices have, over rows.
    both = [d for d in range(x.ndim) if d != axis and x.shape[d] == i.shape[d]]
    windows = [d for d in range(x.ndim) if d != axis and d not in both and i.shape[d] == 1]
    rows_only = [d for d in range(x.ndim) if d != axis and d not in both and d not in windows]
    row_axes = [d for d in range(x.ndim) if d not in windows]
    x_axes = [d for d in range(x.ndim) if d not in rows_only]
    x = reshape_p.bind(x, new_sizes=tuple(x.shape[d] for d in x_axes))
    i = reshape_p.bind(i, new_sizes=(*(i.shape[d] for d in row_axes), 1))
    numbers = GatherDimensionNumbers(
        tuple(windows),
        (x_axes.index(axis),),
        (x_axes.index(axis),),
        tuple(x_axes.index(d) for d in both),
        tuple(row_axes.index(d) for d in both),
    )
    sizes = tuple(min(1, shape[d] if d != axis else n) if d not in windows else shape[d] for d in x_axes)
    return gather_p.bind(
        x, i, dimension_numbers=numbers, slice_sizes=sizes, mode=how, fill_value=checked_fill(fill_value, x) if how is _FILL else None,
        indices_are_sorted=False, unique_indices=False,
    )  # fmt: skip


def refuse_inplace(name: str, inplace: bool, error: type[Exception] = ValueError) -> None:
    if inplace:
        raise error(
            f"pullback.numpy.{name} cannot modify arrays in-place, because arrays are immutable. Pass inplace=False to instead return "
            "an updated array."
        )


def put_along_axis(
    arr: Any, indices: Any, values: Any, axis: int | None, inplace: bool = True, *, mode: str | None = None
) -> Array:
    """`arr` with `arr[..., indices[..., i, ...], ...] = values[..., i, ...]` along `axis`. Needs `inplace=False` (ValueError).

    Positions out of bounds are dropped, or clamped with `mode="clip"`. With axis None, positions are those of the flattened `arr`.
    """
    refuse_inplace("put_along_axis", inplace)
    x, i, v = (
        array_like(arr, "put_along_axis"),
        array_like(indices, "put_along_axis"),
        array_like(values, "put_along_axis"),
    )
    if not dtypes.is_integer(i.dtype):
        raise TypeError(f"put_along_axis indices must be of integer type, got {dtypes.name(i.dtype)}, at {user_line()}")
    if axis is None:
        flat = reshape_p.bind(x, new_sizes=(x.size,))
        return reshape_p.bind(put_along_axis(flat, i, v, 0, inplace=False, mode=mode), new_sizes=x.shape)
    if x.ndim != i.ndim:
        raise ValueError(f"indices and arr must have the same number of dimensions; {i.ndim} vs. {x.ndim}")
    axis = canonical_axis(axis, x.ndim)
    index: list[Any] = [
        np.arange(n).reshape([-1 if e == d else 1 for e in range(x.ndim)]) for d, n in enumerate(x.shape)
    ]
    index[axis] = i
    return IndexUpdateRef(x, tuple(index)).set(v, mode=mode)


def put(a: Any, ind: Any, v: Any, mode: str | None = None, *, inplace: bool = True) -> Array:
    """`a` with `a.flat[ind] = v`, repeating `v` as needed. Needs `inplace=False` (ValueError).

    Positions out of bounds are clamped (None, with which negative ones count from the end, and "clip") or taken modulo the size ("wrap"). Without
    values, or elements, nothing is put.
    """
    refuse_inplace("put", inplace)
    x, i, values = array_like(a, "put"), array_like(ind, "put"), array_like(v, "put")
    if mode not in (None, "clip", "wrap"):
        if mode == "raise":
            raise NotImplementedError("The 'raise' mode to put is not supported: use None, 'clip' or 'wrap'")
        raise ValueError(f"mode should be one of 'wrap', 'clip' or None; got {mode!r}")
    if not (i.size and values.size and x.size):
        return x
    i = reshape_p.bind(i, new_sizes=(i.size,))
    if i.dtype == dtypes.bool_:
        i = convert(i, dtypes.int32)
    if mode == "wrap":
        i = modulo(i, x.size)
    flat = reshape_p.bind(x, new_sizes=(x.size,))
    updated = IndexUpdateRef(flat, i).set(cycled(values, i.size), mode="clip", wrap_negative_indices=mode is None)
    return reshape_p.bind(updated, new_sizes=x.shape)


def cycled(values: Any, count: int) -> Any:
    """The elements of `values` in order, over and over, `count` of them."""
    flat = reshape_p.bind(values, new_sizes=(values.size,))
    return flat if values.size == count else getitem(flat, np.arange(count) % values.size)


def place(arr: Any, mask: Any, vals: Any, *, inplace: bool = True) -> Array:
    """`arr` with the elements where `mask` is true replaced by those of `vals` in order, over and over. Needs `inplace=False`."""
    from pullback.lax.cumulative import cumsum

    refuse_inplace("place", inplace)
    x, m, v = array_like(arr, "place"), array_like(mask, "place"), array_like(vals, "place")
    if x.size != m.size:
        raise ValueError(f"place: arr and mask must be the same size, got shapes {x.shape} and {m.shape}")
    if not v.size:
        raise ValueError("Cannot place values from an empty array")
    if not x.size:
        return x
    m = reshape_p.bind(truth(m, "a mask"), new_sizes=(m.size,))
    counts = cumsum(convert(m, dtypes.canonicalize(dtypes.int64)), 0)
    turn = rem_p.bind(sub_p.bind(counts, like(1, counts)), like(v.size, counts))
    chosen = take(convert(v, x.dtype, x.weak_type), turn, mode="clip")  # -1, before the first, is of no matter
    return select(reshape_p.bind(m, new_sizes=x.shape), reshape_p.bind(chosen, new_sizes=x.shape), x)


# ---- choosing by conditions -------------------------------------------------------------------------------------


def nonzero(a: Any, *, size: int | None = None, fill_value: Any = None) -> tuple[Array, ...]:
    """The positions of the nonzero elements of `a`, in row-major order: one index array an axis.

    With `size` there are so many positions: the surplus is cut off, and missing ones are `fill_value` (0; or one value an axis), with
    whose type the positions are promoted. Without, `a` must be concrete (ConcretizationTypeError). Raises ValueError for scalars.

    >>> nonzero(as_array(np.array([0, 3, 0, 4])))
    (Array([1, 3], dtype=int32),)
    """
    x = array_like(a, "nonzero")
    if not x.ndim:
        raise ValueError("Calling nonzero on 0d arrays is not allowed. Use atleast_1d(scalar).nonzero() instead.")
    refuse_keys("nonzero", x)
    dtype = dtypes.canonicalize(dtypes.int64)
    fills = fill_value if isinstance(fill_value, tuple) else (0 if fill_value is None else fill_value,) * x.ndim
    if len(fills) != x.ndim or any(getattr(f, "shape", ()) for f in fills):
        raise ValueError(f"fill_value must be a scalar or a tuple of length {x.ndim}; got {fill_value}")
    if size is not None:
        size = integer(size, "nonzero: size")
    known = known_value(x)
    if known is not None:
        positions = np.nonzero(np.asarray(known))
        if size is not None and all(known_value(as_array(f)) is not None for f in fills):
            count = min(size, len(positions[0]))
            padded = []
            for p, f in zip(positions, map(as_array, fills)):
                kind, weak = dtypes.promotion(dtype, f)
                out = np.full(size, np.asarray(known_value(f)).astype(kind))
                out[:count] = p[:count]
                padded.append(concrete(out, weak))
            return tuple(padded)
        if size is None:
            return tuple(concrete(p.astype(dtype)) for p in positions)
    if size is None:
        raise ConcretizationTypeError(
            x, "The number of nonzero elements would be the size of the result: pass the argument `size` to `nonzero`."
        )
    return _traced_nonzero(x, size, fills, dtype)


def _traced_nonzero(x: Any, size: int, fills: tuple[Any, ...], dtype: dtypes.DType) -> tuple[Array, ...]:
    from pullback.lax.cumulative import cumsum

    given = [as_array(f) for f in fills]
    kinds = [dtypes.promotion(dtype, f) for f in given]
    if not x.size:
        return tuple(broadcast_to(convert(f, *kind), (size,)) for f, kind in zip(given, kinds))
    mask = reshape_p.bind(truth(x, "nonzero"), new_sizes=(x.size,))
    rank = cumsum(convert(mask, dtype), 0)
    # The k-th nonzero element writes its position to place k; the others go out of bounds and are dropped.
    place = select(mask, sub_p.bind(rank, like(1, rank)), broadcast_to(like(size, rank), rank.shape))
    numbers = ScatterDimensionNumbers((), (0,), (0,))
    flat = scatter_p.bind(
        concrete(np.zeros(size, dtype)), reshape_p.bind(place, new_sizes=(x.size, 1)), concrete(np.arange(x.size, dtype=dtype)),
        dimension_numbers=numbers, mode=_FILL, indices_are_sorted=False, unique_indices=True,
    )  # fmt: skip
    total = getitem(rank, x.size - 1)
    found = lt_p.bind(concrete(np.arange(size, dtype=dtype)), broadcast_to(total, (size,)))
    positions = unravel_index(flat, x.shape)
    return tuple(select(found, convert(p, *kind), convert(f, *kind)) for p, f, kind in zip(positions, given, kinds))


def unravel_index(indices: Any, shape: Any) -> tuple[Array, ...]:
    """Flat positions in an array of `shape` as positions along its axes: one array an axis. Clamped; negative ones count from the end.

    >>> [int(i) for i in unravel_index(5, (2, 3))]
    [1, 2]
    """
    i = array_like(indices, "unravel_index")
    if not dtypes.is_integer(i.dtype):
        raise TypeError(f"unravel_index: indices must be of integer type, got {dtypes.name(i.dtype)}, at {user_line()}")
    sizes = tuple(map(operator.index, shape)) if is_sequence(shape) else (operator.index(shape),)
    total = int(np.prod(sizes, dtype=object)) if sizes else 1
    i = wide_index(i)
    i = max_p.bind(wrap_negative(i, total), like(0, i))
    i = min_p.bind(i, like(max(total - 1, 0), i))
    out: list[Any] = []
    for n in reversed(sizes):
        out.append(rem_p.bind(i, like(max(n, 1), i)))
        i = div_p.bind(i, like(max(n, 1), i))
    return tuple(reversed(out))


def flatnonzero(a: Any, *, size: int | None = None, fill_value: Any = None) -> Array:
    """The positions of the nonzero elements of the flattened `a`. See `nonzero`."""
    x = array_like(a, "flatnonzero")
    return nonzero(reshape_p.bind(x, new_sizes=(x.size,)), size=size, fill_value=fill_value)[0]


def argwhere(a: Any, *, size: int | None = None, fill_value: Any = None) -> Array:
    """The positions of the nonzero elements of `a`, one a row: shape (number, a.ndim). See `nonzero`."""
    x = array_like(a, "argwhere")
    if not x.ndim:
        (flat,) = nonzero(reshape_p.bind(x, new_sizes=(1,)), size=size)
        return concrete(np.zeros((flat.shape[0], 0), flat.dtype))
    columns = promote("argwhere", *nonzero(x, size=size, fill_value=fill_value))
    return concatenate_p.bind(*(reshape_p.bind(c, new_sizes=(*c.shape, 1)) for c in columns), dimension=1)


def compress(
    condition: Any, a: Any, axis: int | None = None, *, size: int | None = None, fill_value: Any = 0, out: None = None
) -> Array:
    """The slices of `a` along `axis` (elements of the flattened `a`, if None) where the 1-d `condition` is true.

    With `size` there are so many slices: the surplus is cut off, and missing ones are `fill_value`. Raises ValueError if the condition is
    true beyond the end of the axis.

    >>> compress(np.array([True, False, True]), as_array(np.array([5, 6, 7])))
    Array([5, 7], dtype=int32)
    """
    if out is not None:
        raise NotImplementedError("the argument out of compress is not supported: arrays are immutable")
    c, x = array_like(condition, "compress"), array_like(a, "compress")
    if c.ndim != 1:
        raise ValueError(f"condition must be a 1D array, got shape {c.shape}")
    if axis is None:
        x, axis = reshape_p.bind(x, new_sizes=(x.size,)), 0
    axis = canonical_axis(axis, x.ndim)
    n = x.shape[axis]
    c = truth(c, "compress")
    if c.shape[0] > n:
        extra = known_value(c)
        if extra is not None and extra[n:].any():
            raise ValueError(
                f"condition contains entries that are out of bounds: its length is {len(extra)}, that of the axis {n}"
            )
        c = getitem(c, slice(n))
    (positions,) = nonzero(c, size=size, fill_value=n)
    if size is None or not n:
        return take(x, positions, axis, mode="clip") if n or size is None else _only_fill(x, axis, size, fill_value)
    kept = take(x, positions, axis, mode="fill")
    along = tuple(size if d == axis else 1 for d in range(x.ndim))
    found = reshape_p.bind(lt_p.bind(positions, like(n, positions)), new_sizes=along)
    return select(found, kept, convert(as_array(fill_value), x.dtype))


def _only_fill(x: Any, axis: int, size: int, fill_value: Any) -> Array:
    return broadcast_to(convert(as_array(fill_value), x.dtype), (*x.shape[:axis], size, *x.shape[axis + 1 :]))


def extract(condition: Any, arr: Any, *, size: int | None = None, fill_value: Any = 0) -> Array:
    """The elements of `arr` where `condition` is true, both flattened. See `compress`."""
    c, x = array_like(condition, "extract"), array_like(arr, "extract")
    return compress(
        reshape_p.bind(c, new_sizes=(c.size,)), reshape_p.bind(x, new_sizes=(x.size,)), size=size, fill_value=fill_value
    )


def choose(a: Any, choices: Any, out: None = None, mode: str = "raise") -> Array:
    """Elementwise `choices[a]`; `a` and the choices broadcast.

    `mode` is for values of `a` out of bounds: "raise" (ValueError; `a` must be concrete), "wrap" or "clip".

    >>> choose(np.array([1, 0]), [np.array([1, 2]), np.array([3, 4])])
    Array([3, 2], dtype=int32)
    """
    if out is not None:
        raise NotImplementedError("the argument out of choose is not supported: arrays are immutable")
    i = array_like(a, "choose")
    if not dtypes.is_integer(i.dtype):
        raise ValueError(f"`a` array must be integer typed, got {dtypes.name(i.dtype)}")
    arrays = [getitem(choices, k) for k in range(len(choices))] if isinstance(choices, Array) else list(choices)
    if not arrays:
        raise ValueError("choose: choices must not be empty")
    arrays = promote("choose", *arrays)
    n = len(arrays)
    if mode == "raise":
        known = known_value(i)
        if known is None:
            raise ConcretizationTypeError(
                i, "choose needs the values for mode='raise': use mode='wrap' or mode='clip'."
            )
        if ((known < 0) | (known >= n)).any():
            raise ValueError("invalid entry in choice array")
    elif mode == "wrap":
        i = modulo(i, n)
    elif mode != "clip":
        raise ValueError(f"mode={mode!r} not understood: choose takes 'raise', 'wrap' or 'clip'")
    shape = broadcast_shapes(i.shape, *(c.shape for c in arrays))
    rows = [reshape_p.bind(broadcast_to(c, shape), new_sizes=(1, *shape)) for c in arrays]
    i = reshape_p.bind(broadcast_to(i, shape), new_sizes=(1, *shape))
    return reshape_p.bind(
        take_along_axis(concatenate_p.bind(*rows, dimension=0), i, 0, mode="clip", wrap_negative_indices=False),
        new_sizes=shape,
    )


__all__ = [
    "unravel_index",
    "argwhere",
    "choose",
    "compress",
    "extract",
    "flatnonzero",
    "nonzero",
    "place",
    "put",
    "put_along_axis",
    "take",
    "take_along_axis",
]
# fmt: on
