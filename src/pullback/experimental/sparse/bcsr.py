"""BCSR, sparse matrices by compressed rows, with batch axes before and dense ones behind the two
sparse axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import pullback.numpy as jnp
from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.errors import user_line
from pullback.core.trace import known_value
from pullback.core.tree import register_pytree_node
from pullback.experimental.sparse.base import (
    Batched,
    JAXSparse,
    dense,
    fitting,
    index_type,
    leaves,
    shape_of,
)
from pullback.experimental.sparse.bcoo import (
    BCOO,
    bcoo_fromdense,
    bcoo_sort_indices,
    bcoo_sum_duplicates,
    full_batch,
    gathered,
    over_batch,
)
from pullback.experimental.sparse.bcoo_products import bcoo_dot_general, checked_numbers
from pullback.experimental.sparse.bcoo_shapes import bcoo_broadcast_in_dim, bcoo_concatenate
from pullback.experimental.sparse.products import product, rows_of_pointers, scatter_flat
from pullback.transforms.spaces import SPACES, Struct
from pullback.xla.devices import no_sharding


class BCSR(Batched):
    """A sparse array by compressed rows, with batch and dense axes.

    `args` are `data`, of shape (*batch, nse, *dense), `indices`, the columns, of shape (*batch,
    nse), and `indptr`, of shape (*batch, rows + 1): row i has the elements from `indptr[i]` to
    `indptr[i + 1]`; those behind the last row are padding. `indices_sorted` and `unique_indices`
    are promises of the caller. Raises ValueError if the shapes do not fit.

    >>> m = BCSR.fromdense(jnp.array([[0.0, 2.0], [3.0, 0.0]]))
    >>> m.indptr.tolist(), (m @ jnp.array([1.0, 10.0])).tolist()
    ([0, 1, 2], [20.0, 3.0])
    """

    _parts = ("data", "indices", "indptr")

    def __init__(
        self,
        args: tuple[Any, Any, Any],
        *,
        shape: Sequence[int],
        indices_sorted: bool = False,
        unique_indices: bool = False,
    ) -> None:
        self.data, self.indices, self.indptr = leaves(args, 3, "BCSR")
        self.indices_sorted, self.unique_indices = bool(indices_sorted), bool(unique_indices)
        self._shape = shape = shape_of(shape, "BCSR")
        data, indices, indptr = self.data, self.indices, self.indptr
        if not (dtypes.is_integer(indices.dtype) and dtypes.is_integer(indptr.dtype)):
            raise TypeError(
                f"BCSR: indices and indptr must be integers, got {indices.dtype}, {indptr.dtype}, at {user_line()}"
            )
        nb = indices.ndim - 1
        nd = len(shape) - nb - 2
        fits = nb >= 0 and nd >= 0 and data.ndim == nb + 1 + nd and indptr.ndim == nb + 1
        fits = fits and data.shape[nb] == indices.shape[nb] and indptr.shape[nb] == shape[nb] + 1
        fits = fits and data.shape[nb + 1 :] == shape[nb + 2 :]
        if not fits or any(n not in (1, m) for x in (data, indices, indptr) for n, m in zip(x.shape, shape[:nb])):
            raise ValueError(
                f"BCSR of shape {shape}: invalid shapes {data.shape} of data, {indices.shape} of indices and {indptr.shape} of indptr, at "
                f"{user_line()}"
            )
        self.indices, self.indptr = fitting(indices, shape[nb + 1 : nb + 2]), fitting(indptr, indices.shape[-1:])

    @property
    def n_batch(self) -> int:
        """Number of batch axes, which come first.

        >>> BCSR.fromdense(jnp.ones((2, 3, 4)), n_batch=1).n_batch
        1
        """
        return self.indices.ndim - 1

    @property
    def n_sparse(self) -> int:
        """Number of sparse axes: 2, rows and columns.

        >>> BCSR.fromdense(jnp.eye(3)).n_sparse
        2
        """
        return 2

    @property
    def n_dense(self) -> int:
        """Number of dense axes, which come last.

        >>> m = BCSR.fromdense(jnp.ones((2, 3, 4)), n_dense=1)
        >>> m.n_dense, m.data.shape
        (1, (6, 4))
        """
        return self.data.ndim - self.indices.ndim

    @property
    def nse(self) -> int:
        """Number of elements that are specified in each batch, padding included.

        >>> BCSR.fromdense(jnp.eye(3), nse=5).nse
        5
        """
        return self.indices.shape[-1]

    def _entries(self) -> tuple[Any, Any] | None:
        known = all(isinstance(x, Array) and known_value(x) is not None for x in (self.indices, self.indptr))
        return self.to_bcoo()._entries() if known and not self.n_batch and not self.n_dense else None

    @classmethod
    def fromdense(
        cls, mat: Any, *, nse: int | None = None, index_dtype: Any = np.int32, n_dense: int = 0, n_batch: int = 0
    ) -> BCSR:
        """The elements of a dense array that are not zero. See `bcsr_fromdense`.

        >>> BCSR.fromdense(jnp.array([[0, 2], [3, 0]])).indptr
        Array([0, 1, 2], dtype=int32)
        """
        return bcsr_fromdense(mat, nse=nse, n_batch=n_batch, n_dense=n_dense, index_dtype=index_dtype)

    @classmethod
    def from_scipy_sparse(cls, mat: Any, *, index_dtype: Any = None, n_dense: int = 0, n_batch: int = 0) -> BCSR:
        """A matrix of scipy.sparse, in any of its formats. Raises NotImplementedError for batch or
        dense axes.

        >>> import scipy.sparse
        >>> BCSR.from_scipy_sparse(scipy.sparse.eye_array(3, k=1, dtype="float32")).indptr.tolist()
        [0, 1, 2, 2]
        """
        if n_dense or n_batch:
            raise NotImplementedError("BCSR.from_scipy_sparse with n_dense or n_batch")
        mat = mat.tocsr()
        index = index_type(index_dtype or mat.indices.dtype)
        parts = (jnp.asarray(mat.data), jnp.asarray(mat.indices.astype(index)), jnp.asarray(mat.indptr.astype(index)))
        return cls(parts, shape=mat.shape)

    @classmethod
    def from_bcoo(cls, arr: BCOO) -> BCSR:
        """The same array by compressed rows. Raises NotImplementedError unless two axes are sparse.

        >>> BCSR.from_bcoo(BCOO.fromdense(jnp.array([[0, 2], [3, 4]]))).indptr.tolist()
        [0, 1, 3]
        """
        if arr.n_sparse != 2:
            raise NotImplementedError(f"BCSR.from_bcoo requires n_sparse=2, got {arr!r} with {arr.n_sparse}")
        mat = arr if arr.indices_sorted else bcoo_sort_indices(arr)
        data, indices = full_batch(mat)
        m, k = mat.shape[mat.n_batch : mat.n_batch + 2]

        def pointers(i: Any) -> Any:
            inside = (i[:, 0] >= 0) & (i[:, 1] >= 0) & (i[:, 1] < k)
            counts = scatter_flat(jnp.ones_like(i[:, 0]), jnp.where(inside, i[:, 0], m), m)
            return jnp.concatenate([jnp.zeros((1,), i.dtype), jnp.cumsum(counts, dtype=i.dtype)])

        indptr = over_batch(pointers, mat.n_batch, indices)
        # Padding that stands between elements would be counted: it has been sorted to the end.
        return cls(
            (data, indices[..., 1], indptr), shape=mat.shape, indices_sorted=True, unique_indices=mat.unique_indices
        )

    @classmethod
    def _empty(
        cls,
        shape: Any,
        *,
        dtype: Any = None,
        index_dtype: Any = "int32",
        n_dense: int = 0,
        n_batch: int = 0,
        nse: int = 0,
    ) -> BCSR:
        shape = shape_of(shape, "BCSR")
        if n_dense < 0 or n_batch < 0 or nse < 0 or len(shape) != n_batch + 2 + n_dense:
            raise ValueError(f"BCSR must have two sparse axes, got shape={shape}, n_batch={n_batch}, n_dense={n_dense}")
        batch, index = shape[:n_batch], index_type(index_dtype)
        parts = (
            jnp.zeros((*batch, nse, *shape[n_batch + 2 :]), dtype),
            jnp.full((*batch, nse), shape[n_batch + 1], index),
            jnp.zeros((*batch, shape[n_batch] + 1), index),
        )
        return cls(parts, shape=shape)

    def to_bcoo(self) -> BCOO:
        """The same array by coordinates.

        >>> BCSR.fromdense(jnp.array([[0, 2], [3, 4]])).to_bcoo().indices.tolist()
        [[0, 1], [1, 0], [1, 1]]
        """
        data, indices, indptr = self._full()
        rows = over_batch(lambda p: rows_of_pointers(p, self.nse), self.n_batch, indptr)
        indices = jnp.stack([rows.astype(indices.dtype), indices], -1)
        return BCOO(
            (data, indices), shape=self.shape, indices_sorted=self.indices_sorted, unique_indices=self.unique_indices
        )

    def todense(self) -> Array:
        """The array with all its zeros. See `bcsr_todense`.

        >>> BCSR.fromdense(jnp.eye(2)).todense()
        Array([[1., 0.],
               [0., 1.]], dtype=float32)
        """
        return bcsr_todense(self)

    def sum_duplicates(self, nse: int | None = None, remove_zeros: bool = True) -> BCSR:
        """The same array, each position once. See `BCOO.sum_duplicates`.

        >>> m = BCSR((jnp.array([1.0, 2.0]), jnp.array([1, 1]), jnp.array([0, 2])), shape=(1, 2))
        >>> m.sum_duplicates().data
        Array([3.], dtype=float32)
        """
        return BCSR.from_bcoo(self.to_bcoo().sum_duplicates(nse, remove_zeros))

    def transpose(self, axes: Sequence[int] | None = None) -> BCSR:
        """The array with its axes permuted (reversed, if `axes` is None): that of the BCOO, by rows
        again.

        >>> BCSR.fromdense(jnp.array([[0, 2], [3, 4]])).transpose().data
        Array([3, 2, 4], dtype=int32)
        """
        return BCSR.from_bcoo(self.to_bcoo().transpose(axes))


register_pytree_node(BCSR, BCSR.tree_flatten, BCSR.tree_unflatten)
SPACES[BCSR] = Struct(float0=True)  # tangents: the data


def bcsr(x: Any, what: str) -> BCSR:
    """An argument that must be a BCSR. Raises TypeError otherwise."""
    if not isinstance(x, BCSR):
        raise TypeError(f"{what} takes a BCSR, got {type(x).__name__} {x!r:.100}, at {user_line()}")
    return x


def bcsr_fromdense(
    mat: Any, *, nse: int | None = None, n_batch: int = 0, n_dense: int = 0, index_dtype: Any = jnp.int32
) -> BCSR:
    """The elements of a dense array that are not zero, by compressed rows. Arguments are those of
    `bcoo_fromdense`. Raises ValueError unless two axes are sparse.

    >>> m = bcsr_fromdense(jnp.array([[0, 2, 0], [3, 0, 4]]))
    >>> m.data.tolist(), m.indices.tolist(), m.indptr.tolist()
    ([2, 3, 4], [1, 0, 2], [0, 1, 3])
    """
    x = dense(mat)
    if x.ndim - n_batch - n_dense != 2:
        raise ValueError(
            f"bcsr_fromdense: must have 2 sparse dimensions, got shape {x.shape}, n_batch={n_batch}, n_dense={n_dense}"
        )
    return BCSR.from_bcoo(bcoo_fromdense(x, nse=nse, n_batch=n_batch, n_dense=n_dense, index_dtype=index_dtype))


def bcsr_todense(mat: BCSR) -> Array:
    """The dense array of a BCSR, of its shape and dtype. Raises TypeError for what is no BCSR.

    >>> bcsr_todense(BCSR((jnp.array([7, 8]), jnp.array([0, 1]), jnp.array([0, 0, 2])), shape=(2, 2)))
    Array([[0, 0],
           [7, 8]], dtype=int32)
    """
    return bcsr(mat, "bcsr_todense").to_bcoo().todense()


def bcsr_extract(indices: Any, indptr: Any, mat: Any) -> Array:
    """The elements of a dense array at the positions of a BCSR, as its data, of shape (*batch, nse,
    *dense). Raises ValueError if shapes do not fit.

    >>> m = BCSR.fromdense(jnp.eye(2))
    >>> bcsr_extract(m.indices, m.indptr, jnp.array([[1, 2], [3, 4]]))
    Array([1, 4], dtype=int32)
    """
    columns, pointers, x = dense(indices), dense(indptr), dense(mat)
    nb, nse = columns.ndim - 1, columns.shape[-1]
    if nb < 0 or pointers.ndim != nb + 1 or x.ndim < nb + 2 or pointers.shape[-1] != x.shape[nb] + 1:
        raise ValueError(
            f"bcsr_extract: indices {columns.shape} and indptr {pointers.shape} are no positions in shape {x.shape}, at {user_line()}"
        )
    rows = over_batch(lambda p: rows_of_pointers(p, nse), nb, pointers)
    return gathered(x, jnp.stack([rows.astype(columns.dtype), columns], -1))


def bcsr_sum_duplicates(mat: BCSR, nse: int | None = None) -> BCSR:
    """The same array with each position once. See `bcoo_sum_duplicates`. Raises TypeError for what is
    no BCSR.

    >>> m = BCSR((jnp.array([1.0, 2.0]), jnp.array([1, 1]), jnp.array([0, 2])), shape=(1, 2))
    >>> bcsr_sum_duplicates(m, nse=1).data
    Array([3.], dtype=float32)
    """
    return BCSR.from_bcoo(bcoo_sum_duplicates(bcsr(mat, "bcsr_sum_duplicates").to_bcoo(), nse))


def bcsr_dot_general(
    lhs: BCSR | Array,
    rhs: Array,
    *,
    dimension_numbers: Any,
    precision: None = None,
    preferred_element_type: None = None,
    out_sharding: Any = None,
) -> Array:
    """`lax.dot_general` of a BCSR and a dense array, either one first (or of two sparse arrays: then
    the result is a BCOO). See `bcoo_dot_general`, whose arguments and errors are those of this.

    >>> m = BCSR.fromdense(jnp.array([[0.0, 2.0], [3.0, 0.0]]))
    >>> bcsr_dot_general(m, jnp.array([1.0, 10.0]), dimension_numbers=(((1,), (0,)), ((), ())))
    Array([20.,  3.], dtype=float32)
    """
    no_sharding("bcsr_dot_general", out_sharding)
    if (
        isinstance(lhs, BCSR)
        and lhs.ndim == lhs.n_sparse
        and not isinstance(rhs, JAXSparse)
        and preferred_element_type is None
    ):
        y = dense(rhs)
        (xc, yc), (xb, _) = numbers = checked_numbers(lhs, y, dimension_numbers, "bcsr_dot_general")
        if not xb and yc == (0,) and y.ndim <= 2 and numbers[0]:
            return product(lhs.data, lhs.indptr, lhs.indices, y, lhs.shape, transpose=xc == (0,), compressed=True)
    x, z = (a.to_bcoo() if isinstance(a, BCSR) else a for a in (lhs, rhs))
    out: Any = bcoo_dot_general(
        x, z, dimension_numbers=dimension_numbers, precision=precision, preferred_element_type=preferred_element_type
    )
    return out


def bcsr_broadcast_in_dim(
    mat: BCSR, *, shape: Sequence[int], broadcast_dimensions: Sequence[int], sharding: Any = None
) -> BCSR:
    """The array repeated along new axes. See `bcoo_broadcast_in_dim`, whose arguments it takes.

    >>> bcsr_broadcast_in_dim(BCSR.fromdense(jnp.eye(2)), shape=(3, 2, 2), broadcast_dimensions=(1, 2))
    BCSR(float32[3, 2, 2], nse=2, n_batch=1)
    """
    x = bcsr(mat, "bcsr_broadcast_in_dim").to_bcoo()
    out = bcoo_broadcast_in_dim(x, shape=shape, broadcast_dimensions=broadcast_dimensions, sharding=sharding)
    return BCSR.from_bcoo(out)


def bcsr_concatenate(operands: Sequence[BCSR], *, dimension: int) -> BCSR:
    """Arrays one after the other along the axis `dimension`. See `bcoo_concatenate`. Raises ValueError
    if one of them is no BCSR.

    >>> m = BCSR.fromdense(jnp.eye(2))
    >>> bcsr_concatenate([m, m], dimension=0).indptr.tolist()
    [0, 1, 2, 3, 4]
    """
    if not all(isinstance(x, BCSR) for x in operands):
        raise ValueError(f"bcsr_concatenate: expected operands to be a sequence of BCSR arrays, got {operands!r:.200}")
    return BCSR.from_bcoo(bcoo_concatenate([x.to_bcoo() for x in operands], dimension=dimension))


__all__ = [
    "BCSR",
    "bcsr_broadcast_in_dim",
    "bcsr_concatenate",
    "bcsr_dot_general",
    "bcsr_extract",
    "bcsr_fromdense",
    "bcsr_sum_duplicates",
    "bcsr_todense",
]
