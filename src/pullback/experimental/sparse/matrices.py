"""COO, CSR and CSC: sparse matrices without batch and dense axes, as scipy.sparse has them."""

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
from pullback.core.types import Shape
from pullback.experimental.sparse.base import JAXSparse, dense, fitting, leaves, shape_of
from pullback.experimental.sparse.bcoo import BCOO, bcoo_fromdense
from pullback.experimental.sparse.bcsr import BCSR
from pullback.experimental.sparse.products import product
from pullback.transforms.spaces import SPACES, Struct


class Matrix(JAXSparse):
    """Base of the sparse matrices of three arrays: the data and where it is. Abstract.

    Subclasses say how they are multiplied (`_times`) and what they are as a BCOO.
    """

    #: Attributes in which the three arrays are, and those that are static.
    _parts: tuple[str, str, str]
    _flags: tuple[str, ...] = ()

    def __init__(self, args: Any, *, shape: Any) -> None:
        name = type(self).__name__
        parts = leaves(args, 3, name)
        self.shape = shape_of(shape, name)
        if len(self.shape) != 2:
            raise ValueError(f"{name} must have ndim=2, got shape={self.shape}, at {user_line()}")
        if any(x.ndim != 1 for x in parts) or not all(dtypes.is_integer(x.dtype) for x in parts[1:]):
            raise ValueError(f"{name} is made of three vectors, two of them of integers, got {[x.aval for x in parts]}")
        sizes = (*self.shape, parts[0].size)
        for key, x in zip(self._parts, (parts[0], *(fitting(p, sizes) for p in parts[1:]))):
            setattr(self, key, x)

    @property
    def nse(self) -> int:
        return int(self.data.size)

    def tree_flatten(self) -> tuple[tuple[Any, ...], Any]:
        static = (self.shape, *(getattr(self, f) for f in self._flags))
        return tuple(getattr(self, key) for key in self._parts), static

    @classmethod
    def tree_unflatten(cls, aux_data: Any, children: Any) -> Any:
        out = object.__new__(cls)
        for key, x in zip((*cls._parts, "shape", *cls._flags), (*children, *aux_data)):
            setattr(out, key, x)
        return out

    @classmethod
    def fromdense(cls, mat: Any, *, nse: int | None = None, index_dtype: Any = np.int32) -> Any:
        """The elements of a dense matrix that are not zero. See `bcoo_fromdense`. Raises ValueError
        for what is no matrix.

        >>> CSC.fromdense(jnp.array([[0, 2], [3, 4]])).indptr
        Array([0, 1, 3], dtype=int32)
        """
        x = dense(mat)
        if x.ndim != 2:
            raise ValueError(f"{cls.__name__}.fromdense takes a matrix, got shape {x.shape}, at {user_line()}")
        return cls._of(bcoo_fromdense(x, nse=nse, index_dtype=index_dtype))

    @classmethod
    def _of(cls, mat: BCOO) -> Any:
        raise NotImplementedError(f"{cls.__name__} must define _of")

    def to_bcoo(self) -> BCOO:
        """The same matrix as a BCOO.

        >>> CSR.fromdense(jnp.array([[0, 2], [3, 4]])).to_bcoo().indices.tolist()
        [[0, 1], [1, 0], [1, 1]]
        """
        raise NotImplementedError(f"{type(self).__name__} must define to_bcoo")

    @classmethod
    def _empty(cls, shape: Any, *, dtype: Any = None, index_dtype: Any = "int32") -> Any:
        shape = shape_of(shape, cls.__name__)
        if len(shape) != 2:
            raise ValueError(f"{cls.__name__} must have ndim=2, got shape={shape}, at {user_line()}")
        return cls._of(BCOO._empty(shape, dtype=dtype, index_dtype=index_dtype))

    @classmethod
    def _eye(cls, N: int, M: int, k: int, *, dtype: Any = None, index_dtype: Any = "int32") -> Any:
        return cls._of(BCOO._eye(N, M, k, dtype=dtype, index_dtype=index_dtype))

    def todense(self) -> Array:
        return self.to_bcoo().todense()

    def _entries(self) -> tuple[Any, Any] | None:
        known = all(isinstance(x, Array) and known_value(x) is not None for x in self._bufs[1:])
        return self.to_bcoo()._entries() if known else None

    def _times(self, x: Any, transpose: bool) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define _times")

    def __matmul__(self, other: Any) -> Any:
        """The product with a dense vector or matrix. Raises TypeError if lengths differ."""
        if isinstance(other, JAXSparse):
            raise NotImplementedError("matmul between two sparse objects: convert to BCOO")
        return self._times(dense(other), False)

    def __rmatmul__(self, other: Any) -> Any:
        return self._times(dense(other).T, True).T

    def _transposed(self, axes: Any, cls: Any, parts: Any) -> Any:
        if axes is not None and tuple(axes) != (1, 0):
            raise NotImplementedError(f"transpose with axes={axes} of a {type(self).__name__}: only (1, 0)")
        return cls(parts, shape=self.shape[::-1])


