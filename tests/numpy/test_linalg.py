"""numpy.linalg: values against NumPy, promotion, orders of norms, shapes and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
import pullback.numpy as jnp
from pullback.core.array import as_array
from pullback.core.config import enable_x64
from pullback.transforms.derivatives import grad, hessian, jacrev
from pullback.transforms.vmap import vmap

RNG = np.random.default_rng(3)
A, COMPLEX, STACK = (
    RNG.normal(size=(3, 3)),
    RNG.normal(size=(3, 3)) + 1j * RNG.normal(size=(3, 3)),
    RNG.normal(size=(2, 3, 3)),
)
TALL, WIDE = RNG.normal(size=(4, 2)), RNG.normal(size=(2, 4))


@pytest.fixture(autouse=True)
def double() -> Any:
    with enable_x64(True):
        yield


def close(got: Any, expected: Any, tol: float = 1e-9) -> None:
    np.testing.assert_allclose(np.asarray(got), np.asarray(expected), rtol=tol, atol=tol)
    assert np.asarray(got).dtype == np.asarray(expected).dtype


@pytest.mark.parametrize(
    "name", ["det", "inv", "svdvals", "matrix_norm", "cond", "matrix_transpose", "trace", "diagonal", "pinv"]
)
@pytest.mark.parametrize("a", [A, COMPLEX, STACK], ids=["real", "complex", "batch"])
def test_values(name: str, a: Any) -> None:
    close(getattr(jnp.linalg, name)(as_array(a)), getattr(np.linalg, name)(a))


@pytest.mark.parametrize("a", [A, COMPLEX, STACK], ids=["real", "complex", "batch"])
def test_named_results(a: Any) -> None:
    for name, fields in (
        ("slogdet", ("sign", "logabsdet")),
        ("eigh", ("eigenvalues", "eigenvectors")),
        ("eig", ("eigenvalues", "eigenvectors")),
        ("svd", ("U", "S", "Vh")),
        ("qr", ("Q", "R")),
    ):
        got = getattr(jnp.linalg, name)(as_array(a))
        assert got._fields == fields
        if name == "slogdet":
            for x, y in zip(got, np.linalg.slogdet(a)):
                close(x, y)
    close(jnp.linalg.eigvals(as_array(a)), np.linalg.eigvals(a).astype(np.complex128))
    h = a + a.conj().swapaxes(-1, -2)
    close(jnp.linalg.eigvalsh(as_array(h)), np.linalg.eigvalsh(h))
    close(jnp.linalg.svd(as_array(h), hermitian=True).S, np.linalg.svd(h, compute_uv=False))
    spd = a @ a.conj().swapaxes(-1, -2) + np.eye(3)
    close(jnp.linalg.cholesky(as_array(spd)), np.linalg.cholesky(spd))
    close(jnp.linalg.cholesky(as_array(spd), upper=True), np.linalg.cholesky(spd, upper=True))


def test_qr_modes() -> None:
    a = as_array(TALL)
    assert jnp.linalg.qr(a, "complete").Q.shape == (4, 4)
    close(jnp.linalg.qr(a, "r"), np.linalg.qr(TALL, "r"))
    for got, expected in zip(jnp.linalg.qr(a, "raw"), np.linalg.qr(TALL, "raw")):
        close(got, expected)
    with pytest.raises(ValueError, match="mode 'economic'"):
        jnp.linalg.qr(a, "economic")


def test_integers_become_floats_and_products_stay_integers() -> None:
    a = jnp.array([[4, 1], [1, 3]])
    for name in ("cholesky", "det", "inv", "svdvals", "norm", "cond", "pinv", "eigvalsh", "matrix_norm"):
        assert getattr(jnp.linalg, name)(a).dtype == np.float64, name
    assert jnp.linalg.eigvals(a).dtype == np.complex128
    assert jnp.linalg.matrix_power(a, 3).tolist() == [[75, 38], [38, 37]]
    assert jnp.linalg.matrix_power(a, 3).dtype == np.int64
    assert jnp.linalg.matrix_power(a, -1).dtype == np.float64
    assert jnp.linalg.vector_norm(a, ord=np.inf).dtype == np.int64


def test_half_precision() -> None:
    a = jnp.array([[4.0, 1.0], [1.0, 3.0]], dtype=jnp.bfloat16)
    assert jnp.linalg.det(a).dtype == jnp.bfloat16
    assert jnp.linalg.norm(a).dtype == jnp.bfloat16
    with pytest.raises(NotImplementedError, match="bfloat16"):
        jnp.linalg.inv(a)
    with pytest.raises(NotImplementedError, match="bfloat16"):
        jnp.linalg.matrix_rank(a)


# ---- solving ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shapes", [((3, 3), (3,)), ((3, 3), (3, 2)), ((2, 3, 3), (2, 3, 1)), ((3, 3), (5, 3, 2)), ((4, 1, 3, 3), (2, 3, 2))]
)
def test_solve(shapes: Any) -> None:
    a, b = (RNG.normal(size=s) for s in shapes)
    close(jnp.linalg.solve(as_array(a), as_array(b)), np.linalg.solve(a, b))


def test_solve_a_batch_for_one_vector() -> None:
    b = RNG.normal(size=3)
    close(jnp.linalg.solve(as_array(STACK), as_array(b)), [np.linalg.solve(a, b) for a in STACK])


@pytest.mark.parametrize(
    "shapes", [((2, 3), (2,)), ((3, 3), (2,)), ((3,), (3,)), ((2, 3, 3), (4, 3, 1)), ((2, 3, 3), (2, 3)), ((3, 3), ())]
)
def test_solve_refuses_shapes_that_do_not_fit(shapes: Any) -> None:
    with pytest.raises(ValueError, match="solve"):
        jnp.linalg.solve(*(jnp.ones(s) for s in shapes))


@pytest.mark.parametrize("a", [TALL, WIDE, A, np.ones((4, 2))], ids=["tall", "wide", "square", "deficient"])
@pytest.mark.parametrize("columns", [(), (2,)])
def test_lstsq(a: Any, columns: tuple[int, ...]) -> None:
    b = RNG.normal(size=(len(a), *columns))
    x, residuals, rank, s = jnp.linalg.lstsq(as_array(a), as_array(b), numpy_resid=True)
    expected = np.linalg.lstsq(a, b)
    close(x, expected[0])
    close(residuals, expected[1])
    assert int(rank) == expected[2]
    close(s, expected[3])
    always = jnp.linalg.lstsq(as_array(a), as_array(b))[1]
    close(always, np.atleast_1d(((b - a @ expected[0]) ** 2).sum(0)))


def test_lstsq_checks_its_operands() -> None:
    with pytest.raises(TypeError, match="3-dimensional"):
        jnp.linalg.lstsq(jnp.ones((2, 2, 2)), jnp.ones(2))
    with pytest.raises(ValueError, match="leading dimensions"):
        jnp.linalg.lstsq(jnp.ones((3, 2)), jnp.ones(2))


def test_pinv_and_rank_tolerances() -> None:
    a = jnp.diag(jnp.array([1.0, 0.5, 1e-3]))
    assert int(jnp.linalg.matrix_rank(a)) == 3
    assert int(jnp.linalg.matrix_rank(a, rtol=0.01)) == int(jnp.linalg.matrix_rank(a, tol=0.01)) == 2
    assert jnp.linalg.matrix_rank(jnp.stack([a, a]), rtol=jnp.array([0.0, 0.7])).tolist() == [3, 1]
    close(jnp.linalg.pinv(a, rtol=0.01), np.diag([1.0, 2.0, 0.0]))
    close(jnp.linalg.pinv(a, rcond=0.6), np.diag([1.0, 0.0, 0.0]))
    assert int(jnp.linalg.matrix_rank(jnp.zeros(3))) == 0
    assert int(jnp.linalg.matrix_rank(jnp.array(3.0))) == 1
    with pytest.raises(ValueError, match="only one of"):
        jnp.linalg.pinv(a, rtol=0.1, rcond=0.1)
    with pytest.raises(ValueError, match="only one of"):
        jnp.linalg.matrix_rank(a, rtol=0.1, tol=0.1)


def test_tensor_equations() -> None:
    a, b = RNG.normal(size=(2, 3, 6)), RNG.normal(size=(2, 3))
    close(jnp.linalg.tensorsolve(as_array(a), as_array(b)), np.linalg.tensorsolve(a, b))
    moved = RNG.normal(size=(6, 2, 3))
    close(jnp.linalg.tensorsolve(as_array(moved), as_array(b), axes=(0,)), np.linalg.tensorsolve(moved, b, axes=(0,)))
    close(jnp.linalg.tensorinv(as_array(a)), np.linalg.tensorinv(a))
    with pytest.raises(ValueError, match="positive integer"):
        jnp.linalg.tensorinv(as_array(a), ind=0)
    with pytest.raises(ValueError, match="leading shape"):
        jnp.linalg.tensorsolve(as_array(a), jnp.ones((3, 2)))


@pytest.mark.parametrize("n", [-3, -1, 0, 1, 2, 3, 6, 7])
def test_matrix_power(n: int) -> None:
    close(jnp.linalg.matrix_power(as_array(STACK), n), np.linalg.matrix_power(STACK, n), 1e-7)


def test_matrix_power_checks_its_operands() -> None:
    with pytest.raises(TypeError, match="square"):
        jnp.linalg.matrix_power(jnp.ones((2, 3)), 2)
    with pytest.raises(TypeError, match="integer"):
        jnp.linalg.matrix_power(jnp.ones((2, 2)), 2.0)


# ---- norms ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [None, 0, 1, 2, 3, 0.5, -1, -2, np.inf, -np.inf])
@pytest.mark.parametrize("x", [WIDE, COMPLEX], ids=["real", "complex"])
def test_vector_norms(order: Any, x: Any) -> None:
    for axis in (0, -1):
        for keepdims in (False, True):
            close(
                jnp.linalg.norm(as_array(x), ord=order, axis=axis, keepdims=keepdims),
                np.linalg.norm(x, ord=order, axis=axis, keepdims=keepdims),
            )
    if order is not None:
        close(jnp.linalg.vector_norm(as_array(x), ord=order), np.linalg.vector_norm(x, ord=order))


@pytest.mark.parametrize("order", [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
def test_matrix_norms(order: Any) -> None:
    close(jnp.linalg.norm(as_array(COMPLEX), ord=order), np.linalg.norm(COMPLEX, ord=order))
    for axis in ((0, 1), (2, 0)):
        for keepdims in (False, True):
            close(
                jnp.linalg.norm(as_array(STACK), ord=order, axis=axis, keepdims=keepdims),
                np.linalg.norm(STACK, ord=order, axis=axis, keepdims=keepdims),
            )
    close(jnp.linalg.cond(as_array(A), order), np.linalg.cond(A, order))


def test_norms_of_nothing_and_of_too_much() -> None:
    assert jnp.linalg.norm(jnp.zeros(0)) == 0
    assert jnp.linalg.norm(jnp.zeros(0), ord=np.inf) == 0
    assert jnp.linalg.norm(jnp.zeros((0, 3)), ord=2) == 0
    with pytest.raises(ValueError, match="zero-size"):
        jnp.linalg.norm(jnp.zeros(0), ord=-np.inf)
    with pytest.raises(ValueError, match="number of axes"):
        jnp.linalg.norm(jnp.ones((2, 2, 2)), ord=2)
    with pytest.raises(ValueError, match="invalid order 3"):
        jnp.linalg.norm(jnp.ones((2, 2)), ord=3)
    with pytest.raises(ValueError, match="invalid order 'fro'"):
        jnp.linalg.norm(jnp.ones(2), ord="fro")
    with pytest.raises(ValueError, match="duplicate"):
        jnp.linalg.norm(jnp.ones((2, 2)), axis=(1, 1))


def test_gradients_of_norms() -> None:
    x = jnp.array([0.0, 3.0, -4.0])
    close(grad(jnp.linalg.norm)(x), [0.0, 0.6, -0.8])
    assert np.isnan(np.asarray(grad(jnp.linalg.norm)(jnp.zeros(2)))).all()
    close(grad(lambda x: jnp.linalg.norm(x, ord=np.inf))(x), [0.0, 0.0, -1.0])
    close(grad(lambda x: jnp.linalg.norm(x, ord=3))(x), np.array([0.0, 9.0, -16.0]) / 91 ** (2 / 3))
    close(grad(lambda x: jnp.linalg.norm(x, ord="nuc"))(jnp.eye(2)), np.eye(2))
    h = hessian(jnp.linalg.norm)(x)
    close(h, np.eye(3) / 5 - np.outer(x, x) / 125)


def test_condition_numbers_of_singular_matrices() -> None:
    for p in (1, "fro", np.inf):
        assert jnp.linalg.cond(jnp.ones((2, 2)), p) == np.inf
        assert np.isnan(jnp.linalg.cond(jnp.full((2, 2), np.nan), p))
    with pytest.raises(ValueError, match="at least 2D"):
        jnp.linalg.cond(jnp.ones(3))
    with pytest.raises(ValueError, match="empty"):
        jnp.linalg.cond(jnp.ones((0, 3)))
    with pytest.raises(ValueError, match="square"):
        jnp.linalg.cond(jnp.ones((2, 3)), 1)


# ---- products ---------------------------------------------------------------------------------------------------


def test_products() -> None:
    arrays = [RNG.normal(size=s) for s in ((5, 2), (2, 7), (7, 1), (1, 3))]
    close(jnp.linalg.multi_dot([as_array(x) for x in arrays]), np.linalg.multi_dot(arrays))
    vectors = [arrays[0][:, 0], *arrays, RNG.normal(size=3)]
    close(jnp.linalg.multi_dot([as_array(x) for x in vectors]), np.linalg.multi_dot(vectors))
    close(jnp.linalg.cross(as_array(A), as_array(STACK[0])), np.linalg.cross(A, STACK[0]))
    close(jnp.linalg.outer(as_array(A[0]), as_array(A[1])), np.outer(A[0], A[1]))
    close(jnp.linalg.matmul(as_array(A), as_array(STACK)), A @ STACK)
    close(jnp.linalg.vecdot(as_array(COMPLEX), as_array(COMPLEX)), np.linalg.vecdot(COMPLEX, COMPLEX))
    close(jnp.linalg.tensordot(as_array(A), as_array(A)), np.tensordot(A, A))
    close(jnp.linalg.trace(as_array(STACK), offset=1), np.linalg.trace(STACK, offset=1))
    close(jnp.linalg.diagonal(as_array(STACK), offset=-1), np.linalg.diagonal(STACK, offset=-1))
    for wrong in (lambda: jnp.linalg.multi_dot([jnp.ones((2, 2)), jnp.ones((2, 3, 2))]), lambda: jnp.linalg.outer(A, A),
                  lambda: jnp.linalg.multi_dot([jnp.ones((2, 3)), jnp.ones((2, 3))]), lambda: jnp.linalg.multi_dot([jnp.ones(2), A]),
                  lambda: jnp.linalg.cross(jnp.ones(2), jnp.ones(2)), lambda: jnp.linalg.matrix_transpose(jnp.ones(3))):  # fmt: skip
        with pytest.raises(ValueError):
            wrong()


# ---- derivatives ------------------------------------------------------------------------------------------------


def test_derivatives_under_vmap() -> None:
    b = jnp.ones(3)
    for f in (
        jnp.linalg.det,
        lambda a: jnp.linalg.slogdet(a).logabsdet,
        lambda a: jnp.linalg.solve(a, b).sum(),
        lambda a: jnp.linalg.inv(a)[0, 1],
        lambda a: jnp.linalg.svdvals(a)[1],
        lambda a: jnp.linalg.qr(a).R[0, 2],
        lambda a: jnp.linalg.lstsq(a[:, :2], b)[0].sum(),
    ):
        for derivative in (grad(f), hessian(f)):
            expected = [np.asarray(derivative(as_array(a))) for a in STACK]
            close(vmap(derivative)(as_array(STACK)), expected, 1e-7)


def test_gradient_of_logarithm_of_determinant_is_the_inverse() -> None:
    close(grad(lambda a: jnp.linalg.slogdet(a).logabsdet)(as_array(A)), np.linalg.inv(A).T)
    close(grad(jnp.linalg.det)(as_array(A)), np.linalg.det(A) * np.linalg.inv(A).T)


def test_jacobian_of_solve_is_the_inverse() -> None:
    close(jacrev(lambda b: jnp.linalg.solve(as_array(A), b))(jnp.ones(3)), np.linalg.inv(A))


def test_lists_and_wrong_shapes_are_refused() -> None:
    for name in ("det", "inv", "cholesky", "svd", "norm", "qr", "eigh"):
        with pytest.raises(TypeError, match="list"):
            getattr(jnp.linalg, name)([[1.0, 2.0], [3.0, 4.0]])
    for name in ("det", "slogdet", "inv"):
        for shape in ((3,), (2, 3)):
            with pytest.raises(ValueError, match=r"\[\.\.\., n, n\]"):
                getattr(jnp.linalg, name)(jnp.ones(shape))
    with pytest.raises(ValueError, match="UPLO"):
        jnp.linalg.eigh(jnp.eye(2), UPLO="X")
    with pytest.raises(ValueError, match="method"):
        jnp.linalg.slogdet(jnp.eye(2), method="cholesky")


@pytest.mark.parametrize("wrap", [lambda f: f, pb.jit])
def test_only_one_axis_is_a_vector_to_solve(wrap):
    eyes = jnp.stack([jnp.eye(3), 2 * jnp.eye(3), 4 * jnp.eye(3)])
    b = jnp.arange(9.0).reshape(3, 3)
    solved = wrap(jnp.linalg.solve)(eyes, b)
    np.testing.assert_allclose(solved, np.stack([b, b / 2, b / 4]))
    np.testing.assert_allclose(wrap(pb.vmap(jnp.linalg.solve, (0, None)))(eyes, b), solved)
    np.testing.assert_allclose(wrap(pb.vmap(jnp.linalg.solve))(eyes, b), np.stack([b[0], b[1] / 2, b[2] / 4]))
    np.testing.assert_allclose(wrap(jnp.linalg.solve)(eyes, b[0]), np.stack([b[0], b[0] / 2, b[0] / 4]))
    g = wrap(pb.grad(lambda b: (jnp.linalg.solve(eyes, b) * jnp.arange(27.0).reshape(3, 3, 3)).sum()))(b)
    want = np.arange(27.0).reshape(3, 3, 3)
    np.testing.assert_allclose(g, want[0] + want[1] / 2 + want[2] / 4)
    for a, wrong in [((2, 3, 3), (4, 3)), ((2, 3, 3), (4, 3, 1)), ((3, 3), ()), ((3,), (3,)), ((2, 3), (2,))]:
        with pytest.raises(ValueError, match="solve"):
            wrap(jnp.linalg.solve)(jnp.ones(a), jnp.ones(wrong))


@pytest.mark.parametrize("wrap", [lambda f: f, pb.jit])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 1), (3, 1), (2, 1), (2, 3)])
def test_tolerances_broadcast_with_the_batch(wrap, shape):
    a = jnp.stack([jnp.diag(jnp.array([1.0, 0.1 * s])) for s in (1, 2, 3)])
    for batch in (a, a[0]):
        rtol = np.full(shape, 0.15, np.float32)
        want = np.broadcast_shapes(batch.shape[:-2], shape)
        inverse = wrap(jnp.linalg.pinv)(batch, rtol)
        rank = wrap(jnp.linalg.matrix_rank)(batch, rtol)
        full, tolerances = np.broadcast_to(batch, (*want, 2, 2)), np.broadcast_to(rtol, want)
        assert inverse.shape == (*want, 2, 2)
        for i in np.ndindex(*want):
            np.testing.assert_allclose(inverse[i], np.linalg.pinv(full[i], tolerances[i]), atol=1e-5)
            assert int(rank[i]) == np.linalg.matrix_rank(full[i], rtol=tolerances[i])


def test_tolerances_that_do_not_fit():
    a = jnp.ones((3, 2, 2))
    for f in (jnp.linalg.pinv, jnp.linalg.matrix_rank):
        for g in (f, pb.jit(f)):
            with pytest.raises(ValueError, match="does not broadcast to the batch"):
                g(a, np.ones(2, np.float32))
        with pytest.raises(TypeError, match="must be real"):
            f(a, 1j)
        with pytest.raises(TypeError):
            f(a, "small")
    for wrong in (jnp.ones(2), "a", 1j):
        with pytest.raises(TypeError, match="rcond"):
            jnp.linalg.lstsq(jnp.eye(2), jnp.ones(2), wrong)
