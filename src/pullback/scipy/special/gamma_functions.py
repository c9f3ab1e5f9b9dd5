"""The gamma function and its kin."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, concrete
from pullback.core.types import integer
from pullback.lax import gamma_functions as g
from pullback.lax.family import like
from pullback.lax.selection import select
from pullback.lax.special import (
    digamma_p,
    igamma_p,
    igammac_p,
    lgamma_p,
    polygamma_p,
    regularized_incomplete_beta_p,
    zeta_p,
)
from pullback.numpy import ufuncs as u
from pullback.numpy.planned import planned
from pullback.numpy.promotion import array_like, broadcast_checked, here
from pullback.scipy.special.operands import apply, operand, operands


def weak_operands(name: str, *args: Any) -> list[Array]:
    """Real operands of one dtype, weakly typed if all are. TypeError for complex numbers."""
    arrays: list[Array] = broadcast_checked(name, *args, inexact=True)
    if dtypes.kind(arrays[0].dtype) != "f":
        raise here(TypeError, f"{name} takes no complex numbers, got {', '.join(str(a.aval) for a in arrays)}")
    return arrays


@planned
def gamma(x: Any) -> Array:
    """The gamma function Γ(x) = ∫₀^∞ t^(x-1) e^-t dt (DLMF 5.2.1), elementwise, of real `x` of any shape.

    Integers become floats. Infinite at ±0, with the sign of the zero; NaN at the other poles.
    ValueError for complex numbers.

    >>> gamma(5.0)
    Array(24., dtype=float32)
    """
    return apply(g.gamma_p, operand("gamma", x))


@planned
def gammaln(x: Any) -> Array:
    """log |Γ(x)|, elementwise, of real `x`; integers become floats. TypeError for complex numbers.

    >>> gammaln(100.0)
    Array(359.13422, dtype=float32, weak_type=True)
    """
    return apply(lgamma_p, operand("gammaln", x, weak=True, error=TypeError))


@planned
def gammasgn(x: Any) -> Array:
    """The sign of Γ(x), elementwise, of real `x`: 1 or -1 (at ±0 that of the zero), NaN at the other
    poles.

    Integers become floats. ValueError for complex numbers. The derivative is zero.

    >>> gammasgn(-0.5)
    Array(-1., dtype=float32)
    """
    return apply(g.gammasgn_p, operand("gammasgn", x))


@planned
def digamma(x: Any) -> Array:
    """ψ(x), the derivative of log Γ(x) (DLMF 5.2.2), elementwise, of real `x`; NaN at its poles.

    Integers become floats. TypeError for complex numbers.

    >>> digamma(1.0)
    Array(-0.5772157, dtype=float32, weak_type=True)
    """
    return apply(digamma_p, operand("digamma", x, weak=True, error=TypeError))


@planned
def polygamma(n: Any, x: Any) -> Array:
    """The derivative of order `n` of digamma (DLMF 5.15), elementwise, of integers `n` ≥ 0 and real `x`.

    NaN for negative `n`; ValueError if `n` is not of an integer type. No derivative in `n`.

    >>> polygamma(1, 1.0)
    Array(1.644934, dtype=float32, weak_type=True)
    """
    n = array_like(n, "polygamma")
    if dtypes.kind(n.dtype) not in "iu":
        raise here(ValueError, f"polygamma takes an order of an integer type, got {n.aval}")
    return apply(polygamma_p, *weak_operands("polygamma", n, x))


@planned
def zeta(x: Any, q: Any = None) -> Array:
    """Hurwitz's zeta function Σ (n + q)^-x over n ≥ 0 (DLMF 25.11.1), elementwise; NaN for x < 1.

    Integers become floats. Without `q`, NotImplementedError: `zeta(x, 1)` is Riemann's for x > 1.
    The derivative in `x` is by Euler's and Maclaurin's sum (DLMF 25.11.5), NaN for negative `q`.

    >>> zeta(2.0, 1.0)
    Array(1.644934, dtype=float32, weak_type=True)
    """
    if q is None:
        raise here(NotImplementedError, "zeta without q", "; zeta(x, 1) is Riemann's zeta function for x > 1")
    return apply(zeta_p, *weak_operands("zeta", x, q))


@planned
def gammainc(a: Any, x: Any) -> Array:
    """The regularized lower incomplete gamma function P(a, x) = ∫₀ˣ t^(a-1) e^-t dt / Γ(a) (DLMF
    8.2.4), elementwise, of real operands whose shapes broadcast.

    Integers become floats. NaN for negative arguments; TypeError for complex ones. Derivatives in `a`
    are those of the series and fractions, term by term.

    >>> gammainc(1.0, 0.5)
    Array(0.39346933, dtype=float32, weak_type=True)
    """
    return apply(igamma_p, *weak_operands("gammainc", a, x))


@planned
def gammaincc(a: Any, x: Any) -> Array:
    """The regularized upper incomplete gamma function Q(a, x) = 1 - P(a, x) (DLMF 8.2.4), exact also
    where it is tiny. Operands are as for `gammainc`.

    >>> gammaincc(1.0, 50.0)
    Array(1.9287499e-22, dtype=float32, weak_type=True)
    """
    return apply(igammac_p, *weak_operands("gammaincc", a, x))


@planned
def beta(a: Any, b: Any) -> Array:
    """The beta function Γ(a) Γ(b) / Γ(a + b) (DLMF 5.12.1), elementwise, of real operands.

    Integers become floats. ValueError for complex numbers.

    >>> beta(2.0, 3.0)
    Array(0.08333334, dtype=float32)
    """
    return apply(g.beta_p, *operands("beta", a, b))


@planned
def betaln(a: Any, b: Any) -> Array:
    """log |B(a, b)|, elementwise, of real operands; integers become floats. TypeError for complex
    numbers.

    >>> betaln(2.0, 3.0)
    Array(-2.4849067, dtype=float32, weak_type=True)
    """
    return apply(g.betaln_p, *weak_operands("betaln", a, b))


@planned
def betainc(a: Any, b: Any, x: Any) -> Array:
    """The regularized incomplete beta function ∫₀ˣ t^(a-1) (1-t)^(b-1) dt / B(a, b) (DLMF 8.17.2),
    for `x` in [0, 1], elementwise; integers become floats. TypeError for complex numbers.

    Differentiable in all three, to any order; the continued fraction is differentiated (R. Boik, J.
    Robinson-Cox, J. Stat. Software 3, 1998).

    >>> betainc(1.0, 2.0, 0.5)
    Array(0.75, dtype=float32, weak_type=True)
    """
    return apply(regularized_incomplete_beta_p, *weak_operands("betainc", a, b, x))


@planned
def poch(z: Any, m: Any) -> Array:
    """Pochhammer's symbol Γ(z + m) / Γ(z) (DLMF 5.2.5), elementwise, of real operands.

    Integers become floats. ValueError for complex numbers.

    >>> poch(2.0, 3.0)
    Array(24., dtype=float32)
    """
    return apply(g.poch_p, *operands("poch", z, m))


@planned
def factorial(n: Any, exact: bool = False) -> Array:
    """n! = Γ(n + 1), elementwise, of real `n`; 0 for negative ones. Integers become floats.

    NotImplementedError with `exact`, TypeError for complex numbers.

    >>> factorial(5.0)
    Array(120., dtype=float32, weak_type=True)
    """
    if exact:
        raise here(NotImplementedError, "factorial with exact=True", "; math.factorial has whole numbers of any size")
    n = operand("factorial", n, weak=True, error=TypeError)
    negative = u.less(n, 0)
    return select(negative, like(0, n), apply(g.gamma_p, u.add(select(negative, like(0, n), n), 1)))


@planned
def comb(N: Any, k: Any, *, repetition: bool = False) -> Array:
    """The number of ways to choose `k` of `N` things: the binomial coefficient; 0 where k > N, k < 0
    or N < 0. With `repetition` each thing may be chosen several times.

    Elementwise, of real operands, which need not be whole; integers become floats. TypeError for
    complex numbers.

    >>> comb(5.0, 2.0), comb(5.0, 2.0, repetition=True)
    (Array(10., dtype=float32, weak_type=True), Array(15., dtype=float32, weak_type=True))
    """
    n, k = weak_operands("comb", N, k)
    if repetition:
        n = u.subtract(u.add(n, k), 1)
    outside = u.logical_or(u.logical_or(u.less(n, k), u.less(k, 0)), u.less(n, 0))
    # Elsewhere the formula has no value, and no derivative that 0 would cancel.
    out = apply(g.binom_p, select(outside, like(1, n), n), select(outside, like(1, k), k))
    return select(outside, like(0, out), out)


def multigammaln(a: Any, d: Any) -> Array:
    """The logarithm of the multivariate gamma function of dimension `d`, elementwise:
    d (d - 1)/4 log π + Σ log Γ(a - i/2) over 0 ≤ i < d (DLMF 35.3.4).

    `d` is an integer that is known; `a` is real. TypeError for other types.

    >>> multigammaln(3.0, 2)
    Array(1.550195, dtype=float32)
    """
    d = integer(d, "multigammaln: d")
    a = operand("multigammaln", a, error=TypeError)
    out = u.add(gammaln(a), d * (d - 1) / 4 * math.log(math.pi))
    for i in range(1, d):
        out = u.add(out, gammaln(u.subtract(a, i / 2)))
    return out


def bernoulli(n: int) -> Array:
    """The Bernoulli numbers B₀, ..., Bₙ (DLMF 24.2.1), with B₁ = -½, as an array of n + 1 floats.

    ValueError for negative `n`, TypeError for what is no integer.

    >>> bernoulli(4).tolist()
    [1.0, -0.5, 0.1666666716337204, 0.0, -0.03333333507180214]
    """
    n = integer(n, "bernoulli: n")
    if n < 0:
        raise here(ValueError, f"bernoulli takes a number that is not negative, got {n}")
    from scipy import special

    return concrete(special.bernoulli(n)[: n + 1].astype(dtypes.canonicalize(np.dtype(np.float64))))


__all__ = [
    "bernoulli", "beta", "betainc", "betaln", "comb", "digamma", "factorial", "gamma", "gammainc", "gammaincc", "gammaln",
    "gammasgn", "multigammaln", "poch", "polygamma", "zeta",
]  # fmt: skip
