"""Samplers by rejection in compiled programs: the same numbers as in eager code, by loops of their own."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import random
from pullback.core import config
from pullback.lax.random_bits import random_fold_in_p, random_split_p
from pullback.random import rejection
from tests.xla.paths import paths

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
    np.testing.assert_allclose(compiled(random.gamma, KEY, a), random.gamma(KEY, a), rtol=1e-5, atol=1e-37)


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


A = np.full(20, 2.0, np.float32)
SAMPLERS = {
    "ball": lambda k: random.ball(k, 3, shape=(20,)),
    "bernoulli": lambda k: random.bernoulli(k, 0.3, (20,)),
    "beta": lambda k: random.beta(k, A, A),
    "binomial": lambda k: random.binomial(k, A, A / 4),
    "bits": lambda k: random.bits(k, (20,)),
    "categorical": lambda k: random.categorical(k, A),
    "cauchy": lambda k: random.cauchy(k, (20,)),
    "chisquare": lambda k: random.chisquare(k, A),
    "choice": lambda k: random.choice(k, 50, (20,)),
    "dirichlet": lambda k: random.dirichlet(k, A),
    "exponential": lambda k: random.exponential(k, (20,)),
    "f": lambda k: random.f(k, A, A),
    "fold_in": lambda k: random.normal(random.fold_in(random.fold_in(random.fold_in(k, 1), 2), 3), (20,)),
    "gamma": lambda k: random.gamma(k, A),
    "generalized_normal": lambda k: random.generalized_normal(k, 1.5, (20,)),
    "geometric": lambda k: random.geometric(k, A / 4),
    "gradient": lambda k: pb.grad(lambda a: random.gamma(k, a).sum())(A),
    "gumbel": lambda k: random.gumbel(k, (20,)),
    "laplace": lambda k: random.laplace(k, (20,)),
    "loggamma": lambda k: random.loggamma(k, A),
    "logistic": lambda k: random.logistic(k, (20,)),
    "multinomial": lambda k: random.multinomial(k, 20, np.full(4, 0.25, np.float32)),
    "multivariate_normal": lambda k: random.multivariate_normal(k, np.zeros(3), np.eye(3)),
    "normal": lambda k: random.normal(k, (20,)),
    "orthogonal": lambda k: random.orthogonal(k, 3),
    "pareto": lambda k: random.pareto(k, A),
    "permutation": lambda k: random.permutation(k, 50),
    "poisson": lambda k: random.poisson(k, A),
    "rademacher": lambda k: random.rademacher(k, (20,)),
    "randint": lambda k: random.randint(k, (20,), 0, 17),
    "rayleigh": lambda k: random.rayleigh(k, A),
    "scan": lambda k: pb.lax.scan(lambda k, _: (random.split(k)[0], random.gamma(k, A)), k, None, 3),
    "splits": lambda k: random.normal(random.split(random.split(random.split(k)[0])[1])[0], (20,)),
    "t": lambda k: random.t(k, A),
    "triangular": lambda k: random.triangular(k, 0.0, 0.5, 1.0, (20,)),
    "truncated_normal": lambda k: random.truncated_normal(k, 0.0, 1.0, (20,)),
    "uniform": lambda k: random.uniform(k, (20,)),
    "vmap": lambda k: pb.vmap(lambda k: random.gamma(k, A))(random.split(k, 4)),
    "wald": lambda k: random.wald(k, A),
    "weibull_min": lambda k: random.weibull_min(k, 1.0, 2.0, (20,)),
}


@LAYOUTS
@pytest.mark.parametrize("cpu_fusion", ["auto", "xla"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_loops_have_one_block_of_threefry(sampler: str, cpu_fusion: str, partitionable: bool) -> None:
    with pb.threefry_partitionable(partitionable), config.cpu_fusion(cpu_fusion):
        text = pb.jit(SAMPLERS[sampler]).lower(random.key(0)).as_text()
    # One block has 2^20, and a few are made of several draws. Two in a row have 2^40.
    assert paths(text) < 1 << 30


def test_exported_samplers_have_one_block_of_threefry_a_loop() -> None:
    with pb.threefry_partitionable(True):
        exported = pb.export.export(pb.jit(SAMPLERS["gamma"]))(random.key(0))
        assert paths(exported.mlir_module()) < 1 << 30


@pytest.mark.parametrize("shape", [(), (1,), (0,), (1, 1), (2, 3), (257,)])
@pytest.mark.parametrize("lead", [(), (1,), (0,), (2, 1), (300,)])
def test_derived_keys(lead: tuple[int, ...], shape: tuple[int, ...]) -> None:
    keys = random.wrap_key_data(RNG.integers(0, 1 << 32, (*lead, 2), dtype=np.uint32))
    data = np.arange(lead[-1] if lead else 1, dtype=np.uint32).reshape(lead[-1:])
    derived = (
        lambda k: random_split_p.bind(k, shape=shape, partitionable=True),
        lambda k: random_fold_in_p.bind(k, data),
    )
    for derive in derived:
        new = pb.jit(lambda k, derive=derive: random.key_data(derive(k)))(keys)
        np.testing.assert_array_equal(new, random.key_data(derive(keys)))
