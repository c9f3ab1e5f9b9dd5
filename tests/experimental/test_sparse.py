"""Sparse arrays against dense ones, scipy.sparse and NumPy: every layout, eager and compiled, with derivatives and batches."""

from __future__ import annotations

import copy
import gc
import itertools
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import pullback as pb
import pullback.numpy as jnp
from pullback import export, lax
from pullback.experimental import sparse
from pullback.experimental.sparse import linalg, products
from pullback.experimental.sparse.bcoo import with_data

D = np.array([[0, 1, 0, 2], [3, 0, 0, 0], [0, 0, 4, 5]], np.float32)
D3 = np.stack([D, 2 * D[::-1]])
V, W = np.arange(1, 5, dtype=np.float32), np.arange(1, 4, dtype=np.float32)


def layouts(ndim: int) -> list[tuple[int, int]]:
    return [(b, d) for b in range(ndim + 1) for d in range(ndim + 1 - b)]


def stored(x: np.ndarray, n_batch: int = 0, n_dense: int = 0, extra: int = 2) -> sparse.BCOO:
    """A BCOO of an array, with padding."""
    exact = sparse.BCOO.fromdense(x, n_batch=n_batch, n_dense=n_dense)
    return sparse.BCOO.fromdense(x, n_batch=n_batch, n_dense=n_dense, nse=exact.nse + extra)


def assert_is(found: Any, expected: Any, note: Any = "") -> None:
    found = found.todense() if isinstance(found, sparse.JAXSparse) else found
    expected = np.asarray(expected)
    assert found.shape == expected.shape and found.dtype == expected.dtype, (
        note,
        found.aval,
        expected.shape,
        expected.dtype,
    )
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-5, atol=1e-5, err_msg=str(note))


# ---- layouts and operations ----------------------------------------------------------------------


