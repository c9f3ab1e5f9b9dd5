"""`numpy/statistics.py` against NumPy, and its derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.core.errors import ConcretizationTypeError
from pullback.numpy import statistics

RNG = np.random.default_rng(2)
X = RNG.normal(size=(3, 8)).astype(np.float32)
Y = RNG.normal(size=(2, 8)).astype(np.float32)
W = RNG.uniform(size=8).astype(np.float32)
F = np.array([1, 2, 1, 3, 1, 1, 2, 1], np.int32)
V = np.array([0.1, 0.4, 0.4, 2.0, 1.0, 3.0, -1.0], np.float32)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": True},
        {"ddof": 2},
        {"rowvar": False},
        {"fweights": F},
        {"aweights": W},
        {"fweights": F, "aweights": W},
        {"y": Y},
    ],
    ids=str,
)
def test_cov_gives_numpys_values(options: dict[str, Any]) -> None:
    np.testing.assert_allclose(np.asarray(statistics.cov(X, **options)), np.cov(X, **options), rtol=2e-5, atol=1e-6)


def test_cov_of_vectors_and_complex_numbers() -> None:
    assert statistics.cov(X[0]).shape == () and float(statistics.cov(X[0])) == pytest.approx(np.cov(X[0]), rel=1e-5)
    z = (X + 1j * X[::-1]).astype(np.complex64)
    np.testing.assert_allclose(np.asarray(statistics.cov(z)), np.cov(z), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.asarray(statistics.corrcoef(z)), np.corrcoef(z), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.asarray(statistics.corrcoef(X, Y)), np.corrcoef(X, Y), rtol=1e-4, atol=1e-5)
    assert statistics.cov(jnp.zeros((0, 3))).shape == (0, 0)


def test_cov_errors() -> None:
    for function in (jnp.cov, jnp.corrcoef):
        for dtype in (int, bool, "uint8"):
            with pytest.raises(ValueError, match="floating or complex"):
                function(X, dtype=dtype)
    with pytest.raises(TypeError, match="integer"):
        statistics.cov(X, fweights=W)
    with pytest.raises(RuntimeError, match="incompatible"):
        statistics.cov(X, aweights=W[:3])
    with pytest.raises(ValueError, match="dimensions"):
        statistics.cov(jnp.zeros((2, 2, 2)))


@pytest.mark.parametrize(
    "options",
    [{}, {"bins": 3}, {"range": (0, 2)}, {"bins": np.array([0.0, 0.4, 1.0, 3.0])}, {"density": True}],
    ids=str,
)
def test_histogram_gives_numpys_values(options: dict[str, Any]) -> None:
    for extra in ({}, {"weights": np.arange(7).astype(np.float32)}):
        ours, theirs = statistics.histogram(V, **options, **extra), np.histogram(V, **options, **extra)
        np.testing.assert_allclose(np.asarray(ours[0]), theirs[0], rtol=1e-5)
        np.testing.assert_allclose(np.asarray(ours[1]), theirs[1], rtol=1e-6, atol=1e-7)


def test_histogram_edges() -> None:
    counts, _ = statistics.histogram(jnp.array([1.0, 1.0, np.nan]), bins=2, range=(0, 1))
    assert counts.tolist() == [0.0, 2.0]
    assert statistics.histogram_bin_edges(jnp.array([1, 1]), bins=2).tolist() == [0.5, 1.0, 1.5]
    with pytest.raises(TypeError, match="rule"):
        statistics.histogram(V, bins="auto")
    with pytest.raises(ValueError, match="same shape"):
        statistics.histogram(V, weights=V[:3])


def test_histograms_of_points() -> None:
    points = X.T[:, :2]
    for bins in (3, [2, 4], np.array([-2.0, 0.0, 2.0]), [np.array([-2.0, 0.0, 2.0]), 3]):
        for extra in ({}, {"weights": W}, {"density": True}):
            ours, theirs = statistics.histogram2d(X[0], X[1], bins, **extra), np.histogram2d(X[0], X[1], bins, **extra)
            for a, b in zip(ours, theirs):
                np.testing.assert_allclose(np.asarray(a), b, rtol=1e-5, atol=1e-6)
    ours, theirs = (
        statistics.histogramdd(points, (2, 3), [(-1, 1), (0, 2)]),
        np.histogramdd(points, (2, 3), [(-1, 1), (0, 2)]),
    )
    np.testing.assert_array_equal(np.asarray(ours[0]), theirs[0])
    np.testing.assert_array_equal(statistics.histogramdd(points, range(2, 4))[0], np.histogramdd(points, (2, 3))[0])
    np.testing.assert_array_equal(
        statistics.histogram2d(X[0], X[1], range(2, 4))[0], np.histogram2d(X[0], X[1], (2, 3))[0]
    )
    with pytest.raises(ValueError, match="dimension"):
        statistics.histogramdd(points, (2, 3, 4))
    for wrong in (1, "ab", (1, 2, 3)):
        with pytest.raises(ValueError, match="must be a pair"):
            statistics.histogram(X[0], range=wrong)


def test_bincount() -> None:
    x = np.array([1, 2, 2, 5], np.int32)
    assert statistics.bincount(x).tolist() == np.bincount(x).tolist()
    assert statistics.bincount(x, minlength=8).tolist() == np.bincount(x, minlength=8).tolist()
    assert statistics.bincount(x, W[:4]).tolist() == pytest.approx(np.bincount(x, W[:4]).tolist())
    assert statistics.bincount(x, length=3).tolist() == [0, 1, 2]
    assert statistics.bincount(np.array([1, -5])).tolist() == [1, 1] and statistics.bincount(x[:0]).shape == (0,)
    assert pb.vmap(lambda r: statistics.bincount(r, length=3))(jnp.array([[0, 2], [1, 1]])).tolist() == [
        [1, 0, 1],
        [0, 2, 0],
    ]
    with pytest.raises(ConcretizationTypeError, match="length"):
        pb.vmap(statistics.bincount)(jnp.array([[0, 2]]))
    with pytest.raises(TypeError, match="integer"):
        statistics.bincount(W)
    with pytest.raises(ValueError, match="one axis"):
        statistics.bincount(x[None])


@pytest.mark.parametrize("bins", [[0.0, 1.0, 2.0], [2.0, 1.0, 0.0], [1.0], []])
@pytest.mark.parametrize("right", [False, True])
def test_digitize(bins: Any, right: bool) -> None:
    x = np.array([-1.0, 0.0, 0.5, 1.0, 2.0, 2.5], np.float32)
    ours = statistics.digitize(jnp.array(x), jnp.array(bins, jnp.float32), right)
    assert ours.tolist() == np.digitize(x, np.array(bins, np.float32), right).tolist()
    assert (
        pb.vmap(lambda v: statistics.digitize(v, jnp.array(bins, jnp.float32), right))(jnp.array(x)).tolist()
        == ours.tolist()
    )


def test_gradients() -> None:
    weights = jnp.array([1.0, 0.0, 2.0])
    assert pb.grad(lambda w: jnp.sum(statistics.bincount(jnp.array([1, 2, 2]), w) ** 2))(weights).tolist() == [
        2.0,
        4.0,
        4.0,
    ]
    value = pb.grad(lambda x: statistics.cov(x)[0, 1])(jnp.array(X))
    step = np.zeros_like(X)
    step[0, 3] = 1e-2
    difference = (np.cov(X + step)[0, 1] - np.cov(X - step)[0, 1]) / 2e-2
    assert float(value[0, 3]) == pytest.approx(difference, rel=1e-3)


def test_covariances_of_nothing() -> None:
    for shape in ((2, 0), (3, 0), (0,), (1, 0)):
        got = jnp.cov(jnp.zeros(shape))
        assert got.shape == np.cov(np.ones((*shape[:-1], 2))).shape and bool(jnp.isnan(got).all())
    assert jnp.cov(jnp.zeros((0, 2)), rowvar=False).shape == (2, 2)
    assert jnp.cov(jnp.zeros((0, 2))).shape == (0, 0)


@pytest.mark.parametrize("n", range(1, 60))
def test_edges_of_whole_numbers_are_whole(n: int) -> None:
    """A value at an edge belongs to the bin above, as exact arithmetic has it."""
    values = np.arange(3 * n + 1)
    for bins in (n, 3 * n):
        counts, edges = jnp.histogram(values, bins=bins, range=(0, 3 * n))
        assert edges.tolist() == np.linspace(0, 3 * n, bins + 1).tolist()
        assert counts.tolist() == np.histogram(values, bins=bins, range=(0, 3 * n))[0].tolist()
        np.testing.assert_array_equal(jnp.histogram_bin_edges(values - n, bins), np.linspace(-n, 2 * n, bins + 1))
