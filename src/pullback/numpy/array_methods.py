"""Operators, methods and properties of `Array`, for concrete arrays and tracers alike.

The core's `Array` knows no operation; `install` gives it NumPy's. Methods are the functions of this
package, which take the array as their first argument; only those whose arguments differ are written
here. Operators leave operands they do not know to the other operand's class, and refuse lists and
tuples, which hide a slow conversion (and would otherwise be repeated by `*`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray, concrete
from pullback.core.errors import ConcretizationTypeError, user_line
from pullback.core.trace import EVAL, Tracer, current
from pullback.lax import elementwise as e
from pullback.lax.arrangement import rev
from pullback.lax.bits import bitcast_convert_type
from pullback.lax.shape import convert, expand_dims, reshape_p
from pullback.numpy import arithmetic, contraction, creation, manipulation, reductions, selecting, sorting, ufuncs
from pullback.numpy.conversion import astype
from pullback.numpy.indexing import IndexUpdateHelper, getitem
from pullback.numpy.joining import concatenate
from pullback.numpy.promotion import scalar_like
from pullback.numpy.rearranging import repeat
from pullback.xla.devices import device_of, put
from pullback.xla.placement import HOST, Device

#: The version of the array API standard.
API_VERSION = "2024.12"
_OPERANDS = (Array, np.ndarray, np.generic, *dtypes.PYTHON_SCALARS)

# ---- operators -----------------------------------------------------------------------------------


def _known(other: Any, symbol: str, self: Any, reflected: bool) -> bool:
    """Whether an operator takes `other`. Raises TypeError for lists and tuples."""
    if isinstance(other, _OPERANDS) or hasattr(other, "__jax_array__"):
        return True
    if isinstance(other, (list, tuple)):
        names = type(self).__name__, type(other).__name__
        left, right = reversed(names) if reflected else names
        raise TypeError(
            f"unsupported operand type(s) for {symbol}: {left!r} and {right!r}, at {user_line()}. Convert lists and tuples with "
            "pullback.numpy.array first."
        )
    return False


def _binary(symbol: str, ufunc: Callable[..., Any], primitive: Any = None, kinds: str = "") -> tuple[Any, Any]:
    """An operator and its reflection: `ufunc`, but straight to `primitive` for operands of one
    dtype of `kinds` and fitting shapes."""

    def operator(self: Any, other: Any) -> Any:
        if self.__class__ is ConcreteArray and other.__class__ is ConcreteArray:
            x, y = self._value, other._value
            if x.dtype is y.dtype and x.shape == y.shape and self.weak_type is other.weak_type:
                if x.dtype.kind in kinds:
                    return current().process(primitive, (self, other), {})
        elif isinstance(other, Array):
            x, y = self.dtype, other.dtype
            if x is y and self.shape == other.shape and self.weak_type is other.weak_type and x.kind in kinds:
                return current().process(primitive, (self, other), {})
        elif self.dtype.kind in kinds and (scalar := scalar_like(other, self)) is not None:
            return current().process(primitive, (self, scalar), {})
        elif not _known(other, symbol, self, False):
            return NotImplemented
        return ufunc(self, other)

    def reflected(self: Any, other: Any) -> Any:
        if self.dtype.kind in kinds and (scalar := scalar_like(other, self)) is not None:
            return current().process(primitive, (scalar, self), {})
        return ufunc(other, self) if _known(other, symbol, self, True) else NotImplemented

    return operator, reflected


def _unary(ufunc: Callable[..., Any], primitive: Any = None, kinds: str = "") -> Any:
    def operator(self: Any) -> Any:
        if self.dtype.kind in kinds:
            return current().process(primitive, (self,), {})
        return ufunc(self)

    return operator


def _pow(self: Any, other: Any) -> Any:
    if other.__class__ is int and self.dtype.kind in "fc":
        return current().process(e.integer_pow_p, (self,), {"y": other})
    return arithmetic.power(self, other) if _known(other, "**", self, False) else NotImplemented


def _rpow(self: Any, other: Any) -> Any:
    return arithmetic.power(other, self) if _known(other, "**", self, True) else NotImplemented


def _matmul(self: Any, other: Any) -> Any:
    if isinstance(other, Array) or _known(other, "@", self, False):
        return contraction.matmul(self, other)
    return NotImplemented


def _rmatmul(self: Any, other: Any) -> Any:
    return contraction.matmul(other, self) if _known(other, "@", self, True) else NotImplemented


def _round(self: Any, ndigits: int | None = None) -> Array:
    """`round(x)` gives integers, `round(x, n)` floats with n decimals."""
    if ndigits is None:
        return convert(ufuncs.round(self), dtypes.default_dtype(int))
    return ufuncs.round(self, ndigits)


# fmt: off
_BINARY: dict[str, tuple[Any, ...]] = {
    "add":      ("+",  ufuncs.add,      e.add_p, "biufc"),
    "sub":      ("-",  ufuncs.subtract, e.sub_p, "iufc"),
    "mul":      ("*",  ufuncs.multiply, e.mul_p, "biufc"),
    "truediv":  ("/",  ufuncs.divide,   e.div_p, "fc"),
    "floordiv": ("//", arithmetic.floor_divide),
    "mod":      ("%",  arithmetic.mod),
    "divmod":   ("divmod", arithmetic.divmod),
    "and":      ("&",  ufuncs.bitwise_and, e.and_p, "biu"),
    "or":       ("|",  ufuncs.bitwise_or,  e.or_p,  "biu"),
    "xor":      ("^",  ufuncs.bitwise_xor, e.xor_p, "biu"),
    "lshift":   ("<<", arithmetic.left_shift),
    "rshift":   (">>", arithmetic.right_shift),
}
_COMPARISONS: dict[str, tuple[Any, ...]] = {
    "eq": ("==", ufuncs.equal,         e.eq_p, "biufc"),
    "ne": ("!=", ufuncs.not_equal,     e.ne_p, "biufc"),
    "lt": ("<",  ufuncs.less,          e.lt_p, "biuf"),
    "le": ("<=", ufuncs.less_equal,    e.le_p, "biuf"),
    "gt": (">",  ufuncs.greater,       e.gt_p, "biuf"),
    "ge": (">=", ufuncs.greater_equal, e.ge_p, "biuf"),
}
_UNARY: dict[str, tuple[Any, ...]] = {
    "neg": (ufuncs.negative, e.neg_p, "ifc"),
    "pos": (ufuncs.positive,),
    "abs": (ufuncs.absolute, e.abs_p, "ifc"),
    "invert": (ufuncs.bitwise_not,),
}
# fmt: on

# ---- methods whose arguments differ from the functions' ------------------------------------------


def _reshape(self: Any, *args: Any, order: str = "C", copy: bool | None = None, out_sharding: Any = None) -> Array:
    """The elements in another shape, given as a tuple or as several sizes. See
    `pullback.numpy.reshape`."""
    return manipulation.reshape(self, args[0] if len(args) == 1 else args, order, copy=copy, out_sharding=out_sharding)


def _transpose(self: Any, *args: Any) -> Array:
    """With the axes reversed, or in the order given as a tuple or as several numbers. See
    `pullback.numpy.transpose`."""
    if not args:
        return manipulation.transpose(self)
    return manipulation.transpose(self, args[0] if len(args) == 1 and not hasattr(args[0], "__index__") else args)


def _flatten(self: Any, order: str = "C", *, out_sharding: Any = None) -> Array:
    """The elements in one row. See `pullback.numpy.ravel`."""
    return manipulation.ravel(self, order, out_sharding=out_sharding)


def _astype(self: Any, dtype: Any, copy: bool = False, device: Any = None) -> Array:
    """Converted to `dtype`. See `pullback.numpy.astype`."""
    return astype(self, dtype, device=device)


def _clip(self: Any, min: Any = None, max: Any = None) -> Array:
    """Values below `min` raised to it, those above `max` lowered to it. See `pullback.numpy.clip`."""
    return ufuncs.clip(self, min, max)


def _compress(
    self: Any, condition: Any, axis: int | None = None, *, out: None = None, size: Any = None, fill_value: Any = 0
) -> Array:
    """The slices along `axis` where `condition` is true. See `pullback.numpy.compress`."""
    return selecting.compress(condition, self, axis, out=out, size=size, fill_value=fill_value)


def _copy(self: Any) -> Array:
    """A copy: an Array of its own, which stays when this one is deleted or donated."""
    return self.__copy__()


def _view(self: Any, dtype: Any = None, type: None = None) -> Array:
    """The same bits as elements of another dtype; the last axis grows or shrinks with the width.

    Raises ValueError for a 0-d array if the width changes, and if the last axis does not divide.
    """
    if type is not None:
        raise NotImplementedError("view: there are no other array classes to view an Array as")
    if dtype is None:
        return self
    target = dtypes.canonicalize_dtype(dtype)
    # Booleans have no bit width in bitcasts: they are the bytes 0 and 1.
    if self.dtype == dtypes.bool_:
        self = convert(self, dtypes.uint8)
    if target == dtypes.bool_:
        return ufuncs.not_equal(_view(self, dtypes.uint8), 0)
    if dtypes.is_complex(self.dtype):
        parts = [expand_dims(ufuncs.real(self), -1), expand_dims(ufuncs.imag(self), -1)]
        pairs = concatenate(parts, axis=-1)
        if self.ndim == 0:
            if target == self.dtype:
                return self
            raise _width_error()
        self = reshape_p.bind(pairs, new_sizes=(*self.shape[:-1], 2 * self.shape[-1]))
    if dtypes.is_complex(target):
        parts = _view(self, dtypes.to_real(target))
        if not parts.ndim or parts.shape[-1] % 2:
            raise _width_error()
        pairs = reshape_p.bind(parts, new_sizes=(*parts.shape[:-1], parts.shape[-1] // 2, 2))
        return e.complex_p.bind(pairs[..., 0], pairs[..., 1])
    if self.dtype == target:
        return convert(self, target)
    old, new = dtypes.itemsize_bits(self.dtype), dtypes.itemsize_bits(target)
    if old == new:
        return bitcast_convert_type(self, target)
    if self.ndim == 0:
        raise _width_error()
    if old > new:
        wide = bitcast_convert_type(self, target)
        return reshape_p.bind(wide, new_sizes=(*self.shape[:-1], self.shape[-1] * (old // new)))
    if self.shape[-1] % (new // old):
        raise _width_error()
    grouped = reshape_p.bind(self, new_sizes=(*self.shape[:-1], self.shape[-1] * old // new, new // old))
    return bitcast_convert_type(grouped, target)


def _width_error() -> ValueError:
    return ValueError(
        "view: the width of elements changes, so the array needs a last axis whose total size in bytes the new width divides, at "
        f"{user_line()}"
    )


def _byteswap(self: Any) -> Array:
    """With the bytes of each element in reverse order."""
    if self.dtype.itemsize == 1:
        return self
    if dtypes.is_complex(self.dtype):
        return e.complex_p.bind(_byteswap(ufuncs.real(self)), _byteswap(ufuncs.imag(self)))
    octets = bitcast_convert_type(self, dtypes.uint8)
    return bitcast_convert_type(rev(octets, (octets.ndim - 1,)), self.dtype)


# ---- where an array lives ------------------------------------------------------------------------


def _device(self: Any) -> Device:
    """Where the array lives. Raises ConcretizationTypeError for tracers, which live nowhere."""
    if isinstance(self, Tracer):
        raise ConcretizationTypeError(self, "A traced value is on no device.")
    return device_of(self)


def _sharding(self: Any) -> Any:
    """How the array is laid out over devices: on one. Raises AttributeError for tracers."""
    if isinstance(self, Tracer):
        raise AttributeError(f"a traced value is on no device, and has no sharding: {self!r:.100}, at {user_line()}")
    from pullback.xla.meshes import SingleDeviceSharding

    return SingleDeviceSharding(device_of(self))


def _format(self: Any) -> Any:
    """Where the array is, and in which order its elements lie: row by row. Raises AttributeError for
    tracers."""
    from pullback.xla.formats import Format, row_major

    return Format(row_major(self.ndim), _sharding(self))


class Shard:
    """The part of an array that one device holds: all of it."""

    replica_id = 0

    def __init__(self, data: Array) -> None:
        self.data = data
        self.device = _device(data)
        self.index = (slice(None),) * data.ndim

    def __repr__(self) -> str:
        return f"Shard(device={self.device}, index={self.index}, replica_id={self.replica_id}, data={self.data})"


def _shards(self: Any) -> list[Shard]:
    """The parts that devices hold: one."""
    return [Shard(self)]


def _to_device(self: Any, device: Any, *, stream: Any = None) -> Array:
    """The array on `device`. Raises ValueError for streams, and for what is no device."""
    if stream is not None:
        raise ValueError("to_device: streams are not supported; the array is there when an operation on it has run")
    if not isinstance(device, Device):
        raise ValueError(f"to_device: {device!r} is not a device; `devices()` gives those there are")
    _device(self)
    return put(self, device)


def _addressable_data(self: Any, index: int) -> Array:
    """The part that device number `index` holds."""
    return _shards(self)[index].data


def _of_data(name: str) -> Callable[[Any], Any]:
    """A method that arrays with data have, for those that have none."""

    def method(self: Any) -> Any:
        raise ConcretizationTypeError(self, f"A traced value has no data, which `{name}` is about.")

    return method


def _buffer_pointer(self: Any) -> int:
    """Address of the first element, for as long as the array lives."""
    if _device(self) is not HOST:
        return int(self._buffer.unsafe_buffer_pointer())
    return int(np.asarray(self._value).ctypes.data)


def _array_namespace(self: Any, /, *, api_version: str | None = None) -> Any:
    """The module of functions for this array, by the array API standard. Raises ValueError for
    other versions of it."""
    if api_version is not None and api_version != API_VERSION:
        raise ValueError(f"api_version={api_version!r} is not available; there is {API_VERSION!r}")
    import pullback.numpy

    return pullback.numpy


# ---- NumPy's functions of arrays ------------------------------------------------------------------


def _asked(name: str) -> Callable[..., Any]:
    """A method by which NumPy asks, until it first does: then the methods of `numpy.dispatch`, which
    is loaded for it, take their places."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        from pullback.numpy import dispatch

        _take_questions(dispatch.array_ufunc, dispatch.array_function)
        return getattr(dispatch, name)(self, *args, **kwargs)

    return method


