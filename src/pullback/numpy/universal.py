"""Universal functions: functions of elements that have NumPy's methods, `reduce`, `accumulate`, `at`,
`outer` and `reduceat`, and the functions of `pullback.numpy` that are such.

A `ufunc` is a callable that is no method: called as an attribute of an object it does not get the
object. That is what `staticmethod` is, whose call costs 40 ns where one written in Python costs
110. Within the package the plain functions of `numpy.ufuncs` and `numpy.arithmetic` are called.

What the methods compute stands in `numpy.folds`, which is loaded when the first of them is called.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core.array import Array
from pullback.core.errors import see
from pullback.core.kept import carriers
from pullback.numpy import arithmetic as a
from pullback.numpy import ufuncs as u
from pullback.numpy.promotion import array_like, here

if TYPE_CHECKING:
    _Base = staticmethod[..., Any]
else:
    _Base = staticmethod


class ufunc(_Base):
    """A function of elements, with methods that apply it along axes, at positions and to all pairs.

    Made of `func`, which takes `nin` scalars and gives `nout`: see `frompyfunc`. `call`, if given,
    is the function of arrays; `reduce`, `accumulate`, `at` and `reduceat`, if given, compute what
    the methods of these names do, with the methods' arguments but `out`.

    Its attributes are `nin`, `nout`, `nargs` (the number of arguments that are arrays), `identity`
    (the value that leaves others as they are, None if there is none) and `__name__`. The methods
    are those of functions of two operands and one result, but for `at`, which may be of one operand;
    those of other functions raise ValueError. They take Arrays and whatever becomes one without a
    conversion element by element: lists raise TypeError. `out` must be None: arrays are immutable.

    Source: NumPy's manual, "Universal functions (ufunc)".

    >>> import pullback.numpy as jnp
    >>> jnp.add.nin, jnp.add.identity, jnp.subtract.identity, isinstance(jnp.add, ufunc)
    (2, 0, None, True)
    """

    def __init__(
        self, func: Callable[..., Any], /, nin: int, nout: int, *, name: str | None = None, nargs: int | None = None,
        identity: Any = None, call: Callable[..., Any] | None = None, reduce: Callable[..., Any] | None = None,
        accumulate: Callable[..., Any] | None = None, at: Callable[..., Any] | None = None,
        reduceat: Callable[..., Any] | None = None,
    ) -> None:  # fmt: skip
        if not callable(func):
            raise here(TypeError, f"a ufunc is made of a function, got {func!r:.100}")
        self.nin, self.nout = operator.index(nin), operator.index(nout)
        self.nargs = self.nin if nargs is None else operator.index(nargs)
        self.identity = identity
        name = name or getattr(func, "__name__", type(func).__name__)
        super().__init__(_elementwise(func, name) if call is None else call)
        self.__name__ = self.__qualname__ = name
        self.__module__ = getattr(func, "__module__", None) or __name__
        self.__doc__ = func.__doc__
        self._func = func
        #: What computes the methods, where that is not what `numpy.folds` does for any function. (None
        #: before it is known, of functions of the package.)
        self._own: dict[str, Any] | None = {"reduce": reduce, "accumulate": accumulate, "at": at, "reduceat": reduceat}

    def __get__(self, instance: Any, owner: Any = None, /) -> Any:
        return self

    def __repr__(self) -> str:
        return f"<jnp.ufunc {self.__name__!r}>"

    def __reduce__(self) -> Any:
        if globals().get(self.__name__) is self:  # one of those below
            return self.__name__
        return _made, (self._func, self.nin, self.nout, self.__name__, self.nargs, self.identity, self._own)

    def reduce(
        self, a: Any, axis: Any = 0, dtype: Any = None, out: None = None, keepdims: bool = False, initial: Any = None,
        where: Any = None,
    ) -> Array:  # fmt: skip
        """The elements along `axis` combined, from the first to the last: f(f(x0, x1), x2) and so on,
        after the identity, if there is one.

        - `axis`: a number, None for all axes, or several numbers, whose elements are then combined
          in row-major order. `keepdims` keeps the axes, of length 1.
        - `dtype`: in which the elements are combined. By default sums and products of booleans and
          small integers are taken in the default integer; the others have the dtype that the
          function gives.
        - `initial`: a scalar that comes before the first element.
        - `where`: a boolean array that broadcasts to `a`: which elements count. It takes an
          `initial`, or a function that has an identity.

        The result has the shape of `a` without `axis`. Where there are no elements it is the
        identity. Raises ValueError if there is none, and for axes that are out of bounds or twice
        there.

        >>> import pullback.numpy as jnp
        >>> jnp.subtract.reduce(jnp.array([10, 3, 2]))
        Array(5, dtype=int32)
        >>> jnp.bitwise_or.reduce(jnp.array([[1, 2], [4, 8]]), axis=1)
        Array([ 3, 12], dtype=int32)
        """
        self._binary("reduce", out)
        from pullback.numpy import folds

        return folds.how("reduce", self)(a, axis=axis, dtype=dtype, keepdims=keepdims, initial=initial, where=where)

    def accumulate(self, a: Any, axis: int = 0, dtype: Any = None, out: None = None) -> Array:
        """What `reduce` gives of the first element, of the first two, and so on along `axis`.

        The result has the shape of `a`, and the dtype that the function gives (or `dtype`, in which
        the elements are combined). Raises ValueError unless `axis` is one axis of `a`.

        >>> import pullback.numpy as jnp
        >>> jnp.multiply.accumulate(jnp.array([[1, 2, 3], [4, 5, 6]]), axis=1)
        Array([[  1,   2,   6],
               [  4,  20, 120]], dtype=int32)
        """
        self._binary("accumulate", out)
        if not hasattr(axis, "__index__"):
            raise here(ValueError, f"{self.__name__}.accumulate goes along one axis, got axis={axis!r}")
        from pullback.numpy import folds

        return folds.how("accumulate", self)(a, axis=axis, dtype=dtype)

    def at(self, a: Any, indices: Any, b: Any = None, /, *, inplace: bool = True) -> Array:
        """`a`, with the function applied to the elements at `indices` (and to `b`): a new array.

        NumPy's method writes into `a`, and so has no result. As a reminder that this one does not,
        `inplace=False` has to be given: NotImplementedError if it is not.

        `indices` is what may stand between the brackets of `a[...]`, and `b` broadcasts to the shape
        of `a[indices]`. Positions that repeat are updated once for each time, in their order;
        positions out of bounds not at all. `b` is left out for functions of one operand. Updates by
        `add`, `subtract` and `multiply` keep the dtype of `a`; others give that of the function.

        >>> import pullback.numpy as jnp
        >>> jnp.add.at(jnp.array([1, 2, 3]), jnp.array([0, 0, 2]), 10, inplace=False)
        Array([21,  2, 13], dtype=int32)
        """
        if inplace:
            raise here(
                NotImplementedError,
                f"{self.__name__}.at cannot write into an array: arrays are immutable",
                f"; `at(a, indices, b, inplace=False)` gives the updated array{see('in-place')}",
            )
        if self.nout != 1 or self.nin not in (1, 2):
            raise here(ValueError, f"{self.__name__}.at: only functions of one or two operands and one result update")
        if (b is None) is not (self.nin == 1):
            number = "a second operand, b" if self.nin == 2 else "one operand, and no b"
            raise here(TypeError, f"{self.__name__}.at takes {number}")
        from pullback.numpy import folds

        operands = (a, indices) if b is None else (a, indices, b)
        return folds.how("at", self)(*operands)

    def outer(self, A: Any, B: Any, /) -> Array:
        """The function of all pairs of elements of `A` and `B`, in the shape `A.shape + B.shape`.

        >>> import pullback.numpy as jnp
        >>> jnp.subtract.outer(jnp.array([10, 20]), jnp.array([1, 2, 3]))
        Array([[ 9,  8,  7],
               [19, 18, 17]], dtype=int32)
        """
        self._binary("outer")
        A, B = (array_like(x, f"{self.__name__}.outer") for x in (A, B))
        return self(A.reshape(*A.shape, *[1] * len(B.shape)) if B.shape else A, B)

    def reduceat(self, a: Any, indices: Any, axis: int = 0, dtype: Any = None, out: None = None) -> Array:
        """What `reduce` gives of parts of `a` along `axis`: part i begins at `indices[i]`, and ends
        before `indices[i + 1]` (the last one, at the end of the axis).

        A part whose end is not after its beginning is the element `indices[i]`. `indices` is a
        one-dimensional array of integers, of which negative ones count from the end; those out of
        bounds raise IndexError where they are known, and are clamped where they are traced. The
        result has `len(indices)` elements along `axis`. Raises ValueError for other indices, and
        unless `axis` is one axis of `a`.

        >>> import pullback.numpy as jnp
        >>> jnp.add.reduceat(jnp.arange(1, 9), jnp.array([0, 2, 5]))
        Array([ 3, 12, 21], dtype=int32)
        """
        self._binary("reduceat", out)
        if not hasattr(axis, "__index__"):
            raise here(ValueError, f"{self.__name__}.reduceat goes along one axis, got axis={axis!r}")
        from pullback.numpy import folds

        return folds.how("reduceat", self)(a, indices, axis=axis, dtype=dtype)

    def _binary(self, method: str, out: Any = None) -> None:
        """Refuse what has not two operands and one result, and `out`."""
        if self.nin != 2:
            raise here(ValueError, f"{self.__name__}.{method}: only functions of two operands have {method}")
        if self.nout != 1:
            raise here(ValueError, f"{self.__name__}.{method}: only functions of a single result have {method}")
        u.no_out(f"{self.__name__}.{method}", out)


carriers[ufunc] = "__dict__"


def frompyfunc(func: Callable[..., Any], /, nin: int, nout: int, *, identity: Any = None) -> ufunc:
    """A `ufunc` that applies `func`, which takes `nin` scalars and gives `nout`, element by element.

    `func` is written with operations of this package, and is applied to whole arrays by `vmap`; it
    has the derivatives that these have. `identity` is a scalar that leaves others as they are, if
    there is one: what `reduce` gives of nothing. `func` need not be associative: elements are
    combined one after the other, in their order, by a loop (`lax.scan`). Raises TypeError for what
    is no function, and for numbers that are no integers.

    >>> import pullback.numpy as jnp
    >>> f = frompyfunc(lambda a, b: 2 * a + b, 2, 1)
    >>> f.reduce(jnp.array([1, 0, 1, 1]))
    Array(11, dtype=int32)
    >>> f.outer(jnp.array([1, 2]), jnp.array([0, 5]))
    Array([[2, 7],
           [4, 9]], dtype=int32)
    """
    return ufunc(func, nin, nout, identity=identity)


def _elementwise(func: Callable[..., Any], name: str) -> Callable[..., Any]:
    """`func`, applied to the elements of arrays that broadcast."""
    mapped: Any = None

    def function(*args: Any) -> Any:
        nonlocal mapped
        if mapped is None:
            from pullback.numpy.vectorization import vectorize

            mapped = vectorize(func)
        return mapped(*[array_like(x, name) for x in args])

    function.__name__ = function.__qualname__ = name
    return function


def _made(func: Any, nin: int, nout: int, name: str, nargs: int, identity: Any, own: dict[str, Any]) -> ufunc:
    return ufunc(func, nin, nout, name=name, nargs=nargs, identity=identity, **own)


# ---- those of the package ------------------------------------------------------------------------


def _of(function: Callable[..., Any]) -> ufunc:
    """A function as a ufunc, with the identity that NumPy's has."""
    theirs = getattr(np, function.__name__)
    made = ufunc(function, theirs.nin, theirs.nout, identity=theirs.identity, call=function)
    made.__module__, made._own = "pullback.numpy", None
    return made


