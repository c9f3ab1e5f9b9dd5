"""Transformations and calls know nothing of each other: a toy of each, through everything; and what must not be written anywhere."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.control
import pullback.numpy as jnp
from pullback import lax
from pullback.core.array import Array, as_array
from pullback.core.primitive import Primitive, registry
from pullback.core.types import ShapedArray
from pullback.experimental import checkify
from pullback.test_util import check_grads
from pullback.transforms.call import CallPrimitive
from tests.transforms.toy_loop import iterate
from tests.transforms.toy_transformation import count_multiplications

X = 0.7


@pb.custom_jvp
def custom(x):
    return x * x * x


custom.defjvp(lambda primals, tangents: (custom(*primals), 3 * primals[0] ** 2 * tangents[0]))

# ---- a transformation -------------------------------------------------------------------------------------------

#: Functions of one number, and how many multiplications they take at X.
COUNTED = {
    "operations": (lambda x: x * x * jnp.sin(x), 2),
    "jit": (lambda x: pb.jit(lambda y: y * y)(x) * x, 2),
    "checkpoint": (lambda x: pb.checkpoint(lambda y: y * y)(x), 1),
    "custom rule": (custom, 2),
    "scan": (lambda x: lax.scan(lambda c, a: (c * a, c * c), x, jnp.arange(3.0))[0], 6),
    "scan of nothing": (lambda x: lax.scan(lambda c, a: (c + a, c), x, jnp.arange(3.0))[0] * x, 1),
    "while": (lambda x: lax.while_loop(lambda c: c < 10, lambda c: c * 3.0, x), 3),
    "while with a costly condition": (lambda x: lax.while_loop(lambda c: c * c < 10, lambda c: c * 3.0, x), 5),
    "cond": (lambda x: lax.cond(x > 0, lambda y: y * y * y, lambda y: y, x), 2),
    "cond, the other": (lambda x: lax.cond(x < 0, lambda y: y * y * y, lambda y: y, x), 0),
    "switch": (lambda x: lax.switch(jnp.int32(x) + 1, [lambda y: y, lambda y: y * y, lambda y: y * y * y], x), 1),
    "fori": (lambda x: lax.fori_loop(0, 4, lambda i, c: c * x, x), 4),
    "map": (lambda x: lax.map(lambda a: a * x, jnp.arange(5.0)).sum(), 5),
    "solve": (lambda x: lax.custom_linear_solve(lambda v: 2.0 * v, x, lambda f, b: b * 0.5, symmetric=True), 1),
    "root": (lambda x: lax.custom_root(lambda y: y * 2.0 - x, x, lambda f, y: y * 0.0 + x / 2, lambda g, y: y / g(1.0)), 1),
    "linear call": (lambda x: pb.custom_derivatives.linear_call(lambda r, v: r * v, lambda r, v: r * v, 2.0, x), 1),
    "scan of while of cond": (
        lambda x: lax.scan(
            lambda c, _: (lax.while_loop(lambda s: s < c + 2, lambda s: lax.cond(s > c + 0.5, lambda y: y * 2.0, lambda y: y + 1, s), c), None),
            x, None, length=2,
        )[0],
        2,
    ),
    "a loop of the user's": (lambda x: iterate(lambda c: c * x, 3, x), 3),
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTED)
def test_a_transformation_goes_through_everything(name: str) -> None:
    f, expected = COUNTED[name]
    for counted in (count_multiplications(f), pb.jit(count_multiplications(f)), count_multiplications(pb.jit(f))):
        count, y = counted(X)
        assert int(count) == expected
        np.testing.assert_allclose(y, f(X), rtol=1e-6)


@pytest.mark.parametrize("name", COUNTED)
def test_it_goes_around_and_inside_of_derivatives(name: str) -> None:
    f, expected = COUNTED[name]
    count, slope = count_multiplications(pb.grad(f))(X)
    assert int(count) >= (0 if expected == 0 else 1)
    np.testing.assert_allclose(slope, pb.grad(f)(X), rtol=1e-6)
    slope, count = pb.grad(lambda x: count_multiplications(f)(x)[::-1], has_aux=True)(X)
    assert int(count) == expected
    np.testing.assert_allclose(slope, pb.grad(f)(X), rtol=1e-5)


def test_elements_of_a_batch_have_counts_of_their_own() -> None:
    f = count_multiplications(lambda x: lax.while_loop(lambda c: c < 10, lambda c: c * 2.0, x))
    counts, _ = pb.vmap(f)(jnp.array([1.0, 4.0, 20.0]))
    assert counts.tolist() == [4, 2, 0]


# ---- a loop -----------------------------------------------------------------------------------------------------


def powers(x: Any) -> Any:
    return iterate(lambda c: (jnp.sin(c[0]) * c[1], c[1] + x), 3, (x, 1.0))[0]


def unrolled(x: Any) -> Any:
    c = (x, 1.0)
    for _ in range(3):
        c = (jnp.sin(c[0]) * c[1], c[1] + x)
    return c[0]


MODES: dict[str, Any] = {
    "value": lambda f: f,
    "jit": pb.jit,
    "grad": pb.grad,
    "jit of grad": lambda f: pb.jit(pb.grad(f)),
    "grad of jit": lambda f: pb.grad(pb.jit(f)),
    "jvp": lambda f: lambda x: pb.jvp(f, (x,), (1.0,))[1],
    "second derivative": lambda f: pb.grad(pb.grad(f)),
    "forward over reverse": lambda f: pb.jacfwd(pb.jacrev(f)),
    "vmap": lambda f: lambda x: pb.vmap(f)(jnp.stack([x, 2 * x])),
    "vmap of grad": lambda f: lambda x: pb.vmap(pb.grad(f))(jnp.stack([x, 2 * x])),
    "grad of vmap": lambda f: pb.grad(lambda x: pb.vmap(f)(jnp.stack([x, 2 * x])).sum()),
    "checkpoint": lambda f: pb.grad(pb.checkpoint(f)),
    "checkify": lambda f: lambda x: checkify.checkify(f, checkify.float_checks)(x)[1],
    "scan": lambda f: pb.grad(lambda x: lax.scan(lambda c, _: (f(c), None), x, None, length=2)[0]),
    "while": lambda f: pb.grad(lambda x: lax.while_loop(lambda c: c[0] < 2, lambda c: (c[0] + 1, f(c[1])), (0, x))[1]),
    "cond": lambda f: pb.grad(lambda x: lax.cond(x > 0, f, jnp.cos, x)),
}


@pytest.mark.parametrize("mode", MODES)
def test_a_loop_has_every_transformation(mode: str) -> None:
    np.testing.assert_allclose(MODES[mode](powers)(X), MODES[mode](unrolled)(X), rtol=1e-5)


def test_loops_of_loops() -> None:
    nested = lambda x: iterate(lambda c: iterate(lambda d: d * x, 2, c), 2, x)
    np.testing.assert_allclose(nested(X), X**5, rtol=1e-6)
    np.testing.assert_allclose(pb.grad(nested)(X), 5 * X**4, rtol=1e-5)


def test_a_check_in_a_loop_is_found() -> None:
    def step(c: Any) -> Any:
        checkify.check(c < 3, "{} is too much", c)
        return c + 1

    error, _ = checkify.checkify(lambda x: iterate(step, 5, x))(0.0)
    assert error.get().startswith("3.0 is too much")


# ---- a primitive ------------------------------------------------------------------------------------------------


class Smooth(Primitive):
    """log(1 + exp(x)), as another package may declare it."""

    name = "tests.smooth"

    def type_of(self, x: ShapedArray) -> ShapedArray:
        return x

    def jvp(self, primals: Any, tangents: Any) -> Any:
        (x,), (t,) = primals, tangents
        return self.bind(x), t * pb.nn.sigmoid(x)

    def batch(self, size: int, args: Any, axes: Any) -> Any:
        return self.bind(*args), axes[0]

    def expand(self, x: Any) -> Any:
        return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-abs(x)))


smooth_p = Smooth()


@pytest.mark.parametrize("mode", MODES)
def test_a_primitive_from_outside_has_every_transformation(mode: str) -> None:
    f, reference = (lambda x: smooth_p.bind(as_array(x)) ** 2), (lambda x: pb.nn.softplus(x) ** 2)
    np.testing.assert_allclose(MODES[mode](f)(X), MODES[mode](reference)(X), rtol=1e-5)


def test_its_derivatives_are_right() -> None:
    check_grads(lambda x: smooth_p.bind(x).sum(), (jnp.linspace(-2.0, 2.0, 5),), order=2)
    assert isinstance(smooth_p.bind(2.0), Array)


# ---- what must not be written anywhere --------------------------------------------------------------------------

#: What operations in loops and branches may say of themselves: what they are, and the two rules.
OF_CALLS = {
    "type_of",
    "lower",
    "expand",
    "apply",
    "runner",
    "lifted",
    "linearized",
    "step_program",
    "name",
    "inlined",
    "is_closed",
    "split",
}


@pytest.mark.parametrize("name", ["scan", "while", "cond", "reduce", "reduce_window"])
def test_no_control_primitive_has_a_method_for_one_transformation(name: str) -> None:
    methods: set[str] = set()
    for c in type(registry[name]).__mro__:
        if c.__module__.startswith("pullback.control"):
            methods |= {m for m, v in vars(c).items() if not m.startswith("_") and inspect.isroutine(v)}
    assert methods - OF_CALLS <= {"write", "with_batch_axis"}  # how a reduction is written, and of arrays of more axes


def test_no_trace_has_a_branch_for_one_primitive() -> None:
    """The traces of the transformations do not name any primitive."""
    names = {f"{n}_p" for n in registry} | {type(p).__name__ for p in registry.values() if isinstance(p, CallPrimitive)}
    for file in ("jvp", "linearize", "vmap", "lifting"):
        tree = ast.parse((Path(pb.__file__).parent / "transforms" / f"{file}.py").read_text())
        for trace in ast.walk(tree):
            if isinstance(trace, ast.ClassDef) and (trace.name.endswith("Trace") or file == "lifting"):
                used = {n.id for n in ast.walk(trace) if isinstance(n, ast.Name)}
                assert not (used & names) - {"broadcast_in_dim_p"}, trace.name
