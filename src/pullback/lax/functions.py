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
from pullback.lax.public import accepted, apply, binary, check_shapes, described, named, of_one_dtype, unary
from pullback.lax.selection import select as selected
from pullback.lax.shape import convert

_ORDERED = "biuf"  # the kinds that `<` compares


class RoundingMethod(enum.IntEnum):
    """What `round` does halfway between two integers.

    >>> from pullback import lax
    >>> [float(lax.round(2.5, method)) for method in lax.RoundingMethod]
    [3.0, 2.0]
    """

    AWAY_FROM_ZERO = 0
    TO_NEAREST_EVEN = 1


class AccuracyMode(enum.Enum):
    """Whether compiled elementwise functions are the fast ones or the most accurate ones: the argument `accuracy` of
    `exp`, `sin`, `tanh` and others. Source: StableHLO, "ResultAccuracy".

    >>> import pullback as pb
    >>> from pullback import lax
    >>> pb.jit(lambda x: lax.exp(x, accuracy=lax.AccuracyMode.HIGHEST))(0.0)
    Array(1., dtype=float32, weak_type=True)
    """

    HIGHEST = 1
    DEFAULT = 2


@dataclass(frozen=True)
class Tolerance:
    """Errors within which a compiled elementwise function must stay: absolute, relative, in units
    of the last place. An `accuracy` as `AccuracyMode`. ValueError for negative ones.

    >>> from pullback import lax
    >>> lax.exp(0.0, accuracy=lax.Tolerance(rtol=1e-6, ulps=2))
    Array(1., dtype=float32, weak_type=True)
    """

    atol: float = 0.0
    rtol: float = 0.0
    ulps: int = 0

    def __post_init__(self) -> None:
        if self.atol < 0 or self.rtol < 0 or self.ulps < 0:
            raise ValueError(f"tolerances must be non-negative, got {self}")


# ---- functions that are primitives one to one ----------------------------------------------------


def accurate(primitive: Any, doc: str, shows: str = "") -> Callable[..., Array]:
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

    also = "\nNotImplementedError where `accuracy` is no `AccuracyMode` or `Tolerance`."
    return named(function, name, described(primitive, kinds, 1, doc, shows, also))


# Each line has a sentence, and examples: expressions, and what they give. `described` says what they have in common.
# fmt: off

# exponentials, logarithms and roots
exp = accurate(table.exp_p, "The exponential e^x.",
               "lax.exp(jnp.array([0.0, 1.0, -jnp.inf])).round(4) -> Array([1.    , 2.7183, 0.    ], dtype=float32)")
exp2 = accurate(table.exp2_p, "2^x.", "lax.exp2(jnp.array([3.0, -1.0, 0.5])).round(4) -> Array([8.    , 0.5   , 1.4142], dtype=float32)")
expm1 = accurate(table.expm1_p, "e^x - 1, exact also for small x.",
                 "lax.expm1(1e-10) -> Array(1.e-10, dtype=float32, weak_type=True)\n"
                 "lax.exp(1e-10) - 1 -> Array(0., dtype=float32, weak_type=True)")
log = accurate(table.log_p, "The natural logarithm: NaN for negative reals, the principal branch for complex x.",
               "lax.log(jnp.array([1.0, 0.0, -1.0])) -> Array([  0., -inf,  nan], dtype=float32)\n"
               "lax.log(-1 + 0j) - 1j * jnp.pi -> Array(0.+0.j, dtype=complex64, weak_type=True)")
log2 = accurate(table.log2_p, "The logarithm to base 2; of the same domain as `log`.",
                "lax.log2(jnp.array([8.0, 0.25, 0.0])) -> Array([  3.,  -2., -inf], dtype=float32)")
log1p = accurate(table.log1p_p, "log(1 + x), exact also for small x.",
                 "lax.log1p(1e-10) -> Array(1.e-10, dtype=float32, weak_type=True)\n"
                 "lax.log(1 + 1e-10) -> Array(0., dtype=float32, weak_type=True)")
logistic = accurate(table.logistic_p, "The logistic function 1 / (1 + e^-x).",
                    "lax.logistic(jnp.array([0.0, 2.0, -jnp.inf])).round(4) -> Array([0.5   , 0.8808, 0.    ], dtype=float32)")
