"""Algorithms of special functions that the compiler has no operations for: incomplete gamma
functions, I₀.

They are formulas, for NumPy values and for values of programs being compiled alike: functions of a
namespace `xp` (`Eager`, or `Approximating` of `lax.approximations`), which has the functions they
need and `iterate`, and of values with operators. All are computed in float64, so that float32
results are exact to rounding, except the Bessel function, which is computed in its own type.

Sources: the NIST Digital Library of Mathematical Functions (DLMF); W. Press et al., Numerical
Recipes, 6.2 and 6.4; N. Temme, "The asymptotic expansion of the incomplete gamma functions", SIAM
J. Math. Anal. 10 (1979).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.dtypes import DType
from pullback.lax.tables import Tables
from pullback.lax.taylor import Polynomials, Taylor

#: Terms of a series or continued fraction until the rest must be negligible; it takes some
#: multiples of the root of the parameters.
_MOST_TERMS = 20000
#: Values that a compiled loop computes before it looks whether they were enough.
_AT_A_TIME = 8

# ---- NumPy, and programs being compiled ----------------------------------------------------------


class Eager(Tables):
    """The functions that formulas use, on NumPy values."""

    log, exp, expm1, sqrt, abs, where = np.log, np.exp, np.expm1, np.sqrt, np.abs, staticmethod(np.where)
    sizes, power = np.abs, np.power

    def __init__(self, single: bool = False) -> None:
        self.single = single

    @staticmethod
    def split(x: Any) -> tuple[Any, Any]:
        """`x` as a number of 26 bits, whose products are exact, and a rest, of float64."""
        bits = np.asarray(x, np.float64).view(np.int64) & -(1 << 27)
        high = bits.view(np.float64)
        return high, x - high

    floor, ceil = np.floor, np.ceil

    @staticmethod
    def lgamma(x: Any) -> Any:
        from scipy import special

        return special.gammaln(x)

    @staticmethod
    def digamma(x: Any) -> Any:
        from scipy import special

        return special.psi(x)

    @staticmethod
    def polygamma(order: int, x: Any) -> Any:
        from scipy import special

        return special.psi(x) if order == 0 else special.polygamma(order, x)

    @staticmethod
    def matters(x: Any, total: Any, epsilon: float) -> Any:
        """Whether `x` is larger than `epsilon` times `total`."""
        return np.abs(x) > np.abs(total) * epsilon

    @staticmethod
    def take(table: Any, index: Any) -> Any:
        """Elements of a short table, for whole numbers; the first or last one for others, the first
        one for NaN."""
        return table[np.fmin(np.fmax(index, 0), len(table) - 1).astype(np.intp)]

    @staticmethod
    def within(region: Any, formula: Callable[..., Any], *operands: tuple[Any, float]) -> Any:
        """`formula(region, *operands)` in a region, something else outside; each operand comes with
        a value that does no harm there."""
        out = np.full(region.shape, np.nan)
        if region.any():
            inside = [x[region] for x, _ in operands]
            out[region] = formula(np.ones(inside[0].shape, np.bool_), *inside)
        return out

    @staticmethod
    def iterate(step: Callable[..., Any], state: Sequence[Any], pending: Any) -> Sequence[Any]:
        """The state after `state, pending = step(n, *state)` for n = 1, 2, ... until no element is
        pending."""
        n = 1
        while n < _MOST_TERMS and pending.any():
            state, pending = step(float(n), *state)
            n += 1
        return state


def _operation(op: str) -> Callable[..., Value]:
    return lambda x, *others: x.apply(op, *others)


def _comparison(direction: str) -> Callable[[Value, Any], Value]:
    return lambda x, y: Value(x.emit, x.emit.compare(direction, x.value, x.constant(y)))


class Value:
    """A value of a program being compiled, with operators; numbers stand for constants of its type.

    A formula such as `1 / (x + 2)` reads the same for it and for NumPy's arrays.
    """

    __slots__ = ("emit", "value")

    def __init__(self, emit: Any, value: Any) -> None:
        self.emit, self.value = emit, value

    def apply(self, op: str, *others: Any) -> Value:
        """The operation `op` on the value and others of its type."""
        return Value(self.emit, self.emit(op, self.value, *[self.constant(y) for y in others]))

    def constant(self, x: Any) -> Any:
        """`x`, as a value of the emitter."""
        return x.value if isinstance(x, Value) else self.emit.like(x, self.value)

    def __rsub__(self, y: Any) -> Value:
        return Value(self.emit, self.constant(y)) - self

    def __rtruediv__(self, y: Any) -> Value:
        return Value(self.emit, self.constant(y)) / self

    __add__ = __radd__ = _operation("add")
    __mul__ = __rmul__ = _operation("multiply")
    __sub__, __truediv__ = _operation("subtract"), _operation("divide")
    __neg__, __invert__ = _operation("negate"), _operation("not")
    __and__, __or__ = _operation("and"), _operation("or")
    __lt__, __le__, __gt__, __ge__ = (_comparison(d) for d in ("LT", "LE", "GT", "GE"))


class Compiled:
    """The functions that formulas use, on `Value`s of a program being compiled."""

    log, exp, expm1 = (staticmethod(_operation(op)) for op in ("log", "exponential", "exponential_minus_one"))
    sqrt, abs, erfc = (staticmethod(_operation(op)) for op in ("sqrt", "abs", "chlo.erfc"))
    sizes = abs

    def __init__(self, emit: Any) -> None:
        self.emit = emit

    def where(self, condition: Value, x: Any, y: Any) -> Value:
        """`x` where the condition holds, `y` elsewhere; one of them may be a number."""
        known = x if isinstance(x, Value) else y
        return Value(self.emit, self.emit.select(condition.value, known.constant(x), known.constant(y)))

    def within(self, region: Value, formula: Callable[..., Any], *operands: tuple[Value, float]) -> Value:
        """As `Eager.within`: everywhere, on harmless operands outside of the region."""
        value: Value = formula(region, *(self.where(region, x, harmless) for x, harmless in operands))
        return value

    def matters(self, x: Value, total: Value, epsilon: float) -> Value:
        """As `Eager.matters`."""
        return x.apply("abs") > total.apply("abs") * epsilon

    def iterate(self, step: Callable[..., Any], state: Sequence[Value], pending: Value) -> Sequence[Value]:
        """As `Eager.iterate`, for all elements together."""
        emit, shape = self.emit, state[0].value.shape

        def body(n: Any, going: Any, *values: Any) -> list[Any]:
            state: Sequence[Value] = [Value(emit, v) for v in values]
            for _ in range(max(1, _AT_A_TIME // len(state))):
                state, pending = step(Value(emit, emit.broadcast(n, shape, ())), *state)
                n = emit("add", n, emit.like(1, n))
            going = emit("and", emit.any(pending.value), emit.compare("LT", n, emit.like(_MOST_TERMS, n)))
            return [n, going, *[s.value for s in state]]

        start = [emit.constant(1.0, dtypes.float64), emit.any(pending.value), *[s.value for s in state]]
        results = emit.while_loop(lambda n, going, *_: going, body, start)
        return [Value(emit, r) for r in results[2:]]

    def if_any(self, flags: Value, change: Callable[..., Sequence[Value]], state: Sequence[Any]) -> list[Value]:
        """`change(*state)` if an element of `flags` is true, else `state`, of which all but the first may be numbers:
        for what takes long and few arguments need."""
        emit, first = self.emit, state[0]
        changed = lambda *values: [x.value for x in change(*(Value(emit, v) for v in values))]
        return [Value(emit, x) for x in emit.if_any(flags.value, changed, [first.constant(x) for x in state])]


# ---- tables --------------------------------------------------------------------------------------

#: Temme's functions c₀, c₁, ... of η: coefficients of their powers, as many as matter for |η| ≤
#: 0.34 and a ≥ 100 (DLMF 8.12.10, computed with rational numbers).
_TEMME = (
    (
        -0.3333333333333333, 0.08333333333333333, -0.014814814814814815, 0.0011574074074074073, 0.0003527336860670194,
        -0.0001787551440329218, 3.919263178522438e-05, -2.185448510679992e-06, -1.85406221071516e-06,
        8.296711340953087e-07, -1.7665952736826078e-07, 6.707853543401498e-09, 1.0261809784240309e-08,
        -4.382036018453353e-09, 9.14769958223679e-10, -2.5514193994946248e-11, -5.830772132550426e-11,
    ),
    (
        -0.001851851851851852, -0.003472222222222222, 0.0026455026455026454, -0.0009902263374485596,
        0.00020576131687242798, -4.018775720164609e-07, -1.8098550334489977e-05, 7.64916091608111e-06,
        -1.6120900894563446e-06, 4.647127802807434e-09, 1.378633446915721e-07, -5.752545603517705e-08,
        1.1951628599778148e-08, -1.7543241719747647e-11, -1.0091543710600413e-09, 4.162792991842583e-10,
    ),
    (
        0.004133597883597883, -0.0026813271604938273, 0.0007716049382716049, 2.0093878600823047e-06,
        -0.0001073665322636516, 5.2923448829120125e-05, -1.2760635188618728e-05, 3.423578734096138e-08,
        1.3721957309062934e-06, -6.298992138380055e-07, 1.4280614206064242e-07, -2.0477098421990866e-10,
        -1.409252991086752e-08, 6.228974084922022e-09,
    ),
    (
        0.0006494341563786008, 0.00022947209362139917, -0.0004691894943952557, 0.00026772063206283885,
        -7.561801671883977e-05, -2.396505113867297e-07, 1.1082654115347302e-05, -5.6749528269915965e-06,
        1.4230900732435883e-06, -2.7861080291528143e-11, -1.6958404091930278e-07, 8.099464905388083e-08,
    ),
    (
        -0.0008618882909167117, 0.0007840392217200666, -0.0002990724803031902, -1.4638452578843418e-06,
        6.641498215465122e-05, -3.968365047179435e-05, 1.1375726970678419e-05, 2.507497226237533e-10,
        -1.6954149536558305e-06, 8.907507532205309e-07,
    ),
    (
        -0.00033679855336635813, -6.972813758365857e-05, 0.0002772753244959392, -0.00019932570516188847,
        6.797780477937208e-05, 1.419062920643967e-07, -1.3594048189768693e-05, 8.018470256334202e-06,
    ),
    (
        0.0005313079364639922, -0.0005921664373536939, 0.0002708782096718045, 7.902353232660328e-07,
        -8.153969367561969e-05,
    ),
    (
        0.00034436760689237765, 5.171790908260592e-05, -0.00033493161081142234,
    ),
)  # fmt: skip
#: (ζ(k) - 1) (-1)^k / k for k = 2, 3, ...: log Γ(1 + a) without its pole at -1 and its linear term.
_LOG_GAMMA = (
    0.3224670334241132, -0.0673523010531981, 0.020580808427784546, -0.007385551028673986, 0.0028905103307415234,
    -0.001192753911703261, 0.0005096695247430425, -0.00022315475845357939, 9.945751278180853e-05,
    -4.492623673813314e-05, 2.050721277567069e-05, -9.439488275268397e-06, 4.374866789907488e-06,
    -2.039215753801366e-06, 9.55141213040742e-07, -4.492469198764566e-07, 2.1207184805554665e-07,
    -1.0043224823968099e-07, 4.7698101693639804e-08, -2.2711094608943164e-08, 1.0838659214896955e-08,
    -5.183475041970047e-09, 2.4836745438024785e-09, -1.1921401405860912e-09, 5.731367241678862e-10,
)  # fmt: skip
_ONE_MINUS_EULER = 0.42278433509846713
#: log Γ*(a), Stirling's correction: coefficients of a^-1, a^-3, ... (DLMF 5.11.1).
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)
#: Chebyshev coefficients of e^-x I₀(x) on [0, 8], of x/4 - 1, and of √x e^-x I₀(x) on [8, ∞), of
#: 16/x - 1 (computed with 40 digits).
_BESSEL_NEAR = (
    0.6767952744094761, -0.3046826723431984, 0.17162090152220877, -0.09490109704804764, 0.04930528423967071,
    -0.02373741480589947, 0.010546460394594998, -0.004324309995050576, 0.0016394756169413357, -0.0005763755745385824,
    0.00018850288509584165, -5.754195010082104e-05, 1.6448448070728896e-05, -4.4167383584587505e-06,
    1.1173875391201037e-06, -2.670793853940612e-07, 6.046995022541919e-08, -1.300025009986248e-08,
    2.6598237246823866e-09, -5.189795601635263e-10, 9.675809035373237e-11, -1.726826291441556e-11,
    2.95505266312964e-12, -4.856446783111929e-13, 7.676185498604936e-14, -1.1685332877993451e-14,
    1.715391285555133e-15, -2.431279846547955e-16, 3.3307945188222384e-17, -4.4153416464793395e-18,
)  # fmt: skip
_BESSEL_FAR = (
    0.8044904110141088, 0.0033691164782556943, 6.889758346916825e-05, 2.8913705208347567e-06, 2.0489185894690638e-07,
    2.266668990498178e-08, 3.3962320257083865e-09, 4.94060238822497e-10, 1.1889147107846439e-11,
    -3.1499165279632416e-11, -1.3215811840447713e-11, -1.7941785315068062e-12, 7.180124451383666e-13,
    3.8527783827421426e-13, 1.54008621752141e-14, -4.150569347287222e-14, -9.554846698828307e-15,
    3.8116806693526224e-15, 1.7725601330565263e-15, -3.425485619677219e-16, -2.8276239805165836e-16,
    3.461222867697461e-17, 4.46562142029676e-17, -4.830504485944182e-18, -7.233180487874754e-18,
)  # fmt: skip

# ---- what the formulas share ---------------------------------------------------------------------

#: From here on Stirling's series is exact to rounding.
_STIRLING_FROM = 16.0
#: From here on Temme's expansion is, for |x - a| < 0.3 a.
_TEMME_FROM = 100.0
_TEMME_WIDTH = 0.3


def _polynomial(coefficients: Sequence[float], x: Any) -> Any:
    """Σ c_n xⁿ"""
    out = x * coefficients[-1] + coefficients[-2] if len(coefficients) > 1 else x * 0.0 + coefficients[-1]
    for c in coefficients[-3::-1]:
        out = out * x + c
    return out


def _stirling(x: Any) -> Any:
    """log Γ(x) - (x - ½) log x + x - log √2π, for large x."""
    inverse = 1 / x
    return inverse * _polynomial(_STIRLING, inverse * inverse)


def _log1p_curvature(mu: Any) -> Any:
    """2 (μ - log(1 + μ)) / μ² for |μ| ≤ 0.3, without cancellation: 1 at 0."""
    inverse = 1 / (mu + 2)
    r = mu * inverse  # log(1 + μ) = 2 (r + r³/3 + r⁵/5 + ...)
    odd = _polynomial([1 / (2 * n + 3) for n in range(11)], r * r)
    return 2 * inverse * (1 - 2 * r * inverse * odd)


def _log1p_rest(xp: Any, mu: Any) -> Any:
    """log(1 + μ) - μ"""
    if isinstance(xp, Polynomials):
        return Taylor.of_slope(_log1p_rest(xp.xp, mu.terms[0]), -mu * mu.slope() / (mu + 1))
    small = xp.abs(mu) < _TEMME_WIDTH
    near = xp.where(small, mu, 0.0)
    return xp.where(small, near * near * _log1p_curvature(near) * -0.5, xp.log(mu + 1) - mu)


def _log1p(xp: Any, x: Any) -> Any:
    """log(1 + x). XLA's own is off by a hundred units of the last place."""
    if isinstance(xp, Polynomials):
        return Taylor.of_slope(_log1p(xp.xp, x.terms[0]), x.slope() / (x + 1))
    small = xp.abs(x) < _TEMME_WIDTH
    near = xp.where(small, x, 0.0)
    return xp.where(small, near - near * near * _log1p_curvature(near) * 0.5, xp.log(x + 1))


