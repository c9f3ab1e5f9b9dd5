"""Elementwise functions with NumPy's names, promotion and broadcasting: the regular ones.

The regular ones are lines of a table: a primitive, its name, one sentence, an example, and
`inexact=True` if integers give floats. Below the table stand parts, signs, rounding, logic and classification, in
terms of these; what NumPy defines by cases is in `numpy.arithmetic`. Operands are Arrays, NumPy
values or Python scalars; lists are refused with TypeError. Derivatives stay finite at the points
where a formula's branches would make NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray, concrete
from pullback.core.dtypes import DType
from pullback.core.errors import user_line
from pullback.core.trace import EVAL, current, without_floating_point_errors
from pullback.core.types import integer
from pullback.lax import elementwise as e
from pullback.lax.bits import bitcast_convert_type
from pullback.lax.family import like
from pullback.lax.public import examples
from pullback.lax.selection import select
from pullback.lax.shape import broadcast_to, convert
from pullback.numpy import promotion
from pullback.numpy.planned import planned
from pullback.numpy.promotion import array_like, binary, broadcast_checked, here, inexact, promote_inexact, unary

# ---- the table -----------------------------------------------------------------------------------


# fmt: off
add         = binary("add",         e.add_p, "Sum, elementwise; of booleans, their disjunction.",
                     "jnp.add(jnp.array([[1], [2]]), jnp.array([10, 20])).tolist() -> [[11, 21], [12, 22]]\n"
                     "jnp.add(True, True) -> Array(True, dtype=bool)")
subtract    = binary("subtract",    e.sub_p, "Difference, elementwise.",
                     "jnp.subtract(jnp.array([5, 6]), 2.5) -> Array([2.5, 3.5], dtype=float32, weak_type=True)")
multiply    = binary("multiply",    e.mul_p, "Product, elementwise; of booleans, their conjunction.",
                     "jnp.multiply(jnp.array([1, 2, 3]), jnp.array([1, 2, 3])) -> Array([1, 4, 9], dtype=int32)")
divide      = binary("divide",      e.div_p, "Quotient, elementwise; integers give floats.",
                     "jnp.divide(jnp.array([1, -1, 0]), jnp.array([4, 0, 0])) -> Array([0.25, -inf,  nan], dtype=float32)", inexact=True)
true_divide = divide
negative    = unary("negative",     e.neg_p, "Negation, elementwise; unsigned integers wrap around.",
                    "jnp.negative(jnp.array([1.5, -2.0])) -> Array([-1.5,  2. ], dtype=float32)\n"
                    "jnp.negative(jnp.uint8(1)) -> Array(255, dtype=uint8)")
maximum     = binary("maximum",     e.max_p, "The larger, elementwise; NaN if either is. Ties share the derivative. Complex: lexicographic.",
                     "jnp.maximum(jnp.array([1.0, 5.0, jnp.nan]), 3.0) -> Array([ 3.,  5., nan], dtype=float32)\n"
                     "pb.grad(jnp.maximum)(2.0, 2.0) -> Array(0.5, dtype=float32, weak_type=True)")
minimum     = binary("minimum",     e.min_p, "The smaller, elementwise; NaN if either is. Ties share the derivative. Complex: lexicographic.",
                     "jnp.minimum(jnp.array([1.0, 5.0, jnp.nan]), 3.0) -> Array([ 1.,  3., nan], dtype=float32)")
nextafter   = binary("nextafter",   e.nextafter_p, "The float next to the first operand towards the second; differentiated as the first operand.",
                     "jnp.nextafter(1.0, 2.0) - 1 == jnp.finfo(jnp.float32).eps -> Array(True, dtype=bool)", inexact=True)

exp      = unary("exp",     e.exp_p,   "e to the x, elementwise.",
                 "jnp.exp(jnp.array([0.0, 1.0, -jnp.inf])).round(4) -> Array([1.    , 2.7183, 0.    ], dtype=float32)\n"
                 "abs(jnp.exp(1j * jnp.pi) + 1) < 1e-6 -> Array(True, dtype=bool)", inexact=True)
exp2     = unary("exp2",    e.exp2_p,  "2 to the x, elementwise.",
                 "jnp.exp2(jnp.array([3, -1])) -> Array([8. , 0.5], dtype=float32)", inexact=True)
expm1    = unary("expm1",   e.expm1_p, "e to the x, less 1, without cancellation near 0.",
                 "jnp.expm1(1e-10) -> Array(1.e-10, dtype=float32, weak_type=True)\n"
                 "jnp.exp(1e-10) - 1 -> Array(0., dtype=float32, weak_type=True)", inexact=True)
log      = unary("log",     e.log_p,   "Natural logarithm, elementwise; NaN for negative reals, -inf at 0.",
                 "jnp.log(jnp.array([1, 0, -1])) -> Array([  0., -inf,  nan], dtype=float32)\n"
                 "jnp.log(-1 + 0j).round(4) -> Array(0.+3.1416j, dtype=complex64, weak_type=True)", inexact=True)
log1p    = unary("log1p",   e.log1p_p, "log(1 + x), without cancellation near 0.",
                 "jnp.log1p(1e-10) -> Array(1.e-10, dtype=float32, weak_type=True)\n"
                 "jnp.log(1 + 1e-10) -> Array(0., dtype=float32, weak_type=True)", inexact=True)
sqrt     = unary("sqrt",    e.sqrt_p,  "Square root, elementwise; NaN for negative reals.",
                 "jnp.sqrt(jnp.array([9, 2, -1])).round(4) -> Array([3.    , 1.4142,    nan], dtype=float32)\n"
                 "jnp.sqrt(-1 + 0j) -> Array(0.+1.j, dtype=complex64, weak_type=True)", inexact=True)
cbrt     = unary("cbrt",    e.cbrt_p,  "Real cube root, elementwise, negative for negative x.",
                 "jnp.cbrt(jnp.array([27, -8])).round(4) -> Array([ 3., -2.], dtype=float32)", inexact=True)
sin      = unary("sin",     e.sin_p,   "Sine, elementwise, of radians.",
                 "jnp.sin(jnp.array([0, jnp.pi / 6, jnp.pi / 2])).round(4) -> Array([0. , 0.5, 1. ], dtype=float32)\n"
                 "pb.grad(jnp.sin)(0.0) -> Array(1., dtype=float32, weak_type=True)", inexact=True)
cos      = unary("cos",     e.cos_p,   "Cosine, elementwise, of radians.",
                 "jnp.cos(jnp.array([0, jnp.pi / 3, jnp.pi])).round(4) -> Array([ 1. ,  0.5, -1. ], dtype=float32)", inexact=True)
tan      = unary("tan",     e.tan_p,   "Tangent, elementwise, of radians.",
                 "jnp.tan(jnp.array([0, jnp.pi / 4, -jnp.pi / 4])).round(4) -> Array([ 0.,  1., -1.], dtype=float32)", inexact=True)
arcsin   = unary("arcsin",  e.asin_p,  "Inverse sine, elementwise, in [-π/2, π/2]; NaN for reals outside [-1, 1].",
                 "jnp.arcsin(jnp.array([0.5, -1.0, 2.0])).round(4) -> Array([ 0.5236, -1.5708,     nan], dtype=float32)", inexact=True)
arccos   = unary("arccos",  e.acos_p,  "Inverse cosine, elementwise, in [0, π]; NaN for reals outside [-1, 1].",
                 "jnp.arccos(jnp.array([0.5, -1.0, 2.0])).round(4) -> Array([1.0472, 3.1416,    nan], dtype=float32)", inexact=True)
arctan   = unary("arctan",  e.atan_p,  "Inverse tangent, elementwise, in [-π/2, π/2].",
                 "jnp.arctan(jnp.array([1, -jnp.inf])).round(4) -> Array([ 0.7854, -1.5708], dtype=float32)", inexact=True)
sinh     = unary("sinh",    e.sinh_p,  "Hyperbolic sine, elementwise: (e^x - e^-x) / 2.",
                 "jnp.sinh(jnp.array([0, 1, -1])).round(4) -> Array([ 0.    ,  1.1752, -1.1752], dtype=float32)", inexact=True)
cosh     = unary("cosh",    e.cosh_p,  "Hyperbolic cosine, elementwise: (e^x + e^-x) / 2.",
                 "jnp.cosh(jnp.array([0, 1, -1])).round(4) -> Array([1.    , 1.5431, 1.5431], dtype=float32)", inexact=True)
tanh     = unary("tanh",    e.tanh_p,  "Hyperbolic tangent, elementwise, in [-1, 1].",
                 "jnp.tanh(jnp.array([0, 1, -jnp.inf])).round(4) -> Array([ 0.    ,  0.7616, -1.    ], dtype=float32)", inexact=True)
arcsinh  = unary("arcsinh", e.asinh_p, "Inverse hyperbolic sine, elementwise.",
                 "jnp.arcsinh(jnp.sinh(jnp.array([0.0, 2.0, -3.0]))).round(4) -> Array([ 0.,  2., -3.], dtype=float32)", inexact=True)
arccosh  = unary("arccosh", e.acosh_p, "Inverse hyperbolic cosine, elementwise, not negative; NaN for reals below 1.",
                 "jnp.arccosh(jnp.array([1, 2, 0])).round(4) -> Array([0.   , 1.317,   nan], dtype=float32)", inexact=True)
arctanh  = unary("arctanh", e.atanh_p, "Inverse hyperbolic tangent, elementwise; NaN for reals outside [-1, 1].",
                 "jnp.arctanh(jnp.array([0.0, 0.5, 1.0])).round(4) -> Array([0.    , 0.5493,    inf], dtype=float32)", inexact=True)
asin, acos, atan, asinh, acosh, atanh = arcsin, arccos, arctan, arcsinh, arccosh, arctanh

equal         = binary("equal",         e.eq_p, "Whether x == y, elementwise; NaN equals nothing.",
                       "jnp.equal(jnp.array([1.0, 2.0, jnp.nan]), jnp.array([1, 3, jnp.nan])) -> Array([ True, False, False], dtype=bool)")
not_equal     = binary("not_equal",     e.ne_p, "Whether x != y, elementwise; NaN differs from everything.",
                       "jnp.not_equal(jnp.array([1.0, 2.0, jnp.nan]), jnp.array([1, 3, jnp.nan])) -> Array([False,  True,  True], dtype=bool)")
less          = binary("less",          e.lt_p, "Whether x < y, elementwise. Complex: lexicographic.",
                       "jnp.less(jnp.array([1, 2, 3]), 2) -> Array([ True, False, False], dtype=bool)")
less_equal    = binary("less_equal",    e.le_p, "Whether x <= y, elementwise. Complex: lexicographic.",
                       "jnp.less_equal(jnp.array([1, 2, 3]), 2) -> Array([ True,  True, False], dtype=bool)")
greater       = binary("greater",       e.gt_p, "Whether x > y, elementwise. Complex: lexicographic.",
                       "jnp.greater(jnp.array([1, 2, 3]), 2) -> Array([False, False,  True], dtype=bool)")
greater_equal = binary("greater_equal", e.ge_p, "Whether x >= y, elementwise. Complex: lexicographic.",
                       "jnp.greater_equal(jnp.array([1, 2, 3]), 2) -> Array([False,  True,  True], dtype=bool)")

bitwise_and = binary("bitwise_and", e.and_p, "Bitwise conjunction of integers or booleans.",
                     "bin(jnp.bitwise_and(0b1100, 0b1010)) -> '0b1000'")
bitwise_or  = binary("bitwise_or",  e.or_p,  "Bitwise disjunction of integers or booleans.",
                     "bin(jnp.bitwise_or(0b1100, 0b1010)) -> '0b1110'")
bitwise_xor = binary("bitwise_xor", e.xor_p, "Bitwise exclusive disjunction of integers or booleans.",
                     "bin(jnp.bitwise_xor(0b1100, 0b1010)) -> '0b110'")
bitwise_not = unary("bitwise_not",  e.not_p, "Bitwise complement of integers, -1 - x if they are signed, or negation of booleans.",
                    "jnp.bitwise_not(jnp.int8([0, 5])) -> Array([-1, -6], dtype=int8)\n"
                    "jnp.bitwise_not(jnp.uint8([0, 5])) -> Array([255, 250], dtype=uint8)")
bitwise_invert = invert = bitwise_not
# fmt: on


def chosen(condition: Array, if_true: Any, if_false: Any, x: Array) -> Array:
    """Elementwise choice between Arrays, or numbers taken in the type of `x`; dead branches pass no
    derivative."""
    if not isinstance(if_true, Array):
        if_true = like(if_true, x)
    if not isinstance(if_false, Array):
        if_false = like(if_false, x)
    return select(condition, if_true, if_false)


def refuse_complex(name: str, *arrays: Array, error: type[Exception] = TypeError) -> None:
    for x in arrays:
        if dtypes.is_complex(x.dtype):
            raise error(
                f"{name} is not defined for complex numbers, got {x.aval} at {user_line()}; take abs, real or imag first"
            )


def is_complex(x: Array) -> bool:
    return dtypes.is_complex(x.dtype)


# ---- parts, signs, rounding ----------------------------------------------------------------------


def absolute(x: Any, /) -> Array:
    """|x|, elementwise, of the shape of `x`: real for complex input; unsigned integers and booleans are their own.

    Otherwise the dtype is that of `x`, and the least integer its own absolute value. The derivative
    at 0 is 1, of complex numbers 0. TypeError for lists. Source: `numpy.absolute`.

    >>> import pullback.numpy as jnp
    >>> jnp.absolute(jnp.array([-1.5, 2.0]))
    Array([1.5, 2. ], dtype=float32)
    >>> jnp.abs(3 + 4j)
    Array(5., dtype=float32, weak_type=True)
    """
    x = array_like(x, "absolute")
    return x if dtypes.kind(x.dtype) in "ub" else e.abs_p.bind(x)


abs = absolute


def fabs(x: Any, /) -> Array:
    """|x| as floats, elementwise, of the shape of `x`. TypeError for complex input, and for lists. Source: `numpy.fabs`.

    >>> import pullback.numpy as jnp
    >>> jnp.fabs(jnp.array([-1, 2]))
    Array([1., 2.], dtype=float32)
    """
    x = inexact(x, "fabs")
    refuse_complex("fabs", x)
    return e.abs_p.bind(x)


def positive(x: Any, /) -> Array:
    """`x` itself, as an Array of its shape and dtype. TypeError for lists. Source: `numpy.positive`.

    >>> import pullback.numpy as jnp
    >>> jnp.positive(jnp.array([-1, 2]))
    Array([-1,  2], dtype=int32)
    """
    return array_like(x, "positive")


def sign(x: Any, /) -> Array:
    """-1, 0 or 1 by the sign of `x` (NaN for NaN, 0.0 for -0.0); x/|x| for complex `x`.

    Elementwise, of the shape and dtype of `x`; the derivative is 0 for reals. TypeError for booleans
    and lists. Source: `numpy.sign`.

    >>> import pullback.numpy as jnp
    >>> jnp.sign(jnp.array([-2.0, -0.0, 3.0, jnp.nan]))
    Array([-1.,  0.,  1., nan], dtype=float32)
    >>> jnp.sign(3 + 4j)
    Array(0.6+0.8j, dtype=complex64, weak_type=True)
    """
    x = array_like(x, "sign")
    if x.__class__ is ConcreteArray and x.dtype in _NUMPYS_FLOATS and current() is EVAL and not EVAL.checking:
        # NumPy has no -0.0 here, either.
        return concrete(without_floating_point_errors(np.sign, x._value), x.weak_type)
    if x.dtype == dtypes.bool_:
        raise here(TypeError, "sign does not accept dtype bool")
    out = e.sign_p.bind(x)
    return chosen(equal(x, 0), 0, out, x) if dtypes.is_float(x.dtype) else out


_NUMPYS_FLOATS = frozenset([dtypes.float16, dtypes.float32, dtypes.float64])


def square(x: Any, /) -> Array:
    """x·x, elementwise, of the shape and dtype of `x`; of booleans as integers. TypeError for lists. Source: `numpy.square`.

    >>> import pullback.numpy as jnp
    >>> jnp.square(jnp.array([-3, 4]))
    Array([ 9, 16], dtype=int32)
    >>> jnp.square(1j)
    Array(-1.+0.j, dtype=complex64, weak_type=True)
    """
    x = array_like(x, "square")
    if x.dtype == dtypes.bool_:
        x = convert(x, dtypes.int32)
    return current().process(e.square_p, (x,), {})


def reciprocal(x: Any, /) -> Array:
    """1/x, elementwise, of the shape and dtype of `x`; integers and booleans give floats. TypeError for lists.

    NumPy's `reciprocal` of integers is an integer, which is nearly always 0.

    >>> import pullback.numpy as jnp
    >>> jnp.reciprocal(jnp.array([4, 0, -2]))
    Array([ 0.25,   inf, -0.5 ], dtype=float32)
    """
    return divide(1, inexact(x, "reciprocal"))


def conjugate(x: Any, /) -> Array:
    """Complex conjugate, elementwise, of the shape and dtype of `x`; real input is its own. TypeError for lists.
    Source: `numpy.conjugate`.

    >>> import pullback.numpy as jnp
    >>> jnp.conjugate(jnp.array([3 + 4j, 2]))
    Array([3.-4.j, 2.-0.j], dtype=complex64)
    >>> jnp.conj(2)
    Array(2, dtype=int32, weak_type=True)
    """
    x = array_like(x, "conjugate")
    return e.conj_p.bind(x) if is_complex(x) else x


conj = conjugate


def real(val: Any, /) -> Array:
    """Real part, elementwise, of the shape of `val`; real input is its own. TypeError for lists. Source: `numpy.real`.

    Of complex numbers it has the dtype of their parts.

    >>> import pullback.numpy as jnp
    >>> jnp.real(jnp.array([3 + 4j, 2]))
    Array([3., 2.], dtype=float32)
    """
    val = array_like(val, "real")
    return e.real_p.bind(val) if is_complex(val) else val


def imag(val: Any, /) -> Array:
    """Imaginary part, elementwise, of the shape of `val`; zeros of its dtype for real input. TypeError for lists.
    Source: `numpy.imag`.

    >>> import pullback.numpy as jnp
    >>> jnp.imag(jnp.array([3 + 4j, 2]))
    Array([4., 0.], dtype=float32)
    >>> jnp.imag(jnp.array([1, 2]))
    Array([0, 0], dtype=int32)
    """
    val = array_like(val, "imag")
    return e.imag_p.bind(val) if is_complex(val) else broadcast_to(like(0, val), val.shape)


def angle(z: Any, deg: bool = False) -> Array:
    """The argument of complex numbers in (-π, π], or, with `deg`, in degrees.

    Elementwise, of the shape of `z` and the dtype of its parts; of real numbers, integers as floats,
    it is 0 or π. TypeError for lists. Source: `numpy.angle`.

    >>> import pullback.numpy as jnp
    >>> jnp.angle(jnp.array([1j, -1, 1 - 1j]), deg=True)
    Array([ 90., 180., -45.], dtype=float32)
    """
    z = _in_default_float(array_like(z, "angle"))
    out = arctan2(imag(z), real(z))
    return rad2deg(out) if deg else out


def arctan2(x1: Any, x2: Any, /) -> Array:
    """The angle of the point (x2, x1), elementwise, in [-π, π]. Complex: -i·log((x2 + i·x1)/√(x1² +
    x2²)).

    Shapes broadcast; the result is of their floating or complex type. TypeError for lists and shapes
    that do not broadcast (ValueError, if they differ in rank). Source: `numpy.arctan2`; C99, F.9.1.4,
    for signed zeros.

    >>> import pullback.numpy as jnp
    >>> jnp.arctan2(jnp.array([1.0, 0.0, -1.0]), jnp.array([0.0, -1.0, -1.0])).round(4)
    Array([ 1.5708,  3.1416, -2.3562], dtype=float32)
    """
    y, x = broadcast_checked("arctan2", x1, x2, inexact=True)
    if not is_complex(y):
        return e.atan2_p.bind(y, x)
    direction = divide(add(x, multiply(y, 1j)), sqrt(add(square(x), square(y))))
    return multiply(log(direction), -1j)


atan2 = arctan2


def _scaled(name: str, function: Callable[[Any], Array], factor: float, doc: str) -> Callable[[Any], Array]:
    def scaled(x: Any, /) -> Array:
        return multiply(function(inexact(x, name, weak="scalars")), factor)

    return promotion.named(scaled, name, doc)


_ANGLES = """Angles in {}, elementwise, of the shape of `x` and its floating dtype; integers and booleans
give floats. Complex numbers are scaled as well. TypeError for lists. Source: `numpy.{}`.

