"""The gamma function and its kin, incomplete gamma and beta functions."""

from __future__ import annotations

import math

import mpmath as mp
from scipy import special as scipy

from pullback.lax import special as lax
from tests.accuracy.table import Row, linear, spaced

#: Positive numbers, around 1 and 2 (where log Γ vanishes) and far out.
POSITIVE = [*spaced(1e-30, 1e-3, 12), *linear(0.0625, 4, 64), *spaced(4.3, 1e30, 40)]
#: Between the poles.
NEGATIVE = [-x for x in linear(0.05, 12.7, 60) if x % 1]


def _log_gamma(x):
    return mp.log(abs(mp.gamma(x))) if abs(x) < 1e4 else mp.loggamma(x)


ROWS = [
    Row(
        "gammaln",
        lax.lgamma,
        _log_gamma,
        [[*NEGATIVE, *POSITIVE]],
        scipy=(scipy.gammaln, scipy.psi),
        jax="scipy.special.gammaln",
        reference_derivatives=[mp.digamma],
        bound={"compiled value": math.inf, "compiled by 0": math.inf},
        reason="the compiler's own approximation loses digits around zeros and beside poles, and it is what is compiled",
    ),
    Row(
        "digamma",
        lax.digamma,
        mp.digamma,
        [[*NEGATIVE, *POSITIVE]],
        scipy=(scipy.psi, lambda x: scipy.polygamma(1, x)),
        jax="scipy.special.digamma",
        reference_derivatives=[lambda x: mp.polygamma(1, x)],
        bound={"compiled value": math.inf, "compiled by 0": math.inf},
        reason="the compiler's own approximation loses digits around zeros and beside poles, and it is what is compiled",
    ),
]
