"""The elementwise functions of `pullback.lax`: one for each primitive of the elementwise table.

They are strict where `pullback.numpy` is lenient: operands must have one dtype, which is never promoted, and one shape, up to scalars and
axes of length 1 (of equal rank). They take Arrays, NumPy values and Python scalars, and raise TypeError for dtypes or shapes that do not fit.
`accuracy` (an `AccuracyMode` or `Tolerance`) is accepted where compiled code has a choice; evaluation is as exact as NumPy's.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.dtypes import DType
from pullback.core.errors import user_line
from pullback.core.trace import current
from pullback.core.types import broadcast_shapes, integer
from pullback.lax import elementwise as table
from pullback.lax.family import BITS, FLOAT, INEXACT, INTEGER, NUMERIC, Elementwise, add_p, like, mul_p, neg_p, sub_p
from pullback.lax.selection import select as selected
from pullback.lax.shape import convert

_ORDERED = "biuf"  # the kinds that `<` compares


class RoundingMethod(enum.IntEnum):
    """What `round` does halfway between two integers."""

    AWAY_FROM_ZERO = 0
    TO_NEAREST_EVEN = 1


class Precision(enum.Enum):
    """How much precision compiled matrix products may give up for speed. Evaluation by NumPy is always in full precision.

    Strings name them too: `Precision("highest")`, `Precision("bfloat16_3x")`, `Precision("tensorfloat32")`, ...
    """

    DEFAULT = 0
    HIGH = 1
    HIGHEST = 2

    @classmethod
    def _missing_(cls, value: object) -> Precision | None:
        return _PRECISION_NAMES.get(value) if isinstance(value, str) else None

    def __repr__(self) -> str:
        return f"Precision.{self.name}"

    __str__ = enum.Enum.__str__


_PRECISION_NAMES = {
    "default": Precision.DEFAULT, "fastest": Precision.DEFAULT, "bfloat16": Precision.DEFAULT,
    "high": Precision.HIGH, "bfloat16_3x": Precision.HIGH, "tensorfloat32": Precision.HIGH,
    "highest": Precision.HIGHEST, "float32": Precision.HIGHEST,
}  # fmt: skip


def check_precision(name: str, precision: Any) -> None:
    """Raises ValueError for what says nothing of the precision of a matrix product."""
    for p in precision if isinstance(precision, (tuple, list)) and len(precision) == 2 else (precision,):
        if not (p is None or isinstance(p, Precision) or (isinstance(p, str) and p.lower() in _PRECISION_NAMES)):
            raise ValueError(
                f"{name}: precision must be None, a lax.Precision or one of {sorted(_PRECISION_NAMES)}, or a pair of these; got {precision!r:.100}"
            )


class AccuracyMode(enum.Enum):
    """Whether compiled elementwise functions are the fast ones or the most accurate ones."""

    HIGHEST = 1
    DEFAULT = 2


@dataclass(frozen=True)
class Tolerance:
    """Errors within which a compiled elementwise function must stay: absolute, relative, in units of the last place."""

    atol: float = 0.0
    rtol: float = 0.0
    ulps: int = 0

    def __post_init__(self) -> None:
        if self.atol < 0 or self.rtol < 0 or self.ulps < 0:
            raise ValueError(f"tolerances must be non-negative, got {self}")


# ---- operands ---------------------------------------------------------------------------------------------------


def unary(primitive: Elementwise, x: Any, kinds: str, accuracy: Any = None) -> Array:
    """Apply to one operand, whose dtype must be of one of `kinds`."""
    if not isinstance(x, Array):
        x = as_array(x)
    if dtypes.kind(x.dtype) not in kinds:
        raise unaccepted(primitive, kinds, x)
    if accuracy is not None and not isinstance(accuracy, (AccuracyMode, Tolerance)):
        raise NotImplementedError(
            f"lax.{primitive.name}: accuracy must be an AccuracyMode or a Tolerance, got {accuracy!r}"
        )
    return current().process(primitive, (x,), {})


def binary(primitive: Elementwise, x: Any, y: Any, kinds: str) -> Array:
    """Apply to two operands of one dtype, of one of `kinds`, and one shape (up to scalars and axes of length 1)."""
    if not isinstance(x, Array):
        x = as_array(x)
    if not isinstance(y, Array):
        y = as_array(y)
    dtype = x.dtype
    if dtype is not y.dtype and dtype != y.dtype:
        raise different_dtypes(primitive, x, y)
    if dtypes.kind(dtype) not in kinds:
        raise unaccepted(primitive, kinds, x)
    if x.shape != y.shape and x.shape and y.shape:
        check_shapes(primitive, x, y)
    return current().process(primitive, (x, y), {})


def check_shapes(primitive: Any, *arrays: Array) -> None:
    """Raise TypeError unless the shapes are equal up to scalars and axes of length 1."""
    shapes = [a.shape for a in arrays if a.shape]
    if len({len(s) for s in shapes}) <= 1:
        try:
            broadcast_shapes(*shapes)
            return
        except ValueError:
            reason = "equal shapes up to axes of length 1"
    else:
        reason = "the same number of dimensions"
    raise TypeError(
        f"lax.{primitive.name}: arrays must have {reason}, or be scalars; got shapes {', '.join(str(a.shape) for a in arrays)} at "
        f"{user_line()} (pullback.numpy broadcasts)"
    )


def different_dtypes(primitive: Any, *arrays: Array) -> TypeError:
    """The error of operands that do not have one dtype."""
    return TypeError(
        f"lax.{primitive.name} requires arguments to have the same dtypes, got {', '.join(dtypes.name(a.dtype) for a in arrays)} at "
        f"{user_line()} (pullback.numpy promotes; pullback.lax does not)"
    )


_KIND_NAMES = {"b": "bool", "i": "signed integer", "u": "unsigned integer", "f": "floating", "c": "complex"}


def unaccepted(primitive: Any, kinds: str, x: Array) -> TypeError:
    """The error of an operand whose dtype is of none of `kinds`."""
    return TypeError(
        f"lax.{primitive.name} does not accept dtype {dtypes.name(x.dtype)}, at {user_line()}. It accepts "
        f"{', '.join(_KIND_NAMES[k] for k in kinds)} dtypes"
    )


# ---- exponentials, logarithms and roots --------------------------------------------------------------------------------


def exp(x: Any, *, accuracy: Any = None) -> Array:
    """The exponential e^x, of floating or complex x."""
    return unary(table.exp_p, x, INEXACT, accuracy)


def exp2(x: Any, *, accuracy: Any = None) -> Array:
    """2^x, of floating or complex x."""
    return unary(table.exp2_p, x, INEXACT, accuracy)


def expm1(x: Any, *, accuracy: Any = None) -> Array:
    """e^x - 1, exact also for small x."""
    return unary(table.expm1_p, x, INEXACT, accuracy)


def log(x: Any, *, accuracy: Any = None) -> Array:
    """The natural logarithm: NaN for negative reals, the principal branch for complex x."""
    return unary(table.log_p, x, INEXACT, accuracy)


def log1p(x: Any, *, accuracy: Any = None) -> Array:
    """log(1 + x), exact also for small x."""
    return unary(table.log1p_p, x, INEXACT, accuracy)


def logistic(x: Any, *, accuracy: Any = None) -> Array:
    """The logistic function 1 / (1 + e^-x)."""
    return unary(table.logistic_p, x, INEXACT, accuracy)


def sqrt(x: Any, *, accuracy: Any = None) -> Array:
    """The square root: NaN for negative reals, the principal branch for complex x."""
    return unary(table.sqrt_p, x, INEXACT, accuracy)


def rsqrt(x: Any, *, accuracy: Any = None) -> Array:
    """1 / √x."""
    return unary(table.rsqrt_p, x, INEXACT, accuracy)


def cbrt(x: Any, *, accuracy: Any = None) -> Array:
    """The real cube root, negative for negative x."""
    return unary(table.cbrt_p, x, FLOAT, accuracy)


# ---- trigonometric and hyperbolic functions ----------------------------------------------------------------------------


def sin(x: Any, *, accuracy: Any = None) -> Array:
    """The sine, in radians.

    >>> sin(0.0)
    Array(0., dtype=float32, weak_type=True)
    """
    return unary(table.sin_p, x, INEXACT, accuracy)


def cos(x: Any, *, accuracy: Any = None) -> Array:
    """The cosine, in radians."""
    return unary(table.cos_p, x, INEXACT, accuracy)


def tan(x: Any, *, accuracy: Any = None) -> Array:
    """The tangent, in radians."""
    return unary(table.tan_p, x, INEXACT, accuracy)


def asin(x: Any) -> Array:
    """The inverse sine, in [-π/2, π/2]; NaN for reals outside [-1, 1]."""
    return unary(table.asin_p, x, INEXACT)


def acos(x: Any) -> Array:
    """The inverse cosine, in [0, π]; NaN for reals outside [-1, 1]."""
    return unary(table.acos_p, x, INEXACT)


def atan(x: Any) -> Array:
    """The inverse tangent, in [-π/2, π/2]."""
    return unary(table.atan_p, x, INEXACT)


def atan2(x: Any, y: Any) -> Array:
    """The angle in [-π, π] of the point (y, x), by the signs of both; note that `x` is the vertical coordinate."""
    return binary(table.atan2_p, x, y, INEXACT)


def sinh(x: Any) -> Array:
    """The hyperbolic sine."""
    return unary(table.sinh_p, x, INEXACT)


def cosh(x: Any) -> Array:
    """The hyperbolic cosine."""
    return unary(table.cosh_p, x, INEXACT)


def tanh(x: Any, *, accuracy: Any = None) -> Array:
    """The hyperbolic tangent."""
    return unary(table.tanh_p, x, INEXACT, accuracy)


def asinh(x: Any) -> Array:
    """The inverse hyperbolic sine."""
    return unary(table.asinh_p, x, INEXACT)


def acosh(x: Any) -> Array:
    """The inverse hyperbolic cosine; NaN for reals below 1."""
    return unary(table.acosh_p, x, INEXACT)


def atanh(x: Any) -> Array:
    """The inverse hyperbolic tangent; NaN for reals outside [-1, 1]."""
    return unary(table.atanh_p, x, INEXACT)


# ---- arithmetic --------------------------------------------------------------------------------------------------------


def add(x: Any, y: Any) -> Array:
    """x + y, of numbers of one dtype.

    >>> add(1.0, 2.0)
    Array(3., dtype=float32, weak_type=True)
    >>> add(1, 2.0)
    Traceback (most recent call last):
      ...
    TypeError: lax.add requires arguments to have the same dtypes, got int32, float32 ...
    """
    return binary(add_p, x, y, NUMERIC)


def sub(x: Any, y: Any) -> Array:
    """x - y, of numbers of one dtype."""
    return binary(sub_p, x, y, NUMERIC)


def mul(x: Any, y: Any, *, out_dtype: Any = None) -> Array:
    """x · y, of numbers of one dtype; computed in `out_dtype` if it is given."""
    if out_dtype is not None:
        dtype = dtypes.canonicalize_dtype(out_dtype)
        x, y = as_array(x), as_array(y)
        weak = x.weak_type and y.weak_type
        x, y = convert(x, dtype, weak), convert(y, dtype, weak)
    return binary(mul_p, x, y, NUMERIC)


def div(x: Any, y: Any) -> Array:
    """x / y; integers truncate towards zero, and integer division by zero gives -1 (all bits set)."""
    return binary(table.div_p, x, y, NUMERIC)


def rem(x: Any, y: Any) -> Array:
    """The remainder of x / y truncated: of the sign of `x`. Integer x rem 0 is x."""
    return binary(table.rem_p, x, y, "iuf")


def neg(x: Any) -> Array:
    """-x; unsigned integers wrap around."""
    return unary(neg_p, x, NUMERIC)


def abs(x: Any) -> Array:
    """|x|, real also for complex x, of signed numbers. The absolute value of the least integer is itself."""
    return unary(table.abs_p, x, "ifc")


def sign(x: Any) -> Array:
    """-1, 0 or 1 for reals (NaN, and zeros with their signs, stay), x / |x| for complex x."""
    return unary(table.sign_p, x, NUMERIC)


def square(x: Any) -> Array:
    """x²."""
    return unary(table.square_p, x, NUMERIC)


def reciprocal(x: Any) -> Array:
    """1 / x, of floating or complex x."""
    x = as_array(x)
    if dtypes.kind(x.dtype) not in INEXACT:
        raise unaccepted(table.integer_pow_p, INEXACT, x)
    return table.integer_pow_p.bind(x, y=-1)


def integer_pow(x: Any, y: int) -> Array:
    """x^y for a Python integer `y`. Raises TypeError for negative `y` and integers `x`, or if `y` is not an integer."""
    x = as_array(x)
    if dtypes.kind(x.dtype) not in NUMERIC:
        raise unaccepted(table.integer_pow_p, NUMERIC, x)
    if not hasattr(y, "__index__"):
        raise TypeError(f"lax.integer_pow: the exponent must be an integer, got {y!r}; see lax.pow for other exponents")
    exponent = integer(y, "integer_pow: y")
    if exponent < 0 and dtypes.is_integer(x.dtype):
        raise TypeError(f"Integers cannot be raised to negative powers, got integer_pow({x.aval}, {exponent})")
    return table.integer_pow_p.bind(x, y=exponent)


def pow(x: Any, y: Any) -> Array:
    """x^y for floating or complex `x`, and `y` of the same dtype or of any integer dtype; 0^0 is 1.

    Integer exponents give real results for negative `x`; x^0 then has derivative 0 everywhere. Raises TypeError for other dtypes.

    >>> pow(2.0, 3)
    Array(8., dtype=float32, weak_type=True)
    """
    x, y = as_array(x), as_array(y)
    if dtypes.kind(x.dtype) not in INEXACT:
        raise unaccepted(table.pow_p, INEXACT, x)
    if x.dtype != y.dtype and not dtypes.is_integer(y.dtype):
        raise TypeError(
            f"lax.pow: the exponent must have the base's dtype or an integer one, got {dtypes.name(x.dtype)} and "
            f"{dtypes.name(y.dtype)}, at {user_line()}"
        )
    if x.shape != y.shape and x.shape and y.shape:
        check_shapes(table.pow_p, x, y)
    return current().process(table.pow_p, (x, y), {})


def mulhi(x: Any, y: Any, /) -> Array:
    """The high half of the product of two integers: their product shifted right by the width of the dtype."""
    return binary(table.mulhi_p, x, y, INTEGER)


# ---- extrema and rounding ----------------------------------------------------------------------------------------------


def max(x: Any, y: Any) -> Array:
    """The larger of `x` and `y`, NaN if one is; complex numbers compare by real, then imaginary parts."""
    return binary(table.max_p, x, y, table.max_p.kinds)


def min(x: Any, y: Any) -> Array:
    """The smaller of `x` and `y`, NaN if one is; complex numbers compare by real, then imaginary parts."""
    return binary(table.min_p, x, y, table.min_p.kinds)


def select(pred: Any, on_true: Any, on_false: Any) -> Array:
    """`on_true` where the boolean `pred` is true, `on_false` elsewhere: two of one shape and dtype, whose shape `pred` has if it is no scalar.

    >>> import numpy as np
    >>> select(True, np.float32([1, 2]), np.float32([3, 4])).tolist()
    [1.0, 2.0]

    Raises TypeError if dtypes or shapes differ; `jnp.where` broadcasts.
    """
    pred, on_true, on_false = as_array(pred), as_array(on_true), as_array(on_false)
    if on_true.shape != on_false.shape or pred.shape not in ((), on_true.shape):
        raise TypeError(
            f"lax.select: pred must be a scalar or have the one shape of both cases, got shapes {pred.shape}, {on_true.shape} and "
            f"{on_false.shape}, at {user_line()}; jnp.where broadcasts"
        )
    return selected(pred, on_true, on_false)


def clamp(min: Any, x: Any, max: Any) -> Array:
    """`x` kept between `min` and `max`, which are scalars or of the shape of `x`: min(max(x, min), max).

    >>> clamp(0.0, 3.0, 1.0)
    Array(1., dtype=float32, weak_type=True)
    """
    low, x, high = as_array(min), as_array(x), as_array(max)
    if not low.dtype == x.dtype == high.dtype:
        raise different_dtypes(table.clamp_p, low, x, high)
    if dtypes.kind(x.dtype) not in table.clamp_p.kinds:
        raise unaccepted(table.clamp_p, table.clamp_p.kinds, x)
    for name, bound in (("min", low), ("max", high)):
        if bound.shape not in ((), x.shape):
            raise TypeError(
                f"lax.clamp: {name} must be a scalar or have the shape {x.shape} of x; got {bound.shape}, at {user_line()}"
            )
    return current().process(table.clamp_p, (low, x, high), {})


def floor(x: Any) -> Array:
    """The largest integer not above x, as a float."""
    return unary(table.floor_p, x, FLOAT)


def ceil(x: Any) -> Array:
    """The smallest integer not below x, as a float."""
    return unary(table.ceil_p, x, FLOAT)


def round(x: Any, rounding_method: RoundingMethod = RoundingMethod.AWAY_FROM_ZERO) -> Array:
    """The nearest integer, as a float; halves go away from zero, or to the even one with `RoundingMethod.TO_NEAREST_EVEN`.

    >>> round(2.5), round(2.5, RoundingMethod.TO_NEAREST_EVEN)
    (Array(3., dtype=float32, weak_type=True), Array(2., dtype=float32, weak_type=True))
    """
    x = as_array(x)
    if dtypes.kind(x.dtype) not in FLOAT:
        raise unaccepted(table.round_p, FLOAT, x)
    return current().process(table.round_p, (x,), {"rounding_method": RoundingMethod(rounding_method)})


def nextafter(x1: Any, x2: Any) -> Array:
    """The number next to `x1` in its dtype, in the direction of `x2`."""
    return binary(table.nextafter_p, x1, x2, FLOAT)


# ---- comparison --------------------------------------------------------------------------------------------------------


def eq(x: Any, y: Any) -> Array:
    """Whether x = y, as booleans."""
    return binary(table.eq_p, x, y, table.eq_p.kinds)


def ne(x: Any, y: Any) -> Array:
    """Whether x ≠ y, as booleans."""
    return binary(table.ne_p, x, y, table.ne_p.kinds)


def lt(x: Any, y: Any) -> Array:
    """Whether x < y, as booleans. Complex numbers have no order (TypeError)."""
    return binary(table.lt_p, x, y, _ORDERED)


def le(x: Any, y: Any) -> Array:
    """Whether x ≤ y, as booleans. Complex numbers have no order (TypeError)."""
    return binary(table.le_p, x, y, _ORDERED)


def gt(x: Any, y: Any) -> Array:
    """Whether x > y, as booleans. Complex numbers have no order (TypeError)."""
    return binary(table.gt_p, x, y, _ORDERED)


def ge(x: Any, y: Any) -> Array:
    """Whether x ≥ y, as booleans. Complex numbers have no order (TypeError)."""
    return binary(table.ge_p, x, y, _ORDERED)


def is_finite(x: Any) -> Array:
    """Whether x is neither infinite nor NaN, as booleans."""
    return unary(table.is_finite_p, x, FLOAT)


# ---- bits --------------------------------------------------------------------------------------------------------------


def bitwise_and(x: Any, y: Any) -> Array:
    """The bits set in both integers, or the conjunction of booleans."""
    return binary(table.and_p, x, y, BITS)


def bitwise_or(x: Any, y: Any) -> Array:
    """The bits set in one of two integers, or the disjunction of booleans."""
    return binary(table.or_p, x, y, BITS)


def bitwise_xor(x: Any, y: Any) -> Array:
    """The bits that differ between two integers, or whether booleans differ."""
    return binary(table.xor_p, x, y, BITS)


def bitwise_not(x: Any) -> Array:
    """All bits of an integer flipped, or the negation of booleans."""
    return unary(table.not_p, x, BITS)


def shift_left(x: Any, y: Any) -> Array:
    """x · 2^y modulo the width; 0 if `y` is negative or not below the width."""
    return binary(table.shift_left_p, x, y, INTEGER)


def shift_right_logical(x: Any, y: Any) -> Array:
    """The bits of `x` moved right, filled with zeros; 0 if `y` is negative or not below the width."""
    return binary(table.shift_right_logical_p, x, y, INTEGER)


def shift_right_arithmetic(x: Any, y: Any) -> Array:
    """The bits of `x` moved right, filled with its sign; all sign if `y` is negative or not below the width."""
    return binary(table.shift_right_arithmetic_p, x, y, INTEGER)


def population_count(x: Any) -> Array:
    """The number of bits set, in the operand's dtype."""
    return unary(table.population_count_p, x, INTEGER)


