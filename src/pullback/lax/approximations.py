"""What special functions share that SciPy evaluates and compiled programs approximate.

A `Special` names SciPy's function, for eager values, and a formula, for compiled programs: a
function of a namespace `xp` (`Approximating`) and of `Value`s, which have operators (see
`lax.incomplete`). Formulas choose between regions by `xp.where`, as every region is computed for
every element, and give each region a harmless argument where it does not apply. Polynomials come
from `lax.tables`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.types import ShapedArray
from pullback.lax import real_gamma
from pullback.lax.family import FLOAT, Broadcasting, Elementwise
from pullback.lax.incomplete import Compiled, Value
from pullback.lax.tables import Tables

INFINITY = float("inf")

_BITS_OF_1, _BITS_OF_2, _BITS_OF_2_52 = 1023 << 52, 1024 << 52, (1023 + 52) << 52
_BITS_OF_ROOT_HALF = 0x3FE6A09E667F3BCD
#: log 2 as a number with 20 zeros at its end, so that its multiples by exponents are exact, and the rest.
_LOG_2, _LOG_2_REST = 0.6931471803691238, 1.9082149292705877e-10


def by_scipy(name: str, result: int | None = None) -> Callable[..., Any]:
    """SciPy's function `name` (of several results, number `result`) for every floating type:
    narrower ones than float32 are computed in that. SciPy is imported when it is first called.

    >>> float(by_scipy("i0")(np.float64(0.0)))
    1.0
    """
    found: Any = None

    def evaluate(*operands: Any) -> Any:
        nonlocal found
        if found is None:
            from scipy import special

            found = getattr(special, name)
        dtype = operands[0].dtype
        if dtype.itemsize < 4:
            out = found(*[x.astype(np.float32) for x in operands])
            return [y.astype(dtype) for y in out] if out.__class__ is tuple else out.astype(dtype)
        out = found(*operands)
        return list(out) if out.__class__ is tuple else out

    return evaluate


def _bits(x: Value) -> Value:
    """The bits of float64 numbers as integers."""
    return Value(x.emit, x.emit("bitcast_convert", x.value, out=ShapedArray(x.value.shape, dtypes.int64)))


def _number(bits: Value) -> Value:
    return Value(bits.emit, bits.emit("bitcast_convert", bits.value, out=ShapedArray(bits.value.shape, dtypes.float64)))


class Approximating(Compiled, Tables):
    """The functions that formulas use."""

    sin, cos = (staticmethod(lambda x, op=op: x.apply(op)) for op in ("sine", "cosine"))
    floor, ceil = (staticmethod(lambda x, op=op: x.apply(op)) for op in ("floor", "ceil"))
    rint = staticmethod(lambda x: x.apply("round_nearest_even"))
    arctan2 = staticmethod(lambda y, x: y.apply("atan2", x))
    power = staticmethod(lambda x, y: x.apply("power", y))
    erf = staticmethod(lambda x: x.apply("chlo.erf"))
    lgamma, digamma = real_gamma.log_gamma, real_gamma.digamma

    def polygamma(self, order: int, x: Value) -> Value:
        """The derivative of order `order` of `digamma`, for positive `x`."""
        if order > 1:
            return Value(self.emit, self.emit("chlo.polygamma", x.constant(order), x.value))
        return real_gamma.trigamma(self, x) if order else self.digamma(x)

    def __init__(self, emit: Any, single: bool, width: Any, rounded: bool | None = None) -> None:
        super().__init__(emit)
        self.single, self.width = single, width
        #: Whether float64 numbers are computed of which the result is float32 or narrower.
        self.rounded = single and width == dtypes.float64 if rounded is None else rounded

    # XLA computes logarithms of float64 one by one, and both functions to the last bit. Where the result is
    # rounded to float32, these are quicker: the logarithm within two roundings of float64 (with the
    # polynomials of float32, 1e-10), the exponential within 1e-10.

    def log(self, x: Value) -> Value:
        """The logarithm; of subnormal numbers of float64, some number below -708."""
        if not self.rounded:
            return x.apply("log")
        # x = 2^k m with m in [√½, √2), whose logarithm is 2 artanh s. The exponent becomes a number as
        # the last bits of one, as processors have no quick conversion of 64 bits.
        moved = _bits(x) + (_BITS_OF_2 - _BITS_OF_ROOT_HALF)
        k = _number(moved.apply("shift_right_logical", 52) | _BITS_OF_2_52) - (2.0**52 + 1024)
        m = _number((moved & (2**52 - 1)) + _BITS_OF_ROOT_HALF)
        s = (m - 1) / (m + 1)
        square, double = s * s, s + s
        rest = double * square * self.linear("log_rest", square, 0.0, 0.0295) + k * _LOG_2_REST
        out = k * _LOG_2 + (double + rest)
        inside = self.where(x < INFINITY, out, x)
        return self.where(x > 0, inside, self.where((x <= 0) & (x >= 0), -INFINITY, math.nan))

    def exp(self, x: Value) -> Value:
        """e^x; 0 for x < -708."""
        if not self.rounded:
            return x.apply("exponential")
        tiny = x < -708
        x = self.where(x > 710, 710.0, self.where(tiny, 0.0, x))
        # As above: n becomes an integer by the addition of a number whose last bit is 1.
        n = self.rint(x * (1 / math.log(2)))
        rest = (x - n * _LOG_2) - n * _LOG_2_REST
        power = _number(_bits(n + 1.5 * 2.0**52).apply("shift_left", 52) + _BITS_OF_1)
        return self.where(tiny, 0.0, self.linear("exp_near", rest, -0.347, 0.347) * power)

    def where(self, condition: Value, x: Any, y: Any) -> Value:
        """As of `Compiled`; both may be numbers."""
        if not isinstance(x, Value) and not isinstance(y, Value):
            x = Value(self.emit, self.emit.constant(x, self.width, condition.value.shape))
        return super().where(condition, x, y)

    def precise(self) -> Approximating:
        """The same with the polynomials of float64, for what cancels before it is rounded to float32."""
        return Approximating(self.emit, False, self.width, self.rounded)

    def exactly(self, formula: Callable[..., Value], *operands: Value) -> Value:
        """A formula of float32 numbers, computed in float64 and then rounded."""
        wide = [Value(self.emit, self.emit.convert(x.value, dtypes.float64)) for x in operands]
        return Value(self.emit, self.emit.convert(formula(*wide).value, dtypes.float32))

    def kept(self, x: Value) -> Value:
        """`x`, which is computed once for all that need it."""
        return Value(self.emit, self.emit.keep(x.value))

    def between(self, x: Value, low: float, high: float) -> Value:
        """`x`, or the bound that it is beyond; of NaN, NaN."""
        return self.where(x < low, low, self.where(x > high, high, x))

    def is_number(self, x: Value) -> Value:
        """Whether `x` is no NaN."""
        return Value(self.emit, self.emit.compare("EQ", x.value, x.value))

    def is_zero(self, x: Value) -> Value:
        return Value(self.emit, self.emit.compare("EQ", x.value, x.constant(0)))

    def split(self, x: Value) -> tuple[Value, Value]:
        """`x` as a number whose square is exact and a rest."""
        bits = 25 if x.value.dtype.itemsize == 8 else 11
        widths = {"exponent_bits": f"{11 if bits == 25 else 8} : i32", "mantissa_bits": f"{bits} : i32"}
        high = Value(self.emit, self.emit("reduce_precision", x.value, **widths))
        return high, x - high

    def square(self, x: Value) -> tuple[Value, Value]:
        """x² as its rounded value's first half and the rest, which add up to it exactly, almost."""
        high, low = self.split(x)
        return high * high, low * (x + high)

    def exp_of_square(self, x: Value, sign: float) -> Value:
        """exp(± x²), which the rounding of x² would make inexact. The sign may come with a power of
        two."""
        high, low = self.square(x)
        rest = low * sign
        # The rest is at most 0.05 in float32, at most 1e-5 in float64.
        near_one = (
            1 + rest * (1 + rest * (0.5 + rest * (1 / 6 + rest * (1 / 24))))
            if self.single
            else 1 + rest * (1 + rest * 0.5)
        )
        return self.exp(high * sign) * near_one

    def same_sign(self, x: Value, y: Value) -> Value:
        """`x` ≥ 0 with the sign of `y`."""
        return self.where(y < 0, -x, x)