#: artanh u is a polynomial for |u| below this.
_NEAR = 0.4


def _log_of_quotient(xp: Any, u: Any) -> Any:
    """log((1 + u)/(1 - u)) = 2 artanh u for |u| ≤ 0.4"""
    square = u * u
    return 2 * u * (1 + square * xp.linear("atanh_rest", square, 0.0, _NEAR**2))


def log_ratio(xp: Any, p: Any, q: Any) -> Any:
    """log(p/q) of positive numbers, exact also where they are close. Numbers of float32 come as float64,
    in which the quotient is exact enough, and neither subnormal nor infinite."""
    if xp.single:
        return xp.log(p / q)
    u = (p - q) * 0.5 / (p * 0.5 + q * 0.5)  # whose sum may be infinite
    near = xp.abs(u) < 0.3
    quotient = p / q
    # Where the quotient is subnormal or infinite, by that of the roots.
    extreme = (quotient < 1e-36) | (quotient > 1e36)
    log = xp.log(xp.where(extreme, xp.sqrt(p) / xp.sqrt(q), quotient))
    return xp.where(near, _log_of_quotient(xp, xp.where(near, u, 0.0)), xp.where(extreme, log * 2, log))


# ---- incomplete gamma functions ------------------------------------------------------------------


def _log_power(xp: Any, a: Any, x: Any) -> Any:
    """log(x^a e^-x / Γ(a + 1))"""
    large = a >= _STIRLING_FROM
    b = xp.where(large, a, _STIRLING_FROM)
    mu = (x - b) / b
    # Far below, 1 + μ has lost the digits of x.
    rest = xp.where(xp.abs(mu) < _TEMME_WIDTH, _log1p_rest(xp, mu), xp.log(x / b) - mu)
    far = b * rest - 0.5 * xp.log(b * (2 * math.pi)) - _stirling(b)
    return xp.where(large, far, a * xp.log(x) - x - xp.lgamma(a + 1))


