"""Random nests of control flow under random stacks of transformations, against the same programs in plain Python.

A nest is a tree of blocks, each a function from an array to one of the same shape. It is built twice: of `scan`, `while_loop`, `fori_loop`,
`cond`, `switch`, and of Python loops and `where`. Both are put under the same stack of transformations, and give the same numbers.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from tests.conftest import FULL
from tests.properties.test_programs import SHAPE, TRANSFORMATIONS, Function, T

WEIGHTS = np.random.default_rng(3).uniform(-1, 1, (4, *SHAPE))
LIMIT = 4.0
STEPS = 3

# ---- control flow, and what it means ----------------------------------------------------------------------------


class Structured:
    """The operations under test."""

    scan = staticmethod(lax.scan)
    while_loop = staticmethod(lax.while_loop)
    fori_loop = staticmethod(lax.fori_loop)
    switch = staticmethod(lax.switch)

    @staticmethod
    def cond(pred: Any, if_true: Function, if_false: Function, x: Any) -> Any:
        return lax.cond(pred, if_true, if_false, x)


class Unrolled:
    """The same in Python: loops run to a bound, and what they would not do is masked."""

    @staticmethod
    def scan(f: Any, carry: Any, xs: Any, reverse: bool = False, **_: Any) -> Any:
        ys: list[Any] = [None] * len(xs)
        for i in reversed(range(len(xs))) if reverse else range(len(xs)):
            carry, ys[i] = f(carry, xs[i])
        return carry, jnp.stack(ys)

    @staticmethod
    def while_loop(condition: Any, body: Any, state: Any, **_: Any) -> Any:
        for _ in range(STEPS + 1):
            goes_on = condition(state)
            state = pb.tree.map(lambda new, old, p=goes_on: jnp.where(p, new, old), body(state), state)
        return state

    @staticmethod
    def fori_loop(lower: int, upper: Any, body: Any, x: Any, **_: Any) -> Any:
        for i in range(lower, lower + STEPS):
            x = jnp.where(i < upper, body(jnp.int32(i), x), x)
        return x

    @staticmethod
    def cond(pred: Any, if_true: Function, if_false: Function, x: Any) -> Any:
        return jnp.where(pred, if_true(x), if_false(x))

    @staticmethod
    def switch(index: Any, branches: Any, x: Any) -> Any:
        out = branches[-1](x)
        for i in reversed(range(len(branches) - 1)):
            out = jnp.where(index <= i, branches[i](x), out)
        return out


# ---- blocks -----------------------------------------------------------------------------------------------------

#: Smooth and bounded, but for what depends on its sign.
LEAVES: dict[str, Callable[[Any, Any], Any]] = {
    "sin": lambda x, w: jnp.sin(x) * w,
    "tanh": lambda x, w: jnp.tanh(x + w),
    "mix": lambda x, w: x[::-1] * jnp.cos(w),
    "matrix": lambda x, w: jnp.tanh(x @ w.T) @ w,
    "constant": lambda x, w: w * 0.5,
    "shift": lambda x, w: jnp.sin(jnp.roll(x, 1, axis=1)) + x * 0.1,
}


def leaf(rng: random.Random) -> Any:
    name = rng.choice(sorted(LEAVES))
    return lambda system, w: lambda x: LEAVES[name](x, w)


def of_scan(rng: random.Random, inner: Any) -> Any:
    options = {"reverse": rng.random() < 0.5, "unroll": rng.choice([1, 1, 1, 2])}
    if rng.random() < 0.4:
        options["checkpoints"] = rng.choice([1, 2, "sqrt", "binomial"])
    length = rng.randint(1, 3)

    def build(system: Any, w: Any) -> Function:
        def function(x: Any) -> Any:
            def body(carry: Any, v: Any) -> Any:
                k, fixed, state = carry
                new = inner(system, w)(state) * jnp.cos(v) + 0.1 * fixed
                return (k + 1, fixed, new), new[0] * x[1] + k

            xs = jnp.asarray(WEIGHTS[:length]) * x[0]
            (k, _, last), ys = system.scan(body, (jnp.int32(0), jnp.sin(x), x), xs, **options)
            return last + 0.1 * jnp.sum(jnp.sin(ys), axis=0) * k

        return function

    return build


def of_while(rng: random.Random, inner: Any) -> Any:
    options = {} if rng.random() < 0.5 else {"checkpoints": rng.randint(1, 3)}
    steps, by_value = rng.randint(0, STEPS), rng.random() < 0.5

    def build(system: Any, w: Any) -> Function:
        def function(x: Any) -> Any:
            def goes_on(state: Any) -> Any:
                k, value = state
                return (k < steps) & (jnp.sum(value * value) < LIMIT) if by_value else k < steps

            def body(state: Any) -> Any:
                k, value = state
                return k + 1, 1.3 * inner(system, w)(value) + 0.2 * jnp.cos(x) + 0.3 * value

            return system.while_loop(goes_on, body, (jnp.int32(0), x), **options)[1]

        return function

    return build


def of_fori(rng: random.Random, inner: Any) -> Any:
    lower, steps, known = rng.randint(-1, 2), rng.randint(0, STEPS - 1), rng.random() < 0.5

    def build(system: Any, w: Any) -> Function:
        def function(x: Any) -> Any:
            def body(i: Any, value: Any) -> Any:
                return inner(system, w)(value) + jnp.sin(i * 0.5) * x

            upper = lower + steps if known else lower + steps + (x[0, 0] > 0).astype(jnp.int32)
            return system.fori_loop(lower, upper, body, x)

        return function

    return build


def of_cond(rng: random.Random, inner: Any, other: Any) -> Any:
    varying = rng.random() < 0.7

    def build(system: Any, w: Any) -> Function:
        def function(x: Any) -> Any:
            pred = x[0, 1] > 0.05 if varying else jnp.asarray(w)[0, 0] > 0
            return system.cond(pred, inner(system, w), lambda v: other(system, w)(v) * x, jnp.sin(x))

        return function

    return build


def of_switch(rng: random.Random, inner: Any, other: Any) -> Any:
    def build(system: Any, w: Any) -> Function:
        def function(x: Any) -> Any:
            index = jnp.floor(2.0 * x[1, 0]).astype(jnp.int32) + 1  # out of bounds at times
            branches = [inner(system, w), lambda v: v * jnp.sin(v), lambda v: other(system, w)(v) + x]
            return system.switch(index, branches, x)

        return function

    return build


def wrapped(wrap: Callable[[Function], Function], closes_over: bool = True) -> Any:
    """A block wrapped as a whole; rules of the user's must not close over values that are differentiated."""
    return lambda rng, inner: lambda system, w: wrap(inner(system, w if closes_over else jnp.asarray(WEIGHTS[1])))


