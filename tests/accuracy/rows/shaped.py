"""Continuous distributions that have parameters of shape: over the body and the tails."""

from __future__ import annotations

import mpmath as mp

from tests.accuracy.distributions import REAL, SHAPES, rows_of
from tests.accuracy.table import linear


def _gennorm_tail(x, beta):
    return mp.gammainc(1 / beta, x**beta, mp.inf, regularized=True) / 2


def _mass(a, b):
    """Φ(b) - Φ(a)"""
    if a > 0:
        return (mp.erfc(a / mp.sqrt(2)) - mp.erfc(b / mp.sqrt(2))) / 2
    return (mp.erfc(-b / mp.sqrt(2)) - mp.erfc(-a / mp.sqrt(2))) / 2


ROWS = [
    *rows_of(
        "pareto",
        [1.0009765625, *linear(1.125, 7, 11), 50.0, 1e6],
        [SHAPES],
        support=lambda z: z > 1,
        pdf=lambda x, b: b * x ** (-b - 1),
        cdf=lambda x, b: -mp.expm1(-b * mp.log(x)),
        sf=lambda x, b: x**-b,
        ppf=lambda q, b: mp.exp(-mp.log1p(-q) / b),
    ),
    *rows_of(
        "t",
        REAL[::2],
        [SHAPES],
        pdf=lambda x, df: (
            mp.gamma((df + 1) / 2) / mp.gamma(df / 2) / mp.sqrt(df * mp.pi) * (1 + x * x / df) ** (-(df + 1) / 2)
        ),
    ),
    *rows_of(
        "gennorm",
        [x for x in REAL[::2] if abs(x) < 8],
        [[0.5, 1.0, 2.5, 6.0]],
        domain=lambda x, beta: abs(x) ** beta < 80,
        pdf=lambda x, beta: beta / (2 * mp.gamma(1 / beta)) * mp.exp(-(abs(x) ** beta)),
        cdf=lambda x, beta: 1 - _gennorm_tail(x, beta) if x > 0 else _gennorm_tail(-x, beta),
    ),
    *rows_of(
        "vonmises",
        [x for x in REAL if abs(x) < 7],
        [SHAPES],
        pdf=lambda x, k: mp.exp(k * mp.cos(x)) / (2 * mp.pi * mp.besseli(0, k)),
        logpdf=lambda x, k: k * mp.cos(x) - mp.log(2 * mp.pi * mp.besseli(0, k)),
    ),
    *rows_of(
        "wrapcauchy",
        linear(0.125, 6.25, 20),
        [[0.125, 0.5, 0.9375]],
        pdf=lambda x, c: (1 - c * c) / (2 * mp.pi * (1 + c * c - 2 * c * mp.cos(x))),
    ),
    *rows_of(
        "truncnorm",
        [-3.0, -0.75, -0.125, 0.375, 1.5, 2.25, 4.5, 9.0],
        [[-4.0, -0.5, 0.25, 4.0], [-0.25, 1.0, 3.0, 11.0]],
        domain=lambda x, a, b: a < x < b,
        support=lambda z: 0.25 < z < 3,
        pdf=lambda x, a, b: mp.npdf(x) / _mass(a, b),
        cdf=lambda x, a, b: _mass(a, x) / _mass(a, b),
        sf=lambda x, a, b: _mass(x, b) / _mass(a, b),
    ),
]
