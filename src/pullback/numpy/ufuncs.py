"""Elementwise functions with NumPy's names, promotion and broadcasting.

The regular ones are lines of a table: a primitive, its name, one sentence, and `inexact=True` if integers give floats. What NumPy
defines by cases or with other dtypes is written out below the table, in terms of these. Operands are Arrays, NumPy values or Python
scalars; lists are refused with TypeError. Derivatives stay finite at the points where a formula's branches would make NaN.
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
from pullback.core.trace import current, known_value
from pullback.core.types import broadcast_shapes, integer
from pullback.lax import elementwise as e
from pullback.lax.bits import bitcast_convert_type
from pullback.lax.selection import select
from pullback.lax.shape import broadcast_to, convert
from pullback.numpy.promotion import (
    array_like,
    binary,
    broadcast_checked,
    inexact,
    named,
    promote_inexact,
    truth,
    unary,
)

# ---- the table --------------------------------------------------------------------------------------------------
# fmt: off
add         = binary("add",         e.add_p, "Sum, elementwise; of booleans, their disjunction.")
subtract    = binary("subtract",    e.sub_p, "Difference, elementwise. TypeError for booleans.")
multiply    = binary("multiply",    e.mul_p, "Product, elementwise; of booleans, their conjunction.")
divide      = binary("divide",      e.div_p, "Quotient, elementwise; integers give floats.", inexact=True)
true_divide = divide
negative    = unary("negative",     e.neg_p, "Negation, elementwise. TypeError for booleans.")
maximum     = binary("maximum",     e.max_p, "The larger, elementwise; NaN if either is. Ties share the derivative. Complex: lexicographic.")
minimum     = binary("minimum",     e.min_p, "The smaller, elementwise; NaN if either is. Ties share the derivative. Complex: lexicographic.")
nextafter   = binary("nextafter",   e.nextafter_p, "The float next to the first operand in the direction of the second.", inexact=True)

exp      = unary("exp",     e.exp_p,   "e to the x, elementwise.", inexact=True)
exp2     = unary("exp2",    e.exp2_p,  "2 to the x, elementwise.", inexact=True)
expm1    = unary("expm1",   e.expm1_p, "e to the x, less 1, without cancellation near 0.", inexact=True)
log      = unary("log",     e.log_p,   "Natural logarithm, elementwise; NaN for negative reals, -inf at 0.", inexact=True)
log1p    = unary("log1p",   e.log1p_p, "log(1 + x), without cancellation near 0.", inexact=True)
sqrt     = unary("sqrt",    e.sqrt_p,  "Square root, elementwise; NaN for negative reals.", inexact=True)
cbrt     = unary("cbrt",    e.cbrt_p,  "Real cube root, elementwise. TypeError for complex input.", inexact=True)
sin      = unary("sin",     e.sin_p,   "Sine, elementwise.", inexact=True)
cos      = unary("cos",     e.cos_p,   "Cosine, elementwise.", inexact=True)
tan      = unary("tan",     e.tan_p,   "Tangent, elementwise.", inexact=True)
arcsin   = unary("arcsin",  e.asin_p,  "Inverse sine, elementwise, in [-π/2, π/2].", inexact=True)
arccos   = unary("arccos",  e.acos_p,  "Inverse cosine, elementwise, in [0, π].", inexact=True)
arctan   = unary("arctan",  e.atan_p,  "Inverse tangent, elementwise, in [-π/2, π/2].", inexact=True)
sinh     = unary("sinh",    e.sinh_p,  "Hyperbolic sine, elementwise.", inexact=True)
cosh     = unary("cosh",    e.cosh_p,  "Hyperbolic cosine, elementwise.", inexact=True)
tanh     = unary("tanh",    e.tanh_p,  "Hyperbolic tangent, elementwise.", inexact=True)
arcsinh  = unary("arcsinh", e.asinh_p, "Inverse hyperbolic sine, elementwise.", inexact=True)
arccosh  = unary("arccosh", e.acosh_p, "Inverse hyperbolic cosine, elementwise; NaN for reals below 1.", inexact=True)
arctanh  = unary("arctanh", e.atanh_p, "Inverse hyperbolic tangent, elementwise; NaN for reals outside [-1, 1].", inexact=True)
asin, acos, atan, asinh, acosh, atanh = arcsin, arccos, arctan, arcsinh, arccosh, arctanh

equal         = binary("equal",         e.eq_p, "Whether x == y, elementwise.")
not_equal     = binary("not_equal",     e.ne_p, "Whether x != y, elementwise.")
less          = binary("less",          e.lt_p, "Whether x < y, elementwise. Complex: lexicographic.")
less_equal    = binary("less_equal",    e.le_p, "Whether x <= y, elementwise. Complex: lexicographic.")
greater       = binary("greater",       e.gt_p, "Whether x > y, elementwise. Complex: lexicographic.")
greater_equal = binary("greater_equal", e.ge_p, "Whether x >= y, elementwise. Complex: lexicographic.")

bitwise_and = binary("bitwise_and", e.and_p, "Bitwise conjunction of integers or booleans.")
bitwise_or  = binary("bitwise_or",  e.or_p,  "Bitwise disjunction of integers or booleans.")
bitwise_xor = binary("bitwise_xor", e.xor_p, "Bitwise exclusive disjunction of integers or booleans.")
bitwise_not = unary("bitwise_not",  e.not_p, "Bitwise complement of integers or booleans.")
bitwise_invert = invert = bitwise_not
# fmt: on


def _constant(value: Any, x: Array) -> ConcreteArray:
    """`value` as a scalar of the type of `x`, weakness included."""
    return concrete(np.array(value, x.dtype), x.weak_type)


def _choose(condition: Array, if_true: Any, if_false: Any, x: Array) -> Array:
    """Elementwise choice between Arrays, or numbers taken in the type of `x`; dead branches pass no derivative."""
    if not isinstance(if_true, Array):
        if_true = _constant(if_true, x)
    if not isinstance(if_false, Array):
        if_false = _constant(if_false, x)
    return select(condition, if_true, if_false)


def _refuse_complex(name: str, *arrays: Array, error: type[Exception] = TypeError) -> None:
    for x in arrays:
        if dtypes.is_complex(x.dtype):
            raise error(
                f"{name} is not defined for complex numbers, got {x.aval} at {user_line()}; take abs, real or imag first"
            )


def _is_complex(x: Array) -> bool:
    return dtypes.is_complex(x.dtype)


# ---- parts, signs, rounding -------------------------------------------------------------------------------------


def absolute(x: Any, /) -> Array:
    """|x|, elementwise: real for complex input; unsigned integers and booleans are their own."""
    x = array_like(x, "absolute")
    return x if dtypes.kind(x.dtype) in "ub" else e.abs_p.bind(x)


abs = absolute


def fabs(x: Any, /) -> Array:
    """|x| as a float. TypeError for complex input."""
    x = inexact(x, "fabs")
    _refuse_complex("fabs", x)
    return e.abs_p.bind(x)


def positive(x: Any, /) -> Array:
    """`x` itself."""
    return array_like(x, "positive")


def sign(x: Any, /) -> Array:
    """-1, 0 or 1 by the sign of `x` (NaN for NaN); x/|x| for complex `x`. TypeError for booleans."""
    x = array_like(x, "sign")
    if x.dtype == dtypes.bool_:
        raise TypeError(f"sign does not accept dtype bool, at {user_line()}")
    return e.sign_p.bind(x)


def square(x: Any, /) -> Array:
    """x·x, elementwise; of booleans as integers."""
    if not isinstance(x, Array):
        x = array_like(x, "square")
    if x.dtype == dtypes.bool_:
        x = convert(x, dtypes.int32)
    return current().process(e.square_p, (x,), {})


def reciprocal(x: Any, /) -> Array:
    """1/x, elementwise; integers give floats."""
    return divide(1, inexact(x, "reciprocal"))


def conjugate(x: Any, /) -> Array:
    """Complex conjugate, elementwise; real input is its own."""
    x = array_like(x, "conjugate")
    return e.conj_p.bind(x) if _is_complex(x) else x


conj = conjugate


def real(val: Any, /) -> Array:
    """Real part, elementwise; real input is its own."""
    val = array_like(val, "real")
    return e.real_p.bind(val) if _is_complex(val) else val


def imag(val: Any, /) -> Array:
    """Imaginary part, elementwise; zeros for real input."""
    val = array_like(val, "imag")
    return e.imag_p.bind(val) if _is_complex(val) else broadcast_to(_constant(0, val), val.shape)


def angle(z: Any, deg: bool = False) -> Array:
    """The argument of complex numbers in (-π, π], or in degrees.

    >>> float(angle(1j, deg=True))
    90.0
    """
    z = _in_default_float(array_like(z, "angle"))
    out = arctan2(imag(z), real(z))
    return rad2deg(out) if deg else out


def _in_default_float(x: Array) -> Array:
    """`x`, integers and booleans in the default floating type."""
    return x if dtypes.is_inexact(x.dtype) else convert(x, dtypes.default_dtype(float))


def _rounding(name: str, primitive: Any, doc: str) -> Callable[[Any], Array]:
    def function(x: Any, /) -> Array:
        x = array_like(x, name)
        return primitive.bind(x) if dtypes.kind(x.dtype) not in "iub" else x

    return named(function, name, doc)


floor = _rounding("floor", e.floor_p, "The largest integer not above x, elementwise; integers are their own.")
ceil = _rounding("ceil", e.ceil_p, "The smallest integer not below x, elementwise; integers are their own.")


def trunc(x: Any) -> Array:
    """`x` without its fraction, elementwise; integers are their own."""
    x = array_like(x, "trunc")
    if not dtypes.is_inexact(x.dtype):
        return x
    _refuse_complex("trunc", x)
    return _choose(less(x, 0), ceil(x), floor(x), x)


def rint(x: Any, /) -> Array:
    """The nearest integer as a float, ties to the even one; of complex numbers in both parts."""
    x = _in_default_float(array_like(x, "rint"))
    if _is_complex(x):
        return e.complex_p.bind(rint(real(x)), rint(imag(x)))
    return e.round_p.bind(x, rounding_method=1)


def round(a: Any, decimals: int = 0, out: None = None) -> Array:
    """`a` to the given number of decimals, ties to even. Integers are their own (NotImplementedError for negative decimals).

    >>> float(round(-2.5))
    -2.0
    """
    no_out("round", out)
    a = array_like(a, "round")
    decimals = integer(decimals, "round: decimals")
    if dtypes.is_integer(a.dtype):
        if decimals < 0:
            raise NotImplementedError(
                f"round of integers to decimals={decimals} < 0, at {user_line()}: convert to float first"
            )
        return a
    if a.dtype == dtypes.bool_:
        raise ValueError(f"round is not defined for booleans, at {user_line()}")
    if decimals == 0:
        return rint(a)
    # 16-bit floats cannot hold the scaled values.
    wide = convert(a, dtypes.float32) if a.dtype.itemsize < 4 else a
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


def clip(arr: Any = None, /, min: Any = None, max: Any = None) -> Array:
    """`arr` limited to [min, max], elementwise; a bound that is None is none. ValueError for complex numbers.

    >>> import pullback.numpy as jnp
    >>> clip(jnp.arange(5), 1, 3).tolist()
    [1, 1, 2, 3, 3]
    """
    if arr is None:
        raise ValueError(f"clip: at least one argument, the array, is required, at {user_line()}")
    arr = array_like(arr, "clip")
    bounds = [array_like(b, "clip") for b in (min, max) if b is not None]
    _refuse_complex("clip", arr, *bounds, error=ValueError)
    if min is not None:
        arr = maximum(min, arr)
    return arr if max is None else minimum(max, arr)


def copysign(x1: Any, x2: Any, /) -> Array:
    """|x1| with the sign of x2 (signed zeros and NaNs count), elementwise; integers give floats."""
    x1, x2 = broadcast_checked("copysign", x1, x2, inexact=True)
    _refuse_complex("copysign", x1)
    size = absolute(x1)
    return select(signbit(x2), negative(size), size)


def signbit(x: Any, /) -> Array:
    """Whether the sign bit is set: negative numbers, -0.0 and negative NaNs. ValueError for complex numbers, and for keys."""
    x = array_like(x, "signbit")
    _refuse_complex("signbit", x, error=ValueError)
    if dtypes.is_key(x.dtype):
        raise ValueError(f"signbit: {x.aval} has no sign: typed keys are opaque, at {user_line()}")
    if not dtypes.is_float(x.dtype):
        return less(x, 0) if dtypes.is_integer(x.dtype) else not_equal(x, x)
    return less(bitcast_convert_type(x, _signed_bits(x.dtype)), 0)


def _signed_bits(dtype: DType) -> DType:
    return np.dtype(f"i{dtype.itemsize}")


def heaviside(x1: Any, x2: Any, /) -> Array:
    """0, x2 or 1 where x1 is negative, zero or positive; NaN where it is NaN."""
    x1, x2 = broadcast_checked("heaviside", x1, x2, inexact=True)
    _refuse_complex("heaviside", x1)
    if x1.shape:
        x1, x2 = convert(x1, x1.dtype), convert(x2, x2.dtype)
    step = _choose(greater(x1, 0), 1, math.nan, x1)
    return _choose(less(x1, 0), 0, select(equal(x1, 0), x2, step), x1)


def spacing(x: Any, /) -> Array:
    """The distance from `x` to the next float away from zero, with the sign of `x`; NaN if `x` is not finite."""
    x = inexact(x, "spacing")
    _refuse_complex("spacing", x)
    x = convert(x, x.dtype)
    away = copysign(_constant(math.inf, x), x)
    return subtract(nextafter(x, away), x)


# ---- logic and classification -----------------------------------------------------------------------------------


def _logical(name: str, primitive: Any, doc: str) -> Callable[[Any, Any], Array]:
    combined = binary(name, primitive, doc)

    def function(x: Any, y: Any, /) -> Array:
        return combined(truth(x, name), truth(y, name))

    return named(function, name, doc)


logical_and = _logical("logical_and", e.and_p, "Whether both are nonzero, elementwise.")
logical_or = _logical("logical_or", e.or_p, "Whether either is nonzero, elementwise.")
logical_xor = _logical("logical_xor", e.xor_p, "Whether exactly one is nonzero, elementwise.")


def logical_not(x: Any, /) -> Array:
    """Whether `x` is zero, elementwise."""
    return e.not_p.bind(truth(x, "logical_not"))


def isfinite(x: Any, /) -> Array:
    """Whether `x` is neither infinite nor NaN, elementwise."""
    x = array_like(x, "isfinite")
    return e.is_finite_p.bind(x) if dtypes.is_inexact(x.dtype) else _everywhere(True, x)


def isinf(x: Any, /) -> Array:
    """Whether `x`, or a part of complex `x`, is infinite, elementwise."""
    x = array_like(x, "isinf")
    if _is_complex(x):
        return logical_or(isinf(real(x)), isinf(imag(x)))
    return equal(absolute(x), math.inf) if dtypes.is_inexact(x.dtype) else _everywhere(False, x)


def isnan(x: Any, /) -> Array:
    """Whether `x`, or a part of complex `x`, is not a number, elementwise."""
    x = array_like(x, "isnan")
    return e.ne_p.bind(x, x)


def isposinf(x: Any, /, out: None = None) -> Array:
    """Whether `x` is +inf, elementwise. ValueError for complex numbers."""
    return _is_infinity("isposinf", x, math.inf, out)


def isneginf(x: Any, /, out: None = None) -> Array:
    """Whether `x` is -inf, elementwise. ValueError for complex numbers."""
    return _is_infinity("isneginf", x, -math.inf, out)


def _is_infinity(name: str, x: Any, value: float, out: None) -> Array:
    no_out(name, out)
    x = array_like(x, name)
    _refuse_complex(name, x, error=ValueError)
    return equal(x, value) if dtypes.is_float(x.dtype) else _everywhere(False, x)


def _everywhere(value: bool, x: Array) -> Array:
    return broadcast_to(concrete(np.bool_(value)), x.shape)


def iscomplex(x: Any) -> Array:
    """Whether the imaginary part is not zero, elementwise."""
    return not_equal(imag(x), 0)


def isreal(x: Any) -> Array:
    """Whether the imaginary part is zero, elementwise."""
    return equal(imag(x), 0)


def isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Array:
    """Whether |a - b| <= atol + rtol·|b|, elementwise; infinities are close to themselves alone, NaNs to nothing
    (with `equal_nan`, to each other).

    >>> bool(isclose(1.0, 1.0 + 1e-7))
    True
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