"""


_DEGREES = examples(
    "jnp.degrees(jnp.array([0.0, jnp.pi / 6, -jnp.pi])).round(3) -> Array([   0.,   30., -180.], dtype=float32)"
)
degrees = _scaled("degrees", positive, 180 / math.pi, _ANGLES.format("degrees from radians", "degrees") + _DEGREES)

_RADIANS = examples("jnp.radians(jnp.array([0, 30, 180])).round(4) -> Array([0.    , 0.5236, 3.1416], dtype=float32)")
radians = _scaled("radians", positive, math.pi / 180, _ANGLES.format("radians from degrees", "radians") + _RADIANS)

rad2deg, deg2rad = degrees, radians


def _in_default_float(x: Array) -> Array:
    """`x`, integers and booleans in the default floating type."""
    return x if dtypes.is_inexact(x.dtype) else convert(x, dtypes.default_dtype(float))


def _rounding(name: str, primitive: Any, doc: str, shows: str) -> Callable[[Any], Array]:
    def function(x: Any, /) -> Array:
        x = array_like(x, name)
        return primitive.bind(x) if dtypes.kind(x.dtype) not in "iub" else x

    rules = (
        "Of the shape and dtype of `x`; integers and booleans are their own. The derivative is 0.\n"
        f"TypeError for complex numbers and lists. Source: `numpy.{name}`."
    )
    return promotion.named(function, name, f"{doc}\n\n{rules}\n\n{examples(shows)}")


floor = _rounding(
    "floor", e.floor_p, "The largest integer not above x, elementwise, as a float.",
    "jnp.floor(jnp.array([2.5, -2.5])) -> Array([ 2., -3.], dtype=float32)",
)  # fmt: skip

ceil = _rounding(
    "ceil", e.ceil_p, "The smallest integer not below x, elementwise, as a float.",
    "jnp.ceil(jnp.array([2.5, -2.5])) -> Array([ 3., -2.], dtype=float32)",
)  # fmt: skip


def trunc(x: Any) -> Array:
    """`x` without its fraction, elementwise, of the shape and dtype of `x`; integers and booleans are their own.

    The derivative is 0. TypeError for complex numbers and lists. Source: `numpy.trunc`.

    >>> import pullback.numpy as jnp
    >>> jnp.trunc(jnp.array([2.5, -2.5]))
    Array([ 2., -2.], dtype=float32)
    """
    x = array_like(x, "trunc")
    if not dtypes.is_inexact(x.dtype):
        return x
    refuse_complex("trunc", x)
    return chosen(less(x, 0), ceil(x), floor(x), x)


def rint(x: Any, /) -> Array:
    """The nearest integer as a float, ties to the even one; of complex numbers in both parts.

    Elementwise, of the shape of `x`, and its dtype if that is floating or complex. The derivative
    is 0. TypeError for lists. Source: `numpy.rint`; IEEE 754-2019, 4.3.1 (roundTiesToEven).

    >>> import pullback.numpy as jnp
    >>> jnp.rint(jnp.array([0.5, 1.5, -1.7]))
    Array([ 0.,  2., -2.], dtype=float32)
    """
    x = _in_default_float(array_like(x, "rint"))
    if is_complex(x):
        return e.complex_p.bind(rint(real(x)), rint(imag(x)))
    return e.round_p.bind(x, rounding_method=1)


def round(a: Any, decimals: int = 0, out: None = None) -> Array:
    """`a` to the given number of decimals, ties to even; negative `decimals` round before the point.

    Elementwise, of the shape and dtype of `a`. Integers are their own (NotImplementedError for negative
    decimals). Raises ValueError for booleans, TypeError for lists and `decimals` that is no integer.
    Source: `numpy.round`.

    >>> import pullback.numpy as jnp
    >>> jnp.round(jnp.array([0.125, 2.5, -1234.5]), 2)
    Array([ 1.2000e-01,  2.5000e+00, -1.2345e+03], dtype=float32)
    >>> jnp.round(1234.5, -2)
    Array(1200., dtype=float32, weak_type=True)
    """
    no_out("round", out)
    a = array_like(a, "round")
    decimals = integer(decimals, "round: decimals")
    if dtypes.is_integer(a.dtype):
        if decimals < 0:
            raise here(NotImplementedError, f"round of integers to decimals={decimals} < 0", ": convert to float first")
        return a
    if a.dtype == dtypes.bool_:
        raise here(ValueError, "round is not defined for booleans")
    if decimals == 0:
        return rint(a)
    if dtypes.is_complex(a.dtype):
        # Part by part: a complex number times a real one mixes infinities into the other part.
        return e.complex_p.bind(round(e.real_p.bind(a), decimals), round(e.imag_p.bind(a), decimals))
    # 16-bit floats cannot hold the scaled values.
    wide = convert(a, dtypes.float32) if a.dtype.itemsize < 4 else a
    if not -39 < decimals < 39 and math.fabs(decimals) > math.log10(float(dtypes.finfo(wide.dtype).max)):
        # The power of ten would be infinite (10**39 is the first, in 32 bits). No number has so many decimals; nor so many digits before them.
        return a if decimals > 0 else multiply(a, math.nan)
    factor = 10.0 ** math.fabs(decimals)
    result = (
        divide(rint(multiply(wide, factor)), factor) if decimals > 0 else multiply(rint(divide(wide, factor)), factor)
    )
    return convert(result, a.dtype, a.weak_type and not a.shape)


around = round


def no_out(name: str, out: Any) -> None:
    """Refuse NumPy's `out` argument: arrays are immutable."""
    if out is not None:
        raise NotImplementedError(
            f"The 'out' argument to pullback.numpy.{name} is not supported: arrays are immutable."
        )


