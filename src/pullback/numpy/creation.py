"""Making arrays: from Python and NumPy values, filled, ranges, grids, diagonals and triangles, from buffers and files.

Data that comes from outside is copied, so that later writes to it change nothing here. Constants are computed by NumPy; while a
transformation is active, fills are broadcasts of a scalar and index ranges are `iota`, so that programs hold no large constants.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray, as_array, concrete, from_numpy, from_scalar
from pullback.core.dtypes import DType
from pullback.core.errors import user_line
from pullback.core.trace import EVAL, current, without_floating_point_errors
from pullback.core.types import Shape, canonical_axes, canonical_axis, is_sequence
from pullback.lax.arrangement import concatenate as lax_concatenate
from pullback.lax.arrangement import pad as lax_pad
from pullback.lax.arrangement import slice as lax_slice
from pullback.lax.creation import broadcasted_iota, iota
from pullback.lax.elementwise import add_p, eq_p, floor_p, ge_p
from pullback.lax.selection import select
from pullback.lax.shape import (
    broadcast_in_dim_p,
    broadcast_to,
    convert,
    convert_element_type_p,
    keep_imaginary,
    move_axis,
    reshape_p,
    strong,
    transpose_p,
)
from pullback.lax.triangles import triangle_p
from pullback.numpy import ufuncs
from pullback.numpy.promotion import array_like, promote, promote_inexact
from pullback.transforms.vmap import vmap
from pullback.xla.devices import no_sharding, placed, placed_like

# ---- from values ------------------------------------------------------------------------------------------------

_NUMBERS = frozenset(dtypes.PYTHON_SCALARS)


def array(
    object: Any,
    dtype: Any = None,
    copy: bool = True,
    order: str | None = "K",
    ndmin: int = 0,
    *,
    device: Any = None,
    out_sharding: Any = None,
) -> Array:
    """An Array of a scalar, a nested list or tuple, a NumPy array, or anything with `__array__`, `__jax_array__` or a buffer.

    Lists may hold Arrays and traced values; their elements are promoted together. A Python scalar gives a weakly typed array unless
    `dtype` is given; 64-bit types need `enable_x64`. At least `ndmin` axes. Raises TypeError for what is not numeric, ValueError
    for None and ragged lists, OverflowError for Python integers that do not fit.

    >>> array([1, 2.0])
    Array([1., 2.], dtype=float32)
    """
    if out_sharding is not None:
        no_sharding("array", out_sharding)
    if order is not None and order != "K":
        raise NotImplementedError(f"array supports only order='K', got {order!r}: Arrays have no memory order")
    target = None if dtype is None else dtypes.canonicalize_dtype(dtype)
    if isinstance(object, Array):
        out = object.__copy__() if copy else object
    elif isinstance(object, (list, tuple)):
        out = _from_sequence(object, target)
    elif object.__class__ in _NUMBERS:
        out = from_scalar(object) if target is None else concrete(_numbers(object, target))
    else:
        out = _from_object(object)
    if target is not None and (out.dtype != target or out.weak_type):
        out = convert(out, target)
    if ndmin > out.ndim:
        out = reshape_p.bind(out, new_sizes=(1,) * (ndmin - out.ndim) + tuple(out.shape))
    return out if device is None and isinstance(object, Array) else placed(out, device)


def asarray(
    a: Any,
    dtype: Any = None,
    order: str | None = None,
    *,
    copy: bool | None = None,
    device: Any = None,
    out_sharding: Any = None,
) -> Array:
    """`a` as an Array: as `array`, and Arrays of the right type come back as they are.

    >>> asarray(np.arange(3.0))
    Array([0., 1., 2.], dtype=float32)
    """
    if (
        dtype is None
        and order is None
        and not copy
        and isinstance(a, Array)
        and device is None
        and out_sharding is None
    ):
        return as_array(a)
    return array(a, dtype, bool(copy), order, device=device, out_sharding=out_sharding)


def _numbers(x: Any, dtype: DType) -> Any:
    """NumPy array of Python numbers, nested in lists or not. Floats too large for `dtype` become infinite, silently."""
    return without_floating_point_errors(np.array, x, dtype)


def _fill(out: np.ndarray[Any, Any], arrays: Sequence[Any]) -> None:
    for i, a in enumerate(arrays):
        x = a._value
        if x.dtype is not out.dtype:
            x = convert_element_type_p.evaluate(x, new_dtype=out.dtype, weak_type=False)
        out[i] = x


def _from_sequence(sequence: Sequence[Any], target: DType | None) -> Array:
    if len(sequence) == 1 and isinstance(sequence[0], Array):
        (x,) = sequence
        if x.__class__ is ConcreteArray and (target is None or x.dtype is target):
            return concrete(x._value[None])
        return convert(reshape_p.bind(x, new_sizes=(1, *x.shape)), x.dtype if target is None else target)
    shape: Shape = (len(sequence),)
    leaves: Any = sequence
    kinds = set(map(type, leaves))
    while kinds <= {list, tuple} and kinds:
        lengths = set(map(len, leaves))
        if len(lengths) > 1:
            raise _ragged(shape)
        shape = (*shape, *lengths)
        leaves = [x for row in leaves for x in row]
        kinds = set(map(type, leaves))
    if kinds <= _NUMBERS:
        if target is None:
            target = dtypes.promotion(*kinds)[0] if kinds else dtypes.default_dtype(float)
        return concrete(_numbers(leaves, target).reshape(shape))
    arrays = [_from_sequence(x, None) if isinstance(x, (list, tuple)) else asarray(x) for x in leaves]
    inner = arrays[0].shape
    if any(a.shape != inner for a in arrays):
        raise _ragged(shape)
    if target is None:
        target, weak = arrays[0].dtype, arrays[0].weak_type
        for a in arrays[1:]:
            target, weak = dtypes.promote_pair(target, weak, a.dtype, a.weak_type)
        target = dtypes.canonicalize(target)
    shape = (*shape, *inner)
    if all(a.__class__ is ConcreteArray for a in arrays):
        out = np.empty((len(arrays), *inner), target)
        without_floating_point_errors(_fill, out, arrays)
        return concrete(out.reshape(shape))
    rows = [reshape_p.bind(convert(a, target), new_sizes=(1, *inner)) for a in arrays]
    out = lax_concatenate(rows, 0) if len(rows) > 1 else rows[0]
    return out if out.shape == shape else reshape_p.bind(out, new_sizes=shape)


def _ragged(shape: Shape) -> ValueError:
    return ValueError(
        f"array needs nested sequences of one shape: after {len(shape)} dimensions, {shape}, the elements differ, at {user_line()}"
    )


def _from_object(x: Any) -> Array:
    if x is None:
        raise ValueError(f"None is not a valid value for array, at {user_line()}")
    try:
        return as_array(x)
    except TypeError:
        if isinstance(x, (np.ndarray, np.generic, str, bytes)):
            raise TypeError(
                f"{x!r:.100} is not numeric: only numeric and boolean arrays are supported, at {user_line()}"
            ) from None
    if hasattr(x, "__dlpack__") and not hasattr(x, "__array__"):
        return from_dlpack(x)
    value = np.asarray(x)
    if value.dtype == object:
        raise TypeError(f"{x!r:.100} of type {type(x).__name__} is not a valid array, at {user_line()}")
    return from_numpy(value)


def copy(a: Any, order: str | None = None) -> Array:
    """A copy of `a`: an Array of its own, which stays when `a` is deleted or donated."""
    return array(array_like(a, "copy"), order=order)


def astype(x: Any, dtype: Any, /, *, copy: bool = False, device: Any = None) -> Array:
    """`x` converted to `dtype` (None: the default float), strongly typed.

    Complex to real drops the imaginary part; floats convert to integers towards zero, saturating, NaN to 0.

    >>> astype(array([1.5, -2.5]), int)
    Array([ 1, -2], dtype=int32)
    """
    del copy
    x = array_like(x, "astype")
    x = convert(x, dtypes.canonicalize_dtype(float if dtype is None else dtype))
    return x if device is None else placed(x, device)


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Array:
    """A copy of an array that supports DLPack on the CPU (a PyTorch tensor, for one), whatever `copy` says."""
    del copy
    if isinstance(x, Array):
        return x if device is None else placed(x, device)
    return placed(from_numpy(np.from_dlpack(x)), device)


def frombuffer(buffer: Any, dtype: Any = float, count: int = -1, offset: int = 0) -> Array:
    """A one-dimensional array of the numbers in a buffer of bytes. See `numpy.frombuffer`."""
    return array(np.frombuffer(buffer, np.dtype(dtype), count, offset))


def fromstring(string: str, dtype: Any = float, count: int = -1, *, sep: str) -> Array:
    """A one-dimensional array of the numbers in a text, separated by `sep`."""
    return array(np.fromstring(string, np.dtype(dtype), count, sep=sep))


def fromfile(*args: Any, **kwargs: Any) -> Array:
    """Not supported, because a file's contents may change: use `asarray(numpy.fromfile(...))`."""
    raise NotImplementedError(
        "fromfile depends on more than its arguments: use asarray(numpy.fromfile(...)), outside of transformations"
    )


