"""`nan_safe_where`: the values of `where`, and no NaN in any derivative."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.derivatives import nan_safe_where

#: Functions with the domain x > 0, their first and second derivatives; all are infinite or NaN at 0 or below.
POSITIVE = {
    "sqrt": (jnp.sqrt, lambda x: 0.5 * x**-0.5, lambda x: -0.25 * x**-1.5),
    "log": (jnp.log, lambda x: 1 / x, lambda x: -1 / x**2),
    "reciprocal": (lambda x: 1 / x, lambda x: -1 / x**2, lambda x: 2 / x**3),
    "power": (lambda x: x**0.3, lambda x: 0.3 * x**-0.7, lambda x: -0.21 * x**-1.7),
    "nested": (lambda x: jnp.log(jnp.sqrt(x)), lambda x: 0.5 / x, lambda x: -0.5 / x**2),
}
X = np.array([-2.0, -0.0, 0.0, 0.25, 4.0], np.float32)
WHERE = X > 0


def expected(values):
    with np.errstate(all="ignore"):
        return np.where(WHERE, values(X.astype(np.float64)), 0)


@pytest.mark.parametrize("name", sorted(POSITIVE))
@pytest.mark.parametrize("wrap", [lambda f: f, pb.jit, lambda f: pb.jit(pb.vmap(f))], ids=["eager", "jit", "vmap"])
def test_values_and_derivatives(name, wrap):
    fun, first, second = POSITIVE[name]
    f = wrap(lambda x: nan_safe_where(x > 0, fun, x))
    np.testing.assert_allclose(f(X), np.where(WHERE, np.asarray(fun(jnp.where(WHERE, X, 1.0))), 0), rtol=1e-6)
    total = lambda x: f(x).sum()
    np.testing.assert_allclose(pb.grad(total)(X), expected(first), rtol=1e-5)
    np.testing.assert_allclose(pb.jvp(f, (X,), (np.ones_like(X),))[1], expected(first), rtol=1e-5)
    forward_over_reverse = pb.jvp(pb.grad(total), (X,), (np.ones_like(X),))[1]
    np.testing.assert_allclose(forward_over_reverse, expected(second), rtol=1e-4)
    reverse_over_reverse = pb.grad(lambda x: pb.grad(total)(x).sum())(X)
    np.testing.assert_allclose(reverse_over_reverse, expected(second), rtol=1e-4)


@given(st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=6), st.integers(1, 3))
def test_derivatives_are_finite_to_any_order(xs, order):
    f = lambda x: nan_safe_where(x > 0.01, lambda x: x * jnp.log(x), x)
    derivative = f
    for _ in range(order):
        derivative = pb.grad(derivative)
    found = np.asarray(pb.vmap(derivative)(np.array(xs, np.float32)))
    assert np.isfinite(found).all()
    assert not found[np.array(xs, np.float32) <= 0.01].any()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"])
def test_types(dtype):
    with pb.enable_x64(True):
        x = jnp.array([0.0, 4.0], dtype)
        f = lambda x: nan_safe_where(x != 0, jnp.sqrt, x)
        assert f(x).dtype == x.dtype
        y, pull = pb.vjp(f, x)
        (slope,) = pull(jnp.ones_like(y))
        assert slope.dtype == x.dtype
        np.testing.assert_allclose(np.asarray(slope).astype(complex), [0, 0.25], rtol=1e-2)


def test_weak_types_and_scalars():
    found = nan_safe_where(2.0 > 1, jnp.sqrt, 4.0)
    assert (float(found), found.weak_type, found.shape) == (2.0, True, ())
    assert float(pb.grad(lambda x: nan_safe_where(x > 0, jnp.sqrt, x))(0.0)) == 0


def test_integers_and_booleans():
    n = jnp.array([0, 2])
    found = nan_safe_where(n != 0, lambda n: 12 // n, n, fallback=-1)
    assert found.dtype == n.dtype
    np.testing.assert_array_equal(found, [-1, 6])
    # Booleans and keys are passed as they are.
    seen = []
    key = pb.random.key(0)
    nan_safe_where(False, lambda x, b, k: seen.append((b, k)) or x, 1.0, True, key)
    assert bool(seen[0][0])
    assert seen[0][1].dtype == key.dtype


def test_what_the_function_never_sees():
    seen = []
    nan_safe_where(X > 0, lambda x: seen.append(np.asarray(x)) or x, X)
    np.testing.assert_array_equal(seen[0], [0.5, 0.5, 0.5, 0.25, 4])


def test_what_it_closes_over_gets_no_nan():
    x = jnp.array([0.0, 4.0])
    loss = lambda a: nan_safe_where(x > 0, lambda x: jnp.log(a * x), x).sum()
    np.testing.assert_allclose(pb.grad(loss)(2.0), 0.5)
    # Where one half is outside of the domain, a safe value is needed for that, and not for the operand's derivative.
    shifted = lambda a, x, safe: nan_safe_where(x > 2, lambda x: jnp.sqrt(a * (x - 2)), x, safe=safe).sum()
    a, slope = pb.grad(shifted, (0, 1))(1.0, x, None)
    assert np.isnan(a)
    np.testing.assert_allclose(slope, [0, 0.5 / np.sqrt(2)], rtol=1e-6)
    a, slope = pb.grad(shifted, (0, 1))(1.0, x, 3.0)
    np.testing.assert_allclose(a, np.sqrt(2) / 2, rtol=1e-6)
    np.testing.assert_allclose(slope, [0, 0.5 / np.sqrt(2)], rtol=1e-6)


def test_matrices_that_cannot_be_inverted():
    a = jnp.stack([jnp.zeros((2, 2)), 2 * jnp.eye(2)])
    regular = jnp.array([False, True])

    def loss(a, w):
        inverse = lambda r, m: nan_safe_where(r, lambda m: jnp.linalg.inv(w * m), m, safe=jnp.eye(2))
        return jnp.trace(pb.vmap(inverse)(regular, a).sum(0))

    slope, of_w = pb.grad(loss, (0, 1))(a, 1.0)
    np.testing.assert_allclose(slope, [np.zeros((2, 2)), -np.eye(2) / 4])
    np.testing.assert_allclose(of_w, -1.0)


def test_several_operands_and_trees():
    f = lambda x, y: nan_safe_where(
        y > 0, lambda x, y: {"ratio": x / y, "log": jnp.log(y)}, x, y, fallback={"ratio": 7.0, "log": 8.0}
    )
    x, y = jnp.array([1.0, 2.0]), jnp.array([0.0, 4.0])
    found = f(x, y)
    np.testing.assert_allclose(found["ratio"], [7, 0.5])
    np.testing.assert_allclose(found["log"], [8, np.log(4)], rtol=1e-6)
    slopes = pb.grad(lambda x, y: f(x, y)["ratio"].sum() + f(x, y)["log"].sum(), (0, 1))(x, y)
    np.testing.assert_allclose(slopes[0], [0, 0.25])
    np.testing.assert_allclose(slopes[1], [0, -2 / 16 + 1 / 4])

    tree = {"a": x, "b": (y,)}
    g = lambda t: nan_safe_where(t["b"][0] > 0, lambda t: t["a"] / t["b"][0], t, safe={"a": 1.0, "b": 2.0})
    np.testing.assert_allclose(g(tree), [0, 0.5])
    np.testing.assert_allclose(pb.grad(lambda t: g(t).sum())(tree)["b"][0], [0, -1 / 8])


def test_a_fallback_that_is_a_function_is_protected_too():
    f = lambda x: nan_safe_where(x > 0, jnp.log, x, fallback=lambda x: jnp.log(-x))
    x = jnp.array([-2.0, 4.0])
    np.testing.assert_allclose(f(x), np.log([2, 4]), rtol=1e-6)
    np.testing.assert_allclose(pb.grad(lambda x: f(x).sum())(x), [-0.5, 0.25])
    # A fallback has a derivative of its own.
    g = lambda x: nan_safe_where(x > 0, jnp.sqrt, x, fallback=3 * x)
    np.testing.assert_allclose(pb.grad(lambda x: g(x).sum())(jnp.array([-2.0, 4.0])), [3, 0.25])


def test_broadcasting():
    x, y = jnp.array([[1.0], [0.0]]), jnp.array([2.0, 4.0, 8.0])
    f = lambda x, y: nan_safe_where(x > 0, lambda x, y: y / x, x, y, fallback=jnp.array([[5.0], [6.0]]))
    np.testing.assert_allclose(f(x, y), [[2, 4, 8], [6, 6, 6]])
    np.testing.assert_allclose(pb.grad(lambda x: f(x, y).sum())(x), [[-14], [0]])
    assert nan_safe_where(jnp.zeros(0) > 0, jnp.log, jnp.zeros(0)).shape == (0,)


def test_norm_with_the_subgradient_zero():
    norm = lambda v: nan_safe_where(v @ v > 0, jnp.sqrt, v @ v)
    rows = jnp.array([[0.0, 0.0], [3.0, 4.0]])
    np.testing.assert_allclose(pb.vmap(pb.grad(norm))(rows), [[0, 0], [0.6, 0.8]], rtol=1e-6)
    whole = lambda v: nan_safe_where(jnp.any(v != 0), jnp.linalg.norm, v)
    np.testing.assert_allclose(pb.vmap(pb.grad(whole))(rows), [[0, 0], [0.6, 0.8]], rtol=1e-6)


def test_in_loops_and_branches():
    def f(x):
        def step(c, u):
            c = c - u
            return c, nan_safe_where(c > 0, jnp.sqrt, c)

        last, ys = lax.scan(step, x, jnp.ones(4))
        return ys.sum() + lax.cond(x > 0, lambda x: nan_safe_where(x > 9, jnp.log, x), lambda x: x, x)

    np.testing.assert_allclose(pb.grad(f)(2.5), 0.5 / np.sqrt(1.5) + 0.5 / np.sqrt(0.5), rtol=1e-5)
    loop = lambda x: lax.while_loop(
        lambda s: s[0] < 3, lambda s: (s[0] + 1, nan_safe_where(s[1] > 1, lambda x: jnp.log(x) + 1, s[1])), (0, x)
    )[1]
    assert np.isfinite(pb.grad(loop)(0.5))
    np.testing.assert_allclose(pb.grad(pb.checkpoint(f))(2.5), pb.grad(f)(2.5))


def test_debug_nans_is_quiet():
    with pb.debug_nans(True):
        np.testing.assert_allclose(
            pb.grad(lambda x: nan_safe_where(x > 0, jnp.log, x).sum())(jnp.array([0.0, 2.0])), [0, 0.5]
        )


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (TypeError, lambda: nan_safe_where(True, 3.0, 1.0)),
        (TypeError, lambda: nan_safe_where(True, jnp.sqrt)),
        (TypeError, lambda: nan_safe_where(True, jnp.sqrt, "text")),
        (TypeError, lambda: nan_safe_where(True, lambda x: "text", 1.0)),
        (TypeError, lambda: nan_safe_where(True, jnp.sqrt, 1.0, safe=1j)),
        (TypeError, lambda: nan_safe_where(pb.random.key(0), jnp.sqrt, 1.0)),
        (ValueError, lambda: nan_safe_where(jnp.ones(2) > 0, jnp.sqrt, jnp.ones(3))),
        (ValueError, lambda: nan_safe_where(jnp.ones(3) > 0, jnp.sum, jnp.ones(3))),
        (ValueError, lambda: nan_safe_where(True, lambda x, y: x, 1.0, 2.0, safe=(1.0, 2.0, 3.0))),
        (ValueError, lambda: nan_safe_where(True, lambda x: (x, x), 1.0, fallback=(1.0,))),
    ],
)
def test_errors(error, call):
    with pytest.raises(error, match="nan_safe_where"):
        call()


def test_messages_name_the_line_and_the_way_out():
    with pytest.raises(ValueError, match=r"(?s)test_safety\.py:\d+.*vmap"):
        nan_safe_where(jnp.ones(3) > 0, jnp.sum, jnp.ones(3))
