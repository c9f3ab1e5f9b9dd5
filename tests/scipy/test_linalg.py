"""scipy.linalg: values against SciPy's and residuals, eager and compiled; derivatives; edges; errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.linalg as scipy_linalg

import pullback as pb
import pullback.numpy as jnp
import pullback.scipy.linalg as linalg
from pullback.core.config import enable_x64
from pullback.lax import linalg as lax_linalg
from pullback.test_util import check_grads
from tests.linear_algebra import TYPES, adjoint, close, sampler

RNG = np.random.default_rng(11)
sample = sampler(RNG)


# ---- structured matrices ------------------------------------------------------------------------------------------


def test_structured_matrices_are_scipys() -> None:
    with enable_x64(True):
        for n in (1, 2, 3, 6):
            v, w = sample((n,)), sample((4,), np.complex128)
            for name in ("circulant", "toeplitz", "hankel", "fiedler"):
                close(getattr(linalg, name)(v), getattr(scipy_linalg, name)(v), 0)
            for name in ("toeplitz", "hankel"):
                close(getattr(linalg, name)(v, w), getattr(scipy_linalg, name)(v, w), 0)
            close(linalg.toeplitz(w), scipy_linalg.toeplitz(w), 0)
            for mode in ("full", "same", "valid"):
                for k in (1, 2, 5):
                    expected = scipy_linalg.convolution_matrix(v, k, mode)
                    close(linalg.convolution_matrix(v, k, mode), expected, 0)
            if n > 1:
                close(linalg.leslie(v, v[1:]), scipy_linalg.leslie(v, v[1:]), 0)
                close(linalg.companion(v), scipy_linalg.companion(v), 1e-15)
                close(linalg.fiedler_companion(v), scipy_linalg.fiedler_companion(v), 1e-15)
            for name in ("dft", "helmert", "hilbert", "invhilbert", "pascal", "invpascal"):
                close(getattr(linalg, name)(n), getattr(scipy_linalg, name)(n), 1e-14)
            for kind in ("lower", "upper"):
                close(linalg.pascal(n, kind), scipy_linalg.pascal(n, kind), 0)
                close(linalg.invpascal(n, kind), scipy_linalg.invpascal(n, kind), 0)
            close(linalg.helmert(n, full=True), scipy_linalg.helmert(n, full=True), 1e-15)
        close(linalg.dft(6, "sqrtn"), scipy_linalg.dft(6, "sqrtn"), 1e-14)
        # Symmetry makes what the eighths of a turn are exact.
        assert np.asarray(linalg.dft(8))[1].real[2] == 0 and np.asarray(linalg.dft(4))[1, 1] == -1j
        blocks = (np.ones((2, 3)), 2.0, np.arange(3.0), np.zeros((0, 2)))
        close(linalg.block_diag(*blocks), scipy_linalg.block_diag(*blocks), 0)
        assert linalg.block_diag().shape == (1, 0)
    close(linalg.hadamard(8), scipy_linalg.hadamard(8), 0)


@pytest.mark.parametrize("dtype", [*TYPES, "int32", "bool"])
def test_types_of_factors(dtype: Any) -> None:
    """Permutations and angles are real where the matrix is complex, and integers become floats where SciPy's do."""
    a = jnp.asarray(np.array([[4, 1], [2, 3]]), dtype)
    complex_, real = jnp.result_type(a, jnp.complex64), jnp.finfo(jnp.result_type(a, jnp.float32)).dtype
    inexact = jnp.result_type(a, jnp.float32)
    for name, call, dtypes in (
        ("lu", linalg.lu, (real, inexact, inexact)),
        ("lu, permuted", lambda a: linalg.lu(a, permute_l=True), (inexact, inexact)),
        ("lu_factor", linalg.lu_factor, (inexact, np.int32)),
        ("qr", lambda a: linalg.qr(a, pivoting=True), (inexact, inexact, np.int32)),
        ("svd", linalg.svd, (inexact, real, inexact)),
        ("eigh", linalg.eigh, (real, inexact)),
        ("schur", lambda a: linalg.schur(a, output="complex"), (complex_, complex_)),
    ):
        assert tuple(x.dtype for x in call(a)) == dtypes, name


