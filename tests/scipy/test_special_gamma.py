"""The gamma family, normal probabilities and entropies of `scipy.special`: against SciPy and mpmath, in both modes."""

from __future__ import annotations

import ml_dtypes
import mpmath as mp
import numpy as np
import pytest
from scipy import special as scipy_special

import pullback as pb
import pullback.numpy as jnp
from pullback.scipy import special

P, Q = np.float64([0.3, 0.5, 1.7, 4.0, 12.5]), np.float64([0.4, 0.5, 2.5, 0.7, 11.0])
UNIT = np.float64([1e-12, 0.02, 0.4, 0.5, 0.97])
#: Name, arguments, and the arguments by which there are derivatives.
CASES = [
    ("gamma", (np.append(P, -1.3),), (0,)), ("gammaln", (P,), (0,)), ("digamma", (P,), (0,)), ("gammasgn", (-P,), ()),
    ("gammainc", (P, Q), (0, 1)), ("gammaincc", (P, Q), (0, 1)), ("beta", (P, Q), (0, 1)), ("betaln", (P, Q), (0, 1)),
    ("betainc", (P, Q, UNIT), (0, 1, 2)), ("poch", (P, Q), (0, 1)), ("comb", (P + 12, Q), (0, 1)), ("factorial", (P,), (0,)),
    ("ndtr", (P - 2,), (0,)), ("ndtri", (UNIT,), (0,)), ("log_ndtr", (4 - 3 * P,), (0,)), ("logit", (UNIT,), (0,)),
    ("expit", (P,), (0,)), ("entr", (P,), (0,)), ("rel_entr", (P, Q), (0, 1)), ("kl_div", (P, Q), (0, 1)),
    ("xlogy", (P, Q), (0, 1)), ("xlog1py", (P, Q), (0, 1)), ("boxcox", (P, Q), (0, 1)), ("boxcox1p", (P, Q), (0, 1)),
    ("zeta", (P + 1.5, Q), (0, 1)),
]  # fmt: skip


def test_values_and_derivatives_in_both_modes():
    """Eager values are SciPy's; compiled ones and derivatives agree, these with differences of 1e-6.

    The incomplete functions, which are slow to compile, are compared in both modes by the conformance table.
    """
    h = 1e-6
    slow = ("gammainc", "gammaincc", "betainc")
    with pb.enable_x64(True):

        def everything(cases):
            out = []
            for (name, _, active), args in cases:
                f = getattr(special, name)
                by = [
                    pb.jvp(lambda x: f(*args[:i], x, *args[i + 1 :]), (args[i],), (jnp.ones_like(args[i]),))[1]
                    for i in active
                ]
                out.append([f(*args), *by])
            return out

        arguments = [tuple(map(jnp.asarray, args)) for _, args, _ in CASES]
        cases = list(zip(CASES, arguments))
        eager = everything(cases)
        quick = [i for i, case in enumerate(CASES) if case[0] not in slow]
        program = pb.jit(lambda arguments: everything([(CASES[i], args) for i, args in zip(quick, arguments)]))
        compiled = dict(zip(quick, program([arguments[i] for i in quick])))
        for i, ((name, args, active), (value, *slopes)) in enumerate(zip(CASES, eager)):
            expected = getattr(scipy_special, name)
            np.testing.assert_allclose(value, expected(*args), rtol=1e-13, err_msg=name)
            for got, from_compiled in zip([value, *slopes], compiled.get(i, [])):
                np.testing.assert_allclose(from_compiled, got, rtol=1e-11, atol=1e-14, err_msg=name)
            for j, slope in zip(active, slopes):
                step = h * np.abs(args[j])
                up, down = (expected(*args[:j], args[j] + s * step, *args[j + 1 :]) for s in (1, -1))
                np.testing.assert_allclose(
                    slope, (up - down) / (2 * step), rtol=1e-6, atol=1e-7, err_msg=f"{name} by {j}"
                )


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32])
def test_dtypes_are_kept(dtype):
    for name, args, _ in CASES:
        out = getattr(special, name)(*(jnp.asarray(a[1:2], dtype) for a in args))
        assert out.dtype == dtype, name
        out = getattr(special, name)(*(jnp.zeros((0, 3), dtype) for _ in args))
        assert (out.dtype, out.shape) == (dtype, (0, 3)), name


def test_integers_and_weak_types():
    floats = ("ndtr", "ndtri", "log_ndtr")  # which take no integers
    strong = {"gamma", "gammasgn", "beta", "poch"}
    for name, args, _ in CASES:
        f = getattr(special, name)
        if name in floats:
            with pytest.raises(TypeError, match=name):
                f(1)
            continue
        out = f(*[1] * len(args))
        assert (out.dtype, out.weak_type) == (np.float32, name not in strong), name
        assert f(*[np.int8([1])] * len(args)).dtype == np.float32
        if name not in ("expit", "xlogy", "xlog1py"):
            with pytest.raises((TypeError, ValueError), match="complex"):
                f(*[1j] * len(args))


def test_edges_of_compiled_values_are_scipys():
    edges = np.float64([0.0, -0.0, 1e-300, 0.25, 1.0, 3.0, 40.0, 200.0, -0.5, -1.0, -7.3, np.inf, -np.inf, np.nan])
    names = ["gamma", "gammasgn", "ndtr", "log_ndtr", "ndtri", "entr", "logit"]
    with pb.enable_x64(True), np.errstate(all="ignore"):
        for name, got in zip(names, pb.jit(lambda x: [getattr(special, n)(x) for n in names])(edges)):
            np.testing.assert_allclose(got, getattr(scipy_special, name)(edges), rtol=1e-13, err_msg=name)