def _series(xp: Any, a: Any, x: Any, active: Any, epsilon: float) -> Any:
    """Σ c_n for c_0 = 1 and c_n = c_(n-1) x / (a + n): P(a, x) Γ(a + 1) / (x^a e^-x)."""

    def step(n: Any, c: Any, total: Any) -> Any:
        c = c * x / (a + n)
        total = total + c
        return (c, total), active & xp.matters(c, total, epsilon)

    one = a * 0.0 + 1.0
    return xp.iterate(step, (one, one), active)[1]


def _times(xp: Any, h: Any, c: Any, d: Any, epsilon: float) -> tuple[Any, Any]:
    """`h` times `c` times `d`, and whether that differs, by more than its rounding; if not, `h` itself:
    other elements may need thousands of steps more."""
    product = h * (c * d)
    unfinished = xp.matters(product - h, xp.sizes(h) * (xp.sizes(c) * xp.sizes(d)), max(epsilon, 5e-16))
    return xp.where(unfinished, product, h), unfinished


def _fraction(xp: Any, a: Any, x: Any, active: Any, epsilon: float) -> Any:
    """1/(x + 1 - a - 1(1 - a)/(x + 3 - a - 2(2 - a)/(x + 5 - a - ...))), which is Q(a, x) Γ(a) /
    (x^a e^-x): by Lentz's method."""
    b = x + 1 - a
    d = 1 / b

    def step(n: Any, d: Any, c: Any, h: Any) -> Any:
        numerator = (a - n) * n
        term = b + n * 2
        d = 1 / (numerator * d + term)
        c = term + numerator / c
        h, unfinished = _times(xp, h, c, d, epsilon)
        return (d, c, h), active & unfinished

    # Lentz's C starts as ∞.
    return xp.iterate(step, (d, a * 0.0 + math.inf, d), active)[2]