@pytest.mark.parametrize("x", [D, D3], ids=["2d", "3d"])
def test_every_layout_does_what_dense_arrays_do(x: np.ndarray) -> None:
    axes, rng = range(x.ndim), np.random.default_rng(0)
    for b, d in layouts(x.ndim):
        m, note = stored(x, b, d), (b, d)
        assert (m.n_batch, m.n_dense, m.shape) == (b, d, x.shape)
        assert_is(m, x, note)
        assert_is(m.sum_duplicates(nse=m.nse), x, note)
        assert_is(m.sort_indices(), x, note)
        assert_is(sparse.bcoo_extract(m, x), x, note)
        for r in range(x.ndim + 1):
            for some in itertools.combinations(axes, r):
                assert_is(sparse.bcoo_reduce_sum(m, axes=some), x.sum(some), (note, some))
                assert_is(sparse.bcoo_rev(m, some), np.flip(x, some), (note, some))
        for new in ((x.size,), (2, x.size // 2), x.shape[::-1], (1, *x.shape), (*x.shape, 1)):
            assert_is(sparse.bcoo_reshape(m, new_sizes=new), x.reshape(new), (note, new))
        start, step = (1,) * x.ndim, (1,) * (x.ndim - 1) + (2,)
        cut = tuple(slice(1, None, s) for s in step)
        assert_is(sparse.bcoo_slice(m, start_indices=start, limit_indices=x.shape, strides=step), x[cut], note)
        assert_is(sparse.bcoo_dynamic_slice(m, (7,) * x.ndim, (1,) * x.ndim), x[(slice(-1, None),) * x.ndim], note)
        for v in (x[-1], x[..., :1], x[:1], np.float32(2)):
            assert_is(with_data(m, sparse.bcoo_multiply_dense(m, v)), x * v, note)
        for places in itertools.combinations(range(x.ndim + 1), x.ndim):
            shape = [3] * (x.ndim + 1)
            for p, n in zip(places, x.shape):
                shape[p] = n
            expected = lax.broadcast_in_dim(jnp.array(x), shape, places)
            found = sparse.bcoo_broadcast_in_dim(m, shape=shape, broadcast_dimensions=places)
            assert_is(found, expected, (note, places))
        for c in axes:
            for y in (rng.normal(size=x.shape[c]).astype(x.dtype), rng.normal(size=(x.shape[c], 2)).astype(x.dtype)):
                numbers = (((c,), (0,)), ((), ()))
                found = sparse.bcoo_dot_general(m, jnp.array(y), dimension_numbers=numbers)
                assert_is(found, lax.dot_general(jnp.array(x), y, numbers), (note, c))
                numbers = (((0,), (c,)), ((), ()))
                found = sparse.bcoo_dot_general(jnp.array(y), m, dimension_numbers=numbers)
                assert_is(found, lax.dot_general(y, jnp.array(x), numbers), (note, c))
            k = (c + 1) % x.ndim
            y = rng.normal(size=(x.shape[k], x.shape[c], 2)).astype(x.dtype)
            numbers = (((c,), (1,)), ((k,), (0,)))
            found = sparse.bcoo_dot_general(m, y, dimension_numbers=numbers)
            assert_is(found, lax.dot_general(jnp.array(x), y, numbers), (note, c, k))


@pytest.mark.parametrize("x", [D, D3], ids=["2d", "3d"])
def test_every_pair_of_layouts(x: np.ndarray) -> None:
    dense = jnp.array(x)
    for (b, d), (c, e) in itertools.product(layouts(x.ndim), repeat=2):
        m, n, note = stored(x, b, d), stored(x, c, e, 0), (b, d, c, e)
        assert_is(sparse.bcoo_multiply_sparse(m, n), x * x, note)
        assert_is(m + n, x + x, note)
        assert_is(m - n, x - x, note)
        for axis in range(x.ndim):
            numbers = (((axis,), (axis,)), ((), ()))
            expected = lax.dot_general(dense, dense, numbers)
            assert_is(sparse.bcoo_dot_general(m, n, dimension_numbers=numbers), expected, note)
            assert_is(sparse.bcoo_concatenate([m, n], dimension=axis), np.concatenate([x, x], axis), note)


def test_layouts_are_changed_both_ways() -> None:
    m = sparse.BCOO.fromdense(D)
    for b, d in layouts(2):
        there = m.update_layout(n_batch=b, n_dense=d, on_inefficient=None)
        assert (there.n_batch, there.n_dense) == (b, d)
        assert_is(there, D)
        assert_is(there.update_layout(n_batch=0, n_dense=0), D)
    with pytest.raises(sparse.SparseEfficiencyError, match="increasing n_batch from 0 to 1"):
        m.update_layout(n_batch=1)
    with pytest.warns(sparse.SparseEfficiencyWarning, match="increasing n_dense"):
        m.update_layout(n_dense=1, on_inefficient="warn")
    for options in ({"n_batch": 3}, {"on_inefficient": "x"}, {"n_dense": -1}):
        with pytest.raises(ValueError):
            m.update_layout(**options)


def test_printing_shows_the_pattern() -> None:
    for m in (
        sparse.BCOO.fromdense(D, nse=6),
        sparse.BCSR.fromdense(D),
        sparse.COO.fromdense(D),
        sparse.CSC.fromdense(D),
    ):
        assert str(m) == f"{m!r}\n[. x . x]\n[x . . .]\n[. . x x]"
    assert str(sparse.eye(1000)).count("x") == 32
    assert str(sparse.empty((0, 3))) == "BCOO(float32[0, 3], nse=0)\n"
    for m in (sparse.BCOO.fromdense(D3), sparse.BCSR.fromdense(D3, n_batch=1)):
        assert str(m) == repr(m)
    seen = []
    pb.jit(lambda m: seen.append(str(m)))(sparse.BCOO.fromdense(D))
    assert seen == ["BCOO(float32[3, 4], nse=5)"]


def test_layouts_are_what_the_interface_says() -> None:
    m, batches = sparse.BCOO.fromdense(D), sparse.BCOO.fromdense(D3, n_batch=1)
    assert repr(m) == "BCOO(float32[3, 4], nse=5)"
    assert repr(batches) == "BCOO(float32[2, 3, 4], nse=5, n_batch=1)"
    assert m.indices.tolist() == [[0, 1], [0, 3], [1, 0], [2, 2], [2, 3]] and m.unique_indices and m.indices_sorted
    assert (m.n_sparse, m.nse, m.size, m.ndim, len(m), m.dtype) == (2, 5, 12, 2, 3, jnp.float32)
    assert sparse.bcoo_fromdense(D, nse=7).indices[-1].tolist() == [3, 4]
    assert sparse.bcoo_fromdense(D, nse=2).data.tolist() == [1, 2]
    transposed = m.T
    assert not transposed.indices_sorted and transposed.unique_indices
    both = sparse.bcoo_concatenate([m, m], dimension=0).update_layout()
    assert sparse.bcoo_reduce_sum(both, axes=[0]).sum_duplicates().nse == 4
    repeated = sparse.BCOO((jnp.ones(3), jnp.array([[1], [1], [0]])), shape=(2,))
    assert repeated.sum_duplicates(nse=4).data.tolist() == [1, 2, 0, 0]
    assert repeated.sum_duplicates().indices.tolist() == [[0], [1]]
    assert sparse.bcoo_extract(repeated, np.array([5.0, 7.0], np.float32)).data.tolist() == [7, 0, 5]
    assert sparse.bcoo_extract(repeated, jnp.array([5.0, 7.0]), assume_unique=True).data.tolist() == [7, 7, 5]
    assert sparse.empty((2, 3, 4), n_batch=1, n_dense=1, nse=2).indices.tolist() == [[[3], [3]]] * 2
    for n, k, kind in ((4, 1, "bcoo"), (3, -1, "coo"), (2, 0, "csr"), (4, 5, "csc")):
        eye = sparse.eye(3, n, k, dtype=np.int32, sparse_format=kind)
        assert_is(eye, np.eye(3, n, k, dtype=np.int32))
    assert_is(sparse.eye(3, n_batch=1), np.eye(3, dtype=np.float32))
    assert_is(sparse.eye(3, n_dense=1), np.eye(3, dtype=np.float32))
    for kind in ("bcoo", "bcsr", "coo", "csr", "csc"):
        assert_is(sparse.empty((2, 3), sparse_format=kind), np.zeros((2, 3), np.float32))
    with pytest.raises(KeyError):
        sparse.eye(3, sparse_format="bcsr")


def test_gather_and_convolution() -> None:
    m = sparse.BCOO.fromdense(D)
    assert_is(m[np.array([2, 0])], D[[2, 0]])
    assert_is(m[1], D[1])
    assert_is(m[:, ::2], D[:, ::2])
    assert_is(m[-1, 1:], D[-1, 1:])
    assert_is(m[2, 3], D[2, 3])
    assert_is(m[None], D[None])
    assert m[None].n_batch == 1
    assert [r.shape for r in m] == [(4,)] * 3
    x, y = D[0], np.array([2, 0, 5], np.float32)
    for mode in ("full", "valid"):
        found = sparse.sparsify(lambda a, b, mode=mode: jnp.convolve(a, b, mode))(sparse.BCOO.fromdense(x), y)
        assert_is(found, np.convolve(x, y, mode))
    a, b = (sparse.BCOO.fromdense(z.reshape(1, 1, -1)) for z in (x, y))
    for padding in ("VALID", "SAME", [(2, 1)]):
        expected = lax.conv_general_dilated(x.reshape(1, 1, -1), y.reshape(1, 1, -1), (1,), padding)
        assert_is(sparse.bcoo_conv_general_dilated(a, b, window_strides=(1,), padding=padding), expected)
    with pytest.raises(NotImplementedError):
        sparse.bcoo_conv_general_dilated(a, b, window_strides=(2,), padding="VALID")
    found = sparse.bcoo_dot_general_sampled(
        D, D.T, jnp.array([[0, 2], [1, 1], [9, 0]]), dimension_numbers=(((1,), (0,)), ((), ()))
    )
    assert found.tolist() == [10, 9, 0]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "complex64", "int8", "uint32", "bool"])