def _all(x: Array) -> Array:
    """Whether all elements are true."""
    from pullback.numpy.reductions import all as reduce_all  # reductions are written with ufuncs

    return reduce_all(x)


def allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Array:
    """Whether all elements are close, as a boolean scalar Array. See `isclose`."""
    return _all(isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan))


def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Array:
    """Whether two arrays (or lists) have one shape and equal elements, as a boolean scalar Array."""
    from pullback.numpy.creation import asarray

    a1, a2 = asarray(a1), asarray(a2)
    if a1.shape != a2.shape:
        return concrete(np.bool_(False))
    same = equal(a1, a2)
    return _all(logical_or(same, logical_and(isnan(a1), isnan(a2))) if equal_nan else same)


def array_equiv(a1: Any, a2: Any) -> Array:
    """Whether two arrays (or lists) broadcast to equal ones, as a boolean scalar Array."""
    from pullback.numpy.creation import asarray

    a1, a2 = asarray(a1), asarray(a2)
    try:
        broadcast_shapes(a1.shape, a2.shape)
    except ValueError:
        return concrete(np.bool_(False))
    return _all(equal(a1, a2))


# ---- division ---------------------------------------------------------------------------------------------------


def _integral_operands(name: str, x1: Any, x2: Any) -> tuple[Array, Array]:
    """Operands of a division with remainder: real, booleans as integers."""
    x1, x2 = broadcast_checked(name, x1, x2)
    _refuse_complex(name, x1)
    if x1.dtype == dtypes.bool_:
        x1, x2 = (convert(x, dtypes.int32) for x in (x1, x2))
    return x1, x2


