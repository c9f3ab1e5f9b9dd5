"""checkpoint, prefixes, reductions by any function and odeint: the same calls in both systems."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
from math import prod
from typing import Any

import numpy as np
import pytest

from tests.oracle.systems import leaves, namespace, require_oracle

require_oracle()


def names(system: str) -> dict[str, Any]:
    """The namespace of `systems`, and what these cases need besides."""
    package = "jax" if system == "jax" else "pullback"
    ad_checkpoint = importlib.import_module(f"{package}.ad_checkpoint")
    found = namespace(system)
    jnp, lax, jax = found["jnp"], found["lax"], found["jax"]
    weights = jnp.asarray(np.random.default_rng(1).normal(size=(4, 4)) * 0.5, jnp.float32)
    mark = ad_checkpoint.checkpoint_name

    def layers(z: Any) -> Any:
        for label in "abc":
            z = jnp.sin(mark(z @ weights, label))
        return (z**2).sum()

    def looped(z: Any) -> Any:
        last, sums = lax.scan(lambda c, _: (jnp.sin(mark(c @ weights, "a")), jnp.cos(c).sum()), z, None, length=5)
        return (last**2).sum() + sums.sum()

    def larger(a: Any, b: Any) -> Any:
        take = (a[0] > b[0]) | ((a[0] == b[0]) & (a[1] < b[1]))
        return jnp.where(take, a[0], b[0]), jnp.where(take, a[1], b[1])

    return found | {
        "odeint": importlib.import_module(f"{package}.experimental.ode").odeint, "print_saved_residuals": ad_checkpoint.print_saved_residuals,
        "policies": jax.checkpoint_policies, "layers": layers, "looped": looped, "larger": larger,
        "compose": lambda f, g: (g[0] * f[0], g[0] * f[1] + g[1]), "poly": lambda a, b: a * b + a + b,
        "fall": lambda state, t, rate: {"x": state["v"], "v": -rate * state["x"] - 0.1 * state["v"]},
    }  # fmt: skip


CALLS = """
jax.grad(jax.checkpoint(layers, policy=policies.dots_saveable))(x)
jax.jit(jax.grad(jax.checkpoint(looped, policy=policies.save_only_these_names('a'))))(x)
jax.grad(lambda z: (jax.grad(jax.checkpoint(layers, policy=policies.save_anything_except_these_names('a')))(z) ** 2).sum())(x)
jax.vjp(jax.checkpoint(lambda z, n: jnp.sin(z)[n]), x, jnp.array(1))[1](v)[0]
jax.grad(lambda z: jax.checkpoint(lambda a: jax.checkpoint(lambda b: jnp.sin(b) * z)(a) * a)(z).sum())(v)
lax.associative_scan(compose, (x, y), reverse=True, axis=1)
jax.grad(lambda z: (lax.associative_scan(compose, (z, y))[1] ** 2).sum())(x)
lax.reduce(x, jnp.float32(0), poly, (1,)); jax.jit(lambda z: lax.reduce(z, jnp.float32(2.5), lax.mul, (0,)))(x)
lax.reduce((x, i), (jnp.float32(-np.inf), jnp.int32(99)), larger, (0,))
jax.vmap(lambda z: lax.reduce(z, jnp.float32(0), jnp.logaddexp, (0,)), 1)(x)
lax.reduce_window(x, jnp.float32(-np.inf), jnp.logaddexp, (2, 3), (2, 1), 'SAME', (2, 1))
jax.grad(lambda z: (lax.reduce_window(z, 0.0, lax.add, (2, 2), (1, 2), 'SAME') ** 2).sum())(x)
lax.reduce_window(x, 0.0, lax.add, (2,), (1,), 'VALID'); lax.reduce_window(x, 0.0, lax.add, (0, 2), (1, 1), 'VALID')
jax.grad(lambda z: (lax.cumprod(z, 1, True) ** 2).sum())(x); jax.grad(lambda z: lax.cummax(z).sum())(jnp.array([1., 1., 0., 2., 2.]))
jax.jit(jax.grad(lambda z: (lax.cumlogsumexp(z, 1) ** 2).sum()))(x); jax.hessian(lambda z: (lax.cumsum(z) ** 3).sum())(v)
odeint(fall, {'x': v, 'v': v * 0}, jnp.linspace(0.0, 1.0, 5), 2.0)
jax.jit(jax.grad(lambda r, t: odeint(fall, {'x': v, 'v': v * 0}, t, r)['x'].sum(), (0, 1)))(2.0, jnp.linspace(0.0, 1.0, 5))
"""

EXPRESSIONS = [e.strip() for line in CALLS.strip().splitlines() for e in line.split("; ")]


def outcome(expression: str, system: str) -> list[Any] | str:
    """The arrays in the result, or the type of the error."""
    try:
        return [np.asarray(leaf) for leaf in leaves(eval(expression, names(system)))]
    except Exception as error:
        return type(error).__name__


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_call(expression: str) -> None:
    results, expected = outcome(expression, "pullback"), outcome(expression, "jax")
    if isinstance(results, str) or isinstance(expected, str):
        assert results == expected
        return
    for got, wanted in zip(results, expected, strict=True):
        assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
        np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=2e-4)


def stored(system: str, f: str, policy: str) -> int:
    """Elements of the arrays that the derivative stores, as both systems print them."""
    found, out = names(system), io.StringIO()
    function = found["jax"].checkpoint(found[f], policy=eval(policy, found))
    with contextlib.redirect_stdout(out):
        found["print_saved_residuals"](function, found["x"])
    shapes = re.findall(r"^\w+\[([\d,]*)\]", out.getvalue(), re.MULTILINE)
    return sum(prod(map(int, filter(None, shape.split(",")))) for shape in shapes)


@pytest.mark.parametrize("f", ["layers", "looped"])
@pytest.mark.parametrize("policy", ["None", "policies.dots_saveable", "policies.save_only_these_names('a')"])
def test_no_more_is_stored(f: str, policy: str) -> None:
    assert 0 < stored("pullback", f, policy) <= stored("jax", f, policy)