def fromiter(*args: Any, **kwargs: Any) -> Array:
    """Not supported, because an iterator has state: use `asarray(numpy.fromiter(...))`."""
    raise NotImplementedError(
        "fromiter consumes its argument: use asarray(numpy.fromiter(...)), outside of transformations"
    )


def save(file: Any, arr: Any, allow_pickle: bool = True) -> None:
    """Write an array to a `.npy` file. See `numpy.save`."""
    np.save(file, np.asarray(arr), allow_pickle=allow_pickle)


def savez(file: Any, *args: Any, allow_pickle: bool = True, **kwds: Any) -> None:
    """Write several arrays to an `.npz` file. See `numpy.savez`."""
    np.savez(
        file,
        *map(np.asarray, args),
        allow_pickle=allow_pickle,
        **{name: np.asarray(value) for name, value in kwds.items()},
    )


def load(file: Any, *args: Any, **kwargs: Any) -> Any:
    """Read what `save` (an Array) or `savez` (NumPy's mapping of names to arrays) wrote. See `numpy.load`."""
    out = np.load(file, *args, **kwargs)
    if not isinstance(out, np.ndarray):
        return out
    # The .npy format does not know bfloat16: it comes back as 2 opaque bytes an element.
    return array(out.view(dtypes.bfloat16) if out.dtype == np.dtype("V2") else out)


