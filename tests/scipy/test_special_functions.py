"""The harder special functions: values against mpmath and SciPy, eager against compiled, derivatives against mpmath."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import mpmath as mp
import numpy as np
import pytest
from scipy import special as scipy_special

import pullback as pb
import pullback.numpy as jnp
from pullback.scipy import special

POSITIVE = np.float64([1e-3, 0.25, 0.5, 1.0, 1.5, 2.5, 4.0, 7.5, 13.0, 40.0])
REAL = np.concatenate([-POSITIVE[:-1], POSITIVE])
UNIT = np.float64([-0.9999, -0.5, -1e-3, 1e-5, 0.3, 0.75, 0.98, 0.9999999])


def dawson(x: Any) -> Any:
    return mp.sqrt(mp.pi) / 2 * mp.exp(-x * x) * mp.erfi(x)


#: Name, what picks the result, mpmath's function, points, and the greatest relative error of eager and compiled values: SciPy's
#: own is larger than a rounding error for some.
UNARY: list[tuple[str, Callable[..., Any], Callable[..., Any], np.ndarray, float]] = [
    ("erf", special.erf, mp.erf, REAL, 1e-15),
    ("erfc", special.erfc, mp.erfc, REAL[REAL < 20], 2e-15),
    ("erfcx", special.erfcx, lambda x: mp.exp(x * x) * mp.erfc(x), REAL[REAL > -9], 2e-15),
    ("erfinv", special.erfinv, mp.erfinv, UNIT, 2e-15),
    ("erfcinv", special.erfcinv, lambda y: mp.erfinv(1 - y), 1 + UNIT, 2e-15),
    ("dawsn", special.dawsn, dawson, REAL, 2e-14),
    ("i0", special.i0, lambda x: mp.besseli(0, x), REAL, 2e-15),
    ("i1", special.i1, lambda x: mp.besseli(1, x), REAL, 2e-15),
    ("i0e", special.i0e, lambda x: mp.besseli(0, x) * mp.exp(-abs(x)), REAL, 2e-15),
    ("i1e", special.i1e, lambda x: mp.besseli(1, x) * mp.exp(-abs(x)), REAL, 2e-15),
    ("exp1", special.exp1, mp.e1, POSITIVE, 2e-15),
    ("expi", special.expi, mp.ei, REAL, 4e-15),
    ("fresnel 0", lambda x: special.fresnel(x)[0], mp.fresnels, REAL, 4e-15),
    ("fresnel 1", lambda x: special.fresnel(x)[1], mp.fresnelc, REAL, 4e-15),
    ("sici 0", lambda x: special.sici(x)[0], mp.si, REAL, 4e-15),
    ("sici 1", lambda x: special.sici(x)[1], mp.ci, POSITIVE, 4e-15),
    ("spence", special.spence, lambda x: mp.re(mp.polylog(2, 1 - x)), POSITIVE[POSITIVE != 1], 4e-15),
]
NAMES = [row[0] for row in UNARY]


def exact(function: Callable[..., Any], *args: Any) -> np.ndarray:
    with mp.workdps(50):
        values = [function(*(mp.mpf(float(v)) for v in point)) for point in np.broadcast(*args)]
        return np.array([complex(v) if isinstance(v, mp.mpc) else float(v) for v in values])


def derivative(function: Callable[..., Any], x: Any, order: int = 1) -> np.ndarray:
    return exact(lambda v: mp.diff(function, v, order), x)


@pytest.fixture(scope="module")
def compiled() -> dict[str, Any]:
    """Values and first derivatives of all functions of one argument, in both precisions, by one program."""

    def everything(points: dict[str, Any]) -> dict[str, Any]:
        return {name: pb.jvp(f, (points[name],), (jnp.ones_like(points[name]),)) for name, f, *_ in UNARY}

    with pb.enable_x64(True):
        program = pb.jit(everything)
        return {
            dtype: pb.tree.map(np.asarray, program({name: x.astype(dtype) for name, _, _, x, _ in UNARY}))
            for dtype in ("float32", "float64")
        }


@pytest.mark.parametrize("row", UNARY, ids=NAMES)
def test_values(row: Any, compiled: dict[str, Any]) -> None:
    name, f, reference, x, rtol = row
    with pb.enable_x64(True):
        np.testing.assert_allclose(f(x), exact(reference, x), rtol)
        np.testing.assert_allclose(compiled["float64"][name][0], exact(reference, x), rtol)
        single = x.astype(np.float32)
        for got in (f(single), compiled["float32"][name][0]):
            assert got.dtype == np.float32
            np.testing.assert_allclose(got, exact(reference, single).astype(np.float32), 5e-7)


@pytest.mark.parametrize("row", UNARY, ids=NAMES)
def test_derivatives(row: Any, compiled: dict[str, Any]) -> None:
    name, f, reference, x, _ = row
    first = derivative(reference, x)
    np.testing.assert_allclose(compiled["float64"][name][1], first, 1e-11, 1e-13)
    with pb.enable_x64(True):
        total = lambda f: lambda x: f(x).sum()
        np.testing.assert_allclose(pb.grad(total(f))(x), first, 1e-11, 1e-13)
        np.testing.assert_allclose(pb.grad(total(pb.grad(total(f))))(x), derivative(reference, x, 2), 1e-9, 1e-11)


def test_bessel_jn() -> None:
    x = np.concatenate([-POSITIVE, [0.0, 3.7, 11.0, 25.0, 300.0], POSITIVE])
    order = np.arange(7.0)[:, None]
    with pb.enable_x64(True):
        f = lambda x: special.bessel_jn(x, v=6)
        values = exact(mp.besselj, order, x).reshape(7, -1)
        slopes = exact(lambda n, x: (mp.besselj(n - 1, x) - mp.besselj(n + 1, x)) / 2, order, x).reshape(7, -1)
        out, slope = pb.jit(lambda x: pb.jvp(f, (x,), (jnp.ones_like(x),)))(x)
        assert out.shape == (7, len(x))
        for got, expected, rtol in ((out, values, 1e-14), (f(x), values, 2e-13), (slope, slopes, 1e-13)):
            np.testing.assert_allclose(got, expected, rtol, 1e-16)
        second = pb.vmap(pb.grad(pb.grad(lambda x: special.bessel_jn(x, v=1)[1])))(x)
        np.testing.assert_allclose(second, exact(lambda x: mp.besselj(1, x, 2), x), 1e-13, 1e-15)
        below = np.float64([1e-3, 1.0, 5.0, 15.0])
        got = pb.jit(lambda x: special.bessel_jn(x, v=16)[16])(below)
        np.testing.assert_allclose(got, exact(lambda x: mp.besselj(16, x), below), 1e-14)
    assert special.bessel_jn(np.ones((2, 3), np.float16), v=0).shape == (1, 2, 3)
    assert special.bessel_jn(1, v=2, n_iter=10).dtype == np.float32
    np.testing.assert_array_equal(
        special.bessel_jn(np.float32([np.inf, np.nan, 0]), v=1), [[0, np.nan, 1], [0, np.nan, 0]]
    )
    for v, error in ((-1, ValueError), (1.5, TypeError)):
        with pytest.raises(error, match="bessel_jn needs"):
            special.bessel_jn(1.0, v=v)
    with pytest.raises(TypeError, match="complex"):
        special.bessel_jn(1j, v=1)


def test_third_derivatives_of_modified_bessel_functions_at_zero() -> None:
    with pb.enable_x64(True):
        assert pb.grad(pb.grad(pb.grad(special.i1)))(0.0) == 3 / 8
        assert pb.grad(pb.grad(special.i0))(0.0) == 1 / 2


def test_derivatives_where_formulas_have_removable_singularities() -> None:
    with pb.enable_x64(True):
        for f, x, values in (
            (lambda x: special.sici(x)[0], 0.0, (1, 0, -1 / 3, 0)),
            (special.spence, 1.0, (-1, 1 / 2, -2 / 3, 3 / 2)),
        ):
            for value in values:
                f = pb.grad(f)
                np.testing.assert_allclose(f(x), value, 1e-14, 1e-15)


def test_complex() -> None:
    z = np.array([0.3 + 0.7j, -2 + 0.1j, 1.5 - 1j, 4 + 7j, -0.2 - 3j, 30 + 1e-3j, 1 + 0j, 1e-20j])
    w = lambda z: mp.exp(-z * z) * mp.erfc(-1j * z)
    with pb.enable_x64(True), mp.workdps(400):
        expected = np.array([complex(w(mp.mpc(v))) for v in z])
        slope = np.array([complex(-2 * v * w(mp.mpc(v)) + 2j / mp.sqrt(mp.pi)) for v in z])
        got = pb.jit(lambda z: pb.jvp(special.wofz, (z,), (jnp.ones_like(z),)))(z)
        np.testing.assert_allclose(got[0], expected, 2e-15)
        np.testing.assert_allclose(got[1], slope, 1e-12)
        np.testing.assert_allclose(special.wofz(z), expected, 5e-14)
        np.testing.assert_allclose(pb.grad(special.wofz, holomorphic=True)(z[0]), slope[0], 1e-13)
        np.testing.assert_allclose(special.erfcx(-1j * z), expected, 5e-14)
    assert special.wofz(1.0).dtype == np.complex64
    assert special.wofz(np.float16(1)).dtype == np.complex64
    assert pb.jit(special.wofz)(np.complex64(1 + 1j)).dtype == np.complex64


def test_several_arguments() -> None:
    n, x = np.float64([[0], [1], [2], [5], [20]]), POSITIVE
    h, a = np.float64([[-2], [0], [0.3], [1], [4]]), np.float64([-3, -0.5, 0, 0.2, 1, 2.5])

    def owens(h: Any, a: Any) -> Any:
        return mp.quad(lambda x: mp.exp(-h * h * (1 + x * x) / 2) / (1 + x * x), mp.linspace(0, a, 5)) / (2 * mp.pi)

    with pb.enable_x64(True):
        for f, reference, args, in_second in (
            (special.expn, lambda n, x: mp.expint(n, x), (n, x), lambda n, x: -mp.expint(n - 1, x)),
            (special.owens_t, owens, (h, a), lambda h, a: mp.exp(-h * h * (1 + a * a) / 2) / (1 + a * a) / (2 * mp.pi)),
        ):
            shape = np.broadcast(*args).shape
            slope = pb.jit(pb.grad(lambda y, x, f=f: f(x, y).sum()))
            y = np.broadcast_to(args[1], shape)
            np.testing.assert_allclose(f(*args).ravel(), exact(reference, *args), 3e-15)
            np.testing.assert_allclose(pb.jit(f)(*args).ravel(), exact(reference, *args), 3e-15)
            np.testing.assert_allclose(slope(y, args[0]).ravel(), exact(in_second, *args), 1e-13)
        by_h = pb.grad(lambda h: special.owens_t(h, 0.7))
        np.testing.assert_allclose(by_h(0.4), float(mp.diff(lambda h: owens(h, 0.7), 0.4)), 1e-13)
        assert np.isnan(special.expn(1.5, 1.0)) and np.isnan(special.expn(-1.0, 1.0))
        with pytest.raises(NotImplementedError, match="order is a whole number"):
            pb.grad(special.expn)(2.0, 1.0)
    with pytest.raises(ValueError, match=r"owens_t got incompatible shapes|broadcast"):
        special.owens_t(np.ones((2, 3)), np.ones((4, 2, 2)))


@pytest.mark.parametrize(
    "name",
    ["i0", "i1e", "erf", "erfc", "erfinv", "erfcinv", "erfcx", "dawsn", "exp1", "expi", "fresnel", "sici", "spence"],
)
def test_types(name: str) -> None:
    f = getattr(special, name)
    first = lambda out: out[0] if isinstance(out, tuple) else out
    expected = getattr(scipy_special, name)
    for dtype in (np.float16, ml_dtypes.bfloat16):
        x = np.array([0.25, 0.5], dtype)
        assert first(f(x)).dtype == dtype
        np.testing.assert_allclose(np.float32(first(f(x))), first(expected(np.float32(x))), 8e-3)
    for x in (1, True, np.uint8(1), np.ones((0, 3), np.int8), np.array(1)):
        out = first(f(x))
        assert out.dtype == np.float32 and out.shape == np.shape(x)
    with pytest.raises(TypeError, match="ndarray or scalar"):
        f([0.5])
    if name != "erfcx":
        with pytest.raises((TypeError, ValueError), match="complex"):
            f(1j)
    assert np.isnan(first(f(np.nan)))
    assert "custom_call" not in pb.jit(f).lower(np.float32(0.5)).as_text()


def test_edges() -> None:
    x = np.float64([0, np.inf, -np.inf])
    for f, values in (
        (special.erfcx, (1, 0, np.inf)),
        (special.dawsn, (0, 0, 0)),
        (special.exp1, (np.inf, 0, np.nan)),
        (special.expi, (-np.inf, np.inf, 0)),
        (special.spence, (np.pi**2 / 6, -np.inf, np.nan)),
        (lambda x: special.sici(x)[0], (0, np.pi / 2, -np.pi / 2)),
        (lambda x: special.sici(x)[1], (-np.inf, 0, np.nan)),
        (lambda x: special.fresnel(x)[0], (0, 0.5, -0.5)),
        (special.erfcinv, (np.inf, np.nan, np.nan)),
    ):
        with pb.enable_x64(True):
            np.testing.assert_array_equal(f(x), values)
    with pb.enable_x64(True):
        np.testing.assert_allclose(special.fresnel(1e300), (0.5, 0.5))


def test_hypergeometric_functions() -> None:
    a, b, c = np.float64([0.5, 1.3, -2, -0.7]), np.float64([1.5, 0.4, 2.2, 3.1]), np.float64([2.6, 0.9, 1.4, 4.2])
    x = np.float64([[0.3, -5, 12, -80], [60, 0.01, -2, -0.3]])
    z = np.float64([[0.3, -5, 0.7, -80], [0.97, 0.01, -2, -0.3]])
    with pb.enable_x64(True):
        for f, reference, args in ((special.hyp1f1, mp.hyp1f1, (a, b, x)), (special.hyp2f1, mp.hyp2f1, (a, b, c, z))):
            values = exact(reference, *args).reshape(2, 4)
            total = lambda *args, f=f: f(*args).sum()
            every = tuple(range(len(args)))
            args = tuple(np.broadcast_to(v, (2, 4)) for v in args)
            got, slopes = pb.jit(lambda *args, f=f, total=total, every=every: (f(*args), pb.grad(total, every)(*args)))(
                *args
            )
            np.testing.assert_allclose(got, values, 1e-13)
            np.testing.assert_allclose(f(*args), values, 1e-12)
            for k, slope in enumerate(slopes):
                order = tuple(int(i == k) for i in every)
                expected = exact(lambda *v, f=reference, order=order: mp.diff(f, v, order), *args).reshape(2, 4)
                np.testing.assert_allclose(slope, expected, 1e-11)
            point = [float(v[0, 1]) for v in args]
            for i, row in enumerate(pb.hessian(f, every)(*point)):
                for j, second in enumerate(row[: i + 1]):
                    order = tuple((k == i) + (k == j) for k in every)
                    expected = exact(lambda *v, f=reference, order=order: mp.diff(f, v, order), *point)
                    np.testing.assert_allclose(second, expected, 1e-10, err_msg=str(order))
        assert special.hyp1f1(0.5, -1.0, 1.0) == np.inf and np.isnan(special.hyp1f1(0.5, 1.5, np.inf))
        edges = pb.jit(
            lambda: (
                special.hyp2f1(0.5, 0.3, 2.0, 1.0),
                special.hyp2f1(1.0, 1.0, 2.0, 1.0),
                special.hyp1f1(0.0, 2.0, 3.0),
            )
        )()
        np.testing.assert_allclose(edges, (scipy_special.hyp2f1(0.5, 0.3, 2, 1), np.inf, 1), 1e-14)
    with pytest.raises(ValueError, match="complex"):
        special.hyp2f1(1.0, 2.0, 3.0, 0.5j)


def test_spherical_harmonics() -> None:
    n, m = np.array([0, 1, 1, 5, 5, 40, 2]), np.array([0, 1, -1, 3, -4, 17, 3])
    theta, phi = np.float64([[0.0], [0.4], [1.9], [np.pi]]), np.float64([[0.1], [2.0], [-3.0], [7.0]])
    with pb.enable_x64(True):
        expected = scipy_special.sph_harm_y(n, m, theta, phi)
        f = lambda theta, phi: special.sph_harm_y(n, m, theta, phi)
        got, slope = pb.jit(lambda t, p: pb.jvp(f, (t, p), (jnp.ones_like(t), jnp.zeros_like(p))))(theta, phi)
        np.testing.assert_allclose(f(theta, phi), expected, 1e-12, 1e-14)
        np.testing.assert_allclose(got, expected, 1e-12, 1e-14)
        h = 1e-6
        difference = (
            scipy_special.sph_harm_y(n, m, theta + h, phi) - scipy_special.sph_harm_y(n, m, theta - h, phi)
        ) / (2 * h)
        inside = slice(1, 3)  # SciPy reflects angles outside of [0, π]
        np.testing.assert_allclose(slope[inside], difference[inside], 1e-6, 1e-7)
        np.testing.assert_allclose(pb.jvp(lambda p: f(0.4, p), (0.3,), (1.0,))[1], 1j * m * f(0.4, 0.3), 1e-13)
    assert special.sph_harm_y(2, 1, np.float32(0.3), 1.0).dtype == np.complex64
    with pytest.raises(NotImplementedError, match="diff_n"):
        special.sph_harm_y(1, 1, 0.3, 0.4, diff_n=1)
    with pytest.raises(TypeError, match="integers"):
        special.sph_harm_y(1.5, 1, 0.3, 0.4)


def test_loggamma() -> None:
    z = np.array(
        [
            0.3 + 0.7j,
            -2.5 + 0.1j,
            1.2 - 0.1j,
            2 + 1e-9j,
            4 + 17j,
            -7.2 - 3j,
            -30 + 12j,
            300 + 1j,
            -0.5 - 1e-3j,
            1e150 + 1e151j,
        ]
    )
    with pb.enable_x64(True), mp.workdps(40):
        values = np.array([complex(mp.loggamma(mp.mpc(v))) for v in z])
        slopes = [np.array([complex(mp.psi(m, mp.mpc(v))) for v in z]) for m in (0, 1, 2)]
        digamma, trigamma, third = (pb.vmap(f) for f in derivatives_of(lambda z: special.loggamma(z)))
        compiled = pb.jit(lambda z: (special.loggamma(z), digamma(z), trigamma(z), third(z)))(z)
        for got, eager, expected in zip(
            compiled, (special.loggamma(z), digamma(z), trigamma(z), third(z)), (values, *slopes)
        ):
            np.testing.assert_allclose(got, expected, 1e-12)
            np.testing.assert_allclose(eager, expected, 1e-12)
        x = np.float64([0.25, 3, 50])
        np.testing.assert_allclose(special.loggamma(x), exact(mp.loggamma, x), 1e-14)
        assert np.isnan(special.loggamma(-0.5))
    assert special.loggamma(1 + 1j).dtype == np.complex64


def derivatives_of(f: Callable[..., Any]) -> Any:
    for _ in range(3):
        f = pb.grad(f, holomorphic=True)
        yield f
