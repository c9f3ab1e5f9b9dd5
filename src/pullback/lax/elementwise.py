"""The elementwise table: mathematics, comparison, bits and complex parts, one primitive a line.

A line gives the name, the kinds of types (`i`nteger, `u`nsigned, `f`loat, `c`omplex, `b`ool), the
NumPy evaluation, and for each operand its partial derivative as a function of the operands and the
result. What has no partials is discrete. Functions that are not holomorphic (`abs`, `sign`, `real`,
...) or not regular have classes of their own below the table; `lax.special` has the special
functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.dtypes import DType
from pullback.core.primitive import Fusion, LinearPrimitive
from pullback.core.types import ShapedArray, broadcast_shapes
from pullback.lax.family import (
    ANY,
    BITS,
    COMPLEX,
    FLOAT,
    INEXACT,
    INTEGER,
    NUMERIC,
    ONE,
    REAL,
    ZERO,
    Broadcasting,
    Elementwise,
    add_p,
    by_type,
    constant,
    direct,
    in_eight_bits,
    like,
    mul_p,
    neg_p,
    sub_p,
    to_bool,
)
from pullback.lax.inexact_in_xla import lower_atanh, lower_cosh, lower_log1p, lower_sinh
from pullback.lax.selection import select
from pullback.lax.shape import convert, unbroadcast

# ---- evaluation where NumPy and XLA differ -------------------------------------------------------


@by_type(lambda aval: _div if aval.dtype.kind in "iuc" else np.true_divide)
def _div(x: Any, y: Any) -> Any:
    """Integers truncate towards zero; division by zero gives -1 (all ones), overflow wraps, as in
    XLA."""
    kind = x.dtype.kind
    if kind == "c":
        out = np.true_divide(x, y)
        lost = np.isnan(out)
        # C99 (Annex G): a finite number by an infinite one is 0, where the formula gives NaN.
        return np.where(lost & np.isinf(y) & np.isfinite(x), 0, out) if lost.any() else out
    if kind not in "iu":
        return np.true_divide(x, y)
    # What C's remainder leaves divides exactly, so that rounding down is rounding towards zero.
    out = np.floor_divide(x if kind == "u" else np.subtract(x, np.fmod(x, y)), y)
    zero = np.equal(y, 0)
    return np.where(zero, np.array(-1).astype(x.dtype), out) if zero.any() else out


def _rem(x: Any, y: Any) -> Any:
    """C's remainder (sign of the dividend); integer x rem 0 is x, as in XLA."""
    out = np.fmod(x, y)
    if x.dtype.kind not in "iu":
        return out
    zero = np.equal(y, 0)
    return np.where(zero, x, out) if zero.any() else out


def _pow(x: Any, y: Any) -> Any:
    if x.dtype.kind in "iu":
        return _integer_power(x, y)
    if not dtypes.is_integer(y.dtype):
        if y.ndim == 0 and y == 0.5 and x.dtype.kind == "f":
            # NumPy takes the square root, which differs from the power (C99, F.10.4.4) at -0 and
            # -inf.
            return np.where(np.isneginf(x), np.inf, np.sqrt(x) + 0).astype(x.dtype)
        return np.power(x, y)
    if dtypes.is_complex(x.dtype):
        out = np.power(x, np.abs(y).astype(x.dtype))
        return np.where(y < 0, _div(np.ones((), x.dtype), out), out)
    # float64 holds every 32-bit exponent, float32 only small ones: others would lose their parity,
    # the sign of the result.
    if y.dtype.itemsize < x.dtype.itemsize:
        return np.power(x, y.astype(x.dtype))
    out = np.power(np.abs(x.astype(np.float64)), y.astype(np.float64))
    negative = np.signbit(x) & (np.bitwise_and(y, 1) == 1)
    return np.where(negative, -out, out).astype(x.dtype)


def _integer_power(x: Any, y: Any) -> Any:
    # Repeated squaring with wrap-around; negative exponents give 1/x truncated: 0 unless |x| is 1
    # (0 for 0, too).
    x, y = np.broadcast_arrays(x, y)
    out, base, left = np.ones_like(x), x, np.where(y < 0, 0, y)
    while (left > 0).any():
        out = np.where(left & 1, out * base, out)
        base = base * base
        left = left >> 1
    inverse = _div(np.ones_like(x), np.where(y & 1, x, x * x))
    return np.where(y < 0, np.where(x == 0, 0, inverse), out).astype(x.dtype)


def _integer_pow(x: Any, y: int) -> Any:
    if y == 2:
        return np.multiply(x, x)
    if y == 3:
        return np.multiply(np.multiply(x, x), x)
    if y < 0:
        power = _integer_pow(x, -y)
        return _div(np.ones((), x.dtype), power)
    if y == 1:
        return x
    if not dtypes.is_float(x.dtype):
        return _by_squaring(x, y, np.multiply, np.ones_like(x))  # integers wrap around
    # A float that does not hold the exponent would lose its parity.
    return _pow(x, np.asarray(y, x.dtype if y <= 1 << dtypes.finfo(x.dtype).nmant else np.int64))


