"""Reading and updating elements by NumPy's index expressions: `x[index]` and `x.at[index]`.

An index is resolved in two steps (`numpy.index_plan`). Its integers, slices and `None` make a
`StaticIndex`: one NumPy call, no data movement; its index arrays (masks become those, by their
nonzero positions) make one gather or scatter on what is left. Both steps are differentiable, and
negative positions count from the end.

Out of bounds, reading clamps and updating drops, unless `mode` says otherwise; integers that are
out of bounds behave as index arrays do. Concrete arrays outside transformations take a short way:
NumPy's own indexing, whose IndexError sends them the long one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray, as_array, concrete
from pullback.core.trace import EVAL, IGNORED, current, floating_point_errors, reset_floating_point_errors
from pullback.core.types import Shape, broadcast_shapes
from pullback.lax import indexing as lax_indexing
from pullback.lax.elementwise import div_p, max_p, min_p
from pullback.lax.family import add_p, mul_p, sub_p
from pullback.lax.indexing import (
    checked_fill,
    gather_p,
)
from pullback.lax.positions import GatherScatterMode, ScatterDimensionNumbers
from pullback.lax.shape import broadcast_to, convert
from pullback.lax.static_index import static_index_p, static_update_p
from pullback.numpy.arithmetic import power
from pullback.numpy.conversion import asarray
from pullback.numpy.dynamic_slices import read, replaced, windows_of
from pullback.numpy.index_plan import BASIC, Resolved
from pullback.numpy.promotion import here, scalar_like
from pullback.xla.devices import beside, no_sharding

# ---- reading -------------------------------------------------------------------------------------


_READABLE = (np.generic, bool, list)  # beside arrays of NumPy's own class: subclasses may mean something else

_SMALL = 4096  # elements up to which an update's time is mostly that of its dispatch


def getitem(x: Array, index: Any) -> Array:
    """`x[index]` with NumPy's meaning, for arrays and tracers.

    `index` is an integer, slice, `None`, `...`, integer or boolean array, or a tuple of these;
    integer arrays may be traced, masks and the bounds of slices may not
    (NonConcreteBooleanIndexError, IndexError). Positions out of bounds are clamped. Raises
    IndexError for too many indices, TypeError for lists and for anything else that is no index.
    """
    if x.__class__ is ConcreteArray and current() is EVAL and not EVAL.checking:
        plain = _plain_index(index)
        if plain is not _NOT_PLAIN:
            try:
                out = x._value[plain]
                return concrete(np.asarray(out) if out.__class__ is np.void else out, x.weak_type)
            except (IndexError, TypeError, ValueError, OverflowError):
                pass  # out of bounds, or a mistake: the long way clamps the one and explains the other
    windows = windows_of(index, x.ndim)
    if windows is not None:
        return getitem(read(_joining(x, index), windows.slices), windows.rest)
    return _get(_joining(x, index), Resolved(x.shape, index), GatherScatterMode.PROMISE_IN_BOUNDS)


def _joining(x: Any, index: Any) -> Any:
    """The indexed array, on the device of index arrays: they are read, and so do not bring it
    there."""
    return beside(x, *(index if index.__class__ is tuple else (index,)))


_NOT_PLAIN: Any = object()


def _plain_index(index: Any) -> Any:
    """`index` as NumPy takes it, or `_NOT_PLAIN` if it holds tracers or what NumPy understands
    differently."""
    cls = index.__class__
    if cls in BASIC:
        return index
    if cls is ConcreteArray:
        return index._value
    if cls is not tuple:
        return index if cls is np.ndarray or (isinstance(index, _READABLE) and cls is not list) else _NOT_PLAIN
    for i in index:
        if i.__class__ not in BASIC:
            break
    else:
        return index
    plain = []
    for i in index:
        if i.__class__ is ConcreteArray:
            plain.append(i._value)
        elif i.__class__ in BASIC or i.__class__ is np.ndarray or isinstance(i, _READABLE):
            plain.append(i)
        else:
            return _NOT_PLAIN
    return tuple(plain)


def _get(
    x: Array, index: Resolved, mode: GatherScatterMode, fill: Any = None, unique: bool = False, is_sorted: bool = False
) -> Array:
    if index.basic is not None:
        x = static_index_p.bind(x, index=index.basic)
    if not index.arrays:
        x._check_alive()
        return x
    index.need_elements()
    unique, is_sorted = unique or index.unique, is_sorted or index.unique
    return gathered(x, index.indices(), index.numbers, index.sizes, mode, fill, unique, is_sorted)


def gathered(
    x: Array,
    rows: Array,
    numbers: Any,
    sizes: Shape,
    mode: Any,
    fill: Any,
    unique: bool = False,
    is_sorted: bool = False,
) -> Array:
    """The windows of `x` at the positions `rows`; `fill`, or its default, where the mode fills."""
    fill = checked_fill(fill, x) if mode is GatherScatterMode.FILL_OR_DROP else None
    promises = {"indices_are_sorted": is_sorted, "unique_indices": unique}
    return gather_p.bind(x, rows, dimension_numbers=numbers, slice_sizes=sizes, mode=mode, fill_value=fill, **promises)


# ---- updating ------------------------------------------------------------------------------------


class IndexUpdateHelper:
    """Updated copies, and reads that say what lies out of bounds: `x.at[index]`, then a method.

    They are `set`, `add`, `subtract` (`sub`), `multiply` (`mul`), `divide` (`div`), `power`, `min`,
    `max` with values that broadcast to `x[index]`, `apply` with a function, and `get`. Updates give
    an array of the shape and type of `x` (`divide`: a floating one). All take `mode` for positions
    out of bounds: "drop" (the default of updates), "clip" (that of `get`), "promise_in_bounds", or
    "fill" for `get`; the promises `indices_are_sorted` and `unique_indices`; and
    `wrap_negative_indices`. Where positions repeat, updates are applied one after the other. Raises
    ValueError for values that do not broadcast.

    >>> import pullback.numpy as jnp
    >>> x = jnp.zeros(4)
    >>> x.at[1:3].set(jnp.array([5, 6]))
    Array([0., 5., 6., 0.], dtype=float32)
    >>> x.at[jnp.array([0, 0, 3, 9])].add(1)
    Array([2., 0., 0., 1.], dtype=float32)
    >>> x.at[jnp.array([3, 9])].get(mode="fill", fill_value=-1)
    Array([ 0., -1.], dtype=float32)
    """

    __slots__ = ("array",)

    def __init__(self, array: Array) -> None:
        self.array = array

    def __getitem__(self, index: Any) -> IndexUpdateRef:
        return IndexUpdateRef(self.array, index)

    def __repr__(self) -> str:
        return f"IndexUpdateHelper({self.array!r})"


class IndexUpdateRef:
    """`x.at[index]`: the elements of `x` at an index, to be read or updated out of place.

    The methods return a new array of the type of `x` (`divide`: promoted to floating point). Values
    broadcast to the shape of `x[index]`. Where positions repeat, updates are applied one after the
    other. Keyword arguments of all methods:

    - `mode`: for positions out of bounds, "drop" (the default; "fill" for reading), "clip" or
      "promise_in_bounds";
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
        """`x[index]`. Out of bounds: clamped; in mode "fill" (or "drop") `fill_value`, by default
        NaN, the smallest signed or the largest unsigned integer, or True.

        >>> import pullback.numpy as jnp
        >>> x = jnp.array([1.0, 2.0])
        >>> x.at[jnp.array([1, 7])].get(), x.at[jnp.array([1, 7])].get(mode="fill")
        (Array([2., 2.], dtype=float32), Array([ 2., nan], dtype=float32))
        """
        no_sharding("get", out_sharding)
        windows = windows_of(self.index, self.array.ndim)
        if windows is not None:
            options = {
                "indices_are_sorted": indices_are_sorted,
                "unique_indices": unique_indices,
                "mode": mode,
                "fill_value": fill_value,
            }
            part = read(self.array, windows.slices, mode=mode, fill_value=fill_value)
            return IndexUpdateRef(part, windows.rest).get(**options, wrap_negative_indices=wrap_negative_indices)
        resolved = Resolved(self.array.shape, self.index, wrap_negative_indices)
        how = GatherScatterMode.PROMISE_IN_BOUNDS if mode is None else GatherScatterMode.from_any(mode)
        return _get(_joining(self.array, self.index), resolved, how, fill_value, unique_indices, indices_are_sorted)

    def set(self, values: Any, **options: Any) -> Array:
        """`x` with `x[index] = values`. `values` are converted to the dtype of `x`.

        >>> import pullback.numpy as jnp
        >>> jnp.zeros((2, 3)).at[:, 1].set(jnp.array([5, 6]))
        Array([[0., 5., 0.],
               [0., 6., 0.]], dtype=float32)
        """
        x = self.array
        if values.__class__ is float and x.dtype in _AS_PRECISE:
            values = scalar_like(values, x)  # what follows, in one step
        else:
            values = update_values(values)
            if values.dtype != x.dtype or values.weak_type is not x.weak_type:
                values = convert(values, x.dtype, x.weak_type)
        if not options:
            out = self._at_once(x, values, None)
            if out is not None:
                return out
        return self._update(x, values, lax_indexing.scatter_p, None, **options)

    def _at_once(self, x: Any, values: Any, ufunc: Any) -> Array | None:
        """A small update of a concrete array by NumPy, or None: in bounds, and where NumPy's rules
        are ours."""
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
        return self._combine(values, lax_indexing.scatter_add_p, add_p.bind, options)

    def subtract(self, values: Any, **options: Any) -> Array:
        """`x` with `x[index] -= values`, for every occurrence of a position."""
        return self._combine(values, lax_indexing.scatter_sub_p, sub_p.bind, options)

    def multiply(self, values: Any, **options: Any) -> Array:
        """`x` with `x[index] *= values`, for every occurrence of a position."""
        return self._combine(values, lax_indexing.scatter_mul_p, mul_p.bind, options)

    mul = multiply

    def divide(self, values: Any, **options: Any) -> Array:
        """`x` with `x[index] /= values`, for every occurrence of a position. `values` are converted
        to the dtype of `x`; integers give floats.

        >>> import pullback.numpy as jnp
        >>> jnp.array([8, 6]).at[jnp.array([0, 0])].divide(2)
        Array([2., 6.], dtype=float32)
        """
        x = self.array
        dtype, weak = dtypes.to_inexact(x.dtype), x.weak_type
        values = convert(convert(update_values(values), x.dtype, weak), dtype, weak)
        ones = broadcast_to(concrete(dtype.type(1), weak), x.shape)
        divisor = IndexUpdateRef(ones, self.index).multiply(values, **options)
        return div_p.bind(convert(x, dtype, weak), divisor)

    div = divide

    def power(self, values: Any, **options: Any) -> Array:
        """`x` with `x[index] **= values`, for every occurrence of a position. `values` are
        converted to the dtype of `x`.

        >>> import pullback.numpy as jnp
        >>> jnp.array([2.0, 3.0]).at[1].power(2)
        Array([2., 9.], dtype=float32)
        """
        x = self.array
        exponent = convert(update_values(values), x.dtype, x.weak_type)
        return self._apply(lambda old: power(old, exponent), options, exponent.shape)

    def min(self, values: Any, **options: Any) -> Array:
        """`x` with `x[index] = minimum(x[index], values)`.

        >>> import pullback.numpy as jnp
        >>> jnp.array([1, 5, 9]).at[1:].min(6)
        Array([1, 5, 6], dtype=int32)
        """
        return self._combine(values, lax_indexing.scatter_min_p, min_p.bind, options)

    def max(self, values: Any, **options: Any) -> Array:
        """`x` with `x[index] = maximum(x[index], values)`.

        >>> import pullback.numpy as jnp
        >>> jnp.zeros(3, int).at[jnp.array([0, 2, 0])].max(jnp.array([4, 5, 6]))
        Array([6, 0, 5], dtype=int32)
        """
        return self._combine(values, lax_indexing.scatter_max_p, max_p.bind, options)

    def apply(self, func: Callable[[Any], Any], **options: Any) -> Array:
        """`x` with `x[index] = func(x[index])`: an elementwise function that keeps the dtype, once
        for every occurrence of a position.

        Traced positions that may repeat are limited in number: promise `unique_indices` if they do
        not. Raises TypeError for a function that does not keep the shape.

        >>> import pullback.numpy as jnp
        >>> jnp.array([1.0, 4.0, 9.0]).at[1:].apply(jnp.sqrt)
        Array([1., 2., 3.], dtype=float32)
        """
        return self._apply(func, options, ())

    def _combine(self, values: Any, primitive: Any, function: Any, options: dict[str, Any]) -> Array:
        x, values = self.array, update_values(values)
        of_numbers = lax_indexing.scatter_add_p, lax_indexing.scatter_sub_p, lax_indexing.scatter_mul_p
        if x.dtype == values.dtype == dtypes.bool_ and primitive in of_numbers:
            raise here(TypeError, f"{primitive.name} does not accept dtype bool: use .min (and) or .max (or)")
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
        no_sharding("at", out_sharding)
        windows = windows_of(self.index, x.ndim)
        if windows is not None:
            options = {"indices_are_sorted": indices_are_sorted, "unique_indices": unique_indices, "mode": mode}
            options["wrap_negative_indices"] = wrap_negative_indices
            update = lambda part: IndexUpdateRef(part, windows.rest)._update(
                part, values, primitive, function, **options
            )
            return replaced(x, windows.slices, update)
        x, index = _joining(x, self.index), Resolved(x.shape, self.index, wrap_negative_indices)
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
        no_sharding("at", options["out_sharding"])
        x = _joining(self.array, self.index)
        windows = windows_of(self.index, x.ndim)
        if windows is not None:
            return replaced(
                x, windows.slices, lambda part: IndexUpdateRef(part, windows.rest)._apply(func, options, values_shape)
            )
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
                    raise here(
                        TypeError, f"the function applied to {part.aval} must keep the shape, but gave {new.aval}"
                    )
                return convert(new, part.dtype, part.weak_type)
            if index.nowhere is not None:
                return part
            return lax_indexing.apply_windows(
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


#: Types that a Python float is converted to in one rounding, whatever the default type is.
_AS_PRECISE = (dtypes.float32, dtypes.float64)


def update_values(values: Any) -> Array:
    try:
        return as_array(values)
    except TypeError:
        return asarray(values)


def _broadcast_values(values: Any, shape: Shape) -> Any:
    if values.shape == shape:
        return values
    if len(values.shape) > len(shape) or broadcast_shapes(values.shape, shape) != shape:
        raise here(
            ValueError,
            f"Incompatible shapes for broadcasting: values of shape {values.shape} to the indexed part, of shape {shape}",
        )
    return broadcast_to(values, shape)
