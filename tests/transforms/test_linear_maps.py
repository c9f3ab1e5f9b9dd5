"""Linear maps as values: what operators, matrices, SciPy and solvers make of them, in every transformation.

Application, transposition and their life as a pytree are in `test_linearize.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse.linalg as scipy_linalg

import pullback as pb
import pullback.numpy as jnp
from pullback import LinearMap, lax
from pullback.derivatives.maps import hessian_map, jacobian_map
from pullback.scipy.sparse import linalg
from pullback.tree_util import tree_leaves, tree_map, tree_structure

RNG = np.random.default_rng(0)
A, X, B = RNG.normal(size=(4, 5)), RNG.normal(size=5), RNG.normal(size=5)
SPD = A.T @ A + np.eye(5)


def f(x: Any) -> Any:
    return jnp.sin(jnp.asarray(A, x.dtype) @ x)


JACOBIAN = np.cos(A @ X)[:, None] * A


@pytest.fixture
def J() -> LinearMap:
    return jacobian_map(f, jnp.asarray(X, jnp.float32))


def close(got: Any, expected: Any, tol: float = 1e-5) -> None:
    assert np.shape(got) == np.shape(expected)
    np.testing.assert_allclose(got, expected, rtol=tol, atol=tol)


# ---- vectors ----------------------------------------------------------------------------------------------------


def test_vectors_and_batches(J: LinearMap) -> None:
    v, w = RNG.normal(size=5).astype(np.float32), RNG.normal(size=4).astype(np.float32)
    V, W = RNG.normal(size=(5, 3)).astype(np.float32), RNG.normal(size=(3, 4)).astype(np.float32)
    assert J.shape == (4, 5) and J.T.shape == (5, 4)
    for convert in (jnp.asarray, np.asarray):
        close(J @ convert(v), JACOBIAN @ v)
        close(J.T @ convert(w), JACOBIAN.T @ w)
        close(J @ convert(V), JACOBIAN @ V)
        close(convert(w) @ J, w @ JACOBIAN)
        close(convert(W) @ J, W @ JACOBIAN)
        close(convert(v) @ J.T @ J, v @ JACOBIAN.T @ JACOBIAN)
    close(J @ V[:, :1], JACOBIAN @ V[:, :1])
    close(J @ jnp.zeros((5, 0)), np.zeros((4, 0)))
    close(J.T @ (J @ v), JACOBIAN.T @ JACOBIAN @ v)
    close(J.T @ J @ v, JACOBIAN.T @ JACOBIAN @ v)


def test_batches_are_those_of_vmap_in_every_space() -> None:
    g = lambda p, n: {"y": jnp.tanh(p["w"] @ p["b"]) * n, "z": jnp.sum(p["w"] ** 2)}
    p = {"w": jnp.asarray(RNG.normal(size=(2, 3)), jnp.float32), "b": jnp.arange(3.0)}
    J = jacobian_map(g, p, 3, argnums=(0, 1))  # of which 3 is an integer
    zero = np.zeros((), pb.float0)
    one = J @ (p, zero)
    assert tree_map(jnp.shape, one) == {"y": (2,), "z": ()}
    for a, b in zip(tree_leaves(one), tree_leaves(J(p, zero))):
        close(a, b)
    several = J @ (tree_map(lambda x: jnp.stack([x, 2 * x], -1), p), np.zeros(2, pb.float0))
    for a, b in zip(tree_leaves(several), tree_leaves(one)):
        close(a, jnp.stack([b, 2 * b], -1))
    back, n_bar = {"y": jnp.ones((4, 2)), "z": jnp.ones(4)} @ J
    assert (
        tree_map(jnp.shape, back) == {"w": (4, 2, 3), "b": (4, 3)} and n_bar.shape == (4,) and n_bar.dtype == pb.float0
    )
    matrices = jacobian_map(lambda x: 2 * x.T, jnp.ones((2, 3)))
    assert (matrices @ jnp.ones((2, 3))).shape == (3, 2) and (matrices @ jnp.ones((2, 3, 4))).shape == (3, 2, 4)
    numbers = jacobian_map(lambda x: 3 * x, 1.0)
    assert numbers @ 2.0 == 6 and (numbers @ jnp.ones(4)).tolist() == [3.0] * 4


def test_tuples_of_one_are_what_is_in_them() -> None:
    J = jacobian_map(lambda x: (2 * x,), jnp.ones(3))  # gives a tuple
    assert (J @ jnp.ones(3)).tolist() == [2.0] * 3
    assert (J.T @ (jnp.ones(3),)).tolist() == (J.T @ jnp.ones(3)).tolist() == [2.0] * 3
    assert ((J.T @ J) @ jnp.ones(3)).tolist() == [4.0] * 3
    of_tuple = jacobian_map(lambda x: 2 * x[0], (jnp.ones(3),))
    assert (of_tuple @ of_tuple.T @ of_tuple @ jnp.ones(3)).tolist() == [8.0] * 3
    plain = jacobian_map(lambda x: 3 * x, jnp.ones(3))
    for m in (plain + of_tuple, of_tuple + plain, J + plain + of_tuple, (of_tuple.T + plain).T):
        close(m.to_matrix(), m.T.to_matrix())
        assert (m @ jnp.ones(3))[0] == m.to_matrix()[0, 0] >= 5


def test_what_is_no_vector(J: LinearMap) -> None:
    for wrong, error, message in (
        (lambda: J @ jnp.ones(4), ValueError, r"float32\[5\] cannot be applied to arrays of shapes \[\(4,\)\].*the last"),
        (lambda: jnp.ones(5) @ J, ValueError, "the first"),
        (lambda: J @ jnp.ones((5, 2, 2)), ValueError, "one axis more"),
        (lambda: J @ {"a": jnp.ones(5)}, TypeError, "structure"),
        (lambda: J @ [1.0, 2.0], TypeError, "structure"),
        (lambda: J @ "text", TypeError, "text"),
        (lambda: J @ np.ones(5, np.complex64), ValueError, "complex64"),
        (lambda: jacobian_map(lambda x, y: x * y, 1.0, 2.0, argnums=(0, 1)) @ (jnp.ones(2), jnp.ones(3)), ValueError, "shapes"),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            wrong()


# ---- algebra ----------------------------------------------------------------------------------------------------


def test_algebra_is_that_of_matrices(J: LinearMap) -> None:
    I, D = LinearMap.identity(jnp.ones(5)), LinearMap.diagonal(jnp.asarray(X, jnp.float32))
    d = np.diag(X)
    square = J.T @ J
    for got, expected in (
        (square + 0.5 * I, JACOBIAN.T @ JACOBIAN + 0.5 * np.eye(5)),
        (0.5 * I - square, 0.5 * np.eye(5) - JACOBIAN.T @ JACOBIAN),
        (J @ D, JACOBIAN @ d),
        ((J @ D).T, d @ JACOBIAN.T),
        (D + D, 2 * d),
        (-D / 2, -d / 2),
        (np.float64(2) * D, 2 * d),
        (D * np.float32(2), 2 * d),
        (jnp.float32(2) * D, 2 * d),
        ((square + I).T, JACOBIAN.T @ JACOBIAN + np.eye(5)),
        ((J.T + J.T) @ (J + J), 4 * JACOBIAN.T @ JACOBIAN),
        (square**3, np.linalg.matrix_power(JACOBIAN.T @ JACOBIAN, 3)),
        (square**0, np.eye(5)),
        (D**1, d),
        (I @ D @ I, d),
        (I.T @ I.H, np.eye(5)),
    ):
        close(got.to_matrix(), expected, 1e-4)
        close(got.T.to_matrix(), np.transpose(expected), 1e-4)
        close(got @ np.float32(B[: expected.shape[1]]), expected @ B[: expected.shape[1]], 1e-4)


def test_bad_algebra(J: LinearMap) -> None:
    I = LinearMap.identity(jnp.ones(5))
    for wrong, error, message in (
        (lambda: J @ J, TypeError, r"cannot be composed.*float32\[5\] and float32\[4\]"),
        (lambda: J + I, TypeError, r"outputs are float32\[4\] and float32\[5\]"),
        (lambda: J + J.T, TypeError, "inputs are"),
        (lambda: I + 1, TypeError, "unsupported operand"),
        (lambda: I + LinearMap.identity(jnp.ones(5, jnp.float16)), TypeError, "float16"),
        (lambda: J**2, ValueError, "only linear maps of one space have powers"),
        (lambda: I**-1, ValueError, "no power -1"),
        (lambda: I**0.5, TypeError, "exponent.*integer"),
        (lambda: 1j * I, TypeError, "scalars of its outputs' kind"),
        (lambda: I * np.ones(3), TypeError, r"not by float.*\[3\]"),
        (lambda: I * "text", TypeError, "can't multiply|unsupported"),
        (lambda: I(jnp.ones(5), jnp.ones(5)), TypeError, "tree structure"),
        (lambda: I(jnp.ones(3)), ValueError, r"shape \(3,\), expected \(5,\)"),
        (lambda: LinearMap.diagonal(jnp.ones(5))(jnp.ones(3)), ValueError, "diagonal map"),
    ):
        with pytest.raises(error, match=message):
            wrong()


def test_identities_and_diagonals_of_trees() -> None:
    values = {"a": jnp.array([1.0, 2.0]), "b": 3.0}
    D = LinearMap.diagonal(values)
    assert D.T is D and D.shape == (3, 3)
    assert tree_map(lambda x: np.asarray(x).tolist(), D(values)) == {"a": [1.0, 4.0], "b": 9.0}
    for like in (values, tree_map(pb.typeof, values), pb.eval_shape(lambda: values)):
        I = LinearMap.identity(like)
        assert tree_structure(I(values)) == tree_structure(values)
        close(I.to_matrix(), np.eye(3))
    assert tree_leaves(I) == [] and I.T is I and I.H is I
    z = jnp.array([1 + 2j, 3j])
    close(LinearMap.diagonal(z).H.to_matrix(), np.diag(np.conj(z)))
    assert LinearMap.identity({"x": jnp.ones(2), "n": jnp.arange(3)}).shape == (2, 2)


# ---- matrices ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [None, 1, 3, 100])
@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
def test_matrices_of_trees(mode: Any, batch_size: int | None) -> None:
    g = lambda p, n, q: {"y": jnp.tanh(p["w"] @ p["b"]) * n, "z": (jnp.sum(p["w"] ** 2), q), "i": n}
    p = {"w": jnp.asarray(RNG.normal(size=(2, 3)), jnp.float32), "b": jnp.arange(3.0)}
    J = jacobian_map(g, p, 3, 2.0, argnums=(0, 1, 2))
    flat = lambda v: jnp.concatenate(
        [
            y.reshape(-1)
            for y in tree_leaves(g({"b": v[:3], "w": v[3:9].reshape(2, 3)}, 3, v[9]))
            if not isinstance(y, int)
        ]
    )
    expected = pb.jacfwd(flat)(jnp.concatenate([p["b"], p["w"].reshape(-1), jnp.array([2.0])]))
    close(J.to_matrix(mode=mode, batch_size=batch_size), expected)
    close(J.T.to_matrix(mode=mode, batch_size=batch_size), expected.T)
    close((J.T @ J).to_matrix(mode=mode, batch_size=batch_size), expected.T @ expected, 1e-4)
    close(pb.jit(lambda J: J.to_matrix(mode, batch_size))(J), expected)


def test_the_smaller_side_is_mapped() -> None:
    def pushes(J: LinearMap) -> int:
        return str(pb.make_jaxpr(lambda: J.to_matrix())()).count("[3,1000]")

    x = jnp.ones(1000)
    wide = jacobian_map(lambda x: jnp.sin(x[:3]) * x.sum(), x)
    tall = jacobian_map(lambda x: jnp.sin(jnp.concatenate([x, x])) * x.sum(), jnp.ones(3))
    assert wide.to_matrix().shape == (3, 1000) and pushes(wide)
    assert tall.to_matrix().shape == (6, 3)
    assert "[1000,1000]" not in str(pb.make_jaxpr(lambda: wide.to_matrix())())


def test_matrices_of_nothing() -> None:
    J = jacobian_map(lambda x: x[:0], jnp.ones(3))
    for mode in ("auto", "forward", "reverse"):
        assert J.to_matrix(mode=mode).shape == (0, 3) and J.T.to_matrix(mode=mode).shape == (3, 0)
        close((J.T @ J).to_matrix(mode=mode), np.zeros((3, 3)))
    integers = jacobian_map(lambda n: n, 3)
    assert integers.shape == (0, 0) and integers.to_matrix().shape == (0, 0)


def test_matrices_of_types() -> None:
    with pb.enable_x64(True):
        J = jacobian_map(
            lambda x: (x["half"].astype(jnp.float64) * 2, x["double"] * 3),
            {"half": jnp.ones(2, jnp.float16), "double": jnp.ones(1)},
        )
        for mode in ("forward", "reverse"):
            matrix = J.to_matrix(mode=mode)
            assert matrix.dtype == jnp.float64
            assert matrix.tolist() == [[0.0, 2.0, 0.0], [0.0, 0.0, 2.0], [3.0, 0.0, 0.0]]


def test_matrices_of_complex_maps() -> None:
    z = jnp.asarray(RNG.normal(size=3) + 1j * RNG.normal(size=3), jnp.complex64)
    g = lambda z: jnp.exp(z) * z[::-1]
    J = jacobian_map(g, z)
    expected = np.asarray(pb.jacfwd(g, holomorphic=True)(z))
    for mode in ("forward", "reverse"):
        close(J.to_matrix(mode=mode), expected)
        close(J.H.to_matrix(mode=mode), expected.conj().T)
        close(J.T.H.to_matrix(mode=mode), expected.conj())
    x = jnp.asarray(X, jnp.float32)
    h = lambda x: (jnp.exp(1j * x) * x[::-1], x[0] * x)  # real to complex, and to real
    expected = np.concatenate([np.asarray(y) for y in pb.jacfwd(h)(x)])
    for mode in ("auto", "forward", "reverse"):
        close(jacobian_map(h, x).to_matrix(mode=mode), expected)


def test_maps_that_have_no_matrix() -> None:
    z, x = jnp.array([1 + 2j, 3j]), jnp.ones(2)
    for g, message in (
        (jnp.conj, "conjugates, or takes real parts"),
        (lambda z: z.real + 0j, "conjugates, or takes real parts"),
        (jnp.abs, r"the outputs are float32\[2\]"),
    ):
        J = jacobian_map(g, z)
        for use in (lambda: J.to_matrix(), lambda: J.to_scipy()):
            with pytest.raises(TypeError, match=message):
                use()
        assert "LinearMap" in repr(J) and J._repr_html_()
    with pytest.raises(TypeError, match="real and complex arrays"):
        jacobian_map(lambda x, z: x * z, x, z, argnums=(0, 1)).to_matrix()
    J = jacobian_map(lambda x: 2 * x, x)
    with pytest.raises(ValueError, match="mode must be one of 'auto', 'forward', 'reverse'; got 'both'"):
        J.to_matrix(mode="both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="batch_size must be a positive integer, got 0"):
        J.to_matrix(batch_size=0)


# ---- SciPy ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transform", [None, pb.jit])
def test_operators(J: LinearMap, transform: Any) -> None:
    operator = J.to_scipy(transform)
    assert operator.shape == (4, 5) and operator.dtype == np.float32
    close(operator @ B, JACOBIAN @ B)
    close(operator @ (B + 1j * X), JACOBIAN @ (B + 1j * X))
    close(operator.H @ B[:4], JACOBIAN.T @ B[:4])
    close(operator.matmat(SPD), JACOBIAN @ SPD, 1e-4)
    close(operator.rmatmat(A), JACOBIAN.T @ A, 1e-4)
    close(operator @ np.zeros((5, 0)), np.zeros((4, 0)))
    close(operator.T @ A[:, :1], JACOBIAN.T @ A[:, :1])
    assert set(np.linalg.matrix_rank(operator @ np.eye(5)).ravel()) == {4}


def test_operators_of_trees_and_complex_numbers() -> None:
    p = {"w": jnp.asarray(RNG.normal(size=(2, 3)), jnp.float32), "b": jnp.arange(3.0)}
    J = jacobian_map(lambda p, n: (p["w"] @ p["b"], n, jnp.sum(p["w"] ** 2)), p, 3, argnums=(0, 1))
    matrix, operator = np.asarray(J.to_matrix()), J.to_scipy()
    close(operator @ np.eye(9), matrix)
    close(operator.H @ np.eye(3), matrix.T)
    for J in (
        jacobian_map(lambda z: jnp.exp(z) * z[::-1], jnp.array([1 + 2j, 3j, 0.5])),
        jacobian_map(lambda x: jnp.exp(1j * x) * x[::-1], jnp.arange(3.0)),
    ):
        matrix, operator = np.asarray(J.to_matrix()), J.to_scipy()
        close(operator @ np.eye(3), matrix)
        close(operator @ (1j * np.eye(3)), 1j * matrix)
        close(operator.H @ np.eye(3), matrix.conj().T)
        close(operator.H @ (1j * np.ones(3)), matrix.conj().T @ (1j * np.ones(3)))
    nothing = jacobian_map(lambda x: x[:0], jnp.ones(3)).to_scipy()
    assert (nothing @ np.ones(3)).shape == (0,) and (nothing.H @ np.ones((0, 2))).tolist() == [[0.0, 0.0]] * 3


def test_solvers_and_spectra_of_scipy() -> None:
    with pb.enable_x64(True):
        H = hessian_map(lambda x: 0.5 * x @ SPD @ x + jnp.sum(x**4), jnp.asarray(X))
        J = jacobian_map(f, jnp.asarray(X))
        matrix = SPD + np.diag(12 * X**2)
        close(scipy_linalg.cg(H.to_scipy(), B, rtol=1e-12)[0], np.linalg.solve(matrix, B))
        close(scipy_linalg.gmres(H.to_scipy(pb.jit), B, rtol=1e-12)[0], np.linalg.solve(matrix, B))
        close(scipy_linalg.eigsh(H.to_scipy(), 2)[0], np.linalg.eigvalsh(matrix)[-2:])
        close(np.sort(scipy_linalg.svds(J.to_scipy(), 2)[1]), np.sort(np.linalg.svd(JACOBIAN)[1])[-2:])
        close(scipy_linalg.lsmr(J.to_scipy(), A @ B, atol=1e-14, btol=1e-14)[0], np.linalg.lstsq(JACOBIAN, A @ B)[0])


# ---- solvers of this package ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cg", "gmres", "bicgstab"])
def test_solvers(name: str) -> None:
    solve = lambda A, b, **options: getattr(linalg, name)(A, b, tol=1e-13, **options)[0]
    g = lambda x: 0.5 * x @ SPD @ x + jnp.sum(x**4)
    dense = lambda x, b: jnp.linalg.solve(pb.hessian(g)(x), b)
    with pb.enable_x64(True):
        x, b = jnp.asarray(X), jnp.asarray(B)
        H = hessian_map(g, x)
        expected = dense(x, b)
        close(solve(H, b), expected)
        close(solve(H, b, M=LinearMap.diagonal(1 / jnp.diag(H.to_matrix()))), expected)
        close(pb.jit(solve)(H, b), expected)
        close(solve(LinearMap.identity(x) + 2 * H, b), jnp.linalg.solve(np.eye(5) + 2 * np.asarray(H.to_matrix()), b))
        of_x = lambda solve: lambda x, b: jnp.sum(jnp.cos(solve(x, b)))
        own = pb.jit(pb.grad(of_x(lambda x, b: solve(hessian_map(g, x), b)), (0, 1)))(x, b)
        for a, e in zip(own, pb.grad(of_x(dense), (0, 1))(x, b)):
            close(a, e)


# ---- in other transformations -----------------------------------------------------------------------------------


def maps_at(x: Any) -> dict[str, LinearMap]:
    """One of each class."""
    J, H = jacobian_map(lambda x: jnp.sin(x) * x[0], x), hessian_map(lambda x: jnp.sum(x**3) * x[0], x)
    return {
        "recorded": J, "transpose": J.T, "product": J.T @ J, "sum": J + H, "multiple": x[1] * J, "symmetric": H,
        "identity": LinearMap.identity(x), "diagonal": LinearMap.diagonal(x**2), "power": (J + H) ** 2,
        "conjugate": jacobian_map(lambda z: jnp.exp(1j * z) * z[::-1], x + 0j).H,
    }  # fmt: skip


NAMES = list(maps_at(jnp.ones(3)))
POINTS = jnp.asarray(RNG.normal(size=(4, 3)), jnp.float32)


@pytest.mark.parametrize("name", NAMES)
def test_maps_are_trees(name: str) -> None:
    x, m = POINTS[0], maps_at(POINTS[0])[name]
    leaves, tree = pb.tree_util.tree_flatten(m)
    assert tree == tree_structure(maps_at(POINTS[1])[name])
    close(pb.tree_util.tree_unflatten(tree, leaves).to_matrix(), m.to_matrix())
    assert "LinearMap((" in repr(m) and "lambda" in repr(m)
    assert m.shape == m.to_matrix().shape
    v = x if name != "conjugate" else x + 0j
    apply = lambda m, v: m @ v
    expected = m.to_matrix() @ v
    close(pb.jit(apply)(m, v), expected)
    close(pb.jit(lambda x: maps_at(x)[name])(x).to_matrix(), m.to_matrix())
    close(lax.cond(x[0] < 9, lambda m: m @ v, lambda m: 0 * (m @ v), m), expected)


@pytest.mark.parametrize("name", NAMES)
def test_maps_of_batches(name: str) -> None:
    maps = pb.vmap(lambda x: maps_at(x)[name])(POINTS)
    expected = np.stack([maps_at(x)[name].to_matrix() for x in POINTS])
    close(pb.vmap(lambda m, _: m.to_matrix())(maps, POINTS), expected)  # an identity has no leaves
    v = jnp.ones(3, expected.dtype)
    close(lax.scan(lambda _, mx: (None, mx[0] @ v), None, (maps, POINTS))[1], expected @ np.ones(3))


@pytest.mark.parametrize("name", NAMES)
def test_maps_are_differentiated(name: str) -> None:
    with pb.enable_x64(True):
        x = jnp.asarray(X[:3])
        v = jnp.ones(3) if name != "conjugate" else jnp.ones(3) + 0j
        weights = jnp.arange(1.0, 4.0)
        loss = lambda use: lambda x: jnp.sum(weights * use(maps_at(x)[name]).real)
        got = pb.grad(loss(lambda m: m @ v))(x)
        close(got, pb.grad(loss(lambda m: m.to_matrix() @ v))(x))
        h = 1e-5
        numbers = [(loss(lambda m: m @ v)(x + h * e) - loss(lambda m: m @ v)(x - h * e)) / (2 * h) for e in np.eye(3)]
        np.testing.assert_allclose(got, numbers, rtol=1e-6, atol=1e-6)


def test_maps_are_carried_by_loops() -> None:
    H = hessian_map(lambda x: jnp.sum(x**3), POINTS[0])
    _, v = lax.fori_loop(0, 3, lambda i, s: (s[0], s[0] @ s[1]), (H, jnp.ones(3)))
    close(v, (6 * POINTS[0]) ** 3, 1e-4)


def test_sparse_matrices() -> None:
    J = jacobian_map(lambda x: x[1:] * x[:-1], jnp.arange(1.0, 101.0))
    for format in ("csr", "csc", "coo"):
        sparse = J.to_sparse(format=format)
        assert sparse.format == format and sparse.nnz == 198
        close(sparse.toarray(), J.to_matrix())


def test_several_maps_in_one_are_not_applied_as_if_they_were_one() -> None:
    maps = pb.vmap(lambda x: pb.linearize(jnp.sin, x)[1])(jnp.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]))
    ones = jnp.ones(3)
    for use in (
        lambda m: m(ones), lambda m: m.T(ones), lambda m: m @ ones, lambda m: (m + m)(ones), lambda m: m.to_matrix(),
        lambda m: m.to_sparse(),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="several maps in one.*under vmap"):
            use(maps)
    assert repr(maps) == "several LinearMap((float32[3]) → (float32[3])) in one" and repr(2 * maps).startswith(
        "several"
    )
    expected = np.cos([[0.0] * 3, [1.0] * 3])
    np.testing.assert_allclose(pb.vmap(lambda m, x: m(x))(maps, jnp.ones((2, 3))), expected, rtol=1e-6)
    np.testing.assert_allclose(pb.lax.scan(lambda c, m: (c, m(c)), ones, maps)[1], expected, rtol=1e-6)
    np.testing.assert_allclose(pb.tree.map(lambda r: r[1], maps)(ones), expected[1], rtol=1e-6)
    twice = pb.vmap(lambda m: pb.vmap(lambda s: s * m)(jnp.ones(2)))(maps)
    with pytest.raises(ValueError, match="several maps"):
        twice(ones)


def test_complex_maps_have_a_matrix_while_others_are_traced() -> None:
    z = jnp.ones(2) + 0j
    for f in (jnp.fft.fft, lambda z: 2j * z):
        matrix = lambda z: pb.linearize(f, z)[1].to_matrix()
        np.testing.assert_allclose(pb.jit(matrix)(z), matrix(z))
    conjugated = pb.linearize(jnp.conj, z)[1]
    for use in (lambda: conjugated.to_sparse(), lambda: pb.jit(lambda z: pb.linearize(jnp.conj, z)[1].to_matrix())(z)):
        with pytest.raises(TypeError, match="linear over the complex numbers"):
            use()
    with pytest.raises(TypeError, match="these are traced"):
        pb.jit(lambda x: pb.linearize(jnp.sin, x)[1].to_sparse().shape)(jnp.ones(2))
