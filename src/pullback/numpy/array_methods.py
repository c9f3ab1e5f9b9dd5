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
    """The elements in another shape, given as a tuple or as several sizes, of which one may be -1.

    See `pullback.numpy.reshape` for orders and errors.

    >>> import pullback.numpy as jnp
    >>> jnp.arange(6).reshape(2, -1)
    Array([[0, 1, 2],
           [3, 4, 5]], dtype=int32)
    >>> jnp.arange(6).reshape((3, 2)).shape
    (3, 2)
    """
    return manipulation.reshape(self, args[0] if len(args) == 1 else args, order, copy=copy, out_sharding=out_sharding)


def _transpose(self: Any, *args: Any) -> Array:
    """With the axes reversed, or in the order given as a tuple or as several numbers.

    Raises TypeError for what is no permutation of the axes. See `pullback.numpy.transpose`.

    >>> import pullback.numpy as jnp
    >>> x = jnp.ones((2, 3, 4))
    >>> x.transpose().shape, x.transpose(1, 2, 0).shape, x.transpose((0, 2, 1)).shape
    ((4, 3, 2), (3, 4, 2), (2, 4, 3))
    """
    if not args:
        return manipulation.transpose(self)
    return manipulation.transpose(self, args[0] if len(args) == 1 and not hasattr(args[0], "__index__") else args)


def _flatten(self: Any, order: str = "C", *, out_sharding: Any = None) -> Array:
    """The elements in one row, in row-major ("C") or column-major ("F") order. See
    `pullback.numpy.ravel`.

    >>> import pullback.numpy as jnp
    >>> jnp.array([[1, 2], [3, 4]]).flatten("F")
    Array([1, 3, 2, 4], dtype=int32)
    """
    return manipulation.ravel(self, order, out_sharding=out_sharding)


def _astype(self: Any, dtype: Any, copy: bool = False, device: Any = None) -> Array:
    """Converted to `dtype`; the shape stays. See `pullback.numpy.astype` for how numbers are
    rounded.

    >>> import pullback.numpy as jnp
    >>> jnp.array([1.5, -2.5, 300.0]).astype(jnp.int8)
    Array([  1,  -2, 127], dtype=int8)
    """
    return astype(self, dtype, device=device)


def _clip(self: Any, min: Any = None, max: Any = None) -> Array:
    """Values below `min` raised to it, those above `max` lowered to it; None is no bound. See
    `pullback.numpy.clip`.

    >>> import pullback.numpy as jnp
    >>> jnp.arange(6).clip(2, 4), jnp.arange(6).clip(max=3)
    (Array([2, 2, 2, 3, 4, 4], dtype=int32), Array([0, 1, 2, 3, 3, 3], dtype=int32))
    """
    return ufuncs.clip(self, min, max)


def _compress(
    self: Any, condition: Any, axis: int | None = None, *, out: None = None, size: Any = None, fill_value: Any = 0
) -> Array:
    """The slices along `axis` (elements of the flattened array, if None) where `condition`, of one
    axis, is true.

    See `pullback.numpy.compress` for `size`, which traced conditions need, and errors.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[1, 2, 3], [4, 5, 6]])
    >>> x.compress(jnp.array([True, False, True]), axis=1)
    Array([[1, 3],
           [4, 6]], dtype=int32)
    """
    return selecting.compress(condition, self, axis, out=out, size=size, fill_value=fill_value)


def _copy(self: Any) -> Array:
    """A copy: an Array of its own, which stays when this one is deleted or donated.

    >>> import pullback.numpy as jnp
    >>> x = jnp.arange(3)
    >>> y = x.copy()
    >>> x.delete()
    >>> y
    Array([0, 1, 2], dtype=int32)
    """
    return self.__copy__()


