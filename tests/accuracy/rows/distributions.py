"""Distributions: densities, probabilities and their logarithms, standardized, over the body and the tails."""

from __future__ import annotations

import mpmath as mp
from scipy import stats as scipy

from pullback.scipy import stats
from tests.accuracy.table import Row, linear, signed, spaced

REAL = signed([*spaced(1e-6, 0.05, 4), *linear(0.125, 6, 14), *linear(7, 40, 6)])
POSITIVE = [*spaced(1e-6, 0.05, 5), *linear(0.125, 6, 14), *linear(7, 60, 8)]
UNIT = [*spaced(1e-20, 1e-3, 8), *linear(0.015625, 0.984375, 24)]
SHAPES = [0.5, 1.0, 2.5, 30.0]

_ROUNDED = "the logarithm, of which the exponential is taken, is rounded"
_ZERO = "the terms of the derivative cancel at its zero"


def _row(name, reference, grids, **options):
    """The row of `norm.pdf` and its like."""
    distribution, function = name.split(".")
    ours, theirs = (getattr(getattr(module, distribution), function) for module in (stats, scipy))
    return Row(name, ours, reference, grids, scipy=theirs, jax=f"scipy.stats.{name}", **options)


def _upper_normal(x):
    return mp.erfc(x / mp.sqrt(2)) / 2


def _gumbel(x):
    return mp.exp(-x - mp.exp(-x))


def _upper_gumbel(x):
    return -mp.expm1(-mp.exp(-x))


def _upper_gamma(x, a):
    return mp.gammainc(a, x, mp.inf, regularized=True)


def _lower_gamma(x, a):
    return mp.gammainc(a, 0, x, regularized=True)


def _t(x, df):
    return mp.gamma((df + 1) / 2) / mp.gamma(df / 2) / mp.sqrt(df * mp.pi) * (1 + x * x / df) ** (-(df + 1) / 2)


def _gamma(x, a):
    return x ** (a - 1) * mp.exp(-x) / mp.gamma(a)


def _logistic(x):
    return 1 / (1 + mp.exp(-x))