# ---- filled -----------------------------------------------------------------------------------------------------


def canonical_shape(shape: Any, name: str = "shape") -> Shape:
    """A shape from an integer or a sequence of integers. Raises TypeError for anything else and for negative sizes."""
    if shape.__class__ is int:
        shape = (shape,)
    try:
        sizes = tuple([operator.index(n) for n in shape]) if is_sequence(shape) else (operator.index(shape),)
    except TypeError as error:
        raise TypeError(
            f"{name} must be an integer or a sequence of concrete integers, got {shape!r} at {user_line()} ({error})"
        ) from None
    for n in sizes:
        if n < 0:
            raise TypeError(f"{name} must have no negative size, got {sizes} at {user_line()}")
    return sizes


def _filled(shape: Shape, value: Any, dtype: DType, weak_type: bool = False) -> Array:
    """Every element the NumPy scalar `value`."""
    if current() is not EVAL:
        scalar = concrete(dtype.type(value), weak_type)
        return broadcast_in_dim_p.bind(scalar, shape=shape, broadcast_dimensions=()) if shape else scalar
    return concrete(
        np.zeros(shape, dtype) if value.__class__ is int and value == 0 else np.full(shape, value, dtype), weak_type
    )


def zeros(shape: Any, dtype: Any = None, *, device: Any = None, out_sharding: Any = None) -> Array:
    """An array of zeros (float32 by default).

    >>> zeros((2, 3)).shape
    (2, 3)
    """
    if out_sharding is not None:
        no_sharding("zeros", out_sharding)
    dtype = dtypes.canonicalize_dtype(float if dtype is None else dtype)
    return placed(_filled(canonical_shape(shape), 0, dtype), device)