@planned
def clip(arr: Any = None, /, min: Any = None, max: Any = None) -> Array:
    """`arr` limited to [min, max], elementwise; a bound that is None is none.

    Shapes broadcast, dtypes are promoted to one. Where `min` is above `max` the result is `max`. The
    derivative is that of `arr` inside, of the bound outside, shared where they are equal. ValueError
    for complex numbers and without `arr`, TypeError for lists. Source: `numpy.clip`.

    >>> import pullback.numpy as jnp
    >>> jnp.clip(jnp.arange(5), 1, 3)
    Array([1, 1, 2, 3, 3], dtype=int32)
    >>> jnp.clip(jnp.array([-1.0, 2.0]), max=jnp.array([0.0, 1.0]))
    Array([-1.,  1.], dtype=float32)
    """
    if arr is None:
        raise here(ValueError, "clip: at least one argument, the array, is required")
    arr = array_like(arr, "clip")
    bounds = [array_like(b, "clip") for b in (min, max) if b is not None]
    refuse_complex("clip", arr, *bounds, error=ValueError)
    if min is not None:
        arr = maximum(min, arr)
    return arr if max is None else minimum(max, arr)


def signbit(x: Any, /) -> Array:
    """Whether the sign bit is set: negative numbers, -0.0 and negative NaNs. Elementwise, booleans of the
    shape of `x`.

    ValueError for complex numbers, and for keys; TypeError for lists. Source: `numpy.signbit`.

    >>> import pullback.numpy as jnp
    >>> jnp.signbit(jnp.array([-1.0, -0.0, 0.0]))
    Array([ True,  True, False], dtype=bool)
    """
    x = array_like(x, "signbit")
    refuse_complex("signbit", x, error=ValueError)
    if dtypes.is_key(x.dtype):
        raise here(ValueError, f"signbit: {x.aval} has no sign: typed keys are opaque")
    if not dtypes.is_float(x.dtype):
        return less(x, 0) if dtypes.is_integer(x.dtype) else not_equal(x, x)
    return less(bitcast_convert_type(x, signed_bits(x.dtype)), 0)