def _by_squaring(x: Any, y: int, times: Any, out: Any = None) -> Any:
    """`out` (if there is any) times `x` to a power that is not negative, as NumPy, compilers and
    the derivative see it: x^(2k) = (x^k)²."""
    while y:
        if y & 1:
            out = x if out is None else times(out, x)
        y >>= 1
        if y:
            x = times(x, x)
    return out


def _sign(x: Any) -> Any:
    out = np.sign(x)  # of complex numbers whose size has no reciprocal, too
    if x.dtype.kind == "c":  # infinities have no direction, as in compiled code
        return np.where(x == 0, x, np.where(np.isinf(x), x.dtype.type(complex(np.nan, np.nan)), out))
    return out if x.dtype.kind in "iu" else np.copysign(out, x)  # keeps the sign of zero


def _bits(x: Any) -> Any:
    """The elements as unsigned integers of at least 8 bits, of which those beyond the width of the
    dtype are 0."""
    out = np.asarray(x).view(f"u{x.dtype.itemsize}")
    return out & np.uint8((1 << dtypes.itemsize_bits(x.dtype)) - 1) if not dtypes.is_numpys(x.dtype) else out


def _signed(x: Any) -> Any:
    """The elements as signed integers of at least 8 bits with the same low bits."""
    unused = 8 * x.dtype.itemsize - dtypes.itemsize_bits(x.dtype)
    out = _bits(x).view(f"i{x.dtype.itemsize}")
    return (out << unused) >> unused if unused else out


def _shifted(shift: Any) -> Any:
    """`shift`, of bits: by more than the width it gives 0."""

    def evaluate(x: Any, y: Any) -> Any:
        count, bits = _bits(y), _bits(x)
        inside = count < dtypes.itemsize_bits(x.dtype)
        return _from_bits(np.where(inside, shift(bits, count), np.zeros((), bits.dtype)), x.dtype)

    return evaluate


def _shift_right_arithmetic(x: Any, y: Any) -> Any:
    """Shifts by more than the width give the sign; the highest bit is the sign, of unsigned types
    too."""
    value, last = _signed(x), dtypes.itemsize_bits(x.dtype) - 1
    return _from_bits(np.right_shift(value, np.minimum(_bits(y), last).astype(value.dtype)), x.dtype)


def _from_bits(bits: Any, dtype: DType) -> Any:
    return bits.astype(dtype) if not dtypes.is_numpys(dtype) else bits.view(dtype)


def _population_count(x: Any) -> Any:
    return np.bitwise_count(_bits(x)).astype(x.dtype)


def _clz(x: Any) -> Any:
    wide = _bits(x).astype(np.uint64)
    length = np.zeros(wide.shape, np.int64)
    for step in (32, 16, 8, 4, 2, 1):
        big = wide >= np.uint64(1) << np.uint64(step)
        length += step * big
        wide = np.where(big, wide >> np.uint64(step), wide)
    return (dtypes.itemsize_bits(x.dtype) - length - (wide > 0)).astype(x.dtype)


def _mulhi(x: Any, y: Any) -> Any:
    dtype, bits = x.dtype, dtypes.itemsize_bits(x.dtype)
    wide = np.dtype(object) if bits == 64 else np.dtype(np.int64 if dtypes.kind(dtype) == "i" else np.uint64)
    product = np.multiply(np.asarray(x, wide), np.asarray(y, wide))
    return np.asarray(np.right_shift(product, bits)).astype(dtype)


def _round_half_away(x: Any) -> Any:
    whole = np.trunc(x)
    return np.copysign(np.where(np.abs(x - whole) >= 0.5, whole + np.sign(x), whole), x).astype(x.dtype)


def _round(x: Any, rounding_method: int) -> Any:
    return np.rint(x) if rounding_method else _round_half_away(x)


def _logistic(x: Any) -> Any:
    # 1 / (1 + exp(-x)): where exp(-x) overflows, to infinity, the result is 0.
    if x.dtype.itemsize < 4:
        return (1 / (1 + np.exp(-x.astype(np.float32)))).astype(x.dtype)
    one = constant(1, x)
    return _div(one, np.add(np.exp(np.negative(x)), one))


def _rsqrt(x: Any) -> Any:
    return _div(constant(1, x), np.sqrt(x))


def _exp2(x: Any) -> Any:
    if x.dtype.kind != "c":
        return np.exp2(x)
    angle = x.imag * np.log(2)
    return _polar(np.exp2(x.real), angle, x.dtype)


def _polar(size: Any, angle: Any, dtype: DType) -> Any:
    """size · e^(i angle). On the real axis the imaginary part is 0 even if the size is infinite."""
    out = np.empty(size.shape, dtype)
    out.real = size * np.cos(angle)
    out.imag = np.where(angle == 0, angle, size * np.sin(angle))
    return out


