"""Distributions of several variables, in two dimensions, and kernel density estimates: conditioned, because sums and
differences of the arguments are rounded."""

from __future__ import annotations

import mpmath as mp
import numpy as np
from scipy import stats as scipy

import pullback
import pullback.numpy as jnp
from pullback.scipy import stats
from tests.accuracy.table import Row, linear

#: Three probabilities, of which the last is what the others leave.
PROBABILITIES = ([0.125, 0.25, 0.0078125], [0.5, 0.0625, 0.71875])
WEIGHTS = [0.5, 2.0, 30.0]
COUNTS = [3, 5, 2]
DATA = [-1.5, -0.25, 0.125, 0.75, 2.5]


def _dirichlet(log):
    def ours(x, y, a, b, c):
        function = stats.dirichlet.logpdf if log else stats.dirichlet.pdf
        point = lambda x, y, a, b, c: function(jnp.stack([x, y, 1 - x - y]), jnp.stack([a, b, c]))
        return pullback.vmap(point)(x, y, a, b, c)

    def theirs(*args):
        function = scipy.dirichlet.logpdf if log else scipy.dirichlet.pdf
        return np.array([function(np.array([x, y, 1 - x - y]), np.array(w)) for x, y, *w in np.float64(args).T])

    def jax(j):
        function = j.scipy.stats.dirichlet.logpdf if log else j.scipy.stats.dirichlet.pdf
        point = lambda x, y, a, b, c: function(j.numpy.stack([x, y, 1 - x - y]), j.numpy.stack([a, b, c]))
        return j.vmap(point)

    def reference(x, y, a, b, c):
        z = 1 - x - y
        out = (a - 1) * mp.log(x) + (b - 1) * mp.log(y) + (c - 1) * mp.log(z)
        out += mp.loggamma(a + b + c) - mp.loggamma(a) - mp.loggamma(b) - mp.loggamma(c)
        return out if log else mp.exp(out)

    name = "dirichlet.logpdf" if log else "dirichlet.pdf"
    domain = lambda x, y, *w: x + y < 1
    grids = [*PROBABILITIES, WEIGHTS, [1.5, 8.0], [0.75, 4.0]]
    return Row(name, ours, reference, grids, (2, 3, 4), theirs, jax, domain=domain, conditioned=True)


def _multinomial(log):
    name = "logpmf" if log else "pmf"
    counts, total = np.array(COUNTS, np.int32), sum(COUNTS)

    def ours(p, q):
        return getattr(stats.multinomial, name)(counts, total, jnp.stack([p, q, 1 - p - q], -1))

    def theirs(p, q):
        p, q = np.float64(p), np.float64(q)
        return getattr(scipy.multinomial, name)(counts, total, np.stack([p, q, 1 - p - q], -1))

    def jax(j):
        return lambda p, q: getattr(j.scipy.stats.multinomial, name)(
            counts, total, j.numpy.stack([p, q, 1 - p - q], -1)
        )

    def reference(p, q):
        ways = mp.factorial(total) / mp.fprod(mp.factorial(c) for c in COUNTS)
        out = ways * p ** COUNTS[0] * q ** COUNTS[1] * (1 - p - q) ** COUNTS[2]
        return mp.log(out) if log else out

    grids = [linear(0.0625, 0.9375, 8), [2.0**-10, 0.03125, 0.25, 0.625]]
    domain = lambda p, q: p + q < 1
    return Row(f"multinomial.{name}", ours, reference, grids, (0, 1), theirs, jax, domain=domain, conditioned=True)


def _normal(log):
    """Of x and y, about (m, 0.5), with variances s and 2, and the covariance c."""
    name = "logpdf" if log else "pdf"

    def call(module, function):
        def at(x, y, m, s, c):
            half, two = module.full_like(x, 0.5), module.full_like(x, 2.0)
            covariance = module.stack([module.stack([s, c], -1), module.stack([c, two], -1)], -2)
            return function(module.stack([x, y], -1), module.stack([m, half], -1), covariance)

        return at

    def theirs(*args):
        function = call(np, getattr(scipy.multivariate_normal, name))
        return np.array([function(*point) for point in np.float64(args).T])

    def reference(x, y, m, s, c):
        determinant = 2 * s - c * c
        u, v = x - m, y - mp.mpf(1) / 2
        square = (2 * u * u - 2 * c * u * v + s * v * v) / determinant
        out = -square / 2 - mp.log(determinant) / 2 - mp.log(2 * mp.pi)
        return out if log else mp.exp(out)

    return Row(
        f"multivariate_normal.{name}",
        call(jnp, getattr(stats.multivariate_normal, name)),
        reference,
        [[-3.0, 0.375, 8.0], [-2.5, 0.75, 2.5], [0.25, 3.0], [0.5, 3.0, 40.0], [-0.5, 0.75]],
        (0, 2, 3, 4),
        theirs,
        lambda j: call(j.numpy, j.vmap(getattr(j.scipy.stats.multivariate_normal, name))),
        conditioned=True,
    )


def _estimate(name):
    data = np.array(DATA)

    def reference(x):
        n = len(DATA)
        mean = mp.fsum(map(mp.mpf, DATA)) / n
        variance = mp.fsum((mp.mpf(d) - mean) ** 2 for d in DATA) / (n - 1)
        h2 = variance * mp.mpf(n) ** (mp.mpf(-2) / 5)
        out = mp.fsum(mp.exp(-((x - mp.mpf(d)) ** 2) / (2 * h2)) for d in DATA) / (n * mp.sqrt(2 * mp.pi * h2))
        return mp.log(out) if name == "logpdf" else out

    return Row(
        f"gaussian_kde.{name}",
        lambda x: getattr(stats.gaussian_kde(data.astype(x.dtype)), name)(x),
        reference,
        [linear(-6, 6, 30)],
        scipy=lambda x: getattr(scipy.gaussian_kde(data), name)(np.float64(x)),
        jax=lambda j: lambda x: getattr(j.scipy.stats.gaussian_kde(data.astype(x.dtype)), name)(x),
        conditioned=True,
    )


ROWS = [
    _dirichlet(True),
    _dirichlet(False),
    _multinomial(True),
    _multinomial(False),
    _normal(True),
    _normal(False),
    _estimate("pdf"),
    _estimate("logpdf"),
]
