"""Values of `lax.special` against references of 30 digits, and the edges. Derivatives are the conformance table's."""

from __future__ import annotations

import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

from pullback.core.array import as_array
from pullback.core.config import enable_x64
from pullback.lax import special as lax
from pullback.transforms.derivatives import grad
from pullback.transforms.jit import jit
from pullback.transforms.jvp import jvp

NAN, INF = np.nan, np.inf

# Computed with mpmath 1.4 at 30 digits.
REFERENCES = [
    ("erf", (0.5,), 0.520499877813046538), ("erfc", (3.0,), 0.0000220904969985854414),
    ("erf_inv", (-0.9,), -1.16308715367667416), ("lgamma", (-2.5,), -0.0562437164976740507),
    ("lgamma", (300.0,), 1409.20206747041179), ("digamma", (0.25,), -4.22745353337626541),
    ("polygamma", (1.0, 0.3), 12.2453645461077313), ("polygamma", (3.0, 2.5), 0.223905848817252051),
    ("bessel_i0e", (2.0,), 0.30850832255367104), ("bessel_i1e", (-2.0,), -0.215269289248937659),
]  # fmt: skip


def test_references_are_what_mpmath_says():
    mp = pytest.importorskip("mpmath")
    functions = {
        "erf": mp.erf, "erfc": mp.erfc, "erf_inv": mp.erfinv, "lgamma": lambda x: mp.log(abs(mp.gamma(x))),
        "digamma": mp.digamma, "polygamma": lambda m, x: mp.polygamma(int(m), x),
        "bessel_i0e": lambda x: mp.besseli(0, x) * mp.exp(-abs(x)), "bessel_i1e": lambda x: mp.besseli(1, x) * mp.exp(-abs(x)),
    }  # fmt: skip
    with mp.workdps(30):
        for name, args, value in REFERENCES:
            assert float(functions[name](*map(mp.mpf, args))) == pytest.approx(value, rel=1e-14), (name, args)


