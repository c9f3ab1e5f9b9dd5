"""Arrays of what comes from outside: Python and NumPy values, buffers, texts, files.

`ndim`, `shape` and `size` say what a value looks like as an array. Data is copied, so that later
writes to it change nothing here.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray, as_array, concrete, from_numpy, from_scalar
from pullback.core.dtypes import DType
from pullback.core.trace import without_floating_point_errors
from pullback.core.types import Shape, canonical_axes
from pullback.lax.arrangement import concatenate as lax_concatenate
from pullback.lax.shape import convert, convert_element_type_p, reshape_p
from pullback.numpy.promotion import array_like, here, raised_to
from pullback.xla.devices import no_sharding, placed

_NUMBERS = frozenset(dtypes.PYTHON_SCALARS)


def array(
    object: Any, dtype: Any = None, *args: Any, copy: bool = True, order: str | None = "K", ndmin: int = 0,
    device: Any = None, out_sharding: Any = None,
) -> Array:  # fmt: skip
    """An Array of a scalar, a nested list or tuple, a NumPy array, or anything with `__array__`,
    `__jax_array__` or a buffer.

    Lists may hold Arrays and traced values; their elements are promoted together. A Python scalar
    gives a weakly typed array unless `dtype` is given; 64-bit types need `enable_x64`. At least
    `ndmin` axes, new ones in front. Raises TypeError for what is not numeric, ValueError for None
    and ragged lists, OverflowError for Python integers that do not fit.

    >>> import pullback.numpy as jnp
    >>> jnp.array([1, 2.0])
    Array([1., 2.], dtype=float32)
    >>> jnp.array([[1, 2], [3, 4]], jnp.uint8)
    Array([[1, 2],
           [3, 4]], dtype=uint8)
    >>> jnp.array(3), jnp.array(3, ndmin=2).shape
    (Array(3, dtype=int32, weak_type=True), (1, 1))
    """
    if args:
        copy, order, ndmin = _by_position(args, copy, order, ndmin)
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
    if ndmin:
        out = raised_to(out, ndmin)
    return out if device is None and isinstance(object, Array) else placed(out, device)


def _by_position(args: tuple[Any, ...], *given: Any) -> tuple[Any, ...]:
    """`copy`, `order` and `ndmin`, of which older code gives the first ones by position."""
    if len(args) > len(given):
        raise TypeError(f"array() takes at most 5 positional arguments but {2 + len(args)} were given")
    names = ("copy", "order", "ndmin")
    for name, value, default in zip(names[: len(args)], given, (True, "K", 0)):
        if value is not default:
            raise TypeError(f"array() got multiple values for argument {name!r}")
    warnings.warn("array: give copy, order and ndmin by name; by position is deprecated", DeprecationWarning, 3)
    return (*args, *given[len(args) :])


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

    `copy=True` copies those, too. Raises what `array` raises.

    >>> import numpy as np
    >>> import pullback.numpy as jnp
    >>> jnp.asarray(np.arange(3.0))
    Array([0., 1., 2.], dtype=float32)
    >>> x = jnp.ones(3)
    >>> jnp.asarray(x) is x, jnp.asarray(x, copy=True) is x
    (True, False)
    """
    if (
        dtype is None
        and order is None
        and device is None
        and out_sharding is None
        and not copy
        and isinstance(a, Array)
    ):
        return as_array(a)
    return array(a, dtype, copy=bool(copy), order=order, device=device, out_sharding=out_sharding)


def _numbers(x: Any, dtype: DType) -> Any:
    """NumPy array of Python numbers, nested in lists or not. Floats too large for `dtype` become
    infinite, silently."""
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
    return here(
        ValueError,
        f"array needs nested sequences of one shape: after {len(shape)} dimensions, {shape}, the elements differ",
    )


def _from_object(x: Any) -> Array:
    if x is None:
        raise here(ValueError, "None is not a valid value for array")
    try:
        return as_array(x)
    except TypeError:
        if isinstance(x, (np.ndarray, np.generic, str, bytes)):
            raise here(TypeError, f"{x!r:.100} is not numeric: only numeric and boolean arrays are supported") from None
    if hasattr(x, "__dlpack__") and not hasattr(x, "__array__"):
        return from_dlpack(x)
    value = np.asarray(x)
    if value.dtype == object:
        raise here(TypeError, f"{x!r:.100} of type {type(x).__name__} is not a valid array")
    return from_numpy(value)


def copy(a: Any, order: str | None = None) -> Array:
    """A copy of `a`, of the same shape and dtype: an Array of its own, which stays when `a` is
    deleted or donated.

    Raises TypeError for what is no array, NotImplementedError for an `order` other than "K" or
    None.

    >>> import pullback.numpy as jnp
    >>> x = jnp.arange(3)
    >>> y = jnp.copy(x)
    >>> x.delete()
    >>> y
    Array([0, 1, 2], dtype=int32)
    """
    return array(array_like(a, "copy"), order=order)


