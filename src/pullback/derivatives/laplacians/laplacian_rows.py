"""Sparse Jacobians of the forward Laplacian: rows of derivatives, and which coordinate each is by.

Where each element of a value depends on few of the coordinates (an element of x itself, a distance of
two particles, a layer applied to each point of a batch), its derivatives are kept in as many *rows*:
row r has, for each element, the derivative by the coordinate whose number stands at that place of
row r of a `Pattern`. The numbers are known when a program is made, and the rows are arrays like any
others, so that elementwise functions do with them what they do with dense Jacobians, which have one
row for each coordinate.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core.array import as_array
from pullback.lax.arrangement import concatenate, concatenate_p
from pullback.lax.elementwise import eq_p
from pullback.lax.selection import select_n_p
from pullback.lax.shape import broadcast_in_dim_p, broadcast_to, reduce_sum_p, reshape_p, zeros_like_shape

if TYPE_CHECKING:
    NumPyArray = np.ndarray[Any, Any]


#: From so many rows on elements are scattered to their places, and not looked for.
_SCATTERED = 256
#: Into how many pieces rows are taken apart at most, to be put together in another order.
_PIECES = 16
#: Patterns of so many numbers are united again when they are needed again.
_LARGE = 1 << 16


class Pattern:
    """The numbers of the coordinates that the rows are derivatives by: shape (rows, *shape of the
    value), −1 where an element has no derivative in a row (which is zero there). Those of one element
    are distinct.

    Example: that of x itself has one row, `arange(x.size).reshape(1, *x.shape)`.
    """

    __slots__ = ("numbers", "_hash")

    def __init__(self, numbers: NumPyArray) -> None:
        self.numbers = np.ascontiguousarray(numbers, np.int32)
        self._hash: int | None = None

    @property
    def count(self) -> int:
        """The number of rows."""
        return self.numbers.shape[0]

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Pattern) and np.array_equal(self.numbers, other.numbers))

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash((self.numbers.shape, self.numbers.tobytes()))
        return self._hash

    def __repr__(self) -> str:
        return f"Pattern({self.count} rows of {self.numbers.shape[1:]})"


def flat_rows(x: NumPyArray) -> NumPyArray:
    """Rows of numbers as rows of a matrix."""
    return x.reshape(x.shape[0], math.prod(x.shape[1:]))


# ---- sets of numbers, made one -------------------------------------------------------------------


def merged(numbers: NumPyArray) -> tuple[Pattern, NumPyArray | None]:
    """The pattern of rows in which an element may have a number several times, and the rows in which
    its derivatives are added (−1: nowhere); None if they are where they were."""
    rows = Pattern(numbers)
    return _merged(rows) if numbers.size < _LARGE else _merged.__wrapped__(rows)


@lru_cache(maxsize=256)
def _merged(rows: Pattern) -> tuple[Pattern, NumPyArray | None]:
    numbers = rows.numbers
    count, shape = numbers.shape[0], numbers.shape[1:]
    flat = flat_rows(numbers)
    order = np.argsort(flat, axis=0, kind="stable")
    ordered = np.take_along_axis(flat, order, 0)
    there = ordered >= 0
    first = there.copy()
    first[1:] &= ordered[1:] != ordered[:-1]
    place = np.where(there, np.cumsum(first, axis=0, dtype=np.int32) - 1, -1)
    found = int(place.max(initial=-1)) + 1
    if found == count and (first == there).all():
        return rows, None
    united = np.full((found, flat.shape[1]), -1, np.int32)
    columns = np.broadcast_to(np.arange(flat.shape[1]), flat.shape)
    united[place[there], columns[there]] = ordered[there]
    places = np.empty_like(flat)
    np.put_along_axis(places, order, place, 0)
    return Pattern(united.reshape(found, *shape)), places.reshape(numbers.shape)


def united(patterns: tuple[Pattern, ...]) -> tuple[Pattern, list[NumPyArray | None]]:
    """The pattern of everything that these, whose values broadcast, have for an element; and for each
    of them in which rows of it its own rows are; None if they are where they were."""
    if len(patterns) == 1 or all([p is patterns[0] for p in patterns]):
        return patterns[0], [None] * len(patterns)
    is_large = sum([p.numbers.size for p in patterns]) > _LARGE
    return _united.__wrapped__(patterns) if is_large else _united(patterns)


@lru_cache(maxsize=256)
def _united(patterns: tuple[Pattern, ...]) -> tuple[Pattern, list[NumPyArray | None]]:
    shape = np.broadcast_shapes(*(p.numbers.shape[1:] for p in patterns))
    parts = [np.broadcast_to(_with_axes(p.numbers, len(shape)), (p.count, *shape)) for p in patterns]
    if all(np.array_equal(p, parts[0]) for p in parts[1:]):
        return Pattern(parts[0]), [None] * len(parts)
    pattern, places = merged(np.concatenate(parts))
    if places is None:
        places = np.broadcast_to(np.arange(pattern.count).reshape(-1, *(1,) * len(shape)), pattern.numbers.shape)
    return pattern, list(np.split(places, np.cumsum([p.count for p in patterns])[:-1]))


def _with_axes(rows: Any, rank: int) -> Any:
    """Rows of values as rows of values of a higher rank, to which they broadcast."""
    first, shape = rows.shape[0], rows.shape[1:]
    return rows.reshape(first, *(1,) * (rank - len(shape)), *shape)


# ---- rows of derivatives, moved to other rows ----------------------------------------------------


def with_axes(rows: Any, rank: int) -> Any:
    """The same of arrays."""
    if rows.ndim == rank + 1:
        return rows
    shape = rows.shape
    return reshape_p.bind(rows, new_sizes=(shape[0], *(1,) * (rank + 1 - len(shape)), *shape[1:]))


def collected(rows: Any, places: NumPyArray, count: int) -> Any:
    """`count` rows, of which row j is the sum of what `places` says belongs there (−1: nowhere):
    `places` has the shape of the rows, to which these broadcast."""
    rows = broadcast_to(rows, places.shape)
    if is_uniform(places):
        pieces = _pieces(flat_rows(places)[:, 0], count)
        if pieces is not None:
            return _rearranged(rows, pieces)
    if count > _SCATTERED:
        return _scattered(rows, places, count)
    shape = (count, *places.shape)
    along = tuple(range(1, len(shape)))
    # A loop over all rows compares numbers, in the loop of what uses the sums.
    dtype = np.int32 if count > 127 else np.int8
    here = eq_p.bind(
        broadcast_in_dim_p.bind(as_array(places.astype(dtype)), shape=shape, broadcast_dimensions=along),
        broadcast_in_dim_p.bind(as_array(np.arange(count, dtype=dtype)), shape=shape, broadcast_dimensions=(0,)),
    )
    spread = broadcast_in_dim_p.bind(rows, shape=shape, broadcast_dimensions=along)
    chosen = select_n_p.bind(here, zeros_like_shape(spread, shape), spread)
    if places.shape[0] == 1:
        return reshape_p.bind(chosen, new_sizes=(count, *places.shape[1:]))
    return reduce_sum_p.bind(chosen, axes=(1,))


def is_uniform(places: NumPyArray) -> bool:
    """Whether all elements of a row have the same place or number, and there are elements."""
    flat = flat_rows(places)
    return bool(flat.size and (flat == flat[:, :1]).all())


def _pieces(places: NumPyArray, count: int) -> list[tuple[int, int]] | None:
    """Which rows, (first, number), follow each other when all have been put in their places; first is
    −1 for rows of zeros. None if these are too many pieces, or a place is taken twice."""
    source = np.full(count, -1)
    there = places >= 0
    source[places[there]] = np.flatnonzero(there)
    if (source >= 0).sum() < there.sum():
        return None
    follows = np.where(source[1:] >= 0, source[1:] == source[:-1] + 1, source[:-1] < 0) & (
        (source[1:] >= 0) == (source[:-1] >= 0)
    )
    starts = np.flatnonzero(np.r_[True, ~follows]) if count else np.zeros(0, int)
    if len(starts) > _PIECES:
        return None
    sizes = np.diff(np.r_[starts, count])
    return [(int(source[i]), int(n)) for i, n in zip(starts, sizes)]


def _rearranged(rows: Any, pieces: list[tuple[int, int]]) -> Any:
    if pieces == [(0, rows.shape[0])]:
        return rows
    zeros: Any = lambda n: zeros_like_shape(rows, (n, *rows.shape[1:]))
    return concatenate([zeros(0), *[zeros(n) if first < 0 else rows[first : first + n] for first, n in pieces]], 0)


def _scattered(rows: Any, places: NumPyArray, count: int) -> Any:
    flat, size = flat_rows(places), math.prod(places.shape[1:])
    targets = np.where(flat >= 0, flat.astype(np.int64) * size + np.arange(size), count * size).reshape(-1)
    zeros: Any = zeros_like_shape(rows, (count * size,))
    sums = zeros.at[targets].add(reshape_p.bind(rows, new_sizes=(targets.size,)), mode="drop")
    return reshape_p.bind(sums, new_sizes=(count, *places.shape[1:]))


def padded(rows: Any, count: int) -> Any:
    """Rows, and zeros for those that are missing to `count`."""
    if rows.shape[0] == count:
        return rows
    zero = zeros_like_shape(rows, (count - rows.shape[0], *rows.shape[1:]))
    return concatenate_p.bind(rows, zero, dimension=0)


__all__ = ["Pattern", "collected", "is_uniform", "merged", "padded", "united", "with_axes"]
