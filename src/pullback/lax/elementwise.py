"""The elementwise table: mathematics, comparison, bits and complex parts, one primitive a line.

A line gives the name, the kinds of types (`i`nteger, `u`nsigned, `f`loat, `c`omplex, `b`ool), the NumPy evaluation, and for each
operand its partial derivative as a function of the operands and the result. What has no partials is discrete. Functions that are not
holomorphic (`abs`, `sign`, `real`, ...) or not regular have classes of their own below the table; `lax.special` has
the special functions.
"""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray, as_array
from pullback.core.dtypes import DType
from pullback.core.primitive import LinearPrimitive
from pullback.core.types import ShapedArray
from pullback.lax.family import (
    ANY,
    BITS,
    FLOAT,
    INEXACT,
    INTEGER,
    MINUS_ONE,
    NUMERIC,
    ONE,
    REAL,
    ZERO,
    Elementwise,
    add_p,
    like,
    mul_p,
    neg_p,
    sub_p,
)
from pullback.lax.selection import select
from pullback.lax.shape import unbroadcast

# ---- evaluation where NumPy and XLA differ ----------------------------------------------------------------------


def _div(x: Any, y: Any) -> Any:
    """Integers truncate towards zero; division by zero gives -1 (all ones), overflow wraps, as in XLA."""
    if x.dtype.kind not in "iu":
        return np.true_divide(x, y)
    safe = np.where(y == 0, np.ones((), y.dtype), y)
    if x.dtype.kind == "u":
        return np.where(y == 0, np.array(np.iinfo(y.dtype).max, x.dtype), np.floor_divide(x, safe))
    quotient = np.floor_divide(x, safe)
    toward_zero = quotient + ((quotient < 0) & (quotient * safe != x)).astype(x.dtype)
    return np.where(y == 0, np.array(-1, x.dtype), toward_zero)


def _rem(x: Any, y: Any) -> Any:
    """C's remainder (sign of the dividend); integer x rem 0 is x, as in XLA."""
    if x.dtype.kind not in "iu":
        return np.fmod(x, y)
    return np.where(y == 0, x, np.fmod(x, np.where(y == 0, np.ones((), y.dtype), y)))


def _pow(x: Any, y: Any) -> Any:
    if y.dtype.kind not in "iu" or x.dtype.kind not in "iu":
        return np.power(x, y)
    # Repeated squaring with wrap-around; negative exponents give 1/x truncated: 0 unless |x| is 1.
    base, exponent = np.broadcast_arrays(x, y)
    base, exponent = base.copy(), exponent.copy()
    negative = exponent < 0
    result = np.ones_like(base)
    left = np.where(negative, 0, exponent)
    while (left > 0).any():
        result = np.where(left & 1, result * base, result)
        base = base * base
        left = left >> 1
    if negative.any():
        odd = (exponent & 1).astype(bool)
        x_full = np.broadcast_to(x, result.shape)
        inverse = np.where(x_full == 1, 1, np.where(x_full == -1, np.where(odd, -1, 1), np.where(x_full == 0, -1, 0)))
        result = np.where(negative, inverse.astype(result.dtype), result)
    return result


def _sign(x: Any) -> Any:
    if x.dtype.kind == "c":
        size = np.abs(x)
        return np.where(size == 0, x * 0, x / np.where(size == 0, 1, size)).astype(x.dtype)
    out = np.sign(x)
    return np.where(x == 0, x, out) if x.dtype.kind not in "iub" else out  # keeps the sign of zero


def _shift(ufunc: Any, unsigned: bool) -> Any:
    """Shifts by more than the width give 0, or the sign for arithmetic right shifts."""

    def shift(x: Any, y: Any) -> Any:
        dtype = x.dtype
        bits = dtypes.itemsize_bits(dtype)
        as_unsigned = np.dtype(f"u{dtype.itemsize}")
        count = np.asarray(y).view(as_unsigned) if y.dtype.kind == "i" else y
        inside = count < bits
        if unsigned:
            return np.where(inside, ufunc(np.asarray(x).view(as_unsigned), np.where(inside, count, 0)).astype(as_unsigned), 0).astype(
                as_unsigned
            ).view(dtype)
        return ufunc(x, np.where(inside, count, bits - 1).astype(dtype))

    return shift


