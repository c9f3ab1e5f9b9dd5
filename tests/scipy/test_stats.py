"""Distributions of `scipy.stats`: values against SciPy, derivatives against mpmath's or differences, in both modes."""

from __future__ import annotations

import os
from typing import Any

import ml_dtypes
import mpmath as mp
import numpy as np
import pytest
from scipy import stats as scipy_stats

import pullback as pb
import pullback.numpy as jnp
from pullback.scipy import special, stats

X = np.float64([-40.0, -7.5, -2.0, -0.5, 0.25, 1.0, 3.0, 30.0])
POSITIVE = np.float64([1e-6, 0.1, 0.7, 1.0, 2.5, 8.0, 40.0])
UNIT = np.float64([1e-9, 0.02, 0.3, 0.5, 0.8, 0.999])
COUNT = np.float64([-1, 0, 1, 2, 3, 7, 12])
BOTH, TAILS, LOGS = ("pdf", "logpdf"), ("pdf", "logpdf", "cdf", "sf"), ("logcdf", "logsf")
MASS = ("pmf", "logpmf")

#: Distribution, functions of values, values, functions of probabilities, parameters, and the first that has no derivative here.
TABLE: list[tuple[str, tuple[str, ...], np.ndarray, tuple[str, ...], tuple[float, ...]]] = [
    ("norm", (*TAILS, *LOGS), X, ("ppf", "isf"), (0.3, 1.7)),
    ("expon", (*TAILS, *LOGS), X, ("ppf",), (0.3, 1.7)),
    ("uniform", (*BOTH, "cdf"), X, ("ppf",), (-1.0, 3.5)),
    ("laplace", (*BOTH, "cdf"), X, (), (0.3, 1.7)),
    ("logistic", TAILS, X, ("ppf", "isf"), (0.3, 1.7)),
    ("cauchy", (*TAILS, *LOGS), X, ("ppf", "isf"), (0.3, 1.7)),
    ("gumbel_r", (*TAILS, *LOGS), X, ("ppf",), (0.3, 1.7)),
    ("gumbel_l", (*TAILS, *LOGS), X, ("ppf",), (0.3, 1.7)),
    ("pareto", (*TAILS, *LOGS), POSITIVE, ("ppf",), (2.5, 0.1, 0.5)),
    ("t", BOTH, X, (), (3.5, 0.3, 1.7)),
    ("gamma", (*TAILS, *LOGS), POSITIVE, (), (2.5, 0.05, 1.7)),
    ("chi2", (*TAILS, *LOGS), POSITIVE, (), (3.5, 0.05, 1.7)),
    ("beta", (*TAILS, *LOGS), UNIT, (), (2.5, 1.5, -0.1, 1.2)),
    ("gennorm", (*BOTH, "cdf"), X, (), (1.5,)),
    ("truncnorm", (*TAILS, *LOGS), X, (), (-1.5, 2.5, 0.3, 1.7)),
    ("truncnorm", (*TAILS, *LOGS), np.float64([4.0, 6.0, 7.9]), (), (3.0, 7.0, 0.3, 1.1)),
    ("vonmises", BOTH, X, (), (2.5,)),
    ("wrapcauchy", BOTH, POSITIVE, (), (0.4,)),
    ("bernoulli", MASS, COUNT, (), (0.3,)),
    ("binom", MASS, COUNT, (), (10.0, 0.3)),
    ("betabinom", MASS, COUNT, (), (10.0, 2.5, 1.5)),
    ("geom", MASS, COUNT, (), (0.3,)),
    ("nbinom", MASS, COUNT, (), (4.0, 0.3)),
    ("poisson", (*MASS, "cdf"), COUNT, (), (3.5,)),
]


COUNTS = ("bernoulli", "geom", "nbinom", "poisson")


def functions(row: Any) -> list[tuple[Any, str, np.ndarray]]:
    name, of_values, x, of_probabilities, _ = row
    module = getattr(stats, name)
    return [(getattr(module, f), f, x) for f in of_values] + [(getattr(module, f), f, UNIT) for f in of_probabilities]