def _expm1(x: Any) -> Any:
    if x.dtype.kind != "c":
        return np.expm1(x)
    # e^a cos b - 1 = (e^a - 1) cos b - 2 sin²(b/2)
    a, b = x.real, x.imag
    power = np.exp(x)
    real = np.expm1(a) * np.cos(b) - 2 * np.square(np.sin(b / 2))
    return _complex(np.where(np.isfinite(real), real, power.real - 1), power.imag)


def _log1p(x: Any) -> Any:
    if x.dtype.kind != "c":
        return np.log1p(x)
    # |1 + x|² = 1 + a (2 + a) + b²: near 0 its logarithm needs what rounding 1 + a would lose.
    a, b = x.real, x.imag
    small = np.log1p(a * (2 + a) + b * b) / 2
    out = np.log(_complex(1 + a, b))  # 1 + x would make -0.0 in the imaginary part 0.0: the other side of the cut
    near = np.maximum(np.abs(a), np.abs(b)) < 0.5
    return np.where(near, _complex(small, out.imag), out)


def _atan2(x: Any, y: Any) -> Any:
    if x.dtype.kind != "c":
        return np.arctan2(x, y)
    return np.log((y + 1j * x) / np.sqrt(x * x + y * y)) * -1j


@by_type(lambda aval: _equal if dtypes.is_key(aval.dtype) else np.equal)
def _equal(x: Any, y: Any) -> Any:
    if not dtypes.is_key(x.dtype):
        return np.equal(x, y)
    return np.equal(x["fry"], y["fry"]).all(-1)  # both words of the key


@by_type(lambda aval: _not_equal if dtypes.is_key(aval.dtype) else np.not_equal)
def _not_equal(x: Any, y: Any) -> Any:
    if not dtypes.is_key(x.dtype):
        return np.not_equal(x, y)
    return ~_equal(x, y)


def _scaled(factor: float) -> Any:
    return direct(lambda x, out: mul_p.on(constant(factor, x), x))


@direct
def _tanh_partial(x: Any, out: Any) -> Any:
    return sub_p.on(constant(1, out), square_p.on(out))


class Pow(Elementwise):
    """x^y for operands of one dtype, or inexact x and integer y (whose values are exact for any y)."""

    def type_of(self, x: ShapedArray, y: ShapedArray) -> ShapedArray:  # type: ignore[override]
        if dtypes.is_inexact(x.dtype) and dtypes.is_integer(y.dtype):
            return ShapedArray(broadcast_shapes(x.shape, y.shape), x.dtype, x.weak_type and y.weak_type)
        return super().type_of(x, y)

    def lower(self, emit: Any, x: Any, y: Any) -> Any:
        shape = emit.type.shape
        x, y = emit.broadcast(x, shape), emit.broadcast(y, shape)
        if dtypes.is_integer(x.dtype):
            return _lower_integer_power(emit, x, y)
        if not dtypes.is_integer(y.dtype):
            return emit("power", x, y)
        negative = emit.compare("LT", y, emit.like(0, y)) if dtypes.kind(y.dtype) == "i" else None
        if dtypes.is_complex(x.dtype):
            size = emit("abs", y) if negative is not None else y
            out = emit("power", x, emit.convert(size, x.dtype))
            return out if negative is None else emit.select(negative, emit("divide", emit.like(1, x), out), out)
        # float64 holds every 32-bit exponent; the sign, which is the exponent's parity, is for
        # those that it rounds.
        exponent = emit.convert(y, dtypes.float64)
        out = emit.convert(emit("power", emit.convert(emit("abs", x), dtypes.float64), exponent), x.dtype)
        odd = emit.compare("EQ", emit("and", y, emit.like(1, y)), emit.like(1, y))
        signed = emit.compare("LT", emit("atan2", x, emit.like(-1, x)), emit.like(0, x))  # -0.0, too
        return emit.select(emit("and", odd, signed), emit("negate", out), out)


def _lower_integer_power(emit: Any, x: Any, y: Any) -> Any:
    # Repeated squaring with wrap-around; negative exponents give 1/x truncated: 0 unless |x| is 1
    # (0 for 0, too).
    zero, one = emit.like(0, x), emit.like(1, x)
    signed = dtypes.kind(y.dtype) == "i"

    def some_left(out: Any, base: Any, left: Any) -> Any:
        return emit.any(emit.compare("GT", left, emit.like(0, left)))

    def square(out: Any, base: Any, left: Any) -> list[Any]:
        odd = emit.compare("EQ", emit("and", left, emit.like(1, left)), emit.like(1, left))
        halved = emit("shift_right_logical", left, emit.like(1, left))
        return [emit.select(odd, emit("multiply", out, base), out), emit("multiply", base, base), halved]

    out = emit.while_loop(some_left, square, [one, x, emit("maximum", y, emit.like(0, y))])[0]
    if not signed:
        return out
    odd = emit.compare("EQ", emit("and", y, emit.like(1, y)), emit.like(1, y))
    power = emit.select(odd, x, emit("multiply", x, x))
    inverse = emit.select(emit.compare("EQ", x, zero), zero, emit("divide", one, power))
    return emit.select(emit.compare("LT", y, emit.like(0, y)), inverse, out)