def _temme(xp: Any, a: Any, mu: Any) -> tuple[Any, Any, Any]:
    """For large a and x = (1 + μ) a: η with ½η² = μ - log(1 + μ), μ/η, and the sum S = Σ c_k(η) a^-k
    (DLMF 8.12)."""
    root = xp.sqrt(_log1p_curvature(mu))
    eta, inverse = mu * root, 1 / a
    total = a * 0.0
    for c in reversed(_TEMME):
        total = total * inverse + _polynomial(c, eta)
    return eta, 1 / root, total


def _regions(a: Any, x: Any, xp: Any) -> tuple[Any, Any, Any, Any]:
    """Where the arguments are positive and finite: Temme's region, and elsewhere whether x ≤ a + 1
    or not."""
    regular = (a > 0) & (x > 0) & (a < math.inf) & (x < math.inf)
    temme = regular & (a >= _TEMME_FROM) & (xp.abs(x - a) < a * _TEMME_WIDTH)
    near = regular & ~temme & (x <= a + 1)
    return regular, temme, near, regular & ~temme & (x > a + 1)


def _log_gamma_1p(xp: Any, a: Any) -> Any:
    """log Γ(1 + a) for 0 ≤ a ≤ ½, exact relative to `a`."""
    return a * (a * _polynomial(_LOG_GAMMA, a) + _ONE_MINUS_EULER) - _log1p(xp, a)


