"""What all sparse arrays have in common, and how one is told that storage is inefficient."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.errors import user_line
from pullback.core.types import Shape, integers
from pullback.lax.shape import broadcast_to, convert
from pullback.numpy.conversion import asarray


class SparseEfficiencyError(ValueError):
    """A layout was asked for in which an array takes much more memory than it needs; `on_inefficient`
    of `bcoo_update_layout` says whether that raises, warns or passes.

    >>> from pullback.experimental.sparse import BCOO
    >>> try:
    ...     BCOO.fromdense(np.eye(8)).update_layout(n_dense=1)
    ... except SparseEfficiencyError:
    ...     print("whole rows, for a number in each")
    whole rows, for a number in each
    """


class SparseEfficiencyWarning(UserWarning):
    """A layout was made in which an array takes much more memory than it needs.

    >>> import warnings
    >>> from pullback.experimental.sparse import BCOO
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     m = BCOO.fromdense(np.eye(8)).update_layout(n_dense=1, on_inefficient="warn")
    >>> [w.category.__name__ for w in caught], m.data.shape
    (['SparseEfficiencyWarning'], (8, 8))
    """


class CuSparseEfficiencyWarning(SparseEfficiencyWarning):
    """A layout that cuSPARSE has no kernel for. There is no such kernel here: nothing gives it, and
    filters that name it go on working.

    >>> issubclass(CuSparseEfficiencyWarning, SparseEfficiencyWarning)
    True
    """


class JAXSparse(ABC):
    """Base of the sparse arrays: elements at some positions, zeros at all others. Abstract.

    `data` has the elements, `shape` is that of the array they stand for. Positions that are out of
    bounds hold nothing: they are padding. Sparse arrays are pytrees; their leaves are the data and
    the positions, so `jit`, `vmap` and the loops of `lax` take and give them.

    >>> from pullback import jit
    >>> from pullback.experimental.sparse import BCOO
    >>> m = BCOO.fromdense(np.diag([1.0, 2.0, 3.0]))
    >>> isinstance(m, JAXSparse), m.nse, m.size, jit(lambda m: m.T)(m)
    (True, 3, 9, BCOO(float32[3, 3], nse=3))
    """

    data: Any
    shape: Shape

    # NumPy arrays leave `x @ sparse` and the like to the sparse array.
    __array_priority__ = 100
    __array_ufunc__ = None
    __hash__ = None

    @property
    @abstractmethod
    def nse(self) -> int:
        """Number of elements that are specified (for each batch).

        >>> from pullback.experimental.sparse import COO
        >>> COO.fromdense(np.eye(3)).nse
        3
        """

    @abstractmethod
    def todense(self) -> Array:
        """The array with all its zeros.

        >>> from pullback.experimental.sparse import CSR
        >>> CSR.fromdense(np.eye(2)).todense()
        Array([[1., 0.],
               [0., 1.]], dtype=float32)
        """

    @abstractmethod
    def transpose(self, axes: Any = None) -> Any:
        """The array with its axes permuted, reversed by default.

        >>> from pullback.experimental.sparse import CSR
        >>> CSR.fromdense(np.ones((2, 3))).transpose()  # the same numbers, by columns
        CSC(float32[3, 2], nse=6)
        """

    @abstractmethod
    def tree_flatten(self) -> tuple[tuple[Any, ...], Any]:
        """The leaves, and what is static: what makes it a pytree.

        >>> from pullback.experimental.sparse import BCOO
        >>> leaves, static = BCOO.fromdense(np.eye(2)).tree_flatten()
        >>> [x.shape for x in leaves], static
        ([(2,), (2, 2)], ((2, 2), True, True))
        """

    @classmethod
    @abstractmethod
    def tree_unflatten(cls, aux_data: Any, children: Any) -> Any:
        """The array of leaves and of what is static, as `tree_flatten` gives them.

        >>> from pullback.experimental.sparse import BCOO
        >>> leaves, static = BCOO.fromdense(np.eye(2)).tree_flatten()
        >>> BCOO.tree_unflatten(static, leaves)
        BCOO(float32[2, 2], nse=2)
        """

    @property
    def dtype(self) -> Any:
        """Element type.

        >>> from pullback.experimental.sparse import BCOO
        >>> BCOO.fromdense(np.eye(2)).dtype
        dtype('float32')
        """
        return self.data.dtype

    @property
    def ndim(self) -> int:
        """Number of axes.

        >>> from pullback.experimental.sparse import BCOO
        >>> BCOO.fromdense(np.ones((2, 3, 4)), n_batch=1).ndim
        3
        """
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements, zeros included.

        >>> from pullback.experimental.sparse import BCOO
        >>> m = BCOO.fromdense(np.eye(3))
        >>> m.size, m.nse
        (9, 3)
        """
        return math.prod(self.shape)

    @property
    def T(self) -> Any:
        """The transpose.

        >>> from pullback.experimental.sparse import BCOO
        >>> BCOO.fromdense(np.ones((2, 3))).T
        BCOO(float32[3, 2], nse=6)
        """
        return self.transpose()

    @property
    def _bufs(self) -> tuple[Any, ...]:
        """The leaves: data and positions."""
        return self.tree_flatten()[0]

    def block_until_ready(self) -> Any:
        """The array, when it has been computed.

        >>> from pullback.experimental.sparse import BCOO
        >>> BCOO.fromdense(np.eye(2)).block_until_ready()
        BCOO(float32[2, 2], nse=2)
        """
        for x in self._bufs:
            x.block_until_ready()
        return self

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def _layout(self) -> str:
        """What is printed after the number of elements."""
        return ""

    def __repr__(self) -> str:
        name = type(self).__name__
        try:
            kind, nse, shape = dtypes.name(self.dtype), self.nse, ", ".join(map(str, self.shape))
        except (AttributeError, TypeError, IndexError):  # leaves that are no arrays: a tree of axes, or of types
            return f"{name}({', '.join(map(repr, self._bufs))})"
        return f"{name}({kind}[{shape}], nse={nse}{self._layout()})"

    def _entries(self) -> tuple[Any, Any] | None:
        """The rows and columns of what is stored, as NumPy arrays; None where they are not known, or
        where there are not two sparse axes alone."""
        return None

    def __str__(self) -> str:
        entries = self._entries()
        return repr(self) if entries is None else f"{self!r}\n{pattern(*entries, self.shape)}"

    def _missing(self, what: str) -> NotImplementedError:
        return NotImplementedError(
            f"{type(self).__name__} has no {what} (at {user_line()}): convert to BCOO, or to a dense array with todense()"
        )

    # ---- operators that a format need not have

    def __neg__(self) -> Any:
        raise self._missing("negation")

    def __pos__(self) -> Any:
        raise self._missing("unary plus")

    def __add__(self, other: Any) -> Any:
        raise self._missing("addition")

    def __radd__(self, other: Any) -> Any:
        raise self._missing("addition")

    def __sub__(self, other: Any) -> Any:
        raise self._missing("subtraction")

    def __rsub__(self, other: Any) -> Any:
        raise self._missing("subtraction")

    def __mul__(self, other: Any) -> Any:
        raise self._missing("multiplication")

    def __rmul__(self, other: Any) -> Any:
        raise self._missing("multiplication")

    def __matmul__(self, other: Any) -> Any:
        raise self._missing("matrix product")

    def __rmatmul__(self, other: Any) -> Any:
        raise self._missing("matrix product from the left")

    def __getitem__(self, item: Any) -> Any:
        raise self._missing("indexing")

    def sum(self, *args: Any, **kwargs: Any) -> Any:
        """The sum along axes, of formats that have it: BCOO and BCSR.

        >>> from pullback.experimental.sparse import BCOO
        >>> BCOO.fromdense(np.array([[1, 0], [2, 3]])).sum(1).todense()
        Array([1, 5], dtype=int32)
        """
        raise self._missing("sum")


