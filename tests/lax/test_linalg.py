"""lax.linalg beyond the conformance table: what factors multiply to, edges, errors, derivatives with known values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.core.array import as_array
from pullback.core.config import enable_x64
from pullback.lax import linalg
from pullback.lax.linalg.lu import solve
from pullback.transforms.derivatives import grad, hessian, jacfwd, jacrev
from pullback.transforms.jvp import jvp
from pullback.transforms.linearize import linearize
from pullback.transforms.vmap import vmap
from tests.linear_algebra import TYPES, adjoint, close, precision, sampler

RNG = np.random.default_rng(7)
sample = sampler(RNG)


# ---- what decompositions are ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_factors_multiply_to_the_matrix(dtype: Any, batch: tuple[int, ...]) -> None:
    with enable_x64(True):
        tol = precision(dtype)
        for m, n in ((3, 3), (4, 2), (2, 4), (1, 1)):
            a = sample((*batch, m, n), dtype)
            for full in (False, True):
                q, r = map(np.asarray, linalg.qr(a, full_matrices=full))
                assert q.dtype == r.dtype == a.dtype
                close(q @ r, a, tol)
                close(adjoint(q) @ q, np.broadcast_to(np.eye(q.shape[-1]), (*batch, *q.shape[-1:] * 2)), tol)
                q, r, p = map(np.asarray, linalg.qr(a, full_matrices=full, pivoting=True))
                assert p.dtype == np.int32
                close(q @ r, np.take_along_axis(a, p[..., None, :], -1), tol)
                u, s, vh = map(np.asarray, linalg.svd(a, full_matrices=full))
                k = min(m, n)
                close((u[..., :k] * s[..., None, :]) @ vh[..., :k, :], a, tol)
                assert s.dtype == np.zeros(0, dtype).real.dtype
            lu, pivots, permutation = map(np.asarray, linalg.lu(a))
            lower = np.tril(lu[..., : min(m, n)], -1) + np.eye(m, min(m, n))
            close(lower @ np.triu(lu)[..., : min(m, n), :], np.take_along_axis(a, permutation[..., None], -2), tol)
            close(linalg.lu_pivots_to_permutation(pivots, m), permutation)
        a = sample((*batch, 3, 3), dtype)
        h = a + adjoint(a)
        v, w = map(np.asarray, linalg.eigh(h))
        close(h @ v, v * w[..., None, :], tol)
        spd = a @ adjoint(a) + np.eye(3, dtype=dtype)
        lower = np.asarray(linalg.cholesky(spd))
        close(lower @ adjoint(lower), spd, 10 * tol)
        assert not np.triu(lower, 1).any()
        w, left, right = map(np.asarray, linalg.eig(a))
        close(a @ right, right * w[..., None, :], 10 * tol)
        close(adjoint(left) @ a, w[..., None] * adjoint(left), 10 * tol)
        t, q = map(np.asarray, linalg.schur(a))
        close(q @ t @ adjoint(q), a, 10 * tol)


def test_reductions_are_similar_to_the_matrix() -> None:
    with enable_x64(True):
        for dtype in (np.float64, np.complex128):
            a = sample((4, 4), dtype)
            packed, taus = linalg.hessenberg(a)
            q = np.eye(4, dtype=dtype)
            q[1:, 1:] = np.asarray(linalg.householder_product(packed[1:, :3], taus))
            close(adjoint(q) @ a @ q, np.triu(np.asarray(packed), -1))
            h = a + adjoint(a)
            for lower in (True, False):
                _, d, e, _ = map(np.asarray, linalg.tridiagonal(h, lower=lower))
                similar = np.diag(d) + np.diag(e, 1) + np.diag(e, -1)
                close(np.linalg.eigvalsh(similar), np.linalg.eigvalsh(h))


def test_householder_product_of_geqrf_is_q() -> None:
    with enable_x64(True):
        a = sample((2, 4, 2))
        packed, taus = linalg.geqrf_p.bind(as_array(a))
        close(linalg.householder_product(packed, taus), linalg.qr(a, full_matrices=False)[0])


def test_many_permutations_at_once() -> None:
    pivots = np.stack([RNG.integers(np.arange(4), 4) for _ in range(60)]).astype(np.int32)
    together = np.asarray(linalg.lu_pivots_to_permutation(pivots, 5))
    for row, out in zip(pivots, together):
        assert np.array_equal(linalg.lu_pivots_to_permutation(row, 5), out)


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("conjugate", [False, True])
@pytest.mark.parametrize("unit", [False, True])
def test_triangular_solve(left: bool, lower: bool, transpose: bool, conjugate: bool, unit: bool) -> None:
    with enable_x64(True):
        a, b = sample((2, 3, 3), np.complex128) + 2 * np.eye(3), sample((2, 3, 3), np.complex128)
        x = np.asarray(
            linalg.triangular_solve(
                a, b, left_side=left, lower=lower, transpose_a=transpose, conjugate_a=conjugate, unit_diagonal=unit
            )
        )
        op = np.tril(a) if lower else np.triu(a)
        if unit:
            op = op - op * np.eye(3) + np.eye(3)
        op = op.swapaxes(-1, -2) if transpose else op
        op = op.conj() if conjugate else op
        close(op @ x if left else x @ op, b)


# ---- edges ------------------------------------------------------------------------------------------------------


def test_matrices_that_are_not_positive_definite_give_nan_in_their_triangle() -> None:
    out = np.asarray(linalg.cholesky(np.array([[[1.0, 2.0], [2.0, 1.0]], [[4.0, 0.0], [0.0, 9.0]]], np.float32)))
    assert np.array_equal(np.isnan(out[0]), [[True, False], [True, True]])
    assert out[0, 0, 1] == 0
    assert np.array_equal(out[1], [[2, 0], [0, 3]])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite(value: float) -> None:
    a = np.array([[[1.0, 2.0], [value, 3.0]], [[2.0, 1.0], [1.0, 2.0]]], np.float32)
    for function in (linalg.eigh, linalg.eig):
        for out in function(a):
            assert np.isnan(np.asarray(out)[0]).all()
            assert np.isfinite(np.asarray(out)[1]).all()
    assert np.isnan(np.asarray(linalg.svd(a, compute_uv=False))[0]).all()
    assert np.isnan(np.asarray(linalg.qr(a)[0])[0]).any()


def test_singular_systems_give_infinities() -> None:
    assert np.array_equal(
        solve(jnp.ones((2, 2)), jnp.eye(2)), np.array([[np.inf, -np.inf], [-np.inf, np.inf]], np.float32)
    )


def test_only_the_triangle_asked_for_is_looked_at() -> None:
    a = np.array([[4.0, np.nan], [2.0, 5.0]], np.float32)
    assert np.array_equal(linalg.cholesky(a, symmetrize_input=False), [[2, 0], [1, 2]])
    close(linalg.eigh(a, symmetrize_input=False)[1], np.linalg.eigvalsh(np.array([[4, 2], [2, 5]])), 1e-5)
    close(
        linalg.eigh(a.T, symmetrize_input=False, lower=False)[1], np.linalg.eigvalsh(np.array([[4, 2], [2, 5]])), 1e-5
    )
    # ... and so does the derivative.
    g = np.asarray(grad(lambda x: linalg.cholesky(x, symmetrize_input=False).sum())(as_array(a)))
    assert g[0, 1] == 0
    assert np.isfinite(g).all()


def test_empty_matrices() -> None:
    assert [x.shape for x in linalg.svd(np.zeros((0, 3), np.float32))] == [(0, 0), (0,), (3, 3)]
    assert [x.shape for x in linalg.qr(np.zeros((3, 0), np.float32))] == [(3, 3), (3, 0)]
    assert [x.shape for x in linalg.lu(np.zeros((3, 0), np.float32))] == [(3, 0), (0,), (3,)]
    assert linalg.qr(np.zeros((0, 3), np.float32), pivoting=True)[2].tolist() == [0, 1, 2]
    assert hessian(lambda a: linalg.det_p.bind(a) + linalg.slogdet_p.bind(a)[1])(jnp.zeros((0, 0))).shape == (
        0,
        0,
        0,
        0,
    )


@pytest.mark.parametrize("name", ["cholesky", "eigh", "eig", "svd", "qr", "lu", "schur", "hessenberg", "tridiagonal"])
def test_operands_are_checked(name: str) -> None:
    function = getattr(linalg, name)
    with pytest.raises(TypeError, match="rank at least 2"):
        function(np.ones(3, np.float32))
    with pytest.raises(NotImplementedError, match=r"float16.*float32"):
        function(np.ones((2, 2), np.float16))
    if name in ("cholesky", "eigh"):
        assert all(x.dtype == np.float32 for x in jnp.atleast_1d(*function(np.eye(2, dtype=np.int16))))
    else:
        with pytest.raises(TypeError, match="does not accept dtype int16"):
            function(np.ones((2, 2), np.int16))
    if name not in ("svd", "qr", "lu"):
        with pytest.raises((TypeError, ValueError), match=r"square matrix, got shape \(2, 3\)"):
            function(np.ones((2, 3), np.float32))


def test_triangular_solve_checks_its_operands() -> None:
    a, b = np.eye(2, dtype=np.float32), np.ones((3, 2), np.float32)
    with pytest.raises(TypeError, match="same dtypes"):
        linalg.triangular_solve(a, b.astype(np.float16))
    with pytest.raises(TypeError, match="does not accept dtype int32"):
        linalg.triangular_solve(a.astype(np.int32), b.astype(np.int32))
    with pytest.raises(ValueError, match="square"):
        linalg.triangular_solve(b, b)
    with pytest.raises(ValueError, match="do not fit with left_side=True"):
        linalg.triangular_solve(a, b, left_side=True)


def test_what_has_no_derivative_says_why() -> None:
    a = jnp.eye(3)
    with pytest.raises(NotImplementedError, match="enable_eigvec_derivs"):
        grad(lambda x: linalg.eig(x)[0].real.sum())(a)
    with pytest.raises(NotImplementedError, match="full_matrices=False"):
        grad(lambda x: linalg.svd(x)[1].sum())(jnp.ones((3, 2)))


# ---- derivatives with known values ------------------------------------------------------------------------------


def test_cookbook_complex_cholesky() -> None:
    """The example of the Autodiff Cookbook: a holomorphic function on Hermitian matrices."""
    a = jnp.array([[5.0, 2.0 + 3j, 5j], [2.0 - 3j, 7.0, 1.0 + 7j], [-5j, 1.0 - 7j, 12.0]])

    def f(x: Any) -> Any:
        lower = jnp.linalg.cholesky(x)
        return jnp.sum((lower - jnp.sin(lower)) ** 2)

    expected = np.array(
        [
            [-0.7534186 + 0j, -3.0509028 - 10.940545j, 5.9896846 + 3.542303j],
            [-3.0509028 + 10.940545j, -8.904491 + 0j, -5.1351523 - 6.559373j],
            [5.9896846 - 3.542303j, -5.1351523 + 6.559373j, 0.01320427 + 0j],
        ]
    )
    got = grad(f, holomorphic=True)(a)
    assert got.dtype == np.complex64
    # 0.0132 is what is left of a difference of large numbers, so errors are relative to the largest element of its row.
    assert (np.abs(np.asarray(got) - expected) <= 5e-6 * np.abs(expected).max(1, keepdims=True)).all()


def test_equal_eigenvalues_spoil_only_what_depends_on_vectors() -> None:
    a = jnp.eye(3)
    assert np.array_equal(grad(lambda x: linalg.eigh(x)[1].sum())(a), np.eye(3))
    assert np.array_equal(grad(lambda x: linalg.svd(x, compute_uv=False).sum())(a), np.eye(3))
    assert np.array_equal(grad(lambda x: linalg.svd(x)[1].sum())(a), np.eye(3))
    assert np.isnan(np.asarray(grad(lambda x: linalg.eigh(x)[0].sum())(a))).any()


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_determinants_of_singular_matrices_are_differentiable(rank: int) -> None:
    """Against the sum over permutations, differentiated: a polynomial."""
    from itertools import permutations

    def leibniz(a: Any) -> Any:
        total = 0
        for p in permutations(range(4)):
            sign = round(np.linalg.det(np.eye(4)[list(p)]))
            total += sign * a[0, p[0]] * a[1, p[1]] * a[2, p[2]] * a[3, p[3]]
        return total

    with enable_x64(True):
        a = as_array(sample((4, rank)) @ sample((rank, 4)))
        close(grad(linalg.det_p.bind)(a), grad(leibniz)(a))
        close(hessian(linalg.det_p.bind)(a), hessian(leibniz)(a))
        ts = [as_array(sample((4, 4))) for _ in range(4)]

        def derivative(f: Any, t: Any) -> Any:
            return lambda x: jvp(f, (x,), (t,))[1]

        def along(f: Any) -> Any:
            for t in ts:
                f = derivative(f, t)
            return f(a)

        close(along(linalg.det_p.bind), along(leibniz))


def test_linear_solves_keep_the_factors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Value, derivative and transpose take one factorization in all."""
    calls = []
    evaluate = linalg.lu_p.evaluate
    monkeypatch.setattr(linalg.lu_p, "evaluate", lambda *a: calls.append(1) or evaluate(*a))
    a, b = as_array(sample((3, 3), np.float32)), as_array(sample((3, 2), np.float32))
    _, f_lin = linearize(lambda a: solve(a, b), a)
    f_lin(a)
    f_lin.T(b)
    assert len(calls) == 1


