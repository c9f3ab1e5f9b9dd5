"""Sets of indices, one for each element of an array: what sparsity patterns are propagated as.

`IndexSets` are the rows of a boolean matrix in compressed form (SciPy's `csr_array` does the work).
Operations of programs do three things to them: elements move (`take`), sets unite (`|`), and the sets
of several elements become one (`pooled`). What would fill the memory is refused before it is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core.errors import see, user_line

if TYPE_CHECKING:
    NumPyArray = np.ndarray[Any, Any]
    #: A `scipy.sparse.csr_array` of booleans, whose explicit elements are all true.
    Matrix = Any

#: How many indices sets may hold together: 256 MiB of them, and several times that while sets are united.
LIMIT = 1 << 26


class TooDenseError(ValueError):
    """A pattern would hold more places than memory for them is taken."""


def check_size(count: int) -> None:
    """Raise if so many indices are too many."""
    if count > LIMIT:
        raise TooDenseError(
            f"the sparsity pattern would hold more than {count:,} places, at {user_line()}: so dense a Jacobian has no use for one. "
            "Use jacfwd or jacrev, products with it (linearize, jvp, vjp), or give the pattern by hand"
            + see("sparsity")
        )


def boolean(rows: NumPyArray, columns: NumPyArray, shape: tuple[int, int]) -> Matrix:
    """The boolean matrix with these places, which may come several times."""
    from scipy.sparse import coo_array

    return coo_array((np.ones(len(rows), bool), (rows, columns)), shape=shape).tocsr()


def grouping(groups: NumPyArray, count: int) -> Matrix:
    """The matrix that unites the sets of the elements of each group: `groups` has a number for each
    element (-1: of no group)."""
    inside = groups >= 0
    elements = np.arange(groups.size) if inside.all() else np.flatnonzero(inside)
    return boolean(groups[inside], elements, (count, groups.size))


class IndexSets:
    """A set of numbers below `width` for each of some elements.

    >>> each = IndexSets.single(3)
    >>> (each | each.take(np.array([1, 2, -1]))).lists()
    [[0, 1], [1, 2], [2]]
    """

    __slots__ = ("matrix",)

    def __init__(self, matrix: Matrix) -> None:
        self.matrix = matrix

    @staticmethod
    def single(size: int, start: int = 0, width: int | None = None) -> IndexSets:
        """Of element i, the number start + i alone."""
        from scipy.sparse import csr_array

        columns, bounds = np.arange(start, start + size, dtype=np.int32), np.arange(size + 1, dtype=np.int32)
        shape = (size, size if width is None else width)
        return IndexSets(csr_array((np.ones(size, bool), columns, bounds), shape=shape))

    @staticmethod
    def empty(size: int, width: int) -> IndexSets:
        """Nothing, for each element."""
        from scipy.sparse import csr_array

        return IndexSets(csr_array((size, width), dtype=bool))

    @staticmethod
    def stacked(parts: Sequence[IndexSets]) -> IndexSets:
        """The sets of the elements of all parts, one part after the other."""
        if len(parts) == 1:
            return parts[0]
        from scipy.sparse import vstack

        check_size(sum([p.count for p in parts]))
        return IndexSets(vstack([p.matrix for p in parts], format="csr", dtype=bool))

    @property
    def size(self) -> int:
        return int(self.matrix.shape[0])

    @property
    def count(self) -> int:
        """How many numbers all sets hold together."""
        return int(self.matrix.nnz)

    def take(self, numbers: NumPyArray) -> IndexSets:
        """For each number the set of that element; nothing for -1."""
        from scipy.sparse import csr_array

        numbers = numbers.reshape(-1)
        m = self.matrix
        if numbers.size == self.size and np.array_equal(numbers, np.arange(self.size)):
            return self
        bounds = m.indptr
        starts = np.append(bounds[:-1], 0)[numbers]
        lengths = np.append(np.diff(bounds), 0)[numbers]
        ends = np.cumsum(lengths, dtype=np.int64)
        total = int(ends[-1]) if ends.size else 0
        check_size(total)
        # The places of the indices: each set's start, and from there on.
        places = np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
        new_bounds = np.zeros(numbers.size + 1, bounds.dtype if total < 2**31 else np.int64)
        new_bounds[1:] = ends
        shape = (numbers.size, m.shape[1])
        return IndexSets(csr_array((np.ones(total, bool), m.indices[places], new_bounds), shape=shape))

    def __or__(self, other: IndexSets) -> IndexSets:
        if other.matrix is self.matrix or not other.count:
            return self
        if not self.count:
            return other
        check_size(self.count + other.count)
        return IndexSets(self.matrix + other.matrix)

    def pooled(self, matrix: Matrix) -> IndexSets:
        """The unions of the sets that each row of a boolean matrix selects."""
        lengths = np.diff(self.matrix.indptr)
        check_size(int(lengths[matrix.indices].sum()) if matrix.nnz else 0)
        out = matrix @ self.matrix
        out.sort_indices()
        return IndexSets(out)

    def of_groups(self, groups: NumPyArray, count: int) -> IndexSets:
        """For each group the union of its elements' sets; `groups` has a number for each element."""
        return self.pooled(grouping(groups.reshape(-1), count))

    def where(self, kept: NumPyArray) -> IndexSets:
        """The same sets, but nothing where `kept` is false."""
        kept = kept.reshape(-1)
        return self if kept.all() else self.take(np.where(kept, np.arange(self.size), -1))

    def lists(self) -> list[list[int]]:
        """The sets as lists."""
        bounds = self.matrix.indptr.tolist()
        return [self.matrix.indices[a:b].tolist() for a, b in zip(bounds, bounds[1:])]
