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
    for function, name in (
        (lambda v: lax.betainc(v, 2.0, 0.5), "betainc has no derivative with respect to a"),
        (lambda v: lax.betainc(2.0, v, 0.5), "betainc has no derivative with respect to b"),
        (lambda v: lax.polygamma(v, 2.0), "polygamma has no derivative with respect to its order"),
        (lambda v: lax.zeta(v, 2.0), "zeta has no derivative with respect to its exponent"),
        (grad(lambda a: lax.igamma(a, 2.0)), "igamma_grad_a has no derivative with respect to a"),
    ):
        with pytest.raises(NotImplementedError, match=name):
            jvp(function, (1.5,), (1.0,))


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
