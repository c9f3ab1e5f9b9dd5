"""Primitives of the normal distribution's probabilities, of entropies, and of logarithms that have
a limit: `ndtr`, `log_ndtr`, `ndtri`, `entr`, `rel_entr`, `kl_div`, `xlogy`, `xlog1py`, `logit`.

Eager values are SciPy's. The normal tail is that of the scaled complementary error function (see
`lax.error_functions`), which does not cancel.
"""

from __future__ import annotations

import math
from typing import Any

from pullback.lax.approximations import INFINITY, Special, by_scipy
from pullback.lax.elementwise import abs_p, div_p, exp_p, expm1_p, log1p_p, log_p, lt_p
from pullback.lax.error_functions import _erfcx_positive, _normal_tail, erfc_inv, erfcx_p
from pullback.lax.family import INEXACT, Elementwise, add_p, like, mul_p, neg_p, sub_p
from pullback.lax.incomplete import _log1p, _log1p_rest
from pullback.lax.selection import select

_ROOT_HALF = math.sqrt(0.5)

# ---- formulas ------------------------------------------------------------------------------------


def ndtr(xp: Any, x: Any) -> Any:
    tail = _normal_tail(xp, xp.between(xp.abs(x), 0.0, 60.0))
    return xp.where(xp.is_number(x), xp.where(x < 0, tail, 1 - tail), math.nan)


def log_ndtr(xp: Any, x: Any) -> Any:
    size = xp.abs(x)
    tail = _normal_tail(xp, xp.between(size, 0.0, 60.0))
    below = xp.log(0.5 * _erfcx_positive(xp, size * _ROOT_HALF)) - x * x * 0.5
    # Between, where the tail is neither small nor its logarithm near 0, either would do.
    out = xp.where(x < -1, below, _log1p(xp, -xp.where(x < 0, 1 - tail, tail)))
    return xp.where(xp.is_number(x), xp.where(size >= INFINITY, xp.where(x < 0, -INFINITY, 0.0), out), math.nan)


def ndtri(xp: Any, p: Any) -> Any:
    return erfc_inv(xp, p * 2) * -math.sqrt(2)


def entr(xp: Any, x: Any) -> Any:
    inside = xp.where(x > 0, x, 1.0)
    out = xp.where(x > 0, -inside * xp.log(inside), xp.where(x < 0, -INFINITY, 0.0))
    return xp.where(xp.is_number(x), out, math.nan)


def _log_ratio(xp: Any, p: Any, q: Any) -> Any:
    """log(p/q) of positive numbers, exact also where they are close."""
    near = (p < q * 1.3) & (q < p * 1.3)
    change = (xp.where(near, p, 1.0) - xp.where(near, q, 1.0)) / xp.where(near, q, 1.0)
    return xp.where(near, _log1p(xp, change), xp.log(p) - xp.log(q))


def _of_distributions(xp: Any, p: Any, q: Any, inside: Any, at_zero: Any) -> Any:
    out = xp.where((p > 0) & (q > 0), inside, xp.where((p <= 0) & (p >= 0) & (q >= 0), at_zero, INFINITY))
    return xp.where(xp.is_number(p) & xp.is_number(q), out, math.nan)


def rel_entr(xp: Any, p: Any, q: Any) -> Any:
    regular = (p > 0) & (q > 0)
    p_, q_ = xp.where(regular, p, 1.0), xp.where(regular, q, 1.0)
    return _of_distributions(xp, p, q, p_ * _log_ratio(xp, p_, q_), 0.0)


def kl_div(xp: Any, p: Any, q: Any) -> Any:
    regular = (p > 0) & (q > 0)
    p_, q_ = xp.where(regular, p, 1.0), xp.where(regular, q, 1.0)
    near = (p_ < q_ * 1.3) & (q_ < p_ * 1.3)
    change = (xp.where(near, p_, 1.0) - xp.where(near, q_, 1.0)) / xp.where(near, q_, 1.0)
    # (1 + d) log(1 + d) - d, with log(1 + d) = d + r: d² + (1 + d) r.
    close = q_ * (change * change + (1 + change) * _log1p_rest(xp, change))
    return _of_distributions(xp, p, q, xp.where(near, close, p_ * _log_ratio(xp, p_, q_) - p_ + q_), q)


def logit(xp: Any, p: Any) -> Any:
    regular = (p > 0) & (p < 1)
    x = xp.where(regular, p, 0.5)
    middle = (x > 0.45) & (x < 0.55)
    out = xp.where(middle, _log1p(xp, xp.where(middle, (2 * x - 1) / (1 - x), 0.0)), xp.log(x / (1 - x)))
    ends = xp.where((p <= 0) & (p >= 0), -INFINITY, xp.where((p <= 1) & (p >= 1), INFINITY, math.nan))
    return xp.where(regular, out, ends)


def _boxcox(xp: Any, log: Any, power: Any) -> Any:
    """(e^(λ log) - 1)/λ, or the logarithm where λ = 0."""
    flat = (power <= 0) & (power >= 0)
    out = xp.expm1(log * power) / xp.where(flat, 1.0, power)
    return xp.where(flat, log, out)