def _gammas(xp: Any, epsilon: float, a: Any, x: Any) -> tuple[Any, Any]:
    """P(a, x) and Q(a, x), each exact also where it is tiny."""
    regular, temme, near, far = _regions(a, x, xp)
    a_, x_ = xp.where(regular, a, 1.0), xp.where(regular, x, 1.0)
    power = xp.exp(_log_power(xp, a_, x_))

    below = power * _series(xp, xp.where(near, a_, 1.0), xp.where(near, x_, 0.0), near, epsilon)
    a_far, x_far = xp.where(far, a_, 1.0), xp.where(far, x_, 2.0)
    above = power * a_ * _fraction(xp, a_far, x_far, far, epsilon)

    # Q for small a, where it is not simply 1 - P: P = u (1 + a Σ (-x)ⁿ/((a + n) n!)), u = x^a / Γ(1
    # + a).
    little = near & (a_ < 0.5)
    a_little, x_little = xp.where(little, a_, 0.25), xp.where(little, x_, 1.0)

    def step(n: Any, power: Any, total: Any) -> Any:
        power = power * -x_little / n
        term = power / (a_little + n)
        total = total + term
        return (power, total), little & (xp.abs(term) > xp.abs(total) * epsilon)

    rest = xp.iterate(step, (a_ * 0.0 + 1.0, a_ * 0.0), little)[1]
    log_u = a_little * xp.log(x_little) - _log_gamma_1p(xp, a_little)
    q_little = -xp.expm1(log_u) - xp.exp(log_u) * a_little * rest

    a_large = xp.where(temme, a_, _TEMME_FROM)
    mu = xp.where(temme, (x_ - a_large) / a_large, 0.0)
    eta, _, total = _temme(xp, a_large, mu)
    argument = eta * xp.sqrt(a_large * 0.5)
    correction = xp.exp(-(argument * argument)) * total / xp.sqrt(a_large * (2 * math.pi))
    p_temme, q_temme = 0.5 * xp.erfc(-argument) - correction, 0.5 * xp.erfc(argument) + correction

    p = xp.where(temme, p_temme, xp.where(near, below, 1 - above))
    q = xp.where(temme, q_temme, xp.where(far, above, xp.where(little, q_little, 1 - below)))
    defined = (a >= 0) & (x >= 0) & ((a > 0) | (x > 0)) & ((a < math.inf) | (x < math.inf))
    none, all_ = (x <= 0) | (a >= math.inf), (a <= 0) | (x >= math.inf)
    p = xp.where(none, 0.0, xp.where(all_, 1.0, p))
    q = xp.where(none, 1.0, xp.where(all_, 0.0, q))
    return xp.where(defined, p, math.nan), xp.where(defined, q, math.nan)