def floor_divide(x1: Any, x2: Any, /) -> Array:
    """The quotient rounded down, elementwise. Integer division by zero gives what XLA's truncated one does, rounded down."""
    x1, x2 = _integral_operands("floor_divide", x1, x2)
    kind = dtypes.kind(x1.dtype)
    if kind == "u":
        return e.div_p.bind(x1, x2)
    if kind == "i":
        quotient = e.div_p.bind(x1, x2)
        is_fraction = logical_and(not_equal(sign(x1), sign(x2)), not_equal(e.rem_p.bind(x1, x2), 0))
        return select(is_fraction, subtract(quotient, 1), quotient)
    return _float_divmod(x1, x2)[0]


def _float_divmod(x: Array, y: Array) -> tuple[Array, Array]:
    """Python's divmod: the remainder is exact and has the divisor's sign, and the quotient is built from it."""
    remainder = e.rem_p.bind(x, y)
    quotient = divide(subtract(x, remainder), y)
    wrong = logical_and(not_equal(remainder, 0), not_equal(sign(y), sign(remainder)))
    quotient = select(equal(y, 0), divide(x, y), select(wrong, subtract(quotient, 1), quotient))
    # Rounding comes last, so that all derivatives are 0, by zero and of infinity, too.
    return e.round_p.bind(quotient, rounding_method=0), select(wrong, add(remainder, y), remainder)