sqrt = accurate(table.sqrt_p, "The square root: NaN for negative reals, the principal branch for complex x.",
                "lax.sqrt(jnp.array([9.0, 0.25, -1.0])) -> Array([3. , 0.5, nan], dtype=float32)\n"
                "lax.sqrt(-1 + 0j) -> Array(0.+1.j, dtype=complex64, weak_type=True)")
rsqrt = accurate(table.rsqrt_p, "1 / √x.", "lax.rsqrt(jnp.array([4.0, 0.0, -1.0])) -> Array([0.5, inf, nan], dtype=float32)")
cbrt = accurate(table.cbrt_p, "The real cube root, negative for negative x.",
                "lax.cbrt(jnp.array([27.0, -8.0])).round(4) -> Array([ 3., -2.], dtype=float32)")

# trigonometric and hyperbolic functions
sin = accurate(table.sin_p, "The sine, in radians.",
               "lax.sin(jnp.array([0.0, jnp.pi / 6, jnp.pi / 2])).round(4) -> Array([0. , 0.5, 1. ], dtype=float32)")
cos = accurate(table.cos_p, "The cosine, in radians.",
               "lax.cos(jnp.array([0.0, jnp.pi / 3, jnp.pi])).round(4) -> Array([ 1. ,  0.5, -1. ], dtype=float32)")
tan = accurate(table.tan_p, "The tangent, in radians.",
               "lax.tan(jnp.array([0.0, jnp.pi / 4, -jnp.pi / 4])).round(4) -> Array([ 0.,  1., -1.], dtype=float32)")
asin = unary(table.asin_p, "The inverse sine, in [-π/2, π/2]; NaN for reals outside [-1, 1].",
             "lax.asin(jnp.array([0.5, -1.0, 2.0])).round(4) -> Array([ 0.5236, -1.5708,     nan], dtype=float32)")
acos = unary(table.acos_p, "The inverse cosine, in [0, π]; NaN for reals outside [-1, 1].",
             "lax.acos(jnp.array([0.5, -1.0, 2.0])).round(4) -> Array([1.0472, 3.1416,    nan], dtype=float32)")
atan = unary(table.atan_p, "The inverse tangent, in [-π/2, π/2].",
             "lax.atan(jnp.array([1.0, jnp.inf])).round(4) -> Array([0.7854, 1.5708], dtype=float32)")
atan2 = binary(table.atan2_p, "The angle in [-π, π] of the point (y, x), by the signs of both; note that `x` is the vertical coordinate.",
               "lax.atan2(jnp.array([1.0, 0.0, -1.0]), jnp.array([0.0, -1.0, -1.0])).round(4) -> Array([ 1.5708,  3.1416, -2.3562], dtype=float32)")
sinh = unary(table.sinh_p, "The hyperbolic sine, (e^x - e^-x) / 2.",
             "lax.sinh(jnp.array([0.0, 1.0, -1.0])).round(4) -> Array([ 0.    ,  1.1752, -1.1752], dtype=float32)")
cosh = unary(table.cosh_p, "The hyperbolic cosine, (e^x + e^-x) / 2.",
             "lax.cosh(jnp.array([0.0, 1.0, -1.0])).round(4) -> Array([1.    , 1.5431, 1.5431], dtype=float32)")
tanh = accurate(table.tanh_p, "The hyperbolic tangent.",
                "lax.tanh(jnp.array([0.0, 1.0, -jnp.inf])).round(4) -> Array([ 0.    ,  0.7616, -1.    ], dtype=float32)")
asinh = unary(table.asinh_p, "The inverse hyperbolic sine.",
              "lax.asinh(lax.sinh(jnp.array([0.0, 2.0, -3.0]))).round(4) -> Array([ 0.,  2., -3.], dtype=float32)")
acosh = unary(table.acosh_p, "The inverse hyperbolic cosine, not negative; NaN for reals below 1.",
              "lax.acosh(jnp.array([1.0, 2.0, 0.0])).round(4) -> Array([0.   , 1.317,   nan], dtype=float32)")
atanh = unary(table.atanh_p, "The inverse hyperbolic tangent; NaN for reals outside [-1, 1].",
              "lax.atanh(jnp.array([0.0, 0.5, 1.0])).round(4) -> Array([0.    , 0.5493,    inf], dtype=float32)")

