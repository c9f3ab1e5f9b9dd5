"""Special functions: error functions, the gamma family, incomplete gamma and beta functions, Bessel
functions.

Elementwise on floating operands of one dtype. Values are SciPy's, computed in the operands'
precision (in float32 for narrower types); SciPy is imported when the first one is asked for. What
neither SciPy nor the compiler has is computed by the formulas in `lax.incomplete`. Derivatives are
other functions of the family wherever these are closed, so they exist to any order; where there is
no formula, differentiating says so.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray
from pullback.core.errors import user_line
from pullback.lax.elementwise import and_p, div_p, eq_p, exp_p, log1p_p, log_p, lt_p, or_p, pow_p, sign_p
from pullback.lax.family import FLOAT, Elementwise, add_p, by_type, constant, like, mul_p, neg_p, sub_p
from pullback.lax.public import apply, unary
from pullback.lax.selection import select

# ---- evaluation ----------------------------------------------------------------------------------


def _in_own_precision(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of float32 or float64 values, made to take every floating type and give back the
    same."""

    def evaluate(*operands: Any, **params: Any) -> Any:
        dtype = operands[0].dtype
        if dtype.itemsize < 4:
            operands = tuple(x.astype(np.float32) for x in operands)
        out = function(*operands, **params)
        return out if out.dtype is dtype else out.astype(dtype)

    return evaluate


def _scipy(name: str) -> Callable[..., Any]:
    """The function `name` of `scipy.special`, imported when it is first called."""
    found: Any = None

    def function(*operands: Any) -> Any:
        nonlocal found
        if found is None:
            from scipy import special

            found = getattr(special, name)
        return found(*operands)

    evaluate = _in_own_precision(function)
    # SciPy's functions are of float32 and float64 themselves.
    is_scipys = lambda aval: aval.dtype in (dtypes.float32, dtypes.float64)
    return by_type(lambda aval: function if is_scipys(aval) else evaluate)(evaluate)  # type: ignore[no-any-return]


# Polynomials of Giles ("Approximating the erfinv function", GPU Computing Gems 2, 2011) in w - 5/2
# for w < 5, in √w - 3 beyond. Numbers are arrays without axes, which are the quickest operands.
_ERF_INV_MIDDLE, _ERF_INV_EDGE, _ERF_INV_TAIL_MIDDLE = (np.array(x, np.float32) for x in (2.5, 5, 3))
_ERF_INV_CENTER, _ERF_INV_TAIL = ([np.array(x, np.float32) for x in coefficients] for coefficients in (
    (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164, 0.246640727,
     1.50140941),
    (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047, 1.00167406,
     2.83297682),
))  # fmt: skip


def _horner(coefficients: Any, x: Any) -> Any:
    out = np.multiply(x, coefficients[0])
    for c in coefficients[1:-1]:
        out += c
        out *= x
    out += coefficients[-1]
    return out


