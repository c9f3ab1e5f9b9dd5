"""`numpy/signal.py` and `numpy/polynomials.py` against NumPy, and their derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.core.errors import ConcretizationTypeError
from pullback.numpy import polynomials, signal

RNG = np.random.default_rng(3)
X = RNG.normal(size=(3, 4, 5)).astype(np.float32)
A = np.array([1.0, -2.0, 3.0, 0.5, 4.0], np.float32)
V = np.array([2.0, 1.0, -1.0], np.float32)
T = np.cumsum(RNG.uniform(0.1, 1, size=5)).astype(np.float32)


def close(ours: Any, theirs: Any, tol: float = 1e-5) -> None:
    assert ours.shape == np.shape(theirs)
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=tol, atol=tol)


# ---- differences and integrals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_diff(n: int, axis: int) -> None:
    close(signal.diff(X, n, axis), np.diff(X, n, axis))


def test_diff_options() -> None:
    x = np.array([1, 3, 6], np.int32)
    close(signal.diff(x, prepend=0, append=np.array([1, 2])), np.diff(x, prepend=0, append=np.array([1, 2])))
    assert signal.diff(np.array([True, False, False])).tolist() == [True, False]
    assert signal.diff(x, prepend=0.5).dtype == np.float32
    close(
        signal.ediff1d(x, to_begin=np.array([-1, -2]), to_end=5), np.ediff1d(x, to_begin=np.array([-1, -2]), to_end=5)
    )
    with pytest.raises(ValueError, match="non-negative"):
        signal.diff(x, -1)
    with pytest.raises(ValueError, match="one dimensional"):
        signal.diff(3)


def test_trapezoid() -> None:
    close(signal.trapezoid(A), np.trapezoid(A))
    close(signal.trapezoid(X, dx=0.5, axis=1), np.trapezoid(X, dx=0.5, axis=1))
    close(signal.trapezoid(X, T), np.trapezoid(X, T))
    close(signal.trapezoid(X, X**2, axis=0), np.trapezoid(X, X**2, axis=0))


def test_gradient() -> None:
    for ours, theirs in zip(signal.gradient(X), np.gradient(X)):
        close(ours, theirs)
    close(signal.gradient(A, 2.0), np.gradient(A, 2.0))
    close(signal.gradient(A, T), np.gradient(A, T), 1e-4)
    close(signal.gradient(X, T, axis=-1), np.gradient(X, T, axis=-1), 1e-4)
    for ours, theirs in zip(signal.gradient(X, 2.0, 3.0, axis=(0, 2)), np.gradient(X, 2.0, 3.0, axis=(0, 2))):
        close(ours, theirs)
    with pytest.raises(ValueError, match="at least 2"):
        signal.gradient(A[:1])
    with pytest.raises(TypeError, match="spacing"):
        signal.gradient(X, 1.0, 2.0)
    with pytest.raises(NotImplementedError, match="edge_order"):
        signal.gradient(A, edge_order=2)


def test_unwrap() -> None:
    phase = np.cumsum(RNG.uniform(-5, 5, size=(3, 6)), axis=1).astype(np.float32)
    for options in ({}, {"axis": 0}, {"discont": 4.0}, {"period": 4.0}):
        close(signal.unwrap(phase, **options), np.unwrap(phase, **options), 1e-4)
    whole = np.array([0, 3, 7, 1, 3], np.int32)
    assert signal.unwrap(whole, period=4).tolist() == np.unwrap(whole, period=4).tolist()
    with pytest.raises(ValueError, match="does not support complex inputs"):
        jnp.unwrap(jnp.ones(3, "complex64"))


# ---- interpolation ----------------------------------------------------------------------------------------------


def test_interp() -> None:
    x = np.array([-1.0, 0.5, 1.5, 9.0, 2.0], np.float32)
    close(signal.interp(x, T, A), np.interp(x, T, A))
    close(signal.interp(x, T, A, left=-5.0, right=7.0), np.interp(x, T, A, left=-5.0, right=7.0))
    close(signal.interp(x, T, A, period=2.5), np.interp(x, T, A, period=2.5), 1e-4)
    close(signal.interp(0.3, T, A + 1j * A), np.interp(0.3, T, A + 1j * A))
    close(signal.interp(0.3, T[:1], A[:1]), A[0])
    outside = signal.interp(
        jnp.array([-1.0, 3.0]), jnp.array([0.0, 1.0]), jnp.array([0.0, 2.0]), left="extrapolate", right="extrapolate"
    )
    assert outside.tolist() == [-2.0, 6.0]
    assert np.isnan(float(signal.interp(np.nan, T, A)))
    with pytest.raises(ValueError, match="extrapolate"):
        signal.interp(x, T, A, left="guess")
    with pytest.raises(ValueError, match="equal size"):
        signal.interp(x, T, A[:3])


def test_interp_is_differentiable_in_all_its_arguments() -> None:
    slopes = np.diff(A) / np.diff(T)
    x = float(T[1] + T[2]) / 2
    assert float(pb.grad(lambda x: signal.interp(x, T, A))(x)) == pytest.approx(slopes[1], rel=1e-4)
    np.testing.assert_allclose(
        np.asarray(pb.grad(lambda y: signal.interp(x, T, y))(jnp.array(A))), [0, 0.5, 0.5, 0, 0], rtol=1e-4
    )
    np.testing.assert_allclose(
        np.asarray(pb.grad(lambda t: signal.interp(x, t, A))(jnp.array(T))),
        [0, -slopes[1] / 2, -slopes[1] / 2, 0, 0],
        rtol=1e-3,
    )
    queries = jnp.array([0.1, 0.7, 1.9])
    close(pb.vmap(lambda q: signal.interp(q, T, A))(queries), np.interp(np.asarray(queries), T, A))


# ---- convolution and windows ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("a, v", [(A, V), (V, A), (A, A), (A[:1], A), (A[:2], V), (A + 1j * A[::-1], V - 2j)], ids=str)
def test_convolutions(mode: str, a: Any, v: Any) -> None:
    close(signal.convolve(a.astype(np.complex64), v, mode), np.convolve(a, v, mode))
    close(signal.correlate(a.astype(np.complex64), v, mode), np.correlate(a, v, mode))


def test_convolution_types_and_errors() -> None:
    i = np.array([1, 2], np.int8)
    assert signal.convolve(i, i).dtype == np.float32
    assert signal.convolve(i, i, preferred_element_type=jnp.int32).dtype == np.int32
    with pytest.raises(ValueError, match="empty"):
        signal.convolve(A[:0], V)
    with pytest.raises(ValueError, match="1-dimensional"):
        signal.convolve(X, V)
    with pytest.raises(ValueError, match="mode"):
        signal.convolve(A, V, "half")
    gradient = pb.grad(lambda a: jnp.sum(signal.convolve(a, V) * jnp.arange(7.0)))(jnp.array(A))
    close(gradient, np.correlate(np.arange(7.0), V, "valid"))


@pytest.mark.parametrize("n", [0, 1, 5, 6])
def test_windows(n: int) -> None:
    for name in ("bartlett", "blackman", "hamming", "hanning"):
        close(getattr(signal, name)(n), getattr(np, name)(n))
    close(signal.kaiser(n, 8.6), np.kaiser(n, 8.6))


# ---- polynomials ------------------------------------------------------------------------------------------------


def test_polynomial_arithmetic() -> None:
    close(polynomials.polyadd(A, V), np.polyadd(A, V))
    close(polynomials.polysub(V, A), np.polysub(V, A))
    close(polynomials.polymul(A, V), np.polymul(A, V))
    close(polynomials.polymul(np.array([0.0, 1.0]), V, trim_leading_zeros=True), V)
    quotient, remainder = polynomials.polydiv(A, V, trim_leading_zeros=False)
    theirs = np.polydiv(A, V)
    close(quotient, theirs[0])
    close(remainder[-len(theirs[1]) :], theirs[1])
    close(polynomials.polydiv(V, A)[1], V)
    for m in (0, 1, 2, 9):
        close(polynomials.polyder(A, m), np.polyder(A, m))
        if m < 9:
            close(polynomials.polyint(A, m), np.polyint(A, m))
    close(polynomials.polyint(A, 2, k=jnp.array([3.0, 4.0])), np.polyint(A, 2, k=[3.0, 4.0]))
    for function in (polynomials.polyder, polynomials.polyint):
        with pytest.raises(ValueError, match="positive"):
            function(A, -1)


def test_evaluation_and_vandermonde_matrices() -> None:
    close(polynomials.polyval(A, X), np.polyval(A, X), 1e-4)
    assert polynomials.polyval(A[:0], V).tolist() == [0.0, 0.0, 0.0]
    assert float(pb.grad(lambda x: polynomials.polyval(V, x))(3.0)) == 2 * 2.0 * 3.0 + 1.0
    for options in ({}, {"N": 2}, {"increasing": True}, {"N": 0}):
        close(polynomials.vander(V, **options), np.vander(V, **options))


def test_roots_and_their_polynomial() -> None:
    for p in ([1.0, -3.0, 2.0], [0.0, 1.0, -3.0, 2.0, 0.0], [1.0, 0.0, 1.0], [1.0], [0.0, 0.0]):
        ours, theirs = np.asarray(polynomials.roots(jnp.array(p))), np.roots(p)
        assert ours.dtype == np.complex64
        np.testing.assert_allclose(np.sort_complex(ours), np.sort_complex(theirs.astype(np.complex64)), atol=1e-5)
    close(polynomials.poly(V), np.poly(V))
    close(jnp.real(polynomials.poly(jnp.array([[1.0, 2.0], [3.0, 4.0]]))), np.poly(np.array([[1.0, 2.0], [3.0, 4.0]])))
    padded = np.asarray(pb.vmap(lambda p: polynomials.roots(p, strip_zeros=False))(jnp.array([[0.0, 1.0, -3.0, 2.0]])))[
        0
    ]
    np.testing.assert_allclose(padded[:2], [2.0, 1.0], rtol=1e-5)
    assert np.isnan(padded[2])
    with pytest.raises(ConcretizationTypeError, match="strip_zeros"):
        pb.vmap(polynomials.roots)(jnp.array([[0.0, 1.0, 2.0]]))


def test_polyfit() -> None:
    y = np.polyval([2.0, -1.0, 0.5], T) + np.array([0.1, -0.1, 0.05, 0.0, -0.05])
    y = y.astype(np.float32)
    close(polynomials.polyfit(T, y, 2), np.polyfit(T, y, 2), 1e-3)
    close(polynomials.polyfit(T, y, 1, w=A**2), np.polyfit(T, y, 1, w=A**2), 1e-3)
    close(polynomials.polyfit(T, np.stack([y, A], 1), 1), np.polyfit(T, np.stack([y, A], 1), 1), 1e-3)
    ours, theirs = polynomials.polyfit(T, y, 1, cov=True), np.polyfit(T, y, 1, cov=True)
    close(ours[1], theirs[1], 1e-3)
    assert len(polynomials.polyfit(T, y, 1, full=True)) == 5
    with pytest.raises(TypeError, match="same length"):
        polynomials.polyfit(T, y[:3], 1)
    with pytest.raises(ValueError, match="deg"):
        polynomials.polyfit(T, y, -1)
