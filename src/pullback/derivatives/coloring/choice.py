"""Which colouring to take: that of a given order, or the "best" of several orders and of lattices.

The cheap ones are tried first, and nothing more once there are as few colours as any colouring must have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from pullback.core.errors import user_line
from pullback.derivatives.coloring.greedy import color_acyclically, color_columns, color_read_columns, color_stars
from pullback.derivatives.coloring.lattices import MOST_COLORS, Budget, Places, all_places, as_shapes
from pullback.derivatives.coloring.recovery import Entries, bidirectional_options, star_options, unneeded_dropped
from pullback.derivatives.coloring.vertex_orders import ORDERS, Graph, column_graph, entry_graph, lists

if TYPE_CHECKING:
    from pullback.core.names import NumPyArray
    from pullback.derivatives.coloring.lattices import Shapes
    from pullback.derivatives.coloring.vertex_orders import Order

    #: A colouring in an order of vertices; None if the limit of colours is reached.
    Greedy = Callable[[list[int], int | None], NumPyArray | None]

#: The slower orders are tried for patterns of at most so many entries.
_SMALL = 100_000
#: How many more colours than the fullest row has entries a lattice may have.
_MORE_COLORS = 12


def count_colors(colors: NumPyArray) -> int:
    return int(colors.max(initial=-1)) + 1


class _Best:
    """The colouring with the fewest colours so far, and how few would be enough to stop.

    Example: after `offer(np.array([0, 1]))`, `count` is 2.
    """

    __slots__ = ("colors", "count", "enough")

    def __init__(self, enough: int) -> None:
        self.colors: NumPyArray = np.empty(0, np.int64)
        self.count: int | None = None
        self.enough = enough

    def offer(self, colors: NumPyArray | None) -> bool:
        """Keep it if it is better. Whether no more need be tried."""
        if colors is not None and (self.count is None or count_colors(colors) < self.count):
            self.colors, self.count = colors, count_colors(colors)
        return self.count is not None and self.count <= self.enough

    def offer_orders(self, greedy: Greedy, graph: Graph, size: int, hint: list[int] | None = None) -> bool:
        """Colour greedily in several orders; for larger patterns, in fewer. Whether no more need be tried."""
        if self.offer(greedy(graph.order("natural"), self.count)):
            return True
        if hint is not None and self.offer(greedy(hint, self.count)):
            return True
        if self.offer(greedy(graph.order("largest_first"), self.count)):
            return True
        if size <= _SMALL:
            for order in ("smallest_last", "incidence_degree"):
                if self.offer(greedy(graph.order(order), self.count)):
                    return True
        # The colours one after the other, the last one first, need no more colours and often fewer (Culberson 1992).
        current: NumPyArray | None = self.colors
        for _ in range(3 if size <= _SMALL else 1):
            if current is not None:
                current = greedy(np.argsort(-current, kind="stable").tolist(), None)
                if self.offer(current):
                    return True
        return False


class _Lattices:
    """Lattices of one pattern, for different numbers of colours.

    Example: `_Lattices(entries, None).coloring(3)` is j mod 3 of a tridiagonal pattern.
    """

    __slots__ = ("places", "more", "budget", "used")

    def __init__(self, entries: Entries, shape: Shapes) -> None:
        longest = int(np.diff(entries.indptr).max(initial=0))
        self.places: list[Places] = []
        shapes = as_shapes(shape, entries.shape[1])
        self.more = all_places(entries, shapes) if 0 < longest <= MOST_COLORS else iter(())
        self.budget = Budget(len(entries))
        self.used = np.zeros(entries.shape[1], bool)
        self.used[entries.columns] = True

    def _all(self) -> Iterator[Places]:
        yield from list(self.places)
        for places in self.more:
            self.places.append(places)
            yield places

    def coloring(self, k: int) -> NumPyArray | None:
        for places in self._all():
            colors = places.coloring(k, self.budget)
            if colors is not None:
                return _numbered(np.where(self.used, colors, -1))
        return None

    def hint(self, k: int) -> list[int] | None:
        """An order by the colours of a lattice that suits most rows: it leaves the others for a few more colours."""
        found = (places.nearly(k) for places in self._all())
        return next((np.argsort(colors, kind="stable").tolist() for colors in found if colors is not None), None)


def _numbered(colors: NumPyArray) -> NumPyArray:
    """The same with the colours 0, 1, ..., of which some may have been without vertices."""
    present = np.zeros(count_colors(colors), bool)
    present[colors[colors >= 0]] = True
    return np.append(np.cumsum(present) - 1, -1)[colors]


def _is_best(order: Order) -> bool:
    return isinstance(order, str) and order == "best"


# Jacobians


def column_colors(entries: Entries, order: Order, shape: Shapes) -> NumPyArray:
    by_columns, graph = entries.transpose(), Graph(entries, column_graph)
    rows = cache(lambda: lists(by_columns.indptr, by_columns.columns))
    greedy: Greedy = lambda order, limit: color_columns(rows(), entries.shape[0], order, limit)
    if not _is_best(order):
        return greedy(graph.order(order), None)  # type: ignore[return-value]
    lattices = _Lattices(entries, shape)
    best = _Best(enough=int(np.diff(entries.indptr).max(initial=0)))
    used = np.diff(by_columns.indptr) > 0
    if best.enough == used.sum():  # some row is full: all columns differ
        return np.where(used, np.cumsum(used) - 1, -1)
    if not best.offer(lattices.coloring(best.enough)):
        best.offer(lattices.coloring(best.enough + 1))
        best.offer_orders(greedy, graph, len(entries), lattices.hint(best.enough))
        _offer_lattices(best, lattices, best.enough + 2)
    return best.colors


def _offer_lattices(best: _Best, lattices: _Lattices, fewest: int) -> None:
    """The lattice with the fewest colours, at least `fewest`, if these are fewer than those found so far."""
    for k in range(fewest, min(best.count or 0, fewest + _MORE_COLORS)):
        if (colors := lattices.coloring(k)) is not None:
            best.offer(colors)
            return


def bidirectional_colors(
    entries: Entries, order: Order, shape: Shapes, row_shape: Shapes, row_cost: float
) -> tuple[NumPyArray, NumPyArray]:
    """Colours of rows and of columns.

    Entries are dealt out to rows and to columns, in several ways; then columns are coloured such that their entries can be read, and
    rows such that theirs can.
    """
    if not isinstance(order, str) or order not in (*ORDERS, "best"):
        raise ValueError(f"order is one of {', '.join((*ORDERS, 'best'))}, got {order!r:.100}, at {user_line()}")
    m, n = entries.shape

    def cost(found: tuple[NumPyArray, NumPyArray]) -> float:
        return row_cost * count_colors(found[0]) + count_colors(found[1])

    nothing = np.full(m, -1), np.full(n, -1)
    transposed, by_columns = entries.transpose(), entries.transposed_order()
    candidates: list[tuple[NumPyArray, NumPyArray]] = []
    if _is_best(order) or not len(entries):
        candidates = [(nothing[0], column_colors(entries, order, shape))]
        as_shapes(row_shape, m)
        if row_cost * np.diff(transposed.indptr).max(initial=0) < cost(candidates[0]):
            candidates.append((column_colors(transposed, order, row_shape), nothing[1]))
    splits = [(row_cost * by_rows + by_columns, by_row) for by_rows, by_columns, by_row in _splits(entries)]
    if _is_best(order):
        splits = [split for split in splits if 0 < split[1].sum() < len(entries)]  # the others are those of one side
    splits.sort(key=lambda split: split[0])
    for bound, by_row in splits if len(entries) <= _SMALL else splits[:4]:
        for name in ("natural", "largest_first") if _is_best(order) else (order,):
            if not candidates or bound < min(map(cost, candidates)):
                columns = _reading(entries, ~by_row, name)
                candidates.append((_reading(transposed, by_row[by_columns], name), columns))
    rows, columns = min(candidates, key=cost)
    both = np.concatenate([columns, np.where(rows >= 0, rows + count_colors(columns), -1)])
    both = unneeded_dropped(both, lambda colors: bidirectional_options(entries, colors[n:], colors[:n]))
    return _numbered(both[n:]), _numbered(both[:n])


def _splits(entries: Entries) -> Iterator[tuple[int, int, NumPyArray]]:
    """Which entries are read from their row's product, the others being read from their column's; before that, how many colours of
    rows and of columns are needed at least.

    The fullest rows and columns get their entries first, then those that have at least half as many that are left, and so on; at any
    time the rest may go to the columns or to the rows.
    """
    (m, n), rows, columns = entries.shape, entries.rows, entries.columns
    left, by_row = np.ones(len(entries), bool), np.zeros(len(entries), bool)
    most = int(max(np.bincount(rows).max(initial=0), np.bincount(columns).max(initial=0)))
    while most:
        for split in (by_row, by_row | left):
            yield (
                int(np.bincount(columns[split]).max(initial=0)),
                int(np.bincount(rows[~split]).max(initial=0)),
                split.copy(),
            )
        most //= 2
        for lines, size, is_row in ((rows, m, True), (columns, n, False)):
            taken = left & (np.bincount(lines[left], minlength=size)[lines] > most)
            left &= ~taken
            if is_row:
                by_row |= taken


def _reading(entries: Entries, read: NumPyArray, order: str) -> NumPyArray:
    """Colours of columns from whose products the entries `read` can be read."""
    wanted, others = entries.part(read), entries.part(~read).transpose()
    by_columns = wanted.transpose()
    return color_read_columns(
        lists(by_columns.indptr, by_columns.columns),
        lists(others.indptr, others.columns),
        entries.shape[0],
        Graph(wanted, column_graph).order(order),
    )


# Hessians


def star_colors(entries: Entries, order: Order, shape: Shapes) -> NumPyArray:
    mirror, graph = entries.mirror("star_coloring"), Graph(entries, entry_graph)
    isolated = np.diff(entries.indptr) == 0
    neighbors = cache(lambda: lists(*graph.neighbors))
    greedy: Greedy = lambda order, limit: _without(isolated, color_stars(neighbors(), order, limit))
    if not _is_best(order):
        found = greedy(graph.order(order), None)
    else:
        best = _Best(_fewest_stars(entries, graph))
        lattices = _Lattices(entries, shape)
        longest = int(np.diff(entries.indptr).max(initial=0))
        if not best.offer(lattices.coloring(longest)) and not best.offer_orders(greedy, graph, len(entries)):
            _offer_lattices(best, lattices, longest + 1)
        found = best.colors
    return unneeded_dropped(found, lambda colors: star_options(entries, mirror, colors))  # type: ignore[arg-type]


def _without(isolated: NumPyArray, colors: NumPyArray | None) -> NumPyArray | None:
    return None if colors is None else _numbered(np.where(isolated, -1, colors))


def _fewest_stars(entries: Entries, graph: Graph) -> int:
    """No star colouring has fewer colours than this."""
    n, degrees = entries.shape[1], np.diff(graph.neighbors[0])
    if (entries.rows == entries.columns).sum() < n - (degrees == 0).sum():
        return min(1, len(entries))  # where the diagonal has gaps, neighbours may have one colour
    if not degrees.any():
        return min(1, len(entries))
    owner = np.repeat(degrees, degrees)
    if (np.minimum(owner, degrees[graph.neighbors[1]]) == 1).all():  # each edge is a ray of a star
        return 2
    # Vertices that all are neighbours differ: a full block has as many colours as columns.
    i = int(np.argmax(degrees))
    block = np.zeros(n, bool)
    block[graph.neighbors[1][graph.neighbors[0][i] : graph.neighbors[0][i + 1]]] = block[i] = True
    inside = int((block[entries.rows] & block[entries.columns]).sum())
    return int(block.sum()) if inside == block.sum() ** 2 else 3


def acyclic_colors(entries: Entries, order: Order, shape: Shapes) -> NumPyArray:
    entries.mirror("acyclic_coloring")
    graph = Graph(entries, entry_graph)
    isolated = np.diff(entries.indptr) == 0
    neighbors = lists(*graph.neighbors)
    greedy: Greedy = lambda order, limit: _without(isolated, color_acyclically(neighbors, order, limit))
    if not _is_best(order):
        return greedy(graph.order(order), None)  # type: ignore[return-value]
    best, lattices = _Best(min(_fewest_stars(entries, graph), 2)), _Lattices(entries, shape)
    longest = int(np.diff(entries.indptr).max(initial=0))
    if not best.offer_orders(greedy, graph, len(entries)) and longest < (best.count or 0):
        best.offer(lattices.coloring(longest))
    return best.colors