def _round_half_away(x: Any) -> Any:
    whole = np.trunc(x)
    return np.copysign(np.where(np.abs(x - whole) >= 0.5, whole + np.sign(x), whole), x).astype(x.dtype)


def _logistic(x: Any) -> Any:
    # 1 / (1 + exp(-x)) overflows harmlessly: exp(-x) is inf and the result 0.
    return (1 / (1 + np.exp(-x))).astype(x.dtype)


def _rsqrt(x: Any) -> Any:
    return np.reciprocal(np.sqrt(x)).astype(x.dtype)


def _clz(x: Any) -> Any:
    bits = dtypes.itemsize_bits(x.dtype)
    wide = np.asarray(x).view(f"u{x.dtype.itemsize}").astype(np.uint64)
    length = np.zeros(wide.shape, np.int64)
    for step in (32, 16, 8, 4, 2, 1):
        big = wide >= np.uint64(1) << np.uint64(step)
        length += step * big
        wide = np.where(big, wide >> np.uint64(step), wide)
    return (bits - length - (wide > 0)).astype(x.dtype)


def _mulhi(x: Any, y: Any) -> Any:
    dtype = np.result_type(x)
    bits = dtype.itemsize * 8
    if bits < 64:
        wide = np.dtype(f"{dtype.kind}{dtype.itemsize * 2}")
        return (np.multiply(x, y, dtype=wide) >> bits).astype(dtype)
    product = np.asarray(x, object) * np.asarray(y, object)
    return np.asarray(product >> 64, object).astype(dtype)


def _cbrt(x: Any) -> Any:
    return np.cbrt(x)


def _is_finite(x: Any) -> Any:
    return np.isfinite(x)


def _to_bool(dtype: DType) -> DType:
    return dtypes.bool_


def _scaled(factor: float) -> Any:
    return lambda x, out: mul_p.bind(like(factor, x), x)


def _tanh_partial(x: Any, out: Any) -> Any:
    return sub_p.bind(like(1, out), mul_p.bind(out, out))


def _pow_x(x: Any, y: Any, out: Any) -> Any:
    # y x^(y-1), and 0 where y is 0 whatever x is.
    zero = eq_p.bind(y, like(0, y))
    exponent = select(zero, like(1, y), sub_p.bind(y, like(1, y)))
    return mul_p.bind(y, pow_p.bind(x, exponent))


def _pow_y(x: Any, y: Any, out: Any) -> Any:
    # log(x) x^y, with the limit 0 at x = 0 (for positive y; log 0 must not make it NaN).
    safe = select(eq_p.bind(x, like(0, x)), like(1, x), x)
    return mul_p.bind(log_p.bind(safe), out)


def _chosen(x: Any, y: Any, out: Any) -> Any:
    # 1 where x alone is the extremum, 1/2 at ties, 0 elsewhere.
    wins = select(eq_p.bind(x, out), like(1, x), like(0, x))
    ties = select(eq_p.bind(y, out), like(0.5, x), like(1, x))
    return mul_p.bind(wins, ties)


def _indicator(condition: Any, x: Any) -> Any:
    return select(condition, like(1, x), like(0, x))


def _one_minus_square(x: Any) -> Any:
    return sub_p.bind(like(1, x), mul_p.bind(x, x))


def _one_plus_square(x: Any) -> Any:
    return add_p.bind(like(1, x), mul_p.bind(x, x))


# ---- the table --------------------------------------------------------------------------------------------------
# fmt: off
square_p = Elementwise("square", NUMERIC, np.square, _scaled(2))
exp_p    = Elementwise("exp",    INEXACT, np.exp,    lambda x, out: out)
exp2_p   = Elementwise("exp2",   INEXACT, lambda x: np.exp2(x) if x.dtype.kind != "c" else np.power(2, x).astype(x.dtype),
                       lambda x, out: mul_p.bind(like(np.log(2), x), out))
