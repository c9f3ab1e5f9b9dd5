"""Which element of which product is which entry of the matrix: what makes a colouring right, as index arrays.

A colouring groups columns (or rows, or both): the columns of one colour are added up, and one product with the sum gives a vector
in which entries of the matrix are read. For each entry of the pattern, in the order of its CSR form, a recovery says where.

Sources: Gebremedhin, Manne & Pothen, "What color is your Jacobian?" (SIAM Review 47, 2005), and Gebremedhin, Tarafdar, Pothen &
Walther, "Efficient computation of sparse Hessians using coloring and automatic differentiation" (INFORMS J. Computing 21, 2009).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pullback.core.errors import user_api, user_line
from pullback.derivatives.sparsity_patterns.pattern import SparsityPattern

if TYPE_CHECKING:
    from pullback.core.names import NumPyArray

    #: What describes a pattern: a matrix of `scipy.sparse`, something with `.to_scipy()`, or a dense array of two axes.
    PatternLike = Any
    #: Ways to read entries: of each, whether an entry can be read so, and the colour of the product.
    Options = list[tuple[NumPyArray, NumPyArray]]


class Entries:
    """A pattern as arrays: its shape, the CSR form's `indptr` and `indices`, and the row of each entry.

    Example: `Entries(np.eye(2))` has `indptr` [0, 1, 2], `columns` [0, 1] and `rows` [0, 1].
    """

    __slots__ = ("shape", "indptr", "rows", "columns")

    def __init__(self, pattern: PatternLike) -> None:
        csr = SparsityPattern(pattern).to_scipy()
        self.shape: tuple[int, int] = (int(csr.shape[0]), int(csr.shape[1]))
        self.indptr = np.asarray(csr.indptr, np.int64)
        self.columns = np.asarray(csr.indices, np.int64)
        self.rows = np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))

    def __len__(self) -> int:
        return len(self.columns)

    def transposed_order(self) -> NumPyArray:
        """The entries by columns: `order[k]` is the number of the k-th entry of the transpose's CSR form."""
        from scipy.sparse import csr_array

        numbers = csr_array((np.arange(len(self)), self.columns, self.indptr), shape=self.shape)
        return np.asarray(numbers.tocsc().data)

    def transpose(self) -> Entries:
        """The pattern of the transpose."""
        order, flipped = self.transposed_order(), object.__new__(Entries)
        flipped.shape = (self.shape[1], self.shape[0])
        flipped.rows, flipped.columns = self.columns[order], self.rows[order]
        flipped.indptr = _starts(flipped.rows, self.shape[1])
        return flipped

    def part(self, chosen: NumPyArray) -> Entries:
        """The pattern of some of the entries."""
        some = object.__new__(Entries)
        some.shape, some.rows, some.columns = self.shape, self.rows[chosen], self.columns[chosen]
        some.indptr = _starts(some.rows, self.shape[0])
        return some

    def mirror(self, what: str) -> NumPyArray:
        """For each entry (i, j) the number of the entry (j, i). ValueError if the pattern is not symmetric."""
        n = self.shape[1]
        if self.shape[0] != n:
            raise ValueError(f"{what} takes a symmetric pattern, got one of shape {self.shape}, at {user_line()}")
        order = self.transposed_order()
        if np.array_equal(self.columns[order], self.rows) and np.array_equal(self.rows[order], self.columns):
            return order
        lonely = ~np.isin(self.columns * n + self.rows, self.rows * n + self.columns)
        k = int(np.argmax(lonely))
        i, j = int(self.rows[k]), int(self.columns[k])
        raise ValueError(
            f"{what} takes a symmetric pattern, but this one has the entry ({i}, {j}) and not ({j}, {i}), at {user_line()}. "
            "Add its transpose to the pattern, or use a colouring for Jacobians"
        )


def _starts(rows: NumPyArray, count: int) -> NumPyArray:
    return np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))])


def multiplicity(keys: NumPyArray, bound: int) -> NumPyArray:
    """How often the value of each element of `keys` is among them; they are at least 0 and less than `bound`."""
    if bound <= 8 * len(keys) + 1_000_000:
        return np.bincount(keys, minlength=1)[keys]
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return np.asarray(counts[inverse])


def _is_alone(lines: NumPyArray, colors: NumPyArray) -> NumPyArray:
    """Whether each entry, on a line and of a colour, is the only one of that colour on that line. False where there is no colour."""
    k = int(colors.max(initial=-1)) + 1
    colored = colors >= 0
    if colored.all():
        return multiplicity(lines * k + colors, (int(lines.max(initial=-1)) + 1) * k) == 1
    alone = np.zeros(len(colors), bool)
    alone[colored] = _is_alone(lines[colored], colors[colored])
    return alone