def signed_bits(dtype: DType) -> DType:
    return np.dtype(f"i{dtype.itemsize}")


# ---- logic and classification --------------------------------------------------------------------


def _logical(name: str, primitive: Any, doc: str, shows: str) -> Callable[[Any, Any], Array]:
    combined = binary(name, primitive, doc)
    rules = (
        "Operands are Arrays, NumPy values or scalars of any dtypes but keys (TypeError, as for lists and shapes that do\n"
        "not broadcast); NaN is not zero. The result is boolean, of the shape to which they broadcast. "
        f"Source: `numpy.{name}`."
    )

    def function(x: Any, y: Any, /) -> Array:
        if x.__class__ is y.__class__ is ConcreteArray and x._value.dtype is y._value.dtype is dtypes.bool_:
            return combined(x, y)
        return combined(promotion.truth(x, name), promotion.truth(y, name))

    return promotion.named(function, name, f"{doc}\n\n{rules}\n\n{examples(shows)}")


logical_and = _logical(
    "logical_and", e.and_p, "Whether both are nonzero, elementwise.",
    "jnp.logical_and(jnp.array([0, 0, 2, 3]), jnp.array([0.0, 1.0, 0.0, 0.5])) -> Array([False, False, False,  True], dtype=bool)",
)  # fmt: skip