def differentiable(name: str, count: int) -> list[int]:
    """The arguments by which there are derivatives: not counts, nor numbers of trials."""
    return list(range({"binom": 2, "betabinom": 2}.get(name, int(name in COUNTS)), count))


def values_and_slopes(row: Any) -> Any:
    out = []
    parameters = row[-1]
    for f, _, x in functions(row):
        args = [jnp.asarray(x), *[jnp.full(x.shape, p) for p in parameters]]
        value = f(*args)
        slopes = []
        for i in differentiable(row[0], len(args)):
            by = lambda v, i=i, f=f, args=args: f(*args[:i], v, *args[i + 1 :]).sum()
            slopes.append(pb.grad(by)(args[i]))
        out.append((value, slopes))
    return out


@pytest.mark.parametrize("row", TABLE, ids=[f"{row[0]}-{i}" for i, row in enumerate(TABLE)])
def test_values_and_derivatives(row: Any) -> None:
    name, *_, parameters = row
    theirs = getattr(scipy_stats, name)
    with pb.enable_x64(True):
        eager = values_and_slopes(row)
        for (f, function, x), (value, slopes) in zip(functions(row), eager):
            reference = getattr(theirs, function)
            expected = reference(x, *parameters)
            np.testing.assert_allclose(value, expected, rtol=2e-12, atol=1e-300, err_msg=function)
            args = [x, *[np.full(x.shape, p) for p in parameters]]
            for i, slope in zip(differentiable(name, len(args)), slopes):
                h = 1e-6 * np.maximum(np.abs(args[i]), 1e-9)
                up, down = (np.asarray(f(*args[:i], args[i] + s * h, *args[i + 1 :])) for s in (1, -1))
                with np.errstate(invalid="ignore"):
                    difference, noise = (up - down) / (2 * h), 1e-15 * np.abs(expected) / h
                smooth = np.isfinite(difference) & (np.abs(difference) < 1e7)  # there are jumps at the ends
                error = np.abs(np.asarray(slope) - np.where(smooth, difference, slope))
                assert (error <= 2e-5 * np.abs(slope) + noise + 1e-9).all(), (function, i, slope, difference)
                assert np.isfinite(slope).all(), (function, i)


def test_compiled_values() -> None:
    """Compiled values are the eager ones; in both precisions, where there is time."""
    full = os.environ.get("PULLBACK_TEST_SAMPLE") == "full"
    for dtype, rtol in [(np.float64, 2e-12), (np.float32, 2e-5)][: 1 + full]:
        with pb.enable_x64(dtype is np.float64):

            def everything() -> Any:
                return [[f(jnp.asarray(x, dtype), *map(dtype, row[-1])) for f, _, x in functions(row)] for row in TABLE]

            for row, eager, compiled in zip(TABLE, everything(), pb.jit(everything)()):
                for (_, function, _), a, b in zip(functions(row), eager, compiled):
                    np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-37, err_msg=f"{row[0]}.{function}")