def ones(shape: Any, dtype: Any = None, *, device: Any = None, out_sharding: Any = None) -> Array:
    """An array of ones (float32 by default)."""
    if out_sharding is not None:
        no_sharding("ones", out_sharding)
    dtype = dtypes.canonicalize_dtype(float if dtype is None else dtype)
    return placed(_filled(canonical_shape(shape), 1, dtype), device)


def empty(shape: Any, dtype: Any = None, *, device: Any = None, out_sharding: Any = None) -> Array:
    """An array of unspecified contents: zeros."""
    return zeros(shape, dtype, device=device, out_sharding=out_sharding)


def full(shape: Any, fill_value: Any, dtype: Any = None, *, device: Any = None, out_sharding: Any = None) -> Array:
    """`fill_value`, a scalar or an array that broadcasts, in an array of `shape`.

    >>> full((2,), 7)
    Array([7, 7], dtype=int32, weak_type=True)
    """
    if out_sharding is not None:
        no_sharding("full", out_sharding)
    shape = canonical_shape(shape)
    value = array_like(fill_value, "full")
    if dtype is not None:
        keep_imaginary("full", fill_value, dtypes.canonicalize_dtype(dtype))
        value = convert(value, dtypes.canonicalize_dtype(dtype))
    return placed(_full(shape, value), device)


def _full(shape: Shape, value: Array) -> Array:
    if value.ndim == 0 and value.__class__ is ConcreteArray:
        return _filled(shape, value._value[()], value.dtype, value.weak_type)
    try:
        fits = np.broadcast_shapes(value.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"a fill value of shape {value.shape} does not broadcast to shape {shape}, at {user_line()}")
    return broadcast_to(value, shape)


def _model(name: str, a: Any, dtype: Any, shape: Any) -> tuple[Shape, DType, bool]:
    """Shape, dtype and weakness of an array like `a`, which may be anything with a shape and a dtype."""
    if not isinstance(a, Array) and not (hasattr(a, "shape") and hasattr(a, "dtype")):
        a = array_like(a, name)
    weak = dtype is None and bool(getattr(a, "weak_type", False))
    dtype = dtypes.canonicalize_dtype(a.dtype if dtype is None else dtype)
    return tuple(a.shape) if shape is None else canonical_shape(shape), dtype, weak


def zeros_like(a: Any, dtype: Any = None, shape: Any = None, *, device: Any = None, out_sharding: Any = None) -> Array:
    """Zeros of the shape, dtype and weakness of `a`, save for what is given."""
    if out_sharding is not None:
        no_sharding("zeros_like", out_sharding)
    shape, dtype, weak = _model("zeros_like", a, dtype, shape)
    return placed_like(_filled(shape, 0, dtype, weak), a, device)


def ones_like(a: Any, dtype: Any = None, shape: Any = None, *, device: Any = None, out_sharding: Any = None) -> Array:
    """Ones of the shape, dtype and weakness of `a`, save for what is given."""
    if out_sharding is not None:
        no_sharding("ones_like", out_sharding)
    shape, dtype, weak = _model("ones_like", a, dtype, shape)
    return placed_like(_filled(shape, 1, dtype, weak), a, device)


def empty_like(
    prototype: Any, dtype: Any = None, shape: Any = None, *, device: Any = None, out_sharding: Any = None
) -> Array:
    """Zeros, which stand for unspecified contents, of the shape and dtype of `prototype`."""
    return zeros_like(prototype, dtype, shape, device=device, out_sharding=out_sharding)