def test_dtypes(dtype: str) -> None:
    with pb.enable_x64(dtype == "float64"):
        x = jnp.array(D).astype(dtype)
        v = jnp.array(V).astype(dtype)
        m, c = sparse.BCOO.fromdense(x), sparse.CSR.fromdense(x)
        results = pb.jit(lambda m, c, v: [m @ v, c @ v, m.todense(), v @ m.T])(m, c, v)
        for found in ([m @ v, c @ v, m.todense(), v @ m.T], results):
            for one, expected in zip(found, (x @ v, x @ v, x, x @ v)):
                assert one.dtype == expected.dtype == dtype
                assert one.tolist() == expected.tolist()
        assert (m @ jnp.arange(4)).dtype == (x @ jnp.arange(4)).dtype
        assert (m * 2).dtype == (x * 2).dtype


def test_operators() -> None:
    m, dense = sparse.BCOO.fromdense(D), jnp.array(D)
    other = sparse.BCOO.fromdense(np.roll(D, 1, 1))
    for a, expected in (
        (-m, -D), (abs(-m), D), (+m, D), (2 * m, 2 * D), (m * D, D * D), (m / 2, D / 2), (m / (D + 1), D / (D + 1)), (m**2, D**2),
        (m + other, D + np.roll(D, 1, 1)), (m - other, D - np.roll(D, 1, 1)), (m * other, D * np.roll(D, 1, 1)), (m + D, 2 * D),
        (D + m, 2 * D), (D - m, 0 * D), (m * V, D * V), (m @ other.T, D @ np.roll(D, 1, 1).T), (W @ m, W @ D), (dense.T @ m, D.T @ D),
        (m.sum(), D.sum()), (m.sum(0), D.sum(0)), (m.sum(axis=1, keepdims=True), D.sum(1, keepdims=True)),
        (m.astype(np.int32), D.astype(np.int32)), (m.reshape(4, 3), D.reshape(4, 3)), (m.reshape(-1), D.reshape(-1)), (m.T, D.T),
    ):  # fmt: skip
        assert_is(a, expected)
    for refused in (lambda: m + 1, lambda: 2 / m, lambda: m**0, lambda: 2**m, lambda: m == m, lambda: m + m[0]):
        with pytest.raises(NotImplementedError):
            refused()
    for mistake in (lambda: m @ W, lambda: hash(m), lambda: jnp.sin(m), lambda: sparse.CSR.fromdense(D) @ W):
        with pytest.raises(TypeError):
            mistake()


def test_other_formats() -> None:
    for kind in (sparse.COO, sparse.CSR, sparse.CSC, sparse.BCSR):
        for nse in (None, 7):
            m = kind.fromdense(D, nse=nse)
            assert repr(m) == f"{kind.__name__}(float32[3, 4], nse={nse or 5})"
            found = pb.jit(lambda m: [m @ V, m @ D.T, W @ m, m.todense(), m.T.todense(), m.T @ W])(m)
            for one, again, expected in zip(
                found,
                [m @ V, m @ D.T, W @ m, m.todense(), m.T.todense(), m.T @ W],
                (D @ V, D @ D.T, W @ D, D, D.T, D.T @ W),
            ):
                assert_is(one, expected)
                assert_is(again, expected)
            g = pb.grad(lambda m: (m @ V).sum(), allow_int=True)(m).data
            assert_is(with_data_of(m, g), np.where(D != 0, V, 0))
    b = sparse.BCSR.fromdense(D3, n_batch=1)
    assert_is(pb.vmap(lambda m: m @ V)(b), D3 @ V)
    assert_is(pb.vmap(lambda m: W @ m)(b), W @ D3)
    assert_is(sparse.bcsr_concatenate([b, b], dimension=1), np.concatenate([D3, D3], 1))
    assert_is(
        sparse.bcsr_broadcast_in_dim(sparse.BCSR.fromdense(D), shape=(2, 3, 4), broadcast_dimensions=(1, 2)),
        np.stack([D, D]),
    )
    assert_is(sparse.bcsr_extract(b.indices, b.indptr, D3), b.data)
    assert_is(sparse.bcsr_sum_duplicates(b, nse=6), D3)
    c = sparse.COO.fromdense(D)
    assert_is(sparse.coo_matvec(c, V), D @ V)
    assert_is(sparse.coo_matmat(c, D, transpose=True), D.T @ D)
    r = sparse.CSR.fromdense(D)
    assert_is(sparse.csr_matvec(r, W, True), D.T @ W)
    assert_is(sparse.csr_matmat(r, D.T), D @ D.T)
    assert_is(sparse.coo_todense(c.T._sort_indices()), D.T)