def computed(formula: Callable[..., Any], wide: bool | Callable[..., bool]) -> Callable[..., Any]:
    """The rule `lower` of `formula(xp, *operands)`, which is computed in the operands' precision, in
    float32 at least; with `wide` (which may depend on the parameters) in float64."""

    def lower(emit: Any, *operands: Any, **params: Any) -> Any:
        shape, dtype = emit.type.shape, operands[0].dtype
        single = dtypes.to_real(dtype).itemsize < 8 if dtypes.is_complex(dtype) else dtype.itemsize < 8
        is_wide = wide(**params) if callable(wide) else wide
        width = dtypes.float64 if is_wide or not single else dtypes.float32
        xp = Approximating(emit, single, width)
        operands = tuple(emit.broadcast(x, shape) for x in operands)
        if dtypes.is_complex(dtype):
            parts = [Value(emit, emit.convert(part, width)) for x in operands for part in emit.parts(x)]
            real, imag = formula(xp, *parts, **params)
            narrow = dtypes.to_real(dtype)
            parts = [emit.convert(v.value, narrow) for v in (real, imag)]
            return emit("complex", *parts, out=ShapedArray(shape, dtype))
        outs = formula(xp, *(Value(emit, emit.convert(x, width)) for x in operands), **params)
        if isinstance(outs, Value):
            return emit.convert(outs.value, dtype)
        return [emit.convert(v.value, dtype) for v in outs]

    return lower