def mod(x1: Any, x2: Any, /) -> Array:
    """The remainder with the divisor's sign, elementwise, as Python's %. Integers modulo 0 give 0.

    >>> int(mod(-7, 3))
    2
    """
    x1, x2 = _integral_operands("mod", x1, x2)
    if dtypes.is_integer(x1.dtype):
        x2 = _choose(equal(x2, 0), 1, x2, x2)
    remainder = e.rem_p.bind(x1, x2)
    wrong = logical_and(not_equal(less(remainder, 0), less(x2, 0)), not_equal(remainder, 0))
    return select(wrong, add(remainder, x2), remainder)


remainder = mod


def fmod(x1: Any, x2: Any, /) -> Array:
    """The remainder with the dividend's sign, elementwise, as C's. Integers modulo 0 give 0."""
    x1, x2 = _integral_operands("fmod", x1, x2)
    if dtypes.is_integer(x1.dtype):
        x2 = _choose(equal(x2, 0), 1, x2, x2)
    return e.rem_p.bind(x1, x2)


def divmod(x1: Any, x2: Any, /) -> tuple[Array, Array]:
    """(floor_divide(x1, x2), mod(x1, x2)), elementwise."""
    x1, x2 = _integral_operands("divmod", x1, x2)
    if dtypes.is_integer(x1.dtype):
        return floor_divide(x1, x2), mod(x1, x2)
    return _float_divmod(x1, x2)