def with_data_of(m: Any, data: Any) -> Any:
    (_, *positions), static = m.tree_flatten()
    return type(m).tree_unflatten(static, (data, *positions))


def test_names_of_primitives_are_compositions() -> None:
    m, n = sparse.BCOO.fromdense(D), sparse.BCSR.fromdense(D)
    numbers = (((1,), (0,)), ((), ()))
    assert_is(sparse.bcoo_todense_p.bind(m.data, m.indices, shape=m.shape), D)
    assert_is(sparse.bcsr_todense_p.bind(n.data, n.indices, n.indptr, shape=n.shape), D)
    assert_is(sparse.bcoo_extract_p.bind(m.indices, D), m.data)
    assert_is(
        sparse.bcoo_dot_general_p.bind(m.data, m.indices, jnp.array(V), dimension_numbers=numbers, shape=m.shape), D @ V
    )
    assert_is(
        sparse.bcsr_dot_general_p.bind(
            n.data, n.indices, n.indptr, jnp.array(V), dimension_numbers=numbers, shape=n.shape
        ),
        D @ V,
    )
    assert [x.tolist() for x in sparse.bcoo_fromdense_p.bind(D, nse=5)] == [m.data.tolist(), m.indices.tolist()]
    assert pickle.loads(pickle.dumps(sparse.coo_fromdense_p)) is sparse.coo_fromdense_p
    assert "coo_matvec" in str(pb.make_jaxpr(lambda m: m @ V)(m)) and "scatter_add" in str(
        pb.make_jaxpr(lambda m: m.todense())(m)
    )


# ---- transformations -----------------------------------------------------------------------------


def test_derivatives_are_those_of_dense_arrays_at_the_positions() -> None:
    f = lambda m, v: (jnp.tanh(m @ v) ** 2).sum()
    for m, x in ((sparse.BCOO.fromdense(D), D), (stored(D, 0, 1), D), (stored(D, 1, 0), D)):
        g, gv = sparse.grad(f, argnums=(0, 1))(m, jnp.array(V))
        expected, ev = pb.grad(f, argnums=(0, 1))(jnp.array(x), jnp.array(V))
        mask = with_data(m, jnp.ones_like(m.data)).todense() != 0
        assert_is(g, np.where(mask, expected, 0))
        assert_is(gv, ev)
        compiled = pb.jit(lambda m, v: sparse.value_and_grad(f)(m, v))(m, jnp.array(V))
        assert isinstance(compiled[1], sparse.BCOO)
        assert_is(compiled[1], np.where(mask, expected, 0))
    m = sparse.BCOO.fromdense(D)
    for jacobian in (sparse.jacfwd, sparse.jacrev, sparse.jacobian):
        j, jv = pb.jit(jacobian(lambda m, v: m @ v, argnums=(0, 1)))(m, jnp.array(V))
        assert repr(j) == "BCOO(float32[3, 3, 4], nse=5, n_batch=1)"
        assert_is(j, np.where(D != 0, np.einsum("ik,j->ikj", np.eye(3), V), 0).astype(np.float32))
        assert_is(jv, D)
        assert jacobian(jnp.sin)(jnp.array(V)).shape == (4, 4)
    h = sparse.jacfwd(sparse.grad(lambda m: ((m @ V) ** 2).sum()))(m)  # of a sparse output: in its dense array
    assert h.shape == (3, 4, 3, 4)
    expected = pb.hessian(lambda d: ((d @ V) ** 2).sum())(jnp.array(D))
    mask = D != 0
    assert_is(h, np.where(mask[:, :, None, None] & mask, expected, 0))
    value, aux = sparse.grad(lambda m: ((m @ V).sum(), "aux"), has_aux=True)(m)
    assert aux == "aux" and value.nse == 5
    pb.test_util.check_grads(lambda d, v: jnp.sin(with_data(m, d) @ v), (m.data, jnp.array(V)), 2, atol=2e-2, rtol=2e-2)
    products = lambda d: (sparse.bcoo_multiply_sparse(with_data(m, d), with_data(m, d)) @ with_data(m, d).T).todense()
    pb.test_util.check_grads(products, (m.data / 5,), 2, atol=2e-2, rtol=2e-2)
    own = pb.grad(lambda m: (m @ V).sum())(m)  # a tangent: data, and positions that have no derivative
    assert_is(own.data, pb.grad(lambda d: (with_data(m, d) @ V).sum())(m.data))
    assert own.indices.dtype == pb.dtypes.float0


