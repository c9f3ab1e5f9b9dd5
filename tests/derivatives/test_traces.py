"""Traces: exact ones against matrices, estimates by their means, their errors, and what they are exact for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import LinearMap
from pullback.derivatives.maps import jacobian_map
from pullback.derivatives.trace_estimates import (
    TraceEstimate,
    divergence,
    hessian_trace,
    jacobian_trace,
    trace_estimate,
)

RNG = np.random.default_rng(0)
METHODS = ("hutchinson", "hutch++", "xtrace")
KEY = pb.random.key(7)


def map_of(matrix: Any) -> LinearMap:
    return pb.linear_transpose(lambda x: jnp.asarray(matrix) @ x, jnp.zeros(len(matrix), np.asarray(matrix).dtype)).T


def matrix_with(eigenvalues: Any, symmetric: bool = True) -> Any:
    n, rng = len(eigenvalues), np.random.default_rng(1)
    q = np.linalg.qr(rng.normal(size=(n, n)))[0]
    other = q.T if symmetric else np.linalg.qr(rng.normal(size=(n, n)))[0]
    return q @ np.diag(eigenvalues) @ other


SPECTRA = {
    "slow": 1 / np.arange(1.0, 81.0),
    "fast": 0.7 ** np.arange(80.0),
    "flat": np.ones(80),
    "step": np.r_[np.ones(5), 1e-3 * np.ones(75)],
    "signs": np.resize([1.0, -1.0], 80) / np.arange(1.0, 81.0),
}


# ---- estimates --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_estimates_have_the_right_mean_and_error(method: str, symmetric: bool) -> None:
    """Over many keys: the mean is the trace, and the errors are as large as they are said to be."""
    with pb.enable_x64(True):
        # Not "step": a few unlucky keys, for which a large eigenvalue is left, make its deviation.
        for name in ("slow", "fast", "flat", "signs") if symmetric else ("slow", "fast"):
            matrix = matrix_with(SPECTRA[name], symmetric)
            m = map_of(matrix)
            keys = pb.random.split(KEY, 200)
            run = lambda key: trace_estimate(m, key=key, num_samples=18, method=method)
            estimates, errors = map(np.asarray, pb.jit(pb.vmap(run))(keys))
            off = estimates - np.trace(matrix)
            deviation = off.std()
            # The standard deviation of the mean of 200; and nothing is finer than rounding.
            assert abs(off.mean()) < 5 * deviation / 14 + 1e-12
            assert 0.5 * deviation - 1e-12 < np.sqrt((errors**2).mean()) < 2 * deviation + 1e-12


def test_the_better_method_for_each_spectrum() -> None:
    """Where eigenvalues decay, projecting first is far better; where they do not, it is no worse than by what it costs."""
    with pb.enable_x64(True):
        keys = pb.random.split(KEY, 100)

        def deviation(spectrum: str, method: str) -> float:
            m = map_of(matrix_with(SPECTRA[spectrum]))
            run = pb.jit(pb.vmap(lambda key: trace_estimate(m, key=key, num_samples=30, method=method).estimate))
            return float(np.sqrt(np.mean((np.asarray(run(keys)) - SPECTRA[spectrum].sum()) ** 2)))

        fast = [deviation("fast", method) for method in METHODS]
        assert fast[1] < fast[0] / 5 and fast[2] < fast[1] / 3
        step = [deviation("step", method) for method in METHODS]
        assert step[1] < step[0] / 20 and step[2] < step[0] / 20
        slow = [deviation("slow", method) for method in METHODS]
        assert slow[2] < slow[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", METHODS)
def test_what_estimates_are_exact_for(method: str, dtype: Any) -> None:
    with pb.enable_x64(dtype == np.float64):
        tol = 1e-4 if dtype == np.float32 else 1e-11
        low = RNG.normal(size=(30, 3)).astype(dtype)
        cases = {
            "nothing": (np.zeros((30, 30), dtype), METHODS),
            "a diagonal": (np.diag(RNG.normal(size=30)).astype(dtype), ("hutchinson",)),
            "small rank": (low @ low.T, ("hutch++", "xtrace")),
            "identity": (np.eye(30, dtype=dtype), ("hutchinson", "xtrace")),
            "small rank, not symmetric": (low @ RNG.normal(size=(3, 30)).astype(dtype), ("hutch++", "xtrace")),
        }
        for matrix, methods in cases.values():
            if method in methods:
                estimate, error = trace_estimate(map_of(matrix), key=KEY, num_samples=12, method=method)
                scale = max(1.0, np.abs(matrix).sum())
                assert estimate.dtype == error.dtype == dtype
                assert abs(estimate - np.trace(matrix)) < tol * scale and error < tol * scale


@pytest.mark.parametrize("method", ["hutch++", "xtrace"])
def test_as_many_products_as_coordinates_are_exact(method: str) -> None:
    matrix = RNG.normal(size=(5, 5)).astype(np.float32)
    for samples in (5, 6, 100):
        for batch_size in (None, 2):
            estimate, error = trace_estimate(
                map_of(matrix), key=KEY, num_samples=samples, method=method, batch_size=batch_size
            )
            assert abs(estimate - np.trace(matrix)) < 1e-5 and error == 0
    estimate, error = trace_estimate(map_of(matrix), key=KEY, num_samples=4, method=method)
    assert error > 0


@pytest.mark.parametrize("method", METHODS)
def test_small_numbers_of_samples(method: str) -> None:
    least = {"hutchinson": 1, "hutch++": 3, "xtrace": 2}[method]
    m = map_of(matrix_with(SPECTRA["slow"]).astype(np.float32))
    estimate, error = trace_estimate(m, key=KEY, num_samples=least, method=method)
    assert np.isfinite(estimate) and np.isnan(error)  # one sample says nothing of its error
    with pytest.raises(ValueError, match="num_samples"):
        trace_estimate(m, key=KEY, num_samples=least - 1, method=method)


@pytest.mark.parametrize("method", METHODS)
def test_products_in_batches_are_the_same_products(method: str) -> None:
    with pb.enable_x64(True):
        m = map_of(matrix_with(SPECTRA["slow"]))
        whole = trace_estimate(m, key=KEY, num_samples=20, method=method)
        parts = pb.jit(lambda: trace_estimate(m, key=KEY, num_samples=20, method=method, batch_size=3))()
        np.testing.assert_allclose(parts, whole, rtol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_spaces_of_trees_and_of_complex_numbers(method: str) -> None:
    with pb.enable_x64(True):
        scale = {"a": jnp.arange(1.0, 7.0).reshape(2, 3), "b": jnp.array(2.0, jnp.float32)}
        f = lambda p: pb.tree_util.tree_map(lambda x, s: s * x + 0.01 * jnp.sum(p["a"]).astype(x.dtype), p, scale)
        J = jacobian_map(f, scale)
        estimate, error = trace_estimate(J, key=KEY, num_samples=6, method=method)
        expected = np.trace(np.asarray(J.to_matrix()))
        assert abs(estimate - expected) < max(6 * error, 0.5) and estimate.dtype == jnp.float64
        matrix = matrix_with(SPECTRA["fast"]) * (1 + 2j)
        estimate, error = trace_estimate(map_of(matrix), key=KEY, num_samples=40, method=method)
        assert estimate.dtype == jnp.complex128 and error.dtype == jnp.float64
        assert abs(estimate - np.trace(matrix)) < 6 * error + 1e-9


def test_estimates_are_differentiated() -> None:
    with pb.enable_x64(True):
        x = jnp.asarray(RNG.normal(size=12))
        f = lambda x: jnp.sum(jnp.sin(x)) * jnp.sum(x**2)
        for method in METHODS:
            run = lambda x: hessian_trace(f, x, key=KEY, num_samples=6, method=method).estimate
            h = 1e-5
            numbers = [(run(x + h * e) - run(x - h * e)) / (2 * h) for e in np.eye(12)]
            np.testing.assert_allclose(pb.jit(pb.grad(run))(x), numbers, rtol=1e-5, atol=1e-5)


# ---- of functions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_traces_of_hessians(method: str) -> None:
    f = lambda p: jnp.sum(jnp.exp(p["w"])) * p["b"] ** 2
    with pb.enable_x64(True):
        p = {"w": jnp.asarray(RNG.normal(size=(4, 5))), "b": jnp.array(1.5)}
        expected = jnp.sum(jnp.exp(p["w"])) * (p["b"] ** 2 + 2)
        run = lambda p, n: hessian_trace(f, p, key=KEY, num_samples=n, method=method)
        estimate, error = pb.jit(run, static_argnums=1)(p, 12)
        assert abs(estimate - expected) < 6 * error + 1e-9
        assert isinstance(run(p, 6), TraceEstimate)
        if method != "hutchinson":
            np.testing.assert_allclose(run(p, 21).estimate, expected, rtol=1e-12)


def test_traces_of_jacobians() -> None:
    f = lambda p: {"a": jnp.sin(p["a"]) * p["b"], "b": jnp.sum(p["a"]) * p["b"] ** 2}
    with pb.enable_x64(True):
        p = {"a": jnp.asarray(RNG.normal(size=(3, 2))), "b": jnp.array(0.5)}
        expected = jnp.sum(jnp.cos(p["a"])) * 0.5 + jnp.sum(p["a"])
        for batch_size in (None, 1, 4, 100):
            np.testing.assert_allclose(jacobian_trace(f, p, batch_size=batch_size), expected, rtol=1e-12)
        np.testing.assert_allclose(pb.jit(lambda p: jacobian_trace(f, p, batch_size=2))(p), expected, rtol=1e-12)
        estimate, error = jacobian_trace(f, p, key=KEY, num_samples=6)
        assert abs(estimate - expected) < 6 * error
        np.testing.assert_allclose(jacobian_trace(f, p, key=KEY, num_samples=9, method="xtrace").estimate, expected)
        z = jnp.array([1 + 2j, 3j])
        np.testing.assert_allclose(jacobian_trace(lambda z: z**2 * z[::-1], z), 4 * z[0] * z[1])


def test_divergences() -> None:
    field = lambda t, x: t * jnp.stack([x[0] ** 2, x[0] * x[1], jnp.sin(x[2])])
    with pb.enable_x64(True):
        x = jnp.array([1.0, 5.0, 0.3])
        expected = 2 * (2 + 1 + np.cos(0.3))
        np.testing.assert_allclose(divergence(field, 1)(2.0, x), expected, rtol=1e-12)
        np.testing.assert_allclose(pb.jit(divergence(field, 1, batch_size=2))(2.0, x), expected, rtol=1e-12)
        points = jnp.stack([x, 2 * x])
        of_points = pb.vmap(divergence(field, 1), (None, 0))(2.0, points)
        np.testing.assert_allclose(of_points, [divergence(field, 1)(2.0, p) for p in points])
        estimate, error = divergence(field, 1, num_samples=50)(2.0, x, key=KEY)
        assert abs(estimate - expected) < 6 * error
        exact = divergence(field, argnums=1, num_samples=4, method="hutch++")(2.0, x, key=KEY)
        np.testing.assert_allclose(exact.estimate, expected)
        flow = lambda q, p, k: (p["v"], {"v": -k * q * p["v"]})
        q, p = jnp.array([1.0, 2.0]), {"v": jnp.array([3.0, 4.0])}
        np.testing.assert_allclose(divergence(flow, argnums=(0, 1))(q, p, k=2.0), -2 * 3.0)
        np.testing.assert_allclose(
            pb.grad(lambda x: divergence(field, 1)(2.0, x))(x), 2 * np.array([3.0, 0.0, -np.sin(0.3)]), rtol=1e-12
        )
    assert divergence(field, 1).__doc__.startswith("Divergence of")


def test_nothing_has_trace_zero() -> None:
    assert jacobian_trace(lambda x: x, jnp.zeros(0)) == 0
    for method in METHODS:
        assert trace_estimate(map_of(np.zeros((0, 0), np.float32)), key=KEY, num_samples=4, method=method) == (0, 0)


def test_bad_input() -> None:
    x, m = jnp.ones(3), LinearMap.identity(jnp.ones(3))
    for wrong, error, message in (
        (lambda: trace_estimate(m, key=KEY, num_samples=0), ValueError, "num_samples must be a positive integer, got 0"),
        (lambda: trace_estimate(m, key=KEY, num_samples=2.5), TypeError, "num_samples must be an integer"),
        (lambda: trace_estimate(m, key=KEY, num_samples=2, method="hutch"), ValueError, "one of 'hutchinson', 'hutch\\+\\+', 'xtrace'; got 'hutch'"),
        (lambda: trace_estimate(m, key=KEY, num_samples=2, method="hutch++"), ValueError, "at least 3, got 2"),
        (lambda: trace_estimate(m, key=KEY, num_samples=2, batch_size=0), ValueError, "batch_size"),
        (lambda: trace_estimate(jacobian_map(lambda x: x[:2], x), key=KEY, num_samples=2), ValueError, "one space to itself"),
        (lambda: hessian_trace(jnp.sin, x, key=KEY, num_samples=2), TypeError, r"real scalar as result; got float32\[3\]"),
        (lambda: hessian_trace(lambda z: jnp.sum(abs(z) ** 2), x + 1j, key=KEY, num_samples=2), TypeError, "real arguments"),
        (lambda: jacobian_trace(lambda x: x[:2], x), ValueError, "one space to itself"),
        (lambda: jacobian_trace(lambda x: {"y": x}, x), ValueError, "one space to itself"),
        (lambda: jacobian_trace(jnp.sin, x, key=KEY), ValueError, "both key and num_samples.*only key"),
        (lambda: jacobian_trace(jnp.sin, x, num_samples=3), ValueError, "only num_samples"),
        (lambda: divergence(jnp.sin, num_samples=3)(x), ValueError, "only num_samples"),
        (lambda: divergence(3), TypeError, "callable"),
        (lambda: divergence(jnp.sin, 1)(x), ValueError, "argnums=1"),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            wrong()


def test_maps_that_are_linear_over_the_reals_alone_have_no_trace() -> None:
    z = jnp.ones(2) + 0j
    for f in (jnp.conj, lambda z: z.real + 0j):
        with pytest.raises(TypeError, match="linear over the complex numbers"):
            jacobian_trace(f, z)
        with pytest.raises(TypeError, match="linear over the complex numbers"):
            divergence(f)(z)