def modf(x: Any, /, out: None = None) -> tuple[Array, Array]:
    """The fractional and the whole part, both with the sign of `x`. TypeError for complex numbers."""
    no_out("modf", out)
    x = inexact(x, "modf")
    whole = trunc(x)
    return subtract(x, whole), whole


def _integers(name: str, x1: Any, x2: Any) -> list[Array]:
    operands = broadcast_checked(name, x1, x2)
    if not dtypes.is_integer(operands[0].dtype):
        raise ValueError(f"{name} takes integers, got dtype {dtypes.name(operands[0].dtype)} at {user_line()}")
    return operands


def _positive_integers(name: str, x1: Any, x2: Any) -> list[Array]:
    operands = _integers(name, x1, x2)
    scalars = not any(x.shape for x in operands)
    return [absolute(convert(x, x.dtype, scalars and x.weak_type)) for x in operands]


def gcd(x1: Any, x2: Any) -> Array:
    """Greatest common divisor, elementwise, not negative. ValueError unless both are integers.

    >>> int(gcd(12, -18))
    6
    """
    a, b = _positive_integers("gcd", x1, x2)
    # Euclid's algorithm takes at most log_φ(2^bits) < 1.45·bits steps (Lamé 1844).
    for _ in range(math.ceil(1.45 * dtypes.itemsize_bits(a.dtype))):
        known = known_value(b)
        if known is not None and not np.any(known):
            break
        done = equal(b, 0)
        a, b = select(done, a, b), select(done, b, e.rem_p.bind(a, _choose(done, 1, b, b)))
    return a


def lcm(x1: Any, x2: Any) -> Array:
    """Least common multiple, elementwise, not negative; 0 where an operand is 0. ValueError unless both are integers."""
    a, b = _positive_integers("lcm", x1, x2)
    d = gcd(a, b)
    nothing = equal(d, 0)
    return _choose(nothing, 0, multiply(a, e.div_p.bind(b, _choose(nothing, 1, d, d))), a)


# ---- powers and logarithms --------------------------------------------------------------------------------------


