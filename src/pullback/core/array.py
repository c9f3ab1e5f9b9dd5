"""`Array`, the interface of everything that operations take, and `ConcreteArray`, an array with
data.

`Array` carries NumPy's operators and methods for concrete arrays and tracers alike; they are
installed by `pullback.numpy.array_methods`, because the core knows no operation. A `ConcreteArray`
holds a NumPy value (an ndarray or a NumPy scalar) that nothing ever writes to.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import dtypes
from pullback.core.config import enable_x64
from pullback.core.dtypes import DType
from pullback.core.errors import see, user_line
from pullback.core.types import Shape, ShapedArray, committed_to_host, intern, refuse_masked

if TYPE_CHECKING:
    from pullback.core.names import Argument, Attribute, Buffer, NumPyArray, NumPyValue, Operand, Scalar, Tree


class Array:
    """An immutable n-dimensional array, or a tracer standing for one: `isinstance(x, Array)` holds
    for both.

    Make one with `pullback.numpy.array`, not by calling this class. It has a `shape`, a `dtype`,
    and is of a `weak_type` or not: a weak one, as Python's numbers have, gives way to others. There
    are Python's operators, which broadcast, indexing as in NumPy, and the methods below; arrays
    with data, which tracers have not, also have `item()`, `tolist()` and `tobytes()`, and become
    NumPy arrays by `numpy.asarray`. Assignment to elements raises TypeError: `x.at[index].set(y)`
    gives an updated array.

    >>> import pullback.numpy as jnp
    >>> x = jnp.ones(3)
    >>> isinstance(x, jnp.ndarray), x.shape, x.dtype, x.weak_type
    (True, (3,), dtype('float32'), False)
    >>> (x + 1)[1:].tolist()
    [2.0, 2.0]
    >>> x.at[0].set(7)
    Array([7., 1., 1.], dtype=float32)
    """

    __slots__ = ("__weakref__",)
    __array_priority__ = 100  # NumPy arrays leave mixed operators to us

    shape: Shape
    dtype: DType
    weak_type: bool

    @property
    def aval(self) -> ShapedArray:
        """The type: shape, dtype and weakness.

        >>> import pullback.numpy as jnp
        >>> jnp.ones((2, 3)).aval.str_short()
        'float32[2,3]'
        """
        return ShapedArray(self.shape, self.dtype, self.weak_type)

    def _check_alive(self) -> None:
        """Raises UnexpectedTracerError if the array is a tracer of a trace that is over."""

    @property
    def ndim(self) -> int:
        """Number of axes.

        >>> import pullback.numpy as jnp
        >>> jnp.ones((2, 3)).ndim, jnp.ones(()).ndim
        (2, 0)
        """
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements.

        >>> import pullback.numpy as jnp
        >>> jnp.ones((2, 3)).size, jnp.ones(()).size
        (6, 1)
        """
        size = 1
        for n in self.shape:
            size *= n
        return size

    @property
    def itemsize(self) -> int:
        """Bytes an element takes.

        >>> import pullback.numpy as jnp
        >>> jnp.ones(3).itemsize, jnp.ones(3, jnp.bfloat16).itemsize
        (4, 2)
        """
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes all elements take.

        >>> import pullback.numpy as jnp
        >>> jnp.ones((2, 3)).nbytes
        24
        """
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        shape = self.shape
        if not shape:
            raise TypeError("len() of unsized object")
        return shape[0]

    if TYPE_CHECKING:
        # Operators, methods and properties are installed by `numpy.array_methods`; these are for type checkers.
        def __add__(self, other: Operand, /) -> Array: ...
        def __radd__(self, other: Operand, /) -> Array: ...
        def __sub__(self, other: Operand, /) -> Array: ...
        def __rsub__(self, other: Operand, /) -> Array: ...
        def __mul__(self, other: Operand, /) -> Array: ...
        def __rmul__(self, other: Operand, /) -> Array: ...
        def __truediv__(self, other: Operand, /) -> Array: ...
        def __rtruediv__(self, other: Operand, /) -> Array: ...
        def __floordiv__(self, other: Operand, /) -> Array: ...
        def __rfloordiv__(self, other: Operand, /) -> Array: ...
        def __mod__(self, other: Operand, /) -> Array: ...
        def __rmod__(self, other: Operand, /) -> Array: ...
        def __pow__(self, other: Operand, /) -> Array: ...
        def __rpow__(self, other: Operand, /) -> Array: ...
        def __matmul__(self, other: Operand, /) -> Array: ...
        def __rmatmul__(self, other: Operand, /) -> Array: ...
        def __and__(self, other: Operand, /) -> Array: ...
        def __rand__(self, other: Operand, /) -> Array: ...
        def __or__(self, other: Operand, /) -> Array: ...
        def __ror__(self, other: Operand, /) -> Array: ...
        def __xor__(self, other: Operand, /) -> Array: ...
        def __rxor__(self, other: Operand, /) -> Array: ...
        def __lshift__(self, other: Operand, /) -> Array: ...
        def __rlshift__(self, other: Operand, /) -> Array: ...
        def __rshift__(self, other: Operand, /) -> Array: ...
        def __rrshift__(self, other: Operand, /) -> Array: ...
        def __lt__(self, other: Operand, /) -> Array: ...
        def __le__(self, other: Operand, /) -> Array: ...
        def __gt__(self, other: Operand, /) -> Array: ...
        def __ge__(self, other: Operand, /) -> Array: ...
        def __eq__(self, other: Operand, /) -> Array: ...
        def __ne__(self, other: Operand, /) -> Array: ...
        def __neg__(self) -> Array: ...
        def __pos__(self) -> Array: ...
        def __abs__(self) -> Array: ...
        def __invert__(self) -> Array: ...
        def __getitem__(self, index: Argument, /) -> Array: ...
        def __iter__(self) -> Iterator[Array]: ...
        def __bool__(self) -> bool: ...
        def __int__(self) -> int: ...
        def __float__(self) -> float: ...
        def __complex__(self) -> complex: ...
        def __index__(self) -> int: ...
        def __getattr__(self, name: str) -> Attribute: ...  # methods and properties

    # Equality is elementwise (installed with the operators), so arrays hash by nothing.
    __hash__ = None  # type: ignore[assignment]

    def __setitem__(self, index: Argument, value: Operand) -> None:
        raise TypeError(
            f"an Array does not support item assignment, at {user_line()}: arrays are immutable. "
            f"Instead of `x[idx] = y`, write `x = x.at[idx].set(y)`.{see('in-place')}"
        )


class ConcreteArray(Array):
    """An array with data: a NumPy value, owned or shared with other Arrays, never written to.

    A compiled program's result is a `_buffer` first, perhaps still being computed; `_value`, a view
    of it, is taken when someone asks. An array that has been handed to a compiled program has both.
    `_type` is the type as the one object that stands for it (`types.intern`), by which compiled
    programs are found.

    Example: `jnp.ones(3)`.
    """

    __slots__ = ("_value", "weak_type", "_buffer", "_type")
    _value: Any
    _buffer: Any
    _type: ShapedArray

    # There is no __init__, which would double the time that making one takes: `concrete` makes one
    # of a NumPy value, in a few places of the hot path written out.

    @classmethod
    def of_buffer(cls, buffer: Buffer, type: ShapedArray) -> ConcreteArray:
        """The array whose contents are a device buffer's, of an interned type."""
        out = cls()
        out._buffer, out._type, out.weak_type = buffer, type, type.weak_type
        return out

    def __getattr__(self, name: str) -> Attribute:
        # Slots that have not been filled yet; the hot path never gets here.
        if name == "_value":
            buffer = self._buffer
            if buffer is None:
                raise RuntimeError(
                    f"Array has been deleted with shape={self._type.str_short()}: it was donated to a compiled program, or deleted; "
                    f"used at {user_line()}{see('deleted-arrays')}"
                )
            value = self._value = view_of_buffer(buffer, self._type.dtype)
            return value
        if name == "_type":
            interned = self._type = intern(self._value.shape, self._value.dtype, self.weak_type)
            return interned
        if name == "_buffer":
            return None
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def delete(self) -> None:
        """Let go of the memory: it is free as soon as nobody reads it any more.

        Using the array afterwards raises RuntimeError; deleting it twice does nothing. Raises
        ConcretizationTypeError for traced values.

        >>> import pullback.numpy as jnp
        >>> x = jnp.ones(3)
        >>> x.delete()
        >>> x.is_deleted()
        True
        """
        self._type  # noqa: B018 - it must be known for the message
        # The buffer is not told: another thread may be reading it just now, without the interpreter
        # lock.
        self._buffer = None
        with contextlib.suppress(AttributeError):
            del self._value

    def is_deleted(self) -> bool:
        """Whether the array has been deleted or donated. Raises ConcretizationTypeError for traced
        values.

        >>> import pullback as pb
        >>> import pullback.numpy as jnp
        >>> x = jnp.ones(3)
        >>> y = pb.jit(lambda x: x + 1, donate_argnums=0)(x)
        >>> x.is_deleted(), y.is_deleted()
        (True, False)
        """
        return self._buffer is None and not has_value(self)

    def block_until_ready(self) -> ConcreteArray:
        """The array, when it has been computed: compiled programs may run on while Python does.
        Raises ConcretizationTypeError for traced values.

        >>> import pullback as pb
        >>> import pullback.numpy as jnp
        >>> x = pb.jit(jnp.exp)(jnp.zeros(2))
        >>> x.block_until_ready() is x, x.is_ready()
        (True, True)
        """
        buffer = self._buffer
        if buffer is not None:
            wait_for_buffers([buffer])
        return self

    def copy_to_host_async(self) -> None:
        """Begin to bring the contents into the host's memory, where arrays on the host have them.
        Raises ConcretizationTypeError for traced values.

        >>> import pullback.numpy as jnp
        >>> x = jnp.ones(2)
        >>> x.copy_to_host_async()
        >>> x.tolist()
        [1.0, 1.0]
        """

    @property
    def committed(self) -> bool:
        """Whether the array was put on a device explicitly, so that it is not moved to others'
        devices.

        >>> import pullback.numpy as jnp
        >>> jnp.ones(2).committed
        False
        """
        return bool(committed_to_host) and self._type.number in committed_to_host

    def is_ready(self) -> bool:
        """Whether the array has been computed. Raises ConcretizationTypeError for traced values.

        >>> import pullback.numpy as jnp
        >>> jnp.ones(2).is_ready()
        True
        """
        buffer = self._buffer
        return buffer is None or buffer.is_deleted() or bool(buffer.is_ready())

    @property
    def shape(self) -> Shape:
        """Length of each axis."""
        return self._value.shape

    @property
    def dtype(self) -> DType:
        """Element type, a `numpy.dtype`, or that of random keys."""
        dtype = self._value.dtype
        return dtype if dtype.__class__ is not dtypes.STRUCTURED or dtype != dtypes.KEY else dtypes.KEY

    @property
    def ndim(self) -> int:
        return self._value.ndim

    @property
    def size(self) -> int:
        return self._value.size

    # ---- data out --------------------------------------------------------------------------------

    def __array__(self, dtype: Argument = None, copy: bool | None = None) -> NumPyArray:
        value = self._value
        if value.dtype.type is np.void and value.dtype == dtypes.KEY:
            raise _opaque(self)
        if dtype is not None and value.dtype != dtype:
            if copy is False:
                raise ValueError(f"converting {self.dtype} to {dtype} needs a copy, and copy=False was given")
            return np.asarray(value).astype(dtype)
        if copy:
            return np.array(value)
        return read_only(value) if copy is None else shared(value)

    def __dlpack__(
        self,
        *,
        stream: Argument = None,
        max_version: Argument = None,
        dl_device: Argument = None,
        copy: bool | None = None,
    ) -> object:
        # Consumers may write to what they get, unless it is flagged, and some to what is: they get
        # the memory itself only if they insist.
        from pullback.core.capsules import export_capsule

        options: dict[str, Any] = {"stream": stream, "max_version": max_version, "dl_device": dl_device}
        if copy is None or copy:
            return export_capsule(np.array(self._value), **options)
        if max_version is None or max_version[0] < 1:
            raise BufferError(
                "memory that may not be written to is exported without a copy to DLPack 1.0 and later only"
            )
        return export_capsule(shared(self._value), **options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0  # the host's memory

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(
                f"The truth value of an array with {self.size} elements is ambiguous; use a.any() or a.all()"
                if self.size
                else "The truth value of an empty array is ambiguous; use `array.size > 0` to check that it is not empty"
            )
        if self._value.dtype.__class__ is dtypes.STRUCTURED and self.dtype == dtypes.KEY:
            raise TypeError("a typed key is neither true nor false")
        return bool(self._value)

    def _scalar(self, what: str) -> Scalar:
        if self.ndim:
            raise TypeError(f"only scalar arrays convert to a Python {what}; got an array of shape {self.shape}")
        return self.item()

    def __int__(self) -> int:
        return int(self._scalar("int"))

    def __float__(self) -> float:
        return float(self._scalar("float"))

    def __complex__(self) -> complex:
        return complex(self._scalar("complex"))

    def __index__(self) -> int:
        if self.ndim or not dtypes.is_integer(self.dtype):
            raise TypeError(f"only integer scalar arrays convert to an index; got {self.dtype} of shape {self.shape}")
        return int(self._value)

    def item(self, *args: int) -> Scalar:
        """The element as a Python scalar (at a flat or full index, if given).

        Raises ValueError without an index unless there is one element, IndexError for an index out
        of bounds, TypeError for typed keys, which have none.

        >>> import pullback.numpy as jnp
        >>> x = jnp.array([[1, 2], [3, 4]])
        >>> x[0, 1].item(), x.item(2), x.item(1, 1)
        (2, 3, 4)
        """
        return np.asarray(self).item(*args)

    def tolist(self) -> Tree:
        """Nested lists of Python scalars; a scalar for an array without axes. TypeError for typed
        keys.

        >>> import pullback.numpy as jnp
        >>> jnp.array([[1, 2], [3, 4]]).tolist(), jnp.array(2.5).tolist()
        ([[1, 2], [3, 4]], 2.5)
        """
        if dtypes.is_key(self.dtype):
            raise _opaque(self)
        return self._value.tolist()

    def tobytes(self, order: Argument = "C") -> bytes:
        r"""The elements' bytes, in row-major ("C") or column-major ("F") order.

        >>> import pullback.numpy as jnp
        >>> jnp.array([[1, 2], [3, 4]], jnp.uint8).tobytes("F")
        b'\x01\x03\x02\x04'
        """
        return bytes(np.asarray(self._value).tobytes(order))

    # ---- text ------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        weak = ", weak_type=True" if self.weak_type else ""
        if dtypes.is_key(self.dtype):
            return f"Array({self.shape}, dtype=key<fry>) overlaying:\n{np.asarray(self._value)['fry']}"
        value = np.asarray(self._value)
        tail = f"dtype={dtypes.name(self.dtype)}{weak})"
        if value.size == 0:
            return f"Array([], shape={value.shape}, {tail}"
        body = np.array2string(value, prefix="Array(", suffix=",", separator=", ")
        last = body.rsplit("\n", 1)[-1]
        width = np.get_printoptions()["linewidth"]
        gap = "      " if len(last) + len(tail) + (7 if "\n" not in body else 1) > width else " "
        return f"Array({body},{gap}{tail}"

    def __str__(self) -> str:
        if dtypes.is_key(self.dtype):
            return repr(self)
        return str(np.asarray(self._value))

    def _repr_html_(self) -> str:
        from pullback.core.html import array_html

        return array_html(self)

    def _repr_latex_(self) -> str | None:
        from pullback.core.html import array_latex

        return array_latex(self)

    def __format__(self, spec: str) -> str:
        if self.ndim == 0:
            return format(self._value[()], spec)
        return format(np.asarray(self._value), spec)

    # ---- copies and pickling ---------------------------------------------------------------------

    def __copy__(self) -> ConcreteArray:
        out = concrete(self._value, self.weak_type)
        out._type = self._type
        return out

    def __deepcopy__(self, memo: dict[int, object]) -> ConcreteArray:
        return self.__copy__()

    def __reduce__(self) -> str | tuple[object, ...]:
        return _rebuild, (read_only(self._value), self.weak_type)


def concrete(value: NumPyValue, weak_type: bool = False) -> ConcreteArray:
    """The array whose contents are a NumPy array's or scalar's, which nobody writes to from now on."""
    out = ConcreteArray()
    out._value, out.weak_type = value, weak_type
    return out


def _rebuild(value: NumPyArray, weak_type: bool) -> ConcreteArray:
    # Buffers that were pickled apart are the user's.
    return concrete(value if value.flags.owndata else value.copy(), weak_type)


_value_slot = ConcreteArray.__dict__["_value"]


def has_value(x: ConcreteArray) -> bool:
    """Whether the slot `_value` is filled."""
    try:
        _value_slot.__get__(x)
    except AttributeError:
        return False
    return True


def view_of_buffer(buffer: Buffer, dtype: DType) -> NumPyArray:
    """The contents of a device buffer as a NumPy value. `xla.dispatch`, which makes the buffers,
    supplies it."""
    raise NotImplementedError("pullback.xla.dispatch has not been imported")


def wait_for_buffers(buffers: Sequence[Buffer]) -> None:
    """Wait until the contents of device buffers are there. `xla.dispatch` supplies it."""
    raise NotImplementedError("pullback.xla.dispatch has not been imported")


class _Memory:
    """The memory of an array, as something that NumPy sees and takes for unwritable.

    Example: `shared(x)` lies in it: `numpy.asarray(x).flags.writeable` cannot be set.
    """

    __slots__ = ("__array_interface__", "_array")

    def __init__(self, array: NumPyArray) -> None:
        self._array = array
        self.__array_interface__ = interface = array.__array_interface__
        interface["data"] = (interface["data"][0], True)


def _opaque(key: Array) -> TypeError:
    return TypeError(
        f"an array of typed keys, {key.aval.str_short()}, has no value in NumPy, at {user_line()}: `random.key_data(key)` are its words"
    )


def shared(value: NumPyValue) -> NumPyArray:
    """A view of a NumPy value that cannot be written to, whatever is done to its flags or to those
    of its base."""
    array = np.asarray(value)
    owner: Any = array
    while owner.base.__class__ is np.ndarray:
        owner = owner.base
    if owner.base is not None and not owner.flags.writeable:  # the view of a buffer, which lets nobody write
        view = array.view()
        view.flags.writeable = False
        return view
    plain = array if dtypes.is_numpys(array.dtype) else array.view(f"V{array.dtype.itemsize}")
    found = np.asarray(_Memory(plain))
    return found if plain is array else found.view(array.dtype)


def read_only(value: NumPyValue) -> NumPyArray:
    """A NumPy array with the contents of a NumPy value, which is not changed by what is done to the
    array: small ones are copied."""
    if value.nbytes <= 4096:
        array = np.array(value)
        array.setflags(write=False)
        return array
    return shared(value)


def from_numpy(x: NumPyValue, weak_type: bool = False) -> ConcreteArray:
    """An Array with the contents of a NumPy value, copied so that later writes to it change nothing
    here.

    Raises ValueError for masked arrays: what is masked would count.
    """
    dtype = x.dtype
    if x.__class__ is np.ndarray:
        if dtype in dtypes._KINDS:
            return concrete(np.array(x, dtypes.canonicalize(dtype)), weak_type)
    else:
        refuse_masked(x)
    if dtype not in dtypes._KINDS:
        native = dtype.newbyteorder("=")
        dtypes.kind(native)
        return concrete(np.array(x, dtypes.canonicalize(native)), weak_type)
    if isinstance(x, np.generic):
        narrow = dtypes.canonicalize(dtype)
        return concrete(x if narrow == dtype else np.asarray(x).astype(narrow), weak_type)
    return concrete(np.array(x, dtypes.canonicalize(dtype), subok=False), weak_type)


_SCALARS: dict[type, tuple[Any, Any]] = {
    bool: (np.bool_, np.bool_), int: (np.int32, np.int64), float: (np.float32, np.float64), complex: (np.complex64, np.complex128),
}  # fmt: skip


def from_scalar(x: Scalar) -> ConcreteArray:
    """A 0-d, weakly typed Array of a Python scalar. Raises OverflowError for integers out of range."""
    cls = x.__class__
    kinds = _SCALARS.get(cls)
    if kinds is None:  # a subclass, such as numpy.float64 or an IntEnum
        cls = next(t for t in dtypes.PYTHON_SCALARS if isinstance(x, t))
        kinds = _SCALARS[cls]
    kind = kinds[enable_x64.value]
    try:
        return concrete(kind(x), cls is not bool)
    except OverflowError:
        raise OverflowError(
            f"Python integer {x} does not fit into {kind.__name__}; with enable_x64 the default is int64"
        ) from None


def as_array(x: Operand) -> Array:
    """`x` as something operations take: Arrays as they are, NumPy values copied, scalars weakly
    typed.

    Raises TypeError for anything else (lists included: convert those with `pullback.numpy.array`),
    UnexpectedTracerError for tracers of a trace that is over.
    """
    if x.__class__ is ConcreteArray:
        return x
    if isinstance(x, Array):
        x._check_alive()
        return x
    if x.__class__ in _SCALARS:
        return from_scalar(x)
    if isinstance(x, (np.ndarray, np.generic)):
        return from_numpy(x)
    if isinstance(x, dtypes.PYTHON_SCALARS):
        return from_scalar(x)
    convert = getattr(x, "__jax_array__", None)
    if convert is not None:
        return as_array(convert())
    raise TypeError(f"{x!r:.200} of type {type(x).__name__!r} is not a valid array type{see('arrays')}")