def test_solving_for_many_right_sides_factors_once() -> None:
    with enable_x64(True):
        a, b = sample((3, 3)), sample((5, 3, 2))
        close(vmap(lambda b: solve(as_array(a), b))(as_array(b)), np.linalg.solve(a, b))
        close(
            vmap(lambda b: solve(as_array(a), b), in_axes=2, out_axes=1)(as_array(sample((3, 2, 4)))).shape, (3, 4, 2)
        )
        for left in (True, False):
            f = lambda b: linalg.triangular_solve(a, b, left_side=left)
            c = b if left else b.swapaxes(-1, -2)
            close(vmap(f)(as_array(c)), [f(x) for x in c])


def test_derivative_of_the_inverse() -> None:
    with enable_x64(True):
        a = sample((3, 3), np.complex128)
        expected = -np.einsum("ik,lj->ijkl", np.linalg.inv(a), np.linalg.inv(a))
        f = lambda x: solve(x, jnp.eye(3, dtype=np.complex128))
        close(jacfwd(f, holomorphic=True)(as_array(a)), expected)
        close(jacrev(f, holomorphic=True)(as_array(a)), expected)


def test_pseudo_inverse_at_constant_rank() -> None:
    """p = pinv(a) satisfies p a p = p, along any curve of matrices of one rank."""
    with enable_x64(True):
        x, y, t_x, t_y = sample((4, 2)), sample((2, 3)), sample((4, 2)), sample((2, 3))
        a, t = as_array(x @ y), as_array(t_x @ y + x @ t_y)
        p, t_p = (np.asarray(z) for z in jvp(jnp.linalg.pinv, (a,), (t,)))
        close(t_p, t_p @ a @ p + p @ np.asarray(t) @ p + p @ np.asarray(a) @ t_p)
        steps = [np.linalg.pinv((x + h * t_x) @ (y + h * t_y), rcond=1e-8) for h in (1e-5, -1e-5)]
        close(t_p, (steps[0] - steps[1]) / 2e-5, 1e-6)