def _in_double(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` evaluated in float64."""

    def evaluate(*operands: Any) -> Any:
        return np.asarray(function(*[np.asarray(x, np.float64) for x in operands])).astype(operands[0].dtype)

    return evaluate


def _erf_inv(x: Any) -> Any:
    """SciPy's in float64; in float32 XLA's approximation, so that normal random numbers are the
    same as in compiled programs."""
    if x.dtype == np.float64:
        return _scipy_erf_inv(x)
    single = np.asarray(x, np.float32)
    w = np.negative(single, np.empty_like(single))
    w *= single
    np.log1p(w, w)
    np.negative(w, w)
    out = np.asarray(_horner(_ERF_INV_CENTER, w - _ERF_INV_MIDDLE))
    center = w < _ERF_INV_EDGE
    if np.count_nonzero(center) < w.size:
        # At the ends, where w is infinite, the polynomial has the wrong sign.
        tail = ~center
        out[tail] = np.abs(_horner(_ERF_INV_TAIL, np.sqrt(w[tail]) - _ERF_INV_TAIL_MIDDLE))
    out *= single
    return out.astype(x.dtype, copy=False)


_scipy_erf_inv = _scipy("erfinv")


_psi, _log_gamma, _gamma, _hurwitz = _scipy("psi"), _scipy("gammaln"), _scipy("gamma"), _scipy("zeta")


def _digamma(x: Any) -> Any:
    # Poles of either sign; at those that are not 0 SciPy has NaN.
    zero = np.equal(x, constant(0, x))
    return np.where(zero, constant(np.nan, x), _psi(x)) if np.count_nonzero(zero) else _psi(x)


def _in_single(lower: Callable[..., Any]) -> Callable[..., Any]:
    """The lowering `lower`, in float32 for narrower types: the rounding of a polynomial in 8 bits is no
    function."""

    def wider(emit: Any, *xs: Any, **params: Any) -> Any:
        dtype = xs[0].dtype
        if dtype.itemsize >= 4:
            return lower(emit, *xs, **params)
        return emit.convert(lower(emit, *(emit.convert(x, dtypes.float32) for x in xs), **params), dtype)

    return wider


def _wide(op: str) -> Any:
    """The operation `op`, in float32 for narrower types."""
    return _in_single(lambda emit, *xs: emit(op, *xs))


def _lgamma(x: Any) -> Any:
    infinite = np.equal(x, constant(-np.inf, x))
    if np.count_nonzero(infinite):  # C99 (F.9.5.3): +inf at both infinities
        x = np.where(infinite, constant(np.inf, x), x)
    return _log_gamma(x)


def _polynomials(name: str) -> Callable[..., Any]:
    """The rule `lower` by the formula `name` of `lax.real_gamma`, imported when something is compiled
    with it."""

    def lower(emit: Any, *operands: Any) -> Any:
        from pullback.lax import approximations, real_gamma

        return approximations.computed(getattr(real_gamma, name), wide=True)(emit, *operands)

    return lower


def _hurwitz_sum(emit: Any, x: Any, q: Any) -> Any:
    """Σ (n + q)^-x over n ≥ 0 for x > 1 and q > 0: XLA's is 0 where q^-x is, and NaN where a product of its powers with
    large x is."""
    from pullback.lax.incomplete import Value

    exponent, start = Value(emit, x), Value(emit, q)
    where = lambda condition, a, b: Value(
        emit, emit.select(condition.value, exponent.constant(a), exponent.constant(b))
    )
    # The first term of many, and the integral (with Euler's and Maclaurin's terms, DLMF 25.11.43).
    only = (exponent > 1e6) & (start > 0)
    far = start > (1e8 if x.dtype.itemsize == 8 else 1e5)
    near = Value(emit, emit("chlo.zeta", where(only, 2.0, exponent).value, where(far, 1.0, start).value))
    power = start.apply("power", where(only, -exponent, 1 - exponent))
    less, inverse = exponent - 1, 1 / where(far, start, 1.0)
    integral = power * (1 / where(only, 1.0, less) + inverse * (0.5 + exponent * inverse * (1 / 12)))
    return where(only, power, where(far, integral, near)).value


def _polygamma_of_xla(emit: Any, m: Any, x: Any) -> Any:
    return emit("chlo.polygamma", m, x)


def _of_negative(emit: Any, sum_of: Callable[..., Any], order: Any, q: Any, applies: Any, even: Any) -> Any:
    """The operation `sum_of` of `order` and `q`, a sum over the powers of q, q + 1, ..., also where q < -1 is no
    whole number, and `applies` holds: there XLA's is wrong.

    Of q = f - N, the terms before that of f are, with the sign of (-1)^order (`even` says that it is +), those of 1 - f
    up to N. That takes three sums more, which are added only if there is such a q.
    """
    negative = emit("and", emit.compare("LT", q, emit.like(-1, q)), emit.compare("NE", q, emit("floor", q)))
    negative = emit("and", negative, applies)
    regular = sum_of(emit, order, emit.select(negative, emit.like(1, q), q))

    def corrected(regular: Any) -> list[Any]:
        one = emit.like(1, q)
        rest = emit.select(negative, emit("subtract", q, emit("floor", q)), emit.like(0.5, q))
        mirrored = emit.select(negative, emit("subtract", one, q), one)
        other = emit.select(negative, emit("subtract", emit("ceil", q), q), emit.like(0.5, q))
        before = emit("subtract", sum_of(emit, order, other), sum_of(emit, order, mirrored))
        before = emit.select(even, before, emit("negate", before))
        return [emit.select(negative, emit("add", sum_of(emit, order, rest), before), regular)]

    (out,) = emit.if_any(negative, corrected, [regular])
    return out


def _is_even(emit: Any, x: Any) -> Any:
    half = emit("multiply", x, emit.like(0.5, x))
    return emit.compare("EQ", half, emit("floor", half))


@_in_single
def _lower_zeta(emit: Any, x: Any, q: Any) -> Any:
    whole = emit("and", emit.compare("EQ", x, emit("floor", x)), emit.compare("GT", x, emit.like(1, x)))
    out = _of_negative(emit, _hurwitz_sum, x, q, whole, _is_even(emit, x))
    # XLA's sum has no limit at q = inf, and poles for x < 1.
    limit = emit.select(emit.compare("LT", x, emit.like(1, x)), emit.like(np.nan, out), out)
    vanishes = emit("and", emit.compare("EQ", q, emit.like(np.inf, q)), emit.compare("GT", x, emit.like(1, x)))
    return emit.select(vanishes, emit.like(0, out), limit)


@_in_single
def _lower_polygamma(emit: Any, m: Any, x: Any) -> Any:
    whole = emit("and", emit.compare("GE", m, emit.like(1, m)), emit.compare("EQ", m, emit("floor", m)))
    out = _of_negative(emit, _polygamma_of_xla, m, x, whole, emit("not", _is_even(emit, m)))
    vanishes = emit("and", emit.compare("EQ", x, emit.like(np.inf, x)), whole)
    pole = emit(
        "and", emit.compare("EQ", x, emit.like(0, x)), emit.compare("EQ", m, emit.like(0, m))
    )  # that of digamma
    return emit.select(pole, emit.like(np.nan, out), emit.select(vanishes, emit.like(0, out), out))


def _zeta(x: Any, q: Any) -> Any:
    """Hurwitz's Σ_n (n + q)^-x. At its poles in q infinite for even x, else NaN: there the sign
    depends on the side."""
    pole = (q <= 0) & (q == np.floor(q))
    out = np.where(np.isnan(x) | (pole & (np.mod(x, 2) != 0)), np.nan, _hurwitz(x, q))
    only = np.isnan(out) & (x > 1e6) & (q > 0)  # the first term of the sum, where SciPy has no limit
    if only.any():
        out = np.where(only, np.power(np.where(only, q, 1), -np.where(only, x, 1)), out)
    return np.where((x == 1) & ~np.isnan(q), np.inf, out).astype(x.dtype)  # the harmonic series


def _polygamma(m: Any, x: Any) -> Any:
    """The derivative of order `m` of digamma: ψ at 0, then (-1)^(m+1) m! ζ(m + 1, x). NaN unless
    `m` is a whole number ≥ 0."""
    m, x = np.broadcast_arrays(m, x)
    whole = (m >= 0) & (m == np.floor(m))
    order = np.where(whole, m, 1)
    sign = np.where(np.mod(order, 2) == 0, -1, 1)
    out = np.where(order == 0, _digamma(x), sign * _gamma(order + 1) * _zeta(order + 1, x))
    return np.where(whole, out, np.nan).astype(x.dtype)


class Iterated(Elementwise):
    """A function that takes a loop or a long sum to compute: `formula` names the one of `lax.incomplete`,
    `lax.incomplete_beta`, `lax.hurwitz` or `lax.masses`, which compiled programs use, and NumPy in float64 if there is
    nothing quicker to `evaluate`.

    >>> igamma_p.formula, igamma_grad_a_p.formula
    ('gamma_below', 'gamma_below_by_a')
    """

    def __init__(self, name: str, formula: str, *partials: Any, evaluate: Callable[..., Any] | None = None) -> None:
        self.formula = formula
        super().__init__(name, FLOAT, evaluate or _in_own_precision(self._evaluate_in_float64), *partials)

    def _formula(self) -> Callable[..., Any]:
        from pullback.lax import hurwitz, incomplete, incomplete_beta, masses

        module = next(m for m in (incomplete, incomplete_beta, hurwitz, masses) if self.formula in m.__all__)
        return getattr(module, self.formula)  # type: ignore[no-any-return]

    def _evaluate_in_float64(self, *operands: Any, **params: Any) -> Any:
        from pullback.lax.incomplete import Eager

        wide = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in operands))
        out = self._formula()(Eager(operands[0].dtype != np.float64), 1e-17, *(x.ravel() for x in wide), **params)
        return out.reshape(wide[0].shape)

    def lower(self, emit: Any, *operands: Any, **params: Any) -> Any:
        from pullback.lax import approximations

        return approximations.lower_in_float64(self._formula())(emit, *operands, **params)


def _lower_bessel_i0e(emit: Any, x: Any) -> Any:
    from pullback.lax.incomplete import lower_bessel_i0e

    wide = emit.convert(x, dtypes.float32) if x.dtype.itemsize < 4 else x
    return emit.convert(lower_bessel_i0e(emit, wide), x.dtype)


# ---- partial derivatives -------------------------------------------------------------------------


def _none(name: str, operand: str, why: str) -> Any:
    """The partial derivative that does not exist in closed form."""

    def partial(*values: Any) -> Any:
        raise NotImplementedError(f"{name} has no derivative with respect to {operand}, at {user_line()}: {why}")

    return partial


def _gaussian(factor: float) -> Any:
    """factor · exp(-x²)"""
    return lambda x, out: mul_p.bind(like(factor, x), gaussian_p.bind(x, rate=1.0))


def _evaluate_gaussian(x: Any, *, rate: float) -> Any:
    return np.exp(x * x * constant(-rate, x))


def _lower_gaussian(emit: Any, x: Any, *, rate: float) -> Any:
    square = emit("multiply", x, x)
    return emit("exponential", emit("multiply", square, emit.constant(-rate, x.dtype, x.shape)))


def _gaussian_slope(x: Any, out: Any, *, rate: float) -> Any:
    # -2x times rate and function, with the limit 0 of infinite x.
    inside = select(eq_p.bind(out, like(0, x)), out, x)
    return mul_p.bind(mul_p.bind(like(-2 * rate, x), inside), out)


def _gamma_density(a: Any, x: Any, out: Any) -> Any:
    return gamma_density_p.bind(a, x)


def _score_by_a(a: Any, x: Any) -> Any:
    """log x - ψ(a), the derivative of the log density by `a`."""
    return gamma_score_p.bind(a, x)


def _known_inside(x: Any, *ends: float) -> bool:
    """Whether it is known that no element is at an end: of values that nothing traces."""
    return x.__class__ is ConcreteArray and not any(np.any(x._value == end) for end in ends)


def _inside(end: Any, x: Any) -> Any:
    """`x`, a number between the ends where `end` holds: a score that is infinite there is not multiplied by a density of 0."""
    return select(end, like(0.5, x), x)


def _gamma_density_by_a(a: Any, x: Any, out: Any) -> Any:
    if not _known_inside(x, 0):
        x = _inside(eq_p.bind(out, like(0, x)), x)
    return mul_p.bind(out, _score_by_a(a, x))


def _gamma_density_by_x(a: Any, x: Any, out: Any) -> Any:
    if _known_inside(x, 0):
        return mul_p.bind(out, _density_slope(a, x))
    # Where the density vanishes at 0: (a - 1 - x) x^(a-2) e^-x / Γ(a), with powers whose derivatives are those at 0, too.
    one = like(1, a)
    end = and_p.bind(eq_p.bind(x, like(0, x)), lt_p.bind(one, a))
    less = sub_p.bind(a, one)
    power = pow_p.bind(select(end, x, like(1, x)), select(end, sub_p.bind(less, one), one))
    factor = mul_p.bind(sub_p.bind(less, x), exp_p.bind(neg_p.bind(add_p.bind(x, lgamma_p.bind(a)))))
    return select(end, mul_p.bind(power, factor), mul_p.bind(out, _density_slope(a, _inside(end, x))))


def _density_slope(a: Any, x: Any) -> Any:
    """(a - 1)/x - 1, the derivative of the log density by `x`."""
    return sub_p.bind(quotient_or_zero(sub_p.bind(a, like(1, a)), x), like(1, x))


def quotient_or_zero(x: Any, y: Any) -> Any:
    """x/y, and 0 where x = 0, whatever y is."""
    return div_p.bind(x, select(eq_p.bind(x, like(0, x)), like(1, y), y))


def _random_gamma_by_sample(a: Any, x: Any, out: Any, *, order: int = 0) -> Any:
    # out = -G/p, where G = ∂P/∂a and p is the density: the derivative by x is -(log x - ψ(a)) - out
    # (log p)'; and that is differentiated by a.
    total = mul_p.bind(out, _density_slope(a, x))
    if order:
        lower = random_gamma_grad_p.bind(a, x, order=order - 1)
        total = add_p.bind(total, mul_p.bind(like(order, x), div_p.bind(lower, x)))
        return sub_p.bind(polygamma_p.bind(like(order, a), a), total)
    return neg_p.bind(add_p.bind(_score_by_a(a, x), total))


def _of_density(density: Any, score: Callable[..., Any], orders: tuple[int, ...]) -> Any:
    """The derivative of a density by its parameters, as often as `orders` says: `score(i, *more)` is that
    of its logarithm by number `i`, differentiated by each as often as `more` says.

    By Leibniz's rule for f' = f s: that of order n + 1 is Σ C(n, k) f⁽ⁿ⁻ᵏ⁾ s⁽ᵏ⁾.
    """
    if not any(orders):
        return density
    first = next(i for i, n in enumerate(orders) if n)
    rest = [n - (i == first) for i, n in enumerate(orders)]
    total = None
    for more in itertools.product(*(range(n + 1) for n in rest)):
        factor = math.prod(math.comb(n, k) for n, k in zip(rest, more))
        lower = _of_density(density, score, tuple(n - k for n, k in zip(rest, more)))
        term = mul_p.bind(lower, score(first, *more))
        term = term if factor == 1 else mul_p.bind(like(factor, term), term)
        total = term if total is None else add_p.bind(total, term)
    return total


def _grad_a_by_x(a: Any, x: Any, out: Any, *, order: int = 0) -> Any:
    def score(_: int, n: int) -> Any:
        return neg_p.bind(polygamma_p.bind(like(n, a), a)) if n else _score_by_a(a, x)

    return _of_density(_gamma_density(a, x, out), score, (order + 1,))


def _once_more(primitive: Any) -> Any:
    """The derivative of a derivative of order `order`."""
    return lambda *values, order=0: primitive().bind(*values[:-1], order=order + 1)


def _beta_density(a: Any, b: Any, x: Any, out: Any) -> Any:
    return beta_density_p.bind(a, b, x)


def _beta_score_by_a(a: Any, b: Any, x: Any) -> Any:
    """log x - ψ(a) + ψ(a + b), the derivative of the log density by `a`."""
    return sub_p.bind(log_p.bind(x), psi_change_p.bind(a, b))


def _beta_score_by_b(a: Any, b: Any, x: Any) -> Any:
    return sub_p.bind(log1p_p.bind(neg_p.bind(x)), psi_change_p.bind(b, a))


def _beta_slope(a: Any, b: Any, x: Any) -> Any:
    one = like(1, x)
    above = quotient_or_zero(sub_p.bind(b, one), sub_p.bind(one, x))
    return sub_p.bind(quotient_or_zero(sub_p.bind(a, one), x), above)


#: The derivatives of the logarithm of the beta distribution's density.
BETA_SCORES = (_beta_score_by_a, _beta_score_by_b, _beta_slope)


def _beta_density_by(score: Callable[..., Any]) -> Callable[..., Any]:
    def partial(a: Any, b: Any, x: Any, out: Any) -> Any:
        if not _known_inside(x, 0, 1):
            x = _inside(eq_p.bind(out, like(0, x)), x)
        return mul_p.bind(out, score(a, b, x))

    return partial


def _beta_density_by_x(a: Any, b: Any, x: Any, out: Any) -> Any:
    if _known_inside(x, 0, 1):
        return mul_p.bind(out, _beta_slope(a, b, x))
    # Where the density vanishes at an end, as that of the gamma distribution does: with y = x or 1 - x, which is 0 there,
    # y^(p-2) (1 - y)^(q-2) ((p - 1) (1 - y) - (q - 1) y) / B(p, q), of which the sign changes at 1.
    one, zero = like(1, x), like(0, x)
    low = and_p.bind(eq_p.bind(x, zero), lt_p.bind(one, a))
    high = and_p.bind(eq_p.bind(x, one), lt_p.bind(one, b))
    end = or_p.bind(low, high)
    p, q = sub_p.bind(select(high, b, a), one), sub_p.bind(select(high, a, b), one)
    y = select(high, sub_p.bind(one, x), select(low, x, like(0.5, x)))
    rest = sub_p.bind(one, y)
    first = pow_p.bind(y, select(end, sub_p.bind(p, one), one))
    second = pow_p.bind(rest, select(end, sub_p.bind(q, one), one))
    log_scale = sub_p.bind(lgamma_p.bind(add_p.bind(a, b)), add_p.bind(lgamma_p.bind(a), lgamma_p.bind(b)))
    factor = mul_p.bind(sub_p.bind(mul_p.bind(p, rest), mul_p.bind(q, y)), exp_p.bind(log_scale))
    at_end = mul_p.bind(mul_p.bind(first, second), factor)
    at_end = select(high, neg_p.bind(at_end), at_end)
    return select(end, at_end, mul_p.bind(out, _beta_slope(a, b, _inside(end, x))))


def _betainc_by(first: int) -> Any:
    """The derivative of `betainc`, or of one of its derivatives, by `a` (0) or `b` (1)."""

    def partial(a: Any, b: Any, x: Any, out: Any, *, orders: tuple[int, int] = (0, 0)) -> Any:
        more = (orders[0] + 1, orders[1]) if first == 0 else (orders[0], orders[1] + 1)
        return incomplete_beta_by_p.bind(a, b, x, orders=more)

    return partial


def _betainc_by_x(a: Any, b: Any, x: Any, out: Any, *, orders: tuple[int, int]) -> Any:
    def score(i: int, *more: int) -> Any:
        n, own = sum(more), (a, b)[i]
        if n == 0:
            return BETA_SCORES[i](a, b, x)
        of_sum = polygamma_p.bind(like(n, a), add_p.bind(a, b))
        return of_sum if more[1 - i] else sub_p.bind(of_sum, polygamma_p.bind(like(n, a), own))

    return _of_density(beta_density_p.bind(a, b, x), score, orders)


def _i0e_partial(x: Any, out: Any) -> Any:
    # I0' = I1, and the factor e^-|x| adds -sign(x).
    return sub_p.bind(bessel_i1e_p.bind(x), mul_p.bind(sign_p.bind(x), out))


def _i1e_partial(x: Any, out: Any) -> Any:
    # I1' = I0 - I1/x, where I1/x has the limit 1/2 at 0; and the factor e^-|x| adds -sign(x).
    zero = eq_p.bind(x, like(0, x))
    quotient = select(zero, like(0.5, x), div_p.bind(out, select(zero, like(1, x), x)))
    return sub_p.bind(sub_p.bind(bessel_i0e_p.bind(x), quotient), mul_p.bind(sign_p.bind(x), out))


def _zeta_by_q(x: Any, q: Any, out: Any) -> Any:
    return neg_p.bind(mul_p.bind(x, zeta_p.bind(add_p.bind(x, like(1, x)), q)))


def _zeta_by_exponent(x: Any, q: Any, out: Any, *, order: int = 0) -> Any:
    return zeta_by_exponent_p.bind(x, q, order=order + 1)


def _zeta_by_both(x: Any, q: Any, out: Any, *, order: int) -> Any:
    # Of -x ζ(x + 1, q), differentiated by x `order` times.
    following = add_p.bind(x, like(1, x))
    lower = zeta_by_exponent_p.bind(following, q, order=order - 1) if order > 1 else zeta_p.bind(following, q)
    product = mul_p.bind(x, zeta_by_exponent_p.bind(following, q, order=order))
    return neg_p.bind(add_p.bind(product, mul_p.bind(like(order, x), lower)))


def _polygamma_by_x(m: Any, x: Any, out: Any) -> Any:
    return polygamma_p.bind(add_p.bind(m, like(1, m)), x)


def _trigamma(x: Any) -> Any:
    return trigamma_p.bind(x)


_BY_ORDER = "the order is a whole number"
_ROOT_PI = float(np.sqrt(np.pi))

# ---- the table -----------------------------------------------------------------------------------
# fmt: off
#: exp(-rate x²)
gaussian_p = Elementwise("gaussian", FLOAT, _in_own_precision(_evaluate_gaussian), _gaussian_slope, hlo=_in_single(_lower_gaussian), cost=10)
erf_p     = Elementwise("erf",     FLOAT, _scipy("erf"),    _gaussian(2 / _ROOT_PI), hlo=_wide("chlo.erf"), cost=20,
                        xla_from={4: 1 << 16, 8: 1 << 18})
erfc_p    = Elementwise("erfc",    FLOAT, _scipy("erfc"),   _gaussian(-2 / _ROOT_PI), hlo=_wide("chlo.erfc"), cost=20,
                        xla_from={4: 1 << 16, 8: 1 << 16})
erf_inv_p = Elementwise("erf_inv", FLOAT, _erf_inv,
                        lambda x, out: mul_p.bind(like(_ROOT_PI / 2, x), exp_p.bind(mul_p.bind(out, out))),
                        hlo=_wide("chlo.erf_inv"), cost=20, xla_from={4: 1 << 19})
lgamma_p  = Elementwise("lgamma",  FLOAT, _in_own_precision(_lgamma), lambda x, out: digamma_p.bind(x),
                        hlo=_polynomials("log_gamma"), cost=20)
digamma_p = Elementwise("digamma", FLOAT, _in_own_precision(_digamma), lambda x, out: trigamma_p.bind(x),
                        hlo=_polynomials("digamma"), cost=20)
trigamma_p = Elementwise("trigamma", FLOAT, _in_own_precision(lambda x: _polygamma(np.ones_like(x), x)),
                         lambda x, out: polygamma_p.bind(like(2, x), x), hlo=_polynomials("trigamma"), cost=20)
polygamma_p = Elementwise("polygamma", FLOAT, _in_own_precision(_polygamma), _none("polygamma", "its order", _BY_ORDER), _polygamma_by_x,
                          hlo=_lower_polygamma, cost=20)
zeta_p    = Elementwise("zeta",    FLOAT, _in_own_precision(_zeta),
                        _zeta_by_exponent, _zeta_by_q, hlo=_lower_zeta, cost=20)
zeta_by_exponent_p = Iterated("zeta_by_exponent", "zeta_by_exponent", _zeta_by_exponent, _zeta_by_both)
gamma_density_p = Iterated("gamma_density", "gamma_density", _gamma_density_by_a, _gamma_density_by_x)
gamma_score_p = Iterated("gamma_score", "gamma_score", lambda a, x, out: neg_p.bind(_trigamma(a)),
                         lambda a, x, out: div_p.bind(like(1, x), x))
psi_change_p = Iterated("psi_change", "psi_change", lambda a, b, out: sub_p.bind(_trigamma(a), _trigamma(add_p.bind(a, b))),
                        lambda a, b, out: neg_p.bind(_trigamma(add_p.bind(a, b))))
igamma_p  = Iterated("igamma", "gamma_below", lambda a, x, out: igamma_grad_a_p.bind(a, x), _gamma_density,
                     evaluate=_scipy("gammainc"))
igammac_p = Iterated("igammac", "gamma_above", lambda a, x, out: neg_p.bind(igamma_grad_a_p.bind(a, x)),
                     lambda a, x, out: neg_p.bind(_gamma_density(a, x, out)), evaluate=_scipy("gammaincc"))
igamma_grad_a_p = Iterated("igamma_grad_a", "gamma_below_by_a", _once_more(lambda: igamma_grad_a_p), _grad_a_by_x)
random_gamma_grad_p = Iterated("random_gamma_grad", "gamma_sample_by_a", _once_more(lambda: random_gamma_grad_p),
                               _random_gamma_by_sample)
beta_density_p = Iterated("beta_density", "beta_density", *map(_beta_density_by, BETA_SCORES[:2]), _beta_density_by_x)
regularized_incomplete_beta_p = Iterated(
    "regularized_incomplete_beta", "beta_below", _betainc_by(0), _betainc_by(1), _beta_density,
    evaluate=_in_double(_scipy("betainc")))  # SciPy's in float32 has five digits
incomplete_beta_by_p = Iterated("incomplete_beta_by", "beta_below_by", _betainc_by(0), _betainc_by(1), _betainc_by_x)
bessel_i0e_p = Elementwise("bessel_i0e", FLOAT, _scipy("i0e"), _i0e_partial, hlo=_lower_bessel_i0e, cost=20)
bessel_i1e_p = Elementwise("bessel_i1e", FLOAT, _scipy("i1e"), _i1e_partial, hlo=_wide("chlo.bessel_i1e"), cost=20)
# fmt: on


# ---- public functions ----------------------------------------------------------------------------
# fmt: off
erf = unary(erf_p, "The error function 2/√π ∫₀ˣ exp(-t²) dt (DLMF 7.2.1).",
            "lax.erf(jnp.array([0.0, 1.0, -jnp.inf])).round(4) -> Array([ 0.    ,  0.8427, -1.    ], dtype=float32)")
erfc = unary(erfc_p, "The complementary error function 1 - erf(x) (DLMF 7.2.2), exact also where it is tiny.",
             "lax.erfc(jnp.array([0.0, 1.0, jnp.inf])).round(4) -> Array([1.    , 0.1573, 0.    ], dtype=float32)\n"
             "1 - lax.erf(5.0) -> Array(0., dtype=float32, weak_type=True)\n"
             "lax.erfc(5.0) > 1e-12 -> Array(True, dtype=bool)")
erf_inv = unary(erf_inv_p, "The inverse of `erf`: ±∞ at ±1, NaN outside [-1, 1].",
                "lax.erf_inv(jnp.array([0.0, 0.5, 1.0, 2.0])).round(4) -> Array([0.    , 0.4769,    inf,    nan], dtype=float32)")
lgamma = unary(lgamma_p, "log |Γ(x)| (DLMF 5.2.1): infinite at 0 and the negative whole numbers.",
               "lax.lgamma(jnp.array([1.0, 5.0, 0.0])).round(4) -> Array([0.    , 3.1781,    inf], dtype=float32)")
digamma = unary(digamma_p, "ψ(x), the derivative of `lgamma` (DLMF 5.2.2): NaN at 0 and the negative whole numbers.",
                "lax.digamma(jnp.array([1.0, 2.0, -1.0])).round(4) -> Array([-0.5772,  0.4228,     nan], dtype=float32)")
bessel_i0e = unary(bessel_i0e_p, "e^-|x| I₀(x), the exponentially scaled modified Bessel function of order 0 (DLMF 10.25).",
                   "lax.bessel_i0e(jnp.array([0.0, 1.0, 1000.0])).round(4) -> Array([1.    , 0.4658, 0.0126], dtype=float32)")
bessel_i1e = unary(bessel_i1e_p, "e^-|x| I₁(x), the exponentially scaled modified Bessel function of order 1 (DLMF 10.25).",
                   "lax.bessel_i1e(jnp.array([0.0, 1.0, -1.0])).round(4) -> Array([ 0.    ,  0.2079, -0.2079], dtype=float32)")
# fmt: on


def polygamma(m: Any, x: Any) -> Array:
    """The derivative of order `m` of `digamma` (DLMF 5.15): (-1)^(m+1) m! ζ(m + 1, x).

    `m`, of whole values (NaN for others), and `x` are of one floating dtype and one shape, up to
    scalars and axes of length 1; the result has that shape and dtype. TypeError for others.
    Differentiable in `x` alone: NotImplementedError in `m`.

    >>> from pullback import lax
    >>> import pullback.numpy as jnp
    >>> lax.polygamma(1.0, jnp.array([1.0, 2.0])).round(4)  # π²/6, and 1 less
    Array([1.6449, 0.6449], dtype=float32)
    """
    return apply(polygamma_p, m, x)


def zeta(x: Any, q: Any) -> Array:
    """Hurwitz's zeta function Σ_n (n + q)^-x over n ≥ 0 (DLMF 25.11.1); NaN for x < 1.

    `x` and `q` are of one floating dtype and one shape, up to scalars and axes of length 1; the
    result has that shape and dtype. TypeError for others.

    >>> from pullback import lax
    >>> import pullback.numpy as jnp
    >>> lax.zeta(2.0, jnp.array([1.0, 2.0])).round(4)  # π²/6, and without its first term
    Array([1.6449, 0.6449], dtype=float32)
    """
    return apply(zeta_p, x, q)


def igamma(a: Any, x: Any) -> Array:
    """The regularized lower incomplete gamma function P(a, x) = ∫₀ˣ t^(a-1) e^-t dt / Γ(a) (DLMF 8.2.4).

    `a` and `x` are of one floating dtype and one shape, up to scalars and axes of length 1; the result
    has that shape and dtype. TypeError for others. Differentiable in both.

    >>> from pullback import lax
    >>> import pullback.numpy as jnp
    >>> lax.igamma(1.0, jnp.array([0.0, 1.0, jnp.inf])).round(4)  # 1 - e^-x
    Array([0.    , 0.6321, 1.    ], dtype=float32)
    """
    return apply(igamma_p, a, x)


def igammac(a: Any, x: Any) -> Array:
    """The regularized upper incomplete gamma function Q(a, x) = 1 - P(a, x) (DLMF 8.2.4), exact also where it is
    tiny. Operands, result and errors are as of `igamma`.

    >>> from pullback import lax
    >>> lax.igammac(1.0, 50.0) > 0, 1 - lax.igamma(1.0, 50.0)  # e^-50 and its rounded kin
    (Array(True, dtype=bool), Array(0., dtype=float32, weak_type=True))
    """
    return apply(igammac_p, a, x)


def igamma_grad_a(a: Any, x: Any) -> Array:
    """The derivative of `igamma` with respect to `a`, whose operands, result and errors are as there.

    >>> import pullback as pb
    >>> from pullback import lax
    >>> bool(pb.grad(lax.igamma)(2.0, 1.0) == lax.igamma_grad_a(2.0, 1.0))
    True
    """
    return apply(igamma_grad_a_p, a, x)


def random_gamma_grad(a: Any, x: Any) -> Array:
    """The derivative by the shape `a` of a sample `x` from the gamma distribution, at fixed P(a,
    x): -(∂P/∂a) / (∂P/∂x). Operands, result and errors are as of `igamma`.

    Source: M. Figurnov, S. Mohamed, A. Mnih, "Implicit reparameterization gradients", 2018.

    >>> import pullback as pb
    >>> from pullback import lax
    >>> by_a, by_x = pb.grad(lax.igamma, argnums=(0, 1))(2.0, 1.0)
    >>> bool(abs(lax.random_gamma_grad(2.0, 1.0) + by_a / by_x) < 1e-5)
    True
    """
    return apply(random_gamma_grad_p, a, x)


def betainc(a: Any, b: Any, x: Any) -> Array:
    """The regularized incomplete beta function ∫₀ˣ t^(a-1) (1-t)^(b-1) dt / B(a, b), for x in [0, 1] (DLMF 8.17.2).

    `a`, `b` and `x` are of one floating dtype and one shape, up to scalars and axes of length 1; the
    result has that shape and dtype. TypeError for others. Derivatives by `a` and `b` are by R. Boik,
    J. Robinson-Cox, J. Stat. Software 3 (1998).

    >>> from pullback import lax
    >>> import pullback.numpy as jnp
    >>> lax.betainc(2.0, 1.0, jnp.array([0.0, 0.5, 1.0]))  # x²
    Array([0.  , 0.25, 1.  ], dtype=float32)
    """
    return apply(regularized_incomplete_beta_p, a, b, x, name="betainc")


__all__ = [
    "bessel_i0e", "bessel_i0e_p", "bessel_i1e", "bessel_i1e_p", "beta_density_p", "betainc", "digamma", "digamma_p",
    "erf", "erf_inv", "erf_inv_p", "erf_p", "erfc", "erfc_p", "gamma_density_p", "gamma_score_p", "gaussian_p", "igamma", "igamma_grad_a",
    "igamma_grad_a_p", "igamma_p", "igammac", "igammac_p", "incomplete_beta_by_p", "lgamma", "lgamma_p", "polygamma",
    "polygamma_p", "psi_change_p", "random_gamma_grad", "regularized_incomplete_beta_p", "trigamma_p", "zeta",
    "zeta_by_exponent_p", "zeta_p",
]  # fmt: skip