def test_edges() -> None:
    """At the ends of the support and beyond: values, and derivatives without NaNs."""
    rows: list[tuple[Any, tuple[float, ...], float, float]] = [
        (stats.beta.logpdf, (0.0, 1.0, 3.0), np.log(3.0), -2.0),
        (stats.beta.logpdf, (1.0, 3.0, 1.0), np.log(3.0), 2.0),
        (stats.gamma.logpdf, (0.0, 1.0), 0.0, -1.0),
        (stats.gamma.logpdf, (np.inf, 2.0), -np.inf, 0.0),
        (stats.gamma.pdf, (-1.0, 0.5), 0.0, 0.0),
        (stats.expon.pdf, (-1000.0,), 0.0, 0.0),
        (stats.norm.pdf, (np.inf,), 0.0, 0.0),
        (stats.norm.logsf, (1e5,), -5e9, -1e5),
        (stats.cauchy.logsf, (1e30,), -np.log(np.pi) - 30 * np.log(10), -1e-30),
        (stats.cauchy.logpdf, (-1e30,), -np.log(np.pi) - 60 * np.log(10), 2e-30),
        (stats.gumbel_r.pdf, (-1000.0,), 0.0, 0.0),
        (stats.gumbel_r.logsf, (1000.0,), -1000.0, -1.0),
        (stats.gumbel_l.logcdf, (-1000.0,), -1000.0, 1.0),
        (stats.logistic.logpdf, (1000.0,), -1000.0, -1.0),
        (stats.laplace.cdf, (0.0,), 0.5, 0.5),
        (stats.gennorm.cdf, (0.0, 2.0), 0.5, 1 / np.sqrt(np.pi)),
        (stats.truncnorm.logpdf, (100.5, 100.0, np.inf), -np.inf, -100.5),
        (stats.truncnorm.cdf, (-1.0, 0.0, 2.0), 0.0, 0.0),
        (stats.truncnorm.logsf, (50.0, 0.0, np.inf), -1254.1389, -50.02),
        (stats.vonmises.pdf, (1.0, 0.0), 0.5 / np.pi, 0.0),
        (stats.poisson.logpmf, (0, 0.0), 0.0, np.nan),
        (stats.binom.logpmf, (0, 3, 0.0), 0.0, np.nan),
        (stats.bernoulli.pmf, (0, 0.0), 1.0, np.nan),
    ]  # fmt: skip
    for f, (x, *parameters), value, slope in rows:
        name = f"{f.__module__}.{f.__name__}{(x, *parameters)}"
        if f is stats.truncnorm.logpdf:
            value = float(scipy_stats.truncnorm.logpdf(x, *parameters))
        np.testing.assert_allclose(f(x, *parameters), value, rtol=2e-5, atol=1e-7, err_msg=name)
        if slope == slope:
            np.testing.assert_allclose(pb.grad(f)(x, *parameters), slope, rtol=1e-3, atol=1e-7, err_msg=name)
    assert pb.grad(lambda mu: stats.poisson.logpmf(0, mu))(0.0) == -1.0
    assert pb.grad(lambda p: stats.binom.logpmf(0, 3, p))(0.0) == -3.0
    for f, wrong in [(stats.norm.cdf, (0.0, 0.0, -1.0)), (stats.gamma.sf, (1.0, 0.0)), (stats.geom.pmf, (1, 1.5))]:
        assert np.isnan(f(*wrong)), f


def test_compiled_nans_whose_size_is_taken() -> None:
    """NaN of NaNs also where the compiler knows that an operand is an absolute value, of which it takes |x| >= 0 to hold always."""
    one = 1.5
    calls = [
        lambda x: special.gammainc(one, x), lambda x: special.gammaincc(x, one), lambda x: special.betainc(one, x, 0.5),
        lambda x: special.betainc(one, one, x), lambda x: special.zeta(x + 1, one), lambda x: special.poch(x, one),
        lambda x: special.beta(x, one), lambda x: stats.gennorm.cdf(x, one), lambda x: stats.gennorm.cdf(-one, x),
        lambda x: stats.poisson.pmf(0.5, x), lambda x: stats.poisson.logpmf(x, one), lambda x: stats.gamma.pdf(x, one),
        lambda x: stats.chi2.sf(x, one), lambda x: stats.vonmises.pdf(one, x), lambda x: stats.truncnorm.pdf(x, 0.0, 2.0),
        lambda x: stats.t.logpdf(x, one), lambda x: stats.nbinom.pmf(1, x, 0.5),
    ]  # fmt: skip
    sizes = np.array([np.nan, 0.75], np.float32)
    compiled = pb.jit(lambda x: [call(jnp.abs(x)) for call in calls])(sizes)
    for i, (call, got) in enumerate(zip(calls, compiled)):
        assert np.isnan(got[0]), i
        np.testing.assert_allclose(got, call(sizes), rtol=1e-5, err_msg=str(i))
    assert np.isnan(pb.jit(stats.truncnorm.pdf)(0.75, 0.75, 0.75)) and np.isnan(
        stats.truncnorm.logpdf(0.75, 0.75, 0.75)
    )