expm1_p  = Elementwise("expm1",  INEXACT, np.expm1,  lambda x, out: add_p.bind(out, like(1, x)))
log_p    = Elementwise("log",    INEXACT, np.log,    lambda x, out: div_p.bind(like(1, x), x))
log1p_p  = Elementwise("log1p",  INEXACT, np.log1p,  lambda x, out: div_p.bind(like(1, x), add_p.bind(x, like(1, x))))
sqrt_p   = Elementwise("sqrt",   INEXACT, np.sqrt,   lambda x, out: div_p.bind(like(0.5, x), out))
rsqrt_p  = Elementwise("rsqrt",  INEXACT, _rsqrt,    lambda x, out: mul_p.bind(like(-0.5, x), div_p.bind(out, x)))
cbrt_p   = Elementwise("cbrt",   FLOAT,   _cbrt,     lambda x, out: div_p.bind(like(1 / 3, x), mul_p.bind(out, out)))
sin_p    = Elementwise("sin",    INEXACT, np.sin,    lambda x, out: cos_p.bind(x))
cos_p    = Elementwise("cos",    INEXACT, np.cos,    lambda x, out: neg_p.bind(sin_p.bind(x)))
tan_p    = Elementwise("tan",    INEXACT, np.tan,    lambda x, out: _one_plus_square(out))
asin_p   = Elementwise("asin",   INEXACT, np.arcsin, lambda x, out: rsqrt_p.bind(_one_minus_square(x)))
acos_p   = Elementwise("acos",   INEXACT, np.arccos, lambda x, out: neg_p.bind(rsqrt_p.bind(_one_minus_square(x))))
atan_p   = Elementwise("atan",   INEXACT, np.arctan, lambda x, out: div_p.bind(like(1, x), _one_plus_square(x)))
sinh_p   = Elementwise("sinh",   INEXACT, np.sinh,   lambda x, out: cosh_p.bind(x))
cosh_p   = Elementwise("cosh",   INEXACT, np.cosh,   lambda x, out: sinh_p.bind(x))
tanh_p   = Elementwise("tanh",   INEXACT, np.tanh,   _tanh_partial)
asinh_p  = Elementwise("asinh",  INEXACT, np.arcsinh, lambda x, out: rsqrt_p.bind(_one_plus_square(x)))
# Two roots, so that the branch is right for complex x: 1/√(x-1) · 1/√(x+1).
acosh_p  = Elementwise("acosh",  INEXACT, np.arccosh, lambda x, out: mul_p.bind(rsqrt_p.bind(sub_p.bind(x, like(1, x))),
                                                                               rsqrt_p.bind(add_p.bind(x, like(1, x)))))
atanh_p  = Elementwise("atanh",  INEXACT, np.arctanh, lambda x, out: div_p.bind(like(1, x), _one_minus_square(x)))
logistic_p = Elementwise("logistic", INEXACT, _logistic, lambda x, out: mul_p.bind(out, sub_p.bind(like(1, x), out)))

div_p    = Elementwise("div",    NUMERIC, _div, lambda x, y, out: div_p.bind(like(1, y), y),
                       lambda x, y, out: neg_p.bind(div_p.bind(out, y)), linear=lambda active: not active[1])
rem_p    = Elementwise("rem",    REAL,    _rem, ONE, lambda x, y, out: neg_p.bind(trunc_quotient(x, y)))
pow_p    = Elementwise("pow",    NUMERIC, _pow, _pow_x, _pow_y)
max_p    = Elementwise("max",    ANY, np.maximum, lambda x, y, out: _chosen(x, y, out), lambda x, y, out: _chosen(y, x, out))
min_p    = Elementwise("min",    ANY, np.minimum, lambda x, y, out: _chosen(x, y, out), lambda x, y, out: _chosen(y, x, out))
atan2_p  = Elementwise("atan2",  FLOAT, np.arctan2,
                       lambda x, y, out: div_p.bind(y, add_p.bind(mul_p.bind(x, x), mul_p.bind(y, y))),
                       lambda x, y, out: neg_p.bind(div_p.bind(x, add_p.bind(mul_p.bind(x, x), mul_p.bind(y, y)))))
nextafter_p = Elementwise("nextafter", FLOAT, np.nextafter, ZERO, ZERO)

# zero derivative wherever they have one
floor_p  = Elementwise("floor",  FLOAT, np.floor, ZERO)
ceil_p   = Elementwise("ceil",   FLOAT, np.ceil,  ZERO)

clamp_p  = Elementwise("clamp",  ANY, lambda low, x, high: np.minimum(np.maximum(x, low), high),
                       lambda low, x, high, out: _indicator(gt_p.bind(low, x), x),
                       lambda low, x, high, out: _indicator(and_p.bind(ge_p.bind(x, low), le_p.bind(x, high)), x),
                       lambda low, x, high, out: _indicator(lt_p.bind(high, x), x))

