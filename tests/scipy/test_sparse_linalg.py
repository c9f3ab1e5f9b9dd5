"""cg, gmres, bicgstab: values against SciPy, derivatives against direct solves, trees, edges, what does not converge."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.sparse.linalg

import pullback as pb
import pullback.numpy as jnp
from pullback.control.convergence import ConvergenceWarning
from pullback.scipy.sparse.linalg import bicgstab, cg, gmres

RNG = np.random.default_rng(0)
GENERAL = RNG.normal(size=(12, 12)) + 8 * np.eye(12)
POSITIVE = GENERAL @ GENERAL.T / 12
B = RNG.normal(size=12)
METHODS = {
    "cg": cg, "bicgstab": bicgstab, "gmres": gmres, "gmres, incremental": partial(gmres, solve_method="incremental"),
    "gmres, restarted": partial(gmres, restart=4),
}  # fmt: skip


@pytest.fixture(autouse=True)
def double_precision() -> Any:
    with pb.enable_x64(True):
        yield


def matrix_for(name: str) -> np.ndarray:
    return POSITIVE if name == "cg" else GENERAL


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize("preconditioned, guessed", [(False, False), (True, True)])
def test_solutions(name: str, complex_: bool, preconditioned: bool, guessed: bool) -> None:
    a, b = matrix_for(name), B
    if complex_:
        skew = RNG.normal(size=(12, 12))
        a, b = a + 0.3j * (skew - skew.T), b + 1j * B[::-1]
        if name == "cg":
            a = a @ a.conj().T
    M = np.diag(1 / np.diag(a)) if preconditioned else None
    x0 = 100 * RNG.normal(size=12) if guessed else None
    x, info = METHODS[name](a, b, x0, tol=1e-10, M=M)
    assert int(info) == 0 and info.dtype == np.int32
    assert np.linalg.norm(a @ x - b) <= 1.01e-10 * np.linalg.norm(b)
    np.testing.assert_allclose(x, np.linalg.solve(a, b), rtol=1e-7)


@pytest.mark.parametrize("name", ["cg", "bicgstab"])
def test_iterations_are_scipys(name: str) -> None:
    """The same number of steps gives the same approximation."""
    a = matrix_for(name)
    for steps in (1, 2, 4):
        expected, count = getattr(scipy.sparse.linalg, name)(a, B, maxiter=steps, rtol=1e-14)
        with pytest.warns(ConvergenceWarning, match=f"{name} did not converge"):
            x, info = METHODS[name](a, B, maxiter=steps, tol=1e-14)
        assert int(info) == count == steps
        np.testing.assert_allclose(x, expected, rtol=1e-10)


def test_restarts_are_scipys() -> None:
    expected, _ = scipy.sparse.linalg.gmres(GENERAL, B, restart=3, maxiter=2, rtol=1e-14)
    for method in ("batched", "incremental"):
        with pytest.warns(ConvergenceWarning):
            x, info = gmres(GENERAL, B, restart=3, maxiter=2, tol=1e-14, solve_method=method)
        np.testing.assert_allclose(x, expected, rtol=1e-9)
        assert int(info) == 2


@pytest.mark.parametrize("name", ["cg", "bicgstab", "gmres"])
def test_derivatives_are_those_of_the_solution(name: str) -> None:
    symmetric = (lambda a: (a + a.T) / 2) if name == "cg" else (lambda a: a)

    def loss(solve: Any, t: Any) -> Any:
        a = jnp.asarray(matrix_for(name))
        return jnp.sum(jnp.sin(solve(symmetric(a + t * jnp.cos(a)), B * t)))

    found = partial(loss, lambda a, b: METHODS[name](a, b, tol=1e-13)[0])
    expected = partial(loss, jnp.linalg.solve)
    derivatives = [pb.grad, lambda f: pb.jacfwd(pb.grad(f))]
    if name == "cg":  # the rules are the same for all
        derivatives += [pb.jacfwd, lambda f: pb.grad(pb.grad(f)), lambda f: pb.grad(pb.jacfwd(f))]
    for derivative in derivatives:
        wanted = float(derivative(expected)(0.5))
        assert float(derivative(found)(0.5)) == pytest.approx(wanted, rel=1e-9)
    if name == "cg":
        mapped = pb.vmap(pb.grad(found))(np.array([0.5, 1.0]))
        np.testing.assert_allclose(mapped, pb.vmap(pb.grad(expected))(np.array([0.5, 1.0])), rtol=1e-9)
        third = lambda f: pb.jacfwd(pb.grad(pb.grad(f)))
        assert float(pb.jit(third(found))(0.5)) == pytest.approx(float(third(expected)(0.5)), rel=1e-8)


@pytest.mark.parametrize("method", [bicgstab, gmres])
def test_gradient_with_respect_to_a_matrix_with_preconditioner_and_guess(method: Any) -> None:
    M = np.linalg.inv(GENERAL + 0.1 * RNG.normal(size=(12, 12)))
    f = lambda a, b, x0, M: jnp.sum(method(a, b, x0, tol=1e-12, M=M)[0] ** 2)
    found = pb.grad(f, (0, 1, 2, 3))(GENERAL, B, 1e2 * B, M)
    expected = pb.grad(lambda a, b: jnp.sum(jnp.linalg.solve(a, b) ** 2), (0, 1))(GENERAL, B)
    for x, y in zip(found[:2], expected):
        np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-12)
    assert not np.any(found[2])
    assert not np.any(found[3])


@pytest.mark.parametrize("method", [cg, bicgstab, gmres])
def test_trees(method: Any) -> None:
    b = {"x": jnp.arange(3.0), "y": (jnp.ones((2, 2)), 2.0)}
    matvec = lambda v: {"x": 2 * v["x"] + v["y"][1], "y": (3 * v["y"][0], v["y"][1] * 4 + v["x"].sum())}
    if method is cg:  # symmetric
        matvec = lambda v: {"x": 4 * v["x"] + v["y"][1], "y": (3 * v["y"][0], v["y"][1] * 4 + v["x"].sum())}
    x, info = pb.jit(lambda b: method(matvec, b, tol=1e-12))(b)
    assert int(info) == 0
    for found, wanted in zip(pb.tree.leaves(matvec(x)), pb.tree.leaves(b)):
        np.testing.assert_allclose(found, wanted, atol=1e-10)
    start = pb.tree.map(jnp.ones_like, b)
    assert int(method(matvec, b, start)[1]) == 0


@pytest.mark.parametrize("method", [cg, bicgstab, gmres])
def test_trees_of_real_and_complex_arrays(method: Any) -> None:
    """The real ones stay real: A is linear over the reals alone."""
    b = {"x": jnp.ones(2), "y": jnp.array([1 + 2j, 0.5])}
    matvec = lambda v: {"x": 4 * v["x"] + v["y"].real, "y": 5 * v["y"] + v["x"]}
    x, info = method(matvec, b, b, tol=1e-12)
    assert int(info) == 0 and x["x"].dtype == np.float64
    for found, wanted in zip(pb.tree.leaves(matvec(x)), pb.tree.leaves(b)):
        np.testing.assert_allclose(found, wanted, rtol=1e-10)


@pytest.mark.parametrize("name", METHODS)
def test_bfloat16(name: str) -> None:
    a = jnp.asarray(np.diag([1.0, 2.0, 3.0, 4.0]) + 0.125, jnp.bfloat16)
    x, info = METHODS[name](a, jnp.ones(4, jnp.bfloat16), tol=1e-2)
    assert x.dtype == jnp.bfloat16 and int(info) == 0
    np.testing.assert_allclose(np.asarray(x, float), np.linalg.solve(np.asarray(a, float), np.ones(4)), rtol=0.03)


@pytest.mark.parametrize("name", METHODS)
def test_other_systems_are_not_compiled_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from pullback.xla import dispatch

    METHODS[name](matrix_for(name), B)
    monkeypatch.setattr(dispatch, "compile_module", None)
    for seed in (1, 2):
        other = np.random.default_rng(seed).normal(size=12)
        METHODS[name](matrix_for(name) + seed * np.eye(12), other, tol=10.0**-seed)


@pytest.mark.parametrize("name", METHODS)
def test_edges(name: str) -> None:
    method, a = METHODS[name], matrix_for(name)
    x, info = method(a, np.zeros(12))
    assert not np.any(x) and int(info) == 0
    x, info = method(a, np.zeros(12), np.ones(12))
    assert not np.any(x) and int(info) == 0
    assert method(np.zeros((0, 0)), np.zeros(0))[0].shape == (0,)
    assert float(method(lambda x: 4.0 * x, 2.0)[0]) == 0.5
    x, info = method(a, np.linalg.solve(a, B) @ a.T, np.linalg.solve(a, B))
    assert int(info) == 0
    x, _ = method(2 * np.eye(4), np.arange(4))  # integers, and a subspace that is exhausted after one step
    np.testing.assert_allclose(x, np.arange(4) / 2)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_small_and_large_right_hand_sides(name: str, scale: float) -> None:
    """In float32 the square of their length is no number."""
    a = matrix_for(name).astype(np.float32)
    x, info = METHODS[name](a, (B * scale).astype(np.float32), tol=1e-5)
    assert int(info) == 0 and x.dtype == np.float32
    np.testing.assert_allclose(np.asarray(x, float) / scale, np.linalg.solve(a, B), rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_what_has_no_solution_ends_and_says_so(name: str) -> None:
    method = METHODS[name]
    singular = np.diag([1.0, 1.0, 0.0])
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        _, info = method(singular, np.ones(3))
    assert int(info) != 0
    for a, b in (
        (np.full((3, 3), np.nan), np.ones(3)),
        (np.eye(3), np.array([1.0, np.nan, 1.0])),
        (np.eye(3), np.full(3, np.inf)),
    ):
        with pytest.warns(ConvergenceWarning):
            x, info = method(a, b)
        assert int(info) == -1
        if not np.all(np.isfinite(b)):
            assert np.all(np.isnan(x))
    with pytest.warns(ConvergenceWarning):
        assert int(method(np.eye(3) + np.diag([0.0, 1.0, 5.0]), np.ones(3), maxiter=0)[1]) == 1


def test_one_of_a_batch_does_not_converge() -> None:
    batch = np.stack([np.eye(3), np.diag([1.0, 1.0, 0.0])])
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        x, info = pb.block_until_ready(pb.jit(pb.vmap(lambda a: gmres(a, jnp.arange(1.0, 4.0))))(batch))
    np.testing.assert_allclose(x[0], [1, 2, 3])
    assert int(info[0]) == 0 and int(info[1]) != 0
    assert [w.category for w in seen] == [ConvergenceWarning]


def test_a_solve_of_a_derivative_that_does_not_converge_warns() -> None:
    f = lambda b: cg(POSITIVE, b, jnp.linalg.solve(POSITIVE, B), maxiter=2, tol=1e-12)[0].sum()
    f(B)
    with pytest.warns(ConvergenceWarning):
        pb.grad(f)(B)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="A must be a square matrix, but has shape"):
        cg(np.ones((2, 3)), np.ones(3))
    with pytest.raises(TypeError, match="cannot be applied"):
        cg(np.eye(2), np.ones(3))
    with pytest.raises(TypeError, match="A must be either a function or a matrix"):
        gmres("A", np.ones(3))
    with pytest.raises(TypeError, match="A must be either a function or a matrix"):
        cg(2.0, np.ones(3))
    with pytest.raises(ValueError, match="matching tree structure"):
        bicgstab(lambda x: x, np.ones(3), {"x": np.ones(3)})
    with pytest.raises(ValueError, match="matching shapes"):
        bicgstab(lambda x: x, np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match="solve_method"):
        gmres(np.eye(2), np.ones(2), solve_method="other")
    with pytest.raises(ValueError, match="restart must be a positive integer"):
        gmres(np.eye(2), np.ones(2), restart=0)
    with pytest.raises(TypeError, match="right-hand side"):
        cg(np.eye(2), "b")
    with pytest.raises(ValueError, match="cg: the output of matvec must have the type of b"):
        cg(lambda x: x[:1], np.ones(2))