class WithinTransformations:
    """A method that Arrays with data have within a transformation only.

    NumPy looks for its protocols on the class. If Arrays had them everywhere, it could not tell
    `ndarray + Array`, which is an Array, from `numpy.add(ndarray, Array)`, which outside of a
    transformation is a NumPy array.
    """

    __slots__ = ("method",)

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method = method

    def __get__(self, array: Any, cls: Any) -> Any:
        if current() is EVAL:
            raise AttributeError("Arrays take part in NumPy's functions by their values, outside of a transformation")
        return self.method if array is None else partial(self.method, array)


def _take_questions(ufunc: Callable[..., Any], function: Callable[..., Any]) -> None:
    classes: tuple[Any, Any] = Tracer, ConcreteArray
    for cls, form in zip(classes, (lambda f: f, WithinTransformations)):
        cls.__array_ufunc__, cls.__array_function__ = form(ufunc), form(function)


_take_questions(_asked("array_ufunc"), _asked("array_function"))


def _flat(self: Any) -> Any:
    raise NotImplementedError("Arrays have no `flat`, which would be an iterator that writes: use `x.ravel()`")


# ---- installation --------------------------------------------------------------------------------

_METHODS: dict[str, Callable[..., Any]] = {
    # functions of the package, whose first argument is the array
    **{name: getattr(module, name) for module, names in {
        reductions: "all any argmax argmin cumprod cumsum max mean min prod ptp std sum var", creation: "diagonal",
        sorting: "argpartition argsort searchsorted sort", selecting: "choose nonzero take",
        manipulation: "ravel squeeze swapaxes", contraction: "dot trace", ufuncs: "conj conjugate round",
    }.items() for name in names.split()},
    # with other arguments
    "astype": _astype, "byteswap": _byteswap, "clip": _clip, "clone": _copy, "compress": _compress, "copy": _copy,
    "flatten": _flatten, "repeat": repeat, "reshape": _reshape, "transpose": _transpose, "view": _view,
    # where it lives
    "addressable_data": _addressable_data, "devices": lambda self: {_device(self)},
    "on_device_size_in_bytes": lambda self: self.nbytes, "platform": lambda self: _device(self).platform, "to_device": _to_device,
    "unsafe_buffer_pointer": _buffer_pointer,
    **{name: _of_data(name) for name in ("block_until_ready", "copy_to_host_async", "delete", "is_deleted", "is_ready")},
    "__array_namespace__": _array_namespace,
}  # fmt: skip