def full_like(
    a: Any, fill_value: Any, dtype: Any = None, shape: Any = None, *, device: Any = None, out_sharding: Any = None
) -> Array:
    """`fill_value` in an array of the shape and dtype of `a`, save for what is given; weakly typed if `a` is and `fill_value` is a
    scalar."""
    if out_sharding is not None:
        no_sharding("full_like", out_sharding)
    shape, dtype, weak = _model("full_like", a, dtype, shape)
    keep_imaginary("full_like", fill_value, dtype)
    value = array_like(fill_value, "full_like")
    return placed_like(_full(shape, convert(value, dtype, weak and not value.shape)), a, device)


# ---- ranges -----------------------------------------------------------------------------------------------------


def arange(
    start: Any, stop: Any = None, step: Any = None, dtype: Any = None, *, device: Any = None, out_sharding: Any = None
) -> Array:
    """start, start + step, ... below `stop` (or 0, 1, ... below the only argument): concrete real scalars.

    The dtype is that of the arguments together. Raises TypeError for booleans, ValueError for complex numbers and arrays.

    >>> arange(0, 1, 0.25)
    Array([0.  , 0.25, 0.5 , 0.75], dtype=float32)
    """
    if out_sharding is not None:
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
    if dtypes.is_complex(found):
        raise ValueError(f"arange takes no complex numbers, at {user_line()}")
    dtype = found if dtype is None else dtypes.canonicalize_dtype(dtype)
    if dtypes.kind(dtype) not in "iufc":
        raise TypeError(f"arange does not accept dtype {dtypes.name(dtype)}, at {user_line()}")
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


def _number(x: Any) -> Any:
    """A concrete real scalar as a Python number."""
    return x if x.__class__ is int or x.__class__ is float else x.item() if hasattr(x, "item") else x


