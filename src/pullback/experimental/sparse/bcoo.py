"""BCOO, sparse arrays by coordinates with batch and dense axes, and how they are stored.

`data` has shape (*batch, nse, *dense) and `indices` (*batch, nse, n_sparse): the shape of the array
is its batch axes, then its sparse ones, then its dense ones. Lengths of 1 among the batch axes of
data or indices stand for the same in every batch. Positions out of bounds are padding.

All of this is composed of gathers, scatters and sorting, so it is differentiated in the data,
mapped and compiled as they are.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

import pullback.numpy as jnp
from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray, concrete
from pullback.core.errors import ConcretizationTypeError, user_line
from pullback.core.trace import EVAL, Tracer, current, known_value
from pullback.core.tree import register_pytree_node
from pullback.core.types import Shape, integer
from pullback.experimental.sparse.base import (
    Batched,
    SparseEfficiencyError,
    SparseEfficiencyWarning,
    dense,
    fitting,
    index_type,
    leaves,
    shape_of,
)
from pullback.experimental.sparse.products import columns_of, kept, product, raveled, scatter_flat
from pullback.lax.indexing import gather_p, scatter_add_p, scatter_max_p
from pullback.lax.positions import FILL_OR_DROP, GatherDimensionNumbers, ScatterDimensionNumbers
from pullback.lax.shape import broadcast_to, convert, zeros_like_shape
from pullback.lax.sorting import sort
from pullback.transforms.spaces import SPACES, Struct
from pullback.transforms.vmap import vmap


class Layout(NamedTuple):
    """How a BCOO is stored, but for its data: numbers of axes, and what is promised of positions."""

    n_batch: int
    n_sparse: int
    n_dense: int
    nse: int


class BCOO(Batched):
    """A sparse array by coordinates, with batch and dense axes.

    `args` are `data`, of shape (*batch, nse, *dense), and `indices`, integers of shape (*batch,
    nse, n_sparse); `shape` is that of the array. `indices_sorted` and `unique_indices` are promises
    of the caller. Elements at one position add up; positions out of bounds hold nothing. Raises
    ValueError if the shapes do not fit, TypeError for positions that are no integers.

    >>> m = BCOO.fromdense(jnp.array([[0.0, 2.0], [3.0, 0.0]]))
    >>> m
    BCOO(float32[2, 2], nse=2)
    >>> m.indices.tolist(), (m @ jnp.array([1.0, 10.0])).tolist()
    ([[0, 1], [1, 0]], [20.0, 3.0])
    >>> print(m)
    BCOO(float32[2, 2], nse=2)
    [. x]
    [x .]
    """

    _parts = ("data", "indices")

    def __init__(
        self, args: tuple[Any, Any], *, shape: Sequence[int], indices_sorted: bool = False, unique_indices: bool = False
    ) -> None:
        self.data, self.indices = leaves(args, 2, "BCOO")
        self.indices_sorted, self.unique_indices = bool(indices_sorted), bool(unique_indices)
        self._shape = shape_of(shape, "BCOO")
        self._check()

    def _check(self) -> None:
        data, indices, shape = self.data, self.indices, self._shape
        if not dtypes.is_integer(indices.dtype):
            raise TypeError(f"BCOO: indices must be integers, got {indices.dtype}, at {user_line()}")
        nb, ns = indices.ndim - 2, indices.shape[-1] if indices.ndim >= 2 else 0
        nd = len(shape) - nb - ns
        fits = nb >= 0 and nd >= 0 and data.ndim == nb + 1 + nd
        if fits:
            fits = data.shape[nb] == indices.shape[nb] and (not nd or data.shape[nb + 1 :] == shape[nb + ns :])
            for x in (data, indices):
                fits = fits and all(a in (1, n) for a, n in zip(x.shape, shape[:nb]))
        if not fits:
            raise ValueError(
                f"BCOO of shape {shape}: invalid data of shape {data.shape} with indices of shape {indices.shape}, at {user_line()}. Data has "
                "shape (*batch, nse, *dense), indices (*batch, nse, number of sparse axes)"
            )
        self.indices = fitting(indices, shape[nb : nb + ns])

    @property
    def n_batch(self) -> int:
        """Number of batch axes, which come first.

        >>> BCOO.fromdense(jnp.ones((2, 3, 4)), n_batch=1).n_batch
        1
        """
        return self.indices.ndim - 2

    @property
    def n_sparse(self) -> int:
        """Number of sparse axes: those that `indices` are positions in.

        >>> BCOO.fromdense(jnp.ones((2, 3, 4)), n_batch=1).n_sparse
        2
        """
        return self.indices.shape[-1]

    @property
    def n_dense(self) -> int:
        """Number of dense axes, which come last.

        >>> m = BCOO.fromdense(jnp.ones((2, 3, 4)), n_dense=1)
        >>> m.n_dense, m.data.shape
        (1, (6, 4))
        """
        return self.data.ndim - 1 - self.n_batch

    @property
    def nse(self) -> int:
        """Number of elements that are specified in each batch, padding included.

        >>> BCOO.fromdense(jnp.eye(3), nse=5).nse
        5
        """
        return self.indices.shape[-2]

    def _entries(self) -> tuple[Any, Any] | None:
        known = known_value(self.indices) if isinstance(self.indices, Array) else None
        return None if known is None or known.ndim != 2 or known.shape[1] != 2 or self.n_dense else tuple(known.T)

    @classmethod
    def fromdense(
        cls, mat: Any, *, nse: int | None = None, index_dtype: Any = np.int32, n_dense: int = 0, n_batch: int = 0
    ) -> BCOO:
        """The elements of a dense array that are not zero. See `bcoo_fromdense`.

        >>> BCOO.fromdense(jnp.array([[0, 2], [3, 0]]), nse=3).data  # one is padding
        Array([2, 3, 0], dtype=int32)
        """
        return bcoo_fromdense(mat, nse=nse, index_dtype=index_dtype, n_dense=n_dense, n_batch=n_batch)

    @classmethod
    def from_scipy_sparse(cls, mat: Any, *, index_dtype: Any = None, n_dense: int = 0, n_batch: int = 0) -> BCOO:
        """A matrix of scipy.sparse, in any of its formats. Raises NotImplementedError for batch or
        dense axes, which those do not have.

        >>> import scipy.sparse
        >>> BCOO.from_scipy_sparse(scipy.sparse.eye_array(3, k=1, format="csr", dtype="float32"))
        BCOO(float32[3, 3], nse=2)
        """
        if n_dense or n_batch:
            raise NotImplementedError("BCOO.from_scipy_sparse with n_dense or n_batch: use update_layout on the result")
        mat = mat.tocoo()
        coords = getattr(mat, "coords", None) or (mat.row, mat.col)
        dtype = index_type(index_dtype or coords[0].dtype)
        indices = jnp.asarray(np.stack(coords, -1).astype(dtype))
        return cls((jnp.asarray(mat.data), indices), shape=mat.shape)

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
    ) -> BCOO:
        shape = shape_of(shape, "BCOO")
        nb, ns = _counts(len(shape), n_batch, n_dense)
        batch, middle, tail = shape[:nb], shape[nb : nb + ns], shape[nb + ns :]
        data = jnp.zeros((*batch, nse, *tail), dtype)
        indices = jnp.broadcast_to(jnp.asarray(middle, index_type(index_dtype)), (*batch, nse, ns))
        return cls((data, indices), shape=shape, indices_sorted=True, unique_indices=True)

    @classmethod
    def _eye(
        cls,
        N: int,
        M: int,
        k: int,
        *,
        dtype: Any = None,
        index_dtype: Any = "int32",
        n_batch: int = 0,
        n_dense: int = 0,
    ) -> BCOO:
        _counts(2, n_batch, n_dense)
        rows = np.arange(max(0, -k), max(0, -k, min(N, M - k)))
        index = index_type(index_dtype)
        if n_batch or n_dense:
            nse = len(rows) if not n_batch else int(n_batch + n_dense < 2)
            mat = jnp.eye(N, M, k, dtype=dtype)
            return bcoo_fromdense(
                mat, nse=nse if n_batch < 2 else 1, index_dtype=index, n_batch=n_batch, n_dense=n_dense
            )
        indices = jnp.asarray(np.stack([rows, rows + k], -1).astype(index))
        return cls((jnp.ones(len(rows), dtype), indices), shape=(N, M), indices_sorted=True, unique_indices=True)

    def todense(self) -> Array:
        """The array with all its zeros. See `bcoo_todense`.

        >>> BCOO((jnp.array([7]), jnp.array([[1]])), shape=(3,)).todense()
        Array([0, 7, 0], dtype=int32)
        """
        return bcoo_todense(self)

    def transpose(self, axes: Sequence[int] | None = None) -> BCOO:
        """The array with its axes permuted, reversed by default. See `bcoo_transpose`.

        >>> BCOO.fromdense(jnp.array([[0, 2], [3, 4]])).transpose().todense()
        Array([[0, 3],
               [2, 4]], dtype=int32)
        """
        permutation = list(range(self.ndim))[::-1] if axes is None else axes
        return bcoo_transpose(self, permutation=permutation)

    def sort_indices(self) -> BCOO:
        """The same array, with its positions in order. See `bcoo_sort_indices`.

        >>> m = BCOO((jnp.array([1.0, 2.0]), jnp.array([[5], [3]])), shape=(8,))
        >>> m.sort_indices().indices.tolist()
        [[3], [5]]
        """
        return bcoo_sort_indices(self)

    def sum_duplicates(self, nse: int | None = None, remove_zeros: bool = True) -> BCOO:
        """The same array, each position once. See `bcoo_sum_duplicates`. With `remove_zeros` and
        without `nse`, elements that were zero are left out.

        >>> m = BCOO((jnp.array([1.0, 2.0, 0.0]), jnp.array([[3], [3], [0]])), shape=(8,))
        >>> m.sum_duplicates().indices.tolist(), m.sum_duplicates().data.tolist()
        ([[3]], [3.0])
        """
        if remove_zeros and nse is None:
            mat = bcoo_eliminate_zeros(self)
            return bcoo_sum_duplicates(mat)
        return bcoo_sum_duplicates(self, nse)

    def update_layout(
        self, *, n_batch: int | None = None, n_dense: int | None = None, on_inefficient: str | None = "error"
    ) -> BCOO:
        """The same array with other numbers of batch and dense axes. See `bcoo_update_layout`.

        >>> m = BCOO.fromdense(jnp.array([[1, 0], [0, 2]]), n_batch=1)
        >>> m.indices.shape, m.update_layout(n_batch=0).indices.shape
        ((2, 1, 1), (2, 2))
        """
        return bcoo_update_layout(self, n_batch=n_batch, n_dense=n_dense, on_inefficient=on_inefficient)


register_pytree_node(BCOO, BCOO.tree_flatten, BCOO.tree_unflatten)
SPACES[BCOO] = Struct(float0=True)  # tangents: the data


def bcoo(x: Any, what: str) -> BCOO:
    """An argument that must be a BCOO. Raises TypeError otherwise."""
    if not isinstance(x, BCOO):
        raise TypeError(f"{what} takes a BCOO, got {type(x).__name__} {x!r:.100}, at {user_line()}")
    return x


def _counts(ndim: int, n_batch: Any, n_dense: Any) -> tuple[int, int]:
    nb, nd = integer(n_batch, "n_batch"), integer(n_dense, "n_dense")
    if nb < 0 or nd < 0 or nb + nd > ndim:
        raise ValueError(f"n_batch={nb} and n_dense={nd} do not fit an array with {ndim} axes, at {user_line()}")
    return nb, ndim - nb - nd


def full_batch(mat: BCOO) -> tuple[Any, Any]:
    """Data and indices with all batch axes as long as those of the array; indices in a type in which
    they can be computed with."""
    data, indices = mat._full()
    return data, convert(indices, dtypes.int32) if indices.dtype.itemsize < 4 else indices


def over_batch(fun: Callable[..., Any], n_batch: int, *args: Any) -> Any:
    """`fun` of arrays, over their first axes."""
    for _ in range(n_batch):
        fun = vmap(fun)
    return fun(*args)


# ---- dense and sparse ----------------------------------------------------------------------------


def bcoo_todense(mat: BCOO) -> Array:
    """The dense array of a BCOO, of its shape and dtype. Elements at one position add up (booleans by
    or); what is out of bounds is dropped. Raises TypeError for what is no BCOO.

    >>> m = BCOO((jnp.array([1.0, 2.0, 5.0]), jnp.array([[3], [3], [0]])), shape=(4,))
    >>> bcoo_todense(m)
    Array([5., 0., 0., 3.], dtype=float32)
    """
    mat = bcoo(mat, "bcoo_todense")
    if mat.indices.dtype == dtypes.float0:
        raise TypeError(
            f"bcoo_todense: this is a derivative in the elements of a BCOO, at {user_line()}. Its positions, which have no derivative, are "
            "those of the matrix m that it is the derivative in: BCOO((g.data, m.indices), shape=m.shape)"
        )
    return _todense(*full_batch(mat), shape=mat.shape)


def _todense(data: Any, indices: Any, *, shape: Shape) -> Any:
    nb, ns = indices.ndim - 2, indices.shape[-1]
    if data.__class__ is indices.__class__ is ConcreteArray and data.ndim == 1 and current() is EVAL:
        # SciPy's kernel, which is quicker than NumPy's: the product of a column with the number 1.
        rows, count = raveled(columns_of(indices), shape, data.shape[0])
        if 0 < count < 2**31:
            return product(data, rows, kept(_zeros, rows._value), _one(data.dtype), (count, 1)).reshape(shape)
    batch, sparse = tuple(range(nb)), tuple(range(nb, nb + ns))
    windows = tuple(range(nb + 1, data.ndim))
    if not ns:
        return data.any(nb) if data.dtype == dtypes.bool_ else data.sum(nb, dtype=data.dtype)
    numbers = ScatterDimensionNumbers(windows, sparse, sparse, batch, batch)
    combine = scatter_max_p if data.dtype == dtypes.bool_ else scatter_add_p
    return combine.bind(
        zeros_like_shape(data, shape),
        indices,
        data,
        dimension_numbers=numbers,
        mode=FILL_OR_DROP,
        indices_are_sorted=False,
        unique_indices=False,
    )


def _zeros(rows: np.ndarray[Any, Any]) -> Array:
    return concrete(np.zeros(len(rows), np.int32))


@cache
def _one(dtype: Any) -> Array:
    return concrete(np.ones(1, dtype))


def gathered(x: Any, indices: Any) -> Any:
    """The elements of a dense array at the positions of a BCOO, 0 where these are out of bounds."""
    nb, ns = indices.ndim - 2, indices.shape[-1]
    shape, nse = x.shape, indices.shape[-2]
    if not ns:
        return broadcast_to(jnp.expand_dims(x, nb), (*shape[:nb], nse, *shape[nb:]))
    if 0 in shape:
        return zeros_like_shape(x, (*shape[:nb], nse, *shape[nb + ns :]))
    batch, sparse = tuple(range(nb)), tuple(range(nb, nb + ns))
    nd = len(shape) - nb - ns
    numbers = GatherDimensionNumbers(tuple(range(nb + 1, nb + 1 + nd)), sparse, sparse, batch, batch)
    return gather_p.bind(
        x,
        indices,
        dimension_numbers=numbers,
        slice_sizes=(*(1,) * (nb + ns), *shape[nb + ns :]),
        mode=FILL_OR_DROP,
        fill_value=0,
        indices_are_sorted=False,
        unique_indices=False,
    )


def bcoo_fromdense(
    mat: Any, *, nse: int | None = None, n_batch: int = 0, n_dense: int = 0, index_dtype: Any = jnp.int32
) -> BCOO:
    """The elements of a dense array that are not zero, in order.

    `nse` says how many to keep (the most in any batch, by default): if there are fewer, the rest is
    padding; if there are more, the last are left out. Under `jit` it has to be given
    (ConcretizationTypeError otherwise). Raises ValueError for numbers of axes that do not fit.

    >>> bcoo_fromdense(jnp.eye(3), nse=4).data.tolist()
    [1.0, 1.0, 1.0, 0.0]
    """
    x, index = dense(mat), index_type(index_dtype)
    nb, ns = _counts(x.ndim, n_batch, n_dense)
    mask = x != 0
    if n_dense:
        mask = mask.any(axis=tuple(range(nb + ns, x.ndim)))
    if nse is None:
        if known_value(mask) is None:
            assert isinstance(mask, Tracer)
            raise ConcretizationTypeError(
                mask,
                "It decides the number of elements of bcoo_fromdense: give the argument nse under transformations.",
            )
        counts = np.asarray(known_value(mask)).reshape((*x.shape[:nb], -1)).sum(-1)
        nse = int(counts.max()) if counts.size else 0
    nse, sparse = integer(nse, "nse"), x.shape[nb : nb + ns]

    def find(m: Any) -> Any:
        if not ns:
            return jnp.zeros((nse, 0), index)
        return jnp.stack(jnp.nonzero(m, size=nse, fill_value=sparse), -1).astype(index)

    indices = over_batch(find, nb, mask)
    data = gathered(x, indices)
    if not ns and nse > 1:  # nothing is out of bounds where there are no axes: padding is zero
        data = jnp.where((jnp.arange(nse) == 0).reshape((-1, *(1,) * n_dense)), data, 0)
    return BCOO((data, indices), shape=x.shape, indices_sorted=True, unique_indices=bool(ns) or nse < 2)


def bcoo_extract(sparr: BCOO, arr: Any, *, assume_unique: bool | None = None) -> BCOO:
    """The elements of a dense array at the positions of a sparse one, as a BCOO.

    Unless positions are unique, or `assume_unique` says so, only the first of several equal ones
    gets the element, so that they add up to it. Raises ValueError if the shapes differ.

    >>> bcoo_extract(BCOO.fromdense(jnp.eye(2)), jnp.array([[1, 2], [3, 4]])).data
    Array([1, 4], dtype=int32)
    """
    x = dense(arr)
    if x.shape != bcoo(sparr, "bcoo_extract").shape:
        raise ValueError(f"bcoo_extract: shape mismatch: {sparr.shape} and {x.shape}, at {user_line()}")
    _, indices = full_batch(sparr) if sparr.n_batch else (None, sparr.indices)
    data = gathered(x, indices)
    if not (sparr.unique_indices if assume_unique is None else assume_unique):
        sparse, nb = sparr.shape[sparr.n_batch : sparr.n_batch + sparr.n_sparse], sparr.n_batch
        first = over_batch(lambda i: is_first(i, sparse), nb, indices)
        data = jnp.where(first.reshape((*first.shape, *(1,) * sparr.n_dense)), data, 0)
    return with_data(sparr, data, indices)


def with_data(mat: BCOO, data: Any, indices: Any = None, dtype: Any = None) -> BCOO:
    """A BCOO at the same positions with other data."""
    return BCOO(
        (data, mat.indices if indices is None else indices),
        shape=mat.shape,
        indices_sorted=mat.indices_sorted,
        unique_indices=mat.unique_indices,
    )


# ---- order and uniqueness ------------------------------------------------------------------------


def ordered(indices: Any, shape: Shape) -> tuple[list[Any], Any]:
    """The keys of positions (nse, n) in order, those out of bounds last, and the permutation."""
    columns = columns_of(indices)
    nse = indices.shape[0]
    if math.prod(shape) < 2**31 - 1:
        key, count = raveled(columns, shape, nse)
        keys = [jnp.where((key < 0) | (key > count), count, key) if len(columns) == 1 else key]
    else:
        keys, inside = [], jnp.ones((nse,), bool)
        for c, n in zip(columns, shape):
            inside = inside & (c >= 0) & (c < n)
        keys = [jnp.where(inside, c, n) for c, n in zip(columns, shape)]
    *keys, permutation = sort((*keys, jnp.arange(nse, dtype=dtypes.int32)), num_keys=len(keys))
    return keys, permutation


def groups(indices: Any, shape: Shape) -> tuple[Any, Any, Any, Any]:
    """For positions (nse, n): the permutation that sorts them; in that order, the number of each
    one's group of equal positions, and whether it is its first; and how many groups there are,
    without padding."""
    keys, permutation = ordered(indices, shape)
    new = jnp.zeros((indices.shape[0],), bool).at[:1].set(True)
    for key in keys:
        new = new | jnp.concatenate([jnp.ones_like(key[:1], bool), key[1:] != key[:-1]])
    limits = [math.prod(shape)] if len(keys) == 1 else shape
    inside = keys[0] < limits[0]
    number = jnp.cumsum(new, dtype=dtypes.int32) - 1
    return permutation, number, new & inside, (new & inside).sum(dtype=dtypes.int32)


def is_first(indices: Any, shape: Shape) -> Any:
    """Whether a position has not come before."""
    permutation, _, first, _ = groups(indices, shape)
    return jnp.zeros(first.shape, bool).at[permutation].set(first, unique_indices=True)


def bcoo_sort_indices(mat: BCOO) -> BCOO:
    """The same array, with its positions in lexicographic order and padding last. Raises TypeError for
    what is no BCOO.

    >>> m = BCOO((jnp.array([1.0, 2.0, 3.0]), jnp.array([[1, 0], [0, 1], [0, 0]])), shape=(2, 2))
    >>> bcoo_sort_indices(m).data
    Array([3., 2., 1.], dtype=float32)
    """
    sparse = bcoo(mat, "bcoo_sort_indices").shape[mat.n_batch : mat.n_batch + mat.n_sparse]

    def in_order(data: Any, indices: Any) -> Any:
        _, permutation = ordered(indices, sparse)
        return data[permutation], indices[permutation]

    parts = over_batch(in_order, mat.n_batch, *full_batch(mat)) if mat.n_sparse else full_batch(mat)
    return BCOO(parts, shape=mat.shape, indices_sorted=True, unique_indices=mat.unique_indices)


def bcoo_sum_duplicates(mat: BCOO, nse: int | None = None) -> BCOO:
    """The same array with each position once, in order, the elements at equal ones added.

    `nse` says how many to keep, by default as many as are different in any batch; under `jit` it
    has to be given (ValueError otherwise).

    >>> m = BCOO((jnp.array([1.0, 2.0, 5.0]), jnp.array([[3], [0], [3]])), shape=(4,))
    >>> bcoo_sum_duplicates(m).data.tolist()
    [2.0, 6.0]
    """
    nb, ns = bcoo(mat, "bcoo_sum_duplicates").n_batch, mat.n_sparse
    sparse = mat.shape[nb : nb + ns]
    data, indices = full_batch(mat)
    if nse is None:
        if known_value(indices) is None:
            raise ValueError(
                f"bcoo_sum_duplicates: nse must be specified under jit, vmap, and other transformations, at {user_line()}"
            )
        counts = known_value(over_batch(lambda i: groups(i, sparse)[3], nb, indices)) if ns else min(1, mat.nse)
        nse = int(np.max(counts, initial=0))
    size = integer(nse, "nse")

    def summed(data: Any, indices: Any) -> Any:
        if not ns:
            total = data.sum(0, keepdims=True) if size else data[:0]
            return jnp.concatenate([total, jnp.zeros((max(0, size - 1), *data.shape[1:]), data.dtype)]), jnp.zeros(
                (size, 0), indices.dtype
            )
        permutation, number, first, _ = groups(indices, sparse)
        # Padding is one group, the last: its elements are dropped.
        in_bounds = jnp.all((indices >= 0) & (indices < jnp.asarray(sparse, indices.dtype)), -1)[permutation]
        number = jnp.where(in_bounds, number, size)
        sums = _sums(data[permutation], number, size)
        target = jnp.where(first, number, size)
        places = jnp.broadcast_to(jnp.asarray(sparse, indices.dtype), (size, ns))
        return sums, places.at[target].set(indices[permutation], mode="drop")

    parts = over_batch(summed, nb, data, indices)
    return BCOO(parts, shape=mat.shape, indices_sorted=True, unique_indices=True)


def _sums(data: Any, number: Any, size: int) -> Any:
    if data.dtype == dtypes.bool_:
        return scatter_flat(data.astype(dtypes.int32), number, size) != 0
    return scatter_flat(data, number, size)


def bcoo_eliminate_zeros(mat: BCOO, nse: int | None = None) -> BCOO:
    """The same array, with elements that are zero moved out of bounds."""
    data, indices = full_batch(mat)
    nb = mat.n_batch
    zero = (data == 0).all(axis=tuple(range(nb + 1, data.ndim))) if mat.n_dense else data == 0
    sparse = jnp.asarray(mat.shape[nb : nb + mat.n_sparse], indices.dtype)
    value = known_value(zero)
    if value is None or not value.any():
        return mat
    return BCOO((data, jnp.where(zero[..., None], sparse, indices)), shape=mat.shape, unique_indices=False)


# ---- layouts -------------------------------------------------------------------------------------


def bcoo_update_layout(
    mat: BCOO, *, n_batch: int | None = None, n_dense: int | None = None, on_inefficient: str | None = "error"
) -> BCOO:
    """The same array with other numbers of batch and dense axes.

    To make a sparse axis a batch or dense one takes storage for zeros: a SparseEfficiencyError, a
    SparseEfficiencyWarning or nothing, if `on_inefficient` is "error", "warn" or None. Raises
    ValueError for other values and for numbers of axes that do not fit.

    >>> m = BCOO.fromdense(jnp.eye(2), n_batch=1)
    >>> bcoo_update_layout(m, n_batch=0)
    BCOO(float32[2, 2], nse=2)
    """
    shape = bcoo(mat, "bcoo_update_layout").shape
    if on_inefficient not in ("error", "warn", None):
        raise ValueError(
            f"on_inefficient={on_inefficient!r}: expected one of ['error', 'warn', None], at {user_line()}"
        )
    nb = mat.n_batch if n_batch is None else n_batch
    nd = mat.n_dense if n_dense is None else n_dense
    nb, ns = _counts(len(shape), nb, nd)
    for what, old, new in (("n_batch", mat.n_batch, nb), ("n_dense", mat.n_dense, nd)):
        if new > old:
            text = f"For matrix of shape {shape}, increasing {what} from {old} to {new} results in inefficient storage"
            if on_inefficient == "error":
                raise SparseEfficiencyError(
                    f"{text} (at {user_line()}): on_inefficient='warn' or None makes it all the same"
                )
            if on_inefficient == "warn":
                warnings.warn(text, SparseEfficiencyWarning, stacklevel=2)
    if nd < mat.n_dense:
        mat = _dense_to_sparse(mat, mat.n_dense - nd)
    if nb < mat.n_batch:
        mat = _batch_to_sparse(mat, mat.n_batch - nb)
    if nd > mat.n_dense:
        mat = _sparse_to_dense(mat, nd - mat.n_dense)
    if nb > mat.n_batch:
        mat = _sparse_to_batch(mat, nb - mat.n_batch)
    return mat


def _dense_to_sparse(mat: BCOO, count: int) -> BCOO:
    nb, ns, shape = mat.n_batch, mat.n_sparse, mat.shape
    new = shape[nb + ns : nb + ns + count]
    data, indices = full_batch(mat)
    places = np.indices(new).reshape((count, -1)).T.astype(indices.dtype)
    batch, nse, each = shape[:nb], mat.nse, len(places)
    old = jnp.broadcast_to(indices[..., None, :], (*batch, nse, each, ns))
    added = jnp.broadcast_to(jnp.asarray(places), (*batch, nse, each, count))
    indices = jnp.concatenate([old, added], -1).reshape((*batch, nse * each, ns + count))
    data = data.reshape((*batch, nse * each, *data.shape[nb + 1 + count :]))
    return BCOO((data, indices), shape=shape, indices_sorted=mat.indices_sorted, unique_indices=mat.unique_indices)


def _batch_to_sparse(mat: BCOO, count: int) -> BCOO:
    nb, shape = mat.n_batch, mat.shape
    data, indices = full_batch(mat)
    keep, new = shape[: nb - count], shape[nb - count : nb]
    each = math.prod(new)
    grid = [jnp.asarray(g, indices.dtype) for g in np.indices(new)]
    added = jnp.stack([jnp.broadcast_to(g[..., None], (*keep, *new, mat.nse)) for g in grid], -1)
    indices = jnp.concatenate([added, indices], -1).reshape((*keep, each * mat.nse, mat.n_sparse + count))
    data = data.reshape((*keep, each * mat.nse, *data.shape[nb + 1 :]))
    return BCOO((data, indices), shape=shape, unique_indices=mat.unique_indices)


def _sparse_to_dense(mat: BCOO, count: int) -> BCOO:
    nb, ns, shape = mat.n_batch, mat.n_sparse, mat.shape
    new = shape[nb + ns - count : nb + ns]

    def spread(data: Any, indices: Any) -> Any:
        one = lambda d, i: _todense(d[None], i[None], shape=(*new, *d.shape))
        return vmap(one)(data, indices[:, ns - count :])

    data, indices = full_batch(mat)
    data = over_batch(spread, nb, data, indices)
    return BCOO((data, indices[..., : ns - count]), shape=shape)


def _sparse_to_batch(mat: BCOO, count: int) -> BCOO:
    nb, shape = mat.n_batch, mat.shape
    new = shape[nb : nb + count]

    def spread(data: Any, indices: Any) -> Any:
        nse = data.shape[0]
        place = jnp.concatenate([indices[:, :count], jnp.arange(nse, dtype=indices.dtype)[:, None]], -1)
        out = _todense(data, place, shape=(*new, nse, *data.shape[1:]))
        return out, jnp.broadcast_to(indices[:, count:], (*new, nse, indices.shape[1] - count))

    return BCOO(over_batch(spread, nb, *full_batch(mat)), shape=shape)


def bcoo_transpose(mat: BCOO, *, permutation: Sequence[int]) -> BCOO:
    """The array with its axes in the order `permutation`. Batch, sparse and dense axes stay what
    they are (NotImplementedError for a permutation that mixes them; TypeError for none).

    >>> bcoo_transpose(BCOO.fromdense(jnp.ones((2, 3))), permutation=(1, 0)).shape
    (3, 2)
    """
    axes = tuple(integer(p, "permutation") for p in permutation)
    nb, ns, shape = bcoo(mat, "bcoo_transpose").n_batch, mat.n_sparse, mat.shape
    axes = tuple(a + len(shape) if a < 0 else a for a in axes)
    if sorted(axes) != list(range(len(shape))):
        raise TypeError(
            f"transpose permutation {axes} is no permutation of the axes of shape {shape}, at {user_line()}"
        )
    batch, sparse, tail = axes[:nb], axes[nb : nb + ns], axes[nb + ns :]
    if sorted((*batch, *sparse)) != list(range(nb + ns)):
        raise NotImplementedError(
            f"transpose: {axes} mixes dense axes with others: change n_dense by update_layout first"
        )
    if sorted(batch) != list(range(nb)):
        raise NotImplementedError(
            f"transpose: {axes} mixes batch axes with others: change n_batch by update_layout first"
        )
    data = mat.data.transpose((*batch, nb, *(a - ns + 1 for a in tail)))
    indices = mat.indices.transpose((*batch, nb, nb + 1))
    if sparse != tuple(range(nb, nb + ns)):
        if sparse == tuple(range(nb + ns - 1, nb - 1, -1)):
            indices = indices[..., ::-1]
        else:
            indices = jnp.concatenate([indices[..., a - nb : a - nb + 1] for a in sparse], -1)
    is_sorted = mat.indices_sorted and sparse == tuple(range(nb, nb + ns))
    new = tuple(shape[a] for a in axes)
    return BCOO((data, indices), shape=new, indices_sorted=is_sorted, unique_indices=mat.unique_indices)