def test_batches() -> None:
    m, batch = sparse.BCOO.fromdense(D), stored(D3, 1)
    assert_is(pb.vmap(lambda m: m @ V)(batch), D3 @ V)
    assert_is(pb.vmap(lambda m, w: w @ m, in_axes=(0, None))(batch, W), W @ D3)
    assert_is(pb.vmap(lambda v: m @ v)(D3[:, 0]), D3[:, 0] @ D.T)
    assert_is(pb.vmap(lambda x: m @ x)(np.moveaxis(D3, 1, 2)), D @ np.moveaxis(D3, 1, 2))
    assert_is(pb.vmap(lambda m, v: m @ v)(batch, D3[:, 0]), np.einsum("bij,bj->bi", D3, D3[:, 0]))
    assert_is(pb.vmap(lambda m: m @ m.T)(batch), D3 @ np.swapaxes(D3, 1, 2))
    mapped = pb.vmap(lambda d: sparse.BCOO.fromdense(d, nse=6))(D3)
    assert repr(mapped) == "BCOO(float32[2, 3, 4], nse=6, n_batch=1)"
    assert_is(mapped, D3)
    data = np.stack([m.data, 3 * m.data])
    assert_is(pb.vmap(lambda d: with_data(m, d) @ V)(data), np.stack([D @ V, 3 * D @ V]))
    slopes = pb.vmap(pb.grad(lambda d, v: (with_data(m, d) @ v).sum()))(data, np.stack([V, 2 * V]))
    assert_is(slopes, np.stack([V, 2 * V])[:, m.indices[:, 1]])
    c = sparse.CSR.fromdense(D)
    assert_is(
        pb.vmap(lambda d: sparse.CSR((d, c.indices, c.indptr), shape=(3, 4)) @ V)(data), np.stack([D @ V, 3 * D @ V])
    )
    shared = sparse.BCOO((m.data[None], m.indices[None]), shape=(2, 3, 4))  # one batch that stands for two
    assert_is(shared, np.stack([D, D]))
    assert_is(pb.vmap(lambda m: m @ V)(shared), np.stack([D @ V, D @ V]))


def test_pytrees_and_copies() -> None:
    for m in (sparse.BCOO.fromdense(D), sparse.BCSR.fromdense(D), sparse.COO.fromdense(D), sparse.CSC.fromdense(D)):
        leaves, tree = pb.tree.flatten(m)
        assert pb.tree.unflatten(tree, leaves).todense().tolist() == D.tolist()
        assert repr(pb.tree.map(lambda x: None, m)).startswith(type(m).__name__)
        assert pb.jit(lambda m: m)(m).todense().tolist() == D.tolist()
        for other in (copy.copy(m), copy.deepcopy(m), pickle.loads(pickle.dumps(m))):
            assert other.todense().tolist() == D.tolist()


# ---- sparsify ------------------------------------------------------------------------------------


def test_sparsify_follows_programs() -> None:
    m = sparse.BCOO.fromdense(D)
    for f, expected in (
        (jnp.sin, np.sin(D)), (lambda m: jnp.maximum(m - 2 * m, 0), 0 * D), (lambda m: jnp.clip(m, -1, 2), D.clip(-1, 2)),
        (lambda m: m * 3 + m, 4 * D), (jnp.mean, D.mean()), (jnp.linalg.norm, np.linalg.norm(D)), (jnp.trace, np.trace(D)),
        (lambda m: jnp.einsum("ij,j->i", m, V), D @ V), (lambda m: jnp.concatenate([m, m], 1), np.concatenate([D, D], 1)),
        (lambda m: jnp.stack([m, m]), np.stack([D, D])), (lambda m: jnp.outer(m[0], m[0]), np.outer(D[0], D[0])),
        (lambda m: jnp.split(m, 2, 1)[1], D[:, 2:]), (lambda m: jnp.pad(m, 1), np.pad(D, 1)), (lambda m: sparse.todense(m) + 1, D + 1),
        (lambda m: pb.vmap(lambda row: 2 * row)(m), 2 * D), (lambda m: pb.jit(lambda m: m.T)(m), D.T),
        (lambda m: pb.grad(lambda v: (m @ v).sum())(jnp.array(V)), D.sum(0)),
        (lambda m: lax.cond(m.sum() > 0, lambda m: m * 2, lambda m: -m, m), 2 * D),
        (lambda m: lax.cond(m.sum() > 0, lambda m: m * 2, lambda m: m + m.T.T, m), 2 * D),
        (lambda m: lax.fori_loop(0, 3, lambda i, c: c * 2, m), 8 * D),
        (lambda m: lax.while_loop(lambda c: c.sum() < 50, lambda c: c * 2, m), 4 * D),
        (lambda m: lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] + m), (0, m.T.T))[1], 4 * D),
        (lambda m: lax.scan(lambda c, _: (m.T @ (m @ c), None), jnp.array(V), None, length=2)[0], D.T @ D @ D.T @ D @ V),
    ):  # fmt: skip
        assert_is(sparse.sparsify(f)(m), np.asarray(expected, np.float32), f)
    both = lambda m: [jnp.sin(m), m.T * 2, lax.fori_loop(0, 2, lambda i, c: -c, m)]
    for one, expected in zip(pb.jit(sparse.sparsify(both))(m), (np.sin(D), 2 * D.T, D)):
        assert isinstance(one, sparse.BCOO)
        assert_is(one, expected)
    carry, ys = sparse.sparsify(lambda m: lax.scan(lambda c, row: (c + row.sum(), row * 2), 0.0, m))(stored(D3, 1))
    assert isinstance(ys, sparse.BCOO) and ys.n_batch == 1
    assert_is(ys, 2 * D3)
    assert float(carry) == D3.sum()
    relu = sparse.sparsify(lambda m: jnp.where(sparse.todense(m) > 1, 1.0, 0.0))(m)
    assert_is(relu, (D > 1).astype(np.float32))
    tree = sparse.sparsify(lambda t, n: {"out": t["a"] @ t["v"] * n}, use_tracer=True)({"a": m, "v": V}, 2)
    assert_is(tree["out"], 2 * D @ V)
    assert isinstance(sparse.sparsify(lambda b: jnp.sin(-b))(sparse.BCSR.fromdense(D)), sparse.BCSR)
    slope = pb.grad(lambda d: sparse.sparsify(lambda m: jnp.sin(m).sum())(with_data(m, d)))(m.data)
    assert_is(slope, np.cos(np.asarray(m.data)))
    doubled = sparse.bcoo_concatenate([m, m], dimension=0)
    twice = sparse.BCOO((doubled.data, doubled.indices % jnp.array([3, 9])), shape=(3, 4))
    assert_is(sparse.sparsify(jnp.sin)(twice), np.sin(2 * D))
    for f in (
        jnp.cos,
        jnp.exp,
        jnp.max,
        jnp.prod,
        lambda m: jnp.sort(m, 0),
        lambda m: jnp.maximum(m, m),
        lambda m: m > -1,
    ):
        with pytest.raises(NotImplementedError, match="sparse rule for"):
            sparse.sparsify(f)(m)


