"""Discrete distributions."""

from __future__ import annotations

import math

import mpmath as mp
from scipy import stats as scipy

from pullback.scipy import stats
from tests.accuracy.distributions import POSITIVE, rows_of
from tests.accuracy.table import Row, linear, spaced

PROBABILITIES = [*spaced(1e-10, 1e-2, 4), *linear(0.0625, 0.9375, 9), 1 - 2.0**-16]


def _poisson(k, mu):
    return mu**k * mp.exp(-mu) / mp.factorial(k)


def _entropy(mu):
    terms = mp.nsum(lambda k: mu**k * mp.loggamma(k + 1) / mp.factorial(k), [2, 400])
    return mu * (1 - mp.log(mu)) + mp.exp(-mu) * terms


ROWS = [
    *rows_of(
        "bernoulli",
        [0.0, 1.0],
        [PROBABILITIES],
        q=[0.25, 0.5, 0.75],
        by=(1,),
        pmf=lambda k, p: p if k == 1 else 1 - p,
        cdf=lambda k, p: 1 - p if k < 1 else mp.mpf(1),
        ppf=lambda q, p: mp.mpf(0 if q <= 1 - p else 1),
        options={
            "ppf": {
                "derivatives": (),
                "reference_derivatives": (),
                "grids": [[0.25, 0.6875], [0.125, 0.3125, 0.5, 0.875]],
            }
        },
    ),
    *rows_of(
        "binom",
        [0.0, 1, 3, 18, 90],
        [[5.0, 20, 100], PROBABILITIES],
        by=(2,),
        domain=lambda k, n, p: k <= n and math.comb(int(n), int(k)) * p**k * (1 - p) ** (n - k) > 1e-30,
        pmf=lambda k, n, p: mp.binomial(n, k) * p**k * (1 - p) ** (n - k),
    ),
    *rows_of("geom", [1.0, 2, 7, 40], [PROBABILITIES], by=(1,), pmf=lambda k, p: (1 - p) ** (k - 1) * p),
    *rows_of(
        "nbinom",
        [0.0, 1, 4, 60],
        [[0.5, 3.0, 40.0], PROBABILITIES],
        by=(1, 2),
        pmf=lambda k, n, p: mp.gamma(n + k) / mp.gamma(n) / mp.factorial(k) * p**n * (1 - p) ** k,
    ),
    *rows_of(
        "betabinom",
        [0.0, 1, 4, 25],
        [[5.0, 30.0], [0.5, 2.0, 40.0], [0.25, 3.0, 20.0]],
        by=(2, 3),
        domain=lambda k, n, a, b: k <= n,
        pmf=lambda k, n, a, b: mp.binomial(n, k) * mp.beta(k + a, n - k + b) / mp.beta(a, b),
    ),
    *rows_of(
        "poisson",
        [0.0, 1, 5, 12, 40, 200],
        [POSITIVE[2::2]],
        by=(1,),
        pmf=_poisson,
        cdf=lambda k, mu: mp.gammainc(k + 1, mu, mp.inf, regularized=True),
        options={"cdf": {"reference_derivatives": [lambda k, mu: -_poisson(k, mu)]}},
    ),
    Row(
        "poisson.entropy",
        stats.poisson.entropy,
        _entropy,
        [[2.0**-10, 0.25, 1.0, 7.0, 15.0, 17.0, 39.0, 41.0, 100.0]],
        scipy=scipy.poisson.entropy,
        jax="scipy.stats.poisson.entropy",
    ),
]