def lower_in_float64(formula: Callable[..., Any]) -> Callable[..., Any]:
    """The rule `lower` of an elementwise function: `formula(xp, epsilon, *operands)`, computed in
    float64.

    `epsilon` is what may be neglected, relative to the result.
    """

    def lower(emit: Any, *operands: Any, **params: Any) -> Any:
        shape, dtype = emit.type.shape, operands[0].dtype
        wide = [Value(emit, emit.convert(emit.broadcast(x, shape), dtypes.float64)) for x in operands]
        epsilon = 1e-17 if dtype == dtypes.float64 else 1e-10
        xp = Approximating(emit, dtype != dtypes.float64, dtypes.float64)
        out = formula(xp, epsilon, *wide, **params)
        # NaN of NaNs is not left to the formula: the compiler takes comparisons like |x| >= 0 to hold of NaN, too.
        for x in wide:
            out = xp.where(xp.is_number(x), out, math.nan)
        return emit.convert(out.value, dtype)

    return lower


class Special(Elementwise):
    """An elementwise special function: see the module's text.

    >>> from pullback.lax.error_functions import dawsn_p
    >>> isinstance(dawsn_p, Special)
    True
    """

    def __init__(
        self,
        name: str,
        evaluate: str | Callable[..., Any],
        formula: Callable[..., Any],
        *partials: Any,
        wide: bool | Callable[..., bool] = False,
        kinds: str = FLOAT,
    ) -> None:
        if isinstance(evaluate, str):
            evaluate = by_scipy(evaluate)
        super().__init__(name, kinds, evaluate, *partials, hlo=computed(formula, wide), cost=30)


class SpecialPair(Broadcasting):
    """A special function of one operand that gives two results, as `Special`. `partials` are those
    of the results."""

    multiple_results = True
    kinds = FLOAT

    def __init__(
        self,
        name: str,
        evaluate: str | Callable[..., Any],
        formula: Callable[..., Any],
        partials: Sequence[Callable[..., Any]],
        wide: bool = False,
    ) -> None:
        self.name, self.partials = name, partials
        self.evaluate = by_scipy(evaluate) if isinstance(evaluate, str) else evaluate  # type: ignore[method-assign]
        self._lower = computed(formula, wide)
        super().__init__()

    def type_of(self, x: ShapedArray) -> Any:
        if dtypes.kind(x.dtype) not in FLOAT:
            raise TypeError(f"{self.name} does not accept dtype {dtypes.name(x.dtype)}")
        return [x, x]

    def lower(self, emit: Any, x: Any) -> Any:
        return self._lower(emit, x)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        (x,), (t,) = primals, tangents
        outs = self.bind(x)
        return outs, [None if t is None else partial(x) * t for partial in self.partials]

    def batch(self, size: int, args: Sequence[Any], axes: Sequence[int | None]) -> Any:
        return self.bind(*args), [axes[0]] * 2
