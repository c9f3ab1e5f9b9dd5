"""Products of BCOO arrays: with dense arrays, with each other, and sampled at positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import pullback.numpy as jnp
from pullback.core import dtypes
from pullback.core.array import Array, concrete
from pullback.core.errors import user_line
from pullback.core.trace import known_value
from pullback.core.types import Shape, integers
from pullback.experimental.sparse.base import dense
from pullback.experimental.sparse.bcoo import (
    BCOO,
    _batch_to_sparse,
    _dense_to_sparse,
    bcoo,
    bcoo_sum_duplicates,
    full_batch,
    gathered,
    groups,
    over_batch,
    with_data,
)
from pullback.experimental.sparse.bcoo_shapes import bcoo_broadcast_in_dim
from pullback.experimental.sparse.products import (
    columns_of,
    gather_flat,
    kept,
    product,
    raveled,
    scatter_flat,
)
from pullback.lax.contraction import dot_general
from pullback.lax.shape import convert
from pullback.xla.devices import no_sharding

Numbers = tuple[tuple[Shape, Shape], tuple[Shape, Shape]]


def checked_numbers(x: Any, y: Any, dimension_numbers: Any, what: str) -> Numbers:
    """The dimension numbers of a contraction as tuples. Raises TypeError if they or the lengths do
    not fit."""
    (xc, yc), (xb, yb) = dimension_numbers
    xc, yc, xb, yb = (
        tuple(a + n if a < 0 else a for a in integers(axes, what))
        for axes, n in ((xc, x.ndim), (yc, y.ndim), (xb, x.ndim), (yb, y.ndim))
    )
    for name, a, b in (("contracting", xc, yc), ("batch", xb, yb)):
        inside = all(0 <= i < x.ndim for i in a) and all(0 <= i < y.ndim for i in b) and len(a) == len(b)
        if not inside or [x.shape[i] for i in a] != [y.shape[i] for i in b]:
            raise TypeError(
                f"{what} requires {name} dimensions to have the same shape, got shapes {x.shape} and {y.shape} with axes {a} and {b}, "
                f"at {user_line()}"
            )
    for used in ((*xc, *xb), (*yc, *yb)):
        if len(set(used)) != len(used):
            raise TypeError(f"{what} requires distinct axes, got {dimension_numbers}, at {user_line()}")
    return (xc, yc), (xb, yb)


def bcoo_dot_general(
    lhs: BCOO | Array,
    rhs: BCOO | Array,
    *,
    dimension_numbers: Any,
    precision: None = None,
    preferred_element_type: None = None,
    out_sharding: Any = None,
) -> BCOO | Array:
    """`lax.dot_general` of two arrays of which one or both are BCOO.

    The product with a dense array is dense; that of two sparse ones is sparse. If both have known
    positions, its positions are those that can be different from zero; under `jit`, it has room for
    every pair of elements, or for all of its elements, if these are fewer. Any axes can be
    contracted. Products are computed in the operands' full precision, the most that `precision` can
    ask for. Raises TypeError for axes or lengths that do not fit.

    >>> m = BCOO.fromdense(jnp.array([[0.0, 2.0], [3.0, 0.0]]))
    >>> bcoo_dot_general(m, jnp.array([1.0, 10.0]), dimension_numbers=(((1,), (0,)), ((), ()))).tolist()
    [20.0, 3.0]
    >>> bcoo_dot_general(m, m, dimension_numbers=(((1,), (0,)), ((), ())))
    BCOO(float32[2, 2], nse=2)
    """
    del precision
    no_sharding("bcoo_dot_general", out_sharding)
    x, y = (a if isinstance(a, BCOO) else dense(a) for a in (lhs, rhs))
    numbers = checked_numbers(x, y, dimension_numbers, "dot_general")
    if preferred_element_type is not None:
        dtype = dtypes.canonicalize_dtype(preferred_element_type)
        wide = lambda a: with_data(a, convert(a.data, dtype)) if isinstance(a, BCOO) else convert(a, dtype)
        x, y = wide(x), wide(y)
    if isinstance(x, BCOO):
        return _sparse_sparse(x, y, numbers) if isinstance(y, BCOO) else _sparse_dense(x, y, numbers)
    if not isinstance(y, BCOO):
        return dot_general(x, y, numbers)
    (xc, yc), (xb, yb) = numbers
    out = _sparse_dense(y, x, ((yc, xc), (yb, xb)))
    nb, ny = len(xb), y.ndim - len(yc) - len(yb)
    order = (*range(nb), *range(nb + ny, out.ndim), *range(nb, nb + ny))
    return out.transpose(order)


def _with_sparse_axes(x: BCOO, used: Sequence[int]) -> BCOO:
    """The array without batch axes, and with its axes `used` sparse."""
    first_dense = x.ndim - x.n_dense
    last = max((a for a in used if a >= first_dense), default=first_dense - 1)
    if last >= first_dense:
        x = _dense_to_sparse(x, last + 1 - first_dense)
    return _batch_to_sparse(x, x.n_batch) if x.n_batch else x


def _sparse_dense(x: BCOO, y: Any, numbers: Numbers) -> Any:
    (xc, yc), (xb, yb) = numbers
    x = _with_sparse_axes(x, (*xc, *xb))
    ns, shape, data = x.n_sparse, x.shape, x.data
    columns = columns_of(x.indices)
    free = [i for i in range(ns) if i not in xc and i not in xb]
    y_free = [i for i in range(y.ndim) if i not in yc and i not in yb]
    rows, m = raveled([columns[i] for i in (*xb, *free)], [shape[i] for i in (*xb, *free)], x.nse)
    inner, k = raveled([columns[i] for i in (*xb, *xc)], [shape[i] for i in (*xb, *xc)], x.nse)
    order = (*yb, *yc, *y_free)
    if order != tuple(range(y.ndim)):
        y = y.transpose(order)
    y_shape = y.shape[y.ndim - len(y_free) :]
    n = math.prod(y_shape)
    flat = (k,) if not y_free else (k, n)
    if y.shape != flat:
        y = y.reshape(flat)
    out_shape = (*(shape[i] for i in (*xb, *free)), *shape[ns:], *y_shape)
    if not x.n_dense:
        out = product(data, rows, inner, y, (m, k))
        return out if out.shape == out_shape else out.reshape(out_shape)
    terms = data.reshape((x.nse, -1, 1)) * gather_flat(y.reshape((k, n)), inner)[:, None, :]
    return scatter_flat(terms, rows, m).reshape(out_shape)


def bcoo_dot_general_sampled(A: Any, B: Any, indices: Any, *, dimension_numbers: Any) -> Array:
    """The elements of `lax.dot_general(A, B)` at `indices`, of shape (*batch, nse, n): only those are
    computed. Positions out of bounds give 0.

    The axes of the product are those that `indices` are positions in, after batch ones that come
    first. Raises TypeError if shapes do not fit.

    >>> a, b = jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([[1.0, 0.0], [1.0, 10.0]])
    >>> bcoo_dot_general_sampled(a, b, jnp.array([[0, 1], [1, 1]]), dimension_numbers=(((1,), (0,)), ((), ())))
    Array([20., 40.], dtype=float32)
    """
    x, y, where = dense(A), dense(B), dense(indices)
    (xc, yc), (xb, yb) = checked_numbers(x, y, dimension_numbers, "bcoo_dot_general_sampled")
    x_free = [i for i in range(x.ndim) if i not in xc and i not in xb]
    y_free = [i for i in range(y.ndim) if i not in yc and i not in yb]
    x, y = x.transpose((*xb, *x_free, *xc)), y.transpose((*yb, *y_free, *yc))
    nb, fx, fy = len(xb), len(x_free), len(y_free)
    n_index = where.ndim - 2
    if where.shape[-1] + n_index > nb + fx + fy or n_index > nb:
        raise TypeError(
            f"bcoo_dot_general_sampled: indices of shape {where.shape} are no positions in a product with {nb} batch axes and "
            f"{fx + fy} others, at {user_line()}"
        )
    if where.shape[-1] + n_index < nb + fx + fy:  # the last axes are dense: whole windows of the product
        out = dot_general(
            x, y, ((tuple(range(nb + fx, x.ndim)), tuple(range(nb + fy, y.ndim))), (tuple(range(nb)),) * 2)
        )
        return gathered(out, where)
    batch = nb - n_index
    of_x = where[..., : batch + fx]
    of_y = jnp.concatenate([where[..., :batch], where[..., batch + fx :]], -1)

    def one(x: Any, y: Any, of_x: Any, of_y: Any) -> Any:
        terms = gathered(x, of_x) * gathered(y, of_y)
        return terms.sum(tuple(range(1, terms.ndim)), dtype=terms.dtype)

    return over_batch(one, n_index, x, y, of_x, of_y)


# ---- sparse and sparse ---------------------------------------------------------------------------


def _sparse_sparse(x: BCOO, y: BCOO, numbers: Numbers) -> BCOO:
    (xc, yc), (xb, yb) = numbers
    for a, b, swapped in ((x, y, False), (y, x, True)):
        used = (*xc, *xb) if not swapped else (*yc, *yb)
        leading = tuple(range(a.n_batch))
        if a.n_batch and xb == yb == leading and b.n_batch == a.n_batch:
            # A product for each batch.
            inner = tuple(tuple(i - a.n_batch for i in axes) for axes in (xc, yc)), ((), ())
            rest = x.shape[a.n_batch :], y.shape[a.n_batch :]

            def one(xd: Any, xi: Any, yd: Any, yi: Any, inner: Any = inner, rest: Any = rest) -> Any:
                out = _sparse_sparse(BCOO((xd, xi), shape=rest[0]), BCOO((yd, yi), shape=rest[1]), inner)
                return out.data, out.indices

            out_shape = _product_shape(x, y, numbers)
            return BCOO(over_batch(one, a.n_batch, *full_batch(x), *full_batch(y)), shape=out_shape)
        if a.n_batch and not swapped and not b.n_batch and not any(i < a.n_batch for i in used):
            count = a.n_batch
            inner = (tuple(i - count for i in xc), yc), ((), ())
            if not xb:
                fun = lambda d, i, inner=inner, count=count: _pair(
                    _sparse_sparse(BCOO((d, i), shape=x.shape[count:]), y, inner)
                )
                return BCOO(over_batch(fun, count, *full_batch(x)), shape=_product_shape(x, y, numbers))
    x, y = (_with_sparse_axes(m, range(m.ndim)) for m in (x, y))
    out_shape = _product_shape(x, y, numbers)
    free = [i for i in range(x.ndim) if i not in xc and i not in xb]
    y_free = [i for i in range(y.ndim) if i not in yc and i not in yb]
    of_x, of_y = columns_of(x.indices), columns_of(y.indices)
    key, count = raveled([of_x[i] for i in (*xb, *xc)], [x.shape[i] for i in (*xb, *xc)], x.nse)
    key_y, _ = raveled([of_y[i] for i in (*yb, *yc)], [y.shape[i] for i in (*yb, *yc)], y.nse)
    left, right = [of_x[i] for i in (*xb, *free)], [of_y[i] for i in y_free]
    known = [known_value(c) for c in (key, key_y, *left, *right)]
    if all(k is not None and k.__class__ is np.ndarray for k in known):
        pattern = kept(_joined, *known, static=(count, len(left), out_shape))
        terms = gather_flat(x.data, pattern[0]) * gather_flat(y.data, pattern[1])
        n = pattern[3].shape[0]
        data = scatter_flat(terms, pattern[2], n, is_sorted=True)
        return BCOO((data, pattern[3]), shape=out_shape, indices_sorted=True, unique_indices=True)
    same = (key[:, None] == key_y[None, :]) & ((key >= 0) & (key < count))[:, None]
    pairs = (x.nse, y.nse)
    data = jnp.where(same, x.data[:, None] * y.data[None, :], 0).reshape((-1,))
    parts = [jnp.broadcast_to(c[:, None], pairs) for c in left] + [jnp.broadcast_to(c[None, :], pairs) for c in right]
    columns = [jnp.where(same, c, n).reshape((-1,)) for c, n in zip(parts, out_shape)]
    indices = jnp.stack(columns, -1) if columns else jnp.zeros((math.prod(pairs), 0), x.indices.dtype)
    out = BCOO((data, indices), shape=out_shape)
    return bcoo_sum_duplicates(out, math.prod(out_shape)) if math.prod(out_shape) < math.prod(pairs) else out


def _pair(x: BCOO) -> Any:
    return x.data, x.indices


def _product_shape(x: Any, y: Any, numbers: Numbers) -> Shape:
    (xc, yc), (xb, yb) = numbers
    free = [n for i, n in enumerate(x.shape) if i not in xc and i not in xb]
    return (*(x.shape[i] for i in xb), *free, *(n for i, n in enumerate(y.shape) if i not in yc and i not in yb))


def _joined(key: Any, key_y: Any, *rest: Any) -> tuple[Array, Array, Array, Array]:
    """The pairs of elements with equal keys: the numbers of either, of the position in the product,
    in order, and these positions."""
    *columns, count, n_left, shape = rest
    order = np.argsort(key_y, kind="stable")
    in_order = key_y[order]
    low = np.searchsorted(in_order, key, "left")
    counts = np.where((key >= 0) & (key < count), np.searchsorted(in_order, key, "right") - low, 0)
    i = np.repeat(np.arange(len(key)), counts)
    within = np.arange(len(i)) - np.repeat(np.cumsum(counts) - counts, counts)
    j = order[np.repeat(low, counts) + within]
    parts = [c[i] for c in columns[:n_left]] + [c[j] for c in columns[n_left:]]
    place = np.stack(parts, -1) if parts else np.zeros((len(i), 0), np.int32)
    inside = np.all((place >= 0) & (place < np.array(shape, np.int64)), -1)
    i, j, place = i[inside], j[inside], place[inside]
    unique, number = np.unique(place, axis=0, return_inverse=True) if shape else (place[:1], np.zeros(len(i), int))
    number = number.reshape(-1)
    sequence = np.argsort(number, kind="stable")
    arrays = (i[sequence], j[sequence], number[sequence], unique)
    i, j, number, unique = (a.astype(np.int32) for a in arrays)
    return concrete(i), concrete(j), concrete(number), concrete(unique)


# ---- elementwise ---------------------------------------------------------------------------------


def bcoo_multiply_dense(sp_mat: BCOO, v: Any) -> Array:
    """The data of the elementwise product with a dense array, which broadcasts to the shape of the
    sparse one. Raises NotImplementedError if it does not.

    >>> bcoo_multiply_dense(BCOO.fromdense(jnp.array([[5.0, 0.0], [0.0, 7.0]])), jnp.array([2.0, 3.0]))
    Array([10., 21.], dtype=float32)
    """
    return jnp.multiply(bcoo(sp_mat, "bcoo_multiply_dense").data, at_positions(sp_mat, v))


def at_positions(mat: BCOO, v: Any) -> Any:
    """The elements of a dense array, broadcast to the shape of a sparse one, at its positions, as
    data that broadcasts with its own."""
    v = v if isinstance(v, Array) else dense(v)
    shape, nb, ns = mat.shape, mat.n_batch, mat.n_sparse
    if v.ndim == 0:
        return v
    if v.ndim > len(shape) or any(a not in (1, n) for a, n in zip(v.shape[::-1], shape[::-1])):
        raise NotImplementedError(
            f"a dense array of shape {v.shape} must broadcast to the shape {shape} of the sparse one, at {user_line()}: use todense()"
        )
    v = v.reshape((*(1,) * (len(shape) - v.ndim), *v.shape))
    taken = [i for i in range(ns) if v.shape[nb + i] != 1 or shape[nb + i] == 1]
    _, indices = full_batch(mat)
    if len(taken) < ns:
        indices = jnp.stack([indices[..., i] for i in taken], -1) if taken else indices[..., :0]
        v = v.reshape((*v.shape[:nb], *(v.shape[nb + i] for i in taken), *v.shape[nb + ns :]))
    if v.shape[:nb] != shape[:nb]:
        v = jnp.broadcast_to(v, (*shape[:nb], *v.shape[nb:]))
    return gathered(v, indices)


def bcoo_multiply_sparse(lhs: BCOO, rhs: BCOO) -> BCOO:
    """The elementwise product of two sparse arrays, which broadcast.

    It has the positions of the one with fewer elements (if both have the product's shape), so it
    takes no more room than that. Raises ValueError for shapes that do not broadcast.

    >>> x, y = BCOO.fromdense(jnp.array([0.0, 2.0, 3.0])), BCOO.fromdense(jnp.array([5.0, 0.0, 7.0]))
    >>> bcoo_multiply_sparse(x, y).todense()
    Array([ 0.,  0., 21.], dtype=float32)
    """
    bcoo(lhs, "bcoo_multiply_sparse"), bcoo(rhs, "bcoo_multiply_sparse")
    shape = jnp.broadcast_shapes(lhs.shape, rhs.shape)
    if lhs.shape != shape and rhs.shape != shape:
        dims = tuple(range(len(shape) - lhs.ndim, len(shape)))
        lhs = bcoo_broadcast_in_dim(lhs, shape=shape, broadcast_dimensions=dims)
    mat, other = lhs, rhs
    if mat.shape != shape or (other.shape == shape and other.nse < mat.nse and other.n_batch <= mat.n_batch):
        mat, other = rhs, lhs
    missing = mat.ndim - other.ndim
    nb, nd = min(mat.n_batch, missing + other.n_batch), min(mat.n_dense, other.n_dense)
    mat = mat.update_layout(n_batch=nb, n_dense=nd)
    other = other.update_layout(n_batch=max(0, nb - missing), n_dense=nd)
    data, indices = full_batch(mat)
    o_data, o_indices = full_batch(other)
    ns, o_ns = mat.n_sparse, other.n_sparse
    o_sparse = other.shape[other.n_batch : other.n_batch + o_ns]
    sparse = mat.shape[nb : nb + ns]
    taken = [i for i in range(o_ns) if o_sparse[i] == sparse[ns - o_ns + i]]
    where = jnp.stack([indices[..., ns - o_ns + i] for i in taken], -1) if taken else indices[..., :0]
    # What lies out of bounds of an axis of length 1 holds nothing, and is given no axis.
    inside = jnp.all((o_indices >= 0) & (o_indices < jnp.asarray(o_sparse, o_indices.dtype)), -1)
    o_data = jnp.where(inside.reshape((*inside.shape, *(1,) * nd)), o_data, 0)
    o_where = jnp.stack([o_indices[..., i] for i in taken], -1) if taken else o_indices[..., :0]
    batch = mat.shape[:nb]
    o_data = jnp.broadcast_to(o_data, (*batch, *o_data.shape[other.n_batch :]))
    o_where = jnp.broadcast_to(o_where, (*batch, *o_where.shape[other.n_batch :]))
    lengths = tuple(sparse[ns - o_ns + i] for i in taken)

    def found(where: Any, o_data: Any, o_where: Any) -> Any:
        if not taken:
            return jnp.broadcast_to(o_data.sum(0), (where.shape[0], *o_data.shape[1:]))
        both = jnp.concatenate([o_where.astype(where.dtype), where])
        permutation, number, _, _ = groups(both, lengths)
        number = jnp.zeros_like(number).at[permutation].set(number, unique_indices=True)
        n = o_where.shape[0]
        return gather_flat(scatter_flat(o_data, number[:n], both.shape[0]), number[n:])

    values = over_batch(found, nb, where, o_data, o_where)
    return with_data(mat, jnp.multiply(data, values), indices)


__all__ = [
    "at_positions",
    "bcoo_dot_general",
    "bcoo_dot_general_sampled",
    "bcoo_multiply_dense",
    "bcoo_multiply_sparse",
]
