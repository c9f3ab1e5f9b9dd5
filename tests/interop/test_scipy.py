"""SciPy's solvers on trees: the same numbers as SciPy gives on vectors, with the derivatives that each method takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize
from scipy.integrate import solve_ivp as scipys_solve_ivp

import pullback as pb
import pullback.numpy as jnp
from pullback.core.errors import ConcretizationTypeError
from pullback.interop import scipy as ps

START = {"a": np.array([0.5, -1.0]), "b": 2}
TARGET = np.array([1.0, 2.0])


def convex(p: Any, shift: Any = 0.0) -> Any:
    away = p["a"] - TARGET - shift
    return jnp.sum(jnp.cosh(away)) + 0.1 * (away[0] + p["b"]) ** 2 + jnp.exp(p["b"]) + p["b"] ** 4


def on_vectors(v: Any) -> Any:
    away = v[:2] - TARGET
    return np.sum(np.cosh(away)) + 0.1 * (away[0] + v[2]) ** 2 + np.exp(v[2]) + v[2] ** 4


MINIMUM = scipy.optimize.minimize(on_vectors, [1.0, 2.0, -0.5], method="BFGS", options={"gtol": 1e-12}).x
METHODS = [
    "Nelder-Mead", "Powell", "CG", "BFGS", "Newton-CG", "L-BFGS-B", "TNC", "COBYLA", "COBYQA", "SLSQP", "trust-constr", "dogleg",
    "trust-ncg", "trust-exact", "trust-krylov", None,
]  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_every_method_of_minimize(method: str | None) -> None:
    seen: list[Any] = []
    taken = method is not None and method.lower() not in ("tnc", "cobyla", "cobyqa")
    callback = (lambda x, *state: seen.append(x)) if taken else None
    options = {"maxiter": 2000} if method == "Nelder-Mead" else None
    found = ps.minimize(convex, START, (0.25,), method, tol=1e-8, callback=callback, options=options)
    free = method in ("Nelder-Mead", "Powell", "COBYLA", "COBYQA")
    np.testing.assert_allclose(found.x_flat, MINIMUM + [0.25, 0.25, 0], atol=1e-3 if free else 1e-4)
    assert found.x["a"].dtype == found.x["b"].dtype == np.float32
    np.testing.assert_array_equal(found.x["a"], found.x_flat[:2].astype(np.float32))
    if not free:
        gradient = found.grad if method == "trust-constr" else found.jac
        assert abs(np.asarray(gradient["b"])) < 1e-4
    if taken:
        assert seen
        assert seen[-1]["a"].shape == (2,)


def test_nothing_is_compiled_again_and_python_may_branch_without_jit() -> None:
    traced = 0

    def counted(x: Any, a: Any) -> Any:
        nonlocal traced
        traced += 1
        return jnp.sum((x - a) ** 4 + (x - a) ** 2)

    for shift in (1.0, 2.0, 3.0):
        found = ps.minimize(counted, np.zeros(2), (shift,), "BFGS")
        np.testing.assert_allclose(found.x, [shift] * 2, atol=1e-4)
    assert traced == 1
    branching = lambda x: (x - 1) ** 2 if x > 0 else (x - 2) ** 2
    assert abs(float(ps.minimize(branching, 3.0, method="BFGS", jit=False).x) - 1) < 1e-5


def test_complex_unknowns_are_pairs_and_arithmetic_is_double() -> None:
    dtypes = []

    def f(z: Any) -> Any:
        dtypes.append((z.dtype, jnp.zeros(()).dtype))
        return jnp.abs(z - (1 + 2j)) ** 2 + 1e-12 * z.real

    found = ps.minimize(f, np.complex64(0.5), method="trust-exact")
    assert (found.x.dtype, set(dtypes)) == (np.complex64, {(np.dtype(complex), np.dtype(float))})
    np.testing.assert_allclose(found.x_flat, [1, 2], atol=1e-9)
    assert jnp.zeros(()).dtype == np.float32


def test_bounds_and_constraints() -> None:
    f = lambda p: (p["x"] - 2) ** 2 + (p["y"] - 2) ** 2
    x0 = {"x": 0.0, "y": 0.0}
    for bounds in (
        ({"x": None, "y": -1.0}, {"x": 1.0, "y": 1.5}),
        [(None, 1), (-1, 1.5)],
        scipy.optimize.Bounds([-9, -1], [1, 1.5]),
    ):
        np.testing.assert_allclose(ps.minimize(f, x0, bounds=bounds).x_flat, [1, 1.5], atol=1e-6)
    np.testing.assert_allclose(ps.minimize(f, x0, bounds=(None, 1.25)).x_flat, [1.25, 1.25], atol=1e-6)
    circle = lambda p: p["x"] ** 2 + p["y"] ** 2
    for method, constraint in (
        ("SLSQP", {"type": "ineq", "fun": lambda p: 1 - circle(p)}),
        ("trust-constr", scipy.optimize.NonlinearConstraint(circle, -np.inf, 1)),
        ("trust-constr", scipy.optimize.LinearConstraint([[1.0, 1.0]], -np.inf, np.sqrt(2))),
    ):
        found = ps.minimize(f, x0, method=method, constraints=constraint)
        np.testing.assert_allclose(found.x_flat, [np.sqrt(0.5)] * 2, atol=1e-3)
    low = {"z": np.array([0.0 + 0.0j])}
    found = ps.minimize(
        lambda p: jnp.sum(jnp.abs(p["z"] + (1 - 1j)) ** 2), {"z": np.array([1 + 0j])}, bounds=(low, None)
    )
    np.testing.assert_allclose(found.x["z"], [1j], atol=1e-5)


def test_roots() -> None:
    def f(p: Any) -> Any:
        return {"s": p["u"] + p["v"].sum() - 3, "t": p["v"] ** 2 - jnp.array([1.0, 4.0])}

    x0 = {"u": 0.5, "v": np.array([0.9, 2.2])}
    seen: list[Any] = []
    for method in ("hybr", "lm", "broyden1", "krylov", "df-sane"):
        callback = None if method in ("hybr", "lm") else lambda x, r: seen.append((x, r))
        found = ps.root(f, x0, method=method, tol=1e-10, callback=callback)
        np.testing.assert_allclose(found.x_flat, [0, 1, 2], atol=1e-5)
        assert sorted(found.fun) == ["s", "t"]
    assert seen[-1][1]["t"].shape == (2,)
    with pytest.raises(ValueError, match="f gives 1 numbers for 3 unknowns, at .*test_scipy"):
        ps.root(lambda p: p["u"], x0)


def test_least_squares_with_matrices_and_with_products() -> None:
    t = np.linspace(0, 1, 7)
    data = 2 * np.exp(-3 * t) + 0.01 * np.cos(20 * t)
    f = lambda p, d: {"r": p["scale"] * jnp.exp(-p["rate"] * t) - d}
    expected = scipy.optimize.least_squares(lambda v: v[1] * np.exp(-v[0] * t) - data, [1.0, 1.0], xtol=1e-12).x
    for options in ({"method": "lm"}, {}, {"products": True}, {"method": "dogbox", "loss": "linear"}):
        found = ps.least_squares(f, {"scale": 1.0, "rate": 1.0}, (data,), xtol=1e-12, **options)
        np.testing.assert_allclose(found.x_flat, expected, rtol=1e-5)
        assert found.fun["r"].shape == (7,)
        assert abs(float(found.grad["scale"])) < 1e-4
    bounded = ps.least_squares(f, {"scale": 1.0, "rate": 1.0}, (data,), bounds=(0, {"scale": 1.5, "rate": None}))
    np.testing.assert_allclose(bounded.x["scale"], 1.5, rtol=1e-6)


def test_curve_fit_is_scipys() -> None:
    t = np.linspace(0, 1, 9)
    y = 2 * np.exp(-3 * t) + 0.02 * np.sin(30 * t)
    sigma = 0.1 + 0.1 * t
    on_numpy = lambda t, a, k: a * np.exp(-k * t)
    ours = lambda t, a, k: a * jnp.exp(-k * t)
    for options in ({}, {"sigma": sigma, "absolute_sigma": True}, {"sigma": np.diag(sigma**2)}, {"p0": [1.0, 2.0]}):
        popt, pcov = scipy.optimize.curve_fit(on_numpy, t, y, xtol=1e-12, **options)
        found, covariance = ps.curve_fit(ours, t, y, xtol=1e-12, **options)
        np.testing.assert_allclose(found, popt, rtol=1e-6)
        np.testing.assert_allclose(covariance, pcov, rtol=1e-5)
    tree, _ = ps.curve_fit(lambda t, p: p["a"] * jnp.exp(-p["k"] * t), t, y, {"a": 1.0, "k": 1.0}, bounds=(0, 10))
    np.testing.assert_allclose([tree["a"], tree["k"]], scipy.optimize.curve_fit(on_numpy, t, y)[0], rtol=1e-4)
    assert len(ps.curve_fit(ours, t, y, full_output=True)) == 5
    with pytest.raises(ValueError, match="f gives 9 numbers, ydata has 8"):
        ps.curve_fit(ours, t, y[:8])


@pytest.mark.parametrize("method", ["RK45", "DOP853", "Radau", "BDF", "LSODA"])
def test_initial_value_problems(method: str) -> None:
    def f(t: Any, y: Any, k: Any) -> Any:
        return {"u": -k * y["u"] + jnp.sin(t), "z": 1j * y["z"]}

    def falls(t: Any, y: Any, k: Any) -> Any:
        return y["u"][0] - 0.5

    falls.direction = -1  # type: ignore[attr-defined]
    y0 = {"u": np.array([1.0, 2.0]), "z": 1 + 0j}
    times = np.linspace(0, 1, 5)
    found = ps.solve_ivp(f, (0, 1), y0, method, times, True, falls, (2.0,), rtol=1e-9, atol={"u": 1e-10, "z": 1e-10})
    np.testing.assert_allclose(found.y["z"], np.exp(1j * times), rtol=1e-5)
    expected = scipys_solve_ivp(
        lambda t, y: -2 * y + np.sin(t), (0, 1), [1.0, 2.0], "DOP853", times, rtol=1e-10, atol=1e-12
    ).y
    np.testing.assert_allclose(found.y["u"], expected, rtol=1e-5)
    assert (found.y["u"].dtype, found.y["z"].dtype, found.y_flat.shape) == (np.float32, np.complex64, (4, 5))
    assert found.sol(0.5)["u"].shape == (2,)
    np.testing.assert_allclose(found.sol(times)["u"], expected, rtol=1e-4)
    (at_event,) = found.y_events
    np.testing.assert_allclose(at_event["u"][:, 0], [0.5], rtol=1e-5)


def test_errors_say_what_and_where() -> None:
    with pytest.raises(
        TypeError,
        match=r"the function <lambda> of .*test_scipy\S* must return one real number, and returned float64\[2\]",
    ):
        ps.minimize(lambda x: x, np.zeros(2))
    with pytest.raises(TypeError, match=r"x0\['n'\] has the dtype bool, at .*test_scipy"):
        ps.minimize(lambda x: x["n"], {"n": True})
    with pytest.raises(ValueError, match="x0 has no numbers"):
        ps.root(lambda x: x, {})
    with pytest.raises(TypeError, match="jac= is not taken"):
        ps.least_squares(lambda x: x, 1.0, jac="2-point")
    with pytest.raises(TypeError, match="a function is needed"):
        ps.minimize(3, 1.0)  # type: ignore[arg-type]
    with pytest.raises(ConcretizationTypeError, match=r"x0 is traced.*pullback\.argmin"):
        pb.grad(lambda x: ps.minimize(jnp.sum, x).fun)(1.0)
    with pytest.raises(TypeError, match=r"f must give a tree like y0, \{'u': 'float32\[\]'\}, and gave float64\[\]"):
        ps.solve_ivp(lambda t, y: y["u"], (0, 1), {"u": 1.0})
    with pytest.raises(ValueError, match="say which with scipy.optimize.Bounds"):
        ps.minimize(lambda x: x[0] + x[1], (0.0, 0.0), bounds=((0, 1), (2, 3)))
    with pytest.raises(TypeError, match="the upper bounds have the structure"):
        ps.minimize(lambda x: x["a"], {"a": 0.0}, bounds=(0, {"b": 1}))