logical_or = _logical(
    "logical_or", e.or_p, "Whether either is nonzero, elementwise.",
    "jnp.logical_or(jnp.array([0, 0, 2, 3]), jnp.array([0.0, 1.0, 0.0, 0.5])) -> Array([False,  True,  True,  True], dtype=bool)",
)  # fmt: skip

logical_xor = _logical(
    "logical_xor", e.xor_p, "Whether exactly one is nonzero, elementwise.",
    "jnp.logical_xor(jnp.array([0, 0, 2, 3]), jnp.array([0.0, 1.0, 0.0, 0.5])) -> Array([False,  True,  True, False], dtype=bool)",
)  # fmt: skip


def logical_not(x: Any, /) -> Array:
    """Whether `x` is zero, elementwise: booleans of the shape of `x`. TypeError for keys and lists. Source: `numpy.logical_not`.

    >>> import pullback.numpy as jnp
    >>> jnp.logical_not(jnp.array([0.0, 0.5, jnp.nan]))
    Array([ True, False, False], dtype=bool)
    """
    return e.not_p.bind(promotion.truth(x, "logical_not"))


def isfinite(x: Any, /) -> Array:
    """Whether `x` is neither infinite nor NaN, in both parts if complex: booleans of the shape of `x`.

    Integers and booleans are finite. TypeError for lists. Source: `numpy.isfinite`.

    >>> import pullback.numpy as jnp
    >>> jnp.isfinite(jnp.array([1.0, -jnp.inf, jnp.nan]))
    Array([ True, False, False], dtype=bool)
    """
    x = array_like(x, "isfinite")
    return e.is_finite_p.bind(x) if dtypes.is_inexact(x.dtype) else _everywhere(True, x)


