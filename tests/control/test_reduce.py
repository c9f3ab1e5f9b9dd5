"""reduce and reduce_window by general functions: values, order, derivatives, batches, closures, what is recognized, bad input."""

from functools import reduce as fold
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax

X = jnp.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def times(a: Any, b: Any) -> Any:
    """A product that is not recognized as one."""
    return (-a) * (-b)


def matmul(a: Any, b: Any) -> Any:
    """2 × 2 matrices as four numbers: associative, not commutative."""
    return (a[0] * b[0] + a[1] * b[2], a[0] * b[1] + a[1] * b[3], a[2] * b[0] + a[3] * b[2], a[2] * b[1] + a[3] * b[3])


ONE = (1.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("computation", "initial", "expected"),
    [
        (lax.add, 0.0, [5, 7, 9]),
        (lax.add, 1.0, [6, 8, 10]),
        (lax.mul, 1.0, [4, 10, 18]),
        (jnp.multiply, 2.0, [8, 20, 36]),
        (lax.max, 5.0, [5, 5, 6]),
        (lax.min, jnp.inf, [1, 2, 3]),
        (times, 1.0, [4, 10, 18]),
        (jnp.hypot, 0.0, np.hypot([1, 2, 3], [4, 5, 6])),
    ],
)
def test_values(computation: Any, initial: Any, expected: Any) -> None:
    f = lambda x: lax.reduce(x, initial, computation, (0,))
    for g in (f, pb.jit(f)):
        np.testing.assert_allclose(g(X), expected, rtol=1e-6)


def used(f: Any, x: Any) -> set[str]:
    return {e.primitive.name for e in pb.make_jaxpr(f)(x).eqns}


def test_known_operations_have_their_own_reductions() -> None:
    for computation, name in {
        lax.add: "reduce_sum",
        lax.mul: "reduce_prod",
        lax.max: "reduce_max",
        lax.min: "reduce_min",
    }.items():
        assert name in used(lambda x, c=computation: lax.reduce(x, 0.0, c, (0, 1)), X)
    for computation, name in {
        lax.bitwise_and: "reduce_and",
        lax.bitwise_or: "reduce_or",
        jnp.logical_xor: "reduce_xor",
    }.items():
        assert name in used(lambda x, c=computation: lax.reduce(x, False, c, (0,)), X > 2)
    assert "reduce" in used(lambda x: lax.reduce(x, 1.0, times, (0,)), X)


def test_the_compiler_s_own_reduction_is_used_where_it_can_be() -> None:
    text = pb.jit(lambda x: lax.reduce(x, 1.0, times, (0,))).lower(X).as_text()
    assert text.count("stablehlo.reduce") == 1
    closing = pb.jit(lambda x, q: lax.reduce(x, 1.0, lambda a, b: a * b * q[0], (0,))).lower(X, X[0]).as_text()
    assert "stablehlo.reduce" not in closing.replace("stablehlo.reduce_", "")


def test_a_region_has_no_barriers() -> None:
    """The fusion plan wants one in a chain with very many paths: XLA ends the process if it stands in a reduction."""

    def many_paths(a: Any, b: Any) -> Any:
        for _ in range(20):
            a = a + a * b
        return a

    x = np.array([1e-3, 2e-3])
    expected = many_paths(1.0, many_paths(x[0], x[1]))
    np.testing.assert_allclose(lax.reduce(jnp.asarray(x), 1.0, many_paths, (0,)), expected, rtol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_order_is_kept(count: int) -> None:
    entries = [jnp.asarray(np.random.default_rng(i).normal(size=count), dtype=jnp.float32) for i in range(4)]
    matrices = np.stack(entries, -1).reshape(count, 2, 2)
    f = lambda *xs: jnp.stack(lax.reduce(xs, ONE, matmul, (0,))).reshape(2, 2)
    for g in (f, pb.jit(f), lambda *xs: pb.linearize(f, *xs)[0]):  # the last one goes by pairs
        np.testing.assert_allclose(g(*entries), fold(np.matmul, matrices), rtol=1e-4, atol=1e-5)
    derivative = pb.jacrev(f, 1)(*entries)
    np.testing.assert_allclose(derivative, pb.jacfwd(f, 1)(*entries), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1), (1, 0)])
def test_derivatives(axes: tuple[int, ...]) -> None:
    f = lambda x: (lax.reduce(x, 1.0, times, axes) ** 2).sum()
    plain = lambda x: (jnp.prod(x, axes) ** 2).sum()
    for transform in (
        pb.grad, pb.hessian, lambda f: pb.jit(pb.grad(f)), lambda f: pb.jacrev(pb.jacrev(f)),
        lambda f: lambda x: pb.jvp(f, (x,), (x,))[1], lambda f: pb.grad(lambda x: pb.jvp(f, (x,), (x,))[1]),
    ):  # fmt: skip
        np.testing.assert_allclose(transform(f)(X), transform(plain)(X), rtol=1e-5)


