"""Derivatives at the ends of supports and at infinity: the one-sided limits of the functions' own, eager and compiled, forward and
reverse; never the NaN of a product of 0 and an infinity."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.scipy import special
from pullback.scipy.stats import beta, chi2, gamma, norm

INF = math.inf


def _slope_of_gamma(a: float) -> float:
    """That of x^(a-1) e^-x / Γ(a) at 0."""
    return -INF if a < 1 else -1.0 if a == 1 else INF if a < 2 else 1.0 if a == 2 else 0.0


def _slope_of_beta(a: float, b: float) -> float:
    """That of x^(a-1) (1-x)^(b-1) / B(a, b) at 0."""
    return -INF if a < 1 else b * (1 - b) if a == 1 else INF if a < 2 else b * (b + 1) if a == 2 else 0.0


#: A function, a point, and its first and its second derivative there (None where there is no limit to be had).
Case = tuple[str, Callable[[Any], Any], float, float | None, float | None]
CASES: list[Case] = []
for a in (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 40.0):
    slope = _slope_of_gamma(a)
    second = {0.5: INF, 1.0: 1.0, 2.0: -2.0, 2.5: INF, 3.0: 1.0, 40.0: 0.0}.get(a)
    value = INF if a < 1 else float(a == 1)
    CASES += [
        (f"gamma.pdf, a={a}", lambda x, a=a: gamma.pdf(x, a), 0.0, slope, second),
        (f"chi2.pdf, df={2 * a}", lambda x, a=a: chi2.pdf(x, 2 * a), 0.0, slope / 4, second and second / 8),
        (f"gamma.cdf, a={a}", lambda x, a=a: gamma.cdf(x, a), 0.0, value, slope),
        (f"gamma.sf, a={a}", lambda x, a=a: gamma.sf(x, a), 0.0, -value, -slope),
        (f"chi2.cdf, df={2 * a}", lambda x, a=a: chi2.cdf(x, 2 * a), 0.0, value / 2, slope / 4),
        (f"gamma.logcdf, a={a}", lambda x, a=a: gamma.logcdf(x, a), INF, 0.0, 0.0),
        (f"chi2.logcdf, df={2 * a}", lambda x, a=a: chi2.logcdf(x, 2 * a), INF, 0.0, 0.0),
    ]
    if a > 1:
        CASES += [
            (f"gamma.pdf by a={a}", lambda a: gamma.pdf(0.0, a), a, 0.0, 0.0),
            (f"beta.pdf by a={a}", lambda a: beta.pdf(0.0, a, 1.5), a, 0.0, 0.0),
            (f"beta.pdf by b={a}", lambda b: beta.pdf(1.0, 1.5, b), a, 0.0, 0.0),
        ]
    for b in (0.5, 2.0):
        slope, value = _slope_of_beta(a, b), INF if a < 1 else b * (a == 1)
        CASES += [
            (f"beta.pdf at 0, {a}, {b}", lambda x, a=a, b=b: beta.pdf(x, a, b), 0.0, slope, None),
            (f"beta.pdf at 1, {b}, {a}", lambda x, a=a, b=b: beta.pdf(x, b, a), 1.0, -slope, None),
            (f"beta.cdf at 0, {a}, {b}", lambda x, a=a, b=b: beta.cdf(x, a, b), 0.0, value, slope),
            (f"beta.cdf at 1, {b}, {a}", lambda x, a=a, b=b: beta.cdf(x, b, a), 1.0, value, -slope),
            (f"beta.sf at 0, {a}, {b}", lambda x, a=a, b=b: beta.sf(x, a, b), 0.0, -value, -slope),
            (f"beta.logsf at 0, {a}, {b}", lambda x, a=a, b=b: beta.logsf(x, a, b), 0.0, -value, None),
            (f"beta.logcdf at 0, {a}, {b}", lambda x, a=a, b=b: beta.logcdf(x, a, b), 0.0, 0.0, 0.0),
            (f"beta.logsf at 1, {a}, {b}", lambda x, a=a, b=b: beta.logsf(x, a, b), 1.0, 0.0, 0.0),
        ]
CASES += [("beta.pdf at 0, 3, 1.5", lambda x: beta.pdf(x, 3.0, 1.5), 0.0, 0.0, 2 * 0.5 * 1.5 * 2.5 * 3.5)]
for function in (
    special.erf,
    special.erfc,
    special.ndtr,
    special.dawsn,
    pb.lax.erf,
    pb.lax.erfc,
    norm.cdf,
    norm.sf,
    norm.pdf,
):
    CASES += [(function.__name__, function, x, 0.0, 0.0) for x in (INF, -INF)]
CASES += [
    ("erfcx", special.erfcx, INF, 0.0, 0.0),
    ("log_ndtr", special.log_ndtr, INF, 0.0, 0.0),
    ("log_ndtr", special.log_ndtr, -INF, INF, -1.0),
    ("owens_t", lambda h: special.owens_t(h, 1.0), INF, 0.0, 0.0),
]
CASES += [("factorial", special.factorial, x, 0.0, 0.0) for x in (-1.0, -2.0, -7.0, -1.5, -INF)]


def test_first_and_second_derivatives() -> None:
    wrong = []
    with pb.enable_x64(True), np.errstate(all="ignore"):
        for name, function, x, *expected in CASES:
            forward = lambda x, f=function: pb.jvp(f, (x,), (1.0,))[1]
            reverse = pb.grad(function)
            found = {
                "jvp": (forward,),
                "grad": (reverse, pb.grad(reverse)),
                "jvp of grad": (reverse, lambda x: pb.jvp(reverse, (x,), (1.0,))[1]),
            }
            for mode, derivatives in found.items():
                for order, (derivative, limit) in enumerate(zip(derivatives, expected), 1):
                    if limit is not None and not np.isclose(derivative(x), limit, rtol=1e-12):
                        wrong.append((name, x, mode, order, float(derivative(x)), limit))
    assert not wrong, wrong


COMPILED = ("beta.pdf at 1", "gamma.pdf", "erf", "dawsn", "log_ndtr", "factorial")


def test_derivatives_compiled() -> None:
    """All at once, and those that compile fast: each is a program of its own."""

    def derivatives(points: Any) -> Any:
        return [(pb.grad(f)(x), pb.grad(pb.grad(f))(x)) for (_, f, *_), x in zip(some, points)]

    some = [case for case in CASES if case[0].split(",")[0] in COMPILED][::4]
    with pb.enable_x64(True), np.errstate(all="ignore"):
        found = pb.jit(derivatives)([case[2] for case in some])
        for (name, _, x, *expected), got in zip(some, found):
            for order, (value, limit) in enumerate(zip(got, expected), 1):
                assert limit is None or np.isclose(value, limit, rtol=1e-10), (name, x, order, float(value), limit)


@pytest.mark.parametrize(
    ("function", "ends"),
    [
        (lambda x: gamma.pdf(x, 2.5), [0.0, 0.3]),
        (lambda x: beta.pdf(x, 2.0, 3.0), [0.0, 0.2, 1.0]),
        (lambda x: gamma.cdf(x, 2.0), [0.0, 1.0]),
    ],
)
def test_elements_beside_ends(function: Any, ends: list[float]) -> None:
    """An element at an end changes nothing for the others."""
    with pb.enable_x64(True):
        alone = [pb.grad(function)(x) for x in ends]
        np.testing.assert_allclose(pb.vmap(pb.grad(function))(np.array(ends)), alone, rtol=1e-14)
        np.testing.assert_allclose(pb.grad(lambda x: function(x).sum())(np.array(ends)), alone, rtol=1e-14)
        np.testing.assert_allclose(pb.jit(pb.vmap(pb.grad(function)))(np.array(ends)), alone, rtol=1e-12)