def _lower_sign(emit: Any, x: Any) -> Any:
    if dtypes.kind(x.dtype) == "u":
        return emit.convert(emit.compare("NE", x, emit.like(0, x)), x.dtype)
    return emit("sign", x)


def _lower_exp2(emit: Any, x: Any) -> Any:
    if not dtypes.is_complex(x.dtype):
        return emit("power", emit.like(2, x), x)
    # By parts: a complex product makes NaN of an infinity times the zero of a real factor.
    scaled = [emit("multiply", part, emit.like(np.log(2), part)) for part in emit.parts(x)]
    return emit("exponential", emit("complex", *scaled, out=x))


def _lower_log2(emit: Any, x: Any) -> Any:
    from pullback.lax.binary_logarithm import lower_log2

    return lower_log2(emit, x)


def _with_cut(operation: str, axis: str = "imag", flipped: bool = False) -> Any:
    """The lowering of a function with branch cuts. XLA's expansions for complex numbers drop the
    sign of a zero, which tells the sides of a cut apart. As f(z̄) is the conjugate of f(z), the
    imaginary part of f(z) has the sign of that of z (the opposite one, for `acos` and 1/√z); where
    the cuts are on the imaginary axis (`axis` "real"), f is odd besides, and this holds of the real
    parts."""

    def lower(emit: Any, x: Any) -> Any:
        out = emit(operation, x)
        if not dtypes.is_complex(x.dtype):
            return out
        real = dtypes.to_real(x.dtype)
        parts = ShapedArray(x.shape, real)
        bits = ShapedArray(x.shape, dtypes.int32 if real == dtypes.float32 else dtypes.int64)
        side = emit("bitcast_convert", emit(axis, x, out=parts), out=bits)
        found = {name: emit(name, out, out=parts) for name in ("real", "imag")}
        plus = emit("abs", found[axis])
        minus = emit("negate", plus)
        below = emit.compare("LT", side, emit.like(0, side))
        found[axis] = emit.select(below, plus, minus) if flipped else emit.select(below, minus, plus)
        return emit("complex", found["real"], found["imag"], out=out)

    return lower


def _lower_mulhi(emit: Any, x: Any, y: Any) -> Any:
    bits = dtypes.itemsize_bits(x.dtype)
    if bits < 64:
        wide = dtypes.int64 if dtypes.kind(x.dtype) == "i" else dtypes.uint64
        product = emit("multiply", emit.convert(x, wide), emit.convert(y, wide))
        return emit.convert(emit("shift_right_arithmetic", product, emit.like(bits, product)), x.dtype)
    # By halves of 32 bits: x = x1 2³² + x0 and y alike (Warren, Hacker's Delight, 8-2).
    shift = "shift_right_arithmetic" if dtypes.kind(x.dtype) == "i" else "shift_right_logical"
    half, low = emit.like(32, x), emit.like(0xFFFFFFFF, x)
    x0, y0 = emit("and", x, low), emit("and", y, low)
    x1, y1 = emit(shift, x, half), emit(shift, y, half)
    carry = emit("shift_right_logical", emit("multiply", x0, y0), half)
    t = emit("add", emit("multiply", x1, y0), carry)
    w = emit("add", emit("and", t, low), emit("multiply", x0, y1))
    return emit("add", emit("add", emit("multiply", x1, y1), emit(shift, t, half)), emit(shift, w, half))


def _pow_x(x: Any, y: Any, out: Any) -> Any:
    zero = eq_p.bind(y, like(0, y))
    if dtypes.is_integer(y.dtype):
        power = pow_p.bind(x, select(zero, like(1, y), sub_p.bind(y, like(1, y))))
        return select(zero, like(0, x), mul_p.bind(convert(y, x.dtype), power))
    # y x^(y-1) is right at y = 0 as well, its derivative 1/x by y included. At 0^0 alone the factor
    # y = 0 must decide: there the exponent 1 stands for -1.
    zero = and_p.bind(eq_p.bind(x, like(0, x)), zero)
    return mul_p.bind(y, pow_p.bind(x, select(zero, like(1, y), sub_p.bind(y, like(1, y)))))


def _pow_y(x: Any, y: Any, out: Any) -> Any:
    # log(x) x^y, with the limit 0 at x = 0 (for positive y; log 0 must not make it NaN).
    safe = select(eq_p.bind(x, like(0, x)), like(1, x), x)
    return mul_p.bind(log_p.bind(safe), out)