def test_infinite_and_huge_parameters() -> None:
    """t with many degrees of freedom is normal, in values and derivatives; probabilities of tiny shapes keep their digits; NaN of NaNs."""
    for dtype, rtol in ((np.float64, 2e-14), (np.float32, 3e-6)):
        with pb.enable_x64(dtype is np.float64):
            df = np.array([3.0, 300.0, 3e6, 9e7, 1.1e8, 1e11, 1.9e12, 2.1e12, 1e16, 1e25, np.inf], dtype)
            for z in (0.0, 0.3, -1.0, 4.0, 9.0):
                with mp.workdps(60):
                    log = lambda n, z=mp.mpf(float(dtype(z))): (
                        mp.log(mp.npdf(z))
                        if mp.isinf(n)
                        else mp.log(mp.gammaprod([(n + 1) / 2], [n / 2]) / mp.sqrt(mp.pi * n))
                        - (n + 1) / 2 * mp.log1p(z * z / n)
                        if n < 1e4
                        else mp.log(mp.npdf(z)) + (z**4 - 2 * z**2 - 1) / (4 * n) - (2 * z**6 - 3 * z**4) / (12 * n * n)
                    )
                    expected = np.array([float(log(mp.mpf(float(n)))) for n in df])
                for f in (stats.t.logpdf, pb.jit(stats.t.logpdf)):
                    np.testing.assert_allclose(f(dtype(z), df), expected, rtol=rtol, err_msg=str(z))
                for f in (stats.t.pdf, pb.jit(stats.t.pdf)):
                    np.testing.assert_allclose(f(dtype(z), df), np.exp(expected), rtol=rtol * 60, err_msg=str(z))
                by_z, by_df = pb.grad(stats.t.logpdf, (0, 1))(dtype(z), dtype(np.inf))
                assert by_z == dtype(-z)
                assert by_df == 0
            np.testing.assert_array_equal(stats.t.pdf(dtype(1e30), df[4:]), 0)
            for f, expected in ((stats.gamma.logcdf, -4.5474486195e-9), (stats.gamma.logsf, -19.2086995065)):
                for g in (f, pb.jit(f)):
                    np.testing.assert_allclose(g(dtype(1e-20), dtype(1e-10)), expected, rtol=max(rtol, 1e-9))
    nan, half = jnp.nan, jnp.float32(0.5)
    for name, of_values, _, of_probabilities, parameters in TABLE:
        for function in (*of_values, *of_probabilities):
            args = [half if name not in COUNTS else jnp.float32(1), *map(jnp.float32, parameters)]
            for i in range(len(args)):
                out = getattr(getattr(stats, name), function)(*args[:i], nan, *args[i + 1 :])
                assert np.isnan(out), (name, function, i)


def test_tails_beyond_underflow() -> None:
    """Logarithms of probabilities that no float has, and their derivatives, which are those of mpmath."""

    def gamma(x: Any, a: Any, upper: bool) -> Any:
        return mp.log(mp.gammainc(a, x if upper else 0, mp.inf if upper else x, regularized=True))

    def beta(x: Any, a: Any, b: Any, upper: bool) -> Any:
        return mp.log(
            mp.betainc(b, a, 0, 1 - x, regularized=True) if upper else mp.betainc(a, b, 0, x, regularized=True)
        )

    rows: list[tuple[Any, Any, list[float], int]] = [
        (stats.gamma.logsf, lambda *p: gamma(*p, True), [900.0, 2.5], 2),
        (stats.gamma.logsf, lambda *p: gamma(*p, True), [4000.0, 1000.0], 2),
        (stats.gamma.logcdf, lambda *p: gamma(*p, False), [0.25, 300.0], 2),
        (stats.gamma.logcdf, lambda *p: gamma(*p, False), [120.0, 1000.0], 2),
        (stats.beta.logcdf, lambda *p: beta(*p, False), [0.0625, 300.0, 2.5], 1),
        (stats.beta.logsf, lambda *p: beta(*p, True), [0.96875, 2.5, 250.0], 1),
        (stats.gamma.logpdf, lambda x, a: (a - 1) * mp.log(x) - x - mp.loggamma(a), [10100.0, 1e4], 2),
        (stats.gamma.logpdf, lambda x, a: (a - 1) * mp.log(x) - x - mp.loggamma(a), [1e5 + 1, 1e5], 2),
    ]
    for dtype, rtol in ((np.float64, 2e-13), (np.float32, 2e-5)):
        with pb.enable_x64(dtype is np.float64):
            for f, reference, point, count in rows:
                with mp.workdps(40):
                    value, slopes = (
                        reference(*map(mp.mpf, point)),
                        [
                            mp.diff(lambda v, i=i: reference(*map(mp.mpf, [*point[:i], v, *point[i + 1 :]])), point[i])
                            for i in range(count)
                        ],
                    )
                args = [dtype(v) for v in point]
                name = f"{f.__module__} {f.__name__} {point} {dtype.__name__}"
                np.testing.assert_allclose(f(*args), float(value), rtol=rtol, err_msg=name)
                got = pb.grad(f, tuple(range(count)))(*args)
                np.testing.assert_allclose(got, np.float64(slopes), rtol=300 * rtol, err_msg=name)