def isinf(x: Any, /) -> Array:
    """Whether `x`, or a part of complex `x`, is infinite: booleans of the shape of `x`. TypeError for lists.
    Source: `numpy.isinf`.

    >>> import pullback.numpy as jnp
    >>> jnp.isinf(jnp.array([1.0, -jnp.inf, jnp.nan]))
    Array([False,  True, False], dtype=bool)
    """
    x = array_like(x, "isinf")
    if is_complex(x):
        return logical_or(isinf(real(x)), isinf(imag(x)))
    return equal(absolute(x), math.inf) if dtypes.is_inexact(x.dtype) else _everywhere(False, x)


def isnan(x: Any, /) -> Array:
    """Whether `x`, or a part of complex `x`, is not a number: booleans of the shape of `x`. TypeError for lists.
    Source: `numpy.isnan`.

    >>> import pullback.numpy as jnp
    >>> jnp.isnan(jnp.array([1.0, -jnp.inf, jnp.nan]))
    Array([False, False,  True], dtype=bool)
    """
    x = array_like(x, "isnan")
    return e.ne_p.bind(x, x)


def isposinf(x: Any, /, out: None = None) -> Array:
    """Whether `x` is +inf, elementwise: booleans of the shape of `x`.

    ValueError for complex numbers, TypeError for lists; `out` must be None (NotImplementedError).
    Source: `numpy.isposinf`.

    >>> import pullback.numpy as jnp
    >>> jnp.isposinf(jnp.array([jnp.inf, -jnp.inf, jnp.nan]))
    Array([ True, False, False], dtype=bool)
    """
    return _is_infinity("isposinf", x, math.inf, out)


