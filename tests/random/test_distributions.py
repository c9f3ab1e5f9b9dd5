"""Every sampler has its distribution (Kolmogorov–Smirnov and χ² tests with fixed keys), shapes, dtypes and derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import pullback
import pullback.numpy as jnp
from pullback import jit, make_jaxpr, random
from pullback.core.errors import TypePromotionError
from pullback.test_util import check_grads

KEY = random.key(2024)
N = (4000,)

CONTINUOUS: list[tuple[str, Any, Any]] = [
    ("uniform", lambda s: random.uniform(KEY, s, minval=-1.0, maxval=3.0), stats.uniform(-1, 4)),
    ("normal", lambda s: random.normal(KEY, s), stats.norm),
    ("exponential", lambda s: random.exponential(KEY, s), stats.expon),
    ("gumbel", lambda s: random.gumbel(KEY, s), stats.gumbel_r),
    ("gumbel-high", lambda s: random.gumbel(KEY, s, mode="high"), stats.gumbel_r),
    ("laplace", lambda s: random.laplace(KEY, s), stats.laplace),
    ("logistic", lambda s: random.logistic(KEY, s), stats.logistic),
    ("cauchy", lambda s: random.cauchy(KEY, s), stats.cauchy),
    ("pareto", lambda s: random.pareto(KEY, 2.5, s), stats.pareto(2.5)),
    ("rayleigh", lambda s: random.rayleigh(KEY, 2.0, s), stats.rayleigh(scale=2)),
    ("weibull_min", lambda s: random.weibull_min(KEY, 2.0, 3.0, s), stats.weibull_min(3, scale=2)),
    ("triangular", lambda s: random.triangular(KEY, -1.0, 0.5, 2.0, s), stats.triang(0.5, -1, 3)),
    ("lognormal", lambda s: random.lognormal(KEY, 0.7, s), stats.lognorm(0.7)),
    ("truncated_normal", lambda s: random.truncated_normal(KEY, -0.5, 2.0, s), stats.truncnorm(-0.5, 2)),
    ("maxwell", lambda s: random.maxwell(KEY, s), stats.maxwell),
    ("double_sided_maxwell", lambda s: abs(random.double_sided_maxwell(KEY, 1.0, 2.0, s) - 1.0), stats.maxwell(scale=2)),
    ("wald", lambda s: random.wald(KEY, 1.5, s), stats.invgauss(1.5)),
    ("gamma", lambda s: random.gamma(KEY, 0.4, s), stats.gamma(0.4)),
    ("gamma-large", lambda s: random.gamma(KEY, 40.0, s), stats.gamma(40)),
    ("loggamma", lambda s: random.loggamma(KEY, 0.8, s), stats.loggamma(0.8)),
    ("beta", lambda s: random.beta(KEY, 0.5, 2.0, s), stats.beta(0.5, 2)),
    ("chisquare", lambda s: random.chisquare(KEY, 3.0, s), stats.chi2(3)),
    ("t", lambda s: random.t(KEY, 3.0, s), stats.t(3)),
    ("f", lambda s: random.f(KEY, 3.0, 5.0, s), stats.f(3, 5)),
    ("generalized_normal", lambda s: random.generalized_normal(KEY, 1.5, s), stats.gennorm(1.5)),
    ("dirichlet", lambda s: random.dirichlet(KEY, jnp.array([0.5, 1.0, 2.0]), s)[..., 0], stats.beta(0.5, 3)),
    ("ball-radius", lambda s: (random.ball(KEY, 3, 2, s) ** 2).sum(-1) ** 1.5, stats.uniform),
    ("multivariate_normal", lambda s: random.multivariate_normal(KEY, jnp.array([1.0, 2.0]), jnp.array([[1.0, 0.9], [0.9, 4.0]]), s)[..., 1],
     stats.norm(2, 2)),
    ("orthogonal-angle", lambda s: jnp.arctan2(random.orthogonal(KEY, 2, s)[:, 0, 1], random.orthogonal(KEY, 2, s)[:, 0, 0]),
     stats.uniform(-np.pi, 2 * np.pi)),
]  # fmt: skip


@pytest.mark.parametrize("sampler, distribution", [row[1:] for row in CONTINUOUS], ids=[row[0] for row in CONTINUOUS])
def test_continuous(sampler: Any, distribution: Any) -> None:
    sample = np.asarray(sampler(N))
    assert sample.shape == N and sample.dtype == np.float32
    assert stats.kstest(sample, distribution.cdf).pvalue > 1e-3


DISCRETE: list[tuple[str, Any, Any]] = [
    ("poisson-small", lambda s: random.poisson(KEY, 2.5, s), stats.poisson(2.5)),
    ("poisson-large", lambda s: random.poisson(KEY, 12.0, s), stats.poisson(12)),
    ("binomial-small", lambda s: random.binomial(KEY, 12, 0.8, s), stats.binom(12, 0.8)),
    ("binomial-large", lambda s: random.binomial(KEY, 60, 0.3, s), stats.binom(60, 0.3)),
    ("geometric", lambda s: random.geometric(KEY, 0.3, s), stats.geom(0.3)),
    ("randint", lambda s: random.randint(KEY, s, -3, 10), stats.randint(-3, 10)),
    ("randint-int8", lambda s: random.randint(KEY, s, -3, 10, "int8"), stats.randint(-3, 10)),
    ("bernoulli", lambda s: random.bernoulli(KEY, 0.3, s), stats.bernoulli(0.3)),
    ("bernoulli-high", lambda s: random.bernoulli(KEY, 0.3, s, mode="high"), stats.bernoulli(0.3)),
    ("categorical", lambda s: random.categorical(KEY, jnp.log(stats.binom(3, 0.4).pmf(np.arange(4))), shape=s), stats.binom(3, 0.4)),
    ("choice", lambda s: random.choice(KEY, 4, s, p=jnp.array(stats.binom(3, 0.4).pmf(np.arange(4)))), stats.binom(3, 0.4)),
    ("choice-uniform", lambda s: random.choice(KEY, 7, s), stats.randint(0, 7)),
    ("rademacher", lambda s: (random.rademacher(KEY, s) + 1) // 2, stats.bernoulli(0.5)),
    ("multinomial", lambda s: random.multinomial(KEY, 20, jnp.array([0.2, 0.3, 0.5]), shape=(*s, 3))[..., 1], stats.binom(20, 0.3)),
    ("permutation", lambda s: pullback.vmap(lambda k: random.permutation(k, 5)[2])(random.split(KEY, s)), stats.randint(0, 5)),
    ("choice-without-replacement", lambda s: pullback.vmap(lambda k: random.choice(k, 5, (3,), replace=False)[1])(random.split(KEY, s)),
     stats.randint(0, 5)),
]  # fmt: skip


@pytest.mark.parametrize("sampler, distribution", [row[1:] for row in DISCRETE], ids=[row[0] for row in DISCRETE])
def test_discrete(sampler: Any, distribution: Any) -> None:
    sample = np.asarray(sampler(N)).astype(int)
    assert sample.shape == N
    values = np.arange(int(distribution.ppf(0.002)), int(distribution.ppf(0.998)) + 1)
    expected = distribution.pmf(values) * sample.size
    observed = np.array([(sample == v).sum() for v in values])
    rest = sample.size - expected.sum()
    expected, observed = np.append(expected, max(rest, 1e-9)), np.append(observed, sample.size - observed.sum())
    keep = expected > 1
    assert observed[~keep].sum() <= 12
    assert stats.chisquare(observed[keep], expected[keep] * observed[keep].sum() / expected[keep].sum()).pvalue > 1e-3


def test_sampling_without_replacement_draws_distinct_values() -> None:
    for p in (None, jnp.array([0.1, 0.2, 0.3, 0.2, 0.2])):
        draws = np.asarray(
            pullback.vmap(lambda k, p=p: random.choice(k, 5, (2, 2), replace=False, p=p))(random.split(KEY, 50))
        )
        assert all(len(set(d.ravel())) == 4 for d in draws)
    chosen = np.asarray(random.categorical(KEY, jnp.zeros((3, 6)), shape=(6, 3), replace=False))
    np.testing.assert_array_equal(np.sort(chosen, axis=0), np.arange(6)[:, None] * np.ones(3, int))


def test_nothing_is_chosen_from_nothing() -> None:
    for p in (None, jnp.zeros(0)):
        assert random.choice(KEY, 0, (0,), p=p).shape == random.choice(KEY, jnp.zeros(0), (2, 0), p=p)[0].shape == (0,)


def test_permutations_permute() -> None:
    x = np.arange(24).reshape(4, 6)
    rows = np.asarray(random.permutation(KEY, x))
    assert sorted(map(tuple, rows)) == sorted(map(tuple, x))
    columns = np.asarray(random.permutation(KEY, x, axis=-1))
    assert sorted(map(tuple, columns.T)) == sorted(map(tuple, x.T))
    each = np.asarray(random.permutation(KEY, x, axis=1, independent=True))
    np.testing.assert_array_equal(np.sort(each, axis=1), x)
    assert random.permutation(KEY, 0).shape == random.permutation(KEY, -3).shape == (0,)


def test_orthogonal_matrices_are_orthogonal() -> None:
    for dtype in (jnp.float32, jnp.complex64):
        q = np.asarray(random.orthogonal(KEY, 4, (3,), dtype))
        np.testing.assert_allclose(q @ q.conj().swapaxes(-1, -2), np.broadcast_to(np.eye(4), (3, 4, 4)), atol=1e-5)
    assert random.orthogonal(KEY, 4, m=2).shape == (4, 2) and random.orthogonal(KEY, 2, (5,), m=4).shape == (5, 2, 4)


@pytest.mark.parametrize("method", ["cholesky", "eigh", "svd"])
def test_covariance(method: str) -> None:
    cov = np.array([[2.0, 0.6], [0.6, 1.0]], np.float32)
    x = np.asarray(random.multivariate_normal(KEY, jnp.array([1.0, -1.0]), cov, N, method=method))
    np.testing.assert_allclose(np.cov(x.T), cov, atol=0.1)


# ---- edges ------------------------------------------------------------------------------------------------------


def test_parameters_at_the_edge() -> None:
    nan, inf = np.nan, np.inf
    a = jnp.array([0.0, -1.0, nan, inf])
    np.testing.assert_array_equal(random.gamma(KEY, a), [0.0, nan, nan, inf])
    np.testing.assert_array_equal(random.loggamma(KEY, a), [-inf, nan, nan, inf])
    for key in random.split(KEY, 4):  # candidates at an infinite rate are NaN or infinite
        counts = np.asarray(random.poisson(key, a))
        np.testing.assert_array_equal(counts[:3], [0, -1, -1])
        np.testing.assert_array_equal(counts, pullback.jit(random.poisson)(key, a))
    n, p = jnp.array([0.0, -1.0, nan, inf, 5, 5, 5, 5]), jnp.array([0.5, 0.5, 0.5, 0.5, 0.0, 1.0, 2.0, nan])
    np.testing.assert_array_equal(random.binomial(KEY, n, p), [0, nan, nan, inf, 0, 5, nan, nan])
    np.testing.assert_array_equal(random.bernoulli(KEY, jnp.array([0.0, 1.0])), [False, True])
    np.testing.assert_array_equal(random.randint(KEY, (3,), 7, 5), [7, 7, 7])
    assert float(random.loggamma(KEY, 1e-6)) < -1000
    full = np.asarray(random.randint(KEY, (20000,), -300, 300, "int8"))
    assert full.min() == -128 and full.max() == 127


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_every_float_type(dtype: str) -> None:
    for sampler in (
        random.uniform,
        random.normal,
        random.exponential,
        random.gumbel,
        random.laplace,
        random.cauchy,
        random.maxwell,
    ):
        x = sampler(KEY, (2, 3), dtype)
        assert x.shape == (2, 3) and str(x.dtype) == dtype and not x.weak_type
        assert np.isfinite(np.asarray(x, np.float64)).all()
    u = np.asarray(random.uniform(KEY, (5000,), dtype), np.float64)
    assert u.min() >= 0 and u.max() < 1
    assert str(random.gamma(KEY, 2.0, (2,), dtype).dtype) == dtype


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (2, 3)])
def test_every_shape(shape: tuple[int, ...]) -> None:
    one = jnp.ones(())
    for x in (
        random.bits(KEY, shape), random.uniform(KEY, shape), random.normal(KEY, shape), random.randint(KEY, shape, 0, 5),
        random.bernoulli(KEY, 0.5, shape), random.rademacher(KEY, shape), random.gamma(KEY, one, shape), random.t(KEY, one, shape),
        random.poisson(KEY, one, shape), random.binomial(KEY, 3, 0.5, shape), random.categorical(KEY, jnp.zeros(3), shape=shape),
        random.choice(KEY, 3, shape), random.truncated_normal(KEY, -1, 1, shape), random.beta(KEY, 1.0, 2.0, shape),
        random.ball(KEY, 2, 2, shape)[..., 0], random.dirichlet(KEY, jnp.ones(2), shape)[..., 0], random.geometric(KEY, 0.5, shape),
    ):  # fmt: skip
        assert x.shape == shape


MISTAKES: list[tuple[Any, type[Exception], str]] = [
    (lambda: random.uniform(KEY, (2,), "int32"), ValueError, "dtype argument to `uniform` must be a float dtype, got int32"),
    (lambda: random.uniform(KEY, (2,), "complex64"), ValueError, "complex64"),
    (lambda: random.normal(KEY, (2,), "int32"), ValueError, "float or complex"),
    (lambda: random.bits(KEY, (2,), "int32"), ValueError, "unsigned"),
    (lambda: random.randint(KEY, (2,), 0, 5, "float32"), TypeError, "integer dtypes, got float32"),
    (lambda: random.randint(KEY, (3,), jnp.zeros(2, int), 5), ValueError, r"\(3,\)"),
    (lambda: random.poisson(KEY, 1.0, (2,), "float32"), ValueError, "int dtype"),
    (lambda: random.uniform(KEY, (2.0,)), TypeError, "shape must be (a sequence of )?integers"),
    (lambda: random.uniform(KEY, (-1,)), TypeError, "negative"),
    (lambda: random.uniform(KEY, "a"), TypeError, "shape must be (a sequence of )?integers"),
    (lambda: random.gamma(KEY, [1.0, 2.0]), TypeError, "gamma requires ndarray or scalar"),
    (lambda: random.gamma(KEY, jnp.ones(2), (3,)), ValueError, r"gamma.*\(2,\).*shape=\(3,\)|Incompatible"),
    (lambda: random.bernoulli(KEY, 2), TypeError, "floating dtype, got int32"),
    (lambda: random.bernoulli(KEY, 0.5, mode="foo"), ValueError, "'foo'"),
    (lambda: random.choice(KEY, 5, (6,), replace=False), ValueError, "size 6.*size 5"),
    (lambda: random.choice(KEY, 0, (2,)), ValueError, "greater than 0"),
    (lambda: random.choice(KEY, 5, (2,), p=jnp.ones(4)), ValueError, r"\(4,\).*5"),
    (lambda: random.choice(KEY, 5, 3), TypeError, "sequence"),
    (lambda: random.choice(KEY, [1, 2], (3,)), TypeError, "choice requires ndarray"),
    (lambda: random.permutation(KEY, 5.0), TypeError, "integer"),
    (lambda: random.categorical(KEY, jnp.zeros(3), shape=(5,), replace=False), ValueError, "5.*3"),
    (lambda: random.categorical(KEY, jnp.zeros((2, 3)), shape=(4,)), ValueError, r"\(4,\)"),
    (lambda: random.dirichlet(KEY, jnp.ones(())), ValueError, "ndim >= 1"),
    (lambda: random.multivariate_normal(KEY, jnp.zeros(2), jnp.eye(3)), ValueError, r"\(3, 3\)"),
    (lambda: random.multivariate_normal(KEY, jnp.zeros(2), jnp.eye(2), method="foo"), ValueError, "'foo'"),
    (lambda: random.orthogonal(KEY, -1), ValueError, "negative"),
    (lambda: random.gamma(KEY, 1j), TypePromotionError, "gamma takes real parameters, got"),
    (lambda: random.t(KEY, jnp.ones(2, complex)), TypePromotionError, "real parameters"),
]  # fmt: skip


def test_double_sided_maxwell_numbers_are_so_many_for_each_of_the_parameters() -> None:
    loc, scale = jnp.array([[0.0], [1.0]]), jnp.array([1.0, 2.0, 3.0])
    drawn = random.double_sided_maxwell(KEY, 0.0, 1.0, (4, 2, 3))
    out = random.double_sided_maxwell(KEY, loc, scale, (4,))
    assert out.shape == (4, 2, 3) and jnp.allclose(out, loc + scale * drawn, atol=1e-5)
    assert random.double_sided_maxwell(KEY, loc, scale).shape == (2, 3)


@pytest.mark.parametrize("call, error, message", MISTAKES, ids=range(len(MISTAKES)))
def test_mistakes(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


# ---- derivatives ------------------------------------------------------------------------------------------------

DIFFERENTIABLE: list[tuple[str, Any, tuple[Any, ...]]] = [
    ("uniform", lambda a, b: random.uniform(KEY, (3,), None, a, b), (-1.0, 2.0)),
    ("truncated_normal", lambda a, b: random.truncated_normal(KEY, a, b, (3,)), (-1.0, 2.0)),
    ("multivariate_normal", lambda m, c: random.multivariate_normal(KEY, m, c @ c.T), (np.ones(2), np.array([[1.0, 0.2], [0.3, 2.0]]))),
    ("pareto", lambda b: random.pareto(KEY, b, (3,)), (2.0,)),
    ("rayleigh", lambda s: random.rayleigh(KEY, s, (3,)), (2.0,)),
    ("weibull_min", lambda s, c: random.weibull_min(KEY, s, c, (3,)), (2.0, 1.5)),
    ("triangular", lambda a, m, b: random.triangular(KEY, a, m, b, (3,)), (-1.0, 0.3, 2.0)),
    ("lognormal", lambda s: random.lognormal(KEY, s, (3,)), (0.5,)),
    ("double_sided_maxwell", lambda m, s: random.double_sided_maxwell(KEY, m, s, (3,)), (1.0, 2.0)),
    ("wald", lambda m: random.wald(KEY, m, (3,)), (1.5,)),
]  # fmt: skip


@pytest.mark.parametrize("sampler, args", [row[1:] for row in DIFFERENTIABLE], ids=[row[0] for row in DIFFERENTIABLE])
def test_derivatives_with_respect_to_parameters(sampler: Any, args: tuple[Any, ...]) -> None:
    with pullback.enable_x64(True):
        check_grads(sampler, tuple(jnp.asarray(a, jnp.float64) for a in args), order=2, rtol=1e-5)


def test_trials_are_whole_numbers() -> None:
    key = random.PRNGKey(0)
    for p in (0.3, 0.612):
        assert float(random.binomial(key, 20.7, p)) == float(random.binomial(key, 20, p))
    weights = np.array([0.2, 0.3, 0.5], np.float32)
    np.testing.assert_array_equal(random.multinomial(key, 10.7, weights), random.multinomial(key, 10, weights))
    # Python's numbers count as float32: the draws are those of float32, not of bfloat16.
    for seed in range(6):
        key = random.PRNGKey(seed)
        assert float(random.binomial(key, jnp.bfloat16(20), 0.3)) == float(random.binomial(key, 20, 0.3))


def test_multinomial_is_one_loop_and_gives_numbers_of_the_type_asked_for():
    p = np.full(40, 1 / 40, np.float32)
    assert len(make_jaxpr(lambda k: random.multinomial(k, 100, p))(KEY).eqns) < 40
    for dtype in ("int32", "uint8", "float16", "bfloat16", "float32"):
        counts = random.multinomial(KEY, 20, p, dtype=dtype)
        assert counts.dtype == dtype and counts.astype(int).sum() == 20
        np.testing.assert_array_equal(counts, jit(lambda k: random.multinomial(k, 20, p, dtype=dtype))(KEY))
    assert random.multinomial(KEY, 3, np.zeros((2, 0))).shape == (2, 0)
    with pytest.raises(ValueError, match="float or int"):
        random.multinomial(KEY, 3, p, dtype=bool)