def test_initial_values_and_closures_are_differentiated_and_batched() -> None:
    f = lambda start, q: lax.reduce(X, start, lambda a, b: a * b * q[0], (1,)).sum()
    start, q = jnp.float32(2.0), jnp.array([0.5, 1.0])
    plain = lambda start, q: (start * q[0] ** 3 * jnp.prod(X, 1)).sum()
    for transform in (lambda f: pb.grad(f, (0, 1)), lambda f: pb.jit(pb.jacfwd(f, 1)), lambda f: pb.hessian(f, 1)):
        for got, expected in zip(pb.tree.leaves(transform(f)(start, q)), pb.tree.leaves(transform(plain)(start, q))):
            np.testing.assert_allclose(got, expected, rtol=1e-5)
    starts = jnp.array([1.0, 3.0])
    np.testing.assert_allclose(pb.vmap(f, (0, None))(starts, q), pb.vmap(plain, (0, None))(starts, q), rtol=1e-5)
    rows = pb.vmap(lambda x: lax.reduce(x, 1.0, times, (0,)), 1)(X)
    np.testing.assert_allclose(rows, [4, 10, 18])


def test_operations_on_more_than_scalars_and_loops_in_the_computation() -> None:
    looping = lambda a, b: lax.fori_loop(0, 2, lambda i, v: v * 1.0, a * b)
    np.testing.assert_allclose(lax.reduce(X, 1.0, looping, (1,)), [6, 120])
    np.testing.assert_allclose(
        pb.grad(lambda x: lax.reduce(x, 1.0, looping, (0, 1)))(X), 720 / np.asarray(X), rtol=1e-5
    )


def test_empty_reductions_and_no_dimensions() -> None:
    np.testing.assert_array_equal(lax.reduce(jnp.zeros((0, 2)), 5.0, times, (0,)), [5, 5])
    assert lax.reduce(jnp.zeros((2, 0)), 5.0, times, (0,)).shape == (0,)
    np.testing.assert_array_equal(lax.reduce(X, 1.0, times, ()), X)
    np.testing.assert_array_equal(
        pb.grad(lambda x: lax.reduce(x, 5.0, times, (0,)).sum())(jnp.zeros((0, 2))), np.zeros((0, 2))
    )


def test_dtypes_are_those_of_the_operands() -> None:
    assert lax.reduce(X.astype(jnp.bfloat16), 1, times, (0,)).dtype == jnp.bfloat16
    assert lax.reduce(X.astype(jnp.int32), 1.0, times, (0,)).dtype == jnp.int32
    total, product = lax.reduce((X, X.astype(int)), (0.0, 1), lambda a, b: (a[0] + b[0], a[1] * b[1]), (0,))
    np.testing.assert_array_equal(total, [5, 7, 9])
    np.testing.assert_array_equal(product, [4, 10, 18])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: lax.reduce(X, 0.0, 3, (0,)), TypeError, "takes a function"),
        (lambda: lax.reduce((X, X), 0.0, times, (0,)), ValueError, "structure"),
        (lambda: lax.reduce((), (), times, (0,)), ValueError, "at least one operand"),
        (lambda: lax.reduce(X, jnp.zeros(2), times, (0,)), ValueError, r"scalars, got shape \(2,\)"),
        (lambda: lax.reduce((X, X[0]), (0.0, 0.0), lambda a, b: a, (0,)), ValueError, r"one shape.*\(2, 3\).*\(3,\)"),
        (lambda: lax.reduce(X, 0.0, times, (-1,)), ValueError, "out of bounds"),
        (lambda: lax.reduce(X, 0.0, times, (2,)), ValueError, "out of bounds"),
        (lambda: lax.reduce(X, 0.0, times, (0, 0)), ValueError, "twice"),
        (lambda: lax.reduce(X, 0.0, times, (0.5,)), TypeError, "integers"),
        (lambda: lax.reduce((X, X), (0.0, 0.0), lambda a, b: a[0], (0,)), ValueError, "must give what it combines"),
        (lambda: lax.reduce(X, 0.0, lambda a, b: (a + b).astype(int), (0,)), ValueError, r"int32\[\] for float32\[\]"),
        (lambda: lax.reduce_window(X, 0.0, times, (2,)), TypeError, "one entry for each axis"),
        (lambda: lax.reduce_window(X, 0.0, times, (2, 0)), TypeError, "positive"),
    ],
)  # fmt: skip
def test_bad_input(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


# ---- windows ----------------------------------------------------------------------------------------------------


def test_windows_of_general_functions_have_derivatives() -> None:
    windows = lambda f: lambda x: lax.reduce_window(x, 1.0, f, (1, 2), (1, 1), "SAME")
    by_hand = lambda x: jnp.concatenate([x[:, :-1] * x[:, 1:], x[:, -1:]], 1)
    for computation in (times, lax.mul):
        f = lambda x, c=computation: (windows(c)(x) ** 2).sum()
        plain = lambda x: (by_hand(x) ** 2).sum()
        for transform in (lambda f: f, pb.grad, pb.hessian, lambda f: pb.jit(pb.grad(f)), pb.jacfwd):
            np.testing.assert_allclose(transform(f)(X), transform(plain)(X), rtol=1e-5)
    q = jnp.array([2.0, 3.0])
    scaled = lambda q: lax.reduce_window(X, 1.0, lambda a, b: a * b * q[0], (1, 2)).sum()
    np.testing.assert_allclose(pb.grad(scaled)(q), [2 * 2 * (2 + 6 + 20 + 30), 0])
    starts = pb.vmap(lambda x, start: lax.reduce_window(x, start, lax.mul, (2,)))(X, jnp.array([1.0, 2.0]))
    np.testing.assert_allclose(starts, [[2, 6], [40, 60]])