def test_results_of_weakly_typed_arrays_are_not_weak() -> None:
    """In JAX, these are strongly typed, too."""
    v = jnp.stack([jnp.asarray(1.5)] * 2)
    a = jnp.stack([v, v])
    assert v.weak_type and a.weak_type
    for name, call in {
        "block_diag": lambda: linalg.block_diag(1.5),
        "block_diag of two": lambda: linalg.block_diag(v, a),
        "toeplitz": lambda: linalg.toeplitz(v, v),
        "hankel": lambda: linalg.hankel(v, v),
        "expm": lambda: linalg.expm(a),
        "expm_frechet": lambda: linalg.expm_frechet(a, a, compute_expm=False),
        "sqrtm": lambda: linalg.sqrtm(a),
        "funm": lambda: linalg.funm(a, jnp.exp),
        "solve_sylvester": lambda: linalg.solve_sylvester(a, a, a),
    }.items():
        assert not call().weak_type, name


def test_structured_matrices_of_batches_and_types() -> None:
    batch = jnp.arange(1.0, 7).reshape(2, 3)
    for f in (linalg.circulant, linalg.toeplitz, linalg.hankel, linalg.companion, linalg.fiedler):
        close(f(batch), np.stack([f(x) for x in batch]), 0)
        close(pb.vmap(f)(batch), f(batch), 0)
    assert linalg.toeplitz(batch, jnp.arange(4)).shape == (2, 3, 4)
    for dtype in ("int8", "float16", "bfloat16", "complex64", "bool", "uint8"):
        v = jnp.array([1, 2, 3]).astype(dtype)
        assert linalg.circulant(v).dtype == linalg.toeplitz(v).dtype == v.dtype
    assert linalg.companion(jnp.array([1, 2])).dtype == jnp.float32
    for f in (linalg.circulant, linalg.toeplitz, linalg.fiedler, linalg.hankel):
        assert f(jnp.zeros(0)).shape == (0, 0)
    assert linalg.circulant(2.0).weak_type and not linalg.toeplitz(2.0).weak_type
    assert pb.jacfwd(linalg.toeplitz)(jnp.ones(3)).sum() == 9


# ---- factors and solutions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TYPES)
def test_values_are_scipys_and_factors_multiply(dtype: Any) -> None:
    tol = float(np.finfo(dtype).eps) * 300
    with enable_x64(True):
        n = 5
        a, b, e = sample((n, n), dtype), sample((n, 3), dtype), sample((n, n), dtype)
        hermitian, positive = a + adjoint(a), a @ adjoint(a) + n * np.eye(n, dtype=dtype)
        general, small = positive + a, sample((3, 3), dtype) + 5 * np.eye(3, dtype=dtype)

        def everything(
            a: Any, b: Any, e: Any, positive: Any, general: Any, small: Any, hermitian: Any
        ) -> dict[str, Any]:
            factors = linalg.lu_factor(general)
            real_schur = linalg.schur(a)
            return {
                "cholesky": linalg.cholesky(positive),
                "positive": linalg.solve(jnp.triu(positive), b, assume_a="pos"),
                "lower": linalg.solve(jnp.tril(positive), b, assume_a="pos", lower=True),
                "cho": linalg.cho_solve(linalg.cho_factor(positive), b),
                **{f"lu {t}": linalg.lu_solve(factors, b, trans=t) for t in (0, 1, 2)},
                **{f"triangular {t}": linalg.solve_triangular(general, b, trans=t) for t in "NTC"},
                "lu": linalg.lu(b), "polar": linalg.polar(general), "wide": linalg.polar(b.T, "left"),
                "hessenberg": linalg.hessenberg(a, calc_q=True), "schur": real_schur,
                "complex schur": linalg.schur(a, "complex"), "rsf2csf": linalg.rsf2csf(*real_schur),
                **{f"eigh {t}": linalg.eigh(hermitian, positive, type=t) for t in (1, 2, 3)},
                "sylvester": linalg.solve_sylvester(positive, small, b), "expm": linalg.expm(a),
                "frechet": linalg.expm_frechet(a / n, e)[1], "sqrtm": linalg.sqrtm(general),
                "funm": linalg.funm(a / n, jnp.exp), "qr": linalg.qr_multiply(b, b.T), "left": linalg.qr_multiply(b, small, "left"),
            }  # fmt: skip

        operands = (a, b, e, positive, general, small, hermitian)
        for f in (everything, pb.jit(everything)):
            got = pb.tree.map(np.asarray, f(*operands))
            close(got["cholesky"], scipy_linalg.cholesky(positive), tol)
            for name in ("positive", "lower", "cho"):
                close(got[name], np.linalg.solve(positive, b), tol)
            for t, matrix in enumerate((general, general.T, adjoint(general))):
                close(matrix @ got[f"lu {t}"], b, tol)
                expected = scipy_linalg.solve_triangular(general, b, trans=t)
                close(got[f"triangular {'NTC'[t]}"], expected, tol)
            for x, y in zip(got["lu"], scipy_linalg.lu(b)):
                close(x, y, tol)
            for x, y in zip(got["polar"], scipy_linalg.polar(general)):
                close(x, y, 10 * tol)
            close(got["wide"][1] @ got["wide"][0], b.T, tol)
            h, q = got["hessenberg"]
            close(q @ h @ adjoint(q), a, tol)
            assert not np.tril(h, -2).any()
            for name in ("schur", "complex schur", "rsf2csf"):
                t, z = got[name]
                close(z @ t @ adjoint(z), a, 3 * tol)
                close(adjoint(z) @ z, np.eye(n), tol)
                assert name == "schur" or not np.tril(t, -1).any()
            close(got["rsf2csf"][0], scipy_linalg.rsf2csf(*got["schur"])[0], 10 * tol)
            for kind in (1, 2, 3):
                w, v = got[f"eigh {kind}"]
                close(w, scipy_linalg.eigh(hermitian, positive, type=kind, eigvals_only=True), 20 * tol)
                metric = np.linalg.inv(positive) if kind == 3 else positive
                close(adjoint(v) @ metric @ v, np.eye(n), 20 * tol)
            x = got["sylvester"]
            close(positive @ x + x @ small, b, 10 * tol)
            wide = a.astype(np.complex128)
            exact = scipy_linalg.expm(wide)
            assert abs(got["expm"] - exact).max() <= 10 * tol * abs(exact).max()
            close(got["frechet"], scipy_linalg.expm_frechet(wide / n, e.astype(np.complex128))[1], 3 * tol)
            assert abs(got["sqrtm"] @ got["sqrtm"] - general).max() <= tol * abs(general).max()
            close(got["funm"], scipy_linalg.expm(wide / n), 30 * tol)
            for name, c, mode in (("qr", b.T, "right"), ("left", small, "left")):
                for x, y in zip(got[name], scipy_linalg.qr_multiply(b, c, mode)):
                    close(x, y, tol)


