"""The gamma function and its kin, incomplete gamma and beta functions."""

from __future__ import annotations

import mpmath as mp
from scipy import special as scipy

from pullback.scipy import special
from tests.accuracy.distributions import slope_of_smaller
from tests.accuracy.table import Row, linear, spaced

#: Positive numbers, around 1 and 2 (where log Γ vanishes) and far out.
POSITIVE = [*spaced(1e-30, 1e-3, 12), *linear(0.0625, 4, 64), *spaced(4.3, 1e30, 40)]
#: Shapes of incomplete functions.
SHAPES = [*spaced(0.015625, 300, 9), 1.0]
#: Between the poles.
NEGATIVE = [-x for x in linear(0.05, 12.7, 60) if x % 1]


def _log_gamma(x):
    return mp.log(abs(mp.gamma(x))) if abs(x) < 1e4 else mp.loggamma(x)


def _density(a, x):
    return mp.exp((a - 1) * mp.log(x) - x - mp.loggamma(a))


def _lower(a, x):
    return mp.gammainc(a, 0, x, regularized=True)


def _upper(a, x):
    return mp.gammainc(a, x, mp.inf, regularized=True)


ROWS = [
    Row(
        "gammaln",
        special.gammaln,
        _log_gamma,
        [[*NEGATIVE, *POSITIVE]],
        scipy=(scipy.gammaln, scipy.psi),
        reference_derivatives=[mp.digamma],
    ),
    Row(
        "digamma",
        special.digamma,
        mp.digamma,
        [[*NEGATIVE, *POSITIVE]],
        scipy=(scipy.psi, lambda x: scipy.polygamma(1, x)),
        reference_derivatives=[lambda x: mp.polygamma(1, x)],
    ),
    Row(
        "gamma",
        special.gamma,
        mp.gamma,
        [[*NEGATIVE, *spaced(1e-30, 1e-3, 8), *linear(0.0625, 12, 30), *linear(13, 170, 30)]],
        scipy=(scipy.gamma, lambda x: scipy.gamma(x) * scipy.psi(x)),
        reference_derivatives=[lambda x: mp.gamma(x) * mp.digamma(x)],
    ),
    Row(
        "betaln",
        special.betaln,
        lambda a, b: mp.log(mp.beta(a, b)),
        [SHAPES, SHAPES],
        derivatives=(0, 1),
        scipy=scipy.betaln,
        reference_derivatives=[
            lambda a, b: mp.digamma(a) - mp.digamma(a + b),
            lambda a, b: mp.digamma(b) - mp.digamma(a + b),
        ],
    ),
    Row(
        "beta",
        special.beta,
        mp.beta,
        [SHAPES, SHAPES],
        derivatives=(0, 1),
        scipy=scipy.beta,
        reference_derivatives=[
            lambda a, b: mp.beta(a, b) * (mp.digamma(a) - mp.digamma(a + b)),
            lambda a, b: mp.beta(a, b) * (mp.digamma(b) - mp.digamma(a + b)),
        ],
    ),
    Row(
        "gammainc",
        special.gammainc,
        _lower,
        [SHAPES, SHAPES],
        derivatives=(0, 1),
        scipy=scipy.gammainc,
        reference_derivatives=[slope_of_smaller(_lower, _upper, 0), _density],
        conditioned=True,
    ),
    Row(
        "gammaincc",
        special.gammaincc,
        _upper,
        [SHAPES, SHAPES],
        derivatives=(0, 1),
        scipy=scipy.gammaincc,
        reference_derivatives=[slope_of_smaller(_upper, _lower, 0), lambda a, x: -_density(a, x)],
        conditioned=True,
    ),
]
