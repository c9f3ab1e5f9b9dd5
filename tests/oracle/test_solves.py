"""Solutions of equations in both systems: values, derivatives of first and second order, errors."""

from __future__ import annotations

import numpy as np
import pytest

from tests.oracle.systems import leaves, namespace, require_oracle

require_oracle()

POSITIVE = "(m @ m.T + 3 * jnp.eye(3))"
DENSE = "(lambda f, b: jnp.linalg.solve(jax.vmap(f, out_axes=1)(jnp.eye(3)), b))"
NEWTON = "(lambda f, x: lax.fori_loop(0, 8, lambda _, x: x - jnp.linalg.solve(jax.jacfwd(f)(x), f(x)), x))"
ROOT = f"lax.custom_root(lambda x: x**3 + 2 * x - a * w, jnp.zeros(3), {NEWTON}, {DENSE})"
SOLVE = f"lax.custom_linear_solve(lambda x: {POSITIVE} @ x * a, w * a**2, {DENSE}, {DENSE})"
BOWL = "lambda x, a: jnp.sum(jnp.cosh(x - a * w)) + 0.1 * jnp.sum(x[1:] * x[:-1])"

#: Expressions in a scalar `a`.
FUNCTIONS = [
    ROOT,
    f"{ROOT}[0] * a",
    "lax.custom_root(lambda x: {'u': x['u'] ** 2 - a}, {'u': 1.5}, lambda f, x: {'u': jnp.sqrt(a)}, lambda g, y: "
    "{'u': y['u'] / g({'u': 1.0})['u']})",
    "lax.custom_root(lambda x: x**2 - a, 1.0, lambda f, x: (jnp.sqrt(a), {'n': a * 3}), lambda g, y: y / g(1.0), has_aux=True)[0]",
    SOLVE,
    "lax.custom_linear_solve(lambda x: a * x, w, lambda f, b: b / a, symmetric=True)",
    "lax.custom_linear_solve(lambda x: (a * x[0], x[0] + x[1]), (w, w * a), lambda f, b: (b[0] / a, b[1] - b[0] / a), "
    "lambda f, b: ((b[0] - b[1]) / a, b[1]))",
    f"linalg.cg({POSITIVE} * a, w, tol=1e-7)[0]",
    f"linalg.cg(lambda x: {{'k': {POSITIVE} @ x['k'] * a}}, {{'k': w}}, {{'k': w * a}}, tol=1e-7, M=lambda x: x)[0]",
    "linalg.gmres(m * a + 4 * jnp.eye(3), w, tol=1e-7)[0]",
    "linalg.gmres(m * a + 4 * jnp.eye(3), w * a, w, tol=1e-7, solve_method='incremental')[0]",
    "linalg.bicgstab(m * a + 4 * jnp.eye(3), w * a, tol=1e-7)[0]",
]


def value_of(expression: str, transform: str, system: str) -> list[np.ndarray]:
    names = namespace(system)
    if system == "jax":
        from jax.scipy import optimize
        from jax.scipy.sparse import linalg
    else:
        from pullback.scipy import optimize
        from pullback.scipy.sparse import linalg
    names.update(linalg=linalg, optimize=optimize)
    f = eval(f"lambda a: {expression}", names)
    transformed = eval(transform, {**names, "f": f})
    return [np.asarray(x) for x in leaves(transformed(names["jnp"].float32(1.5)))]


@pytest.mark.parametrize("transform", ["f", "jax.jit(jax.jacrev(f))", "jax.jit(jax.jacfwd(jax.jacrev(f)))"])
@pytest.mark.parametrize("expression", FUNCTIONS)
def test_values_and_derivatives(expression: str, transform: str) -> None:
    expected = value_of(expression, transform, "jax")
    found = value_of(expression, transform, "pullback")
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("method", ["BFGS", "l-bfgs-experimental-do-not-rely-on-this"])
def test_minima(method: str) -> None:
    """Both find the same point, and report it in fields of the same shapes and dtypes."""
    fields = [
        "x",
        "fun",
        "success",
        "status",
        "jac",
        "nfev",
        "nit",
        *(["njev", "hess_inv"] if method == "BFGS" else []),
    ]
    call = f"optimize.minimize({BOWL}, jnp.zeros(3), (a,), method='{method}', tol=1e-4)"
    pick = f"(lambda r: [jnp.asarray(getattr(r, k)) for k in {fields}])({call})"
    found, expected = (value_of(pick, "f", s) for s in ("pullback", "jax"))
    for field, ours, theirs in zip(fields, found, expected):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype), field
        if field in ("x", "fun", "success", "status"):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


MISUSES = [
    "linalg.cg(m, jnp.ones(4))",
    "linalg.cg(x, w)",
    "linalg.cg('A', w)",
    "linalg.cg(m, w, {'x': w})",
    "linalg.bicgstab(m, w, v)",
    "linalg.cg(lambda x: x[:1], w)",
    "linalg.gmres(m, w, solve_method='other')",
    "linalg.gmres(m, w, M=jnp.eye(2))",
    "linalg.gmres(m, w, M='M')",
    "optimize.minimize(jnp.sum, w, method='other')",
    "optimize.minimize(jnp.sum, w)",
    "optimize.minimize(jnp.sum, w, method='BFGS', options={'other': 1})",
    "optimize.minimize(jnp.sum, w, 1.0, method='BFGS')",
    "optimize.minimize(lambda x: x, w, method='BFGS')",
    "jax.jit(lambda w: lax.custom_root(lambda x: (x, x), w, lambda f, x: x, lambda g, y: y))(w)",
    "lax.custom_root(lambda x: x, w, lambda f, x: (x, x), lambda g, y: y)",
    "jax.grad(lambda a: lax.custom_root(lambda x: x - a, 1.0, lambda f, x: x, lambda g, y: (y, y)))(1.0)",
    "lax.custom_root(lambda x: x, w, lambda f, x: x, lambda g, y: y, has_aux=True)",
    "lax.custom_root(3, w, lambda f, x: x, lambda g, y: y)",
    "lax.custom_linear_solve(lambda x: x, w, lambda f, b: (b, b))",
    "lax.custom_linear_solve(lambda x: x, w, lambda f, b: b[0])",
    "lax.custom_linear_solve(lambda x: (x,), w, lambda f, b: f(b))",
    "lax.custom_linear_solve(lambda x: x[0], w, lambda f, b: f(b))",
    "lax.custom_linear_solve(lambda x: x, w, lambda f, b: b, has_aux=True)",
    "jax.grad(lambda b: lax.custom_linear_solve(lambda x: x, b, lambda f, b: b).sum())(w)",
]


@pytest.mark.parametrize("expression", MISUSES)
def test_error_type(expression: str) -> None:
    def outcome(system: str) -> str:
        try:
            value_of(expression, "f", system)
        except Exception as error:
            return next(c.__name__ for c in type(error).__mro__ if not c.__name__.startswith("_"))
        return "no error"

    assert outcome("pullback") == outcome("jax") != "no error"