def test_tridiagonal_eigenproblems() -> None:
    with enable_x64(True):
        d, e = sample((3, 6)), sample((3, 5))
        w, v = map(np.asarray, linalg.eigh_tridiagonal(d, e))
        for i in range(3):
            close(w[i], scipy_linalg.eigh_tridiagonal(d[i], e[i], eigvals_only=True), 1e-13)
        close(adjoint(v) @ v, np.broadcast_to(np.eye(6), v.shape), 1e-13)
        alone = pb.jit(lambda d, e: linalg.eigh_tridiagonal(d, e, eigvals_only=True))
        for scale in (1, 1e200, 1e-200):
            close(alone(scale * d, scale * e) / scale, w, 1e-13)
        assert np.isnan(np.asarray(alone(d[:, :3] * np.nan, e[:, :2]))).all()
        some, vectors = linalg.eigh_tridiagonal(d, e, select="i", select_range=(1, 3))
        close(some, w[:, 1:4], 0)
        assert vectors.shape == (3, 6, 3)
        assert linalg.eigh_tridiagonal(d[0, :1], e[0, :0], eigvals_only=True).tolist() == [d[0, 0]]
        assert linalg.eigh_tridiagonal(d[0, :0], e[0, :0], eigvals_only=True).shape == (0,)


def test_batches_and_shapes_of_right_sides() -> None:
    a = np.asarray(sample((2, 3, 3), np.float32) + 4 * np.eye(3, dtype=np.float32))
    lower = np.tril(a)
    shapes = ((3,), (3,)), ((3, 2), (2, 3, 2)), ((2, 3), (2, 3)), ((2, 3, 2), (2, 3, 2)), ((4, 2, 3, 1), (4, 2, 3, 1))
    for shape, _ in shapes:
        b = sample(shape, np.float32)
        vectors = len(shape) == 1 or shape == (2, 3)
        column = b[..., None] if vectors else b
        for solution, matrix in (
            (linalg.solve_triangular(a, b, lower=True), lower),
            (linalg.cho_solve((a, True), b), lower @ adjoint(lower)),
            (linalg.lu_solve(linalg.lu_factor(a), b), a),
        ):
            x = np.asarray(solution)
            expected = np.linalg.solve(matrix, column)
            close(x, expected[..., 0] if vectors else expected, 1e-4)
    for f in (linalg.expm, linalg.sqrtm, linalg.inv, linalg.cholesky, lambda x: linalg.solve_sylvester(x, x, x)):
        close(f(a), np.stack([f(x) for x in a]), 1e-4)
        assert f(a[:0]).shape == (0, 3, 3) and f(a[0, :0, :0]).shape == (0, 0)