def power(x1: Any, x2: Any, /) -> Array:
    """x1 to the x2, elementwise. A static integer exponent (an int or an integer scalar) is applied by multiplication.

    Integers to a static negative power raise TypeError; to a traced one they give 1/x truncated.

    >>> float(power(2.0, -1)), int(power(2, 3))
    (0.5, 8)
    """
    if x2.__class__ is int and isinstance(x1, Array) and x1.dtype.kind in "fiu":
        exponent = x2
    else:
        exponent = _static_exponent(x2)
        if exponent is None:
            is_bool_scalar = x2.__class__ is bool
            x1, x2 = array_like(x1, "power"), array_like(x2, "power")
            # Unlike a factor, an integer exponent that is not known makes the power of a weakly typed base strong.
            discrete = dtypes.is_integer(x2.dtype) or not dtypes.is_inexact(x1.dtype)
            gives_way = is_bool_scalar or (x2.weak_type and dtypes.is_inexact(x1.dtype))
            strengthens = discrete and not (gives_way or dtypes.is_inexact(x2.dtype))
            strengthens = strengthens and (x1.weak_type or x2.weak_type)
            x1, x2 = broadcast_checked("power", x1, x2)
            weak = x1.weak_type and not strengthens
            dtype = dtypes.int32 if x1.dtype == dtypes.bool_ else x1.dtype
            return e.pow_p.bind(convert(x1, dtype, weak), convert(x2, dtype, weak))
        # A known exponent says how often to multiply, and nothing of a type.
        x1 = array_like(x1, "power")
        if x1.dtype == dtypes.bool_:
            x1 = convert(x1, dtypes.int32)
    if exponent < 0 and dtypes.is_integer(x1.dtype):
        raise TypeError(
            f"Integers cannot be raised to negative powers: got {x1.aval} to the power {exponent} at {user_line()}; convert to float"
        )
    return current().process(e.integer_pow_p, (x1,), {"y": exponent})


pow = power


def _static_exponent(y: Any) -> int | None:
    if isinstance(y, ConcreteArray):
        y = y._value if y.__class__ is ConcreteArray else None
    if isinstance(y, (bool, np.bool_)):
        return None
    if isinstance(y, int) or (isinstance(y, (np.ndarray, np.generic)) and not y.shape and y.dtype.kind in "iu"):
        return int(y)
    return None


def float_power(x: Any, y: Any, /) -> Array:
    """x to the y, elementwise, in floating point."""
    return power(*promote_inexact("float_power", x, y))


def _scaled(name: str, function: Callable[[Any], Array], factor: float, doc: str) -> Callable[[Any], Array]:
    def scaled(x: Any, /) -> Array:
        return multiply(function(inexact(x, name, weak="scalars")), factor)

    return named(scaled, name, doc)


degrees = _scaled("degrees", positive, 180 / math.pi, "Angles in degrees from radians.")
radians = _scaled("radians", positive, math.pi / 180, "Angles in radians from degrees.")
rad2deg, deg2rad = degrees, radians


def log2(x: Any, /) -> Array:
    """Logarithm to base 2, elementwise; exact at powers of two."""
    return _logarithm("log2", x, 2)


def log10(x: Any, /) -> Array:
    """Logarithm to base 10, elementwise."""
    return _logarithm("log10", x, 10)


def _logarithm(name: str, x: Any, base: int) -> Array:
    return divide(log(inexact(x, name, weak=False)), math.log(base))


def logaddexp(x1: Any, x2: Any, /) -> Array:
    """log(exp(x1) + exp(x2)), elementwise, without overflow; the imaginary part of complex results is in (-π, π].

    >>> float(logaddexp(1000.0, 1000.0)) == float(np.float32(1000 + np.log(2)))
    True
    """
    big, difference = _largest("logaddexp", x1, x2)
    out = add(big, log1p(exp(difference)))
    return _principal(convert(out, out.dtype, out.weak_type and not out.shape)) if _is_complex(out) else out


def logaddexp2(x1: Any, x2: Any, /) -> Array:
    """log2(2**x1 + 2**x2), elementwise, without overflow."""
    big, difference = _largest("logaddexp2", *promote_inexact("logaddexp2", x1, x2, weak="scalars"))
    return add(big, divide(log1p(exp2(difference)), math.log(2)))


def _largest(name: str, x1: Any, x2: Any) -> tuple[Array, Array]:
    # log(eˣ + eʸ) = x + log1p(e^(y-x)) is smooth, whichever operand is taken out. To take out the larger by `select` is only
    # numerical care, which no derivative sees: they are right to any order, ties included.
    x1, x2 = broadcast_checked(name, x1, x2, inexact=True)
    swap = less(real(x1), real(x2))
    big, small = select(swap, x2, x1), select(swap, x1, x2)
    infinite = logical_and(equal(big, small), logical_not(isfinite(big)))  # inf - inf must not make NaN
    return big, _choose(infinite, 0, subtract(small, big), big)


def _principal(z: Array) -> Array:
    turns = e.round_p.bind(divide(imag(z), 2 * math.pi), rounding_method=1)
    return e.complex_p.bind(real(z), subtract(imag(z), multiply(turns, 2 * math.pi)))