def by_custom_jvp(f: Function) -> Function:
    """With a derivative that is not the function's: so one sees whether it is used."""
    g = pb.custom_jvp(f)
    g.defjvp(lambda primals, tangents: (g(*primals), 1.5 * pb.jvp(f, primals, tangents)[1]))
    return g


def by_custom_vjp(f: Function) -> Function:
    g = pb.custom_vjp(f)
    g.defvjp(lambda x: (f(x), x), lambda x, ct: (0.5 * pb.vjp(f, x)[1](ct)[0] + ct,))
    return g


ONE = {
    "scan": of_scan, "while": of_while, "fori": of_fori, "jit": wrapped(pb.jit), "checkpoint": wrapped(pb.checkpoint),
    "custom_jvp": wrapped(by_custom_jvp, False), "custom_vjp": wrapped(by_custom_vjp, False),
    "grad": wrapped(lambda f: pb.grad(lambda x: jnp.sum(jnp.sin(f(x))))),
    "vmap": wrapped(lambda f: lambda x: pb.vmap(f, in_axes=-1, out_axes=1)(jnp.stack([x, 0.5 * x], -1))[:, 0]),
    "jvp": wrapped(lambda f: lambda x: pb.jvp(f, (x,), (jnp.cos(x),))[1]),
}  # fmt: skip
TWO = {"cond": of_cond, "switch": of_switch}


def block(rng: random.Random, depth: int) -> Any:
    """A block of at most this depth."""
    if not depth:
        return leaf(rng)
    names = ["scan", "while", "fori"] * 2 + ["cond", "switch"] * 2 + sorted(ONE)
    name = rng.choice(names)
    if name in TWO:
        return TWO[name](rng, block(rng, depth - 1), block(rng, rng.randrange(depth)))
    return ONE[name](rng, block(rng, depth - 1))


STACKS = sorted({*TRANSFORMATIONS, "jacfwd"} - {"program"})


def applied(stack: list[str], f: Function) -> Function:
    for name in stack:
        if name == "jacfwd":
            f = lambda x, f=f: jnp.tensordot(pb.jacfwd(f)(x), jnp.asarray(T), 2)
        else:
            f = TRANSFORMATIONS[name][0](f)
    return f


def results(seed: int) -> tuple[str, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = random.Random(seed)
    build = block(rng, rng.choice([1, 2, 2, 3] if FULL else [1, 2, 2]))
    stack = [rng.choice(STACKS) for _ in range(rng.choice([1, 2, 2, 3]))]
    x = jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, SHAPE))
    w = jnp.asarray(WEIGHTS[seed % 4])

    def function(system: Any) -> Function:
        if seed % 3:  # the weights are constants, or traced too
            return build(system, w)
        return lambda x: build(system, jnp.asarray(WEIGHTS[0]) * jnp.cos(x))(x)

    got, expected = (np.asarray(applied(stack, function(s))(x)) for s in (Structured, Unrolled))
    return f"{stack}", got, expected


@pytest.mark.parametrize("seed", range(600 if FULL else 36))
def test_nest_under_stack(seed: int) -> None:
    with pb.enable_x64(True):
        what, got, expected = results(seed)
    scale = 1.0 + np.abs(expected).max()
    assert got.dtype == np.float64 and got.shape == SHAPE
    assert np.allclose(got, expected, rtol=0, atol=1e-9 * scale), f"seed {seed}, {what}:\n{got}\nexpected\n{expected}"
