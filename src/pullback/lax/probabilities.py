"""Primitives of Poisson and binomial probabilities, of the densities of the gamma, beta and t distributions,
of Cauchy probabilities, and of the beta function of positive numbers, by the formulas of `lax.masses`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pullback.lax import masses
from pullback.lax.approximations import Special
from pullback.lax.elementwise import abs_p, div_p, eq_p, log1p_p, log_p, lt_p
from pullback.lax.family import add_p, like, mul_p, neg_p, sub_p
from pullback.lax.incomplete import Eager
from pullback.lax.selection import select
from pullback.lax.special import BETA_SCORES, gamma_score_p, psi_change_p, quotient_or_zero, trigamma_p


def _eagerly(formula: Any) -> Any:
    def evaluate(*operands: Any) -> Any:
        dtype = operands[0].dtype
        wide = [np.asarray(x, np.float64) for x in operands]
        return np.asarray(formula(Eager(dtype != np.float64), *wide)).astype(dtype)

    return evaluate


def _plus(x: Any) -> Any:
    return add_p.bind(x, like(1, x))


def _poisson_score_by_k(k: Any, x: Any) -> Any:
    return gamma_score_p.bind(_plus(k), x)


def _poisson_score(k: Any, x: Any) -> Any:
    return sub_p.bind(quotient_or_zero(k, x), like(1, x))


def _poisson_by_x(k: Any, x: Any, out: Any) -> Any:
    # At 0 it is that of x^k.
    zero = eq_p.bind(x, like(0, x))
    one = select(eq_p.bind(k, like(1, k)), like(1, k), like(0, k))
    slope = mul_p.bind(out, _poisson_score(k, select(zero, like(1, x), x)))
    return select(zero, sub_p.bind(one, out), slope)


def _gamma_score(a: Any, x: Any) -> Any:
    return sub_p.bind(quotient_or_zero(sub_p.bind(a, like(1, a)), x), like(1, x))


def _score_by_s(s: Any, f: Any, p: Any) -> Any:
    """log p - ψ(s + 1) + ψ(s + f + 1)"""
    return sub_p.bind(log_p.bind(p), psi_change_p.bind(_plus(s), f))


def _score_by_f(s: Any, f: Any, p: Any) -> Any:
    return sub_p.bind(log1p_p.bind(neg_p.bind(p)), psi_change_p.bind(_plus(f), s))


def _score_by_p(s: Any, f: Any, p: Any) -> Any:
    return sub_p.bind(quotient_or_zero(s, p), quotient_or_zero(f, sub_p.bind(like(1, p), p)))


def _of_log(score: Any) -> Any:
    return lambda *values: score(*values[:-1])


def _times_score(score: Any) -> Any:
    return lambda *values: mul_p.bind(values[-1], score(*values[:-1]))


poisson_mass_p = Special(
    "poisson_mass",
    _eagerly(masses.poisson),
    masses.poisson,
    _times_score(_poisson_score_by_k),
    _poisson_by_x,
    wide=True,
)
log_poisson_p = Special(
    "log_poisson",
    _eagerly(masses.log_poisson),
    masses.log_poisson,
    _of_log(_poisson_score_by_k),
    _of_log(_poisson_score),
)
log_gamma_density_p = Special(
    "log_gamma_density",
    _eagerly(masses.log_gamma_density),
    masses.log_gamma_density,
    lambda a, x, out: gamma_score_p.bind(a, x),
    _of_log(_gamma_score),
)


def _t_slope(df: Any, z: Any) -> Any:
    """-(df + 1) z / (df + z²) = -(1 + 1/df) z / (1 + z²/df), which is -z for infinite df"""
    one = like(1, z)
    large = lt_p.bind(one, abs_p.bind(z))
    more = add_p.bind(one, div_p.bind(one, df))
    # Of large z, whose square is infinite, by what is divided by it.
    w = select(large, z, one)
    far = div_p.bind(more, add_p.bind(div_p.bind(one, w), div_p.bind(w, df)))
    near = select(large, one, z)
    close = div_p.bind(mul_p.bind(more, near), add_p.bind(one, div_p.bind(mul_p.bind(near, near), df)))
    return neg_p.bind(select(large, far, close))


def _t_score(df: Any, z: Any) -> Any:
    return t_score_p.bind(df, z)


def _t_score_by_z(df: Any, z: Any, out: Any) -> Any:
    """z (1 - z²)/(df + z²)², which is the derivative of `_t_slope` by df"""
    one, sum_ = like(1, z), add_p.bind(df, mul_p.bind(z, z))
    return mul_p.bind(div_p.bind(z, sum_), div_p.bind(sub_p.bind(one, mul_p.bind(z, z)), sum_))


def _t_score_by_df(df: Any, z: Any, out: Any) -> Any:
    half, quarter, one = like(0.5, df), like(0.25, df), like(1, df)
    m, square = mul_p.bind(half, df), mul_p.bind(z, z)
    psi = sub_p.bind(trigamma_p.bind(add_p.bind(m, half)), trigamma_p.bind(m))
    share = div_p.bind(square, add_p.bind(df, square))  # z²/(df + z²)
    # Of ½ (q - 1)/df for q = (df + 1) z²/(df + z²), and of -½ log(1 + z²/df).
    q = mul_p.bind(add_p.bind(df, one), share)
    moved = sub_p.bind(neg_p.bind(mul_p.bind(z, _t_score_by_z(df, z, out))), div_p.bind(sub_p.bind(q, one), df))
    return add_p.bind(mul_p.bind(quarter, psi), mul_p.bind(half, div_p.bind(add_p.bind(moved, share), df)))


t_score_p = Special("t_score", _eagerly(masses.t_score), masses.t_score, _t_score_by_df, _t_score_by_z, wide=True)


def _rest(k: Any, n: Any, a: Any, b: Any) -> tuple[Any, Any, Any]:
    return sub_p.bind(n, k), add_p.bind(a, k), add_p.bind(b, sub_p.bind(n, k))


def _log_beta_binomial_by_k(k: Any, n: Any, a: Any, b: Any, out: Any) -> Any:
    # ψ(n - k + 1) - ψ(k + 1) + ψ(a + k) - ψ(b + n - k), and ψ(x) - ψ(y) by what is to be added to x.
    f, s, t = _rest(k, n, a, b)
    ways = psi_change_p.bind(_plus(f), sub_p.bind(k, f))
    return add_p.bind(ways, psi_change_p.bind(s, sub_p.bind(t, s)))


def _log_beta_binomial_by_n(k: Any, n: Any, a: Any, b: Any, out: Any) -> Any:
    # ψ(n + 1) - ψ(n - k + 1) + ψ(b + n - k) - ψ(a + b + n)
    f, s, t = _rest(k, n, a, b)
    return sub_p.bind(psi_change_p.bind(t, s), psi_change_p.bind(_plus(f), k))


def _by_shape(a: Any, b: Any, k: Any, n: Any) -> Any:
    """ψ(a + k) - ψ(a) - (ψ(a + b + n) - ψ(a + b)), as the difference of the two terms of which the smaller ones cancel."""
    both, s, t = add_p.bind(a, b), add_p.bind(a, k), add_p.bind(b, sub_p.bind(n, k))
    few = lt_p.bind(div_p.bind(n, both), div_p.bind(b, a))
    total = psi_change_p.bind(select(few, both, s), select(few, n, t))
    return sub_p.bind(total, psi_change_p.bind(a, select(few, k, b)))


def _log_beta_binomial_by_a(k: Any, n: Any, a: Any, b: Any, out: Any) -> Any:
    return _by_shape(a, b, k, n)


def _log_beta_binomial_by_b(k: Any, n: Any, a: Any, b: Any, out: Any) -> Any:
    return _by_shape(b, a, sub_p.bind(n, k), n)


log_beta_binomial_p = Special(
    "log_beta_binomial",
    _eagerly(masses.log_beta_binomial),
    masses.log_beta_binomial,
    _log_beta_binomial_by_k,
    _log_beta_binomial_by_n,
    _log_beta_binomial_by_a,
    _log_beta_binomial_by_b,
    wide=True,
)
t_density_p = Special(
    "t_density", _eagerly(masses.t_density), masses.t_density, *map(_times_score, (_t_score, _t_slope)), wide=True
)
log_t_density_p = Special(
    "log_t_density", _eagerly(masses.log_t_density), masses.log_t_density, *map(_of_log, (_t_score, _t_slope))
)
log_beta_density_p = Special(
    "log_beta_density", _eagerly(masses.log_beta_density), masses.log_beta_density, *map(_of_log, BETA_SCORES)
)
_BINOMIAL_SCORES = (_score_by_s, _score_by_f, _score_by_p)
binomial_mass_p = Special(
    "binomial_mass", _eagerly(masses.binomial), masses.binomial, *map(_times_score, _BINOMIAL_SCORES), wide=True
)
log_binomial_p = Special(
    "log_binomial", _eagerly(masses.log_binomial), masses.log_binomial, *map(_of_log, _BINOMIAL_SCORES)
)


def _cauchy_slope(z: Any, out: Any) -> Any:
    """-1/(π (1 + z²))"""
    return neg_p.bind(div_p.bind(like(1 / math.pi, z), _plus(mul_p.bind(z, z))))


def _cauchy_tail(z: Any) -> Any:
    return (np.arctan2(1.0, np.asarray(z, np.float64)) / math.pi).astype(z.dtype)


cauchy_tail_p = Special("cauchy_tail", _cauchy_tail, masses.cauchy_tail, _cauchy_slope)

__all__ = [
    "cauchy_tail_p",
    "binomial_mass_p",
    "log_beta_binomial_p",
    "log_beta_density_p",
    "log_binomial_p",
    "log_gamma_density_p",
    "log_poisson_p",
    "log_t_density_p",
    "poisson_mass_p",
    "t_density_p",
    "t_score_p",
]