def unneeded_dropped(colors: NumPyArray, options: Callable[[NumPyArray], Options]) -> NumPyArray:
    """A colouring without the colours from which no entry need be read: their vertices get −1, and the others are 0, 1, ... again.

    `options(colors)` says of each entry from where it can be read, in two ways.
    """
    while True:
        (alone, color), (also, other) = options(colors)
        both = alone & also & (color != other)
        k = int(colors.max(initial=-1)) + 1
        needed = np.zeros(k, bool)
        needed[color[alone & ~both]] = True
        needed[other[also & ~both]] = True
        if needed.all():
            return colors
        # All that are not needed may go, but for one of each two on which an entry depends: that from which more is read.
        reads = np.bincount(color[alone], minlength=k) + np.bincount(other[also], minlength=k)
        rank = np.empty(k, np.int64)
        rank[np.lexsort((np.arange(k), reads))] = np.arange(k)
        left = needed.copy()
        pairs = color[both], other[both]
        undecided = ~needed[pairs[0]] & ~needed[pairs[1]]
        first, second = pairs[0][undecided], pairs[1][undecided]
        left[np.where(rank[first] > rank[second], first, second)] = True
        numbers = np.append(np.where(left, np.cumsum(left) - 1, -1), -1)
        colors = numbers[colors]


def as_colors(colors: Any, count: int, what: str) -> NumPyArray:
    """`colors`, checked to be one integer at least -1 for each of `count` columns or rows."""
    array = np.asarray(colors)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{what} are integers, got dtype {array.dtype}, at {user_line()}")
    if array.shape != (count,):
        raise ValueError(f"{what}: {count} are needed, got an array of shape {array.shape}, at {user_line()}")
    if array.min(initial=0) < -1:
        raise ValueError(f"{what} are at least -1, which is none; got {array.min()}, at {user_line()}")
    return array.astype(np.int64)


def _refuse(entries: Entries, readable: NumPyArray, what: str, why: str) -> None:
    if not readable.all():
        k = int(np.argmin(readable))
        raise ValueError(
            f"with {what}, {int((~readable).sum())} entries of the pattern cannot be recovered; the first is "
            f"({int(entries.rows[k])}, {int(entries.columns[k])}): {why}, at {user_line()}"
        )


# Jacobians


@user_api
def is_valid_column_coloring(pattern: PatternLike, colors: Any) -> bool:
    """Whether all entries can be read from products with the sums of columns of one colour.

    That is so if each column with an entry has a colour and no two of one colour have entries in the same row.

    >>> import numpy as np
    >>> is_valid_column_coloring(np.eye(2), [0, 0]), is_valid_column_coloring(np.ones((2, 2)), [0, 0])
    (True, False)
    """
    entries = Entries(pattern)
    colors = as_colors(colors, entries.shape[1], "colours of columns")
    return bool(_is_alone(entries.rows, colors[entries.columns]).all())


@user_api
def is_valid_row_coloring(pattern: PatternLike, colors: Any) -> bool:
    """Whether all entries can be read from products of the sums of rows of one colour: `is_valid_column_coloring` of the transpose.

    >>> import numpy as np
    >>> is_valid_row_coloring(np.ones((1, 3)), [0])
    True
    """
    entries = Entries(pattern)
    colors = as_colors(colors, entries.shape[0], "colours of rows")
    return bool(_is_alone(entries.columns, colors[entries.rows]).all())


@user_api
def column_recovery(pattern: PatternLike, colors: Any) -> tuple[NumPyArray, NumPyArray]:
    """For each entry, in the order of the pattern's CSR form, the number of its product and the element there.

    `products[color, row]` are the entries' values, where `products[c]` is the matrix times the sum of the unit vectors of the columns
    of colour c. ValueError if an entry cannot be read.

    >>> import numpy as np
    >>> matrix = np.array([[1., 2, 0], [0, 3, 4]])
    >>> color, row = column_recovery(matrix, [0, 1, 0])
    >>> products = np.array([[1., 4], [2, 3]])
    >>> products[color, row]
    array([1., 2., 3., 4.])
    """
    entries = Entries(pattern)
    colors = as_colors(colors, entries.shape[1], "colours of columns")
    color = colors[entries.columns]
    _refuse(entries, _is_alone(entries.rows, color), "this colouring of columns",
            "its column has no colour, or another column of the same colour has an entry in this row")  # fmt: skip
    return color, entries.rows


