"""Rows of `lax/linalg`.

Where complex vectors are determined up to phases, the rows apply functions that do not depend on them. Matrices are
well conditioned and have distinct eigenvalues, so that differences of values are meaningful; edge cases have order 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.array import concrete
from pullback.lax import linalg
from pullback.lax.family import mul_p
from pullback.lax.linalg import matrices
from pullback.lax.linalg.hessenberg import hessenberg_commutator_p, hessenberg_factors_p
from tests.conformance.table import Row, sample

COMPLEX, SINGLE = np.complex128, np.float32


def hermitian(shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
    """Positive definite, with well separated eigenvalues."""
    x = sample(shape, dtype) / 4
    x = x + x.conj().swapaxes(-1, -2)
    return (x + np.diag(np.arange(3.0, 3.0 + 2 * shape[-1], 2.0))).astype(dtype)


def general(shape: tuple[int, ...], dtype: Any = np.float64, seed: int = 0) -> np.ndarray:
    """Far from singular, eigenvalues and singular values well separated, no ties for pivots."""
    k = min(shape[-2:])
    x = sample(shape, dtype, seed=seed) / 3
    x[..., np.arange(k), np.arange(k)] += np.arange(2, 2 + k)
    return x.astype(dtype)


def singular(rank: int, dtype: Any = np.float64, n: int = 4) -> np.ndarray:
    return (sample((n, rank), dtype) @ sample((rank, n), dtype, seed=1)).astype(dtype)


def triangular(**options: bool) -> Any:
    defaults = dict.fromkeys(("left_side", "lower", "transpose_a", "conjugate_a", "unit_diagonal"), False)
    return lambda a, b: linalg.triangular_solve_p.bind(a, b, **{**defaults, **options})


def qr(**options: bool) -> Any:
    return lambda a: linalg.qr_p.bind(a, **{"pivoting": False, "full_matrices": False, **options})


def ormqr(left: bool, transpose: bool) -> Any:
    return lambda a, taus, c: linalg.ormqr(a, taus, c, left=left, transpose=transpose)


def symmetric_product(**options: Any) -> Any:
    return lambda a, c: linalg.symmetric_product(a, c, **options)


def perturbed_solve(dl: Any, d: Any, du: Any, b: Any) -> Any:
    return linalg.tridiagonal_solve(dl, d, du, b, perturb_singular=True)


def triangle(lower: bool, k: int, halves: bool) -> Any:
    return lambda x: matrices.triangle_p.bind(x, lower=lower, k=k, halves=halves)


def eigh(**options: bool) -> Any:
    return lambda a: linalg.eigh_p.bind(a, **{"lower": True, "sort_eigenvalues": True, **options})


def eigh_projectors(a: Any) -> Any:
    """Eigenvalues, and |v|²: what phases do not change."""
    v, w = eigh()(a)
    return [w, mul_p.bind(v, matrices.conj(v))]


def svd_invariant(a: Any) -> Any:
    """Singular values and u vᴴ: what phases do not change."""
    u, s, vh = linalg.svd(a, full_matrices=False)
    return [s, matrices.matmul(u, vh)]


def schur_invariant(a: Any) -> Any:
    """What phases do not change."""
    t, q = linalg.schur(a)
    return [matrices.diagonal(t), mul_p.bind(t, matrices.conj(t)), mul_p.bind(q, matrices.conj(q))]


def hessenberg_commutator(upper: bool) -> Any:
    return lambda h, f: hessenberg_commutator_p.bind(h, f, upper=upper)


def triangular_sylvester(part: str) -> Any:
    return lambda t, s, f: linalg.triangular_sylvester_p.bind(t, s, f, part=part)


def eigenvalues(a: Any) -> Any:
    return linalg.eig(a, compute_left_eigenvectors=False, compute_right_eigenvectors=False)


def eigenvectors(a: Any) -> Any:
    return linalg.eig(a, enable_eigvec_derivs=True)


def factored_solve(transpose_a: bool) -> Any:
    def solve(a: Any, b: Any) -> Any:
        from pullback.lax.gradient import stop_gradient_p

        factors, pivots, _ = linalg.lu_p.bind(stop_gradient_p.bind(a))
        return linalg.lu_solve_p.bind(a, factors, pivots, b, transpose_a=transpose_a)

    return solve


def expm(a: Any, *directions: Any) -> Any:
    return linalg.expm_p.bind(a, *directions, max_squarings=16)


def pinv(a: Any) -> Any:
    tolerance = concrete(np.full(a.shape[:-2], 1e-6, np.dtype(a.dtype.char.lower())))
    return linalg.pinv_p.bind(a, tolerance)


SPD, HPD, STACK = hermitian((3, 3)), hermitian((3, 3), COMPLEX), hermitian((2, 3, 3))
A, C, BATCH = general((3, 3)), general((3, 3), COMPLEX), general((2, 3, 3))
TALL, WIDE = general((4, 2)), general((2, 4))
TALL_C, WIDE_C = general((4, 2), COMPLEX), general((2, 4), COMPLEX)
B, B_C, B_RIGHT = sample((3, 2)), sample((3, 2), COMPLEX), sample((2, 3))
EMPTY, NO_ROWS, NO_COLUMNS, NO_BATCH = np.zeros((0, 0)), np.zeros((0, 3)), np.zeros((3, 0)), np.zeros((0, 2, 2))
ONE = np.array([[4.0]])
UPPER = np.triu(A)
DIAGONALS = tuple(sample((4,), seed=i) + 4 * (i == 1) for i in range(3))
NAN = np.array([[np.nan, 1.0], [1.0, 2.0]])
INDEFINITE = np.array([[[1.0, 2.0], [2.0, 1.0]], [[4.0, 0.0], [0.0, 9.0]]])
SINGULAR = np.ones((2, 2))
PAIRS = np.array([[1.0, 2.0, 0.5], [-3.0, 1.5, 0.2], [0.3, 0.1, 3.0]])
FOUR = general((4, 4))

# fmt: off
ROWS: list[Row] = [
    Row("cholesky", "real", linalg.cholesky_p.bind, (SPD,)),
    Row("cholesky", "complex", linalg.cholesky_p.bind, (HPD,)),
    Row("cholesky", "batch", linalg.cholesky, (STACK,)),
    Row("cholesky", "symmetrized", linalg.cholesky, (SPD + np.triu(A, 1),)),
    Row("cholesky", "symmetrized complex", linalg.cholesky, (HPD + np.triu(C, 1) + 0.5j * np.eye(3),)),
    Row("cholesky", "1x1", linalg.cholesky_p.bind, (ONE,)),
    Row("cholesky", "float32", linalg.cholesky, (SPD.astype(SINGLE),), order=1, tol=1e-2),
    *(Row("cholesky_update", label, linalg.cholesky_update_p.bind, args, order=order) for label, args, order in (
        ("upper", (UPPER, sample((3,))), 2), ("full", (A, sample((3,))), 1), ("1x1", (ONE, np.array([3.0])), 2),
        ("batch", (np.triu(BATCH), sample((2, 3))), 1), ("zeros in w", (UPPER, np.array([0.0, 2.0, 0.0])), 0),
        ("negative diagonal", (-UPPER, sample((3,))), 2), ("singular", (np.zeros((2, 2)), np.array([3.0, 0.0])), 0),
        ("nan", (UPPER, np.array([1.0, np.nan, 1.0])), 0), ("large", (1e200 * UPPER, np.full(3, 1e200)), 0),
        ("empty", (EMPTY, np.zeros(0)), 0), ("float32", (UPPER.astype(SINGLE), sample((3,), SINGLE)), 0),
        ("float16", (UPPER.astype(np.float16), sample((3,), np.float16)), 0))),
    *(Row("symmetric_product", label, symmetric_product(**options), args, order=order) for label, options, args, order in (
        ("plain", {}, (TALL, general((4, 4))), 2), ("scaled", {"alpha": -2.0, "beta": 0.5}, (TALL, general((4, 4))), 2),
        ("symmetrized", {"beta": 3.0, "symmetrize_output": True}, (TALL, general((4, 4))), 1),
        ("batch", {"beta": 1.0}, (BATCH, STACK), 1), ("no columns", {"beta": 2.0}, (NO_COLUMNS, A), 0),
        ("float16", {"beta": 1.0}, (TALL.astype(np.float16), general((4, 4), np.float16)), 0))),
    *(Row("cholesky", label, linalg.cholesky, (x,), order=0) for label, x in (
        ("integers", np.array([[2, 1], [1, 2]])), ("booleans", np.eye(2, dtype=bool)), ("empty", EMPTY), ("no batch", NO_BATCH),
        ("nan", NAN), ("indefinite", INDEFINITE))),

    Row("triangular_solve", "left", triangular(left_side=True, lower=True), (A, B)),
    Row("triangular_solve", "right", triangular(), (A, B_RIGHT)),
    Row("triangular_solve", "transposed", triangular(left_side=True, transpose_a=True), (A, B)),
    Row("triangular_solve", "unit", triangular(lower=True, unit_diagonal=True), (A, B_RIGHT)),
    Row("triangular_solve", "adjoint", triangular(left_side=True, transpose_a=True, conjugate_a=True), (C, B_C)),
    Row("triangular_solve", "conjugate", triangular(lower=True, conjugate_a=True), (C, B_C.T)),
    Row("triangular_solve", "batch", triangular(left_side=True), (BATCH, sample((2, 3, 2))), order=1),
    Row("triangular_solve", "vector", lambda a, b: linalg.triangular_solve(a, b, left_side=True), (A, B[:, 0]), order=1),
    Row("triangular_solve", "float16", triangular(), (A.astype(np.float16), B_RIGHT.astype(np.float16)), order=0),
    Row("triangular_solve", "singular", triangular(), (SINGULAR - np.eye(2), B[:2]), order=0),
    Row("triangular_solve", "empty", triangular(), (EMPTY, NO_COLUMNS), order=0),

    Row("lu", "square", linalg.lu_p.bind, (A,)),
    Row("lu", "complex", linalg.lu_p.bind, (C,)),
    Row("lu", "tall", linalg.lu_p.bind, (TALL,)),
    Row("lu", "wide", linalg.lu_p.bind, (WIDE,)),
    Row("lu", "batch", linalg.lu_p.bind, (BATCH,), order=1),
    Row("lu", "tall complex", linalg.lu_p.bind, (TALL_C,), order=1),
    *(Row("lu", label, linalg.lu_p.bind, (x,), order=0) for label, x in (
        ("nan", NAN), ("singular", SINGULAR), ("empty", EMPTY), ("no rows", NO_ROWS), ("no columns", NO_COLUMNS),
        ("no batch", NO_BATCH), ("float32", A.astype(SINGLE)))),
    Row("lu_solve", "real", factored_solve(False), (A, B)),
    Row("lu_solve", "transposed", factored_solve(True), (A, B)),
    Row("lu_solve", "complex", factored_solve(True), (C, B_C)),
    Row("lu_solve", "batch", factored_solve(False), (BATCH, sample((2, 3, 2))), order=1),
    Row("lu_solve", "empty", factored_solve(False), (EMPTY, NO_ROWS), order=0),
    Row("solve", "real", linalg.solve_p.bind, (A, B)),
    Row("solve", "complex", linalg.solve_p.bind, (C, B_C)),
    Row("solve", "batch", linalg.solve_p.bind, (BATCH, sample((2, 3, 2))), order=1),
    Row("solve", "singular", linalg.solve_p.bind, (SINGULAR, B[:2]), order=0),
    Row("solve", "empty", linalg.solve_p.bind, (EMPTY, NO_ROWS), order=0),
    *(Row("lu_pivots_to_permutation", label, lambda p: linalg.lu_pivots_to_permutation(p, 4), (p,), order=0) for label, p in (
        ("vector", np.array([2, 3, 2], np.int32)), ("batch", np.array([[1, 1], [0, 3], [3, 2]], np.int32)),
        ("int64", np.array([3, 3, 3, 3])), ("empty", np.zeros((2, 0), np.int32)))),

    Row("qr", "square", qr(), (A,)),
    Row("qr", "complex", qr(), (C,)),
    Row("qr", "tall", qr(), (TALL,)),
    Row("qr", "tall complex", qr(), (TALL_C,)),
    Row("qr", "wide", qr(), (WIDE,)),
    Row("qr", "complete", qr(full_matrices=True), (TALL,), tol=1e-4),
    Row("qr", "complete complex", qr(full_matrices=True), (TALL_C,), order=1, tol=1e-4),
    Row("qr", "pivoting", qr(pivoting=True), (WIDE_C,), order=1),
    *(Row("qr", f"pivoting {label}", qr(pivoting=True, full_matrices=full), (x,), order=0) for label, x, full in (
        ("complete", TALL, True), ("wide", WIDE, True), ("batch", BATCH, False), ("no batch", NO_BATCH, False),
        ("empty", EMPTY, True), ("no columns", NO_COLUMNS, True), ("float32", A.astype(SINGLE), True))),
    Row("qr", "batch", qr(), (BATCH,), order=1),
    *(Row("qr", label, linalg.qr, (x,), order=0) for label, x in (
        ("nan", NAN), ("empty", EMPTY), ("no rows", NO_ROWS), ("no columns", NO_COLUMNS), ("no batch", NO_BATCH),
        ("float32", A.astype(SINGLE)))),
    Row("geqrf", "real", linalg.geqrf_p.bind, (TALL,)),
    Row("geqrf", "square", linalg.geqrf_p.bind, (A,), order=1),
    Row("geqrf", "wide complex", linalg.geqrf_p.bind, (WIDE_C,), order=1),
    Row("householder_product", "real", linalg.householder_product, (TALL, sample((2,)))),
    Row("householder_product", "complex", linalg.householder_product, (TALL_C, sample((1,), COMPLEX))),
    Row("householder_product", "no reflections", linalg.householder_product, (TALL, np.zeros(0)), order=0),
    *(Row("ormqr", f"{label}-{'left' if left else 'right'}{'-transposed' if transpose else ''}", ormqr(left, transpose),
          (a, taus, c if left else c.T)) for label, a, taus, c in (
        ("real", TALL, sample((2,)), sample((4, 3))), ("complex", TALL_C, sample((2,), COMPLEX), sample((4, 3), COMPLEX)))
      for left in (True, False) for transpose in (False, True)),
    Row("ormqr", "wide", linalg.ormqr, (WIDE, sample((1,)), B[:2]), order=1),
    Row("ormqr", "zero tau", linalg.ormqr, (TALL, np.array([0.0, 0.5]), sample((4, 3))), order=1),
    Row("ormqr", "batch", linalg.ormqr, (BATCH, sample((2, 3)), sample((2, 3, 2))), order=1),
    *(Row("ormqr", label, linalg.ormqr, args, order=0) for label, args in (
        ("no reflections", (TALL, np.zeros(0), sample((4, 3)))), ("no columns", (TALL, sample((2,)), np.zeros((4, 0)))),
        ("float32", (TALL.astype(SINGLE), sample((2,), SINGLE), sample((4, 3), SINGLE))))),
    *(Row("tridiagonal_solve", label, linalg.tridiagonal_solve, args, order=order) for label, args, order in (
        ("real", (*DIAGONALS, sample((4, 2))), 2),
        ("complex", (*(x * (1 + 0.3j) for x in DIAGONALS), sample((4, 2), COMPLEX)), 2),
        ("batch", (*(np.stack([x, 2 * x]) for x in DIAGONALS), sample((2, 4, 1))), 1),
        ("pivots", (np.array([9.0, 5.0, 4.0]), np.array([0.1, 0.2, 3.0]), np.array([1.0, 2.0, 9.0]), B), 1),
        ("1x1", (ONE[0], ONE[0], ONE[0], sample((1, 2))), 1), ("2x2", (*(x[:2] for x in DIAGONALS), B[:2]), 1),
        ("unused ends", (np.array([np.nan, 1.0]), np.array([2.0, 3.0]), np.array([1.0, np.nan]), B[:2]), 0),
        ("singular", (*(np.zeros(2),) * 3, B[:2]), 0), ("nan", (*(np.full(2, np.nan),) * 3, B[:2]), 0),
        ("float32", (*(x.astype(SINGLE) for x in DIAGONALS), sample((4, 2), SINGLE)), 0),
        ("empty", (*(np.zeros(0),) * 3, NO_ROWS), 0), ("no columns", (*DIAGONALS, np.zeros((4, 0))), 0))),
    Row("tridiagonal_solve", "perturbed", perturbed_solve, (*DIAGONALS, sample((4, 2)))),
    Row("tridiagonal_solve", "perturbed singular", perturbed_solve, (*(np.zeros(2),) * 3, B[:2]), order=0, vmap=False,
        note="how far the kernel moves a pivot away from zero depends on all right-hand sides that it solves for"),

    Row("eigh", "real", eigh(), (SPD,)),
    Row("eigh", "upper", eigh(lower=False), (SPD,)),
    Row("eigh", "complex", eigh_projectors, (HPD,)),
    Row("eigh", "batch", eigh(), (STACK,), order=1),
    *(Row("eigh", label, linalg.eigh, (x,), order=0) for label, x in (
        ("integers", np.array([[2, 1], [1, 3]])), ("booleans", np.eye(2, dtype=bool)), ("nan", NAN), ("empty", EMPTY),
        ("no batch", NO_BATCH), ("float32", SPD.astype(SINGLE)))),
    *(Row("tridiagonal_eigenvalues", label, linalg.tridiagonal_eigenvalues_p.bind, args, order=order) for label, args, order in (
        ("real", (DIAGONALS[1], DIAGONALS[0][:3]), 2), ("complex", (C[0] * 2, B_C[:2, 0]), 1), ("1x1", (ONE[0], ONE[0, :0]), 1),
        ("nan", (NAN[0], NAN[1, :1]), 0), ("zero", (np.zeros(3), np.zeros(2)), 0), ("empty", (np.zeros(0), np.zeros(0)), 0))),
    Row("eig", "values", eigenvalues, (A,)),
    Row("eig", "complex values", eigenvalues, (C,)),
    Row("eig", "vectors", eigenvectors, (A,)),
    Row("eig", "complex pairs", eigenvectors, (PAIRS,)),
    Row("eig", "complex vectors", eigenvectors, (C,), order=1),
    Row("eig", "batch", eigenvectors, (BATCH,), order=1),
    *(Row("eig", label, linalg.eig, (x,), order=0) for label, x in (
        ("nan", NAN), ("empty", EMPTY), ("no batch", NO_BATCH), ("float32", A.astype(SINGLE)))),
    Row("schur", "real", linalg.schur, (BATCH,), order=0),
    Row("schur", "real pairs", linalg.schur, (PAIRS,)),
    Row("schur", "no vectors", lambda a: linalg.schur(a, compute_schur_vectors=False), (A,), order=0),
    Row("schur", "sorted", lambda a: linalg.schur(a, sort_eig_vals=True, select_callable=lambda re, im: re > 3.0), (A,), order=0),
    Row("schur", "complex", schur_invariant, (C,)),
    *(Row(name, label, getattr(linalg, name), (x,), order=0) for name in ("schur", "hessenberg", "tridiagonal")
      for label, x in (("empty", EMPTY), ("no batch", NO_BATCH), ("1x1", ONE), ("float32", SPD.astype(SINGLE)))),
    *(Row("schur", label, linalg.schur, (x,), order=0) for label, x in (
        ("nan", NAN), ("infinite", np.array([[1.0, np.inf], [0.0, 1.0]])), ("one of two nan", np.stack([NAN, SINGULAR])))),
    Row("hessenberg", "real", linalg.hessenberg, (FOUR,)),
    Row("hessenberg", "complex", linalg.hessenberg, (C,), order=1),
    Row("hessenberg_factors", "complex", lambda a: hessenberg_factors_p.bind(a, compute_q=True), (C,), order=1),
    Row("hessenberg_factors", "h alone", lambda a: hessenberg_factors_p.bind(a, compute_q=False), (A,), order=1),
    Row("hessenberg_commutator", "lower", hessenberg_commutator(False), (FOUR, general((4, 4), seed=1))),
    Row("hessenberg_commutator", "upper", hessenberg_commutator(True), (C, HPD), order=1),
    *(Row("hessenberg_commutator", label, hessenberg_commutator(False), (x, x), order=0) for label, x in (
        ("empty", EMPTY), ("1x1", ONE), ("diagonal", np.eye(3)))),
    Row("triangular_sylvester", "all", triangular_sylvester("all"), (A, 2 * A, STACK[0])),
    Row("triangular_sylvester", "lower", triangular_sylvester("lower"), (-C, C / 3, HPD), order=1),
    Row("triangular_sylvester", "upper", triangular_sylvester("upper"), (A, 2 * A, STACK[0]), order=1),
    *(Row("triangular_sylvester", label, triangular_sylvester(part), args, order=order) for label, part, args, order in (
        ("wide", "all", (A, TALL[:2], B), 0), ("singular", "all", (UPPER, -UPPER, A), 0),
        ("equal eigenvalues", "upper", (-np.eye(3), np.eye(3), UPPER), 0), ("empty", "all", (EMPTY, A, NO_ROWS), 0),
        ("batch", "lower", (BATCH, 3 * BATCH, STACK), 0))),
    *(Row("tridiagonal", label, (lambda lower: lambda a: linalg.tridiagonal(a, lower=lower))(lower), (x,), order=order)
      for label, x, lower, order in (("real", hermitian((4, 4)), True, 2), ("upper", HPD, False, 1))),

    *(Row("sylvester", label, linalg.sylvester_p.bind, args, order=order) for label, args, order in (
        ("real", (A, general((2, 2)), B), 2), ("complex", (C, general((2, 2), COMPLEX), B_C), 1),
        ("batch", (BATCH, BATCH, sample((2, 3, 3))), 0), ("1x1", (ONE, ONE, ONE), 0), ("empty", (EMPTY, A, NO_ROWS), 0),
        ("float32", (A.astype(SINGLE), A.astype(SINGLE), A.astype(SINGLE)), 0))),
    *(Row("sqrtm", label, linalg.sqrtm_p.bind, (x,), order=order) for label, x, order in (
        ("complex", C, 2), ("batch", BATCH.astype(COMPLEX), 0), ("zero", np.zeros((2, 2), COMPLEX), 0), ("1x1", ONE + 1j, 0),
        ("nan", NAN.astype(COMPLEX), 0), ("empty", EMPTY.astype(COMPLEX), 0), ("complex64", C.astype(np.complex64), 0))),
    *(Row("expm", label, expm, args, order=order) for label, args, order in (
        ("real", (A / 4,), 2), ("complex", (C / 4,), 0), ("batch", (np.stack([A / 4, 3 * A]),), 1),
        ("Fréchet", (A / 4, UPPER), 1), ("second Fréchet", (A / 4, UPPER, general((3, 3), seed=3)), 1),
        ("nan", (NAN,), 0), ("empty", (EMPTY,), 0), ("1x1", (ONE,), 0),
        ("float32", (A.astype(SINGLE),), 0))),

    Row("svd", "square", lambda a: list(linalg.svd(a)), (A,)),
    Row("svd", "tall", lambda a: list(linalg.svd(a, full_matrices=False)), (TALL,)),
    Row("svd", "wide", lambda a: list(linalg.svd(a, full_matrices=False)), (WIDE,)),
    Row("svd", "complex", svd_invariant, (C,)),
    Row("svd", "tall complex", svd_invariant, (TALL_C,)),
    Row("svd", "wide complex", svd_invariant, (WIDE_C,), order=1),
    Row("svd", "values", lambda a: linalg.svd(a, compute_uv=False), (TALL_C,)),
    Row("svd", "batch", lambda a: linalg.svd(a, compute_uv=False), (BATCH,)),
    *(Row("svd", label, lambda a: list(linalg.svd(a)), (x,), order=0) for label, x in (
        ("nan", NAN), ("empty", EMPTY), ("no rows", NO_ROWS), ("no columns", NO_COLUMNS), ("no batch", NO_BATCH),
        ("complete", TALL), ("float32", A.astype(SINGLE)))),
    Row("pinv", "tall", pinv, (TALL,)),
    Row("pinv", "wide complex", pinv, (WIDE_C,)),
    Row("pinv", "rank", pinv, (singular(2),), order=0),
    Row("pinv", "empty", pinv, (NO_ROWS,), order=0),

    *(Row("polar", label, linalg.polar_p.bind, (x,), order=order) for label, x, order in (
        ("square", A, 2), ("tall", TALL, 2), ("complex", C, 2), ("tall complex", TALL_C, 1), ("batch", BATCH, 1),
        ("unitary", np.array([[0.0, -1.0], [1.0, 0.0]]), 1), ("nan", NAN, 0), ("empty", EMPTY, 0), ("no columns", NO_COLUMNS, 0),
        ("no batch", NO_BATCH, 0), ("float32", A.astype(SINGLE), 0))),
    *(Row("triangle", f"{'lower' if lower else 'upper'} {k}{' halved' if halves else ''} {label}", triangle(lower, k, halves), (x,))
      for lower in (True, False) for k in (-1, 0, 2) for halves in (True, False) for label, x in (("wide", WIDE), ("complex", C))),
    *(Row("triangle", label, triangle(True, 0, False), (x,), order=0) for label, x in (
        ("nan outside", np.array([[1.0, np.nan], [2.0, 3.0]])), ("integers", np.arange(6).reshape(2, 3)), ("empty", NO_ROWS),
        ("batch", BATCH))),

    Row("det", "real", linalg.det_p.bind, (A,)),
    Row("det", "complex", linalg.det_p.bind, (C,)),
    Row("det", "batch", linalg.det_p.bind, (BATCH,)),
    *(Row("det", f"rank {rank}", linalg.det_p.bind, (singular(rank),)) for rank in (3, 2, 1)),
    Row("det", "rank 2 complex", linalg.det_p.bind, (singular(2, COMPLEX),)),
    Row("det", "empty", linalg.det_p.bind, (EMPTY,), order=0),
    Row("det", "nan", linalg.det_p.bind, (NAN,), order=0),
    Row("cofactor", "real", linalg.cofactor_p.bind, (A,)),
    Row("cofactor", "singular", linalg.cofactor_p.bind, (singular(2),)),
    Row("cofactor", "second derivative", linalg.cofactor_p.bind, (singular(3, COMPLEX), sample((4, 4), COMPLEX, seed=3))),
    Row("cofactor", "third derivative", linalg.cofactor_p.bind,
        (singular(4, n=5), sample((5, 5)), sample((5, 5), seed=4)), order=1),
    Row("cofactor", "empty", linalg.cofactor_p.bind, (EMPTY,), order=0),
    Row("slogdet", "real", linalg.slogdet_p.bind, (A,)),
    Row("slogdet", "complex", linalg.slogdet_p.bind, (C,)),
    Row("slogdet", "batch", linalg.slogdet_p.bind, (BATCH,), order=1),
    *(Row("slogdet", label, linalg.slogdet_p.bind, (x,), order=0) for label, x in (
        ("singular", SINGULAR), ("nan", NAN), ("empty", EMPTY), ("no batch", NO_BATCH))),
]
# fmt: on