# ---- random arrays, SciPy, linear algebra --------------------------------------------------------


def test_random_arrays_are_those_of_jax() -> None:
    with pb.threefry_partitionable(True):
        key = pb.random.key(0)
        m = sparse.random_bcoo(key, (3, 4), dtype=np.float32, nse=3)
        assert m.indices.tolist() == [[0, 0], [0, 3], [2, 1]]
        np.testing.assert_allclose(m.data, [0.8423141241073608, 0.1823786497116089, 0.22717809677124023])
        batch = sparse.random_bcoo(key, (2, 3, 4), nse=2, n_batch=1, dtype=np.float32)
        assert batch.indices.tolist() == [[[0, 0], [0, 3]], [[1, 3], [1, 0]]]
        again = sparse.random_bcoo(key, (3, 4), nse=5, unique_indices=False, dtype=np.float32)
        assert again.indices.tolist() == [[0, 2], [2, 2], [1, 0], [0, 3], [2, 3]]
    assert sparse.random_bcoo(key, (3, 4), nse=0.2).nse == 3
    assert sparse.random_bcoo(key, (3, 4), sorted_indices=True, generator=pb.random.normal, n_dense=1).indices_sorted
    with pytest.raises(ValueError, match="between 0 and 12"):
        sparse.random_bcoo(key, (3, 4), nse=20)


def test_scipy_sparse() -> None:
    rng = np.random.default_rng(0)
    with pb.enable_x64(True):
        a = scipy.sparse.random_array((60, 50), density=0.1, rng=rng, format="coo")
        v, x = rng.normal(size=50), rng.normal(size=(50, 3))
        for kind in (sparse.BCOO, sparse.BCSR):
            m = kind.from_scipy_sparse(a)
            np.testing.assert_array_equal(m.todense(), a.toarray())
            np.testing.assert_allclose(m @ jnp.array(v), a @ v, rtol=1e-12)
            np.testing.assert_allclose(pb.jit(lambda m, x: m @ x)(m, x), a @ x, rtol=1e-12)
            product = m @ m.T
            np.testing.assert_allclose(product.todense(), (a @ a.T).toarray(), rtol=1e-12)
            assert product.nse == (a @ a.T).nnz
        with pytest.raises(NotImplementedError):
            sparse.BCOO.from_scipy_sparse(a, n_dense=1)


def test_positions_out_of_bounds_hold_nothing() -> None:
    indices = jnp.array([[0, 0], [-1, 1], [1, 7], [2, -3], [5, 5], [2, 1]])
    m = sparse.BCOO((jnp.arange(1.0, 7.0), indices), shape=(3, 2))
    expected = np.array([[1, 0], [0, 0], [0, 6]], np.float32)
    one = np.ones(3, np.float32)
    cases: list[tuple[Any, Any]] = [
        (lambda m: m.todense(), expected),
        (lambda m: m @ jnp.ones(2), expected.sum(1)),
        (lambda m: one @ m, one @ expected),
        (lambda m: m.sum(0).todense(), expected.sum(0)),
        (lambda m: m.reshape(6).todense(), expected.reshape(6)),
        (lambda m: m.T.todense(), expected.T),
        (lambda m: m[1:].todense(), expected[1:]),
        (lambda m: (m @ m.T).todense(), expected @ expected.T),
        (lambda m: m.sum_duplicates(nse=3).todense(), expected),
        (lambda m: sparse.bcoo_multiply_sparse(m, m).todense(), expected**2),
        (lambda m: sparse.BCSR.from_bcoo(m).todense(), expected),
    ]
    f = lambda m: [case(m) for case, _ in cases]
    wanted = [y for _, y in cases]
    for found in (f(m), pb.jit(f)(m)):
        for x, y in zip(found, wanted):
            assert_is(x, y)
    nothing = sparse.BCOO((jnp.zeros(0), jnp.zeros((0, 2), int)), shape=(3, 0))
    assert (nothing @ jnp.zeros(0)).tolist() == [0, 0, 0]
    special = sparse.BCOO((jnp.array([jnp.nan, jnp.inf, -0.0]), jnp.array([[0], [1], [2]])), shape=(4,)).todense()
    np.testing.assert_array_equal(special, [np.nan, np.inf, 0, 0])