@user_api
def row_recovery(pattern: PatternLike, colors: Any) -> tuple[NumPyArray, NumPyArray]:
    """For each entry, in the order of the pattern's CSR form, the number of its product and the element there, which is its column.

    `products[color, column]` are the entries' values, where `products[c]` is the sum of the rows of colour c.
    ValueError if an entry cannot be read.

    >>> import numpy as np
    >>> row_recovery(np.ones((1, 3)), [0])
    (array([0, 0, 0]), array([0, 1, 2]))
    """
    entries = Entries(pattern)
    colors = as_colors(colors, entries.shape[0], "colours of rows")
    color = colors[entries.rows]
    _refuse(entries, _is_alone(entries.columns, color), "this colouring of rows",
            "its row has no colour, or another row of the same colour has an entry in this column")  # fmt: skip
    return color, entries.columns


class BidirectionalRecovery(NamedTuple):
    """Where each entry is read, in the order of the pattern's CSR form.

    `from_row` says whether from a product with rows; `color` is that product's number, among those of its kind, and `element` the
    element in it: the entry's column in a product with rows, its row in one with columns.

    Example: of the matrix [[1]], `BidirectionalRecovery(from_row=array([False]), color=array([0]), element=array([0]))`.
    """

    from_row: NumPyArray
    color: NumPyArray
    element: NumPyArray


def bidirectional_options(entries: Entries, row_colors: NumPyArray, column_colors: NumPyArray) -> Options:
    """From where each entry can be read: (whether from its column's product, the colour of that), and the same for its row."""
    by_column, by_row = column_colors[entries.columns], row_colors[entries.rows]
    return [(_is_alone(entries.rows, by_column), by_column), (_is_alone(entries.columns, by_row), by_row)]


@user_api
def is_valid_bidirectional_coloring(pattern: PatternLike, row_colors: Any, column_colors: Any) -> bool:
    """Whether each entry can be read from a product with rows or from one with columns.

    An entry (i, j) can be read from the product with the columns of j's colour if no other column of that colour has an entry in row
    i, and from the product with the rows of i's colour if no other row of that colour has an entry in column j.

    >>> import numpy as np
    >>> arrow = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 1]])
    >>> is_valid_bidirectional_coloring(arrow, [0, -1, -1], [0, 1, 1])
    True
    """
    entries = Entries(pattern)
    row_colors = as_colors(row_colors, entries.shape[0], "colours of rows")
    column_colors = as_colors(column_colors, entries.shape[1], "colours of columns")
    (by_column, _), (by_row, _) = bidirectional_options(entries, row_colors, column_colors)
    return bool((by_column | by_row).all())


@user_api
def bidirectional_recovery(pattern: PatternLike, row_colors: Any, column_colors: Any) -> BidirectionalRecovery:
    """For each entry, in the order of the pattern's CSR form, from which product it is read, and where.

    ValueError if an entry cannot be read from any (see `is_valid_bidirectional_coloring`).

    >>> import numpy as np
    >>> arrow = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 1]])
    >>> bidirectional_recovery(arrow, [0, -1, -1], [0, 1, 1]).from_row
    array([False,  True,  True, False, False, False, False])
    """
    entries = Entries(pattern)
    row_colors = as_colors(row_colors, entries.shape[0], "colours of rows")
    column_colors = as_colors(column_colors, entries.shape[1], "colours of columns")
    (by_column, column_color), (by_row, row_color) = bidirectional_options(entries, row_colors, column_colors)
    _refuse(entries, by_column | by_row, "this colouring of rows and columns",
            "in the product of its column's colour another column has an entry in this row, and with rows it is alike")  # fmt: skip
    color, element = np.where(by_column, column_color, row_color), np.where(by_column, entries.rows, entries.columns)
    return BidirectionalRecovery(~by_column, np.asarray(color), np.asarray(element))


# Hessians


def star_options(entries: Entries, mirror: NumPyArray, colors: NumPyArray) -> Options:
    """From where each entry can be read: (whether from its column's product, the colour of that), and the same for the mirrored."""
    color = colors[entries.columns]
    alone = _is_alone(entries.rows, color)
    return [(alone, color), (alone[mirror], color[mirror])]


