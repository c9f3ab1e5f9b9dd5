"""Colourings of columns that stand in arrays, by lattices: colour (a₁ i₁ + a₂ i₂ + …) modulo k for the element with indices i.

Bands, grids, convolutions and blocks repeat themselves along the axes of an array, and a greedy colouring wastes colours on them (nine
for a five-point stencil, where five do). A lattice gives two columns one colour if a · δ is 0 modulo k for the difference δ of their
indices. So the columns that share a row matter only through their differences, which are few: those in some rows are collected,
numbers a that suit them are searched for, and the colouring is checked in full. Where the check fails, it gives more differences.

Sources: Coleman & Moré, "Estimation of sparse Jacobian matrices and graph coloring problems" (SIAM J. Numer. Anal. 20, 1983) for bands;
Goldfarb & Toint, "Optimal estimation of Jacobian and Hessian matrices that arise in finite difference calculations" (Math. Comp. 43,
1984) for stencils on grids.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core.errors import user_line
from pullback.derivatives.coloring.recovery import multiplicity

if TYPE_CHECKING:
    from pullback.core.names import NumPyArray
    from pullback.derivatives.coloring.recovery import Entries

    #: The shape of the array whose elements the columns are; or those of several arrays, one after the other.
    Shapes = Any

#: How many pairs of entries are looked at before the first search, how many lattices are kept while axis after axis is added, and how
#: many conflicts are looked at after a check.
_PAIRS, _LATTICES, _CONFLICTS = 100_000, 20_000, 2_000
#: With more colours than these, a lattice is not searched for.
MOST_COLORS = 512


class Pairs:
    """Columns that share a row, of some rows: the longest one, and others from everywhere; and how many rows these are.

    Example: of the pattern [[1, 0, 1]], `first` is [0] and `second` is [2].
    """

    __slots__ = ("first", "second", "rows")

    def __init__(self, entries: Entries) -> None:
        lengths = np.diff(entries.indptr)
        longest = int(np.argmax(lengths))
        count = max(1, min(_PAIRS // max(int(lengths[longest]) ** 2, 1), 200))
        rows = np.unique([longest, *np.linspace(0, len(lengths) - 1, count).astype(np.int64)])
        lengths = lengths[rows]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        row = np.repeat(rows, lengths)
        column = entries.columns[entries.indptr[row] + within]
        # Those that are one apart in their row, two apart, ...
        apart = [
            (column[:-d][same], column[d:][same]) for d in range(1, lengths.max()) for same in [row[:-d] == row[d:]]
        ]
        empty = np.zeros(0, np.int64)
        self.first: NumPyArray = np.concatenate([empty, *(first for first, _ in apart)])
        self.second: NumPyArray = np.concatenate([empty, *(second for _, second in apart)])
        self.rows = len(rows)


class Places:
    """The indices of the columns in their array, by axes, and the differences of those that share a row, as far as they are known.

    Example: of a column vector of shape (4,), `indices` is [[0], [1], [2], [3]].
    """

    __slots__ = ("entries", "indices", "differences", "frequent")

    def __init__(self, entries: Entries, indices: NumPyArray, pairs: Pairs) -> None:
        self.entries, self.indices = entries, indices
        #: Each with its mirror image counted once.
        self.differences, counts = _unique(indices[pairs.second] - indices[pairs.first])
        #: Those that are not just in some rows, as those at the seams of something periodic are; the most frequent ones first.
        by_count = np.argsort(-counts, kind="stable")
        self.frequent = self.differences[by_count[: int((counts > pairs.rows / 20).sum())]]

    def coloring(self, k: int, budget: Budget) -> NumPyArray | None:
        """A valid colouring with k colours, if a lattice gives one."""
        rows, columns = self.entries.rows, self.entries.columns
        while (lattice := _lattice(self.differences, k)) is not None and budget.spend():
            colors = self.indices @ lattice % k
            keys = rows * k + colors[columns]
            (wrong,) = np.nonzero(multiplicity(keys, self.entries.shape[0] * k) > 1)
            if not len(wrong):
                return colors
            wrong = wrong[np.argsort(keys[wrong], kind="stable")][:_CONFLICTS]
            same = keys[wrong[1:]] == keys[wrong[:-1]]
            there = self.indices[columns[wrong]]
            self.differences, _ = _unique(np.concatenate([self.differences, (there[1:] - there[:-1])[same]]))
        return None

    def nearly(self, k: int) -> NumPyArray | None:
        """Colours by a lattice that suits most rows."""
        lattice = _lattice(self.frequent, k)
        return None if lattice is None else self.indices @ lattice % k


class Budget:
    """How many checks of lattices may still be made: fewer for large patterns.

    Example: `Budget(1_000_000)` has 9 checks, `Budget(10_000)` has 100.
    """

    __slots__ = ("left",)

    def __init__(self, size: int) -> None:
        self.left = min(6 + 3_000_000 // max(size, 1), 100)

    def spend(self) -> bool:
        self.left -= 1
        return self.left >= 0


def _unique(differences: NumPyArray) -> tuple[NumPyArray, NumPyArray]:
    """Each once, with the first index that is not 0 made positive; and how often it was there."""
    if not len(differences):
        return differences, np.zeros(0, np.int64)
    first = np.take_along_axis(differences, (differences != 0).argmax(1)[:, None], 1)
    differences = np.where(first < 0, -differences, differences)
    lowest = differences.min(0)
    spans = tuple((differences.max(0) - lowest + 1).tolist())
    codes, counts = np.unique(np.ravel_multi_index(tuple((differences - lowest).T), spans), return_counts=True)
    return np.stack(np.unravel_index(codes, spans), axis=1) + lowest, counts


def _lattice(differences: NumPyArray, k: int) -> NumPyArray | None:
    """Numbers a, an axis each, with a · δ not 0 modulo k for all differences δ. Small numbers are preferred."""
    axes = differences.shape[1]
    # Axis by axis from the last: differences that are along these axes alone rule most numbers out at once.
    found = np.zeros((1, axes), np.int64)
    decided = np.zeros(len(differences), bool)
    for axis in range(axes - 1, -1, -1):
        reach = (differences[:, :axis] == 0).all(1) & ~decided
        if (differences[:, axis] == 0).all():
            continue
        # Multiples of all numbers by one that has no factor in common with k give the same groups of columns.
        first = axis == axes - 1
        choices = np.array([d for d in range(1, k + 1) if k % d == 0]) % k if first else np.arange(k)
        grown = np.repeat(found, len(choices), axis=0)
        grown[:, axis] = np.tile(choices, len(found))
        for delta in differences[reach]:
            grown = grown[grown @ delta % k != 0]
            if not len(grown):
                return None
        decided |= reach
        found = grown[:_LATTICES]
    if not decided.all():  # a difference of 0 along all axes: columns of one place
        return None
    return found[np.argmin(np.minimum(found, k - found).sum(1))]


def all_places(entries: Entries, shapes: list[tuple[int, ...]]) -> Iterator[Places]:
    """The places of the columns in their array: as `shapes` says, and as the differences of the columns suggest."""
    n, pairs = entries.shape[1], Pairs(entries)
    flat = Places(entries, np.arange(n)[:, None], pairs)
    yield flat
    if len(shapes) > 1:
        yield Places(entries, _of_several(shapes), pairs)
    guesses = _guesses([int(d) for d in flat.frequent[:, 0]], n)
    for shape in dict.fromkeys([*(shapes if len(shapes) == 1 else ()), *guesses]):
        if len(shape) > 1:
            yield Places(entries, _of_one(shape), pairs)


def _guesses(differences: list[int], n: int) -> list[tuple[int, ...]]:
    """Shapes of arrays of n elements whose strides are frequent differences of columns that share a row."""
    strides = [d for d in differences if 1 < d < n and n % d == 0][:6]
    pairs = [(min(pair), max(pair)) for pair in itertools.combinations(strides, 2)]
    three = [(n // t, t // s, s) for s, t in pairs if t % s == 0]
    return [*three, *((n // s, s) for s in strides)]


def as_shapes(shapes: Shapes, n: int) -> list[tuple[int, ...]]:
    """The shapes of arrays whose elements, all together, are n columns. ValueError if they are not.

    >>> as_shapes((2, 3), 6), as_shapes([(2, 3), (4,)], 10), as_shapes(None, 5)
    ([(2, 3)], [(2, 3), (4,)], [(5,)])
    """
    if shapes is None:
        return [(n,)]
    several = [tuple(s) for s in shapes] if any(isinstance(s, Sequence) for s in shapes) else [tuple(shapes)]
    if sum(math.prod(s) for s in several) != n:
        raise ValueError(
            f"shape is that of an array of {n} elements, or those of several, got {shapes!r:.100}, at {user_line()}"
        )
    return several


def _of_one(shape: tuple[int, ...]) -> NumPyArray:
    return np.indices(shape).reshape(len(shape), math.prod(shape)).T


def _of_several(shapes: list[tuple[int, ...]]) -> NumPyArray:
    """The number of the array is an index before the others; arrays with fewer axes have 0 along the last."""
    axes = max(map(len, shapes))
    places = [np.pad(_of_one(s), ((0, 0), (0, axes - len(s)))) for s in shapes]
    numbers = np.repeat(np.arange(len(shapes)), [len(p) for p in places])
    return np.concatenate([numbers[:, None], np.concatenate(places)], axis=1)
