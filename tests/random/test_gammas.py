"""Derivatives of gamma numbers with respect to the shape parameter: those of the quantile function."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import special

import pullback
import pullback.numpy as jnp
from pullback import random

KEY = random.key(11)


def quantile_slope(a: np.ndarray, x: np.ndarray, h: float = 1e-5) -> np.ndarray:
    """dx/da along which the distribution function F(x; a) stays what it is, by central differences."""
    level = special.gammainc(a, x)
    return (special.gammaincinv(a + h, level) - special.gammaincinv(a - h, level)) / (2 * h)


@pytest.fixture(autouse=True)
def in_64_bits() -> Any:
    with pullback.enable_x64(True):
        yield


A = np.array([0.05, 0.4, 1.0, 3.0, 20.0])


def test_gamma() -> None:
    x, slope = pullback.jvp(lambda a: random.gamma(KEY, a), (jnp.array(A),), (jnp.ones(5),))
    np.testing.assert_allclose(slope, quantile_slope(A, np.asarray(x)), rtol=1e-5)
    gradient = pullback.grad(lambda a: random.gamma(KEY, a).sum())(jnp.array(A))
    np.testing.assert_allclose(gradient, slope, rtol=1e-12)


def test_loggamma() -> None:
    log_x, slope = pullback.jvp(lambda a: random.loggamma(KEY, a), (jnp.array(A),), (jnp.ones(5),))
    x = np.exp(np.asarray(log_x))
    np.testing.assert_allclose(slope, quantile_slope(A, x) / x, rtol=1e-5)


def test_loggamma_where_the_number_itself_underflows() -> None:
    a = np.array([1e-4, 1e-5])
    log_x, slope = pullback.jvp(lambda a: random.loggamma(KEY, a), (jnp.array(a),), (jnp.ones(2),))
    assert (np.asarray(log_x) < -800).all()
    np.testing.assert_allclose(slope, (special.psi(a + 1) - np.asarray(log_x)) / a, rtol=1e-12)


def test_gradient_of_an_expectation() -> None:
    # E[X²] = a (a + 1), whose derivative is 2 a + 1.
    gradient = pullback.grad(lambda a: (random.gamma(KEY, a, (20000,)) ** 2).mean())(2.0)
    np.testing.assert_allclose(gradient, 5.0, rtol=0.05)


@pytest.mark.parametrize("sampler, mean_slope", [
    (lambda a: random.beta(KEY, a, 2.0, (20000,)), lambda a: 2 / (a + 2) ** 2),
    (lambda a: random.chisquare(KEY, a, (20000,)), lambda a: 1.0),
    (lambda a: random.dirichlet(KEY, jnp.array([1.0, 2.0]).at[0].set(a), (20000,))[:, 0], lambda a: 2 / (a + 2) ** 2),
])  # fmt: skip
def test_what_is_made_of_gamma_numbers(sampler: Any, mean_slope: Any) -> None:
    np.testing.assert_allclose(pullback.grad(lambda a: sampler(a).mean())(1.5), mean_slope(1.5), rtol=0.1)


@pytest.mark.parametrize(
    "sampler",
    [
        lambda a: random.t(KEY, a, (3,)),
        lambda a: random.f(KEY, a, 4.0, (3,)),
        lambda a: random.generalized_normal(KEY, a, (3,)),
        lambda a: random.ball(KEY, 2, a),
    ],
)
def test_others_are_differentiable(sampler: Any) -> None:
    _, slope = pullback.jvp(sampler, (2.5,), (1.0,))
    assert np.isfinite(np.asarray(slope)).all() and np.asarray(slope).any()
    np.testing.assert_allclose(pullback.grad(lambda a: sampler(a).sum())(2.5), np.asarray(slope).sum(), rtol=1e-10)


def test_vmap_of_the_derivative() -> None:
    slopes = pullback.vmap(pullback.grad(lambda a: random.gamma(KEY, a)))(jnp.array(A))
    np.testing.assert_allclose(slopes, [pullback.grad(lambda a: random.gamma(KEY, a))(a) for a in A], rtol=1e-12)