def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, axis: int = 0,
    *, device: Any = None,
) -> Any:  # fmt: skip
    """`num` evenly spaced numbers from `start` to `stop`, included unless `endpoint` is false; arrays give a new `axis`.

    With `retstep`, the pair of them and the step. Integer dtypes round down. Raises ValueError for negative `num`.

    >>> linspace(0, 1, 5)
    Array([0.  , 0.25, 0.5 , 0.75, 1.  ], dtype=float32)
    """
    num = operator.index(num)
    if num < 0:
        raise ValueError(f"linspace: the number of samples, {num}, must not be negative")
    x, y = promote_inexact("linspace", start, stop)
    shape = np.broadcast_shapes(x.shape, y.shape)
    target = x.dtype if dtype is None else dtypes.canonicalize_dtype(dtype)
    of_step, computed = _types_between(x.dtype, target)
    x, y = broadcast_to(convert(x, computed), shape), broadcast_to(convert(y, computed), shape)
    span = num - 1 if endpoint else num
    step = (y - x) / span if span > 0 else full(shape, np.nan, computed)
    column = (num, *(1,) * len(shape))
    if num == 0:
        out = zeros((0, *shape), computed)
    elif span == 0:
        out = x.reshape((1, *shape))
    else:
        # Steps from the nearer end: both ends are exact, whole numbers stay so, and nothing overflows between them.
        each = (y / 2 - x / 2) / (span / 2)
        i = _filled_range(num, computed).reshape(column)
        out = select(ufuncs.less(i, (span + 1) // 2), x + i * each, y - (span - i) * each)
    if dtypes.is_integer(target) and not dtypes.is_integer(out.dtype):
        out = floor_p.bind(out)
    out = placed(move_axis(convert(out, target), 0, canonical_axis(axis, out.ndim)), device)
    return (out, convert(step, of_step)) if retstep else out


def _types_between(ends: DType, target: DType) -> tuple[DType, DType]:
    """The type of numbers between `ends` that are asked for as `target`, at least as precise as both; and that in which they are computed."""
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
    """base ** linspace(start, stop, num): numbers evenly spaced on a logarithmic scale, given by their exponents."""
    start, stop = promote_inexact("logspace", start, stop)
    target = dtypes.promotion(base, start.dtype)[0] if dtype is None else dtypes.canonicalize_dtype(dtype)
    _, computed = _types_between(start.dtype, target if dtypes.is_complex(start.dtype) else dtypes.to_real(target))
    exponents = linspace(start, stop, num, endpoint, dtype=computed, axis=axis)
    return convert(ufuncs.power(base, exponents), target)


def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Array:
    """`num` numbers from `start` to `stop` with a constant ratio; the ends are exact.

    Real ends must have one sign (NaN otherwise); complex ones give a logarithmic spiral.

    >>> geomspace(1, 1000, 4).round()
    Array([   1.,   10.,  100., 1000.], dtype=float32)
    """
    x, y = promote_inexact("geomspace", start, stop)
    shape = np.broadcast_shapes(x.shape, y.shape)
    target = x.dtype if dtype is None else dtypes.canonicalize_dtype(dtype)
    _, computed = _types_between(x.dtype, target)
    x, y = broadcast_to(convert(x, computed), shape), broadcast_to(convert(y, computed), shape)
    # Divided by the direction of the start, a logarithm exists wherever the two ends lie on one side (or one ray).
    direction = ufuncs.sign(x)
    logs = linspace(ufuncs.log(x / direction), ufuncs.log(y / direction), num, endpoint)
    out = direction * ufuncs.exp(logs)
    if num > 0:
        ends = [x.reshape((1, *shape))]
        if num > 1:
            last = num - 1 if endpoint else num
            ends.append(lax_slice(out, (1,) + (0,) * len(shape), (last, *shape)))
            if endpoint:
                ends.append(y.reshape((1, *shape)))
        failed = convert(logs != logs, dtypes.bool_)
        out = select(failed, logs, lax_concatenate(ends, 0) if len(ends) > 1 else ends[0])
    if dtypes.is_integer(target):
        # exp(log(8)) may fall just short of 8: what is an integer but for rounding counts as that integer.
        out = floor_p.bind(out * (1 + 4 * float(dtypes.finfo(computed).eps)))
    return move_axis(convert(out, target), 0, canonical_axis(axis, out.ndim))


# ---- grids ------------------------------------------------------------------------------------------------------


def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> list[Array]:
    """Coordinate arrays of the grid spanned by vectors: one array a vector, all of the grid's shape.

    With `indexing="xy"` the first two axes are swapped, as plots have them; with "ij" axis i goes along vector i. `sparse` leaves the
    other axes at length 1. Raises ValueError for arguments that are not one-dimensional.
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
    """The indices of a grid: array `i` of the result (stacked, or a tuple if `sparse`) holds each element's index along axis i."""
    dtype = dtypes.canonicalize_dtype(int if dtype is None else dtype)
    sizes = canonical_shape(dimensions)
    grids = meshgrid(*(arange(n, dtype=dtype) for n in sizes), sparse=sparse, indexing="ij")
    if sparse:
        return tuple(grids)
    if not grids:
        return zeros((0,), dtype)
    return lax_concatenate([reshape_p.bind(g, new_sizes=(1, *sizes)) for g in grids], 0)


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
    """`mgrid[a:b, c:d:10j]`: a grid by slices; an imaginary step counts points. Dense (stacked) or open (a list)."""

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
    """`r_[1:4, 0, x]`: ranges, scalars and arrays in a row. A leading string "axis,ndmin,trans1d" says where (see `numpy.r_`); "r" and "c" make the
    result a matrix, a row or a column if it has one axis."""

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


def fromfunction(function: Callable[..., Any], shape: Any, *, dtype: Any = float, **kwargs: Any) -> Any:
    """The values of `function` at the indices of an array of `shape`, which it gets one index an argument (see `vmap`).

    >>> fromfunction(lambda i, j: i + j, (2, 2), dtype=int)
    Array([[0, 1],
           [1, 2]], dtype=int32)
    """
    sizes = canonical_shape(shape)
    mapped: Callable[..., Any] = lambda *args: function(*args, **kwargs)
    for i in range(len(sizes)):
        in_axes = [0 if j == len(sizes) - 1 - i else None for j in range(len(sizes))]
        mapped = vmap(mapped, in_axes=tuple(in_axes))
    return mapped(*(arange(n, dtype=dtype) for n in sizes))


# ---- triangles and diagonals ------------------------------------------------------------------------------------


def eye(N: Any, M: Any = None, k: Any = 0, dtype: Any = None, *, device: Any = None) -> Array:
    """An `N` by `M` matrix with ones on the `k`-th diagonal and zeros elsewhere.

    >>> eye(2)
    Array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    n = _size("eye", N)
    m = n if M is None else _size("eye", M)
    dtype = dtypes.canonicalize_dtype(float if dtype is None else dtype)
    if current() is EVAL and not isinstance(k, Array):
        return placed(concrete(np.eye(n, m, operator.index(k), dtype)), device)
    return placed(convert(_compare_indices(eq_p, n, m, k), dtype), device)


def _size(name: str, n: Any) -> int:
    try:
        size = operator.index(n)
    except TypeError:
        raise TypeError(f"{name}: sizes must be concrete integers, got {n!r} at {user_line()}") from None
    if size < 0:
        raise ValueError(f"{name}: negative dimensions are not allowed, got {size}")
    return size


def _compare_indices(comparison: Any, n: int, m: int, k: Any) -> Array:
    """The n by m matrix of `comparison`(i + k, j) of row index i and column index j."""
    rows, columns = (broadcasted_iota(dtypes.int32, (n, m), axis) for axis in (0, 1))
    if isinstance(k, Array):
        if k.shape or not dtypes.is_integer(k.dtype):
            raise TypeError(f"k must be an integer, got {k.aval} at {user_line()}")
        rows = add_p.bind(rows, convert(k, dtypes.int32))
    elif k:
        rows = add_p.bind(rows, concrete(np.int32(operator.index(k))))
    return comparison.bind(rows, columns)


def identity(n: Any, dtype: Any = None) -> Array:
    """The `n` by `n` identity matrix."""
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Array:
    """An `N` by `M` matrix (float32 by default) with ones on and below the `k`-th diagonal and zeros above."""
    n = _size("tri", N)
    m = n if M is None else _size("tri", M)
    return placed(convert(_lower(n, m, k), dtypes.canonicalize_dtype(np.float32 if dtype is None else dtype)))


def _lower(n: int, m: int, k: Any) -> Array:
    if current() is EVAL and not isinstance(k, Array):
        return concrete(np.tri(n, m, operator.index(k), bool))
    return _compare_indices(ge_p, n, m, k)


def tril(m: Any, k: int = 0) -> Array:
    """The lower triangles of matrices: zero above the `k`-th diagonal of the last two axes."""
    return _triangle("tril", m, k, True)


def triu(m: Any, k: int = 0) -> Array:
    """The upper triangles of matrices: zero below the `k`-th diagonal of the last two axes."""
    return _triangle("triu", m, k, False)


def _triangle(name: str, m: Any, k: Any, lower: bool) -> Array:
    x = array_like(m, name)
    if x.ndim < 2:
        raise ValueError(f"{name} takes matrices, got an array of shape {x.shape} at {user_line()}")
    if not isinstance(k, Array):
        return triangle_p.bind(x, lower=lower, k=operator.index(k), halves=False)
    mask = _lower(x.shape[-2], x.shape[-1], k if lower else k - 1)
    zero = broadcast_to(concrete(x.dtype.type(0), x.weak_type), x.shape)
    return select(mask, x, zero) if lower else select(mask, zero, x)


def diag(v: Any, k: int = 0) -> Array:
    """The `k`-th diagonal of a matrix, or the matrix with vector `v` on its `k`-th diagonal.

    >>> diag(array([1, 2]), 1)
    Array([[0, 1, 0],
           [0, 0, 2],
           [0, 0, 0]], dtype=int32)
    """
    x = array_like(v, "diag")
    k = operator.index(k)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ValueError(f"diag takes a vector or a matrix, got an array of shape {x.shape} at {user_line()}")
    # The vector spread out: row i of an n by (n + 1) array starts with element i, so that of the same elements
    # in rows of n, element i stands at column i.
    (n,) = x.shape
    zero = concrete(x.dtype.type(0), x.weak_type)
    spread = lax_pad(reshape_p.bind(x, new_sizes=(n, 1)), zero, ((0, 0, 0), (0, n, 0)))
    flat = lax_slice(reshape_p.bind(spread, new_sizes=(n * (n + 1),)), (0,), (n * n,))
    square = reshape_p.bind(flat, new_sizes=(n, n))
    return lax_pad(square, zero, ((max(0, -k), max(0, k), 0), (max(0, k), max(0, -k), 0))) if k else square


def diagflat(v: Any, k: int = 0) -> Array:
    """The matrix with the elements of `v`, in row-major order, on its `k`-th diagonal."""
    x = strong(array_like(v, "diagflat"))
    return diag(x if x.ndim == 1 else reshape_p.bind(x, new_sizes=(x.size,)), k)


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    """The diagonals of the matrices in axes `axis1` and `axis2`, which become the last axis.

    Element i is a[..., i, i + offset]. Raises ValueError if there are not two axes.
    """
    x = strong(array_like(a, "diagonal"))
    if x.ndim < 2:
        raise ValueError(f"diagonal takes an array of at least two dimensions, got shape {x.shape} at {user_line()}")
    k, i, j = operator.index(offset), canonical_axis(axis1, x.ndim), canonical_axis(axis2, x.ndim)
    if i == j:
        raise ValueError(f"diagonal: axis1 and axis2 must differ, got {axis1} and {axis2} for shape {x.shape}")
    rest = tuple(d for d in range(x.ndim) if d != i and d != j)
    if (*rest, i, j) != tuple(range(x.ndim)):
        x = transpose_p.bind(x, permutation=(*rest, i, j))
    *lead, n, m = x.shape
    top, left = max(0, -k), max(0, k)
    size = max(0, min(n - top, m - left))
    if size == 0:
        return zeros_like(x, shape=(*lead, 0))
    if (top, left, size, size) != (0, 0, n, m):
        begin = (0,) * len(lead)
        x = lax_slice(x, (*begin, top, left), (*lead, top + size, left + size))
    # In row-major order the diagonal of a square is every (size + 1)-th element.
    flat = reshape_p.bind(x, new_sizes=(*lead, size * size))
    return lax_slice(flat, (0,) * len(flat.shape), flat.shape, (1,) * len(lead) + (size + 1,))


# ---- looks ------------------------------------------------------------------------------------------------------


def iterable(y: Any) -> bool:
    """Whether `y` can be iterated over."""
    try:
        iter(y)
    except TypeError:
        return False
    return True


def isscalar(element: Any) -> bool:
    """Whether `element` is a scalar: a number, a string, or an array without axes."""
    if isinstance(element, (Array, np.ndarray)):
        return len(element.shape) == 0
    return np.isscalar(element)


def ndim(a: Any) -> int:
    """Number of axes of an array or nested list."""
    return a.ndim if isinstance(a, Array) else np.ndim(a)


def shape(a: Any) -> Shape:
    """Length of each axis of an array or nested list."""
    return tuple(a.shape) if isinstance(a, Array) else np.shape(a)


def size(a: Any, axis: int | Sequence[int] | None = None) -> int:
    """Number of elements of an array or nested list, or their number along `axis` (or several axes)."""
    sizes = shape(a)
    out = 1
    for i in canonical_axes(axis, len(sizes)):
        out *= sizes[i]
    return out


__all__ = [
    "arange", "array", "asarray", "astype", "c_", "copy", "diag", "diagflat", "diagonal", "empty", "empty_like", "eye",
    "from_dlpack", "frombuffer", "fromfile", "fromfunction", "fromiter", "fromstring", "full", "full_like", "geomspace", "identity",
    "indices", "isscalar", "iterable", "linspace", "load", "logspace", "meshgrid", "mgrid", "ndim", "ogrid", "ones",
    "ones_like", "r_", "save", "savez", "shape", "size", "tri", "tril", "triu", "zeros", "zeros_like",
]  # fmt: skip
