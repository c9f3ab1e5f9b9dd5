"""Taylor mode: values against nested `jvp`, closed forms and differences; cost; compositions; bad input."""

from __future__ import annotations

import math
import os
import warnings
import zlib
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.experimental.jet as experimental_jet
import pullback.numpy as jnp
import pullback.scipy.sparse.linalg
import pullback.scipy.special
from pullback import interpreters, lax
from pullback.core import dtypes
from pullback.core.jaxpr import subjaxprs
from pullback.core.tree import tree_leaves
from pullback.derivatives import directional_derivatives, jet, taylor_coefficients
from pullback.derivatives.taylor import zero_series, zero_term
from pullback.experimental.ode import odeint
from pullback.extend.core import Primitive
from tests.conformance import checks
from tests.conformance.table import Row, all_rows


@pytest.fixture(autouse=True)
def in_float64() -> Any:
    with pb.enable_x64(True):
        yield


def nested(f: Any, x: Any, v: Any, order: int) -> list[Any]:
    """The derivatives of orders 0 to `order` along `v`, by one `jvp` in another."""
    found = []
    for _ in range(order + 1):
        found.append(f(x))
        f = lambda x, g=f: pb.jvp(g, (x,), (v,))[1]
    return found


def assert_equal_trees(found: Any, expected: Any, rtol: float = 1e-8, atol: float = 1e-9) -> None:
    a, b = tree_leaves(found), tree_leaves(expected)
    assert len(a) == len(b)
    for x, y in zip(map(np.asarray, a), map(np.asarray, b)):
        assert x.shape == y.shape and x.dtype == y.dtype
        if x.dtype != dtypes.float0:
            scale = float(np.abs(y).max(initial=1.0))
            np.testing.assert_allclose(x, y, rtol=rtol, atol=atol * scale)


def agree(f: Any, x: Any, order: int = 5, v: Any = None, **tolerances: float) -> None:
    """Check the derivatives of `f` along `v`, by default of ones, eagerly and compiled."""
    if v is None:
        v = pb.tree.map(lambda x: jnp.ones_like(x) * 0.7, x)
    expected = nested(f, x, v, order)
    assert_equal_trees(directional_derivatives(f, x, v, order), expected, **tolerances)
    assert_equal_trees(pb.jit(lambda x, v: directional_derivatives(f, x, v, order))(x, v), expected, **tolerances)


# ---- every primitive -------------------------------------------------------------------------------------------

FULL = os.environ.get("PULLBACK_TEST_SAMPLE") == "full"

#: Primitives whose rows are not compared, each with the reason.
NOT_COMPARED = {"odeint": "derivatives are those of the equation to the solver's tolerance: see below"}


def _sample() -> list[Row]:
    """One row of each primitive that has a derivative, and every eighth of the others; or all."""
    rows, seen = [], set()
    for row in all_rows():
        if row.order < 1 or row.primitive in NOT_COMPARED or not row.args:
            continue
        if FULL or row.primitive not in seen or (row.order > 1 and not zlib.crc32(str(row).encode()) % 8):
            rows.append(row)
        seen.add(row.primitive)
    return rows