class SparseInfo(NamedTuple):
    """What is static of a sparse array."""

    shape: Shape
    indices_sorted: bool = False
    unique_indices: bool = False


class Batched(JAXSparse):
    """Base of the formats with batch and dense axes. Abstract.

    Its leaves, named by `_parts`, have the batch axes first, as the array has: mapping it maps
    these away. Lengths of 1 among them stand for the same in every batch.
    """

    _parts: tuple[str, ...]
    n_batch: int
    n_dense: int
    indices_sorted: bool
    unique_indices: bool
    #: The shape as it was given, or None where what the leaves are of the batch axes decides, and
    #: `_rest` has the other lengths: after `tree_unflatten`.
    _shape: Shape | None
    _rest: Shape

    def _leaves(self) -> tuple[Any, ...]:
        return tuple(getattr(self, part) for part in self._parts)

    @property
    def shape(self) -> Shape:  # type: ignore[override]
        """Length of each axis."""
        if self._shape is not None:
            return self._shape
        lengths = zip(*(x.shape[: self.n_batch] for x in self._leaves()))
        return (*(max(n) if min(n) else 0 for n in lengths), *self._rest)

    def _full(self) -> tuple[Any, ...]:
        """The leaves with all batch axes as long as those of the array."""
        nb = self.n_batch
        batch = self.shape[:nb]
        return tuple(x if x.shape[:nb] == batch else broadcast_to(x, (*batch, *x.shape[nb:])) for x in self._leaves())

    @property
    def _info(self) -> SparseInfo:
        return SparseInfo(self.shape, self.indices_sorted, self.unique_indices)

    def _layout(self) -> str:
        return "".join(f", {k}={v}" for k, v in (("n_batch", self.n_batch), ("n_dense", self.n_dense)) if v)

    def tree_flatten(self) -> tuple[tuple[Any, ...], Any]:
        rest = self._rest if self._shape is None else self._shape[self.n_batch :]
        return self._leaves() if self._shape is None else self._full(), (rest, self.indices_sorted, self.unique_indices)

    @classmethod
    def tree_unflatten(cls, aux_data: Any, children: Any) -> Any:
        out = object.__new__(cls)
        for part, x in zip(cls._parts, children):
            setattr(out, part, x)
        out._shape = None
        out._rest, out.indices_sorted, out.unique_indices = aux_data
        return out