class COO(Matrix):
    """A sparse matrix by coordinates: `args` are `data`, `row` and `col`, vectors of one length.
    `rows_sorted` and `cols_sorted` are promises of the caller. Positions out of bounds are padding.

    >>> m = COO.fromdense(jnp.array([[0.0, 2.0], [3.0, 0.0]]))
    >>> m, (m @ jnp.array([1.0, 10.0])).tolist()
    (COO(float32[2, 2], nse=2), [20.0, 3.0])
    """

    _parts = ("data", "row", "col")
    _flags = ("_rows_sorted", "_cols_sorted")

    def __init__(
        self, args: tuple[Any, Any, Any], *, shape: Shape, rows_sorted: bool = False, cols_sorted: bool = False
    ) -> None:
        super().__init__(args, shape=shape)
        self._rows_sorted, self._cols_sorted = rows_sorted, cols_sorted

    @property
    def _info(self) -> Any:
        return self.shape, self._rows_sorted, self._cols_sorted

    @classmethod
    def _of(cls, mat: BCOO) -> COO:
        return cls((mat.data, mat.indices[:, 0], mat.indices[:, 1]), shape=mat.shape, rows_sorted=mat.indices_sorted)

    def to_bcoo(self) -> BCOO:
        return BCOO((self.data, jnp.stack([self.row, self.col], -1)), shape=self.shape)

    def _sort_indices(self) -> COO:
        """The same matrix, with its rows in order."""
        return self if self._rows_sorted else COO._of(self.to_bcoo().sort_indices())

    def _times(self, x: Any, transpose: bool) -> Any:
        return product(self.data, self.row, self.col, x, self.shape, transpose=transpose)

    def transpose(self, axes: Any = None) -> COO:
        out: COO = self._transposed(axes, COO, (self.data, self.col, self.row))
        out._rows_sorted, out._cols_sorted = self._cols_sorted, self._rows_sorted
        return out


class CSR(Matrix):
    """A sparse matrix by compressed rows: `args` are `data`, the columns `indices`, and `indptr`,
    where row i has the elements from `indptr[i]` to `indptr[i + 1]`.

    >>> CSR.fromdense(jnp.array([[0.0, 2.0], [3.0, 0.0]])).indptr.tolist()
    [0, 1, 2]
    """

    _parts = ("data", "indices", "indptr")

    @classmethod
    def _of(cls, mat: BCOO) -> CSR:
        return cls(BCSR.from_bcoo(mat)._bufs, shape=mat.shape)

    def to_bcoo(self) -> BCOO:
        return BCSR((self.data, self.indices, self.indptr), shape=self.shape).to_bcoo()

    def _times(self, x: Any, transpose: bool) -> Any:
        return product(self.data, self.indptr, self.indices, x, self.shape, transpose=transpose, compressed=True)

    def transpose(self, axes: Any = None) -> CSC:
        out: CSC = self._transposed(axes, CSC, self._bufs)
        return out


