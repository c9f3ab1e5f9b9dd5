"""Evenly spaced numbers, and what they make: `arange`, `linspace`, `meshgrid`, `mgrid`, `r_`, ...

Numbers are computed by NumPy; while a transformation is active, ranges are `iota`, so that
programs hold no large constants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, concrete
from pullback.core.dimensions import Dim, at_least, max_dim, slice_length
from pullback.core.dtypes import DType
from pullback.core.errors import user_line
from pullback.core.trace import EVAL, current, known_value
from pullback.core.types import broadcast_shapes, canonical_axis, integer
from pullback.lax.arrangement import concatenate as lax_concatenate
from pullback.lax.creation import iota, positions
from pullback.lax.elementwise import floor_p
from pullback.lax.selection import select
from pullback.lax.shape import broadcast_in_dim_p, broadcast_to, convert, move_axis, reshape_p, transpose_p
from pullback.numpy import ufuncs
from pullback.numpy.arithmetic import power
from pullback.numpy.conversion import array
from pullback.numpy.creation import canonical_shape, full, zeros
from pullback.numpy.planned import planned
from pullback.numpy.promotion import array_like, here, promote, promote_inexact
from pullback.transforms.vmap import vmap
from pullback.xla.devices import no_sharding, placed

# ---- ranges --------------------------------------------------------------------------------------


@planned
def arange(
    start: Any, stop: Any = None, step: Any = None, dtype: Any = None, *, device: Any = None, out_sharding: Any = None
) -> Array:
    """start, start + step, ... below `stop` (or 0, 1, ... below the only argument): concrete real
    scalars.

    The dtype is that of the arguments together. A negative `step` goes down, to above `stop`.
    Raises TypeError for booleans, ValueError for complex numbers and arrays,
    ConcretizationTypeError for traced values: `linspace` takes those.

    >>> import pullback.numpy as jnp
    >>> jnp.arange(3), jnp.arange(5, 0, -2)
    (Array([0, 1, 2], dtype=int32), Array([5, 3, 1], dtype=int32))
    >>> jnp.arange(0, 1, 0.25)
    Array([0.  , 0.25, 0.5 , 0.75], dtype=float32)
    """
    no_sharding("arange", out_sharding)
    if stop is None:
        start, stop = 0, start
        given = [stop] if step is None else [stop, step]
    else:
        given = [start, stop] if step is None else [start, stop, step]
    for x in given:
        if getattr(x, "ndim", 0):
            raise ValueError(f"arange takes scalars, got an array of shape {x.shape} at {user_line()}")
    found = dtypes.result_type(*given)
    if any([x.__class__ is Dim for x in given]):
        return placed(_symbolic_range(start, stop, 1 if step is None else step, dtype or found), device)
    if dtypes.is_complex(found):
        raise here(ValueError, "arange takes no complex numbers")
    dtype = found if dtype is None else dtypes.canonicalize_dtype(dtype)
    if dtypes.kind(dtype) not in "iufc":
        raise here(TypeError, f"arange does not accept dtype {dtypes.name(dtype)}")
    first, last, by = (_number(x) for x in (start, stop, 1 if step is None else step))
    if first == 0 and by == 1 and current() is not EVAL:
        return placed(iota(dtype, max(0, ceil(last))), device)
    if dtypes.is_integer(dtype):
        values = np.arange(first, last, by, None if dtype in dtypes._ML_TYPES else dtype)
    else:
        # As i * step + start, in at least float32: XLA's values, which accumulate no rounding.
        wide = np.float64 if dtype in (dtypes.float64, dtypes.complex128) else np.float32
        values = np.arange(max(0, ceil((last - first) / by)), dtype=wide) * wide(by) + wide(first)
    return placed(concrete(values if values.dtype == dtype else values.astype(dtype)), device)


def _symbolic_range(start: Any, stop: Any, step: Any, dtype: Any) -> Array:
    """A range between sizes, some of them symbolic dimensions."""
    size = slice_length(start, stop, integer(step, "arange: step"))
    count = iota(dtypes.canonicalize_dtype(dtype), size)
    return (
        ufuncs.add(ufuncs.multiply(count, step) if step != 1 else count, start)
        if start.__class__ is Dim or start
        else count
    )


def _number(x: Any) -> Any:
    """A concrete real scalar as a Python number."""
    return x if x.__class__ is int or x.__class__ is float else x.item() if hasattr(x, "item") else x


@planned
def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, axis: int = 0,
    *, device: Any = None,
) -> Any:  # fmt: skip
    """`num` evenly spaced numbers from `start` to `stop`, included unless `endpoint` is false;
    arrays, which broadcast, give a new `axis`.

    They are floating, or complex, unless `dtype` is given; integer dtypes round down. With
    `retstep`, the result is the pair of them and the step. Raises ValueError for negative `num`.

    >>> import pullback.numpy as jnp
    >>> jnp.linspace(0, 1, 5)
    Array([0.  , 0.25, 0.5 , 0.75, 1.  ], dtype=float32)
    >>> jnp.linspace(jnp.array([0, 10]), 20, 3)
    Array([[ 0., 10.],
           [10., 15.],
           [20., 20.]], dtype=float32)
    """
    num = integer(num, "linspace: num")
    if num < 0:
        raise ValueError(f"linspace: the number of samples, {num}, must not be negative")
    x, y, target, of_step = _ends("linspace", start, stop, dtype)
    shape, computed = x.shape, x.dtype
    span = num - 1 if endpoint else num
    # Whether there is more than one number; None of a symbolic size of which that is not known.
    several = at_least(span, 1)
    step = full(shape, np.nan, computed) if several is False else (y - x) / span
    if several is None:
        step = select(ufuncs.greater(span, 0), step, full(shape, np.nan, computed))
    column = (num, *(1,) * len(shape))
    if num == 0:
        out = zeros((0, *shape), computed)
    elif several is False or num == 1:
        out = x.reshape((1, *shape))
    else:
        # Steps from the nearer end: both ends are exact, whole numbers stay so, and nothing
        # overflows between them.
        span, middle = max_dim(span, 1), max_dim((span + 1) // 2, 1)
        each = (y / 2 - x / 2) / (span / 2)
        i = _filled_range(num, computed).reshape(column)
        out = select(ufuncs.less(i, middle), x + i * each, y - (span - i) * each)
        finite = ufuncs.isfinite(each)
        known = known_value(finite)
        if known is None or not known.all():
            # There is no step to or from what is not finite, but a mean of the ends.
            part = i / span
            mean = select(ufuncs.equal(i, span), broadcast_to(y, out.shape), x * (1 - part) + y * part)
            out = select(broadcast_to(finite, out.shape), out, mean)
    if dtypes.is_integer(target) and not dtypes.is_integer(out.dtype):
        out = floor_p.bind(out)
    out = placed(move_axis(convert(out, target), 0, canonical_axis(axis, out.ndim)), device)
    return (out, convert(step, of_step)) if retstep else out


def _ends(name: str, start: Any, stop: Any, dtype: Any) -> tuple[Array, Array, DType, DType]:
    """The ends of a range, in one shape and the type to compute in; the types asked for and of
    steps."""
    x, y = promote_inexact(name, start, stop)
    shape = broadcast_shapes(x.shape, y.shape)
    target = x.dtype if dtype is None else dtypes.canonicalize_dtype(dtype)
    of_step, computed = _types_between(x.dtype, target)
    return broadcast_to(convert(x, computed), shape), broadcast_to(convert(y, computed), shape), target, of_step


def _types_between(ends: DType, target: DType) -> tuple[DType, DType]:
    """The type of numbers between `ends` that are asked for as `target`, at least as precise as
    both; and that in which they are computed."""
    wide = dtypes.to_inexact(target)
    if wide.itemsize > ends.itemsize:
        ends = dtypes.to_complex(wide) if dtypes.is_complex(ends) else wide
    return ends, dtypes.float32 if ends.itemsize < 4 else ends


def _filled_range(n: int, dtype: DType) -> Array:
    """0, 1, ..., n - 1."""
    return concrete(np.arange(n).astype(dtype)) if current() is EVAL else iota(dtype, n)


def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> Array:
    """base ** linspace(start, stop, num): numbers evenly spaced on a logarithmic scale, given by
    their exponents.

    `stop` is included unless `endpoint` is false; arrays of ends give a new `axis`. The result is
    floating, unless `dtype` is given. `geomspace` takes the ends themselves. Raises ValueError for
    negative `num`.

    >>> import pullback.numpy as jnp
    >>> jnp.logspace(0, 3, 4).round()
    Array([   1.,   10.,  100., 1000.], dtype=float32)
    >>> jnp.logspace(-1, 1, 3, base=2)
    Array([0.5, 1. , 2. ], dtype=float32)
    """
    start, stop = promote_inexact("logspace", start, stop)
    target = dtypes.promotion(base, start.dtype)[0] if dtype is None else dtypes.canonicalize_dtype(dtype)
    _, computed = _types_between(start.dtype, target if dtypes.is_complex(start.dtype) else dtypes.to_real(target))
    exponents = linspace(start, stop, num, endpoint, dtype=computed, axis=axis)
    return convert(power(base, exponents), target)


def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Array:
    """`num` numbers from `start` to `stop` with a constant ratio; the ends are exact.

    `stop` is included unless `endpoint` is false; arrays, which broadcast, give a new `axis`. Real
    ends must have one sign (NaN otherwise); complex ones give a logarithmic spiral. The result is
    floating, unless `dtype` is given. Raises ValueError for negative `num`.

    >>> import pullback.numpy as jnp
    >>> jnp.geomspace(1, 1000, 4).round()
    Array([   1.,   10.,  100., 1000.], dtype=float32)
    """
    x, y, target, _ = _ends("geomspace", start, stop, dtype)
    shape, computed = x.shape, x.dtype
    # Divided by the direction of the start, a logarithm exists wherever the two ends lie on one
    # side (or one ray).
    direction = ufuncs.sign(x)
    logs = linspace(ufuncs.log(x / direction), ufuncs.log(y / direction), num, endpoint)
    out = direction * ufuncs.exp(logs)
    if num.__class__ is Dim or num > 0:
        i = positions(num, dtypes.int32).reshape((num, *(1,) * len(shape)))
        exact = select(ufuncs.equal(i, num - 1), y, out) if endpoint else out
        out = select(convert(logs != logs, dtypes.bool_), logs, select(ufuncs.equal(i, 0), x, exact))
    if dtypes.is_integer(target):
        # exp(log(8)) may fall just short of 8: what is an integer but for rounding counts as that
        # integer.
        out = floor_p.bind(out * (1 + 4 * float(dtypes.finfo(computed).eps)))
    return move_axis(convert(out, target), 0, canonical_axis(axis, out.ndim))


# ---- grids ---------------------------------------------------------------------------------------


def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> list[Array]:
    """Coordinate arrays of the grid spanned by vectors: one array a vector, all of the grid's
    shape.

    With `indexing="xy"` the first two axes are swapped, as plots have them; with "ij" axis i goes
    along vector i. `sparse` leaves the other axes at length 1. Raises ValueError for arguments that
    are not one-dimensional, other values of `indexing`, and `copy=False`.

    >>> import pullback.numpy as jnp
    >>> x, y = jnp.meshgrid(jnp.array([0, 1, 2]), jnp.array([10, 20]))
    >>> x
    Array([[0, 1, 2],
           [0, 1, 2]], dtype=int32)
    >>> y
    Array([[10, 10, 10],
           [20, 20, 20]], dtype=int32)
    >>> [v.shape for v in jnp.meshgrid(jnp.ones(3), jnp.ones(2), sparse=True, indexing="ij")]
    [(3, 1), (1, 2)]
    """
    if not copy:
        raise ValueError("meshgrid supports only copy=True: Arrays are immutable")
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing must be 'xy' or 'ij', got {indexing!r}")
    vectors = [array_like(x, "meshgrid") for x in xi]
    if any(v.ndim != 1 for v in vectors):
        raise ValueError(f"meshgrid takes one-dimensional arguments, got shapes {[v.shape for v in vectors]}")
    order = list(range(len(vectors)))
    if indexing == "xy" and len(vectors) > 1:
        order[:2] = 1, 0
    sizes = tuple(vectors[i].shape[0] for i in order)
    out = []
    for i, v in enumerate(vectors):
        axis = order.index(i)
        shape = tuple(n if j == axis else 1 for j, n in enumerate(sizes)) if sparse else sizes
        out.append(v if v.shape == shape else broadcast_in_dim_p.bind(v, shape=shape, broadcast_dimensions=(axis,)))
    return out


def indices(dimensions: Sequence[int], dtype: Any = None, sparse: bool = False) -> Any:
    """The indices of a grid: array i of the result (stacked, or a tuple if `sparse`) holds each
    element's index along axis i.

    Stacked, the shape is (len(dimensions), *dimensions), and the dtype int32 by default. Raises
    TypeError for sizes that are negative, or no concrete integers.

    >>> import pullback.numpy as jnp
    >>> rows, columns = jnp.indices((2, 3))
    >>> rows
    Array([[0, 0, 0],
           [1, 1, 1]], dtype=int32)
    >>> columns
    Array([[0, 1, 2],
           [0, 1, 2]], dtype=int32)
    """
    dtype = dtypes.canonicalize_dtype(int if dtype is None else dtype)
    sizes = canonical_shape(dimensions)
    grids = meshgrid(*(arange(n, dtype=dtype) for n in sizes), sparse=sparse, indexing="ij")
    if sparse:
        return tuple(grids)
    if not grids:
        return zeros((0,), dtype)
    return lax_concatenate([reshape_p.bind(g, new_sizes=(1, *sizes)) for g in grids], 0)


def fromfunction(function: Callable[..., Any], shape: Any, *, dtype: Any = float, **kwargs: Any) -> Any:
    """The values of `function` at the indices of an array of `shape`, which it gets one index an
    argument (see `vmap`).

    Indices are scalars of `dtype`; `kwargs` are passed on. The function's results, which may have
    axes and be a tree, are stacked along axes of `shape`. Raises TypeError for sizes that are
    negative, or no concrete integers.

    >>> import pullback.numpy as jnp
    >>> jnp.fromfunction(lambda i, j: 10 * i + j, (2, 3), dtype=int)
    Array([[ 0,  1,  2],
           [10, 11, 12]], dtype=int32)
    """
    sizes = canonical_shape(shape)
    mapped: Callable[..., Any] = lambda *args: function(*args, **kwargs)
    for i in range(len(sizes)):
        in_axes = [0 if j == len(sizes) - 1 - i else None for j in range(len(sizes))]
        mapped = vmap(mapped, in_axes=tuple(in_axes))
    return mapped(*(arange(n, dtype=dtype) for n in sizes))


# ---- by slices -----------------------------------------------------------------------------------


def _range_of(s: slice) -> Array:
    """start:stop:step, where an imaginary step counts the points, both ends included."""
    start = 0 if s.start is None else s.start
    step = 1 if s.step is None else s.step
    if s.stop is None:
        return arange(start)  # as NumPy reads it
    if isinstance(step, complex):
        return linspace(start, s.stop, int(abs(step)))
    return arange(start, s.stop, step)


class _Grid:
    """`mgrid[a:b, c:d:10j]`: a grid by slices; an imaginary step counts points, both ends included.
    Dense (stacked: shape (number of slices, *grid)) or open (a list).

    A single slice gives its numbers. Dtypes are promoted together.

    >>> import pullback.numpy as jnp
    >>> jnp.mgrid[0:2, 0:3]
    Array([[[0, 0, 0],
            [1, 1, 1]],
    <BLANKLINE>
           [[0, 1, 2],
            [0, 1, 2]]], dtype=int32)
    >>> jnp.ogrid[0:2, 0:1:3j]
    [Array([[0.],
           [1.]], dtype=float32), Array([[0. , 0.5, 1. ]], dtype=float32)]
    """

    def __init__(self, name: str, sparse: bool) -> None:
        self.name, self.sparse = name, sparse

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return _range_of(key)
        grids = meshgrid(*promote(self.name, *map(_range_of, key)), sparse=self.sparse, indexing="ij")
        return grids if self.sparse else lax_concatenate([reshape_p.bind(g, new_sizes=(1, *g.shape)) for g in grids], 0)

    def __repr__(self) -> str:
        return f"pullback.numpy.{self.name}"


mgrid = _Grid("mgrid", sparse=False)

ogrid = _Grid("ogrid", sparse=True)


class _Concatenator:
    """`r_[1:4, 0, x]`: ranges, scalars and arrays in a row; `c_` makes them columns. A leading
    string "axis,ndmin,trans1d" says where (see `numpy.r_`); "r" and "c" make the result a matrix, a
    row or a column if it has one axis.

    Dtypes are promoted together. Raises ValueError for unknown directives and for nothing,
    TypeError for shapes that do not fit.

    >>> import pullback.numpy as jnp
    >>> jnp.r_[1:4, 0, jnp.array([7, 8])]
    Array([1, 2, 3, 0, 7, 8], dtype=int32)
    >>> jnp.c_[jnp.array([1, 2]), jnp.array([3, 4])]
    Array([[1, 3],
           [2, 4]], dtype=int32)
    """

    def __init__(self, name: str, axis: int, ndmin: int, trans1d: int) -> None:
        self.name, self.defaults = name, (axis, ndmin, trans1d)

    def __getitem__(self, key: Any) -> Array:
        items = list(key) if isinstance(key, tuple) else [key]
        axis, ndmin, trans1d = self.defaults
        letter = None
        if items and isinstance(items[0], str):
            directive = items.pop(0)
            if directive in ("r", "c"):
                letter = directive
            else:
                try:
                    given = [int(n) for n in directive.split(",")][:3]
                except ValueError:
                    raise ValueError(f"{self.name}: could not understand the directive {directive!r}") from None
                axis, ndmin, trans1d = (*given, *(axis, ndmin, trans1d)[len(given) :])
        parts = []
        for item in items:
            if isinstance(item, str):
                raise ValueError(f"{self.name}: a directive must come first, got {item!r} later")
            part = _range_of(item) if isinstance(item, slice) else array(item)
            if part.ndim == 0:
                part = self._raised(part, max(ndmin, 1), -1)
            elif part.ndim < ndmin:
                part = self._raised(part, ndmin, trans1d)
            parts.append(part)
        if not parts:
            raise ValueError(f"{self.name}: nothing to concatenate")
        parts = promote(self.name, *parts)
        out = lax_concatenate(parts, canonical_axis(axis, parts[0].ndim))
        if letter is not None and out.ndim < 2:
            out = reshape_p.bind(out, new_sizes=(out.size, 1) if letter == "c" else (1, out.size))
        return out

    @staticmethod
    def _raised(x: Array, ndmin: int, trans1d: int) -> Array:
        # New axes come first, but `trans1d` says where the old ones start in the result.
        new = ndmin - x.ndim
        x = reshape_p.bind(x, new_sizes=(1,) * new + tuple(x.shape))
        if trans1d == -1:
            return x
        start, axes = trans1d + new + 1 if trans1d < 0 else trans1d, list(range(ndmin))
        order = axes[:start] + axes[new:] + axes[start:new]
        if sorted(order) != axes:
            raise ValueError(f"an array of {x.ndim - new} axes cannot start at axis {trans1d} of {ndmin}")
        return transpose_p.bind(x, permutation=tuple(order))

    def __len__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return f"pullback.numpy.{self.name}"


r_ = _Concatenator("r_", 0, 1, -1)

c_ = _Concatenator("c_", -1, 2, 0)


__all__ = ["arange", "c_", "fromfunction", "geomspace", "indices", "linspace", "logspace", "meshgrid", "mgrid"]
__all__ += ["ogrid", "r_"]
