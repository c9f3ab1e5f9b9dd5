"""lax.linalg: updates, products of reflections, tridiagonal systems, polar decomposition; what is compiled, and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback.numpy as jnp
from pullback.core.config import enable_x64
from pullback.lax import linalg
from pullback.transforms.derivatives import grad
from pullback.transforms.jit import jit
from pullback.transforms.jvp import jvp
from pullback.transforms.vmap import vmap
from tests.linear_algebra import TYPES, adjoint, close, precision, sampler

RNG = np.random.default_rng(5)
sample = sampler(RNG)


# ---- cholesky_update --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("n", [1, 2, 7])
def test_cholesky_update_factors_the_updated_matrix(n: int, compiled: bool) -> None:
    with enable_x64(True):
        r, w = np.triu(sample((n, n))), sample((n,))
        update = jit(linalg.cholesky_update) if compiled else linalg.cholesky_update
        u = np.asarray(update(r, w))
        close(u.T @ u, r.T @ r + np.outer(w, w))
        assert not np.tril(u, -1).any() and (np.diag(u) > 0).all()


def test_cholesky_update_has_the_derivative_of_the_decomposition() -> None:
    with enable_x64(True):
        r, w, t_r, t_w = np.triu(sample((4, 4))), sample((4,)), np.triu(sample((4, 4))), sample((4,))
        r[np.diag_indices(4)] = np.arange(1, 5)
        outer = lambda r, w: jnp.linalg.cholesky(r.T @ r + jnp.outer(w, w)).T
        for got, expected in zip(jvp(linalg.cholesky_update, (r, w), (t_r, t_w)), jvp(outer, (r, w), (t_r, t_w))):
            close(got, expected)


def test_cholesky_update_where_the_vector_is_zero_keeps_the_signs() -> None:
    r = np.diag([-2.0, 3.0, 0.0]).astype(np.float32)
    close(linalg.cholesky_update(r, np.zeros(3, np.float32)), r)
    close(linalg.cholesky_update(r, np.array([1, 0, 0], np.float32)), np.diag([5**0.5, 3, 0]), 1e-6)


def test_cholesky_update_refuses_other_operands() -> None:
    eye = np.eye(3, dtype=np.float32)
    for r, w, error, text in (
        (eye[None], eye[:1], TypeError, "must have rank 2"),
        (eye, eye, TypeError, "must have rank 1"),
        (eye, eye[0].astype(np.float16), TypeError, "same dtypes"),
        (eye.astype(np.complex64), eye[0].astype(np.complex64), TypeError, "does not accept dtype complex64"),
        (eye, eye[0, :2], ValueError, r"shapes \(3, 3\) and \(2,\)"),
        (eye[:2], eye[0], ValueError, r"shapes \(2, 3\) and \(3,\)"),
    ):
        with pytest.raises(error, match=text):
            linalg.cholesky_update(r, w)


# ---- symmetric_product ------------------------------------------------------------------------------------------


def test_symmetric_product_is_what_it_says() -> None:
    with enable_x64(True):
        a, c = sample((2, 4, 3)), sample((2, 4, 4))
        expected = 2 * a @ a.swapaxes(-1, -2) - 3 * c
        close(linalg.symmetric_product(a, c, alpha=2.0, beta=-3.0), expected)
        mirrored = np.tril(expected) + np.tril(expected, -1).swapaxes(-1, -2)
        close(linalg.symmetric_product(a, c, alpha=2.0, beta=-3.0, symmetrize_output=True), mirrored)


def test_symmetric_product_refuses_other_operands() -> None:
    eye = np.eye(3, dtype=np.float32)
    for a, c, error, text in (
        (eye[None], eye, TypeError, "same number of batch axes"),
        (eye, eye.astype(np.float16), TypeError, "same dtypes"),
        (eye.astype(np.int32), eye.astype(np.int32), TypeError, "does not accept dtype int32"),
        (eye, eye[:2], ValueError, r"\(3, 3\) and \(2, 3\)"),
    ):
        with pytest.raises(error, match=text):
            linalg.symmetric_product(a, c)


# ---- ormqr ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TYPES)
def test_ormqr_multiplies_by_the_unitary_factor(dtype: Any) -> None:
    with enable_x64(True):
        tol = precision(dtype)
        a = sample((2, 5, 3), dtype)
        packed, taus = map(np.asarray, linalg.geqrf_p.bind(jnp.asarray(a)))
        q = np.asarray(linalg.qr(a)[0])
        c = sample((2, 5, 4), dtype)
        for function in (linalg.ormqr, jit(linalg.ormqr, static_argnames=("left", "transpose"))):
            close(function(packed, taus, c), q @ c, tol)
            close(function(packed, taus, c, transpose=True), adjoint(q) @ c, tol)
            close(function(packed, taus, adjoint(c), left=False), adjoint(c) @ q, tol)
            close(function(packed, taus, adjoint(c), left=False, transpose=True), adjoint(c) @ adjoint(q), tol)


def test_flags_are_booleans_of_any_kind_and_factors_are_numbers() -> None:
    x, taus = jnp.array([[2.0, 1.0], [1.0, 3.0]]), jnp.array([1.0])
    for f in (linalg.ormqr, jit(linalg.ormqr, static_argnames=("left", "transpose"))):
        assert jnp.array_equal(f(x, taus, x, left=np.True_, transpose=1), f(x, taus, x, left=True, transpose=True))
    assert jnp.array_equal(linalg.tridiagonal(x, lower=2)[0], linalg.tridiagonal(x, lower=True)[0])
    for factor in ({"alpha": None}, {"beta": None}):
        with pytest.raises(TypeError):
            linalg.symmetric_product(x, x, **factor)


def test_ormqr_takes_fewer_reflections_than_columns() -> None:
    with enable_x64(True):
        a, c = sample((4, 3)), sample((4, 2))
        v = np.concatenate([[1.0], a[1:, 0]])
        expected = c - 0.7 * np.outer(v, v @ c)
        for function in (linalg.ormqr, jit(linalg.ormqr)):
            close(function(a, np.array([0.7]), c), expected)
            close(function(a, np.zeros(0), c), c)


def test_ormqr_refuses_other_operands() -> None:
    a, taus, c = np.ones((4, 2), np.float32), np.ones(2, np.float32), np.ones((4, 3), np.float32)
    for operands, options, error, text in (
        ((a, taus, c[:, 0]), {}, TypeError, "rank at least 2"),
        ((a, taus.astype(np.float16), c), {}, TypeError, "same dtypes"),
        ((a, taus, c.T), {}, ValueError, "as many rows"),
        ((a, taus, c), {"left": False}, ValueError, "as many columns"),
        ((a, np.ones(3, np.float32), c), {}, ValueError, "k <= min"),
        ((a.astype(np.int32), taus, c), {}, TypeError, "does not accept dtype int32"),
    ):
        with pytest.raises(error, match=text):
            linalg.ormqr(*operands, **options)


# ---- tridiagonal_solve ------------------------------------------------------------------------------------------


def dense(dl: Any, d: Any, du: Any) -> np.ndarray:
    return np.diag(dl[1:], -1) + np.diag(d) + np.diag(du[:-1], 1)


@pytest.mark.parametrize("dtype", TYPES)
def test_tridiagonal_systems_are_solved(dtype: Any) -> None:
    with enable_x64(True):
        for n in (1, 2, 6):
            dl, d, du, b = (sample(s, dtype) for s in ((n,), (n,), (n,), (n, 3)))
            x = np.linalg.solve(dense(dl, d, du).astype(np.complex128), b)
            tol = 10 * precision(dtype) * np.linalg.cond(dense(dl, d, du))
            for perturb in (False, True):
                for function in (
                    linalg.tridiagonal_solve,
                    jit(linalg.tridiagonal_solve, static_argnames="perturb_singular"),
                ):
                    got = function(dl, d, du, b, perturb_singular=perturb)
                    assert got.dtype == dtype
                    close(got, x, tol)


def test_singular_tridiagonal_systems_are_nan_or_perturbed() -> None:
    zero, b = np.zeros(3, np.float32), np.ones((3, 2), np.float32)
    assert np.isnan(np.asarray(linalg.tridiagonal_solve(zero, zero, zero, b))).all()
    assert np.isfinite(np.asarray(linalg.tridiagonal_solve(zero, zero, zero, b, perturb_singular=True))).all()
    both = [np.stack([zero, x]) for x in (zero, zero + 1, zero)]
    got = np.asarray(linalg.tridiagonal_solve(*both, np.stack([b, b])))
    assert np.isnan(got[0]).all() and (got[1] == 1).all()


def test_the_derivative_in_the_diagonals_leaves_out_what_is_not_used() -> None:
    with enable_x64(True):
        dl, d, du, b = sample((4,)), sample((4,)) + 4, sample((4,)), sample((4, 2))
        loss = lambda dl, d, du, b: jnp.sum(linalg.tridiagonal_solve(dl, d, du, b) ** 2)
        full = lambda dl, d, du, b: jnp.sum(
            jnp.linalg.solve(jnp.diag(dl[1:], -1) + jnp.diag(d) + jnp.diag(du[:-1], 1), b) ** 2
        )
        argnums = (0, 1, 2, 3)
        for got, expected in zip(grad(loss, argnums)(dl, d, du, b), grad(full, argnums)(dl, d, du, b)):
            close(got, expected)
        assert grad(loss, 0)(dl, d, du, b)[0] == 0 and grad(loss, 2)(dl, d, du, b)[-1] == 0


def test_tridiagonal_solve_refuses_other_operands() -> None:
    d, b = np.ones(3, np.float32), np.ones((3, 1), np.float32)
    for operands, error, text in (
        ((d, d, d, d), TypeError, "input 3 to tridiagonal_solve must have rank at least 2"),
        ((1.0, 1.0, 1.0, b), TypeError, "input 0 to tridiagonal_solve must have rank at least 1"),
        ((d[1:], d, d[1:], b), TypeError, "three diagonals of one shape"),
        ((d, d, d, b[:2]), TypeError, "three diagonals of one shape"),
        ((d, d, d, b.astype(np.float16)), TypeError, "same dtypes"),
        ((*(d.astype(np.int32),) * 3, b.astype(np.int32)), TypeError, "does not accept dtype int32"),
        ((*(d.astype(np.float16),) * 3, b.astype(np.float16)), NotImplementedError, "convert it to float32"),
    ):
        with pytest.raises(error, match=text):
            linalg.tridiagonal_solve(*operands)


# ---- qdwh -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (1, 1)])
def test_the_polar_decomposition_multiplies_to_the_matrix(dtype: Any, shape: tuple[int, int]) -> None:
    with enable_x64(True):
        x, tol = sample(shape, dtype), precision(dtype)
        for function in (linalg.qdwh, jit(linalg.qdwh)):
            u, h, _, converged = function(x)
            assert u.dtype == h.dtype == dtype and bool(converged)
            u, h = np.asarray(u), np.asarray(h)
            close(u @ h, x, tol)
            close(adjoint(u) @ u, np.eye(shape[1]), tol)
            close(h, adjoint(h), 0)
            assert (np.linalg.eigvalsh(h) > -tol).all()


def test_qdwh_of_a_leading_block() -> None:
    with enable_x64(True):
        x = sample((5, 4))
        u, h, *_ = jit(lambda x, shape: linalg.qdwh(x, dynamic_shape=shape))(x, (3, 2))
        expected_u, expected_h, *_ = linalg.qdwh(x[:3, :2])
        close(u, np.pad(np.asarray(expected_u), ((0, 2), (0, 2))))
        close(h, np.pad(np.asarray(expected_h), ((0, 2), (0, 2))))


def test_qdwh_edges() -> None:
    assert not bool(linalg.qdwh(np.full((2, 2), np.nan, np.float32))[3])
    assert vmap(linalg.qdwh)(np.ones((3, 2, 2), np.float32))[0].shape == (3, 2, 2)
    with pytest.raises(ValueError, match="at least as many rows"):
        linalg.qdwh(np.ones((2, 3), np.float32))
    with pytest.raises(ValueError, match="use vmap"):
        linalg.qdwh(np.ones((1, 3, 3), np.float32))


# ---- compiled programs ------------------------------------------------------------------------------------------


def test_only_what_lapack_lacks_is_evaluated_on_the_host() -> None:
    x = jnp.eye(3)
    calls_back = lambda f: "python_cpu_callback" in jit(f).lower(x).as_text()
    for function in (
        linalg.schur,
        linalg.hessenberg,
        linalg.tridiagonal,
        lambda x: linalg.qr(x, pivoting=True),
        lambda x: linalg.qr(x[:0]),
        lambda x: linalg.svd(x[:, :0]),
        lambda x: linalg.householder_product(x, x[0, :0]),
        lambda x: linalg.ormqr(x, x[0], x),
        lambda x: linalg.cholesky_update(x, x[0]),
    ):
        assert not calls_back(function)
    assert calls_back(lambda x: linalg.schur(x, sort_eig_vals=True, select_callable=lambda re, im: re > 0))


def test_the_gradient_through_a_cholesky_decomposition_symmetrizes_once() -> None:
    text = jit(grad(lambda a: jnp.sum(jnp.log(jnp.diag(linalg.cholesky(a)))))).lower(jnp.eye(4)).as_text()
    assert text.count("lapack_strsm_ffi") == 2 and text.count("lapack_spotrf_ffi") == 1
    # None of the masks is an argument of the program, and no matrix is copied to be stored by columns.
    assert "%arg1" not in text
    assert text.count("operand_layouts = [dense<[1, 0]>") == 1


def test_infinities_do_not_reach_iterations() -> None:
    x = np.stack([np.eye(3), np.full((3, 3), np.inf)]).astype(np.float32)
    for function in (linalg.schur, jit(linalg.schur)):
        t, q = map(np.asarray, function(x))
        close(t[0], np.eye(3))
        assert np.isnan(t[1]).all() and np.isnan(q[1]).all()
