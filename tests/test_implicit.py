"""fixed_point, root, argmin: derivatives against formulas and unrolled iterations, every solver, and what does not converge."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.implicit import ConvergenceWarning, SolveInfo
from pullback.test_util import check_grads

RNG = np.random.default_rng(0)
W = 0.2 * RNG.normal(size=(3, 3))
B = RNG.normal(size=3)
START = {"u": np.zeros(3), "v": 0.0}
LINEAR = ["dense", "cg", "gmres", "bicgstab"]


@pytest.fixture(autouse=True)
def double_precision() -> Any:
    with pb.enable_x64(True):
        yield


def layer(x: Any, w: Any, b: Any) -> Any:
    return {"u": jnp.tanh(w @ x["u"] + b), "v": 0.3 * jnp.cos(x["v"]) + 0.1 * x["u"][0]}


def loss(x: Any) -> Any:
    return jnp.sum(x["u"] ** 2) * x["v"]


def unrolled(w: Any, b: Any) -> Any:
    x: Any = START
    for _ in range(50):
        x = layer(x, w, b)
    return loss(x)


def leaves(tree: Any) -> Any:
    return np.concatenate([np.ravel(x) for x in pb.tree.leaves(tree)])


@pytest.mark.parametrize("solver", ["iteration", "anderson", "newton"])
def test_fixed_points(solver: str) -> None:
    f = lambda w, b: loss(pb.fixed_point(layer, START, w, b, solver=solver))
    assert float(f(W, B)) == pytest.approx(float(unrolled(W, B)), rel=1e-10)
    gradient, expected = pb.grad(f, (0, 1)), leaves(pb.grad(unrolled, (0, 1))(W, B))
    np.testing.assert_allclose(leaves(gradient(W, B)), expected, atol=1e-10)
    np.testing.assert_allclose(leaves(pb.jit(gradient)(W, B)), expected, atol=1e-10)
    _, info = pb.fixed_point(layer, START, W, B, solver=solver, full_output=True)
    assert isinstance(info, SolveInfo) and bool(info.converged) and 0 < int(info.iterations) < 40
    fewer = {"iteration": 100, "anderson": 12, "newton": 6}[solver]
    assert int(info.iterations) <= fewer


@pytest.mark.parametrize("linear_solve", [*LINEAR[:1], *LINEAR[2:], lambda A, b: own_solve(A, b)])
def test_second_order_with_every_linear_solver(linear_solve: Any) -> None:
    f = lambda b: loss(pb.fixed_point(layer, START, W, b, linear_solve=linear_solve))
    g = lambda b: unrolled(W, b)
    along = lambda f: pb.jacfwd(pb.grad(lambda t: f(B * t)))
    assert float(along(f)(1.0)) == pytest.approx(float(along(g)(1.0)), rel=1e-8)


def own_solve(A: pb.LinearMap, b: Any) -> Any:
    """A solver that looks at the matrix."""
    vector, unravel = pb.flatten_util.ravel_pytree(b)
    return unravel(jnp.linalg.solve(A.to_matrix(), vector))


def test_fixed_point_to_second_order_against_differences_and_under_vmap() -> None:
    check_grads(lambda b: pb.fixed_point(layer, START, W, b, linear_solve="dense"), (B,), order=2)
    batch = np.stack([B, B + 1])
    f = lambda b: loss(pb.fixed_point(layer, START, W, b))
    expected = np.stack([pb.grad(lambda b: unrolled(W, b))(b) for b in batch])
    np.testing.assert_allclose(pb.vmap(pb.grad(f))(batch), expected, atol=1e-10)
    np.testing.assert_allclose(pb.jit(pb.vmap(pb.grad(f)))(batch), expected, atol=1e-10)
    np.testing.assert_allclose(
        pb.grad(lambda s: pb.vmap(lambda b: f(b * s))(batch).sum())(1.0), np.sum(expected * batch), rtol=1e-9
    )


# ---- roots ------------------------------------------------------------------------------------------------------


def cubic_root(a: Any) -> Any:
    return pb.root(lambda x, a: x**3 + x - a, 1.0, a)


def cardano(a: Any) -> Any:
    s = jnp.sqrt(a * a / 4 + 1 / 27)
    return jnp.cbrt(a / 2 + s) + jnp.cbrt(a / 2 - s)


DERIVATIVES: list[Callable[[Any], Any]] = [
    lambda f: f, pb.grad, pb.jacfwd, lambda f: pb.grad(pb.grad(f)), lambda f: pb.jacfwd(pb.grad(f)), lambda f: pb.grad(pb.jacfwd(f)),
    lambda f: pb.grad(pb.grad(pb.grad(f))), lambda f: pb.jacfwd(pb.grad(pb.jacfwd(f))), lambda f: pb.jacfwd(pb.jacfwd(pb.jacfwd(f))),
]  # fmt: skip


@pytest.mark.parametrize("order", range(len(DERIVATIVES)))
def test_root_to_third_order(order: int) -> None:
    derivative = DERIVATIVES[order]
    expected = float(derivative(cardano)(2.0))
    for f in (derivative(cubic_root), pb.jit(derivative(cubic_root)), derivative(pb.jit(cubic_root))):
        assert float(f(2.0)) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    batch = np.array([2.0, 3.0])
    np.testing.assert_allclose(
        pb.vmap(derivative(cubic_root))(batch), pb.vmap(derivative(cardano))(batch), rtol=1e-8, atol=1e-11
    )


@pytest.mark.parametrize("linear_solve", ["dense", "gmres", "bicgstab"])
def test_systems_of_equations(linear_solve: str) -> None:
    f = lambda x, a: [x[0] ** 2 + x[1].sum() - a, x[1] - jnp.array([1.0, 2.0]) * x[0]]  # x² + 3 x = a
    solution = lambda a: pb.root(f, [1.0, jnp.zeros(2)], a, linear_solve=linear_solve)
    x = lambda a: (-3 + jnp.sqrt(9 + 4 * a)) / 2
    assert float(solution(5.0)[0]) == pytest.approx(float(x(5.0)))
    assert float(pb.grad(lambda a: solution(a)[1][1])(5.0)) == pytest.approx(2 * float(pb.grad(x)(5.0)))


def test_complex_roots() -> None:
    f = lambda a: pb.root(lambda z, a: z**2 + a, 1.0 + 1.0j, a)
    assert complex(f(1.0)) == pytest.approx(1j)
    value, tangent = pb.jvp(f, (4.0 + 0j,), (1.0 + 0j,))  # z = 2i, dz = -da / 2z
    assert complex(value) == pytest.approx(2j) and complex(tangent) == pytest.approx(-1 / 4j)
    assert complex(pb.vjp(f, 4.0 + 0j)[1](1.0 + 0j)[0]) == pytest.approx(-1 / 4j)


def test_newton_needs_its_shorter_steps() -> None:
    """Undamped, the arctangent throws Newton's method off from here."""
    x, info = pb.root(jnp.arctan, 3.0, full_output=True)
    assert abs(float(x)) < 1e-10 and bool(info.converged)


