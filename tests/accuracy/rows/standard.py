"""Distributions that have a location and a scale only: over the body and the tails."""

from __future__ import annotations

import mpmath as mp

from tests.accuracy.distributions import POSITIVE as OF_WAITING
from tests.accuracy.distributions import REAL, UNIT, rows_of


def _upper_normal(x):
    return mp.erfc(x / mp.sqrt(2)) / 2


def _logistic(x):
    return 1 / (1 + mp.exp(-x))


ROWS = [
    *rows_of(
        "norm",
        REAL,
        pdf=mp.npdf,
        cdf=lambda x: _upper_normal(-x),
        sf=_upper_normal,
        ppf=lambda q: mp.sqrt(2) * mp.erfinv(2 * q - 1),
        logpdf=lambda x: -x * x / 2 - mp.log(2 * mp.pi) / 2,
    ),
    *rows_of(
        "cauchy",
        REAL,
        pdf=lambda x: 1 / (mp.pi * (1 + x * x)),
        cdf=lambda x: mp.atan2(1, -x) / mp.pi,
        sf=lambda x: mp.atan2(1, x) / mp.pi,
        ppf=lambda q: -mp.cot(mp.pi * q),
    ),
    *rows_of(
        "expon",
        OF_WAITING,
        support=lambda z: z > 0,
        pdf=lambda x: mp.exp(-x),
        logpdf=lambda x: -x,
        cdf=lambda x: -mp.expm1(-x),
        sf=lambda x: mp.exp(-x),
        logsf=lambda x: -x,
        ppf=lambda q: -mp.log1p(-q),
    ),
    *rows_of(
        "laplace",
        REAL,
        pdf=lambda x: mp.exp(-abs(x)) / 2,
        cdf=lambda x: mp.exp(x) / 2 if x < 0 else 1 - mp.exp(-x) / 2,
    ),
    *rows_of(
        "logistic",
        REAL,
        pdf=lambda x: _logistic(x) * _logistic(-x),
        cdf=_logistic,
        sf=lambda x: _logistic(-x),
        ppf=lambda q: mp.log(q) - mp.log1p(-q),
    ),
    *rows_of(
        "gumbel_r",
        REAL,
        places=(-3.5, -0.75, 0.625, 1.25, 2.75, 6.5),
        pdf=lambda x: mp.exp(-x - mp.exp(-x)),
        logpdf=lambda x: -x - mp.exp(-x),
        cdf=lambda x: mp.exp(-mp.exp(-x)),
        logcdf=lambda x: -mp.exp(-x),
        sf=lambda x: -mp.expm1(-mp.exp(-x)),
        ppf=lambda q: -mp.log(-mp.log(q)),
    ),
    *rows_of(
        "gumbel_l",
        REAL,
        places=(-3.5, -0.75, 0.625, 1.25, 2.75, 6.5),
        pdf=lambda x: mp.exp(x - mp.exp(x)),
        logpdf=lambda x: x - mp.exp(x),
        cdf=lambda x: -mp.expm1(-mp.exp(x)),
        sf=lambda x: mp.exp(-mp.exp(x)),
        logsf=lambda x: -mp.exp(x),
        ppf=lambda q: mp.log(-mp.log1p(-q)),
    ),
    *rows_of(
        "uniform",
        UNIT,
        support=lambda z: 0 < z < 1,
        places=(-1.125, -0.75, 0.625, 1.25),
        pdf=lambda x: mp.mpf(1),
        logpdf=lambda x: mp.mpf(0),
        cdf=lambda x: x,
        ppf=lambda q: q,
    ),
]