def hypot(x1: Any, x2: Any, /) -> Array:
    """√(x1² + x2²), elementwise, without overflow; infinite if either is. ValueError for complex numbers."""
    x1, x2 = broadcast_checked("hypot", x1, x2, inexact=True, weak="scalars")
    _refuse_complex("hypot", x1, error=ValueError)
    x1, x2 = absolute(x1), absolute(x2)
    infinite = logical_or(equal(x1, math.inf), equal(x2, math.inf))
    big, small = maximum(x1, x2), minimum(x1, x2)
    zero = equal(big, 0)
    ratio = divide(small, _choose(zero, 1, big, big))
    out = select(zero, big, multiply(big, sqrt(add(square(ratio), 1))))
    return _choose(infinite, math.inf, out, out)


def arctan2(x1: Any, x2: Any, /) -> Array:
    """The angle of the point (x2, x1), elementwise, in [-π, π]. Complex: -i·log((x2 + i·x1)/√(x1² + x2²))."""
    y, x = broadcast_checked("arctan2", x1, x2, inexact=True)
    if not _is_complex(y):
        return e.atan2_p.bind(y, x)
    direction = divide(add(x, multiply(y, 1j)), sqrt(add(square(x), square(y))))
    return multiply(log(direction), -1j)


atan2 = arctan2


# Where |πx| is smaller, sinc is its power series, so that derivatives of all orders are right at and near 0.
_SINC_SERIES_LIMIT = 0.5
_SINC_SERIES = [(-1) ** k / math.factorial(2 * k + 1) for k in range(10)]


def sinc(x: Any, /) -> Array:
    """sin(πx)/(πx), elementwise, and 1 at 0.

    >>> float(sinc(0.0))
    1.0
    """
    t = multiply(inexact(x, "sinc", weak="scalars"), math.pi)
    near = less(absolute(t), _SINC_SERIES_LIMIT)
    safe = _choose(near, 1, t, t)
    squared = square(_choose(near, t, 0, t))
    series: Any = _SINC_SERIES[-1]
    for coefficient in reversed(_SINC_SERIES[:-1]):
        series = add(multiply(series, squared), coefficient)
    return select(near, series, divide(sin(safe), safe))


def i0(x: Any) -> Array:
    """Modified Bessel function of the first kind, order 0, elementwise. ValueError for complex numbers."""
    x = inexact(x, "i0")
    _refuse_complex("i0", x, error=ValueError)
    from pullback.lax.special import bessel_i0e  # the special functions are loaded when first needed

    # |x| as x·sign(x), which has derivative 0 at 0, as the result has.
    return multiply(exp(multiply(x, sign(x))), bessel_i0e(x))


# ---- extrema that ignore NaN ------------------------------------------------------------------------------------


def fmax(x1: Any, x2: Any) -> Array:
    """The larger, elementwise, and the other one where one is NaN."""
    x1, x2 = broadcast_checked("fmax", x1, x2)
    return select(logical_or(greater(x1, x2), isnan(x2)), x1, x2)


def fmin(x1: Any, x2: Any) -> Array:
    """The smaller, elementwise, and the other one where one is NaN."""
    x1, x2 = broadcast_checked("fmin", x1, x2)
    return select(logical_or(less(x1, x2), isnan(x2)), x1, x2)


def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Array:
    """`x` with NaN replaced by `nan`, and infinities by `posinf` and `neginf` (the dtype's extremes, by default).

    >>> float(nan_to_num(np.float32("nan"), nan=5.0))
    5.0
    """
    del copy  # there is always a new array
    x = array_like(x, "nan_to_num")
    if _is_complex(x):
        return e.complex_p.bind(
            *(nan_to_num(part, nan=nan, posinf=posinf, neginf=neginf) for part in (real(x), imag(x)))
        )
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


# ---- bits -------------------------------------------------------------------------------------------------------


def _shift_operands(name: str, x: Any, y: Any) -> list[Array]:
    operands = broadcast_checked(name, x, y)
    return [convert(a, dtypes.int32) for a in operands] if operands[0].dtype == dtypes.bool_ else operands


def left_shift(x: Any, y: Any, /) -> Array:
    """`x` shifted left by `y` bits, elementwise; 0 once all bits are gone. Integers only."""
    return _shifted(e.shift_left_p, _shift_operands("left_shift", x, y))


def right_shift(x1: Any, x2: Any, /) -> Array:
    """`x1` shifted right by `x2` bits, elementwise; signed integers keep their sign. Integers only."""
    operands = _shift_operands("right_shift", x1, x2)
    arithmetic = dtypes.kind(operands[0].dtype) != "u"
    return _shifted(e.shift_right_arithmetic_p if arithmetic else e.shift_right_logical_p, operands)


def _shifted(primitive: Any, operands: list[Array]) -> Array:
    dtype = operands[0].dtype
    if not dtypes.is_integer(dtype):
        raise TypeError(
            f"{primitive.name} does not accept dtype {dtypes.name(dtype)}, at {user_line()}: only integers have bits"
        )
    return primitive.bind(*operands)


bitwise_left_shift, bitwise_right_shift = left_shift, right_shift