@pytest.mark.parametrize("name, args, value", REFERENCES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
def test_values(name, args, value, dtype):
    with enable_x64(True):
        out = getattr(lax, name)(*(as_array(np.asarray(a, dtype)) for a in args))
    assert out.dtype == dtype
    eps = float(ml_dtypes.finfo(dtype).eps)
    # The arguments themselves are rounded to the dtype, which moves values by some units of it.
    assert float(out) == pytest.approx(value, rel=40 * eps)


def test_derivative_of_the_incomplete_gamma_function_by_its_shape():
    mp = pytest.importorskip("mpmath")
    points = [
        (0.01, 0.001),
        (0.5, 3.0),
        (2.0, 2.9),
        (2.0, 3.1),
        (30.0, 31.0),
        (100.0, 130.0),
        (3.0, 1e-10),
        (50.0, 1.0),
    ]
    with enable_x64(True):
        a, x = (as_array(np.array(v)) for v in zip(*points))
        got, sample = lax.igamma_grad_a(a, x), lax.random_gamma_grad(a, x)
    with mp.workdps(40):
        for i, (p, q) in enumerate(points):
            p, q = mp.mpf(p), mp.mpf(q)
            exact = mp.diff(lambda t, q=q: mp.gammainc(t, 0, q, regularized=True), p, h=mp.mpf(10) ** -12)
            density = q ** (p - 1) * mp.exp(-q) / mp.gamma(p)
            assert float(got[i]) == pytest.approx(float(exact), rel=1e-12)
            assert float(sample[i]) == pytest.approx(float(-exact / density), rel=1e-13)


def test_shape_derivatives_at_large_shapes_converge():
    with enable_x64(True):
        a = as_array(np.array([1e5, 1e6]))
        # ∂P/∂a ≈ -density for large a near x = a.
        np.testing.assert_allclose(lax.igamma_grad_a(a, a), -1 / np.sqrt(2 * np.pi * np.asarray(a)), rtol=1e-4)


@pytest.mark.parametrize(
    "name, args, value",
    [
        ("lgamma", (-1.0,), INF), ("lgamma", (0.0,), INF), ("lgamma", (INF,), INF), ("digamma", (0.0,), NAN),
        ("digamma", (-3.0,), NAN), ("digamma", (INF,), INF), ("erf_inv", (1.0,), INF), ("erf_inv", (-1.0,), -INF),
        ("erf_inv", (1.5,), NAN), ("polygamma", (1.0, 0.0), INF), ("polygamma", (2.0, 0.0), NAN),
        ("polygamma", (0.5, 1.0), NAN), ("zeta", (1.0, 2.0), INF), ("zeta", (2.0, 0.0), INF), ("zeta", (3.0, -1.0), NAN),
        ("zeta", (NAN, 0.0), NAN), ("igamma", (2.0, 0.0), 0.0), ("igamma", (2.0, INF), 1.0), ("igamma", (-1.0, 1.0), NAN),
        ("igammac", (2.0, INF), 0.0), ("igamma_grad_a", (2.0, 0.0), 0.0), ("igamma_grad_a", (2.0, INF), 0.0),
        ("igamma_grad_a", (0.0, 1.0), NAN), ("random_gamma_grad", (2.0, 0.0), 0.0), ("betainc", (2.0, 3.0, 1.0), 1.0),
        ("betainc", (2.0, 3.0, 1.5), NAN), ("bessel_i0e", (INF,), 0.0), ("erf", (NAN,), NAN),
    ],
)  # fmt: skip
def test_edges(name, args, value):
    np.testing.assert_equal(float(getattr(lax, name)(*args)), value)


def test_bessel_derivative_at_zero():
    assert float(grad(lax.bessel_i1e)(0.0)) == 0.5
    assert float(grad(lax.bessel_i0e)(0.0)) == 0.0


def test_derivatives_that_do_not_exist_say_so():
    with pytest.raises(NotImplementedError, match="polygamma has no derivative with respect to its order"):
        jvp(lambda v: lax.polygamma(v, 2.0), (1.5,), (1.0,))


#: The derivatives of I_x(a, b), of mpmath 1.4 with 60 digits: a, b, x, ∂a, ∂b, ∂a², ∂a∂b, ∂b².
INCOMPLETE_BETA_BY = [
    (
        0.001,
        0.001,
        0.9,
        -249.45241767547648,
        250.5471980615787,
        249450.8889408977,
        547.3924124334801,
        -250549.49510269877,
    ),
    (
        0.001,
        1000.0,
        3.260692866743303e-05,
        -2.872122571300258,
        9.656643640168568e-07,
        6.699533396430752,
        0.0009629135166213949,
        -9.966685061357743e-10,
    ),
    (
        3.25,
        9.5,
        0.001,
        -2.6144164386388315e-07,
        1.4028234535706613e-08,
        1.4889358695862826e-06,
        -7.661927267050296e-08,
        2.968331248540474e-09,
    ),
    (
        9.5,
        9.5,
        0.3,
        -0.022746914604950326,
        0.015041937423812182,
        0.012917538887713935,
        -0.007707373544996684,
        0.0042555301200436196,
    ),
    (
        17.0,
        120.0,
        0.12408759124087591,
        -0.09121524440072623,
        0.012813812594103293,
        0.0006972181917512419,
        0.0002868112058495161,
        -9.389859865990159e-05,
    ),
    (
        1000.0,
        0.001,
        0.9999990463256836,
        -9.931903405741147e-07,
        6.340482908334011,
        9.93640015182199e-10,
        -0.0009868531746613973,
        -38.82983426871251,
    ),
    (
        10000.0,
        10000.0,
        0.4964645544791005,
        -0.0017171263708991536,
        0.001705027532218613,
        1.2270653579353787e-05,
        -1.2098939516295383e-05,
        1.1928435337104525e-05,
    ),
    (
        1000.0,
        120.0,
        0.8836193165111521,
        -0.0025786327855326393,
        0.020530664064934808,
        2.9122135064000288e-05,
        -0.0002217201813814697,
        0.0016805436218524795,
    ),
    (
        120.0,
        1.0,
        0.9999990463256836,
        -9.53565637930369e-07,
        0.0010864522918196254,
        9.093914915334577e-13,
        8.103620507851832e-06,
        -0.010242040964916583,
    ),
    (
        3.25,
        10000.0,
        0.001,
        -0.005516837914753289,
        3.1535216241037286e-06,
        -0.006320098478938065,
        4.054858538081518e-06,
        -2.44563688876664e-09,
    ),
    (
        10000.0,
        0.5,
        0.999950002499875,
        -2.4197677361081368e-05,
        0.6472036227264731,
        2.4197677351003533e-09,
        -3.0737410538589574e-05,
        -0.15592394606504603,
    ),
]


@pytest.mark.parametrize("compiled", [False, True])
def test_derivatives_of_the_incomplete_beta_function_by_its_parameters(compiled):
    a, b, x, *exact = np.array(INCOMPLETE_BETA_BY).T
    orders = [(1, 0), (0, 1), (2, 0), (1, 1), (0, 2)][: 1 if compiled else 5]

    def all_of(a, b, x):
        return [lax.incomplete_beta_by_p.bind(a, b, x, orders=n) for n in orders]

    with enable_x64(True):
        for n, got, want in zip(orders, (jit(all_of) if compiled else all_of)(*map(as_array, (a, b, x))), exact):
            np.testing.assert_allclose(got, want, rtol=5e-13 if sum(n) == 1 else 1e-10, err_msg=str(n))
        got = all_of(*map(as_array, (a[:1], b[:1], np.zeros(1))))[0]
    assert got.tolist() == [0.0]


def test_second_derivatives_of_incomplete_gamma_functions_by_the_shape():
    # Differences of mpmath's functions with 60 digits: ∂²P/∂a², and the derivative by a of the sample's, at fixed x.
    rows = [
        (0.01, 0.001, 36.30008774742207, -63.37991505696019),
        (0.5, 3.0, -0.08598986897368568, -3.6174615508983186),
        (2.0, 2.9, -0.07605278036873711, -0.358533472356601),
        (2.0, 3.1, -0.08170388456140146, -0.3659790599404127),
        (30.0, 31.0, -0.0023176822620203036, -0.017132110454750105),
        (100.0, 130.0, -0.00021271959135303796, -0.005463948582253084),
        (150.0, 148.0, 0.0004348968184397911, -0.0033294850046984748),
        (3.0, 1e-10, 9.82216960021177e-29, -2.6033888591352875e-10),
        (0.25, 40.0, -3.317198191011208e-18, -16.70053553058571),
    ]
    a, x, *exact = np.array(rows).T
    with enable_x64(True):
        a, x = as_array(a), as_array(x)
        for f, want in zip((lax.igamma_grad_a_p, lax.random_gamma_grad_p), exact):
            np.testing.assert_allclose(f.bind(a, x, order=1), want, rtol=2e-12)


def test_derivatives_of_zeta_by_its_exponent():
    # mpmath's zeta(s, q, n)
    points = [
        (1.0078125, 0.25, -16378.421599420673, 4194311.763449326),
        (1.5, 1.0, -3.9322397374311016, 15.989556371225687),
        (2.0, 3.5, -0.6976946108012969, 1.8010096068217254),
        (7.25, 0.015625, 51734650894357.52, 215158364428061.9),
        (20.0, 100.0, -2.689319353746716e-39, 1.2514873288767668e-38),
        (3.0, 5000.0, -1.8037793587463431e-07, 1.6314856580916867e-06),
        (60.0, 1.5, -1.1027522283555962e-11, 4.471275514867832e-12),
    ]
    s, q, *exact = np.array(points).T
    with enable_x64(True):
        by = lambda n: lambda s, q: lax.zeta_by_exponent_p.bind(s, q, order=n)
        for f in (lambda s, q: [by(n)(s, q) for n in (1, 2)], jit(lambda s, q: [by(n)(s, q) for n in (1, 2)])):
            np.testing.assert_allclose(f(as_array(s), as_array(q)), exact, rtol=2e-13)
        np.testing.assert_allclose(
            jvp(lambda s: lax.zeta(s, as_array(q)), (as_array(s),), (np.ones(len(s)),))[1], exact[0], rtol=2e-13
        )
        edges = by(1)(*map(as_array, (np.array([1.0, 2.0, 0.5, 3.0]), np.array([2.0, INF, 2.0, -0.5]))))
    np.testing.assert_equal(np.asarray(edges), [-INF, 0.0, NAN, NAN])


def test_errors():
    with pytest.raises(TypeError, match="erf does not accept dtype int32"):
        lax.erf(1)
    with pytest.raises(TypeError, match="same dtypes, got float32, int32"):
        lax.igamma(1.0, 2)
    with pytest.raises(TypeError, match="shapes"):
        lax.betainc(as_array(np.ones(2, np.float32)), as_array(np.ones(3, np.float32)), 0.5)


def test_scipy_is_imported_on_first_use():
    program = "import sys, pullback.lax.special as s; assert 'scipy' not in sys.modules; s.erf(1.0); assert 'scipy.special' in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": ":".join(sys.path)})