def test_completed_q_is_the_one_lapack_completes() -> None:
    """The reflections that LAPACK multiplies determine the further columns of q, so these have derivatives."""
    with enable_x64(True):
        for dtype in (np.float64, np.complex128):
            a, t = sample((5, 2), dtype), sample((5, 2), dtype)
            q, t_q = jvp(lambda x: linalg.qr(x)[0], (as_array(a),), (as_array(t),))
            steps = [np.linalg.qr(a + h * t, "complete")[0] for h in (1e-6, -1e-6)]
            close(t_q, (steps[0] - steps[1]) / 2e-6, 1e-7)
            close(adjoint(q) @ np.asarray(t_q) + adjoint(t_q) @ np.asarray(q), np.zeros((5, 5)))


# ---- matrices that are not finite, or hardly ------------------------------------------------------------------------

_A = np.array([[4.0, 1, 2], [1, 3, 0], [2, 0, 5]], np.float32)


def _with(value, i, j):
    a = _A.copy()
    a[i, j] = a[j, i] = value
    return a


STRANGE = {
    "an infinity": _with(np.inf, 2, 0),
    "infinite": np.full((3, 3), np.inf, np.float32),
    "a NaN": _with(np.nan, 1, 1),
    "what gesdd does not end with": np.array([[-1, 1e9, 1e9], [3, 3, 2], [np.inf, 3, -1]], np.float32),
    "huge": _A * np.float32(5e37),
    "tiny": _A * np.float32(1e-38),
    "one element": np.array([[np.inf]], np.float32),
    "empty": np.zeros((0, 0), np.float32),
    "a batch with bad members": np.stack([_A, _with(np.inf, 2, 0), _A, np.full((3, 3), np.nan, np.float32)]),
    "complex": _with(np.inf, 2, 0).astype(np.complex64),
}
ITERATIONS = {
    "svd": lambda a: jnp.linalg.svd(a, full_matrices=False),
    "svdvals": jnp.linalg.svdvals,
    "svd of Hermitian ones": lambda a: jnp.linalg.svd(a, hermitian=True),
    "pinv": jnp.linalg.pinv,
    "matrix_rank": lambda a: jnp.linalg.matrix_rank(a) if a.size else a,
    "norm": lambda a: (jnp.linalg.norm(a, 2, axis=(-2, -1)) if a.size else a, jnp.linalg.norm(a, "nuc", axis=(-2, -1))),
    "cond": lambda a: jnp.linalg.cond(a) if a.size else a,
    "eig": jnp.linalg.eig,
    "eigh": jnp.linalg.eigh,
    "eigvalsh": jnp.linalg.eigvalsh,
    "schur": linalg.schur,
    "polar": lambda a: linalg.polar_p.bind(a),
}