def bitwise_count(x: Any, /) -> Array:
    """The number of one bits in |x|, elementwise, as uint8."""
    x = array_like(x, "bitwise_count")
    if x.dtype == dtypes.bool_:
        return convert(x, dtypes.uint8)
    if not dtypes.is_integer(x.dtype):
        raise TypeError(
            f"bitwise_count does not accept dtype {dtypes.name(x.dtype)}, at {user_line()}: only integers have bits"
        )
    return convert(e.population_count_p.bind(absolute(x)), dtypes.uint8)


def ldexp(x1: Any, x2: Any, /) -> Array:
    """x1·2**x2 for integers x2, elementwise, in floating point. ValueError for other exponents and complex x1."""
    x1, x2 = array_like(x1, "ldexp"), array_like(x2, "ldexp")
    if _is_complex(x1) or dtypes.kind(x2.dtype) not in "iub":
        raise ValueError(f"ldexp takes a float and an integer, got {x1.aval} and {x2.aval} at {user_line()}")
    x1 = inexact(x1, "ldexp")
    return _times_power_of_two(convert(x1, x1.dtype), convert(x2, dtypes.int32))


def _times_power_of_two(x: Array, n: Array) -> Array:
    """x·2**n, rounded once: in three factors, as 2**n itself may overflow."""
    limits = dtypes.finfo(x.dtype)
    largest = int(limits.maxexp) - 1
    reach = 3 * largest - 3
    n = minimum(maximum(n, -reach), reach)
    third = e.div_p.bind(n, _constant(3, n))
    # A small exponent is one factor; a large one leaves no subnormal before the last factor, unless the result is 0.
    small = less(absolute(n), largest)
    first = select(small, n, third)
    second = _choose(small, 0, third, n)
    last = subtract(subtract(n, first), second)
    for part in (first, second, last):
        x = multiply(x, exp2(convert(part, x.dtype)))
    return x


def frexp(x: Any, /) -> tuple[Array, Array]:
    """The mantissa in [0.5, 1) and the int32 exponent with x = mantissa·2**exponent; (x, 0) for 0, infinities and NaN.

    >>> [float(part) for part in frexp(6.0)]
    [0.75, 3.0]
    """
    x = inexact(x, "frexp")
    if _is_complex(x):
        raise TypeError(f"frexp is not defined for complex numbers, got {x.aval} at {user_line()}")
    x = convert(x, x.dtype)
    limits = dtypes.finfo(x.dtype)
    width, fraction_bits, bias = x.dtype.itemsize * 8, int(limits.nmant), int(limits.maxexp) - 1
    # Subnormals are scaled into the normal range, where the exponent is a field of the representation.
    tiny = less(absolute(x), float(limits.smallest_normal))
    scaled = select(tiny, multiply(x, 2.0**fraction_bits), x)
    bits = bitcast_convert_type(scaled, np.dtype(f"u{x.dtype.itemsize}"))
    field = bitwise_and(right_shift(bits, fraction_bits), 2 ** (width - 1 - fraction_bits) - 1)
    exponent = subtract(convert(field, dtypes.int32), bias - 1)
    exponent = _choose(tiny, subtract(exponent, fraction_bits), exponent, exponent)
    plain = logical_or(equal(x, 0), logical_not(isfinite(x)))
    exponent = _choose(plain, 0, exponent, exponent)
    return _times_power_of_two(x, negative(exponent)), exponent


# fmt: off
__all__ = [
    "abs", "absolute", "acos", "acosh", "add", "allclose", "angle", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2",
    "arctanh", "around", "array_equal", "array_equiv", "asin", "asinh", "atan", "atan2", "atanh", "bitwise_and", "bitwise_count",
    "bitwise_invert", "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "cbrt", "ceil", "clip",
    "conj", "conjugate", "copysign", "cos", "cosh", "deg2rad", "degrees", "divide", "divmod", "equal", "exp", "exp2", "expm1", "fabs",
    "float_power", "floor", "floor_divide", "fmax", "fmin", "fmod", "frexp", "gcd", "greater", "greater_equal", "heaviside", "hypot",
    "i0", "imag", "invert", "isclose", "iscomplex", "isfinite", "isinf", "isnan", "isneginf", "isposinf", "isreal", "lcm", "ldexp",
    "left_shift", "less", "less_equal", "log", "log10", "log1p", "log2", "logaddexp", "logaddexp2", "logical_and", "logical_not",
    "logical_or", "logical_xor", "maximum", "minimum", "mod", "modf", "multiply", "nan_to_num", "negative", "nextafter", "not_equal",
    "positive", "pow", "power", "rad2deg", "radians", "real", "reciprocal", "remainder", "right_shift", "rint", "round", "sign",
    "signbit", "sin", "sinc", "sinh", "spacing", "sqrt", "square", "subtract", "tan", "tanh", "true_divide", "trunc",
]
# fmt: on