def test_what_is_known_of_positions_goes_with_them() -> None:
    before = len(products._known)
    for x in (D, D[0]):
        m = sparse.BCOO.fromdense(x)
        for kind in (m, *([sparse.COO.fromdense(x), sparse.CSC.fromdense(x)] if x.ndim == 2 else [])):
            assert_is(kind @ V, x @ V)
        assert_is(m.todense(), x)
        assert_is((m.reshape(1, -1) @ m.reshape(-1, 1)), np.array([[(x * x).sum()]], np.float32))
    assert len(products._known) > before
    del m, kind
    gc.collect()
    assert len(products._known) == before


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int64"])
def test_narrow_positions_are_widened_where_lengths_need_it(dtype: str) -> None:
    indices = np.array([[100, 3], [7, 120], [100, 3]], dtype)
    m = sparse.BCOO((jnp.arange(1.0, 4.0), indices), shape=(300, 127))
    expected = np.zeros((300, 127), np.float32)
    expected[100, 3], expected[7, 120] = 4, 2
    small = sparse.BCOO((m.data, indices), shape=(127, 127))
    assert small.indices.dtype == jnp.dtype(dtype if dtype != "int64" else "int32")
    ones = jnp.ones(127)
    for x, y in ((m, expected), (small, expected[:127])):
        f = lambda m: [
            m.todense(),
            m @ ones,
            m.reshape(-1).todense(),
            sparse.bcoo_concatenate([m, m], dimension=0).todense(),
        ]
        wanted = [y, y.sum(1), y.reshape(-1), np.concatenate([y, y])]
        for found in (f(x), pb.jit(f)(x)):
            for a, b in zip(found, wanted):
                assert_is(a, b)
        assert_is(
            pb.vmap(lambda d, x=x: sparse.BCOO((d, x.indices), shape=x.shape) @ ones)(m.data[None]), y.sum(1)[None]
        )
        assert_is(sparse.BCSR.from_bcoo(x) @ ones, y.sum(1))


def test_exported_programs_have_no_kernel_of_this_machine() -> None:
    b = sparse.BCSR.fromdense(D)
    f = pb.jit(lambda d: sparse.BCSR((d, b.indices, b.indptr), shape=b.shape) @ D.T)
    assert "cpu_csr_sparse_dense_ffi" in f.lower(b.data).as_text()
    artifact = export.export(f)(b.data).serialize(vjp_order=1)
    g = export.deserialize(artifact).call
    assert_is(g(b.data), D @ D.T)
    assert_is(pb.grad(lambda d: g(d).sum())(b.data), pb.grad(lambda d: f(d).sum())(b.data))
    wrong = sparse.BCSR((b.data, jnp.array([1, 10**6, 0, -4, 3]), b.indptr), shape=b.shape)  # read from nowhere
    for found in (wrong @ D.T, pb.jit(lambda m: m @ D.T)(wrong)):
        assert_is(found, np.array([[0, 1, 0, 0], [3, 0, 0, 0], [0, 0, 0, 5]], np.float32) @ D.T)


def test_spsolve() -> None:
    with pb.enable_x64(True):
        rng = np.random.default_rng(0)
        a = scipy.sparse.random_array((12, 12), density=0.3, rng=rng, format="csr") + 3 * scipy.sparse.eye_array(
            12, format="csr"
        )
        a = a.tocsr()
        b = rng.normal(size=12)
        parts = (jnp.array(a.data), jnp.array(a.indices), jnp.array(a.indptr))
        solve = lambda data, b: linalg.spsolve(data, *parts[1:], b)
        expected = np.linalg.solve(a.toarray(), b)
        np.testing.assert_allclose(solve(parts[0], b), expected, rtol=1e-12)
        np.testing.assert_allclose(pb.jit(solve)(parts[0], b), expected, rtol=1e-12)
        pb.test_util.check_grads(solve, (parts[0], jnp.array(b)), 2, rtol=1e-4)
        many = np.stack([b, 2 * b])
        np.testing.assert_allclose(
            pb.vmap(solve, (None, 0))(parts[0], many), np.stack([expected, 2 * expected]), rtol=1e-10
        )
        data = np.stack([a.data, 2 * a.data])
        np.testing.assert_allclose(pb.vmap(solve, (0, None))(data, b), np.stack([expected, expected / 2]), rtol=1e-10)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.isnan(solve(0 * parts[0], b)).all()  # singular
        for wrong in ((parts[0], many), (parts[0], b[:5]), (parts[0], b.astype(np.float32))):
            with pytest.raises(ValueError):
                solve(*wrong)


def test_lobpcg() -> None:
    with pb.enable_x64(True):
        rng = np.random.default_rng(0)
        a = rng.normal(size=(40, 40))
        a = a + a.T
        x = rng.normal(size=(40, 3))
        expected = np.linalg.eigvalsh(a)[::-1][:3]
        for matrix in (a, lambda v: jnp.array(a) @ v, sparse.BCOO.fromdense(a)):
            theta, u, i = linalg.lobpcg_standard(matrix, x, m=200)
            np.testing.assert_allclose(theta, expected, rtol=1e-10)
            np.testing.assert_allclose(a @ u, u * theta, atol=1e-8)
            np.testing.assert_allclose(u.T @ u, np.eye(3), atol=1e-10)
            assert 0 < int(i) < 200
        assert int(linalg.lobpcg_standard(a, x, m=2)[2]) == 2
        for wrong in (
            (a, x[:, 0]),
            (a[:10], x),
            (a, x.astype(np.float32)),
            (a[:15, :15], x[:15]),
            (a.astype(int), x.astype(int)),
        ):
            with pytest.raises(ValueError):
                linalg.lobpcg_standard(*wrong)