def test_gamma_is_exact_compiled():
    x = np.float64([0.1, 0.5, 1.0, 2.5, 7.25, 12.9, 20.5, 100.5, 171.0, -0.5, -3.75, -20.25])
    with pb.enable_x64(True), mp.workdps(30):
        np.testing.assert_allclose(pb.jit(special.gamma)(x), [float(mp.gamma(float(v))) for v in x], rtol=1e-13)


def test_the_logarithm_of_a_tiny_probability():
    x = np.float64([-1e10, -1000.0, -40.0, -7.0, -1.0, 0.0, 3.0, 9.0])
    with pb.enable_x64(True), mp.workdps(60):
        exact = [float(mp.log(mp.erfc(-mp.mpf(float(v)) / mp.sqrt(2)) / 2)) if v > -1e9 else -(v**2) / 2 for v in x]
        np.testing.assert_allclose(special.log_ndtr(x), exact, rtol=1e-14)
        np.testing.assert_allclose(pb.jit(special.log_ndtr)(x), exact, rtol=1e-14)
        slopes = pb.vmap(pb.grad(special.log_ndtr))(jnp.asarray(x[1:]))
    with mp.workdps(60):
        exact = [float(mp.npdf(float(v)) / (mp.erfc(-mp.mpf(float(v)) / mp.sqrt(2)) / 2)) for v in x[1:]]
    np.testing.assert_allclose(slopes, exact, rtol=1e-13)


def test_second_derivatives_of_the_logarithm_of_a_probability_near_one():
    """Hessians of probit models: also where the density, or what it is divided by, is 0 or infinite."""
    x = [-1e4, -300.0, -40.0, -6.0, -0.5, 0.0, 0.5, 5.0, 13.0, 13.5, 20.0, 37.0, 38.5, 40.0, 1e4, 1e30, np.inf]

    def slope(v):  # of φ/Φ, which is -λ (v + λ)
        if mp.isinf(v):
            return mp.mpf(0)
        rate = mp.npdf(v) / (mp.ncdf(v) if v > -200 else mp.mpf(1))
        if v <= -200:  # Φ(-v) = φ(v)/(v + 1/(v + 2/(v + ...)))
            fraction = -v
            for k in range(60, 0, -1):
                fraction = -v + k / fraction
            rate = fraction
        return -rate * (v + rate)

    with mp.workdps(80):
        expected = np.array([float(slope(mp.mpf(v))) for v in x])
    for dtype, rtol in ((np.float64, 1e-12), (np.float32, 2e-4)):
        with pb.enable_x64(dtype is np.float64):
            second = pb.vmap(pb.grad(pb.grad(special.log_ndtr)))
            third = pb.vmap(pb.grad(pb.grad(pb.grad(special.log_ndtr))))
            for f in (second, pb.jit(second)):
                np.testing.assert_allclose(f(jnp.asarray(x, dtype)), expected, rtol=rtol, atol=1e-30)
            assert np.isfinite(third(jnp.asarray(x[2:], dtype))).all()


def test_sums_of_exponentials():
    x = np.float32([[1.0, 2.0, 3.0], [1000.0, 0.0, 0.0]])
    np.testing.assert_allclose(special.logsumexp(x, axis=1), scipy_special.logsumexp(x, axis=1), rtol=1e-6)
    np.testing.assert_allclose(special.softmax(x, axis=1), scipy_special.softmax(x, axis=1), rtol=1e-6)
    np.testing.assert_allclose(special.softmax(x), scipy_special.softmax(x), rtol=1e-6)
    np.testing.assert_allclose(special.log_softmax(x, axis=-1), scipy_special.log_softmax(x, axis=-1), rtol=1e-6)


def test_what_takes_known_integers():
    np.testing.assert_allclose(special.bernoulli(12), scipy_special.bernoulli(12), rtol=1e-6)
    assert special.bernoulli(0).tolist() == [1.0]
    np.testing.assert_allclose(special.multigammaln(P + 3, 4), scipy_special.multigammaln(P + 3, 4), rtol=1e-6)
    np.testing.assert_allclose(
        special.polygamma(np.arange(4), 1.5), scipy_special.polygamma(np.arange(4), 1.5), rtol=1e-6
    )
    np.testing.assert_allclose(special.comb(np.arange(6), 2, repetition=True), [0, 1, 3, 6, 10, 15], rtol=1e-6)
    assert special.comb(np.float32([-1, 5, 2]), np.float32([2, -1, 3])).tolist() == [0, 0, 0]
    for call, error in (
        (lambda: special.bernoulli(-1), ValueError), (lambda: special.bernoulli(2.0), TypeError),
        (lambda: special.polygamma(1.5, 1.0), ValueError), (lambda: special.zeta(2.0), NotImplementedError),
        (lambda: special.factorial(3, exact=True), NotImplementedError), (lambda: special.log_ndtr(1.0, 31), ValueError),
        (lambda: special.log_ndtr(1.0, 2.5), TypeError),
    ):  # fmt: skip
        with pytest.raises(error):
            call()


@pytest.mark.parametrize("mode", [lambda f: f, pb.jit])
@pytest.mark.parametrize(("n", "k"), [(2.0, 3.0), (-1.0, 2.0), (3.0, -1.0)])
def test_comb_where_it_is_0_has_the_derivative_0(mode, n, k):
    assert mode(special.comb)(n, k) == 0
    assert [float(g) for g in mode(pb.grad(special.comb, (0, 1)))(n, k)] == [0.0, 0.0]
