"""Products with Hessians, and their diagonals, against dense ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.derivatives import hessian_diagonal, hvp, vhp
from pullback.flatten_util import ravel_pytree

RNG = np.random.default_rng(0)
W = RNG.normal(size=(5, 4))


@pb.custom_jvp
def with_jvp(x):
    return jnp.sin(x)


with_jvp.defjvp(lambda primals, tangents: (jnp.sin(primals[0]), jnp.cos(primals[0]) * tangents[0]))


@pb.custom_vjp
def with_vjp(x):
    return jnp.sin(x) * x


with_vjp.defvjp(lambda x: (jnp.sin(x) * x, x), lambda x, ct: (ct * (jnp.cos(x) * x + jnp.sin(x)),))

FUNCTIONS = {
    "network": lambda p: jnp.sum(jnp.tanh(p["x"] @ W) ** 3) * p["s"][0],
    "scan": lambda p: lax.scan(lambda c, x: (jnp.sin(c) * x + c * p["s"][1], None), p["s"][0], p["x"])[0],
    "while": lambda p: lax.fori_loop(0, 3, lambda i, c: jnp.sin(c) * p["x"][i] + c, p["s"][0] ** 2),
    "cond": lambda p: lax.cond(p["s"][0] > 9, lambda x: x.sum(), lambda x: jnp.prod(x), p["x"]) * p["s"][1],
    "custom_jvp": lambda p: jnp.sum(with_jvp(p["x"] * p["s"][0]) ** 2),
    "custom_vjp": lambda p: jnp.sum(with_vjp(p["x"] * p["s"][0]) ** 2),
    "jit": pb.jit(lambda p: jnp.sum(jnp.exp(p["x"] * p["s"][0]))),
    "checkpoint": pb.checkpoint(lambda p: jnp.sum(jnp.exp(p["x"] * p["s"][0]))),
}


def point() -> Any:
    return {"x": jnp.asarray(np.random.default_rng(1).normal(size=5)), "s": jnp.array([0.7, -0.4])}


def dense_hessian(f: Any, p: Any) -> Any:
    vector, unravel = ravel_pytree(p)
    return np.asarray(pb.hessian(lambda v: f(unravel(v)))(vector))


def close(got: Any, expected: Any, tol: float = 1e-9) -> None:
    np.testing.assert_allclose(got, expected, rtol=tol, atol=tol)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_products_with_hessians(name: str) -> None:
    f = FUNCTIONS[name]
    with pb.enable_x64(True):
        p = point()
        v = pb.tree_util.tree_map(jnp.cos, p)
        H = dense_hessian(f, p)
        expected = H @ ravel_pytree(v)[0]
        close(ravel_pytree(hvp(f, (p,), (v,)))[0], expected)
        close(ravel_pytree(vhp(f, (p,), (v,)))[0], expected)
        close(ravel_pytree(pb.jit(lambda p, v: hvp(f, [p], [v]))(p, v))[0], expected)
        for batch_size in (None, 3):
            close(ravel_pytree(hessian_diagonal(f, p, batch_size=batch_size))[0], np.diag(H))
            close(ravel_pytree(pb.jit(lambda p: hessian_diagonal(f, p, batch_size=batch_size))(p))[0], np.diag(H))


def test_several_arguments_give_tuples() -> None:
    f = lambda x, y: jnp.sum(x**3 * y["a"]) + y["a"] ** 2
    with pb.enable_x64(True):
        x, y = jnp.array([1.0, 2.0]), {"a": jnp.array(3.0)}
        u, v = jnp.array([0.5, -1.0]), {"a": jnp.array(2.0)}
        H = dense_hessian(lambda p: f(*p), (x, y))
        expected = H @ ravel_pytree((u, v))[0]
        for product in (hvp, vhp):
            got = product(f, (x, y), (u, v))
            assert isinstance(got, tuple) and got[1]["a"].shape == ()
            close(ravel_pytree(got)[0], expected)
            close(product(lambda x: f(x, y), (x,), (u,)), H[:2, :2] @ u)


def test_the_cookbook_s_example() -> None:
    f = lambda x: jnp.sum(jnp.tanh(x) ** 2)
    x, v = (jnp.asarray(RNG.normal(size=(3, 4)), jnp.float32) for _ in range(2))
    expected = jnp.tensordot(pb.hessian(f)(x), v, 2)
    assert jnp.allclose(hvp(f, (x,), (v,)), expected, 1e-4, 1e-4)
    assert jnp.allclose(vhp(f, (x,), (v,)), expected, 1e-4, 1e-4)


def test_in_other_transformations() -> None:
    with pb.enable_x64(True):
        f = lambda x: jnp.sum(jnp.sin(x) * x[::-1] ** 2)
        x, v = jnp.asarray(RNG.normal(size=4)), jnp.asarray(RNG.normal(size=4))
        dense = lambda x: pb.hessian(f)(x) @ v
        for product in (hvp, vhp):
            own = lambda x: product(f, (x,), (v,))
            close(pb.jacfwd(own)(x), pb.jacfwd(dense)(x))
            close(pb.jacrev(own)(x), pb.jacfwd(dense)(x))
            points = jnp.stack([x, 2 * x])
            close(pb.vmap(own)(points), np.stack([dense(y) for y in points]))
        diagonal = lambda x: jnp.sum(hessian_diagonal(f, x) ** 2)
        close(pb.grad(diagonal)(x), pb.grad(lambda x: jnp.sum(jnp.diag(pb.hessian(f)(x)) ** 2))(x))
        close(pb.vmap(lambda x: hessian_diagonal(f, x))(points), np.stack([np.diag(pb.hessian(f)(y)) for y in points]))


def test_dtypes_and_edges_of_diagonals() -> None:
    for dtype in (jnp.float16, jnp.float32):
        d = hessian_diagonal(lambda x: jnp.sum(x**3), jnp.ones((2, 2), dtype))
        assert d.dtype == dtype and d.tolist() == [[6.0, 6.0], [6.0, 6.0]]
    mixed = hessian_diagonal(
        lambda p: jnp.sum(p["a"] ** 2).astype(jnp.float32) + p["b"] ** 2, {"a": jnp.ones(2, jnp.float16), "b": 1.0}
    )
    assert mixed["a"].dtype == jnp.float16 and mixed["a"].tolist() == [2.0, 2.0] and mixed["b"] == 2
    assert hessian_diagonal(lambda x: jnp.sum(x**2), jnp.zeros(0)).shape == (0,)
    assert hessian_diagonal(lambda x: 3.0, jnp.ones(2)).tolist() == [0.0, 0.0]
    assert np.isnan(hessian_diagonal(lambda x: jnp.sum(x**3), jnp.array([np.nan, 1.0]))[0])


def test_bad_input() -> None:
    x = jnp.ones(3)
    for wrong, error, message in (
        (lambda: hvp(jnp.sum, x, (x,)), TypeError, "primals must be a tuple or list"),
        (lambda: vhp(jnp.sum, (x,), x), TypeError, "tangents must be a tuple or list"),
        (lambda: hvp(jnp.sum, (), ()), TypeError, "primals must be a tuple or list"),
        (lambda: hvp(jnp.sum, (x,), (x, x)), TypeError, "1 primals need as many tangents, got 2"),
        (lambda: hvp(jnp.sin, (x,), (x,)), TypeError, r"scalar-output functions.*\(3,\)"),
        (lambda: vhp(jnp.sin, (x,), (x,)), TypeError, r"scalar-output functions.*\(3,\)"),
        (lambda: hvp(jnp.sum, (x,), (jnp.ones(2),)), ValueError, "shapes"),
        (lambda: vhp(jnp.sum, (x,), ({"a": x},)), TypeError, "structure"),
        (lambda: hvp(3, (x,), (x,)), TypeError, "callable"),
        (lambda: hessian_diagonal(jnp.sin, x), TypeError, r"real scalar as result; got float32\[3\]"),
        (lambda: hessian_diagonal(lambda x: (x[0], x[1]), x), TypeError, "real scalar as result; got a tree"),
        (lambda: hessian_diagonal(lambda x: x[0] + 1j, x), TypeError, "real scalar as result; got complex64"),
        (lambda: hessian_diagonal(jnp.sum, jnp.arange(3)), TypeError, "real floating-point dtypes, got int32"),
        (lambda: hessian_diagonal(jnp.sum, x + 1j), TypeError, "real floating-point dtypes, got complex64"),
        (
            lambda: hessian_diagonal(jnp.sum, x, batch_size=-1),
            ValueError,
            "batch_size must be a positive integer, got -1",
        ),
        (lambda: hessian_diagonal(jnp.sum, "text"), TypeError, "argument to differentiate"),
    ):
        with pytest.raises(error, match=message):
            wrong()