def test_edges() -> None:
    with enable_x64(True):
        jordan = np.array([[1.0, 1.0], [0.0, 1.0]])
        root = np.array([[1.0, 0.5], [0.0, 1.0]])
        for f in (linalg.sqrtm, pb.jit(linalg.sqrtm)):
            close(f(jordan), root, 1e-15)  # defective
            assert not np.asarray(f(np.zeros((2, 2)))).any()
            assert np.isnan(np.asarray(f(np.full((2, 2), np.nan)))).all()
        for f in (linalg.expm, pb.jit(linalg.expm)):
            ill_scaled = np.array([[1.0, 1e5], [0.0, -1.0]])
            close(f(ill_scaled), scipy_linalg.expm(ill_scaled), 1e-9)
            assert np.isnan(np.asarray(f(np.full((2, 2), np.inf)))).all()
            several = np.stack([np.eye(2), 30 * jordan, 0 * jordan])
            close(f(several), np.stack([scipy_linalg.expm(x) for x in several]), 1e-12)
        a = sample((4, 4))
        for x in (a, a[:1, :1], np.zeros((0, 0))):
            value, error = linalg.funm(x, jnp.exp, disp=False)
            close(value, scipy_linalg.expm(x), 1e-12)
            if len(x) > 1:
                close(error, scipy_linalg.funm(x, np.exp, disp=False)[1], 1e-14)
        assert np.isnan(np.asarray(linalg.expm(1e6 * jordan, max_squarings=4))).all()
        assert np.isnan(np.asarray(linalg.cholesky(-np.eye(2)))[0, 0])
    assert np.isinf(np.asarray(linalg.invhilbert(60))).any()


# ---- derivatives --------------------------------------------------------------------------------------------------


def test_derivatives() -> None:
    with enable_x64(True):
        a = sample((3, 3)) / 2
        positive, general = a @ a.T + np.diag([2.0, 4.0, 7.0]), 4 * np.eye(3) + a
        b = sample((3, 2))

        def symmetric(x: Any) -> Any:
            return (x + x.T) / 2

        def everything(a: Any, positive: Any, general: Any, b: Any) -> list[Any]:
            return [
                linalg.expm(a), linalg.expm_frechet(a, general)[1], jnp.real(linalg.sqrtm(general)),
                linalg.solve_sylvester(positive, general[:2, :2], b), *linalg.polar(general), linalg.polar(b.T, "left")[0],
                linalg.cholesky(positive), linalg.solve(positive, b, assume_a="pos"),
                linalg.lu_solve(linalg.lu_factor(general), b, trans=1), *linalg.eigh(symmetric(general), symmetric(positive)),
                linalg.companion(general[0]), linalg.fiedler(a[0]),
            ]  # fmt: skip

        def loss(*args: Any) -> Any:
            return sum((jnp.cos(i + jnp.arange(x.size)) * x.ravel()).sum() for i, x in enumerate(everything(*args)))

        operands = tuple(map(jnp.asarray, (a, positive, general, b)))
        check_grads(loss, operands, order=1, atol=1e-5, rtol=1e-5, eps=1e-4)
        close(pb.jit(pb.grad(loss))(*operands), pb.grad(loss)(*operands), 1e-9)
        # Second order is the conformance table's; the third derivative along a line is a product, too.
        line = pb.grad(pb.grad(pb.grad(lambda t: linalg.expm(t * a).sum())))
        close(line(0.7), (a @ a @ a @ scipy_linalg.expm(0.7 * a)).sum(), 1e-12)


