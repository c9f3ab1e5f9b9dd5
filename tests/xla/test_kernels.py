"""Small loops as kernels: which are, that results are those of other loops, and that XLA does as it is told."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.xla import kernels

Y = np.linspace(-1, 1, 6).astype(np.float32)
STEPS = np.linspace(0, 1, 10 * 6).reshape(10, 6).astype(np.float32)


def small_loops(f: Any, *args: Any) -> int:
    return len(re.findall("func.call @loop", pb.jit(f).lower(*args).as_text()))


def repeated(step: Any) -> Any:
    return lambda y: pb.lax.scan(lambda c, x: (step(c) + 0.1 * x, c), y, STEPS)


def heun(y: Any) -> Any:
    def rhs(y: Any) -> Any:
        a, b, c, d, e, f = [y[i] for i in range(6)]
        return jnp.stack([jnp.sin(b) * c - a, a * d - b, a - c * e, b * c - d, f * a - e, jnp.tanh(e) - f])

    first = rhs(y)
    return y + 0.05 * (first + rhs(y + 0.1 * first))


def growing(y: Any) -> Any:
    return pb.lax.while_loop(lambda c: (c**2).sum() < 2, lambda c: c * 1.3 + 0.1, y) * 0.3


def branching(y: Any) -> Any:
    return pb.lax.cond(y[0] > 0, lambda y: y * 0.9, lambda y: jnp.sin(y) + 0.3, y)


BODIES = {
    "stacked scalars": heun,
    "matrix product": lambda y: jnp.tanh(jnp.outer(Y, Y) @ y),
    "a loop": growing,
    "branches": branching,
    "the rest": lambda y: (
        (y - y.mean() + jnp.max(y) + jnp.argmax(y)) * 0.1
        + (jnp.roll(y, 1) * 0.8 + jnp.flip(y) * 0.1 + y.reshape(2, 3).T.reshape(6) * 0.1)
        .astype(jnp.bfloat16)
        .astype(jnp.float32)
        + ((y * 100).astype(int) // 7 % 13 ^ 3) * 0.1
        + jnp.real(jnp.sqrt(y + 1j * y[jnp.argmin(y)])) * 0.01
    ),
}


def test_results_are_those_of_python_loops() -> None:
    def everything(y: Any) -> Any:
        values = {name: repeated(body) for name, body in BODIES.items()}
        return {name: (f(y), pb.grad(lambda y: f(y)[1].sum())(y)) for name, f in values.items()}

    assert small_loops(everything, Y) >= 2 * len(BODIES) - 1
    found = pb.jit(everything)(Y)
    with pb.disable_jit():
        expected = everything(jnp.asarray(Y))
    for name in BODIES:
        for x, y in zip(pb.tree.leaves(found[name]), pb.tree.leaves(expected[name]), strict=True):
            np.testing.assert_allclose(x, y, rtol=2e-5, atol=2e-6, err_msg=name)


def test_loops_that_are_not_small_are_loops_like_others() -> None:
    wide = np.ones(2000, np.float32)
    for f, y in (
        (repeated(lambda c: jnp.sort(c)), Y),
        (lambda y: pb.lax.fori_loop(0, 9, lambda i, c: c * 0.9, y), wide),
        (lambda y: pb.lax.fori_loop(0, 9, lambda i, c: pb.lax.optimization_barrier(c * 0.9), y), Y),
        (lambda y: pb.lax.fori_loop(0, 9, lambda i, c: pb.pure_callback(np.sin, c, c), y), Y),
        (lambda y: pb.lax.fori_loop(0, 9, lambda i, c: jnp.linalg.cholesky(jnp.outer(c, c) + jnp.eye(6))[0], y), Y),
    ):
        assert not small_loops(f, y)
    # But small ones in these are kernels, and what is read from and written to may be large.
    inner = lambda c: pb.lax.fori_loop(0, 9, lambda i, x: x * 0.9 + c[i], c[0])
    outer = lambda y: pb.lax.fori_loop(0, 3, lambda i, c: jnp.sort(c) * inner(c), y)
    assert small_loops(outer, Y) == 1
    expected = Y
    for _ in range(3):
        x = expected[0]
        for i in range(9):
            x = x * np.float32(0.9) + expected[min(i, 5)]
        expected = np.sort(expected) * x
    np.testing.assert_allclose(pb.jit(outer)(Y), expected, rtol=1e-5)
    assert (
        small_loops(
            lambda y: pb.lax.fori_loop(0, 9, lambda i, c: pb.lax.dynamic_update_index_in_dim(c, c[0], i, 0), y), wide
        )
        == 1
    )
    assert "@loop" not in pb.export.export(pb.jit(repeated(jnp.sin)))(Y).mlir_module()


def test_what_is_not_used_is_no_matter() -> None:
    """XLA ends the process if a kernel has an argument that nothing reads, and finds out late what is read."""
    xs = (STEPS, jnp.ones((10, 1), int), STEPS)
    step = lambda c, x: (c * 0.9 + x[0] + 0 * x[1], None)
    found = pb.jit(lambda y: pb.lax.scan(step, y, (y[0] + xs[0], xs[1] + y[1].astype(int), xs[2]))[0])(Y)
    expected = Y
    for x in STEPS:
        expected = expected * np.float32(0.9) + (x + Y[0])
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_kernel_that_xla_refuses_is_a_loop(monkeypatch: Any) -> None:
    monkeypatch.setattr(kernels, "_SMALL", kernels._SMALL | {"stablehlo.sort"})
    with pb.config.option("enable_compilation_cache")(False), pytest.warns(RuntimeWarning, match="fusion plan"):
        found = pb.jit(repeated(lambda c: jnp.sort(c) * 0.5))(Y)
    assert np.isfinite(np.asarray(found[0])).all()


def closed_over(k: Any, c: Any) -> Any:
    """Reductions of what is from outside of a loop: in its condition, in branches, in a loop within."""
    lax = pb.lax
    inner = lambda s: lax.while_loop(lambda s: s < jnp.max(k), lambda s: s + 1.0, s)
    c = lax.while_loop(lambda s: s < jnp.sum(k), lambda s: s + 1.0, c)
    c = lax.fori_loop(0, jnp.max(k).astype(int), lambda i, s: s + jnp.max(k) * i - inner(s * 0.0), c)
    return lax.fori_loop(0, 3, lambda i, s: lax.cond(i > 1, lambda s: s + jnp.max(k), lambda s: s * jnp.sum(k), s), c)


WEIGHTS = np.cos(np.arange(64, dtype=np.float32)).reshape(8, 8)
LOOPS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "a layer of several rows": (
        lambda w, h: pb.lax.fori_loop(0, 3, lambda i, h: jnp.tanh(h @ w + w[0]), h), (WEIGHTS, np.ones((2, 8), np.float32)),
    ),
    "rows of a product": (lambda c: pb.lax.fori_loop(0, 3, lambda i, c: c * 0.9 + (c @ c.T)[0] * 0.01, c), (WEIGHTS,)),
    "mapped products": (
        lambda h: pb.vmap(lambda h: pb.lax.scan(lambda h, x: (jnp.tanh(WEIGHTS @ h + x), None), h, WEIGHTS)[0])(h), (WEIGHTS,),
    ),
    "reductions from outside": (closed_over, (np.arange(5, dtype=np.float32), np.float32(0))),
    "reductions of large arrays": (
        lambda x: pb.lax.fori_loop(0, 30, lambda i, s: s.at[2 * i].set(jnp.max(s) * 1.1), x), (np.ones(5000, np.float32),),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.filterwarnings("error")
def test_loops_that_are_no_kernels_as_a_whole(name: str) -> None:
    fun, args = LOOPS[name]
    with pb.disable_jit():
        expected = fun(*args)
    np.testing.assert_allclose(pb.jit(fun)(*args), expected, rtol=1e-4, atol=1e-5)