# arithmetic
add = binary(add_p, "x + y, of numbers.", "lax.add(jnp.array([1, 2]), 10) -> Array([11, 12], dtype=int32)", kinds=NUMERIC)
sub = binary(sub_p, "x - y, of numbers.",
             "lax.sub(jnp.array([1, 2]), jnp.array([10, 20])) -> Array([ -9, -18], dtype=int32)", kinds=NUMERIC)
div = binary(table.div_p, "x / y; integers truncate towards zero, and integer division by zero gives -1 (all bits set).",
             "lax.div(jnp.array([-7, 7]), jnp.array([2, 0])) -> Array([-3, -1], dtype=int32)\n"
             "lax.div(-7.0, 2.0) -> Array(-3.5, dtype=float32, weak_type=True)")
rem = binary(table.rem_p, "The remainder of x / y truncated: of the sign of `x`. Integer x rem 0 is x.",
             "lax.rem(jnp.array([-7, 7, 7]), jnp.array([3, -3, 0])) -> Array([-1,  1,  7], dtype=int32)\n"
             "lax.rem(5.5, 2.0) -> Array(1.5, dtype=float32, weak_type=True)")
neg = unary(neg_p, "-x; unsigned integers wrap around.",
            "lax.neg(jnp.array([1.5, -2.0])) -> Array([-1.5,  2. ], dtype=float32)\n"
            "lax.neg(jnp.uint8(1)) -> Array(255, dtype=uint8)")
abs = unary(table.abs_p, "|x|, real also for complex x, of signed numbers. The absolute value of the least integer is itself.",
            "lax.abs(3 + 4j) -> Array(5., dtype=float32, weak_type=True)\n"
            "lax.abs(jnp.int8([-127, -128])) -> Array([ 127, -128], dtype=int8)", kinds="ifc")
sign = unary(table.sign_p, "-1, 0 or 1 for reals (NaN, and zeros with their signs, stay), x / |x| for complex x.",
             "lax.sign(jnp.array([-2.0, -0.0, 3.0])) -> Array([-1., -0.,  1.], dtype=float32)\n"
             "lax.sign(3 + 4j) -> Array(0.6+0.8j, dtype=complex64, weak_type=True)")
square = unary(table.square_p, "x².",
               "lax.square(jnp.array([-3, 4])) -> Array([ 9, 16], dtype=int32)\n"
               "lax.square(1j) -> Array(-1.+0.j, dtype=complex64, weak_type=True)")
one_minus_square = unary(table.one_minus_square_p, "1 - x², exact also near ±1: (1 - x)(1 + x).",
                         "lax.one_minus_square(jnp.array([0.0, 0.5, -1.0])) -> Array([1.  , 0.75, 0.  ], dtype=float32)")

# extrema and rounding
max = binary(table.max_p, "The larger of `x` and `y`, NaN if one is; complex numbers compare by real, then imaginary parts.",
             "lax.max(jnp.array([1.0, 5.0, jnp.nan]), 3.0) -> Array([ 3.,  5., nan], dtype=float32)")
min = binary(table.min_p, "The smaller of `x` and `y`, NaN if one is; complex numbers compare by real, then imaginary parts.",
             "lax.min(jnp.array([1.0, 5.0, jnp.nan]), 3.0) -> Array([ 1.,  3., nan], dtype=float32)")
floor = unary(table.floor_p, "The largest integer not above x, as a float.",
              "lax.floor(jnp.array([2.5, -2.5])) -> Array([ 2., -3.], dtype=float32)")
ceil = unary(table.ceil_p, "The smallest integer not below x, as a float.",
             "lax.ceil(jnp.array([2.5, -2.5])) -> Array([ 3., -2.], dtype=float32)")

# comparison
eq = binary(table.eq_p, "Whether x = y.", "lax.eq(jnp.array([1, 2, 3]), jnp.array([3, 2, 1])) -> Array([False,  True, False], dtype=bool)")
ne = binary(table.ne_p, "Whether x ≠ y; NaN differs from itself.",
            "lax.ne(jnp.array([1.0, jnp.nan]), jnp.array([1.0, jnp.nan])) -> Array([False,  True], dtype=bool)")
lt = binary(table.lt_p, "Whether x < y. Complex numbers have no order.",
            "lax.lt(jnp.array([1, 2, 3]), 2) -> Array([ True, False, False], dtype=bool)", kinds=_ORDERED)