def pattern(rows: Any, columns: Any, shape: Shape) -> str:
    """A picture of where the elements of a matrix are, of at most 16 lines of 32 places, in which
    several rows or columns share a place if there are more.

    >>> print(pattern(np.array([0, 2]), np.array([1, 0]), (3, 2)))
    [. x]
    [. .]
    [x .]
    """
    m, n = shape
    lines, places = min(m, 16), min(n, 32)
    inside = (rows >= 0) & (rows < m) & (columns >= 0) & (columns < n)
    marks = np.full((lines, places), ".")
    marks[
        rows[inside].astype(np.int64) * lines // max(m, 1), columns[inside].astype(np.int64) * places // max(n, 1)
    ] = "x"
    return "\n".join(f"[{' '.join(line)}]" for line in marks)


def leaves(args: Sequence[Any], count: int, what: str) -> list[Any]:
    """The `count` arrays that a sparse array is made of. Raises TypeError for what is none."""
    found = tuple(args)
    if len(found) != count:
        raise TypeError(f"{what} is made of {count} arrays, got {len(found)}, at {user_line()}")
    return [x if isinstance(x, Array) else asarray(x) for x in found]


def shape_of(shape: Any, what: str) -> Shape:
    """A shape as a tuple of integers. Raises TypeError, or ValueError for negative ones."""
    out = integers(shape, f"the shape of {what}")
    if any(n < 0 for n in out):
        raise ValueError(f"{what}: the shape {out} has negative lengths, at {user_line()}")
    return out


def fitting(positions: Any, lengths: Sequence[int]) -> Any:
    """Positions in axes of some lengths, in a type that holds these, too: padding is there."""
    if positions.dtype.itemsize < 4 and max(lengths, default=0) > dtypes.iinfo(positions.dtype).max:
        return convert(positions, dtypes.int32)
    return positions


def index_type(dtype: Any) -> Any:
    """The dtype of positions that was asked for, as it is here. Raises TypeError if it holds no
    integers."""
    out = dtypes.canonicalize_dtype(dtype)
    if not dtypes.is_integer(out):
        raise TypeError(f"positions are integers, got index_dtype={dtype!r}, at {user_line()}")
    return out


def dense(x: Any) -> Array:
    """An operand that is no sparse array, as an Array. Raises TypeError for sparse ones."""
    if isinstance(x, JAXSparse):
        raise TypeError(f"expected a dense array, got {x!r}, at {user_line()}")
    return as_array(x) if isinstance(x, Array) else asarray(x)


__all__ = [
    "Batched",
    "CuSparseEfficiencyWarning",
    "JAXSparse",
    "SparseEfficiencyError",
    "SparseEfficiencyWarning",
    "SparseInfo",
    "dense",
    "index_type",
    "leaves",
    "shape_of",
]