def _share(wins: Any, ties: Any, x: Any) -> Any:
    """The partial of an extremum: 1 where an operand wins, 1/2 where it ties, 0 elsewhere.

    Operands are compared with each other, not with the extremum: a compiled program may compute an operand
    again, with other roundings, and it is then not equal to what it was.
    """
    return select(wins, like(1, x), select(ties, like(0.5, x), like(0, x)))


def _indicator(condition: Any, x: Any) -> Any:
    return select(condition, like(1, x), like(0, x))


# Partials are written in powers of what they are rational in, not as quotients: the derivative of a
# quotient of infinities is NaN, even where that of the function has a limit.


def _cbrt_partial(x: Any, out: Any) -> Any:
    return mul_p.bind(like(1 / 3, x), integer_pow_p.bind(out, y=-2))


def _atanh_partial(x: Any, out: Any) -> Any:
    one = like(1, x)
    return mul_p.bind(integer_pow_p.bind(add_p.bind(one, x), y=-1), integer_pow_p.bind(sub_p.bind(one, x), y=-1))


def _one_minus_square(x: Any) -> Any:
    # By factors, of which the small one is exact: near 1, the rounding of x² is as large as the
    # result.
    return (1 - x) * (1 + x)


def _lower_one_minus_square(emit: Any, x: Any) -> Any:
    one = emit.like(1, x)
    return emit("multiply", emit("subtract", one, x), emit("add", one, x))


def _one_plus_square(x: Any) -> Any:
    return add_p.bind(like(1, x), mul_p.bind(x, x))


# ---- lowering where StableHLO has no operation of the same meaning -------------------------------


def _compare(direction: str) -> Any:
    return lambda emit, x, y: emit.compare(direction, x, y)


def _lower_round(emit: Any, x: Any, rounding_method: int) -> Any:
    return emit("round_nearest_even" if rounding_method else "round_nearest_afz", x)


def _lower_integer_pow(emit: Any, x: Any, y: int) -> Any:
    out = _by_squaring(x, abs(y), lambda x, y: emit("multiply", x, y)) if y else emit.like(1, x)
    return emit("divide", emit.like(1, x), out) if y < 0 else out


# ---- the table -----------------------------------------------------------------------------------
# fmt: off
square_p = Elementwise("square", NUMERIC, in_eight_bits(np.square, 1), _scaled(2), hlo=lambda emit, x: emit("multiply", x, x))
one_minus_square_p = Elementwise(
    "one_minus_square", NUMERIC, in_eight_bits(_one_minus_square, 1), _scaled(-2), hlo=_lower_one_minus_square, cost=2
)
exp_p    = Elementwise("exp",    INEXACT, np.exp,    direct(lambda x, out: out), hlo="exponential", cost=20, xla_from={8: 1 << 21})
exp2_p   = Elementwise("exp2",   INEXACT, _exp2,     lambda x, out: mul_p.bind(like(np.log(2), x), out), hlo=_lower_exp2, cost=20)
expm1_p  = Elementwise("expm1",  INEXACT, _expm1,    lambda x, out: exp_p.bind(x), hlo="exponential_minus_one", cost=20)
log_p    = Elementwise("log",    INEXACT, np.log,    direct(lambda x, out: div_p.on(constant(1, x), x)), hlo="log", cost=20)
log2_p   = Elementwise("log2",   INEXACT, np.log2,   lambda x, out: div_p.bind(like(1 / np.log(2), x), x), hlo=_lower_log2, cost=24)
log1p_p  = Elementwise("log1p",  INEXACT, _log1p,    lambda x, out: div_p.bind(like(1, x), add_p.bind(x, like(1, x))), hlo=lower_log1p, cost=20)
sqrt_p   = Elementwise("sqrt",   INEXACT, np.sqrt,   direct(lambda x, out: div_p.on(constant(0.5, x), out)),
                       hlo=_with_cut("sqrt"), cost=4, xla_from={8: 1 << 18})
rsqrt_p  = Elementwise("rsqrt",  INEXACT, _rsqrt,    lambda x, out: mul_p.bind(like(-0.5, x), div_p.bind(out, x)),
                       hlo=_with_cut("rsqrt", flipped=True), cost=6)
cbrt_p   = Elementwise("cbrt",   FLOAT,   np.cbrt,   _cbrt_partial, hlo="cbrt", cost=20)
sin_p    = Elementwise("sin",    INEXACT, np.sin,    direct(lambda x, out: cos_p.on(x)), hlo="sine", cost=20, xla_from={8: 1 << 18})
cos_p    = Elementwise("cos",    INEXACT, np.cos,    direct(lambda x, out: neg_p.on(sin_p.on(x))), hlo="cosine", cost=20, xla_from={8: 1 << 18})
tan_p    = Elementwise("tan",    INEXACT, np.tan,    lambda x, out: _one_plus_square(out), hlo="tan", cost=20)
asin_p   = Elementwise("asin",   INEXACT, np.arcsin, lambda x, out: rsqrt_p.bind(one_minus_square_p.bind(x)), hlo=_with_cut("chlo.asin"), cost=20)
acos_p   = Elementwise("acos",   INEXACT, np.arccos, lambda x, out: neg_p.bind(rsqrt_p.bind(one_minus_square_p.bind(x))),
                       hlo=_with_cut("chlo.acos", flipped=True), cost=20)
