"""Samplers by rejection in compiled programs: the same numbers as in eager code, by loops of their own."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import random
from pullback.random import rejection

KEY = random.PRNGKey(3)
RNG = np.random.default_rng(0)
NAN, INF = np.nan, np.inf
LAYOUTS = pytest.mark.parametrize("partitionable", [False, True])


def compiled(function: Any, *args: Any) -> Any:
    jitted = pb.jit(lambda *xs: function(*xs))
    assert "python_cpu_callback" not in jitted.lower(*args).as_text()
    return np.asarray(jitted(*args))


@LAYOUTS
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize("log_space", [False, True])
def test_gamma(dtype: Any, log_space: bool, partitionable: bool) -> None:
    sampler = random.loggamma if log_space else random.gamma
    with pb.enable_x64(True), pb.threefry_partitionable(partitionable):
        a = np.concatenate([[0.0, 0.01, 0.5, 1.0, 100.0, INF, NAN, -1.0, -INF], RNG.uniform(0.1, 9, 300)]).astype(dtype)
        expected = np.asarray(sampler(KEY, a, dtype=dtype))
        out = compiled(lambda k, a: sampler(k, a, dtype=dtype), KEY, a)
    eps = float(ml_dtypes.finfo(dtype).eps)
    assert out.dtype == dtype
    np.testing.assert_allclose(out.astype(float), expected.astype(float), rtol=20 * eps, atol=20 * eps)


@pytest.mark.parametrize("lanes", [1, 7, 300])
def test_lanes_that_take_one_element_after_the_other(lanes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejection, "_LANES", lanes)
    a = RNG.uniform(0.05, 5, 300 if lanes > 1 else 20).astype(np.float32)
    np.testing.assert_allclose(compiled(random.gamma, KEY, a), random.gamma(KEY, a), rtol=1e-5)


@LAYOUTS
@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.int64])
def test_poisson(dtype: Any, partitionable: bool) -> None:
    rates = [0.0, 1e-30, 0.5, 9.99, 10.0, 11.0, 1e3, 1e7, 3e38, -1.0, NAN]
    rate = np.float32(np.concatenate([rates, RNG.uniform(0, 40, 3000)]))
    with pb.enable_x64(True), pb.threefry_partitionable(partitionable):
        for r in (rate, rate[:1], rate[-1:]):
            out = compiled(lambda k, r: random.poisson(k, r, dtype=dtype), KEY, r)
            assert out.dtype == dtype
            np.testing.assert_array_equal(out, random.poisson(KEY, r, dtype=dtype))


@LAYOUTS
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_binomial(dtype: Any, partitionable: bool) -> None:
    n, p = (
        v.ravel() for v in np.meshgrid([0, 1, 5, 40, 1000, 6e4, INF, -1, NAN], [0, 0.1, 0.5, 0.9, 1, -0.1, 1.1, NAN])
    )
    n = np.concatenate([n, RNG.integers(0, 300, 1000)]).astype(dtype)
    p = np.concatenate([p, RNG.uniform(0, 1, 1000)]).astype(dtype)
    with pb.enable_x64(True), pb.threefry_partitionable(partitionable):
        out = compiled(lambda k, n, p: random.binomial(k, n, p, dtype=dtype), KEY, n, p)
        np.testing.assert_array_equal(out, random.binomial(KEY, n, p, dtype=dtype))


def test_arrays_of_keys_and_empty_arrays() -> None:
    keys = random.split(KEY, 3)
    rate = RNG.uniform(0, 30, (3, 4)).astype(np.float32)
    for sampler in (random.poisson, random.gamma, lambda k, a: random.binomial(k, a, 0.3)):
        mapped = pb.vmap(sampler)
        np.testing.assert_allclose(compiled(mapped, keys, rate), mapped(keys, rate), rtol=1e-5)
        assert compiled(sampler, KEY, np.zeros((0, 3), np.float32)).shape == (0, 3)
        assert compiled(mapped, keys[:0], rate[:0]).shape == (0, 4)


def test_gradients_of_compiled_gamma_numbers() -> None:
    a = RNG.uniform(0.3, 200, 50).astype(np.float32)

    def total(a: Any) -> Any:
        return jnp.sum(random.gamma(KEY, a) ** 2)

    np.testing.assert_allclose(pb.jit(pb.grad(total))(a), pb.grad(total)(a), rtol=1e-4)


def test_compiled_numbers_have_their_distribution() -> None:
    stats = pytest.importorskip("scipy.stats")
    n = 1 << 15  # more than there are lanes
    sample = pb.jit(lambda k: random.gamma(k, 0.7, (n,)))(KEY)
    assert stats.kstest(np.asarray(sample), stats.gamma(0.7).cdf).pvalue > 1e-3