def test_the_guess_has_derivative_zero_and_closures_have_theirs() -> None:
    assert float(pb.grad(lambda x0: pb.root(lambda x: x**3 + x - 2.0, x0))(0.5)) == 0.0
    assert float(pb.jvp(lambda x0: pb.fixed_point(jnp.cos, x0), (1.0,), (1.0,))[1]) == 0.0
    assert float(pb.grad(lambda x0: pb.argmin(lambda x: (x - 3.0) ** 2, x0))(0.5)) == 0.0
    closed = lambda a: pb.root(lambda x: x**2 - a, 1.0)
    assert float(pb.grad(closed)(4.0)) == pytest.approx(0.25)
    assert float(pb.grad(lambda a: pb.grad(lambda b: closed(a * b))(1.0))(4.0)) == pytest.approx(0.125)
    assert float(pb.root(lambda x, n: x - n, 1, 3)) == 3.0  # integers have no derivative and become numbers that have


def test_one_linear_solve_a_derivative_and_nothing_kept_of_the_iteration() -> None:
    calls: Counter[str] = Counter()

    def own(A: pb.LinearMap, b: Any) -> Any:
        pb.debug.callback(lambda: calls.update(solves=1))
        return jnp.linalg.solve(A.to_matrix(), b)

    def counted(x: Any, b: Any) -> Any:
        pb.debug.callback(lambda: calls.update(values=1))
        return jnp.tanh(W @ x + b)

    def calls_of(f: Any) -> Counter[str]:
        calls.clear()
        pb.block_until_ready(f(B))
        pb.effects_barrier()
        return Counter(calls)

    f = lambda b: pb.fixed_point(counted, jnp.zeros(3), b, linear_solve=own).sum()
    forward = lambda b: pb.jvp(f, (b,), (b,))
    for wrapped in (lambda f: f, pb.jit):
        value = calls_of(wrapped(f))["values"]
        for derivative in (pb.grad(f), forward):
            # Besides, f is linearized in x and in the parameters.
            assert calls_of(wrapped(derivative)) == {"solves": 1, "values": value + 2}
        # The derivative of a gradient: of x, and of the solution that the gradient is made of.
        assert calls_of(wrapped(lambda b: pb.jvp(pb.grad(f), (b,), (b,))))["solves"] == 3
    stored = lambda n: pb.ad_checkpoint.saved_residuals(
        lambda b: pb.fixed_point(lambda x: jnp.tanh(W @ x + b), jnp.zeros(3), maxiter=n), B
    )
    assert [r[0] for r in stored(10)] == [r[0] for r in stored(10_000)]
    assert all(r[0].size <= W.size for r in stored(10))