@pytest.mark.parametrize("name", ITERATIONS)
@pytest.mark.parametrize("matrix", STRANGE)
def test_iterations_on_matrices_that_are_not_finite_end(matrix, name):
    """In NaN, and without harm to other matrices of the batch."""
    f, a = ITERATIONS[name], jnp.asarray(STRANGE[matrix])
    eager, compiled = pb.tree.leaves(f(a)), pb.tree.leaves(pb.jit(f)(a))
    finite = np.isfinite(STRANGE[matrix]).all(axis=(-1, -2))
    for x, y in zip(eager, compiled, strict=True):
        assert x.dtype == y.dtype and x.shape == y.shape
        for out in (np.asarray(x), np.asarray(y)):
            if "batch" in matrix:
                assert np.isfinite(out[finite]).all()
            if out.dtype.kind in "fc" and out.size:
                assert np.isnan(out[~finite]).any() or finite.all()


def test_the_other_triangle_may_hold_anything():
    a = _A.copy()
    a[0, 1:] = np.nan
    for f in (
        lambda a: linalg.eigh(a, lower=True, symmetrize_input=False),
        pb.jit(lambda a: linalg.eigh(a, lower=True, symmetrize_input=False)),
    ):
        assert np.allclose(f(jnp.asarray(a))[1], np.linalg.eigvalsh(_A), rtol=1e-4)