atan_p   = Elementwise("atan",   INEXACT, np.arctan, lambda x, out: div_p.bind(like(1, x), _one_plus_square(x)),
                       hlo=_with_cut("chlo.atan", "real"), cost=20)
sinh_p   = Elementwise("sinh",   INEXACT, np.sinh,   lambda x, out: cosh_p.bind(x), hlo=lower_sinh, cost=20)
cosh_p   = Elementwise("cosh",   INEXACT, np.cosh,   lambda x, out: sinh_p.bind(x), hlo=lower_cosh, cost=20)
tanh_p   = Elementwise("tanh",   INEXACT, np.tanh,   _tanh_partial, hlo="tanh", cost=20, xla_from={8: 1 << 18})
asinh_p  = Elementwise("asinh",  INEXACT, np.arcsinh, lambda x, out: rsqrt_p.bind(_one_plus_square(x)), hlo=_with_cut("chlo.asinh", "real"), cost=20)
# Two roots, so that the branch is right for complex x: 1/√(x-1) · 1/√(x+1).
acosh_p  = Elementwise("acosh",  INEXACT, np.arccosh, lambda x, out: mul_p.bind(rsqrt_p.bind(sub_p.bind(x, like(1, x))),
                                                                               rsqrt_p.bind(add_p.bind(x, like(1, x)))),
                       hlo=_with_cut("chlo.acosh"), cost=20)
atanh_p  = Elementwise("atanh",  INEXACT, np.arctanh, _atanh_partial, hlo=lower_atanh(_with_cut("chlo.atanh")), cost=20)
logistic_p = Elementwise("logistic", INEXACT, _logistic, direct(lambda x, out: mul_p.on(out, sub_p.on(constant(1, x), out))),
                         hlo="logistic", cost=20, xla_from={4: 1 << 19, 8: 1 << 20})

div_p    = Elementwise("div",    NUMERIC, in_eight_bits(_div, 2), direct(lambda x, y, out: div_p.on(constant(1, y), y)),
                       direct(lambda x, y, out: neg_p.on(div_p.on(out, y))), linear=lambda active: not active[1], hlo="divide", cost=4)
rem_p    = Elementwise("rem",    REAL,    in_eight_bits(_rem, 2), ONE, lambda x, y, out: neg_p.bind(trunc_quotient(x, y)), hlo="remainder", cost=8)
pow_p    = Pow("pow",            NUMERIC, in_eight_bits(_pow), _pow_x, _pow_y, hlo="power", cost=20)
max_p    = Elementwise("max",    ANY, in_eight_bits(np.maximum, 2),
                       lambda x, y, out: _share(gt_p.bind(x, y), eq_p.bind(x, y), x),
                       lambda x, y, out: _share(gt_p.bind(y, x), eq_p.bind(x, y), y),
                       hlo=lambda emit, x, y: emit("maximum", x, y), makes_nan=False)
min_p    = Elementwise("min",    ANY, in_eight_bits(np.minimum, 2),
                       lambda x, y, out: _share(lt_p.bind(x, y), eq_p.bind(x, y), x),
                       lambda x, y, out: _share(lt_p.bind(y, x), eq_p.bind(x, y), y),
                       hlo=lambda emit, x, y: emit("minimum", x, y), makes_nan=False)
atan2_p  = Elementwise("atan2",  INEXACT, _atan2,
                       lambda x, y, out: div_p.bind(y, add_p.bind(mul_p.bind(x, x), mul_p.bind(y, y))),
                       lambda x, y, out: neg_p.bind(div_p.bind(x, add_p.bind(mul_p.bind(x, x), mul_p.bind(y, y)))), hlo="atan2", cost=20)
# The first operand but for a rounding error, and differentiated as such.
nextafter_p = Elementwise("nextafter", FLOAT, np.nextafter, ONE, ZERO, hlo="chlo.next_after", makes_nan=False)

# zero derivative wherever they have one
floor_p  = Elementwise("floor",  FLOAT, np.floor, ZERO, hlo="floor", makes_nan=False)
ceil_p   = Elementwise("ceil",   FLOAT, np.ceil,  ZERO, hlo="ceil", makes_nan=False)

clamp_p  = Elementwise("clamp",  ANY, in_eight_bits(lambda low, x, high: np.minimum(np.maximum(x, low), high)),
                       lambda low, x, high, out: _indicator(and_p.bind(gt_p.bind(low, x), lt_p.bind(low, high)), x),
                       lambda low, x, high, out: _indicator(and_p.bind(gt_p.bind(x, low), lt_p.bind(x, high)), x),
                       lambda low, x, high, out: _indicator(lt_p.bind(high, x), x), hlo="clamp", makes_nan=False)

