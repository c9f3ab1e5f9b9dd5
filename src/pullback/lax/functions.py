"""The elementwise functions of `pullback.lax`: one for each primitive of the elementwise table.

They are strict where `pullback.numpy` is lenient: see `lax.public`. Most are made from their
primitive's declaration, which says what kinds of dtypes they take; the others follow below.
`accuracy` (an `AccuracyMode` or `Tolerance`) is accepted where compiled code has a choice;
evaluation is as exact as NumPy's.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.dtypes import DType
from pullback.core.errors import user_line
from pullback.core.trace import current
from pullback.core.types import integer
from pullback.lax import elementwise as table
from pullback.lax.family import COMPLEX, FLOAT, INEXACT, NUMERIC, add_p, like, mul_p, neg_p, sub_p
from pullback.lax.public import accepted, apply, binary, check_shapes, named, of_one_dtype, unary
from pullback.lax.selection import select as selected
from pullback.lax.shape import convert

_ORDERED = "biuf"  # the kinds that `<` compares


class RoundingMethod(enum.IntEnum):
    """What `round` does halfway between two integers."""

    AWAY_FROM_ZERO = 0
    TO_NEAREST_EVEN = 1


class AccuracyMode(enum.Enum):
    """Whether compiled elementwise functions are the fast ones or the most accurate ones."""

    HIGHEST = 1
    DEFAULT = 2


@dataclass(frozen=True)
class Tolerance:
    """Errors within which a compiled elementwise function must stay: absolute, relative, in units
    of the last place."""

    atol: float = 0.0
    rtol: float = 0.0
    ulps: int = 0

    def __post_init__(self) -> None:
        if self.atol < 0 or self.rtol < 0 or self.ulps < 0:
            raise ValueError(f"tolerances must be non-negative, got {self}")


# ---- functions that are primitives one to one ----------------------------------------------------


def accurate(primitive: Any, doc: str) -> Callable[..., Array]:
    """As `unary`, of a primitive of whose compiled form there are faster and more accurate ones.

    >>> accurate(table.exp_p, "The exponential e^x.")(0.0, accuracy=AccuracyMode.HIGHEST)
    Array(1., dtype=float32, weak_type=True)
    """
    name, kinds = primitive.name, primitive.kinds

    def function(x: Any, *, accuracy: Any = None) -> Array:
        if not isinstance(x, Array) or dtypes.kind(x.dtype) not in kinds:
            x = accepted(name, kinds, x)
        if accuracy is not None and not isinstance(accuracy, (AccuracyMode, Tolerance)):
            raise NotImplementedError(f"lax.{name}: accuracy must be an AccuracyMode or a Tolerance, got {accuracy!r}")
        return current().process(primitive, (x,), {})

    return named(function, name, doc)


# exponentials, logarithms and roots
exp = accurate(table.exp_p, "The exponential e^x, of floating or complex x.")
exp2 = accurate(table.exp2_p, "2^x, of floating or complex x.")
expm1 = accurate(table.expm1_p, "e^x - 1, exact also for small x.")
log = accurate(table.log_p, "The natural logarithm: NaN for negative reals, the principal branch for complex x.")
log2 = accurate(table.log2_p, "The logarithm to base 2; of the same domain as `log`.")
log1p = accurate(table.log1p_p, "log(1 + x), exact also for small x.")
logistic = accurate(table.logistic_p, "The logistic function 1 / (1 + e^-x).")
sqrt = accurate(table.sqrt_p, "The square root: NaN for negative reals, the principal branch for complex x.")
rsqrt = accurate(table.rsqrt_p, "1 / √x.")
cbrt = accurate(table.cbrt_p, "The real cube root, negative for negative x.")

# trigonometric and hyperbolic functions
sin = accurate(table.sin_p, "The sine, in radians.\n\n>>> sin(0.0)\nArray(0., dtype=float32, weak_type=True)\n")
cos = accurate(table.cos_p, "The cosine, in radians.")
tan = accurate(table.tan_p, "The tangent, in radians.")
asin = unary(table.asin_p, "The inverse sine, in [-π/2, π/2]; NaN for reals outside [-1, 1].")
acos = unary(table.acos_p, "The inverse cosine, in [0, π]; NaN for reals outside [-1, 1].")
atan = unary(table.atan_p, "The inverse tangent, in [-π/2, π/2].")
atan2 = binary(
    table.atan2_p,
    "The angle in [-π, π] of the point (y, x), by the signs of both; note that `x` is the vertical coordinate.",
)
sinh = unary(table.sinh_p, "The hyperbolic sine.")
cosh = unary(table.cosh_p, "The hyperbolic cosine.")
tanh = accurate(table.tanh_p, "The hyperbolic tangent.")
asinh = unary(table.asinh_p, "The inverse hyperbolic sine.")
acosh = unary(table.acosh_p, "The inverse hyperbolic cosine; NaN for reals below 1.")
atanh = unary(table.atanh_p, "The inverse hyperbolic tangent; NaN for reals outside [-1, 1].")

# arithmetic
add = binary(
    add_p,
    """x + y, of numbers of one dtype.

    >>> add(1.0, 2.0)
    Array(3., dtype=float32, weak_type=True)
    >>> add(1, 2.0)
    Traceback (most recent call last):
      ...
    TypeError: lax.add requires arguments to have the same dtypes, got int32, float32 ...
    """,
    NUMERIC,
)
sub = binary(sub_p, "x - y, of numbers of one dtype.")
div = binary(
    table.div_p, "x / y; integers truncate towards zero, and integer division by zero gives -1 (all bits set)."
)
rem = binary(table.rem_p, "The remainder of x / y truncated: of the sign of `x`. Integer x rem 0 is x.")
neg = unary(neg_p, "-x; unsigned integers wrap around.")
abs = unary(
    table.abs_p,
    "|x|, real also for complex x, of signed numbers. The absolute value of the least integer is itself.",
    "ifc",
)
sign = unary(table.sign_p, "-1, 0 or 1 for reals (NaN, and zeros with their signs, stay), x / |x| for complex x.")
square = unary(table.square_p, "x².")
one_minus_square = unary(table.one_minus_square_p, "1 - x², exact also near ±1: (1 - x)(1 + x).")

# extrema and rounding
max = binary(
    table.max_p, "The larger of `x` and `y`, NaN if one is; complex numbers compare by real, then imaginary parts."
)
min = binary(
    table.min_p, "The smaller of `x` and `y`, NaN if one is; complex numbers compare by real, then imaginary parts."
)
floor = unary(table.floor_p, "The largest integer not above x, as a float.")
ceil = unary(table.ceil_p, "The smallest integer not below x, as a float.")

# comparison
eq = binary(table.eq_p, "Whether x = y, as booleans.")
ne = binary(table.ne_p, "Whether x ≠ y, as booleans.")
lt = binary(table.lt_p, "Whether x < y, as booleans. Complex numbers have no order (TypeError).", _ORDERED)
le = binary(table.le_p, "Whether x ≤ y, as booleans. Complex numbers have no order (TypeError).", _ORDERED)
gt = binary(table.gt_p, "Whether x > y, as booleans. Complex numbers have no order (TypeError).", _ORDERED)
ge = binary(table.ge_p, "Whether x ≥ y, as booleans. Complex numbers have no order (TypeError).", _ORDERED)
is_finite = unary(table.is_finite_p, "Whether x is neither infinite nor NaN, as booleans.", FLOAT)

# bits
bitwise_and = binary(table.and_p, "The bits set in both integers, or the conjunction of booleans.", name="bitwise_and")
bitwise_or = binary(
    table.or_p, "The bits set in one of two integers, or the disjunction of booleans.", name="bitwise_or"
)
bitwise_xor = binary(
    table.xor_p, "The bits that differ between two integers, or whether booleans differ.", name="bitwise_xor"
)
bitwise_not = unary(table.not_p, "All bits of an integer flipped, or the negation of booleans.", name="bitwise_not")
shift_left = binary(table.shift_left_p, "x · 2^y modulo the width; 0 if `y` is negative or not below the width.")
shift_right_logical = binary(
    table.shift_right_logical_p,
    "The bits of `x` moved right, filled with zeros; 0 if `y` is negative or not below the width.",
)
shift_right_arithmetic = binary(
    table.shift_right_arithmetic_p,
    "The bits of `x` moved right, filled with its sign; all sign if `y` is negative or not below the width.",
)
population_count = unary(table.population_count_p, "The number of bits set, in the operand's dtype.")
clz = unary(table.clz_p, "The number of leading zero bits, in the operand's dtype.")

# complex parts
real = unary(table.real_p, "The real part of complex x. Raises TypeError for real dtypes.")
imag = unary(table.imag_p, "The imaginary part of complex x. Raises TypeError for real dtypes.")


# ---- functions that take or give something besides -----------------------------------------------


def mul(x: Any, y: Any, *, out_dtype: Any = None) -> Array:
    """x · y, of numbers of one dtype; computed in `out_dtype` if it is given."""
    if out_dtype is not None:
        dtype = dtypes.canonicalize_dtype(out_dtype)
        x, y = as_array(x), as_array(y)
        weak = x.weak_type and y.weak_type
        x, y = convert(x, dtype, weak), convert(y, dtype, weak)
    return _product(x, y)


_product = binary(mul_p, "", NUMERIC)


def reciprocal(x: Any) -> Array:
    """1 / x, of floating or complex x."""
    return table.integer_pow_p.bind(accepted("reciprocal", INEXACT, x), y=-1)


def integer_pow(x: Any, y: int) -> Array:
    """x^y for a Python integer `y`. Raises TypeError for negative `y` and integers `x`, or if `y`
    is not an integer."""
    x = accepted("integer_pow", NUMERIC, x)
    if not hasattr(y, "__index__"):
        raise TypeError(f"lax.integer_pow: the exponent must be an integer, got {y!r}; see lax.pow for other exponents")
    exponent = integer(y, "integer_pow: y")
    if exponent < 0 and dtypes.is_integer(x.dtype):
        raise TypeError(f"Integers cannot be raised to negative powers, got integer_pow({x.aval}, {exponent})")
    return table.integer_pow_p.bind(x, y=exponent)


def pow(x: Any, y: Any) -> Array:
    """x^y for floating or complex `x`, and `y` of the same dtype or of any integer dtype; 0^0 is 1.

    Integer exponents give real results for negative `x`; x^0 then has derivative 0 everywhere.
    Raises TypeError for other dtypes.

    >>> pow(2.0, 3)
    Array(8., dtype=float32, weak_type=True)
    """
    x, y = accepted("pow", INEXACT, x), as_array(y)
    if x.dtype != y.dtype and not dtypes.is_integer(y.dtype):
        raise TypeError(
            f"lax.pow: the exponent must have the base's dtype or an integer one, got {dtypes.name(x.dtype)} and "
            f"{dtypes.name(y.dtype)}, at {user_line()}"
        )
    check_shapes("pow", x, y)
    return current().process(table.pow_p, (x, y), {})


def mulhi(x: Any, y: Any, /) -> Array:
    """The high half of the product of two integers: their product shifted right by the width of the
    dtype."""
    return apply(table.mulhi_p, x, y)


def select(pred: Any, on_true: Any, on_false: Any) -> Array:
    """`on_true` where the boolean `pred` is true, `on_false` elsewhere: two of one shape and dtype,
    whose shape `pred` has if it is no scalar.

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
    """`x` kept between `min` and `max`, which are scalars or of the shape of `x`: min(max(x, min),
    max).

    >>> clamp(0.0, 3.0, 1.0)
    Array(1., dtype=float32, weak_type=True)
    """
    low, x, high = of_one_dtype("clamp", table.clamp_p.kinds, min, x, max)
    for name, bound in (("min", low), ("max", high)):
        if bound.shape not in ((), x.shape):
            raise TypeError(
                f"lax.clamp: {name} must be a scalar or have the shape {x.shape} of x; got {bound.shape}, at {user_line()}"
            )
    return current().process(table.clamp_p, (low, x, high), {})