def test_other_parameters_and_guesses_are_not_compiled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from pullback.xla import dispatch

    compiled = []
    compile_module = dispatch.compile_module
    monkeypatch.setattr(dispatch, "compile_module", lambda *args: compiled.append(1) or compile_module(*args))
    calls = [
        lambda t: pb.fixed_point(lambda x, a: jnp.cos(a * x), 1 - t, t),
        lambda t: pb.fixed_point(lambda x, a: jnp.cos(a * x), 1 - t, np.float64(t), solver="anderson"),
        lambda t: pb.root(lambda x, p: x**2 - p["a"] * p["b"][0], 1 + t, {"a": t, "b": np.array([t])}),
        lambda t: pb.argmin(lambda x, a: jnp.sum((x - a) ** 2), jnp.zeros(2) + t, jnp.asarray(t)),
        lambda t: pb.argmin(lambda x, a: jnp.sum((x - a) ** 2), jnp.zeros(2) + t, t, solver="l-bfgs"),
        pb.grad(lambda t: pb.root(lambda x, a: x**2 - a, 1.0, t)),
    ]
    for call in calls:
        call(0.3)
        compiled.clear()
        call(0.4)
        assert not compiled


def test_each_of_a_batch_ends_when_it_has_converged() -> None:
    f = lambda a: pb.fixed_point(lambda x, a: a * jnp.cos(x), 0.5, a, full_output=True)
    a = np.array([0.01, 0.5, 0.9, np.nan])
    with pytest.warns(ConvergenceWarning):
        x, info = pb.vmap(f)(a)
    for i in range(3):
        alone, alone_info = f(a[i])
        assert float(x[i]) == pytest.approx(float(alone), rel=1e-13)
        assert int(info.iterations[i]) == int(alone_info.iterations)
    np.testing.assert_array_equal(info.converged, [True, True, True, False])
    assert np.isnan(x[3])