# fmt: off
add, subtract, multiply, divide        = _of(u.add), _of(u.subtract), _of(u.multiply), _of(u.divide)
floor_divide, mod, fmod                = _of(a.floor_divide), _of(a.mod), _of(a.fmod)
power, float_power                     = _of(a.power), _of(a.float_power)
negative                               = _of(u.negative)
maximum, minimum, fmax, fmin           = _of(u.maximum), _of(u.minimum), _of(u.fmax), _of(u.fmin)
arctan2, hypot, gcd, lcm               = _of(u.arctan2), _of(a.hypot), _of(a.gcd), _of(a.lcm)
logaddexp, logaddexp2                  = _of(a.logaddexp), _of(a.logaddexp2)
copysign, nextafter, heaviside, ldexp  = _of(a.copysign), _of(u.nextafter), _of(a.heaviside), _of(a.ldexp)
bitwise_and, bitwise_or, bitwise_xor   = _of(u.bitwise_and), _of(u.bitwise_or), _of(u.bitwise_xor)
left_shift, right_shift                = _of(a.left_shift), _of(a.right_shift)
logical_and, logical_or, logical_xor   = _of(u.logical_and), _of(u.logical_or), _of(u.logical_xor)
equal, not_equal                       = _of(u.equal), _of(u.not_equal)
less, less_equal                       = _of(u.less), _of(u.less_equal)
greater, greater_equal                 = _of(u.greater), _of(u.greater_equal)
# fmt: on
true_divide, remainder, pow, atan2 = divide, mod, power, arctan2
bitwise_left_shift, bitwise_right_shift = left_shift, right_shift

__all__ = ["add", "arctan2", "atan2", "bitwise_and", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift"]
__all__ += ["bitwise_xor", "copysign", "divide", "equal", "float_power", "floor_divide", "fmax", "fmin", "fmod"]
__all__ += ["frompyfunc", "gcd", "greater", "greater_equal", "heaviside", "hypot", "lcm", "ldexp", "left_shift"]
__all__ += ["less", "less_equal", "logaddexp", "logaddexp2", "logical_and", "logical_or", "logical_xor", "maximum"]
__all__ += ["minimum", "mod", "multiply", "negative", "nextafter", "not_equal", "pow", "power", "remainder"]
__all__ += ["right_shift", "subtract", "true_divide", "ufunc"]
