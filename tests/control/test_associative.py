"""associative_scan: prefixes by any associative function, of trees, along any axis, from either end; with derivatives and batches."""

from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax

RNG = np.random.default_rng(0)


def affine(f: Any, g: Any) -> Any:
    """Affine functions one after the other: associative, not commutative."""
    return g[0] * f[0], g[0] * f[1] + g[1]


def recurrence(a: Any, b: Any) -> Any:
    out, s = [], 0.0
    for a_i, b_i in zip(a, b):
        s = a_i * s + b_i
        out.append(s)
    return out


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 7, 8])
def test_prefixes(length: int, reverse: bool) -> None:
    x = RNG.normal(size=(3, length)).astype(np.float32)
    expected = np.cumprod(x[:, ::-1], 1)[:, ::-1] if reverse else np.cumprod(x, 1)
    for axis in (1, -1):
        f = lambda x, axis=axis: lax.associative_scan(jnp.multiply, x, reverse=reverse, axis=axis)
        np.testing.assert_allclose(f(x), expected, rtol=1e-5)
        np.testing.assert_allclose(pb.jit(f)(x), expected, rtol=1e-5)


@pytest.mark.parametrize("length", [1, 2, 5, 8])
def test_order_is_kept(length: int) -> None:
    a, b = RNG.normal(size=(2, length)).astype(np.float32)
    np.testing.assert_allclose(lax.associative_scan(affine, (a, b))[1], recurrence(a, b), rtol=1e-4, atol=1e-5)
    backwards = lax.associative_scan(affine, (a, b), reverse=True)[1]
    np.testing.assert_allclose(backwards, recurrence(a[::-1], b[::-1])[::-1], rtol=1e-4, atol=1e-5)


def test_elements_of_many_types() -> None:
    last = lambda a, b: b
    zeros = lax.associative_scan(last, jnp.array([-0.0, 0.0, -0.0]))
    assert list(np.signbit(zeros)) == [True, False, True]
    assert list(lax.associative_scan(jnp.logical_or, jnp.array([False, True, False]))) == [False, True, True]
    assert lax.associative_scan(jnp.add, jnp.arange(3, dtype=jnp.int8)).dtype == jnp.int8
    keys = pb.random.split(pb.random.key(0), 3)
    for f in (lambda k: lax.associative_scan(last, k), pb.jit(lambda k: lax.associative_scan(last, k))):
        assert (pb.random.key_data(f(keys)) == pb.random.key_data(keys)).all()


def test_fn_is_applied_a_logarithmic_number_of_times() -> None:
    calls = []
    lax.associative_scan(lambda a, b: (calls.append(len(a)), a + b)[1], jnp.arange(1000))
    assert len(calls) < 20 and sum(calls) < 2000


def test_derivatives_and_batches() -> None:
    a, b = jnp.asarray(RNG.normal(size=(2, 5)), dtype=jnp.float32)
    f = lambda a, b: lax.associative_scan(affine, (a, b))[1].sum()
    plain = lambda a, b: sum(recurrence(list(a), list(b)))
    for transform in (lambda f: pb.grad(f, (0, 1)), lambda f: pb.hessian(f, 0), lambda f: pb.jit(pb.jacfwd(f, 1))):
        for got, expected in zip(pb.tree.leaves(transform(f)(a, b)), pb.tree.leaves(transform(plain)(a, b))):
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    rows = jnp.stack([a, 2 * a])
    mapped = pb.vmap(lambda a: lax.associative_scan(affine, (a, b))[1])(rows)
    np.testing.assert_allclose(mapped[1], lax.associative_scan(affine, (2 * a, b))[1], rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: lax.associative_scan(3, jnp.ones(2)), TypeError, "takes a function"),
        (lambda: lax.associative_scan(jnp.add, ()), ValueError, "at least one array"),
        (lambda: lax.associative_scan(jnp.add, {"a": "text"}), TypeError, "text"),
        (lambda: lax.associative_scan(jnp.add, jnp.ones(3), axis=1), ValueError, r"axis 1 is out of bounds.*\(3,\)"),
        (lambda: lax.associative_scan(jnp.add, jnp.ones(3), axis=0.5), TypeError, "axis must be an integer"),
        (lambda: lax.associative_scan(affine, (jnp.ones(3), jnp.ones(4))), ValueError, r"elems\[1\]: \(4,\)"),
        (lambda: lax.associative_scan(lambda a, b: (a, b), jnp.ones(3)), ValueError, "structure"),
        (lambda: lax.associative_scan(lambda a, b: (a + b)[None], jnp.ones(3)), TypeError, "keep the types"),
        (lambda: lax.associative_scan(lambda a, b: {"x": a["x"] > 0}, {"x": jnp.ones(3)}), TypeError, r"out\['x'\] it gave bool"),
    ],
)  # fmt: skip
def test_bad_input(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