class CSC(Matrix):
    """A sparse matrix by compressed columns: `args` are `data`, the rows `indices`, and `indptr`,
    where column i has the elements from `indptr[i]` to `indptr[i + 1]`.

    >>> CSC.fromdense(jnp.array([[0.0, 2.0], [3.0, 0.0]])).data.tolist()
    [3.0, 2.0]
    """

    _parts = ("data", "indices", "indptr")

    @classmethod
    def _of(cls, mat: BCOO) -> CSC:
        return cls(CSR._of(mat.transpose())._bufs, shape=mat.shape)

    def to_bcoo(self) -> BCOO:
        return self.transpose().to_bcoo().transpose()

    def _times(self, x: Any, transpose: bool) -> Any:
        return self.transpose()._times(x, not transpose)

    def transpose(self, axes: Any = None) -> CSR:
        out: CSR = self._transposed(axes, CSR, self._bufs)
        return out


for _matrix in (COO, CSR, CSC):
    register_pytree_node(_matrix, _matrix.tree_flatten, _matrix.tree_unflatten)
    SPACES[_matrix] = Struct(float0=True)  # tangents: the data


def _checked(mat: Any, cls: type[Matrix], x: Any, ndim: int, what: str) -> Any:
    if not isinstance(mat, cls):
        raise TypeError(f"{what} takes a {cls.__name__}, got {type(mat).__name__}, at {user_line()}")
    v = dense(x)
    if v.ndim != ndim:
        raise TypeError(f"{what} takes an array with {ndim} axes, got shape {v.shape}, at {user_line()}")
    return v


def coo_fromdense(mat: Any, *, nse: int | None = None, index_dtype: Any = jnp.int32) -> COO:
    """The elements of a dense matrix that are not zero, as a COO. See `bcoo_fromdense`. Raises
    ValueError for what is no matrix.

    >>> m = coo_fromdense(jnp.array([[0, 2], [3, 0]]))
    >>> m.data.tolist(), m.row.tolist(), m.col.tolist()
    ([2, 3], [0, 1], [1, 0])
    """
    out: COO = COO.fromdense(mat, nse=nse, index_dtype=index_dtype)
    return out


def coo_todense(mat: COO) -> Array:
    """The dense matrix of a COO. Elements at one position add up.

    >>> coo_todense(COO((jnp.array([1, 2]), jnp.array([0, 0]), jnp.array([1, 1])), shape=(2, 2)))
    Array([[0, 3],
           [0, 0]], dtype=int32)
    """
    return mat.todense()


def coo_matvec(mat: COO, v: Any, transpose: bool = False) -> Array:
    """The matrix (m, n), or its transpose, times a vector of n (of m) elements. Raises TypeError for
    other shapes and for what is no COO.

    >>> m = coo_fromdense(jnp.array([[0.0, 2.0], [3.0, 0.0]]))
    >>> coo_matvec(m, jnp.array([1.0, 10.0])), coo_matvec(m, jnp.array([1.0, 10.0]), transpose=True)
    (Array([20.,  3.], dtype=float32), Array([30.,  2.], dtype=float32))
    """
    out: Array = mat._times(_checked(mat, COO, v, 1, "coo_matvec"), transpose)
    return out


def coo_matmat(mat: COO, B: Any, *, transpose: bool = False) -> Array:
    """The matrix (m, n), or its transpose, times a dense matrix (n, k) (or (m, k)). Raises TypeError
    for other shapes and for what is no COO.

    >>> coo_matmat(coo_fromdense(jnp.array([[0.0, 2.0], [3.0, 0.0]])), jnp.array([[1.0, 2.0], [3.0, 4.0]]))
    Array([[6., 8.],
           [3., 6.]], dtype=float32)
    """
    out: Array = mat._times(_checked(mat, COO, B, 2, "coo_matmat"), transpose)
    return out


def csr_fromdense(mat: Any, *, nse: int | None = None, index_dtype: Any = np.int32) -> CSR:
    """The elements of a dense matrix that are not zero, as a CSR. See `bcoo_fromdense`. Raises
    ValueError for what is no matrix.

    >>> m = csr_fromdense(jnp.array([[0, 2], [3, 4]]))
    >>> m.data.tolist(), m.indices.tolist(), m.indptr.tolist()
    ([2, 3, 4], [1, 0, 1], [0, 1, 3])
    """
    out: CSR = CSR.fromdense(mat, nse=nse, index_dtype=index_dtype)
    return out