def _view(self: Any, dtype: Any = None, type: None = None) -> Array:
    """The same bits as elements of another dtype; the last axis grows or shrinks with the width.

    Raises ValueError for a 0-d array if the width changes, and if the last axis does not divide;
    NotImplementedError for a `type`.

    >>> import pullback.numpy as jnp
    >>> jnp.array([1.0, -2.0]).view(jnp.uint32)
    Array([1065353216, 3221225472], dtype=uint32)
    >>> jnp.array([1, 256], jnp.int16).view(jnp.uint8)
    Array([1, 0, 0, 1], dtype=uint8)
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
    """With the bytes of each element in reverse order. Shape and dtype stay.

    >>> import pullback.numpy as jnp
    >>> jnp.array([1, 256], jnp.int16).byteswap()
    Array([256,   1], dtype=int16)
    """
    if self.dtype.itemsize == 1:
        return self
    if dtypes.is_complex(self.dtype):
        return e.complex_p.bind(_byteswap(ufuncs.real(self)), _byteswap(ufuncs.imag(self)))
    octets = bitcast_convert_type(self, dtypes.uint8)
    return bitcast_convert_type(rev(octets, (octets.ndim - 1,)), self.dtype)


# ---- where an array lives ------------------------------------------------------------------------


def _device(self: Any) -> Device:
    """Where the array lives. Raises ConcretizationTypeError for tracers, which live nowhere.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> jnp.ones(2).device == pb.devices()[0]
    True
    """
    if isinstance(self, Tracer):
        raise ConcretizationTypeError(self, "A traced value is on no device.")
    return device_of(self)


def _sharding(self: Any) -> Any:
    """How the array is laid out over devices: on one. Raises AttributeError for tracers.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> jnp.ones(2).sharding.device_set == {pb.devices()[0]}
    True
    """
    if isinstance(self, Tracer):
        raise AttributeError(f"a traced value is on no device, and has no sharding: {self!r:.100}, at {user_line()}")
    from pullback.xla.meshes import SingleDeviceSharding

    return SingleDeviceSharding(device_of(self))


def _format(self: Any) -> Any:
    """Where the array is, and in which order its elements lie: row by row. Raises AttributeError
    for tracers.

    >>> import pullback.numpy as jnp
    >>> jnp.ones((2, 3)).format.layout.major_to_minor
    (0, 1)
    """
    from pullback.xla.formats import Format, row_major

    return Format(row_major(self.ndim), _sharding(self))


class Shard:
    """The part of an array that one device holds: all of it.

    >>> import pullback.numpy as jnp
    >>> (shard,) = jnp.arange(3).addressable_shards
    >>> shard.index, shard.data
    ((slice(None, None, None),), Array([0, 1, 2], dtype=int32))
    """

    replica_id = 0

    def __init__(self, data: Array) -> None:
        self.data = data
        self.device = _device(data)
        self.index = (slice(None),) * data.ndim

    def __repr__(self) -> str:
        return f"Shard(device={self.device}, index={self.index}, replica_id={self.replica_id}, data={self.data})"


def _shards(self: Any) -> list[Shard]:
    """The parts that devices hold: one. Raises ConcretizationTypeError for tracers.

    >>> import pullback.numpy as jnp
    >>> [shard.data.shape for shard in jnp.ones((2, 3)).addressable_shards]
    [(2, 3)]
    """
    return [Shard(self)]


def _to_device(self: Any, device: Any, *, stream: Any = None) -> Array:
    """The array on `device`. Raises ValueError for streams, and for what is no device;
    ConcretizationTypeError for tracers.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> jnp.ones(2).to_device(pb.devices()[0])
    Array([1., 1.], dtype=float32)
    """
    if stream is not None:
        raise ValueError("to_device: streams are not supported; the array is there when an operation on it has run")
    if not isinstance(device, Device):
        raise ValueError(f"to_device: {device!r} is not a device; `devices()` gives those there are")
    _device(self)
    return put(self, device)


def _addressable_data(self: Any, index: int) -> Array:
    """The part that device number `index` holds: all of it, of device 0. Raises IndexError for
    others, ConcretizationTypeError for tracers.

    >>> import pullback.numpy as jnp
    >>> jnp.arange(3).addressable_data(0)
    Array([0, 1, 2], dtype=int32)
    """
    return _shards(self)[index].data


def _devices(self: Any) -> set[Device]:
    """The devices that hold a part of the array: a set of one. Raises ConcretizationTypeError for
    tracers.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> jnp.ones(2).devices() == {pb.devices()[0]}
    True
    """
    return {_device(self)}


def _platform(self: Any) -> str:
    """The name of the kind of device that the array is on: "cpu", ... Raises
    ConcretizationTypeError for tracers.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> jnp.ones(2).platform() == pb.devices()[0].platform
    True
    """
    return _device(self).platform


def _size_in_bytes(self: Any) -> int:
    """Bytes that the array takes in its device's memory: those of its elements, `nbytes`.

    >>> import pullback.numpy as jnp
    >>> jnp.ones((2, 3)).on_device_size_in_bytes()
    24
    """
    return self.nbytes  # type: ignore[no-any-return]


def _of_data(name: str) -> Callable[[Any], Any]:
    """A method that arrays with data have, for those that have none; its docstring is theirs."""

    def method(self: Any) -> Any:
        raise ConcretizationTypeError(self, f"A traced value has no data, which `{name}` is about.")

    method.__name__, method.__doc__ = name, getattr(ConcreteArray, name).__doc__
    return method


def _buffer_pointer(self: Any) -> int:
    """Address of the first element, for as long as the array lives. Raises ConcretizationTypeError
    for tracers.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([7, 8, 9])
    >>> x.unsafe_buffer_pointer() > 0
    True
    """
    if _device(self) is not HOST:
        return int(self._buffer.unsafe_buffer_pointer())
    return int(np.asarray(self._value).ctypes.data)


def _array_namespace(self: Any, /, *, api_version: str | None = None) -> Any:
    """The module of functions for this array, by the array API standard. Raises ValueError for
    other versions of it.

    >>> import pullback.numpy as jnp
    >>> jnp.ones(2).__array_namespace__() is jnp
    True
    """
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
    "addressable_data": _addressable_data, "devices": _devices, "on_device_size_in_bytes": _size_in_bytes, "platform": _platform,
    "to_device": _to_device, "unsafe_buffer_pointer": _buffer_pointer,
    **{name: _of_data(name) for name in ("block_until_ready", "copy_to_host_async", "delete", "is_deleted", "is_ready")},
    "__array_namespace__": _array_namespace,
}  # fmt: skip

#: What gives a property, and, where its docstring does not say so, what the property is, and an example.
_PROPERTIES: dict[str, tuple[Any, ...]] = {
    "T": (manipulation.transpose, "With the axes reversed.", "jnp.ones((2, 3, 4)).T.shape\n(4, 3, 2)"),
    "mT": (
        manipulation.matrix_transpose,
        "The transposes of the matrices in the last two axes. Raises ValueError if there are not two.",
        "jnp.ones((2, 3, 4)).mT.shape\n(2, 4, 3)",
    ),
    "real": (ufuncs.real, "The real part, of a real dtype.", "jnp.array([1 + 2j]).real\nArray([1.], dtype=float32)"),
    "imag": (
        ufuncs.imag,
        "The imaginary part, of a real dtype: zeros of real arrays.",
        "jnp.array([1 + 2j]).imag\nArray([2.], dtype=float32)",
    ),
    "flat": (
        _flat,
        "Not supported, as it would be an iterator that writes: use `ravel()`. Raises NotImplementedError.",
        "jnp.array([[1, 2], [3, 4]]).ravel()[2]\nArray(3, dtype=int32)",
    ),
    "at": (IndexUpdateHelper,),
    "device": (_device,),
    "format": (_format,),
    "sharding": (_sharding,),
    "addressable_shards": (_shards,),
    "global_shards": (_shards,),
    "is_fully_addressable": (
        lambda self: True,
        "Whether all of the data is in this process.",
        "jnp.ones(2).is_fully_addressable\nTrue",
    ),
    "is_fully_replicated": (
        lambda self: True,
        "Whether every device holds all of the data.",
        "jnp.ones(2).is_fully_replicated\nTrue",
    ),
    "traceback": (
        lambda self: None,
        "Where the array was made, if that was recorded: it is not.",
        "jnp.ones(2).traceback is None\nTrue",
    ),
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
    for name, (getter, *described) in _PROPERTIES.items():
        doc = "{}\n\n>>> import pullback.numpy as jnp\n>>> {}\n".format(*described) if described else None
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