@pytest.mark.parametrize(
    "solver, linear_solve", [("iteration", "dense"), ("anderson", "gmres"), ("newton", "bicgstab")]
)
def test_what_is_linear_over_the_reals_alone(solver: str, linear_solve: str) -> None:
    """Conjugates, and real numbers beside complex ones: no complex matrix is the derivative."""

    def f(x: Any, a: Any) -> Any:
        return {
            "z": 0.3 * jnp.conj(x["z"]) + 0.2 * a * jnp.cos(x["z"]) + x["u"],
            "u": 0.1 * jnp.abs(x["z"]) ** 2 + a.imag,
        }

    solution = lambda a: pb.fixed_point(f, {"z": 0.5 + 0.1j, "u": 0.0}, a, solver=solver, linear_solve=linear_solve)
    a, h, ct = 0.4 + 0.2j, 1e-5, {"z": 0.3 - 0.8j, "u": 0.5}
    pulled = complex(pb.vjp(solution, a)[1](pb.tree.map(jnp.asarray, ct))[0])
    for direction in (1.0 + 0j, 1j):
        tangent = pb.jvp(solution, (a,), (direction,))[1]
        above, below = solution(a + h * direction), solution(a - h * direction)
        for k in tangent:
            difference = (complex(above[k]) - complex(below[k])) / (2 * h)
            assert complex(tangent[k]) == pytest.approx(difference, abs=1e-8)
        paired = sum((ct[k] * complex(tangent[k])).real for k in ct)
        assert (pulled * direction).real == pytest.approx(paired, rel=1e-8)


@pytest.mark.parametrize("solver, linear_solve", [("bfgs", "cg"), ("l-bfgs", "dense"), ("newton", "cg")])
def test_minima_over_complex_numbers(solver: str, linear_solve: str) -> None:
    cost = lambda z, a: jnp.abs(z - a) ** 2 + 0.1 * jnp.abs(z) ** 4
    f = lambda a: pb.argmin(cost, 0.1j, a, solver=solver, linear_solve=linear_solve, tol=1e-10)
    a, h = 0.4 + 0.2j, 1e-4
    for direction in (1.0 + 0j, 1j):
        difference = (complex(f(a + h * direction)) - complex(f(a - h * direction))) / (2 * h)
        assert complex(pb.jvp(f, (a,), (direction,))[1]) == pytest.approx(difference, abs=1e-6)


@pytest.mark.parametrize("solver, linear_solve", [("iteration", "gmres"), ("anderson", "dense"), ("newton", "dense")])
def test_bfloat16(solver: str, linear_solve: str) -> None:
    """It is calculated with in 32 bits; solutions and derivatives have the type of the guess."""
    one = jnp.ones((), jnp.bfloat16)
    f = lambda a: pb.fixed_point(lambda x, a: jnp.cos(a * x), one, a, solver=solver, linear_solve=linear_solve)
    x, slope = f(one), pb.grad(f)(one)
    assert x.dtype == slope.dtype == jnp.bfloat16
    assert float(x) == pytest.approx(0.7391, rel=0.05)
    assert float(slope) == pytest.approx(-0.2975, rel=0.2)


def test_bfloat16_minima() -> None:
    f = lambda a: pb.argmin(lambda x, a: jnp.sum((x - a) ** 2), jnp.zeros(2, jnp.bfloat16), a)[0]
    x, slope = pb.value_and_grad(f)(jnp.full((), 4.0, jnp.bfloat16))
    assert x.dtype == slope.dtype == jnp.bfloat16
    assert (float(x), float(slope)) == pytest.approx((4.0, 1.0), rel=0.02)


def test_empty_unknowns() -> None:
    nothing = jnp.zeros((0, 3))
    scaled, bowl = lambda x, a: a * x, lambda x, a: a * jnp.sum(x**2)
    for solve in (
        partial(pb.fixed_point, scaled, solver="anderson"),
        partial(pb.root, scaled),
        partial(pb.argmin, bowl),
    ):
        x, info = solve(nothing, 2.0, full_output=True)
        assert x.shape == (0, 3) and bool(info.converged)
        assert float(pb.grad(lambda a: solve(nothing, a).sum())(2.0)) == 0.0
    assert pb.root(lambda x: x, {}) == {}