def test_operands() -> None:
    half = jnp.array([1, 2], ml_dtypes.bfloat16)
    assert stats.norm.logpdf(half).dtype == half.dtype
    assert stats.gamma.cdf(jnp.ones((2, 1)), jnp.ones(3, jnp.int32), scale=2).shape == (2, 3)
    assert stats.t.logpdf(1, df=2).dtype == np.float32
    assert stats.uniform.cdf(jnp.zeros((0, 3))).shape == (0, 3)
    with pytest.raises(TypeError, match="real numbers"):
        stats.norm.logpdf(1j)
    with pytest.raises(TypeError, match=r"norm.pdf requires ndarray.*list"):
        stats.norm.pdf([1.0])
    with pytest.raises(TypeError, match=r"t.pdf got incompatible shapes.*\(3,\), \(2,\)"):
        stats.t.pdf(jnp.ones(3), jnp.ones(2))
    with pytest.raises(TypeError, match="missing a required argument: 'p'"):
        stats.bernoulli.pmf(1)


def test_entropy_of_poisson() -> None:
    mu = np.float64([0.0, 1e-4, 0.5, 3, 17, 39.99, 40.01, 300])
    with pb.enable_x64(True):
        expected = np.array([float(scipy_stats.poisson.entropy(m)) if m else 0.0 for m in mu[:6]])
        np.testing.assert_allclose(stats.poisson.entropy(mu)[:6], expected, rtol=1e-9)
        both = stats.poisson.entropy(np.nextafter(40.0, [0.0, 41.0]))
        np.testing.assert_allclose(both[0], both[1], rtol=1e-14)


def test_vectors() -> None:
    rng = np.random.default_rng(0)
    x, mean, root = rng.normal(size=(5, 3)), rng.normal(size=3), rng.normal(size=(3, 3))
    cov, p, counts = root @ root.T, rng.dirichlet([1.0, 2, 3], 5), rng.multinomial(7, [0.2, 0.3, 0.5], 5)
    with pb.enable_x64(True):
        for got, expected in [
            (stats.multivariate_normal.logpdf(x, mean, cov), scipy_stats.multivariate_normal.logpdf(x, mean, cov)),
            (stats.multivariate_normal.pdf(x, mean, 2.0), scipy_stats.multivariate_normal.pdf(x, mean, 2.0)),
            (stats.dirichlet.logpdf(p.T, np.array([1, 2, 3])), scipy_stats.dirichlet.logpdf(p.T, [1, 2, 3])),
            (stats.dirichlet.pdf(p.T[:2], np.array([1, 2, 3])), scipy_stats.dirichlet.pdf(p.T, [1, 2, 3])),
            (
                stats.multinomial.logpmf(counts, 7, np.array([0.2, 0.3, 0.5])),
                scipy_stats.multinomial.logpmf(counts, 7, [0.2, 0.3, 0.5]),
            ),
        ]:
            np.testing.assert_allclose(got, expected, rtol=1e-12)
        assert stats.multinomial.pmf(np.array([1, 2]), 4, np.array([0.5, 0.5])) == 0
        pb.test_util.check_grads(stats.multivariate_normal.logpdf, (x, mean, cov), 2, ["fwd", "rev"], rtol=1e-5)
        pb.test_util.check_grads(stats.dirichlet.logpdf, (p.T[:2], np.array([1.5, 2, 3])), 1, ["rev"], rtol=1e-5)
    with pytest.raises(ValueError, match="integer types"):
        stats.multinomial.pmf(np.array([1.0, 2]), 3, np.array([0.5, 0.5]))
    with pytest.raises(ValueError, match="one fewer"):
        stats.dirichlet.pdf(np.ones(5), np.ones(3))
    with pytest.raises(ValueError, match=r"\(2, 2\)"):
        stats.multivariate_normal.pdf(np.ones(3), np.ones(3), np.eye(2))