def round(x: Any, rounding_method: RoundingMethod = RoundingMethod.AWAY_FROM_ZERO) -> Array:
    """The nearest integer, as a float; halves go away from zero, or to the even one with
    `RoundingMethod.TO_NEAREST_EVEN`.

    >>> round(2.5), round(2.5, RoundingMethod.TO_NEAREST_EVEN)
    (Array(3., dtype=float32, weak_type=True), Array(2., dtype=float32, weak_type=True))
    """
    return table.round_p.bind(accepted("round", FLOAT, x), rounding_method=RoundingMethod(rounding_method))


def nextafter(x1: Any, x2: Any) -> Array:
    """The number next to `x1` in its dtype, in the direction of `x2`."""
    return apply(table.nextafter_p, x1, x2)


def complex(x: Any, y: Any) -> Array:
    """x + y·1j, of two float32 or two float64 operands.

    >>> complex(1.0, 2.0)
    Array(1.+2.j, dtype=complex64, weak_type=True)
    """
    x, y = as_array(x), as_array(y)
    table.complex_p.type_of(x.aval.update(shape=()), y.aval.update(shape=()))
    check_shapes("complex", x, y)
    return table.complex_p.bind(x, y)


def conj(x: Any) -> Array:
    """The complex conjugate, of complex x; float32 and float64 operands become complex."""
    x = as_array(x)
    if x.dtype in (dtypes.float32, dtypes.float64):
        return complex(x, like(0, x))
    return table.conj_p.bind(accepted("conj", COMPLEX, x))


def dtype(x: Any) -> DType:
    """The dtype of an array, a NumPy value, a Python scalar or a Python scalar type.

    >>> dtype(1.0)
    dtype('float32')
    """
    if isinstance(x, type):
        return dtypes.canonicalize_dtype(x)
    return dtypes.typing_of(x)[0]


#: For doctest, which looks for functions where they are written.
__test__ = {"add": add, "sin": sin}

__all__ = [
    "AccuracyMode", "RoundingMethod", "Tolerance", "abs", "acos", "acosh", "add", "asin", "asinh",
    "atan", "atan2", "atanh", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "cbrt", "ceil", "clamp",
    "clz", "complex", "conj", "cos", "cosh", "div", "dtype", "eq", "exp", "exp2", "expm1", "floor", "ge", "gt",
    "imag", "integer_pow", "is_finite", "le", "log", "log1p", "log2", "logistic", "lt", "max", "min", "mul", "mulhi", "ne",
    "neg", "nextafter", "one_minus_square", "population_count", "pow", "real", "reciprocal", "rem", "round", "rsqrt", "select", "shift_left",
    "shift_right_arithmetic", "shift_right_logical", "sign", "sin", "sinh", "sqrt", "square", "sub", "tan", "tanh",
]  # fmt: skip
