"""minimize: minima against SciPy's, derivatives against formulas, how it ends, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize

import pullback as pb
import pullback.numpy as jnp
from pullback.scipy.optimize import OptimizeResults, minimize

METHODS = ["BFGS", "L-BFGS"]


def rosenbrock(x: Any, a: Any = 1.0) -> Any:
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (a - x[:-1]) ** 2)


def himmelblau(x: Any) -> Any:
    return (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2


def matyas(x: Any) -> Any:
    return 0.26 * (x[0] ** 2 + x[1] ** 2) - 0.48 * x[0] * x[1]


def eggs(x: Any) -> Any:
    return jnp.sum(jnp.cosh(x - jnp.arange(4.0)) + 0.1 * x**2)


CASES = [
    (rosenbrock, np.zeros(5)), (rosenbrock, np.array([-1.2, 1.0] * 3)), (himmelblau, np.ones(2)), (matyas, np.ones(2)),
    (eggs, np.zeros(4)), (lambda x: jnp.sum((x - 1e3) ** 2), np.zeros(3)),
]  # fmt: skip


@pytest.mark.parametrize("method, x64", [("BFGS", True), ("L-BFGS", False)])
@pytest.mark.parametrize("case", range(len(CASES)))
def test_minima_are_scipys(case: int, method: str, x64: bool) -> None:
    fun, x0 = CASES[case]
    with pb.enable_x64(True):
        expected = scipy.optimize.minimize(
            lambda x: float(fun(x)), x0, jac=lambda x: np.asarray(pb.grad(fun)(x)), tol=1e-8
        )
    with pb.enable_x64(x64):
        result = minimize(fun, x0.astype(np.float64 if x64 else np.float32), method=method)
        assert isinstance(result, OptimizeResults)
        assert bool(result.success) and int(result.status) in (0, 4)
        assert int(result.nit) < int(result.nfev) == int(result.njev)
        np.testing.assert_allclose(result.x, expected.x, rtol=3e-3, atol=3e-3)
        np.testing.assert_array_equal(result.fun, fun(result.x))
        if method == "BFGS":
            assert np.abs(result.jac).max() <= 1e-5


def test_inverse_hessian() -> None:
    a = np.diag([1.0, 10.0, 100.0]).astype(np.float32)
    result = minimize(lambda x: x @ a @ x / 2 - x.sum(), jnp.zeros(3), method="BFGS")
    np.testing.assert_allclose(result.hess_inv, np.linalg.inv(a), atol=2e-2)
    assert minimize(lambda x: x @ x, jnp.ones(2), method="L-BFGS").hess_inv is None


@pytest.mark.parametrize("method", METHODS)
def test_derivatives_of_the_minimum(method: str) -> None:
    """The minimum of Rosenbrock's function is (a, a²)."""
    with pb.enable_x64(True):
        options = {"gtol": 1e-11} if method == "BFGS" else {"gtol": 1e-11, "ftol": 0.0}
        f = lambda a: minimize(rosenbrock, jnp.zeros(2), (a,), method=method, options=options).x
        cases = [(pb.jacrev(f), [1, 3]), (pb.jacfwd(pb.jacrev(f)), [0, 2])]
        if method == "BFGS":  # the rules are the same for both
            cases += [(pb.jit(pb.jacfwd(f)), [1, 3]), (pb.jacfwd(pb.jacrev(pb.jacfwd(f))), [0, 0])]
        for g, expected in cases:
            np.testing.assert_allclose(g(1.5), expected, atol=1e-6)
        if method == "BFGS":
            np.testing.assert_allclose(pb.vmap(pb.jacrev(f))(np.array([1.5, 2.0])), [[1, 3], [1, 4]], atol=1e-6)
        value = lambda a: minimize(lambda x: jnp.sum((x - a) ** 2) + a**3, jnp.zeros(2), method=method).fun
        assert float(pb.grad(value)(2.0)) == pytest.approx(12.0)
        np.testing.assert_array_equal(
            pb.jacfwd(lambda x0: minimize(rosenbrock, x0, method=method).x)(jnp.zeros(2)), np.zeros((2, 2))
        )


@pytest.mark.parametrize("method", METHODS)
def test_batches_stop_each_at_its_own_minimum(method: str) -> None:
    a = np.array([1.0, 2.0, 3.0], np.float32)
    result = pb.jit(pb.vmap(lambda a: minimize(rosenbrock, jnp.zeros(2), (a,), method=method)))(a)
    np.testing.assert_allclose(result.x, np.stack([a, a**2], 1), rtol=1e-2)
    assert np.all(result.success)


@pytest.mark.parametrize("method", METHODS)
def test_how_it_ends(method: str) -> None:
    result = minimize(rosenbrock, jnp.zeros(3), method=method, options={"maxiter": 3})
    assert not bool(result.success) and int(result.status) == 1 and int(result.nit) == 3
    at_minimum = minimize(lambda x: x @ x, jnp.zeros(3), method=method)
    assert bool(at_minimum.success) and int(at_minimum.nit) == 0
    result = minimize(lambda x: jnp.sum(jnp.log(-jnp.abs(x))), jnp.ones(2), method=method)
    assert not bool(result.success) and int(result.status) == 3
    unbounded = minimize(lambda x: jnp.sum(x), jnp.zeros(2), method=method)
    assert not bool(unbounded.success)
    wall = minimize(lambda x: jnp.sum(jnp.where(x < 2, (x - 1.9) ** 2, jnp.nan)), jnp.zeros(2), method=method)
    np.testing.assert_allclose(wall.x, [1.9, 1.9], rtol=1e-4)
    tight, loose = (minimize(rosenbrock, jnp.zeros(3), method=method, tol=tol) for tol in (1e-4, 1e-1))
    assert int(loose.nit) < int(tight.nit)
    assert bool(minimize(lambda x: jnp.sum(x), jnp.zeros(0), method=method).success)
    if method == "L-BFGS":
        assert int(minimize(rosenbrock, jnp.zeros(2), method=method, options={"maxfun": 5}).status) == 2
        jax_name = "l-bfgs-experimental-do-not-rely-on-this"
        assert bool(minimize(rosenbrock, jnp.zeros(2), method=jax_name, options={"maxcor": 3}).success)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="method 'other' not recognized"):
        minimize(rosenbrock, jnp.zeros(2), method="other")
    with pytest.raises(TypeError, match=r"unknown options \['maxcor'\]"):
        minimize(rosenbrock, jnp.zeros(2), method="BFGS", options={"maxcor": 1})
    with pytest.raises(ValueError, match="maxcor must be positive"):
        minimize(rosenbrock, jnp.zeros(2), method="L-BFGS", options={"maxcor": 0})
    with pytest.raises(TypeError, match="args must be a tuple"):
        minimize(rosenbrock, jnp.zeros(2), 1.0, method="BFGS")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="x0 must be a vector"):
        minimize(rosenbrock, jnp.zeros((2, 2)), method="BFGS")
    with pytest.raises(TypeError, match="x0 must be real"):
        minimize(rosenbrock, jnp.zeros(2, complex), method="BFGS")
    with pytest.raises(TypeError, match="must give a scalar of the dtype of x0"):
        minimize(lambda x: x, jnp.zeros(2), method="BFGS")