# discrete
eq_p     = Elementwise("eq", ANY + "k", _equal,                          result=to_bool, arity=2, hlo=_compare("EQ"))
ne_p     = Elementwise("ne", ANY + "k", _not_equal,                       result=to_bool, arity=2, hlo=_compare("NE"))
lt_p     = Elementwise("lt", ANY, np.less,          result=to_bool, arity=2, hlo=_compare("LT"))
le_p     = Elementwise("le", ANY, np.less_equal,    result=to_bool, arity=2, hlo=_compare("LE"))
gt_p     = Elementwise("gt", ANY, np.greater,       result=to_bool, arity=2, hlo=_compare("GT"))
ge_p     = Elementwise("ge", ANY, np.greater_equal, result=to_bool, arity=2, hlo=_compare("GE"))
is_finite_p = Elementwise("is_finite", INEXACT, np.isfinite, result=to_bool, arity=1, hlo="is_finite")
and_p    = Elementwise("and", BITS, in_eight_bits(np.bitwise_and, 2), arity=2, hlo="and")
or_p     = Elementwise("or",  BITS, in_eight_bits(np.bitwise_or, 2),  arity=2, hlo="or")
xor_p    = Elementwise("xor", BITS, in_eight_bits(np.bitwise_xor, 2), arity=2, hlo="xor")
not_p    = Elementwise("not", BITS, in_eight_bits(np.invert),      arity=1, hlo="not")
shift_left_p = Elementwise("shift_left", INTEGER, _shifted(np.left_shift), arity=2, hlo="shift_left")
shift_right_logical_p = Elementwise("shift_right_logical", INTEGER, _shifted(np.right_shift), arity=2, hlo="shift_right_logical")
shift_right_arithmetic_p = Elementwise("shift_right_arithmetic", INTEGER, _shift_right_arithmetic, arity=2, hlo="shift_right_arithmetic")
population_count_p = Elementwise("population_count", INTEGER, _population_count, arity=1, hlo="popcnt")
clz_p    = Elementwise("clz", INTEGER, _clz, arity=1, hlo="count_leading_zeros")
mulhi_p  = Elementwise("mulhi", INTEGER, _mulhi, arity=2, hlo=_lower_mulhi)
# fmt: on


def trunc_quotient(x: Any, y: Any) -> Any:
    """x / y rounded towards zero."""
    quotient = div_p.bind(x, y)
    return mul_p.bind(sign_p.bind(quotient), floor_p.bind(abs_p.bind(quotient)))


# ---- irregular: complex parts and non-holomorphic functions --------------------------------------
# Cotangents pair with tangents by Re(ct · t), without conjugation: `real` transposes to c ↦ c + 0j,
# `imag` to c ↦ -c·1j, `conj` to itself (Autodiff Cookbook, "Complex numbers and differentiation").


class RealLinear(LinearPrimitive):
    """A function of a complex array that is linear over the reals alone: not by a partial
    derivative, but with a transpose.

    >>> from pullback.core.array import as_array
    >>> imag_p.bind(as_array(1 + 2j)), imag_p.transpose(as_array(1.0), None)[0]
    (Array(2., dtype=float32, weak_type=True), Array(0.-1.j, dtype=complex64, weak_type=True))
    """

    fusion, operations = Fusion.ELEMENTWISE, 1
    makes_nan = False
    kinds = COMPLEX

    def __init__(
        self, name: str, evaluate: Any, transposed: Any, result: Any = dtypes.to_real, hlo: Any = None
    ) -> None:
        self.name, self.evaluate, self.result = name, evaluate, result  # type: ignore[method-assign]
        self.transpose = lambda ct, x: [(transposed or self.bind)(ct)]  # type: ignore[method-assign]
        self.lower = hlo or (lambda emit, x: emit(name, x, out=emit.type))  # type: ignore[method-assign]
        super().__init__()

    def type_of(self, x: ShapedArray) -> ShapedArray:
        if not dtypes.is_complex(x.dtype):
            raise TypeError(f"{self.name} does not accept dtype {dtypes.name(x.dtype)}: only complex ones")
        return x.update(dtype=self.result(x.dtype))

    def batch(self, size: int, args: Any, axes: Any) -> Any:
        return self.bind(*args), axes[0]


class Complex(Broadcasting, LinearPrimitive):
    """x + y·1j of two float arrays."""

    name = "complex"
    fusion, operations = Fusion.ELEMENTWISE, 1
    makes_nan = False

    def evaluate(self, x: Any, y: Any) -> Any:
        return _complex(x, y)

    def type_of(self, x: ShapedArray, y: ShapedArray) -> ShapedArray:
        if x.dtype != y.dtype or x.dtype not in (dtypes.float32, dtypes.float64):
            raise TypeError(f"complex takes two arrays of one dtype, float32 or float64; got {x} and {y}")
        shape = broadcast_shapes(x.shape, y.shape)
        return ShapedArray(shape, dtypes.to_complex(x.dtype), x.weak_type and y.weak_type)

    def lower(self, emit: Any, x: Any, y: Any) -> Any:
        shape = emit.type.shape
        return emit("complex", emit.broadcast(x, shape), emit.broadcast(y, shape), out=emit.type)

    def transpose(self, ct: Any, x: Any, y: Any) -> Sequence[Any]:
        return [unbroadcast(real_p.bind(ct), x.shape), unbroadcast(neg_p.bind(imag_p.bind(ct)), y.shape)]