def test_derivatives_of_reductions_and_functions_of_matrices() -> None:
    with enable_x64(True):
        rng = np.random.default_rng(1)  # has two pairs of complex eigenvalues
        a = rng.normal(size=(5, 5))
        positive = a @ a.T + np.eye(5)
        negative = np.linalg.qr(a)[0][:3, :3] @ np.array([[-4.0, 1, 0], [0, -1, 2], [0, 0, 3]])

        def squares(x: Any) -> Any:
            return jnp.real(x * x.conj())

        def everything(a: Any, positive: Any, negative: Any) -> list[Any]:
            real_form = linalg.schur(a)
            return [
                *real_form, *map(squares, linalg.schur(a, "complex")), *map(squares, linalg.rsf2csf(*real_form)),
                *linalg.hessenberg(a, calc_q=True), linalg.hessenberg(a), *map(jnp.abs, lax_linalg.tridiagonal(positive)),
                squares(linalg.funm(a, jnp.exp)), jnp.real(linalg.funm(positive, jnp.log)), squares(linalg.sqrtm(negative)),
            ]  # fmt: skip

        def loss(*args: Any) -> Any:
            return sum((jnp.cos(i + jnp.arange(x.size)) * x.ravel()).sum() for i, x in enumerate(everything(*args)))

        operands = tuple(map(jnp.asarray, (a, positive, negative)))
        check_grads(loss, operands, order=1, atol=1e-5, rtol=1e-5, eps=1e-5)
        slope = pb.grad(lambda a: jnp.real(linalg.funm(a, jnp.exp)).sum())
        for got in pb.jit(pb.vmap(slope))(jnp.stack([operands[0], operands[0]])):
            close(got, slope(operands[0]), 1e-11)


def test_derivatives_of_functions_of_matrices_with_close_eigenvalues() -> None:
    with enable_x64(True):
        weights = sample((4, 4))
        of = lambda f: lambda x: (jnp.real(f(x)) * weights).sum()
        q = np.linalg.qr(sample((4, 4)))[0]
        for values in (
            [1.0, 1.0, 1.0, 1.0],
            [1.0, 1.0, 2.0, 2.0],
            [1.0, 1 + 1e-10, 1 + 1e-5, 5.0],
            [-1.0, 0.0, 1e-7, 1e-16],
        ):
            a = q @ np.diag(values) @ q.T
            got = pb.grad(of(lambda x: linalg.funm(x, jnp.exp)))(a)
            close(got, pb.grad(of(linalg.expm))(a), 1e-9)
        # Between eigenvalues that are close this one bends, and that one has a cut.
        bent, cut = np.diag([0.0, 0.0, 1e-7 * np.pi, 1.0]), np.diag([1j, -1 + 1e-9j, -1 - 1e-9j, 2.0])
        for f, i, a, expected in (
            (lambda x: jnp.sin(2e7 * x + 1), 0, bent, 0.0),
            (jnp.sqrt, 1, cut, (np.sqrt(-1 - 1e-9j) - np.sqrt(-1 + 1e-9j)) / -2e-9j),
        ):
            change = pb.jvp(lambda x: linalg.funm(x, f), (a,), (np.eye(4, k=1).astype(a.dtype),))[1]
            close(change[i + (i == 0), 2], expected, 1e-6)
        # What the function of numbers depends on has derivatives, too: d(aᵖ)/dp = aᵖ log a.
        positive = jnp.asarray(weights @ weights.T + np.eye(4))
        power = lambda p: jnp.real(linalg.funm(positive, lambda x: x**p)).sum()
        close(pb.grad(power)(2.0), linalg.funm(positive, lambda x: x**2 * jnp.log(x)).real.sum(), 1e-12)
        # Where eigenvalues are equal Schur's form has no derivative, and says so.
        assert np.isnan(np.asarray(pb.grad(lambda x: linalg.schur(x)[1].sum())(np.eye(2)))).any()


def test_roots_and_equations_at_their_singularities() -> None:
    with enable_x64(True):
        q = np.linalg.qr(sample((3, 3)))[0]
        for a in (np.diag([-4.0, -1.0, 9.0]), q @ np.array([[-4.0, 1, 0], [0, -1, 2], [0, 0, 3]]) @ q.T):
            for f in (linalg.sqrtm, pb.jit(linalg.sqrtm)):
                close(f(a), scipy_linalg.sqrtm(a), 1e-13)
        for a in (np.eye(2), np.array([[3.0, 1.0], [0.0, -2.0]])):
            for b, c in ((-a, sample((2, 2))), (-a.astype(complex), sample((2, 2)))):
                for f in (linalg.solve_sylvester, pb.jit(linalg.solve_sylvester)):
                    close(f(a, b, c), scipy_linalg.solve_sylvester(a, b, c), 1e-12)


# ---- programs, errors ---------------------------------------------------------------------------------------------