# ---- in each other, in loops and branches -----------------------------------------------------------------------


@pytest.mark.parametrize("order", [0, 1, 4])
def test_a_minimum_inside_an_equation(order: int) -> None:
    """y with y² + y = a, where the square is a minimum."""
    square = lambda y: pb.argmin(lambda x, y: (x - y**2) ** 2, 0.0, y, solver="newton")
    f = lambda a: pb.root(lambda y, a: square(y) + y - a, 1.0, a)
    derivative = DERIVATIVES[order]
    expected = derivative(lambda a: (jnp.sqrt(1 + 4 * a) - 1) / 2)(3.0)
    assert float(derivative(f)(3.0)) == pytest.approx(float(expected), rel=1e-8)
    if order == 1:
        assert float(pb.jit(derivative(f))(3.0)) == pytest.approx(float(expected), rel=1e-8)


def square_root(a: Any) -> Any:
    return pb.root(lambda x, a: x**2 - a, 1.0, a)


@pytest.mark.parametrize("order", [0, 1, 2, 4])
def test_in_loops_and_branches(order: int) -> None:
    def unrolled(a: Any) -> Any:
        return jnp.sqrt(jnp.sqrt(a) + 1.0)

    derivative = DERIVATIVES[order]
    for f in (
        lambda a: pb.lax.scan(lambda c, t: (square_root(c + t), c), a, jnp.arange(2.0))[0],
        lambda a: pb.lax.while_loop(lambda s: s[1] < 2, lambda s: (square_root(s[0] + s[1]), s[1] + 1), (a, 0))[0],
        lambda a: pb.lax.cond(a > 1, lambda a: square_root(square_root(a) + 1.0), lambda a: a, a),
        lambda a: pb.checkpoint(lambda a: square_root(square_root(a) + 1.0))(a),
    ):
        assert float(derivative(f)(2.0)) == pytest.approx(float(derivative(unrolled)(2.0)), rel=1e-9)


def test_without_jit() -> None:
    with pb.disable_jit():
        assert float(square_root(4.0)) == pytest.approx(2.0)
        assert float(pb.grad(square_root)(4.0)) == pytest.approx(0.25)
        np.testing.assert_allclose(pb.vmap(square_root)(np.array([4.0, 9.0])), [2.0, 3.0])


# ---- minima -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["bfgs", "l-bfgs", "newton"])
@pytest.mark.parametrize("linear_solve", ["cg", "dense"])
def test_ridge_regression(solver: str, linear_solve: str) -> None:
    a, y = RNG.normal(size=(6, 3)), RNG.normal(size=6)
    cost = lambda w, c: jnp.sum((a @ w["w"] - y) ** 2) + c * jnp.sum(w["w"] ** 2)
    found = lambda c: pb.argmin(cost, {"w": jnp.zeros(3)}, c, solver=solver, linear_solve=linear_solve)["w"]
    exact = lambda c: jnp.linalg.solve(a.T @ a + c * jnp.eye(3), a.T @ y)
    for derivative in (pb.jacrev, pb.hessian):
        np.testing.assert_allclose(derivative(found)(0.5), derivative(exact)(0.5), atol=1e-9)
    batch = np.array([0.5, 1.0])
    np.testing.assert_allclose(pb.vmap(found)(batch), pb.vmap(exact)(batch), atol=1e-9)


def test_own_solvers() -> None:
    steps = lambda f, x: pb.lax.fori_loop(0, 90, lambda _, x: f(x), x)
    x, info = pb.fixed_point(lambda x, a: jnp.cos(a * x), 1.0, 1.0, solver=steps, full_output=True)
    assert bool(info.converged) and int(info.iterations) == -1
    with pytest.warns(ConvergenceWarning, match="fixed_point: the solver did not converge"):
        pb.fixed_point(jnp.cos, 1.0, solver=lambda f, x: f(x))
    descent = lambda f, x: pb.lax.fori_loop(0, 100, lambda _, x: x - 0.2 * pb.grad(f)(x), x)
    assert float(pb.grad(lambda a: pb.argmin(lambda x: (x - a**2) ** 2, 0.0, solver=descent))(3.0)) == pytest.approx(
        6.0
    )
    bisect = lambda f, x: jnp.sqrt(2.0)
    assert float(pb.grad(lambda a: pb.root(lambda x, a: x**2 - a, 1.0, a, solver=bisect))(2.0)) == pytest.approx(
        0.5 / np.sqrt(2)
    )