ROWS = _sample()


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_derivatives_of_every_primitive(row: Row) -> None:
    args = checks.arrays(row)
    outs = checks.outputs(row, *args)
    which, active = checks.inexact(outs), checks.inexact(args)
    if not which or not active:
        return
    f = checks.differentiable(row, active, which)
    xs = tuple(args[i] for i in active)
    vs = tuple(checks.random_like(x, checks.generator(row)) for x in xs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        order = 3 if row.order > 1 else 1
        found = directional_derivatives(lambda xs: f(*xs), xs, vs, order)
        expected = nested(lambda xs: f(*xs), xs, vs, order)
    rounding = checks.epsilon(*xs, *outs)
    for k, (a, b) in enumerate(zip(found, expected)):
        tol = rounding ** (0.7 if k < 2 else 0.5)
        for x, y in zip(a, b):
            assert x.shape == y.shape and x.dtype == y.dtype
            x, y = checks.wide(x), checks.wide(y)
            scale = np.abs(y[np.isfinite(y)]).max(initial=1.0)
            np.testing.assert_allclose(x, y, rtol=tol, atol=tol * scale)


# ---- closed forms, high orders ---------------------------------------------------------------------------------


def _series_of_tan(order: int) -> list[float]:
    """Taylor coefficients of tan at 0, by tan' = 1 + tan²."""
    c = [0.0]
    for k in range(order):
        c.append(((k == 0) + sum(c[j] * c[k - j] for j in range(k + 1))) / (k + 1))
    return c


ORDER = 20
CLOSED_FORMS = {
    "exp": (jnp.exp, 0.0, [1 / math.factorial(k) for k in range(ORDER + 1)]),
    "geometric": (lambda x: 1 / (1 - x), 0.0, [1.0] * (ORDER + 1)),
    "sin": (jnp.sin, 0.0, [[0, 1, 0, -1][k % 4] / math.factorial(k) for k in range(ORDER + 1)]),
    "log": (jnp.log, 1.0, [0.0, *((-1) ** (k + 1) / k for k in range(1, ORDER + 1))]),
    "sqrt": (jnp.sqrt, 1.0, [math.prod((0.5 - i) / (i + 1) for i in range(k)) for k in range(ORDER + 1)]),
    "tan": (jnp.tan, 0.0, _series_of_tan(ORDER)),
    "arctan": (jnp.arctan, 0.0, [0.0 if k % 2 == 0 else (-1) ** (k // 2) / k for k in range(ORDER + 1)]),
    "power": (lambda x: x**7, 2.0, [math.comb(7, k) * 2.0 ** (7 - k) for k in range(ORDER + 1)]),
    "power at 0": (lambda x: x**3, 0.0, [float(k == 3) for k in range(ORDER + 1)]),
    "float power at 0": (lambda x: x**3.0, 0.0, [float(k == 3) for k in range(ORDER + 1)]),
}


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_closed_forms_at_order_20(name: str) -> None:
    f, x, expected = CLOSED_FORMS[name]
    found = taylor_coefficients(f, jnp.float64(x), jnp.float64(1.0), ORDER)
    np.testing.assert_allclose(np.array(found), expected, rtol=1e-12, atol=1e-15)
    compiled = pb.jit(lambda x: taylor_coefficients(f, x, 1.0, ORDER))(jnp.float64(x))
    np.testing.assert_allclose(np.array(compiled), expected, rtol=1e-12, atol=1e-15)


def test_complex_coefficients_are_those_of_the_circle() -> None:
    """Cauchy's formula: the discrete Fourier transform of values on a circle."""
    f = lambda z: jnp.exp(jnp.sin(z)) / (2 + z)
    centre, radius, n = 0.3 + 0.2j, 0.7, 64
    circle = centre + radius * np.exp(2j * np.pi * np.arange(n) / n)
    expected = np.fft.fft(np.asarray(f(jnp.asarray(circle)))) / n / radius ** np.arange(n)
    found = taylor_coefficients(f, jnp.complex128(centre), jnp.complex128(1.0), 12)
    np.testing.assert_allclose(np.array(found), expected[:13], rtol=1e-10)


def test_the_solution_of_an_equation_by_its_taylor_series() -> None:
    """y' = f(y), y(0) = y₀: coefficient k + 1 of y is coefficient k of f(y), over k + 1."""

    def f(y: Any) -> Any:
        return jnp.stack([y[1], -jnp.sin(y[0])])

    def step(y: Any, h: float, order: int) -> Any:
        terms: list[Any] = []
        for k in range(order):
            first, rest = jet(f, (y,), (terms,), factorial_scaled=False)
            terms.append([first, *rest][k] / (k + 1))
        return y + sum(t * h ** (k + 1) for k, t in enumerate(terms))

    y = start = jnp.array([1.0, 0.5])
    for _ in range(10):
        y = step(y, 0.1, 15)
    expected = odeint(lambda y, t: f(y), start, jnp.array([0.0, 1.0]), rtol=1e-12, atol=1e-12)[-1]
    np.testing.assert_allclose(y, expected, rtol=1e-10)


# ---- cost --------------------------------------------------------------------------------------------------------


def equations(f: Any, x: Any, order: int) -> int:
    """The number of equations of the program for all derivatives up to an order."""

    def count(program: Any) -> int:
        return sum(1 + sum(map(count, subjaxprs(e.params))) for e in program.eqns)

    return count(pb.make_jaxpr(lambda x: directional_derivatives(f, x, x, order))(x))


@pb.custom_jvp
def squashed(x: Any) -> Any:
    return 1 / (1 + jnp.exp(-x))


@squashed.defjvp
def _squashed_rule(primals: Any, tangents: Any) -> Any:
    (x,), (t,) = primals, tangents
    return squashed(x), squashed(x) * (1 - squashed(x)) * t  # three calls of itself


@pb.custom_vjp
def doubled_sine(x: Any) -> Any:
    return 2 * jnp.sin(x)


doubled_sine.defvjp(lambda x: (doubled_sine(x), x), lambda x, ct: (2 * jnp.cos(x) * ct,))

COSTS = {
    "tanh": jnp.tanh,
    "elementary": lambda x: jnp.exp(jnp.sin(x)) * jnp.log(2 + x) / jnp.cosh(x),
    "power": lambda x: x**2.5,
    "digamma": lax.digamma,  # each polygamma function is the derivative of the one before
    "erf": lax.erf,
    "igamma": lambda x: lax.igamma(2.0, x),
    "bessel_jn": lambda x: pb.scipy.special.bessel_jn(x, v=3)[2],
    "sph_harm": lambda x: pb.scipy.special.sph_harm_y(jnp.array([3]), jnp.array([1]), x, 0.2).real,
    "determinant": lambda x: jnp.linalg.det(x * jnp.eye(3) + 1),
    "solve": lambda x: jnp.linalg.solve(x * jnp.eye(3) + 1, jnp.ones(3)),
    "scan": lambda x: lax.fori_loop(0, 5, lambda _, c: jnp.sin(c) * c, x),
    "custom_jvp": squashed,
    "custom_vjp": doubled_sine,
    "root": lambda x: pb.lax.custom_root(
        lambda y: y**3 + y - x, 0.5, lambda f, y: y, lambda g, y: y / g(1.0)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COSTS)
def test_cost_is_polynomial_in_the_order(name: str) -> None:
    """Twice the order: four times as many equations if the cost is quadratic, eight times if cubic; nested `jvp`s
    would have more than a hundred times as many."""
    x = jnp.float64(0.6) if name not in ("bessel_jn", "sph_harm") else jnp.array([0.6])
    few, many = (equations(COSTS[name], x, order) for order in (8, 16))
    assert many < 9 * few
    assert many < 60000


# ---- calls, loops, branches --------------------------------------------------------------------------------------

W = np.array([[0.3, -0.5, 0.2], [0.1, 0.7, -0.4], [-0.6, 0.2, 0.5]])


def _while(x: Any) -> Any:
    return lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, jnp.sin(s[1]) * x + s[1]), (0, x))[1]


def _scan(x: Any) -> Any:
    def step(carry: Any, v: Any) -> Any:
        c = jnp.tanh(W @ carry + v)
        return c, c * v

    last, outs = lax.scan(step, x, x * np.arange(4.0)[:, None])
    return last, outs.sum(0)


def _branches(x: Any) -> Any:
    index = jnp.argmax(x)
    return lax.switch(index, [lambda x: x * 2, lambda x: jnp.exp(x) * x, lambda x: jnp.zeros_like(x)], x)


def _iteration(x: Any) -> Any:
    a = jnp.eye(3) * 3 + W * x
    return pb.scipy.sparse.linalg.cg(lambda v: a @ (a.T @ v), x, tol=1e-13)[0]


VECTOR = np.array([0.4, 0.9, -0.3])
FUNCTIONS = {
    "perceptron": lambda x: jnp.sum(jnp.tanh(W @ jnp.tanh(W @ x)) ** 2),
    "matrices": lambda x: (x * W) @ (jnp.sin(x) * W.T) @ x,
    "outer product": lambda x: jnp.outer(x, jnp.sin(x)),
    "convolution": lambda x: jnp.convolve(x, jnp.exp(x)),
    "fori_loop": lambda x: lax.fori_loop(0, 3, lambda i, c: c * jnp.cos(c) + i, x),
    "while_loop": _while,
    "scan": _scan,
    "scan of integers": lambda x: lax.scan(lambda c, n: (c * x**n, n), x, np.arange(3))[0],
    "cond": lambda x: lax.cond(x[0] > 0.2, jnp.sin, lambda x: x * x, x),
    "switch": _branches,
    "map": lambda x: lax.map(lambda v: jnp.sin(v) * x, x),
    "vmap": lambda x: pb.vmap(lambda v: jnp.exp(v) * x)(x),
    "jit": lambda x: pb.jit(lambda y: jnp.sin(y) * x)(x * x),
    "checkpoint": pb.checkpoint(lambda x: jnp.sin(jnp.exp(x))),
    "associative_scan": lambda x: lax.associative_scan(jnp.multiply, x),
    "reduce": lambda x: lax.reduce(x, 1.0, lambda a, b: a * b + jnp.sin(a), (0,)),
    "grad": pb.grad(lambda x: jnp.prod(x) * jnp.sin(x[0])),
    "grad of a loop": pb.grad(lambda x: jnp.sum(_while(x))),
    "hessian": pb.hessian(lambda x: jnp.sum(jnp.exp(x) * x[::-1])),
    "jvp": lambda x: pb.jvp(lambda y: jnp.sin(y * x), (x,), (x,))[1],
    "linearize": lambda x: pb.linearize(jnp.sin, x)[1](x),
    "custom_jvp": lambda x: squashed(x * 2) * x,
    "custom_vjp": lambda x: doubled_sine(x * 2) * x,
    "custom_jvp in a scan": lambda x: lax.scan(lambda c, _: (squashed(c) + x, None), x, None, length=3)[0],
    "custom_vjp in jit": lambda x: pb.jit(doubled_sine)(x) * x,
    "linear solve": _iteration,
    "root": lambda x: lax.custom_root(
        lambda y: y**3 + y - x, jnp.ones(3),
        lambda f, y: lax.fori_loop(0, 40, lambda _, y: y - f(y) / (3 * y * y + 1), y),
        lambda g, y: y / g(jnp.ones(3)),
    ),
    "linear_call": lambda x: pb.custom_derivatives.linear_call(
        lambda r, y: r * y, lambda r, ct: r * ct, jnp.exp(x), jnp.sin(x)
    ),
    "linear_call of a constant": lambda x: pb.custom_derivatives.linear_call(
        lambda r, y: r * y, lambda r, ct: r * ct, W[0], jnp.sin(x)
    ),
    "optimization_barrier": lambda x: lax.optimization_barrier(jnp.sin(x)) * x,
    "stop_gradient": lambda x: lax.stop_gradient(jnp.sin(x)) * x,
    "where": lambda x: jnp.where(x > 0, jnp.sqrt(jnp.abs(x)), x * x),
    "integers": lambda x: (x * 3, jnp.argsort(x), x > 0, jnp.floor(x)),
    "random": lambda x: x * pb.random.normal(pb.random.key(0), (3,)),
    "gamma samples": lambda x: pb.random.gamma(pb.random.key(0), 2 + x),
    "tree": lambda x: {"a": (x, None), "b": [jnp.sin(x), 3.0]},
    "eigenvalues": lambda x: jnp.linalg.eigh(W + W.T + jnp.outer(x, x))[0],
    "logsumexp": lambda x: pb.nn.logsumexp(x * W, axis=0),
    "complex": lambda x: jnp.abs(jnp.exp(1j * x) * (x + 2j)),
    "fft": lambda x: jnp.fft.fft(jnp.sin(x)),
    "float32": lambda x: jnp.sin(x.astype(np.float32)).astype(np.float64) * 0 + x,
}  # fmt: skip


#: Orders to check, where 4 takes long to compile, or loses too many digits.
ORDERS = {"gamma samples": 1, "eigenvalues": 3, "grad of a loop": 3, "linear solve": 3}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_compositions(name: str) -> None:
    agree(FUNCTIONS[name], jnp.asarray(VECTOR), order=ORDERS.get(name, 4), rtol=1e-7, atol=1e-8)


def test_initial_value_problems() -> None:
    def solution(x: Any) -> Any:
        # In the initial state, a parameter and the times.
        times = jnp.array([0.0, 0.5, 1.0]) * x[2] ** 2 + 0.1 * x[1]
        return odeint(lambda y, t, a: -a * y * jnp.sin(t) + y**2 * 0.1, x[0], times, x[1], rtol=1e-11, atol=1e-11)

    x = jnp.array([0.8, 0.6, 0.9])
    agree(solution, x, order=2, rtol=1e-6, atol=1e-6)
    fixed = lambda x: odeint(
        lambda y, t, a: -a * y * jnp.sin(t), x[:1], jnp.linspace(0.0, 1.0, 3), x[1], rtol=1e-11, atol=1e-11
    )
    agree(lambda x: pb.vmap(fixed)(jnp.stack([x, x * x])), x, order=2, rtol=1e-7, atol=1e-7)


def test_what_functions_with_rules_close_over() -> None:
    """Derivatives in the arguments are the rule's, in what the function closes over its own."""

    def of_jvp(x: Any) -> Any:
        scale = jnp.exp(x)
        f = pb.custom_jvp(lambda y: scale * y**2)
        f.defjvp(lambda primals, tangents: (scale * primals[0] ** 2, 2 * scale * primals[0] * tangents[0]))
        return f(jnp.sin(x))

    def of_vjp(x: Any) -> Any:
        scale = jnp.exp(x)
        f = pb.custom_vjp(lambda y: scale * y**2)
        f.defvjp(lambda y: (scale * y**2, y), lambda y, ct: (2 * scale * y * ct,))
        return f(jnp.sin(x)) * x

    def inner(x: Any) -> Any:
        # A rule that itself has a function that closes over its argument.
        f = pb.custom_jvp(lambda y: y**2)

        @f.defjvp
        def rule(primals: Any, tangents: Any) -> Any:
            (y,), (t,) = primals, tangents
            g = pb.custom_jvp(lambda z: y * z)
            g.defjvp(lambda primals, tangents: (y * primals[0], y * tangents[0]))
            return f(y), (g(y) / y + y) * t

        return f(jnp.sin(x)) * x

    plain = lambda x: jnp.exp(x) * jnp.sin(x) ** 2
    x, v = jnp.float64(0.7), jnp.float64(1.0)
    for f, g in ((of_jvp, plain), (of_vjp, lambda x: plain(x) * x), (inner, lambda x: jnp.sin(x) ** 2 * x)):
        expected = nested(g, x, v, 5)
        for way in (f, pb.jit(f), lambda x: lax.scan(lambda c, _: (c, f(c)), x, None, length=1)[1][0]):
            assert_equal_trees(directional_derivatives(way, x, v, 5), expected)


def test_a_rule_that_says_something_else_is_followed() -> None:
    f = pb.custom_jvp(lambda x: x**2)
    f.defjvp(lambda primals, tangents: (f(*primals), 10 * primals[0] * tangents[0]))
    assert [float(d) for d in directional_derivatives(f, 3.0, 1.0, 3)] == [9.0, 30.0, 10.0, 0.0]
    assert [float(d) for d in directional_derivatives(pb.jit(f), 3.0, 1.0, 3)] == [9.0, 30.0, 10.0, 0.0]


def test_loops_in_rules() -> None:
    f = pb.custom_jvp(lambda x: lax.fori_loop(0, 3, lambda _, c: jnp.sin(c), x))

    @f.defjvp
    def rule(primals: Any, tangents: Any) -> Any:
        (x,), (t,) = primals, tangents
        slope = lambda c: (jnp.sin(c[0]), jnp.cos(c[0]) * c[1])
        return f(x), lax.fori_loop(0, 3, lambda _, c: slope(c), (x, t))[1]

    agree(lambda x: f(x) * x, jnp.asarray(VECTOR), order=4)


# ---- other transformations around it -----------------------------------------------------------------------------


def test_under_other_transformations() -> None:
    f = lambda x: jnp.sum(jnp.tanh(W @ x) * x)
    third = lambda x, v: directional_derivatives(f, x, v, 3)[3]
    by_jvp = lambda x, v: nested(f, x, v, 3)[3]
    x, v = jnp.asarray(VECTOR), jnp.array([1.0, -0.5, 0.2])
    for transform in (
        pb.grad,
        lambda f: pb.grad(f, argnums=1),
        pb.jit,
        lambda f: pb.jit(pb.grad(f)),
        lambda f: pb.vmap(f, in_axes=(None, 0)),
        lambda f: lambda x, v: pb.jvp(lambda x: f(x, x), (x,), (v,))[1],
        lambda f: lambda x, v: jet(lambda x: f(x, v), (x,), ([v, x],)),
        lambda f: lambda x, v: lax.map(lambda x: f(x, v), jnp.stack([x, v])),
        lambda f: lambda x, v: pb.jacrev(lambda x: f(x, v))(x),
        lambda f: pb.checkpoint(f),
    ):
        rows = jnp.stack([v, x]) if transform(by_jvp).__name__.startswith("vmap") else v
        assert_equal_trees(transform(third)(x, rows), transform(by_jvp)(x, rows), rtol=1e-7)


def test_jets_of_jets_and_outer_values() -> None:
    """A jet of another one's coefficients: each knows its own variable."""
    f = lambda x, y: jnp.sin(x * y) * jnp.exp(x)
    inner = lambda y: directional_derivatives(lambda x: f(x, y), jnp.float64(0.3), 1.0, 2)[2]
    found = directional_derivatives(inner, jnp.float64(0.5), 1.0, 3)
    by_jvp = nested(
        lambda y: nested(lambda x: f(x, y), jnp.float64(0.3), jnp.float64(1.0), 2)[2],
        jnp.float64(0.5),
        jnp.float64(1.0),
        3,
    )
    assert_equal_trees(found, by_jvp)


def test_python_control_flow_on_values() -> None:
    f = lambda x: jnp.sin(x) if x > 0 else x**2
    assert float(directional_derivatives(f, -2.0, 1.0, 2)[2]) == 2.0
    with pytest.raises(pb.errors.TracerBoolConversionError):
        pb.jit(lambda x: directional_derivatives(f, x, 1.0, 2))(1.0)


# ---- conventions -------------------------------------------------------------------------------------------------


def test_series_are_derivatives_or_coefficients() -> None:
    """By Faà di Bruno's formula, f'' = f''(x) x'² + f'(x) x''."""
    x, x1, x2 = 0.125, 0.75, 3.0
    y, (y1, y2) = jet(jnp.sin, (x,), ([x1, x2],))
    assert float(y) == pytest.approx(math.sin(x))
    assert float(y1) == pytest.approx(math.cos(x) * x1)
    assert float(y2) == pytest.approx(-math.sin(x) * x1**2 + math.cos(x) * x2)
    y, (c1, c2) = jet(jnp.sin, (x,), ([x1, x2 / 2],), factorial_scaled=False)
    assert float(c1) == pytest.approx(float(y1)) and float(c2) == pytest.approx(float(y2) / 2)


def test_trees_and_constants() -> None:
    f = lambda p, n, z: {"a": p["w"] * z + n, "n": n, "c": 2.0}
    p, s = {"w": jnp.ones(2)}, {"w": [jnp.ones(2), np.zeros(2), jnp.zeros(2)]}
    y, terms = jet(f, (p, 3, 2.0), (s, zero_series, [0.0, zero_term, 6.0]))
    assert list(y) == ["a", "c", "n"] and [len(t) for t in terms.values()] == [3, 3, 3]
    np.testing.assert_array_equal(np.stack(terms["a"]), [[2.0, 2.0], [0.0, 0.0], [6.0, 6.0]])
    assert terms["n"][0].dtype == dtypes.float0 and [float(t) for t in terms["c"]] == [0.0, 0.0, 0.0]
    # What comes out goes in again.
    assert_equal_trees(jet(lambda t: t["a"], (y,), (terms,))[1], terms["a"])


def test_no_terms_no_results_no_elements() -> None:
    assert jet(jnp.sin, (0.5,), ([],))[1] == []
    assert jet(lambda x: (), (0.5,), ([1.0],)) == ((), ())
    assert taylor_coefficients(lambda x: (), 0.5, 1.0, 2) == [(), (), ()]
    assert [c.shape for c in taylor_coefficients(jnp.sin, jnp.zeros((0, 2)), jnp.zeros((0, 2)), 2)] == [(0, 2)] * 3
    assert [float(c) for c in taylor_coefficients(jnp.exp, 0.0, 1.0, 0)] == [1.0]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64"])
def test_types_are_kept(dtype: str) -> None:
    x = jnp.ones(3, dtype)
    y, terms = jet(lambda x: jnp.tanh(x) * x, (x,), ([x, x, x],))
    assert {t.dtype for t in (y, *terms)} == {x.dtype}
    expected = jet(lambda x: jnp.tanh(x) * x, (x.astype(complex),), ([x.astype(complex)] * 3,))[1]
    np.testing.assert_allclose(np.stack(terms).astype(complex), np.stack(expected), rtol=0.1 if "16" in dtype else 1e-4)


def test_weak_types_follow_the_value() -> None:
    with pb.enable_x64(False):
        y, terms = jet(jnp.sin, (0.5,), ([1.0, 0.0],))
        assert y.weak_type and all(t.weak_type and t.dtype == np.float32 for t in terms)
        y, terms = jet(lambda x: x * 2.0, (jnp.float32(1),), ([1.0, 0.0],))
        assert not y.weak_type and not any(t.weak_type for t in terms)


def test_infinities_and_nans_stay_where_they_are() -> None:
    x = jnp.array([-np.inf, np.nan, 0.0])
    found = directional_derivatives(jnp.exp, x, jnp.ones(3), 2)
    np.testing.assert_array_equal(np.stack(found), [[0.0, np.nan, 1.0]] * 3)


# ---- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: jet(3, (1.0,), ([1.0],)), TypeError, "jet takes a function, got 3"),
        (lambda: jet(jnp.sin, 1.0, ([1.0],)), TypeError, "primals must be a tuple or list, got float"),
        (lambda: jet(jnp.sin, (1.0,), 2.0), TypeError, "series must be a tuple or list, got float"),
        (lambda: jet(jnp.sin, (1.0,), ()), ValueError, "got 1 primals and 0 series"),
        (lambda: jet(jnp.add, (1.0, 2.0), ([1.0], [1.0, 2.0])), ValueError, r"lengths.*1 for primals\[0\], 2 for primals\[1\]"),
        (lambda: jet(jnp.sin, (jnp.ones(2),), ([jnp.ones(3)],)), ValueError, r"term 1 of primals\[0\] has shape \(3,\).*\(2,\)"),
        (lambda: jet(jnp.sin, (jnp.float32(1),), ([jnp.float64(1)],)), TypeError, "has dtype float64, and the value has float32"),
        (lambda: jet(jnp.sin, (1.0,), ([1j],)), TypeError, "complex"),
        (lambda: jet(jnp.sin, (1,), ([1.0],)), TypeError, "int.* has no derivatives"),
        (lambda: jet(jnp.sin, (1.0,), (2.0,)), ValueError, "series of argument 0 must have its structure"),
        (lambda: jet(lambda d: d["x"], ({"x": 1.0},), ([{"x": 1.0}],)), ValueError, "of a list of trees: tree_map"),
        (lambda: jet(jnp.sin, ("a",), ([1.0],)), TypeError, "'a'"),
        (lambda: jet(lambda x: "a", (1.0,), ([1.0],)), TypeError, "must return arrays"),
        (lambda: taylor_coefficients(jnp.sin, 1.0, (1.0,), 2), ValueError, "same tree structure"),
        (lambda: taylor_coefficients(jnp.sin, 1.0, 1.0, -1), ValueError, "order must not be negative, got -1"),
        (lambda: taylor_coefficients(jnp.sin, 1.0, 1.0, 1.5), TypeError, "order"),
        (lambda: directional_derivatives(None, 1.0, 1.0, 1), TypeError, "directional_derivatives takes a function"),
        (
            lambda: jet(lambda x: pb.pure_callback(np.sin, pb.ShapeDtypeStruct((), np.float64), x), (1.0,), ([1.0],)),
            ValueError,
            "callbacks do not support JVP",
        ),
    ],
)  # fmt: skip
def test_errors(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_a_value_that_leaks_is_found() -> None:
    leaked: list[Any] = []
    jet(lambda x: leaked.append(x) or x, (1.0,), ([1.0],))
    with pytest.raises(pb.errors.UnexpectedTracerError):
        jet(lambda x: x * leaked[0], (1.0,), ([1.0],))


# ---- JAX's module ------------------------------------------------------------------------------------------------


def _cube() -> Primitive:
    p = Primitive("cube")
    p.def_impl(lambda x: x**3)
    p.def_abstract_eval(lambda x: x)
    return p


def test_rules_for_primitives_of_others() -> None:
    """By its derivative rule, by one of the table, in derivative rules, too."""
    cases = []
    p = _cube()
    interpreters.ad.defjvp(p, lambda t, x: 3 * x**2 * t)
    cases.append(p.bind)
    p = _cube()
    experimental_jet.def_deriv(p, lambda x: 3 * x**2)
    cases.append(p.bind)
    q = _cube()
    experimental_jet.def_comp(q, lambda x: x * x * x)
    cases.append(q.bind)
    r = Primitive("both")
    r.multiple_results = True
    r.def_impl(lambda x, *, by: [x**3, by * x])
    experimental_jet.jet_rules[r] = lambda primals, series, by: (
        r.bind(*primals, by=by),
        [experimental_jet.jet_rules[q](primals, series)[1], [by * t for t in series[0]]],
    )
    cases.append(lambda x: r.bind(x, by=2.0)[0] + r.bind(x, by=2.0)[1] - 2 * x)
    f = pb.custom_jvp(lambda x: x**3)
    f.defjvp(lambda primals, tangents: (f(*primals), 3 * q.bind(primals[0]) / primals[0] * tangents[0]))
    cases.append(f)
    x, v = jnp.float64(0.7), jnp.float64(2.0)
    expected = nested(lambda x: jnp.sin(x**3), x, v, 4)
    for case in cases:
        assert_equal_trees(directional_derivatives(lambda x: jnp.sin(case(x)), x, v, 4), expected)


def test_linear_and_constant_primitives() -> None:
    double, whole = Primitive("double"), Primitive("whole")
    double.def_impl(lambda x, y: 2 * x + y)
    whole.def_impl(jnp.floor)
    experimental_jet.deflinear(double)
    experimental_jet.defzero(whole)
    _, terms = jet(lambda x: double.bind(x, 5.0) * whole.bind(x), (2.5,), ([1.0, 3.0],))
    assert [float(t) for t in terms] == [4.0, 12.0]
    assert experimental_jet.jet_rules[lax.floor_p]([1.5], [[1.0]])[1] is zero_series


def test_rules_of_our_primitives_are_shown_and_stay() -> None:
    rules = experimental_jet.jet_rules
    out, terms = rules[lax.mul_p]([2.0, 3.0], [[1.0, 0.0], [1.0, 0.0]])
    assert [float(x) for x in (out, *terms)] == [6.0, 5.0, 1.0]
    assert lax.sin_p in rules and len(rules) > 200
    with pytest.raises(TypeError, match="cannot be replaced"):
        rules[lax.sin_p] = lambda *_: None
    p = _cube()
    with pytest.raises(KeyError):
        rules[p]
    for result in (3.0, (3.0, [1.0]), (3.0, [1.0, 2.0, 3.0])):
        rules[p] = lambda primals, series, result=result: result
        with pytest.raises(TypeError, match="Taylor mode rule of 'cube' must give"):
            jet(p.bind, (2.0,), ([1.0, 0.0],))


def test_high_orders_of_chains_of_functions() -> None:
    found = taylor_coefficients(lax.digamma, jnp.float64(1.0), jnp.float64(1.0), 24)
    # ψ(1 + t) = -γ + Σ (-1)^(k+1) ζ(k + 1) t^k
    expected = [(-1) ** (k + 1) * sum(n ** -(k + 1.0) for n in range(1, 20000)) for k in range(3, 25)]
    np.testing.assert_allclose(np.array(found[3:]), expected, rtol=1e-10)
    assert float(taylor_coefficients(lambda x: jnp.exp(jnp.tanh(x)), 0.0, 1.0, 200)[1]) == 1.0


def test_factorials_that_a_type_cannot_hold() -> None:
    x = jnp.float16(1)
    _, terms = jet(lambda x: x, (x,), ([*[0 * x] * 8, 3 * x],))  # 9! is 362880, and the largest float16 65504
    assert float(terms[-1]) == pytest.approx(3.0, rel=0.05)