def astype(x: Any, dtype: Any, /, *, copy: bool = False, device: Any = None) -> Array:
    """`x` converted to `dtype` (None: the default float), strongly typed; the shape stays.

    Complex to real drops the imaginary part; floats convert to integers towards zero, saturating,
    NaN to 0. `copy` is accepted and changes nothing. Raises TypeError for what is no array and no
    dtype.

    >>> import pullback.numpy as jnp
    >>> jnp.astype(jnp.array([1.5, -2.5, 1e20, jnp.nan]), jnp.int8)
    Array([  1,  -2, 127,   0], dtype=int8)
    """
    del copy
    x = array_like(x, "astype")
    x = convert(x, dtypes.canonicalize_dtype(float if dtype is None else dtype))
    return x if device is None else placed(x, device)


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Array:
    """An array that supports DLPack on the CPU (a PyTorch tensor, for one): a copy of it, unless
    `copy=False` asks for its own memory.

    That must not be written to any more. Raises BufferError if a copy would be needed, for 64-bit
    types that become narrower among others; BufferError for other devices and for dtypes that are
    not in DLPack; TypeError for what does not support DLPack.

    Source: the DLPack specification, and the array API standard's `from_dlpack`.

    >>> import numpy as np
    >>> import pullback.numpy as jnp
    >>> theirs = np.array([1.0, 2.0], np.float32)
    >>> ours = jnp.from_dlpack(theirs)
    >>> theirs[0] = 7
    >>> ours
    Array([1., 2.], dtype=float32)
    """
    if isinstance(x, Array):
        return x if device is None else placed(x, device)
    if not hasattr(x, "__dlpack__"):
        raise here(
            TypeError, f"from_dlpack takes an array that supports DLPack, got {x!r:.100} of type {type(x).__name__!r}"
        )
    from pullback.core.capsules import import_array

    found = import_array(x)
    if copy is False:
        if dtypes.canonicalize(found.dtype) != found.dtype:
            raise here(
                BufferError,
                f"from_dlpack: {dtypes.name(found.dtype)} becomes {dtypes.name(dtypes.canonicalize(found.dtype))}, which needs a copy",
            )
        return placed(concrete(found), device)
    return placed(from_numpy(found), device)


# ---- buffers, texts and files --------------------------------------------------------------------


def frombuffer(buffer: Any, dtype: Any = float, count: int = -1, offset: int = 0) -> Array:
    """The numbers in a buffer of bytes, as an array of one axis: `count` of them
    (all, if negative), from byte `offset` on. See `numpy.frombuffer`.

    64-bit numbers become 32-bit ones, unless `enable_x64` is on. The bytes are copied. Raises
    ValueError if the bytes do not divide into numbers, or there are too few.

    >>> import pullback.numpy as jnp
    >>> jnp.frombuffer(bytes([1, 0, 2, 0, 3, 0]), dtype=jnp.int16, offset=2)
    Array([2, 3], dtype=int16)
    """
    return array(np.frombuffer(buffer, np.dtype(dtype), count, offset))


def fromstring(string: str, dtype: Any = float, count: int = -1, *, sep: str) -> Array:
    """The numbers in a text, separated by `sep`, as an array of one axis: the first `count`, or all
    if it is negative. See `numpy.fromstring`.

    Raises ValueError for text that is no number.

    >>> import pullback.numpy as jnp
    >>> jnp.fromstring("1, 2, 4", dtype=int, sep=",")
    Array([1, 2, 4], dtype=int32)
    """
    return array(np.fromstring(string, np.dtype(dtype), count, sep=sep))


def fromfile(*args: Any, **kwargs: Any) -> Array:
    """Not supported, because a file's contents may change: use `asarray(numpy.fromfile(...))`.
    Always raises NotImplementedError.

    >>> import tempfile
    >>> import numpy as np
    >>> import pullback.numpy as jnp
    >>> with tempfile.TemporaryFile() as file:
    ...     _ = file.write(np.array([1, 2], np.int32).tobytes())
    ...     _ = file.seek(0)
    ...     jnp.asarray(np.fromfile(file, np.int32))
    Array([1, 2], dtype=int32)
    """
    raise NotImplementedError(
        "fromfile depends on more than its arguments: use asarray(numpy.fromfile(...)), outside of transformations"
    )


def fromiter(*args: Any, **kwargs: Any) -> Array:
    """Not supported, because an iterator has state: use `asarray(numpy.fromiter(...))`. Always
    raises NotImplementedError.

    >>> import numpy as np
    >>> import pullback.numpy as jnp
    >>> jnp.asarray(np.fromiter((n * n for n in range(4)), np.int32))
    Array([0, 1, 4, 9], dtype=int32)
    """
    raise NotImplementedError(
        "fromiter consumes its argument: use asarray(numpy.fromiter(...)), outside of transformations"
    )