def isneginf(x: Any, /, out: None = None) -> Array:
    """Whether `x` is -inf, elementwise: booleans of the shape of `x`.

    ValueError for complex numbers, TypeError for lists; `out` must be None (NotImplementedError).
    Source: `numpy.isneginf`.

    >>> import pullback.numpy as jnp
    >>> jnp.isneginf(jnp.array([jnp.inf, -jnp.inf, jnp.nan]))
    Array([False,  True, False], dtype=bool)
    """
    return _is_infinity("isneginf", x, -math.inf, out)


def _is_infinity(name: str, x: Any, value: float, out: None) -> Array:
    no_out(name, out)
    x = array_like(x, name)
    refuse_complex(name, x, error=ValueError)
    return equal(x, value) if dtypes.is_float(x.dtype) else _everywhere(False, x)


def _everywhere(value: bool, x: Array) -> Array:
    return broadcast_to(concrete(np.bool_(value)), x.shape)


def iscomplex(x: Any) -> Array:
    """Whether the imaginary part is not zero: booleans of the shape of `x`. TypeError for lists. Source: `numpy.iscomplex`.

    The values decide; `iscomplexobj` looks at the type.

    >>> import pullback.numpy as jnp
    >>> jnp.iscomplex(jnp.array([1 + 1j, 2 + 0j]))
    Array([ True, False], dtype=bool)
    """
    return not_equal(imag(array_like(x, "iscomplex")), 0)


def isreal(x: Any) -> Array:
    """Whether the imaginary part is zero: booleans of the shape of `x`. TypeError for lists. Source: `numpy.isreal`.

    The values decide; `isrealobj` looks at the type.

    >>> import pullback.numpy as jnp
    >>> jnp.isreal(jnp.array([1 + 1j, 2 + 0j]))
    Array([False,  True], dtype=bool)
    """
    return equal(imag(array_like(x, "isreal")), 0)


