"""The orders in which a greedy colouring visits the vertices of a graph.

Source: Gebremedhin, Nguyen, Patwary & Pothen, "ColPack: software for graph coloring and related problems in scientific computing"
(ACM TOMS 40, 2013).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pullback.core.errors import user_line

if TYPE_CHECKING:
    from pullback.core.names import NumPyArray
    from pullback.derivatives.coloring.recovery import Entries

    #: A name of `ORDERS`, "best", or a permutation of the vertices.
    Order = Any

ORDERS = ("natural", "largest_first", "smallest_last", "incidence_degree")

#: Rows whose pairs of entries would be more than this, all together, are left out of the column graph: the longest first. Their
#: columns all are neighbours, which hardly tells one from another.
_PAIRS = 20_000_000


class Lists(NamedTuple):
    """A list of lists of integers, in two: list v is `values[starts[v] : starts[v + 1]]`.

    Many lists would be slow to make, and would keep the garbage collector busy.

    Example: `Lists([0, 2, 3], [7, 8, 9])` are [7, 8] and [9].
    """

    starts: list[int]
    values: list[int]


def lists(indptr: NumPyArray, indices: NumPyArray) -> Lists:
    """The same of arrays.

    >>> lists(np.array([0, 1, 2]), np.array([1, 0]))
    Lists(starts=[0, 1, 2], values=[1, 0])
    """
    return Lists(indptr.tolist(), indices.tolist())


class Graph:
    """A graph whose vertices are to be coloured: for each vertex its neighbours, which are made when an order first asks for them.

    Example: `Graph(entries, column_graph).order("largest_first")`.
    """

    __slots__ = ("size", "_entries", "_make", "_made")

    def __init__(self, entries: Entries, make: Callable[[Entries], tuple[NumPyArray, NumPyArray]]) -> None:
        self.size = entries.shape[1]
        self._entries, self._make = entries, make
        self._made: tuple[NumPyArray, NumPyArray] | None = None

    @property
    def neighbors(self) -> tuple[NumPyArray, NumPyArray]:
        """As `indptr` and `indices`."""
        if self._made is None:
            self._made = self._make(self._entries)
        return self._made

    def order(self, order: Order) -> list[int]:
        """The vertices in one of the `ORDERS`, or in a given one. ValueError if it is neither."""
        if not isinstance(order, str):
            return _given(order, self.size)
        if order == "natural":
            return list(range(self.size))
        if order == "largest_first":
            return np.argsort(-np.diff(self.neighbors[0]), kind="stable").tolist()
        if order == "smallest_last":
            return _smallest_last(lists(*self.neighbors))
        if order == "incidence_degree":
            return _incidence_degree(lists(*self.neighbors))
        raise ValueError(
            f"order is one of {', '.join((*ORDERS, 'best'))}, or a permutation, got {order!r:.100}, at {user_line()}"
        )


def column_graph(entries: Entries) -> tuple[NumPyArray, NumPyArray]:
    """The graph of columns that share a row."""
    lengths = np.diff(entries.indptr)
    pairs = np.sort(lengths**2)
    kept = np.ones(len(entries), bool)
    if pairs.sum() > _PAIRS:
        kept = lengths[entries.rows] ** 2 < pairs[np.searchsorted(np.cumsum(pairs), _PAIRS)]
    from scipy.sparse import csr_array

    incidence = csr_array(
        (np.ones(int(kept.sum()), np.int32), (entries.rows[kept], entries.columns[kept])), shape=entries.shape
    )
    product = (incidence.T @ incidence).tocsr()
    return _without_diagonal(product.indptr, product.indices)


def entry_graph(entries: Entries) -> tuple[NumPyArray, NumPyArray]:
    """The graph of a symmetric pattern: i and j are neighbours if (i, j) is an entry."""
    return _without_diagonal(entries.indptr, entries.columns)


def _without_diagonal(indptr: NumPyArray, indices: NumPyArray) -> tuple[NumPyArray, NumPyArray]:
    n = len(indptr) - 1
    owner = np.repeat(np.arange(n), np.diff(indptr))
    other = owner != indices
    return np.concatenate([[0], np.cumsum(np.bincount(owner[other], minlength=n))]), indices[other]


def _given(order: Order, n: int) -> list[int]:
    permutation = np.asarray(order)
    if permutation.shape != (n,) or (n and not np.array_equal(np.sort(permutation), np.arange(n))):
        raise ValueError(f"order is a name or a permutation of the {n} vertices, got {order!r:.100}, at {user_line()}")
    return permutation.tolist()


def _smallest_last(neighbors: Lists) -> list[int]:
    """Backwards: the vertex with the fewest neighbours among those that are left comes last."""
    starts, values = neighbors
    degree = [end - start for start, end in zip(starts, starts[1:])]
    buckets: list[list[int]] = [[] for _ in range(max(degree, default=0) + 1)]
    for v in range(len(degree) - 1, -1, -1):
        buckets[degree[v]].append(v)
    backwards, smallest = list[int](), 0
    while len(backwards) < len(degree):
        if not buckets[smallest]:
            smallest += 1
            continue
        v = buckets[smallest].pop()
        if degree[v] != smallest:  # it stands in a lower bucket, or is taken
            continue
        degree[v] = -1
        backwards.append(v)
        for w in values[starts[v] : starts[v + 1]]:
            d = degree[w]
            if d > 0:
                degree[w] = d - 1
                buckets[d - 1].append(w)
        smallest = max(smallest - 1, 0)
    return backwards[::-1]


def _incidence_degree(neighbors: Lists) -> list[int]:
    """Next comes the vertex with the most neighbours among those that came before; at first, and of equals, one of large degree."""
    starts, values = neighbors
    degree = [end - start for start, end in zip(starts, starts[1:])]
    n = len(degree)
    buckets: list[list[int]] = [sorted(range(n), key=degree.__getitem__), *([] for _ in range(max(degree, default=0)))]
    count, order, largest = [0] * n, list[int](), 0
    while len(order) < n:
        if not buckets[largest]:
            largest -= 1
            continue
        v = buckets[largest].pop()
        if count[v] != largest:
            continue
        count[v] = -1
        order.append(v)
        for w in values[starts[v] : starts[v + 1]]:
            c = count[w]
            if c >= 0:
                count[w] = c + 1
                buckets[c + 1].append(w)
                if c >= largest:
                    largest = c + 1
    return order