le = binary(table.le_p, "Whether x ≤ y. Complex numbers have no order.",
            "lax.le(jnp.array([1, 2, 3]), 2) -> Array([ True,  True, False], dtype=bool)", kinds=_ORDERED)
gt = binary(table.gt_p, "Whether x > y. Complex numbers have no order.",
            "lax.gt(jnp.array([1, 2, 3]), 2) -> Array([False, False,  True], dtype=bool)", kinds=_ORDERED)
ge = binary(table.ge_p, "Whether x ≥ y. Complex numbers have no order.",
            "lax.ge(jnp.array([1, 2, 3]), 2) -> Array([False,  True,  True], dtype=bool)", kinds=_ORDERED)
is_finite = unary(table.is_finite_p, "Whether x is neither infinite nor NaN.",
                  "lax.is_finite(jnp.array([1.0, -jnp.inf, jnp.nan])) -> Array([ True, False, False], dtype=bool)", kinds=FLOAT)

# bits
bitwise_and = binary(table.and_p, "The bits set in both integers, or the conjunction of booleans.",
                     "bin(lax.bitwise_and(0b1100, 0b1010)) -> '0b1000'", name="bitwise_and")
bitwise_or = binary(table.or_p, "The bits set in one of two integers, or the disjunction of booleans.",
                    "bin(lax.bitwise_or(0b1100, 0b1010)) -> '0b1110'", name="bitwise_or")
bitwise_xor = binary(table.xor_p, "The bits that differ between two integers, or whether booleans differ.",
                     "bin(lax.bitwise_xor(0b1100, 0b1010)) -> '0b110'", name="bitwise_xor")
bitwise_not = unary(table.not_p, "All bits of an integer flipped, or the negation of booleans.",
                    "lax.bitwise_not(jnp.int8([0, 5])) -> Array([-1, -6], dtype=int8)\n"
                    "lax.bitwise_not(jnp.uint8([0, 5])) -> Array([255, 250], dtype=uint8)", name="bitwise_not")
shift_left = binary(table.shift_left_p, "x · 2^y modulo the width; 0 if `y` is negative or not below the width.",
                    "lax.shift_left(jnp.uint8([1, 129, 1]), jnp.uint8([3, 1, 8])) -> Array([8, 2, 0], dtype=uint8)")
shift_right_logical = binary(table.shift_right_logical_p,
                             "The bits of `x` moved right, filled with zeros; 0 if `y` is negative or not below the width.",
                             "lax.shift_right_logical(jnp.int8([16, -16]), jnp.int8(2)) -> Array([ 4, 60], dtype=int8)")
shift_right_arithmetic = binary(table.shift_right_arithmetic_p,
                                "The bits of `x` moved right, filled with its sign; all sign if `y` is negative or not below the width.",
                                "lax.shift_right_arithmetic(jnp.int8([16, -16]), jnp.int8(2)) -> Array([ 4, -4], dtype=int8)")
population_count = unary(table.population_count_p, "The number of bits set.",
                         "lax.population_count(jnp.int8([0, 7, -1])) -> Array([0, 3, 8], dtype=int8)")
clz = unary(table.clz_p, "The number of leading zero bits.", "lax.clz(jnp.uint8([0, 1, 255])) -> Array([8, 7, 0], dtype=uint8)")

# complex parts
real = unary(table.real_p, "The real part of complex x.", "lax.real(3 + 4j) -> Array(3., dtype=float32, weak_type=True)")
imag = unary(table.imag_p, "The imaginary part of complex x.", "lax.imag(3 + 4j) -> Array(4., dtype=float32, weak_type=True)")
# fmt: on


# ---- functions that take or give something besides -----------------------------------------------


def mul(x: Any, y: Any, *, out_dtype: Any = None) -> Array:
    """x · y, of numbers of one dtype and one shape, up to scalars and axes of length 1, whose shape and dtype the result
    has. With `out_dtype` the operands are converted to it first, and may differ in dtype.

    Raises TypeError for other operands. Source: StableHLO, `multiply`.

    >>> from pullback import lax
    >>> import pullback.numpy as jnp
    >>> lax.mul(jnp.int8([100, 3]), jnp.int8([2, 2]))
    Array([-56,   6], dtype=int8)
    >>> lax.mul(jnp.int8([100, 3]), jnp.int8([2, 2]), out_dtype="int16")
    Array([200,   6], dtype=int16)
    """
    if out_dtype is not None:
        dtype = dtypes.canonicalize_dtype(out_dtype)
        x, y = as_array(x), as_array(y)
        weak = x.weak_type and y.weak_type
        x, y = convert(x, dtype, weak), convert(y, dtype, weak)
    return _product(x, y)