def gamma_below(xp: Any, epsilon: float, a: Any, x: Any) -> Any:
    """P(a, x), the regularized lower incomplete gamma function."""
    return _gammas(xp, epsilon, a, x)[0]


def gamma_above(xp: Any, epsilon: float, a: Any, x: Any) -> Any:
    """Q(a, x) = 1 - P(a, x)"""
    return _gammas(xp, epsilon, a, x)[1]


def _sensitivity(xp: Any, epsilon: float, a: Any, x: Any, order: int) -> Any:
    """∂P(a, x)/∂a divided by the density x^(a-1) e^-x / Γ(a), for positive and finite arguments, and
    elsewhere NaN; differentiated by `a` so often as `order` says.

    The series and the fraction are differentiated term by term; in either, the term with log x - ψ
    and the differentiated one have one sign, so that nothing cancels. In Temme's region the
    exponential factors are divided out.
    """
    regular, temme, near, far = _regions(a, x, xp)

    def differentiated(formula: Callable[..., Any]) -> Callable[..., Any]:
        def in_region(active: Any, a: Any, x: Any) -> Any:
            space = Polynomials(xp, order + 1)
            out: Taylor = formula(space, active, space.variable(a), space.constant(x))
            return out.terms[order] * float(math.factorial(order))

        return in_region

    @differentiated
    def by_series(xp: Any, active: Any, a: Any, x: Any) -> Any:
        total = _series(xp, a, x, active, epsilon)
        return x / a * (total * (xp.log(x) - xp.digamma(a + 1)) + total.slope())

    @differentiated
    def by_fraction(xp: Any, active: Any, a: Any, x: Any) -> Any:
        fraction = _fraction(xp, a, x, active, epsilon)
        return -x * (fraction * (xp.log(x) - xp.digamma(a)) + fraction.slope())

    @differentiated
    def by_temme(xp: Any, _: Any, a: Any, x: Any) -> Any:
        mu = (x - a) / a
        eta, mu_by_eta, total = _temme(xp, a, mu)
        moved = 0.5 * eta - mu_by_eta - total * (_log1p(xp, mu) - 0.5 / a) - total.slope()
        return (mu + 1) * xp.exp(_stirling(a)) * moved

    out = xp.where(
        near,
        xp.within(near, by_series, (a, 1.0), (x, 0.5)),
        xp.where(
            far,
            xp.within(far, by_fraction, (a, 1.0), (x, 3.0)),
            xp.within(temme, by_temme, (a, _TEMME_FROM), (x, _TEMME_FROM)),
        ),
    )
    return xp.where(regular, out, math.nan)