def _complex(x: Any, y: Any) -> Any:
    out = np.empty(broadcast_shapes(x.shape, y.shape), dtypes.to_complex(x.dtype))
    out.real, out.imag = x, y
    return out


def _lower_conj(emit: Any, x: Any) -> Any:
    real, imag = emit.parts(x)
    return emit("complex", real, emit("negate", imag), out=x)


complex_p = Complex()
real_p = RealLinear("real", lambda x: x.real, lambda ct: complex_p.bind(ct, like(0, ct)))
imag_p = RealLinear("imag", lambda x: x.imag, lambda ct: complex_p.bind(like(0, ct), neg_p.bind(ct)))
conj_p = RealLinear("conj", np.conjugate, None, lambda dtype: dtype, _lower_conj)  # its own transpose


def _abs_partial(x: Any, out: Any) -> Any:
    # At 0 the derivative from the right, 1.
    return select(ge_p.bind(x, like(0, x)), like(1, x), like(-1, x))


def _complex_abs_jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    # d|x| = Re(conj(x/|x|) dx)
    (x,), (t,) = primals, tangents
    return abs_p.bind(x), real_p.bind(mul_p.bind(conj_p.bind(sign_p.bind(x)), t))


def _complex_sign_jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    # d(x/|x|) = (dx - s Re(conj(s) dx)) / |x| with s = x/|x|
    (x,), (t,) = primals, tangents
    out = sign_p.bind(x)
    radial = complex_p.bind(real_p.bind(mul_p.bind(conj_p.bind(out), t)), like(0, real_p.bind(x)))
    size = abs_p.bind(x)
    # There is no derivative at 0: dividing by infinity makes the tangent 0.
    size = select(eq_p.bind(size, like(0, size)), like(np.inf, size), size)
    return out, div_p.bind(sub_p.bind(t, mul_p.bind(out, radial)), complex_p.bind(size, like(0, size)))


abs_p = Elementwise(
    "abs",
    NUMERIC,
    in_eight_bits(np.abs, 1),
    _abs_partial,
    complex_jvp=_complex_abs_jvp,
    result=dtypes.to_real,
    hlo="abs",
    makes_nan=False,
)
sign_p = Elementwise(
    "sign", NUMERIC, in_eight_bits(_sign, 1), ZERO, complex_jvp=_complex_sign_jvp, hlo=_lower_sign, makes_nan=False
)


# To the nearest integer; ties away from zero (rounding_method 0) or to even (1).
round_p = Elementwise("round", FLOAT, _round, ZERO, hlo=_lower_round, makes_nan=False)


@direct
def _integer_pow_partial(x: Any, out: Any, y: int) -> Any:
    if y == 0:
        return constant(0, x)
    return mul_p.on(constant(y, x), x if y == 2 else integer_pow_p.on(x, y=y - 1))


_narrow_integer_pow = in_eight_bits(_integer_pow)


def _any_integer_pow(x: Any, y: int) -> Any:
    # Squares are most of all integer powers: straight to NumPy.
    return np.square(x) if y == 2 and x.dtype.num < 256 else _narrow_integer_pow(x, y=y)


integer_pow_p = Elementwise(
    "integer_pow", NUMERIC, _any_integer_pow, _integer_pow_partial, hlo=_lower_integer_pow, cost=2
)


__all__ = [
    "abs_p", "acos_p", "acosh_p", "add_p", "and_p", "asin_p", "asinh_p", "atan2_p", "atan_p", "atanh_p", "cbrt_p",
    "ceil_p", "clamp_p", "clz_p", "complex_p", "conj_p", "cos_p", "cosh_p", "div_p", "eq_p", "exp2_p", "exp_p",
    "expm1_p", "floor_p", "ge_p", "gt_p", "imag_p", "integer_pow_p", "is_finite_p", "le_p", "log1p_p", "log_p",
    "log2_p", "logistic_p", "lt_p", "max_p", "min_p", "mul_p", "mulhi_p", "ne_p", "neg_p", "nextafter_p", "not_p", "one_minus_square_p", "or_p",
    "population_count_p", "pow_p", "real_p", "rem_p", "round_p", "rsqrt_p", "shift_left_p",
    "shift_right_arithmetic_p", "shift_right_logical_p", "sign_p", "sin_p", "sinh_p", "sqrt_p", "square_p", "sub_p",
    "tan_p", "tanh_p", "xor_p",
]  # fmt: skip