_product = binary(mul_p, "", kinds=NUMERIC)


def reciprocal(x: Any) -> Array:
    """1 / x, of floating or complex `x`, whose shape and dtype the result has. TypeError for other dtypes.

    >>> from pullback import lax
    >>> import pullback.numpy as jnp
    >>> lax.reciprocal(jnp.array([4.0, 0.0, -jnp.inf]))
    Array([ 0.25,   inf, -0.  ], dtype=float32)
    """
    return table.integer_pow_p.bind(accepted("reciprocal", INEXACT, x), y=-1)


def integer_pow(x: Any, y: int) -> Array:
    """x^y for a Python integer `y`, of the shape and dtype of `x` (integer, floating or complex); x^0 is 1.

    Made of products, so that it is differentiable at 0 and for negative `x`. Raises TypeError for
    negative `y` and integers `x`, or if `y` is not an integer.

    >>> import pullback as pb
    >>> from pullback import lax
    >>> lax.integer_pow(-2.0, -3)
    Array(-0.125, dtype=float32, weak_type=True)
    >>> pb.grad(lambda x: lax.integer_pow(x, 3))(-2.0)
    Array(12., dtype=float32, weak_type=True)
    """
    x = accepted("integer_pow", NUMERIC, x)
    if not hasattr(y, "__index__"):
        raise TypeError(f"lax.integer_pow: the exponent must be an integer, got {y!r}; see lax.pow for other exponents")
    exponent = integer(y, "integer_pow: y")
    if exponent < 0 and dtypes.is_integer(x.dtype):
        raise TypeError(f"Integers cannot be raised to negative powers, got integer_pow({x.aval}, {exponent})")
    return table.integer_pow_p.bind(x, y=exponent)


def pow(x: Any, y: Any) -> Array:
    """x^y for floating or complex `x`, and `y` of the same dtype or of any integer dtype; 0^0 is 1.

    Integer exponents give real results for negative `x`; x^0 then has derivative 0 everywhere. The
    result has the dtype of `x`, and the one shape of both, up to scalars and axes of length 1. Raises
    TypeError for other operands. Source: StableHLO, `power`.

    >>> from pullback import lax
    >>> lax.pow(-2.0, 3), lax.pow(-2.0, 0.5)
    (Array(-8., dtype=float32, weak_type=True), Array(nan, dtype=float32, weak_type=True))
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
    dtype.

    `x` and `y` are of one integer dtype and one shape, up to scalars and axes of length 1; the result
    has that shape and dtype. TypeError for others.

    >>> from pullback import lax
    >>> import pullback.numpy as jnp
    >>> lax.mulhi(jnp.uint8([200, 3]), jnp.uint8([200, 3]))  # 200² = 156 · 256 + 64
    Array([156,   0], dtype=uint8)
    """
    return apply(table.mulhi_p, x, y)


def select(pred: Any, on_true: Any, on_false: Any) -> Array:
    """`on_true` where the boolean `pred` is true, `on_false` elsewhere: two of one shape and dtype,
    whose shape `pred` has if it is no scalar, and which the result has.

    Raises TypeError if dtypes or shapes differ; `jnp.where` broadcasts. The case that is not taken
    passes no derivative. Source: StableHLO, `select`.

    >>> from pullback import lax
    >>> import pullback.numpy as jnp
    >>> lax.select(jnp.array([True, False]), jnp.array([1, 2]), jnp.array([30, 40]))
    Array([ 1, 40], dtype=int32)
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

    All three are of one dtype, which the result has, with the shape of `x`. Raises TypeError for other
    operands. Source: StableHLO, `clamp`.

    >>> from pullback import lax
    >>> import pullback.numpy as jnp
    >>> lax.clamp(0.0, jnp.array([-1.0, 0.5, 3.0]), 1.0)
    Array([0. , 0.5, 1. ], dtype=float32)
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
    `RoundingMethod.TO_NEAREST_EVEN`. Of the shape and floating dtype of `x`; its derivative is 0.

    Raises TypeError for other dtypes, ValueError for other methods. Source: StableHLO,
    `round_nearest_afz` and `round_nearest_even`.

    >>> from pullback import lax
    >>> import pullback.numpy as jnp
    >>> x = jnp.array([0.5, 1.5, -2.5])
    >>> lax.round(x), lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN)
    (Array([ 1.,  2., -3.], dtype=float32), Array([ 0.,  2., -2.], dtype=float32))
    """
    return table.round_p.bind(accepted("round", FLOAT, x), rounding_method=RoundingMethod(rounding_method))