def gamma_below_by_a(xp: Any, epsilon: float, a: Any, x: Any, *, order: int = 0) -> Any:
    """∂P(a, x)/∂a, differentiated `order` times more: Leibniz's rule for the density times what
    `_sensitivity` gives."""
    positive = (a > 0) & (x > 0)
    a_, x_ = xp.where(positive, a, 1.0), xp.where(positive, x, 1.0)
    # P(a, 0) = 0 and P(a, ∞) = 1 for every a.
    constant = (a > 0) & ((x >= math.inf) | ((x <= 0) & (x >= 0)))
    scores = [xp.log(x_) - xp.digamma(a_), *(-xp.polygamma(k, a_) for k in range(1, order))] if order else []
    factors: list[Any] = [a * 0.0 + 1.0]  # the derivatives of the density, divided by it
    for n in range(order):
        factors.append(sum(factors[n - k] * scores[k] * float(math.comb(n, k)) for k in range(n + 1)))
    total = 0.0
    for n, factor in enumerate(factors):
        slope = _sensitivity(xp, epsilon, a, x, order - n)
        total = total + slope * factor * float(math.comb(order, n))
    # In this order nothing is subnormal that its factors are not.
    return xp.where(constant, 0.0, total * (a_ / x_) * xp.exp(_log_power(xp, a_, x_)))


def gamma_sample_by_a(xp: Any, epsilon: float, a: Any, x: Any, *, order: int = 0) -> Any:
    """The derivative by `a` of the x for which P(a, x) keeps its value, differentiated `order` times at
    fixed x."""
    at_zero = (a > 0) & (x <= 0) & (x >= 0)
    return xp.where(at_zero, 0.0, -_sensitivity(xp, epsilon, a, x, order))


# ---- Bessel --------------------------------------------------------------------------------------


def _chebyshev(coefficients: Sequence[float], x: Any) -> Any:
    """½ c_0 + Σ c_n T_n(x), by Clenshaw's recurrence."""
    ahead = x * 0.0
    value = ahead + coefficients[-1]
    for c in coefficients[-2:0:-1]:
        value, ahead = 2 * x * value - ahead + c, value
    return x * value - ahead + 0.5 * coefficients[0]


def _matter(coefficients: Sequence[float], dtype: DType) -> Sequence[float]:
    """The coefficients that matter in the precision of `dtype`."""
    least = float(dtypes.finfo(dtype).eps) / 16
    return coefficients[: max(i for i, c in enumerate(coefficients) if abs(c) > least) + 1]


def lower_bessel_i0e(emit: Any, x: Any) -> Any:
    """e^-|x| I₀(x) of float32 or float64 `x`."""
    xp, z = Compiled(emit), Value(emit, emit("abs", x))
    near = z <= 8
    low, high = xp.where(near, z, 8.0), xp.where(near, 8.0, z)
    at_low = _chebyshev(_matter(_BESSEL_NEAR, x.dtype), low * 0.25 - 1)
    at_high = _chebyshev(_matter(_BESSEL_FAR, x.dtype), 16 / high - 1) / xp.sqrt(high)
    return xp.where(near, at_low, at_high).value


__all__ = [
    "Compiled", "Eager", "gamma_above", "gamma_below", "gamma_below_by_a", "gamma_sample_by_a",
    "lower_bessel_i0e",
]  # fmt: skip