# ---- what does not converge -------------------------------------------------------------------------------------


@pytest.mark.parametrize("transform", [lambda f: f, pb.jit, pb.vmap])
@pytest.mark.parametrize(
    "solve",
    [
        lambda x: pb.fixed_point(lambda x: 2 * x + 1, x, maxiter=10, full_output=True),
        lambda x: pb.fixed_point(lambda x: x * jnp.nan, x, full_output=True),
        lambda x: pb.fixed_point(lambda x: x * jnp.nan, x, solver="anderson", full_output=True),
        lambda x: pb.fixed_point(lambda x: x**2 + 1e3, x, full_output=True),
        lambda x: pb.root(lambda x: x**2 + 1, x, full_output=True),
        lambda x: pb.root(lambda x: x + jnp.inf, x, full_output=True),
        lambda x: pb.argmin(lambda x: jnp.sum(x) * jnp.nan, x, full_output=True),
        lambda x: pb.argmin(lambda x: jnp.sum(x), x, solver="l-bfgs", maxiter=5, full_output=True),
    ],
)
def test_it_ends_and_says_so(solve: Any, transform: Any) -> None:
    x0 = np.ones((2,)) if transform is pb.vmap else 1.0
    with pytest.warns(ConvergenceWarning, match="did not converge.*test_implicit.py"):
        _, info = pb.block_until_ready(transform(solve)(x0))
    assert not np.any(info.converged)


def test_warnings_can_be_switched_off() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = pb.fixed_point(lambda x: x * jnp.nan, 1.0, warn=False)
        assert np.isnan(x)
        assert not np.isfinite(pb.grad(lambda a: pb.root(lambda x, a: (x - a) ** 3, 1.0, a, warn=False))(1.0))
    with pytest.warns(ConvergenceWarning, match="matrix of a linear system that a derivative needs is singular"):
        pb.grad(lambda a: pb.root(lambda x, a: (x - a) ** 3, 1.0, a))(1.0)
    with pytest.warns(ConvergenceWarning, match="gmres did not converge for a linear system"):
        pb.grad(lambda a: pb.root(lambda x, a: (x - a) ** 3, 1.0, a, linear_solve="gmres"))(1.0)


def test_bad_input() -> None:
    with pytest.raises(TypeError, match="f.x. must have the structure of x0"):
        pb.fixed_point(lambda x: (x, x), 1.0)
    with pytest.raises(TypeError, match=r"expected float64\[\], got float64\[3\]"):
        pb.fixed_point(lambda x: jnp.zeros(3), 1.0)
    with pytest.raises(
        ValueError, match="fixed_point: solver must be a function or one of 'iteration', 'anderson', 'newton'; got 'x'"
    ):
        pb.fixed_point(jnp.cos, 1.0, solver="x")
    with pytest.raises(ValueError, match="linear_solve must be one of 'dense', 'cg', 'gmres', 'bicgstab'"):
        pb.root(jnp.sin, 1.0, linear_solve="lu")
    with pytest.raises(TypeError, match="linear_solve must be a function or a name"):
        pb.root(jnp.sin, 1.0, linear_solve=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="initial guess of root"):
        pb.root(jnp.sin, "guess")
    with pytest.raises(TypeError, match="scalar"):
        pb.argmin(jnp.sin, jnp.ones(3))
    with pytest.raises(TypeError, match="type of initial_guess"):
        pb.root(lambda x: x.astype(np.float32), 1.0)