def nextafter(x1: Any, x2: Any) -> Array:
    """The number next to `x1` in its dtype, in the direction of `x2`: `x2` itself if they are equal.

    `x1` and `x2` are of one floating dtype and one shape, up to scalars and axes of length 1; the
    result has that shape and dtype. TypeError for others. Its derivative by `x1` is 1, by `x2` 0.
    Source: IEEE 754-2019, 5.3.1 (`nextUp`, `nextDown`).

    >>> from pullback import lax
    >>> import pullback.numpy as jnp
    >>> lax.nextafter(jnp.float32(1), jnp.float32(2)) - 1 == jnp.finfo("float32").eps
    Array(True, dtype=bool)
    """
    return apply(table.nextafter_p, x1, x2)


def complex(x: Any, y: Any) -> Array:
    """x + y·1j, of two float32 or two float64 operands of one shape, up to scalars and axes of length 1.

    The result is complex64 or complex128, of that shape. Raises TypeError for other operands. Source:
    StableHLO, `complex`.

    >>> from pullback import lax
    >>> import pullback.numpy as jnp
    >>> lax.complex(jnp.array([1.0, 2.0]), -1.0)
    Array([1.-1.j, 2.-1.j], dtype=complex64)
    """
    x, y = as_array(x), as_array(y)
    table.complex_p.type_of(x.aval.update(shape=()), y.aval.update(shape=()))
    check_shapes("complex", x, y)
    return table.complex_p.bind(x, y)


def conj(x: Any) -> Array:
    """The complex conjugate, of the shape and dtype of complex `x`; float32 and float64 operands become complex.

    TypeError for other dtypes.

    >>> from pullback import lax
    >>> lax.conj(3 + 4j)
    Array(3.-4.j, dtype=complex64, weak_type=True)
    >>> lax.conj(3.0)
    Array(3.+0.j, dtype=complex64, weak_type=True)
    """
    x = as_array(x)
    if x.dtype in (dtypes.float32, dtypes.float64):
        return complex(x, like(0, x))
    return table.conj_p.bind(accepted("conj", COMPLEX, x))


def dtype(x: Any) -> DType:
    """The dtype that an array, a NumPy value, a Python scalar or a Python scalar type has as an Array's.

    64-bit types are narrowed, unless `enable_x64` is set. Raises TypeError for lists and what else has none.

    >>> import numpy as np
    >>> from pullback import lax
    >>> lax.dtype(1.0), lax.dtype(np.int64(1)), lax.dtype(bool)
    (dtype('float32'), dtype('int32'), dtype('bool'))
    """
    if isinstance(x, type):
        return dtypes.canonicalize_dtype(x)
    return dtypes.typing_of(x)[0]


__all__ = [
    "AccuracyMode", "RoundingMethod", "Tolerance", "abs", "acos", "acosh", "add", "asin", "asinh",
    "atan", "atan2", "atanh", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "cbrt", "ceil", "clamp",
    "clz", "complex", "conj", "cos", "cosh", "div", "dtype", "eq", "exp", "exp2", "expm1", "floor", "ge", "gt",
    "imag", "integer_pow", "is_finite", "le", "log", "log1p", "log2", "logistic", "lt", "max", "min", "mul", "mulhi", "ne",
    "neg", "nextafter", "one_minus_square", "population_count", "pow", "real", "reciprocal", "rem", "round", "rsqrt", "select", "shift_left",
    "shift_right_arithmetic", "shift_right_logical", "sign", "sin", "sinh", "sqrt", "square", "sub", "tan", "tanh",
]  # fmt: skip