def clz(x: Any) -> Array:
    """The number of leading zero bits, in the operand's dtype."""
    return unary(table.clz_p, x, INTEGER)


# ---- complex parts -----------------------------------------------------------------------------------------------------


def complex(x: Any, y: Any) -> Array:
    """x + y·1j, of two float32 or two float64 operands.

    >>> complex(1.0, 2.0)
    Array(1.+2.j, dtype=complex64, weak_type=True)
    """
    x, y = as_array(x), as_array(y)
    table.complex_p.type_of(x.aval.update(shape=()), y.aval.update(shape=()))
    if x.shape != y.shape and x.shape and y.shape:
        check_shapes(table.complex_p, x, y)
    return current().process(table.complex_p, (x, y), {})


def conj(x: Any) -> Array:
    """The complex conjugate, of complex x; float32 and float64 operands become complex."""
    x = as_array(x)
    if x.dtype in (dtypes.float32, dtypes.float64):
        return complex(x, like(0, x))
    table.conj_p.type_of(x.aval)
    return current().process(table.conj_p, (x,), {})


def real(x: Any) -> Array:
    """The real part of complex x. Raises TypeError for real dtypes."""
    x = as_array(x)
    table.real_p.type_of(x.aval)
    return current().process(table.real_p, (x,), {})