def csr_todense(mat: CSR) -> Array:
    """The dense matrix of a CSR. Elements at one position add up.

    >>> csr_todense(CSR((jnp.array([7, 8]), jnp.array([0, 1]), jnp.array([0, 0, 2])), shape=(2, 2)))
    Array([[0, 0],
           [7, 8]], dtype=int32)
    """
    return mat.todense()


def csr_matvec(mat: CSR, v: Any, transpose: bool = False) -> Array:
    """The matrix (m, n), or its transpose, times a vector of n (of m) elements. Raises TypeError for
    other shapes and for what is no CSR.

    >>> m = csr_fromdense(jnp.array([[0.0, 2.0], [3.0, 0.0]]))
    >>> csr_matvec(m, jnp.array([1.0, 10.0])), csr_matvec(m, jnp.array([1.0, 10.0]), transpose=True)
    (Array([20.,  3.], dtype=float32), Array([30.,  2.], dtype=float32))
    """
    out: Array = mat._times(_checked(mat, CSR, v, 1, "csr_matvec"), transpose)
    return out


def csr_matmat(mat: CSR, B: Any, *, transpose: bool = False) -> Array:
    """The matrix (m, n), or its transpose, times a dense matrix (n, k) (or (m, k)). Raises TypeError
    for other shapes and for what is no CSR.

    >>> csr_matmat(csr_fromdense(jnp.array([[0.0, 2.0], [3.0, 0.0]])), jnp.array([[1.0, 2.0], [3.0, 4.0]]))
    Array([[6., 8.],
           [3., 6.]], dtype=float32)
    """
    out: Array = mat._times(_checked(mat, CSR, B, 2, "csr_matmat"), transpose)
    return out


_FORMATS: dict[str, Any] = {"bcoo": BCOO, "bcsr": BCSR, "coo": COO, "csr": CSR, "csc": CSC}


def _format(name: Any, rule: str) -> Any:
    if name not in _FORMATS or not hasattr(_FORMATS[name], rule):
        known = [k for k, v in _FORMATS.items() if hasattr(v, rule)]
        raise KeyError(f"{name!r} is no format that has this: one of {known}, at {user_line()}")
    return getattr(_FORMATS[name], rule)


def empty(
    shape: Sequence[int], dtype: Any = None, index_dtype: Any = "int32", sparse_format: str = "bcoo", **kwds: Any
) -> JAXSparse:
    """A sparse array that holds nothing, in the format "bcoo", "bcsr", "coo", "csr" or "csc";
    `kwds` are numbers that the format has (`nse`, `n_batch`, `n_dense`). Raises KeyError for other
    formats.

    >>> empty((2, 3))
    BCOO(float32[2, 3], nse=0)
    """
    out: JAXSparse = _format(sparse_format, "_empty")(shape, dtype=dtype, index_dtype=index_dtype, **kwds)
    return out


def eye(
    N: int,
    M: int | None = None,
    k: int = 0,
    dtype: Any = None,
    index_dtype: Any = "int32",
    sparse_format: str = "bcoo",
    **kwds: Any,
) -> JAXSparse:
    """The N × M matrix (M is N if it is None) with ones on diagonal number `k`, in the format "bcoo",
    "coo", "csr" or "csc". Raises KeyError for other formats.

    >>> eye(3, k=1), eye(2, 3, sparse_format="csr").todense()
    (BCOO(float32[3, 3], nse=2), Array([[1., 0., 0.],
           [0., 1., 0.]], dtype=float32))
    """
    m = N if M is None else M
    out: JAXSparse = _format(sparse_format, "_eye")(N, m, k, dtype=dtype, index_dtype=index_dtype, **kwds)
    return out


__all__ = [
    "COO",
    "CSC",
    "CSR",
    "coo_fromdense",
    "coo_matmat",
    "coo_matvec",
    "coo_todense",
    "csr_fromdense",
    "csr_matmat",
    "csr_matvec",
    "csr_todense",
    "empty",
    "eye",
]