def save(file: Any, arr: Any, allow_pickle: bool = True) -> None:
    """Write an array to a `.npy` file: a path, or a file open for writing bytes. See `numpy.save`.

    Raises TracerArrayConversionError for traced values, OSError if the file cannot be written.

    >>> import io
    >>> import pullback.numpy as jnp
    >>> file = io.BytesIO()
    >>> jnp.save(file, jnp.arange(3))
    >>> _ = file.seek(0)
    >>> jnp.load(file)
    Array([0, 1, 2], dtype=int32)
    """
    np.save(file, np.asarray(arr), allow_pickle=allow_pickle)


def savez(file: Any, *args: Any, allow_pickle: bool = True, **kwds: Any) -> None:
    """Write several arrays to an `.npz` file: those given by name under their names, others as
    "arr_0", "arr_1", ... See `numpy.savez`.

    Raises TracerArrayConversionError for traced values, OSError if the file cannot be written.

    >>> import io
    >>> import pullback.numpy as jnp
    >>> file = io.BytesIO()
    >>> jnp.savez(file, weights=jnp.ones((2, 2)), bias=jnp.zeros(2))
    >>> _ = file.seek(0)
    >>> jnp.load(file)["bias"]
    array([0., 0.], dtype=float32)
    """
    arrays = {name: np.asarray(value) for name, value in kwds.items()}
    np.savez(file, *map(np.asarray, args), allow_pickle=allow_pickle, **arrays)


def load(file: Any, *args: Any, **kwargs: Any) -> Any:
    """Read what `save` (an Array) or `savez` (NumPy's mapping of names to NumPy arrays) wrote. The
    arguments are those of `numpy.load`.

    64-bit numbers become 32-bit ones, unless `enable_x64` is on; bfloat16 comes back as it was.
    Raises OSError and ValueError as `numpy.load` does.

    >>> import io
    >>> import pullback.numpy as jnp
    >>> file = io.BytesIO()
    >>> jnp.save(file, jnp.array([1, 2], jnp.bfloat16))
    >>> _ = file.seek(0)
    >>> jnp.load(file)
    Array([1, 2], dtype=bfloat16)
    """
    out = np.load(file, *args, **kwargs)
    if not isinstance(out, np.ndarray):
        return out
    # The .npy format does not know bfloat16: it comes back as 2 opaque bytes an element.
    return array(out.view(dtypes.bfloat16) if out.dtype == np.dtype("V2") else out)


# ---- looks ---------------------------------------------------------------------------------------


def iterable(y: Any) -> bool:
    """Whether `y` can be iterated over.

    >>> import pullback.numpy as jnp
    >>> jnp.iterable(jnp.ones(2)), jnp.iterable(jnp.ones(())), jnp.iterable(1.0)
    (True, False, False)
    """
    try:
        iter(y)
    except TypeError:
        return False
    return True


def isscalar(element: Any) -> bool:
    """Whether `element` is a scalar: a number, a string, or an array without axes.

    >>> import pullback.numpy as jnp
    >>> jnp.isscalar(3.5), jnp.isscalar(jnp.array(3.5)), jnp.isscalar(jnp.array([3.5]))
    (True, True, False)
    """
    if isinstance(element, (Array, np.ndarray)):
        return len(element.shape) == 0
    return np.isscalar(element)


def ndim(a: Any) -> int:
    """Number of axes of an array or nested list, an `int`.

    >>> import pullback.numpy as jnp
    >>> jnp.ndim(jnp.ones((2, 3))), jnp.ndim([[1, 2]]), jnp.ndim(7)
    (2, 2, 0)
    """
    return a.ndim if isinstance(a, Array) else np.ndim(a)


def shape(a: Any) -> Shape:
    """Length of each axis of an array or nested list, a tuple.

    >>> import pullback.numpy as jnp
    >>> jnp.shape(jnp.ones((2, 3))), jnp.shape([[1, 2]]), jnp.shape(7)
    ((2, 3), (1, 2), ())
    """
    return tuple(a.shape) if isinstance(a, Array) else np.shape(a)


def size(a: Any, axis: int | Sequence[int] | None = None) -> int:
    """Number of elements of an array or nested list, or their number along `axis` (or several
    axes), an `int`.

    Raises ValueError for axes that are out of bounds.

    >>> import pullback.numpy as jnp
    >>> x = jnp.ones((2, 3, 4))
    >>> jnp.size(x), jnp.size(x, 1), jnp.size(x, (0, 2))
    (24, 3, 8)
    """
    sizes = shape(a)
    out = 1
    for i in canonical_axes(axis, len(sizes)):
        out *= sizes[i]
    return out


__all__ = ["array", "asarray", "astype", "copy", "from_dlpack", "frombuffer", "fromfile", "fromiter", "fromstring"]
__all__ += ["isscalar", "iterable", "load", "ndim", "save", "savez", "shape", "size"]
