"""Distributions of which the probabilities are incomplete gamma and beta functions: over the body and the tails."""

from __future__ import annotations

import mpmath as mp

from tests.accuracy.distributions import POSITIVE, SHAPES, UNIT, rows_of

INSIDE = [*UNIT[:8:2], *UNIT[8::2]]


def _gamma(x, a):
    return x ** (a - 1) * mp.exp(-x) / mp.gamma(a)


def _upper_gamma(x, a):
    return mp.gammainc(a, x, mp.inf, regularized=True)


def _lower_gamma(x, a):
    return mp.gammainc(a, 0, x, regularized=True)


ROWS = [
    *rows_of("gamma", POSITIVE[::2], [SHAPES], support=lambda z: z > 0, pdf=_gamma, cdf=_lower_gamma, sf=_upper_gamma),
    *rows_of(
        "chi2",
        POSITIVE[::3],
        [SHAPES],
        support=lambda z: z > 0,
        pdf=lambda x, df: _gamma(x / 2, df / 2) / 2,
        cdf=lambda x, df: _lower_gamma(x / 2, df / 2),
        sf=lambda x, df: _upper_gamma(x / 2, df / 2),
    ),
    *rows_of(
        "beta",
        INSIDE,
        [SHAPES[::2] + SHAPES[3:], [0.5, 3.0]],
        support=lambda z: 0 < z < 1,
        places=(-1.125, -0.75, 0.625, 1.25),
        pdf=lambda x, a, b: x ** (a - 1) * (1 - x) ** (b - 1) / mp.beta(a, b),
        cdf=lambda x, a, b: mp.betainc(a, b, 0, x, regularized=True),
        sf=lambda x, a, b: mp.betainc(b, a, 0, 1 - x, regularized=True),
    ),
]