def imag(x: Any) -> Array:
    """The imaginary part of complex x. Raises TypeError for real dtypes."""
    x = as_array(x)
    table.imag_p.type_of(x.aval)
    return current().process(table.imag_p, (x,), {})


# ---- types -------------------------------------------------------------------------------------------------------------


def dtype(x: Any) -> DType:
    """The dtype of an array, a NumPy value, a Python scalar or a Python scalar type.

    >>> dtype(1.0)
    dtype('float32')
    """
    if isinstance(x, type):
        return dtypes.canonicalize_dtype(x)
    return dtypes.typing_of(x)[0]


__all__ = [
    "AccuracyMode", "Precision", "RoundingMethod", "Tolerance", "abs", "acos", "acosh", "add", "asin", "asinh",
    "atan", "atan2", "atanh", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "cbrt", "ceil", "clamp",
    "clz", "complex", "conj", "cos", "cosh", "div", "dtype", "eq", "exp", "exp2", "expm1", "floor", "ge", "gt",
    "imag", "integer_pow", "is_finite", "le", "log", "log1p", "logistic", "lt", "max", "min", "mul", "mulhi", "ne",
    "neg", "nextafter", "population_count", "pow", "real", "reciprocal", "rem", "round", "rsqrt", "select", "shift_left",
    "shift_right_arithmetic", "shift_right_logical", "sign", "sin", "sinh", "sqrt", "square", "sub", "tan", "tanh",
]  # fmt: skip
