"""Random programs under random stacks of transformations.

A program maps an array to an array of the same shape, and each transformation here makes of such a function another, so that they nest.
What the outermost one gives is compared with what the values of the function inside say: differences for derivatives, a loop for
`vmap`, the function itself for what must change nothing. By induction the whole stack is right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import pullback as pb
import pullback.numpy as jnp
from pullback.core.jaxpr import eval_jaxpr

SHAPE = (2, 3)
Function = Callable[[Any], Any]

_rng = np.random.default_rng(0)
MATRIX, MASK = _rng.normal(size=(3, 3)) / 2, _rng.uniform(size=SHAPE) < 0.5
T, CT, SCALES = _rng.normal(size=SHAPE), _rng.normal(size=SHAPE), np.array([1.0, -0.5, 0.25])

# ---- programs ---------------------------------------------------------------------------------------------------

#: Operations on values of one shape; all are smooth and bounded on bounded arguments, so that differences are accurate.
UNARY: dict[str, Function] = {
    "sin": lambda x: jnp.sin(x),
    "tanh": lambda x: jnp.tanh(x),
    "square": lambda x: jnp.tanh(x) ** 2,
    "exp": lambda x: jnp.exp(jnp.sin(x)),
    "log": lambda x: jnp.log(2.0 + jnp.sin(x)),
    "sqrt": lambda x: jnp.sqrt(1.5 + jnp.cos(x)),
    "reshape": lambda x: jnp.reshape(x, (3, 2)).T,
    "reverse": lambda x: x[::-1],
    "gather": lambda x: x[:, jnp.array([2, 0, 0])],
    "update": lambda x: x.at[0, 1:].add(jnp.sin(x[1, :2])),
    "matmul": lambda x: x @ jnp.asarray(MATRIX),
    "mean": lambda x: x - jnp.mean(x, axis=1, keepdims=True),
    "sum": lambda x: jnp.broadcast_to(jnp.sum(jnp.sin(x), axis=0), SHAPE),
    "where": lambda x: jnp.where(MASK, x, jnp.cos(x)),
    "cumsum": lambda x: jnp.tanh(jnp.cumsum(x, axis=1)),
    "concatenate": lambda x: jnp.concatenate([x[1:], jnp.sin(x[:1])], axis=0),
    "normalize": lambda x: x / (1.0 + jnp.sum(x * x)),
    "constant": lambda x: jnp.ones(SHAPE) * 0.5,
    "stop": lambda x: x + pb.lax.stop_gradient(x) * 0,
}
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, y: jnp.sin(x + y),
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: jnp.sin(x) * jnp.cos(y),
    "div": lambda x, y: x / (1.0 + y * y),
    "dot": lambda x, y: jnp.tanh(jnp.dot(x, y.T)) @ y,
}

instructions = st.one_of(
    st.tuples(st.sampled_from(sorted(UNARY)), st.integers(0, 3), st.just(0)),
    st.tuples(st.sampled_from(sorted(BINARY)), st.integers(0, 3), st.integers(0, 3)),
)
programs = st.lists(instructions, min_size=1, max_size=6)


def function_of(program: list[tuple[str, int, int]]) -> Function:
    """The function of a program: each instruction takes some of the last values and adds one."""

    def function(x: Any) -> Any:
        values = [x]
        for name, i, j in program:
            a, b = values[-1 - i % len(values)], values[-1 - j % len(values)]
            values.append(UNARY[name](a) if name in UNARY else BINARY[name](a, b))
        return values[-1] + 0.1 * x

    return function


# ---- transformations, and what they must give --------------------------------------------------------------------


def by_jvp(f: Function) -> Function:
    return lambda x: pb.jvp(f, (x,), (jnp.asarray(T),))[1]


def by_linearize(f: Function) -> Function:
    return lambda x: pb.linearize(f, x)[1](jnp.asarray(T))


def by_vjp(f: Function) -> Function:
    return lambda x: pb.vjp(f, x)[1](jnp.asarray(CT))[0]


def by_transposed_linearization(f: Function) -> Function:
    return lambda x: pb.linearize(f, x)[1].T(jnp.asarray(CT))[0]


def by_grad(f: Function) -> Function:
    return pb.grad(lambda x: jnp.sum(f(x) * CT))


def by_vmap(f: Function) -> Function:
    return lambda x: jnp.sum(pb.vmap(f)(x * SCALES[:, None, None]), axis=0)


def by_vmap_of_last_axis(f: Function) -> Function:
    return lambda x: jnp.sum(pb.vmap(f, in_axes=-1, out_axes=1)(x[..., None] * SCALES), axis=1)


def by_checkpoint(f: Function) -> Function:
    return pb.checkpoint(f)


def by_program(f: Function) -> Function:
    return lambda x: eval_jaxpr(*_program(f, x), x)[0]


def _program(f: Function, x: Any) -> tuple[Any, Any]:
    closed = pb.make_jaxpr(f)(x)
    return closed.jaxpr, closed.consts


def difference(f: Function, x: Any, t: Any, h: float = 1e-5) -> Any:
    return (np.asarray(f(jnp.asarray(x + h * t))) - np.asarray(f(jnp.asarray(x - h * t)))) / (2 * h)


def expected_pushforward(f: Function, x: Any) -> Any:
    return difference(f, x, T)


def expected_pullback(f: Function, x: Any) -> Any:
    basis = np.eye(x.size).reshape(-1, *x.shape)
    return np.array([np.sum(CT * difference(f, x, e)) for e in basis]).reshape(x.shape)


def expected_loop(f: Function, x: Any) -> Any:
    return sum(np.asarray(f(jnp.asarray(x * s))) for s in SCALES)


def expected_value(f: Function, x: Any) -> Any:
    return np.asarray(f(jnp.asarray(x)))


TRANSFORMATIONS: dict[str, tuple[Callable[[Function], Function], Callable[[Function, Any], Any]]] = {
    "jvp": (by_jvp, expected_pushforward),
    "linearize": (by_linearize, expected_pushforward),
    "vjp": (by_vjp, expected_pullback),
    "transposed": (by_transposed_linearization, expected_pullback),
    "grad": (by_grad, expected_pullback),
    "vmap": (by_vmap, expected_loop),
    "vmap_last": (by_vmap_of_last_axis, expected_loop),
    "checkpoint": (by_checkpoint, expected_value),
    "program": (by_program, expected_value),
}
if hasattr(pb, "jit"):
    TRANSFORMATIONS["jit"] = (lambda f: pb.jit(f), expected_value)

stacks = st.lists(st.sampled_from(sorted(TRANSFORMATIONS)), min_size=1, max_size=3)
points = st.integers(0, 1000).map(lambda seed: np.random.default_rng(seed).uniform(-1, 1, SHAPE))


def assert_close(got: Any, expected: Any, scale: float, what: str) -> None:
    """Within what differences of functions of that scale can tell."""
    got = np.asarray(got)
    assert got.dtype == np.float64 and got.shape == SHAPE
    error = np.abs(got - expected).max()
    allowed = 1e-5 * (1.0 + np.abs(expected).max() + scale)
    assert error <= allowed, f"{what}: off by {error:.2g}, allowed {allowed:.2g}:\n{got}\nexpected\n{expected}"


@given(programs, stacks, points)
def test_stack_of_transformations(program: Any, stack: Any, x: Any) -> None:
    with pb.enable_x64(True):
        inside = function_of(program)
        for name in stack[:-1]:
            inside = TRANSFORMATIONS[name][0](inside)
        transform, expected = TRANSFORMATIONS[stack[-1]]
        scale = float(np.abs(np.asarray(inside(jnp.asarray(x)))).max())
        assert_close(transform(inside)(jnp.asarray(x)), expected(inside, x), scale, f"{stack} of {program}")


#: Pairs of stacks that give the same function, innermost first.
EQUAL = [
    (("jvp",), ("linearize",)),
    (("vjp",), ("transposed",)),
    (("vjp",), ("grad",)),
    (("jvp", "vjp"), ("linearize", "grad")),
    (("vjp", "jvp"), ("transposed", "linearize")),
    (("vmap",), ("vmap_last",)),
    (("vjp", "vmap"), ("grad", "vmap_last")),
    (("vmap", "vjp"), ("vmap_last", "transposed")),
    (("checkpoint", "vjp", "jvp"), ("vjp", "jvp")),
    (("vjp", "checkpoint", "vjp"), ("grad", "vjp")),
    (("program", "vjp"), ("vjp", "program")),
    (("program", "jvp"), ("jvp", "program")),
    (("program", "vmap"), ("vmap", "program")),
    (("jvp", "jvp", "jvp"), ("linearize", "linearize", "linearize")),
    (("vjp", "vjp", "vjp"), ("grad", "transposed", "grad")),
]


@given(programs, st.sampled_from(EQUAL), points)
def test_equal_stacks(program: Any, pair: Any, x: Any) -> None:
    with pb.enable_x64(True):
        results = []
        for stack in pair:
            f = function_of(program)
            for name in stack:
                f = TRANSFORMATIONS[name][0](f)
            results.append(np.asarray(f(jnp.asarray(x))))
    scale = 1.0 + np.abs(results[0]).max()
    assert np.allclose(results[0], results[1], rtol=0, atol=1e-11 * scale), (pair, program, results)


@given(programs, points)
def test_mixed_second_derivatives_commute(program: Any, x: Any) -> None:
    s = np.random.default_rng(1).normal(size=SHAPE)
    with pb.enable_x64(True):
        f = function_of(program)

        def along(g: Function, t: Any) -> Function:
            return lambda x: pb.jvp(g, (x,), (jnp.asarray(t),))[1]

        st_, ts = (np.asarray(along(along(f, a), b)(jnp.asarray(x))) for a, b in ((s, T), (T, s)))
    assert np.allclose(st_, ts, rtol=0, atol=1e-11 * (1 + np.abs(st_).max())), program


@given(programs, points)
def test_jacobians_agree(program: Any, x: Any) -> None:
    with pb.enable_x64(True):
        f = function_of(program)
        forward, reverse = (np.asarray(j(f)(jnp.asarray(x))) for j in (pb.jacfwd, pb.jacrev))
        matrix = np.asarray(pb.linearize(f, jnp.asarray(x))[1].to_matrix())
    assert forward.shape == SHAPE + SHAPE
    assert np.allclose(forward, reverse, rtol=0, atol=1e-11 * (1 + np.abs(forward).max())), program
    assert np.allclose(forward.reshape(6, 6), matrix, rtol=0, atol=1e-11 * (1 + np.abs(forward).max())), program


@given(programs, points)
def test_closed_over_tracers_are_constants(program: Any, x: Any) -> None:
    """∂/∂x [ f(x) · (∂/∂y f(y))(x) ]: the inner derivative sees x of the outer one as a constant where it is closed over."""
    with pb.enable_x64(True):
        f = function_of(program)

        def outer(x: Any) -> Any:
            inner = pb.grad(lambda y: jnp.sum(f(y) * x))(x)  # ∂/∂y of Σ f(y) x, at y = x
            return jnp.sum(inner * x)

        got = np.asarray(pb.grad(outer)(jnp.asarray(x)))

        def value(x: Any) -> float:
            return float(np.sum(np.asarray(pb.vjp(f, jnp.asarray(x))[1](jnp.asarray(x))[0]) * x))

        basis, h = np.eye(6).reshape(-1, *SHAPE), 1e-5
        expected = np.array([(value(x + h * e) - value(x - h * e)) / (2 * h) for e in basis]).reshape(SHAPE)
    assert_close(got, expected, float(np.abs(expected).max()), f"{program}")
