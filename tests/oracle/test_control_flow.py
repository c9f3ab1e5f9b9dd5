"""Loops and branches in both systems: values, shapes, dtypes, under stacks of transformations."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import pullback
from tests.oracle.systems import assert_equal, leaves, namespace, oracle, require_oracle

require_oracle()

_rng = np.random.default_rng(7)
ROWS, WEIGHTS, STATE = _rng.uniform(0.4, 1.2, (4, 3)), _rng.uniform(-0.7, 0.7, (3, 3)), _rng.uniform(0.2, 0.9, 3)


def recurrent(s: Any) -> Callable[..., Any]:
    """The last state and a sum of outputs, of a step with a counter, a constant carry, and weights closed over."""

    def f(h: Any, w: Any, xs: Any) -> Any:
        def step(carry: Any, x: Any) -> Any:
            i, h, scale = carry
            new = s.jnp.tanh(w @ h + x * scale) + 0.1 * h
            return (i + 1, new, scale), {"y": new * x, "i": i}

        (_, h, _), ys = s.lax.scan(step, (0, h, h[0]), xs, reverse=True)
        return s.jnp.sum(h * h) + s.jnp.sum(ys["y"] * ys["i"][:, None])

    return f


def nested(s: Any) -> Callable[..., Any]:
    """A scan of a scan with a cond in it, of checkpointed and custom functions."""

    @s.jax.custom_vjp
    def scaled(a: Any) -> Any:
        return 2.0 * a

    scaled.defvjp(lambda a: (scaled(a), a), lambda a, ct: (ct * s.jnp.cos(a),))

    def f(h: Any, w: Any, xs: Any) -> Any:
        def inner(c: Any, x: Any) -> Any:
            c = s.lax.cond(s.jnp.sum(c) > 1.0, lambda c: s.jnp.sin(c) * x, lambda c: c + s.jnp.sum(w[0]) * x, c)
            return c, s.jax.checkpoint(lambda c: s.jnp.sin(s.jnp.exp(-c)))(c)

        def outer(c: Any, x: Any) -> Any:
            c, ys = s.lax.scan(inner, scaled(c), x * s.jnp.ones((2, 3), x.dtype), unroll=2)
            return c, ys[1]

        c, ys = s.lax.scan(outer, h, xs)
        return s.jnp.sum(c) + s.jnp.sum(ys**2)

    return f


def forward(s: Any) -> Callable[..., Any]:
    """Loops that JAX differentiates in forward mode only."""

    def f(h: Any, w: Any, xs: Any) -> Any:
        def goes_on(state: Any) -> Any:
            return (state["i"] < 9) & (s.jnp.max(s.jnp.abs(state["h"])) < 2.0)

        def body(state: Any) -> Any:
            h = s.lax.switch(state["i"] % 3, [s.jnp.sin, lambda h: w @ h + h, lambda h: h * 1.4 + xs[1]], state["h"])
            return {"i": state["i"] + 1, "h": h, "w": state["w"]}

        state = s.lax.while_loop(goes_on, body, {"i": 0, "h": h, "w": w})
        return s.jnp.sum(s.lax.fori_loop(0, state["i"], lambda i, c: c * 0.9 + s.jnp.sin(c) * i, state["h"]))

    return f


def discrete(s: Any) -> Callable[..., Any]:
    """Integers, booleans, loops of no steps, and what is given for each element."""

    def f(h: Any, w: Any, xs: Any) -> Any:
        n = s.jnp.sum(xs > 0.7)
        i, found = s.lax.while_loop(
            lambda c: ~c[1] & (c[0] < 40), lambda c: (c[0] + n, (c[0] + n) % 5 == 4), (n, False)
        )
        total, _ = s.lax.scan(lambda c, x: (c ^ x, None), found, xs[:, 0] > 0.6)
        none, empty = s.lax.scan(lambda c, x: (c + 1, x * c), 2, xs[:0])
        each = s.lax.map(lambda x: (x @ w, s.jnp.argmax(x)), xs, batch_size=3)
        return i, total, none, empty, each, s.lax.fori_loop(1, n, lambda i, c: c + i, 0), h

    return f


F = Callable[..., Any]
#: What is made of a function of state, weights and inputs.
STACKS: dict[str, Callable[[Any, F], F]] = {
    "value": lambda s, f: f,
    "grad": lambda s, f: s.jax.grad(f, (0, 1, 2)),
    "jit vmap grad": lambda s, f: s.jax.jit(lambda h, w, xs: s.jax.vmap(s.jax.grad(f, (0, 1)), (0, None, None))(
        s.jnp.stack([h, 0.5 * h]), w, xs)),
    "grad vmap jit, closing over all": lambda s, f: s.jax.grad(lambda h, w, xs: s.jnp.sum(s.jax.vmap(
        lambda a: s.jax.jit(lambda b: f(b * h, w * a, xs * s.jnp.sin(h)))(h + a))(s.jnp.array([0.5, 1.0], h.dtype))), (0, 1)),
    "jacfwd of grad": lambda s, f: lambda h, w, xs: s.jax.jacfwd(s.jax.grad(f))(h, w, xs),
    "grad of jvp": lambda s, f: s.jax.jit(s.jax.grad(lambda h, w, xs: s.jax.jvp(f, (h, w, xs), (h, w, xs))[1], (0, 2))),
    "grad of grad": lambda s, f: s.jax.grad(lambda h, w, xs: s.jnp.sum(s.jnp.sin(s.jax.grad(f, 1)(h, w, xs))), 0),
    "jvp": lambda s, f: lambda h, w, xs: s.jax.jvp(f, (h, w, xs), (xs[0], w, s.jnp.cos(xs))),
    "vmap jvp of jvp": lambda s, f: lambda h, w, xs: s.jax.vmap(lambda a, x: s.jax.jvp(
        lambda h: s.jax.jvp(lambda h: f(h * a, w, x), (h,), (h,))[1], (h,), (h * h,))[1], (0, 2))(
            s.jnp.array([0.5, 1.0], h.dtype), s.jnp.stack([xs, xs * xs], 2)),
    "jit vmap of the weights": lambda s, f: s.jax.jit(lambda h, w, xs: s.jax.vmap(f, (None, 0, None))(h, s.jnp.stack([w, w.T, -w]), xs)),
    "linear transpose": lambda s, f: lambda h, w, xs: s.jax.linear_transpose(
        lambda t: s.jax.jvp(lambda h: f(h, w, xs), (h,), (t,))[1], h)(s.jnp.ones((), h.dtype)),
}  # fmt: skip

REVERSE = [
    "grad",
    "jit vmap grad",
    "grad vmap jit, closing over all",
    "jacfwd of grad",
    "grad of jvp",
    "linear transpose",
]
CASES = [
    *((recurrent, stack) for stack in ["grad of grad", "vmap jvp of jvp", *REVERSE[1:]]),
    *((nested, stack) for stack in REVERSE[:3]),
    *((forward, stack) for stack in ["value", "jvp", "vmap jvp of jvp", "jit vmap of the weights"]),
    *((discrete, stack) for stack in ["value", "jit vmap of the weights"]),
]


def outcome(system: str, function: Callable[[Any], F], stack: str, dtype: str) -> list[Any]:
    s = SimpleNamespace(**namespace(system))
    return leaves(STACKS[stack](s, function(s))(*(s.jnp.asarray(x, dtype) for x in (STATE, WEIGHTS, ROWS))))


@pytest.mark.filterwarnings("ignore")  # 32-bit mode narrows the constants
@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{f.__name__}: {stack}" for f, stack in CASES])
def test_control_flow(number: int) -> None:
    function, stack = CASES[number]
    x64 = number % 2 == 0
    dtype = "float64" if x64 else "float32"
    with pullback.enable_x64(x64), oracle().enable_x64(x64):
        results, expected_results = (outcome(system, function, stack, dtype) for system in ("pullback", "jax"))
    for got, expected in zip(results, expected_results, strict=True):
        assert got.shape == expected.shape and str(got.dtype) == str(expected.dtype)
        assert_equal(np.asarray(got), np.asarray(expected))