# discrete
eq_p     = Elementwise("eq", ANY, np.equal,         result=_to_bool, arity=2)
ne_p     = Elementwise("ne", ANY, np.not_equal,     result=_to_bool, arity=2)
lt_p     = Elementwise("lt", ANY, np.less,          result=_to_bool, arity=2)
le_p     = Elementwise("le", ANY, np.less_equal,    result=_to_bool, arity=2)
gt_p     = Elementwise("gt", ANY, np.greater,       result=_to_bool, arity=2)
ge_p     = Elementwise("ge", ANY, np.greater_equal, result=_to_bool, arity=2)
is_finite_p = Elementwise("is_finite", INEXACT, _is_finite, result=_to_bool, arity=1)
and_p    = Elementwise("and", BITS, np.bitwise_and, arity=2)
or_p     = Elementwise("or",  BITS, np.bitwise_or,  arity=2)
xor_p    = Elementwise("xor", BITS, np.bitwise_xor, arity=2)
not_p    = Elementwise("not", BITS, np.invert,      arity=1)
shift_left_p = Elementwise("shift_left", INTEGER, _shift(np.left_shift, True), arity=2)
shift_right_logical_p = Elementwise("shift_right_logical", INTEGER, _shift(np.right_shift, True), arity=2)
shift_right_arithmetic_p = Elementwise("shift_right_arithmetic", INTEGER, _shift(np.right_shift, False), arity=2)
population_count_p = Elementwise("population_count", INTEGER,
                                 lambda x: np.bitwise_count(np.asarray(x).view(f"u{x.dtype.itemsize}")).astype(x.dtype), arity=1)
clz_p    = Elementwise("clz", INTEGER, _clz, arity=1)
mulhi_p  = Elementwise("mulhi", INTEGER, _mulhi, arity=2)
# fmt: on


def trunc_quotient(x: Any, y: Any) -> Any:
    """x / y rounded towards zero."""
    quotient = div_p.bind(x, y)
    return mul_p.bind(sign_p.bind(quotient), floor_p.bind(abs_p.bind(quotient)))


# ---- irregular: complex parts and non-holomorphic functions -----------------------------------------------------
# Cotangents pair with tangents by Re(ct · t), without conjugation: `real` transposes to c ↦ c + 0j, `imag` to c ↦ -c·1j,
# `conj` to itself (Autodiff Cookbook, "Complex numbers and differentiation").


class Real(LinearPrimitive):
    """The real part of a complex array."""

    name = "real"

    def evaluate(self, x: Any) -> Any:
        return x.real

    def type_of(self, x: ShapedArray) -> ShapedArray:
        return _part_type("real", x)

    def transpose(self, ct: Any, x: Any) -> Sequence[Any]:
        return [complex_p.bind(ct, like(0, ct))]

    def batch(self, size: int, args: Any, axes: Any) -> Any:
        return self.bind(*args), axes[0]


class Imag(LinearPrimitive):
    """The imaginary part of a complex array."""

    name = "imag"

    def evaluate(self, x: Any) -> Any:
        return x.imag

    def type_of(self, x: ShapedArray) -> ShapedArray:
        return _part_type("imag", x)

    def transpose(self, ct: Any, x: Any) -> Sequence[Any]:
        return [complex_p.bind(like(0, ct), neg_p.bind(ct))]

    def batch(self, size: int, args: Any, axes: Any) -> Any:
        return self.bind(*args), axes[0]


def _part_type(name: str, x: ShapedArray) -> ShapedArray:
    if not dtypes.is_complex(x.dtype):
        raise TypeError(f"{name} does not accept dtype {dtypes.name(x.dtype)}: only complex ones")
    return x.update(dtype=dtypes.to_real(x.dtype))


def _complex(x: Any, y: Any) -> Any:
    out = np.empty(np.broadcast_shapes(x.shape, y.shape), dtypes.to_complex(x.dtype))
    out.real, out.imag = x, y
    return out