ROWS = [
    _row("norm.pdf", mp.npdf, [REAL], bound={"float32 by 0": 9, "float32 value": 7}, reason=_ROUNDED),
    _row("norm.logpdf", lambda x: -x * x / 2 - mp.log(2 * mp.pi) / 2, [REAL]),
    _row(
        "norm.sf",
        _upper_normal,
        [REAL],
        reference_derivatives=[lambda x: -mp.npdf(x)],
        bound={"float32 by 0": 7},
        reason=_ROUNDED,
    ),
    _row(
        "norm.logsf",
        lambda x: mp.log1p(-_upper_normal(-x)) if x < 0 else mp.log(_upper_normal(x)),
        [REAL],
        reference_derivatives=[lambda x: -mp.npdf(x) / _upper_normal(x)],
        bound={"float32 by 0": 32, "float64 by 0": 1800},
        reason=_ROUNDED,
    ),
    _row(
        "norm.isf",
        lambda q: -mp.sqrt(2) * mp.erfinv(2 * q - 1),
        [UNIT],
        bound={"float32 by 0": 140, "float64 by 0": 130},
        reason=_ROUNDED,
    ),
    _row("expon.cdf", lambda x: -mp.expm1(-x), [POSITIVE]),
    _row("expon.logcdf", lambda x: mp.log(-mp.expm1(-x)), [POSITIVE], bound={"float64 value": 6}, reason=_ROUNDED),
    _row("laplace.cdf", lambda x: mp.exp(x) / 2 if x < 0 else 1 - mp.exp(-x) / 2, [REAL]),
    _row(
        "logistic.logpdf",
        lambda x: mp.log(_logistic(x) * _logistic(-x)),
        [REAL],
        bound={"float32 by 0": 840000, "float64 by 0": 1400000},
        reason=_ZERO,
    ),
    _row(
        "logistic.pdf",
        lambda x: _logistic(x) * _logistic(-x),
        [REAL],
        bound={"float32 by 0": 530000, "float64 by 0": 3800},
        reason=_ZERO,
    ),
    _row("cauchy.logpdf", lambda x: -mp.log(mp.pi * (1 + x * x)), [REAL]),
    _row("cauchy.sf", lambda x: mp.atan2(1, x) / mp.pi, [REAL]),
    _row("cauchy.logcdf", lambda x: mp.log(mp.atan2(1, -x) / mp.pi), [REAL]),
    _row("cauchy.ppf", lambda q: -mp.cot(mp.pi * q), [UNIT]),
    _row(
        "gumbel_r.pdf",
        _gumbel,
        [REAL],
        bound={"float32 by 0": 1300000, "float32 value": 70, "float64 by 0": 600000},
        reason=_ROUNDED,
    ),
    _row(
        "gumbel_r.sf",
        _upper_gumbel,
        [REAL],
        reference_derivatives=[lambda x: -_gumbel(x)],
        bound={"float32 by 0": 54, "float64 by 0": 160},
        reason=_ROUNDED,
    ),
    _row(
        "gumbel_r.logsf",
        lambda x: mp.log1p(-mp.exp(-mp.exp(-x))),
        [REAL],
        reference_derivatives=[lambda x: -_gumbel(x) / _upper_gumbel(x)],
        bound={"float32 by 0": 54, "float32 value": 53, "float64 by 0": 160},
        reason=_ROUNDED,
    ),
    _row("gumbel_r.ppf", lambda q: -mp.log(-mp.log(q)), [UNIT]),
    _row("pareto.sf", lambda x, b: x**-b, [linear(1.125, 7, 14), SHAPES]),
    _row(
        "t.pdf",
        _t,
        [REAL, SHAPES],
        bound={"float32 by 0": 89, "float32 value": 79, "float64 by 0": 53},
        reason=_ROUNDED,
    ),
    _row("t.logpdf", lambda x, df: mp.log(_t(x, df)), [REAL, SHAPES]),
    _row(
        "gamma.pdf",
        _gamma,
        [POSITIVE, SHAPES],
        domain=lambda x, a: a < 30 or x > 1,
        bound={"float32 by 0": 110, "float64 by 0": 640, "float64 value": 640},
        reason=_ROUNDED,
    ),
    _row(
        "gamma.logpdf",
        lambda x, a: mp.log(_gamma(x, a)),
        [POSITIVE, SHAPES],
        bound={"float32 by 0": 51, "float64 by 0": 25},
        reason=_ZERO,
    ),
    _row(
        "gamma.cdf",
        _lower_gamma,
        [POSITIVE, SHAPES],
        reference_derivatives=[_gamma],
        bound={"float64 by 0": 330},
        reason=_ROUNDED,
    ),
    _row(
        "gamma.logsf",
        lambda x, a: mp.log(_upper_gamma(x, a)),
        [[*POSITIVE, 200.0, 2000.0], SHAPES],
        reference_derivatives=[lambda x, a: -_gamma(x, a) / _upper_gamma(x, a)],
        bound={"float64 by 0": 330},
        reason=_ROUNDED,
    ),
    _row(
        "beta.pdf",
        lambda x, a, b: x ** (a - 1) * (1 - x) ** (b - 1) / mp.beta(a, b),
        [UNIT[::2], SHAPES, [0.5, 3.0]],
        bound={"float32 by 0": 89, "float32 value": 77, "float64 by 0": 680},
        reason=_ROUNDED,
    ),
    _row(
        "vonmises.pdf",
        lambda x, k: mp.exp(k * mp.cos(x)) / (2 * mp.pi * mp.besseli(0, k)),
        [REAL, SHAPES],
        bound={"float32 by 0": 48, "float32 value": 55, "float64 by 0": 59},
        reason=_ROUNDED,
    ),
    _row(
        "wrapcauchy.pdf",
        lambda x, c: (1 - c * c) / (2 * mp.pi * (1 + c * c - 2 * c * mp.cos(x))),
        [linear(0.125, 6.25, 20), [0.125, 0.5, 0.9375]],
        bound={"float32 by 0": 8},
        reason=_ZERO,
    ),
    _row(
        "binom.pmf",
        lambda k, n, p: mp.binomial(n, k) * p**k * (1 - p) ** (n - k),
        [[0.0, 1, 3, 20], [20.0, 40.0], [0.125, 0.75]],
        derivatives=(2,),
        bound={"float32 by 2": 29, "float32 value": 26, "float64 by 2": 150, "float64 value": 150},
        reason=_ROUNDED,
    ),
    _row(
        "poisson.pmf",
        lambda k, mu: mu**k * mp.exp(-mu) / mp.factorial(k),
        [[0.0, 1, 5, 12, 40, 200], POSITIVE[6::3]],
        derivatives=(1,),
        bound={"float32 by 1": 150, "float32 value": 130, "float64 by 1": 760},
        reason=_ROUNDED,
    ),
    _row(
        "poisson.entropy",
        lambda mu: (
            mu * (1 - mp.log(mu))
            + mp.exp(-mu) * mp.nsum(lambda k: mu**k * mp.loggamma(k + 1) / mp.factorial(k), [2, 400])
        ),
        [[2.0**-10, 0.25, 1.0, 7.0, 15.0, 17.0, 39.0, 41.0, 100.0]],
        derivatives=(),
        bound={"float32 value": 8},
        reason=_ROUNDED,
    ),
]
