"""Sparsity patterns as values: where a matrix may be not zero.

A pattern prints itself, as Braille dots in a terminal and as a plot in a notebook, and is made of whatever people
have: dense arrays, SciPy's sparse matrices, positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core.array import Array
from pullback.core.errors import see, user_line

if TYPE_CHECKING:
    NumPyArray = np.ndarray[Any, Any]
    #: A `scipy.sparse.csr_array` of booleans.
    Matrix = Any

#: The largest picture in a terminal, in characters.
_LINES, _CHARACTERS = 16, 40


class SparsityPattern:
    """Where a matrix may be not zero: the places (row, column), row by row, without repetition.

    Made of a dense array or SciPy sparse matrix (whatever is not zero, or stored, is a place), of a pair
    (rows, columns) of position arrays with a `shape`, or of a pattern. Raises TypeError for other
    things, ValueError for positions outside the shape.

    >>> pattern = SparsityPattern(([0, 0, 2], [0, 3, 1]), shape=(3, 4))
    >>> pattern
    SparsityPattern(3 × 4, 3 places)
    ⠡⠈
    >>> pattern.to_dense().astype(int)
    array([[1, 0, 0, 1],
           [0, 0, 0, 0],
           [0, 1, 0, 0]])
    """

    __slots__ = ("_matrix",)

    def __init__(self, places: Any, shape: tuple[int, int] | None = None) -> None:
        self._matrix = _boolean_matrix(places, shape)

    # ---- as data

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns.

        >>> SparsityPattern(np.eye(2)).shape
        (2, 2)
        """
        m, n = self._matrix.shape
        return int(m), int(n)

    @property
    def nnz(self) -> int:
        """How many places there are.

        >>> SparsityPattern(np.eye(5)).nnz
        5
        """
        return int(self._matrix.nnz)

    @property
    def density(self) -> float:
        """The part of all elements that are places.

        >>> SparsityPattern(np.eye(4)).density
        0.25
        """
        m, n = self.shape
        return self.nnz / (m * n) if m * n else 0.0

    @property
    def indptr(self) -> NumPyArray:
        """Where the places of each row start (and, last, how many there are), as in CSR matrices.

        >>> SparsityPattern(np.eye(2)).indptr.tolist()
        [0, 1, 2]
        """
        return _readable(self._matrix.indptr)

    @property
    def columns(self) -> NumPyArray:
        """The column of each place.

        >>> SparsityPattern([[0, 1], [1, 1]]).columns.tolist()
        [1, 0, 1]
        """
        return _readable(self._matrix.indices)

    @property
    def rows(self) -> NumPyArray:
        """The row of each place.

        >>> SparsityPattern([[0, 1], [1, 1]]).rows.tolist()
        [0, 1, 1]
        """
        return np.repeat(np.arange(self.shape[0], dtype=self.columns.dtype), np.diff(self.indptr))

    @property
    def T(self) -> SparsityPattern:
        """The transposed pattern.

        >>> SparsityPattern([[0, 1], [0, 0]]).T.columns.tolist()
        [0]
        """
        return SparsityPattern(self._matrix.T.tocsr())

    def to_scipy(self) -> Matrix:
        """A `scipy.sparse.csr_array` of booleans.

        >>> SparsityPattern(np.eye(2)).to_scipy().sum().item()
        2
        """
        return self._matrix.copy()

    def to_dense(self) -> NumPyArray:
        """A NumPy array of booleans.

        >>> SparsityPattern(([0], [1]), shape=(1, 2)).to_dense()
        array([[False,  True]])
        """
        return self._matrix.toarray()

    def is_symmetric(self) -> bool:
        """Whether the transposed pattern is the same.

        >>> SparsityPattern([[1, 1], [1, 0]]).is_symmetric()
        True
        """
        return self.shape[0] == self.shape[1] and self == self.T

    def __or__(self, other: SparsityPattern) -> SparsityPattern:
        if not isinstance(other, SparsityPattern):
            return NotImplemented
        if other.shape != self.shape:
            raise ValueError(f"patterns of shapes {self.shape} and {other.shape} cannot be united, at {user_line()}")
        return SparsityPattern(self._matrix + other._matrix)

    def __getitem__(self, places: tuple[slice, slice]) -> SparsityPattern:
        rows, columns = places
        return SparsityPattern(self._matrix[rows, columns])

    def __contains__(self, other: SparsityPattern) -> bool:
        return self.shape == other.shape and (self | other).nnz == self.nnz

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SparsityPattern)
            and self.shape == other.shape
            and np.array_equal(self.indptr, other.indptr)
            and np.array_equal(self.columns, other.columns)
        )

    def __hash__(self) -> int:
        return hash((self.shape, self.indptr.tobytes(), self.columns.tobytes()))

    def __reduce__(self) -> tuple[Any, ...]:
        return _from_csr, (self.indptr, self.columns, self.shape)

    # ---- pictures

    def __repr__(self) -> str:
        m, n = self.shape
        places = f"{self.nnz:,} place{'' if self.nnz == 1 else 's'}"
        picture = self.picture()
        return f"SparsityPattern({m:,} × {n:,}, {places})" + (f"\n{picture}" if picture else "")

    def picture(self, lines: int = _LINES, characters: int = _CHARACTERS) -> str:
        """The pattern in Braille dots, of at most so many lines and characters: a dot is an element or, of
        large patterns, a block of which at least one element is a place.

        >>> print(SparsityPattern(np.tri(8)).picture())
        ⣷⣄⠀⠀
        ⣿⣿⣷⣄
        """
        marks = self._scaled(4 * lines, 2 * characters)
        height, width = marks.shape
        if not height or not width:
            return ""
        dots = np.zeros((-(-height // 4) * 4, -(-width // 2) * 2), bool)
        dots[:height, :width] = marks
        cells = dots.reshape(dots.shape[0] // 4, 4, -1, 2).transpose(0, 2, 1, 3).reshape(-1, 8)
        # The bits of a Braille character, by rows: dots 1 and 4, 2 and 5, 3 and 6, 7 and 8.
        codes = 0x2800 + cells @ np.array([1, 8, 2, 16, 4, 32, 64, 128])
        texts = "".join(map(chr, codes.tolist()))
        per_line = dots.shape[1] // 2
        return "\n".join([texts[i : i + per_line] for i in range(0, len(texts), per_line)])

    def _scaled(self, height: int, width: int) -> NumPyArray:
        """Whether there is a place in each of at most `height` × `width` blocks, which are square."""
        m, n = self.shape
        block = max(1, -(-m // height), -(-n // width))
        marks = np.zeros((-(-m // block), -(-n // block)), bool)
        marks[self.rows // block, self.columns // block] = True
        return marks

    def _repr_html_(self) -> str:
        from pullback.core.html import pattern_svg

        m, n = self.shape
        return f"<div>{m:,} × {n:,}, {self.nnz:,} places</div>{pattern_svg(self._scaled(320, 320))}"


def _readable(x: NumPyArray) -> NumPyArray:
    view = x.view()
    view.flags.writeable = False
    return view


def _from_csr(indptr: NumPyArray, columns: NumPyArray, shape: tuple[int, int]) -> SparsityPattern:
    from scipy.sparse import csr_array

    return SparsityPattern(csr_array((np.ones(len(columns), bool), columns, indptr), shape=shape))


def _boolean_matrix(places: Any, shape: tuple[int, int] | None) -> Matrix:
    from scipy.sparse import coo_array, csr_array, issparse

    if isinstance(places, SparsityPattern):
        found = places._matrix
    elif issparse(places):
        found = csr_array(places, copy=False)
        if found.dtype != np.bool_ or not found.has_canonical_format:
            found = csr_array((np.ones(found.nnz, bool), found.indices.copy(), found.indptr.copy()), shape=found.shape)
            found.sum_duplicates()
    elif isinstance(places, (tuple, list)) and shape is not None and len(places) == 2:
        rows, columns = (_positions(p, n, what) for p, n, what in zip(places, shape, ("rows", "columns")))
        if rows.shape != columns.shape:
            raise ValueError(
                f"a pattern has as many rows as columns of its places, got {rows.size} and {columns.size}, at {user_line()}"
            )
        found = coo_array((np.ones(rows.size, bool), (rows, columns)), shape=shape).tocsr()
    elif isinstance(places, tuple):
        raise ValueError(
            f"positions (rows, columns) make a pattern with shape=(number of rows, number of columns), at {user_line()}"
        )
    elif isinstance(places, (np.ndarray, Array, list)):
        dense = np.asarray(places)
        if dense.ndim != 2 or dense.dtype.kind not in "biufc":
            raise TypeError(
                f"a pattern is made of a matrix, of two axes; got an array of shape {dense.shape} and dtype {dense.dtype}, at {user_line()}. "
                "Positions are given as (rows, columns), with shape=(number of rows, number of columns)"
            )
        found = csr_array(dense != 0)
    else:
        raise TypeError(
            "a pattern is made of a dense array, a SciPy sparse matrix, a pair (rows, columns) with shape=..., or a pattern; "
            f"got {type(places).__name__}, at {user_line()}"
        )
    if shape is not None and tuple(found.shape) != tuple(shape):
        raise ValueError(
            f"a pattern of shape {tuple(found.shape)} was given for a matrix of shape {tuple(shape)}, at {user_line()}{see('sparsity')}"
        )
    index = np.int32 if max(found.nnz, *found.shape) < 2**31 else np.int64
    found.indices, found.indptr = found.indices.astype(index, copy=False), found.indptr.astype(index, copy=False)
    return found


def _positions(positions: Sequence[int], n: int, what: str) -> NumPyArray:
    found = np.asarray(positions)
    if found.size == 0:
        return np.zeros(0, np.intp)
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise TypeError(
            f"the {what} of a pattern are integers in one axis, got shape {found.shape} and dtype {found.dtype}, at {user_line()}"
        )
    if found.min() < 0 or found.max() >= n:
        raise ValueError(
            f"the {what} of a pattern of {n} {what} are 0 to {n - 1}, got {found.min()} to {found.max()}, at {user_line()}"
        )
    return found


__all__ = ["SparsityPattern"]