# ---- what compiled programs compute by formulas of their own ------------------------------------------------------

#: (a, x, P, Q) and (a, b, x, I), computed with mpmath at 40 digits.
INCOMPLETE_GAMMA = [
    (1e-8, 0.5, 0.999999994402264023, 5.5977359770995871e-9), (0.3, 1.2, 0.936605280430740895, 0.0633947195692591048),
    (5, 4.9, 0.541788131772204669, 0.458211868227795331), (5, 30, 0.999999996375699048, 3.62430095206148803e-9),
    (99.5, 60, 1.92805775819175589e-6, 0.999998071942241808), (150, 148, 0.44560252919877416, 0.55439747080122584),
    (150, 300, 1.0, 3.29083661361717474e-22), (1e6, 1.003e6, 0.998638259353782409, 0.00136174064621759148),
    (1e9, 999800000.0, 1.26643791701821697e-10, 0.999999999873356208),
]  # fmt: skip
INCOMPLETE_BETA = [
    (3, 3, 0.3, 0.163079999999999985), (100, 100, 0.3, 1.84111411158005296e-9),
    (590.5, 26.25, 0.5, 2.1401639690995145e-141), (0.5, 1e4, 1e-4, 0.84270598223667137),
    (1e4, 0.01, 0.9999, 0.00221623276709168808), (8885149.75, 18.9375, 0.9999971454813228, 0.0791078835044331642),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_compiled_incomplete_functions(dtype):
    tol = 1e-12 if dtype == np.float64 else 1e-6
    # In float32 the arguments are rounded, which moves values of large parameters: those are compared in float64 alone.
    gammas = [row for row in INCOMPLETE_GAMMA if dtype == np.float64 or all(float(np.float32(v)) == v for v in row[:2])]
    betas = [row for row in INCOMPLETE_BETA if dtype == np.float64 or all(float(np.float32(v)) == v for v in row[:3])]
    assert len(gammas) >= 5 and len(betas) >= 1
    with enable_x64(True):
        a, x, p, q = np.array(gammas).T
        a, x = a.astype(dtype), x.astype(dtype)
        for function, expected in ((lax.igamma, p), (lax.igammac, q)):
            out = jit(function)(a, x)
            assert out.dtype == dtype
            np.testing.assert_allclose(out, expected, rtol=tol)
        a, b, x, i = np.array(betas).T
        out = jit(lax.betainc)(a.astype(dtype), b.astype(dtype), x.astype(dtype))
        np.testing.assert_allclose(out, i.astype(dtype), rtol=tol)


def test_compiled_elements_do_not_wait_for_each_other():
    # One element needs thousands of terms, of which the others must not feel the rounding.
    with enable_x64(True):
        a = np.array([3.0, 1e7])
        np.testing.assert_allclose(
            jit(lax.betainc)(a, a, np.array([0.3, 0.5])), [0.163079999999999985, 0.5], rtol=1e-13
        )


GRID = np.array([0.0, 1e-300, 1e-20, 0.3, 1.0, 40.0, 99.0, 101.0, 1e4, 1e10, 1e300, INF, -INF, -1.0, NAN])


@pytest.mark.parametrize("name", ["igamma", "igammac", "igamma_grad_a", "random_gamma_grad"])
def test_compiled_incomplete_gamma_functions_at_the_edges(name):
    function = getattr(lax, name)
    a, x = (v.ravel() for v in np.meshgrid(GRID, GRID))
    with enable_x64(True), np.errstate(all="ignore"):
        np.testing.assert_allclose(jit(function)(a, x), function(a, x), rtol=1e-11, atol=1e-290)


def test_compiled_incomplete_beta_function_at_the_edges():
    edges = np.array([0.0, 1e-20, 0.5, 3.0, 100.0, INF, -1.0, NAN])
    a, b, x = (v.ravel() for v in np.meshgrid(edges, edges, [0.0, 1e-10, 0.3, 0.999, 1.0, -0.1, 2.0, INF, NAN]))
    with enable_x64(True), np.errstate(all="ignore"):
        np.testing.assert_allclose(jit(lax.betainc)(a, b, x), lax.betainc(a, b, x), rtol=1e-11)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_compiled_bessel_i0e(dtype):
    special = pytest.importorskip("scipy.special")
    x = np.concatenate([10 ** np.linspace(-6, 30, 300), [0.0, -0.0, 7.999, 8.0, 8.001, -3.0, INF, -INF, NAN]])
    with enable_x64(True):
        out = jit(lax.bessel_i0e)(x.astype(dtype))
    np.testing.assert_allclose(out, special.i0e(x.astype(dtype)), rtol=8 * np.finfo(dtype).eps)


def test_derivative_of_large_gamma_numbers():
    # By Temme's expansion, where the series would take millions of terms; by Cornish and Fisher's, it is 1 + 1/(6 a) at x = a.
    with enable_x64(True):
        a = np.array([1e3, 1e8, 1e14])
        np.testing.assert_allclose(lax.random_gamma_grad(a, a), 1 + 1 / (6 * a), rtol=1e-6)
        np.testing.assert_allclose(jit(lax.random_gamma_grad)(a, a), lax.random_gamma_grad(a, a), rtol=1e-14)


def test_nothing_of_this_is_evaluated_on_the_host():
    x = np.float32([0.5, 2.0])
    for function, count in (
        (lax.igamma, 2), (lax.igammac, 2), (lax.igamma_grad_a, 2), (lax.random_gamma_grad, 2), (lax.betainc, 3),
        (lax.bessel_i0e, 1), (lax.bessel_i1e, 1),
    ):  # fmt: skip
        assert "custom_call" not in jit(function).lower(*[x] * count).as_text()


def test_incomplete_beta_of_float32_is_right_to_the_last_digits() -> None:
    # mpmath 1.4 at 30 digits, of the float32 arguments.
    a, b = np.float32([139.27118, 57.392815, 2.5]), np.float32([30.583467, 24.387854, 3.5])
    x = np.float32([0.4587958, 0.11270773, 0.3])
    want = [1.0116115758837688e-22, 3.13255987198780161e-36, 0.296753011108190463]
    for f in (lax.betainc, jit(lax.betainc)):
        np.testing.assert_allclose(f(a, b, x), want, rtol=3e-7)


def test_compiled_log_gamma_and_digamma_know_their_zeros_and_poles():
    import mpmath as mp

    distance = 10.0 ** np.arange(-14, -1)
    beside_poles = np.array([-k + s for k in (0, 1, 9, 40) for s in (2.0**-20, -(2.0**-14))])
    # float32 numbers next to zeros between poles: of lgamma, and of digamma.
    between = np.float32([-2.4570248, -2.7476826, -3.9552944, -0.50408304, -1.5734985])
    trigamma = lambda x: lax.trigamma_p.bind(as_array(x))
    for name, function, exact, zeros in (
        ("lgamma", lax.lgamma, lambda x: mp.log(abs(mp.gamma(x))), np.concatenate([1 + distance, 2 - distance])),
        ("digamma", lax.digamma, mp.digamma, 1.4616321449683622 + distance),
        ("trigamma", trigamma, lambda x: mp.polygamma(1, x), []),
    ):
        # Beside poles lgamma is the difference of two logarithms, which may be of one size.
        beside = 16 if name == "lgamma" else 4.5
        with enable_x64(True), mp.workdps(40):
            for points, bound in ((np.array(zeros), 4.5), (beside_poles, beside), (between, 1)):
                for x, out in zip(points, np.asarray(jit(function)(points)), strict=True):
                    expected = exact(mp.mpf(float(x)))
                    error = abs(mp.mpf(float(out)) - expected) / np.spacing(abs(x.dtype.type(float(expected))))
                    assert error < bound, (name, x, float(error))