@user_api
def is_valid_star_coloring(pattern: PatternLike, colors: Any) -> bool:
    """Whether each entry of a symmetric matrix can be read, itself or mirrored, from the products with columns of one colour.

    An entry (i, j) can be read from element i of the product of j's colour if no other column of that colour has an entry in row i, or
    from element j of the product of i's colour if that is so in row j. Where the diagonal is full this is the definition of a star
    colouring: neighbours differ, and each path of four vertices has at least three colours. ValueError if the pattern is not symmetric.

    >>> import numpy as np
    >>> tridiagonal = np.eye(5) + np.eye(5, k=1) + np.eye(5, k=-1)
    >>> is_valid_star_coloring(tridiagonal, [0, 1, 2, 0, 1]), is_valid_star_coloring(tridiagonal, [0, 1, 0, 1, 0])
    (True, False)
    """
    entries = Entries(pattern)
    colors = as_colors(colors, entries.shape[1], "colours of columns")
    (direct, _), (mirrored, _) = star_options(entries, entries.mirror("is_valid_star_coloring"), colors)
    return bool((direct | mirrored).all())


@user_api
def star_recovery(pattern: PatternLike, colors: Any) -> tuple[NumPyArray, NumPyArray]:
    """For each entry of a symmetric pattern, in the order of its CSR form, the number of the product and the element where it is read.

    `products[color, row]` are the entries' values, where `products[c]` is the matrix times the sum of the unit vectors of the columns
    of colour c. ValueError if the pattern is not symmetric or an entry cannot be read (see `is_valid_star_coloring`).

    >>> import numpy as np
    >>> arrow = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 1]])
    >>> star_recovery(arrow, [0, 1, 1])
    (array([0, 0, 0, 0, 1, 0, 1]), array([0, 1, 2, 1, 1, 2, 2]))
    """
    entries = Entries(pattern)
    colors = as_colors(colors, entries.shape[1], "colours of columns")
    (direct, color), (mirrored, mirrored_color) = star_options(entries, entries.mirror("star_recovery"), colors)
    _refuse(entries, direct | mirrored, "this star colouring",
            "neither it nor its mirror image is alone in its row among the columns of one colour")  # fmt: skip
    row = np.where(direct, entries.rows, entries.columns)
    return np.where(direct, color, mirrored_color), np.asarray(row)


class AcyclicRecovery(NamedTuple):
    """How the entries of a symmetric matrix follow from products by substitution.

    The unknowns are the elements `products[color, row]`, times `sign`; in each round, those at `source` are added to those at
    `target`; at last `sign` is applied again, and `entry` says which of them is each entry of the pattern's CSR form:

        sums = sign * products[color, row]
        for source, target in rounds:
            sums = sums.at[target].add(sums[source])
        values = (sign * sums)[entry]

    The entries between two colours form trees, in which an entry is the product at its lower end less the entries below: an
    alternating sum over a subtree. The k-th round adds the sums 2^k levels below, so that trees of depth d need log₂ d rounds.

    Example: of a diagonal matrix `color` and `sign` are 0 and 1 throughout, and there are no rounds.
    """

    color: NumPyArray
    row: NumPyArray
    sign: NumPyArray
    rounds: tuple[tuple[NumPyArray, NumPyArray], ...]
    entry: NumPyArray


class _Forest(NamedTuple):
    """The graphs between two colours, all in one. A node is a vertex in one of these graphs."""

    ends: NumPyArray  # nodes at the ends of each edge; one of the diagonal has the same at both
    entry: NumPyArray  # edge of each entry of the pattern
    vertex: NumPyArray  # of each node
    color: NumPyArray  # of each node: that of the product which is its equation
    component: NumPyArray  # of each node
    is_forest: bool  # at most one edge from a node to itself in each component, and no other cycles


def _forest(entries: Entries, mirror: NumPyArray, colors: NumPyArray) -> _Forest:
    rows, columns = entries.rows, entries.columns
    k = int(colors.max(initial=-1)) + 1
    upper = rows <= columns
    i, j = rows[upper], columns[upper]
    edge = np.empty(len(entries), np.int64)
    edge[upper] = np.arange(len(i))
    edge[~upper] = edge[mirror[~upper]]
    pair = np.minimum(colors[i], colors[j]) * k + np.maximum(colors[i], colors[j])
    keys, ends = np.unique(np.stack([pair, pair]) * entries.shape[0] + np.stack([i, j]), return_inverse=True)
    ends = ends.reshape(2, -1)
    vertex, pairs = keys % max(entries.shape[0], 1), keys // max(entries.shape[0], 1)
    color = pairs // max(k, 1) + pairs % max(k, 1) - colors[vertex]
    loops = ends[0] == ends[1]
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    graph = csr_array((np.ones(len(i), np.int8), (ends[0], ends[1])), shape=(len(keys), len(keys)))
    count, component = connected_components(graph, directed=False)
    is_forest = bool((~loops).sum() == len(keys) - count and np.bincount(component[ends[0][loops]]).max(initial=0) <= 1)
    return _Forest(ends, edge, vertex, color, component, is_forest)


