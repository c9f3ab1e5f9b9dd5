"""custom_linear_solve and custom_root: derivatives to third order in every nesting, against direct solves; and what is refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback import lax
from pullback.control.convergence import ConvergenceWarning, warn_unless
from pullback.test_util import check_grads

RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 3)) + 4 * np.eye(3)
B = RNG.normal(size=3)


@pytest.fixture(autouse=True)
def double_precision() -> Any:
    with pb.enable_x64(True):
        yield


def dense(matvec: Any, b: Any) -> Any:
    return jnp.linalg.solve(pb.vmap(matvec, out_axes=1)(jnp.eye(b.shape[0], dtype=b.dtype)), b)


def solution(a: Any, b: Any) -> Any:
    return lax.custom_linear_solve(lambda x: jnp.sin(a) @ x + 5 * x, b * b, dense, dense)


def direct(a: Any, b: Any) -> Any:
    return jnp.linalg.solve(jnp.sin(a) + 5 * jnp.eye(3), b * b)


DERIVATIVES: dict[str, Callable[[Any], Any]] = {
    "value": lambda f: f,
    "forward": pb.jacfwd,
    "reverse": pb.jacrev,
    "forward over reverse": lambda f: pb.jacfwd(pb.jacrev(f)),
    "reverse over forward": lambda f: pb.jacrev(pb.jacfwd(f)),
    "reverse over reverse": lambda f: pb.jacrev(pb.jacrev(f)),
    "third, mixed": lambda f: pb.jacfwd(pb.jacrev(pb.jacfwd(f))),
    "third, reverse": lambda f: pb.jacrev(pb.jacrev(pb.jacrev(f))),
}


@pytest.mark.parametrize("order", DERIVATIVES)
def test_linear_solve_has_the_derivatives_of_the_solution(order: str) -> None:
    derivative = DERIVATIVES[order]
    along = lambda f: lambda t: f(A + t * A.T, B + t)
    expected = derivative(along(direct))(0.3)
    np.testing.assert_allclose(derivative(along(solution))(0.3), expected, rtol=1e-11)
    np.testing.assert_allclose(pb.jit(derivative(along(solution)))(0.3), expected, rtol=1e-11)
    np.testing.assert_allclose(derivative(along(pb.jit(solution)))(0.3), expected, rtol=1e-11)
    if "third" in order:
        return
    batch = np.array([0.3, 0.4])
    expected = np.stack([derivative(along(direct))(t) for t in batch])
    np.testing.assert_allclose(pb.vmap(derivative(along(solution)))(batch), expected, rtol=1e-11)
    mapped = derivative(lambda t: pb.vmap(lambda b: solution(A + t * A.T, b + t))(jnp.stack([B, B + 1])))(0.3)
    np.testing.assert_allclose(np.asarray(mapped)[0], derivative(along(direct))(0.3), rtol=1e-11)


def test_every_argument_to_third_order_against_differences() -> None:
    check_grads(solution, (A, B), order=3)


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
def test_vmap_over_every_subset(axes: tuple[int | None, int | None]) -> None:
    a, b = (A if axes[0] is None else np.stack([A, A.T])), (B if axes[1] is None else np.stack([B, B + 1]))
    expected = np.stack([direct(a if axes[0] is None else a[i], b if axes[1] is None else b[i]) for i in range(2)])
    np.testing.assert_allclose(pb.vmap(solution, axes)(a, b), expected)
    np.testing.assert_allclose(pb.jit(pb.vmap(solution, axes))(a, b), expected)
    gradient = lambda f: pb.grad(lambda a, b: pb.vmap(f, axes)(a, b).sum(), (0, 1))(a, b)
    for found, wanted in zip(gradient(solution), gradient(direct)):
        np.testing.assert_allclose(found, wanted)


def test_matvec_closes_over_values_of_every_enclosing_transformation() -> None:
    def nested(f: Any) -> Any:
        inner = lambda s, t: pb.grad(lambda r: f(A * t + r * A.T, B * s * r).sum())(t * s)
        return pb.jit(pb.vmap(lambda s: pb.jvp(lambda t: inner(s, t), (0.7,), (1.0,))[1]))(np.array([1.0, 2.0]))

    np.testing.assert_allclose(nested(solution), nested(direct), rtol=1e-10)


def test_the_solver_is_not_differentiated() -> None:
    calls = []

    def solve(matvec: Any, b: Any) -> Any:
        return pb.pure_callback(lambda b: calls.append(1) or np.asarray(b) / 2, b, b)  # has no derivative

    f = lambda b: lax.custom_linear_solve(lambda x: 2.0 * x, b, solve, symmetric=True)
    assert float(pb.grad(pb.grad(lambda b: f(b * b)))(3.0)) == 1.0
    calls.clear()
    pb.grad(f)(3.0)
    assert len(calls) == 2  # the solution, and its derivative


def test_transposed_solve_is_given_the_transpose() -> None:
    seen = []

    def transpose_solve(vecmat: Any, b: Any) -> Any:
        seen.append(pb.jacfwd(vecmat)(b))
        return dense(vecmat, b)

    f = lambda b: lax.custom_linear_solve(lambda x: A @ x, b, dense, transpose_solve)
    with pb.disable_jit():
        found = pb.vjp(f, B)[1](np.ones(3))[0]
    np.testing.assert_allclose(found, np.linalg.solve(A.T, np.ones(3)))
    np.testing.assert_allclose(pb.linear_transpose(f, B)(np.ones(3))[0], found)
    twice = pb.linear_transpose(lambda ct: pb.linear_transpose(f, B)(ct)[0], B)
    np.testing.assert_allclose(twice(np.ones(3))[0], f(np.ones(3)))


def decay(checkpoints: Any) -> Callable[[Any], Any]:
    return lambda x: lax.scan(lambda c, x: (0.5 * c + x,) * 2, 0.0, x, checkpoints=checkpoints)[1]


#: Linear maps whose transposes, as programs, have constants of their own: a loop's first zeros.
LOOPS: dict[str, Callable[[Any], Any]] = {
    "scan": decay(None),
    "scan with checkpoints": decay(2),
    "fori_loop": lambda x: lax.fori_loop(0, 3, lambda i, y: 0.5 * y + x[i], jnp.zeros(3)),
    "map": lambda x: lax.map(lambda y: 0.5 * y, x),
    "cond": lambda x: lax.cond(jnp.sum(A) > 0, lambda x: 0.5 * x, lambda x: jnp.flip(x), x),
    "reduce_window": lambda x: lax.reduce_window(x, 0.0, lax.add, (2,), padding="SAME"),
}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("order", ["value", "reverse"])
def test_maps_and_conditions_with_loops(loop: str, order: str) -> None:
    matvec = lambda x: LOOPS[loop](x) + 3 * x
    matrix = pb.jacfwd(matvec)(B)
    expected = DERIVATIVES[order](lambda t: jnp.linalg.solve(matrix, B + t**2))(0.3)
    for f in (
        lambda t: lax.custom_linear_solve(matvec, B + t**2, dense, dense),
        lambda t: lax.custom_root(lambda x: matvec(x) - (B + t**2), B, lambda f, x: dense(lambda v: f(v) - f(0 * v), -f(0 * x)), dense),
        lambda t: pb.argmin(lambda x: 0.5 * jnp.sum((matvec(x) - (B + t**2)) ** 2), B, solver="newton"),
    ):  # fmt: skip
        np.testing.assert_allclose(pb.jit(DERIVATIVES[order](f))(0.3), expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("transform", [lambda f: f, pb.jit])
def test_auxiliary_results_have_no_derivative(transform: Any) -> None:
    @transform
    def f(a: Any, b: Any) -> Any:
        solve = lambda matvec, b: (dense(matvec, b), {"size": jnp.linalg.norm(b), "count": 3})
        return lax.custom_linear_solve(lambda x: a @ x, b, solve, solve, has_aux=True)

    x, aux = f(A, B)
    np.testing.assert_allclose(x, np.linalg.solve(A, B))
    assert int(aux["count"]) == 3
    assert float(aux["size"]) == pytest.approx(np.linalg.norm(B))
    assert float(pb.jvp(lambda b: f(A, b)[1]["size"], (B,), (B,))[1]) == 0.0
    np.testing.assert_array_equal(pb.grad(lambda b: f(A, b)[1]["size"])(B), np.zeros(3))
    np.testing.assert_allclose(pb.grad(lambda b: f(A, b)[0].sum())(B), np.linalg.solve(A.T, np.ones(3)))
    assert pb.vmap(f, (None, 0))(A, np.stack([B, B]))[1]["size"].shape == (2,)


def test_auxiliary_results_are_arrays_in_eager_code_too() -> None:
    _, aux = lax.custom_root(lambda x: x - 1.0, 1.0, lambda f, x: (x, 3), dense, has_aux=True)
    assert isinstance(aux, pb.Array)
    with pytest.raises(TypeError, match="auxiliary output of solve"):
        lax.custom_root(lambda x: x - 1.0, 1.0, lambda f, x: (x, "text"), dense, has_aux=True)


def test_trees() -> None:
    matvec = lambda v: {"u": A @ v["u"], "v": (2.0 * v["v"][0] + v["u"][0],)}
    solve = lambda _, b: (lambda u: {"u": u, "v": ((b["v"][0] - u[0]) / 2,)})(jnp.linalg.solve(A, b["u"]))
    found = pb.jit(lambda b: lax.custom_linear_solve(matvec, b, solve))({"u": B, "v": (1.0,)})
    back = matvec(found)
    np.testing.assert_allclose(back["u"], B)
    assert float(back["v"][0]) == pytest.approx(1.0)
    assert pb.jvp(lambda s: lax.custom_linear_solve(matvec, {"u": B * s, "v": (s,)}, solve), (1.0,), (1.0,))[1][
        "u"
    ].shape == (3,)


def test_integers_become_floats() -> None:
    assert float(lax.custom_linear_solve(lambda x: 2 * x, 3, lambda _, b: b / 2, symmetric=True)) == 1.5
    f = lambda a: lax.custom_root(lambda x: x * x - a, 1, lambda f, x: a**0.5, lambda g, y: y / g(1.0))
    assert float(pb.grad(f)(4.0)) == 0.25


def test_what_is_refused() -> None:
    identity = lambda matvec, b: b
    with pytest.raises(TypeError, match="transpose_solve required"):
        pb.grad(lambda b: lax.custom_linear_solve(lambda x: x, b, identity).sum())(B)
    np.testing.assert_allclose(pb.jvp(lambda b: lax.custom_linear_solve(lambda x: x, b, identity), (B,), (B,))[1], B)
    for wrapped in (lambda f: f, pb.jit):
        with pytest.raises(ValueError, match="structure of b.*expected"):
            wrapped(lambda b: lax.custom_linear_solve(lambda x: x, b, lambda matvec, b: (b, b)))(B)
        with pytest.raises(ValueError, match=r"output of solve must have the type of b.*float64\[3\], got float64\[\]"):
            wrapped(lambda b: lax.custom_linear_solve(lambda x: x, b, lambda matvec, b: b.sum()))(B)
        with pytest.raises(ValueError, match="output of matvec must have the type of b"):
            wrapped(lambda b: lax.custom_linear_solve(lambda x: x[:2], b, lambda matvec, b: matvec(b)))(B)
        with pytest.raises(ValueError, match="has_aux, solve must return a pair"):
            wrapped(lambda b: lax.custom_linear_solve(lambda x: x, b, identity, has_aux=True))({"b": B})
        with pytest.raises(TypeError, match="takes functions, got 3 as solve"):
            wrapped(lambda b: lax.custom_linear_solve(lambda x: x, b, 3))(B)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="output of matvec must have the structure of b"):
            wrapped(lambda b: lax.custom_linear_solve(lambda x: (x,), b, lambda matvec, b: matvec(b)))(B)
        with pytest.raises(TypeError, match="custom_root: the output of tangent_solve must have the structure of b"):
            pb.jvp(wrapped(lambda a: lax.custom_root(lambda x: x - a, B, newton, lambda g, y: (y, y))), (B,), (B,))
        with pytest.raises(TypeError, match="the output of f must have the type of initial_guess"):
            wrapped(lambda b: lax.custom_root(lambda x: x[0], b, lambda f, x: f(x), dense))(B)
        with pytest.raises(TypeError, match="takes functions, got None as tangent_solve"):
            wrapped(lambda b: lax.custom_root(lambda x: x, b, lambda f, x: x, None))(B)
    with pytest.raises(TypeError, match="matrix depends on one"):
        pb.linear_transpose(lambda a: lax.custom_linear_solve(lambda x: a * x, B, identity), B)
    with pytest.raises(TypeError, match="root of a function"):
        pb.linear_transpose(lambda a: lax.custom_root(lambda x: x - a, B, lambda f, x: x, dense), B)


# ---- roots ------------------------------------------------------------------------------------------------------


def newton(f: Any, x: Any) -> Any:
    step = lambda x: x - jnp.linalg.solve(pb.jacfwd(f)(x), f(x))
    return lax.while_loop(lambda x: jnp.max(jnp.abs(f(x))) > 1e-13, step, x)


def cubic(a: Any) -> Any:
    return lambda x: x**3 + 2 * x - a + 0.1 * jnp.sum(x)


def root(a: Any) -> Any:
    return lax.custom_root(cubic(a), jnp.zeros(3), newton, dense)


def unrolled(a: Any) -> Any:
    x = jnp.zeros(3)
    for _ in range(9):
        x = x - jnp.linalg.solve(pb.jacfwd(cubic(a))(x), cubic(a)(x))
    return x


@pytest.mark.parametrize("order", DERIVATIVES)
def test_root_has_the_derivatives_of_the_solution(order: str) -> None:
    derivative = DERIVATIVES[order]
    along = lambda f: lambda t: f(jnp.array([1.0, 2.0, 3.0]) * t)
    expected = derivative(along(unrolled))(0.8)
    np.testing.assert_allclose(derivative(along(root))(0.8), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(pb.jit(derivative(along(root)))(0.8), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(derivative(along(pb.jit(root)))(0.8), expected, rtol=1e-9, atol=1e-12)
    if "third" in order:
        return
    found = pb.vmap(derivative(along(root)))(np.array([0.8, 0.9]))
    np.testing.assert_allclose(np.asarray(found)[0], expected, rtol=1e-9, atol=1e-12)


def test_root_in_a_loop_and_with_aux() -> None:
    def f(a: Any) -> Any:
        step = lambda total, t: (
            total + lax.custom_root(cubic(a * t), jnp.zeros(3), counting, dense, has_aux=True)[0].sum(),
            None,
        )
        return lax.scan(step, 0.0, jnp.array([0.5, 1.0]))[0]

    def counting(f: Any, x: Any) -> Any:
        return newton(f, x), 7

    reference = lambda a: unrolled(a * 0.5).sum() + unrolled(a).sum()
    a = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(f(a), reference(a), rtol=1e-12)
    np.testing.assert_allclose(pb.grad(f)(a), pb.grad(reference)(a), rtol=1e-9)
    np.testing.assert_allclose(pb.hessian(f)(a), pb.hessian(reference)(a), rtol=1e-8, atol=1e-12)


def test_root_does_not_depend_on_the_guess() -> None:
    f = lambda guess: lax.custom_root(cubic(np.ones(3)), guess, newton, dense)
    np.testing.assert_array_equal(pb.jacfwd(f)(np.ones(3)), np.zeros((3, 3)))
    np.testing.assert_array_equal(pb.jacrev(f)(np.ones(3)), np.zeros((3, 3)))


def powers(x: Any, t: Any) -> Any:
    return x * jnp.exp(t), x


LOSSES: dict[str, Callable[[Any], Any]] = {
    "scan": lambda a: lax.scan(powers, 1.0, a)[0],
    "reversed scan": lambda a: lax.scan(powers, 1.0, a, reverse=True)[1] @ a,
    "checkpointed scan": lambda a: lax.scan(powers, 1.0, a, checkpoints=2)[0],
    "fori_loop": lambda a: lax.fori_loop(0, 3, lambda i, x: x * jnp.exp(a[i]), 1.0),
    "cond": lambda a: lax.cond(a[0] < 9, lambda a: jnp.exp(a.sum()), lambda a: a.sum(), a),
    "associative_scan": lambda a: lax.associative_scan(jnp.multiply, jnp.exp(a))[-1],
    "checkpoint": lambda a: pb.checkpoint(lambda a: jnp.exp(jnp.sin(a) + a).prod())(a),
}


@pytest.mark.parametrize("loop", LOSSES)
def test_equations_with_gradients_of_control_flow(loop: str) -> None:
    # Transposed, a loop may have constants of its own, which nothing else in the operation has.
    slope = pb.grad(lambda a, scale: 0.1 * LOSSES[loop](a[:, None].repeat(2, 1).mean(1)) + scale * jnp.sum(a**2))
    found = pb.jit(lambda scale: lax.custom_root(lambda a: slope(a, scale), jnp.zeros(3), newton, dense).sum())
    difference = (found(1.0 + 1e-4) - found(1.0 - 1e-4)) / 2e-4
    np.testing.assert_allclose(pb.jit(pb.grad(found))(1.0), difference, rtol=1e-6)


# ---- warnings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "transform",
    [lambda f: f, pb.jit, pb.grad, pb.vmap, lambda f: pb.jit(pb.vmap(f)), lambda f: pb.vmap(pb.jit(pb.grad(f)))],
)
def test_a_warning_when_the_program_runs(transform: Any) -> None:
    def f(x: Any) -> Any:
        warn_unless(x < 1, "too large")
        return x * 2

    g = transform(f)
    arguments = [0.5, 2.0]
    try:
        g(0.5)
    except ValueError:  # under vmap
        arguments = [np.array([0.5, 0.5]), np.array([0.5, 2.0])]
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        pb.block_until_ready(g(arguments[0]))
        assert not seen
        pb.block_until_ready(g(arguments[1]))
        assert [w.category for w in seen] == [ConvergenceWarning]
        assert "too large" in str(seen[0].message) and "test_solves.py" in str(seen[0].message)


def test_exported_programs_do_not_warn() -> None:
    def f(x: Any) -> Any:
        warn_unless(x < 1, "too large")
        return x * 2

    assert float(pb.export.export(pb.jit(f))(np.float64(3.0)).call(np.float64(3.0))) == 6.0
    with pytest.raises(TypeError, match="boolean scalar"):
        pb.jit(lambda x: warn_unless(x, "text"))(1.0)