_PROPERTIES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "T": (manipulation.transpose, "With the axes reversed."),
    "mT": (manipulation.matrix_transpose, "The transposes of the matrices in the last two axes."),
    "real": (ufuncs.real, "The real part."),
    "imag": (ufuncs.imag, "The imaginary part."),
    "flat": (_flat, "Not supported."),
    "at": (
        IndexUpdateHelper,
        "Updated copies: `x.at[idx].set(y)`, `.add(y)`, `.mul(y)`, `.min(y)`, `.max(y)`, `.get()`, ...",
    ),
    "device": (_device, "Where the array lives."),
    "format": (_format, "Where the array is, and in which order its elements lie: row by row."),
    "sharding": (_sharding, "How the array is laid out over devices: on one."),
    "addressable_shards": (_shards, "The parts that devices hold: one."),
    "global_shards": (_shards, "The parts that devices hold: one."),
    "is_fully_addressable": (lambda self: True, "Whether all of the data is in this process."),
    "is_fully_replicated": (lambda self: True, "Whether every device holds all of the data."),
    "traceback": (lambda self: None, "Where the array was made, if that was recorded."),
}


def install(array_class: type) -> None:
    """Give `array_class` (the core's `Array`) its operators, methods and properties."""
    operators: dict[str, Any] = {}
    for name, spec in _BINARY.items():
        operators[f"__{name}__"], operators[f"__r{name}__"] = _binary(*spec)
    for name, spec in _COMPARISONS.items():
        operators[f"__{name}__"], _ = _binary(*spec)
    for name, spec in _UNARY.items():
        operators[f"__{name}__"] = _unary(*spec)
    operators |= {
        "__pow__": _pow, "__rpow__": _rpow, "__matmul__": _matmul, "__rmatmul__": _rmatmul, "__round__": _round,
        "__getitem__": getitem,
    }  # fmt: skip
    for name, function in operators.items():
        setattr(array_class, name, function)
    for name, function in _METHODS.items():
        setattr(array_class, name, function)
    for name, (getter, doc) in _PROPERTIES.items():
        setattr(array_class, name, property(getter, doc=doc))


def _iterate(self: ConcreteArray) -> Iterator[Any]:
    """The arrays along axis 0."""
    if not self.ndim:
        raise TypeError("iteration over a 0-d array")
    if current() is EVAL and not EVAL.checking:
        return iter([concrete(v, self.weak_type) for v in self._value])
    return iter([self[i] for i in range(len(self._value))])  # type: ignore[index]


ConcreteArray.__iter__ = _iterate  # type: ignore[attr-defined, method-assign, unused-ignore]

__all__: Sequence[str] = ()