@user_api
def is_valid_acyclic_coloring(pattern: PatternLike, colors: Any) -> bool:
    """Whether the entries of a symmetric matrix follow, by substitution, from the products with columns of one colour.

    That is so if each column with an entry has a colour, neighbours differ, and the entries between any two colours form no cycle.
    (Neighbours without entries on the diagonal may have one colour, if the entries within it form no cycle.)
    ValueError if the pattern is not symmetric.

    >>> import numpy as np
    >>> tridiagonal = np.eye(5) + np.eye(5, k=1) + np.eye(5, k=-1)
    >>> is_valid_acyclic_coloring(tridiagonal, [0, 1, 0, 1, 0])
    True
    """
    entries = Entries(pattern)
    mirror = entries.mirror("is_valid_acyclic_coloring")
    colors = as_colors(colors, entries.shape[1], "colours of columns")
    return bool((colors[entries.columns] >= 0).all()) and _forest(entries, mirror, colors).is_forest


@user_api
def acyclic_recovery(pattern: PatternLike, colors: Any) -> AcyclicRecovery:
    """How the entries of a symmetric pattern follow from the products by substitution, vectorized.

    `products[c]` is the matrix times the sum of the unit vectors of the columns of colour c. ValueError if the pattern is not
    symmetric or the colouring is not acyclic (see `is_valid_acyclic_coloring`).

    >>> import numpy as np
    >>> matrix = np.array([[1., 2, 0], [2, 3, 4], [0, 4, 5]])
    >>> color, row, sign, rounds, entry = acyclic_recovery(matrix, [0, 1, 0])
    >>> sums = sign * (np.array([[1., 0, 1], [0, 1, 0]]) @ matrix)[color, row]
    >>> for source, target in rounds:
    ...     np.add.at(sums, target, sums[source])
    >>> (sign * sums)[entry]
    array([1., 2., 2., 3., 4., 4., 5.])
    """
    entries = Entries(pattern)
    mirror = entries.mirror("acyclic_recovery")
    colors = as_colors(colors, entries.shape[1], "colours of columns")
    _refuse(entries, colors[entries.columns] >= 0, "this acyclic colouring", "its column has no colour")
    forest = _forest(entries, mirror, colors)
    if not forest.is_forest:
        raise ValueError(
            f"this colouring is not acyclic: entries between two of its colours form a cycle, at {user_line()}"
        )
    parent = _parents(forest)
    nodes = len(parent)
    # An edge is the unknown of its lower end; one of a node to itself, that of the root.
    lower = np.where(parent[forest.ends[0]] == forest.ends[1], forest.ends[0], forest.ends[1])
    unknown = np.full(nodes, -1)
    unknown[lower] = np.arange(len(lower))
    rounds: list[tuple[NumPyArray, NumPyArray]] = []
    ancestor, depth = parent, (parent >= 0).astype(np.int64)
    while (ancestor >= 0).any():
        (source,) = np.nonzero(ancestor >= 0)
        depth[source] += depth[ancestor[source]]
        target = unknown[ancestor[source]]
        if (target >= 0).any():
            rounds.append((unknown[source[target >= 0]], target[target >= 0]))
        ancestor = np.where(ancestor >= 0, ancestor[ancestor], -1)
    sign = (1 - 2 * (depth[lower] % 2)).astype(np.int8)
    return AcyclicRecovery(forest.color[lower], forest.vertex[lower], sign, tuple(rounds), forest.entry)


def _parents(forest: _Forest) -> NumPyArray:
    """The parent of each node, -1 for roots: the node with an edge to itself, if there is one, or that with the most edges."""
    nodes = len(forest.vertex)
    first, second = forest.ends
    loops = first == second
    weight = np.bincount(forest.ends[:, ~loops].ravel(), minlength=nodes)
    weight[first[loops]] = nodes + 1
    by_weight = np.lexsort((-weight, forest.component))
    roots = by_weight[np.unique(forest.component[by_weight], return_index=True)[1]]
    # One more node, above all roots, makes one tree of the forest.
    ends = np.concatenate([first[~loops], np.full(len(roots), nodes)]), np.concatenate([second[~loops], roots])
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order

    tree = csr_array((np.ones(len(ends[0]), np.int8), ends), shape=(nodes + 1, nodes + 1))
    _, parent = breadth_first_order(tree, nodes, directed=False, return_predecessors=True)
    parent = np.asarray(parent[:nodes], np.int64)
    parent[roots] = -1
    return parent