def test_mistakes() -> None:
    m = sparse.BCOO.fromdense(D)
    for wrong in (
        lambda: sparse.BCOO((V, jnp.zeros((3, 1), int)), shape=(3,)), lambda: sparse.BCOO((V, jnp.zeros((4, 2), int)), shape=(3,)),
        lambda: sparse.bcsr_fromdense(V), lambda: sparse.COO((V, V, V), shape=(3, 3)), lambda: sparse.empty((3,), sparse_format="coo"),
        lambda: pb.jit(lambda m: m.sum_duplicates())(m), lambda: sparse.bcoo_reshape(m, new_sizes=(5,)),
        lambda: sparse.bcoo_extract(m, V), lambda: sparse.bcoo_concatenate([], dimension=0), lambda: sparse.bcoo_concatenate([m, D], dimension=0),
    ):  # fmt: skip
        with pytest.raises(ValueError):
            wrong()
    for wrong in (
        lambda: sparse.BCOO((V, V[:, None]), shape=(4,)), lambda: sparse.bcoo_todense(D), lambda: sparse.sparsify(3),
        lambda: sparse.bcoo_transpose(m, permutation=(0, 0)), lambda: sparse.bcoo_concatenate([m, m.T], dimension=0),
        lambda: sparse.bcoo_slice(m, start_indices=(0, 0), limit_indices=(4, 4)), lambda: sparse.grad(3), lambda: m @ "text",
        lambda: sparse.COO((V, jnp.zeros(1, int), jnp.zeros(4, int)), shape=(4, 4)) @ V,
        lambda: sparse.CSR((V, jnp.zeros(4, int), jnp.zeros(2, int)), shape=(4, 4)) @ V,
    ):  # fmt: skip
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(pb.errors.ConcretizationTypeError, match="nse"):
        pb.jit(sparse.BCOO.fromdense)(D)
    with pytest.raises(NotImplementedError):
        sparse.bcoo_transpose(stored(D3, 1), permutation=(1, 0, 2))
    assert issubclass(sparse.CuSparseEfficiencyWarning, sparse.SparseEfficiencyWarning)
    assert issubclass(sparse.SparseEfficiencyError, ValueError)


def test_derivatives_of_every_operation_in_both_modes() -> None:
    m, other = sparse.BCOO.fromdense(D), sparse.BCOO.fromdense(np.roll(D, 1, 1))
    twice = sparse.BCOO((jnp.zeros(10), jnp.concatenate([m.indices, other.indices])), shape=(3, 4))
    batch = sparse.BCOO.fromdense(D3, n_batch=1)
    indices = (m.indices, other.indices, twice.indices)

    def of(indices: Any) -> list[tuple[Any, Any]]:
        mi, oi, ti = indices
        on = lambda f, mat, i: lambda d: f(sparse.BCOO((d, i), shape=mat.shape))
        o = sparse.BCOO((other.data, oi), shape=(3, 4))
        return [
            (on(lambda t: t.sum_duplicates(nse=9).todense(), twice, ti), jnp.arange(1.0, 11.0)),
            (on(lambda t: t.sort_indices().data, twice, ti), jnp.arange(1.0, 11.0)),
            (on(lambda a: (a @ o.T).todense(), m, mi), m.data),
            (on(lambda a: (a @ a.T).todense(), m, mi), m.data),
            (on(lambda a: (a * o).todense(), m, mi), m.data),
            (on(lambda a: (o * a * a).todense(), m, mi), m.data),
            (on(lambda a: (a / (D + 1)).T[1:3].todense(), m, mi), m.data),
            (on(lambda a: sparse.BCSR.from_bcoo(a.T) @ W, m, mi), m.data),
            (on(lambda a: sparse.bcoo_concatenate([a, o], dimension=1).sum(0).todense(), m, mi), m.data),
            (on(lambda a: a.update_layout(n_dense=1, on_inefficient=None).data, m, mi), m.data),
            (lambda d: sparse.bcoo_extract(m, jnp.outer(d[:3], d[1:])).data, jnp.arange(5.0)),
            (on(lambda b: (b @ V).sum(0), batch, batch.indices), batch.data),
            (on(lambda b: b.sum_duplicates(nse=6).todense(), batch, batch.indices), batch.data),
        ]

    def jacobians(mode: Any, indices: Any) -> list[Any]:
        return [mode(f)(x) for f, x in of(indices)]

    forward, reverse = jacobians(pb.jacfwd, indices), jacobians(pb.jacrev, indices)
    compiled = pb.jit(lambda i: (jacobians(pb.jacfwd, i), jacobians(pb.jacrev, i)))(indices)  # positions are traced
    for n, (j, *others) in enumerate(zip(forward, reverse, *compiled)):
        f, x = of(indices)[n]
        steps = np.eye(x.size, dtype=np.float32).reshape(x.size, *x.shape)
        differences = np.stack([(np.asarray(f(x + e)) - np.asarray(f(x - e))) / 2 for e in steps], -1)
        for other_j in (j, *others):
            np.testing.assert_allclose(
                np.asarray(other_j).reshape(differences.shape), differences, rtol=1e-4, atol=1e-4, err_msg=str(n)
            )