class Complex(LinearPrimitive):
    """x + y·1j of two float arrays."""

    name = "complex"

    def evaluate(self, x: Any, y: Any) -> Any:
        return _complex(x, y)

    def type_of(self, x: ShapedArray, y: ShapedArray) -> ShapedArray:
        if x.dtype != y.dtype or x.dtype not in (dtypes.float32, dtypes.float64):
            raise TypeError(f"complex takes two arrays of one dtype, float32 or float64; got {x} and {y}")
        return ShapedArray(np.broadcast_shapes(x.shape, y.shape), dtypes.to_complex(x.dtype), x.weak_type and y.weak_type)

    def transpose(self, ct: Any, x: Any, y: Any) -> Sequence[Any]:
        return [unbroadcast(real_p.bind(ct), x.shape), unbroadcast(neg_p.bind(imag_p.bind(ct)), y.shape)]

    canonical_operands = Elementwise.canonical_operands

    def batch(self, size: int, args: Any, axes: Any) -> Any:
        return Elementwise.batch(self, size, args, axes)  # type: ignore[arg-type]


class Conj(LinearPrimitive):
    """The complex conjugate."""

    name = "conj"

    def evaluate(self, x: Any) -> Any:
        return np.conjugate(x)

    def type_of(self, x: ShapedArray) -> ShapedArray:
        if not dtypes.is_complex(x.dtype):
            raise TypeError(f"conj does not accept dtype {dtypes.name(x.dtype)}: only complex ones")
        return x

    def transpose(self, ct: Any, x: Any) -> Sequence[Any]:
        return [self.bind(ct)]

    def batch(self, size: int, args: Any, axes: Any) -> Any:
        return self.bind(*args), axes[0]


real_p, imag_p, complex_p, conj_p = Real(), Imag(), Complex(), Conj()


class Abs(Elementwise):
    """|x|: for complex x real, with d|x| = Re(conj(x/|x|) dx)."""

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> Any:
        (x,), (t,) = primals, tangents
        out, direction = self.bind(x), sign_p.bind(x)
        if not dtypes.is_complex(x.dtype):
            return out, mul_p.bind(direction, t)
        return out, real_p.bind(mul_p.bind(conj_p.bind(direction), t))

    def linearize(self, primals: Sequence[Any], nodes: Sequence[Any], params: Any) -> Any:
        if dtypes.is_complex(primals[0].dtype):
            return super(Elementwise, self).linearize(primals, nodes, params)
        return super().linearize(primals, nodes, params)


class Sign(Elementwise):
    """x/|x|, 0 at 0. For complex x, d(x/|x|) = (dx - s Re(conj(s) dx)) / |x| with s = x/|x|."""

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> Any:
        (x,), (t,) = primals, tangents
        out = self.bind(x)
        if not dtypes.is_complex(x.dtype):
            return out, None
        radial = complex_p.bind(real_p.bind(mul_p.bind(conj_p.bind(out), t)), like(0, real_p.bind(x)))
        size = complex_p.bind(abs_p.bind(x), like(0, real_p.bind(x)))
        return out, div_p.bind(sub_p.bind(t, mul_p.bind(out, radial)), size)

    def linearize(self, primals: Sequence[Any], nodes: Sequence[Any], params: Any) -> Any:
        return super(Elementwise, self).linearize(primals, nodes, params)


abs_p = Abs("abs", NUMERIC, np.abs, lambda x, out: sign_p.bind(x), result=dtypes.to_real)
abs_p.weakness = "all"
sign_p = Sign("sign", NUMERIC, _sign, ZERO)


def _round(x: Any, rounding_method: int) -> Any:
    return np.rint(x) if rounding_method else _round_half_away(x)


# To the nearest integer; ties away from zero (rounding_method 0) or to even (1).
round_p = Elementwise("round", FLOAT, _round, ZERO)


def _integer_pow(x: Any, y: int) -> Any:
    if y == 2:
        return np.multiply(x, x)
    if y == 3:
        return x * x * x
    if x.dtype.kind in "iu" and y < 0:
        return _div(np.ones_like(x), _pow(x, np.asarray(-y, x.dtype)))
    return np.power(x, np.asarray(y, x.dtype) if x.dtype.kind in "iu" else x.dtype.type(y))


def _integer_pow_partial(x: Any, out: Any, y: int) -> Any:
    if y == 0:
        return like(0, x)
    if y == 2:
        return mul_p.bind(like(2, x), x)
    return mul_p.bind(like(y, x), integer_pow_p.bind(x, y=y - 1))


integer_pow_p = Elementwise("integer_pow", NUMERIC, _integer_pow, _integer_pow_partial)