def test_compiled_programs_do_not_call_the_host() -> None:
    def everything(a: Any) -> Any:
        return (
            linalg.expm(a),
            linalg.sqrtm(a),
            linalg.solve_sylvester(a, a, a),
            linalg.funm(a, jnp.exp),
            linalg.schur(a),
        )

    assert "callback" not in pb.jit(everything).lower(jnp.eye(3)).as_text()


def test_errors() -> None:
    square, wide, vector = jnp.eye(3), jnp.ones((2, 3)), jnp.ones(3)
    for error, message, call in (
        (ValueError, r"cholesky takes matrices of shape \(..., n, n\)", lambda: linalg.cholesky(wide)),
        (ValueError, "expm takes matrices", lambda: linalg.expm(vector)),
        (TypeError, "float16", lambda: linalg.expm(square.astype("float16"))),
        (NotImplementedError, "float16", lambda: linalg.inv(square.astype("float16"))),
        (TypeError, "int32", lambda: linalg.schur(jnp.eye(3, dtype=int))),
        (TypeError, "int32", lambda: linalg.hessenberg(jnp.eye(3, dtype=int))),
        (ValueError, "a number", lambda: linalg.convolution_matrix(2.0, 3)),
        (ValueError, "int32", lambda: linalg.polar(jnp.eye(3, dtype=int))),
        (ValueError, "assume_a", lambda: linalg.solve(square, vector, assume_a="banded")),
        (ValueError, r"\(3, 3\) and \(4,\)", lambda: linalg.solve(square, jnp.ones(4), assume_a="pos")),
        (ValueError, "trans", lambda: linalg.solve_triangular(square, vector, trans=3)),
        (ValueError, "trans", lambda: linalg.lu_solve((square, jnp.arange(3)), vector, trans=4)),
        (ValueError, "mode", lambda: linalg.qr(square, mode="raw")),
        (ValueError, "mode", lambda: linalg.qr_multiply(square, square, "both")),
        (ValueError, "does not fit", lambda: linalg.qr_multiply(square, jnp.ones((2, 2)))),
        (ValueError, "side", lambda: linalg.polar(square, "both")),
        (ValueError, "method", lambda: linalg.polar(square, method="newton")),
        (ValueError, "output", lambda: linalg.schur(square, "r")),
        (ValueError, "one shape", lambda: linalg.rsf2csf(square, jnp.eye(2))),
        (NotImplementedError, "eigvals", lambda: linalg.eigh(square, eigvals=(0, 1))),
        (ValueError, "type", lambda: linalg.eigh(square, square, type=4)),
        (TypeError, "eigh", lambda: linalg.eigh(wide)),
        (NotImplementedError, "select='v'", lambda: linalg.eigh_tridiagonal(vector, vector[1:], select="v")),
        (ValueError, "select", lambda: linalg.eigh_tridiagonal(vector, vector[1:], select="i")),
        (TypeError, "int32", lambda: linalg.eigh_tridiagonal(jnp.arange(3), jnp.arange(2))),
        (TypeError, "shapes", lambda: linalg.eigh_tridiagonal(vector, vector)),
        (ValueError, "takes A", lambda: linalg.solve_sylvester(square, square, wide)),
        (ValueError, "method", lambda: linalg.solve_sylvester(square, square, square, method="x")),
        (ValueError, "one shape", lambda: linalg.expm_frechet(square, jnp.eye(2))),
        (NotImplementedError, "blocks", lambda: linalg.sqrtm(square, 2)),
        (ValueError, "square", lambda: linalg.funm(wide, jnp.exp)),
        (TypeError, "circulant requires", lambda: linalg.circulant([1, 2])),
        (ValueError, "vectors", lambda: linalg.hankel(1.0)),
        (ValueError, "mode", lambda: linalg.convolution_matrix(vector, 2, "wrap")),
        (ValueError, "positive", lambda: linalg.convolution_matrix(vector, 0)),
        (TypeError, "n must be an integer", lambda: linalg.hilbert(2.5)),
        (ValueError, "power of 2", lambda: linalg.hadamard(6)),
        (ValueError, "complex", lambda: linalg.dft(2, dtype=jnp.float32)),
        (ValueError, "scale", lambda: linalg.dft(2, "x")),
        (ValueError, "kind", lambda: linalg.pascal(2, "x")),
        (ValueError, "2 elements", lambda: linalg.companion(jnp.ones(1))),
        (ValueError, "shapes", lambda: linalg.leslie(vector, vector)),
        (ValueError, "2 dimensions", lambda: linalg.block_diag(jnp.ones((1, 1, 1)))),
    ):
        with pytest.raises(error, match=message):
            call()