def boxcox(xp: Any, x: Any, power: Any) -> Any:
    return _boxcox(xp, xp.log(x), power)


def boxcox1p(xp: Any, x: Any, power: Any) -> Any:
    return _boxcox(xp, _log1p(xp, x), power)


def _x_log(op: str) -> Any:
    def lower(emit: Any, x: Any, y: Any) -> Any:
        number = emit.compare("EQ", y, y)
        vanishes = emit("and", emit.compare("EQ", x, emit.like(0, x)), number)
        return emit.select(vanishes, emit.like(0, x), emit("multiply", x, emit(op, y)))

    return lower


# ---- partial derivatives -------------------------------------------------------------------------


def _times(factor: Any, x: Any) -> Any:
    return mul_p.bind(like(factor, x), x)


def _density(x: Any, out: Any) -> Any:
    return _times(1 / math.sqrt(2 * math.pi), exp_p.bind(_times(-0.5, mul_p.bind(x, x))))


def _hazard(x: Any, out: Any) -> Any:
    # φ(x)/Φ(x), of which e^(-x²/2) is a factor above and below.
    return div_p.bind(like(math.sqrt(2 / math.pi), x), erfcx_p.bind(_times(-_ROOT_HALF, x)))


def _quantile_slope(p: Any, out: Any) -> Any:
    return _times(math.sqrt(2 * math.pi), exp_p.bind(_times(0.5, mul_p.bind(out, out))))


def _entr_slope(x: Any, out: Any) -> Any:
    return sub_p.bind(neg_p.bind(log_p.bind(x)), like(1, x))


def _log_of_ratio(p: Any, q: Any) -> Any:
    return rel_entr_p.bind(like(1, p), div_p.bind(q, p))


def _logit_slope(p: Any, out: Any) -> Any:
    return div_p.bind(like(1, p), mul_p.bind(p, sub_p.bind(like(1, p), p)))


#: Coefficients of (t e^t - (e^t - 1))/t²: 1/(n! (n + 2)).
_BENT = [1 / (math.factorial(n) * (n + 2)) for n in range(14)]


def _boxcox_by_power(log: Any, power: Any) -> Any:
    """The derivative by λ of (e^(λ log) - 1)/λ: log² (t e^t - (e^t - 1))/t² of t = λ log."""
    t = mul_p.bind(power, log)
    near = lt_p.bind(abs_p.bind(t), like(0.5, t))
    small = select(near, t, like(0, t))
    series = like(_BENT[-1], t)
    for c in reversed(_BENT[:-1]):
        series = add_p.bind(mul_p.bind(series, small), like(c, t))
    large = select(near, like(1, t), t)
    bent = sub_p.bind(mul_p.bind(large, exp_p.bind(large)), expm1_p.bind(large))
    return mul_p.bind(mul_p.bind(log, log), select(near, series, div_p.bind(bent, mul_p.bind(large, large))))


def _boxcox_by_x(log: Any, power: Any) -> Any:
    """x^(λ - 1)"""
    return exp_p.bind(mul_p.bind(sub_p.bind(power, like(1, power)), log))


ndtr_p = Special("ndtr", "ndtr", ndtr, _density)
log_ndtr_p = Special("log_ndtr", "log_ndtr", log_ndtr, _hazard)
ndtri_p = Special("ndtri", "ndtri", ndtri, _quantile_slope)
entr_p = Special("entr", "entr", entr, _entr_slope)
rel_entr_p = Special(
    "rel_entr",
    "rel_entr",
    rel_entr,
    lambda p, q, out: add_p.bind(_log_of_ratio(p, q), like(1, p)),
    lambda p, q, out: neg_p.bind(div_p.bind(p, q)),
)
kl_div_p = Special(
    "kl_div",
    "kl_div",
    kl_div,
    lambda p, q, out: _log_of_ratio(p, q),
    lambda p, q, out: sub_p.bind(like(1, p), div_p.bind(p, q)),
)
logit_p = Special("logit", "logit", logit, _logit_slope)
xlogy_p = Elementwise(
    "xlogy",
    INEXACT,
    by_scipy("xlogy"),
    lambda x, y, out: log_p.bind(y),
    lambda x, y, out: div_p.bind(x, y),
    hlo=_x_log("log"),
    cost=10,
)
xlog1py_p = Elementwise(
    "xlog1py",
    INEXACT,
    by_scipy("xlog1py"),
    lambda x, y, out: log1p_p.bind(y),
    lambda x, y, out: div_p.bind(x, add_p.bind(y, like(1, y))),
    hlo=_x_log("log_plus_one"),
    cost=10,
)
boxcox_p = Special(
    "boxcox",
    "boxcox",
    boxcox,
    lambda x, power, out: _boxcox_by_x(log_p.bind(x), power),
    lambda x, power, out: _boxcox_by_power(log_p.bind(x), power),
)
boxcox1p_p = Special(
    "boxcox1p",
    "boxcox1p",
    boxcox1p,
    lambda x, power, out: _boxcox_by_x(log1p_p.bind(x), power),
    lambda x, power, out: _boxcox_by_power(log1p_p.bind(x), power),
)
