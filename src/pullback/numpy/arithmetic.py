"""Elementwise functions by cases: division with remainder, powers, logarithms, bits of floats.

They are written in terms of `numpy.ufuncs`. Derivatives stay finite at the points where a
formula's branches would make NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray
from pullback.core.errors import user_line
from pullback.core.trace import current, known_value
from pullback.lax import elementwise as e
from pullback.lax.bits import bitcast_convert_type
from pullback.lax.division import floor_div_p, mod_p
from pullback.lax.family import like
from pullback.lax.selection import select
from pullback.lax.shape import convert
from pullback.numpy import ufuncs as u
from pullback.numpy.promotion import array_like, broadcast_checked, here, inexact, promote_inexact

# ---- division ------------------------------------------------------------------------------------


def _integral_operands(name: str, x1: Any, x2: Any) -> tuple[Array, Array]:
    """Operands of a division with remainder: real, booleans as integers."""
    x1, x2 = broadcast_checked(name, x1, x2)
    u.refuse_complex(name, x1)
    if x1.dtype == dtypes.bool_:
        x1, x2 = (convert(x, dtypes.int32) for x in (x1, x2))
    return x1, x2


def floor_divide(x1: Any, x2: Any, /) -> Array:
    """The quotient rounded down, elementwise. Integer division by zero gives what XLA's truncated
    one does, rounded down; floats by zero give x1 / x2.

    Shapes broadcast, dtypes are promoted to one, which the result has (booleans are integers). The
    derivative is 0. TypeError for complex numbers, lists and shapes that do not broadcast
    (ValueError, if they differ in rank). Source: `numpy.floor_divide`.

    >>> import pullback.numpy as jnp
    >>> jnp.floor_divide(jnp.array([7, -7]), 2)
    Array([ 3, -4], dtype=int32)
    >>> jnp.floor_divide(-7.0, 2)
    Array(-4., dtype=float32, weak_type=True)
    """
    x1, x2 = _integral_operands("floor_divide", x1, x2)
    kind = dtypes.kind(x1.dtype)
    if kind == "f":
        return floor_div_p.bind(x1, x2)
    if kind == "u":
        return e.div_p.bind(x1, x2)
    quotient = e.div_p.bind(x1, x2)
    is_fraction = u.logical_and(u.not_equal(u.sign(x1), u.sign(x2)), u.not_equal(e.rem_p.bind(x1, x2), 0))
    return select(is_fraction, u.subtract(quotient, 1), quotient)


def _remainder_operands(name: str, x1: Any, x2: Any) -> tuple[Array, Array]:
    """The same, where an integer 0 to divide by is 1: the remainder is 0."""
    x1, x2 = _integral_operands(name, x1, x2)
    return x1, u.chosen(u.equal(x2, 0), 1, x2, x2) if dtypes.is_integer(x1.dtype) else x2


def mod(x1: Any, x2: Any, /) -> Array:
    """The remainder with the divisor's sign, elementwise, as Python's %. Integers modulo 0 give 0.

    Operands, dtypes and errors are as of `floor_divide`. The derivative by `x1` is 1, by `x2`
    -floor_divide(x1, x2). Source: `numpy.mod`.

    >>> import pullback.numpy as jnp
    >>> jnp.mod(jnp.array([-7, 7, 7]), jnp.array([3, -3, 0]))
    Array([ 2, -2,  0], dtype=int32)
    """
    x1, x2 = _remainder_operands("mod", x1, x2)
    if dtypes.is_float(x1.dtype):
        return mod_p.bind(x1, x2)
    remainder = e.rem_p.bind(x1, x2)
    wrong = u.logical_and(u.not_equal(u.less(remainder, 0), u.less(x2, 0)), u.not_equal(remainder, 0))
    return select(wrong, u.add(remainder, x2), remainder)


remainder = mod


def fmod(x1: Any, x2: Any, /) -> Array:
    """The remainder with the dividend's sign, elementwise, as C's. Integers modulo 0 give 0.

    Operands, dtypes and errors are as of `floor_divide`. Source: `numpy.fmod`.

    >>> import pullback.numpy as jnp
    >>> jnp.fmod(jnp.array([-7, 7, 7]), jnp.array([3, -3, 0]))
    Array([-1,  1,  0], dtype=int32)
    """
    return e.rem_p.bind(*_remainder_operands("fmod", x1, x2))


def divmod(x1: Any, x2: Any, /) -> tuple[Array, Array]:
    """`(floor_divide(x1, x2), mod(x1, x2))`, elementwise. Operands, dtypes and errors are as there. Source: `numpy.divmod`.

    >>> import pullback.numpy as jnp
    >>> jnp.divmod(jnp.array([7, -7]), 3)
    (Array([ 2, -3], dtype=int32), Array([1, 2], dtype=int32))
    """
    x1, x2 = _integral_operands("divmod", x1, x2)
    return floor_divide(x1, x2), mod(x1, x2)


def modf(x: Any, /, out: None = None) -> tuple[Array, Array]:
    """The fractional and the whole part, both with the sign of `x`, of its shape and floating dtype.

    Integers and booleans give floats. TypeError for complex numbers and lists; `out` must be None
    (NotImplementedError). Source: `numpy.modf`.

    >>> import pullback.numpy as jnp
    >>> jnp.modf(jnp.array([2.5, -2.5]))
    (Array([ 0.5, -0.5], dtype=float32), Array([ 2., -2.], dtype=float32))
    """
    u.no_out("modf", out)
    x = inexact(x, "modf")
    u.refuse_complex("modf", x)
    whole = u.trunc(x)
    return u.subtract(x, whole), whole


def _positive_integers(name: str, x1: Any, x2: Any) -> list[Array]:
    operands = broadcast_checked(name, x1, x2)
    if not dtypes.is_integer(operands[0].dtype):
        raise ValueError(f"{name} takes integers, got dtype {dtypes.name(operands[0].dtype)} at {user_line()}")
    scalars = not any(x.shape for x in operands)
    return [u.absolute(convert(x, x.dtype, scalars and x.weak_type)) for x in operands]


def gcd(x1: Any, x2: Any) -> Array:
    """Greatest common divisor, elementwise, not negative. ValueError unless both are integers.

    Shapes broadcast, dtypes are promoted to one; gcd(x, 0) is |x|. TypeError for lists and shapes that
    do not broadcast (ValueError, if they differ in rank). Source: `numpy.gcd`; Euclid's algorithm.

    >>> import pullback.numpy as jnp
    >>> jnp.gcd(jnp.array([12, 7, 0]), jnp.array([-18, 3, 5]))
    Array([6, 1, 5], dtype=int32)
    """
    a, b = _positive_integers("gcd", x1, x2)
    # Euclid's algorithm takes at most log_φ(2^bits) < 1.45·bits steps (Lamé 1844).
    for _ in range(math.ceil(1.45 * dtypes.itemsize_bits(a.dtype))):
        known = known_value(b)
        if known is not None and not np.any(known):
            break
        done = u.equal(b, 0)
        a, b = select(done, a, b), select(done, b, e.rem_p.bind(a, u.chosen(done, 1, b, b)))
    return a


def lcm(x1: Any, x2: Any) -> Array:
    """Least common multiple, elementwise, not negative; 0 where an operand is 0. ValueError unless
    both are integers. Otherwise as `gcd`. Source: `numpy.lcm`.

    >>> import pullback.numpy as jnp
    >>> jnp.lcm(jnp.array([4, 7, 0]), jnp.array([-6, 3, 5]))
    Array([12, 21,  0], dtype=int32)
    """
    a, b = _positive_integers("lcm", x1, x2)
    d = gcd(a, b)
    nothing = u.equal(d, 0)
    return u.chosen(nothing, 0, u.multiply(a, e.div_p.bind(b, u.chosen(nothing, 1, d, d))), a)


# ---- powers and logarithms -----------------------------------------------------------------------


def power(x1: Any, x2: Any, /) -> Array:
    """x1 to the x2, elementwise. A static integer exponent (an int or an integer scalar) is applied
    by multiplication.

    Shapes broadcast, dtypes are promoted to one; of reals, negative ones to powers that are no whole
    numbers are NaN, and x to the 0 is 1. Integers to a static negative power raise TypeError; to
    a traced one they give 1/x truncated. TypeError for lists and shapes that do not broadcast
    (ValueError, if they differ in rank). Source: `numpy.power`.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> jnp.power(jnp.array([2.0, -2.0]), -1)
    Array([ 0.5, -0.5], dtype=float32)
    >>> jnp.power(jnp.array([4.0, -4.0]), 0.5)
    Array([ 2., nan], dtype=float32)
    >>> pb.grad(lambda x: jnp.power(x, 3))(-2.0)
    Array(12., dtype=float32, weak_type=True)
    """
    if x2.__class__ is int and isinstance(x1, Array) and x1.dtype.kind in "fiu":
        exponent = x2
    else:
        exponent = _static_exponent(x2)
        if exponent is None:
            is_bool_scalar = x2.__class__ is bool
            x1, x2 = array_like(x1, "power"), array_like(x2, "power")
            # Unlike a factor, an integer exponent that is not known makes the power of a weakly
            # typed base strong.
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
    """x to the y, elementwise, in floating point: as `power`, but integers are floats. Source: `numpy.float_power`.

    >>> import pullback.numpy as jnp
    >>> jnp.float_power(jnp.array([2, 4]), -1)
    Array([0.5 , 0.25], dtype=float32)
    """
    return power(*promote_inexact("float_power", x, y))


def log2(x: Any, /) -> Array:
    """Logarithm to base 2, elementwise; exact at powers of two. NaN for negative reals, -inf at 0.

    Of the shape of `x` and its floating or complex dtype; integers and booleans give floats.
    TypeError for lists. Source: `numpy.log2`.

    >>> import pullback.numpy as jnp
    >>> jnp.log2(jnp.array([8, 1, 0]))
    Array([  3.,   0., -inf], dtype=float32)
    """
    return e.log2_p.bind(inexact(x, "log2", weak=False))


def log10(x: Any, /) -> Array:
    """Logarithm to base 10, elementwise. NaN for negative reals, -inf at 0.

    Of the shape of `x` and its floating or complex dtype; integers and booleans give floats.
    TypeError for lists. Source: `numpy.log10`.

    >>> import pullback.numpy as jnp
    >>> jnp.log10(jnp.array([100.0, 0.1, 0.0])).round(4)
    Array([  2.,  -1., -inf], dtype=float32)
    """
    out = u.log(inexact(x, "log10", weak=False))
    if u.is_complex(out):  # part by part: the quotient of an infinity by a complex number is NaN in the other part
        return e.complex_p.bind(*[u.divide(part, math.log(10)) for part in (u.real(out), u.imag(out))])
    return u.divide(out, math.log(10))


def logaddexp(x1: Any, x2: Any, /) -> Array:
    """log(exp(x1) + exp(x2)), elementwise, without overflow; the imaginary part of complex results
    is in (-π, π].

    Shapes broadcast, dtypes are promoted to a floating or complex one. Derivatives are right to any
    order, ties included. TypeError for lists and shapes that do not broadcast (ValueError, if they
    differ in rank). Source: `numpy.logaddexp`.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> jnp.logaddexp(jnp.array([1000.0, -jnp.inf]), jnp.array([1000.0, 2.0])).round(2)
    Array([1000.69,    2.  ], dtype=float32)
    >>> pb.grad(jnp.logaddexp)(1000.0, 1000.0)
    Array(0.5, dtype=float32, weak_type=True)
    """
    big, difference = _largest("logaddexp", x1, x2)
    out = u.add(big, u.log1p(u.exp(difference)))
    return _principal(convert(out, out.dtype, out.weak_type and not out.shape)) if u.is_complex(out) else out


def logaddexp2(x1: Any, x2: Any, /) -> Array:
    """log2(2**x1 + 2**x2), elementwise, without overflow. Operands, derivatives and errors are as of `logaddexp`.

    Source: `numpy.logaddexp2`.

    >>> import pullback.numpy as jnp
    >>> jnp.logaddexp2(jnp.array([1000.0, 3.0]), jnp.array([1000.0, -jnp.inf]))
    Array([1001.,    3.], dtype=float32)
    """
    big, difference = _largest("logaddexp2", *promote_inexact("logaddexp2", x1, x2, weak="scalars"))
    return u.add(big, u.divide(u.log1p(u.exp2(difference)), math.log(2)))


def _largest(name: str, x1: Any, x2: Any) -> tuple[Array, Array]:
    # log(eˣ + eʸ) = x + log1p(e^(y-x)) is smooth, whichever operand is taken out. To take out the
    # larger by `select` is only numerical care, which no derivative sees: they are right to any
    # order, ties included.
    x1, x2 = broadcast_checked(name, x1, x2, inexact=True)
    swap = u.less(u.real(x1), u.real(x2))
    big, small = select(swap, x2, x1), select(swap, x1, x2)
    infinite = u.logical_and(u.equal(big, small), u.logical_not(u.isfinite(big)))  # inf - inf must not make NaN
    return big, u.chosen(infinite, 0, u.subtract(small, big), big)


def _principal(z: Array) -> Array:
    turns = e.round_p.bind(u.divide(u.imag(z), 2 * math.pi), rounding_method=1)
    return e.complex_p.bind(u.real(z), u.subtract(u.imag(z), u.multiply(turns, 2 * math.pi)))


def hypot(x1: Any, x2: Any, /) -> Array:
    """√(x1² + x2²), elementwise, without overflow; infinite if either is.

    Shapes broadcast, dtypes are promoted to a floating one. ValueError for complex numbers, TypeError
    for lists and shapes that do not broadcast (ValueError, if they differ in rank). Source: `numpy.hypot`.

    >>> import pullback.numpy as jnp
    >>> jnp.hypot(jnp.array([3.0, 3e30, jnp.inf]), jnp.array([4.0, 4e30, jnp.nan]))
    Array([5.e+00, 5.e+30,    inf], dtype=float32)
    """
    x1, x2 = broadcast_checked("hypot", x1, x2, inexact=True, weak="scalars")
    u.refuse_complex("hypot", x1, error=ValueError)
    x1, x2 = u.absolute(x1), u.absolute(x2)
    infinite = u.logical_or(u.equal(x1, math.inf), u.equal(x2, math.inf))
    big, small = u.maximum(x1, x2), u.minimum(x1, x2)
    zero = u.equal(big, 0)
    ratio = u.divide(small, u.chosen(zero, 1, big, big))
    out = select(zero, big, u.multiply(big, u.sqrt(u.add(u.square(ratio), 1))))
    return u.chosen(infinite, math.inf, out, out)


# Where |πx| is smaller, sinc is its power series, so that derivatives of all orders are right at
# and near 0.
_SINC_SERIES_LIMIT = 0.5

_SINC_SERIES = [(-1) ** k / math.factorial(2 * k + 1) for k in range(10)]


def sinc(x: Any, /) -> Array:
    """sin(πx)/(πx), elementwise, and 1 at 0, near which derivatives of all orders are right, too.

    Of the shape of `x` and its floating or complex dtype; integers and booleans give floats.
    TypeError for lists. Source: `numpy.sinc`.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> jnp.sinc(jnp.array([0.0, 0.5, 1.5])).round(4)
    Array([ 1.    ,  0.6366, -0.2122], dtype=float32)
    >>> pb.grad(pb.grad(jnp.sinc))(0.0).round(4)  # -π²/3
    Array(-3.2899, dtype=float32, weak_type=True)
    """
    t = u.multiply(inexact(x, "sinc", weak="scalars"), math.pi)
    near = u.less(u.absolute(t), _SINC_SERIES_LIMIT)
    safe = u.chosen(near, 1, t, t)
    squared = u.square(u.chosen(near, t, 0, t))
    series: Any = _SINC_SERIES[-1]
    for coefficient in reversed(_SINC_SERIES[:-1]):
        series = u.add(u.multiply(series, squared), coefficient)
    return select(near, series, u.divide(u.sin(safe), safe))


def i0(x: Any) -> Array:
    """Modified Bessel function of the first kind, order 0, elementwise: I₀(x) = Σ (x²/4)^k / k!² (DLMF 10.25.2).

    Of the shape of `x` and its floating dtype; integers and booleans give floats. ValueError for
    complex numbers, TypeError for lists. Source: `numpy.i0`.

    >>> import pullback.numpy as jnp
    >>> jnp.i0(jnp.array([0.0, 1.0, -1.0])).round(4)
    Array([1.    , 1.2661, 1.2661], dtype=float32)
    """
    x = inexact(x, "i0")
    u.refuse_complex("i0", x, error=ValueError)
    from pullback.lax.special import bessel_i0e  # the special functions are loaded when first needed

    # |x| as x·sign(x), which has derivative 0 at 0, as the result has.
    return u.multiply(u.exp(u.multiply(x, u.sign(x))), bessel_i0e(x))


# ---- steps, and the parts of floats --------------------------------------------------------------


def heaviside(x1: Any, x2: Any, /) -> Array:
    """0, x2 or 1 where x1 is negative, zero or positive; NaN where it is NaN.

    Elementwise; shapes broadcast, dtypes are promoted to a floating one. TypeError for complex numbers,
    lists and shapes that do not broadcast (ValueError, if they differ in rank). Source: `numpy.heaviside`.

    >>> import pullback.numpy as jnp
    >>> jnp.heaviside(jnp.array([-1.5, 0.0, 2.0]), 0.5)
    Array([0. , 0.5, 1. ], dtype=float32)
    """
    x1, x2 = broadcast_checked("heaviside", x1, x2, inexact=True)
    u.refuse_complex("heaviside", x1)
    if x1.shape:
        x1, x2 = convert(x1, x1.dtype), convert(x2, x2.dtype)
    step = u.chosen(u.greater(x1, 0), 1, math.nan, x1)
    return u.chosen(u.less(x1, 0), 0, select(u.equal(x1, 0), x2, step), x1)


def copysign(x1: Any, x2: Any, /) -> Array:
    """|x1| with the sign of x2 (signed zeros and NaNs count), elementwise; integers give floats.

    Shapes broadcast, dtypes are promoted to a floating one. TypeError for complex numbers, lists and
    shapes that do not broadcast (ValueError, if they differ in rank). Source: `numpy.copysign`;
    IEEE 754-2019, 5.5.1.

    >>> import pullback.numpy as jnp
    >>> jnp.copysign(jnp.array([1.0, -2.0, 3.0]), jnp.array([-0.0, 5.0, -1.0]))
    Array([-1.,  2., -3.], dtype=float32)
    """
    x1, x2 = broadcast_checked("copysign", x1, x2, inexact=True)
    u.refuse_complex("copysign", x1)
    size = u.absolute(x1)
    return select(u.signbit(x2), u.negative(size), size)


def spacing(x: Any, /) -> Array:
    """The distance from `x` to the next float away from zero, with the sign of `x`; NaN if `x` is
    not finite. Its derivative is 0.

    Elementwise, of the shape of `x` and its floating dtype; integers and booleans give floats.
    TypeError for complex numbers and lists. Source: `numpy.spacing`.

    >>> import pullback.numpy as jnp
    >>> jnp.spacing(1.0) == jnp.finfo(jnp.float32).eps
    Array(True, dtype=bool)
    >>> jnp.spacing(jnp.array([1e8, -1e8, jnp.inf]))
    Array([ 8., -8., nan], dtype=float32)
    """
    x = inexact(x, "spacing")
    u.refuse_complex("spacing", x)
    x = convert(x, x.dtype)
    away = copysign(like(math.inf, x), x)
    return u.subtract(u.nextafter(x, away), x)


def ldexp(x1: Any, x2: Any, /) -> Array:
    """x1·2**x2 for integers x2, elementwise, in floating point, rounded once.

    Shapes broadcast; the dtype is that of `x1`, and floating for integers. ValueError for other
    exponents and complex `x1`, TypeError for lists. Source: `numpy.ldexp`, C's `ldexp`.

    >>> import pullback.numpy as jnp
    >>> jnp.ldexp(jnp.array([0.75, 1.0]), jnp.array([3, -1]))
    Array([6. , 0.5], dtype=float32)
    """
    x1, x2 = array_like(x1, "ldexp"), array_like(x2, "ldexp")
    if u.is_complex(x1) or dtypes.kind(x2.dtype) not in "iub":
        raise ValueError(f"ldexp takes a float and an integer, got {x1.aval} and {x2.aval} at {user_line()}")
    x1 = inexact(x1, "ldexp")
    return _times_power_of_two(convert(x1, x1.dtype), convert(x2, dtypes.int32))


def _times_power_of_two(x: Array, n: Array) -> Array:
    """x·2**n, rounded once: in three factors, as 2**n itself may overflow."""
    limits = dtypes.finfo(x.dtype)
    largest = int(limits.maxexp) - 1
    reach = 3 * largest - 3
    n = u.minimum(u.maximum(n, -reach), reach)
    third = e.div_p.bind(n, like(3, n))
    # A small exponent is one factor; a large one leaves no subnormal before the last factor, unless
    # the result is 0.
    small = u.less(u.absolute(n), largest)
    first = select(small, n, third)
    second = u.chosen(small, 0, third, n)
    last = u.subtract(u.subtract(n, first), second)
    for part in (first, second, last):
        x = u.multiply(x, u.exp2(convert(part, x.dtype)))
    return x


def frexp(x: Any, /) -> tuple[Array, Array]:
    """The mantissa in [0.5, 1) and the int32 exponent with x = mantissa·2**exponent; (x, 0) for 0,
    infinities and NaN.

    Elementwise, of the shape of `x`; the mantissa has its floating dtype, and its sign. Integers and
    booleans give floats. TypeError for complex numbers and lists. Source: `numpy.frexp`, C's `frexp`.

    >>> import pullback.numpy as jnp
    >>> jnp.frexp(jnp.array([6.0, -0.25, 0.0]))
    (Array([ 0.75, -0.5 ,  0.  ], dtype=float32), Array([ 3, -1,  0], dtype=int32))
    """
    x = inexact(x, "frexp")
    if u.is_complex(x):
        raise TypeError(f"frexp is not defined for complex numbers, got {x.aval} at {user_line()}")
    x = convert(x, x.dtype)
    limits = dtypes.finfo(x.dtype)
    width, fraction_bits, bias = x.dtype.itemsize * 8, int(limits.nmant), int(limits.maxexp) - 1
    # Subnormals are scaled into the normal range, where the exponent is a field of the
    # representation.
    tiny = u.less(u.absolute(x), float(limits.smallest_normal))
    scaled = select(tiny, u.multiply(x, 2.0**fraction_bits), x)
    bits = bitcast_convert_type(scaled, np.dtype(f"u{x.dtype.itemsize}"))
    field = u.bitwise_and(right_shift(bits, fraction_bits), 2 ** (width - 1 - fraction_bits) - 1)
    exponent = u.subtract(convert(field, dtypes.int32), bias - 1)
    exponent = u.chosen(tiny, u.subtract(exponent, fraction_bits), exponent, exponent)
    plain = u.logical_or(u.equal(x, 0), u.logical_not(u.isfinite(x)))
    exponent = u.chosen(plain, 0, exponent, exponent)
    return _times_power_of_two(x, u.negative(exponent)), exponent


# ---- bits ----------------------------------------------------------------------------------------


def _shift_operands(name: str, x: Any, y: Any) -> list[Array]:
    operands = broadcast_checked(name, x, y)
    return [convert(a, dtypes.int32) for a in operands] if operands[0].dtype == dtypes.bool_ else operands


def _with_bits(name: str, *operands: Array) -> Sequence[Array]:
    """The operands. Raises TypeError unless they are integers."""
    if not dtypes.is_integer(operands[0].dtype):
        problem = f"{name} does not accept dtype {dtypes.name(operands[0].dtype)}"
        raise here(TypeError, problem, ": only integers have bits")
    return operands


def left_shift(x: Any, y: Any, /) -> Array:
    """`x` shifted left by `y` bits, elementwise; 0 once all bits are gone, and for negative `y`.

    Shapes broadcast, dtypes are promoted to one (of booleans, int32). TypeError for floats, complex
    numbers, lists and shapes that do not broadcast (ValueError, if they differ in rank). Source:
    `numpy.left_shift`.

    >>> import pullback.numpy as jnp
    >>> jnp.left_shift(jnp.uint8(129), jnp.uint8([0, 1, 8]))
    Array([129,   2,   0], dtype=uint8)
    """
    return e.shift_left_p.bind(*_with_bits("shift_left", *_shift_operands("left_shift", x, y)))


def right_shift(x1: Any, x2: Any, /) -> Array:
    """`x1` shifted right by `x2` bits, elementwise; signed integers keep their sign.

    Operands, dtypes and errors are as of `left_shift`. Source: `numpy.right_shift`.

    >>> import pullback.numpy as jnp
    >>> jnp.right_shift(jnp.array([16, -16]), 2)
    Array([ 4, -4], dtype=int32)
    >>> jnp.right_shift(jnp.uint8(240), jnp.uint8([4, 8]))
    Array([15,  0], dtype=uint8)
    """
    operands = _shift_operands("right_shift", x1, x2)
    unsigned = dtypes.kind(operands[0].dtype) == "u"
    primitive = e.shift_right_logical_p if unsigned else e.shift_right_arithmetic_p
    return primitive.bind(*_with_bits(primitive.name, *operands))


bitwise_left_shift, bitwise_right_shift = left_shift, right_shift


def bitwise_count(x: Any, /) -> Array:
    """The number of one bits in |x|, elementwise, as uint8 of the shape of `x`.

    TypeError for floats, complex numbers and lists. Source: `numpy.bitwise_count`.

    >>> import pullback.numpy as jnp
    >>> jnp.bitwise_count(jnp.array([0, 7, -1]))
    Array([0, 3, 1], dtype=uint8)
    """
    x = array_like(x, "bitwise_count")
    if x.dtype == dtypes.bool_:
        return convert(x, dtypes.uint8)
    return convert(e.population_count_p.bind(u.absolute(*_with_bits("bitwise_count", x))), dtypes.uint8)


__all__ = ["bitwise_count", "bitwise_left_shift", "bitwise_right_shift", "copysign", "divmod", "float_power"]
__all__ += ["floor_divide", "fmod", "frexp", "gcd", "heaviside", "hypot", "i0", "lcm", "ldexp", "left_shift"]
__all__ += ["log10", "log2", "logaddexp", "logaddexp2", "mod", "modf", "pow", "power", "remainder", "right_shift"]
__all__ += ["sinc", "spacing"]