@planned
def isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Array:
    """Whether |a - b| <= atol + rtol·|b|, elementwise; infinities are close to themselves alone,
    NaNs to nothing (with `equal_nan`, to each other).

    Note that `b` is what `a` is compared with. Booleans of the shape to which all broadcast.
    TypeError for lists and shapes that do not broadcast (ValueError, if they differ in rank).
    Source: `numpy.isclose`.

    >>> import pullback.numpy as jnp
    >>> jnp.isclose(jnp.array([1.0, 1.1, jnp.inf, jnp.nan]), jnp.array([1.000001, 1.0, jnp.inf, jnp.nan]))
    Array([ True, False,  True, False], dtype=bool)
    """
    a, b = broadcast_checked("isclose", a, b)
    if not dtypes.is_inexact(a.dtype):
        a, b = promote_inexact("isclose", a, b)
    real_dtype = dtypes.to_real(a.dtype)
    rtol, atol = (convert(array_like(t, "isclose"), real_dtype) for t in (rtol, atol))
    near = less_equal(absolute(subtract(a, b)), add(atol, multiply(rtol, absolute(b))))
    finite = logical_and(isfinite(a), isfinite(b))
    close = select(finite, near, equal(a, b))
    return logical_or(close, logical_and(isnan(a), isnan(b))) if equal_nan else close


# ---- extrema that ignore NaN ---------------------------------------------------------------------


def fmax(x1: Any, x2: Any) -> Array:
    """The larger, elementwise, and the other one where one is NaN. Of equal ones, the derivative is that of `x2`.

    Shapes broadcast, dtypes are promoted to one. TypeError for lists and shapes that do not broadcast
    (ValueError, if they differ in rank). Source: `numpy.fmax`; `maximum` passes NaN on.

    >>> import pullback.numpy as jnp
    >>> jnp.fmax(jnp.array([1.0, 5.0, jnp.nan]), 3.0)
    Array([3., 5., 3.], dtype=float32)
    """
    x1, x2 = broadcast_checked("fmax", x1, x2)
    return select(logical_or(greater(x1, x2), isnan(x2)), x1, x2)


def fmin(x1: Any, x2: Any) -> Array:
    """The smaller, elementwise, and the other one where one is NaN. Of equal ones, the derivative is that of `x2`.

    Shapes broadcast, dtypes are promoted to one. TypeError for lists and shapes that do not broadcast
    (ValueError, if they differ in rank). Source: `numpy.fmin`; `minimum` passes NaN on.

    >>> import pullback.numpy as jnp
    >>> jnp.fmin(jnp.array([1.0, 5.0, jnp.nan]), 3.0)
    Array([1., 3., 3.], dtype=float32)
    """
    x1, x2 = broadcast_checked("fmin", x1, x2)
    return select(logical_or(less(x1, x2), isnan(x2)), x1, x2)


@planned
def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Array:
    """`x` with NaN replaced by `nan`, and infinities by `posinf` and `neginf` (the dtype's
    extremes, by default); of complex numbers in both parts.

    Elementwise, of the shape and dtype of `x`; the replacements broadcast to it. Integers are their
    own. `copy` is ignored: there is always a new array. TypeError for lists. Source: `numpy.nan_to_num`.

    >>> import pullback.numpy as jnp
    >>> jnp.nan_to_num(jnp.array([1.0, jnp.nan, jnp.inf]), nan=-1.0, posinf=9.0)
    Array([ 1., -1.,  9.], dtype=float32)
    """
    del copy  # there is always a new array
    x = array_like(x, "nan_to_num")
    if is_complex(x):
        parts = (nan_to_num(part, nan=nan, posinf=posinf, neginf=neginf) for part in (real(x), imag(x)))
        return e.complex_p.bind(*parts)
    if not dtypes.is_float(x.dtype):
        return x
    limits = dtypes.finfo(x.dtype)
    x = convert(x, x.dtype)
    replacements = [
        nan,
        float(limits.max) if posinf is None else posinf,
        float(limits.min) if neginf is None else neginf,
    ]
    nan, posinf, neginf = (convert(array_like(r, "nan_to_num"), x.dtype) for r in replacements)
    out = select(isnan(x), nan, x)
    out = select(isposinf(x), posinf, out)
    return select(isneginf(x), neginf, out)


__all__ = ["abs", "absolute", "acos", "acosh", "add", "angle", "arccos", "arccosh", "arcsin", "arcsinh", "arctan"]
__all__ += ["arctan2", "arctanh", "around", "asin", "asinh", "atan", "atan2", "atanh", "bitwise_and"]
__all__ += ["bitwise_invert", "bitwise_not", "bitwise_or", "bitwise_xor", "cbrt", "ceil", "clip", "conj"]
__all__ += ["conjugate", "cos", "cosh", "deg2rad", "degrees", "divide", "equal", "exp", "exp2", "expm1", "fabs"]
__all__ += ["floor", "fmax", "fmin", "greater", "greater_equal", "imag", "invert", "isclose", "iscomplex"]
__all__ += ["isfinite", "isinf", "isnan", "isneginf", "isposinf", "isreal", "less", "less_equal", "log", "log1p"]
__all__ += ["logical_and", "logical_not", "logical_or", "logical_xor", "maximum", "minimum", "multiply"]
__all__ += ["nan_to_num", "negative", "nextafter", "not_equal", "positive", "rad2deg", "radians", "real"]
__all__ += ["reciprocal", "rint", "round", "sign", "signbit", "sin", "sinh", "sqrt", "square", "subtract", "tan"]
__all__ += ["tanh", "true_divide", "trunc"]