def test_samples() -> None:
    a = np.array([[3.0, 1, 1, 2, 2, 5], [0, 0, 7, 7, 7, 1]])
    for axis in (0, 1, None, -1):
        for got, expected in zip(stats.mode(a, axis), scipy_stats.mode(a, axis)):
            np.testing.assert_array_equal(got, expected)
        for method in ("average", "min", "max", "dense", "ordinal"):
            expected = scipy_stats.rankdata(a, method, axis=axis)
            np.testing.assert_array_equal(stats.rankdata(a, method, axis=axis), expected)
        np.testing.assert_allclose(stats.sem(a, axis), scipy_stats.sem(a, axis), rtol=1e-6)
    a[0, 0] = np.nan
    np.testing.assert_allclose(stats.sem(a, 1, nan_policy="omit"), scipy_stats.sem(a, 1, nan_policy="omit"), rtol=1e-6)
    assert np.isnan(stats.rankdata(a, axis=1)).tolist() == [[True] * 6, [False] * 6]
    assert stats.mode(np.array([np.nan, np.nan, 1.0])).count == 2
    assert pb.jit(stats.rankdata)(np.array([3, 1, 3])).tolist() == [2.5, 1.0, 2.5]
    for error, call in [
        (ValueError, lambda: stats.rankdata(a, "best")),
        (ValueError, lambda: stats.rankdata(jnp.float32(1.0), axis=0)),
        (NotImplementedError, lambda: stats.mode(a, nan_policy="omit")),
        (ValueError, lambda: stats.sem(a, nan_policy="raise")),
        (ValueError, lambda: stats.mode(a, axis=2)),
    ]:
        with pytest.raises(error):
            call()


@pytest.mark.parametrize("d", [1, 2])
def test_gaussian_kde(d: int) -> None:
    rng = np.random.default_rng(1)
    data, points, weights = rng.normal(size=(d, 20)), rng.normal(size=(d, 4)), rng.uniform(0.5, 1, 20)
    with pb.enable_x64(True):
        for method, w in ((None, None), ("silverman", weights), (0.3, None)):
            ours, theirs = stats.gaussian_kde(data, method, w), scipy_stats.gaussian_kde(data, method, w)
            other = stats.gaussian_kde(data[:, :9] + 1), scipy_stats.gaussian_kde(data[:, :9] + 1)
            for got, expected in [
                (ours(points), theirs(points)),
                (ours.logpdf(points), theirs.logpdf(points)),
                (ours.covariance, theirs.covariance),
                (ours.inv_cov, theirs.inv_cov),
                (ours.integrate_kde(other[0]), theirs.integrate_kde(other[1])),
                (
                    ours.integrate_gaussian(np.zeros(d), np.eye(d)),
                    theirs.integrate_gaussian(np.zeros(d), np.eye(d)),
                ),
            ]:
                np.testing.assert_allclose(got, expected, rtol=1e-10)
            if d == 1:
                np.testing.assert_allclose(ours.integrate_box_1d(-1, 2), theirs.integrate_box_1d(-1, 2), rtol=1e-12)
        assert pb.jit(lambda kde, x: kde.pdf(x))(ours, points).shape == (4,)
        slope = pb.grad(lambda data: stats.gaussian_kde(data).logpdf(points).sum())(jnp.asarray(data))
        assert slope.shape == data.shape and np.isfinite(slope).all()
        drawn = ours.resample(pb.random.key(0), (2000,))
        assert drawn.shape == (d, 2000)
        np.testing.assert_allclose(np.cov(drawn), np.cov(data) + np.asarray(ours.covariance), atol=0.15)
    with pytest.raises(ValueError, match="dimensions"):
        ours.evaluate(np.ones((3, 4)))
    with pytest.raises(NotImplementedError):
        ours.set_bandwidth(1.0)
