"""Functions of the gamma family in all their arguments: polygamma, zeta, Pochhammer's symbol, binomial coefficients,
log Γ of complex numbers, the incomplete beta function."""

from __future__ import annotations

import mpmath as mp
import numpy as np
from scipy import special as scipy

import pullback.lax as lax
import pullback.numpy as jnp
from pullback.scipy import special
from tests.accuracy.distributions import slope_of_smaller
from tests.accuracy.table import Row, linear, signed, singles, spaced

POSITIVE = [*spaced(1e-6, 0.05, 4), *linear(0.125, 4, 20), *spaced(4.3, 1e6, 12)]
NEGATIVE = [-x for x in linear(0.05, 8.7, 20) if x % 1]


def _polygamma(n):
    whole = np.int32(n)
    return Row(
        f"polygamma, n={n}",
        lambda x: special.polygamma(whole, x),
        lambda x: mp.polygamma(n, x),
        [[*NEGATIVE, *(x for x in POSITIVE if x > 1e-3)]],
        scipy=(lambda x: scipy.polygamma(n, x), lambda x: scipy.polygamma(n + 1, x)),
        jax=lambda j: lambda x: j.scipy.special.polygamma(whole, x),
        reference_derivatives=[lambda x: mp.polygamma(n + 1, x)],
        conditioned=True,
    )


def _below(a, b, x):
    return mp.betainc(a, b, 0, x, regularized=True)


def _above(a, b, x):
    return mp.betainc(b, a, 0, 1 - x, regularized=True)


def _log_gamma(part):
    pick = (lambda w: w.real) if part == "real" else (lambda w: w.imag)
    return Row(
        f"loggamma, {part} part",
        lambda x, y: getattr(special.loggamma(lax.complex(x, y)), part),
        lambda x, y: pick(mp.loggamma(mp.mpc(x, y))),
        [[-7.25, -0.5, 2.0**-10, 1.0, 1.75, 2.0, 9.0, 300.0], signed([2.0**-10, 0.5, 3.0, 40.0])],
        (0, 1),
        scipy=lambda x, y: getattr(scipy.loggamma(x + 1j * y), part),
        conditioned=True,
    )


ROWS = [
    Row(
        "bernoulli",
        lambda n: special.bernoulli(60)[n.astype(jnp.int32)],
        mp.bernoulli,
        [[0.0, 1, 2, 4, 8, 20, 32, 60]],
        (),
        scipy=lambda n: scipy.bernoulli(60)[n.astype(int)],
        jax=lambda j: lambda n: j.scipy.special.bernoulli(60)[n.astype(int)],
    ),
    *map(_polygamma, (0, 1, 2, 5)),
    Row(
        "zeta",
        special.zeta,
        mp.zeta,
        [[1.0625, 1.5, 2.0, 3.0, 7.5, 30.0], [2.0**-10, 0.25, 1.0, 2.0, 3.75, 20.0, 1e4]],
        (0, 1),
        scipy=(scipy.zeta, None, lambda x, q: -x * scipy.zeta(x + 1, q)),
        jax="scipy.special.zeta",
        reference_derivatives=[lambda x, q: mp.zeta(x, q, 1), lambda x, q: -x * mp.zeta(x + 1, q)],
        conditioned=True,
    ),
    Row(
        "gammasgn",
        special.gammasgn,
        lambda x: mp.sign(mp.gamma(x)),
        [[*NEGATIVE, 0.5, 7.0]],
        (),
        scipy=scipy.gammasgn,
        jax="scipy.special.gammasgn",
    ),
    Row(
        "factorial",
        special.factorial,
        mp.factorial,
        [[0.0, 1, 2, 5, 10, 33, *linear(0.25, 12.125, 10)]],
        scipy=lambda n: scipy.gamma(n + 1),
        jax="scipy.special.factorial",
        reference_derivatives=[lambda n: mp.factorial(n) * mp.digamma(n + 1)],
    ),
    Row(
        "comb",
        special.comb,
        mp.binomial,
        [[2.0, 5.0, 20.5, 60.0, 300.0], [1.0, 1.75, 4.0, 12.25]],
        (0, 1),
        scipy=scipy.comb,
        jax="scipy.special.comb",
        domain=lambda n, k: k <= n,
        conditioned=True,
    ),
    Row(
        "poch",
        special.poch,
        mp.rf,
        [[-2.75, 0.125, 1.0, 2.5, 9.0, 40.0], [-0.625, 0.25, 1.0, 2.0, 3.75, 11.0]],
        (0, 1),
        scipy=scipy.poch,
        jax="scipy.special.poch",
        conditioned=True,
    ),
    Row(
        "multigammaln, d=3",
        lambda a: special.multigammaln(a, 3),
        lambda a: mp.log(mp.pi) * 3 / 2 + mp.fsum(mp.loggamma(a - mp.mpf(i) / 2) for i in range(3)),
        [[1.0078125, *linear(1.125, 4, 12), *spaced(5, 1e6, 8)]],
        scipy=lambda a: scipy.multigammaln(np.float64(a), 3),
        jax=lambda j: lambda a: j.scipy.special.multigammaln(a, 3),
        conditioned=True,
    ),
    *map(_log_gamma, ("real", "imag")),
    Row(
        "betainc",
        special.betainc,
        _below,
        [[0.0625, 1.0, 2.5, 40.0], [0.125, 1.0, 3.75, 60.0], singles(1e-6, 0.03125, 0.25, 0.5, 0.75, 1 - 2.0**-10)],
        (0, 1, 2),
        scipy=lambda a, b, x: scipy.betainc(*np.float64([a, b, x])),
        jax="scipy.special.betainc",
        reference_derivatives=[
            slope_of_smaller(_below, _above, 0),
            slope_of_smaller(_below, _above, 1),
            lambda a, b, x: x ** (a - 1) * (1 - x) ** (b - 1) / mp.beta(a, b),
        ],
        conditioned=True,
    ),
]
