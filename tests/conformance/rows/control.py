"""Rows of `control/`: loops and branches, whose derivatives and vectorizations are loops and branches of derived programs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pullback.control.branches import cond, switch
from pullback.control.loops import fori_loop, map, scan, while_loop
from pullback.control.platforms import platform_dependent
from pullback.core.array import as_array
from pullback.core.jaxpr import run
from pullback.core.tree import tree_leaves
from pullback.lax import functions as lax
from pullback.lax.reductions import reduce_max, reduce_sum
from pullback.lax.shape import convert_element_type
from pullback.random import split, uniform, wrap_key_data
from pullback.transforms.custom_jvp import custom_jvp
from pullback.transforms.derivatives import grad
from pullback.transforms.tracing import make_jaxpr
from tests.conformance.table import Row, sample

VECTOR, MATRIX, OTHER = sample((3,)), sample((4, 3), seed=1), sample((3,), seed=2)
COMPLEX = (sample((2,), np.complex128), sample((3, 2), np.complex128, seed=1))
FLOAT32 = (VECTOR.astype(np.float32), MATRIX.astype(np.float32))
EMPTY, NONE_LONG = np.zeros((0,)), np.zeros((0, 3))
SINGLE, SCALAR = np.asarray(0.7), np.asarray(1.3)
WEIGHTS = sample((3,), seed=5)


def staged(fun: Any) -> Any:
    """The function as a program, in which bounds and branches are not known before it runs."""
    return lambda *xs: run(make_jaxpr(fun)(*xs), *[as_array(x) for x in xs])


def recurrence(carry: Any, x: Any) -> Any:
    """Both results nonlinear in both arguments."""
    new = lax.sin(carry * x) + 0.5 * carry
    return new, new * x


def scanned(**options: Any) -> Any:
    return lambda init, xs: list(scan(recurrence, init, xs, **options))


# ---- scan -------------------------------------------------------------------------------------------------------


def with_constants(init: Any, xs: Any, w: Any) -> list[Any]:
    """Constants, traced and known, and what is computed of them alone; a carry that no step changes."""

    def step(carry: Any, x: Any) -> Any:
        fixed, state = carry
        state = lax.tanh(lax.exp(w) * state + x * WEIGHTS) * lax.sin(fixed)
        return (fixed, state), state

    (_, last), ys = scan(step, (w, init), xs)
    return [last, ys]


def counting(init: Any, xs: Any) -> list[Any]:
    """Integers and booleans in the carry, in the outputs, and deciding what is computed."""

    def step(carry: Any, x: Any) -> Any:
        i, flag, state = carry
        state = state * lax.cos(x) + convert_element_type(i, state.dtype)
        return (i + 2, ~flag, state), {"i": i * i, "flag": flag, "state": state}

    (i, flag, last), ys = scan(step, (np.int32(1), reduce_max(init, (0,)) > 10, init), xs)
    return [i, flag, last, ys["flag"], ys["i"], ys["state"]]


def of_trees(a: Any, b: Any, xs: Any) -> Any:
    """Trees everywhere, None among them; carries that swap places."""

    def step(carry: Any, x: Any) -> Any:
        swapped = {"a": carry["b"][0] * x["x"], "b": (lax.sin(carry["a"]), None)}
        return swapped, [carry["a"], (x["x"] * carry["b"][0], None)]

    last, ys = scan(step, {"a": a, "b": (b, None)}, {"x": xs, "none": None}, reverse=True)
    return [last["a"], last["b"][0], ys[0], ys[1][0]]


def with_keys(x: Any, data: Any) -> list[Any]:
    def step(carry: Any, _: Any) -> Any:
        state, k = carry
        k, used = split(k)
        return (lax.sin(state + uniform(used, state.shape, state.dtype)), k), used

    (last, _), used = scan(step, (x, wrap_key_data(data)), length=3)
    return [last, uniform(used[0], (2,))]


@custom_jvp
def doubled(x: Any) -> Any:
    return 2.0 * lax.sin(x)


doubled.defjvp(lambda primals, tangents: (doubled(*primals), 2.0 * lax.cos(primals[0]) * tangents[0]))


def nested(init: Any, xs: Any) -> list[Any]:
    def step(carry: Any, x: Any) -> Any:
        inner, ys = scan(recurrence, carry, np.ones((2, 1)) * x)
        return doubled(inner), ys

    return list(scan(step, init, xs))


SCAN = [
    Row("scan", "carry-and-inputs", scanned(), (VECTOR, MATRIX)),
    Row("scan", "reverse", scanned(reverse=True), (VECTOR, MATRIX), vmap=False, note="over a batch as the others"),
    Row("scan", "unrolled-with-a-rest", scanned(unroll=3), (VECTOR, MATRIX), order=1, vmap=False,
        note="over a batch, and to second order, as the others"),
    Row("scan", "unrolled-in-reverse", scanned(unroll=2, reverse=True), (VECTOR, MATRIX), order=1, vmap=False, note="over a batch as the others"),
    Row("scan", "written-out", scanned(unroll=True), (VECTOR, MATRIX), order=1, vmap=False, note="over a batch as the others"),
    Row("scan", "no-carry", lambda xs: scan(lambda _, x: (None, lax.sin(x) * x), None, xs)[1], (MATRIX,)),
    Row("scan", "no-inputs", lambda x: scan(lambda c, _: (lax.sin(c) * x, c), x, length=4), (VECTOR,)),
    Row("scan", "no-outputs", lambda x, xs: scan(lambda c, v: (lax.cos(c * v), None), x, xs)[0], (VECTOR, MATRIX)),
    Row("scan", "outputs-without-steps-between", lambda x, xs: scan(lambda c, v: (c, lax.sin(c) * v), x, xs)[1], (VECTOR, MATRIX)),
    Row("scan", "constants", with_constants, (VECTOR, MATRIX, OTHER)),
    Row("scan", "integers-and-booleans", counting, (VECTOR, MATRIX)),
    Row("scan", "discrete", lambda i: scan(lambda c, x: (c * 2 + x, c > x), i[0], i), (np.arange(4),), order=0),
    Row("scan", "trees", of_trees, (VECTOR, OTHER, MATRIX)),
    Row("scan", "keys", with_keys, (VECTOR, np.array([1, 2], np.uint32))),
    Row("scan", "of-a-while", lambda x: scan(lambda c, v: (until(3.0)(c) * lax.cos(v), c), x, MATRIX[:2]), (OTHER,), order=1),
    Row("scan", "nested", nested, (VECTOR, MATRIX[:2]), vmap=False, note="over a batch in tests/properties"),
    Row("scan", "one-step", scanned(), (VECTOR, MATRIX[:1]), order=1, vmap=False, note="over a batch as the others"),
    Row("scan", "no-steps", scanned(), (VECTOR, NONE_LONG)),
    Row("scan", "no-steps-reverse", scanned(reverse=True, unroll=True), (VECTOR, NONE_LONG), order=1, vmap=False, note="over a batch as the others"),
    Row("scan", "empty", scanned(), (EMPTY, np.zeros((3, 0)))),
    Row("scan", "scalars", scanned(), (SINGLE, VECTOR)),
    Row("scan", "complex", scanned(), COMPLEX, vmap=False, note="over a batch as the others"),
    Row("scan", "float32", scanned(), FLOAT32, tol=1e-2, order=1, vmap=False, note="over a batch as the others"),
    Row("scan", "checkpoints-1", scanned(checkpoints=1), (VECTOR, MATRIX), vmap=False, note="over a batch as the others"),
    Row("scan", "checkpoints-2", scanned(checkpoints=2), (VECTOR, sample((7, 3)))),
    Row("scan", "checkpoints-sqrt", scanned(checkpoints="sqrt", reverse=True), (VECTOR, MATRIX), order=1, vmap=False,
        note="over a batch as the others"),
    Row("scan", "checkpoints-binomial", scanned(checkpoints="binomial"), (SINGLE, sample((9,))), order=1, vmap=False,
        note="over a batch as the others"),
    Row("scan", "checkpoints-no-steps", scanned(checkpoints=3), (VECTOR, NONE_LONG), order=1),
    Row("scan", "checkpoints-complex", scanned(checkpoints=2), COMPLEX, order=1, vmap=False, note="over a batch as the others"),
    Row("scan", "checkpoints-constants",
        lambda x, w: scan(lambda c, _: (lax.sin(c * w) + w, c), x, length=5, checkpoints=2), (VECTOR, OTHER)),
    Row("scan", "fori", lambda x: fori_loop(2, 6, lambda i, c: lax.sin(c) * convert_element_type(i, c.dtype), x), (VECTOR,)),
    Row("scan", "map", lambda xs, w: map(lambda x: lax.sin(x) * w, xs), (MATRIX, OTHER)),
    Row("scan", "map-in-batches", lambda xs: map(lambda x: lax.sin(x) * x[0], xs, batch_size=3), (MATRIX,), order=1),
]  # fmt: skip

# ---- while ------------------------------------------------------------------------------------------------------


def until(limit: float, **options: Any) -> Any:
    """A loop whose number of iterations depends on the argument, away from where it changes."""

    def loop(x: Any) -> Any:
        def goes_on(state: Any) -> Any:
            return (state[0] < 12) & (reduce_max(lax.abs(state[1]), tuple(range(x.ndim))) < limit)

        return while_loop(goes_on, lambda s: (s[0] + 1, s[1] * 1.25 + 0.25 * lax.sin(s[1])), (0, x), **options)[1]

    return loop


def bounded(x: Any, w: Any, n: Any) -> Any:
    """A `while` wherever the bound is not known."""
    return fori_loop(0, n, lambda i, c: lax.sin(c * w) + convert_element_type(i, c.dtype), x)


def while_with_keys(x: Any, data: Any) -> Any:
    def body(state: Any) -> Any:
        i, k, value = state
        k, used = split(k)
        return i + 1, k, lax.sin(value + uniform(used, value.shape, value.dtype))

    return while_loop(lambda s: s[0] < 5, body, (0, wrap_key_data(data), x))[2]


def limit_of_both(x: Any, y: Any) -> Any:
    """The condition closes over an argument too, and the body over what does not change."""
    return while_loop(lambda c: c[0] < lax.abs(y[0]) * 8, lambda c: c * 1.5 + lax.exp(y * 0.5), lax.abs(x))


WHILE = [
    Row("while", "until", until(5.0), (VECTOR,)),
    Row("while", "no-iterations", until(0.0), (VECTOR,)),
    Row("while", "two-slots", until(6.0, checkpoints=2), (VECTOR,), vmap=False, note="over a batch as the others"),
    Row("while", "one-slot", until(6.0, checkpoints=1), (OTHER,), order=1, vmap=False, note="over a batch as the others"),
    Row("while", "more-slots-than-steps", until(6.0, checkpoints=50), (VECTOR,), order=1, vmap=False, note="over a batch as the others"),
    Row("while", "closures", limit_of_both, (VECTOR, OTHER)),
    Row("while", "bounds-that-are-arguments", staged(lambda x, n: bounded(x, OTHER, n)), (VECTOR, np.asarray(5, np.int32))),
    Row("while", "bound-zero", staged(bounded), (VECTOR, OTHER, np.asarray(0, np.int32)), order=1, vmap=False,
        note="over a batch as the others"),
    Row("while", "keys", while_with_keys, (VECTOR, np.array([1, 2], np.uint32)), order=1),
    Row("while", "integers", lambda n: while_loop(lambda s: s[0] > 1, lambda s: (s[0] // 2, s[1] + s[0]), (n, 0)),
        (np.asarray(37),), order=0),
    Row("while", "booleans", lambda n: while_loop(lambda s: s[1], lambda s: (s[0] - 1, s[0] > 3), (n, True)),
        (np.asarray(9),), order=0),
    Row("while", "scalars", until(5.0), (SINGLE,), order=1, vmap=False, note="over a batch as the others"),
    Row("while", "empty", staged(lambda x, n: bounded(x, x, n)), (EMPTY, np.asarray(3, np.int32)), order=1),
    Row("while", "complex", until(5.0), COMPLEX[:1], order=1, vmap=False, note="over a batch as the others"),
    Row("while", "float32", until(5.0), FLOAT32[:1], tol=1e-2, order=1, vmap=False, note="over a batch as the others"),
]  # fmt: skip

# ---- cond -------------------------------------------------------------------------------------------------------


def expensive(x: Any) -> Any:
    """Something that is worth leaving out."""
    return scan(lambda c, _: (lax.sin(c), None), x, length=2)[0]


def choose(i: Any, x: Any, w: Any) -> Any:
    branches = [lambda v: (v * w, lax.sin(v)), lambda v: (lax.exp(w), v), lambda v: (expensive(v), v * v * w)]
    return switch(i, branches, x)


def number(i: int) -> np.ndarray[Any, Any]:
    return np.asarray(i, np.int32)


COND = [
    Row("cond", "of-a-value", lambda x: cond(x[0] < x[1], lax.sin, lambda v: v * x[0], x), (VECTOR,)),
    Row("cond", "false", lambda p, x: cond(p, lax.exp, lambda v: v * v, x), (np.asarray(False), VECTOR)),
    Row("cond", "true", lambda p, x: cond(p, lax.exp, lambda v: v * v, x), (np.asarray(True), VECTOR)),
    Row("platform_dependent", "plain", staged(lambda x, y: platform_dependent(x, y, cpu=lambda x, y: lax.sin(x) * y, default=lax.add)),
        (VECTOR, OTHER)),
    Row("cond", "a-number", lambda p, x: cond(p, expensive, lax.cos, x), (np.asarray(2), VECTOR)),
    *(Row("cond", f"switch-{i}", choose, (number(i), VECTOR, OTHER)) for i in (-1, 0, 1, 2, 7)),
    Row("cond", "several-numbers", lambda i, x: [switch(i[k], [lax.sin, expensive, lambda v: v * x], x) for k in range(3)],
        (np.arange(3), VECTOR), order=1),
    Row("cond", "constant-branch", lambda p, x: cond(p, lambda: x * WEIGHTS, lambda: WEIGHTS), (np.asarray(True), VECTOR)),
    Row("cond", "one-branch", lambda x: cond(x[0] > -9, lambda v: [lax.sin(v), v], lambda v: [v * 0, v], x), (VECTOR,), order=1),
    Row("cond", "integers", lambda p, i: cond(p, lambda v: (v + 1, v > 0), lambda v: (v * 2, v < 0), i),
        (np.asarray(True), np.arange(3)), order=0),
    Row("cond", "mixed", lambda p, x, i: cond(p, lambda: (x * i, i), lambda: (lax.sin(x), i + 1)),
        (np.asarray(False), VECTOR, np.arange(3)), order=1),
    Row("cond", "keys", lambda p, x, d: uniform(cond(p, lambda k: split(k)[0], lambda k: k, wrap_key_data(d)), (3,)) * x,
        (np.asarray(True), VECTOR, np.array([1, 2], np.uint32)), order=1),
    Row("cond", "scalars", lambda p, x: cond(p, lax.sin, lax.cos, x), (np.asarray(True), SINGLE)),
    Row("cond", "empty", lambda p, x: cond(p, lax.sin, expensive, x), (np.asarray(True), EMPTY), order=1),
    Row("cond", "complex", lambda p, x: cond(p, lax.sin, lambda v: v * v, x), (np.asarray(False), COMPLEX[0])),
    Row("cond", "float32", lambda p, x: cond(p, lax.sin, expensive, x), (np.asarray(False), FLOAT32[0]), tol=1e-2, order=1),
    Row("scan", "of-a-cond", lambda p, x, xs: scan(lambda c, v: (cond(p & (v[0] > 0), lax.sin, lambda u: u * v, c), c), x, xs),
        (np.asarray(True), VECTOR, MATRIX)),
]  # fmt: skip

# ---- derivatives of checkpointed loops --------------------------------------------------------------------------


def gradient(loop: Any) -> Any:
    """The gradient of the sum of what the loop gives: the forward loop that keeps states, and the loop that runs back."""
    return grad(lambda x, *args: sum(reduce_sum(y, tuple(range(y.ndim))) for y in tree_leaves(loop(x, *args))))


CHECKPOINTED = [
    Row("checkpointed_loop", "scan", lambda x: gradient(scanned(checkpoints=2))(x, MATRIX), (VECTOR,), order=1),
    Row("checkpointed_loop", "while", gradient(until(6.0, checkpoints=2)), (VECTOR,), order=1),
    Row("checkpointed_loop", "complex", lambda x: gradient(lambda x: lax.abs(until(5.0)(x)))(x), (COMPLEX[0],), order=0),
]  # fmt: skip


ROWS = [*SCAN, *WHILE, *(replace(row, fun=staged(row.fun)) for row in COND), *CHECKPOINTED]
